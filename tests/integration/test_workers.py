"""Many worker processes through libxetrack: nothing lost, nothing twice."""
import os
import subprocess
from pathlib import Path

import pytest
from conftest import BUILD, TIMEOUT, XETRACKD, XT_LOAD, sqlite

XT_FORK = os.environ.get("XT_FORK", str(BUILD / "xt-fork"))
pytestmark = pytest.mark.skipif(not os.access(XT_LOAD, os.X_OK), reason=f"{XT_LOAD} is not built")


def workers(db, n, rows, *args):
    return [subprocess.Popen([XT_LOAD, str(db), str(w), str(rows), *args], stderr=subprocess.PIPE, text=True)
            for w in range(n)]


def join(processes):
    for p in processes:
        _, err = p.communicate(timeout=5 * TIMEOUT)
        assert p.returncode == 0, err
        assert "Sanitizer" not in err and "runtime error" not in err, err


def counted(db):
    return sqlite(db, "SELECT count(*), count(DISTINCT worker * 1000000 + i) FROM predictions")[0]


@pytest.mark.parametrize("batch", [[], ["--batch", "100"]], ids=["one by one", "batches"])
def test_80000_rows_of_16_workers(daemon, db, batch):
    daemon(db)
    join(workers(db, 16, 5000, *batch))
    assert counted(db) == (80000, 80000)
    assert sqlite(db, "SELECT worker, count(*), min(i), max(i) FROM predictions GROUP BY worker ORDER BY worker") == \
        [(w, 5000, 0, 4999) for w in range(16)]
    assert sqlite(db, "SELECT count(DISTINCT track_id) FROM predictions") == [(16,)]
    assert sqlite(db, "SELECT count(*), sum(rows), sum(rejects) FROM xt_runs WHERE status = 'finished'") == \
        [(16, 80000, 0)]
    assert sqlite(db, "PRAGMA integrity_check") == [("ok",)]


def daemons_of(db):
    """Process ids of the daemons that serve this database."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            line = (entry / "cmdline").read_bytes().split(b"\0")
            state = (entry / "stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            continue
        if line and os.path.basename(line[0]) == b"xetrackd" and os.fsencode(db) in line and state != "Z":
            found.append(int(entry.name))
    return found


def test_50_clients_race_to_start_one_daemon(autostarted, db):
    autostarted(db)
    join(workers(db, 50, 20))
    assert counted(db) == (1000, 1000)
    assert len(daemons_of(os.path.realpath(db))) == 1
    lock = dict(line.split(" ", 1) for line in Path(f"{db}.lock").read_text().splitlines())
    assert daemons_of(os.path.realpath(db)) == [int(lock["pid"])]


@pytest.mark.skipif(not os.access(XT_FORK, os.X_OK), reason="xt-fork is not built")
def test_children_go_on_with_their_parents_client(daemon, db):
    daemon(db)
    p = subprocess.run([XT_FORK, str(db), "4", "1000"], capture_output=True, text=True, timeout=TIMEOUT)
    assert p.returncode == 0, p.stderr
    assert counted(db) == (5000, 5000)


def test_daemon_killed_while_workers_log(daemon, db):
    """Workers reconnect (to a daemon that they start, or to ours) and send again what was not acknowledged."""
    d = daemon(db)
    d.client().close()
    ps = workers(db, 8, 4000)
    for _ in range(3):
        target = counted_or_zero(db) + 1000
        while counted_or_zero(db) < target and any(p.poll() is None for p in ps):
            pass
        for pid in daemons_of(os.path.realpath(db)):
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                pass
    if d.proc.wait(TIMEOUT) != 0:
        d.expected = d.proc.returncode
    join(ps)
    assert counted(db) == (32000, 32000)
    assert sqlite(db, "PRAGMA integrity_check") == [("ok",)]
    for pid in daemons_of(os.path.realpath(db)):
        os.kill(pid, 15)


def counted_or_zero(db):
    try:
        return sqlite(db, "SELECT count(*) FROM predictions")[0][0]
    except Exception:
        return 0


def test_no_autostart(runtime, db, monkeypatch):
    monkeypatch.setenv("XETRACK_AUTOSTART", "0")
    p = subprocess.run([XT_LOAD, str(db), "0", "1"], capture_output=True, text=True, timeout=TIMEOUT)
    assert p.returncode == 1 and "XT_ECONNECT" in p.stderr
    assert not db.exists() and daemons_of(os.path.realpath(db)) == []


def test_start_error_reaches_the_client(runtime):
    bad = runtime / "bad.db"
    bad.write_bytes(b"not a database at all, sorry" * 200)
    p = subprocess.run([XT_LOAD, str(bad), "0", "1"], capture_output=True, text=True, timeout=TIMEOUT)
    assert p.returncode == 1 and "database" in p.stderr
