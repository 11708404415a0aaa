#include "served.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "measure.h"

extern char **environ;

pid_t served_start(const char *db)
{
	int fds[2];
	char program[1200], number[16], line[600] = "";
	pid_t pid;

	find_sibling(program, sizeof(program), "xetrackd");
	if (pipe(fds) < 0)
		die("cannot make a pipe", strerror(errno));
	snprintf(number, sizeof(number), "%d", fds[1]);
	char *argv[] = {program, (char *)"--ready-fd", number, (char *)(uintptr_t)db, NULL};
	posix_spawn_file_actions_t fa;
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_addclose(&fa, fds[0]);
	posix_spawn_file_actions_addopen(&fa, 2, "/dev/null", O_WRONLY, 0);
	int r = posix_spawn(&pid, program, &fa, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&fa);
	close(fds[1]);
	if (r != 0)
		die("cannot start the daemon", strerror(r));
	ssize_t n = read(fds[0], line, sizeof(line) - 1);
	close(fds[0]);
	if (n < 2 || strncmp(line, "ok", 2) != 0)
		die("the daemon did not start", line);
	return pid;
}

void served_stop(pid_t pid)
{
	kill(pid, SIGTERM);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

/* The number behind a name at the start of a line; 0 when there is none. */
static long number_in(const char *path, const char *name)
{
	char line[256];
	long n = 0;
	FILE *f = fopen(path, "re");

	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':')
			n = atol(line + strlen(name) + 1);
	if (f)
		fclose(f);
	return n;
}

long served_memory_kib(pid_t pid, const char *field)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	return number_in(path, field);
}

/* Calls back for each entry of a directory of /proc that is a number; their count. */
static long each_number(const char *dir, void (*f)(const char *path, struct served_use *ret),
			struct served_use *ret)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	char path[400];
	long n = 0;

	while (d && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		if (f)
			f(path, ret);
		n++;
	}
	if (d)
		closedir(d);
	return n;
}

static void add_thread(const char *path, struct served_use *ret)
{
	char file[420];

	snprintf(file, sizeof(file), "%s/status", path);
	ret->switches += number_in(file, "voluntary_ctxt_switches");
}

/* Fields 14 and 15 of /proc/PID/stat, behind the name, which may hold anything. */
static double cpu_ms(pid_t pid)
{
	char path[64], text[1024];
	unsigned long user = 0, system = 0;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	FILE *f = fopen(path, "re");
	if (!f)
		return 0;
	size_t n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = '\0';
	const char *at = strrchr(text, ')');
	if (!at || sscanf(at + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
		return 0;
	return (double)(user + system) * 1000 / (double)sysconf(_SC_CLK_TCK);
}

struct served_use served_use(pid_t pid)
{
	struct served_use u = {.cpu_ms = cpu_ms(pid)};
	char dir[64];

	snprintf(dir, sizeof(dir), "/proc/%d/task", (int)pid);
	each_number(dir, add_thread, &u);
	snprintf(dir, sizeof(dir), "/proc/%d/fd", (int)pid);
	u.descriptors = each_number(dir, NULL, &u);
	return u;
}
