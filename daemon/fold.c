#include "fold.h"

#include <stdio.h>

#include "json.h"

#define SHOWN 100 /* bytes of a value in a warning */

bool fold_needed(const struct table *t, const struct span *keys, size_t n)
{
	bool seen[XT_MAX_COLUMNS] = {false};

	for (size_t i = 0; i < n; i++) {
		long column = table_column(t, keys[i]);
		if (column < 0 || column >= XT_MAX_COLUMNS)
			continue;
		if (seen[column])
			return true;
		seen[column] = true;
	}
	return false;
}

/* NULL, or what is stored as that. */
static bool is_null(struct span value)
{
	struct reader r = reader_of(value);
	struct token t;

	return reader_next(&r, &t) < 0 || t.type == TOKEN_NIL || (t.type == TOKEN_REAL && t.real != t.real);
}

static int split(const struct row_source *src, struct span row, size_t n, struct span *ret_values,
		 struct xt_err *err)
{
	struct reader r = reader_of(row);
	struct token head;

	if (reader_next(&r, &head) < 0 || (src->columns && (head.type != TOKEN_ARRAY || head.count != n))) {
		xt_err_set(err, XT_E_bad_type, "rows",
			   "a row must be an array of %zu values, as `columns` has names", n);
		return -1;
	}
	for (size_t i = 0; i < n; i++) {
		if (!src->columns)
			reader_skip(&r);
		ret_values[i] = reader_skip(&r);
	}
	return 0;
}

static void tell(struct row_source *src, const struct column *c, struct span key, struct span value)
{
	struct buf text = {0};
	struct reader r = reader_of(value);

	if (src->told_conflict)
		return;
	src->told_conflict = true;
	json_put(&text, &r);
	table_warn(&src->warnings, "alias_conflict", src->table, c->name,
		   "a row has two values for column '%s': that of '%.*s', which is its old name, was "
		   "dropped: %.*s%s",
		   c->name, (int)(key.len < SHOWN ? key.len : SHOWN), (const char *)key.data,
		   (int)(text.len < SHOWN ? text.len : SHOWN), text.data ? (const char *)text.data : "",
		   text.len > SHOWN ? "…" : "");
	buf_done(&text);
}

int fold_row(struct row_source *src, struct span row, const struct span *keys, size_t n, struct buf *out,
	     struct xt_err *err)
{
	const struct table *t = src->table;
	uint16_t winner[XT_MAX_COLUMNS] = {0}; /* of a column: index of its key, plus 1 */
	struct span values[XT_MAX_COLUMNS];
	msgpack_packer pk = wire_packer(out);
	uint32_t left = (uint32_t)n;

	if (split(src, row, n, values, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		long column = table_column(t, keys[i]);
		if (column < 0 || column >= XT_MAX_COLUMNS)
			continue;
		size_t other = winner[column];
		bool own = span_eq(keys[i], t->columns[column].key);
		left -= other > 0;
		if (other == 0 || (!is_null(values[i]) && (own || is_null(values[other - 1]))))
			winner[column] = (uint16_t)(i + 1);
	}
	msgpack_pack_map(&pk, left);
	for (size_t i = 0; i < n; i++) {
		long column = table_column(t, keys[i]);
		size_t best = column >= 0 && column < XT_MAX_COLUMNS ? winner[column] - 1u : i;
		if (best == i) {
			msgpack_pack_str(&pk, keys[i].len);
			msgpack_pack_str_body(&pk, keys[i].data, keys[i].len);
			buf_add(out, values[i].data, values[i].len);
		} else if (!is_null(values[i]) && !span_eq(values[i], values[best])) {
			tell(src, &t->columns[column], keys[i], values[i]);
		}
	}
	return buf_failed(out) ? xt_err_set(err, XT_E_busy, NULL, "the daemon is out of memory; try again")
			       : 0;
}
