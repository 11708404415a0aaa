"""xtctl compare: which groups are held against which, by what, and what it says of them. That the numbers are right is for
test_stats.py; here they need only be those of the right values."""
import fcntl
import functools
import json
import math
import os
import pty
import random
import signal
import sqlite3
import struct
import subprocess
import termios
from pathlib import Path

import pytest
import xtctl
from conftest import TIMEOUT, XTCTL

st = pytest.importorskip("scipy.stats")
pytestmark = xtctl.needs_xtctl
GOLDEN = Path(__file__).parent / "golden"
run, ok = functools.partial(xtctl.run, "compare"), functools.partial(xtctl.ok, "compare")


def answer(*args, status=0):
    """The whole answer as an object."""
    p = run(*args, "--json")
    assert p.returncode == status, (args, p.returncode, p.stderr)
    return json.loads(p.stdout)


def cell(*args):
    (one,) = answer(*args)["cells"]
    return one


def fails(status, sentence, *args):
    said = xtctl.refused("compare", *args, status=status)
    assert sentence in said, said


@pytest.fixture
def table(daemon, db):
    """table(columns, rows): a database with a table `events` of them, served."""
    def make(columns, rows, name="events"):
        con = sqlite3.connect(db)
        con.execute(f"CREATE TABLE \"{name}\"({columns})")
        for row in rows:
            con.execute(f"INSERT INTO \"{name}\" VALUES({', '.join('?' * len(row))})", row)
        con.commit()
        con.close()
        return daemon(db).db

    return make


def two(n=30, shift=0.5, spread=0.3, seed=1):
    """(model, input_id, latency, ok) of two models on the same inputs; the second is slower."""
    r = random.Random(seed)
    rows = []
    for i in range(n):
        base = 10 + r.gauss(0, 3)
        rows.append(("a", i, base, int(r.random() < 0.5)))
        rows.append(("b", i, base + r.gauss(shift, spread), int(r.random() < 0.9)))
    r.shuffle(rows)
    return rows


COLUMNS = "model TEXT, input_id INTEGER, latency REAL, ok INTEGER"


def by_input(rows, model, column):
    return {r[1]: r[column] for r in rows if r[0] == model and r[column] is not None}


# ---- what is held against what ---------------------------------------------


def test_pairs(table):
    rows = two() + [("a", 100, 9.0, 1), ("b", 101, 9.0, 1), ("b", None, 5.0, 0), ("a", 5000, None, None)]
    db = table(COLUMNS, rows)
    c = cell(db, "--metric", "latency", "--by", "model", "--baseline", "a")
    a, b = by_input(rows, "a", 2), by_input(rows, "b", 2)
    both = sorted(set(a) & set(b))
    d = [b[i] - a[i] for i in both]
    assert len(both) == 30 == c["n"] == c["n_baseline"] and c["paired"] is True
    assert c["mean_baseline"] == pytest.approx(sum(a[i] for i in both) / 30, rel=1e-12)
    assert c["difference"] == pytest.approx(sum(d) / 30, rel=1e-12)
    assert c["relative"] == pytest.approx(c["difference"] / c["mean_baseline"])
    assert c["p"] == pytest.approx(st.wilcoxon(d, mode="exact").pvalue, rel=1e-12) == c["p_adjusted"]
    assert c["t_p"] == pytest.approx(st.ttest_1samp(d, 0).pvalue, rel=1e-9)
    assert c["difference_low"] < c["difference"] < c["difference_high"]
    assert abs(c["difference_low"] - c["t_low"]) < 0.03 and abs(c["difference_high"] - c["t_high"]) < 0.03
    assert c["verdict"] == "different" and "slower, sure" in c["sentence"]
    notes = answer(db, "--metric", "latency", "--by", "model", "--baseline", "a")["notes"]
    assert any("2 of its values and 1 of the baseline's have no partner" in n for n in notes), notes
    assert c["sentence"].endswith("; but it has no latency in 0 of 32 rows, the baseline in 1 of 32")
    assert not any("row without latency" in n for n in notes), notes  # the verdict has said so


def test_samples(table):
    rows = two()
    db = table(COLUMNS, rows)
    c = cell(db, "--metric", "latency", "--by", "model", "--baseline", "a", "--unpaired")
    a, b = list(by_input(rows, "a", 2).values()), list(by_input(rows, "b", 2).values())
    assert c["paired"] is False and (c["n_baseline"], c["n"]) == (30, 30)
    assert c["p"] == pytest.approx(st.mannwhitneyu(b, a, method="exact").pvalue, rel=1e-9)
    assert c["t_p"] == pytest.approx(st.ttest_ind(b, a, equal_var=False).pvalue, rel=1e-9)
    assert c["verdict"] == "unseen" and "only differences over" in c["sentence"]
    # In pairs, the same data show it.
    assert cell(db, "--metric", "latency", "--by", "model", "--baseline", "a")["verdict"] == "different"


def test_outcomes(table):
    rows = two(60)
    db = table(COLUMNS, rows)
    a, b = by_input(rows, "a", 3), by_input(rows, "b", 3)
    first, second = (sum(x[i] > y[i] for i in a) for x, y in ((a, b), (b, a)))
    c = cell(db, "--metric", "ok", "--by", "model", "--baseline", "a")
    assert c["test"] == "McNemar, exact" and c["p"] == pytest.approx(st.binomtest(first, first + second).pvalue)
    assert c["difference"] == pytest.approx((second - first) / 60)
    assert c["second_effect"] == pytest.approx(second / first) and "points higher, sure" in c["sentence"]
    c = cell(db, "--metric", "ok", "--by", "model", "--baseline", "a", "--unpaired")
    want = st.fisher_exact([[sum(a.values()), 60 - sum(a.values())], [sum(b.values()), 60 - sum(b.values())]])[1]
    assert c["test"] == "Fisher, exact" and c["p"] == pytest.approx(want)


def test_means_of_several_rows(table):
    """Three rows of one input count once, so that nobody is sure because of copies."""
    rows = [(*r[:2], r[2] + more, r[3]) for r in two(12) for more in (0, 3, 6)]
    db = table(COLUMNS, rows)
    got = answer(db, "--metric", "latency,ok", "--by", "model", "--baseline", "a")
    assert [c["n"] for c in got["cells"]] == [12, 12] and got["pair_by"] == "input_id"
    assert got["cells"][0]["mean_baseline"] == pytest.approx(sum(r[2] for r in rows if r[0] == "a") / 36)
    samples = answer(db, "--metric", "latency", "--by", "model", "--unpaired")
    assert samples["cells"][0]["n"] == 12 and samples["pair_by"] is None
    assert not any("pairs" in n for n in samples["notes"])
    assert any("24 times several rows of one 'model' and 'input_id' are averaged" in n for n in got["notes"])


def test_pairs_only_where_they_match(table):
    rows = [("a", i, i % 7 + 1.0, 0) for i in range(20)] + [("b", i, i % 5 + 1.0, 0) for i in range(17, 37)]
    db = table(COLUMNS, rows)
    got = answer(db, "--metric", "latency", "--by", "model")
    assert got["cells"][0]["paired"] is False and got["cells"][0]["n"] == 20
    assert any("--pair-by insists" in n for n in got["notes"])
    c = cell(db, "--metric", "latency", "--by", "model", "--pair-by", "input_id")
    assert c["paired"] is True and c["n"] == 3 and c["verdict"] == "too_few"
    assert "too few pairs" in c["sentence"]


def test_pair_by_any_column(table):
    """Text, blob and mixed keys; the same key in another type is another input."""
    keys = ["x", b"x", 1, 2.5, "ü" * 3000, "1"]
    rows = [(m, k, 1.0 + i + (m == "b") * (2 + i / 8)) for m in "ab" for i, k in enumerate(keys)]
    db = table("model TEXT, key, v REAL", rows)
    c = cell(db, "--metric", "v", "--by", "model", "--pair-by", "key")
    assert c["paired"] and c["n"] == 6 and c["difference"] == pytest.approx(2 + 15 / 48)


def test_values_that_are_no_numbers(table):
    rows = two(20)
    rows += [("a", 200, "text", 1), ("a", 201, b"blob", 1), ("b", 202, math.inf, 1), ("b", 203, math.nan, 1)]
    db = table(COLUMNS.replace("REAL", ""), rows)
    got = answer(db, "--metric", "latency", "--by", "model", "--baseline", "a")
    assert got["cells"][0]["n"] == 20
    for note in ("2 values of latency that are no number left out", "1 infinite value of latency left out",
                 "1 row without latency"):
        assert any(note in n for n in got["notes"]), (note, got["notes"])


def test_cached_rows_are_copies(table):
    rows = [(*r, "") for r in two(20)] + [("b", i, 1000.0, 1, "calm-otter-1234") for i in range(20)]
    db = table(COLUMNS + ", cache TEXT", rows)
    got = answer(db, "--metric", "latency", "--by", "model", "--baseline", "a")
    assert got["cells"][0]["mean"] < 20 and any("20 rows from the cache left out" in n for n in got["notes"])
    got = answer(db, "--metric", "latency", "--by", "model", "--baseline", "a", "--cached")
    assert got["cells"][0]["mean"] > 400 and not any("cache" in n for n in got["notes"])


def test_only_cached_rows(table):
    db = table(COLUMNS + ", cache TEXT", [(*r, "calm-otter-1234") for r in two(3)])
    fails(1, "no value of 'latency' was measured: 6 rows came from the cache; --cached counts them", db, "--metric",
          "latency", "--by", "model")


def test_where(table):
    db = table(COLUMNS, two(30))
    c = cell(db, "--metric", "latency", "--by", "model", "--where", "input_id < 10", "--where", "input_id>=0")
    assert c["n"] == 10
    fails(1, "no row of table 'events' has a 'model' and fits --where", db, "--metric", "latency", "--by", "model",
          "--where", "input_id > 1000")
    fails(2, "is not KEY=VALUE", db, "--metric", "latency", "--by", "model", "--where", "input_id")
    fails(1, "no column 'inputs'", db, "--metric", "latency", "--by", "model", "--where", "inputs = 1")


def test_without_inputs_rows_are_independent(table):
    note = "no column names the input: rows count as independent; log input_id or give --pair-by COLUMN"
    db = table("model TEXT, name TEXT, v REAL", [(m, f"x{i}", float(i)) for m in "ab" for i in range(20)])
    args = (db, "--metric", "v", "--by", "model")
    assert note in answer(*args)["notes"]
    assert note not in answer(*args, "--pair-by", "name")["notes"]
    assert note not in answer(*args, "--unpaired")["notes"]


def test_rows_without_a_group_are_counted(table):
    db = table(COLUMNS, two(20) + [(None, i, 1.0, 1) for i in range(7)])
    args = (db, "--metric", "latency", "--by", "model")
    assert "7 rows without 'model' left out" in answer(*args)["notes"]
    assert "1 row without 'model' left out" in answer(*args, "--where", "input_id<1")["notes"]
    assert not any("without 'model'" in n for n in answer(*args, "--where", "input_id>=7")["notes"])


# ---- what failed ---------------------------------------------------------------


def survivors(n=200, hard=46, error="error TEXT"):
    """Codecs that are equal where both work; flaky fails on the hard inputs."""
    rows = [("zstd", i, float(i >= hard), None) for i in range(n)]
    rows += [("flaky", i, None if i < hard else 1.0, "boom" if i < hard else None) for i in range(n)]
    return f"codec TEXT, input_id INTEGER, accuracy REAL, {error}", rows


def test_failures_do_not_make_a_group_equal(table):
    db = table(*survivors())
    args = (db, "--metric", "accuracy", "--by", "codec", "--baseline", "zstd")
    got = answer(*args)
    (c,) = got["cells"]
    assert (c["n"], c["rows"], c["lacking"], c["rows_baseline"], c["lacking_baseline"], c["uneven"]) == (154, 200, 46, 200, 0, True)
    assert c["sentence"] == ("no difference: all 154 pairs are equal; but it has no accuracy in 46 of 200 rows, the baseline in "
                             "0 of 200")
    assert "of 'flaky' only inputs that both have are compared; 46 rows failed: 'xtctl errors' tells why" in got["notes"]
    assert not any("46 rows without accuracy" in n or "of 200" in n for n in got["notes"]), got["notes"]
    for when in ("measured", "sure", "proven"):
        p = run(*args, "--fail-on", "accuracy<-0.01", "--fail-when", when)
        assert p.returncode == 1 and "'accuracy<-0.01' cannot be judged for 'flaky': no difference" in p.stderr, p.stderr
        assert p.stderr.endswith("; --despite-failures judges by the rest\n")
        assert run(*args, "--fail-on", "accuracy<-0.01", "--fail-when", when, "--despite-failures").returncode == 0


def test_a_sure_difference_tells_of_the_failures(table):
    columns, rows = survivors(error="why TEXT")
    db = table(columns, [(*r[:2], r[2] and r[2] * (1.5 + r[1] / 999 if r[0] == "flaky" else 1.0), r[3]) for r in rows])
    got = answer(db, "--metric", "accuracy", "--by", "codec", "--baseline", "zstd", "--unpaired")
    (c,) = got["cells"]
    assert c["verdict"] == "different" and "sure (p < 0.0001)" in c["sentence"] and "; but it has no accuracy in 46 of 200 rows" in c["sentence"]
    assert "of 'flaky' only rows with accuracy are compared" in got["notes"]
    p = run(db, "--metric", "accuracy", "--by", "codec", "--baseline", "zstd", "--fail-on", "accuracy>0.1")
    assert p.returncode == 1 and "is broken by 'flaky'" in p.stderr


def test_the_time_until_a_failure_is_no_speed(table):
    """What raised at once was not fast: its time counts, since it is there, but not silently."""
    rows = [(g, i, 0.001 * (1 + i) if g == "b" and i < 20 else 10 + i / 99, "boom" if g == "b" and i < 20 else None)
            for g in "ab" for i in range(60)]
    db = table("g TEXT, input_id INTEGER, seconds REAL, error_type TEXT", rows)
    args = (db, "--metric", "seconds", "--by", "g")
    got = answer(*args)
    (c,) = got["cells"]
    assert (c["lacking"], c["failed"], c["failed_baseline"], c["uneven"]) == (0, 20, 0, True)
    assert c["sentence"].endswith("; but it failed or has no seconds in 20 of 60 rows, the baseline in 0 of 60")
    assert "of 'b' only inputs that both have are compared, failed ones too; 20 rows failed: 'xtctl errors' tells why" in got["notes"]
    assert "cannot be judged for 'b'" in run(*args, "--fail-on", "seconds>5%").stderr


def test_failures_of_both_alike_are_no_reason(table):
    rows = [(g, i, None if i < 20 else i + (g == "b") * (1 + i / 99), "boom" if i < 20 else "") for g in "ab" for i in range(60)]
    db = table("g TEXT, input_id INTEGER, v REAL, error TEXT", rows)
    got = answer(db, "--metric", "v", "--by", "g", "--fail-on", "v<0")
    assert not got["cells"][0]["uneven"] and "but" not in got["cells"][0]["sentence"]


# ---- shares of outcomes --------------------------------------------------------


def outcomes(kind="INTEGER", more=3):
    """Accuracy of 30 inputs, each asked three times."""
    rows = [("ab"[g], i, int((i * 7 + k * 3) % 10 < 6 + 2 * g)) for g in (0, 1) for i in range(30) for k in range(more)]
    return f"g TEXT, input_id INTEGER, accuracy {kind}", rows


def test_shares_are_told_in_points(table):
    db = table(*outcomes())
    c = cell(db, "--metric", "accuracy", "--by", "g")
    assert c["points"] is True and c["mean_baseline"] == pytest.approx(0.6) and c["difference"] == pytest.approx(0.2)
    assert c["sentence"].startswith("20 points higher"), c["sentence"]
    assert "+20.0 pt" in ok(db, "--metric", "accuracy", "--by", "g")
    con = sqlite3.connect(db)
    con.execute("INSERT INTO events VALUES('a', 31, 0.5)")
    con.commit()
    con.close()
    assert cell(db, "--metric", "accuracy", "--by", "g")["points"] is False


def test_a_rule_in_percent_of_points_says_so(table):
    db = table(*outcomes())
    args = (db, "--metric", "accuracy", "--by", "g")
    got = answer(*args, "--fail-on", "accuracy>+7%", status=1)
    assert ("--fail-on 'accuracy>+7%' is read as a part of the baseline's 0.6, so as +4.2 points; 'b' is at +20 points "
            "(+33.3 %); 'pt' in place of '%' means points") in got["notes"]
    (broken,) = got["broken"]
    assert broken.startswith("'accuracy>+7%' is broken by 'b': 20 points higher") and broken.endswith("by the rule's measure +33.3 %")
    p = run(*args, "--fail-on", "accuracy>+19pt")
    assert p.returncode == 1 and "by the rule's measure" not in p.stderr
    assert run(*args, "--fail-on", "accuracy>0.1").stderr.endswith("; by the rule's measure +0.2\n")
    p = run(*args, "--fail-on", "accuracy>+21pt")
    assert p.returncode == 0 and "is read as" not in p.stdout
    assert run(*args, "--fail-on", "accuracy>+30%").returncode == 1


def test_points_of_no_outcome(table):
    db = table("g TEXT, v REAL", [("a", 1.0), ("b", 3.0)])
    fails(2, "points (pt) are of metrics that are 0 or 1, which 'v' is not", db, "--metric", "v", "--by", "g", "--fail-on", "v>5pt")


def test_a_word_for_the_effect_does_not_hang_on_pairs(table):
    db = table(COLUMNS, two(60, shift=0.5))
    words = [[(c["effect_size"], c["standardised_name"]) for c in answer(db, "--metric", "latency,ok", "--by", "model", *more)["cells"]]
             for more in ((), ("--unpaired",))]
    assert words[0] == words[1] and words[0][0] == ("negligible", "Hedges' g") and words[0][1][1] == "Cohen's h"
    paired, samples = (cell(db, "--metric", "latency", "--by", "model", *more) for more in ((), ("--unpaired",)))
    assert paired["standardised"] == samples["effect"] and abs(paired["effect"]) > 1


def test_what_averaged_rows_differ_in(table):
    """A setting that nobody held still; a repetition is no setting, nor is a measurement or what differs in few."""
    rows = [(m, i, 1.0 + i + level, level, level, i * 10 + level, f"{i}-{level}", 2.0 * level, i == 0 and level)
            for m in "ab" for i in range(30) for level in (1, 9)]
    db = table('model TEXT, input_id INTEGER, v REAL, level INTEGER, seed INTEGER, params_x INTEGER, "text" TEXT, w REAL, few INTEGER', rows)
    args = (db, "--metric", "v", "--by", "model")
    (note,) = [n for n in answer(*args)["notes"] if "averaged" in n]
    assert note == ("v: 60 times several rows of one 'model' and 'input_id' are averaged; they differ in 'level': --where or --by "
                    "separates them")
    assert not any("averaged" in n for n in answer(*args, "--where", "level=1")["notes"])
    (note,) = [n for n in answer(*args, "--where", "input_id<5")["notes"] if "averaged" in n]
    assert "differ in 'level'" in note


# ---- the baseline --------------------------------------------------------------


def test_the_first_one_logged_is_the_baseline(table):
    rows = [("m1", "2026-01-03", 1.0), ("m2", "2026-01-01", 2.0), ("m3", "2026-01-02", 3.0)] * 8
    db = table("model TEXT, timestamp TEXT, v REAL", rows)
    got = answer(db, "--metric", "v", "--by", "model")
    assert got["baseline"] == "m2" and [c["group"] for c in got["cells"]] == ["m3", "m1"]
    assert "the baseline is the 'model' that was logged first, 'm2'" in got["notes"][0]
    assert answer(db, "--metric", "v", "--by", "model", "--baseline", "m3")["baseline"] == "m3"
    fails(1, "no 'model' is 'm4'; there are 'm2', 'm3', 'm1'", db, "--metric", "v", "--by", "model", "--baseline", "m4")


@pytest.mark.parametrize("kind, value, name, label", [
    ("INTEGER", (1, 2), "2", "2"), ("INTEGER", (1, 2), "2.0", "2"), ("REAL", (0.1, 0.5), "0.50", "0.5"),
    ("BOOLEAN", (0, 1), "true", "true"), ("BOOLEAN", (0, 1), "1", "true"), ("TEXT", ("", "x"), "x", "x"),
    ("BLOB", (b"a", b"\xff"), "0xff", "0xff"), ("TEXT", ("a", "A"), "A", "A")])
def test_values_of_groups(kind, value, name, label, table):
    db = table(f"v REAL, g {kind}", [(i, value[i % 2]) for i in range(40)])
    got = answer(db, "--metric", "v", "--by", "g", "--baseline", name)
    assert got["baseline"] == label and got["cells"][0]["n"] == got["cells"][0]["n_baseline"] == 20


# ---- what it says --------------------------------------------------------------


def spread(n, *groups):
    """Rows (g, input_id, v): each group adds its own function of i to a spread that all share."""
    return [(name, i, 100 + 3 * math.sin(i * 12.9898) + f(i)) for i in range(n) for name, f in groups]


@pytest.mark.parametrize("f, verdict, sentence", [
    (lambda i: 0, "equal", "no difference: all 40 pairs are equal"),
    (lambda i: 10 + i % 3, "different", "11 % higher, sure (p < 0.0001); large effect"),
    (lambda i: math.cos(i * 78.233), "unseen", "no difference seen; with 40 pairs only differences over 0.32 % would show"),
    (lambda i: 200 if i == 7 else -1.01 - i / 1000, "unsure", "4 % higher on average, yet most pairs are lower (p < 0.0001)"),
])
def test_verdicts(f, verdict, sentence, table):
    db = table("g TEXT, input_id INTEGER, v REAL", spread(40, ("a", lambda i: 0), ("b", f)))
    c = cell(db, "--metric", "v", "--by", "g")
    assert (c["verdict"], c["sentence"]) == (verdict, sentence)


@pytest.mark.parametrize("more", [(), ("--unpaired",)])
@pytest.mark.parametrize("value", [lambda i: 0.1, lambda i: 0.1 + i / 7])
def test_rounding_is_no_difference(value, more, table):
    """The mean of three equal values is an ulp beside that of two: that is the arithmetic's, not the group's."""
    rows = [(g, i, value(i)) for i in range(30) for g, repeats in (("a", 2), ("b", 3)) for _ in range(repeats)]
    assert (0.1 + 0.1 + 0.1) / 3 != 0.1
    db = table("g TEXT, input_id INTEGER, v REAL", rows)
    p = run(db, "--metric", "v", "--by", "g", "--fail-on", "v>0", "--fail-on", "v<0", *more)
    assert p.returncode == 0, (p.stdout, p.stderr)
    c = cell(db, "--metric", "v", "--by", "g", *more)
    assert (c["difference"], c["difference_low"] or 0, c["p"]) == (0, 0 if value(1) == 0.1 or not more else c["difference_low"], 1)
    if not more or value(1) == 0.1:
        assert c["verdict"] == "equal" and c["effect"] is None and c["difference_high"] == 0


def test_the_same_shift_everywhere(table):
    """Its differences have no spread but rounding, so there is nothing to hold it beside."""
    rows = [(g, i, 1 + i / 7 + (g == "b") * 0.1) for g in "ab" for i in range(30)]
    assert len({y[2] - x[2] for x, y in zip(rows, rows[30:])}) > 1
    db = table("g TEXT, input_id INTEGER, v REAL", rows)
    c = cell(db, "--metric", "v", "--by", "g")
    assert c["effect"] is None and c["t"] is None and c["verdict"] == "different"
    assert c["difference_low"] == c["difference"] == c["difference_high"] == pytest.approx(0.1)
    assert "sure (p < 0.0001), the same in all pairs" in c["sentence"]
    db2 = cell(db, "--metric", "v", "--by", "g", "--unpaired")
    assert db2["effect"] is not None


@pytest.mark.parametrize("more", [(), ("--unpaired",)])
def test_a_huge_value_does_not_make_the_others_rounding(more, table):
    rows = [(g, i, 1e18 if i == 7 else 10 + i / 100 + (g == "b") * (1 + i / 999)) for g in "ab" for i in range(60)]
    c = cell(table("g TEXT, input_id INTEGER, v REAL", rows), "--metric", "v", "--by", "g", *more)
    assert c["p"] < 1e-9 and c["second_effect"] > 0.9, c


def test_samples_without_spread(table):
    rows = [(g, 0.1 if g == "a" else 0.3) for g in "ab" for _ in range(30)] + [("c", 0.1)] * 20
    db = table("g TEXT, v REAL", rows)
    b, c = answer(db, "--metric", "v", "--by", "g")["cells"]
    assert b["verdict"] == "different" and b["effect"] is None and b["sentence"].endswith("each side's values being all the same")
    assert c["verdict"] == "equal" and c["sentence"] == "no difference: all values are the same"


def test_few(table):
    db = table("g TEXT, input_id INTEGER, v REAL, w REAL",
               [("a", 1, 1.0, None), ("b", 1, 2.0, 1.0), ("c", 2, 1.0, 1.0), ("b", 2, 5.0, 3.0)])
    got = answer(db, "--metric", "v,w", "--by", "g", "--pair-by", "input_id")
    assert [c["sentence"] for c in got["cells"]] == [
        "too few pairs for any difference to show (1)", *["nothing to compare: no input in common with the baseline"] * 3]
    got = answer(db, "--metric", "v,w", "--by", "g", "--unpaired")
    assert [c["sentence"] for c in got["cells"]] == [
        "too few values for any difference to show (2 beside the baseline's 1)",
        "too few values for any difference to show (1 beside the baseline's 1)",
        "nothing to compare: the baseline has no value", "nothing to compare: the baseline has no value"]
    assert all(c["p_adjusted"] is None or c["p_adjusted"] <= 1 for c in got["cells"])


def test_adjusted_for_all_cells(table):
    groups = [("a", lambda i: 0)] + [(f"g{k}", lambda i, k=k: 0.2 * k * math.cos(i * 78.233 + k)) for k in range(1, 8)]
    db = table("g TEXT, input_id INTEGER, v REAL", spread(30, *groups))
    cells = answer(db, "--metric", "v", "--by", "g")["cells"]
    p = sorted(c["p"] for c in cells)
    for c in cells:
        want = min(1, min(q * len(p) / (k + 1) for k, q in enumerate(p) if q >= c["p"]))
        assert c["p_adjusted"] == pytest.approx(want, rel=1e-12)


def test_detect(table):
    db = table(COLUMNS, two(20, shift=0))
    got = answer(db, "--metric", "latency,ok", "--by", "model", "--detect", "0.1%")
    c = got["cells"][0]
    assert c["n_needed"] > 20 and c["detectable"] > 0.001 * c["mean_baseline"]
    assert any(n.startswith("latency: too few to see a difference of 0.1% in 1 of 1 comparisons; it takes") for n in got["notes"])
    assert not any("too few" in n for n in answer(db, "--metric", "latency", "--by", "model", "--detect", "50")["notes"])


def test_noise_floor(table):
    """Runs of the same parameters that differ as much as the groups do: nobody is sure any more."""
    rows = [(m, i, 10 + i % 3 + (m == "b") + run, f"run-{m}-{run}") for m in "ab" for i in range(30) for run in (0, 2)]
    db = table("model TEXT, input_id INTEGER, v REAL, track_id TEXT", rows)
    assert cell(db, "--metric", "v", "--by", "model")["verdict"] == "different"
    con = sqlite3.connect(db)
    con.executemany("INSERT INTO xt_runs(track_id, status, start_time, params) VALUES(?, 'finished', '2026-01-01', ?)",
                    [(f"run-{m}-{run}", f'{{"model": "{m}"}}') for m in "ab" for run in (0, 2)])
    con.commit()
    con.close()
    for more in ((), ("--unpaired",)):
        got = answer(db, "--metric", "v", "--by", "model", *more)
        c = got["cells"][0]
        assert (c["repeats"], c["noise_floor"], c["verdict"]) == (2, 2.0, "noise" if not more else c["verdict"]), more
        assert any("repeated runs of one configuration differ by up to" in n for n in got["notes"]) is (c["verdict"] != "noise")
    sentence = cell(db, "--metric", "v", "--by", "model")["sentence"]
    assert "but repeated runs of one configuration differ as much" in sentence and sentence.endswith(" (2 repeats)")
    # By run, the runs are what is compared.
    assert answer(db, "--metric", "v", "--by", "track_id")["cells"][0]["repeats"] == 0


def test_noise_floor_without_inputs(table):
    """Means are held against means; a configuration's first run has none before it."""
    rows = [(m, 10 + i % 7 + run, f"run-{m}-{run}") for m in "ab" for i in range(30) for run in (0, 1, 4)]
    db = table("model TEXT, v REAL, track_id TEXT", rows + [("b", 1e6, "alone")])
    con = sqlite3.connect(db)
    con.executemany("INSERT INTO xt_runs(track_id, status, start_time, params) VALUES(?, 'finished', '2026-01-01', ?)",
                    [(f"run-{m}-{run}", f'{{"model": "{m}"}}') for m in "ab" for run in (0, 1, 4)] +
                    [("alone", '{"model": "c"}'), ("unseen", '{"model": "c"}')])
    con.commit()
    con.close()
    c = cell(db, "--metric", "v", "--by", "model")
    assert c["repeats"] == 4 and c["noise_floor"] == pytest.approx(3)  # 1, 3, 1, 3


def repeated(db, *runs):
    con = sqlite3.connect(db)
    con.executemany("INSERT INTO xt_runs(track_id, status, start_time, params) VALUES(?, 'finished', '2026-01-01', ?)",
                    [(run, '{"model": "m"}') for run in runs])
    con.commit()
    con.close()


@pytest.mark.parametrize("more", [(), ("--unpaired",)])
@pytest.mark.parametrize("slower, told", [(0, False), (300, True)])
def test_noise_of_a_third_group_is_its_own(slower, told, more, table):
    """Whose repeats differ as much as the groups do says nothing of two others, nor does it open their gate."""
    rows = [("base", i, 10 + i % 3, "r0") for i in range(30)] + [("beta", i, 39 + i % 3, "r1") for i in range(30)]
    rows += [("third", i, 10 + i % 3 + slower + run, f"t{run}") for i in range(30) for run in (0, 90)]
    db = table("g TEXT, input_id INTEGER, latency REAL, track_id TEXT", rows)
    repeated(db, "r0", "r1", "t0", "t90")
    args = (db, "--metric", "latency", "--by", "g", "--fail-on", "latency>+5%", *more)
    got = answer(*args, status=1)
    beta, third = got["cells"]
    assert (beta["verdict"], beta["repeats"], beta["noise_floor"]) == ("different", 0, None) and ", sure" in beta["sentence"]
    assert (third["repeats"], third["noise_floor"]) == (1, 90)
    assert len(got["broken"]) == 1 + told and "is broken by 'beta'" in got["broken"][0]
    noise = [n for n in got["notes"] if n.startswith("noise floor")]
    assert noise == ([] if not told else [
        "noise floor of latency: repeated runs of one configuration differ by up to 818 % ('third', 1 repeat); the baseline and "
        "'beta' have none, and are not held against it"]), got["notes"]


def test_noise_of_the_baseline_is_everybodys(table):
    rows = [("a", i, 10 + i % 3 + run, f"a{run}") for i in range(30) for run in (0, 2)]
    rows += [("b", i, 12 + i % 3, "b0") for i in range(30)] + [("c", i, 51 + i % 3 + run, f"c{run}") for i in range(30) for run in (0, 6)]
    db = table("g TEXT, input_id INTEGER, v REAL, track_id TEXT", rows)
    repeated(db, "a0", "a2", "b0", "c0", "c6")
    got = answer(db, "--metric", "v", "--by", "g")
    b, c = got["cells"]
    assert (b["repeats"], b["noise_floor"], b["verdict"]) == (1, 2, "noise")
    assert c["repeats"] == 2 and c["noise_floor"] == pytest.approx(5.8) and c["verdict"] == "different"
    assert "noise floor of v: repeated runs of one configuration differ by up to 48 % (2 repeats)" in got["notes"], got["notes"]


COMMITS = ["3f2a9c1d5b7e8f60" + "1" * 24, "3f2a9c1d77" + "2" * 30, "90ab12cd34" + "3" * 30]


def test_hashes_are_shown_short(table):
    """As many digits as tell them apart; programs get them whole, and a short one names the baseline."""
    rows = [(g, i, 10 + i % 3 + k * 5) for k, g in enumerate(COMMITS) for i in range(30)]
    db = table("code_commit TEXT, input_id INTEGER, latency REAL", rows)
    args = (db, "--metric", "latency", "--by", "code_commit")
    out = ok(*args)
    assert "  3f2a9c1d7: 45 % slower, sure" in out and "  90ab12c: 91 % slower, sure" in out and "beside '3f2a9c1d5'" in out
    assert not any(c in out or c[:12] in out for c in COMMITS), out
    got = answer(*args, "--baseline", "90ab12c")
    assert got["baseline"] == COMMITS[2] and [c["group"] for c in got["cells"]] == COMMITS[:2]
    assert all(c in ok(*args, "--format", "csv") for c in COMMITS)
    assert answer(*args, "--baseline", "3f2a9c1d7")["baseline"] == COMMITS[1]
    fails(1, "no 'code_commit' is '3f2a9c1'", *args, "--baseline", "3f2a9c1")


@pytest.mark.parametrize("labels, shown", [
    (["aaaabbbbccccdddd", "0123456789abcdef-dirty"], ["aaaabbb", "0123456-dirty"]),
    (["0123456789abcdef", "0123456789abcdef-dirty"], ["0123456", "0123456-dirty"]),
    (["202601010000", "202601020000"], ["202601010000", "202601020000"]),  # times
    (["aaaabbbbccccdddd", "main"], ["aaaabbbbccccdddd", "main"]),
    (["deadbeefdea", "deadbeefbee"], ["deadbeefdea", "deadbeefbee"]),
])
def test_what_is_a_hash(labels, shown, table):
    db = table("g TEXT, input_id INTEGER, v REAL", [(g, i, i % 3 + k) for k, g in enumerate(labels) for i in range(30)])
    out = ok(db, "--metric", "v", "--by", "g", "--baseline", labels[0])
    assert f"beside '{shown[0]}'" in out and f"\n  {shown[1]}: " in out, out


def test_mean_and_ranks_may_lean_apart(table):
    """One in five is much slower, the others a little faster: neither answer alone would do."""
    rows = [(g, i, 100.0 + i % 11 + (g == "b") * (100 + i / 7 if i % 5 == 0 else -1 - i / 1000)) for g in "ab" for i in range(400)]
    db = table("g TEXT, input_id INTEGER, latency REAL", rows)
    c = cell(db, "--metric", "latency", "--by", "g")
    assert c["p_adjusted"] < 0.001 and c["difference_low"] > 0 and c["second_effect"] < 0
    assert c["verdict"] == "unsure" and c["sentence"].endswith("% slower on average, yet most pairs are faster (p < 0.0001)")


# ---- limits for CI ----------------------------------------------------------------


@pytest.mark.parametrize("rules, when, status", [
    (["v>+5%"], "sure", 1), (["v>10"], "sure", 1), (["v>+12%"], "sure", 0), (["v<-5%"], "sure", 0), (["v > 5 %"], "sure", 1),
    (["v>+12%", "v>1%"], "sure", 1), (["V>+5%"], "sure", 1),
    (["v>+5%"], "proven", 1), (["v>+10.85%"], "sure", 1), (["v>+10.85%"], "proven", 0),
    (["w>+0.1%"], "sure", 0), (["w>+0.1%"], "proven", 0), (["w>+0.1%"], "measured", 1), (["w<-90%"], "measured", 0),
])
def test_fail_on(rules, when, status, table):
    """v is 11 % higher, w by chance; in c both are as in the baseline."""
    rows = [(g, i, 100 + x + (g == "b") * (10 + i % 3), 100 + x + (g == "b") * (0.15 + math.cos(i * 78.233)))
            for g in "abc" for i in range(40) for x in [3 * math.sin(i * 12.9898)]]
    db = table("g TEXT, input_id INTEGER, v REAL, w REAL", rows)
    more = [word for rule in rules for word in ("--fail-on", rule)]
    p = run(db, "--metric", "v,w", "--by", "g", "--fail-when", when, *more)
    assert p.returncode == status, (p.stdout, p.stderr)
    assert "sure" in p.stdout
    if not status and (rules[0].startswith("w>") or when == "proven"):  # by chance, or in part: that is told
        assert p.stderr.count("\n") == 1 and p.stderr.startswith(f"xtctl: note: {rules[0][0]} of 'b' passes the limit '{rules[0]}' (+")
        assert ("), not judged: not all of its interval passes it; " if rules[0][0] == "v" else
                "), not judged: neither test nor interval sees a difference; ") in p.stderr
        assert p.stderr.endswith("--fail-when measured judges it\n")
    elif not status:
        assert p.stderr == ""
    else:
        assert p.stderr.startswith(f"xtctl: --fail-on '{rules[-1]}' is broken by 'b': "), p.stderr
        assert p.stderr.count("\n") == 1, p.stderr
    got = answer(db, "--metric", "v,w", "--by", "g", "--fail-when", when, *more, status=status)
    assert len(got["broken"]) == status


def test_a_limit_that_noise_keeps_is_told(table):
    rows = [(g, i, 10 + i % 3 + run + 29 * (g == "beta"), f"{g}{run}") for g in ("base", "beta") for i in range(30) for run in (0, 90)]
    db = table("g TEXT, input_id INTEGER, latency REAL, track_id TEXT", rows)
    repeated(db, "base0", "base90", "beta0", "beta90")
    for more in ((), ("--json",)):
        p = run(db, "--metric", "latency", "--by", "g", "--fail-on", "latency>+5%", "--fail-on", "latency<-5%", *more)
        assert p.returncode == 0 and p.stderr == (
            "xtctl: note: latency of 'beta' passes the limit 'latency>+5%' (+51.8 %), not judged: repeated runs of one configuration "
            "differ as much; --fail-when measured judges it\n"), p.stderr


def test_a_limit_that_cannot_be_judged_is_no_pass(table):
    db = table("g TEXT, v REAL", [("a", 1.0), ("b", 1.0)])
    p = run(db, "--metric", "v", "--by", "g", "--fail-on", "v>5%")
    assert p.returncode == 1 and "'v>5%' cannot be judged for 'b': too few values" in p.stderr
    assert run(db, "--metric", "v", "--by", "g", "--fail-on", "v>5%", "--fail-when", "measured").returncode == 0


@pytest.mark.parametrize("rule, sentence", [
    ("v", "neither > nor <"), ("v", "put it in quotes, or the shell takes > and < for files"), ("w>5%", "'w', which --metric does not name"), ("v>", "'' is no amount"),
    ("v>fast", "'fast' is no amount"), ("v>5%%", "'5%%' is no amount"), ("v>nan", "is no amount"), ("v>=5%", "is no amount")])
def test_bad_rules(rule, sentence, table):
    db = table("g TEXT, v REAL", [("a", 1.0), ("b", 1.0)])
    fails(2, sentence, db, "--metric", "v", "--by", "g", "--fail-on", rule)


def test_metric_with_a_sign_in_its_name(table):
    db = table("g TEXT, \"p>0.5\" REAL", [("ab"[i % 2], i % 2 * 10 + i / 100) for i in range(40)])
    assert run(db, "--metric", "p>0.5", "--by", "g", "--fail-on", "p>0.5>3").returncode == 1
    assert run(db, "--metric", "p>0.5", "--by", "g", "--fail-on", "p>0.5>30").returncode == 0


# ---- mistakes ------------------------------------------------------------------


def test_mistakes(table):
    db = table(COLUMNS + ", name TEXT, none_at_all REAL", [(*r, f"x{r[1]}", None) for r in two(300)])
    fails(2, "--metric is missing", db, "--by", "model")
    fails(2, "--by is missing", db, "--metric", "latency")
    fails(1, "no column 'latencyy' in table 'events'; did you mean 'latency'?", db, "--metric", "latencyy", "--by", "model")
    fails(1, "did you mean 'model'?", db, "--metric", "latency", "--by", "modle")
    fails(1, "column 'name' has no numbers, only text", db, "--metric", "name", "--by", "model")
    fails(1, "column 'none_at_all' has no numbers, only NULL", db, "--metric", "none_at_all", "--by", "model")
    fails(1, "column 'input_id' has more than 200 values", db, "--metric", "latency", "--by", "input_id")
    fails(1, "all rows have the same 'model', 'a'", db, "--metric", "latency", "--by", "model", "--where", "model=a")
    fails(1, "no row of table 'events' has a 'none_at_all'", db, "--metric", "latency", "--by", "none_at_all")
    fails(2, "names 'ok' twice", db, "--metric", "ok,latency,OK", "--by", "model")
    fails(2, "exclude each other", db, "--metric", "ok", "--by", "model", "--pair-by", "input_id", "--unpaired")
    fails(2, "the same column", db, "--metric", "ok", "--by", "model", "--pair-by", "model")
    fails(2, "'model' cannot be compared", db, "--metric", "model", "--by", "model")
    fails(2, "--detect 'x' is no difference", db, "--metric", "ok", "--by", "model", "--detect", "x")
    fails(2, "--confidence", db, "--metric", "ok", "--by", "model", "--confidence", "95")
    fails(1, "no table 'nowhere'", db, "--metric", "ok", "--by", "model", "--table", "nowhere")


# ---- chance -----------------------------------------------------------------


def test_seeds(table):
    db = table(COLUMNS, two(30))
    args = [db, "--by", "model", "--baseline", "a"]
    first = answer(*args, "--metric", "latency")
    assert first["seed"] == 1 and first["resamples"] == 10000
    assert answer(*args, "--metric", "latency") == first
    other = answer(*args, "--metric", "latency", "--seed", "2")["cells"][0]
    assert other["difference_low"] != first["cells"][0]["difference_low"] and other["p"] == first["cells"][0]["p"]
    # What else is compared does not change a cell, but for its adjusted p.
    both = answer(*args, "--metric", "ok,latency")["cells"][1]
    assert both["difference_low"] == first["cells"][0]["difference_low"]


def test_confidence(table):
    db = table(COLUMNS, two(30))
    wide, narrow = (cell(db, "--metric", "latency", "--by", "model", "--confidence", c) for c in ("0.99", "0.8"))
    assert wide["difference_low"] < narrow["difference_low"] < narrow["difference_high"] < wide["difference_high"]


def test_ctrl_c(table):
    """A long bootstrap ends at once."""
    db = table(COLUMNS, two(20000))
    p = subprocess.Popen([XTCTL, "compare", db, "--metric", "latency", "--by", "model", "--resamples", "1000000"],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while "compare" not in Path(f"/proc/{p.pid}/cmdline").read_text() or utime(p.pid) < 50:
        assert p.poll() is None
    p.send_signal(signal.SIGINT)
    out, err = p.communicate(timeout=TIMEOUT)
    assert p.returncode == 130 and not out, (p.returncode, out, err)


def utime(pid):
    """Ticks of the processor that a process has used: past 50 it no longer reads."""
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11])


def test_the_daemon_dies_in_the_middle(served, monkeypatch):
    """In a question that would take minutes."""
    con = sqlite3.connect(served.db)
    con.executescript("CREATE TABLE a AS WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n LIMIT 30000) SELECT i FROM n;"
                      "CREATE VIEW pairs AS SELECT a.i + b.i AS v, a.i % 2 AS g FROM a, a AS b")
    con.close()
    monkeypatch.setenv("XETRACK_AUTOSTART", "0")
    before = utime(served.pid)
    p = subprocess.Popen([XTCTL, "compare", served.db, "--table", "pairs", "--metric", "v", "--by", "g"], stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE)
    while utime(served.pid) < before + 20:
        assert p.poll() is None
    served.expected = -signal.SIGKILL
    os.kill(served.pid, signal.SIGKILL)
    out, err = p.communicate(timeout=TIMEOUT)
    assert p.returncode == 1 and not out and err.startswith(b"xtctl: ") and err.count(b"\n") == 1, (p.returncode, out, err)


# ---- as people see it ---------------------------------------------------------


def demo():
    """Three models on forty inputs, with everything there is to be said about them."""
    r = random.Random(7)
    rows = []
    for i in range(40):
        hard = r.gauss(0, 20)
        for model, slower, right in (("small", 0, 0.6), ("large", 35, 0.95), ("größe 'L'", 1, 0.6)):
            rows.append(("t", f"2026-01-01 00:00:{i:02}", model, i, round(200 + hard + r.gauss(slower, 8), 3), int(r.random() < right), ""))
    rows[9] = (*rows[9][:4], None, *rows[9][5:])
    return rows + [("t", "2026-01-02 00:00:00", "large", 0, 1.0, 1, "t")]


SCHEMA = "track_id TEXT, timestamp TEXT, model TEXT, input_id INTEGER, latency_ms REAL, correct BOOLEAN, cache TEXT"


@pytest.mark.parametrize("name, args, env", [
    ("compare.txt", [], {}), ("compare-ascii.txt", ["--unpaired", "--detect", "5%"], {"LC_ALL": "C"})])
def test_golden(name, args, env, table):
    db = table(SCHEMA, demo())
    p = run(db, "--metric", "latency_ms,correct", "--by", "model", *args, env=env)
    assert p.returncode == 0, p.stderr
    assert p.stderr == ""
    if os.environ.get("XT_GOLDEN"):  # then look at what changed
        (GOLDEN / name).write_text(p.stdout)
    assert p.stdout == (GOLDEN / name).read_text()


@pytest.mark.parametrize("width, names", [(200, "baseline | mean"), (80, "change | adjusted p | difference | 95 % from | to"), (30, "small")])
def test_terminals(width, names, table):
    """On a narrow one the columns that are read first are shown; the sentences say the rest."""
    db = table(SCHEMA, demo())
    pid, fd = pty.fork()
    if pid == 0:
        os.environ.update(LC_ALL="C", TERM="dumb")
        fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
        os.execv(XTCTL, [XTCTL, "compare", db, "--metric", "latency_ms", "--by", "model"])
    out = b""
    try:
        while more := os.read(fd, 65536):
            out += more
    except OSError:  # the other end is closed
        pass
    assert os.waitpid(pid, 0)[1] == 0
    lines = out.decode().splitlines()
    assert names in " ".join(out.decode().split()) and any(line.startswith("  large: 16 % slower, sure") for line in lines), out
    assert not any("|" in line for line in lines[max(i for i, line in enumerate(lines) if ", each beside " in line):]), out  # words come last
    assert all(len(line) <= width for line in lines if "|" in line or line.startswith(("note: ", "  large: ", "      "))), out
    assert ("columns do not fit and are left out" in " ".join(out.decode().split())) is (width < 200), out


@pytest.mark.parametrize("form", ["csv", "jsonl", "md"])
def test_other_forms(form, table):
    """A row a comparison, every number in it; the notes go beside it."""
    db = table(SCHEMA, demo())
    p = run(db, "--metric", "latency_ms,correct", "--by", "model", "--format", form)
    assert p.returncode == 0 and p.stderr.count("xtctl: note: ") == 3, p.stderr
    lines = p.stdout.splitlines()
    assert len(lines) == {"csv": 5, "jsonl": 4, "md": 6}[form]
    if form == "jsonl":
        assert [json.loads(line) for line in lines] == answer(db, "--metric", "latency_ms,correct", "--by", "model")["cells"]
    else:
        assert "p_adjusted" in lines[0] and "größe 'L'" in lines[-1]
