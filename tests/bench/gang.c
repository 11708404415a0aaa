#include "gang.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>

#include "measure.h"

/* Of a worker: where it tells that it is ready, and what is closed when all are. */
static int ready_fd = -1, gate_fd = -1;

void gang_ready(void)
{
	char c;

	if (write(ready_fd, "x", 1) != 1)
		_exit(1);
	(void)!read(gate_fd, &c, 1);
}

static pid_t start(int worker, gang_work *work, void *data, const int ready[2], const int gate[2])
{
	pid_t pid = fork();

	if (pid < 0)
		die("cannot fork", strerror(errno));
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(ready[0]);
	close(gate[1]);
	ready_fd = ready[1];
	gate_fd = gate[0];
	work(worker, data);
	_exit(0);
}

void gang_run(int n, gang_work *work, void *data)
{
	int ready[2], gate[2], status;
	pid_t pids[GANG_MAX];
	char c;

	if (pipe(ready) < 0 || pipe(gate) < 0)
		die("cannot make a pipe", strerror(errno));
	fflush(NULL);
	for (int i = 0; i < n; i++)
		pids[i] = start(i, work, data, ready, gate);
	close(ready[1]);
	close(gate[0]);
	for (int i = 0; i < n; i++)
		if (read(ready[0], &c, 1) != 1)
			die("a worker failed", "it was not even ready");
	close(ready[0]);
	close(gate[1]);
	for (int i = 0; i < n; i++) {
		while (waitpid(pids[i], &status, 0) < 0 && errno == EINTR)
			;
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
			die("a worker failed", "");
	}
}

void *gang_share(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		die("cannot share memory", strerror(errno));
	return p;
}

void gang_unshare(void *memory, size_t size)
{
	munmap(memory, size);
}
