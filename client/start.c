#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAP_MS		 10
#define LINE_MAX_BYTES	 1000
#define READY_FD	 3
#define MAX_ENDED_STARTS 5 /* in which the daemon ended without a word */

extern char **environ;

/* One starter among many racing clients: the descriptor, or -errno. */
static int lock_start(const struct place *p, int64_t deadline)
{
	char path[PATH_MAX + 8];
	const char *name = strrchr(p->socket, '/');
	name = name ? name + 1 : p->socket;
	size_t len = strlen(name);

	if (len > 5 && strcmp(name + len - 5, ".sock") == 0)
		len -= 5;
	if (snprintf(path, sizeof(path), "%s/%.*s.start", p->dir, (int)len, name) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (now_ms() >= deadline || (poll(NULL, 0, NAP_MS) < 0 && errno == EINTR)) {
			close(fd);
			return now_ms() >= deadline ? -ETIMEDOUT : -EINTR;
		}
	}
	return fd;
}

/* The program's path; false: look it up in PATH. */
static bool find_program(char *ret, size_t size)
{
	const char *env = getenv("XETRACKD");
	ssize_t n;

	if (env && env[0]) {
		snprintf(ret, size, "%s", env);
		return true;
	}
	n = readlink("/proc/self/exe", ret, size - sizeof("xetrackd"));
	if (n > 0) {
		ret[n] = '\0';
		char *slash = strrchr(ret, '/');
		if (slash) {
			strcpy(slash + 1, "xetrackd");
			if (access(ret, X_OK) == 0)
				return true;
		}
	}
	snprintf(ret, size, "%s/xetrackd", XT_BINDIR);
	return access(ret, X_OK) == 0;
}

static int set_up(posix_spawn_file_actions_t *fa, posix_spawnattr_t *at, int ready)
{
	sigset_t all, none;
	int r = 0;

	sigfillset(&all);
	sigemptyset(&none);
	for (int fd = 0; fd < 3 && r == 0; fd++)
		r = posix_spawn_file_actions_addopen(fa, fd, "/dev/null", O_RDWR, 0);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(fa, ready, READY_FD);
	if (r == 0)
		r = posix_spawn_file_actions_addclosefrom_np(fa, READY_FD + 1);
	if (r == 0)
		r = posix_spawn_file_actions_addchdir_np(fa, "/");
	if (r == 0)
		r = posix_spawnattr_setsigdefault(at, &all);
	if (r == 0)
		r = posix_spawnattr_setsigmask(at, &none);
	if (r == 0)
		r = posix_spawnattr_setflags(at, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF |
							 POSIX_SPAWN_SETSIGMASK);
	return r;
}

/* Starts it; 0 or an errno value. */
static int spawn(const struct xt_client *c, const struct place *p, int ready, char *program, size_t size)
{
	char *argv[10] = {(char *)"xetrackd", (char *)"--detach", (char *)"--ready-fd", (char *)"3"};
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t at;
	size_t n = 4;
	pid_t pid;

	if (c->opt.revive)
		argv[n++] = (char *)"--revive";
	if (c->opt.read_only && access(p->database, W_OK) < 0)
		argv[n++] = (char *)"--read-only";
	argv[n] = (char *)p->database;
	posix_spawn_file_actions_init(&fa);
	posix_spawnattr_init(&at);
	int r = set_up(&fa, &at, ready);
	if (r == 0 && find_program(program, size))
		r = posix_spawn(&pid, program, &fa, &at, argv, environ);
	else if (r == 0)
		r = posix_spawnp(&pid, strcpy(program, "xetrackd"), &fa, &at, argv, environ);
	posix_spawn_file_actions_destroy(&fa);
	posix_spawnattr_destroy(&at);
	/* It forks and leaves at once; the host program may also ignore SIGCHLD. */
	while (r == 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	return r;
}

/* The line that the daemon writes when it is ready, or cannot be. Bytes read, 0 at EOF, or -errno. */
static int read_ready(int fd, char *line, size_t size, int64_t deadline)
{
	size_t len = 0;

	while (len < size - 1) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		int r = poll(&p, 1, poll_timeout(deadline, INT32_MAX));
		if (r <= 0)
			return r < 0 ? -errno : -ETIMEDOUT;
		ssize_t n = read(fd, line + len, size - 1 - len);
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	line[len] = '\0';
	line[strcspn(line, "\n")] = '\0';
	return (int)len;
}

#define HINT_BYTES (PATH_MAX + 32)

/* Where more is to be read, if it is: who failed early enough wrote nothing. */
static const char *log_hint(const struct place *p, char ret[HINT_BYTES])
{
	ret[0] = '\0';
	if (access(p->log, F_OK) == 0)
		snprintf(ret, HINT_BYTES, "; its log is '%s'", p->log);
	return ret;
}

/* "ok", or "<code> <message>". */
static int judge(struct xt_client *c, const struct place *p, int r, char *line)
{
	char hint[HINT_BYTES];

	if (r == -EINTR)
		return client_fail(c, XT_EINTR, "a signal came while the daemon started");
	if (r < 0 && c->error[0])
		return XT_ECONNECT; /* why it was busy all the time says more */
	if (r < 0)
		return client_fail(c, XT_ECONNECT, "the daemon for '%s' is not ready in time%s", p->database,
				   log_hint(p, hint));
	if (r == 0) { /* perhaps only killed: worth another try, but not for ever */
		client_fail(c, XT_ECONNECT, "the daemon for '%s' ended while it started%s", p->database,
			    log_hint(p, hint));
		return ++c->ended_starts % MAX_ENDED_STARTS ? XT_OK : XT_ECONNECT;
	}
	if (strcmp(line, "ok") == 0)
		return XT_OK;
	char *space = strchr(line, ' ');
	/* Another daemon has it: it is about to listen, or about to leave, or listens where XETRACK_SOCKET
	 * does not point. Tried again until the time is up, which leaves this sentence. */
	if (strncmp(line, "busy", 4) == 0) {
		client_fail(c, XT_ECONNECT, "%s, and does not answer at '%s'%s", space ? space + 1 : line,
			    p->socket, getenv("XETRACK_SOCKET") ? ", where XETRACK_SOCKET points" : "");
		return XT_OK;
	}
	if (space)
		*space = '\0';
	client_fail(c, XT_ECONNECT, "the daemon could not start: %s%s", space ? space + 1 : line,
		    log_hint(p, hint));
	snprintf(c->code, sizeof(c->code), "%.63s", line);
	return XT_ECONNECT;
}

static int start_locked(struct xt_client *c, const struct place *p, int64_t deadline)
{
	char program[PATH_MAX], line[LINE_MAX_BYTES];
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return client_fail(c, XT_ECONNECT, "cannot start the daemon: %s", strerror(errno));
	/* Out of the way of 0 to 3, which the child opens first. */
	int ready = fcntl(fds[1], F_DUPFD_CLOEXEC, 10);
	close(fds[1]);
	int r = ready < 0 ? errno : spawn(c, p, ready, program, sizeof(program));
	if (ready >= 0)
		close(ready);
	if (r != 0) {
		close(fds[0]);
		return client_fail(c, XT_ECONNECT, "cannot start '%s': %s; set XETRACKD to the daemon's path",
				   ready < 0 ? "xetrackd" : program, strerror(r));
	}
	r = read_ready(fds[0], line, sizeof(line), deadline);
	close(fds[0]);
	return judge(c, p, r, line);
}

int start_daemon(struct xt_client *c, const struct place *p, int64_t deadline)
{
	struct xt_err err;
	uid_t uid;

	if (place_make_dir(p, &err) < 0)
		return client_fail_err(c, XT_ECONNECT, &err);
	int lock = lock_start(p, deadline);
	if (lock == -EINTR)
		return client_fail(c, XT_EINTR, "a signal came while the daemon started");
	if (lock == -ETIMEDOUT && c->error[0])
		return XT_ECONNECT;
	if (lock < 0)
		return client_fail(c, XT_ECONNECT, "cannot lock '%s' to start the daemon: %s", p->dir,
				   strerror(-lock));
	int fd = link_dial(p, &uid); /* another client was first */
	int r = XT_OK;
	if (fd >= 0)
		close(fd);
	else if (fd == -ENOENT || fd == -ECONNREFUSED)
		r = start_locked(c, p, deadline);
	close(lock);
	return r;
}
