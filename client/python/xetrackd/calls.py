"""Calls of functions: how they are named, bound to their parameters, shown in a row, and kept in the cache."""
from __future__ import annotations

import functools
import hashlib
import inspect
import os
import textwrap
import types
import weakref
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any

from . import _xetrackd, canon, plain
from .errors import XetrackWarning

MAX_DEPTH = 10  #: dataclasses inside each other that become columns


# ---- functions -------------------------------------------------------------------

class Function:
    """What is known of a function: made once, kept as long as it lives."""

    __slots__ = ("name", "key", "names", "positional", "defaults", "varargs", "varkw", "receiver", "is_async",
                 "local", "_digest", "_ref")

    def __init__(self, func: Callable[..., Any]):
        self.name = getattr(func, "__name__", type(func).__name__)
        self.key = plain.qualified_name(func)
        self.local = "<" in self.key  # a lambda, or a function in a function: its name does not tell which
        self.is_async = inspect.iscoroutinefunction(func)
        self._digest: str | None = None
        self._ref = func if not hasattr(func, "__weakref__") else weakref.ref(func)
        self.names: tuple[str, ...] = ()
        self.defaults: dict[str, Any] = {}
        self.positional = 0
        self.varargs: str | None = None
        self.varkw: str | None = None
        self.receiver: str | None = None
        try:
            parameters = list(inspect.signature(func).parameters.values())
        except (TypeError, ValueError):  # built in, without a signature
            self.varargs, self.varkw = "args", "kwargs"
            return
        names = []
        for p in parameters:
            if p.kind is p.VAR_POSITIONAL:
                self.varargs = p.name
            elif p.kind is p.VAR_KEYWORD:
                self.varkw = p.name
            else:
                names.append(p.name)
                self.positional += p.kind is not p.KEYWORD_ONLY
                if p.default is not p.empty:
                    self.defaults[p.name] = p.default
        self.names = tuple(names)
        if names and names[0] in ("self", "cls") and "." in getattr(func, "__qualname__", ""):
            self.receiver = names[0]

    def bind(self, args: tuple, kwargs: Mapping[str, Any]) -> dict[str, Any] | None:
        """Parameter → value, defaults filled in; surplus positional ones as a list under `*name`. None: they do not fit."""
        names = self.names
        if len(args) == len(names) == self.positional and not kwargs:
            return dict(zip(names, args))
        bound = dict(self.defaults)
        bound.update(zip(names, args[:self.positional]))
        if len(args) > self.positional:
            if self.varargs is None:
                return None
            bound["*" + self.varargs] = list(args[self.positional:])
        taken = names[:min(len(args), self.positional)]
        for name, value in kwargs.items():
            if name in taken or (name not in names and self.varkw is None):
                return None
            bound[name] = value
        if any(name not in bound for name in names):
            return None
        return bound

    def digest(self, func: Callable[..., Any]) -> str:
        if self._digest is None:
            self._digest = source_digest(func)
        return self._digest


_functions: weakref.WeakKeyDictionary[Any, Function] = weakref.WeakKeyDictionary()


def unwrap(func: Any, args: tuple, kwargs: dict[str, Any]) -> tuple[Callable[..., Any], tuple, dict[str, Any]]:
    """The function below partials and bound methods, with the arguments that they add."""
    while True:
        if isinstance(func, functools.partial):
            func, args, kwargs = func.func, func.args + args, {**func.keywords, **kwargs}
        elif isinstance(func, types.MethodType):
            func, args = func.__func__, (func.__self__, *args)
        elif not isinstance(func, (types.FunctionType, types.BuiltinFunctionType, type)) and \
                isinstance(getattr(type(func), "__call__", None), types.FunctionType):
            func, args = type(func).__call__, (func, *args)
        else:
            return func, args, kwargs


def function_of(func: Callable[..., Any]) -> Function:
    """What is known of an unwrapped function."""
    try:
        known = _functions.get(func)
        if known is None:
            known = _functions[func] = Function(func)
        return known
    except TypeError:  # no weak references to it
        return Function(func)


def _code(code: types.CodeType, h: Any) -> None:
    h.update(code.co_code)
    h.update(repr((code.co_names, code.co_varnames[:code.co_argcount])).encode())
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            _code(const, h)
        else:
            h.update(repr(const).encode())


def source_digest(func: Callable[..., Any]) -> str:
    """16 hexadecimal digits of a function's source, decorators, indentation and trailing space aside; of its code where there is
    no source. What a closure holds counts too (canon.Uncacheable where it has no canonical form)."""
    func = inspect.unwrap(func)
    code = getattr(func, "__code__", None)
    if code is not None and code in _digested.get():  # functions that hold each other: the other one's digest has the rest
        return ""
    token = _digested.set((*_digested.get(), code))
    try:
        return _digest(func, code)
    finally:
        _digested.reset(token)


_digested: ContextVar[tuple[Any, ...]] = ContextVar("digested", default=())  # code of functions around this one


def _digest(func: Callable[..., Any], code: types.CodeType | None) -> str:
    h = hashlib.blake2b(digest_size=8)
    try:
        lines = textwrap.dedent(inspect.getsource(func)).splitlines()
        while lines and not lines[0].lstrip().startswith(("def ", "async def ", "class ")) and "lambda" not in lines[0]:
            lines.pop(0)
        h.update("\n".join(line.rstrip() for line in lines).encode())
    except (OSError, TypeError):
        lines = []
    if code is not None and (not lines or code.co_name == "<lambda>"):  # several lambdas may stand in one line
        _code(code, h)
    for cell in getattr(func, "__closure__", None) or ():
        try:
            held = cell.cell_contents
        except ValueError:  # not filled yet
            continue
        if held is not func and not (isinstance(held, types.FunctionType) and held.__code__ is code):
            h.update(_xetrackd.pack(held, canon.convert))
    return h.hexdigest()


# ---- what a row shows --------------------------------------------------------------

def _flatten(columns: dict[str, Any], name: str, value: Any, depth: int, seen: tuple) -> None:
    fields = plain.fields_of(value)
    nested = not plain.is_model(type(value))
    for field, v in fields.items():
        key = f"{name}_{field}"
        if type(v) in _SCALARS or not nested or not plain.is_structure(type(v)) or isinstance(v, type):
            columns[key] = v
        elif depth < MAX_DEPTH and id(v) not in seen:
            _flatten(columns, key, v, depth + 1, (*seen, id(v)))
        else:
            columns[key] = plain.summary(v)


def columns_of(function: Function, args: tuple, kwargs: Mapping[str, Any], bound: Mapping[str, Any] | None) -> dict[str, Any]:
    """`args`, `kwargs`, and the fields of structured arguments as `<argument>_<field>`. Those of the only structured one are
    there as `params_<field>` too, unless an argument is called `params`."""
    columns: dict[str, Any] = {"args": [plain.shown(a) for a in args],
                               "kwargs": {k: plain.shown(v) for k, v in kwargs.items()}}
    if bound is None:
        return columns
    structured = []
    for name, value in bound.items():
        t = type(value)
        if t in _SCALARS or name == function.receiver:
            continue
        if function.varargs is not None and name == "*" + function.varargs and type(value) is list:
            name, value = function.varargs, value[0]  # the first of the surplus ones, under the name of the parameter
            t = type(value)
        if plain.structure(t) is not None:
            structured.append((name, value))
            _flatten(columns, name, value, 1, (id(value),))
    if len(structured) == 1 and "params" not in bound:
        _flatten(columns, "params", structured[0][1], 1, (id(structured[0][1]),))
    if structured:
        for name, value in columns.items():
            if type(value) not in _SCALARS and name not in ("args", "kwargs"):
                columns[name] = _shown_column(value)
    return columns


def _shown_column(value: Any) -> Any:
    try:
        value = plain.settle(value)
        _xetrackd.pack(value, plain.convert)
    except (TypeError, ValueError):
        return plain.summary(value)
    return value


_SCALARS = frozenset((int, float, str, bool, type(None), bytes))


def fields_of_result(result: Any) -> dict[str, Any]:
    """A result as columns: the items of a dict, the fields of a structure, anything else as `function_result`."""
    t = type(result)
    if t is dict:
        return result
    if isinstance(result, Mapping):
        return dict(result)
    if plain.is_structure(t) and not isinstance(result, type):
        columns: dict[str, Any] = {}
        for name, value in plain.fields_of(result).items():
            if plain.is_structure(type(value)) and not isinstance(value, type):
                _flatten(columns, name, value, 2, (id(result), id(value)))
            else:
                columns[name] = value
        return columns
    return {"function_result": result}


# ---- what the cache keeps ------------------------------------------------------------

class NotKept(TypeError):
    """A result that the cache cannot hold."""


def encode(result: Any, fields: Mapping[str, Any], assets: Mapping[str, str]) -> tuple[bytes, str]:
    """A result as the cache keeps it, and in which encoding: MessagePack where that gives it back as it was; else a pickle, before
    which stand the columns of its row and which of them are assets."""
    if not assets and _xetrackd.packs_plainly(result):
        return _xetrackd.pack(result), ""
    if isinstance(result, (types.GeneratorType, types.CoroutineType, types.AsyncGeneratorType)):
        raise NotKept(f"a {type(result).__name__} can be used only once")
    try:
        pickled = plain.dump(result)
    except Exception as e:
        raise NotKept(f"it cannot be pickled: {e}") from None
    shown = {str(k): plain.settle(v) for k, v in fields.items()}
    try:
        packed = _xetrackd.pack([shown, pickled, dict(assets)], plain.convert)
    except (TypeError, ValueError):
        packed = _xetrackd.pack([{k: v if type(v) in _SCALARS and type(v) is not int else plain.json_text(v)
                                  for k, v in shown.items()}, pickled, dict(assets)], plain.convert)
    return packed, "pickle"


def decode(value: bytes, encoding: str, uid: int | None = None, trust: bool = False) -> Any:
    """The result that encode() was given. uid: of who stored it; a pickle of another user's is loaded only with trust."""
    if encoding == "":
        return _xetrackd.unpack(value)
    if encoding != "pickle":
        raise ValueError(f"a result in the encoding '{encoding}', which Python does not know")
    if uid is not None and uid != os.geteuid() and not trust:
        raise PermissionError(f"the result is a pickle of user {uid}, which is loaded only with trust=True")
    return plain.load(_xetrackd.unpack(value)[1])


def assets_of(value: bytes) -> dict[str, str]:
    """Of a pickled result: which columns of its row are assets, and their hashes."""
    return _xetrackd.unpack(value)[2]


# ---- what is said once -----------------------------------------------------------------

_said: set[tuple[str, str]] = set()


def say_once(function: Function, why: str) -> None:
    """Warns that calls of a function are not cached, once a reason."""
    if (function.key, why) in _said:
        return
    if len(_said) < 1000:
        _said.add((function.key, why))
    plain.warn(f"{function.name}() is not cached: {why}", XetrackWarning)
