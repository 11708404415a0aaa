"""Little room, no room, a lock, a write-ahead log that cannot be put back: what is said, and that it goes on."""
import os
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest
from conftest import BUILD, TIMEOUT, sqlite
from xtctl import ok, refused, run

WORKER = os.environ.get("XT_WORKER", str(BUILD / "xt-worker"))
HUGE = 2_000_000_000  # MiB: more than any disk has


def told(c, state):
    """Reads until the daemon says that it is in this state; what it says."""
    while True:
        for p in c.named("state"):
            if p["state"] == state:
                c.events = [e for e in c.events if e[0] != "state"]
                return p
        c.pump()


def test_watermarks(served, client):
    """Warn, slow, refuse, and back, each told to clients and in `status`."""
    with served.client(last_seq=0) as looker:
        client.store({"a": 0})
        for setting, state in (("disk_warn_mib", "warning"), ("disk_slow_mib", "slow")):
            client.change("config", key=setting, value=HUGE)
            client.store({"a": 1})
            p = told(client, state)
            assert p["code"] == "disk_full" and "MiB are free" in p["message"] and str(served.db) in p["message"]
            assert looker.call("status")["state"].startswith(f"{state}: disk_full: ")
        client.change("config", key="disk_refuse_mib", value=HUGE)
        seq = client.log({"a": 2})
        assert told(client, "degraded")["code"] == "disk_full"
        assert looker.call("status")["state"].startswith("degraded: disk_full: ")
        assert client.acked < seq
        assert looker.rows("SELECT count(*) FROM events", after=0) == [[3]], "queries are answered"
        with served.client(client_id=client.id, last_seq=seq, acked=client.acked) as again:
            assert again.welcome["held"] is True and again.mark == seq - 1, "who comes back is greeted"
            assert told(again, "degraded")
            assert again.rows("SELECT count(*) FROM events", after=seq - 1) == [[3]]
            served.proc.kill()
    served.expected = -9
    served.wait()
    sqlite(served.db, "DELETE FROM xt_config")


def test_slow_means_slow(served, client):
    """A pause of 50 ms follows each commit, also when more is waiting."""
    client.change("config", key="disk_slow_mib", value=HUGE)
    with served.client(last_seq=0) as looker:
        before, start = looker.call("status")["batches"], time.monotonic()
        for i in range(20000):
            client.log({"i": i})
        client.until_ack(client.seq)
        batches = looker.call("status")["batches"] - before
        assert batches <= (time.monotonic() - start) / 0.05 + 2


def test_it_recovers_by_itself(small_disk, daemon):
    """Somebody fills the disk below the mark, and makes room again."""
    filler = small_disk / "filler"
    d = daemon(small_disk / "b.db")
    with d.client() as c, d.client(last_seq=0) as looker:
        c.change("config", key="disk_refuse_mib", value=2)
        c.store({"i": 0})
        filler.write_bytes(bytes(6 << 20))
        for i in range(100):
            c.log({"i": i})
        p = told(c, "degraded")
        assert "make room" in p["message"]
        assert looker.rows("SELECT count(*) FROM events", after=0)[0][0] < 101
        filler.unlink()
        c.until_ack(c.seq)
        assert told(c, "ok")
        assert looker.call("status")["state"] == "ok"
    assert sqlite(small_disk / "b.db", "SELECT count(*) FROM events") == [(101,)]
    assert "rows are stored again" in d.stderr()


@pytest.mark.skipif(not os.access(WORKER, os.X_OK), reason=f"{WORKER} is not built")
def test_a_worker_with_no_room(small_disk, daemon):
    """Its window fills; then it is told why, by XT_EFULL or, where it waits, goes on later."""
    db = small_disk / "b.db"
    d = daemon(db)
    with d.client() as c:
        c.store({"a": 1})
        c.change("config", key="disk_refuse_mib", value=HUGE)
        c.log({"a": 2})
        told(c, "degraded")
        waits = subprocess.Popen([WORKER, db, "1", "500", "--window", "4000"], stderr=subprocess.PIPE, text=True)
        fails_ = subprocess.Popen([WORKER, db, "2", "500", "--window", "4000", "--full-fails"],
                                  stderr=subprocess.PIPE, text=True)
        d.kill()
        sqlite(db, "DELETE FROM xt_config")
    d = daemon(db)
    for w in (waits, fails_):
        _, err = w.communicate(timeout=TIMEOUT)
        assert w.returncode == 0 or "XT_EFULL" in err, err
    assert waits.returncode == 0
    assert sqlite(db, "SELECT count(*) FROM predictions WHERE worker = 1") == [(500,)]


def test_a_log_that_cannot_be_put_back(served, client):
    client.change("config", key="wal_warn_mib", value=1)
    client.store({"blob": bytes(100)})
    reader = sqlite3.connect(served.db, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM events").fetchall()
    for _ in range(30):
        client.store({"blob": bytes(100_000)})
    p = told(client, "warning")
    assert p["code"] == "wal_blocked" and "old snapshot" in p["message"]
    with served.client(last_seq=0) as looker:
        assert looker.call("status")["state"].startswith("warning: wal_blocked")
        reader.execute("COMMIT")
        reader.close()
        told(client, "ok")  # by itself
        assert looker.call("status")["state"] == "ok"


def test_a_lock_of_another_program(served, client):
    with served.client(last_seq=0) as looker:
        client.store({"a": 1})
        other = sqlite3.connect(served.db, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        client.log({"a": 2})
        p = told(client, "degraded")
        assert p["code"] == "database_locked"
        assert looker.rows("SELECT count(*) FROM events", after=0) == [[1]]
        other.execute("COMMIT")
        other.close()
        client.until_ack(2)
        told(client, "ok")


def test_the_reserve_lets_the_last_checkpoint_through(small_disk, daemon):
    """Others take every byte: what is in the write-ahead log is put into the database all the same."""
    db = small_disk / "b.db"
    d = daemon(db)
    with d.client() as c:
        c.store([{"blob": bytes(20000)} for _ in range(100)])
        reserve = Path(f"{db}.reserve")
        assert reserve.stat().st_size >= 1 << 20
        f = os.open(small_disk / "filler", os.O_WRONLY | os.O_CREAT)
        with pytest.raises(OSError):
            while True:
                os.write(f, bytes(4096))
        os.close(f)
        d.stop()
    assert not Path(f"{db}-wal").exists() and not reserve.exists()
    assert sqlite(db, "SELECT count(*), sum(length(blob)) FROM events") == [(100, 2000000)]


def test_nothing_goes_with_a_daemon_that_cannot_store(served, client):
    """`down` and `restart` are careful; who means it says so."""
    client.store({"a": 1})
    client.change("config", key="disk_refuse_mib", value=HUGE)
    client.log({"a": 2})
    told(client, "degraded")
    for command in ("down", "restart"):
        p = run(command, served.db)
        assert p.returncode == 1 and "cannot be stored now" in p.stderr and "--force" in p.stderr, p.stderr
    with served.client(last_seq=0) as looker:
        assert looker.call("status")["state"].startswith("degraded")
    ok("down", served.db, "--force")
    served.expected = served.wait()
    assert "left with messages that could not be stored" in served.stderr()


def test_down_of_a_daemon_that_does_not_run_holds(runtime, db):
    sqlite(db, "CREATE TABLE events (track_id TEXT, timestamp TEXT, a)")
    assert "held" in ok("down", db)
    assert "stopped" in refused("log", db, "a=1")


def test_an_old_reserve_is_removed(daemon, db):
    Path(f"{db}.reserve").write_bytes(bytes(5000))
    with daemon(db).client() as c:
        c.store({"a": 1})
        assert not Path(f"{db}.reserve").exists()


def test_settings_are_kept(daemon, db):
    d = daemon(db)
    with d.client() as c:
        c.change("config", key="disk_refuse_mib", value=HUGE)
    d.stop()
    d = daemon(db)
    with d.client() as c:
        c.log({"a": 1})
        told(c, "degraded")
    d.kill()
