"""Controls for the options of a recipe, made from its schema: nothing is written here twice."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QScrollArea,
    QSizePolicy,
    QWidget,
)
from superqt import QCollapsible, QLabeledDoubleSlider

import impasto
from impasto.presets import PRESETS
from impasto.validation import describe_constraint, parse_json

_TEXTS = Path(impasto.__file__).parent / "serve" / "page" / "texts" / "en.json"
_OPEN_HEIGHT = 240  # pixels
_MOST_ON_SLIDER = 1  # range of a number that a slider can set


class OptionForm(QWidget):
    """A row for each option of a recipe: label, control, and its help as a tooltip.

    Args:
        recipe: class of the recipe.
        names: the options; None for all.
        without: options that it leaves out.
    """

    changed = Signal()

    def __init__(
        self,
        recipe: type[BaseModel],
        names: Iterable[str] | None = None,
        without: Iterable[str] = (),
    ) -> None:
        super().__init__()
        self._recipe = recipe
        self._controls: dict[str, QWidget] = {}
        layout = QFormLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        properties = recipe.model_json_schema()["properties"]
        left_out = {"version", *without}
        for name in [one for one in (names or properties) if one not in left_out]:
            field = recipe.model_fields[name]
            control = _control(name, properties[name])
            must = "" if name == "preset" else f"\n\n{describe_constraint(field)}"
            control.setToolTip(f"{field.description}{must}")
            control.setObjectName(name)
            self._controls[name] = control
            layout.addRow(option_label(name), control)
            self.set_value(name, field.get_default(call_default_factory=True))
            _connect(control, self.changed.emit)

    def values(self) -> dict[str, Any]:
        """Return the options that are not as the recipe has them."""
        fields = self._recipe.model_fields
        values = {name: self.value(name) for name in self._controls}
        return {
            name: value
            for name, value in values.items()
            if value != fields[name].get_default(call_default_factory=True)
        }

    def value(self, name: str) -> Any:
        """Return the value of one option."""
        control = self._controls[name]
        if isinstance(control, QCheckBox):
            return control.isChecked()
        if isinstance(control, NumberOrWord):
            return control.word if control.tick.isChecked() else _number_of(control.number)
        if isinstance(control, QLabeledDoubleSlider | QDoubleSpinBox):
            return _number_of(control)
        text = control.currentText() if isinstance(control, QComboBox) else control.text()
        return _parse(text.strip()) if control.property("free") else text

    def control(self, name: str) -> QWidget:
        """Return the control of one option."""
        return self._controls[name]

    def set_value(self, name: str, value: Any) -> None:
        """Set one option."""
        control = self._controls[name]
        if isinstance(control, QCheckBox):
            control.setChecked(bool(value))
        elif isinstance(control, QLabeledDoubleSlider | QDoubleSpinBox):
            control.setValue(value)
        elif isinstance(control, NumberOrWord):
            control.tick.setChecked(value == control.word)
            if value != control.word:
                control.number.setValue(value)
        else:
            text = value if isinstance(value, str) else json.dumps(value)
            if isinstance(control, QComboBox):
                control.setCurrentText(text)
            else:
                control.setText(text)


class NumberOrWord(QWidget):
    """A control for a number, or a word in its place, such as `auto`.

    Args:
        schema: of the number.
        word: the other value.
    """

    valueChanged = Signal()

    def __init__(self, schema: dict[str, Any], word: str) -> None:
        super().__init__()
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self.word = word
        self.number = _number(schema, whole=schema["type"] == "integer")
        self.number.setValue(min(max(1, self.number.minimum()), self.number.maximum()))
        self.tick = QCheckBox(_texts("values").get(word, word))
        layout.addWidget(self.number, 1)
        layout.addWidget(self.tick)
        self.tick.toggled.connect(self.number.setDisabled)
        self.tick.toggled.connect(lambda *_: self.valueChanged.emit())
        self.number.valueChanged.connect(lambda *_: self.valueChanged.emit())


def option_label(name: str) -> str:
    """Return what people read beside an option; the page's own words where it has any."""
    return _texts("options").get(name, name.replace("_", " ").capitalize())


@cache
def _texts(kind: str) -> dict[str, str]:
    try:
        return json.loads(_TEXTS.read_text(encoding="utf-8"))[kind]
    except (OSError, ValueError, KeyError):
        return {}


def _control(name: str, schema: dict[str, Any]) -> QWidget:
    """Return the control for what a schema describes."""
    if name == "preset":
        return _choice(PRESETS)
    if "enum" in schema:
        return _choice(schema["enum"])
    kind = schema.get("type")
    if kind == "boolean":
        return QCheckBox()
    if kind in ("number", "integer"):
        return _number(schema, whole=kind == "integer")
    parts = schema.get("anyOf", [schema])
    numbers = [part for part in parts if part.get("type") in ("number", "integer")]
    if len(parts) == 2 and len(numbers) == 1 and (word := parts[-1].get("const")):
        return NumberOrWord(numbers[0], word)
    words = [word for part in parts for word in part.get("enum", [part.get("const")]) if word]
    words += [one for one in schema.get("examples", ()) if "N" not in one]
    control = _choice(words, free=True) if words else QLineEdit()
    control.setProperty("free", True)
    return control


def _choice(words: Iterable[str], *, free: bool = False) -> QComboBox:
    box = QComboBox()
    box.addItems([str(word) for word in words])
    box.setEditable(free)
    fit_to_column(box)
    return box


def fit_to_column(box: QComboBox) -> None:
    """Let a box be as wide as its column, however long its words are."""
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(6)
    box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)


def collapsible(form: QWidget) -> QCollapsible:
    """Return a form folded away under "More options", with a scroll bar when it is open."""
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setWidget(form)
    area.setMinimumHeight(_OPEN_HEIGHT)
    more = QCollapsible("More options")
    more.addWidget(area)
    return more


def _number(schema: dict[str, Any], *, whole: bool) -> QWidget:
    low = schema.get("minimum", schema.get("exclusiveMinimum", 0))
    high = schema.get("maximum", schema.get("exclusiveMaximum", 2**31))
    if not whole and high - low <= _MOST_ON_SLIDER:
        slider = QLabeledDoubleSlider(Qt.Orientation.Horizontal)
        slider.setRange(low, high)
        slider.setSingleStep(0.01)
        slider.setDecimals(2)
        return slider
    spin = QDoubleSpinBox()
    spin.setDecimals(0 if whole else 4)
    spin.setRange(low, high)
    spin.setProperty("whole", whole)
    return spin


def _number_of(control: Any) -> int | float:
    value = control.value()
    return int(value) if control.property("whole") else round(value, 6)


def _connect(control: QWidget, function: Any) -> None:
    for signal in ("valueChanged", "currentTextChanged", "toggled", "textChanged"):
        if hasattr(control, signal):
            getattr(control, signal).connect(lambda *_: function())
            return


def _parse(text: str) -> Any:
    """Return what was typed: a number, a list, layers with weights, or else text."""
    try:
        return parse_json(text, finite=True)
    except ValueError:
        return text
