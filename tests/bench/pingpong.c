#include "pingpong.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "wire.h"

#define MAX_VALUE 65536

/* Bytes of the messages, as they are on the wire. */
static void sizes(long value_size, size_t *ret_question, size_t *ret_answer)
{
	static const uint8_t bytes[MAX_VALUE];
	struct params_cache_begin p = {.has = PARAM_BIT(cache_begin, read_only),
				       .key = span_of(bytes, XT_CACHE_KEY),
				       .read_only = true};
	struct result_cache_begin r = {.has = RESULT_BIT(cache_begin, value) |
					      RESULT_BIT(cache_begin, origin) | RESULT_BIT(cache_begin, uid) |
					      RESULT_BIT(cache_begin, created) |
					      RESULT_BIT(cache_begin, function_ns),
				       .state = span_str("hit"),
				       .value = span_of(bytes, (size_t)value_size),
				       .origin = span_str("bench"),
				       .created = now_ns(),
				       .function_ns = 1000};
	struct buf b = {0};

	wire_put_request(&b, 1000, METHOD_cache_begin, &p);
	*ret_question = b.len;
	buf_clear(&b);
	wire_put_result(&b, 1000, METHOD_cache_begin, &r);
	*ret_answer = b.len;
	buf_done(&b);
}

static void write_all(int fd, const uint8_t *bytes, size_t n)
{
	for (size_t at = 0; at < n;) {
		ssize_t w = write(fd, bytes + at, n - at);
		if (w < 0)
			die("cannot write to the other process", strerror(errno));
		at += (size_t)w;
	}
}

/* False: the other one has closed. */
static bool read_all(int fd, uint8_t *bytes, size_t n)
{
	for (size_t at = 0; at < n;) {
		ssize_t r = read(fd, bytes + at, n - at);
		if (r <= 0)
			return false;
		at += (size_t)r;
	}
	return true;
}

struct took pingpong(long value_size, long n)
{
	static uint8_t bytes[2 * MAX_VALUE];
	struct samples s = samples_new(n);
	size_t question, answer;
	int fds[2];

	sizes(value_size, &question, &answer);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
		die("cannot make a socket", strerror(errno));
	pid_t pid = fork();
	if (pid < 0)
		die("cannot fork", strerror(errno));
	if (pid == 0) {
		close(fds[0]);
		while (read_all(fds[1], bytes, question))
			write_all(fds[1], bytes, answer);
		_exit(0);
	}
	close(fds[1]);
	for (long i = 0; i < n; i++) {
		int64_t t = now_ns();
		write_all(fds[0], bytes, question);
		if (!read_all(fds[0], bytes, answer))
			die("the other process has gone", "");
		samples_add(&s, (double)(now_ns() - t) / 1000);
	}
	close(fds[0]);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	struct took t = {.p50 = samples_at(&s, 0.5), .p99 = samples_at(&s, 0.99)};
	samples_free(&s);
	return t;
}
