"""xtctl export: every format read back by somebody else's reader."""
import csv
import io
import json
import os
import pty
import signal
import sqlite3
import subprocess
import time

import pytest
from conftest import TIMEOUT, XTCTL, sqlite
from duck import ask, duckdb  # noqa: F401: the fixture
from xtctl import needs_xtctl, ok, refused, run

pytestmark = needs_xtctl

NASTY = [
    {"text": "plain", "whole": 1, "real": 0.1, "flag": True, "blob": b"\x00\xff", "mixed": 1},
    {"text": 'a "quoted" word', "whole": -(2**63), "real": 1e300, "flag": False, "blob": b"", "mixed": "one"},
    {"text": "comma, and\nline\r\nends\r", "whole": 2**63 - 1, "real": -0.0, "mixed": 2.5},
    {"text": "", "whole": 0, "real": 3.0, "mixed": b"\x01"},
    {"text": None, "real": float("inf")},
    {"text": "żółć 🦊 ; \t tab", "whole": 7, "real": float("-inf")},
    {"text": " spaces ", "real": 2.2250738585072014e-308, "whole": 42},
    {"text": "x" * 300_000, "real": 1 / 3, "whole": None},
    {"text": "nul\0byte", "real": float("nan")},
]
NAMES = {"text": "text", "whole": "select", "real": "Größe 🦊", "flag": "flag", "blob": "blob", "mixed": 'a"b'}


@pytest.fixture
def nasty(served, client):
    """A table of values that break careless writers, under names that do."""
    rows = [{NAMES[k]: v for k, v in row.items()} for row in NASTY]
    client.store(rows[:5], track_id="one")
    client.store(rows[5:], track_id="two")
    return served.db


@pytest.fixture
def columns(nasty):
    """Names as they are stored, in the order of NASTY."""
    names = [r[1] for r in sqlite(nasty, "PRAGMA table_info(events)")]
    assert names[:2] == ["track_id", "timestamp"]
    return names


def stored(db, names=None):
    what = ", ".join('"' + n.replace('"', '""') + '"' for n in names) if names else "*"
    return [tuple(r) for r in sqlite(db, f"SELECT {what} FROM events ORDER BY rowid")]


def as_csv(v):
    if v is None:
        return ""
    if isinstance(v, bytes):
        return v.hex()
    return v if isinstance(v, str) else repr(v)


# ---- csv -----------------------------------------------------------------


def test_csv_is_that_of_rfc_4180(nasty, columns):
    assert "9 rows" in ok("export", nasty, "out.csv", cwd=os.path.dirname(nasty))
    data = open(os.path.join(os.path.dirname(nasty), "out.csv"), newline="").read()
    assert data.endswith("\r\n")
    csv.field_size_limit(1 << 20)
    read = list(csv.reader(io.StringIO(data, newline=""), strict=True))
    assert read[0] == columns
    flag = columns.index("flag")
    want = [[{1: "true", 0: "false"}.get(v, "") if i == flag else as_csv(v) for i, v in enumerate(row)]
            for row in stored(nasty)]
    for got, row in zip(read[1:], want, strict=True):
        assert [g for g in got] == row


def test_csv_tells_null_from_an_empty_text(nasty):
    lines = ok("export", nasty, "--columns", "text,track_id", "--format", "csv").split("\r\n")
    assert '"",one' in lines and ",one" in lines


def test_csv_golden(nasty):
    out = ok("export", nasty, "-", "--sql", "SELECT 1 AS a, 'x,\"y\"' AS \"b\"\"c\", NULL AS d, '' AS e, 0.1 AS f, x'00ff' AS g "
             "UNION ALL SELECT 2, 'two', 2, 'e', 1e20, NULL;")
    assert out == 'a,"b""c",d,e,f,g\r\n1,"x,""y""",,"",0.1,00ff\r\n2,two,2,e,1e+20,\r\n'


def test_csv_options(nasty):
    out = ok("export", nasty, "--columns", "select,track_id", "--track-id", "two", "--no-header", "--delimiter", ";")
    assert out == "7;two\r\n42;two\r\n;two\r\n;two\r\n"
    ok("export", nasty, "t.tsv", "--columns", "select,track_id", cwd=os.path.dirname(nasty))
    assert open(os.path.join(os.path.dirname(nasty), "t.tsv")).read().startswith("select\ttrack_id\n1\tone\n")
    assert "--delimiter" in refused("export", nasty, "--delimiter", ";;", status=2)


# ---- json, md, sqlite ----------------------------------------------------


@pytest.mark.parametrize("form", ["json", "jsonl"])
def test_json(nasty, columns, form):
    out = ok("export", nasty, "--format", form)
    rows = json.loads(out) if form == "json" else [json.loads(line) for line in out.split("\n")[:-1]]
    for got, row in zip(rows, stored(nasty), strict=True):
        for name, value in zip(columns, row):
            if isinstance(value, bytes):
                value = value.hex()
            if name == "flag" and value is not None:
                value = bool(value)
            assert got[name] == value, name


def test_md(nasty):
    out = ok("export", nasty, "--format", "md", "--columns", "text,select", "--where", "select=42")
    assert "| text" in out and "42" in out and len(out.splitlines()) == 3


def test_sqlite_copy(nasty, columns, runtime):
    copy = runtime / "copy.sqlite"
    ok("export", nasty, copy)
    con = sqlite3.connect(copy)
    assert [tuple(r) for r in con.execute("SELECT * FROM events ORDER BY rowid")] == stored(nasty)
    assert con.execute("PRAGMA table_info(events)").fetchall()[2][1:3] == ("text", "TEXT")
    assert con.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert con.execute("SELECT count(*) FROM sqlite_master WHERE type = 'index'").fetchone() == (1,)
    types = "SELECT DISTINCT typeof(\"a_b\") FROM events ORDER BY 1"
    assert con.execute(types).fetchall() == sqlite(nasty, types)
    con.close()
    ok("export", nasty, runtime / "few.db", "--where", "select=42")
    assert sqlite(runtime / "few.db", "SELECT \"select\" FROM events") == [(42,)]
    ok("export", nasty, runtime / "q.db", "--sql", "SELECT 1 AS one")
    assert sqlite(runtime / "q.db", "SELECT * FROM result") == [(1,)]


# ---- what is selected ----------------------------------------------------


def test_where_null_and_types(nasty):
    assert ok("export", nasty, "--where", "text=null", "--columns", "select").count("\r\n") == 2
    assert ok("export", nasty, "--where", "flag=true", "--columns", "select") == "select\r\n1\r\n"
    assert ok("export", nasty, "--where", "select=42", "--track-id", "one", "--columns", "select") == "select\r\n"


def test_several_conditions(nasty):
    assert ok("export", nasty, "--where", "select>0", "--where", "select<=42", "--columns", "select") == "select\r\n1\r\n7\r\n42\r\n"


def test_refusals(nasty, runtime):
    assert "did you mean 'select'" in refused("export", nasty, "--columns", "selct")
    assert "did you mean 'select'" in refused("export", nasty, "--where", "selct=1")
    assert "--format" in refused("export", nasty, "x.foo", status=2)
    assert "needs a FILE" in refused("export", nasty, "-", "--format", "parquet", status=2)
    assert "is the database itself" in refused("export", nasty, nasty, "--format", "csv", "--force")
    assert "--sql says" in refused("export", nasty, "--sql", "SELECT 1", "--columns", "a", status=2)
    assert "syntax error" in refused("export", nasty, runtime / "a.csv", "--sql", "SELEC 1")
    assert "no table 'nope'" in refused("export", nasty, runtime / "a.csv", "--table", "nope")
    assert not list(runtime.glob("a.csv*"))
    other = runtime / "other.db"
    other.write_bytes(b"")
    (runtime / "other.db.lock").write_bytes(b"")
    assert "xetrackd keeps" in refused("export", nasty, other, "--force")


def test_existing_file_needs_force(nasty, runtime):
    out = runtime / "a.csv"
    out.write_text("mine")
    assert "--force" in refused("export", nasty, out)
    assert out.read_text() == "mine"
    ok("export", nasty, out, "--force")
    assert out.read_text().startswith("track_id,")
    assert [p.name for p in runtime.glob("a.csv*")] == ["a.csv"]


def test_part_of_a_killed_export_is_taken_over(nasty, runtime):
    (runtime / "a.csv.part").write_text("rest of another" * 10000)
    ok("export", nasty, runtime / "a.csv", "--sql", "SELECT 1 AS one")
    assert (runtime / "a.csv").read_bytes() == b"one\r\n1\r\n"


def test_nobody_is_led_through_a_link(nasty, runtime):
    (runtime / "precious").write_text("mine")
    (runtime / "a.csv.part").symlink_to("precious")
    assert "a.csv" in refused("export", nasty, runtime / "a.csv")
    assert (runtime / "precious").read_text() == "mine"


def test_empty_and_one_row(served, client, runtime):
    assert "nothing was logged" in refused("export", served.db, runtime / "a.csv")
    client.store({"x": None})
    for name in ("a.csv", "a.json", "a.jsonl", "a.md", "a.sqlite"):
        ok("export", served.db, runtime / name, "--columns", "x")
    assert (runtime / "a.csv").read_bytes() == b"x\r\n\r\n"
    assert json.loads((runtime / "a.json").read_text()) == [{"x": None}]
    assert sqlite(runtime / "a.sqlite", "SELECT * FROM events") == [(None,)]
    client.call("query", sql="SELECT 1")
    ok("export", served.db, runtime / "b.json", "--where", "x=7")
    assert json.loads((runtime / "b.json").read_text()) == []


# ---- what goes wrong on the way ------------------------------------------


@pytest.fixture
def long(served, client):
    """A table that takes a while."""
    for i in range(30):
        client.store([{"i": 1000 * i + k, "text": "t" * 200} for k in range(1000)])
    return served


def test_closed_pipe(long):
    p = subprocess.run(f"{XTCTL} export {long.db} | head -2", shell=True, capture_output=True, text=True, timeout=TIMEOUT)
    assert p.stdout.splitlines()[0] == "track_id,timestamp,i,text" and p.stderr == ""


def test_pipe_that_is_named(long, runtime):
    os.mkfifo(runtime / "pipe.csv")
    reader = subprocess.Popen(f"wc -l < {runtime}/pipe.csv", shell=True, stdout=subprocess.PIPE, text=True)
    ok("export", long.db, runtime / "pipe.csv")
    assert reader.communicate(timeout=TIMEOUT)[0].strip() == "30001"


@pytest.mark.parametrize("form", ["csv", "sqlite"])
def test_disk_full(long, small_disk, form):
    """A file of eight times the disk."""
    out = small_disk / f"a.{form}"
    many = "SELECT e.* FROM events e, (SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4)"
    message = refused("export", long.db, out, "--sql", many)
    assert "cannot write" in message and (" full" in message or "No space" in message), message
    assert list(small_disk.iterdir()) == []


def stopped_export(daemon, path, sql):
    """An export that has begun, of a statement that takes long."""
    p = subprocess.Popen([XTCTL, "export", daemon.db, path, "--sql", sql], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + TIMEOUT
    part = f"{path}.part"
    while not (os.path.exists(part) and os.path.getsize(part) > 0):
        assert time.monotonic() < deadline and p.poll() is None, p.communicate()
        time.sleep(0.01)
    return p


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i, hex(zeroblob(100)) FROM n"


def test_daemon_that_dies(served, runtime):
    p = stopped_export(served, runtime / "a.csv", ENDLESS)
    served.kill()
    out, err = p.communicate(timeout=TIMEOUT)
    assert p.returncode == 1 and out == "" and err.startswith("xtctl: ") and len(err.splitlines()) == 1, err
    assert not list(runtime.glob("a.csv*"))


def test_ctrl_c(served, runtime):
    p = stopped_export(served, runtime / "a.csv", ENDLESS)
    p.send_signal(signal.SIGINT)
    out, err = p.communicate(timeout=TIMEOUT)
    assert p.returncode == 130 and out == "", err
    assert not list(runtime.glob("a.csv*"))


def test_progress_on_a_terminal(served, runtime):
    """Of the messages, not of the rows: standard error is one."""
    ours, theirs = pty.openpty()
    p = subprocess.Popen([XTCTL, "export", served.db, runtime / "a.csv", "--sql", ENDLESS], stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    said = b""
    while b"rows/s" not in said:
        said += os.read(ours, 1000)
    p.send_signal(signal.SIGINT)
    assert p.wait(TIMEOUT) == 130 and p.stdout.read() == b""
    os.close(ours)


def test_two_at_once(served, runtime):
    p = stopped_export(served, runtime / "a.csv", ENDLESS)
    assert "another process is writing" in refused("export", served.db, runtime / "a.csv", "--sql", "SELECT 1")
    p.send_signal(signal.SIGINT)
    p.communicate(timeout=TIMEOUT)


# ---- the summary ---------------------------------------------------------


@pytest.fixture
def results(served, client):
    rows = []
    for model in ("big", "small", None):
        for i in range(10):
            rows.append({"params_model": model, "input_id": i, "prediction": "a" if i < (9 if model == "big" else 5) else "b",
                         "ground_truth": "a", "latency": (i + 1) / 10, "cache": "" if i % 5 else "other-run-0001",
                         "error": None if i < 9 else "ValueError: odd"})
    rows.append({"params_model": "big", "input_id": 99, "cache": None})
    client.store(rows, table="predictions")
    return served.db


def cells(text, heading):
    """The table below a heading, as dicts."""
    lines = text.split(f"## {heading}\n\n")[1].split("\n\n")[0].splitlines()
    split = [[c.strip() for c in line.strip("|").split(" | ")] for line in lines]
    return [dict(zip([c.strip() for c in split[0]], row)) for row in split[2:]]


def test_summary(results):
    out = ok("export", results, "--summary", "--table", "predictions")
    assert out.startswith("# Summary of `predictions`\n")
    (overall,) = cells(out, "Overall")
    assert overall["rows"] == "31" and overall["errors"] == "3" and overall["from cache"] == "6"
    assert overall["hit %"] == "20"  # 6 of 30: the row without a cache counts as neither
    by = {r["params_model"]: r for r in cells(out, "Means by parameters")}
    assert set(by) == {"big", "small", "NULL"} or set(by) == {"big", "small", ""}
    assert by["big"]["rows"] == "11" and by["big"]["accuracy"] == "0.9" and by["small"]["accuracy"] == "0.5"
    assert by["big"]["latency"] == "0.55" and by["big"]["hit %"] == "20"
    (latency,) = cells(out, "Latencies")
    numbers = sorted((i + 1) / 10 for i in range(10) for _ in range(3))
    assert latency["rows"] == "30" and float(latency["mean"]) == pytest.approx(sum(numbers) / 30, rel=1e-3)
    for name, q in (("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99)):
        at = q * 29
        want = numbers[int(at)] + (at - int(at)) * (numbers[min(int(at) + 1, 29)] - numbers[int(at)])
        assert float(latency[name]) == pytest.approx(want, rel=1e-3)
    assert float(latency["max"]) == 1
    assert cells(out, "Errors") == [{"error": "ValueError: odd", "messages": "1", "rows": "3", "% of all": "9.68"}]
    assert {r["result"]: r["rows"] for r in cells(out, "Cache")} == {"computed": "24", "from the cache": "6", "not asked": "1"}


def test_summary_of_odd_values(served, client, runtime):
    client.store([{"latency": v, "error": e, "cache": c} for v, e, c in
                  ((float("inf"), "a|b\n`c`", ""), (-1.5, None, None), (float("nan"), "x" * 500, "r"), (2.5, None, ""))])
    out = ok("export", served.db, "--summary")
    (latency,) = cells(out, "Latencies")
    assert latency["rows"] == "3" and latency["max"] == "inf" and latency["p50"] == "2.5"
    assert len(cells(out, "Errors")) == 2
    client.store({"nothing": None}, table="empty_ones")
    (overall,) = cells(ok("export", served.db, "--summary", "--table", "empty_ones"), "Overall")
    assert overall["rows"] == "1"


def test_summary_of_a_column_of_two_kinds(served, client):
    """One text among the numbers takes the column's declared type, not its place in the report."""
    client.store([{"seconds": 0.5, "n_ms": 3, "mostly": "x"} for _ in range(9)])
    client.store([{"seconds": "n/a", "n_ms": "none", "mostly": 1}])
    p = run("export", served.db, "--summary")
    assert p.returncode == 0, p.stderr
    (means,) = cells(p.stdout, "Means")
    assert means["seconds"] == "0.5" and "mostly" not in means
    latencies = {r["column"]: r for r in cells(p.stdout, "Latencies")}
    assert latencies["seconds"]["rows"] == latencies["n_ms"]["rows"] == "9" and latencies["n_ms"]["mean"] == "3"
    assert "column 'seconds': of its 10 values 1 are no numbers" in p.stderr
    assert "column 'mostly' is left out: of its 10 values 1 are numbers" in p.stderr


def test_summary_by_splits_latencies(results):
    out = ok("export", results, "--summary", "--table", "predictions", "--by", "params_model,ground_truth", "--where", "input_id<10")
    rows = cells(out, "Latencies")
    assert [(r["column"], r["params_model"], r["ground_truth"], r["rows"]) for r in rows] == [
        ("latency", "NULL", "a", "10"), ("latency", "big", "a", "10"), ("latency", "small", "a", "10")], out
    assert all(r["mean"] == "0.55" and r["max"] == "1" for r in rows)
    (whole,) = cells(ok("export", results, "--summary", "--table", "predictions"), "Latencies")
    assert "params_model" not in whole


@pytest.mark.parametrize("taken, name", [(["accuracy"], "correct"), (["Accuracy", "correct"], "prediction = ground_truth")])
def test_summary_of_a_column_accuracy(taken, name, served, client):
    """Two columns of one name cannot be told apart."""
    client.store([{"params_m": m, "prediction": "a" if i < n else "b", "ground_truth": "a", **{t: 0.25 for t in taken}}
                  for m, n in (("x", 3), ("y", 8)) for i in range(10)])
    out = ok("export", served.db, "--summary")
    head = out.split("## Means by parameters\n\n")[1].splitlines()[0]
    names = [c.strip() for c in head.strip("|").split("|")]
    assert len(set(names)) == len(names), head
    assert [(r["params_m"], r[name], r[taken[0]]) for r in cells(out, "Means by parameters")] == [("y", "0.8", "0.25"), ("x", "0.3", "0.25")]


def test_summary_takes_like_errors_together(served, client):
    """What differs in its numbers only is one line, as long as the type is one; who has a type and no message failed, too."""
    rows = [{"error": f"bad input {i} of {i * 1000}.5", "error_type": "ValueError"} for i in range(15)]
    rows += [{"error": "bad input 7 of 8.5", "error_type": "KeyError"}, {"error": "bad output 7", "error_type": "ValueError"},
             {"error": None, "error_type": "Killed"}, {"error": "", "error_type": None}, {"error": None, "error_type": None}]
    client.store(rows)
    out = ok("export", served.db, "--summary")
    assert [(r["error_type"], r["error"], r["messages"], r["rows"]) for r in cells(out, "Errors")] == [
        ("ValueError", "bad input 0 of 0.5", "15", "15"), ("KeyError", "bad input 7 of 8.5", "1", "1"),
        ("Killed", "NULL", "0", "1"), ("ValueError", "bad output 7", "1", "1")], out
    (overall,) = cells(out, "Overall")
    assert overall["errors"] == "18"
    client.store([{"error_type": "Killed"}, {"error_type": None}], table="typed")
    assert cells(ok("export", served.db, "--summary", "--table", "typed"), "Errors") == [
        {"error_type": "Killed", "rows": "1", "% of all": "50"}]


def test_summary_of_several_commits(served, client):
    client.store([{"params_m": m, "code_commit": f"{c}" * 40, "latency": 1.0, "data_version": "v1"}
                  for m, commits in (("x", "ab"), ("y", "abc")) for c in commits for _ in range(3)])
    said = "Rows of up to 3 versions of the code (`code_commit`) are averaged in one line; --by or --where tells them apart."
    assert ok("export", served.db, "--summary").count(f"\n\n{said}\n") == 1
    assert "averaged" not in ok("export", served.db, "--summary", "--by", "params_m,code_commit")
    assert "averaged" not in ok("export", served.db, "--summary", "--where", "code_commit=" + "a" * 40)


def test_summary_options(results, runtime):
    ok("export", results, runtime / "R.md", "--summary", "--table", "predictions", "--by", "input_id", "--where",
       "params_model=big")
    text = (runtime / "R.md").read_text()
    assert "where `params_model=big`" in text and len(cells(text, "Means by parameters")) == 11
    assert "did you mean" in refused("export", results, "--summary", "--table", "predictions", "--by", "input_ids")
    assert "--by goes with" in refused("export", results, "--by", "input_id", status=2)
    assert "--summary" in refused("export", results, "--summary", "--format", "csv", status=2)


# ---- parquet -------------------------------------------------------------


@pytest.mark.usefixtures("duckdb")
def test_parquet(nasty, columns, runtime):
    out = runtime / "a.parquet"
    p = run("export", nasty, out)
    assert p.returncode == 0, p.stderr
    types = dict(r[:2] for r in ask(f"DESCRIBE FROM '{out}'"))
    assert [types[c] for c in columns] == ["VARCHAR", "VARCHAR", "VARCHAR", "BIGINT", "DOUBLE", "BOOLEAN", "BLOB", "VARCHAR"]
    text, whole, real, flag, blob, mixed = ('"' + c + '"' for c in columns[2:])
    got = ask(f"SELECT {text}, {whole}, {real}, {flag}, hex({blob}), {mixed} FROM '{out}'")
    want = stored(nasty, columns[2:])
    for g, w in zip(got, want, strict=True):
        if w[0] != "nul\0byte":  # the C string of the reading side ends there
            assert g[0] == w[0]
        assert (None if g[1] is None else int(g[1])) == w[1]
        assert (None if g[2] is None else float(g[2])) == w[2]
        assert g[3] == (None if w[3] is None else "true" if w[3] else "false")
        assert g[4] == (None if w[4] is None else w[4].hex().upper())
        assert g[5] == (None if w[5] is None else as_csv(w[5]))
    assert "hexadecimal" in p.stderr and columns[7] in p.stderr
    assert ask(f"SELECT DISTINCT compression FROM parquet_metadata('{out}')") == [("ZSTD",)]


@pytest.mark.usefixtures("duckdb")
def test_parquet_of_expressions(nasty, runtime):
    out = runtime / "a.parquet"
    ok("export", nasty, out, "--sql", "SELECT 1 AS i, 0.5 AS r, 'x' AS t, NULL AS n, x'01' AS b, 9007199254740993 AS big "
       "UNION ALL SELECT 2, 1, 'y', NULL, NULL, 0.5 -- the end")
    assert [r[1] for r in ask(f"DESCRIBE FROM '{out}'")] == ["BIGINT", "DOUBLE", "VARCHAR", "VARCHAR", "BLOB", "VARCHAR"]
    assert ask(f"SELECT i, r, t, n, big FROM '{out}'") == [("1", "0.5", "x", None, "9007199254740993"), ("2", "1.0", "y", None, "0.5")]
    ok("export", nasty, out, "--force", "--where", "select=123456")
    assert ask(f"SELECT count(*) FROM '{out}'") == [("0",)]


@pytest.mark.usefixtures("duckdb")
def test_parquet_of_many_rows(long, runtime):
    out = runtime / "a.parquet"
    ok("export", long.db, out, "--columns", "i,text")
    assert ask(f"SELECT count(*), sum(i), count(DISTINCT i), min(length(text)) FROM '{out}'") == \
        [("30000", str(sum(range(30000))), "30000", "200")]
    assert ask(f"SELECT count(*) FROM (SELECT i, row_number() OVER () - 1 AS n FROM '{out}') WHERE i <> n") == [("0",)]
    # More than are read ahead while a group of rows is written, several times over.
    ok("export", long.db, out, "--force", "--sql", "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n LIMIT 300000) "
       "SELECT i, i || ' of very many rows' AS text, i % 1000 * 0.5 AS r, nullif(i % 3, 0) AS few FROM n")
    assert ask(f"SELECT count(*), count(*) FILTER (i = n AND text = n || ' of very many rows' AND r = n % 1000 * 0.5 AND few IS NOT DISTINCT FROM "
               f"nullif(n % 3, 0)) FROM (SELECT *, row_number() OVER () - 1 AS n FROM '{out}')") == [("300000", "300000")]


@pytest.mark.usefixtures("duckdb")
def test_parquet_of_all_lengths(served, client, runtime):
    """Rows come in batches; texts of up to 12 bytes are kept in another way than longer ones."""
    client.store({"made": 1})
    rows = [(i, None if i % 7 == 3 else ("%05dü" % i * 7)[:i % 41], None if i % 5 == 1 else i / 8, None if i % 11 == 0 else b"\0\xff" * (i % 13),
             None if i % 3 == 0 else i % 2) for i in range(13000)]
    con = sqlite3.connect(served.db, timeout=TIMEOUT)
    con.execute("CREATE TABLE mixture(i INTEGER, t TEXT, r REAL, b BLOB, f BOOLEAN)")
    con.executemany("INSERT INTO mixture VALUES (?, ?, ?, ?, ?)", rows)
    con.commit()
    con.close()
    ok("export", served.db, runtime / "a.parquet", "--table", "mixture")
    got = ask(f"SELECT i, t, r, hex(b), f::INTEGER FROM '{runtime}/a.parquet'")
    kinds = int, str, float, bytes.fromhex, int
    assert [tuple(v if v is None else kind(v) for kind, v in zip(kinds, row, strict=True)) for row in got] == rows


@pytest.mark.usefixtures("duckdb")
def test_parquet_of_many_columns_and_of_large_texts(long, runtime):
    """Both fill a batch before it has as many rows as others."""
    wide = ", ".join(f"i + {k} AS c{k}, i || '-{k}' AS t{k}" for k in range(700))
    ok("export", long.db, runtime / "wide.parquet", "--sql", f"SELECT {wide} FROM events WHERE i < 200")
    sums = ", ".join(f"sum(c{k} - i)" for k in (0, 350, 699))
    assert ask(f"SELECT count(*), {sums}, count(*) FILTER (t699 <> i || '-699') FROM (SELECT c0 AS i, * FROM '{runtime}/wide.parquet')") == \
        [("200", "0", str(350 * 200), str(699 * 200), "0")]
    ok("export", long.db, runtime / "large.parquet", "--sql", "SELECT i, hex(zeroblob(40000)) || i AS large FROM events WHERE i < 100")
    assert ask(f"SELECT count(*) FILTER (large = repeat('0', 80000) || i), list(i) = range(100) FROM '{runtime}/large.parquet'") == \
        [("100", "true")]


@pytest.mark.usefixtures("duckdb")
def test_parquet_that_fails(long, runtime):
    out = runtime / "a.parquet"
    con = sqlite3.connect(long.db, timeout=TIMEOUT)
    con.execute("CREATE TABLE foreign_one(n INTEGER)")
    con.execute("INSERT INTO foreign_one VALUES (1), ('two')")
    con.commit()
    con.close()
    message = refused("export", long.db, out, "--table", "foreign_one")
    assert "column 'n'" in message and "row 2" in message and "CAST(n AS TEXT)" in message
    assert "no such column" in refused("export", long.db, out, "--sql", "SELECT nope FROM events")
    p = stopped_parquet(long, out)
    long.kill()
    _, err = p.communicate(timeout=TIMEOUT)
    assert p.returncode == 1 and err.startswith("xtctl: ") and len(err.splitlines()) == 1, err
    assert not list(runtime.glob("a.parquet*"))
    assert not list(runtime.glob("xtctl-duckdb-*"))


def stopped_parquet(daemon, path):
    typed = "SELECT e.i FROM events e, events f"
    return stopped_export(daemon, path, typed)


@pytest.mark.usefixtures("duckdb")
def test_parquet_ctrl_c(long, runtime, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(runtime))
    p = stopped_parquet(long, runtime / "a.parquet")
    p.send_signal(signal.SIGINT)
    _, err = p.communicate(timeout=TIMEOUT)
    assert p.returncode == 130, err
    assert not list(runtime.glob("a.parquet*")) and not list(runtime.glob("xtctl-duckdb-*"))


# So many rows, and then none for ever.
STALLING = "SELECT e.i FROM events f CROSS JOIN events e WHERE CASE WHEN f.i < 3 THEN 1 ELSE (" \
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n) END"


@pytest.mark.usefixtures("duckdb")
def test_parquet_ctrl_c_while_no_rows_come(long, runtime, monkeypatch):
    """The thread that waits for rows is another one than that which gets the signal."""
    monkeypatch.setenv("TMPDIR", str(runtime))
    p = stopped_export(long, runtime / "a.parquet", STALLING)
    p.send_signal(signal.SIGINT)
    _, err = p.communicate(timeout=TIMEOUT)
    assert p.returncode == 130, err
    assert not list(runtime.glob("a.parquet*")) and not list(runtime.glob("xtctl-duckdb-*"))


@pytest.mark.usefixtures("duckdb")
def test_parquet_disk_full(long, small_disk):
    many = "SELECT random() AS a, random() AS b, hex(randomblob(200)) AS c FROM events, (SELECT 1 UNION SELECT 2)"
    message = refused("export", long.db, small_disk / "a.parquet", "--sql", many)
    assert "cannot write" in message and "space" in message, message
    assert list(small_disk.iterdir()) == []


def test_without_duckdb(nasty, runtime, monkeypatch):
    monkeypatch.setenv("XETRACK_DUCKDB", str(runtime / "none.so"))
    message = refused("export", nasty, runtime / "a.parquet")
    assert "XETRACK_DUCKDB" in message and "none.so" in message
    monkeypatch.setenv("XETRACK_DUCKDB", XTCTL)  # loads as no library, or has none of its functions
    assert "DuckDB's library" in refused("export", nasty, runtime / "a.parquet")
    monkeypatch.delenv("XETRACK_DUCKDB")
    monkeypatch.setenv("LD_LIBRARY_PATH", str(runtime))
    p = run("export", nasty, runtime / "a.parquet")
    if p.returncode:  # else it is installed here
        assert "install libduckdb, or set XETRACK_DUCKDB" in p.stderr
    assert not list(runtime.glob("a.parquet.part"))
