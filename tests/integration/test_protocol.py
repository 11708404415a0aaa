"""The session, the framing, bad input of each class, sequence numbers and the outbox."""
import os
import socket
import struct

import msgpack
import pytest
from conftest import Client, Closed, RpcError, fails, frame, sqlite


@pytest.fixture
def neighbour(served):
    """A second connection that must go on undisturbed."""
    with served.client() as c:
        c.store({"before": 1}, track_id="neighbour")
        yield c
        assert c.store({"after": 2}, track_id="neighbour") == (1, 0)
        assert c.value("SELECT count(*) FROM events WHERE track_id = 'neighbour'") == 2


def error_then_close(c):
    """The code of the error that comes before the daemon closes; None when it only closes."""
    code = None
    try:
        while True:
            m = c.read_message()
            if m[0] == 1 and m[2]:
                code = m[2]["code"]
                assert m[2]["message"]
    except Closed:
        return code


def test_hello(served, client):
    w = client.welcome
    assert w["protocol"] == 1
    assert w["mark"] == 0
    assert w["pid"] == served.pid
    assert w["database"] == os.path.realpath(served.db)
    assert w["read_only"] is False
    assert w["max_frame"] == 16777216
    assert len(w["database_id"]) == 16
    with served.client() as other:
        assert other.welcome["database_id"] == w["database_id"]


def test_hello_first(served, neighbour):
    with served.client(hello=False) as c:
        fails("hello_first", c.call, "status")


def test_newer_client_is_agreed_to_our_version(served):
    with served.client(hello=False) as c:
        assert c.hello(protocol=7)["protocol"] == 1


def test_protocol_zero(served, neighbour):
    with served.client(hello=False) as c:
        with pytest.raises(RpcError) as e:
            c.hello(protocol=0)
        assert e.value.code in ("out_of_range", "protocol_version")


@pytest.mark.parametrize("length", [0, 16777217, 0xFFFFFFFF], ids=["zero", "one too many", "huge"])
def test_bad_frame(served, neighbour, length):
    with served.client() as c:
        c.send_raw(struct.pack(">I", length) + b"\xc0")
        assert error_then_close(c) == "bad_frame"


@pytest.mark.parametrize("body, code", [
    (b"\xc1", "bad_message"),
    (b"\xc0", "bad_message"),
    (b"GET / HTTP/1.1\r\n\r\n", "bad_message"),
    (b"\x94\x00\x01\xa6status", "bad_message"),
    (b"\x94\x00\x01\xa6status\x90\xc0", "bad_message"),
    (b"\x94\x00\x01\xa6status\x91\x01", "bad_message"),
    (b"\x94\x00\x01\x05\x90", "bad_message"),
    (b"\x94\x03\x01\xa6status\x90", "bad_message"),
    (b"\x94\x00\xff\xa6status\x90", "bad_message"),
    (b"\x93\x00\x01\xa6status", "bad_message"),
    (b"\xdd\x05\xf5\xe1\x00", "bad_message"),
    (b"\xdf\xff\xff\xff\xff", "bad_message"),
    (b"\x94\x00\x01\xa6status\x91\x81\xa1x" + b"\x91" * 40 + b"\xc0", "too_deep"),
    (b"\x94\x00\x01\xa6status\x91\x81\xa1x\xdd\x00\x01\x11\x70" + b"\xc0" * 70000, "too_many_items"),
], ids=lambda v: v if isinstance(v, str) else v[:12].hex())
def test_bad_message(served, neighbour, body, code):
    with served.client() as c:
        c.send_raw(frame(body))
        assert error_then_close(c) == code


@pytest.mark.parametrize("message, code", [
    ([0, 9, "no_such", [{}]], "unknown_method"),
    ([0, 9, "", [{}]], "unknown_method"),
    ([0, 9, "confirm", [{"seq": 1}]], "wrong_kind"),
    ([0, 9, "ack", [{"seq": 1}]], "wrong_kind"),
    ([0, 9, "log", [{"seq": 1, "track_id": "t"}]], "missing_field"),
    ([0, 9, "fetch", [{}]], "missing_field"),
    ([0, 9, "query", [{"sql": 5}]], "bad_type"),
    ([0, 9, "query", [{"sql": b"SELECT 1"}]], "bad_type"),
    ([0, 9, "fetch", [{"cursor": "1"}]], "bad_type"),
    ([0, 9, "fetch", [{"cursor": 1.0}]], "bad_type"),
    ([0, 9, "shutdown", [{"hold": 1}]], "bad_type"),
    ([0, 9, "fetch", [{"cursor": -1}]], "out_of_range"),
    ([0, 9, "fetch", [{"cursor": 2**32}]], "out_of_range"),
    ([0, 9, "query", [{"sql": ""}]], "out_of_range"),
    ([0, 9, "query", [{"sql": "SELECT 1", "page_rows": 0}]], "out_of_range"),
    ([0, 9, "query", [{"sql": "-" * 1000001}]], "out_of_range"),
    ([0, 9, "query", [{"sql": "SELECT 1", "after": 2**63}]], "out_of_range"),
    (b"\x94\x00\x09\xa5fetch\x91\x82\xa6cursor\x01\xa6cursor\x02", "duplicate_key"),
    (b"\x94\x00\x09\xa5query\x91\x81\xa3sql\xa2\xc3\x28", "bad_utf8"),
    (b"\x94\x00\x09\xa5query\x91\x81\xa3sql\xa3\xed\xa0\x80", "bad_utf8"),
], ids=lambda v: v if isinstance(v, str) else None)
def test_bad_request_leaves_the_connection_open(served, neighbour, message, code):
    with served.client() as c:
        c.send(message)
        fails(code, c.response, 9)
        assert c.call("status")["pid"] == served.pid


def test_request_method_as_notification_is_survived(served, neighbour):
    with served.client() as c:
        c.notify("status")
        assert c.call("status")["pid"] == served.pid


def test_unknown_fields_are_ignored(client):
    assert client.call("status", colour="blue", nested={"a": [1, 2]})["pid"] > 0


def test_absent_params(client, served):
    client.send([0, 77, "status", []])
    assert client.response(77)["pid"] == served.pid


def test_garbage_before_hello(served, neighbour):
    for junk in (os.urandom(4096), b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\0" * 64, b"\xff" * 64):
        with served.client(hello=False) as c:
            try:
                c.send_raw(junk)
                c.sock.shutdown(socket.SHUT_WR)
            except (BrokenPipeError, ConnectionResetError, OSError):
                pass
            c.until_closed()


def test_truncated_at_every_byte(served, neighbour):
    whole = frame([0, 1, "hello", [{"protocol": 1, "client": os.urandom(16)}]])
    for n in range(len(whole)):
        with served.client(hello=False) as c:
            c.send_raw(whole[:n])
            c.sock.shutdown(socket.SHUT_WR)
            with pytest.raises(Closed):
                c.read_message()


def test_half_closed_stream_still_gets_its_acks(served, neighbour):
    with served.client() as c:
        for i in range(100):
            c.log({"i": i})
        c.sock.shutdown(socket.SHUT_WR)
        c.until_ack(100)
        c.until_closed()
    with served.client() as c:
        assert c.value("SELECT count(DISTINCT i) FROM events WHERE track_id = 't'") == 100


def test_one_byte_at_a_time(served, neighbour):
    with served.client() as c:
        for b in frame([2, "log", [{"seq": 1, "track_id": "slow", "rows": [{"x": "ü"}]}]]):
            c.send_raw(bytes([b]))
        c.until_ack(1)
        assert c.rows("SELECT x FROM events WHERE track_id = 'slow'") == [["ü"]]


def test_many_frames_in_one_write(client):
    client.send_raw(b"".join(frame([2, "log", [{"seq": i, "track_id": "t", "rows": [{"i": i}]}]])
                             for i in range(1, 1001)))
    client.seq = 1000
    client.until_ack(1000)
    assert client.value("SELECT count(DISTINCT i) FROM events") == 1000


def test_client_that_never_reads(served, neighbour):
    """Its replies must not pile up without bound: it is closed or no longer read from."""
    with served.client() as c:
        request = frame([0, 5, "query", [{"sql": "SELECT hex(zeroblob(60000))"}]])
        c.sock.settimeout(5)
        try:
            for _ in range(4000):
                c.send_raw(request)
        except (socket.timeout, BrokenPipeError, ConnectionResetError):
            pass
        with open(f"/proc/{served.pid}/statm") as f:
            rss = int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        assert neighbour.call("status")["pid"] == served.pid
        if "asan" not in os.environ.get("XT_BUILD_KIND", ""):
            assert rss < 200 << 20


def test_huge_row(served, neighbour):
    """A 100 MB row does not fit a frame; the largest that does is stored."""
    with served.client() as c:
        try:
            c.log({"blob": b"x" * (100 << 20)})
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert error_then_close(c) in ("bad_frame", None)
    with served.client() as c:
        n = (16 << 20) - 100
        assert c.store({"blob": b"x" * n}) == (1, 0)
        assert c.value("SELECT length(blob) FROM events WHERE track_id = 't'") == n


def test_seq_gap_closes(served, neighbour):
    with served.client() as c:
        c.store({"a": 1})
        c.notify("log", seq=3, track_id="t", rows=[{"a": 3}])
        code = error_then_close(c)
        assert code in ("seq_gap", None)
    with served.client(client_id=c.id) as c:
        assert c.welcome["mark"] == 1
        assert c.value("SELECT count(*) FROM events WHERE track_id = 't'") == 1


def test_seq_gap_request_has_its_code(served, neighbour):
    with served.client() as c:
        c.seq = 5
        fails("seq_gap", c.store, {"a": 1})
        c.until_closed()


def test_resend_below_the_mark_is_dropped_and_acknowledged(served):
    with served.client() as c:
        c.log([{"i": i} for i in range(10)])
        c.until_ack(10)
    with served.client(client_id=c.id, last_seq=12, acked=5) as c:
        assert c.welcome["mark"] == 10
        c.notify("log", seq=6, track_id="t", rows=[{"i": i} for i in range(5, 12)])  # 6..10 again, 11, 12 new
        c.acked = 0
        c.until_ack(12)
        c.seq = 12
        assert c.rows("SELECT i FROM events ORDER BY i") == [[i] for i in range(12)]
        assert c.call("status")["duplicates"] == 5


def test_resend_wholly_below_the_mark(served):
    with served.client() as c:
        c.log([{"i": i} for i in range(10)])
        c.until_ack(10)
        c.acked = 0
        c.notify("log", seq=1, track_id="t", rows=[{"i": i} for i in range(10)])
        c.until_ack(10)
        assert c.value("SELECT count(*) FROM events") == 10


def test_mark_survives_a_kill(daemon, db):
    d = daemon(db)
    with d.client() as c:
        c.log([{"i": i} for i in range(50)])
        c.until_ack(50)
        d.kill()
    d = daemon(db)
    with d.client(client_id=c.id, last_seq=60, acked=50, database_id=c.welcome["database_id"]) as again:
        assert again.welcome["mark"] == 50
        assert again.welcome["database_id"] == c.welcome["database_id"]
        again.notify("log", seq=41, track_id="t", rows=[{"i": i} for i in range(40, 60)])
        again.until_ack(60)
        again.seq = 60
        assert again.rows("SELECT count(*), count(DISTINCT i) FROM events") == [[60, 60]]


def test_answers_come_again_until_confirmed(served):
    with served.client() as c:
        run = c.change("run_start")
        c.log([{"ok": 1}, {"": 2}])
        c.until_ack(3)
    with served.client(client_id=c.id, last_seq=3, acked=3) as again:
        again.flush()
        answers = again.named("answer")
        assert [(a["seq"], a["error"], a["result"]["track_id"]) for a in answers] == [(1, None, run["track_id"])]
        rejects = again.named("reject")
        assert [(r["seq"], r["code"]) for r in rejects] == [(3, "bad_name")]
        again.notify("confirm", seq=1)
        again.flush()
    with served.client(client_id=c.id, last_seq=3, acked=3) as third:
        third.flush()
        assert third.named("answer") == []
        assert [r["seq"] for r in third.named("reject")] == [3]
        third.notify("confirm", seq=3)
        third.flush()
    with served.client(client_id=c.id, last_seq=3, acked=3) as last:
        last.flush()
        assert last.events == [] or all(n == "ack" for n, _ in last.events)
    assert sqlite(served.db, "SELECT count(*) FROM xt_outbox") == [(0,)]


def test_resent_request_is_answered_with_the_first_answer(served):
    with served.client() as c:
        first = c.change("run_start")
    with served.client(client_id=c.id, last_seq=1, acked=0) as again:
        answer = None
        try:
            answer = again.call("run_start", seq=1)
        except RpcError as e:
            pytest.fail(f"resent request refused: {e}")
        assert answer["track_id"] == first["track_id"]
        assert again.value("SELECT count(*) FROM xt_runs") == 1


def test_response_ids_are_echoed(client):
    for msgid in (0, 1, 2**31, 2**32 - 1):
        client.send([0, msgid, "status", [{}]])
        assert client.response(msgid)["pid"] > 0


def test_bye_finishes_the_clients_runs(served):
    with served.client() as c:
        run = c.change("run_start")["track_id"]
        c.notify("bye", last_seq=1)
    with served.client() as other:
        # bye is ordered before nothing of ours: ask until the writer has taken it
        for _ in range(1000):
            other.flush()
            if other.value("SELECT status FROM xt_runs WHERE track_id = ?", args=[run]) == "finished":
                return
        pytest.fail("bye did not finish the run")


def test_msgpack_forms_are_equal(client):
    """The same number in every width that holds it."""
    for head in (b"\x05", b"\xcc\x05", b"\xcd\x00\x05", b"\xce\0\0\0\x05", b"\xcf" + b"\0" * 7 + b"\x05",
                 b"\xd0\x05", b"\xd1\x00\x05", b"\xd2\0\0\0\x05", b"\xd3" + b"\0" * 7 + b"\x05"):
        client.seq += 1
        body = b"\x93\x02\xa3log\x91\x83\xa3seq" + msgpack.packb(client.seq) + \
               b"\xa8track_id\xa1t\xa4rows\x91\x81\xa1x" + head
        client.send(body)
    client.until_ack(9)
    assert client.rows("SELECT DISTINCT x, typeof(x) FROM events") == [[5, "integer"]]


def test_many_kept_rejects_are_all_told(served):
    """More than one piece, in order: none is dropped by the confirmation of a newer one."""
    n = 120000
    with served.client() as c:
        for _ in range(6):
            c.log([{"": 1} for _ in range(n // 6)])
            c.until_ack(c.seq)  # who does not read is not read from for long
    with served.client(client_id=c.id, last_seq=n, acked=n) as again:
        again.seq = n
        again.log({"": 1})
        again.until_ack(n + 1)
        told = [r["seq"] for r in again.named("reject")]
        assert 0 < len(told) < n, "one piece was enough: the test tests nothing"
        while len(told) < n + 1:
            again.notify("confirm", seq=told[-1])
            again.flush()
            told = [r["seq"] for r in again.named("reject")]
        assert told == sorted(told) and set(told) == set(range(1, n + 2))
        again.notify("confirm", seq=n + 1)
        again.flush()
    assert sqlite(served.db, "SELECT count(*) FROM xt_outbox") == [(0,)]
