"""The demo with nothing faked, as a newcomer runs it."""

import json

import pytest

from impasto.cli.main import main
from impasto.demo import FILES
from impasto.images.read import describe_image, open_image


@pytest.mark.slow
def test_the_demo_writes_five_pictures_and_the_result_tells_how(tmp_path, capsys):
    assert main(["demo", "-o", str(tmp_path / "new"), "--json"]) == 0
    paths = json.loads(capsys.readouterr().out)
    assert set(paths) == set(FILES)
    result = open_image(paths["result"])
    assert result.size == (384, 255)
    assert describe_image(paths["result"])["recipe"]["preset"] == "default"
    deviation = result.pixels.flatten(1).std(1)
    assert deviation.min() > 0.1, "a picture, not a flat color"
