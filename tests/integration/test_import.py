"""xtctl import: files of others, and what export wrote."""
import json
import os
import signal
import subprocess
import time

import pytest
from conftest import TIMEOUT, XTCTL, sqlite
from duck import ask, duckdb  # noqa: F401: the fixture
from test_export import nasty, stored  # noqa: F401: nasty is a fixture
from xtctl import needs_xtctl, ok, refused, run

pytestmark = needs_xtctl


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
    assert p.returncode == 0 and "line 3" in p.stderr and "left out: 1" in p.stderr
    assert rows(what="a") == [(1,), (4,)]


def test_jsonl(put):
    put("a.jsonl", '{"a": 1, "m": {"x": [1]}}\n\n{"a": 2.5, "b": null, "c": true}\n')
    ok("import", "i.db", "a.jsonl")
    assert rows(what="a, m, c") == [(1, '{"x":[1]}', None), (2.5, None, 1)]
    put("b.jsonl", '{"a": 1}\n[1]\n')
    assert "line 2: not a JSON object" in run("import", "i.db", "b.jsonl").stderr


@pytest.mark.parametrize("text", [
    '[\n{"a": 1},\n{"a": 2}\n]\n', '[{"a": 1}, {"a": 2}]', '[{"a":1},{"a":2}]\n', '\ufeff[ {"a":1}\n, {"a":2} ] ', '{"a":1}{"a":2}',
    '{"a":1}\n{"a":2}', '[{"a":1}]\n[{"a":2}]', json.dumps([{"a": 1}, {"a": 2}], indent=2), json.dumps([{"a": 1}, {"a": 2}], indent="\t") + "\n\n"])
def test_json_of_any_form(put, text):
    put("a.json", text)
    ok("import", "i.db", "a.json")
    assert rows(what="a") == [(1,), (2,)]


def test_json_of_nothing(put):
    put("c.json", "[]")
    assert "no rows" in run("import", "i.db", "c.json").stderr


def test_json_brackets_in_texts(put):
    put("a.json", json.dumps([{"t": 'a } ] " \\', "l": [{"x": "{"}]}, {"t": "[é"}]))
    ok("import", "i.db", "a.json")
    assert rows(what="t") == [('a } ] " \\',), ("[é",)]


@pytest.mark.parametrize("text, why, stored", [
    ('[\n{"a": 1}\n{"a": 2}]', "line 3: a comma is missing", 1), ('[{"a": 1},\n]', "line 2: no object follows", 1),
    ('[{"a": 1},\n,{"a": 2}]', "line 2: a comma without", 1), ('{"a": 1}]', "line 1: an array ends", 1),
    ('\n[{"a": 1},', "begins in line 2 has no end", 1), ('[\n{"a": 1},\n{"a": "x', "line 3: what begins there has no end", 1),
    ('[{"a": 1},\n2]', "line 2: not a JSON object", 1), ('[\n {\n  "a": 1,\n  "b" 2\n }]', "line 4: ", 0),
    ('"x"', "line 1: not a JSON object", 0), ("}", "line 1: not a JSON object", 0), ('[["a"]]', "line 1: not a JSON object", 0),
    ('[{"a": 1}, {"a"}, {"a": 3}]', "line 1: ", 1)])
def test_json_that_makes_no_sense(put, text, why, stored):
    put("a.json", text)
    p = run("import", "i.db", "a.json")
    assert p.returncode == 1 and why in p.stderr, p.stderr
    assert (len(rows(what="a")) if stored else 0) == stored


@pytest.mark.parametrize("order", [1, -1])
def test_runs_have_the_times_of_their_rows(put, order):
    data = [{"track_id": "r", "timestamp": f"2024-01-0{i} 10:00:00.5", "a": i} for i in (1, 2, 3)]
    put("a.json", json.dumps(data[::order]))
    ok("import", "i.db", "a.json")
    assert sqlite("i.db", "SELECT status, start_time, end_time, rows FROM xt_runs") == [
        ("finished", "2024-01-01 10:00:00.500000", "2024-01-03 10:00:00.500000", 3)]


def test_json_bad_objects_are_skipped(put):
    put("a.json", '[{"a": 1}, {"a"}, 7, "x", {"a": 3},\n{"a": 1e999}, {"a": 4}]')
    p = run("import", "i.db", "a.json", "--skip-bad")
    assert p.returncode == 0 and "line 2: " in p.stderr, p.stderr
    assert rows(what="a") == [(1,), (3,), (4,)]


def test_json_rejections_name_their_line(put):
    """Indented, and all in one line: a row of too many columns is the daemon's to refuse."""
    wide = {f"c{i}": i for i in range(3000)}
    data = [{"a": 1}, {"a": 2}, wide, {"a": 4}]
    put("a.json", json.dumps(data))
    assert "line 1: " in run("import", "i.db", "a.json", "--skip-bad").stderr
    put("b.json", json.dumps(data, indent=1))
    assert "line 8: " in run("import", "i.db", "b.json", "--skip-bad").stderr
    assert rows(what="a") == [(1,), (2,), (4,)] * 2


def test_json_objects_are_read_one_by_one(put):
    """An array on one line that is longer than a line may be."""
    with open(put("a.json", "["), "a") as f:
        for i in range(40):
            f.write(("," if i else "") + json.dumps({"i": i, "t": "x" * 1_000_000}))
        f.write("]")
    ok("import", "i.db", "a.json")
    assert rows(what="count(*), sum(length(t))") == [(40, 40_000_000)]


def test_an_array_is_no_jsonl(put):
    put("a.jsonl", '[{"a": 1}]\n')
    assert "--format json" in run("import", "i.db", "a.jsonl").stderr


@pytest.mark.parametrize("sign, word", [(";", "';'"), ("\t", "'\\t'"), ("|", "'|'")])
def test_csv_of_another_delimiter(put, sign, word):
    put("a.csv", f"a{sign}b\n1,5{sign}2\n")
    assert f"--delimiter {word}" in run("import", "i.db", "a.csv").stderr
    put("b.csv", f"a{sign}b\n1{sign}2\n")
    ok("import", "i.db", "b.csv", "--delimiter", word.strip("'"))
    assert rows(what="a, b") == [(1, 2)]


def test_standard_input(put):
    p = run("import", "i.db", "-", "--format", "csv", "--track-id", "mine", "--table", "t", stdin=b"a,track_id\n1,theirs\n")
    assert p.returncode == 0 and p.stdout == "mine\n"
    assert rows(table="t", what="track_id, a") == [("mine", 1)]
    assert "--format" in refused("import", "i.db", "-", status=2)
    assert "cannot read 'none.csv'" in refused("import", "i.db", "none.csv")


@pytest.mark.parametrize("name", ["old.sqlite", "old.DB"])
def test_a_database_is_copied_not_imported(put, name):
    put(name, "")
    assert f"'xtctl copy {name} DB' copies its rows" in refused("import", "i.db", name, status=2)
    assert not os.path.exists("i.db")


def test_runs_and_times_of_the_file(put):
    put("a.csv", "track_id,timestamp,a\none,2025-01-02 03:04:05.678901,1\ntwo,2025-01-02T03:04:06Z,2\none,,3\n")
    assert ok("import", "i.db", "a.csv") == "3 rows imported\n"
    got = rows(what="track_id, timestamp, a")
    assert got[:2] == [("one", "2025-01-02 03:04:05.678901", 1), ("two", "2025-01-02 03:04:06.000000", 2)] and got[2][0] == "one"
    assert sqlite("i.db", "SELECT track_id, status, rows FROM xt_runs ORDER BY 1") == [("one", "finished", 2), ("two", "finished", 1)]
    # Again: nothing is doubled, unless that is wanted.
    said = refused("import", "i.db", "a.csv")
    assert "run 'one' is in the database already" in said and "'xtctl delete i.db one --table events' takes away" in said
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
