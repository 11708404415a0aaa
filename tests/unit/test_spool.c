/* The spool file: records in and out, torn tails, damage, ownership, what its ends tell. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "spool.h"
#include "token.h"

static struct {
	char base[64], dir[80];
	struct spool spool;
	uint64_t ends[4]; /* of the file after each record */
} fix;

static const struct spool_head head = {.client = "0123456789abcde", .database_id = "fedcba987654321"};

static const struct spool_record records[] = {
	{.seq = 7,
	 .rows = 1,
	 .seq_off = 8,
	 .frame = {(const uint8_t *)"\0\0\0\x14 first frame 12345678", 24}},
	{.seq = 8,
	 .rows = 3,
	 .seq_off = 4,
	 .frame = {(const uint8_t *)"\0\0\0\x08"
				    "12345678",
		   12}},
	{.seq = 11, .rows = 1, .seq_off = 5, .frame = {(const uint8_t *)"\0\0\0\x0f the third one..", 19}},
};

static int set_up(void **state)
{
	struct xt_err err;

	(void)state;
	snprintf(fix.base, sizeof(fix.base), "/tmp/xt-spool-XXXXXX");
	assert_non_null(mkdtemp(fix.base));
	snprintf(fix.dir, sizeof(fix.dir), "%s/b.db.spool", fix.base);
	assert_int_equal(spool_make_dir(fix.dir, &err), 0);
	assert_int_equal(spool_create(&fix.spool, fix.dir, &head), 0);
	fix.ends[0] = fix.spool.end;
	for (size_t i = 0; i < COUNT(records); i++) {
		assert_int_equal(spool_reserve(&fix.spool, 100), 0);
		assert_int_equal(spool_append(&fix.spool, &records[i]), 0);
		fix.ends[i + 1] = fix.spool.end;
	}
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	spool_close(&fix.spool); /* removes nothing where a test closed it before */
	unlink(fix.spool.path);
	rmdir(fix.dir);
	return rmdir(fix.base);
}

static void assert_record(const struct spool_record *got, const struct spool_record *want)
{
	assert_int_equal(got->seq, want->seq);
	assert_int_equal(got->rows, want->rows);
	assert_int_equal(got->seq_off, want->seq_off);
	assert_span_equal(got->frame, want->frame);
}

/* Reads all records of the file; what spool_read() ended with. */
static int read_all(struct spool *s, size_t *ret_n)
{
	struct spool_record r;
	int status;

	*ret_n = 0;
	while ((status = spool_read(s, &r)) == 1)
		assert_record(&r, &records[(*ret_n)++]);
	return status;
}

static void test_what_was_appended_is_read(void **state)
{
	struct spool_record r;
	size_t n;

	(void)state;
	assert_int_equal(read_all(&fix.spool, &n), 0);
	assert_int_equal(n, COUNT(records));
	assert_int_equal(fix.spool.at, fix.spool.end);
	assert_int_equal(spool_append(&fix.spool, &records[2]), 0); /* read on where the end was */
	assert_int_equal(spool_read(&fix.spool, &r), 1);
	assert_record(&r, &records[2]);
	spool_seek(&fix.spool, fix.ends[1]);
	assert_int_equal(spool_read(&fix.spool, &r), 1);
	assert_record(&r, &records[1]);
}

/* The file's bytes, and a file of the same name with other bytes, opened as an orphan. */
static struct span file_bytes(uint8_t *data, size_t size)
{
	ssize_t n = pread(fix.spool.fd, data, size, 0);

	assert_true(n > 0);
	return span_of(data, (size_t)n);
}

static int reopen(struct spool *s, struct span bytes)
{
	spool_close(&fix.spool);
	int fd = open(fix.spool.path, O_WRONLY | O_TRUNC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes.data, bytes.len), bytes.len);
	close(fd);
	return spool_adopt(s, fix.dir, strrchr(fix.spool.path, '/') + 1);
}

static void test_every_truncation_is_a_torn_tail(void **state)
{
	uint8_t data[1000];
	struct span all = file_bytes(data, sizeof(data));
	struct spool s;
	size_t n;

	(void)state;
	for (size_t len = 0; len <= all.len; len++) {
		int r = reopen(&s, span_of(all.data, len));
		if (len < SPOOL_HEAD) {
			assert_int_equal(r, -EBADMSG);
			continue;
		}
		assert_int_equal(r, 0);
		assert_int_equal(read_all(&s, &n), 0);
		assert_int_equal(n, (len >= fix.ends[1]) + (len >= fix.ends[2]) + (len >= fix.ends[3]));
		spool_close(&s);
	}
}

static void test_every_flipped_bit_is_noticed(void **state)
{
	uint8_t data[1000];
	struct span all = file_bytes(data, sizeof(data));
	struct spool s;
	size_t n;

	(void)state;
	for (size_t at = 0; at < all.len; at++) {
		data[at] ^= 0x10;
		int r = reopen(&s, all);
		if (at < SPOOL_HEAD) {
			assert_int_equal(r, -EBADMSG);
		} else {
			assert_int_equal(r, 0);
			r = read_all(&s, &n);
			assert_int_equal(n, (at >= fix.ends[1]) + (at >= fix.ends[2]));
			if (at < fix.ends[2]) /* with a whole record behind, it is not a torn tail */
				assert_true(r == -EBADMSG || s.at + 1000 > s.end);
			spool_close(&s);
		}
		data[at] ^= 0x10;
	}
}

static void test_a_tail_of_zeros_is_the_end(void **state)
{
	uint8_t data[9000];
	struct span all = file_bytes(data, 1000);
	struct spool s;
	size_t n;

	(void)state;
	memset(data + all.len, 0, 8000);
	assert_int_equal(reopen(&s, span_of(data, all.len + 8000)), 0);
	assert_int_equal(read_all(&s, &n), 0);
	assert_int_equal(n, COUNT(records));
	spool_close(&s);
	data[all.len + 7999] = 1;
	assert_int_equal(reopen(&s, span_of(data, all.len + 8000)), 0);
	assert_int_equal(read_all(&s, &n), -EBADMSG);
	spool_close(&s);
}

static void test_byte_by_byte(void **state)
{
	struct buf b = {0};
	struct spool_record r;
	size_t size;

	(void)state;
	for (size_t i = 0; i < COUNT(records); i++) {
		buf_clear(&b);
		spool_put_record(&b, &records[i]);
		for (size_t len = 0; len < b.len; len++) {
			uint8_t *copy = exact_copy(span_of(b.data, len));
			assert_int_equal(spool_next(span_of(copy, len), &r, &size), SPOOL_MORE);
			assert_true(size > len && size <= b.len);
			free(copy);
		}
		assert_int_equal(spool_next(buf_span(&b), &r, &size), SPOOL_RECORD);
		assert_int_equal(size, b.len);
		assert_record(&r, &records[i]);
	}
	buf_done(&b);
}

static void test_numbers_that_make_no_sense(void **state)
{
	static const struct spool_record bad[] = {
		{.seq = 0,
		 .rows = 1,
		 .frame = {(const uint8_t *)"\0\0\0\x08"
					    "12345678",
			   12}},
		{.seq = 5,
		 .rows = 0,
		 .frame = {(const uint8_t *)"\0\0\0\x08"
					    "12345678",
			   12}},
		{.seq = INT64_MAX,
		 .rows = 1,
		 .frame = {(const uint8_t *)"\0\0\0\x08"
					    "12345678",
			   12}},
		{.seq = 5,
		 .rows = 1,
		 .seq_off = 5,
		 .frame = {(const uint8_t *)"\0\0\0\x08"
					    "12345678",
			   12}},
		{.seq = 5, .rows = 1, .frame = {(const uint8_t *)"\0\0\0\0", 4}},
	};
	struct spool_record r;
	struct buf b = {0};
	size_t size;

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		buf_clear(&b);
		spool_put_record(&b, &bad[i]);
		assert_int_equal(spool_next(buf_span(&b), &r, &size), SPOOL_BAD);
	}
	buf_done(&b);
}

/* What a child process finds: the exit status of adopting the file there. */
static int adopt_in_child(void)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		struct spool s;
		int r = spool_adopt(&s, fix.dir, strrchr(fix.spool.path, '/') + 1);
		_exit(r == 0 ? 1 : r == -EAGAIN ? 2 : 3);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

static void test_a_living_owner_keeps_it(void **state)
{
	(void)state;
	assert_int_equal(adopt_in_child(), 2);
	spool_close(&fix.spool);
	assert_int_equal(adopt_in_child(), 1);
}

/* Makes .<client>.new beside the file, as a process does that is killed before it has its name. */
static const char *leave_unfinished(char name[80], const char *bytes, size_t n)
{
	char path[200];

	snprintf(name, 80, ".%s.new", strrchr(fix.spool.path, '/') + 1);
	snprintf(path, sizeof(path), "%s/%s", fix.dir, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_int_equal(write(fd, bytes, n), n);
	close(fd);
	return name;
}

static void test_what_nobody_finished_is_cleared(void **state)
{
	static const char full[SPOOL_HEAD + 1];
	char name[80], path[200];
	int status;

	(void)state;
	assert_false(spool_clear(fix.dir, strrchr(fix.spool.path, '/') + 1));
	assert_false(spool_clear(fix.dir, ".nothing.new"));
	assert_true(spool_clear(fix.dir, leave_unfinished(name, "", 0)));
	assert_false(spool_clear(fix.dir, name));
	assert_true(spool_clear(fix.dir, leave_unfinished(name, full, SPOOL_HEAD)));
	assert_false(spool_clear(fix.dir, leave_unfinished(name, full, SPOOL_HEAD + 1))); /* none of ours */
	leave_unfinished(name, full, SPOOL_HEAD);
	snprintf(path, sizeof(path), "%s/%s", fix.dir, name);
	int fd = open(path, O_RDWR);
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	assert_int_equal(fcntl(fd, F_SETLK, &l), 0);
	pid_t pid = fork();
	if (pid == 0)
		_exit(spool_clear(fix.dir, name)); /* its process lives */
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(fd);
	assert_true(spool_clear(fix.dir, name));
}

static bool keep_facts(const struct spool_facts *f, void *data)
{
	struct spool_facts *all = data;

	while (all->bytes)
		all++;
	*all = *f;
	return true;
}

static void test_facts(void **state)
{
	struct spool_facts facts[4] = {0};
	char link[200];

	(void)state;
	assert_int_equal(spool_list("/nonexistent", keep_facts, facts), 0);
	spool_close(&fix.spool);
	assert_int_equal(spool_list(fix.dir, keep_facts, facts), 0);
	assert_int_equal(facts[0].state, SPOOL_ORPHAN);
	assert_int_equal(facts[0].first, 7);
	assert_int_equal(facts[0].last, 11);
	assert_int_equal(facts[0].uid, geteuid());
	assert_memory_equal(facts[0].client, head.client, XT_CLIENT_ID);
	assert_int_equal(facts[1].bytes, 0);

	memset(facts, 0, sizeof(facts));
	assert_int_equal(truncate(fix.spool.path, (off_t)fix.ends[3] - 1),
			 0); /* torn: the ends do not tell */
	assert_int_equal(spool_list(fix.dir, keep_facts, facts), 0);
	assert_int_equal(facts[0].last, 10);

	memset(facts, 0, sizeof(facts));
	snprintf(link, sizeof(link), "%s/%032d", fix.dir, 0);
	assert_int_equal(symlink(fix.spool.path, link), 0);
	assert_int_equal(spool_list(fix.dir, keep_facts, facts), 0);
	assert_int_equal(facts[0].state + facts[1].state, SPOOL_ORPHAN + SPOOL_UNREADABLE);
	struct spool s;
	assert_int_equal(spool_adopt(&s, fix.dir, strrchr(link, '/') + 1), -ELOOP);
	unlink(link);
	unlink(fix.spool.path);
}

static void test_a_directory_that_others_write_is_refused(void **state)
{
	struct xt_err err = {0};

	(void)state;
	chmod(fix.dir, 0777);
	assert_int_equal(spool_make_dir(fix.dir, &err), -1);
	assert_int_equal(err.code, XT_E_not_allowed);
	assert_non_null(strstr(err.message, fix.dir));
	chmod(fix.dir, 0700);
	assert_int_equal(spool_make_dir(fix.dir, &err), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_what_was_appended_is_read),
		TEST(test_every_truncation_is_a_torn_tail),
		TEST(test_every_flipped_bit_is_noticed),
		TEST(test_a_tail_of_zeros_is_the_end),
		TEST(test_byte_by_byte),
		TEST(test_numbers_that_make_no_sense),
		TEST(test_a_living_owner_keeps_it),
		TEST(test_what_nobody_finished_is_cleared),
		TEST(test_facts),
		TEST(test_a_directory_that_others_write_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
