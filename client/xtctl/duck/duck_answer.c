#include "duck_answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sql.h"

struct duck_column_of {
	int type;		  /* enum duck_type */
	const void *data;	  /* the chunk's */
	const uint64_t *validity; /* of its rows; NULL: none is NULL */
};

/* ---- types ------------------------------------------------------------ */

/* Those that are read as they are, and how SQLite would declare them. */
static const struct {
	enum duck_type type;
	const char *declared;
} known[] = {
	{DUCK_BOOLEAN, "BOOLEAN"},   {DUCK_TINYINT, "INTEGER"},	 {DUCK_SMALLINT, "INTEGER"},
	{DUCK_INTEGER, "INTEGER"},   {DUCK_BIGINT, "INTEGER"},	 {DUCK_UTINYINT, "INTEGER"},
	{DUCK_USMALLINT, "INTEGER"}, {DUCK_UINTEGER, "INTEGER"}, {DUCK_UBIGINT, "INTEGER"},
	{DUCK_HUGEINT, "INTEGER"},   {DUCK_FLOAT, "REAL"},	 {DUCK_DOUBLE, "REAL"},
	{DUCK_VARCHAR, "TEXT"},	     {DUCK_BLOB, "BLOB"},	 {DUCK_SQLNULL, ""},
};

/* NULL: such a column must be cast. */
static const char *declared(int type)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if ((int)known[i].type == type)
			return known[i].declared;
	return NULL;
}

static xt_value hugeint(struct duck_hugeint h)
{
	/* Sums of whole numbers are of this type, and mostly small. */
	if (h.upper == 0 && h.lower <= INT64_MAX)
		return xt_int((int64_t)h.lower);
	if (h.upper == -1 && h.lower > INT64_MAX)
		return xt_int((int64_t)h.lower);
	return xt_real((double)h.upper * 0x1p64 + (double)h.lower);
}

static xt_value text_at(const struct duck_string *s, bool blob)
{
	const char *from = s->length > DUCK_IN_PLACE ? s->then.all
						     : (const char *)s + offsetof(struct duck_string, start);

	return blob ? xt_blob(from, s->length) : xt_textn(from, s->length);
}

static xt_value value_at(const struct duck_column_of *c, size_t i)
{
	if (c->validity && !(c->validity[i / 64] >> (i % 64) & 1))
		return xt_null();
	switch (c->type) {
	case DUCK_BOOLEAN:
		return xt_bool(((const bool *)c->data)[i]);
	case DUCK_TINYINT:
		return xt_int(((const int8_t *)c->data)[i]);
	case DUCK_SMALLINT:
		return xt_int(((const int16_t *)c->data)[i]);
	case DUCK_INTEGER:
		return xt_int(((const int32_t *)c->data)[i]);
	case DUCK_BIGINT:
		return xt_int(((const int64_t *)c->data)[i]);
	case DUCK_UTINYINT:
		return xt_int(((const uint8_t *)c->data)[i]);
	case DUCK_USMALLINT:
		return xt_int(((const uint16_t *)c->data)[i]);
	case DUCK_UINTEGER:
		return xt_int(((const uint32_t *)c->data)[i]);
	case DUCK_UBIGINT:
		return xt_uint(((const uint64_t *)c->data)[i]);
	case DUCK_HUGEINT:
		return hugeint(((const struct duck_hugeint *)c->data)[i]);
	case DUCK_FLOAT:
		return xt_real((double)((const float *)c->data)[i]);
	case DUCK_DOUBLE:
		return xt_real(((const double *)c->data)[i]);
	case DUCK_VARCHAR:
	case DUCK_BLOB:
		return text_at((const struct duck_string *)c->data + i, c->type == DUCK_BLOB);
	default:
		return xt_null();
	}
}

/* ---- asking ----------------------------------------------------------- */

static int no_memory(struct duck *d)
{
	return duck_fail(d, "out of memory");
}

static int bind(struct duck *d, duck_handle statement, const xt_value *args, size_t n)
{
	if (d->api.nparams(statement) != n) {
		snprintf(d->error, sizeof(d->error),
			 "the statement has %zu parameters, and %zu values are given",
			 (size_t)d->api.nparams(statement), n);
		return -1;
	}
	for (size_t i = 0; i < n; i++) {
		const xt_value *v = &args[i];
		int r = DUCK_SUCCESS;
		switch (v->type) {
		case XT_T_NULL:
			r = d->api.bind_null(statement, i + 1);
			break;
		case XT_T_BOOL:
			r = d->api.bind_boolean(statement, i + 1, v->as.boolean);
			break;
		case XT_T_INT:
			r = d->api.bind_int64(statement, i + 1, v->as.integer);
			break;
		case XT_T_REAL:
			r = d->api.bind_double(statement, i + 1, v->as.real);
			break;
		case XT_T_TEXT:
			r = d->api.bind_varchar_length(statement, i + 1, v->as.text, v->n);
			break;
		default:
			return duck_fail(d, "a parameter must be a number, a text, true, false or null");
		}
		if (r != DUCK_SUCCESS)
			return duck_fail(d, d->api.prepare_error(statement));
	}
	return 0;
}

static void drop(struct duck_answer *a)
{
	if (a->chunk)
		a->duck->api.destroy_data_chunk(&a->chunk);
	a->duck->api.destroy_result(&a->result);
	if (a->statement)
		a->duck->api.destroy_prepare(&a->statement);
}

static int ask(struct duck_answer *a, const char *sql, const xt_value *args, size_t n_args)
{
	int r = duck_prepare(a->duck, sql, &a->statement);

	if (r == 0)
		r = bind(a->duck, a->statement, args, n_args);
	return r == 0 ? duck_execute(a->duck, a->statement, &a->result) : r;
}

/* The statement again, with casts where columns are of types that we have not; owned by the caller. NULL: out
 * of memory. */
static char *with_casts(struct duck_answer *a, const char *sql)
{
	enum { DECIMAL = 19, UHUGEINT = 32 }; /* numbers all the same */
	const struct duck_api *api = &a->duck->api;
	size_t n = api->column_count(&a->result), size = 0;
	char *text = NULL;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		int type = api->column_type(&a->result, i);
		const char *as = type == DECIMAL || type == UHUGEINT ? "DOUBLE" : "VARCHAR";
		fputs(i > 0 ? ", " : "SELECT ", f);
		if (declared(type))
			fprintf(f, "c%zu", i);
		else
			fprintf(f, "CAST(c%zu AS %s)", i, as);
		sql_print(f, " AS %n", api->column_name(&a->result, i));
	}
	sql_print(f, " FROM (\n%s\n) AS answer(", sql);
	for (size_t i = 0; i < n; i++)
		fprintf(f, "%sc%zu", i > 0 ? ", " : "", i);
	fputs(")", f);
	if (fclose(f) == 0)
		return text;
	free(text);
	return NULL;
}

static bool all_known(struct duck_answer *a)
{
	for (size_t i = 0; i < a->duck->api.column_count(&a->result); i++)
		if (!declared(a->duck->api.column_type(&a->result, i)))
			return false;
	return true;
}

static int describe(struct duck_answer *a)
{
	const struct duck_api *api = &a->duck->api;

	a->n = api->column_count(&a->result);
	a->names = calloc(a->n + 1, sizeof(*a->names));
	a->types = calloc(a->n + 1, sizeof(*a->types));
	a->columns = calloc(a->n + 1, sizeof(*a->columns));
	a->row = calloc(a->n + 1, sizeof(*a->row));
	if (!a->names || !a->types || !a->columns || !a->row)
		return no_memory(a->duck);
	for (size_t i = 0; i < a->n; i++) {
		a->names[i] = api->column_name(&a->result, i);
		a->columns[i].type = api->column_type(&a->result, i);
		const char *type = declared(a->columns[i].type);
		a->types[i] = type ? type : "";
	}
	return 0;
}

int duck_answer_open(struct duck_answer *a, struct duck *duck, const char *sql, const xt_value *args,
		     size_t n_args)
{
	*a = (struct duck_answer){.duck = duck};
	int r = ask(a, sql, args, n_args);
	if (r == 0 && duck_answer_has_rows(a) && !all_known(a)) {
		char *cast = with_casts(a, sql);
		drop(a);
		r = cast ? ask(a, cast, args, n_args) : no_memory(duck);
		free(cast);
	}
	return r == 0 ? describe(a) : r;
}

bool duck_answer_has_rows(const struct duck_answer *a)
{
	return a->duck->api.result_return_type(a->result) == DUCK_RETURNS_ROWS;
}

/* ---- reading ---------------------------------------------------------- */

/* The next chunk: 1, 0 at the end, or -1. */
static int take_chunk(struct duck_answer *a)
{
	const struct duck_api *api = &a->duck->api;

	if (a->chunk)
		api->destroy_data_chunk(&a->chunk);
	a->chunk = NULL;
	if (*a->duck->stop)
		return duck_fail(a->duck, "interrupted");
	a->chunk = api->fetch_chunk(a->result);
	if (!a->chunk) {
		const char *why = api->result_error(&a->result);
		return why && why[0] ? duck_fail(a->duck, why) : 0;
	}
	a->rows = api->data_chunk_get_size(a->chunk);
	a->at = 0;
	for (size_t i = 0; i < a->n; i++) {
		duck_handle vector = api->data_chunk_get_vector(a->chunk, i);
		a->columns[i].data = api->vector_get_data(vector);
		a->columns[i].validity = api->vector_get_validity(vector);
	}
	return 1;
}

int duck_answer_next(struct duck_answer *a, const xt_value **ret_row)
{
	while (a->at == a->rows) {
		int r = take_chunk(a);
		if (r <= 0)
			return r;
		if (a->rows == 0)
			return 0;
	}
	for (size_t i = 0; i < a->n; i++)
		a->row[i] = value_at(&a->columns[i], a->at);
	a->at++;
	*ret_row = a->row;
	return 1;
}

void duck_answer_done(struct duck_answer *a)
{
	if (a->duck)
		drop(a);
	free(a->names);
	free(a->types);
	free(a->columns);
	free(a->row);
	*a = (struct duck_answer){0};
}
