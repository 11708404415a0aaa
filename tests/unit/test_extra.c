/* Fields that are added to rows: to maps, to arrays with names, and not where they do not belong. */
#include "unit.h"

#include "extra.h"

/* What becomes of columns and rows with x = 1 and y = [2, 3]. */
static void adds(struct span columns, struct span rows, struct span want_columns, struct span want_rows)
{
	struct extra x = {0};
	struct buf out = {0};

	extra_add(&x, BYTES("\xa1x\x01"));
	extra_add(&x, BYTES("\xa1y\x92\x02\x03"));
	assert_int_equal(x.n, 2);
	extra_put(&x, &columns, &rows, &out);
	assert_span_equal(columns, want_columns);
	assert_span_equal(rows, want_rows);
	buf_done(&out);
}

static void maps(void **state)
{
	static const struct span none;

	(void)state;
	adds(none, BYTES("\x92\x81\xa1\x61\x05\x80"), none,
	     BYTES("\x92\x83\xa1\x61\x05\xa1x\x01\xa1y\x92\x02\x03\x82\xa1x\x01\xa1y\x92\x02\x03"));
	adds(none, BYTES("\x91\x82\xa1y\x80\xa1z\x81\xa1x\x01"), none,
	     BYTES("\x91\x83\xa1y\x80\xa1z\x81\xa1x\x01\xa1x\x01")); /* its own y stays; the inner x is none
								      */
	adds(none, BYTES("\x91\x82\xa1x\xc0\xa1y\xc0"), none, BYTES("\x91\x82\xa1x\xc0\xa1y\xc0"));
	adds(none, BYTES("\x90"), none, BYTES("\x90"));
}

static void arrays(void **state)
{
	(void)state;
	adds(BYTES("\x91\xa1\x61"), BYTES("\x92\x91\x05\x91\x06"), BYTES("\x93\xa1\x61\xa1x\xa1y"),
	     BYTES("\x92\x93\x05\x01\x92\x02\x03\x93\x06\x01\x92\x02\x03"));
	adds(BYTES("\x92\xa1y\xa1\x61"), BYTES("\x91\x92\x05\x06"), BYTES("\x93\xa1y\xa1\x61\xa1x"),
	     BYTES("\x91\x93\x05\x06\x01"));
}

/* Rows that are rejected are so with the fields as well. */
static void no_rows(void **state)
{
	static const struct span none;

	(void)state;
	adds(none, BYTES("\x93\x05\x91\x01\xc0"), none, BYTES("\x93\x05\x91\x01\xc0"));
	adds(BYTES("\x91\xa1\x61"), BYTES("\x93\x93\x01\x02\x03\x90\x80"), BYTES("\x93\xa1\x61\xa1x\xa1y"),
	     BYTES("\x93\xc0\xc0\xc0"));
	adds(BYTES("\x91\x05"), BYTES("\x91\x91\x01"), BYTES("\x91\x05"), BYTES("\x91\x91\x01"));
	adds(BYTES("\x90"), BYTES("\x91\x90"), BYTES("\x90"), BYTES("\x91\x90"));
}

/* As many keys as a row may have, or one less than would do. */
static void full_rows(void **state)
{
	static const struct span none;
	struct buf row = {0};

	(void)state;
	buf_add(&row, "\x91\xde\x07\xcf", 4); /* 1,999 pairs */
	for (int i = 0; i < 1999; i++)
		buf_printf(&row, "\xa4%04d%c", i, 5);
	adds(none, buf_span(&row), none, buf_span(&row));
	buf_done(&row);
}

static void more_than_there_is_room_for(void **state)
{
	struct extra x = {0};

	(void)state;
	for (int i = 0; i < EXTRA_MAX + 2; i++)
		extra_add(&x, BYTES("\xa1z\x01"));
	assert_int_equal(x.n, EXTRA_MAX);
	struct extra nothing = {0};
	extra_add(&nothing, span_of(NULL, 0));
	extra_add(&nothing, BYTES("\x01\x02"));
	assert_int_equal(nothing.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(maps),
		cmocka_unit_test(arrays),
		cmocka_unit_test(no_rows),
		cmocka_unit_test(full_rows),
		cmocka_unit_test(more_than_there_is_room_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
