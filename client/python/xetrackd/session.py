"""Connections of this process, shared by the Trackers and Readers of a database."""
from __future__ import annotations

import atexit
import logging
import os
import shutil
import sys
import tempfile
import threading
from collections import deque
from multiprocessing import util as multiprocessing_util

from . import _xetrackd, plain
from .errors import RejectedRow, XetrackWarning

log = logging.getLogger("xetrackd")

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
        self.private: str | None = None  # a directory that goes with it
        self.client = _xetrackd.Client(path, read_only=read_only, convert=plain.convert,
                                       on_event=_warn if warnings else _log)

    def release(self) -> None:
        """One user less. The last one's connection is kept until another database's takes its place.

        Finalizers call it, which run anywhere: also while this thread holds the lock. Whoever holds it does the rest then."""
        _released.append(self)
        _settle()

    def close(self, failed: bool = False) -> None:
        """Flushes and closes; with a private database, its daemon and its files go."""
        try:
            if self.private is not None and self.private_pid == os.getpid():
                self.client.shutdown()
        except _xetrackd.Error as e:
            log.debug("the private daemon did not stop: %s", e)
        try:
            self.client.close(failed)
        except (_xetrackd.Error, TimeoutError) as e:
            plain.warn(f"{self.path}: {e}")
        finally:
            if self.private is not None and self.private_pid == os.getpid():
                shutil.rmtree(self.private, ignore_errors=True)


def _settle() -> None:
    """Counts what was released."""
    while _released and _lock.acquire(blocking=False):
        try:
            unused = _one_user_less(_released.popleft()) if _released else None
        finally:
            _lock.release()
        if unused is not None:
            unused.close()


def _one_user_less(session: Session) -> Session | None:
    """The connection that is to be closed for it, if any. The lock is held."""
    global _idle
    session.users -= 1
    if session.users > 0 or _open.get(session.key) is not session:
        return None
    unused: Session | None = session
    if session.private is None:
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
    _sweep()
    directory = tempfile.mkdtemp(prefix=f"xetrackd-{os.getpid()}-")
    path = os.path.join(directory, "memory.db")
    try:
        session = Session((path, False, warnings), path, False, warnings)
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        raise
    session.private, session.private_pid, session.users = directory, os.getpid(), 1
    with _lock:
        _open[session.key] = session
    return session


def _sweep() -> None:
    """Removes what private databases of killed processes left; their daemons leave when they notice."""
    where = tempfile.gettempdir()
    for name in os.listdir(where):
        parts = name.split("-")
        if len(parts) < 3 or parts[0] != "xetrackd" or not parts[1].isdigit():
            continue
        path = os.path.join(where, name)
        try:
            if os.stat(path).st_uid == os.getuid():
                os.kill(int(parts[1]), 0)
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
    for session in sessions:
        session.close(failed)


def _in_worker(_: object) -> None:
    """A process of multiprocessing ends without atexit, but runs these."""
    multiprocessing_util.Finalize(None, close_all, exitpriority=1)


os.register_at_fork(after_in_child=_forked)
multiprocessing_util.register_after_fork(log, _in_worker)
atexit.register(close_all)
