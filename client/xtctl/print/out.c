#include "out.h"

#include <errno.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define BUFFER_BYTES	65536u
#define DEFAULT_COLUMNS 80
#define LEAST_COLUMNS	20

/* fopencookie's writer: all of it, or 0 for failure. */
static ssize_t put(void *cookie, const char *data, size_t size)
{
	struct out *o = cookie;
	size_t at = 0;

	while (at < size && o->error == 0) {
		ssize_t n = write(o->fd, data + at, size - at);
		if (n >= 0)
			at += (size_t)n;
		else if (errno != EINTR || *o->stop)
			o->error = errno;
	}
	/* After a failure the rest is dropped: pretending success keeps stdio from trying again. */
	return (ssize_t)size;
}

int out_columns(int fd)
{
	const char *env = getenv("COLUMNS");
	struct winsize size;
	int n = 0;

	if (isatty(fd) != 1)
		return 0;
	if (ioctl(fd, TIOCGWINSZ, &size) == 0)
		n = size.ws_col;
	if (n <= 0 && env)
		n = atoi(env);
	if (n <= 0)
		n = DEFAULT_COLUMNS;
	return n < LEAST_COLUMNS ? LEAST_COLUMNS : n;
}

int out_open(struct out *o, int fd, const atomic_int *stop)
{
	*o = (struct out){.fd = fd, .stop = stop, .columns = out_columns(fd)};
	o->terminal = o->columns > 0;
	o->file = fopencookie(o, "w", (cookie_io_functions_t){.write = put});
	if (!o->file)
		return -1;
	/* One thread: no lock for each character. */
	__fsetlocking(o->file, FSETLOCKING_BYCALLER);
	if (setvbuf(o->file, NULL, o->terminal ? _IOLBF : _IOFBF, BUFFER_BYTES) != 0) {
		fclose(o->file);
		o->file = NULL;
		return -1;
	}
	return 0;
}

int out_close(struct out *o)
{
	if (o->file && fclose(o->file) != 0 && o->error == 0)
		o->error = errno;
	o->file = NULL;
	return o->error;
}
