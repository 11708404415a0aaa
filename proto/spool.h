/*
 * The spool file: where a client keeps numbered frames while its daemon is away, and from where they
 * come back, in order, from the client itself or, when its process has ended, by the daemon.
 *
 *     <database>.spool/<client id in hexadecimal>
 *     file    "xtspool1", client id, database id (16 bytes each; zero: not known), checksum
 *     record  u32 size, u32 rows, u64 seq, u32 seq_off, frame of `size` bytes, checksum, u32 size
 *
 * Numbers are big-endian. A checksum is BLAKE2b of 16 bytes over what lies before it in the same
 * part. Files are only ever appended to and removed. The process whose rows they are holds a POSIX
 * record lock (fcntl(2), F_SETLK) on the whole file, which fork does not inherit: an unlocked file is
 * an orphan. A record that is cut short at the end of the file was never finished: a torn tail.
 */
#ifndef XT_SPOOL_H
#define XT_SPOOL_H

#include <limits.h>
#include <sys/types.h>

#include "buf.h"
#include "proto.h"

#define SPOOL_NAME     (2 * XT_CLIENT_ID)	   /* bytes of a file's name */
#define SPOOL_HEAD     (8 + 2 * XT_CLIENT_ID + 16) /* bytes before the first record */
#define SPOOL_OVERHEAD (4 + 4 + 8 + 4 + 16 + 4)	   /* bytes of a record besides its frame */

struct spool_head {
	uint8_t client[XT_CLIENT_ID];
	uint8_t database_id[XT_CLIENT_ID]; /* zero: not known */
};

/* One record: a frame as it goes over the wire. */
struct spool_record {
	uint64_t seq;	   /* number of its first row, or of the request; 0 with rows 0: not numbered */
	uint32_t rows;	   /* how many numbers it takes */
	uint32_t seq_off;  /* where in the frame the 8 bytes of the number are */
	struct span frame; /* with its length */
};

/* ---- bytes: pure ------------------------------------------------------ */

/* The big-endian number in so many bytes. */
uint64_t spool_number(const uint8_t *p, int bytes);

void spool_put_head(struct buf *out, const struct spool_head *h);
int spool_get_head(struct span in, struct spool_head *ret) __attribute__((warn_unused_result));

void spool_put_record(struct buf *out, const struct spool_record *r);

enum spool_status {
	SPOOL_RECORD, /* *ret is set, it takes *ret_size bytes */
	SPOOL_MORE,   /* the record has *ret_size bytes in all, as far as is known */
	SPOOL_BAD,    /* these bytes are no record */
};
enum spool_status spool_next(struct span in, struct spool_record *ret, size_t *ret_size);

/* ---- files ------------------------------------------------------------ */

/* An open file. Zeroed but for fd -1: none. */
struct spool {
	int fd; /* -1: none */
	char path[PATH_MAX];
	struct spool_head head;
	uid_t uid;	   /* whose it is */
	uint64_t end;	   /* bytes of it in use */
	uint64_t reserved; /* bytes of disk that are allotted to it */
	uint64_t at;	   /* where the next record to read begins */
	uint64_t in_at;	   /* where in the file `in` begins */
	struct buf in;	   /* bytes read ahead */
};

/* Makes the directory if need be, and checks that nobody else can write there. -1 with an error. */
int spool_make_dir(const char *dir, struct xt_err *err) __attribute__((warn_unused_result));

/* Creates and locks a file; it has its name only once it is locked. 0 or -errno. */
int spool_create(struct spool *s, const char *dir, const struct spool_head *head)
	__attribute__((warn_unused_result));

/* Removes the file of that name if it is one in the making (.<client>.new) whose process has ended: it holds
 * nothing. A process that was about to lock it makes another. */
bool spool_clear(const char *dir, const char *name);

/* Opens an orphan for reading. 0; -EAGAIN: its owner lives; -EBADMSG: it has no valid head; -errno. */
int spool_adopt(struct spool *s, const char *dir, const char *name) __attribute__((warn_unused_result));

/* Sees to it that so many more bytes can be appended. 0 or -errno (-ENOSPC). */
int spool_reserve(struct spool *s, size_t bytes) __attribute__((warn_unused_result));

/* Appends a record, whole or not at all. 0 or -errno. */
int spool_append(struct spool *s, const struct spool_record *r) __attribute__((warn_unused_result));

/* Takes back what was appended behind a former s->end. */
void spool_cut(struct spool *s, uint64_t end);

/* Waits until it is on disk. 0 or -errno. */
int spool_sync(const struct spool *s) __attribute__((warn_unused_result));

/* The next record at s->at, whose frame lives until the next call. 1; 0 at the end or at a torn tail;
 * -EBADMSG: what follows is damaged; -errno. */
int spool_read(struct spool *s, struct spool_record *ret) __attribute__((warn_unused_result));

/* Reads on from there: SPOOL_HEAD, or a former s->at. */
void spool_seek(struct spool *s, uint64_t at);

/* Closes and thereby unlocks it; the second removes it first. Both take fd -1. */
void spool_close(struct spool *s);
void spool_remove(struct spool *s);

/* The name of a client's file, and back. false: no such name. */
void spool_name(const uint8_t client[XT_CLIENT_ID], char ret[SPOOL_NAME + 1]);
bool spool_client(const char *name, uint8_t ret[XT_CLIENT_ID]);

enum spool_state {
	SPOOL_OWNED,	  /* its process lives */
	SPOOL_ORPHAN,	  /* to be taken in */
	SPOOL_DAMAGED,	  /* set aside: `<name>.damaged` */
	SPOOL_UNREADABLE, /* of another user, or no spool file */
};

/* What can be said of a file by looking at its ends. */
struct spool_facts {
	enum spool_state state;
	uint8_t client[XT_CLIENT_ID];
	uid_t uid;
	pid_t owner;	      /* of SPOOL_OWNED */
	uint64_t bytes;	      /* of the file */
	uint64_t first, last; /* numbers in it; 0: none */
};

/* Calls `each` for every file in the directory, until it returns false. 0, also when there is no
 * directory; or -errno. */
int spool_list(const char *dir, bool (*each)(const struct spool_facts *f, void *data), void *data)
	__attribute__((warn_unused_result));

#endif
