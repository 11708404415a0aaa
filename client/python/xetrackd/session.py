"""Connections of this process, shared by the Trackers and Readers of a database."""
from __future__ import annotations

import atexit
import logging
import os
import shutil
import sys
import tempfile
import threading
import time
from collections import deque
from multiprocessing import util as multiprocessing_util

from . import _xetrackd, plain
from .errors import RejectedRow, XetrackWarning

log = logging.getLogger("xetrackd")
_GRACE = 1.0  # seconds for what ends soon, or never

_built = os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../../xetrackd")
if os.path.isfile(_built):  # a package in its build directory, whose daemon is not installed
    os.environ.setdefault("XETRACKD", os.path.normpath(_built))

_lock = threading.Lock()
_open: dict[tuple, Session] = {}
_released: deque[Session] = deque()  # those of which one user less is still to be counted
_idle: Session | None = None  # the last one that was released: whoever makes a Tracker an item finds it again


class Session:
    """A connection and who uses it. `client` is the extension's, `path` the database's absolute path."""

    def __init__(self, key: tuple, path: str, read_only: bool, warnings: bool):
        self.key, self.path, self.users = key, path, 0
        self.client = _xetrackd.Client(path, read_only=read_only, convert=plain.convert,
                                       on_event=_warn if warnings else _log)

    def release(self) -> None:
        """One user less. The last one's connection is kept until another database's takes its place.

        Finalizers call it, which run anywhere: also while this thread holds the lock. Whoever holds it does the rest then."""
        _released.append(self)
        _settle()

    def close(self, failed: bool = False) -> None:
        """Flushes and closes."""
        try:
            self._close_client(failed)
        except (_xetrackd.Error, TimeoutError) as e:
            plain.warn(f"{self.path}: {e}")

    def _close_client(self, failed: bool) -> None:
        deadline = time.monotonic() + _GRACE
        while True:
            try:
                self.client.close(failed)
                return
            except RuntimeError:  # another thread is in a call; at the program's end it may never come back from it
                if time.monotonic() >= deadline:
                    self.client.flush(_GRACE)
                    return
            time.sleep(0.005)


class _Private(Session):
    """A connection to a database, and a daemon, of its own: both go with it. They belong to the process that made it."""

    def __init__(self, warnings: bool):
        _sweep()
        self._directory = tempfile.mkdtemp(prefix=f"{_prefix()}{os.getpid()}-")
        self._pid = os.getpid()
        path = os.path.join(self._directory, "memory.db")
        try:
            super().__init__((path, False, warnings), path, False, warnings)
        except BaseException:
            shutil.rmtree(self._directory, ignore_errors=True)
            raise

    def close(self, failed: bool = False) -> None:
        """Closes; then the daemon and its files go."""
        if self._pid != os.getpid():
            super().close(failed)
            return
        daemon = self._daemon()
        try:
            self.client.shutdown()
        except (_xetrackd.Error, TimeoutError, ValueError) as e:
            log.debug("the private daemon did not stop: %s", e)
        try:
            super().close(failed)
        finally:
            shutil.rmtree(self._directory, ignore_errors=True)
            _reap(daemon)

    def _daemon(self) -> int | None:
        """Its process, as its lock file has it."""
        try:
            with open(self.path + ".lock") as f:
                return next((int(line.split()[1]) for line in f if line.startswith("pid ")), None)
        except (OSError, ValueError, IndexError):
            return None


def _reap(pid: int | None) -> None:
    """Asks how a daemon ended whose parent has become this process, as that of orphans in a container is: else it stays a zombie."""
    deadline = time.monotonic() + _GRACE
    try:
        while pid and os.waitpid(pid, os.WNOHANG) == (0, 0) and time.monotonic() < deadline:
            time.sleep(0.005)
    except OSError:  # it is nobody's child here
        pass


def _settle() -> None:
    """Counts what was released."""
    while _released and not _lock.locked():
        with _lock:  # unlike acquire() and try, which a signal handler that raises may come between
            unused = _one_user_less(_released.popleft()) if _released else None
        if unused is not None:
            unused.close()


def _one_user_less(session: Session) -> Session | None:
    """The connection that is to be closed for it, if any. The lock is held."""
    global _idle
    session.users -= 1
    if session.users > 0 or _open.get(session.key) is not session:
        return None
    unused: Session | None = session
    if not isinstance(session, _Private):
        unused, _idle = _idle, session
        if unused is None or unused is session or unused.users > 0:
            return None
    assert unused is not None
    if _open.get(unused.key) is unused:
        del _open[unused.key]
    return unused


def acquire(db: str | os.PathLike[str], read_only: bool = False, warnings: bool = True) -> Session:
    """A connection to a database, which a Tracker's daemon creates where it is missing.

    read_only: never creates it; FileNotFoundError. warnings: rejected rows and warnings of the daemon become Python warnings,
    else they are only logged. ":memory:" is a database and a daemon of its own, which end with the session. release() it.
    """
    text = os.fspath(db)
    if text == ":memory:":
        return _acquire_private(warnings)
    path = os.path.abspath(text)
    if read_only and not os.path.exists(path):
        raise FileNotFoundError(f"no such database: '{path}'")
    parent = os.path.dirname(path)
    if not read_only:
        os.makedirs(parent, exist_ok=True)
    key = (os.path.realpath(path), read_only, warnings)
    try:
        with _lock:
            session = _open.get(key)
            if session is None or session.client.closed:
                session = _open[key] = Session(key, path, read_only, warnings)
            session.users += 1
            return session
    finally:
        _settle()


def send_others(session: Session) -> None:
    """Sees to it that this connection reads what others of this process have logged to the same database: the daemon knows of what was
    sent, but the kernel may not have taken all of it yet, and the rest would wait for the next call."""
    with _lock:
        others = [s for key, s in _open.items() if key[0] == session.key[0] and s is not session]
    for other in others:
        try:
            if other.client.pending:
                next(other.client.query("SELECT 1"))  # answered when all is stored; flush() would tell of rejected rows only once
        except (_xetrackd.Error, ValueError):
            if other.users > 0 and not other.client.closed:  # else nobody's: it may be of a file that is gone
                raise


def _acquire_private(warnings: bool) -> Session:
    session = _Private(warnings)
    session.users = 1
    with _lock:
        _open[session.key] = session
    return session


def _prefix() -> str:
    """Of the names of our private databases' directories. A process id tells something within its namespace only: containers may
    share a temporary directory."""
    try:
        return f"xetrackd-{os.stat('/proc/self/ns/pid').st_ino}-"
    except OSError:
        return "xetrackd-0-"


def _sweep() -> None:
    """Removes what private databases of killed processes left; their daemons leave when they notice."""
    where, prefix = tempfile.gettempdir(), _prefix()
    try:
        names = os.listdir(where)
    except OSError:
        return
    for name in names:
        pid = name.removeprefix(prefix).partition("-")[0]
        if not name.startswith(prefix) or not pid.isdigit():
            continue
        path = os.path.join(where, name)
        try:
            if os.stat(path).st_uid == os.getuid():
                os.kill(int(pid), 0)
        except ProcessLookupError:
            shutil.rmtree(path, ignore_errors=True)
        except OSError:
            pass


# ---- events ---------------------------------------------------------------------

def _warn(kind: str, code: str, message: str, field: str, seq: int) -> None:
    plain.warn(f"{code}: {message}" if code else message, RejectedRow if kind == "reject" else XetrackWarning)
    _log(kind, code, message, field, seq, logging.DEBUG)


def _log(kind: str, code: str, message: str, field: str, seq: int, level: int = logging.WARNING) -> None:
    log.log(level, "%s%s: %s", "row rejected: " if kind == "reject" else "", code, message)


# ---- the process's end ------------------------------------------------------------

def _forked() -> None:
    global _lock
    _lock = threading.Lock()  # whoever held it is not here


def close_all() -> None:
    """Runs that are still open have failed when an exception ended the program."""
    failed = getattr(sys, "last_value", None) is not None and not hasattr(sys, "ps1")
    with _lock:
        sessions = list(_open.values())
        _open.clear()
    errors = []
    for session in sessions:
        try:
            session.close(failed)
        except Exception as e:  # also a warning that is one; the others are to be closed all the same
            errors.append(e)
    if errors:
        raise errors[0]


def _in_worker(_: object) -> None:
    """A process of multiprocessing ends without atexit, but runs these."""
    multiprocessing_util.Finalize(None, close_all, exitpriority=1)


os.register_at_fork(after_in_child=_forked)
multiprocessing_util.register_after_fork(log, _in_worker)
atexit.register(close_all)
