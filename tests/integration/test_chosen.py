"""Which rows are meant: runs that there are not, `last`, conditions that no row fits, and hints that can be pasted."""
import json
import sqlite3
import subprocess

import pytest
from conftest import TIMEOUT, XTCTL
from xtctl import needs_xtctl, ok, refused, run

pytestmark = needs_xtctl

NOON = 1_700_000_000_000_000  # a moment of 2023


def start(client, name, at, table="events", status="finished", rows=1):
    client.change("run_start", track_id=name, time=NOON + at, table=table)
    for i in range(rows):
        client.store({"x": i, "model": "beta" if i % 2 else "alpha", "error": None, "cache": ""}, track_id=name, table=table)
    if status:
        client.change("run_finish", track_id=name, status=status)


@pytest.fixture
def runs(served, client):
    start(client, "purple-mountain-4392", 0, rows=3)
    start(client, "quick-river-0007", 10, rows=2)
    start(client, "green-meadow-1111", 20, table="other", rows=1)
    return served.db


READERS = [["errors"], ["head"], ["tail"], ["inspect"], ["stats", "describe"], ["stats", "top", "x"], ["stats", "bottom", "x"],
           ["export"], ["export", "-", "--summary"], ["plot", "hist", "x"], ["plot", "bar", "x"], ["compare", "--metric", "x", "--by", "model"],
           ["cache", "report"], ["cache", "ls"], ["assets", "ls"]]


def line(command, db):
    """The command with its database."""
    at = 2 if command[0] in ("stats", "plot", "cache", "assets") else 1
    return [*command[:at], db, *command[at:]]


# ---- a run that there is not ------------------------------------------------------


@pytest.mark.parametrize("command", READERS, ids=" ".join)
def test_an_unknown_run_is_no_all_clear(runs, command):
    assert "there is no run 'nosuch'; 'xtctl runs " in refused(*line(command, runs), "--track-id", "nosuch")
    assert "there is no run 'quick-river-0008'; did you mean 'quick-river-0007'?" in refused(
        *line(command, runs), "--track-id", "quick-river-0008")


def test_which_run_may_be_meant(runs):
    def hint(word):
        return refused("head", runs, "--track-id", word)

    assert "did you mean 'purple-mountain-4392'?" in hint("mountain")
    assert "did you mean 'purple-mountain-4392'?" in hint("purple")
    assert "did you mean 'green-meadow-1111'?" in hint("MEADOW")  # of another table, which its note tells
    assert f"'xtctl runs {runs}' lists them" in hint("r-")  # short
    assert f"'xtctl runs {runs}' lists them" in hint("zebra")


def test_part_of_several_runs(runs, client):
    start(client, "purple-lake-0001", 30)
    assert "'xtctl runs " in refused("head", runs, "--track-id", "purple")


def test_a_deleted_run_is_none(runs):
    ok("delete", runs, "quick-river-0007", "--yes")
    assert "there is no run 'quick-river-0007'" in refused("errors", runs, "--track-id", "quick-river-0007")


def test_a_run_of_another_table_selects_nothing(runs):
    p = run("errors", runs, "--track-id", "green-meadow-1111")
    assert p.returncode == 0 and p.stdout == "no row is selected, so none is known to have failed\n"
    assert "note: no row of 'events' matches --track-id 'green-meadow-1111'" in p.stderr


def test_a_run_that_has_begun_is_known(runs, client):
    start(client, "young-owl-0001", 99, status=None, rows=0)
    p = run("head", runs, "--track-id", "young-owl-0001", "--no-header", "--format", "csv")
    assert p.returncode == 0 and p.stdout == "" and "no row of 'events' matches" in p.stderr


@pytest.fixture
def foreign(daemon, db):
    """A file of another program, which has no records of runs."""
    with sqlite3.connect(db) as other:
        other.execute("CREATE TABLE events(track_id TEXT, timestamp TEXT, n, PRIMARY KEY(track_id, timestamp))")
        other.executemany("INSERT INTO events VALUES (?, ?, 1)", [("river-1", "2024-01-02 00:00:00"), ("meadow-2", "2024-01-01 00:00:00")])
        other.execute("CREATE VIEW seen AS SELECT track_id, count(*) AS n FROM events GROUP BY 1")
        other.execute("CREATE TABLE bare(n)")
    other.close()
    daemon(db, "--read-only")
    return db


def test_a_file_without_records_of_runs(foreign):
    def runs_of(*args):
        return [r["track_id"] for r in json.loads(ok("head", foreign, "--json", *args))]

    assert runs_of("--track-id", "river-1") == ["river-1"]
    assert runs_of("--track-id", "last") == ["meadow-2"]  # that was stored last
    assert runs_of("--track-id", "river-1", "--table", "seen") == ["river-1"]
    assert "did you mean 'river-1'?" in refused("head", foreign, "--track-id", "river-2")
    assert "there is no last run in table 'seen'" in refused("head", foreign, "--track-id", "last", "--table", "seen")
    assert "no column 'track_id' in table 'bare'" in refused("head", foreign, "--track-id", "last", "--table", "bare")


def test_watch_waits_for_a_run_and_says_so(runs, client):
    p = subprocess.Popen([XTCTL, "watch", runs, "-n", "1", "--track-id", "later-fox-0001", "--format", "jsonl"], stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True)
    try:
        assert p.stderr.readline() == "xtctl: note: there is no run 'later-fox-0001' yet; waiting for its first row\n"
        start(client, "later-fox-0001", 50)
        assert json.loads(p.stdout.readline())["track_id"] == "later-fox-0001"
    finally:
        p.kill()
        p.communicate(timeout=TIMEOUT)


# ---- last ---------------------------------------------------------------------------


def test_last_is_the_last_run_of_the_table(runs, client):
    def last(*args):
        return {r["track_id"] for r in json.loads(ok("tail", runs, "--json", "--track-id", "last", *args))}

    assert last() == {"quick-river-0007"}
    assert last("--table", "other") == {"green-meadow-1111"}
    start(client, "young-owl-0001", 99, status=None, rows=0)
    assert last() == set()  # it has begun, and what was before it is not what is asked for
    client.store({"x": 1}, track_id="young-owl-0001", table="other")
    assert last("--table", "other") == {"young-owl-0001"}
    ok("delete", runs, "young-owl-0001", "--yes", "--force")
    assert last() == {"quick-river-0007"}
    assert "Only of run `quick-river-0007`" in ok("export", runs, "-", "--summary", "--by", "model", "--track-id", "last")


@pytest.mark.parametrize("command", READERS, ids=" ".join)
def test_last_for_all_that_read(runs, command):
    p = run(*line(command, runs), "--track-id", "last")
    assert p.returncode == 0, p.stderr


def test_no_last_run_yet(served):
    ok("sql", served.db, "CREATE TABLE events(track_id TEXT, timestamp TEXT)", "--write")
    assert "there is no last run in table 'events': it has none yet" in refused("head", served.db, "--track-id", "last")


def test_a_run_that_is_called_last(runs, client):
    start(client, "last", 5)
    assert json.loads(ok("head", runs, "--json", "--track-id", "last"))[0]["track_id"] == "last"
    assert ok("set", runs, "x", "9", "--track-id", "last") == "1 row changed\n"
    assert ok("delete", runs, "last", "--yes").startswith("1 row deleted")


@pytest.mark.parametrize("command", [
    ["set", "x", "1", "--track-id", "last"], ["delete", "last"], ["cache", "delete", "--track-id", "last"], ["cache", "delete", "last"],
    ["log", "x=1", "--track-id", "last"], ["assets", "put", "/dev/null", "--track-id", "last"],
    ["import", "-", "--format", "csv", "--track-id", "last"],
], ids=" ".join)
def test_what_changes_takes_no_last(runs, command):
    before = ok("sql", runs, "SELECT * FROM events", "--json"), ok("runs", runs, "--json")
    at = 2 if command[0] == "assets" else 1
    words = ["cache", "delete", runs, *command[2:]] if command[0] == "cache" else [*command[:at], runs, *command[at:]]
    assert f"give the run's id, which 'xtctl show {runs} last' tells" in refused(*words, stdin="x\n1\n")
    assert (ok("sql", runs, "SELECT * FROM events", "--json"), ok("runs", runs, "--json")) == before


# ---- conditions -----------------------------------------------------------------------


@pytest.mark.parametrize("text, meant", [("x=>1", "x>=1"), ("x=<1", "x<=1"), ("model==beta", "model=beta"), ("x<>1", "x!=1")])
@pytest.mark.parametrize("command", [["head"], ["errors"], ["validate"], ["stats", "describe"]], ids=" ".join)
def test_operators_of_other_languages(runs, command, text, meant):
    assert f"as in '{meant}'?" in refused(*line(command, runs), "--where", text, status=2)


@pytest.mark.parametrize("command", [["head"], ["tail"], ["errors"], ["errors", "--by", "model"], ["errors", "--json"], ["stats", "describe"],
                                     ["stats", "top", "x"], ["stats", "top", "x", "--by", "model"], ["export"], ["export", "-", "--summary"]],
                         ids=" ".join)
def test_nothing_selected_is_told(runs, command):
    p = run(*line(command, runs), "--where", "model=gamma", "--where", "x>0")
    assert p.returncode == 0 and "note: no row of 'events' matches --where 'model=gamma' and --where 'x>0'" in p.stderr
    assert "no execution failed" not in p.stdout
    p = run(*line(command, runs), "--where", "model='beta'")
    assert "note: no row of 'events' has model = 'beta' with the quotes; without them?" in p.stderr
    assert "note: no row" not in run(*line(command, runs), "--where", "model=beta").stderr


@pytest.mark.parametrize("command", ["inspect", "validate"])
def test_nothing_to_judge_is_wrong(runs, command):
    p = run(command, runs, "--where", "model='beta'")
    assert p.returncode == 1 and "has no such rows" in p.stdout and "without them?" in p.stderr


def test_no_row_asked_for_is_no_note(runs):
    assert run("head", runs, "-n", "0", "--where", "model=beta").stderr == ""
    assert run("head", runs, "-n", "0").stderr == ""


def test_describe_for_people_and_programs(runs):
    assert ok("stats", "describe", runs, "--where", "model=gamma") == "no row is selected\n"
    described = json.loads(ok("stats", "describe", runs, "--columns", "x", "--where", "model=gamma", "--json"))
    assert described[0]["count"] == 0


# ---- hints to paste -------------------------------------------------------------------


def test_hints_name_the_database(daemon, runtime):
    place = runtime / "it's my $place"
    place.mkdir()
    db = place / "b.db"
    served = daemon(db)
    with served.client() as c:
        c.store({"x": 1}, track_id="one")
    for args, before, behind in [(["head", db, "--track-id", "nosuch"], "runs", "lists them"), (["show", db, "nosuch"], "runs", "lists them"),
                                 (["sql", db, "SELECT * FROM nowhere"], "ls", "lists the tables"),
                                 (["head", db, "--columns", "nowhere"], "columns", "lists them")]:
        said = refused(*args)
        pasted = said[said.index(f"'xtctl {before} ") + len("'xtctl "):said.rindex(f"' {behind}")]
        words = subprocess.run(["sh", "-c", f"printf '%s\\n' {pasted}"], capture_output=True, text=True, timeout=TIMEOUT)
        assert words.stdout.splitlines() == [before, str(db)]
