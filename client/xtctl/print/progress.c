#include "progress.h"

#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "text.h"

#define FIRST_MS 300 /* what is over sooner needs no line */
#define EVERY_MS 100

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void progress_begin(struct progress *p, int input)
{
	struct stat st;

	*p = (struct progress){.on = isatty(STDERR_FILENO) == 1, .began = now_ms()};
	p->due = p->began + FIRST_MS;
	if (fstat(input, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0)
		p->total = (uint64_t)st.st_size;
}

double progress_seconds(const struct progress *p)
{
	double s = (double)(now_ms() - p->began) / 1000;

	return s > 0.001 ? s : 0.001;
}

void progress_show(struct progress *p, uint64_t rows, uint64_t bytes)
{
	char count[COUNT_BYTES], rate[COUNT_BYTES];

	if (!p->on || now_ms() < p->due)
		return;
	p->due = now_ms() + EVERY_MS;
	p->shown = true;
	fprintf(stderr, "\r\033[K%s rows, %s rows/s", text_count(count, rows),
		text_count(rate, (uint64_t)((double)rows / progress_seconds(p))));
	if (p->total > 0)
		fprintf(stderr, ", %u %%", (unsigned)(100.0 * (double)bytes / (double)p->total));
	fflush(stderr);
}

void progress_bar(struct progress *p, uint64_t done, uint64_t total)
{
	static const char full[] = "##############################";
	char have[COUNT_BYTES], all[COUNT_BYTES], rate[COUNT_BYTES];
	double part = total > 0 ? (double)done / (double)total : 0;
	int width = sizeof(full) - 1;

	if (!p->on || now_ms() < p->due)
		return;
	p->due = now_ms() + EVERY_MS;
	p->shown = true;
	fprintf(stderr, "\r\033[K[%-*.*s] %3d %%, %s of %s, %s/s", width, (int)(part * width), full,
		(int)(part * 100), text_bytes(have, done), text_bytes(all, total),
		text_bytes(rate, (uint64_t)((double)done / progress_seconds(p))));
	fflush(stderr);
}

void progress_say(struct progress *p, const char *what)
{
	if (!p->on)
		return;
	p->shown = true;
	fprintf(stderr, "\r\033[K%s", what);
	fflush(stderr);
}

void progress_hide(struct progress *p)
{
	if (p->shown)
		fputs("\r\033[K", stderr);
	p->shown = false;
}
