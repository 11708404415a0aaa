"""Ten rows of a run, and three calls that are computed once: python3 quickstart.py [benchmark.db], twice."""
import sys

from xetrackd import Reader, Tracker


def score(threshold: float) -> dict:
    """Whatever takes long: its result is kept, and the next run has it from the cache."""
    return {"accuracy": 1 - abs(threshold - 0.4), "threshold": threshold}


db = sys.argv[1] if len(sys.argv) > 1 else "benchmark.db"
with Tracker(db, params={"model": "line"}, cache=True) as tracker:  # the daemon is started, if there is none
    for epoch in range(1, 11):
        tracker.log({"epoch": epoch, "loss": 1 / epoch})  # does not wait for the disk
    results = [tracker.track(score, args=[t]) for t in (0.3, 0.4, 0.5)]

reader = Reader(db)
best = max(results, key=lambda r: r["accuracy"])
print(f"run {tracker.track_id}: best threshold {best['threshold']}")
for row in reader.rows("SELECT threshold, accuracy, cache FROM events WHERE track_id = ? AND threshold", [tracker.track_id]):
    print(f"{row['threshold']:9} {row['accuracy']:9.2f}   {'from run ' + row['cache'] if row['cache'] else 'computed'}")
