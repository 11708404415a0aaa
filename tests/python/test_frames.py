"""Data frames from queries."""
import array
import subprocess
import sys
import types

import pandas
import pytest
from conftest import TIMEOUT

from xetrackd import Tracker, frames, get_backend, set_backend


class Cursor:
    """A cursor of the extension, with columns as it gives them."""

    def __init__(self, *columns):
        self.names = [c[0] for c in columns]
        self.types = [c[1] for c in columns]
        self.data = [c[2:] for c in columns]

    def columns(self):
        return self.data

    def __iter__(self):
        return zip(*[data for _, data in self.data])


def ints(*values):
    return "int", array.array("q", values).tobytes()


def reals(*values, kind="real"):
    return kind, array.array("d", values).tobytes()


NAN = float("nan")


@pytest.fixture(autouse=True)
def backend():
    yield
    set_backend("auto")


@pytest.fixture
def client(db, autostarted):
    autostarted(db)
    with Tracker(db) as t:
        yield t._client


def test_buffers_become_typed_columns():
    df = frames.frame(Cursor(("i", "INTEGER", *ints(1, -2**63)), ("r", "REAL", *reals(0.5, NAN)),
                             ("n", "INTEGER", *reals(7, NAN, kind="real_int")), ("t", "TEXT", "object", ["a", None])))
    assert [str(t) for t in df.dtypes] == ["int64", "float64", "float64", "object"]
    assert df["i"].tolist() == [1, -2**63]
    assert df["r"][0] == 0.5 and pandas.isna(df["r"][1])
    assert df["t"].tolist() == ["a", None]


def test_booleans_are_bool_where_none_is_null():
    df = frames.frame(Cursor(("all", "BOOLEAN", *ints(1, 0, 1)), ("some", "boolean", *reals(1, NAN, 0, kind="real_int")),
                             ("none", "BOOLEAN", "object", [None] * 3), ("odd", "BOOLEAN", *ints(1, 0, 2)),
                             ("odd_null", "BOOLEAN", *reals(1, NAN, 2, kind="real_int"))))
    assert df["all"].dtype == bool and df["all"].tolist() == [True, False, True]
    assert df["some"].dtype == object
    assert df["some"][0] is True and df["some"][1] is None and df["some"][2] is False
    assert df["none"].tolist() == [None] * 3
    assert df["odd"].tolist() == [1, 0, 2]  # nothing is lost where others wrote something else
    assert df["odd_null"].dropna().tolist() == [1, 2]


@pytest.mark.parametrize("columns", [1, 2])
def test_a_frame_can_be_written_to(columns):
    df = frames.frame(Cursor(*[(f"c{i}", "INTEGER", *ints(1, 2)) for i in range(columns)]))
    df.loc[0, "c0"] = 7
    df["c0"].values[1] = 8
    assert df["c0"].tolist() == [7, 8]


def test_columns_of_the_same_name_are_all_there():
    cursor = Cursor(("a", "", *ints(1)), ("a", "", *ints(2)), ("a_2", "", *ints(3)))
    df = frames.frame(cursor)
    assert list(df.columns) == ["a", "a", "a_2"] and df.iloc[0].tolist() == [1, 2, 3]
    assert frames.unique_names(cursor.names) == ["a", "a_3", "a_2"]


def test_no_rows_and_no_columns():
    df = frames.frame(Cursor(("a", "INTEGER", "int", b""), ("b", "TEXT", "object", [])))
    assert list(df.columns) == ["a", "b"] and len(df) == 0
    assert len(frames.frame(None)) == 0


def test_a_series():
    s = frames.series(Cursor(("a", "INTEGER", *ints(1, 2)), ("b", "INTEGER", *ints(3, 4))))
    assert s.name == "a" and s.tolist() == [1, 2]


def test_rows_need_no_library_and_tell_booleans():
    cursor = Cursor(("ok", "BOOLEAN", "object", [1, None, 0]), ("n", "INTEGER", "object", [1, 2, 3]),
                    ("n", "", "object", [4, 5, 6]))
    rows = list(frames.rows(cursor))
    assert rows[0] == {"ok": True, "n": 1, "n_2": 4} and rows[0]["ok"] is True
    assert rows[1]["ok"] is None and rows[2]["ok"] is False


VALUES = [("ints", [1, 2, -5]), ("ints with null", [1, None, 3]), ("large with null", [2**60 + 1, None]),
          ("reals", [0.5, None, 2.0]), ("text", ["a", None, "ü"]), ("blob", [b"\x00\xff", None]),
          ("mixed", [1, "a", None]), ("ints and reals", [1, 0.5]), ("infinite", [float("inf"), -float("inf")]),
          ("null", [None, None]), ("empty text", [""])]


@pytest.mark.parametrize("values", [v for _, v in VALUES], ids=[n for n, _ in VALUES])
def test_types_are_those_of_pandas(client, db, values):
    import sqlite3

    client.execute("CREATE TABLE t(x)")
    for v in values:
        client.execute("INSERT INTO t VALUES (?)", (v,))
    ours = frames.frame(client.query("SELECT x FROM t ORDER BY rowid"))
    con = sqlite3.connect(db)
    theirs = pandas.read_sql("SELECT x FROM t ORDER BY rowid", con)
    con.close()
    if None in values and 2**60 + 1 in values:  # where pandas rounds
        assert ours["x"].tolist() == values
    else:
        pandas.testing.assert_frame_equal(ours, theirs)


def test_the_backend_is_chosen():
    assert get_backend() == "pandas"
    with pytest.raises(ValueError, match="'pandas', 'polars'"):
        set_backend("arrow")
    set_backend("pandas")
    assert get_backend() == "pandas"


def test_records():
    df = frames.from_records([{"a": 1}, {"b": "x", "a": 2}])
    assert list(df.columns) == ["a", "b"] and df["a"].tolist() == [1, 2]
    assert frames.is_frame(df) and not frames.is_frame({}) and not frames.is_frame(types)
    assert frames.records(df)[1] == {"a": 2, "b": "x"}


def test_without_pandas_the_error_says_what_to_do_and_rows_work(db, autostarted):
    autostarted(db)
    with Tracker(db) as t:
        t.log({"a": 1})
        t.flush()
    code = """
import sys
sys.modules["pandas"] = sys.modules["polars"] = None
from xetrackd import Reader, set_backend
reader = Reader(sys.argv[1])
assert reader.rows("SELECT a FROM events") == [{"a": 1}]
for call in reader.to_df, lambda: reader.query("SELECT 1"), lambda: set_backend("polars"):
    try:
        call()
    except ImportError as e:
        print(e)
"""
    done = subprocess.run([sys.executable, "-c", code, db], capture_output=True, text=True, timeout=TIMEOUT)
    assert done.returncode == 0, done.stderr
    to_df, query, polars = done.stdout.splitlines()
    assert to_df.startswith("to_df() needs pandas") and "python3-pandas" in to_df and "pip install pandas" in to_df
    assert "reader.rows(sql)" in to_df
    assert query.startswith("query() needs pandas")
    assert polars.startswith("set_backend('polars') needs polars") and "pip install polars" in polars


def test_importing_the_package_imports_neither():
    code = "import sys, xetrackd; print(sorted({'pandas', 'numpy', 'polars', 'duckdb', 'tqdm'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=TIMEOUT)
    assert done.stdout.strip() == "[]", done.stderr


def test_polars_frames():
    polars = pytest.importorskip("polars")
    set_backend("polars")
    df = frames.frame(Cursor(("i", "INTEGER", *ints(1, 2)), ("n", "INTEGER", *reals(7, NAN, kind="real_int")),
                             ("r", "REAL", *reals(0.5, NAN)), ("ok", "BOOLEAN", *ints(1, 0)),
                             ("maybe", "BOOLEAN", *reals(NAN, 0, kind="real_int")), ("t", "TEXT", "object", ["a", None]),
                             ("t", "", "object", [1, "x"]), ("none", "", "object", [None, None])))
    assert df.columns == ["i", "n", "r", "ok", "maybe", "t", "t_2", "none"]
    assert df.dtypes[:6] == [polars.Int64, polars.Int64, polars.Float64, polars.Boolean, polars.Boolean, polars.String]
    assert df.rows() == [(1, 7, 0.5, True, None, "a", 1, None), (2, None, None, False, False, None, "x", None)]
    assert frames.series(Cursor(("a", "INTEGER", *ints(1, 2)))).to_list() == [1, 2]
    assert frames.is_frame(df) and frames.records(df)[0]["i"] == 1
    assert frames.from_records([{"a": 1}, {"b": "x"}]).rows() == [(1, None), (None, "x")]
