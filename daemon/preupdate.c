#include "preupdate.h"

/* Column `x` is number 1 in its table and number 0 of those that are stored. */
static const char trial[] =
	"CREATE TABLE rows(v AS ('v') VIRTUAL, x TEXT, k INTEGER);"
	"CREATE TABLE keyed(v AS ('v') VIRTUAL, x TEXT, k INTEGER PRIMARY KEY) WITHOUT ROWID;"
	"INSERT INTO rows(x, k) VALUES ('x', 1); UPDATE rows SET k = k;"
	"INSERT INTO keyed(x, k) VALUES ('x', 1); UPDATE keyed SET x = x;";

static bool is_x(sqlite3_value *v)
{
	return v && sqlite3_value_type(v) == SQLITE_TEXT &&
	       span_is(span_of(sqlite3_value_text(v), (size_t)sqlite3_value_bytes(v)), "x");
}

static void on_change(void *data, sqlite3 *db, int op, const char *database, const char *table,
		      sqlite3_int64 old_id, sqlite3_int64 new_id)
{
	bool *declared = ((struct preupdate *)data)->declared[table[0] == 'k'];
	sqlite3_value *old_value = NULL, *new_value = NULL;

	(void)database;
	(void)old_id;
	(void)new_id;
	sqlite3_preupdate_new(db, 1, &new_value);
	declared[op == SQLITE_INSERT ? PREUPDATE_INSERTED : PREUPDATE_UPDATED] = is_x(new_value);
	if (op == SQLITE_INSERT)
		return;
	sqlite3_preupdate_old(db, 1, &old_value);
	declared[PREUPDATE_OLD] = is_x(old_value);
}

int preupdate_learn(struct preupdate *ret, struct xt_err *err)
{
	struct preupdate p = {0};
	sqlite3 *db = NULL;

	int rc = sqlite3_open_v2(":memory:", &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
	if (rc == SQLITE_OK) {
		sqlite3_preupdate_hook(db, on_change, &p);
		rc = sqlite3_exec(db, trial, NULL, NULL, NULL);
	}
	sqlite3_close(db);
	if (rc != SQLITE_OK)
		return xt_err_set(err, XT_E_busy, NULL, "the daemon is out of memory; try again");
	*ret = p;
	return 0;
}
