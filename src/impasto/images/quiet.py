"""Quiet while a file is read: what the decoders mutter is no business of the caller's."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

# Without a handler of its own, what tifffile logs would reach the user's terminal.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

_WARNINGS = threading.RLock()


@contextmanager
def suppress_decoder_warnings() -> Iterator[None]:
    """Keep the decoders' warnings in; what cannot be read is refused, what can is read."""
    # Warning filters belong to the whole process: one thread at a time may put them aside.
    with _WARNINGS, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
