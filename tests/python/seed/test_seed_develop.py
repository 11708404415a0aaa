"""From tests and small subsets to the run that counts: development, its checks, then the experiment."""
import subprocess
import sys

import pytest
from gang import WORKERS, in_workers
from subject import ModelParams, accuracy, dataset, executions, git, predict, sql

from xetrackd import Reader, Tracker

POOL = pytest.mark.parametrize("method", ["fork", "spawn"])

# ---- the three tests that the document asks for


def test_prediction_function(here):
    result = predict({"id": 1, "x": 0.7, "label": True}, ModelParams(model="test", threshold=0.5))
    assert {"input_id", "prediction", "ground_truth"} <= set(result)
    assert isinstance(result["prediction"], bool)
    tracked = Tracker(db="bench.db").track(predict, args=[{"id": 1, "x": 0.7, "label": True}, ModelParams("test", 0.5)])
    assert tracked == result and isinstance(tracked["prediction"], bool)


def test_error_handling(here):
    """A point without its fields is an error in its row, and the loop goes on."""
    tracker = Tracker(db="bench.db", table="test_predictions")
    params = ModelParams(model="test", threshold=0.5)
    results = [tracker.track(predict, args=[item, params]) for item in [{"id": 1}, {"id": 2, "x": 0.7, "label": True}]]
    assert results[0]["error"] == "'x'" and results[0]["error_type"] == "KeyError"
    assert results[0]["input_id"] == 1 and results[0]["prediction"] is None
    assert results[1]["error"] is None and results[1]["prediction"] is True
    assert len(tracker) == 2
    assert sql("bench.db", "SELECT input_id, prediction, error, error_type FROM test_predictions ORDER BY input_id") == [
        (1, None, "'x'", "KeyError"), (2, 1, None, None)]


def test_caching(here):
    tracker = Tracker(db="bench.db", cache="cache", table="test_predictions")
    params = ModelParams(model="test", threshold=0.5)
    item = {"id": 1, "x": 0.7, "label": True}
    result1 = tracker.track(predict, args=[item, params])
    result2 = tracker.track(predict, args=[item, params])
    assert result1 == result2 and type(result2["prediction"]) is bool
    assert executions() == 1
    assert list(tracker.to_df()["cache"]) == ["", tracker.track_id]


def caching(worker):
    tracker = Tracker(db="bench.db", cache="cache", table="test_predictions")
    item, params = {"id": 1, "x": 0.7, "label": True}, ModelParams(model="test", threshold=0.5)
    return [tracker.track(predict, args=[item, params]) for _ in range(2)]


@POOL
def test_caching_in_workers(here, method):
    assert len({str(r) for pair in in_workers(caching, method=method) for r in pair}) == 1
    assert executions() == 1
    assert sql("bench.db", "SELECT count(*), sum(cache = ''), count(DISTINCT cache) FROM test_predictions") == [
        (2 * WORKERS, 1, 2)]


# ---- development


def inspect_dev_data(db_path, table_name, n_samples=10):
    """What is suspicious in a table: one sentence each."""
    df = Reader(db=db_path, table=table_name).to_df()
    if len(df) == 0:
        return ["no data"]
    issues = []
    shown = df[[c for c in df.columns if c not in ("timestamp", "track_id", "function_name", "function_time")]]
    assert len(shown.head(n_samples).to_string().splitlines()) == min(n_samples, len(df)) + 1
    missing = df.isnull().sum()
    percent = (missing / len(df) * 100).round(1)
    for col in df.columns:
        if missing[col] and (col.startswith("params_") or col in ("prediction", "ground_truth", "raw_response")):
            issues.append(f"{col}: {percent[col]} % missing")
    for col in [c for c in df.columns if "prob" in c.lower() or "confidence" in c.lower()]:
        if df[col].dtype in ["float64", "float32"] and ((df[col] < 0) | (df[col] > 1)).sum():
            issues.append(f"{col}: no probability")
    for col in [c for c in df.columns if any(k in c.lower() for k in ("latency", "time", "cost", "tokens"))]:
        if df[col].dtype in ["float64", "float32", "int64", "int32"] and (df[col] < 0).sum():
            issues.append(f"{col}: negative")
    for col in [c for c in df.columns if "response" in c.lower() or "text" in c.lower()]:
        if df[col].dtype == "object":
            empty, null = (df[col].str.strip() == "").sum(), df[col].isnull().sum()
            if empty > 0 or null > 0:
                issues.append(f"{col}: {empty} empty, {null} null")
    for col in df.columns:
        if col in ("prediction", "raw_response") and df[col].nunique() == 1:
            issues.append(f"{col}: always {df[col].iloc[0]}")
    for col in df.columns:
        if df[col].dtype == "object" and col in ("accuracy", "loss", "latency", "cost", "confidence"):
            issues.append(f"{col}: text, not numbers")
    assert df.dtypes.value_counts().sum() == len(df.columns)
    return issues


def develop(worker):
    """A small subset into a table for tests; the run's name."""
    tracker = Tracker(db="dev_benchmark.db", engine="sqlite", cache="dev_cache", table="test_predictions",
                      params={"phase": "development"})
    for item in dataset(100)[:10]:
        tracker.track(predict, args=[item, ModelParams("test", 0.5)])
    return tracker.track_id


def test_dev_workflow(here):
    track_id = develop(0)
    assert inspect_dev_data("dev_benchmark.db", "test_predictions") == []
    df = Reader(db="dev_benchmark.db", table="test_predictions").to_df()
    assert set(df["phase"]) == {"development"} and set(df["track_id"]) == {track_id}
    assert set(df["params_model"]) == {"test"} and list(df["input_id"]) == list(range(10))
    subprocess.run(["xt", "delete", "dev_benchmark.db", track_id], check=True)
    assert len(Reader(db="dev_benchmark.db", table="test_predictions").to_df()) == 0
    assert inspect_dev_data("dev_benchmark.db", "test_predictions") == ["no data"]


@POOL
def test_dev_workflow_in_workers(here, method):
    ids = in_workers(develop, method=method)
    df = Reader(db="dev_benchmark.db", table="test_predictions").to_df()
    assert len(df) == 10 * WORKERS and df.groupby("track_id").size().to_dict() == dict.fromkeys(ids, 10)
    assert executions() == 10 == (df["cache"] == "").sum()
    assert inspect_dev_data("dev_benchmark.db", "test_predictions") == []
    for track_id in ids:
        subprocess.run(["xt", "delete", "dev_benchmark.db", track_id], check=True)
    assert len(Reader(db="dev_benchmark.db", table="test_predictions")) == 0


def test_inspection_finds(here):
    tracker = Tracker(db="dev_benchmark.db", table="test_predictions")
    tracker.log({"prediction": 1, "raw_response": "fine", "confidence": 0.5, "latency": 0.1, "tokens": 5, "cost": "3 cents"})
    tracker.log({"prediction": None, "raw_response": "  ", "confidence": 1.5, "latency": -0.1, "tokens": None, "cost": "free"})
    tracker.log({"prediction": 1, "raw_response": None, "confidence": None, "latency": None, "tokens": -7, "cost": None})
    assert inspect_dev_data("dev_benchmark.db", "test_predictions") == [
        "prediction: 33.3 % missing", "raw_response: 33.3 % missing", "confidence: no probability", "latency: negative",
        "tokens: negative", "raw_response: 1 empty, 1 null", "prediction: always 1.0", "cost: text, not numbers"]


def validate_error_handling(db_path, table_name):
    """(has fields, errors, rate, by type)"""
    df = Reader(db=db_path, table=table_name).to_df()
    if "error" not in df.columns:
        return False, 0, 0.0, {}
    count = df["error"].notna().sum()
    kinds = df[df["error"].notna()]["error_type"].value_counts() if "error_type" in df.columns else {}
    return True, count, count / len(df) * 100, dict(kinds.items())


def predict_with_error_handling(item, params):
    """The recommended form: tracked, but not raised."""
    try:
        if "text" not in item:
            raise ValueError("no text")
        return {"input_id": item["id"], "prediction": len(item["text"].split()), "raw_response": item["text"],
                "confidence": 1 / len(item["text"]), "error": None, "error_type": None}
    except Exception as e:
        return {"input_id": item.get("id"), "prediction": None, "raw_response": None, "confidence": None,
                "error": str(e), "error_type": type(e).__name__}


TEXTS = [{"id": 0, "text": "one two"}, {"id": 1}, {"id": 2, "text": ""}, {"id": 3, "text": "three"}, {"id": 4, "text": 5}]


def with_errors(worker):
    tracker = Tracker(db="dev_benchmark.db", table="test_predictions")
    for item in TEXTS:
        tracker.track(predict_with_error_handling, args=[item, ModelParams("words")])
    return tracker.track_id


def errors_of(runs):
    found = validate_error_handling("dev_benchmark.db", "test_predictions")
    assert found == (True, 3 * runs, pytest.approx(60.0),
                     {"ValueError": runs, "ZeroDivisionError": runs, "AttributeError": runs})
    df = Reader(db="dev_benchmark.db", table="test_predictions").to_df()
    successful = df[df["error"].isna()]
    assert len(successful) == 2 * runs and sorted(successful["prediction"].unique()) == [1, 2]
    assert df[df["error"].notna()].groupby("error_type").size().sum() == 3 * runs


def test_validate_error_handling(here):
    with_errors(0)
    errors_of(1)


def test_validate_error_handling_in_workers(here):
    in_workers(with_errors)
    errors_of(WORKERS)


def test_no_errors_yet(here):
    """Where nothing was tracked but rows were logged there is no error column; where nothing failed it is empty."""
    Tracker(db="dev_benchmark.db", table="logged").log({"x": 1})
    assert validate_error_handling("dev_benchmark.db", "logged")[0] is False
    develop(0)
    assert validate_error_handling("dev_benchmark.db", "test_predictions") == (True, 0, 0.0, {})


class RateLimited(Exception):
    pass


def raising(kind):
    raise {"limit": RateLimited("slow down"), "key": KeyError("field"), "value": ValueError("no number")}[kind]


def raise_all(worker):
    """A function that does raise: the tracker logs that, and says None, where it is told not to pass it on."""
    tracker = Tracker(db="bench.db", table="predictions", raise_on_error=False)
    assert [tracker.track(raising, args=[kind]) for kind in ("limit", "key", "value")] == [None] * 3


@POOL
def test_errors_that_are_raised(here, method):
    in_workers(raise_all, method=method)
    assert sql("bench.db", "SELECT error_type, error, count(*) FROM predictions GROUP BY 1, 2 ORDER BY 1") == [
        ("KeyError", "'field'", WORKERS), ("RateLimited", "slow down", WORKERS), ("ValueError", "no number", WORKERS)]
    with pytest.raises(RateLimited, match="slow down"):
        Tracker(db="bench.db", table="strict").track(raising, args=["limit"])
    assert sql("bench.db", "SELECT error_type, error FROM strict") == [("RateLimited", "slow down")]


# ---- the experiment


def experiment(worker, version="e0.0.1"):
    tracker = Tracker(db="benchmark.db", engine="duckdb", cache="cache", table="predictions",
                      params={"experiment_version": version, "code_commit": "a" * 7, "data_commit": "b" * 7})
    results = [tracker.track(predict, args=[item, ModelParams("baseline")]) for item in dataset(40)]
    return tracker.track_id, accuracy(results)


def test_experiment(here):
    track_id, share = experiment(0)
    assert share == 0.75
    df = Reader(db="benchmark.db", engine="duckdb", table="predictions").to_df()
    assert len(df) == 40 and set(df["track_id"]) == {track_id}
    assert {(r.experiment_version, r.code_commit, r.data_commit) for r in df.itertuples()} == {("e0.0.1", "a" * 7, "b" * 7)}
    assert (df["prediction"] == df["ground_truth"]).mean() == 0.75


@POOL
def test_experiment_in_workers(here, method):
    said = in_workers(experiment, method=method)
    assert {share for _, share in said} == {0.75}
    df = Reader(db="benchmark.db", engine="duckdb", table="predictions").to_df()
    assert df.groupby("track_id").size().to_dict() == {track_id: 40 for track_id, _ in said}
    assert executions() == 40 == (df["cache"] == "").sum()
    assert (df.groupby("input_id").size() == WORKERS).all()


def test_back_to_development(here):
    """A partial experiment is deleted, the next one has another version, which makes other calls of it."""
    partial, _ = experiment(0)
    subprocess.run(["xt", "delete", "benchmark.db", partial], check=True)
    track_id, _ = experiment(0, version="e0.0.2")
    df = Reader(db="benchmark.db", table="predictions").to_df()
    assert set(df["track_id"]) == {track_id} and set(df["experiment_version"]) == {"e0.0.2"} and len(df) == 40
    assert set(df["cache"]) == {""} and executions() == 80


def test_ready_for_production(here, repo):
    """The check list, each point of which can fail."""
    tests = repo / "checks"
    tests.mkdir()

    def ready():
        return [("tests", subprocess.run([sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", str(tests)],
                                         capture_output=True).returncode == 0),
                ("schema", "params_model" in Reader(db="benchmark.db", table="predictions").columns),
                ("code", subprocess.run(["git", "diff", "--quiet"]).returncode == 0),
                ("data", subprocess.run(["git", "diff", "--quiet", "data.dvc"]).returncode == 0)]

    (tests / "test_one.py").write_text("def test_one():\n    assert False\n")
    experiment(0)
    assert [ok for _, ok in ready()] == [False, True, True, True]
    (tests / "test_one.py").write_text("def test_one():\n    pass\n")
    (repo / "data.dvc").write_text("md5: 1\n")
    assert [ok for _, ok in ready()] == [True, True, False, False]
    git("commit", "-qam", "data: another one")
    assert all(ok for _, ok in ready())

