#include "similar.h"

#define MAX_PARTS 32 /* of a name of 64 characters */

/* ---- names ------------------------------------------------------------ */

/* The character at *at, which moves on. */
static uint32_t next_char(struct span s, size_t *at)
{
	uint8_t first = s.data[(*at)++];
	unsigned more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : first >= 0xc0 ? 1 : 0;
	uint32_t c = more ? first & (0x3fu >> more) : first;

	for (; more > 0 && *at < s.len && (s.data[*at] & 0xc0) == 0x80; more--)
		c = c << 6 | (s.data[(*at)++] & 0x3fu);
	return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
}

void similar_of(struct similar *ret, struct span name)
{
	*ret = (struct similar){0};
	for (size_t at = 0; at < name.len && ret->n < SIMILAR_CHARS;) {
		uint32_t c = next_char(name, &at);
		ret->chars[ret->n++] = c;
		ret->bag[c % SIMILAR_BAGS]++;
	}
}

/* ---- common pieces ---------------------------------------------------- */

/* Pieces of two names that are still to be compared: from, to of each. */
struct range {
	unsigned a, a_end, b, b_end;
};

/* The longest piece that both ranges have; of equal ones the first of a, then of b. Its length. */
static unsigned longest(const struct similar *a, const struct similar *b, struct range r, unsigned *ret_a,
			unsigned *ret_b)
{
	uint8_t rows[2][SIMILAR_CHARS + 1] = {{0}}; /* length of what ends before a[i], b[j] */
	unsigned best = 0;

	for (unsigned i = r.a; i < r.a_end; i++) {
		const uint8_t *before = rows[i & 1];
		uint8_t *now = rows[(i + 1) & 1];
		now[r.b] = 0;
		for (unsigned j = r.b; j < r.b_end; j++) {
			now[j + 1] = (uint8_t)(a->chars[i] == b->chars[j] ? before[j] + 1 : 0);
			if (now[j + 1] > best) {
				best = now[j + 1];
				*ret_a = i + 1 - best;
				*ret_b = j + 1 - best;
			}
		}
	}
	return best;
}

double similar_ratio(const struct similar *a, const struct similar *b)
{
	struct range left[SIMILAR_CHARS + 1] = {{0, a->n, 0, b->n}};
	unsigned n = 1, common = 0, x = 0, y = 0;

	if (a->n + b->n == 0)
		return 1;
	/* Each turn takes one range out and finds a character at least for two new ones. */
	while (n > 0) {
		struct range r = left[--n];
		unsigned len = longest(a, b, r, &x, &y);
		common += len;
		if (len > 0 && x > r.a && y > r.b)
			left[n++] = (struct range){r.a, x, r.b, y};
		if (len > 0 && x + len < r.a_end && y + len < r.b_end)
			left[n++] = (struct range){x + len, r.a_end, y + len, r.b_end};
	}
	return 2.0 * common / (a->n + b->n);
}

/* No less than the ratio can be. */
static double upper_bound(const struct similar *a, const struct similar *b)
{
	unsigned common = 0;

	for (unsigned i = 0; i < SIMILAR_BAGS; i++)
		common += a->bag[i] < b->bag[i] ? a->bag[i] : b->bag[i];
	return a->n + b->n ? 2.0 * common / (a->n + b->n) : 1;
}

/* ---- abbreviations ---------------------------------------------------- */

struct part {
	const uint32_t *chars;
	unsigned n;
};

static unsigned split(const struct similar *s, struct part ret[MAX_PARTS])
{
	unsigned n = 0;

	for (unsigned i = 0, from = 0; i <= s->n && n < MAX_PARTS; i++) {
		if (i < s->n && s->chars[i] != '_')
			continue;
		if (i > from)
			ret[n++] = (struct part){s->chars + from, i - from};
		from = i + 1;
	}
	return n;
}

/* One word for one: the same, its beginning, or three and more of its letters from the first on: `cfg` for
 * config. */
static bool shortens(struct part p, struct part q)
{
	unsigned at = 0, alike = 0;

	if (p.n > q.n || p.chars[0] != q.chars[0])
		return false;
	while (alike < p.n && p.chars[alike] == q.chars[alike])
		alike++;
	for (unsigned i = 0; i < q.n && at < p.n; i++)
		at += p.chars[at] == q.chars[i];
	return alike == p.n || (at == p.n && p.n >= 3);
}

/* Lengths of p, as bits, that beginnings of the words before have filled; and q's beginnings behind them. */
static uint64_t extend(uint64_t filled, struct part p, struct part q)
{
	uint64_t ret = 0;

	for (unsigned at = 0; at < p.n; at++)
		for (unsigned len = 1; (filled >> at & 1) && len <= q.n && at + len <= p.n; len++) {
			if (p.chars[at + len - 1] != q.chars[len - 1])
				break;
			ret |= UINT64_C(1) << (at + len);
		}
	return ret;
}

/* All of p's parts, in order, stand for all of q's: a word for a word, or one for several by their
 * beginnings. */
static bool covers(const struct part *p, unsigned n_p, const struct part *q, unsigned n_q)
{
	bool ends[MAX_PARTS + 1][MAX_PARTS + 1] = {{false}}; /* the first i parts stand for the first j */

	ends[0][0] = true;
	for (unsigned i = 0; i < n_p; i++)
		for (unsigned j = 0; j < n_q; j++) {
			uint64_t filled = 1;
			if (!ends[i][j])
				continue;
			if (shortens(p[i], q[j]))
				ends[i + 1][j + 1] = true;
			for (unsigned k = j; k < n_q && filled && p[i].n < 64; k++) {
				filled = extend(filled, p[i], q[k]);
				if (k > j && (filled >> p[i].n & 1))
					ends[i + 1][k + 1] = true;
			}
		}
	return ends[n_p][n_q];
}

bool similar_abbreviates(const struct similar *a, const struct similar *b)
{
	const struct similar *longer = a->n < b->n ? b : a, *shorter = a->n < b->n ? a : b;
	struct part p[MAX_PARTS], q[MAX_PARTS];

	if (shorter->n < 2 || shorter->n == longer->n)
		return false;
	unsigned n_p = split(shorter, p), n_q = split(longer, q);
	return n_p > 0 && n_p <= n_q && covers(p, n_p, q, n_q);
}

/* ---- both ------------------------------------------------------------- */

double similar_names(const struct similar *a, const struct similar *b, unsigned *budget)
{
	bool abbreviates = a->n > 0 && b->n > 0 && a->chars[0] == b->chars[0];
	double ratio = upper_bound(a, b);

	/* What abbreviates begins alike, and has no character that the other lacks. */
	if (ratio < SIMILAR_ENOUGH && !abbreviates)
		return 0;
	if (budget && *budget == 0)
		return 0;
	if (budget)
		--*budget;
	abbreviates = abbreviates && similar_abbreviates(a, b);
	ratio = ratio < SIMILAR_ENOUGH ? 0 : similar_ratio(a, b);
	if (ratio < SIMILAR_ENOUGH && ratio > 0 && !abbreviates)
		ratio = similar_ratio(b, a); /* which piece is found first depends on the order */
	if (abbreviates && ratio < SIMILAR_ABBREVIATION)
		ratio = SIMILAR_ABBREVIATION;
	return ratio < SIMILAR_ENOUGH ? 0 : ratio;
}
