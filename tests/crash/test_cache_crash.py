"""kill -9 of the daemon between the two stores, LMDB and SQLite: a result and its row are both there, or neither;
each datapoint is executed once all the same. And the defects that would be found."""
import collections
import os
import signal
import subprocess

import pytest
from conftest import BUILD, CRASH, SANITIZER, TIMEOUT, crashed, sqlite

XT_CALL = BUILD / "xt-call"
KEYS = 96  # more than enough batches for every point, also on a busy machine, where many calls share one

pytestmark = [pytest.mark.skipif(not os.access(p, os.X_OK), reason=f"{p} is not built") for p in (CRASH, XT_CALL)]


@pytest.fixture
def served(crashing):
    return crashing


def worker(db, *options):
    return subprocess.Popen([XT_CALL, *map(str, options), db, "r", f"{db}.witness", str(KEYS)],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            env={**os.environ, "XETRACK_AUTOSTART": "0"})


def join(*workers):
    for w in workers:
        _, err = w.communicate(timeout=3 * TIMEOUT)
        assert w.returncode == 0 and not any(s in err for s in SANITIZER), err


def executions(db):
    with open(f"{db}.witness") as f:
        return collections.Counter(int(line.split()[1]) for line in f if line.startswith("begin"))


def entries(d):
    found, after = {}, {}
    with d.client() as c:
        while True:
            page = c.call("cache_list", **after)
            found.update((e["key"], e) for e in page["entries"])
            if "next" not in page:
                return found
            after = {"after": page["next"]}


def check_stores(d, db):
    """A result has its row, a row its result; what a worker left in its spool is both."""
    with d.client() as c:
        # What begins with a dot was being made when its worker was killed: it has no rows.
        while os.path.isdir(f"{db}.spool") and any(name[0] != "." for name in os.listdir(f"{db}.spool")):
            c.call("spool_replay")
    rows = sqlite(db, "SELECT count(*) FROM events WHERE cache = '' AND error IS NULL")[0][0] \
        if sqlite(db, "SELECT 1 FROM sqlite_schema WHERE name = 'events'") else 0
    assert len(entries(d)) == rows, f"{len(entries(d))} results are kept, {rows} rows are stored"


POINTS = [("before the cache is written", n) for n in (1, 2, 5)] + \
         [("after the cache is written", n) for n in (1, 2, 5)] + \
         [("before commit", n) for n in (3, 5, 8)] + [("after commit", n) for n in (3, 5, 8)] + \
         [("before acknowledgement", n) for n in (3, 5, 8)]


@pytest.mark.parametrize("point, nth", POINTS)
def test_crash_between_the_stores(served, db, point, nth):
    d = served(point, nth)
    workers = [worker(db, "--from", i * 5, "--micros", 3000) for i in range(4)]
    crashed(d)
    d = served()
    join(*workers)
    assert executions(db) == {x: 1 for x in range(KEYS)}
    assert sqlite(db, "SELECT count(*) FROM events WHERE cache = '' AND error IS NULL") == [(KEYS,)]
    assert sqlite(db, "SELECT x FROM events GROUP BY x HAVING count(*) <> 4") == []
    assert sqlite(db, "SELECT count(*) FROM events WHERE cache = 'r' AND y = x * x") == [(3 * KEYS,)]
    check_stores(d, db)


@pytest.mark.parametrize("point, nth", POINTS)
def test_crash_of_both(served, db, point, nth):
    """Nobody comes back to send it again: what was not committed is nowhere, and the next worker computes it."""
    d = served(point, nth)
    w = worker(db, "--micros", 1000)
    crashed(d)
    w.kill()
    w.communicate()
    d = served()
    check_stores(d, db)
    join(worker(db))
    check_stores(d, db)
    assert sqlite(db, "SELECT count(DISTINCT x) FROM events WHERE cache = '' AND error IS NULL") == [(KEYS,)]


def test_control_results_without_rows_are_kept(served, db):
    d = served("after the cache is written", 1)
    with d.client() as c:
        key = bytes(32)
        token = c.call("cache_begin", key=key)["token"]
        c.notify("cache_finish", seq=1, track_id="r", row={"x": 1}, key=key, token=token, value=b"")
        crashed(d)
    d = served(defect="results without rows are kept")
    with pytest.raises(AssertionError, match="results are kept"):
        check_stores(d, db)


def given_while_its_holder_may_return(d, key):
    with d.client() as c:
        return c.call("cache_begin", key=key, wait_ms=0)["state"] == "lease"


@pytest.mark.parametrize("defect", [None, "no grace time"])
def test_control_no_grace_time(served, db, defect):
    """Leases are given before their holders have come back: datapoints would be executed twice."""
    d, key = served(), bytes(32)
    holder = d.client()
    holder.change("run_start", track_id="r")
    assert holder.call("cache_begin", key=key)["state"] == "lease"
    d.kill()
    assert given_while_its_holder_may_return(served(defect=defect), key) == (defect is not None)
