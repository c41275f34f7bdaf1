"""Keep what other libraries log and warn of from the terminal of a process of impasto's own."""

from __future__ import annotations

import contextlib
import logging
import sys
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Print no log records and Python warnings of libraries, which say nothing to impasto's users.

    Only for processes that are impasto's own. Filters stay as they are, so that warnings that are
    to be errors are; with Python's option `-W`, warnings are printed.

    Example:
        >>> with quiet_libraries():
        ...     logging.getLogger("matplotlib").warning("a temporary cache directory")
    """
    handler, root = logging.NullHandler(), logging.getLogger()
    root.addHandler(handler)  # without any, Python prints warnings on stderr
    show = warnings.showwarning
    if not sys.warnoptions:
        warnings.showwarning = lambda *_, **__: None
    try:
        yield
    finally:
        root.removeHandler(handler)
        warnings.showwarning = show
