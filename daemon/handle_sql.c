/* exec: one writing statement of a user, in a transaction of its own (see writer.c). */
#include "handle.h"
#include "mem.h"
#include "rules.h"
#include "table.h"
#include "tally.h"

#define EXEC_TIMEOUT_MS 60000

/* How many tables are named as ours are: the authorizer does not see the new name of a renamed one. */
static int count_internal(struct store *s, int64_t *ret, struct xt_err *err)
{
	sqlite3_stmt *st = store_stmt(s, STMT_INTERNAL_COUNT, err);

	if (!st || store_step(s, st, err) < 0)
		return -1;
	*ret = sqlite3_column_int64(st, 0);
	sqlite3_reset(st);
	return 0;
}

/* What is dangerous in the hands of users is off while their statement runs. */
static void restrict_connection(sqlite3 *db, bool on)
{
	sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, on, NULL);
	guard_limit(db, on);
}

static int run_statement(struct store *s, const struct params_exec *p, struct tally *tally,
			 uint64_t *ret_changed, struct xt_err *err)
{
	struct span args = HAS_PARAM(p, exec, args) ? p->args : span_of(NULL, 0);
	int64_t before = sqlite3_total_changes64(s->db);
	sqlite3_stmt *st = NULL;
	int rc, r = guard_prepare(&s->guard, s->db, p->sql, args, &st, err);

	/* EXPLAIN asks the same of the authorizer, and drops nothing. */
	if (r == 0 && s->guard.dropped[0] && !sqlite3_stmt_isexplain(st))
		r = tally_dropped(tally, s->guard.dropped, err);
	if (r == 0) {
		do
			rc = sqlite3_step(st);
		while (rc == SQLITE_ROW);
		if (rc != SQLITE_DONE)
			r = guard_fail(&s->guard, s->db, err);
		else if (!sqlite3_stmt_readonly(st) && sqlite3_total_changes64(s->db) != before)
			*ret_changed = (uint64_t)sqlite3_changes64(s->db);
	}
	sqlite3_finalize(st);
	if (r == 0 && s->guard.created[0])
		r = tally_created(tally, s->guard.created, err);
	return r;
}

int handle_exec(struct work *w, const struct params_exec *p, struct result_exec *ret, struct xt_err *err)
{
	struct store *s = w->store;
	uint64_t timeout = HAS_PARAM(p, exec, timeout_ms) ? p->timeout_ms : EXEC_TIMEOUT_MS;
	int64_t before, after;

	if (count_internal(s, &before, err) < 0)
		return -1;
	struct tally *tally = tally_begin(s, err);
	if (!tally)
		return -1;
	restrict_connection(s->db, true);
	guard_enter(&s->guard, GUARD_WRITE, timeout, NULL);
	int r = run_statement(s, p, tally, &ret->changed, err);
	guard_leave(&s->guard);
	restrict_connection(s->db, false);
	mem_tidy(s->guard.account);
	tables_drop(s); /* the statement may have altered any of them */
	s->all_risen = true;
	if (tally_end(tally, r == 0, err) < 0 || r < 0 || rules_sweep(s, err) < 0)
		return -1;
	if (count_internal(s, &after, err) < 0)
		return -1;
	return after == before ? 0
			       : xt_err_set(err, XT_E_sql_denied, "sql",
					    "tables whose name starts with xt_ are internal");
}
