#include "guard.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "aggregates.h"
#include "bind.h"
#include "functions.h"
#include "hint.h"
#include "histogram.h"
#include "mem.h"
#include "store.h"
#include "wire.h"

#define PROGRESS_OPS 1000 /* virtual machine instructions between two looks at the clock */

/* ---- time ------------------------------------------------------------- */

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int progress(void *data)
{
	struct guard *g = data;

	if ((g->cancelled && atomic_load(g->cancelled)) || (g->abandon && atomic_load(g->abandon)))
		return 1;
	if (g->deadline_ns && now_ns() > g->deadline_ns)
		g->timed_out = true;
	return g->timed_out;
}

/* ---- authorizer ------------------------------------------------------- */

/* Pragmas that only tell; those marked tell when they have no argument. */
static const struct {
	const char *name;
	bool argument; /* allowed with one */
} telling_pragmas[] = {
	{"table_info", true},	     {"table_xinfo", true},	{"table_list", true},
	{"index_list", true},	     {"index_info", true},	{"index_xinfo", true},
	{"foreign_key_list", true},  {"integrity_check", true}, {"quick_check", true},
	{"foreign_key_check", true}, {"database_list", true},	{"collation_list", true},
	{"function_list", true},     {"module_list", true},	{"compile_options", true},
	{"pragma_list", true},	     {"page_count", false},	{"page_size", false},
	{"freelist_count", false},   {"schema_version", false}, {"user_version", false},
	{"application_id", false},   {"encoding", false},	{"journal_mode", false},
	{"synchronous", false},	     {"data_version", false},
};

static bool tells(const char *pragma, const char *argument)
{
	for (size_t i = 0; i < sizeof(telling_pragmas) / sizeof(telling_pragmas[0]); i++)
		if (strcasecmp(pragma, telling_pragmas[i].name) == 0)
			return telling_pragmas[i].argument || !argument;
	return false;
}

static bool internal(const char *name)
{
	return name && strncasecmp(name, "xt_", 3) == 0;
}

static int deny(struct guard *g, enum xt_code code)
{
	g->denied = code;
	return SQLITE_DENY;
}

/* True when an action changes the table or object that `name` names. */
static bool changes(int action)
{
	switch (action) {
	case SQLITE_INSERT:
	case SQLITE_UPDATE:
	case SQLITE_DELETE:
	case SQLITE_CREATE_INDEX:
	case SQLITE_CREATE_TABLE:
	case SQLITE_CREATE_TRIGGER:
	case SQLITE_CREATE_VIEW:
	case SQLITE_CREATE_VTABLE:
	case SQLITE_DROP_INDEX:
	case SQLITE_DROP_TABLE:
	case SQLITE_DROP_TRIGGER:
	case SQLITE_DROP_VIEW:
	case SQLITE_DROP_VTABLE:
	case SQLITE_ALTER_TABLE:
	case SQLITE_REINDEX:
	case SQLITE_ANALYZE:
		return true;
	default:
		return false;
	}
}

/* Temporary objects live in the connection, which users share. */
static bool temporary(int action)
{
	switch (action) {
	case SQLITE_CREATE_TEMP_INDEX:
	case SQLITE_CREATE_TEMP_TABLE:
	case SQLITE_CREATE_TEMP_TRIGGER:
	case SQLITE_CREATE_TEMP_VIEW:
	case SQLITE_DROP_TEMP_INDEX:
	case SQLITE_DROP_TEMP_TABLE:
	case SQLITE_DROP_TEMP_TRIGGER:
	case SQLITE_DROP_TEMP_VIEW:
		return true;
	default:
		return false;
	}
}

/* Virtual tables that are data; others are a module's windows on something else. */
static bool stores(const char *module)
{
	static const char *const modules[] = {"fts3", "fts4", "fts5", "rtree", "rtree_i32"};

	for (size_t i = 0; module && i < sizeof(modules) / sizeof(modules[0]); i++)
		if (strcasecmp(module, modules[i]) == 0)
			return true;
	return false;
}

static bool denied_function(const char *name)
{
	static const char *const functions[] = {"load_extension", "fts3_tokenizer", "sqlite_log"};

	for (size_t i = 0; name && i < sizeof(functions) / sizeof(functions[0]); i++)
		if (strcasecmp(name, functions[i]) == 0)
			return true;
	return false;
}

static int check_user(struct guard *g, int action, const char *a, const char *b, const char *database)
{
	/* ALTER TABLE names the database first, then the table. */
	const char *object = action == SQLITE_ALTER_TABLE ? b : a;

	switch (action) {
	case SQLITE_SELECT:
	case SQLITE_READ:
	case SQLITE_RECURSIVE:
		return SQLITE_OK;
	case SQLITE_FUNCTION:
		return denied_function(b) ? deny(g, XT_E_sql_denied) : SQLITE_OK;
	case SQLITE_PRAGMA:
		return tells(a, b) ? SQLITE_OK : deny(g, XT_E_sql_denied);
	default:
		break;
	}
	/* SQLite asks this when a virtual table such as pragma_table_info first declares itself. A user's
	 * UPDATE of the schema it refuses by itself, as long as writable_schema is off. */
	if (action == SQLITE_UPDATE &&
	    (strcmp(a, "sqlite_master") == 0 || strcmp(a, "sqlite_temp_master") == 0)) /* of a rename */
		return SQLITE_OK;
	if (temporary(action) || !changes(action) || (database && strcasecmp(database, "temp") == 0))
		return deny(g, XT_E_sql_denied);
	if (action == SQLITE_CREATE_VTABLE && !stores(b))
		return deny(g, XT_E_sql_denied);
	if (g->mode == GUARD_READ)
		return deny(g, XT_E_sql_writes);
	if (action == SQLITE_CREATE_TABLE)
		snprintf(g->created, sizeof(g->created), "%s", a);
	if (action == SQLITE_DROP_TABLE)
		snprintf(g->dropped, sizeof(g->dropped), "%s", a);
	/* A trigger or an index on an internal table would write there later. */
	if (internal(object) ||
	    ((action == SQLITE_CREATE_TRIGGER || action == SQLITE_CREATE_INDEX) && internal(b)))
		return deny(g, XT_E_sql_denied);
	return SQLITE_OK;
}

static int authorize(void *data, int action, const char *a, const char *b, const char *database,
		     const char *trigger)
{
	struct guard *g = data;

	/* Nothing else looks at the clock while a statement is compiled, and a hostile one compiles for
	 * hours. */
	if (g->mode != GUARD_OURS && progress(g))
		return SQLITE_DENY;
	if (g->mode != GUARD_OURS)
		return check_user(g, action, a, b, database);
	/* Defaults, checks and triggers of users run in statements of ours. */
	if ((trigger && changes(action) && internal(a)) || (action == SQLITE_FUNCTION && denied_function(b)))
		return deny(g, XT_E_sql_denied);
	return SQLITE_OK;
}

/* ---- installing ------------------------------------------------------ */

void guard_limit(sqlite3 *db, bool on)
{
	static const struct {
		int id, most;
	} limits[] = {
		{SQLITE_LIMIT_LENGTH, STORE_USER_LENGTH},
		{SQLITE_LIMIT_SQL_LENGTH, XT_MAX_SQL},
		{SQLITE_LIMIT_EXPR_DEPTH, 1000},     /* SQLite's own; the stack holds it */
		{SQLITE_LIMIT_COMPOUND_SELECT, 500}, /* SQLite's own */
		{SQLITE_LIMIT_VDBE_OP, 1000000},     /* of 250 million: some 50 bytes each */
		{SQLITE_LIMIT_FUNCTION_ARG, 100},
		{SQLITE_LIMIT_VARIABLE_NUMBER, XT_MAX_ITEMS}, /* no message has more */
		{SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1000}, /* of 50,000: each is held against each character */
		{SQLITE_LIMIT_WORKER_THREADS, 0},
	};

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
		sqlite3_limit(db, limits[i].id, on ? limits[i].most : INT32_MAX);
	if (!on) /* for triggers and checks of users, which run in statements of ours */
		sqlite3_limit(db, SQLITE_LIMIT_LENGTH, STORE_LENGTH);
}

void guard_install(struct guard *g, sqlite3 *db)
{
	*g = (struct guard){.account = mem_open()};
	functions_install(db);
	aggregates_install(db);
	histogram_install(db);
	/* It takes a pointer as an argument; Debian's SQLite has it on. */
	sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, 0, NULL);
	sqlite3_set_authorizer(db, authorize, g);
	sqlite3_progress_handler(db, PROGRESS_OPS, progress, g);
}

void guard_done(struct guard *g)
{
	if (g->account)
		mem_close(g->account);
	g->account = 0;
}

void guard_enter(struct guard *g, enum guard_mode mode, uint64_t timeout_ms, atomic_bool *cancelled)
{
	*g = (struct guard){
		.mode = mode, .cancelled = cancelled, .abandon = g->abandon, .account = g->account};
	mem_enter(g->account);
	if (timeout_ms)
		g->deadline_ns = now_ns() + (int64_t)timeout_ms * 1000000;
}

void guard_leave(struct guard *g)
{
	*g = (struct guard){.abandon = g->abandon, .account = g->account};
	mem_leave();
}

/* ---- preparing -------------------------------------------------------- */

int guard_fail(struct guard *g, sqlite3 *db, struct xt_err *err)
{
	int code = sqlite3_errcode(db);

	if (g->timed_out)
		return xt_err_set(err, XT_E_timed_out, NULL, "the statement took longer than its timeout");
	if (g->cancelled && atomic_load(g->cancelled))
		return xt_err_set(err, XT_E_cancelled, NULL, "the query was cancelled");
	if (((code & 0xff) == SQLITE_NOMEM || code == SQLITE_IOERR_NOMEM) && mem_refused())
		return xt_err_set(
			err, XT_E_too_large, NULL,
			"the statement needs more memory than the %d MiB that one may have, or than "
			"others have left it",
			MEM_ONE >> 20);
	if (g->denied == XT_E_sql_writes)
		return xt_err_set(
			err, XT_E_sql_writes, NULL,
			"the statement writes; a query only reads, send it by exec (xtctl sql --write)");
	if (g->denied)
		return xt_err_set(
			err, XT_E_sql_denied, NULL,
			"not allowed here: ATTACH, transactions, temporary and internal (xt_…) objects, "
			"extensions and pragmas that change something: %s",
			sqlite3_errmsg(db));
	enum xt_code mine = store_code(code);
	/* io_error and its like say that the daemon leaves, which it does not for one statement. */
	if (mine == XT_E_internal || mine == XT_E_io_error || mine == XT_E_database_locked)
		mine = XT_E_sql_error;
	return xt_err_set(err, mine, NULL, "%s", sqlite3_errmsg(db));
}

/* VACUUM is not shown to the authorizer. */
static bool is_vacuum(sqlite3_stmt *st)
{
	const char *p = sqlite3_sql(st);

	for (;;) {
		p += strspn(p, " \t\r\n\f;");
		if (strncmp(p, "\xef\xbb\xbf", 3) == 0) /* a byte order mark is a space to SQLite */
			p += 3;
		else if (strncmp(p, "--", 2) == 0)
			p += strcspn(p, "\n");
		else if (strncmp(p, "/*", 2) == 0 && strstr(p + 2, "*/"))
			p = strstr(p + 2, "*/") + 2;
		else
			return strncasecmp(p, "vacuum", 6) == 0;
	}
}

static int bind_named(sqlite3_stmt *st, struct reader *r, uint32_t n, struct xt_err *err)
{
	int bound = 0, count = sqlite3_bind_parameter_count(st);

	for (; n > 0; n--) {
		struct token key;
		if (reader_next(r, &key) < 0 || key.type != TOKEN_STR)
			return xt_err_set(err, XT_E_bad_type, "args",
					  "the name of an argument must be a string");
		int at = 0;
		for (int i = 1; i <= count && !at; i++) {
			const char *name = sqlite3_bind_parameter_name(st, i);
			if (name && span_is(key.bytes, name + 1))
				at = i;
		}
		if (!at)
			return xt_err_set(
				err, XT_E_out_of_range, "args", "the statement has no parameter named '%.*s'",
				(int)(key.bytes.len < 64 ? key.bytes.len : 64), (const char *)key.bytes.data);
		if (bind_value(st, at, r, "args", err) < 0)
			return -1;
		bound++;
	}
	if (bound != count)
		return xt_err_set(
			err, XT_E_missing_field, "args",
			"the statement has %d parameters, %d were given; one for each ? (xtctl sql --arg)",
			count, bound);
	return 0;
}

static int bind_args(sqlite3_stmt *st, struct span args, struct xt_err *err)
{
	struct reader r = reader_of(args);
	struct token head;
	int count = sqlite3_bind_parameter_count(st);

	if (args.len == 0) {
		head = (struct token){.type = TOKEN_ARRAY};
	} else if (reader_next(&r, &head) < 0 || (head.type != TOKEN_ARRAY && head.type != TOKEN_MAP)) {
		return xt_err_set(err, XT_E_bad_type, "args",
				  "the arguments must be an array, or a map by name");
	}
	if (head.type == TOKEN_MAP)
		return bind_named(st, &r, head.count, err);
	if (head.count != (uint32_t)count)
		return xt_err_set(
			err, XT_E_out_of_range, "args",
			"the statement has %d parameters, %u were given; one for each ? (xtctl sql --arg)",
			count, head.count);
	for (int i = 1; i <= count; i++)
		if (bind_value(st, i, &r, "args", err) < 0)
			return -1;
	return 0;
}

int guard_refuse(struct guard *g, sqlite3 *db, struct xt_err *err)
{
	char hint[HINT_SIZE], message[200];

	(void)!guard_fail(g, db, err);
	if (err->code != XT_E_sql_error && err->code != XT_E_no_such_table &&
	    err->code != XT_E_no_such_column)
		return -1;
	snprintf(message, sizeof(message), "%s", sqlite3_errmsg(db));
	size_t n = strlen(err->message);
	snprintf(err->message + n, sizeof(err->message) - n, "%s", hint_for(db, message, hint));
	return -1;
}

int guard_prepare(struct guard *g, sqlite3 *db, struct span sql, struct span args, sqlite3_stmt **ret,
		  struct xt_err *err)
{
	const char *tail, *end = (const char *)sql.data + sql.len;
	sqlite3_stmt *st = NULL, *second = NULL;

	if (memchr(sql.data, 0, sql.len))
		return xt_err_set(err, XT_E_sql_error, "sql", "the statement holds a NUL character");
	if (sqlite3_prepare_v3(db, (const char *)sql.data, (int)sql.len, 0, &st, &tail) != SQLITE_OK)
		return guard_refuse(g, db, err);
	if (!st)
		return xt_err_set(err, XT_E_sql_error, "sql", "there is no statement in the text");
	/* What follows may be comments and semicolons only. */
	int more = sqlite3_prepare_v3(db, tail, (int)(end - tail), 0, &second, NULL);
	sqlite3_finalize(second);
	int r = 0;
	if (more != SQLITE_OK || second)
		r = xt_err_set(err, XT_E_sql_error, "sql", "more than one statement; send them one by one");
	else if (is_vacuum(st))
		r = xt_err_set(err, XT_E_sql_denied, "sql", "VACUUM is not allowed here");
	else if (g->mode == GUARD_READ && !sqlite3_stmt_readonly(st))
		r = xt_err_set(
			err, XT_E_sql_writes, "sql",
			"the statement writes; a query only reads, send it by exec (xtctl sql --write)");
	else
		r = bind_args(st, args, err);
	if (r < 0) {
		sqlite3_finalize(st);
		return -1;
	}
	*ret = st;
	return 0;
}
