"""The Python examples, each run twice: the second time nothing is computed."""
import json
import re
import subprocess
import sys

import pytest
from conftest import ROOT, TIMEOUT, sqlite

EXAMPLES = ROOT / "client" / "examples" / "python"


def run(name, *args, status=0):
    p = subprocess.run([sys.executable, "-W", "error::xetrackd.XetrackWarning", str(EXAMPLES / name), *args], capture_output=True,
                       text=True, timeout=5 * TIMEOUT)
    assert p.returncode == status, (p.stdout, p.stderr)
    assert status or p.stderr == "", p.stderr
    return p.stdout


def calls(said):
    """(calls, computed, from the cache) as the last line says."""
    return tuple(map(int, re.fullmatch(r"(\d+) calls: (\d+) computed, (\d+) from the cache", said.splitlines()[-1]).groups()))


def runs_of(table):
    return sqlite("benchmark.db", f"SELECT track_id, count(*), sum(cache = '') FROM {table} GROUP BY 1 ORDER BY min(timestamp)")


def test_quickstart(here):
    first, second = run("quickstart.py"), run("quickstart.py")
    name = re.match(r"run (\S+): best threshold 0.4", first).group(1)
    assert first.count("computed") == 3 and second.count(f"from run {name}") == 3
    assert sqlite("benchmark.db", "SELECT count(*), count(loss), sum(cache = ''), sum(cache != '') FROM events") == [(26, 20, 3, 3)]
    assert sqlite("benchmark.db", "SELECT DISTINCT status, rows FROM xt_runs") == [("finished", 13)]
    assert len(run("quickstart.py", "other.db")) > 0 and sqlite("other.db", "SELECT count(*) FROM events") == [(13,)]


def test_what_the_readme_shows(here):
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    p = subprocess.run([sys.executable, "-"], input=code, capture_output=True, text=True, timeout=TIMEOUT)
    assert p.returncode == 0 and "[11 rows x" in p.stdout, p.stderr
    assert sqlite("benchmark.db", "SELECT count(loss), count(accuracy) FROM events") == [(10, 1)]


@pytest.mark.parametrize("data,test", [("wine", 45), ("breast_cancer", 143)])
def test_sklearn_models(here, data, test):
    pytest.importorskip("sklearn")
    args = ("--dataset", data, "--workers", "3")
    assert calls(run("sklearn_models.py", *args)) == (6 * (test + 1), 6 * (test + 1), 0)
    first, = runs_of("predictions")
    assert calls(run("sklearn_models.py", *args)) == (6 * (test + 1), 0, 6 * (test + 1))
    assert runs_of("predictions")[0] == first and [r[1:] for r in runs_of("predictions")] == [(6 * test, 6 * test), (6 * test, 0)]
    assert sqlite("benchmark.db", "SELECT count(*), count(DISTINCT model) FROM fits") == [(12, 6)]
    assert sqlite("benchmark.db", "SELECT count(*) FROM xt_assets") == [(6,)]
    recomputed = sqlite("benchmark.db", "SELECT params_kind, params_strength, avg(prediction = ground_truth) FROM predictions "
                                        "WHERE track_id = ? GROUP BY 1, 2 ORDER BY 1, 2", first[0])
    logged = sqlite("benchmark.db", "SELECT DISTINCT kind, strength, test_accuracy FROM metrics ORDER BY 1, 2")
    assert [(k, s, pytest.approx(a)) for k, s, a in recomputed] == logged and max(a for *_, a in logged) > 0.9
    assert sqlite("benchmark.db", "SELECT min(train_accuracy) > 0.5 FROM fits") == [(1,)]


def test_llm_prompts(here):
    first, second = run("llm_prompts.py"), run("llm_prompts.py")
    assert calls(first) == (78, 78, 0) and calls(second) == (78, 0, 78)
    assert first.splitlines()[:-1] == second.splitlines()[:-1]  # the same table, from rows of the cache
    rows = sqlite("benchmark.db", "SELECT raw_response, tokens, cost, latency, attempts, error_type FROM answers WHERE cache = ''")
    good = [json.loads(raw) for raw, *_, error_type in rows if error_type is None]
    assert len(good) == 72 and all(answer["text"] and answer["finish_reason"] == "stop" for answer in good)
    assert {e for *_, e in rows} == {None, "context_length_exceeded"}
    assert all(tokens > 0 and cost > 0 for _, tokens, cost, _, _, e in rows if e is None)
    again = [(latency, attempts) for _, _, _, latency, attempts, _ in rows if attempts > 1]
    assert again and any(latency > 0.3 for latency, _ in again)  # one that was not answered in time
    assert sqlite("benchmark.db", "SELECT count(*), sum(n), sum(errors), count(DISTINCT accuracy) > 1 FROM prompts") == [(12, 156, 12, 1)]


def test_throughput(here):
    args = ("--clients", "1", "3", "--requests", "50")
    first, second = run("throughput.py", *args), run("throughput.py", *args)
    assert calls(first) == (2, 2, 0) and calls(second) == (2, 0, 2)
    assert first.splitlines()[:-1] == second.splitlines()[:-1]
    assert sqlite("benchmark.db", "SELECT clients, count(*), count(DISTINCT client), sum(ok) FROM requests GROUP BY 1") == [
        (1, 50, 1, 50), (3, 150, 3, 150)]
    for clients, p50, most in sqlite("benchmark.db", "SELECT clients, p50_ms, max_ms FROM throughput"):
        times = sorted(t for t, in sqlite("benchmark.db", "SELECT latency_ms FROM requests WHERE clients = ?", clients))
        assert times[len(times) // 2] == p50 <= most == times[-1]
    assert calls(run("throughput.py", *args, "--again")) == (2, 2, 0)
    assert sqlite("benchmark.db", "SELECT count(*) FROM requests") == [(400,)]


def test_throughput_is_sampled(here):
    run("throughput.py", "--clients", "2")
    (cpu, memory), = sqlite("benchmark.db", "SELECT cpu, p_memory_percent FROM throughput")
    assert cpu >= 0 and 0 < memory < 100


@pytest.mark.parametrize("name", sorted(p.name for p in EXAMPLES.glob("*.py") if "__main__" in p.read_text()))
def test_docstring_says_how(name):
    assert f"python3 {name}" in (EXAMPLES / name).read_text().split('"""')[1]
