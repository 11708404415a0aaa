/*
 * xt-dump markdown|json|dict: prints the tables of methods.def.
 *
 * markdown is docs/protocol.md, json is for other languages and for tests, dict is a
 * dictionary for libFuzzer. The worked example is made by the encoder itself.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "wire.h"

static const struct {
	const char *name;
	long long value;
	const char *doc;
} limits[] = {
#define LIMIT(name, value, doc) {#name, value, doc},
#include "methods.def"
};

static const char *const kind_names[] = {"request", "notification", "either", "event"};
static const char *const thread_names[] = {"loop", "writer", "reader", "client"};
static const char *const type_names[] = {"u64", "i64", "bool", "str", "bin", "map", "array", "any"};
static const struct {
	unsigned bit;
	const char *name;
} flag_names[] = {{METHOD_EARLY, "early"},
		  {METHOD_SEQ, "seq"},
		  {METHOD_WRITE, "write"},
		  {METHOD_FILES, "files"},
		  {METHOD_VIEW, "view"}};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Limits are constants in C, and called as the texts of errors call them everywhere else. */
static void put_lower(const char *s)
{
	for (; *s; s++)
		putchar(*s >= 'A' && *s <= 'Z' ? *s - 'A' + 'a' : *s);
}

static bool is_number(const struct field_desc *f)
{
	return f->type == TYPE_U64 || f->type == TYPE_I64;
}

/* Lengths are checked of text and bytes only; containers are bounded by the message. */
static bool is_measured(const struct field_desc *f)
{
	return f->type == TYPE_STR || f->type == TYPE_BIN;
}

/* ---- markdown --------------------------------------------------------- */

static const char intro[] =
	"# The protocol\n\n"
	"How a client talks to `xetrackd`. This page is printed by `xt-dump markdown` from\n"
	"`proto/methods.def`, the only declaration of the protocol; do not edit it. `xt-dump json`\n"
	"prints the same tables for programs, and `tests/vectors/` holds examples in bytes, valid and\n"
	"invalid, for the tests of a client in another language.\n\n"
	"## Connection\n\n"
	"A stream socket in the file system (`AF_UNIX`, `SOCK_STREAM`). Its path is `$XETRACK_SOCKET`\n"
	"if that is set; else the one on the line `socket PATH` of the text file `<database>.lock`;\n"
	"else `$XDG_RUNTIME_DIR/xetrack/<hash>.sock`, or `xetrack-<uid>/<hash>.sock` in `$TMPDIR` or\n"
	"`/tmp`, where `<hash>` is the BLAKE2b of the database's real path, 16 bytes in hexadecimal. The\n"
	"lock file has a line `state down` while nobody is to start the daemon.\n\n"
	"## Frames\n\n"
	"Both directions carry frames: a length of 4 bytes, big-endian, then that many bytes, which are\n"
	"one MessagePack value. A length of 0 or above `max_frame` ends the connection. Before anything\n"
	"is decoded a frame is walked once: it must hold exactly one value, with no more than\n"
	"`max_items` values and `max_depth` arrays and maps inside each other, and its text must be\n"
	"UTF-8. Any width of integer, length or float that holds a value is allowed for it.\n\n"
	"## Messages\n\n"
	"The form is that of MessagePack-RPC:\n\n"
	"    request       [0, msgid, method, [params]]\n"
	"    response      [1, msgid, error, result]\n"
	"    notification  [2, method, [params]]\n\n"
	"`msgid` is any unsigned 32-bit number of the client's choice that is not in use by another of\n"
	"its requests; the response repeats it. Responses may arrive in another order than the\n"
	"requests. `params` is one map of named fields; `[]` stands for `[{}]`. `result` is a map too.\n"
	"In a response one of `error` and `result` is nil. The daemon sends notifications (below:\n"
	"events) of its own; a client ignores events that it does not know.\n\n"
	"A field that is not known is ignored, one that occurs twice is refused. New fields are always\n"
	"optional, so that both sides can be upgraded alone.\n\n"
	"## Handshake\n\n"
	"The first message is the request `hello`. It names the client by 16 random bytes that it keeps\n"
	"for as long as it lives, over every reconnect, and the highest protocol version it speaks. The\n"
	"answer holds the version that both speak from then on, the identity of the database, and the\n"
	"client's mark. Two processes never share a client id; after `fork` the child draws its own.\n\n"
	"## Sequence numbers, marks and acknowledgements\n\n"
	"Every row and every other change (methods with the flag *seq*) has a sequence number, counted\n"
	"by the client from 1 without gaps. The *mark* is the number of the client's last change that\n"
	"is on disk; it is committed in the same transaction as the change. So:\n\n"
	"- `mark + 1` applies. A refused change uses up its number all the same.\n"
	"- A number at or below the mark was applied before: it is acknowledged again and dropped. Of a\n"
	"  `log` whose rows lie on both sides of the mark, those above it apply.\n"
	"- A number above `mark + 1` is `seq_gap`, and the connection is closed.\n\n"
	"A client keeps what it sent until an `ack` covers it. An `ack` says that everything up to its\n"
	"number is on disk (at the durability that `status` shows), or was rejected and told so by a\n"
	"`reject` that came before it. After a reconnect the client says `hello`, drops what the mark\n"
	"covers, and sends the rest again with the numbers that it had: nothing is lost, nothing is\n"
	"stored twice.\n\n"
	"When `database_id` is not the one that the client knew, or the mark is below what was already\n"
	"acknowledged, the file was replaced by another or an older one. The client then draws a new\n"
	"id, numbers its unacknowledged rows from 1 and sends those.\n\n"
	"## The outbox\n\n"
	"Some answers are more than an `ack`: a `reject`, the name of a new run, the number of rows that\n"
	"a statement changed. The daemon commits them to `xt_outbox` in the transaction of the change\n"
	"itself and sends them again after each `hello`, as `reject` and `answer`, until the client says\n"
	"by `confirm` that it has everything up to a number. A request that is sent again with a number\n"
	"at or below the mark gets the answer of the first time.\n\n"
	"## Rows\n\n"
	"`rows` of a `log` is an array of maps from key to value; or, with `columns`, an array of arrays\n"
	"that have one value a column. Integers from -2^63 to 2^63 - 1 are stored as they are, larger\n"
	"ones are rejected as `out_of_range`; floats are stored as they are but NaN, which is null; bin\n"
	"becomes a blob, arrays and maps JSON text. A row that cannot be stored is rejected alone, the\n"
	"rest of its message is stored. When it is the message that cannot be stored, such as for the\n"
	"name of its table, each of its rows is rejected.\n\n"
	"## Queries\n\n"
	"`query` opens a cursor that is called by the `msgid` of the request and belongs to the\n"
	"connection; `fetch` asks for one page after another until `done`. `cancel` stops it, also while\n"
	"a page is being computed; a client that has lost interest must say so or close the connection.\n"
	"`after`, set to the client's last sequence number, lets it read its own writes.\n\n"
	"## Errors\n\n"
	"An error is a map: `code`, one of the names below; `message`, a sentence for people; and\n"
	"`field` where there is one that it is about. Codes are stable, sentences are not. A request\n"
	"that fails leaves the connection as it was, except where the table says that it is closed.\n"
	"A stream that cannot be parsed any further is closed after a response that says why; its\n"
	"`msgid` means nothing where none could be read.\n\n";

static void put_flags(const struct method_desc *m, const char *before, const char *quote, const char *between)
{
	const char *sep = before;

	for (size_t i = 0; i < COUNT(flag_names); i++) {
		if (!(m->flags & flag_names[i].bit))
			continue;
		printf("%s%s%s%s", sep, quote, flag_names[i].name, quote);
		sep = between;
	}
}

static void put_bound(int64_t min, uint64_t max)
{
	if (min == INT64_MIN)
		printf("-2^63 to ");
	else
		printf("%" PRId64 " to ", min);
	if (max == UINT64_MAX)
		printf("2^64 - 1");
	else if (max == INT64_MAX)
		printf("2^63 - 1");
	else if (max == UINT32_MAX)
		printf("2^32 - 1");
	else
		printf("%" PRIu64, max);
}

static void md_shape(const char *title, const struct shape_desc *shape)
{
	if (shape->count == 0)
		return;
	printf("| %s | type | | bounds | meaning |\n|---|---|---|---|---|\n", title);
	for (size_t i = 0; i < shape->count; i++) {
		const struct field_desc *f = &shape->fields[i];
		printf("| `%s` | %s | %s | ", f->name, type_names[f->type],
		       f->required ? "required" : "optional");
		if (is_measured(f) && f->min >= 0 && (uint64_t)f->min == f->max)
			printf("%" PRIu64 " bytes", f->max);
		else if (is_number(f) || is_measured(f))
			put_bound(f->min, f->max);
		if (is_measured(f) && (uint64_t)f->min != f->max)
			printf(" bytes");
		printf(" | %s |\n", f->doc);
	}
	putchar('\n');
}

static void md_methods(void)
{
	printf("## Methods\n\n"
	       "*request*: asked by the client and answered. *notification*: sent by the client, never\n"
	       "answered. *either*: answered when sent as a request. *event*: sent by the daemon, never\n"
	       "answered. The thread is the daemon's that handles it. Flags: *early*, allowed before\n"
	       "`hello`; *seq*, carries a sequence number and applies exactly once; *write*, refused to a\n"
	       "peer or a database that may only be read; *files*, makes a file in the name of the\n"
	       "daemon's user, for that user and root only, also of a database that may only be read;\n"
	       "*view*, sees the database as it is: starts when what anybody had sent before it is\n"
	       "stored, or a second later.\n"
	       "Types are MessagePack's; u64 and i64 are integers, any is whatever value.\n\n"
	       "| id | method | kind | thread | flags |\n|---|---|---|---|---|\n");
	for (size_t i = 0; i < proto_n_methods; i++) {
		const struct method_desc *m = &proto_methods[i];
		printf("| %d | [`%s`](#%s) | %s | %s |", (int)m->id, m->name, m->name, kind_names[m->kind],
		       thread_names[m->thread]);
		put_flags(m, " ", "", ", ");
		printf(" |\n");
	}
	putchar('\n');
	for (size_t i = 0; i < proto_n_methods; i++) {
		const struct method_desc *m = &proto_methods[i];
		printf("### %s\n\n%s, id %d. %s\n\n", m->name, kind_names[m->kind], (int)m->id, m->doc);
		md_shape("field", &m->params);
		md_shape("result", &m->result);
	}
}

static void put_token(const struct token *t)
{
	switch (t->type) {
	case TOKEN_NIL:
		printf("nil");
		break;
	case TOKEN_BOOL:
		printf("%s", t->boolean ? "true" : "false");
		break;
	case TOKEN_INT:
		printf("%" PRId64, t->integer);
		break;
	case TOKEN_UINT:
		printf("%" PRIu64, t->uinteger);
		break;
	case TOKEN_REAL:
		printf("%g", t->real);
		break;
	case TOKEN_STR:
		printf("\"%.*s\"", SPAN_ARG(t->bytes));
		break;
	case TOKEN_BIN:
		printf("bin of %zu bytes", t->bytes.len);
		break;
	case TOKEN_EXT:
		printf("ext of %zu bytes", t->bytes.len);
		break;
	case TOKEN_ARRAY:
		printf("array of %" PRIu32, t->count);
		break;
	case TOKEN_MAP:
		printf("map of %" PRIu32, t->count);
		break;
	}
}

/* Eight bytes a line, what they mean behind the first of them. */
static void md_bytes(const uint8_t *from, const uint8_t *to, const struct token *meaning)
{
	for (const uint8_t *line = from; line < to; line += 8) {
		int width = 0;
		printf("    ");
		for (const uint8_t *p = line; p < to && p < line + 8; p++)
			width += printf(p == line ? "%02x" : " %02x", *p);
		if (line == from) {
			printf("%*s", 26 - width, "");
			if (meaning)
				put_token(meaning);
			else
				printf("length: %zu bytes follow", (size_t)from[2] << 8 | from[3]);
		}
		putchar('\n');
	}
}

/* One frame, a line a value, and empties the buffer. */
static int md_frame(const char *title, struct buf *b)
{
	struct span body;
	size_t size;

	if (buf_failed(b) || frame_next(buf_span(b), XT_MAX_FRAME, &body, &size) != FRAME_OK)
		return -1;
	printf("%s\n\n", title);
	md_bytes(b->data, body.data, NULL);
	for (struct reader r = reader_of(body); r.at < r.end;) {
		const uint8_t *start = r.at;
		struct token t;
		if (reader_next(&r, &t) < 0)
			return -1;
		md_bytes(start, r.at, &t);
	}
	putchar('\n');
	buf_clear(b);
	return 0;
}

static int md_example(void)
{
	static const uint8_t client[XT_CLIENT_ID] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
	static const uint8_t rows[] = {0x91, 0x82, 0xa4, 'l', 'o', 's', 's',  0xcb, 0x3f, 0xd0,
				       0,    0,	   0,	 0,   0,   0,	0xa2, 'o',  'k',  0xc3};
	struct buf b = {0};
	struct params_hello hello = {.protocol = XT_PROTOCOL, .client = span_of(client, sizeof(client))};
	struct params_log log = {
		.seq = 1, .track_id = span_str("calm-otter-0042"), .rows = span_of(rows, sizeof(rows))};
	struct params_ack ack = {.seq = 1};
	struct params_fetch fetch = {.cursor = 7};
	struct xt_err err = {0};

	printf("## An example in bytes\n\n"
	       "A client introduces itself, logs one row, and sees it acknowledged; then it asks for a\n"
	       "page of a query that it never made. Bytes in hexadecimal, meaning beside them.\n\n");
	xt_err_set(&err, XT_E_cursor_expired, "cursor", "there is no query 7 on this connection");
	wire_put_request(&b, 1, METHOD_hello, &hello);
	int r = md_frame(
		"The request `hello`, answered by a response of the same form as the last one here,\n"
		"with nil for its error:",
		&b);
	wire_put_notify(&b, METHOD_log, &log);
	if (r == 0)
		r = md_frame("The notification `log` with one row, sequence number 1:", &b);
	wire_put_notify(&b, METHOD_ack, &ack);
	if (r == 0)
		r = md_frame("The daemon's event, once the row is on disk:", &b);
	wire_put_request(&b, 2, METHOD_fetch, &fetch);
	if (r == 0)
		r = md_frame("The request `fetch`:", &b);
	wire_put_error(&b, 2, &err);
	if (r == 0)
		r = md_frame("Its response, an error:", &b);
	buf_done(&b);
	return r;
}

static int put_markdown(void)
{
	fputs(intro, stdout);
	printf("| number | code | meaning |\n|---|---|---|\n");
	for (size_t i = 0; i < proto_n_errors; i++)
		printf("| %d | `%s` | %s |\n", (int)proto_errors[i].code, proto_errors[i].name,
		       proto_errors[i].doc);
	printf("\n## Limits\n\n| limit | value | meaning |\n|---|---|---|\n");
	for (size_t i = 0; i < COUNT(limits); i++) {
		printf("| `");
		put_lower(limits[i].name);
		printf("` | %lld | %s |\n", limits[i].value, limits[i].doc);
	}
	putchar('\n');
	md_methods();
	return md_example();
}

/* ---- json ------------------------------------------------------------- */

static void json_text(const char *s)
{
	putchar('"');
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			putchar('\\');
		putchar(*s);
	}
	putchar('"');
}

static void json_shape(const char *name, const struct shape_desc *shape)
{
	printf(",\n   \"%s\": [", name);
	for (size_t i = 0; i < shape->count; i++) {
		const struct field_desc *f = &shape->fields[i];
		printf("%s\n    {\"name\": \"%s\", \"type\": \"%s\", \"required\": %s", i ? "," : "", f->name,
		       type_names[f->type], f->required ? "true" : "false");
		if (is_number(f) || is_measured(f))
			printf(", \"min\": %" PRId64 ", \"max\": %" PRIu64, f->min, f->max);
		printf(", \"doc\": ");
		json_text(f->doc);
		putchar('}');
	}
	putchar(']');
}

static int put_json(void)
{
	printf("{\"limits\": {");
	for (size_t i = 0; i < COUNT(limits); i++) {
		printf("%s\n  \"", i ? "," : "");
		put_lower(limits[i].name);
		printf("\": {\"value\": %lld, \"doc\": ", limits[i].value);
		json_text(limits[i].doc);
		putchar('}');
	}
	printf("},\n \"errors\": [");
	for (size_t i = 0; i < proto_n_errors; i++) {
		printf("%s\n  {\"name\": \"%s\", \"code\": %d, \"doc\": ", i ? "," : "", proto_errors[i].name,
		       (int)proto_errors[i].code);
		json_text(proto_errors[i].doc);
		putchar('}');
	}
	printf("],\n \"methods\": [");
	for (size_t i = 0; i < proto_n_methods; i++) {
		const struct method_desc *m = &proto_methods[i];
		printf("%s\n  {\"name\": \"%s\", \"id\": %d, \"kind\": \"%s\", \"thread\": \"%s\", "
		       "\"flags\": [",
		       i ? "," : "", m->name, (int)m->id, kind_names[m->kind], thread_names[m->thread]);
		put_flags(m, "", "\"", ", ");
		printf("],\n   \"doc\": ");
		json_text(m->doc);
		json_shape("params", &m->params);
		json_shape("result", &m->result);
		putchar('}');
	}
	printf("]}\n");
	return 0;
}

/* ---- fuzz dictionary -------------------------------------------------- */

/* A name as MessagePack text; none is longer than a fixstr's 31 bytes. */
static void dict_name(const char *name)
{
	size_t len = strlen(name);

	if (len <= 31)
		printf("\"\\x%02zx%s\"\n", 0xa0 + len, name);
}

static void dict_fields(const struct shape_desc *shape)
{
	for (size_t i = 0; i < shape->count; i++)
		dict_name(shape->fields[i].name);
}

static int put_dict(void)
{
	static const char *const pieces[] = {
		"\\x94\\x00", /* a request's head, a response's, a notification's */
		"\\x94\\x01",
		"\\x93\\x02",
		"\\x91\\x80", /* no params */
		"\\x90",
		"\\xc0",
		"\\xc2",
		"\\xc3",
		"\\xc4\\x10",					 /* bin of 16 bytes: an id */
		"\\xcb\\x7f\\xf8\\x00\\x00\\x00\\x00\\x00\\x00", /* NaN */
		"\\xcf\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff",
		"\\xcf\\x80\\x00\\x00\\x00\\x00\\x00\\x00\\x00",
		"\\xd3\\x80\\x00\\x00\\x00\\x00\\x00\\x00\\x00",
		"\\xc7\\x00\\x05",	     /* ext of no bytes */
		"\\xdd\\x05\\xf5\\xe1\\x00", /* array of 100,000,000 */
		"\\xdf\\xff\\xff\\xff\\xff",
		"\\xdb\\xff\\xff\\xff\\xff",
		"\\xa2\\xc3\\x28", /* not UTF-8 */
	};

	for (size_t i = 0; i < COUNT(pieces); i++)
		printf("\"%s\"\n", pieces[i]);
	for (size_t i = 0; i < proto_n_methods; i++) {
		dict_name(proto_methods[i].name);
		dict_fields(&proto_methods[i].params);
		dict_fields(&proto_methods[i].result);
	}
	for (size_t i = 0; i < proto_n_errors; i++)
		dict_name(proto_errors[i].name);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*put)(void);
	} forms[] = {{"markdown", put_markdown}, {"json", put_json}, {"dict", put_dict}};

	for (size_t i = 0; argc == 2 && i < COUNT(forms); i++) {
		if (strcmp(argv[1], forms[i].name) != 0)
			continue;
		if (forms[i].put() < 0 || fflush(stdout) != 0) {
			fprintf(stderr, "xt-dump: cannot print %s\n", argv[1]);
			return 1;
		}
		return 0;
	}
	fprintf(stderr, "usage: xt-dump markdown|json|dict\n");
	return 2;
}
