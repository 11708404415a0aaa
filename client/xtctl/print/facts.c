#include "facts.h"

#include <inttypes.h>
#include <string.h>

#include "text.h"

static void put_microseconds(FILE *f, uint64_t us)
{
	if (us < 1000)
		fprintf(f, "%u µs", (unsigned)us);
	else if (us < 1000000)
		fprintf(f, "%.1f ms", (double)us / 1000);
	else
		fprintf(f, "%.1f s", (double)us / 1e6);
}

static void put_milliseconds(FILE *f, uint64_t ms)
{
	uint64_t s = ms / 1000;

	if (s < 60)
		fprintf(f, "%.1f s", (double)ms / 1000);
	else if (s < 3600)
		fprintf(f, "%" PRIu64 " min %" PRIu64 " s", s / 60, s % 60);
	else if (s < 86400)
		fprintf(f, "%" PRIu64 " h %" PRIu64 " min", s / 3600, s / 60 % 60);
	else
		fprintf(f, "%" PRIu64 " d %" PRIu64 " h", s / 86400, s / 3600 % 24);
}

static void put_number(FILE *f, enum fact_unit unit, uint64_t n)
{
	char count[COUNT_BYTES];

	switch (unit) {
	case FACT_PLAIN:
		fprintf(f, "%" PRIu64, n);
		break;
	case FACT_COUNT:
		fputs(text_count(count, n), f);
		break;
	case FACT_BYTES:
		fputs(text_bytes(count, n), f);
		break;
	case FACT_BOUND:
		fputs(n == 0 ? "none" : text_bytes(count, n), f);
		break;
	case FACT_MICROSECONDS:
		put_microseconds(f, n);
		break;
	case FACT_MILLISECONDS:
		put_milliseconds(f, n);
		break;
	case FACT_AGE:
		if (n == 0)
			fputs("never", f);
		else
			put_milliseconds(f, n);
		break;
	}
}

void fact_print(FILE *f, const char *label, enum fact_unit unit, const xt_value *v)
{
	fact_print_at(f, FACT_LABEL, label, unit, v);
}

void fact_print_at(FILE *f, size_t columns, const char *label, enum fact_unit unit, const xt_value *v)
{
	size_t width = text_put(f, label, strlen(label), SIZE_MAX);

	do
		fputc(' ', f);
	while (++width <= columns);
	if (v->type == XT_T_UINT)
		put_number(f, unit, v->as.uinteger);
	else if (v->type == XT_T_INT && v->as.integer >= 0)
		put_number(f, unit, (uint64_t)v->as.integer);
	else if (v->type == XT_T_TEXT)
		text_put(f, v->as.text, v->n, SIZE_MAX);
	else if (v->type == XT_T_BLOB)
		hex_put(f, v->as.blob, v->n, SIZE_MAX);
	else
		json_print(f, v);
	fputc('\n', f);
}

void facts_print(FILE *f, const struct fact *facts, size_t n, const xt_cursor *cursor, const xt_value *row,
		 bool brief)
{
	size_t columns = xt_cursor_columns(cursor);

	for (size_t k = 0; k < n; k++)
		for (size_t i = 0; i < columns; i++)
			if (strcmp(facts[k].field, xt_cursor_name(cursor, i)) == 0 &&
			    row[i].type != XT_T_NULL && (facts[k].brief || !brief))
				fact_print(f, facts[k].label, facts[k].unit, &row[i]);
	for (size_t i = 0; i < columns && !brief; i++) {
		size_t k = 0;
		while (k < n && strcmp(facts[k].field, xt_cursor_name(cursor, i)) != 0)
			k++;
		if (k == n)
			fact_print(f, xt_cursor_name(cursor, i), FACT_PLAIN, &row[i]);
	}
}
