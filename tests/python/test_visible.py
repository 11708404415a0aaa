"""What a program that did one thing after the other may expect to see, whichever of its processes did it."""
import os
import signal
import subprocess
from multiprocessing import Pool
from pathlib import Path

from xetrackd import Reader, Tracker

ROUNDS = 30


def square(x):
    return {"square": x * x}


def task(x):
    Tracker("bench.db").track(square, args=[x])


def test_rows_of_a_pool_that_has_answered(here):
    """pool.map() has returned, so its rows are read; the workers go on living."""
    Tracker("bench.db").log({"square": 0})
    with Pool(8) as pool:
        for i in range(1, ROUNDS + 1):
            pool.map(task, range(8))
            assert len(Reader("bench.db")) == 8 * i + 1


def test_rows_that_another_program_is_asked_for(here):
    """log(), then a command: it sees the row."""
    tracker = Tracker("bench.db")
    for i in range(1, ROUNDS + 1):
        tracker.log({"i": i})
        p = subprocess.run(["xt", "sql", "bench.db", "SELECT max(i) AS i FROM events", "--format", "csv"], capture_output=True, text=True)
        assert p.stdout.split() == ["i", str(i)]


def test_rows_that_the_daemon_has_not_been_sent(here):
    """It is slow, and a socket takes only so much: the rest waits in this process, whose Reader and copy() see it all the same."""
    tracker = Tracker("bench.db")
    tracker.log({"text": "first"})
    reader = Reader("bench.db")
    assert len(reader) == 1
    status = tracker._client.status()
    pid = dict(zip(status.names, next(status)))["pid"]
    os.kill(pid, signal.SIGSTOP)
    tracker.log_batch([{"text": 100 * "x"}] * 20_000)
    os.kill(pid, signal.SIGCONT)
    assert len(reader) == 20_001


def test_a_file_that_was_replaced(here):
    """As `git checkout` does it: who has it open reads the new one."""
    with Tracker("old.db") as tracker:
        tracker.log({"i": 1})
    subprocess.run(["xt", "snapshot", "old.db", "copy.db"], check=True, capture_output=True)
    with Tracker("bench.db") as tracker:
        tracker.log_batch([{"i": 2}, {"i": 3}])
    reader = Reader("bench.db")
    assert sorted(reader.to_df()["i"]) == [2, 3]
    os.replace(Path("copy.db"), Path("bench.db"))
    assert list(reader.to_df()["i"]) == [1]
