"""One client that does its worst, in a process of its own, and a bystander that must not notice. Nothing is
timed: what must not be stopped is waited for."""
import contextlib
import os
import select
import signal
import socket
import struct

import msgpack
import pytest
from conftest import XETRACKD, Client, Closed, Daemon, RpcError, fails, frame
from test_sql import ENDLESS

LOOSE = os.environ.get("XT_BUILD_KIND") in ("asan", "tsan")  # sanitizers keep memory of their own


@contextlib.contextmanager
def hostile(attack, *args):
    """Runs attack(say, *args) in a child; yields a function that waits for the next line that it says. Whatever
    it still does is ended at the end."""
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(r)
            kept = attack(lambda *words: os.write(w, (" ".join(map(str, words)) + "\n").encode()), *args)
            signal.pause()
            del kept  # its connections, open until here
        except BaseException as e:
            os.write(w, f"{type(e).__name__} {e}\n".encode())
        finally:
            os._exit(0)
    os.close(w)
    with os.fdopen(r) as lines:
        try:
            yield lambda: lines.readline().rstrip("\n")
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def rss(pid):
    with open(f"/proc/{pid}/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20


def bounded(d, mib):
    assert LOOSE or rss(d.pid) < mib


@pytest.fixture
def bystander(served):
    with served.client() as c:
        c.store({"before": 1}, track_id="bystander")
        yield c
        for i in range(20):
            c.log({"after": i}, track_id="bystander")
            c.until_ack(c.seq)
        assert c.value("SELECT count(*) FROM events WHERE track_id = 'bystander'") == 21
        assert c.call("status")["state"] == "ok"


def push(socks, data):
    """Sends as much as the sockets take, until none takes any more; returns how many were closed."""
    left = {s: memoryview(data) for s in socks}
    closed = 0
    for s in socks:
        s.setblocking(False)
    idle = 0
    while left and idle < 3:  # nothing was taken for a while, three times
        _, ready, _ = select.select([], list(left), [], 0.2)
        idle = 0 if ready else idle + 1
        for s in ready:
            try:
                left[s] = left[s][s.send(left[s]):]
            except BlockingIOError:
                continue
            except OSError:
                closed += 1
                del left[s]
                continue
            if not left[s]:
                del left[s]
    return closed


def test_never_says_hello(served, bystander):
    silent = served.client(hello=False)
    halfway = served.client(hello=False)
    talker = served.client(hello=False)
    with served.client() as idle:
        halfway.send_raw(frame([0, 1, "hello", [{"protocol": 1, "client": bytes(16)}]])[:-1])
        fails("hello_first", talker.call, "status")
        for c in (silent, halfway, talker):
            c.until_closed()
            assert c.responses[0][0]["code"] == "hello_first"
        assert idle.store({"a": 1}, track_id="idle") == (1, 0)  # who has said it may be silent


def half_frames(say, path, n, size):
    clients = [Client(path) for _ in range(n)]
    body = msgpack.packb([2, "log", [{"seq": 1, "track_id": "h", "rows": [{"b": bytes(size)}]}]])
    push([c.sock for c in clients], struct.pack(">I", len(body)) + body[:-1])
    say("stuck")
    return clients


def test_giant_messages_that_never_end(served, bystander):
    """They take a bounded room, of which some is left: a row as large is stored meanwhile."""
    before = rss(served.pid)
    with hostile(half_frames, served.socket, 40, (16 << 20) - 100) as said:
        assert said() == "stuck"
        bounded(served, before + 160)
        assert bystander.store({"giant": bytes((16 << 20) - 200)}, track_id="giant") == (1, 0)
        bounded(served, before + 300)


def test_many_giant_messages_are_all_stored(served):
    """More at a time than there is room for: they wait for each other, and none is lost."""
    clients = [served.client() for _ in range(24)]
    data = frame([2, "log", [{"seq": 1, "track_id": "h", "rows": [{"b": bytes(14 << 20)}]}]])
    left = {c: memoryview(data) for c in clients}
    for c in clients:
        c.sock.setblocking(False)
    while left:
        for c, rest in list(left.items()):
            with contextlib.suppress(BlockingIOError):
                left[c] = rest[c.sock.send(rest):]
            if not left[c]:
                del left[c]
    for c in clients:
        c.sock.setblocking(True)
        c.until_ack(1)
        c.close()
    bounded(served, 400)


def never_reads(say, path, n):
    clients = [Client(path) for _ in range(n)]
    request = b"".join(frame([0, i, "query", [{"sql": "SELECT zeroblob(8000000)"}]]) for i in range(2, 400))
    say("closed", push([c.sock for c in clients], request))
    return clients


def test_never_reads_its_answers(served, bystander):
    before = rss(served.pid)
    with hostile(never_reads, served.socket, 20) as said:
        said()
        while bystander.call("status")["queued_ops"] > 0:
            pass
        bounded(served, before + 350)
        assert bystander.value("SELECT 1") == 1
    while bystander.call("status")["connections"] > 1:
        pass
    assert len(served.stderr()) < 20000


def floods_of_requests(say, path):
    c = Client(path)
    requests = b"".join(frame([0, i, "status", [{}]]) for i in range(2, 2000))
    say("go")
    while True:
        push([c.sock], requests)
        with contextlib.suppress(BlockingIOError):
            while c.sock.recv(1 << 20):
                pass


def test_flood_of_requests(served, bystander):
    with hostile(floods_of_requests, served.socket) as said:
        assert said() == "go"
        for i in range(200):
            bystander.call("flush")
            assert bystander.value("SELECT 1") == 1


def floods_of_rows(say, path, n):
    clients = [Client(path) for _ in range(n)]
    rows = [[2, "log", [{"seq": 100 * i + 1, "track_id": "flood", "rows": [{"x": "y" * 10000}] * 100}]] for i in range(40)]
    data = b"".join(map(frame, rows))
    say("go")
    push([c.sock for c in clients], data)
    return clients


def test_flood_of_rows(served, bystander):
    """Its messages fill the queue to the writer; others' go in between."""
    before = rss(served.pid)
    with hostile(floods_of_rows, served.socket, 32) as said:
        assert said() == "go"
        for i in range(50):
            bystander.log({"i": i}, track_id="in between")
            bystander.until_ack(bystander.seq)
        bounded(served, before + 250)


def floods_of_connections(say, path):
    kept = []
    for _ in range(1000):
        try:
            kept.append(Client(path, last_seq=0))
        except (RpcError, Closed, OSError):
            break
    say(len(kept))
    while True:  # and goes on knocking
        with contextlib.suppress(RpcError, Closed, OSError):
            Client(path, last_seq=0).close()


def test_flood_of_connections(runtime, db):
    d = Daemon(db, program=["prlimit", "--nofile=400:400", XETRACKD])
    try:
        with hostile(floods_of_connections, d.socket) as said:
            assert 50 <= int(said()) <= 110
            clients = [d.client() for _ in range(30)]
            for c in clients:
                assert c.store({"a": 1}) == (1, 0)
            assert clients[0].value("SELECT count(*) FROM events", after=0) == 30
            for c in clients:
                c.close()
        assert len(d.stderr()) < 20000
    finally:
        assert d.stop() == 0


def talks_nonsense(say, path):
    for i in range(3000):
        junk = [b"\xff" * 64, frame(b"\xc1"), frame([0, 1, "hello", [{"protocol": 1, "client": bytes(16)}]]) + frame([5, 5, 5]),
                frame([1, 1, None, None]), b"\0\0\0\0"][i % 5]
        with contextlib.suppress(OSError):
            s = socket.socket(socket.AF_UNIX)
            s.connect(path)
            s.sendall(junk)
            if i % 2:
                s.recv(1000)
            s.close()
    say("done")


def test_nonsense_in_a_loop_fills_no_log(served, bystander):
    with hostile(talks_nonsense, served.socket) as said:
        assert said() == "done"
    assert len(served.stderr()) < 10000


def opens_cursors(say, path):
    n, clients = 0, []
    with contextlib.suppress(RpcError):
        while True:
            clients.append(Client(path))
            for _ in range(64):
                clients[-1].call("query", sql="SELECT value FROM json_each('[1,2,3]')", page_rows=1)
                n += 1
    say(n)
    return clients


def test_cursors_are_shared(served, bystander):
    with hostile(opens_cursors, served.socket) as said:
        assert 64 <= int(said()) < 256
        for i in range(30):
            msgid = bystander.request("query", sql="SELECT value FROM json_each('[1,2,3]')", page_rows=1)
            assert bystander.response(msgid)["done"] is False
            bystander.log({"i": i}, track_id="between")
            bystander.until_ack(bystander.seq)


def endless_queries(say, path):
    clients = [Client(path) for _ in range(4)]
    for c in clients:
        for _ in range(8):
            c.request("query", sql=ENDLESS, timeout_ms=86400000)
    say("go")
    return clients


def test_endless_queries_leave_threads_to_others(served, bystander):
    with hostile(endless_queries, served.socket) as said, hostile(endless_queries, served.socket) as other:
        assert said() == other() == "go"
        for _ in range(20):
            assert bystander.value("SELECT 1") == 1


def long_queries_that_wait(say, path):
    clients = [Client(path) for _ in range(16)]
    for c in clients:
        c.request("query", sql=ENDLESS, timeout_ms=86400000)
    sql = "SELECT 1 -- " + "x" * 900000
    push([c.sock for c in clients], b"".join(frame([0, 100 + i, "query", [{"sql": sql}]]) for i in range(60)))
    say("go")
    return clients


def test_queries_that_wait_do_not_stop_rows(served, bystander):
    """Their bytes are no bytes of the queue to the writer."""
    before = rss(served.pid)
    with hostile(long_queries_that_wait, served.socket) as said:
        assert said() == "go"
        assert bystander.store([{"i": i} for i in range(1000)], track_id="rows") == (1000, 0)
        assert bystander.value("SELECT 1") == 1
        bounded(served, before + 250)
