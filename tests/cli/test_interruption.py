"""Ctrl-C: once keeps the best picture so far, twice stops at once; the exit code is 130."""

import json
import signal
import time

import pytest
from fake_rooms import seen

from impasto.cli.progress import interruptible


def wait_for(path, seconds=60):
    """Wait until a file is there: the run is under way."""
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end, f"{path} never came"
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_best_picture_so_far_is_saved(spawn, folder, number):
    process = spawn(
        "style", "photo.png", "paint.png", "-o", "out.png", "--steps", 5000, "--save-every", 5,
        "--json", "--figure", "row.png", sleep=0.02,
    )  # fmt: skip
    wait_for(folder / "out-00005.png")
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    facts = json.loads(out)
    assert 5 <= facts["evaluations"] < 5000
    assert seen(folder / "out.png").shape == (16, 24, 3)
    assert (folder / "row.png").exists()
    assert f"stopped after {facts['evaluations']} evaluations".encode() in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), b"is in out.png; the same command with --overwrite goes on from here\n"),
        (("--overwrite",), b"is in out.png; the same command goes on from here\n"),
    ],
)
def test_with_a_checkpoint_it_says_how_to_go_on(spawn, folder, words, said):
    process = spawn(
        "style", "photo.png", "paint.png", "-o", "out.png", "--steps", 5000, "--save-every", 5,
        "--checkpoint", "new/state", *words, sleep=0.02,
    )  # fmt: skip
    wait_for(folder / "out-00005.png")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.endswith(said)
    assert (folder / "new" / "state").is_dir()


@pytest.mark.slow
def test_a_second_signal_stops_at_once(spawn, folder):
    process = spawn(
        "style", "photo.png", "paint.png", "-o", "out.png", "--steps", 50, "--save-every", 1,
        sleep=2.0,
    )  # fmt: skip
    wait_for(folder / "out-00001.png")
    process.send_signal(signal.SIGINT)
    while b"once more to stop at once" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == b""
    assert not (folder / "out.png").exists()
    assert b"Traceback" not in err


@pytest.mark.slow
def test_reconstruct_stops_too(spawn, folder):
    process = spawn(
        "reconstruct", "photo.png", "-o", "out.png", "--steps", 5000, "--save-every", 5, sleep=0.02
    )
    wait_for(folder / "out-00005.png")
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, b"out.png\n")
    assert (folder / "out.png").exists()


def test_the_handlers_of_before_come_back(capfd):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with interruptible() as asked:
        assert not asked.is_set()
        signal.raise_signal(signal.SIGTERM)
        assert asked.is_set()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    assert "once more to stop at once" in capfd.readouterr().err
