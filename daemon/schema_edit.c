#include "schema_edit.h"

#include <strings.h>

/* A piece of SQL text: a word, a quoted name or string, or one character. Comments and spaces are
 * stepped over. */
struct piece {
	const char *start, *end; /* start == end: the text is over */
	bool name;		 /* a word or anything quoted */
};

static const char *skip_space(const char *p)
{
	for (;;) {
		p += strspn(p, " \t\r\n\f");
		if (p[0] == '-' && p[1] == '-') {
			p += strcspn(p, "\n");
		} else if (p[0] == '/' && p[1] == '*') {
			const char *end = strstr(p + 2, "*/");
			p = end ? end + 2 : p + strlen(p);
		} else {
			return p;
		}
	}
}

static bool word_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
	       c == '$' || (c & 0x80);
}

static struct piece next_piece(const char *p)
{
	struct piece t = {.start = skip_space(p)};
	char close = t.start[0] == '[' ? ']' : t.start[0];

	p = t.start;
	if (p[0] == '"' || p[0] == '`' || p[0] == '\'' || p[0] == '[') {
		t.name = true;
		for (p++; *p; p++) {
			if (*p != close)
				continue;
			if (close != ']' && p[1] == close)
				p++; /* doubled */
			else
				break;
		}
		if (*p)
			p++;
	} else if (word_char(p[0])) {
		t.name = true;
		while (word_char(*p))
			p++;
	} else if (*p) {
		p++;
	}
	t.end = p;
	return t;
}

static bool is_char(struct piece t, char c)
{
	return t.end - t.start == 1 && *t.start == c;
}

static bool is_word(struct piece t, const char *word)
{
	size_t len = strlen(word);

	return (size_t)(t.end - t.start) == len && strncasecmp(t.start, word, len) == 0;
}

/* True when the piece, unquoted, is the name. */
static bool names(struct piece t, const char *name)
{
	char close = *t.start == '[' ? ']' : *t.start;
	const char *p = t.start, *end = t.end;

	if (word_char(*t.start))
		return is_word(t, name);
	for (p++, end--; p < end; p++, name++) {
		if (*p == close && close != ']')
			p++;
		char a[2] = {*p, 0}, b[2] = {*name, 0};
		if (strcasecmp(a, b) != 0)
			return false;
	}
	return *name == '\0';
}

static bool begins_constraint(struct piece t)
{
	static const char *const words[] = {"constraint", "primary",   "not",	  "null",
					    "unique",	  "check",     "default", "collate",
					    "references", "generated", "as",	  "foreign"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (is_word(t, words[i]))
			return true;
	return false;
}

/* Behind the piece that closes what `p` has just opened. */
static const char *skip_parens(const char *p)
{
	for (int depth = 1; depth > 0;) {
		struct piece t = next_piece(p);
		if (t.start == t.end)
			return t.start;
		depth += is_char(t, '(') ? 1 : is_char(t, ')') ? -1 : 0;
		p = t.end;
	}
	return p;
}

/* Where a type ends that may begin at p: before a constraint, a comma or the closing parenthesis. */
static const char *type_end(const char *p)
{
	const char *end = p;

	for (;;) {
		struct piece t = next_piece(p);
		if (is_char(t, '(') && end != p)
			return skip_parens(t.end);
		if (is_char(t, '('))
			p = end = skip_parens(t.end);
		else if (t.start == t.end || !t.name || begins_constraint(t))
			return end;
		else
			p = end = t.end;
	}
}

/* The first piece behind the definition that p is in; its end is the next definition's start. */
static struct piece definition_end(const char *p)
{
	for (;;) {
		struct piece t = next_piece(p);
		if (t.start == t.end || is_char(t, ',') || is_char(t, ')'))
			return t;
		p = is_char(t, '(') ? skip_parens(t.end) : t.end;
	}
}

int schema_retype(struct buf *out, const char *sql, const char *column, const char *type)
{
	struct piece t = next_piece(sql);

	while (t.start != t.end && !is_char(t, '('))
		t = next_piece(t.end);
	while (t.start != t.end && !is_char(t, ')')) {
		struct piece name = next_piece(t.end);
		if (name.name && names(name, column)) {
			const char *end = type_end(name.end);
			buf_add(out, sql, (size_t)(name.end - sql));
			if (type[0])
				buf_printf(out, " %s", type);
			buf_add_str(out, end);
			buf_add(out, "", 1);
			return buf_failed(out) ? -1 : 0;
		}
		t = definition_end(name.end);
	}
	return -1;
}
