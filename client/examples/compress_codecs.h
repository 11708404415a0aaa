/* Five compression libraries behind one interface: whole buffers in, whole buffers out. */
#ifndef COMPRESS_CODECS_H
#define COMPRESS_CODECS_H

#include <stdbool.h>
#include <stddef.h>

struct codec {
	const char *name;
	/* Most bytes that compress() writes for n bytes. */
	size_t (*bound)(size_t n);
	/* Both return the bytes written, or 0 with *ret_error set to a static string. */
	size_t (*compress)(void *out, size_t cap, const void *in, size_t n, int level,
			   const char **ret_error);
	size_t (*decompress)(void *out, size_t cap, const void *in, size_t n, const char **ret_error);
};

/* A codec at one level: what the benchmark compares. */
struct trial {
	const struct codec *codec;
	int level;
	bool quick; /* also in a --quick run */
};

extern const struct trial trials[];
extern const size_t n_trials;

/* Most bytes that any codec writes for n bytes. */
size_t codec_bound(size_t n);

/* What a trial on one file came to. */
struct outcome {
	size_t packed;		/* bytes; 0: it failed */
	double compress_mb_s;	/* of processor time, since workers outnumber the cores; 0: it failed */
	double decompress_mb_s; /* the same */
	char prediction[17];	/* hash of what came back */
	const char *error;	/* static; NULL: it went well */
};

/* Compresses n bytes, more than once when that is quick, and decompresses them again. `packed` has
 * room for `cap` bytes, `back` for n. */
struct outcome trial_run(const struct trial *t, const void *data, size_t n, void *packed, size_t cap,
			 void *back);

/* A hash of some bytes (FNV-1a) as 16 hexadecimal digits. */
void content_hash(const void *data, size_t n, char ret[17]);

#endif
