#include "wrapped.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

/* Bytes up to the next blank that is not between quotes: commands and names stay in one piece, so that they
 * can be copied. */
static size_t piece(const char *s)
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

/* A sentence that is escaped already, behind a label of so many columns. */
static void put_pieces(FILE *out, const char *text, size_t label, size_t indent, size_t columns)
{
	size_t column = label;
	bool begun = false; /* whether the line has a piece */

	for (const char *at = text; *at;) {
		size_t n = piece(at), width = text_width(at, n);
		if (begun && column + 1 + width > columns) {
			fprintf(out, "\n%*s", (int)indent, "");
			column = indent;
		} else if (begun) {
			fputc(' ', out);
			column++;
		}
		fwrite(at, 1, n, out);
		column += width;
		begun = true;
		at += n;
		at += *at == ' ';
	}
}

/* The text escaped; owned by the caller. NULL: out of memory. */
static char *escaped(const char *text)
{
	char *ret = NULL;
	size_t size;
	FILE *f = open_memstream(&ret, &size);

	if (!f)
		return NULL;
	text_put(f, text, strlen(text), SIZE_MAX);
	if (fclose(f) == 0)
		return ret;
	free(ret);
	return NULL;
}

int wrapped_put(struct out *out, const char *label, size_t indent, const char *sentence)
{
	char *head = escaped(label), *text = escaped(sentence);
	int r = head && text ? 0 : -1;

	if (r == 0) {
		fputs(head, out->file);
		if (out->columns > 0)
			put_pieces(out->file, text, text_width(head, strlen(head)), indent,
				   (size_t)out->columns);
		else
			fputs(text, out->file);
		fputc('\n', out->file);
	}
	free(head);
	free(text);
	return r;
}
