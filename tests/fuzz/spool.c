/*
 * Spool files: whatever their bytes are, the reader gives the records that are whole, in order, and then
 * says how the file ends. Checksums are nothing that a fuzzer finds, so unless the first byte asks for the
 * bytes as they are, they are put right before; and then, if it asks for that, one byte is put wrong: the
 * records before it are read, those after it never as others.
 */
#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "spool.h"
#include "temp_dir.h"
#include "token.h"

#define CHECKSUM     16
#define RECORD_HEAD  20
#define MOST_RECORDS 64

/* What the first byte asks for. */
#define AS_IT_IS 1 /* no checksums are put right */
#define FLIP	 2 /* one byte is put wrong, the two bytes behind the first say which */
#define CUT	 4 /* the file ends there */

/* ---- the bytes -------------------------------------------------------- */

static void put_checksum(uint8_t *start, size_t len)
{
	crypto_generichash(start + len, CHECKSUM, start, len, NULL, 0);
}

/* Makes every record that fits whole and valid, as far as its numbers allow it. */
static void put_right(uint8_t *file, size_t size)
{
	size_t at = SPOOL_HEAD;

	if (size < SPOOL_HEAD)
		return;
	memcpy(file, "xtspool1", 8);
	put_checksum(file, SPOOL_HEAD - CHECKSUM);
	while (size - at >= SPOOL_OVERHEAD) {
		uint8_t *r = file + at;
		size_t len = (size_t)r[0] << 24 | (size_t)r[1] << 16 | (size_t)r[2] << 8 | r[3];
		if (len > size - at - SPOOL_OVERHEAD)
			return;
		put_checksum(r, RECORD_HEAD + len);
		memcpy(r + RECORD_HEAD + len + CHECKSUM, r, 4);
		at += SPOOL_OVERHEAD + len;
	}
}

/* ---- the reader of bytes ---------------------------------------------- */

/* Where the records of a file lie, as spool_next() finds them. */
struct found {
	size_t n;
	size_t ends[MOST_RECORDS + 1]; /* ends[i]: of the file's head and i records */
	enum spool_status last;	       /* what came behind them */
};

/* A record encoded again is the same bytes, and no part of it is a record. */
static void check_record(struct span in, const struct spool_record *r)
{
	struct buf again = {0};
	struct spool_record cut;
	size_t size;

	assert(r->frame.data == in.data + RECORD_HEAD && r->frame.len + SPOOL_OVERHEAD == in.len);
	assert(r->frame.len > FRAME_HEADER && r->frame.len <= FRAME_HEADER + XT_MAX_FRAME);
	assert(r->rows == 0 ? r->seq == 0 : r->seq > 0 && r->seq_off + UINT64_C(8) <= r->frame.len);
	spool_put_record(&again, r);
	assert(!buf_failed(&again) && span_eq(buf_span(&again), in));
	buf_done(&again);
	for (size_t n = 0; n < in.len; n += 1 + in.len / 64) {
		uint8_t *copy = malloc(n ? n : 1);
		assert(copy);
		memcpy(copy, in.data, n);
		assert(spool_next(span_of(copy, n), &cut, &size) == SPOOL_MORE && size > n);
		free(copy);
	}
}

static void find(struct span file, struct found *ret)
{
	struct spool_record r;
	size_t size = 0;

	*ret = (struct found){.ends = {SPOOL_HEAD}, .last = SPOOL_MORE};
	while (file.len >= SPOOL_HEAD && ret->n < MOST_RECORDS) {
		struct span in = span_of(file.data + ret->ends[ret->n], file.len - ret->ends[ret->n]);
		ret->last = spool_next(in, &r, &size);
		assert(size >= SPOOL_OVERHEAD && (ret->last != SPOOL_MORE || size > in.len));
		if (ret->last != SPOOL_RECORD)
			return;
		assert(size <= in.len);
		check_record(span_of(in.data, size), &r);
		ret->ends[ret->n + 1] = ret->ends[ret->n] + size;
		ret->n++;
	}
}

/* ---- the reader of files ---------------------------------------------- */

static void write_file(const char *name, struct span bytes)
{
	char path[4200];

	snprintf(path, sizeof(path), "%s/%s", temp_dir(), name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert(fd >= 0 && write(fd, bytes.data, bytes.len) == (ssize_t)bytes.len);
	close(fd);
}

static void remove_file(const char *name)
{
	char path[4200];

	snprintf(path, sizeof(path), "%s/%s", temp_dir(), name);
	assert(unlink(path) == 0);
}

/* Reads what find() found, and ends as that did: a last record may be torn, one in the middle not. */
static void check_reading(struct spool *s, struct span file, const struct found *f)
{
	struct spool_record r;
	int status = 1;

	for (size_t i = 0; i < f->n; i++) {
		assert(s->at == f->ends[i] && spool_read(s, &r) == 1 && s->at == f->ends[i + 1]);
		assert(span_eq(r.frame, span_of(file.data + f->ends[i] + RECORD_HEAD, r.frame.len)));
	}
	if (f->n == MOST_RECORDS)
		return;
	status = spool_read(s, &r);
	assert(status == 0 || (status == -EBADMSG && f->last == SPOOL_BAD));
	assert(spool_read(s, &r) == status && s->at == f->ends[f->n]);
}

static bool look(const struct spool_facts *f, void *data)
{
	const struct span *file = data;

	assert(f->state == SPOOL_ORPHAN && f->bytes == file->len && f->uid == geteuid());
	assert((f->first == 0) == (f->last == 0) && f->first <= f->last);
	return true;
}

static void check_file(struct span file, const struct found *f)
{
	uint8_t client[XT_CLIENT_ID] = {0};
	char name[SPOOL_NAME + 1];
	struct spool_head head;
	struct spool s;

	if (file.len >= 8 + XT_CLIENT_ID)
		memcpy(client, file.data + 8, XT_CLIENT_ID);
	spool_name(client, name);
	write_file(name, file);
	int r = spool_adopt(&s, temp_dir(), name);
	assert(r == (spool_get_head(file, &head) == 0 ? 0 : -EBADMSG));
	if (r == 0) {
		check_reading(&s, file, f);
		if (f->n > 0) { /* once more from the middle */
			spool_seek(&s, f->ends[f->n / 2]);
			struct spool_record record;
			assert(spool_read(&s, &record) == 1 && s.at == f->ends[f->n / 2 + 1]);
		}
	}
	assert(spool_list(temp_dir(), look, &file) == 0);
	spool_close(&s);
	remove_file(name);
}

/* What lies before the byte that was put wrong is as it was, and nothing behind it is a record. */
static void check_flipped(const struct found *before, const struct found *after, size_t at)
{
	size_t whole = 0;

	while (whole < before->n && before->ends[whole + 1] <= at)
		whole++;
	assert(after->n == whole && memcmp(after->ends, before->ends, (whole + 1) * sizeof(size_t)) == 0);
}

static void check_bytes(uint8_t *file, size_t size, bool flip, size_t at)
{
	struct found before, after;

	find(span_of(file, size), &before);
	check_file(span_of(file, size), &before);
	if (!flip || at < SPOOL_HEAD || at >= size)
		return;
	file[at] ^= 0x20;
	find(span_of(file, size), &after);
	if (before.n < MOST_RECORDS && at < before.ends[before.n])
		check_flipped(&before, &after, at);
	check_file(span_of(file, size), &after);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size);
	uint8_t asked = take_byte(&in);
	size_t at = (size_t)take_byte(&in) << 8;

	at |= take_byte(&in);
	if (sodium_init() < 0)
		abort();
	uint8_t *file = malloc(in.len ? in.len : 1);
	assert(file);
	if (in.len > 0)
		memcpy(file, in.data, in.len);
	if (!(asked & AS_IT_IS))
		put_right(file, in.len);
	check_bytes(file, (asked & CUT) && at < in.len ? at : in.len, asked & FLIP, at);
	free(file);
	return 0;
}
