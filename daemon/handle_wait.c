/* wait: until rows come into a table; on the loop. */
#include "handle.h"
#include "ident.h"
#include "loop.h"

int handle_wait(struct loop_call *c, const struct params_wait *p, struct result_wait *ret, struct xt_err *err)
{
	struct span table = table_or_events(HAS_PARAM(p, wait, table), p->table);
	bool timed = HAS_PARAM(p, wait, wait_ms);
	uint64_t until = timed ? server_now_ms(c->server) + p->wait_ms : SERVER_NEVER;

	if (table.len >= IDENT_SIZE) /* it is kept as long as the wait lasts */
		return xt_err_set(err, XT_E_bad_name, "table", "the name of the table has more than %d bytes",
				  IDENT_SIZE - 1);
	ret->level = server_level(c->server, table);
	if (!HAS_PARAM(p, wait, level) || p->level != ret->level || (timed && p->wait_ms == 0))
		return 0;
	if (server_wait(c->server, c->op->conn, c->op->msgid, table, p->level, until, err) < 0)
		return -1;
	return HANDLE_LATER;
}
