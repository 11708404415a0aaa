/* config, spool_replay: what an administrator asks of the writer. */
#include <stdio.h>

#include "handle.h"
#include "intake.h"

static int unknown_setting(struct span key, struct xt_err *err)
{
	char names[300] = "";
	size_t at = 0;

	for (int i = 0; i < CONFIG_COUNT; i++)
		at += (size_t)snprintf(names + at, sizeof(names) - at, "%s%s", i ? ", " : "",
				       config_settings[i].name);
	return xt_err_set(err, XT_E_out_of_range, "key", "there is no setting '%.*s'; there are %s",
			  (int)(key.len < 64 ? key.len : 64), (const char *)key.data, names);
}

int handle_config(struct work *w, const struct params_config *p, struct result_config *ret,
		  struct xt_err *err)
{
	bool set = HAS_PARAM(p, config, value);
	enum config_id id = config_find(p->key);

	if (id == CONFIG_COUNT)
		return unknown_setting(p->key, err);
	const struct setting *k = &config_settings[id];
	if (set && (p->value < k->min || p->value > k->max))
		return xt_err_set(err, XT_E_out_of_range, "value", "'%s' is %lld to %lld, not %lld", k->name,
				  (long long)k->min, (long long)k->max, (long long)p->value);
	sqlite3_stmt *st = store_stmt(w->store, set ? STMT_CONFIG_SET : STMT_CONFIG_UNSET, err);
	if (!st)
		return -1;
	sqlite3_bind_text(st, 1, k->name, -1, SQLITE_STATIC);
	if (set)
		sqlite3_bind_int64(st, 2, p->value);
	if (store_run(w->store, st, err) < 0)
		return -1;
	ret->value = w->store->config[id] = set ? p->value : k->preset;
	return 0;
}

int handle_spool_replay(struct work *w, const struct params_spool_replay *p, struct result_spool_replay *ret,
			struct xt_err *err)
{
	struct intake_report report = {0};

	(void)p;
	if (intake_apply(w->intake, w, &report, err) < 0)
		return -1;
	ret->rows = report.rows;
	ret->more = report.more;
	ret->owned = report.owned;
	ret->damaged = report.damaged;
	return 0;
}
