"""query, fetch, cancel, exec, tables, columns: and what is refused."""
import json
import os
import sqlite3
import subprocess
import threading

import pytest
from conftest import RpcError, fails, sqlite

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
ENDLESS_ROWS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"


def test_first_page_and_the_rest(client):
    client.store([[i] for i in range(2500)], columns=["i"])
    msgid = client.request("query", sql="SELECT i FROM events ORDER BY i", page_rows=1000, after=client.seq)
    page = client.response(msgid)
    assert page["columns"] == ["i"] and page["types"] == ["INTEGER"] and page["done"] is False
    got = page["rows"]
    sizes = [len(got)]
    while not page["done"]:
        page = client.call("fetch", cursor=msgid)
        sizes.append(len(page["rows"]))
        got += page["rows"]
    assert got == [[i] for i in range(2500)]
    assert max(sizes) <= 1000
    fails("cursor_expired", client.call, "fetch", cursor=msgid)


def test_types_of_values(client):
    assert client.rows("SELECT 1, -1, 0.5, 'ü', x'00ff', NULL, 9223372036854775807, 9e999") == \
        [[1, -1, 0.5, "ü", b"\0\xff", None, 2**63 - 1, float("inf")]]


def test_values_at_the_bounds_of_their_encodings(client):
    """MessagePack writes a number, and a length, in as few bytes as it takes."""
    edges = [n for k in (0, 5, 7, 8, 15, 16, 31, 32, 62, 63) for n in (2**k - 1, 2**k, -(2**k) - 1, -(2**k)) if -(2**63) <= n < 2**63]
    assert client.rows("SELECT value FROM json_each(?)", args=[json.dumps(edges)]) == [[n] for n in edges]
    lengths = [0, 1, 7, 8, 9, 15, 31, 32, 33, 255, 256, 65535, 65536, 200000]
    rows = client.rows("SELECT hex(zeroblob(value / 2)) || substr('x', 1, value % 2), zeroblob(value) FROM json_each(?)",
                       args=[json.dumps(lengths)])
    assert rows == [["0" * (n // 2 * 2) + "x" * (n % 2), bytes(n)] for n in lengths]
    texts = ["ü" * n + "x" for n in range(20)]
    assert client.rows("SELECT value FROM json_each(?)", args=[json.dumps(texts)]) == [[t] for t in texts]


@pytest.mark.parametrize("columns", [15, 16, 2000])
def test_rows_of_many_columns(client, columns):
    assert client.rows("SELECT " + ", ".join(str(i) for i in range(columns))) == [list(range(columns))]


def test_text_that_is_not_utf8_comes_as_bytes_or_text(client):
    (row,) = client.rows("SELECT CAST(x'c328' AS TEXT)")
    assert row[0] in (b"\xc3\x28", "\ufffd(")


def test_empty_result(client):
    r = client.call("query", sql="SELECT 1 AS a, 2 AS b WHERE 0")
    assert r == {"columns": ["a", "b"], "types": ["", ""], "rows": [], "done": True}


def test_pages_are_bounded_in_bytes(client):
    msgid = client.request("query", sql="WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) "
                                        "SELECT i, zeroblob(100000) FROM n")
    page = client.response(msgid)
    assert sum(len(r[1]) for r in page["rows"]) <= 262144 + 100000
    n = len(page["rows"])
    while not page["done"]:
        page = client.call("fetch", cursor=msgid)
        n += len(page["rows"])
    assert n == 100


def test_a_row_larger_than_a_message(client):
    fails("too_large", client.call, "query", sql="SELECT zeroblob(17000000)")
    sql = "SELECT 1, 'x' UNION ALL SELECT 2, zeroblob(16700000) UNION ALL SELECT 3, zeroblob(17000000)"
    msgid = client.request("query", sql=sql)
    assert [row[0] for row in client.response(msgid)["rows"]] == [1, 2]
    fails("too_large", client.call, "fetch", cursor=msgid)


def test_several_cursors(client):
    client.store([[i] for i in range(50)], columns=["i"])
    a = client.request("query", sql="SELECT i FROM events ORDER BY i", page_rows=10)
    b = client.request("query", sql="SELECT i FROM events ORDER BY i DESC", page_rows=10)
    assert client.response(b)["rows"][0] == [49]
    assert client.response(a)["rows"][0] == [0]
    assert client.call("fetch", cursor=b)["rows"][0] == [39]
    assert client.call("fetch", cursor=a)["rows"][0] == [10]
    assert client.call("status")["cursors"] == 2
    assert client.call("cancel", cursor=a) == {"found": True}
    assert client.call("cancel", cursor=b) == {"found": True}
    fails("cursor_expired", client.call, "fetch", cursor=a)


def test_cursors_belong_to_their_connection(client, served):
    msgid = client.request("query", sql=ENDLESS_ROWS, page_rows=2)
    client.response(msgid)
    with served.client() as other:
        fails("cursor_expired", other.call, "fetch", cursor=msgid)
        assert other.call("cancel", cursor=msgid) == {"found": False}
    assert client.call("fetch", cursor=msgid)["rows"] == [[3], [4]]


def test_cursor_reads_a_snapshot(client):
    client.store([[i] for i in range(10)], columns=["i"])
    msgid = client.request("query", sql="SELECT i FROM events ORDER BY i", page_rows=5, after=client.seq)
    client.response(msgid)
    client.store([[i] for i in range(10, 20)], columns=["i"])
    page = client.call("fetch", cursor=msgid)
    rest = page["rows"]
    while not page["done"]:
        page = client.call("fetch", cursor=msgid)
        rest += page["rows"]
    assert rest == [[i] for i in range(5, 10)]


def test_cancel_of_an_endless_query(client):
    msgid = client.request("query", sql=ENDLESS)
    assert client.call("cancel", cursor=msgid) == {"found": True}
    fails("cancelled", client.response, msgid)
    assert client.call("cancel", cursor=msgid) == {"found": False}
    assert client.value("SELECT 1") == 1


def test_closed_socket_ends_its_queries(client, served):
    for _ in range(20):
        with served.client() as c:
            c.request("query", sql=ENDLESS)
    assert client.value("SELECT 1") == 1
    while client.call("status")["cursors"] > 0:
        pass


def test_timeout(client):
    fails("timed_out", client.call, "query", sql=ENDLESS, timeout_ms=50)
    assert client.value("SELECT 1") == 1


def test_endless_query_does_not_stop_writers(client):
    msgid = client.request("query", sql=ENDLESS)
    client.log({"a": 1})
    client.until_ack(1)
    client.call("cancel", cursor=msgid)
    fails("cancelled", client.response, msgid)


@pytest.mark.parametrize("sql", ["SELEKT 1", "SELECT", "SELECT * FROM none", "SELECT none", "", " ", "-- nothing",
                                 "SELECT 1; SELECT 2", "SELECT ?1 + abs(-9223372036854775808)", "SELECT json('{')"])
def test_wrong_sql(client, sql):
    with pytest.raises(RpcError) as e:
        client.call("query", sql=sql)
    assert e.value.code in ("sql_error", "no_such_table", "no_such_column", "out_of_range"), e.value
    assert e.value.message
    assert client.value("SELECT 1") == 1


@pytest.mark.parametrize("sql", ["INSERT INTO events VALUES (1)", "DELETE FROM events", "UPDATE events SET a = 2",
                                 "CREATE TABLE x (a)", "DROP TABLE events", "ALTER TABLE events ADD COLUMN z",
                                 "CREATE INDEX i ON events(a)", "REINDEX"])
def test_query_that_writes(client, sql):
    client.store({"a": 1})
    with pytest.raises(RpcError) as e:
        client.call("query", sql=sql, after=client.seq)
    assert e.value.code in ("sql_writes", "sql_error" if "VALUES" in sql else "sql_writes"), e.value
    assert client.rows("SELECT a FROM events") == [[1]]


DENIED = ["ATTACH ':memory:' AS x", "ATTACH '/etc/passwd' AS x", "DETACH main", "PRAGMA writable_schema = 1",
          "SELECT load_extension('/tmp/x.so')", "BEGIN", "BEGIN IMMEDIATE", "COMMIT", "ROLLBACK", "SAVEPOINT s", "RELEASE s",
          "VACUUM INTO '/tmp/xt-never.db'", "PRAGMA journal_mode = DELETE", "PRAGMA synchronous = OFF",
          "PRAGMA locking_mode = EXCLUSIVE", "PRAGMA wal_checkpoint(TRUNCATE)", "PRAGMA temp_store_directory = '/tmp'"]


@pytest.mark.parametrize("sql", DENIED)
def test_denied_in_exec(client, sql):
    client.store({"a": 1})
    fails("sql_denied", client.change, "exec", sql=sql)
    assert client.store({"a": 2}) == (1, 0)
    assert not os.path.exists("/tmp/xt-never.db")


@pytest.mark.parametrize("sql", DENIED)
def test_denied_in_query(client, sql):
    with pytest.raises(RpcError) as e:
        client.call("query", sql=sql)
    assert e.value.code in ("sql_denied", "sql_writes"), e.value
    assert client.value("SELECT 1") == 1


@pytest.mark.parametrize("sql", ["DELETE FROM xt_runs", "UPDATE xt_clients SET mark = 0", "DROP TABLE xt_outbox",
                                 "INSERT INTO xt_meta VALUES ('a', 1)", "ALTER TABLE xt_runs ADD COLUMN z",
                                 "CREATE TABLE xt_mine (a)", "UPDATE sqlite_schema SET sql = ''",
                                 "CREATE TRIGGER z AFTER INSERT ON xt_runs BEGIN SELECT 1; END"])
def test_internal_tables_can_not_be_written(client, sql):
    client.change("run_start", track_id="r")
    with pytest.raises(RpcError) as e:
        client.change("exec", sql=sql)
    assert e.value.code in ("sql_denied", "sql_error" if "sqlite_schema" in sql else "sql_denied"), e.value
    assert client.value("SELECT count(*) FROM xt_runs") == 1


def test_internal_tables_can_not_be_written_by_a_trigger(client):
    client.store({"a": 1})
    runs = client.value("SELECT count(*) FROM xt_runs")
    try:
        client.change("exec", sql="CREATE TRIGGER z AFTER DELETE ON events BEGIN DELETE FROM xt_runs; END")
        client.change("exec", sql="DELETE FROM events")
    except RpcError as e:
        assert e.code == "sql_denied"
    assert client.value("SELECT count(*) FROM xt_runs") == runs == 1


def test_internal_tables_can_be_read(client):
    client.change("run_start", track_id="r")
    assert client.value("SELECT track_id FROM xt_runs") == "r"


def test_exec_counts(client):
    assert client.change("exec", sql="CREATE TABLE notes (id INTEGER PRIMARY KEY, t TEXT)") == {"changed": 0}
    assert client.change("exec", sql="INSERT INTO notes (t) VALUES ('a'), ('b'), ('c')") == {"changed": 3}
    assert client.change("exec", sql="UPDATE notes SET t = 'x' WHERE id > 1") == {"changed": 2}
    assert client.change("exec", sql="DELETE FROM notes") == {"changed": 3}
    assert client.change("exec", sql="DELETE FROM notes") == {"changed": 0}


def test_exec_fails_whole(client):
    client.change("exec", sql="CREATE TABLE u (a UNIQUE)")
    with pytest.raises(RpcError) as e:
        client.change("exec", sql="INSERT INTO u VALUES (1), (2), (1)")
    assert e.value.code in ("constraint", "sql_error")
    assert client.value("SELECT count(*) FROM u") == 0
    assert client.store({"a": 1}) == (1, 0)


def test_rollback_conflict_clause_does_not_undo_neighbours(client):
    """OR ROLLBACK in a statement rolls the whole transaction back; what was acknowledged stays."""
    client.change("exec", sql="CREATE TABLE u (a UNIQUE)")
    client.change("exec", sql="INSERT INTO u VALUES (1)")
    client.log({"i": 1})
    bad = client.seq + 1
    client.seq = bad
    msgid = client.request("exec", seq=bad, sql="INSERT OR ROLLBACK INTO u VALUES (1)")
    client.log({"i": 2})
    with pytest.raises(RpcError):
        client.response(msgid)
    client.until_ack(client.seq)
    assert client.rows("SELECT i FROM events ORDER BY i") == [[1], [2]]


def test_exec_timeout(client):
    client.change("exec", sql="CREATE TABLE u (a)")
    fails("timed_out", client.change, "exec", timeout_ms=50, sql="INSERT INTO u " + ENDLESS_ROWS)
    assert client.value("SELECT count(*) FROM u") == 0
    assert client.store({"a": 1}) == (1, 0)


def test_args(client):
    assert client.rows("SELECT ?, ?, ?, ?, ?, ?", args=[1, 0.5, "ü", b"\0", None, True]) == \
        [[1, 0.5, "ü", b"\0", None, 1]]
    assert client.rows("SELECT :a, $b, @c", args={"a": 1, "b": 2, "c": 3}) == [[1, 2, 3]]
    client.change("exec", sql="CREATE TABLE u (a, b)")
    assert client.change("exec", sql="INSERT INTO u VALUES (:x, :y)", args={"x": "p", "y": 5}) == {"changed": 1}
    assert client.rows("SELECT a, b FROM u") == [["p", 5]]


@pytest.mark.parametrize("sql, args", [("SELECT ?", [1, 2]), ("SELECT ?, ?", [1]), ("SELECT :a", {"b": 1}),
                                       ("SELECT ?", "text"), ("SELECT ?", 5), ("SELECT ?", [2**64 - 1])])
def test_args_that_do_not_fit(client, sql, args):
    with pytest.raises(RpcError) as e:
        client.call("query", sql=sql, args=args)
    assert e.value.code in ("bad_type", "out_of_range", "sql_error", "missing_field"), e.value


def test_main_and_db_name_the_database(client):
    client.store({"a": 1}, table="predictions")
    assert client.rows("SELECT a FROM db.predictions") == [[1]]
    assert client.rows("SELECT a FROM main.predictions") == [[1]]
    assert client.rows("SELECT p.a FROM db.predictions p JOIN main.predictions q ON p.a = q.a") == [[1]]
    assert client.change("exec", sql="UPDATE db.predictions SET a = 2") == {"changed": 1}
    assert client.change("exec", sql="UPDATE main.predictions SET a = 3") == {"changed": 1}
    assert client.rows("SELECT a FROM predictions") == [[3]]


def test_read_your_own_writes(client):
    for i in range(200):
        client.log({"i": i})
        assert client.call("query", sql="SELECT count(*) FROM events", after=client.seq)["rows"] == [[i + 1]]


def test_after_what_was_not_sent(client):
    """`after` a number that never came waits, or is refused; it does not stop the connection."""
    msgid = client.request("query", sql="SELECT count(*) FROM events", after=1)
    client.log({"i": 1})
    try:
        assert client.response(msgid)["rows"] == [[1]]
    except RpcError as e:
        assert e.code in ("out_of_range", "seq_gap")
    assert client.call("status")["pid"]


def test_tables_and_columns(client):
    client.store([{"a": 1, "b": "x"}, {"a": 2}], track_id="one")
    client.store({"a": 1}, track_id="two")
    client.store({"loss/x": 0.5}, track_id="one", table="metrics")
    tables = {t["name"]: t for t in client.call("tables", after=client.seq)["tables"]}
    assert set(tables) == {"events", "metrics"}
    assert tables["events"] == {"name": "events", "rows": 3, "columns": 4, "runs": 2}
    assert tables["metrics"]["rows"] == 1
    columns = client.call("columns", after=client.seq)["columns"]
    assert [c["name"] for c in columns] == ["track_id", "timestamp", "a", "b"]
    assert [c["type"] for c in columns] == ["TEXT", "TEXT", "INTEGER", "TEXT"]
    assert client.call("columns", table="metrics")["columns"][-1] == {"name": "loss_x", "type": "REAL", "key": "loss/x"}
    fails("no_such_table", client.call, "columns", table="none")


def test_tables_of_an_empty_database(client):
    assert client.call("tables")["tables"] == []


def test_stock_sqlite3_reads_live_while_the_daemon_writes(client, served):
    stop = threading.Event()
    errors = []

    def write():
        try:
            while not stop.is_set():
                client.log([[i] for i in range(100)], columns=["i"])
                client.until_ack(client.seq)
        except Exception as e:
            errors.append(e)

    client.store([[0]] * 100, columns=["i"])
    t = threading.Thread(target=write)
    t.start()
    counts = []
    try:
        for _ in range(30):
            out = subprocess.run(["sqlite3", served.db, "SELECT count(*) FROM events"], capture_output=True, text=True)
            assert out.returncode == 0, out.stderr
            counts.append(int(out.stdout))
    finally:
        stop.set()
        t.join()
    assert not errors
    assert counts == sorted(counts) and counts[-1] > counts[0]
    assert all(n % 100 == 0 for n in counts), "a message was seen half"
    assert sqlite(served.db, "PRAGMA integrity_check") == [("ok",)]


def test_foreign_writer_is_waited_for(client, served):
    client.store({"a": 1})
    con = sqlite3.connect(served.db, isolation_level=None)
    con.execute("BEGIN IMMEDIATE")
    con.execute("UPDATE events SET a = 5")
    client.log({"a": 2})
    assert client.call("query", sql="SELECT a FROM events")["rows"] == [[1]]
    con.execute("COMMIT")
    con.close()
    client.until_ack(2)
    assert client.rows("SELECT a FROM events ORDER BY a") == [[2], [5]]


def test_queries_during_ingest(client, served):
    with served.client() as reader:
        for _ in range(50):
            client.log([[i] for i in range(1000)], columns=["i"])
            n = reader.value("SELECT count(*) FROM (SELECT * FROM pragma_table_list('events')) t")
            assert n in (0, 1)
        client.until_ack(client.seq)
        assert reader.value("SELECT count(*) FROM events") == 50000


def test_sorting_much_does_not_use_much_memory(client, served):
    client.log([[i, "x" * 100] for i in range(5000)], columns=["i", "s"])
    client.until_ack(client.seq)
    n = client.value("SELECT count(*) FROM (SELECT a.s || b.s AS v FROM events a, events b LIMIT 200000)")
    assert n == 200000


def test_status_while_a_long_statement_writes(client, served):
    """A new client is greeted at once, whatever the writer is at."""
    client.change("exec", sql="CREATE TABLE u (a)")
    client.seq += 1
    msgid = client.request("exec", seq=client.seq, timeout_ms=5000, sql="INSERT INTO u " + ENDLESS_ROWS)
    with served.client(last_seq=0) as other:
        assert other.call("status")["pid"] == served.pid
        assert other.call("query", sql="SELECT count(*) FROM u")["rows"] == [[0]]
        assert msgid not in client.responses
    fails("timed_out", client.response, msgid)


def test_star_sees_new_columns(client):
    """A pooled connection that compiled against the old schema answers with the new one's columns."""
    client.store({"a": 1})
    for i in range(20):
        assert len(client.call("query", sql="SELECT * FROM events", after=client.seq)["rows"][0]) == 3 + i
        client.store({f"n{i}": 1})
        page = client.call("query", sql="SELECT * FROM events", after=client.seq)
        assert len(page["columns"]) == len(page["rows"][0]) == 4 + i


def test_wide_results_stay_below_the_limit_of_items(client):
    """500 columns × 1,000 rows are more values than a message may hold: the pages are cut shorter."""
    client.change("exec", sql="CREATE TABLE wide AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
                              "WHERE i < 1000) SELECT " + ", ".join(f"i AS c{k}" for k in range(500)) + " FROM n")
    msgid = client.request("query", sql="SELECT * FROM wide")
    page = client.response(msgid)
    n = 0
    while True:
        assert len(page["rows"]) * 501 < 65536
        n += len(page["rows"])
        if page["done"]:
            break
        page = client.call("fetch", cursor=msgid)
    assert n == 1000


def test_hello_notices_a_replaced_file(served):
    os.rename(served.db, served.db + ".away")
    with served.client(hello=False) as c:
        fails("file_replaced", c.hello)
    served.expected = served.wait()
    assert served.expected == 1


@pytest.mark.parametrize("sql", ["SELECT fts3_tokenizer('simple', x'4141414141414141')", "SELECT fts3_tokenizer('simple')"])
def test_pointers_are_no_arguments(client, sql):
    with pytest.raises(RpcError) as e:
        client.call("query", sql=sql)
    assert e.value.code in ("sql_denied", "sql_error")
    assert client.value("SELECT 1") == 1


def test_values_of_a_statement_are_bounded(client, served):
    with pytest.raises(RpcError) as e:
        client.call("query", sql="SELECT length(hex(zeroblob(300000000)))")
    assert e.value.code == "too_large"


def test_tables_do_not_become_internal_by_renaming(client):
    client.change("exec", sql="CREATE TABLE mine (a)")
    fails("sql_denied", client.change, "exec", sql="ALTER TABLE mine RENAME TO xt_mine")
    assert client.value("SELECT name FROM sqlite_schema WHERE name LIKE '%mine'") == "mine"


def test_stopping_ends_a_long_exec(served):
    with served.client() as c:
        c.change("exec", sql="CREATE TABLE u (a)")
        c.seq += 1
        c.request("exec", seq=c.seq, timeout_ms=3600000, sql="INSERT INTO u " + ENDLESS_ROWS)
        served.proc.terminate()
        c.until_closed()
    served.expected = served.wait()
    assert sqlite(served.db, "SELECT count(*) FROM u") == [(0,)]


@pytest.mark.parametrize("sql, says", [
    ("SELECT lvel FROM results", "no such column: lvel; did you mean 'level'?"),
    ("SELECT p.lvel FROM db.results p", "did you mean 'level'?"),
    ("SELECT * FROM db.reslts", "did you mean 'results'?"),
    ("SELECT * FROM xt_rns", "no such table: xt_rns"),
    ("SELECT nothing_like_it FROM results", "no such column: nothing_like_it"),
    ("SELECT 'x", "unrecognized token"),
])
def test_a_name_that_may_be_meant(client, sql, says):
    client.change("log", table="results", track_id="r", rows=[{"level": 1}])
    with pytest.raises(RpcError) as e:
        client.call("query", sql=sql)
    assert says in str(e.value)
    assert ("did you mean" in says) == ("did you mean" in str(e.value))


def test_a_table_that_may_be_meant(client):
    client.change("log", table="results", track_id="r", rows=[{"level": 1}])
    with pytest.raises(RpcError, match="did you mean 'results'"):
        client.call("columns", table="resuts")
    with pytest.raises(RpcError, match="did you mean 'results'"):
        client.change("set", table="resuts", key="a", value=1)
