#include "copy.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Words of the statement that is read; borrows it. */
struct words {
	const char *at;
};

static void skip_space(struct words *w)
{
	for (;;) {
		while (isspace((unsigned char)*w->at))
			w->at++;
		const char *end = NULL;
		if (strncmp(w->at, "--", 2) == 0)
			end = strchrnul(w->at, '\n');
		else if (strncmp(w->at, "/*", 2) == 0 && (end = strstr(w->at + 2, "*/")))
			end += 2;
		if (!end)
			return;
		w->at = end;
	}
}

/* Takes a keyword if it comes next. */
static bool word(struct words *w, const char *keyword)
{
	size_t n = strlen(keyword);

	skip_space(w);
	if (strncasecmp(w->at, keyword, n) != 0 || isalnum((unsigned char)w->at[n]) || w->at[n] == '_')
		return false;
	w->at += n;
	return true;
}

static bool sign(struct words *w, char c)
{
	skip_space(w);
	if (*w->at != c)
		return false;
	w->at++;
	return true;
}

/* Past a text or name in quotes, doubled quotes within. False: it does not end. */
static bool quoted(struct words *w)
{
	char quote = *w->at++;

	for (; *w->at; w->at++)
		if (*w->at == quote && *++w->at != quote)
			return true;
	return false;
}

/* A text in single quotes; owned by the caller, NULL: none comes next. */
static char *text(struct words *w)
{
	skip_space(w);
	const char *from = w->at + 1;
	if (*w->at != '\'' || !quoted(w))
		return NULL;
	char *copied = strndup(from, (size_t)(w->at - 1 - from)), *to = copied;
	for (const char *p = copied; p && *p; p++) {
		*to++ = *p;
		p += p[0] == '\'' && p[1] == '\'';
	}
	if (to)
		*to = '\0';
	return copied;
}

/* Past what is in parentheses, the opening one being next. */
static bool parentheses(struct words *w)
{
	unsigned depth = 0;

	while (*w->at) {
		skip_space(w);
		if (*w->at == '\'' || *w->at == '"' || *w->at == '`') {
			if (!quoted(w))
				return false;
			continue;
		}
		depth += *w->at == '(';
		depth -= *w->at == ')';
		if (*w->at)
			w->at++;
		if (depth == 0)
			return true;
	}
	return false;
}

/* Past a table's name, with its schema. */
static bool name(struct words *w)
{
	do {
		skip_space(w);
		if (*w->at == '"' || *w->at == '`') {
			if (!quoted(w))
				return false;
			continue;
		}
		const char *from = w->at;
		while (isalnum((unsigned char)*w->at) || *w->at == '_' || (*w->at & 0x80))
			w->at++;
		if (w->at == from)
			return false;
	} while (sign(w, '.'));
	return true;
}

/* ---- its parts -------------------------------------------------------- */

static int question(struct copy *c, struct words *w)
{
	const char *from = w->at;

	if (*from == '(') {
		if (!parentheses(w))
			return -1;
		c->sql = strndup(from + 1, (size_t)(w->at - from) - 2);
	} else {
		if (!name(w))
			return -1;
		if (asprintf(&c->sql, "SELECT * FROM %.*s", (int)(w->at - from), from) < 0)
			c->sql = NULL;
	}
	return c->sql ? 0 : -1;
}

static bool is_off(struct words *w)
{
	if (word(w, "false") || word(w, "off") || word(w, "0"))
		return true;
	(void)(word(w, "true") || word(w, "on") || word(w, "1"));
	return false;
}

/* The value of FORMAT or DELIMITER. */
static int option_value(struct copy *c, struct words *w, bool is_format)
{
	skip_space(w);
	const char *from = w->at;
	char *value = text(w);
	int r = -1;

	if (!value && is_format) {
		while (isalnum((unsigned char)*w->at))
			w->at++;
		value = strndup(from, (size_t)(w->at - from));
	}
	if (value && is_format && strcasecmp(value, "csv") == 0) {
		c->how.kind = FORMAT_CSV;
		r = 0;
	} else if (value && is_format && strcasecmp(value, "json") == 0) {
		c->how.kind = FORMAT_JSONL; /* what DuckDB writes by that name */
		r = 0;
	} else if (value && !is_format && strlen(value) == 1 && value[0] != '"' && value[0] != '\n') {
		c->how.delimiter = value[0];
		r = 0;
	}
	free(value);
	return r;
}

static int options(struct copy *c, struct words *w)
{
	do {
		if (word(w, "header"))
			c->how.no_header = is_off(w);
		else if (word(w, "format")) {
			if (option_value(c, w, true) < 0)
				return -1;
		} else if (word(w, "delimiter") || word(w, "delim") || word(w, "sep")) {
			if (option_value(c, w, false) < 0)
				return -1;
		} else {
			return -1;
		}
	} while (sign(w, ','));
	return sign(w, ')') ? 0 : -1;
}

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && strcasecmp(s + n - m, end) == 0;
}

int copy_parse(struct copy *ret, const char *statement, char *error, size_t size)
{
	struct words w = {statement};
	struct copy c = {.how = {.kind = FORMAT_CSV}};

	if (!word(&w, "copy"))
		return 0;
	skip_space(&w);
	if (question(&c, &w) < 0 || !word(&w, "to") || !(c.file = text(&w))) {
		snprintf(error, size, "COPY is understood as COPY (SELECT ...) TO 'FILE'");
		goto fail;
	}
	if (ends_with(c.file, ".json") || ends_with(c.file, ".jsonl") || ends_with(c.file, ".ndjson"))
		c.how.kind = FORMAT_JSONL;
	const char *from = w.at;
	/* Its name says Parquet, whatever comes: only DuckDB can do that. */
	if (ends_with(c.file, ".parquet") || (sign(&w, '(') && options(&c, &w) < 0)) {
		snprintf(error, size,
			 "COPY TO '%.100s'%.100s is beyond SQLite, for which FORMAT CSV or JSON, HEADER and "
			 "DELIMITER are known",
			 c.file, from);
		goto fail;
	}
	(void)sign(&w, ';');
	skip_space(&w);
	if (*w.at) {
		snprintf(error, size, "'%.100s' after COPY's end", w.at);
		goto fail;
	}
	*ret = c;
	return 1;
fail:
	copy_done(&c);
	return -1;
}

void copy_done(struct copy *c)
{
	free(c->sql);
	free(c->file);
	*c = (struct copy){0};
}
