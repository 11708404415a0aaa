"""The schema guard in the daemon: new columns that look like old ones, renames, aliases, frozen tables, required columns."""
import sqlite3

import pytest
from conftest import RpcError, fails, sqlite


def columns(c, table="events"):
    return [k["name"] for k in c.call("columns", table=table, after=c.seq)["columns"] if k["name"] not in ("track_id", "timestamp")]


def similar(c):
    """New columns that the client was warned of."""
    c.flush()
    return [w["column"] for w in c.named("warning") if w["code"] == "similar_column"]


def suspects(c, *states):
    states = states or ("early", "open")
    marks = ",".join("?" * len(states))
    return c.rows(f"SELECT name, old_name FROM xt_suspects WHERE state IN ({marks}) ORDER BY 1, 2", args=list(states))


def finish(c, run):
    return c.change("run_finish", track_id=run, status="finished")


# ---- noticing ----------------------------------------------------------------


def test_a_rename_is_told_at_once(served, client):
    """The seed's example: params_learning_rate becomes params_lr."""
    client.store([{"params_learning_rate": 0.1, "acc": 0.5}] * 3, track_id="one")
    client.store({"params_lr": 0.1, "acc": 0.6}, track_id="two")
    assert similar(client) == ["params_lr"]
    (w,) = [w for w in client.named("warning")]
    assert "'params_learning_rate'" in w["message"] and f"xtctl schema rename {served.db} params_learning_rate params_lr" in w["message"]
    assert w["message"].endswith(f"if not: xtctl schema accept {served.db} params_lr")
    assert w["table"] == "events"
    assert suspects(client) == [["params_lr", "params_learning_rate"]]
    client.store({"params_lr": 0.2, "acc": 0.6}, track_id="two")
    assert len(similar(client)) == 1


def test_an_abbreviation_is_a_rename(client):
    client.store({"learning_rate": 0.1}, track_id="one")
    client.store({"lr": 0.1}, track_id="two")
    assert similar(client) == ["lr"]


def test_both_in_one_run_is_no_rename(client):
    """train_acc beside train_loss, whatever the order."""
    client.store([{"train_loss": 1.0}, {"train_acc": 0.5}, {"train_f1": 0.5, "train_loss": 1.0}], track_id="one")
    finish(client, "one")
    client.store([{"train_loss": 1.0}, {"train_acc": 0.5}], track_id="two")
    client.store([{"train_precision": 0.5}], track_id="two")
    finish(client, "two")
    assert similar(client) == []
    assert suspects(client, "early", "open", "waiting") == []


def test_what_is_not_sure_is_judged_at_the_end(client):
    """The last run had the old one in some of its rows only."""
    client.store([{"train_loss": 1.0}, {"x": 1}], track_id="one")
    client.store({"train_acc": 0.5}, track_id="two")
    assert similar(client) == []
    assert suspects(client, "waiting") == [["train_acc", "train_loss"]]
    finish(client, "two")
    assert similar(client) == ["train_acc"]
    assert suspects(client) == [["train_acc", "train_loss"]]


def test_what_was_told_at_once_is_taken_back(client):
    """The run logs the old one in a later row."""
    client.store({"train_loss": 1.0}, track_id="one")
    client.store({"train_acc": 0.5}, track_id="two")
    assert suspects(client) == [["train_acc", "train_loss"]]
    client.store({"train_loss": 0.5}, track_id="two")
    finish(client, "two")
    assert suspects(client, "early", "open", "waiting") == []


def test_the_key_is_there_without_a_value(client):
    client.store({"error": "x"}, track_id="one")
    client.store({"error": None, "error_type": None}, track_id="two")
    assert similar(client) == [] and suspects(client, "early", "open", "waiting") == []


def test_unlike_names_are_no_rename(client):
    client.store({"accuracy": 1.0, "seconds": 2}, track_id="one")
    client.store({"model": "x", "bytes": 3}, track_id="two")
    finish(client, "two")
    assert similar(client) == [] and suspects(client, "early", "open", "waiting") == []


def test_columns_of_calls_and_samples_are_no_renames(client):
    client.store({"function_name": "f", "function_time": 1.0, "memory_percent": 1.0, "disk_percent": 2.0}, track_id="one")
    client.store({"cpu_percent": 1.0, "ram_percent": 1.0, "p_memory_percent": 2.0, "function_names": "x", "function_result": 1},
                 track_id="two")
    finish(client, "two")
    assert similar(client) == [] and suspects(client, "early", "open", "waiting") == []


def test_one_of_several_old_names_is_told(client):
    client.store({"val_loss": 1.0, "val_los": 1.0, "val_lss": 1.0, "x": 0}, track_id="one")
    client.store({"val_losss": 1.0}, track_id="two")
    assert len(similar(client)) == 1
    finish(client, "two")
    assert suspects(client) == [["val_losss", "val_loss"]]


def test_judged_when_the_client_goes(served):
    with served.client() as a, served.client() as b:
        a.store([{"train_loss": 1.0}, {"x": 1}], track_id="one")
        b.store({"train_acc": 0.5}, track_id="two")
        b.notify("bye")
        b.until_event("warning")
        assert b.named("warning")[0]["column"] == "train_acc"
        a.store({"y": 1}, track_id="one")
        assert suspects(a) == [["train_acc", "train_loss"]]


def test_judged_after_a_crash_of_the_worker(served):
    with served.client() as a:
        b = served.client()
        a.store([{"train_loss": 1.0}, {"x": 1}], track_id="one")
        b.store({"train_acc": 0.5}, track_id="two")
        b.close()
        while a.value("SELECT status FROM xt_runs WHERE track_id = 'two'") == "running":
            pass
        assert suspects(a) == [["train_acc", "train_loss"]]


def test_a_suspect_outlives_the_daemon(daemon, db):
    d = daemon(db)
    with d.client() as c:
        c.store([{"train_loss": 1.0}, {"x": 1}], track_id="one")
        c.store({"train_acc": 0.5}, track_id="two")
        d.kill()
    with daemon(db).client() as c:
        assert suspects(c, "waiting") == [["train_acc", "train_loss"]]
        c.change("run_finish", track_id="two", status="failed")
        assert suspects(c) == [["train_acc", "train_loss"]]


def test_a_rejected_row_leaves_no_suspicion(client, served):
    sqlite(served.db, "CREATE TABLE t (track_id TEXT, timestamp TEXT, learning_rate REAL, n INTEGER CHECK (n > 0))")
    client.store({"learning_rate": 0.1, "n": 1}, track_id="one", table="t")
    assert client.store({"lr": 0.1, "n": -1}, track_id="two", table="t") == (0, 1)
    assert similar(client) == [] and suspects(client, "early", "open", "waiting") == []
    assert columns(client, "t") == ["learning_rate", "n"]
    client.store({"lr": 0.1, "n": 1}, track_id="two", table="t")
    assert similar(client) == ["lr"]
    assert "--table t" in client.named("warning")[0]["message"]


def test_accepted_pairs_stay_accepted(client):
    client.store({"train_loss": 1.0}, track_id="one")
    client.store({"train_acc": 0.5}, track_id="two")
    assert client.change("schema_accept", column="train_acc") == {"accepted": 1}
    finish(client, "two")
    assert suspects(client) == []
    client.change("exec", sql="ALTER TABLE events DROP COLUMN train_acc")
    client.store({"train_acc": 0.5}, track_id="three")
    finish(client, "three")
    assert suspects(client, "early", "open", "waiting") == []
    assert len(similar(client)) == 1


def test_accepted_beforehand(client):
    client.store({"train_loss": 1.0, "train_acc": 0.5}, track_id="one")
    assert client.change("schema_accept", column="train_acc", other="train_loss") == {"accepted": 0}
    client.change("exec", sql="ALTER TABLE events DROP COLUMN train_acc")
    client.store({"train_acc": 1.0}, track_id="two")
    assert similar(client) == [] and suspects(client, "early", "open", "waiting") == []
    fails("no_such_column", client.change, "schema_accept", column="nope")
    fails("no_such_column", client.change, "schema_accept", column="train_acc", other="train_los")
    fails("no_such_table", client.change, "schema_accept", table="nope", column="x")


def test_many_new_columns_do_not_take_long(client):
    """Thousands of like names against thousands: bounded, and each row is stored."""
    client.store({f"feature_{i:04}": i for i in range(900)}, track_id="one")
    client.store({f"featur_{i:04}": i for i in range(900)}, track_id="two")
    assert client.value("SELECT count(*) FROM events") == 2
    assert len(suspects(client, "early", "open", "waiting")) <= 24


def test_odd_names(client):
    client.store({"größe": 1, "温度": 2, "select": 3, "loss/train": 4, 'a"b': 5, "🚀speed": 6}, track_id="one")
    client.store({"grösse": 1, "温度計": 2, "selects": 3, "loss/training": 4, "🚀speedy": 6}, track_id="two")
    assert suspects(client) == [["_speedy", "_speed"], ["grösse", "größe"], ["loss_training", "loss_train"], ["selects", "select"],
                                ["温度計", "温度"]]
    for new, old in suspects(client):
        client.change("schema_rename", old=old, new=new)
    assert suspects(client) == []
    assert sorted(columns(client)) == sorted(["grösse", "温度計", "selects", "loss_training", "a_b", "_speedy"])
    assert client.store({"größe": 7, "loss/train": 8, "🚀speed": 9}, track_id="three") == (1, 0)
    assert client.rows('SELECT "grösse", loss_training, _speedy FROM events WHERE track_id = ?', args=["three"]) == [[7, 8, 9]]


FOREIGN = {
    "no index": "track_id TEXT, timestamp TEXT, learning_rate, x)",
    "other index": "track_id TEXT, timestamp TEXT, learning_rate, x, UNIQUE (timestamp, track_id, x))",
    "two columns": "track_id TEXT, timestamp TEXT, learning_rate, x, UNIQUE (track_id, x))",
    "python": "track_id TEXT, timestamp TEXT, learning_rate, x, PRIMARY KEY (track_id, timestamp))",
    "no rowids": "track_id TEXT, timestamp TEXT, learning_rate, x, PRIMARY KEY (track_id, timestamp)) WITHOUT ROWID",
    "no rowids, no index": "track_id TEXT, timestamp TEXT, learning_rate, x, PRIMARY KEY (x, timestamp)) WITHOUT ROWID",
}


def foreign(daemon, db, table):
    sqlite(db, f"CREATE TABLE events({FOREIGN[table]}")
    return daemon(db).client()


def put(db, run, n, value="0.1"):
    """Rows of another program."""
    sqlite(db, "WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s LIMIT ?2) INSERT INTO events(track_id, timestamp, "
               f"learning_rate, x) SELECT ?1, printf('%s%06d', ?1, i), {value}, random() FROM s", run, n)


@pytest.mark.parametrize("table", FOREIGN)
def test_a_rename_in_a_foreign_table(daemon, db, table):
    with foreign(daemon, db, table) as c:
        c.store([{"learning_rate": 1, "x": i} for i in range(5)], track_id="one")
        c.store({"lr": 1, "x": 6}, track_id="two")
        assert similar(c) == ["lr"]
        finish(c, "two")
        assert suspects(c) == [["lr", "learning_rate"]]
        c.store([{"learning_rate": 1, "x": 10}, {"x": 11}, {"earning_rate": 1, "x": 12}], track_id="three")  # it has both
        finish(c, "three")
        assert similar(c) == ["lr"]
        assert suspects(c) == [["lr", "learning_rate"]]


@pytest.mark.parametrize("table", [t for t in FOREIGN if t != "no rowids, no index"])
def test_a_rename_in_a_large_foreign_table(daemon, db, table):
    """Where no index leads to the run, only the last rows of the table are looked at."""
    indexed = table in ("two columns", "python", "no rowids")
    with foreign(daemon, db, table) as c:
        c.store([{"learning_rate": 1, "x": 1}], track_id="both")
        c.store([{"x": 2}], track_id="new")
        put(db, "others", 10001)
        c.store({"lr": 1, "x": 3}, track_id="both")  # its other row is out of sight, unless an index leads there
        assert suspects(c, "early", "waiting", "open") == ([] if indexed else [["lr", "learning_rate"]])
        assert similar(c) == []
        put(db, "before", 5)
        c.store({"learning": 1, "x": 4}, track_id="new")
        assert suspects(c, "early") == ([["learning", "learning_rate"]] if indexed and table != "no rowids" else [])


@pytest.mark.parametrize("deleted", [False, True], ids=["there", "deleted"])
def test_a_run_whose_rows_are_out_of_sight_is_left_to_people(daemon, db, deleted):
    with foreign(daemon, db, "no index") as c:
        c.store([{"learning_rate": 1}], track_id="one")
        put(db, "others", 10000)
        c.store({"lr": 1}, track_id="two")
        c.change("schema_alias", key="nothing", column="x")
        assert suspects(c, "waiting") == [["lr", "learning_rate"]]
        put(db, "others", 10000, "NULL")
        if deleted:
            c.change("delete_run", track_id="two", force=True)
        else:
            finish(c, "two")
        c.store({"x": 1}, track_id="three")
        finish(c, "three")
        assert suspects(c, "waiting", "open") == ([] if deleted else [["lr", "learning_rate"]])
        assert similar(c) == []


# ---- renaming ----------------------------------------------------------------


def test_rename_to_a_new_name(client):
    client.store([{"learning_rate": 0.1, "x": 1}, {"learning_rate": 0.2, "x": 2}])
    assert client.change("schema_rename", old="learning_rate", new="lr") == {"name": "lr", "merged": False, "moved": 0}
    assert columns(client) == ["lr", "x"]
    assert client.rows("SELECT lr FROM events ORDER BY x") == [[0.1], [0.2]]
    assert client.store([{"learning_rate": 0.3, "x": 3}, {"lr": 0.4, "x": 4}]) == (2, 0)
    assert client.store([[0.5, 5]], columns=["learning_rate", "x"]) == (1, 0)
    assert client.rows("SELECT lr FROM events ORDER BY x") == [[0.1], [0.2], [0.3], [0.4], [0.5]]
    assert columns(client) == ["lr", "x"]
    assert client.rows("SELECT key, name FROM xt_aliases") == [["learning_rate", "lr"]]
    assert [k["key"] for k in client.call("columns")["columns"]][2:] == ["lr", "x"]


def test_rename_merges(client):
    """Old and new have values in different rows: the seed's split column becomes one."""
    client.store([{"params_learning_rate": i / 10, "x": i} for i in range(5)], track_id="one")
    client.store([{"params_lr": i / 10, "x": i} for i in range(5, 8)], track_id="two")
    r = client.change("schema_rename", old="params_learning_rate", new="params_lr")
    assert r == {"name": "params_lr", "merged": True, "moved": 3}
    assert columns(client) in (["params_lr", "x"], ["x", "params_lr"])
    assert client.rows("SELECT params_lr FROM events ORDER BY x") == [[i / 10] for i in range(8)]
    assert suspects(client, "early", "open", "waiting") == []
    assert client.rows("PRAGMA integrity_check") == [["ok"]]
    client.store({"params_learning_rate": 0.8, "x": 8}, track_id="one")
    assert client.value("SELECT params_lr FROM events WHERE x = 8") == 0.8


def test_rename_merges_the_other_way(client):
    """The new one has more values: they stay where they are."""
    client.store({"a": 1, "x": 0}, track_id="one")
    client.store([{"b": i, "x": i} for i in range(1, 5)], track_id="two")
    assert client.change("schema_rename", old="a", new="b") == {"name": "b", "merged": True, "moved": 1}
    assert client.rows("SELECT b FROM events ORDER BY x") == [[1], [1], [2], [3], [4]]


def test_a_conflict_shows_values_as_they_are_shown_elsewhere(client):
    client.store({"a": 0.872787292077581433632, "b": "it's"})
    assert ": 0.872787292077581 and 'it''s'; of these" in fails("value_conflict", client.change, "schema_rename", old="a", new="b").message


def test_rename_loses_no_value(client):
    client.store([{"a": 1, "b": 2, "x": 0}, {"a": 3, "x": 1}, {"a": 7, "b": 7, "x": 2}], track_id="one")
    e = fails("value_conflict", client.change, "schema_rename", old="a", new="b")
    assert "2 rows have values in both" in e.message and "1 are the same" in e.message
    assert "run 'one'" in e.message and "1 and 2" in e.message
    assert columns(client) == ["a", "b", "x"]
    assert client.rows("SELECT a, b FROM events ORDER BY x") == [[1, 2], [3, None], [7, 7]]
    assert client.rows("SELECT * FROM xt_aliases") == []
    client.change("set", key="b", value=None)
    assert client.change("schema_rename", old="a", new="b")["merged"] is True
    assert client.rows("SELECT b FROM events ORDER BY x") == [[1], [3], [7]]


@pytest.mark.parametrize("old, new, declared", [
    ([1, 2], [0.5], "REAL"), ([0.5], [1, 2], "REAL"), ([1], ["x"], ""), (["007"], [7], ""), ([True], [3], ""),
    ([2**53 + 1], [0.5], ""), ([0.5], [2**53 + 1], ""), ([b"\0"], ["a"], ""), ([None], [1], "INTEGER"), ([1.0], [None], "REAL"),
    (["a"], ["b"], "TEXT"), ([float("inf")], [1], "REAL"), ([1.0, 2.0], ["x"], "")])
def test_rename_keeps_values_as_they_are(client, old, new, declared):
    client.store([{"a": v, "x": i} for i, v in enumerate(old)], track_id="one")
    client.store([{"b": v, "x": 10 + i} for i, v in enumerate(new)], track_id="two")
    kinds = client.rows("SELECT coalesce(a, b), typeof(coalesce(a, b)) FROM events ORDER BY x")
    client.change("schema_rename", old="a", new="b")
    got = client.rows("SELECT b, typeof(b) FROM events ORDER BY x")
    if declared == "REAL":
        kinds = [[v, "null" if v is None else "real"] for v, _ in kinds]
    assert got == kinds
    assert {k["name"]: k["type"] for k in client.call("columns")["columns"]}["b"] == declared
    assert client.rows("PRAGMA integrity_check") == [["ok"]]


def test_chain_and_way_back(client):
    client.store({"a": 1})
    client.change("schema_rename", old="a", new="b")
    client.change("schema_rename", old="b", new="c")
    client.store([{"a": 2}, {"b": 3}, {"c": 4}])
    assert client.rows("SELECT c FROM events ORDER BY 1") == [[1], [2], [3], [4]]
    assert client.rows("SELECT key, name FROM xt_aliases ORDER BY 1") == [["a", "c"], ["b", "c"]]
    client.change("schema_rename", old="c", new="a")
    client.store([{"a": 5}, {"b": 6}, {"c": 7}])
    assert client.rows("SELECT a FROM events ORDER BY 1") == [[1], [2], [3], [4], [5], [6], [7]]
    assert client.rows("SELECT key, name FROM xt_aliases ORDER BY 1") == [["b", "a"], ["c", "a"]]


def test_case_of_a_name(client):
    client.store({"acc": 1})
    assert client.change("schema_rename", old="ACC", new="Acc")["name"] == "Acc"
    client.store([{"acc": 2}, {"Acc": 3}])
    assert columns(client) == ["Acc"]
    assert client.rows("SELECT Acc FROM events ORDER BY 1") == [[1], [2], [3]]


def test_columns_of_one_name_become_one(client):
    """`loss/train` and `loss_train` have a column each, which the guard merges."""
    client.store({"loss_train": 1, "x": 1}, track_id="one")
    client.store({"loss/train": 2, "x": 2}, track_id="two")
    assert columns(client) == ["loss_train", "x", "loss_train_2"]
    assert suspects(client) == [["loss_train_2", "loss_train"]]
    client.change("schema_rename", old="loss_train_2", new="loss_train")
    client.store([{"loss/train": 3, "x": 3}, {"loss_train": 4, "x": 4}], track_id="three")
    assert client.rows("SELECT loss_train FROM events ORDER BY x") == [[1], [2], [3], [4]]
    assert sorted(columns(client)) == ["loss_train", "x"]


def test_by_key(client):
    client.store({"loss/train": 1})
    assert client.change("schema_rename", old="loss/train", new="loss/val") == {"name": "loss_val", "merged": False, "moved": 0}
    client.store([{"loss/train": 2}, {"loss/val": 3}])
    assert client.rows("SELECT loss_val FROM events ORDER BY 1") == [[1], [2], [3]]


def test_bad_renames(client):
    client.store({"a": 1, "loss_train": 2})
    assert "did you mean" in fails("no_such_column", client.change, "schema_rename", old="loss_trian", new="b").message
    fails("no_such_table", client.change, "schema_rename", table="nope", old="a", new="b")
    fails("bad_name", client.change, "schema_rename", table="xt_runs", old="status", new="b")
    fails("not_allowed", client.change, "schema_rename", old="track_id", new="b")
    fails("bad_name", client.change, "schema_rename", old="a", new="timestamp")
    fails("bad_name", client.change, "schema_rename", old="a", new="a")
    assert "say 'loss_train'" in fails("bad_name", client.change, "schema_rename", old="a", new="loss/train").message
    fails("out_of_range", client.call, "schema_rename", seq=client.seq + 1, old="a", new="")
    client.change("schema_rename", old="a", new="b")
    assert "renamed to 'b'" in fails("no_such_column", client.change, "schema_rename", old="a", new="b").message
    assert client.store({"a": 5}) == (1, 0)
    assert columns(client) == ["b", "loss_train"]


def test_indexes_views_and_triggers_follow(client, served):
    client.store({"old": 1, "x": 1})
    sqlite(served.db, "CREATE INDEX i ON events(old)", )
    sqlite(served.db, "CREATE VIEW v AS SELECT old + 1 AS n FROM events")
    sqlite(served.db, "CREATE TABLE notes(n)")
    sqlite(served.db, "CREATE TRIGGER tr AFTER INSERT ON events BEGIN INSERT INTO notes VALUES (new.old); END")
    client.change("schema_rename", old="old", new="new")
    client.store({"old": 2, "x": 2})
    assert client.rows("SELECT n FROM v ORDER BY n") == [[2], [3]]
    assert client.rows("SELECT n FROM notes") == [[2]]
    assert client.rows("SELECT name FROM pragma_index_info('i')") == [["new"]]


def test_merge_keeps_what_is_named(client, served):
    """The column that an index or view names stays, under the new name; no trigger sees it."""
    client.store({"old": 1, "x": 1})
    client.store([{"new": 2, "x": 2}, {"new": 3, "x": 3}])
    sqlite(served.db, "CREATE TABLE notes(n)")
    sqlite(served.db, "CREATE TRIGGER tr AFTER UPDATE ON events BEGIN INSERT INTO notes VALUES (1); END")
    sqlite(served.db, "CREATE VIEW v AS SELECT old AS n FROM events")
    sqlite(served.db, "CREATE INDEX i ON events(old)")
    assert client.change("schema_rename", old="old", new="new")["merged"] is True
    assert client.rows("SELECT n FROM v ORDER BY n") == [[1], [2], [3]]
    assert client.rows("SELECT count(*) FROM notes") == [[0]]
    assert client.rows("PRAGMA integrity_check") == [["ok"]]
    client.change("set", key="x", value=9)
    assert client.rows("SELECT count(*) FROM notes") == [[3]]


def test_merge_that_can_not_be(client, served):
    client.store({"old": 1, "x": 1})
    client.store({"new": 2, "x": 2})
    sqlite(served.db, "CREATE VIEW v AS SELECT old, new FROM events")
    e = fails("sql_error", client.change, "schema_rename", old="old", new="new")
    assert "view v" in e.message and "'old'" in e.message
    assert columns(client) == ["old", "x", "new"]
    assert client.rows("SELECT old, new FROM events ORDER BY x") == [[1, None], [None, 2]]
    assert client.store({"old": 3, "new": 4, "x": 5}) == (1, 0)


def test_broken_view_is_named(client, served):
    client.store({"a": 1})
    con = sqlite3.connect(served.db)
    con.execute("PRAGMA legacy_alter_table = ON")
    con.execute("CREATE VIEW broken AS SELECT * FROM nowhere")
    con.commit()
    con.close()
    e = fails("sql_error", client.change, "schema_rename", old="a", new="b")
    assert "broken" in e.message
    assert client.store({"a": 2}) == (1, 0) and columns(client) == ["a"]


def test_foreign_table(daemon, db):
    sqlite(db, "CREATE TABLE default_ (timestamp TEXT, track_id TEXT, learning_rate REAL, [odd name] TEXT, g AS (learning_rate * 2), "
               "PRIMARY KEY (track_id, timestamp))")
    sqlite(db, "INSERT INTO default_ VALUES ('2024-01-01 00:00:00.000000', 'r', 0.5, 'x')")
    with daemon(db).client() as c:
        fails("not_allowed", c.change, "schema_rename", table="default_", old="g", new="h")
        c.change("schema_rename", table="default_", old="learning_rate", new="lr")
        c.change("schema_rename", table="default_", old="odd name", new="even")
        assert c.store({"learning_rate": 1.5, "odd name": "y"}, table="default_") == (1, 0)
        assert c.rows("SELECT lr, even, g FROM default_ ORDER BY lr") == [[0.5, "x", 1.0], [1.5, "y", 3.0]]


def test_a_table_without_rowids(daemon, db):
    sqlite(db, "CREATE TABLE t (track_id TEXT, timestamp TEXT, train_loss REAL, x, PRIMARY KEY (track_id, timestamp)) WITHOUT ROWID")
    with daemon(db).client() as c:
        c.store([{"train_loss": 1.0}, {"x": 1}], track_id="one", table="t")
        c.store([{"train_acc": 1.0}, {"train_loss": 1.0}], track_id="two", table="t")
        finish(c, "two")
        assert suspects(c, "early", "open", "waiting") == []
        c.store({"train_f1": 1.0}, track_id="three", table="t")
        finish(c, "three")
        assert len(suspects(c)) == 1
        c.change("exec", sql="UPDATE t SET train_loss = NULL WHERE train_acc IS NOT NULL")
        assert c.change("schema_rename", table="t", old="train_loss", new="train_acc")["merged"] is True


def test_a_constraint_against_a_merge(daemon, db):
    """It refuses the value that would move: nothing has changed, and the message says what was to be done."""
    sqlite(db, "CREATE TABLE events (track_id TEXT, timestamp TEXT, old INTEGER CHECK (old < 10), new INTEGER CHECK (new > 10), n)")
    with daemon(db).client() as c:
        c.store([{"old": 1, "n": 1}, {"new": 20, "n": 2}])
        e = fails("constraint", c.change, "schema_rename", old="old", new="new")
        assert "cannot rename 'old' to 'new'" in e.message
        assert c.rows("SELECT old, new FROM events ORDER BY n") == [[1, None], [None, 20]]


def test_two_values_for_one_column(client):
    """The new key's value stays; the other is told of, once a message, and NULL is none."""
    client.store({"old": 1})
    client.change("schema_rename", old="old", new="new")
    client.store([{"old": 2, "new": 3}, {"old": 4, "new": 5}, {"new": 7, "old": 6}])
    client.store([[8, 9], [None, 10], [11, None], [12, 12], [float("nan"), 13]], columns=["old", "new"])
    client.store({"old": None, "new": None})
    assert client.rows("SELECT new FROM events ORDER BY rowid") == [[1], [3], [5], [7], [9], [10], [11], [12], [13], [None]]
    client.flush()
    told = [w for w in client.named("warning") if w["code"] == "alias_conflict"]
    assert len(told) == 2 and "'new'" in told[0]["message"] and "'old'" in told[0]["message"] and told[0]["message"].endswith(": 2")
    assert columns(client) == ["new"]
    client.store({"a": {"b": [1, 2]}, "old": {"long": "x" * 500}, "new": "y"})
    assert client.store([{"old": 1, "new": 2, "old2": 3}]) == (1, 0)


def test_two_old_names_in_one_row(client):
    client.store({"a": 1, "x": 0})
    client.change("schema_rename", old="a", new="b")
    client.change("schema_rename", old="b", new="c")
    client.store([{"a": None, "b": 5, "x": 1}, {"a": 6, "b": 7, "x": 2}, {"a": 1, "b": 2, "c": 3, "x": 3}])
    assert client.rows("SELECT c FROM events ORDER BY x") == [[1], [5], [6], [3]]


def test_duplicate_key_of_a_renamed_column(client):
    client.store({"a": 1})
    client.change("schema_rename", old="a", new="b")
    assert client.store([[1, 2, 3]], columns=["a", "a", "b"]) == (0, 1)
    assert client.named("reject")[-1]["code"] == "duplicate_key"
    assert client.store([[1, 2]], columns=["a", "b"]) == (1, 0)
    assert client.store([[1]], columns=["a", "b"]) == (0, 1)


def test_alias_after_a_restart(daemon, db):
    d = daemon(db)
    with d.client() as c:
        c.store({"learning_rate": 0.1})
        c.change("schema_rename", old="learning_rate", new="lr")
        d.kill()
    with daemon(db).client() as c:
        c.store({"learning_rate": 0.2})
        assert c.rows("SELECT lr FROM events") == [[0.1], [0.2]]


def test_alias_by_itself(client):
    client.store({"lr": 0.1})
    assert client.change("schema_alias", key="learning_rate", column="lr") == {"changed": True}
    assert client.change("schema_alias", key="learning_rate", column="lr") == {"changed": False}
    client.store({"learning_rate": 0.2})
    assert client.rows("SELECT lr FROM events") == [[0.1], [0.2]]
    assert client.change("set", key="learning_rate", value=0.3)["changed"] == 2
    fails("bad_name", client.change, "schema_alias", key="lr", column="lr")
    fails("no_such_column", client.change, "schema_alias", key="x", column="nope")
    fails("no_such_table", client.change, "schema_alias", table="nope", key="x", column="nope")
    assert client.change("schema_alias", key="learning_rate") == {"changed": True}
    assert client.change("schema_alias", key="learning_rate") == {"changed": False}
    client.store({"learning_rate": 0.5})
    assert columns(client) == ["lr", "learning_rate"]
    fails("bad_name", client.change, "schema_alias", key="learning_rate", column="lr")


def test_alias_of_a_column_that_somebody_dropped(client):
    client.store({"a": 1, "x": 1})
    client.change("schema_rename", old="a", new="b")
    client.change("exec", sql="ALTER TABLE events DROP COLUMN b")
    client.store({"a": 2, "x": 2})
    assert columns(client) == ["x", "a"]


def test_a_table_made_anew_has_no_rules(client):
    client.store({"a": 1})
    client.change("schema_rename", old="a", new="b")
    client.change("schema_freeze")
    client.change("exec", sql="DROP TABLE events")
    assert client.store([{"a": 2}, {"c": 2}]) == (2, 0)
    assert columns(client) == ["a", "c"]


RULES = """SELECT 'alias', key FROM xt_aliases UNION ALL SELECT 'frozen', table_name FROM xt_frozen UNION ALL
  SELECT 'suspect', name FROM xt_suspects UNION ALL SELECT 'required', name FROM xt_required ORDER BY 1, 2"""


def ruled(client):
    """A table with one rule of each kind."""
    client.store({"a": 1, "learning_rate": 1}, track_id="one")
    client.store({"a": 1, "lr": 1}, track_id="two")
    client.change("schema_rename", old="a", new="b")
    client.change("schema_freeze")
    client.change("schema_require", columns=["must"])
    assert client.rows(RULES) == [["alias", "a"], ["frozen", "events"], ["required", "must"], ["suspect", "lr"]]


@pytest.mark.parametrize("statement", ["DROP TABLE Events", "ALTER TABLE events RENAME TO old"])
def test_rules_go_with_their_table(client, statement):
    ruled(client)
    client.store({"a": 1}, table="other")
    client.change("schema_rename", table="other", old="a", new="b")
    client.change("schema_freeze", table="other")
    client.change("exec", sql="DROP TABLE IF EXISTS missing")
    assert len(client.rows(RULES)) == 6
    client.change("exec", sql=statement)
    assert client.rows(RULES) == [["alias", "a"], ["frozen", "other"], ["required", "must"]]
    client.change("exec", sql="CREATE TABLE events(track_id, timestamp, b, must)")
    assert client.store([{"a": 1, "must": 1}, {"b": 2}], track_id="three") == (1, 1)
    assert client.named("reject")[-1]["code"] == "missing_column"
    assert columns(client) == ["b", "must", "a"]


def test_a_statement_that_fails_drops_no_rules(client):
    ruled(client)
    fails("sql_error", client.change, "exec", sql="ALTER TABLE events RENAME TO xt_runs")
    fails("sql_error", client.change, "exec", sql="DROP TABLE missing")
    assert len(client.rows(RULES)) == 4


def test_rules_of_a_table_that_another_program_drops(client, served):
    ruled(client)
    sqlite(served.db, "DROP TABLE events")
    client.store({"x": 1}, table="other")
    assert client.rows(RULES) == [["required", "must"]]
    sqlite(served.db, "CREATE TABLE events(track_id, timestamp, b)")
    assert client.store([{"a": 1, "must": 1}]) == (1, 0)
    assert columns(client) == ["b", "a", "must"]


def test_a_table_that_another_program_makes_anew_keeps_its_rules(client, served):
    """So do programs change a table: to us it was there all the time."""
    ruled(client)
    other = sqlite3.connect(served.db)
    other.executescript("""BEGIN IMMEDIATE; CREATE TABLE n(track_id, timestamp, b REAL, must);
      INSERT INTO n SELECT track_id, timestamp, b, 1 FROM events; DROP TABLE events; ALTER TABLE n RENAME TO events; COMMIT""")
    assert client.store([{"a": 5, "must": 1}, {"new": 1, "must": 1}], track_id="three") == (1, 1)
    assert client.rows("SELECT b FROM events WHERE track_id = 'three'") == [[5]]
    other.executescript("BEGIN IMMEDIATE; DROP TABLE events; CREATE TABLE events(track_id, timestamp, must); COMMIT")
    other.close()
    client.events.clear()
    assert client.store([{"must": 1}, {"a": 5, "must": 1}], track_id="four") == (1, 1)  # the alias's column is gone


def test_rules_of_a_table_that_was_dropped_while_no_daemon_ran(daemon, db):
    d = daemon(db)
    with d.client() as c:
        ruled(c)
    d.stop()
    sqlite(db, "DROP TABLE events")
    with daemon(db).client() as c:
        c.store({"x": 1}, table="other")
        assert c.rows(RULES) == [["required", "must"]]


# ---- frozen tables, required columns -----------------------------------------


def test_frozen_table(client):
    client.store({"learning_rate": 0.1, "x": 1})
    assert client.change("schema_freeze") == {"changed": True}
    assert client.change("schema_freeze") == {"changed": False}
    assert client.store([{"learning_rate": 0.2}, {"lerning_rate": 0.3}, {"x": 2}, {"zzz": 1}]) == (2, 2)
    first, second = client.named("reject")
    assert (first["code"], first["field"]) == ("frozen_schema", "lerning_rate")
    assert "did you mean 'learning_rate'" in first["message"] and "thaw" in first["message"]
    assert "did you mean" not in second["message"]
    fails("frozen_schema", client.change, "set", key="neu", value=1)
    assert columns(client) == ["learning_rate", "x"]
    assert client.store({"other": 1}, table="t2") == (1, 0)
    assert client.change("schema_freeze", thaw=True) == {"changed": True}
    assert client.change("schema_freeze", thaw=True) == {"changed": False}
    assert client.store({"zzz": 1}) == (1, 0)
    fails("no_such_table", client.change, "schema_freeze", table="nope")


def test_nearest_name_is_that_of_now(client):
    """A refused key comes again and again; what is said of it follows the table and its rules."""
    def refused(key):
        client.events.clear()
        assert client.store([{key: 1}] * 3) == (0, 3)
        messages = {e["message"] for e in client.named("reject")}
        assert len(messages) == 1
        return messages.pop()

    client.store({"learning_rate": 0.1, "x": 1})
    client.change("schema_freeze")
    assert "did you mean 'learning_rate'" in refused("lerning_rat")
    assert "did you mean" not in refused("beta")
    assert "did you mean 'learning_rate'" in refused("lerning_rat")
    client.change("exec", sql="ALTER TABLE events ADD COLUMN lerning_rate")
    assert "did you mean 'lerning_rate'" in refused("lerning_rat")
    client.change("schema_alias", key="betta", column="x")
    assert "did you mean 'x'" in refused("beta")
    client.change("schema_rename", old="lerning_rate", new="gain")
    client.change("schema_alias", key="lerning_rate")
    assert "did you mean 'learning_rate'" in refused("lerning_rat")
    for i in range(200):  # more than are remembered
        assert f"no column 'learning_rate_{i}', did you mean 'learning_rate'" in refused(f"learning_rate_{i}")


def test_frozen_after_a_restart(daemon, db):
    d = daemon(db)
    with d.client() as c:
        c.store({"a": 1})
        c.change("schema_freeze")
        d.kill()
    with daemon(db).client() as c:
        assert c.store([{"b": 1}, {"a": 2}]) == (1, 1)


def test_frozen_and_renamed(client):
    client.store({"a": 1})
    client.change("schema_freeze")
    client.change("schema_rename", old="a", new="b")
    assert client.store([{"a": 2}, {"b": 3}, {"c": 3}]) == (2, 1)


def test_required_columns(client):
    assert client.change("schema_require", columns=["input_id", "loss/train"]) == {"changed": 2}
    assert client.store([{"x": 1}, {"input_id": 1}, {"input_id": 1, "loss/train": 2}, {"input_id": 1, "loss/train": None},
                         {"input_id": None, "loss/train": 1.5}, {"input_id": 2, "loss/train": float("nan")}]) == (1, 5)
    assert {r["code"] for r in client.named("reject")} == {"missing_column"}
    assert [r["field"] for r in client.named("reject")] == ["input_id", "loss_train", "loss_train", "input_id", "loss_train"]
    assert "xtctl schema require --drop" in client.named("reject")[0]["message"]
    assert sorted(columns(client)) == ["input_id", "loss_train"]
    assert client.store([[1, 2], [1, None]], columns=["loss/train", "input_id"]) == (1, 1)
    fails("missing_column", client.change, "set", key="input_id", value=None)
    assert client.change("schema_require", columns=["input_id", "nothing"], drop=True) == {"changed": 1}
    assert client.store([{"loss/train": 1}, {"x": 1}]) == (1, 1)


def test_required_columns_are_bounded(client):
    for i in range(0, 2000, 500):
        assert client.change("schema_require", columns=[f"c{k}" for k in range(i, i + 500)]) == {"changed": 500}
    error = fails("out_of_range", client.change, "schema_require", columns=["c1", "one_more", "c2"])
    assert "2001 columns, 2000 at most" in error.message
    assert client.rows("SELECT count(*), sum(name = 'one_more') FROM xt_required") == [[2000, 0]]
    assert client.change("schema_require", columns=["c1", "c2"]) == {"changed": 0}
    assert client.change("schema_require", columns=["one_more"], table="other") == {"changed": 1}
    client.change("schema_require", columns=["c1"], drop=True)
    assert client.change("schema_require", columns=["one_more"]) == {"changed": 1}


def test_aliases_are_bounded(client):
    client.store({"a": 1})
    for i in range(2000):
        client.seq += 1
        client.request("schema_alias", seq=client.seq, key=f"k{i}", column="a")
    client.change("schema_alias", key="k0", column="a")
    error = fails("out_of_range", client.change, "schema_alias", key="one_more", column="a")
    assert "2000 aliases" in error.message and "schema alias --drop" in error.message
    fails("out_of_range", client.change, "schema_rename", old="a", new="b")
    assert columns(client) == ["a"]
    assert client.rows("SELECT count(*) FROM xt_aliases") == [[2000]]
    client.change("schema_alias", key="k1999")
    client.change("schema_rename", old="a", new="b")
    assert client.store([{"k7": 1}, {"a": 2}]) == (2, 0)
    assert columns(client) == ["b"]


def test_required_column_renamed(client):
    client.store({"a": 1})
    client.change("schema_require", columns=["a"])
    client.change("schema_rename", old="a", new="b")
    assert client.store([{"a": 1}, {"b": 2}, {"c": 3}]) == (2, 1)
    assert client.change("schema_require", columns=["a"], drop=True) == {"changed": 1}
    assert client.store({"c": 3}) == (1, 0)


def test_bad_requirements(client):
    fails("bad_name", client.change, "schema_require", columns=["track_id"])
    fails("out_of_range", client.change, "schema_require", columns=[])
    fails("bad_type", client.change, "schema_require", columns=[1])
    fails("bad_name", client.change, "schema_require", columns=["a", ""])
    fails("bad_name", client.change, "schema_require", table="xt_runs", columns=["a"])
    assert client.store({"b": 1}) == (1, 0)


def test_rejected_rows_leave_others_their_statements(client):
    """Rows for a frozen table among good ones: every one of those is stored."""
    client.store({"a": 0})
    client.change("schema_freeze")
    rows = [{"a": i} if i % 3 else {f"b{i}": i} for i in range(1, 3001)]
    assert client.store(rows) == (2000, 1000)
    assert client.value("SELECT count(DISTINCT a) FROM events") == 2001


# ---- who may -------------------------------------------------------------------


METHODS = [("schema_rename", {"old": "a", "new": "b"}), ("schema_alias", {"key": "b", "column": "a"}),
           ("schema_accept", {"column": "a"}), ("schema_freeze", {}), ("schema_require", {"columns": ["a"]})]


@pytest.mark.parametrize("method, params", METHODS, ids=[m for m, _ in METHODS])
def test_answers_are_given_once(daemon, db, method, params):
    """A request that comes again, after its connection broke, changes nothing more and has the same answer."""
    d = daemon(db)
    with d.client() as c:
        c.store({"a": 1})
        first = c.change(method, **params)
        seq, cid = c.seq, c.id
    with d.client(cid, last_seq=seq) as c:
        assert c.call(method, seq=seq, **params) == first
        assert c.store({"a": 2}) == (1, 0)


@pytest.mark.parametrize("method, params", METHODS, ids=[m for m, _ in METHODS])
def test_hostile_requests(client, method, params):
    client.store({"a": 1})
    for field in params:
        for bad in (7, None, {"a": 1}, "x" * 5000, b"\xff", ["x"] * 3000):
            try:
                client.call(method, seq=client.seq + 1, **{**params, field: bad})
            except RpcError as e:
                assert e.code != "internal", e
            client.seq = client.call("flush")["mark"]
    assert client.store({"c": 1}) in ((1, 0), (0, 1))
    assert client.call("status")["state"] == "ok"


def test_internal_tables_are_not_written_by_users(client):
    client.store({"a": 1})
    for table in ("xt_aliases", "xt_frozen", "xt_required", "xt_suspects"):
        fails("sql_denied", client.change, "exec", sql=f"DELETE FROM {table}")


def test_layout_2_is_brought_up_to_date(daemon, db):
    d = daemon(db)
    with d.client() as c:
        c.store({"a": 1})
    d.stop()
    adopted = sqlite(db, "SELECT value FROM xt_meta WHERE key = 'adopted'")
    for table in ("xt_aliases", "xt_frozen", "xt_required", "xt_suspects"):
        sqlite(db, f"DROP TABLE {table}")
    sqlite(db, "UPDATE xt_meta SET value = 2 WHERE key = 'version'")
    with daemon(db).client() as c:
        c.change("schema_rename", old="a", new="b")
        assert c.store({"a": 2}) == (1, 0)
    assert sqlite(db, "SELECT value FROM xt_meta WHERE key = 'version'") == [(3,)]
    assert sqlite(db, "SELECT value FROM xt_meta WHERE key = 'adopted'") == adopted == [(0,)]


def test_names_of_another_program_that_are_too_long_to_judge(client, served):
    """Columns with names of more than 256 bytes: they are no key's, and judging them comes to an end."""
    old = [(g + "q" * 40 + "%02d" % i)[:64].ljust(64, "z") + "y" * 300 for g in ("alpha_throughput_", "kilowatt_hours_")
           for i in range(40)]
    sqlite(served.db, "CREATE TABLE events(track_id TEXT, timestamp TEXT, %s)" % ", ".join(f'"{n}"' for n in old))
    client.change("run_start", track_id="r")
    for g in ("alpha_throughput_", "kilowatt_hours_"):
        client.store({(g + "q" * 40 + chr(65 + i)).ljust(60, "z"): 1 for i in range(8)}, track_id="r")
    client.change("run_finish", track_id="r", status="finished")
    assert client.store({"a": 1}) == (1, 0)


def test_nan_is_no_value_of_a_required_column(client):
    client.store({"a": 1.5})
    client.change("schema_require", columns=["a"])
    fails("missing_column", client.change, "set", key="a", value=float("nan"))
    assert client.rows("SELECT a FROM events") == [[1.5]]
