"""The extension below the package: what must neither crash nor leak, whoever calls it how."""
import sys
import threading

import pytest
from conftest import TIMEOUT

from xetrackd import Tracker, _xetrackd

SLOW_FROM = 5000  # rows: more than a page
SLOW = f"""WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {SLOW_FROM} + 1)
    SELECT CASE WHEN i <= {SLOW_FROM} THEN i ELSE
        (WITH RECURSIVE m(j) AS (SELECT 1 UNION ALL SELECT j + 1 FROM m WHERE j < 20000000) SELECT max(j) FROM m) END FROM n"""


@pytest.fixture
def client(db, autostarted):
    autostarted(db)
    with Tracker(db) as t:
        yield t._client


def test_one_thread_reads_a_query(client):
    """Its rows are its own until it asks for the next: nobody else reads on, or closes it, meanwhile."""
    cursor = client.query(SLOW)
    rows = []

    def read():
        rows.extend(cursor)

    thread = threading.Thread(target=read)
    thread.start()
    with pytest.raises(RuntimeError, match="another thread"):
        while thread.is_alive():
            cursor.names, next(cursor)
    with pytest.raises(RuntimeError, match="another thread"):
        while thread.is_alive():
            cursor.close()
    thread.join(TIMEOUT)
    assert rows[-1] == (20000000,)
    cursor.close()


class Held:
    """Converted to a text that is its own."""

    def __init__(self, text):
        self.text = text

    def __fspath__(self):
        return self.text


def test_a_statement_with_an_argument_that_cannot_be_leaves_nothing(client):
    text = "".join(["of this test ", "alone"])
    before = sys.getrefcount(text)
    for _ in range(10):
        with pytest.raises(TypeError):
            client.query("SELECT ?, ?", (Held(text), object()))
    assert sys.getrefcount(text) == before


def test_a_client_is_opened_once(client, db):
    again = _xetrackd.Client(str(db))
    again.close()
    with pytest.raises(ValueError, match="once"):
        again.__init__(str(db))


def test_what_is_pending(client):
    run = client.join_run("events", next(client.query("SELECT track_id FROM xt_runs"))[0], {})
    run.log({"a": 1}, {})
    client.flush()
    assert not client.pending
    client.close()
    assert not client.pending


@pytest.mark.parametrize("wrong, error", [
    ({"status": "running"}, ValueError), ({"status": None}, TypeError), ({"start_us": "now"}, TypeError), ({"end_us": 2**63}, OverflowError),
    ({"uid": 2**32}, OverflowError), ({"pid": 2**31}, OverflowError), ({"pid": "x"}, TypeError), ({"params": {}}, TypeError),
    ({"workers": 5}, TypeError), ({"workers": [5]}, TypeError), ({"workers": [(1, None)]}, TypeError),
    ({"workers": [(1, None, "deleted", 1, None, None)]}, ValueError), ({"workers": [(1, 2**31, "failed", 1, None, None)]}, OverflowError),
    ({"uid": -2}, OverflowError), ({"pid": 6 - 2**32}, OverflowError), ({"pid": -1}, OverflowError), ({"rejects": 2**64 + 1}, OverflowError),
    *[({"workers": [(uid, pid, "failed", 1, None, None)]}, OverflowError) for uid, pid in [(2**32 + 5, 1), (-1, 1), (1, 6 - 2**32)]],
    ({"workers": [(1, None, "failed", 1, None, None)] * 8001}, ValueError), ({"params": "[]"}, _xetrackd.Error),
    ({"start_us": 2**62}, _xetrackd.Error)])
def test_records_that_cannot_be(client, wrong, error):
    record = {"track_id": "r", "status": "failed", "start_us": 1, **wrong}
    with pytest.raises(error):
        client.import_run(record.pop("track_id"), record.pop("status"), record.pop("start_us"), **record)
    assert client.import_run("r", "failed", 1)
    assert not client.import_run("r", "finished", 1)


def test_who_joins_apart_takes_no_part(client):
    client.import_run("r", "finished", 1)
    client.join_run("events", "r", {}, apart=True).log({"a": 1}, {})
    client.flush()
    assert list(client.query("SELECT count(*) FROM xt_workers")) == [(0,)]
    assert list(client.query("SELECT status, rows FROM xt_runs r WHERE track_id = 'r'"))[0][0] == "finished"


def test_a_column_that_is_declared(client):
    client.execute("CREATE TABLE events(track_id TEXT, timestamp TEXT)")
    client.declare("a", 0.5, "events")
    assert [row[:2] for row in client.columns("events")][2:] == [("a", "REAL")]
