"""Fixtures: a server to ask, a stage in place of the work of jobs, and a browser."""

from fractions import Fraction

import pytest
import torch
from browse import CHROMIUM, QUIET, opening
from stage import Staged, asking, listening


@pytest.fixture
def client(tmp_path):
    """A server."""
    with asking(tmp_path / "jobs") as client:
        yield client


@pytest.fixture
def staged(monkeypatch):
    """Jobs that do nothing until they are told to end."""
    work = Staged()
    monkeypatch.setattr("impasto.serve.results.make_result", work)
    return work


@pytest.fixture(scope="module")
def browser():
    """Chromium."""
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def origin(tmp_path_factory):
    """The address of a server that the tests of a module share."""
    with listening(tmp_path_factory.mktemp("page") / "jobs") as origin:
        yield origin


@pytest.fixture
def opens(browser, origin):
    """Opens the page; at the end nothing may have been complained about in its console."""
    with opening(browser, origin) as opened:
        yield opened


@pytest.fixture(scope="session")
def cat():
    """A photograph, small, as a PNG."""
    from impasto.demo import photograph
    from impasto.images.resize import resize
    from impasto.images.write import encode

    return encode(resize(photograph(), (144, 96)).clamp(0, 1), "png")


@pytest.fixture(scope="session")
def clip(tmp_path_factory):
    """A film of a bright square that moves over noise, as bytes."""
    pytest.importorskip("cv2")
    from impasto.images.video_write import write_film

    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    ground = 0.3 * torch.rand(3, 48, 64, generator=torch.manual_seed(0))

    def frames():
        for number in range(6):
            frame = ground.clone()
            frame[:, 10:30, 4 * number : 4 * number + 20] = 0.9
            yield frame

    write_film(frames, 6, path, Fraction(10), None)
    return path.read_bytes()
