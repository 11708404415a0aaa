"""A small file system, with the database and everything beside it, that runs full under workers and is freed again."""
import os
import subprocess
from sqlite3 import SQLITE_IOERR_FSYNC

import pytest
from conftest import TIMEOUT, XT_LOAD, Client, sqlite
from shim import XETRACKD_FAULT, Disk
from xtctl import ok, run

pytestmark = pytest.mark.skipif(not os.access(XT_LOAD, os.X_OK), reason=f"{XT_LOAD} is not built")

WORKERS, ROWS = 4, 12000


def load(db, worker, rows):
    return subprocess.Popen([XT_LOAD, str(db), str(worker), str(rows)], stderr=subprocess.PIPE, text=True)


def join(process):
    _, err = process.communicate(timeout=TIMEOUT)
    return process.returncode, err


def at_work(workers):
    return any(w.poll() is None for w in workers)


def lock_of(db):
    return dict(line.split(" ", 1) for line in open(f"{db}.lock").read().splitlines()[1:])


def fill(path):
    """Takes the room that there is, to the last byte."""
    with open(path, "ab", buffering=0) as f:
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    f.write(bytes(size))
            except OSError:
                pass


def stored(db):
    return sqlite(db, "SELECT count(*), count(DISTINCT worker * 1000000 + i) FROM predictions")[0]


def test_filled_and_freed_under_workers(autostarted, small_disk):
    db, filler = small_disk / "b.db", small_disk / "filler"
    subprocess.run(["mount", "-o", "remount,size=48m", small_disk], check=True)
    autostarted(db)
    ok(db, WORKERS, 1, program=XT_LOAD)
    with Client(lock_of(db)["socket"], last_seq=0) as looker:
        fill(filler)  # before the first row; then again, while they are at work
        workers = [load(db, w, ROWS) for w in range(WORKERS)]
        for _ in range(3):
            while at_work(workers) and not looker.call("status")["state"].startswith("degraded: disk_full"):
                pass
            filler.unlink()
            while at_work(workers) and looker.call("status")["state"] != "ok":
                pass
            fill(filler)
        filler.unlink()
        for w in workers:
            assert join(w) == (0, "")
        while looker.call("status")["state"] != "ok":
            pass
    assert stored(db) == (WORKERS * ROWS + 1,) * 2
    assert sqlite(db, "PRAGMA integrity_check") == [("ok",)]


def test_disk_that_is_smaller_than_the_log_may_grow(autostarted, small_disk):
    """The log is put back before it has taken the room for that."""
    db = small_disk / "b.db"
    subprocess.run(["mount", "-o", "remount,size=16m", small_disk], check=True)
    autostarted(db)
    for w in [load(db, w, 20000) for w in range(WORKERS)]:
        assert join(w) == (0, "")
    assert stored(db) == (WORKERS * 20000,) * 2


def test_full_disk_that_fails_as_well(daemon, small_disk):
    """Room is made by putting the log back; when that fails the daemon does not stay."""
    subprocess.run(["mount", "-o", "remount,size=48m", small_disk], check=True)
    disk = Disk(small_disk / "shim")
    d = daemon(small_disk / "b.db", program=[XETRACKD_FAULT], env=disk.env())
    with d.client() as c:
        for i in range(4):
            c.store({"i": i, "large": bytes(1 << 20)})
        fill(small_disk / "filler")
        disk.fail("sync", SQLITE_IOERR_FSYNC)
        c.log({"i": 4})
        c.until_closed()
        assert c.acked == 4
    d.expected = d.wait()
    assert d.expected == 1 and "nothing more can be stored" in d.stderr()
    assert sqlite(d.db, "SELECT i FROM events ORDER BY i") == [(0,), (1,), (2,), (3,)]


def test_start_on_a_full_disk(autostarted, small_disk):
    """Who starts a daemon there is told why that fails; lock and log stay what they were, and with room all is well."""
    db, filler = small_disk / "b.db", small_disk / "filler"
    autostarted(db)
    ok(db, 0, 10, program=XT_LOAD)
    ok("down", db)
    before = lock_of(db)
    assert before["state"] == "down"
    fill(filler)
    p = run("up", db)
    assert p.returncode == 1 and "disk is full" in p.stderr, p.stderr
    assert lock_of(db) == before
    filler.unlink()
    ok("up", db)
    ok(db, 1, 10, program=XT_LOAD)
    assert stored(db) == (20, 20)


def test_new_database_on_a_full_disk(autostarted, small_disk):
    db, filler = small_disk / "b.db", small_disk / "filler"
    autostarted(db)
    fill(filler)
    code, err = join(load(db, 0, 10))
    assert code == 1 and "disk is full" in err, err
    filler.unlink()
    assert join(load(db, 0, 10)) == (0, "")
    assert stored(db) == (10, 10)
