"""xtctl cache: what is in the cache, why a call missed, what it was worth, and its deletion."""
import hashlib
import json
import os
import pty
import re
import subprocess
from pathlib import Path

import msgpack
import pytest
from conftest import BUILD, TIMEOUT, XTCTL, sqlite
from test_cache import call_of, finish, key_of, lease, parts_of
from xtctl import needs_xtctl, ok, refused, run

XT = str(BUILD / "xt")
XT_CALL = BUILD / "xt-call"
pytestmark = needs_xtctl


def keep(c, args, function="f", track_id="t", value=b"\x81\xa1y\x07", params=None, version=None, **kw):
    """An entry of the cache, as a worker of any language makes it; its key in hexadecimal."""
    parts = parts_of(function, args, params, version)
    key = key_of(parts)
    r = finish(c, lease(c, key), key, parts=parts, track_id=track_id, value=value, **kw)
    assert r == {"stored": True, "cached": True}
    return key.hex()


def work(db, track_id, keys, *options):
    p = subprocess.run([XT_CALL, db, track_id, f"{db}.witness", str(keys), *options], capture_output=True, text=True,
                       timeout=TIMEOUT)
    assert p.returncode == 0, p.stderr
    return p.stdout


def entries(db, *options):
    return json.loads(ok("cache", "ls", db, "--json", *options))


# ---- ls -------------------------------------------------------------------


def test_ls(client, db):
    first = keep(client, {"x": 1}, track_id="a", function_ns=1500000000)
    second = keep(client, {"x": 2}, track_id="b", function="g", value=b"\xda\x01\x00" + b"v" * 256)
    client.store({"function_name": "f", "cache": "a"}, track_id="b", hit=bytes.fromhex(first))
    rows = entries(db)
    assert [r["key"] for r in rows] == sorted([first, second])
    a, b = sorted(rows, key=lambda r: r["track_id"])
    assert (a["function"], a["function_time"], a["track_id"], b["function"]) == ("f", 1.5, "a", "g")
    assert b["size"] > a["size"] and b["hits"] == 0 and b["last_use"] is None
    assert re.fullmatch(r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d", a["created"])
    assert [r["key"] for r in entries(db, "--function", "g")] == [second]
    assert [r["key"] for r in entries(db, "--track-id", "a")] == [first]
    assert entries(db, "--track-id", "a", "--function", "g") == []
    for n in range(4):
        assert [r["key"] for r in entries(db, "-n", n)] == sorted([first, second])[:n]
    assert [r["key"] for r in entries(db, "--function", "g", "-n", "1")] == [second]
    assert len(entries(db, "--older-than", "0s")) == 2 and entries(db, "--older-than", "1h") == []
    table = ok("cache", "ls", db)
    assert first[:12] in table and first[:13] not in table
    assert first in ok("cache", "ls", db, "--format", "csv") and first in ok("cache", "ls", db, "--format", "md")


def test_uses_are_shown(client, db):
    key = keep(client, {"x": 1}, track_id="a")
    for _ in range(3):
        client.store({"function_name": "f", "cache": "a"}, track_id="b", hit=bytes.fromhex(key))
    while (e := entries(db)[0])["hits"] < 3:
        pass
    assert e["last_use"] >= e["created"]


@pytest.mark.parametrize("words", [["cache", "ls", "DB"], ["cache", "DB", "ls"], ["cache", "DB"]])
@pytest.mark.parametrize("program", [XTCTL, XT])
def test_the_order_of_words(client, db, words, program):
    key = keep(client, {"x": 1})
    assert key[:12] in ok(*[db if w == "DB" else w for w in words], program=program)


def test_the_database_from_the_environment(client, db, runtime):
    env = {"XETRACK_DB": str(db)}
    key = keep(client, {"x": 1}, track_id="a-run")
    assert key[:12] in ok("cache", "ls", env=env) and key[:12] in ok("cache", env=env)
    assert key in ok("cache", "get", key, env=env) and key in ok("cache", "get", db, key, env=env)
    out = runtime / "value"
    ok("cache", "get", key, out, env=env)
    assert out.read_bytes() == b"\x81\xa1y\x07"
    assert "in the cache" in ok("cache", "why", "f", "x=1", env=env)
    assert "in the cache" in ok("cache", "why", db, "f", "x=1", env=env)
    (runtime / "a-run").mkdir()
    assert ok("cache", "delete", "a-run", env=env, cwd=runtime) == "Deleted 1 cache entries for track_id 'a-run'\n"


def test_an_empty_cache(served, db):
    assert ok("cache", "ls", db) == "Cache is empty\n"
    assert entries(db) == [] and ok("cache", "ls", db, "--format", "csv").count("\n") == 1
    assert "the cache is empty" in refused("cache", "get", db, "abcd")
    assert "the cache is empty" in refused("cache", "why", db, "f", "x=1")
    assert ok("cache", "verify", db).startswith("ok: 0 entries")
    assert ok("cache", "delete", db, "--all") == "Deleted 0 cache entries (0 bytes)\n"
    assert ok("cache", "delete", db, "a-run", program=XT) == "Deleted 0 cache entries for track_id 'a-run'\n"
    with served.client() as c:
        keep(c, {"x": 1})
    assert ok("cache", "ls", db, "--function", "g") == "No such entries\n"


def test_a_cache_that_is_off(daemon, db):
    d = daemon(db)
    with d.client() as c:
        c.store({"a": 1})
    d.stop()
    daemon(db, "--read-only")
    for command in ("ls", "verify", "gc"):
        assert "the cache is off: nothing is written here" in refused("cache", command, db), command
    assert "the cache is off" in refused("cache", "get", db, "abcd")
    assert "the cache is off" in refused("cache", "delete", db, "--all")
    assert "off: nothing is written here" in ok("cache", "stats", db)


# ---- get ------------------------------------------------------------------


def test_get_of_a_worker(served, db):
    work(db, "r", 3)
    key = next(r["key"] for r in entries(db)
               if json.loads(ok("cache", "get", db, r["key"], "--json"))["value"]["y"] == 4)
    e = json.loads(ok("cache", "get", db, key[:9].upper(), "--json"))
    assert e["key"] == key and e["function"] == "f" and e["track_id"] == "r" and e["uid"] == os.getuid()
    assert e["args"] == {"x": 2, "config": {"lr": 0.1, "layers": 3}} and e["params"] == {"model": "m"}
    assert e["value"] == {"y": 4, "text": "a result"} and e["sound"] is True and e["version"] is None
    text = ok("cache", "get", db, key)
    for line in ("argument x = 2\n", 'parameter model = "m"\n', 'value {"y":4,"text":"a result"}\n'):
        assert line in text
    raw = run("cache", "get", db, key, "--raw", text=False).stdout
    assert msgpack.unpackb(raw) == {"y": 4, "text": "a result"} and len(raw) == e["size"]


def test_get_of_other_encodings(client, db, runtime):
    value = bytes(range(256)) * 4
    key = keep(client, {"x": 1}, value=value, encoding="pickle")
    text = ok("cache", "get", db, key)
    assert "1.0 KiB of pickle" in text and "encoding             pickle" in text
    assert json.loads(ok("cache", "get", db, key, "--json"))["value"] is None
    assert run("cache", "get", db, key, "--raw", text=False).stdout == value
    out = runtime / "value.bin"
    ok("cache", "get", db, key, out)
    assert out.read_bytes() == value
    out.write_bytes(b"mine")
    assert "--force replaces it" in refused("cache", "get", db, key, out) and out.read_bytes() == b"mine"
    ok("cache", "get", db, key, out, "--force")
    assert out.read_bytes() == value
    assert "cannot write" in refused("cache", "get", db, key, runtime / "none" / "x")
    broken = keep(client, {"x": 2}, value=b"\xc1\xff")
    assert "no MessagePack" in ok("cache", "get", db, broken)


def twins():
    """Two calls whose keys have their first four digits in common, and no more."""
    seen = {}
    for n in range(100000):
        key = call_of(n)[0].hex()
        other = seen.setdefault(key[:4], (n, key))
        if other[0] != n and other[1][4] != key[4]:
            return other[0], n


def test_beginnings_of_keys(client, db):
    a, b = (keep(client, {"x": n}) for n in twins())
    said = refused("cache", "get", db, a[:4])
    assert "2 keys begin with" in said and a[:12] in said and b[:12] in said and "more digits" in said
    for key, other in ((a, b), (b, a)):  # an odd number of digits
        text = ok("cache", "get", db, key[:5])
        assert key in text and other not in text
        assert key in ok("cache", "get", db, key[:6]) and key in ok("cache", "get", db, key)
    digit = next(d for d in "0123456789abcdef" if d not in (a[4], b[4]))
    said = refused("cache", "get", db, a[:4] + digit)
    assert "no key begins with" in said and "cache ls" in said
    for bad in (a[:3], "ghij", a + "0"):
        assert "no beginning of a key" in refused("cache", "get", db, bad, status=2)
    assert "2 keys begin with" in refused("cache", "delete", db, a[:4])
    assert len(entries(db)) == 2
    assert "2 keys begin with" in refused("cache", "why", db, a[:4])
    ok("cache", "delete", db, a[:5])
    assert [e["key"] for e in entries(db)] == [b]


# ---- why ------------------------------------------------------------------


def why(db, *args):
    return json.loads(ok("cache", "why", db, *args, "--json"))


def test_why_a_call_is_a_hit(served, db):
    work(db, "r", 4)
    r = why(db, "f", "x=3", 'config:={"layers": 3, "lr": 0.1}', "--param", "model=m")
    assert r["cached"] is True and r["differences"] == [] and r["key"] in {e["key"] for e in entries(db)}
    text = ok("cache", "why", db, "f", "x=3", 'config:={"lr": 0.1, "layers": 3}', "--param", "model=m")
    assert text.startswith(f"in the cache: {r['key'][:12]} of run r")


@pytest.mark.parametrize("args, differs", [
    (["x=4", "y=2.5", "--param", "m=a", "--version", "1"], ["argument", "x", 4, 1]),
    (["x:=1.0", "y=2.5", "--param", "m=a", "--version", "1"], ["argument", "x", 1.0, 1]),
    (['x:="1"', "y=2.5", "--param", "m=a", "--version", "1"], ["argument", "x", "1", 1]),
    (["x=1", "y=null", "--param", "m=a", "--version", "1"], ["argument", "y", None, 2.5]),
    (["x=1", "y=2.5", "--param", "m=b", "--version", "1"], ["parameter", "m", "b", "a"]),
    (["x=1", "y=2.5", "--param", "m=a", "--version", "2"], ["version", None, "2", "1"]),
    (["x=1", "y=2.5", "--param", "m=a"], ["version", None, None, "1"]),
])
def test_why_names_what_differs(client, db, args, differs):
    key = keep(client, {"x": 1, "y": 2.5}, params={"m": "a"}, version="1", track_id="right")
    keep(client, {"x": 9, "y": 9.5}, params={"m": "z"}, version="9", track_id="far")
    keep(client, {"x": 4, "y": 2.5}, params={"m": "a"}, version="1", function="g", track_id="other")
    r = why(db, "f", *args)
    assert r["cached"] is False and r["function"] == "f"
    assert r["nearest"]["key"] == key and r["nearest"]["track_id"] == "right"
    (d,) = r["differences"]
    assert [d["part"], d["name"], d["this"], d["nearest"]] == differs
    assert type(d["this"]) is type(differs[2]) and type(d["nearest"]) is type(differs[3])
    text = ok("cache", "why", db, "f", *args)
    assert "not in the cache" in text and "nearest of 2 entries" in text and key[:12] in text and differs[0] in text


def test_why_an_argument_or_parameter_is_not_there(client, db):
    keep(client, {"x": 1, "y": 2}, params={"m": "a"})
    r = why(db, "f", "x=1", "z=3", "--param", "m=a")
    assert r["differences"] == [{"part": "argument", "name": "y", "nearest": 2},
                                {"part": "argument", "name": "z", "this": 3}]
    p = run("cache", "why", db, "f", "x=1", "y=2", "--json")
    assert json.loads(p.stdout)["differences"] == [{"part": "parameter", "name": "m", "nearest": "a"}]
    assert "--param" in p.stderr
    assert "--param" not in run("cache", "why", db, "f", "x=1", "y=3", "--param", "m=a").stderr
    csv = run("cache", "why", db, "f", "x=1", "y=2", "--format", "csv").stdout.splitlines()
    assert csv == ["part,name,this,nearest", 'parameter,m,,"""a"""']


def test_why_of_long_values(client, db):
    def component(text):
        packed = msgpack.packb(text)
        return msgpack.ExtType(1, hashlib.blake2b(packed, digest_size=32).digest())

    parts = parts_of("f", {"text": component("a" * 500), "x": 1})
    key = key_of(parts)
    finish(client, lease(client, key), key, parts=parts)
    assert why(db, "f", "x=1", f"text={'a' * 500}")["cached"] is True
    (d,) = why(db, "f", "x=1", f"text={'a' * 501}")["differences"]
    assert d["name"] == "text" and d["this"] != d["nearest"]
    assert d["nearest"] == "digest " + component("a" * 500).data.hex()[:12] + "…"
    assert d["nearest"] in ok("cache", "get", db, key.hex())


def test_why_rounds(client, db):
    keep(client, {"lr": 0.1})
    assert why(db, "f", "lr=0.1004")["cached"] is False
    assert why(db, "f", "lr=0.1004", "--round", "2")["cached"] is True
    assert "--round" in refused("cache", "why", db, "f", "lr=0.1", "--round", "16", status=2)


def test_why_of_an_entry(client, db):
    """The nearest other one: most parts in common, the newest among equals."""
    first = keep(client, {"x": 1, "y": 1, "z": 1})
    keep(client, {"x": 2, "y": 1, "z": 1}, track_id="older")
    newer = keep(client, {"x": 1, "y": 2, "z": 1}, track_id="newer")
    keep(client, {"x": 1, "y": 7, "z": 7}, track_id="newest, but farther")
    keep(client, {"x": 1, "y": 1, "z": 1}, function="g", track_id="another function")
    r = why(db, first[:10])
    assert r["nearest"]["key"] == newer and r["nearest"]["track_id"] == "newer"
    assert r["differences"] == [{"part": "argument", "name": "y", "this": 1, "nearest": 2}]
    assert "nearest of 3 other entries" in ok("cache", "why", db, first)


def test_what_is_more_makes_an_entry_less_near(client, db):
    near = keep(client, {"x": 1, "a": 1})
    keep(client, {"x": 1, "a": 1, "b": 2})
    r = why(db, "f", "x=1")
    assert r["nearest"]["key"] == near and [d["name"] for d in r["differences"]] == ["a"]


def test_why_of_an_only_entry(client, db):
    key = keep(client, {"x": 1})
    assert f"{key[:12]} of run t is the only entry of 'f'" in ok("cache", "why", db, key)
    assert why(db, key)["nearest"] is None


def test_why_knows_close_names(client, db):
    for function in ("train", "model.train_all", "evaluate"):
        keep(client, {"x": 1}, function=function)
    said = refused("cache", "why", db, "trian", "x=1")
    assert "'train'" in said and "evaluate" not in said
    said = refused("cache", "why", db, "train_all", "x=1")
    assert "'model.train_all'" in said and "'train'" in said and "evaluate" not in said
    said = refused("cache", "why", db, "zzzzzzzzz", "x=1")
    assert "train" not in said and "cache ls" in said


def test_why_of_a_function_that_looks_like_a_key(client, db):
    key = keep(client, {}, function="decade", value=b"\x80")
    assert why(db, "decade")["cached"] is True and why(db, "decade")["key"] == key
    assert "0123456789ab" in refused("cache", "why", db, "0123456789ab")


def test_why_refuses(client, db):
    keep(client, {"x": 1})
    assert "not KEY=VALUE" in refused("cache", "why", db, "f", "novalue", status=2)
    assert "given twice" in refused("cache", "why", db, "f", "x=1", "x=2", status=2)
    assert "given twice" in refused("cache", "why", db, "f", "--param", "a=1", "--param", "a=2", status=2)
    assert "not JSON" in refused("cache", "why", db, "f", "x:={", status=2)
    refused("cache", "why", db, status=2)


# ---- stats, report --------------------------------------------------------


def test_stats(served, db):
    assert json.loads(ok("cache", "stats", db, "--json"))["hit_rate"] is None
    work(db, "r", 3)
    work(db, "s", 4)
    with served.client() as c:
        while (s := json.loads(ok("cache", "stats", db, "--json")))["hits"] < 3:
            pass
        assert {k: s[k] for k in ("state", "entries", "hits", "misses", "finished")} == {
            "state": "ok", "entries": 4, "hits": 3, "misses": 4, "finished": 4}
        assert s["hit_rate"] == pytest.approx(300 / 7) and s["bytes"] == c.call("cache_stats")["bytes"]
    text = ok("cache", "stats", db)
    assert re.search(r"^hit rate +42\.9%$", text, re.M) and re.search(r"^entries +4$", text, re.M)
    assert "KiB" in text


@pytest.fixture
def reported(client, db):
    """Seven calls, three of them misses, beside four rows that are no cacheable calls."""
    def row(x, cache, seconds, k, **more):
        return {"function_name": "f", "args": [], "kwargs": {"x": x, "config": {"lr": k}}, "x": x, "config_lr": k,
                "cache": cache, "function_time": seconds, "params_k": k, "loss": x / 7, **more}

    client.change("run_start", track_id="a", table="calls", params={"model": "m"})
    client.store([row(1, "", 2.0, 1, model="m", error=None), row(2, "", 3.0, 2, model="m", error=None),
                  row(2, "", 100.0, 2, model="m", error="it failed")], track_id="a", table="calls")
    client.store([row(1, "a", 0.0, 1, model="n"), row(1, "a", 0.0, 1, model="n"), row(2, "a", 0.0, 2, model="n"),
                  row(2, "gone", 0.0, 2, model="n")], track_id="b", table="calls")
    client.store([{"loss": 1.0, "x": 1}, {"loss": 2.0, "x": 2}, {"loss": 3.0, "x": 3}], track_id="c", table="calls")
    client.store({"function_name": "f", "cache": None, "x": 1, "params_k": 1}, track_id="c", table="calls")
    return db


def report(db, *args):
    return json.loads(ok("cache", "report", db, "--table", "calls", "--json", *args))


def test_report(reported):
    r = report(reported)
    assert (r["calls"], r["hits"], r["misses"], r["other_rows"]) == (7, 4, 3, 4)
    assert r["hit_rate"] == pytest.approx(400 / 7) and r["combinations"] == 2
    assert (r["saved_seconds"], r["saved_hits"]) == (7.0, 3)  # 2 + 2 + 3; what failed took no time that counts
    by = [(b["parameter"], b["value"], b["calls"], b["hits"], b["misses"], b["hit_rate"]) for b in r["by"]]
    for parameter in ("x", "config_lr", "params_k"):
        assert [b[1:] for b in by if b[0] == parameter] == [(1, 3, 2, 1, 66.67), (2, 4, 2, 2, 50.0)], parameter
    assert [b[1:] for b in by if b[0] == "model"] == [("m", 3, 0, 3, 0.0), ("n", 4, 4, 0, 100.0)]
    assert {b[0] for b in by} == {"x", "config_lr", "params_k", "model"}
    text = ok("cache", "report", reported, "--table", "calls")
    assert re.search(r"^calls +7$", text, re.M) and re.search(r"^hits +4 \(57\.1%\)$", text, re.M)
    assert re.search(r"^misses +3 \(42\.9%\)$", text, re.M) and re.search(r"^not cacheable +4$", text, re.M)
    assert re.search(r"^time saved +7\.0 s$", text, re.M) and "for 3 of the hits" in text and "params_k" in text


def test_report_of_a_part(reported):
    r = report(reported, "--track-id", "b")
    assert (r["calls"], r["hits"], r["misses"], r["other_rows"], r["saved_seconds"]) == (4, 4, 0, 0, 7.0)
    assert report(reported, "--function", "none")["calls"] == 0
    assert report(reported, "--function", "none")["hit_rate"] is None
    r = report(reported, "--track-id", "a", "--function", "f")
    assert (r["calls"], r["hits"], r["misses"], r["saved_seconds"]) == (3, 0, 3, None)
    r = report(reported, "--by", "LOSS")
    assert {(b["parameter"], b["calls"]) for b in r["by"]} == {("loss", 3), ("loss", 4)}
    rows = ok("cache", "report", reported, "--table", "calls", "--by", "params_k", "--format", "csv").splitlines()
    assert rows == ["parameter,value,calls,hits,misses,hit_rate", "params_k,1,3,2,1,66.67", "params_k,2,4,2,2,50.0"]
    said = refused("cache", "report", reported, "--table", "calls", "--by", "none")
    assert "no column 'none'" in said and "columns" in said


def test_report_without_a_cache_column(client, db):
    assert "nothing was logged" in refused("cache", "report", db)
    client.store([{"a": 1}], table="plain")
    said = refused("cache", "report", db, "--table", "plain")
    assert "no column 'cache'" in said and "'plain'" in said
    assert "no column 'cache'" in refused("cache", "report", db)  # there is but this table
    said = refused("cache", "report", db, "--table", "none")
    assert "no table 'none'" in said and "ls" in said


def test_report_of_few_columns(client, db):
    client.store([{"cache": ""}, {"cache": "t"}, {"cache": None, "b": 1}])
    r = json.loads(ok("cache", "report", db, "--json"))
    assert (r["calls"], r["hits"], r["misses"], r["other_rows"]) == (2, 1, 1, 1)
    assert r["combinations"] is None and r["saved_seconds"] is None and r["by"] == []
    assert "parameter" not in ok("cache", "report", db)


def test_report_of_workers(served, db):
    work(db, "r", 5)
    work(db, "s", 8)
    r = json.loads(ok("cache", "report", db, "--json"))
    assert (r["calls"], r["hits"], r["misses"], r["other_rows"], r["combinations"]) == (13, 5, 8, 0, 8)
    computed = sqlite(db, "SELECT sum(function_time) FROM events WHERE cache = '' AND track_id = 'r'")[0][0]
    assert r["saved_hits"] == 5 and r["saved_seconds"] == pytest.approx(computed)
    assert [(b["value"], b["hits"]) for b in r["by"]] == [(x, int(x < 5)) for x in range(8)]


# ---- delete ---------------------------------------------------------------


def test_delete_in_the_old_form(client, db):
    for n in range(3):
        keep(client, {"x": n}, track_id="purple-mountain-4392")
    keep(client, {"x": 9}, track_id="other")
    out = ok("cache", "delete", db, "purple-mountain-4392", program=XT)
    assert out == "Deleted 3 cache entries for track_id 'purple-mountain-4392'\n"
    assert [e["track_id"] for e in entries(db)] == ["other"]
    assert client.value("SELECT count(*) FROM events WHERE track_id = 'purple-mountain-4392'") == 3  # the rows stay
    assert ok("cache", db, "delete", "--track-id", "other") == "Deleted 1 cache entries for track_id 'other'\n"


def test_delete_narrows(client, db):
    for n in range(4):
        keep(client, {"x": n}, track_id=f"r{n % 2}", function="fg"[n // 2])

    def left():
        return {(e["function"], e["track_id"]) for e in entries(db)}

    assert ok("cache", "delete", db, "--all", "--older-than", "1h") == "Deleted 0 cache entries (0 bytes)\n"
    assert len(left()) == 4
    assert "Deleted 1 cache entry (" in ok("cache", "delete", db, "--function", "f", "--track-id", "r1")
    assert left() == {("f", "r0"), ("g", "r0"), ("g", "r1")}
    ok("cache", "delete", db, "r0", "--function", "g")
    assert left() == {("f", "r0"), ("g", "r1")}
    ok("cache", "delete", db, "--track-id", "r0", "--older-than", "7d")
    assert left() == {("f", "r0"), ("g", "r1")}
    r = json.loads(ok("cache", "delete", db, "--older-than", "0s", "--function", "g", "--json"))
    assert r["deleted"] == 1 and r["bytes"] > 0
    assert left() == {("f", "r0")}
    key = entries(db)[0]["key"]
    ok("cache", "delete", db, key, "--function", "g")
    assert left() == {("f", "r0")}
    ok("cache", "delete", db, key[:8], key[:8], "--function", "f")
    assert left() == set()


def test_delete_by_several_keys(client, db):
    keys = [keep(client, {"x": n}) for n in range(5)]
    said = refused("cache", "delete", db, keys[0], "ffffffffffffffff")
    assert "no key begins with 'ffffffffffffffff'" in said and len(entries(db)) == 5
    assert "Deleted 2 cache entries (" in ok("cache", "delete", db, keys[0][:11], keys[3])
    assert {e["key"] for e in entries(db)} == {keys[1], keys[2], keys[4]}


def test_delete_of_a_run_that_looks_like_a_key(client, db):
    key = keep(client, {"x": 1}, track_id="2024")
    assert ok("cache", "delete", db, "2024") == "Deleted 1 cache entries for track_id '2024'\n"
    key = keep(client, {"x": 1}, track_id="other")
    keep(client, {"x": 2}, track_id=key[:6])
    said = refused("cache", "delete", db, key[:6])
    assert "--track-id" in said and len(entries(db)) == 2
    ok("cache", "delete", db, "--track-id", key[:6])
    assert [e["key"] for e in entries(db)] == [key]


def test_delete_of_many(client, db):
    """More than fit a message, in pieces while they are listed."""
    n = 2500
    for at in range(0, n, 100):
        for i in range(at, at + 100):
            key, parts = call_of(i)
            client.notify("cache_finish", seq=client.seq + 1, track_id="t", row={"cache": ""}, key=key,
                          token=lease(client, key), value=b"\x80", parts=parts)
            client.seq += 1
        client.flush()
    keep(client, {"x": 1}, track_id="other", function="g")
    assert len(entries(db)) == n + 1
    assert ok("cache", "delete", db, "t") == f"Deleted {n} cache entries for track_id 't'\n"
    assert [e["track_id"] for e in entries(db)] == ["other"]


def test_delete_asks_what(client, db):
    keep(client, {"x": 1})
    assert "--all" in refused("cache", "delete", db, status=2)
    assert "exclude" in refused("cache", "delete", db, "t", "--track-id", "u", status=2)
    for bad in ("5", "m", "5x", "-1s", "1h30m", "99999999999999999999d"):
        assert "--older-than" in refused("cache", "delete", db, f"--older-than={bad}", status=2)
    assert len(entries(db)) == 1
    assert "Deleted 1" in ok("cache", "delete", db, "--all")


def on_terminal(answers, *args):
    """Runs it with a terminal for questions, of which each gets an answer: exit status, screen, output."""
    screen, terminal = pty.openpty()
    p = subprocess.Popen([XTCTL, *map(str, args)], stdin=terminal, stderr=terminal, stdout=subprocess.PIPE, text=True)
    os.close(terminal)
    seen = b""
    for answer in answers:
        asked = seen.count(b"[y/N] ")
        while seen.count(b"[y/N] ") == asked:
            seen += os.read(screen, 1000)
        os.write(screen, answer.encode() + b"\n")
    out = p.stdout.read()
    status = p.wait(TIMEOUT)
    try:
        while data := os.read(screen, 1000):
            seen += data
    except OSError:  # the terminal's other side is gone
        pass
    os.close(screen)
    return status, seen.decode(), out


def test_delete_asks_on_a_terminal(client, db):
    for n in range(3):
        keep(client, {"x": n})
    status, screen, out = on_terminal(["n"], "cache", "delete", db, "--all")
    assert status == 1 and "delete 3 cached results (" in screen and "nothing was deleted" in screen and out == ""
    assert len(entries(db)) == 3
    status, screen, out = on_terminal(["y"], "cache", "delete", db, entries(db)[0]["key"])
    assert status == 0 and "delete 1 cached result (" in screen and out.startswith("Deleted 1 cache entry")
    status, screen, out = on_terminal([], "cache", "delete", db, "--all", "--yes")
    assert status == 0 and "[y/N]" not in screen and out.startswith("Deleted 2 cache entries")
    status, screen, _ = on_terminal(["n"], "cache", "reset", db)
    assert status == 1 and not Path(f"{db}.cache/g1.reset").exists()


# ---- verify, gc, reset ----------------------------------------------------


def test_verify_finds_a_flipped_byte(daemon, db):
    d = daemon(db)
    with d.client() as c:
        good = [keep(c, {"x": n}, value=msgpack.packb({"text": f"a good value {n}"})) for n in range(20)]
        bad = keep(c, {"x": 100}, function="spoilt", value=msgpack.packb({"text": "this is the marker of the value"}))
    assert ok("cache", "verify", db).startswith("ok: 21 entries, ")
    d.stop()
    path = Path(f"{db}.cache/g1/data.mdb")
    data = path.read_bytes()
    assert data.count(b"the marker of") >= 1
    path.write_bytes(data.replace(b"the marker of", b"the mArker of"))
    daemon(db)
    p = run("cache", "verify", db)
    assert p.returncode == 1 and f"{bad}: checksum is wrong (spoilt)\n" == p.stdout
    assert "1 of 21 entries" in p.stderr and "cache delete" in p.stderr and "cache reset" in p.stderr
    assert not any(key in p.stdout for key in good)
    r = run("cache", "verify", db, "--json")
    assert r.returncode == 1 and json.loads(r.stdout)["damaged"] == [{"key": bad, "fault": "checksum is wrong"}]
    assert "wrong: the entry is damaged" in ok("cache", "get", db, bad)
    assert json.loads(ok("cache", "get", db, bad, "--json"))["sound"] is False
    ok("cache", "delete", db, bad)
    assert ok("cache", "verify", db).startswith("ok: 20 entries, ")


def test_verify_names_what_was_set_aside(client, db):
    keep(client, {"x": 1})
    ok("cache", "reset", db)
    p = run("cache", "verify", db)
    assert p.returncode == 0 and "g1.reset" in p.stderr and "set aside" in p.stderr


@pytest.mark.parametrize("what", ["bytes of nothing", "bits of pages"])
def test_verify_of_a_cache_that_breaks(daemon, db, what):
    """Damage of the tree itself, under the daemon: LMDB finds less, or nothing, or faults."""
    d = daemon(db)
    with d.client() as c:
        for n in range(200):
            keep(c, {"x": n}, value=b"\xc5\x0b\xb8" + os.urandom(3000))
    path = Path(f"{db}.cache/g1/data.mdb")
    data = bytearray(path.read_bytes())
    if what == "bytes of nothing":
        data[2 * 4096:] = os.urandom(len(data) - 2 * 4096)
    for at in range(2 * 4096, len(data), 512) if what == "bits of pages" else ():
        data[at + 14] ^= 1 << at // 512 % 8
    with open(path, "r+b") as f:
        f.seek(2 * 4096)
        f.write(data[2 * 4096:])
    p = run("cache", "verify", db, env={"XETRACK_AUTOSTART": "0"})
    assert p.returncode == 1 and "ok" not in p.stdout
    if d.proc.poll() is None:
        assert "damaged" in p.stderr
        d.kill()
    d.expected = d.wait()


def test_gc(client, db):
    for n in range(3):
        keep(client, {"x": n})
    p = run("cache", "gc", db)
    assert p.stdout == "Deleted 0 cache entries (0 bytes)\n" and "cache_ttl_s" in p.stderr
    client.change("config", key="cache_ttl_s", value=1)
    while entries(db):  # until they are too old
        pass
    assert client.call("cache_stats")["entries"] == 3
    r = json.loads(ok("cache", "gc", db, "--json"))
    assert r["deleted"] == 3 and r["bytes"] > 0 and client.call("cache_stats")["entries"] == 0
    assert run("cache", "gc", db).stderr == ""


def test_reset(client, db):
    keep(client, {"x": 1})
    out = ok("cache", "reset", db)
    aside = f"{db.resolve()}.cache/g1.reset"
    assert aside in out and Path(aside, "data.mdb").exists() and entries(db) == []
    keep(client, {"x": 1})
    assert json.loads(ok("cache", "reset", db, "--json", "--yes"))["aside"].endswith("g2.reset")


# ---- delete of a run ------------------------------------------------------


def ended(client, track_id, n):
    """A run that is over, and cached n results."""
    for i in range(n):
        keep(client, {"x": i}, track_id=track_id)


def test_delete_of_a_run_leaves_what_it_cached_and_says_so(client, db):
    ended(client, "r", 12)
    keep(client, {"x": 99}, track_id="other")
    p = run("delete", db, "r", "--force")
    assert p.returncode == 0 and p.stdout == "12 rows deleted\n"
    assert "12 cached results of it stay" in p.stderr and f"cache delete {db} --track-id r" in p.stderr
    assert len(entries(db)) == 13
    assert ok("cache", "delete", db, "--track-id", "r") == "Deleted 12 cache entries for track_id 'r'\n"
    p = run("delete", db, "other", "--force", program=XT)
    assert p.returncode == 0 and "1 cached result of it stays" in p.stderr and len(entries(db)) == 1


def test_delete_of_a_run_with_its_results(client, db):
    ended(client, "r", 12)
    keep(client, {"x": 99}, track_id="other")
    p = run("delete", db, "r", "--force", "--cache", "--json")
    assert p.returncode == 0 and json.loads(p.stdout) == {"deleted": 12}
    assert "12 cached results deleted" in p.stderr
    assert [e["track_id"] for e in entries(db)] == ["other"]
    assert "exclude" in refused("delete", db, "other", "--cache", "--table", "events", status=2)
    p = run("delete", db, "other", "--force", "--table", "events")
    assert p.returncode == 0 and p.stderr == "" and len(entries(db)) == 1


@pytest.mark.parametrize("answer, left", [("n", 3), ("y", 0)])
def test_delete_of_a_run_asks_about_its_results(client, db, answer, left):
    ended(client, "r", 3)
    status, screen, out = on_terminal(["y", answer], "delete", db, "r", "--force")
    assert status == 0 and "3 cached results of it are left: delete them too?" in screen
    assert out == "3 rows deleted\n" and len(entries(db)) == left


def test_delete_of_a_run_without_results_says_nothing_of_them(client, db):
    client.store({"a": 1}, track_id="r")
    p = run("delete", db, "r", "--force", "--cache")
    assert (p.returncode, p.stdout, p.stderr) == (0, "1 row deleted\n", "")


# ---- words ----------------------------------------------------------------


def test_unknown_commands(client, db):
    assert "did you mean 'cache verify'?" in refused("cache", db, "verfy", status=2)
    assert "did you mean 'cache ls'?" in refused("cache", "list", db, status=2)
    assert "no command 'cache frobnicate'; 'xtctl cache --help' lists them" in refused("cache", "frobnicate", db, status=2)
    assert "no database" in refused("cache", "ls", f"{db}.none")
    assert "no option '--by' here" in refused("cache", "ls", db, "--by", "x", status=2)
    assert "usage: xtctl cache get DB KEY [FILE]" in refused("cache", "get", db, status=2)
    assert "one argument too many" in refused("cache", "stats", db, "x", status=2)


def test_help(runtime):
    text = ok("cache", "--help")
    for command in ("ls", "get", "why", "stats", "report", "verify", "delete", "gc", "reset"):
        assert re.search(rf"^  {command} ", text, re.M), command
        own = ok("cache", command, "--help")
        assert own.startswith(f"usage: xtctl cache {command} DB") and ("--older-than" in own) == (
            command in ("ls", "delete"))
    assert "cache" in ok("help") and ok("help", "cache") == text


def test_texts_cannot_drive_the_terminal(client, db):
    """Names and values that workers chose."""
    keep(client, {"x": "\x1b[31m"}, function="f\x1b]0;", track_id="r\x1b[2J", value=msgpack.packb("v\x9b\u202e\x1b"))
    key = entries(db)[0]["key"]
    for args in (["ls", db], ["get", db, key], ["why", db, key], ["verify", db]):
        out = run("cache", *args)
        assert out.returncode == 0 and "\x1b" not in out.stdout and "\u202e" not in out.stdout
