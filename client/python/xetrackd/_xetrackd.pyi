"""libxetrack for Python: the C extension under the package. Nothing here knows of pandas, pickles or dataclasses.

Values that cross: None, bool, int, float, str, bytes, list, tuple and dict of exactly these types go as they are;
anything else is handed to the `convert` callable that was given to the Client, which returns one of them.
Every call that waits releases the GIL, and a signal handler that raises (Ctrl-C) ends the wait.
"""
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, final

class Error(Exception):
    """What libxetrack reports. `status`: name of its status, such as "XT_EREQUEST"; `code`: the daemon's
    stable error code, such as "sql_error", or ""."""

    status: str
    code: str

class Interrupted(Error): ...  # XT_EINTR, where no Python signal handler raised

@final
class Client:
    """A connection to one database's daemon, which is started when there is none. Any thread may use it, and a
    child of fork goes on with it under an identity of its own."""

    database: str  # as given
    closed: bool
    pending: bool  # rows or changes may wait for the daemon's acknowledgement
    def __init__(self, database: str, *, read_only: bool = False, autostart: bool = True, name: str | None = None,
                 direct_cache: bool = True, convert: Callable[[Any], Any] | None = None,
                 on_event: Callable[[str, str, str, str, int], None] | None = None) -> None:
        """on_event(kind, code, message, field, seq) is called for rejected rows (kind "reject") and warnings ("warning"), never
        from within the library but at the end of the call that brought them."""
    def flush(self, timeout: float | None = None) -> None:
        """Waits until all that was logged is on disk. Raises Error XT_EREJECTED when rows were rejected since the
        last flush, TimeoutError."""
    def close(self, failed: bool = False) -> None:
        """Flushes, says goodbye. Runs still open are finished, or failed. Twice is no harm."""
    def start_run(self, table: str, track_id: str | None, params: Mapping[str, Any], *, sample_ms: int = 0,
                  sample_network: bool = False, time_us: int = ...) -> Run:
        """Starts a run, or resumes the one named. time_us: when, in microseconds since 1970; absent: now."""
    def join_run(self, table: str, track_id: str, params: Mapping[str, Any], *, sample_ms: int = 0,
                 sample_network: bool = False, apart: bool = False) -> Run:
        """A handle on a run that another handle or process started; its end does not end the run. apart: this client takes no
        part, and xt_workers does not tell of it."""
    def import_run(self, track_id: str, status: str, start_us: int, *, end_us: int | None = None, cause: str | None = None,
                   table: str | None = None, params: str | None = None, rejects: int = 0, uid: int | None = None,
                   pid: int | None = None, host: str | None = None, executable: str | None = None, command_line: str | None = None,
                   directory: str | None = None,
                   workers: Sequence[tuple[int, int | None, str, int, int | None, str | None]] = ()) -> bool:
        """Takes over the record of a run that has ended in another database. False: the run is known here and keeps its own. params:
        the text of a JSON object. workers: uid, pid, status, start_us, end_us, cause; 8,000 at most. Error with the codes
        "run_deleted", "bad_type", "out_of_range"."""
    def query(self, sql: str, args: Sequence[Any] = (), timeout: float | None = None) -> Cursor:
        """A reading statement, which sees all that this client logged before."""
    def execute(self, sql: str, args: Sequence[Any] = (), timeout: float | None = None) -> int:
        """A writing statement, in a transaction of its own; how many rows changed."""
    def tables(self) -> Cursor: ...
    def columns(self, table: str) -> Cursor: ...
    def status(self) -> Cursor: ...
    def cache_stats(self) -> Cursor: ...
    def set(self, key: str, value: Any, table: str, track_id: str | None = None, where_key: str | None = None,
            where_value: Any = None) -> int: ...
    def declare(self, key: str, value: Any, table: str) -> None:
        """The column is added, or widened, so that it can hold the value."""
    def delete_run(self, track_id: str, table: str | None = None, force: bool = False) -> int: ...
    def schema_rename(self, table: str, old: str, new: str) -> tuple[str, bool, int]:
        """The name that the column has now, whether two became one, and how many values moved. Error with the code "value_conflict"."""
    def schema_alias(self, table: str, key: str, column: str | None = None) -> bool: ...
    def schema_accept(self, table: str, column: str, other: str | None = None) -> int: ...
    def schema_freeze(self, table: str, frozen: bool = True) -> bool: ...
    def schema_require(self, table: str, columns: Sequence[str], required: bool = True) -> int: ...
    def shutdown(self, hold: bool = False) -> None:
        """Drains and stops the daemon."""
    def asset_load(self, hash: str) -> bytes:
        """Error with code "no_such_asset", "corrupt_asset"."""
    def asset_delete(self, hash: str, track_id: str | None = None, name: str | None = None,
                     force: bool = False) -> int:
        """Drops references; how many are left."""
    def cache_key(self, function: str, args: Mapping[str, Any], params: Mapping[str, Any] = ..., version: str | None = None,
                  round_digits: int | None = None, convert: Callable[[Any], Any] | None = None) -> bytes:
        """The key of a call, as docs/cache.md has it."""
    def cache_get(self, key: bytes) -> Cached | None: ...
    def cache_items(self, function: str | None = None, track_id: str | None = None, prefix: bytes = b"",
                    parts: bool = False) -> list[dict[str, Any]]:
        """All entries without their values: key, function, origin, uid, created_us, function_time, size, hits,
        last_use_us and, where asked for, parts."""
    def cache_delete(self, keys: bytes) -> tuple[int, int]:
        """Keys end to end, at most 1,024; entries and bytes that were deleted."""

@final
class Cached:
    """An entry of the cache."""

    value: bytes
    encoding: str  # "": MessagePack
    origin: str  # track_id
    uid: int
    created_us: int
    function_time: float

@final
class Run:
    """A handle on a run."""

    track_id: str
    table: str
    def log(self, data: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
        """Logs one row and does not wait. params: those that the handle was made with, for the returned row: params,
        data over them, timestamp, track_id."""
    def log_rows(self, rows: Sequence[Mapping[str, Any]], params: Mapping[str, Any]) -> dict[str, Any]:
        """Logs rows; returns the last one as log() does, {} of none. All or nothing, as far as values go."""
    def begin(self, function: str, shown_name: str, columns: Mapping[str, Any], *, key_args: Mapping[str, Any] | None = None,
              key_convert: Callable[[Any], Any] | None = None, params: Mapping[str, Any] | None = None, version: str | None = None, force: bool = False,
              read_only: bool = False, wait: float | None = None, round_digits: int | None = None,
              apart: bool = False, trust: bool = False) -> Call:
        """Begins a call, or takes its result from the cache, for which other workers are waited. function: its name in
        the key; shown_name: in the row. columns: of the row, args and kwargs among them. key_args: the arguments in
        the key, converted by key_convert; None: the call is not cached. wait: seconds, None for ever, 0 not at
        all (TimeoutError). docs/cache.md has the other options."""
    def finish(self, failed: bool = False, *, time_us: int = ...) -> None:
        """Ends the run and waits for the daemon's answer. time_us: as of start_run()."""
    def release(self) -> None:
        """Frees the handle; the run goes on."""
    def asset_put(self, name: str, data: bytes) -> str:
        """Stores content under its hash, which is returned, and has the run refer to it as `name`."""
    def asset_refer(self, name: str, hash: str) -> None:
        """The same for what is there already. Error with code "no_such_asset"."""

@final
class Call:
    """One execution of a function, or its result from the cache."""

    hit: bool
    kept: bool  # a result given now will be cached
    value: bytes | None  # of a hit
    encoding: str  # of a hit
    origin: str  # of a hit: track_id of the run that computed it
    def result(self, fields: Mapping[str, Any], value: bytes | None = None, encoding: str = "", /) -> None:
        """fields: columns of the row. value: what the cache keeps, in that encoding; None: the fields."""
    def forgo(self) -> None:
        """The result will not be kept: another worker may compute it."""
    def fail(self, error_type: str, error: str) -> None: ...
    def end(self) -> float:
        """Logs the row, unless it is a hit, whose row is logged; the seconds that the function took. Frees the call."""

@final
class Cursor:
    """An open query."""

    names: list[str]
    types: list[str]  # declared, "" for expressions
    def __iter__(self) -> Iterator[tuple[Any, ...]]: ...
    def __next__(self) -> tuple[Any, ...]: ...
    def columns(self) -> list[tuple[str, Any]]:
        """All rows that are left, by columns. A pair each: ("int", bytes of int64), ("real", bytes of double, where
        NULL is NaN and integers among reals are reals), ("real_int", bytes of double: integers with NULL among them, all below 2**53), or ("object", list)."""
    def close(self) -> None: ...

def pack(value: Any, convert: Callable[[Any], Any] | None = None) -> bytes:
    """MessagePack."""

def unpack(data: bytes) -> Any: ...

def packs_plainly(value: Any) -> bool:
    """True where unpack(pack(value)) is the same value with the same types: None, bool, int of 64 bits, float, str, bytes, list, and
    dict with text as keys, of exactly these types."""

def is_short(value: Any) -> bool:
    """True for None, bool, int, float, short str, list, tuple and dict with text as keys, of exactly these types and of few items: what a
    cell of a row can show as it is."""

def now() -> str:
    """Now, in UTC, as rows have it."""

def version() -> str: ...
