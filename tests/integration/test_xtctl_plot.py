"""xtctl plot: what is drawn, where, and what is said of values that cannot be."""
import re

import pytest
import xtctl
from test_xtctl_stats import on_terminal

pytestmark = xtctl.needs_xtctl


def run(*args, **env):
    return xtctl.run("plot", *args, env=env)


def ok(*args, **env):
    return xtctl.ok("plot", *args, env=env)


def picture(*args, **env):
    """Its lines, without blanks at their ends."""
    return "\n" + "\n".join(line.rstrip() for line in ok(*args, **env).splitlines()) + "\n"


@pytest.fixture
def filled(served, client):
    client.store([[x, x * x, "even" if x % 2 == 0 else "odd"] for x in range(1, 11)], columns=["x", "square", "kind"])
    return served.db


def test_hist(filled):
    assert picture("hist", filled, "square", "--width", "40", "--height", "4", "--bins", "5") == """
4 ┤███████
  │███████
2 ┤██████████████              ███████
0 ┤███████████████████████████████████
  └─────────────────┬────────────────┬
                   50              100
                 square
"""


def test_hist_of_whole_numbers(filled, client):
    """Each is in one bin, the largest one like the others."""
    assert picture("hist", filled, "x", "--width", "35", "--height", "3", "--title", "ten of them") == """
            ten of them
2 ┤     ████████████████████
1 ┤▄▄▄▄▄████████████████████▄▄▄▄▄
0 ┤██████████████████████████████
  └─┬───────────┬────────────┬───
    0           5           10
                 x
"""
    client.store([[v] for v in (0, 1, 1, 3)], columns=["v"], table="few")
    assert picture("hist", filled, "v", "--table", "few", "--width", "30", "--height", "3", "--ascii") == """
2 +      oooooo
1 +oooooooooooo      oooooo
0 +oooooooooooo      oooooo
  +---+-----------+--------
      0           2
              v
"""


def test_scatter(filled):
    assert picture("scatter", filled, "x", "square", "--width", "30", "--height", "5") == """
square
100 ┤                        ⠈
    │                   ⡀  ⠁
 50 ┤                ⠠
    │           ⠄ ⠈
    │⡀ ⠠  ⠐  ⠁
    └───────────┬────────────┬
                5           10
                 x
"""


def test_scatter_by(filled):
    """Without colours series differ by their marks, in ASCII too."""
    assert picture("scatter", filled, "x", "square", "--width", "30", "--height", "5", "--by", "kind", "--ascii") == """
  o even  x odd
square
100 +                        o
    |                   o  x
 50 +                x
    |           x o
    |x o  x  o
    +-----------+------------+
                5           10
                 x
"""


def test_line(filled):
    assert picture("line", filled, "x", "square", "--width", "30", "--height", "5") == """
square
100 ┤                      ⢀⠤⠊
    │                   ⣀⠤⠒⠁
 50 ┤              ⢀⣀⠤⠒⠉
    │         ⣀⡠⠤⠒⠉⠁
    │⣀⡠⠤⠤⠔⠒⠒⠉⠉
    └───────────┬────────────┬
                5           10
                 x
"""


def test_box(filled):
    assert picture("box", filled, "square", "--width", "50", "--by", "kind") == """
                                            median
even ┤ ·├───████████┃███████████──────────┤  ·  36
 odd ┤·├─██████┃██████████─────────┤  ·         25
     └───────────────────┬───────────────────┬
                        50                 100
                       square
"""


def test_bar(filled):
    assert picture("bar", filled, "square", "--width", "50", "--by", "kind", "--stat", "sum") == """
even ┤████████████████████████████▌            220
 odd ┤█████████████████████▍                   165
     └┬────────────┬───────────┬────────────┬
      0           100         200         300
                   sum of square
"""
    assert picture("bar", filled, "kind", "--width", "40", "--ascii") == """
even +=========================        5
 odd +=========================        5
     ++---------+---------+---------+
      0         2         4         6
               rows by kind
"""


# ---- what is left out, and what cannot be drawn ----------------------------


@pytest.fixture
def odd(served, client):
    values = [1.0, 10.0, 100.0, 0.0, -5.0, float("inf"), float("nan"), None]
    client.store([[v, "text", None] for v in values], columns=["v", "name", "never"])
    client.store([[7.0, "g"]], columns=["v", "name"], table="one")
    client.change("exec", sql="CREATE TABLE none(v REAL, name TEXT)")
    return served.db


@pytest.mark.parametrize("args, says", [
    (["hist", "v"], "3 of 8 rows are left out, without a finite number in 'v'"),
    (["hist", "v", "--log-x"], "5 of 8 rows are left out, without a finite number, above 0 where the axis is logarithmic, in 'v'"),
    (["scatter", "v", "v", "--log-y"], "5 of 8 rows are left out"),
    (["line", "v"], "3 of 8 rows are left out"),
    (["box", "v"], "3 of 8 rows are left out"),
    (["bar", "v", "--by", "name"], "3 of 8 rows are left out"),
])
def test_left_out(odd, args, says):
    p = run(args[0], odd, *args[1:])
    assert p.returncode == 0 and p.stdout and says in p.stderr, p.stderr
    assert "nan" not in p.stdout and "inf" not in p.stdout


@pytest.mark.parametrize("args, status, says", [
    (["hist", "nothing"], 1, "no column 'nothing' in table 'events'"),
    (["hist", "nmae"], 1, "did you mean 'name'?"),
    (["hist", "name"], 1, "'name' is no column of numbers but of TEXT; 'xtctl plot bar' counts its values"),
    (["scatter", "v", "name"], 1, "'name' is no column of numbers"),
    (["hist", "never"], 1, "there is nothing to draw: none of 8 rows has a finite number in 'never'"),
    (["hist", "v", "--table", "none"], 1, "there is nothing to draw: no row of 'none' is selected"),
    (["bar", "name", "--table", "none"], 1, "there is nothing to draw: no row of 'none' is selected"),
    (["hist", "v", "--by", "nmae"], 1, "did you mean 'name'?"),
    (["hist", "v", "--where", "name=other"], 1, "no row of 'events' is selected"),
    (["hist", "v", "--bins", "900"], 2, "900 bins do not fit"),
    (["hist", "v", "--bins", "0"], 2, "--bins needs a whole number from 1 to 1000"),
    (["hist", "v", "--width", "5"], 2, "--width needs a whole number from 20 to 1000"),
    (["hist", "v", "--pch", "ab"], 2, "--pch needs one character"),
    (["hist", "v", "--pch", "\n"], 2, "--pch needs one character"),
    (["hist", "v", "--colour", "mauve"], 2, "no colour 'mauve'"),
    (["bar", "v", "--stat", "mean"], 2, "--stat mean needs --by"),
    (["bar", "v", "--stat", "mode", "--by", "name"], 2, "mean|median|sum|min|max|count"),
    (["line", "v", "--log-x"], 2, "--log-x needs a column for x"),
    (["scatter", "v"], 2, "is missing"),
    (["pie", "v"], 2, "no command 'plot pie'"),
])
def test_mistakes(odd, args, status, says):
    p = run(args[0], odd, *args[1:])
    assert p.returncode == status and says in p.stderr, p.stderr
    assert status == 2 or not p.stdout


@pytest.mark.parametrize("line", ["hist v", "hist v --log-x", "scatter v v", "line v", "line v v", "box v", "bar v --by name", "bar name"])
@pytest.mark.parametrize("width", [20, 40, 80, 133])
def test_one_value_at_any_width(odd, line, width):
    kind, *args = line.split()
    out = ok(kind, odd, *args, "--table", "one", "--width", width)
    assert out and max(map(len, out.splitlines())) <= width


def test_the_seeds_options(filled):
    """As xt plot has them, of bashplotlib."""
    out = ok("hist", filled, "square", "--bins", "4", "--width", "40", "--height", "5", "--pch", "o", "--colour", "white", "--xlab", "--summary",
             "--title", "squares")
    assert "o" in out and "█" not in out and "squares" in out
    assert "10 values: mean 38.5, std 34.174, median 30.5, from 1 to 100" in out
    out = ok("scatter", filled, "x", "square", "--pch", "x", "--size", "20", "--title", "t", "--colour", "red")
    assert "\033" not in out and out.count("x") >= 10 and len(out.splitlines()) == 25


def test_groups_without_end(served, client):
    client.store([[i % 50, i] for i in range(200)], columns=["g", "v"])
    for kind, most in (("scatter", 8), ("hist", 12), ("box", 30), ("bar", 30)):
        p = run(kind, served.db, *(["v", "v"] if kind == "scatter" else ["v"]), "--by", "g")
        assert p.returncode == 0 and f"the {most} values of 'g' with the most rows are shown, of 50" in p.stderr, p.stderr


def test_labels_of_groups(served, client):
    labels = [None, 3, 0.5, "", "a\tb", "‮abc", "日本語" * 20, True]
    client.store([[g, 1] for g in labels], columns=["g", "v"])
    client.store([[True, 1], [False, 3]], columns=["g", "v"], table="flags")
    lines = ok("bar", served.db, "g", "--width", "60").splitlines()[:len(labels)]
    shown = {line.split("┤")[0].strip() for line in lines}
    assert {"NULL", "3.0", "0.5", "1", '""', "a\\tb", "\\u202eabc"} <= shown and any(s.endswith("…") for s in shown)
    assert re.findall("true|false", ok("bar", served.db, "v", "--by", "g", "--table", "flags")) == ["false", "true"]


def test_line_goes_through_means_in_order(served, client):
    client.store([[x, y] for x, y in [(2, 0), (0, 0), (1, 10), (1, 30), (2, 0)]], columns=["x", "y"])
    assert picture("line", served.db, "x", "y", "--width", "24", "--height", "4") == """
mean of y
20 ┤        ⡠⠔⠑⠤⡀
   │     ⢀⠔⠊    ⠈⠢⢄
10 ┤  ⢀⡠⠊⠁         ⠑⠢⡀
 0 ┤⡠⠔⠁              ⠈⠒⢄
   └┬─────────┬────────┬
    0         1        2
             x
"""


def test_line_in_the_environments_database(filled):
    """One column or two: the first is no database where there is no such file."""
    for args in (["square"], ["x", "square"]):
        assert ok("line", *args, XETRACK_DB=filled) == ok("line", filled, *args) == ok("line", filled, *args, XETRACK_DB="/nowhere.db")


def test_line_of_rows(served, client):
    client.store([[y, g] for y, g in [(0, "a"), (3, "b"), (4, "a"), (3, "b"), (0, "a")]], columns=["y", "g"])
    assert picture("line", served.db, "y", "--width", "24", "--height", "4", "--by", "g", "--ascii") == """
  o a  x b
y
4 +        ooooo
  |xxxxxxxxxxx  ooo
2 +  oooo         oooo
0 +ooo               ooo
  ++---------+---------+
   1         2         3
     row of the group
"""


# ---- times ----------------------------------------------------------------


@pytest.fixture
def times(served, client):
    """A value every ten minutes, from 23:00 to 01:00, the last one twice, and rows that have no time."""
    client.change("exec", sql="CREATE TABLE events(timestamp TEXT, v REAL, k TEXT, mixed, note TEXT)")
    texts = [f"2026-07-{31 if m < 60 else '01'} {(23 + m // 60) % 24:02d}:{m % 60:02d}:00.000000".replace("07-01", "08-01")
             for m in range(0, 121, 10)]
    for i, text in enumerate([*texts, texts[-1]]):
        client.change("exec", sql="INSERT INTO events VALUES (?, ?, ?, ?, ?)", args=[text, i, "ab"[i % 2], text, "n"])
    for text in (None, "2026-13-01 00:00:00", "2026-07-31 23:10:00.5x", "2026-07-31", "tomorrow", b"2026-07-31 23:10:00"):
        client.change("exec", sql="INSERT INTO events VALUES (?, 1, 'a', 7, '2026-07-31 23:10:00')", args=[text])
    return served.db


def test_times_below(times):
    assert picture("scatter", times, "timestamp", "v", "--width", "44", "--height", "4", "--where", "k=a") == """
 v
10 ┤                                 ⠄     ⠈
   │                          ⠐
   │             ⠄      ⠁
 0 ┤⡀     ⠐
   └┬─────────┬─────────┬────────┬─────────┬
  23:00     23:30     08-01    00:30   01:00
      timestamp, 2026-07-31 to 2026-08-01
"""
    p = run("line", times, "timestamp", "v", "--width", "60", "--height", "4")
    assert p.stderr == "xtctl: note: 6 of 20 rows are left out, without a time in 'timestamp' and a finite number in 'v'\n"
    assert p.stdout.startswith("mean of v\n")  # the last time is there twice
    assert [t for t in p.stdout.splitlines()[-2].split()] == ["23:00", "23:30", "08-01", "00:30", "01:00"]


def test_a_histogram_of_times(times):
    for bins in ([], ["--bins", "4"]):  # of half an hour each, in any case
        assert picture("hist", times, "timestamp", "--width", "44", "--height", "3", "--summary", *bins) == """
5 ┤                              ██████████
  │▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆██████████
0 ┤████████████████████████████████████████
  └┬─────────┬─────────┬─────────┬────────┬
 23:00     23:30     08-01     00:30  01:00
     timestamp, 2026-07-31 to 2026-08-01
14 times: mean 2026-08-01 00:04:17, std 2442.5 s, median 2026-08-01 00:05:00, from 2026-07-31 23:00:00 to 2026-08-01 01:00:00
"""
    assert "6 of 20 rows are left out, without a time in 'timestamp'\n" in run("hist", times, "timestamp").stderr
    by = ok("hist", times, "timestamp", "--by", "k", "--width", "44")
    assert "a: 7" in by and "b: 7" in by


def test_many_times_are_taken_together(served, client):
    """A row each second for an hour, up and down by turns: what is seen is where their mean goes."""
    client.change("exec", sql="CREATE TABLE events AS WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n LIMIT 3601) "
                              "SELECT strftime('%Y-%m-%d %H:%M:%S.123456', 1785484800 + i, 'unixepoch') AS timestamp, "
                              "i / 60 + 100 * (i % 2) AS v, i % 2 AS g FROM n")
    for by in ([], ["--by", "g"]):
        lines = ok("line", served.db, "timestamp", "v", "--width", "60", "--height", "8", "--ascii", *by).splitlines()
        assert lines[bool(by)] == "mean of v in 1 min" and lines[-1].strip() == "timestamp, 2026-07-31"
    marks = [line.count("o") + line.count("x") for line in lines[2:-3]]
    assert 100 < sum(marks) < 140  # two lines, a mark at each place across
    few = ok("line", served.db, "timestamp", "v", "--where", "timestamp<2026-07-31 08:00:40", "--width", "60", "--ascii").splitlines()
    assert few[0].strip() == "v"


def test_microseconds_are_told_apart(served, client):
    """SQLite's own functions would round them; .9996 would be the next second."""
    client.change("exec", sql="CREATE TABLE events(t TEXT, v INTEGER)")
    for i, fraction in enumerate(["999600", "999700", "999800", "999900"]):
        client.change("exec", sql="INSERT INTO events VALUES (?, ?)", args=[f"2026-07-31T08:15:59.{fraction}", i])
    lines = ok("line", served.db, "t", "v", "--width", "50", "--height", "4", "--ascii").splitlines()
    assert lines[-1].strip() == "t, 2026-07-31 08:15" and "59.9998" in lines[-2]
    assert lines[1].count("o") < 15 and lines[1].rstrip().endswith("o")  # a line that rises over the whole width
    assert lines[4].split("+")[1].startswith("o")


@pytest.mark.parametrize("args, status, says", [
    (["line", "timestamp"], 1, "'timestamp' is no column of numbers but of TEXT"),
    (["scatter", "v", "timestamp"], 1, "'timestamp' is no column of numbers but of TEXT"),
    (["scatter", "timestamp", "timestamp"], 1, "'timestamp' is no column of numbers but of TEXT"),
    (["box", "timestamp"], 1, "'timestamp' is no column of numbers but of TEXT"),
    (["hist", "k"], 1, "'k' is no column of numbers but of TEXT; 'xtctl plot bar' counts its values"),
    (["hist", "note"], 1, "'note' is no column of numbers"),  # most of its values are no times
    (["hist", "timestamp", "--log-x"], 2, "'timestamp' has times, which have no logarithm"),
    (["scatter", "timestamp", "v", "--log-x"], 2, "'timestamp' has times"),
    (["hist", "timestamp", "--where", "timestamp=tomorrow"], 1, "'timestamp' is no column of numbers"),
    (["line", "timestamp", "v", "--where", "v>100"], 1, "there is nothing to draw: no row of 'events' is selected"),
    (["hist", "timestamp", "--where", "timestamp=null"], 1, "there is nothing to draw: none of 1 rows has a time in 'timestamp'"),
    (["scatter", "timestamp", "k"], 1, "'k' is no column of numbers"),
])
def test_what_is_no_time(times, args, status, says):
    p = run(args[0], times, *args[1:])
    assert p.returncode == status and says in p.stderr and not p.stdout, p.stderr


def test_times_in_a_column_without_a_type(times):
    p = run("scatter", times, "mixed", "v")
    assert p.returncode == 0 and "6 of 20 rows are left out, without a time in 'mixed'" in p.stderr
    assert "mixed, 2026-07-31 to 2026-08-01" in p.stdout
    assert "a finite number in 'mixed'" not in run("hist", times, "mixed", "--where", "mixed=7").stderr


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_times_at_any_width(times, width):
    for args in (["hist", "timestamp"], ["line", "timestamp", "v"], ["scatter", "timestamp", "v", "--by", "k"]):
        out = ok(args[0], times, *args[1:], "--width", width)
        assert all(len(line) <= max(width, 42) for line in out.splitlines()), out


# ---- terminals --------------------------------------------------------------


def test_colours_on_a_terminal_only(filled):
    args = ("plot", "scatter", filled, "x", "square", "--by", "kind", "--height", "6")
    out, _ = on_terminal(60, *args)
    assert "\033[36m" in out and "\033[33m" in out and "⠁" in out
    assert all(re.findall("\033\\[[0-9;]*m", line)[-1:] in ([], ["\033[0m"]) for line in out.splitlines())
    assert max(len(re.sub("\033\\[[0-9;]*m", "", line)) for line in out.splitlines()) == 60
    for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        out, _ = on_terminal(60, *args, **env)
        assert "\033" not in out and "●" in out and "▲" in out


def test_the_legend_is_seen_with_its_picture(filled):
    """Of 24 lines: all of it, the note that may come, and the next prompt."""
    for more in ([], ["--title", "squares"]):
        out, _ = on_terminal(40, "plot", "line", filled, "x", "square", "--by", "kind", *more, rows=24)
        assert len(out.splitlines()) == 22 and "even" in out
    assert len(ok("line", filled, "x", "square", "--by", "kind", "--height", "30").splitlines()) == 35


def test_no_line_over_idle_times(served, client):
    """Three short runs are three, not a slow climb; of many rows, too, and in each group for itself."""
    client.change("exec", sql="CREATE TABLE runs AS WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n LIMIT 600) "
                              "SELECT strftime('%Y-%m-%d %H:%M:%S', 1785500000 + i / 200 * 900 + i % 200 / 5.0, 'unixepoch') AS "
                              "timestamp, i / 200 AS run, i % 2 AS g FROM n")
    for few in ([], ["--where", "g=0"], ["--by", "g"], ["--where", "run<1"]):
        marks = [set(line[line.index("┤" if "┤" in line else "│") + 1:]) - {" "}
                 for line in ok("line", served.db, "timestamp", "run", "--table", "runs", "--height", "9", *few).splitlines()
                 if re.match(" *[0-9.]* [┤│]", line)]
        assert sum(map(bool, marks)) == (1 if few == ["--where", "run<1"] else 3), (few, marks)
    client.change("exec", sql="CREATE TABLE steady AS SELECT *, 0 AS k FROM runs WHERE run = 0")
    client.change("exec", sql="UPDATE steady SET timestamp = strftime('%Y-%m-%d %H:%M:%S', 1785500000 + _rowid_ * 60, 'unixepoch'), "
                              "run = _rowid_ / 100")
    out = ok("line", served.db, "timestamp", "run", "--table", "steady", "--height", "9")
    assert all(re.search("[┤│].*[⠀-⣿]", line) for line in out.splitlines()[1:10]), out


def test_a_low_terminal(filled):
    out, _ = on_terminal(40, "plot", "hist", filled, "x", rows=12)
    assert len(out.splitlines()) <= 12


@pytest.mark.parametrize("kind", ["hist", "scatter", "line", "box", "bar"])
def test_ascii_is_ascii(filled, kind):
    args = (kind, filled, *(["x", "square"] if kind in ("scatter", "line") else ["x"]), "--by", "kind")
    assert ok(*args, "--ascii").isascii()
    assert ok(*args, LC_ALL="C").isascii()


def test_many_rows(served, client):
    """They pass by; what is drawn is all of them."""
    client.change("exec", sql="CREATE TABLE t AS WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n LIMIT 100000) "
                              "SELECT i AS x, i % 1000 AS y, i % 2 AS g FROM n")
    assert ok("scatter", served.db, "x", "y", "--table", "t", "--width", "40", "--height", "5").count("⣿") > 100
    heights = ok("hist", served.db, "y", "--table", "t", "--by", "g", "--bins", "10", "--width", "40").count("50,000")
    assert heights == 2
