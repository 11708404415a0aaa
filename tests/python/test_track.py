"""Tracked calls: what their rows show, and what the cache takes for the same call."""
import asyncio
import dataclasses
import enum
import functools
import json
import math
import os
import subprocess
import sys
import textwrap
from collections import namedtuple
from pathlib import Path

import pytest
from conftest import TIMEOUT, sqlite

from xetrackd import Tracker, XetrackWarning, _xetrackd, calls, canon, circles

VECTORS = json.loads((Path(__file__).resolve().parents[1] / "vectors" / "canon.json").read_text())


@dataclasses.dataclass(frozen=True, slots=True)
class Config:
    model: str
    x: float = 0.5


@dataclasses.dataclass
class Outer:
    name: str
    inner: Config
    tags: list = dataclasses.field(default_factory=list)


@pytest.fixture
def t(db, autostarted):
    autostarted(db)
    with Tracker(db, cache=True) as tracker:
        yield tracker


def rows(t, what="*", where="1"):
    cursor = t._client.query(f"SELECT {what} FROM events WHERE {where} ORDER BY rowid")
    return [dict(zip(cursor.names, row)) for row in cursor]


class Counted:
    """A function that counts its calls: `f.calls`."""

    def __init__(self, f=lambda *a, **k: {"y": 1}):
        def counted(*args, **kwargs):
            self.calls += 1
            return f(*args, **kwargs)
        self.calls = 0
        self.f = functools.wraps(f)(counted)


def twice(t, f, first, second=None):
    """Two calls with these arguments; whether the second was a hit."""
    t.track(f, args=first)
    t.track(f, args=first if second is None else second)
    return t.latest.get("cache") not in (None, "")


def one(x):
    return {"y": 1}


# ---- what a row shows ------------------------------------------------------------------

def test_the_row_of_a_call(t):
    assert t.track(one, args=[Config("m")], params={"extra": 3}) == {"y": 1}
    (row,) = rows(t)
    assert row["function_name"] == "one" and row["y"] == 1 and row["extra"] == 3 and row["cache"] == ""
    assert row["error"] is None and row["error_type"] is None and row["function_time"] > 0
    assert json.loads(row["args"]) == [{"model": "m", "x": 0.5}] and row["kwargs"] == "{}"
    assert (row["x_model"], row["x_x"]) == ("m", 0.5)


def test_a_hit_has_all_columns_and_its_origin(t, db):
    t.track(one, args=[Config("m", 1.5)])
    with Tracker(db, cache=True) as again:
        assert again.track(one, args=[Config("m", 1.5)]) == {"y": 1}
    first, second = rows(t)
    assert second["cache"] == first["track_id"] and second["function_time"] == 0
    same = [k for k in first if k not in ("cache", "track_id", "timestamp", "function_time")]
    assert {k: first[k] for k in same} == {k: second[k] for k in same}


def test_the_only_structured_argument_is_there_as_params_too(t):
    def f(data, config):
        return 1

    t.track(f, args=[{"id": 1}, Config("bert")])
    assert (rows(t)[0]["config_model"], rows(t)[0]["params_model"]) == ("bert", "bert")

    def g(a, b):
        return 1

    t.track(g, args=[Config("a"), Config("b")])
    assert (rows(t)[1]["a_model"], rows(t)[1]["b_model"], rows(t)[1]["params_model"]) == ("a", "b", None)


def test_nested_dataclasses_and_pydantic(t):
    pydantic = pytest.importorskip("pydantic")

    class Point(pydantic.BaseModel):
        a: int
        sub: dict = {}

    def f(params, point):
        return {"z": 1}

    t.track(f, kwargs={"params": Outer("o", Config("m"), ["t"]), "point": Point(a=3, sub={"k": 1})})
    row = rows(t)[0]
    assert (row["params_name"], row["params_inner_model"], row["params_inner_x"], row["params_tags"]) == ("o", "m", 0.5, '["t"]')
    assert (row["point_a"], row["point_sub"]) == (3, '{"k":1}')
    assert twice(t, f, [Outer("o", Config("m")), Point(a=1)])
    assert not twice(t, f, [Outer("p", Config("m")), Point(a=1)], [Outer("p", Config("m")), Point(a=2)])


def test_results_of_all_kinds(t):
    named = namedtuple("Pair", "a b")
    for result, shown in [(3, 3), (2.5, 2.5), ("s", "s"), (None, None), ([1, 2], "[1,2]"), ((1, 2), "[1,2]"), (b"x", b"x"),
                          ({1, 2}, "[1,2]"), (named(1, 2), "[1,2]"), (True, 1)]:
        f = functools.partial(lambda r: r, result)
        assert t.track(f, name=f"f{type(result).__name__}") == result
        back = t.track(f, name=f"f{type(result).__name__}")
        assert back == result and type(back) is type(result) or isinstance(result, tuple)
        assert rows(t)[-1]["function_result"] == shown and rows(t)[-1]["cache"] == t.track_id


def test_structured_results_are_columns_and_come_back_as_they_were(t):
    def f():
        return Outer("o", Config("m"))

    assert t.track(f) == t.track(f) == Outer("o", Config("m"))
    first, second = rows(t)
    assert (first["name"], first["inner_model"], second["inner_model"], second["cache"]) == ("o", "m", "m", t.track_id)


def test_a_result_that_names_function_columns_wins(t):
    t.track(lambda: {"error": "mine", "function_result": 5, "function_name": "other"})
    row = rows(t)[0]
    assert (row["error"], row["function_result"], row["function_name"]) == ("mine", 5, "other")


def test_precedence(db, autostarted):
    autostarted(db)

    def f(params):
        return {"r": 3, "c": 3}

    with Tracker(db, params={"a": 1, "r": 1, "c": 1}) as t:
        t.track(f, args=[Config("m")], params={"c": 4})
        assert [(r["a"], r["r"], r["c"]) for r in rows(t)] == [(1, 3, 4)]


def test_surplus_and_named_arguments(t):
    def f(a, *rest, b=2, **more):
        return 1

    t.track(f, args=[1, Config("r"), 3], kwargs={"z": Config("k")})
    row = rows(t)[0]
    assert (row["rest_model"], row["z_model"]) == ("r", "k") and json.loads(row["kwargs"]) == {"z": {"model": "k", "x": 0.5}}


# ---- errors ---------------------------------------------------------------------------------

def fails(x):
    raise KeyError(x)


def test_exceptions_are_logged_with_their_type_then_raised(t):
    with pytest.raises(KeyError):
        t.track(fails, args=["a"])
    row = rows(t)[0]
    assert (row["error"], row["error_type"]) == ("'a'", "KeyError") and row["function_time"] >= 0
    with pytest.raises(KeyError):
        t.track(fails, args=["a"])
    assert t.count_run() == 2  # an error is no result


def test_or_swallowed(db, autostarted):
    autostarted(db)
    with Tracker(db, raise_on_error=False) as t:
        assert t.track(fails, args=["a"]) is None
        assert rows(t)[0]["error_type"] == "KeyError" and t.latest["error_type"] == "KeyError"
        with pytest.raises(KeyboardInterrupt):
            t.track(interrupted)
        assert rows(t)[1]["error_type"] == "KeyboardInterrupt"


def interrupted():
    raise KeyboardInterrupt


def test_arguments_that_do_not_fit_are_the_functions_error(t):
    with pytest.raises(TypeError, match="argument"):
        t.track(one, args=[1, 2, 3])
    assert rows(t)[0]["error_type"] == "TypeError"


def test_functions_that_hold_each_other(t):
    def even(n):
        return n == 0 or odd(n - 1)

    def odd(n):
        return n != 0 and even(n - 1)

    for f in even, odd:
        assert twice(t, f, [4])
    assert calls.source_digest(even) != calls.source_digest(odd)


@pytest.mark.parametrize("length", [1, 2, 3])
def test_coroutines_that_wait_in_a_circle(t, length):
    """Each computes one result and needs the next one's. All are told in the end, and nothing is computed that need not be."""
    begun = []

    async def step(i, started):
        begun.append(i)
        started[i].set()
        await asyncio.gather(*(s.wait() for s in started.values()))
        if begun.count(i) > 1:  # the one that closes the circle: it is computed without what it would wait for
            return {"sum": i}
        inner = await asyncio.create_task(one((i + 1) % length, started))
        return {"sum": i + inner["sum"]}

    class Started(dict):
        def __xetrack_key__(self):
            return None

    def one(i, started):
        return t.track(step, args=[i, started], version="1")

    async def all_of_them():
        started = Started({i: asyncio.Event() for i in range(length)})
        return await asyncio.wait_for(asyncio.gather(*(one(i, started) for i in range(length))), TIMEOUT)

    results = asyncio.run(all_of_them())
    assert len(begun) == length + 1 and len(results) == length
    assert rows(t, "count(*) AS n", "error IS NULL") == [{"n": 2 * length}]
    assert circles._waits == {} and circles.around.get() == ()


def test_keyword_arguments_of_any_name(t):
    """Names that no parameter has, and those that look like the surplus ones."""
    def f(*args, **kwargs):
        return {"n": len(args) + len(kwargs)}

    assert t.track(f, args=[Config("a")], kwargs={"": Config("b"), "*": 1, "*other": Config("c")}) == {"n": 4}
    assert rows(t, "args_model, n") == [{"args_model": "a", "n": 4}]


@pytest.mark.parametrize("result,why", [({"text": 20_000_000 * "x"}, "more bytes than a message"), ({i: i for i in range(3000)}, "a row holds 2000")])
def test_a_result_that_no_row_holds_is_given_back(t, result, why):
    """And neither its row nor the cache says that it was nothing."""
    for _ in range(2):
        with pytest.warns(XetrackWarning, match=why):
            assert t.track(lambda: result, name="large") == result
        assert t.latest["error_type"] == "ResultError"
    assert [r["error_type"] for r in rows(t, "error_type, error")] == ["ResultError"] * 2
    assert all(why in r["error"] for r in rows(t, "error"))


class Speechless(Exception):
    def __str__(self):
        raise RuntimeError("in its str")


def test_an_error_that_cannot_be_shown(t):
    """It is raised all the same, and not what its __str__ raises."""
    def f():
        raise Speechless

    with pytest.raises(Speechless):
        t.track(f)
    assert rows(t, "error_type, error") == [{"error_type": "Speechless", "error": "<Speechless: RuntimeError in its str>"}]


def test_odd_error_texts(t):
    class Odd(Exception):
        def __str__(self):
            return "a\0b\udc80"

    with pytest.raises(Odd):
        t.track(lambda: (_ for _ in ()).throw(Odd()))
    assert rows(t)[0]["error"] == "a\\0b\\udc80"


# ---- what is the same call --------------------------------------------------------------------

def f(x, y=1, *, z=2):
    return {"s": 1}


def test_positional_named_and_defaulted_forms_are_one_call(t):
    t.track(f, args=[5])
    for args, kwargs in [([5, 1], {}), ([], {"x": 5}), ([5], {"z": 2}), ([], {"z": 2, "y": 1, "x": 5})]:
        t.track(f, args=args, kwargs=kwargs)
        assert t.latest["cache"] == t.track_id, (args, kwargs)
    t.track(f, args=[5], kwargs={"z": 3})
    assert t.latest["cache"] == ""


@pytest.mark.parametrize("a, b", [(-1, -2), (1, True), (1, 1.0), (0.0, -0.0), ("1", 1), (b"a", "a"), (None, 0), ([], {}),
                                  ([1, 2], [2, 1]), ({"a": 1}, {"a": 2}), (Config("a"), Config("b")), ((), (None,)),
                                  (Config("m", 1), {"model": "m", "x": 1}), ({1, 2}, {1, 3}), ({1: 2}, {"1": 2}),
                                  (2**70, str(2**70)), (2**64, 2**64 + 1), ("\u00e9", "e\u0301"), (len, max), (Path("a"), Path("b"))])
def test_these_differ(t, a, b):
    assert not twice(t, one, [a], [b])
    assert twice(t, one, [a]) and twice(t, one, [b])


@pytest.mark.parametrize("a, b", [(math.nan, -math.nan), ({"a": 1, "b": 2}, {"b": 2, "a": 1}), ((1, 2), [1, 2]),
                                  ({3, 1, 2}, {2, 3, 1}), (frozenset("ab"), frozenset("ba")), (2**63, 2**63)])
def test_these_are_the_same(t, a, b):
    assert twice(t, one, [a], [b])


def test_numpy_and_pandas(t):
    np, pd = pytest.importorskip("numpy"), pytest.importorskip("pandas")
    a = np.arange(100000, dtype="float64").reshape(100, 1000)
    assert twice(t, one, [a], [a.copy()]) and twice(t, one, [a.T], [np.ascontiguousarray(a.T)])
    assert not twice(t, one, [a + 1], [a + 2]) and not twice(t, one, [a * 3], [(a * 3).astype("float32")])
    assert not twice(t, one, [a * 4], [(a * 4).reshape(1000, 100)])
    assert twice(t, one, [np.float64(7.5)], [7.5]) and twice(t, one, [np.int32(77)], [77])
    df = pd.DataFrame({"a": [1, 2], "b": ["x", None]})
    assert twice(t, one, [df], [df.copy()]) and not twice(t, one, [df.assign(c=1)], [df.assign(c=2)])
    assert twice(t, one, [np.array(["a", None], dtype=object)])


def test_classes_with_equal_fields_differ(t):
    a = dataclasses.make_dataclass("A", [("v", int)])
    b = dataclasses.make_dataclass("B", [("v", int)])
    assert not twice(t, one, [a(1)], [b(1)])
    colour = enum.Enum("Colour", "red green")
    assert not twice(t, one, [colour.red], [colour.green]) and twice(t, one, [colour.green])


def test_large_lists_and_texts_are_cacheable(t):
    assert twice(t, one, [list(range(200000))]) and not twice(t, one, [list(range(200001))], [list(range(200002))])
    assert twice(t, one, ["x" * 20_000_000])


class Opaque:
    pass


def test_what_has_no_canonical_form_says_so_once_and_is_computed(t):
    c = Counted(lambda x: 1)
    with pytest.warns(XetrackWarning, match="Opaque") as w:
        for _ in range(3):
            t.track(c.f, args=[[Opaque()]], name="opaque", version="1")
    assert c.calls == 3 and len(w) == 1
    assert [r.get("cache") for r in rows(t)] == [None, None, None]


def test_an_object_may_say_what_distinguishes_it(t):
    class Keyed(Opaque):
        def __init__(self, v):
            self.v = v

        def __xetrack_key__(self):
            return self.v

    assert twice(t, one, [Keyed(1)], [Keyed(1)]) and not twice(t, one, [Keyed(2)], [Keyed(3)])


def test_lambdas_and_local_functions_are_told_apart(t):
    assert (t.track(lambda x: x + 1, args=[1]), t.track(lambda x: x + 2, args=[1])) == (2, 3)

    def make(n):
        def add(x):
            return x + n
        return add

    assert (t.track(make(1), args=[1]), t.track(make(2), args=[1])) == (2, 3)
    assert t.track(make(2), args=[1]) == 3 and t.latest["cache"] == t.track_id


def test_methods_have_their_object_in_the_key(t):
    @dataclasses.dataclass
    class Model:
        w: int

        def predict(self, x):
            return self.w * x

    assert (t.track(Model(2).predict, args=[3], version="1"), t.track(Model(5).predict, args=[3], version="1")) == (6, 15)
    assert t.track(Model(2).predict, args=[3], version="1") == 6 and t.latest["cache"] == t.track_id


def test_partials(t):
    assert t.track(functools.partial(f, 1, z=5), args=[2]) == {"s": 1}
    t.track(f, args=[1, 2], kwargs={"z": 5})
    assert t.latest["cache"] == t.track_id and rows(t)[0]["function_name"] == "f"


def test_parameters_and_versions_are_in_the_key(db, autostarted):
    autostarted(db)
    c = Counted(lambda: 1)
    for params, own, version in [({"m": 1}, None, "1"), ({"m": 2}, None, "1"), ({"m": 1}, {"o": 1}, "1"), ({"m": 1}, None, "2")] * 2:
        with Tracker(db, params=params, cache=True) as t:
            t.track(c.f, params=own, version=version)
    assert c.calls == 4


def test_rounding(db, autostarted):
    autostarted(db)
    with Tracker(db, cache=True, round_floats=3) as t:
        assert twice(t, one, [0.1234], [0.1229]) and not twice(t, one, [0.2234], [0.2249])
        t.track(one, args=[0.1234], round_floats=6)
        assert t.latest["cache"] == ""


def test_force_and_read_only(t):
    c = Counted(lambda x: {"n": c.calls})
    options = {"version": "1"}
    assert t.track(c.f, args=[1], read_only=True, **options) == {"n": 1}
    assert t.track(c.f, args=[1], **options) == {"n": 2}
    assert t.track(c.f, args=[1], read_only=True, **options) == {"n": 2}
    assert t.track(c.f, args=[1], cache_force=True, **options) == {"n": 3}
    assert t.track(c.f, args=[1], **options) == {"n": 3} and c.calls == 3


def test_without_a_cache_nothing_is_kept(db, autostarted):
    autostarted(db)
    c = Counted(lambda: 1)
    with Tracker(db) as t:
        t.track(c.f)
        t.track(c.f)
        assert c.calls == 2 and "cache" not in t.columns and not os.path.exists(str(db) + ".cache")


def test_looking_without_a_trace(t):
    assert t.cached(one, [1]) is None and t.cached(one, [1], default=7) == 7
    t.track(one, args=[1])
    assert t.cached(one, [1]) == {"y": 1} and t.cached(one, kwargs={"x": 1}) == {"y": 1} and t.count_run() == 1


# ---- across processes and languages ---------------------------------------------------------------

PROGRAM = """
    import sys
    sys.path.insert(0, sys.argv[2])
    import keyed_module as m
    from xetrackd import Tracker
    with Tracker(sys.argv[1], cache=True) as t:
        t.track(m.predict, args=[{"id": 1, "set": {"a", "b"}}, m.Params("bert", ("x", "y"))])
        print(t.latest["cache"])
"""


def test_keys_are_the_same_in_every_process(db, autostarted, tmp_path):
    autostarted(db)
    (tmp_path / "keyed_module.py").write_text(textwrap.dedent("""
        from dataclasses import dataclass

        @dataclass(frozen=True)
        class Params:
            model: str
            tags: tuple

        def predict(item, params):
            return {"ok": True}
    """))
    out = [subprocess.run([sys.executable, "-c", textwrap.dedent(PROGRAM), str(db), str(tmp_path)], capture_output=True, text=True,
                          check=True, timeout=TIMEOUT, env={**os.environ, "PYTHONHASHSEED": seed}).stdout.strip()
           for seed in ("1", "2", "3")]
    assert out[0] == "" and out[1] != "" and out[1] == out[2]


def meaning(v):
    """A value of the vectors as Python's: what JSON has not is tagged as in tests/vectors/values.json."""
    if isinstance(v, list):
        return [meaning(x) for x in v]
    if isinstance(v, dict):
        if set(v) == {"$"}:
            raise pytest.skip.Exception("tagged")
        return {k: meaning(x) for k, x in v.items()}
    return v


@pytest.mark.parametrize("case", VECTORS["calls"], ids=lambda c: c["name"])
def test_keys_are_those_of_the_vectors(t, case):
    args, params = _xetrackd.unpack(bytes.fromhex(case["args_bytes"])), _xetrackd.unpack(bytes.fromhex(case["params_bytes"]))
    key = t._client.cache_key(case["function"], args, params, case["version"], case.get("digits"), canon.convert)
    assert key.hex() == case["key"]


def test_plain_results_can_be_read_by_others(t, db):
    t.track(one, args=[1])
    t.track(lambda: [1, {"a": None}], name="plain")
    t.track(lambda: (1, 2), name="tuple")
    t.flush()
    got = {i["function"].split(".")[-1]: t._client.cache_get(i["key"]) for i in t._client.cache_items()}
    assert _xetrackd.unpack(got["one"].value) == {"y": 1} and got["one"].encoding == ""
    assert _xetrackd.unpack(got["plain"].value) == [1, {"a": None}] and got["plain"].encoding == ""
    assert got["tuple"].encoding == "pickle" and _xetrackd.unpack(got["tuple"].value)[0] == {"function_result": [1, 2]}


# ---- results that are no plain values ------------------------------------------------------------------

class Fitted:
    def __init__(self, n):
        self.n = n


def fit(n):
    return {"model": Fitted(n), "score": 0.5}


def test_a_model_in_the_result_is_an_asset_also_of_the_hits_run(t, db):
    assert t.track(fit, args=[3])["model"].n == 3
    with Tracker(db, cache=True) as other:
        assert other.track(fit, args=[3])["model"].n == 3
        assert other.get("model").n == 3
    first, second = rows(t)
    assert len(first["model"]) == 64 and first["model"] == second["model"] and second["cache"] == t.track_id
    t.flush()
    assert sqlite(db, "SELECT count(*) FROM xt_asset_refs") == [(2,)]


def test_what_cannot_be_kept_says_so_and_passes_on(t):
    def numbers():
        yield 1

    with pytest.warns(XetrackWarning, match="generator") as w:
        assert list(t.track(numbers)) == [1] and list(t.track(numbers)) == [1]
    assert len([x for x in w if "is not cached" in str(x.message)]) == 1
    assert t.count_run() == 2


def test_a_result_that_cannot_be_loaded_any_more_is_computed_anew(t, monkeypatch):
    t.track(fit, args=[1])
    monkeypatch.setattr(calls.plain, "load", lambda data: (_ for _ in ()).throw(AttributeError("gone")))
    with pytest.warns(XetrackWarning, match="gone"):
        assert t.track(fit, args=[1])["model"].n == 1


# ---- decorators ------------------------------------------------------------------------------------------

def test_wrap_keeps_name_docstring_and_works_on_methods(t):
    @t.wrap(params={"p": 1})
    def g(a):
        """Doc."""
        return a + 1

    @dataclasses.dataclass
    class Model:
        w: int

        @t.wrap
        def predict(self, x: int) -> int:
            """Predicts."""
            return self.w * x

        @classmethod
        @t.wrap
        def make(cls, w):
            return w

    assert (g.__name__, g.__doc__, Model.predict.__doc__) == ("g", "Doc.", "Predicts.")
    assert g(1) == g(1) == 2 and t.latest["cache"] == t.track_id and t.latest["p"] == 1
    assert Model(2).predict(3) == Model(2).predict(3) == 6 and t.latest["cache"] == t.track_id
    assert Model(3).predict(3) == 9 and t.latest["cache"] == "" and Model.make(4) == 4


def test_a_changed_source_is_another_version(db, autostarted, tmp_path):
    autostarted(db)
    out = []
    for body in ("return 1", "return 1  # a comment is a change, too", "return 1"):
        (tmp_path / "m.py").write_text(f"from xetrackd import Tracker\nt = Tracker({str(db)!r}, cache=True)\n"
                                       f"@t.wrap\ndef f():\n    {body}\nf()\nprint(t.latest['cache'] != '')\n")
        out.append(subprocess.run([sys.executable, str(tmp_path / "m.py")], capture_output=True, text=True, check=True,
                                  timeout=TIMEOUT).stdout.strip())
    assert out == ["False", "False", "True"]


def test_async_functions(t):
    running = []

    @t.wrap(version="1")
    async def g(x):
        running.append(x)
        await asyncio.sleep(0)
        if x < 0:
            raise ValueError(x)
        return {"y": x}

    async def main():
        first = await asyncio.gather(*(g(x % 3) for x in range(30)))
        with pytest.raises(ValueError):
            await g(-1)
        return first, await t.track(g.__wrapped__, args=[1], version="1")

    first, again = asyncio.run(main())
    assert [r["y"] for r in first] == [x % 3 for x in range(30)] and again == {"y": 1}
    assert sorted(running) == [-1, 0, 1, 2]
    assert asyncio.iscoroutinefunction(g) and g.__name__ == "g"
    assert len(rows(t, where="cache <> ''")) == 28 and rows(t, where="error_type = 'ValueError'")[0]["error"] == "-1"


def test_async_waits_no_longer_than_told(t):
    async def slow(x, started, go):
        started.set()
        await go.wait()
        return x

    async def main():
        started, go = asyncio.Event(), asyncio.Event()
        key = {"name": "slow", "version": "1"}

        async def quick(x, started, go):
            return await slow(x, started, go)

        class Same(asyncio.Event):
            def __xetrack_key__(self):
                return 1

        started, go = Same(), Same()
        first = asyncio.create_task(t.track(slow, args=[1, started, go], **key))
        await started.wait()
        with pytest.raises(TimeoutError):
            await t.track(slow, args=[1, started, go], wait=0, **key)
        go.set()
        return await first

    assert asyncio.run(main()) == 1
