"""How far Tracker.map() has come, on standard error: a bar on a terminal, else a line every few seconds."""
from __future__ import annotations

import importlib.util
import os
import sys
import time
from typing import TextIO

__all__ = ["Silent", "progress_of"]


class Silent:
    """Counts, and shows nothing."""

    def __init__(self, name: str = "", total: int | None = None) -> None:
        self.name, self.total = name, total
        self.done = self.hits = self.failures = 0
        self.began = self.shown_at = time.monotonic()

    def add(self, hit: bool, failed: bool) -> None:
        """One more input is done."""
        self.done += 1
        self.hits += hit
        self.failures += failed
        self.show()

    def show(self) -> None: ...

    def close(self) -> None: ...

    def due(self, every: float) -> bool:
        """Whether so many seconds have passed since it last was."""
        now = time.monotonic()
        if now - self.shown_at < every:
            return False
        self.shown_at = now
        return True

    def text(self) -> str:
        """`predict: 120/1000, 12 %, 35.2/s, 0:24 left, 30 hits, 2 failed`"""
        seconds = max(time.monotonic() - self.began, 1e-9)
        rate = self.done / seconds
        parts = [f"{self.name}: {self.done}" + (f"/{self.total}" if self.total is not None else "")]
        if self.total:
            parts.append(f"{100 * self.done // self.total} %")
        parts.append(f"{rate:.1f}/s" if rate < 100 else f"{rate:.0f}/s")
        if self.total is not None and 0 < self.done < self.total:
            parts.append(f"{_clock((self.total - self.done) / rate)} left")
        else:
            parts.append(_clock(seconds))
        if self.hits:
            parts.append(f"{self.hits} hit{'s' * (self.hits != 1)}")
        if self.failures:
            parts.append(f"{self.failures} failed")
        return ", ".join(parts)


class Lines(Silent):
    """A line every few seconds, and one at the end: for logs."""

    def show(self) -> None:
        if self.due(5):
            _write(self.text() + "\n")

    def close(self) -> None:
        _write(self.text() + "\n")


class Bar(Silent):
    """One line of a terminal, written anew."""

    def show(self) -> None:
        if not self.due(0.1) and self.done != self.total:
            return
        columns = _columns(sys.stderr)
        text = self.text()
        room = columns - len(text) - 4
        if self.total and room >= 10:
            full = room * self.done // self.total
            text += f" [{'#' * full}{'.' * (room - full)}]"
        _write(f"\r{text[:columns - 1]}\x1b[K")

    def close(self) -> None:
        _write(f"\r{self.text()[:_columns(sys.stderr) - 1]}\x1b[K\n")


class Tqdm(Silent):
    """tqdm's bar."""

    def __init__(self, name: str, total: int | None) -> None:
        super().__init__(name, total)
        from tqdm import tqdm

        self.bar = tqdm(total=total, desc=name, file=sys.stderr, dynamic_ncols=True)

    def show(self) -> None:
        if self.hits or self.failures:
            self.bar.set_postfix(hits=self.hits, failed=self.failures, refresh=False)
        self.bar.update()

    def close(self) -> None:
        self.bar.close()


def progress_of(name: str, total: int | None) -> Silent:
    """The kind that standard error can show."""
    stream = sys.stderr
    if stream is None:
        return Silent(name, total)
    if not stream.isatty() or os.environ.get("TERM") == "dumb":
        return Lines(name, total)
    if importlib.util.find_spec("tqdm") is not None:
        return Tqdm(name, total)
    return Bar(name, total)


def _write(text: str) -> None:
    """Progress that nobody can read must not end the work."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except (OSError, ValueError):
        pass


def _columns(stream: TextIO) -> int:
    try:
        return max(os.get_terminal_size(stream.fileno()).columns, 20)
    except (OSError, ValueError):
        return 80


def _clock(seconds: float) -> str:
    minutes, s = divmod(round(seconds), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}:{m:02}:{s:02}" if hours else f"{m}:{s:02}"
