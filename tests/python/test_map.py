"""Tracker.map(): a function over many inputs, by worker processes that may die."""
import functools
import json
import os
import pty
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from conftest import TIMEOUT

from xetrackd import Reader, Tracker, pool, progress

METHODS = ["fork", "spawn", "forkserver"]


@pytest.fixture
def tracker(db, autostarted):
    autostarted(db)
    with Tracker(db, cache=True) as t:
        yield t


def square(x):
    return {"y": x * x, "pid": os.getpid()}


def odd_fails(x):
    if x % 2:
        raise ValueError(f"{x} is odd")
    return x


class Strange(Exception):
    def __init__(self, one, two):
        super().__init__(one)


def strange(x):
    raise Strange(1, 2)


def dies(directory, how, times, x):
    """For x = 3 so many times, counted by files."""
    if x == 3:
        n = len(list(Path(directory).iterdir()))
        if n < times:
            (Path(directory) / str(n)).write_text("")
            if how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            elif how == "exit":
                os._exit(7)
            else:
                signal.signal(signal.SIGSEGV, signal.SIG_DFL)  # the test runner's handler would print
                os.kill(os.getpid(), signal.SIGSEGV)
    return x


async def later(x):
    return x + 1


def rows(db, what="*", tail=""):
    with Reader(db) as r:
        return r.rows(f"SELECT {what} FROM events {tail}")


@pytest.mark.parametrize("method", METHODS)
def test_results_in_order_one_run_all_rows(tracker, db, method):
    results = tracker.map(square, range(20), workers=3, progress=False, start_method=method)
    assert [r["y"] for r in results] == [x * x for x in range(20)]
    assert os.getpid() not in {r["pid"] for r in results}
    found = rows(db, "track_id, y, cache, error")
    assert sorted(r["y"] for r in found) == sorted(x * x for x in range(20))
    assert {(r["track_id"], r["cache"], r["error"]) for r in found} == {(tracker.track_id, "", None)}
    again = tracker.map(square, range(20), workers=3, progress=False, start_method=method)
    assert again == results  # with the pids of those that computed
    assert [r["n"] for r in rows(db, "count(*) AS n", "WHERE cache <> ''")] == [20]
    with Reader(db) as r:
        assert r.rows("SELECT status FROM xt_runs") == [{"status": "running"}]  # workers end it not
        states = r.rows("SELECT status FROM xt_workers")
        assert all(s["status"] == "finished" for s in states) and (len(states) > 1)


def test_no_more_workers_than_inputs(tracker):
    assert len({r["pid"] for r in tracker.map(square, [1, 2], workers=8, progress=False)}) <= 2
    assert tracker.map(square, [], progress=False) == []
    assert len({r["pid"] for r in tracker.map(square, range(10, 30), workers=1, progress=False)}) == 1


def test_a_generator_is_read_as_workers_become_free(tracker, tmp_path):
    """So many inputs ahead of the results, at most, as there are workers."""
    taken = 0
    ahead = []

    def inputs():
        nonlocal taken
        for i in range(50):
            ahead.append(taken - len(list(tmp_path.iterdir())))
            taken += 1
            yield i

    tracker.map(functools.partial(leave_a_file, str(tmp_path)), inputs(), workers=2, progress=False)
    assert taken == 50 and max(ahead) <= 2


def leave_a_file(directory, x):
    (Path(directory) / str(x)).write_text("")


def test_an_input_that_fails_to_come(tracker):
    def inputs():
        yield 1
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        tracker.map(square, inputs(), workers=2, progress=False)


@pytest.mark.parametrize("chunksize", [1, 4])
@pytest.mark.parametrize("how", ["kill", "exit", "segfault"])
def test_a_worker_that_dies_costs_its_input_one_try(tracker, db, tmp_path, how, chunksize):
    func = functools.partial(dies, str(tmp_path), how, 2)
    assert tracker.map(func, range(12), workers=2, progress=False, chunksize=chunksize) == list(range(12))
    assert len(list(tmp_path.iterdir())) == 2
    found = rows(db, "coalesce(error_type, '') AS died, count(*) AS n", "GROUP BY 1 ORDER BY 1")
    assert found == [{"died": "", "n": 12}, {"died": "WorkerDied", "n": 2}]


def test_an_input_that_kills_every_worker(tracker, tmp_path):
    func = functools.partial(dies, str(tmp_path), "kill", 100)
    with pytest.raises(pool.WorkerDied, match=r"input 3: its worker process died 2 times, the last one killed by signal 9 "
                                              r"\(SIGKILL\)") as e:
        tracker.map(func, range(6), workers=2, progress=False, retries=1)
    assert len(list(tmp_path.iterdir())) == 2
    assert (e.value.index, e.value.exitcode, e.value.attempts) == (3, -9, 2)
    assert [r for r in e.value.results if r is not e.value] == [0, 1, 2, 4, 5]  # the others are not lost
    results = tracker.map(func, range(6), workers=2, progress=False, retries=0, raise_on_error=False)
    assert isinstance(results[3], pool.WorkerDied) and results[3].attempts == 1
    assert results[:3] + results[4:] == [0, 1, 2, 4, 5]


def test_an_exception_of_the_function_is_raised(tracker, db):
    with pytest.raises(ValueError, match="1 is odd") as e:
        tracker.map(odd_fails, [0, 2, 4, 1, 6, 8, 10], workers=1, progress=False)
    assert "odd_fails" in str(e.value.__cause__)  # where it was raised
    assert len(rows(db)) == 4  # what was not begun by then is not
    with pytest.raises(RuntimeError, match="Strange: 1"):  # one that cannot be pickled
        tracker.map(strange, [1], progress=False)


def test_or_is_none_in_the_results(tracker, db):
    assert tracker.map(odd_fails, range(4), workers=2, progress=False, raise_on_error=False) == [0, None, 2, None]
    assert [r["error"] for r in rows(db, "error", "WHERE error IS NOT NULL ORDER BY error")] == ["1 is odd", "3 is odd"]
    with Tracker(db, raise_on_error=False) as calm:
        assert calm.map(odd_fails, range(3), workers=2, progress=False) == [0, None, 2]
        with pytest.raises(ValueError):
            calm.map(odd_fails, range(3), workers=2, progress=False, raise_on_error=True)


def test_options_of_track(tracker, db):
    tracker.map(odd_fails, [2], progress=False, params={"epoch": 5})
    tracker.map(odd_fails, [2], progress=False, params={"epoch": 5}, cache_force=True)
    assert rows(db, "epoch, cache") == [{"epoch": 5, "cache": ""}] * 2


def test_async_functions(tracker):
    assert tracker.map(later, range(3), workers=2, progress=False) == [1, 2, 3]


def test_what_cannot_be(tracker):
    for bad in {"workers": 0}, {"chunksize": 0}, {"retries": -1}, {"start_method": "thread"}:
        with pytest.raises(ValueError):
            tracker.map(square, [1], progress=False, **bad)
    with pytest.raises(TypeError, match="input 1 cannot be sent to another process"):
        tracker.map(odd_fails, [0, (x for x in ())], workers=1, progress=False)


@pytest.mark.parametrize("method", METHODS)
def test_functions_that_only_cloudpickle_takes(tracker, monkeypatch, method):
    pytest.importorskip("cloudpickle")
    offset = 10
    assert tracker.map(lambda x: x + offset, range(3), workers=2, progress=False, start_method=method) == [10, 11, 12]
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    with pytest.raises(TypeError, match="the function cannot be sent to another process: .*install cloudpickle"):
        tracker.map(lambda x: x + offset, range(3), progress=False, start_method=method)


def test_a_result_that_cannot_be_pickled(tracker):
    with pytest.raises(TypeError, match="the result cannot be sent to another process"):
        tracker.map(make_generator, [1], progress=False)


LARGE = 20_000_000


def killed_while_it_answers(directory, x):
    """Once for each x."""
    def kill():
        while True:
            frame = sys._current_frames()[threading.main_thread().ident]
            if frame.f_code.co_name == "_send" and len(frame.f_locals["buf"]) > LARGE:
                os.kill(os.getpid(), signal.SIGKILL)

    try:
        (Path(directory) / str(x)).touch(exist_ok=False)
    except FileExistsError:
        return x
    threading.Thread(target=kill, daemon=True).start()
    return bytes(LARGE)


def test_a_worker_that_dies_while_it_answers(tracker, tmp_path):
    func = functools.partial(killed_while_it_answers, str(tmp_path))
    assert tracker.map(func, range(5), workers=2, progress=False) == list(range(5))


class Homesick:
    """It is at home where it was made."""

    def __init__(self, pid):
        self.pid = pid

    def __reduce__(self):
        return at_home, (os.getpid(),)


def at_home(pid):
    if pid != os.getpid():
        raise RuntimeError("far from home")
    return Homesick(pid)


def homesick(x):
    if x == 0:
        return Homesick(os.getpid())
    return x


def test_a_result_that_cannot_be_loaded(tracker, db):
    """What other workers have is waited for, as if the function had raised."""
    with pytest.raises(RuntimeError, match="far from home") as raised:
        tracker.map(homesick, range(4), workers=1, chunksize=4, progress=False)
    assert raised.value.__notes__ == ["input 0: its result cannot be loaded here"]
    assert len(rows(db)) == 4


def make_generator(x):
    return (i for i in range(x))


def test_the_start_method_of_the_program_is_left_alone():
    code = "import multiprocessing, xetrackd.pool; multiprocessing.set_start_method('spawn')"
    assert subprocess.run([sys.executable, "-c", code], timeout=TIMEOUT).returncode == 0


# ---- programs of their own


PROGRAM = r"""
import os, sys, time
from xetrackd import Tracker

def work(x):
    if x.startswith("wait"):
        os.write(1, b"pid %d\n" % os.getpid())
        time.sleep({sleep})
    return x

def main():
    with Tracker(sys.argv[1], cache=True) as t:
        t.map(work, sys.argv[3:], workers=2, start_method=sys.argv[2])
        print("done", flush=True)

{guard}
    main()
"""


@pytest.fixture
def program(tmp_path, db, autostarted):
    autostarted(db)

    def write(guard='if __name__ == "__main__":', sleep=1000):
        path = tmp_path / "program.py"
        path.write_text(PROGRAM.format(guard=guard, sleep=sleep))
        return path
    return write


@pytest.mark.parametrize("method", METHODS)
def test_a_script(program, db, method):
    done = subprocess.run([sys.executable, program(), db, method, "a", "b", "c"], capture_output=True, text=True, timeout=TIMEOUT)
    assert done.stdout == "done\n"
    assert done.stderr.startswith("work: 3/3, 100 %, ")


def test_a_script_without_its_guard_says_so(program, db):
    done = subprocess.run([sys.executable, program(guard="if True:"), db, "spawn", "a"], capture_output=True, text=True,
                          timeout=TIMEOUT)
    assert done.returncode == 1
    assert 'does the script call map() under `if __name__ == "__main__":`?' in done.stderr


def gone(pid):
    try:
        os.kill(pid, 0)
        return False
    except ProcessLookupError:
        return True


def started(p, workers=2):
    pids = [int(p.stdout.readline().split()[1]) for _ in range(workers)]
    assert len(set(pids)) == workers
    return pids


@pytest.mark.parametrize("running", [1, 2])
@pytest.mark.parametrize("method", METHODS)
def test_ctrl_c_ends_the_workers(program, db, method, running):
    """As on a terminal: the whole process group gets it. One of the two may be still beginning, or wait for the other's result."""
    inputs = ["wait", "wait"] if running == 1 else ["wait 1", "wait 2"]
    p = subprocess.Popen([sys.executable, program(), db, method, *inputs], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         text=True, start_new_session=True)
    pids = started(p, running)
    os.killpg(p.pid, signal.SIGINT)
    out, err = p.communicate(timeout=TIMEOUT)
    assert p.returncode == -signal.SIGINT and out == ""
    assert err.count("Traceback") == 1 and "KeyboardInterrupt" in err  # the program's own, and no worker's
    assert all(gone(pid) for pid in pids)
    with Reader(db) as r:
        kinds = [row["error_type"] for row in r.rows("SELECT error_type FROM events")]
        # A worker may be ended before it has told: then the daemon tells.
        assert len(kinds) >= running and set(kinds) <= {"KeyboardInterrupt", "Abandoned", "WorkerDied"}
        assert running == 1 or len(kinds) == 2
        assert r.rows("SELECT status FROM xt_runs") == [{"status": "failed"}]


def test_workers_that_do_not_listen_are_killed(tmp_path, db, autostarted):
    autostarted(db)
    code = textwrap.dedent(r"""
        import os, signal, sys
        from xetrackd import Tracker, pool
        pool._GRACE = 0.1
        def deaf(x):
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
            os.write(1, b"pid %d\n" % os.getpid())
            while True:
                signal.pause()
        Tracker(sys.argv[1]).map(deaf, range(2), workers=2, progress=False, start_method="fork")
        """)
    p = subprocess.Popen([sys.executable, "-c", code, db], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    pids = started(p)
    p.send_signal(signal.SIGINT)
    p.communicate(timeout=TIMEOUT)
    assert all(gone(pid) for pid in pids)


def test_workers_end_when_their_parent_is_killed(program, db):
    """Once they are through with what they do."""
    r, w = os.pipe()
    code = textwrap.dedent(r"""
        import os, sys
        from xetrackd import Tracker
        def work(x):
            os.write(1, b"pid %d\n" % os.getpid())
            return os.read(int(sys.argv[2]), 1)
        Tracker(sys.argv[1]).map(work, range(8), workers=2, progress=False, start_method="fork")
        """)
    p = subprocess.Popen([sys.executable, "-c", code, db, str(r)], stdout=subprocess.PIPE, text=True, pass_fds=[r])
    started(p)
    p.kill()
    os.close(r)
    os.close(w)  # their reads end
    assert "pid" not in p.stdout.read()  # ends when all that had it open have ended
    assert p.wait(TIMEOUT) == -signal.SIGKILL


# ---- progress


class Terminal:
    """A program whose standard error is a terminal; what it showed there."""

    def __init__(self, code, *args, columns=60, env=None):
        import fcntl
        import struct
        import termios

        here, there = pty.openpty()
        fcntl.ioctl(there, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        p = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), *map(str, args)], stderr=there, stdout=subprocess.PIPE,
                             env={**os.environ, "TERM": "xterm", **(env or {})})
        os.close(there)
        self.text = ""
        while True:
            try:
                data = os.read(here, 10000)
            except OSError:
                break
            if not data:
                break
            self.text += data.decode()
        os.close(here)
        self.out = p.communicate(timeout=TIMEOUT)[0].decode()
        assert p.returncode == 0, self.text


BAR = """
    import sys
    if sys.argv[2] == "plain":
        sys.modules["tqdm"] = None
    from xetrackd import Tracker, progress
    progress.Silent.due = lambda self, every: True
    def fails(x):
        if x == 3:
            raise ValueError
        return x
    with Tracker(sys.argv[1], cache=True, raise_on_error=False) as t:
        t.map(fails, range(4), workers=2)
        t.map(fails, (x for x in range(4)), workers=2)
    """


@pytest.mark.parametrize("columns", [100, 40])
def test_a_bar_on_a_terminal(db, autostarted, columns):
    autostarted(db)
    shown = Terminal(BAR, db, "plain", columns=columns).text
    assert all(len(part.replace("\x1b[K", "").rstrip("\r\n")) < columns for part in shown.split("\r"))
    assert shown.endswith("\x1b[K\r\n")
    first, second = shown.rstrip().split("\n")
    last = first.rstrip().split("\r")[-1]
    assert last.startswith("fails: 4/4, 100 %, ")
    assert ("[####" in first) == (columns == 100)
    if columns == 100:
        assert "1 failed" in last
        assert "fails: 4, " in second and "3 hits, 1 failed" in second and "%" not in second
        assert ", 0:00 left" in first


def test_tqdms_bar_where_it_is_installed(db, autostarted):
    pytest.importorskip("tqdm")
    autostarted(db)
    shown = Terminal(BAR, db, "tqdm", columns=100).text
    assert "4/4" in shown and "failed=1" in shown and "hits=3" in shown


def test_lines_where_there_is_no_terminal(db, autostarted):
    autostarted(db)
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(BAR), db, "plain"], capture_output=True, text=True, timeout=TIMEOUT)
    lines = done.stderr.splitlines()
    assert [line.split(",")[0] for line in lines] == [f"fails: {i}/4" for i in (1, 2, 3, 4, 4)] + [f"fails: {i}" for i in (1, 2, 3, 4, 4)]
    assert "\r" not in done.stderr and "\x1b" not in done.stderr
    assert lines[-1].endswith("3 hits, 1 failed")


def test_the_text():
    shown = progress.Silent("f", 7200)
    shown.began -= 100
    for _ in range(100):
        shown.add(True, False)
    assert shown.text().startswith("f: 100/7200, 1 %, 1.0/s, 1:58:2") and shown.text().endswith(" left, 100 hits")
    assert json.dumps([progress._clock(s) for s in (0, 59.6, 3599, 3600)]) == '["0:00", "1:00", "59:59", "1:00:00"]'
