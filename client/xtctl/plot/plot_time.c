/* Texts that are times, as the daemon and the Python library write them, become seconds since 1970. */
#include <stdlib.h>

#include "plot.h"
#include "sql.h"

#define LOOKED_AT "100" /* values that tell whether a column has times */

/* The fraction is taken apart: SQLite would round it to milliseconds. */
#define SECONDS "(strftime('%%s', substr(%n, 1, 19)) + ('0' || substr(%n, 20)))"

/* The condition of SQL that a column's value is a time. Owned by the caller; NULL: out of memory. */
static char *is_time(const char *name)
{
	return sql_format(
		"(typeof(%n) = 'text' AND %n GLOB "
		"'[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9][ T][0-9][0-9]:[0-9][0-9]:[0-9][0-9]*'"
		" AND (substr(%n, 20) = '' OR (substr(%n, 20) GLOB '.[0-9]*' AND substr(%n, 21) NOT "
		"GLOB '*[^0-9]*')) AND strftime('%%s', substr(%n, 1, 19)) IS NOT NULL)",
		name, name, name, name, name, name);
}

char *plot_time_usable(const struct relation_column *c)
{
	return is_time(c->name);
}

/* Whether most of the first values are times; of texts also where there is none, which is said later. */
static int look(const struct plot *p, bool *ret)
{
	const char *name = p->x->name;
	char *condition = is_time(name), *sql = NULL;
	xt_cursor *cursor = NULL;
	const xt_value *row;

	*ret = false;
	if (condition)
		sql = sql_format("SELECT avg(t) FROM (SELECT %s AS t FROM %n WHERE %s AND %n IS NOT NULL "
				 "LIMIT " LOOKED_AT ")",
				 condition, p->rel.name, p->where, name);
	int status = sql ? plot_query(p, sql, &cursor) : ctl_no_memory(p->ctl);
	if (status == CTL_OK && plot_next(p, cursor, &row, &status))
		*ret = row[0].type == XT_T_NULL ? p->x->type[0] != '\0' : plot_real(&row[0]) > 0.5;
	xt_cursor_close(cursor);
	free(condition);
	free(sql);
	return status;
}

int plot_take_time(struct plot *p)
{
	bool time = false;

	if (relation_is_number(p->x))
		return CTL_OK;
	int status = look(p, &time);
	if (status != CTL_OK || !time)
		return status;
	if (p->o->log_x)
		return ctl_usage(p->ctl, "--log-x: '%s' has times, which have no logarithm", p->x->name);
	free(p->x_sql);
	p->x_sql = sql_format(SECONDS, p->x->name, p->x->name);
	p->time = true;
	return p->x_sql ? CTL_OK : ctl_no_memory(p->ctl);
}

char *plot_x_name(const struct plot *p, const struct axis *x)
{
	char span[AXIS_SPAN] = "", *name = NULL;

	if (p->time)
		axis_time_span(x, span);
	return asprintf(&name, "%s%s%s", p->x->name, span[0] ? ", " : "", span) < 0 ? NULL : name;
}
