"""Names and places of files."""

import pytest

from impasto.files import recorded_name
from impasto.provenance import Input


@pytest.mark.parametrize(
    ("name", "recorded"),
    [
        ("cat.png", "cat.png"),
        ("Kätzchen \u202f中 👩\u200d🎨.png", "Kätzchen \u202f中 👩\u200d🎨.png"),
        ("a\\b/c\n\x1b\x9b\x7f\udcff\u2029.png", "a�b�c������.png"),
        ("x" * 300, "x" * 255),
        ("", None),
    ],
)
def test_any_name_becomes_one_that_provenance_holds(name, recorded):
    assert recorded_name(name) == recorded
    Input(name=recorded, sha256="0" * 64)
