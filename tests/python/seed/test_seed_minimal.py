"""The thirty-line example, as a script and in eight workers at once."""
import importlib
import subprocess
import sys
from pathlib import Path

import pytest
from gang import WORKERS, in_workers
from subject import sql

HERE = Path(__file__).parent
N = 3  # its data


def script():
    p = subprocess.run([sys.executable, str(HERE / "minimal.py")], capture_output=True, text=True)
    assert p.returncode == 0, p.stderr
    assert p.stderr == ""
    return p.stdout


def test_minimal(here):
    said = script()
    assert said.index("Predictions:") < said.index("Metrics:") < said.index("accuracy")
    assert sql("bench.db", "SELECT input_id, prediction, ground_truth, round(confidence, 6), params_model, params_threshold, "
                              "cache, error, function_name FROM predictions ORDER BY input_id") == [
        (1, 0, 0, 0.3, "cut-off", 0.5, "", None, "predict"),
        (2, 1, 1, 0.4, "cut-off", 0.5, "", None, "predict"),
        (3, 1, 0, 0.1, "cut-off", 0.5, "", None, "predict")]
    assert sql("bench.db", "SELECT model, threshold, accuracy FROM metrics") == [("cut-off", 0.5, pytest.approx(2 / 3))]


def test_minimal_twice(here):
    """The second run computes nothing, and each of its rows names the first and is as whole as the first's."""
    script()
    script()
    (first,), (second,) = sql("bench.db", "SELECT track_id FROM predictions GROUP BY track_id ORDER BY min(timestamp)")
    assert sql("bench.db", "SELECT track_id, cache, count(*) FROM predictions GROUP BY 1, 2 ORDER BY min(timestamp)") == [
        (first, "", N), (second, first, N)]
    columns = "input_id, prediction, ground_truth, confidence, params_model, params_threshold"
    of = f"SELECT {columns} FROM predictions WHERE track_id = ? ORDER BY input_id"
    assert sql("bench.db", of, first) == sql("bench.db", of, second)
    assert sql("bench.db", "SELECT count(*), count(DISTINCT accuracy) FROM metrics") == [(2, 1)]


def minimal(worker):
    example = importlib.import_module("minimal")
    return example.pred_tracker.track_id, [r["prediction"] for r in example.results], example.accuracy


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_minimal_in_workers(here, method):
    said = in_workers(minimal, method=method)
    assert [(p, a) for _, p, a in said] == [([False, True, True], pytest.approx(2 / 3))] * WORKERS
    ids = {track_id for track_id, _, _ in said}
    assert len(ids) == WORKERS
    assert sql("bench.db", "SELECT count(*), count(DISTINCT track_id), sum(cache = '') FROM predictions") == [
        (WORKERS * N, WORKERS, N)]
    assert sql("bench.db", "SELECT input_id, count(*) FROM predictions WHERE cache = '' GROUP BY 1 ORDER BY 1") == [
        (1, 1), (2, 1), (3, 1)]
    assert {c for (c,) in sql("bench.db", "SELECT DISTINCT cache FROM predictions")} - {""} <= ids
    assert sql("bench.db", "SELECT count(*), count(DISTINCT track_id) FROM metrics") == [(WORKERS, WORKERS)]
