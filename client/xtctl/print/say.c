#include "say.h"

#include <inttypes.h>

#include "text.h"

#define SHOWN 40 /* columns of a text */

int64_t say_integer(const xt_value *v)
{
	return v->type == XT_T_INT ? v->as.integer : 0;
}

const char *say_share(char ret[SAY_BYTES], int64_t n, int64_t of)
{
	char a[COUNT_BYTES], b[COUNT_BYTES];
	double percent = of > 0 ? 100.0 * (double)n / (double)of : 0;
	bool tiny = percent > 0 && percent < 0.1;

	snprintf(ret, SAY_BYTES, "%s of %s rows (%s%.*f %%)", text_count(a, (uint64_t)n),
		 text_count(b, (uint64_t)of), tiny ? "below " : "", percent > 0 && percent < 10 ? 1 : 0,
		 tiny ? 0.1 : percent);
	return ret;
}

const char *say_value(char ret[SAY_BYTES], const xt_value *v)
{
	char real[REAL_BYTES];
	size_t width;

	if (v->type == XT_T_TEXT) {
		size_t fits = text_fit(v->as.text, v->n, SHOWN, &width);
		size_t most = SAY_BYTES - sizeof("''…");
		snprintf(ret, SAY_BYTES, "'%.*s%s'", (int)(fits < most ? fits : most), v->as.text,
			 fits < v->n ? "…" : "");
	} else if (v->type == XT_T_REAL) {
		snprintf(ret, SAY_BYTES, "%s", text_digits(real, v->as.real, 6));
	} else if (v->type == XT_T_INT) {
		snprintf(ret, SAY_BYTES, "%" PRId64, v->as.integer);
	} else {
		snprintf(ret, SAY_BYTES, "%s", v->type == XT_T_BLOB ? "a blob" : "NULL");
	}
	return ret;
}
