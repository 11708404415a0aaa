"""xtctl copy: what tests/python/test_copy.py, which runs it too, does not reach: processes that end in the middle."""
import json
import os
import signal
import sqlite3
import subprocess
import time

import pytest
from conftest import BUILD, TIMEOUT, XTCTL, sqlite
from test_export import ok, refused

pytestmark = pytest.mark.skipif(not os.access(XTCTL, os.X_OK), reason=f"{XTCTL} is not built")
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
        assert "goes on from there" in err
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
