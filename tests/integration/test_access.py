"""Who may connect and do what, and what others put in the way of our files. Other users are played by
root, who connects with another user's effective ids: the kernel keeps those for the daemon to ask."""
import contextlib
import os
import socket
import subprocess
from pathlib import Path

import pytest
from conftest import BUILD, TIMEOUT, XETRACKD, XTCTL, Client, Closed, Daemon, RpcError, fails, frame, mode, sqlite
from test_daemon import refused
from xtctl import ok

OWNER, MEMBER, STRANGER = 65534, 3001, 3002  # users
LAB, STUDENTS = 4001, 4002  # groups

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be other users")


@contextlib.contextmanager
def acting(uid, gid=None, groups=()):
    before = os.getgroups()
    os.setgroups(groups)
    os.setegid(gid or uid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(before)


def connect(d, uid, gid=None, groups=(), **kw):
    with acting(uid, gid, groups):
        return d.client(**kw)


@pytest.fixture
def lab(runtime, monkeypatch):
    """A directory of OWNER's that others can look into; sockets of groups are made in it."""
    monkeypatch.setenv("TMPDIR", str(runtime))
    runtime.chmod(0o755)
    os.chown(runtime, OWNER, OWNER)
    return runtime


@pytest.fixture
def shared(lab, daemon):
    """shared(*args): the daemon of OWNER, who is a member of both groups."""
    return lambda *args, **kw: daemon(lab / "b.db", *args, user=OWNER, group=OWNER, extra_groups=[LAB, STUDENTS], **kw)


WRITES = {"log": {"seq": 1, "track_id": "t", "rows": [{"a": 1}]}, "run_start": {"seq": 1},
          "exec": {"seq": 1, "sql": "CREATE TABLE x (a)"}, "shutdown": {}, "schema_rename": {"seq": 1, "old": "a", "new": "b"},
          "schema_alias": {"seq": 1, "key": "b", "column": "a"}, "schema_accept": {"seq": 1, "column": "a"}, "schema_freeze": {"seq": 1},
          "schema_require": {"seq": 1, "columns": ["a"]}, "run_import": {"seq": 1, "track_id": "t", "status": "failed", "start": 0},
          "declare": {"seq": 1, "key": "a", "value": 1}}


def test_group(shared, lab):
    d = shared("--group", LAB)
    where = Path(d.socket)
    assert where.parent == lab / f"xetrack-{OWNER}-{LAB}"
    assert (mode(where.parent), where.parent.stat().st_gid) == (0o750, LAB)
    assert (mode(where), where.stat().st_gid) == (0o660, LAB)
    for who in (dict(uid=MEMBER, gid=LAB), dict(uid=MEMBER, groups=[7, LAB, 9])):
        with connect(d, **who) as c:
            assert c.welcome["read_only"] is False
            assert c.store({"a": 1}) == (1, 0)
            assert c.value("SELECT count(*) >= 1 FROM events") == 1
    with pytest.raises(PermissionError):
        connect(d, STRANGER)


def test_readers(shared):
    d = shared("--readers", STUDENTS)
    assert mode(d.socket) == 0o660
    with d.client() as root:
        root.store({"a": 5})
    with connect(d, MEMBER, groups=[STUDENTS]) as c:
        assert c.welcome["read_only"] is True
        assert c.rows("SELECT a FROM events") == [[5]]
        assert [t["name"] for t in c.call("tables")["tables"]] == ["events"]
        for method, params in WRITES.items():
            error = fails("not_allowed", c.call, method, **params)
            assert method in error.message
        c.notify("confirm", seq=1)
        c.call("flush")
        c.notify("log", **WRITES["log"])
        c.until_closed()
        assert c.responses[0][0]["code"] == "not_allowed"
    assert sqlite(d.db, "SELECT count(*) FROM events") == [(1,)]
    assert sqlite(d.db, "SELECT DISTINCT uid FROM xt_clients") == [(0,)]


def test_every_method_that_writes_is_gated(shared):
    d = shared("--readers", STUDENTS)
    import json
    from conftest import BUILD
    tables = json.loads(subprocess.run([BUILD / "xt-dump", "json"], capture_output=True, check=True).stdout)
    writing = [m["name"] for m in tables["methods"] if "WRITE" in str(m.get("flags", "")).upper() and m["kind"] != "event"]
    assert len(writing) >= 6
    with connect(d, MEMBER, groups=[STUDENTS]) as c:
        for name in writing:
            fails("not_allowed", c.call, name)


def test_both_groups(shared):
    """A file has one group, so anybody may connect; credentials decide."""
    d = shared("--group", LAB, "--readers", STUDENTS)
    assert (mode(Path(d.socket).parent), mode(d.socket)) == (0o711, 0o666)
    with connect(d, MEMBER, groups=[LAB, STUDENTS]) as c:
        assert c.store({"a": 1}) == (1, 0)
    with connect(d, MEMBER + 10, groups=[STUDENTS]) as c:
        fails("not_allowed", c.change, "run_start")
        assert c.value("SELECT a FROM events", after=0) == 1
    with pytest.raises((RpcError, Closed, BrokenPipeError, ConnectionResetError)) as e:
        connect(d, STRANGER)
    assert getattr(e.value, "code", "not_allowed") == "not_allowed"


def test_strangers_do_not_fill_the_log(shared):
    d = shared("--group", LAB, "--readers", STUDENTS)
    for _ in range(300):
        with acting(STRANGER), contextlib.closing(socket.socket(socket.AF_UNIX)) as s:
            s.connect(d.socket)
    with d.client() as c:
        assert c.store({"a": 1}) == (1, 0)
        assert c.call("status")["connections"] == 1
    lines = [line for line in d.stderr().splitlines() if str(STRANGER) in line]
    assert 1 <= len(lines) < 50


def test_reader_sees_no_cursors_of_others(shared):
    d = shared("--readers", STUDENTS)
    with d.client() as root, connect(d, MEMBER, gid=STUDENTS) as c:
        msgid = root.request("query", sql="SELECT value FROM json_each('[1,2,3,4]')", page_rows=1)
        root.response(msgid)
        assert c.call("cancel", cursor=msgid) == {"found": False}
        fails("cursor_expired", c.call, "fetch", cursor=msgid)
        assert root.call("fetch", cursor=msgid)["rows"] == [[2]]


def test_a_reader_does_not_touch_what_its_user_logged(shared):
    """The same user with the same client id, once as a member of the group, then only as a reader."""
    d = shared("--group", LAB, "--readers", STUDENTS)
    with connect(d, MEMBER, groups=[LAB]) as c:
        run = c.change("run_start")["track_id"]
        answers = sqlite(d.db, "SELECT count(*) FROM xt_outbox")
        with connect(d, MEMBER, groups=[STUDENTS], client_id=c.id) as again:
            again.notify("confirm", seq=9)
            again.notify("bye")
            again.flush()
    with d.client() as root:
        assert root.value("SELECT status FROM xt_runs WHERE track_id = ?", args=[run]) == "running"
    assert sqlite(d.db, "SELECT count(*) FROM xt_outbox") == answers == [(1,)]


def test_without_options_nobody_else(shared, lab):
    d = shared()
    assert (mode(Path(d.socket).parent), mode(d.socket)) == (0o700, 0o600)
    with pytest.raises(PermissionError):
        connect(d, STRANGER, groups=[LAB, STUDENTS])
    with connect(d, OWNER) as c:
        assert c.store({"a": 1}) == (1, 0)


def test_explicit_socket(shared, lab):
    d = shared("--group", LAB, "--socket", lab / "s")
    assert (mode(lab / "s"), (lab / "s").stat().st_gid) == (0o660, LAB)
    with connect(d, MEMBER, gid=LAB) as c:
        assert c.store({"a": 1}) == (1, 0)


def test_client_library_finds_the_groups_socket(shared, lab):
    """By the lock file, in another environment, with another user's rights."""
    d = shared("--group", LAB, "--readers", STUDENTS)
    env = {"PATH": os.environ["PATH"], "XETRACK_AUTOSTART": "0", "XDG_RUNTIME_DIR": "/nonexistent"}
    run = lambda groups, *args: subprocess.run([XTCTL, *args], user=MEMBER, group=MEMBER, extra_groups=groups, env=env,
                                               capture_output=True, text=True, timeout=TIMEOUT, cwd="/")
    p = run([LAB], "log", d.db, "model=zstd")
    assert p.returncode == 0, p.stderr
    p = run([STUDENTS], "sql", d.db, "SELECT model FROM events", "--format", "csv")
    assert p.returncode == 0 and "zstd" in p.stdout, p.stderr
    p = run([STUDENTS], "log", d.db, "model=lz4")
    assert p.returncode != 0 and p.stderr
    p = run([], "sql", d.db, "SELECT 1")
    assert p.returncode != 0 and "not you" in p.stderr


def test_client_library_says_whose_the_daemon_is(shared, lab):
    """And how he lets others in: of a socket in a directory that one may not look into."""
    d = shared()
    p = subprocess.run([XTCTL, "sql", d.db, "SELECT 1"], user=STRANGER, group=STRANGER, extra_groups=[], capture_output=True,
                       text=True, timeout=TIMEOUT, cwd="/", env={"PATH": os.environ["PATH"], "XETRACK_AUTOSTART": "0"})
    assert p.returncode == 1 and f"Permission denied; the daemon belongs to user {OWNER}, who admits others by `xetrackd --group" in p.stderr


@pytest.mark.parametrize("option", ["--group", "--readers"])
def test_unknown_group(db, option):
    p = subprocess.run([XETRACKD, option, "no-such-group", str(db)], capture_output=True, text=True, timeout=TIMEOUT)
    assert p.returncode == 2 and "no-such-group" in p.stderr


def test_group_that_one_is_not_in(lab):
    p = subprocess.run([XETRACKD, "--group", str(LAB), str(lab / "b.db")], user=OWNER, group=OWNER, extra_groups=[],
                       capture_output=True, text=True, timeout=TIMEOUT)
    assert p.returncode == 1 and "members" in p.stderr and str(LAB) in p.stderr


# ---- files ------------------------------------------------------------------------


@pytest.fixture
def tmp(runtime, monkeypatch):
    """A directory as /tmp is, and no other place for sockets; what a test starts there runs as OWNER."""
    path = runtime / "tmp"
    path.mkdir()
    path.chmod(0o1777)
    runtime.chmod(0o711)
    monkeypatch.setenv("TMPDIR", str(path))
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    return path


def start(*args):
    """Exit status and stderr of a start by OWNER that must end by itself."""
    p = subprocess.run([XETRACKD, *map(str, args)], user=OWNER, group=OWNER, extra_groups=[], capture_output=True, text=True,
                       timeout=TIMEOUT)
    assert "Sanitizer" not in p.stderr
    return p.returncode, p.stderr


@pytest.fixture
def mine(tmp):
    """What the stranger's links point to: a file that OWNER may write."""
    path = tmp.parent / "mine"
    path.write_text("precious\n")
    os.chown(path, OWNER, OWNER)
    yield path
    assert path.read_text() == "precious\n"
    assert mode(path) == 0o644


def by_stranger(make):
    with acting(STRANGER):
        make()


@pytest.mark.parametrize("suffix", [".lock", "-wal", "-shm", "-journal"])
@pytest.mark.parametrize("how", ["symlink", "hardlink", "file", "fifo", "dangling"])
def test_strangers_files_beside_the_database(tmp, mine, suffix, how):
    path = tmp / f"b.db{suffix}"
    if how == "hardlink":
        os.link(mine, path)  # by root; where fs.protected_hardlinks is off any user could
    else:
        by_stranger({"symlink": lambda: path.symlink_to(mine), "dangling": lambda: path.symlink_to(tmp.parent / "new"),
                     "file": lambda: (path.write_text(""), path.chmod(0o666)),
                     "fifo": lambda: os.mkfifo(path, 0o666)}[how])
    before = sorted(os.listdir(tmp.parent))
    code, said = start(tmp / "b.db")
    assert code == 1 and str(path) in said and "remove it" in said, said
    assert sorted(os.listdir(tmp.parent)) == before
    assert not (tmp / "b.db").exists()
    if how == "hardlink":
        path.unlink()


@pytest.mark.parametrize("how", ["symlink", "file"])
def test_strangers_log(tmp, mine, how):
    path = tmp / "b.db.log"
    by_stranger(lambda: path.symlink_to(mine) if how == "symlink" else (path.write_text(""), path.chmod(0o666)))
    r, w = os.pipe()
    p = subprocess.run([XETRACKD, "--detach", "--ready-fd", str(w), str(tmp / "b.db")], user=OWNER, group=OWNER, extra_groups=[],
                       pass_fds=[w], timeout=TIMEOUT, stderr=subprocess.PIPE, text=True)
    os.close(w)
    with os.fdopen(r) as f:
        said = f.read()
    assert said.startswith("not_allowed ") and str(path) in said, (said, p.stderr)


def test_strangers_lock_does_not_stall_or_lead_clients(tmp, mine):
    """A client neither waits for a FIFO nor goes to the socket that a stranger wrote down."""
    by_stranger(lambda: os.mkfifo(tmp / "b.db.lock", 0o666))
    sqlite(tmp / "b.db", "CREATE TABLE x (a)")
    p = subprocess.run([XTCTL, "sql", tmp / "b.db", "SELECT 1"], user=OWNER, group=OWNER, extra_groups=[], capture_output=True,
                       text=True, timeout=TIMEOUT)
    assert p.returncode != 0 and "b.db.lock" in p.stderr


def test_strangers_link_to_a_database(tmp, mine):
    by_stranger(lambda: (tmp / "b.db").symlink_to(mine))
    code, said = start(tmp / "b.db")
    assert code == 1 and str(tmp / "b.db") in said and "link" in said


def test_ones_own_link_is_followed(tmp, daemon):
    target = tmp.parent / "data"
    target.mkdir()
    os.chown(target, OWNER, OWNER)
    with acting(OWNER):
        (tmp / "b.db").symlink_to(target / "real.db")
    env = dict(os.environ, XDG_RUNTIME_DIR=str(target))
    with daemon(tmp / "b.db", user=OWNER, group=OWNER, extra_groups=[], env=env).client() as c:
        assert c.store({"a": 1}) == (1, 0)
    assert (target / "real.db").exists()


@pytest.mark.parametrize("how", ["symlink", "directory", "open"])
@pytest.mark.parametrize("args", [[], ["--group", str(OWNER)]], ids=["alone", "group"])
def test_strangers_directory_of_sockets(tmp, how, args):
    path = tmp / (f"xetrack-{OWNER}" + (f"-{group_name(OWNER)}" if args else ""))
    elsewhere = tmp.parent / "elsewhere"
    elsewhere.mkdir()
    os.chown(elsewhere, OWNER, OWNER)
    elsewhere.chmod(0o700)
    if how == "open":
        path.mkdir()
        os.chown(path, OWNER, OWNER)
        path.chmod(0o777)
    else:
        by_stranger(lambda: path.symlink_to(elsewhere) if how == "symlink" else path.mkdir(0o777))
    code, said = start(*args, tmp.parent / "elsewhere" / "b.db")
    assert code == 1 and str(path) in said and "remove or mend" in said, said
    assert os.listdir(elsewhere) == [] or not any(n.endswith(".sock") for n in os.listdir(elsewhere))


def group_name(gid):
    import grp
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def test_directory_without_sticky_bit(tmp, lab):
    tmp.chmod(0o777)
    for args in ([], ["--socket", tmp / "s"]):
        code, said = start(*args, lab / "b.db") if args else start("--socket", tmp / "s", lab / "b.db")
        assert code == 1 and str(tmp) in said and "+t" in said, said


def test_socket_option_deletes_no_file(tmp, mine):
    d = mine.parent / "own"
    d.mkdir()
    os.chown(d, OWNER, OWNER)
    code, said = start("--socket", mine, d / "b.db")
    assert code == 1 and str(mine) in said and "no socket" in said


def test_runtime_directory_of_another_user_is_passed_over(tmp, daemon):
    """sudo keeps XDG_RUNTIME_DIR: root must not make directories there that its owner then trips over."""
    theirs = tmp.parent / "theirs"
    theirs.mkdir()
    os.chown(theirs, STRANGER, STRANGER)
    own = tmp.parent / "own"
    own.mkdir()
    env = dict(os.environ, XDG_RUNTIME_DIR=str(theirs))
    ok("log", own / "b.db", "a=1", env=env)
    assert os.listdir(theirs) == []
    assert (tmp / "xetrack-0").is_dir()
    ok("down", own / "b.db", env=env)


def test_root_opens_another_users_database(runtime, daemon):
    data = runtime / "data"
    data.mkdir()
    os.chown(data, MEMBER, MEMBER)
    for name in ("b.db", "b.db.lock"):
        (data / name).write_text("")
        os.chown(data / name, MEMBER, MEMBER)
    with daemon(data / "b.db").client() as c:
        assert c.store({"a": 1}) == (1, 0)


def test_database_in_a_directory_of_a_group(lab, daemon):
    """Files of other members there are theirs to make: a reader's -wal, the lock of who came first."""
    data = lab / "data"
    data.mkdir()
    os.chown(data, MEMBER, LAB)
    data.chmod(0o2770)
    for name in ("b.db", "b.db.lock"):
        (data / name).write_text("")
        os.chown(data / name, MEMBER + 1, LAB)
        (data / name).chmod(0o660)
    with daemon(data / "b.db", user=OWNER, group=OWNER, extra_groups=[LAB]).client() as c:
        assert c.store({"a": 1}) == (1, 0)


def test_log_that_cannot_be_set_aside_begins_anew(tmp, monkeypatch):
    """<log>.1 is a stranger's, in a directory with the sticky bit: the log stays bounded."""
    log = tmp / "b.db.log"
    by_stranger(lambda: Path(str(log) + ".1").write_text("theirs"))
    log.write_bytes(b"x" * (2 << 20))
    os.chown(log, OWNER, OWNER)
    env = dict(os.environ, XETRACK_SOCKET=str(tmp / "s"))
    p = subprocess.run([XETRACKD, "--detach", "--idle-exit-ms", "1", str(tmp / "b.db")], user=OWNER, group=OWNER, extra_groups=[],
                       env=env, timeout=TIMEOUT)
    assert p.returncode == 0
    assert Path(str(log) + ".1").read_text() == "theirs"
    while log.stat().st_size > 1 << 20:
        pass


def test_a_member_of_the_group_spools(shared, lab):
    """Its file is its own, the daemon reads it, and takes it in when its process has ended."""
    db = lab / "b.db"
    d = shared("--group", LAB)
    assert (mode(f"{db}.spool"), os.stat(f"{db}.spool").st_gid) == (0o3770, LAB)
    db.chmod(0o644)  # the client looks at the database's identity
    w = subprocess.Popen([BUILD / "xt-worker", str(db), "1", "400", "--gates"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True, user=MEMBER, group=LAB, extra_groups=[])
    try:
        assert w.stdout.readline() == "half\n", w.stderr.read()
        d.kill()
        w.stdin.write("\n")
        w.stdin.flush()
        assert w.stdout.readline() == "all\n", w.stderr.read()
        (name,) = os.listdir(f"{db}.spool")
        assert os.stat(f"{db}.spool/{name}").st_uid == MEMBER and mode(f"{db}.spool/{name}") == 0o640
    finally:
        w.kill()
        w.communicate()
    d = shared("--group", LAB)
    with d.client(last_seq=0) as root:
        while root.call("spool_replay")["more"]:
            pass
        assert root.rows("SELECT count(*), count(DISTINCT i) FROM predictions", after=0) == [[400, 400]]
        assert root.rows("SELECT uid FROM xt_clients", after=0) == [[MEMBER]]
    assert os.listdir(f"{db}.spool") == []
