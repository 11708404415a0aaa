/* Batches of rows: what is put comes out in a chunk, here one of our own in place of DuckDB's. */
#include "unit.h"

#include "duck_batch.h"
#include "duck_rows.h"

#define ROWS	200
#define COLUMNS 5

/* A vector, which owns one text at most as DuckDB's own many. */
struct vector {
	struct duck_string data[ROWS]; /* the widest there is */
	uint64_t validity[(ROWS + 63) / 64];
	bool writable;
	char *texts[ROWS + 1];
	size_t n; /* of texts, so many calls made them */
};

static struct {
	struct vector vectors[COLUMNS];
	duck_count rows;
	const char *refused; /* a text with this in it is not valid; NULL: all are */
} chunk;

static void *get_data(duck_handle v)
{
	return ((struct vector *)v)->data;
}

static uint64_t *get_validity(duck_handle v)
{
	return ((struct vector *)v)->writable ? ((struct vector *)v)->validity : NULL;
}

static void ensure_validity(duck_handle v)
{
	if (!((struct vector *)v)->writable)
		memset(((struct vector *)v)->validity, 0xff, sizeof(((struct vector *)v)->validity));
	((struct vector *)v)->writable = true;
}

static void assign(duck_handle h, duck_count row, const char *text, duck_count n)
{
	struct vector *v = h;

	if (chunk.refused && memmem(text, n, chunk.refused, strlen(chunk.refused))) {
		ensure_validity(v);
		v->validity[row / 64] &= ~(UINT64_C(1) << (row % 64));
		return;
	}
	assert_true(n > DUCK_IN_PLACE); /* shorter ones are written where they belong */
	char *copy = v->texts[v->n++] = malloc(n);
	assert_non_null(copy);
	memcpy(copy, text, n);
	v->data[row].length = (uint32_t)n;
	memcpy(v->data[row].start, text, sizeof(v->data[row].start));
	v->data[row].then.all = copy;
}

static duck_handle get_vector(duck_handle c, duck_count i)
{
	(void)c;
	return &chunk.vectors[i];
}

static void set_size(duck_handle c, duck_count n)
{
	(void)c;
	chunk.rows = n;
}

static const struct duck_api api = {
	.vector_get_data = get_data,
	.vector_get_validity = get_validity,
	.vector_ensure_validity_writable = ensure_validity,
	.vector_assign_string_element_len = assign,
	.data_chunk_get_vector = get_vector,
	.data_chunk_set_size = set_size,
};

static const enum duck_type types[COLUMNS] = {DUCK_VARCHAR, DUCK_BIGINT, DUCK_SQLNULL, DUCK_DOUBLE,
					      DUCK_BLOB};
static const size_t places[COLUMNS] = {0, 1, SIZE_MAX, 2, 3};

static void reset(void)
{
	for (size_t i = 0; i < COLUMNS; i++)
		for (size_t k = 0; k < chunk.vectors[i].n; k++)
			free(chunk.vectors[i].texts[k]);
	memset(&chunk, 0, sizeof(chunk));
}

static bool is_valid(const struct vector *v, size_t row)
{
	return !v->writable || (v->validity[row / 64] >> (row % 64) & 1);
}

static void is_text(const struct vector *v, size_t row, struct span want)
{
	const struct duck_string *s = &v->data[row];

	assert_true(is_valid(v, row));
	assert_int_equal(s->length, want.len);
	assert_memory_equal(s->start, want.data, want.len < 4 ? want.len : 4);
	assert_span_equal(span_of(want.len > DUCK_IN_PLACE ? s->then.all : s->start, want.len), want);
}

/* Texts of every length around the one from which they are long, and NULLs among all. */
static void fill(struct duck_batch *b, char texts[ROWS][48], size_t from)
{
	for (size_t i = 0; i < ROWS; i++) {
		int n = snprintf(texts[i], 48, "%.*s", (int)((from + i) % 40),
				 "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJ");
		if (n > 2)
			texts[i][2] = (char)('A' + (from + i) % 26);
		size_t column = 0;
		const xt_value row[] = {i % 7 == 3 ? xt_null() : xt_textn(texts[i], (size_t)n),
					i % 5 == 1 ? xt_null() : xt_int((int64_t)(from + i) * -1000000007),
					xt_real((double)(from + i) / 8),
					i % 11 == 0 ? xt_null() : xt_blob(texts[i], (size_t)n)};
		assert_int_equal(duck_batch_put(b, row, places, &column), 0);
	}
}

static void comes_out(char texts[ROWS][48], size_t from)
{
	assert_int_equal(chunk.rows, ROWS);
	for (size_t i = 0; i < ROWS; i++) {
		const void *numbers = chunk.vectors[1].data, *reals = chunk.vectors[3].data;
		assert_int_equal(is_valid(&chunk.vectors[0], i), i % 7 != 3);
		if (i % 7 != 3)
			is_text(&chunk.vectors[0], i, span_str(texts[i]));
		assert_int_equal(is_valid(&chunk.vectors[1], i), i % 5 != 1);
		if (i % 5 != 1)
			assert_true(((const int64_t *)numbers)[i] == (int64_t)(from + i) * -1000000007);
		assert_true(((const double *)reals)[i] == (double)(from + i) / 8);
		assert_int_equal(is_valid(&chunk.vectors[4], i), i % 11 != 0);
		if (i % 11 != 0)
			is_text(&chunk.vectors[4], i, span_str(texts[i]));
	}
}

static void all_comes_out_and_again(void **state)
{
	struct duck_batch *b = duck_batch_new(&api, types, COLUMNS, ROWS);
	static char texts[ROWS][48];

	(void)state;
	assert_non_null(b);
	for (size_t from = 0; from < 3 * ROWS; from += ROWS) {
		duck_batch_clear(b);
		assert_int_equal(duck_batch_rows(b), 0);
		assert_false(duck_batch_full(b));
		fill(b, texts, from);
		assert_true(duck_batch_full(b));
		duck_batch_give(b, NULL);
		comes_out(texts, from);
		assert_int_equal(chunk.vectors[0].n, 1); /* all long texts in one piece */
		assert_int_equal(chunk.vectors[2].n, 0);
		reset();
	}
	duck_batch_free(b);
}

/* Of a text that DuckDB does not take its neighbours know nothing. */
static void one_bad_text(void **state)
{
	struct duck_batch *b = duck_batch_new(&api, types, COLUMNS, ROWS);
	static char texts[ROWS][48];

	(void)state;
	assert_non_null(b);
	fill(b, texts, 0);
	chunk.refused = texts[20];
	duck_batch_give(b, NULL);
	for (size_t i = 0; i < ROWS; i++) {
		bool bad = strstr(texts[i], texts[20]) != NULL;
		assert_int_equal(is_valid(&chunk.vectors[0], i), i % 7 != 3 && !bad);
		if (i % 7 != 3 && !bad)
			is_text(&chunk.vectors[0], i, span_str(texts[i]));
	}
	assert_false(is_valid(&chunk.vectors[0], 20));
	reset();
	duck_batch_free(b);
}

static void values_become_texts(void **state)
{
	static const struct {
		xt_value value;
		const char *text;
	} cases[] = {{{XT_T_INT, {.integer = -5}, 0}, "-5"},
		     {{XT_T_UINT, {.uinteger = UINT64_MAX}, 0}, "18446744073709551615"},
		     {{XT_T_REAL, {.real = 0.1}, 0}, "0.1"},
		     {{XT_T_BOOL, {.boolean = true}, 0}, "true"},
		     {{XT_T_BOOL, {.boolean = false}, 0}, "false"},
		     {{XT_T_BLOB, {.blob = "\x00\xff\x10"}, 3}, "00ff10"},
		     {{XT_T_BLOB, {.blob = "0123456"}, 7}, "30313233343536"}};
	const enum duck_type text = DUCK_VARCHAR;
	const size_t place = 0;
	struct duck_batch *b = duck_batch_new(&api, &text, 1, ROWS);
	size_t column;

	(void)state;
	assert_non_null(b);
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_int_equal(duck_batch_has_hex(b, 0), i > 5);
		assert_int_equal(duck_batch_put(b, &cases[i].value, &place, &column), 0);
	}
	duck_batch_give(b, NULL);
	for (size_t i = 0; i < COUNT(cases); i++)
		is_text(&chunk.vectors[0], i, span_str(cases[i].text));
	reset();
	duck_batch_clear(b);
	assert_false(duck_batch_has_hex(b, 0));
	duck_batch_free(b);
}

static void what_does_not_fit(void **state)
{
	struct duck_batch *b = duck_batch_new(&api, types, COLUMNS, ROWS);
	const xt_value row[] = {xt_null(), xt_int(1), xt_text("one"), xt_null()};
	size_t column = 0;

	(void)state;
	assert_non_null(b);
	assert_int_equal(duck_batch_put(b, row, places, &column), 1);
	assert_int_equal(column, 3);
	assert_int_equal(duck_batch_rows(b), 0);
	duck_batch_free(b);
}

/* A few large texts fill it as many rows do. */
static void large_texts(void **state)
{
	const enum duck_type text = DUCK_VARCHAR;
	const size_t place = 0, n = 100000;
	struct duck_batch *b = duck_batch_new(&api, &text, 1, ROWS);
	char *large = calloc(1, n);
	size_t column, rows = 0;

	(void)state;
	assert_non_null(b);
	assert_non_null(large);
	for (; !duck_batch_full(b); rows++) {
		memset(large, (int)('a' + rows), n);
		const xt_value v = xt_textn(large, n);
		assert_int_equal(duck_batch_put(b, &v, &place, &column), 0);
	}
	assert_in_range(rows, 2, 20);
	duck_batch_give(b, NULL);
	for (size_t i = 0; i < rows; i++) {
		memset(large, (int)('a' + i), n);
		is_text(&chunk.vectors[0], i, span_of(large, n));
	}
	free(large);
	reset();
	duck_batch_free(b);
	duck_batch_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_comes_out_and_again),
		cmocka_unit_test(one_bad_text),
		cmocka_unit_test(values_become_texts),
		cmocka_unit_test(what_does_not_fit),
		cmocka_unit_test(large_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
