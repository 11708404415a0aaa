#!/usr/bin/python3
"""What xtctl's commands cost on a large table, beside the sqlite3 program: `make bench-xtctl`.

Whole commands are timed, from start to end, several times over; printed are medians, and the lowest and highest in brackets, with the
most memory that xtctl itself took. XT_BUILD_DIR names the directory of the programs. The table has 12 columns besides track_id and
timestamp; 10 million rows take 3 GB below the temporary directory.
"""
import argparse
import os
import shutil
import statistics
import subprocess
import tempfile
from pathlib import Path

from whole import timed

BUILD = Path(os.environ.get("XT_BUILD_DIR", "build")).resolve()
RUNS = 100
COLUMNS = """
  i AS input_id, 'model-' || (i % 4) AS model, printf('%016x', i * 2654435761 % 4294967296) AS prompt_hash,
  0.1 * (i % 11) AS temperature, 256 AS max_tokens, 'a fairly short answer of a model' AS prediction,
  'a fairly short answer' AS ground_truth, i % 3 > 0 AS correct, (i * 7919 % 10007) / 10007.0 AS confidence,
  50 + (i * 104729 % 100003) / 500.0 AS latency_ms, 0.00213 * (i % 17) AS cost_usd,
  CASE WHEN i % 997 = 0 THEN 'TimeoutError' END AS error"""
FILL = f"""
CREATE TABLE rows(track_id TEXT, timestamp TEXT, input_id INTEGER, model TEXT, prompt_hash TEXT, temperature REAL,
  max_tokens INTEGER, prediction TEXT, ground_truth TEXT, correct BOOLEAN, confidence REAL, latency_ms REAL, cost_usd REAL,
  error TEXT);
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n LIMIT :rows)
  INSERT INTO rows SELECT 'run-' || (i * {RUNS} / :rows),
    strftime('%Y-%m-%d %H:%M:%S', 1700000000 + i / 1000, 'unixepoch') || printf('.%06d', i % 1000 * 1000), {COLUMNS} FROM n;
CREATE INDEX rows_track_id ON rows(track_id);
"""


class Table:
    """Figures of one line each, taken in turns so that what the machine does meanwhile falls on all of them."""

    def __init__(self, repeat):
        self.repeat = repeat

    def compare(self, title, lines, out=subprocess.DEVNULL):
        """lines: {name: arguments}; the first one is what the others are held against."""
        print(f"{title}", flush=True)
        seconds, memory = {name: [] for name in lines}, dict.fromkeys(lines, 0)
        for _ in range(self.repeat):
            for name, args in lines.items():
                took, most = timed(args, out)
                seconds[name].append(took)
                memory[name] = max(memory[name], most)
        first = statistics.median(next(iter(seconds.values())))
        for name, took in seconds.items():
            middle = statistics.median(took)
            print(f"    {name:<44} {middle * 1000:>9.0f} ms  ({min(took) * 1000:.0f}–{max(took) * 1000:.0f})"
                  f"  {middle / first:>5.2f} ×  {memory[name]:>6.1f} MiB", flush=True)


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--rows", type=int, default=10_000_000)
    options.add_argument("--repeat", type=int, default=5)
    options.add_argument("--keep", help="a directory in which the database stays, and is taken from the next time")
    o = options.parse_args()
    directory = Path(o.keep or tempfile.mkdtemp(prefix="xtctl-bench-"))
    directory.mkdir(exist_ok=True)
    os.environ.update(XDG_RUNTIME_DIR=str(directory), XETRACKD=str(BUILD / "xetrackd"))
    if "XETRACK_DUCKDB" not in os.environ:  # as the tests find it
        found = subprocess.run([Path(__file__).resolve().parents[2] / ".ci" / "duckdb"], capture_output=True, text=True)
        if found.returncode == 0:
            os.environ["XETRACK_DUCKDB"] = found.stdout.strip()
    db, xtctl = directory / "bench.db", str(BUILD / "xtctl")
    if not db.exists():
        import sqlite3
        con = sqlite3.connect(db)
        con.execute("PRAGMA page_size = 16384")
        con.execute("PRAGMA journal_mode = WAL")
        for statement in FILL.split(";\n")[:-1]:
            con.execute(statement, {"rows": o.rows} if ":rows" in statement else {})
        con.commit()
        con.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        con.close()
    subprocess.run([xtctl, "up", db], check=True, stdout=subprocess.DEVNULL)
    print(f"{o.rows:,} rows of 12 columns, {db.stat().st_size / 2**30:.1f} GiB", flush=True)

    def ctl(command, *args):
        return [xtctl, command, str(db), *args]

    def sqlite(*args):
        return ["sqlite3", "-readonly", *args[:-1], str(db), args[-1]]

    t = Table(o.repeat)
    try:
        t.compare("looking at it", {
            "head": ctl("head", "--table", "rows"), "tail": ctl("tail", "--table", "rows"),
            "tail of one run": ctl("tail", "--table", "rows", "--track-id", "run-7"), "runs": ctl("runs")})
        t.compare("one column described", {
            "sqlite3: count, avg, min, max, sums of squares": sqlite(
                "SELECT count(latency_ms), avg(latency_ms), min(latency_ms), max(latency_ms), sum(latency_ms * latency_ms), "
                "sum(latency_ms) FROM rows"),
            "xtctl stats describe": ctl("stats", "describe", "--table", "rows", "--columns", "latency_ms")})
        csv = directory / "out.csv"
        with open(csv, "wb") as out:
            t.compare("the whole table as CSV", {
                "sqlite3 -csv -header": sqlite("-csv", "-header", "SELECT * FROM rows"),
                "xtctl export": ctl("export", str(csv) + ".x", "--format", "csv", "--table", "rows", "--force"),
                "xtctl sql --format csv": ctl("sql", "SELECT * FROM rows", "--format", "csv")}, out)
        if subprocess.run(ctl("export", str(directory / "none.parquet"), "--sql", "SELECT 1 AS one", "--force"),
                          capture_output=True).returncode == 0:
            parquet = str(directory / "out.parquet")
            t.compare("the whole table as Parquet", {
                "xtctl export": ctl("export", parquet, "--table", "rows", "--force")})
            print(f"    {o.rows:,} rows, {os.path.getsize(parquet) / 2**20:.0f} MiB")
        else:
            print("Parquet: libduckdb was not found")
        t.compare("looking for what is wrong", {
            "inspect": ctl("inspect", "--table", "rows"),
            "plot hist": ctl("plot", "hist", "latency_ms", "--table", "rows")})
    finally:
        subprocess.run(ctl("down"), stdout=subprocess.DEVNULL)
        if not o.keep:
            shutil.rmtree(directory)


if __name__ == "__main__":
    main()
