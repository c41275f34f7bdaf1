"""The widget Denoise: the noise of a layer in words, a preview, and the layer without it."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from napari.layers import Image
from napari.utils.notifications import show_error
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from impasto.denoising.denoise import denoise, denoise_stack, denoising_provenance
from impasto.denoising.diagnose import diagnose
from impasto.denoising.measurements import Measurements
from impasto.images.file_array import FileArray
from impasto.images.open_input import open_input
from impasto.images.stack import Stack
from impasto.memory import free_bytes
from impasto.napari.layer_box import LayerBox
from impasto.napari.layers import (
    USUAL_AXES,
    check_image,
    full_data,
    layer_alpha,
    layer_axes,
    layer_stack,
    like_layer,
    shown_index,
    shown_part,
    values_of,
)
from impasto.napari.live_result import LiveResult
from impasto.napari.option_form import OptionForm, collapsible, fit_to_column
from impasto.napari.running import RunBar
from impasto.recipes import DenoiseRecipe
from impasto.result import DenoiseResult, Diagnosis
from impasto.validation import validate

SHARES = ("strength", "chroma", "detail")  # that `DenoiseResult.at` changes
_BYTES = 24  # of each number of a layer whose result is held in memory, at most
_MEMORY_SHARE = 0.5  # of what is free
_AT_ONCE = 4_000_000  # numbers of a plane that are mixed while a slider moves
_REST = 200  # milliseconds that a slider rests before all planes are mixed


class _Finished(NamedTuple):
    """What a run gave: a result in memory, or a file; and what it found."""

    result: DenoiseResult | None
    path: str | Path | None
    axes: str  # of the file
    diagnosis: Diagnosis
    record: dict[str, Any]  # the recipe, for the layer's metadata


class DenoiseWidget(QWidget):
    """Denoises the selected layer into a new one.

    Args:
        napari_viewer: the viewer, which napari hands over.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self.viewer = napari_viewer
        self.live: LiveResult | None = None
        self._measurements = Measurements()
        self.layer_box = LayerBox(napari_viewer, (Image,), follow=True)
        self.axes_box = QComboBox()
        self.axes_box.setEditable(True)
        fit_to_column(self.axes_box)
        self.axes_box.setToolTip(
            f"{DenoiseRecipe.model_fields['axes'].description}\n\ncolors are left out"
        )
        self.axes_note = QLabel()
        self.output = QLineEdit()
        self.output.setPlaceholderText("memory, or a temporary file if large")
        self.output.setToolTip("a .tif or .zarr that the result is written to")
        browse = QPushButton("…")
        browse.clicked.connect(self._choose_output)
        self.measure_button = QPushButton("Measure")
        self.preview_button = QPushButton("Preview")
        self.run_button = QPushButton("Denoise")
        self.measure_button.setToolTip("say what noise there is")
        self.preview_button.setToolTip("denoise what is on screen of this plane, by itself")
        self.run_button.setToolTip("denoise the whole layer into a new one")
        self.measure_button.clicked.connect(self.measure)
        self.preview_button.clicked.connect(self.preview)
        self.run_button.clicked.connect(self.run)
        self.words = QLabel()
        self.words.setWordWrap(True)
        self.run_bar = RunBar()
        self.shares = OptionForm(DenoiseRecipe, SHARES)
        self.options = OptionForm(DenoiseRecipe, without=(*SHARES, "axes", "crop"))
        self._lay_out(browse)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_REST)
        self._timer.timeout.connect(self._mix_all)
        self.shares.changed.connect(self._mix_shown)
        self.layer_box.changed.connect(self._show_axes)
        self._show_axes()

    def recipe(self) -> DenoiseRecipe:
        """Return the options as they stand; ValueError names one that is wrong."""
        return validate(DenoiseRecipe, self.options.values() | self.shares.values())

    def measure(self) -> None:
        """Say in words what noise the layer has."""
        self._start(self._prepare_measuring, lambda diagnosis: self.words.setText(diagnosis.words))

    def preview(self) -> None:
        """Denoise what is on screen into a layer over it."""
        self._start(self._prepare_preview, self._show_preview)

    def run(self) -> None:
        """Denoise the whole layer into a new one."""
        self._start(self._prepare_run, self._show_result)

    def _start(
        self, prepare: Callable[[], Callable[..., Any]], on_done: Callable[[Any], None]
    ) -> None:
        """Check everything, then work in a thread."""
        try:
            work = prepare()
        except (ValueError, TypeError) as error:
            show_error(f"impasto: {error}")
            return
        buttons = (self.measure_button, self.preview_button, self.run_button)

        def enable(on: bool) -> None:
            for button in buttons:
                button.setEnabled(on)

        enable(False)
        self.run_bar.start(work, on_done, on_end=partial(enable, True))

    def _chosen(self) -> tuple[Image, str, DenoiseRecipe]:
        layer = check_image(self.layer_box.layer, "layer")
        return layer, self.axes_box.currentText().strip().upper(), self.recipe()

    def _prepare_measuring(self) -> Callable[..., Any]:
        layer, axes, recipe = self._chosen()
        options = recipe.model_dump(exclude={"version"})
        return lambda on_step, stopped: diagnose(layer_stack(layer, axes), **options)

    def _prepare_preview(self) -> Callable[..., Any]:
        layer, axes, recipe = self._chosen()
        index = shown_index(layer, axes, self.viewer)
        part = shown_part(layer, axes)
        ahead = self.viewer.dims.ndim - layer.ndim  # axes that other layers have besides
        displayed = {axes[dim - ahead] for dim in self.viewer.dims.displayed if dim >= ahead}
        if displayed == {"Y", "X"}:
            recipe = recipe.model_copy(update={"crop": part})
        letters = "".join(
            axis for axis, one in zip(axes, index, strict=True) if isinstance(one, slice)
        )
        recipe = recipe.model_copy(update={"across": "auto", "joint": False})

        def work(on_step: Any, stopped: Any) -> Any:
            plane = np.asarray(full_data(layer)[index])
            stack = open_input(_without_alpha(plane, layer), letters + "S" * layer.rgb, "layer")
            result = denoise(stack, recipe=recipe, on_step=on_step, measurements=self._measurements)
            return None if result.stopped else (layer, axes, index, result)

        return work

    def _show_preview(
        self, done: tuple[Image, str, tuple[int | slice, ...], DenoiseResult]
    ) -> None:
        layer, axes, index, result = done
        array = result.array()
        left, top = result.recipe.crop[:2] if result.recipe.part else (0, 0)
        starts = {"X": left, "Y": top}
        offset = [
            starts.get(axis, 0) if isinstance(one, slice) else one
            for axis, one in zip(axes, index, strict=True)
        ]
        for dim, one in enumerate(index):
            if not isinstance(one, slice):
                array = np.expand_dims(array, dim)
        inside = tuple(slice(None) if isinstance(one, slice) else 0 for one in index)
        name = f"{layer.name} preview"
        if name in self.viewer.layers:
            self.viewer.layers.remove(name)
        shown = self._add(layer, array, name, _record(result), offset)
        self._follow(result, shown.data[inside], shown, result.diagnosis)

    def _prepare_run(self) -> Callable[..., Any]:
        layer, axes, recipe = self._chosen()
        output = self.output.text().strip()
        fits = values_of(layer) * _BYTES < _MEMORY_SHARE * free_bytes(recipe.memory)
        if not fits and not output:
            output = str(_temporary_place())
        if output and layer_alpha(layer) is not None:
            raise ValueError(
                f"`layer` must be without opacity to be denoised into a file, got {layer.name}; "
                "clear the file's name, or make the layer RGB"
            )

        def work(on_step: Any, stopped: Any) -> Any:
            stack = layer_stack(layer, axes)
            if output:
                return layer, self._into_file(stack, output, recipe, on_step)
            result = denoise(stack, recipe=recipe, on_step=on_step)
            done = _Finished(result, None, axes, result.diagnosis, _record(result))
            return None if result.stopped else (layer, done)

        return work

    def _into_file(
        self, stack: Stack, output: str, recipe: DenoiseRecipe, on_step: Any
    ) -> _Finished:
        found: list[Diagnosis] = []
        path = denoise_stack(
            stack, output, recipe=recipe, on_step=on_step, on_diagnosis=found.append
        )
        provenance = denoising_provenance(stack, recipe)
        record = provenance.model_copy(update={"treatments": found[0].treatments})
        return _Finished(None, path, stack.axes, found[0], record.model_dump(mode="json"))

    def _show_result(self, done: tuple[Image, _Finished]) -> None:
        layer, finished = done
        name = f"{layer.name} denoised"
        preview = f"{layer.name} preview"
        if preview in self.viewer.layers:
            self.viewer.layers.remove(preview)
        if finished.result is None:
            data = FileArray(open_input(finished.path, finished.axes).data)
            self._add(layer, data, name, finished.record)
            self.live = None  # the file has the shares that the sliders had
            self.words.setText(f"{finished.diagnosis.words}\n\nThe result is in {finished.path}.")
            return
        array = finished.result.array()
        alpha = layer_alpha(layer)
        whole = array if alpha is None else np.concatenate([array, alpha], -1)
        shown = self._add(layer, whole, name, finished.record)
        inside = shown.data if alpha is None else shown.data[..., :3]
        self._follow(finished.result, inside, shown, finished.diagnosis)

    def _add(
        self,
        layer: Image,
        data: Any,
        name: str,
        record: dict[str, Any],
        offset: list[float] | None = None,
    ) -> Image:
        """Add a layer like another, and leave that one selected."""
        settings = like_layer(layer, name, {"impasto": record}, offset=offset)
        shown = self.viewer.add_layer(Image.create(data, settings, "image"))
        if layer in self.viewer.layers:
            self.viewer.layers.selection.active = layer
        return shown

    def _follow(
        self, result: DenoiseResult, array: np.ndarray, layer: Image, diagnosis: Diagnosis
    ) -> None:
        """Let the sliders act on a result."""
        self.live = LiveResult(result, array, layer)
        self.shares.control("chroma").setEnabled(self.live.has_colors)
        self.words.setText(diagnosis.words)

    def _mix_shown(self) -> None:
        """Mix the plane on screen at once, and the others when the sliders rest."""
        live = self.live
        if live is None or live.layer not in self.viewer.layers:
            return
        try:
            result = live.at(self._shares())
        except ValueError as error:
            show_error(f"impasto: {error}")
            return
        if live.result.noisy.numel() // live.planes <= _AT_ONCE:
            axes = result.source.axes.replace("S", "")
            index = ()
            if live.planes > 1:
                whole = shown_index(live.layer, axes, self.viewer)
                index = tuple(one for one in whole if not isinstance(one, slice))
            live.mix(result, live.number_of(index))
            live.layer.refresh()
        self._timer.start()

    def _shares(self) -> dict[str, Any]:
        return {name: self.shares.value(name) for name in SHARES}

    def _mix_all(self) -> None:
        """Mix every plane in a thread, with the texture if it is asked for."""
        live = self.live
        if live is None or live.layer not in self.viewer.layers:
            return
        if self.run_bar.running:
            self._timer.start()
            return
        shares = self._shares()
        result = live.at(shares)

        def work(on_step: Any, stopped: Any) -> bool:
            if result.recipe.detail and not live.has_texture:
                live.find_texture()
            for number in range(live.planes):
                if stopped():
                    return False
                live.mix(result, number)
            return True

        def show(done: bool) -> None:
            live.layer.metadata = {**live.layer.metadata, "impasto": _record(result)}
            live.layer.refresh()

        self.run_bar.start(work, show)

    def _show_axes(self) -> None:
        """Show the axes of the layer that is chosen, and ask where it does not say."""
        layer = self.layer_box.layer
        self.axes_box.clear()
        self.axes_note.setText("")
        self.axes_note.hide()
        if not isinstance(layer, Image):
            return
        axes, known = layer_axes(layer)
        choices = dict.fromkeys((axes, *USUAL_AXES.get(layer.ndim, ())))
        self.axes_box.addItems(list(choices))
        if not known:
            self.axes_note.setText("the layer does not say: choose")
        elif layer.rgb:
            self.axes_note.setText("and colors")
        self.axes_note.setVisible(bool(self.axes_note.text()))

    def _choose_output(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Write the result to", "", "*.tif *.zarr")
        if path:
            self.output.setText(path)

    def _lay_out(self, browse: QPushButton) -> None:
        layout = QVBoxLayout(self)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        form.addRow("Layer", self.layer_box)
        form.addRow("Axes", self.axes_box)
        form.addRow("", self.axes_note)
        form.addRow("Result in", _row(self.output, browse))
        layout.addLayout(form)
        layout.addWidget(_row(self.measure_button, self.preview_button, self.run_button))
        layout.addWidget(self.run_bar)
        layout.addWidget(self.words)
        layout.addWidget(self.shares)
        layout.addWidget(collapsible(self.options))
        layout.addStretch(1)


def _without_alpha(plane: np.ndarray, layer: Image) -> np.ndarray:
    return plane[..., :3] if layer.rgb else plane


def _record(result: DenoiseResult) -> dict[str, Any]:
    return result.provenance().model_dump(mode="json")


def _row(*widgets: QWidget) -> QWidget:
    row = QWidget()
    layout = QHBoxLayout(row)
    layout.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        layout.addWidget(widget)
    return row


def _temporary_place() -> Path:
    """Return a new place for a result, in a folder that goes when the program ends."""
    folder = Path(tempfile.mkdtemp(prefix="impasto-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder / "denoised.tif"
