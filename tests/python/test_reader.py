"""Reader: what was logged, and what one changes afterwards."""
import os
import sqlite3
import subprocess
import sys
import warnings

import pandas
import pytest
from conftest import TIMEOUT

import xetrackd
from xetrackd import Error, NoSuchRun, NoSuchTable, Reader, Tracker, reader


@pytest.fixture
def tracker(db, autostarted):
    autostarted(db)
    with Tracker(db) as t:
        yield t


def runs(db, *names, rows=3):
    """Runs with rows 0, 1, …, begun in this order."""
    for name in names:
        with Tracker(db, track_id=name) as t:
            for i in range(rows):
                t.log({"i": i, "run": name})


def old_database(path, rows=(("b-run-1", "2020-01-01 00:00:00.000002", 2), ("a-run-1", "2020-01-01 00:00:00.000003", 3),
                             ("b-run-1", "2020-01-01 00:00:00.000001", 1))):
    con = sqlite3.connect(path)
    with con:
        con.execute('CREATE TABLE "default" (track_id TEXT, timestamp TEXT, i INTEGER, PRIMARY KEY (track_id, timestamp))')
        con.executemany('INSERT INTO "default" VALUES (?, ?, ?)', rows)
    con.close()


# ---- reading


def test_it_never_creates_a_database(runtime):
    for path in runtime / "no.db", str(runtime / "no.db"), runtime / "no" / "no.db", ":memory:":
        with pytest.raises(FileNotFoundError):
            Reader(path)
        with pytest.raises(FileNotFoundError):
            Reader.read_db(path)
        with pytest.raises(FileNotFoundError):
            Reader.read_cache(path, "00" * 32)
        with pytest.raises(FileNotFoundError):
            list(Reader.scan_cache(path))
    assert not list(runtime.iterdir())


def test_rows_that_this_process_just_logged_are_seen(tracker, db):
    with Tracker(db, warnings=False) as other:  # a connection of its own
        r = Reader(db)
        for i in range(200):
            tracker.log({"i": i})
            other.log({"j": i})
            assert len(r) == 2 * (i + 1)
    assert list(r.conn.execute("SELECT count(*) FROM events")) == [(400,)]
    tracker.log({"i": 200})
    assert list(r.conn.execute("SELECT count(*) FROM events")) == [(401,)]
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        r.conn.execute("DELETE FROM events")


def test_filters_combine(db, autostarted):
    autostarted(db)
    runs(db, "z-run", "a-run", rows=5)
    r = Reader(db)
    assert r.to_df()["i"].tolist() == [0, 1, 2, 3, 4] * 2
    assert r.to_df(track_id="a-run", head=2)["i"].tolist() == [0, 1]
    assert r.to_df("a-run", tail=2)["i"].tolist() == [3, 4]
    assert set(r.to_df("a-run", tail=2)["run"]) == {"a-run"}
    assert r.to_df(head=7, tail=3)["i"].tolist() == [4, 0, 1]
    assert r.to_df(head=0)["i"].tolist() == [] and len(r.to_df(tail=100)) == 10
    assert len(r.to_df("no-run")) == 0
    assert list(r.to_df("no-run").columns) == list(r.to_df().columns) == ["track_id", "timestamp", "i", "run"]
    with pytest.raises(ValueError, match="head -1"):
        r.to_df(head=-1)


def test_it_is_sorted_by_time_then_arrival(tracker, db):
    tracker.log({"i": 0})
    tracker.flush()
    client = tracker._client
    for stamp, i in ("2020-01-02", 3), ("2020-01-01", 1), ("2020-01-02", 4), ("2020-01-01", 2):
        client.execute("INSERT INTO events VALUES ('r', ?, ?)", (stamp, i))
    r = Reader(db)
    assert r.to_df()["i"].tolist() == [1, 2, 3, 4, 0]
    assert r.to_df(head=3)["i"].tolist() == [1, 2, 3]
    assert r.to_df(tail=3)["i"].tolist() == [3, 4, 0]
    assert r.to_df("r", head=3, tail=1)["i"].tolist() == [3]


def test_latest_is_the_newest_run_not_the_last_of_the_alphabet(db, autostarted):
    autostarted(db)
    runs(db, "z-run", "a-run")
    r = Reader(db)
    assert set(r.latest()["track_id"]) == {"a-run"} and len(r.latest()) == 3
    runs(db, "m-run")
    assert r.latest_track_id() == "m-run"
    runs(db, "z-run")  # goes on; it did not begin now
    assert r.latest_track_id() == "m-run"
    with Tracker(db, track_id="elsewhere", table="others") as t:
        t.log({"a": 1})
    assert r.latest_track_id() == "m-run"


def test_latest_of_rows_that_nobody_logged_here(runtime, autostarted):
    """As another program, or copy(), put them there."""
    path = runtime / "old.db"
    autostarted(path)
    old_database(path)
    r = Reader(path, table="default")
    assert r.latest_track_id() == "a-run-1"
    assert r.to_df("b-run-1")["i"].tolist() == [1, 2]
    with Tracker(path, table="default", track_id="c-run") as t:
        t.log({"i": 9})
    assert r.latest()["i"].tolist() == [9]


def test_a_table_that_is_not_there(tracker, db):
    empty = Reader(db)
    assert len(empty.to_df()) == 0 and list(empty.to_df().columns) == ["track_id", "timestamp"]
    assert len(empty) == 0 and empty.columns == set() and len(empty.latest()) == 0 and empty
    tracker.log({"a": 1})
    with pytest.raises(NoSuchTable, match=r"no table 'event'\. Did you mean 'events'\? It has: events") as e:
        Reader(db, table="event").to_df()
    assert isinstance(e.value, LookupError)
    wrong = Reader(db, table="metrics")
    for call in wrong.latest, lambda: len(wrong), lambda: wrong.dtypes, lambda: wrong.delete_run("x"), \
            lambda: wrong.set_value("a", 1):
        with pytest.raises(NoSuchTable, match="It has: events"):
            call()
    with Tracker(db, table="metrics") as t:  # it was started for this one: rows will come
        assert len(wrong.to_df()) == 0
        t.log({"b": 2})
        assert wrong.to_df()["b"].tolist() == [2]


def test_odd_names_are_quoted(db, autostarted):
    autostarted(db)
    table = 'my "table"; --'
    with Tracker(db, table=table) as t:
        t.log({"order": 1, "a b": 2, "select": 3})
    r = Reader(db, table=table)
    assert r.to_df(head=1, tail=1)[["order", "select"]].values.tolist() == [[1, 3]]
    r.set_where("order", 5, "select", 3)
    assert r.to_df()["order"].tolist() == [5]
    assert len(r) == 1 and r.latest_track_id() == t.track_id


def test_a_path_with_odd_characters(runtime, autostarted):
    path = runtime / "a b?c%d#e.db"
    autostarted(path)
    with Tracker(path) as t:
        t.log({"a": 1})
    r = Reader(path)
    assert list(r.conn.execute("SELECT a FROM events")) == [(1,)]


def test_types(tracker, db):
    tracker.log({"i": 1, "r": 0.5, "t": "x", "b": b"\0", "ok": True, "none": None})
    tracker.log({"ok": False, "i": None})
    r = Reader(db)
    assert r.dtypes == {"track_id": str, "timestamp": str, "i": int, "r": float, "t": str, "b": bytes, "ok": bool, "none": object}
    assert r.columns == set(r.dtypes)
    df = r.to_df()
    assert df["ok"].tolist() == [True, False] and df["ok"].dtype == bool
    assert str(df["i"].dtype) == "float64" and df["none"].tolist() == [None, None]
    assert r.rows("SELECT ok, i FROM events") == [{"ok": True, "i": 1}, {"ok": False, "i": None}]


def test_queries(tracker, db):
    for i in range(3):
        tracker.log({"i": i})
    r = Reader(db)
    assert r.query("SELECT sum(i) AS s FROM db.events WHERE i > ?", (0,))["s"].tolist() == [3]
    assert r.engine.execute_sql("SELECT max(i) AS m FROM events")["m"].tolist() == [2]
    assert r.engine == "sqlite" and r.table_name == "events" and r.tables == ["events"]
    for bad, code in ("SELEC", "sql_error"), ("DELETE FROM events", "sql_writes"):
        with pytest.raises(Error) as e:
            r.query(bad)
        assert e.value.code == code
    assert len(r) == 3


def test_the_engine_duckdb_falls_back_with_one_warning(tracker, db, monkeypatch):
    monkeypatch.setitem(sys.modules, "duckdb", None)
    monkeypatch.setattr(reader, "_warned_of_duckdb", False)
    tracker.log({"i": 1})
    r = Reader(db, engine="duckdb")
    assert r.to_df()["i"].tolist() == [1]
    with pytest.warns(UserWarning, match="duckdb cannot be imported"):
        assert r.query("SELECT i FROM events")["i"].tolist() == [1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        r.query("SELECT i FROM events")
    with pytest.raises(ValueError, match="'sqlite' or 'duckdb'"):
        Reader(db, engine="mysql")


def test_the_engine_duckdb(tracker, db):
    pytest.importorskip("duckdb")
    tracker.log({"i": 1, "ok": True})
    tracker.log({"i": 3, "ok": False})
    r = Reader(db, engine="duckdb")
    assert r.query("SELECT quantile_cont(i, 0.5) AS m FROM events")["m"].tolist() == [2]
    assert r.query("SELECT i FROM db.events WHERE i > ?", (1,))["i"].tolist() == [3]


def test_closing(tracker, db):
    tracker.log({"a": 1})
    with Reader(db) as r:
        assert len(r) == 1 and repr(r) == f"<Reader of '{db}', table events>"
    r.close()
    assert "closed" in repr(r)
    with pytest.raises(ValueError, match="closed"):
        r.to_df()
    tracker.log({"a": 2})  # the tracker's connection is not the reader's
    assert tracker.count_all() == 2


def test_a_view_and_a_table_of_others(tracker, db):
    tracker.log({"i": 2})
    tracker.flush()
    tracker._client.execute("CREATE VIEW seen AS SELECT i + 1 AS j, timestamp FROM events")
    tracker._client.execute("CREATE TABLE plain(k TEXT PRIMARY KEY, v) WITHOUT ROWID")
    tracker._client.execute("INSERT INTO plain VALUES ('a', 1)")
    assert Reader(db, table="seen").to_df(head=1)["j"].tolist() == [3]
    assert Reader(db, table="plain").to_df(tail=1)["v"].tolist() == [1]


def test_a_reader_may_be_collected_anywhere(tracker, db):
    """Finalizers run in the midst of whatever allocates: also where this thread holds the sessions' lock."""
    code = """
import sys
from xetrackd import Reader, session
one, two = Reader(sys.argv[1]), Reader(sys.argv[1])
held = one._session
with session._lock:
    del one
assert held.users == 2
two.close()
assert held.users == 0
with Reader(sys.argv[1]) as three:
    assert three._session is held and held.users == 1
print("fine")
"""
    done = subprocess.run([sys.executable, "-c", code, db], capture_output=True, text=True, timeout=TIMEOUT)
    assert done.stdout == "fine\n", done.stderr


def test_it_works_after_fork(tracker, db):
    tracker.log({"i": 1})
    r = Reader(db)
    assert list(r.conn.execute("SELECT i FROM events")) == [(1,)]
    pid = os.fork()
    if pid == 0:
        ok = len(r) == 1 and list(r.conn.execute("SELECT i FROM events")) == [(1,)] and len(Reader(db)) == 1
        os._exit(0 if ok else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert len(r) == 1


# ---- changing


def test_deleting_a_run(db, autostarted):
    autostarted(db)
    runs(db, "one", "two")
    with Tracker(db, track_id="one", table="metrics") as t:
        t.log({"m": 1})
    r = Reader(db)
    assert r.delete_run("one") is True
    assert set(r.to_df()["track_id"]) == {"two"} and len(Reader(db, table="metrics")) == 1
    with pytest.raises(NoSuchRun, match="run 'one' has no rows in table 'events'.*it has rows in: metrics"):
        r.delete_run("one")
    with pytest.raises(KeyError, match="run 'three' has no rows"):
        r.delete_run("three")
    with Tracker(db) as t:
        t.log({"i": 1})
        with pytest.raises(Error) as e:
            r.delete_run(t.track_id)
        assert e.value.code == "run_running"
        assert r.delete_run(t.track_id, force=True) is True


def test_setting(db, autostarted):
    autostarted(db)
    runs(db, "one", "two", rows=2)
    r = Reader(db)
    assert r.set_value("tag", "a") == 4
    assert r.set_value("tag", "b", track_id="two") == 2
    assert r.set_where("tag", "c", "i", 1, track_id="two") == 1
    assert r.set_where("note", 0.5, "tag", "a") == 2
    assert r.to_df()["tag"].tolist() == ["a", "a", "b", "c"]
    assert r.to_df()["note"].dropna().tolist() == [0.5, 0.5]
    with pytest.raises(NoSuchRun, match="run 'three'"):
        r.set_value("tag", "x", track_id="three")
    with pytest.raises(Error) as e:
        r.set_where("tag", "x", "a = 99, b", 1)
    assert e.value.code == "no_such_column"
    assert r.set_where("tag", "x", "i", 99) == 0


# ---- assets


def test_assets(tracker, db):
    tracker.log({"model": pandas.DataFrame({"x": [1, 2]}), "i": 1})
    r = Reader(db)
    (hash,) = r.assets
    assert r.assets[hash] > 0 and r.rows("SELECT model FROM events") == [{"model": hash}]
    assert r.get(hash)["x"].tolist() == [1, 2] and r.get("model")["x"].tolist() == [1, 2]
    assert r.get("0" * 64) is None and r.get("nothing") is None
    assert r.remove_asset(hash, column="model") is True
    assert r.assets == {} and r.to_df()["model"].tolist() == [None]
    assert r.remove_asset(hash) is False and r.get("model") is None


# ---- the cache


def square(x):
    return {"y": x * x}


def odd(x):
    return {1, 2, x}


def test_the_cache(db, autostarted, runtime):
    autostarted(db)
    link = runtime / "my_cache"
    with Tracker(db, cache=str(link)) as one:
        for x in range(3):
            one.track(square, args=[x])
        one.track(odd, args=[5])
    with Tracker(db, cache=True) as two:
        two.track(square, args=[7])
    assert link.is_symlink()
    for where in db, str(db) + ".cache", link:
        found = dict(Reader.scan_cache(where))
        assert len(found) == 5
        assert [v["result"] for v in found.values() if v["cache"] == two.track_id] == [{"y": 49}]
        assert {1, 2, 5} in [v["result"] for v in found.values()]
    key = next(k for k, v in found.items() if v["cache"] == two.track_id)
    assert Reader.read_cache(link, key) == Reader.read_cache(link, bytes.fromhex(key)) == {"result": {"y": 49}, "cache": two.track_id}
    with pytest.raises(KeyError, match="has no entry 0000"):
        Reader.read_cache(link, "00" * 32)
    assert Reader.delete_cache_by_track_id(link, one.track_id) == 4
    assert Reader.delete_cache_by_track_id(link, one.track_id) == 0
    assert [k for k, _ in Reader.scan_cache(db)] == [key]


def test_a_cache_of_nothing(runtime):
    (runtime / "x.cache").mkdir()
    with pytest.raises(FileNotFoundError, match="no database, nor the cache of one"):
        list(Reader.scan_cache(runtime / "x.cache"))
    assert [p.name for p in runtime.iterdir()] == ["x.cache"]


def test_classmethods(db, autostarted):
    autostarted(db)
    runs(db, "one", "two")
    assert Reader.read_db(str(db), track_id="one", head=2)["i"].tolist() == [0, 1]
    assert len(Reader.read_db(db, engine="sqlite", table="events", tail=4)) == 4


def test_the_users_script(db, autostarted):
    """What the benchmark's skill does with a Reader, in a program of its own."""
    autostarted(db)
    code = """
import sys
from xetrackd import Reader, Tracker
predictions, metrics = Tracker(db=sys.argv[1], table="predictions"), Tracker(db=sys.argv[1], table="metrics")
for i in range(4):
    predictions.track(lambda x: {"input_id": x, "correct": x % 2 == 0}, args=[i])
df = Reader(db=sys.argv[1], table="predictions").to_df()
metrics.log({"accuracy": df["correct"].mean()})
print(Reader(db=sys.argv[1], engine="sqlite", table="metrics").to_df()["accuracy"][0], len(df), df.groupby("track_id").size().iloc[0])
"""
    done = subprocess.run([sys.executable, "-c", code, db], capture_output=True, text=True, timeout=TIMEOUT)
    assert done.stdout.split() == ["0.5", "4", "4"], done.stderr


def test_the_package_shows_it():
    assert {"Reader", "copy", "get_backend", "set_backend"} <= set(xetrackd.__all__)
