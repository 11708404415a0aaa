"""The command line."""
import json
import os
import shlex
import subprocess

import pytest
from conftest import BUILD, TIMEOUT, XTCTL, sqlite
from xtctl import asked, needs_xtctl, ok, run

pytestmark = needs_xtctl


def jsonl(text):
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def filled(served):
    ok("log", served.db, "loss=0.1", "epoch=1", "name=a b", "ok=true")
    ok("log", served.db, "loss=0.2", "epoch=2", "name=c")
    return served.db


def test_log_types(filled):
    assert sqlite(filled, "SELECT loss, epoch, name, ok, typeof(loss), typeof(epoch), typeof(name) FROM events "
                          "ORDER BY epoch") == [(0.1, 1, "a b", 1, "real", "integer", "text"),
                                                (0.2, 2, "c", None, "real", "integer", "text")]


def test_log_jsonl(served):
    lines = "".join(json.dumps({"i": i, "v": i / 2, "m": {"k": [i]}, "n": None}) + "\n" for i in range(5000))
    ok("log", served.db, "--jsonl", "--table", "bulk", stdin=lines)
    assert sqlite(served.db, "SELECT count(*), sum(i), min(m) FROM bulk")[0][:2] == (5000, sum(range(5000)))


def test_who_creates_a_database_says_so(here):
    """Once: of the next one a mistyped name would be another."""
    (here / "rows.jsonl").write_text('{"a": 1}\n')
    for args in (["log", "one.db", "a=1"], ["import", "two.db", "rows.jsonl"], ["copy", "one.db", "three.db"]):
        made = here / args[2 if args[0] == "copy" else 1]
        assert f"xtctl: note: created '{made}'\n" in run(*args).stderr
        assert made.exists() and "created" not in run(*args).stderr, args
    assert "created" not in run("head", "one.db").stderr
    assert "created '" in run("up", "four.db").stderr
    for name in ("one", "two", "three", "four"):
        run("down", f"{name}.db")


def test_a_log_is_named_only_where_it_is(here):
    (here / "dir.db").mkdir()
    p = run("log", "dir.db", "a=1")
    assert p.returncode == 1 and "its log" not in p.stderr
    (here / "text.db").write_text("no database\n" * 100)
    p = run("log", "text.db", "a=1")
    assert p.returncode == 1 and f"its log is '{here / 'text.db.log'}'" in p.stderr and (here / "text.db.log").exists()
    for lock in here.glob("*.lock"):  # of daemons that never served
        lock.unlink()


def test_a_directory_that_is_missing(here):
    p = run("log", "typo/x.db", "a=1")
    assert p.returncode == 1 and "its directory does not exist" in p.stderr and "create one" not in p.stderr
    assert not (here / "typo").exists()
    p = run("head", "x.db")
    assert p.returncode == 1 and "'import' and 'copy' create one" in p.stderr


def test_log_jsonl_bad_line(served):
    p = run("log", served.db, "--jsonl", stdin='{"a": 1}\n{bad\n{"a": 3}\n')
    assert p.returncode == 1 and "line 2" in p.stderr
    assert "rows stored: 1; --skip-bad goes on" in p.stderr
    assert sqlite(served.db, "SELECT a FROM events") == [(1,)]


def test_log_jsonl_bad_lines_are_counted(served):
    """Those that are no JSON, and those that the daemon refuses."""
    p = run("log", served.db, "--jsonl", "--skip-bad", stdin='{"a": 1}\n{bad\n[3]\n{"a": 4}\n{"": 5}\n')
    assert "bad lines that were left out: 3" in p.stderr, p.stderr
    assert sqlite(served.db, "SELECT a FROM events") == [(1,), (4,)]


def test_log_parameters(served):
    ok("log", served.db, "--jsonl", "--param", "codec=zstd", "--param", "level:=3", stdin='{"a": 1}\n{"a": 2}\n')
    ok("log", served.db, "a=3", "--param", "codec=lz4")
    assert sqlite(served.db, "SELECT a, codec, level FROM events ORDER BY a") == [(1, "zstd", 3), (2, "zstd", 3), (3, "lz4", None)]
    params = [json.loads(p) for p, in sqlite(served.db, "SELECT params FROM xt_runs ORDER BY start_time")]
    assert params == [{"codec": "zstd", "level": 3}, {"codec": "lz4"}]
    assert "is not KEY=VALUE" in run("log", served.db, "a=1", "--param", "x").stderr
    assert "'x' is given twice" in run("log", served.db, "a=1", "--param", "x=1", "--param", "x=2").stderr


def test_head_json(filled):
    rows = json.loads(ok("head", filled, "--json"))
    assert [r["epoch"] for r in rows] == [1, 2]
    assert rows[0]["loss"] == 0.1 and rows[0]["name"] == "a b"
    assert len(json.loads(ok("head", filled, "--json", "--n=1"))) == 1
    assert json.loads(ok("tail", filled, "--json", "--n", "1"))[0]["epoch"] == 2


def test_head_and_tail_of_some(served, client):
    client.store([{"i": i, "s": "ab"[i % 2], "x y": None if i % 3 else i / 2} for i in range(30)])
    client.store([{"i": 100, "s": "a"}], track_id="other")

    def some(command, *args):
        return [tuple(r.values()) for r in json.loads(ok(command, served.db, "--json", "--columns", "i,s", *args))]
    assert list(json.loads(ok("head", served.db, "-n", "1", "--json", "--columns", "s,I"))[0]) == ["s", "i"]
    assert some("head", "--where", "s=b", "--where", "i>4", "-n", "2") == [(5, "b"), (7, "b")]
    assert some("tail", "--where", "s=b", "-n", "2") == [(27, "b"), (29, "b")]
    assert some("tail", "--where", "s=a", "-n", "2") == [(28, "a"), (100, "a")]
    assert some("tail", "--where", "s=a", "-n", "2", "--track-id", "t") == [(26, "a"), (28, "a")]
    assert some("tail", "--where", "x_y!=null", "-n", "1") == [(27, "b")]
    assert some("head", "--where", "s=c") == some("tail", "--where", "s=c") == some("head", "-n", "0") == []
    assert len(some("head")) == len(some("tail")) == 10
    assert some("head", "-2") == some("head", "-n", "2") and some("tail", "-1") == [(100, "a")] and some("head", "-0") == []
    assert "one argument too many: '-1.5'" in run("head", served.db, "-1.5").stderr
    assert "did you mean" in run("head", served.db, "--columns", "i,ss").stderr
    assert "did you mean" in run("tail", served.db, "--where", "ss=1").stderr


@pytest.mark.parametrize("form", ["table", "csv", "json", "jsonl", "md"])
def test_formats(filled, form):
    out = ok("sql", filled, "SELECT name, epoch FROM db.events ORDER BY epoch", "--format", form)
    assert "a b" in out and "epoch" in out
    if form == "csv":
        assert out.splitlines() == ["name,epoch", "a b,1", "c,2"]
    if form == "jsonl":
        assert jsonl(out) == [{"name": "a b", "epoch": 1}, {"name": "c", "epoch": 2}]
    if form == "json":
        assert json.loads(out) == [{"name": "a b", "epoch": 1}, {"name": "c", "epoch": 2}]


def test_set_and_delete(filled):
    ok("set", filled, "label", "good")
    assert sqlite(filled, "SELECT DISTINCT label FROM events") == [("good",)]
    track = sqlite(filled, "SELECT track_id FROM events WHERE epoch = 1")[0][0]
    ok("delete", filled, track)
    assert sqlite(filled, "SELECT epoch FROM events") == [(2,)]


def test_set_says_that_it_made_a_column(filled):
    """Also what it may have been meant to be, and how it goes away again: as it is told, word for word."""
    p = run("set", filled, "los", "1")
    assert p.returncode == 0 and p.stdout == "2 rows changed\n"
    assert f"note: column 'los' is new: did you mean 'loss'? to take it back: xtctl sql {filled} --write '" in p.stderr
    ok(*shlex.split(p.stderr.split("take it back: xtctl ")[1]))
    assert "los" not in [r["name"] for r in json.loads(ok("columns", filled, "--json"))]
    p = run("set", filled, "reviewed", "true")
    assert "note: column 'reviewed' is new; to take it back" in p.stderr
    for args in (["reviewed", "false"], ["Loss", "2"], ["other", "1", "--where", "epoch=99"]):  # nothing is new
        assert "note" not in run("set", filled, *args).stderr, args
    ok("schema", "alias", filled, "losss", "loss")
    assert asked("n\n", "set", filled, "losss", "3", "--all") == (0, "2 rows changed\n", "n\n")
    assert sqlite(filled, "SELECT DISTINCT loss FROM events") == [(3,)]


def test_a_column_that_may_be_mistyped_is_asked_for(filled):
    status, out, said = asked("n\n", "set", filled, "los", "1", "--all")
    assert (status, out) == (1, "") and "there is no column 'los' yet, but 'loss'; make a new one? [y/N]" in said
    assert "los" not in [r["name"] for r in json.loads(ok("columns", filled, "--json"))]
    for answer, args in (("y\n", ["--all"]), ("", ["--yes"])):
        status, out, said = asked(answer, "set", filled, "los", "1", *args)
        assert (status, out) == (0, "2 rows changed\n"), said
    assert "new one?" not in asked("y\n", "set", filled, "los", "2")[2]


def test_nobody_is_asked_about_a_run_that_there_is_not(filled):
    status, out, said = asked("y\n", "delete", filled, "nosuch")
    assert (status, out) == (1, "") and "there is no run 'nosuch'" in said and "[y/N]" not in said
    track = sqlite(filled, "SELECT track_id FROM events WHERE epoch = 1")[0][0]
    status, out, said = asked("n\n", "delete", filled, track)
    assert (status, out) == (1, "") and "[y/N]" in said and "nothing was deleted" in said
    assert asked("y\n", "delete", filled, track)[:2] == (0, "1 row deleted\n")
    assert "there is no run" in asked("y\n", "delete", filled, track)[2]


def test_a_run_that_nobody_recorded_can_be_deleted_at_a_terminal(filled):
    ok("sql", filled, "--write", "INSERT INTO events(track_id, epoch) VALUES ('foreign', 7)")
    assert asked("y\n", "delete", filled, "foreign")[:2] == (0, "1 row deleted\n")


def test_ls_columns_status(filled):
    assert "events" in ok("ls", filled)
    out = ok("columns", filled)
    assert all(c in out for c in ("track_id", "timestamp", "loss", "epoch", "name", "ok"))
    status = json.loads(ok("status", filled, "--json"))
    status = status[0] if isinstance(status, list) else status
    assert status["state"] == "ok" and status["rows"] == 2


def test_exit_statuses(filled):
    for args in (["sql", filled, "SELEKT"], ["sql", filled, "SELECT * FROM none"], ["columns", filled, "--table", "none"]):
        p = run(*args)
        assert p.returncode == 1 and p.stderr and not p.stdout, args
    for args in ([], ["nonsense", filled], ["head", filled, "--nonsense"], ["head", filled, "--n", "x"],
                 ["head", filled, "--format", "xml"]):
        p = run(*args)
        assert p.returncode == 2 and p.stderr, args


def test_reading_a_missing_database(runtime):
    p = run("head", runtime / "none.db")
    assert p.returncode == 1 and "none.db" in p.stderr
    assert not (runtime / "none.db").exists()


def test_database_from_the_environment(filled):
    env = dict(os.environ, XETRACK_DB=filled)
    assert len(json.loads(ok("head", "--json", env=env))) == 2


def test_xt_accepts_the_engine(filled):
    xt = str(BUILD / "xt")
    if not os.path.exists(xt):
        pytest.skip("build/xt is not there")
    p = run("head", filled, "--n=10", "--engine=duckdb", "--json", program=xt)
    assert p.returncode == 0 and len(json.loads(p.stdout)) == 2
    assert "engine" in p.stderr


def test_head_ends_quietly(served):
    p = subprocess.Popen([XTCTL, "sql", served.db, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
                          "SELECT i FROM n", "--format", "csv"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert p.stdout.readline().strip() == b"i"
    assert p.stdout.readline().strip() == b"1"
    p.stdout.close()
    assert p.wait(TIMEOUT) in (0, -13, 141)
    assert p.stderr.read() == b""


def test_up_and_down(autostarted, db):
    autostarted(db)
    ok("up", db)
    ok("log", db, "a=1")
    ok("down", db)
    p = run("log", db, "a=2")
    assert p.returncode == 1 and "up" in p.stderr
    ok("up", db)
    ok("log", db, "a=3")
    assert sqlite(db, "SELECT a FROM events ORDER BY a") == [(1,), (3,)]


def test_tail_of_a_view(filled):
    sqlite(filled, "CREATE VIEW v AS SELECT * FROM events")
    assert len(ok("head", filled, "--table", "v", "--format", "jsonl").splitlines()) == 2
    p = run("tail", filled, "--table", "v")
    assert p.returncode == 1 and "view" in p.stderr


def test_status_does_not_count_itself(filled):
    s = json.loads(ok("status", filled, "--json"))
    s = s[0] if isinstance(s, list) else s
    assert s["queued_ops"] == 0 and s["queued_bytes"] == 0


def test_the_wrong_socket(served, runtime, monkeypatch):
    """XETRACK_SOCKET of another database: refused by name, nothing is stored there."""
    ok("log", served.db, "a=1")
    monkeypatch.setenv("XETRACK_SOCKET", served.socket)
    p = run("log", runtime / "other.db", "a=2")
    assert p.returncode == 1 and served.db in p.stderr and "other.db" in p.stderr
    assert sqlite(served.db, "SELECT a FROM events") == [(1,)]
    assert not (runtime / "other.db").exists()


def test_the_socket_is_elsewhere(served, runtime, monkeypatch):
    """A daemon has the database, but listens where XETRACK_SOCKET does not point: said, not spun upon."""
    monkeypatch.setenv("XETRACK_SOCKET", str(runtime / "nowhere.sock"))
    p = run("head", served.db)
    assert p.returncode == 1 and str(served.pid) in p.stderr and "XETRACK_SOCKET" in p.stderr
    log = runtime / "b.db.log"
    assert not log.exists() or len(log.read_text().splitlines()) < 100


def test_special_files_are_refused_without_litter(runtime):
    for path in (runtime / "dir.db", runtime / "fifo.db"):
        path.mkdir() if "dir" in path.name else os.mkfifo(path)
        p = run("log", path, "a=1")
        assert p.returncode == 1 and path.name in p.stderr
        assert [x.name for x in runtime.iterdir() if x.name.startswith(path.name + ".")] == []
