#include "prose.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "text.h"

/* Bytes up to the next blank that is not between quotes: commands and names stay in one piece, so that they
 * can be copied. */
static size_t quoted_piece(const char *s)
{
	bool quoted = false;
	size_t n = 0;

	for (; s[n] && (quoted || s[n] != ' '); n++)
		if (s[n] == '\'' && !quoted)
			quoted = (n == 0 || s[n - 1] == '(') && strchr(s + n + 1, '\'');
		else if (s[n] == '\'')
			quoted = s[n + 1] && !strchr(" ,;:.?)", s[n + 1]);
	return n;
}

/* The same with an option and its value in brackets, as lines of usage have them, where it fits into `room`.
 */
static size_t piece(const char *s, size_t room)
{
	size_t n = s[0] == '[' ? strcspn(s, "]") : 0;

	if (n > 0 && s[n] == ']' && n < room)
		return n + 1 + strcspn(s + n + 1, " ");
	return quoted_piece(s);
}

size_t prose_put(FILE *out, const char *text, const struct prose *where)
{
	const char *end = where->end ? where->end : "";
	size_t columns = where->columns > where->indent ? where->columns - strlen(end) : where->indent + 1;
	size_t column = where->begin;
	bool first = true;

	if (where->columns == 0)
		return column + text_put(out, text, strlen(text), SIZE_MAX);
	for (const char *at = text; *at; first = false) {
		size_t n = piece(at, columns - where->indent), width = text_width(at, n);
		if (column > where->indent && column + !first + width > columns) {
			fprintf(out, "%s\n%*s", end, (int)where->indent, where->lead ? where->lead : "");
			column = where->indent;
		} else if (!first) {
			fputc(' ', out);
			column++;
		}
		text_put(out, at, n, SIZE_MAX);
		column += width;
		at += n;
		at += *at == ' ';
	}
	return column;
}
