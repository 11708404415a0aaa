#include "sql.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static void put_quoted(FILE *f, const char *s, char quote)
{
	putc_unlocked(quote, f);
	for (; *s; s++) {
		if (*s == quote)
			putc_unlocked(quote, f);
		putc_unlocked(*s, f);
	}
	putc_unlocked(quote, f);
}

void sql_put_name(FILE *f, const char *name)
{
	put_quoted(f, name, '"');
}

void sql_put_text(FILE *f, const char *text)
{
	put_quoted(f, text, '\'');
}

static void print(FILE *f, const char *form, va_list ap)
{
	for (const char *mark; (mark = strchr(form, '%')); form = mark + 2) {
		fwrite_unlocked(form, 1, (size_t)(mark - form), f);
		switch (mark[1]) {
		case 'n':
			sql_put_name(f, va_arg(ap, const char *));
			break;
		case 't':
			sql_put_text(f, va_arg(ap, const char *));
			break;
		case 's':
			fputs_unlocked(va_arg(ap, const char *), f);
			break;
		default:
			assert(mark[1] == '%');
			putc_unlocked('%', f);
		}
	}
	fputs_unlocked(form, f);
}

void sql_print(FILE *f, const char *form, ...)
{
	va_list ap;

	va_start(ap, form);
	print(f, form, ap);
	va_end(ap);
}

char *sql_format(const char *form, ...)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);
	va_list ap;

	if (!f)
		return NULL;
	va_start(ap, form);
	print(f, form, ap);
	va_end(ap);
	if (fclose(f) == 0)
		return text;
	free(text);
	return NULL;
}
