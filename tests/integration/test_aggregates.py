"""SQL aggregates that SQLite has not: held against Python's statistics module and numpy."""
import json
import math
import random
import statistics

import numpy
import pytest
from conftest import fails

# In order, with ties, far from zero, and of very different sizes.
SAMPLES = {
    "one": [3.25],
    "two": [1.0, 2.0],
    "whole": [5, 3, 3, 9, 1, 7, 3],
    "same": [0.1] * 50,
    "high": [1e9 + i for i in (4, 7, 13, 16)],
    "mixed": [1e12, 1e-12, -3.5, 2, 2, 1e6, -1e12],
    "many": [random.Random(7).gauss(40, 3) for _ in range(20000)],
}
QS = [0, 0.01, 0.25, 0.5, 0.55, 0.75, 0.999, 1]


def close(got, want):
    assert got == pytest.approx(want, rel=1e-12, abs=0), (got, want)


@pytest.fixture
def sample(client):
    def store(values, columns=("x",)):
        rows = [list(v) if isinstance(v, (tuple, list)) else [v] for v in values]
        for at in range(0, len(rows), 5000):
            assert client.store(rows[at:at + 5000], columns=list(columns))[1] == 0
    return store


@pytest.mark.parametrize("name", SAMPLES)
def test_spread(client, sample, name):
    x = SAMPLES[name]
    sample([None, *x, None])
    (row,) = client.rows("SELECT var_pop(x), stddev_pop(x), var_samp(x), variance(x), stddev_samp(x), stddev(x), sem(x) FROM events")
    close(row[0], float(statistics.pvariance(x)))
    close(row[1], statistics.pstdev(x))
    if len(x) == 1:
        assert row[2:] == [None] * 5
        return
    for got in row[2:4]:
        close(got, float(statistics.variance(x)))
    for got in row[4:6]:
        close(got, statistics.stdev(x))
    close(row[6], statistics.stdev(x) / math.sqrt(len(x)))


@pytest.mark.parametrize("name", SAMPLES)
def test_quantiles(client, sample, name):
    x = SAMPLES[name]
    sample([None, *x, None])
    assert client.value("SELECT median(x) FROM events") == statistics.median(x)
    for q in QS:
        (row,) = client.rows("SELECT quantile_cont(x, ?1), percentile_cont(x, ?1), percentile(x, 100 * ?1), approx_quantile(x, ?1),"
                             " quantile_disc(x, ?1), quantile(x, ?1), percentile_disc(x, ?1) FROM events", args=[q])
        want = numpy.quantile(x, q)
        for got in row[:4]:
            close(got, want) if want else None
            assert abs(got - want) <= 1e-12 * max(map(abs, x))
        want = numpy.quantile(x, q, method="inverted_cdf")
        assert row[4:] == [want] * 3
    together = client.value("SELECT quantile_cont(x, ?) FROM events", args=[json.dumps(QS)])
    assert json.loads(together) == [client.value("SELECT quantile_cont(x, ?) FROM events", args=[q]) for q in QS]


def test_two_columns(client, sample):
    r = random.Random(3)
    pairs = [(x, 2 * x + r.gauss(0, 5)) for x in (r.uniform(1e6, 1e6 + 50) for _ in range(500))]
    sample([(None, 1.0), *pairs, (1.0, None)], ("x", "y"))
    (row,) = client.rows("SELECT covar_pop(y, x), covar_samp(y, x), corr(y, x), corr(x, y), regr_slope(y, x),"
                         " regr_intercept(y, x), regr_r2(y, x) FROM events")
    x, y = zip(*pairs)
    slope, intercept = statistics.linear_regression(x, y)
    r = statistics.correlation(x, y)
    want = [statistics.covariance(x, y) * 499 / 500, statistics.covariance(x, y), r, r, slope, intercept, r * r]
    for got, w in zip(row, want):
        assert got == pytest.approx(w, rel=1e-9)


def test_edges_of_two_columns(client):
    rows = "(VALUES (1, 5), (2, 5), (3, 5)) "
    assert client.rows(f"SELECT corr(column1, column2), regr_slope(column2, column1), regr_r2(column2, column1),"
                       f" regr_slope(column1, column2), covar_samp(column1, 1.0) FROM {rows}") == [[None, 0, 1, None, 0]]
    assert client.rows("SELECT corr(1, 1), covar_samp(1, 1), covar_pop(1, 1)") == [[None, None, 0]]
    assert client.value("SELECT corr(column1, column1 * 1e-160) FROM (VALUES (1), (2), (3.5))") == pytest.approx(1)


def test_nothing(client, sample):
    sample([None, None])
    names = ["var_pop", "stddev", "sem", "median"]
    pairs = ["corr", "covar_pop", "regr_slope", "regr_intercept", "regr_r2"]
    calls = [f"{n}(x)" for n in names] + [f"{n}(x, x)" for n in pairs] + ["quantile_disc(x, 0.5)", "approx_quantile(x, '[0.5]')"]
    for where in ("", "WHERE 0"):
        assert client.rows(f"SELECT {', '.join(calls)} FROM events {where}") == [[None] * len(calls)]


def test_infinities(client):
    rows = "(VALUES (1.0), (9e999), (2.0), (3.0))"
    assert client.rows(f"SELECT stddev(column1), median(column1), quantile_cont(column1, 1), quantile_cont(column1, '[0.5, 1]') "
                       f"FROM {rows}") == [[None, 2.5, math.inf, "[2.5,9e999]"]]


def test_groups(client, sample):
    x = SAMPLES["many"]
    sample([(i % 7, v) for i, v in enumerate(x)], ("g", "x"))
    for g, sd, median, approx in client.rows("SELECT g, stddev(x), median(x), approx_quantile(x, 0.5) FROM events GROUP BY g"):
        close(sd, statistics.stdev(x[g::7]))
        assert median == approx == statistics.median(x[g::7])


def test_windows(client, sample):
    """As values enter and leave the frame; and the whole partition."""
    x = SAMPLES["many"][:2000]
    sample(list(enumerate(x)), ("i", "x"))
    sql = ("SELECT i, median(x) OVER w, stddev_pop(x) OVER w, median(x) OVER (), quantile_disc(x, 0.1) OVER (ORDER BY i) FROM events "
           "WINDOW w AS (ORDER BY i ROWS BETWEEN 9 PRECEDING AND CURRENT ROW) ORDER BY i")
    rows = client.rows(sql)
    assert len(rows) == len(x)
    for i, median, sd, whole, so_far in rows:
        frame = x[max(0, i - 9):i + 1]
        assert median == statistics.median(frame) and whole == statistics.median(x)
        assert sd == pytest.approx(statistics.pstdev(frame), rel=1e-9, abs=1e-12)
        assert so_far == numpy.quantile(x[:i + 1], 0.1, method="inverted_cdf")


def test_an_outlier_leaves_no_trace_in_a_window(client):
    sql = ("SELECT var_pop(column1) OVER (ROWS 1 PRECEDING) FROM (VALUES (1e12), (0.25), (0.5), (9e999), (0.25), (0.5))")
    assert [r[0] for r in client.rows(sql)] == [0, pytest.approx(2.5e23), 0.015625, None, None, 0.015625]


def test_text(client):
    """Numbers may be text; other text is no 0."""
    assert client.value("SELECT median(column1) FROM (VALUES ('1'), ('2.5'), (10))") == 2.5
    e = fails("sql_error", client.call, "query", sql="SELECT stddev(column1) FROM (VALUES (1), ('n/a'))")
    assert e.message == "stddev(): 'n/a' is not a number"
    e = fails("sql_error", client.call, "query", sql="SELECT median(column1) OVER (ROWS 1 PRECEDING) FROM (VALUES (1), (x'00'))")
    assert e.message == "median(): a blob is not a number"


@pytest.mark.parametrize("q", ["NULL", "1.5", "-0.1", "'0.5'", "'[]'", "'[0.5'", "'[0.5,]'", "'[0.5] x'", "'[2]'", "x'00'", "9e999",
                               "'[" + "0.5," * 16 + "0.5]'", "'[" + " " * 300 + "0.5]'"])
@pytest.mark.parametrize("name", ["quantile_cont", "quantile_disc", "approx_quantile"])
def test_wrong_quantiles(client, name, q):
    e = fails("sql_error", client.call, "query", sql=f"SELECT {name}(column1, {q}) FROM (VALUES (1), (2))")
    assert e.message.startswith(f"{name}(): the second argument must be a number from 0 to 1")


def test_a_quantile_stays_the_same(client):
    for q in ("column1 / 10.0", "'[0.' || column1 || ']'"):
        e = fails("sql_error", client.call, "query", sql=f"SELECT quantile_cont(column1, {q}) FROM (VALUES (1), (2))")
        assert e.message == "quantile_cont(): the second argument must be the same for all rows"


COUNT = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {}) SELECT {} FROM n"


def test_memory_is_bounded(client):
    """All values of a group are more than a statement may have; thinned ones are not."""
    e = fails("sql_error", client.call, "query", sql=COUNT.format(9_000_000, "median(i)"))
    assert e.message.startswith("median(): it holds all values of a group, and these are too many; approx_quantile(x, q)")
    values = client.value(COUNT.format(9_000_000, "approx_quantile(i, '[0.05, 0.5, 0.95]')"))
    for q, got in zip((0.05, 0.5, 0.95), json.loads(values)):
        assert abs(got / 9_000_000 - q) < 0.0002


def test_a_view_may_use_them(client):
    client.store({"x": 1.0})
    client.change("exec", sql="CREATE VIEW middle AS SELECT median(x) AS m FROM events")
    assert client.rows("SELECT m FROM middle", after=client.seq) == [[1.0]]


@pytest.mark.parametrize("n", [0, 1, 8192, 8193, 20_000, 60_000, 1_000_000])
def test_different_values(client, n):
    """Exact while there are few, then within five standard errors, at any count."""
    for value in ("i * 7", "i / 7.0", "'value ' || i"):
        got = client.value(f"WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {n}) "
                           f"SELECT approx_count_distinct(CASE WHEN i < {n} THEN {value} END) FROM n")
        assert got == n if n <= 8192 else abs(got / n - 1) < 0.04, (value, got)


def test_what_is_different(client):
    assert client.value("SELECT approx_count_distinct(column1) FROM (VALUES (1), (1.0), ('1'), (x'31'), (NULL), (0.5), (0), (-0.0),"
                        " (''), (x''))") == 7


@pytest.mark.parametrize("low, high, bins", [(0, 1, 10), (0, 0.7, 7), (-3, 103, 1), (1e6, 1e6 + 1, 3), (20, 60, 10000)])
def test_histogram(client, sample, low, high, bins):
    x = SAMPLES["many"] + [low + (high - low) * i / bins for i in range(min(bins, 50) + 1)] + [low - 1.0, high + 1.0]
    sample([*x, None])
    counts, edges = numpy.histogram(x, bins=[low + (high - low) * (i / bins) for i in range(bins)] + [high])
    assert json.loads(client.value("SELECT histogram(x, ?, ?, ?) FROM events", args=[low, high, bins])) == counts.tolist()
    assert sum(counts) == sum(low <= v <= high for v in x)


def test_histogram_by_group(client):
    sql = "SELECT column1, histogram(column2, 0, 4, 2) FROM (VALUES ('a', 1), ('b', 4), ('a', 2), ('a', NULL), ('c', NULL)) GROUP BY 1"
    assert client.rows(sql) == [["a", "[1,1]"], ["b", "[0,1]"], ["c", "[0,0]"]]
    assert client.value("SELECT histogram(1, 0, 1, 1) WHERE 0") is None


@pytest.mark.parametrize("args", ["1, 1, 1, 5", "1, 2, 1, 5", "1, NULL, 1, 5", "1, 'a', 1, 5", "1, 0, 9e999, 5", "1, 0, 1, 0", "1, 0, 1, 10001",
                                  "1, 0, 1, NULL", "1, 0, 1, 2.5", "1, -1e308, 1e308, 5", "'x', 0, 1, 5", "x'00', 0, 1, 5",
                                  "1, 0, column1, 5", "1, column1, 9, 5", "1, 0, 1, column1"])
def test_wrong_histograms(client, args):
    e = fails("sql_error", client.call, "query", sql=f"SELECT histogram({args}) FROM (VALUES (1), (2))")
    assert e.message.startswith("histogram(): ")
