"""What a Tracker writes for people beside the database: a log file a day, standard output, JSON lines.

A line of a log is

    2025-01-31 12:00:00.123 | TRACKING | module:function:line!📁!{"accuracy": 0.9, ...}

with $LOGS_DELIMITER in place of `!📁!` where that is set. JSON lines have one object each: `timestamp` (ISO 8601, with
the zone), `level`, then the fields. Each Logger is on its own: there is no global configuration, and the logging of the
program that uses it is not touched. Any number of processes may append to one file: an entry is one write.
"""
from __future__ import annotations

import json
import math
import os
import re
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from . import frames

__all__ = ["Logger", "make", "read_logs", "read_jsonl", "MONITOR", "TRACKING", "EXPERIMENT"]

MONITOR, TRACKING, EXPERIMENT = "MONITOR", "TRACKING", "EXPERIMENT"
LEVELS = {MONITOR: 26, TRACKING: 27, EXPERIMENT: 28}  # numbers as Python's logging counts them
FILE_FORMAT = "{time:YYYY-MM-DD}.log"
_PACKAGE = __name__.partition(".")[0]
_HEAD = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}) \| (\w+) *\| ")


def delimiter() -> str:
    """What stands between a line's head and its JSON: $LOGS_DELIMITER, or `!📁!`."""
    return os.environ.get("LOGS_DELIMITER") or "!📁!"


# ---- writing


class Logger:
    """Writes dicts, lists of dicts and data frames to where a Tracker was told to log.

    Three levels: monitor (26), track (27), experiment (28). It can be pickled and used after fork: it keeps no file
    open. A file that cannot be written is warned of once and does not stop the program.
    """

    def __init__(self, logs_path: str | os.PathLike[str] | None = None, logs_file_format: str | None = None,
                 stdout: bool = False, jsonl: str | os.PathLike[str] | None = None) -> None:
        """logs_path: directory of the log files, made when it is missing. logs_file_format: their names,
        `{time:YYYY-MM-DD}.log` if None; `{time:…}` holds YYYY, MM, DD, HH, mm, ss or what strftime knows. stdout: lines
        go to standard output too. jsonl: a file of JSON lines, to which is appended."""
        self.logs_path = None if logs_path is None else os.path.abspath(os.fspath(logs_path))
        self.logs_file_format = logs_file_format or FILE_FORMAT
        self.stdout = stdout
        self.jsonl = None if jsonl is None else os.path.abspath(os.fspath(jsonl))
        self._ended: set[str] = set()  # files whose last line was seen to be whole
        self._warned: set[str] = set()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_ended": set(), "_warned": set()}

    def monitor(self, data: Any) -> None:
        """Logs a dict, a list of dicts (an entry each) or a data frame (an entry a row) at level MONITOR."""
        self._log(MONITOR, data)

    def track(self, data: Any) -> None:
        """The same at level TRACKING."""
        self._log(TRACKING, data)

    def experiment(self, data: Any) -> None:
        """The same at level EXPERIMENT; in logs its JSON is indented, over several lines."""
        self._log(EXPERIMENT, data)

    def _log(self, level: str, data: Any) -> None:
        if frames.is_frame(data):
            data = frames.records(data)
        items = [data] if isinstance(data, Mapping) or not isinstance(data, (list, tuple)) else data
        now = datetime.now().astimezone()
        if self.logs_path is not None or self.stdout:
            lines = "".join(self._line(level, item, now) for item in items)
            if self.stdout:
                self._guarded("standard output", self._print, lines)
            if self.logs_path is not None:
                path = os.path.join(self.logs_path, file_name(self.logs_file_format, now))
                self._guarded(path, self._append, lines)
        if self.jsonl is not None:
            self._guarded(self.jsonl, self._append, "".join(_json_line(level, item, now) for item in items))

    def _line(self, level: str, item: Any, now: datetime) -> str:
        head = f"{now:%Y-%m-%d %H:%M:%S}.{now.microsecond // 1000:03} | {level} | {_caller()}"
        return f"{head}{delimiter()}{dumps(item, indent=4 if level == EXPERIMENT else None)}\n"

    def _guarded(self, what: str, write: Any, text: str) -> None:
        try:
            write(what, text)
        except (OSError, ValueError) as e:  # ValueError: standard output was closed
            if what not in self._warned:
                self._warned.add(what)
                warnings.warn(f"cannot log to {what}: {e}; rows go to the database all the same", stacklevel=5)

    @staticmethod
    def _print(_: str, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    def _append(self, path: str, text: str) -> None:
        """One write to the end of the file, so that others' lines come before or behind."""
        try:
            fd = _open(path)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            fd = _open(path)
        try:
            if path not in self._ended:
                self._ended.add(path)
                text = _end_of_torn_line(fd) + text
            data = text.encode("utf-8", "backslashreplace")
            written = os.write(fd, data)
            if written < len(data):
                raise OSError(f"only {written} of {len(data)} bytes could be written")
        finally:
            os.close(fd)


def make(logs_path: str | os.PathLike[str] | None = None, logs_file_format: str | None = None, logs_stdout: bool = False,
         jsonl: str | os.PathLike[str] | None = None) -> Logger | None:
    """A Logger of a Tracker's arguments; None where they ask for none. logs_file_format alone logs into the working
    directory."""
    if logs_path is None and logs_file_format is not None:
        logs_path = "."
    if logs_path is None and jsonl is None and not logs_stdout:
        return None
    return Logger(logs_path, logs_file_format, logs_stdout, jsonl)


def _open(path: str) -> int:
    return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)


def _end_of_torn_line(fd: int) -> str:
    """What ends the line that a killed process left unfinished, if the file ends with one."""
    size = os.fstat(fd).st_size
    return "\n" if size and os.pread(fd, 1, size - 1) != b"\n" else ""


def file_name(form: str, now: datetime) -> str:
    """Name of the log file: `{time:YYYY-MM-DD}` in `form` becomes the time, as does `{time}`."""
    tokens = (("YYYY", "%Y"), ("MM", "%m"), ("DD", "%d"), ("HH", "%H"), ("mm", "%M"), ("ss", "%S"))

    def stamp(match: re.Match[str]) -> str:
        text = match[1] or "YYYY-MM-DD_HH-mm-ss"
        for token, directive in tokens:
            text = text.replace(token, directive)
        return now.strftime(text)

    return re.sub(r"\{time(?::([^}]*))?\}", stamp, form)


def _caller() -> str:
    """`module:function:line` of who called the package."""
    frame: Any = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == _PACKAGE:
        frame = frame.f_back
    return f"{frame.f_globals.get('__name__', '?')}:{frame.f_code.co_name}:{frame.f_lineno}"


def _json_line(level: str, item: Any, now: datetime) -> str:
    fields = item if isinstance(item, Mapping) else {"message": item}
    entry = {"timestamp": now.isoformat(), "level": level}
    entry.update((k, v) for k, v in fields.items() if k != "timestamp")
    return dumps(entry) + "\n"


# ---- JSON


def dumps(value: Any, indent: int | None = None) -> str:
    """JSON of any value: NaN is null, bytes are hexadecimal, numbers of numpy are numbers, and what JSON has not is
    shown as text."""
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False, indent=indent, default=_plain)
    except (ValueError, TypeError, RecursionError):
        text = json.dumps(_clean(value), allow_nan=False, ensure_ascii=False, indent=indent)
    return text


def _plain(value: Any) -> Any:
    """For json.dumps: something else in place of what it does not know."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).hex()
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "shape", None) == ():
        value = item()
        return value if isinstance(value, (bool, int, float, str)) else _text(value)
    return _text(value)


def _text(value: Any) -> str:
    try:
        return str(value)
    except Exception:  # a __str__ of users must not cost the row
        return object.__repr__(value)


def _clean(value: Any, depth: int = 0) -> Any:
    """A value of which json.dumps knows all parts."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None if math.isnan(value) else str(float(value))
    if depth >= 16:
        return _text(value)
    if isinstance(value, Mapping):
        return {k if isinstance(k, str) else _text(k): _clean(v, depth + 1) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean(v, depth + 1) for v in value]
    return _clean(_plain(value), depth + 1)


# ---- reading


def read_logs(path: str | os.PathLike[str], limit: int | None = None) -> Iterator[dict[str, Any]]:
    """The entries of log files, oldest first: the fields of each, with `timestamp` and `level` of its line where it has
    none of its own.

    path: a file, or a directory of `*.log`. limit: only so many files, those with the last names. What is no entry, such
    as a line that a killed process left torn, is passed over. FileNotFoundError where there is no such path.
    """
    if limit is not None and limit < 0:
        raise ValueError(f"limit {limit}: a number of files")
    top = Path(path)
    files = sorted(top.glob("*.log")) if top.is_dir() else [top]
    if limit is not None:
        files = files[len(files) - min(limit, len(files)):]
    for file in files:
        yield from _entries(file)


def _entries(file: Path) -> Iterator[dict[str, Any]]:
    mark = delimiter()
    head: re.Match[str] | None = None
    text: list[str] = []
    with open(file, encoding="utf-8", errors="replace", newline="\n") as f:
        for line in f:
            begins = _HEAD.match(line) if mark in line else None
            if not begins:
                text.append(line)
                continue
            yield from _entry(head, text)
            head, text = begins, [line.partition(mark)[2]]
    yield from _entry(head, text)


def _entry(head: re.Match[str] | None, text: Sequence[str]) -> Iterator[dict[str, Any]]:
    if not head:
        return
    try:
        fields, _ = json.JSONDecoder().raw_decode("".join(text).lstrip())
    except ValueError:
        return
    if not isinstance(fields, dict):
        fields = {"message": fields}
    fields.setdefault("timestamp", head[1])
    fields.setdefault("level", head[2])
    yield fields


def read_jsonl(path: str | os.PathLike[str]) -> Iterator[dict[str, Any]]:
    """The objects of a file of JSON lines, in their order.

    A last line that is torn is passed over; of others that are no objects one warning says how many there were.
    FileNotFoundError where there is no such file.
    """
    bad = 0
    torn = False
    with open(path, encoding="utf-8", errors="replace", newline="\n") as f:
        for line in f:
            bad += torn
            torn = False
            try:
                fields = json.loads(line) if line.strip() else None
            except ValueError:
                torn = True
                continue
            if isinstance(fields, dict):
                yield fields
            else:
                bad += fields is not None
    if bad:
        warnings.warn(f"{os.fspath(path)}: {bad} lines are no JSON objects and were passed over", stacklevel=2)
