/* One entry of the cache, and its value. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "cached.h"
#include "facts.h"
#include "json.h"
#include "parts.h"

struct shown {
	xt_cache_item item;
	xt_cached cached;
	struct parts parts;
	bool has_parts;	 /* they could be read */
	struct buf json; /* owned: the value as JSON; empty: it is no MessagePack */
};

/* ---- bytes ------------------------------------------------------------ */

static int write_file(struct ctl *ctl, const char *path, const xt_cached *c)
{
	int flags = O_WRONLY | O_CREAT | O_CLOEXEC | (ctl->options.force ? O_TRUNC : O_EXCL);
	struct out file;

	int fd = open(path, flags, 0666);
	if (fd < 0)
		return ctl_error(ctl, "cannot write '%s': %s%s", path, strerror(errno),
				 errno == EEXIST ? "; --force replaces it" : "");
	if (out_open(&file, fd, ctl_stop_flag()) < 0) {
		close(fd);
		return ctl_no_memory(ctl);
	}
	fwrite(c->value, 1, c->size, file.file);
	int error = out_close(&file);
	if (close(fd) < 0 && error == 0)
		error = errno;
	if (error == EINTR)
		return CTL_INTERRUPTED;
	if (error)
		return ctl_error(ctl, "cannot write '%s': %s; it is incomplete", path, strerror(error));
	ctl_note(ctl, "%zu bytes written to '%s'", c->size, path);
	return CTL_OK;
}

static int write_raw(struct ctl *ctl, const xt_cached *c)
{
	if (ctl->n_args > 1)
		return write_file(ctl, ctl->args[1], c);
	if (ctl->out.terminal)
		return ctl_error(
			ctl, "the value is bytes, which are not for a terminal; give a FILE, or redirect");
	fwrite(c->value, 1, c->size, ctl->out.file);
	return CTL_OK;
}

/* ---- for people ------------------------------------------------------- */

static void print_text(struct ctl *ctl, const char *label, const char *text)
{
	xt_value v = xt_text(text);

	fact_print(ctl->out.file, label, FACT_PLAIN, &v);
}

static void print_count(struct ctl *ctl, const char *label, enum fact_unit unit, uint64_t n)
{
	xt_value v = xt_uint(n);

	fact_print(ctl->out.file, label, unit, &v);
}

/* Each argument or parameter on a line of its own. */
static void print_components(struct ctl *ctl, const char *what, struct span map)
{
	struct reader r = reader_of(map);
	struct token head = {0}, key = {0};

	if (reader_next(&r, &head) < 0)
		return;
	for (uint32_t i = 0; i < head.count && reader_next(&r, &key) == 0; i++) {
		struct buf text = {0};
		parts_put_component(&text, reader_skip(&r), false);
		fprintf(ctl->out.file, "%s ", what);
		text_put(ctl->out.file, (const char *)key.bytes.data, key.bytes.len, SIZE_MAX);
		fputs(" = ", ctl->out.file);
		text_put(ctl->out.file, (const char *)text.data, text.len, SIZE_MAX);
		fputc('\n', ctl->out.file);
		buf_done(&text);
	}
}

static void print_value(struct ctl *ctl, const struct shown *s)
{
	char size[COUNT_BYTES], line[160];

	if (s->json.len > 0) {
		fputs("value ", ctl->out.file);
		text_put(ctl->out.file, (const char *)s->json.data, s->json.len, SIZE_MAX);
		fputc('\n', ctl->out.file);
		return;
	}
	snprintf(line, sizeof(line), "%s of %.64s; --raw or a FILE gets them",
		 text_bytes(size, s->cached.size),
		 s->cached.encoding[0] ? s->cached.encoding : "bytes that are no MessagePack");
	print_text(ctl, "value", line);
}

static void print_human(struct ctl *ctl, const struct shown *s)
{
	char key[KEY_TEXT], text[TIME_BYTES];
	xt_value seconds = xt_real(s->item.function_time);

	print_text(ctl, "key", key_text(key, s->item.key, KEY_TEXT - 1));
	print_text(ctl, "function", s->item.function[0] ? s->item.function : "(not told)");
	print_text(ctl, "track_id", s->item.origin);
	print_count(ctl, "uid", FACT_PLAIN, s->item.uid);
	print_text(ctl, "created", text_time(text, s->item.created_us));
	fact_print(ctl->out.file, "function_time", FACT_PLAIN, &seconds);
	print_count(ctl, "size", FACT_BYTES, s->item.size);
	print_count(ctl, "hits", FACT_COUNT, s->item.hits);
	if (s->item.hits > 0)
		print_text(ctl, "last_use", text_time(text, s->item.last_use_us));
	print_text(ctl, "encoding", s->cached.encoding[0] ? s->cached.encoding : "MessagePack");
	print_text(ctl, "checksum", s->item.sound ? "right" : "wrong: the entry is damaged");
	if (s->has_parts) {
		struct buf version = {0};
		parts_put_component(&version, s->parts.version, false);
		buf_add(&version, "", 1);
		if (!buf_failed(&version) && strcmp((const char *)version.data, "null") != 0)
			print_text(ctl, "version", (const char *)version.data);
		buf_done(&version);
		print_components(ctl, "argument", s->parts.args);
		print_components(ctl, "parameter", s->parts.params);
	}
	print_value(ctl, s);
}

/* ---- as JSON ---------------------------------------------------------- */

static void put_member(FILE *f, const char *name, xt_value v)
{
	fprintf(f, "\"%s\": ", name);
	json_print(f, &v);
	fputs(", ", f);
}

static void put_json(struct ctl *ctl, const char *name, const struct buf *json, const char *after)
{
	fprintf(ctl->out.file, "\"%s\": ", name);
	if (json->len == 0)
		fputs("null", ctl->out.file);
	else
		cached_put_json(ctl, json->data, json->len);
	fputs(after, ctl->out.file);
}

static void print_json(struct ctl *ctl, const struct shown *s)
{
	struct buf version = {0}, args = {0}, params = {0};
	char key[KEY_TEXT], text[TIME_BYTES];
	FILE *f = ctl->out.file;

	if (s->has_parts) {
		parts_put_component(&version, s->parts.version, true);
		parts_put_map(&args, s->parts.args);
		parts_put_map(&params, s->parts.params);
	}
	fputc('{', f);
	put_member(f, "key", xt_text(key_text(key, s->item.key, KEY_TEXT - 1)));
	put_member(f, "function", s->item.function[0] ? xt_text(s->item.function) : xt_null());
	put_member(f, "track_id", xt_text(s->item.origin));
	put_member(f, "uid", xt_uint(s->item.uid));
	put_member(f, "created", xt_text(text_time(text, s->item.created_us)));
	put_member(f, "function_time", xt_real(s->item.function_time));
	put_member(f, "size", xt_uint(s->item.size));
	put_member(f, "hits", xt_uint(s->item.hits));
	put_member(f, "last_use",
		   s->item.hits > 0 ? xt_text(text_time(text, s->item.last_use_us)) : xt_null());
	put_member(f, "encoding", xt_text(s->cached.encoding));
	put_member(f, "sound", xt_bool(s->item.sound));
	put_json(ctl, "version", &version, ", ");
	put_json(ctl, "args", &args, ", ");
	put_json(ctl, "params", &params, ", ");
	put_json(ctl, "value", &s->json, "}\n");
	buf_done(&version);
	buf_done(&args);
	buf_done(&params);
}

/* ---- the command ------------------------------------------------------ */

static void read_value(struct shown *s)
{
	struct span value = span_of(s->cached.value, s->cached.size);
	struct reader r = reader_of(value);
	struct xt_err err;

	if (s->cached.encoding[0] == '\0' && value.len > 0 && wire_scan(value, &err) == 0)
		json_put(&s->json, &r);
}

static int get(struct ctl *ctl, xt_client *client)
{
	uint8_t key[XT_KEY_BYTES];
	struct shown s = {0};

	int status = key_find_one(ctl, client, ctl->args[0], key);
	if (status != CTL_OK)
		return status;
	int r = xt_cache_read(client, key, &s.item, &s.cached);
	if (r == XT_DONE)
		return ctl_error(ctl, "the entry '%s' was deleted meanwhile", ctl->args[0]);
	if (r != XT_OK)
		return ctl_fail(ctl, client, r);
	if (ctl->options.raw || ctl->n_args > 1)
		return write_raw(ctl, &s.cached);
	s.has_parts = parts_read(span_of(s.item.parts, s.item.parts_size), &s.parts) == 0;
	read_value(&s);
	if (buf_failed(&s.json))
		status = ctl_no_memory(ctl);
	else if (ctl->options.json)
		print_json(ctl, &s);
	else
		print_human(ctl, &s);
	buf_done(&s.json);
	return status;
}

static int cache_get(struct ctl *ctl)
{
	return ctl_with_client(ctl, get);
}

const struct command cache_get_command = {
	.name = "cache get",
	.usage = "KEY [FILE]",
	.summary = "all about one entry, and its value",
	.help = "Also the arguments and parameters that its key was made from, and the value, MessagePack as "
		"JSON. --raw writes the value's bytes; FILE puts them into a file, where --force replaces "
		"one that is there.",
	.options = OPT_JSON | OPT_RAW | OPT_REPLACE,
	.least = 1,
	.most = 2,
	.is_arg = prefix_is,
	.run = cache_get,
};
