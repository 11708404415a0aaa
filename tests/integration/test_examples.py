"""What the README shows: the quickstart, and the demo, whose numbers are computed again."""
import bz2
import lzma
import os
import re
import signal
import subprocess
import zlib
from pathlib import Path

import pytest
from conftest import BUILD, ROOT, TIMEOUT, XTCTL, sqlite

BENCH = BUILD / "compress-bench"
QUICKSTART = BUILD / "quickstart"
COMPRESS = {"zlib": zlib.compress, "bzip2": bz2.compress,
            "xz": lambda data, level: lzma.compress(data, check=None, preset=level, format=lzma.FORMAT_XZ)}


def run(*args, timeout=5 * TIMEOUT, status=0, **kw):
    p = subprocess.run([str(a) for a in args], capture_output=True, text=True, timeout=timeout, **kw)
    assert p.returncode == status, (args, p.returncode, p.stdout, p.stderr)
    assert "Sanitizer" not in p.stderr and "runtime error" not in p.stderr, p.stderr
    return p.stdout


def test_quickstart(autostarted, db):
    autostarted(db)
    said = run(QUICKSTART, db)
    name = re.search(r"[a-z]+-[a-z]+-\d{4}", said).group()
    assert sqlite(db, "SELECT count(*), count(DISTINCT track_id), max(track_id) FROM events") == [(10, 1, name)]
    assert sqlite(db, "SELECT status, rows, rejects FROM xt_runs") == [("finished", 10, 0)]


def test_readme_shows_the_quickstart():
    assert (ROOT / "client/examples/quickstart.c").read_text() in (ROOT / "README.md").read_text()


@pytest.fixture
def corpus(runtime):
    """Some files of known content, one that cannot be read, one that is empty."""
    path = runtime / "corpus"
    path.mkdir()
    (path / "text.txt").write_text("the quick brown fox jumps over the lazy dog\n" * 3000)
    (path / "noise.bin").write_bytes(os.urandom(100000))
    (path / "empty").write_bytes(b"")
    (path / "missing").symlink_to(path / "nowhere")
    return path


def test_demo(autostarted, db, corpus):
    autostarted(db)
    run(BENCH, "--db", db, "--quick", "--files", 200, "--workers", 4, "--source", ROOT / "proto",
        *sorted(str(p) for p in corpus.iterdir()))
    trials = sqlite(db, "SELECT count(DISTINCT codec || level) FROM predictions")[0][0]
    files = sqlite(db, "SELECT count(DISTINCT input_id) FROM predictions")[0][0]
    assert files >= 204 and trials >= 5
    assert sqlite(db, "SELECT count(*) FROM predictions") == [(files * trials,)]
    assert sqlite(db, "SELECT count(*) FROM (SELECT DISTINCT input_id, codec, level FROM predictions)") == \
        [(files * trials,)]
    assert sqlite(db, "SELECT count(*) FROM predictions WHERE error IS NULL AND prediction IS NOT ground_truth") == [(0,)]
    # The file that cannot be read is a row for each trial, and no abort.
    assert sqlite(db, "SELECT count(*), count(DISTINCT error) FROM predictions WHERE file LIKE '%/missing'") == [(trials, 1)]
    assert sqlite(db, "SELECT status, rejects FROM xt_runs") == [("finished", 0)]
    assert sqlite(db, "SELECT sum(rows) FROM xt_runs") == [(files * trials + trials,)]


def test_demo_sizes_are_what_the_codecs_make(autostarted, db, corpus):
    """Sizes computed again by Python's bindings of the same codecs."""
    autostarted(db)
    run(BENCH, "--db", db, "--quick", "--files", 200, "--workers", 2, "--source", ROOT / "proto", corpus / "text.txt",
        corpus / "noise.bin")
    rows = sqlite(db, "SELECT file, codec, level, size, compressed_size, ratio FROM predictions "
                      "WHERE file LIKE '%/corpus/%' AND codec IN ('zlib', 'bzip2', 'xz')")
    assert len(rows) >= 6
    for file, codec, level, size, compressed, ratio in rows:
        data = Path(file).read_bytes()
        assert size == len(data)
        assert ratio == pytest.approx(size / compressed)
        want = len(COMPRESS[codec](data, level) if codec != "xz" else lzma.compress(data, preset=level))
        assert abs(compressed - want) <= 64, (file, codec, level)  # headers and check sums differ


def test_demo_metrics_are_the_predictions_summed_up(autostarted, db):
    autostarted(db)
    run(BENCH, "--db", db, "--quick", "--files", 200, "--source", ROOT / "proto")
    recomputed = sqlite(db, "SELECT codec, level, sum(size), sum(compressed_size), sum(size) * 1.0 / sum(compressed_size), "
                            "count(*) FROM predictions WHERE error IS NULL GROUP BY codec, level ORDER BY codec, level")
    metrics = sqlite(db, "SELECT codec, level, size, compressed_size, ratio, files FROM metrics ORDER BY codec, level")
    assert len(metrics) == len(recomputed) >= 5
    for a, b in zip(metrics, recomputed):
        assert a[:4] == b[:4] and a[4] == pytest.approx(b[4]) and a[5] >= b[5]


def test_demo_summary(autostarted, db):
    """Each statement of the summary answers, and its columns are named."""
    autostarted(db)
    run(BENCH, "--db", db, "--quick", "--files", 200, "--source", ROOT / "proto")
    statements = (ROOT / "client/examples/summary.sql").read_text().strip().split("\n\n")
    assert len(statements) >= 4
    for sql in statements:
        lines = run(XTCTL, "sql", db, sql, "--format", "csv").splitlines()
        if "What went wrong" not in sql:
            assert len(lines) >= 2, sql


def test_make_demo(autostarted, db):
    """The README's command, on a database of its own, in few files."""
    autostarted(db)
    said = run("make", "-C", ROOT, "demo", f"DB={db}", f"BUILD={BUILD}", "DEMO_FLAGS=--quick --files 200",
               env={**os.environ, "XT_NO_INSTALL": "1"})
    assert sqlite(db, "SELECT count(*), count(error) FROM predictions")[0] == (1000, 0)
    for heading in ("What was measured", "The tightest on each kind of file", "Speed against ratio"):
        assert heading in said
    assert not (ROOT / "benchmark.db").exists() or os.path.getmtime(ROOT / "benchmark.db") < os.path.getmtime(db)


def predictions(db, run):
    return sqlite(db, "SELECT input_id, file, codec, level, size, compressed_size, ratio, ok, ground_truth FROM predictions "
                      "WHERE track_id = ? AND error_type IS NOT 'WorkerDied' ORDER BY input_id, codec, level", run)


def test_demo_run_twice_computes_nothing(autostarted, db):
    autostarted(db)
    args = (BENCH, "--db", db, "--quick", "--files", 200, "--source", ROOT / "proto")
    first = re.search(r"run (\S+)", run(*args)).group(1)
    said = run(*args, "--workers", 3)  # with another number of workers, which is no part of a key
    second = re.search(r"run (\S+)", said).group(1)
    assert re.search(r"^0 measurements made, \d+ from the cache \(100 %\)$", said, re.M)
    assert predictions(db, first) == predictions(db, second) != []
    assert sqlite(db, "SELECT DISTINCT cache, function_time FROM predictions WHERE track_id = ?", second) == [(first, 0.0)]
    assert sqlite(db, "SELECT count(*) FROM predictions WHERE track_id = ? AND cache NOT IN ('', ?)", first, first) == [(0,)]


def test_demo_with_a_worker_killed(autostarted, db):
    """Another one takes what it was at: the run is whole, and nothing that was done is done again."""
    autostarted(db)
    p = subprocess.Popen([str(BENCH), "--db", str(db), "--files", "60", "--workers", "4", "--source", str(ROOT / "proto")],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def begun():
        return sqlite(db, "SELECT count(*) FROM xt_calls")[0][0] if db.exists() else 0
    while p.poll() is None:
        try:
            if begun() > 1 and sqlite(db, "SELECT count(*) FROM predictions")[0][0] > 20:
                break
        except Exception:
            pass
    children = Path(f"/proc/{p.pid}/task/{p.pid}/children").read_text().split()
    os.kill(int(children[1]), signal.SIGKILL)
    out, err = p.communicate(timeout=5 * TIMEOUT)
    assert p.returncode == 0, err
    assert "what it was at goes to another" in err
    name = re.search(r"run (\S+)", out).group(1)
    tasks = sqlite(db, "SELECT files * trials FROM (SELECT count(DISTINCT input_id) AS files, count(DISTINCT codec || level) "
                       "AS trials FROM predictions)")[0][0]
    assert len({(r[0], r[2], r[3]) for r in predictions(db, name)}) == tasks
    assert sqlite(db, "SELECT count(*) FROM (SELECT content, codec, level FROM predictions WHERE cache = '' AND error IS NULL "
                      "GROUP BY 1, 2, 3 HAVING count(*) > 1)") == [(0,)]


def test_demo_interrupted(autostarted, db):
    """Ctrl-C: workers end, the run is failed, what was logged is there."""
    autostarted(db)
    p = subprocess.Popen([str(BENCH), "--db", str(db), "--files", "320", "--source", str(ROOT)],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    while p.poll() is None:
        try:
            if sqlite(db, "SELECT count(*) FROM predictions")[0][0] > 20:
                break
        except Exception:
            pass
    os.killpg(p.pid, signal.SIGINT)
    p.communicate(timeout=5 * TIMEOUT)
    assert p.returncode == 130
    assert sqlite(db, "SELECT status FROM xt_runs") == [("failed",)]
    assert sqlite(db, "SELECT count(*) = count(DISTINCT input_id || codec || level) FROM predictions") == [(1,)]
