"""Copies rows and assets from one database to another, both of which may be in use.

What is copied, and what is not:

- Rows keep their track_id and timestamp. A row is there already when the target has one of the same run and time whose values
  are the same in all columns of the source; of several equal rows as many are copied as are missing. So a copy may be
  repeated, or go on after it was interrupted, and a run that got more rows gets only those. A row that was changed in the
  source since (set_value) is another row.
- Columns of both databases are united by the keys under which they were logged. New ones get the type of the source; where the
  types differ the target's is widened, as if the values had been logged there.
- A table that is missing is made as the source has it: with local time if it is of the Python library xetrack. Where the
  target's has UTC and the source's local time, or the other way round, a warning says so and times stay as they are. A row
  whose time is taken in a table of xetrack moves on to the next free microsecond.
- A run that was deleted from the target is not brought back; a warning names it.
- Assets come with their references. Those of xetrack's own tables (`assets`, `keys`, `counts`) do not.
- The record of a run, with its parameters, host, command line, workers and how it ended, comes as it is, unless the target knows
  the run. That of a run which goes on, and its assets, come when it has ended and the copy is repeated; a warning says so.
- Cached results stay behind.

Several copies into one target may go on at once: none stores what another one has stored.
"""
from __future__ import annotations

import json
import os
import sqlite3
import time
import urllib.parse
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta, timezone
from typing import Any

from . import plain, session
from ._xetrackd import Error
from .reader import NoSuchTable
from .table import quote

__all__ = ["copy"]

ROWS, VALUES, BYTES = 1000, 30_000, 4_000_000  # most of one INSERT
MOST_VAIN = 12  # tries at a run that get no further than those before
NO_NUMBER = -2**63  # of a row: before all that there are
NUMBERED_ANEW = "(SELECT coalesce(max(epoch), 0) FROM xt_epochs WHERE table_name = ?)"  # how often a table was
MOST_WORKERS = 8000  # of a record
FORMAT = "%Y-%m-%d %H:%M:%S.%f"
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

Row = tuple[Any, ...]
Ask = Callable[[str, Sequence[Any]], Iterator[Row]]  # runs a reading statement


def copy(source: str | os.PathLike[str], target: str | os.PathLike[str], assets: bool = True,
         tables: Sequence[str] | None = None) -> int:
    """Copies what `target` does not have yet; returns the number of rows copied.

    source: a database, which is only read; FileNotFoundError where there is none. Those that the Python library xetrack made are
        read without a daemon, and stay as they are.
    target: a database, which is created where it is missing.
    assets: also copy the assets that the copied runs refer to.
    tables: names of tables; None: all that hold rows. NoSuchTable, a LookupError, where the source has no such table.

    Memory is bounded by a few thousand rows, those of one run that have one and the same time, and the largest asset.
    """
    if not os.path.isfile(source):
        raise FileNotFoundError(f"no such database: '{os.fspath(source)}'")
    if os.path.exists(target) and os.path.samefile(source, target):
        raise ValueError(f"source and target are the same database: '{os.fspath(source)}'")
    with ExitStack() as stack:
        there = stack.enter_context(_source(source))
        names = _tables(there, os.fspath(source), tables)
        held = session.acquire(target)
        stack.callback(held.release)
        session.send_others(held)
        skipped = {row[0] for row in held.client.query("SELECT track_id FROM xt_runs WHERE status = 'deleted'")}
        if there.client is not None:
            _copy_runs(there, held.client, names if tables is not None else None)
        copied = sum(_Table(there, held.client, name, skipped).copy() for name in names)
        if assets and there.client is not None:
            _copy_assets(there, held.client, names if tables is not None else None)
    return copied


# ---- the source --------------------------------------------------------------


class _Source:
    """What is read from. client: of its daemon; None: it has none, and SQLite reads it."""

    def __init__(self, ask: Ask, client: Any) -> None:
        self.ask, self.client = ask, client


@contextmanager
def _source(path: str | os.PathLike[str]) -> Iterator[_Source]:
    """A database of ours is read through its daemon. Another would be made ours by one, so SQLite reads that."""
    uri = f"file:{urllib.parse.quote(os.path.abspath(path))}?mode=ro"
    con = sqlite3.connect(uri, uri=True)
    try:
        ours = con.execute("SELECT 1 FROM sqlite_master WHERE name = 'xt_meta'").fetchone()
        if not ours:
            yield _Source(con.execute, None)
            return
    finally:
        con.close()
    held = session.acquire(path, read_only=True)
    try:
        session.send_others(held)
        yield _Source(held.client.query, held.client)
    finally:
        held.release()


def _tables(there: _Source, path: str, wanted: Sequence[str] | None) -> list[str]:
    """The source's tables of rows, or those that are wanted."""
    found = [name for name, in list(there.ask(
        "SELECT name FROM sqlite_master m WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' "
        "AND name NOT LIKE 'xt\\_%' ESCAPE '\\' AND 2 = (SELECT count(*) FROM pragma_table_info(m.name) "
        "WHERE name IN ('track_id', 'timestamp')) ORDER BY name", ()))]
    if wanted is None:
        return found
    known = {name.lower(): name for name in found}
    for name in wanted:
        if name.lower() not in known:
            raise NoSuchTable(f"'{path}' has no table of rows '{name}'. It has: {', '.join(found) or 'none'}")
    return list(dict.fromkeys(known[name.lower()] for name in wanted))


# ---- rows --------------------------------------------------------------------


class _Table:
    """Copies one table."""

    def __init__(self, there: _Source, client: Any, name: str, skipped: set[str]) -> None:
        self.there, self.client, self.name, self.skipped = there, client, name, skipped

    def copy(self) -> int:
        if not self._has_table():
            self._create()
        self.columns = self._source_columns()
        self.mapped = self._map_columns()
        self.number = self._row_number()
        self.unique = self._primary_key(self.client.query)
        if self.unique != self._primary_key(self.there.ask):
            plain.warn(f"table '{self.name}': times are local in one of the two databases and UTC in the other; they were "
                       f"copied as they are")
        copied = 0
        passed_over = []
        for track_id, in list(self.there.ask(f"SELECT DISTINCT track_id FROM {quote(self.name)}", ())):
            try:
                if track_id in self.skipped:
                    raise _Gone
                copied += self._copy_run(track_id)
            except _Gone:
                passed_over.append(track_id)
        if passed_over:
            shown = ", ".join(passed_over[:5]) + (", …" if len(passed_over) > 5 else "")
            plain.warn(f"table '{self.name}': runs that were deleted from the target were not copied: {shown}")
        return copied

    # -- columns

    def _source_columns(self) -> list[tuple[str, str, str]]:
        """(name, declared type, key) of the source's columns, but for track_id and timestamp."""
        keys: dict[str, str] = {}
        if self.there.client is not None:
            keys = {name: key for name, key in
                    self.there.ask("SELECT name, key FROM xt_columns WHERE table_name = ? COLLATE NOCASE", (self.name,))}
        # Generated ones come as values, unless the target's table computes them too.
        computed = {name.lower() for name, in self.client.query("SELECT name FROM pragma_table_xinfo(?) WHERE hidden > 1", (self.name,))}
        return [(name, kind, keys.get(name, name)) for name, kind, hidden in
                self.there.ask("SELECT name, type, hidden FROM pragma_table_xinfo(?) WHERE hidden <> 1 ORDER BY cid", (self.name,))
                if name.lower() not in ("track_id", "timestamp") and not (hidden and name.lower() in computed)]

    def _has_table(self) -> bool:
        return bool(list(self.client.query("SELECT 1 FROM sqlite_master WHERE name = ? COLLATE NOCASE", (self.name,))))

    def _create(self) -> None:
        key = ", PRIMARY KEY (track_id, timestamp)" if self._primary_key(self.there.ask) else ""
        self.client.execute(f"CREATE TABLE IF NOT EXISTS {quote(self.name)}(track_id TEXT, timestamp TEXT{key})")
        if not key:
            self.client.execute(f"CREATE INDEX IF NOT EXISTS {quote('index_' + self.name)} ON {quote(self.name)}(track_id)")

    def _primary_key(self, ask: Ask) -> bool:
        """Whether (track_id, timestamp) is unique, and time local: a table of the Python library."""
        return bool(list(ask("SELECT 1 FROM pragma_table_info(?) WHERE name = 'timestamp' AND pk > 0", (self.name,))))

    def _map_columns(self) -> list[str]:
        """The target's column for each of the source's. Missing ones are added, and types widened, by the daemon, as it does for
        values that are logged."""
        have = self._target_columns()
        samples = [(key, value) for name, kind, key in self.columns
                   for value in self._samples(name, kind, have.get(key, (None, None))[1])]
        for key, value in samples:
            self.client.declare(key, value, self.name)
        if samples:
            have = self._target_columns()
        source_of: dict[str, str] = {}
        for name, _, key in self.columns:
            mapped = have[key][0]
            other = source_of.setdefault(mapped, name)
            if other != name:
                raise ValueError(f"columns '{other}' and '{name}' of table '{self.name}' are one in '{self.client.database}', column "
                                 f"'{mapped}'; to make them one here too: xtctl schema rename")
        return [have[key][0] for _, _, key in self.columns]

    def _target_columns(self) -> dict[str, tuple[str, str | None]]:
        """Key → (name, declared type); None: nothing but NULL came yet. Keys that lead to a column since it was renamed too."""
        columns = {name: (name, None if is_open else kind, key) for name, kind, key, is_open in self.client.query(
            "SELECT i.name, i.type, coalesce(c.key, i.name), c.name IS NOT NULL AND c.type IS NULL FROM pragma_table_info(?1) i "
            "LEFT JOIN xt_columns c ON c.table_name = ?1 AND c.name = i.name", (self.name,))}
        have = {key: (name, kind) for name, kind, key in columns.values()}
        by_name = {name.lower(): (name, kind) for name, kind, _ in columns.values()}
        for key, name in self.client.query("SELECT key, name FROM xt_aliases WHERE table_name = ?", (self.name,)):
            if name.lower() in by_name:
                have.setdefault(key, by_name[name.lower()])
        return have

    def _row_number(self) -> str | None:
        """What the target's rows are numbered by; None: nothing."""
        keyed = list(self.client.query("SELECT 1 FROM pragma_table_list WHERE name = ? COLLATE NOCASE AND wr", (self.name,)))
        taken = {name.lower() for name, in self.client.query("SELECT name FROM pragma_table_xinfo(?)", (self.name,))}
        return next((name for name in ("rowid", "_rowid_", "oid") if not keyed and name not in taken), None)

    def _find_top(self) -> None:
        """The table's last number, before what the target has of a run is read, and the epoch (docs/storage.md) that it is of: when the
        last rows are deleted, their numbers are used again, also for rows that come in between."""
        if self.number:
            self.epoch, self.top = next(self.client.query(
                f"SELECT {NUMBERED_ANEW}, coalesce((SELECT max({self.number}) FROM {quote(self.name)}), {NO_NUMBER})", (self.name,)))

    def _samples(self, name: str, kind: str, target: str | None) -> list[Any]:
        """Values that show the daemon what a column must hold. target: its declared type there; None: there is no such
        column, or it has none yet."""
        declared: dict[str, Any] = {"INTEGER": 0, "REAL": 0.5, "TEXT": "text", "BLOB": b"blob", "BOOLEAN": False}
        same = kind.upper()
        if target is not None and (target == "" or target.upper() == same):
            return []
        if target is None and same in declared:
            return [declared[same]]
        column = quote(name)
        found = {storage for storage, in self.there.ask(f"SELECT DISTINCT typeof({column}) FROM {quote(self.name)}", ())}
        samples: list[Any] = [v for storage, v in (("real", 0.5), ("text", "text"), ("blob", b"blob")) if storage in found]
        if "integer" in found:
            large = list(self.there.ask(f"SELECT 1 FROM {quote(self.name)} WHERE typeof({column}) = 'integer' AND "
                                        f"abs({column} / 2) > 4503599627370496 LIMIT 1", ()))
            samples.append(False if same == "BOOLEAN" else 2**62 if large else 0)
        return samples or ([None] if target is None else [])

    # -- one run

    def _copy_run(self, track_id: Any) -> int:
        """Tries as long as that leads anywhere: another copy that is ahead stores what this one was about to."""
        copied = furthest = vain = 0
        while True:
            self.stored = self.seen = 0
            self._find_top()
            try:
                self._try_run(track_id)
                return copied + self.stored
            except _Overtaken:
                copied += self.stored
                vain = 0 if self.stored or self.seen > furthest else vain + 1
                furthest = max(furthest, self.seen)
                if vain >= MOST_VAIN:
                    raise RuntimeError(f"others keep adding rows of run '{track_id}' to table '{self.name}' of "
                                       f"'{self.client.database}'; repeat the copy when they have ended") from None
                time.sleep(min(0.002 * 2**vain, 0.5))

    def _try_run(self, track_id: Any) -> None:
        self.batch: list[Row] = []
        self.size = 0
        theirs = self._sorted(self.there.ask, [name for name, _, _ in self.columns], track_id)
        ours = self._sorted(self.client.query, self.mapped, track_id)
        for row in _missing(self._counted(theirs), ours):
            if self.unique:
                self._add_apart(track_id, row)
            else:
                self._add(track_id, row)
        self._flush(last=True)

    def _counted(self, rows: Iterator[Row]) -> Iterator[Row]:
        for row in rows:
            self.seen += 1
            yield row

    def _advance(self, track_id: Any) -> int:
        """How many rows of the run the target has behind `top`, which becomes the last one's number: before they are read, so that
        rows which come in between are taken for others'."""
        if self.number is None:
            return len(self.batch)
        (found,) = self.client.query(f"SELECT count(*), max({self.number}) FROM {quote(self.name)} WHERE track_id IS ? AND "
                                     f"{self.number} > ?", (track_id, self.top))
        self.top = self.top if found[1] is None else found[1]
        return int(found[0])

    def _sorted(self, ask: Ask, columns: Sequence[str], track_id: Any) -> Iterator[Row]:
        """Rows of a run, their time first, sorted by it. A cursor that was idle for too long, since the other database is slow, or whose daemon
        has died, is opened again behind the last time that was seen."""
        names = ", ".join(["timestamp", *map(quote, columns)])
        key = [quote(c) for c, in ask("SELECT i.name FROM pragma_table_info(?1) i, pragma_table_list t WHERE t.name = ?1 "
                                      "COLLATE NOCASE AND t.wr AND i.pk > 0 ORDER BY i.pk", (self.name,))]
        order = ", ".join(key) or "rowid"  # tables WITHOUT ROWID have their key
        select = f"SELECT {names} FROM {quote(self.name)} WHERE track_id {'IS' if track_id is None else '='} ?"
        last: Any = None
        seen = 0  # rows with that time
        while True:
            again = last is not None
            sql = f"{select}{' AND timestamp >= ?' if again else ''} ORDER BY timestamp, {order}"
            skip = seen  # NULLs come first, so without a last time they are all that was seen
            try:
                for row in ask(sql, (track_id, last) if again else (track_id,)):
                    if skip and row[0] == last:
                        skip -= 1
                        continue
                    skip = 0  # some of them were deleted meanwhile
                    seen = seen + 1 if row[0] == last else 1
                    last = row[0]
                    yield row
                return
            except Error as e:
                if e.code != "cursor_expired" and e.status != "XT_ELOST":
                    raise

    def _add(self, track_id: Any, row: Row) -> None:
        self.batch.append((track_id, *row))
        self.size += sum(len(v) if isinstance(v, (str, bytes)) else 9 for v in row)
        if len(self.batch) >= ROWS or (len(self.batch) + 1) * len(row) > VALUES or self.size > BYTES:
            self._flush()

    def _flush(self, last: bool = False) -> None:
        """Stores nothing of a run that was deleted meanwhile, nor when somebody else, another copy perhaps, put rows of it there
        behind those that were compared: these may be the same ones."""
        if not self.batch:
            return
        track_id, width = self.batch[0][0], len(self.batch[0]) - 1
        table = quote(self.name)
        names = ", ".join(["track_id", "timestamp", *map(quote, self.mapped)])
        marks = "(?1" + ", ?" * width + ")"
        guard = (f" AND NOT EXISTS (SELECT 1 FROM {table} WHERE track_id IS ?1 AND {self.number} > ?) AND {NUMBERED_ANEW} = ?"
                 if self.number else "")
        stored = self.client.execute(
            f"INSERT INTO {table}({names}) SELECT * FROM (VALUES {', '.join([marks] * len(self.batch))}) WHERE NOT EXISTS "
            f"(SELECT 1 FROM xt_runs WHERE track_id = ?1 AND status = 'deleted'){guard}",
            [track_id, *(v for row in self.batch for v in row[1:]), *([self.top, self.name, self.epoch] if self.number else [])])
        if not stored:
            gone = list(self.client.query("SELECT 1 FROM xt_runs WHERE track_id = ? AND status = 'deleted'", (track_id,)))
            raise _Gone if gone else _Overtaken
        self.stored += stored
        if not last and self._advance(track_id) != len(self.batch):
            raise _Overtaken
        self.batch, self.size = [], 0

    def _add_apart(self, track_id: Any, row: Row) -> None:
        """Into a table where a time is taken once: at the next free microsecond, unless the row was put there before."""
        names = ", ".join(map(quote, self.mapped)) or "NULL"
        stamp = row[0]
        waiting = {r[1]: r[2:] for r in self.batch}
        while True:
            taken = waiting.get(stamp)
            if taken is None:
                found = list(self.client.query(f"SELECT {names} FROM {quote(self.name)} WHERE track_id = ? AND timestamp = ?",
                                               (track_id, stamp)))
                taken = found[0][:len(row) - 1] if found else None
            if taken is None:
                self._add(track_id, (stamp, *row[1:]))
                return
            if stamp != row[0] and taken == row[1:]:
                return
            stamp = _next_microsecond(stamp)


class _Gone(Exception):
    """The run was deleted from the target."""


class _Overtaken(Exception):
    """Somebody else put rows of the run there: what it has must be read again."""


def _next_microsecond(stamp: Any) -> str:
    try:
        return (datetime.strptime(stamp, FORMAT) + timedelta(microseconds=1)).strftime(FORMAT)
    except (TypeError, ValueError):
        raise ValueError(f"a time is taken and cannot be moved on: {stamp!r}") from None


def _missing(theirs: Iterator[Row], ours: Iterator[Row]) -> Iterator[Row]:
    """Rows of `theirs` that `ours` has not, both sorted by their first value."""
    groups = _groups(ours)
    mine = next(groups, None)
    for key, rows in _groups(theirs):
        while mine is not None and _order(mine[0]) < _order(key):
            mine = next(groups, None)
        have = Counter(mine[1]) if mine is not None and mine[0] == key else Counter()
        for row in rows:
            if have[row] > 0:
                have[row] -= 1
            else:
                yield row


def _groups(rows: Iterator[Row]) -> Iterator[tuple[Any, list[Row]]]:
    """Rows with the same first value, one group after the other."""
    group: list[Row] = []
    for row in rows:
        if group and row[0] != group[0][0]:
            yield group[0][0], group
            group = []
        group.append(row)
    if group:
        yield group[0][0], group


def _order(value: Any) -> tuple[int, Any]:
    """As SQLite sorts."""
    if value is None:
        return 0, 0
    return (1 if isinstance(value, (int, float)) else 2 if isinstance(value, str) else 3), value


# ---- runs --------------------------------------------------------------------


_OPEN = ("(r.status = 'running' OR EXISTS (SELECT 1 FROM xt_workers w WHERE w.track_id = r.track_id AND "
         "w.status = 'running'))")  # a run with a worker that goes on is not at its end either
_RECORD = ("status", "start_time", "end_time", "cause", "table_name", "params", "uid", "pid", "host", "executable", "command_line",
           "directory")


def _copy_runs(there: _Source, client: Any, tables: Sequence[str] | None) -> None:
    """The records of runs that the target does not know. tables: only of runs with rows in these. A run that goes on is left out: in
    the target nobody would end it."""
    has_rows = " OR ".join(f"track_id IN (SELECT track_id FROM {quote(t)})" for t in tables or ()) or "0"
    where = f" AND ({has_rows})" if tables is not None else ""
    known = {row[0] for row in client.query("SELECT track_id FROM xt_runs")}
    still_open = 0
    for track_id, goes_on in list(there.ask(f"SELECT track_id, {_OPEN} FROM xt_runs r WHERE status <> 'deleted'{where} "
                                            f"ORDER BY start_time, track_id", ())):
        if track_id in known:
            continue
        if goes_on:
            still_open += 1
        else:
            _copy_record(there, client, track_id)
    if still_open:
        plain.warn(f"runs that are still running: {still_open}; their rows were copied, and their records and assets come when they "
                   f"have ended and this is repeated")


def _copy_record(there: _Source, client: Any, track_id: str) -> None:
    rows = list(there.ask(
        f"SELECT {', '.join(_RECORD)}, rejects + coalesce((SELECT sum(run_rejects) FROM xt_clients c WHERE c.run = r.track_id), 0) "
        f"FROM xt_runs r WHERE track_id = ? AND status <> 'deleted' AND NOT {_OPEN}", (track_id,)))
    if not rows:
        return
    *values, rejects = rows[0]
    r = dict(zip(_RECORD, values))
    workers = list(there.ask("SELECT uid, pid, status, start_time, end_time, cause FROM xt_workers WHERE track_id = ? "
                             "ORDER BY start_time, client", (track_id,)))
    params = r["params"] if r["params"] is None or _is_object(r["params"]) else None
    try:
        imported = client.import_run(
            track_id, r["status"], _microseconds(r["start_time"]), end_us=_microseconds(r["end_time"]), cause=r["cause"],
            table=r["table_name"], params=params, rejects=rejects, uid=r["uid"], pid=r["pid"], host=r["host"],
            executable=r["executable"], command_line=r["command_line"], directory=r["directory"],
            workers=[(uid, pid, status, _microseconds(start), _microseconds(end), cause)
                     for uid, pid, status, start, end, cause in workers[:MOST_WORKERS]])
    except Error as e:
        if e.code != "run_deleted":  # meanwhile: it is left out, as its rows are
            raise
        return
    if imported and params != r["params"]:
        plain.warn(f"the parameters of run '{track_id}' are no JSON object and were not copied")
    if imported and len(workers) > MOST_WORKERS:
        plain.warn(f"of the {len(workers)} workers of run '{track_id}' the first {MOST_WORKERS} were copied")


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _microseconds(text: str | None) -> Any:
    return None if text is None else (datetime.strptime(text, FORMAT).replace(tzinfo=timezone.utc) - EPOCH) // timedelta(microseconds=1)


# ---- assets ------------------------------------------------------------------


def _copy_assets(there: _Source, client: Any, tables: Sequence[str] | None) -> None:
    """The references that the target has not, with what they refer to. tables: only of runs with rows in these. Those of a run that
    goes on come with its record: they would begin it in the target."""
    has_rows = " OR ".join(f"track_id IN (SELECT track_id FROM {quote(t)})" for t in tables or ()) or "0"
    where = f" WHERE {has_rows}" if tables is not None else ""
    have = set(client.query("SELECT hash, track_id, name FROM xt_asset_refs"))
    known = {row[0] for row in client.query("SELECT track_id FROM xt_runs WHERE status <> 'deleted'")}
    for hash, track_id, name in list(there.ask(f"SELECT hash, track_id, name FROM xt_asset_refs{where}", ())):
        if (hash, track_id, name) in have or track_id not in known:
            continue
        run = client.join_run("events", track_id, {}, apart=True)
        try:
            _give(there, run, name, hash.hex())
        except Error as e:
            if e.code != "run_deleted":  # meanwhile
                raise
        finally:
            run.release()


def _give(there: _Source, run: Any, name: str, hash: str) -> None:
    try:
        run.asset_refer(name, hash)
    except Error as e:
        if e.code != "no_such_asset":
            raise
        run.asset_put(name, there.client.asset_load(hash))
