"""The schema guard through Tracker and Reader: the seed's renamed parameter, and rules for an experiment."""
import warnings

import pytest
from conftest import sqlite
from xetrackd import Error, Reader, RejectedRow, Tracker, XetrackWarning


def caught(f, *args):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        f(*args)
    return [w for w in told if issubclass(w.category, XetrackWarning)]


def test_a_renamed_parameter(here):
    """params_learning_rate in one run, params_lr in the next: told, made one, and whoever still logs the old one lands there."""
    with Tracker("b.db", table="predictions") as t:
        for i in range(3):
            t.log({"input_id": i, "params_learning_rate": 0.1, "accuracy": 0.9})
    t = Tracker("b.db", table="predictions")
    told = caught(lambda: (t.log({"input_id": 0, "params_lr": 0.2, "accuracy": 0.8}), t.flush()))
    assert len(told) == 1 and "'params_learning_rate'" in str(told[0].message) and "schema rename" in str(told[0].message)
    with Reader("b.db", table="predictions") as r:
        assert "params_lr" in r.columns and "params_learning_rate" in r.columns
        assert r.rename_column("params_learning_rate", "params_lr") == "params_lr"
        assert "params_learning_rate" not in r.columns
        old = Tracker("b.db", table="predictions")
        assert caught(lambda: (old.log({"input_id": 1, "params_learning_rate": 0.3}), old.flush())) == []
        assert [row[0] for row in r.conn.execute("SELECT params_lr FROM predictions ORDER BY rowid")] == [0.1, 0.1, 0.1, 0.2, 0.3]
    t.close()
    old.close()


def test_told_at_the_end_of_the_run(here):
    with Tracker("b.db") as t:
        t.log({"train_loss": 1.0})
        t.log({"x": 1})
    t = Tracker("b.db")
    assert caught(lambda: (t.log({"train_acc": 0.5}), t.flush())) == []
    assert len(caught(t.close)) == 1
    with Reader("b.db") as r:
        assert r.accept_column("train_acc") == 1
        assert r.accept_column("train_acc") == 0


def test_a_conflict_changes_nothing(here):
    with Tracker("b.db") as t:
        t.log({"a": 1, "b": 2})
        t.flush()
        with pytest.raises(Error) as e:
            t.rename_column("a", "b")
        assert e.value.code == "value_conflict"
        assert {"a", "b"} <= t.columns
        with pytest.raises(Error) as e:
            t.rename_column("aa", "c")
        assert e.value.code == "no_such_column"


def test_frozen_and_required(here):
    with Tracker("b.db") as t:
        assert t.require("input_id", "größe") == 2
        told = caught(lambda: (t.log({"input_id": 1}), t.log({"input_id": 1, "größe": 2}), pytest.raises(Error, t.flush)))
        assert [w.category for w in told] == [RejectedRow] and "größe" in str(told[0].message)
        assert t.require("größe", drop=True) == 1
        assert t.freeze() is True and t.freeze() is False
        told = caught(lambda: (t.log({"input_id": 3, "grösse": 2}), pytest.raises(Error, t.flush)))
        assert "did you mean 'größe'" in str(told[0].message)
        assert t.thaw() is True
        t.log({"input_id": 4, "neu": 1})
        t.flush()
    assert sqlite(here / "b.db", "SELECT count(*) FROM events") == [(2,)]


def test_a_call_of_a_renamed_argument(here):
    """Rows of tracked calls are rows: an alias, and a required column, hold for them too."""
    def f(x):
        return {"y": x * 2}
    with Tracker("b.db") as t:
        t.track(f, args=[1], params={"learning_rate": 0.1})
        t.rename_column("learning_rate", "lr")
        t.track(f, args=[2], params={"learning_rate": 0.2})
        t.track(f, args=[3], params={"lr": 0.3})
        t.flush()
        assert [row[0] for row in t.conn.execute("SELECT lr FROM events ORDER BY rowid")] == [0.1, 0.2, 0.3]


def test_an_asset_of_a_renamed_column(here):
    with Tracker("b.db") as t:
        t.log({"model": ModelOf([1, 2])})
        t.rename_column("model", "best_model")
        assert t.get("best_model").parts == [1, 2] and t.get("model").parts == [1, 2]
        t.log({"model": ModelOf([3])})
        t.flush()
    with Reader("b.db") as r:
        assert r.get("best_model").parts == [3] and r.get("nothing") is None


class ModelOf:
    def __init__(self, parts):
        self.parts = parts


def test_bad_arguments(here):
    with Tracker("b.db") as t:
        t.log({"a": 1})
        with pytest.raises(TypeError):
            t.require(1)
        with pytest.raises(TypeError):
            t.rename_column("a", None)
        with pytest.raises(Error):
            t.require()
        with pytest.raises(Error):
            t.rename_column("track_id", "b")
    with pytest.raises(ValueError):
        t.freeze()
