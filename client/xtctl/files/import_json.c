/* JSON into the database: objects a line, or those of an array in any form. */
#include "import.h"

#include <errno.h>
#include <inttypes.h>

#include "lines.h"
#include "value.h"

#define WHY_BYTES 400

/* ---- an object a line ------------------------------------------------- */

static int put_line(struct import_job *job, struct json *json, uint64_t number, const char *line, size_t n)
{
	char why[WHY_BYTES];
	xt_value row;

	while (n > 0 && (line[n - 1] == ' ' || line[n - 1] == '\t'))
		n--;
	if (n == 0)
		return CTL_OK;
	if (line[0] == '[')
		return feed_bad(&job->feed, number,
				"not a JSON object; --format json reads an array of them");
	if (json_read(json, line, n, &row, why, sizeof(why)) < 0)
		return feed_bad(&job->feed, number, why);
	if (row.type != XT_T_MAP)
		return feed_bad(&job->feed, number, "not a JSON object");
	return import_row(job, number, row.as.fields, row.n);
}

int import_jsonl(struct import_job *job)
{
	struct lines in = {.fd = job->fd, .stop = ctl_stop_flag()};
	struct json json = {0};
	int status = CTL_OK, r = 1;
	const char *line;
	size_t n;

	progress_begin(&job->feed.progress, job->fd);
	while (status == CTL_OK && (r = lines_next(&in, &line, &n)) > 0) {
		status = put_line(job, &json, in.number, line, n);
		progress_show(&job->feed.progress, job->feed.rows, in.bytes);
	}
	if (status == CTL_OK && r < 0)
		status = import_failed(job, r, in.number + 1, lines_most());
	json_done(&json);
	lines_done(&in);
	return status;
}

/* ---- objects in any form ---------------------------------------------- */

#define END 256 /* what byte_at() says behind the last one */

/* Where a value may stand. */
enum place {
	OUTSIDE,  /* of an array */
	FIRST,	  /* in one: a value or the end of the array comes */
	BEHIND,	  /* a value: a comma or the end of the array comes */
	FOLLOWING /* a comma: a value comes */
};

/* A file that is read value by value, each of them in memory, and no more. */
struct reading {
	struct import_job *job; /* borrowed */
	struct lines in;
	struct json json;
	uint64_t line;	/* where what comes next stands, from 1 */
	uint64_t array; /* the line where the array began */
	enum place place;
};

/* The byte that comes `at` bytes later, END, or -errno. */
static int byte_at(struct reading *r, size_t at)
{
	while (r->in.end - r->in.start <= at) {
		int more = r->in.eof ? 0 : lines_more(&r->in);
		if (more < 0)
			return more;
		if (more == 0)
			return END;
	}
	return (unsigned char)r->in.data[r->in.start + at];
}

static bool is_space(int c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Passes over what separates values. The byte behind it, END, or -errno. */
static int skip_space(struct reading *r)
{
	int c;

	while (is_space(c = byte_at(r, 0))) {
		r->line += c == '\n';
		r->in.start++;
	}
	return c;
}

/* Behind the text that begins with a quote at `at`. 1, 0: it has no end, or -errno. */
static int measure_text(struct reading *r, size_t at, size_t *ret_end)
{
	for (at++;; at++) {
		int c = byte_at(r, at);
		if (c < 0 || c == END)
			return c < 0 ? c : 0;
		if (c == '"') {
			*ret_end = at + 1;
			return 1;
		}
		at += c == '\\';
	}
}

/* How many bytes the next value has, by its brackets; whether it makes sense is for the parser to say. 1, 0:
 * it has no end, or -errno. */
static int measure(struct reading *r, size_t *ret_n)
{
	size_t depth = 0, n = 0;

	for (;;) {
		int c = byte_at(r, n);
		if (c < 0 || (c == END && depth > 0))
			return c < 0 ? c : 0;
		if (depth == 0 && n > 0 && (c == END || is_space(c) || strchr(",[]{}\"", c)))
			break;
		if (c == '"') {
			int whole = measure_text(r, n, &n);
			if (whole <= 0)
				return whole;
		} else {
			depth += c == '{' || c == '[';
			depth -= depth > 0 && (c == '}' || c == ']');
			n++;
		}
		if (depth == 0 && (c == '}' || c == ']' || c == '"'))
			break;
	}
	*ret_n = n;
	return 1;
}

/* The line that has a value's byte. */
static uint64_t line_of(const struct reading *r, const char *value, size_t n)
{
	uint64_t line = r->line;

	for (size_t i = 0; i < n; i++)
		line += value[i] == '\n';
	return line;
}

static int put_value(struct reading *r, const char *value, size_t n)
{
	struct import_job *job = r->job;
	char why[WHY_BYTES];
	xt_value row;

	if (value[0] != '{')
		return feed_bad(&job->feed, r->line, "not a JSON object");
	if (json_read(&r->json, value, n, &row, why, sizeof(why)) < 0)
		return feed_bad(&job->feed, line_of(r, value, r->json.error_at < n ? r->json.error_at : n),
				why);
	return import_row(job, r->line, row.as.fields, row.n);
}

static int next_value(struct reading *r)
{
	size_t n = 0;

	int got = measure(r, &n);
	if (got == -EMSGSIZE)
		return ctl_error(r->job->ctl,
				 "line %" PRIu64 ": an object of more than %zu bytes begins there", r->line,
				 lines_most());
	if (got < 0)
		return import_failed(r->job, got, r->line, lines_most());
	if (got == 0)
		return ctl_error(r->job->ctl, "line %" PRIu64 ": what begins there has no end", r->line);
	const char *value = r->in.data + r->in.start;
	int status = put_value(r, value, n);
	r->line = line_of(r, value, n);
	r->in.start += n;
	return status;
}

/* What is wrong with a byte in its place; NULL: nothing. */
static const char *misplaced(const struct reading *r, int c)
{
	if (r->place == BEHIND && c != ',' && c != ']')
		return "a comma is missing between two objects of the array";
	if (c == ',' && r->place != BEHIND)
		return "a comma without an object before it";
	if (c == ']' && r->place == OUTSIDE)
		return "an array ends that did not begin";
	if (c == ']' && r->place == FOLLOWING)
		return "no object follows the array's last comma";
	return NULL;
}

/* Takes what comes next: a sign of the array, or a value. */
static int step(struct reading *r, int c)
{
	const char *why = misplaced(r, c);
	enum place place = r->place;

	if (why)
		return ctl_error(r->job->ctl, "line %" PRIu64 ": %s", r->line, why);
	if (c == '[' && place == OUTSIDE) {
		r->array = r->line;
		r->place = FIRST;
	} else if (c == ']') {
		r->place = OUTSIDE;
	} else if (c == ',') {
		r->place = FOLLOWING;
	} else {
		r->place = place == OUTSIDE ? OUTSIDE : BEHIND;
		return next_value(r);
	}
	r->in.start++;
	return CTL_OK;
}

static int read_all(struct reading *r)
{
	int status = CTL_OK, c = 0;

	if (byte_at(r, 0) == 0xef && byte_at(r, 1) == 0xbb && byte_at(r, 2) == 0xbf)
		r->in.start += 3; /* a byte order mark */
	while (status == CTL_OK && (c = skip_space(r)) >= 0 && c != END) {
		status = step(r, c);
		progress_show(&r->job->feed.progress, r->job->feed.rows, r->in.bytes);
	}
	if (status == CTL_OK && c < 0)
		return import_failed(r->job, c, r->line, lines_most());
	if (status == CTL_OK && r->place != OUTSIDE)
		return ctl_error(r->job->ctl, "the array that begins in line %" PRIu64 " has no end",
				 r->array);
	return status;
}

int import_json(struct import_job *job)
{
	struct reading r = {.job = job, .in = {.fd = job->fd, .stop = ctl_stop_flag()}, .line = 1};

	progress_begin(&job->feed.progress, job->fd);
	int status = read_all(&r);
	json_done(&r.json);
	lines_done(&r.in);
	return status;
}
