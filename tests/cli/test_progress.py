"""Progress: speeds, time left, and the bar drawn for someone at a terminal."""

import io
from dataclasses import replace

import pytest

from impasto.cli import progress
from impasto.cli.progress import format_duration, show_progress
from impasto.jobs.progress import throughput
from impasto.result import Losses, Step


def step(evaluation, seconds=1.0, scale=1, scales=1, evaluations=100, size=(64, 48)):
    losses = Losses(total=0.75, content=0.25, style=0.5)
    left = evaluations - evaluation
    return Step(evaluation, evaluations, scale, scales, size, losses, seconds, left, lambda: None)


def test_the_pace_leaves_out_loading_and_starts_again_at_each_scale():
    rate = throughput()
    rates = [rate(step(n, 10 + n / 4)) for n in range(1, 6)]
    assert rates[1:] == pytest.approx([4.0] * 4)
    rates = [rate(step(n, 11.25 + (n - 5), scale=2)) for n in range(6, 9)]
    assert rates == pytest.approx([1.0] * 3)


def test_the_pace_of_a_run_that_goes_on_counts_from_where_it_goes_on():
    rate = throughput()
    assert rate(step(50, 25.0)) == pytest.approx(2.0)  # all it can know is the time before
    assert rate(step(51, 25.25)) == pytest.approx(4.0)


@pytest.mark.parametrize("wanted", [True, None, False])
def test_a_run_that_goes_on_says_from_where_unless_quiet(capsys, wanted):
    with show_progress(wanted, "conv1_1") as draw:
        for number in (41, 42):
            draw(step(number, number / 10))
    lines = capsys.readouterr().err.splitlines()
    said = "impasto: conv1_1: going on from evaluation 40 of 100"
    drawn = "conv1_1  scale 1/1 64×48  41/100  content 0.25 style 0.5  10/s  0:06 left"
    assert lines == {True: [said, drawn], None: [said], False: []}[wanted]


def test_a_terminal_says_where_a_run_goes_on_from_above_the_bar(monkeypatch):
    screen = Terminal()
    monkeypatch.setattr(progress.sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm-256color")
    with show_progress(None) as draw:
        draw(step(41))
    assert screen.getvalue().count("impasto: going on from evaluation 40 of 100") == 1


@pytest.mark.parametrize(
    ("planes", "losses", "line"),
    [
        (1, None, "64×48  41/100  20.5/s  0:03 left"),
        (9, None, "plane 2/9 64×48  41/100  20.5/s  0:03 left"),
        (
            1,
            Losses(total=0.25, content=0.0, style=0.0),
            "64×48  41/100  loss 0.25  20.5/s  0:03 left",
        ),
    ],
)
def test_planes_are_drawn_without_scales_and_do_not_go_on(capsys, planes, losses, line):
    scale = min(planes, 2)
    with show_progress(True, part="plane") as draw:
        draw(replace(step(41, 2.0, scale, planes), losses=losses))
    assert capsys.readouterr().err == line + "\n"


@pytest.mark.parametrize(("planes", "place"), [(1, " 64×48"), (9, "plane 2/9 64×48")])
def test_a_terminal_shows_planes(monkeypatch, planes, place):
    screen = Terminal()
    monkeypatch.setattr(progress.sys, "stderr", screen)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm-256color")
    with show_progress(None, part="plane") as draw:
        draw(replace(step(1, scale=min(planes, 2), scales=planes), losses=None))
    assert place in screen.getvalue().replace("\x1b[2K", " ")
    assert "content" not in screen.getvalue()


def test_times_are_spoken_as_clocks_show_them():
    assert [format_duration(s) for s in (0, 59.6, 61, 3661)] == ["0:00", "1:00", "1:01", "1:01:01"]


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("columns", [60, 80, 140])
def test_a_terminal_gets_a_bar_with_everything_on_one_line(monkeypatch, columns):
    screen = Terminal()
    monkeypatch.setattr(progress.sys, "stderr", screen)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm-256color")
    with show_progress(None) as draw:
        draw(step(1, 1.0))
        draw(step(40, 40.0, scale=1, scales=2, size=(512, 384)))
    last = screen.getvalue()
    assert "40/100" in last
    if columns >= 80:
        for words in ("1/2 512×384", "content 0.25", "style 0.5", "1/s", "left"):
            assert words in last, words


def test_quiet_at_a_terminal_is_quiet(monkeypatch):
    screen = Terminal()
    monkeypatch.setattr(progress.sys, "stderr", screen)
    with show_progress(False) as draw:
        draw(step(1))
    assert screen.getvalue() == ""


def test_a_pipe_gets_lines_when_asked(capsys):
    with show_progress(True, "conv1_1") as draw:
        for number in range(1, 101):
            draw(step(number, number / 10))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert lines[1] == "conv1_1  scale 1/1 64×48  50/100  content 0.25 style 0.5  10/s  0:05 left"
