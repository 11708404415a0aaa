#include "spool.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "token.h"

#define MAGIC	      "xtspool1"
#define CHECKSUM      16u
#define RECORD_HEAD   20u	   /* bytes before the frame */
#define READ_AHEAD    (256u << 10) /* bytes */
#define RESERVE_BYTES (1u << 20)   /* of disk that are allotted at a time */
#define UNFINISHED    ".new"	   /* behind the name of a file in the making, and a dot before it */
#define MAX_TRIES     5		   /* to make a file that was taken for one that nobody finishes */

/* ---- bytes ------------------------------------------------------------ */

static void checksum(struct span in, uint8_t ret[CHECKSUM])
{
	crypto_generichash(ret, CHECKSUM, in.data, in.len, NULL, 0);
}

static void put_number(struct buf *out, uint64_t n, int bytes)
{
	uint8_t b[8];

	for (int i = 0; i < bytes; i++)
		b[i] = (uint8_t)(n >> (8 * (bytes - 1 - i)));
	buf_add(out, b, (size_t)bytes);
}

uint64_t spool_number(const uint8_t *p, int bytes)
{
	uint64_t n = 0;

	for (int i = 0; i < bytes; i++)
		n = n << 8 | p[i];
	return n;
}

static void put_checksum(struct buf *out, size_t start)
{
	uint8_t sum[CHECKSUM];

	if (buf_failed(out))
		return;
	checksum(span_of(out->data + start, out->len - start), sum);
	buf_add(out, sum, CHECKSUM);
}

void spool_put_head(struct buf *out, const struct spool_head *h)
{
	size_t start = out->len;

	buf_add(out, MAGIC, 8);
	buf_add(out, h->client, XT_CLIENT_ID);
	buf_add(out, h->database_id, XT_CLIENT_ID);
	put_checksum(out, start);
}

int spool_get_head(struct span in, struct spool_head *ret)
{
	uint8_t sum[CHECKSUM];
	size_t len = SPOOL_HEAD - CHECKSUM;

	if (in.len < SPOOL_HEAD || memcmp(in.data, MAGIC, 8) != 0)
		return -1;
	checksum(span_of(in.data, len), sum);
	if (memcmp(sum, in.data + len, CHECKSUM) != 0)
		return -1;
	memcpy(ret->client, in.data + 8, XT_CLIENT_ID);
	memcpy(ret->database_id, in.data + 8 + XT_CLIENT_ID, XT_CLIENT_ID);
	return 0;
}

void spool_put_record(struct buf *out, const struct spool_record *r)
{
	size_t start = out->len;

	put_number(out, r->frame.len, 4);
	put_number(out, r->rows, 4);
	put_number(out, r->seq, 8);
	put_number(out, r->seq_off, 4);
	buf_add(out, r->frame.data, r->frame.len);
	put_checksum(out, start);
	put_number(out, r->frame.len, 4);
}

/* What the numbers of a record must be, whatever its bytes are. */
static bool makes_sense(const struct spool_record *r)
{
	uint64_t size = r->frame.len;

	if (size <= FRAME_HEADER || size > FRAME_HEADER + (uint64_t)XT_MAX_FRAME)
		return false;
	if (r->rows == 0)
		return r->seq == 0;
	return r->seq > 0 && r->seq <= INT64_MAX - (uint64_t)r->rows && (uint64_t)r->seq_off + 8 <= size;
}

enum spool_status spool_next(struct span in, struct spool_record *ret, size_t *ret_size)
{
	uint8_t sum[CHECKSUM];

	*ret_size = SPOOL_OVERHEAD;
	if (in.len < RECORD_HEAD)
		return SPOOL_MORE;
	struct spool_record r = {.seq = spool_number(in.data + 8, 8),
				 .rows = (uint32_t)spool_number(in.data + 4, 4),
				 .seq_off = (uint32_t)spool_number(in.data + 16, 4),
				 .frame = span_of(in.data + RECORD_HEAD, (size_t)spool_number(in.data, 4))};
	if (!makes_sense(&r))
		return SPOOL_BAD;
	*ret_size = SPOOL_OVERHEAD + r.frame.len;
	if (in.len < *ret_size)
		return SPOOL_MORE;
	const uint8_t *tail = r.frame.data + r.frame.len;
	checksum(span_of(in.data, RECORD_HEAD + r.frame.len), sum);
	if (memcmp(sum, tail, CHECKSUM) != 0 || spool_number(tail + CHECKSUM, 4) != r.frame.len)
		return SPOOL_BAD;
	*ret = r;
	return SPOOL_RECORD;
}

/* ---- names ------------------------------------------------------------ */

void spool_name(const uint8_t client[XT_CLIENT_ID], char ret[SPOOL_NAME + 1])
{
	sodium_bin2hex(ret, SPOOL_NAME + 1, client, XT_CLIENT_ID);
}

bool spool_client(const char *name, uint8_t ret[XT_CLIENT_ID])
{
	size_t len = 0;

	return strlen(name) == SPOOL_NAME &&
	       sodium_hex2bin(ret, XT_CLIENT_ID, name, SPOOL_NAME, NULL, &len, NULL) == 0 &&
	       len == XT_CLIENT_ID;
}

/* ---- directory -------------------------------------------------------- */

int spool_make_dir(const char *dir, struct xt_err *err)
{
	struct stat st;

	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return xt_err_set(err, XT_E_io_error, "spool", "cannot make directory '%.200s': %s", dir,
				  strerror(errno));
	if (lstat(dir, &st) < 0)
		return xt_err_set(err, XT_E_io_error, "spool", "cannot look at '%.200s': %s", dir,
				  strerror(errno));
	/* Whose it is does not matter for who may write the database: but nobody else may write here,
	 * unless it is a directory that the daemon made for a group. */
	bool shared = (st.st_mode & (S_ISGID | S_ISVTX)) == (S_ISGID | S_ISVTX);
	if (!S_ISDIR(st.st_mode) || (st.st_mode & 02) || ((st.st_mode & 020) && !shared))
		return xt_err_set(
			err, XT_E_not_allowed, "spool",
			"'%.200s' must be a directory that only its owner can write; mend it: chmod "
			"go-w",
			dir);
	return 0;
}

/* ---- one file --------------------------------------------------------- */

static int lock_file(int fd, short type)
{
	struct flock l = {.l_type = type, .l_whence = SEEK_SET};

	if (fcntl(fd, F_SETLK, &l) == 0)
		return 0;
	return errno == EACCES ? -EAGAIN : -errno;
}

static int write_all(int fd, struct span bytes, uint64_t at)
{
	while (bytes.len > 0) {
		ssize_t n = pwrite(fd, bytes.data, bytes.len, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		at += (uint64_t)n;
		bytes = span_of(bytes.data + n, bytes.len - (size_t)n);
	}
	return 0;
}

/* In a directory made for a group its members, the daemon among them, may read what is in it. */
static void admit_group(int fd, const char *dir)
{
	struct stat st;

	if (stat(dir, &st) == 0 && (st.st_mode & S_ISGID))
		(void)!fchmod(fd, 0640);
}

static int create_locked(struct spool *s, const char *dir)
{
	char name[SPOOL_NAME + 1], temporary[PATH_MAX];
	struct buf head = {0};

	spool_name(s->head.client, name);
	if (snprintf(s->path, sizeof(s->path), "%s/%s", dir, name) >= (int)sizeof(s->path) ||
	    snprintf(temporary, sizeof(temporary), "%s/.%s" UNFINISHED, dir, name) >= (int)sizeof(temporary))
		return -ENAMETOOLONG;
	s->fd = open(temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (s->fd < 0)
		return -errno;
	spool_put_head(&head, &s->head);
	int r = buf_failed(&head) ? -ENOMEM : lock_file(s->fd, F_WRLCK);
	if (r == 0)
		r = write_all(s->fd, buf_span(&head), 0);
	if (r == 0)
		admit_group(s->fd, dir);
	if (r == 0 && rename(temporary, s->path) < 0)
		r = -errno;
	if (r < 0)
		unlink(temporary);
	buf_done(&head);
	return r;
}

int spool_create(struct spool *s, const char *dir, const struct spool_head *head)
{
	*s = (struct spool){.fd = -1, .head = *head, .uid = geteuid(), .end = SPOOL_HEAD};
	if (sodium_init() < 0)
		return -ENOSYS;
	s->at = s->in_at = SPOOL_HEAD;
	int r, tries = 0;
	do {
		r = create_locked(s, dir);
		if (r < 0 && s->fd >= 0)
			close(s->fd);
		if (r < 0)
			s->fd = -1;
	} while ((r == -EAGAIN || r == -ENOENT) && ++tries < MAX_TRIES); /* see spool_clear() */
	if (r < 0)
		spool_close(s);
	return r;
}

/* .<client>.new? */
static bool is_unfinished(const char *name)
{
	char plain[SPOOL_NAME + 1];
	uint8_t client[XT_CLIENT_ID];

	if (name[0] != '.' || strlen(name) != 1 + SPOOL_NAME + strlen(UNFINISHED) ||
	    strcmp(name + 1 + SPOOL_NAME, UNFINISHED) != 0)
		return false;
	snprintf(plain, sizeof(plain), "%.*s", SPOOL_NAME, name + 1);
	return spool_client(plain, client);
}

bool spool_clear(const char *dir, const char *name)
{
	char path[PATH_MAX];
	struct stat st;

	if (!is_unfinished(name) || snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path))
		return false;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	bool gone = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= SPOOL_HEAD &&
		    lock_file(fd, F_RDLCK) == 0 && unlink(path) == 0;
	if (fd >= 0)
		close(fd);
	return gone;
}

static int read_head(struct spool *s, const char *name)
{
	uint8_t bytes[SPOOL_HEAD], client[XT_CLIENT_ID];
	ssize_t n = pread(s->fd, bytes, sizeof(bytes), 0);

	if (n < 0)
		return -errno;
	if (spool_get_head(span_of(bytes, (size_t)n), &s->head) < 0 || !spool_client(name, client) ||
	    memcmp(client, s->head.client, XT_CLIENT_ID) != 0)
		return -EBADMSG;
	return 0;
}

int spool_adopt(struct spool *s, const char *dir, const char *name)
{
	struct stat st;

	*s = (struct spool){.fd = -1, .at = SPOOL_HEAD, .in_at = SPOOL_HEAD};
	if (sodium_init() < 0)
		return -ENOSYS;
	if (snprintf(s->path, sizeof(s->path), "%s/%s", dir, name) >= (int)sizeof(s->path))
		return -ENAMETOOLONG;
	s->fd = open(s->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (s->fd < 0)
		return -errno;
	int r = 0;
	if (fstat(s->fd, &st) < 0)
		r = -errno;
	else if (!S_ISREG(st.st_mode) || st.st_nlink > 1)
		r = -EPERM;
	s->uid = st.st_uid;
	s->end = (uint64_t)st.st_size;
	if (r == 0)
		r = lock_file(s->fd, F_RDLCK); /* its owner holds a lock for writing */
	if (r == 0 && fstat(s->fd, &st) == 0 && st.st_nlink == 0)
		r = -ENOENT; /* its owner has removed it meanwhile, and may make another */
	if (r == 0)
		r = read_head(s, name);
	if (r < 0)
		spool_close(s);
	return r;
}

int spool_reserve(struct spool *s, size_t bytes)
{
	if (s->end + bytes <= s->reserved)
		return 0;
	uint64_t more = bytes > RESERVE_BYTES ? bytes : RESERVE_BYTES;
	if (fallocate(s->fd, FALLOC_FL_KEEP_SIZE, (off_t)s->end, (off_t)more) < 0) {
		if (errno == EINTR)
			return spool_reserve(s, bytes);
		if (errno != EOPNOTSUPP) /* where it is not known, writing tells */
			return -errno;
	}
	s->reserved = s->end + more;
	return 0;
}

void spool_cut(struct spool *s, uint64_t end)
{
	(void)!ftruncate(s->fd, (off_t)end);
	s->end = s->reserved = end; /* what was allotted behind it has gone too */
}

int spool_append(struct spool *s, const struct spool_record *r)
{
	struct buf b = {0};

	spool_put_record(&b, r);
	int status = buf_failed(&b) ? -ENOMEM : write_all(s->fd, buf_span(&b), s->end);
	if (status == 0)
		s->end += b.len;
	else
		spool_cut(s, s->end); /* else it is a torn tail, overwritten by the next */
	buf_done(&b);
	return status;
}

int spool_sync(const struct spool *s)
{
	char dir[PATH_MAX];

	if (fsync(s->fd) < 0)
		return -errno;
	snprintf(dir, sizeof(dir), "%.*s", (int)(strrchr(s->path, '/') - s->path), s->path);
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = fd < 0 || fsync(fd) < 0 ? -errno : 0;
	if (fd >= 0)
		close(fd);
	return r;
}

/* Reads on until `size` bytes from s->at are in memory. 1, 0 when the file ends before, -errno. */
static int read_ahead(struct spool *s, size_t size)
{
	size_t done = (size_t)(s->at - s->in_at);

	if (s->in.len - done >= size)
		return 1;
	buf_consume(&s->in, done);
	s->in_at = s->at;
	while (s->in.len < size) {
		uint64_t from = s->in_at + s->in.len;
		uint64_t left = s->end > from ? s->end - from : 0;
		size_t most = size - s->in.len > READ_AHEAD ? size - s->in.len : READ_AHEAD;
		if (left == 0)
			return 0;
		if (buf_reserve(&s->in, most) < 0) {
			s->in.failed = false;
			return -ENOMEM;
		}
		ssize_t n =
			pread(s->fd, s->in.data + s->in.len, left < most ? (size_t)left : most, (off_t)from);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			s->end = from;
		s->in.len += (size_t)n;
	}
	return 1;
}

/* Nothing but zeros to the end: room that was allotted and never written. */
static bool only_zeros(struct spool *s)
{
	uint8_t block[4096];
	ssize_t n;

	for (uint64_t at = s->at; at < s->end; at += (uint64_t)n) {
		n = pread(s->fd, block, sizeof(block), (off_t)at);
		if (n <= 0)
			return false;
		for (ssize_t i = 0; i < n; i++)
			if (block[i])
				return false;
	}
	return true;
}

int spool_read(struct spool *s, struct spool_record *ret)
{
	size_t need = RECORD_HEAD;

	for (;;) {
		int r = read_ahead(s, need);
		if (r <= 0)
			return r; /* the end, or a record that was never finished */
		size_t done = (size_t)(s->at - s->in_at);
		struct span in = span_of(s->in.data + done, s->in.len - done);
		enum spool_status status = spool_next(in, ret, &need);
		if (status == SPOOL_RECORD) {
			s->at += need;
			return 1;
		}
		if (status == SPOOL_BAD) {
			bool last = need > SPOOL_OVERHEAD && s->at + need >= s->end;
			return last || only_zeros(s) ? 0 : -EBADMSG;
		}
	}
}

void spool_seek(struct spool *s, uint64_t at)
{
	s->at = s->in_at = at;
	buf_clear(&s->in);
}

void spool_close(struct spool *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	s->end = s->reserved = 0;
	buf_done(&s->in);
}

void spool_remove(struct spool *s)
{
	if (s->fd >= 0)
		unlink(s->path);
	spool_close(s);
}
