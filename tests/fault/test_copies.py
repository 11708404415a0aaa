"""The disk fails, or the memory runs out, in the middle of a backup, a snapshot or a compact."""
import os
import signal
import sqlite3

import pytest
from conftest import Closed, RpcError, sqlite
from shim import XETRACKD_FAULT, Disk

pytestmark = pytest.mark.skipif(not os.access(XETRACKD_FAULT, os.X_OK), reason=f"{XETRACKD_FAULT} is not built")

ROWS = 3000
FAULTS = [("write", sqlite3.SQLITE_FULL), ("write", sqlite3.SQLITE_IOERR_WRITE), ("read", sqlite3.SQLITE_IOERR_READ),
          ("open", sqlite3.SQLITE_CANTOPEN), ("truncate", sqlite3.SQLITE_IOERR_TRUNCATE),
          ("sync", sqlite3.SQLITE_IOERR_FSYNC), ("alloc", sqlite3.SQLITE_NOMEM)]


@pytest.fixture
def disk(runtime):
    return Disk(runtime / "fault")


@pytest.fixture
def begin(daemon, db, disk):
    return lambda: daemon(db, program=[XETRACKD_FAULT], env=disk.env())


def fill(c):
    for first in range(0, ROWS, 500):
        c.store([{"i": first + k, "text": "x" * 1000} for k in range(500)])


def copy(c, path, compact):
    msgid = c.request("backup", path=str(path), compact=compact, replace=True)
    c.response(msgid)
    while not c.call("backup_step", cursor=msgid, pages=100)["done"]:
        pass


def points(calls):
    """The first calls, then ever fewer of them."""
    k = 1
    while k <= calls:
        yield k
        k += 1 + k // 8


@pytest.mark.parametrize("compact", [False, True], ids=["backup", "snapshot"])
@pytest.mark.parametrize("call, code", FAULTS)
def test_a_copy_is_whole_or_not_there(begin, disk, runtime, call, code, compact):
    to = runtime / "copies" / "c.db"
    to.parent.mkdir()
    with begin().client() as c:
        fill(c)
        disk.fail(call, code, first=1 << 40)
        copy(c, to, compact)
        calls = disk.calls
        for k in points(calls + 2):
            to.unlink(missing_ok=True)
            disk.fail(call, code, k)
            try:
                copy(c, to, compact)
            except RpcError as e:
                assert e.code in ("file_error", "sql_error", "io_error", "busy", "internal", "disk_full"), e
                assert disk.failed
            disk.heal()
            while c.call("status")["cursors"] > 0:
                pass
            assert os.listdir(to.parent) in ([], ["c.db"])
            if to.exists():
                assert sqlite(to, "SELECT count(*) FROM events") == [(ROWS,)]
                assert sqlite(to, "PRAGMA integrity_check") == [("ok",)]
        assert c.call("status")["state"] == "ok"
        assert c.store({"a": 1}) == (1, 0)


@pytest.mark.parametrize("call, code", FAULTS)
def test_compact_loses_nothing(begin, disk, db, call, code):
    d = begin()
    with d.client() as c:
        fill(c)
        c.change("exec", sql="DELETE FROM events WHERE i % 2")
        c.change("exec", sql="CREATE TABLE plain AS SELECT i FROM events")  # without an index
        c.change("exec", sql="DELETE FROM plain WHERE _rowid_ < 4")
        numbers = c.rows("SELECT _rowid_, i FROM plain", after=c.seq)
        disk.fail(call, code, first=1 << 40)
        c.call("compact")
        calls = disk.calls
    for k in points(calls + 2):
        c = d.client()
        c.change("exec", sql="CREATE TABLE junk AS SELECT zeroblob(1000000)")
        c.change("exec", sql="DROP TABLE junk")
        disk.fail(call, code, k)
        try:
            c.call("compact")
        except RpcError:
            assert disk.failed
        except Closed:
            pass
        disk.heal()
        c.close()
        try:
            with d.client() as c:
                c.store({"i": -k})
        except (RpcError, Closed, OSError):
            d.expected = d.wait()
            assert d.expected == 1 and disk.failed
            d = begin()
            with d.client() as c:
                c.store({"i": -k})
        assert sqlite(db, "SELECT count(*) FROM events WHERE i >= 0") == [(ROWS // 2,)]
        assert sqlite(db, "SELECT count(*) FROM events WHERE i = ?", -k) == [(1,)]
        assert [list(row) for row in sqlite(db, "SELECT _rowid_, i FROM plain")] == numbers
    d.proc.send_signal(signal.SIGTERM)
    d.wait()
    assert sqlite(db, "PRAGMA integrity_check") == [("ok",)]
