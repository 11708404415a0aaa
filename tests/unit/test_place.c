/* Where lock file, socket and log of a database are. */
#include "unit.h"

#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "place.h"

/* A directory of its own for each test, which is also XDG_RUNTIME_DIR. */
static char dir[64];

static int set_up(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/xt-place-XXXXXX");
	unsetenv("XETRACK_SOCKET");
	return mkdtemp(dir) && chdir(dir) == 0 ? setenv("XDG_RUNTIME_DIR", dir, 1) : -1;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int tear_down(void **state)
{
	(void)state;
	return chdir("/") == 0 ? nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS) : -1;
}

static void put_file(const char *name, const char *text)
{
	FILE *f = fopen(name, "w");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static void in_dir(const char *got, const char *name)
{
	char want[PATH_MAX];

	snprintf(want, sizeof(want), "%s/%s", dir, name);
	assert_string_equal(got, want);
}

static void found(struct place *p, const char *database)
{
	struct xt_err err = {0};

	assert_int_equal(place_find(p, database, &err), 0);
}

static void refused(const char *database, enum xt_code code)
{
	struct place p;
	struct xt_err err = {0};

	assert_int_equal(place_find(&p, database, &err), -1);
	assert_int_equal(err.code, code);
	assert_true(err.message[0] != '\0');
}

static void missing_file(void **state)
{
	struct place p;

	(void)state;
	found(&p, "b.db");
	assert_false(p.exists);
	assert_false(p.held);
	in_dir(p.database, "b.db");
	in_dir(p.lock, "b.db.lock");
	in_dir(p.log, "b.db.log");
	in_dir(p.dir, "xetrack");
	assert_memory_equal(p.socket, p.dir, strlen(p.dir));
	assert_string_equal(p.socket + strlen(p.socket) - 5, ".sock");
}

/* However a file is named, its socket is one. */
static void one_socket_for_all_names(void **state)
{
	struct place first, p;
	char absolute[PATH_MAX];

	(void)state;
	found(&first, "b.db");
	put_file("b.db", "");
	assert_int_equal(symlink("b.db", "link.db"), 0);
	assert_int_equal(mkdir("sub", 0700), 0);
	snprintf(absolute, sizeof(absolute), "%s//sub/../b.db", dir);
	const char *const names[] = {"b.db", "./b.db", "link.db", "sub/../b.db", absolute};
	for (size_t i = 0; i < COUNT(names); i++) {
		found(&p, names[i]);
		assert_true(p.exists);
		assert_string_equal(p.database, first.database);
		assert_string_equal(p.socket, first.socket);
	}
	found(&p, "other.db");
	assert_string_not_equal(p.socket, first.socket);
}

static void where_without_runtime_directory(void **state)
{
	struct place p;
	char want[PATH_MAX];

	(void)state;
	unsetenv("XDG_RUNTIME_DIR");
	setenv("TMPDIR", dir, 1);
	found(&p, "b.db");
	snprintf(want, sizeof(want), "%s/xetrack-%u", dir, (unsigned)geteuid());
	assert_string_equal(p.dir, want);
	setenv("XDG_RUNTIME_DIR", "not/absolute", 1);
	found(&p, "b.db");
	assert_string_equal(p.dir, want);
	unsetenv("TMPDIR");
}

static void lock_file_comes_before_the_computed_path(void **state)
{
	struct place p;

	(void)state;
	put_file("b.db.lock", "xetrackd 1\npid 5\nsocket /run/elsewhere.sock\nstate running\n");
	found(&p, "b.db");
	assert_string_equal(p.socket, "/run/elsewhere.sock");
	assert_false(p.held);
	setenv("XETRACK_SOCKET", "/run/mine.sock", 1);
	found(&p, "b.db");
	assert_string_equal(p.socket, "/run/mine.sock");
	unsetenv("XETRACK_SOCKET");
}

static void damaged_lock_files(void **state)
{
	static const char *const texts[] = {
		"", "\n", "socket", "socket \n", "socket relative\n", "nonsense\n\n\n", "\xff\xfe"};
	struct place p, plain;

	(void)state;
	found(&plain, "b.db");
	for (size_t i = 0; i < COUNT(texts); i++) {
		put_file("b.db.lock", texts[i]);
		found(&p, "b.db");
		assert_string_equal(p.socket, plain.socket);
		assert_false(p.held);
	}
}

static void lock_there_and_back(void **state)
{
	struct place p;
	char text[256] = {0};
	int fd = open("b.db.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(place_write_lock(fd, "/run/a-rather-long-name.sock", 4711, true), 0);
	found(&p, "b.db");
	assert_string_equal(p.socket, "/run/a-rather-long-name.sock");
	assert_true(p.held);
	assert_int_equal(place_write_lock(fd, "/run/b.sock", 12, false), 0);
	found(&p, "b.db");
	assert_string_equal(p.socket, "/run/b.sock");
	assert_false(p.held);
	assert_true(pread(fd, text, sizeof(text) - 1, 0) > 0);
	assert_string_equal(text, "xetrackd 1\npid 12\nsocket /run/b.sock\nstate running\n");
	close(fd);
	fd = open("b.db.lock", O_RDONLY | O_CLOEXEC);
	assert_true(place_write_lock(fd, "/run/b.sock", 12, false) < 0);
	close(fd);
}

/* What stood there stays, rather than nothing. */
static void lock_without_room(void **state)
{
	struct rlimit old, none;
	struct place p;
	int fd = open("b.db.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(place_write_lock(fd, "/run/a.sock", 1, true), 0);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	none = old;
	none.rlim_cur = 0;
	setrlimit(RLIMIT_FSIZE, &none);
	int r = place_write_lock(fd, "/run/b.sock", 2, false);
	setrlimit(RLIMIT_FSIZE, &old);
	assert_true(r < 0);
	found(&p, "b.db");
	assert_string_equal(p.socket, "/run/a.sock");
	assert_true(p.held);
	close(fd);
}

static void refusals(void **state)
{
	char name[200];

	(void)state;
	refused(NULL, XT_E_out_of_range);
	refused("", XT_E_out_of_range);
	refused("none/b.db", XT_E_io_error);
	refused("sub/", XT_E_io_error);
	put_file("file", "");
	refused("file/b.db", XT_E_io_error);
	memset(name, 's', sizeof(name));
	name[0] = '/';
	name[sizeof(name) - 1] = '\0';
	setenv("XETRACK_SOCKET", name, 1);
	refused("b.db", XT_E_out_of_range);
	name[107] = '\0'; /* the longest that a socket address holds */
	setenv("XETRACK_SOCKET", name, 1);
	struct place p;
	found(&p, "b.db");
	unsetenv("XETRACK_SOCKET");
}

static void directory_is_made_and_checked(void **state)
{
	struct place p;
	struct xt_err err = {0};
	struct stat st;

	(void)state;
	found(&p, "b.db");
	umask(0);
	assert_int_equal(place_make_dir(&p, &err), 0);
	assert_int_equal(stat(p.dir, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(place_make_dir(&p, &err), 0);
	assert_int_equal(chmod(p.dir, 0750), 0);
	assert_int_equal(place_make_dir(&p, &err), -1);
	assert_int_equal(err.code, XT_E_not_allowed);
	assert_int_equal(rmdir(p.dir), 0);
	assert_int_equal(mkdir("mine", 0700), 0);
	assert_int_equal(symlink("mine", p.dir), 0);
	assert_int_equal(place_make_dir(&p, &err), -1);
	assert_int_equal(unlink(p.dir), 0);
	put_file(p.dir, "");
	assert_int_equal(place_make_dir(&p, &err), -1);
	assert_non_null(strstr(err.message, p.dir));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(missing_file),
		TEST(one_socket_for_all_names),
		TEST(where_without_runtime_directory),
		TEST(lock_file_comes_before_the_computed_path),
		TEST(damaged_lock_files),
		TEST(lock_there_and_back),
		TEST(lock_without_room),
		TEST(refusals),
		TEST(directory_is_made_and_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
