"""`inspect`, `validate` and `errors`, on data with the flaws that benchmarks have."""
import json
import sqlite3
import subprocess

import pytest
from conftest import TIMEOUT, XTCTL
from xtctl import needs_xtctl, ok, run

pytestmark = needs_xtctl


def clean(n, **changes):
    """Rows of n inputs as a careful prediction function logs them."""
    rows = [{"input_id": i, "params_model": "a", "prediction": i % 3 == 0, "ground_truth": i % 2 == 0,
             "raw_response": f"answer {i}", "confidence": 0.5 + i / 100, "latency": 0.1 * (i + 1), "error": None,
             "error_type": None, "cache": ""} for i in range(n)]
    for key, value in changes.items():
        for i, row in enumerate(rows):
            row[key] = value(i) if callable(value) else value
    return rows


def found(command, db, *args):
    """{(code, column): (wrong, count)} of --json."""
    p = run(command, db, "--json", *args)
    answer = json.loads(p.stdout)
    assert p.returncode == (0 if answer["ok"] else 1), p.stderr
    assert answer["ok"] == (not any(f["wrong"] for f in answer["findings"]))
    return {(f["code"], f["column"]): (f["wrong"], f["count"]) for f in answer["findings"]}


# ---- inspect --------------------------------------------------------------------


def test_clean_data(served, client):
    client.store(clean(20))
    assert found("inspect", served.db) == {("constant", "params_model"): (False, 20)}
    assert ok("inspect", served.db).endswith("nothing is wrong in 20 rows of 12 columns\n")


@pytest.mark.parametrize("column, value, code, count", [
    ("confidence", lambda i: 1.5 if i < 2 else 0.3, "out_of_range", 2),
    ("confidence", lambda i: -0.1 if i < 3 else 0.3, "out_of_range", 3),
    ("wordProb", lambda i: 2 if i == 0 else 0.5, "out_of_range", 1),
    ("latency", lambda i: -1.0 if i == 4 else 1.0 + i, "negative_values", 1),
    ("token_count", lambda i: -1 if i < 2 else i, "negative_values", 2),
    ("cost", lambda i: float("-inf") if i == 0 else float(i), "infinite_values", 1),
    ("raw_response", lambda i: " \n" if i < 5 else f"x{i}", "empty_text", 5),
    ("raw_response", lambda i: None if i < 5 else f"x{i}", "missing_values", 5),
    ("prediction", lambda i: None if i == 3 else i, "missing_values", 1),
    ("params_model", lambda i: None if i < 6 else "a", "missing_values", 6),
    ("prediction", "positive", "constant", 20),
    ("confidence", 0.9, "constant", 20),
    ("accuracy", lambda i: f"0.{i}", "numbers_as_text", 20),
    ("loss", lambda i: "1e-3", "numbers_as_text", 20),
    ("latency", lambda i: "fast" if i < 3 else 0.5, "mixed_types", 3),
    ("size", lambda i: "large", "text_for_number", 20),
])
def test_one_flaw(served, client, column, value, code, count):
    client.store(clean(20, **{column: value}))
    wrong = {k: v for k, v in found("inspect", served.db).items() if v[0]}
    assert wrong[code, column] == (True, count)
    assert set(wrong) <= {(code, column), ("negative_values", column), ("infinite_values", column)}
    words = run("inspect", served.db)
    assert words.returncode == 1 and f"wrong: '{column}' " in words.stdout and " wrong\n" in words.stdout


@pytest.mark.parametrize("column, value", [
    ("log_prob", lambda i: -0.1 * i), ("accuracy_percent", lambda i: 90 + i / 10), ("time_delta", lambda i: i - 10),
    ("problem_id", lambda i: i * 10), ("learning_rate", 3.0), ("accuracy", 1.0), ("passed", True), ("zip", "01234"),
    ("time_stamp", "2024-01-01"), ("error", ""), ("cache", None),
])
def test_what_is_no_flaw(served, client, column, value):
    client.store(clean(20, **{column: value}))
    assert not [k for k, v in found("inspect", served.db).items() if v[0]]


def test_failed_executions_may_lack_results(served, client):
    rows = clean(10) + [{"input_id": 10 + i, "params_model": "a", "prediction": None, "raw_response": "", "confidence": None,
                         "error": "no answer", "error_type": "Timeout"} for i in range(4)]
    client.store(rows)
    result = found("inspect", served.db)
    assert not [k for k, v in result.items() if v[0]]
    assert result["failed_executions", None] == (False, 4)
    assert result["null_values", "prediction"] == (False, 4)
    client.store([{"input_id": 20, "params_model": "a", "prediction": None}])
    assert "wrong: 'prediction' is NULL in 1 of 11 rows (9.1 %) whose execution did not fail\n" in run("inspect", served.db).stdout


def test_inspect_golden(served, client):
    client.store(clean(12, confidence=lambda i: 1.25 if i < 3 else 0.5, latency=lambda i: -0.5 if i == 0 else 2.0 + i,
                       note=lambda i: None if i < 9 else "x", prediction="yes", raw_response=lambda i: "" if i == 7 else "a"))
    p = run("inspect", served.db)
    assert p.returncode == 1
    assert p.stdout == """\
note:  'params_model' is 'a' in all 12 rows that have it
wrong: 'prediction' is 'yes' in all 12 rows that have it
wrong: 'raw_response' is empty in 1 of 12 rows (8.3 %): is the model's answer kept?
wrong: 'confidence' is outside 0 to 1 in 3 of 12 rows (25 %): from 0.5 to 1.25; percentages are better called so: 'confidence_percent'
wrong: 'latency' is negative in 1 of 12 rows (8.3 %), down to -0.5
note:  'note' is NULL in 9 of 12 rows (75 %)
4 things are wrong
"""


def test_only_one_run(served, client):
    client.store(clean(12, latency=-1.0), track_id="bad")
    client.store(clean(12), track_id="good")
    assert not [k for k, v in found("inspect", served.db, "--track-id", "good").items() if v[0]]
    assert found("inspect", served.db, "--track-id", "bad")["negative_values", "latency"] == (True, 12)
    assert "there is no run 'nobody'" in run("inspect", served.db, "--track-id", "nobody").stderr
    assert found("inspect", served.db, "--where", "input_id=99") == {("no_rows", None): (True, 0)}


def test_only_some_rows(served, client):
    client.store(clean(12, latency=-1.0, params_model="bad"), track_id="r")
    client.store(clean(12), track_id="r")
    bad, good = ["--where", "params_model=bad"], ["--where", "params_model!=bad", "--where", "latency > 0"]
    assert found("inspect", served.db, *bad)["negative_values", "latency"] == (True, 12)
    assert not [k for k, v in found("inspect", served.db, *good).items() if v[0]]
    assert found("inspect", served.db, "--where", "latency>1000") == {("no_rows", None): (True, 0)}
    assert found("validate", served.db, "--where", "latency>1000") == {("no_rows", None): (True, 0)}
    client.store(clean(3), track_id="s")
    assert found("validate", served.db)["repeated", "input_id"] == (False, 3)
    assert ("repeated", "input_id") not in found("validate", served.db, *bad)
    assert ok("errors", served.db, *bad) == "no execution failed: 12 rows in 'events'\n"
    p = run("inspect", served.db, "--where", "model=bad")
    assert p.returncode == 1 and "did you mean 'params_model'" in p.stderr


def test_few_rows_or_none(served, client):
    p = run("inspect", served.db)
    assert p.returncode == 1 and "nothing was logged yet" in p.stderr
    client.store(clean(1))
    assert found("inspect", served.db) == {}
    client.change("exec", sql="DELETE FROM events")
    assert found("inspect", served.db) == {("no_rows", None): (True, 0)}
    assert found("validate", served.db) == {("no_rows", None): (True, 0)}


def test_columns_of_nothing_but_null(served, client):
    client.store([{"a": None, "prediction": None, "confidence": float("nan")}] * 11)
    assert found("inspect", served.db) == {("null_column", "a"): (False, 11), ("missing_values", "prediction"): (True, 11),
                                           ("null_column", "confidence"): (False, 11)}


def test_odd_names_and_values(served, client):
    table = "we\"ird 'täble' 🐍"
    client.store([{"select": -1, "größe 🐍": 1, "latency \"x\"": -1.0, "prob'": 2, "blob": b"\0" * 100000,
                   "text": "\x1b[31m" + "y" * 100000} for _ in range(12)], table=table)
    result = found("inspect", served.db, "--table", table)
    assert result["negative_values", "latency__x_"] == (True, 12) and result["out_of_range", "prob_"] == (True, 12)
    out = run("inspect", served.db, "--table", table).stdout
    assert "\x1b" not in out and "…'" in out


def test_very_many_columns(served, client):
    client.store([{f"latency_{i}": -1 if i == 1500 else 1 for i in range(1990)}] * 3)
    assert found("inspect", served.db) == {("negative_values", "latency_1500"): (True, 3)}


def test_tables_of_other_programs(daemon, db):
    with sqlite3.connect(db) as other:
        other.execute("CREATE TABLE events(track_id TEXT, timestamp TEXT, accuracy TEXT, latency INTEGER)")
        other.executemany("INSERT INTO events VALUES ('a', '2024', ?, ?)", [("0.5", "x"), ("0.75", 3)])
    other.close()
    daemon(db, "--read-only")
    assert found("inspect", db) == {("numbers_as_text", "accuracy"): (True, 2), ("mixed_types", "latency"): (True, 1)}
    assert not [k for k, v in found("validate", db).items() if v[0]]


# ---- validate -------------------------------------------------------------------


def test_a_clean_benchmark(served, client):
    for model in "ab":  # other parameters: a comparison, no leak
        client.store(clean(5, params_model=model), track_id=f"run-{model}")
    assert found("validate", served.db) == {("cache", "cache"): (False, 0), ("shared_inputs", "input_id"): (False, 5),
                                            ("combinations", None): (False, 2),
                                            ("running_runs", None): (False, 2)}


def test_an_input_that_two_runs_evaluated(served, client):
    client.store(clean(5), track_id="run-a")
    client.store(clean(3), track_id="run-b")
    assert found("validate", served.db)["repeated", "input_id"] == (False, 3)  # a repetition
    words = run("validate", served.db)
    assert words.returncode == 0 and "such as 0 by 'run-a' and 'run-b': as repetitions" in words.stdout


def test_inputs_of_several_combinations_count_once(served, client):
    """Of five runs two of each model: the pair that is named is one of the same model."""
    for name, model in (("run-a", "x"), ("run-b", "y"), ("run-c", "x"), ("run-d", "y"), ("run-e", "z")):
        client.store(clean(4, params_model=model), track_id=name)
    assert found("validate", served.db)["repeated", "input_id"] == (False, 4)
    words = ok("validate", served.db)
    assert "by 'run-a' and 'run-c'" in words or "by 'run-b' and 'run-d'" in words


def missing(db, *args):
    found = json.loads(run("validate", db, "--json", *args).stdout)["findings"]
    return [(f["count"], f["message"]) for f in found if f["code"] == "missing_inputs"]


def test_an_input_that_one_model_lacks(served, client):
    """A worker that died leaves one out, and all else looks well."""
    rows = [dict(r, input_id=f"i{r['input_id']}") for r in clean(40)]
    for model in ("alpha", "beta", "gamma"):
        client.store([dict(r, params_model=model, params_lr=0.5) for r in rows if (model, r["input_id"]) != ("beta", "i17")])
    assert missing(served.db) == [(1, "model 'beta' lacks 1 of 40 inputs that others have, such as 'i17'")]
    assert run("validate", served.db).returncode == 0
    client.store([dict(rows[17], params_model="beta", params_lr=0.5, error="no answer")])  # which failed, but is there
    assert missing(served.db) == []


def test_how_many_combinations_lack_inputs_is_told(served, client):
    for seed in range(8):
        client.store([dict(r, params_seed=seed) for r in clean(20)[seed:]])
    said = missing(served.db)
    assert [n for n, _ in said] == [1, 2, 3, 4, 5, 2] and said[1][1] == "seed 2 lacks 2 of 20 inputs that others have, such as 0"
    assert said[-1][1] == "2 more combinations of parameters lack inputs that others have"
    assert missing(served.db, "--params", "params_model") == []


def test_experiments_over_other_inputs_lack_none_of_each_others(served, client):
    for model in range(3):
        client.store([dict(r, params_model=model, input_id=model * 100 + r["input_id"]) for r in clean(10)])
    assert missing(served.db) == []


def test_very_many_combinations_are_not_held_against_each_other(served, client):
    client.store([{"input_id": i, "params_seed": i % 2001} for i in range(2100)])
    assert missing(served.db) == [] and found("validate", served.db)["many_combinations", "input_id"] == (False, 2001)


def test_a_leak_between_splits(served, client):
    client.store(clean(5, split="train"), track_id="run-a")
    client.store([dict(r, input_id=r["input_id"] + 3) for r in clean(5, split="test")], track_id="run-b")
    assert found("validate", served.db)["leak", "input_id"] == (True, 2)
    assert "such as 3 in 'test' and 'train'" in run("validate", served.db).stdout


def test_parameters_by_other_names_are_no_duplicates(served, client):
    rows = [{"input_id": i, "model": m, "level": k, "correct": (i + k) % 2, "seconds": 0.1 * i + k} for i in range(6)
            for m in ("small", "large") for k in (1, 2)]
    client.store(rows, track_id="run-a")
    result = found("validate", served.db)
    assert result["assumed_parameters", None] == (False, 2) and not any(wrong for wrong, _ in result.values())
    assert "rows of one input differ in 'model', 'level'" in ok("validate", served.db)
    client.store(rows[:3], track_id="run-b")  # each with parameters of its own
    assert found("validate", served.db)["repeated", "input_id"] == (False, 1)
    client.store(rows[:1], track_id="run-b")
    result = found("validate", served.db)  # it may be one, or there is a parameter that nobody logged
    assert result["duplicate", "input_id"] == (False, 1)
    assert "--params COLUMN,… names parameters" in ok("validate", served.db)
    assert found("validate", served.db, "--params", "model,level")["duplicate", "input_id"] == (True, 1)


def test_parameters_among_very_many_columns(served, client):
    row = {f"c{i} \"é\"": i for i in range(450)}
    client.store([dict(row, input_id=i, **{"select 🐍": k, "text": f"{i}{k}"}) for i in range(20) for k in ("x", None)], track_id="r")
    result = found("validate", served.db)
    assert result["assumed_parameters", None] == (False, 1) and not any(wrong for wrong, _ in result.values())
    assert "rows of one input differ in 'select" in ok("validate", served.db)


def test_rows_that_are_the_same_in_everything(served, client):
    client.store([{"input_id": 1, "model": "a"}] * 2 + [{"input_id": 2, "model": "a"}], track_id="run-a")
    assert found("validate", served.db)["duplicate", "input_id"] == (True, 1)


def test_results_from_the_cache_and_failures_are_no_leak(served, client):
    client.store(clean(5), track_id="run-a")
    client.store(clean(5, cache="run-a"), track_id="run-b")
    client.store(clean(5, error="again", error_type="Busy", prediction=None), track_id="run-c")
    result = found("validate", served.db, "--max-failed", "50")
    assert ("repeated", "input_id") not in result and ("duplicate", "input_id") not in result
    assert result["cache", "cache"] == (False, 5) and result["failed_executions", None] == (False, 5)
    assert found("validate", served.db)["failed_executions", None] == (True, 5)
    assert found("validate", served.db, "--max-failed", "33")["failed_executions", None] == (True, 5)


def test_null_is_no_hit(served, client):
    client.store(clean(4, cache=lambda i: None if i < 2 else "" if i == 2 else "run-a"), track_id="run-b")
    assert found("validate", served.db)["cache", "cache"] == (False, 1)
    assert "1 of 4 rows (25 %); 1 were computed, of 2 nothing is said" in run("validate", served.db).stdout


def test_an_input_that_one_run_evaluated_twice(served, client):
    client.store(clean(5) + clean(2) + clean(1), track_id="run-a")
    assert found("validate", served.db)["duplicate", "input_id"] == (True, 3)


def test_parameters_that_are_missing(served, client):
    client.store(clean(6, params_model=lambda i: None if i < 2 else "a", input_id=lambda i: None if i == 5 else i))
    result = found("validate", served.db)
    assert result["null_parameter", "params_model"] == (True, 2)
    assert result["null_input", "input_id"] == (True, 1)


def test_other_names(served, client):
    rows = [{"file": f, "codec": c, "error": None} for f in "xyz" for c in ("zstd", "lz4")]
    client.store(rows, track_id="run-a")
    client.store(rows[:2], track_id="run-b")
    assert found("validate", served.db)["no_input_column", None] == (False, 0)
    assert found("validate", served.db, "--input", "file", "--params", "codec")["repeated", "file"] == (False, 1)
    result = found("validate", served.db, "--input", "file", "--params", "error")
    assert result["duplicate", "file"] == (True, 4) and result["null_parameter", "error"] == (True, 8)
    for args in (["--input", "fiel"], ["--params", "codek"]):
        p = run("validate", served.db, *args)
        assert p.returncode == 1 and "did you mean" in p.stderr


def test_without_parameters_in_rows_those_of_the_run_count(served, client):
    for name, model in (("run-a", "a"), ("run-b", "b"), ("run-c", "b")):
        client.change("run_start", track_id=name, params={"model": model})
        client.store([{"input_id": i} for i in range(2)], track_id=name)
    assert found("validate", served.db)["repeated", "input_id"] == (False, 2)
    assert "'run-b' and 'run-c'" in run("validate", served.db).stdout


def test_what_a_function_was_called_with(served, client):
    rows = [{"input_id": 1, "function_name": "f", "args": args} for args in ("[1]", "[2]")]
    client.store(rows, track_id="run-a")
    assert ("duplicate", "input_id") not in found("validate", served.db)
    client.store(rows[:1], track_id="run-a")
    assert found("validate", served.db)["duplicate", "input_id"] == (True, 1)


def test_rejected_rows_and_versions(served, client):
    client.store(clean(3, code_commit=lambda i: f"c{i}", git_sha=lambda i: f"d{i // 2}", data_version="v1"), track_id="run-a")
    client.store({"input_id": 2**63}, track_id="run-a")
    client.change("run_finish", track_id="run-a", status="finished")
    result = found("validate", served.db)
    assert result["rejected_rows", None] == (True, 1) and result["mixed_versions", "code_commit"] == (False, 3)
    assert result["mixed_versions", "git_sha"] == (False, 2) and ("mixed_versions", "data_version") not in result


# ---- errors ---------------------------------------------------------------------


@pytest.fixture
def failing(served, client):
    for i, (model, kind) in enumerate([("a", None), ("a", "Timeout"), ("b", "Timeout"), ("b", "ValueError"), ("b", ""),
                                       (None, None)]):
        client.store({"params_model": model, "error": f"message {i}" if kind is not None else None, "error_type": kind},
                     time=1_700_000_000_000_000 + i * 1_000_000, track_id="r")
    return served.db


def test_errors_by_type(failing):
    p = run("errors", failing, "--json")
    assert p.returncode == 1
    rows = json.loads(p.stdout)
    assert [(r["error_type"], r["count"], r["example"]) for r in rows] == [
        ("Timeout", 2, "message 1"), ("ValueError", 1, "message 3"), ("unnamed", 1, "message 4")]
    assert rows[0]["percent"] == pytest.approx(100 / 3)
    assert (rows[0]["first"], rows[0]["last"]) == ("2023-11-14 22:13:21.000000", "2023-11-14 22:13:22.000000")


def test_errors_by_parameter(failing):
    rows = json.loads(run("errors", failing, "--by", "params_model", "--json").stdout)
    assert [(r["params_model"], r["executions"], r["failed"], r["percent"]) for r in rows] == [
        ("b", 3, 3, 100), ("a", 2, 1, 50), (None, 1, 0, 0)]
    assert set(rows[0]["error_types"].split(",")) == {"Timeout", "ValueError", "unnamed"}
    p = run("errors", failing, "--by", "model")
    assert p.returncode == 1 and "did you mean 'params_model'" in p.stderr


def test_no_errors(served, client):
    client.store(clean(5))
    assert ok("errors", served.db) == "no execution failed: 5 rows in 'events'\n"
    assert ok("errors", served.db, "--json") == "[]\n"
    assert json.loads(ok("errors", served.db, "--by", "params_model", "--json"))[0]["failed"] == 0
    client.store({"a": 1}, table="plain")
    p = run("errors", served.db, "--table", "plain")
    assert p.returncode == 1 and "neither a column 'error' nor 'error_type'" in p.stderr


def test_errors_of_some_rows(failing):
    rows = json.loads(run("errors", failing, "--where", "params_model=b", "--json").stdout)
    assert [(r["error_type"], r["count"], round(r["percent"])) for r in rows] == [("Timeout", 1, 33), ("ValueError", 1, 33),
                                                                             ("unnamed", 1, 33)]
    rows = json.loads(run("errors", failing, "--where", "params_model!=b", "--by", "params_model", "--json").stdout)
    assert [(r["params_model"], r["failed"]) for r in rows] == [("a", 1), (None, 0)]


def test_errors_of_one_run(failing, client):
    client.store({"error_type": "Other", "error": "x" * 100000}, track_id="s")
    rows = json.loads(run("errors", failing, "--track-id", "s", "--json").stdout)
    assert [(r["error_type"], r["count"], r["percent"], len(r["example"])) for r in rows] == [("Other", 1, 100, 200)]


# ---- all of them ----------------------------------------------------------------


@pytest.mark.parametrize("command", ["inspect", "validate", "errors"])
def test_a_closed_pipe_and_no_daemon(served, client, command, monkeypatch):
    client.store(clean(3))
    p = subprocess.Popen([XTCTL, command, served.db], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    p.stdout.close()
    assert p.wait(TIMEOUT) == 0 and p.stderr.read() == b""
    p.stderr.close()
    p = run(command, served.db, "--table", "nope")
    assert p.returncode == 1 and "nope" in p.stderr
    monkeypatch.setenv("XETRACK_AUTOSTART", "0")
    p = run(command, str(served.db) + ".missing")
    assert p.returncode == 1 and "no database" in p.stderr
