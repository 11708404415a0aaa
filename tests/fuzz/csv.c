/* Records of CSV: however their bytes arrive they are the same, and what is written in quotes reads back. */
#include "fuzz.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "buf.h"
#include "csv.h"

#define OUR_FD 9999 /* no descriptor: its bytes come from `source` */

/* Calls of read() come here (the linker's --wrap). */
ssize_t __wrap_read(int fd, void *data, size_t n);
ssize_t __real_read(int fd, void *data, size_t n);

static struct {
	struct span left;
	size_t most; /* bytes that one call gives */
} source;

ssize_t __wrap_read(int fd, void *data, size_t n)
{
	if (fd != OUR_FD)
		return __real_read(fd, data, n);
	size_t piece = source.left.len < source.most ? source.left.len : source.most;
	if (piece > n)
		piece = n;
	if (piece == 0) /* an empty text has no address to add to */
		return 0;
	memcpy(data, source.left.data, piece);
	source.left = span_of(source.left.data + piece, source.left.len - piece);
	return (ssize_t)piece;
}

static void put_length(struct buf *out, size_t n)
{
	buf_add(out, &n, sizeof(n));
}

/* All cells, each with its length, to `out`; and as CSV with everything in quotes to `again`. Returns how it
 * ended. */
static int read_all(struct span text, size_t most, char delimiter, struct buf *out, struct buf *again)
{
	atomic_int stop = 0;
	struct csv c = {.fd = OUR_FD, .stop = &stop, .delimiter = delimiter};
	const char *why = NULL;
	int r;

	source.left = text;
	source.most = most;
	while ((r = csv_next(&c, &why)) > 0) {
		put_length(out, c.n);
		assert(c.n > 0 && c.line > 0);
		for (size_t i = 0; i < c.n; i++) {
			assert(c.cells[i].text[c.cells[i].n] == '\0');
			put_length(out, c.cells[i].n);
			buf_add(out, c.cells[i].text, c.cells[i].n);
			buf_add(again, i > 0 ? &delimiter : "", i > 0);
			buf_add_str(again, "\"");
			for (size_t k = 0; k < c.cells[i].n; k++)
				buf_add(again, c.cells[i].text[k] == '"' ? "\"\"" : &c.cells[i].text[k],
					c.cells[i].text[k] == '"' ? 2 : 1);
			buf_add_str(again, "\"");
		}
		buf_add_str(again, "\r\n");
	}
	assert(r == 0 || (r == -EBADMSG && why));
	csv_done(&c);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size);
	struct buf whole = {0}, pieces = {0}, again = {0}, unused = {0}, back = {0};
	char delimiter = take_byte(&in) % 2 ? ',' : ';';
	size_t most = 1 + take_byte(&in) % 7;

	int r = read_all(in, 1 << 20, delimiter, &whole, &again);
	int same = read_all(in, most, delimiter, &pieces, &unused);
	assert(r == same && span_eq(buf_span(&whole), buf_span(&pieces)));
	buf_clear(&unused);
	r = read_all(buf_span(&again), most, delimiter, &back, &unused);
	assert(r == 0);
	assert(span_eq(buf_span(&whole), buf_span(&back)));
	buf_done(&whole);
	buf_done(&pieces);
	buf_done(&again);
	buf_done(&unused);
	buf_done(&back);
	return 0;
}
