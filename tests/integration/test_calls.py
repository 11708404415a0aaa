"""Tracked calls by real workers: every datapoint is executed once, counted by an outside witness."""
import collections
import contextlib
import json
import os
import random
import signal
import sqlite3
import subprocess

import pytest
from conftest import BUILD, SANITIZER, TIMEOUT, sqlite, until
from xtctl import needs_xtctl, ok

XT_CALL = BUILD / "xt-call"
SLOW = bool(os.environ.get("XT_BUILD_KIND"))


class Pool:
    """Workers of one run, and the witness of what they executed."""

    def __init__(self, db, run="r"):
        self.db, self.run = db, run
        self.witness = db.parent / "witness"
        self.workers = []

    def start(self, keys, *options):
        p = subprocess.Popen([XT_CALL, *map(str, options), self.db, self.run, self.witness, str(keys)],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.workers.append(p)
        return p

    def wait(self, p):
        out, err = p.communicate(timeout=TIMEOUT * 3)
        assert not any(s in err for s in SANITIZER), err
        return p.returncode, out, err

    def join(self):
        for p in self.workers:
            if p.returncode is None:
                code, _, err = self.wait(p)
                assert code == 0, err
        self.workers = []

    def lines(self):
        text = self.witness.read_text() if self.witness.exists() else ""
        whole = text[:text.rfind("\n") + 1]  # a line may be read while it is written
        return [(what, int(x), int(pid)) for what, x, pid in (line.split() for line in whole.splitlines())]

    def begun(self):
        return collections.Counter(x for what, x, _ in self.lines() if what == "begin")


def rows(db, sql, *args):
    return sqlite(db, sql, *args)


@pytest.mark.parametrize("reading", ["direct", "by the daemon"])
def test_64_processes_execute_200_keys_once(served, db, reading):
    pool, keys = Pool(db), 200
    n = 16 if SLOW else 64
    for i in range(n):
        pool.start(keys, "--from", i * keys // n, *(["--socket"] if reading != "direct" else []))
    pool.join()
    assert pool.begun() == {x: 1 for x in range(keys)}
    assert rows(db, "SELECT count(*) FROM events") == [(n * keys,)]
    assert rows(db, "SELECT count(*), count(DISTINCT x) FROM events WHERE cache = ''") == [(keys, keys)]
    assert rows(db, "SELECT count(*) FROM events WHERE cache = 'r' AND y = x * x AND function_time = 0 AND "
                    "config_lr = 0.1 AND config_layers = 3 AND model = 'm' AND error IS NULL") == [((n - 1) * keys,)]
    assert rows(db, "SELECT count(*) FROM xt_calls") == [(0,)]


def test_holders_that_are_killed_are_the_only_ones_executed_again(served, db):
    pool, keys = Pool(db), 40 if SLOW else 200
    seed = int(os.environ.get("XT_CALL_SEED", random.randrange(1 << 30)))
    print(f"XT_CALL_SEED={seed}")
    rng = random.Random(seed)
    killed = set()
    while len(killed) < 60 and sum(what == "end" for what, _, _ in pool.lines()) < keys:
        while len([p for p in pool.workers if p.poll() is None]) < 16:
            pool.start(keys, "--micros", 50000, "--from", rng.randrange(keys))
        begun = len(pool.lines())
        while len(pool.lines()) < begun + rng.randrange(8):
            pass
        alive = [p for p in pool.workers if p.poll() is None]
        if alive:
            victim = rng.choice(alive)
            victim.kill()
            killed.add(victim.pid)
    for p in pool.workers:
        if p.pid in killed:
            p.communicate()
        else:
            code, _, err = pool.wait(p)
            assert code == 0, err
    pool.workers = []
    pool.start(keys)
    pool.join()
    executions = collections.defaultdict(list)
    for what, x, pid in pool.lines():
        if what == "begin":
            executions[x].append(pid)
    assert set(executions) == set(range(keys))
    for x, pids in executions.items():
        assert all(pid in killed for pid in pids[:-1]), f"{x} was executed again though {pids} lived"
        if pids[-1] in killed:  # killed behind its result's way to the daemon
            assert rows(db, "SELECT count(*) FROM events WHERE x = ? AND cache = '' AND error IS NULL", x) == [(1,)]
    assert rows(db, "SELECT x FROM events WHERE cache = '' AND error IS NULL GROUP BY x HAVING count(*) <> 1") == []
    assert rows(db, "SELECT count(DISTINCT x) FROM events WHERE cache = '' AND error IS NULL") == [(keys,)]
    assert len(killed) > 10
    with served.client() as c:
        assert c.call("cache_stats")["entries"] == keys and c.call("cache_stats")["leases"] == 0


def test_a_worker_that_dies_in_a_call_leaves_its_row_and_its_lease(served, db):
    pool = Pool(db)
    p = pool.start(5, "--suicide", 3)
    assert pool.wait(p)[0] == -signal.SIGKILL
    pool.workers = []
    p = pool.start(5)
    pool.join()
    assert pool.begun() == {0: 1, 1: 1, 2: 2, 3: 1, 4: 1}
    dead = rows(db, "SELECT function_name, x, config_lr, model, error, error_type, function_time, y FROM events "
                    "WHERE error IS NOT NULL")
    assert len(dead) == 1 and dead[0][:4] == ("f", 2, 0.1, "m") and dead[0][5:] == ("WorkerDied", None, None)
    assert dead[0][4] in ("the worker died: killed by signal 9 (SIGKILL)",
                          "the worker died: its process has ended")  # reaped before anybody could ask
    assert rows(db, "SELECT y, cache FROM events WHERE x = 2 AND error IS NULL") == [(4, "")]


def test_calls_without_the_cache_die_as_well(served, db):
    pool = Pool(db)
    assert pool.wait(pool.start(5, "--no-cache", "--suicide", 2))[0] == -signal.SIGKILL
    with served.client() as c:
        while not c.rows("SELECT count(*) FROM xt_calls WHERE row_id IS NOT NULL")[0][0]:
            pass
    assert rows(db, "SELECT x, error_type FROM events ORDER BY x") == [(0, None), (1, "WorkerDied")]
    assert rows(db, "SELECT count(*) FROM xt_calls WHERE row_id IS NOT NULL") == [(1,)]


def test_the_audit_adds_up_after_all_that(served, db):
    pool = Pool(db)
    assert pool.wait(pool.start(9, "--suicide", 3))[0] == -signal.SIGKILL
    pool.workers = []
    for _ in range(4):
        pool.start(9)
    pool.join()
    r = subprocess.run([BUILD / "xtctl", "audit", db], capture_output=True, text=True, timeout=TIMEOUT)
    assert r.returncode == 0, r.stdout + r.stderr


def in_child(f):
    """Calls f in a child of fork, which then waits to be killed: its process id."""
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            f()
            os.write(w, b"done")
            signal.pause()
        finally:
            os._exit(1)
    os.close(w)
    assert os.read(r, 10) == b"done"
    os.close(r)
    return pid


def call_in_child(d):
    """A client whose process is a child of ours, in the middle of f(7): its id, and the child's."""
    identity = os.urandom(16)

    def begin():
        a = d.client(identity)
        a.change("run_start", track_id="r")
        a.change("call_begin", call=1, track_id="r", row={"function_name": "f", "x": 7})
    return identity, in_child(begin)


@needs_xtctl
def test_a_worker_that_was_ended_in_a_call_has_crashed(served, client):
    """However softly. One that SIGTERM ended between two calls has not, as a pool's are."""
    client.change("run_start", track_id="r", table="events")

    def begin(busy):
        a = served.client()
        a.change("run_join", track_id="r")
        if busy:
            a.change("call_begin", call=1, track_id="r", row={"function_name": "f", "x": 7})
    for crashed, shown in ((False, {"ended by SIGTERM": 1}), (True, {"ended by SIGTERM": 1, "crashed": 1})):
        child = in_child(lambda: begin(crashed))
        os.kill(child, signal.SIGTERM)
        while client.value("SELECT count(*) FROM xt_workers WHERE status = 'crashed'", after=0) < 1 + crashed:
            assert client.call("status")["state"] == "ok"
        os.waitpid(child, 0)
        told = json.loads(ok("show", served.db, "r", "--json"))
        assert told["workers"] == shown and ("warnings" in told) == crashed
        assert [r["crashed_workers"] for r in json.loads(ok("runs", served.db, "--json"))] == [int(crashed)]
    assert client.rows("SELECT status, cause FROM xt_workers", after=0) == [["crashed", "killed by signal 15 (SIGTERM)"]] * 2


def test_a_late_end_takes_the_place_of_the_row(daemon, db):
    """The worker's process was judged dead when the daemon came again; its rows come all the same, as from
    another machine's process that the daemon cannot see."""
    d = daemon(db, "--grace-ms", 1)
    identity, child = call_in_child(d)
    d.kill()
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    d = daemon(db, "--grace-ms", 1)
    with d.client() as c:
        while not c.rows("SELECT name FROM sqlite_schema WHERE name = 'events'"):
            pass
        dead = c.rows("SELECT x, error, error_type FROM events")
        assert dead == [[7, "the worker died: gone while the daemon was away", "WorkerDied"]]
        assert c.value("SELECT status FROM xt_runs") == "crashed"
        with d.client(identity, last_seq=2) as b:
            b.store({"function_name": "f", "x": 7, "y": 49}, track_id="r", call=1)
            assert b.rows("SELECT x, y, error FROM events") == [[7, 49, None]]
            assert b.value("SELECT count(*) FROM xt_calls") == 0
            assert b.value("SELECT status FROM xt_runs") == "running"
            run = b.rows("SELECT rows, inserted, deleted FROM xt_runs")
            assert run == [[0, 1, 1]] or run == [[1, 1, 1]]


def test_a_trigger_that_refuses_the_row_of_a_dead_call(served, db):
    """Nobody can be told, and nothing stops for it."""
    with served.client() as c:
        c.store({"function_name": "f", "error": None, "error_type": None})
        c.change("exec", sql="CREATE TRIGGER no_dead BEFORE INSERT ON events WHEN new.error_type = 'Unfinished' "
                             "BEGIN SELECT raise(ROLLBACK, 'no'); END")
        a = served.client()
        a.change("run_start", track_id="r")
        a.change("call_begin", call=1, track_id="r", row={"function_name": "f"})
        a.notify("bye")
        while not c.rows("SELECT 1 FROM xt_runs WHERE status = 'finished'"):
            pass
        assert c.value("SELECT count(*) FROM events") == 1 and c.value("SELECT count(*) FROM xt_calls") == 0
        assert c.value("SELECT rejects FROM xt_runs WHERE track_id = 'r'") == 1
        assert c.store({"function_name": "g"}) == (1, 0)


def test_a_frozen_table_refuses_the_row_of_a_dead_call(served, db):
    """It has no column for the error: the run counts a reject, so that somebody sees it."""
    with served.client() as c:
        c.store({"function_name": "f"})
        c.change("schema_freeze")
        a = served.client()
        a.change("run_start", track_id="r")
        a.change("call_begin", call=1, track_id="r", row={"function_name": "f"})
        a.notify("bye")
        while not c.rows("SELECT 1 FROM xt_runs WHERE status = 'finished' AND track_id = 'r'"):
            pass
        assert c.rows("SELECT rows, rejects FROM xt_runs WHERE track_id = 'r'") == [[0, 1]]


def test_a_dead_row_that_cannot_be_taken_back_stays(daemon, db):
    d = daemon(db)
    identity, child = call_in_child(d)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with d.client() as c:
        while not c.rows("SELECT 1 FROM xt_calls WHERE row_id IS NOT NULL"):
            pass
        c.change("exec", sql="CREATE TRIGGER keep BEFORE DELETE ON events BEGIN SELECT raise(ABORT, 'append only'); END")
        with d.client(identity, last_seq=2) as b:
            assert b.store({"function_name": "f", "x": 7, "y": 49}, track_id="r", call=1) == (1, 0)
            assert b.rows("SELECT x, y, error_type FROM events") == [[7, None, "WorkerDied"], [7, 49, None]]
            assert b.value("SELECT count(*) FROM xt_calls") == 0


def test_who_leaves_in_the_middle_of_a_call(client, served):
    client.change("run_start", track_id="r")
    client.change("call_begin", call=1, track_id="r", row={"function_name": "f", "error": "its own"})
    client.notify("bye")
    with served.client() as c:
        while not c.rows("SELECT count(*) FROM xt_runs WHERE status = 'finished'")[0][0]:
            pass
        assert c.rows("SELECT function_name, error, error_type FROM events") == [["f", "its own", "Unfinished"]]


def test_every_way_into_a_block_and_out_of_it(served, db):
    p = subprocess.run([BUILD / "xt-track", db], capture_output=True, text=True, timeout=TIMEOUT)
    assert p.returncode == 0 and not any(s in p.stderr for s in SANITIZER), p.stderr
    assert p.stdout.splitlines() == ["warning untracked: a function's name is 1 to 4096 bytes of UTF-8",
                                     "warning untracked: 'x' has too many arrays and maps inside each other",
                                     "executed 8"]
    got = rows(db, "SELECT function_name, error_type, error, cache, ratio, packed, function_result, y FROM events ORDER BY rowid")
    abandoned = ("Abandoned", "the call was left before its end", "", None, None, None, None)
    assert got == [("plain", None, None, "", 2.5, 11, None, None), ("by_return", *abandoned), ("by_break", *abandoned),
                   ("fails", "ValueError", "no such luck", "", None, None, None, None),
                   ("too_deep", "ArgumentError", "'x' has too many arrays and maps inside each other", "", None, None, None, 1),
                   ("bad_result", "ResultError", got[5][2], "", None, None, None, None),
                   ("inner", None, None, "", None, None, "deep", None), ("cached", None, None, "", None, None, None, 7),
                   ("cached", None, None, "r", None, None, None, 7)]
    assert rows(db, "SELECT config_a_b, config_c, lr, gap, kwargs FROM events WHERE cache = 'r'") == \
        [(1, "[1,2]", 0.1 + 0.2, None, '{"config":{"a":{"b":1},"c":[1,2]},"lr":0.30000000000000004,"gap":null}')]
    assert rows(db, "SELECT count(*) FROM events WHERE function_time IS NULL OR function_time < 0") == [(0,)]
    assert rows(db, "SELECT count(*) FROM xt_calls") == [(0,)]


def test_an_error_is_a_row_and_no_result(served, db):
    pool = Pool(db)
    for _ in range(4):
        pool.start(6, "--fail", 3)
    pool.join()
    begun = pool.begun()
    assert begun[0] == begun[3] == 4 and all(begun[x] == 1 for x in (1, 2, 4, 5))
    assert rows(db, "SELECT DISTINCT error, error_type, cache FROM events WHERE x % 3 = 0") == \
        [("a multiple", "ValueError", "")]


def test_workers_that_need_each_others_results(served, db):
    """Each computes x + 1 within x, in a circle: somebody computes without a lease, nobody waits for ever."""
    pool, keys = Pool(db), 8
    for i in range(keys):
        pool.start(keys, "--pairs", "--from", i, "--micros", 1000)
    pool.join()
    assert set(pool.begun()) == set(range(keys))
    assert rows(db, "SELECT count(*) FROM events WHERE cache = '' AND y <> x * x") == [(0,)]


def test_a_child_of_fork_reads_the_cache_by_itself(served, db):
    pool = Pool(db)
    pool.start(20, "--fork")
    pool.join()
    assert pool.begun() == {x: 1 for x in range(20)}
    assert rows(db, "SELECT cache, count(*) FROM events GROUP BY cache ORDER BY cache") == [("", 20), ("r", 20)]
    with served.client() as c:
        assert c.call("cache_stats")["misses"] == 20  # the child's hits asked nobody


def test_hits_are_counted(served, db):
    pool = Pool(db)
    pool.start(3)
    pool.join()
    pool.start(3)
    pool.join()
    with served.client() as c:
        while sum(e["hits"] for e in c.call("cache_list")["entries"]) != 3:
            pass
        assert all(e["function"] == "f" and e["origin"] == "r" for e in c.call("cache_list")["entries"])


def test_a_fast_worker_waits_for_its_results_before_it_runs_out_of_leases(served, db):
    pool, most = Pool(db), 1024  # MAX_LEASES of proto/methods.def
    with contextlib.closing(sqlite3.connect(db)) as other:
        other.execute("BEGIN IMMEDIATE")  # nothing can be stored: leases are held until it can
        worker = pool.start(most + 500)
        while len(pool.begun()) < most and worker.poll() is None:
            os.sched_yield()
        other.rollback()
    pool.join()
    assert pool.begun() == {x: 1 for x in range(most + 500)}
    assert rows(db, "SELECT count(*) FROM events WHERE cache = ''") == [(most + 500,)]


def test_force_recomputes(served, db):
    pool = Pool(db)
    pool.start(3)
    pool.join()
    pool.start(3, "--force")
    pool.join()
    assert pool.begun() == {0: 2, 1: 2, 2: 2}
    assert rows(db, "SELECT count(*) FROM events WHERE cache = ''") == [(6,)]


def test_a_wait_ends_by_its_timeout_and_by_a_signal(served, db):
    pool = Pool(db)
    holder = pool.start(1, "--hang")
    until(pool.begun)
    p = pool.start(1, "--wait", 50)
    code, out, err = pool.wait(p)
    assert code == 0 and out == "0 executed, 0 hits, 1 timeouts\n", err
    p = pool.start(1)  # waits for ever
    with served.client() as c:
        while c.call("cache_stats")["waiters"] != 1:
            pass
        p.send_signal(signal.SIGTERM)
        assert pool.wait(p)[0] == -signal.SIGTERM
        while c.call("cache_stats")["waiters"] != 0:
            pass
    holder.kill()
    holder.communicate()


def test_a_lease_outlives_a_restart(served, daemon, db):
    """The holder computes while the daemon is killed and comes again: it keeps its lease and its result."""
    pool = Pool(db)
    slow = pool.start(1, "--micros", 900000)
    until(lambda: pool.begun() and rows(db, "SELECT 1 FROM xt_calls"))
    served.kill()
    d = daemon(db)
    others = [pool.start(1) for _ in range(4)]
    pool.join()
    assert pool.begun() == {0: 1}
    assert rows(db, "SELECT cache, count(*) FROM events GROUP BY cache ORDER BY cache") == [("", 1), ("r", 4)]
    assert slow.returncode == 0 and all(p.returncode == 0 for p in others)
    with d.client() as c:
        assert c.call("cache_stats")["lost"] == 0


def test_a_lease_is_kept_for_a_process_that_computes_for_long(served, daemon, db):
    """Longer than holders are waited for: it is known by its call, and its process lives."""
    pool = Pool(db)
    holder = pool.start(1, "--hang")
    until(lambda: pool.begun() and rows(db, "SELECT 1 FROM xt_calls WHERE token IS NOT NULL AND pid = ?", holder.pid))
    served.kill()
    d = daemon(db, "--grace-ms", 100)
    with d.client() as b:
        while b.call("cache_stats")["grace_ms"]:
            pass
        key = rows(db, "SELECT key FROM xt_calls")[0][0]
        assert b.call("cache_begin", key=key, wait_ms=300)["state"] == "held"
        assert b.value("SELECT status FROM xt_runs") == "running"  # it is not called crashed either
        waits = b.request("cache_begin", key=key)
        holder.kill()
        holder.communicate()
        assert b.response(waits)["state"] == "lease"
        while not b.rows("SELECT 1 FROM xt_runs WHERE status = 'crashed'"):
            pass
        assert b.rows("SELECT x, error_type FROM events") == [[0, "WorkerDied"]]


def test_without_a_daemon_calls_go_on_and_are_rows_later(runtime, db, daemon, monkeypatch):
    d = daemon(db)
    pool = Pool(db)
    monkeypatch.setenv("XETRACK_AUTOSTART", "0")
    p = pool.start(4, "--micros", 300000)
    until(pool.begun)
    d.stop()
    pool.join()
    assert pool.begun() == {x: 1 for x in range(4)}
    with daemon(db).client() as c:
        # The daemon takes the spool in by itself, some time after its start.
        while not c.rows("SELECT name FROM sqlite_schema WHERE name = 'events'"):
            pass
        while c.value("SELECT count(*) FROM events WHERE y = x * x") != 4:
            pass
        assert c.value("SELECT count(*) FROM xt_calls") == 0
