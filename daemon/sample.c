#include "sample.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define SHORT_FILE 4096	 /* what is wanted of most files stands in their first bytes */
#define LONG_FILE  65536 /* some hundred network interfaces */

/* ---- parsing ---------------------------------------------------------- */

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

/* Steps over blanks and a number. False: there is none, or it is too large. */
static bool take_number(struct span *text, uint64_t *ret)
{
	size_t i = 0;
	uint64_t n = 0;

	while (i < text->len && (text->data[i] == ' ' || text->data[i] == '\t'))
		i++;
	size_t first = i;
	for (; i < text->len && is_digit(text->data[i]); i++)
		if (__builtin_mul_overflow(n, 10u, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(text->data[i] - '0'), &n))
			return false;
	if (i == first)
		return false;
	*text = span_of(text->data + i, text->len - i);
	*ret = n;
	return true;
}

/* Steps over blanks and whatever stands up to the next one. */
static void skip_word(struct span *text)
{
	size_t i = 0;

	while (i < text->len && text->data[i] == ' ')
		i++;
	while (i < text->len && text->data[i] != ' ')
		i++;
	*text = span_of(text->data + i, text->len - i);
}

/* Takes a line off the text, without its end. False: there is no whole one. */
static bool take_line(struct span *text, struct span *ret)
{
	const uint8_t *end = text->len ? memchr(text->data, '\n', text->len) : NULL;

	if (!end)
		return false;
	*ret = span_of(text->data, (size_t)(end - text->data));
	*text = span_of(end + 1, text->len - ret->len - 1);
	return true;
}

/* What follows `start` in a line that starts so. */
static bool starts_with(struct span line, const char *start, struct span *ret_rest)
{
	size_t n = strlen(start);

	if (line.len < n || memcmp(line.data, start, n) != 0)
		return false;
	*ret_rest = span_of(line.data + n, line.len - n);
	return true;
}

/* `PID (name) S …`: the name may hold anything, so that what follows its last `)` counts, from field 3 on. */
int sample_parse_process(struct span text, struct sample_process *ret)
{
	enum { STATE = 3, UTIME = 14, STIME, STARTTIME = 22, RSS = 24 };
	uint64_t user = 0, system = 0;
	struct sample_process p;

	const uint8_t *paren = text.len ? memrchr(text.data, ')', text.len) : NULL;
	if (!paren)
		return -1;
	struct span rest = span_of(paren + 1, text.len - (size_t)(paren + 1 - text.data));
	if (rest.len < 2 || rest.data[1] == 'Z' || rest.data[1] == 'X')
		return -1; /* a zombie has ended */
	for (int field = STATE; field < UTIME; field++)
		skip_word(&rest);
	if (!take_number(&rest, &user) || !take_number(&rest, &system))
		return -1;
	for (int field = STIME + 1; field < STARTTIME; field++)
		skip_word(&rest);
	if (!take_number(&rest, &p.start_ticks))
		return -1;
	skip_word(&rest); /* size of its address space */
	if (!take_number(&rest, &p.rss_pages))
		return -1;
	p.cpu_ticks = user + system;
	*ret = p;
	return 0;
}

int sample_parse_memory(struct span text, struct sample_memory *ret)
{
	struct span line, rest;
	struct sample_memory m;
	bool total = false, available = false;

	while (!(total && available) && take_line(&text, &line)) {
		if (starts_with(line, "MemTotal:", &rest))
			total = take_number(&rest, &m.total_kib);
		else if (starts_with(line, "MemAvailable:", &rest))
			available = take_number(&rest, &m.available_kib);
	}
	if (!total || !available || m.total_kib == 0 || m.available_kib > m.total_kib)
		return -1;
	*ret = m;
	return 0;
}

/* `cpu  user nice system idle iowait irq softirq steal guest guest_nice`; guests are counted as users too. */
int sample_parse_cpu(struct span text, struct sample_cpu *ret)
{
	enum { IDLE = 3, IOWAIT, STEAL = 7 };
	struct sample_cpu c = {0};
	struct span line, rest;
	uint64_t n;

	if (!take_line(&text, &line) || !starts_with(line, "cpu ", &rest))
		return -1;
	int i = 0;
	for (; i <= STEAL && take_number(&rest, &n); i++)
		*(i == IDLE || i == IOWAIT ? &c.idle : &c.busy) += n;
	if (i <= IDLE)
		return -1;
	*ret = c;
	return 0;
}

/* Two lines of headings; then `name: bytes received, seven more, bytes sent, seven more`. */
int sample_parse_network(struct span text, struct sample_network *ret)
{
	enum { BETWEEN = 7 };
	struct sample_network all = {0};
	struct span line;

	for (int headings = 0; headings < 2; headings++)
		if (!take_line(&text, &line))
			return -1;
	while (take_line(&text, &line)) {
		uint64_t received = 0, sent = 0;
		const uint8_t *colon = line.len ? memchr(line.data, ':', line.len) : NULL;
		if (!colon)
			return -1;
		struct span name = span_of(line.data, (size_t)(colon - line.data));
		while (name.len > 0 && name.data[0] == ' ')
			name = span_of(name.data + 1, name.len - 1);
		struct span rest = span_of(colon + 1, line.len - (size_t)(colon + 1 - line.data));
		bool whole = take_number(&rest, &received);
		for (int i = 0; i < BETWEEN; i++)
			skip_word(&rest);
		if (!whole || !take_number(&rest, &sent))
			return -1;
		if (span_is(name, "lo"))
			continue;
		all.received += received;
		all.sent += sent;
	}
	*ret = all;
	return 0;
}

/* ---- reading ---------------------------------------------------------- */

struct text {
	struct span bytes; /* in `room` */
	uint8_t room[LONG_FILE];
};

/* The file's first bytes, `most` of them; -1: it cannot be read. */
static int read_file(const char *path, size_t most, struct text *ret)
{
	size_t n = 0;
	ssize_t got = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	while (n < most && (got = read(fd, ret->room + n, most - n)) > 0)
		n += (size_t)got;
	close(fd);
	if (got < 0)
		return -1;
	ret->bytes = span_of(ret->room, n);
	return 0;
}

static int read_process_file(pid_t pid, const char *name, size_t most, struct text *ret)
{
	char path[64];

	if (pid <= 0)
		return -1; /* in another pid namespace */
	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	return read_file(path, most, ret);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int read_process(pid_t pid, struct sample_process *ret)
{
	struct text file;

	return read_process_file(pid, "stat", SHORT_FILE, &file) < 0 ? -1
								     : sample_parse_process(file.bytes, ret);
}

/* The kernel's clock of a process; where there is none its ticks, which are some 10 ms. */
static int read_cpu_ns(pid_t pid, uint64_t *ret)
{
	struct sample_process p;
	struct timespec t;
	clockid_t clock;

	if (pid <= 0)
		return -1;
	if (clock_getcpuclockid(pid, &clock) == 0 && clock_gettime(clock, &t) == 0) {
		*ret = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
		return 0;
	}
	if (read_process(pid, &p) < 0)
		return -1;
	*ret = p.cpu_ticks * (1000000000u / (uint64_t)sysconf(_SC_CLK_TCK));
	return 0;
}

static int read_memory(struct sample_memory *ret)
{
	struct text file;

	return read_file("/proc/meminfo", SHORT_FILE, &file) < 0 ? -1 : sample_parse_memory(file.bytes, ret);
}

static int read_cpu(struct sample_cpu *ret)
{
	struct text file;

	return read_file("/proc/stat", SHORT_FILE, &file) < 0 ? -1 : sample_parse_cpu(file.bytes, ret);
}

static int read_network(pid_t pid, struct sample_network *ret)
{
	struct text file;

	return read_process_file(pid, "net/dev", LONG_FILE, &file) < 0
		       ? -1
		       : sample_parse_network(file.bytes, ret);
}

/* As `df` shows it: of what users can have. */
static int read_disk(double *ret_percent)
{
	struct statvfs fs;

	if (statvfs("/", &fs) < 0 || fs.f_bfree > fs.f_blocks)
		return -1;
	double used = (double)(fs.f_blocks - fs.f_bfree), all = used + (double)fs.f_bavail;
	if (all <= 0)
		return -1;
	*ret_percent = 100 * used / all;
	return 0;
}

struct sample_source sample_kernel(void)
{
	return (struct sample_source){.now_ns = now_ns,
				      .process = read_process,
				      .cpu_ns = read_cpu_ns,
				      .memory = read_memory,
				      .disk = read_disk,
				      .cpu = read_cpu,
				      .network = read_network,
				      .page_bytes = (uint64_t)sysconf(_SC_PAGESIZE)};
}
