"""Odd keys and odd values: what becomes of each, and that no row is ever lost to one."""
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import functools
import json
import math
import pathlib
import threading
import uuid
import warnings

import numpy as np
import pandas as pd
import pytest
from conftest import sqlite

import xetrackd
from xetrackd import Reader, Tracker


@pytest.fixture
def tracker(here):
    return Tracker(db="bench.db")


def columns(tracker):
    tracker.flush()
    return [name for _, name, *_ in sqlite("bench.db", "PRAGMA table_info(events)")]


def stored(tracker, column="v"):
    """(value, its type in SQLite) of each row, in the order they were logged."""
    tracker.flush()
    return sqlite("bench.db", f'SELECT "{column}", typeof("{column}") FROM events ORDER BY rowid')


def quietly(tracker, data):
    """Logs, and no warning may come."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return tracker.log(data)


def label(value):
    """What a test is called by its value: the same in every process, so without an address, and sets in their order."""
    if isinstance(value, frozenset):
        value = sorted(value)
    return ascii(value).split(" at 0x")[0][:24]


# ---- keys

WORDS = """abort add all alter and as between by case check collate column commit constraint create cross default delete desc
           distinct drop else end except exists for foreign from full group having if in index insert into is join key left
           like limit not null offset on or order primary references right rollback row rows select set table then to
           transaction trigger union unique update using values view when where window with""".split()


def test_reserved_words(tracker):
    quietly(tracker, {word: i for i, word in enumerate(WORDS)})
    assert set(WORDS) <= set(columns(tracker))
    df = tracker.to_df()
    assert [df[word].iloc[0] for word in WORDS] == list(range(len(WORDS)))


def test_reserved_words_as_params_and_set(here):
    tracker = Tracker(db="bench.db", params={"order": 1, "group": "g"})
    tracker.log({"from": 2})
    tracker.set_param("where", 3)
    tracker.set_value("select", 4)
    tracker.log({"from": 5})
    tracker.set_where("from", 6, "from", 5)
    tracker.to_df()
    assert sqlite("bench.db", 'SELECT "order", "group", "from", "where", "select" FROM events ORDER BY rowid') == [
        (1, "g", 2, None, 4), (1, "g", 6, 3, None)]


@pytest.mark.parametrize("table", ["default", "order", "t", "track", "select", "events_2", "naïve", "with space", 'quo"te'])
def test_tables(here, table):
    tracker = Tracker(db="bench.db", table=table)
    tracker.log({"default_lr": 1, "events_seen": 2, "note": table})
    assert list(tracker.to_df()["note"]) == [table] == list(Reader("bench.db", table=table).to_df()["note"])


KEYS = [
    ("loss/train", "loss_train"), ("two words", "two_words"), ("a.b-c", "a_b_c"), ("1abc", "_1abc"), ("42", "_42"),
    ("größe", "größe"), ("数据", "数据"), ("точность", "точность"), ('quo"te', "quo_te"), ("semi;colon", "semi_colon"),
    ("a'b", "a_b"), ("new\nline", "new_line"), ("nul\0", "nul_"), ("k" * 64, "k" * 64), ("k" * 200, "k" * 64),
    ("é" * 200, "é" * 64), ("rowid", "rowid_"), ("oid", "oid_"), ("_rowid_", "_rowid__"), ("😀", "_"), ("", "_"), ("__class__", "__class__"),
]


@pytest.mark.parametrize("key,column", KEYS, ids=lambda text: ascii(text)[:20])
def test_text_keys(tracker, key, column):
    tracker.log({key: 7})
    assert columns(tracker)[2:] == [column]
    assert stored(tracker, column) == [(7, "integer")]


@pytest.mark.parametrize("key,column", [(0, "_0"), (12, "_12"), (-1, "_1"), (1.5, "_1_5"), (True, "True"), (None, "None"),
                                        ((1, 2), "_1__2_"), (np.int64(3), "_3"), (enum.Enum("E", "a").a, "E_a"), (b"x", "b_x_")])
def test_keys_that_are_no_text(tracker, key, column):
    """As str(key)."""
    tracker.log({key: 7})
    assert columns(tracker)[2:] == [column]
    assert stored(tracker, column) == [(7, "integer")]


def test_keys_that_fall_together(tracker):
    """Each gets a column of its own."""
    keys = ["loss/train", "loss_train", "loss train", "Acc", "acc", "ACC", 1, "1", "数据", "k" * 65, "k" * 66]
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        for i, key in enumerate(keys):
            tracker.log({key: i})
        rows = tracker.to_df()
    assert len(rows) == len(keys)
    values = rows.drop(columns=["track_id", "timestamp"])
    found = [values.iloc[i].dropna().tolist() for i in range(len(keys))]
    assert found == [[i] for i in range(len(keys))]
    assert {"loss_train", "loss_train_2", "loss_train_3", "Acc", "acc_2", "ACC_3", "数据"} <= set(values.columns)


def test_a_row_with_case_twins(tracker):
    with pytest.warns(xetrackd.XetrackWarning, match="acc"):
        tracker.log({"Acc": 1, "acc": 2})
        tracker.to_df()
    assert stored(tracker, "Acc") == [(1, "integer")] and stored(tracker, "acc_2") == [(2, "integer")]


def test_track_id_and_timestamp_are_ours(tracker):
    row = tracker.log({"track_id": "mine", "timestamp": "now", "x": 1})
    df = tracker.to_df()
    assert list(df["track_id"]) == [tracker.track_id] == [row["track_id"]] and df["x"].iloc[0] == 1
    assert df["timestamp"].iloc[0] == row["timestamp"] != "now"


def test_many_keys(tracker):
    tracker.log({f"k{i}": i for i in range(1500)})
    assert len(columns(tracker)) == 1502 and stored(tracker, "k1499") == [(1499, "integer")]


# ---- plain values


class Colour(enum.Enum):
    RED = "red"
    NONE = None


class Level(enum.IntEnum):
    LOW = 1


class Text(str):
    pass


class Number(int):
    pass


class Real(float):
    pass


@dataclasses.dataclass(frozen=True)
class Point:
    x: int
    y: float = 0.5


@dataclasses.dataclass
class Nest:
    name: str
    at: Point
    tags: list


class StrEnum(str, enum.Enum):
    A = "a"


class Model:
    """Something that no column can hold."""

    def __init__(self, weight):
        self.weight = weight


ZONE = dt.timezone(dt.timedelta(hours=2))
ID = uuid.UUID(int=5)
BIG = "x" * 100_000

VALUES = [
    (None, None, "null"), (True, 1, "integer"), (False, 0, "integer"), (0, 0, "integer"), (-1, -1, "integer"),
    (2**63 - 1, 2**63 - 1, "integer"), (-2**63, -2**63, "integer"), (0.1, 0.1, "real"), (-0.0, 0.0, "real"), (1e300, 1e300, "real"),
    (5e-324, 5e-324, "real"), (math.inf, math.inf, "real"), (-math.inf, -math.inf, "real"), (math.nan, None, "null"),
    ("", "", "text"), ("007", "007", "text"), ("naïve 数据 😀", "naïve 数据 😀", "text"), (BIG, BIG, "text"), ("'; DROP TABLE events", "'; DROP TABLE events", "text"),
    (b"", b"", "blob"), (b"\x00\xff", b"\x00\xff", "blob"), (bytearray(b"ab"), b"ab", "blob"), (memoryview(b"mv"), b"mv", "blob"),
    (Text("t"), "t", "text"), (Number(3), 3, "integer"), (Real(0.5), 0.5, "real"),
    # numpy's scalars
    (np.float64(0.9), 0.9, "real"), (np.float32(0.5), 0.5, "real"), (np.float16(0.5), 0.5, "real"), (np.float64("nan"), None, "null"),
    (np.float64("inf"), math.inf, "real"), (np.int64(-5), -5, "integer"), (np.int8(5), 5, "integer"), (np.uint64(7), 7, "integer"),
    (np.bool_(True), 1, "integer"), (np.str_("s"), "s", "text"), (np.bytes_(b"b"), b"b", "blob"),
    # the standard library's
    (decimal.Decimal("0.10"), "0.10", "text"), (dt.datetime(2024, 5, 6, 7, 8, 9, 10), "2024-05-06T07:08:09.000010", "text"),
    (dt.datetime(2024, 5, 6, tzinfo=ZONE), "2024-05-06T00:00:00+02:00", "text"), (dt.date(2024, 5, 6), "2024-05-06", "text"),
    (dt.time(7, 8, 9), "07:08:09", "text"), (dt.timedelta(minutes=1, milliseconds=5), 60.005, "real"), (dt.timedelta(0), 0.0, "real"),
    (pathlib.PurePosixPath("/a/b.txt"), "/a/b.txt", "text"), (ID, str(ID), "text"),
    (Colour.RED, "red", "text"), (Colour.NONE, None, "null"), (Level.LOW, 1, "integer"), (StrEnum.A, "a", "text"),
]


@pytest.mark.parametrize("value,expected,kind", VALUES, ids=label)
def test_values(tracker, value, expected, kind):
    quietly(tracker, {"v": value, "n": 1})
    assert stored(tracker) == [(expected, kind)]
    assert stored(tracker, "n") == [(1, "integer")]


@pytest.mark.parametrize("value,expected,kind", VALUES, ids=label)
def test_values_from_all_sides(here, value, expected, kind):
    """As a parameter, in a batch, as an argument and as a result of a tracked function, and by set_value."""
    tracker = Tracker(db="bench.db", params={"p": value})
    tracker.log_batch([{"v": value}, {"v": value}])
    tracker.track(lambda a: {"v": a}, args=[value])
    tracker.set_value("s", value)
    assert stored(tracker, "p") == [(expected, kind)] * 3 == stored(tracker) == stored(tracker, "s")


JSON = [
    ([], []), ([1, 2.5, "a", None, True], [1, 2.5, "a", None, True]), ((1, 2), [1, 2]), ({}, {}), ({"a": {"b": [1]}}, {"a": {"b": [1]}}),
    ({1: "a", 2.5: "b"}, {"1": "a", "2.5": "b"}), ({3, 1, 2}, [1, 2, 3]), (frozenset("ba"), ["a", "b"]), (set(), []),
    ([{"x": (1, {2})}], [{"x": [1, [2]]}]), (Point(1), {"x": 1, "y": 0.5}),
    (Nest("n", Point(2), ["t"]), {"name": "n", "at": {"x": 2, "y": 0.5}, "tags": ["t"]}), ([Point(3)], [{"x": 3, "y": 0.5}]),
    ([math.nan, math.inf], [None, None]), ([np.float64(0.5), np.int32(2)], [0.5, 2]), ([b"\x01\xff"], ["01ff"]),
    (np.array([1, 2, 3]), [1, 2, 3]), (np.array([[0.5, 1.5]]), [[0.5, 1.5]]), (np.array(["a"]), ["a"]), (np.array([True]), [True]),
    (np.array([]), []), (np.arange(4096), list(range(4096))), ([dt.date(2024, 5, 6), Level.LOW, pathlib.PurePosixPath("p")], ["2024-05-06", 1, "p"]),
    ({"k": Colour.RED}, {"k": "red"}),
]


@pytest.mark.parametrize("value,expected", JSON, ids=label)
def test_values_as_json(tracker, value, expected):
    quietly(tracker, {"v": value, "n": 1})
    (text, kind), = stored(tracker)
    assert kind == "text" and json.loads(text) == expected
    assert sqlite("bench.db", "SELECT json_valid(v), n FROM events") == [(1, 1)]


def test_sets_of_what_has_no_order(tracker):
    """Sorted all the same, so that equal sets are equal texts."""
    tracker.log({"v": {1, "a", None, (2,)}})
    tracker.log({"v": {None, (2,), "a", 1}})
    (first, _), (second, _) = stored(tracker)
    assert first == second and sorted(map(str, json.loads(first))) == sorted(map(str, [1, "a", None, [2]]))


def test_keys_of_nested_dicts(tracker):
    """The same whether all of the dict is plain or not."""
    tracker.log({"v": {None: 1, True: 2, 1.5: 3}})
    tracker.log({"v": {None: 1, True: 2, 1.5: 3, "m": Model(3)}})
    (plain, _), (shown, _) = stored(tracker)
    assert list(json.loads(plain)) == list(json.loads(shown))[:3]


def test_zero_dimensional_array(tracker):
    """A number."""
    tracker.log({"v": np.array(0.5)})
    assert stored(tracker) == [(0.5, "real")]


# ---- what is told with a warning


@pytest.mark.parametrize("value", [2**63, 2**64, -2**63 - 1, 10**100, np.uint64(2**63)])
def test_huge_integers(tracker, value):
    """Exactly, as text."""
    with pytest.warns(xetrackd.XetrackWarning) as told:
        row = tracker.log({"v": value, "n": 1})
    assert len(told) == 1 and row["n"] == 1
    assert stored(tracker) == [(str(int(value)), "text")] and stored(tracker, "n") == [(1, "integer")]


@pytest.mark.parametrize("text,expected", [("a\ud800b", "a\\ud800b"), ("\udcff", "\\udcff"), ("😀\udfff", "😀\\udfff")])
def test_lone_surrogates(tracker, text, expected):
    with pytest.warns(xetrackd.XetrackWarning):
        tracker.log({"v": text, "n": 1})
    assert stored(tracker) == [(expected, "text")] and stored(tracker, "n") == [(1, "integer")]


@pytest.mark.parametrize("value,expected", [(["\ud800"], '["\\\\ud800"]'), ({"\ud800": 1}, '{"\\\\ud800":1}')])
def test_lone_surrogates_inside(tracker, value, expected):
    with pytest.warns(xetrackd.XetrackWarning):
        tracker.log({"v": value, "n": 1})
    assert stored(tracker, "n") == [(1, "integer")] and stored(tracker) == [(expected, "text")]


def test_lone_surrogate_in_a_key(tracker):
    tracker.log({"k\ud800": 7})
    (column,) = columns(tracker)[2:]
    assert column.startswith("k") and stored(tracker, column) == [(7, "integer")]


@pytest.mark.parametrize("value", [threading.Lock(), (x for x in [])], ids=["lock", "generator"])
def test_unpicklable(tracker, value):
    """Its repr, without an address; and its neighbours are there."""
    with pytest.warns(xetrackd.XetrackWarning) as told:
        tracker.log({"v": value, "n": 1})
    assert "pickle" in str(told[0].message)
    (text, kind), = stored(tracker)
    assert kind == "text" and type(value).__name__ in text and "0x" not in text
    assert stored(tracker, "n") == [(1, "integer")]


class Hostile:
    def __reduce__(self):
        raise RuntimeError("no")

    def __repr__(self):
        raise RuntimeError("never")


def test_hostile_object(tracker):
    """Neither a pickle nor a repr; the row is there."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        tracker.log({"v": Hostile(), "n": 1})
    assert any(issubclass(w.category, xetrackd.XetrackWarning) for w in told)
    assert stored(tracker, "n") == [(1, "integer")] and "Hostile" in stored(tracker)[0][0]


# ---- arguments and results of cached calls

ARGUMENTS = [v for v, _, _ in VALUES if v is not BIG] + [v for v, _ in JSON if not isinstance(v, np.ndarray) or v.size < 9] + [
    2**63, -2**64, 10**30, "\ud800", np.arange(5000), complex(1, 2), fractions.Fraction(1, 3), range(3), len, Model, BIG]


met = []


def meet(x):
    met.append(x)
    return 7


def give(index):
    return {"v": RESULTS[index]}


@pytest.fixture
def cached(here):
    return Tracker(db="bench.db", cache=True, warnings=False)


@pytest.mark.parametrize("value", ARGUMENTS, ids=label)
def test_cached_argument(cached, value):
    """Computed once; its row is there, and that of the hit."""
    met.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(2):
            assert cached.track(meet, args=[value]) == 7
    cached.flush()
    assert len(met) == 1
    assert sqlite("bench.db", "SELECT function_result, cache FROM events ORDER BY rowid") == [(7, ""), (7, cached.track_id)]


RESULTS = [v for v in ARGUMENTS if not isinstance(v, memoryview)] + [Model(3)]


@pytest.mark.parametrize("index", range(len(RESULTS)), ids=lambda i: label(RESULTS[i]))
def test_cached_result(cached, index):
    """Comes back as it was, with its types."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        first, second = [cached.track(give, args=[index]) for _ in range(2)]
    value, back = RESULTS[index], second["v"]
    assert first["v"] is value and type(back) is type(value)
    if isinstance(value, np.ndarray):
        assert np.array_equal(back, value) and back.dtype == value.dtype
    elif isinstance(value, Model):
        assert back.weight == value.weight and back is not value
    else:
        assert repr(back) == repr(value)
    cached.flush()
    (a, one), (b, two) = sqlite("bench.db", "SELECT v, cache FROM events ORDER BY rowid")
    assert a == b and (one, two) == ("", cached.track_id)


def test_result_that_cannot_be_kept(cached):
    """Is computed each time; the rows are there."""
    met.clear()
    with pytest.warns(xetrackd.XetrackWarning, match="not cached"):
        for _ in range(2):
            cached.track(locked, args=[1])
    cached.flush()
    assert len(met) == 2 and sqlite("bench.db", "SELECT n, cache FROM events") == [(1, ""), (1, "")]


def locked(x):
    met.append(x)
    return {"lock": threading.Lock(), "n": x}


def test_cached_arguments_that_are_alike(cached):
    """Values that Python takes for equal, or that look alike, are calls of their own."""
    alike = [1, True, 1.0, "1", b"1", decimal.Decimal(1), Colour.RED, "red", None, "None", "", b"", dt.date(2024, 5, 6), "2024-05-06",
             Point(1), {"x": 1, "y": 0.5}, {1}, -1, -2, 0.0, -0.0, np.array([1]), np.array([1.0])]
    for value in alike:
        assert cached.track(repr, args=[value]) == repr(value)
    assert list(cached.to_df()["cache"]) == [""] * len(alike)


def test_cached_arguments_that_are_one(cached):
    """numpy's scalars are the numbers that they stand for; a tuple is a list, a bytearray bytes."""
    for one, other in [(1, np.int64(1)), (0.5, np.float64(0.5)), (True, np.bool_(True)), ((1, 2), [1, 2]), (b"b", bytearray(b"b")),
                       ({"a": 1, "b": 2}, {"b": 2, "a": 1}), ({1, 2, 3}, frozenset({3, 2, 1})), (math.nan, float("nan"))]:
        cached.track(str, args=[one])
        assert cached.track(str, args=[other]) == str(one)


# ---- assets


ASSETS = [Model(3), np.arange(4097), np.zeros((100, 100)), pd.DataFrame({"a": [1, 2]}), pd.Series([1.5]), pd.DataFrame(), functools.partial(int, base=2)]


@pytest.mark.parametrize("value", ASSETS, ids=lambda v: type(v).__name__)
def test_assets(tracker, value):
    row = quietly(tracker, {"v": value, "n": 1})
    (found, kind), = stored(tracker)
    assert kind == "text" and len(found) == 64 and set(found) <= set("0123456789abcdef") and row["v"] == found
    for back in (tracker.get(found), tracker.get("v")):
        if isinstance(value, np.ndarray):
            assert np.array_equal(back, value) and back.dtype == value.dtype
        elif hasattr(value, "equals"):
            assert value.equals(back)
        elif isinstance(value, Model):
            assert back.weight == value.weight
        elif isinstance(value, functools.partial):
            assert back("11") == 3
        else:
            assert back == value


@pytest.mark.parametrize("value,expected", [(object, "builtins.object"), (len, "builtins.len"), (Model, f"{__name__}.Model"),
                                            (complex(1, 2), "(1+2j)"), (json, "json"), (ValueError("wrong"), "wrong"),
                                            (fractions.Fraction(1, 3), "1/3"), (range(3), "[0,1,2]")], ids=str)
def test_what_has_a_name(tracker, value, expected):
    """Functions, classes and modules are shown by name, some others by their text: no asset is made."""
    quietly(tracker, {"v": value})
    assert stored(tracker) == [(expected, "text")]
    assert sqlite("bench.db", "SELECT count(*) FROM xt_assets") == [(0,)]


class Empty:
    def __len__(self):
        return 0


def test_falsy_asset(tracker):
    """What is false is not what is missing."""
    tracker.log({"v": pd.DataFrame(), "w": Empty()})
    assert isinstance(tracker.get("v"), pd.DataFrame) and isinstance(tracker.get("w"), Empty)


def test_equal_assets_are_kept_once(tracker):
    for _ in range(3):
        tracker.log({"v": np.arange(5000)})
    assert len({v for v, _ in stored(tracker)}) == 1
    assert sqlite("bench.db", "SELECT count(*) FROM xt_assets") == [(1,)]


# ---- columns that meet values of other types


def test_none_first_then_real(tracker):
    for v in (None, 0.9, None):
        quietly(tracker, {"v": v})
    assert stored(tracker) == [(None, "null"), (0.9, "real"), (None, "null")]
    assert tracker.to_df()["v"].dtype == "float64"


def test_integer_then_real(tracker):
    for v in (1, 0.5, 2):
        quietly(tracker, {"v": v})
    assert tracker.to_df()["v"].tolist() == [1.0, 0.5, 2.0] and tracker.to_df()["v"].dtype == "float64"


def test_text_that_looks_like_a_number(tracker):
    """Nothing is converted in a column of both."""
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        for v in (1, "007", 2.5, "2.5", None, b"b"):
            tracker.log({"v": v})
        found = stored(tracker)
    assert found == [(1, "integer"), ("007", "text"), (2.5, "real"), ("2.5", "text"), (None, "null"), (b"b", "blob")]


def test_nan_among_reals(tracker):
    for v in (0.5, math.nan, math.inf):
        quietly(tracker, {"v": v})
    column = tracker.to_df()["v"]
    assert column.dtype == "float64" and column.isna().tolist() == [False, True, False] and column.iloc[2] == math.inf


def test_types_in_a_frame(tracker):
    tracker.log({"i": 1, "r": 0.5, "t": "x", "b": True, "y": b"z", "n": None})
    df = tracker.to_df()
    assert [str(df[c].dtype) for c in "irt"] == ["int64", "float64", "object"]
    assert df["b"].iloc[0] == True and df["y"].iloc[0] == b"z" and df["n"].isna().all()  # noqa: E712


# ---- rows that come back, and rows in number


def test_returned_row(here):
    params = {"model": "m", "lr": 0.1}
    tracker = Tracker(db="bench.db", params=params)
    row = tracker.log({"lr": 0.2, "acc": np.float64(0.9)})
    assert row == {"model": "m", "lr": 0.2, "acc": 0.9, "timestamp": row["timestamp"], "track_id": tracker.track_id}
    assert tracker.latest == row and params == {"model": "m", "lr": 0.1}
    assert tracker.log({}) == {} == tracker.log_batch([]) and len(tracker.to_df()) == 1


def test_all_odd_values_in_one_row(tracker):
    data = {f"v{i}": value for i, (value, _, _) in enumerate(VALUES)} | {f"j{i}": value for i, (value, _) in enumerate(JSON)}
    quietly(tracker, data)
    df = tracker.to_df()
    assert len(df) == 1 and len(df.columns) == len(data) + 2
    assert sqlite("bench.db", "SELECT " + ", ".join(f"v{i}" for i in range(len(VALUES))) + " FROM events") == [
        tuple(expected for _, expected, _ in VALUES)]


def test_a_batch_with_bad_values_loses_nothing(tracker):
    """One value that is odd in every way among a hundred rows."""
    rows = [{"i": i, "v": i} for i in range(100)]
    rows[50] = {"i": 50, "v": threading.Lock(), 2**70: 2**70, "\ud800": "\udfff"}
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        tracker.log_batch(rows)
        df = tracker.to_df()
    assert df["i"].tolist() == list(range(100))


def test_same_microsecond(tracker):
    """Rows with one timestamp are rows."""
    tracker.log_batch([{"i": i} for i in range(1000)])
    assert tracker.to_df()["i"].tolist() == list(range(1000))


def test_self_containing(tracker):
    """A list that contains itself is no JSON; its row is there."""
    loop = [1]
    loop.append(loop)
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        tracker.log({"v": loop, "n": 1})
    assert stored(tracker, "n") == [(1, "integer")] and stored(tracker)[0][1] == "text"


def test_deep(tracker):
    """Nesting that no message may have."""
    deep = []
    for _ in range(200):
        deep = [deep]
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        tracker.log({"v": deep, "n": 1})
    assert stored(tracker, "n") == [(1, "integer")] and stored(tracker)[0][1] == "text"


def test_long_list(tracker):
    """More items than a message may have: the finished text is sent."""
    quietly(tracker, {"v": list(range(70_000)), "n": 1})
    assert json.loads(stored(tracker)[0][0]) == list(range(70_000))
