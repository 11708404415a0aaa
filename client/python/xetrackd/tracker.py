"""Tracker: logs rows and tracked calls of one run."""
from __future__ import annotations

import copy
import functools
import inspect
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from . import _xetrackd, calls, canon, plain, session
from .table import Table, check_engine, quote
from .tracking import AUTO, Options, Tracked, version_of

BATCH_ROWS = 10_000


class Tracker(Table):
    """Logs rows of one run to a table of a database, and function calls, which are cached.

    Any number of processes and threads may have Trackers on one database: a daemon, which the first one starts, alone writes it. A
    Tracker that was pickled, or inherited by fork, goes on with the same run.

    db: the database's file, which is created; ":memory:" a private one that ends with the Tracker; Tracker.SKIP_INSERT none:
        rows are only given to the logger.
    params: columns of every row, and part of the key of cached calls.
    table: of the rows. A table comes with its first row, a column with its first value.
    engine: "sqlite" or "duckdb": how reads are run. Writing is the same.
    cache: anything true: results of track() come from the cache, which lies beside the database, `<db>.cache/`. A path
        becomes a symbolic link to it, where nothing is there yet.
    track_id: goes on with this run, or names it; None: the database allots a name.
    raise_on_error: exceptions of tracked functions are raised after they were logged; else track() returns None.
    log_system_params, log_network_params: the daemon adds what the worker's process and machine used, sampled every
        `measurement_interval` seconds: docs/python.md has the columns.
    reset: begins with an empty table.
    warnings: rejected rows, and what was stored otherwise than given, become Python warnings; else they are only logged
        by the logger "xetrackd".
    git_root: adds the parameter `git_commit_hash` of that work tree.
    logs_path, logs_file_format, logs_stdout, jsonl: also write each row there: a directory of daily files, standard output,
        a file of JSON lines.
    compress: accepted; assets are always compressed.
    round_floats: reals in keys of cached calls are rounded to so many decimals.
    trust: also load cached results that other users have pickled.
    """

    IN_MEMORY = ":memory:"
    SKIP_INSERT = "SKIP_INSERT"

    def __init__(self, db: str | os.PathLike[str] = "track.db", params: dict[str, Any] | None = None, reset: bool = False,
                 log_system_params: bool = False, log_network_params: bool = False, raise_on_error: bool = True,
                 measurement_interval: float = 1, track_id: str | None = None, logs_path: str | None = None,
                 logs_file_format: str | None = None, logs_stdout: bool = False, jsonl: str | None = None,
                 cache: str | os.PathLike[str] | bool | None = None, compress: bool = False, warnings: bool = True,
                 git_root: str | None = None, engine: str = "sqlite", table: str = "events", *,
                 round_floats: int | None = None, trust: bool = False):
        check_engine(engine)
        self.params: dict[str, Any] = params if params is not None else {}
        if git_root is not None:
            self.params["git_commit_hash"] = _git_commit(git_root)
        super().__init__(db, table)
        self.engine = engine
        self.log_system_params, self.log_network_params = log_system_params, log_network_params
        self.measurement_interval, self.raise_on_error = measurement_interval, raise_on_error
        self.warnings, self.git_root, self.compress = warnings, git_root, compress
        self.round_floats, self.trust = round_floats, trust
        self.latest: dict[str, Any] = {}
        self.jsonl_path = jsonl
        self.skip_insert = self.db == self.SKIP_INSERT
        self._cached = bool(cache)
        self._logs = (logs_path, logs_file_format, logs_stdout, jsonl)
        self.logger = _logger(*self._logs)
        self._run: _xetrackd.Run | None = None  # the handle that is logged through
        self._started: _xetrackd.Run | None = None  # the one whose end is the run's
        self.cache_path: str | None = None
        if self.skip_insert:
            self._track_id = track_id or self.generate_track_id()
            return
        self._session = session.acquire(self.db, warnings=warnings)
        if cache:
            self.cache_path = self._session.path + ".cache"
            _link_cache(cache, self.cache_path)
        if reset:
            self._reset()
        self._open_run(track_id, join=False)

    # ---- the run ----------------------------------------------------------------

    def _open_run(self, track_id: str | None, join: bool) -> None:
        sampled = self.log_system_params or self.log_network_params
        sample_ms = max(1, round(self.measurement_interval * 1000)) if sampled else 0
        sent = {k: _as_it_is(v) for k, v in self.params.items()}
        shown = {str(k): _shown_param(v) for k, v in sent.items()}
        if join:
            assert track_id is not None
            opened = self._client.join_run(self.table_name, track_id, shown, sample_ms=sample_ms, sample_network=self.log_network_params)
        else:
            opened = self._started = self._client.start_run(self.table_name, track_id, shown, sample_ms=sample_ms,
                                                            sample_network=self.log_network_params)
        self._run, self._sent_params, self._track_id = opened, sent, opened.track_id

    def _handle(self) -> _xetrackd.Run:
        """The run's handle, with the parameters as they are now."""
        if self._run is None:
            self._client  # says why
        if self._params_changed():
            self._open_run(self._track_id, join=True)
        assert self._run is not None
        return self._run

    def _params_changed(self) -> bool:
        """Since the run's handle was made."""
        try:
            return bool(self.params != self._sent_params)
        except Exception:  # arrays have no such answer
            return True

    @property
    def track_id(self) -> str:
        """Name of the run. Assigned, the tracker goes on with that run."""
        return self._track_id

    @track_id.setter
    def track_id(self, value: str) -> None:
        if self.skip_insert:
            self._track_id = value
        else:
            self._open_run(value, join=True)

    @property
    def _client(self) -> _xetrackd.Client:
        if self._session is None:
            raise ValueError("nothing is inserted: db is SKIP_INSERT" if self.skip_insert else "the tracker was closed")
        return self._session.client

    @property
    def cache(self) -> bool:
        """Whether results of track() come from the cache."""
        return self._cached

    def flush(self, timeout: float | None = None) -> None:
        """Waits until all that was logged is on disk: seconds, None for ever. Error with the status XT_EREJECTED: rows were
        rejected since the last flush; TimeoutError."""
        self._client.flush(timeout)

    def close(self, failed: bool = False) -> None:
        """Ends the run, as finished or failed, and gives the connection back. Twice is no harm.

        A Tracker that joined the run, as in a worker, leaves its end to the one that started it."""
        if self._session is None:
            return
        held, self._session = self._session, None
        started, self._started, self._run = self._started, None, None
        try:
            self._close_conn()
            if started is not None and not held.client.closed:
                started.finish(failed)
        finally:
            held.release()

    def __enter__(self) -> Tracker:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close(failed=kind is not None)

    def __del__(self) -> None:
        held = getattr(self, "_session", None)
        if held is not None and not sys.is_finalizing():  # then all was closed by close_all()
            self._session = self._run = self._started = None  # a started run ends as finished
            held.release()

    def __reduce__(self) -> tuple:
        state = {k: v for k, v in self.__dict__.items() if k not in ("_session", "_run", "_started", "_conns", "logger")}
        return _rejoin, (type(self), None if self._session is None else self._session.path, state)

    # ---- rows ---------------------------------------------------------------------

    def log(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Logs a row: the parameters, `data` over them. Returns it with its timestamp and track_id; does not wait for the disk.

        What becomes of values that are no plain ones: docs/python.md."""
        if not data:
            return {}
        run = self._run
        if run is None or self._params_changed():
            if self.skip_insert:
                return self._logged(self._as_row(data), "MONITOR")
            run = self._handle()
        try:
            row = run.log(data, self.params)
        except plain.NoPlainForm:
            stored = run.log(plain.with_assets(run, data), self.params)
            row = {**stored, **{k: v for k, v in data.items() if k not in ("timestamp", "track_id")}, **_assets_in(stored, data)}
        if self.logger is not None:
            return self._logged(row, "MONITOR")
        self.latest = row
        return row

    def log_batch(self, data: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
        """Logs many rows, which is faster than one by one. Returns the last; {} of none. Values that cannot be stored raise before any
        row of their 10,000 is logged."""
        rows = list(data)
        if not rows:
            return {}
        if self.skip_insert:
            return [self._logged(self._as_row(row), "MONITOR") for row in rows][-1]
        run = self._handle()
        row: dict[str, Any] = {}
        for piece in (rows[i:i + BATCH_ROWS] for i in range(0, len(rows), BATCH_ROWS)):  # of each all rows are logged, or none
            try:
                row = run.log_rows(piece, self.params)
            except plain.NoPlainForm:
                row = run.log_rows([plain.with_assets(run, r) for r in piece], self.params)
        if self.logger is not None:
            for each in rows[:-1]:
                self.logger.monitor({**self.params, **each, "timestamp": row["timestamp"], "track_id": self._track_id})
            return self._logged(row, "MONITOR")
        self.latest = row
        return row

    def _as_row(self, data: Mapping[str, Any]) -> dict[str, Any]:
        return {**self.params, **data, "timestamp": self.get_timestamp(), "track_id": self._track_id}

    def _logged(self, row: dict[str, Any], level: str) -> dict[str, Any]:
        if self.logger is not None:
            (self.logger.monitor if level == "MONITOR" else self.logger.track)(row)
        self.latest = row
        return row

    # ---- calls ----------------------------------------------------------------------

    def track(self, func: Callable[..., Any], params: Mapping[str, Any] | None = None, args: Sequence[Any] | None = None,
              kwargs: Mapping[str, Any] | None = None, cache_force: bool = False, *, version: str | None = None,
              round_floats: int | None = None, name: str | None = None, read_only: bool = False,
              wait: float | None = None) -> Any:
        """Calls func(*args, **kwargs), logs a row of it, and returns its result; a coroutine of it for an async function.

        With a cache each call is executed once, whatever number of workers meets it: the others wait for the result. The key is made
        of the function's name, `version`, its arguments and all parameters (docs/cache.md, docs/python.md).

        params: columns of this row, and part of the key.
        cache_force: compute anew and overwrite.
        read_only: take what is in the cache; else compute, and keep nothing.
        version: of the function, in the key.
        round_floats: reals in the key are rounded to so many decimals; None: as the Tracker says.
        name: the function's, in row and key, in place of its own.
        wait: seconds to wait for another worker that computes the same; None: for ever. TimeoutError.
        """
        options = Options(cache_force, version, round_floats, name, read_only, wait)
        return Tracked(self, func, params, tuple(args or ()), dict(kwargs or {}), options).run()

    def wrap(self, params: Any = None, *, version: Any = AUTO, round_floats: int | None = None, name: str | None = None,
             cache_force: bool = False) -> Callable[..., Any]:
        """A decorator: calls of the function are tracked as by track(). For functions, methods and async functions; their name and
        docstring stay. version: by default a digest of the source, so that a changed function is computed anew; None: none."""
        if callable(params) and not isinstance(params, Mapping):
            return self.wrap()(params)  # @tracker.wrap without parentheses
        options = Options(cache_force, version, round_floats, name)

        def decorate(func: Callable[..., Any]) -> Callable[..., Any]:
            if inspect.iscoroutinefunction(func):
                @functools.wraps(func)
                async def tracked_async(*args: Any, **kwargs: Any) -> Any:
                    return await Tracked(self, func, params, args, kwargs, options).run()
                return tracked_async

            @functools.wraps(func)
            def tracked(*args: Any, **kwargs: Any) -> Any:
                return Tracked(self, func, params, args, kwargs, options).run()
            return tracked
        return decorate

    def cached(self, func: Callable[..., Any], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None, default: Any = None,
               *, params: Mapping[str, Any] | None = None, version: Any = None, round_floats: int | None = None,
               name: str | None = None) -> Any:
        """What the cache has for a call, or `default`: nothing is computed, logged or waited for."""
        inner, all_args, all_kwargs = calls.unwrap(func, tuple(args), dict(kwargs or {}))
        function = calls.function_of(inner)
        bound = function.bind(all_args, all_kwargs)
        if bound is None:
            return default
        version = version_of(version, function, inner)
        all_params = {**self.params, **params} if params else self.params
        entry = self._client.cache_get(self._client.cache_key(
            name or function.key, bound, all_params, version,
            round_floats if round_floats is not None else self.round_floats, canon.convert))
        return default if entry is None else calls.decode(entry.value, entry.encoding, entry.uid, self.trust)

    def map(self, func: Callable[[Any], Any], inputs: Iterable[Any], workers: int = 8, progress: bool = True,
            **options: Any) -> list[Any]:
        """func over inputs by worker processes, each call tracked and cached: see xetrackd.pool.map for the options."""
        from . import pool
        return pool.map(self, func, inputs, workers=workers, progress=progress, **options)

    # ---- changes -----------------------------------------------------------------------

    def set_param(self, key: str, value: Any) -> str:
        """A parameter of the rows to come."""
        self.params[key] = value
        return key

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Parameters of the rows to come."""
        self.params.update(params)

    def set_value(self, key: str, value: Any) -> None:
        """Sets a column in all rows of this run, also those that are logged already."""
        self._set(key, self._storable(key, value), self._track_id)

    def set_where(self, key: str, value: Any, where_key: str, where_value: Any) -> None:
        """Sets a column in the rows of this run whose column `where_key` has that value."""
        self._set(key, self._storable(key, value), self._track_id, where_key, where_value)

    def add_column(self, key: str, value: Any) -> Any:
        """Adds a column of the type of `value`, and returns that."""
        self._client.flush()
        kind = {bool: "BOOLEAN", int: "INTEGER", float: "REAL", str: "TEXT", bytes: "BLOB"}.get(type(plain.settle(value)), "")
        table, known = quote(self.table_name), {name.lower() for name in self.dtypes}
        if not known:
            self._client.execute(f"CREATE TABLE IF NOT EXISTS {table}(track_id TEXT, timestamp TEXT, {quote(key)} {kind})")
        elif key.lower() not in known:
            self._client.execute(f"ALTER TABLE {table} ADD COLUMN {quote(key)} {kind}")
        return value

    def _storable(self, key: str, value: Any) -> Any:
        return plain.with_assets(self._handle(), {key: value})[key]

    def _reset(self) -> None:
        """Drops the table: every run's rows in it, but no run. Others' Trackers make it anew with their next row."""
        self._client.execute(f"DROP TABLE IF EXISTS {quote(self.table_name)}")

    # ---- assets ---------------------------------------------------------------------------

    def get(self, key: str) -> Any:
        """The object that was stored as an asset with this hash, or else under this key (the column's name): the newest of this run, or
        of any. None: there is none. Unpickles it: only for databases that one trusts."""
        return self._asset(key, self._track_id)

    # ---- reading ----------------------------------------------------------------------------

    def _select(self, what: str = "*", all: bool = True, tail: str = "", args: tuple = ()) -> _xetrackd.Cursor | None:
        """A query on the table; None: it is not there yet."""
        where = "" if all else " WHERE track_id = ?"
        args = args if all else (self._track_id, *args)
        try:
            return self._client.query(f"SELECT {what} FROM {quote(self.table_name)}{where} {tail}", args)
        except _xetrackd.Error as e:
            if e.code == "sql_error" and "no such table" in str(e):
                return None
            raise

    def _frame(self, cursor: _xetrackd.Cursor | None) -> Any:
        from . import frames
        return frames.frame(cursor)

    def to_df(self, all: bool = False) -> Any:
        """The rows of this run, or all, as a data frame (pandas, or see set_backend())."""
        return self._frame(self._select(all=all, tail="ORDER BY rowid"))

    def head(self, n: int = 5) -> Any:
        """The first rows of the table, as a data frame."""
        return self._frame(self._select(tail="ORDER BY rowid LIMIT ?", args=(n,)))

    def tail(self, n: int = 5) -> Any:
        """The last rows of the table, the newest first, as a data frame."""
        return self._frame(self._select(tail="ORDER BY rowid DESC LIMIT ?", args=(n,)))

    def to_csv(self, path: str | os.PathLike[str], all: bool = False) -> None:
        """Writes the rows of this run, or all, as CSV."""
        self.to_df(all).to_csv(path, index=False)

    def to_parquet(self, path: str | os.PathLike[str], all: bool = False) -> None:
        """Writes the rows of this run, or all, as Parquet, which pandas does where pyarrow or fastparquet is installed."""
        self.to_df(all).to_parquet(path, index=False)

    def __getitem__(self, item: str | int) -> Any:
        """A column of this run, as a series; or the i-th row of the table, counted from 1, as a dict: None past its end."""
        if isinstance(item, str):
            return self.to_df()[item]
        tail = "ORDER BY rowid DESC LIMIT 1 OFFSET ?" if item < 0 else "ORDER BY rowid LIMIT 1 OFFSET ?"
        cursor = self._select(tail=tail, args=(-item - 1 if item < 0 else max(item - 1, 0),))
        row = next(cursor, None) if cursor is not None else None
        return None if cursor is None or row is None else dict(zip(cursor.names, row))

    def __len__(self) -> int:
        return self.count_all()

    def __bool__(self) -> bool:
        return True

    def count_run(self) -> int:
        """Rows of this run."""
        return self._count(all=False)

    def count_all(self) -> int:
        """Rows of the table."""
        return self._count(all=True)

    def _count(self, all: bool) -> int:
        cursor = self._select("count(*)", all)
        return 0 if cursor is None else next(cursor)[0]

    def __repr__(self) -> str:
        return f"<Tracker {self._track_id} of '{self.db}', table {self.table_name}>"

    # ---- helpers ------------------------------------------------------------------------------

    @staticmethod
    def generate_track_id() -> str:
        """A name such as a run gets, drawn from the system's random numbers; a Tracker's own is allotted by its database."""
        return f"run-{secrets.token_hex(4)}"

    @staticmethod
    def get_timestamp() -> str:
        """Now, in UTC, as rows have it."""
        return _xetrackd.now()


def _rejoin(cls: type[Tracker], path: str | None, state: dict[str, Any]) -> Tracker:
    """A Tracker that goes on with the run of one that was pickled."""
    self = cls.__new__(cls)
    self.__dict__.update(state)
    self._session = self._run = self._started = None
    self._conns = {}
    self.logger = _logger(*self._logs)
    if path is not None:
        self._session = session.acquire(path, warnings=self.warnings)
        self._open_run(self._track_id, join=True)
    return self


def _assets_in(stored: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    """What was replaced by an asset's hash, or a repr: the row shows that."""
    return {k: stored[k] for k, v in data.items() if isinstance(stored.get(k), str) and not isinstance(v, str)}


def _as_it_is(value: Any) -> Any:
    """A list or dict as it is now, for it may be changed in place."""
    return copy.deepcopy(value) if type(value) in (list, dict) and _xetrackd.packs_plainly(value) else value


def _shown_param(value: Any) -> Any:
    try:
        return plain._checked(value)
    except plain.NoPlainForm:
        return plain.summary(value)


def _logger(path: str | None, file_format: str | None, stdout: bool, jsonl: str | None) -> Any:
    if path is None and jsonl is None and not stdout:
        return None
    from . import logs
    return logs.Logger(path, file_format, stdout, jsonl)


def _git_commit(root: str) -> str | None:
    """The commit of a work tree; None, with a warning, where git tells none."""
    try:
        done = subprocess.run(["git", "-C", root, "rev-parse", "HEAD"], capture_output=True, text=True)
    except OSError as e:
        plain.warn(f"git_root: {e}")
        return None
    if done.returncode:
        plain.warn(f"git_root: {done.stderr.strip()}")
    return done.stdout.strip() or None


def _link_cache(cache: Any, target: str) -> None:
    """Makes the name that a Tracker was given for its cache a link to where the cache lies."""
    if not isinstance(cache, (str, os.PathLike)):
        return
    path = os.path.abspath(os.fspath(cache))
    if os.path.realpath(path) == os.path.realpath(target):
        return
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.symlink(os.path.relpath(target, os.path.dirname(path)), path)
    except FileExistsError:
        if os.path.islink(path) and os.path.realpath(path) == os.path.realpath(target):
            return  # another worker made it
        plain.warn(f"cache: '{path}' is there and is left as it is; results are kept in '{target}'")
    except OSError as e:
        plain.warn(f"cache: cannot make '{path}': {e.strerror}; results are kept in '{target}'")
