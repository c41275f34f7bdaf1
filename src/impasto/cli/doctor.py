"""The command `doctor`: whether a run would work here."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version

import click

from impasto._version import __version__
from impasto.cli.options import Command, debug_option, json_option
from impasto.cli.terminal import echo, echo_json

LIBRARIES = ("torch", "numpy", "pillow", "tifffile", "imagecodecs", "scikit-image", "matplotlib")


@click.command("doctor", cls=Command)
@json_option
@debug_option
def doctor_command(as_json: bool) -> int:
    """Check whether a run would work here.

    Looks at libraries, device, precision, threads, memory, weights, formats, figures and the
    current folder; exits 0 when all is well, else 1.
    """
    checks = [_run_check(name, check) for name, check in _checks()]
    ok = all(check["ok"] for check in checks)
    if as_json:
        echo_json({"ok": ok, "checks": checks})
    else:
        for check in checks:
            word, color = ("ok    ", "green") if check["ok"] else ("not ok", "red")
            echo(f"  {check['name']:<10}  {check['detail']}", lead=word, fg=color)
        echo("a run would work here" if ok else "a run would not work here")
    return 0 if ok else 1


def _checks() -> Iterator[tuple[str, Callable[[], str]]]:
    """Yield the checks by name; those of the library only if it can be imported."""
    yield from (("impasto", _check_impasto), ("libraries", _check_libraries))
    try:
        from impasto.cli.doctor_checks import CHECKS
    except Exception as error:  # what a broken library raises is what this command is asked for
        failure = error

        def fail() -> str:
            raise failure

        yield "import", fail
    else:
        yield from CHECKS.items()
    yield "folder", _check_folder


def _run_check(name: str, check: Callable[[], str]) -> dict[str, object]:
    """Run one check; whatever it raises is what it reports."""
    try:
        return {"name": name, "ok": True, "detail": check()}
    except Exception as error:
        detail = " ".join(str(error).split()) or type(error).__name__
        return {"name": name, "ok": False, "detail": detail}


def _check_impasto() -> str:
    return f"{__version__} on Python {platform.python_version()}, {platform.system()}"


def _check_libraries() -> str:
    missing, versions = [], []
    for library in LIBRARIES:
        try:
            versions.append(f"{library} {version(library)}")
        except PackageNotFoundError:
            missing.append(library)
    if missing:
        raise RuntimeError(f"{', '.join(missing)} not installed; install impasto again")
    return ", ".join(versions)


def _check_folder() -> str:
    if not os.access(".", os.W_OK):
        raise RuntimeError("the current folder cannot be written; name another with -o")
    return "the current folder can be written"
