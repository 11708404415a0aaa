#include "select.h"

#include <stdlib.h>

#include "sql.h"
#include "where.h"

static int put_columns(const struct select *s, const char *list, FILE *f)
{
	const struct relation_column **columns;
	size_t n;

	if (!list) {
		fputs("*", f);
		return CTL_OK;
	}
	int status = relation_columns(&s->relation, list, &columns, &n);
	if (status != CTL_OK)
		return status;
	for (size_t i = 0; i < n; i++)
		sql_print(f, i > 0 ? ", %n" : "%n", columns[i]->name);
	free(columns);
	return CTL_OK;
}

static int put_select(struct select *s, const char *columns, FILE *f)
{
	int status = where_make(&s->relation, &s->where);
	if (status != CTL_OK)
		return status;
	fputs("SELECT ", f);
	status = put_columns(s, columns, f);
	sql_print(f, " FROM %n WHERE %s", s->relation.name, s->where);
	return status;
}

/* Without the semicolon at its end: it may become part of another. */
static char *bare(const char *sql)
{
	size_t n = strlen(sql);

	while (n > 0 && strchr(" \t\r\n;", sql[n - 1]))
		n--;
	return strndup(sql, n);
}

int select_make(const struct ctl *ctl, xt_client *client, const struct select_options *options,
		struct select *ret)
{
	size_t size = 0;

	*ret = (struct select){0};
	if (options->sql) {
		if (options->columns || ctl->options.filter.n > 0 || ctl->options.track_id)
			return ctl_usage(ctl, "--sql says itself which rows and columns it wants");
		ret->sql = bare(options->sql);
		return ret->sql ? CTL_OK : ctl_no_memory(ctl);
	}
	int status = relation_open(ctl, client, &ret->relation);
	if (status != CTL_OK)
		return status;
	FILE *f = open_memstream(&ret->sql, &size);
	if (!f)
		return ctl_no_memory(ctl);
	status = put_select(ret, options->columns, f);
	if (fclose(f) != 0)
		status = ctl_no_memory(ctl);
	return status;
}

void select_done(struct select *s)
{
	free(s->sql);
	free(s->where);
	relation_done(&s->relation);
	*s = (struct select){0};
}
