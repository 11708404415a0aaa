"""Runs: names, resuming, ends, set back in time, deletion and tombstones."""
import json
import re
import subprocess

import pytest
from conftest import TIMEOUT, XTCTL, fails, sqlite


def test_names_are_unique_and_of_the_form(client):
    names = [client.change("run_start")["track_id"] for _ in range(200)]
    assert len(set(names)) == 200
    assert all(re.fullmatch(r"[a-z]+-[a-z]+-\d{4}", n) for n in names)


def test_resume(client, served):
    first = client.change("run_start", track_id="mine")
    assert first == {"track_id": "mine", "resumed": False}
    client.store({"a": 1}, track_id="mine")
    client.change("run_finish", track_id="mine", status="finished")
    with served.client() as other:
        assert other.change("run_start", track_id="mine")["resumed"] is True
        assert other.value("SELECT status FROM xt_runs") == "running"
        assert other.value("SELECT count(*) FROM xt_runs") == 1


def test_xt_runs_contents(client):
    client.change("run_start", track_id="r", table="predictions", time=1700000000000000,
                  params={"model": "zstd", "level": 3, "deep": {"a": [1]}})
    client.store([{"a": 1}, {"a": 2}, {"": 3}], track_id="r", table="predictions")
    r = client.change("run_finish", track_id="r", status="failed", time=1700000001000000)
    assert r == {"rows": 2, "rejects": 1}
    (row,) = client.rows("SELECT status, start_time, end_time, table_name, params, rows, rejects FROM xt_runs")
    assert row[:4] == ["failed", "2023-11-14 22:13:20.000000", "2023-11-14 22:13:21.000000", "predictions"]
    assert json.loads(row[4]) == {"model": "zstd", "level": 3, "deep": {"a": [1]}}
    assert row[5:] == [2, 1]


def test_counts_are_right_after_a_crash(daemon, db):
    """Counts that wait in xt_clients reach xt_runs at the next start, once."""
    d = daemon(db)
    c = d.client()
    for i in range(40):
        c.log({"i": i}, track_id="one" if i < 30 else "two")
        c.until_ack(c.seq)
    c.log({"": 1}, track_id="two")
    c.until_ack(c.seq)
    d.kill()
    waiting = sqlite(db, "SELECT sum(run_rows) FROM xt_clients")[0][0]
    assert waiting > 0
    for _ in range(2):
        daemon(db).stop()
        assert sqlite(db, "SELECT track_id, rows, rejects FROM xt_runs ORDER BY track_id") == [("one", 30, 0), ("two", 10, 1)]


def test_finish_counts_rows_of_all_clients(served):
    with served.client() as a, served.client() as b:
        a.change("run_start", track_id="r")
        for i in range(10):
            for c in (a, b):
                c.log({"i": i}, track_id="r")
                c.until_ack(c.seq)
        assert a.change("run_finish", track_id="r", status="finished") == {"rows": 20, "rejects": 0}
        assert a.rows("SELECT rows FROM xt_runs") == [[20]]


def test_finish_refusals(client):
    fails("no_such_run", client.change, "run_finish", track_id="none", status="finished")
    client.change("run_start", track_id="r")
    fails("out_of_range", client.change, "run_finish", track_id="r", status="happy")
    assert client.value("SELECT status FROM xt_runs WHERE track_id = 'r'") == "running"


def test_a_refused_change_uses_up_its_number(client):
    fails("no_such_run", client.change, "run_finish", track_id="none", status="finished")
    assert client.store({"a": 1}) == (1, 0)
    assert client.flush() == 2


def test_run_in_a_reserved_table(client):
    fails("bad_name", client.change, "run_start", table="xt_runs")


WORKER = [5, None, "failed", 1, None, None]
IMPORTED = {"track_id": "r", "status": "crashed", "start": 1700000000000001, "end": 1700000001000002, "cause": "killed by signal 9 (SIGKILL)",
            "table": "predictions", "params": '{"a": 9e999, "b": [1, 2]}', "rejects": 3, "uid": 12, "pid": 34, "host": "elsewhere",
            "executable": "/bin/x", "command_line": "x -y", "directory": "/home",
            "workers": [[5, None, "finished", 1700000000000003, 1700000000000004, None],
                        [2**32 - 1, 6, "crashed", 1700000000000005, None, "gone"]]}
ALL = "track_id, status, start_time, end_time, cause, table_name, params, rejects, uid, pid, host, executable, command_line, directory, client, rows, inserted"


def test_import(client):
    assert client.change("run_import", **IMPORTED) == {"imported": True}
    (row,) = client.rows(f"SELECT {ALL} FROM xt_runs")
    assert row == ["r", "crashed", "2023-11-14 22:13:20.000001", "2023-11-14 22:13:21.000002", IMPORTED["cause"], "predictions",
                   IMPORTED["params"], 3, 12, 34, "elsewhere", "/bin/x", "x -y", "/home", None, 0, 0]
    assert client.rows("SELECT * FROM xt_workers ORDER BY uid") == [
        ["r", 5, bytes(15) + b"\x01", None, "finished", "2023-11-14 22:13:20.000003", "2023-11-14 22:13:20.000004", None],
        ["r", 2**32 - 1, bytes(15) + b"\x02", 6, "crashed", "2023-11-14 22:13:20.000005", None, "gone"]]
    assert client.change("run_import", track_id="least", status="failed", start=0) == {"imported": True}
    assert client.rows(f"SELECT {ALL} FROM xt_runs WHERE track_id = 'least'") == [
        ["least", "failed", "1970-01-01 00:00:00.000000", None, None, "events", None, 0] + [None] * 7 + [0, 0]]


def test_import_overwrites_nothing(client):
    client.change("run_start", track_id="mine")
    client.change("run_import", **IMPORTED)
    before = client.rows("SELECT * FROM xt_runs ORDER BY track_id"), client.rows("SELECT * FROM xt_workers")
    for track_id in "mine", "r":
        assert client.change("run_import", **{**IMPORTED, "track_id": track_id, "status": "failed", "host": "other"}) == {"imported": False}
    assert (client.rows("SELECT * FROM xt_runs ORDER BY track_id"), client.rows("SELECT * FROM xt_workers")) == before
    client.change("delete_run", track_id="r")
    fails("run_deleted", client.change, "run_import", **IMPORTED)
    assert client.value("SELECT status FROM xt_runs WHERE track_id = 'r'") == "deleted"


def test_import_is_applied_once(served):
    with served.client() as c:
        assert c.change("run_import", **IMPORTED) == {"imported": True}
        with served.client(client_id=c.id, last_seq=1, acked=0) as again:
            assert again.call("run_import", seq=1, **IMPORTED) == {"imported": True}
            assert again.change("run_import", **IMPORTED) == {"imported": False}


def test_import_counts_the_rows_that_are_there(client):
    client.change("exec", sql="CREATE TABLE events(track_id TEXT, timestamp TEXT, a INTEGER)")
    client.change("exec", sql="INSERT INTO events(track_id, a) VALUES ('r', 1), ('r', 2), ('s', 3)")
    client.change("run_import", **IMPORTED)
    assert client.rows("SELECT rows, inserted FROM xt_runs") == [[0, 2]]
    client.change("exec", sql="INSERT INTO events(track_id, a) VALUES ('r', 1)")
    assert client.rows("SELECT rows, inserted FROM xt_runs") == [[0, 3]]


@pytest.mark.parametrize("code, wrong", [
    ("out_of_range", {"status": "running"}), ("out_of_range", {"status": "deleted"}), ("out_of_range", {"start": 2**62}),
    ("out_of_range", {"end": -2**62}), ("bad_name", {"track_id": "a\0b"}), ("bad_name", {"table": "xt_runs"}),
    ("bad_type", {"params": "[1]"}), ("bad_type", {"params": "{x"}), ("bad_type", {"params": "{}\0x"}),
    ("bad_type", {"workers": [1]}), ("bad_type", {"workers": [[5, None]]}),
    *[("bad_type", {"workers": [WORKER[:i] + [v] + WORKER[i + 1:]]})
      for i, v in [(0, -1), (0, None), (0, 2**32), (1, 0), (1, 2**31), (2, 5), (3, None), (4, "x"), (5, 1), (5, [1]), (5, {})]],
    ("out_of_range", {"workers": [[5, None, "running", 1, None, None]]}),
    ("out_of_range", {"workers": [[5, None, "failed", 2**62, None, None]]}),
    ("out_of_range", {"workers": [WORKER] * 8001})])
def test_import_refusals(client, code, wrong):
    """As a whole: nothing is left of it."""
    good = [1, 1, "failed", 1, 1, "x"]
    if len(wrong.get("workers", [])) == 1:
        wrong = {"workers": [good, *wrong["workers"]]}
    fails(code, client.change, "run_import", **{**IMPORTED, **wrong})
    assert client.value("SELECT (SELECT count(*) FROM xt_runs) + (SELECT count(*) FROM xt_workers)") == 0
    assert client.change("run_import", **IMPORTED) == {"imported": True}


def test_imported_rejects_can_be_added_to(client):
    """And summed up over many runs, without an overflow."""
    client.change("run_import", **{**IMPORTED, "rejects": 10**12})
    client.log({"": 1}, track_id="r")
    client.until_ack(client.seq)
    client.change("run_finish", track_id="r", status="finished")
    assert client.rows("SELECT typeof(rejects), rejects FROM xt_runs") == [["integer", 10**12 + 1]]
    fails("out_of_range", client.change, "run_import", **{**IMPORTED, "rejects": 10**12 + 1})


def test_import_of_most_workers(client):
    assert client.change("run_import", **{**IMPORTED, "workers": [WORKER] * 8000}) == {"imported": True}
    assert client.value("SELECT count(*) FROM xt_workers") == 8000


def bucket(name):
    """Where the daemon keeps the run in memory: by FNV-1a."""
    h = 2166136261
    for byte in name.encode():
        h = (h ^ byte) * 16777619 % 2**32
    return h % 4096


@pytest.mark.parametrize("method, code, more", [
    ("run_finish", "no_such_run", {"status": "finished"}), ("set", "no_such_run", {"key": "a", "value": 1}), ("delete_run", "bad_name", {})])
def test_a_name_with_a_nul_stands_for_no_other(client, method, code, more):
    client.store({"a": 1}, track_id="mine")
    alike = next(name for i in range(10**6) if bucket(name := f"mine\0{i}") == bucket("mine"))
    fails(code, client.change, method, track_id=alike, **more)
    client.store({"a": 2}, track_id="mine")
    assert client.rows("SELECT track_id, status FROM xt_runs") == [["mine", "running"]]
    assert client.value("SELECT count(*) FROM events WHERE track_id = 'mine'") == 2


def test_set_over_a_run(client):
    client.store([{"a": i} for i in range(10)], track_id="one")
    client.store([{"a": i} for i in range(5)], track_id="two")
    assert client.change("set", track_id="one", key="label", value="good") == {"changed": 10}
    assert client.rows("SELECT track_id, label, count(*) FROM events GROUP BY 1, 2 ORDER BY 1") == \
        [["one", "good", 10], ["two", None, 5]]
    assert client.change("set", key="label", value=None) == {"changed": 15}
    assert client.value("SELECT count(label) FROM events") == 0


def test_set_where(client):
    client.store([{"a": i, "b": None if i % 2 else "x"} for i in range(10)])
    assert client.change("set", key="hit", value=True, where_key="a", where_value=3) == {"changed": 1}
    assert client.change("set", key="hit", value=True, where_key="b", where_value=None) == {"changed": 5}
    assert client.change("set", key="hit", value=0, where_key="a", where_value=99) == {"changed": 0}
    assert client.rows("SELECT a FROM events WHERE hit ORDER BY a") == [[1], [3], [5], [7], [9]]
    fails("no_such_run", client.change, "set", track_id="other", key="hit", value=1, where_key="a", where_value=3)


def test_set_of_nothing_leaves_no_column(client):
    client.store({"a": 1})
    assert client.change("set", key="typo", value=1, where_key="a", where_value=99) == {"changed": 0}
    fails("no_such_run", client.change, "set", track_id="nobody", key="typo", value=1)
    assert client.value("SELECT count(*) FROM pragma_table_info('events') WHERE name = 'typo'") == 0


def set_by_pieces(client, between=lambda: None, **how):
    """What each piece changed."""
    changed = []
    while True:
        r = client.change("set", **how)
        changed.append(r["changed"])
        if not r.get("more"):
            return changed
        assert r["top"] >= r["next"]
        how |= {"after": r["next"], "upto": r["top"]}
        between()


@pytest.mark.parametrize("made", ["", "a INTEGER, track_id TEXT, timestamp TEXT)", "rowid, a, track_id TEXT, timestamp TEXT)",
                                  "a INTEGER, track_id TEXT, timestamp TEXT, PRIMARY KEY (track_id, timestamp))"])
def test_set_by_pieces(daemon, db, made):
    """Rows that came meanwhile stay as they are."""
    if made:
        sqlite(db, f"CREATE TABLE events({made}")
    with daemon(db).client() as c, c.__class__(c.path) as other:
        c.store([{"a": i} for i in range(10)])
        c.change("exec", sql="DELETE FROM events WHERE a IN (2, 3, 9)")
        pieces = set_by_pieces(c, lambda: other.store({"a": 100}), key="label", value="x", limit=3)
        assert pieces == [3, 3, 1]
        assert c.rows("SELECT a, label FROM events WHERE a < 50 ORDER BY a") == [[a, "x"] for a in (0, 1, 4, 5, 6, 7, 8)]
        assert c.rows("SELECT count(*), count(label) FROM events WHERE a = 100") == [[2, 0]]
        assert set_by_pieces(c, key="label", value="y", limit=100) == [9]
        assert set_by_pieces(c, key="label", value="z", limit=3, after=2**63 - 1) == [0]
        assert c.rows("SELECT DISTINCT label FROM events") == [["y"]]


@pytest.mark.parametrize("index", ["", "CREATE INDEX i ON events(a)", "CREATE INDEX i ON events(a, b)"])
def test_set_by_pieces_where(client, index):
    client.store([{"a": i % 4, "b": i} for i in range(40)])
    if index:
        client.change("exec", sql=index)
    pieces = set_by_pieces(client, key="hit", value=1, where_key="a", where_value=3, limit=4)
    assert sum(pieces) == 10 and pieces == ([4, 4, 2] if index.endswith("(a)") else [1] * 10)
    assert client.rows("SELECT DISTINCT a FROM events WHERE hit") == [[3]]
    assert sum(set_by_pieces(client, key="a", value=3, where_key="a", where_value=1, limit=4)) == 10
    assert sum(set_by_pieces(client, key="typo", value=3, where_key="a", where_value=77, limit=4)) == 0
    assert client.rows("SELECT a, count(*) FROM events GROUP BY 1") == [[0, 10], [2, 10], [3, 20]]
    assert client.value("SELECT count(*) FROM pragma_table_info('events') WHERE name = 'typo'") == 0


def test_set_by_pieces_is_for_numbered_tables(daemon, db):
    sqlite(db, "CREATE TABLE events(track_id TEXT, timestamp TEXT, a, PRIMARY KEY (track_id, timestamp)) WITHOUT ROWID")
    with daemon(db).client() as c:
        c.store([{"a": i} for i in range(10)], track_id="r")
        assert set_by_pieces(c, key="b", value=1, limit=3) == [10]
        assert set_by_pieces(c, key="b", value=2, limit=3, track_id="r") == [10]
        fails("no_such_run", c.change, "set", key="b", value=2, limit=3, track_id="nobody")


def test_set_from_the_shell_goes_by_pieces(client, served):
    client.store([[i] for i in range(25000)], columns=["a"])
    p = subprocess.run([XTCTL, "set", str(served.db), "label", "x", "--all"], capture_output=True, text=True, timeout=TIMEOUT)
    assert p.returncode == 0 and "column 'label' is new" in p.stderr and "25,000 rows" in p.stdout
    assert client.rows("SELECT count(label), count(*) FROM events", after=client.seq) == [[25000, 25000]]
    assert client.rows("SELECT sum(requests) FROM xt_clients", after=client.seq) == [[3]]


def test_delete_of_a_run_that_another_program_wrote(daemon, db):
    sqlite(db, "CREATE TABLE predictions (track_id TEXT, timestamp TEXT, a, PRIMARY KEY (track_id, timestamp))")
    sqlite(db, "INSERT INTO predictions VALUES ('ancient-falcon-1234', '1', 1), ('ancient-falcon-1234', '2', 2), ('b', '1', 3)")
    with daemon(db).client() as c:
        fails("no_such_run", c.change, "delete_run", track_id="nobody")
        fails("no_such_run", c.change, "delete_run", track_id="nobody", table="predictions")
        assert c.change("delete_run", track_id="b", table="predictions") == {"deleted": 1}
        assert c.change("delete_run", track_id="ancient-falcon-1234") == {"deleted": 2}
        assert c.rows("SELECT track_id, status FROM xt_runs") == [["ancient-falcon-1234", "deleted"]]


def test_declare(client):
    """Columns for rows that are to come: none is there yet, none is touched."""
    client.change("exec", sql="CREATE TABLE events(track_id TEXT, timestamp TEXT, a INTEGER)")
    assert client.change("declare", key="lo/ss", value=0.5) == {"added": True}
    assert client.change("declare", key="a", value=0.5) == {"added": False}
    assert client.rows("SELECT name, type FROM pragma_table_info('events')")[2:] == [["a", "REAL"], ["lo_ss", "REAL"]]
    client.store({"lo/ss": 1.5, "a": 7})
    assert client.change("declare", key="a", value="x") == {"added": False}
    assert client.rows("SELECT a, lo_ss FROM events") == [[7, 1.5]]
    client.change("schema_freeze")
    fails("frozen_schema", client.change, "declare", key="new", value=1)
    fails("no_such_table", client.change, "declare", table="none", key="a", value=1)


def test_set_refusals(client):
    fails("no_such_table", client.change, "set", table="none", key="a", value=1)
    client.store({"a": 1})
    fails("no_such_column", client.change, "set", key="a", value=1, where_key="none", where_value=1)
    fails("out_of_range", client.change, "set", key="a", value=2**63)
    fails("bad_name", client.change, "set", table="xt_runs", key="status", value="x")
    assert client.rows("SELECT a FROM events") == [[1]]


def test_set_widens(client):
    client.store({"a": 1})
    client.change("set", key="a", value="text")
    assert client.rows("SELECT a, typeof(a) FROM events") == [["text", "text"]]
    client.change("set", key="m", value={"k": [1]})
    assert client.value("SELECT m FROM events") == '{"k":[1]}'


@pytest.mark.parametrize("key", ["track_id", "timestamp"])
def test_set_does_not_touch_the_systems_columns(client, key):
    client.store({"a": 1})
    try:
        client.change("set", key=key, value="forged")
    except Exception as e:
        assert e.code in ("bad_name", "not_allowed")
    assert client.value(f"SELECT {key} FROM events") != "forged"


def test_set_uses_the_key_not_the_column(client):
    client.store({"a/b": 1, "a_b": 2})
    client.change("set", key="a_b", value=5)
    names = {c["key"]: c["name"] for c in client.call("columns")["columns"]}
    assert client.rows(f'SELECT "{names["a/b"]}", "{names["a_b"]}" FROM events') == [[1, 5]]


def test_delete_run(client):
    client.change("run_start", track_id="r")
    client.store([{"a": i} for i in range(10)], track_id="r")
    client.store([{"a": i} for i in range(7)], track_id="r", table="metrics")
    client.store({"a": 1}, track_id="other")
    fails("run_running", client.change, "delete_run", track_id="r")
    assert client.value("SELECT count(*) FROM events") == 11
    client.change("run_finish", track_id="r", status="finished")
    assert client.change("delete_run", track_id="r") == {"deleted": 17}
    assert client.value("SELECT count(*) FROM events") == 1
    assert client.value("SELECT count(*) FROM metrics") == 0
    assert client.value("SELECT status FROM xt_runs WHERE track_id = 'r'") == "deleted"
    assert client.store({"a": 1}, track_id="r") == (0, 1)
    assert client.named("reject")[-1]["code"] == "run_deleted"
    fails("run_deleted", client.change, "run_start", track_id="r")


def test_delete_run_by_force(client):
    client.change("run_start", track_id="r")
    client.store({"a": 1}, track_id="r")
    assert client.change("delete_run", track_id="r", force=True) == {"deleted": 1}


def test_delete_one_table_only(client):
    client.change("run_start", track_id="r")
    client.store({"a": 1}, track_id="r")
    client.store([{"a": 1}, {"a": 2}], track_id="r", table="metrics")
    client.change("run_finish", track_id="r", status="finished")
    assert client.change("delete_run", track_id="r", table="metrics") == {"deleted": 2}
    assert client.value("SELECT count(*) FROM events") == 1
    assert client.store({"a": 2}, track_id="r") == (1, 0)


def test_delete_refusals(client):
    fails("no_such_run", client.change, "delete_run", track_id="none")
    client.store({"a": 1})
    fails("no_such_table", client.change, "delete_run", track_id="t", table="none", force=True)
    fails("bad_name", client.change, "delete_run", track_id="t", table="xt_runs", force=True)


def test_delete_of_many_rows(client):
    client.change("run_start", track_id="r")
    for _ in range(10):
        client.log([[i] for i in range(5000)], track_id="r", columns=["i"])
    client.log({"i": 1}, track_id="other")
    client.until_ack(client.seq)
    assert client.change("delete_run", track_id="r", force=True) == {"deleted": 50000}
    assert client.value("SELECT count(*) FROM events") == 1


def test_answers_are_applied_once(served):
    with served.client() as c:
        c.store({"n": 1})
        c.change("exec", sql="UPDATE events SET n = n + 1")
        with served.client(client_id=c.id, last_seq=2, acked=1) as again:
            assert again.call("exec", seq=2, sql="UPDATE events SET n = n + 1") == {"changed": 1}
            assert again.value("SELECT n FROM events") == 2
    assert sqlite(served.db, "SELECT n FROM events") == [(2,)]
