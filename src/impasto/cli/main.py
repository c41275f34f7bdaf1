"""The command `impasto`: finds the subcommand and turns whatever happens into an exit code.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 some of a batch failed, 4 done, but a file is not
where it was asked for, 130 interrupted. A command's module is imported when the command is named,
and torch when it runs, so that `--help` answers at once.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Sequence

import click

from impasto._version import __version__
from impasto.cli.terminal import echo, standard_streams
from impasto.errors import MAX_SENTENCE, ImpastoError, shorten
from impasto.jobs.quiet import quiet_libraries

DONE, FAILED, MISUSED, INTERRUPTED = 0, 1, 2, 130

# Command -> its module, where NAME_command is the command, and its line in the help.
COMMANDS = {
    "apply": ("apply", "Paint PICTUREs with MODEL, a file that `impasto fit` wrote."),
    "batch": ("batch", "Paint or clean many pictures, and keep account of them."),
    "compare": ("inspect", "Measure how close A and B are."),
    "demo": ("inspect", "Paint a first picture out of nothing."),
    "denoise": ("denoise", "Clean IN, a picture, measured data or a film, of its noise."),
    "doctor": ("doctor", "Check whether a run would work here."),
    "figure": ("inspect", "Draw CONTENT, STYLE and RESULT in one row."),
    "film": ("film", "Paint CLIP, a film, in the style of STYLE."),
    "fit": ("fit", "Fit a small network to paint like STYLE."),
    "info": ("inspect", "Show what FILE is and how it was made."),
    "noise": ("denoise", "Add noise of a known kind to IN."),
    "presets": ("inspect", "List the presets: what each looks like and what it changes."),
    "reconstruct": ("style", "Rebuild IMAGE from one layer of the network."),
    "rerun": ("rerun", "Make the picture or film in FILE again."),
    "serve": ("serve", "Open impasto's page in the browser, and answer its API."),
    "sheet": ("sheet", "Show CONTENT in the style of STYLE in many ways at once."),
    "style": ("style", "Paint CONTENT in the style of STYLE."),
    "texture": ("style", "Make a texture out of STYLE alone."),
    "watch": ("watch", "Paint or clean whatever is put into FOLDER."),
}

EPILOG = """\
Start with `impasto demo`, `impasto style photo.jpg painting.jpg -o out.png`, or `impasto denoise
photo.jpg`. `impasto COMMAND --help` lists a command's options.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 some pictures of a batch failed, 4 done, but a file
is not where it was asked for, 130 interrupted.

Tab completes commands, options, their values and files once your shell has read the script: for
bash, add `eval "$(_IMPASTO_COMPLETE=bash_source impasto)"` to ~/.bashrc; for zsh, the same with
zsh_source to ~/.zshrc; for fish, save what `_IMPASTO_COMPLETE=fish_source impasto` prints as
~/.config/fish/completions/impasto.fish.
"""


class LazyGroup(click.Group):
    """A group that imports the module of a command when the command is named."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Return a command by its name; None where there is none."""
        if name not in COMMANDS:
            return None
        module, _ = COMMANDS[name]
        return getattr(importlib.import_module(f"impasto.cli.{module}"), f"{name}_command")

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands with their lines, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=EPILOG,
)
@click.version_option(__version__, message="%(prog)s %(version)s")
@click.option("--debug", is_flag=True, expose_value=False, help="show the traceback of an error")
def impasto() -> None:
    """Paint any photograph in the style of any picture, and clean any noisy one."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        arguments: the words after `impasto`; those of this process where None.

    Returns:
        The exit code: 0, 1, 2, 3, 4 or 130.

    Example:
        >>> main(["--version"])
        impasto 0.1.0
        0
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    with standard_streams(), quiet_libraries():
        return _run(words)


def _run(words: list[str]) -> int:
    """Run the command that some words name, and return its exit code."""
    try:
        code = impasto.main(words, prog_name="impasto", standalone_mode=False)
        return code if isinstance(code, int) else DONE
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help(), file=sys.stderr)
        return MISUSED
    except (click.Abort, KeyboardInterrupt):
        return _complain("interrupted; nothing more was written", INTERRUPTED)
    except Exception as error:
        # Here and not by click, since what fails first may be the parsing.
        if "--debug" in words:
            traceback.print_exc()
        return _complain(*_message_and_code(error, words))


def _message_and_code(error: Exception, words: Sequence[str]) -> tuple[str, int]:
    """Return an error as one sentence and an exit code; the words are those after `impasto`."""
    if isinstance(error, click.UsageError):
        command = error.ctx.command_path if error.ctx else "impasto"
        return f"{error.format_message().rstrip('.')}; see `{command} --help`", MISUSED
    if isinstance(error, click.ClickException):
        return error.format_message(), FAILED
    if isinstance(error, ImpastoError):
        return str(error), FAILED
    if isinstance(error, MemoryError | RuntimeError):
        from impasto.memory import is_out_of_memory  # torch

        if is_out_of_memory(error):
            way_out = (
                "clean a part of it" if "denoise" in words[:1] else "ask for a smaller `--size`"
            )
            return f"there is not enough memory for this run; {way_out}", FAILED
    if isinstance(error, (ValueError, TypeError)):
        from impasto.cli.options import option_errors

        return option_errors(error), MISUSED
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror}", FAILED
    kind = type(error).__name__
    return f"something unforeseen went wrong, {kind}: {error}; `--debug` shows where", FAILED


def _complain(sentence: str, code: int) -> int:
    """Print one line on stderr and return the exit code."""
    echo(f"impasto: {shorten(' '.join(sentence.split()), MAX_SENTENCE)}", err=True)
    return code
