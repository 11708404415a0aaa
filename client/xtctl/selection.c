#include "selection.h"

#include <stdlib.h>

#include "sql.h"

/* KEY=VALUE; a value of null finds rows without one. */
static int read_where(const struct ctl *ctl, const struct relation *rel, struct selection *s)
{
	char why[400];

	if (pair_parse(&s->key, &s->value, ctl->options.where, why, sizeof(why)) < 0)
		return ctl_usage(ctl, "--where: %s", why);
	s->args[s->n_args++] = s->value.is;
	return relation_column(rel, s->key) ? CTL_OK : CTL_FAILED;
}

int selection_open(const struct ctl *ctl, const struct relation *rel, struct selection *ret)
{
	const char *run = ctl->options.track_id;
	int status = CTL_OK;

	*ret = (struct selection){0};
	if (run) {
		ret->args[ret->n_args++] = xt_text(run);
		status = relation_column(rel, "track_id") ? CTL_OK : CTL_FAILED;
	}
	if (status == CTL_OK && ctl->options.where)
		status = read_where(ctl, rel, ret);
	if (status != CTL_OK)
		return status;
	if (run && ret->key)
		ret->where = sql_format("track_id = ?1 AND %n IS ?2", ret->key);
	else if (ret->key)
		ret->where = sql_format("%n IS ?1", ret->key);
	else
		ret->where = strdup(run ? "track_id = ?1" : "1");
	return ret->where ? CTL_OK : ctl_no_memory(ctl);
}

void selection_done(struct selection *s)
{
	free(s->where);
	free(s->key);
	value_done(&s->value);
	*s = (struct selection){0};
}

int selection_query(const struct selection *s, xt_client *client, const char *sql, xt_cursor **ret)
{
	*ret = NULL;
	return sql ? ctl_query(client, sql, s->args, s->n_args, SELECTION_TIMEOUT_MS, ret) : XT_ENOMEM;
}
