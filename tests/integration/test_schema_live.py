"""The schema guard while workers log, through the library in C, and when the daemon is killed."""
import subprocess

import pytest
from conftest import BUILD, SANITIZER, TIMEOUT, Closed, sqlite

XT_SCHEMA = BUILD / "xt-schema"
NAMES = ["lr", "rate", "learning_rate"]


def columns(c, table):
    return [k["name"] for k in c.call("columns", table=table, after=c.seq)["columns"] if k["name"] not in ("track_id", "timestamp")]


# ---- under load ----------------------------------------------------------------


def worker(db, *args):
    return subprocess.Popen([XT_SCHEMA, db, *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def join(w, codes=(0,)):
    _, err = w.communicate(timeout=3 * TIMEOUT)
    assert w.returncode in codes and not any(s in err for s in SANITIZER), err


def test_in_c(served):
    """The seed's example and every call of the library."""
    join(worker(served.db))


def test_rename_while_workers_log(served, client):
    """Two of them have the old key, one the new one, one both by turns; the column changes its name again and again. No row is lost,
    none is rejected, each value is where it belongs."""
    rows = 40000
    workers = [worker(served.db, 0, rows, "learning_rate"), worker(served.db, 1, rows, "lr"),
               worker(served.db, 2, rows, "learning_rate", "lr"), worker(served.db, 3, rows, "learning_rate")]
    there = "SELECT 1 FROM sqlite_schema WHERE name = 'predictions'"
    while not client.rows(there) or client.value("SELECT count(DISTINCT worker) FROM predictions") < 4:
        pass
    assert client.change("schema_rename", table="predictions", old="learning_rate", new="lr")["merged"] is True
    during = 0
    for turn in range(9):
        client.change("schema_rename", table="predictions", old=NAMES[turn % 3], new=NAMES[(turn + 1) % 3])
        during += any(w.poll() is None for w in workers)
        client.value("SELECT max(rowid) FROM predictions")
    for w in workers:
        join(w)
    assert during > 0, "all was over before the first rename"
    assert [c for c in columns(client, "predictions") if c in NAMES] == ["lr"]
    assert client.rows("SELECT worker, count(*), count(lr), sum(lr = i), count(DISTINCT i) FROM predictions GROUP BY 1 ORDER BY 1") == \
        [[k, rows, rows, rows, rows] for k in range(4)]
    assert client.value("SELECT sum(rejects) FROM xt_runs") == 0
    assert client.rows("PRAGMA integrity_check") == [["ok"]]


def test_freeze_while_workers_log(served, client):
    """Rows with unknown keys are rejected, each of them, whatever comes beside them."""
    client.store({"worker": -1, "i": 0, "lr": 0}, table="predictions")
    client.change("schema_freeze", table="predictions")
    workers = [worker(served.db, k, 3000, "lr") for k in range(3)] + [worker(served.db, 9, 3000, "lr", "lrr", "lr2")]
    for w in workers[:3]:
        join(w)
    join(workers[3], codes=(1,))  # its flush says so
    assert client.rows("SELECT worker, count(*), sum(lr = i) FROM predictions WHERE worker >= 0 GROUP BY 1") == \
        [[0, 3000, 3000], [1, 3000, 3000], [2, 3000, 3000], [9, 1000, 1000]]
    assert columns(client, "predictions") == ["worker", "i", "lr"]
    assert client.call("status")["rejects"] == 2000


def test_rename_and_a_query_that_goes_on(served, client):
    """Pages of a query that began before: the rows as they were."""
    client.store([[i] for i in range(5000)], columns=["old"])
    msgid = client.request("query", sql="SELECT old FROM events ORDER BY rowid", page_rows=100)
    rows = client.response(msgid)["rows"]
    client.change("schema_rename", old="old", new="new")
    done = False
    while not done:
        page = client.call("fetch", cursor=msgid)
        rows += page["rows"]
        done = page["done"]
    assert rows == [[i] for i in range(5000)]
    assert client.value("SELECT count(new) FROM events") == 5000


# ---- kill -9 ---------------------------------------------------------------------


def state_of(db):
    """What of a rename of `old` to `new` is done: False, True; it is never anything between."""
    names = [r[1] for r in sqlite(db, "PRAGMA table_info(events)")]
    (olds, news), aliases = sqlite(db, "SELECT %s, %s FROM events" % tuple(
        f"count({n})" if n in names else "-1" for n in ("old", "new")))[0], sqlite(db, "SELECT key, name FROM xt_aliases")
    assert sqlite(db, "PRAGMA integrity_check") == [("ok",)]
    if "old" in names:
        assert (olds, news, aliases) in ((300, 200, []), (300, -1, [])), (olds, news, aliases)
        return False
    assert (olds, news, aliases) in ((-1, 500, [("old", "new")]), (-1, 300, [("old", "new")])), (olds, news, aliases)
    return True


def crash_in_a_rename(crashing, db, point, nth, merge, defect=None):
    d = crashing(point, nth, defect)
    c = d.client()
    c.store([[i] for i in range(300)], columns=["old"], track_id="one")
    if merge:
        c.store([[i] for i in range(200)], columns=["new"], track_id="two")
    c.seq += 1
    with pytest.raises(Closed):
        c.call("schema_rename", seq=c.seq, old="old", new="new")
    assert d.wait() == -9
    d.expected = -9
    return c


POINTS = [("a column is being renamed", n) for n in range(1, 6)] + [("before commit", None), ("after commit", None)]


@pytest.mark.parametrize("point, nth, merge", [(point, nth, merge) for point, nth in POINTS for merge in (False, True)
                                               if merge or not nth or nth <= 3])  # a plain rename has three such moments
def test_killed_in_a_rename(crashing, db, point, nth, merge):
    """All of it or nothing; and the client that asks again has it once."""
    c = crash_in_a_rename(crashing, db, point, nth or (4 if merge else 3), merge)
    assert state_of(db) == (point == "after commit")
    d = crashing()
    with d.client(c.id, last_seq=c.seq) as again:
        r = again.call("schema_rename", seq=c.seq, old="old", new="new")
        assert r == {"name": "new", "merged": merge, "moved": 200 if merge else 0}
        again.seq = c.seq
        assert again.store({"old": 1}) == (1, 0)
        assert again.value("SELECT count(new) FROM events") == (501 if merge else 301)


def test_control_a_rename_in_pieces(crashing, db):
    crash_in_a_rename(crashing, db, "a column is being renamed", 2, True, "a rename in pieces")
    with pytest.raises(AssertionError):
        state_of(db)
