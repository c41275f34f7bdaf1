"""Checkpoints: a run that was cut off goes on and ends in the bytes of one that was not."""

import math
import os
import random
import re
import signal
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import pytest
import torch

import impasto
from impasto.errors import ImageError, ImpastoError
from impasto.images.image import Image, ImageMetadata
from impasto.recipes import ReconstructRecipe, StyleRecipe
from impasto.result import Losses
from impasto.style import checkpoint as room
from impasto.style.checkpoint import Checkpoint, Checkpoints, run_fingerprint
from impasto.style.engine import Problem, Run
from impasto.style.objective import Evaluation
from impasto.style.optimizers import adam, lbfgs, lbfgs_clamped
from impasto.style.spec import style_spec

SOURCES = Path(__file__).parents[2] / "src"
CONTENT = torch.rand(3, 96, 100, generator=torch.Generator().manual_seed(1))
STYLE = torch.rand(3, 48, 48, generator=torch.Generator().manual_seed(2))
LAYERS = {"content_layers": {"relu2_1": 1}, "style_layers": {"relu1_1": 1, "relu2_1": 1}}
QUICK = {"size": 100, "precision": "float32", "device": "cpu"}
STYLIZE = {**QUICK, **LAYERS, "steps": 12, "scales": 2}


class Killed(Exception):
    """What a test ends a run with."""


@pytest.fixture(autouse=True)
def _always_due(monkeypatch):
    monkeypatch.setattr(room, "INTERVAL", 0.0)
    monkeypatch.setattr(room, "SHARE", 0.0)


def dying_at(*evaluations):
    """An `on_step` that ends the run there, without a chance to save."""
    told = []

    def on_step(step):
        told.append(step)
        if step.evaluation in evaluations:
            raise Killed

    return told, on_step


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam", "lbfgs-clamped"])
def test_a_run_killed_again_and_again_ends_in_the_same_bytes(tmp_path, optimizer):
    options = {**STYLIZE, "optimizer": optimizer}
    whole = impasto.stylize(CONTENT, STYLE, **options)
    for last in (1, 2, 5, 8, 9, 12):  # the second scale begins with the ninth
        told, on_step = dying_at(last)
        with pytest.raises(Killed):
            impasto.stylize(CONTENT, STYLE, checkpoint=tmp_path, on_step=on_step, **options)
        assert told[-1].evaluation == last
        assert len(told) < 6  # it did go on
        if last > 1:
            assert len(names(tmp_path)) == 1
    result = impasto.stylize(CONTENT, STYLE, checkpoint=tmp_path, **options)
    assert torch.equal(result.pixels, whole.pixels)
    assert result.history == whole.history
    assert result.scale_starts == whole.scale_starts == (0, 6)
    assert (result.losses, result.recipe) == (whole.losses, whole.recipe)
    assert names(tmp_path) == []


@pytest.mark.parametrize("kind", ["content", "texture"])
def test_a_reconstruction_goes_on_too(tmp_path, kind):
    options = {**QUICK, "layer": "conv2_1", "kind": kind, "steps": 8}
    whole = impasto.reconstruct(CONTENT, **options)
    for last in (3, 6):
        told, on_step = dying_at(last)
        with pytest.raises(Killed):
            impasto.reconstruct(CONTENT, checkpoint=tmp_path, on_step=on_step, **options)
    assert told[0].evaluation > 1
    result = impasto.reconstruct(CONTENT, checkpoint=tmp_path, **options)
    assert torch.equal(result.pixels, whole.pixels)
    assert result.history == whole.history
    assert names(tmp_path) == []


def test_a_stopped_run_keeps_its_file_and_the_same_call_goes_on(tmp_path):
    whole = impasto.stylize(CONTENT, STYLE, **STYLIZE)

    def stop(step):
        if step.evaluation == 7:
            raise StopIteration

    stopped = impasto.stylize(CONTENT, STYLE, checkpoint=tmp_path, on_step=stop, **STYLIZE)
    assert stopped.evaluations == 7
    assert len(names(tmp_path)) == 1
    told, on_step = dying_at()
    result = impasto.stylize(CONTENT, STYLE, checkpoint=tmp_path, on_step=on_step, **STYLIZE)
    assert [step.evaluation for step in told] == list(range(8, 13))
    assert torch.equal(result.pixels, whole.pixels)
    assert result.seconds > stopped.seconds
    assert told[0].seconds > stopped.seconds


@pytest.mark.parametrize("after", [1, 6, 9])
def test_a_run_stopped_within_an_evaluation_goes_on_to_the_same_bytes(tmp_path, after):
    whole = impasto.stylize(CONTENT, STYLE, **STYLIZE)
    told, on_step = dying_at()
    stopped = impasto.stylize(
        CONTENT, STYLE, checkpoint=tmp_path, on_step=on_step, stop=lambda: len(told) == after,
        **STYLIZE,
    )  # fmt: skip
    assert stopped.stopped
    assert stopped.evaluations == after
    result = impasto.stylize(CONTENT, STYLE, checkpoint=tmp_path, **STYLIZE)
    assert torch.equal(result.pixels, whole.pixels)
    assert result.history == whole.history


def test_strength_0_and_a_start_of_ones_own_can_have_checkpoints(tmp_path):
    options = {**STYLIZE, "strength": 0}
    with pytest.raises(Killed):
        impasto.stylize(CONTENT, STYLE, checkpoint=tmp_path, on_step=dying_at(1)[1], **options)
    still = impasto.stylize(CONTENT, STYLE, checkpoint=tmp_path, **options)
    assert torch.equal(still.pixels, CONTENT)
    assert still.evaluations == 1
    options = {**STYLIZE, "init_image": STYLE}
    whole = impasto.stylize(CONTENT, STYLE, **options)
    with pytest.raises(Killed):
        impasto.stylize(CONTENT, STYLE, checkpoint=tmp_path, on_step=dying_at(3)[1], **options)
    result = impasto.stylize(CONTENT, STYLE, checkpoint=tmp_path, **options)
    assert torch.equal(result.pixels, whole.pixels)
    assert names(tmp_path) == []


def test_what_auto_became_stays(tmp_path, monkeypatch):
    from impasto.style import engine

    wanted = []

    def probe(device, precision):
        wanted.append(precision)
        return torch.float32

    monkeypatch.setattr(engine, "select_precision", probe)
    options = {**STYLIZE, "precision": "auto"}
    with pytest.raises(Killed):
        impasto.stylize(CONTENT, STYLE, checkpoint=tmp_path, on_step=dying_at(3)[1], **options)
    impasto.stylize(CONTENT, STYLE, checkpoint=tmp_path, **options)
    assert wanted == ["auto", "float32"]


def test_a_finished_run_waits_in_its_file_for_who_asks_for_that(tmp_path):
    folder = Checkpoints(tmp_path, outlive=True)
    first = impasto.stylize(CONTENT, STYLE, checkpoint=folder, **STYLIZE)
    assert len(names(tmp_path)) == 1
    told, on_step = dying_at()
    again = impasto.stylize(CONTENT, STYLE, checkpoint=folder, on_step=on_step, **STYLIZE)
    assert told == []
    assert torch.equal(again.pixels, first.pixels)
    assert (again.history, again.losses) == (first.history, first.losses)
    folder.clear()
    assert names(tmp_path) == []


def rippled(pixels):
    """A loss with steep walls, so that line searches reject steps; and one that explodes."""
    rippled.calls += 1
    wave = 40 * pixels
    gradient = 2 * (pixels - 0.7) + 0.4 * wave.cos()
    loss = ((pixels - 0.7).square() + 0.01 * wave.sin()).sum().item()
    return (math.nan if rippled.calls in rippled.bad else loss), gradient


@pytest.mark.parametrize("descent", [lbfgs, lbfgs_clamped, adam])
@pytest.mark.parametrize("bad", [set(), {5}, set(range(5, 40, 3)), set(range(2, 30))])
def test_a_descent_goes_on_from_every_evaluation(tmp_path, descent, bad):
    start = torch.linspace(0, 1, 90).view(3, 6, 5)
    rippled.calls, rippled.bad = 0, bad
    whole = list(islice(descent(rippled, start), 40))
    for cut in range(1, 40):
        rippled.calls, state = 0, {}
        walk = descent(rippled, start, state=state)
        list(islice(walk, cut))
        assert max(0, cut - 9) < state["made"] <= cut  # no more than one line search is lost
        kept = Checkpoint(tmp_path, "f")
        kept.save(state)
        rippled.calls, made = state["made"], state["made"]
        rest = list(islice(descent(rippled, start, state=kept.load()), 40 - made))
        assert len(rest) == 40 - made
        for (pixels, loss), (wanted, least) in zip(rest, whole[made:], strict=True):
            assert torch.equal(pixels, wanted)
            assert loss == least or (math.isnan(loss) and math.isnan(least))


@pytest.mark.parametrize("optimizer", ["lbfgs", "lbfgs-clamped", "adam"])
def test_a_run_goes_on_from_every_evaluation_even_amid_rejected_steps(tmp_path, optimizer):
    recipe = StyleRecipe(steps=40, optimizer=optimizer, learning_rate=0.1, precision="float32")
    start = torch.linspace(0, 1, 90).view(3, 6, 5)

    def objective(pixels):
        loss, gradient = rippled(pixels)
        return Evaluation(Losses(total=loss, content=loss / 3, style=loss * 2 / 3), gradient, loss)

    def run(cut):
        """Run until an evaluation, as a new process would."""
        kept = Checkpoint(tmp_path, "f")
        reached = kept.load()
        now = Run(style_spec(recipe), [(5, 6)], [40], dying_at(cut)[1], kept)
        now.resume(reached)
        rippled.calls = now.optimizer_state.get("made", 0)
        try:
            now.optimize(lambda run, scale: Problem(objective, start), torch.device("cpu"))
        except Killed:
            return None
        result = now.result(recipe, ImageMetadata(), torch.device("cpu"))
        return result.pixels, [str(losses) for losses in result.history], result.losses

    rippled.bad = {6, 7, 20, 21, 22, 23, 24, 25, 26, 27, 33}
    whole = run(41)
    assert len(whole[1]) == 40
    for step in (1, 2, 3, 7):
        for cut in range(2, 41, step):
            assert run(cut) is None
        again = run(41)
        assert torch.equal(again[0], whole[0])
        assert again[1:] == whole[1:]


def test_a_state_comes_back_as_it_was(tmp_path):
    same, square = torch.rand(3, 4, 5), torch.rand(3, 3)
    state = {
        "tensors": [same, torch.tensor(0.1), {"again": same}, torch.tensor([1, -2])],
        "numbers": [0.1, 1e-320, math.inf, -math.inf, -0.0, 7, True, None, "text"],
        "wide": torch.rand(6, 4, dtype=torch.float64).t(),
        "turned": [square, square.t()],
    }
    kept = Checkpoint(tmp_path, "abc")
    assert kept.load() == {}
    kept.save({**state, "none": math.nan})
    found = kept.load()
    assert found["numbers"] == state["numbers"]
    assert math.copysign(1, found["numbers"][4]) == -1
    assert math.isnan(found["none"])
    assert torch.equal(found["tensors"][0], same)
    assert found["tensors"][2]["again"] is found["tensors"][0]
    assert torch.equal(found["tensors"][1], state["tensors"][1])
    assert torch.equal(found["wide"], state["wide"])
    assert found["wide"].dtype == torch.float64
    assert torch.equal(found["turned"][1], square.t())
    kept.remove()
    kept.remove()
    assert names(tmp_path) == []


def test_another_run_has_another_file():
    picture, other = Image(CONTENT), Image(STYLE)
    seen = Image(CONTENT, ImageMetadata(alpha=torch.ones(96, 100)))
    dim = Image(CONTENT, ImageMetadata(alpha=torch.full((96, 100), 0.5)))
    changed = CONTENT.clone()
    changed[2, 95, 99] += 1e-6
    calls = [
        (StyleRecipe(), "oxford", [picture, other]),
        (StyleRecipe(steps=301), "oxford", [picture, other]),
        (StyleRecipe(seed=1), "oxford", [picture, other]),
        (StyleRecipe(), "torchvision", [picture, other]),
        (StyleRecipe(), "oxford", [other, picture]),
        (StyleRecipe(), "oxford", [Image(changed), other]),
        (StyleRecipe(), "oxford", [seen, other]),
        (StyleRecipe(), "oxford", [dim, other]),
        (StyleRecipe(), "oxford", [picture, other, other]),
        (StyleRecipe(), "oxford", [Image(CONTENT.reshape(3, 100, 96)), other]),
        (ReconstructRecipe(), "oxford", [picture]),
        (ReconstructRecipe(layer="conv1_1"), "oxford", [picture]),
    ]
    assert len({run_fingerprint(*call) for call in calls}) == len(calls)
    # Where the weights lie does not matter, only what they are; nor which object holds the pixels.
    moved = (StyleRecipe(weights="elsewhere.pth"), "oxford", [Image(CONTENT.clone()), other])
    assert run_fingerprint(*moved) == run_fingerprint(*calls[0])


def test_runs_share_a_folder(tmp_path):
    for seed in (1, 2):
        with pytest.raises(Killed):
            impasto.stylize(
                CONTENT, STYLE, checkpoint=tmp_path, on_step=dying_at(3)[1], seed=seed, **STYLIZE
            )
    assert len(names(tmp_path)) == 2
    impasto.stylize(CONTENT, STYLE, checkpoint=tmp_path, seed=1, **STYLIZE)
    assert len(names(tmp_path)) == 1


def truncated(path):
    path.write_bytes(path.read_bytes()[:-100])


def flipped(path):
    data = bytearray(path.read_bytes())
    data[-50] ^= 1
    path.write_bytes(data)


def emptied(path):
    path.write_bytes(b"")


def replaced(path):
    from safetensors.torch import save_file

    save_file({"0": torch.zeros(3)}, path)


def foldered(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("damage", [truncated, flipped, emptied, replaced, foldered])
def test_a_damaged_file_is_said_with_the_way_out(tmp_path, damage):
    with pytest.raises(Killed):
        impasto.stylize(CONTENT, STYLE, checkpoint=tmp_path, on_step=dying_at(3)[1], **STYLIZE)
    (file,) = tmp_path.iterdir()
    damage(file)
    with pytest.raises(ImpastoError, match="`checkpoint` must be as impasto left it, got ") as said:
        impasto.stylize(CONTENT, STYLE, checkpoint=tmp_path, **STYLIZE)
    assert str(file) in str(said.value)
    assert str(said.value).endswith("; delete that file to start this run anew")


def test_a_place_that_cannot_be_written_is_said_before_any_work(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"mine")
    told, on_step = dying_at()
    for place in (file, file / "below"):
        with pytest.raises(ImageError, match="`checkpoint` must be a folder, got"):
            impasto.stylize(CONTENT, STYLE, checkpoint=place, on_step=on_step, **STYLIZE)
    assert told == []
    assert names(tmp_path) == ["file"]
    Checkpoints(tmp_path / "a" / "b")
    assert names(tmp_path / "a" / "b") == []


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_save_that_fails_leaves_the_one_before(tmp_path, monkeypatch, call):
    kept = Checkpoint(tmp_path, "f" * 64)
    kept.save({"pixels": torch.zeros(3)})

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(ImageError, match=r"`checkpoint` must be a place .*: no space left") as said:
        kept.save({"pixels": torch.ones(3)})
    assert str(said.value).endswith("the same call goes on from its last checkpoint")
    assert torch.equal(kept.load()["pixels"], torch.zeros(3))
    assert len(names(tmp_path)) == 1


def test_what_a_killed_save_left_is_removed_at_the_next_start(tmp_path):
    mine, theirs = tmp_path / f".impasto-{'a' * 16}-1.tmp", tmp_path / f".impasto-{'b' * 16}-1.tmp"
    for path in (mine, theirs):
        path.write_bytes(b"half")
    Checkpoint(tmp_path, "a" * 64)
    assert names(tmp_path) == [theirs.name]


def test_a_run_saves_where_a_scale_begins_and_where_it_stops(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "INTERVAL", math.inf)
    told, saved, save = [], [], Checkpoint.save
    monkeypatch.setattr(Checkpoint, "save", lambda *given: (saved.append(len(told)), save(*given)))

    def stop(step):
        told.append(step)
        if step.evaluation == 11:
            raise StopIteration

    impasto.stylize(CONTENT, STYLE, checkpoint=tmp_path, on_step=stop, **STYLIZE)
    assert saved == [1, 7, 11]


def test_saves_keep_their_distance(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(room.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(room, "INTERVAL", 15.0)
    monkeypatch.setattr(room, "SHARE", 20.0)
    kept = Checkpoint(tmp_path, "f")
    assert kept.due
    write = room._write

    def slow(*arguments):
        now[0] += 2.0
        write(*arguments)

    kept.save({"pixels": torch.zeros(3)})
    for seconds, due in ((14.9, False), (0.2, True)):
        now[0] += seconds
        assert kept.due is due
    monkeypatch.setattr(room, "_write", slow)
    kept.save({"pixels": torch.zeros(3)})
    for seconds, due in ((39.9, False), (0.2, True)):
        now[0] += seconds
        assert kept.due is due


class Kills:
    """The command in processes of its own, killed at will."""

    def __init__(self, folder):
        self.folder = folder
        for name, pixels in (("content.png", CONTENT), ("style.png", STYLE)):
            impasto.save(pixels, folder / name)

    def start(self, output, *words):
        # Saving at every evaluation leaves no moment at which a kill could do more harm.
        program = (
            "import sys; from impasto.style import checkpoint as room; "
            "room.INTERVAL = room.SHARE = 0.0; "
            "from impasto.cli.main import main; sys.exit(main())"
        )
        pictures = ["content.png", "style.png", "-o", output]
        options = [
            *("--size", "100", "--steps", "200", "--scales", "2", "--precision", "float32"),
            *("--content-layers", "relu2_1", "--style-layers", "relu1_1,relu2_1", "--no-sidecar"),
        ]
        return subprocess.Popen(
            [sys.executable, "-c", program, "style", *pictures, *options, *words],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(SOURCES), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def kill_later(self, process, seconds):
        """Kill a process some time after its first save; whether it was still at work."""
        state = self.folder / "state"
        before = stamps(state)
        while process.poll() is None and stamps(state) == before:
            time.sleep(0.005)
        time.sleep(seconds)
        process.kill()
        process.communicate()
        return process.returncode == -signal.SIGKILL


def stamps(folder):
    """When each checkpoint in a folder was written."""
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("impasto-*")}


@pytest.mark.slow
def test_a_process_killed_at_random_moments_writes_the_same_file(tmp_path):
    kills, chance = Kills(tmp_path), random.Random(4)
    undisturbed = kills.start("whole.png")
    assert undisturbed.communicate()[1] == ""
    for _ in range(3):
        process = kills.start("out.png", "--checkpoint", "state")
        assert kills.kill_later(process, chance.uniform(0, 0.1))
        assert len(stamps(tmp_path / "state")) == 1
    said = kills.start("out.png", "--checkpoint", "state").communicate()[1]
    assert re.fullmatch(r"impasto: going on from evaluation \d+ of 200\n", said)
    assert (tmp_path / "out.png").read_bytes() == (tmp_path / "whole.png").read_bytes()
    assert names(tmp_path / "state") == []
    assert names(tmp_path) == ["content.png", "out.png", "state", "style.png", "whole.png"]
