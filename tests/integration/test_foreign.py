"""Tables, triggers, indexes and changes that others made: taken as they are, and no row lost to them."""
import sqlite3

import pytest
from conftest import Client, sqlite


def stored(client, column):
    return client.rows(f'SELECT "{column}", typeof("{column}") FROM events ORDER BY rowid')


def keys(client):
    return {c["key"]: c["name"] for c in client.call("columns", after=client.seq)["columns"]}


def test_python_library_database(daemon, db):
    """PRIMARY KEY (track_id, timestamp): rows of equal timestamps are all kept."""
    con = sqlite3.connect(db)
    con.execute("CREATE TABLE events (timestamp TEXT, track_id TEXT, loss REAL, PRIMARY KEY (track_id, timestamp))")
    con.execute("INSERT INTO events VALUES ('2024-01-01 00:00:00.000000', 'old-run-0001', 0.5)")
    con.commit()
    con.close()
    with daemon(db).client() as c:
        assert c.store([{"loss": i / 100, "i": i} for i in range(100)], time=1700000000000000) == (100, 0)
        assert c.store([{"loss": i / 100, "i": 100 + i} for i in range(100)], time=1700000000000000) == (100, 0)
        assert c.value("SELECT count(DISTINCT i) FROM events") == 200
        assert c.value("SELECT count(DISTINCT timestamp) FROM events WHERE i IS NOT NULL") == 200
        assert c.rows("SELECT loss FROM events WHERE track_id = 'old-run-0001'") == [[0.5]]


def test_foreign_constraint_rejects_one_row(daemon, db):
    sqlite(db, "CREATE TABLE events (track_id TEXT, timestamp TEXT, name TEXT UNIQUE NOT NULL, n INTEGER CHECK (n > 0))")
    with daemon(db).client() as c:
        rows = [{"name": "a", "n": 1}, {"name": "a", "n": 2}, {"name": "b", "n": -1}, {"n": 3}, {"name": "c", "n": 4}]
        assert c.store(rows) == (2, 3)
        assert [(r["seq"], r["code"]) for r in c.named("reject")] == [(2, "constraint"), (3, "constraint"), (4, "constraint")]
        assert c.rows("SELECT name FROM events ORDER BY name") == [["a"], ["c"]]


def test_foreign_alter_is_taken_in(client, served):
    client.store({"a": 1})
    sqlite(served.db, "ALTER TABLE events ADD COLUMN b INTEGER")
    assert client.store({"a": 2, "b": 3}) == (1, 0)
    assert client.rows("SELECT a, b FROM events ORDER BY a") == [[1, None], [2, 3]]
    sqlite(served.db, "ALTER TABLE events RENAME COLUMN a TO z")
    assert client.store({"a": 5}) == (1, 0)
    assert client.rows("SELECT a FROM events WHERE a IS NOT NULL") == [[5]]
    sqlite(served.db, "DROP TABLE events")
    assert client.store({"a": 6}) == (1, 0)
    assert client.rows("SELECT a FROM events") == [[6]]


def test_rows_that_roll_everything_back(daemon, db):
    """A foreign trigger with RAISE(ROLLBACK): the rows it dislikes are rejected, each alone, however many."""
    sqlite(db, "CREATE TABLE events (track_id TEXT, timestamp TEXT, i INTEGER)")
    sqlite(db, "CREATE TRIGGER dislike BEFORE INSERT ON events WHEN new.i % 3 = 0 BEGIN SELECT RAISE(ROLLBACK, 'no threes'); END")
    with daemon(db).client() as c, Client(c.path) as other:
        other.log({"i": 1}, track_id="other")
        assert c.store([[i] for i in range(3000)], columns=["i"]) == (2000, 1000)
        other.until_ack(1)
        assert c.rows("SELECT count(*), count(DISTINCT i), sum(i % 3 = 0) FROM events WHERE track_id = 't'") == [[2000, 2000, 0]]
        assert [r["seq"] for r in c.named("reject")] == [1 + i for i in range(0, 3000, 3)]
        assert c.call("status")["duplicates"] == 0


FOREIGN = [("x INTEGER", "STRICT", ["seven", 7]), ("x INTEGER PRIMARY KEY", "", [1.5, "t", 7]),
           ("x INTEGER PRIMARY KEY AUTOINCREMENT", "", [1.5, 7])]


@pytest.mark.parametrize("column, options, values", FOREIGN, ids=["strict", "key", "autoincrement"])
def test_declarations_that_can_not_be_widened(daemon, db, column, options, values):
    """Such a row is rejected alone; the schema stays as it is."""
    sqlite(db, f"CREATE TABLE events (track_id TEXT, timestamp TEXT, {column}) {options}")
    before = sqlite(db, "SELECT sql FROM sqlite_schema WHERE name = 'events'")
    with daemon(db).client() as c:
        assert c.store([{"x": v} for v in values]) == (1, len(values) - 1)
        assert {r["code"] for r in c.named("reject")} == {"constraint"}
        assert c.rows("SELECT x FROM events") == [[7]]
        assert c.rows("PRAGMA integrity_check") == [["ok"]]
    assert sqlite(db, "SELECT sql FROM sqlite_schema WHERE name = 'events'") == before


def test_indexes_stay_right_when_a_column_is_widened(daemon, db):
    sqlite(db, "CREATE TABLE events (track_id TEXT, timestamp TEXT, x TEXT)")
    sqlite(db, "CREATE INDEX pi ON events (track_id) WHERE x = 1")
    sqlite(db, "CREATE INDEX ex ON events (x || 'y')")
    with daemon(db).client() as c:
        c.store([{"x": "1"}, {"x": "b"}])
        c.store([{"x": 1}, {"x": 2.5}])
        assert c.rows("PRAGMA integrity_check") == [["ok"]]
        assert c.rows("SELECT count(*) FROM events WHERE x = 1") == [[1]]


def test_whole_reals_stay_real_without_the_type(client):
    client.store([{"x": 1.0}, {"x": 2.5}])
    client.store({"x": "text"})
    assert stored(client, "x") == [[1.0, "real"], [2.5, "real"], ["text", "text"]]


def test_another_unique_column_in_a_python_database(daemon, db):
    """A duplicate there is no equal timestamp: the row is rejected, at once."""
    sqlite(db, "CREATE TABLE events (timestamp TEXT, track_id TEXT, x, PRIMARY KEY (track_id, timestamp))")
    sqlite(db, "CREATE UNIQUE INDEX u ON events (x)")
    with daemon(db).client() as c:
        assert c.store([{"x": 1}, {"x": 1}, {"x": 2}], time=1700000000000000) == (2, 1)
        assert c.named("reject")[0]["code"] == "constraint"


def test_table_renamed_by_another_program(client, served):
    client.store({"a/b": 1})
    sqlite(served.db, "ALTER TABLE events RENAME TO events_old")
    assert client.store({"a/b": 2}) == (1, 0)
    assert keys(client)["a/b"] == "a_b"
    assert client.rows("SELECT count(*) FROM pragma_index_list('events')") == [[1]]


def test_refused_row_leaves_no_column(daemon, db):
    sqlite(db, "CREATE TABLE events (track_id TEXT, timestamp TEXT, n INTEGER CHECK (n > 0))")
    with daemon(db).client() as c:
        assert c.store([{"n": -1, "typo": 1}, {"n": 1}]) == (1, 1)
        assert c.rows("SELECT count(*) FROM pragma_table_info('events')") == [[3]]
        assert c.rows("SELECT count(*) FROM xt_columns") == [[0]]


def test_internal_table_dropped_by_another_program(daemon, db):
    """The daemon leaves and nothing is rejected; the next one makes the table anew."""
    d = daemon(db)
    with d.client() as c:
        c.store({"a": 1})
        sqlite(db, "DROP TABLE xt_columns")
        c.log({"b": 2})
        c.until_closed()
        assert c.named("reject") == []
    d.expected = d.wait()
    with daemon(db).client(client_id=c.id, last_seq=2, acked=1) as again:
        assert again.welcome["mark"] == 1
        again.seq = 1
        assert again.store({"b": 2}) == (1, 0)
