"""Trackers in other processes and threads: fork, spawn, threads; workers that die; waits that are interrupted."""
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import TIMEOUT, sqlite

from xetrackd import Tracker, session

WORKERS = 8


@pytest.fixture
def witness(tmp_path):
    """A file to which each execution appends a line: what was executed, and how often."""
    return tmp_path / "executed"


def executed(witness):
    return sorted(witness.read_text().split()) if witness.exists() else []


def tell(path, word):
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(fd, f"{word}\n".encode())
    os.close(fd)


def square(x, path):
    tell(path, x)
    return {"x": x, "y": x * x}


class Witness(str):
    """A path that does not count in keys."""

    def __xetrack_key__(self):
        return None


# ---- pools --------------------------------------------------------------------------------

def log_some(args):
    tracker, i = args
    for k in range(20):
        tracker.log({"i": i, "k": k})
    tracker.log_batch([{"i": i, "k": 100 + k} for k in range(20)])
    tracker.flush()
    return tracker.track_id


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_pickled_tracker_in_a_pool(db, autostarted, method):
    autostarted(db)
    with Tracker(db, params={"p": 1}) as t:
        with multiprocessing.get_context(method).Pool(WORKERS) as pool:
            ids = pool.map(log_some, [(t, i) for i in range(16)], chunksize=1)
        assert set(ids) == {t.track_id}
    assert sqlite(db, "SELECT count(*), count(DISTINCT i * 1000 + k), sum(p) FROM events") == [(640, 640, 640)]
    assert sqlite(db, "SELECT count(*), min(status) FROM xt_runs") == [(1, "finished")]


INHERITED = None


def log_inherited(i):
    INHERITED.log({"i": i})
    return os.getpid()


def test_an_inherited_tracker_in_a_pool_that_ends_in_good_order(db, autostarted):
    global INHERITED
    autostarted(db)
    with Tracker(db) as INHERITED:
        INHERITED.log({"i": -1})
        pool = multiprocessing.get_context("fork").Pool(WORKERS)
        pool.map(log_inherited, range(400), chunksize=5)
        pool.close()
        pool.join()
        INHERITED.log({"i": -2})
    assert sqlite(db, "SELECT count(*), count(DISTINCT i) FROM events") == [(402, 402)]
    assert sqlite(db, "SELECT count(*), min(status) FROM xt_runs") == [(1, "finished")]


def own_tracker(args):
    db, i = args
    t = Tracker(db, table="predictions", cache=True)
    return t.track(square, args=[i % 5, Witness(db + ".executed")])["y"]


def test_each_task_with_a_tracker_of_its_own(db, autostarted):
    autostarted(db)
    with multiprocessing.get_context("fork").Pool(WORKERS) as pool:
        assert pool.map(own_tracker, [(str(db), i) for i in range(200)], chunksize=1) == [(i % 5) ** 2 for i in range(200)]
    assert executed(db.parent / "b.db.executed") == list("01234")
    with Tracker(db) as t:
        t.flush()
        assert next(t._client.query("SELECT count(*), sum(cache = '') FROM predictions")) == (200, 5)


def run_one(args):
    tracker, x, path = args
    return tracker.track(square, args=[x, Witness(path)])


def test_every_datapoint_is_executed_once(db, autostarted, witness):
    autostarted(db)
    with Tracker(db, cache=True) as t:
        with multiprocessing.get_context("fork").Pool(WORKERS) as pool:
            got = pool.map(run_one, [(t, x, str(witness)) for _ in range(WORKERS) for x in range(40)], chunksize=1)
        assert [r["y"] for r in got] == [x * x for _ in range(WORKERS) for x in range(40)]
        assert executed(witness) == sorted(str(x) for x in range(40))
        assert next(t._client.query("SELECT count(*), sum(cache = ''), sum(cache = track_id) FROM events")) == (320, 40, 280)


SLOW = """
    import os, signal, sys, time
    from xetrackd import Tracker
    class Witness(str):
        def __xetrack_key__(self):
            return None
    def slow(x, path):
        with open(path, "a") as f:
            f.write(f"{os.getpid()}\\n")
        print("begun", flush=True)
        %s
        return x
    with Tracker(sys.argv[1], cache=True, track_id="slow") as t:
        print(t.track(slow, args=[7, Witness(sys.argv[2])], name="slow"), flush=True)
"""


def program(code, *args):
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), *map(str, args)], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def waiters(t):
    """How many calls wait for results of others."""
    stats = t._client.cache_stats()
    return next(stats)[stats.names.index("waiters")]


@pytest.fixture
def computing_and_waiting(db, autostarted, witness):
    """Two programs: one that executes a call, until it is told to go on, and one that waits for its result. And a Tracker."""
    autostarted(db)
    first = program(SLOW % "sys.stdin.read()", db, witness)
    assert first.stdout.readline() == "begun\n"
    second = program(SLOW % "pass", db, witness)
    with Tracker(db) as t:
        while not waiters(t):
            pass
        yield first, second, t


def test_a_killed_workers_call_goes_to_the_next_at_once(computing_and_waiting, witness):
    first, second, t = computing_and_waiting
    first.kill()
    first.communicate()
    out, err = second.communicate(timeout=TIMEOUT)
    assert out == "begun\n7\n", err
    assert len(executed(witness)) == 2
    while not list(t._client.query("SELECT 1 FROM events WHERE error_type = 'WorkerDied'")):
        pass
    assert next(t._client.query("SELECT count(*) FROM events WHERE cache = '' AND error IS NULL")) == (1,)


def test_ctrl_c_ends_a_wait(computing_and_waiting, witness):
    first, second, t = computing_and_waiting
    second.send_signal(signal.SIGINT)
    out, err = second.communicate(timeout=TIMEOUT)
    assert out == "" and "KeyboardInterrupt" in err and second.returncode != 0
    while waiters(t):
        pass
    out, _ = first.communicate("", timeout=TIMEOUT)
    assert out == "7\n" and len(executed(witness)) == 1


@pytest.fixture
def stopped(db, autostarted):
    """A Tracker, and what stops its daemon, until three signals came that the program handles."""
    autostarted(db)
    came = []

    def stop(tracker, error):
        status = tracker._client.status()
        pid = dict(zip(status.names, next(status)))["pid"]

        def handler(*_):
            came.append(1)
            if len(came) == 3:
                os.kill(pid, signal.SIGCONT)
                if error:
                    raise error

        signal.signal(signal.SIGALRM, handler)
        os.kill(pid, signal.SIGSTOP)
        signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)

    before = signal.getsignal(signal.SIGALRM)
    with Tracker(db) as t:
        t.log({"i": -1})
        t.flush()
        yield t, lambda error=None: stop(t, error)
        assert len(came) >= 3
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_signals_while_a_batch_waits_for_room(stopped):
    """Python's handlers run meanwhile, and no row is logged twice for it."""
    t, stop = stopped
    stop()
    t.log_batch([{"i": i, "text": 2000 * "x"} for i in range(8000)])  # more than the window holds
    assert next(t._client.query("SELECT count(*), count(DISTINCT i) FROM events")) == (8001, 8001)


@pytest.mark.parametrize("change", [
    lambda t: t.set_value("i", 7),
    lambda t: t._client.execute("UPDATE events SET i = i + 1"),
    lambda t: t._client.delete_run(t.track_id, "events", True),
    lambda t: t._client.start_run("events", None, {}).finish(),
    lambda t: (t.log({"i": 0}), t.flush())])
def test_signals_while_a_change_is_waited_for(stopped, change):
    """They do not end the wait: nobody would know whether the change was made."""
    t, stop = stopped
    stop()
    change(t)


class Stop(Exception):
    pass


@pytest.mark.parametrize("last", [lambda t: t._client.close(), lambda t: t.track(lambda: 2000 * "x")])
def test_what_is_done_to_its_end_raises_what_a_handler_raised(stopped, last):
    """A connection is closed, and the row of a call is logged, whatever comes; then the exception is raised."""
    t, stop = stopped
    stop(Stop)
    with pytest.raises(Stop):
        t.log_batch([{"i": i, "text": 2000 * "x"} for i in range(4000)])
        last(t)


def test_a_handler_that_raises_anywhere_leaves_no_lock_behind():
    """Ctrl-C comes between any two steps of Python; who waits for the lock then would wait for ever."""
    class Released:
        key, users = "nobody's", 10**9

    def handler(*_):
        if armed:
            raise Stop

    armed = False
    before = signal.signal(signal.SIGALRM, handler)
    try:
        for i in range(3000):
            try:
                try:
                    armed = True
                    signal.setitimer(signal.ITIMER_REAL, 1e-6 + i % 30 * 1e-6)
                    for _ in range(30):
                        session.Session.release(Released)
                finally:
                    armed = False
            except Stop:
                pass
            assert not session._lock.locked()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_ctrl_c_in_a_function_is_logged(db, autostarted, witness):
    autostarted(db)
    p = program(SLOW % "time.sleep(1000)", db, witness)
    assert p.stdout.readline() == "begun\n"
    p.send_signal(signal.SIGINT)
    _, err = p.communicate(timeout=TIMEOUT)
    assert "KeyboardInterrupt" in err
    assert sqlite(db, "SELECT error_type FROM events") == [("KeyboardInterrupt",)]
    assert sqlite(db, "SELECT status FROM xt_runs") == [("failed",)]


def test_killed_programs_lose_no_row_that_they_flushed(db, autostarted):
    autostarted(db)
    p = program("""
        import os, signal, sys
        from xetrackd import Tracker
        t = Tracker(sys.argv[1])
        for i in range(1000):
            t.log({"i": i})
        t.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    """, db)
    p.communicate(timeout=TIMEOUT)
    assert p.returncode == -signal.SIGKILL and sqlite(db, "SELECT count(DISTINCT i) FROM events") == [(1000,)]


def test_rows_of_a_time_without_a_daemon(db, daemon, monkeypatch):
    d = daemon(db)
    monkeypatch.setenv("XETRACK_AUTOSTART", "0")
    with Tracker(db, cache=True) as t:
        t.log({"i": 0})
        t.flush()
        d.stop()
        t.log({"i": 1})
        assert t.track(square, args=[3, str(db) + ".x"]) == {"x": 3, "y": 9}
        d = daemon(db)
        t.log({"i": 2})
        t.flush()
        assert sorted(r[0] for r in t._client.query("SELECT i FROM events WHERE i IS NOT NULL")) == [0, 1, 2]
        assert next(t._client.query("SELECT y FROM events WHERE x = 3")) == (9,)


# ---- threads ------------------------------------------------------------------------------------

def test_threads_share_a_tracker(db, autostarted, witness):
    autostarted(db)
    with Tracker(db, cache=True) as t:
        def work(i):
            for k in range(50):
                t.log({"i": i, "k": k})
            return t.track(square, args=[i % 4, Witness(witness)])["y"], t.count_run() >= 50

        with ThreadPoolExecutor(16) as pool:
            assert all(y == (i % 4) ** 2 and seen for i, (y, seen) in enumerate(pool.map(work, range(64))))
        assert executed(witness) == list("0123")
        assert next(t._client.query("SELECT count(*), count(DISTINCT i * 100 + k) FROM events WHERE k IS NOT NULL")) == (3200, 3200)


def test_a_fork_while_threads_log(db, autostarted):
    autostarted(db)
    with Tracker(db) as t:
        stop = threading.Event()
        counts = [0, 0]

        def log(n):
            while not stop.is_set():
                t.log({"thread": n})
                counts[n] += 1

        threads = [threading.Thread(target=log, args=(n,)) for n in (0, 1)]
        for thread in threads:
            thread.start()
        context = multiprocessing.get_context("fork")
        for _ in range(5):
            p = context.Process(target=log_child, args=(t,))
            p.start()
            p.join(TIMEOUT)
            assert p.exitcode == 0
        stop.set()
        for thread in threads:
            thread.join()
        t.flush()
        assert next(t._client.query("SELECT sum(thread = 0), sum(thread = 1), sum(thread = 2) FROM events")) == (*counts, 50)


def log_child(t):
    for _ in range(10):
        t.log({"thread": 2})
    t.flush()


def test_closing_under_another_threads_call_is_refused(db, autostarted):
    autostarted(db)
    inside, go = threading.Event(), threading.Event()

    def f():
        inside.set()
        go.wait()
        return 1

    with Tracker(db) as t:
        thread = threading.Thread(target=t.track, args=(f,))
        thread.start()
        inside.wait()
        with pytest.raises(RuntimeError, match="not ended"):
            t._run.finish()
        go.set()
        thread.join()
        assert t.count_run() == 1


# ---- sampled ---------------------------------------------------------------------------------------

def sampled(args):
    tracker, x = args
    return tracker.track(busy, args=[x])


def busy(x):
    return {"x": x, "s": sum(i * i for i in range(200000))}


def test_system_parameters_in_pool_workers_without_children(db, autostarted):
    autostarted(db)
    with Tracker(db, log_system_params=True, log_network_params=True, measurement_interval=0.01) as t:
        with multiprocessing.get_context("fork").Pool(4) as pool:
            pool.map(sampled, [(t, x) for x in range(12)], chunksize=1)
        t.log({"x": 100})
        rows = list(t._client.query("SELECT cpu, memory_percent, p_memory_percent, disk_percent, bytes_sent, bytes_recv FROM events "
                                    "WHERE function_name = 'busy'"))
        assert len(rows) == 12 and all(v is not None and v >= 0 for row in rows for v in row)
        assert all(0 < row[1] < 100 and 0 < row[2] < 100 for row in rows)
        assert all(v is not None for v in next(t._client.query(
            "SELECT cpu_percent, ram_percent, p_memory_percent, disk_percent FROM events WHERE x = 100")))


# ---- leaks --------------------------------------------------------------------------------------------

LEAKS = """
    import gc, sys
    from dataclasses import dataclass
    from xetrackd import Tracker
    @dataclass(frozen=True)
    class Params:
        a: int
    def f(item, params):
        return {"y": item["x"]}
    def bad(x):
        raise ValueError(x)
    def rss():
        with open("/proc/self/statm") as s:
            return int(s.read().split()[1]) * 4096
    t = Tracker(sys.argv[1], cache=True, params={"p": "q"}, raise_on_error=False)
    row = {"a": 1, "b": 2.5, "c": "text", "d": None, "e": True, "f": b"x", "g": [1, {"h": 2}], "i": (1, 2), 5: 6}
    item, params = {"x": 1, "l": [1, 2]}, Params(3)
    def round(n):
        for _ in range(n):
            t.log(row)
        for _ in range(n // 100):
            t.log_batch([row] * 20)
            t.track(f, args=[item, params])
            t.track(bad, args=[1])
            t.cached(f, [item, params])
            t._client.cache_get(bytes(32))
        for _ in range(n // 5000):
            for r in t._client.query("SELECT * FROM events LIMIT 500"):
                pass
            t._client.query("SELECT * FROM events LIMIT 500").columns()
            try:
                t._client.query("SELECT nothing")
            except Exception:
                pass
        t.flush()
        gc.collect()
    round(100000)
    before, objects = rss(), len(gc.get_objects())
    round(1000000)
    print(rss() - before, len(gc.get_objects()) - objects)
"""


def test_a_million_rows_leave_nothing_behind(db, autostarted):
    autostarted(db)
    p = program(LEAKS, db)
    out, err = p.communicate(timeout=10 * TIMEOUT)
    assert p.returncode == 0, err
    grown, objects = map(int, out.split())
    assert grown < 4 << 20 and objects < 1000, out
