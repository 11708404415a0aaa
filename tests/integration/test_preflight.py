"""`preflight`: what is wrong, or worth a note, before an experiment is started, in repositories of every kind."""
import fcntl
import json
import os
import pty
import re
import shutil
import sqlite3
import struct
import subprocess
import sys
import termios
from dataclasses import dataclass, fields
from pathlib import Path

import pytest
from conftest import TIMEOUT, XTCTL, sqlite
from test_xtctl import ok, run

# The library's name, which the program loads it by.
LIBGIT2 = re.search(rb"libgit2\.so\.[0-9.]+", Path(XTCTL).read_bytes()) if os.access(XTCTL, os.X_OK) else None
pytestmark = pytest.mark.skipif(not LIBGIT2, reason=f"{XTCTL} is not built, or without libgit2")

DB = "benchmark.db"


def git(*args, **kw):
    return subprocess.run(["git", *args], check=True, capture_output=True, text=True, **kw).stdout.strip()


def commit(path, text, message="change"):
    """Writes a file and commits it; the hash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    git("add", "-f", path.name, cwd=path.parent)
    git("commit", "-qm", message, cwd=path.parent)
    return git("rev-parse", "HEAD", cwd=path.parent)


def ask(*args, db=DB, **kw):
    p = run("preflight", db, "--json", *args, **kw)
    assert p.stdout, p.stderr
    answer = json.loads(p.stdout)
    assert answer["ok"] == (not any(f["wrong"] for f in answer["findings"])) == (p.returncode == 0), p.stdout
    return answer["findings"]


def codes(*args, **kw):
    """{code: finding}; the last one of each."""
    return {f["code"]: f for f in ask(*args, **kw)}


def wrong(*args, **kw):
    """[(code, column)] of what is wrong."""
    return [(f["code"], f["column"]) for f in ask(*args, **kw) if f["wrong"]]


def log(*pairs, table="metrics", db=DB, params=()):
    """A row. What could be a hash is text, also when it has no letter in it."""
    row = {k: float(v) if v.replace(".", "").isdigit() and len(v) < 4 else v for k, v in (pair.split("=", 1) for pair in pairs)}
    ok("log", db, "--table", table, *[w for p in params for w in ("--param", p)], "--jsonl", stdin=json.dumps(row) + "\n")


# ---- databases -----------------------------------------------------------------


def test_before_there_is_a_database(repo):
    """Code and data are looked at; nothing is made, and no daemon started."""
    before = sorted(Path(".").iterdir())
    found = codes("--table", "predictions", "--params", "lr", db="none.db")
    assert found["first_experiment"]["message"] == "there is no database 'none.db' yet: this is the first experiment"
    assert {"head", "code_not_tracked"} <= set(found) and "room" not in found and not wrong(db="none.db")
    Path(git("ls-files").splitlines()[0]).write_text("changed\n")
    assert wrong(db="none.db")
    assert sorted(Path(".").iterdir()) == before


def test_a_mistyped_directory(here):
    p = run("preflight", "nowhere/none.db")
    assert p.returncode == 1 and "its directory does not exist" in p.stderr and not p.stdout


def test_first_experiment(served, here):
    found = codes(db=served.db)
    assert {"first_experiment", "no_repository", "room"} <= set(found) and not wrong(db=served.db)
    log("a=1", table="predictions", db=served.db)
    first = codes("--table", "prediction", db=served.db)["first_experiment"]
    assert "did you mean 'predictions'" in first["message"] and not first["wrong"]
    assert not wrong("--table", "prediction", "--params", "a,b", db=served.db)
    assert "first_experiment" not in codes(db=served.db)


def test_a_database_of_the_python_library(repo):
    con = sqlite3.connect(DB)
    con.execute("CREATE TABLE predictions (timestamp TEXT, track_id TEXT, params_model TEXT, params_old TEXT, prediction TEXT, "
                "code_commit TEXT, PRIMARY KEY (track_id, timestamp))")
    head = git("rev-parse", "--short", "HEAD")
    con.executemany("INSERT INTO predictions VALUES (?, ?, 'm', ?, 'yes', ?)",
                    [("2024-01-01 00:00:00", "a", "x", "1234567"), ("2024-01-02 00:00:00", "b", None, head)])
    con.commit()
    con.close()
    found = codes("--table", "predictions", "--params", "modell")
    assert found["code_unchanged"]["column"] == "code_commit" and found["tracked"]["count"] == 2
    assert wrong("--params", "modell") == [("unknown_parameter", "params_model")]
    assert [f["column"] for f in ask("--params", "domain") if f["code"] == "missing_parameter"] == ["params_model"]


@pytest.fixture
def nobody(runtime):
    """Permissions mean nothing to root."""
    if os.geteuid() != 0:
        return {}
    os.chown(runtime, 65534, 65534)
    return {"user": 65534, "group": 65534, "extra_groups": []}


def test_a_file_that_is_only_read(daemon, db, nobody):
    """Without our tables, and nothing can be logged."""
    sqlite(db, "CREATE TABLE events (track_id TEXT, timestamp TEXT, params_lr REAL)")
    sqlite(db, "INSERT INTO events VALUES ('r', '2024-01-01 00:00:00', 0.1)")
    db.chmod(0o444)
    daemon(db, **nobody)
    p = subprocess.run([XTCTL, "preflight", db, "--json", "--params", "lr,new"], capture_output=True, text=True, timeout=TIMEOUT,
                       cwd=db.parent, **nobody)
    found = json.loads(p.stdout)["findings"]
    assert [f["code"] for f in found if f["wrong"]] == ["read_only"] and p.returncode == 1
    assert {"new_parameter", "tracked", "not_frozen"} <= {f["code"] for f in found}


# ---- the seed's example ----------------------------------------------------------


@dataclass(frozen=True)
class Before:
    model: str = "m"
    learning_rate: float = 0.1


@dataclass(frozen=True)
class After:
    model: str = "m"
    lr: float = 0.1


EXPERIMENT = """
import subprocess
from dataclasses import dataclass
from xetrackd import Tracker

@dataclass(frozen=True)
class Before:
    model: str = "m"
    learning_rate: float = 0.1

def predict(item, params):
    return {"input_id": item, "prediction": item % 2, "raw_response": f"it is {item}", "error": None}

def git(*args):
    return subprocess.check_output(["git", *args], text=True).strip()

with Tracker("benchmark.db", table="predictions") as tracker:
    for item in range(4):
        tracker.track(predict, args=[item, Before()])
with Tracker("benchmark.db", table="metrics") as tracker:
    tracker.log({"accuracy": 0.5, "code_commit": git("rev-parse", "--short", "HEAD"),
                 "data_commit": git("log", "-n", "1", "--pretty=format:%H", "--", "data.dvc")[:7]})
"""


def names(dataclass_):
    return ",".join(f.name for f in fields(dataclass_))


@pytest.mark.skipif(bool(os.environ.get("XT_BUILD_KIND")), reason="a Python without sanitizers does not load the package of a build with them")
def test_the_seeds_example(repo):
    subprocess.run([sys.executable, "-c", EXPERIMENT], check=True, timeout=TIMEOUT)
    before = ["--table", "predictions", "--params", names(Before)]
    found = codes(*before)
    assert not wrong(*before), found
    assert {"code_unchanged", "data_unchanged"} <= set(found)
    assert not {"no_raw_response", "no_error_column", "no_input_column", "missing_parameter"} & set(found)
    (renamed,) = [f for f in ask("--table", "predictions", "--params", names(After)) if f["wrong"]]
    assert renamed["code"] == "unknown_parameter" and renamed["column"] == "params_learning_rate"
    assert "'xtctl schema rename benchmark.db params_learning_rate params_lr --table predictions'" in renamed["message"]
    commit(repo / "model.py", "threshold = 0.7\n", "model: other")
    (repo / "data.dvc").write_text("md5: 9\n")
    found = codes(*before)
    assert "1 commit later" in found["code_changed"]["message"] and "'model.py'" in found["code_changed"]["message"]
    assert not found["code_changed"]["wrong"] and wrong(*before) == [("uncommitted_data", None)]
    git("commit", "-qam", "data: other")
    found = codes(*before)
    assert not wrong(*before) and "'data.dvc'" in found["data_changed"]["message"]
    assert git("rev-parse", "HEAD")[:7] in found["data_changed"]["message"]


# ---- keys --------------------------------------------------------------------------


def keys(*params, table="predictions", db=DB):
    return [(f["code"], f["wrong"], f["column"]) for f in ask("--table", table, "--params", ",".join(params), db=db)
            if "parameter" in f["code"]]


@pytest.fixture
def predictions(here):
    """A run with parameters, and a row with a result."""
    log("accuracy=0.5", "latency=1.5", table="predictions", params=["model=m", "learning_rate=0.1", "temperature=1"])


def test_known_keys(predictions):
    assert keys("model", "learning_rate", "temperature") == []
    assert keys("model", " learning_rate ", "TEMPERATURE", "") == []
    assert keys("model", "learning_rate", "temperature", "accuracy", "latency") == []


@pytest.mark.parametrize("key, meant", [
    ("lr", "learning_rate"), ("learningRate", "learning_rate"), ("learning_rat", "learning_rate"), ("temp", "temperature"),
    ("accurracy", "accuracy"),
])
def test_a_key_that_means_another(predictions, key, meant):
    rest = [k for k in ("model", "learning_rate", "temperature") if k != meant]
    assert keys(key, *rest) == [("unknown_parameter", True, meant)]
    text = run("preflight", DB, "--table", "predictions", "--params", ",".join([key, *rest])).stdout
    assert f"did you mean '{meant}'" in text and f"schema rename {DB} {meant} {key} --table predictions" in text
    # Each of the two remedies ends it.
    assert not [k for k in keys(key, meant, *rest) if k[1]]
    ok("schema", "rename", DB, meant, key, "--table", "predictions")
    assert keys(key, *rest) == []
    assert keys(meant, *rest) == []  # which is an alias now


@pytest.mark.parametrize("key", ["domain", "accuracy_target", "seed"])
def test_a_key_that_is_new(predictions, key):
    """Alike only what is no parameter, or nothing at all."""
    assert keys(key, "model", "learning_rate", "temperature") == [("new_parameter", False, None)]


def test_a_name_like_another_that_is_listed_too(predictions):
    assert keys("model", "models", "learning_rate", "temperature") == [("new_parameter", False, None)]


def test_keys_that_the_last_run_had(predictions):
    assert keys("model") == [("missing_parameter", False, "learning_rate"), ("missing_parameter", False, "temperature")]
    log("accuracy=0.6", table="predictions", params=["model=m"])
    assert keys("model") == []


def test_a_frozen_table(predictions):
    rest = ["model", "learning_rate", "temperature"]
    assert keys("domain", *rest) == [("new_parameter", False, None)]
    assert "not_frozen" in codes("--table", "predictions")
    ok("schema", "freeze", DB, "--table", "predictions")
    assert keys("domain", *rest) == [("unknown_parameter", True, None)]
    found = codes("--table", "predictions")
    assert "not_frozen" not in found and "frozen" in found["tracked"]["message"]


def test_a_required_key(predictions):
    ok("schema", "require", DB, "learning_rate", "accuracy", "--table", "predictions")
    assert keys("model", "temperature") == [("missing_parameter", True, "learning_rate")]
    assert "'accuracy', 'learning_rate'" in codes()["tracked"]["message"]


def test_which_table_keys_are_held_against(predictions):
    log("x=1", "y=1")
    log("x=1", "y=1")
    found = codes("--params", "x,y")
    assert found["params_table"]["table"] == "metrics" and "new_parameter" not in found
    assert codes("--params", "x,y", "--table", "predictions")["new_parameter"]["table"] == "predictions"


def test_columns_that_look_renamed(here):
    for n, key in enumerate(("learning_rate", "lr")):
        log(f"{key}=0.1", "loss=1", table="t")
    assert wrong() == [("renamed_column", "lr")] == wrong("--table", "t")
    log("a=1", table="other")
    assert wrong("--table", "other") == []
    ok("schema", "accept", DB, "lr", "--table", "t")
    assert wrong() == []


# ---- code ----------------------------------------------------------------------------


@pytest.fixture
def tracked(repo):
    """A database in the repository, whose last experiment had its commit."""
    log("accuracy=0.5", f"code_commit={git('rev-parse', 'HEAD')}")
    return repo


def test_all_is_committed(tracked):
    found = codes()
    assert wrong() == [] and found["code_unchanged"]["table"] == "metrics" and "untracked_files" not in found
    assert ok("preflight", DB).endswith("ready: nothing is wrong\n")


def test_uncommitted_changes(tracked):
    (tracked / "model.py").write_text("threshold = 1\n")
    assert wrong() == [("uncommitted_code", None)] and "'model.py'" in codes()["uncommitted_code"]["message"]
    git("add", "model.py")
    assert codes()["uncommitted_code"]["count"] == 1
    (tracked / "model.py").write_text("threshold = 2\n")
    assert codes()["uncommitted_code"]["count"] == 1  # staged and changed again: one file
    git("reset", "-q", "--hard")
    (tracked / "model.py").unlink()
    assert wrong() == [("uncommitted_code", None)]
    git("reset", "-q", "--hard")
    os.utime(tracked / "model.py", (1, 1))  # touched only
    assert wrong() == []
    lines = run("preflight", DB).stdout.splitlines()
    assert lines[-1] == "ready: nothing is wrong"


def test_many_changes_are_counted(tracked):
    for i in range(20):
        commit(tracked / f"m{i:02}.py", "x\n")
    for i in range(20):
        (tracked / f"m{i:02}.py").write_text("y\n")
    found = codes()
    assert found["uncommitted_code"]["count"] == 20
    assert "'m00.py', 'm01.py', 'm02.py', 'm03.py', 'm04.py' and 15 more" in found["uncommitted_code"]["message"]
    assert "20 commits later" in found["code_changed"]["message"] and found["code_changed"]["count"] == 20


def test_untracked_files_are_a_note(tracked):
    (tracked / "new.py").write_text("x\n")
    (tracked / "pkg" / "deep").mkdir(parents=True)
    for i in range(3):
        (tracked / "pkg" / "deep" / f"{i}.py").write_text("x\n")
    (tracked / ".gitignore").write_text("/out/\n*.pyc\n")
    (tracked / "out").mkdir()
    (tracked / "out" / "a.txt").write_text("x")
    (tracked / "only").mkdir()
    (tracked / "only" / "a.pyc").write_text("x")
    found = codes()
    assert wrong() == [] and found["untracked_files"]["count"] == 3
    assert "'.gitignore', 'new.py', 'pkg/'" in found["untracked_files"]["message"]


def test_the_database_is_no_code(tracked):
    """Also when git tracks it, as the seed's example does; and the pointer that DVC has of it."""
    ok("down", DB)
    git("add", "-f", DB)
    git("commit", "-qm", "results")
    ok("up", DB)
    log("accuracy=0.6", f"code_commit={git('rev-parse', 'HEAD')}")
    sqlite(DB, "PRAGMA wal_checkpoint(TRUNCATE)")
    assert git("status", "--porcelain", "--", DB).startswith("M")
    assert wrong() == [] and "untracked_files" not in codes()
    commit(tracked / "sub" / "x.py", "x\n")
    assert wrong("--repo", "sub") == [] and wrong("--repo", str(tracked)) == []
    (tracked / (DB + ".dvc")).write_text("outs:\n- path: benchmark.db\n")
    found = codes()
    assert wrong() == [] and "uncommitted_results" in found
    for name in ("benchmark.dbx", "benchmark.db.logic"):
        (tracked / name).write_text("x")
    assert codes()["untracked_files"]["count"] == 2


def test_what_changed_since(tracked):
    first = git("rev-parse", "HEAD")
    commit(tracked / "model.py", "threshold = 1\n")
    commit(tracked / "lib" / "util.py", "x\n")
    found = codes()
    assert wrong() == [] and found["code_changed"]["count"] == 2
    message = found["code_changed"]["message"]
    assert "2 commits later" in message and "'lib/util.py', 'model.py'" in message and f"git diff {first[:7]} HEAD" in message
    # A commit that takes it back: commits lie between, but the files are the same.
    git("revert", "--no-edit", "HEAD~1..HEAD")
    git("revert", "--no-edit", "HEAD~2")
    assert "and the same files" in codes()["code_unchanged"]["message"]


def test_an_older_checkout_and_another_branch(tracked):
    first = git("rev-parse", "HEAD")
    second = commit(tracked / "model.py", "threshold = 1\n")
    log("accuracy=0.5", f"code_commit={second}")
    git("checkout", "-q", first)
    found = codes()
    assert "HEAD is 1 commit behind it" in found["code_changed"]["message"] and "on no branch" in found["head"]["message"]
    git("checkout", "-qb", "side")
    commit(tracked / "side.py", "x\n")
    found = codes()
    assert "1 commit later, on another branch, without 1 of its own" in found["code_changed"]["message"]
    assert "on 'side'" in found["head"]["message"] and found["code_changed"]["count"] == 2


@pytest.mark.parametrize("write", [
    lambda h: h, lambda h: h[:7], lambda h: h[:4], lambda h: h.upper(), lambda h: h[:7] + "-dirty",
    lambda h: "v1.0-3-g" + h[:7], lambda h: "release-good-12-g" + h[:9] + "-dirty", lambda h: f"  {h[:10]} ",
])
def test_ways_to_write_a_commit(tracked, write):
    value = write(git("rev-parse", "HEAD"))
    log(f"code_commit={value}")
    found = codes()
    assert "code_unchanged" in found, found
    assert ("uncommitted changes" in found["code_unchanged"]["message"]) == value.endswith("-dirty")


@pytest.mark.parametrize("value", ["deadbee", "0" * 40, "unknown", "HEAD", "main", "abc", "", "é" * 100, "' OR 1", "12345678-dirtyx",
                                   "f" * 41])
def test_a_commit_that_nobody_knows(tracked, value):
    log(f"code_commit={value}")
    found = codes()
    assert ("code_unknown" in found) == (value != ""), found
    assert wrong() == []


def test_a_commit_that_became_a_number(tracked):
    ok("log", DB, "--table", "metrics", "code_commit=1234567")
    assert sqlite(DB, "SELECT typeof(code_commit) FROM metrics ORDER BY rowid DESC LIMIT 1") == [("integer",)]
    assert "'1234567'" in codes()["code_unknown"]["message"]


def test_a_commit_that_two_begin_like(tracked):
    stream = "".join(f"commit refs/heads/many\ncommitter A <a@b> {i} +0000\ndata 1\nx\n" for i in range(2000))
    subprocess.run(["git", "fast-import", "--quiet"], input=stream, text=True, check=True)
    seen, twice = set(), None
    for line in git("rev-list", "many").splitlines():
        twice = line[:4] if line[:4] in seen else twice
        seen.add(line[:4])
    assert twice
    log(f"code_commit={twice}")
    assert "several commits begin so" in codes()["code_unknown"]["message"]


def test_which_column_has_the_commit(repo):
    head = git("rev-parse", "HEAD")
    log("a=1", "mine=" + head)
    assert "code_not_tracked" in codes() and "'code_commit'" in codes()["code_not_tracked"]["message"]
    assert "'yours'" in codes("--code-column", "yours")["code_not_tracked"]["message"]
    assert codes("--code-column", "mine")["code_unchanged"]["column"] == "mine"
    for name in ("commit", "commit_hash", "git_sha", "git_hash", "git_commit_hash", "git_commit", "code_commit"):
        log("a=1", f"{name}={head}")
        assert codes()["code_unchanged"]["column"] == name  # the latest of all


def test_the_latest_commit_counts(repo):
    """By time, not by the order of rows or tables; also where --table names another one."""
    first = git("rev-parse", "HEAD")
    second = commit(repo / "model.py", "threshold = 1\n")
    log("a=1", table="predictions")
    sqlite(DB, "CREATE TABLE results (track_id TEXT, timestamp TEXT, code_commit TEXT)")
    sqlite(DB, "INSERT INTO results VALUES ('a', '2030-01-02 00:00:00', ?), ('b', '2030-01-01 00:00:00', ?)", second, first)
    sqlite(DB, "CREATE TABLE older (track_id TEXT, timestamp TEXT, code_commit)")
    sqlite(DB, "INSERT INTO older VALUES ('a', '2029-01-02 00:00:00', ?), ('b', '2031-01-01 00:00:00', 5.5)", first)
    assert codes()["code_unchanged"]["table"] == "results"
    assert codes("--table", "predictions")["code_unchanged"]["table"] == "results"


# ---- repositories of all kinds ----------------------------------------------------------


def test_no_repository(here):
    log("a=1")
    assert not codes()["no_repository"]["wrong"] and wrong() == []
    assert wrong("--repo", ".") == [("no_repository", None)] == wrong("--repo", "nowhere")
    (here / "repo").mkdir()
    git("init", "-q", cwd=here / "repo")
    assert "no_repository" not in codes("--repo", "repo")


def test_nothing_is_committed_yet(repo):
    shutil.rmtree(repo / ".git")
    git("init", "-q", "-b", "main")
    log("a=1", "code_commit=1234567")
    assert wrong() == [("nothing_committed", None), ("uncommitted_data", None)]
    git("add", "model.py", "data.dvc")
    assert wrong() == [("nothing_committed", None), ("uncommitted_code", None), ("uncommitted_data", None)]


def test_a_bare_repository(tracked):
    git("clone", "-q", "--bare", ".", "bare.git")
    found = codes("--repo", "bare.git")
    assert not wrong("--repo", "bare.git") and {"bare_repository", "code_unchanged"} <= set(found)


def test_a_linked_work_tree(tracked):
    git("worktree", "add", "-q", "-b", "two", "../two")
    assert wrong("--repo", "../two") == [] and "on 'two'" in codes("--repo", "../two")["head"]["message"]
    (tracked.parent / "two" / "model.py").write_text("x\n")
    assert wrong("--repo", "../two") == [("uncommitted_code", None)] and wrong() == []
    commit(tracked.parent / "two" / "model.py", "y\n")
    assert "1 commit later" in codes("--repo", "../two")["code_changed"]["message"] and "code_unchanged" in codes()


def test_submodules(tracked):
    """A commit of theirs that is not recorded counts, changed files in them, and what is untracked does not."""
    git("init", "-q", "-b", "main", "../lib")
    commit(tracked.parent / "lib" / "lib.py", "x\n")
    git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(tracked.parent / "lib"), "lib")
    git("commit", "-qam", "lib")
    assert wrong() == []
    (tracked / "lib" / "new.py").write_text("x\n")
    assert wrong() == []
    (tracked / "lib" / "lib.py").write_text("y\n")
    assert wrong() == [("uncommitted_code", None)]
    commit(tracked / "lib" / "lib.py", "z\n")
    assert wrong() == [("uncommitted_code", None)] and "'lib'" in codes()["uncommitted_code"]["message"]
    git("commit", "-qam", "lib: newer")
    assert wrong() == []


def test_a_sparse_checkout(tracked):
    """What is not checked out is not missed; an index of a form that libgit2 does not know is told."""
    commit(tracked / "a" / "x.py", "x\n")
    commit(tracked / "b" / "y.py", "y\n")
    git("clone", "-q", ".", "../sparse")
    there = tracked.parent / "sparse"
    git("sparse-checkout", "set", "a", cwd=there)
    assert not (there / "b").exists() and wrong("--repo", there) == []
    (there / "a" / "x.py").unlink()
    assert wrong("--repo", there) == [("uncommitted_code", None)]
    git("sparse-checkout", "reapply", "--sparse-index", cwd=there)
    found = codes("--repo", there)
    if "uncommitted_code" not in found:
        assert "--no-sparse-index" in found["no_git"]["message"] and wrong("--repo", there) == []


def test_files_behind_a_filter(tracked):
    """As git-lfs has: what the filter makes of a file is not known, and it is not run."""
    ran = tracked.parent / "ran"
    git("config", "filter.lfs.clean", f"touch {ran}; echo pointer #")
    (tracked / ".gitattributes").write_text("*.bin filter=lfs\n")
    (tracked / "m.bin").write_text("content\n")
    git("add", ".gitattributes", "m.bin")
    git("commit", "-qm", "model")
    assert wrong() == [] and "filtered_files" not in codes()
    ran.unlink()
    (tracked / "m.bin").write_text("other\n")
    found = codes()
    assert wrong() == [] and "'m.bin' may have changed" in found["filtered_files"]["message"] and not ran.exists()
    (tracked / "m.bin").unlink()
    assert wrong() == [("uncommitted_code", None)]
    git("config", "filter.lfs.clean", "cat")
    (tracked / "m.bin").write_text("staged\n")
    git("add", "m.bin")
    assert wrong() == [("uncommitted_code", None)]


def test_line_ends(tracked):
    """As git converts them."""
    commit(tracked / "x.py", "a\nb\n")
    git("config", "core.autocrlf", "true")
    (tracked / "x.py").write_bytes(b"a\r\nb\r\n")
    git("add", "x.py")
    os.utime(tracked / "x.py", (1, 1))
    assert git("status", "--porcelain", "--untracked-files=no") == "" and wrong() == []


def test_a_shallow_clone(tracked):
    old = git("rev-parse", "HEAD")
    for i in range(4):
        commit(tracked / "model.py", f"threshold = {i}\n")
    git("clone", "-q", "--depth", "2", f"file://{tracked}", "../shallow")
    there = ["--repo", "../shallow"]
    assert "git fetch --unshallow" in codes(*there)["code_unknown"]["message"] and wrong(*there) == []
    log("a=1", f"code_commit={git('rev-parse', 'HEAD~1')}")
    found = codes(*there)
    assert wrong(*there) == [] and "'model.py'" in found["code_changed"]["message"], found
    assert old


def test_data_in_a_shallow_clone(tracked):
    """Who changed it last lies beyond the end."""
    for i in range(3):
        commit(tracked / "model.py", f"threshold = {i}\n")
    git("clone", "-q", "--depth", "1", f"file://{tracked}", "../shallow")
    found = codes("--repo", "../shallow")
    assert wrong("--repo", "../shallow") == [] and "data_not_tracked" in found


def test_another_hash(here):
    if subprocess.run(["git", "init", "-q", "--object-format=sha256", "new"], capture_output=True).returncode:
        pytest.skip("this git knows no SHA-256")
    log("a=1")
    found = codes("--repo", "new")
    assert "no_git" in found or "nothing_committed" in found, found
    assert not any(f["code"] == "repository_unreadable" for f in found.values())


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to give files away")
def test_a_repository_of_another_user(tracked, runtime):
    for path in [tracked, *tracked.rglob("*")]:
        if not path.name.startswith(DB):
            os.chown(path, 12345, 12345, follow_symlinks=False)
    home = runtime / "home"
    home.mkdir()
    env = dict(os.environ, HOME=str(home))
    for text in (None, "", "[user]\n\tname = A\n"):
        if text is not None:
            (home / ".gitconfig").write_text(text)
        (finding,) = [f for f in ask(env=env) if f["wrong"]]
        assert finding["code"] == "repository_unreadable" and "belongs to another user" in finding["message"]
        assert f"'git config --global --add safe.directory {tracked}'" in finding["message"]
    (home / ".gitconfig").write_text(f"[safe]\n\tdirectory = {tracked}\n")
    assert not [f for f in ask(env=env) if f["wrong"]]


@pytest.mark.parametrize("damage", ["HEAD", "index", "refs/heads/main", "objects"])
def test_a_damaged_repository(tracked, damage):
    """A sentence, and not one about all being well."""
    path = tracked / ".git" / damage
    if damage == "objects":
        shutil.rmtree(path)
        path.mkdir()
    else:
        path.write_bytes(b"\x00nonsense\xff" * 3)
    p = run("preflight", DB, "--json")
    found = {f["code"]: f for f in json.loads(p.stdout)["findings"]}
    assert "repository_unreadable" in found or "no_repository" in found or "nothing_committed" in found, found
    assert p.returncode == 1 or "no_repository" in found
    assert p.stdout.count("repository_unreadable") <= 1


def test_the_library_is_not_there(tracked):
    """The rest is looked at all the same."""
    broken = tracked.parent / "broken"
    broken.mkdir()
    (broken / LIBGIT2[0].decode()).write_text("")
    found = codes(env=dict(os.environ, LD_LIBRARY_PATH=str(broken)))
    assert "libgit2 cannot be loaded" in found["no_git"]["message"] and not found["no_git"]["wrong"]
    assert {"tracked", "room"} <= set(found) and "head" not in found


def test_no_git_is_started(tracked, monkeypatch):
    empty = tracked.parent / "empty"
    empty.mkdir()
    monkeypatch.setenv("PATH", str(empty))
    assert wrong() == [] and "code_unchanged" in codes()


def test_in_a_directory_of_the_repository(tracked, monkeypatch):
    commit(tracked / "deep" / "er" / "x.py", "x\n")
    monkeypatch.chdir(tracked / "deep" / "er")
    (tracked / "model.py").write_text("x\n")
    assert wrong(db=f"../../{DB}") == [("uncommitted_code", None)]


@pytest.mark.parametrize("name", ["a b.py", "größe.py", "x'y.py", "new\nline.py", "\x1b[31m.py", "-n.py"])
def test_awkward_file_names(tracked, name):
    (tracked / name).write_text("x\n")
    git("add", "--", name)
    assert name in codes()["uncommitted_code"]["message"]
    text = run("preflight", DB).stdout
    assert "\x1b" not in text and text.count("\n") == len(text.splitlines())


# ---- data ----------------------------------------------------------------------------------


def pointer(path, *outs, wdir=None, message="data"):
    """Commits a .dvc file as DVC writes it."""
    text = "deps:\n- path: not/an/output\n  md5: 1\n" + (f"wdir: {wdir}\n" if wdir else "") + "outs:\n" + "".join(
        f"- md5: 22a1a2931c8370d3aeedd7183606fd7f{'.dir' if size is None else ''}\n"
        f"  size: {14445097 if size is None else size}\n  hash: md5\n  path: {name}\n" for name, size in outs)
    return commit(path, text, message)


def test_data_that_is_not_committed(tracked):
    (tracked / "data.dvc").write_text("md5: 1\n")
    assert wrong() == [("uncommitted_data", None)]
    git("add", "data.dvc")
    assert wrong() == [("uncommitted_data", None)] and "'data.dvc'" in codes()["uncommitted_data"]["message"]
    git("commit", "-qm", "data")
    assert wrong() == []
    (tracked / "new.dvc").write_text("md5: 1\n")
    assert wrong() == [("uncommitted_data", None)]


def test_data_that_is_not_there(tracked):
    (tracked / "data").mkdir()
    pointer(tracked / "data.dvc", ("data", None))
    assert wrong() == []
    (tracked / "sub").mkdir()
    (tracked / "x y.csv").write_text("1234")
    pointer(tracked / "sub" / "train.dvc", ("'x y.csv'", 4), ("\"x y.csv\"  # as it was", 4), ("s3://bucket/key", 5), wdir="..")
    assert wrong() == []
    (tracked / "data").rmdir()
    (tracked / "x y.csv").unlink()
    found = codes()
    assert wrong() == [("missing_data", None)] and found["missing_data"]["count"] == 3
    assert "'data'" in found["missing_data"]["message"] and "x y.csv'" in found["missing_data"]["message"]
    assert "not/an/output" not in found["missing_data"]["message"]


def test_data_of_another_size(tracked):
    (tracked / "train.csv").write_text("1234")
    (tracked / ".gitignore").write_text("train.csv\n")
    pointer(tracked / "train.csv.dvc", ("train.csv", 4))
    assert wrong() == []
    (tracked / "train.csv").write_text("12345")
    assert wrong() == [("changed_data", None)] and "'train.csv'" in codes()["changed_data"]["message"]


@pytest.mark.parametrize("path", ["/x", "/nowhere/to/be/found/in/any/repository/however/deep/it/lies/data.csv"])
def test_data_outside_the_repository(tracked, path):
    """Its whole path is told."""
    pointer(tracked / "data.dvc", (path, 4))
    assert f": '{path}';" in codes()["missing_data"]["message"]


@pytest.mark.parametrize("there", ["pipe", "link to a pipe", "directory"])
def test_a_pointer_that_is_no_file(tracked, there):
    """Nobody writes into the pipe."""
    path = tracked / "data.dvc"
    pointer(path, ("data", 4))
    path.unlink()
    if there == "directory":
        path.mkdir()
    else:
        os.mkfifo(tracked.parent / "pipe" if "link" in there else path)
    if "link" in there:
        path.symlink_to(tracked.parent / "pipe")
    assert "data.dvc': " in codes()["unreadable_pointer"]["message"]


def test_a_pointer_in_conflict_is_one(tracked):
    pointer(tracked / "data.dvc", ("data", 4))
    git("checkout", "-qb", "side")
    pointer(tracked / "data.dvc", ("data", 5))
    git("checkout", "-q", "main")
    pointer(tracked / "data.dvc", ("data", 6))
    assert subprocess.run(["git", "merge", "-q", "side"], capture_output=True).returncode == 1
    (tracked / "data.dvc").write_text("outs:\n- path: data\n")
    assert codes()["missing_data"]["count"] == 1


def test_data_behind_a_link(tracked):
    """DVC can link to its cache."""
    (tracked.parent / "cached").write_text("1234")
    (tracked / "train.csv").symlink_to(tracked.parent / "cached")
    pointer(tracked / "train.csv.dvc", ("train.csv", 4))
    assert wrong() == []
    (tracked.parent / "cached").write_text("12345")
    assert wrong() == [("changed_data", None)]


FORMS = ["", "outs:\n", "outs: []\n", "- - -\n", "outs:\n- \n", "\x00\xff", "outs:\n  - path: data\n", "x" * 3_000_000,
         "outs:\r\n- path: data\r\n", "outs:\n- path: '" + "a" * 5000 + "'\n", "[\n"]


@pytest.mark.parametrize("text", FORMS, ids=range(len(FORMS)))
def test_pointers_of_any_form(tracked, text):
    commit(tracked / "data.dvc", text)
    found = codes()
    assert (("missing_data", None) in wrong()) == ("path: data" in text), found


def test_data_since(repo):
    log("a=1")
    assert git("rev-parse", "HEAD")[:7] in codes()["data_not_tracked"]["message"]
    first = git("log", "-n", "1", "--format=%h", "--", "data.dvc")
    log("a=1", f"data_commit={first}")
    commit(repo / "model.py", "x\n")
    assert codes()["data_unchanged"]["column"] == "data_commit"
    second = commit(repo / "data.dvc", "md5: 5\n")
    commit(repo / "model.py", "y\n")
    message = codes()["data_changed"]["message"]
    assert first in message and f"'data.dvc', last changed by {second[:7]}" in message and wrong() == []
    log("a=1", f"data_version={second}")
    assert codes()["data_unchanged"]["column"] == "data_version"
    log("a=1", "data_commit=unknown")
    assert "does not know" in codes()["data_unknown"]["message"]
    assert codes("--data-column", "data_version")["data_unchanged"]


def test_data_changed_by_a_merge(repo):
    """The commit is the one that git names, whichever way it came."""
    first = git("rev-parse", "HEAD")
    log("a=1", f"data_commit={first}")
    git("checkout", "-qb", "side")
    side = commit(repo / "data.dvc", "md5: 5\n")
    git("checkout", "-q", "main")
    commit(repo / "model.py", "y\n")
    git("merge", "-q", "--no-edit", "side")
    assert git("log", "-n", "1", "--format=%H", "--", "data.dvc") == side
    assert side[:7] in codes()["data_changed"]["message"]


def test_data_of_several_pointers(repo):
    """A pointer that was newer than the data's commit when the experiment ran has not changed since."""
    first = git("rev-parse", "HEAD")
    second = commit(repo / "models.dvc", "md5: 7\n")
    log("a=1", f"data_commit={first}", f"code_commit={second}")
    assert "data_unchanged" in codes()
    commit(repo / "models.dvc", "md5: 8\n")
    assert "'models.dvc'" in codes()["data_changed"]["message"] and codes()["data_changed"]["count"] == 1


def test_the_pointer_of_the_database_is_no_data(repo):
    """Results that are committed by it change neither the data nor the code."""
    log("a=1", f"data_commit={git('rev-parse', 'HEAD')}", f"code_commit={git('rev-parse', 'HEAD')}")
    pointer(repo / f"{DB}.dvc", (DB, 4))
    found = codes()
    assert {"data_unchanged", "code_unchanged"} <= set(found) and wrong() == []


def test_no_data_in_the_repository(repo):
    git("rm", "-q", "data.dvc")
    git("commit", "-qm", "no data")
    log("a=1")
    assert "no_data_pointers" in codes() and "data_not_tracked" not in codes()


# ---- other runs, and room --------------------------------------------------------------------


@pytest.fixture
def others(served, client):
    """others(run): processes that log to `predictions` and go on."""
    started = {}

    def start(name):
        started[name] = p = subprocess.Popen([XTCTL, "log", served.db, "--table", "predictions", "--track-id", name, "--jsonl"],
                                             stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        p.stdin.write(b'{"a": 1}\n')
        p.stdin.flush()
        while not client.rows("SELECT 1 FROM xt_runs WHERE track_id = ?", args=[name]):
            pass
        return p

    yield start
    for p in started.values():
        p.communicate(timeout=TIMEOUT)


def test_a_run_that_goes_on(served, others, here):
    db = {"db": served.db}
    p = others("busy")
    assert wrong(**db) == [("running_run", None)] == wrong("--table", "predictions", **db) == wrong("--table", "PREDICTIONS", **db)
    message = codes(**db)["running_run"]["message"]
    assert "'busy'" in message and f"'xtctl show {db['db']} busy'" in message and f"process {p.pid}" in message
    assert wrong("--table", "metrics", **db) == []
    p.communicate(timeout=TIMEOUT)
    assert wrong(**db) == []


def test_a_run_whose_process_is_gone(daemon, db, here):
    """The daemon was killed with it, and waits before it judges."""
    d = daemon(db)
    p = subprocess.Popen([XTCTL, "log", db, "--table", "t", "--track-id", "busy", "--jsonl"], stdin=subprocess.PIPE,
                         stdout=subprocess.DEVNULL, env=dict(os.environ, XETRACK_AUTOSTART="0"))
    p.stdin.write(b'{"a": 1}\n')
    p.stdin.flush()
    with d.client() as c:
        while not c.rows("SELECT 1 FROM xt_runs WHERE track_id = 'busy'"):
            pass
    d.kill()
    p.kill()
    p.wait()
    p.stdin.close()
    daemon(db)
    assert wrong(db=db) == [("running_run", None)] and f"process {p.pid} is gone" in codes(db=db)["running_run"]["message"]


def test_many_runs_that_go_on(served, others, here):
    for i in range(8):
        others(f"busy-{i}")
    found = [f for f in ask(db=served.db) if f["code"] == "running_run"]
    assert len(found) == 6 and found[-1]["count"] == 3


def test_the_run_of_who_asks(served, client, others, here):
    """A program may have begun its run before it looks whether it may."""
    client.change("run_start", track_id="mine", table="predictions", params={})
    found = codes(db=served.db)
    assert wrong(db=served.db) == [] and "'mine'" in found["own_run"]["message"]
    p = subprocess.run(["sh", "-c", '"$0" preflight "$1"; exit $?', XTCTL, served.db], capture_output=True, text=True, timeout=TIMEOUT)
    assert p.returncode == 0 and "'mine'" in p.stdout  # by way of a shell
    others("busy")
    assert wrong(db=served.db) == [("running_run", None)]


def test_runs_that_ended_badly(served, client, here):
    for name, status in (("old", "failed"), ("good", "finished"), ("bad", "failed")):
        client.change("run_start", track_id=name, table="t", params={})
        client.change("run_finish", track_id=name, status=status)
    found = [f for f in ask(db=served.db) if f["code"] == "crashed_run"]
    assert ["'bad'" in f["message"] for f in found] == [True] and not found[0]["wrong"]
    assert f"'xtctl delete {served.db} bad'" in found[0]["message"]
    client.change("run_start", track_id="again", table="t", params={})
    client.change("run_finish", track_id="again", status="finished")
    assert "crashed_run" not in codes(db=served.db)


def test_little_room(daemon, db, here):
    d = daemon(db)
    log("a=1", db=db)
    assert codes(db=db)["room"]["count"] > 0
    ok("config", db, "disk_warn_mib", 2**31 - 1)
    for _ in range(2):
        found = codes(db=db)
        assert wrong(db=db) == [("daemon_state", None)] and "make room" in found["daemon_state"]["message"] and "room" not in found
        d.stop()
        d = daemon(db)  # which has stored nothing yet


# ---- what is tracked ----------------------------------------------------------------------------


def test_what_is_tracked(here):
    log("prediction=x", table="predictions")
    log("accuracy=0.5")
    found = [f for f in ask() if not f["wrong"]]
    assert {(f["table"], f["code"]) for f in found if f["table"]} == {
        ("predictions", "tracked"), ("predictions", "no_raw_response"), ("predictions", "no_error_column"),
        ("predictions", "no_input_column"), ("metrics", "tracked")}
    log("prediction=x", "raw_response=y", "error=", "input_id=7", table="predictions")
    assert {f["code"] for f in ask("--table", "predictions") if f["table"]} == {"tracked"}
    log("latency=fast", table="predictions")
    assert "'latency'" in codes()["text_for_number"]["message"]


def test_many_tables(here):
    with sqlite3.connect(DB) as con:
        for i in range(30):
            con.execute(f"CREATE TABLE experiment_{i:02} (track_id TEXT, timestamp TEXT, v REAL)")
    con.close()
    found = ask()
    assert len([f for f in found if f["code"] == "tracked"]) == 10
    assert [f["count"] for f in found if f["code"] == "more_tables"] == [20]


# ---- how it looks ------------------------------------------------------------------------------------


def test_what_is_wrong_stands_last(tracked):
    (tracked / "model.py").write_text("x\n")
    lines = run("preflight", DB).stdout.splitlines()
    kinds = [line.split(":")[0] for line in lines[:-1]]
    assert kinds == sorted(kinds) and kinds[-1] == "wrong" and lines[-1] == "1 thing is wrong"


def test_on_a_terminal(predictions):
    """Sentences are broken between words, and never within a command, so that it can be copied."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 60, 0, 0))
    p = subprocess.Popen([XTCTL, "preflight", DB, "--table", "predictions", "--params", "lr"], stdout=theirs, stderr=subprocess.PIPE)
    os.close(theirs)
    said = b""
    while True:
        try:
            said += os.read(ours, 10000)
        except OSError:  # the other end is closed
            break
    assert p.wait(TIMEOUT) == 1
    os.close(ours)
    lines = said.decode().replace("\r", "").splitlines()
    whole = "'xtctl schema rename benchmark.db learning_rate lr --table predictions'"
    assert any(whole in line for line in lines), lines
    assert all(len(line) <= 60 or line.startswith("       '") for line in lines), lines
    assert all(line.startswith(("note:  ", "wrong: ", "       ")) for line in lines[:-1]), lines
    text = " ".join(line.strip() for line in lines)
    plain = run("preflight", DB, "--table", "predictions", "--params", "lr").stdout
    assert [w for w in text.split() if "GiB" not in w and not w[0].isdigit()] == [
        w for w in plain.split() if "GiB" not in w and not w[0].isdigit()]
