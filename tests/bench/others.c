#include "others.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_MESSAGE 65536
#define START_TRIES 500 /* of 10 ms each, for a server to listen */

/* Starts a program that ends with us; what it prints goes to `out`. */
static pid_t start(const char *const *argv, int out)
{
	pid_t pid = fork();

	if (pid < 0)
		die("cannot fork", strerror(errno));
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	int null = open("/dev/null", O_RDWR);
	dup2(null, 0);
	dup2(out >= 0 ? out : null, 1);
	dup2(null, 2);
	execvp(argv[0], (char *const *)(uintptr_t)argv);
	_exit(127);
}

/* Its exit status; −1: a signal ended it. */
static int finish(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* ---- Redis ------------------------------------------------------------ */

struct redis {
	pid_t pid;
	int fd;
	char message[MAX_MESSAGE];
	size_t len; /* of a message under way */
};

/* Waits until it listens. False: it has ended, for there is no such program. */
static bool dial(struct redis *r, const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	for (int i = 0; i < START_TRIES; i++) {
		r->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (r->fd < 0)
			die("cannot make a socket", strerror(errno));
		if (connect(r->fd, (const struct sockaddr *)&a, sizeof(a)) == 0)
			return true;
		close(r->fd);
		if (waitpid(r->pid, NULL, WNOHANG) == r->pid) {
			r->pid = 0;
			return false; /* it could not be executed */
		}
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	}
	die("redis-server does not answer", path);
}

static void send_message(struct redis *r)
{
	for (size_t at = 0; at < r->len;) {
		ssize_t n = write(r->fd, r->message + at, r->len - at);
		if (n <= 0)
			die("cannot write to redis-server", strerror(errno));
		at += (size_t)n;
	}
}

/* Reads to `message`, behind so many bytes; returns how many there are now. */
static size_t read_some(struct redis *r, size_t at)
{
	ssize_t n = read(r->fd, r->message + at, sizeof(r->message) - 1 - at);

	if (n <= 0)
		die("redis-server closed the connection", "");
	r->message[at + (size_t)n] = '\0';
	return at + (size_t)n;
}

/* Sends what is in `message`, and reads an answer of so many bytes: "+OK", or a value with its length. */
static void exchange(struct redis *r, size_t answer)
{
	send_message(r);
	for (size_t at = 0; at < answer;) {
		at = read_some(r, at);
		if (r->message[0] == '-')
			die("redis-server refuses", r->message);
	}
}

/* It refuses everything while it reads what an earlier one left. */
static void wait_until_loaded(struct redis *r)
{
	do {
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
		r->len = (size_t)snprintf(r->message, sizeof(r->message), "PING\r\n");
		send_message(r);
		read_some(r, 0);
	} while (r->message[0] == '-');
}

static bool redis_start(struct redis *r, const char *dir, bool durable)
{
	char path[108];
	const char *const argv[] = {"redis-server",
				    "--port",
				    "0",
				    "--unixsocket",
				    path,
				    "--dir",
				    dir,
				    "--save",
				    "",
				    "--appendonly",
				    durable ? "yes" : "no",
				    "--appendfsync",
				    "always",
				    NULL};

	if (snprintf(path, sizeof(path), "%s/redis.sock", dir) >= (int)sizeof(path))
		die("the directory's name is too long for a socket", dir);
	unlink(path);
	r->pid = start(argv, -1);
	if (!dial(r, path))
		return false;
	wait_until_loaded(r);
	return true;
}

static void redis_stop(struct redis *r)
{
	close(r->fd);
	kill(r->pid, SIGTERM);
	finish(r->pid);
}

static void redis_set(struct redis *r, long i, long size)
{
	int n = snprintf(r->message, sizeof(r->message), "*3\r\n$3\r\nSET\r\n$12\r\nkey:%08ld\r\n$%ld\r\n", i,
			 size);

	memset(r->message + n, 'x', (size_t)size);
	memcpy(r->message + n + size, "\r\n", 2);
	r->len = (size_t)n + (size_t)size + 2;
	exchange(r, strlen("+OK\r\n"));
}

static void redis_get(struct redis *r, long i, long size)
{
	char head[32];
	int n = snprintf(head, sizeof(head), "$%ld\r\n", size);

	r->len = (size_t)snprintf(r->message, sizeof(r->message), "*2\r\n$3\r\nGET\r\n$12\r\nkey:%08ld\r\n",
				  i);
	exchange(r, (size_t)n + (size_t)size + 2);
}

static struct took redis_time(struct redis *r, void (*f)(struct redis *, long, long), long size, long n)
{
	struct samples s = samples_new(n);

	for (long k = 0; k < n; k++) {
		long i = k * 7919 % OTHERS_ENTRIES;
		int64_t t = now_ns();
		f(r, i, size);
		samples_add(&s, (double)(now_ns() - t) / 1000);
	}
	struct took t = {.p50 = samples_at(&s, 0.5), .p99 = samples_at(&s, 0.99)};
	samples_free(&s);
	return t;
}

bool redis_measure(const char *dir, long size, long n, long sets, struct took *ret_get, struct took *ret_set)
{
	static struct redis r;

	if (!redis_start(&r, dir, false))
		return false;
	for (long i = 0; i < OTHERS_ENTRIES; i++)
		redis_set(&r, i, size);
	*ret_get = redis_time(&r, redis_get, size, n);
	redis_stop(&r);
	if (!redis_start(&r, dir, true))
		return false;
	*ret_set = redis_time(&r, redis_set, size, sets);
	redis_stop(&r);
	return true;
}

/* ---- diskcache -------------------------------------------------------- */

bool diskcache_measure(const char *dir, long size, long n, long sets, struct took *ret_get,
		       struct took *ret_set)
{
	static const char script[] = XT_BENCH_SOURCE "/diskcache_times.py";
	char numbers[4][24], line[256] = "";
	const long values[] = {size, OTHERS_ENTRIES, n, sets};
	int out[2];

	for (int i = 0; i < 4; i++)
		snprintf(numbers[i], sizeof(numbers[i]), "%ld", values[i]);
	const char *const argv[] = {"/usr/bin/python3", script,	    dir,	numbers[0],
				    numbers[1],		numbers[2], numbers[3], NULL};
	if (pipe2(out, O_CLOEXEC) < 0)
		die("cannot make a pipe", strerror(errno));
	pid_t pid = start(argv, out[1]);
	close(out[1]);
	FILE *f = fdopen(out[0], "r");
	if (!f || !fgets(line, sizeof(line), f))
		line[0] = '\0';
	if (f)
		fclose(f);
	int status = finish(pid);
	if (status == 3 || status == 127)
		return false;
	char *end = line;
	double *const numbers_of[] = {&ret_get->p50, &ret_get->p99, &ret_set->p50, &ret_set->p99};
	for (size_t i = 0; i < 4; i++)
		*numbers_of[i] = strtod(end, &end);
	if (status != 0)
		die("diskcache_times.py failed", line);
	return true;
}
