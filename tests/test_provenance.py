"""What is published of the recipes' format."""

import json
from pathlib import Path

import pytest

from impasto.cli.main import main
from impasto.provenance import provenance_of, schema

PUBLISHED = Path(__file__).parents[1] / "docs" / "recipe.schema.json"


def test_the_published_schema_is_the_one_that_is_checked_against(capsys):
    assert json.loads(PUBLISHED.read_text()) == schema()
    assert main(["rerun", "--schema"]) == 0
    assert json.loads(capsys.readouterr().out) == schema()


def test_the_schema_knows_every_method():
    methods = schema()["properties"]["method"]["enum"]
    assert methods == [
        "style",
        "texture",
        "reconstruct",
        "denoise",
        "apply",
        "film",
        "denoise-clip",
    ]


def test_names_in_a_foreign_account_are_shown_as_text():
    account = {"method": "style", "recipe": {}, "output": {"\u202e\x1b[2J": "\x1b]0;title\x07"}}
    with pytest.raises(ValueError, match="must be as impasto writes it") as caught:
        provenance_of(account)
    assert str(caught.value).isprintable()
