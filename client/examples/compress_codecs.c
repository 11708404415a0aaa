#include "compress_codecs.h"

#include <bzlib.h>
#include <inttypes.h>
#include <lz4.h>
#include <lz4hc.h>
#include <lzma.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <zlib.h>
#include <zstd.h>

#define ENOUGH_S 0.0003 /* a measurement is repeated until it took so long */

/* ---- zlib ------------------------------------------------------------- */

static size_t zlib_bound(size_t n)
{
	return compressBound(n);
}

static size_t zlib_compress(void *out, size_t cap, const void *in, size_t n, int level,
			    const char **ret_error)
{
	uLongf len = cap;
	int r = compress2(out, &len, in, n, level);

	if (r == Z_OK)
		return len;
	*ret_error = zError(r);
	return 0;
}

static size_t zlib_decompress(void *out, size_t cap, const void *in, size_t n, const char **ret_error)
{
	uLongf len = cap;
	int r = uncompress(out, &len, in, n);

	if (r == Z_OK)
		return len;
	*ret_error = zError(r);
	return 0;
}

/* ---- zstd ------------------------------------------------------------- */

static size_t zstd_bound(size_t n)
{
	return ZSTD_compressBound(n);
}

static size_t zstd_result(size_t r, const char **ret_error)
{
	if (!ZSTD_isError(r))
		return r;
	*ret_error = ZSTD_getErrorName(r);
	return 0;
}

static size_t zstd_compress(void *out, size_t cap, const void *in, size_t n, int level,
			    const char **ret_error)
{
	return zstd_result(ZSTD_compress(out, cap, in, n, level), ret_error);
}

static size_t zstd_decompress(void *out, size_t cap, const void *in, size_t n, const char **ret_error)
{
	return zstd_result(ZSTD_decompress(out, cap, in, n), ret_error);
}

/* ---- lz4: its fast compressor is level 1, the others are lz4hc's ------- */

static size_t lz4_bound(size_t n)
{
	return (size_t)LZ4_compressBound((int)n);
}

static size_t lz4_compress(void *out, size_t cap, const void *in, size_t n, int level, const char **ret_error)
{
	int r = level <= 1 ? LZ4_compress_default(in, out, (int)n, (int)cap)
			   : LZ4_compress_HC(in, out, (int)n, (int)cap, level);

	if (r > 0)
		return (size_t)r;
	*ret_error = "lz4 cannot compress this";
	return 0;
}

static size_t lz4_decompress(void *out, size_t cap, const void *in, size_t n, const char **ret_error)
{
	int r = LZ4_decompress_safe(in, out, (int)n, (int)cap);

	if (r > 0)
		return (size_t)r;
	*ret_error = "lz4 finds the data malformed";
	return 0;
}

/* ---- bzip2 ------------------------------------------------------------ */

static const char *bzip2_error(int r)
{
	return r == BZ_MEM_ERROR      ? "out of memory"
	       : r == BZ_OUTBUFF_FULL ? "the output buffer is too small"
				      : "bzip2 finds the data malformed";
}

static size_t bzip2_bound(size_t n)
{
	return n + n / 100 + 600; /* as its manual says */
}

static size_t bzip2_compress(void *out, size_t cap, const void *in, size_t n, int level,
			     const char **ret_error)
{
	unsigned len = (unsigned)cap;
	/* The library declares its input as writable, and does not write to it. */
	int r = BZ2_bzBuffToBuffCompress(out, &len, (char *)(size_t)in, (unsigned)n, level, 0, 0);

	if (r == BZ_OK)
		return len;
	*ret_error = bzip2_error(r);
	return 0;
}

static size_t bzip2_decompress(void *out, size_t cap, const void *in, size_t n, const char **ret_error)
{
	unsigned len = (unsigned)cap;
	int r = BZ2_bzBuffToBuffDecompress(out, &len, (char *)(size_t)in, (unsigned)n, 0, 0);

	if (r == BZ_OK)
		return len;
	*ret_error = bzip2_error(r);
	return 0;
}

/* ---- xz --------------------------------------------------------------- */

static const char *xz_error(lzma_ret r)
{
	return r == LZMA_MEM_ERROR   ? "out of memory"
	       : r == LZMA_BUF_ERROR ? "the output buffer is too small"
				     : "xz finds the data malformed";
}

static size_t xz_bound(size_t n)
{
	return lzma_stream_buffer_bound(n);
}

/* The preset's dictionary is up to 64 MiB, whose tables would cost 700 MB in each worker: no larger
 * than the input gives the same bytes. */
static size_t xz_compress(void *out, size_t cap, const void *in, size_t n, int level, const char **ret_error)
{
	lzma_options_lzma options;
	lzma_filter filters[2] = {{LZMA_FILTER_LZMA2, &options}, {LZMA_VLI_UNKNOWN, NULL}};
	size_t len = 0;

	if (lzma_lzma_preset(&options, (uint32_t)level)) {
		*ret_error = "no such level";
		return 0;
	}
	if (options.dict_size > n)
		options.dict_size = n < LZMA_DICT_SIZE_MIN ? LZMA_DICT_SIZE_MIN : (uint32_t)n;
	lzma_ret r = lzma_stream_buffer_encode(filters, LZMA_CHECK_CRC64, NULL, in, n, out, &len, cap);
	if (r == LZMA_OK)
		return len;
	*ret_error = xz_error(r);
	return 0;
}

static size_t xz_decompress(void *out, size_t cap, const void *in, size_t n, const char **ret_error)
{
	uint64_t memory = UINT64_MAX;
	size_t at = 0, len = 0;
	lzma_ret r = lzma_stream_buffer_decode(&memory, 0, NULL, in, &at, n, out, &len, cap);

	if (r == LZMA_OK)
		return len;
	*ret_error = xz_error(r);
	return 0;
}

/* ---- what is compared -------------------------------------------------- */

static const struct codec zlib = {"zlib", zlib_bound, zlib_compress, zlib_decompress};
static const struct codec zstd = {"zstd", zstd_bound, zstd_compress, zstd_decompress};
static const struct codec lz4 = {"lz4", lz4_bound, lz4_compress, lz4_decompress};
static const struct codec bzip2 = {"bzip2", bzip2_bound, bzip2_compress, bzip2_decompress};
static const struct codec xz = {"xz", xz_bound, xz_compress, xz_decompress};

/* No xz above 6: those levels differ by a larger dictionary only, and files are cut at 1 MiB. */
const struct trial trials[] = {
	{&lz4, 1, true},    {&lz4, 9, false},  {&zstd, 1, false}, {&zstd, 3, true},  {&zstd, 9, false},
	{&zstd, 19, false}, {&zlib, 1, false}, {&zlib, 6, true},  {&zlib, 9, false}, {&bzip2, 1, false},
	{&bzip2, 9, true},  {&xz, 0, true},    {&xz, 3, false},	  {&xz, 6, false},
};
const size_t n_trials = sizeof(trials) / sizeof(trials[0]);

size_t codec_bound(size_t n)
{
	size_t most = 0;

	for (size_t i = 0; i < n_trials; i++) {
		size_t bound = trials[i].codec->bound(n);
		most = bound > most ? bound : most;
	}
	return most;
}

/* ---- one measurement --------------------------------------------------- */

void content_hash(const void *data, size_t n, char ret[17])
{
	const uint8_t *bytes = data;
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < n; i++)
		h = (h ^ bytes[i]) * UINT64_C(0x100000001b3);
	snprintf(ret, 17, "%016" PRIx64, h);
}

static double cpu_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

struct outcome trial_run(const struct trial *t, const void *data, size_t n, void *packed, size_t cap,
			 void *back)
{
	struct outcome o = {0};
	size_t rounds = 0, len = 0;
	double start = cpu_seconds(), spent;

	do {
		o.packed = t->codec->compress(packed, cap, data, n, t->level, &o.error);
		spent = cpu_seconds() - start;
		rounds++;
	} while (o.packed && spent < ENOUGH_S);
	if (!o.packed)
		return o;
	o.compress_mb_s = (double)(n * rounds) / 1e6 / spent;

	start = cpu_seconds();
	rounds = 0;
	do {
		len = t->codec->decompress(back, n, packed, o.packed, &o.error);
		spent = cpu_seconds() - start;
		rounds++;
	} while (len && spent < ENOUGH_S);
	if (!len)
		return o;
	o.decompress_mb_s = (double)(n * rounds) / 1e6 / spent;
	content_hash(back, len, o.prediction);
	if (len != n || memcmp(back, data, n) != 0)
		o.error = "the round trip gives other bytes";
	return o;
}
