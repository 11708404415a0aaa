"""Each call to the disk fails once, then each allocation: nothing acknowledged is lost, nothing is stored twice, and
the daemon goes on by itself or leaves with an error."""
import os
import shutil
import signal
import sqlite3
import threading

import pytest
from conftest import Closed, sqlite
from shim import FOREVER, XETRACKD_FAULT, Disk
from worker import WORKLOAD, Worker, state

pytestmark = pytest.mark.skipif(not os.access(XETRACKD_FAULT, os.X_OK), reason=f"{XETRACKD_FAULT} is not built")

FULL, NOMEM = sqlite3.SQLITE_FULL, sqlite3.SQLITE_NOMEM
SLOW = 3 if os.environ.get("XT_BUILD_KIND") else 1  # with a sanitizer only each third of the faults


class Run:
    """The workload, on a daemon whose disk may fail, and on its successors whose disk does not."""

    def __init__(self, start, db, disk):
        self.start = start
        self.db = db
        self.disk = disk
        self.refused = False  # the daemon did not start
        self.left = False     # it left by itself
        self.calls = 0        # made by the time the work was done

    def begin(self):
        d = self.start(self.db, program=[XETRACKD_FAULT], env=self.disk.env(), ready=False)
        if d.said == b"ok\n":
            return d
        assert self.disk.failed and d.said, "no word about why it does not start"
        self.refused = True
        return self.next(d)

    def next(self, d):
        """The daemon leaves: another one, which nothing troubles."""
        d.expected = d.wait()
        assert d.expected == 1 and "error" in d.stderr(), (d.expected, d.stderr())
        return self.start(self.db)

    def do(self, d, steps):
        w = Worker(steps)
        while True:
            try:
                w.work(d)
                return d, w
            except (Closed, ConnectionError, FileNotFoundError):
                assert self.disk.failed and not self.left, d.stderr()
                self.left = True
                d = self.next(d)

    def end(self, d):
        """A fault may still come when the last client has left."""
        d.proc.send_signal(signal.SIGTERM)
        d.expected = d.wait()
        assert d.expected == 0 or (d.expected == 1 and self.disk.failed), d.stderr()
        self.left = self.left or d.expected == 1
        d.stop()

    def whole(self):
        """Everything there is to be seen of it."""
        d = self.begin()
        workers = []
        for steps in WORKLOAD:
            d, w = self.do(d, steps)
            workers.append(w)
        self.calls = self.disk.calls
        self.end(d)
        return [w.answers for w in workers], [w.rejected for w in workers], state(self.db)


@pytest.fixture
def undisturbed(daemon, runtime):
    return Run(daemon, runtime / "undisturbed.db", Disk(runtime / "undisturbed")).whole()


def sweep(runtime, call, code, first=1, step=1, half=False):
    """(n, its disk, a directory) for the n-th call that fails, until a run is through before its n-th call."""
    n, failed = first, True
    while failed:
        place = runtime / f"{call}{n}"
        place.mkdir()
        disk = Disk(place / "disk")
        disk.fail(call, code, first=n, half=half)
        print(f"{call} {n} fails")
        yield n, disk, place
        failed = disk.failed
        shutil.rmtree(place)
        n += step * SLOW


# What fails, with which error, and whether a daemon must leave for it (None: either will do). A full disk costs a wait,
# and there are many allocations: of those not each is tried.
FAULTS = [
    pytest.param("write", FULL, False, {"first": 1, "step": 5}, id="disk full"),
    pytest.param("write", FULL, False, {"first": 3, "step": 5, "half": True}, id="disk full within a write"),
    pytest.param("write", sqlite3.SQLITE_IOERR_WRITE, True, {"step": 3}, id="writes"),
    pytest.param("sync", sqlite3.SQLITE_IOERR_FSYNC, True, {}, id="syncs"),
    pytest.param("truncate", sqlite3.SQLITE_IOERR_TRUNCATE, True, {}, id="truncates"),
    pytest.param("read", sqlite3.SQLITE_IOERR_READ, None, {}, id="reads"),
    pytest.param("open", sqlite3.SQLITE_CANTOPEN, None, {}, id="opens"),
    pytest.param("shm", sqlite3.SQLITE_IOERR_SHMSIZE, None, {}, id="shared memory"),
    pytest.param("lock", sqlite3.SQLITE_BUSY, False, {"step": 2}, id="busy locks"),
    pytest.param("lock", sqlite3.SQLITE_IOERR_LOCK, None, {"first": 2, "step": 2}, id="locks"),
    pytest.param("alloc", NOMEM, False, {"step": 199}, id="allocations"),
]


@pytest.mark.parametrize("call, code, leaves, how", FAULTS)
def test_each_call_fails_once(daemon, runtime, undisturbed, call, code, leaves, how):
    for n, disk, place in sweep(runtime, call, code, **how):
        run = Run(daemon, place / "b.db", disk)
        assert run.whole() == undisturbed
        if leaves is not None and not run.refused and n <= run.calls:
            assert run.left == leaves


def test_each_allocation_for_a_row_fails(daemon, db, runtime):
    """One by one, on one daemon: each row is stored, with all that is in it. Larger and larger values never find the
    memory of the one before."""
    disk = Disk(runtime / "disk")
    d = daemon(db, program=[XETRACKD_FAULT], env=disk.env())
    with d.client() as c:
        for _ in range(2):  # the first makes the table, the second all that is kept from row to row
            c.store({"i": 0, "nested": []})
        n, failed = 0, True
        while failed:
            n += 1
            disk.fail("alloc", NOMEM, first=n)
            assert c.store({"i": n, "nested": ["x" * 1000 * n, n]}) == (1, 0)
            failed = disk.failed
        disk.heal()
        assert c.rows("SELECT i, json_extract(nested, '$[1]') FROM events WHERE i > 0 ORDER BY i") == \
            [[i, i] for i in range(1, n + 1)]


@pytest.fixture
def killed(daemon, runtime):
    """A database whose daemon was killed: (directory, client id, database id). Three rows are in the log, and not
    yet counted in xt_runs."""
    place = runtime / "killed"
    place.mkdir()
    d = daemon(place / "b.db")
    with d.client() as c:
        c.until_ack(c.log([{"i": 1}, {"i": 2}, {"i": 3}]))
        d.kill()
    return place, c.id, c.welcome["database_id"]


@pytest.mark.parametrize("call, code, leaves, how", FAULTS)
def test_each_call_of_a_recovery_fails_once(daemon, runtime, killed, call, code, leaves, how):
    left, client, database = killed
    for _, disk, place in sweep(runtime, call, code, **dict(how, step=min(how.get("step", 1), 11))):
        for name in ("b.db", "b.db-wal"):
            shutil.copy(left / name, place)
        run = Run(daemon, place / "b.db", disk)
        d = run.begin()
        disk.heal()
        with d.client(client_id=client) as c:
            assert (c.mark, c.welcome["database_id"]) == (3, database)
            assert [i for i, in c.rows("SELECT i FROM events ORDER BY i")] == [1, 2, 3]
            assert c.rows("SELECT rows, rejects FROM xt_runs") == [[3, 0]]
        run.end(d)


@pytest.mark.parametrize("first", range(1, 160, 40 * SLOW))
def test_disk_full_for_a_while(daemon, db, runtime, undisturbed, first):
    """The daemon says what it waits for, queries are answered, and everything is stored when there is room again."""
    run = Run(daemon, db, Disk(runtime / "disk"))
    d = run.begin()
    run.disk.fail("write", FULL, first=first, last=FOREVER)
    with d.client(last_seq=0) as looker:
        worker = Worker(WORKLOAD[0])
        at_work = threading.Thread(target=worker.work, args=(d,))
        at_work.start()
        while not looker.call("status")["state"].startswith("degraded: disk_full"):
            assert at_work.is_alive() or not run.disk.failed
        assert looker.value("SELECT count(*) FROM xt_meta", after=0) == 3
        run.disk.heal()
        at_work.join()
        assert looker.call("status")["state"] == "ok"
    d, late = run.do(d, WORKLOAD[1])
    run.end(d)
    assert not run.left and "rows are stored again" in d.stderr()
    workers = (worker, late)
    assert ([w.answers for w in workers], [w.rejected for w in workers], state(db)) == undisturbed


@pytest.mark.parametrize("call, code", [("sync", sqlite3.SQLITE_IOERR_FSYNC), ("write", sqlite3.SQLITE_IOERR_WRITE)])
def test_disk_fails_while_the_log_is_put_back(daemon, db, runtime, call, code):
    """The last client has left: the daemon does not stay, on a disk that it cannot trust."""
    disk = Disk(runtime / "disk")
    d = daemon(db, program=[XETRACKD_FAULT], env=disk.env())
    with d.client() as c:
        c.store({"i": 1})
        disk.fail(call, code)
    d.expected = d.wait()
    assert d.expected == 1 and "nothing more can be stored" in d.stderr()
    daemon(db).stop()
    assert sqlite(db, "SELECT i FROM events") == [(1,)]
