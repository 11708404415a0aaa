"""kill -9 of daemon and workers, at named moments and at random ones: every acknowledged row is there once, every
row of a worker that lives gets there, in order, and `xtctl audit` says so. Then the same with a defect put into the
daemon on purpose, which must be found.

XT_CRASH_KILLS and XT_CRASH_SEED make the random part longer and repeat it: see `make soak`.
"""
import json
import os
import random
import signal
import subprocess

import pytest
from conftest import BUILD, CRASH, TIMEOUT, crashed, sqlite
from xtctl import ok

WORKER = os.environ.get("XT_WORKER", str(BUILD / "xt-worker"))
KILLS = int(os.environ.get("XT_CRASH_KILLS", "200"))
SEED = int(os.environ.get("XT_CRASH_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)

pytestmark = [pytest.mark.skipif(not os.access(p, os.X_OK), reason=f"{p} is not built") for p in (CRASH, WORKER)]


class Worker:
    """An xt-worker, and what its witness file says."""

    def __init__(self, db, number, rows, *args):
        self.number, self.rows = number, rows
        self.witness = f"{db}.witness-{number}"
        self.alive = True  # was not killed
        self.proc = subprocess.Popen([WORKER, str(db), str(number), str(rows), "--witness", self.witness, *args],
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def acked(self):
        """Highest i that was acknowledged; -1: none."""
        try:
            with open(self.witness) as f:
                lines = f.read().split("\n")[:-1]  # a line may be cut by a kill
        except FileNotFoundError:
            return -1
        return int(lines[-1]) if lines else -1

    def gate(self, name):
        assert self.proc.stdout.readline().strip() == name, self.proc.stderr.read()

    def go_on(self):
        self.proc.stdin.write("\n")
        self.proc.stdin.flush()

    def kill(self):
        self.alive = False
        self.proc.kill()
        self.proc.wait(TIMEOUT)

    def join(self, codes=(0,)):
        _, err = self.proc.communicate(timeout=3 * TIMEOUT)
        assert self.proc.returncode in codes, (self.proc.returncode, err)
        assert "Sanitizer" not in err and "runtime error" not in err, err


def until(condition, *processes):
    """Waits for something that other processes bring about."""
    limit = int(TIMEOUT * 1000)
    while not condition():
        limit -= 1
        assert limit > 0, "it does not come about"
        for p in processes:
            assert p.poll() is None or condition(), p.stderr.read()
        subprocess.run(["true"], check=True)  # a pause that is no sleep: it ends with what it waits for


def spool_of(db):
    try:
        return sorted(n for n in os.listdir(f"{db}.spool") if not n.startswith("."))
    except FileNotFoundError:
        return []


def stored(db, worker):
    """The rows of a worker, in the order in which they were stored."""
    if not sqlite(db, "SELECT 1 FROM sqlite_schema WHERE name = 'predictions'"):
        return []
    return [i for i, in sqlite(db, "SELECT i FROM predictions WHERE worker = ? ORDER BY rowid", worker)]


def check(db, workers):
    """The claim, held against the database."""
    for w in workers:
        # A client's rows are stored in the order of its numbers: what a killed one left is a prefix of them.
        got = stored(db, w.number)
        assert got == list(range(len(got))), f"worker {w.number}: rows are missing, doubled or out of order"
        assert len(got) > w.acked(), f"worker {w.number}: row {w.acked()} was acknowledged, {len(got)} are stored"
        if w.alive:
            assert len(got) == w.rows, f"worker {w.number} lives, {len(got)} of its {w.rows} rows are stored"
    assert sqlite(db, "PRAGMA integrity_check") == [("ok",)]
    audit = json.loads(ok("audit", db, "--json"))
    assert audit["ok"] and audit["findings"] == [] and audit["in_spool"] == 0
    assert audit["stored"] == audit["rows_there"] == sqlite(db, "SELECT count(*) FROM predictions")[0][0]


@pytest.fixture
def served(crashing):
    return crashing


def crash_under_load(served, db, point, nth, defect=None, rows=400):
    """Three workers; the daemon ends at the moment; another one follows. What there is to be checked."""
    d = served(point, nth, defect)
    workers = [Worker(db, n, rows, *(["--batch", "50"] if n == 2 else [])) for n in range(3)]
    crashed(d)
    served()
    for w in workers:
        w.join((0, 1) if defect else (0,))
    return workers


WRITING = ["in a batch", "a column is being added", "before commit", "after commit", "before acknowledgement"]


@pytest.mark.parametrize("nth", [1, 2, 4])
@pytest.mark.parametrize("point", WRITING)
def test_crash_while_rows_are_written(served, db, point, nth):
    check(db, crash_under_load(served, db, point, nth if point != "a column is being added" else min(nth, 3)))


@pytest.mark.parametrize("point", ["before a checkpoint", "after a checkpoint"])
def test_crash_at_a_checkpoint(served, db, point):
    """The first is at the start, the second when the last client has left."""
    d = served(point, 2)
    workers = [Worker(db, n, 100) for n in range(2)]
    for w in workers:
        w.join()
    crashed(d)
    served()
    check(db, workers)


def orphan(served, db, rows=600):
    """A worker that ended while there was no daemon: all of its rows lie in the spool or are stored."""
    d = served()
    w = Worker(db, 7, rows, "--gates")
    w.gate("half")
    d.kill()
    w.go_on()
    w.gate("all")
    assert len(spool_of(db)) == 1
    w.kill()
    w.alive = True  # as far as its rows go: it had handed over all of them
    return w


SPOOL = [("in a spool file", 1), ("in a spool file", 100), ("before commit", 1), ("after commit", 1),
         ("before a spool file is removed", 1), ("before acknowledgement", 1)]


@pytest.mark.parametrize("point, nth", SPOOL)
def test_crash_while_a_spool_is_taken_in(served, db, point, nth):
    w = orphan(served, db)
    crashed(served(point, nth))
    served()
    until(lambda: not spool_of(db))
    check(db, [w])


def test_a_spool_comes_back_from_its_owner(served, db):
    d = served()
    w = Worker(db, 1, 3000, "--gates")
    w.gate("half")
    d.kill()
    w.go_on()
    w.gate("all")
    assert len(spool_of(db)) == 1
    d = served()
    assert spool_of(db), "a spool whose owner lives is left to it"
    w.go_on()
    w.join()
    check(db, [w])
    assert spool_of(db) == []


def test_random_kills(served, db):
    print(f"seed {SEED}, {KILLS} kills; XT_CRASH_SEED={SEED} repeats it")
    draw = random.Random(SEED)
    workers, running, number, done = [], [], 0, 0
    d = served()

    def progress():
        return sum(os.path.getsize(w.witness) for w in running if os.path.exists(w.witness))

    while done < KILLS:
        running = [w for w in running if w.proc.poll() is None]
        while len(running) < 4:
            args = draw.choice([[], ["--batch", "20"], ["--join"], ["--pause-us", "50"]])
            w = Worker(db, number, draw.choice([500, 2000, 5000]), "--autostart", *args)
            number += 1
            workers.append(w)
            running.append(w)
        target = progress() + draw.randrange(1, 400)
        patience = draw.randrange(1, 60)
        while progress() < target and patience > 0 and any(w.proc.poll() is None for w in running):
            patience -= 1
            subprocess.run(["true"], check=True)
        if draw.random() < 0.4:
            victim = draw.choice(running)
            if victim.proc.poll() is None:
                victim.kill()
                done += 1
        else:
            done += kill_daemons(db)
    if d.proc.poll() is not None:
        d.expected = d.proc.returncode
    for w in workers:
        if w.alive:
            w.join((0, 4))  # 4: the rest is in its spool
    last = served() if not daemons_of(db) else None
    until(lambda: not spool_of(db))
    check(db, workers)
    for pid in daemons_of(db):
        if not last or pid != last.pid:
            os.kill(pid, signal.SIGTERM)
    print(f"{number} workers, {sum(not w.alive for w in workers)} of them killed, {done} kills in all")


def daemons_of(db):
    """Process ids of the daemons that serve this database."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                line = f.read().split(b"\0")
            with open(f"/proc/{pid}/stat") as f:
                state = f.read().rsplit(")", 1)[1].split()[0]
        except OSError:
            continue
        if os.path.basename(line[0]).startswith(b"xetrackd") and os.fsencode(str(db)) in line and state != "Z":
            found.append(int(pid))
    return found


def kill_daemons(db):
    pids = daemons_of(db)
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    return len(pids)


# ---- controls: with the defect in it, the suite must fail ------------------------------------------------------


# Later than the first batches, which hold no rows yet.
@pytest.mark.parametrize("nth", [10, 13])
def test_control_acknowledged_before_commit(served, db, nth):
    workers = crash_under_load(served, db, "before commit", nth, defect="acknowledge before commit", rows=40000)
    with pytest.raises(AssertionError, match="missing|was acknowledged|lives"):
        check(db, workers)


def test_control_no_deduplication(served, db):
    """Told its mark, a client sends nothing twice; a spool is read from its beginning again."""
    w = orphan(served, db)
    crashed(served("before a spool file is removed", 1))
    served(defect="no deduplication")
    until(lambda: not spool_of(db))
    with pytest.raises(AssertionError, match="doubled"):
        check(db, [w])


def test_control_spool_removed_before_its_commit(served, db):
    w = orphan(served, db)
    crashed(served("before commit", 1, defect="spool removed before its commit"))
    served()
    until(lambda: not spool_of(db))
    with pytest.raises(AssertionError, match="lives"):
        check(db, [w])
