#include "xtctl.h"

#include <inttypes.h>

#include "text.h"

enum unit { PLAIN, COUNT, BYTES, MICROSECONDS, MILLISECONDS, IDLE };

/* The fields of `status` in docs/protocol.md; one that is not here is shown under its own name. */
static const struct {
	const char *field, *label;
	enum unit unit;
	bool brief; /* `up` shows it too */
} fields[] = {
	{"state", "state", PLAIN, false},
	{"database", "database", PLAIN, true},
	{"pid", "pid", PLAIN, true},
	{"version", "version", PLAIN, true},
	{"socket", "socket", PLAIN, true},
	{"log_file", "log file", PLAIN, true},
	{"uptime_ms", "up for", MILLISECONDS, false},
	{"durability", "durability", PLAIN, false},
	{"connections", "connections", COUNT, false},
	{"rows", "rows stored", COUNT, false},
	{"rejects", "rows rejected", COUNT, false},
	{"duplicates", "duplicates dropped", COUNT, false},
	{"batches", "commits", COUNT, false},
	{"commit_us", "last commit took", MICROSECONDS, false},
	{"commit_max_us", "longest commit took", MICROSECONDS, false},
	{"queued_ops", "messages waiting", COUNT, false},
	{"queued_bytes", "their size", BYTES, false},
	{"cursors", "open queries", COUNT, false},
	{"wal_bytes", "write-ahead log", BYTES, false},
	{"disk_free", "free on the disk", BYTES, false},
	{"spooled_rows", "rows in spool", COUNT, false},
	{"spools", "spool files", COUNT, false},
	{"spooled_bytes", "size of them", BYTES, false},
	{"idle_exit_ms", "leaves when idle for", IDLE, false},
	{"database_id", "database id", PLAIN, false},
};

#define N_FIELDS    (sizeof(fields) / sizeof(fields[0]))
#define LABEL_WIDTH 20

/* ---- units ------------------------------------------------------------ */

static void put_microseconds(FILE *f, uint64_t us)
{
	if (us < 1000)
		fprintf(f, "%u µs", (unsigned)us);
	else if (us < 1000000)
		fprintf(f, "%.1f ms", (double)us / 1000);
	else
		fprintf(f, "%.1f s", (double)us / 1e6);
}

static void put_milliseconds(FILE *f, uint64_t ms)
{
	uint64_t s = ms / 1000;

	if (s < 60)
		fprintf(f, "%.1f s", (double)ms / 1000);
	else if (s < 3600)
		fprintf(f, "%" PRIu64 " min %" PRIu64 " s", s / 60, s % 60);
	else if (s < 86400)
		fprintf(f, "%" PRIu64 " h %" PRIu64 " min", s / 3600, s / 60 % 60);
	else
		fprintf(f, "%" PRIu64 " d %" PRIu64 " h", s / 86400, s / 3600 % 24);
}

static void put_number(FILE *f, enum unit unit, uint64_t n)
{
	char count[COUNT_BYTES];

	switch (unit) {
	case PLAIN:
		fprintf(f, "%" PRIu64, n);
		break;
	case COUNT:
		fputs(text_count(count, n), f);
		break;
	case BYTES:
		fputs(text_bytes(count, n), f);
		break;
	case MICROSECONDS:
		put_microseconds(f, n);
		break;
	case MILLISECONDS:
		put_milliseconds(f, n);
		break;
	case IDLE:
		if (n == 0)
			fputs("never", f);
		else
			put_milliseconds(f, n);
		break;
	}
}

static void put_field(FILE *f, const char *label, enum unit unit, const xt_value *v)
{
	fprintf(f, "%-*s ", LABEL_WIDTH, label);
	if (v->type == XT_T_UINT)
		put_number(f, unit, v->as.uinteger);
	else if (v->type == XT_T_INT && v->as.integer >= 0)
		put_number(f, unit, (uint64_t)v->as.integer);
	else if (v->type == XT_T_TEXT)
		text_put(f, v->as.text, v->n, SIZE_MAX);
	else if (v->type == XT_T_BLOB)
		hex_put(f, v->as.blob, v->n, SIZE_MAX);
	else
		json_print(f, v);
	fputc('\n', f);
}

/* ---- the command ------------------------------------------------------ */

static void put_human(FILE *f, const xt_cursor *cursor, const xt_value *row, bool brief)
{
	size_t n = xt_cursor_columns(cursor);

	for (size_t k = 0; k < N_FIELDS; k++)
		for (size_t i = 0; i < n; i++)
			if (strcmp(fields[k].field, xt_cursor_name(cursor, i)) == 0 &&
			    row[i].type != XT_T_NULL && (fields[k].brief || !brief))
				put_field(f, fields[k].label, fields[k].unit, &row[i]);
	for (size_t i = 0; i < n && !brief; i++) {
		size_t k = 0;
		while (k < N_FIELDS && strcmp(fields[k].field, xt_cursor_name(cursor, i)) != 0)
			k++;
		if (k == N_FIELDS)
			put_field(f, xt_cursor_name(cursor, i), PLAIN, &row[i]);
	}
}

int status_print(struct ctl *ctl, xt_client *client, bool brief)
{
	xt_cursor *cursor = NULL;
	const xt_value *row;
	int status = CTL_OK;

	int r = xt_daemon_status(&cursor, client);
	if (r == XT_OK && ctl->options.json) {
		ctl->options.format = FORMAT_JSONL; /* one answer: one object, not a list of one */
		status = ctl_print(ctl, client, cursor);
	} else if (r == XT_OK) {
		r = ctl_next(cursor, &row);
		if (r == XT_OK)
			put_human(ctl->out.file, cursor, row, brief);
	}
	xt_cursor_close(cursor);
	return r == XT_OK ? status : ctl_fail(ctl, client, r);
}

int cmd_status(struct ctl *ctl)
{
	xt_options options = ctl_reading();
	xt_client *client = NULL;

	options.no_autostart = true;
	int r = ctl_try_open(ctl, &options, &client);
	int status = CTL_OK;
	if (r == XT_OK)
		status = status_print(ctl, client, false);
	else if (ctl_nobody(client, r))
		status = ctl_error(ctl, "the daemon of '%s' is not running%s", ctl->database,
				   r == XT_EDOWN ? ": it was stopped by 'down'; 'up' starts it again" : "");
	else
		status = ctl_fail(ctl, client, r);
	return ctl_close(ctl, client, status);
}
