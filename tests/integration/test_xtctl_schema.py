"""xtctl schema: what it shows and finds, renames and rules, on databases of all kinds."""
import functools
import json
import os
import signal
import subprocess

import pytest
import xtctl
from conftest import TIMEOUT, XTCTL, sqlite

pytestmark = xtctl.needs_xtctl
run, ok, refused = (functools.partial(call, "schema") for call in (xtctl.run, xtctl.ok, xtctl.refused))


def shown(db, *args):
    return {row["name"]: row for row in json.loads(ok("show", db, "--json", *args))}


@pytest.fixture
def renamed(client, served):
    """The seed's example: a parameter that was renamed between two runs."""
    client.store([{"params_learning_rate": 0.1, "acc": 0.5 + i / 10, "i": i} for i in range(4)], track_id="one")
    client.store([{"params_lr": 0.2, "acc": 0.7, "i": i} for i in range(4, 6)], track_id="two")
    return served.db


def test_a_new_name_that_may_be_mistyped(renamed):
    """How it is mended is told, word for word."""
    p = run("rename", renamed, "acc", "params_lrr")
    assert p.returncode == 0 and "note: column 'params_lrr' is new beside 'params_lr'; if that is meant, 'xtctl schema rename " in p.stderr
    assert "note" not in run("rename", renamed, "params_learning_rate", "params_learning_rates").stderr


def test_check_until_it_is_renamed(renamed):
    p = run("check", renamed)
    assert p.returncode == 1 and "params_learning_rate" in p.stdout and "1 thing is wrong" in p.stdout
    found = json.loads(run("check", renamed, "--json").stdout)
    assert found["ok"] is False
    (f,) = found["findings"]
    assert (f["code"], f["table"], f["column"]) == ("renamed_column", "events", "params_lr")
    assert f"'xtctl schema rename {renamed} params_learning_rate params_lr --table events'" in f["message"]
    out = ok("rename", renamed, "params_learning_rate", "params_lr")
    assert "'params_lr' now" in out and "2 values moved" in out
    assert json.loads(ok("check", renamed, "--json")) == {"ok": True, "findings": []}
    assert ok("check", renamed).startswith("ok: ")
    assert sqlite(renamed, "SELECT params_lr FROM events ORDER BY i") == [(0.1,)] * 4 + [(0.2,)] * 2
    row = shown(renamed)["params_lr"]
    assert row == {"name": "params_lr", "type": "REAL", "key": "params_lr", "nulls": 0.0, "first_run": "one", "last_run": "two",
                   "aliases": "params_learning_rate", "marks": None}


def test_check_until_it_is_accepted(renamed):
    assert "accepted beside 1 other" in ok("accept", renamed, "params_lr")
    assert ok("check", renamed).startswith("ok: ")
    assert "was not taken" in ok("accept", renamed, "params_lr")
    assert json.loads(ok("accept", renamed, "acc", "i", "--json")) == {"accepted": 0}


def test_check_of_a_column_that_is_gone(renamed, client):
    client.change("exec", sql="ALTER TABLE events DROP COLUMN params_lr")
    assert ok("check", renamed).startswith("ok: ")


def test_check_tells_what_waits(client, served):
    client.store([{"train_loss": 1.0}, {"x": 1}], track_id="one")
    client.store({"train_acc": 0.5}, track_id="two")
    out = ok("check", served.db)
    assert out.startswith("note: ") and "judged when the run ends" in out
    client.change("run_finish", track_id="two", status="finished")
    assert run("check", served.db).returncode == 1


def test_check_finds_mixed_types(client, served):
    client.store([{"a": 1, "b": 0.5}, {"a": "x", "b": 1}, {"a": b"z", "b": None}, {"a": None}, {"a": "y"}])
    client.store([{"c": 1}, {"c": "x"}], table="second")
    found = json.loads(run("check", served.db, "--json").stdout)["findings"]
    assert [(f["code"], f["table"], f["column"], f["count"]) for f in found] == \
        [("mixed_types", "events", "a", 4), ("mixed_types", "second", "c", 2)]
    assert "text (2 rows)" in found[0]["message"] and "blob (1 row)" in found[0]["message"]
    found = json.loads(run("check", served.db, "--json", "--table", "second").stdout)["findings"]
    assert [f["table"] for f in found] == ["second"]


def test_show(client, served):
    client.store([{"a": 1, "b": None}, {"a": None, "loss/train": 0.5}], track_id="one")
    client.store([{"a": 3}], track_id="two")
    rows = shown(served.db)
    assert list(rows) == ["track_id", "timestamp", "a", "b", "loss_train"]
    assert rows["a"]["nulls"] == pytest.approx(1 / 3) and rows["a"]["first_run"] == "one" and rows["a"]["last_run"] == "two"
    assert rows["b"] == {"name": "b", "type": "", "key": "b", "nulls": 1.0, "first_run": None, "last_run": None, "aliases": None,
                         "marks": None}
    assert rows["loss_train"]["key"] == "loss/train" and rows["loss_train"]["last_run"] == "one"
    for form in ("table", "csv", "md", "jsonl"):
        assert "loss_train" in ok("show", served.db, "--format", form)
    assert ok(served.db) == ok("show", served.db) == ok(served.db, "show")


def test_show_marks(client, served):
    client.store({"a": 1, "b": 2})
    ok("require", served.db, "b", "c")
    assert [r["marks"] for r in shown(served.db).values()] == [None, None, None, "required"]
    ok("freeze", served.db)
    assert [r["marks"] for r in shown(served.db).values()] == ["frozen"] * 3 + ["required, frozen"]
    assert "required" in ok("check", served.db) and "'c'" in ok("check", served.db)
    assert "takes new columns again" in ok("thaw", served.db)
    assert json.loads(ok("thaw", served.db, "--json")) == {"table": "events", "changed": False}
    assert [r["column"] for r in json.loads(ok("require", served.db, "--json"))] == ["b", "c"]
    ok("require", served.db, "b", "c", "--drop")
    assert json.loads(ok("require", served.db, "--json")) == []


def test_diff(client, served):
    client.store([{"a": 1, "b": "x", "old": 1}, {"a": 2, "c": None}], track_id="one")
    client.store([{"a": 1.5, "b": "y", "new": 1}, {"a": 2}], track_id="two")
    rows = json.loads(ok("diff", served.db, "one", "two", "--json"))
    assert rows == [{"column": "old", "difference": "only in the first", "one": "integer", "two": None},
                    {"column": "new", "difference": "only in the second", "one": None, "two": "integer"}]
    assert json.loads(ok("diff", served.db, "--json")) == rows
    assert [r["difference"] for r in json.loads(ok("diff", served.db, "two", "one", "--json"))] == \
        ["only in the second", "only in the first"]
    client.store({"b": 7}, track_id="three")
    assert {"column": "b", "difference": "types", "two": "text", "three": "integer"} in json.loads(ok("diff", served.db, "--json"))
    p = run("diff", served.db, "one", "one")
    assert p.returncode == 0 and "the same columns" in p.stderr
    assert "no rows in table" in refused("diff", served.db, "one", "four")
    assert "RUN is missing" in refused("diff", served.db, "one", status=2)
    client.store({"a": 1}, track_id="only", table="lonely")
    assert "one run only" in refused("diff", served.db, "--table", "lonely")


def test_alias(client, served):
    client.store({"lr": 0.1})
    assert "one alias more" in ok("alias", served.db, "learning_rate", "lr")
    assert "already" in ok("alias", served.db, "learning_rate", "lr")
    assert [(r["key"], r["column"]) for r in json.loads(ok("alias", served.db, "--json"))] == [("learning_rate", "lr")]
    client.store({"learning_rate": 0.2})
    assert client.rows("SELECT lr FROM events") == [[0.1], [0.2]]
    assert "no such alias" in ok("alias", served.db, "lernrate", "--drop")
    assert "one alias less" in ok("alias", served.db, "learning_rate", "--drop")
    refused("alias", served.db, "x", status=2)
    refused("alias", served.db, "x", "lr", "--drop", status=2)
    assert "did you mean 'lr'" in refused("alias", served.db, "x", "lrr")


def test_a_statement_with_the_old_name_is_told_the_new_one(client, served):
    client.store({"learning_rate": 0.1})
    ok("rename", served.db, "learning_rate", "lr")
    p = xtctl.run("sql", served.db, "SELECT learning_rate FROM events")
    assert p.returncode == 1 and "it was renamed to 'lr'" in p.stderr


def test_refusals(renamed, client):
    client.store({"params_lr": 1, "params_learning_rate": 2, "i": 9}, track_id="both")
    error = refused("rename", renamed, "params_learning_rate", "params_lr")
    assert "1 row has values in both" in error and "run 'both'" in error
    assert "did you mean 'params_lr'" in refused("rename", renamed, "params_lrr", "x")
    assert "track_id" in refused("rename", renamed, "track_id", "x")
    refused("rename", renamed, "acc", status=2)
    refused("rename", renamed, "acc", "b", "c", status=2)
    assert "no table" in refused("rename", renamed, "acc", "b", "--table", "nope")
    refused("accept", renamed, "nope")
    refused("require", renamed, "track_id")
    refused("require", renamed, "--drop", status=2)
    assert "did you mean 'schema rename'" in run("renam", renamed, "a", "b").stderr


def test_no_database(runtime):
    for args in (["show"], ["check"], ["diff"], ["rename", "a", "b"], ["freeze"], ["thaw"], ["require", "a"], ["accept", "a"], ["alias"]):
        refused(args[0], runtime / "none.db", *args[1:])
    assert not (runtime / "none.db").exists()


def test_an_empty_database(served):
    assert ok("check", served.db).startswith("ok: ")
    for args in (["show"], ["diff"], ["rename", "a", "b"], ["freeze"], ["accept", "a"], ["alias"]):
        assert "nothing was logged yet" in refused(args[0], served.db, *args[1:])
    assert json.loads(ok("require", served.db, "--json")) == []


def test_another_programs_database(db, autostarted):
    """A read-only file without internal tables."""
    sqlite(db, "CREATE TABLE t (track_id TEXT, timestamp TEXT, x)")
    sqlite(db, "INSERT INTO t VALUES ('r', '', 1), ('r', '', 'a'), ('s', '', NULL)")
    autostarted(db)
    assert shown(db, "--table", "t")["x"]["nulls"] == pytest.approx(1 / 3)
    assert run("check", db).returncode == 1
    assert json.loads(ok("diff", db, "--table", "t", "--json"))[0]["column"] == "x"


def test_odd_columns(client, served):
    names = ['a"b', "größe", "select", "🚀", "x" * 64, "Ünï", "order", "a b"]
    client.store([{n: i for i, n in enumerate(names)}, {n: None for n in names}], track_id="one")
    client.store([{names[0]: "text"}], track_id="it's")
    rows = shown(served.db)
    assert len(rows) == 10 and rows["größe"]["nulls"] == pytest.approx(2 / 3)
    assert run("check", served.db).returncode == 1
    assert "a_b" in ok("diff", served.db, "one", "it's")
    ok("rename", served.db, "select", "group")
    ok("rename", served.db, "größe", "🚀🚀")
    assert "group" in ok("show", served.db) and "__" in shown(served.db)


def test_many_columns(client, served):
    client.store({f"c{i}": i for i in range(1998)}, track_id="one")
    client.store({f"c{i}": i for i in range(0, 1998, 2)}, track_id="two")
    rows = shown(served.db)
    assert len(rows) == 2000 and rows["c1"]["nulls"] == 0.5 and rows["c1996"]["last_run"] == "two"
    assert len(json.loads(ok("diff", served.db, "--json"))) == 999


def test_narrow_and_closed(renamed):
    env = dict(os.environ, COLUMNS="30")
    assert ok("show", renamed, env=env)
    p = subprocess.Popen([XTCTL, "schema", "show", renamed], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    p.stdout.close()
    assert p.wait(TIMEOUT) in (0, 1, -signal.SIGPIPE, 141)
    assert b"Sanitizer" not in p.stderr.read()
    p.stderr.close()


def test_the_daemon_dies(served, client):
    """In the middle of a rename: a clear message, exit status 1, and nothing half done."""
    client.store([[i, None] for i in range(20000)], columns=["old", "x"], track_id="one")
    client.store({"new": 1}, track_id="two")
    p = subprocess.Popen([XTCTL, "schema", "rename", served.db, "old", "new"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         text=True, env=dict(os.environ, XETRACK_AUTOSTART="0"))
    served.kill()
    out, err = p.communicate(timeout=TIMEOUT)
    assert p.returncode in (0, 1)
    names = [r[1] for r in sqlite(served.db, "PRAGMA table_info(events)")]
    if p.returncode == 1:
        assert err.startswith("xtctl: ")
    assert "new" in names
    values = sqlite(served.db, "SELECT count(new) FROM events")[0][0]
    assert values == (1 if "old" in names else 20001)
