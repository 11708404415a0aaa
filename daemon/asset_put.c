#include "asset_put.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <zstd.h>

#include "disk.h"

#define LEVEL	3
#define OUT	32768
#define LOOK_AT (4u << 20) /* bytes written between two looks at the disk */

struct asset_put {
	crypto_generichash_state hash; /* of what came; wants its alignment */
	struct assets *assets;	       /* borrowed */
	ZSTD_CCtx *zstd;	       /* owned; NULL once it is whole */
	bool expects;		       /* a certain hash: */
	uint8_t expected[XT_ASSET_HASH];
	struct asset what; /* size and stored so far; the hash when it is whole */
	struct buf small;  /* owned: compressed, as long as it is not too large */
	int fd;		   /* then: the file at `part`; -1: none */
	char part[PATH_MAX + 100];
	uint64_t look_at; /* bytes written at which to look at the disk again */
	bool whole;	  /* and held */
};

/* ---- begin and end ---------------------------------------------------- */

struct asset_put *asset_put_new(struct assets *a, struct span expected, struct xt_err *err)
{
	struct asset_put *p = aligned_alloc(alignof(struct asset_put), sizeof(*p));

	if (p) {
		memset(p, 0, sizeof(*p));
		p->assets = a;
		p->fd = -1;
		p->zstd = ZSTD_createCCtx();
		crypto_generichash_init(&p->hash, NULL, 0, XT_ASSET_HASH);
	}
	if (!p || !p->zstd) {
		xt_err_set(err, XT_E_busy, NULL, "the daemon is out of memory; try again");
		asset_put_free(p);
		return NULL;
	}
	ZSTD_CCtx_setParameter(p->zstd, ZSTD_c_compressionLevel, LEVEL);
	ZSTD_CCtx_setParameter(p->zstd, ZSTD_c_windowLog, ASSET_WINDOW);
	p->expects = expected.len == XT_ASSET_HASH;
	if (p->expects)
		memcpy(p->expected, expected.data, XT_ASSET_HASH);
	return p;
}

void asset_put_free(struct asset_put *p)
{
	if (!p)
		return;
	if (p->fd >= 0)
		close(p->fd);
	if (p->part[0])
		unlink(p->part);
	if (p->whole)
		asset_let_go(p->assets, p->what.hash);
	ZSTD_freeCCtx(p->zstd);
	buf_done(&p->small);
	free(p);
}

uint64_t asset_put_size(const struct asset_put *p)
{
	return p->what.size;
}

const uint8_t *asset_put_hash(const struct asset_put *p)
{
	return p->whole ? p->what.hash : NULL;
}

/* ---- writing ---------------------------------------------------------- */

static int fail(const struct asset_put *p, int error, struct xt_err *err)
{
	bool full = error == ENOSPC || error == EDQUOT;

	return xt_err_set(err, full ? XT_E_disk_full : XT_E_file_error, NULL,
			  "cannot keep the asset in '%.250s': %s; nothing of it is left", p->assets->dir,
			  full ? "the disk is full" : strerror(error));
}

static int open_part(struct asset_put *p, struct xt_err *err)
{
	uint64_t random;

	if (assets_make_dirs(p->assets, err) < 0)
		return -1;
	randombytes_buf(&random, sizeof(random));
	snprintf(p->part, sizeof(p->part), "%s/limbo/%016llx.part", p->assets->dir,
		 (unsigned long long)random);
	p->fd = open(p->part, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (p->fd >= 0)
		return 0;
	p->part[0] = '\0'; /* not ours to remove */
	return fail(p, errno, err);
}

static int write_out(struct asset_put *p, const uint8_t *data, size_t n, struct xt_err *err)
{
	if (p->what.stored >= p->look_at) {
		if (!disk_has_room(p->assets->dir))
			return fail(p, ENOSPC, err);
		p->look_at = p->what.stored + LOOK_AT;
		/* Out to the disk as it comes: at the end there is little to wait for. */
		sync_file_range(p->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
	}
	while (n > 0) {
		ssize_t w = write(p->fd, data, n);
		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			return fail(p, w < 0 ? errno : EIO, err);
		data += w;
		n -= (size_t)w;
	}
	return 0;
}

/* Compressed bytes: kept as long as they are few. */
static int put_out(struct asset_put *p, const uint8_t *data, size_t n, struct xt_err *err)
{
	p->what.stored += n;
	if (p->fd < 0 && p->what.stored <= ASSET_INLINE) {
		buf_add(&p->small, data, n);
		return buf_failed(&p->small)
			       ? xt_err_set(err, XT_E_busy, NULL, "the daemon is out of memory; try again")
			       : 0;
	}
	if (p->fd < 0) {
		if (open_part(p, err) < 0 || write_out(p, p->small.data, p->small.len, err) < 0)
			return -1;
		buf_done(&p->small);
	}
	return write_out(p, data, n, err);
}

/* ---- pieces ----------------------------------------------------------- */

static int finish(struct asset_put *p, struct xt_err *err)
{
	char hex[ASSET_HEX];

	crypto_generichash_final(&p->hash, p->what.hash, XT_ASSET_HASH);
	if (p->expects && memcmp(p->what.hash, p->expected, XT_ASSET_HASH) != 0)
		return xt_err_set(err, XT_E_wrong_hash, "data",
				  "the %llu bytes that came have not the hash %s, but another; they changed "
				  "while they were read",
				  (unsigned long long)p->what.size, asset_hex(p->expected, hex));
	p->what.file = p->fd >= 0;
	if (p->fd >= 0) {
		if (fsync(p->fd) < 0)
			return fail(p, errno, err);
		close(p->fd);
		p->fd = -1;
	}
	if (asset_hold(p->assets, &p->what, &p->small, p->part, err) < 0)
		return -1;
	p->part[0] = '\0';
	p->whole = true;
	buf_done(&p->small);
	ZSTD_freeCCtx(p->zstd);
	p->zstd = NULL;
	return 0;
}

int asset_put_add(struct asset_put *p, struct span data, bool last, struct xt_err *err)
{
	ZSTD_inBuffer in = {.src = data.data ? data.data : (const uint8_t *)"", .size = data.len};
	uint8_t out[OUT];
	size_t left = 0;

	if (p->whole)
		return xt_err_set(err, XT_E_out_of_range, "cursor", "the upload has come to its end already");
	crypto_generichash_update(&p->hash, in.src, in.size);
	p->what.size += data.len;
	do {
		ZSTD_outBuffer o = {.dst = out, .size = sizeof(out)};
		left = ZSTD_compressStream2(p->zstd, &o, &in, last ? ZSTD_e_end : ZSTD_e_continue);
		if (ZSTD_isError(left))
			return xt_err_set(err, XT_E_busy, NULL, "cannot compress the asset: %s",
					  ZSTD_getErrorName(left));
		if (put_out(p, out, o.pos, err) < 0)
			return -1;
	} while (in.pos < in.size || (last && left > 0));
	return last ? finish(p, err) : 0;
}
