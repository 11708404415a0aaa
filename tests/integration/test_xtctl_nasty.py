"""Every command that reads, on every kind of database that is not what it hopes for: it answers, or says what is wrong in a sentence.
It does not crash, hang, or print what nobody can parse; nor when its reader or the daemon goes away."""
import json
import os
import re
import shlex
import signal
import subprocess

import pytest
from conftest import TIMEOUT, XTCTL, sqlite

pytestmark = pytest.mark.skipif(not os.access(XTCTL, os.X_OK), reason=f"{XTCTL} is not built")

# 64 MiB of memory for what runs; a sanitizer reserves more than that for itself.
LIMITED = [] if os.environ.get("XT_BUILD_KIND") else ["bash", "-c", 'ulimit -d 65536; exec "$@"', "bash"]
BIG = 20_000  # rows of the database that is large enough to be in the middle of

# What is asked of each: {n} is a numeric column, {x} another one, {run} a run. Answers of rows come in all formats.
ROWS = [
    "ls", "ls runs", "columns", "head", "tail", "head -n 0", "tail -n 3", "head --track-id {run}",
    "head --columns {x},{n} --where {x}=a", "tail --columns {n} --where {n}!=null",
    "runs", "runs --sort rows --reverse -n 3 --where lr=0.1", "show {run}", "diff {run} last --all", "errors", "errors --by {x},{n}",
    "compare --metric {n} --by {x} --resamples 200",
    "sql 'SELECT * FROM \"{table}\"'", "sql 'SELECT count(*) FROM \"{table}\"'",
    "schema show", "schema diff", "schema diff {run} {run}", "schema alias", "schema require",
    "stats describe", "stats describe --columns {n},{x}", "stats describe --columns {n} --by {x} --where {x}=a", "stats top {n}",
    "stats describe --by {x},{n}", "stats bottom {n} -n 2", "stats top {n} --by {x},{n} --columns {x}", "stats bottom {n} --by {x} -n 1",
]
# Answers of other shapes, which are JSON for --json.
OTHERS = ["status", "check", "audit", "cache stats", "schema check", "inspect", "inspect --track-id {run}", "validate",
          "validate --input {x} --params {n}", "preflight", "preflight --repo / --params {n},{x},new,learning_rate"]
# Text only.
TEXTS = [
    "export - --format csv", "export - --format jsonl --columns {n},{x}", "export - --summary --by {x}",
    "plot hist {n}", "plot hist {n} --by {x} --log-x --log-y --ascii", "plot scatter {n} {n} --by {x}", "plot line {n} {n}", "plot line {n}",
    "plot box {n} --by {x}", "plot bar {x}", "plot bar {n} --by {x} --stat sum", "plot bar {n} --by {x} --width 40",
]

COMMANDS = [(line, "rows") for line in ROWS] + [(line, "json") for line in OTHERS] + [(line, "text") for line in TEXTS]
ODD = "select"  # a reserved word; as a table


GROUPS = {"cache", "stats", "plot", "schema"}
HELP = {}


def takes_table(command):
    if command not in HELP:
        HELP[command] = subprocess.run([XTCTL, "help", *command], capture_output=True, text=True).stdout
    return "--table" in HELP[command]


def words(line, where, *more):
    """The words of a command line: the database goes behind the command, the table's name to its end."""
    parts = shlex.split(line.format(**where))
    n = 2 if parts[0] in GROUPS else 1
    options = ["--table", where["table"]] if takes_table(tuple(parts[:n])) else []
    return [str(word) for word in [XTCTL, *parts[:n], where["db"], *parts[n:], *options, *more]]


def run(line, where, *more, env=None):
    return subprocess.run(words(line, where, *more), capture_output=True, timeout=TIMEOUT,
                          env={**os.environ, "LC_ALL": "C.UTF-8", **(env or {})})


def make(kind, served, client):
    """Fills the database; what a command can be asked about it."""
    db, table, n, x, rows = served.db, "events", "v", "s", []
    if kind == "one row":
        rows = [{"v": 1.5, "s": "a"}]
    elif kind == "NULL only":
        rows = [{"v": None, "s": None}] * 20
    elif kind == "odd names":
        table, n, x = ODD, "größe", "group"
        rows = [{"größe": i, "group": "a'b\"c", "😀": i, "order by": i / 2, "1st": "x"} for i in range(20)]
    elif kind == "odd values":
        rows = [{"v": v, "s": s, "b": b} for v, s, b in zip(
            [float("inf"), float("-inf"), float("nan"), 0.0, -0.0, 1e308, 5e-324, 2**63 - 1, -2**63, 1],
            ["", "\x00", "a\nb", "\x1b[31m", "‮abc", "日本語", "x" * 10, "NULL", ",;\"'", "|"],
            [b"", b"\x00\xff", b"x" * 100, None, b"a", b"b", b"c", b"d", b"e", b"f"])]
    elif kind == "huge cells":
        rows = [{"v": i, "s": "wörter " * 50_000} for i in range(3)]
    elif kind == "mixed types":
        rows = [{"v": v, "s": v} for v in [1, 2.5, "three", b"four", None, True, "5"]]
    elif kind == "wide":
        rows = [{"v": 1, "s": "a", **{f"column_{i}": i for i in range(300)}}] * 3
    run_id = "r"
    if rows:
        client.change("run_start", track_id=run_id, table=table, params={"lr": 0.1})
        client.seq += len(rows) - 1
        client.call("log", seq=client.seq - len(rows) + 2, table=table, track_id=run_id, rows=rows)
        client.seq += 1
        client.mark = client.seq
    return {"db": db, "table": table, "n": n, "x": x, "run": run_id}


KINDS = ["nothing", "one row", "NULL only", "odd names", "odd values", "huge cells", "mixed types", "wide"]


def check(p, line):
    err = p.stderr.decode()
    assert p.returncode in (0, 1), (line, p.returncode, err)
    assert "Sanitizer" not in err and "runtime error" not in err, err
    assert not any(c < " " and c not in "\n\t" for c in err), err
    if p.returncode == 1:
        assert p.stdout or err.startswith("xtctl: "), (line, err)
        assert "internal" not in err, err
    return p.returncode


@pytest.mark.parametrize("kind", KINDS)
def test_all_commands(kind, served, client):
    where = make(kind, served, client)
    for line, shape in COMMANDS:
        status = check(run(line, where), line)
        check(run(line, where, env={"COLUMNS": "40", "LC_ALL": "C"}), line)
        if shape == "text":
            continue
        p = run(line, where, "--json")
        assert check(p, line) == status, line
        if p.stdout:
            json.loads(p.stdout.replace(b"9e999", b"1e308"))
        for form in ("csv", "jsonl", "md") if shape == "rows" else ():
            p = run(line, where, "--format", form)
            assert check(p, line) == status, (line, form)
            for row in p.stdout.splitlines() if form == "jsonl" else ():
                json.loads(row)

@pytest.mark.parametrize("form", ["csv", "jsonl", "json"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_all_rows_comes_back(kind, form, served, client, runtime, autostarted):
    """What `import` makes of an export is exported as the same bytes; what cannot travel so is named, and nothing crashes."""
    where = make(kind, served, client)
    file, other = runtime / f"rows.{form}", runtime / "other.db"
    line = f"export - --format {form}"
    p = run(line, where)
    if check(p, line):
        assert kind == "nothing" and "no table 'events'" in p.stderr.decode()
        return
    file.write_bytes(p.stdout)
    autostarted(other)
    back = subprocess.run([XTCTL, "import", other, file, "--table", where["table"]], capture_output=True, timeout=TIMEOUT)
    if check(back, "import"):
        assert kind == "odd values" and form != "csv" and b"9e999" in back.stderr, back.stderr
        return
    again = run(line, {**where, "db": other})
    assert again.stdout == p.stdout, (again.stdout[:2000], p.stdout[:2000])


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_has_all(kind, served, client, runtime, autostarted):
    where = make(kind, served, client)
    other = runtime / "other.db"
    autostarted(other)
    for _ in range(2):  # the second time there is nothing to copy
        p = subprocess.run([XTCTL, "copy", where["db"], other], capture_output=True, timeout=TIMEOUT)
        assert check(p, "copy") == 0, p.stderr
    if kind != "nothing":
        columns = [name for (name,) in sqlite(where["db"], "SELECT name FROM pragma_table_info(?)", where["table"])]
        what = ", ".join(f'"{c}", typeof("{c}")' for c in columns)
        sql = f'SELECT {what} FROM "{where["table"]}" ORDER BY rowid'
        assert sqlite(other, sql) == sqlite(where["db"], sql)


@pytest.mark.parametrize("kind", KINDS)
def test_a_watch_begins_with_what_is_there(kind, served, client):
    """Where there is nothing, not even a table, with what comes."""
    where = make(kind, served, client)
    p = subprocess.Popen(words("watch -n 100 --json", where), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if kind == "nothing":
        client.store({"v": 1})
    n = len(run("tail -n 100 --format jsonl", where).stdout.splitlines())
    assert n > 0
    for _ in range(n):
        json.loads(p.stdout.readline().replace(b"9e999", b"1e308"))
    p.send_signal(signal.SIGINT)
    out, err = p.communicate(timeout=TIMEOUT)
    assert (p.returncode, out) == (130, b""), err


@pytest.mark.parametrize("form", ["table", "md", "csv"])
def test_no_header(served, client, form):
    """One rule for all that prints rows: what is left are the rows, as wide as they must be."""
    where = make("one row", served, client)
    client.change("run_finish", track_id="r", status="finished")

    def rows(text):
        lines = [[c.strip() for c in re.split("[│|]", line)] for line in text.splitlines()]
        heads = {i + k for i, line in enumerate(text.splitlines()) if line and not set(line) - set("─┼-|: ") for k in (-1, 0)}
        return [line for i, line in enumerate(lines) if i not in heads]
    for line in ROWS:
        whole, bare = (run(line, where, "--format", form, *more) for more in ([], ["--no-header"]))
        assert bare.returncode == whole.returncode and bare.stderr == whole.stderr, line
        text = whole.stdout.decode()
        assert rows(bare.stdout.decode()) == rows(text)[form == "csv" and text != "":], line
    assert run("ls", where, "--no-header").stdout.decode().startswith(" events │ 1 │ ")


NAMES = [*"abcdefghijklmnopqrstuvwxyz", "ids", "rows", "unused", "ends", "place", "runs", "input", "first", "count", "table", "group"]


def test_tables_called_as_parts_of_statements(served, client):
    """What a statement of ours calls its own parts is not what it looks in."""
    for name in NAMES:
        client.store([{"v": i * 0.5, "s": "ab"[i % 2], "input_id": i, "error": None} for i in range(4)], table=name, track_id=f"of-{name}")
    assert {r["name"] for r in json.loads(run("ls", {"db": served.db, "table": None}, "--json").stdout)} == set(NAMES)
    p = run("audit", {"db": served.db, "table": None})
    assert p.returncode == 0, p.stderr
    for name in NAMES:
        where = {"db": served.db, "table": name, "n": "v", "x": "s"}
        for line in ("export - --summary --by {x}", "validate --input input_id", "stats top {n} --by {x}", "errors --by {x}"):
            p = run(line, where)
            assert p.returncode == 0 and p.stdout, (line, name, p.stderr)


@pytest.fixture
def big(served, client):
    client.change("run_start", track_id="r", table="events", params={"lr": 0.1})
    client.change("exec", sql="CREATE TABLE more(track_id TEXT, timestamp TEXT, v REAL, s TEXT)")
    client.change("exec", sql="WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n LIMIT ?) INSERT INTO more "
                              "SELECT 'r', '2026-01-01 00:00:00', i * 0.5, printf('%0200d', i) FROM n", args=[BIG])
    return {"db": served.db, "table": "more", "n": "v", "x": "s", "run": "r"}


@pytest.mark.parametrize("line, shape", COMMANDS, ids=[line for line, _ in COMMANDS])
def test_the_reader_goes_away(line, shape, big):
    """As `| head` does: no complaint, and no status of a failure but what the command finds."""
    whole = run(line, big)
    check(whole, line)
    r, w = os.pipe()
    os.close(r)
    try:
        p = subprocess.run(words(line, big), stdout=w, stderr=subprocess.PIPE, timeout=TIMEOUT)
    finally:
        os.close(w)
    assert p.returncode == whole.returncode and b"ipe" not in p.stderr, p.stderr


def test_the_daemon_dies_in_the_middle(big, served, monkeypatch):
    """What had come is shown; what is wrong is said; the status is that of a failure."""
    monkeypatch.setenv("XETRACK_AUTOSTART", "0")
    p = subprocess.Popen([XTCTL, "sql", big["db"], "SELECT a.s, b.s FROM more a, more b"], stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE)
    assert p.stdout.read(100_000)
    served.expected = -signal.SIGKILL
    os.kill(served.proc.pid, signal.SIGKILL)
    out, err = p.communicate(timeout=TIMEOUT)
    assert p.returncode == 1, (p.returncode, err)
    assert err.startswith(b"xtctl: ") and err.count(b"\n") == 1 and b"connection" in err, err
    assert sqlite(big["db"], "SELECT count(*) FROM more") == [(BIG,)]


def test_a_million_rows(served, client):
    """Every command that goes through a table has all rows, in memory that does not grow with them."""
    n = 1_000_000
    client.change("exec", sql="CREATE TABLE events(track_id TEXT, timestamp TEXT, v REAL, s TEXT, error_type TEXT)")
    client.change("exec", sql="WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n LIMIT ?) INSERT INTO events SELECT 'r', "
                              "'2026-01-01 00:00:00', i * 0.5, 'g' || (i % 4), CASE WHEN i % 1000 = 0 THEN 'TimeoutError' END FROM n",
                  args=[n])
    where = {"db": served.db, "table": "events", "n": "v", "x": "s", "run": "r"}

    def ask(line, status=0):
        words_ = words(line, where)
        p = subprocess.run([*LIMITED, *words_], capture_output=True, text=True, timeout=TIMEOUT)
        assert p.returncode == status, (line, p.stderr)
        return p.stdout
    assert [r["v"] for r in json.loads(ask("tail -n 2 --json"))] == [(n - 2) / 2, (n - 1) / 2]
    (described,) = json.loads(ask("stats describe --columns v --json"))
    assert described["count"] == n and described["mean"] == (n - 1) / 4 and described["max"] == (n - 1) / 2
    assert ask("export - --format csv").count("\n") == n + 1
    assert json.loads(ask("errors --json", 1))[0]["count"] == n // 1000
    assert "1,000,000 rows" in ask("inspect", 0)
    assert "1,000,000 rows" in ask("validate", 1)
    assert ask("plot hist v --ascii").count("o") > 100
    assert len(json.loads(ask("compare --metric v --by s --resamples 100 --json"))["cells"]) == 3
