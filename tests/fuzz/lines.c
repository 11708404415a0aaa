/* Lines of a stream: however its bytes arrive, they are the lines that the whole has. */
#include "fuzz.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "lines.h"

#define OUR_FD 9999 /* no descriptor: its bytes come from `source` */
#define PAD    640  /* bytes of a long line for each step of the first byte: more than a first buffer */

/* Calls of read() come here (the linker's --wrap). */
ssize_t __wrap_read(int fd, void *data, size_t n);
ssize_t __real_read(int fd, void *data, size_t n);

static struct {
	struct span left;
	uint64_t cuts; /* of a generator of random numbers: where the text is cut */
} source;

ssize_t __wrap_read(int fd, void *data, size_t n)
{
	if (fd != OUR_FD)
		return __real_read(fd, data, n);
	assert(n > 0);
	source.cuts = source.cuts * UINT64_C(6364136223846793005) + 1;
	if (source.cuts >> 61 == 0) {
		errno = EINTR; /* by a signal that means nothing */
		return -1;
	}
	size_t most = source.cuts >> 60 & 1 ? 8 : 100000, piece = 1 + (source.cuts >> 33) % most;
	if (piece > n)
		piece = n;
	if (piece > source.left.len)
		piece = source.left.len;
	if (piece > 0)
		memcpy(data, source.left.data, piece);
	source.left = span_of(source.left.data + piece, source.left.len - piece);
	return (ssize_t)piece;
}

/* The first line of the rest, which is cut off it. */
static struct span next_line(struct span *rest)
{
	const uint8_t *mark = memchr(rest->data, '\n', rest->len);
	size_t len = mark ? (size_t)(mark - rest->data) : rest->len, used = len + (mark ? 1 : 0);
	struct span line = span_of(rest->data, len);

	*rest = span_of(rest->data + used, rest->len - used);
	if (line.len > 0 && line.data[line.len - 1] == '\r')
		line.len--;
	return line;
}

/* Reads `most` lines, then the rest as one text. */
static void check_lines(struct span text, uint64_t cuts, uint64_t most)
{
	atomic_int stop = 0;
	struct lines l = {.fd = OUR_FD, .stop = &stop};
	struct span rest = text;
	const char *line = NULL;
	size_t n = 0;

	source.left = text;
	source.cuts = cuts;
	while (rest.len > 0 && l.number < most) {
		uint64_t number = l.number;
		struct span want = next_line(&rest);
		int r = lines_next(&l, &line, &n);
		assert(r == 1 && span_eq(span_of(line, n), want) && l.number == number + 1);
	}
	if (rest.len == 0 && l.number < most)
		assert(lines_next(&l, &line, &n) == 0);
	assert(lines_rest(&l, text.len, &line, &n) == 1);
	assert(span_eq(span_of(line, n), rest) && l.bytes == text.len);
	lines_done(&l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size);
	size_t pad = (size_t)take_byte(&in) * PAD;
	uint64_t cuts = take_byte(&in), most = take_byte(&in);
	uint8_t *text = malloc(pad + in.len + 1);

	assert(text);
	memset(text, 'x', pad);
	if (in.len > 0)
		memcpy(text + pad, in.data, in.len);
	check_lines(span_of(text, pad + in.len), cuts, most);
	free(text);
	return 0;
}
