"""xtctl import: files of others, and what export wrote."""
import json
import os
import signal
import subprocess
import time

import pytest
from conftest import TIMEOUT, XTCTL, sqlite
from duck import ask, duckdb  # noqa: F401: the fixture
from test_export import nasty, ok, refused, run, stored  # noqa: F401: nasty is a fixture

pytestmark = pytest.mark.skipif(not os.access(XTCTL, os.X_OK), reason=f"{XTCTL} is not built")


@pytest.fixture
def put(here):
    """put(name, text or bytes): a file in the working directory."""
    def write(name, data):
        (here / name).write_bytes(data if isinstance(data, bytes) else data.encode())
        return name
    return write


def rows(db="i.db", what="*", table="events"):
    return sqlite(db, f"SELECT {what} FROM {table} ORDER BY rowid")


def test_csv_types_are_those_of_log(put):
    put("a.csv", 'i,r,b,t,id,n,e,big\r\n1,0.5,true,x,007,,"",18446744073709551616\r\n-2,1e3,false,null,:=1,inf,"q ""x"", y\nz",9\r\n')
    out = ok("import", "i.db", "a.csv")
    assert rows(what="i, r, b, t, id, n, e, big") == [
        (1, 0.5, 1, "x", "007", None, "", "18446744073709551616"), (-2, 1000.0, 0, None, ":=1", float("inf"), 'q "x", y\nz', 9)]
    assert [r[0] for r in rows(what="DISTINCT track_id")] == [out.strip()]
    assert sqlite("i.db", "SELECT status, rows FROM xt_runs") == [("finished", 2)]


def test_csv_keeps_text_in_a_column_of_text(put):
    ok("log", "i.db", "code=x1", "n=1")
    put("a.csv", "code,n\n12,12\n")
    ok("import", "i.db", "a.csv")
    assert rows(what="code, typeof(code), n, typeof(n)")[1] == ("12", "text", 12, "integer")


@pytest.mark.parametrize("text", ["a,b\n1,2\n3,4\n", "a,b\r\n1,2\r\n3,4", "\ufeffa,b\n1,2\n3,4\n\n", 'a,"b"\n"1","2"\n"3",4\n',
                                  "a,b\n1,2\n\n3,4\n"])
def test_csv_lines(put, text):
    put("a.csv", text)
    ok("import", "i.db", "a.csv")
    assert rows(what="a, b") == [(1, 2), (3, 4)]


def test_csv_of_large_cells(put):
    cell = "x" * 1_000_000 + '""' + "\n" * 10
    put("a.csv", f'a,b\n"{cell}",1\n"{cell}",2\n')
    ok("import", "i.db", "a.csv")
    assert rows(what="length(a), b") == [(1_000_011, 1), (1_000_011, 2)]


def test_delimiters(put):
    put("a.tsv", "a\tb\n1\tx,y\n")
    ok("import", "i.db", "a.tsv")
    assert "x,y" == rows(what="b")[0][0]
    put("b.csv", "a;b\n2;z\n")
    ok("import", "i.db", "b.csv", "--delimiter", ";")
    assert rows(what="a, b")[1] == (2, "z")


@pytest.mark.parametrize("text, says, stored", [
    ("", "empty", None), ("a,a\n1,2\n", "'a' twice", None), ("a,\n1,2\n", "column 2 has no name", None),
    ("a,b\n1,2\n1\n", "line 3: 1 cells", 1), ('a,b\n1,2\n"x"y,2\n', "line 3: text behind the closing quote", 1),
    ('a,b\n1,"no end\n', "line 2: a quoted cell does not end", None),
    (b"a,b\n1,2\n\xff\xfe,2\n", "line 3: ", 1)])
def test_csv_that_is_none(put, text, says, stored):  # noqa: F811
    put("a.csv", text)
    p = run("import", "i.db", "a.csv")
    assert p.returncode == 1 and says in p.stderr, p.stderr
    if stored:
        assert len(rows()) == stored


def test_skip_bad(put):
    put("a.csv", "a,b\n1,2\n3\n4,5\n")
    p = run("import", "i.db", "a.csv", "--skip-bad")
    assert p.returncode == 0 and "line 3" in p.stderr and "1 bad lines" in p.stderr
    assert rows(what="a") == [(1,), (4,)]


def test_jsonl(put):
    put("a.jsonl", '{"a": 1, "m": {"x": [1]}}\n\n{"a": 2.5, "b": null, "c": true}\n')
    ok("import", "i.db", "a.jsonl")
    assert rows(what="a, m, c") == [(1, '{"x":[1]}', None), (2.5, None, 1)]
    put("b.jsonl", '{"a": 1}\n[1]\n')
    assert "line 2: not a JSON object" in run("import", "i.db", "b.jsonl").stderr


def test_json_of_another_form(put):
    put("a.json", '[\n{"a": 1},\n{"a": 2}\n]\n')
    ok("import", "i.db", "a.json")
    assert rows(what="a") == [(1,), (2,)]
    put("b.json", '[{"a": 1}, {"a": 2}]')
    assert run("import", "i.db", "b.json").returncode == 1
    put("c.json", "[]")
    assert "no rows" in run("import", "i.db", "c.json").stderr


def test_standard_input(put):
    p = run("import", "i.db", "-", "--format", "csv", "--track-id", "mine", "--table", "t", stdin=b"a,track_id\n1,theirs\n")
    assert p.returncode == 0 and p.stdout == "mine\n"
    assert rows(table="t", what="track_id, a") == [("mine", 1)]
    assert "--format" in refused("import", "i.db", "-", status=2)
    assert "cannot read 'none.csv'" in refused("import", "i.db", "none.csv")


def test_runs_and_times_of_the_file(put):
    put("a.csv", "track_id,timestamp,a\none,2025-01-02 03:04:05.678901,1\ntwo,2025-01-02T03:04:06Z,2\none,,3\n")
    assert ok("import", "i.db", "a.csv") == "3 rows imported\n"
    got = rows(what="track_id, timestamp, a")
    assert got[:2] == [("one", "2025-01-02 03:04:05.678901", 1), ("two", "2025-01-02 03:04:06.000000", 2)] and got[2][0] == "one"
    assert sqlite("i.db", "SELECT track_id, status, rows FROM xt_runs ORDER BY 1") == [("one", "finished", 2), ("two", "finished", 1)]
    # Again: nothing is doubled, unless that is wanted.
    assert "run 'one' is in the database already" in refused("import", "i.db", "a.csv")
    assert len(rows()) == 3
    ok("import", "i.db", "a.csv", "--force")
    assert len(rows()) == 6
    put("b.csv", "timestamp\nyesterday\n")
    assert "line 2: its timestamp" in run("import", "i.db", "b.csv").stderr


@pytest.mark.parametrize("form", ["csv", "jsonl", "json"])
def test_what_was_exported(nasty, form, here):  # noqa: F811
    finite = "SELECT track_id, timestamp, text, \"select\", flag, CASE WHEN abs(\"Größe__\") < 9e999 THEN \"Größe__\" END AS \"Größe__\" "
    ok("export", nasty, f"a.{form}", "--sql", finite + "FROM events")
    ok("import", "i.db", f"a.{form}")
    names = ["track_id", "timestamp", "text", "select", "flag", "Größe__"]
    want = [(*r[:5], None if r[5] in (float("inf"), float("-inf")) else r[5]) for r in stored(nasty, names)]
    assert sqlite("i.db", "SELECT track_id, timestamp, text, \"select\", flag, \"Größe__\" FROM events ORDER BY rowid") == want


@pytest.mark.usefixtures("duckdb")
def test_parquet(put, here):
    ask(f"COPY (SELECT i AS i, i / 2 AS half, 'x' || i AS t, i % 2 = 0 AS even, CASE WHEN i > 5 THEN i END AS n, "
        f"TIMESTAMP '2025-01-01 00:00:00' + INTERVAL (i) SECOND AS at, [i] AS list FROM range(5000) r(i)) TO '{here}/a.parquet'")
    ok("import", "i.db", "a.parquet")
    assert sqlite("i.db", "SELECT count(*), sum(i), sum(half), count(n), sum(even), min(at), min(list) FROM events") == \
        [(5000, 12497500, 6248750.0, 4994, 2500, "2025-01-01 00:00:00", "[0]")]
    assert "a.csv" in refused("import", "i.db", put("a.csv", "x"), "--format", "parquet")


def test_ctrl_c(here, put):
    p = subprocess.Popen([XTCTL, "import", "i.db", "-", "--format", "csv", "--track-id", "mine"], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    p.stdin.write("a\n" + "1\n" * 10000)
    p.stdin.flush()
    deadline = time.monotonic() + TIMEOUT
    while not (here / "i.db").exists() or not sqlite("i.db", "SELECT 1 FROM sqlite_master WHERE name = 'events'"):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    p.send_signal(signal.SIGINT)
    _, err = p.communicate(timeout=TIMEOUT)
    assert p.returncode == 130
    assert sqlite("i.db", "SELECT status FROM xt_runs") == [("failed",)]
    assert sqlite("i.db", "SELECT count(*) > 0, count(*) <= 10000 FROM events") == [(1, 1)]


def test_rows_that_the_daemon_refuses(put):
    put("a.jsonl", json.dumps({"a": 1}) + "\n" + json.dumps({f"c{i}": i for i in range(3000)}) + "\n" + json.dumps({"a": 3}) + "\n")
    p = run("import", "i.db", "a.jsonl")
    assert p.returncode == 1 and "line 2" in p.stderr
    assert rows(what="a") == [(1,), (3,)]
