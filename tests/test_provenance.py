"""What is published of the recipes' format."""

import json
from pathlib import Path

from impasto.cli.main import main
from impasto.provenance import schema

PUBLISHED = Path(__file__).parents[1] / "docs" / "recipe.schema.json"


def test_the_published_schema_is_the_one_that_is_checked_against(capsys):
    assert json.loads(PUBLISHED.read_text()) == schema()
    assert main(["rerun", "--schema"]) == 0
    assert json.loads(capsys.readouterr().out) == schema()


def test_the_schema_knows_every_method():
    methods = schema()["properties"]["method"]["enum"]
    assert methods == ["style", "texture", "reconstruct", "denoise"]
