"""Standard streams that are closed, full, narrow or fed with hostile text."""

import ast
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from impasto.cli import terminal
from impasto.cli.main import main
from impasto.cli.progress import interruptible, show_progress
from impasto.cli.terminal import QuietStream, echo, echo_json, standard_streams

CLI = Path(terminal.__file__).parent
HOSTILE = "\x1b]0;title\x07 a\nb \x9b \u202e\u200b \udcff"
ESCAPED = r"\x1b]0;title\x07 a\nb \x9b \u202e\u200b \xff"


def run_in_shell(redirections, *words, code="", **environment):
    """Run the command, or some code, in a process with redirected streams."""
    program = ["-c", code] if code else ["-m", "impasto"]
    return subprocess.run(
        ["sh", "-c", f'"$@" {redirections}', "sh", sys.executable, *program, *words],
        env={**os.environ, "PYTHONPATH": str(CLI.parents[1]), **environment},
        capture_output=True,
        timeout=60,
    )


def test_only_one_module_prints():
    for path in CLI.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                allowed = path.name == "terminal.py" or "get_help" in ast.unparse(node)
                assert allowed or called not in ("click.echo", "click.secho", "print"), path


@pytest.mark.parametrize("redirections", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_take_no_files_number_and_stop_no_run(tmp_path, redirections):
    code = (
        "import sys; from impasto.cli import main as door; from impasto.cli.terminal import echo\n"
        "def callback(**_):\n"
        "    with open(sys.argv[1], 'wb', buffering=0) as file:\n"
        "        echo('result'); echo('progress', err=True); file.write(b'picture')\n"
        "        return 0 if file.fileno() > 2 else 1\n"
        "door.impasto.get_command(None, 'presets').callback = callback\n"
        "sys.exit(door.main(['presets']))\n"
    )
    path = tmp_path / "out"
    assert run_in_shell(redirections, str(path), code=code).returncode == 0
    assert path.read_bytes() == b"picture"


def test_streams_that_are_none_or_closed_are_replaced_for_the_run(monkeypatch):
    closed = io.StringIO()
    closed.close()
    for name, stream in (("stdin", None), ("stdout", closed), ("stderr", None)):
        monkeypatch.setattr(sys, name, stream)
    assert main(["presets"]) == 0
    assert main(["nothing"]) == 2
    assert (sys.stdin, sys.stdout, sys.stderr) == (None, closed, None)


@pytest.mark.parametrize(
    ("stream", "words", "sentence"),
    [
        ("stdout", ["denoise", "photo.png", "-o", "-"], "stdout is closed; name a file"),
        ("stdin", ["denoise", "-"], "nothing is piped in; name a file"),
    ],
)
def test_a_picture_through_a_closed_stream_is_refused(
    folder, monkeypatch, capsys, stream, words, sentence
):
    monkeypatch.setattr(sys, stream, None)
    assert main(words) == 2
    assert sentence in capsys.readouterr().err


class Broken(io.StringIO):
    """A stream that nobody reads."""

    def write(self, *_):
        raise BrokenPipeError

    def flush(self):
        raise OSError(28, "No space left on device")


def test_a_broken_stderr_is_ignored(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Broken())
    assert main(["nothing"]) == 2
    with standard_streams():
        assert isinstance(sys.stderr, QuietStream)
        echo("lost", err=True)
        with show_progress(True):
            pass
    monkeypatch.setattr(os, "write", Broken().write)
    with interruptible() as stop_requested:
        signal.raise_signal(signal.SIGINT)
    assert stop_requested.is_set()


@pytest.mark.parametrize("encoding", ["cp437", "cp1252", "ascii"])
def test_a_character_that_the_terminal_lacks_is_replaced(encoding, monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    with standard_streams():
        echo("3 × 2 … ─ é 中 →")
        echo_json({"name": "é 中 ×"})
        line, facts = stream.buffer.getvalue().splitlines()
    shown = line.decode(encoding)
    assert shown.startswith("3 x 2" if encoding != "cp1252" else "3 × 2")
    assert shown.endswith(r"\u4e2d ->")
    assert json.loads(facts.decode(encoding)) == {"name": "é 中 ×"}


@pytest.mark.parametrize("words", [["style", "--help"], ["presets"]])
def test_help_and_tables_fit_every_encoding(words):
    done = run_in_shell("", *words, PYTHONIOENCODING="cp437")
    assert (done.returncode, done.stderr) == (0, b"")


def test_hostile_text_is_escaped(capsys):
    echo(HOSTILE, lead="\x1b[2J", bold=True)
    echo(HOSTILE, err=True)
    echo_json({"name": HOSTILE})
    out, err = capsys.readouterr()
    line, facts = out.splitlines()
    assert line == rf"\x1b[2J{ESCAPED}"
    assert err == f"{ESCAPED}\n"
    assert facts.isprintable()
    assert json.loads(facts) == {"name": HOSTILE}


def test_a_sentence_is_one_short_line(capsys):
    assert main(["style", "a.png", "b.png", "--preset", HOSTILE + "x" * 5000]) == 2
    err = capsys.readouterr().err
    assert err.startswith("impasto: `preset` must be one of")
    assert err[:-1].isprintable()
    assert len(err) < 2500


def test_no_line_of_other_libraries_reaches_the_terminal(tmp_path):
    """Matplotlib speaks of its caches where HOME cannot be written, in runs and in the library."""
    nowhere = {"HOME": "/dev/null/home", "XDG_CACHE_HOME": "", "XDG_CONFIG_HOME": ""}
    environment = {**nowhere, "MPLCONFIGDIR": "", "TMPDIR": str(tmp_path)}
    picture = tmp_path / "noisy.png"
    values = np.random.default_rng(0).integers(90, 160, (32, 32, 3), np.uint8)
    Image.fromarray(values).save(picture)
    words = ["denoise", str(picture), "-o", str(tmp_path / "clean.png"), "--quiet"]
    words += ["--figure", str(tmp_path / "figure.png")]
    done = run_in_shell("", *words, **environment)
    assert (done.returncode, done.stderr) == (0, b"")
    drawn = run_in_shell("", code="import impasto.figures", **environment)
    assert (drawn.returncode, drawn.stderr) == (0, b"")


def test_libraries_are_quiet_and_filters_stay():
    code = (
        "import logging, sys, warnings; from impasto.cli import main as door\n"
        "def callback(**_):\n"
        "    logging.getLogger('some.library').warning('a record'); warnings.warn('a warning')\n"
        "door.impasto.callback = callback; door.impasto.invoke_without_command = True\n"
        "door.impasto.no_args_is_help = False\n"
        "filters, show = list(warnings.filters), warnings.showwarning\n"
        "code = door.main([])\n"
        "assert (warnings.filters, warnings.showwarning) == (filters, show)\n"
        "warnings.warn('seen')\n"
        "sys.exit(code)"
    )
    done = run_in_shell("", code=code)
    assert b"record" not in done.stderr
    assert b"a warning" not in done.stderr
    assert (done.returncode, b"seen" in done.stderr) == (0, True)
