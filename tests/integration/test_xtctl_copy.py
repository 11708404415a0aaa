"""xtctl copy: what tests/python/test_copy.py and test_copy_runs.py, which run it too, do not reach: processes that end in the middle."""
import fcntl
import json
import os
import signal
import sqlite3
import subprocess
import time

import pytest
from conftest import BUILD, TIMEOUT, XTCTL, sqlite
from xtctl import needs_xtctl, ok, refused

pytestmark = needs_xtctl
MANY = 60_000


@pytest.fixture
def source(here):
    """A database of the Python library's kind, of several runs."""
    con = sqlite3.connect(here / "s.db")
    con.execute('CREATE TABLE "default"(track_id TEXT, timestamp TEXT, i INTEGER, t TEXT, PRIMARY KEY (track_id, timestamp))')
    con.executemany('INSERT INTO "default" VALUES (?, ?, ?, ?)',
                    ((f"run-{i % 3}", f"2025-01-01 10:00:{i // 1000:02d}.{i % 1000:06d}", i, "x" * 50) for i in range(MANY)))
    con.commit()
    con.close()
    return "s.db"


def begun(*args):
    """A copy that has copied something, and not all."""
    p = subprocess.Popen([XTCTL, "copy", "s.db", "t.db"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + TIMEOUT
    while count("t.db") == 0:
        assert time.monotonic() < deadline and p.poll() is None, p.communicate()
    return p


def count(db):
    try:
        return sqlite(db, "SELECT count(*) FROM \"default\" WHERE track_id LIKE 'run-%'")[0][0] if os.path.exists(db) else 0
    except sqlite3.OperationalError:
        return 0


def whole():
    return sqlite("t.db", 'SELECT * FROM "default" ORDER BY track_id, timestamp') == \
        sqlite("s.db", 'SELECT * FROM "default" ORDER BY track_id, timestamp')


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_copy_that_ends_in_the_middle(source, how):
    p = begun()
    p.send_signal(how)
    out, err = p.communicate(timeout=TIMEOUT)
    assert out == "" and p.returncode == (130 if how == signal.SIGINT else -9), err
    if how == signal.SIGINT:
        assert "or more; the same command goes on from there" in err
    before = count("t.db")
    assert 0 < before < MANY
    # What was on its way is stored all the same.
    assert 0 < json.loads(ok("copy", "s.db", "t.db", "--json"))["copied"] <= MANY - before
    assert whole()
    assert ok("copy", "s.db", "t.db") == "0 rows copied\n"


def test_a_daemon_that_dies_in_the_middle(source, here):
    """A change whose answer is lost is not lost: the next daemon takes it up, or it fails and is said to."""
    p = begun()
    pid = dict(line.split(" ", 1) for line in (here / "t.db.lock").read_text().splitlines())["pid"]
    os.kill(int(pid), signal.SIGKILL)
    p.communicate(timeout=TIMEOUT)
    assert p.returncode in (0, 1)
    ok("copy", "s.db", "t.db")
    assert whole()


def test_the_seeds_words(source):
    p = subprocess.run([BUILD / "xt", "copy", "s.db", "t.db", "--assets", "--table=default"], capture_output=True, text=True, timeout=TIMEOUT)
    assert (p.returncode, p.stdout) == (0, f"Successfully copied {MANY} events\n"), p.stderr


def test_odd_paths_and_names(here):
    con = sqlite3.connect("a?b#c%d e.db")
    con.execute('CREATE TABLE "a""b 🦊"(track_id TEXT, timestamp TEXT, "select" INTEGER, "o\'ne" TEXT)')
    con.execute("INSERT INTO \"a\"\"b 🦊\" VALUES ('r', '2025-01-01 00:00:00.000000', 1, 'x')")
    con.commit()
    con.close()
    assert ok("copy", "a?b#c%d e.db", "t.db") == "1 row copied\n"
    assert ok("copy", "a?b#c%d e.db", "t.db") == "0 rows copied\n"
    name = sqlite("t.db", "SELECT name FROM sqlite_master WHERE name LIKE 'a_b%'")[0][0]
    assert name == 'a"b 🦊' and sqlite("t.db", 'SELECT * FROM "a""b 🦊"')[0][2:] == (1, "x")


def recorded(db):
    return sqlite(db, "SELECT track_id, status, start_time, end_time, table_name, params FROM xt_runs ORDER BY 1")


def test_what_is_known_of_the_runs(here):
    ok("log", "s.db", "a=1", "--track-id", "one", "--param", "codec=zstd", "--param", "level=3")
    ok("log", "s.db", "a=2", "--track-id", "two", "--table", "other")
    subprocess.run([XTCTL, "log", "s.db", "--jsonl", "--track-id", "bad"], input='{"a": 1}\nbad\n', text=True, capture_output=True)
    assert ok("copy", "s.db", "t.db", "--table", "other") == "1 row copied\n"
    assert [r[0] for r in recorded("t.db")] == ["two"]
    ok("copy", "s.db", "t.db")
    theirs = recorded("s.db")
    assert recorded("t.db") == theirs and [r[:2] for r in theirs] == [("bad", "failed"), ("one", "finished"), ("two", "finished")]
    assert json.loads(theirs[1][5]) == {"codec": "zstd", "level": 3}
    assert [(r["track_id"], r["rows"]) for r in json.loads(ok("runs", "t.db", "--json"))] == \
        [(r["track_id"], r["rows"]) for r in json.loads(ok("runs", "s.db", "--json"))]
    ok("log", "s.db", "a=3", "--track-id", "one")
    ok("copy", "s.db", "t.db")
    assert recorded("t.db") == theirs


def test_a_run_that_is_running_gets_its_record_later(here):
    p = subprocess.Popen([XTCTL, "log", "s.db", "--jsonl", "--track-id", "r"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    p.stdin.write('{"a": 1}\n')
    p.stdin.flush()
    deadline = time.monotonic() + TIMEOUT
    while not os.path.exists("s.db") or not sqlite("s.db", "SELECT 1 FROM sqlite_schema WHERE name = 'events'"):
        assert time.monotonic() < deadline
    q = subprocess.run([XTCTL, "copy", "s.db", "t.db"], capture_output=True, text=True, timeout=TIMEOUT)
    assert (q.returncode, q.stdout) == (0, "1 row copied\n") and "still running: 1" in q.stderr, q.stderr
    assert recorded("t.db") == []
    p.communicate(timeout=TIMEOUT)
    assert ok("copy", "s.db", "t.db") == "0 rows copied\n"
    assert recorded("t.db") == recorded("s.db") and recorded("t.db")[0][1] == "finished"


def test_refusals(here):
    assert "no database 'none.db'" in refused("copy", "none.db", "t.db")
    assert not (here / "t.db").exists()
    (here / "text.db").write_text("this is no database, but long enough to be taken for one" * 100)
    assert "cannot read 'text.db'" in refused("copy", "text.db", "t.db")
    assert "TARGET is missing" in refused("copy", "text.db", status=2)
    ok("log", "s.db", "a=1")
    assert "the same database" in refused("copy", "s.db", "./s.db")
    assert "it has: events" in refused("copy", "s.db", "t.db", "--table", "nope")
    assert ok("copy", "s.db", "t.db", "--table", "events", "--table", "EVENTS") == "1 row copied\n"


def test_empty_databases(here):
    sqlite3.connect("s.db").close()
    assert ok("copy", "s.db", "t.db") == "0 rows copied\n"
    con = sqlite3.connect("u.db")
    con.execute("CREATE TABLE events(track_id TEXT, timestamp TEXT, only_nulls TEXT)")
    con.commit()
    con.close()
    assert ok("copy", "u.db", "t.db") == "0 rows copied\n"
    assert sqlite("t.db", "SELECT name FROM pragma_table_info('events')") == [("track_id",), ("timestamp",), ("only_nulls",)]


def pid_of(db):
    return int(dict(line.split(" ", 1) for line in open(db + ".lock").read().splitlines())["pid"])


@pytest.mark.parametrize("who", ["copy", "source", "target"])
def test_two_copies_of_which_something_dies(source, who):
    """Of one of the two, or of a daemon under both: what each has sent by then is stored once."""
    ok("up", "s.db")  # from here on it is ours
    p, other = begun(), subprocess.Popen([XTCTL, "copy", "s.db", "t.db"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    os.kill({"copy": p.pid, "source": pid_of("s.db"), "target": pid_of("t.db")}[who], signal.SIGKILL)
    p.communicate(timeout=TIMEOUT)
    out, err = other.communicate(timeout=TIMEOUT)
    assert other.returncode == 0 or (who != "copy" and other.returncode == 1), err
    ok("copy", "s.db", "t.db")
    assert whole()
    assert ok("audit", "t.db").endswith("everything adds up\n")


def test_tables_that_are_keyed_or_call_a_column_rowid(here):
    con = sqlite3.connect("s.db")
    con.execute("CREATE TABLE lean(track_id TEXT, timestamp TEXT, n INTEGER, PRIMARY KEY (track_id, n)) WITHOUT ROWID")
    con.execute("INSERT INTO lean VALUES ('r', 'same', 1), ('r', 'same', 2)")
    con.commit()
    con.close()
    for db in "s.db", "t.db":
        c = sqlite3.connect(db)
        c.execute("CREATE TABLE odd(track_id TEXT, timestamp TEXT, rowid TEXT, oid INTEGER)")
        c.execute("INSERT INTO odd VALUES ('both', 't', NULL, 0)")
        c.commit()
        c.close()
    con = sqlite3.connect("s.db")
    con.execute("INSERT INTO odd VALUES ('r', 't', 'x', 1), ('r', 't', 'x', 1)")
    con.commit()
    con.close()
    assert ok("copy", "s.db", "t.db") == "4 rows copied\n"
    assert ok("copy", "s.db", "t.db") == "0 rows copied\n"
    assert ok("copy", "t.db", "u.db") == "5 rows copied\n"
    assert sqlite("t.db", "SELECT * FROM odd ORDER BY 1") == sqlite("s.db", "SELECT * FROM odd ORDER BY 1")


def test_numbers_of_rows_that_were_deleted_meanwhile(here):
    """The table's last rows are deleted when a copy has seen that nothing of the run is there, and another copy's rows get their numbers.
    The pipe holds the first one up in the middle of the source, before it stores."""
    con = sqlite3.connect("s.db")
    con.execute("CREATE TABLE events(track_id TEXT, timestamp TEXT, t TEXT)")
    con.executemany("INSERT INTO events VALUES ('r', ?, ?)", ((f"2025-01-01 10:00:00.{i:06d}", "x" * 30_000) for i in range(120)))
    con.commit()
    con.close()
    ok("up", "s.db")
    ok("log", "t.db", "--track-id", "gone", "--jsonl", stdin=b'{"i": 1}\n' * 2000)
    p = subprocess.Popen([XTCTL, "copy", "s.db", "t.db"], env=dict(os.environ, XETRACK_TRACE="proto"), bufsize=0,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    fcntl.fcntl(p.stderr, fcntl.F_SETPIPE_SZ, 4096)
    while b"fetch" not in p.stderr.readline():
        pass
    ok("delete", "t.db", "gone")
    assert ok("copy", "s.db", "t.db") == "120 rows copied\n"
    p.stderr.read()
    assert p.wait(timeout=TIMEOUT) == 0
    assert sqlite("t.db", "SELECT count(*), count(DISTINCT timestamp) FROM events") == [(120, 120)]


def test_a_source_that_dies_and_loses_rows(here):
    """Of those behind the ones that were read and are gone none is left out."""
    con = sqlite3.connect("s.db")
    con.execute("CREATE TABLE events(track_id TEXT, timestamp TEXT, i INTEGER)")
    con.executemany("INSERT INTO events VALUES ('r', ?, ?)", ((None if i < 15_000 else "same", i) for i in range(30_000)))
    con.commit()
    ok("up", "s.db")
    p = subprocess.Popen([XTCTL, "copy", "s.db", "t.db"], env=dict(os.environ, XETRACK_TRACE="proto"), stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True)
    fetches = 0
    for line in p.stderr:
        fetches += "fetch" in line
        if fetches == 5:
            fetches += 1
            p.send_signal(signal.SIGSTOP)
            os.kill(pid_of("s.db"), signal.SIGKILL)
            con.execute("DELETE FROM events WHERE timestamp IS NULL")
            con.commit()
            p.send_signal(signal.SIGCONT)
    con.close()
    assert p.wait(timeout=TIMEOUT) == 0
    assert sqlite("t.db", "SELECT count(*), count(DISTINCT i) FROM events WHERE timestamp = 'same'") == [(15_000, 15_000)]


def test_a_source_that_dies_while_rows_of_no_time_are_read(here):
    """The cursor goes on where it was, with the next daemon: nothing is read twice, nor left out."""
    con = sqlite3.connect("s.db")
    con.execute("CREATE TABLE events(track_id TEXT, timestamp TEXT, i INTEGER)")
    con.executemany("INSERT INTO events VALUES ('r', ?, ?)", ((None if i < 15_000 else "same", i % 10_000) for i in range(30_000)))
    con.commit()
    con.close()
    ok("up", "s.db")
    p = subprocess.Popen([XTCTL, "copy", "s.db", "t.db"], env=dict(os.environ, XETRACK_TRACE="proto"), stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True)
    fetches = 0
    for line in p.stderr:
        fetches += "fetch" in line
        if fetches in (5, 40):  # in the rows of no time, and in the others
            os.kill(pid_of("s.db"), signal.SIGKILL)
            fetches += 1
    assert p.wait(timeout=TIMEOUT) == 0 and p.stdout.read() == "30,000 rows copied\n"
    both = "SELECT timestamp, i, count(*) FROM events GROUP BY 1, 2 ORDER BY 1, 2"
    assert sqlite("t.db", both) == sqlite("s.db", both)
