"""`wait`, and the statements of docs/storage.md that follow a table: every row once, in the order of the commits, whatever
is deleted meanwhile and whoever writes."""
import random
import resource
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import crashed, fails, frame, sqlite

HEAD = """SELECT (SELECT coalesce(max(epoch), 0) FROM xt_epochs WHERE table_name = ?1) AS epoch,
  min(?3, coalesce((SELECT min(top) FROM xt_epochs WHERE table_name = ?1 AND epoch > ?2), ?3), top) AS seen, top
  FROM (SELECT coalesce(max(_rowid_), 0) AS top FROM events)"""
ROWS = """SELECT (SELECT coalesce(max(epoch), 0) FROM xt_epochs WHERE table_name = ?1) AS epoch, _rowid_, n FROM events
  WHERE _rowid_ > ?2 ORDER BY _rowid_"""


class Follower:
    """What a program does that shows a table's rows as they come."""

    def __init__(self, client):
        self.client = client
        self.epoch = self.seen = 0
        self.level = None
        self.shown = []

    def look(self):
        """The rows that came since the last look."""
        while True:
            self.epoch, self.seen, _ = self.client.rows(HEAD, args=["events", self.epoch, self.seen])[0]
            rows = self.client.rows(ROWS, args=["events", self.seen])
            if all(epoch == self.epoch for epoch, _, _ in rows):
                break
        new = [n for _, _, n in rows]
        self.seen = max([self.seen] + [rowid for _, rowid, _ in rows])
        self.shown += new
        return new

    def wait(self, **kw):
        kw.update({"level": self.level} if self.level is not None else {})
        self.level = self.client.call("wait", **kw)["level"]
        return self.level


@pytest.fixture
def follower(served, client):
    client.store({"n": 0}, track_id="first")
    with served.client() as c:
        f = Follower(c)
        f.wait()
        assert f.look() == [0]
        yield f


# ---- waiting --------------------------------------------------------------------


def test_a_level_is_told_at_once(client):
    level = client.call("wait")["level"]
    assert client.call("wait", level=level + 1)["level"] == level
    assert client.call("wait", level=level, wait_ms=0)["level"] == level
    assert client.call("wait", level=level, wait_ms=1)["level"] == level


def test_rows_end_a_wait(served, client):
    level = client.call("wait", table="t")["level"]
    with served.client() as other:
        waits = client.request("wait", table="t", level=level)
        other.store({"a": 1}, table="u")
        assert client.call("wait", table="t")["level"] == level  # of another table
        other.store({"a": 1}, table="T")
        assert client.response(waits)["level"] != level


def test_a_wait_that_comes_late_ends_at_once(client):
    level = client.call("wait")["level"]
    client.store({"a": 1})
    assert client.call("wait", level=level)["level"] != level


def test_a_rejected_row_ends_no_wait(client):
    client.store({"a": 1})
    level = client.call("wait")["level"]
    assert client.store({"a": 2**63}) == (0, 1)
    assert client.call("wait")["level"] == level


def test_a_wait_can_be_cancelled(client):
    level = client.call("wait")["level"]
    waits = client.request("wait", level=level)
    assert client.call("cancel", cursor=waits)["found"] is True
    assert client.response(waits)["level"] == level
    assert client.call("cancel", cursor=waits)["found"] is False


def test_waits_of_a_connection_are_bounded_and_end_with_it(served):
    with served.client() as c:
        level = c.call("wait")["level"]
        for _ in range(64):
            c.request("wait", level=level)
        fails("busy", c.call, "wait", level=level)
    with served.client() as c:
        c.store({"a": 1})  # wakes nobody that has gone
        assert c.call("wait", level=level)["level"] != level


def test_only_waits_of_tables_that_rose_end(served):
    with served.client() as c, served.client() as other:
        level = {t: c.call("wait", table=t)["level"] for t in ("a", "b", "c")}
        waits = {t: [c.request("wait", table=t, level=level[t]) for _ in range(3)] for t in level}
        late = c.request("wait", table="c", level=level["c"], wait_ms=1)
        other.store({"x": 1}, table="a")
        for w in waits["a"]:
            assert c.response(w)["level"] != level["a"]
        assert c.response(late)["level"] == level["c"]
        other.store({"x": 1}, table="C")
        for w in waits["c"]:
            assert c.response(w)["level"] != level["c"]
        for w in waits["b"]:
            assert w not in c.responses
            assert c.call("cancel", cursor=w)["found"] is True
            assert c.response(w)["level"] == level["b"]


def test_waits_end_by_their_time_in_that_order(served):
    with served.client() as c:
        level = c.call("wait")["level"]
        waits = [c.request("wait", level=level, wait_ms=ms) for ms in (60, 1, 120, 30)]
        order = []
        while len(order) < len(waits):
            message = c.pump()
            order += [waits.index(message[1])] if message[0] == 1 else []
        assert order == [1, 3, 0, 2]


@pytest.mark.skipif(resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 2500, reason="needs 800 connections at both ends")
def test_one_process_has_half_of_all_waits(daemon, db):
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(2500, limits[0]), limits[1]))
    many = []
    try:
        d = daemon(db)
        for _ in range(50000 // 64 + 2):
            many.append(d.client())
            level = many[-1].call("wait")["level"]
            many[-1].send_raw(b"".join(frame([0, 100 + i, "wait", [{"level": level}]]) for i in range(64)))
        error = many[-1].next_message()[2]  # it is the last that found no place
        assert error["code"] == "busy" and "50000 of them of this process" in error["message"]
        subprocess.run([sys.executable, "-c", f"""
import conftest, sys
c = conftest.Client({str(d.socket)!r})
w = c.request("wait", level=c.call("wait")["level"])
c.call("cancel", cursor=w)
c.response(w)
"""], check=True, cwd=Path(__file__).parents[1])
        many[0].store({"a": 1})
        for c in many[:-2]:
            assert {c.next_message()[1] for _ in range(64)} == set(range(100, 164))
    finally:
        for c in many:
            c.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_a_daemon_stops_while_clients_wait(daemon, db):
    d = daemon(db)
    with d.client() as c:
        c.request("wait", level=c.call("wait")["level"])
        d.stop()
        c.until_closed()


def test_another_daemon_has_another_level(daemon, db):
    d = daemon(db)
    with d.client() as c:
        level = c.call("wait")["level"]
    d.kill()
    with daemon(db).client() as c:
        assert c.call("wait", level=level)["level"] != level


def test_another_programs_rows_end_a_wait(served, client):
    client.store({"n": 1})
    other = sqlite3.connect(served.db)
    level = client.call("wait")["level"]
    for n in range(3):
        waits = client.request("wait", level=level)
        with other:
            other.execute("INSERT INTO events(track_id, timestamp, n) VALUES ('x', '2024', ?)", (n,))
        answer = client.response(waits)["level"]
        assert answer != level
        level = answer
    other.close()


def test_who_only_reads_is_told_of_others_rows(daemon, db):
    with sqlite3.connect(db) as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("CREATE TABLE events(track_id TEXT, timestamp TEXT, n)")
    with daemon(db, "--read-only").client() as c:
        level = c.call("wait")["level"]
        waits = c.request("wait", level=level)
        with other:
            other.execute("INSERT INTO events VALUES ('x', '2024', 1)")
        assert c.response(waits)["level"] != level
    other.close()


# ---- following ------------------------------------------------------------------


def epochs(client, table="events"):
    return client.rows("SELECT epoch, top FROM xt_epochs WHERE table_name = ? ORDER BY epoch", args=[table])


def test_rows_are_shown_once_though_the_last_ones_were_deleted(client, follower):
    client.store([{"n": 1}, {"n": 2}], track_id="second")
    assert follower.look() == [1, 2]
    client.change("delete_run", track_id="second", force=True)
    assert epochs(client) == [[1, 1]]
    client.store([{"n": 3}], track_id="third")
    client.store([{"n": 4}, {"n": 5}], track_id="third")
    assert client.rows("SELECT max(_rowid_) FROM events") == [[4]]  # the numbers of the second run are used again
    assert follower.look() == [3, 4, 5]
    assert follower.look() == []


def test_rows_from_the_middle_begin_no_epoch(client, follower):
    client.store([{"n": 1}], track_id="second")
    client.store([{"n": 2}], track_id="third")
    client.change("delete_run", track_id="second", force=True)
    assert epochs(client) == []
    assert follower.look() == [2]


def test_an_older_epoch_that_tells_no_more_goes(client):
    client.store([{"n": n} for n in range(10)], track_id="first")
    for top in (8, 9, 5):
        client.change("exec", sql=f"DELETE FROM events WHERE _rowid_ > {top}")
        client.store([{"n": n} for n in range(4)], track_id="more")
    assert epochs(client) == [[3, 5]]
    client.change("exec", sql="DELETE FROM events WHERE _rowid_ > 7")
    assert epochs(client) == [[3, 5], [4, 7]]


@pytest.mark.parametrize("statement, top, left", [
    ("DELETE FROM events", 0, []),
    ("DELETE FROM events WHERE n = 2", 2, [0, 1]),
    ("DROP TABLE events", 0, []),
    ("UPDATE events SET _rowid_ = 2 WHERE n = 1", None, [0, 1, 2]),
    ("INSERT INTO events(_rowid_, track_id, timestamp, n) VALUES (-5, 'x', '2024', 9)", None, [9, 0, 1, 2]),
])
def test_statements_of_users_begin_epochs(client, follower, statement, top, left):
    client.store([{"n": 1}, {"n": 2}], track_id="second")
    assert follower.look() == [1, 2]
    client.change("exec", sql=statement)
    assert epochs(client) == ([] if top is None else [[1, top]])
    client.store([{"n": 7}], track_id="third")
    assert follower.look() == [7]
    assert client.rows("SELECT n FROM events ORDER BY _rowid_") == [[n] for n in left + [7]]


def test_a_trigger_that_uses_numbers_again(client, follower):
    client.change("exec", sql="CREATE TRIGGER again AFTER DELETE ON events BEGIN "
                              "INSERT INTO events(track_id, timestamp, n) VALUES ('x', '2024', 100 + old.n); END")
    client.store([{"n": 1}], track_id="second")
    assert follower.look() == [1]
    client.change("exec", sql="DELETE FROM events WHERE n = 1")
    assert follower.look() == [101]


def test_an_exec_that_fails_begins_no_epoch(client, follower):
    client.store([{"n": 1}], track_id="second")
    fails("sql_error", client.change, "exec", sql="DELETE FROM events WHERE n = 1 AND json_extract('[', '$') IS NULL")
    assert epochs(client) == []


def test_another_program_deletes_the_last_rows(served, client, follower):
    client.store([{"n": 1}, {"n": 2}], track_id="second")
    assert follower.look() == [1, 2]
    with sqlite3.connect(served.db) as other:
        other.execute("DELETE FROM events WHERE n > 0")
    other.close()
    client.store([{"n": n} for n in (3, 4, 5)], track_id="third")
    assert follower.look() == [3, 4, 5]


def test_another_program_deletes_and_nothing_comes_for_a_while(served, client, follower):
    client.store([{"n": 1}, {"n": 2}], track_id="second")
    assert follower.look() == [1, 2]
    with sqlite3.connect(served.db) as other:
        other.execute("DELETE FROM events WHERE n > 0")
    other.close()
    assert follower.look() == []
    client.store([{"n": 3}], track_id="third")
    assert follower.look() == [3]


def test_a_database_that_is_made_smaller(daemon, db):
    with sqlite3.connect(db) as other:  # without an index SQLite numbers its rows anew
        other.execute("CREATE TABLE events(track_id TEXT, timestamp TEXT, n)")
        other.executemany("INSERT INTO events VALUES ('x', '2024', ?)", [(n,) for n in range(10)])
        other.execute("DELETE FROM events WHERE n < 5")
    other.close()
    with daemon(db).client() as c:
        f = Follower(c)
        assert f.look() == [5, 6, 7, 8, 9]
        c.call("compact")
        assert f.look() == []
        c.store({"n": 10})
        assert f.look() == [10]


TABLES = {
    "no index": ["CREATE TABLE events(track_id TEXT, timestamp TEXT, n)"],
    "generated": ["CREATE TABLE events(g AS (n + 1), track_id TEXT, timestamp TEXT, n)"],
    "odd": ['CREATE TABLE events("a ""b" TEXT, track_id TEXT, timestamp TEXT, n ANY) STRICT'],
    "index": ["CREATE TABLE events(track_id TEXT, timestamp TEXT, n)", "CREATE INDEX i ON events(n)"],
    "key": ["CREATE TABLE events(track_id TEXT, timestamp TEXT, n, id INTEGER PRIMARY KEY)"],
    "python": ["CREATE TABLE events(track_id TEXT, timestamp TEXT, n, PRIMARY KEY (track_id, timestamp))"],
    "ours": [],
}


@pytest.mark.parametrize("gone", ["n < 3", "n = 4 OR n = 11", "n % 2", "n > 17", "n < 30", "0"])
@pytest.mark.parametrize("table", TABLES)
def test_who_is_behind_when_the_database_is_made_smaller(daemon, db, table, gone):
    """Whatever each had seen, and whatever was deleted: what was not seen and is still there comes, once."""
    with sqlite3.connect(db) as other:
        for statement in TABLES[table]:
            other.execute(statement)
    with daemon(db).client() as c:
        c.store({"n": -1}, track_id="x")
        moments = []
        for n in range(20):
            c.store({"n": n}, track_id="x")
            f = Follower(c)
            (f.epoch, f.seen, _), = c.rows(HEAD, args=["events", 0, 1 << 60])
            moments.append((n, f))
        with other:
            other.execute(f"DELETE FROM events WHERE n >= 0 AND ({gone})")
        left = [n for n, in other.execute("SELECT n FROM events WHERE n >= 0 ORDER BY n")]
        schema = other.execute("SELECT * FROM sqlite_schema WHERE tbl_name = 'events' ORDER BY 1, 2").fetchall()
        ids = other.execute("SELECT _rowid_, n FROM events ORDER BY 1").fetchall()
        c.call("compact")
        assert other.execute("SELECT _rowid_, n FROM events ORDER BY 1").fetchall() == ids
        for n, f in moments[::2]:
            assert f.look() == [k for k in left if k > n]
        c.store([{"n": 100}, {"n": 101}], track_id="x")
        for n, f in moments:
            f.look()
            assert f.shown == [k for k in left if k > n] + [100, 101], n
        c.call("compact")
        assert all(f.look() == [] for _, f in moments)
        changed = other.execute("SELECT * FROM sqlite_schema WHERE tbl_name = 'events' ORDER BY 1, 2").fetchall()
        assert [row[:3] + row[4:] for row in changed] == [row[:3] + row[4:] for row in schema]  # but for root pages
    other.close()


def test_killed_while_numbers_are_kept(crashing, db):
    with sqlite3.connect(db) as other:
        other.execute("CREATE TABLE events(track_id TEXT, timestamp TEXT, n)")
        other.executemany("INSERT INTO events VALUES ('x', '2024', ?)", [(n,) for n in range(10)])
        other.execute("DELETE FROM events WHERE n < 5")
    other.close()
    d = crashing("numbers of rows are kept")
    with d.client() as c:
        c.request("compact")
        crashed(d)
    assert len(sqlite(db, "SELECT 1 FROM sqlite_schema WHERE name GLOB 'xt_compact_*'")) == 1
    with crashing().client() as c:
        assert c.rows("SELECT 1 FROM sqlite_schema WHERE name GLOB 'xt_compact_*'") == []
        c.call("compact")
        assert c.rows("SELECT _rowid_, n FROM events") == [[n + 1, n] for n in range(5, 10)]


def test_a_daemon_that_is_started_anew(daemon, db):
    d = daemon(db)
    with d.client() as c:
        f = Follower(c)
        c.store([{"n": 1}, {"n": 2}], track_id="a")
        assert f.look() == [1, 2]
        c.change("delete_run", track_id="a", force=True)
    d.kill()
    with daemon(db).client() as c:
        f.client = c
        c.store([{"n": 3}, {"n": 4}, {"n": 5}], track_id="b")
        assert f.look() == [3, 4, 5]


def test_whatever_happens_each_row_is_shown_once(served, client, follower):
    """Random changes; what is logged and stays long enough to be seen is shown once and in order."""
    rng = random.Random(7)
    other = sqlite3.connect(served.db, isolation_level=None)
    other.execute("PRAGMA busy_timeout = 10000")
    logged, runs, n = [0], [], 0
    for step in range(300):
        what = rng.random()
        if what < 0.5:
            rows = [{"n": n + k + 1} for k in range(rng.randint(1, 5))]
            n += len(rows)
            logged += [r["n"] for r in rows]
            runs.append(f"run-{step}")
            client.store(rows, track_id=runs[-1])
        elif what < 0.65 and runs:
            follower.look()
            client.change("delete_run", track_id=runs.pop(-1 if rng.random() < 0.7 else 0), force=True)
        elif what < 0.75:
            follower.look()
            client.change("exec", sql=f"DELETE FROM events WHERE n > {n - rng.randint(0, 10)}")
        elif what < 0.85:
            follower.look()
            other.execute("DELETE FROM events WHERE n > ?", (n - rng.randint(0, 10),))
            n += 1  # before the other puts rows there, somebody has to notice: the follower, or the daemon
            logged.append(n)
            if rng.random() < 0.5:
                follower.look()
                other.execute("INSERT INTO events(track_id, timestamp, n) VALUES ('x', '2024', ?)", (n,))
            else:
                client.store({"n": n}, track_id="y")
        else:
            n += 1
            logged.append(n)
            other.execute("INSERT INTO events(track_id, timestamp, n) VALUES ('x', '2024', ?)", (n,))
        if rng.random() < 0.3:
            follower.look()
    other.close()
    follower.look()
    assert follower.shown == logged


# ---- what is forgotten meanwhile --------------------------------------------------


def others(db, *statements):
    with sqlite3.connect(db) as o:
        for sql in statements:
            o.execute(sql)
    o.close()


@pytest.mark.parametrize("forget", [
    lambda c, db: (c.change("schema_freeze"), c.change("schema_freeze", thaw=True)),
    lambda c, db: c.change("exec", sql="CREATE INDEX i ON events(n)"),
    lambda c, db: others(db, "INSERT INTO events(track_id, n) VALUES ('other', -1)"),
    lambda c, db: c.log({"": 1}),
], ids=["a rule", "a statement", "another program", "a reject"])
def test_numbers_used_again_after_the_table_was_read_anew(served, client, forget):
    client.store([{"n": i} for i in range(6)])
    f = Follower(client)
    f.look()
    forget(client, served.db)
    client.flush()
    f.look()
    others(served.db, "DELETE FROM events WHERE n >= 3 OR n < 0")
    client.store([{"n": 77}, {"n": 78}])
    assert f.look() == [77, 78]


def test_numbers_used_again_after_a_restart(served, client, daemon):
    client.store([{"n": i} for i in range(6)])
    f = Follower(client)
    f.look()
    served.stop()
    with daemon(served.db).client() as c:
        f.client = c
        others(served.db, "DELETE FROM events WHERE n >= 3")
        c.store([{"n": 77}, {"n": 78}])
        assert f.look() == [77, 78]


@pytest.mark.parametrize("goes", [
    lambda c, db: others(db, "DROP TABLE events"),
    lambda c, db: c.change("exec", sql="ALTER TABLE events RENAME TO old_events"),
    lambda c, db: others(db, "ALTER TABLE events RENAME TO old_events"),
    lambda c, db: c.change("exec", sql="DROP TABLE events"),
], ids=["dropped by others", "renamed", "renamed by others", "dropped"])
def test_a_table_that_goes_and_comes_back(served, client, goes):
    client.store([{"n": i} for i in range(6)])
    f = Follower(client)
    f.look()
    goes(client, served.db)
    client.store([{"n": 77}, {"n": 78}])
    assert f.look() == [77, 78]


def test_a_name_that_no_table_has(client):
    fails("bad_name", client.call, "wait", table="x" * 257)
