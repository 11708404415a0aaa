"""Rows while there is no daemon: limits, what calls say, what xtctl shows, files that are not as they should be."""
import hashlib
import json
import os
import struct
import subprocess
from pathlib import Path

import msgpack
import pytest
from conftest import BUILD, TIMEOUT, frame, mode, sqlite
from xtctl import ok, run

WORKER = os.environ.get("XT_WORKER", str(BUILD / "xt-worker"))
pytestmark = pytest.mark.skipif(not os.access(WORKER, os.X_OK), reason=f"{WORKER} is not built")


class Worker:
    """An xt-worker that stops at its gates."""

    def __init__(self, db, rows, *args, number=1):
        self.proc = subprocess.Popen([WORKER, str(db), str(number), str(rows), "--gates", *args], text=True,
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def gate(self, name):
        assert self.proc.stdout.readline().strip() == name, self.proc.stderr.read()
        return self

    def go_on(self):
        self.proc.stdin.write("\n")
        self.proc.stdin.flush()

    def end(self):
        _, err = self.proc.communicate(timeout=TIMEOUT)
        return self.proc.returncode, err


def listing(db):
    p = run("spool", "ls", db, "--json")
    files = json.loads(p.stdout)
    damaged = any(f["state"] == "damaged" for f in files)
    assert p.returncode == damaged and ("damaged" in p.stderr) == damaged, p.stderr
    return files


def checksum(data):
    return hashlib.blake2b(data, digest_size=16).digest()


def numbered(method, seq, **params):
    """A notification whose number has all nine bytes."""
    large = 1 << 63
    m = msgpack.packb([2, method, [{"seq": large, **params}]])
    return m.replace(struct.pack(">Q", large), struct.pack(">Q", seq), 1)


def leave_spool(db, client, messages):
    """An orphan with one row a numbered message, and others at their places, as proto/spool.h has it."""
    path = Path(f"{db}.spool")
    path.mkdir(mode=0o700, exist_ok=True)
    head = b"xtspool1" + client + bytes(16)
    out = bytearray(head + checksum(head))
    for seq, m in messages:
        f = frame(m)
        record = struct.pack(">IIQI", len(f), seq > 0, seq, f.index(b"\xa3seq\xcf") + 5 if seq else 0) + f
        out += record + checksum(record) + struct.pack(">I", len(f))
    (path / f".{client.hex()}").write_bytes(out)
    os.rename(path / f".{client.hex()}", path / client.hex())


@pytest.fixture
def alone(daemon, db):
    """A worker half of whose 1,000 rows are stored, and whose daemon was killed."""
    started = []

    def begin(*args, rows=1000):
        d = daemon(db)
        w = Worker(db, rows, *args).gate("half")
        d.kill()
        started.append(w)
        return w

    yield begin
    for w in started:
        if w.proc.poll() is None:
            w.proc.kill()
            w.proc.wait()


def rows(db):
    return sqlite(db, "SELECT count(*), count(DISTINCT i) FROM predictions")[0]


def test_logging_goes_on_and_everything_arrives(alone, daemon, db):
    w = alone()
    w.go_on()
    w.gate("all")
    (f,) = listing(db)
    assert f["state"] == "owned" and f["pid"] == w.proc.pid and f["rows"] >= 500 and f["last"] == 1001
    assert mode(f"{db}.spool") == 0o700 and mode(f"{db}.spool/{f['client']}") == 0o600
    d = daemon(db)
    with d.client(last_seq=0) as c:
        s = c.call("status")
        assert (s["spools"], s["spooled_rows"]) == (1, f["rows"]) and s["spooled_bytes"] == f["bytes"]
        assert c.call("spool_replay") == {"rows": 0, "more": False, "owned": 1, "damaged": 0}
    w.go_on()
    assert w.end() == (0, "")
    assert rows(db) == (1000, 1000)
    assert listing(db) == []


def test_close_leaves_the_rest_in_the_spool(alone, daemon, db):
    """No daemon at the end: the run's end and the goodbye lie behind the rows."""
    w = alone("--flush-ms", "0")
    w.go_on()
    w.gate("all").go_on()
    code, err = w.end()
    assert code == 4 and "XT_SPOOLED" in err and f"{os.path.realpath(db)}.spool/" in err
    (f,) = listing(db)
    assert f["state"] == "orphan"
    d = daemon(db)
    assert "rows stored" in ok("spool", "replay", db)
    assert rows(db) == (1000, 1000) and listing(db) == []
    assert sqlite(db, "SELECT status, rows, cause FROM xt_runs") == [("finished", 1000, None)]
    assert sqlite(db, "SELECT bye, last_seq = mark FROM xt_clients") == [(1, 1)]
    assert "taken in" in d.stderr()
    ok("audit", db)


def test_a_failed_end_is_told_by_the_spool(alone, daemon, db):
    w = alone("--fail", "--flush-ms", "0")
    w.go_on()
    w.gate("all").go_on()
    assert w.end()[0] == 1  # xt_close_failed() says XT_SPOOLED
    daemon(db)
    ok("spool", "replay", db)
    assert sqlite(db, "SELECT status FROM xt_runs") == [("failed",)]


def test_what_a_killed_worker_did_not_finish_goes(daemon, db):
    """Its file got no name, and so no row."""
    path = Path(f"{db}.spool")
    path.mkdir(mode=0o700)
    unfinished, other = path / f".{os.urandom(16).hex()}.new", path / ".notes.new"
    unfinished.write_bytes(b"xtspool1")
    other.write_bytes(b"of somebody else")
    d = daemon(db)
    ok("spool", "replay", db)
    assert list(path.iterdir()) == [other]
    assert "nobody finished" in d.stderr()


def test_status_and_ls_without_a_daemon(alone, db):
    w = alone()
    w.go_on()
    w.gate("all")
    assert len(listing(db)) == 1
    w.proc.kill()
    w.proc.wait()
    (f,) = listing(db)
    assert f["state"] == "orphan" and f["pid"] is None


def test_a_full_spool_fails_or_waits(alone, daemon, db):
    w = alone("--spool", "100000", "--full-fails")
    w.go_on()
    code, err = w.end()
    assert code == 1 and "XT_EFULL" in err and "spool_bytes" in err
    (f,) = listing(db)
    assert f["bytes"] <= 100000
    d = daemon(db)
    ok("spool", "replay", db)
    n, distinct = rows(db)
    assert n == distinct and 500 < n < 1000
    d.stop()


def test_a_waiting_worker_goes_on_when_there_is_a_daemon(alone, daemon, db):
    w = alone("--spool", "100000")
    w.go_on()
    while not listing(db) or listing(db)[0]["bytes"] < 95000:
        assert w.proc.poll() is None, w.end()
    daemon(db)
    w.gate("all").go_on()
    assert w.end() == (0, "")
    assert rows(db) == (1000, 1000)


def test_without_a_spool_rows_wait_in_the_window(alone, daemon, db):
    w = alone("--no-spool")
    w.go_on()
    w.gate("all")
    assert not os.path.exists(f"{db}.spool")
    daemon(db)
    w.go_on()
    assert w.end() == (0, "")
    assert rows(db) == (1000, 1000)


def test_a_torn_tail_is_dropped_damage_is_set_aside(alone, daemon, db):
    w = alone()
    w.go_on()
    w.gate("all")
    w.proc.kill()
    w.proc.wait()
    (f,) = listing(db)
    path = Path(f"{db}.spool/{f['client']}")
    whole = path.read_bytes()
    path.write_bytes(whole[:-7])
    d = daemon(db)
    ok("spool", "replay", db)
    assert rows(db) == (999, 999) and listing(db) == []
    d.stop()
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 1
    path.write_bytes(damaged)
    d = daemon(db)
    assert "damaged" in run("spool", "replay", db).stderr
    assert rows(db) == (999, 999)  # what lay before the damage was there already
    assert [x["state"] for x in listing(db)] == ["damaged"]
    assert "set aside" in d.stderr()
    said = run("audit", db).stdout
    assert f"spool file {f['client']}.damaged" in said


def test_a_spool_of_another_database(alone, daemon, db):
    """The file was removed meanwhile: what was not acknowledged is stored in the new one, once."""
    w = alone()
    w.go_on()
    w.gate("all")
    w.proc.kill()
    w.proc.wait()
    (f,) = listing(db)
    saved = Path(f"{db}.spool/{f['client']}").read_bytes()
    for suffix in ("", "-wal", "-shm"):
        Path(f"{db}{suffix}").unlink(missing_ok=True)
    d = daemon(db)
    ok("spool", "replay", db)
    n = sqlite(db, "SELECT count(*), count(DISTINCT i), max(i) FROM predictions")[0]
    assert n == (f["rows"], f["rows"], 999) or n == (f["rows"] - 1, f["rows"] - 1, 999)  # one may be the run's start
    Path(f"{db}.spool/{f['client']}").write_bytes(saved)
    ok("spool", "replay", db)
    assert sqlite(db, "SELECT count(*), count(DISTINCT i), max(i) FROM predictions")[0] == n
    d.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user's file")
def test_files_of_others_and_links_are_left_alone(daemon, db, runtime):
    d = daemon(db)
    d.client().store({"a": 1})
    spool = Path(f"{db}.spool")
    spool.mkdir(mode=0o700)
    (spool / ("a" * 32)).symlink_to("/etc/passwd")
    (spool / ("b" * 32)).write_bytes(b"junk")
    (spool / "notes.txt").write_text("mine")
    assert run("spool", "replay", db).returncode == 1
    assert (spool / "notes.txt").read_text() == "mine"
    assert (spool / ("a" * 32)).is_symlink() and os.path.exists("/etc/passwd")
    states = {x["client"][0]: x["state"] for x in listing(db)}
    assert states == {"a": "unreadable", "b": "damaged"}


def test_a_directory_that_others_may_write_is_not_used(alone, daemon, db):
    Path(f"{db}.spool").mkdir()
    os.chmod(f"{db}.spool", 0o777)
    w = alone()
    w.go_on()
    w.gate("all")
    assert os.listdir(f"{db}.spool") == []
    daemon(db)
    w.go_on()
    assert w.end() == (0, "")
    assert rows(db) == (1000, 1000)


def test_forked_children_have_spools_of_their_own(daemon, db):
    """The library's children of fork never touch what the parent keeps."""
    fork = BUILD / "xt-fork"
    daemon(db)
    p = subprocess.run([fork, str(db), "3", "200"], capture_output=True, text=True, timeout=TIMEOUT)
    assert p.returncode == 0, p.stderr
    assert listing(db) == []


def test_another_database_while_rows_of_the_spool_are_on_their_way(alone, daemon, db):
    """They are in the file and in the window: the new database gets them once, from the file."""
    w = alone("--pause-us", "3000")
    sqlite(db, "INSERT INTO xt_config VALUES ('disk_refuse_mib', 2000000000)")  # takes rows, stores none
    w.go_on()
    while not listing(db):
        assert w.proc.poll() is None, w.end()
    d = daemon(db)
    w.gate("all")
    d.kill()
    for suffix in ("", "-wal", "-shm"):
        Path(f"{db}{suffix}").unlink(missing_ok=True)
    daemon(db)
    w.go_on()
    assert w.end() == (0, "")
    ok("spool", "replay", db)
    n, distinct = rows(db)
    assert n == distinct and n >= 500


def test_a_run_is_not_judged_before_its_spool_is_taken_in(daemon, db):
    """In many pieces, while the grace time ends: how the run ended its goodbye tells, and all rows are counted."""
    d = daemon(db)
    d.client().store({"a": 1})
    d.stop()
    n = 4000
    log = [(i, numbered("log", i, track_id="r", rows=[{"i": i, "b": bytes(4000)}])) for i in range(1, n + 1)]
    leave_spool(db, os.urandom(16), [*log, (0, [2, "bye", [{"last_seq": n, "status": "failed"}]])])
    daemon(db, "--grace-ms", "30")
    ok("spool", "replay", db)
    assert sqlite(db, "SELECT status, rows, cause FROM xt_runs WHERE track_id = 'r'") == [("failed", n, None)]
    ok("audit", db)


def test_a_goodbye_in_the_spool_takes_a_crash_back(daemon, db):
    """A client that could not deliver all leaves without a goodbye on its connection."""
    d = daemon(db)
    with d.client() as c:
        c.store({"a": 1}, track_id="r")
    while sqlite(db, "SELECT status FROM xt_runs") != [("crashed",)]:
        pass
    bye = [2, "bye", [{"last_seq": 2, "status": "finished"}]]
    leave_spool(db, c.id, [(2, numbered("log", 2, track_id="r", rows=[{"a": 2}])), (0, bye)])
    ok("spool", "replay", db)
    assert sqlite(db, "SELECT status, rows, cause FROM xt_runs") == [("finished", 2, None)]
