/*
 * Assets: content that its hash names. Its row in xt_assets holds it when it is small; else it is a file of
 * <database>.assets:
 *
 *     ab/<hash>.zst      of an asset that has a row ("home")
 *     limbo/<hash>.zst   of one whose row may be there or not: uploaded and not yet committed, or deleted
 *     limbo/<16>.part    of an upload that is under way
 *
 * A row's file is always at one of the first two. Uploads put files into limbo, so does the transaction that
 * deletes a row; only the writer's thread, when no transaction is open, takes them out: home, when there is a
 * row, or away (assets_settle). Who uploads holds the content until he has let go of it, and what is held is
 * not taken away. So a crash leaves nothing but what limbo shows, and a content that is put again while it is
 * deleted stays.
 */
#ifndef XT_ASSET_H
#define XT_ASSET_H

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>

#include "buf.h"
#include "proto.h"

#define ASSET_INLINE 65536 /* bytes, compressed, up to which it lies in its row */
#define ASSET_WINDOW 19	   /* log2 of the bytes that zstd looks back, and so holds in memory */
#define ASSET_HEX    (2 * XT_ASSET_HASH + 1)
#define ASSET_MARKED 64

struct store;

/* Content that was uploaded and whose row may not be there. */
struct asset {
	uint8_t hash[XT_ASSET_HASH];
	unsigned holds;	       /* uploads that hold it */
	uint64_t size, stored; /* bytes, bytes compressed */
	bool file;	       /* in limbo; else: */
	struct buf data;       /* owned: it, compressed */
	struct asset *next;
};

/* Of a store; shared by its threads. */
struct assets {
	const char *database;			     /* borrowed: its path */
	char dir[PATH_MAX];			     /* <database>.assets */
	pthread_mutex_t lock;			     /* guards what follows, and limbo against settling */
	struct asset *list;			     /* owned; freed by the writer's thread only */
	struct buf restless;			     /* hashes that are to be settled */
	atomic_size_t n_restless;		     /* how many; read without the lock */
	uint8_t marked[ASSET_MARKED][XT_ASSET_HASH]; /* found damaged lately */
	size_t n_marked;			     /* ever; the newest are kept */
};

/* NULL: out of memory. */
struct assets *assets_new(const char *database);
void assets_free(struct assets *a);

/* Hexadecimal digits of a hash. */
const char *asset_hex(const uint8_t *hash, char ret[ASSET_HEX]);

enum asset_place { ASSET_HOME, ASSET_LIMBO };

/* The path of an asset's file. */
void asset_path(const struct assets *a, enum asset_place place, const uint8_t *hash,
		char ret[static PATH_MAX + 100]);

/* Makes the directory and limbo, as far as they are missing, and checks that they are ours. */
int assets_make_dirs(const struct assets *a, struct xt_err *err) __attribute__((warn_unused_result));

/* Opens an asset's file for reading, wherever it is. -1 with an error that says what is the matter with it.
 */
int asset_open(const struct assets *a, const uint8_t *hash, struct xt_err *err)
	__attribute__((warn_unused_result));

/* True when a row's file is there and has its size. */
bool asset_is_there(const struct assets *a, const uint8_t *hash, uint64_t stored);

/* Holds what was uploaded: a file at `part`, which goes to limbo, or the bytes in `data`, which are taken
 * over. Where somebody else holds the same content the new one is dropped. */
int asset_hold(struct assets *a, const struct asset *what, struct buf *data, const char *part,
	       struct xt_err *err) __attribute__((warn_unused_result));
void asset_let_go(struct assets *a, const uint8_t *hash);

/* Uploaded content; the writer's thread may look at it until it settles something. NULL: there is none. */
const struct asset *asset_uploaded(struct assets *a, const uint8_t *hash);

/* The row of an asset is deleted in the open transaction, which may yet be undone. */
void asset_leave(struct assets *a, const uint8_t *hash, bool file);

/* An asset that was found damaged is not known until it is put again, or the daemon starts anew. */
void asset_mark(struct assets *a, const uint8_t *hash);
bool asset_is_marked(struct assets *a, const uint8_t *hash);

/* ---- asset_settle.c: for the writer's thread, with no transaction open ---- */

/* Of a daemon that starts: finds what a crash left in limbo, and settles it. */
void assets_start(struct assets *a, struct store *s);

/* Settles some; there may be more. */
void assets_settle(struct assets *a, struct store *s);

/* Files in one of the 256 directories that have no row. */
struct asset_orphans {
	uint64_t files, bytes;
	char example[PATH_MAX]; /* "" when there are none */
};
int assets_orphans(struct assets *a, struct store *s, unsigned part, bool remove, struct asset_orphans *ret,
		   struct xt_err *err) __attribute__((warn_unused_result));

#endif
