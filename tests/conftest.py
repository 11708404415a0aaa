"""Fixtures: a daemon that is waited for by its ready descriptor, and a protocol client of its own.

The client knows the protocol from docs/protocol.md only (struct and msgpack), so that a mistake
shared by daemon and libxetrack would be seen here.
"""
import json
import os
import shutil
import signal
import socket
import sqlite3
import stat
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgpack
import pytest

ROOT = Path(os.environ.get("XT_SOURCE_DIR", Path(__file__).resolve().parents[1]))
BUILD = Path(os.environ.get("XT_BUILD_DIR", ROOT / "build")).resolve()
XETRACKD = os.environ.get("XETRACKD", str(BUILD / "xetrackd"))
XTCTL = os.environ.get("XTCTL", str(BUILD / "xtctl"))
XT_LOAD = os.environ.get("XT_LOAD", str(BUILD / "xt-load"))
TIMEOUT = float(os.environ.get("XT_TEST_TIMEOUT", "60"))
# The Python package as it was built, for the tests and the programs that they start.
PYTHON_DIR = os.environ.get("XT_PYTHON_DIR", str(BUILD / "client" / "python"))
sys.path.insert(0, PYTHON_DIR)
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [PYTHON_DIR, os.environ.get("PYTHONPATH", "")]))
SANITIZER = ("AddressSanitizer", "LeakSanitizer", "ThreadSanitizer", "runtime error:", "UndefinedBehavior")


# What test_seen.py looks back on: the methods and error codes that crossed a socket, and the files whose tests were
# run. Where several processes run the tests, each leaves its part in XT_SEEN_DIR when it ends.
SEEN = set()
FILES = set()


class RpcError(Exception):
    def __init__(self, error):
        super().__init__(f"{error.get('code')}: {error.get('message')}")
        self.code = error["code"]
        self.message = error["message"]
        self.field = error.get("field")


class Closed(Exception):
    """The daemon closed the connection."""


def frame(message):
    body = message if isinstance(message, bytes) else msgpack.packb(message, use_bin_type=True)
    return struct.pack(">I", len(body)) + body


class Client:
    """One connection. Events are kept in `events` as (name, params), in the order of arrival."""

    def __init__(self, path, client_id=None, hello=True, **hello_fields):
        self.path = str(path)
        self.id = client_id or os.urandom(16)
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(TIMEOUT)
        self.sock.connect(self.path)
        self.inbox = b""
        self.events = []
        self.responses = {}
        self.msgid = 0
        self.seq = 0
        self.acked = 0
        self.mark = 0
        if hello:
            self.hello(**hello_fields)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    # ---- bytes

    def send_raw(self, data):
        self.sock.sendall(data)

    def send(self, message):
        self.send_raw(frame(message))

    def read_message(self):
        """The next message, whatever it is."""
        m = self.next_message()
        if m[0] == 2:
            SEEN.update((m[1], m[2][0].get("code")))
        elif m[2]:
            SEEN.add(m[2]["code"])
        return m

    def next_message(self):
        while True:
            if len(self.inbox) >= 4:
                (size,) = struct.unpack(">I", self.inbox[:4])
                if len(self.inbox) >= 4 + size:
                    body = self.inbox[4:4 + size]
                    self.inbox = self.inbox[4 + size:]
                    return msgpack.unpackb(body, raw=False, strict_map_key=False)
            try:
                data = self.sock.recv(262144)
            except (ConnectionResetError, BrokenPipeError):
                data = b""
            if not data:
                raise Closed()
            self.inbox += data

    def pump(self):
        """Reads one message and files it."""
        m = self.read_message()
        if m[0] == 1:
            self.responses[m[1]] = (m[2], m[3])
        else:
            assert m[0] == 2, m
            (params,) = m[2]
            self.events.append((m[1], params))
            if m[1] == "ack":
                assert params["seq"] >= self.acked, "an ack went backwards"
                self.acked = params["seq"]
        return m

    # ---- calls

    def request(self, method, **params):
        """Sends a request, returns its msgid."""
        SEEN.add(method)
        self.msgid += 1
        self.send([0, self.msgid, method, [params]])
        return self.msgid

    def response(self, msgid):
        while msgid not in self.responses:
            self.pump()
        error, result = self.responses.pop(msgid)
        if error is not None:
            assert result is None
            raise RpcError(error)
        return result

    def call(self, method, **params):
        return self.response(self.request(method, **params))

    def change(self, method, **params):
        """A sequenced request: takes the next number."""
        self.seq += 1
        return self.call(method, seq=self.seq, **params)

    def notify(self, method, **params):
        SEEN.add(method)
        self.send([2, method, [params]])

    def hello(self, **fields):
        fields.setdefault("protocol", 1)
        fields.setdefault("client", self.id)
        self.welcome = self.call("hello", **fields)
        self.mark = self.seq = self.acked = self.welcome["mark"]
        return self.welcome

    def log(self, rows, track_id="t", columns=None, **fields):
        """Rows as a notification; returns the last row's sequence number."""
        if isinstance(rows, dict):
            rows = [rows]
        if columns is not None:
            fields["columns"] = columns
        self.notify("log", seq=self.seq + 1, track_id=track_id, rows=rows, **fields)
        self.seq += len(rows)
        return self.seq

    def flush(self):
        mark = self.call("flush")["mark"]
        return mark

    def store(self, rows, **kw):
        """Logs rows as a request, returns (stored, rejected)."""
        if isinstance(rows, dict):
            rows = [rows]
        seq = self.seq + 1
        self.seq += len(rows)
        r = self.call("log", seq=seq, track_id=kw.pop("track_id", "t"), rows=rows, **kw)
        return r["stored"], r["rejected"]

    def named(self, name):
        return [p for n, p in self.events if n == name]

    def until_ack(self, seq):
        while self.acked < seq:
            self.pump()

    def until_event(self, name):
        while not self.named(name):
            self.pump()
        return self.named(name)[-1]

    def until_closed(self):
        """Reads until the daemon closes; what came before is in events and responses."""
        try:
            while True:
                self.pump()
        except Closed:
            return

    def rows(self, sql, **kw):
        """All rows of a query, after everything this client sent."""
        kw.setdefault("after", self.seq)
        msgid = self.request("query", sql=sql, **kw)
        page = self.response(msgid)
        out = list(page["rows"])
        while not page["done"]:
            page = self.call("fetch", cursor=msgid)
            out += page["rows"]
        return out

    def value(self, sql, **kw):
        return self.rows(sql, **kw)[0][0]


def fails(code, f, *args, **kw):
    """f must fail with this code; the error must have a sentence."""
    with pytest.raises(RpcError) as e:
        f(*args, **kw)
    assert e.value.code == code, e.value
    assert e.value.message, "an error without a sentence"
    assert not e.value.message.endswith(".")
    return e.value


class Daemon:
    def __init__(self, db, *args, env=None, ready=True, program=None, **who):
        self.db = str(db)
        self.env = dict(os.environ if env is None else env)
        self.stderr_path = f"{tempfile.mkdtemp(dir=self.env['XDG_RUNTIME_DIR'])}/err"
        r, w = os.pipe()
        self.args = [*(program or [XETRACKD]), "--ready-fd", str(w), *map(str, args), self.db]
        with open(self.stderr_path, "wb") as err:
            self.proc = subprocess.Popen(self.args, pass_fds=[w], stdin=subprocess.DEVNULL, stderr=err,
                                         stdout=err, env=self.env, **who)
        os.close(w)
        self.expected = 0
        self.checked = False
        with os.fdopen(r, "rb") as f:
            self.said = f.read(1000)
        if ready:
            assert self.said == b"ok\n", (self.said, self.proc.wait(TIMEOUT), self.stderr())

    @property
    def pid(self):
        return self.proc.pid

    @property
    def lock(self):
        """The lock file as a dict."""
        text = Path(os.path.realpath(self.db) + ".lock").read_text()
        return dict(line.split(" ", 1) for line in text.splitlines() if " " in line)

    @property
    def socket(self):
        return self.lock["socket"]

    def stderr(self):
        return Path(self.stderr_path).read_text(errors="replace")

    def client(self, *args, **kw):
        return Client(self.socket, *args, **kw)

    def wait(self):
        return self.proc.wait(TIMEOUT)

    def kill(self):
        self.proc.kill()
        self.proc.wait(TIMEOUT)
        self.expected = -signal.SIGKILL

    def stop(self):
        """SIGTERM, then the exit code and the log are checked. May be called twice."""
        if self.proc.poll() is None:
            self.proc.send_signal(signal.SIGTERM)
        try:
            code = self.proc.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            self.proc.wait()
            pytest.fail("xetrackd did not stop on SIGTERM:\n" + self.stderr())
        if not self.checked:
            self.checked = True
            log = self.stderr()
            assert not any(s in log for s in SANITIZER), log
            assert code == self.expected, (code, log)
        return code


@pytest.fixture
def runtime(monkeypatch):
    """A short directory of this test: XDG_RUNTIME_DIR, TMPDIR and databases live in it."""
    path = Path(tempfile.mkdtemp(prefix="xt", dir="/tmp"))
    path.chmod(0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(path))
    for name in ("XETRACK_SOCKET", "XETRACK_DB", "XETRACK_TABLE", "XETRACK_AUTOSTART", "LISTEN_FDS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XETRACKD", XETRACKD)
    monkeypatch.setenv("PATH", f"{Path(XETRACKD).parent}:{os.environ['PATH']}")
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def db(runtime):
    return runtime / "b.db"


@pytest.fixture
def daemon(runtime):
    """daemon(db, *args): a running xetrackd, stopped and checked at the test's end."""
    if not os.access(XETRACKD, os.X_OK):
        pytest.skip(f"{XETRACKD} is not built")
    started = []

    def start(path, *args, **kw):
        d = Daemon(path, *args, **kw)
        started.append(d)
        return d

    yield start
    errors = []
    for d in started:
        try:
            d.stop()
        except BaseException as e:  # stop them all before the first complaint
            errors.append(e)
    if errors:
        raise errors[0]


@pytest.fixture
def served(daemon, db):
    """A daemon on an empty database."""
    return daemon(db)


@pytest.fixture
def client(served):
    with served.client() as c:
        yield c


@pytest.fixture
def autostarted(runtime):
    """For tests whose clients start the daemon: stops, at the end, what serves each named database."""
    if not os.access(XETRACKD, os.X_OK):
        pytest.skip(f"{XETRACKD} is not built")
    databases = []
    yield databases.append
    for path in databases:
        try:
            lock = Path(str(path) + ".lock").read_text()
            where = dict(line.split(" ", 1) for line in lock.splitlines())["socket"]
            with Client(where) as c:
                c.call("shutdown")
                c.until_closed()
        except (FileNotFoundError, ConnectionError):
            pass
        log = Path(str(path) + ".log")
        if log.exists():
            text = log.read_text(errors="replace")
            assert not any(s in text for s in SANITIZER), text


@pytest.fixture
def here(runtime, autostarted, monkeypatch):
    """An empty working directory; the daemons of all databases in it are stopped at the end."""
    path = runtime / "work"
    path.mkdir()
    monkeypatch.chdir(path)
    yield path
    if "xetrackd" in sys.modules:
        sys.modules["xetrackd.session"].close_all()  # as at the process's end
    for lock in path.rglob("*.lock"):
        autostarted(str(lock)[:-len(".lock")])


@pytest.fixture
def repo(here, monkeypatch):
    """The working directory as a git repository of one commit, with code and the pointer to its data."""
    for name, value in {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@b",
                        "GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@b"}.items():
        monkeypatch.setenv(name, value)
    (here / "model.py").write_text("threshold = 0.5\n")
    (here / "data.dvc").write_text("md5: 0\n")
    for command in ("init -q -b main", "add model.py data.dvc", "commit -qm start"):
        subprocess.run(["git", *command.split()], check=True)
    return here


@pytest.fixture
def small_disk(runtime):
    """A file system of 8 MB, where one may be mounted."""
    path = runtime / "disk"
    path.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", path], capture_output=True).returncode:
        pytest.skip("a small file system cannot be mounted here")
    yield path
    subprocess.run(["umount", "-l", path])


CRASH = os.environ.get("XETRACKD_CRASH", str(BUILD / "xetrackd-crash"))


@pytest.fixture
def crashing(daemon, db):
    """start(point, nth, defect): an xetrackd-crash that ends at that moment, with that defect in it."""
    def start(point=None, nth=1, defect=None):
        env = dict(os.environ)
        if point:
            env.update(XETRACK_CRASH=point, XETRACK_CRASH_AT=str(nth))
        if defect:
            env["XETRACK_DEFECT"] = defect
        return daemon(db, program=[CRASH], env=env)
    return start


def crashed(d):
    """Waits for the moment."""
    d.expected = -signal.SIGKILL
    assert d.wait() == -signal.SIGKILL, d.stderr()


def until(condition):
    """Waits for something that other processes bring about, and lets them: they may need this core."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        os.sched_yield()


def sqlite(path, sql, *args, uri=False):
    """Rows of a statement, through SQLite itself."""
    con = sqlite3.connect(path, timeout=TIMEOUT, uri=uri)
    try:
        with con:
            return con.execute(sql, args).fetchall()
    finally:
        con.close()


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def pytest_configure(config):
    config.addinivalue_line("markers", "seen: looks back on all the others, and so runs last")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.get_closest_marker("seen") is not None)


def pytest_runtest_setup(item):
    FILES.add(item.path.name)


def pytest_sessionfinish():
    if "XT_SEEN_DIR" in os.environ:
        part = {"seen": sorted(filter(None, SEEN)), "files": sorted(FILES)}
        Path(os.environ["XT_SEEN_DIR"], f"{os.getpid()}.json").write_text(json.dumps(part))
