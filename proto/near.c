#include "near.h"

#include <limits.h>
#include <string.h>

static unsigned least_of(unsigned a, unsigned b, unsigned c)
{
	unsigned least = a < b ? a : b;

	return least < c ? least : c;
}

/* Case of ASCII, which is all that SQLite's names know of it. */
static unsigned char lower(char c)
{
	return (unsigned char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

/* Levenshtein's distance. */
unsigned near_distance(const char *a, const char *b)
{
	unsigned row[NEAR_SIZE];
	size_t n = strlen(b);

	if (n >= NEAR_SIZE || strlen(a) >= NEAR_SIZE)
		return UINT_MAX;
	for (size_t j = 0; j <= n; j++)
		row[j] = (unsigned)j;
	for (unsigned i = 1; *a; a++, i++) {
		unsigned corner = row[0];
		row[0] = i;
		for (size_t j = 1; j <= n; j++) {
			unsigned above = row[j];
			row[j] = least_of(above + 1, row[j - 1] + 1, corner + (lower(*a) != lower(b[j - 1])));
			corner = above;
		}
	}
	return row[n];
}

void near_init(struct near *m, const char *word, size_t n)
{
	*m = (struct near){0};
	if (n >= sizeof(m->word))
		return;
	memcpy(m->word, word, n);
	/* One letter may be wrong, and one more of each four, three at most; something must be right. */
	m->distance = (unsigned)n / 4 + 2;
	if (m->distance > 4)
		m->distance = 4;
	if (m->distance > n)
		m->distance = (unsigned)n;
}

void near_try(struct near *m, const char *name)
{
	size_t n = strlen(name);

	if (!m->word[0] || n >= sizeof(m->found))
		return;
	unsigned d = near_distance(m->word, name);
	if (d >= m->distance)
		return;
	m->distance = d;
	memcpy(m->found, name, n + 1);
}
