#include "watch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* Linux 6.5 */
#endif

/* PIDFD_GET_INFO of linux/pidfd.h (Linux 6.13; the exit code since 6.15), in its first size. */
struct process_info {
	uint64_t mask;
	uint64_t cgroup;
	uint32_t ids[11]; /* pid, tgid, ppid and eight of users and groups */
	int32_t exit_code;
};
#define GET_PROCESS_INFO _IOWR(0xff, 11, struct process_info)
#define INFO_EXIT	 (UINT64_C(1) << 3)

/* ---- causes ----------------------------------------------------------- */

/* Of a process that its parent has not reaped yet: the last field of /proc/PID/stat. */
static bool zombie_code(pid_t pid, int *ret)
{
	char path[64], text[2048];

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ssize_t n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return false;
	text[n] = '\0';
	const char *rest = strrchr(text, ')'), *last = strrchr(text, ' ');
	if (!rest || !last || rest[1] != ' ' || rest[2] != 'Z')
		return false;
	*ret = atoi(last + 1);
	return true;
}

static bool exit_code(const struct watch *w, int *ret)
{
	struct process_info info = {.mask = INFO_EXIT};

	if (ioctl(w->fd, GET_PROCESS_INFO, &info) == 0 && (info.mask & INFO_EXIT)) {
		*ret = info.exit_code;
		return true;
	}
	return zombie_code(w->pid, ret);
}

/* The count of processes that were killed for want of memory in a cgroup (v2). */
static uint64_t oom_kills(const char *events)
{
	char line[128];
	uint64_t n = 0;
	FILE *f = events[0] ? fopen(events, "re") : NULL;

	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, "oom_kill ", 9) == 0)
			n = strtoull(line + 9, NULL, 10);
	if (f)
		fclose(f);
	return n;
}

static void find_cgroup(struct watch *w)
{
	char path[64], line[200];

	snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)w->pid);
	FILE *f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "0::", 3) == 0)
			snprintf(w->events, sizeof(w->events), "/sys/fs/cgroup%s/memory.events", line + 3);
	}
	if (f)
		fclose(f);
	w->oom_kills = oom_kills(w->events);
}

static void find_cause(struct watch *w)
{
	int code;

	if (!exit_code(w, &code))
		return;
	if (WIFEXITED(code)) {
		snprintf(w->cause, sizeof(w->cause), "exited with status %d", WEXITSTATUS(code));
	} else if (WIFSIGNALED(code)) {
		const char *name = sigabbrev_np(WTERMSIG(code));
		bool oom = WTERMSIG(code) == SIGKILL && oom_kills(w->events) > w->oom_kills;
		snprintf(w->cause, sizeof(w->cause), "killed by signal %d (SIG%s)%s", WTERMSIG(code),
			 name ? name : "?", oom ? ", out of memory" : "");
	}
}

/* ---- watching --------------------------------------------------------- */

static void on_poll(uv_poll_t *p, int status, int events)
{
	struct watch *w = p->data;

	(void)status;
	(void)events;
	if (w->died)
		return;
	w->died = true;
	uv_poll_stop(p);
	find_cause(w);
	w->list->on_death(w, w->list->data);
}

static struct watch **bucket(struct watch_list *l, pid_t pid)
{
	return &l->buckets[(unsigned)pid % WATCH_BUCKETS];
}

static int open_process(int socket, pid_t pid)
{
	socklen_t len = sizeof(int);
	int fd;

	if (getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, &fd, &len) == 0)
		return fd; /* of exactly the process that connected */
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

struct watch *watch_peer(struct watch_list *l, int socket, const struct peer *peer)
{
	for (struct watch *w = *bucket(l, peer->pid); w; w = w->next)
		if (w->pid == peer->pid && !w->died) /* while it is watched its number is not given again */
			return watch_ref(w);
	if (peer->pid <= 0)
		return NULL; /* in another namespace */
	int fd = open_process(socket, peer->pid);
	if (fd < 0)
		return NULL;
	struct watch *w = calloc(1, sizeof(*w));
	if (!w || uv_poll_init(l->loop, &w->poll, fd) < 0) {
		free(w);
		close(fd);
		return NULL;
	}
	w->poll.data = w;
	w->pid = peer->pid;
	w->fd = fd;
	w->refs = 1;
	w->list = l;
	w->next = *bucket(l, w->pid);
	*bucket(l, w->pid) = w;
	l->count++;
	find_cgroup(w);
	uv_poll_start(&w->poll, UV_READABLE, on_poll);
	uv_unref((uv_handle_t *)&w->poll); /* it keeps no loop alive */
	return w;
}

struct watch *watch_ref(struct watch *w)
{
	if (w)
		w->refs++;
	return w;
}

static void on_closed(uv_handle_t *h)
{
	struct watch *w = h->data;

	close(w->fd);
	free(w);
}

void watch_unref(struct watch *w)
{
	if (!w || --w->refs > 0)
		return;
	struct watch **at = bucket(w->list, w->pid);
	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	w->list->count--;
	uv_close((uv_handle_t *)&w->poll, on_closed);
}
