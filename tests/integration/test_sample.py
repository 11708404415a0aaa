"""What calls and rows cost, sampled by the daemon from the processes of real workers."""
import os
import select
import signal
from pathlib import Path

import pytest
from conftest import TIMEOUT, fails, sqlite, until
from test_calls import Pool

CALL_COLUMNS = ("cpu", "memory_percent", "p_memory_percent", "disk_percent")
ROW_COLUMNS = ("cpu_percent", "ram_percent", "p_memory_percent", "disk_percent")
NETWORK = ("bytes_sent", "bytes_recv")


def columns(db, table="events"):
    return {name for _, name, *_ in sqlite(db, f"PRAGMA table_info({table})")}


def percents(db, names, where="1"):
    """The rows' values of these columns, all of which are percentages."""
    got = sqlite(db, f"SELECT {', '.join(names)} FROM events WHERE {where}")
    assert got
    for row in got:
        for name, value in zip(names, row):
            assert isinstance(value, float) and 0 <= value <= (100 if name != "cpu" else 1e5), (name, value)
    return got


def workers(db, *options, keys=2, n=1):
    pool = Pool(db)
    for _ in range(n):
        pool.start(keys, *options)
    pool.join()


def test_the_cpu_that_a_call_used(served, db):
    workers(db, "--no-cache", "--sample", 20, "--spin", "--micros", 300000)
    for cpu, seconds in sqlite(db, "SELECT cpu, function_time FROM events"):
        share = 100 * 0.3 / seconds  # it computes until it has used so much: less than a core where others compute too
        assert share - 25 < cpu < share + 25
    percents(db, CALL_COLUMNS)
    assert not columns(db) & set(NETWORK)


def test_a_call_that_only_waits(served, db):
    workers(db, "--no-cache", "--sample", 20, "--network", "--micros", 300000)
    assert all(cpu < 50 for cpu, *_ in percents(db, CALL_COLUMNS))
    assert all(type(x) is int and x >= 0 for row in sqlite(db, "SELECT bytes_sent, bytes_recv FROM events") for x in row)


def test_short_calls_failed_ones_and_hits(served, db):
    """A call has samples however short it is, and in whatever way it ends; but a hit took no time."""
    workers(db, "--sample", 1000, "--fail", 3, keys=10)
    workers(db, "--sample", 1000, keys=10)
    names = CALL_COLUMNS[1:]
    assert len(percents(db, names, "cache = '' AND error IS NOT NULL")) == 4  # 0, 3, 6 and 9
    assert len(percents(db, names, "cache = '' AND error IS NULL")) == 10
    assert sqlite(db, f"SELECT DISTINCT {', '.join(CALL_COLUMNS)} FROM events WHERE cache <> ''") == [(None,) * 4]


def test_workers_side_by_side_and_forked_ones(served, db):
    workers(db, "--sample", 10, "--micros", 20000, "--fork", "--no-cache", keys=3, n=3)
    assert len(percents(db, CALL_COLUMNS)) == 18


def test_what_the_row_says_itself(served, db):
    workers(db, "--sample", 10, "--network", "--own", keys=2)
    assert sqlite(db, "SELECT cpu, bytes_sent FROM events") == [(7, "many")] * 2
    assert all(x >= 0 for x, in sqlite(db, "SELECT bytes_recv FROM events"))
    percents(db, CALL_COLUMNS[1:])


def test_only_the_network(served, db):
    workers(db, "--network", "--rows", 2, keys=2)
    assert columns(db) & {*CALL_COLUMNS, *ROW_COLUMNS, *NETWORK} == set(NETWORK)
    assert sqlite(db, "SELECT count(*) FROM events WHERE bytes_sent >= 0 AND bytes_recv >= 0") == [(4,)]


def test_plain_rows_of_the_library(served, db):
    workers(db, "--sample", 1000, "--rows", 10, keys=0)
    assert len(percents(db, ROW_COLUMNS[1:], "n IS NOT NULL AND model = 'm'")) == 10


def test_a_worker_that_dies(served, db):
    """Its row has none: it was not there when the call ended."""
    pool = Pool(db)
    assert pool.wait(pool.start(3, "--sample", 10, "--suicide", 2))[0] == -signal.SIGKILL
    with served.client() as c:
        while not c.rows("SELECT 1 FROM xt_calls WHERE row_id IS NOT NULL"):
            pass
    assert sqlite(db, "SELECT error_type, memory_percent FROM events WHERE error IS NOT NULL") == [("WorkerDied", None)]


def test_without_a_daemon_there_are_none(runtime, db, daemon, monkeypatch):
    d = daemon(db)
    pool = Pool(db)
    monkeypatch.setenv("XETRACK_AUTOSTART", "0")
    pool.start(2, "--sample", 10, "--micros", 300000)
    until(pool.begun)
    d.stop()
    pool.join()
    with daemon(db).client() as c:
        while not c.rows("SELECT name FROM sqlite_schema WHERE name = 'events'"):
            pass
        while c.value("SELECT count(*) FROM events WHERE y = x * x") != 2:
            pass
    assert not columns(db) & set(CALL_COLUMNS)


def test_an_interval_that_cannot_be(served, db):
    pool = Pool(db)
    code, _, err = pool.wait(pool.start(1, "--sample", -1))
    assert code == 1 and "sample_ms is -1, allowed are 0 to 3600000" in err
    with served.client() as c:
        fails("out_of_range", c.change, "call_begin", call=1, track_id="r", row={}, sample_ms=0)


# ---- over the protocol

def switches(d):
    """How often the daemon's loop went to sleep."""
    text = Path(f"/proc/{d.pid}/task/{d.pid}/status").read_text()
    return int(text.split("\nvoluntary_ctxt_switches:")[1].split()[0])


def begin(c, call, **kw):
    c.change("call_begin", call=call, track_id="r", row={"function_name": "f"}, **kw)


def end(c, call, **row):
    assert c.store({"function_name": "f", **row}, track_id="r", call=call) == (1, 0)


def test_the_daemon_wakes_up_only_while_something_is_sampled(served, client):
    begin(client, 1, sample_ms=10)
    begin(client, 2, sample_ms=3600000)
    before = switches(served)
    while switches(served) < before + 20:
        pass
    end(client, 1)
    end(client, 2)
    client.flush()
    select.select([client.sock], [], [], 0.2)  # whatever the end of all that brings about
    before = switches(served)
    select.select([client.sock], [], [], 0.5)
    assert switches(served) - before < 10  # of 50, were it sampled still


def test_calls_of_a_client_that_goes_are_sampled_no_more(served, client):
    with served.client() as c:
        c.change("run_start", track_id="r")
        begin(c, 1, sample_ms=10)
        c.notify("bye")
    while not client.rows("SELECT 1 FROM sqlite_schema WHERE name = 'events'"):
        pass
    select.select([client.sock], [], [], 0.2)
    before = switches(served)
    select.select([client.sock], [], [], 0.5)
    assert switches(served) - before < 10


def test_a_call_outlives_its_connection(served):
    identity = os.urandom(16)
    a = served.client(identity)
    begin(a, 1, sample_ms=10)
    with served.client(identity, last_seq=1) as b:
        end(b, 1)
        assert b.rows("SELECT cpu >= 0, memory_percent > 0 FROM events") == [[1, 1]]
    a.close()


def test_nested_calls(client):
    for i in range(1, 4):
        begin(client, i, sample_ms=10, sample_network=i == 2)
    for i in (3, 2, 1):
        end(client, i, n=i)
    assert client.rows("SELECT n, memory_percent > 0, bytes_sent >= 0 FROM events") == \
        [[3, 1, None], [2, 1, 1], [1, 1, None]]


def test_plain_rows(client, db):
    while not columns(db) or "cpu_percent" not in columns(db):  # which needs a tick of the kernel's
        assert client.store({"n": 0}, sample=True) == (1, 0)
    percents(db, ROW_COLUMNS, "cpu_percent IS NOT NULL")
    assert client.store([{"n": 1}, {"n": 2, "ram_percent": "much"}], sample=True, sample_network=True) == (2, 0)
    assert client.rows("SELECT n, ram_percent, disk_percent > 0, bytes_sent >= 0 FROM events WHERE n > 0") == \
        [[1, client.value("SELECT ram_percent FROM events WHERE n = 1"), 1, 1], [2, "much", 1, 1]]
    assert client.store({"n": 3}) == (1, 0) and client.store({"n": 4}, sample=False) == (1, 0)
    assert client.rows("SELECT ram_percent, bytes_sent FROM events WHERE n > 2") == [[None, None]] * 2


def test_rows_with_columns(client):
    assert client.store([[1, 2.5], [2, 3.5]], columns=["n", "disk_percent"], sample=True) == (2, 0)
    assert client.rows("SELECT n, disk_percent, ram_percent > 0, p_memory_percent > 0 FROM events") == \
        [[1, 2.5, 1, 1], [2, 3.5, 1, 1]]


def test_what_is_no_row_does_not_become_one(client):
    """Not even one that the samples would make as long as its columns."""
    lines = [[1], [1] * 4, [1] * 5, [], 7, {"n": 1}]
    stored, rejected = client.store(lines, columns=["n"], sample=True)
    assert (stored, rejected) == (1, 5)
    assert client.store([7, [1], None, {1: 2}, {"n": 2}], sample=True) == (1, 4)
    assert client.rows("SELECT n FROM events") == [[1], [2]]
    fails("bad_type", client.store, {"n": 1}, sample=1)


def test_a_row_that_is_full(client):
    wide = {f"k{i}": i for i in range(1999)}
    assert client.store(wide, sample=True, table="a") == (0, 1)  # as without samples: the table has columns of its own
    assert client.store({f"k{i}": i for i in range(1998)}, sample=True, table="b") == (1, 0)
    assert client.value("SELECT count(*) FROM pragma_table_info('b')") == 2000


def test_a_batch_that_is_replayed(client):
    """A row that rolls everything back: the others have the values that they came with."""
    client.store({"n": 0}, sample=True)
    client.change("exec", sql="CREATE TRIGGER no BEFORE INSERT ON events WHEN new.n = 13 BEGIN SELECT raise(ROLLBACK, 'no'); END")
    assert client.store([{"n": n} for n in (1, 13, 2)], sample=True) == (2, 1)
    first, second = client.rows("SELECT ram_percent, p_memory_percent, disk_percent FROM events WHERE n > 0")
    assert first == second and None not in first


def test_a_result_that_lost_its_lease(served, client):
    key = bytes(32)
    token = client.call("cache_begin", key=key)["token"]
    begin(client, 1, sample_ms=10)
    client.call("cache_abort", key=key, token=token)
    client.seq += 1
    r = client.call("cache_finish", seq=client.seq, track_id="r", row={"n": 1}, call=1, key=key, token=token, value=b"\x80")
    assert r["stored"] and r["code"] == "lease_lost"
    assert client.rows("SELECT n, lease_lost, memory_percent > 0 FROM events") == [[1, 1, 1]]
