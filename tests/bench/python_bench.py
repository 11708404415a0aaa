#!/usr/bin/python3
"""What the Python client costs, beside what people use without it: `make bench-python`.

Everything is measured in one run, several times over; printed are medians, and the lowest and highest in brackets. Needs pandas for
the data frames; diskcache is measured where it is installed. XETRACKD names the daemon's program.
"""
import argparse
import importlib.util
import multiprocessing
import os
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass

from xetrackd import Reader, Tracker

WORKERS = 8
ROW = {"input_id": 123456, "model": "bert-base-uncased", "prompt_hash": "9f86d081884c7d65", "temperature": 0.7, "max_tokens": 256,
       "prediction": "a fairly short answer of a model", "ground_truth": "a fairly short answer", "correct": True,
       "confidence": 0.9312, "latency_ms": 132.25, "cost_usd": 0.00213, "error": None}
assert len(ROW) == 12


@dataclass(frozen=True, slots=True)
class Params:
    model: str
    threshold: float = 0.5


def predict(item, params):
    return {"input_id": item["id"], "prediction": item["x"] > params.threshold, "confidence": 0.3}


ITEM, PARAMS = {"id": 1, "x": 0.7, "label": True}, Params("baseline")


# ---- measuring ---------------------------------------------------------------------

def percentiles(f, n):
    """p50 and p99 of n calls, in microseconds."""
    times = []
    clock = time.perf_counter_ns
    for _ in range(n):
        t = clock()
        f()
        times.append(clock() - t)
    times.sort()
    return times[n // 2] / 1000, times[n * 99 // 100] / 1000


def together(work, seconds, *args):
    """Starts WORKERS processes at once, each of which works for so long: all units of work together, and a second of them."""
    context = multiprocessing.get_context("fork")
    barrier, results = context.Barrier(WORKERS), context.SimpleQueue()

    def one():
        step, end = work(*args)
        barrier.wait()
        began = time.monotonic()
        n = 0
        while time.monotonic() - began < seconds:
            n += step()
        end()
        results.put((n, began, time.monotonic()))

    processes = [context.Process(target=one) for _ in range(WORKERS)]
    for p in processes:
        p.start()
    got = [results.get() for _ in processes]
    for p in processes:
        p.join()
    done = sum(n for n, _, _ in got)
    return done, done / (max(e for _, _, e in got) - min(b for _, b, _ in got))


class Figures:
    def __init__(self):
        self.values = {}

    def add(self, name, value):
        self.values.setdefault(name, []).append(value)

    def line(self, name, unit, digits=0):
        v = sorted(self.values[name])
        print(f"    {name:<52} {statistics.median(v):>10.{digits}f} {unit}  ({v[0]:.{digits}f}–{v[-1]:.{digits}f})", flush=True)

    def median(self, name):
        return statistics.median(self.values[name])


# ---- what is measured -----------------------------------------------------------------

def log_worker(db, track_id, batch):
    t = Tracker(db, table="rows", track_id=track_id)
    rows = [ROW] * batch

    def step():
        if batch == 1:
            for _ in range(20):
                t.log(ROW)
            return 20
        t.log_batch(rows)
        return batch
    return step, t.flush


def sqlite_worker(path, synchronous):
    con = sqlite3.connect(path, timeout=60, isolation_level=None)
    con.execute("PRAGMA journal_mode = WAL")
    con.execute(f"PRAGMA synchronous = {synchronous}")
    columns = ", ".join(["track_id", "timestamp", *ROW])
    insert = f"INSERT INTO rows({columns}) VALUES ({', '.join('?' * (len(ROW) + 2))})"
    values = ["purple-mountain-4392", "2026-01-01 00:00:00.000000", *ROW.values()]

    def step():
        con.execute(insert, values)  # a transaction of its own
        return 1
    return step, con.close


def sqlite_table(path):
    con = sqlite3.connect(path)
    con.execute("PRAGMA journal_mode = WAL")
    con.execute(f"CREATE TABLE rows(track_id TEXT, timestamp TEXT, {', '.join(ROW)})")
    con.execute("CREATE INDEX by_track_id ON rows(track_id)")
    con.close()


def rows_of(path):
    con = sqlite3.connect(path)
    n = con.execute("SELECT count(*) FROM rows").fetchone()[0]
    con.close()
    return n


def ingest(figures, where, seconds):
    for name, batch in (("8 processes, log", 1), ("8 processes, log_batch of 100", 100)):
        db = os.path.join(where, f"batch{batch}.db")
        with Tracker(db, table="rows") as t:
            done, rate = together(log_worker, seconds, db, t.track_id, batch)
            t.flush()
            if t.count_all() != done:
                sys.exit(f"{name}: {done} rows were logged, {t.count_all()} are there")
        figures.add(name, rate)
        stop(db)
    for synchronous in ("FULL", "NORMAL"):
        db = os.path.join(where, f"bare{synchronous}.db")
        sqlite_table(db)
        done, rate = together(sqlite_worker, seconds, db, synchronous)
        if rows_of(db) != done:
            sys.exit(f"sqlite3: {done} rows were inserted, {rows_of(db)} are there")
        figures.add(f"8 processes, sqlite3 module, WAL, {synchronous}", rate)


def calls(figures, where):
    db = os.path.join(where, "calls.db")
    with Tracker(db, table="rows", cache=True) as t:
        t.log(ROW)
        p50, p99 = percentiles(lambda: t.log(ROW), 30000)
        figures.add("log, p50", p50)
        figures.add("log, p99", p99)
        t.flush()
        t.track(predict, args=[ITEM, PARAMS])
        t.flush()
        args = [ITEM, PARAMS]
        assert t.cached(predict, args) == predict(*args)
        figures.add("look-up of a cached result, p50", percentiles(lambda: t.cached(predict, args), 30000)[0])
        key = t._client.cache_items()[0]["key"]
        figures.add("the same by its key, not decoded, p50", percentiles(lambda: t._client.cache_get(key), 30000)[0])
        figures.add("tracked call that is a hit, row logged, p50", percentiles(lambda: t.track(predict, args=args), 30000)[0])
        t.flush()
    stop(db)
    if importlib.util.find_spec("diskcache"):
        import diskcache
        with diskcache.Cache(os.path.join(where, "diskcache")) as cache:
            cache.set("key", predict(ITEM, PARAMS))
            figures.add("diskcache get, p50", percentiles(lambda: cache.get("key"), 30000)[0])


def frames(figures, db):
    import pandas
    t = time.perf_counter()
    df = Reader(db, table="rows").to_df()
    figures.add("Reader.to_df, s", time.perf_counter() - t)
    con = sqlite3.connect(f"file:{db}?mode=ro", uri=True)
    t = time.perf_counter()
    same = pandas.read_sql("SELECT * FROM rows", con)
    figures.add("pandas.read_sql on the file, s", time.perf_counter() - t)
    con.close()
    figures.add("to_df to read_sql", figures.values["Reader.to_df, s"][-1] / figures.values["pandas.read_sql on the file, s"][-1])
    if len(df) != len(same):
        sys.exit("frames of different lengths")


def stop(db):
    """The daemon of a database, so that none is left when its files go."""
    from xetrackd import session
    held = session.acquire(db)
    held.client.shutdown()
    held.release()


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--repeat", type=int, default=5)
    p.add_argument("--seconds", type=float, default=3, help="that each crowd of workers logs")
    p.add_argument("--rows", type=int, default=1000000, help="of the data frames")
    p.add_argument("--dir", help="where databases are made, and removed")
    o = p.parse_args()
    where = tempfile.mkdtemp(prefix="xt-bench-", dir=o.dir)
    figures = Figures()
    try:
        for i in range(o.repeat):
            here = os.path.join(where, str(i))
            os.mkdir(here)
            ingest(figures, here, o.seconds)
            calls(figures, here)
            shutil.rmtree(here)
        db = os.path.join(where, "million.db")
        with Tracker(db, table="rows") as t:
            for _ in range(o.rows // 1000):
                t.log_batch([ROW] * 1000)
            t.flush()
            for _ in range(o.repeat):
                frames(figures, db)
        stop(db)
    finally:
        shutil.rmtree(where, ignore_errors=True)
    print(f"\n    rows of {len(ROW)} columns, all on disk at the end; medians of {o.repeat} runs (lowest–highest)\n")
    for name in figures.values:
        unit, digits = ("rows/s", 0) if "processes" in name else ("×", 2) if " to " in name else ("s", 2) if name.endswith(", s") else ("µs", 2)
        figures.line(name.removesuffix(", s") if False else name, unit, digits)


if __name__ == "__main__":
    main()
