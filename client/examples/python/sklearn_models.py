"""Which classifier, with which strength, is best on a small data set?

    python3 sklearn_models.py                                   # some seconds; again: everything comes from the cache
    python3 sklearn_models.py --dataset digits --workers 4
    xtctl head benchmark.db --table predictions

Needs scikit-learn. Each model is fitted once, by whichever worker meets it first, and kept as an asset. Three tables:

    fits         a row a model: how well it knows what it was trained on, and the model itself
    predictions  a row a model and test sample: enough to ask later which samples went wrong
    metrics      a row a model: what one compares
"""
import argparse
import multiprocessing
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from sklearn import datasets
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from xetrackd import Reader, Tracker

LOADERS = {"breast_cancer": datasets.load_breast_cancer, "digits": datasets.load_digits, "wine": datasets.load_wine}


@dataclass(frozen=True, slots=True)
class ModelParams:
    """All that the result depends on: the key of the cache, and columns `params_…`."""

    dataset: str
    kind: str  # logistic, svm, forest
    strength: float  # 1 / regularisation, or for the forest tens of trees
    seed: int = 0


GRID = [("logistic", 0.01), ("logistic", 1.0), ("svm", 0.1), ("svm", 1.0), ("forest", 0.5), ("forest", 3.0)]


@lru_cache
def load(name: str, seed: int):
    """X_train, X_test, y_train, y_test: the same split for every model."""
    X, y = LOADERS[name](return_X_y=True)
    return train_test_split(X, y, test_size=0.25, random_state=seed, stratify=y)


def build(params: ModelParams):
    if params.kind == "forest":
        return RandomForestClassifier(n_estimators=round(10 * params.strength), random_state=params.seed)
    if params.kind == "svm":
        return make_pipeline(StandardScaler(), SVC(C=params.strength))
    return make_pipeline(StandardScaler(), LogisticRegression(C=params.strength, max_iter=2000, random_state=params.seed))


def fit(params: ModelParams) -> dict:
    """One row of `fits`. The model is no value that a column can hold: it becomes an asset, and its column has the hash."""
    X, _, y, _ = load(params.dataset, params.seed)
    model = build(params).fit(X, y)
    return {"model": model, "train_accuracy": accuracy_score(y, model.predict(X)), "n_train": len(y)}


def predict(sample: int, params: ModelParams) -> dict:
    """One row of `predictions`: raw scores too, for questions that come later."""
    _, X, _, y = load(params.dataset, params.seed)
    row, model = X[sample:sample + 1], fitted(params)
    scores = model.predict_proba(row) if params.kind == "forest" else model.decision_function(row)
    return {"input_id": sample, "prediction": model.predict(row)[0], "ground_truth": y[sample], "raw_scores": np.atleast_1d(scores[0])}


fits = predictions = None  # trackers of this process


@lru_cache
def fitted(params: ModelParams):
    """The model, fitted by this worker, by another, or by an earlier run."""
    return fits.track(fit, args=[params])["model"]


def begin_worker(*trackers: Tracker) -> None:
    """Trackers that came to another process go on with the same runs."""
    global fits, predictions
    fits, predictions = trackers


def evaluate(params: ModelParams) -> tuple[ModelParams, list[dict]]:
    """One task of the pool."""
    fitted(params)
    return params, [predictions.track(predict, args=[i, params]) for i in range(len(load(params.dataset, params.seed)[1]))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--db", default="benchmark.db")
    parser.add_argument("--dataset", choices=sorted(LOADERS), default="wine")
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()

    grid = [ModelParams(args.dataset, kind, strength) for kind, strength in GRID]
    fits = Tracker(args.db, table="fits", cache=True)
    predictions = Tracker(args.db, table="predictions", cache=True)
    metrics = Tracker(args.db, table="metrics")
    with multiprocessing.Pool(args.workers, begin_worker, (fits, predictions)) as pool:
        for params, rows in pool.imap_unordered(evaluate, grid):
            truth, guess = [r["ground_truth"] for r in rows], [r["prediction"] for r in rows]
            metrics.log({"dataset": params.dataset, "kind": params.kind, "strength": params.strength, "n_test": len(rows),
                         "test_accuracy": accuracy_score(truth, guess), "test_f1": f1_score(truth, guess, average="macro")})
        pool.close()
        pool.join()

    reader = Reader(args.db)
    print("model        strength  train   test     f1")
    for row in reader.rows("SELECT kind, strength, train_accuracy, test_accuracy, test_f1 FROM metrics "
                           "JOIN fits ON params_kind = kind AND params_strength = strength AND params_dataset = dataset "
                           "WHERE metrics.track_id = ? AND fits.track_id = ? ORDER BY test_accuracy DESC, kind, strength",
                           [metrics.track_id, fits.track_id]):
        print(f"{row['kind']:12} {row['strength']:8} {row['train_accuracy']:6.3f} {row['test_accuracy']:6.3f} {row['test_f1']:6.3f}")
    counts = reader.rows("SELECT count(*) AS calls, sum(cache = '') AS computed FROM (SELECT track_id, cache FROM fits "
                         "UNION ALL SELECT track_id, cache FROM predictions) WHERE track_id IN (?, ?)",
                         [fits.track_id, predictions.track_id])[0]
    print(f"{counts['calls']} calls: {counts['computed']} computed, {counts['calls'] - counts['computed']} from the cache")


if __name__ == "__main__":
    main()
