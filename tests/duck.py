"""DuckDB's library, asked directly: what xtctl wrote by its help is read back without xtctl."""
import ctypes
import functools
import os
import subprocess

import pytest
from conftest import ROOT


@functools.lru_cache
def library():
    """Its path; the test is skipped where it cannot be had."""
    p = subprocess.run([ROOT / ".ci" / "duckdb"], capture_output=True, text=True)
    if p.returncode:
        pytest.skip(p.stderr.strip())
    return p.stdout.strip()


class Result(ctypes.Structure):
    _fields_ = [("columns", ctypes.c_uint64), ("rows", ctypes.c_uint64), ("changed", ctypes.c_uint64),
                ("data", ctypes.c_void_p), ("error", ctypes.c_char_p), ("internal", ctypes.c_void_p)]


def ask(sql):
    """The answer, in a fresh database in memory: rows of texts, None for NULL."""
    lib = ctypes.CDLL(library())
    lib.duckdb_result_error.restype = ctypes.c_char_p
    lib.duckdb_value_varchar.restype = ctypes.c_void_p
    lib.duckdb_column_count.restype = lib.duckdb_row_count.restype = ctypes.c_uint64
    lib.duckdb_value_is_null.restype = ctypes.c_bool
    database, connection, result = ctypes.c_void_p(), ctypes.c_void_p(), Result()
    assert lib.duckdb_open(None, ctypes.byref(database)) == 0
    assert lib.duckdb_connect(database, ctypes.byref(connection)) == 0
    try:
        failed = lib.duckdb_query(connection, sql.encode(), ctypes.byref(result))
        assert not failed, lib.duckdb_result_error(ctypes.byref(result)).decode()
        return [tuple(value(lib, result, c, r) for c in range(lib.duckdb_column_count(ctypes.byref(result))))
                for r in range(lib.duckdb_row_count(ctypes.byref(result)))]
    finally:
        lib.duckdb_destroy_result(ctypes.byref(result))
        lib.duckdb_disconnect(ctypes.byref(connection))
        lib.duckdb_close(ctypes.byref(database))


def value(lib, result, column, row):
    at = ctypes.byref(result), ctypes.c_uint64(column), ctypes.c_uint64(row)
    if lib.duckdb_value_is_null(*at):
        return None
    text = lib.duckdb_value_varchar(*at)
    try:
        return ctypes.string_at(text).decode()
    finally:
        lib.duckdb_free(ctypes.c_void_p(text))


@pytest.fixture
def duckdb(monkeypatch):
    """Makes the library known to xtctl."""
    assert os.path.exists(library())
    monkeypatch.setenv("XETRACK_DUCKDB", library())
