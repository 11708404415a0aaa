#include "where.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

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

int condition_parse(struct condition *ret, const char *text, char *error, size_t size)
{
	size_t len = strcspn(text, "=!<>");
	bool is_json = len > 0 && text[len] == '=' && text[len - 1] == ':';
	const char *value = NULL;

	*ret = (struct condition){0};
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

int where_make(const struct relation *r, const char *track_id, const struct option_list *conditions,
	       char **ret)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);
	int status = CTL_OK;

	if (!f)
		return ctl_no_memory(r->ctl);
	fputc('1', f);
	if (track_id) {
		status = relation_column(r, "track_id") ? CTL_OK : CTL_FAILED;
		sql_print(f, " AND track_id = %t", track_id);
	}
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
