#include "asset.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE	262144 /* bytes of one asset_chunk */
#define BUSY_MS 100    /* between two tries while others put and get */
#define WAIT_MS 60000  /* and all of them */

/* ---- both directions ---------------------------------------------------- */

int asset_hash(struct xt_client *c, const char *hex, uint8_t ret[XT_ASSET_HASH])
{
	const char *end;
	size_t n = 0;

	if (hex && strlen(hex) == XT_HASH_SIZE - 1 &&
	    sodium_hex2bin(ret, XT_ASSET_HASH, hex, XT_HASH_SIZE - 1, NULL, &n, &end) == 0 &&
	    n == XT_ASSET_HASH)
		return XT_OK;
	return client_fail(c, XT_EINVAL, "'%.100s' is no hash of an asset, which has 64 hexadecimal digits",
			   hex ? hex : "");
}

static int decode(struct xt_client *c, enum method_id method, const struct call *call, void *ret)
{
	struct xt_err err;

	if (wire_decode(&proto_method(method)->result, buf_span(&call->result), ret, &err) == 0)
		return XT_OK;
	return client_fail(c, XT_EPROTOCOL, "the daemon's answer: %s", err.message);
}

/* A short wait, in which other answers are read. */
static int nap(struct xt_client *c)
{
	int64_t until = now_ms() + BUSY_MS;
	int r = XT_OK;

	while (r == XT_OK && c->fd >= 0 && now_ms() < until)
		r = pump_wait(c, until);
	return r == XT_EINTR ? client_fail(c, r, "a signal came") : XT_OK;
}

int asset_begin(struct xt_client *c, enum method_id method, void *params, uint32_t *ret_id,
		unsigned *ret_epoch, void *ret)
{
	int64_t deadline = now_ms() + WAIT_MS;
	struct call call;
	int r, again;

	do {
		r = cursor_ask(c, method, params, NULL, &call);
		*ret_id = call.msgid;
		*ret_epoch = c->epoch;
		if (r == XT_OK)
			r = decode(c, method, &call, ret);
		if (r == XT_EINTR)
			cursor_cancel(c, *ret_id, *ret_epoch);
		call_done(&call);
		again = r == XT_EREQUEST && call.err.code == XT_E_busy && now_ms() < deadline;
		if (again && nap(c) != XT_OK)
			return XT_EINTR;
	} while (again);
	return r;
}

static bool ended(const struct call *call, int status)
{
	return status == XT_ELOST || (status == XT_EREQUEST &&
				      (call->err.code == XT_E_stopping || call->err.code == XT_E_cancelled ||
				       call->err.code == XT_E_cursor_expired));
}

int asset_step(struct xt_client *c, enum method_id method, void *params, unsigned epoch, struct call *call,
	       void *ret)
{
	*call = (struct call){0};
	if (c->fd < 0 || c->epoch != epoch)
		return client_fail(c, XT_ELOST, "the connection broke");
	int r = call_send(c, method, params, call);
	if (r == XT_OK)
		r = call_wait(c, call, NEVER);
	call_forget(c, call);
	if (r == XT_OK)
		return decode(c, method, call, ret);
	return ended(call, r) ? XT_ELOST : r;
}

/* ---- what is put -------------------------------------------------------- */

struct source {
	const uint8_t *data; /* borrowed; NULL: */
	int fd;		     /* of the file `path` */
	const char *path;
	uint64_t size;
	const xt_asset_options *opt; /* borrowed; NULL: the defaults */
	uint8_t hash[XT_ASSET_HASH];
};

/* The piece at an offset: in memory, or read into `room`. 0, or -1 with errno; 0 there: it has become
 * shorter. */
static int read_piece(const struct source *s, uint64_t at, uint8_t room[PIECE], struct span *ret)
{
	size_t want = s->size - at < PIECE ? (size_t)(s->size - at) : PIECE, have = 0;

	if (s->data) {
		*ret = span_of(s->data + at, want);
		return 0;
	}
	while (have < want) {
		ssize_t n = pread(s->fd, room + have, want - have, (off_t)(at + have));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			errno = n < 0 ? errno : 0;
			return -1;
		}
		have += (size_t)n;
	}
	*ret = span_of(room, want);
	return 0;
}

static int read_fail(struct xt_client *c, const struct source *s, int error)
{
	return client_fail(c, XT_EINVAL, "cannot read '%.300s': %s", s->path,
			   error ? strerror(error) : "it has become shorter meanwhile");
}

/* False: it is to stop. */
static bool tell(const struct source *s, uint64_t done)
{
	return !s->opt || !s->opt->on_progress || s->opt->on_progress(done, s->size, s->opt->user);
}

static int stopped(struct xt_client *c)
{
	return client_fail(c, XT_EINTR, "the asset was not put; nothing is left of it");
}

/* Without the mutex: others may log meanwhile. 0, or -1 with errno; ECANCELED when it is to stop. */
static int hash_source(struct source *s, uint8_t room[PIECE])
{
	crypto_generichash_state state;
	struct span piece;

	crypto_generichash_init(&state, NULL, 0, XT_ASSET_HASH);
	for (uint64_t at = 0; at < s->size; at += piece.len) {
		if (read_piece(s, at, room, &piece) < 0)
			return -1;
		if (!tell(s, 0)) {
			errno = ECANCELED;
			return -1;
		}
		crypto_generichash_update(&state, piece.data, piece.len);
	}
	crypto_generichash_final(&state, s->hash, XT_ASSET_HASH);
	return 0;
}

/* ---- putting ------------------------------------------------------------ */

/* Sends all pieces; the open upload is left to be cancelled. */
static int upload(struct xt_client *c, const struct source *s, uint8_t room[PIECE], uint32_t id,
		  unsigned epoch)
{
	struct result_asset_chunk result = {0};
	uint64_t at = 0;
	int r = XT_OK;

	do {
		struct params_asset_chunk p = {.has = PARAM_BIT(asset_chunk, last), .cursor = id};
		struct call call;
		if (s->size > 0 && read_piece(s, at, room, &p.data) < 0)
			return read_fail(c, s, errno);
		if (!tell(s, at))
			return stopped(c);
		at += p.data.len;
		p.last = at == s->size;
		r = asset_step(c, METHOD_asset_chunk, &p, epoch, &call, &result);
		call_done(&call);
	} while (r == XT_OK && at < s->size);
	return r;
}

static int add_ref(struct xt_client *c, const uint8_t hash[XT_ASSET_HASH], const char *track_id,
		   const char *name, bool *ret_absent)
{
	struct params_asset_add p = {
		.hash = span_of(hash, XT_ASSET_HASH), .track_id = span_str(track_id), .name = span_str(name)};
	struct result_asset_add result;
	struct call call = {0};

	int r = call_run(c, METHOD_asset_add, &p, &call, &result, NEVER);
	*ret_absent = r == XT_EREQUEST && call.err.code == XT_E_no_such_asset;
	call_done(&call);
	return r;
}

/* One try. *ret_again: the daemon has lost, or never had, what the reference is to; it is to be sent. */
static int try_put(struct xt_client *c, const struct source *s, uint8_t room[PIECE], const char *track_id,
		   const char *name, bool ask, bool *ret_again)
{
	/* Without the hash nothing is taken for known, and whether it agrees is seen here. */
	struct params_asset_put p = {.has = ask ? PARAM_BIT(asset_put, hash) : 0,
				     .hash = span_of(s->hash, XT_ASSET_HASH)};
	struct result_asset_put result = {0};
	unsigned epoch;
	uint32_t id;

	*ret_again = false;
	int r = asset_begin(c, METHOD_asset_put, &p, &id, &epoch, &result);
	if (r != XT_OK)
		return r;
	if (!result.known)
		r = upload(c, s, room, id, epoch);
	*ret_again = r == XT_ELOST;
	if (r == XT_OK)
		r = add_ref(c, s->hash, track_id, name, ret_again);
	if (!result.known)
		cursor_cancel(c, id, epoch);
	return r;
}

static int put(struct xt_client *c, const struct source *s, uint8_t room[PIECE], const char *track_id,
	       const char *name)
{
	bool again = true;
	int r = client_writable(c);

	if (r == XT_OK)
		r = call_ready(c);
	for (int i = 0; i < ASSET_TRIES && again && (r == XT_OK || i > 0); i++)
		r = try_put(c, s, room, track_id, name, i == 0, &again);
	if (r == XT_ELOST)
		return client_fail(c, r, "the connection broke again and again while an asset was sent");
	return r;
}

static int put_source(xt_run *run, const char *name, struct source *s, char ret_hash[XT_HASH_SIZE])
{
	struct xt_client *c = run->client;
	uint8_t *room = malloc(PIECE);
	int hashed = room ? hash_source(s, room) : -1, error = errno;

	client_enter(c);
	int r = !room		    ? client_fail(c, XT_ENOMEM, "out of memory")
		: !name || !name[0] ? client_fail(c, XT_EINVAL, "no name was given for the asset")
		: hashed < 0 && error == ECANCELED ? stopped(c)
		: hashed < 0			   ? read_fail(c, s, error)
						   : put(c, s, room, run->id, name);
	if (r == XT_OK && ret_hash)
		sodium_bin2hex(ret_hash, XT_HASH_SIZE, s->hash, XT_ASSET_HASH);
	free(room);
	return client_leave(c, r);
}

int xt_asset_refer(xt_run *run, const char *name, const char *hash)
{
	struct xt_client *c = run->client;
	uint8_t bytes[XT_ASSET_HASH];
	bool absent;

	client_enter(c);
	int r = name && name[0] ? XT_OK : client_fail(c, XT_EINVAL, "no name was given for the asset");
	if (r == XT_OK)
		r = asset_hash(c, hash, bytes);
	if (r == XT_OK)
		r = client_writable(c);
	if (r == XT_OK)
		r = add_ref(c, bytes, run->id, name, &absent);
	return client_leave(c, r);
}

int xt_asset_put(xt_run *run, const char *name, const void *data, size_t size, char ret_hash[XT_HASH_SIZE])
{
	struct source s = {.data = data ? data : "", .fd = -1, .size = size};

	if (!data && size > 0) {
		client_enter(run->client);
		return client_leave(run->client, client_fail(run->client, XT_EINVAL, "no data was given"));
	}
	return put_source(run, name, &s, ret_hash);
}

static int no_file(struct xt_client *c, const char *path, const char *why)
{
	client_enter(c);
	return client_leave(c, client_fail(c, XT_EINVAL, "cannot read '%.300s': %s", path ? path : "", why));
}

int xt_asset_put_file(xt_run *run, const char *name, const char *path, const xt_asset_options *options,
		      char ret_hash[XT_HASH_SIZE])
{
	struct source s = {.path = path, .opt = options};
	struct stat st;

	s.fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
	if (s.fd < 0)
		return no_file(run->client, path, path ? strerror(errno) : "no path was given");
	int r;
	if (fstat(s.fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		r = no_file(run->client, path, "it is not a regular file");
	} else {
		s.size = (uint64_t)st.st_size;
		r = put_source(run, name, &s, ret_hash);
	}
	close(s.fd);
	return r;
}

/* ---- references and orphans --------------------------------------------- */

int xt_asset_delete(xt_client *client, const char *hash, const char *track_id, const char *name, bool force,
		    uint64_t *ret_refs_left)
{
	struct params_asset_drop p = {.has = PARAM_BIT(asset_drop, force), .force = force};
	struct result_asset_drop result = {0};
	uint8_t bytes[XT_ASSET_HASH];
	struct call call = {0};

	client_enter(client);
	int r = asset_hash(client, hash, bytes);
	p.hash = span_of(bytes, sizeof(bytes));
	if (track_id) {
		p.has |= PARAM_BIT(asset_drop, track_id);
		p.track_id = span_str(track_id);
	}
	if (name) {
		p.has |= PARAM_BIT(asset_drop, name);
		p.name = span_str(name);
	}
	if (r == XT_OK)
		r = call_run(client, METHOD_asset_drop, &p, &call, &result, NEVER);
	if (r == XT_OK && ret_refs_left)
		*ret_refs_left = result.refs;
	call_done(&call);
	return client_leave(client, r);
}

int xt_asset_orphans(xt_client *client, bool remove, xt_orphans *ret_orphans)
{
	xt_orphans all = {0};
	int r = XT_OK;

	client_enter(client);
	for (uint64_t part = 0; part < 256 && r == XT_OK; part++) {
		struct params_asset_orphans p = {
			.has = PARAM_BIT(asset_orphans, remove), .part = part, .remove = remove};
		struct result_asset_orphans result = {0};
		struct call call = {0};
		r = call_run(client, METHOD_asset_orphans, &p, &call, &result, NEVER);
		all.files += result.files;
		all.bytes += result.bytes;
		if (result.example.len > 0 && result.example.len < sizeof(all.example) && !all.example[0])
			memcpy(all.example, result.example.data, result.example.len);
		call_done(&call);
	}
	if (r == XT_OK)
		*ret_orphans = all;
	return client_leave(client, r);
}
