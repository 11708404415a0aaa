#include "real.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/*
 * A double is m * 2^-s. Multiplied by the power of ten that leaves 17 digits before the point it still fits
 * into 128 bits, so that all that follows is exact: what is left behind the point, the rounding to fewer
 * digits, and whether the result lies in the interval that reads back as the same double, which reaches half
 * of 2^-s to both sides.
 */
typedef unsigned __int128 wide;

#define LEAST	    1e-6
#define MOST	    1e15
#define LEAST_POINT (-6) /* of LEAST; with one digit more the value would not fit */
#define DIGITS	    17
#define LEAST_17    UINT64_C(10000000000000000) /* the least number of 17 digits */
#define FRACTION    52				/* bits of a double's fraction */
#define BIAS	    1023
#define MOST_POINTS 4 /* zeros behind the point before %g takes an exponent */

static const uint64_t tens[] = {
	UINT64_C(1),
	UINT64_C(10),
	UINT64_C(100),
	UINT64_C(1000),
	UINT64_C(10000),
	UINT64_C(100000),
	UINT64_C(1000000),
	UINT64_C(10000000),
	UINT64_C(100000000),
	UINT64_C(1000000000),
	UINT64_C(10000000000),
	UINT64_C(100000000000),
	UINT64_C(1000000000000),
	UINT64_C(10000000000000),
	UINT64_C(100000000000000),
	UINT64_C(1000000000000000),
	UINT64_C(10000000000000000),
	UINT64_C(100000000000000000),
	UINT64_C(1000000000000000000),
	UINT64_C(10000000000000000000),
};

/* 10^n, n up to 38. */
static wide ten_to(int n)
{
	return n < 20 ? (wide)tens[n] : (wide)tens[19] * tens[n - 19];
}

/* A double with its point moved so that 17 digits stand before it. */
struct scaled {
	wide value;	/* in units of 2^-shift */
	wide half;	/* twice the half width of what reads back as the same double, in the same units */
	uint64_t whole; /* value's whole part: 17 digits */
	bool part;	/* there is more behind the point */
	bool even;	/* the interval's ends read back as well */
	int shift;
	int point; /* value is the double times 10^(16 - point): the first digit's power of ten */
};

static bool scale(struct scaled *ret, uint64_t bits)
{
	int exponent = (int)(bits >> FRACTION) - BIAS;
	uint64_t fraction = bits & ((UINT64_C(1) << FRACTION) - 1), m = fraction | UINT64_C(1) << FRACTION;
	struct scaled s = {.shift = FRACTION - exponent, .even = m % 2 == 0};

	if (fraction == 0 && exponent < 0)
		return false; /* a power of two has a narrower side; the whole ones are exact all the same */
	/* log10(2) = 0.30103, rounded down, also below zero; where that is one too few it is seen. */
	s.point = exponent * 30103 / 100000 - (exponent < 0);
	if (s.point < LEAST_POINT)
		s.point = LEAST_POINT;
	for (;; s.point++) {
		s.value = m * ten_to(DIGITS - 1 - s.point);
		s.whole = (uint64_t)(s.value >> s.shift);
		if (s.whole < LEAST_17 * 10)
			break;
	}
	s.half = ten_to(DIGITS - 1 - s.point);
	s.part = s.value != (wide)s.whole << s.shift;
	*ret = s;
	return true;
}

/* `whole` rounded to a multiple of `unit`, halves to even digits. */
static uint64_t round_to(const struct scaled *s, uint64_t unit)
{
	uint64_t count = s->whole / unit, rest = s->whole % unit;
	bool up;

	if (unit == 1) {
		wide twice = (s->value - ((wide)s->whole << s->shift)) << 1, one = (wide)1 << s->shift;
		up = twice > one || (twice == one && count % 2 == 1);
	} else {
		up = rest > unit / 2 || (rest == unit / 2 && (s->part || count % 2 == 1));
	}
	return (count + up) * unit;
}

static bool reads_back(const struct scaled *s, uint64_t digits)
{
	wide there = (wide)digits << s->shift;
	wide apart = (there > s->value ? there - s->value : s->value - there) << 1;

	return apart < s->half || (apart == s->half && s->even);
}

static uint64_t shortest(const struct scaled *s)
{
	for (uint64_t unit = 100; unit > 1; unit /= 10) {
		uint64_t digits = round_to(s, unit);
		if (reads_back(s, digits))
			return digits;
	}
	return round_to(s, 1);
}

/* Writes d digits and a point; returns its length. */
static int put(char *to, uint64_t digits, int point)
{
	char text[DIGITS + 1], *p = to;
	int n = DIGITS;

	if (digits == LEAST_17 * 10) { /* rounded up to the next power */
		digits = LEAST_17;
		point++;
	}
	for (int i = DIGITS; i-- > 0; digits /= 10)
		text[i] = (char)('0' + digits % 10);
	while (n > 1 && text[n - 1] == '0')
		n--;
	if (point < -MOST_POINTS) {
		*p++ = text[0];
		if (n > 1)
			*p++ = '.';
		memcpy(p, text + 1, (size_t)n - 1);
		p += n - 1;
		memcpy(p, "e-0", 3);
		p[3] = (char)('0' - point);
		p += 4;
	} else if (point < 0) {
		memcpy(p, "0.0000", (size_t)(1 - point));
		p += 1 - point;
		memcpy(p, text, (size_t)n);
		p += n;
	} else {
		int before = point + 1;
		memcpy(p, text, (size_t)before); /* the zeros too, which were not cut off from `text` */
		p += before;
		*p++ = '.';
		if (n > before) {
			memcpy(p, text + before, (size_t)(n - before));
			p += n - before;
		} else {
			*p++ = '0';
		}
	}
	*p = '\0';
	return (int)(p - to);
}

int real_text(char ret[REAL_MOST], double d)
{
	struct scaled s;
	uint64_t bits;
	char *to = ret;

	memcpy(&bits, &d, sizeof(bits));
	bool minus = bits >> 63;
	bits &= ~(UINT64_C(1) << 63);
	if (bits == 0) {
		memcpy(ret, minus ? "-0.0" : "0.0", minus ? 5 : 4);
		return minus ? 4 : 3;
	}
	double size = minus ? -d : d;
	if (!(size >= LEAST && size < MOST) || !scale(&s, bits))
		return 0;
	if (minus)
		*to++ = '-';
	int n = (int)(to - ret) + put(to, shortest(&s), s.point);
	assert(n < REAL_MOST);
	return n;
}
