"""Is the data sound, and what does it say: the document's checks and queries, by `xt sql` and by Reader."""
import csv
import io
import json

import pytest
from gang import WORKERS, in_workers
from subject import GRID, accuracy, dataset, run_single_prediction, sql, xt

from xetrackd import Reader, Tracker

N = 40


class Limited(Exception):
    pass


def flaky(item, params):
    """Every tenth point goes wrong."""
    if item["id"] % 10 == 9:
        return {"input_id": item["id"], "prediction": None, "ground_truth": item["label"], "latency": 0.5,
                "error": "limit" if item["id"] % 20 == 9 else "timeout"}
    return run_single_prediction(item, params)


def fill(worker):
    """Each model over all points; then the first once more, from the cache."""
    for params in [*GRID, GRID[0]]:
        tracker = Tracker(db="benchmark.db", cache="cache_dir", table="predictions")
        for item in dataset(N):
            tracker.track(flaky, args=[item, params])


def rows(query):
    return list(csv.reader(io.StringIO(xt("sql", "benchmark.db", query, "--format", "csv"))))[1:]


def right(params):
    return accuracy([r for r in (flaky(item, params) for item in dataset(N)) if r["error"] is None])


@pytest.fixture(params=[1, WORKERS])
def runs(request, here):
    """How many workers filled the database: one, or eight at once."""
    in_workers(fill, workers=request.param)
    return request.param


def test_checks(runs):
    """Missing parameters, leaks, failures."""
    assert rows("SELECT COUNT(*) FROM db.predictions WHERE params_model_name IS NULL") == [["0"]]
    assert rows("SELECT COUNT(*) FROM db.predictions") == [[str(runs * 4 * N)]]
    leaks = rows("SELECT input_id, COUNT(DISTINCT track_id) AS seen FROM db.predictions WHERE params_model_name = 'small' "
                 "GROUP BY input_id HAVING COUNT(DISTINCT track_id) > 1")
    assert len(leaks) == (0 if runs == 1 else N)
    executed = rows("SELECT params_model_name, input_id FROM db.predictions WHERE cache = '' AND error IS NULL "
                    "GROUP BY 1, 2 HAVING COUNT(*) > 1")
    assert executed == []
    failed = rows("SELECT error, COUNT(*) FROM db.predictions WHERE error IS NOT NULL GROUP BY error ORDER BY error")
    assert failed == [["limit", str(runs * 8)], ["timeout", str(runs * 8)]]


def test_by_model(runs):
    found = rows("""
        SELECT
            params_model_name,
            AVG(CASE WHEN prediction = ground_truth THEN 1.0 ELSE 0.0 END) as accuracy,
            AVG(latency) as avg_latency,
            COUNT(*) as n_predictions
        FROM db.predictions
        WHERE error IS NULL
        GROUP BY params_model_name
        ORDER BY accuracy DESC;""")
    expected = sorted(((p.model_name, right(p)) for p in GRID), key=lambda pair: -pair[1])
    assert [(name, float(share)) for name, share, _, _ in found] == [(n, pytest.approx(a)) for n, a in expected]
    assert [int(n) for _, _, _, n in found] == [runs * 36 * (2 if name == "tiny" else 1) for name, *_ in found]
    assert [row[0] for row in found] == ["base", "small", "tiny"]


def test_errors_by_model(runs):
    found = rows("""
        SELECT params_model_name, error, COUNT(*) as count
        FROM db.predictions
        WHERE error IS NOT NULL
        GROUP BY params_model_name, error;""")
    assert len(found) == 6 and {int(n) for model, _, n in found if model != "tiny"} == {2 * runs}


def test_hit_rate_by_model(runs):
    found = rows("""
        SELECT
            params_model_name,
            COUNT(CASE WHEN cache != '' THEN 1 END) as cache_hits,
            COUNT(*) as total,
            ROUND(100.0 * COUNT(CASE WHEN cache != '' THEN 1 END) / COUNT(*), 2) as hit_rate
        FROM db.predictions
        GROUP BY params_model_name;""")
    computed = {name: int(total) - int(hits) for name, hits, total, _ in found}
    assert computed == dict.fromkeys(("tiny", "small", "base"), N)
    assert {name: float(rate) for name, _, _, rate in found}["tiny"] == pytest.approx(100 - 100 / (2 * runs), abs=0.01)


def test_reader(runs):
    reader = Reader(db="benchmark.db", engine="duckdb", table="predictions")
    df = reader.to_df()
    assert len(df) == len(reader) == runs * 4 * N
    shares = df[df["error"].isna()].groupby("params_model_name").apply(lambda g: (g["prediction"] == g["ground_truth"]).mean())
    assert shares.to_dict() == {p.model_name: pytest.approx(right(p)) for p in GRID}
    one = df["track_id"].iloc[0]
    assert len(reader.to_df(track_id=one)) == N and set(reader.to_df(track_id=one)["track_id"]) == {one}
    assert df["timestamp"].is_monotonic_increasing
    assert df.groupby("params_model_name")["latency"].quantile(0.95).between(0, 1).all()
    assert len(reader.to_df(head=3)) == 3 and len(reader.to_df(tail=2)) == 2
    assert reader.to_df(tail=1)["timestamp"].iloc[0] == df["timestamp"].iloc[-1]


def test_latest(here):
    """The newest run, whatever it is called."""
    for name in ("zz-first", "aa-second"):
        Tracker(db="benchmark.db", track_id=name).log({"x": 1})
    assert set(Reader("benchmark.db").latest()["track_id"]) == {"aa-second"}


def test_quotes_and_json(here):
    fill(0)
    assert json.loads(xt("sql", "benchmark.db", "SELECT count(*) AS n FROM predictions WHERE error = 'predictions'", "--json")) == [{"n": 0}]
    assert sql("benchmark.db", "SELECT count(*) FROM predictions") == [(4 * N,)]
