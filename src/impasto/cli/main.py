"""The command `impasto`: gathers the subcommands and turns whatever happens into an exit code.

0 done, 1 the world said no, 2 wrong usage, 3 some of a batch failed, 130 interrupted. Nothing here
imports torch, so that `--help` answers at once; each command imports what it needs when it runs.
"""

from __future__ import annotations

import contextlib
import sys
import traceback
from collections.abc import Sequence

import click

from impasto._version import __version__
from impasto.cli.batch import batch
from impasto.cli.demo import demo
from impasto.cli.denoise import denoise
from impasto.cli.doctor import doctor
from impasto.cli.inspect import compare, figure, info
from impasto.cli.noise import noise
from impasto.cli.options import debug_option, option_errors
from impasto.cli.presets import presets
from impasto.cli.reconstruct import reconstruct
from impasto.cli.rerun import rerun
from impasto.cli.serve import serve
from impasto.cli.sheet import sheet
from impasto.cli.style import style
from impasto.cli.texture import texture
from impasto.errors import ImpastoError

DONE, FAILED, MISUSED, INTERRUPTED = 0, 1, 2, 130


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with `impasto demo`, `impasto style photo.jpg painting.jpg -o out.png`, or "
    "`impasto denoise photo.jpg`. "
    "`impasto COMMAND --help` lists a command's options. "
    "Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.",
)
@click.version_option(__version__, message="%(prog)s %(version)s")
@debug_option
def impasto() -> None:
    """Paint any photograph in the style of any picture, and clean any noisy one."""


_COMMANDS = (
    style, denoise, texture, reconstruct, sheet, batch, serve, presets, rerun, compare, noise,
    figure, demo, doctor, info,
)  # fmt: skip
for _command in _COMMANDS:
    impasto.add_command(_command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and say how it went.

    Args:
        arguments: the words after `impasto`; those of this process where None.

    Returns:
        The exit code: 0, 1, 2, 3 or 130.

    Example:
        >>> main(["--version"])
        impasto 0.1.0
        0
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = impasto.main(words, prog_name="impasto", standalone_mode=False)
        return code if isinstance(code, int) else DONE
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help(), err=True)
        return MISUSED
    except (click.Abort, KeyboardInterrupt):
        return _complain("interrupted; nothing more was written", INTERRUPTED)
    except Exception as error:
        if "--debug" in words:
            traceback.print_exc()
        return _complain(*_verdict(error, words))


def _verdict(error: Exception, words: Sequence[str]) -> tuple[str, int]:
    """An error as one sentence and an exit code; the words are those after `impasto`."""
    if isinstance(error, click.UsageError):
        command = error.ctx.command_path if error.ctx else "impasto"
        return f"{error.format_message().rstrip('.')}; see `{command} --help`", MISUSED
    if isinstance(error, click.ClickException):
        return error.format_message(), FAILED
    if isinstance(error, ImpastoError):
        return str(error), FAILED
    if _out_of_memory(error):
        way_out = "clean a part of it" if "denoise" in words[:1] else "ask for a smaller `--size`"
        return f"there is not enough memory for this run; {way_out}", FAILED
    if isinstance(error, (ValueError, TypeError)):
        return option_errors(error), MISUSED
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}", FAILED
    kind = type(error).__name__
    return f"something unforeseen went wrong, {kind}: {error}; `--debug` shows where", FAILED


def _out_of_memory(error: Exception) -> bool:
    """Whether memory ran out; on the CPU torch has no type of its own for that."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and (
        "can't allocate memory" in text or "not enough memory" in text or "out of memory" in text
    )


def _complain(sentence: str, code: int) -> int:
    """Say one line on stderr and hand the exit code on."""
    with contextlib.suppress(BrokenPipeError):
        click.echo(f"impasto: {' '.join(sentence.split())}", err=True)
    return code
