#include "failed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sql.h"

char *failed_condition(const struct relation *r, bool *ret_known)
{
	const struct relation_column *error = relation_find(r, "error"),
				     *type = relation_find(r, "error_type");

	*ret_known = error || type;
	if (error && type) /* an empty text is no error, and NULL none either */
		return sql_format("(%n <> '' OR %n <> '')", error->name, type->name);
	if (error || type)
		return sql_format("(%n <> '')", error ? error->name : type->name);
	return strdup("0");
}

char *failed_type(const struct relation *r)
{
	const struct relation_column *type = relation_find(r, "error_type");

	return type ? sql_format("coalesce(nullif(%n, ''), 'unnamed')", type->name) : strdup("'unnamed'");
}

/* Numbers of up to 64 digits become one #. */
char *failed_shape(const struct relation *r)
{
	enum { DIGITS = 10, HALVINGS = 6 };
	const struct relation_column *error = relation_find(r, "error");
	char *sql = NULL;
	size_t size;
	FILE *f = error ? open_memstream(&sql, &size) : NULL;

	if (!f)
		return NULL;
	for (int i = 0; i < DIGITS + HALVINGS; i++)
		fputs("replace(", f);
	sql_print(f, "substr(CAST(%n AS TEXT), 1, 300)", error->name);
	for (int i = 0; i < DIGITS; i++)
		fprintf(f, ", '%d', '#')", i);
	for (int i = 0; i < HALVINGS; i++)
		fputs(", '##', '#')", f);
	if (fclose(f) == 0)
		return sql;
	free(sql);
	return NULL;
}

const char *failed_cache(const struct relation *r)
{
	return relation_find(r, "cache") ? "CASE WHEN \"cache\" IS NULL THEN 'neither' WHEN \"cache\" = '' "
					   "THEN 'computed' ELSE 'hit' END"
					 : NULL;
}
