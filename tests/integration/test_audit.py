"""xtctl audit: what adds up, and each kind of discrepancy by its name. config, and clients that are forgotten."""
import json

import pytest
from conftest import fails, sqlite
from xtctl import ok, run


def audit(db, code=0):
    p = run("audit", db, "--json")
    assert p.returncode == code, p.stdout + p.stderr
    return json.loads(p.stdout)


def human(db, code=0):
    p = run("audit", db, "--quick")
    assert p.returncode == code, p.stdout + p.stderr
    return p.stdout


def test_an_empty_database(served):
    a = audit(served.db)
    assert a["ok"] and a["clients"] == a["assigned"] == a["rows_there"] == 0
    assert "everything adds up" in human(served.db)


def test_all_that_can_happen_to_rows(served, client):
    client.change("run_start", track_id="r")
    client.store([{"a": i} for i in range(10)], track_id="r")
    client.store([{"": 1}, {"b": 1}], track_id="r")
    client.store([{"a": i} for i in range(7)], track_id="gone", table="other")
    client.change("set", key="c", value=1, track_id="r")
    client.change("exec", sql="DELETE FROM events WHERE a < 3")
    client.change("exec", sql="INSERT INTO events (track_id, a) VALUES ('r', 100), ('nobody', 1)")
    client.change("exec", sql="UPDATE events SET track_id = 'gone' WHERE a = 4")
    client.change("delete_run", track_id="gone", force=True)
    a = audit(served.db)
    assert a["ok"], a["findings"]
    assert (a["clients"], a["stored"], a["rejected"], a["requests"]) == (1, 18, 1, 6)
    assert a["assigned"] == 25 and a["unknown"] == 0
    # 10 + 1 of r and 7 of gone were logged; one row of r went to `gone`.
    assert (a["rows_logged"], a["rows_inserted"], a["rows_deleted"], a["rows_there"]) == (18, 2, 3 + 1 + 8, 8)
    assert client.rows("SELECT rows, inserted, deleted FROM xt_runs WHERE track_id = 'r'") == [[11, 1, 4]]


@pytest.mark.parametrize("sql, left", [("DROP TABLE other", 10), ("DELETE FROM events", 5),
                                       ("CREATE TABLE copy AS SELECT * FROM events", 25),
                                       ("ALTER TABLE other RENAME TO another", 15),
                                       ("INSERT INTO other (track_id, i) SELECT track_id, i FROM events", 25),
                                       ("REPLACE INTO keyed VALUES ('r', 1), ('s', 2)", 17)])
def test_statements_of_users(served, client, sql, left):
    client.store([{"i": i} for i in range(10)], track_id="r")
    client.store([{"i": i} for i in range(5)], track_id="s", table="other")
    if "keyed" in sql:
        client.change("exec", sql="CREATE TABLE keyed (track_id TEXT, k INTEGER PRIMARY KEY)")
        client.change("exec", sql="INSERT INTO keyed VALUES ('s', 1), ('s', 2)")
    client.change("exec", sql=sql)
    a = audit(served.db)
    assert a["ok"], a["findings"]
    assert a["rows_there"] == left


GENERATED = {
    "virtual": "v AS (n + 1), track_id TEXT, timestamp TEXT, n",
    "stored": "s AS (n + 1) STORED, track_id TEXT, timestamp TEXT, n",
    "both": "v AS (n + 1), s AS (track_id || 's') STORED, w AS (track_id), timestamp TEXT, track_id TEXT, u AS (1), n",
    "behind": "track_id TEXT, timestamp TEXT, n, v AS (track_id), s AS (track_id || 's') STORED",
    "key": "v AS (n + 1), s AS (n) STORED, track_id TEXT, timestamp TEXT, n INTEGER PRIMARY KEY",
    "no rowids": "v AS (n + 1), s AS (n) STORED, track_id TEXT, timestamp TEXT, n PRIMARY KEY) WITHOUT ROWID",
    "no rowids, in its key": "v AS (n + 1), n, s AS (n) STORED, track_id TEXT, timestamp TEXT, PRIMARY KEY (n, track_id)) WITHOUT ROWID",
}


@pytest.mark.parametrize("table", GENERATED)
def test_generated_columns_before_the_run(daemon, db, table):
    """Whose rows come and go is told by track_id, wherever it stands."""
    columns = GENERATED[table]
    sqlite(db, f"CREATE TABLE events({columns}" + ("" if "ROWID" in columns else ")"))
    with daemon(db).client() as c:
        c.store([{"n": n} for n in range(10)], track_id="r")
        c.store([{"n": n} for n in range(10, 15)], track_id="s")
        c.change("exec", sql="DELETE FROM events WHERE n IN (1, 2, 11)")
        c.change("exec", sql="INSERT INTO events(track_id, timestamp, n) VALUES ('r', 't', 100), ('s', 't', 101), ('s', 't2', 102)")
        c.change("exec", sql="UPDATE events SET track_id = 's' WHERE n IN (3, 4, 5, 6)")
        c.change("exec", sql="UPDATE events SET timestamp = timestamp || 'x' WHERE n < 9")
        c.change("exec", sql="UPDATE events SET n = n + 1000 WHERE track_id = 's'")
        c.change("exec", sql="REPLACE INTO events(track_id, timestamp, n) VALUES ('r', 't9', 103)")
        assert c.rows("SELECT track_id, inserted - deleted FROM xt_runs ORDER BY 1", after=c.seq) == [["r", -4], ["s", 5]]
        assert audit(db)["ok"]
        c.change("exec", sql="DELETE FROM events")
        a = audit(db)
        assert a["ok"] and a["rows_there"] == 0


def test_a_refused_statement_counts_nothing(served, client):
    client.store([{"i": i} for i in range(10)], track_id="r")
    fails("sql_error", client.change, "exec", sql="DELETE FROM events WHERE nosuch(i)")
    client.change("exec", sql="CREATE UNIQUE INDEX only_one ON events(i)")
    fails("constraint", client.change, "exec", sql="INSERT INTO events (track_id, i) VALUES ('r', 77), ('r', 3)")
    assert audit(served.db)["rows_there"] == 10


def test_a_run_whose_first_rows_a_statement_put_there(served, client):
    client.store({"a": 1}, track_id="x")
    client.change("exec", sql="INSERT INTO events (track_id, a) VALUES ('y', 2), ('y', 3)")
    client.store({"a": 4}, track_id="y")
    a = audit(served.db)
    assert a["ok"], a["findings"]
    assert (a["rows_logged"], a["rows_inserted"], a["rows_there"]) == (2, 2, 4)


def test_rows_that_another_program_took_or_put(served, client):
    client.store([{"i": i} for i in range(10)], track_id="r")
    client.store([{"i": i} for i in range(10)], track_id="s")
    sqlite(served.db, "DELETE FROM events WHERE track_id = 'r' AND i > 6")
    sqlite(served.db, "INSERT INTO events (track_id, i) VALUES ('s', 1)")
    sqlite(served.db, "INSERT INTO events (track_id, i) VALUES ('theirs', 1)")
    a = audit(served.db, code=1)
    assert not a["ok"] and len(a["findings"]) == 2
    assert any("run r" in f and "3 are missing" in f for f in a["findings"])
    assert any("run s" in f and "1 too many" in f for f in a["findings"])
    assert "it does not add up" in human(served.db, code=1)


def test_a_client_whose_rows_never_came(served, daemon):
    with served.client() as c:
        c.store({"a": 1})
        c.notify("bye", last_seq=5)
        c.flush()
        name = c.id.hex()
    (finding,) = audit(served.db, code=1)["findings"]
    assert name in finding and "4 of its rows or requests" in finding


def test_what_a_dead_client_never_sent_is_unknown(served):
    with served.client() as c:
        c.store({"a": 1})
        with served.client(client_id=c.id, last_seq=9, acked=1):
            pass
    a = audit(served.db)
    assert a["ok"] and a["unknown"] == 8


def test_a_mark_that_was_tampered_with(served):
    with served.client() as c:
        c.store({"a": 1})
    served.stop()
    sqlite(served.db, "UPDATE xt_clients SET mark = mark + 3")
    assert "4 numbers are applied, but 1 are accounted for" in human(served.db, code=1)
    ok("down", served.db)


def test_a_database_that_others_made(daemon, db):
    """Rows under the name of a run that were there before are not taken for logged ones."""
    sqlite(db, "CREATE TABLE events (track_id TEXT, timestamp TEXT, a, PRIMARY KEY (track_id, timestamp))")
    sqlite(db, "INSERT INTO events VALUES ('old', '2024-01-01 00:00:00', 1), ('old', '2024-01-01 00:00:01', 2)")
    with daemon(db).client() as c:
        c.store({"a": 3}, track_id="old")
        c.store({"a": 3}, track_id="new")
        assert c.rows("SELECT track_id, inserted FROM xt_runs ORDER BY 1") == [["new", 0], ["old", 2]]
    assert audit(db)["rows_there"] == 4


def test_layout_1_is_brought_up_to_date(daemon, db):
    with daemon(db).client() as c:
        c.change("run_start", track_id="r")
        c.store({"a": 1}, track_id="r")
        c.change("run_start", track_id="dead")
        c.store({"a": 1}, track_id="dead")
        c.change("delete_run", track_id="dead", force=True)
        client_id = c.id
    ok("down", db)
    for table, columns in (("xt_clients", ["requests"]), ("xt_runs", ["inserted", "deleted", "cause"])):
        for column in columns:
            sqlite(db, f"ALTER TABLE {table} DROP COLUMN {column}")
    sqlite(db, "DROP TABLE xt_workers")
    sqlite(db, "DELETE FROM xt_meta WHERE key = 'adopted'")
    sqlite(db, "UPDATE xt_meta SET value = 1 WHERE key = 'version'")
    with daemon(db, "--revive").client(client_id=client_id) as c:
        assert c.mark == 5
        c.store({"a": 2}, track_id="r")
    a = audit(db)
    assert a["ok"], a["findings"]
    assert a["requests"] == 3 and a["rows_there"] == 2


def test_config(served, client, daemon):
    assert client.change("config", key="forget_clients_days", value=7) == {"value": 7}
    e = fails("out_of_range", client.change, "config", key="forget_clients_days", value=0)
    assert "forget_clients_days" in e.message
    e = fails("out_of_range", client.change, "config", key="nonsense", value=1)
    assert "forget_clients_days" in e.message, "the settings that there are"
    assert client.rows("SELECT key, value FROM xt_config") == [["forget_clients_days", 7]]
    assert client.change("config", key="forget_clients_days") == {"value": 30}
    assert client.rows("SELECT count(*) FROM xt_config") == [[0]]


def test_clients_are_forgotten_but_not_their_count(daemon, db):
    d = daemon(db)
    ids = []
    for i in range(4):
        with d.client() as c:
            c.store([{"i": i}, {"": 1}], track_id=f"run-{i}")
            ids.append(c.id)
    d.stop()
    sqlite(db, "UPDATE xt_clients SET seen = '2020-01-01 00:00:00.000000'")
    (db.parent / "b.db.spool").mkdir(mode=0o700)
    (db.parent / "b.db.spool" / ids[1].hex()).symlink_to("nowhere")
    d = daemon(db, "--grace-ms", "1500")
    with d.client(client_id=ids[0], last_seq=2), d.client(last_seq=0) as looker:
        while (n := looker.value("SELECT count(*) FROM xt_clients", after=0)) > 2:
            assert n == 4
        left = {bytes(c) for c, in looker.rows("SELECT client FROM xt_clients", after=0)}
        assert left == {ids[0], ids[1]}, "neither the one that is here nor the one that has a spool"
        assert looker.value("SELECT count(*) FROM xt_outbox", after=0) == 4  # an answer and a reject of each
    (db.parent / "b.db.spool" / ids[1].hex()).unlink()
    a = audit(db)
    assert a["ok"], a["findings"]
    assert "2 more are forgotten by age" in human(db)
