"""Benchmarks into one SQLite file, by any number of workers: rows, function calls executed once, assets.

    from xetrackd import Tracker, Reader

    tracker = Tracker("benchmark.db", params={"model": "zstd"}, cache=True)
    tracker.log({"ratio": 2.91})
    result = tracker.track(compress, args=[path, 3])
    print(Reader("benchmark.db").to_df())

A daemon, which the first Tracker starts, alone writes the database; the file is an ordinary SQLite database at all times.

Tracker  logs rows and calls of a run.
Reader   reads what was logged.
copy     copies rows and assets from one database to another.
"""
from ._xetrackd import Error, Interrupted, version
from .errors import RejectedRow, XetrackWarning
from .tracker import Tracker

__version__ = version()
__all__ = ["Error", "Interrupted", "RejectedRow", "Tracker", "XetrackWarning"]
