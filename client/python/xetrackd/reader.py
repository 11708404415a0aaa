"""Reader: what was logged, as data frames or plain dicts, and the few changes that one makes afterwards."""
from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Sequence
from typing import Any

from . import calls, frames, logs, plain, session
from ._xetrackd import Client, Error
from .table import Table, check_engine, quote

__all__ = ["Reader", "NoSuchRun", "NoSuchTable"]

_KEYS_A_CALL = 1024  # that Client.cache_delete() takes


class NoSuchTable(LookupError):
    """The database has no such table; the message names those that it has."""


class NoSuchRun(KeyError):
    """There is no such run; the message names it."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class Engine(str):
    """The engine's name, which can also run a query."""

    _reader: Reader

    def execute_sql(self, sql: str, params: Sequence[Any] = ()) -> Any:
        """Reader.query()."""
        return self._reader.query(sql, params)


class Reader(Table):
    """Reads one table of a database that Trackers write, also while they do.

    It never creates a database. What is read has all that this process logged before, and all that others had sent by then: of
    workers that have answered no row is missing. It may be used by several threads, and as a context manager.
    """

    def __init__(self, db: str | os.PathLike[str], engine: str = "sqlite", table: str = "events") -> None:
        """db: the database's file; FileNotFoundError where there is none. table: may be one that nobody has logged to yet.

        engine: "sqlite", or "duckdb": then query() is run by the module duckdb, on copies of the tables that it names, in
        memory. Where that is not installed a warning says so, once, and SQLite runs it.
        """
        check_engine(engine)
        super().__init__(db, table)
        self._engine = engine
        self._session = _open(self.db)

    # ---- reading ---------------------------------------------------------------

    def to_df(self, track_id: str | None = None, head: int | None = None, tail: int | None = None) -> Any:
        """Rows of the table as a data frame, sorted by timestamp, those of the same time in the order in which they came.

        track_id: only of this run. head, tail: only the first, the last so many of those; given both, the last `tail` of the
        first `head`. The frame is empty where the database has no rows at all or the run has none; a table that is not there
        is NoSuchTable, a LookupError.
        """
        return frames.frame(self._select(track_id, head, tail), "to_df()")

    def latest(self) -> Any:
        """The rows of the run that began last, of those that have rows in this table, as a data frame."""
        newest = self.latest_track_id()
        return frames.frame(self._select(newest, None if newest is not None else 0, None), "latest()")

    def latest_track_id(self) -> str | None:
        """The run that began last, of those that have rows in this table. None: there is none."""
        if not self._there():
            return None
        t = quote(self.table_name)
        # A run that was copied here, or written by another program, began with its first row.
        first = f"(SELECT timestamp FROM {t} WHERE track_id = ids.track_id ORDER BY rowid LIMIT 1)"
        if self._local_time():
            first = f"strftime('%Y-%m-%d %H:%M:%S', {first}, 'utc') || substr({first}, 20)"
        found = list(self._client.query(
            f"SELECT ids.track_id FROM (SELECT DISTINCT track_id FROM {t}) ids LEFT JOIN xt_runs USING (track_id) "
            f"WHERE ids.track_id IS NOT NULL ORDER BY min(coalesce(start_time, {first}), {first}) DESC, "
            f"(SELECT max(rowid) FROM {t} WHERE track_id = ids.track_id) DESC LIMIT 1"))
        return found[0][0] if found else None

    def query(self, sql: str, params: Sequence[Any] = ()) -> Any:
        """The result of one reading statement as a data frame. `main` and `db` both name the database.

        params: a value for each `?`. xetrackd.Error with the code "sql_error" where SQLite refuses the statement, "sql_writes"
        where it would write.
        """
        if self._engine == "duckdb":
            duckdb = _duckdb()
            if duckdb is not None:
                return self._query_duckdb(duckdb, sql, params)
        return frames.frame(self._client.query(sql, params), "query()")

    def rows(self, sql: str, params: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """The same as a list of dicts, always run by SQLite. Needs neither pandas nor polars."""
        return list(frames.rows(self._client.query(sql, params)))

    def __len__(self) -> int:
        """Rows of the table."""
        return self.rows(f"SELECT count(*) AS n FROM {quote(self.table_name)}")[0]["n"] if self._there() else 0

    def __bool__(self) -> bool:
        return True

    @property
    def engine(self) -> Engine:
        """Name of the engine; its execute_sql() is query()."""
        engine = Engine(self._engine)
        engine._reader = self
        return engine

    @property
    def dtypes(self) -> dict[str, type]:
        """The table's columns, in their order, and the Python type of each; object where it may be any."""
        return super().dtypes if self._there() else {}

    @property
    def tables(self) -> list[str]:
        """Names of the tables that hold rows."""
        cursor = self._client.tables()
        name = cursor.names.index("name")
        return [row[name] for row in cursor]

    def _select(self, track_id: str | None, head: int | None, tail: int | None) -> frames.Cursor:
        for name, n in (("head", head), ("tail", tail)):
            if n is not None and n < 0:
                raise ValueError(f"{name} {n}: a number of rows")
        if not self._there():
            return self._client.query("SELECT NULL AS track_id, NULL AS timestamp LIMIT 0")
        order = self._order()
        hidden = ', rowid AS "xt rowid"' if "rowid" in order else ""
        sql, args = f"SELECT *{hidden} FROM {quote(self.table_name)}", list[Any]()
        if track_id is not None:
            sql += " WHERE track_id = ?"
            args.append(track_id)
        for n, direction in ((head, "ASC"), (tail, "DESC")):
            if n is not None:
                by = ", ".join(f"{quote('xt rowid' if c == 'rowid' else c)} {direction}" for c in order)
                sql = f"SELECT * FROM ({sql}) {'ORDER BY ' + by if by else ''} LIMIT ?"
                args.append(n)
        names = ", ".join(quote(c) for c in self.dtypes)
        by = ", ".join(quote("xt rowid" if c == "rowid" else c) for c in order)
        return self._client.query(f"SELECT {names} FROM ({sql}) {'ORDER BY ' + by if by else ''}", args)

    def _order(self) -> list[str]:
        """What the table can be sorted by: tables that others made may lack either, and views both."""
        kind = list(self._client.query("SELECT type, wr FROM pragma_table_list WHERE name = ? COLLATE NOCASE AND "
                                       "schema <> 'temp'", (self.table_name,)))
        columns = {c.lower() for c in self.dtypes}
        has_rowid = bool(kind) and kind[0] == ("table", 0) and "rowid" not in columns
        return [*(["timestamp"] if "timestamp" in columns else []), *(["rowid"] if has_rowid else [])]

    def _local_time(self) -> bool:
        """Whether the table has local time, as those that the Python library xetrack made."""
        return bool(list(self._client.query("SELECT 1 FROM pragma_table_info(?) WHERE name = 'timestamp' AND pk > 0",
                                            (self.table_name,))))

    def _there(self) -> bool:
        """Whether the table is there. False where it may yet come: no table has rows, or a run was started for this one."""
        found = list(self._client.query(
            "SELECT EXISTS(SELECT 1 FROM sqlite_master WHERE name = ?1 COLLATE NOCASE AND type IN ('table', 'view')), "
            "EXISTS(SELECT 1 FROM xt_runs WHERE table_name = ?1 COLLATE NOCASE)", (self.table_name,)))[0]
        if found[0]:
            return True
        tables = self.tables
        if found[1] or not tables:
            return False
        near = difflib.get_close_matches(self.table_name, tables, n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        raise NoSuchTable(f"'{self.db}' has no table '{self.table_name}'.{hint} It has: {', '.join(sorted(tables))}")

    def _query_duckdb(self, duckdb: Any, sql: str, params: Sequence[Any]) -> Any:
        """duckdb's own reader of SQLite files is an extension that it would download, so tables are handed over as frames."""
        made = duckdb.connect()
        try:
            made.execute("CREATE SCHEMA db")
            known = {t.lower(): t for t in self.tables}
            for named in made.get_table_names(sql):
                table = known.get(named.rpartition(".")[2].strip('"').lower())
                if table is None:
                    continue
                whole = frames.frame(self._client.query(f"SELECT * FROM {quote(table)}"), "query()")
                made.register(f"xt_{table}", whole)
                made.execute(f"CREATE TABLE {quote(table)} AS SELECT * FROM {quote('xt_' + table)}")
                made.execute(f"CREATE VIEW db.{quote(table)} AS SELECT * FROM main.{quote(table)}")
            result = made.execute(sql, list(params))
            return result.pl() if frames.get_backend() == "polars" else result.df()
        finally:
            made.close()

    # ---- changing ------------------------------------------------------------

    def delete_run(self, track_id: str, force: bool = False) -> bool:
        """Deletes the rows of a run from this table; True. NoSuchRun, a KeyError, where it has none here. Its rows in other
        tables, its assets and its cached results stay. force: also while the run goes on; else that is xetrackd.Error with
        the code "run_running"."""
        self._there()
        try:
            deleted = self._client.delete_run(track_id, self.table_name, force)
        except Error as e:
            if e.code not in ("no_such_run", "no_such_table"):
                raise
            deleted = 0
        if not deleted:
            raise self._no_such_run(track_id)
        return True

    def set_value(self, key: str, value: Any, track_id: str | None = None) -> int:
        """Sets a column in all rows, or in those of a run, also those that were logged long ago. A new key adds its column.
        Returns how many rows were set. NoSuchRun where there is no such run."""
        return self._set(key, value, track_id)

    def set_where(self, key: str, value: Any, where_key: str, where_value: Any, track_id: str | None = None) -> int:
        """Sets a column in the rows whose column `where_key` has that value; None means NULL. Returns how many rows were
        set. xetrackd.Error with the code "no_such_column" where there is no column `where_key`."""
        return self._set(key, value, track_id, where_key, where_value)

    def _set(self, key: str, value: Any, track_id: str | None, *where: Any) -> int:
        self._there()
        try:
            return super()._set(key, value, track_id, *where)
        except Error as e:
            if e.code == "no_such_run" and track_id is not None:
                raise self._no_such_run(track_id) from None
            raise

    def _no_such_run(self, track_id: str) -> NoSuchRun:
        elsewhere = [t for t in self.tables if t.lower() != self.table_name.lower()
                     and list(self._client.query(f"SELECT 1 FROM {quote(t)} WHERE track_id = ? LIMIT 1", (track_id,)))]
        hint = f"; it has rows in: {', '.join(elsewhere)}" if elsewhere else ""
        return NoSuchRun(f"run '{track_id}' has no rows in table '{self.table_name}' of '{self.db}'{hint}")

    # ---- assets --------------------------------------------------------------

    def get(self, key: str) -> Any:
        """The object that was stored as an asset with this hash, or else under this key (the column's name), the newest. None:
        there is none. It unpickles it: only for databases that one trusts."""
        return self._asset(key)

    # ---- its connection ------------------------------------------------------

    @property
    def _client(self) -> Client:
        """The connection, for which nothing waits any more that others of this process have logged."""
        if self._session is None:
            raise ValueError(f"the Reader of '{self.db}' is closed")
        session.send_others(self._session)
        return self._session.client

    def close(self) -> None:
        """Gives its connection back. Twice is no harm."""
        self._close_conn()
        if self._session is not None:
            self._session.release()
            self._session = None

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        try:
            self._conns.clear()  # not closed: a cursor of theirs may be read on
            self.close()
        except Exception:  # the interpreter ends
            pass

    def __repr__(self) -> str:
        return f"<Reader of '{self.db}', table {self.table_name}{', closed' if self._session is None else ''}>"

    # ---- without a Reader ----------------------------------------------------

    @classmethod
    def read_db(cls, db: str | os.PathLike[str], engine: str = "sqlite", table: str = "events",
                track_id: str | None = None, head: int | None = None, tail: int | None = None) -> Any:
        """Reader(db, engine, table).to_df(track_id, head, tail)."""
        with cls(db, engine, table) as reader:
            return reader.to_df(track_id, head, tail)

    @staticmethod
    def read_logs(path: str | os.PathLike[str], limit: int | None = None) -> Any:
        """The entries of a Tracker's log files as a data frame: a directory's, or one file's. limit: only so many files,
        the newest. Torn lines are passed over. FileNotFoundError where there is no such path."""
        return frames.from_records(logs.read_logs(path, limit), "read_logs()")

    @staticmethod
    def read_jsonl(path: str | os.PathLike[str]) -> Any:
        """A Tracker's JSON lines as a data frame. A torn last line is passed over. FileNotFoundError where there is no such
        file."""
        return frames.from_records(logs.read_jsonl(path), "read_jsonl()")

    @staticmethod
    def read_cache(cache: str | os.PathLike[str], key: str | bytes, trust: bool = False) -> dict[str, Any]:
        """One cached result, as {"result": the value, "cache": track_id of the run that computed it}.

        cache: the database, its directory `<db>.cache`, or the name that a Tracker was given as `cache`. key: as scan_cache()
        gives it, or its 32 bytes. trust: also load what another user pickled; else that is PermissionError. KeyError where
        there is no such entry.
        """
        binary = bytes.fromhex(key) if isinstance(key, str) else bytes(key)
        with _cache(cache) as client:
            found = client.cache_get(binary)
            if found is None:
                raise KeyError(f"'{os.fspath(cache)}' has no entry {binary.hex()}")
            return _decoded(found, trust)

    @staticmethod
    def scan_cache(cache: str | os.PathLike[str], trust: bool = False) -> Iterator[tuple[str, dict[str, Any]]]:
        """All cached results, one after the other: (key in hexadecimal, {"result": …, "cache": track_id}). Arguments as of
        read_cache()."""
        with _cache(cache) as client:
            for item in client.cache_items():
                found = client.cache_get(item["key"])
                if found is not None:  # else somebody deleted it meanwhile
                    yield item["key"].hex(), _decoded(found, trust)

    @staticmethod
    def delete_cache_by_track_id(cache: str | os.PathLike[str], track_id: str) -> int:
        """Deletes the cached results that a run computed; returns how many. cache: as of read_cache()."""
        with _cache(cache) as client:
            keys = [item["key"] for item in client.cache_items(track_id=track_id)]
            return sum(client.cache_delete(b"".join(keys[i:i + _KEYS_A_CALL]))[0]
                       for i in range(0, len(keys), _KEYS_A_CALL))


# ---- helpers -----------------------------------------------------------------


def _open(db: str | os.PathLike[str]) -> session.Session:
    if os.fspath(db) == ":memory:":
        raise FileNotFoundError("':memory:' belongs to the Tracker that made it: use tracker.to_df() or tracker.conn")
    if not os.path.exists(db):
        raise FileNotFoundError(f"no such database: '{os.fspath(db)}'")
    return session.acquire(db, read_only=True)


class _cache:
    """A connection to the database that a cache belongs to, for a `with`."""

    def __init__(self, cache: str | os.PathLike[str]) -> None:
        self._session = _open(database_of_cache(cache))

    def __enter__(self) -> Any:
        session.send_others(self._session)
        return self._session.client

    def __exit__(self, *_: object) -> None:
        self._session.release()


def database_of_cache(cache: str | os.PathLike[str]) -> str:
    """The database of a cache: of itself, of its directory `<db>.cache`, or of a link to that. FileNotFoundError."""
    path = os.path.realpath(cache)
    if path.endswith(".cache") and not os.path.isfile(path):
        path = path.removesuffix(".cache")
    if not os.path.isfile(path):
        raise FileNotFoundError(f"'{os.fspath(cache)}' is no database, nor the cache of one")
    return path


def _decoded(found: Any, trust: bool) -> dict[str, Any]:
    return {"result": calls.decode(found.value, found.encoding, found.uid, trust), "cache": found.origin}


_warned_of_duckdb = False


def _duckdb() -> Any:
    global _warned_of_duckdb
    try:
        import duckdb
    except ImportError:
        if not _warned_of_duckdb:
            _warned_of_duckdb = True
            plain.warn("engine='duckdb': the module duckdb cannot be imported (pip install duckdb); queries are run by SQLite")
        return None
    return duckdb
