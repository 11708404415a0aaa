"""Coroutines that wait for each other's results in a circle: one of them has to compute without waiting.

The daemon notices circles of threads, which wait in it. A coroutine asks now and then instead, so that its thread may run others;
who waits for whom is therefore known here only, and only of one process.
"""
from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .tracking import Tracked

Key = tuple[str, bytes]  # the database, and the key of a call in its cache

#: The calls in which this one was begun, by its own task or by those that started it; their results are waited for.
around: ContextVar[tuple[Tracked, ...]] = ContextVar("around", default=())

_lock = threading.Lock()
_waits: dict[Key, Counter[Key]] = {}  # key that is computed → those that it waits for, and how often


@contextmanager
def waiting(outer: Iterable[Key], wanted: Key) -> Iterator[bool]:
    """As long as calls wait for the result of another one. True: that one waits for theirs."""
    keys = set(outer)
    with _lock:
        circle = not keys.isdisjoint(_reached(wanted))
        for key in keys:
            _waits.setdefault(key, Counter())[wanted] += 1
    try:
        yield circle
    finally:
        with _lock:
            for key in keys:
                _waits[key] -= Counter([wanted])
                if not _waits[key]:
                    del _waits[key]


def _reached(start: Key) -> set[Key]:
    """Whatever it waits for, directly or not; and itself."""
    found, ahead = {start}, [start]
    while ahead:
        for key in _waits.get(ahead.pop(), ()):
            if key not in found:
                found.add(key)
                ahead.append(key)
    return found
