#include "bind.h"

#include "json.h"

int bind_check(const struct token *t, const char *field, struct xt_err *err)
{
	if (t->type == TOKEN_UINT)
		return xt_err_set(err, XT_E_out_of_range, field,
				  "%llu is 2^63 or more, which SQLite's integers cannot hold",
				  (unsigned long long)t->uinteger);
	if (t->type == TOKEN_EXT)
		return xt_err_set(err, XT_E_bad_type, field,
				  "a MessagePack extension type; send it as bin or text");
	return 0;
}

static int bind_fail(int rc, const char *field, struct xt_err *err)
{
	return xt_err_set(err, rc == SQLITE_NOMEM ? XT_E_busy : XT_E_too_large, field, "%s",
			  sqlite3_errstr(rc));
}

static int bind_json(sqlite3_stmt *st, int i, struct reader *r, const char *field, struct xt_err *err)
{
	struct buf json = {0};

	json_put(&json, r);
	int rc = buf_failed(&json) ? SQLITE_NOMEM
				   : sqlite3_bind_text64(st, i, (const char *)json.data, json.len,
							 SQLITE_TRANSIENT, SQLITE_UTF8);
	buf_done(&json);
	return rc == SQLITE_OK ? 0 : bind_fail(rc, field, err);
}

int bind_value(sqlite3_stmt *st, int i, struct reader *r, const char *field, struct xt_err *err)
{
	struct reader start = *r;
	struct token t;
	int rc = SQLITE_OK;

	if (reader_next(r, &t) < 0)
		return xt_err_set(err, XT_E_bad_message, field, "a value is cut short");
	if (bind_check(&t, field, err) < 0)
		return -1;
	switch (t.type) {
	case TOKEN_NIL:
		rc = sqlite3_bind_null(st, i);
		break;
	case TOKEN_BOOL:
		rc = sqlite3_bind_int(st, i, t.boolean);
		break;
	case TOKEN_INT:
		rc = sqlite3_bind_int64(st, i, t.integer);
		break;
	case TOKEN_REAL:
		rc = sqlite3_bind_double(st, i, t.real);
		break;
	case TOKEN_STR:
		rc = sqlite3_bind_text64(st, i, (const char *)t.bytes.data, t.bytes.len, SQLITE_TRANSIENT,
					 SQLITE_UTF8);
		break;
	case TOKEN_BIN:
		rc = sqlite3_bind_blob64(st, i, t.bytes.data, t.bytes.len, SQLITE_TRANSIENT);
		break;
	default:
		*r = start;
		return bind_json(st, i, r, field, err);
	}
	return rc == SQLITE_OK ? 0 : bind_fail(rc, field, err);
}
