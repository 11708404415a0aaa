#include "duck_batch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "buf.h"
#include "text.h"

#define MOST_TEXT 393216 /* bytes of long texts, after which a batch is full */

struct column {
	enum duck_type type;
	uint8_t *data;	    /* owned: a value of the type for each row; NULL: nobody needs it */
	uint64_t *validity; /* owned: a bit for each row, set where it is not NULL */
	bool nulls;	    /* some are not set */
	bool hex;	    /* blobs came among the texts */
	struct buf texts;   /* those that are too long for `data`, which has their places in it */
};

struct duck_batch {
	const struct duck_api *api; /* borrowed */
	size_t n, most, rows;	    /* columns; rows that it can have, and has */
	size_t text;		    /* bytes of long texts in all columns */
	struct column columns[];
};

/* ---- life ------------------------------------------------------------- */

static bool is_string(enum duck_type type)
{
	return type == DUCK_VARCHAR || type == DUCK_BLOB;
}

size_t duck_batch_width(enum duck_type type)
{
	return type == DUCK_BOOLEAN ? sizeof(bool)
	       : is_string(type)    ? sizeof(struct duck_string)
				    : sizeof(int64_t);
}

static size_t words(size_t rows)
{
	return (rows + 63) / 64;
}

struct duck_batch *duck_batch_new(const struct duck_api *api, const enum duck_type *types, size_t n,
				  size_t rows)
{
	struct duck_batch *b = calloc(1, sizeof(*b) + n * sizeof(b->columns[0]));

	if (!b)
		return NULL;
	*b = (struct duck_batch){.api = api, .n = n, .most = rows};
	for (size_t i = 0; i < n; i++) {
		struct column *c = &b->columns[i];
		c->type = types[i];
		if (c->type == DUCK_SQLNULL)
			continue;
		c->data = calloc(rows, duck_batch_width(c->type));
		c->validity = malloc(words(rows) * sizeof(*c->validity));
		if (!c->data || !c->validity) {
			duck_batch_free(b);
			return NULL;
		}
		memset(c->validity, 0xff, words(rows) * sizeof(*c->validity));
	}
	return b;
}

void duck_batch_free(struct duck_batch *b)
{
	if (!b)
		return;
	for (size_t i = 0; i < b->n; i++) {
		free(b->columns[i].data);
		free(b->columns[i].validity);
		buf_done(&b->columns[i].texts);
	}
	free(b);
}

void duck_batch_clear(struct duck_batch *b)
{
	for (size_t i = 0; i < b->n; i++) {
		struct column *c = &b->columns[i];
		if (c->nulls)
			memset(c->validity, 0xff, words(b->rows) * sizeof(*c->validity));
		c->nulls = c->hex = false;
		buf_clear(&c->texts);
	}
	b->rows = b->text = 0;
}

size_t duck_batch_rows(const struct duck_batch *b)
{
	return b->rows;
}

bool duck_batch_full(const struct duck_batch *b)
{
	return b->rows == b->most || b->text >= MOST_TEXT;
}

bool duck_batch_has_hex(const struct duck_batch *b, size_t i)
{
	return b->columns[i].hex;
}

/* ---- values ----------------------------------------------------------- */

static struct duck_string *strings(const struct column *c)
{
	return (struct duck_string *)(void *)c->data;
}

static void put_null(struct column *c, size_t row)
{
	c->validity[row / 64] &= ~(UINT64_C(1) << (row % 64));
	c->nulls = true;
	if (is_string(c->type))
		strings(c)[row] = (struct duck_string){0};
}

/* Room for a text of n bytes; NULL: out of memory. A long one has its place among the texts in it, until it
 * is known where they lie. */
static char *text_room(struct column *c, size_t row, size_t n)
{
	struct duck_string *s = &strings(c)[row];

	*s = (struct duck_string){.length = (uint32_t)n};
	if (n <= DUCK_IN_PLACE)
		return (char *)s + offsetof(struct duck_string, start);
	uint8_t *p = buf_room(&c->texts, n);
	if (!p)
		return NULL;
	s->then.at = c->texts.len;
	c->texts.len += n;
	return (char *)p;
}

static int put_text(struct column *c, size_t row, const void *text, size_t n)
{
	char *p = text_room(c, row, n);

	if (!p)
		return -1;
	if (n > 0)
		memcpy(p, text, n);
	if (n > DUCK_IN_PLACE)
		memcpy(strings(c)[row].start, text, sizeof(strings(c)[row].start));
	return 0;
}

static int put_hex(struct column *c, size_t row, const xt_value *v)
{
	char *hex = malloc(2 * v->n + 1);
	FILE *f = hex ? fmemopen(hex, 2 * v->n + 1, "w") : NULL;

	if (!f) {
		free(hex);
		return -1;
	}
	hex_put(f, v->as.blob, v->n, SIZE_MAX);
	fclose(f);
	int r = put_text(c, row, hex, 2 * v->n);
	free(hex);
	c->hex = true;
	return r;
}

/* Into a column of text anything goes. -1: out of memory. */
static int put_as_text(struct column *c, size_t row, const xt_value *v)
{
	char number[REAL_BYTES];

	switch (v->type) {
	case XT_T_TEXT:
		return put_text(c, row, v->as.text, v->n);
	case XT_T_INT:
		return put_text(c, row, number, (size_t)text_int(number, v->as.integer));
	case XT_T_UINT:
		return put_text(c, row, number,
				(size_t)snprintf(number, sizeof(number), "%" PRIu64, v->as.uinteger));
	case XT_T_REAL:
		return put_text(c, row, number, (size_t)text_real(number, v->as.real));
	case XT_T_BLOB:
		return put_hex(c, row, v);
	default:
		return put_text(c, row, v->as.boolean ? "true" : "false", v->as.boolean ? 4 : 5);
	}
}

/* False: the column takes no such value. */
static bool put_number(struct column *c, size_t row, const xt_value *v)
{
	bool whole = v->type == XT_T_INT || (v->type == XT_T_UINT && v->as.uinteger <= INT64_MAX);
	void *data = c->data;

	if (c->type == DUCK_BIGINT && whole)
		((int64_t *)data)[row] = v->as.integer;
	else if (c->type == DUCK_DOUBLE && v->type == XT_T_REAL)
		((double *)data)[row] = v->as.real;
	else if (c->type == DUCK_DOUBLE && whole)
		((double *)data)[row] = (double)v->as.integer;
	else if (c->type == DUCK_BOOLEAN && whole && (uint64_t)v->as.integer <= 1)
		((bool *)data)[row] = v->as.integer == 1;
	else if (c->type == DUCK_BOOLEAN && v->type == XT_T_BOOL)
		((bool *)data)[row] = v->as.boolean;
	else
		return false;
	return true;
}

/* 0, 1: the column takes no such value, or -1 when out of memory. */
static int put(struct column *c, size_t row, const xt_value *v)
{
	if (v->type == XT_T_NULL) {
		put_null(c, row);
		return 0;
	}
	if (c->type == DUCK_VARCHAR)
		return put_as_text(c, row, v);
	if (c->type == DUCK_BLOB && v->type == XT_T_BLOB)
		return put_text(c, row, v->as.blob, v->n);
	return put_number(c, row, v) ? 0 : 1;
}

int duck_batch_put(struct duck_batch *b, const xt_value *row, const size_t *places, size_t *ret_column)
{
	size_t text = 0;

	for (size_t i = 0; i < b->n; i++) {
		struct column *c = &b->columns[i];
		int r = c->data ? put(c, b->rows, &row[places[i]]) : 0;
		if (r != 0) {
			*ret_column = i;
			return r;
		}
		text += c->texts.len;
	}
	b->text = text;
	b->rows++;
	return 0;
}

/* ---- handing over ----------------------------------------------------- */

static void give_validity(const struct duck_batch *b, const struct column *c, duck_handle vector)
{
	b->api->vector_ensure_validity_writable(vector);
	memcpy(b->api->vector_get_validity(vector), c->validity, words(b->rows) * sizeof(*c->validity));
}

/* A text that is not valid, which no daemon of today sends, becomes NULL, and not its neighbours with it. */
static void give_each(const struct duck_batch *b, const struct column *c, duck_handle vector)
{
	const struct duck_string *from = strings(c);
	const char *all = (const char *)c->texts.data;

	give_validity(b, c, vector); /* the first row lost its own by the attempt */
	for (size_t i = 0; i < b->rows; i++)
		if (from[i].length > DUCK_IN_PLACE)
			b->api->vector_assign_string_element_len(vector, i, all + from[i].then.at,
								 from[i].length);
}

/* All long texts of a column go to the vector in one piece, as if they were one text of it, which costs a
 * good part less than piece by piece; then each is told where in it its own lies. */
static void give_texts(const struct duck_batch *b, const struct column *c, duck_handle vector)
{
	const struct duck_string *from = strings(c);
	struct duck_string *to = b->api->vector_get_data(vector);

	to[0] = (struct duck_string){0};
	if (c->texts.len > 0)
		b->api->vector_assign_string_element_len(vector, 0, (const char *)c->texts.data,
							 c->texts.len);
	bool taken = to[0].length == c->texts.len;
	const char *all = to[0].then.all;
	memcpy(to, from, b->rows * sizeof(*to));
	if (!taken)
		give_each(b, c, vector);
	for (size_t i = 0; taken && c->texts.len > 0 && i < b->rows; i++)
		if (from[i].length > DUCK_IN_PLACE)
			to[i].then.all = all + from[i].then.at;
}

static void give_column(const struct duck_batch *b, const struct column *c, duck_handle vector)
{
	if (c->nulls)
		give_validity(b, c, vector);
	if (is_string(c->type))
		give_texts(b, c, vector);
	else
		memcpy(b->api->vector_get_data(vector), c->data, b->rows * duck_batch_width(c->type));
}

void duck_batch_give(const struct duck_batch *b, duck_handle chunk)
{
	for (size_t i = 0; i < b->n; i++)
		if (b->columns[i].data)
			give_column(b, &b->columns[i], b->api->data_chunk_get_vector(chunk, i));
	b->api->data_chunk_set_size(chunk, b->rows);
}
