"""One call of a function that is tracked, from its begin to its row: what Tracker.track() and Tracker.wrap() do."""
from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from . import _xetrackd, calls, canon, circles, plain

if TYPE_CHECKING:
    from .tracker import Tracker

AUTO: Any = object()  #: version: the digest of the source, where it is wanted
NAPS = 0.002, 0.1  # seconds, the first and the longest, between two looks for what another worker computes


class Options(NamedTuple):
    """How a call is tracked: as Tracker.track() says, which names them."""

    force: bool = False
    version: Any = None
    round_digits: int | None = None
    name: str | None = None
    read_only: bool = False
    wait: float | None = None


class Tracked:
    """One call. args and kwargs: as given; `all_args`, `all_kwargs`: with those of partials and bound methods around `inner`."""

    columns: dict[str, Any]  # of its row, known once it has begun
    key_parts: tuple[dict[str, Any] | None, str | None, int | None]  # arguments, version and digits in its key, too

    __slots__ = ("tracker", "func", "inner", "function", "params", "args", "kwargs", "all_args", "all_kwargs", "options", "columns",
                 "key_parts")

    def __init__(self, tracker: Tracker, func: Callable[..., Any], params: Mapping[str, Any] | None, args: tuple,
                 kwargs: dict[str, Any], options: Options):
        self.tracker, self.func, self.params, self.options = tracker, func, params, options
        self.args, self.kwargs = args, kwargs
        self.inner, self.all_args, self.all_kwargs = calls.unwrap(func, args, kwargs)
        self.function = calls.function_of(self.inner)

    def run(self) -> Any:
        """The result; a coroutine of it for an async function."""
        if self.function.is_async:
            return self._run_async()
        if self.tracker.skip_insert:
            return self._run_alone()
        call = self._begin()
        if call.hit:
            known, result = self._from_cache(call)
            if known:
                return result
            self.options = self.options._replace(force=True)
            call = self._begin()
        try:
            result = self.func(*self.args, **self.kwargs)
        except BaseException as e:
            return self._failed(call, e)
        return self._done(call, result)

    async def _run_async(self) -> Any:
        if self.tracker.skip_insert:
            return await self._run_alone()
        call = await self._begin_async()
        if call.hit:
            known, result = self._from_cache(call)
            if known:
                return result
            self.options = self.options._replace(force=True)
            call = await self._begin_async()
        token = circles.around.set((*circles.around.get(), self)) if call.kept else None
        try:
            result = await self.func(*self.args, **self.kwargs)
        except BaseException as e:
            return self._failed(call, e)
        finally:
            if token is not None:
                circles.around.reset(token)
        return self._done(call, result)

    def _run_alone(self) -> Any:
        """SKIP_INSERT: the call is logged, and nothing else."""
        result = self.func(*self.args, **self.kwargs)
        fields = {} if inspect.iscoroutine(result) else calls.fields_of_result(result)
        tracker = self.tracker
        tracker._logged(tracker._as_row({"function_name": self.function.name, **fields, **(self.params or {})}), "TRACKING")
        return result

    # ---- its begin -----------------------------------------------------------

    def _begin(self, apart: bool = False) -> _xetrackd.Call:
        tracker, function, options = self.tracker, self.function, self.options
        run = tracker._handle()
        bound = function.bind(self.all_args, self.all_kwargs)
        self.columns = calls.columns_of(function, self.all_args, self.all_kwargs, bound)
        key_args, version = self._key(bound)
        digits = options.round_digits if options.round_digits is not None else tracker.round_floats
        self.key_parts = key_args, version, digits
        while True:
            try:
                return run.begin(options.name or function.key, options.name or function.name, self.columns, key_args=key_args,
                                 key_convert=canon.convert, params=self.params, version=version, force=options.force,
                                 read_only=options.read_only, wait=0 if apart else options.wait, round_digits=digits, apart=apart,
                                 trust=tracker.trust)
            except canon.Uncacheable as e:
                calls.say_once(function, f"an argument has a {e.kind} in it, which has no canonical form; give it a method "
                               "__xetrack_key__ that returns what distinguishes it")
            except ValueError as e:
                if key_args is None:
                    raise
                calls.say_once(function, str(e))
            key_args = None

    def _key(self, bound: dict[str, Any] | None) -> tuple[dict[str, Any] | None, str | None]:
        """The arguments in the key of the cache, None: the call is not cached; and the function's version."""
        version = self.options.version
        if bound is None or not self.tracker._cached:
            return None, None if version is AUTO else version
        if version is None and not self.function.local:
            return bound, None
        try:
            return bound, version_of(version, self.function, self.inner)
        except canon.Uncacheable as e:
            calls.say_once(self.function, f"it holds a {e.kind} from around it, which has no canonical form; give version=")
            return None, None if version is AUTO else version

    async def _begin_async(self) -> _xetrackd.Call:
        """No thread is blocked while another worker computes the same."""
        try:
            return self._begin(apart=True)
        except TimeoutError:
            if self.options.wait is not None and self.options.wait <= 0:
                raise
        with circles.waiting((outer.key() for outer in circles.around.get()), self.key()) as circle:
            if circle:
                self.options = self.options._replace(read_only=True)
            nap, waited = NAPS[0], 0.0
            while True:
                try:
                    return self._begin(apart=True)
                except TimeoutError:
                    if self.options.wait is not None and waited >= self.options.wait:
                        raise
                await asyncio.sleep(nap)
                waited, nap = waited + nap, min(2 * nap, NAPS[1])

    def key(self) -> circles.Key:
        """Of a call that was begun, or tried to: in its cache."""
        tracker, function = self.tracker, self.function
        args, version, digits = self.key_parts
        params = {**tracker.params, **self.params} if self.params else tracker.params
        held = tracker._session
        assert held is not None
        return held.path, held.client.cache_key(self.options.name or function.key, args or {}, params, version, digits, canon.convert)

    # ---- its end -------------------------------------------------------------

    def _from_cache(self, call: _xetrackd.Call) -> tuple[bool, Any]:
        """The result of a hit, whose row is logged; or that it cannot be loaded."""
        value, encoding, origin = call.value, call.encoding, call.origin
        assert value is not None
        call.end()
        try:
            result = calls.decode(value, encoding)
        except Exception as e:
            plain.warn(f"a cached result of {self.function.name}() cannot be loaded, and is computed anew: {type(e).__name__}: {e}")
            return False, None
        fields = calls.fields_of_result(result)
        if encoding == "pickle":
            fields = {**fields, **self._keep_assets(calls.assets_of(value), fields)}
        self._note({**fields, "cache": origin, "function_time": 0.0})
        return True, result

    def _keep_assets(self, kept: dict[str, str], fields: Mapping[str, Any]) -> dict[str, str]:
        """Has the run refer to the assets of a cached result, which are made again where they were deleted."""
        run = self.tracker._handle()
        for key, hash in kept.items():
            try:
                run.asset_refer(key, hash)
            except _xetrackd.Error as e:
                if e.code != "no_such_asset":
                    raise
                run.asset_put(key, plain.dump(fields[key]))
        return kept

    def _failed(self, call: _xetrackd.Call, e: BaseException) -> None:
        kind, text = type(e).__name__, plain.text_of(e)
        call.fail(kind, text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0"))
        seconds = call.end()
        self._note({"error": text, "error_type": kind, "function_time": seconds})
        if self.tracker.raise_on_error or not isinstance(e, Exception):
            raise e

    def _done(self, call: _xetrackd.Call, result: Any) -> Any:
        fields = calls.fields_of_result(result)
        assets: dict[str, str] = {}
        kept, value, encoding = call.kept, None, ""
        try:
            try:
                if kept and _xetrackd.packs_plainly(result):
                    value = _xetrackd.pack(result)
                call.result(fields, value, "")
            except plain.NoPlainForm:
                fields = plain.with_assets(self.tracker._handle(), fields, assets)
                call.result(fields)
        except ValueError as e:  # too many, or too large
            return self._not_shown(call, result, e)
        if kept and value is None:
            try:
                value, encoding = calls.encode(result, fields, assets)
                call.result({}, value, encoding)
            except calls.NotKept as e:
                calls.say_once(self.function, f"its result is a {type(result).__qualname__}, and {e}")
                call.forgo()
        seconds = call.end()
        self._note({**fields, "function_time": seconds, **({"cache": ""} if kept else {})})
        return result

    def _not_shown(self, call: _xetrackd.Call, result: Any, why: ValueError) -> Any:
        """A result that no row can hold. It may have cost hours, so it is given back all the same."""
        text = plain.text_of(why)
        call.fail("ResultError", text.encode("utf-8", "backslashreplace").decode())
        seconds = call.end()
        plain.warn(f"the result of {self.function.name}() is not in its row, nor cached: {text}")
        self._note({"error": text, "error_type": "ResultError", "function_time": seconds})
        return result

    def _note(self, outcome: dict[str, Any]) -> None:
        """The row of the call, as `latest` and the logger have it."""
        tracker = self.tracker
        row = {**tracker.params, **self.columns, **outcome, **(self.params or {}), "timestamp": _xetrackd.now(),
               "track_id": tracker._track_id}
        if tracker.logger is not None:
            tracker.logger.track(row)
        tracker.latest = row


def version_of(version: Any, function: calls.Function, inner: Callable[..., Any]) -> str | None:
    """The version in the key: of functions that their name does not tell apart it is a digest of the source."""
    return function.digest(inner) if version is AUTO or (version is None and function.local) else version
