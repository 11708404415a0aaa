/*
 * Of YAML as much as DVC writes: top-level keys, and under `outs` a list of maps, an item of which is as far
 * to the left as its first key. Deeper lines belong to values of those maps and are passed over.
 *
 *     wdir: ..
 *     outs:
 *     - md5: 22a1a2931c8370d3aeedd7183606fd7f.dir
 *       size: 14445097
 *       path: data
 */
#include "dvc.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST_BYTES (1 << 20) /* of a file that is read */

/* What was read so far. */
struct reading {
	const char *file;    /* borrowed: its path */
	char wdir[PATH_MAX]; /* that outputs are named from, from the file's own directory; "": that one */
	char name[PATH_MAX]; /* of the output that is being read; "": none yet */
	int64_t size;
	bool directory;
	dvc_seen *seen; /* NULL: only wdir is looked for, which may stand behind the outputs */
	void *data;
};

static void show(struct reading *r)
{
	const char *slash = strrchr(r->file, '/');
	char path[PATH_MAX];

	int n = r->name[0] == '/'
			? snprintf(path, sizeof(path), "%s", r->name)
			: snprintf(path, sizeof(path), "%.*s%s%s%s", slash ? (int)(slash + 1 - r->file) : 0,
				   r->file, r->wdir, r->wdir[0] ? "/" : "", r->name);
	if (r->seen && r->name[0] && n < (int)sizeof(path) && !strstr(r->name, "://"))
		r->seen(r->data, &(struct dvc_out){r->name, path, r->size, r->directory});
	r->name[0] = '\0';
	r->size = -1;
	r->directory = false;
}

/* A value without its quotes, or the comment behind it. */
static void take_value(char ret[PATH_MAX], const char *s)
{
	size_t n = 0;
	char quote = *s == '\'' || *s == '"' ? *s++ : '\0';

	for (; *s && n < PATH_MAX - 1; s++) {
		if (quote == '\'' && s[0] == quote && s[1] == quote)
			s++;
		else if (quote == '"' && s[0] == '\\' && s[1])
			s++;
		else if (quote ? *s == quote : *s == '#' && n > 0 && s[-1] == ' ')
			break;
		ret[n++] = *s;
	}
	while (!quote && n > 0 && (ret[n - 1] == ' ' || ret[n - 1] == '\r'))
		n--;
	ret[n] = '\0';
}

/* The value of a key where the line has that key; NULL: it has another. */
static const char *value_of(const char *line, const char *key)
{
	size_t n = strlen(key);

	if (strncmp(line, key, n) != 0 || line[n] != ':')
		return NULL;
	return line + n + 1 + strspn(line + n + 1, " ");
}

static void take_key(struct reading *r, const char *line)
{
	const char *value;
	char text[PATH_MAX];

	if ((value = value_of(line, "path")))
		take_value(r->name, value);
	else if ((value = value_of(line, "size")))
		r->size = strtoll(value, NULL, 10);
	else if (value_of(line, "nfiles"))
		r->directory = true;
	else if ((value = value_of(line, "md5")) || (value = value_of(line, "etag"))) {
		take_value(text, value);
		size_t n = strlen(text);
		r->directory = r->directory || (n > 4 && strcmp(text + n - 4, ".dir") == 0);
	}
}

static void read_lines(struct reading *r, char *text)
{
	size_t keys = 0; /* where the keys of an item stand; 0: no item yet */
	bool outs = false;
	char *rest = NULL;

	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		size_t indent = strspn(line, " ");
		const char *at = line + indent, *wdir;
		if (*at == '\0' || *at == '#' || *at == '\r')
			continue;
		if (indent == 0 && *at != '-') {
			outs = value_of(line, "outs") != NULL;
			keys = 0;
			if ((wdir = value_of(line, "wdir")))
				take_value(r->wdir, wdir);
			continue;
		}
		if (outs && at[0] == '-' && at[1] == ' ' && (keys == 0 || indent < keys)) {
			show(r);
			at += 1 + strspn(at + 1, " ");
			keys = (size_t)(at - line);
		} else if (indent != keys) {
			continue;
		}
		if (outs && keys > 0)
			take_key(r, at);
	}
	show(r);
}

int dvc_parse(const char *file, const char *text, size_t n, dvc_seen *seen, void *data)
{
	struct reading r = {.file = file, .size = -1};
	char *copy = strndup(text, n), *again = copy ? strdup(copy) : NULL;

	if (again) {
		read_lines(&r, copy);
		r.seen = seen;
		r.data = data;
		read_lines(&r, again);
	}
	int status = again ? 0 : -1;
	free(copy);
	free(again);
	return status;
}

/* NULL: errno says why. What a repository calls so may be a pipe, or lead to a terminal, from which nothing
 * comes. */
static FILE *open_file(const char *file)
{
	struct stat st;
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
		return NULL;
	int why = fstat(fd, &st) < 0	? errno
		  : S_ISREG(st.st_mode) ? 0
		  : S_ISDIR(st.st_mode) ? EISDIR
					: ENOTSUP;
	FILE *f = why ? NULL : fdopen(fd, "r");
	if (!f) {
		why = why ? why : errno;
		close(fd);
		errno = why;
	}
	return f;
}

int dvc_read(const char *file, dvc_seen *seen, void *data, char *error, size_t size)
{
	char *text = malloc(MOST_BYTES);
	FILE *f = text ? open_file(file) : NULL;
	int why = f ? 0 : errno;

	if (f) {
		size_t n = fread(text, 1, MOST_BYTES, f);
		why = ferror(f) ? errno : dvc_parse(file, text, n, seen, data) < 0 ? ENOMEM : 0;
		fclose(f);
	}
	free(text);
	if (why)
		snprintf(error, size, "cannot read '%s': %s", file,
			 why == ENOTSUP ? "it is no regular file" : strerror(why));
	return why ? -1 : 0;
}
