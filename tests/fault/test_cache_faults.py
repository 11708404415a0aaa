"""The disk fails SQLite after LMDB has committed: the batch is applied again, and its result is still its own."""
import os

import pytest
from conftest import sqlite
from shim import XETRACKD_FAULT, Disk

SQLITE_FULL = 13

pytestmark = pytest.mark.skipif(not os.access(XETRACKD_FAULT, os.X_OK), reason=f"{XETRACKD_FAULT} is not built")


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_commit_that_fails_behind_the_cache(daemon, db, nth):
    disk = Disk(db.with_suffix(".fault"))
    d = daemon(db, program=[XETRACKD_FAULT], env=disk.env())
    with d.client() as c:
        c.store({"x": 0})
        key = bytes(32)
        token = c.call("cache_begin", key=key)["token"]
        disk.fail("write", SQLITE_FULL, nth)
        r = c.change("cache_finish", track_id="t", row={"x": 1}, key=key, token=token, value=b"v")
        assert disk.failed == 1, "no write failed"
        assert r == {"stored": True, "cached": True}
        assert c.call("cache_begin", key=key)["value"] == b"v"
        assert c.call("cache_stats")["entries"] == 1
        disk.heal()
    assert sqlite(db, "SELECT x FROM events ORDER BY x") == [(0,), (1,)]
    assert "lease_lost" not in [name for _, name, *_ in sqlite(db, "PRAGMA table_info(events)")]
