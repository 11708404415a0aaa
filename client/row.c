#include "client.h"

#include <stdlib.h>

#define STACK_FIELDS 64		/* rows this wide need no malloc */
#define BATCH_BYTES  (1u << 20) /* a message of many rows is cut about here */
#define SEND_WAIT_MS 1000	/* that a row may wait for room in the socket */
#define REPLAY_MS    20		/* that a row may wait for others that are in the spool */
#define READ_EVERY   64		/* rows between two looks for acknowledgements */
#define HEADS	     64		/* most bytes of a frame that are no row and not in run->head */

/* ---- keys ------------------------------------------------------------- */

struct key {
	const char *key;
	size_t len;
};

static int by_key(const void *a, const void *b)
{
	const struct key *x = a, *y = b;

	return x->len != y->len ? (x->len < y->len ? -1 : 1) : memcmp(x->key, y->key, x->len);
}

static int fail_twice(struct xt_client *c, const char *key)
{
	return client_fail(c, XT_EINVAL, "key '%.200s' occurs twice in the row", key);
}

/* Wide rows: sorting beats comparing each with each. */
static int check_wide(struct xt_client *c, const xt_field *fields, size_t n, const size_t *lens)
{
	struct key *keys = malloc(n * sizeof(*keys));
	int r = XT_OK;

	if (!keys)
		return client_fail(c, XT_ENOMEM, "out of memory");
	for (size_t i = 0; i < n; i++)
		keys[i] = (struct key){fields[i].key, lens[i]};
	qsort(keys, n, sizeof(*keys), by_key);
	for (size_t i = 1; i < n && r == XT_OK; i++)
		if (by_key(&keys[i - 1], &keys[i]) == 0)
			r = fail_twice(c, keys[i].key);
	free(keys);
	return r;
}

int row_check(struct xt_client *c, const xt_field *fields, size_t n, size_t *lens, size_t *bytes,
	      size_t *items, uint64_t *ret_bloom)
{
	uint64_t bloom = 0;

	for (size_t i = 0; i < n; i++) {
		const char *key = fields[i].key;
		if (!key)
			return client_fail(c, XT_EINVAL, "field %zu has a NULL key", i);
		size_t len = lens[i] = strlen(key), before = *items;
		uint64_t bit = key_bit(key, len);
		if ((bloom & bit) && n <= STACK_FIELDS)
			for (size_t j = 0; j < i; j++)
				if (lens[j] == len && memcmp(fields[j].key, key, len) == 0)
					return fail_twice(c, key);
		bloom |= bit;
		*bytes += 5 + len;
		*items += 1;
		const char *why = pack_measure(&fields[i].value, ROW_DEPTH, bytes, items);
		if (!why && *items - before > ROW_ITEMS)
			why = "has more than 65,000 items; store it as a blob";
		if (why)
			return client_fail(c, XT_EINVAL, "'%.200s' %s", key, why);
	}
	*ret_bloom = bloom;
	return n > STACK_FIELDS ? check_wide(c, fields, n, lens) : XT_OK;
}

static bool has_key(const xt_field *fields, const size_t *lens, size_t n, const struct param *p)
{
	for (size_t i = 0; i < n; i++)
		if (lens[i] == p->len && memcmp(fields[i].key, p->key, p->len) == 0)
			return true;
	return false;
}

/* ---- one row ---------------------------------------------------------- */

static uint8_t *begin(const struct xt_run *run, int64_t time_us, uint8_t *start)
{
	memcpy(start, run->head, run->head_len);
	put_be64(start + run->head_len - 8, (uint64_t)time_us);
	return start + run->head_len;
}

static void end(struct xt_client *c, const struct xt_run *run, uint8_t *start, const uint8_t *p, size_t rows)
{
	size_t size = (size_t)(p - start);

	put_be32(start, (uint32_t)(size - FRAME_HEADER));
	window_commit(c, size, rows, run->seq_off);
}

static uint8_t *put_params(uint8_t *p, const struct xt_run *run, const xt_field *fields, const size_t *lens,
			   size_t n, uint64_t bloom, size_t *count)
{
	if (!(bloom & run->bloom)) {
		if (run->params.len)
			memcpy(p, run->params.data, run->params.len);
		*count += run->n_params;
		return p + run->params.len;
	}
	for (size_t i = 0; i < run->n_params; i++) {
		const struct param *a = &run->param[i];
		if (has_key(fields, lens, n, a))
			continue;
		memcpy(p, run->params.data + a->at, a->end - a->at);
		p += a->end - a->at;
		*count += 1;
	}
	return p;
}

/* How many fields the row's map has: those of the row and the parameters it does not override. */
static size_t count_fields(const struct xt_run *run, const xt_field *fields, const size_t *lens, size_t n,
			   uint64_t bloom)
{
	size_t count = n + run->n_params;

	if (bloom & run->bloom)
		for (size_t i = 0; i < run->n_params; i++)
			count -= has_key(fields, lens, n, &run->param[i]);
	return count;
}

/* The socket is full, for the daemon takes no more at the moment. The caller may compute for long after
 * this row, so it waits, though not for ever: what is left goes with the next call. */
static void hand_over(struct xt_client *c)
{
	int64_t deadline = deadline_in(SEND_WAIT_MS);

	while (c->fd >= 0 && !c->mute && c->window.sent < c->window.bytes.len)
		if (pump_wait(c, deadline) != XT_OK)
			return;
}

/* Rows of the spool are still to be sent: every call gives them a little of its time. */
static void replay(struct xt_client *c)
{
	int64_t deadline = deadline_in(REPLAY_MS);

	while (c->spill.on && c->fd >= 0 && pump_wait(c, deadline) == XT_OK)
		window_send(c);
}

int row_push(struct xt_client *c)
{
	if (c->spill.on) { /* behind those that are in the file already */
		int r = spill_last(c);
		if (r != XT_OK)
			return r;
	}
	if (c->fd < 0 && !link_try(c)) {
		(void)!spill_begin(c); /* else the row waits in the window */
		return XT_OK;
	}
	window_send(c);
	if (++c->unread >= READ_EVERY || c->mute || window_size(&c->window) > c->opt.window_bytes / 4)
		pump_read(c);
	if (c->fd < 0)
		(void)!(link_try(c) || spill_begin(c)); /* the daemon has gone: the row must not wait here */
	if (c->spill.on)
		replay(c);
	else if (c->window.sent < c->window.bytes.len)
		hand_over(c);
	return XT_OK;
}

static int check_size(struct xt_client *c, size_t bytes, size_t items)
{
	if (bytes > XT_MAX_FRAME)
		return client_fail(c, XT_EINVAL, "the row has %zu bytes, a message holds %d", bytes,
				   XT_MAX_FRAME);
	if (items > ROW_ITEMS)
		return client_fail(c, XT_EINVAL, "the row has %zu items, a message holds %d", items,
				   ROW_ITEMS);
	return XT_OK;
}

static int log_row(struct xt_run *run, const xt_field *fields, size_t n, int64_t time_us, size_t *lens)
{
	struct xt_client *c = run->client;
	size_t bytes = run->head_len + run->params.len + HEADS, items = run->items, count = 0;
	uint64_t bloom;

	int r = row_check(c, fields, n, lens, &bytes, &items, &bloom);
	if (r == XT_OK)
		r = check_size(c, bytes, items);
	if (r == XT_OK)
		r = client_writable(c);
	if (r == XT_OK)
		r = window_room(c, bytes);
	if (r != XT_OK)
		return r;
	uint8_t *start = c->window.bytes.data + c->window.bytes.len, *p = begin(run, time_us, start);
	memcpy(p, "\xa4rows\x91", 6);
	p = put_map(p + 6, count_fields(run, fields, lens, n, bloom));
	for (size_t i = 0; i < n; i++) {
		p = put_str(p, fields[i].key, lens[i]);
		p = pack_value(p, &fields[i].value);
	}
	p = put_params(p, run, fields, lens, n, bloom, &count);
	end(c, run, start, p, 1);
	return row_push(c);
}

int xt_log_fields(xt_run *run, const xt_field *fields, size_t n_fields)
{
	return xt_log_fields_at(run, fields, n_fields, wall_us());
}

int xt_log_fields_at(xt_run *run, const xt_field *fields, size_t n_fields, int64_t time_us)
{
	size_t few[STACK_FIELDS], *lens = few;

	client_enter(run->client);
	if (n_fields > ROW_ITEMS)
		return client_leave(run->client,
				    client_fail(run->client, XT_EINVAL, "the row has %zu keys", n_fields));
	if (n_fields > STACK_FIELDS && !(lens = malloc(n_fields * sizeof(*lens))))
		return client_leave(run->client, client_fail(run->client, XT_ENOMEM, "out of memory"));
	int r = log_row(run, fields, n_fields, time_us, lens);
	if (lens != few)
		free(lens);
	return client_leave(run->client, r);
}

/* ---- many rows -------------------------------------------------------- */

struct batch {
	struct xt_run *run;
	const xt_field *fields; /* the columns, with null values */
	const size_t *lens;	/* of their keys */
	size_t n;		/* how many */
	size_t head_bytes;	/* of a frame without rows */
	size_t params_bytes;	/* parameters of one row */
	size_t n_params;	/* that the columns do not override */
	bool *used;		/* owned: which parameters those are */
};

/* Measures one row, as array. */
static int measure_row(const struct batch *b, const xt_value *row, size_t *bytes, size_t *items)
{
	struct xt_client *c = b->run->client;

	*bytes += 5 + b->params_bytes;
	*items += 1 + b->run->items;
	for (size_t i = 0; i < b->n; i++) {
		const char *why = pack_measure(&row[i], ROW_DEPTH, bytes, items);
		if (why)
			return client_fail(c, XT_EINVAL, "'%.200s' %s", b->fields[i].key, why);
	}
	return XT_OK;
}

/* How many of the rows one message takes, and its bytes. */
static int cut(const struct batch *b, const xt_value *values, size_t n_rows, size_t *ret_rows,
	       size_t *ret_bytes)
{
	size_t bytes = b->head_bytes, items = b->n + b->n_params + 32, rows = 0;

	while (rows < n_rows) {
		size_t row_bytes = 0, row_items = 0;
		int r = measure_row(b, values + rows * b->n, &row_bytes, &row_items);
		if (r == XT_OK)
			r = check_size(b->run->client, b->head_bytes + row_bytes, b->n + row_items);
		if (r != XT_OK)
			return r;
		if (rows > 0 && (bytes + row_bytes > BATCH_BYTES || items + row_items > ROW_ITEMS))
			break;
		bytes += row_bytes;
		items += row_items;
		rows++;
	}
	*ret_rows = rows;
	*ret_bytes = bytes;
	return XT_OK;
}

static uint8_t *put_rows(const struct batch *b, uint8_t *p, const xt_value *values, size_t n_rows)
{
	const struct xt_run *run = b->run;

	memcpy(p,
	       "\xa7"
	       "columns",
	       8);
	p = put_array(p + 8, b->n + b->n_params);
	for (size_t i = 0; i < b->n; i++)
		p = put_str(p, b->fields[i].key, b->lens[i]);
	for (size_t i = 0; i < run->n_params; i++)
		if (b->used[i])
			p = put_str(p, run->param[i].key, run->param[i].len);
	memcpy(p, "\xa4rows", 5);
	p = put_array(p + 5, n_rows);
	for (; n_rows > 0; n_rows--, values += b->n) {
		p = put_array(p, b->n + b->n_params);
		for (size_t i = 0; i < b->n; i++)
			p = pack_value(p, &values[i]);
		for (size_t i = 0; i < run->n_params; i++) {
			const struct param *a = &run->param[i];
			if (!b->used[i])
				continue;
			memcpy(p, run->params.data + a->value, a->end - a->value);
			p += a->end - a->value;
		}
	}
	return p;
}

/* *at_row: rows that are logged already, and then those that are. */
static int log_batch(const struct batch *b, const xt_value *values, size_t n_rows, size_t *at_row)
{
	struct xt_client *c = b->run->client;
	size_t rows, bytes;
	int r = XT_OK;

	for (size_t at = *at_row; at < n_rows; at += rows) /* all or nothing, as far as arguments go */
		if ((r = cut(b, values + at * b->n, n_rows - at, &rows, &bytes)) != XT_OK)
			return r;
	for (size_t at = *at_row; at < n_rows; at += rows, *at_row = at) {
		r = cut(b, values + at * b->n, n_rows - at, &rows, &bytes);
		if (r == XT_OK)
			r = window_room(c, bytes);
		if (r != XT_OK)
			return r;
		uint8_t *start = c->window.bytes.data + c->window.bytes.len,
			*p = begin(b->run, wall_us(), start);
		start[b->run->map_off]++; /* `columns` as well */
		p = put_rows(b, p, values + at * b->n, rows);
		end(c, b->run, start, p, rows);
		r = row_push(c);
		if (r != XT_OK)
			return r;
	}
	return XT_OK;
}

static int prepare_batch(struct batch *b, size_t *lens)
{
	struct xt_run *run = b->run;
	size_t bytes = run->head_len + HEADS, items = 0;
	uint64_t bloom;

	int r = row_check(run->client, b->fields, b->n, lens, &bytes, &items, &bloom);
	for (size_t i = 0; i < run->n_params && r == XT_OK; i++) {
		b->used[i] = !has_key(b->fields, lens, b->n, &run->param[i]);
		if (!b->used[i])
			continue;
		b->n_params++;
		b->params_bytes += run->param[i].end - run->param[i].value;
		bytes += 5 + run->param[i].len;
	}
	b->head_bytes = bytes;
	return r;
}

int xt_log_rows_from(xt_run *run, const char *const *columns, size_t n_columns, const xt_value *values,
		     size_t n_rows, size_t *at_row)
{
	struct xt_client *c = run->client;

	client_enter(c);
	if (n_columns == 0 || n_columns > XT_MAX_COLUMNS)
		return client_leave(c, client_fail(c, XT_EINVAL, "%zu columns, a table has 1 to %d",
						   n_columns, XT_MAX_COLUMNS));
	xt_field *fields = calloc(n_columns, sizeof(*fields));
	size_t *lens = calloc(n_columns, sizeof(*lens));
	struct batch b = {.run = run, .fields = fields, .lens = lens, .n = n_columns};
	b.used = calloc(run->n_params + 1, sizeof(*b.used));
	int r = XT_ENOMEM;
	if (fields && lens && b.used) {
		for (size_t i = 0; i < n_columns; i++)
			fields[i] = (xt_field){columns[i], {.type = XT_T_NULL}};
		r = client_writable(c);
		if (r == XT_OK)
			r = prepare_batch(&b, lens);
		if (r == XT_OK)
			r = log_batch(&b, values, n_rows, at_row);
	} else {
		client_fail(c, r, "out of memory");
	}
	free(fields);
	free(lens);
	free(b.used);
	return client_leave(c, r);
}

int xt_log_rows(xt_run *run, const char *const *columns, size_t n_columns, const xt_value *values,
		size_t n_rows)
{
	size_t at = 0;
	int r;

	do /* called again it would log those once more */
		r = xt_log_rows_from(run, columns, n_columns, values, n_rows, &at);
	while (r == XT_EINTR && at > 0);
	return r;
}
