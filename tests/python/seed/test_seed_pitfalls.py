"""The document's seven pitfalls, and what becomes of them here."""
import os
from dataclasses import dataclass
from functools import partial

import pytest
from gang import WORKERS, in_workers, pool_map
from subject import BenchmarkParams, accuracy, dataset, executed, executions, run_single_prediction, sql

from xetrackd import Reader, Tracker

POOL = pytest.mark.parametrize("method", ["fork", "spawn"])
PARAMS = BenchmarkParams(model_name="base", embedding_dim=768)

# ---- 1: only a dataclass that is an argument is unpacked


@dataclass(frozen=True)
class Config:
    model: str
    learning_rate: float = 0.1


def by_config(data, config: Config):
    return {"score": len(data) * config.learning_rate}


def unpacked(worker):
    tracker = Tracker(db="bench.db", params={"run_id": "exp1"})
    tracker.track(by_config, args=[[1, 2], Config(model="small")])
    return tracker.columns


def test_1_dataclass_arguments(here):
    columns = set(unpacked(0))
    assert {"run_id", "config_model", "config_learning_rate", "params_model", "params_learning_rate", "score"} <= columns
    assert not {"params_run_id", "params_config_model"} & columns
    assert sql("bench.db", "SELECT run_id, config_model, params_model, params_learning_rate, score FROM events") == [
        ("exp1", "small", "small", 0.1, 0.2)]


def test_1_in_workers(here):
    in_workers(unpacked)
    assert sql("bench.db", "SELECT config_model, params_model, count(*) FROM events GROUP BY 1, 2") == [("small", "small", WORKERS)]


def test_1_two_dataclasses(here):
    """With two of them only their own names say which is which."""
    tracker = Tracker(db="bench.db")
    tracker.track(lambda model, data: model.learning_rate, args=[Config("small"), BenchmarkParams("x", 4)])
    assert {"model_model", "model_learning_rate", "data_model_name"} <= set(tracker.columns)
    assert not [c for c in tracker.columns if c.startswith("params_")]


# ---- 2, 3: pools


def run_with_tracker(item, params, **options):
    return Tracker(db="bench.db", table="predictions", **options).track(run_single_prediction, args=[item, params])


@POOL
def test_2_duckdb_engine_in_a_pool(here, method):
    results = pool_map(partial(run_with_tracker, params=PARAMS, engine="duckdb"), dataset(60), 4, method)
    assert [r["input_id"] for r in results] == list(range(60))
    df = Reader(db="bench.db", engine="duckdb", table="predictions").to_df()
    assert sorted(df["input_id"]) == list(range(60)) and df["error"].isna().all() and executions() == 60


@POOL
def test_3_system_monitoring_in_a_pool(here, method):
    """Nothing is forked for it, so daemonic workers may."""
    results = pool_map(partial(run_with_tracker, params=PARAMS, log_system_params=True), dataset(20), 4, method)
    assert len(results) == 20
    df = Reader(db="bench.db", table="predictions").to_df()
    assert sorted(df["input_id"]) == list(range(20))
    assert df["error"].isna().all() and executions() == 20


def monitored(worker):
    for item in dataset(3):
        run_with_tracker(item, PARAMS, log_system_params=True)


def test_3_in_workers(here):
    in_workers(monitored)
    assert sql("bench.db", "SELECT count(*), count(DISTINCT input_id), count(error) FROM predictions") == [(3 * WORKERS, 3, 0)]


def test_3_system_columns_in_workers(here):
    in_workers(monitored)
    df = Reader(db="bench.db", table="predictions").to_df()
    assert {"cpu", "memory_percent", "p_memory_percent", "disk_percent"} <= set(df.columns)
    assert df["p_memory_percent"].between(0, 100, inclusive="neither").all() and df["memory_percent"].between(0, 100).all()


# ---- 4: models


class Model:
    """Something that no column can hold; of some size."""

    def __init__(self, weights):
        self.weights = weights

    def predict(self, x):
        return sum(w * x for w in self.weights)


def train(size, seed):
    return {"model": Model([seed] * size), "loss": 1 / size}


def models(worker):
    """The same one in every worker, and one of its own."""
    tracker = Tracker(db="bench.db", table="fits")
    tracker.track(train, args=[1000, 1.0])
    tracker.track(train, args=[1000, float(worker + 2)])
    return tracker.track_id, tracker.to_df()["model"].tolist()


def test_4_model_is_an_asset(here):
    tracker = Tracker(db="bench.db", table="fits")
    result = tracker.track(train, args=[1000, 2.0])
    assert isinstance(result["model"], Model)
    (found,), = sql("bench.db", "SELECT model FROM fits")
    assert len(found) == 64 and set(found) <= set("0123456789abcdef") and tracker.latest["model"] == found
    for back in (tracker.get(found), tracker.get("model")):
        assert isinstance(back, Model) and back is not result["model"] and back.predict(2) == 4000
    assert tracker.get("nothing") is None and tracker.get("0" * 64) is None


def test_4_in_workers(here):
    said = in_workers(models)
    hashes = [h for _, pair in said for h in pair]
    assert len(hashes) == 2 * WORKERS and len(set(hashes)) == WORKERS + 1
    assert sql("bench.db", "SELECT count(*) FROM xt_assets") == [(WORKERS + 1,)]
    tracker = Tracker(db="bench.db", table="fits")
    assert sorted(tracker.get(h).weights[0] for h in set(hashes)) == [float(i) for i in range(1, WORKERS + 2)]
    assert len(Reader(db="bench.db", table="fits")) == 2 * WORKERS


def test_4_in_the_cache(here):
    """A hit brings the model back too."""
    for origin in ("", None):
        tracker = Tracker(db="bench.db", table="fits", cache="cache")
        assert tracker.track(train, args=[10, 3.0])["model"].predict(1) == 30
        assert (tracker.latest["cache"] == "") == (origin == "")
    (a,), (b,) = sql("bench.db", "SELECT model FROM fits")
    assert a == b and len(a) == 64


def test_4_path_instead(here):
    tracker = Tracker(db="bench.db", table="fits")
    tracker.track(lambda: {"model_path": "models/one.pkl"})
    assert sql("bench.db", "SELECT model_path FROM fits") == [("models/one.pkl",)]


# ---- 5: the cache column


@pytest.mark.parametrize("engine", ["sqlite", "duckdb"])
def test_5_cache_column(here, engine):
    tracker = Tracker(db="bench.db", engine=engine, cache="cache_dir")
    tracker.track(run_single_prediction, args=[dataset(1)[0], PARAMS])
    df = Reader("bench.db", engine=engine).to_df()
    assert "cache" in df.columns and list(df["cache"]) == [""]


def test_5_null_without_a_cache(here):
    """No cache is neither a hit nor a miss."""
    cached, plain = Tracker(db="bench.db", cache="cache_dir"), Tracker(db="bench.db")
    for tracker in (cached, plain):
        tracker.track(run_single_prediction, args=[dataset(1)[0], PARAMS])
    assert sql("bench.db", "SELECT cache FROM events WHERE track_id = ?", cached.track_id) == [("",)]
    assert sql("bench.db", "SELECT cache FROM events WHERE track_id = ?", plain.track_id) == [(None,)]


# ---- 6: floats


@dataclass(frozen=True)
class Rate:
    learning_rate: float


@dataclass(frozen=True)
class RoundedRate:
    learning_rate: float

    def __post_init__(self):
        object.__setattr__(self, "learning_rate", round(self.learning_rate, 6))


def fit(config):
    executed()
    return {"loss": config.learning_rate}


NEARLY = (1e-4, 0.0001, 0.00010000001)


def test_6_floats_as_they_are(here):
    """One number written twice is one number; nearly the same is another."""
    tracker = Tracker(db="bench.db", cache="cache")
    assert [tracker.track(fit, args=[Rate(x)])["loss"] for x in NEARLY] == list(NEARLY)
    assert list(tracker.to_df()["cache"]) == ["", tracker.track_id, ""]


def test_6_round_floats(here):
    tracker = Tracker(db="bench.db", cache="cache", round_floats=6)
    assert [tracker.track(fit, args=[Rate(x)])["loss"] for x in NEARLY] == [1e-4] * 3
    assert executions() == 1 and list(tracker.to_df()["cache"]) == ["", tracker.track_id, tracker.track_id]
    tracker.track(fit, args=[Rate(0.000102)])
    assert executions() == 2


def test_6_rounded_by_hand(here):
    tracker = Tracker(db="bench.db", cache="cache")
    for x in NEARLY:
        tracker.track(fit, args=[RoundedRate(x)])
    assert executions() == 1


def rounded(worker):
    """Each worker has the number with an error of its own."""
    tracker = Tracker(db="bench.db", cache="cache", round_floats=6)
    return tracker.track(fit, args=[Rate(1e-4 + worker * 1e-12)])["loss"]


def test_6_in_workers(here):
    assert len(set(in_workers(rounded))) == 1
    assert executions() == 1
    assert sql("bench.db", "SELECT count(*), sum(cache = '') FROM events") == [(WORKERS, 1)]


# ---- 7: metrics are called as they are logged


def metrics(worker):
    tracker = Tracker(db="bench.db", table="metrics")
    results = [run_single_prediction(item, PARAMS) for item in dataset(10)]
    tracker.log({"model_name": PARAMS.model_name, "embedding_dim": PARAMS.embedding_dim, "accuracy": accuracy(results),
                 "pid": os.getpid()})
    return tracker.columns


def test_7_metrics_columns(here):
    assert set(metrics(0)) == {"track_id", "timestamp", "model_name", "embedding_dim", "accuracy", "pid"}


def test_7_in_workers(here):
    in_workers(metrics)
    assert sql("bench.db", "SELECT count(*), count(DISTINCT pid), count(DISTINCT accuracy) FROM metrics") == [(WORKERS, WORKERS, 1)]
