/*
 * The proof that nothing is lost. Of each client: every number it has assigned is stored, rejected, a
 * request or in its spool; what a client that died never sent cannot be known. Of each run: the rows
 * that are there are those that were logged, and put there by SQL, less those that were deleted.
 */
#include "xtctl.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>

#include "place.h"
#include "spool.h"
#include "text.h"

#define MAX_FINDINGS 100 /* that are told one by one */

/* Sums over the clients. */
static const char totals_sql[] =
	"SELECT count(*), coalesce(sum(NOT bye), 0), coalesce(sum(max(mark, coalesce(last_seq, 0))), 0), "
	"coalesce(sum(stored), 0), coalesce(sum(rejected), 0), coalesce(sum(requests), 0), "
	"(SELECT coalesce(sum(rows), 0) FROM xt_runs) + coalesce(sum(run_rows), 0), "
	"coalesce((SELECT value FROM xt_meta WHERE key = 'forgotten_clients'), 0), "
	"coalesce((SELECT value FROM xt_meta WHERE key = 'forgotten_stored'), 0) FROM xt_clients";

/* Clients whose numbers do not add up, or who said that they had assigned more. */
static const char clients_sql[] =
	"SELECT lower(hex(client)), mark, max(mark, coalesce(last_seq, 0)), stored + rejected + requests, "
	"bye "
	"FROM xt_clients WHERE mark <> stored + rejected + requests OR coalesce(last_seq, 0) > mark";

struct audit {
	struct ctl *ctl;
	xt_client *client;
	uint64_t clients, departed, assigned, stored, rejected, requests, spooled, unknown;
	uint64_t runs, logged, inserted, deleted, there; /* rows of runs */
	uint64_t forgotten, forgotten_stored;
	char **findings; /* owned: n_findings of them */
	size_t n_findings, untold;
	char spool[PATH_MAX]; /* directory */
};

/* ---- findings --------------------------------------------------------- */

static void find(struct audit *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void find(struct audit *a, const char *fmt, ...)
{
	char *text = NULL, **more;
	va_list ap;

	if (a->n_findings == MAX_FINDINGS) {
		a->untold++;
		return;
	}
	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	more = text ? realloc(a->findings, (a->n_findings + 1) * sizeof(*more)) : NULL;
	if (!more) {
		a->untold++;
		free(text);
		return;
	}
	a->findings = more;
	a->findings[a->n_findings++] = text;
}

static uint64_t number(const xt_value *v)
{
	return v->type == XT_T_UINT			  ? v->as.uinteger
	       : v->type == XT_T_INT && v->as.integer > 0 ? (uint64_t)v->as.integer
							  : 0;
}

/* ---- clients ---------------------------------------------------------- */

static int read_totals(struct audit *a, uint64_t *ret_counted)
{
	uint64_t *const into[] = {&a->clients, &a->departed,  &a->assigned,
				  &a->stored,  &a->rejected,  &a->requests,
				  ret_counted, &a->forgotten, &a->forgotten_stored};
	xt_cursor *cursor = NULL;
	const xt_value *row;

	int r = ctl_query(a->client, totals_sql, NULL, 0, CTL_LONG_MS, &cursor);
	if (r == XT_OK)
		r = ctl_next(cursor, &row);
	for (size_t i = 0; r == XT_OK && i < sizeof(into) / sizeof(into[0]); i++)
		*into[i] = number(&row[i]);
	xt_cursor_close(cursor);
	return r;
}

/* How many numbers of a client lie in its spool file above its mark. */
struct in_spool {
	const char *client;
	uint64_t mark, n;
};

static bool look_for_client(const struct spool_facts *f, void *data)
{
	struct in_spool *s = data;
	char name[SPOOL_NAME + 1];

	spool_name(f->client, name);
	if (strcmp(name, s->client) != 0 || f->state == SPOOL_DAMAGED || f->last <= s->mark)
		return true;
	s->n = f->last - (f->first > s->mark ? f->first - 1 : s->mark);
	return true;
}

static void check_client(struct audit *a, const xt_value *row)
{
	uint64_t mark = number(&row[1]), last = number(&row[2]), counted = number(&row[3]);
	char name[SPOOL_NAME + 1] = "";

	snprintf(name, sizeof(name), "%.*s", (int)row[0].n, row[0].as.text);
	struct in_spool s = {.client = name, .mark = mark};
	(void)!spool_list(a->spool, look_for_client, &s);
	if (mark != counted)
		find(a, "client %s: %" PRIu64 " numbers are applied, but %" PRIu64 " are accounted for", name,
		     mark, counted);
	uint64_t missing = last > mark + s.n ? last - mark - s.n : 0;
	if (missing && number(&row[4]))
		find(a,
		     "client %s said goodbye after number %" PRIu64 ", but %" PRIu64
		     " of its rows or requests are neither stored nor in its spool",
		     name, last, missing);
	else
		a->unknown += missing;
}

static int check_clients(struct audit *a)
{
	xt_cursor *cursor = NULL;
	const xt_value *row;
	uint64_t counted = 0;

	int r = read_totals(a, &counted);
	if (r == XT_OK && counted != a->stored + a->forgotten_stored)
		find(a, "clients have %" PRIu64 " rows stored, runs count %" PRIu64,
		     a->stored + a->forgotten_stored, counted);
	if (r == XT_OK)
		r = ctl_query(a->client, clients_sql, NULL, 0, CTL_LONG_MS, &cursor);
	while (r == XT_OK && (r = ctl_next(cursor, &row)) == XT_OK)
		check_client(a, row);
	xt_cursor_close(cursor);
	return r == XT_DONE ? XT_OK : r;
}

/* ---- spool ------------------------------------------------------------ */

static bool check_spool(const struct spool_facts *f, void *data)
{
	struct audit *a = data;
	char name[SPOOL_NAME + 1];

	spool_name(f->client, name);
	if (f->state == SPOOL_DAMAGED)
		find(a, "spool file %s.damaged in '%s' cannot be read to its end", name, a->spool);
	else if (f->state == SPOOL_UNREADABLE)
		find(a, "spool file %s in '%s' cannot be read", name, a->spool);
	else if (f->first)
		a->spooled += f->last - f->first + 1;
	return true;
}

/* ---- runs ------------------------------------------------------------- */

/* One statement, and so one snapshot, over all tables: runs whose rows are not as many as they must be,
 * behind a first row with the sums; its parts are named as no table of a user is. NULL: out of memory. */
static char *runs_statement(xt_client *client)
{
	char *sql = NULL, *part;
	size_t size = 0;
	xt_cursor *cursor = NULL;
	const xt_value *row;
	FILE *f = open_memstream(&sql, &size);

	if (!f)
		return NULL;
	fputs("WITH xt_there(track_id, n) AS (SELECT NULL, 0", f);
	int r = xt_tables(&cursor, client);
	while (r == XT_OK && (r = ctl_next(cursor, &row)) == XT_OK) {
		char *name = strndup(row[0].as.text, row[0].n);
		part = name ? ctl_statement(" UNION ALL SELECT track_id, count(*) FROM %s GROUP BY 1", name)
			    : NULL;
		fputs(part ? part : "", f);
		free(part);
		free(name);
	}
	xt_cursor_close(cursor);
	fputs("), xt_counted AS (SELECT track_id, rows + coalesce((SELECT sum(run_rows) FROM xt_clients c "
	      "WHERE c.run "
	      "= "
	      "x.track_id), 0) AS logged, inserted, deleted, coalesce((SELECT sum(n) FROM xt_there a WHERE "
	      "a.track_id "
	      "= "
	      "x.track_id), 0) AS there FROM xt_runs x) "
	      "SELECT NULL, count(*), coalesce(sum(logged), 0), coalesce(sum(inserted), 0), "
	      "coalesce(sum(deleted), 0), coalesce(sum(there), 0) FROM xt_counted UNION ALL "
	      "SELECT track_id, 1, logged, inserted, deleted, there FROM xt_counted WHERE logged + inserted "
	      "- deleted "
	      "<> "
	      "there",
	      f);
	if (fclose(f) == 0 && r == XT_DONE)
		return sql;
	free(sql);
	return NULL;
}

static int check_runs(struct audit *a)
{
	xt_cursor *cursor = NULL;
	const xt_value *row;
	char *sql = runs_statement(a->client);

	if (!sql)
		return XT_ENOMEM;
	int r = ctl_query(a->client, sql, NULL, 0, CTL_LONG_MS, &cursor);
	free(sql);
	while (r == XT_OK && (r = ctl_next(cursor, &row)) == XT_OK) {
		if (row[0].type == XT_T_NULL) {
			a->runs = number(&row[1]);
			a->logged = number(&row[2]);
			a->inserted = number(&row[3]);
			a->deleted = number(&row[4]);
			a->there = number(&row[5]);
			continue;
		}
		uint64_t must = number(&row[2]) + number(&row[3]) - number(&row[4]), there = number(&row[5]);
		find(a,
		     "run %.*s: %" PRIu64 " rows logged + %" PRIu64 " by SQL - %" PRIu64 " deleted = %" PRIu64
		     ", but %" PRIu64 " are there: %" PRIu64 " %s",
		     (int)row[0].n, row[0].as.text, number(&row[2]), number(&row[3]), number(&row[4]), must,
		     there, there > must ? there - must : must - there,
		     there > must ? "too many; another program wrote them" : "are missing");
	}
	xt_cursor_close(cursor);
	return r == XT_DONE ? XT_OK : r;
}

/* ---- integrity -------------------------------------------------------- */

static int check_integrity(struct audit *a)
{
	const char *sql = a->ctl->options.quick ? "PRAGMA quick_check" : "PRAGMA integrity_check";
	xt_cursor *cursor = NULL;
	const xt_value *row;

	int r = ctl_query(a->client, sql, NULL, 0, CTL_LONG_MS, &cursor);
	while (r == XT_OK && (r = ctl_next(cursor, &row)) == XT_OK)
		if (row[0].type == XT_T_TEXT && !(row[0].n == 2 && memcmp(row[0].as.text, "ok", 2) == 0))
			find(a, "SQLite: %.*s", (int)row[0].n, row[0].as.text);
	xt_cursor_close(cursor);
	return r == XT_DONE ? XT_OK : r;
}

/* ---- what is said ----------------------------------------------------- */

static void put(FILE *f, const char *label, uint64_t n, const char *note)
{
	char count[COUNT_BYTES];

	fprintf(f, "%-16s %15s%s%s\n", label, text_count(count, n), note[0] ? "  " : "", note);
}

static void print_human(const struct audit *a)
{
	FILE *f = a->ctl->out.file;
	char note[200] = "", forgotten[100] = "", count[COUNT_BYTES];

	if (a->forgotten)
		snprintf(forgotten, sizeof(forgotten), "; %" PRIu64 " more are forgotten by age",
			 a->forgotten);
	snprintf(note, sizeof(note), "%" PRIu64 " without a goodbye%s", a->departed, forgotten);
	put(f, "clients", a->clients, note);
	put(f, "numbers", a->assigned, "that they have assigned, as far as they told");
	put(f, "  stored", a->stored, "rows");
	put(f, "  rejected", a->rejected,
	    a->rejected ? "rows; xt_outbox keeps the reasons until they are read" : "rows");
	put(f, "  requests", a->requests, "other changes");
	put(f, "in spool", a->spooled, "rows or requests that are still to come");
	put(f, "unknown", a->unknown, a->unknown ? "assigned, but not sent, or still on their way" : "");
	put(f, "runs", a->runs, "");
	put(f, "  rows logged", a->logged, "");
	put(f, "  by SQL", a->inserted, "put there otherwise");
	put(f, "  deleted", a->deleted, "");
	put(f, "  in tables", a->there, "");
	for (size_t i = 0; i < a->n_findings; i++)
		fprintf(f, "wrong: %s\n", a->findings[i]);
	if (a->untold)
		fprintf(f, "wrong: %s more\n", text_count(count, a->untold));
	fputs(a->n_findings ? "it does not add up\n" : "everything adds up\n", f);
}

static void print_json(const struct audit *a)
{
	FILE *f = a->ctl->out.file;
	const struct {
		const char *name;
		uint64_t n;
	} numbers[] = {
		{"clients", a->clients},    {"without_goodbye", a->departed}, {"assigned", a->assigned},
		{"stored", a->stored},	    {"rejected", a->rejected},	      {"requests", a->requests},
		{"in_spool", a->spooled},   {"unknown", a->unknown},	      {"runs", a->runs},
		{"rows_logged", a->logged}, {"rows_inserted", a->inserted},   {"rows_deleted", a->deleted},
		{"rows_there", a->there},
	};

	fputc('{', f);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		fprintf(f, "\"%s\":%" PRIu64 ",", numbers[i].name, numbers[i].n);
	fprintf(f, "\"ok\":%s,\"findings\":[", a->n_findings ? "false" : "true");
	for (size_t i = 0; i < a->n_findings; i++) {
		fputs(i ? "," : "", f);
		json_print_text(f, a->findings[i], strlen(a->findings[i]));
	}
	fputs("]}\n", f);
}

static int audit(struct audit *a)
{
	static int (*const checks[])(struct audit * a) = {check_clients, check_runs, check_integrity};
	int r = XT_OK;

	(void)!spool_list(a->spool, check_spool, a);
	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]) && r == XT_OK; i++)
		r = ctl_interrupted() ? XT_EINTR : checks[i](a);
	if (r != XT_OK)
		return ctl_fail(a->ctl, a->client, r);
	if (a->ctl->options.json)
		print_json(a);
	else
		print_human(a);
	return a->n_findings ? CTL_FAILED : CTL_OK;
}

static int cmd_audit(struct ctl *ctl)
{
	xt_options options = ctl_reading();
	struct audit a = {.ctl = ctl};
	struct place place;
	struct xt_err err;

	int status = ctl_open(ctl, &options, &a.client);
	if (status != CTL_OK)
		return status;
	if (place_find(&place, ctl->database, &err) < 0)
		status = ctl_error(ctl, "%s", err.message);
	if (status == CTL_OK) {
		memcpy(a.spool, place.spool, sizeof(a.spool));
		status = audit(&a);
	}
	for (size_t i = 0; i < a.n_findings; i++)
		free(a.findings[i]);
	free(a.findings);
	return ctl_close(ctl, a.client, status);
}

const struct command audit_command = {
	.name = "audit",
	.summary = "prove that nothing is lost and nothing is doubled",
	.help = "Of each client: every number it has assigned is stored, rejected, a request or in its "
		"spool; what a client that died never sent is unknown. Of each run: the rows in the tables "
		"are those that were logged, plus and minus what statements and deletions did. And SQLite's "
		"own check of the file, the short one with --quick. Exit status 1 with what is wrong by "
		"name.",
	.examples = (const struct example[]){{"after a crash: is everything there, once?", "audit demo.db"},
					     {NULL, NULL}},
	.options = OPT_JSON | OPT_QUICK,
	.run = cmd_audit,
};
