#include "compare.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sql.h"
#include "text.h"

#define MOST_GROUPS 200 /* values of --by: more are no names of what is compared */
#define SHOWN_BYTES 40	/* of a label in sentences */
#define LEAST_HASH  12	/* digits from which on a label may be a hash */
#define LEAST_SHOWN 7	/* of them that are shown, as git does */
#define DIGITS	    "0123456789abcdefABCDEF"

/* ---- groups ----------------------------------------------------------- */

static char *label_of(const xt_value *v, bool boolean)
{
	char real[REAL_BYTES], *label = NULL;
	size_t size;

	if (v->type == XT_T_TEXT)
		return strndup(v->as.text, v->n);
	if (v->type == XT_T_INT && boolean && (v->as.integer == 0 || v->as.integer == 1))
		return strdup(v->as.integer ? "true" : "false");
	if (v->type == XT_T_INT)
		return asprintf(&label, "%" PRId64, v->as.integer) < 0 ? NULL : label;
	if (v->type == XT_T_REAL) {
		text_real(real, v->as.real);
		return strdup(real);
	}
	FILE *f = open_memstream(&label, &size);
	if (!f)
		return NULL;
	fputs("0x", f);
	hex_put(f, v->as.blob, v->type == XT_T_BLOB ? v->n : 0, 64);
	return fclose(f) == 0 ? label : NULL;
}

/* The label's beginning, cut between characters. */
static char *shown_of(const char *label)
{
	size_t n = strlen(label), cut = SHOWN_BYTES;
	char *shown;

	if (n <= SHOWN_BYTES)
		return strdup(label);
	while (cut > 0 && ((unsigned char)label[cut] & 0xc0) == 0x80)
		cut--;
	return asprintf(&shown, "%.*s…", (int)cut, label) < 0 ? NULL : shown;
}

/* How many digits of a hash a label begins with; 0: it is none. What runs log of a commit may end so. */
static size_t hash_digits(const struct group *g)
{
	size_t n = strspn(g->label, DIGITS);
	const char *rest = g->label + n;

	return g->value.type == XT_T_TEXT && n >= LEAST_HASH && (!*rest || strcmp(rest, "-dirty") == 0) ? n
													: 0;
}

/* All labels are hashes; digits of ten alone are rather a time or a number. */
static bool all_hashes(const struct values *v)
{
	bool letters = false;

	for (size_t i = 0; i < v->n_groups; i++) {
		size_t n = hash_digits(&v->groups[i]);
		if (n == 0)
			return false;
		letters = letters || strspn(v->groups[i].label, "0123456789") < n;
	}
	return letters;
}

/* How many digits of its hash tell a group from all that have another. */
static size_t telling_digits(const struct values *v, const struct group *g)
{
	size_t own = hash_digits(g), most = LEAST_SHOWN;

	for (size_t i = 0; i < v->n_groups; i++) {
		const char *other = v->groups[i].label;
		size_t same = 0, n = hash_digits(&v->groups[i]);
		while (same < own && same < n && g->label[same] == other[same])
			same++;
		if (same < own && same >= most)
			most = same + 1;
	}
	return most < own ? most : own;
}

/* Nobody reads forty digits, and they leave no room for the numbers. 0, or -1. */
static int shorten_hashes(struct values *v)
{
	v->hashes = all_hashes(v);
	for (size_t i = 0; i < v->n_groups && v->hashes; i++) {
		struct group *g = &v->groups[i];
		free(g->shown);
		if (asprintf(&g->shown, "%.*s%s", (int)telling_digits(v, g), g->label,
			     g->label + hash_digits(g)) < 0) {
			g->shown = NULL;
			return -1;
		}
	}
	return 0;
}

/* Copies a value into memory of the group. 0, or -1. */
static int keep_value(struct group *g, const xt_value *v)
{
	g->value = *v;
	if (v->type != XT_T_TEXT && v->type != XT_T_BLOB)
		return 0;
	g->kept = malloc(v->n + 1);
	if (!g->kept)
		return -1;
	memcpy(g->kept, v->type == XT_T_TEXT ? (const void *)v->as.text : v->as.blob, v->n);
	if (v->type == XT_T_TEXT)
		g->value.as.text = g->kept;
	else
		g->value.as.blob = g->kept;
	return 0;
}

static int add_group(struct values *v, const xt_value *value)
{
	struct group *more = reallocarray(v->groups, v->n_groups + 1, sizeof(*more));

	if (!more)
		return XT_ENOMEM;
	v->groups = more;
	struct group *g = &v->groups[v->n_groups++];
	*g = (struct group){.label = label_of(value, strcasecmp(v->by->type, "BOOLEAN") == 0)};
	g->shown = g->label ? shown_of(g->label) : NULL;
	g->series = calloc(v->n_metrics, sizeof(*g->series));
	return g->label && g->shown && g->series && keep_value(g, value) == 0 ? XT_OK : XT_ENOMEM;
}

/* Oldest first, where the table tells. */
static char *groups_sql(const struct values *v, const struct relation *r, const char *where)
{
	const struct relation_column *time = relation_find(r, "timestamp");
	char *order = time ? sql_format("min(%n), ", time->name) : strdup("");
	char *sql = NULL;

	if (order)
		sql = sql_format(
			"SELECT %n FROM %n WHERE %s GROUP BY %n COLLATE BINARY ORDER BY %s1 LIMIT 201",
			v->by->name, r->name, where, v->by->name, order);
	free(order);
	return sql;
}

int groups_read(struct values *v, const struct ctl *ctl, xt_client *client, const struct relation *r,
		const char *where)
{
	char *sql = groups_sql(v, r, where);
	xt_cursor *cursor = NULL;
	const xt_value *row;

	int status = sql ? ctl_query(client, sql, NULL, 0, (int)ctl->options.timeout_s * 1000, &cursor)
			 : XT_ENOMEM;
	while (status == XT_OK && (status = ctl_next(cursor, &row)) == XT_OK)
		status = add_group(v, &row[0]);
	xt_cursor_close(cursor);
	free(sql);
	if (status != XT_DONE)
		return status == XT_ENOMEM ? ctl_no_memory(ctl) : ctl_fail(ctl, client, status);
	if (v->n_groups == 0)
		return ctl_error(ctl, "no row of table '%s' has a '%s'%s", r->name, v->by->name,
				 ctl->options.filter.n > 0 ? " and fits --where" : "");
	if (v->n_groups > MOST_GROUPS)
		return ctl_error(
			ctl,
			"column '%s' has more than %d values; --by takes a column that names what is "
			"compared, or --where chooses some",
			v->by->name, MOST_GROUPS);
	return shorten_hashes(v) == 0 ? CTL_OK : ctl_no_memory(ctl);
}

/* ---- the baseline ----------------------------------------------------- */

static bool is_label(const struct group *g, const char *text)
{
	char *end;
	double number = strtod(text, &end);

	if (strcmp(g->label, text) == 0)
		return true;
	if (end == text || *end)
		return false;
	return (g->value.type == XT_T_INT && (double)g->value.as.integer == number) ||
	       (g->value.type == XT_T_REAL && g->value.as.real == number);
}

static int no_baseline(const struct ctl *ctl, const struct values *v, const char *name)
{
	char *all = strdup("");

	for (size_t i = 0; i < v->n_groups && i < 10 && all; i++) {
		char *more;
		if (asprintf(&more, "%s%s'%s'", all, i ? ", " : "", v->groups[i].shown) < 0)
			more = NULL;
		free(all);
		all = more;
	}
	ctl_error(ctl, "no '%s' is '%s'; there are %s%s", v->by->name, name, all ? all : "others",
		  v->n_groups > 10 ? ", …" : "");
	free(all);
	return CTL_FAILED;
}

/* The one group whose hash begins so, as it may have been read from a table; n_groups: none, or several. */
static size_t find_hash(const struct values *v, const char *name)
{
	size_t found = v->n_groups, n = strlen(name);

	for (size_t i = 0; i < v->n_groups && v->hashes && n >= LEAST_SHOWN; i++) {
		const struct group *g = &v->groups[i];
		if (strcmp(g->shown, name) == 0)
			return i;
		if (strncmp(g->label, name, n) == 0)
			found = found == v->n_groups ? i : SIZE_MAX;
	}
	return found == SIZE_MAX ? v->n_groups : found;
}

int groups_find_baseline(struct values *v, const struct ctl *ctl, const char *name)
{
	for (v->baseline = 0; name && v->baseline < v->n_groups; v->baseline++)
		if (is_label(&v->groups[v->baseline], name))
			break;
	if (name && v->baseline == v->n_groups)
		v->baseline = find_hash(v, name);
	if (v->baseline == v->n_groups)
		return no_baseline(ctl, v, name);
	if (v->n_groups == 1)
		return ctl_error(ctl,
				 "all rows have the same '%s', '%s': there is nothing to compare it with",
				 v->by->name, v->groups[0].shown);
	return CTL_OK;
}
