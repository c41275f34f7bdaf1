"""`impasto serve`: the page and the API, on this machine."""

from __future__ import annotations

import threading
import webbrowser

import click

from impasto.cli.options import Command, debug_option, parse_options, recipe_options
from impasto.cli.terminal import echo
from impasto.errors import ImpastoError
from impasto.serve.limits import ServeOptions
from impasto.validation import validate

EPILOG = (
    "The address that is printed ends in a token; without it nothing is answered but the empty "
    "page. Only this machine can reach it, unless --host names another address. Jobs and results "
    "stay in --folder for --keep-hours; a server that was ended goes on with what waited. "
    "docs/security.md says what is promised."
)


@click.command("serve", cls=Command, epilog=EPILOG)
@recipe_options(ServeOptions)
@click.option(
    "--allow-host",
    multiple=True,
    metavar="NAME",
    help="a name that the server may be called by besides this machine's own, as behind a proxy",
)
@click.option("--no-browser", is_flag=True, help="open no browser")
@debug_option
def serve_command(allow_host: tuple[str, ...], no_browser: bool, **texts: str | None) -> None:
    """Open impasto's page in the browser, and answer its API."""
    options = validate(ServeOptions, parse_options(ServeOptions, texts))
    try:
        from impasto.serve.app import open_server
    except ModuleNotFoundError as error:
        raise ImpastoError(
            f"the page needs {error.name}, which is not installed; install impasto with its extra, "
            "`pip install 'impasto[serve]'`"
        ) from None
    server = open_server(options, allow_host)
    echo(server.address)
    echo(f"impasto: jobs are kept in {options.jobs_folder}; Ctrl-C ends", err=True)
    if not no_browser:
        threading.Timer(0.5, webbrowser.open, (server.address,)).start()
    server.run()
