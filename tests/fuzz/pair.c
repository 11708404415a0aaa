/* KEY=VALUE and KEY:=JSON of xtctl: the value is what the text says, and what is printed reads back. */
#include "fuzz.h"

#include <math.h>
#include <stdlib.h>

#include "text.h"
#include "value.h"

#define WHY 400

/* The value as JSON; the caller frees it. */
static char *printed(const xt_value *v)
{
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	assert(f);
	json_print(f, v);
	assert(fclose(f) == 0 && text);
	return text;
}

/* A value that was not given as JSON means what the C library reads, or is text to the letter. */
static void check_word(const xt_value *v, const char *text)
{
	char real[REAL_BYTES];

	switch (v->type) {
	case XT_T_INT:
		assert(v->as.integer == strtoll(text, NULL, 10));
		break;
	case XT_T_REAL:
		text_real(real, v->as.real);
		assert(isnan(v->as.real) ? strcmp(text, "nan") == 0 : v->as.real == strtod(text, NULL));
		assert(isnan(v->as.real) || v->as.real == strtod(real, NULL));
		break;
	case XT_T_BOOL:
		assert(strcmp(text, v->as.boolean ? "true" : "false") == 0);
		break;
	case XT_T_NULL:
		assert(strcmp(text, "null") == 0);
		break;
	default:
		assert(v->type == XT_T_TEXT && v->as.text == text && v->n == strlen(text));
	}
}

/* As JSON it is the same value once more. */
static void check_printed(const xt_value *v)
{
	char *text = printed(v), *line = malloc(strlen(text) + 3), why[WHY];
	struct value again = {0};

	assert(line);
	memcpy(line, ":=", 2);
	memcpy(line + 2, text, strlen(text) + 1);
	if (v->type == XT_T_REAL && !isfinite(v->as.real)) { /* JSON has no word for them */
		assert(strcmp(text, isnan(v->as.real) ? "null" : v->as.real > 0 ? "9e999" : "-9e999") == 0);
	} else {
		assert(value_parse(&again, line, why, sizeof(why)) == 0);
		char *twice = printed(&again.is);
		assert(again.is.type == v->type && strcmp(text, twice) == 0);
		free(twice);
	}
	value_done(&again);
	free(line);
	free(text);
}

static void check_pair(const char *text)
{
	struct value v = {0};
	char *key, why[WHY] = "";
	const char *equals = strchr(text, '=');

	if (pair_parse(&key, &v, text, why, sizeof(why)) < 0) {
		assert(!key && why[0]);
		value_done(&v);
		return;
	}
	size_t len = strlen(key);
	bool is_json = text[len] == ':';
	assert(equals && len > 0 && strncmp(text, key, len) == 0 && text + len + is_json == equals);
	if (!is_json && strncmp(equals + 1, ":=", 2) != 0)
		check_word(&v.is, equals + 1);
	if (v.is.type != XT_T_TEXT || is_json) /* a word may be any bytes, JSON is UTF-8 */
		check_printed(&v.is);
	value_done(&v);
	free(key);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	assert(text);
	memcpy(text, data, size);
	text[size] = '\0';
	check_pair(text);
	free(text);
	return 0;
}
