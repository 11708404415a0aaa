#!/usr/bin/python3
"""How often `xtctl compare` is wrong: it is asked of data whose truth is known, many times over, and what it says is counted.

XT_BUILD_DIR names the directory of the programs. The data are drawn from the same seed each time, so the figures can be had again;
they are shares of so many draws, and vary by some two points from seed to seed.
"""
import argparse
import json
import os
import random
import shutil
import sqlite3
import subprocess
import tempfile
from pathlib import Path

BUILD = Path(os.environ.get("XT_BUILD_DIR", "build")).resolve()
COLUMNS = "track_id TEXT, timestamp TEXT, model TEXT, input_id TEXT, v REAL"


def normal(r, _base, up):
    return r.gauss(10 + up, 1)


def near(r, base, up):
    """A value that goes with its input, which both models meet."""
    return base + r.gauss(up, 0.5)


def skewed(r, _base, up):
    """As latencies are: most small, a few large."""
    return r.lognormvariate(0, 1) + up


def skewed_near(r, base, up):
    return base * r.lognormvariate(0, 0.3) + up


def outcome(r, base, up):
    return int(r.random() < 0.5 + 0.4 * (base > 0) + up)


# What is drawn: a name, how a value comes, of how many inputs, whether in pairs, how much larger the other model's are in truth, groups.
DRAWS = [
    ("normal values, 20 pairs", near, 20, True, 0, 1),
    ("normal values, 20 pairs, 0.5 more", near, 20, True, 0.5, 1),
    ("normal values, 20 and 20", normal, 20, False, 0, 1),
    ("normal values, 20 and 20, 1.0 more", normal, 20, False, 1.0, 1),
    ("skewed values, 30 pairs", skewed_near, 30, True, 0, 1),
    ("skewed values, 300 pairs", skewed_near, 300, True, 0, 1),
    ("skewed values, 30 and 30", skewed, 30, False, 0, 1),
    ("skewed values, 300 and 300", skewed, 300, False, 0, 1),
    ("outcomes, 60 pairs", outcome, 60, True, 0, 1),
    ("outcomes, 60 and 60", outcome, 60, False, 0, 1),
    ("normal values, 20 pairs, ten models", near, 20, True, 0, 10),
]


def fill(con, table, seed, draw):
    _name, value, n, pairs, up, groups = draw
    r = random.Random(seed)
    con.execute(f"CREATE TABLE {table}({COLUMNS})")
    base = [r.lognormvariate(0, 1) if value is skewed_near else r.gauss(0, 1) for _ in range(n)]
    for g in range(groups + 1):
        con.executemany(f"INSERT INTO {table} VALUES('r', '2026-01-01 00:00:00', ?, ?, ?)",
                        [(f"m{g:02}", f"i{i}" if pairs else f"i{g}-{i}", value(r, base[i], up if g else 0)) for i in range(n)])


def ask(db, table):
    words = [BUILD / "xtctl", "compare", db, "--table", table, "--metric", "v", "--by", "model", "--resamples", "2000", "--json"]
    return json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)["cells"]


def count(db, draw, at, times):
    """Shares of the draws in which some difference was called sure; all cells' p was at most 0.05; intervals had the truth in them."""
    up = draw[4]
    sure = low = covered = cells = 0
    for k in range(times):
        seen = ask(db, f"d{at}_{k}")
        sure += any(c["verdict"] == "different" for c in seen)
        low += sum(c["p"] <= 0.05 for c in seen)
        covered += sum(c["difference_low"] <= up <= c["difference_high"] for c in seen)
        cells += len(seen)
    return sure / times, low / cells, covered / cells


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--times", type=int, default=1000, help="draws of each kind")
    o = options.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="calibration-"))
    os.environ.update(XDG_RUNTIME_DIR=str(directory), XETRACKD=str(BUILD / "xetrackd"))
    db = directory / "draws.db"
    con = sqlite3.connect(db)
    for at, draw in enumerate(DRAWS):
        for k in range(o.times):
            fill(con, f"d{at}_{k}", at * 1_000_003 + k, draw)
    con.commit()
    con.close()
    subprocess.run([BUILD / "xtctl", "up", db], check=True, stdout=subprocess.DEVNULL)
    try:
        print(f"{o.times:,} draws of each kind{'':<24} called sure   p ≤ 0.05   interval has the truth")
        for at, draw in enumerate(DRAWS):
            sure, low, covered = count(db, draw, at, o.times)
            print(f"    {draw[0]:<42} {sure:>8.1%} {low:>10.1%} {covered:>15.1%}", flush=True)
    finally:
        subprocess.run([BUILD / "xtctl", "down", db], stdout=subprocess.DEVNULL)
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
