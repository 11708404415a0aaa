"""Restarts under load: nothing lost, no error in any worker."""
import os
import signal
import socket
import subprocess

import pytest
from conftest import BUILD, TIMEOUT, XETRACKD, XTCTL, Client, sqlite
from xtctl import ok

WORKER = os.environ.get("XT_WORKER", str(BUILD / "xt-worker"))
pytestmark = pytest.mark.skipif(not os.access(WORKER, os.X_OK), reason=f"{WORKER} is not built")
ROWS = 20000


def workers(db, n, *args):
    return [subprocess.Popen([WORKER, str(db), str(i), str(ROWS), *args], stderr=subprocess.PIPE, text=True)
            for i in range(n)]


def join(db, ps):
    for p in ps:
        _, err = p.communicate(timeout=5 * TIMEOUT)
        assert p.returncode == 0 and err == "", err
    assert sqlite(db, "SELECT worker, count(*), count(DISTINCT i) FROM predictions GROUP BY 1 ORDER BY 1") == \
        [(i, ROWS, ROWS) for i in range(len(ps))]
    assert sqlite(db, "SELECT status, count(*) FROM xt_runs GROUP BY 1") == [("finished", len(ps))]
    ok("audit", db, "--quick")


def test_xtctl_restart(autostarted, db):
    autostarted(db)
    ok("up", db)
    ps = workers(db, 4, "--autostart")
    pids = set()
    for _ in range(3):
        pids.add(ok("restart", db).split("pid")[1].split()[0])
    assert len(pids) == 3
    join(db, ps)


def test_restart_of_a_daemon_that_clients_may_not_start(daemon, db):
    """As with a service manager that starts it again: SIGTERM, a gap, and the next one."""
    d = daemon(db)
    ps = workers(db, 4)
    for _ in range(3):
        while any(p.poll() is None for p in ps) and not sqlite(db, "SELECT 1 FROM sqlite_schema WHERE name = 'predictions'"):
            pass
        assert d.stop() == 0
        d = daemon(db)
    join(db, ps)


class Listener:
    """What a socket unit does: it holds the listening socket and starts the service on it."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.bind(str(path))
        self.sock.listen(100)

    def start(self, db):
        def on_its_descriptor():
            os.dup2(self.sock.fileno(), 3)
            os.environ["LISTEN_PID"] = str(os.getpid())
            os.execv(XETRACKD, [XETRACKD, str(db)])

        pid = os.fork()
        if pid == 0:
            os.environ["LISTEN_FDS"] = "1"
            devnull = os.open(os.devnull, os.O_RDWR)
            os.dup2(devnull, 2)
            try:
                on_its_descriptor()
            finally:
                os._exit(127)
        return pid


def test_socket_activation_keeps_the_socket_open(db, runtime):
    """Nobody is ever refused: who comes in the gap waits in the socket's queue."""
    unit = Listener(runtime / "unit.sock")
    pid = unit.start(db)
    Client(runtime / "unit.sock").close()
    ps = workers(db, 4)
    for _ in range(3):
        os.kill(pid, signal.SIGTERM)
        waiting = socket.socket(socket.AF_UNIX)
        waiting.connect(str(runtime / "unit.sock"))  # not refused
        assert os.waitpid(pid, 0)[1] == 0
        pid = unit.start(db)
        Client(runtime / "unit.sock").close()
        waiting.close()
    join(db, ps)
    os.kill(pid, signal.SIGTERM)
    assert os.waitpid(pid, 0)[1] == 0


def test_queries_and_requests_over_a_restart(autostarted, db):
    """What is asked or changed while the daemon is exchanged is answered by the next one."""
    autostarted(db)
    ok("log", db, "a=0")
    ask = "while :; do {0} sql {1} 'SELECT count(*) FROM events' >/dev/null || exit 1; " \
          "{0} log {1} a=1 >/dev/null || exit 2; done".format(XTCTL, db)
    askers = [subprocess.Popen(["sh", "-c", ask], stderr=subprocess.PIPE, text=True, start_new_session=True) for _ in range(3)]
    try:
        for _ in range(4):
            ok("restart", db)
            assert all(a.poll() is None for a in askers), [a.stderr.read() for a in askers if a.poll() is not None]
    finally:
        for a in askers:
            os.killpg(a.pid, signal.SIGKILL)
            a.wait()
