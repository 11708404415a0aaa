/* exec: one writing statement of a user, in a transaction of its own (see writer.c). */
#include "handle.h"
#include "table.h"

#define EXEC_TIMEOUT_MS 60000

int handle_exec(struct work *w, const struct params_exec *p, struct result_exec *ret, struct xt_err *err)
{
	struct store *s = w->store;
	sqlite3_stmt *st = NULL;
	int64_t before = sqlite3_total_changes64(s->db);
	uint64_t timeout = HAS_PARAM(p, exec, timeout_ms) ? p->timeout_ms : EXEC_TIMEOUT_MS;
	int rc, r;

	guard_enter(&s->guard, GUARD_WRITE, timeout, NULL);
	r = guard_prepare(&s->guard, s->db, p->sql, HAS_PARAM(p, exec, args) ? p->args : span_of(NULL, 0),
			  &st, err);
	if (r == 0) {
		do
			rc = sqlite3_step(st);
		while (rc == SQLITE_ROW);
		if (rc != SQLITE_DONE)
			r = guard_fail(&s->guard, s->db, err);
		else if (!sqlite3_stmt_readonly(st) && sqlite3_total_changes64(s->db) != before)
			ret->changed = (uint64_t)sqlite3_changes64(s->db);
	}
	sqlite3_finalize(st);
	guard_leave(&s->guard);
	tables_drop(s); /* the statement may have altered any of them */
	return r;
}
