"""Values for rows: what is none of Python's plain types, made one.

docs/python.md has the table of what becomes what.
"""
from __future__ import annotations

import datetime
import decimal
import enum
import fractions
import json
import os
import pathlib
import pickle
import re
import sys
import types
import uuid
import warnings
from collections.abc import Callable, Mapping, Set
from typing import Any

from . import _xetrackd
from .errors import XetrackWarning

MAX_ARRAY = 4096  #: elements of an array that a row shows; a larger one is an asset


class NoPlainForm(TypeError):
    """A value that no row can show: it is stored as an asset. `value` is it."""

    def __init__(self, value: Any):
        super().__init__(f"a {type(value).__qualname__} has no plain form")
        self.value = value


def warn(message: str, category: type[Warning] = XetrackWarning) -> None:
    """Warns at the line of the user's code that called the package."""
    here, level, frame = os.path.dirname(__file__), 2, sys._getframe(1)
    while frame.f_back and os.path.dirname(frame.f_code.co_filename) == here:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


# ---- structures ---------------------------------------------------------------

def is_structure(t: type) -> bool:
    """Whether instances are unpacked into columns: dataclasses and pydantic models."""
    return structure(t) is not None


def structure(t: type) -> tuple[str, ...] | None:
    """Names of a dataclass's fields, () for a pydantic model, None for what is neither."""
    try:
        return _structures[t]
    except KeyError:
        pass
    names = None
    if hasattr(t, "__dataclass_fields__"):
        names = tuple(name for name, f in t.__dataclass_fields__.items() if f._field_type.name == "_FIELD")
    elif is_model(t):
        names = ()
    if len(_structures) < 10000:
        _structures[t] = names
    return names


_structures: dict[type, tuple[str, ...] | None] = {}


def is_model(t: type) -> bool:
    """Whether it is a pydantic model, of version 1 or 2."""
    pydantic = sys.modules.get("pydantic")
    return pydantic is not None and issubclass(t, pydantic.BaseModel)


def fields_of(value: Any) -> dict[str, Any]:
    """The fields of a dataclass or pydantic model, one level of them."""
    names = structure(type(value))
    if names or not is_model(type(value)):
        return {name: getattr(value, name) for name in names or ()}
    return value.model_dump() if hasattr(value, "model_dump") else value.dict()


def qualified_name(value: Any) -> str:
    """Module and name of a function or class."""
    return f"{module_of(value)}.{getattr(value, '__qualname__', getattr(value, '__name__', repr(value)))}"


def module_of(value: Any) -> str:
    """The module's name, the same whether it runs as a script, in a spawned worker, or is imported."""
    name = getattr(value, "__module__", None) or ""
    if name not in ("__main__", "__mp_main__"):
        return name
    main = sys.modules.get(name)
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name not in ("__main__", "__mp_main__"):
        return spec.name.removesuffix(".__main__")
    file = getattr(main, "__file__", None)
    return pathlib.Path(file).stem if file else "__main__"


# ---- one value ----------------------------------------------------------------

def convert(value: Any) -> Any:
    """What a row stores in place of a value that is not plain. NoPlainForm: nothing does."""
    t = type(value)
    how = _known.get(t)
    if how is None:
        how = _find(t)
        if len(_known) < 10000:
            _known[t] = how
    return how(value)


def settle(value: Any) -> Any:
    """The same for a value that may be plain."""
    if type(value) is int:
        return _fit(value)
    return value if type(value) in _PLAIN else convert(value)


_PLAIN = {type(None), bool, int, float, str, bytes, list, tuple, dict}


def _big_int(value: int) -> str:
    warn("an integer that does not fit in 64 bits is stored as text")
    return str(value)


def _odd_text(value: str) -> str:
    warn("a text with halves of characters (lone surrogates) is stored with them escaped")
    return value.encode("utf-8", "backslashreplace").decode()


def _container(value: Any) -> str:
    """Too deep, or of too many values, for a message: as finished JSON."""
    return json_text(value)


def _as_float(value: Any) -> float:
    return float.__float__(value)


def _timedelta(value: datetime.timedelta) -> float | None:
    seconds = value.total_seconds()
    return None if seconds != seconds else seconds


def _moment(value: Any) -> str | None:
    return None if value != value else value.isoformat()  # pandas' NaT is a datetime


def _set(value: Any) -> list:
    try:
        return sorted(value)
    except TypeError:
        return sorted(value, key=repr)


def _generic(value: Any) -> Any:
    """numpy's scalars."""
    item = value.item()
    return convert(item) if type(item) not in _PLAIN else _fit(item)


def _fit(item: Any) -> Any:
    return _big_int(item) if type(item) is int and not -2**63 <= item < 2**63 else item


def _array(value: Any) -> Any:
    if value.ndim == 0 and value.dtype.kind != "O":
        return settle(value.item())
    if value.size > MAX_ARRAY:
        raise NoPlainForm(value)
    return value.tolist()


def _tensor(value: Any) -> Any:
    if value.numel() > MAX_ARRAY:
        raise NoPlainForm(value)
    return value.detach().cpu().tolist()


def _nothing(value: Any) -> Any:
    raise NoPlainForm(value)


def _find(t: type) -> Callable[[Any], Any]:
    numpy, pandas, torch = (sys.modules.get(name) for name in ("numpy", "pandas", "torch"))
    if t is int:
        return _big_int
    if t is str:
        return _odd_text
    if t in (list, tuple, dict):
        return _container
    if issubclass(t, enum.Enum):
        return lambda v: settle(v.value)
    if numpy is not None and issubclass(t, numpy.generic):
        return _generic
    if numpy is not None and issubclass(t, numpy.ndarray):
        return _array
    if torch is not None and issubclass(t, getattr(torch, "Tensor", ())):
        return _tensor
    if pandas is not None and t is type(getattr(pandas, "NA", None)):
        return lambda v: None
    if is_structure(t):
        return fields_of
    for kinds, how in _BASES:
        if issubclass(t, kinds):
            return how
    return _nothing


_BASES: list[tuple[Any, Callable[[Any], Any]]] = [
    (int, lambda v: _fit(int(v))),
    (float, _as_float),
    (str, lambda v: "".join(v)),
    ((bytes, bytearray, memoryview), bytes),
    ((datetime.date, datetime.time), _moment),
    (datetime.timedelta, _timedelta),
    ((decimal.Decimal, fractions.Fraction, uuid.UUID, complex, BaseException), str),
    (os.PathLike, lambda v: settle(os.fspath(v))),
    (Mapping, dict),
    (Set, _set),
    ((list, tuple, range), list),
    ((type, types.FunctionType, types.BuiltinFunctionType, types.MethodType), qualified_name),
    (types.ModuleType, lambda v: v.__name__),
]
_known: dict[type, Callable[[Any], Any]] = {}


# ---- as text --------------------------------------------------------------------

def _leaf(value: Any) -> Any:
    try:
        plain = settle(value)
    except NoPlainForm:
        return summary(value)
    return plain.hex() if isinstance(plain, bytes) else plain


def _json_key(key: Any) -> str:
    return key if type(key) is str else json.dumps(key) if key is None or type(key) is bool else str(key)


def json_text(value: Any) -> str:
    """JSON of anything: what has no plain form is shown by its repr."""
    def walk(v: Any, depth: int) -> Any:
        if depth > 100:
            return "…"
        if type(v) not in _PLAIN:
            v = _leaf(v)
        if type(v) is dict:
            return {_json_key(k): walk(x, depth + 1) for k, x in v.items()}
        if type(v) in (list, tuple):
            return [walk(x, depth + 1) for x in v]
        if type(v) is float and (v != v or v in (float("inf"), float("-inf"))):
            return None if v != v else str(v)
        return v.hex() if type(v) is bytes else v
    return json.dumps(walk(value, 0), ensure_ascii=False)


def summary(value: Any) -> str:
    """A short text for a value that is too much for a cell: `<ndarray float64 (1000, 20)>`, or its repr, cut."""
    t = type(value)
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and not isinstance(value, type):
        return f"<{t.__name__} {getattr(value, 'dtype', '')} {shape}>".replace("  ", " ")
    try:
        text = repr(value)
    except Exception as e:
        text = f"<{t.__qualname__}: {type(e).__name__} in its repr>"
    text = _ADDRESS.sub("", text)  # it tells nothing, and is another one each time
    return text if len(text) <= 200 else text[:199] + "…"


def text_of(error: BaseException) -> str:
    """What it says; a __str__ that fails must not take its place."""
    try:
        return str(error)
    except Exception as e:
        return f"<{type(error).__qualname__}: {type(e).__name__} in its str>"


_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
SHOWN_TEXT, SHOWN_ITEMS = 2000, 200  # of one argument in `args` and `kwargs`


def shown(value: Any, depth: int = 0) -> Any:
    """An argument as `args` and `kwargs` show it: structures as maps, and what is long cut."""
    if _xetrackd.is_short(value):
        return value
    t = type(value)
    if t in (int, float, bool, type(None)):
        return value if t is not int or -2**63 <= value < 2**64 else str(value)
    if t is str:
        return value if len(value) <= SHOWN_TEXT else f"{value[:SHOWN_TEXT]}… ({len(value)} characters)"
    if t is bytes:
        return value.hex() if len(value) <= 64 else f"<{len(value)} bytes>"
    if depth > 6:
        return "…"
    if t in (list, tuple):
        items = [shown(v, depth + 1) for v in value[:SHOWN_ITEMS]]
        return items if len(value) <= SHOWN_ITEMS else [*items, f"… ({len(value)} items)"]
    if t is dict:
        items = list(value.items())
        d = {k if type(k) is str else str(k): shown(v, depth + 1) for k, v in items[:SHOWN_ITEMS]}
        if len(items) > SHOWN_ITEMS:
            d["…"] = f"({len(items)} items)"
        return d
    try:
        if getattr(value, "size", 0) > SHOWN_ITEMS and hasattr(value, "dtype"):
            return summary(value)
        plain = convert(value)
    except Exception:
        return summary(value)
    return shown(plain, depth + 1) if type(plain) in _PLAIN else summary(value)


# ---- pickles ----------------------------------------------------------------------

def dump(value: Any) -> bytes:
    """Its pickle: cloudpickle's, where that is installed. Raises what pickling raises."""
    try:
        import cloudpickle
    except ImportError:
        return pickle.dumps(value, 5)
    return cloudpickle.dumps(value, 5)


def load(data: bytes) -> Any:
    """What dump() was given. Runs code of the pickle: only for what one trusts."""
    return pickle.loads(data)


def with_assets(run: _xetrackd.Run, data: Mapping[str, Any], found: dict[str, str] | None = None) -> dict[str, Any]:
    """The row with each value that has no plain form replaced by the hash of an asset; found: gets key → hash."""
    row = {}
    for key, value in data.items():
        try:
            if type(value) in (list, tuple, dict) or not (type(value) in _PLAIN):
                value = _checked(value)
        except NoPlainForm:
            value = _asset(run, str(key), value, found)
        row[key] = value
    return row


def _checked(value: Any) -> Any:
    """A value that can be packed. Containers with something unplain in them become JSON text of what they show."""
    value = settle(value)
    if type(value) not in (list, tuple, dict):
        return value
    try:
        _xetrackd.pack(value, convert)
    except NoPlainForm:
        return json_text(value)
    except ValueError:
        pass  # too deep: the extension asks again
    return value


def _asset(run: _xetrackd.Run, key: str, value: Any, found: dict[str, str] | None) -> str:
    try:
        data = dump(value)
    except Exception as e:
        warn(f"'{key}' is stored as its repr, for a {type(value).__qualname__} cannot be pickled: {e}")
        return summary(value)
    hash = run.asset_put(key or "value", data)
    if found is not None:
        found[key] = hash
    return hash
