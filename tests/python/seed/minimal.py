"""Two tables, the smallest benchmark that has them: single predictions, and what they come to."""
from dataclasses import dataclass

from xetrackd import Reader, Tracker


@dataclass(frozen=True, slots=True)
class ModelParams:
    model: str
    threshold: float = 0.5


def predict(item, params):
    above = item["x"] > params.threshold
    return {
        "input_id": item["id"],
        "prediction": above,
        "ground_truth": item["label"],
        "confidence": abs(item["x"] - params.threshold),
    }


pred_tracker = Tracker(db="bench.db", engine="sqlite", cache="cache", table="predictions")
metrics_tracker = Tracker(db="bench.db", engine="sqlite", table="metrics")

dataset = [{"id": 1, "x": 0.2, "label": False}, {"id": 2, "x": 0.9, "label": True}, {"id": 3, "x": 0.6, "label": False}]
params = ModelParams(model="cut-off", threshold=0.5)

results = [pred_tracker.track(predict, args=[item, params]) for item in dataset]

accuracy = sum(r["prediction"] == r["ground_truth"] for r in results) / len(results)
metrics_tracker.log({"model": params.model, "threshold": params.threshold, "accuracy": accuracy})

print("Predictions:", Reader(db="bench.db", engine="sqlite", table="predictions").to_df())
print("Metrics:", Reader(db="bench.db", engine="sqlite", table="metrics").to_df())
