"""The door of the command line: help, version, errors as one line with an exit code."""

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from impasto.cli import main as door
from impasto.cli.main import main
from impasto.cli.options import PANELS, option_name, recipe_options
from impasto.errors import ImageError, WeightsError
from impasto.recipes import DenoiseRecipe, ReconstructRecipe, StyleRecipe

SOURCES = Path(__file__).parents[2] / "src"
COMMANDS = (
    "style", "denoise", "reconstruct", "compare", "noise", "figure", "demo", "doctor", "info",
)  # fmt: skip


def test_help_names_every_command_and_loads_nothing_heavy():
    code = (
        "import sys\n"
        "from impasto.cli.main import main\n"
        "assert main(['--help']) == 0\n"
        "heavy = {'torch', 'numpy', 'matplotlib', 'PIL', 'skimage'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(SOURCES)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    for command in COMMANDS:
        assert f"\n  {command} " in done.stdout
    assert "..." not in done.stdout.split("Commands:")[1], "a summary is cut short"


def commands():
    """Every command but the groups, by its path."""
    context = click.Context(door.impasto)
    for name in door.impasto.list_commands(context):
        command = door.impasto.get_command(context, name)
        if isinstance(command, click.Group):
            yield from ((f"{name} {sub}", one) for sub, one in command.commands.items())
        else:
            yield name, command


def test_the_help_says_of_each_command_what_the_command_says():
    for name, (_, line) in door.COMMANDS.items():
        command = door.impasto.get_command(None, name)
        assert command.help.split("\n\n")[0].replace("\n", " ") == line
        assert command.name == name


def test_every_option_of_every_command_is_in_exactly_one_panel():
    for path, command in commands():
        for option in command.get_params(click.Context(command)):
            if isinstance(option, click.Option) and not option.hidden:
                panels = [title for title, names in PANELS.items() if option_name(option) in names]
                assert len(panels) == 1, f"{path} --{option.name} is in {panels}"


def test_the_help_of_a_painting_begins_with_the_eight_options_that_matter_most(capsys):
    assert main(["style", "--help"]) == 0
    sections = capsys.readouterr().out.split("\n\n")
    (first,) = (text for text in sections if text.startswith("Main dials:"))
    assert re.findall(r"^  (?:-\w, )?--([\w-]+)", first, re.MULTILINE) == [
        "output", "preset", "strength", "effort", "size", "color", "style-scale", "structure",
    ]  # fmt: skip
    titles = [text.split("\n")[0] for text in sections if text.split("\n")[0].endswith(":")]
    assert titles == [
        "Main dials:", "Regions and masks:", "Color and noise:", "Network and losses:",
        "Optimizer:", "Files:", "Running:",
    ]  # fmt: skip


@pytest.mark.parametrize("words", [["--help"], ["style", "--help"], ["batch", "style", "--help"]])
def test_help_in_a_pipe_is_plain_text_of_80_columns(words, capsys, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    assert main(words) == 0
    out = capsys.readouterr().out
    assert not set("\x1b╭│─") & set(out)
    assert max(map(len, out.splitlines())) <= 80


def test_help_on_a_terminal_is_drawn_in_panels(monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "90")
    context = click.Context(door.impasto, info_name="impasto")
    command = door.impasto.get_command(context, "style")
    text = click.unstyle(
        command.get_help(click.Context(command, info_name="style", parent=context))
    )
    for title in ("Main dials", "Optimizer", "Running"):
        assert f"─ {title} ─" in text
    for option in command.params:
        if isinstance(option, click.Option):
            assert (max(option.opts, key=len) in text) != option.hidden


@pytest.mark.parametrize(
    ("words", "completions"),
    [
        ("impasto re", ["plain,reconstruct", "plain,rerun"]),
        ("impasto style --optimizer lb", ["plain,lbfgs", "plain,lbfgs-clamped"]),
        ("impasto style --preset wa", ["plain,wash"]),
        ("impasto style pho", ["file,pho"]),
    ],
)
def test_a_shell_completes_commands_values_and_files(words, completions):
    environment = {
        **os.environ,
        "PYTHONPATH": str(SOURCES),
        "_IMPASTO_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    done = subprocess.run(
        [sys.executable, "-c", "from impasto.cli.main import main; main()"],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == completions


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command, capsys):
    assert main([command, "--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"Usage: impasto {command}")
    assert "--debug" in out


@pytest.mark.parametrize(
    ("command", "model"),
    [("style", StyleRecipe), ("reconstruct", ReconstructRecipe), ("denoise", DenoiseRecipe)],
)
def test_every_option_of_a_recipe_is_offered_with_its_own_words(command, model):
    done = CliRunner().invoke(door.impasto, [command, "--help"])
    words = " ".join(done.output.split())
    for name, field in model.model_fields.items():
        option = "--" + name.replace("_", "-")
        assert (f"{option} " in words) == (name != "version"), option
        if name != "version":
            # help may break a line at a hyphen, so white space does not count
            assert "".join(field.description.split()) in words.replace(" ", "")


def test_an_option_added_to_a_recipe_appears_by_itself():
    class Wider(StyleRecipe):
        brush_width: float = 2.5

    @click.command()
    @recipe_options(Wider)
    def command(**options):
        click.echo(options["brush_width"])

    assert "--brush-width NUMBER" in CliRunner().invoke(command, ["--help"]).output
    assert CliRunner().invoke(command, ["--brush-width", "3"]).output == "3\n"
    assert CliRunner().invoke(command, []).output == "\n"


def test_a_switch_and_a_word_that_may_be_left_out_are_typed_that_way():
    class Switched(StyleRecipe):
        loud: bool = False

    @click.command()
    @recipe_options(Switched)
    def command(**options):
        click.echo(f"{options['loud']} {options['denoise']}")

    said = [[], ["--loud"], ["--denoise"], ["--denoise", "both", "--loud"], ["--denoise", "--loud"]]
    found = [CliRunner().invoke(command, words).output.strip() for words in said]
    assert found == ["None None", "True None", "None after", "True both", "True after"]


def test_a_denoising_recipes_sentence_names_its_command(capsys):
    assert main(["denoise", "a.png", "--strength", "2"]) == 2
    assert capsys.readouterr().err == (
        "impasto: `strength` must be at most 1, got 2; see `impasto denoise --help` for every "
        "option\n"
    )


def test_a_picture_too_large_to_clean_gets_another_way_out(capsys, monkeypatch):
    def fail(*_, **__):
        raise MemoryError

    monkeypatch.setattr(door.impasto.get_command(None, "denoise"), "callback", fail)
    assert main(["denoise", "a.png"]) == 1
    assert "not enough memory for this run; clean a part of it" in capsys.readouterr().err


def test_version(capsys):
    from impasto._version import __version__

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"impasto {__version__}\n"


def test_python_m_is_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "impasto", "paint"],
        env={**os.environ, "PYTHONPATH": str(SOURCES)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("impasto: No such command 'paint'")


def test_no_words_show_the_help_and_are_wrong_usage(capsys):
    assert main([]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "Commands:" in err


@pytest.mark.parametrize(
    "words",
    [
        ["style"],
        ["style", "a.png"],
        ["style", "a.png", "b.png", "--steps"],
        ["style", "a.png", "b.png", "--brush", "3"],
        ["style", "a.png", "b.png", "--save-every", "0"],
        ["style", "a.png", "b.png", "--bits", "12"],
        ["style", "a.png", "b.png", "--quality", "0"],
        ["figure", "a.png", "b.png", "c.png"],
        ["compare", "a.png"],
        ["paint"],
        ["--loud"],
    ],
)
def test_wrong_usage_is_one_line_and_two(words, capsys):
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("impasto: ")
    assert err.count("\n") == 1
    assert "--help`" in err


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (ImageError("a.png is empty"), 1, "a.png is empty"),
        (WeightsError("altered"), 1, "altered"),
        (ValueError("`size` must\n  be even"), 2, "`size` must be even"),
        (TypeError("`style` must be a picture"), 2, "`style` must be a picture"),
        (MemoryError(), 1, "there is not enough memory for this run; ask for a smaller `--size`"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes"), 1, "there is not "
         "enough memory for this run; ask for a smaller `--size`"),
        (OSError(28, "No space left on device", "a.png"), 1, "a.png: No space left on device"),
        (KeyboardInterrupt(), 130, "interrupted; nothing more was written"),
        (ZeroDivisionError("division"), 1, "something unforeseen went wrong, ZeroDivisionError: "
         "division; `--debug` shows where"),
    ],
)  # fmt: skip
def test_whatever_happens_is_one_line_and_a_code(error, code, line, capsys, monkeypatch):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(door.impasto.get_command(None, "doctor"), "callback", fail)
    assert main(["doctor"]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.strip() == f"impasto: {line}"


def test_debug_shows_the_traceback(capsys, monkeypatch):
    def fail(*_, **__):
        raise ImageError("a.png is empty")

    monkeypatch.setattr(door.impasto.get_command(None, "doctor"), "callback", fail)
    assert main(["doctor", "--debug"]) == 1
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert "in fail" in err
    assert err.endswith("impasto: a.png is empty\n")


def test_torch_running_out_of_memory_is_named(capsys, monkeypatch):
    import torch

    def fail(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3 GiB")

    monkeypatch.setattr(door.impasto.get_command(None, "doctor"), "callback", fail)
    assert main(["doctor"]) == 1
    assert "not enough memory" in capsys.readouterr().err


def test_a_reader_that_goes_away_is_no_drama(spawn):
    process = spawn("style", "--help")
    process.stdout.close()
    process.stdout = None
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (1, b"")


def test_a_picture_whose_reader_goes_away_becomes_a_file(spawn, folder):
    process = spawn("style", "photo.png", "paint.png", "-o", "-", "--steps", "1")
    process.stdout.close()
    process.stdout = None
    _, err = process.communicate(timeout=60)
    assert process.returncode == 4
    assert err.endswith(b"could not be written to -: broken pipe; it is in impasto.png\n")
    assert (folder / "impasto.png").read_bytes().startswith(b"\x89PNG")


def test_a_sentence_nobody_reads_keeps_its_code(spawn):
    process = spawn("paint")
    process.stderr.close()
    process.stderr = None
    process.communicate(timeout=60)
    assert process.returncode == 2
