"""Runs a function over many inputs by worker processes, each call tracked and cached: what Tracker.map() does.

A worker that dies costs its input one try, not the run: concurrent.futures gives up the whole pool then. There are no threads;
the parent sleeps until a worker has something to say or has died.
"""
from __future__ import annotations

import asyncio
import inspect
import itertools
import multiprocessing
import multiprocessing.connection
import multiprocessing.resource_tracker
import pickle
import signal
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sized
from types import FrameType
from typing import Any

from . import plain, session
from .progress import Silent, progress_of

__all__ = ["map", "WorkerDied"]

_GRACE = 5.0  # seconds that workers have to end when they are told to
_HELD_BACK = {signal.SIGINT, signal.SIGTERM}  # until a worker knows what to do with them
_FAILED_STARTS = 3  # workers in a row that die before they are ready


class WorkerDied(RuntimeError):
    """The worker process of an input died, at every try. `index`: the input's, from 0; `exitcode`: of the last worker, -9 for
    SIGKILL; `attempts`: how many workers tried."""

    def __init__(self, index: int, exitcode: int, attempts: int) -> None:
        super().__init__(index, exitcode, attempts)
        self.index, self.exitcode, self.attempts = index, exitcode, attempts

    def __str__(self) -> str:
        tries = "once" if self.attempts == 1 else f"{self.attempts} times"
        return f"input {self.index}: its worker process died {tries}, the last one {_fate(self.exitcode)}"


class _RemoteTraceback(Exception):
    """The traceback of an exception in a worker, as its cause."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


def map(tracker: Any, func: Callable[[Any], Any], inputs: Iterable[Any], workers: int = 8, progress: bool = True,
        retries: int = 2, chunksize: int = 1, start_method: str | None = None, raise_on_error: bool | None = None,
        **track_options: Any) -> list[Any]:
    """[tracker.track(func, args=[x]) for x in inputs], by worker processes.

    Each worker has a copy of the tracker that goes on with the same run. With a cache an input that was computed before, by any
    worker of any run, is not computed again.

    inputs: read as workers become free, so a generator may be endless as far as memory goes; results are kept, in order.
    workers: processes at most; no more than there are inputs.
    progress: shows on standard error what is done, the rate, the time left, hits and failures: a bar on a terminal (tqdm's where
        that is installed), else a line every few seconds.
    retries: how often an input is tried again whose worker died (killed, out of memory, a segmentation fault).
    chunksize: inputs that a worker gets at a time; more than 1 pays off where a call takes less than a millisecond.
    start_method: "fork", "spawn" or "forkserver"; None: what multiprocessing is set to. With the latter two a script needs its
        `if __name__ == "__main__":`.
    raise_on_error: None: as the tracker has it. True: after one whose function raised no more inputs are given out; what workers
        have is waited for, then that exception is raised; where workers died for an input at every try, WorkerDied is raised at the end, with
        the other results in its attribute `results`. False: the result is None in place of a function's exception, and the
        WorkerDied itself.
    track_options: further arguments of tracker.track(), such as params or cache_force.

    func, inputs and results go from process to process by pickle, or cloudpickle where that is needed and installed; TypeError
    for what neither takes. Ctrl-C ends the workers and is raised.
    """
    if workers < 1 or chunksize < 1 or retries < 0:
        raise ValueError("workers and chunksize are at least 1, retries at least 0")
    if raise_on_error is None:
        raise_on_error = bool(tracker.raise_on_error)
    method = start_method or multiprocessing.get_start_method(allow_none=True) or multiprocessing.get_all_start_methods()[0]
    job = _dumps((tracker, func, track_options, raise_on_error), "the function", _by_value(func, method))
    total = len(inputs) if isinstance(inputs, Sized) else None
    shown = progress_of(getattr(func, "__name__", type(func).__name__), total) if progress else Silent()
    pool = _Pool(multiprocessing.get_context(method), job, workers, retries, raise_on_error, shown)
    try:
        return pool.run(_chunks(inputs, chunksize))
    except BaseException:
        pool.stop()
        raise
    finally:
        shown.close()


# ---- pickles -----------------------------------------------------------------


def _by_value(func: Any, method: str) -> bool:
    """Whether a function is sent with its code: a spawned worker finds no __main__ of an interpreter's prompt."""
    return (method != "fork" and getattr(func, "__module__", None) == "__main__"
            and not hasattr(sys.modules["__main__"], "__file__"))


def _dumps(value: Any, what: str, by_value: bool = False) -> bytes:
    why: Exception = TypeError("it is defined at the interpreter's prompt")
    if not by_value:
        try:
            return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
        except Exception as e:  # pickling runs anybody's code
            why = e
    try:
        import cloudpickle
    except ImportError:
        raise TypeError(f"{what} cannot be sent to another process: {why}. Define it at the top level of a module, or install "
                        f"cloudpickle (apt-get install python3-cloudpickle, or pip install cloudpickle)") from why
    try:
        return cloudpickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    except Exception as e:
        raise TypeError(f"{what} cannot be sent to another process: {e}") from e


# ---- the worker's side -------------------------------------------------------
#
# To a worker go lists of (index, pickled input), and None at the end. From it come ("ready",), then for each input
# (index, kind, payload, hit): kind "result", "error" (an exception that map raises) or "failed" (one that is only counted).


def _worker(conn: Any, others: list[Any], job: bytes) -> None:
    """A worker process from its begin to its end. others: the parent's ends of pipes, which fork has copied here."""
    for other in others:
        other.close()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGINT, _ignore)  # Ctrl-C reaches the whole group; the parent says what comes of it
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD_BACK)
        try:
            tracker, func, options, raise_on_error = pickle.loads(job)
            tracker.raise_on_error = raise_on_error
        except Exception as e:
            conn.send(("broken", _pickled_error(e)))
            return
        conn.send(("ready",))
        while (chunk := conn.recv()) is not None:
            for index, data in chunk:
                conn.send((index, *_call(tracker, func, data, options)))
        tracker.close()
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # the parent is gone
    except KeyboardInterrupt:
        pass
    finally:
        session.close_all()  # a worker of a fork server runs no exit handlers


def _ignore(_: int, __: FrameType | None) -> None:
    """Unlike SIG_IGN it is not handed down to programs that the function starts."""


def _interrupt(_: int, __: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    raise KeyboardInterrupt("the pool was stopped")


def _call(tracker: Any, func: Any, data: bytes, options: dict[str, Any]) -> tuple[str, bytes, bool]:
    try:
        value = pickle.loads(data)
        tracker.latest = {}
        result = tracker.track(func, args=[value], **options)
        if inspect.iscoroutine(result):
            result = asyncio.run(result)
    except KeyboardInterrupt:
        raise
    except BaseException as e:
        return "error", _pickled_error(e), False
    row = tracker.latest
    hit = bool(row.get("cache"))
    try:
        return "failed" if row.get("error_type") else "result", _dumps(result, "the result"), hit
    except TypeError as e:
        return "error", _pickled_error(e), hit


def _pickled_error(error: BaseException) -> bytes:
    """An exception and its traceback. One that cannot be pickled becomes a RuntimeError with its text."""
    text = "".join(traceback.format_exception(error))
    try:
        data = _dumps((error, text), "the exception")
        pickle.loads(data)  # exceptions with arguments of their own often fail here
        return data
    except Exception:
        return pickle.dumps((RuntimeError(f"{type(error).__qualname__}: {plain.text_of(error)}"), text))


# ---- the parent's side -------------------------------------------------------


class _Chunk:
    """Inputs that go to a worker together; `left`: those without a result."""

    def __init__(self, left: Iterable[tuple[int, bytes, int]]) -> None:
        self.left = deque(left)  # (index, pickled input, workers that died of it)


class _Worker:
    """A process, its pipe, and what it is working on. It gets its first chunk once it is ready."""

    def __init__(self, context: Any, job: bytes, others: list[_Worker], chunk: _Chunk) -> None:
        self.conn, theirs = context.Pipe()
        inherited = [w.conn for w in others] + [self.conn] if context.get_start_method() == "fork" else []
        self.process = context.Process(target=_worker, args=(theirs, inherited, job))
        self.ready = False
        self.chunk: _Chunk | None = chunk
        held_back = set() if context.get_start_method() == "forkserver" else _HELD_BACK  # the server would keep them so
        if context.get_start_method() == "spawn":
            multiprocessing.resource_tracker.ensure_running()  # which lets these signals through when it starts
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, held_back)
        try:
            self.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            theirs.close()

    def send(self) -> None:
        assert self.chunk is not None
        try:
            self.conn.send([(index, data) for index, data, _ in self.chunk.left])
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has died: its pipe says so next

    def end(self) -> None:
        try:
            self.conn.send(None)
        except (BrokenPipeError, ConnectionResetError):
            pass


class _Pool:
    def __init__(self, context: Any, job: bytes, size: int, retries: int, raise_on_error: bool, shown: Silent) -> None:
        self.context, self.job, self.size, self.retries = context, job, size, retries
        self.raise_on_error, self.shown = raise_on_error, shown
        self.workers: list[_Worker] = []
        self.again: deque[_Chunk] = deque()  # of workers that died
        self.results: dict[int, Any] = {}
        self.error: BaseException | None = None  # the first that is to be raised
        self.dead: list[WorkerDied] = []
        self.failed_starts = 0

    def run(self, chunks: Iterator[_Chunk]) -> list[Any]:
        idle: list[_Worker] = []
        more = True
        while True:
            while more and self.error is None and (idle or len(self.workers) < self.size):
                chunk = self._next_chunk(chunks)
                if chunk is None:
                    more = False
                elif idle:
                    worker = idle.pop()
                    worker.chunk = chunk
                    worker.send()
                else:
                    self.workers.append(_Worker(self.context, self.job, self.workers, chunk))
            if all(w.chunk is None for w in self.workers) and (self.error is not None or not self.again):
                break
            for worker in self._heard():
                self._hear(worker)
            more = more or bool(self.again)
            idle = [w for w in self.workers if w.ready and w.chunk is None]
        self._end()
        if self.error is not None:
            raise self.error
        results = [self.results[i] for i in range(len(self.results))]
        if self.dead and self.raise_on_error:
            first = min(self.dead, key=lambda e: e.index)
            first.results = results  # type: ignore[attr-defined]
            if len(self.dead) > 1:
                first.add_note(f"and so did those of {len(self.dead) - 1} more inputs")
            raise first
        return results

    def _next_chunk(self, chunks: Iterator[_Chunk]) -> _Chunk | None:
        if self.again:
            return self.again.popleft()
        return next(chunks, None)

    def _heard(self) -> list[_Worker]:
        """Workers that have sent something, or died: their pipes are readable, or closed."""
        by_conn = {w.conn: w for w in self.workers}
        return [by_conn[c] for c in multiprocessing.connection.wait(list(by_conn))]

    def _hear(self, worker: _Worker) -> None:
        try:
            message = worker.conn.recv()
        except (EOFError, OSError):  # an OSError of its own kind tells of one that died in the middle of a message
            self._died(worker)
            return
        if message[0] == "ready":
            worker.ready, self.failed_starts = True, 0
            worker.send()
        elif message[0] == "broken":
            raise _error(message[1])
        else:
            self._take(worker, *message)

    def _take(self, worker: _Worker, index: int, kind: str, payload: bytes, hit: bool) -> None:
        assert worker.chunk is not None
        worker.chunk.left.popleft()
        if not worker.chunk.left:
            worker.chunk = None
        if kind == "error":
            self.results[index] = None
            self.error = self.error or _error(payload)
        else:
            self._take_result(index, payload)
        self.shown.add(hit, kind != "result")

    def _take_result(self, index: int, payload: bytes) -> None:
        self.results[index] = None
        try:
            self.results[index] = pickle.loads(payload)
        except Exception as e:  # unpickling runs anybody's code; what other workers have is waited for all the same
            e.add_note(f"input {index}: its result cannot be loaded here")
            self.error = self.error or e

    def _died(self, worker: _Worker) -> None:
        worker.process.join()
        worker.conn.close()
        self.workers.remove(worker)
        exitcode = worker.process.exitcode
        if not worker.ready:
            self.failed_starts += 1
            if self.failed_starts >= _FAILED_STARTS:
                raise RuntimeError(f"worker processes end before they begin to work, the last one {_fate(exitcode)}; does the "
                                   f"script call map() under `if __name__ == \"__main__\":`?")
        if worker.chunk is None:
            return
        left = worker.chunk.left
        if worker.ready:
            index, data, attempts = left.popleft()
            if attempts + 1 <= self.retries:
                left.appendleft((index, data, attempts + 1))
            else:
                died = self.results[index] = WorkerDied(index, exitcode, attempts + 1)
                self.dead.append(died)
                self.shown.add(False, True)
        if left:
            self.again.append(_Chunk(left))

    def _end(self) -> None:
        """All is done: workers store what they have logged, and end."""
        for worker in self.workers:
            worker.end()
        for worker in self.workers:
            worker.process.join()
            worker.conn.close()
        self.workers.clear()

    def stop(self) -> None:
        """Ends the workers, whatever they do, and waits for them."""
        try:
            for worker in self.workers:
                if worker.process.pid is not None:
                    worker.process.terminate()
            deadline = time.monotonic() + _GRACE
            for worker in self.workers:
                worker.process.join(max(0.0, deadline - time.monotonic()))
        finally:
            for worker in self.workers:
                if worker.process.pid is not None:
                    worker.process.kill()
                    worker.process.join()
                worker.conn.close()


def _chunks(inputs: Iterable[Any], size: int) -> Iterator[_Chunk]:
    numbered = ((i, _dumps(value, f"input {i}"), 0) for i, value in enumerate(inputs))
    while chunk := list(itertools.islice(numbered, size)):
        yield _Chunk(chunk)


def _error(data: bytes) -> BaseException:
    try:
        error, text = pickle.loads(data)
    except Exception as e:
        return RuntimeError(f"a worker's exception cannot be loaded here: {type(e).__name__}: {plain.text_of(e)}")
    error.__cause__ = _RemoteTraceback(text)
    return error


def _fate(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        try:
            return f"killed by signal {-exitcode} ({signal.Signals(-exitcode).name})"
        except ValueError:
            return f"killed by signal {-exitcode}"
    return f"with exit status {exitcode}"
