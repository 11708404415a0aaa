"""The process: locks, refusals, signals, leaving, socket activation."""
import os
import signal
import socket
import sqlite3
import subprocess
import threading
from pathlib import Path

import pytest
from conftest import SEEN, TIMEOUT, XETRACKD, Client, Closed, Daemon, RpcError, fails, mode, sqlite


def refused(db, *args, code=None):
    """A start that must fail with exit status 1 and an error code; returns what it said."""
    if not os.access(XETRACKD, os.X_OK):
        pytest.skip("xetrackd is not built")
    r, w = os.pipe()
    p = subprocess.run([XETRACKD, "--ready-fd", str(w), *args, str(db)], capture_output=True, text=True,
                       timeout=TIMEOUT, pass_fds=[w])
    os.close(w)
    with os.fdopen(r) as f:
        ready = f.read()
    assert p.returncode == 1, (p.returncode, p.stderr)
    assert "Sanitizer" not in p.stderr
    word, message = ready.rstrip("\n").split(" ", 1)
    assert message in p.stderr
    if code:
        assert word == code
    SEEN.add(word)
    return p.stderr


def test_second_daemon_is_refused(served, client):
    said = refused(served.db, code="busy")
    assert str(served.pid) in said
    assert client.store({"a": 1}) == (1, 0)


def test_second_daemon_by_another_name(served, runtime):
    (runtime / "link.db").symlink_to(served.db)
    served.client().store({"a": 1})
    said = refused(runtime / "link.db")
    assert str(served.pid) in said or "busy" in said


def test_second_daemon_on_another_socket(served, runtime):
    refused(served.db, "--socket", str(runtime / "other.sock"))


def test_not_a_database(db):
    db.write_bytes(b"this is not a database, it is a text" * 100)
    before = db.read_bytes()
    assert str(db) in refused(db, code="not_a_database")
    assert db.read_bytes() == before


def test_damaged_database(daemon, db):
    """Damage in a table is told as such by queries that meet it; others go on."""
    d = daemon(db)
    with d.client() as c:
        c.store([{"i": i, "blob": bytes(5000)} for i in range(100)])
    d.stop()
    data = bytearray(db.read_bytes())
    for page in range(12, len(data) // 16384):
        data[page * 16384:page * 16384 + 16384] = b"\xa5" * 16384
    db.write_bytes(data)
    with daemon(db).client() as c:
        fails("corrupt", c.call, "query", sql="SELECT sum(length(blob)) FROM events")
        assert c.rows("SELECT track_id FROM xt_runs", after=0) == [["t"]]


def test_newer_layout(daemon, db):
    daemon(db).stop()
    sqlite(db, "UPDATE xt_meta SET value = 99 WHERE key = 'version'")
    assert "newer" in refused(db, code="protocol_version")


def test_hello_while_stopping(served):
    with served.client() as c, served.client(hello=False) as late:
        c.call("shutdown")
        try:
            late.hello()
        except (RpcError, Closed, BrokenPipeError, ConnectionResetError) as e:
            assert getattr(e, "code", "stopping") == "stopping"


def test_stopped_query(served):
    with served.client() as c:
        msgid = c.request("query", sql="WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n")
        c.call("shutdown")
        fails("stopping", c.response, msgid)


def test_directory(runtime):
    assert str(runtime) in refused(runtime)


def test_missing_directory(runtime):
    assert "none" in refused(runtime / "none" / "b.db")


def test_a_file_put_over_it_while_its_log_is_full(served, daemon, runtime):
    """The old file's log must not be played into the new one; moved away, the old file keeps what it had."""
    other, moved = runtime / "other.db", runtime / "moved.db"
    with served.client() as c:
        c.store([{"i": i, "blob": bytes(3000)} for i in range(200)])
        sqlite(other, "CREATE TABLE events (track_id TEXT, timestamp TEXT, i)")
        sqlite(other, "INSERT INTO events VALUES ('other', '', 1)")
        assert os.path.getsize(served.db + "-wal") > 500_000
        os.rename(served.db, moved)
        os.rename(other, served.db)
        c.log({"i": -1})
        c.until_closed()
    served.expected = served.wait()
    assert sqlite(moved, "SELECT count(*) FROM events WHERE i >= 0") == [(200,)]
    with daemon(served.db).client() as c:
        assert c.rows("SELECT track_id, i FROM events", after=0) == [["other", 1]]
        assert c.rows("SELECT integrity_check FROM pragma_integrity_check", after=0) == [["ok"]]


@pytest.fixture
def nobody(runtime):
    """Permissions mean nothing to root: a user to run the daemon as, who owns the runtime directory."""
    if os.geteuid() != 0:
        return None
    os.chown(runtime, 65534, 65534)
    return 65534


def test_read_only_file(daemon, db, nobody):
    sqlite(db, "CREATE TABLE events (track_id TEXT, timestamp TEXT, a)")
    db.chmod(0o444)
    with daemon(db, user=nobody).client() as c:
        assert c.welcome["read_only"] is True
        assert c.rows("SELECT * FROM events", after=0) == []
        assert [k["name"] for k in c.call("columns")["columns"]] == ["track_id", "timestamp", "a"]
        fails("read_only", c.change, "run_start")


def test_read_only_directory(daemon, runtime, nobody):
    """Neither SQLite's -shm file nor our lock can be made beside such a database."""
    data = runtime / "data"
    data.mkdir()
    sqlite(data / "b.db", "CREATE TABLE events (track_id TEXT, timestamp TEXT, a)")
    sqlite(data / "b.db", "INSERT INTO events VALUES ('t', '', 5)")
    (data / "b.db").chmod(0o444)
    data.chmod(0o555)
    d = Daemon(data / "b.db", "--socket", str(runtime / "s"), user=nobody)
    try:
        with Client(runtime / "s") as c:
            assert c.rows("SELECT a FROM events", after=0) == [[5]]
            fails("read_only", c.change, "run_start")
            c.notify("log", seq=1, track_id="t", rows=[{"a": 1}])
            c.until_closed()
            assert c.responses[0][0]["code"] == "read_only"
    finally:
        assert d.stop() == 0
        data.chmod(0o755)


def test_read_only_option(daemon, db):
    sqlite(db, "CREATE TABLE events (track_id TEXT, timestamp TEXT, a)")
    sqlite(db, "INSERT INTO events VALUES ('t', '', 5)")
    with daemon(db, "--read-only").client() as c:
        assert c.welcome["read_only"] is True
        assert c.rows("SELECT a FROM events", after=0) == [[5]]
        fails("read_only", c.change, "run_start")
        assert c.call("status")["state"] == "read only"


def test_database_locked_by_another_program(daemon, db):
    """Either refused plainly, or it waits for the lock; nothing is acknowledged meanwhile."""
    with daemon(db).client() as c:
        c.store({"a": 1})
        con = sqlite3.connect(db, isolation_level=None)
        con.execute("BEGIN EXCLUSIVE")
        c.log({"a": 2})
        assert c.call("status")["pid"]
        assert c.acked <= 1
        assert con.execute("SELECT count(*) FROM events").fetchone() == (1,)
        con.execute("COMMIT")
        con.close()
        c.until_ack(2)


def test_start_while_locked(db):
    con = sqlite3.connect(db, isolation_level=None)
    con.execute("CREATE TABLE x (a)")
    con.execute("BEGIN EXCLUSIVE")
    said = refused(db, code="database_locked")
    assert "lock" in said
    con.close()


def test_too_long_socket_path(runtime):
    said = refused(runtime / "b.db", "--socket", str(runtime / ("s" * 120)))
    assert "socket" in said and ("long" in said or "bytes" in said)


@pytest.mark.parametrize("args", [["--nonsense"], ["--durability", "some"], ["--idle-exit-ms", "x"]])
def test_usage(db, args):
    if not os.access(XETRACKD, os.X_OK):
        pytest.skip("xetrackd is not built")
    p = subprocess.run([XETRACKD, *args, str(db)], capture_output=True, text=True, timeout=TIMEOUT)
    assert p.returncode == 2 and p.stderr
    assert not db.exists()


def test_modes(served):
    assert mode(os.path.dirname(served.socket)) == 0o700
    assert mode(served.socket) == 0o600
    assert served.lock["pid"] == str(served.pid) and served.lock["state"] == "running"


def test_stale_socket_is_replaced(daemon, db):
    d = daemon(db)
    where = d.socket
    d.kill()
    assert os.path.exists(where)
    d = daemon(db)
    assert d.socket == where
    assert d.client().welcome["pid"] == d.pid


def test_sigterm_drains_and_acknowledges(served):
    with served.client() as c:
        for i in range(2000):
            c.log({"i": i})
        served.proc.send_signal(signal.SIGTERM)
        c.until_closed()
        assert c.acked == 2000
    assert served.wait() == 0
    assert sqlite(served.db, "SELECT count(DISTINCT i) FROM events") == [(2000,)]
    assert not os.path.exists(served.db + "-wal")
    assert not os.path.exists(served.socket)


def test_sigint_too(served):
    with served.client() as c:
        c.store({"a": 1})
    served.proc.send_signal(signal.SIGINT)
    assert served.wait() == 0


def test_status(served, client):
    client.store([{"a": 1}, {"": 1}])
    s = client.call("status")
    assert s["pid"] == served.pid and s["database"] == os.path.realpath(served.db)
    assert s["socket"] == served.socket and s["state"] == "ok" and s["durability"] == "full"
    assert s["rows"] == 1 and s["rejects"] == 1 and s["connections"] == 1 and s["batches"] >= 1
    assert s["database_id"] == client.welcome["database_id"] and s["version"] == client.welcome["version"]
    assert s["cursors"] == 0 and s["duplicates"] == 0
    with served.client() as c:
        assert c.call("status")["connections"] == 2


@pytest.mark.parametrize("durability", ["full", "normal", "off"])
def test_durability(daemon, db, durability):
    with daemon(db, "--durability", durability).client() as c:
        assert c.call("status")["durability"] == durability
        assert c.store({"a": 1}) == (1, 0)


def test_shutdown(served):
    with served.client() as c:
        c.log({"a": 1})
        assert c.call("shutdown") == {"pid": served.pid}
        c.until_closed()
        assert c.acked == 1
    assert served.wait() == 0
    assert served.lock["state"] != "down"


def test_shutdown_hold(daemon, served):
    with served.client() as c:
        c.call("shutdown", hold=True)
    assert served.wait() == 0
    assert served.lock["state"] == "down"
    d = daemon(served.db, "--revive")
    assert d.lock["state"] == "running"
    d.client().store({"a": 1})


def test_removed_file(served, daemon):
    with served.client() as c:
        c.store({"a": 1})
        for suffix in ("", "-wal", "-shm"):
            Path(served.db + suffix).unlink(missing_ok=True)
        c.log({"a": 2})
        c.until_closed()
        assert c.acked == 1
    served.expected = served.wait()
    d = daemon(served.db)
    with d.client(client_id=c.id) as c:
        assert c.welcome["mark"] == 0


def test_replaced_file(served, runtime):
    with served.client() as c:
        c.store({"a": 1})
        other = runtime / "other.db"
        sqlite(other, "CREATE TABLE mine (a)")
        os.replace(other, served.db)
        c.log({"a": 2})
        c.until_closed()
        assert c.acked == 1
    served.expected = served.wait()


def test_disk_full(small_disk, daemon):
    """Nothing is acknowledged that is not stored; with room again it goes on; nothing is lost or doubled."""
    filler = small_disk / "filler"
    filler.write_bytes(bytes(4 << 20))
    d = daemon(small_disk / "b.db")
    with d.client() as c, d.client() as looker:
        c.store({"i": -1, "blob": b""}, track_id="first")
        c.change("exec", sql="CREATE TABLE big (b)")
        fails("disk_full", c.change, "exec", sql="WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
                                                 "WHERE i < 20) INSERT INTO big SELECT zeroblob(1000000) FROM n")
        first = c.seq
        # Apart: when enough waits to be stored, the daemon reads no more and sends wait too.
        rows = threading.Thread(target=lambda: [c.log({"i": i, "blob": bytes(8000)}) for i in range(500)])
        rows.start()
        while not looker.call("status")["state"].startswith("degraded: disk_full"):
            pass
        assert looker.call("query", sql="SELECT count(*) FROM events")["rows"][0][0] < 500
        filler.unlink()
        subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
        rows.join(TIMEOUT)
        c.until_ack(first + 500)
        assert c.rows("SELECT count(*), count(DISTINCT i) FROM events WHERE i >= 0") == [[500, 500]]
        while "stored again" not in d.stderr():
            assert looker.call("status")["state"] == "ok"


def test_idle_exit(daemon, db):
    d = daemon(db, "--idle-exit-ms", "200")
    with d.client() as c:
        c.store({"a": 1})
        assert c.call("status")["idle_exit_ms"] == 200
    assert d.wait() == 0
    assert sqlite(db, "SELECT a FROM events") == [(1,)]


def test_systemd_socket_activate(runtime, db):
    """LISTEN_FDS: the first connection starts the daemon, on the socket that it was handed."""
    if not os.access(XETRACKD, os.X_OK):
        pytest.skip("xetrackd is not built")
    where = runtime / "a.sock"
    p = subprocess.Popen(["systemd-socket-activate", "-l", str(where), XETRACKD, str(db)],
                         stderr=subprocess.PIPE, text=True)
    try:
        assert "Listening" in p.stderr.readline()
        with Client(where) as c:
            assert c.welcome["pid"] == p.pid
            assert c.store({"a": 1}) == (1, 0)
        p.send_signal(signal.SIGTERM)
        assert p.wait(TIMEOUT) == 0, p.stderr.read()
    finally:
        if p.poll() is None:
            p.kill()
            p.wait()
    assert sqlite(db, "SELECT a FROM events") == [(1,)]


def test_many_connections(served):
    clients = [served.client() for _ in range(200)]
    for c in clients:
        c.log({"a": 1})
    for c in clients:
        c.until_ack(1)
    assert clients[0].call("status")["connections"] == 200
    for c in clients:
        c.close()


def test_few_descriptors(runtime, db):
    """A low limit on open files: further connections are turned away with a reason, queries go on."""
    d = Daemon(db, program=["prlimit", "--nofile=100:100", XETRACKD])
    clients = []
    try:
        with pytest.raises((RpcError, Closed, ConnectionResetError, BrokenPipeError)) as e:
            for _ in range(100):
                clients.append(d.client(last_seq=0))
        assert getattr(e.value, "code", "busy") == "busy"
        assert 20 < len(clients) < 90
        assert clients[0].call("query", sql="SELECT 1")["rows"] == [[1]]
        clients.pop().close()
        for _ in range(1000):
            try:
                clients.append(d.client(last_seq=0))
                break
            except (RpcError, Closed, ConnectionResetError, BrokenPipeError):
                continue
        assert clients[-1].call("status")["connections"] > 20
    finally:
        for c in clients:
            c.close()
        assert d.stop() == 0
