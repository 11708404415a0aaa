#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "own.h"

#define MAX_LINE  2048
#define MAX_BYTES (1 << 20) /* of a log file before it is renamed */

#define LIMIT_LINES 10		  /* of one sort, in … */
#define LIMIT_NS    10000000000ll /* … so many nanoseconds */

/* Of the process, as stderr is. */
static enum log_level max_level = LOG_LEVEL_INFO;
static bool journal;
static char file[PATH_MAX], beside[PATH_MAX]; /* the log's and the database's path */

static const char *const names[] = {"error", "warning", "info", "debug"};
static const char *const priorities[] = {"<3>", "<4>", "<6>", "<7>"};

void log_init(void)
{
	const char *stream = getenv("JOURNAL_STREAM"), *level = getenv("XETRACK_LOG");
	unsigned long long dev, ino;
	struct stat st;

	if (stream && sscanf(stream, "%llu:%llu", &dev, &ino) == 2 && fstat(STDERR_FILENO, &st) == 0)
		journal = st.st_dev == dev && st.st_ino == ino;
	for (unsigned i = 0; level && i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(level, names[i]) == 0)
			max_level = (enum log_level)i;
}

static int open_file(struct xt_err *err)
{
	int fd = own_open(file, O_WRONLY | O_CREAT | O_APPEND, 0600, beside, err);

	if (fd < 0)
		return -1;
	int r = dup2(fd, STDERR_FILENO) < 0 ? xt_err_set(err, XT_E_io_error, NULL,
							 "cannot log to '%.200s': %s", file, strerror(errno))
					    : 0;
	close(fd);
	return r;
}

int log_to_file(const char *path, const char *database, struct xt_err *err)
{
	snprintf(file, sizeof(file), "%s", path);
	snprintf(beside, sizeof(beside), "%s", database);
	journal = false;
	int r = open_file(err);
	if (r < 0)
		file[0] = '\0';
	return r;
}

static void rotate(void)
{
	char old[PATH_MAX + 2];
	struct xt_err ignored;
	struct stat st;

	if (!file[0] || fstat(STDERR_FILENO, &st) < 0 || st.st_size < MAX_BYTES)
		return;
	snprintf(old, sizeof(old), "%s.1", file);
	/* Where it cannot be set aside (in a directory with the sticky bit `old` may be another user's) it
	 * begins anew: it never grows without end. */
	if (rename(file, old) < 0 || open_file(&ignored) < 0)
		(void)!ftruncate(STDERR_FILENO, 0);
}

/* Control characters would let a hostile name forge lines. */
static void clean(char *p)
{
	for (; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
}

bool log_allows(struct log_limit *l)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	int64_t now = (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
	if (!l->since_ns || now - l->since_ns > LIMIT_NS) {
		if (l->left_out)
			log_warn("lines like the next were left out lines=%u", l->left_out);
		*l = (struct log_limit){.since_ns = now};
	}
	if (l->lines >= LIMIT_LINES) {
		l->left_out++;
		return false;
	}
	l->lines++;
	return true;
}

void log_line(enum log_level level, const char *fmt, ...)
{
	char line[MAX_LINE + 2], when[40] = "";
	struct timespec now;
	struct tm tm;
	va_list ap;
	int n;

	if (level > max_level)
		return;
	if (journal) {
		n = snprintf(line, MAX_LINE, "%s", priorities[level]);
	} else {
		clock_gettime(CLOCK_REALTIME, &now);
		gmtime_r(&now.tv_sec, &tm);
		strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
		n = snprintf(line, MAX_LINE, "%s.%03ldZ %s ", when, now.tv_nsec / 1000000, names[level]);
	}
	va_start(ap, fmt);
	/* The analyzer loses track of va_list where it follows the call of log_allows(). */
	/* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized) */
	vsnprintf(line + n, (size_t)(MAX_LINE - n), fmt, ap);
	va_end(ap);
	clean(line);
	size_t len = strlen(line);
	line[len++] = '\n';
	(void)!write(STDERR_FILENO, line, len);
	rotate();
}
