"""What xtctl says of itself: the help, the man pages, their examples, what shells complete, mistaken names."""
import json
import os
import re
import shutil
import subprocess

import pytest
from conftest import BUILD, TIMEOUT, XTCTL, sqlite
from test_xtctl_stats import on_terminal
from xtctl import needs_xtctl, ok, run

pytestmark = needs_xtctl

COMMANDS = subprocess.run([BUILD / "xt-man", "--list"], capture_output=True, text=True).stdout.split() \
    if (BUILD / "xt-man").exists() else []
RUN = "purple-mountain-4392"


def parts(command):
    """The parts of a group, as its help lists them: lines of two blanks, a word, a sentence."""
    lines = ok("help", command).split("examples:")[0].splitlines()
    return [line.split()[0] for line in lines if line.startswith("  ") and line[2:3].isalpha()
            and run("help", command, line.split()[0]).stdout.startswith(f"usage: xtctl {command} {line.split()[0]} ")]


def examples(command):
    """Pairs of what an example shows, and its line."""
    found = []
    for text in [ok("help", command)] + [ok("help", command, part) for part in parts(command)]:
        said = re.findall(r"\n  # (.*(?:\n  # .*)*)\n  (xtctl.*(?:\n {6}.*)*)", text.partition("\nexamples:")[2])
        found += [(shows.replace("\n  # ", " "), re.sub(r" \\\n +", " ", line)) for shows, line in said]
    return found


EXAMPLES = [(c, line) for c in COMMANDS for _, line in examples(c)]


def test_commands_are_listed():
    """None of them is missing in the list of all, in its heading's order."""
    assert len(COMMANDS) > 20
    listed = [line.split()[0] for line in ok("help").splitlines() if re.match(" {2}[a-z]", line)]
    assert listed == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_help(command):
    text = ok("help", command)
    assert text == ok(command, "--help")
    assert text.startswith(f"usage: xtctl {command}") and "--help" in text
    assert all(len(line) <= 80 for line in text.splitlines()), max(text.splitlines(), key=len)
    assert examples(command), "a command without an example"


@pytest.mark.skipif(not (BUILD / "xtctl.1").exists(), reason="built without man pages")
@pytest.mark.parametrize("command", COMMANDS)
def test_man_page(command):
    page = (BUILD / f"xtctl-{command}.1").read_text()
    shown = subprocess.run(["man", "-l", "-"], input=page, capture_output=True, text=True,
                           env=dict(os.environ, MANWIDTH="200", LC_ALL="C.UTF-8")).stdout if shutil.which("man") else None
    assert f'.TH "xtctl-{command}" "1"' in page
    for shows, line in examples(command):
        assert shown is None or line in shown, shows
    assert f"xtctl-{command}" in (BUILD / "xtctl.1").read_text().replace("\\-", "-")


@pytest.mark.parametrize("width", [30, 50, 80, 200])
def test_lines_fit_a_terminal(width):
    """Words stay whole, and what an example breaks is the same command to a shell."""
    for args in (["help"], ["help", "sql"], ["help", "compare"], ["help", "schema"]):
        out, _ = on_terminal(width, *args)
        longest = max(len(word) for word in out.split())
        whole = [line for line in out.splitlines() if len(line) > min(width, 80) and line.count("'") < 2]
        assert all(len(line) < width + longest and len(line.split()) <= 3 for line in whole), whole
        piped = ok(*args).replace("\n  # ", " ").replace(" \\\n", " ").split()
        assert out.replace("\n  # ", " ").replace(" \\\n", " ").split() == piped


def test_what_is_said_fits_a_terminal(tmp_path):
    """Sentences beside the output are broken between words too, but only on a terminal."""
    missing = tmp_path / "no.db"
    out, _ = on_terminal(60, "head", missing, "--no-header", status=1, both=True)
    plain = run("head", missing, "--no-header").stderr
    assert len(plain.splitlines()) == 1 and len(out.splitlines()) > 1 and out.split() == plain.split()
    assert all(line.startswith(" " * 7) for line in out.splitlines()[1:])
    out, _ = on_terminal(60, "sql", missing, status=2, both=True)
    assert out.splitlines()[1].startswith("usage: xtctl sql DB ")


# ---- examples ------------------------------------------------------------


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A small demo, twice, so that runs can be compared."""
    path = tmp_path_factory.mktemp("demo")
    env = dict(os.environ, XDG_RUNTIME_DIR=str(path), XETRACKD=str(BUILD / "xetrackd"))
    for _ in range(2):
        p = subprocess.run([BUILD / "compress-bench", "--db", path / "demo.db", "--files", "24", "--quick"],
                           capture_output=True, text=True, timeout=2 * TIMEOUT, env=env)
        assert p.returncode == 0, p.stderr
    ok("log", path / "demo.db", "ratio=2.5", "codec=zstd", "--table", "predictions", "--track-id", RUN, env=env)
    ok("down", path / "demo.db", env=env)
    (path / "demo.db.lock").unlink()
    return path


@pytest.mark.skipif(not (BUILD / "compress-bench").exists(), reason="built without examples")
@pytest.mark.parametrize("command, line", EXAMPLES, ids=[f"{c}-{i}" for i, (c, _) in enumerate(EXAMPLES)])
def test_example(command, line, demo, runtime, autostarted, tmp_path):
    here = tmp_path / "here"
    shutil.copytree(demo, here)
    (here / "results.jsonl").write_text('{"acc": 0.5}\n{"acc": 0.75}\n')
    (here / "model.bin").write_bytes(bytes(range(256)) * 10)
    (here / "bin").mkdir()
    (here / "bin/xtctl").symlink_to(XTCTL)
    env = dict(os.environ, PATH=f"{here / 'bin'}:{os.environ['PATH']}")
    p = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=TIMEOUT, cwd=here, env=env,
                       stdin=subprocess.DEVNULL)
    for lock in here.glob("*.lock"):
        autostarted(str(lock)[:-len(".lock")])
    assert p.returncode in (0, 1), (line, p.stderr)
    assert p.returncode == 0 or command in FINDS or line.startswith("xtctl status"), (line, p.stdout, p.stderr)
    assert p.stdout or p.stderr


# Commands whose examples may find something, which is exit status 1.
FINDS = {"inspect", "validate", "preflight", "errors", "schema", "compare"}


# ---- what shells complete ------------------------------------------------


def complete(*words, **kw):
    return [line.split("\t")[0] for line in ok("complete", *words, **kw).splitlines()]


@pytest.fixture
def filled(served):
    ok("log", served.db, "loss=0.1", "epoch=1", "--table", "results")
    ok("log", served.db, "acc=0.5", "name=x")
    return served.db


def test_completes_commands():
    assert complete("") == COMMANDS + ["help"]
    assert complete("he") == ["head", "help"]
    assert complete("help", "he") == ["head", "help"]
    assert complete("nonsense", "x") == []


def test_completes_options():
    assert complete("head", "x.db", "--t") == ["--table", "--track-id"]
    assert complete("sql", "--format", "js") == ["json", "jsonl"]
    assert "--function" in complete("cache", "ls", "--") and "--raw" not in complete("cache", "ls", "--")


def test_completes_files_where_the_database_is_due():
    assert complete("head", "") == [":databases"]
    assert complete("cache", "l") == ["ls", ":databases"]
    assert complete("backup", "x.db", "") == [":files"]


def test_completes_what_is_in_the_database(filled):
    assert set(complete("head", filled, "--table", "")) == {"events", "results"}
    assert complete("head", filled, "--table", "r") == ["results"]
    assert complete("set", filled, "a") == ["acc"]
    assert complete("set", filled, "--table", "results", "") == ["track_id", "timestamp", "loss", "epoch"]
    assert complete("stats", "describe", filled, "--columns", "acc,na") == ["acc,name"]
    assert complete("schema", "rename", filled, "a") == ["acc"]
    assert complete("sql", filled, "") == ["-"]
    assert "acc" in complete("stats", "top", "", env=dict(os.environ, XETRACK_DB=str(filled)))
    runs = {r for r, in sqlite(filled, "SELECT track_id FROM xt_runs")}
    assert set(complete("delete", filled, "")) == runs
    assert set(complete("tail", "--track-id", "", env=dict(os.environ, XETRACK_DB=str(filled)))) == runs
    assert set(complete("tail", filled, "--track-id", "")) == runs


def test_completes_of_the_largest_table_where_one_has_no_rowid(served, client):
    client.change("exec", sql="CREATE TABLE keyed(track_id TEXT, timestamp TEXT, b, PRIMARY KEY(track_id, timestamp)) WITHOUT ROWID")
    assert complete("set", served.db, "b") == ["b"]
    client.store([{"acc": 1}] * 3, table="results")
    assert complete("set", served.db, "a") == ["acc"]


def test_completes_lists(filled):
    ok("log", filled, "acc=0.5", "name=x", "note=1")
    for words in (["stats", "describe", filled, "--by"], ["stats", "top", filled, "acc", "--columns"], ["errors", filled, "--by"],
                  ["compare", filled, "--metric"], ["export", filled, "--columns"], ["watch", filled, "--columns"]):
        assert complete(*words, "acc,n") == ["acc,name", "acc,note"]
        assert complete(*words, "NAME,acc,") == ["NAME,acc,track_id", "NAME,acc,timestamp", "NAME,acc,note"]  # each once
        assert complete(*words[:-1], f"{words[-1]}=acc,no") == [f"{words[-1]}=acc,note"]
    assert complete("compare", filled, "--by", "acc,n") == []  # one column


VALUES = {"s": ["b", "a", "a", None, "two words", "a", "b", "", "line\nend", "x" * 101, "true", "1.5"],
          "i": [3, -1, 20] * 4, "r": [0.1, 1e300, 2.0] * 4, "b": [True, False, None] * 4, "blob": [b"abc"] * 12}


@pytest.mark.parametrize("condition, typed, found", [
    ("s=", "", ["a", "b", "two words", "null"]),  # what would read as something else is left out
    ("s!=", "", ["a", "b", "two words", "null"]),
    ("s=", "t", ["two words"]),
    ("s=", "c", []),
    ("S=", "b", ["b"]),
    ("i=", "", ["-1", "3", "20"]),
    ("i<=", "2", ["20"]),
    ("r>", "", ["0.1", "2.0", "1e+300"]),
    ("b=", "", ["false", "true", "null"]),
    ("blob=", "", []),
    ("missing=", "", []),
    ("i:=", "", []),
    ("=", "", []),
    ("track_id=", "", ["steady-fox-1234"]),
])
def test_completes_values(served, client, condition, typed, found):
    client.store([dict(zip(VALUES, row)) for row in zip(*VALUES.values())], track_id="steady-fox-1234")
    assert complete("errors", served.db, "--where", condition + typed) == [condition + value for value in found]
    assert complete("errors", served.db, f"--where={condition}{typed}") == [f"--where={condition}{value}" for value in found]
    for value in found if "=" in condition and "!" not in condition and "<" not in condition else ():  # each is there
        assert json.loads(ok("stats", "top", served.db, "i", "--where", condition + value, "--json")), value


def test_completes_keys_of_conditions(filled):
    assert complete("errors", filled, "--where", "a") == ["acc="]
    assert complete("log", filled, "a") == ["acc="]
    assert complete("log", filled, "name=") == ["name=x"]


def test_values_are_those_at_both_ends(served, client):
    """However many rows there are, so many are looked at and no more."""
    client.change("exec", sql="CREATE TABLE many(v TEXT, n INTEGER)")
    client.change("exec", sql="WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 30000) INSERT INTO many "
                              "SELECT CASE i WHEN 1 THEN 'first' WHEN 15000 THEN 'middle' WHEN 30000 THEN 'last' ELSE 'other' END, i FROM n")
    client.change("exec", sql="CREATE VIEW seen AS SELECT * FROM many")
    assert complete("errors", served.db, "--table", "many", "--where", "v=") == ["v=first", "v=last", "v=other"]
    assert complete("errors", served.db, "--table=seen", "--where", "v=") == ["v=first", "v=other"]
    client.change("exec", sql="CREATE TABLE keyed(v TEXT PRIMARY KEY) WITHOUT ROWID")
    client.change("exec", sql="INSERT INTO keyed VALUES ('one'), ('two')")
    assert complete("errors", served.db, "--table", "keyed", "--where", "v=") == ["v=one", "v=two"]
    assert len(complete("errors", served.db, "--table", "many", "--where", "n=")) == 100


def test_a_view_without_end_is_given_up(served, client):
    client.change("exec", sql="CREATE VIEW endless AS WITH RECURSIVE n(v) AS (SELECT 1 UNION ALL SELECT 1 FROM n) "
                              "SELECT v FROM n WHERE v <> 1")
    assert complete("errors", served.db, "--table", "endless", "--where", "v=") == []
    assert "v" in complete("stats", "top", served.db, "--table", "endless", "")


def test_completes_columns_of_the_table_that_is_meant(served, client):
    """As commands do where nobody named one and there is no `events`: the largest."""
    client.store([{"little": 1}], table="small")
    client.store([{"much": i} for i in range(9)], table='la"rge')
    assert complete("stats", "top", served.db, "") == ["track_id", "timestamp", "much"]
    assert complete("stats", "top", served.db, "", env=dict(os.environ, XETRACK_TABLE="small"))[-1] == "little"
    client.store([{"usual": 1}])
    assert complete("stats", "top", served.db, "")[-1] == "usual"


def test_completing_starts_no_daemon(runtime, tmp_path):
    db = tmp_path / "idle.db"
    db.write_bytes(b"")
    assert complete("head", db, "--table", "") == []
    assert complete("errors", db, "--where", "a=") == []
    assert not (tmp_path / "idle.db.lock").exists()
    assert run("status", db).returncode == 1


def bash(words, cwd, env=None):
    """words: as bash breaks the line, at blanks and, where a word is a tuple, at = and : within it."""
    line = " ".join("".join(w) if isinstance(w, tuple) else str(w) for w in words)
    words = [str(part) for w in words for part in (w if isinstance(w, tuple) else (w,))]
    script = 'eval "$(xtctl completion bash)"; COMP_LINE=$1; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _xtctl xtctl; ' \
             'printf "%s\\n" "${COMPREPLY[@]}"'
    path = dict(os.environ, PATH=f"{BUILD}:{os.environ['PATH']}", **(env or {}))
    p = subprocess.run(["bash", "-c", script, "bash", line, *words], capture_output=True, text=True, cwd=cwd,
                       env=path, timeout=TIMEOUT)
    assert p.returncode == 0 and not p.stderr, p.stderr
    return p.stdout.split("\n")[:-1]


def test_bash(filled, tmp_path):
    for name in ("a b.db", "a b.db-wal", "a b.db-shm", "a b.db.lock", "a b.db.log", "a b.db.reserve"):
        (tmp_path / name).touch()
    (tmp_path / "a.txt").touch()
    assert bash(["xtctl", "he"], tmp_path) == ["head", "help"]
    assert sorted(bash(["xtctl", "head", "a"], tmp_path)) == ["a b.db", "a.txt"]
    assert bash(["xtctl", "head", filled, "--table", "res"], tmp_path) == ["results"]
    assert bash(["xtctl", "nonsense", ""], tmp_path) in ([], [""])
    ok("log", filled, "name=two words", "acc=1")
    errors = ["xtctl", "errors", filled]
    assert bash([*errors, "--where", "na"], tmp_path) == ["name="]
    assert bash([*errors, "--where", ("name", "=")], tmp_path) == [r"two\ words", "x"]  # in the place of what follows =
    assert bash([*errors, "--where", ("name", "=", r"two\ w")], tmp_path) == [r"two\ words"]
    assert bash([*errors, "--where", "'name!=two w"], tmp_path) == ["name!=two words"]
    assert bash([*errors, ("--where", "=", "name", "=", "x")], tmp_path) == ["x"]
    assert bash([*errors, "--by", "acc,na"], tmp_path) == ["acc,name"]
    assert bash([*errors, ("--by", "=", "acc,na")], tmp_path) == ["acc,name"]
    home = {"HOME": os.path.dirname(filled)}
    assert bash(["xtctl", "errors", f"~/{os.path.basename(filled)}", "--where", ("name", "=", "x")], tmp_path, home) == ["x"]


@pytest.mark.parametrize("shell, check", [("bash", ["-n"]), ("zsh", ["-n"]), ("fish", ["--no-execute"])])
def test_script_is_sound(shell, check, tmp_path):
    script = tmp_path / "script"
    script.write_text(ok("completion", shell))
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    p = subprocess.run([shell, *check, script], capture_output=True, text=True)
    assert p.returncode == 0, p.stderr


def test_fish(filled, tmp_path):
    if not shutil.which("fish"):
        pytest.skip("fish is not installed")
    env = dict(os.environ, PATH=f"{BUILD}:{os.environ['PATH']}", HOME=str(tmp_path))
    (tmp_path / "some.db").touch()

    def fish(line):
        script = "xtctl completion fish | source; complete -C $argv[1]"
        p = subprocess.run(["fish", "-c", script, line], capture_output=True, text=True, env=env, timeout=TIMEOUT, cwd=tmp_path)
        assert not p.stderr
        return [found.split("\t")[0] for found in p.stdout.splitlines()]
    assert fish(f"xtctl head {filled} --table r") == ["results"]
    assert fish(f"xtctl errors {filled} --where name=") == ["name=x"]
    assert fish(f"xtctl errors {filled} --where 'name!=") == ["name!=x"]
    assert fish(f"xtctl errors {filled} --by acc,na") == ["acc,name"]
    assert fish("xtctl head so") == ["some.db"]


def test_zsh(filled, tmp_path):
    """Without a terminal zsh completes nothing; what its function hands over is looked at instead."""
    if not shutil.which("zsh"):
        pytest.skip("zsh is not installed")
    script = 'compdef() { :; }; _describe() { print -l -- "${(@P)2}"; [[ -n $3 ]] && print -- "$3"; }; _files() { print FILES $2; }; ' \
             'eval "$(xtctl completion zsh)"; words=("$@"); CURRENT=$#; _xtctl'
    env = dict(os.environ, PATH=f"{BUILD}:{os.environ['PATH']}", HOME=str(tmp_path))

    def zsh(*words):
        p = subprocess.run(["zsh", "-f", "-c", script, "zsh", "xtctl", *map(str, words)], capture_output=True, text=True,
                           env=env, timeout=TIMEOUT)
        assert not p.stderr
        return p.stdout.splitlines()
    assert [line.split(":")[0] for line in zsh("he")] == ["head", "help"]
    assert zsh("head", "") == ["FILES *(-wal|-shm|.lock|.log|.log.1|.reserve)"]
    assert zsh("backup", filled, "") == ["FILES"]
    assert zsh("head", filled, "--table", "r") == ["results"]
    assert zsh("errors", filled, "--where", "na") == ["name=:text", "-S"]  # no blank behind it
    assert zsh("errors", filled, "--where", "name=") == ["name=x"]
    assert zsh("errors", filled, "--where", "name!=x") == ["name!=x"]
    assert zsh("errors", filled, "--by", "acc,na") == ["acc,name:text"]


@pytest.mark.parametrize("args, says", [
    (["haed", "x.db"], "did you mean 'head'?"),
    (["query", "x.db"], "did you mean 'sql'?"),
    (["top", "x.db", "acc"], "did you mean 'stats top'?"),
    (["hist", "x.db", "acc"], "did you mean 'plot hist'?"),
    (["head", "x.db", "--limit", "3"], "did you mean '--n'?"),
    (["tail", "x.db", "--limit=3"], "did you mean '--n'?"),
    (["errors", "x.db", "--group-by", "a"], "did you mean '--by'?"),
    (["log", "x.db", "--limit", "3"], "no option '--limit' here"),
    (["cache", "lss", "x.db"], "did you mean 'cache ls'?"),
    (["head", "x.db", "--tabel", "t"], "did you mean '--table'?"),
    (["help", "cach"], "did you mean 'cache'?"),
    (["help", "cache", "gett"], "did you mean 'cache get'?"),
    (["completion", "tcsh"], "none of bash, zsh and fish"),
    (["completion"], "missing"),
    (["--table", "t"], "options follow it"),
    (["columns", "x.db", "--n", "3"], "no option '--n' here"),
    (["head", "x.db", "--tabl", "t"], "did you mean '--table'?"),
    (["schema", "rename", "x.db", "a"], "NEW is missing"),
    (["plot", "histogram", "x.db", "a"], "did you mean 'plot hist'?"),
    (["plot", "boxplot", "x.db", "a"], "did you mean 'plot box'?"),
    (["plot", "pie", "x.db"], "'xtctl plot --help' lists them"),
])
def test_mistaken_names(args, says):
    p = run(*args)
    assert p.returncode == 2 and says in p.stderr, p.stderr
