"""Arguments for keys of the cache: what MessagePack has not, in one form.

`convert` is given to the extension, which packs plain values itself; libxetrack then brings all into the canonical form of
docs/cache.md. A value of a class is a map with its name under `__class__`, so that two classes with equal fields differ.
"""
from __future__ import annotations

import datetime
import decimal
import enum
import fractions
import functools
import hashlib
import os
import sys
import types
import uuid
from collections.abc import Mapping, Set
from typing import Any

from . import _xetrackd
from .plain import is_model, qualified_name, structure


class Uncacheable(TypeError):
    """An argument that has no canonical form: `kind` is its type's name."""

    def __init__(self, value: Any, why: str = ""):
        self.kind = type(value).__qualname__
        super().__init__(f"a {self.kind} has no canonical form{why}")


def _tag(value: Any, /, **fields: Any) -> dict[str, Any]:
    return {"__class__": type(value).__qualname__, **fields}


def digest(*parts: bytes | memoryview) -> bytes:
    """BLAKE2b-256 of some bytes, end to end."""
    h = hashlib.blake2b(digest_size=32)
    for part in parts:
        h.update(part)
    return h.digest()


def convert(value: Any) -> Any:
    """The plain value that stands for this one in a key. Uncacheable: there is none."""
    t = type(value)
    own = getattr(t, "__xetrack_key__", None)
    if own is not None:
        return _tag(value, value=own(value))
    names = structure(t)
    if names:
        return {"__class__": t.__qualname__, **{name: getattr(value, name) for name in names}}
    if t is int:
        return _tag(value, value=str(value))
    if t is str:
        return _tag(value, value=value.encode("utf-8", "surrogatepass"))
    if isinstance(value, enum.Enum):
        return _tag(value, value=value.value)
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, numpy.generic) and not isinstance(value, numpy.void):
        item = value.item()
        return item if not isinstance(item, numpy.generic) else _tag(value, value=str(value))
    if numpy is not None and isinstance(value, numpy.ndarray):
        return _array(value, numpy)
    if is_model(t):
        fields = getattr(t, "model_fields", None) or getattr(t, "__fields__", {})
        return _tag(value, **{name: getattr(value, name) for name in fields})
    pandas = sys.modules.get("pandas")
    if pandas is not None:
        if isinstance(value, (pandas.DataFrame, pandas.Series, pandas.Index)):
            return _frame(value, pandas)
        if value is pandas.NA or value is pandas.NaT:
            return _tag(value)
    for kinds, how in _BASES:
        if isinstance(value, kinds):
            return how(value)
    if names is not None:  # a dataclass without fields
        return _tag(value)
    raise Uncacheable(value)


def _array(value: Any, numpy: Any) -> dict[str, Any]:
    if value.dtype.hasobject:
        return _tag(value, shape=list(value.shape), items=value.tolist())
    data = numpy.ascontiguousarray(value)
    return {"__class__": "ndarray", "dtype": value.dtype.str if value.dtype.fields is None else str(value.dtype.descr),
            "shape": list(value.shape), "digest": digest(memoryview(data.reshape(-1).view(numpy.uint8)) if data.size else b"")}


def _frame(value: Any, pandas: Any) -> dict[str, Any]:
    try:
        rows = pandas.util.hash_pandas_object(value, index=True).values
    except TypeError:
        raise Uncacheable(value, ", for its cells cannot be hashed") from None
    columns = [[str(c), str(d)] for c, d in value.dtypes.items()] if isinstance(value, pandas.DataFrame) \
        else [[str(value.name), str(value.dtype)]]
    return _tag(value, columns=columns, rows=len(value), digest=digest(memoryview(rows).cast("B")) if len(value) else b"")


def _set(value: Any) -> dict[str, Any]:
    return {"__class__": "set", "items": sorted(value, key=lambda v: _xetrackd.pack(v, convert))}


def _function(value: Any) -> dict[str, Any]:
    from .calls import source_digest  # calls.py needs this module
    return {"__class__": "function", "name": qualified_name(value), "source": source_digest(value)}


_BASES: list[tuple[Any, Any]] = [
    (int, int),
    (float, float.__float__),
    (str, lambda v: "".join(v)),
    ((bytes, bytearray, memoryview), bytes),
    ((datetime.date, datetime.time), lambda v: _tag(v, value=v.isoformat())),
    (datetime.timedelta, lambda v: _tag(v, value=[v.days, v.seconds, v.microseconds])),
    ((decimal.Decimal, fractions.Fraction, uuid.UUID, complex), lambda v: _tag(v, value=str(v))),
    (os.PathLike, lambda v: {"__class__": "Path", "value": os.fspath(v)}),
    (Mapping, dict),
    (Set, _set),
    ((list, tuple), list),
    (range, lambda v: _tag(v, value=[v.start, v.stop, v.step])),
    (functools.partial, lambda v: {"__class__": "partial", "function": v.func, "args": list(v.args), "kwargs": v.keywords}),
    (types.MethodType, lambda v: {"__class__": "method", "function": v.__func__, "self": v.__self__}),
    (types.FunctionType, _function),
    (types.BuiltinFunctionType, lambda v: {"__class__": "function", "name": qualified_name(v)}),
    (type, lambda v: {"__class__": "type", "name": qualified_name(v)}),
    (type(...), lambda v: {"__class__": "ellipsis"}),
]
