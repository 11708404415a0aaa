"""Many connections, a reader that does not read, a flood: everybody else is served, and memory has its bounds."""
import os
import resource
import selectors
import subprocess
import sys
import textwrap
from contextlib import ExitStack
from pathlib import Path

import pytest
from conftest import TIMEOUT, XETRACKD, Client, frame

PLAIN = not os.environ.get("XT_BUILD_KIND")  # a sanitizer's memory says nothing about ours
LIVE = 1000 if PLAIN else 200
IDLE = 10000 if PLAIN else 1000
KEPT = 1100  # descriptors that the daemon keeps for other things than connections, about
MIB = 1024

pytestmark = pytest.mark.skipif(not os.access(XETRACKD, os.X_OK), reason=f"{XETRACKD} is not built")


def memory(d, field="VmRSS"):
    """Of the daemon, KiB."""
    for line in Path(f"/proc/{d.pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])


def descriptors(d):
    """How many it has open, and how many of them are of processes."""
    links = []
    for fd in os.scandir(f"/proc/{d.pid}/fd"):
        try:
            links.append(os.readlink(fd.path))
        except FileNotFoundError:
            pass  # closed meanwhile
    return len(links), sum("pidfd" in link for link in links)


def until(condition, looker):
    """Asks the daemon something until the condition holds: each answer is a turn of its loop."""
    while not condition():
        looker.call("status")


# Connects so many times, greets, says how many were greeted, and keeps them until its input ends.
IDLERS = textwrap.dedent("""
    import os, resource, socket, struct, sys, msgpack
    path, count = sys.argv[1], int(sys.argv[2])
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    kept = []
    for _ in range(count):
        s = socket.socket(socket.AF_UNIX)
        s.connect(path)
        hello = [0, 1, "hello", [{"protocol": 1, "client": os.urandom(16), "last_seq": 0}]]
        body = msgpack.packb(hello, use_bin_type=True)
        s.sendall(struct.pack(">I", len(body)) + body)
        (size,) = struct.unpack(">I", s.recv(4, socket.MSG_WAITALL))
        assert msgpack.unpackb(s.recv(size, socket.MSG_WAITALL))[2] is None
        kept.append(s)
    print(len(kept), flush=True)
    sys.stdin.read()
""")


class Idlers:
    """Processes with idle connections."""

    def __init__(self, path, count, processes=4):
        self.all = [subprocess.Popen([sys.executable, "-c", IDLERS, path, str(count // processes)],
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
                    for _ in range(processes)]

    def __enter__(self):
        self.count = sum(int(p.stdout.readline()) for p in self.all)
        return self

    def __exit__(self, *_):
        for p in self.all:
            p.stdin.close()
        for p in self.all:
            p.wait(TIMEOUT)
            p.stdout.close()


@pytest.fixture
def many_files():
    """As many descriptors as this process may have; returns how many connections a daemon then takes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield hard - KEPT
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_1000_live_beside_10000_idle(daemon, db, many_files):
    """The limit is raised by the daemon itself: it is started with a low one."""
    if many_files < 2 * LIVE:
        pytest.skip("the limit of open files is too low")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    d = daemon(db, program=["prlimit", f"--nofile=256:{hard}", XETRACKD])
    idle = min(IDLE, many_files - LIVE - 100)
    with ExitStack() as stack:
        looker = stack.enter_context(d.client(last_seq=0))
        looker.store({"i": -1}, track_id="looker")
        looker.rows("SELECT count(*) FROM events")
        before = descriptors(d)
        with Idlers(d.socket, idle) as idlers, ExitStack() as crowd:
            live = [crowd.enter_context(d.client(last_seq=0)) for _ in range(LIVE)]
            assert looker.call("status")["connections"] == LIVE + idlers.count + 1
            for i, c in enumerate(live):
                c.log({"i": i}, track_id="live")
            for c in live:
                c.until_ack(1)
            assert looker.value("SELECT count(*) FROM events WHERE track_id = 'live'") == LIVE
            assert looker.value("SELECT count(DISTINCT i) FROM events WHERE track_id = 'live'") == LIVE
            if PLAIN:
                assert memory(d) < 150 * MIB
        until(lambda: looker.call("status")["connections"] == 1, looker)
        until(lambda: descriptors(d)[1] <= before[1], looker)
        until(lambda: descriptors(d)[0] <= before[0] + 4, looker)  # SQLite may have another file open
        assert looker.store({"i": LIVE}, track_id="looker") == (1, 0)


def ask_without_reading(path, queries):
    """Asks for large answers as long as the daemon takes questions, and reads none."""
    c = Client(path, last_seq=0)
    sql = ("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000000) "
           "SELECT i, printf('%.1000c', 'x') FROM n")
    for msgid in range(10, 10 + queries):
        c.send([0, msgid, "query", [{"sql": sql}]])
    return c


def test_who_does_not_read_is_nobody_elses_trouble(served):
    with ExitStack() as stack:
        looker = stack.enter_context(served.client(last_seq=0))
        slow = [stack.enter_context(ask_without_reading(served.socket, 30)) for _ in range(4)]
        for i in range(200):
            assert looker.store({"i": i}) == (1, 0)
            assert looker.value("SELECT count(*) FROM events") == i + 1
        if PLAIN:
            assert memory(served, "VmHWM") < 250 * MIB
        for c in slow:
            c.close()
        until(lambda: looker.call("status")["cursors"] == 0, looker)


def flood(c, size, count):
    """Sends rows as fast as the daemon reads them, and does not wait for acknowledgements."""
    blob = bytes(size)
    for i in range(1, count + 1):
        yield frame([2, "log", [{"seq": i, "track_id": "flood", "rows": [{"blob": blob}]}]])


@pytest.mark.parametrize("size, count", [(200, 20000), (1 << 20, 30)], ids=["small rows", "1 MiB rows"])
def test_flood(served, size, count):
    """Three clients send without a pause; a fourth is acknowledged before they are through."""
    with ExitStack() as stack:
        looker = stack.enter_context(served.client(last_seq=0))
        looker.store({"i": 0}, track_id="looker")
        flooders = [stack.enter_context(served.client(last_seq=0)) for _ in range(3)]
        ready = selectors.DefaultSelector()
        for c in flooders:
            c.sock.setblocking(False)
            ready.register(c.sock, selectors.EVENT_WRITE, [flood(c, size, count), b""])
        rows = 1
        while ready.get_map():
            for key, _ in ready.select():
                source = key.data
                source[1] = source[1] or b"".join(f for _, f in zip(range(500 if size < 1000 else 1), source[0]))
                if not source[1]:
                    ready.unregister(key.fileobj)
                    continue
                try:
                    source[1] = source[1][key.fileobj.send(source[1]):]
                except BlockingIOError:
                    pass
            if rows < 100:
                assert looker.store({"i": rows}, track_id="looker") == (1, 0)
                rows += 1
        for c in flooders:
            c.sock.settimeout(TIMEOUT)
            c.until_ack(count)
        assert rows > 10, "it was served while they flooded"
        assert looker.value("SELECT count(*) FROM events WHERE track_id = 'flood'") == 3 * count
        if PLAIN:  # 32 MiB of messages, the caches, and what is being written
            assert memory(served, "VmHWM") < 150 * MIB
