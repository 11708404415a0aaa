"""The cache over the protocol: hits, leases, waiting, fencing, and what is stored with what."""
import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgpack
import pytest
from conftest import TIMEOUT, Closed, RpcError, fails, mode, sqlite


def parts_of(function, args, params=None, version=None):
    """Good for small values only: the whole of it is proto/canon.c's, and docs/cache.md's."""
    pack = lambda d: {k: d[k] for k in sorted(d, key=msgpack.packb)}
    return msgpack.packb([function, version, pack(args), pack(params or {})])


def key_of(parts):
    return hashlib.blake2b(parts, digest_size=32).digest()


def call_of(n, function="f"):
    parts = parts_of(function, {"x": n})
    return key_of(parts), parts


KEY, PARTS = call_of(1)


def lease(c, key=KEY, **kw):
    r = c.call("cache_begin", key=key, **kw)
    assert r["state"] == "lease", r
    return r["token"]


def finish(c, token, key=KEY, value=b"v", parts=PARTS, track_id="t", row=None, **kw):
    return c.change("cache_finish", track_id=track_id, row=row or {"function_name": "f", "cache": ""}, key=key,
                    token=token, value=value, parts=parts, **kw)


def state(c, key=KEY, **kw):
    return c.call("cache_begin", key=key, **kw)["state"]


def test_a_result_is_computed_once_and_then_a_hit(served):
    with served.client() as a, served.client() as b:
        token = lease(a)
        assert finish(a, token, value=b"\x81\xa1r\x07", function_ns=1234) == {"stored": True, "cached": True}
        hit = b.call("cache_begin", key=KEY)
        assert hit["state"] == "hit" and hit["value"] == b"\x81\xa1r\x07" and hit["origin"] == "t"
        assert hit["uid"] == os.getuid() and hit["function_ns"] == 1234 and "encoding" not in hit
        assert abs(hit["created"] / 1e6 - time.time()) < 3600
        assert b.rows("SELECT track_id, function_name, cache FROM events") == [["t", "f", ""]]
        # used: the row of a hit says so
        b.store({"function_name": "f", "cache": "t"}, track_id="u", hit=KEY)
        b.store({"function_name": "f", "cache": "t"}, track_id="u", hit=KEY)
        e = wait_for(lambda: b.call("cache_get", key=KEY), lambda e: e["hits"] == 2)
        assert e["sound"] and e["last_use"] >= hit["created"] and e["parts"] == PARTS
        stats = b.call("cache_stats")
        assert (stats["state"], stats["entries"], stats["hits"], stats["misses"]) == ("ok", 1, 2, 1)
        assert stats["bytes"] > 0 and stats["file_bytes"] > 0 and stats["finished"] == 1


def wait_for(get, good):
    deadline = time.monotonic() + TIMEOUT
    while not good(value := get()):
        assert time.monotonic() < deadline, value
        os.sched_yield()
    return value


def test_who_waits_gets_the_one_result(served):
    with served.client() as a:
        token = lease(a)
        others = [served.client() for _ in range(20)]
        asked = [c.request("cache_begin", key=KEY) for c in others]
        assert wait_for(lambda: a.call("cache_stats")["waiters"], lambda n: n == 20)
        assert a.call("cache_stats")["leases"] == 1
        finish(a, token, value=b"one")
        for c, msgid in zip(others, asked):
            assert c.response(msgid)["value"] == b"one"
            c.close()
        assert a.call("cache_stats")["waiters"] == 0
        assert a.call("cache_stats")["leases"] == 0


@pytest.mark.parametrize("how", ["abort", "close", "bye"])
def test_a_lease_passes_on(served, how):
    with served.client() as b, served.client() as c:
        a = served.client()
        token = lease(a)
        first, second = b.request("cache_begin", key=KEY), c.request("cache_begin", key=KEY)
        wait_for(lambda: served_stats(served)["waiters"], lambda n: n == 2)
        if how == "abort":
            assert a.call("cache_abort", key=KEY, token=token) == {"held": True}
            assert a.call("cache_abort", key=KEY, token=token) == {"held": False}
        elif how == "bye":
            a.notify("bye")
        if how != "abort":
            a.close()
        r = b.response(first)
        assert r["state"] == "lease" and r["token"] > token
        finish(b, r["token"], value=b"b's")
        assert c.response(second)["value"] == b"b's"
        assert c.call("cache_stats")["passed_on"] == 1


def served_stats(served):
    with served.client() as c:
        return c.call("cache_stats")


def test_a_late_result_is_refused_and_its_row_is_marked(served):
    with served.client() as b:
        a = served.client()
        old = lease(a)
        a.notify("bye")
        a.close()
        new = wait_for(lambda: b.call("cache_begin", key=KEY, wait_ms=1), lambda r: r["state"] == "lease")["token"]
        with served.client() as late:
            r = finish(late, old, value=b"late", row={"function_name": "f", "n": 1})
            assert r["stored"] and not r["cached"] and r["code"] == "lease_lost" and "lease" in r["message"]
            assert late.named("warning")[-1]["code"] == "lease_lost"
            assert late.rows("SELECT n, lease_lost FROM events") == [[1, 1]]
            assert state(late, wait_ms=0) == "held"
        finish(b, new, value=b"new", row={"function_name": "f", "n": 2})
        assert b.call("cache_begin", key=KEY)["value"] == b"new"
        assert b.rows("SELECT n, lease_lost FROM events WHERE n = 2") == [[2, None]]
        assert b.call("cache_stats")["lost"] == 1


def test_a_notification_is_told_of_the_loss_by_a_warning(client):
    client.seq += 1
    client.notify("cache_finish", seq=client.seq, track_id="t", row={"a": 1}, key=KEY, token=99, value=b"")
    client.flush()
    assert client.until_event("warning")["code"] == "lease_lost"
    assert client.rows("SELECT a, lease_lost FROM events") == [[1, 1]]


def test_waiting_ends(served):
    with served.client() as a, served.client() as b:
        lease(a)
        assert state(b, wait_ms=0) == "held"
        assert state(b, wait_ms=30) == "held"
        assert state(b, read_only=True) == "miss"
        assert b.call("cache_stats")["waiters"] == 0


def test_force_computes_anew_and_overwrites(served):
    with served.client() as a, served.client() as b, served.client() as c:
        finish(a, lease(a), value=b"1")
        token = lease(a, force=True)
        assert state(b) == "hit"  # what is there is as good as before
        forced = b.request("cache_begin", key=KEY, force=True)
        wait_for(lambda: c.call("cache_stats")["waiters"], lambda n: n == 1)
        finish(a, token, value=b"2")
        r = b.response(forced)  # another's result is not what was asked for
        assert r["state"] == "lease"
        assert c.call("cache_begin", key=KEY)["value"] == b"2"
        finish(b, r["token"], value=b"3")
        assert c.call("cache_begin", key=KEY)["value"] == b"3"
        assert c.call("cache_stats")["entries"] == 1


def test_two_that_wait_for_each_other(served):
    key2, parts2 = call_of(2)
    with served.client() as a, served.client() as b:
        ta, tb = lease(a, KEY), lease(b, key2)
        waiting = a.request("cache_begin", key=key2, within=[ta])
        wait_for(lambda: served_stats(served)["waiters"], lambda n: n == 1)
        assert state(b, KEY, within=[tb]) == "cycle"
        finish(b, tb, key2, parts=parts2, value=b"b")
        assert a.response(waiting)["value"] == b"b"
        assert served_stats(served)["cycles"] == 1


def test_a_circle_of_five_and_one_with_oneself(served):
    calls = [call_of(n) for n in range(5)]
    clients = [served.client() for _ in calls]
    tokens = [lease(c, key) for c, (key, _) in zip(clients, calls)]
    waits = [clients[i].request("cache_begin", key=calls[i + 1][0], within=[tokens[i]]) for i in range(4)]
    wait_for(lambda: served_stats(served)["waiters"], lambda n: n == 4)
    assert state(clients[4], calls[0][0], within=[tokens[4]]) == "cycle"
    assert state(clients[4], calls[4][0], within=[tokens[4]]) == "cycle"  # a call of itself
    assert state(clients[4], calls[4][0]) == "cycle"  # who does not say holds all of them
    for i in (4, 3, 2, 1, 0):
        finish(clients[i], tokens[i], calls[i][0], parts=calls[i][1])
        if i > 0:
            assert clients[i - 1].response(waits[i - 1])["state"] == "hit"
    for c in clients:
        c.close()


def test_waiting_in_another_call_of_the_same_client_is_no_circle(served):
    key2, parts2 = call_of(2)
    with served.client() as a, served.client() as b:
        ta, tb = lease(a, KEY), lease(b, key2)
        waiting = a.request("cache_begin", key=key2, within=[])  # another thread of a's
        wait_for(lambda: served_stats(served)["waiters"], lambda n: n == 1)
        other = b.request("cache_begin", key=KEY, within=[tb])
        wait_for(lambda: served_stats(served)["waiters"], lambda n: n == 2)
        finish(a, ta)
        assert b.response(other)["state"] == "hit"
        finish(b, tb, key2, parts=parts2)
        assert a.response(waiting)["state"] == "hit"


def test_a_lease_survives_the_daemon(daemon, db):
    d = daemon(db)
    a, b = d.client(), d.client()
    a.change("run_start", track_id="r")
    b.change("run_join", track_id="r")
    token = lease(a)
    d.kill()
    d = daemon(db)
    with d.client(b.id) as b2:
        assert b2.call("cache_stats")["grace_ms"] > 0  # a is awaited
        waits = b2.request("cache_begin", key=KEY)
        with d.client(a.id, leases=[KEY, token]) as a2:
            assert finish(a2, token, value=b"kept")["cached"]
            assert b2.response(waits)["value"] == b"kept"
            assert a2.call("cache_stats")["grace_ms"] == 0  # all have come


def test_a_holder_that_does_not_come_back_is_not_waited_for_long(daemon, db):
    d = daemon(db)
    a, b = d.client(), d.client()
    a.change("run_start", track_id="r")
    old = lease(a)
    d.kill()
    d = daemon(db)
    with d.client(b.id) as b2:
        begun = time.monotonic()
        new = b2.call("cache_begin", key=KEY)
        assert new["state"] == "lease" and new["token"] > old
        assert time.monotonic() - begun > 1, "a lease was given in the grace time"
        with d.client(a.id, leases=[KEY, old]) as a2:
            assert finish(a2, old)["code"] == "lease_lost"


def test_nobody_is_awaited_when_all_have_left(daemon, db):
    d = daemon(db)
    with d.client() as a:
        a.change("run_start", track_id="r")
        finish(a, lease(a))
        a.notify("bye")
        a.until_closed() if False else a.flush()
    d.stop()
    with daemon(db).client() as b:
        assert b.call("cache_stats")["grace_ms"] == 0
        assert state(b) == "hit"
        lease(b, call_of(2)[0])


def listed(c, **kw):
    """All pages of a list."""
    entries, after = [], {}
    while True:
        page = c.call("cache_list", **kw, **after)
        entries += page["entries"]
        if "next" not in page:
            return entries
        after = {"after": page["next"]}


def test_lists_whose_parts_fill_pages(client):
    keys = set()
    for n in range(20):
        parts = parts_of("f", {"n": n, **{f"argument_{i:03}": "v" * 100 for i in range(500)}})
        keys.add(key_of(parts))
        finish(client, lease(client, key_of(parts)), key_of(parts), parts=parts)
    assert "next" in client.call("cache_list", parts=True)
    for which in ({}, {"function": "f"}, {"track_id": "t"}):
        entries = listed(client, parts=True, **which)
        assert len(entries) == 20 and {e["key"] for e in entries} == keys
        assert all(key_of(e["parts"]) == e["key"] for e in entries)


def test_lists_and_deletes(client):
    for n in range(600):
        key, parts = call_of(n, "f" if n % 3 else "g")
        finish(client, lease(client, key), key, parts=parts, track_id=f"r{n % 2}", value=bytes(n))

    everything = listed(client)
    assert len(everything) == 600 and len({e["key"] for e in everything}) == 600
    assert {e["function"] for e in everything} == {"f", "g"} and "parts" not in everything[0]
    assert len(listed(client, function="g")) == 200 and len(listed(client, track_id="r1")) == 300
    assert len(listed(client, function="g", track_id="r1")) == 100
    assert [e["key"] for e in listed(client, prefix=KEY[:4])] == [KEY]
    assert listed(client, prefix=KEY[:4], parts=True)[0]["parts"] == PARTS
    assert listed(client, function="h") == []
    created = [e["created"] for e in listed(client, function="f")]
    assert created == sorted(created)

    keys = [e["key"] for e in listed(client, track_id="r1")]
    r = client.change("cache_delete", keys=b"".join(keys))
    assert r["deleted"] == 300 and r["bytes"] > 300 * 200
    assert client.change("cache_delete", keys=b"".join(keys))["deleted"] == 0
    assert len(listed(client)) == 300 and listed(client, track_id="r1") == []
    assert client.call("cache_get", key=KEY) == {"found": False}
    assert client.call("cache_stats")["entries"] == 300
    assert client.value("SELECT count(*) FROM events") == 600  # rows stay
    fails("out_of_range", client.change, "cache_delete", keys=bytes(33))


def test_old_entries_are_no_hits_and_the_bound_is_kept(client):
    keys = [call_of(n) for n in range(40)]
    for key, parts in keys:
        finish(client, lease(client, key), key, parts=parts, value=os.urandom(100000))
    client.store({"a": 1}, hit=keys[0][0])  # the least recently used one is another now
    wait_for(lambda: client.call("cache_get", key=keys[0][0])["hits"], lambda n: n == 1)
    client.change("config", key="cache_max_mib", value=2)
    client.flush()
    while client.call("cache_gc")["more"]:
        pass
    stats = client.call("cache_stats")
    assert stats["bytes"] <= 2 << 20 and stats["evicted"] == 40 - stats["entries"] > 0
    assert state(client, keys[0][0]) == "hit" and state(client, keys[39][0]) == "hit"
    assert state(client, keys[1][0], read_only=True) == "miss"
    key, parts = call_of(100)
    finish(client, lease(client, key), key, parts=parts, value=os.urandom(1000000))  # makes room by itself
    assert client.call("cache_stats")["bytes"] <= 2 << 20

    client.change("config", key="cache_ttl_s", value=1)
    client.flush()
    wait_for(lambda: state(client, key, wait_ms=0), lambda s: s == "lease")
    assert client.call("cache_get", key=key) == {"found": False}
    gone = 0
    while True:
        r = client.call("cache_gc")
        gone += r["deleted"]
        if not r["more"]:
            break
    assert gone > 0 and client.call("cache_stats")["entries"] == 0


def test_values_at_and_over_the_limit(served):
    limit = 16000000
    with served.client() as c:
        assert finish(c, lease(c), value=b"x" * limit)["cached"]
        assert len(c.call("cache_begin", key=KEY)["value"]) == limit
        token = lease(c, call_of(2)[0])
        c.seq += 1
        e = fails("out_of_range", c.call, "cache_finish", seq=c.seq, track_id="t", row={}, key=call_of(2)[0],
                  token=token, value=b"x" * (limit + 1))
        assert e.field == "value"
        c.seq -= 1
        assert finish(c, lease(c, call_of(3)[0]), call_of(3)[0], parts=call_of(3)[1], value=b"")["cached"]
        assert c.call("cache_begin", key=call_of(3)[0])["value"] == b""


def test_a_key_that_is_not_its_parts(client):
    r = finish(client, lease(client), parts=call_of(2)[1])
    assert r["stored"] and not r["cached"] and r["code"] == "out_of_range"
    assert state(client) != "hit"


def test_a_row_that_cannot_be_stored_has_no_result(served):
    with served.client() as a, served.client() as b:
        token = lease(a)
        waits = b.request("cache_begin", key=KEY)
        wait_for(lambda: served_stats(served)["waiters"], lambda n: n == 1)
        r = finish(a, token, row={"n": 2**63})
        assert r == {"stored": False, "cached": False}
        assert a.named("reject")[-1]["code"] == "out_of_range"
        assert b.response(waits)["state"] == "lease"


def test_a_full_map_keeps_rows_and_answers_who_waits(daemon, db):
    d = daemon(db)
    with d.client() as c:
        c.change("config", key="cache_map_mib", value=16)
    d.stop()
    d = daemon(db)
    with d.client() as a, d.client() as b:
        n = full = 0
        while not full:
            key, parts = call_of(n := n + 1)
            token = lease(a, key)
            waits = b.request("cache_begin", key=key)
            wait_for(lambda: a.call("cache_stats")["waiters"], lambda n: n == 1)
            r = finish(a, token, key, parts=parts, value=os.urandom(3000000))
            assert r["stored"]
            assert len(b.response(waits)["value"]) == 3000000  # kept or not
            if not r["cached"]:
                assert r["code"] == "cache_full" and n > 2
                full = n
        assert a.value("SELECT count(*) FROM events") == full
        assert state(a, call_of(1)[0]) == "hit"
        assert a.call("cache_stats")["state"] == "ok"
        keys = b"".join(call_of(i)[0] for i in range(1, full))
        a.change("cache_delete", keys=keys)
        key, parts = call_of(full)
        assert finish(a, lease(a, key), key, parts=parts, value=os.urandom(3000000))["cached"]  # room again


def cache_file(db, generation="g1"):
    return Path(f"{db}.cache/{generation}/data.mdb")


def fill(d, n=200):
    with d.client() as c:
        for i in range(n):
            key, parts = call_of(i)
            finish(c, lease(c, key), key, parts=parts, value=os.urandom(3000))


@pytest.mark.parametrize("damage", ["cut short", "no cache", "a version of tomorrow", "faulted"])
def test_a_damaged_cache_is_set_aside(daemon, db, damage):
    d = daemon(db)
    fill(d)
    d.stop()
    path = cache_file(db)
    data = path.read_bytes()
    if damage == "cut short":
        os.truncate(path, len(data) // 2)
    elif damage == "no cache":
        path.write_bytes(b"this is no LMDB file" * 1000)
    elif damage == "faulted":
        (path.parent / "faulted").touch()
    else:  # the version stands behind the magic number of each of the two meta pages
        changed = bytearray(data)
        for at in (16, 4096 + 16):
            changed[at + 4] += 1
        path.write_bytes(changed)
    d = daemon(db)
    with d.client() as c:
        assert c.value("SELECT count(*) FROM events") == 200
        assert "cache" in c.call("cache_stats")["state"] or c.call("cache_stats")["state"] == "empty"
        assert c.call("cache_stats")["entries"] == 0
        assert finish(c, lease(c))["cached"]
        assert c.call("cache_stats")["path"].endswith("/g2")
    assert Path(f"{db}.cache/g1.damaged/data.mdb").exists()
    assert "set aside" in d.stderr() and "g1.damaged" in d.stderr()


@pytest.mark.parametrize("what", ["bytes of nothing", "bits of pages"])
def test_damage_under_the_daemon_concerns_no_row(daemon, db, what):
    """LMDB answers with an error, finds nothing, or faults, and then the next daemon sets the cache aside. No
    wrong value is ever given, no row is lost, and a reset makes all good."""
    d = daemon(db)
    fill(d)
    path = cache_file(db)
    data = bytearray(path.read_bytes())
    if what == "bytes of nothing":
        data[2 * 4096:] = os.urandom(len(data) - 2 * 4096)
    else:
        for at in range(2 * 4096, len(data), 512):
            data[at + 10] ^= 1 << at // 512 % 8
    with open(path, "r+b") as f:
        f.seek(2 * 4096)
        f.write(data[2 * 4096:])
    died = 0
    for attempt in ("read", "write", "reset", "end"):
        try:
            with d.client() as c:
                if attempt == "read":
                    for i in range(200):
                        c.call("cache_begin", key=call_of(i)[0], read_only=True)
                elif attempt == "write":
                    c.store({"row": 201})
                    r = c.call("cache_begin", key=call_of(500)[0], wait_ms=0)
                    if r["state"] == "lease":
                        assert finish(c, r["token"], call_of(500)[0], parts=call_of(500)[1])["stored"]
                elif attempt == "reset":
                    c.call("cache_reset")
        except (Closed, ConnectionError):
            assert d.wait() != 0
            d.expected = d.proc.returncode
            died += 1
            d = daemon(db)
    with d.client() as c:
        assert c.value("SELECT count(*) FROM events WHERE \"row\" IS NULL") >= 200
        assert c.value("SELECT count(*) FROM events WHERE \"row\" = 201") == 1
        assert finish(c, lease(c, call_of(501)[0]), call_of(501)[0], parts=call_of(501)[1])["cached"]
        assert state(c, call_of(501)[0]) == "hit"
    assert len(list(Path(f"{db}.cache").glob("g*.*"))) >= 1, "nothing was set aside"
    assert died == 0 or Path(f"{db}.cache/g1.damaged").exists()


def test_a_cache_of_another_database_is_set_aside(daemon, db):
    d = daemon(db)
    fill(d, 1)
    d.stop()
    for suffix in ("", "-wal", "-shm"):
        Path(f"{db}{suffix}").unlink(missing_ok=True)
    d = daemon(db)
    with d.client() as c:
        assert state(c, call_of(0)[0]) == "lease"  # not a hit of runs that are not here
    assert Path(f"{db}.cache/g1.other").exists()


def test_reset(served, db):
    with served.client(pid=os.getpid()) as c:
        assert "cache" not in c.welcome  # it is made when it is needed
        finish(c, lease(c))
        assert c.until_event("cache_moved")["path"] == f"{db.resolve()}.cache/g1"
        r = c.call("cache_reset")
        assert r["aside"].endswith("g1.reset") and r["path"].endswith("/g2")
        assert state(c, read_only=True) == "miss"
        c.call("cache_stats")
        assert c.named("cache_moved")[-1]["path"].endswith("/g2")
        with served.client(pid=os.getpid()) as d:
            assert d.welcome["cache"].endswith("/g2")
        with served.client(pid=os.getpid() + 1) as d:  # another PID namespace
            assert "cache" not in d.welcome
    assert mode(f"{db}.cache") == 0o700 and mode(f"{db}.cache/g2") == 0o700
    assert mode(cache_file(db, "g2")) == 0o600


def test_no_cache_where_nothing_is_written(daemon, db):
    d = daemon(db)
    with d.client() as c:
        c.store({"a": 1})
    d.stop()
    with daemon(db, "--read-only").client() as c:
        assert state(c) == "miss"
        assert c.call("cache_stats")["state"].startswith("off")
        assert c.call("cache_list")["entries"] == []


def test_a_directory_of_others_is_no_cache(daemon, db):
    Path(f"{db}.cache").mkdir()
    Path(f"{db}.cache").chmod(0o777)
    with daemon(db).client() as c:
        assert state(c) == "miss"  # no lease without an epoch
        r = finish(c, 1)
        assert r["stored"] and not r["cached"] and r["code"] == "lease_lost"
        e = fails("cache_off", c.call, "cache_reset")
        assert "only this user can write" in e.message


def test_a_cache_that_is_removed_is_made_anew(served, db):
    with served.client() as c:
        finish(c, lease(c))
        subprocess.run(["rm", "-r", f"{db}.cache"], check=True)
        key, parts = call_of(2)
        finish(c, lease(c, key), key, parts=parts)
        wait_for(lambda: state(c, key, read_only=True), lambda s: s == "hit" or finish_again(c, key, parts))
        assert cache_file(db).exists() or cache_file(db, "g2").exists()


def finish_again(c, key, parts):
    r = c.call("cache_begin", key=key, wait_ms=0)
    if r["state"] == "lease":
        finish(c, r["token"], key, parts=parts)


def test_a_large_hit_is_left_to_who_reads_the_cache_directly(served):
    with served.client() as a, served.client() as b:
        token = lease(a)
        waits, sent = b.request("cache_begin", key=KEY, direct=True), b.request("cache_begin", key=KEY)
        wait_for(lambda: a.call("cache_stats")["waiters"], lambda n: n == 2)
        finish(a, token, value=bytes(100000))
        r = b.response(waits)
        assert r["state"] == "hit" and r["origin"] == "t" and "value" not in r
        assert len(b.response(sent)["value"]) == 100000
        assert "value" not in a.call("cache_begin", key=KEY, direct=True)
        key, parts = call_of(2)
        finish(a, lease(a, key), key, parts=parts, value=bytes(65536))
        assert len(a.call("cache_begin", key=key, direct=True)["value"]) == 65536


def test_a_claim_of_a_lease_that_was_never_given(daemon, db):
    """The cache was deleted, and its epochs with it; or somebody makes it up."""
    d = daemon(db)
    with d.client(leases=[KEY, 2**62]) as a:
        assert finish(a, 2**62)["code"] == "lease_lost"
        assert finish(a, lease(a), value=b"fresh")["cached"]
        assert a.call("cache_begin", key=KEY)["value"] == b"fresh"


def test_a_lease_that_hello_claimed_is_given_back_by_an_abort(served):
    a = served.client()
    token = lease(a)
    finish(a, token, row={"n": 2**63})  # rejected: nothing is kept
    again = lease(a)
    a.close()
    with served.client(a.id, leases=[KEY, again]) as a2, served.client() as b:
        assert state(b, wait_ms=0) == "held"
        a2.notify("cache_abort", key=KEY, token=again)
        wait_for(lambda: state(b, wait_ms=0), lambda s: s == "lease")


def test_a_new_age_limit_is_told_to_direct_readers(served):
    with served.client(pid=os.getpid()) as c:
        finish(c, lease(c))
        c.until_event("cache_moved")
        c.change("config", key="cache_ttl_s", value=7)
        wait_for(lambda: c.call("cache_stats") and c.named("cache_moved")[-1].get("cache_ttl_ms"), lambda t: t == 7000)
