"""backup, snapshot, check, compact, and putting a backup back."""
import contextlib
import json
import os
import re
import pty
import shutil
import signal
import sqlite3
import subprocess
from pathlib import Path

import pytest
from conftest import SEEN, TIMEOUT, XTCTL, XT_LOAD, Client, RpcError, fails, mode, sqlite, until
from xtctl import needs_xtctl, ok, run

pytestmark = needs_xtctl


def fill(client, rows=2000, size=1000, **kw):
    """About rows * size bytes."""
    for i in range(0, rows, 200):
        client.store([{"i": i + k, "text": "x" * size} for k in range(200)], **kw)


def copy(client, path, pages=1000000, **kw):
    """A whole backup; the size of its file."""
    msgid = client.request("backup", path=str(path), after=client.seq, **kw)
    client.response(msgid)
    while True:
        step = client.call("backup_step", cursor=msgid, pages=pages)
        if step["done"]:
            return step["bytes"]


def is_sound(path):
    assert sqlite(f"file:{path}?immutable=1", "PRAGMA integrity_check", uri=True) == [("ok",)]


@pytest.fixture
def to(runtime):
    path = runtime / "copies"
    path.mkdir()
    return path / "c.db"


@pytest.fixture
def loading(db):
    """loading(workers, rows): workers that log at full speed, joined at the end."""
    started = []

    def start(n, rows):
        started.extend(subprocess.Popen([XT_LOAD, str(db), str(w), str(rows)], stderr=subprocess.PIPE, text=True)
                       for w in range(n))
        until(lambda: count(db) > 1000)
        return started

    yield start
    for p in started:
        if p.poll() is None:
            p.kill()
        p.communicate()


def count(db):
    try:
        return sqlite(db, "SELECT count(*) FROM predictions")[0][0]
    except sqlite3.OperationalError:
        return 0


def join(workers):
    for p in workers:
        _, err = p.communicate(timeout=5 * TIMEOUT)
        assert p.returncode == 0, err


# ---- backup


def test_backup(client, served, to):
    fill(client)
    served_mode = mode(served.db)
    msgid = client.request("backup", path=str(to), after=client.seq)
    r = client.response(msgid)
    assert r["page_size"] == 16384 and r["total"] > 100
    assert to.with_name("c.db.part").exists() and not to.exists()
    step = client.call("backup_step", cursor=msgid, pages=10)
    assert step == {"remaining": r["total"] - 10, "bytes": 0, "done": False}
    assert client.call("status")["cursors"] == 1
    step = client.call("backup_step", cursor=msgid, pages=1000000)
    assert step == {"remaining": 0, "bytes": r["total"] * 16384, "done": True}
    fails("cursor_expired", client.call, "backup_step", cursor=msgid)
    assert client.call("status")["cursors"] == 0
    assert os.listdir(to.parent) == ["c.db"]
    assert mode(to) == served_mode and to.stat().st_size == step["bytes"]
    assert to.read_bytes()[18:20] == b"\1\1", "it asks for a write-ahead log"
    is_sound(to)
    assert sqlite(to, "SELECT count(*), count(DISTINCT i) FROM events") == [(2000, 2000)]
    assert os.listdir(to.parent) == ["c.db"]


def test_backup_is_the_database_of_one_moment(client, to):
    """Others write between its steps; it neither begins anew nor takes in what came later."""
    fill(client, 1000)
    msgid = client.request("backup", path=str(to), after=client.seq)
    left = client.response(msgid)["total"]
    while True:
        client.store([{"i": 5000 + left, "text": "y" * 5000}], table="later")
        step = client.call("backup_step", cursor=msgid, pages=5)
        if step["done"]:
            break
        assert step["remaining"] == left - 5
        left = step["remaining"]
    is_sound(to)
    assert sqlite(to, "SELECT count(*) FROM events") == [(1000,)]
    assert sqlite(to, "SELECT name FROM sqlite_schema WHERE name = 'later'") == []


def test_backup_has_what_was_logged_before(client, to):
    for i in range(3000):
        client.log({"i": i})
    copy(client, to)
    assert sqlite(to, "SELECT count(*) FROM events") == [(3000,)]


def prefixes(path):
    """Rows of each worker in a copy: without holes from the first on."""
    rows = sqlite(path, "SELECT worker, count(*), min(i), max(i), count(DISTINCT i) FROM predictions GROUP BY worker")
    assert rows
    for worker, n, first, last, distinct in rows:
        assert (first, last, distinct) == (0, n - 1, n), worker
    return sum(r[1] for r in rows)


@pytest.mark.parametrize("command", ["backup", "snapshot"])
def test_under_load(daemon, db, to, loading, command):
    daemon(db)
    workers = loading(4, 60000)
    taken, n = 0, 0
    while n < 3 or (taken < 1 and any(p.poll() is None for p in workers)):
        ok(command, db, to, "--force")
        is_sound(to)
        found = prefixes(to)
        assert found >= taken
        taken, n = found, n + 1
    join(workers)
    assert sqlite(db, "SELECT count(*), count(DISTINCT worker * 1000000 + i) FROM predictions") == [(240000, 240000)]
    ok(command, db, to, "--force")
    assert prefixes(to) == 240000


def test_cancelled_backup_leaves_nothing(client, to):
    fill(client)
    for how in ("between", "running"):
        msgid = client.request("backup", path=str(to))
        client.response(msgid)
        step = client.request("backup_step", cursor=msgid, pages=1 if how == "between" else 1000000)
        if how == "between":
            client.response(step)
        assert client.call("cancel", cursor=msgid) == {"found": True}
        if how == "running":
            try:
                client.response(step)
            except RpcError as e:
                assert e.code == "cancelled"
        until(lambda: client.call("status")["cursors"] == 0)
        assert os.listdir(to.parent) in ([], ["c.db"] if how == "running" else []), "perhaps it was done just then"
        fails("cursor_expired", client.call, "backup_step", cursor=msgid)


def test_vanished_client_leaves_nothing(client, served, to):
    fill(client)
    with served.client() as c:
        c.call("backup", path=str(to))
        assert os.listdir(to.parent) == ["c.db.part"]
    until(lambda: os.listdir(to.parent) == [])


def test_stopping_daemon_leaves_nothing(served, to):
    with served.client() as c:
        fill(c)
        msgid = c.request("backup", path=str(to))
        c.response(msgid)
        c.call("backup_step", cursor=msgid, pages=1)
        served.proc.terminate()
        c.until_closed()
    assert served.wait() == 0
    assert os.listdir(to.parent) == []


def test_two_backups_at_once(client, served, to):
    fill(client, 400)
    a = client.request("backup", path=str(to))
    client.response(a)
    e = fails("file_error", client.call, "backup", path=str(to))
    assert "another" in e.message
    b = client.request("backup", path=str(to) + "2")
    client.response(b)
    for msgid in (a, b):
        assert client.call("backup_step", cursor=msgid, pages=1000000)["done"]
    assert sorted(os.listdir(to.parent)) == ["c.db", "c.db2"]


def test_cursors_of_queries_and_backups_are_not_mixed_up(client, to):
    q = client.request("query", sql="SELECT 1 UNION SELECT 2", page_rows=1)
    client.response(q)
    fails("bad_type", client.call, "backup_step", cursor=q)
    b = client.request("backup", path=str(to))
    client.response(b)
    fails("bad_type", client.call, "fetch", cursor=b)
    assert os.listdir(to.parent) == []


def test_paths_that_are_refused(client, served, to):
    there = to.with_name("there")
    there.write_text("mine")
    to.with_name("link").symlink_to("there")
    to.with_name("used").write_text("")
    to.with_name("used-wal").write_text("")
    os.link(served.db, to.with_name("hard"))
    to.with_name("mine.part").write_text("precious words, and more than sixteen bytes")
    for path, replace in [("relative.db", True), (there, False), (to.with_name("link"), True), (to.parent, True),
                          (to.parent / "none" / "c.db", True), (f"{to.parent}/", True), (f"{to.parent}/..", True),
                          (to.with_name("used"), True), (to.with_name("hard"), True), (to.with_name("mine"), True),
                          (served.db, True), (f"{served.db}-wal", True), (f"{served.db}.lock", True),
                          (f"{to.parent}/../b.db", True), (to.with_name("n" * 255), True), ("/" + "n" * 4090, True),
                          (to.with_name("nul\0"), True), ("/proc/c.db", True)]:
        e = fails("file_error", client.call, "backup", path=str(path), replace=replace)
        assert e.field == "path"
    assert there.read_text() == "mine" and (to.parent / "mine.part").read_text().startswith("precious")
    fails("missing_field", client.call, "backup")
    fails("out_of_range", client.call, "backup", path="")
    assert client.store({"a": 1}) == (1, 0)
    is_sound(served.db)


def test_the_part_is_never_the_database(daemon, runtime):
    """A database whose own name ends as the copy's name does while it is written."""
    d = daemon(runtime / "x.part")
    with d.client() as c:
        c.store({"a": 1})
        fails("file_error", c.call, "backup", path=str(runtime / "x"), replace=True)
        assert c.store({"a": 2}) == (1, 0)
    assert sqlite(d.db, "SELECT a FROM events") == [(1,), (2,)]


def test_a_file_that_comes_meanwhile_is_not_replaced(client, to):
    fill(client, 400)
    msgid = client.request("backup", path=str(to))
    client.response(msgid)
    to.write_text("mine")
    fails("file_error", client.call, "backup_step", cursor=msgid, pages=1000000)
    assert os.listdir(to.parent) == ["c.db"] and to.read_text() == "mine"
    copy(client, to, replace=True)
    is_sound(to)


def test_killed_daemon_leaves_a_part_that_is_taken_over(daemon, db, to):
    d = daemon(db)
    with d.client() as c:
        fill(c, 4000)
        msgid = c.request("backup", path=str(to))
        c.response(msgid)
        c.call("backup_step", cursor=msgid, pages=200)
        d.kill()
    assert os.listdir(to.parent) == ["c.db.part"]
    with daemon(db).client() as c:
        assert c.value("SELECT count(*) FROM events", after=0) == 4000
        copy(c, to)
    assert os.listdir(to.parent) == ["c.db"]
    is_sound(to)


def test_xtctl_tells_when_the_daemon_is_killed(daemon, db, to):
    d = daemon(db)
    with d.client() as c:
        fill(c, 16000)
    screen, terminal = pty.openpty()
    p = subprocess.Popen([XTCTL, "backup", str(db), str(to), "--rate", "1"], stdout=subprocess.DEVNULL, stderr=terminal)
    os.close(terminal)
    seen = b""
    while not re.search(rb"[1-9]\d? %, ", seen):  # some steps are made: the beginning is asked for again
        seen += os.read(screen, 1000)
    d.kill()
    with contextlib.suppress(OSError):  # at the end
        while more := os.read(screen, 1000):
            seen += more
    os.close(screen)
    assert p.wait(TIMEOUT) == 1 and b"c.db" in seen and b"anew" in seen, seen
    daemon(db)
    ok("backup", db, to)
    is_sound(to)
    assert os.listdir(to.parent) == ["c.db"]


def test_backup_of_what_is_only_read(daemon, db, to):
    sqlite(db, "CREATE TABLE events (track_id TEXT, timestamp TEXT, a)")
    sqlite(db, "INSERT INTO events VALUES ('t', '', 5)")
    with daemon(db, "--read-only").client() as c:
        copy(c, to)
        copy(c, to, replace=True, compact=True)
        fails("read_only", c.call, "compact")
    assert sqlite(to, "SELECT a FROM events") == [(5,)]
    assert ok("check", db) == "ok\n"


def test_other_users_get_no_files(daemon, db, runtime, to):
    """Who may use the socket may not therefore write files in the name of the daemon's user."""
    if os.geteuid() != 0:
        pytest.skip("takes root, to be two users")
    d = daemon(db)
    os.chown(db, 65533, 65533)  # the file's owner may connect to a daemon of root
    for path in (runtime, runtime / "xetrack"):
        path.chmod(0o755)
    os.chmod(d.socket, 0o666)
    r, w = os.pipe()
    if os.fork() == 0:
        code = "nothing"
        try:
            os.setuid(65533)
            with Client(d.socket) as c:
                c.call("backup", path=str(runtime / "c.db"))
        except Exception as e:
            code = getattr(e, "code", repr(e))
        finally:
            os.write(w, code.encode())
            os._exit(0)
    os.wait()
    assert os.read(r, 100) == b"not_allowed"
    SEEN.add("not_allowed")


@pytest.fixture
def small_disk(runtime):
    path = runtime / "disk"
    path.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", path], capture_output=True).returncode:
        pytest.skip("a small file system cannot be mounted here")
    yield path
    subprocess.run(["umount", "-l", path])


@pytest.mark.parametrize("compact", [False, True])
def test_backup_to_a_full_disk(client, small_disk, compact):
    fill(client)
    msgid = client.request("backup", path=str(small_disk / "c.db"), compact=compact)
    client.response(msgid)
    e = fails("file_error", client.call, "backup_step", cursor=msgid, pages=1000000)
    assert "full" in e.message
    assert os.listdir(small_disk) == []
    assert client.store({"a": 1}) == (1, 0) and client.call("status")["state"] == "ok"


# ---- snapshot


def test_snapshot(client, to):
    fill(client)
    client.change("exec", sql="DELETE FROM events WHERE i % 2")
    size = copy(client, to, compact=True)
    pages = client.value("SELECT page_count FROM pragma_page_count")
    assert size == to.stat().st_size < 0.7 * 16384 * pages
    assert sqlite(to, "PRAGMA journal_mode") == [("delete",)]
    assert sqlite(to, "PRAGMA freelist_count") == [(0,)]
    assert sqlite(to, "SELECT count(*) FROM events") == [(1000,)]
    is_sound(to)
    assert os.listdir(to.parent) == ["c.db"]


def test_the_same_database_gives_the_same_snapshot(daemon, db, to):
    """So that git and DVC see a change only where there is one."""
    d = daemon(db)
    with d.client() as c:
        fill(c)
    until(lambda: sqlite(db, "SELECT status FROM xt_runs") == [("crashed",)])  # that it went is written down, too
    ok("snapshot", db, to)
    first = to.read_bytes()
    ok("snapshot", db, to, "--force")
    assert to.read_bytes() == first
    d.stop()
    with daemon(db).client() as c:
        copy(c, to, replace=True, compact=True)
        assert to.read_bytes() == first
        c.store({"i": 1})
        copy(c, to, replace=True, compact=True)
        assert to.read_bytes() != first


# ---- check


def test_check(client, served):
    fill(client, 200)
    client.change("exec", sql="ALTER TABLE events DROP COLUMN text")  # xt_columns may still name it
    assert ok("check", served.db) == "ok\n"
    assert ok("check", served.db, "--quick") == "ok\n"
    assert json.loads(ok("check", served.db, "--json")) == {"findings": [], "ok": True}


def test_check_finds_our_own(client, served):
    client.store({"loss/x": 1, "loss_x": 2})
    client.change("exec", sql="CREATE TABLE parent (a PRIMARY KEY)")
    client.change("exec", sql="CREATE TABLE child (b REFERENCES parent)")
    client.change("exec", sql="INSERT INTO child VALUES (5)")
    sqlite(served.db, "UPDATE xt_columns SET key = 'loss/x'")
    sqlite(served.db, "UPDATE xt_clients SET mark = 0")
    sqlite(served.db, "UPDATE xt_runs SET status = 'odd'")
    sqlite(served.db, "DELETE FROM xt_meta WHERE key = 'database_id'")
    p = run("check", served.db)
    assert p.returncode == 1 and p.stderr == ""
    found = p.stdout.splitlines()
    assert len(found) == 5, found
    for word in ("'child'", "'loss/x'", "client", "'odd'", "database_id"):
        assert any(word in line for line in found), word
    p = run("check", served.db, "--json")
    assert p.returncode == 1 and json.loads(p.stdout) == {"findings": found, "ok": False}


@pytest.fixture
def damaged(daemon, db):
    """damage(first page): the pages from there on overwritten."""

    def damage(first, last=None):
        d = daemon(db)
        with d.client() as c:
            fill(c, 400, 5000)
        d.stop()
        data = bytearray(db.read_bytes())
        for page in range(first, last or len(data) // 16384):
            data[page * 16384:page * 16384 + 16384] = b"\xa5" * 16384
        db.write_bytes(data)
        return db

    return damage


def test_check_of_damaged_pages(damaged, daemon):
    db = damaged(60)  # rows: what the daemon itself needs lies before them
    daemon(db)
    for args in ([], ["--quick"]):
        p = run("check", db, *args)
        assert p.returncode == 1 and p.stdout and p.stdout != "ok\n" and p.stderr == "", (p.stdout, p.stderr)
        p = run("check", db, "--json", *args)
        assert p.returncode == 1 and json.loads(p.stdout)["ok"] is False


def test_check_of_what_cannot_be_opened(damaged, autostarted):
    db = damaged(0, 3)
    autostarted(db)
    p = run("check", db)
    assert p.returncode == 1 and p.stdout == "" and "b.db" in p.stderr and "database" in p.stderr


# ---- compact


def test_compact(client, served):
    fill(client)
    client.change("exec", sql="DELETE FROM events WHERE i < 1500")
    client.flush()
    r = client.call("compact")
    assert r["after"] < r["before"] / 2
    assert os.stat(served.db).st_size == r["after"]
    assert client.store({"i": 5000, "new": 1}) == (1, 0)
    assert client.value("SELECT count(*) FROM events") == 501
    assert client.rows("SELECT i FROM events ORDER BY rowid LIMIT 2") == [[1500], [1501]]
    again = json.loads(ok("compact", served.db, "--json"))
    assert again["after"] <= again["before"]
    assert "was" in ok("compact", served.db)
    is_sound(served.db)


def test_compact_under_load(daemon, db, loading):
    d = daemon(db)
    workers = loading(4, 30000)
    n = 0
    while n < 3 or any(p.poll() is None for p in workers):
        with d.client() as c:
            c.change("exec", sql="CREATE TABLE IF NOT EXISTS junk (a)")
            c.change("exec", sql="INSERT INTO junk SELECT zeroblob(100000) FROM predictions LIMIT 20")
            c.change("exec", sql="DROP TABLE junk")
            c.call("compact")
        n += 1
    join(workers)
    assert sqlite(db, "SELECT worker, count(*), min(i), max(i), count(DISTINCT i) FROM predictions GROUP BY worker") == \
        [(w, 30000, 0, 29999, 30000) for w in range(4)]
    assert sqlite(db, "PRAGMA integrity_check") == [("ok",)]


def test_compact_is_refused_while_an_older_state_is_read(client, served):
    fill(client)
    msgid = client.request("query", sql="SELECT i FROM events", page_rows=1, after=client.seq)
    client.response(msgid)
    client.change("exec", sql="DELETE FROM events WHERE i < 1500")
    e = fails("busy", client.call, "compact")
    assert "read" in e.message
    p = run("compact", served.db)
    assert p.returncode == 1 and "read" in p.stderr
    client.call("cancel", cursor=msgid)
    until(lambda: client.call("status")["cursors"] == 0)
    assert client.call("compact")["after"] < 1 << 20


def test_compact_without_room(small_disk, daemon, monkeypatch):
    subprocess.run(["mount", "-o", "remount,size=16m", small_disk], check=True)
    monkeypatch.setenv("SQLITE_TMPDIR", str(small_disk))
    d = daemon(small_disk / "b.db")
    with d.client() as c:
        fill(c, 3000)
        filler = small_disk / "filler"
        filler.write_bytes(bytes(7 << 20))
        e = fails("disk_full", c.call, "compact")
        assert re.search(r"needs [78] MiB .* and \d MiB are free", e.message)
        assert c.store({"a": 1}) == (1, 0)
        assert c.call("status")["state"] == "ok"
        filler.unlink()
        assert c.call("compact")["after"] < 4 << 20


def test_stopping_ends_a_compact(served):
    """It is done, or it is not; nothing is lost, and the daemon leaves."""
    with served.client() as c:
        fill(c, 20000)
        c.request("compact")
        for i in range(100):
            c.log({"i": 100000 + i})
        served.proc.terminate()
        c.until_closed()
        assert c.acked == c.seq
    assert served.wait() == 0
    assert sqlite(served.db, "SELECT count(*) FROM events") == [(20100,)]
    is_sound(served.db)


def test_killed_while_compacting(daemon, db):
    d = daemon(db)
    with d.client() as c:
        fill(c, 10000)
        c.call("compact")
        c.change("exec", sql="DELETE FROM events WHERE i % 3")
        left = c.value("SELECT count(*) FROM events")
        tidy = os.stat(f"{db}-wal").st_size
        msgid = c.request("compact")
        until(lambda: os.stat(f"{db}-wal").st_size > tidy or c.call("status")["pid"] and msgid in c.responses)
        d.kill()
    with daemon(db).client() as c:
        assert c.value("SELECT count(*) FROM events", after=0) == left
        assert c.value("PRAGMA integrity_check", after=0) == "ok"
        c.call("compact")


# ---- putting a backup back


def test_restore(autostarted, db, to):
    """As docs/storage.md has it; a client that lived through it sends again what the backup had not, and says so."""
    autostarted(db)
    ok("log", db, "i=1")
    ok("backup", db, to)
    p = subprocess.Popen([XTCTL, "log", str(db), "--jsonl", "--track-id", "r"], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    p.stdin.write('{"i": 2}\n')
    p.stdin.flush()
    until(lambda: sqlite(db, "SELECT count(*) FROM events") == [(2,)])
    ok("down", db)
    assert not Path(f"{db}-wal").exists()
    shutil.copy(to, f"{db}.new")
    os.rename(f"{db}.new", db)
    ok("up", db)
    assert ok("check", db) == "ok\n"
    _, err = p.communicate('{"i": 3}\n', timeout=TIMEOUT)
    assert p.returncode == 1 and "older" in err
    assert sqlite(db, "SELECT i FROM events ORDER BY i") == [(1,), (3,)]


def test_a_client_of_the_restored_database(daemon, db, to):
    """The mark is the backup's: the client learns that what was acknowledged since is gone."""
    d = daemon(db)
    with d.client() as c:
        c.store({"i": 1})
        copy(c, to)
        c.store({"i": 2})
    d.stop()
    os.replace(to, db)
    d = daemon(db)
    with d.client(client_id=c.id, acked=2, last_seq=2) as again:
        assert again.mark == 1
        assert "a client knew a newer state" in d.stderr(), "the daemon notices it too"
        again.store({"i": 2})
        assert again.rows("SELECT i FROM events ORDER BY i") == [[1], [2]]


# ---- xtctl


def test_output(client, served, to):
    fill(client, 200)
    out = ok("backup", served.db, to)
    assert out.startswith(f"{to}: ") and "KiB" in out or "MiB" in out
    p = run("backup", served.db, to)
    assert p.returncode == 1 and "--force" in p.stderr
    r = json.loads(ok("snapshot", served.db, to, "--force", "--json"))
    assert r["file"] == str(to) and r["bytes"] == to.stat().st_size
    ok("backup", served.db, "here.db", cwd=to.parent)
    assert (to.parent / "here.db").exists()
    ok("backup", to.with_name("env.db"), env=dict(os.environ, XETRACK_DB=served.db))
    for args in (["backup", served.db], ["backup", served.db, to, "--rate", "0"], ["snapshot", served.db, to, "--rate", "1"],
                 ["check", served.db, to], ["compact", served.db, "--force"]):
        assert run(*args).returncode == 2, args


def test_interrupted_backup(client, served, to):
    """Ctrl-C at a backup that would take long; its bar is on the terminal."""
    fill(client, 16000)
    screen, terminal = pty.openpty()
    p = subprocess.Popen([XTCTL, "backup", served.db, str(to), "--rate", "1"], stderr=terminal,
                         stdout=subprocess.PIPE)
    os.close(terminal)
    seen = b""
    while b" %, " not in seen:
        seen += os.read(screen, 1000)
    assert b"[" in seen and b"MiB/s" in seen or b"KiB/s" in seen
    assert os.listdir(to.parent) == ["c.db.part"]
    p.send_signal(signal.SIGINT)
    assert p.wait(TIMEOUT) == 130
    assert p.stdout.read() == b""
    until(lambda: os.listdir(to.parent) == [])
    os.close(screen)
