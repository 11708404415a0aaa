"""A read sees what anybody had sent before it was asked, and waits for nothing else."""
import threading

import pytest
from conftest import sqlite

LONG = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000000) SELECT count(*) FROM n"


@pytest.mark.parametrize("rows", [1, 3000])
def test_rows_of_another_connection_are_seen_when_they_were_sent_before(served, rows):
    with served.client() as reader:
        for i in range(20):
            with served.client() as writer:
                for k in range(0, rows, 100):
                    writer.log([{"i": i, "k": k + j} for j in range(min(100, rows))])
                assert reader.value("SELECT count(*) FROM events") == (i + 1) * rows
                assert reader.call("tables")["tables"][0]["rows"] == (i + 1) * rows


def test_of_many_connections_that_were_silent_before(served):
    writers = [served.client() for _ in range(200)]
    with served.client() as reader:
        for i in range(5):
            for w in writers:
                w.log({"i": i})
            assert reader.value("SELECT count(*) FROM events") == (i + 1) * len(writers)
    for w in writers:
        w.close()


def test_a_long_statement_of_others_is_not_waited_for(served):
    with served.client() as other, served.client() as writer, served.client() as reader:
        writer.store({"i": 0})
        busy = other.request("exec", seq=1, sql=f"UPDATE events SET i = ({LONG})", timeout_ms=600000)
        writer.log({"i": 1})
        assert reader.value("SELECT count(*) FROM events") >= 1  # what is stored by now
        other.sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            other.sock.recv(1)  # it is still at work
        other.sock.setblocking(True)
        assert other.response(busy)["changed"] >= 1


def test_readers_do_not_wait_for_each_other(served):
    with served.client() as one, served.client() as two:
        one.store({"i": 1})
        long = one.request("query", sql=LONG)
        assert two.value("SELECT i FROM events") == 1
        assert long not in one.responses
        one.call("cancel", cursor=long)


def test_reads_in_a_crowd_of_writers(served):
    """Nobody starves: every read is answered, and sees at least what its own thread had sent."""
    seen = []

    def work(n):
        with served.client() as c:
            for i in range(50):
                c.log([{"n": n, "i": i * 20 + j} for j in range(20)], track_id=f"t{n}")
                with served.client() as r:
                    seen.append(r.value("SELECT count(*) FROM events WHERE n = ?", args=[n]) == (i + 1) * 20)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(seen) == 400 and all(seen)
    assert sqlite(served.db, "SELECT count(*) FROM events") == [(8000,)]


def test_a_query_on_a_replaced_file_is_refused_by_the_old_daemon(served, db):
    with served.client() as c:
        c.store({"i": 1})
        db.rename(f"{db}.old")
        db.write_bytes(b"")
        msgid = c.request("query", sql="SELECT i FROM events")
        with pytest.raises(Exception) as e:
            c.response(msgid)
        assert getattr(e.value, "code", None) == "file_replaced"
        c.until_closed()
    served.expected = served.wait()
    assert served.expected != 0
