"""copy(): rows and assets from one database to another, as often as one likes."""
import json
import os
import sqlite3
import subprocess
import sys
import warnings

import pytest
from conftest import TIMEOUT, XTCTL, sqlite

from xetrackd import Error, NoSuchTable, Reader, Tracker, copying, session


def copy_by_xtctl(source, target, assets=True, tables=None):
    """The same by `xtctl copy`, which has the same meaning: its complaints as the exceptions of copy()."""
    options = [f"--table={t}" for t in tables or ()] + ([] if assets else ["--no-assets"])
    p = subprocess.run([XTCTL, "copy", source, target, "--json", *options], capture_output=True, text=True, timeout=TIMEOUT)
    for line in p.stderr.splitlines():
        if line.startswith("xtctl: note: "):
            warnings.warn(line.removeprefix("xtctl: note: "), UserWarning, stacklevel=2)
        elif "there is no database" in line:
            raise FileNotFoundError(line)
        elif "the same database" in line:
            raise ValueError(line)
        elif "has no table of rows" in line:
            raise NoSuchTable(line.replace("; it has", ". It has"))
    assert p.returncode == 0, p.stderr
    return json.loads(p.stdout)["copied"]


@pytest.fixture(autouse=True, params=["python", "xtctl"])
def copy(request, monkeypatch):
    """Every test by both."""
    if request.param == "xtctl" and not os.access(XTCTL, os.X_OK):
        pytest.skip(f"{XTCTL} is not built")
    monkeypatch.setitem(request.module.__dict__, "copy", copying.copy if request.param == "python" else copy_by_xtctl)
    return request.param


# What only the Python one lets a test reach into.
in_process = pytest.mark.parametrize("copy", ["python"], indirect=True)


@pytest.fixture
def source(runtime, autostarted):
    autostarted(runtime / "source.db")
    return runtime / "source.db"


@pytest.fixture
def target(runtime, autostarted):
    autostarted(runtime / "target.db")
    return runtime / "target.db"


def rows(path, table="events", what="*"):
    with Reader(path) as r:
        return sorted(r.rows(f'SELECT {what} FROM "{table}"'), key=repr)


def log(path, *data, track_id=None, table="events", **kw):
    with Tracker(path, track_id=track_id, table=table, **kw) as t:
        for row in data:
            t.log(row)
        return t.track_id


def old_database(path, *rows, columns="i INTEGER"):
    """One that the Python library xetrack made."""
    con = sqlite3.connect(path)
    with con:
        con.execute(f'CREATE TABLE "default" (track_id TEXT, timestamp TEXT, {columns}, PRIMARY KEY (track_id, timestamp))')
        for name in "assets", "keys", "counts":
            con.execute(f"CREATE TABLE {name} (key TEXT PRIMARY KEY, value BLOB)")
        for row in rows:
            con.execute(f'INSERT INTO "default" VALUES ({",".join("?" * len(row))})', row)
    con.close()


@pytest.mark.parametrize("why", [("XT_EREQUEST", "cursor_expired"), ("XT_ELOST", "")])
@pytest.mark.parametrize("times", [["a", "b", "b", "c"], [None, None, None, "a"], [None, None, None, None]])
def test_a_cursor_that_expires_goes_on_where_it_was(times, why):
    """Wherever that is: rows of no time, and of the same, are neither left out nor given twice."""
    rows = [(t, i) for i, t in enumerate(times)]

    class Expired(Error):
        status, code = why

    for broken in range(len(rows) + 1):
        asked = []

        def ask(sql, args):
            if "pragma" in sql:
                return
            asked.append(sql)
            for n, row in enumerate(r for r in rows if len(args) < 2 or (r[0] is not None and r[0] >= args[1])):
                if len(asked) == 1 and n == broken:
                    raise Expired
                yield row

        table = copying._Table(None, None, "events", set())
        assert list(table._sorted(ask, ["i"], "run")) == rows
        assert len(asked) == 1 + (broken < len(rows))


def test_a_cursor_that_expires_when_what_it_gave_was_deleted():
    """What comes behind is not left out for it."""
    class Expired(Error):
        status, code = "XT_ELOST", None

    for given, left in ([("a", 1), ("b", 2), ("b", 3)], [("c", 4), ("d", 5)]), ([(None, 1), (None, 2)], [(None, 2), ("d", 5), ("e", 6)]):
        answers = [(given, True), (left, False)]

        def ask(sql, args):
            if "pragma" in sql:
                return
            rows, expires = answers.pop(0)
            yield from rows
            if expires:
                raise Expired

        rows = list(copying._Table(None, None, "events", set())._sorted(ask, ["i"], "run"))
        assert rows[-2:] == left[-2:]


def test_all_tables_once(source, target):
    log(source, {"a": 1}, {"a": 2, "b": "x"}, track_id="one")
    log(source, {"m": 0.5}, track_id="one", table="metrics")
    assert copy(source, target) == 3
    for table in "events", "metrics":
        assert rows(target, table) == rows(source, table)
    assert copy(str(source), str(target)) == 0
    assert rows(target) == rows(source)


def test_a_run_that_goes_on(source, target):
    log(source, {"a": 1}, track_id="one")
    log(source, {"a": 1}, track_id="two")
    assert copy(source, target) == 2
    log(source, {"a": 2}, {"a": 3}, track_id="one")
    log(target, {"a": 7}, track_id="three")
    assert copy(source, target) == 2
    assert sorted(r["a"] for r in rows(target)) == [1, 1, 2, 3, 7]
    assert copy(source, target) == 0
    assert copy(target, source) == 1  # and back: only what is new there
    assert rows(source) == rows(target)


def test_rows_of_one_time_are_told_apart(source, target):
    log(source, {"a": 0})
    with session_of(source) as client:
        for a in 1, 1, 2, None:
            client.execute("INSERT INTO events VALUES ('r', '2025-01-01 00:00:00.000000', ?)", (a,))
    assert copy(source, target) == 5
    with session_of(target) as client:
        client.execute("DELETE FROM events WHERE rowid IN (SELECT min(rowid) FROM events WHERE a IN (1, 2) GROUP BY a)")
    assert len(rows(target)) == 3
    assert copy(source, target) == 2  # one of the two equal ones, and the other
    assert rows(target) == rows(source)


class session_of:
    def __init__(self, path):
        self.session = session.acquire(path)

    def __enter__(self):
        return self.session.client

    def __exit__(self, *_):
        self.session.release()


@pytest.mark.filterwarnings("ignore:renamed_key")
def test_types_and_keys_are_kept(source, target):
    log(source, {"i": 1, "r": 0.5, "t": "007", "b": b"\0\xff", "ok": True, "loss/train": 1.5, "null": None, "big": 2**62},
        {"Acc": 1}, {"acc": 2})
    copy(source, target)
    with session_of(source) as s, session_of(target) as t:
        theirs, ours = list(s.columns("events")), list(t.columns("events"))
    assert sorted(ours, key=repr) == sorted(theirs, key=repr)  # name, type, key
    assert rows(target) == rows(source)
    log(target, {"loss/train": 2.5})  # falls on the same column
    assert sorted(r["loss_train"] for r in rows(target) if r["loss_train"]) == [1.5, 2.5]
    assert not [c for c in Reader(target).columns if c.startswith("loss_train_")]


def test_columns_are_united(source, target):
    log(target, {"b": 1, "mine": "x"}, track_id="zero")
    log(source, {"a": 1, "b": 2}, track_id="one")
    assert copy(source, target) == 1
    assert set(Reader(target).columns) == {"track_id", "timestamp", "a", "b", "mine"}
    assert rows(target, what="a, b, mine") == [{"a": 1, "b": 2, "mine": None}, {"a": None, "b": 1, "mine": "x"}]
    Reader(target).set_value("mine", "later", track_id="one")  # a column that the source has not
    assert copy(source, target) == 0


@pytest.mark.filterwarnings("ignore:widened_column")
@pytest.mark.parametrize("here, there, type", [(1, "007", object), ("x", 5, object), (1, 0.5, float), (0.5, 3, float),
                                               (0.5, 2**62 + 1, object), (True, 7, object), (5, False, object),
                                               (b"x", "x", object), (None, 3, int), (1, None, int)])
def test_types_that_differ(source, target, here, there, type):
    """Nothing is converted, so that a second copy finds what the first one put there."""
    log(target, {"v": here}, track_id="t")
    log(source, {"v": there}, track_id="s")
    assert copy(source, target) == 1
    assert copy(source, target) == 0
    r = Reader(target)
    (found,) = r.rows("SELECT v, typeof(v) AS t FROM events WHERE track_id = 's'")
    assert found["v"] == there and (found["t"] == "integer") == (there.__class__ in (int, bool) and type is not float)
    (mine,) = r.rows("SELECT v FROM events WHERE track_id = 't'")
    assert mine["v"] == here
    assert r.dtypes["v"] is type


def test_columns_are_made_before_any_row_is_there(source, target):
    """A copy that is killed at any moment leaves nothing but rows that are the source's."""
    with session_of(source) as client:
        client.execute("CREATE TABLE events(track_id TEXT, timestamp TEXT, i INTEGER, t TEXT)")
    log(target, {"i": 0.5})
    assert copy(source, target) == 0
    assert rows(target, what="i, t") == [{"i": 0.5, "t": None}]


@pytest.mark.filterwarnings("ignore:similar_column")
def test_a_column_that_was_renamed_in_the_target(source, target):
    log(source, {"learning_rate": 1}, track_id="s")
    log(target, {"learning_rate": 2}, track_id="t")
    with session_of(target) as client:
        client.schema_rename("events", "learning_rate", "lr")
    assert copy(source, target) == 1
    assert copy(source, target) == 0
    assert rows(target, what="track_id, lr") == [{"track_id": "s", "lr": 1}, {"track_id": "t", "lr": 2}]
    log(source, {"lr": 3}, track_id="s2")  # here they are two still
    assert refused_by_copy(source, target, "'learning_rate' and 'lr' of table 'events' are one in '.*target.db', column 'lr'")
    with session_of(source) as client:
        client.schema_rename("events", "learning_rate", "lr")
    assert copy(source, target) == 1


def refused_by_copy(source, target, pattern):
    """That the copy fails, and how it says why."""
    with pytest.raises((Error, ValueError, RuntimeError, AssertionError), match=pattern):
        copy(source, target)
    return True


def test_a_frozen_table(source, target):
    log(target, {"a": 1}, track_id="t")
    with session_of(target) as client:
        client.schema_freeze("events")
    log(source, {"a": 2}, track_id="known")
    assert copy(source, target) == 1
    log(source, {"a": 3, "b": 4}, track_id="new")
    assert refused_by_copy(source, target, "frozen and has no column 'b'")
    assert sqlite(target, "SELECT track_id, a FROM events ORDER BY a") == [("t", 1), ("known", 2)]


def test_generated_columns(source, target):
    """Their values come, as far as the target's table does not make them itself."""
    twice = "CREATE TABLE {}(track_id TEXT, timestamp TEXT, a INTEGER, b INTEGER GENERATED ALWAYS AS (a * 2) {})"
    with session_of(source) as s, session_of(target) as t:
        for name, kind in ("events", "VIRTUAL"), ("others", "STORED"):
            s.execute(twice.format(name, kind))
            s.execute(f"INSERT INTO {name}(track_id, timestamp, a) VALUES ('r', '2025-01-01 00:00:00.000000', 3)")
        t.execute(twice.format("events", "STORED"))
    assert copy(source, target) == 2
    assert copy(source, target) == 0
    for name in "events", "others":
        assert rows(target, name, "a, b") == [{"a": 3, "b": 6}]
        assert [c for c, in sqlite(target, f"SELECT name FROM pragma_table_xinfo('{name}')")] == ["track_id", "timestamp", "a", "b"]


def test_names_of_another_case(source, target):
    with session_of(source) as client:
        client.execute("CREATE TABLE Events(track_id TEXT, timestamp TEXT, a INTEGER)")
        client.execute("INSERT INTO Events VALUES ('r', '2025-01-01 00:00:00.000000', 1)")
    log(target, {"a": 2}, track_id="t")
    assert copy(source, target) == 1
    assert copy(source, target) == 0
    assert Reader(target).tables == ["events"] and sorted(r["a"] for r in rows(target)) == [1, 2]


# ---- databases of the Python library


def digest(path):
    code = "import hashlib, sys; print(hashlib.sha256(open(sys.argv[1], 'rb').read()).hexdigest())"
    return subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True).stdout


def test_an_old_database_is_only_read(source, target):
    old_database(source, ("a-b-1", "2025-01-01 10:00:00.000001", 1), ("a-b-1", "2025-01-01 10:00:00.000002", 2))
    before, files = digest(source), sorted(os.listdir(source.parent))
    assert copy(source, target) == 2
    assert copy(source, target) == 0
    assert digest(source) == before
    assert [f for f in os.listdir(source.parent) if f.startswith("source")] == ["source.db"], files
    assert rows(target, "default") == [{"track_id": "a-b-1", "timestamp": f"2025-01-01 10:00:00.00000{i}", "i": i} for i in (1, 2)]
    assert Reader(target).tables == ["default"]
    (pk,) = sqlite(target, "SELECT count(*) FROM pragma_table_info('default') WHERE pk > 0")
    assert pk == (2,)  # and so it goes on in local time


def test_rows_for_a_table_where_a_time_is_taken_once(source, target):
    """None is lost, and a second copy finds those that moved on."""
    with session_of(source) as client:
        client.execute('CREATE TABLE "default"(track_id TEXT, timestamp TEXT, i INTEGER)')
        for i, micro in enumerate((999998, 999998, 999999, 999998)):
            client.execute('INSERT INTO "default" VALUES (?, ?, ?)', ("r", f"2025-12-31 23:59:59.{micro}", i))
    old_database(target, ("r", "2025-12-31 23:59:59.999998", 0))
    with pytest.warns(UserWarning, match="local in one of the two databases and UTC in the other"):
        assert copy(source, target) == 3
    expected = sqlite(target, 'SELECT i, timestamp FROM "default" ORDER BY i')
    assert [i for i, _ in expected] == [0, 1, 2, 3]
    assert expected[0][1].endswith("59.999998") and max(t for _, t in expected) == "2026-01-01 00:00:00.000001"
    with pytest.warns(UserWarning):
        assert copy(source, target) == 0
    assert sqlite(target, 'SELECT i, timestamp FROM "default" ORDER BY i') == expected


# ---- which tables and runs


def test_chosen_tables(source, target):
    log(source, {"a": 1})
    log(source, {"m": 1}, table="metrics")
    assert copy(source, target, tables=["METRICS", "metrics"]) == 1
    assert Reader(target).tables == ["metrics"]
    with pytest.raises(NoSuchTable, match="no table of rows 'metric'. It has: events, metrics"):
        copy(source, target, tables=["metric"])


def test_what_cannot_be(source, target, runtime):
    with pytest.raises(FileNotFoundError):
        copy(source, target)
    assert not list(runtime.iterdir())  # nothing was made
    log(source, {"a": 1})
    with pytest.raises(ValueError, match="the same database"):
        copy(source, source)


def test_a_run_deleted_from_the_target_stays_so(source, target):
    log(source, {"a": 1}, track_id="bad")
    log(source, {"a": 2}, track_id="good")
    assert copy(source, target) == 2
    with session_of(target) as client:
        client.delete_run("bad")
    with pytest.warns(UserWarning, match="deleted from the target were not copied: bad"):
        assert copy(source, target) == 0
    assert [r["track_id"] for r in rows(target)] == ["good"]


def test_rows_of_no_run(source, target):
    log(source, {"a": 1})
    with session_of(source) as client:
        client.execute("INSERT INTO events(a) VALUES (5), (5), (6)")
    assert copy(source, target) == 4
    assert copy(source, target) == 0
    assert rows(target) == rows(source)


def test_a_table_without_rowid(source, target):
    log(source, {"a": 1})
    with session_of(source) as client:
        client.execute("CREATE TABLE lean(track_id TEXT, timestamp TEXT, n INTEGER PRIMARY KEY) WITHOUT ROWID")
        client.execute("INSERT INTO lean VALUES ('r', 'same', 1), ('r', 'same', 2)")
    assert copy(source, target) == 3
    assert copy(source, target) == 0
    assert [r["n"] for r in rows(target, "lean")] == [1, 2]


# ---- size


def test_many_rows_and_wide_and_large_ones(source, target, monkeypatch):
    with Tracker(source) as t:
        t.log_batch([{"i": i, "text": "x" * (i % 50)} for i in range(5000)])
    with Tracker(source, table="wide") as t:
        t.log_batch([{f"c{k}": k for k in range(500)} for _ in range(100)])
    with Tracker(source, table="large") as t:
        for i in range(5):
            t.log({"data": os.urandom(2_000_000)})
    assert copy(source, target) == 5105
    assert copy(source, target) == 0
    for table in "events", "wide", "large":
        assert rows(target, table) == rows(source, table)


@in_process
def test_a_cursor_that_expired_is_opened_again(source, target):
    """A slow target makes the source's cursor wait for too long."""
    with Tracker(source) as t:
        t.log_batch([{"i": i // 3} for i in range(100)])
    with session_of(source) as client:
        client.execute("UPDATE events SET timestamp = printf('2025-01-01 00:00:%02d.000000', i)")
    opened = []

    def flaky(ask):
        def wrapped(sql, args):
            opened.append(args)
            for n, row in enumerate(ask(sql, args)):
                if n == 40:
                    error = Error("the cursor is gone")
                    error.status, error.code = "XT_EREQUEST", "cursor_expired"
                    raise error
                yield row
        return wrapped

    real = copying._Table._sorted
    copying._Table._sorted = lambda self, ask, columns, track_id: real(self, flaky(ask), columns, track_id)
    try:
        assert copy(source, target) == 100
    finally:
        copying._Table._sorted = real
    assert len(opened) > 2
    assert rows(target) == rows(source)


# ---- several at once


@in_process  # xtctl's is in test_xtctl_copy.py
def test_another_copy_that_overtakes_with_numbers_of_deleted_rows(source, target):
    """The last rows of the table are deleted meanwhile, and what the other copy stores has their numbers."""
    log(source, *({"i": i} for i in range(10)), track_id="r")
    log(target, *({"i": i} for i in range(20)), track_id="gone")
    counts = []
    real = copying._Table._flush

    def flush(table, **kw):
        copying._Table._flush = real
        table.client.delete_run("gone")
        counts.append(copying.copy(source, target))
        real(table, **kw)

    copying._Table._flush = flush
    try:
        counts.append(copy(source, target))
    finally:
        copying._Table._flush = real
    assert counts == [10, 0] and rows(target) == rows(source)


def test_another_copy_that_overtakes(source, target, request):
    """What one stores behind the other's back is stored once."""
    with Tracker(source, track_id="r") as t:
        t.log_batch([{"i": i} for i in range(3000)])
    log(source, {"i": -1}, track_id="s")
    if request.getfixturevalue("copy") == "xtctl":
        copies = [subprocess.Popen([XTCTL, "copy", source, target, "--json"], stdout=subprocess.PIPE, text=True) for _ in range(4)]
        counts = [json.loads(p.communicate(timeout=TIMEOUT)[0])["copied"] for p in copies]
        assert [p.returncode for p in copies] == [0] * 4
    else:
        counts = []
        real = copying._Table._flush

        def flush(table, **kw):
            copying._Table._flush = real
            counts.append(copying.copy(source, target))
            real(table, **kw)

        copying._Table._flush = flush
        try:
            counts.append(copy(source, target))
        finally:
            copying._Table._flush = real
        assert counts == [3001, 0]
    assert sum(counts) == 3001 and rows(target) == rows(source)
    assert ok_audit(target)


def ok_audit(path):
    found = json.loads(subprocess.run([XTCTL, "audit", path, "--json"], capture_output=True, text=True, timeout=TIMEOUT).stdout)
    return found["ok"] or pytest.fail(str(found["findings"]))


@in_process
def test_others_that_keep_adding_rows_of_the_run(source, target):
    """It says so, rather than to go on for ever."""
    log(source, {"i": 1}, {"i": 2}, track_id="r")
    real = copying._Table._flush

    def flush(table, **kw):
        if table.batch:
            table.client.execute("INSERT INTO events(track_id, timestamp, i) VALUES ('r', '2020-01-01 00:00:00.000000', -1)")
        real(table, **kw)

    copying._Table._flush = flush
    try:
        with pytest.raises(RuntimeError, match="others keep adding rows of run 'r' to table 'events'"):
            copy(source, target)
    finally:
        copying._Table._flush = real
    assert copy(source, target) == 2
    assert copy(source, target) == 0


@in_process
def test_a_run_that_is_deleted_while_it_is_copied(source, target):
    log(source, {"i": 1}, track_id="r")
    log(source, {"i": 2}, track_id="s")
    real = copying._Table._flush

    def flush(table, **kw):
        if table.batch and table.batch[0][0] == "r":
            table.client.delete_run("r")
        real(table, **kw)

    copying._Table._flush = flush
    try:
        with pytest.warns(UserWarning, match="deleted from the target were not copied: r"):
            assert copy(source, target) == 1
    finally:
        copying._Table._flush = real
    assert [r["track_id"] for r in rows(target)] == ["s"]
