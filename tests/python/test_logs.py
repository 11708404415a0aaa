"""What Trackers write beside the database, and how it is read back."""
import json
import logging
import os
import pickle
import re
import subprocess
import sys
import warnings
from datetime import datetime

import pandas
import pytest
from conftest import TIMEOUT

from xetrackd import Reader, Tracker, logs


@pytest.fixture(autouse=True)
def no_delimiter(monkeypatch):
    monkeypatch.delenv("LOGS_DELIMITER", raising=False)


def log_file(path):
    (file,) = path.glob("*.log")
    return file


def test_a_line_has_the_form(tmp_path):
    logger = logs.make(logs_path=tmp_path / "a" / "b")
    logger.track({"accuracy": 0.5, "name": "ü"})
    file = log_file(tmp_path / "a" / "b")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d\.log", file.name)
    line = file.read_text(encoding="utf-8")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \| TRACKING \| test_logs:test_a_line_has_the_form:\d+!📁!"
                        r"\{\"accuracy\": 0\.5, \"name\": \"ü\"\}\n", line)


def test_levels(tmp_path, monkeypatch):
    assert logs.LEVELS == {"MONITOR": 26, "TRACKING": 27, "EXPERIMENT": 28}
    logger = logs.make(logs_path=tmp_path)
    logger.monitor({"a": 1})
    logger.track([{"a": 2}, {"a": 3}])
    logger.experiment(pandas.DataFrame({"a": [4, 5]}))
    lines = log_file(tmp_path).read_text().splitlines()
    assert [line.split(" | ")[1] for line in lines if " | " in line] == ["MONITOR", "TRACKING", "TRACKING", "EXPERIMENT",
                                                                        "EXPERIMENT"]
    assert '    "a": 4' in lines  # an experiment is indented
    read = list(logs.read_logs(tmp_path))
    assert [r["a"] for r in read] == [1, 2, 3, 4, 5]
    assert [r["level"] for r in read] == ["MONITOR", "TRACKING", "TRACKING", "EXPERIMENT", "EXPERIMENT"]


def test_the_delimiter_and_the_name_of_the_file_can_be_chosen(tmp_path, monkeypatch):
    monkeypatch.setenv("LOGS_DELIMITER", "<->")
    logs.make(logs_path=tmp_path, logs_file_format="run_{time:YYYY_MM_DD}_x.log").monitor({"a": 1})
    file = log_file(tmp_path)
    assert re.fullmatch(r"run_\d{4}_\d\d_\d\d_x\.log", file.name)
    assert "<->" in file.read_text() and "📁" not in file.read_text(encoding="utf-8")
    assert [r["a"] for r in logs.read_logs(tmp_path)] == [1]
    when = datetime(2025, 1, 2, 3, 4, 5)
    assert logs.file_name("{time:YYYY-MM-DD HH.mm.ss}{time:%j}.log", when) == "2025-01-02 03.04.05002.log"
    assert logs.file_name("{time}.log", when) == "2025-01-02_03-04-05.log"


def test_json_lines(tmp_path):
    path = tmp_path / "sub" / "rows.jsonl"
    logger = logs.make(jsonl=path)
    logger.track({"timestamp": "of the row", "loss": float("nan"), "n": 3, "deep": {"x": [float("nan"), 1]}})
    (line,) = path.read_text().splitlines()
    entry = json.loads(line)
    assert datetime.fromisoformat(entry.pop("timestamp")).tzinfo is not None
    assert list(entry) == ["level", "loss", "n", "deep"]
    assert entry == {"level": "TRACKING", "loss": None, "n": 3, "deep": {"x": [None, 1]}}


def test_what_json_has_not_is_text(tmp_path):
    import numpy

    class Odd:
        def __str__(self):
            return "odd"

    class Bad:
        def __str__(self):
            raise ValueError

    loop = []
    loop.append(loop)
    row = {"inf": float("inf"), "bytes": b"\x01\xff", "int": numpy.int64(3), "real": numpy.float32(0.5), "nan": numpy.float32("nan"),
           "bool": numpy.bool_(True), "set": {1}, "odd": Odd(), "tuple": (1, 2), 5: "key", ("a", 1): 2, "surrogate": "\ud800",
           "big": 2**70, "date": datetime(2025, 1, 2)}
    entry = json.loads(logs.dumps(row).encode("utf-8", "backslashreplace"))
    assert entry == {"inf": "inf", "bytes": "01ff", "int": 3, "real": 0.5, "nan": None, "bool": True, "set": "{1}", "odd": "odd",
                     "tuple": [1, 2], "5": "key", "('a', 1)": 2, "surrogate": "\ud800", "big": 2**70,
                     "date": "2025-01-02 00:00:00"}
    assert "Bad object at" in logs.dumps({"bad": Bad()})
    assert json.loads(logs.dumps({"loop": loop}))


def test_a_surrogate_does_not_lose_the_line(tmp_path):
    logs.make(jsonl=tmp_path / "x", logs_path=tmp_path).monitor({"a": "\ud800"})
    assert [r["a"] for r in logs.read_jsonl(tmp_path / "x")] == ["\ud800"]
    assert [r["a"] for r in logs.read_logs(tmp_path)] == ["\ud800"]


def test_standard_output(capsys):
    logs.make(logs_stdout=True).monitor({"a": 1})
    assert capsys.readouterr().out.endswith('!📁!{"a": 1}\n')


def test_nothing_is_asked_for():
    assert logs.make() is None
    assert logs.make(logs_file_format="x.log").logs_path == os.getcwd()


def test_loggers_are_on_their_own(tmp_path):
    """And the user's logging is as it was."""
    handlers, level = list(logging.root.handlers), logging.root.level
    one, two = logs.make(jsonl=tmp_path / "1"), logs.make(jsonl=tmp_path / "2")
    one.monitor({"a": 1})
    two.monitor({"a": 2})
    one.monitor({"a": 3})
    assert [r["a"] for r in logs.read_jsonl(tmp_path / "1")] == [1, 3]
    assert [r["a"] for r in logs.read_jsonl(tmp_path / "2")] == [2]
    assert logging.root.handlers == handlers and logging.root.level == level
    assert logging.getLevelName(26) == "Level 26"


def test_it_can_be_pickled_and_the_directory_changed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    logger = logs.make(jsonl="rows")
    monkeypatch.chdir("/")
    pickle.loads(pickle.dumps(logger)).monitor({"a": 1})
    assert [r["a"] for r in logs.read_jsonl(tmp_path / "rows")] == [1]


def test_a_file_that_cannot_be_written_is_warned_of_once(tmp_path):
    (tmp_path / "file").write_text("")
    logger = logs.make(jsonl=tmp_path / "file" / "x")
    with pytest.warns(UserWarning, match="cannot log to .*file/x"):
        logger.monitor({"a": 1})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        logger.monitor({"a": 1})


def test_processes_do_not_mix_their_lines(tmp_path):
    code = """
import sys
from xetrackd import logs
logger = logs.make(logs_path=sys.argv[1], jsonl=sys.argv[1] + "/rows")
for i in range(200):
    logger.track({"worker": sys.argv[2], "i": i, "text": sys.argv[2] * 5000})
"""
    workers = [subprocess.Popen([sys.executable, "-c", code, tmp_path, str(n)]) for n in range(3)]
    assert [w.wait(TIMEOUT) for w in workers] == [0, 0, 0]
    for read in logs.read_jsonl(tmp_path / "rows"), logs.read_logs(tmp_path):
        seen = [(r["worker"], r["i"]) for r in read if r["text"] == r["worker"] * 5000]
        assert len(seen) == 600
        for n in "012":
            assert [i for worker, i in seen if worker == n] == list(range(200))


def test_torn_lines(tmp_path):
    path = tmp_path / "rows"
    logs.make(jsonl=path, logs_path=tmp_path).monitor({"a": 1})
    torn = path.read_bytes()[:-10]
    path.write_bytes(path.read_bytes() + torn)
    log = log_file(tmp_path)
    log.write_bytes(log.read_bytes() + log.read_bytes()[:-4])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [r["a"] for r in logs.read_jsonl(path)] == [1]
    assert [r["a"] for r in logs.read_logs(tmp_path)] == [1]
    logs.make(jsonl=path, logs_path=tmp_path).monitor({"a": 2})  # begins a line of its own
    with pytest.warns(UserWarning, match="1 lines are no JSON objects"):
        assert [r["a"] for r in logs.read_jsonl(path)] == [1, 2]
    assert [r["a"] for r in logs.read_logs(tmp_path)] == [1, 2]


def test_readers(tmp_path):
    for day in "2025-01-01", "2025-01-02", "2025-01-03":
        (tmp_path / f"{day}.log").write_text(f'{day} 00:00:00.000 | TRACKING | m:f:1!📁!{{"day": "{day}"}}\n')
    assert Reader.read_logs(tmp_path)["day"].tolist() == ["2025-01-01", "2025-01-02", "2025-01-03"]
    assert Reader.read_logs(str(tmp_path), limit=2)["day"].tolist() == ["2025-01-02", "2025-01-03"]
    assert Reader.read_logs(tmp_path / "2025-01-01.log")["timestamp"].tolist() == ["2025-01-01 00:00:00.000"]
    assert len(Reader.read_logs(tmp_path, limit=0)) == 0
    (tmp_path / "rows").write_text('{"a": 1}\n\n{"a": 2, "b": null}\n')
    assert Reader.read_jsonl(tmp_path / "rows")["a"].tolist() == [1, 2]
    for read in Reader.read_logs, Reader.read_jsonl:
        with pytest.raises(FileNotFoundError):
            read(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


def test_a_tracker_logs(db, autostarted, tmp_path):
    autostarted(db)
    with Tracker(db, params={"m": "x"}, logs_path=str(tmp_path), jsonl=str(tmp_path / "rows")) as t:
        t.log({"a": 1})
        t.track(len, args=["four"])
    rows = list(logs.read_jsonl(tmp_path / "rows"))
    assert [r["level"] for r in rows] == ["MONITOR", "TRACKING"]
    assert rows[0]["a"] == 1 and rows[1]["function_result"] == 4 and {r["m"] for r in rows} == {"x"}
    assert {r["track_id"] for r in logs.read_logs(tmp_path)} == {t.track_id}
