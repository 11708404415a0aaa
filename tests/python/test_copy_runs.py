"""copy() and `xtctl copy`: what comes of runs but their rows, which test_copy.py has: records, workers, assets."""
import hashlib
import os
import subprocess
import sys
import time

import pytest
from conftest import TIMEOUT, sqlite
from test_copy import copy, log, ok_audit, rows, session_of, source, target  # noqa: F401  (the fixtures, too)

from xetrackd import Reader, Tracker

RECORD = "track_id, status, start_time, end_time, table_name, params, rejects, uid, pid, host, executable, command_line, directory, cause"


def recorded(path):
    """All that is said of the runs, but for what is the database's own: the client that may return, and counts of rows."""
    with session_of(path) as s:
        return (list(s.query(f"SELECT {RECORD} FROM xt_runs ORDER BY 1")),
                list(s.query("SELECT track_id, uid, pid, status, start_time, end_time, cause FROM xt_workers ORDER BY track_id, start_time, client")))


def counted(path):
    with session_of(path) as s:
        return dict(s.query("SELECT track_id, rows + inserted - deleted FROM xt_runs"))


CRASHED = {"end_us": 1_700_000_001_000_002, "cause": "killed by signal 9 (SIGKILL)", "table": "metrics", "rejects": 3,
           "params": '{"rate": 0.5, "big": 18446744073709551615, "bytes": "00ff", "l": [1, {"x": null}], "codec": "zstd"}',
           "uid": 4_294_967_294, "pid": 7, "host": "elsewhere", "executable": "/usr/bin/python3", "command_line": "python3 train.py --ähnlich",
           "directory": "/home/somebody",
           "workers": [(0, None, "finished", 1_700_000_000_500_000, 1_700_000_000_600_000, None),
                       (1000, 9, "crashed", 1_700_000_000_500_000, 1_700_000_000_700_000, "exited with status 1"),
                       (1000, 10, "failed", 1_700_000_000_500_001, None, None)]}


def test_what_is_known_of_the_runs(source, target):
    log(source, {"a": 1}, track_id="one", params={"codec": "zstd", "level": 3, "rate": 0.5, "none": None, "l": [1, {"x": 2}]})
    log(source, {"a": 1}, track_id="two", table="other")
    with session_of(source) as s:
        assert s.import_run("bad", "crashed", 1_700_000_000_000_001, **CRASHED)
        assert s.import_run("least", "failed", 1_700_000_000_000_001)
        s.execute("INSERT INTO events(track_id, timestamp, a) VALUES ('bad', '2023-11-14 22:13:20.500000', 5)")
    assert copy(source, target, tables=["other"]) == 1
    assert [r[0] for r in recorded(target)[0]] == ["two"]
    assert ok_audit(target)
    assert copy(source, target) == 2
    theirs = recorded(source)
    assert recorded(target) == theirs
    bad = dict(zip(RECORD.split(", "), theirs[0][0]))
    assert bad["start_time"] == "2023-11-14 22:13:20.000001" and bad["end_time"] == "2023-11-14 22:13:21.000002"
    assert [bad[k] for k in ("status", "host", "pid", "uid", "params", "rejects", "cause")] == \
        ["crashed", "elsewhere", 7, 4_294_967_294, CRASHED["params"], 3, "killed by signal 9 (SIGKILL)"]
    assert len(theirs[1]) == 3
    assert theirs[0][1][1:] == ("failed", "2023-11-14 22:13:20.000001", None, "events") + (None,) + (0,) + (None,) * 7
    assert counted(target) == counted(source) == {"bad": 1, "least": 0, "one": 1, "two": 1}
    log(source, {"a": 2}, track_id="one")
    assert copy(source, target) == 1
    assert recorded(target) == theirs
    assert ok_audit(target) and ok_audit(source)


def test_a_run_that_the_target_knows_keeps_its_record(source, target):
    log(target, {"a": 1}, track_id="bad")
    with session_of(source) as s, session_of(target) as t:
        s.import_run("bad", "crashed", 1, **CRASHED)
        s.import_run("gone", "crashed", 1, **CRASHED)
        t.import_run("gone", "finished", 1)
        t.delete_run("gone")
    before = recorded(target)
    copy(source, target)
    assert recorded(target) == before


def test_who_copies_does_not_take_part(source, target):
    with Tracker(source, track_id="r") as t:
        t.log({"model": Model(b"1")})
    copy(source, target)
    assert recorded(target) == recorded(source) and recorded(target)[1] == []


WORKER = """
import sys
from xetrackd._xetrackd import Client
client = Client(sys.argv[1])
run = client.start_run("events", "r", {}) if sys.argv[2] == "start" else client.join_run("events", "r", {})
run.log({"a": 1}, {})
run.asset_put("model", sys.argv[2].encode())
client.flush()
print("ready", flush=True)
if sys.stdin.readline().strip() == "end":
    client.close()
"""


class worker_of:
    """A process that starts the run `r`, or joins it, with a row and an asset."""

    def __init__(self, path, how, runtime):
        (runtime / how).mkdir(exist_ok=True)
        self.p = subprocess.Popen([sys.executable, "-c", WORKER, path, how], cwd=runtime / how, stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True)
        assert self.p.stdout.readline() == "ready\n"

    def end(self):
        self.p.communicate("end\n", timeout=TIMEOUT)

    def kill(self):
        self.p.kill()
        self.p.communicate(timeout=TIMEOUT)


def until(path, sql):
    deadline = time.monotonic() + TIMEOUT
    while not sqlite(path, sql):
        assert time.monotonic() < deadline


@pytest.mark.parametrize("how", ["end", "kill"])
def test_a_run_that_goes_on_gets_its_record_and_assets_later(source, target, runtime, how):
    first, second = worker_of(source, "start", runtime), worker_of(source, "join", runtime)
    refs = "SELECT lower(hex(hash)), track_id, name FROM xt_asset_refs ORDER BY 1"
    with pytest.warns(UserWarning, match="still running: 1"):
        assert copy(source, target) == 2
    assert recorded(target) == ([], []) and sqlite(target, refs) == []
    getattr(first, how)()
    until(source, "SELECT 1 FROM xt_runs WHERE status <> 'running'")
    with pytest.warns(UserWarning, match="still running: 1"):  # a worker of it
        assert copy(source, target) == 0
    assert recorded(target) == ([], [])
    getattr(second, how)()
    until(source, "SELECT 1 FROM xt_workers WHERE status <> 'running'")
    assert copy(source, target) == 0
    (run,), (worker,) = recorded(target)
    assert recorded(target) == recorded(source)
    run = dict(zip(RECORD.split(", "), run))
    assert run["pid"] == first.p.pid and run["directory"] == os.path.realpath(runtime / "start") and worker[2] == second.p.pid
    assert (run["status"], worker[3]) == (("finished",) * 2 if how == "end" else ("crashed",) * 2)
    assert [run["cause"] is None, worker[6] is None] == [how == "end"] * 2
    assert sqlite(target, refs) == sqlite(source, refs) and len(sqlite(target, refs)) == 2
    assert counted(target) == {"r": 2} and ok_audit(target)


# ---- assets


class Model:
    def __init__(self, weights):
        self.weights = weights


def test_assets(source, target):
    with Tracker(source, track_id="one") as t:
        t.log({"model": Model(bytes(100_000)), "a": 1})
        t.log({"model": Model(b"small")})
    with Tracker(source, track_id="two") as t:
        t.log({"model": Model(b"small")})
    assert copy(source, target) == 3
    refs = "SELECT lower(hex(hash)), track_id, name FROM xt_asset_refs ORDER BY 1, 2, 3"
    with session_of(source) as s, session_of(target) as t:
        theirs = list(s.query(refs))
        assert list(t.query(refs)) == theirs and len(theirs) == 3
        for hash, _, _ in theirs:
            data = t.asset_load(hash)
            assert hashlib.blake2b(data, digest_size=32).hexdigest() == hash
        assert list(t.query("SELECT DISTINCT status FROM xt_runs")) == [("finished",)]
    assert copy(source, target) == 0
    assert {r["model"] for r in rows(target)} == {hash for hash, _, _ in theirs}
    with session_of(target) as t:  # they go with their runs
        t.delete_run("one")
        assert [row[1] for row in t.query(refs)] == ["two"]


def test_without_assets_or_of_chosen_tables(source, target, runtime, autostarted):
    with Tracker(source, track_id="one") as t:
        t.log({"model": Model(b"1")})
    with Tracker(source, track_id="two", table="others") as t:
        t.log({"model": Model(b"2")})
    assert copy(source, target, assets=False) == 2
    assert Reader(target).assets == {}
    assert copy(source, target, tables=["others"]) == 0
    assert [row["track_id"] for row in Reader(target).rows("SELECT track_id FROM xt_asset_refs")] == ["two"]


def test_latest_of_a_copy_is_by_when_runs_began(source, target):
    """Assets have the target know of runs only now."""
    with Tracker(source, track_id="older") as t:
        t.log({"model": Model(b"1")})
    log(source, {"a": 1}, track_id="newer")
    copy(source, target)
    assert Reader(target).latest_track_id() == Reader(source).latest_track_id() == "newer"
