"""Each point executed once: a frozen dataclass of parameters, its columns, the cache and where a result came from."""
import json

import pytest
from gang import WORKERS, in_workers
from subject import BenchmarkParams, dataset, executions, run_single_prediction, sql, xt

from xetrackd import Reader, Tracker

POOL = pytest.mark.parametrize("method", ["fork", "spawn"])
ITEM = {"id": 5, "x": 0.7, "label": True}
PARAMS = BenchmarkParams(model_name="base", embedding_dim=768)


def single(worker):
    tracker = Tracker(db="benchmark.db", engine="duckdb", table="predictions", params={"experiment_id": "exp-001"})
    return tracker.track(run_single_prediction, args=[ITEM, PARAMS])


def is_single(runs):
    df = Reader("benchmark.db", table="predictions").to_df()
    assert len(df) == runs == executions()
    for name, value in {"input_id": 5, "params_model_name": "base", "params_embedding_dim": 768, "params_temperature": 0.0,
                        "params_batch_size": 32, "experiment_id": "exp-001", "ground_truth": True, "raw_response": "True",
                        "function_name": "run_single_prediction"}.items():
        assert list(df[name].unique()) == [value], name
    assert df["error"].isna().all() and (df["function_time"] >= 0).all() and (df["latency"] > 0).all()
    assert len(Reader("benchmark.db", table="predictions").to_df().query("params_model_name == 'base'")) == runs


def test_single_execution(here):
    assert single(0) == run_single_prediction(ITEM, PARAMS) | {}
    df = Reader("benchmark.db", table="predictions").to_df()
    assert list(df.columns[:2]) == ["track_id", "timestamp"] and executions() == 2


def test_columns_of_a_dataclass(here):
    single(0)
    is_single(1)


@POOL
def test_single_execution_in_workers(here, method):
    assert len({str(r) for r in in_workers(single, method=method)}) == 1
    is_single(WORKERS)


def cached(worker):
    tracker = Tracker(db="benchmark.db", engine="duckdb", cache="cache_dir", table="predictions")
    first = tracker.track(run_single_prediction, args=[ITEM, PARAMS])
    return tracker.track_id, first == tracker.track(run_single_prediction, args=[ITEM, PARAMS])


def test_lineage(here):
    track_id, same = cached(0)
    assert same and executions() == 1
    assert sql("benchmark.db", "SELECT cache, params_model_name, prediction, function_time > 0 FROM predictions ORDER BY rowid") == [
        ("", "base", 1, 1), (track_id, "base", 1, 0)]


@POOL
def test_lineage_in_workers(here, method):
    said = in_workers(cached, method=method)
    assert all(same for _, same in said) and executions() == 1
    df = Reader("benchmark.db", table="predictions").to_df()
    assert len(df) == 2 * WORKERS and (df["cache"] == "").sum() == 1
    computed = df[df["cache"] == ""]["track_id"].iloc[0]
    assert set(df[df["cache"] != ""]["cache"]) == {computed}
    assert (df["params_model_name"] == "base").all()


def test_what_cannot_be_hashed_is_cached(here):
    """Lists, dicts and sets as arguments: the document warns of them, the keys here are made of contents."""
    def total(numbers, options, names):
        from subject import executed
        executed()
        return sum(numbers) * options["factor"] + len(names)

    tracker = Tracker(db="benchmark.db", cache="cache_dir")
    for _ in range(2):
        assert tracker.track(total, args=[[1, 2, 3], {"factor": 2}, {"a", "b"}]) == 14
    assert tracker.track(total, args=[[1, 2, 4], {"factor": 2}, {"a", "b"}]) == 16
    assert executions() == 2
    assert list(tracker.to_df()["cache"]) == ["", tracker.track_id, ""]


def test_numbers_that_hash_alike(here):
    """-1 and -2 have one hash in Python, and two results here."""
    tracker = Tracker(db="benchmark.db", cache="cache_dir")
    assert [tracker.track(abs, args=[x]) for x in (-1, -2, -1)] == [1, 2, 1]
    assert list(tracker.to_df()["cache"]) == ["", "", tracker.track_id]


def test_one_key_whatever_the_form(here):
    """By position, by name, with the default written out: one call."""
    def scale(x, factor=2):
        return x * factor

    tracker = Tracker(db="benchmark.db", cache="cache_dir")
    assert tracker.track(scale, args=[3]) == tracker.track(scale, kwargs={"x": 3}) == tracker.track(scale, args=[3, 2]) == 6
    assert list(tracker.to_df()["cache"]) == ["", tracker.track_id, tracker.track_id]


def test_force(here):
    tracker = Tracker(db="benchmark.db", cache="cache_dir", table="predictions")
    for force in (False, False, True):
        tracker.track(run_single_prediction, args=[ITEM, PARAMS], cache_force=force)
    assert executions() == 2 and list(tracker.to_df()["cache"]) == ["", tracker.track_id, ""]


def test_command_line(here):
    """Rows, a query over the cache column, the last rows."""
    cached(0)
    cached(1)
    rows = json.loads(xt("head", "benchmark.db", "--n=10", "--engine=duckdb", "--table=predictions", "--json"))
    assert [r["cache"] == "" for r in rows] == [True, False, False, False]
    assert "cache" in xt("head", "benchmark.db", "--n=10", "--engine=duckdb")  # the only table
    said = xt("sql", "benchmark.db", "SELECT input_id, params_model_name, cache FROM db.predictions LIMIT 10")
    assert said.count("base") == 4
    last = json.loads(xt("tail", "benchmark.db", "--n=1", "--table=predictions", "--json"))
    assert [r["timestamp"] for r in last] == [max(r["timestamp"] for r in rows)]
    assert xt("ls", "benchmark.db", "tables").split()


def test_cache_of_many_points(here):
    """First run 0 % hits, second 100 %."""
    for expected in (0, 30):
        tracker = Tracker(db="benchmark.db", cache="cache_dir", table="predictions")
        for item in dataset(10):
            for params in (BenchmarkParams("a", 64), BenchmarkParams("b", 64), BenchmarkParams("c", 64)):
                tracker.track(run_single_prediction, args=[item, params])
        df = tracker.to_df()
        assert len(df) == 30 and (df["cache"] != "").sum() == expected
        assert df.groupby(["params_model_name", "params_embedding_dim"]).ngroups == 3
    assert executions() == 30
