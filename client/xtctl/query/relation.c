#include "relation.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "chosen.h"
#include "near.h"

/* ---- reading it ------------------------------------------------------- */

static char *text_of(const xt_value *v)
{
	return v->type == XT_T_TEXT ? strndup(v->as.text, v->n) : NULL;
}

/* A row of xt_columns(): name, type, key. */
static int add(struct relation *r, const xt_value *row)
{
	struct relation_column *more = reallocarray(r->columns, r->n + 1, sizeof(*more));

	if (!more)
		return XT_ENOMEM;
	r->columns = more;
	struct relation_column *c = &r->columns[r->n];
	*c = (struct relation_column){text_of(&row[0]), text_of(&row[1]), text_of(&row[2])};
	if (!c->type)
		c->type = strdup("");
	r->n++;
	return c->name && c->type ? XT_OK : XT_ENOMEM;
}

static int read_columns(struct relation *r, xt_client *client)
{
	xt_cursor *cursor = NULL;
	const xt_value *row;

	int status = xt_columns(&cursor, client, r->name);
	while (status == XT_OK && (status = ctl_next(cursor, &row)) == XT_OK)
		status = add(r, row);
	xt_cursor_close(cursor);
	return status == XT_DONE ? XT_OK : status;
}

static int find(const struct ctl *ctl, xt_client *client, struct relation *ret)
{
	*ret = (struct relation){.ctl = ctl, .name = strdup(ctl->table)};
	int r = ret->name ? read_columns(ret, client) : XT_ENOMEM;
	if (r != XT_OK && r != XT_ENOMEM && ctl_no_table(client) && !ctl->table_named) {
		free(ret->name);
		ret->name = ctl_other_table(ctl, client);
		if (!ret->name)
			return ctl_no_rows(ctl);
		r = read_columns(ret, client);
	}
	if (r == XT_ENOMEM)
		return ctl_no_memory(ctl);
	return r == XT_OK ? CTL_OK : ctl_fail(ctl, client, r);
}

static int open_for(const struct ctl *ctl, xt_client *client, bool may_come, struct relation *ret)
{
	int status = find(ctl, client, ret);

	if (status == CTL_OK && ctl->options.track_id)
		status = relation_column(ret, "track_id") ? CTL_OK : CTL_FAILED;
	return status == CTL_OK ? chosen_run(ctl, client, ret->name, may_come, &ret->run) : status;
}

int relation_open(const struct ctl *ctl, xt_client *client, struct relation *ret)
{
	return open_for(ctl, client, false, ret);
}

int relation_open_early(const struct ctl *ctl, xt_client *client, struct relation *ret)
{
	return open_for(ctl, client, true, ret);
}

void relation_done(struct relation *r)
{
	for (size_t i = 0; i < r->n; i++) {
		free(r->columns[i].name);
		free(r->columns[i].type);
		free(r->columns[i].key);
	}
	free(r->columns);
	free(r->name);
	free(r->run);
	*r = (struct relation){0};
}

/* ---- its columns ------------------------------------------------------ */

const struct relation_column *relation_find(const struct relation *r, const char *name)
{
	for (size_t i = 0; i < r->n; i++)
		if (strcasecmp(r->columns[i].name, name) == 0)
			return &r->columns[i];
	return NULL;
}

const char *relation_near(const struct relation *r, const char *name, const char *except)
{
	struct near near;

	near_init(&near, name, strlen(name));
	for (size_t i = 0; i < r->n; i++)
		if (!except || strcasecmp(r->columns[i].name, except) != 0)
			near_try(&near, r->columns[i].name);
	return near.found[0] ? relation_find(r, near.found)->name : NULL;
}

/* The name that is most like it, or else that it is a part of; NULL: there is none. */
static const char *nearest(const struct relation *r, const char *name)
{
	const char *near = relation_near(r, name, NULL);

	for (size_t i = 0; i < r->n && !near && strlen(name) >= 3; i++)
		if (strcasestr(r->columns[i].name, name))
			near = r->columns[i].name;
	return near;
}

const struct relation_column *relation_column(const struct relation *r, const char *name)
{
	const struct relation_column *c = relation_find(r, name);
	const char *near;

	if (c)
		return c;
	if ((near = nearest(r, name)))
		ctl_error(r->ctl, "no column '%s' in table '%s'; did you mean '%s'?", name, r->name, near);
	else
		ctl_error(r->ctl, "no column '%s' in table '%s'; '%s columns %s' lists them", name, r->name,
			  r->ctl->program, ctl_db(r->ctl));
	return NULL;
}

int relation_columns(const struct relation *r, const char *list, const struct relation_column ***ret,
		     size_t *ret_n)
{
	const struct relation_column **columns = calloc(strlen(list) + 1, sizeof(*columns));
	size_t n = 0;
	int status = CTL_OK;

	if (!columns)
		return ctl_no_memory(r->ctl);
	for (const char *at = list; status == CTL_OK && at;) {
		size_t len = strcspn(at, ",");
		char *name = strndup(at, len);
		if (!name)
			status = ctl_no_memory(r->ctl);
		else if (!(columns[n++] = relation_column(r, name)))
			status = CTL_FAILED;
		free(name);
		at = at[len] ? at + len + 1 : NULL;
	}
	if (status != CTL_OK) {
		free(columns);
		return status;
	}
	*ret = columns;
	*ret_n = n;
	return CTL_OK;
}

bool relation_is_number(const struct relation_column *c)
{
	return strcasecmp(c->type, "INTEGER") == 0 || strcasecmp(c->type, "REAL") == 0 ||
	       strcasecmp(c->type, "BOOLEAN") == 0;
}
