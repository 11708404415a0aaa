"""xtctl stats: summaries of columns, and the rows at their ends; figures are held against numpy's."""
import csv
import fcntl
import io
import json
import os
import pty
import random
import re
import signal
import struct
import subprocess
import termios

import numpy
import pytest
import xtctl
from conftest import BUILD, TIMEOUT, XTCTL

pytestmark = xtctl.needs_xtctl


def run(*args, program=XTCTL, **env):
    return xtctl.run(*args, program=program, env=env)


def ok(*args, program=XTCTL, **env):
    return xtctl.ok(*args, program=program, env=env)


def described(*args):
    """Summaries by their column."""
    return {row["column"]: row for row in json.loads(ok("stats", "describe", *args, "--json").replace("9e999", "1e999"))}


def on_terminal(columns, *args, rows=40, status=0, both=False, **env):
    """What a command writes to a terminal so wide: its output, or both that and what it says beside it."""
    main, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    p = subprocess.Popen([XTCTL, *map(str, args)], stdout=side, stderr=side if both else subprocess.PIPE,
                         env={**os.environ, "LC_ALL": "C.UTF-8", "TERM": "xterm", **env})
    os.close(side)
    out = b""
    try:
        while data := os.read(main, 65536):
            out += data
    except OSError:  # nobody writes any more
        pass
    os.close(main)
    err = (p.communicate(timeout=TIMEOUT)[1] or b"").decode()
    assert p.returncode == status, err
    return out.decode().replace("\r\n", "\n"), err


R = random.Random(11)
LATENCY = [R.lognormvariate(0, 1) for _ in range(500)]
ACCURACY = [R.random() if i % 10 else None for i in range(500)]
MODEL = [("a", "b", "b", None)[i % 4] for i in range(500)]


@pytest.fixture
def filled(served, client):
    client.store([[LATENCY[i], ACCURACY[i], i % 7, MODEL[i], i % 2 == 0, None] for i in range(500)],
                 columns=["latency", "accuracy", "tokens", "model", "ok", "never"], track_id="r1")
    client.store([[1.0, 2.0]], columns=["latency", "accuracy"], track_id="r2", table="other")
    return served.db


def check(row, values):
    there = [v for v in values if v is not None]
    assert row["count"] == len(there) and row["nulls"] == len(values) - len(there)
    for name, want in {"mean": numpy.mean(there), "std": numpy.std(there, ddof=1), "min": min(there), "max": max(there),
                       "25%": numpy.quantile(there, 0.25), "50%": numpy.median(there), "75%": numpy.quantile(there, 0.75)}.items():
        assert row[name] == pytest.approx(want, rel=1e-12), name


def test_describe(filled):
    rows = described(filled)
    assert list(rows) == ["latency", "accuracy", "tokens", "ok", "track_id", "timestamp", "model", "never"]
    check(rows["latency"], LATENCY)
    check(rows["accuracy"], ACCURACY)
    check(rows["tokens"], [i % 7 for i in range(500)])
    assert rows["tokens"]["max"] == 6 and isinstance(rows["tokens"]["max"], int)
    assert rows["ok"]["mean"] == 0.5
    assert {k: rows["model"][k] for k in ("count", "nulls", "distinct", "top", "freq", "shortest", "longest", "mean")} == \
        {"count": 375, "nulls": 125, "distinct": 2, "top": "b", "freq": 250, "shortest": 1, "longest": 1, "mean": None}
    assert rows["never"]["count"] == 0 and rows["never"]["nulls"] == 500 and rows["never"]["top"] is None
    assert rows["timestamp"]["shortest"] == rows["timestamp"]["longest"] == 26


def test_the_seed_writes_it_so(filled):
    """xt stats describe benchmark.db --columns=latency,accuracy: and here the figures have their names."""
    out = ok("stats", "describe", filled, "--columns=latency,accuracy", program=BUILD / "xt")
    head, rule, *rows = out.splitlines()
    assert head.split("│")[0].strip() == "column"
    assert [h.strip() for h in head.split("│")[1:]] == ["count", "nulls", "mean", "std", "min", "25%", "50%", "75%", "max"]
    assert [r.split("│")[0].strip() for r in rows] == ["latency", "accuracy"]
    assert all(len(re.sub(r"\D", "", cell.split("e")[0]).lstrip("0")) <= 5 for r in rows for cell in r.split("│")[3:])


def test_another_table_and_run(filled):
    assert described(filled, "--table", "other", "--columns", "latency")["latency"]["max"] == 1.0
    assert described(filled, "--track-id", "r1", "--columns", "tokens")["tokens"]["count"] == 500
    assert described(filled, "--where", "track_id=nobody", "--columns", "tokens")["tokens"] == {
        **dict.fromkeys(["mean", "std", "min", "25%", "50%", "75%", "max", "distinct", "top", "freq", "shortest", "longest"]),
        "column": "tokens", "count": 0, "nulls": 0}
    assert described(filled, "--where", "model=a", "--columns", "tokens")["tokens"]["count"] == 125
    assert described(filled, "--where", "model=null", "--track-id", "r1", "--columns", "tokens")["tokens"]["count"] == 125


def test_by(filled):
    rows = json.loads(ok("stats", "describe", filled, "--by", "model", "--columns", "latency,accuracy", "--json"))
    assert [(r["model"], r["column"]) for r in rows] == [(m, c) for m in (None, "a", "b") for c in ("latency", "accuracy")]
    for r in rows:
        check(r, [v for v, m in zip(LATENCY if r["column"] == "latency" else ACCURACY, MODEL) if m == r["model"]])
    texts = json.loads(ok("stats", "describe", filled, "--by", "ok", "--columns", "model", "--json"))
    assert [(r["ok"], r["count"], r["distinct"]) for r in texts] == [(False, 125, 1), (True, 250, 2)]


def test_by_several(filled):
    rows = json.loads(ok("stats", "describe", filled, "--by", "model,ok,tokens", "--columns", "latency", "--where", "tokens<2", "--json"))
    groups = sorted({(MODEL[i], i % 2 == 0, i % 7) for i in range(500) if i % 7 < 2}, key=lambda g: (g[0] or "", g[1:]))
    assert [(r["model"], r["ok"], r["tokens"]) for r in rows] == groups  # NULL is a group, and the first one
    for r in rows:
        check(r, [LATENCY[i] for i in range(500) if (MODEL[i], i % 2 == 0, i % 7) == (r["model"], r["ok"], r["tokens"])])
    all_columns = json.loads(ok("stats", "describe", filled, "--by", "model,ok", "--json"))
    assert {r["column"] for r in all_columns} == {"latency", "accuracy", "tokens"}  # what groups is not described
    head = ok("stats", "describe", filled, "--by", "ok,model", "--columns", "latency").splitlines()[0]
    assert [h.strip() for h in head.split("│")[:4]] == ["ok", "model", "column", "count"]
    p = run("stats", "describe", filled, "--by", "model,ko")
    assert p.returncode == 1 and "no column 'ko'" in p.stderr


def test_by_odd_values(served, client):
    """Names that SQL has to quote, values of several types, more columns than a table has room for, and one twice."""
    names = ["group", 'a"b', "größe", *(f"c{i}" for i in range(40))]
    client.store([{"group": g, 'a"b': v, **{n: 1 for n in names[2:]}, "x": i} for i, (g, v) in enumerate(
        [("a,b", 1), ("a,b", 1.0), ("a,b", "1"), (None, None), ("", None), ("a", b"1"), ("a,b", "x")])])
    by = "group,a_b,größe," + ",".join(f"c{i}" for i in range(40))
    rows = json.loads(ok("stats", "describe", served.db, "--by", by + ",group", "--columns", "x", "--json"))
    assert [(r["group"], r["a_b"], r["count"], r["group_2"]) for r in rows] == [
        (None, None, 1, None), ("", None, 1, ""), ("a", "31", 1, "a"), ("a,b", 1, 2, "a,b"), ("a,b", "1", 1, "a,b"), ("a,b", "x", 1, "a,b")]
    assert len(ok("stats", "describe", served.db, "--by", by, "--columns", "x").splitlines()) == 2 + 6


def test_what_is_no_number_is_told_once(served, client):
    client.store([["x", i, v] for i in range(3) for v in (1, "a", 2)], columns=["a", "b", "mixed"])
    p = run("stats", "describe", served.db, "--by", "a,b", "--columns", "mixed", "--json")
    assert [r["count"] for r in json.loads(p.stdout)] == [2, 2, 2]
    assert p.stderr == "xtctl: note: 3 values of 'mixed' are no number and left out\n"


def test_quantiles(filled):
    row = described(filled, "--columns", "latency", "--quantiles", "0.05,0.5,0.999")["latency"]
    assert [k for k in row if "%" in k] == ["5%", "50%", "99.9%"]
    for name, q in (("5%", 0.05), ("50%", 0.5), ("99.9%", 0.999)):
        assert row[name] == pytest.approx(numpy.quantile(LATENCY, q))


@pytest.mark.parametrize("form", ["csv", "jsonl", "md"])
def test_forms(filled, form):
    out = ok("stats", "describe", filled, "--columns", "latency,model", "--format", form)
    if form == "csv":
        latency, model = csv.DictReader(io.StringIO(out))
        assert float(latency["50%"]) == pytest.approx(numpy.median(LATENCY)) and latency["top"] == ""
        assert model["top"] == "b" and model["mean"] == ""
    elif form == "jsonl":
        assert [json.loads(line)["column"] for line in out.splitlines()] == ["latency", "model"]
    else:
        numbers, texts = out.strip().split("\n\n")
        assert "| mean" in numbers.replace("  ", "") and "distinct" in texts


def test_mixed_values(served, client):
    client.store([[v, "7"] for v in (1, 2.5, "three", b"four", None, "5", 4)], columns=["mixed", "text"])
    p = run("stats", "describe", served.db, "--columns", "mixed,text", "--json")
    mixed, text = json.loads(p.stdout)
    assert (mixed["count"], mixed["nulls"], mixed["mean"], mixed["max"]) == (3, 1, 2.5, 4)
    assert (text["count"], text["mean"], text["top"], text["freq"]) == (7, None, "7", 7)
    assert p.stderr == "xtctl: note: 3 values of 'mixed' are no number and left out\n"


def test_a_column_of_numbers_may_have_text(served, client):
    """Another program may have put it there."""
    client.change("exec", sql="CREATE TABLE t(x REAL, g)")
    client.change("exec", sql="INSERT INTO t VALUES (1, 1), (3, 1), ('n/a', 1), (x'00', 2)")
    p = run("stats", "describe", served.db, "--table", "t", "--columns", "x", "--json")
    assert [r["mean"] for r in json.loads(p.stdout)] == [2.0] and "2 values of 'x' are no number" in p.stderr
    rows = json.loads(ok("stats", "describe", served.db, "--table", "t", "--columns", "x", "--by", "g", "--json"))
    assert [(r["g"], r["count"]) for r in rows] == [(1, 2), (2, 0)]


def test_infinities_and_nan(served, client):
    client.store([[v] for v in (float("inf"), 1.0, float("nan"), 2.0)], columns=["x"])
    row = described(served.db, "--columns", "x")["x"]
    assert (row["count"], row["nulls"], row["max"], row["std"], row["50%"]) == (3, 1, float("inf"), None, 2.0)


def test_many_values_are_said_to_be_approximate(served, client):
    client.change("exec", sql="CREATE TABLE t AS WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n LIMIT 300001) "
                              "SELECT i, 'v' || i AS name FROM n")
    p = run("stats", "describe", served.db, "--table", "t", "--json")
    i, name = json.loads(p.stdout)
    assert abs(i["50%"] / 150000 - 1) < 0.001 and i["max"] == 300000
    assert abs(name["distinct"] / 300001 - 1) < 0.05
    assert "approximate: off by less than 0.03 % in rank" in p.stderr and "more than 8,192 different values" in p.stderr


def test_narrow_terminal(filled):
    """Lines fit; what has no room is left out, and told."""
    out, err = on_terminal(80, "stats", "describe", filled)
    assert max(map(len, re.sub("\033\\[[0-9;]*m", "", out).splitlines())) <= 80
    assert "50%" in out and "25%" not in out and "no room" in err
    out, err = on_terminal(120, "stats", "describe", filled, "--columns", "latency")
    assert "25%" in out and not err
    out, err = on_terminal(80, "stats", "describe", filled, "--by", "model,ok", "--columns", "latency,accuracy")
    assert [h.strip() for h in out.splitlines()[0].split("│")] == ["model", "ok", "column", "count", "mean", "min", "50%", "max"]
    assert err == "xtctl: note: a line of 80 columns has no room for NULLs, std and more quantiles; --format json has them\n"


@pytest.mark.parametrize("args, status, says", [
    (["--columns", "latncy"], 1, "no column 'latncy' in table 'events'; did you mean 'latency'?"),
    (["--by", "modell"], 1, "did you mean 'model'?"),
    (["--quantiles", "0.5,1.5"], 2, "--quantiles needs numbers from 0 to 1"),
    (["--quantiles", "a"], 2, "--quantiles needs numbers from 0 to 1"),
    (["--quantiles", ",".join(["0.5"] * 17)], 2, "16 numbers at most"),
    (["--table", "evnts"], 1, "evnts"),
    (["--where", "modell=a"], 1, "did you mean 'model'?"),
    (["--where", "model"], 2, "--where: "),
])
def test_mistakes(filled, args, status, says):
    p = run("stats", "describe", filled, *args)
    assert p.returncode == status and says in p.stderr, p.stderr


def test_top_and_bottom(filled):
    (row,) = json.loads(ok("stats", "top", filled, "latency", "--json"))
    assert row["latency"] == max(LATENCY)
    rows = json.loads(ok("stats", "bottom", filled, "latency", "-n", "3", "--json"))
    assert [r["latency"] for r in rows] == sorted(LATENCY)[:3]
    assert len(json.loads(ok("stats", "top", filled, "tokens", "--json"))) == sum(i % 7 == 6 for i in range(500))
    assert json.loads(ok("stats", "top", filled, "latency", "--where", "model=a", "--json"))[0]["latency"] == \
        max(v for v, m in zip(LATENCY, MODEL) if m == "a")
    assert json.loads(ok("stats", "top", filled, "never", "--json")) == []
    p = run("stats", "top", filled, "latncy")
    assert p.returncode == 1 and "did you mean 'latency'?" in p.stderr


def test_top_of_mixed_values_is_a_number(served, client):
    client.store([[v] for v in (1, 2.5, "three", None, 2)], columns=["x"])
    assert [r["x"] for r in json.loads(ok("stats", "top", served.db, "x", "--json"))] == [2.5]
    assert [r["x"] for r in json.loads(ok("stats", "bottom", served.db, "x", "--json", "-n", "9"))] == [1, 2, 2.5, "three"]


def test_columns_beside_it(filled):
    def head(*args):
        return ok("stats", "top", filled, "latency", "--format", "csv", *args).splitlines()[0]
    assert head() == "latency,track_id,timestamp,accuracy,tokens,model,ok,never"
    assert head("--columns", "model,ok") == "latency,model,ok"
    assert head("--columns", "model,latency,ok,model") == "model,latency,ok"
    assert head("--by", "model,ok", "--columns", "tokens") == "model,ok,latency,tokens"
    assert head("--by", "model,ok", "--columns", "ok,tokens") == "model,latency,ok,tokens"
    assert head("--by", "latency") == "latency,track_id,timestamp,accuracy,tokens,model,ok,never"
    p = run("stats", "top", filled, "latency", "--columns", "model,tocens")
    assert p.returncode == 1 and "did you mean 'tokens'?" in p.stderr


def test_the_ranked_column_is_seen_in_a_narrow_table(served, client):
    client.store([{**{f"column_{i}": "some text" for i in range(30)}, "score": 7, **{f"more_{i}": "some text" for i in range(30)}}])
    out, err = on_terminal(80, "stats", "top", served.db, "score")
    assert out.splitlines()[0].split("│")[0].strip() == "score"
    assert err.endswith("do not fit and are left out; --format json shows them, --columns a,b only those named\n")
    out, err = on_terminal(80, "stats", "top", served.db, "score", "--columns", "column_7,more_9")
    assert [h.strip() for h in out.splitlines()[0].split("│")] == ["score", "column_7", "more_9"] and not err


@pytest.mark.parametrize("end, pick, reverse", [("top", max, True), ("bottom", min, False)])
def test_ends_of_groups(filled, end, pick, reverse):
    groups = [(None, False), ("a", True), ("b", False), ("b", True)]
    of = {g: [LATENCY[i] for i in range(500) if (MODEL[i], i % 2 == 0) == g] for g in groups}
    rows = json.loads(ok("stats", end, filled, "latency", "--by", "model,ok", "--json"))
    assert [((r["model"], r["ok"]), r["latency"]) for r in rows] == [(g, pick(of[g])) for g in groups]
    rows = json.loads(ok("stats", end, filled, "latency", "--by", "model,ok", "-n", "3", "--json"))
    assert [((r["model"], r["ok"]), r["latency"]) for r in rows] == [
        (g, v) for g in groups for v in sorted(of[g], reverse=reverse)[:3]]
    assert json.loads(ok("stats", end, filled, "latency", "--by", "model", "-n", "0", "--json")) == []
    assert json.loads(ok("stats", end, filled, "never", "--by", "model", "--json")) == []
    # Without -n all rows that have it.
    rows = json.loads(ok("stats", end, filled, "tokens", "--by", "model", "--columns", "tokens", "--json"))
    at = pick(range(7))
    assert [(r["model"], r["tokens"]) for r in rows] == [
        (m, at) for m in (None, "a", "b") for i in range(500) if MODEL[i] == m and i % 7 == at]


def test_ends_of_groups_with_names_of_the_statement(served, client):
    """The columns that the statement makes up, and words of SQL, are names like others."""
    client.store([{"place": i, "c0": v, "c1": g, "order": v} for i, (g, v) in enumerate(
        [("a", 1), ("a", "x"), ("a", 3.5), ("b", None), ("b", -2)])], table="ranked")
    rows = json.loads(ok("stats", "top", served.db, "c0", "--by", "c1", "--columns", "place,order", "--table", "ranked", "--json"))
    assert [list(r.values()) for r in rows] == [["a", 3.5, 2, 3.5], ["b", -2, 4, -2]]
    assert list(rows[0]) == ["c1", "c0", "place", "order"]


# ---- in the middle of it ----------------------------------------------------

LONG = [("stats", "describe", "--columns", "v"), ("stats", "describe", "--columns", "r"), ("stats", "top", "v"),
        ("stats", "bottom", "v", "--by", "w", "-n", "2"), ("plot", "hist", "v"), ("plot", "scatter", "v", "w"),
        ("plot", "line", "v"), ("plot", "box", "v"), ("plot", "bar", "v", "--by", "w")]


@pytest.fixture
def endless(served, client):
    """A table that takes hours; started(args): a command that is in the middle of it."""
    client.change("exec", sql="CREATE TABLE few AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000) "
                              "SELECT i AS v, i AS w, CAST(i AS REAL) AS r FROM n")
    client.change("exec", sql="CREATE VIEW endless AS SELECT a.v + b.v AS v, a.w AS w, a.r AS r FROM few a, few b, few c, few d")

    def started(args):
        p = subprocess.Popen([XTCTL, *args[:2], served.db, *args[2:], "--table", "endless"], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, env={**os.environ, "LC_ALL": "C.UTF-8", "XETRACK_AUTOSTART": "0"})
        seen = 0
        while p.poll() is None and seen < 30:  # the first cursors are those of short questions
            seen = seen + 1 if client.call("status")["cursors"] else 0
        assert p.poll() is None, p.communicate()
        return p
    return started


@pytest.mark.parametrize("args", LONG, ids=map(" ".join, LONG))
def test_interrupted(endless, client, args):
    p = endless(args)
    p.send_signal(signal.SIGINT)
    out, err = p.communicate(timeout=TIMEOUT)
    assert p.returncode == 130 and not out, err  # no head of a table that has no rows
    while client.call("status")["cursors"]:
        pass


@pytest.mark.parametrize("args", LONG, ids=map(" ".join, LONG))
def test_the_daemon_dies(endless, served, args):
    p = endless(args)
    served.kill()
    out, err = p.communicate(timeout=TIMEOUT)
    assert p.returncode == 1 and err.decode().startswith("xtctl: ") and b"no daemon" in err, err
