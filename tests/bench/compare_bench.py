#!/usr/bin/python3
"""What `xtctl compare` costs on many pairs: seconds of whole commands, as medians of five with the lowest and highest, and their memory.

XT_BUILD_DIR names the directory of the programs. Beside it stands what reading the same rows in the same order takes, so that one sees what
the statistics add.
"""
import argparse
import os
import random
import shutil
import sqlite3
import statistics
import subprocess
import tempfile
from pathlib import Path

from whole import timed

BUILD = Path(os.environ.get("XT_BUILD_DIR", "build")).resolve()


def rows(n):
    r = random.Random(1)
    for i in range(n):
        base = r.lognormvariate(0, 0.5)
        yield "r1", "2026-01-01 00:00:00", "a", i, base, int(r.random() < 0.80)
        yield "r2", "2026-01-02 00:00:00", "b", i, base * 1.01 + r.gauss(0, 0.05), int(r.random() < 0.81)


def measure(db, pairs, repeat):
    """Prints the figures of a database that rows() filled and a daemon serves."""
    def compare(*args):
        return [BUILD / "xtctl", "compare", db, "--by", "model", *args]

    order = "SELECT model, input_id, latency FROM events ORDER BY input_id COLLATE BINARY, model COLLATE BINARY"
    lines = {
        "sql, the same rows in the same order": [BUILD / "xtctl", "sql", db, order, "--format", "csv"],
        "compare: pairs, 10,000 resamples": compare("--metric", "latency"),
        "compare: two samples, 10,000 resamples": compare("--metric", "latency", "--unpaired"),
        "compare: 0/1 in pairs": compare("--metric", "ok"),
    }
    print(f"{pairs:,} pairs", flush=True)
    for name, args in lines.items():
        took, memory = zip(*(timed(args) for _ in range(repeat)))
        print(f"    {name:<44} {statistics.median(took):>7.2f} s  ({min(took):.2f}–{max(took):.2f})  {max(memory):>6.1f} MiB", flush=True)


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--pairs", type=int, default=100_000)
    options.add_argument("--repeat", type=int, default=5)
    o = options.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="compare-bench-"))
    os.environ.update(XDG_RUNTIME_DIR=str(directory), XETRACKD=str(BUILD / "xetrackd"))
    db = directory / "bench.db"
    con = sqlite3.connect(db)
    con.execute("CREATE TABLE events(track_id TEXT, timestamp TEXT, model TEXT, input_id INTEGER, latency REAL, ok BOOLEAN)")
    con.executemany("INSERT INTO events VALUES(?, ?, ?, ?, ?, ?)", rows(o.pairs))
    con.commit()
    con.close()
    subprocess.run([BUILD / "xtctl", "up", db], check=True, stdout=subprocess.DEVNULL)
    try:
        measure(db, o.pairs, o.repeat)
    finally:
        subprocess.run([BUILD / "xtctl", "down", db], stdout=subprocess.DEVNULL)
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
