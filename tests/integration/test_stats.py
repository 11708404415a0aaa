"""The statistics beside SciPy's, on random samples. Published numbers are in tests/unit/test_stats.c."""
import math
import os
import subprocess

import numpy as np
import pytest
from conftest import BUILD, TIMEOUT

XT_STATS = os.environ.get("XT_STATS", str(BUILD / "xt-stats"))
pytestmark = [pytest.mark.skipif(not os.access(XT_STATS, os.X_OK), reason=f"{XT_STATS} is not built"),
              pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore:Sample size too small")]
st = pytest.importorskip("scipy.stats")
sp = pytest.importorskip("scipy.special")


class Asked:
    """Questions and what SciPy says; all are put to one process, and compared."""

    def __init__(self):
        self.lines, self.want = [], []

    def ask(self, name, *numbers, want):
        """want: a number, or a list with None for what is not compared."""
        flat = []
        for v in numbers:
            flat += [len(v), *v] if isinstance(v, (list, np.ndarray)) else [v]
        self.lines.append(" ".join([name, *(repr(float(v)) if isinstance(v, float) else str(v) for v in flat)]))
        self.want.append(want if isinstance(want, (list, tuple, np.ndarray)) else [want])

    def compare(self, rel=1e-9, tiny=1e-300):
        p = subprocess.run([XT_STATS], input="\n".join(self.lines), capture_output=True, text=True,
                           timeout=TIMEOUT)
        assert p.returncode == 0 and not p.stderr, (p.returncode, p.stderr)
        answers = p.stdout.splitlines()
        assert len(answers) == len(self.want)
        for line, answer, want in zip(self.lines, answers, self.want):
            for got, wanted in zip(map(float, answer.split()), want, strict=False):
                if wanted is not None:
                    assert got == pytest.approx(float(wanted), rel=rel, abs=tiny, nan_ok=True), (line[:300], answer)


@pytest.fixture
def asked():
    return Asked()


@pytest.fixture
def rng():
    return np.random.default_rng(20240229)


def test_normal(asked, rng):
    for z in rng.uniform(-37, 8, 200):
        asked.ask("normal", z, want=st.norm.cdf(z))
    for p in [*10.0 ** rng.uniform(-300, 0, 200), *rng.random(100), 0.5]:
        asked.ask("normal_quantile", p, want=st.norm.ppf(p))
    asked.compare(rel=1e-12, tiny=1e-15)


def test_beta(asked, rng):
    # SciPy's own error grows with a and b, so they stay where it is small.
    for a, b in 10.0 ** rng.uniform(-1, 3, (300, 2)):
        x = rng.beta(a, b)
        asked.ask("beta", a, b, x, want=sp.betainc(a, b, x))
    asked.compare(rel=1e-10)


def test_t(asked, rng):
    for df, z in zip(10.0 ** rng.uniform(-0.5, 7, 300), rng.normal(0, 8, 300)):
        asked.ask("t", z, df, want=[2 * st.t.sf(abs(z), df), st.t.cdf(z, df)])
    asked.compare()


def test_t_quantile(asked, rng):
    for df, p in zip(10.0 ** rng.uniform(-0.5, 7, 300), rng.random(300)):
        asked.ask("t_quantile", p, df, want=st.t.ppf(p, df))
    asked.compare(rel=1e-8)  # SciPy's own error; the unit test has its tails in closed form


def test_t_shifted(asked, rng):
    for df, shift in zip(rng.choice([2.0, 3.0, 8.5, 40.0, 900.0], 200), rng.uniform(-6, 15, 200)):
        t = shift + rng.normal(0, 2)
        want = st.nct.cdf(t, df, shift)
        if math.isfinite(want):
            asked.ask("t_shifted", t, df, shift, want=want)
    asked.compare(rel=0, tiny=1e-11)


def test_binomial(asked, rng):
    for n in (10.0 ** rng.uniform(0, 4, 200)).astype(int):
        p = rng.random()
        k = rng.binomial(n, p)
        asked.ask("binomial", k, n, p, want=[st.binom.cdf(k, n, p), st.binom.pmf(k, n, p)])
    asked.compare()


def test_describe(asked, rng):
    for n in [1, 2, 3, 10, 1001]:
        v = rng.lognormal(0, 2, n)
        asked.ask("describe", v, want=[v.mean(), v.var(ddof=1) if n > 1 else math.nan,
                                       *np.quantile(v, np.arange(11) / 10)])
    asked.compare(rel=1e-12)


def wilcoxon(d, exact):
    kind = dict(mode="exact") if exact else dict(mode="approx", correction=True)
    return st.wilcoxon(d, zero_method="wilcox", **kind).pvalue


def test_signed(asked, rng):
    for n in [*range(1, 60, 3), 50, 51, 400]:
        d = rng.normal(0.2, 1, n)
        asked.ask("signed", d, want=[None, wilcoxon(d, n <= 50), None, n <= 50])
        if n >= 8:
            rounded = np.round(d * 2)
            if np.unique(np.abs(rounded)).size > 1:
                asked.ask("signed", rounded, want=[None, wilcoxon(rounded, False), None, 0])
    asked.ask("signed", np.zeros(5), want=[0, 1, 0])
    asked.compare()


def test_two(asked, rng):
    for n_a, n_b in [(1, 1), (1, 7), (5, 4), (20, 31), (49, 49), (50, 10), (300, 200)]:
        a, b = rng.normal(0, 1, n_a), rng.normal(0.3, 2, n_b)
        for x, y in ((a, b), (np.round(a), np.round(b))):
            ties = np.unique(np.concatenate([x, y])).size < n_a + n_b
            exact = n_a < 50 and n_b < 50 and not ties
            u, p = st.mannwhitneyu(y, x, method="exact" if exact else "asymptotic")
            delta = np.sign(np.subtract.outer(y, x)).mean()
            asked.ask("two", x, y, want=[u, 1 if math.isnan(p) else p, delta, exact])
    asked.compare(tiny=1e-12)


def test_means(asked, rng):
    for n in [3, 10, 77, 1000]:
        a, b = rng.normal(5, 1, n), rng.normal(5.2, 3, n + 2)
        r = st.ttest_ind(b, a, equal_var=False)
        va, vb = a.var(ddof=1) / n, b.var(ddof=1) / (n + 2)
        df = (va + vb) ** 2 / (va ** 2 / (n - 1) + vb ** 2 / (n + 1))
        ends = b.mean() - a.mean() + np.array([-1, 1]) * st.t.ppf(0.975, df) * math.sqrt(va + vb)
        asked.ask("welch", a, b, want=[r.statistic, df, r.pvalue, *ends])
        d = b[:n] - a
        r = st.ttest_1samp(d, 0)
        ends = r.confidence_interval(0.95)
        dz = d.mean() / d.std(ddof=1)
        g = dz * math.exp(sp.gammaln((n - 1) / 2) - sp.gammaln((n - 2) / 2)) / math.sqrt((n - 1) / 2)
        asked.ask("paired", d, want=[r.statistic, n - 1, r.pvalue, ends.low, ends.high, dz, g])
    asked.compare()


def test_counts(asked, rng):
    for _ in range(200):
        n_a, n_b = (int(v) for v in 10 ** rng.uniform(0, 3.5, 2))
        a, b = rng.binomial(n_a, 0.8), rng.binomial(n_b, 0.75)
        asked.ask("fisher", n_a, a, n_b, b, want=st.fisher_exact([[a, n_a - a], [b, n_b - b]])[1])
        first, second = rng.poisson([6, 9])
        want = st.binomtest(int(first), int(first + second)).pvalue if first + second else 1
        asked.ask("mcnemar", 10, second, first, 20, want=want)
        if first + second:
            ends = st.binomtest(int(second), int(first + second)).proportion_ci(0.95, "exact")
            asked.ask("mcnemar", 10, second, first, 20, want=[None] * 4 + [ends.low - 0.5, ends.high - 0.5])
    asked.compare(tiny=1e-12)


def test_power(asked, rng):
    for n, scale, power in zip([2, 5, 20, 500], rng.uniform(0.1, 10, 4), [0.5, 0.8, 0.9, 0.99]):
        difference = scale * rng.uniform(0.1, 1)

        def power_of(m, size):
            df, shift = m - 1, size * math.sqrt(m) / scale
            t = st.t.ppf(0.975, df)
            return st.nct.sf(t, df, shift) + st.nct.cdf(-t, df, shift)

        asked.ask("power", scale, 1, 0.05, power, n, difference, want=power_of(n, difference))
    asked.compare(rel=0, tiny=1e-11)


def bca(data, statistic, paired):
    r = st.bootstrap(data, statistic, n_resamples=20000, paired=paired, vectorized=False, method="BCa",
                     random_state=3)
    return r.confidence_interval


def test_bca(asked, rng):
    """Of given resamples: what is random is left out, so both must agree to the last digits."""
    v = np.exp(rng.normal(0, 1, 40))
    resampled = np.sort(v[rng.integers(0, 40, (2000, 40))].mean(axis=1))
    left_out = (v.sum() - v) / 39
    u = left_out.mean() - left_out
    acceleration = (u ** 3).sum() / (6 * (u ** 2).sum() ** 1.5)
    z = st.norm.ppf((resampled < v.mean()).mean())
    ends = []
    for p in (0.025, 0.975):
        q = z + st.norm.ppf(p)
        ends.append(np.quantile(resampled, st.norm.cdf(z + q / (1 - acceleration * q))))
    asked.ask("bca", v.mean(), acceleration, resampled, want=ends)
    asked.compare()


def test_bootstrap(asked, rng):
    """Different random numbers: the ends differ by what 20,000 resamples leave to chance."""
    a = rng.lognormal(1, 0.5, 60)
    b = a * 1.1 + rng.normal(0, 0.3, 60)
    c = rng.lognormal(1.2, 0.7, 45)

    def relative(x, y):
        return (np.mean(y) - np.mean(x)) / abs(np.mean(x))

    asked.ask("boot_pairs", a, b, want=[*bca((b - a,), np.mean, False), *bca((a, b), relative, True)])
    asked.compare(rel=0, tiny=0.005)
    asked.ask("boot_two", a, c, want=[*bca((a, c), lambda x, y: np.mean(y) - np.mean(x), False),
                                      *bca((a, c), relative, False)])
    asked.compare(rel=0, tiny=0.04)


def test_adjust(asked, rng):
    for n in (1, 2, 10, 100):
        p = rng.random(n) ** 2
        order = np.argsort(p)
        want = np.empty(n)
        want[order] = np.minimum.accumulate((p[order] * n / np.arange(1, n + 1))[::-1])[::-1]
        asked.ask("adjust", p, want=want)
    asked.compare()
