#include "asset_get.h"

#include <errno.h>
#include <sodium.h>
#include <stdalign.h>
#include <stdlib.h>
#include <unistd.h>
#include <zstd.h>

#define IN 65536

struct asset_get {
	crypto_generichash_state state; /* of what was given so far; wants its alignment */
	struct assets *assets;		/* borrowed */
	uint8_t hash[XT_ASSET_HASH];
	uint64_t size, given; /* bytes: of all, given so far */
	ZSTD_DCtx *zstd;      /* owned */
	int fd;		      /* of its file; -1: all is in `data` */
	struct buf data;      /* owned: compressed bytes */
	ZSTD_inBuffer in;     /* of them */
	bool ended;	      /* the compressed frame is through */
};

/* ---- rows ------------------------------------------------------------- */

static int take_row(sqlite3_stmt *st, bool data, struct asset_row *ret)
{
	int n = sqlite3_column_bytes(st, 3);

	ret->size = (uint64_t)sqlite3_column_int64(st, 0);
	ret->stored = (uint64_t)sqlite3_column_int64(st, 1);
	ret->file = sqlite3_column_int(st, 2) != 0;
	if (!data || ret->file)
		return 1;
	const void *blob = sqlite3_column_blob(st, 3);
	if (blob)
		buf_add(&ret->data, blob, (size_t)n);
	if (!buf_failed(&ret->data) && (blob || n == 0))
		return 1;
	buf_done(&ret->data);
	return -1;
}

int asset_row(sqlite3 *db, const uint8_t *hash, bool data, struct asset_row *ret)
{
	sqlite3_stmt *st = NULL;
	int rc, r = -1;

	*ret = (struct asset_row){0};
	/* A file of an older xetrackd that is only read has no such table. */
	if (sqlite3_table_column_metadata(db, NULL, "xt_assets", NULL, NULL, NULL, NULL, NULL, NULL) !=
	    SQLITE_OK)
		return 0;
	rc = sqlite3_prepare_v3(
		db,
		"SELECT size, stored_size, file, CASE WHEN ?2 THEN data END FROM xt_assets WHERE hash = ?1",
		-1, 0, &st, NULL);
	if (rc == SQLITE_OK) {
		sqlite3_bind_blob(st, 1, hash, XT_ASSET_HASH, SQLITE_STATIC);
		sqlite3_bind_int(st, 2, data);
		rc = sqlite3_step(st);
		r = rc == SQLITE_ROW ? take_row(st, data, ret) : rc == SQLITE_DONE ? 0 : -1;
	}
	sqlite3_finalize(st);
	return r;
}

/* ---- open ------------------------------------------------------------- */

static int corrupt(struct asset_get *g, const char *why, struct xt_err *err)
{
	char hex[ASSET_HEX];

	asset_mark(g->assets, g->hash);
	return xt_err_set(err, XT_E_corrupt_asset, "hash",
			  "asset %s is damaged: %s; put it again from where it came, or delete it",
			  asset_hex(g->hash, hex), why);
}

static int open_file(struct asset_get *g, struct xt_err *err)
{
	struct xt_err why = {0};

	g->fd = asset_open(g->assets, g->hash, &why);
	if (g->fd < 0)
		return corrupt(g, why.message, err);
	if (buf_reserve(&g->data, IN) < 0)
		return xt_err_set(err, XT_E_busy, NULL, "the daemon is out of memory; try again");
	return 0;
}

struct asset_get *asset_get_new(struct assets *a, const uint8_t *hash, struct asset_row *row,
				struct xt_err *err)
{
	struct asset_get *g = aligned_alloc(alignof(struct asset_get), sizeof(*g));

	if (g) {
		memset(g, 0, sizeof(*g));
		g->assets = a;
		g->fd = -1;
		g->size = row->size;
		g->data = row->data;
		row->data = (struct buf){0};
		g->in = (ZSTD_inBuffer){.src = g->data.data, .size = g->data.len};
		memcpy(g->hash, hash, XT_ASSET_HASH);
		crypto_generichash_init(&g->state, NULL, 0, XT_ASSET_HASH);
		g->zstd = ZSTD_createDCtx();
	}
	if (!g || !g->zstd)
		xt_err_set(err, XT_E_busy, NULL, "the daemon is out of memory; try again");
	else if (!row->file || open_file(g, err) == 0)
		return g;
	asset_get_free(g);
	return NULL;
}

void asset_get_free(struct asset_get *g)
{
	if (!g)
		return;
	if (g->fd >= 0)
		close(g->fd);
	ZSTD_freeDCtx(g->zstd);
	buf_done(&g->data);
	free(g);
}

/* ---- pieces ----------------------------------------------------------- */

/* More compressed bytes, where all that were there are used. */
static int refill(struct asset_get *g, struct xt_err *err)
{
	ssize_t n = 0;

	if (g->in.pos < g->in.size)
		return 0;
	if (g->fd >= 0) {
		do
			n = read(g->fd, g->data.data, IN);
		while (n < 0 && errno == EINTR);
	}
	if (n < 0)
		return corrupt(g, strerror(errno), err);
	if (n == 0)
		return corrupt(g, "it is cut short", err);
	g->in = (ZSTD_inBuffer){.src = g->data.data, .size = (size_t)n};
	return 0;
}

/* Until the output is full or the compressed frame ends. */
static int decompress(struct asset_get *g, ZSTD_outBuffer *out, struct xt_err *err)
{
	while (!g->ended && out->pos < out->size) {
		if (refill(g, err) < 0)
			return -1;
		size_t r = ZSTD_decompressStream(g->zstd, out, &g->in);
		if (ZSTD_isError(r))
			return corrupt(g, ZSTD_getErrorName(r), err);
		g->ended = r == 0;
	}
	return 0;
}

/* All bytes were given: nothing may follow, and the hash must agree. */
static int check_end(struct asset_get *g, struct xt_err *err)
{
	uint8_t hash[XT_ASSET_HASH], more[1];
	ZSTD_outBuffer out = {.dst = more, .size = sizeof(more)};

	if (decompress(g, &out, err) < 0)
		return -1;
	if (out.pos > 0 || g->in.pos < g->in.size)
		return corrupt(g, "there is more than was put", err);
	crypto_generichash_final(&g->state, hash, XT_ASSET_HASH);
	return memcmp(hash, g->hash, XT_ASSET_HASH) == 0 ? 1
							 : corrupt(g, "its content has another hash", err);
}

int asset_get_read(struct asset_get *g, struct buf *out, struct xt_err *err)
{
	uint64_t left = g->size - g->given;
	size_t want = left < XT_ASSET_PIECE ? (size_t)left : XT_ASSET_PIECE;

	if (buf_reserve(out, want + 1) < 0)
		return xt_err_set(err, XT_E_busy, NULL, "the daemon is out of memory; try again");
	ZSTD_outBuffer o = {.dst = out->data + out->len, .size = want};
	if (decompress(g, &o, err) < 0)
		return -1;
	if (o.pos < want)
		return corrupt(g, "it is cut short", err);
	crypto_generichash_update(&g->state, out->data + out->len, want);
	out->len += want;
	g->given += want;
	return g->given < g->size ? 0 : check_end(g, err);
}
