#include "failed.h"

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

const char *failed_cache(const struct relation *r)
{
	return relation_find(r, "cache") ? "CASE WHEN \"cache\" IS NULL THEN 'neither' WHEN \"cache\" = '' "
					   "THEN 'computed' ELSE 'hit' END"
					 : NULL;
}
