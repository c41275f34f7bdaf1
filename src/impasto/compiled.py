"""Compiled loops: numba where it is installed, and strips of work on several threads.

Loops that no tensor operation does fast lie in modules of their own, whose names end in `_loops`
and which only `load_loops` imports. Each has a stand-in of tensor operations, so that everything
runs without numba, only slower.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache, lru_cache
from types import ModuleType
from typing import TypeVar

import torch

T = TypeVar("T")
R = TypeVar("R")

_OFF = "IMPASTO_NO_COMPILED"  # an environment variable: any value keeps numba out


def load_loops(name: str) -> ModuleType | None:
    """Import a module of compiled loops, or return None where numba is missing or switched off.

    Args:
        name: the module, such as `impasto.vgg.winograd_loops`.
    """
    return None if os.environ.get(_OFF) else _import_loops(name)


def jit(function: Callable[..., R]) -> Callable[..., R]:
    """Compile a loop over arrays when it is first called, and keep the code on disk for next time.

    It runs without Python's lock, so that strips of work run side by side. Products may be fused
    with sums, and sums reordered: the same machine gives the same bytes, another one may round
    differently.
    """
    import numba

    options = {"nogil": True, "fastmath": {"contract", "reassoc", "nsz"}, "error_model": "numpy"}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # no folder can be written to: each process compiles anew
        return numba.njit(**options)(function)


def announce_compilation(announce: Callable[[], None]) -> None:
    """Have a function called once, before this process first compiles a loop: it takes seconds.

    Code that is found on disk is not compiled again.
    """
    if announce not in _announcements:
        _announcements.append(announce)


def run_strips(
    work: Callable[[T], R], strips: Sequence[T], on_done: Callable[[], None] | None = None
) -> list[R]:
    """Do the work of each strip, as many at a time as torch has threads; return it in order.

    Each strip is computed by one thread, tensor operations included, and strips are not cut by the
    number of threads: the result is the same for any. Nobody waits for another thread but at the
    end, so that a busy core delays no more than its own strip.

    Args:
        work: called with a strip, on any thread; compiled loops and tensor operations.
        strips: what it is called with.
        on_done: called on this thread after each strip; what it raises keeps others from starting.

    Example:
        >>> run_strips(lambda strip: strip.sum().item(), torch.ones(6).split(2))
        [2.0, 2.0, 2.0]
    """
    threads = torch.get_num_threads()
    with one_thread():  # also for the matrix products of the other threads
        if threads == 1 or len(strips) < 2:
            return _collect(map(work, strips), on_done)
        return _collect(_pool(threads).map(work, strips), on_done)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let tensor operations use one thread: sums then do not depend on the number of threads.

    Example:
        >>> with one_thread():
        ...     torch.get_num_threads()
        1
    """
    threads = torch.get_num_threads()
    if threads == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _collect(results: Iterator[R], on_done: Callable[[], None] | None) -> list[R]:
    collected = []
    for result in results:
        collected.append(result)
        if on_done is not None:
            on_done()
    return collected


_announcements: list[Callable[[], None]] = []


@cache
def _import_loops(name: str) -> ModuleType | None:
    try:
        _listen()
    except ImportError:
        return None
    return importlib.import_module(name)


@cache
def _listen() -> None:
    """Have whoever asked for it told of the first compilation.

    Raises:
        ImportError: numba is missing.
    """
    from numba.core import event

    class Announcer(event.Listener):
        def on_start(self, event: object) -> None:
            while _announcements:
                _announcements.pop()()

        def on_end(self, event: object) -> None:
            """Do nothing."""

    event.register("numba:compile", Announcer())


@lru_cache(maxsize=1)  # of another number of threads before, they end
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, "strips", initializer=torch.set_num_threads, initargs=(1,))
