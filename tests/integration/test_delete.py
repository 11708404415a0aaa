"""A run that is deleted by pieces, so that nobody waits long: what is there in between, and after a crash."""
import os
import signal
import subprocess

import pytest
from conftest import XTCTL, fails, sqlite
from test_audit import audit


def fill(client, table, rows, track_id="r"):
    client.log([[i] for i in range(rows)], track_id=track_id, table=table, columns=["i"])
    client.until_ack(client.seq)


@pytest.fixture
def filled(client):
    client.change("run_start", track_id="r")
    fill(client, "events", 25)
    fill(client, "metrics", 10)
    fill(client, "events", 5, "other")
    client.change("run_finish", track_id="r", status="finished")
    return client


def test_by_pieces(filled, served):
    got = []
    while not got or got[-1].get("more"):
        got.append(filled.change("delete_run", track_id="r", limit=10))
        # From the first piece on nothing can be added, and the books are right.
        assert filled.value("SELECT status FROM xt_runs WHERE track_id = 'r'") == "deleted"
        assert filled.store({"i": 1}, track_id="r") == (0, 1)
        assert filled.named("reject")[-1]["code"] == "run_deleted"
        assert audit(served.db)["ok"]
    assert sum(piece["deleted"] for piece in got) == 35 and all(piece["deleted"] <= 10 for piece in got)
    assert filled.rows("SELECT track_id, count(*) FROM events GROUP BY 1") == [["other", 5]]
    assert filled.value("SELECT count(*) FROM metrics") == 0
    assert filled.change("delete_run", track_id="r", limit=10) == {"deleted": 0}


def test_a_limit_that_is_not_reached(filled):
    assert filled.change("delete_run", track_id="r", limit=36) == {"deleted": 35}
    fails("out_of_range", filled.change, "delete_run", track_id="other", limit=0)


def test_of_one_table(filled):
    assert filled.change("delete_run", track_id="r", table="events", limit=20) == {"deleted": 20, "more": True}
    assert filled.value("SELECT status FROM xt_runs WHERE track_id = 'r'") == "finished"
    assert filled.change("delete_run", track_id="r", table="events", limit=20) == {"deleted": 5}
    assert filled.value("SELECT count(*) FROM metrics") == 10


def test_tables_of_other_programs(daemon, db):
    """One has no rowid, and goes at once; one has a column of that name, which is not what rows are told by."""
    sqlite(db, "CREATE TABLE plain (track_id TEXT, timestamp TEXT, PRIMARY KEY (track_id, timestamp)) WITHOUT ROWID")
    sqlite(db, "CREATE TABLE own (track_id TEXT, timestamp TEXT, rowid TEXT)")
    for i in range(7):
        for run in "ab":
            sqlite(db, f"INSERT INTO plain VALUES ('{run}', {i})")
            sqlite(db, f"INSERT INTO own VALUES ('{run}', {i}, 'same')")
    with daemon(db).client() as c:
        deleted = 0
        for _ in range(20):
            piece = c.change("delete_run", track_id="a", limit=3)
            deleted += piece["deleted"]
            if "more" not in piece:
                break
        assert deleted == 14
        assert c.rows("SELECT (SELECT count(*) FROM plain), (SELECT count(*) FROM own), "
                      "(SELECT count(*) FROM own WHERE track_id = 'a')") == [[7, 7, 0]]
        assert c.rows("SELECT track_id, status FROM xt_runs") == [["a", "deleted"]]
    assert audit(db)["ok"]


def test_the_daemon_dies_between_pieces(filled, served, daemon):
    assert filled.change("delete_run", track_id="r", limit=10)["more"]
    served.expected = -signal.SIGKILL
    os.kill(served.proc.pid, signal.SIGKILL)
    served.proc.wait()
    with daemon(served.db).client() as c:
        assert c.value("SELECT count(*) FROM events WHERE track_id = 'r'") + c.value("SELECT count(*) FROM metrics") == 25
        assert c.change("delete_run", track_id="r", limit=100) == {"deleted": 25}
    assert audit(served.db)["ok"]


def test_xtctl_goes_on_to_the_end_while_others_log(served, client):
    for _ in range(5):
        client.log([[i] for i in range(5000)], track_id="r", columns=["i"])
    client.until_ack(client.seq)
    client.change("run_finish", track_id="r", status="finished")
    p = subprocess.Popen([XTCTL, "delete", served.db, "r", "--yes"], stdout=subprocess.PIPE, text=True)
    logged = 0
    with served.client() as other:
        while p.poll() is None or logged < 10:
            logged += other.store({"i": 1}, track_id="other")[0]
    assert p.stdout.read() == "25,000 rows deleted\n" and p.returncode == 0
    assert client.rows("SELECT track_id, count(*) FROM events GROUP BY 1") == [["other", logged]]
    assert audit(served.db)["ok"]


def test_a_table_whose_column_hides_the_rowid(client, served):
    sqlite(served.db, "CREATE TABLE own (track_id TEXT, timestamp TEXT, rowid TEXT, oid TEXT)")
    sqlite(served.db, "CREATE TABLE all_taken (track_id TEXT, timestamp TEXT, rowid TEXT, oid TEXT, _rowid_ TEXT)")
    for i in range(5):
        sqlite(served.db, f"INSERT INTO own VALUES ('a', {i}, NULL, NULL)")
        sqlite(served.db, f"INSERT INTO all_taken VALUES ('a', {i}, NULL, NULL, NULL)")
    client.store({"x": 1}, track_id="a")
    deleted, more = 0, True
    while more:
        piece = client.change("delete_run", track_id="a", limit=3, force=True)
        deleted, more = deleted + piece["deleted"], piece.get("more", False)
    assert deleted == 11
    assert client.rows("SELECT (SELECT count(*) FROM own), (SELECT count(*) FROM all_taken), (SELECT count(*) FROM events)") == [[0, 0, 0]]


def test_as_many_rows_as_the_limit(client, served):
    """There are no more, and so no second piece, which would find no run of that name."""
    sqlite(served.db, "CREATE TABLE own (track_id TEXT, timestamp TEXT)")
    for i in range(6):
        sqlite(served.db, f"INSERT INTO own VALUES ('a', {i})")
    assert client.change("delete_run", track_id="a", table="own", limit=3) == {"deleted": 3, "more": True}
    assert client.change("delete_run", track_id="a", table="own", limit=3) == {"deleted": 3}
