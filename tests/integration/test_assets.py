"""Assets: put, read, shared by references, deleted; what crashes, full disks, damage and others in the way do to them."""
import hashlib
import json
import os
import signal
import subprocess
import threading
from pathlib import Path

import pytest
from conftest import BUILD, TIMEOUT, XTCTL, RpcError, fails, mode, sqlite, until
from xtctl import ok, run

CRASH = BUILD / "xetrackd-crash"
XT_ASSET = BUILD / "xt-asset"
INLINE = 65536  # bytes, compressed
SLOW = bool(os.environ.get("XT_BUILD_KIND"))  # a build with sanitizers


def digest(data):
    return hashlib.blake2b(data, digest_size=32).digest()


def upload(client, data, chunk=1 << 20, **kw):
    """An upload that is whole; its cursor."""
    msgid = client.request("asset_put", **kw)
    assert client.response(msgid) == {"known": False}
    for at in range(0, max(len(data), 1), chunk):
        piece = data[at:at + chunk]
        r = client.call("asset_chunk", cursor=msgid, data=piece, last=at + chunk >= len(data))
        assert r["size"] == at + len(piece)
    assert r["hash"] == digest(data)
    return msgid


def put(client, data, track_id="t", name="model", **kw):
    cursor = upload(client, data, **kw)
    refs = client.change("asset_add", hash=digest(data), track_id=track_id, name=name)["refs"]
    client.call("cancel", cursor=cursor)
    return refs


def get(client, hash):
    msgid = client.request("asset_get", hash=hash)
    size, data = client.response(msgid)["size"], bytearray()
    while True:
        r = client.call("asset_read", cursor=msgid)
        data += r["data"]
        assert len(r["data"]) <= 1 << 18
        if r["done"]:
            assert len(data) == size
            return data


def files(db):
    """Names of all files of assets, below <db>.assets."""
    top = Path(f"{db}.assets")
    return sorted(str(p.relative_to(top)) for p in top.rglob("*") if not p.is_dir())


def home(data):
    h = digest(data).hex()
    return f"{h[:2]}/{h}.zst"


def until_files(db, *names):
    until(lambda: files(db) == sorted(names))


RANDOM = os.urandom(3 << 20)


# ---- in and out


@pytest.mark.parametrize("size", [0, 1, INLINE - 20, INLINE - 10, INLINE - 9, INLINE, INLINE + 1, 1 << 18, (1 << 18) + 1])
def test_sizes(client, served, size):
    """Incompressible: around the size up to which the row holds it, and that of a piece."""
    data = RANDOM[:size]
    assert put(client, data, chunk=60000) == 1
    assert get(client, digest(data)) == data
    ((n, stored, file, blob),) = client.rows("SELECT size, stored_size, file, length(data) FROM xt_assets")
    assert n == size and file == (stored > INLINE) and blob == (None if file else stored)
    until_files(served.db, *([home(data)] if file else []))
    if file:
        path = Path(f"{served.db}.assets") / home(data)
        assert (mode(path), mode(path.parent), mode(path.parent.parent)) == (0o600, 0o700, 0o700)
        assert path.stat().st_size == stored
    assert get(client, digest(data)) == data


def test_large_and_compressible(client, served):
    data = bytes((30 if SLOW else 300) << 20)
    put(client, data, chunk=8 << 20)
    assert get(client, digest(data)) == data
    assert client.value("SELECT stored_size FROM xt_assets") < 100000


def test_incompressible(client, served):
    data = RANDOM * 7
    put(client, data[:1 << 19] + os.urandom(20 << 20), chunk=1 << 20)
    assert client.value("SELECT file FROM xt_assets WHERE stored_size > 20000000") == 1
    assert os.path.getsize(served.db) < 1 << 20


def test_stored_once(client, served):
    for small in (b"x" * 1000, RANDOM):
        assert put(client, small, "a") == 1
        assert put(client, small, "a") == 1
        assert put(client, small, "b") == 2
        assert put(client, small, "b", "other") == 3
        assert client.call("asset_put", hash=digest(small)) == {"known": True}
    assert client.value("SELECT count(*) FROM xt_assets") == 2
    until_files(served.db, home(RANDOM))
    assert client.rows("SELECT track_id, name FROM xt_asset_refs WHERE hash = ? ORDER BY 1, 2",
                       args=[digest(RANDOM)]) == [["a", "model"], ["b", "model"], ["b", "other"]]
    assert client.call("status")["cursors"] == 0


def test_run_is_started(client):
    put(client, b"1", "new")
    assert client.rows("SELECT track_id, status FROM xt_runs") == [["new", "running"]]


def test_unknown_hash_is_uploaded_and_must_agree(client, served):
    put(client, RANDOM, hash=digest(RANDOM))
    msgid = client.request("asset_put", hash=digest(b"one"))
    client.response(msgid)
    fails("wrong_hash", client.call, "asset_chunk", cursor=msgid, data=RANDOM[:-1], last=True)
    fails("cursor_expired", client.call, "asset_chunk", cursor=msgid, data=b"")
    until_files(served.db, home(RANDOM))


def test_what_makes_no_sense(client, served):
    fails("no_such_asset", client.change, "asset_add", hash=bytes(32), track_id="t", name="n")
    assert client.rows("SELECT * FROM xt_runs") == [], "a run was started for nothing"
    fails("no_such_asset", client.change, "asset_drop", hash=bytes(32))
    fails("no_such_asset", client.call, "asset_get", hash=bytes(32))
    fails("out_of_range", client.call, "asset_get", hash=b"short")
    q = client.request("query", sql="SELECT 1 UNION SELECT 2", page_rows=1)
    client.response(q)
    fails("bad_type", client.call, "asset_chunk", cursor=q, data=b"")
    q = client.request("query", sql="SELECT 1 UNION SELECT 2", page_rows=1)
    client.response(q)
    fails("bad_type", client.call, "asset_read", cursor=q)
    u = client.request("asset_put")
    client.response(u)
    fails("bad_type", client.call, "fetch", cursor=u)
    u = client.request("asset_put")
    client.response(u)
    fails("bad_type", client.call, "backup_step", cursor=u)
    u = upload(client, b"whole")
    fails("out_of_range", client.call, "asset_chunk", cursor=u, data=b"more")
    u = upload(client, b"x")
    for field in ("track_id", "name"):
        fails("bad_name", client.change, "asset_add", **{"hash": digest(b"x"), "track_id": "t", "name": "n", field: "a\0"})
    assert client.call("cancel", cursor=u) == {"found": True}
    until(lambda: client.call("status")["cursors"] == 0)
    assert client.value("SELECT count(*) FROM xt_assets") == 0


def test_transfers_are_shared_out(served):
    """One process does not get all that there may be, and what it gave back can be had again."""
    with served.client() as a, served.client() as b:
        opened = []
        with pytest.raises(RpcError) as e:
            for _ in range(60):
                opened.append(a.request("asset_put"))
                a.response(opened[-1])
        assert e.value.code == "busy" and len(opened) == 17
        a.call("cancel", cursor=opened[0])
        until(lambda: b.call("status")["cursors"] == 15)
        b.call("asset_put")
        assert b.store({"i": 1}) == (1, 0)


# ---- references


def test_last_reference_deletes(client, served):
    for data in (b"small", RANDOM):
        put(client, data, "a")
        put(client, data, "b")
        put(client, data, "b", "second")
        h = digest(data)
        e = fails("asset_in_use", client.change, "asset_drop", hash=h)
        assert "3" in e.message and h.hex() in e.message
        fails("no_such_asset", client.change, "asset_drop", hash=h, track_id="c")
        assert client.change("asset_drop", hash=h, track_id="a") == {"dropped": 1, "refs": 2}
        assert client.change("asset_drop", hash=h, name="model") == {"dropped": 1, "refs": 1}
        assert get(client, h) == data
        assert client.change("asset_drop", hash=h) == {"dropped": 1, "refs": 0}
        fails("no_such_asset", client.call, "asset_get", hash=h)
    until_files(served.db)
    put(client, RANDOM, "a")
    put(client, RANDOM, "b")
    assert client.change("asset_drop", hash=digest(RANDOM), force=True) == {"dropped": 2, "refs": 0}
    until_files(served.db)
    assert client.value("SELECT count(*) FROM xt_asset_refs") == 0


def test_delete_run_drops_its_references(client, served):
    other = RANDOM[::-1]
    client.store({"a": 1}, track_id="a")
    for data, who in ((RANDOM, "ab"), (other, "a"), (b"small", "a")):
        for run_ in who:
            put(client, data, run_)
    client.change("delete_run", track_id="a", table="events", force=True)
    assert client.value("SELECT count(*) FROM xt_assets") == 3
    client.change("delete_run", track_id="a", force=True)
    assert client.rows("SELECT hash FROM xt_assets") == [[digest(RANDOM)]]
    until_files(served.db, home(RANDOM))
    fails("run_deleted", client.change, "asset_add", hash=digest(RANDOM), track_id="a", name="n")
    client.change("delete_run", track_id="b", force=True)
    until_files(served.db)


def test_reading_goes_on_while_it_is_deleted(client, served):
    put(client, RANDOM)
    msgid = client.request("asset_get", hash=digest(RANDOM))
    client.response(msgid)
    client.change("asset_drop", hash=digest(RANDOM))
    until_files(served.db)
    got = b""
    while len(got) < len(RANDOM):
        r = client.call("asset_read", cursor=msgid)
        got += r["data"]
    assert r["done"] and got == RANDOM


def test_put_again_while_it_is_deleted(served):
    """Who has uploaded it, and not yet told what for, finds it there whatever others delete."""
    with served.client() as a, served.client() as b:
        put(a, RANDOM, "a")
        until_files(served.db, home(RANDOM))
        held = upload(b, RANDOM)
        a.change("asset_drop", hash=digest(RANDOM))
        assert a.call("asset_put", hash=digest(RANDOM)) == {"known": False}
        a.store({"i": 1})  # a transaction later
        b.change("asset_add", hash=digest(RANDOM), track_id="b", name="n")
        assert get(a, digest(RANDOM)) == RANDOM
        b.call("cancel", cursor=held)
        until_files(served.db, home(RANDOM))
        assert get(a, digest(RANDOM)) == RANDOM
        b.change("asset_drop", hash=digest(RANDOM))
        until_files(served.db)


def test_put_and_deleted_over_and_over(served):
    """Two that put the same content and delete it: it is there between each one's put and delete."""
    failures = []

    def work(name):
        try:
            with served.client() as c:
                for i in range(60):
                    cursor = upload(c, RANDOM[:200000])
                    c.change("asset_add", hash=digest(RANDOM[:200000]), track_id=name, name="n")
                    if i % 2:
                        c.call("cancel", cursor=cursor)
                    assert get(c, digest(RANDOM[:200000])) == RANDOM[:200000]
                    c.change("asset_drop", hash=digest(RANDOM[:200000]), track_id=name)
                    if not i % 2:
                        c.call("cancel", cursor=cursor)
        except BaseException as e:
            failures.append(e)

    threads = [threading.Thread(target=work, args=(n,)) for n in ("a", "b")]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures
    until_files(served.db)


def test_sent_twice_is_applied_once(served):
    id = os.urandom(16)
    with served.client(id) as c:
        upload(c, b"content")
        c.change("asset_add", hash=digest(b"content"), track_id="t", name="n")
        c.change("asset_drop", hash=digest(b"content"))
        assert c.call("asset_add", seq=1, hash=digest(b"content"), track_id="t", name="n") == {"refs": 1}, "the old answer"
        assert c.value("SELECT count(*) FROM xt_assets") == 0


# ---- others meanwhile


def test_others_log_while_an_upload_is_open(served):
    with served.client() as a, served.client() as b:
        msgid = a.request("asset_put")
        a.response(msgid)
        for i in range(5):
            a.call("asset_chunk", cursor=msgid, data=RANDOM)
            b.until_ack(b.log({"i": i}))
        assert b.call("status")["state"] == "ok"
        a.call("asset_chunk", cursor=msgid, data=b"", last=True)


def test_vanished_client_leaves_nothing(client, served):
    with served.client() as a:
        msgid = a.request("asset_put")
        a.response(msgid)
        a.call("asset_chunk", cursor=msgid, data=RANDOM)
        (part,) = files(served.db)
        assert part.startswith("limbo/") and part.endswith(".part")
    until_files(served.db)
    with served.client() as a:
        upload(a, RANDOM)
        assert files(served.db) == [f"limbo/{home(RANDOM)[3:]}"]
    until_files(served.db)


def test_stopping_daemon_leaves_nothing(served):
    with served.client() as c:
        msgid = c.request("asset_put")
        c.response(msgid)
        c.call("asset_chunk", cursor=msgid, data=RANDOM)
        served.proc.terminate()
        c.until_closed()
    assert served.wait() == 0
    assert files(served.db) == []


def test_query_sees_them_and_nobody_writes_them(client):
    put(client, b"content")
    fails("sql_denied", client.change, "exec", sql="DELETE FROM xt_assets")
    fails("sql_denied", client.change, "exec", sql="INSERT INTO xt_asset_refs VALUES (x'00', '', '', '')")
    assert client.value("SELECT count(*) FROM xt_assets JOIN xt_asset_refs USING (hash)") == 1


def test_what_is_only_read(daemon, db):
    d = daemon(db)
    with d.client() as c:
        put(c, RANDOM)
        put(c, b"small")
    d.stop()
    with daemon(db, "--read-only").client() as c:
        assert get(c, digest(RANDOM)) == RANDOM and get(c, digest(b"small")) == b"small"
        fails("read_only", c.call, "asset_put")
    ok("assets", db, "verify")


def test_database_of_before(daemon, db):
    sqlite(db, "CREATE TABLE events (track_id TEXT, timestamp TEXT, a)")
    with daemon(db, "--read-only").client() as c:
        fails("no_such_asset", c.call, "asset_get", hash=bytes(32))


# ---- crashes


def test_killed_in_an_upload(daemon, db):
    d = daemon(db)
    with d.client() as c:
        put(c, RANDOM, "kept")
        msgid = c.request("asset_put")
        c.response(msgid)
        c.call("asset_chunk", cursor=msgid, data=RANDOM[::-1])
        d.kill()
    assert len(files(db)) == 2
    with daemon(db).client() as c:
        until_files(db, home(RANDOM))
        assert get(c, digest(RANDOM)) == RANDOM


@pytest.mark.skipif(not os.access(CRASH, os.X_OK), reason="xetrackd-crash is not built")
@pytest.mark.parametrize("point, there", [("an asset is uploaded", False), ("before commit", False), ("after commit", True)])
def test_killed_between_file_and_row(daemon, db, point, there):
    nth = "1" if point.startswith("an") else "3"  # hello and a row are committed before
    d = daemon(db, program=[CRASH], env={**os.environ, "XETRACK_CRASH": point, "XETRACK_CRASH_AT": nth})
    with d.client() as c:
        c.store({"a": 1})
        try:
            put(c, RANDOM)
        except Exception:  # the connection breaks, somehow
            pass
    d.expected = d.wait()
    assert d.expected == -signal.SIGKILL
    assert files(db) == [f"limbo/{home(RANDOM)[3:]}"]
    with daemon(db).client() as c:
        until_files(db, *([home(RANDOM)] if there else []))
        assert c.value("SELECT count(*) FROM xt_assets") == there
        put(c, RANDOM, "again")
        assert get(c, digest(RANDOM)) == RANDOM


@pytest.mark.skipif(not os.access(CRASH, os.X_OK), reason="xetrackd-crash is not built")
@pytest.mark.parametrize("point, there", [("before commit", True), ("before an asset's file is removed", False)])
def test_killed_in_a_deletion(daemon, db, point, there):
    with daemon(db).client() as c:
        put(c, RANDOM)
    ok("down", db)
    nth = "2" if point == "before commit" else "1"  # hello is committed before
    d = daemon(db, "--revive", program=[CRASH], env={**os.environ, "XETRACK_CRASH": point, "XETRACK_CRASH_AT": nth})
    with d.client() as c:
        try:
            c.change("asset_drop", hash=digest(RANDOM))
        except Exception:
            pass
        d.expected = d.wait()
    assert d.expected == -signal.SIGKILL
    assert files(db) == [f"limbo/{home(RANDOM)[3:]}"]
    with daemon(db).client() as c:
        until_files(db, *([home(RANDOM)] if there else []))
        assert c.value("SELECT count(*) FROM xt_assets") == there
        if there:
            assert get(c, digest(RANDOM)) == RANDOM


# ---- damage


def damage(path, how):
    if how == "gone":
        path.unlink()
    elif how == "cut":
        os.truncate(path, path.stat().st_size // 2)
    elif how == "longer":
        with open(path, "ab") as f:
            f.write(b"more")
    else:
        with open(path, "r+b") as f:
            f.seek(path.stat().st_size // 2)
            byte = f.read(1)[0]
            f.seek(-1, os.SEEK_CUR)
            f.write(bytes([byte ^ 1]))


@pytest.mark.parametrize("how", ["bit", "cut", "longer", "gone"])
def test_damage_is_named_and_healed(client, served, how):
    put(client, RANDOM)
    put(client, b"sound")
    until_files(served.db, home(RANDOM))
    damage(Path(f"{served.db}.assets") / home(RANDOM), how)
    assert client.call("asset_put", hash=digest(RANDOM))["known"] == (how == "bit"), "only reading shows that"
    e = fails("corrupt_asset", get, client, digest(RANDOM))
    assert digest(RANDOM).hex() in e.message
    p = run("assets", served.db, "verify")
    assert p.returncode == 1 and digest(RANDOM).hex() in p.stdout and digest(b"sound").hex() not in p.stdout
    found = json.loads(run("assets", "verify", served.db, "--json").stdout)
    assert not found["ok"] and len(found["findings"]) == 1 and found["assets"] == 1
    put(client, RANDOM, hash=digest(RANDOM))  # not taken for known
    until(lambda: client.call("asset_put", hash=digest(RANDOM))["known"])
    assert get(client, digest(RANDOM)) == RANDOM
    until_files(served.db, home(RANDOM))
    assert ok("assets", served.db, "verify").startswith("ok: 2 assets")


def test_damage_in_a_row(daemon, db):
    with daemon(db).client() as c:
        put(c, b"content" * 100)
    ok("down", db)
    sqlite(db, "UPDATE xt_assets SET data = substr(data, 1, length(data) - 1)")
    with daemon(db, "--revive").client() as c:
        fails("corrupt_asset", get, c, digest(b"content" * 100))


def test_orphans(client, served):
    put(client, RANDOM)
    until_files(served.db, home(RANDOM))
    top = Path(f"{served.db}.assets")
    (top / "00").mkdir()
    orphan = top / "00" / ("00" * 32 + ".zst")
    orphan.write_text("from elsewhere")
    (top / "00" / "README").write_text("mine")
    p = run("assets", "verify", served.db)
    assert p.returncode == 1 and str(orphan) in p.stdout and orphan.exists()
    assert client.call("asset_orphans", part=0) == {"files": 1, "bytes": 14, "example": str(orphan)}
    assert client.call("asset_orphans", part=1) == {"files": 0, "bytes": 0}
    assert run("assets", "verify", served.db, "--force").returncode == 1
    ok("assets", "verify", served.db)
    assert files(served.db) == sorted(["00/README", home(RANDOM)])


# ---- what is in the way


@pytest.mark.parametrize("what", ["link", "file", "open"])
def test_directory_in_the_way(client, served, runtime, what):
    top, other = Path(f"{served.db}.assets"), runtime / "other"
    other.mkdir()
    if what == "link":
        top.symlink_to(other)
    elif what == "file":
        top.write_text("mine")
    else:
        top.mkdir()
        top.chmod(0o777)
    msgid = client.request("asset_put")
    client.response(msgid)
    e = fails("file_error", client.call, "asset_chunk", cursor=msgid, data=RANDOM, last=True)
    assert str(top) in e.message
    assert list(other.iterdir()) == []
    assert put(client, b"small") == 1 and client.store({"a": 1}) == (1, 0)


def test_link_in_place_of_a_file_is_not_followed(client, served, runtime):
    put(client, RANDOM)
    until_files(served.db, home(RANDOM))
    path = Path(f"{served.db}.assets") / home(RANDOM)
    path.rename(runtime / "elsewhere")
    path.symlink_to(runtime / "elsewhere")
    e = fails("corrupt_asset", client.call, "asset_get", hash=digest(RANDOM))
    assert "link" in e.message


def test_full_disk(small_disk, daemon):
    d = daemon(small_disk / "b.db")
    with d.client() as c:
        put(c, RANDOM, "kept")
        msgid = c.request("asset_put")
        c.response(msgid)
        with pytest.raises(RpcError) as e:
            for _ in range(20):
                c.call("asset_chunk", cursor=msgid, data=os.urandom(1 << 20))
        assert e.value.code == "disk_full" and "b.db.assets" in e.value.message
        until_files(d.db, home(RANDOM))
        until(lambda: not c.call("status")["state"].startswith("degraded"))
        assert c.store({"a": 1}) == (1, 0)
        assert get(c, digest(RANDOM)) == RANDOM


def test_abandoned_upload_gives_its_room_back(small_disk, daemon):
    """Also while nothing can be stored, which it may be the reason for."""
    d = daemon(small_disk / "b.db")
    with d.client() as b:
        with d.client() as a:
            upload(a, RANDOM)
            with open(small_disk / "filler", "ab", buffering=0) as f:
                for size in (1 << 20, 4096):
                    try:
                        while f.write(bytes(size)):
                            pass
                    except OSError:
                        pass
            seq = b.log({"text": "x" * 500000})
            until(lambda: b.call("status")["state"].startswith("degraded"))
        b.until_ack(seq)
    assert files(d.db) == []


# ---- xtctl and libxetrack


@pytest.fixture
def file(runtime):
    path = runtime / "model.bin"
    path.write_bytes(RANDOM)
    return path


def test_xtctl(served, runtime, file):
    db, to = served.db, runtime / "out.bin"
    h = ok("assets", "put", db, file, "--track-id", "a").strip()
    assert h == digest(RANDOM).hex()
    assert ok("assets", db, "put", file, "--track-id", "b", "--name", "m", "--json") == f'{{"hash": "{h}"}}\n'
    (row,) = json.loads(ok("assets", db, "--json"))
    assert (row["hash"], row["size"], row["refs"]) == (h, len(RANDOM), 2)
    assert set(row["names"].split(",")) == {"model.bin", "m"}
    assert "there is no run 'none'" in run("assets", "ls", db, "--track-id", "none").stderr
    for order in (("export", db), (db, "export")):
        to.write_text("old")
        ok("assets", *order, h[:8].upper(), to)
        assert to.read_bytes() == RANDOM
    assert sorted(p.name for p in runtime.glob("out*")) == ["out.bin"]
    env = {**os.environ, "XETRACK_DB": db}
    ok("assets", "export", h, to, env=env)
    ok("assets", "verify", env=env)
    p = run("assets", db, "delete", h)
    assert p.returncode == 1 and "--force" in p.stderr
    assert ok("assets", db, "delete", h, "--name", "m") == "1 references are left\n"
    assert ok("assets", "delete", db, h, "--json") == f'{{"hash": "{h}", "refs": 0}}\n'
    assert json.loads(ok("assets", db, "--json")) == []
    until_files(db)


def test_xt_deletes_as_the_seed_did(client, served, file):
    h = ok("assets", "put", served.db, file, "--track-id", "a").strip()
    ok("assets", "put", served.db, file, "--track-id", "b")
    client.store([{"model": h, "i": 1}, {"model": "other", "i": 2}], track_id="a")
    p = run("assets", "delete", served.db, h, "--column", "model", "--remove-keys", program=BUILD / "xt")
    assert p.returncode == 0, p.stderr
    assert client.rows("SELECT i, model FROM events ORDER BY i") == [[1, None], [2, "other"]]
    assert client.value("SELECT count(*) FROM xt_assets") == 0


def test_xtctl_says_what_is_wrong(served, runtime, file):
    db = served.db
    for args, code, says in [(("put", file), 2, "--track-id"), (("put",), 2, "FILE"), (("frobnicate",), 2, "none of"),
                             (("export", "abcd"), 2, "HASH FILE"), (("export", "abc", "f"), 1, "digits"),
                             (("export", "abcd", "f"), 1, "no asset"), (("delete", "x" * 64), 1, "digits"),
                             (("put", runtime, "--track-id", "a"), 1, "regular"), (("ls", "x"), 2, "too many"),
                             (("put", runtime / "none", "--track-id", "a"), 1, "No such file")]:
        p = run("assets", db, *args)
        assert p.returncode == code and says in p.stderr, (args, p.returncode, p.stderr)
    h = ok("assets", db, "put", file, "--track-id", "a").strip()
    (runtime / "link").symlink_to("model.bin")
    p = run("assets", db, "export", h, runtime / "link")
    assert p.returncode == 1 and "regular" in p.stderr
    damage(Path(f"{db}.assets") / home(RANDOM), "bit")
    p = run("assets", db, "export", h, runtime / "out")
    assert p.returncode == 1 and h in p.stderr
    assert not list(runtime.glob("out*"))


def test_prefix_that_is_not_one(client, served):
    hashes = {}
    for i in range(100000):
        h = digest(str(i).encode()).hex()
        if h[:4] in hashes:
            break
        hashes[h[:4]] = i
    for n in (i, hashes[h[:4]]):
        put(client, str(n).encode())
    p = run("assets", served.db, "export", h[:4], "f")
    assert p.returncode == 1 and "more than one" in p.stderr


@pytest.mark.parametrize("size", [0, 1, 5000, 3000000])
def test_library(autostarted, db, size):
    autostarted(db)
    p = run(db, size, program=XT_ASSET)
    assert p.returncode == 0, p.stderr
    assert sqlite(db, "SELECT length(model) FROM events") == [(64,)]
    until_files(db)


def test_library_begins_anew(autostarted, db, runtime):
    """The daemon is killed in the middle of an upload; what is then started has it all."""
    autostarted(db)
    big = runtime / "big"
    with open(big, "wb") as f:
        for _ in range(20):
            f.write(os.urandom(1 << 20))
    ok("log", db, "a=1")
    lock = dict(line.split(" ", 1) for line in Path(f"{db}.lock").read_text().splitlines() if " " in line)
    p = subprocess.Popen([XTCTL, "assets", db, "put", big, "--track-id", "t"], stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True)
    until(lambda: files(db) and (Path(f"{db}.assets") / files(db)[0]).stat().st_size > 1 << 20 or p.poll() is not None)
    os.kill(int(lock["pid"]), signal.SIGKILL)
    out, err = p.communicate(timeout=TIMEOUT)
    assert p.returncode == 0, err
    h = hashlib.blake2b(big.read_bytes(), digest_size=32).hexdigest()
    assert out.strip() == h
    assert ok("assets", db, "verify").startswith("ok: 1 assets")
    until_files(db, f"{h[:2]}/{h}.zst")
    ok("audit", db)


def test_interrupted_put_leaves_nothing(served, runtime):
    big = runtime / "big"
    with open(big, "wb") as f:
        for _ in range(60):
            f.write(os.urandom(1 << 20))
    p = subprocess.Popen([XTCTL, "assets", served.db, "put", big, "--track-id", "t"], stderr=subprocess.PIPE, text=True)
    until(lambda: files(served.db) or p.poll() is not None)
    p.send_signal(signal.SIGINT)
    p.communicate(timeout=TIMEOUT)
    assert p.returncode == 130
    until_files(served.db)
