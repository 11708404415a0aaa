"""How runs and workers end: at once, and with the cause where the kernel tells it."""
import os
import signal
import subprocess
import sys
import textwrap

import pytest
from conftest import BUILD, TIMEOUT, fails, sqlite

WORKER = os.environ.get("XT_WORKER", str(BUILD / "xt-worker"))
needs_worker = pytest.mark.skipif(not os.access(WORKER, os.X_OK), reason=f"{WORKER} is not built")


def spawn(db, *args, number=1, rows=10):
    return subprocess.Popen([WORKER, str(db), str(number), str(rows), "--gates", *args], text=True,
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def until(looker, sql, want):
    while (got := looker.rows(sql, after=0)) != want:
        assert looker.call("status")["state"] == "ok", got
    return got


@pytest.fixture
def looker(served):
    with served.client(last_seq=0) as c:
        yield c


RUN = "SELECT status, cause FROM xt_runs WHERE track_id = 'run-1'"


def at_gate(p):
    assert p.stdout.readline() == "half\n", p.stderr.read()
    return p


@needs_worker
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGUSR1, signal.SIGTERM])
def test_killed(served, looker, db, number):
    p = at_gate(spawn(db))
    until(looker, RUN, [["running", None]])
    p.send_signal(number)
    # The kernel tells it as long as nobody has reaped the process, or where it has PIDFD_GET_INFO.
    (row,) = until_crashed(looker)
    assert row[1] in (f"killed by signal {number.value} ({number.name})", "its process has ended")
    p.wait(TIMEOUT)


def until_crashed(looker):
    while (got := looker.rows(RUN, after=0)) and got[0][0] == "running":
        looker.call("status")
    assert got[0][0] == "crashed", got
    return got


@needs_worker
def test_exit_without_a_word(served, looker, db):
    p = spawn(db, "--abandon")
    for line in ("half\n", "all\n"):
        assert p.stdout.readline() == line
        p.stdin.write("\n")
        p.stdin.flush()
    (row,) = until_crashed(looker)
    assert row[1] in ("exited with status 0", "its process has ended")
    assert p.wait(TIMEOUT) == 0
    assert looker.rows("SELECT count(*) FROM predictions", after=0) == [[10]], "what was sent is stored"


@needs_worker
def test_failed_as_told(served, looker, db):
    p = spawn(db, "--fail")
    for line in ("half\n", "all\n"):
        assert p.stdout.readline() == line
        p.stdin.write("\n")
        p.stdin.flush()
    assert p.wait(TIMEOUT) == 0
    until(looker, RUN, [["failed", None]])


@needs_worker
def test_joined_workers_do_not_end_the_run(served, looker, db):
    looker.close()
    starter = served.client()
    starter.change("run_start", track_id="run-0", table="predictions")
    a, b = spawn(db, "--join", number=1), spawn(db, "--join", number=2)
    with served.client(last_seq=0) as c:
        sql = "SELECT status, count(*) FROM xt_workers WHERE track_id = 'run-0' GROUP BY 1 ORDER BY 1"
        at_gate(a), at_gate(b)
        until(c, sql, [["running", 2]])
        a.kill()
        a.wait(TIMEOUT)
        until(c, sql, [["crashed", 1], ["running", 1]])
        assert c.rows("SELECT pid FROM xt_workers WHERE status = 'crashed'", after=0) == [[a.pid]]
        b.stdin.write("\n\n")
        b.stdin.flush()
        assert b.wait(TIMEOUT) == 0
        until(c, sql, [["crashed", 1], ["finished", 1]])
        assert c.rows("SELECT status FROM xt_runs WHERE track_id = 'run-0'", after=0) == [["running"]]
        starter.notify("bye", last_seq=1, status="failed")
        starter.close()
        until(c, "SELECT status FROM xt_runs WHERE track_id = 'run-0'", [["failed"]])
        assert c.rows("SELECT rows FROM xt_runs", after=0)[0][0] >= 15


def test_join(client):
    assert client.change("run_join", track_id="fresh", table="predictions") == {"started": True}
    assert client.change("run_join", track_id="fresh") == {"started": False}
    assert client.rows("SELECT table_name, status FROM xt_runs") == [["predictions", "running"]]
    fails("bad_name", client.change, "run_join", track_id="x", table="xt_runs")
    client.change("run_start", track_id="gone")
    client.store({"a": 1}, track_id="gone")
    client.change("delete_run", track_id="gone", force=True)
    fails("run_deleted", client.change, "run_join", track_id="gone")


FORKING = textwrap.dedent("""
    import os, socket, struct, sys, msgpack
    s = socket.socket(socket.AF_UNIX)
    s.connect(sys.argv[1])
    def send(m):
        b = msgpack.packb(m, use_bin_type=True)
        s.sendall(struct.pack(">I", len(b)) + b)
    send([0, 1, "hello", [{"protocol": 1, "client": b"f" * 16}]])
    send([0, 2, "run_start", [{"seq": 1, "track_id": "run-1"}]])
    got = b""
    while b"run-1" not in got:
        got += s.recv(4096)
    r, w = os.pipe()
    if os.fork() == 0:  # an idle child that keeps the socket open
        os.close(w)
        os.read(r, 1)   # until its grandparent lets go of the pipe
        os._exit(0)
    sys.stdout.write("forked\\n")
    sys.stdout.flush()
    sys.stdin.readline()
    send([2, "log", [{"seq": 2, "track_id": "run-1", "rows": [{"last": "word"}]}]])
    os.kill(os.getpid(), 9)
""")


def test_a_child_that_keeps_the_socket_open(served, looker):
    p = subprocess.Popen([sys.executable, "-c", FORKING, served.socket], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, text=True)
    assert p.stdout.readline() == "forked\n"
    p.stdin.write("\n")
    p.stdin.flush()
    assert p.wait(TIMEOUT) == -signal.SIGKILL
    (row,) = until_crashed(looker)
    assert looker.rows("SELECT last FROM events", after=0) == [["word"]], "its last word was read"


def test_a_client_that_comes_back_has_not_crashed(served, looker):
    c = served.client(client_id=b"b" * 16)
    c.change("run_start", track_id="run-1")
    for _ in range(5):
        c.close()
        c = served.client(client_id=b"b" * 16, last_seq=c.seq)
        assert looker.rows(RUN, after=0) == [["running", None]]
    c.close()
    assert until_crashed(looker)[0][1] == "its connection ended without a goodbye"
    with served.client(client_id=b"b" * 16, last_seq=1):
        until(looker, RUN, [["running", None]])


def test_a_daemon_that_leaves_judges_nobody(daemon, db):
    """And the next one only who has gone: a worker that computes has nothing to say for long."""
    d = daemon(db)
    dead = at_gate(spawn(db))
    with d.client(client_id=b"b" * 16) as c:
        c.change("run_start", track_id="mine")
        d.stop()
        assert set(sqlite(db, "SELECT status FROM xt_runs")) == {("running",)}
        dead.kill()
        dead.wait(TIMEOUT)
        d = daemon(db, "--grace-ms", "0")
        with d.client(last_seq=0) as looker:
            until(looker, "SELECT cause FROM xt_runs WHERE status = 'crashed'", [["gone while the daemon was away"]])
            assert looker.rows("SELECT status FROM xt_runs WHERE track_id = 'mine'") == [["running"]]
