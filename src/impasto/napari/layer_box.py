"""A box to choose a layer in, which knows what layers there are."""

from __future__ import annotations

from functools import partial
from typing import Any

from napari.layers import Layer
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox

from impasto.napari.option_form import fit_to_column


class LayerBox(QComboBox):
    """Chooses one of the viewer's layers of some kinds.

    Args:
        viewer: the viewer.
        kinds: classes of layers.
        follow: choose the layer that is selected in the viewer.
        none: what stands there for no layer; None where one must be chosen.
    """

    changed = Signal()

    def __init__(
        self,
        viewer: Any,
        kinds: tuple[type[Layer], ...],
        *,
        follow: bool = False,
        none: str | None = None,
    ) -> None:
        super().__init__()
        self._viewer, self._kinds, self._none = viewer, kinds, none
        self._layers: list[Layer | None] = []
        fit_to_column(self)
        layers = viewer.layers.events
        connections = [
            (event, self._fill) for event in (layers.inserted, layers.removed, layers.reordered)
        ]
        if follow:
            connections.append((viewer.layers.selection.events.active, self._follow))
        for event, function in connections:
            event.connect(function)
        # napari outlives a dock that is closed.
        self.destroyed.connect(partial(_disconnect, connections))
        self._fill()
        if follow:
            self._follow()
        self.currentIndexChanged.connect(lambda *_: self.changed.emit())

    @property
    def layer(self) -> Layer | None:
        """The layer that is chosen."""
        at = self.currentIndex()
        return self._layers[at] if 0 <= at < len(self._layers) else None

    def choose(self, layer: Layer | None) -> None:
        """Choose a layer; None for none."""
        self.setCurrentIndex(self._layers.index(layer) if layer in self._layers else -1)

    def showPopup(self) -> None:
        """List the layers by the names that they have now."""
        self._fill()
        super().showPopup()

    def _fill(self, *_: Any) -> None:
        now = self.layer
        self.blockSignals(True)
        self.clear()
        self._layers = [layer for layer in self._viewer.layers if isinstance(layer, self._kinds)]
        self.addItems([layer.name for layer in self._layers])
        if self._none is not None:
            self._layers.insert(0, None)
            self.insertItem(0, self._none)
        at = self._layers.index(now) if now in self._layers else 0
        self.setCurrentIndex(at if self._layers else -1)
        self.blockSignals(False)
        if self.layer is not now:
            self.changed.emit()

    def _follow(self, *_: Any) -> None:
        layer = self._viewer.layers.selection.active
        if isinstance(layer, self._kinds):
            self.choose(layer)


def _disconnect(connections: list[tuple[Any, Any]], *_: Any) -> None:
    for event, function in connections:
        event.disconnect(function)
