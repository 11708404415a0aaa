#include "intake.h"

#include <dirent.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "apply.h"
#include "fate.h"
#include "crash.h"
#include "log.h"
#include "own.h"
#include "runs.h"

#define PIECE_BYTES (256u << 10) /* of a file that are applied in one batch, about */
#define PIECE_ROWS  2000

void intake_init(struct intake *in, const char *database)
{
	*in = (struct intake){.file = {.fd = -1}};
	snprintf(in->dir, sizeof(in->dir), "%s.spool", database);
}

void intake_done(struct intake *in)
{
	if (!in->dir[0])
		return;
	spool_close(&in->file);
	free(in->op);
	in->op = NULL;
}

/* ---- which file ------------------------------------------------------- */

/* Never deleted: what cannot be read may have cost money. */
static void set_aside(const char *path, const char *why)
{
	char aside[PATH_MAX + 16];

	snprintf(aside, sizeof(aside), "%s.damaged", path);
	if (rename(path, aside) == 0)
		log_error("a spool file is damaged and was set aside path=\"%s\" error=\"%s\"", aside, why);
}

/* A file is its owner's word, as a socket's peer is: rows are taken from whom the daemon serves, and, in a
 * directory that it made for a group, from whoever could put a file there. */
static bool may_log(const struct intake *in, const struct store *s)
{
	struct stat dir;

	if (own_trusts(in->file.uid, s->path))
		return true;
	return stat(in->dir, &dir) == 0 && dir.st_uid == geteuid() && (dir.st_mode & S_ISGID);
}

/* Opens a file if it is an orphan. */
static bool open_orphan(struct intake *in, const struct store *s, const char *name, struct intake_report *ret)
{
	int r = spool_adopt(&in->file, in->dir, name);

	if (r == 0 && !may_log(in, s)) {
		spool_close(&in->file);
		r = -EPERM;
	}
	if (r == -EAGAIN)
		ret->owned++;
	else if (r == -EBADMSG)
		set_aside(in->file.path, "it has no valid head");
	else if (r < 0 && r != -ENOENT)
		log_warn("a spool file cannot be taken in path=\"%s\" error=\"%s\"", in->file.path,
			 strerror(-r));
	return r == 0;
}

/* Opens the next orphan. False: there is none. */
static bool open_next(struct intake *in, const struct store *s, struct intake_report *ret)
{
	uint8_t client[XT_CLIENT_ID];
	DIR *d = opendir(in->dir);
	struct dirent *e;
	bool found = false;

	while (d && !found && (e = readdir(d)))
		found = spool_client(e->d_name, client) && open_orphan(in, s, e->d_name, ret);
	if (d)
		rewinddir(d);
	while (d && (e = readdir(d))) {
		ret->damaged += strlen(e->d_name) > SPOOL_NAME && e->d_name[0] != '.';
		if (spool_clear(in->dir, e->d_name))
			log_info("a spool file that nobody finished was removed path=\"%s/%s\"", in->dir,
				 e->d_name);
	}
	if (d)
		closedir(d);
	return found;
}

/* The file belongs to a database that is no longer here, or the database went back in time: rows up to
 * its first number are not known. What is in the file is stored all the same, numbered from 1 under an
 * id that is always the same for this file and database, so that nothing is stored twice. */
static void take_new_id(struct intake *in, const struct store *s, uint64_t first)
{
	crypto_generichash_state state;

	crypto_generichash_init(&state, NULL, 0, XT_CLIENT_ID);
	crypto_generichash_update(&state, in->file.head.client, XT_CLIENT_ID);
	crypto_generichash_update(&state, s->database_id, XT_CLIENT_ID);
	crypto_generichash_final(&state, in->client.id, XT_CLIENT_ID);
	in->shift = first - 1;
}

static int begin_file(struct intake *in, struct work *w, struct intake_report *ret, struct xt_err *err)
{
	struct spool_record first;

	if (in->file.fd >= 0)
		return 1;
	if (!open_next(in, w->store, ret))
		return 0;
	in->committed = SPOOL_HEAD;
	in->at_end = in->damaged = false;
	in->shift = 0;
	in->client.uid = in->file.uid;
	memcpy(in->client.id, in->file.head.client, XT_CLIENT_ID);
	if (spool_read(&in->file, &first) == 1 && first.seq > 0) {
		const struct client *c = clients_find(w->store, &in->client, err);
		if (!c)
			return -1;
		if (first.seq > c->mark + 1)
			take_new_id(in, w->store, first.seq);
	}
	spool_seek(&in->file, SPOOL_HEAD);
	log_info("taking in a spool file path=\"%s\" uid=%u bytes=%llu", in->file.path,
		 (unsigned)in->file.uid, (unsigned long long)in->file.end);
	return 1;
}

/* ---- records ---------------------------------------------------------- */

/* Only what a client may leave behind is applied: rows and other numbered changes, and a goodbye. */
static bool may_be_spooled(const struct wire_msg *msg, const struct spool_record *rec)
{
	if (msg->kind == WIRE_RESPONSE || !msg->method)
		return false;
	return rec->rows > 0 ? (msg->method->flags & METHOD_SEQ) != 0 : msg->method->id == METHOD_bye;
}

/* The record as a message that nobody waits for. */
static int make_op(struct intake *in, const struct spool_record *rec, struct xt_err *err)
{
	struct span body = span_of(rec->frame.data + FRAME_HEADER, rec->frame.len - FRAME_HEADER);
	struct wire_msg msg = {0};
	uint64_t seq;

	if (!in->op && !(in->op = malloc(sizeof(*in->op) + PROTO_MAX_PARAMS)))
		return xt_err_set(err, XT_E_busy, NULL, "the daemon is out of memory");
	struct op *op = in->op;
	memset(op, 0, sizeof(*op));
	op->check_utf8 = wire_open(body, &msg, err) < 0 && err->code == XT_E_bad_utf8;
	if ((!op->check_utf8 && !msg.method) || !may_be_spooled(&msg, rec))
		return xt_err_set(err, XT_E_bad_message, NULL,
				  "a record is no message that a client may spool");
	op->method = msg.method;
	op->client = in->client;
	if (wire_decode(&msg.method->params, msg.params, op->params, err) < 0)
		return -1;
	if (rec->rows == 0)
		return 0;
	uint8_t *at = op->params + msg.method->params.fields[0].offset;
	memcpy(&seq, at, sizeof(seq));
	if (seq != rec->seq || seq <= in->shift)
		return xt_err_set(err, XT_E_bad_message, NULL, "a record has the number of another");
	seq -= in->shift;
	memcpy(at, &seq, sizeof(seq));
	return 0;
}

/* Its connection ended without the goodbye that is here: that was no crash. */
static int take_back_crash(const struct intake *in, struct work *w, struct xt_err *err)
{
	return fate_returned(w, &in->client, err);
}

/* One record. 1: applied, 0: the file ends here; -1: the batch cannot go on. */
static int apply_record(struct intake *in, struct work *w, struct xt_err *err)
{
	struct spool_record rec;
	struct xt_err bad = {0};
	uint64_t start = in->file.at;
	int r = spool_read(&in->file, &rec);

	if (r == 1 && make_op(in, &rec, &bad) < 0)
		r = bad.code == XT_E_busy ? -ENOMEM : -EBADMSG;
	if (r < 0 && r != -EBADMSG) { /* no memory, or the disk: the file may be as good as ever */
		log_warn("a spool file cannot be read now path=\"%s\" error=\"%s\"", in->file.path,
			 strerror(-r));
		spool_seek(&in->file, start);
		in->stuck = true;
		return 0;
	}
	if (r <= 0) {
		in->at_end = true;
		in->damaged = r < 0;
		return 0;
	}
	r = rec.rows == 0 ? take_back_crash(in, w, err) : 0;
	if (r == 0)
		r = work_apply(w, in->op, err);
	bool gap = in->op->close;
	bool again = in->op->more; /* behind a row that breaks the transaction: in the next batch */
	buf_done(&in->op->out);
	if (r < 0)
		return -1;
	if (again)
		spool_seek(&in->file, start);
	if (gap)
		in->at_end = in->damaged = true;
	return again || gap ? 0 : 1;
}

/* The file is through. Its owner let go of it, so its process has ended; how, a goodbye has told. */
static int end_client(const struct intake *in, struct work *w, struct xt_err *err)
{
	struct client *c = clients_find(w->store, &in->client, err);

	if (!c || clients_settle(w->store, c, err) < 0)
		return -1;
	return c->connected ? 0 : fate_crashed(w, &in->client, FATE_AWAY, err);
}

int intake_apply(struct intake *in, struct work *w, struct intake_report *ret, struct xt_err *err)
{
	struct op *outer = w->op;
	struct client *sender = w->client;
	uint64_t rows = w->stored + w->rejected, stored = w->stored;
	int r = begin_file(in, w, ret, err);

	if (r <= 0)
		return r;
	uint64_t from = in->file.at;
	in->stuck = false;
	while ((r = apply_record(in, w, err)) > 0 && !w->met && in->file.at - from < PIECE_BYTES &&
	       w->stored + w->rejected - rows < PIECE_ROWS)
		crash_point("in a spool file");
	if (r < 0)
		return -1; /* w->op and w->client name the culprit */
	if (in->at_end && crash_defect("spool removed before its commit"))
		unlink(in->file.path);
	if (in->at_end && end_client(in, w, err) < 0)
		return -1;
	w->op = outer;
	w->client = sender;
	w->events = outer ? &outer->out : NULL;
	ret->rows = w->stored - stored;
	ret->more = !in->stuck; /* else it is tried again after a while */
	return 0;
}

void intake_committed(struct intake *in, struct store *s)
{
	struct xt_err ignored;

	if (in->file.fd < 0)
		return;
	in->committed = in->file.at;
	if (!in->at_end)
		return;
	if (in->damaged)
		set_aside(in->file.path, "a record in it makes no sense");
	else
		log_info("a spool file is taken in path=\"%s\"", in->file.path);
	crash_point("before a spool file is removed");
	struct client *c = clients_find(s, &in->client, &ignored);
	if (c)
		clients_drop(s, c);
	if (in->damaged)
		spool_close(&in->file);
	else
		spool_remove(&in->file);
}

void intake_rolled_back(struct intake *in)
{
	if (in->file.fd < 0)
		return;
	spool_seek(&in->file, in->committed);
	in->at_end = in->damaged = false;
}
