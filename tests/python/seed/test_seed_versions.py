"""Code, data and results under git: tags of experiments, tables and files of their own, and a schema that does not drift."""
import os
import sqlite3
import subprocess
import sys
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path

import pytest
from conftest import sqlite
from gang import WORKERS, in_workers
from subject import ModelParams, accuracy, dataset, git, predict, sql, xt

from xetrackd import Reader, Tracker

N = 12

# ---- versions of code and data as parameters


def get_git_hash():
    return subprocess.check_output(["git", "rev-parse", "HEAD"]).decode().strip()


def get_data_version():
    return subprocess.check_output(["git", "log", "-n", "1", "--pretty=format:%H", "--", "data.dvc"]).decode().strip()


def versioned(worker):
    tracker = Tracker(db="benchmark.db", engine="duckdb", params={
        "git_hash": get_git_hash(), "git_branch": subprocess.check_output(["git", "branch", "--show-current"]).decode().strip(),
        "data_version": get_data_version(), "experiment_name": "quiet-river-0001"})
    tracker.log({"accuracy": 0.9, "worker": worker})


def test_git_state(repo):
    git("checkout", "-qb", "experiment/quiet-river-0001")
    versioned(0)
    head = git("rev-parse", "HEAD")
    assert sql("benchmark.db", "SELECT git_hash, git_branch, data_version FROM events") == [
        (head, "experiment/quiet-river-0001", head)]
    (repo / "model.py").write_text("threshold = 0.6\n")
    git("commit", "-qam", "model: higher")
    versioned(1)
    assert sql("benchmark.db", "SELECT count(DISTINCT git_hash), count(DISTINCT data_version) FROM events") == [(2, 1)]


def test_git_state_in_workers(repo):
    in_workers(versioned)
    assert sql("benchmark.db", "SELECT git_hash, data_version, count(*), count(DISTINCT worker) FROM events GROUP BY 1, 2") == [
        (get_git_hash(), get_data_version(), WORKERS, WORKERS)]


def get_versions():
    code = subprocess.check_output(["git", "rev-parse", "HEAD"]).decode().strip()
    return code[:7], get_data_version()[:7]


def check_data_committed():
    """Changed, staged, or fine."""
    if subprocess.run(["git", "diff", "--quiet", "data.dvc"], capture_output=True).returncode:
        return "changed"
    if subprocess.run(["git", "diff", "--cached", "--quiet", "data.dvc"], capture_output=True).returncode:
        return "staged"
    return "committed"


def experiment_of(number):
    """A row of metrics with both versions."""
    code_commit, data_commit = get_versions()
    Tracker(db="benchmark.db", table="metrics", params={"code_commit": code_commit, "data_commit": data_commit}).log(
        {"model": "m", "experiment_version": f"e0.0.{number}", "accuracy": number / 10})


def test_both_versions_in_workers(repo):
    in_workers(experiment_of)
    assert sql("benchmark.db", "SELECT code_commit, data_commit, count(*), count(DISTINCT experiment_version) FROM metrics GROUP BY 1, 2") == [
        (*get_versions(), WORKERS, WORKERS)]


def test_same_data_other_code(repo):
    """Four experiments: the data changes once, the code at every one."""
    for number in range(4):
        if number == 2:
            (repo / "data.dvc").write_text("md5: 2\n")
            assert check_data_committed() == "changed"
            git("add", "data.dvc")
            assert check_data_committed() == "staged"
        (repo / "model.py").write_text(f"threshold = {number}\n")
        git("commit", "-qam", f"experiment {number}")
        assert check_data_committed() == "committed"
        experiment_of(number)
    first = sql("benchmark.db", "SELECT data_commit FROM metrics ORDER BY timestamp LIMIT 1")[0][0]
    said = xt("sql", "benchmark.db", "SELECT experiment_version, model, accuracy, code_commit, data_commit FROM metrics "
                                     f"WHERE data_commit = '{first}' ORDER BY accuracy DESC", "--format", "csv")
    assert [line.split(",")[0] for line in said.splitlines()[1:]] == ["e0.0.1", "e0.0.0"]
    said = xt("sql", "benchmark.db", "SELECT experiment_version, accuracy, data_commit FROM metrics "
                                     f"WHERE code_commit = '{get_versions()[0]}' ORDER BY data_commit", "--format", "csv")
    assert [line.split(",")[0] for line in said.splitlines()[1:]] == ["e0.0.3"]


# ---- tags


def get_latest_experiment_tag():
    tags = subprocess.check_output(["git", "tag", "-l", "e*"]).decode().split()
    return max(tags, key=lambda t: [int(x) for x in t.lstrip("e").split(".")], default="e0.0.0")


def increment_tag(tag):
    *head, last = tag.lstrip("e").split(".")
    return "e" + ".".join([*head, str(int(last) + 1)])


def generate_tag_description(results, params):
    parts = [f"model={params['model']}"] if "model" in params else []
    parts += [f"lr={params['learning_rate']}"] if "learning_rate" in params else []
    parts += [f"acc={results['accuracy']:.4f}"] if "accuracy" in results else []
    return " | ".join([*parts, f"data={get_data_version()[:7]}"])


def tagged_experiment(worker, tag, threshold=0.5):
    """Both tables, all rows of which have the tag."""
    predictions = Tracker(db="benchmark.db", engine="duckdb", table="predictions", params={"experiment_version": tag})
    metrics = Tracker(db="benchmark.db", engine="duckdb", table="metrics", params={"experiment_version": tag})
    results = [predictions.track(predict, args=[item, ModelParams("cut", threshold)]) for item in dataset(N)]
    metrics.log({"model": "cut", "accuracy": accuracy(results), "experiment_version": tag})
    return accuracy(results)


def test_tags(repo):
    assert get_latest_experiment_tag() == "e0.0.0" and increment_tag("e0.0.9") == "e0.0.10"
    git("tag", "v1.0.0")
    shares = {}
    for threshold in (0.5, 0.3):
        tag = increment_tag(get_latest_experiment_tag())
        shares[tag] = tagged_experiment(0, tag, threshold)
        git("tag", "-a", tag, "-m", generate_tag_description({"accuracy": shares[tag]}, {"model": "cut", "learning_rate": 0.1}))
    assert list(shares) == ["e0.0.1", "e0.0.2"] and shares["e0.0.1"] != shares["e0.0.2"]
    history = git("tag", "-l", "e*", "-n9").splitlines()
    assert len(history) == 2 and f"acc={shares['e0.0.2']:.4f}" in history[1]
    git("tag", "e0.0.10")
    assert get_latest_experiment_tag() == "e0.0.10"
    said = xt("sql", "benchmark.db", """
        SELECT
            experiment_version,
            AVG(CASE WHEN prediction = ground_truth THEN 1.0 ELSE 0.0 END) as accuracy
        FROM db.predictions
        WHERE experiment_version IN ('e0.0.1', 'e0.0.2')
        GROUP BY experiment_version;""", "--format", "csv").splitlines()[1:]
    assert [(line.split(",")[0], float(line.split(",")[1])) for line in said] == [(t, pytest.approx(a)) for t, a in shares.items()]
    assert "e0.0.2" in xt("sql", "benchmark.db", "SELECT * FROM db.metrics WHERE experiment_version = 'e0.0.2'")


def test_tags_in_workers(repo):
    assert len(set(in_workers(tagged_experiment, "e0.0.1"))) == 1
    assert sql("benchmark.db", "SELECT experiment_version, count(*) FROM predictions GROUP BY 1") == [("e0.0.1", WORKERS * N)]
    assert sql("benchmark.db", "SELECT experiment_version, count(*) FROM metrics GROUP BY 1") == [("e0.0.1", WORKERS)]


# ---- the database itself under git

RUN_EXPERIMENT = """
import argparse, sys
sys.path.insert(0, {here!r})
from test_seed_versions import increment_tag, get_latest_experiment_tag, tagged_experiment
parser = argparse.ArgumentParser()
parser.add_argument("--threshold", type=float, required=True)
args = parser.parse_args()
tag = increment_tag(get_latest_experiment_tag())
print(tag, tagged_experiment(0, tag, args.threshold))
"""


def run_experiment(threshold):
    """A script that runs the next experiment, then the commit of its results, and its tag."""
    Path("run_experiment.py").write_text(RUN_EXPERIMENT.format(here=str(Path(__file__).parent)))
    p = subprocess.run([sys.executable, "run_experiment.py", "--threshold", str(threshold)], capture_output=True, text=True,
                       env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))})
    assert p.returncode == 0, p.stderr
    tag, share = p.stdout.split()
    xt("down", "benchmark.db")  # all of it is in the file now
    git("add", "benchmark.db")
    git("commit", "-qm", f"experiment: {tag}")
    git("tag", "-a", tag, "-m", f"threshold={threshold} | acc={float(share):.4f}")
    xt("up", "benchmark.db")
    return tag


def test_results_in_git(repo):
    """Each tag has the database of its moment."""
    assert [run_experiment(t) for t in (0.5, 0.3)] == ["e0.0.1", "e0.0.2"]
    for tag, runs in (("e0.0.1", 1), ("e0.0.2", 2)):
        Path(f"{tag}.db").write_bytes(subprocess.check_output(["git", "show", f"{tag}:benchmark.db"]))
        assert sqlite(f"{tag}.db", "SELECT count(*), count(DISTINCT track_id) FROM predictions") == [(runs * N, runs)]
        assert sqlite(f"{tag}.db", "PRAGMA integrity_check") == [("ok",)]


def test_checkout_under_a_live_daemon(repo):
    """git replaces the file while it is served: readers see the old experiment, and writers add to it."""
    for threshold in (0.5, 0.3):
        run_experiment(threshold)
    reader = Reader("benchmark.db", table="predictions")
    assert set(reader.to_df()["experiment_version"]) == {"e0.0.1", "e0.0.2"}
    git("checkout", "-q", "e0.0.1")
    assert f",{N}" in xt("sql", "benchmark.db", "SELECT experiment_version, count(*) FROM predictions GROUP BY 1", "--format", "csv")
    assert set(Reader("benchmark.db", table="predictions").to_df()["experiment_version"]) == {"e0.0.1"}
    tagged_experiment(0, "e0.0.7")
    df = Reader("benchmark.db", table="predictions").to_df()
    assert df.groupby("experiment_version").size().to_dict() == {"e0.0.1": N, "e0.0.7": N}


def test_commit_hashes_logged_afterwards(repo):
    """The commit of the results is known only then: as a row of metrics, and in a file."""
    tag = run_experiment(0.5)
    db_commit, data_commit = git("rev-parse", "HEAD"), get_data_version()
    Tracker(db="benchmark.db", table="metrics").log({"experiment_version": tag, "db_commit": db_commit[:7],
                                                     "data_commit": data_commit[:7], "accuracy": 0.85, "model": "cut"})
    with open("experiment_log.txt", "a") as f:
        f.write(f"{tag}|{db_commit}|{data_commit}\n")
    df = Reader("benchmark.db", table="metrics").to_df()
    assert list(df["experiment_version"]) == [tag, tag] and list(df["db_commit"].dropna()) == [db_commit[:7]]
    assert git("rev-parse", f"{tag}^{{}}") == db_commit
    assert subprocess.run(["git", "diff", "--quiet", "data.dvc"]).returncode == 0


# ---- a table, or a file, for each experiment


def table_each(worker):
    experiment_name = f"exp{worker:03}"
    tracker = Tracker(db="benchmark.db", table=f"predictions_{experiment_name}", params={"experiment": experiment_name})
    for item in dataset(N):
        tracker.track(predict, args=[item, ModelParams("cut")])


def test_table_each(here):
    for worker in range(2):
        table_each(worker)
    assert sql("benchmark.db", "SELECT count(*) FROM predictions_exp000 a JOIN predictions_exp001 b USING (input_id) "
                                  "WHERE a.prediction = b.prediction AND a.experiment != b.experiment") == [(N,)]


def test_table_each_in_workers(here):
    in_workers(table_each)
    for worker in range(WORKERS):
        df = Reader("benchmark.db", table=f"predictions_exp{worker:03}").to_df()
        assert len(df) == N and set(df["experiment"]) == {f"exp{worker:03}"}
    assert all(f"predictions_exp{worker:03}" in xt("ls", "benchmark.db") for worker in range(WORKERS))


def database_each(worker):
    tracker = Tracker(db=f"exp{worker:03}.db", table="predictions")
    for item in dataset(N):
        tracker.track(predict, args=[item, ModelParams("cut")])


def test_database_each(here):
    database_each(1)
    assert len(Reader("exp001.db", table="predictions")) == N


def test_database_each_in_workers(here):
    in_workers(database_each)
    assert [len(Reader(f"exp{worker:03}.db", table="predictions")) for worker in range(WORKERS)] == [N] * WORKERS


# ---- schema


def validate_schema(db_path, table, dataclass_):
    """(renames that are likely, parameters that are gone), from the live file."""
    conn = sqlite3.connect(db_path)
    existing = {row[1] for row in conn.execute(f"PRAGMA table_info({table})").fetchall()}
    conn.close()
    new = {f"params_{f.name}" for f in fields(dataclass_)}
    renames = {name: get_close_matches(name, existing, n=1, cutoff=0.6) for name in new - existing}
    return {n: close[0] for n, close in renames.items() if close}, {c for c in existing if c.startswith("params_")} - new


@dataclass(frozen=True)
class Before:
    model: str
    learning_rate: float = 0.1


@dataclass(frozen=True)
class After:
    model: str
    learn_rate: float = 0.1


def loss(params):
    return {"loss": 1.0}


def track_once(worker, params):
    """Leaves nothing under way: other programs look at the file next."""
    with Tracker(db="benchmark.db", table="predictions") as tracker:
        tracker.track(loss, args=[params])


def test_schema_validation(here):
    """A rename is found in the live file and made there by another program; the daemon takes it in."""
    live = Tracker(db="benchmark.db", table="predictions")
    live.track(loss, args=[Before("m")])
    assert len(live) == 1
    assert validate_schema("benchmark.db", "predictions", Before) == ({}, set())
    renames, missing = validate_schema("benchmark.db", "predictions", After)
    assert renames == {"params_learn_rate": "params_learning_rate"} and missing == {"params_learning_rate"}
    conn = sqlite3.connect("benchmark.db", timeout=60)
    conn.execute("ALTER TABLE predictions RENAME COLUMN params_learning_rate TO params_learn_rate")
    conn.commit()
    conn.close()
    live.track(loss, args=[After("m")])
    track_once(0, After("m"))
    assert len(Reader("benchmark.db", table="predictions")) == 3
    assert validate_schema("benchmark.db", "predictions", After) == ({}, set())
    assert sql("benchmark.db", "SELECT count(params_learn_rate), count(*) FROM predictions") == [(3, 3)]


def test_rename_before_workers(here):
    track_once(0, Before("m"))
    conn = sqlite3.connect("benchmark.db", timeout=60)
    conn.execute("ALTER TABLE predictions RENAME COLUMN params_learning_rate TO params_learn_rate")
    conn.close()
    in_workers(track_once, After("m"))
    assert sql("benchmark.db", "SELECT count(params_learn_rate), count(*) FROM predictions") == [(WORKERS + 1, WORKERS + 1)]
    assert validate_schema("benchmark.db", "predictions", After) == ({}, set())


def pre_experiment_validation(db_path, predictions_table, metrics_table, dataclass_):
    """What speaks against an experiment; asks nobody."""
    issues = []
    renames, _ = validate_schema(db_path, predictions_table, dataclass_)
    if renames:
        issues.append("schema")
    conn = sqlite3.connect(db_path)
    last = conn.execute(f"SELECT code_commit FROM {metrics_table} ORDER BY timestamp DESC LIMIT 1").fetchone()
    tables = {t: {row[1] for row in conn.execute(f"PRAGMA table_info({t})")} for t in (predictions_table, metrics_table)}
    conn.close()
    if last and last[0] != git("rev-parse", "--short", "HEAD"):
        issues.append("code: " + git("diff", "--stat", last[0], "HEAD").splitlines()[0].split("|")[0].strip())
    if "raw_response" not in tables[predictions_table]:
        issues.append("raw responses are not kept")
    if check_data_committed() != "committed":
        issues.append("data")
    return issues


def test_pre_experiment_validation(repo):
    track_once(0, Before("m"))
    with Tracker(db="benchmark.db", table="metrics") as tracker:
        tracker.log({"accuracy": 0.5, "code_commit": git("rev-parse", "--short", "HEAD")})
    review = ("benchmark.db", "predictions", "metrics")
    assert pre_experiment_validation(*review, Before) == ["raw responses are not kept"]
    tagged_experiment(0, "e0.0.1")
    assert "raw_response" in Reader("benchmark.db", table="predictions").columns
    with Tracker(db="benchmark.db", table="metrics") as tracker:
        tracker.log({"accuracy": 0.5, "code_commit": git("rev-parse", "--short", "HEAD")})
    assert pre_experiment_validation(*review, Before) == []
    assert pre_experiment_validation(*review, After) == ["schema"]
    (repo / "model.py").write_text("threshold = 0.7\n")
    git("commit", "-qam", "model: other")
    (repo / "data.dvc").write_text("md5: 9\n")
    assert pre_experiment_validation(*review, Before) == ["code: model.py", "data"]
