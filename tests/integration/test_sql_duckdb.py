"""xtctl sql --engine duckdb: DuckDB over the daemon's rows."""
import json
import signal
import sqlite3
import subprocess

import pytest
from conftest import BUILD, TIMEOUT, XTCTL
from duck import ask, duckdb  # noqa: F401: the fixture
from xtctl import needs_xtctl, ok, refused, run

pytestmark = [needs_xtctl,
              pytest.mark.usefixtures("duckdb")]


def duck(db, statement, *args):
    return json.loads(ok("sql", db, statement, "--engine", "duckdb", "--json", *args))


@pytest.fixture
def filled(served, client, monkeypatch, runtime):
    monkeypatch.setenv("TMPDIR", str(runtime))
    monkeypatch.chdir(runtime)
    rows = [{"params_model_name": m, "input_id": i, "prediction": i % 3 == 0, "ground_truth": i % 2 == 0, "latency": i / 10,
             "error": None if i % 10 else "ValueError", "cache": "" if i % 4 else "run-1", "wide": 2**60 + i}
            for m in ("a", "b", None) for i in range(100)]
    client.store(rows, table="predictions")
    client.store([{"model": m, "cost": c} for m, c in (("a", 1), ("b", 2.5))], table="costs")
    yield served
    assert not list(runtime.glob("xtctl-duckdb-*")), "what DuckDB spilled was left behind"


def test_recipes_of_the_seed(filled):
    assert duck(filled.db, "SELECT params_model_name, AVG(CASE WHEN prediction = ground_truth THEN 1.0 ELSE 0.0 END) AS accuracy, "
                "COUNT(*) AS n FROM db.predictions WHERE error IS NULL GROUP BY params_model_name ORDER BY 1") == [
        {"params_model_name": m, "accuracy": pytest.approx(4 / 9, abs=0.1), "n": 90} for m in ("a", "b", None)]
    rate = duck(filled.db, "SELECT ROUND(100.0 * COUNT(CASE WHEN cache != '' THEN 1 END) / COUNT(*), 2) AS rate FROM db.predictions")
    assert rate == [{"rate": 25.0}]


def test_what_sqlite_has_not(filled):
    assert duck(filled.db, "SELECT quantile_cont(latency, 0.5) AS m FROM predictions") == [{"m": pytest.approx(4.95)}]
    (row,) = duck(filled.db, "SELECT sum(wide) AS s, list_sort(list(DISTINCT params_model_name), 'ASC', 'NULLS LAST') AS l, 1.5::DECIMAL(4, 1) AS d, "
                  "DATE '2026-01-02' AS day, max(error) AS e, bool_and(prediction) AS b FROM predictions WHERE input_id < 3")
    assert row == {"s": pytest.approx(9 * 2**60 + 9), "l": "[a, b, NULL]", "d": 1.5, "day": "2026-01-02", "e": "ValueError", "b": False}
    assert duck(filled.db, "SELECT c.model, count(*) AS n FROM predictions p JOIN main.costs c ON c.model = p.params_model_name "
                "GROUP BY 1 ORDER BY 1") == [{"model": "a", "n": 100}, {"model": "b", "n": 100}]
    assert duck(filled.db, "SELECT count(*) AS n FROM xt_runs") == [{"n": 1}]


def test_times_are_texts_until_they_are_said_to_be_more(filled, runtime):
    """docs/analysis.md says why, and has these."""
    (day,) = {r["t"][:10] for r in duck(filled.db, "SELECT timestamp AS t FROM predictions")}
    assert duck(filled.db, f"SELECT count(*) AS n, length(min(timestamp)) AS l FROM predictions WHERE timestamp LIKE '{day}%' AND "
                f"substr(timestamp, 1, 10) = '{day}' AND timestamp >= '{day[:7]}'") == [{"n": 300, "l": 26}]
    assert duck(filled.db, "SELECT count(*) AS n FROM predictions p JOIN xt_runs r ON p.track_id = r.track_id AND p.timestamp >= r.start_time")
    (hour,) = duck(filled.db, "SELECT date_trunc('hour', timestamp::TIMESTAMP) AS hour, count(*) AS n FROM predictions GROUP BY 1 LIMIT 1")
    assert hour["hour"].startswith(day) and hour["hour"].endswith(":00:00")
    ok("sql", filled.db, "COPY (SELECT * REPLACE (timestamp::TIMESTAMP AS timestamp) FROM db.predictions) TO 'p.parquet' (FORMAT PARQUET)")
    assert ask(f"SELECT DISTINCT typeof(timestamp) FROM '{runtime}/p.parquet'") == [("TIMESTAMP",)]


def test_parameters(filled):
    assert duck(filled.db, "SELECT count(*) AS n FROM predictions WHERE params_model_name = ? AND input_id < ?", "--arg", "a", "--arg",
                "10") == [{"n": 10}]
    assert "1 parameters, and 0 values" in refused("sql", filled.db, "SELECT ?", "--engine", "duckdb")


def test_copy_to_parquet_needs_no_engine(filled, runtime):
    statement = "COPY (SELECT * FROM db.predictions) TO 'predictions.parquet' (FORMAT PARQUET)"
    assert ok("sql", filled.db, statement) == "300 rows written\n"
    assert ask(f"SELECT count(*), sum(input_id) FROM '{runtime}/predictions.parquet'") == [("300", "14850")]
    ok("sql", filled.db, "COPY (SELECT 1 AS one) TO 'other.parquet'")
    assert ask(f"SELECT * FROM '{runtime}/other.parquet'") == [("1",)]
    ok("sql", filled.db, "COPY (SELECT * FROM db.predictions) TO 'results.csv' (HEADER, DELIMITER ',')")
    assert len((runtime / "results.csv").read_text().splitlines()) == 301


def test_copy_without_the_library(filled, runtime, monkeypatch):
    monkeypatch.setenv("XETRACK_DUCKDB", "/nowhere.so")
    message = refused("sql", filled.db, "COPY (SELECT 1) TO 'a.parquet' (FORMAT PARQUET)")
    assert "FORMAT PARQUET" in message and "XETRACK_DUCKDB" in message
    assert "XETRACK_DUCKDB" in refused("sql", filled.db, "SELECT 1", "--engine", "duckdb")
    p = subprocess.run([BUILD / "xt", "sql", filled.db, "SELECT 1 AS one", "--engine=duckdb", "--json"], capture_output=True, text=True)
    assert p.returncode == 0 and json.loads(p.stdout) == [{"one": 1}] and "SQLite runs" in p.stderr


def test_mistakes(filled):
    assert "nope" in refused("sql", filled.db, "SELECT nope FROM predictions", "--engine", "duckdb")
    assert "nopes" in refused("sql", filled.db, "SELECT * FROM nopes", "--engine", "duckdb")
    assert "syntax error" in refused("sql", filled.db, "SELEC 1", "--engine", "duckdb")
    assert "no engine 'mysql'" in refused("sql", filled.db, "SELECT 1", "--engine", "mysql", status=2)
    refused("sql", filled.db, "DELETE FROM predictions", "--engine", "duckdb")
    assert duck(filled.db, "SELECT count(*) AS n FROM predictions") == [{"n": 300}]


def test_errors_name_what_may_be_meant(filled):
    message = refused("sql", filled.db, "SELECT latencies FROM predictions", "--engine", "duckdb")
    assert '"latency"' in message and "LINE" not in message and message.count("\n") == 1, message
    message = refused("sql", filled.db, "SELECT date_trunc('day', timestamp) FROM predictions", "--engine", "duckdb")
    assert "TIMESTAMP" in message and len(message) < 1100
    assert len(duck(filled.db, "SELECT date_trunc('year', timestamp::TIMESTAMP) AS y FROM costs")) == 2


def test_pivot(filled):
    pivot = "PIVOT (SELECT model, cost FROM costs) ON model {} USING sum(cost)"
    assert "ON c IN (" in refused("sql", filled.db, pivot.format(""), "--engine", "duckdb")
    assert duck(filled.db, pivot.format("IN ('a', 'b')")) == [{"a": 1, "b": 2.5}]


def test_odd_names(served, client, duckdb):  # noqa: F811
    odd = {'a"b': 1, "select": 2, "żółć 🦊": 3, "C'est": 4}
    client.store(odd, table="order")
    names = [r["name"] for r in json.loads(ok("columns", served.db, "--table", "order", "--json"))]
    (row,) = duck(served.db, 'SELECT * FROM "order"')
    assert list(row) == names and list(row.values())[2:] == [1, 2, 3, 4]


def test_types_that_do_not_fit(filled):
    con = sqlite3.connect(filled.db, timeout=TIMEOUT)
    con.execute("CREATE TABLE odd(n INTEGER, t TEXT)")
    con.execute("INSERT INTO odd VALUES (1, 'a'), ('two', x'00ff')")
    con.commit()
    con.close()
    assert "column 'n'" in refused("sql", filled.db, "SELECT sum(n) FROM odd", "--engine", "duckdb")
    assert duck(filled.db, "SELECT t FROM odd ORDER BY t") == [{"t": "00ff"}, {"t": "a"}]  # only what is asked for is read


def test_ctrl_c_and_a_daemon_that_dies(filled, client):
    client.store([{"i": i} for i in range(2000)], table="many")
    con = sqlite3.connect(filled.db, timeout=TIMEOUT)
    con.execute("CREATE VIEW endless AS SELECT a.i FROM many a, many b, many c")
    con.commit()
    con.close()
    p = subprocess.Popen([XTCTL, "sql", filled.db, "SELECT a.i, b.i FROM many a, many b, many c", "--engine", "duckdb", "--format", "csv"],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert p.stdout.readline() == "i,i\n"
    p.send_signal(signal.SIGINT)
    p.stdout.read()
    assert p.wait(TIMEOUT) == 130
    p = subprocess.Popen([XTCTL, "sql", filled.db, "SELECT i FROM endless", "--engine", "duckdb", "--format", "csv"],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert p.stdout.readline() == "i\n"
    filled.kill()
    p.stdout.read()
    assert p.wait(TIMEOUT) == 1 and p.stderr.read().startswith("xtctl: ")


def test_rows_that_nobody_needs_are_not_waited_for(filled, client):
    client.store([{"i": i} for i in range(5000)], table="many")
    con = sqlite3.connect(filled.db, timeout=TIMEOUT)
    con.execute("CREATE VIEW stalling AS SELECT i FROM many WHERE CASE WHEN i < 4500 THEN 1 ELSE (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL "
                "SELECT i + 1 FROM n) SELECT count(*) FROM n) END")
    con.commit()
    con.close()
    p = run("sql", filled.db, "SELECT i FROM stalling LIMIT 1", "--engine", "duckdb", "--format", "csv", "--timeout", "86400")
    assert p.returncode == 0 and p.stdout == "i\n0\n", p.stderr


def test_two_tables_at_once(filled, client):
    """Each is read by a thread of its own, over one connection."""
    for table, first, width in (("left", 0, 20), ("right", 20000, 30)):
        for i in range(first, first + 30000, 5000):
            client.store([{"i": k, "text": f"{k:{width}}"} for k in range(i, i + 5000)], table=table)
    assert duck(filled.db, "SELECT count(*) AS n, sum(l.i) AS s, bool_and(trim(l.text) = trim(r.text)) AS same, max(length(r.text)) AS w "
                "FROM \"left\" l JOIN \"right\" r USING (i)") == [{"n": 10000, "s": sum(range(20000, 30000)), "same": True, "w": 30}]


def test_closed_pipe(filled):
    p = subprocess.run(f"{XTCTL} sql {filled.db} 'SELECT i FROM range(10000000) t(i)' --engine duckdb --format csv | head -2",
                       shell=True, capture_output=True, text=True, timeout=TIMEOUT)
    assert p.stdout == "i\n0\n" and p.stderr == ""


def test_empty_database(served):
    assert "nope" in refused("sql", served.db, "SELECT * FROM nope", "--engine", "duckdb")
    assert duck(served.db, "SELECT 1 AS one WHERE false") == []
    p = run("sql", served.db, "SELECT 42 AS x", "--engine", "duckdb", "--format", "md")
    assert p.returncode == 0 and "42" in p.stdout
