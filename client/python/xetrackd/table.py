"""What a Tracker and a Reader have in common: one table of a database, over a connection that others may share."""
from __future__ import annotations

import os
import sqlite3
import urllib.parse
from typing import Any

from . import _xetrackd, frames, plain, schema, session

ENGINES = ("sqlite", "duckdb")
_HASH_BYTES = 32


def quote(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def check_engine(engine: str) -> None:
    """ValueError: there is no such engine."""
    if engine not in ENGINES:
        raise ValueError(f"engine is 'sqlite' or 'duckdb', not {engine!r}")


class Table(schema.Schema):
    """A table of a database. `_session` is None once it was closed."""

    def __init__(self, db: str | os.PathLike[str], table: str) -> None:
        self.db = os.fspath(db)
        self.table_name = table
        self._session: session.Session | None = None
        self._conns: dict[int, sqlite3.Connection] = {}  # of each process

    @property
    def _client(self) -> _xetrackd.Client:
        """The connection. ValueError: there is none any more."""
        raise NotImplementedError

    @property
    def conn(self) -> sqlite3.Connection:
        """A read-only sqlite3 connection to the live file, in which all is that this process logged before."""
        client, held = self._client, self._session
        assert held is not None
        session.send_others(held)
        if client.pending:
            next(client.query("SELECT 1"))  # answered when all is stored
        pid = os.getpid()
        if pid not in self._conns:  # SQLite's connections do not go along to a child
            uri = "file:" + urllib.parse.quote(held.path) + "?mode=ro"
            self._conns[pid] = sqlite3.connect(uri, uri=True, check_same_thread=False)
        return self._conns[pid]

    def _close_conn(self) -> None:
        """Closes what `conn` gave; but not what a parent was given."""
        conn = self._conns.pop(os.getpid(), None)
        if conn is not None:
            conn.close()

    # ---- columns -------------------------------------------------------------

    @property
    def dtypes(self) -> dict[str, type]:
        """The table's columns, in their order, and the Python type of each; object where it may be any."""
        try:
            cursor = self._client.columns(self.table_name)
        except _xetrackd.Error as e:
            if e.code == "no_such_table":
                return {}
            raise
        name, kind = cursor.names.index("name"), cursor.names.index("type")
        return {row[name]: frames.python_type(row[kind] or "") for row in cursor}

    @property
    def columns(self) -> set[str]:
        """Names of the table's columns."""
        return set(self.dtypes)

    def _set(self, key: str, value: Any, track_id: str | None, *where: Any) -> int:
        """Sets a column in the rows of a run, or all; where: only those in which a column has a value. How many there were."""
        return self._client.set(key, value, self.table_name, track_id, *where)

    # ---- assets --------------------------------------------------------------

    @property
    def assets(self) -> dict[str, int]:
        """Hash and size, in bytes, of each asset of the database."""
        return {hash: size for hash, size in self._client.query("SELECT lower(hex(hash)), size FROM xt_assets ORDER BY created")}

    def _asset(self, key: str, track_id: str | None = None) -> Any:
        """The object that was stored as an asset with this hash, or else under this name: the newest, one of that run first. None:
        there is none."""
        try:
            hash = bytes.fromhex(key) if len(key) == 2 * _HASH_BYTES else None
        except ValueError:
            hash = None
        names = self._keys_of(key)
        found = list(self._client.query(
            "SELECT hash FROM xt_assets WHERE hash = ? UNION ALL SELECT * FROM (SELECT hash FROM xt_asset_refs WHERE name IN "
            f"({','.join('?' * len(names))}) ORDER BY track_id = ? DESC, created DESC LIMIT 1) LIMIT 1", (hash, *names, track_id)))
        try:
            return plain.load(self._client.asset_load(found[0][0].hex())) if found else None
        except _xetrackd.Error as e:
            if e.code == "no_such_asset":  # it was deleted meanwhile
                return None
            raise

    def remove_asset(self, hash: str, column: str | None = None, remove_keys: bool = True) -> bool:
        """Deletes an asset, whoever refers to it. False: there is none. column: becomes NULL where it has the hash.
        remove_keys: accepted; an asset's references always go with it."""
        try:
            self._client.asset_delete(hash, force=True)
        except _xetrackd.Error as e:
            if e.code == "no_such_asset":
                return False
            raise
        if column is not None:
            self._set(column, None, None, column, hash)
        return True
