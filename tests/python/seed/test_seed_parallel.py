"""The whole benchmark: a pool, both tables, a small run that is deleted, and a restart after a crash."""
import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from gang import WORKERS, in_workers, pool_map
from subject import GRID, dataset, executions, run_single_prediction, sql, xt

from xetrackd import Reader, Tracker

POOL = pytest.mark.parametrize("method", ["fork", "spawn"])
N = 40

# ---- each task makes its own tracker


def run_with_tracker(item, params):
    tracker = Tracker(db="benchmark.db", engine="duckdb", cache="cache_dir", table="predictions")
    return tracker.track(run_single_prediction, args=[item, params])


@POOL
def test_pool_of_four(here, method):
    data = dataset(N)
    for again in (False, True):
        results = pool_map(partial(run_with_tracker, params=GRID[2]), data, 4, method)
        assert [r["input_id"] for r in results] == list(range(N))
        df = Reader(db="benchmark.db", table="predictions").to_df()
        assert executions() == N and len(df) == (2 * N if again else N) == df["track_id"].nunique()
        assert sorted(df[df["cache"] == ""]["input_id"]) == list(range(N))
    assert sorted(df[df["cache"] != ""]["input_id"]) == list(range(N))


def test_pool_of_eight_on_few_points(here):
    """All meet the same five points: each is executed once."""
    results = pool_map(partial(run_with_tracker, params=GRID[0]), dataset(5) * 20, WORKERS)
    assert len(results) == 100 and executions() == 5
    assert sql("benchmark.db", "SELECT count(*), sum(cache = ''), count(DISTINCT input_id) FROM predictions") == [(100, 5, 5)]


# ---- both tables


def full_benchmark(worker, data=N):
    """All parameters over all points; what was logged as metrics."""
    logged = []
    for params in GRID:
        predictions_tracker = Tracker(db="benchmark.db", engine="duckdb", cache="cache_dir", table="predictions",
                                      params={"experiment_id": f"exp-{params.model_name}"})
        metrics_tracker = Tracker(db="benchmark.db", engine="duckdb", table="metrics",
                                  params={"experiment_id": f"exp-{params.model_name}"})
        results = [predictions_tracker.track(run_single_prediction, args=[item, params]) for item in dataset(data)]
        successful = [r for r in results if r.get("error") is None]
        logged.append(metrics_tracker.log({
            "model_name": params.model_name,
            "embedding_dim": params.embedding_dim,
            "accuracy": sum(1 for r in successful if r["prediction"] == r["ground_truth"]) / len(successful),
            "avg_latency": sum(r["latency"] for r in successful) / len(successful),
            "n_predictions": len(results), "n_successful": len(successful), "n_failed": len(results) - len(successful)}))
    return [(row["experiment_id"], row["accuracy"]) for row in logged]


def both_tables(runs):
    predictions = Reader(db="benchmark.db", table="predictions").to_df()
    metrics = Reader(db="benchmark.db", table="metrics").to_df()
    assert len(predictions) == runs * N * len(GRID) and len(metrics) == runs * len(GRID)
    assert predictions.groupby(["experiment_id", "input_id"]).size().unique().tolist() == [runs]
    recomputed = (predictions["prediction"] == predictions["ground_truth"]).groupby(predictions["params_model_name"]).mean()
    for row in metrics.itertuples():
        assert row.accuracy == pytest.approx(recomputed[row.model_name]) and row.experiment_id == f"exp-{row.model_name}"
        assert (row.n_predictions, row.n_successful, row.n_failed) == (N, N, 0)
    return predictions


def test_full_benchmark(here):
    full_benchmark(0)
    assert set(both_tables(1)["cache"]) == {""}


@POOL
def test_full_benchmark_in_workers(here, method):
    said = in_workers(full_benchmark, method=method)
    assert len({str(s) for s in said}) == 1
    assert (both_tables(WORKERS)["cache"] == "").sum() == executions() == N * len(GRID)


# ---- small first, then deleted


def debug_small(worker):
    """Ten points, a look, and their deletion; how many rows the run had."""
    tracker = Tracker(db="benchmark.db", table="predictions")
    for item in dataset(N)[:10]:
        tracker.track(run_single_prediction, args=[item, GRID[0]])
    reader = Reader(db="benchmark.db", table="predictions")
    assert len(reader.to_df().tail()) == 5
    mine = reader.to_df(track_id=tracker.track_id)
    for track_id in mine["track_id"].unique():
        subprocess.run(["xt", "delete", "benchmark.db", track_id, "--force"], check=True)
    return len(mine), len(reader.to_df(track_id=tracker.track_id))


def test_debug_small_then_delete(here):
    assert debug_small(0) == (10, 0)
    assert len(Reader(db="benchmark.db", table="predictions")) == 0
    full_benchmark(0)
    both_tables(1)


def test_debug_small_in_workers(here):
    """Deleting one's own run leaves the others'."""
    kept = Tracker(db="benchmark.db", table="predictions")
    kept.track(run_single_prediction, args=[dataset(1)[0], GRID[0]])
    assert in_workers(debug_small) == [(10, 0)] * WORKERS
    assert sql("benchmark.db", "SELECT track_id FROM predictions") == [(kept.track_id,)]


def test_delete_as_the_document_does(here):
    """Without --force: by a loop in the shell, by SQL, and while the deleting process still has its tracker."""
    ids = []
    for _ in range(4):
        tracker = Tracker(db="benchmark.db", table="predictions")
        tracker.track(run_single_prediction, args=[dataset(1)[0], GRID[0]])
        ids.append(tracker.track_id)
    xt("delete", "benchmark.db", ids[0])
    subprocess.run(["sh", "-ec", f"for tid in {ids[1]} {ids[2]}; do\n    xt delete benchmark.db $tid\ndone"], check=True)
    assert sql("benchmark.db", "SELECT track_id FROM predictions") == [(ids[3],)]
    xt("sql", "benchmark.db", f"DELETE FROM db.predictions WHERE track_id = '{ids[3]}'")
    assert len(Reader("benchmark.db", table="predictions")) == 0


# ---- a crash in the middle, and the same script again

CRASHING = """
import os, signal, sys
sys.path.insert(0, {here!r})
from test_seed_parallel import *
tracker = Tracker(db="benchmark.db", cache="cache_dir", table="predictions")
for item in dataset(N):
    if item["id"] == int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)
    tracker.track(run_single_prediction, args=[item, GRID[0]])
"""


def test_rerun_after_a_crash(here):
    """What was executed before the kill is not executed again; all points are there at the end."""
    script = Path("run.py")
    script.write_text(CRASHING.format(here=str(Path(__file__).parent)))

    def run(dies_at):
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        return subprocess.run([sys.executable, str(script), str(dies_at)], env=env, capture_output=True, text=True)

    assert run(25).returncode == -signal.SIGKILL and executions() == 25
    p = run(-1)
    assert p.returncode == 0, p.stderr
    assert executions() == N
    assert sql("benchmark.db", "SELECT count(DISTINCT input_id), sum(cache = ''), sum(cache != '') FROM predictions") == [
        (N, N, 25)]
    runs = json.loads(xt("sql", "benchmark.db", "SELECT status FROM xt_runs ORDER BY start_time", "--json"))
    assert [r["status"] for r in runs] == ["crashed", "finished"]
