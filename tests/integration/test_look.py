"""`runs`, `show` and `diff`."""
import json
import os
import sqlite3

import pytest
from conftest import XTCTL
from test_xtctl_stats import on_terminal
from xtctl import needs_xtctl, ok, run

pytestmark = needs_xtctl

HOUR = 3600 * 1_000_000
NOON = 1_700_000_000_000_000  # a moment of 2023


def start(client, name, at, status=None, params=None, rows=(), **kw):
    client.change("run_start", track_id=name, time=NOON + at, params=params or {}, **kw)
    for row in rows:
        client.store(row, track_id=name, **({"table": kw["table"]} if "table" in kw else {}))
    if status:
        client.change("run_finish", track_id=name, status=status, time=NOON + at + HOUR)


@pytest.fixture
def runs(served, client):
    """Four runs: two alike, one that failed, one that goes on."""
    values = [{"input_id": i, "loss": 0.5 + i / 10, "ok": True, "error": None, "cache": ""} for i in range(4)]
    start(client, "able-ant-0001", 0, "finished", {"lr": 0.1, "model": "a", "quick": True}, values)
    start(client, "able-bee-0002", HOUR, "finished", {"lr": 0.2, "model": "a", "quick": True},
          [dict(v, loss=v["loss"] * 2, extra="x", cache="able-ant-0001") for v in values])
    start(client, "calm-cat-0003", 2 * HOUR, "failed", {"lr": "0.1", "model": "b"},
          [dict(values[0], error="no answer", error_type="Timeout"), dict(values[1], cache=None)])
    start(client, "deep-dog-0004", 3 * HOUR, None, {"model": "b"})
    client.store({"input_id": 2**63}, track_id="deep-dog-0004")  # rejected
    return served.db


def names(db, *args):
    return [r["track_id"] for r in json.loads(ok("runs", db, "--json", *args))]


ALL = ["able-ant-0001", "able-bee-0002", "calm-cat-0003", "deep-dog-0004"]


# ---- runs -----------------------------------------------------------------------


def test_runs_golden(runs):
    out = ok("runs", runs, "--where", "model=a", env=dict(os.environ, LC_ALL="C.UTF-8"))
    assert out == """\
 track_id      │ status   │ start            │ duration │ rows │ params
───────────────┼──────────┼──────────────────┼──────────┼──────┼──────────────────────────
 able-ant-0001 │ finished │ 2023-11-14 22:13 │ 1.0 h    │    4 │ lr=0.1 model=a quick=true
 able-bee-0002 │ finished │ 2023-11-14 23:13 │ 1.0 h    │    4 │ lr=0.2 model=a quick=true
"""
    cells = [[c.strip() for c in line.split("│")] for line in ok("runs", runs, env=dict(os.environ, LC_ALL="C.UTF-8")).splitlines()]
    assert cells[0] == ["track_id", "status", "start", "duration", "rows", "rejects", "params"]
    assert [c[-1] for c in cells[2:]] == ["lr=0.1 model=a quick=true", "lr=0.2 model=a quick=true", "lr=0.1 model=b", "model=b"]


def test_runs_of_today(served, client):
    """What differs comes first; only the time is told; at 80 columns all of it is there."""
    from datetime import datetime, timedelta, timezone
    now = datetime.now(timezone.utc) - timedelta(seconds=2)
    if now.hour == 23 and now.minute == 59:
        pytest.skip("midnight is near")
    for i, table in ((1, "events"), (2, "events"), (3, "metrics")):
        at = int((now + timedelta(seconds=i - 3)).timestamp() * 1e6)
        client.change("run_start", track_id=f"purple-mountain-439{i}", time=at, table=table,
                      params={"note": "a b", "params_seed": 7, "params_lr": i / 10})
        client.change("run_finish", track_id=f"purple-mountain-439{i}", status="finished", time=at + i * 40_000_000 // 1)
    out, err = on_terminal(80, "runs", served.db)
    lines = out.splitlines()
    assert max(map(len, lines)) <= 80 and "several tables" in err
    cells = [[c.strip() for c in line.split("│")] for line in lines]
    assert cells[0] == ["track_id", "status", "start", "duration", "rows", "params"]
    assert [c[3] for c in cells[2:]] == ["40.0 s", "1 min", "2 min"]
    assert cells[2][2] == (now - timedelta(seconds=2)).strftime("%H:%M:%S") and cells[2][0] == "purple-mountain-4391"
    assert cells[4][5].startswith("params_lr=0.3")
    lines = ok("runs", served.db, env=dict(os.environ, LC_ALL="C")).splitlines()
    assert "| table" in lines[0] and lines[4].endswith('params_lr=0.3 note="a b" params_seed=7')
    lines = ok("runs", served.db, "-n", "1", "--format", "md").splitlines()
    assert "rejects" not in lines[0] and "table" not in lines[0]


def test_runs_of_yesterday_at_80_columns(served, client):
    """Neither start nor duration gives way to what is longer."""
    from datetime import datetime, timedelta, timezone
    at = datetime.now(timezone.utc) - timedelta(days=1)
    if at.year != datetime.now(timezone.utc).year:
        pytest.skip("another year")
    for i, table in enumerate(("predictions", "metrics")):
        client.change("run_start", track_id=f"purple-mountain-439{i}", time=int(at.timestamp() * 1e6), table=table,
                      params={"params_learning_rate": i / 10, "params_model": "m" * 50})
    lines = on_terminal(80, "runs", served.db)[0].splitlines()
    cells = [[c.strip() for c in line.split("│")] for line in lines]
    assert cells[2][2:4] == [at.strftime("%m-%d %H:%M"), "1.0 d"] and cells[0][5] == "params"


def test_runs_for_programs(runs):
    rows = json.loads(ok("runs", runs, "--json"))
    assert list(rows[0]) == ["track_id", "status", "start", "duration", "table", "rows", "rejects", "params", "crashed_workers"]
    assert rows[0]["params"] == {"lr": 0.1, "model": "a", "quick": True} and rows[0]["duration"] == 3600
    assert rows[0]["start"] == "2023-11-14 22:13:20"
    assert json.loads(ok("runs", runs, "--format", "jsonl").splitlines()[0]) == rows[0]
    csv = ok("runs", runs, "--format", "csv").splitlines()
    assert csv[1] == 'able-ant-0001,finished,2023-11-14 22:13:20,3600.0,events,4,0,"{""lr"":0.1,""model"":""a"",""quick"":true}",0'


@pytest.mark.parametrize("args, want", [
    ([], ALL),
    (["--reverse"], ALL[::-1]),
    (["-n", "2"], ALL[2:]),
    (["-n", "0"], []),
    (["--status", "finished"], ALL[:2]),
    (["--status", "running"], ALL[3:]),
    (["--status", "deleted"], []),
    (["--sort", "rows", "--reverse", "-n", "2"], ["able-bee-0002", "able-ant-0001"]),
    (["--sort", "status"], ["calm-cat-0003", "able-ant-0001", "able-bee-0002", "deep-dog-0004"]),
    (["--sort", "rejects", "--reverse", "-n", "1"], ALL[3:]),
    (["--where", "lr=0.1"], ["able-ant-0001", "calm-cat-0003"]),  # also as text
    (["--where", "lr=0.10"], ["able-ant-0001", "calm-cat-0003"]),
    (["--where", "quick=true", "--where", "lr=0.2"], ["able-bee-0002"]),
    (["--where", "model=zzz"], []),
    (["--where", "lr>0.1"], ["able-bee-0002", "calm-cat-0003"]),  # SQLite: text is more than a number
    (["--where", "lr<0.15", "--where", "model!=b"], ["able-ant-0001"]),
    (["--where", "lr != 0.1"], ["able-bee-0002", "deep-dog-0004"]),
    (["--since", "1d"], []),
    (["--since", "100000d", "--sort", "track_id"], ALL),
    (["--table", "events"], ALL[:3]),
])
def test_runs_are_chosen_and_ordered(runs, args, want):
    assert names(runs, *args) == want


def test_ls_runs_is_the_same_list(runs):
    listed = json.loads(ok("ls", runs, "runs", "--json"))
    assert [list(r) for r in listed] == [list(r) for r in json.loads(ok("runs", runs, "--json"))]
    assert [r["track_id"] for r in listed] == ALL


def test_deleted_runs(runs, client):
    client.change("delete_run", track_id="able-ant-0001")
    assert names(runs) == ALL[1:]
    assert names(runs, "--status", "deleted") == ALL[:1]
    assert json.loads(ok("show", runs, "able-ant-0001", "--json"))["status"] == "deleted"


def test_runs_says_what_is_wrong(runs):
    p = run("runs", runs, "--where", "learning_rate=1")
    assert p.returncode == 1 and "no run has a parameter 'learning_rate'" in p.stderr
    for args in (["--where", "x"], ["--status", "fine"], ["--sort", "loss"], ["--since", "soon"], ["-n", "-1"],
                 ["--table", "events", "--sort", "table"]):
        assert run("runs", runs, *args).returncode == 2, args
    p = run("runs", runs, "--table", "nope")
    assert p.returncode == 1 and "nope" in p.stderr


def test_no_runs_yet(served):
    assert ok("runs", served.db, "--json") == "[]\n"
    for command in ("show", "diff"):
        p = run(command, served.db, *["last"] * (2 if command == "diff" else 1))
        assert p.returncode == 1 and "no run" in p.stderr


def test_a_file_that_another_program_made(daemon, db):
    with sqlite3.connect(db) as other:
        other.execute("CREATE TABLE events(track_id TEXT, timestamp TEXT, n, PRIMARY KEY(track_id, timestamp))")
        other.executemany("INSERT INTO events VALUES (?, ?, 1)", [("b", "2024-01-02 00:00:00"), ("a", "2024-01-03 00:00:00")])
    other.close()
    daemon(db, "--read-only")
    assert names(db) == []
    rows = json.loads(ok("runs", db, "--table", "events", "--json"))
    assert [(r["track_id"], r["status"], r["start"], r["rows"]) for r in rows] == [
        ("b", None, "2024-01-02 00:00:00", 1), ("a", None, "2024-01-03 00:00:00", 1)]
    shown = json.loads(ok("show", db, "a", "--json"))
    assert shown["rows_by_table"] == {"events": 1} and shown["status"] == "not recorded here: copied or written by another program"
    assert ["mean", "n"] in [[c.strip() for c in line.split("|")][:2] for line in ok("diff", db, "a", "b", "--all", env=dict(os.environ, LC_ALL="C")).splitlines()]


# ---- show -----------------------------------------------------------------------


def test_show_tells_everything(runs):
    shown = json.loads(ok("show", runs, "calm", "--json"))
    assert shown["track_id"] == "calm-cat-0003" and shown["status"] == "failed"
    assert shown["start"] == "2023-11-15 00:13:20.000000" and shown["duration_s"] == 3600
    assert (shown["rows"], shown["rejects"], shown["table"]) == (2, 0, "events")
    assert shown["parameters"] == {"lr": "0.1", "model": "b"}
    assert shown["rows_by_table"] == {"events": 2}
    assert shown["failures_by_type"] == {"Timeout": 1}
    assert shown["cache"] == {"computed": 1, "neither": 1}  # NULL is no hit
    assert "client" not in shown and "params" not in shown
    assert json.loads(ok("show", runs, "able-ant", "--json"))["parameters"]["quick"] is True
    assert json.loads(ok("show", runs, "able-bee", "--json"))["cache"] == {"hit": 4}


def test_show_for_people(runs):
    lines = ok("show", runs, "last").splitlines()
    assert lines[:2] == ["track_id             deep-dog-0004", "status               running"]
    assert "  rejected rows      1 row could not be stored" in lines
    assert json.loads(ok("show", runs, "--json"))["track_id"] == "deep-dog-0004"
    csv = ok("show", runs, "calm", "--format", "csv").splitlines()
    assert csv[0] == "section,name,value" and "parameters,model,b" in csv


def test_show_counts_workers_and_assets(runs, client, served):
    with served.client() as worker:
        worker.change("run_join", track_id="deep-dog-0004")
        worker.notify("bye")
        worker.call("flush")
    put = client.request("asset_put")
    client.response(put)
    hash = client.call("asset_chunk", cursor=put, data=b"model", last=True)["hash"]
    client.change("asset_add", hash=hash, track_id="deep-dog-0004", name="weights")
    shown = json.loads(ok("show", runs, "deep", "--json"))
    assert shown["assets"] == {"weights": hash.hex()}
    assert sum(shown["workers"].values()) == 1


TERM = "killed by signal 15 (SIGTERM)"
AWAY = "gone while the daemon was away"


def worker(number, cause, status="crashed"):
    return [number, 10 + number, status, NOON, NOON + 1, cause]


def with_workers(client, name, *workers):
    client.change("run_import", track_id=name, status="finished", start=NOON, end=NOON + HOUR, table="events", workers=list(workers))


def test_a_worker_that_a_pool_ended_is_no_crash(served, client):
    """Nothing is said of it but how it ended, be it SIGTERM or nobody knows what; of a crash everywhere."""
    with_workers(client, "pool", worker(1, None, "finished"), worker(2, TERM), worker(3, TERM), worker(4, AWAY),
                 worker(5, "exited with status 0"), worker(6, "its connection ended without a goodbye"))
    client.store({"input_id": 1}, track_id="pool")
    shown = json.loads(ok("show", served.db, "pool", "--json"))
    assert shown["workers"] == {"finished": 1, "ended by SIGTERM": 2, "ended without a goodbye": 3} and "warnings" not in shown
    (listed,) = json.loads(ok("runs", served.db, "--json"))
    assert listed["crashed_workers"] == 0 and "crashed_workers" not in ok("runs", served.db)
    assert not [f for f in json.loads(ok("validate", served.db, "--json"))["findings"] if "crash" in f["code"]]

    with_workers(client, "hard", worker(1, "killed by signal 9 (SIGKILL)"), worker(2, "exited with status 1"), worker(3, TERM))
    shown = json.loads(ok("show", served.db, "hard", "--json"))
    assert shown["workers"] == {"crashed": 2, "ended by SIGTERM": 1}
    assert shown["warnings"]["crashed workers"] == "2 workers crashed: exited with status 1"
    listed = {r["track_id"]: r["crashed_workers"] for r in json.loads(ok("runs", served.db, "--json"))}
    assert listed == {"pool": 0, "hard": 2}
    assert names(served.db, "--sort", "crashed_workers", "--reverse", "-n", "1") == ["hard"]
    assert "crashed_workers" in ok("runs", served.db).splitlines()[0]
    assert [f["count"] for f in json.loads(ok("validate", served.db, "--json"))["findings"] if f["code"] == "crashed_workers"] == [2]
    difference = json.loads(ok("diff", served.db, "pool", "hard", "--json"))
    assert [r for r in difference if r["what"] == "warnings"] == [
        {"what": "warnings", "name": "crashed workers", "a": None, "b": "2 workers crashed: exited with status 1", "change": None}]


def test_rows_in_several_tables(runs, client):
    client.store({"accuracy": 1.0, "error_type": "Odd"}, track_id="able-ant-0001", table="metrics")
    shown = json.loads(ok("show", runs, "able-ant", "--json"))
    assert shown["rows_by_table"] == {"events": 4, "metrics": 1}
    assert shown["failures_by_type"] == {"metrics: Odd": 1}
    assert shown["cache"] == {"events: computed": 4}
    assert json.loads(ok("show", runs, "able-ant", "--table", "metrics", "--json"))["rows_by_table"] == {"metrics": 1}


def test_which_run_is_meant(runs, client):
    p = run("show", runs, "able")
    assert p.returncode == 1 and "'able-ant-0001'" in p.stderr and "'able-bee-0002'" in p.stderr
    p = run("show", runs, "nobody")
    assert p.returncode == 1 and "no run 'nobody'" in p.stderr and "runs" in p.stderr
    start(client, "able", 5 * HOUR, "finished")  # a whole name is no prefix
    assert json.loads(ok("show", runs, "able", "--json"))["track_id"] == "able"
    start(client, "läuft %_ \"3\" 🐍", 6 * HOUR, "finished", {"ключ \"x\"": "é", "n": None, "list": [1, 2]},
          [{"größe": 1}])
    shown = json.loads(ok("show", runs, "läuft %", "--json"))
    assert shown["parameters"] == {"ключ \"x\"": "é", "n": None, "list": "[1,2]"}


def test_a_long_label_stays_in_its_column(runs, client):
    name = "params_a_very_long_name_of_a_parameter"
    start(client, "able-cow", 9 * HOUR, "finished", {name: 1, "größe": 2})
    lines = ok("show", runs, "able-cow").splitlines()
    places = {line.index(value) for line, value in ((next(x for x in lines if x.startswith(label)), value) for label, value in (
        ("track_id", "able-cow"), ("status", "finished"), ("  " + name, "1"), ("  größe", "2")))}
    assert places == {len(name) + 3}


def test_the_database_of_the_environment(runs):
    env = dict(os.environ, XETRACK_DB=runs)
    assert json.loads(ok("show", "last", "--json", env=env))["track_id"] == "deep-dog-0004"
    assert json.loads(ok("show", "able-ant", "--json", env=env))["track_id"] == "able-ant-0001"
    assert json.loads(ok("show", runs, "--json", env=env))["track_id"] == "deep-dog-0004"
    assert json.loads(ok("show", "able-ant", runs, "--json"))["track_id"] == "able-ant-0001"
    assert "extra" in ok("schema", "diff", "able-ant-0001", "able-bee-0002", env=env)
    assert "extra" in ok("schema", "diff", runs, "able-ant-0001", "able-bee-0002", env=env)


# ---- diff -----------------------------------------------------------------------


def test_diff_golden(runs):
    out = ok("diff", runs, "able-ant", "able-bee", env=dict(os.environ, LC_ALL="C.UTF-8"))
    assert [line.rstrip() for line in out.splitlines()] == """\
 what       │ name     │ able-ant-0001 │ able-bee-0002 │ change
────────────┼──────────┼───────────────┼───────────────┼──────────
 parameters │ lr       │           0.1 │           0.2 │ +100.00 %
 cache      │ computed │             4 │          NULL │
 cache      │ hit      │          NULL │             4 │
 columns    │ extra    │          NULL │             4 │
 mean       │ loss     │          0.65 │           1.3 │ +100.00 %
 median     │ loss     │          0.65 │           1.3 │ +100.00 %""".splitlines()


def test_diff_for_programs(runs):
    rows = json.loads(ok("diff", runs, "able-ant", "calm", "--json"))
    found = {(r["what"], r["name"]): (r["a"], r["b"], r["change"]) for r in rows}
    assert found["parameters", "model"] == ("a", "b", None)
    assert found["run", "status"] == ("finished", "failed", None)
    assert found["mean", "loss"][2] == pytest.approx(-100 * 2 / 13)
    assert ("run", "start") not in found and ("run", "pid") not in found
    everything = json.loads(ok("diff", runs, "able-ant", "calm", "--json", "--all"))
    assert {("run", "start"), ("mean", "input_id")} <= {(r["what"], r["name"]) for r in everything}


def test_identifiers_have_no_percentage(served, client):
    for name, port in (("a", 8000), ("b", 9000)):
        start(client, name, 0, "finished", {"port": port, "batch": port}, [{"worker_id": port, "n": port}])
    rows = {(r["what"], r["name"]): r["change"] for r in json.loads(ok("diff", served.db, "a", "b", "--all", "--json"))}
    assert rows["parameters", "batch"] == rows["mean", "n"] == 12.5
    for fact in (("parameters", "port"), ("mean", "worker_id"), ("run", "pid"), ("run", "uid")):
        assert rows[fact] is None, fact


def test_a_renamed_parameter_is_one(served, client):
    start(client, "a", 0, "finished", {"lr": 0.1, "rate": 1}, [{"params_lr": 0.1, "n": 1}])
    ok("schema", "rename", served.db, "params_lr", "params_learning_rate")
    start(client, "b", HOUR, "finished", {"learning_rate": 0.2, "speed": 1}, [{"params_learning_rate": 0.2, "n": 1}])
    rows = {r["name"]: (r["a"], r["b"]) for r in json.loads(ok("diff", served.db, "a", "b", "--json")) if r["what"] == "parameters"}
    assert rows == {"learning_rate": (0.1, 0.2), "rate": (1, None), "speed": (None, 1)}
    rows = json.loads(ok("diff", served.db, "b", "a", "--json"))
    assert [(r["name"], r["a"], r["b"]) for r in rows if r["name"] == "learning_rate" and r["what"] == "parameters"] == [
        ("learning_rate", 0.2, 0.1)]


def test_a_narrow_terminal_tells_mean_from_median(served, client):
    for name, factor in (("purple-mountain-4392", 1), ("quiet-river-0017-longer", 2)):
        start(client, name, 0, "finished", rows=[{"time_to_first_token_seconds": i * factor, "n": i} for i in range(3)])
    out, err = on_terminal(80, "diff", served.db, "purple", "quiet")
    assert max(map(len, out.splitlines())) <= 80 and not err
    assert [[c.strip() for c in line.split("│")][0] for line in out.splitlines()[2:]] == ["mean", "median"]


def test_runs_that_do_not_differ(runs):
    assert ok("diff", runs, "calm", "calm") == "no difference between calm-cat-0003 and calm-cat-0003\n"
    assert ok("diff", runs, "calm", "calm", "--json") == "[]\n"


def test_values_that_are_no_numbers(served, client):
    start(client, "a", 0, "finished", rows=[{"v": float("inf"), "n": None, "t": "x", "m": 1, "b": b"1", "big": "x" * 300000},
                                            {"v": 1.0, "m": "2"}])
    start(client, "b", HOUR, "finished", rows=[{"v": 0.0, "n": float("nan"), "t": "x", "m": 3, "b": b"2"}])
    rows = {(r["what"], r["name"]): r for r in json.loads(ok("diff", served.db, "a", "b", "--json"))}
    assert rows["mean", "v"]["a"] == float("inf") and rows["mean", "v"]["b"] == 0
    assert rows["mean", "m"]["a"] == 1 and ("columns", "n") not in rows and ("mean", "t") not in rows
    assert rows["columns", "big"]["a"] == 1 and rows["columns", "big"]["b"] is None


def test_wide_tables(served, client):
    for name in ("a", "b"):
        start(client, name, 0, "finished", rows=[{f"c{i}": i + (name == "b") for i in range(450)}])
    rows = json.loads(ok("diff", served.db, "a", "b", "--json"))
    assert len([r for r in rows if r["what"] in ("mean", "median")]) == 900


def test_a_closed_pipe_and_a_narrow_terminal(runs):
    import subprocess
    p = subprocess.Popen([XTCTL, "diff", runs, "able-ant", "able-bee", "--all"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    p.stdout.close()
    assert p.wait(60) == 0 and p.stderr.read() == b""
    p.stderr.close()
    p = run("show", runs, "one", "two")
    assert p.returncode == 2


# ---- what is shown where not all has room ------------------------------------------------------------


WIDE = ["track_id", "timestamp", "function_name", "args", "kwargs", "error", "accuracy", "latency", "cache", "error_type",
        "params_model", "repeat", "params_lr", "note"]


def wide(day="2026-07-31", last=None):
    """Rows of a run: of fourteen columns three have NULL only and six always the same."""
    return [["calm-otter-1234", f"{last if last and i == 2 else day} 10:59:4{i}.123456", "predict", "[1, 2, 3]", "{}", None,
             0.8 + i / 100, 1.25 + i / 8, "", None, "small-model", i, 0.5, None] for i in range(3)]


def test_what_tells_nothing_gives_way(served, client):
    """Of 80 columns: NULLs are left out first, then what is the same in all rows; times keep their clock."""
    client.change("exec", sql=f"CREATE TABLE events({', '.join(WIDE)})")
    for row in wide():
        client.change("exec", sql=f"INSERT INTO events VALUES ({', '.join('?' * len(row))})", args=row)
    out, err = on_terminal(80, "tail", served.db, TERM="dumb")
    lines = out.splitlines()
    assert max(map(len, lines)) <= 80 and "columns do not fit and are left out" in err
    heads = [head.strip() for head in lines[0].split("│")]
    assert {"timestamp", "accuracy", "latency", "repeat"} < set(heads) and not {"error", "error_type", "note"} & set(heads), lines
    assert [line.split("│")[heads.index("timestamp")].strip() for line in lines[2:]] == [f"10:59:4{i}" for i in range(3)]
    assert len(heads) == len(lines[2].split("│")) == len(lines[1].split("┼"))
    assert lines[0].rstrip().endswith("│ …") and lines[1].endswith("┼──"), lines
    assert "2026-07-31 10:59:40.123456" in ok("tail", served.db)


def test_times_of_several_days_keep_them(served, client):
    client.change("exec", sql=f"CREATE TABLE events({', '.join(WIDE)})")
    for row in wide(last="2026-08-01"):
        client.change("exec", sql=f"INSERT INTO events VALUES ({', '.join('?' * len(row))})", args=row)
    out, _ = on_terminal(80, "head", served.db, "--columns", "timestamp,accuracy,function_name,args,params_model,latency,kwargs",
                         TERM="dumb")
    assert [line.split("│")[0].strip() for line in out.splitlines()[2:]] == ["07-31 10:59:40", "07-31 10:59:41", "08-01 10:59:42"]
    out, _ = on_terminal(80, "head", served.db, "--columns", "timestamp,accuracy,args,params_model,latency", TERM="dumb")
    assert out.splitlines()[2].startswith(" 2026-07-31 10:59:40 │"), out
