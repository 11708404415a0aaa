/* assets: content that its hash names. */
#include "xtctl.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>

#include "chosen.h"
#include "progress.h"
#include "proto.h"
#include "text.h"

#define LEAST_DIGITS 4 /* of a hash that is not written out */

/* ---- which one -------------------------------------------------------- */

/* The whole hash of the digits that were given. */
static int find_hash(const struct ctl *ctl, xt_client *client, const char *digits, char ret[XT_HASH_SIZE])
{
	size_t n = strlen(digits);
	xt_value arg = xt_textn(digits, n);
	xt_cursor *cursor = NULL;
	const xt_value *row;
	int found = 0;

	if (n >= XT_HASH_SIZE || n < LEAST_DIGITS || strspn(digits, "0123456789abcdefABCDEF") != n)
		return ctl_error(ctl, "'%s' is no hash: give %d to %d of its hexadecimal digits", digits,
				 LEAST_DIGITS, XT_HASH_SIZE - 1);
	int r = ctl_query(client,
			  "SELECT lower(hex(hash)) FROM xt_assets WHERE hex(hash) LIKE ? || '%' LIMIT 2",
			  &arg, 1, 0, &cursor);
	while (r == XT_OK && (r = ctl_next(cursor, &row)) == XT_OK) {
		snprintf(ret, XT_HASH_SIZE, "%.*s", (int)row[0].n, row[0].as.text);
		found++;
	}
	xt_cursor_close(cursor);
	if (r != XT_DONE)
		return ctl_fail(ctl, client, r);
	if (found == 1)
		return CTL_OK;
	return ctl_error(
		ctl, found ? "more than one asset begins with %s; give more digits" : "there is no asset %s",
		digits);
}

/* ---- progress --------------------------------------------------------- */

static bool on_progress(uint64_t done, uint64_t total, void *user)
{
	progress_bar(user, done, total);
	return !ctl_interrupted();
}

/* ---- ls and put ------------------------------------------------------- */

static int list(struct ctl *ctl, xt_client *client)
{
	static const char sql[] =
		"SELECT lower(hex(a.hash)) AS hash, a.size, a.stored_size AS stored, count(r.hash) AS refs,"
		" group_concat(DISTINCT r.name) AS names, substr(a.created, 1, 19) AS created"
		" FROM xt_assets a LEFT JOIN xt_asset_refs r ON r.hash = a.hash"
		" WHERE ?1 IS NULL OR a.hash IN (SELECT hash FROM xt_asset_refs WHERE track_id = ?1)"
		" GROUP BY a.hash ORDER BY a.created, a.hash";
	xt_cursor *cursor = NULL;
	char *run = NULL;

	int status = chosen_run(ctl, client, NULL, false, &run);
	if (status == CTL_OK) {
		xt_value arg = xt_text(run);
		int r = ctl_query(client, sql, &arg, 1, 0, &cursor);
		status = r == XT_OK ? ctl_print(ctl, client, cursor) : ctl_fail(ctl, client, r);
	}
	xt_cursor_close(cursor);
	free(run);
	return status;
}

static int put(struct ctl *ctl, xt_client *client)
{
	const char *path = ctl->args[1], *slash = strrchr(path, '/');
	const char *name = ctl->options.name ? ctl->options.name : slash ? slash + 1 : path;
	struct progress progress;
	xt_asset_options how = {.on_progress = on_progress, .user = &progress};
	char hash[XT_HASH_SIZE];
	xt_run *run;

	if (!ctl->options.track_id)
		return ctl_usage(ctl, "--track-id is missing: an asset stays as long as a run needs it");
	if (chosen_is_last(ctl->options.track_id))
		return chosen_no_last(ctl);
	int r = xt_run_join(&run, client, ctl->options.track_id, NULL);
	if (r == XT_OK) {
		progress_begin(&progress, -1);
		do
			r = xt_asset_put_file(run, name, path, &how, hash);
		while (ctl_again(r));
		progress_hide(&progress);
		xt_run_free(run);
	}
	if (r != XT_OK)
		return ctl_fail(ctl, client, r);
	if (ctl->options.json)
		fprintf(ctl->out.file, "{\"hash\": \"%s\"}\n", hash);
	else
		fprintf(ctl->out.file, "%s\n", hash);
	return CTL_OK;
}

/* ---- export ----------------------------------------------------------- */

static int export_to(struct ctl *ctl, xt_client *client)
{
	struct progress progress;
	xt_asset_options how = {.on_progress = on_progress, .user = &progress};
	char hash[XT_HASH_SIZE];
	int r, status = find_hash(ctl, client, ctl->args[1], hash);

	if (status != CTL_OK)
		return status;
	progress_begin(&progress, -1);
	do
		r = xt_asset_export(client, hash, ctl->args[2], &how);
	while (ctl_again(r));
	progress_hide(&progress);
	return r == XT_OK ? CTL_OK : ctl_fail(ctl, client, r);
}

/* ---- delete ----------------------------------------------------------- */

/* Rows that name what is no longer there. */
static int clear_column(struct ctl *ctl, xt_client *client, const char *hash)
{
	const char *column = ctl->options.column;
	uint64_t changed = 0;

	if (!column)
		return CTL_OK;
	int r = xt_set(client, column, xt_null(),
		       &(xt_set_options){.table = ctl->table,
					 .track_id = ctl->options.track_id,
					 .where_key = column,
					 .where_value = xt_text(hash)},
		       &changed);
	return r == XT_OK ? CTL_OK : ctl_fail(ctl, client, r);
}

static int delete (struct ctl *ctl, xt_client *client)
{
	const struct options *o = &ctl->options;
	char hash[XT_HASH_SIZE];
	uint64_t left = 0;

	int status = find_hash(ctl, client, ctl->args[1], hash);
	if (status != CTL_OK)
		return status;
	if (!o->yes && !ctl->xt && !ctl_confirm(ctl, "delete asset %s?", hash))
		return ctl_interrupted() ? CTL_INTERRUPTED : ctl_error(ctl, "nothing was deleted");
	/* The seed's `xt assets delete` asked nobody who else needs it. */
	int r = xt_asset_delete(client, hash, o->track_id, o->name, o->force || ctl->xt, &left);
	if (r != XT_OK && strcmp(xt_error_code(client), "asset_in_use") == 0)
		return ctl_error(ctl,
				 "asset %s is needed by more than one: name one by --track-id or --name, or "
				 "delete it with --force",
				 hash);
	if (r != XT_OK)
		return ctl_fail(ctl, client, r);
	if (o->json)
		fprintf(ctl->out.file, "{\"hash\": \"%s\", \"refs\": %" PRIu64 "}\n", hash, left);
	else if (left > 0)
		fprintf(ctl->out.file, "%" PRIu64 " references are left\n", left);
	else
		fputs("deleted\n", ctl->out.file);
	return clear_column(ctl, client, hash);
}

/* ---- verify ----------------------------------------------------------- */

struct verify {
	struct ctl *ctl;
	xt_client *client;
	struct progress progress;
	uint64_t assets, bytes, total; /* read so far; of all */
	uint64_t findings;
};

static void find(struct verify *v, const char *text)
{
	FILE *out = v->ctl->out.file;

	progress_hide(&v->progress);
	if (v->ctl->options.json) {
		fputs(v->findings ? ", " : "", out);
		json_print_text(out, text, strlen(text));
	} else {
		text_put(out, text, strlen(text), SIZE_MAX);
		fputc('\n', out);
	}
	v->findings++;
}

static bool on_data(const void *data, size_t size, void *user)
{
	struct verify *v = user;

	(void)data;
	v->bytes += size;
	progress_bar(&v->progress, v->bytes, v->total);
	return !ctl_interrupted();
}

/* XT_OK also for what is damaged, which is told. */
static int verify_one(struct verify *v, const char *hash)
{
	int r;

	do
		r = xt_asset_get(v->client, hash, on_data, v);
	while (ctl_again(r));
	v->assets += r == XT_OK;
	if (r == XT_EREQUEST && strcmp(xt_error_code(v->client), "corrupt_asset") == 0)
		find(v, xt_error(v->client));
	else if (r == XT_EREQUEST && strcmp(xt_error_code(v->client), "no_such_asset") == 0)
		return XT_OK; /* deleted meanwhile */
	else
		return r;
	return XT_OK;
}

/* The next hash in their order. XT_DONE: there is none. */
static int next_hash(struct verify *v, uint8_t hash[XT_ASSET_HASH], bool first)
{
	xt_value arg = first ? xt_blob("", 0) : xt_blob(hash, XT_ASSET_HASH);
	xt_cursor *cursor = NULL;
	const xt_value *row;

	int r = ctl_query(v->client,
			  "SELECT hash, (SELECT sum(size) FROM xt_assets) FROM xt_assets WHERE hash > ? "
			  "ORDER BY hash LIMIT 1",
			  &arg, 1, 0, &cursor);
	if (r == XT_OK)
		r = ctl_next(cursor, &row);
	if (r == XT_OK && row[0].n == XT_ASSET_HASH) {
		memcpy(hash, row[0].as.blob, XT_ASSET_HASH);
		v->total = (uint64_t)row[1].as.integer;
	}
	xt_cursor_close(cursor);
	return r;
}

/* One by one: no query is open meanwhile, which would keep the log from being put back. */
static int verify_all(struct verify *v)
{
	uint8_t hash[XT_ASSET_HASH] = {0};
	char hex[XT_HASH_SIZE];
	int r;

	for (bool first = true; (r = next_hash(v, hash, first)) == XT_OK; first = false) {
		sodium_bin2hex(hex, sizeof(hex), hash, sizeof(hash));
		r = verify_one(v, hex);
		if (r != XT_OK)
			break;
	}
	return r == XT_DONE ? XT_OK : r;
}

/* What the two tables must agree on. */
static int verify_refs(struct verify *v)
{
	static const char sql[] = "SELECT 'asset ' || lower(hex(hash)) || ' has no reference' FROM xt_assets"
				  " WHERE hash NOT IN (SELECT hash FROM xt_asset_refs) UNION ALL "
				  "SELECT 'asset ' || lower(hex(hash)) || ' is missing: run ' || track_id || "
				  "' needs it as ' || name"
				  " FROM xt_asset_refs WHERE hash NOT IN (SELECT hash FROM xt_assets)";
	xt_cursor *cursor = NULL;
	const xt_value *row;

	int r = ctl_query(v->client, sql, NULL, 0, 0, &cursor);
	while (r == XT_OK && (r = ctl_next(cursor, &row)) == XT_OK) {
		char *text = strndup(row[0].as.text, row[0].n);
		find(v, text ? text : "out of memory");
		free(text);
	}
	xt_cursor_close(cursor);
	return r == XT_DONE ? XT_OK : r;
}

static int verify_files(struct verify *v)
{
	bool remove = v->ctl->options.force;
	xt_orphans orphans;
	char *text = NULL;
	int r;

	do
		r = xt_asset_orphans(v->client, remove, &orphans);
	while (ctl_again(r));
	const char *code = xt_error_code(v->client);
	if (r == XT_EREQUEST && (strcmp(code, "not_allowed") == 0 || strcmp(code, "read_only") == 0))
		return XT_OK; /* who only reads does not see the directory */
	if (r != XT_OK || orphans.files == 0)
		return r;
	if (asprintf(&text, "%" PRIu64 " files with %" PRIu64 " bytes belong to no asset%s, such as %s",
		     orphans.files, orphans.bytes, remove ? ", and were removed" : "; --force removes them",
		     orphans.example) < 0)
		return XT_ENOMEM;
	find(v, text);
	free(text);
	return XT_OK;
}

static int verify(struct ctl *ctl, xt_client *client)
{
	struct verify v = {.ctl = ctl, .client = client};
	char assets[COUNT_BYTES], bytes[COUNT_BYTES];

	progress_begin(&v.progress, -1);
	if (ctl->options.json)
		fputs("{\"findings\": [", ctl->out.file);
	int r = verify_all(&v);
	if (r == XT_OK)
		r = verify_refs(&v);
	if (r == XT_OK)
		r = verify_files(&v);
	progress_hide(&v.progress);
	if (r != XT_OK)
		return ctl_fail(ctl, client, r);
	if (ctl->options.json)
		fprintf(ctl->out.file, "], \"assets\": %" PRIu64 ", \"ok\": %s}\n", v.assets,
			v.findings ? "false" : "true");
	else if (!v.findings)
		fprintf(ctl->out.file, "ok: %s assets, %s\n", text_count(assets, v.assets),
			text_bytes(bytes, v.bytes));
	return v.findings ? CTL_FAILED : CTL_OK;
}

/* ---- all -------------------------------------------------------------- */

static const struct {
	const char *name, *usage;
	size_t args; /* that follow */
	int (*run)(struct ctl *ctl, xt_client *client);
	bool writes; /* may make the database */
} verbs[] = {
	{"ls", "", 0, list, false},
	{"put", "FILE", 1, put, true},
	{"export", "HASH FILE", 2, export_to, false},
	{"delete", "HASH", 1, delete, false},
	{"verify", "", 0, verify, false},
};

#define N_VERBS (sizeof(verbs) / sizeof(verbs[0]))

static size_t find_verb(const char *word)
{
	size_t i = 0;

	while (i < N_VERBS && strcmp(word, verbs[i].name) != 0)
		i++;
	return i;
}

static bool cmd_assets_is_arg(const char *word)
{
	return find_verb(word) < N_VERBS;
}

static size_t cmd_assets_wants(const char *word)
{
	size_t i = find_verb(word);

	return i < N_VERBS ? verbs[i].args : 0;
}

static int cmd_assets(struct ctl *ctl)
{
	const char *word = ctl->n_args > 0 ? ctl->args[0] : "ls";
	size_t verb = find_verb(word);
	xt_options options = ctl_reading();
	xt_client *client;

	if (verb == N_VERBS)
		return ctl_usage(ctl, "'%s' is none of ls, put, export, delete and verify", word);
	if (ctl->n_args > verbs[verb].args + 1)
		return ctl_usage(ctl, "one argument too many: '%s'", ctl->args[verbs[verb].args + 1]);
	if (ctl->n_args > 0 && ctl->n_args < verbs[verb].args + 1)
		return ctl_usage(ctl, "%s is missing", verbs[verb].usage);
	options.read_only = !verbs[verb].writes;
	int status = ctl_open(ctl, &options, &client);
	if (status != CTL_OK)
		return status;
	return ctl_close(ctl, client, verbs[verb].run(ctl, client));
}

const struct command assets_command = {
	.name = "assets",
	.usage = "[ls|put FILE|export HASH FILE|delete HASH|verify]",
	.summary = "models and other content that rows name by its hash",
	.help = "ls: all of them, or those that a run needs (--track-id). stored is what they take "
		"compressed, refs how many references they have.\n"
		"put: stores the content of a file, once however often it is put, and prints its hash. The "
		"run, which is started if it is not there, refers to it under --name, else the file's name.\n"
		"export: writes it into FILE, which appears when it is whole and verified, and replaces one "
		"that is there.\n"
		"HASH: as many digits as tell it from others, four at least.\n"
		"delete: drops the references of --track-id, of --name, or of both, and the asset with the "
		"last one. Several at once need --force, which the name xt implies. --column also sets that "
		"column of the table NULL where it has the hash.\n"
		"verify: reads every asset and holds it against its hash, and looks for files that belong to "
		"none, which --force removes. Exit status 1 when something is found.",
	.examples = (const struct example[]){{"keep a model with its run",
					      "assets demo.db put model.bin --track-id purple-mountain-4392"},
					     {"what is kept", "assets demo.db"},
					     {NULL, NULL}},
	.options = OPT_ROWS | OPT_TABLE | OPT_TRACK_ID | OPT_ASSET | OPT_FORCE | OPT_YES,
	.most = 3,
	.is_arg = cmd_assets_is_arg,
	.wants = cmd_assets_wants,
	.run = cmd_assets,
};
