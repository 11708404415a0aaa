#include "runs_table.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "group.h"
#include "text.h"

#define MOST_COLUMNS 9
#define SHORT_BYTES  32
#define MOST_FIRST   24 /* columns that a track_id has at least, where it needs them */
#define MOST_TEXT    16
#define LEAST_PARAMS 8

/* A parameter of any of the runs: borrows its name from the first row that has it. */
struct key {
	const char *name, *value; /* the value of the first run that has it */
	size_t n, n_value;
	size_t runs;  /* that have it */
	bool differs; /* from run to run */
};

struct list {
	struct ctl *ctl;
	struct group rows;
	const char *names[MOST_COLUMNS]; /* of the columns that are there; borrowed, n of them */
	size_t n;
	struct key *keys; /* owned, n_keys of them */
	size_t n_keys;
};

/* ---- parameters ------------------------------------------------------- */

/* The next pair of a cell of RUNS_PAIRS, whose rest is n bytes at *text. False: there is none. */
static bool next_pair(const char **text, size_t *n, struct key *ret)
{
	if (*n == 0)
		return false;
	const char *end = memchr(*text, '\x1e', *n);
	size_t len = end ? (size_t)(end - *text) : *n;
	const char *mark = memchr(*text, '\x1f', len);
	size_t n_name = mark ? (size_t)(mark - *text) : len;

	*ret = (struct key){.name = *text,
			    .n = n_name,
			    .value = mark ? mark + 1 : "",
			    .n_value = mark ? len - n_name - 1 : 0};
	*text += len + (end != NULL);
	*n -= len + (end != NULL);
	return true;
}

static struct key *find_key(const struct list *l, const struct key *like)
{
	for (size_t i = 0; i < l->n_keys; i++)
		if (l->keys[i].n == like->n && memcmp(l->keys[i].name, like->name, like->n) == 0)
			return &l->keys[i];
	return NULL;
}

static int take_pair(struct list *l, const struct key *pair)
{
	struct key *key = find_key(l, pair);

	if (!key) {
		struct key *more = reallocarray(l->keys, l->n_keys + 1, sizeof(*more));
		if (!more)
			return -1;
		l->keys = more;
		key = &l->keys[l->n_keys++];
		*key = *pair;
	}
	key->runs++;
	key->differs = key->differs || key->n_value != pair->n_value ||
		       memcmp(key->value, pair->value, pair->n_value) != 0;
	return 0;
}

/* Column i of the rows has the parameters. */
static int find_keys(struct list *l, size_t i)
{
	for (size_t r = 0; r < l->rows.n; r++) {
		const xt_value *v = &l->rows.rows[r][i];
		const char *text = v->type == XT_T_TEXT ? v->as.text : "";
		size_t n = v->type == XT_T_TEXT ? v->n : 0;
		struct key pair;
		while (next_pair(&text, &n, &pair))
			if (take_pair(l, &pair) < 0)
				return -1;
	}
	for (size_t k = 0; k < l->n_keys; k++)
		l->keys[k].differs = l->keys[k].differs || l->keys[k].runs < l->rows.n;
	return 0;
}

/* Those that differ, or those that do not. */
static void put_pairs(const struct list *l, const xt_value *v, bool differing, FILE *f)
{
	const char *text = v->as.text;
	size_t n = v->n;
	struct key pair;

	while (next_pair(&text, &n, &pair)) {
		const struct key *key = find_key(l, &pair);
		bool quote = pair.n_value == 0 || memchr(pair.value, ' ', pair.n_value);
		if (!key || key->differs != differing)
			continue;
		fprintf(f, "%s%.*s=%s%.*s%s", ftello(f) > 0 ? " " : "", (int)pair.n, pair.name,
			quote ? "\"" : "", (int)pair.n_value, pair.value, quote ? "\"" : "");
	}
}

/* *ret_text is owned by the caller. */
static int params_text(const struct list *l, const xt_value *v, char **ret_text)
{
	size_t size;
	FILE *f = open_memstream(ret_text, &size);

	if (!f)
		return -1;
	if (v->type == XT_T_TEXT) {
		put_pairs(l, v, true, f);
		fflush(f);
		put_pairs(l, v, false, f);
	}
	return fclose(f) == 0 ? 0 : -1;
}

/* ---- times ------------------------------------------------------------ */

/* "2026-11-29 08:15:00" without what is as now: the date of today, else the year of this one. */
static xt_value short_time(const xt_value *v, char ret[SHORT_BYTES])
{
	time_t now = time(NULL);
	struct tm tm;
	char today[SHORT_BYTES];

	if (v->type != XT_T_TEXT || v->n != 19 || !gmtime_r(&now, &tm))
		return *v;
	strftime(today, sizeof(today), "%Y-%m-%d", &tm);
	if (memcmp(v->as.text, today, 10) == 0)
		return xt_textn(v->as.text + 11, 8);
	if (memcmp(v->as.text, today, 4) == 0)
		return xt_textn(v->as.text + 5, 11);
	snprintf(ret, SHORT_BYTES, "%.16s", v->as.text);
	return xt_text(ret);
}

static xt_value short_duration(const xt_value *v, char ret[SHORT_BYTES])
{
	static const struct {
		double below, unit;
		const char *form;
	} units[] = {{1, 0.001, "%.0f ms"},
		     {59.95, 1, "%.1f s"},
		     {3570, 60, "%.0f min"},
		     {86220, 3600, "%.1f h"},
		     {HUGE_VAL, 86400, "%.1f d"}};
	size_t i = 0;

	if (v->type != XT_T_REAL)
		return *v;
	while (v->as.real >= units[i].below && i + 1 < sizeof(units) / sizeof(units[0]))
		i++;
	snprintf(ret, SHORT_BYTES, units[i].form, v->as.real / units[i].unit);
	return xt_text(ret);
}

/* ---- which columns ---------------------------------------------------- */

static size_t find_name(const struct list *l, const char *name)
{
	size_t i = 0;

	while (i < l->n && strcmp(l->names[i], name) != 0)
		i++;
	return i;
}

/* Whether the column says something that is not the same of all. */
static bool is_told(const struct list *l, size_t i)
{
	bool table = strcmp(l->names[i], "table") == 0;
	bool trouble = strcmp(l->names[i], "rejects") == 0 || strcmp(l->names[i], "crashed_workers") == 0;

	for (size_t r = 0; r < l->rows.n; r++) {
		const xt_value *v = &l->rows.rows[r][i], *first = &l->rows.rows[0][i];
		if (table && value_order(v, first) != 0)
			return true;
		if (trouble && v->type == XT_T_INT && v->as.integer > 0)
			return true;
	}
	return !table && !trouble;
}

/* ---- printing --------------------------------------------------------- */

/* A value of column i as it is shown, but for params. */
static xt_value shown(const struct list *l, size_t i, const xt_value *v, char ret[SHORT_BYTES])
{
	if (strcmp(l->names[i], "start") == 0)
		return short_time(v, ret);
	if (strcmp(l->names[i], "duration") == 0)
		return short_duration(v, ret);
	return *v;
}

/* What a column needs at least; texts that are longer are cut. */
static size_t width_of(const struct list *l, size_t i)
{
	size_t width = strlen(l->names[i]), most = i == 0 ? MOST_FIRST : MOST_TEXT;
	char text[SHORT_BYTES];

	if (strcmp(l->names[i], "params") == 0)
		return LEAST_PARAMS;
	for (size_t r = 0; r < l->rows.n; r++) {
		const xt_value v = shown(l, i, &l->rows.rows[r][i], text);
		size_t own = 4; /* NULL */
		if (v.type == XT_T_TEXT)
			own = text_width(v.as.text, v.n);
		else if (v.type == XT_T_INT)
			own = (size_t)snprintf(text, sizeof(text), "%" PRId64, v.as.integer);
		if (own > most)
			own = most;
		if (own > width)
			width = own;
	}
	return width;
}

/* Which table it was is what a narrow terminal can do without, before anything else is left out. */
static void make_room(const struct list *l, bool told[MOST_COLUMNS])
{
	bool table_form = l->ctl->options.format == FORMAT_TABLE;
	size_t table = find_name(l, "table"), line = 0, columns = (size_t)l->ctl->out.columns;

	for (size_t i = 0; i < l->n; i++)
		if (told[i])
			line += width_of(l, i) + 3;
	if (!table_form || columns == 0 || line <= columns + 2 || table == l->n || !told[table])
		return;
	told[table] = false;
	ctl_note(l->ctl, "the runs are of several tables, which do not fit; --format json shows them");
}

static int put_row(const struct list *l, const bool told[MOST_COLUMNS], const xt_value *row, struct format *f)
{
	char texts[MOST_COLUMNS][SHORT_BYTES], *params = NULL;
	xt_value cells[MOST_COLUMNS];
	size_t n = 0;
	int r = 0;

	for (size_t i = 0; i < l->n && r == 0; i++) {
		if (!told[i])
			continue;
		cells[n] = shown(l, i, &row[i], texts[i]);
		if (strcmp(l->names[i], "params") == 0) {
			r = params_text(l, &row[i], &params);
			cells[n] = xt_text(params);
		}
		n++;
	}
	if (r == 0)
		r = format_row(f, cells);
	free(params);
	return r;
}

static int print(struct list *l)
{
	static const char *const types[MOST_COLUMNS] = {"", "", "", "", "", "", "", "", ""};
	struct format_options how = ctl_how_to_print(l->ctl);
	const char *names[MOST_COLUMNS];
	bool told[MOST_COLUMNS];
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++)
		told[i] = is_told(l, i);
	make_room(l, told);
	for (size_t i = 0; i < l->n; i++)
		if (told[i])
			names[n++] = l->names[i];
	struct format *f = format_new(&l->ctl->out, &how, n, names, types);
	int r = f ? 0 : -1;
	for (size_t i = 0; i < l->rows.n && r == 0; i++)
		r = put_row(l, told, l->rows.rows[i], f);
	if (r == 0)
		r = ctl_format_end(l->ctl, &l->ctl->out, f, n, true);
	format_free(f);
	return r;
}

int runs_table_print(struct ctl *ctl, const xt_client *client, xt_cursor *cursor)
{
	struct list l = {.ctl = ctl, .n = xt_cursor_columns(cursor)};
	const xt_value *row;
	int r = XT_OK;

	if (l.n > MOST_COLUMNS)
		l.n = MOST_COLUMNS;
	for (size_t i = 0; i < l.n; i++)
		l.names[i] = xt_cursor_name(cursor, i);
	while (r == XT_OK && (r = ctl_next(cursor, &row)) == XT_OK)
		if (group_add(&l.rows, row, l.n) < 0)
			r = XT_ENOMEM;
	if (r == XT_DONE) {
		size_t params = find_name(&l, "params");
		r = params < l.n && find_keys(&l, params) < 0 ? XT_ENOMEM : XT_OK;
	}
	if (r == XT_OK && print(&l) < 0)
		r = XT_ENOMEM;
	group_done(&l.rows);
	free(l.keys);
	return r == XT_OK ? CTL_OK : r == XT_ENOMEM ? ctl_no_memory(ctl) : ctl_fail(ctl, client, r);
}
