"""Tracker, but for tracked calls: rows, parameters, reading back, the ends of runs."""
import json
import os
import pickle
import sqlite3
import subprocess
import sys
import textwrap
import warnings

import pytest
from conftest import TIMEOUT, sqlite

import xetrackd
from xetrackd import Error, Tracker, XetrackWarning, session


@pytest.fixture
def tracker(db, autostarted):
    autostarted(db)
    with Tracker(db, table="rows") as t:
        yield t


def stored(t, what="*", tail="ORDER BY rowid"):
    cursor = t._client.query(f"SELECT {what} FROM {t.table_name} {tail}")
    return [dict(zip(cursor.names, row)) for row in cursor]


def run(code, *args, quiet=False, **env):
    """A program of its own; its standard output. quiet: nothing else came."""
    env = {k: str(v) for k, v in env.items()}
    p = subprocess.run([sys.executable, "-c", textwrap.dedent(code), *map(str, args)], capture_output=True, text=True,
                       timeout=TIMEOUT, env={**os.environ, **env})
    assert p.returncode == 0, p.stderr
    assert not quiet or not p.stderr, p.stderr
    return p.stdout


# ---- rows --------------------------------------------------------------------------

def test_a_row_comes_back_and_is_stored(tracker):
    row = tracker.log({"a": 1, "b": 2.5, "c": "text", "d": True})
    assert {k: row[k] for k in "abcd"} == {"a": 1, "b": 2.5, "c": "text", "d": True}
    assert row["track_id"] == tracker.track_id and tracker.latest == row
    (back,) = stored(tracker)
    assert (back["a"], back["b"], back["c"], back["d"]) == (1, 2.5, "text", 1)
    assert back["timestamp"] == row["timestamp"] and len(row["timestamp"]) == 26


def test_nothing_is_no_row(tracker):
    assert tracker.log({}) == {} and tracker.log_batch([]) == {}
    assert tracker.count_all() == 0 and tracker.latest == {}


def test_parameters_are_in_each_row_and_the_rows_own_win(db, autostarted):
    autostarted(db)
    given = {"model": "m", "lr": 0.1}
    with Tracker(db, params=given) as t:
        assert t.log({"lr": 0.2, "x": 1})["lr"] == 0.2
        assert t.set_param("seed", 7) == "seed"
        t.set_params({"model": "n"})
        assert t.log({"x": 2})["seed"] == 7
        t.params["direct"] = "yes"
        t.log({"x": 3})
        assert given["seed"] == 7  # the caller's own dict
        assert [(r["x"], r["model"], r["lr"], r["seed"], r.get("direct")) for r in map(lambda r: {"direct": None, **r}, (
            dict(zip(c.names, row)) for c in [t._client.query("SELECT x, model, lr, seed, direct FROM events ORDER BY rowid")]
            for row in c))] == [(1, "m", 0.2, None, None), (2, "n", 0.1, 7, None), (3, "n", 0.1, 7, "yes")]
        assert t.count_run() == 3


def test_a_batch_of_unlike_rows(db, autostarted):
    autostarted(db)
    with Tracker(db, params={"p": 1}, table="rows") as t:
        last = t.log_batch([{"a": 1}, {"b": 2, "p": 5}, {"c": "x", "a": 3}, {}])
        assert last["p"] == 1 and last["track_id"] == t.track_id
        assert [(r["a"], r["b"], r["c"], r["p"]) for r in stored(t)] == [
            (1, None, None, 1), (None, 2, None, 5), (3, None, "x", 1), (None, None, None, 1)]


def test_a_batch_of_more_rows_than_a_piece(tracker):
    tracker.log_batch({"i": i, "half": i / 2} for i in range(25001))
    assert stored(tracker, "count(*) AS n, sum(i) AS s, sum(half) AS h", "") == [
        {"n": 25001, "s": 25000 * 25001 // 2, "h": 25000 * 25001 / 4}]


def test_an_object_far_behind_in_a_batch(tracker):
    """It becomes an asset, and none of the rows before it is logged again."""
    tracker.log_batch([*({"i": i} for i in range(10_000)), {"i": 10_000, "model": Model(1)}])
    assert stored(tracker, "count(*) AS n, count(DISTINCT i) AS d, count(model) AS m", "") == [{"n": 10_001, "d": 10_001, "m": 1}]
    assert tracker.get("model").weights == 1


def test_rows_equal_in_time_are_all_there(tracker):
    tracker.log_batch([{"same": 1}] * 500)
    assert tracker.count_all() == 500


def test_what_cannot_be_stored_raises_and_logs_nothing(tracker):
    with pytest.raises(TypeError, match="mapping"):
        tracker.log(7)
    assert tracker.count_all() == 0


def test_a_rejected_row_is_a_warning_and_flush_raises(tracker):
    tracker.log({"a": 1})
    tracker.flush()
    tracker._client.execute("CREATE UNIQUE INDEX one ON rows(a)")
    with pytest.warns(xetrackd.RejectedRow, match="constraint"):
        tracker.log({"a": 1})
        with pytest.raises(Error) as e:
            tracker.flush()
    assert e.value.status == "XT_EREJECTED"
    tracker.log({"a": 2})
    tracker.flush()
    assert tracker.count_all() == 2


def test_warnings_can_be_log_lines_instead(db, autostarted, caplog):
    autostarted(db)
    with Tracker(db, warnings=False) as t:
        t.log({"a": 1})
        t.flush()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            t.log({"a": "text"})
            t.flush()
    assert any("widened_column" in r.getMessage() for r in caplog.records if r.name == "xetrackd")


def test_a_widened_column_is_a_warning_at_the_users_line(tracker):
    tracker.log({"a": 1})
    tracker.flush()
    with pytest.warns(XetrackWarning, match="widened_column") as w:
        tracker.log({"a": "text"})
        tracker.flush()
    assert w[0].filename == __file__


# ---- changes ---------------------------------------------------------------------------

def test_set_value_is_back_in_time_and_of_this_run_only(tracker, db):
    tracker.log({"a": 1})
    with Tracker(db, table="rows") as other:
        other.log({"a": 2})
        tracker.set_value("grade", "good")
        tracker.set_where("grade", "best", "a", 1)
        assert [(r["a"], r["grade"]) for r in stored(tracker)] == [(1, "best"), (2, None)]


def test_set_where_is_no_sql(tracker):
    tracker.log({"a": 1, "b": 2})
    with pytest.raises(Error) as e:
        tracker.set_where("b", 3, "a = 1 OR 1", 1)
    assert e.value.code == "no_such_column"
    assert stored(tracker)[0]["b"] == 2


def test_a_column_may_be_added_before_the_first_row_and_after(tracker):
    assert tracker.add_column("score", 0.5) == 0.5
    assert tracker.dtypes["score"] is float
    tracker.log({"a": 1})
    tracker.add_column("name", "x")
    tracker.add_column("name", "x")
    assert tracker.dtypes["name"] is str and tracker.columns >= {"track_id", "timestamp", "a", "score", "name"}
    assert stored(tracker)[0]["name"] is None


def test_reset_empties_the_table_and_breaks_nobody(db, autostarted):
    autostarted(db)
    with Tracker(db, table="rows") as old:
        old.log({"a": 1})
        old.flush()
        with Tracker(db, table="rows", reset=True) as new:
            assert new.count_all() == 0
            old.log({"a": 2, "b": 3})
            old.flush()
            new.log({"a": 4})
            assert sorted(r["a"] for r in stored(new)) == [2, 4]


# ---- reading back -----------------------------------------------------------------------

def test_frames(tracker, db):
    tracker.log_batch([{"i": i, "x": i / 2, "t": str(i), "ok": i % 2 == 0} for i in range(10)])
    with Tracker(db, table="rows") as other:
        other.log({"i": 99})
        assert list(other.to_df()["i"]) == [99] and len(other.to_df(all=True)) == 11
    df = tracker.to_df()
    assert list(df["i"]) == list(range(10)) and df["i"].dtype == "int64" and df["x"].dtype == "float64"
    assert list(tracker.head(3)["i"]) == [0, 1, 2] and list(tracker.tail(2)["i"]) == [99, 9]
    assert list(tracker["x"]) == [i / 2 for i in range(10)]
    assert (tracker[1]["i"], tracker[0]["i"], tracker[11]["i"], tracker[-1]["i"], tracker[12]) == (0, 0, 99, 99, None)
    assert (len(tracker), tracker.count_all(), tracker.count_run()) == (11, 11, 10)
    assert tracker.track_id in repr(tracker)


def test_csv(tracker, tmp_path):
    tracker.log({"a": 1, "b": "x,y"})
    tracker.to_csv(tmp_path / "rows.csv")
    assert (tmp_path / "rows.csv").read_text().splitlines()[1].endswith(',1,"x,y"')


def test_conn_is_read_only_and_sees_all(tracker):
    tracker.log({"a": 1})
    assert tracker.conn.execute("SELECT a FROM rows").fetchall() == [(1,)]
    tracker.log({"a": 2})
    assert tracker.conn.execute("SELECT count(*) FROM rows").fetchone() == (2,)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        tracker.conn.execute("DELETE FROM rows")


def test_reading_before_the_first_row(tracker):
    assert len(tracker.to_df()) == 0 and tracker.dtypes == {} and tracker[1] is None and len(tracker) == 0


# ---- assets ---------------------------------------------------------------------------------

class Model:
    def __init__(self, weights):
        self.weights = weights


def test_objects_become_assets(tracker):
    row = tracker.log({"model": Model([1, 2]), "n": 1})
    assert len(row["model"]) == 64
    assert tracker.get("model").weights == [1, 2] and tracker.get(row["model"]).weights == [1, 2]
    assert list(tracker.assets) == [row["model"]]
    tracker.log({"model": Model([1, 2]), "n": 2})
    assert len(tracker.assets) == 1  # the same content is there once
    tracker.log_batch([{"model": Model([3]), "n": 3}])
    assert tracker.get("model").weights == [3]
    assert tracker.get("nothing") is None and tracker.get("0" * 64) is None


def test_falsy_assets_and_arrays_come_back(tracker):
    np = pytest.importorskip("numpy")
    row = tracker.log({"zeros": np.zeros(5000), "empty": frozenset})
    assert (tracker.get("zeros") == 0).all() and len(tracker.get(row["zeros"])) == 5000


def test_an_asset_is_removed_with_its_hash_in_the_column(tracker):
    row = tracker.log({"model": Model([1])})
    tracker.flush()
    assert tracker.remove_asset(row["model"], "model") is True
    assert tracker.remove_asset(row["model"]) is False
    assert stored(tracker)[0]["model"] is None and tracker.get("model") is None


# ---- runs -----------------------------------------------------------------------------------

def status(db, track_id):
    return sqlite(db, "SELECT status FROM xt_runs WHERE track_id = ?", track_id)[0][0]


def test_the_block_decides_how_the_run_ended(db, autostarted):
    autostarted(db)
    with Tracker(db) as good:
        good.log({"a": 1})
    with pytest.raises(ZeroDivisionError), Tracker(db) as bad:
        bad.log({"a": 1 / 0})
    assert status(db, good.track_id) == "finished" and status(db, bad.track_id) == "failed"
    with pytest.raises(ValueError, match="closed"):
        good.log({"a": 1})


def test_a_program_that_ends_without_a_word_has_finished_and_one_that_raises_failed(db, autostarted):
    autostarted(db)
    code = """
        import sys
        from xetrackd import Tracker
        t = Tracker(sys.argv[1])
        t.log({"a": 1})
        print(t.track_id)
        %s
    """
    finished = run(code % "", db).strip()
    p = subprocess.run([sys.executable, "-c", textwrap.dedent(code % "raise SystemError('x')"), str(db)],
                       capture_output=True, text=True, timeout=TIMEOUT)
    assert status(db, finished) == "finished" and status(db, p.stdout.strip()) == "failed"
    assert sqlite(db, "SELECT count(*) FROM events") == [(2,)]


def test_a_tracker_that_nobody_keeps_has_finished(db, autostarted):
    autostarted(db)
    with Tracker(db) as keeper:
        ids = []
        for i in range(5):
            t = Tracker(db)
            t.log({"i": i})
            ids.append(t.track_id)
        del t
        keeper.flush()
        assert len(set(ids)) == 5
        for id in ids:
            while status(db, id) != "finished":
                keeper.flush()


def test_a_run_is_gone_on_with_by_its_name(db, autostarted):
    autostarted(db)
    with Tracker(db, track_id="mine") as t:
        t.log({"a": 1})
    with Tracker(db, track_id="mine") as t:
        t.log({"a": 2})
        assert t.count_run() == 2
        t.track_id = "another"
        t.log({"a": 3})
        assert t.latest["track_id"] == "another" and t.count_run() == 1
    assert sqlite(db, "SELECT track_id, count(*) FROM events GROUP BY 1 ORDER BY 1") == [("another", 1), ("mine", 2)]


def test_equal_seeds_make_no_equal_runs(db, autostarted):
    autostarted(db)
    ids = {run("""
        import random, sys
        random.seed(1)
        from xetrackd import Tracker
        print(Tracker(sys.argv[1]).track_id)
    """, db) for _ in range(2)}
    assert len(ids) == 2


def test_a_parameter_that_is_changed_in_place(tracker):
    tracker.set_param("tags", {"known": []})
    tracker.log({"i": 1})
    tracker.params["tags"]["known"].append("x")
    tracker.log({"i": 2})
    assert stored(tracker, "tags") == [{"tags": '{"known":[]}'}, {"tags": '{"known":["x"]}'}]


def test_a_parameter_that_is_an_array(tracker):
    """Two of them cannot be asked whether they are equal."""
    np = pytest.importorskip("numpy")
    for i in range(3):
        tracker.params["w"] = np.array([1, i])
        tracker.log({"i": i})
    assert stored(tracker, "w") == [{"w": f"[1,{i}]"} for i in range(3)]


# ---- options ----------------------------------------------------------------------------------

def test_in_memory_ends_with_its_tracker(runtime, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(runtime))
    with Tracker(Tracker.IN_MEMORY, cache=True) as t:
        t.log({"a": 1})
        assert t.count_all() == 1
        pid = next(dict(zip(c.names, r))["pid"] for c in [t._client.status()] for r in c)
        where = os.path.dirname(t._session.path)
        assert os.path.isdir(where)
    assert not os.path.exists(where)
    try:
        with open(f"/proc/{pid}/stat") as f:
            assert f.read().rsplit(")", 1)[1].split()[0] == "Z"  # it ended; nobody asked how
    except FileNotFoundError:
        pass


def test_in_memory_leaves_no_zombie(runtime):
    """In a container the program may be the first process, and so the parent of daemons whose starters have ended."""
    assert run("""
        import ctypes, os
        PR_SET_CHILD_SUBREAPER = 36
        assert ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
        from xetrackd import Tracker
        with Tracker(Tracker.IN_MEMORY) as t:
            t.log({"a": 1})
        try:
            print(os.waitpid(-1, os.WNOHANG))
        except ChildProcessError:
            print("none")
    """, TMPDIR=runtime) == "none\n"


def test_what_killed_programs_left_in_memory_is_removed(runtime, monkeypatch):
    """But not what belongs to a process of another container, whose ids mean nothing here."""
    monkeypatch.setattr("tempfile.tempdir", str(runtime))
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent("""
        import os, signal
        from xetrackd import Tracker
        t = Tracker(":memory:")
        print(t._session.path, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """)], capture_output=True, text=True, timeout=TIMEOUT, env={**os.environ, "TMPDIR": str(runtime)})
    left = os.path.dirname(killed.stdout.strip())
    prefix, namespace, pid, rest = os.path.basename(left).split("-", 3)
    elsewhere = runtime / f"{prefix}-{int(namespace) + 1}-{pid}-{rest}"
    elsewhere.mkdir()
    assert os.path.isdir(left)
    with Tracker(Tracker.IN_MEMORY) as t:
        t.log({"a": 1})
    assert not os.path.exists(left) and elsewhere.is_dir()


def test_skip_insert_logs_and_stores_nothing(runtime, tmp_path):
    t = Tracker(Tracker.SKIP_INSERT, params={"p": 1}, jsonl=str(tmp_path / "rows.jsonl"))
    assert t.log({"a": 1})["p"] == 1
    t.log_batch([{"a": 2}, {"a": 3}])
    assert t.track(lambda x: {"y": x}, args=[4]) == {"y": 4}
    lines = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert [line.get("a", line.get("y")) for line in lines] == [1, 2, 3, 4] and all(line["p"] == 1 for line in lines)
    with pytest.raises(ValueError, match="SKIP_INSERT"):
        t.to_df()


def test_an_engine_that_is_none(runtime):
    with pytest.raises(ValueError, match="'postgres'"):
        Tracker("x.db", engine="postgres")


def test_git_root(db, autostarted, tmp_path):
    autostarted(db)
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    with Tracker(db, git_root=str(tmp_path)) as t:
        assert t.log({"a": 1})["git_commit_hash"] == head
    (tmp_path / "plain").mkdir()
    with pytest.warns(XetrackWarning, match="git_root"), Tracker(db, git_root=str(db.parent)) as t:
        assert t.params["git_commit_hash"] is None


def test_the_name_of_the_cache_becomes_a_link(db, autostarted):
    autostarted(db)
    with Tracker(db, cache=str(db.parent / "my_cache")) as t:
        t.track(len, args=["abc"])
        t.flush()
        assert os.path.isdir(db.parent / "my_cache")
        assert os.path.realpath(db.parent / "my_cache") == os.path.realpath(t.cache_path)
    (db.parent / "taken").mkdir()
    with pytest.warns(XetrackWarning, match="taken"), Tracker(db, cache=str(db.parent / "taken")):
        pass


def test_parent_directories_are_made(runtime, autostarted):
    path = runtime / "a" / "b" / "c.db"
    autostarted(path)
    with Tracker(path) as t:
        t.log({"a": 1})
    assert path.exists()


def test_a_pickled_tracker_goes_on_with_the_run(tracker):
    tracker.set_param("p", 1)
    tracker.log({"a": 1})
    again = pickle.loads(pickle.dumps(tracker))
    again.log({"a": 2})
    assert again.track_id == tracker.track_id and again.count_run() == 2
    again.close()
    assert [(r["a"], r["p"]) for r in stored(tracker)] == [(1, 1), (2, 1)]
    again = None
    tracker.flush()
    assert next(tracker._client.query("SELECT status FROM xt_runs WHERE track_id = ?", (tracker.track_id,)))[0] == "running"


def test_importing_needs_nothing_and_changes_nothing():
    out = run("""
        import sys
        for name in ("pandas", "numpy", "polars", "cloudpickle", "pydantic", "tqdm"):
            sys.modules[name] = None
        import multiprocessing
        import xetrackd
        print(multiprocessing.get_start_method(allow_none=True))
    """)
    assert out == "None\n"


def test_pydoc_reads(db):
    out = subprocess.run([sys.executable, "-m", "pydoc", "xetrackd"], capture_output=True, text=True, timeout=TIMEOUT).stdout
    for word in ("class Tracker", "class Reader", "log_batch(self", "Ends the run"):
        assert word in out


# ---- the program's end -----------------------------------------------------------------------

def test_a_thread_that_never_comes_back(db, autostarted):
    """Rows of the others are stored, and the program ends without a word."""
    autostarted(db)
    run("""
        import sys, threading
        from xetrackd import Tracker
        t = Tracker(sys.argv[1], table="rows")
        begun = threading.Event()
        def forever():
            begun.set()
            next(t._client.query("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n", (), 300))
        threading.Thread(target=forever, daemon=True).start()
        begun.wait()
        t.log({"a": 1})
    """, db, quiet=True)
    assert sqlite(db, "SELECT a FROM rows") == [(1,)]


def test_all_connections_are_closed_at_the_end(monkeypatch):
    """Also where one has something to tell, and warnings are errors."""
    closed = []

    class Troubled:
        path = "b.db"

        def close(self, failed):
            closed.append(self)
            raise XetrackWarning("a row was rejected")

    monkeypatch.setattr(session, "_open", {i: Troubled() for i in range(3)})
    with warnings.catch_warnings(), pytest.raises(XetrackWarning):
        warnings.simplefilter("error")
        session.close_all()
    assert len(closed) == 3 and session._open == {}
