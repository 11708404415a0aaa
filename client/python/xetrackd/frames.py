"""Data frames from queries: pandas or polars, whichever is there and chosen.

Neither is imported before the first frame is asked for, and neither is needed for anything else: rows() and query
cursors work without. Columns cross in typed buffers, so that a frame of a million rows makes no Python object a cell.
"""
from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

__all__ = ["get_backend", "set_backend", "frame", "series", "rows", "from_records", "records", "is_frame"]

_BACKENDS = ("pandas", "polars")
_DEBIAN = {"pandas": "apt-get install python3-pandas", "numpy": "apt-get install python3-numpy"}
_chosen = "auto"


class Cursor(Protocol):
    """What is needed of a query's cursor."""

    names: list[str]
    types: list[str]

    def __iter__(self) -> Iterator[tuple[Any, ...]]: ...
    def columns(self) -> list[tuple[str, Any]]: ...


# ---- which library


def set_backend(backend: str) -> None:
    """Chooses what data frames are: "pandas", "polars", or "auto": pandas where it is installed, else polars.

    It counts for the whole process, from the next frame on. ValueError for another name; ImportError where the
    module is missing.
    """
    global _chosen
    if backend not in (*_BACKENDS, "auto"):
        raise ValueError(f"backend {backend!r}: one of 'pandas', 'polars' and 'auto'")
    if backend != "auto":
        _module(backend, f"set_backend({backend!r})")
    _chosen = backend


def get_backend() -> str:
    """What data frames are now: "pandas" or "polars". "pandas" where neither is installed."""
    if _chosen != "auto":
        return _chosen
    from importlib.util import find_spec

    for name in _BACKENDS:
        if name in sys.modules or find_spec(name) is not None:
            return name
    return "pandas"


def _module(name: str, call: str) -> Any:
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError as e:
        how = " or ".join(filter(None, (_DEBIAN.get(name), f"pip install {name}")))
        raise ImportError(f"{call} needs {name}, which cannot be imported ({e}): {how}. Without it, "
                          f"reader.rows(sql) gives the same as a list of dicts", name=name) from e


# ---- from a query


def frame(cursor: Cursor | None, call: str = "a data frame") -> Any:
    """All rows that are left of a query, as a data frame of the chosen library.

    cursor: of Client.query(); it is read to its end; None: an empty frame. call: named by the ImportError where the library is missing.
    Types are those of pandas.read_sql: integers are int64, float64 where some are NULL; reals float64 with NaN for
    NULL; all else objects with None. Columns declared BOOLEAN are bool, or objects with None where some are NULL.
    """
    if cursor is None:
        return _module(get_backend(), call).DataFrame()
    if get_backend() == "polars":
        return _polars_frame(cursor, call)
    return _pandas_frame(cursor, call)


def series(cursor: Cursor, call: str = "a series") -> Any:
    """The first column of a query as a pandas.Series or polars.Series, named as the column is. Arguments as of
    frame()."""
    whole = frame(cursor, call)
    return whole[:, 0] if get_backend() == "polars" else whole.iloc[:, 0]


def rows(cursor: Cursor) -> Iterator[dict[str, Any]]:
    """Rows that are left of a query as dicts, one by one. Columns declared BOOLEAN are bools. Of columns with the
    same name each after the first gets a number: `a`, `a_2`."""
    names = unique_names(cursor.names)
    booleans = [i for i, declared in enumerate(cursor.types) if is_boolean(declared)]
    for values in cursor:
        row = dict(zip(names, values))
        for i in booleans:
            if row[names[i]] in (0, 1):
                row[names[i]] = bool(row[names[i]])
        yield row


def unique_names(names: Sequence[str]) -> list[str]:
    """The names, each after the first of its kind with a number behind that makes it one of a kind."""
    taken: set[str] = set()
    result = []
    for name in names:
        unique, n = name, 2
        while unique in taken or (unique != name and unique in names):
            unique, n = f"{name}_{n}", n + 1
        taken.add(unique)
        result.append(unique)
    return result


def is_boolean(declared: str) -> bool:
    """Whether a column of this declared type holds booleans."""
    return declared.upper() in ("BOOLEAN", "BOOL")


def python_type(declared: str) -> type:
    """The Python type of what a column of this declared type holds; object where that may be anything."""
    types = {"INTEGER": int, "REAL": float, "TEXT": str, "BLOB": bytes, "BOOLEAN": bool}
    return types.get(declared.upper(), object)


def _array(kind: str, data: Any, declared: str, numpy: Any) -> Any:
    """One column as a numpy array."""
    if kind == "int":
        array = numpy.frombuffer(data, dtype=numpy.int64)
        if is_boolean(declared) and len(array) and bool(((array == 0) | (array == 1)).all()):
            return array.astype(bool)
        return array
    if kind in ("real", "real_int"):
        array = numpy.frombuffer(data, dtype=numpy.float64)
        return _nullable_booleans(array, numpy) if is_boolean(declared) and kind == "real_int" else array
    array = numpy.empty(len(data), dtype=object)
    array[:] = data
    return array


def _nullable_booleans(array: Any, numpy: Any) -> Any:
    """True, False and None from 1, 0 and NaN; the array itself where something else is among them."""
    null = numpy.isnan(array)
    if not bool((null | (array == 0) | (array == 1)).all()):
        return array
    objects = (array == 1).astype(object)
    objects[null] = None
    return objects


def _pandas_frame(cursor: Cursor, call: str) -> Any:
    pandas = _module("pandas", call)
    numpy = _module("numpy", call)
    names, types = list(cursor.names), list(cursor.types)
    columns = cursor.columns()
    arrays = {i: _array(kind, data, types[i], numpy) for i, (kind, data) in enumerate(columns)}
    if all(len(a) == 0 for a in arrays.values()):
        arrays = {i: numpy.empty(0, dtype=object) for i in range(len(names))}
    made = pandas.DataFrame(arrays, copy=True)  # the buffers are read-only, a frame is not
    made.columns = pandas.Index(names, dtype=object)
    return made


def _polars_frame(cursor: Cursor, call: str) -> Any:
    polars = _module("polars", call)
    names, types = unique_names(cursor.names), list(cursor.types)
    return polars.DataFrame([_polars_series(polars, name, kind, data, declared) for name, (kind, data), declared
                             in zip(names, cursor.columns(), types)])


def _polars_series(polars: Any, name: str, kind: str, data: Any, declared: str) -> Any:
    if kind == "object":
        try:
            return polars.Series(name, data, strict=True)
        except (TypeError, polars.exceptions.PolarsError):  # of several types
            return polars.Series(name, data, dtype=polars.Object)
    made = polars.Series(name, _numbers(kind, data), dtype=polars.Int64 if kind == "int" else polars.Float64)
    made = made.fill_nan(None) if kind != "int" else made
    if is_boolean(declared) and kind != "real" and made.drop_nulls().is_in([0, 1]).all():
        return made.cast(polars.Boolean)
    return made.cast(polars.Int64) if kind == "real_int" else made


def _numbers(kind: str, data: Any) -> Any:
    """A buffer as an array of numpy; as a list where there is no numpy, which polars does not need."""
    try:
        import numpy
    except ImportError:
        return memoryview(data).cast("B").cast("q" if kind == "int" else "d").tolist() if len(data) else []
    return numpy.frombuffer(data, dtype=numpy.int64 if kind == "int" else numpy.float64)


# ---- from and to records


def from_records(items: Iterable[Mapping[str, Any]], call: str = "a data frame") -> Any:
    """A data frame of dicts, a row each; its columns are all their keys, in the order in which they first come.
    call: named by the ImportError where the library is missing."""
    items = list(items)
    columns = list(dict.fromkeys(key for item in items for key in item))
    if get_backend() == "polars":
        polars = _module("polars", call)
        return polars.DataFrame([polars.Series(c, [item.get(c) for item in items], strict=False) for c in columns])
    return _module("pandas", call).DataFrame(items, columns=columns)


def is_frame(value: Any) -> bool:
    """Whether a value is a data frame, of either library. Imports none."""
    return type(value).__name__ == "DataFrame" and type(value).__module__.partition(".")[0] in _BACKENDS


def records(value: Any) -> list[dict[str, Any]]:
    """The rows of a data frame as dicts."""
    if type(value).__module__.partition(".")[0] == "polars":
        return value.to_dicts()
    return value.to_dict("records")
