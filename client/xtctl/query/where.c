#include "where.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sql.h"
#include "text.h"

#define WHY_BYTES 400

/* ---- one condition ---------------------------------------------------- */

/* As written, the longer ones first, and in SQL. */
static const struct {
	const char *written, *sql;
} operators[] = {
	{"!=", "IS NOT"}, {"<=", "<="}, {">=", ">="}, {"=", "IS"}, {"<", "<"}, {">", ">"},
};

/* What people write for an operator, which would be another one and a text that begins strangely. */
static const struct {
	const char *written, *meant;
} mistakes[] = {{"=>", ">="}, {"=<", "<="}, {"==", "="}, {"<>", "!="}};

/* Refuses `text`, whose key has len bytes, where such a mistake follows. A text that does begin so can be
 * given as JSON; markup, such as <b>, is no mistake. */
static int check_operator(const char *text, size_t len, char *error, size_t size)
{
	const char *at = text + len;
	bool markup = at[0] == '=' && at[1] == '<' && (isalpha((unsigned char)at[2]) || strchr("/!?", at[2]));

	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]) && !(markup && at[2]); i++) {
		const char *written = mistakes[i].written, *meant = mistakes[i].meant;
		if (strncmp(at, written, 2) != 0)
			continue;
		snprintf(error, size,
			 "'%.100s': did you mean %s, as in '%.*s%s%.60s'? a text is given by KEY:=JSON", text,
			 meant, (int)(len < 60 ? len : 60), text, meant, at + 2);
		return -1;
	}
	return 0;
}

int condition_parse(struct condition *ret, const char *text, char *error, size_t size)
{
	size_t len = strcspn(text, "=!<>");
	bool is_json = len > 0 && text[len] == '=' && text[len - 1] == ':';
	const char *value = NULL;

	*ret = (struct condition){0};
	if (len > 0 && !is_json && check_operator(text, len, error, size) < 0)
		return -1;
	for (size_t i = 0; i < sizeof(operators) / sizeof(operators[0]) && !value; i++) {
		size_t n = strlen(operators[i].written);
		if (strncmp(text + len, operators[i].written, n) != 0)
			continue;
		ret->op = operators[i].sql;
		value = is_json ? text + len - 1 : text + len + n;
	}
	len -= is_json;
	for (; len > 0 && text[len - 1] == ' '; len--) /* "size > 3", as well as "size>3" */
		while (value && *value == ' ')
			value++;
	if (!value || len == 0) {
		snprintf(error, size, "'%.100s' is not KEY=VALUE, nor one with !=, <, <=, > or >=", text);
		return -1;
	}
	if (value_parse(&ret->value, value, error, size) < 0)
		return -1;
	if (ret->value.is.type == XT_T_ARRAY || ret->value.is.type == XT_T_MAP) {
		snprintf(error, size, "'%.100s': a list or object cannot be compared", text);
		return -1;
	}
	ret->key = strndup(text, len);
	if (ret->key)
		return 0;
	snprintf(error, size, "out of memory");
	return -1;
}

void condition_done(struct condition *c)
{
	free(c->key);
	value_done(&c->value);
	*c = (struct condition){0};
}

/* ---- all of them ------------------------------------------------------ */

static void put_real(FILE *f, double d)
{
	char text[REAL_BYTES];

	text_real(text, d);
	fputs(isnan(d) ? "NULL" : isinf(d) ? (d > 0 ? "9e999" : "-9e999") : text, f);
}

/* A literal of SQL. A text that holds a NUL character is one by its bytes. */
static void put_value(FILE *f, const xt_value *v)
{
	switch (v->type) {
	case XT_T_INT:
		fprintf(f, "%" PRId64, v->as.integer);
		return;
	case XT_T_BOOL:
		fputs(v->as.boolean ? "1" : "0", f);
		return;
	case XT_T_REAL:
		put_real(f, v->as.real);
		return;
	case XT_T_TEXT:
		fputs("CAST(x'", f);
		hex_put(f, v->as.text, v->n, SIZE_MAX);
		fputs("' AS TEXT)", f);
		return;
	default:
		fputs("NULL", f);
	}
}

static int put_condition(const struct relation *r, const char *text, FILE *f)
{
	struct condition c;
	char why[WHY_BYTES];
	int status = CTL_OK;

	if (condition_parse(&c, text, why, sizeof(why)) < 0) {
		status = ctl_usage(r->ctl, "--where: %s", why);
	} else {
		const struct relation_column *column = relation_column(r, c.key);
		status = column ? CTL_OK : CTL_FAILED;
		if (column) {
			sql_print(f, " AND %n %s ", column->name, c.op);
			put_value(f, &c.value.is);
		}
	}
	condition_done(&c);
	return status;
}

int where_make(const struct relation *r, char **ret)
{
	const struct option_list *conditions = &r->ctl->options.filter;
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);
	int status = CTL_OK;

	if (!f)
		return ctl_no_memory(r->ctl);
	fputc('1', f);
	if (r->run)
		sql_print(f, " AND track_id = %t", r->run);
	for (size_t i = 0; status == CTL_OK && i < conditions->n; i++)
		status = put_condition(r, conditions->items[i], f);
	if (fclose(f) != 0 && status == CTL_OK)
		status = ctl_no_memory(r->ctl);
	if (status == CTL_OK)
		*ret = text;
	else
		free(text);
	return status;
}

/* ---- rows that there are not ------------------------------------------ */

/* Whether the only condition asks for a text in the quotes that a shell or SQL would have taken. */
static bool has_quotes(const struct relation *r, struct condition *ret)
{
	char why[WHY_BYTES];

	if (r->run || r->ctl->options.filter.n != 1 ||
	    condition_parse(ret, r->ctl->options.filter.items[0], why, sizeof(why)) < 0)
		return false;
	const xt_value *v = &ret->value.is;
	return strcmp(ret->op, "IS") == 0 && v->type == XT_T_TEXT && v->n >= 2 &&
	       (v->as.text[0] == '\'' || v->as.text[0] == '"') && v->as.text[v->n - 1] == v->as.text[0];
}

static void tell_none(const struct relation *r)
{
	const struct option_list *conditions = &r->ctl->options.filter;
	struct condition c = {0};
	char *all = NULL;
	size_t size = 0;

	if (has_quotes(r, &c)) {
		ctl_note(r->ctl, "no row of '%s' has %s = %.*s with the quotes; without them?", r->name,
			 c.key, (int)c.value.is.n, c.value.is.as.text);
		condition_done(&c);
		return;
	}
	condition_done(&c);
	FILE *f = open_memstream(&all, &size);
	for (size_t i = 0; f && i < conditions->n; i++)
		fprintf(f, "%s--where '%s'", i > 0 ? " and " : "", conditions->items[i]);
	if (f && r->run)
		fprintf(f, "%s--track-id '%s'", conditions->n > 0 ? " and " : "", r->run);
	if (f && fclose(f) == 0)
		ctl_note(r->ctl, "no row of '%s' matches %s", r->name, all);
	free(all);
}

int where_tell_none(const struct relation *r, xt_client *client, const char *where, bool *ret_none)
{
	xt_cursor *cursor = NULL;
	const xt_value *row;

	if (ret_none)
		*ret_none = false;
	if (!r->run && r->ctl->options.filter.n == 0)
		return CTL_OK;
	char *sql = sql_format("SELECT 1 FROM %n WHERE %s LIMIT 1", r->name, where);
	int found = ctl_summarise(client, sql, &cursor);
	free(sql);
	if (found == XT_OK)
		found = ctl_next(cursor, &row);
	xt_cursor_close(cursor);
	if (found == XT_DONE) {
		tell_none(r);
		if (ret_none)
			*ret_none = true;
		return CTL_OK;
	}
	return found == XT_OK	    ? CTL_OK
	       : found == XT_ENOMEM ? ctl_no_memory(r->ctl)
				    : ctl_fail(r->ctl, client, found);
}
