"""The systemd units: well formed, hardened, and what they run works. There is no systemd as process 1
here, so `systemd-analyze` judges the files and `systemd-socket-activate` plays its part."""
import fcntl
import os
import shlex
import signal
import subprocess
from pathlib import Path

import pytest
from conftest import BUILD, ROOT, TIMEOUT, XETRACKD, Client, sqlite

UNITS = [(where, kind) for where in ("user", "system") for kind in ("service", "socket")]


def analyze(runtime, *args):
    env = {"PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": str(runtime)}
    p = subprocess.run(["systemd-analyze", "--no-pager", *args], capture_output=True, text=True, env=env,
                       timeout=TIMEOUT)
    return p.returncode, p.stdout + p.stderr


@pytest.fixture
def units(runtime):
    """The units as an installation in the build directory would have them."""
    if not os.access(XETRACKD, os.X_OK):
        pytest.skip(f"{XETRACKD} is not built")
    for where, kind in UNITS:
        text = (ROOT / "systemd" / where / f"xetrackd@.{kind}.in").read_text()
        target = runtime / where / f"xetrackd@.{kind}"
        target.parent.mkdir(exist_ok=True)
        target.write_text(text.replace("@BINDIR@", str(Path(XETRACKD).parent)))
    return runtime


def setting(path, name):
    (value,) = [line.split("=", 1)[1] for line in path.read_text().splitlines() if line.startswith(name + "=")]
    return value


def command(path, name, **specifiers):
    """A setting's command line as systemd would run it."""
    def expand(word):
        word = word.replace("\\\\", "\\").replace("$$", "$")
        for letter, text in specifiers.items():
            word = word.replace("%" + letter, str(text))
        return word.replace("%%", "%")
    return [expand(word) for word in shlex.split(setting(path, name).lstrip("-"))]


@pytest.mark.parametrize("where, kind", UNITS)
def test_verify(units, where, kind):
    code, said = analyze(units, "verify", f"--{where}", "--man=no", str(units / where / f"xetrackd@.{kind}"))
    assert (code, said) == (0, "")


def test_exposure_of_the_system_service(units):
    code, said = analyze(units, "security", "--offline=true", "--threshold=20",
                         str(units / "system" / "xetrackd@.service"))
    assert code == 0, said


@pytest.mark.parametrize("where", ["user", "system"])
def test_built_units_name_the_installed_program(units, where):
    text = (BUILD / f"{where}-xetrackd@.service").read_text()
    assert "@BINDIR@" not in text
    assert "/bin/xetrackd " in text


def test_first_connection_starts_the_daemon(units, db):
    run = command(units / "user" / "xetrackd@.service", "ExecStart", f=db)
    where = units / "a.sock"
    p = subprocess.Popen(["systemd-socket-activate", "-l", str(where), *run], stderr=subprocess.PIPE, text=True)
    try:
        assert "Listening" in p.stderr.readline()
        assert not db.exists()
        with Client(where) as first, Client(where) as second:
            assert first.welcome["pid"] == second.welcome["pid"] == p.pid
            assert first.store({"a": 1}) == second.store({"a": 2}) == (1, 0)
            status = first.call("status")
            assert status["socket"] == str(where) and status["idle_exit_ms"] == 600000
        p.send_signal(signal.SIGTERM)
        assert p.wait(TIMEOUT) == 0, p.stderr.read()
    finally:
        if p.poll() is None:
            p.kill()
            p.wait()
    assert sqlite(db, "SELECT a FROM events ORDER BY a") == [(1,), (2,)]
    assert where.exists(), "the socket belongs to systemd, which listens on it for the next client"


@pytest.mark.parametrize("where", ["user", "system"])
def test_socket_unit_tells_clients_where_it_listens(units, where):
    """Its ExecStartPost writes the lock file, unless a daemon holds it or it says that it stays down."""
    unit = units / where / "xetrackd@.socket"
    lock = units / "xetrackd" / "b.db.lock"
    lock.parent.mkdir()
    names = dict(f=lock.with_suffix(""), i="b.db", I="b.db", t=units, S=units)
    run = command(unit, "ExecStartPost", **names)
    (socket,) = command(unit, "ListenStream", **names)

    subprocess.run(run, check=True, timeout=TIMEOUT)
    assert lock.read_text() == f"xetrackd 1\nsocket {socket}\nstate running\n"

    lock.write_text("xetrackd 1\nsocket /run/other\nstate down\n")
    subprocess.run(run, check=True, timeout=TIMEOUT)
    assert "/run/other" in lock.read_text()

    lock.write_text("xetrackd 1\npid 5\nsocket /run/other\nstate running\n")
    with lock.open("r+") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        assert subprocess.run(run, timeout=TIMEOUT).returncode == 1
        assert "/run/other" in lock.read_text()
    subprocess.run(run, check=True, timeout=TIMEOUT)
    assert "/run/other" not in lock.read_text()
