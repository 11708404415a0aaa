/* xt-schema DB: the seed's renamed parameter through the library. xt-schema DB WORKER ROWS KEY…: logs rows
 * {worker, i, KEY: i} to `predictions`, the keys taking turns. For tests/integration/test_schema_live.py. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "xetrack.h"

#define CHECK(ok)                                                                                     \
	do {                                                                                          \
		if (!(ok)) {                                                                          \
			fprintf(stderr, "xt-schema: line %d: %s: %s\n", __LINE__, #ok, xt_error(xt)); \
			exit(1);                                                                      \
		}                                                                                     \
	} while (0)

/* What the library told. */
struct told {
	int similar, conflicts, rejects;
	char message[1000], code[64];
};

static void on_warning(const char *code, const char *message, void *user)
{
	struct told *told = user;

	told->similar += strcmp(code, "similar_column") == 0;
	told->conflicts += strcmp(code, "alias_conflict") == 0;
	snprintf(told->message, sizeof(told->message), "%s", message);
}

static void on_reject(const xt_rejection *rejection, void *user)
{
	struct told *told = user;

	told->rejects++;
	snprintf(told->code, sizeof(told->code), "%s", rejection->code);
}

static int64_t count(xt_client *xt, const char *sql)
{
	const xt_value *row;
	xt_cursor *cursor;

	CHECK(xt_query(&cursor, xt, sql, NULL, 0, 0) == XT_OK);
	CHECK(xt_cursor_next(cursor, &row) == XT_OK);
	int64_t n = row[0].as.integer;
	xt_cursor_close(cursor);
	return n;
}

/* Two runs, the second with the new name; made one; and a third that has the old one still. */
static void rename_a_parameter(xt_client *xt, const struct told *told)
{
	const xt_run_options o = {.table = "predictions"};
	xt_renamed renamed;
	xt_run *run;

	CHECK(xt_run_start(&run, xt, &o) == XT_OK);
	for (int i = 0; i < 10; i++)
		CHECK(xt_log(run, XT("i", i), XT("params_learning_rate", 0.1)) == XT_OK);
	CHECK(xt_run_finish(run, XT_FINISHED) == XT_OK);
	CHECK(told->similar == 0);
	CHECK(xt_run_start(&run, xt, &o) == XT_OK);
	for (int i = 10; i < 15; i++)
		CHECK(xt_log(run, XT("i", i), XT("params_lr", 0.2)) == XT_OK);
	CHECK(xt_run_finish(run, XT_FINISHED) == XT_OK);
	CHECK(told->similar == 1 && strstr(told->message, "'params_learning_rate'"));
	CHECK(xt_schema_rename(xt, "predictions", "params_learning_rate", "params_lr", &renamed) == XT_OK);
	CHECK(renamed.merged && renamed.moved == 5 && strcmp(renamed.name, "params_lr") == 0);
	CHECK(xt_run_start(&run, xt, &o) == XT_OK);
	CHECK(xt_log(run, XT("i", 15), XT("params_learning_rate", 0.3)) == XT_OK);
	CHECK(xt_log(run, XT("i", 16), XT("params_learning_rate", 0.3), XT("params_lr", 0.4)) == XT_OK);
	CHECK(xt_run_finish(run, XT_FINISHED) == XT_OK);
	CHECK(told->similar == 1 && told->conflicts == 1);
	CHECK(count(xt, "SELECT count(*) FROM predictions WHERE params_lr IS NOT NULL") == 17);
	CHECK(xt_schema_rename(xt, "predictions", "params_learning_rate", "x", NULL) == XT_EREQUEST);
	CHECK(strcmp(xt_error_code(xt), "no_such_column") == 0);
}

static void keep_rules(xt_client *xt, const struct told *told)
{
	const char *const required[] = {"i", NULL};
	uint64_t n = 9;
	bool changed;
	xt_run *run;

	CHECK(xt_run_start(&run, xt, NULL) == XT_OK);
	CHECK(xt_log(run, XT("i", 1), XT("train_loss", 0.5), XT("train_acc", 0.5)) == XT_OK);
	CHECK(xt_flush(xt, 10000) == XT_OK);
	CHECK(xt_schema_alias(xt, NULL, "loss", "train_loss", &changed) == XT_OK && changed);
	CHECK(xt_schema_alias(xt, NULL, "loss", NULL, NULL) == XT_OK);
	CHECK(xt_schema_accept(xt, NULL, "train_acc", "train_loss", &n) == XT_OK && n == 0);
	CHECK(xt_schema_freeze(xt, NULL, true, &changed) == XT_OK && changed);
	CHECK(xt_log(run, XT("i", 2), XT("tarin_loss", 0.5)) == XT_OK);
	CHECK(xt_flush(xt, 10000) == XT_EREJECTED);
	CHECK(told->rejects == 1 && strcmp(told->code, "frozen_schema") == 0);
	CHECK(xt_schema_freeze(xt, NULL, false, NULL) == XT_OK);
	CHECK(xt_schema_require(xt, NULL, required, 1, true, &n) == XT_OK && n == 1);
	CHECK(xt_schema_require(xt, NULL, required, 2, true, &n) == XT_EINVAL);
	CHECK(xt_log(run, XT("train_loss", 0.5)) == XT_OK);
	CHECK(xt_flush(xt, 10000) == XT_EREJECTED);
	CHECK(told->rejects == 2 && strcmp(told->code, "missing_column") == 0);
	CHECK(xt_schema_require(xt, NULL, required, 1, false, NULL) == XT_OK);
	CHECK(xt_run_finish(run, XT_FINISHED) == XT_OK);
}

static void log_rows(xt_client *xt, int64_t worker, int64_t rows, char **keys, int n_keys)
{
	xt_run *run;

	CHECK(xt_run_start(&run, xt, &(xt_run_options){.table = "predictions"}) == XT_OK);
	for (int64_t i = 0; i < rows; i++)
		CHECK(xt_log(run, XT("worker", worker), XT("i", i), XT(keys[i % n_keys], i)) == XT_OK);
	CHECK(xt_flush(xt, XT_FOREVER) == XT_OK);
	CHECK(xt_run_finish(run, XT_FINISHED) == XT_OK);
}

int main(int argc, char **argv)
{
	struct told told = {0};
	const xt_options o = {.on_warning = on_warning, .on_reject = on_reject, .user = &told};
	xt_client *xt = NULL;

	if (argc != 2 && argc < 5) {
		fprintf(stderr, "usage: xt-schema DB [WORKER ROWS KEY…]\n");
		return 2;
	}
	CHECK(xt_open(&xt, argv[1], &o) == XT_OK);
	if (argc == 2) {
		rename_a_parameter(xt, &told);
		keep_rules(xt, &told);
	} else {
		log_rows(xt, atoll(argv[2]), atoll(argv[3]), argv + 4, argc - 4);
	}
	xt_close(xt);
	return 0;
}
