/* Assets on their way out. */
#include "asset.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Where the bytes go; over all tries. */
struct sink {
	struct xt_client *client;
	bool (*put)(const void *data, size_t size, void *user); /* false: stop, or it failed */
	void *user;						/* for put */
	uint8_t hash[XT_ASSET_HASH];				/* wanted */
	crypto_generichash_state state;				/* of what came */
	uint64_t size;						/* of the asset */
	uint64_t taken;						/* bytes that were put */
};

/* ---- the transfer ------------------------------------------------------- */

static int stopped(struct xt_client *c)
{
	return client_fail(c, XT_EINTR, "the asset was not read to its end");
}

/* What an earlier try has put is the same bytes again. */
static int take(struct sink *s, uint64_t at, struct span piece)
{
	uint64_t known = s->taken > at ? s->taken - at : 0;

	if (known >= piece.len)
		return XT_OK;
	piece = span_of(piece.data + known, piece.len - (size_t)known);
	crypto_generichash_update(&s->state, piece.data, piece.len);
	s->taken += piece.len;
	return s->put(piece.data, piece.len, s->user) ? XT_OK : stopped(s->client);
}

static int check(struct sink *s)
{
	uint8_t hash[XT_ASSET_HASH];

	crypto_generichash_final(&s->state, hash, sizeof(hash));
	if (s->taken == s->size && memcmp(hash, s->hash, sizeof(hash)) == 0)
		return XT_OK;
	return client_fail(s->client, XT_EPROTOCOL, "what came is not the asset that was asked for");
}

static int try_get(struct sink *s)
{
	struct params_asset_get p = {.hash = span_of(s->hash, XT_ASSET_HASH)};
	struct result_asset_get opened = {0};
	struct result_asset_read piece = {0};
	uint64_t at = 0;
	unsigned epoch;
	uint32_t id;

	int r = asset_begin(s->client, METHOD_asset_get, &p, &id, &epoch, &opened);
	s->size = opened.size;
	bool open = r == XT_OK;
	while (r == XT_OK && !piece.done) {
		struct params_asset_read step = {.cursor = id};
		struct call call;
		r = asset_step(s->client, METHOD_asset_read, &step, epoch, &call, &piece);
		if (r == XT_OK)
			r = take(s, at, piece.data);
		at += piece.data.len;
		call_done(&call);
	}
	if (open && !piece.done && r != XT_EREQUEST)
		cursor_cancel(s->client, id, epoch);
	return r;
}

/* Under the mutex. */
static int get(struct xt_client *c, const char *hash, struct sink *s)
{
	int r = asset_hash(c, hash, s->hash);

	if (r != XT_OK)
		return r;
	s->client = c;
	s->taken = 0;
	crypto_generichash_init(&s->state, NULL, 0, XT_ASSET_HASH);
	for (int i = 0; i < ASSET_TRIES && (i == 0 || r == XT_ELOST); i++)
		r = try_get(s);
	if (r == XT_ELOST)
		return client_fail(c, r, "the connection broke again and again while an asset was read");
	return r == XT_OK ? check(s) : r;
}

int xt_asset_get(xt_client *client, const char *hash,
		 bool (*on_data)(const void *data, size_t size, void *user), void *user)
{
	struct sink s = {.put = on_data, .user = user};

	client_enter(client);
	return client_leave(client, get(client, hash, &s));
}

/* ---- into memory -------------------------------------------------------- */

static bool put_memory(const void *data, size_t size, void *user)
{
	struct buf *b = user;

	buf_add(b, data, size);
	return !buf_failed(b);
}

int xt_asset_load(xt_client *client, const char *hash, void **ret_data, size_t *ret_size)
{
	struct buf bytes = {0};
	struct sink s = {.put = put_memory, .user = &bytes};

	client_enter(client);
	int r = get(client, hash, &s);
	buf_add(&bytes, "", 1);
	if (buf_failed(&bytes))
		r = client_fail(client, XT_ENOMEM, "out of memory");
	if (r == XT_OK) {
		*ret_data = bytes.data;
		*ret_size = bytes.len - 1;
	} else {
		buf_done(&bytes);
	}
	return client_leave(client, r);
}

/* ---- into a file -------------------------------------------------------- */

struct target {
	const struct sink *sink;
	const xt_asset_options *opt; /* NULL: the defaults */
	int fd;
	int error; /* errno of what failed; 0: nothing */
};

static bool put_file(const void *data, size_t size, void *user)
{
	struct target *t = user;
	const uint8_t *p = data;

	while (size > 0) {
		ssize_t n = write(t->fd, p, size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			t->error = n < 0 ? errno : EIO;
			return false;
		}
		p += n;
		size -= (size_t)n;
	}
	return !t->opt || !t->opt->on_progress ||
	       t->opt->on_progress(t->sink->taken, t->sink->size, t->opt->user);
}

static int cannot_write(struct xt_client *c, const char *path, int error)
{
	return client_fail(c, XT_EINVAL, "cannot write '%.300s': %s", path, strerror(error));
}

static int sync_directory(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *dir = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
	int fd = dir ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	int r = fd < 0 ? -1 : fsync(fd);

	if (fd >= 0)
		close(fd);
	free(dir);
	return r;
}

/* A file that is left by who was killed is written anew; a link or anything else is in the way. */
static int open_part(const char *part)
{
	struct stat st;

	if (lstat(part, &st) == 0 && (!S_ISREG(st.st_mode) || unlink(part) < 0)) {
		errno = EEXIST;
		return -1;
	}
	return open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
}

static int export(struct xt_client *c, const char *hash, const char *path, const char *part,
		  const xt_asset_options *options)
{
	struct target t = {.opt = options, .fd = open_part(part)};
	struct sink s = {.put = put_file, .user = &t};
	struct stat st;

	t.sink = &s;
	if (t.fd < 0)
		return cannot_write(c, part, errno);
	int r = lstat(path, &st) == 0 && !S_ISREG(st.st_mode)
			? client_fail(c, XT_EINVAL, "cannot write '%.300s': it is not a regular file", path)
			: get(c, hash, &s);
	if (t.error)
		r = cannot_write(c, part, t.error);
	if (r == XT_OK && (fsync(t.fd) < 0 || rename(part, path) < 0))
		r = cannot_write(c, path, errno);
	close(t.fd);
	if (r != XT_OK)
		unlink(part);
	else if (sync_directory(path) < 0)
		r = cannot_write(c, path, errno);
	return r;
}

int xt_asset_export(xt_client *client, const char *hash, const char *path, const xt_asset_options *options)
{
	char *part = NULL;
	int r;

	client_enter(client);
	if (!path || !path[0])
		r = client_fail(client, XT_EINVAL, "no path was given for the asset");
	else if (asprintf(&part, "%s.part", path) < 0)
		r = client_fail(client, XT_ENOMEM, "out of memory");
	else
		r = export(client, hash, path, part, options);
	free(part);
	return client_leave(client, r);
}
