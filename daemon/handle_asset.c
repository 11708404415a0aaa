/* asset_put, asset_chunk, asset_get, asset_read: content in and out, on a thread of the query pool. */
#include "asset_get.h"
#include "asset_put.h"
#include "handle.h"
#include "reader.h"

#define TRIES 3 /* to find a file that is on its way from one place to the other */

static int wrong_cursor(uint64_t id, const char * not, struct xt_err *err)
{
	return xt_err_set(err, XT_E_bad_type, "cursor", "%llu is no %s of an asset", (unsigned long long)id,
			  not );
}

static int no_such_asset(const uint8_t *hash, struct xt_err *err)
{
	char hex[ASSET_HEX];

	return xt_err_set(err, XT_E_no_such_asset, "hash", "there is no asset %s", asset_hex(hash, hex));
}

static int look_up(struct cursor *c, const uint8_t *hash, bool data, struct asset_row *ret,
		   struct xt_err *err)
{
	int r = asset_row(c->db->db, hash, data, ret);

	return r < 0 ? guard_fail(&c->db->guard, c->db->db, err) : r;
}

/* ---- in --------------------------------------------------------------- */

int handle_asset_put(struct cursor *c, const struct params_asset_put *p, struct result_asset_put *ret,
		     struct xt_err *err)
{
	struct span hash = HAS_PARAM(p, asset_put, hash) ? p->hash : span_of(NULL, 0);
	struct asset_row row = {0};

	int r = hash.len ? look_up(c, hash.data, false, &row, err) : 0;
	if (r < 0)
		return -1;
	ret->known = r > 0 && !asset_is_marked(c->assets, hash.data) &&
		     (!row.file || asset_is_there(c->assets, hash.data, row.stored));
	if (ret->known)
		return 0;
	c->put = asset_put_new(c->assets, hash, err);
	return c->put ? 0 : -1;
}

int handle_asset_chunk(struct cursor *c, const struct params_asset_chunk *p, struct result_asset_chunk *ret,
		       struct xt_err *err)
{
	if (!c->put)
		return wrong_cursor(p->cursor, "upload", err);
	if (asset_put_add(c->put, p->data, HAS_PARAM(p, asset_chunk, last) && p->last, err) < 0)
		return -1;
	ret->size = asset_put_size(c->put);
	const uint8_t *hash = asset_put_hash(c->put);
	if (hash) {
		ret->has |= RESULT_BIT(asset_chunk, hash);
		ret->hash = span_of(hash, XT_ASSET_HASH);
	}
	return 0;
}

/* ---- out -------------------------------------------------------------- */

/* A file that is missing may be that of an asset which was deleted since its row was read. */
int handle_asset_get(struct cursor *c, const struct params_asset_get *p, struct result_asset_get *ret,
		     struct xt_err *err)
{
	for (int i = 0; i < TRIES && !c->get; i++) {
		struct asset_row row;
		int r = look_up(c, p->hash.data, true, &row, err);
		if (r <= 0)
			return r < 0 ? -1 : no_such_asset(p->hash.data, err);
		ret->size = row.size;
		c->get = asset_get_new(c->assets, p->hash.data, &row, err);
		buf_done(&row.data);
	}
	return c->get ? 0 : -1;
}

int handle_asset_read(struct cursor *c, const struct params_asset_read *p, struct result_asset_read *ret,
		      struct xt_err *err)
{
	if (!c->get)
		return wrong_cursor(p->cursor, "download", err);
	int r = asset_get_read(c->get, &c->rows, err);
	if (r < 0)
		return -1;
	ret->data = buf_span(&c->rows);
	ret->done = r == 1;
	if (ret->done) {
		asset_get_free(c->get);
		c->get = NULL; /* which closes the cursor */
	}
	return 0;
}
