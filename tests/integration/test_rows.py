"""Rows: columns, types, widening, names, limits."""
import math
import uuid

import msgpack
import pytest
from conftest import frame, sqlite


def declared(client, table="events"):
    """Column name to declared type, without track_id and timestamp."""
    return {c["name"]: c["type"] for c in client.call("columns", table=table, after=client.seq)["columns"]
            if c["name"] not in ("track_id", "timestamp")}


def keys(client, table="events"):
    return {c["key"]: c["name"] for c in client.call("columns", table=table, after=client.seq)["columns"]}


def stored(client, column):
    return client.rows(f'SELECT "{column}", typeof("{column}") FROM events ORDER BY rowid')


def test_columns_appear(client, served):
    client.log({"a": 1})
    client.log({"b": 2, "a": 3})
    client.until_ack(2)
    assert client.rows("SELECT track_id, a, b FROM events ORDER BY rowid") == [["t", 1, None], ["t", 3, 2]]
    names = [r[1] for r in sqlite(served.db, "PRAGMA table_info(events)")]
    assert names == ["track_id", "timestamp", "a", "b"]
    indexed = sqlite(served.db, "SELECT count(*) FROM pragma_index_list('events') l, pragma_index_info(l.name) i "
                                "WHERE i.name = 'track_id'")
    assert indexed == [(1,)]


def test_declared_types(client):
    client.store({"i": 1, "r": 1.5, "s": "x", "b": b"\0\xff", "t": True, "f": False, "n": None})
    d = declared(client)
    assert {k: d[k] for k in "irsbtf"} == {"i": "INTEGER", "r": "REAL", "s": "TEXT", "b": "BLOB", "t": "BOOLEAN",
                                           "f": "BOOLEAN"}
    assert client.rows("SELECT i, r, s, b, t, f, n FROM events") == [[1, 1.5, "x", b"\0\xff", 1, 0, None]]
    assert client.rows("SELECT typeof(t), typeof(f) FROM events") == [["integer", "integer"]]


def test_timestamp_is_the_time_logged(client):
    client.store({"a": 1}, time=1700000000123456)
    client.store({"a": 2}, time=-1)
    assert client.rows("SELECT timestamp FROM events ORDER BY a") == [["2023-11-14 22:13:20.123456"],
                                                                      ["1969-12-31 23:59:59.999999"]]
    client.store({"a": 3})
    assert client.value("SELECT timestamp GLOB '????-??-?? ??:??:??.??????' FROM events WHERE a = 3") == 1


@pytest.mark.parametrize("time", [2**63 - 1, -2**63])
def test_absurd_times_do_no_harm(client, time):
    try:
        client.store({"a": 1}, time=time)
    except Exception as e:
        assert getattr(e, "code", None) == "out_of_range", e
    assert client.call("status")["pid"]


def test_none_first_then_float(client):
    client.store([{"x": None}, {"x": 0.5}])
    assert stored(client, "x") == [[None, "null"], [0.5, "real"]]
    assert declared(client)["x"] == "REAL"
    assert client.named("warning") == []


def test_integer_widens_to_real_quietly(client):
    client.store({"x": 1})
    client.store({"x": 0.5})
    client.store({"x": 3})
    assert declared(client)["x"] == "REAL"
    assert client.rows("SELECT x FROM events ORDER BY rowid") == [[1], [0.5], [3]]
    assert client.named("warning") == []
    assert client.rows("PRAGMA integrity_check") == [["ok"]]


def test_integer_widens_in_one_message(client):
    assert client.store([{"x": 1}, {"x": 0.5}, {"x": 2**53}]) == (3, 0)
    assert declared(client)["x"] == "REAL"


def test_integers_that_real_can_not_hold_keep_their_digits(client):
    """2^53 + 1 among reals: the column loses its type before the number loses a digit."""
    client.store([{"x": 0.5}, {"x": 2**53 + 1}])
    client.store([{"y": 2**53 + 1}, {"y": 0.5}])
    assert client.rows("SELECT x, y FROM events WHERE typeof(x) = 'integer' OR typeof(y) = 'integer'") == \
        [[2**53 + 1, None], [None, 2**53 + 1]]
    assert (declared(client)["x"], declared(client)["y"]) == ("", "")


def test_text_into_integer_widens_to_none_with_a_warning(client):
    client.store({"x": 1})
    client.store({"x": "seven"})
    client.store({"x": "007"})
    client.store({"x": "8"})
    assert declared(client)["x"] == ""
    assert stored(client, "x") == [[1, "integer"], ["seven", "text"], ["007", "text"], ["8", "text"]]
    client.flush()
    warnings = client.named("warning")
    assert [(w["code"], w["column"]) for w in warnings] == [("widened_column", "x")]


def test_text_of_digits_stays_text(client):
    client.store([{"x": "007"}, {"x": "1.0"}])
    assert stored(client, "x") == [["007", "text"], ["1.0", "text"]]
    client.store({"n": 1})
    client.store({"n": "007"})
    assert client.rows("SELECT n, typeof(n) FROM events WHERE n IS NOT NULL ORDER BY rowid") == \
        [[1, "integer"], ["007", "text"]]


def test_number_into_text_column_is_not_converted(client):
    client.store([{"x": "a"}, {"x": 5}, {"x": 2.5}, {"x": b"z"}])
    assert stored(client, "x") == [["a", "text"], [5, "integer"], [2.5, "real"], [b"z", "blob"]]


def test_bool_and_integer_columns(client):
    client.store([{"x": True}, {"x": 7}])
    assert stored(client, "x") == [[1, "integer"], [7, "integer"]]


def test_nan_and_infinities(client):
    client.store([{"x": math.nan}, {"x": math.inf}, {"x": -math.inf}, {"x": -0.0}])
    got = client.rows("SELECT x FROM events ORDER BY rowid")
    assert got[0] == [None]
    assert got[1:3] == [[math.inf], [-math.inf]]
    assert got[3] == [0.0]
    assert declared(client)["x"] == "REAL"


def test_float32(client):
    client.seq += 1
    body = b"\x93\x02\xa3log\x91\x83\xa3seq\x01\xa8track_id\xa1t\xa4rows\x91\x81\xa1x\xca\x3f\x00\x00\x00"
    client.send(body)
    client.until_ack(1)
    assert stored(client, "x") == [[0.5, "real"]]


def test_integers_of_63_bits_and_more(client):
    assert client.store([{"x": 2**63 - 1}, {"x": 2**63}, {"x": -2**63}, {"x": 2**64 - 1}]) == (2, 2)
    assert client.rows("SELECT x FROM events ORDER BY rowid") == [[2**63 - 1], [-2**63]]
    rejects = client.named("reject")
    assert [(r["seq"], r["code"], r["field"]) for r in rejects] == [(2, "out_of_range", "x"), (4, "out_of_range", "x")]


def test_big_integers_and_reals_do_not_lose_digits(client):
    client.store([{"x": 2**53 + 1}, {"x": "text"}])
    assert client.value("SELECT x FROM events ORDER BY rowid LIMIT 1") == 2**53 + 1


def test_nested_becomes_json(client):
    client.store({"m": {"lr": 0.1, "layers": [1, 2, {"n": None, "t": True}], "q": "a\"b\\\n\u00fc\x01"}, "l": [], "e": {}})
    assert client.rows("SELECT typeof(m), typeof(l) FROM events") == [["text", "text"]]
    assert client.rows("SELECT json_extract(m, '$.lr'), json_extract(m, '$.layers[2].t'), json_extract(m, '$.q'), "
                       "json_type(m, '$.layers[2].n'), l, e FROM events") == \
        [[0.1, 1, "a\"b\\\n\u00fc\x01", "null", "[]", "{}"]]
    assert client.value("SELECT json_valid(m) FROM events") == 1


def test_nested_odd_values_stay_valid_json(client):
    client.store({"m": [math.nan, math.inf, -math.inf, 2**64 - 1, -2**63, b"\xff\x00", 1e308, 5e-324]})
    assert client.value("SELECT json_valid(m) FROM events") == 1


def test_extension_types(client):
    r = client.store({"x": msgpack.ExtType(5, b"abc")})
    assert sum(r) == 1
    assert client.store({"y": 1}) == (1, 0)


@pytest.mark.parametrize("key, name", [
    ("order", "order"), ("group", "group"), ("default", "default"), ("select", "select"), ("1abc", "_1abc"),
    ('a"b', "a_b"), ("a'b", "a_b"), ("a b", "a_b"), ("loss/train", "loss_train"), ("größe", "größe"), ("損失", "損失"),
    ("rowid", "rowid_"), ("oid", "oid_"), ("_rowid_", "_rowid__"), ("ROWID", "ROWID_"), ("a;DROP TABLE events;--", None),
    ("😀", "_"), ("[x]", "_x_"), ("`x`", "_x_"), ("x\0y", "x_y"), ("%s%n", "_s_n"), ("constraint", "constraint"),
])
def test_odd_names(client, key, name):
    client.store({key: 42})
    got = keys(client)
    assert key in got
    if name is not None:
        assert got[key] == name
    column = got[key].replace('"', '""')
    assert client.value(f'SELECT "{column}" FROM events') == 42
    client.store({key: 43})
    assert client.value("SELECT count(*) FROM pragma_table_info('events')") == 3


def test_names_that_fall_together_get_columns_of_their_own(client):
    client.store([{"loss/train": 1, "loss_train": 2}, {"loss_train": 3}, {"loss train": 4}])
    got = keys(client)
    assert len({got["loss/train"], got["loss_train"], got["loss train"]}) == 3
    for key, sums in (("loss/train", 1), ("loss_train", 5), ("loss train", 4)):
        assert client.value(f'SELECT sum("{got[key]}") FROM events') == sums
    client.flush()
    assert {w["code"] for w in client.named("warning")} == {"renamed_key"}
    assert len(client.named("warning")) == 2


def test_names_that_differ_in_case(client):
    client.store({"Acc": 1})
    client.store({"acc": 2})
    client.store({"Acc": 3})
    got = keys(client)
    assert got["Acc"] == "Acc" and got["acc"].lower() != "acc"
    assert client.rows(f'SELECT sum("Acc"), sum("{got["acc"]}") FROM events') == [[4, 2]]
    client.flush()
    assert len(client.named("warning")) == 1


def test_renames_survive_a_restart(daemon, db):
    d = daemon(db)
    with d.client() as c:
        c.store({"a/b": 1, "a_b": 2})
        before = keys(c)
    d.stop()
    with daemon(db).client() as c:
        c.store({"a_b": 4})
        c.store({"a/b": 3})
        assert keys(c) == before
        assert c.rows(f'SELECT sum("{before["a/b"]}"), sum("{before["a_b"]}") FROM events') == [[4, 6]]


def test_empty_key_is_rejected_alone(client):
    assert client.store([{"a": 1}, {"": 2}, {"a": 3}]) == (2, 1)
    assert [(r["seq"], r["code"]) for r in client.named("reject")] == [(2, "bad_name")]


def test_long_names_that_are_cut_stay_apart(client):
    a, b = "x" * 64 + "a", "x" * 64 + "b"
    client.store({a: 1, b: 2})
    got = keys(client)
    assert got[a] != got[b] and len(got[a]) == 64 and len(got[b]) <= 64
    assert client.rows(f'SELECT "{got[a]}", "{got[b]}" FROM events') == [[1, 2]]


def test_key_that_is_too_long(client):
    assert client.store([{"k" * 4097: 1}, {"a": 1}]) == (1, 1)
    assert client.named("reject")[0]["code"] in ("bad_name", "out_of_range")


def test_key_that_is_no_text(client):
    assert client.store([{5: 1}, {"a": 1}]) == (1, 1)
    assert client.named("reject")[0]["code"] in ("bad_type", "bad_name")


def test_row_that_is_no_map(client):
    assert client.store([{"a": 1}, 5, {"a": 2}]) == (2, 1)
    assert client.named("reject")[0]["code"] == "bad_type"


def test_duplicate_key_in_a_row(client):
    client.seq = 2
    client.send(b"\x93\x02\xa3log\x91\x83\xa3seq\x01\xa8track_id\xa1t\xa4rows\x92\x82\xa1a\x01\xa1a\x02\x81\xa1a\x03")
    client.until_ack(2)
    assert [(r["seq"], r["code"]) for r in client.named("reject")] == [(1, "duplicate_key")]
    assert client.rows("SELECT a FROM events") == [[3]]


def test_empty_row_is_stored(client):
    assert client.store([{}]) == (1, 0)
    assert client.rows("SELECT track_id FROM events") == [["t"]]


def test_2001_columns_are_rejected_alone(client):
    wide = {f"c{i}": i for i in range(2001)}
    assert client.store([{"a": 1}, wide, {"a": 2}]) == (2, 1)
    (r,) = client.named("reject")
    assert (r["seq"], r["code"]) == (2, "too_many_columns")
    assert client.rows("SELECT a FROM events ORDER BY a") == [[1], [2]]
    assert client.value("SELECT count(*) FROM pragma_table_info('events')") == 3


def test_column_limit_reached_over_several_rows(client):
    stored_, rejected = 0, 0
    for part in range(5):
        s, r = client.store({f"p{part}_{i}": i for i in range(500)})
        stored_ += s
        rejected += r
    assert (stored_, rejected) == (3, 2)
    assert client.store({"p0_1": 5}) == (1, 0)


def test_columns_and_rows(client):
    assert client.store([[1, "x"], [2, None], [3, 0.5]], columns=["i", "v"]) == (3, 0)
    assert client.rows("SELECT i, v FROM events ORDER BY i") == [[1, "x"], [2, None], [3, 0.5]]


def test_columns_and_rows_of_another_length(client):
    assert client.store([[1, 2], [3], [4, 5, 6], [7, 8]], columns=["a", "b"]) == (2, 2)
    assert client.rows("SELECT a, b FROM events ORDER BY a") == [[1, 2], [7, 8]]


def test_duplicate_columns(client):
    client.seq = 0
    try:
        assert client.store([[1, 2]], columns=["a", "a"])[1] == 1
    except Exception as e:
        assert e.code == "duplicate_key"
    assert client.call("status")["rows"] == 0


def test_message_that_can_not_be_stored_at_all_uses_up_its_numbers(client):
    """Bad rows of a notification are told by reject, or the connection ends: never silence."""
    client.notify("log", seq=1, track_id="t", table="xt_secret", rows=[{"a": 1}])
    client.seq = 1
    client.until_ack(1)
    assert [(r["seq"], r["code"]) for r in client.named("reject")] == [(1, "bad_name")]
    assert client.store({"a": 1}) == (1, 0)


@pytest.mark.parametrize("table", ["xt_foo", "XT_foo", "sqlite_x", "SQLite_sequence", "xt_runs"])
def test_reserved_tables(client, table):
    try:
        s, r = client.store({"a": 1}, table=table)
        assert (s, r) == (0, 1)
        assert client.named("reject")[0]["code"] == "bad_name"
    except Exception as e:
        assert e.code == "bad_name", e
    assert client.store({"a": 1}) == (1, 0)


@pytest.mark.parametrize("table", ["order", "my table", 'a"b', "größe", "x'; DROP TABLE xt_runs; --", "1", "t-1"])
def test_odd_tables(client, table):
    assert client.store({"a": 1}, table=table) == (1, 0)
    quoted = table.replace('"', '""')
    assert client.value(f'SELECT a FROM "{quoted}"') == 1
    assert table in [t["name"] for t in client.call("tables", after=client.seq)["tables"]]


def test_users_own_timestamp_and_track_id(client):
    client.store({"timestamp": "mine", "track_id": 7}, track_id="theirs")
    assert client.rows("SELECT track_id, timestamp_2, track_id_2 FROM events") == [["theirs", "mine", 7]]
    assert client.value("SELECT timestamp GLOB '20*' FROM events") == 1


def test_large_values(client):
    text = "ü" * 1000000
    client.store({"s": text, "b": bytes(1 << 20)})
    assert client.rows("SELECT s, length(b) FROM events") == [[text, 1 << 20]]


def test_text_with_nul(client):
    client.store({"s": "a\0b"})
    assert client.rows("SELECT s, length(CAST(s AS BLOB)) FROM events") == [["a\0b", 3]]


def test_rejects_among_many_rows(client):
    """Bad rows spread over many messages: exactly they are rejected."""
    bad = {i for i in range(1, 1001) if i % 97 == 0}
    for i in range(1, 1001):
        client.log({"i": 2**63 if i in bad else i})
    client.until_ack(1000)
    assert {r["seq"] for r in client.named("reject")} == bad
    assert {r[0] for r in client.rows("SELECT i FROM events")} == set(range(1, 1001)) - bad


def test_database_stays_an_ordinary_file(client, served):
    client.store([{"x": i} for i in range(1000)])
    assert sqlite(served.db, "PRAGMA integrity_check") == [("ok",)]
    assert sqlite(served.db, "PRAGMA journal_mode") == [("wal",)]
    assert sqlite(served.db, "PRAGMA page_size") == [(16384,)]
    assert uuid.UUID(bytes=client.welcome["database_id"])


def test_empty_message(client):
    assert client.call("log", seq=1, track_id="t", rows=[]) == {"stored": 0, "rejected": 0}
    assert client.store({"a": 1}) == (1, 0)


def test_reconnect_with_an_answer_under_way(served):
    """The old connection of a client is closed in the turn in which it has something to say."""
    for _ in range(200):
        a = served.client()
        a.send_raw(b"".join(frame([0, 5 + i, "status", [{}]]) for i in range(20)))
        b = served.client(client_id=a.id)
        assert b.call("status")["pid"] == served.pid
        a.close()
        b.close()
