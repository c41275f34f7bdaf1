"""The widget Style: a layer painted in the style of another layer or of a file."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from napari.layers import Image, Labels, Layer, Shapes
from napari.utils.notifications import show_error, show_info
from qtpy.QtWidgets import (
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from impasto.api import plan_style, stylize
from impasto.napari.layer_box import LayerBox
from impasto.napari.layers import (
    check_image,
    data_step,
    layer_mask,
    like_layer,
    shown_picture,
)
from impasto.napari.option_form import OptionForm, collapsible
from impasto.napari.running import RunBar
from impasto.presets import style_recipe
from impasto.recipes import StyleRecipe
from impasto.result import Result, Step
from impasto.style.source import Style

_MAIN = ("preset", "strength", "size", "effort")  # options that are always in sight
_INTERVAL = 0.5  # seconds at least between two previews


class StyleWidget(QWidget):
    """Paints what is on screen of a layer in the style of another picture.

    Args:
        napari_viewer: the viewer, which napari hands over.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self.viewer = napari_viewer
        self.content_box = LayerBox(napari_viewer, (Image,), follow=True)
        self.style_box = LayerBox(napari_viewer, (Image,), none="a file")
        self.style_file = QLineEdit()
        self.style_file.setPlaceholderText("the style's file")
        browse = QPushButton("…")
        browse.clicked.connect(self._choose_file)
        kinds = (Labels, Shapes)
        self.mask_boxes = {
            "protect": LayerBox(napari_viewer, kinds, none="nothing"),
            "keep": LayerBox(napari_viewer, kinds, none="nothing"),
            "region": LayerBox(napari_viewer, kinds, none="everywhere"),
        }
        helps = {
            "protect": "where the picture stays as it is",
            "keep": "what stays recognizable",
            "region": "where the style goes",
        }
        for name, box in self.mask_boxes.items():
            box.setToolTip(helps[name])
        self.run_button = QPushButton("Paint")
        self.run_button.clicked.connect(self.run)
        self.run_bar = RunBar()
        self.main_options = OptionForm(StyleRecipe, _MAIN)
        self.options = OptionForm(StyleRecipe, without=_MAIN)
        self._painting: Image | None = None
        self._last = 0.0
        self.style_box.changed.connect(self._show_file)
        self._lay_out(browse)
        self._show_file()

    def recipe(self) -> StyleRecipe:
        """Return the options as they stand; ValueError names one that is wrong."""
        return style_recipe(**self.options.values(), **self.main_options.values())

    def run(self) -> None:
        """Paint in a thread; the painting is a layer from the first steps on."""
        try:
            layer, picture, style, masks, recipe = self._prepare()
        except (ValueError, TypeError) as error:
            show_error(f"impasto: {error}")
            return
        self._painting, self._last = None, 0.0
        place = _origin(layer, self.viewer)
        size = picture.shape[:2]

        def work(on_step: Callable[[Step], None], stopped: Callable[[], bool]) -> Result:
            plan_style(picture, style, recipe=recipe, **masks)  # refuses before any work
            return stylize(picture, style, recipe=recipe, on_step=on_step, stop=stopped, **masks)

        def preview(step: Step) -> None:
            now = time.monotonic()
            if now - self._last >= _INTERVAL:
                self._last = now
                self._show(layer, place, size, _array(step.picture()), {})

        def finish(result: Result) -> None:
            record = {"impasto": result.provenance().model_dump(mode="json")}
            self._show(layer, place, size, _array(result.pixels), record)
            if result.stopped:
                show_info("impasto: stopped; the best picture so far is shown")

        self.run_button.setEnabled(False)
        self.run_bar.start(
            work, finish, on_step=preview, on_end=partial(self.run_button.setEnabled, True)
        )

    def _prepare(self) -> tuple[Image, np.ndarray, Style, dict[str, Any], StyleRecipe]:
        """Return the content layer and all that the library needs."""
        layer = check_image(self.content_box.layer, "content")
        picture = shown_picture(layer, self.viewer)
        style: Any = self.style_file.text().strip()
        if self.style_box.layer is not None:
            style = shown_picture(check_image(self.style_box.layer, "style"), self.viewer)
        elif not style:
            raise ValueError("`style` must be a layer or a file, got none; choose one")
        masks = {
            name: layer_mask(box.layer, layer, self.viewer, name)
            for name, box in self.mask_boxes.items()
            if box.layer is not None
        }
        region = masks.pop("region", None)
        return layer, picture, Style(style, region=region), masks, self.recipe()

    def _show(
        self,
        layer: Image,
        place: list[float],
        size: tuple[int, int],
        pixels: np.ndarray,
        record: dict[str, Any],
    ) -> None:
        """Show a painting of any size over its content, in one layer."""
        factors = [one / other for one, other in zip(size, pixels.shape, strict=False)]
        ahead = len(place) - 2
        # The middle of the first pixel, larger or smaller, in pixels of the content.
        offset = [*place[:ahead], *((factor - 1) / 2 for factor in factors)]
        name = f"{layer.name} painted"
        settings = like_layer(
            layer, name, record, offset=offset, factors=[*([1] * ahead), *factors]
        )
        plain = ("colormap", "contrast_limits", "gamma", "rgb")
        settings = {key: value for key, value in settings.items() if key not in plain}
        data = pixels.reshape((1,) * ahead + pixels.shape)
        shown = self._painting
        if shown is not None and shown in self.viewer.layers:
            shown.data = data
            shown.scale, shown.translate = settings["scale"], settings["translate"]
            shown.metadata = settings["metadata"]
            return
        self._painting = self.viewer.add_layer(
            Image.create(data, {**settings, "rgb": True}, "image")
        )
        if layer in self.viewer.layers:
            self.viewer.layers.selection.active = layer

    def _show_file(self) -> None:
        self.style_file.setEnabled(self.style_box.layer is None)

    def _choose_file(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "A picture to learn from")
        if path:
            self.style_box.choose(None)
            self.style_file.setText(path)

    def _lay_out(self, browse: QPushButton) -> None:
        layout = QVBoxLayout(self)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        form.addRow("Content", self.content_box)
        form.addRow("Style", self.style_box)
        file_row = QWidget()
        row = QHBoxLayout(file_row)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.style_file)
        row.addWidget(browse)
        form.addRow("", file_row)
        for name, box in self.mask_boxes.items():
            form.addRow(name.capitalize(), box)
        layout.addLayout(form)
        layout.addWidget(self.main_options)
        layout.addWidget(self.run_button)
        layout.addWidget(self.run_bar)
        layout.addWidget(collapsible(self.options))
        layout.addStretch(1)


def _origin(layer: Layer, viewer: Any) -> list[float]:
    """Return the plane on screen as a position in a layer's pixels; its rows and columns are 0."""
    return [*map(float, data_step(layer, viewer)[: layer.ndim - 2]), 0.0, 0.0]


def _array(pixels: Any) -> np.ndarray:
    return np.ascontiguousarray(pixels.clamp(0, 1).permute(1, 2, 0).numpy())  # (3, H, W)
