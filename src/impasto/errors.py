"""What can go wrong in the world outside the arguments.

A wrong argument is a `ValueError` or `TypeError`; these are for files, weights and memory. Each
carries one sentence that names the thing, its value and the way out.
"""

from __future__ import annotations


class ImpastoError(Exception):
    """Anything impasto could not do because of the world: catch this one to catch them all."""


class ImageError(ImpastoError):
    """A picture could not be read or written."""


class WeightsError(ImpastoError):
    """The network's weights are missing, altered or cannot be fetched."""


class MemoryShortageError(ImpastoError):
    """Not enough memory for even the smallest piece of work."""
