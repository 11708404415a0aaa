/* xetrackd: flags, then start and stop in order. */
#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crash.h"
#include "entries.h"
#include "launch.h"
#include "log.h"
#include "mem.h"
#include "own.h"
#include "server.h"
#include "store.h"

#ifndef XT_VERSION
#define XT_VERSION "0.1.0"
#endif

#define DETACHED_IDLE_MS 300000 /* a daemon that a client started leaves when nobody came for so long */

static const char *const durabilities[] = {"full", "normal", "off"};

struct settings {
	const char *database, *socket;
	const char *log_file; /* that was opened; NULL: none */
	enum durability durability;
	uint64_t idle_exit_ms, grace_ms;
	bool idle_set; /* idle_exit_ms was given */
	int ready_fd;
	bool read_only, detach, revive;
	struct peer_access access;
};

static void usage(FILE *f)
{
	fputs("usage: xetrackd [OPTIONS] DATABASE\n"
	      "Serves one SQLite database to benchmark workers. Clients start it themselves; see xtctl(1).\n"
	      "\n"
	      "  --socket PATH        listen here instead of at the place computed from the database's path\n"
	      "  --durability MODE    full (default): acknowledged means synced to disk; normal, off: "
	      "faster\n"
	      "  --idle-exit-ms N     leave when no client was connected for N ms; 0: never (default)\n"
	      "  --grace-ms N         clients' time to return after a start before their runs are called "
	      "crashed (30000)\n"
	      "  --read-only          answer queries only\n"
	      "  --group NAME         members of this group may log and query too\n"
	      "  --readers NAME       members of this group may query only\n"
	      "  --detach             go to the background, log to DATABASE.log\n"
	      "  --revive             start although `xtctl down` holds the database\n"
	      "  --ready-fd N         write `ok`, or why not, to this descriptor\n"
	      "  --version, --help\n",
	      f);
}

static int parse_number(const char *text, uint64_t max, uint64_t *ret)
{
	char *end;

	errno = 0;
	unsigned long long n = strtoull(text, &end, 10);
	if (errno || end == text || *end || text[0] == '-' || n > max)
		return -1;
	*ret = n;
	return 0;
}

static int bad_value(const char *option, const char *value)
{
	fprintf(stderr, "xetrackd: --%s cannot be '%s'\n", option, value);
	return 2;
}

/* By its name, or by its number where no group has that name. */
static bool find_group(const char *name, gid_t *ret)
{
	const struct group *g = getgrnam(name);
	uint64_t n = 0;

	if (!g && parse_number(name, UINT32_MAX - 1, &n) < 0)
		return false;
	*ret = g ? g->gr_gid : (gid_t)n;
	return true;
}

/* 0: go on; else exit with this minus one. */
static int parse(int argc, char **argv, struct settings *s)
{
	enum {
		SOCKET = 256,
		DURABILITY,
		IDLE,
		GRACE,
		READ_ONLY,
		GROUP,
		READERS,
		DETACH,
		REVIVE,
		READY,
		VERSION,
		HELP
	};
	static const struct option options[] = {
		{"socket", required_argument, NULL, SOCKET},
		{"durability", required_argument, NULL, DURABILITY},
		{"idle-exit-ms", required_argument, NULL, IDLE},
		{"grace-ms", required_argument, NULL, GRACE},
		{"read-only", no_argument, NULL, READ_ONLY},
		{"group", required_argument, NULL, GROUP},
		{"readers", required_argument, NULL, READERS},
		{"detach", no_argument, NULL, DETACH},
		{"revive", no_argument, NULL, REVIVE},
		{"ready-fd", required_argument, NULL, READY},
		{"version", no_argument, NULL, VERSION},
		{"help", no_argument, NULL, HELP},
		{0},
	};
	uint64_t n;
	int o, d;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (o) {
		case SOCKET:
			s->socket = optarg;
			break;
		case DURABILITY:
			for (d = 0; d < 3 && strcmp(optarg, durabilities[d]) != 0; d++)
				;
			if (d == 3)
				return bad_value("durability", optarg) + 1;
			s->durability = (enum durability)d;
			break;
		case IDLE:
			if (parse_number(optarg, UINT32_MAX, &s->idle_exit_ms) < 0)
				return bad_value("idle-exit-ms", optarg) + 1;
			s->idle_set = true;
			break;
		case GRACE:
			if (parse_number(optarg, UINT32_MAX, &s->grace_ms) < 0)
				return bad_value("grace-ms", optarg) + 1;
			break;
		case READ_ONLY:
			s->read_only = true;
			break;
		case GROUP:
			if (!(s->access.has_group = find_group(optarg, &s->access.group)))
				return bad_value("group", optarg) + 1;
			break;
		case READERS:
			if (!(s->access.has_readers = find_group(optarg, &s->access.readers)))
				return bad_value("readers", optarg) + 1;
			break;
		case DETACH:
			s->detach = true;
			break;
		case REVIVE:
			s->revive = true;
			break;
		case READY:
			if (parse_number(optarg, 65535, &n) < 0)
				return bad_value("ready-fd", optarg) + 1;
			s->ready_fd = (int)n;
			break;
		case VERSION:
			puts("xetrackd " XT_VERSION);
			return 1;
		case HELP:
			usage(stdout);
			return 1;
		default:
			usage(stderr);
			return 3;
		}
	}
	if (optind != argc - 1) {
		usage(stderr);
		return 3;
	}
	s->database = argv[optind];
	return 0;
}

static void directory_of(const struct place *p, char ret[PATH_MAX])
{
	memcpy(ret, p->database, PATH_MAX);
	char *slash = strrchr(ret, '/');
	slash[slash == ret] = '\0';
}

/* Before a lock or a log is made beside what is no file. */
static bool is_servable(const struct place *p, struct xt_err *err)
{
	struct stat st;

	if (stat(p->database, &st) < 0 || S_ISREG(st.st_mode))
		return true; /* what is missing may be made */
	xt_err_set(err, XT_E_not_a_database, "database", "'%.200s' is %s, not a database file", p->database,
		   S_ISDIR(st.st_mode) ? "a directory" : "something special");
	return false;
}

/* A file that may not be written is served for reading. */
static bool must_read_only(const struct place *p)
{
	char dir[PATH_MAX];

	directory_of(p, dir);
	return p->exists && (access(p->database, W_OK) < 0 || access(dir, W_OK) < 0);
}

static void warn_of_network(const struct place *p)
{
	char dir[PATH_MAX];

	directory_of(p, dir);
	const char *network = launch_network_fs(dir);
	if (network)
		log_warn("the database is on a network file system, where SQLite's locks and its WAL may "
			 "fail: "
			 "keep it on a local disk filesystem=%s",
			 network);
}

static int is_marked(void *data, const struct client_key *client, uint64_t seq)
{
	struct xt_err ignored;
	const struct client *c = clients_find(data, client, &ignored);

	return !c ? -1 : c->mark >= seq;
}

/* What its results lack of rows, after a crash between the two commits, is taken out of it. */
static int open_cache(struct cache *c, struct store *store, const struct settings *set, struct xt_err *err)
{
	struct cache_options o = {.database = store->path,
				  .database_id = store->database_id,
				  .read_only = set->read_only,
				  .durability = (int)set->durability,
				  .map_bytes = (uint64_t)store->config[CONFIG_CACHE_MAP] << 20};

	if (cache_open(c, &o) < 0)
		return xt_err_set(err, XT_E_internal, NULL, "out of memory");
	cache_configure(c, store);
	if (!crash_defect("results without rows are kept") && entries_settle(c, is_marked, store, err) < 0)
		log_warn("the cache cannot be written error=\"%s\"", err->message);
	return 0;
}

/* Serves until told to leave. 0; 1 with err when it could not start; 2 when the writer failed. */
static int serve(const struct settings *set, const struct place *p, int lock, int inherited,
		 struct xt_err *err)
{
	static struct server server; /* large, and one a process */
	struct store store = {0};
	struct cache cache = {0};
	struct store_options so = {
		.path = p->database, .read_only = set->read_only, .durability = set->durability};
	struct server_options o = {.socket = p->socket,
				   .listen_fd = inherited,
				   .durability = durabilities[set->durability],
				   .log_file = set->log_file,
				   .idle_exit_ms = set->idle_exit_ms,
				   .grace_ms = set->grace_ms,
				   .access = set->access};
	int r = 1;

	/* Looked at twice: what was put there in between was not there for SQLite to read. */
	if (own_look_beside(p->database, err) == 0 && store_open(&store, &so, err) == 0 &&
	    own_look_beside(p->database, err) == 0 && open_cache(&cache, &store, set, err) == 0 &&
	    (inherited >= 0 || (o.listen_fd = launch_bind(p, err)) >= 0)) {
		if (server_init(&server, &store, &cache, &o, err) == 0) {
			if (place_write_lock(lock, p->socket, (int)getpid(), false) < 0)
				log_warn("cannot write the lock file path=\"%s\"", p->lock);
			log_info("serving database=\"%s\" socket=\"%s\" pid=%d durability=%s read_only=%d "
				 "version=" XT_VERSION,
				 p->database, p->socket, (int)getpid(), o.durability, set->read_only);
			launch_ready(set->ready_fd, NULL);
			r = server_run(&server) < 0 ? 2 : 0;
			launch_stopping();
		}
		server_done(&server);
		if (inherited < 0 && r != 1)
			unlink(p->socket);
		if (r != 1 && place_write_lock(lock, p->socket, (int)getpid(), server.hold) < 0)
			log_warn("cannot write the lock file path=\"%s\"", p->lock);
	}
	cache_done(&cache);
	store_done(&store);
	return r;
}

static int fail(const struct settings *s, const struct xt_err *err)
{
	log_error("cannot start error=\"%s\"", err->message);
	launch_ready(s->ready_fd, err);
	return 1;
}

int main(int argc, char **argv)
{
	struct settings s = {.ready_fd = -1, .grace_ms = 30000};
	struct place p;
	struct xt_err err = {0};
	int r = parse(argc, argv, &s);

	if (r)
		return r - 1;
	log_init();
	mem_init();
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, s.detach ? SIG_IGN : SIG_DFL);
	if (place_find(&p, s.database, &err) < 0 && (!s.socket || p.database[0] == '\0' || p.lock[0] == '\0'))
		return fail(&s, &err);
	if (!is_servable(&p, &err))
		return fail(&s, &err);
	if (s.detach && launch_detach() < 0)
		return 1;
	if (s.detach && log_to_file(p.log, p.database, &err) == 0)
		s.log_file = p.log;
	else if (s.detach &&
		 err.code == XT_E_not_allowed) /* else a read-only directory: it stays where it was */
		return fail(&s, &err);
	if (s.detach && !s.idle_set)
		s.idle_exit_ms = DETACHED_IDLE_MS;
	s.read_only = s.read_only || must_read_only(&p);
	if (s.read_only && !p.exists) {
		xt_err_set(&err, XT_E_io_error, "database",
			   "'%.200s' does not exist, and nothing is created for reading", p.database);
		return fail(&s, &err);
	}
	warn_of_network(&p);
	launch_raise_limits();
	int listen_fd = launch_inherited_socket(&p);
	if (listen_fd < 0 && launch_socket(&p, s.socket, &s.access, &err) < 0)
		return fail(&s, &err);
	if (s.access.has_group && !s.read_only)
		launch_spool_dir(&p, s.access.group);
	int lock = launch_lock(&p, s.read_only, s.revive, &err);
	if (lock < 0)
		return fail(&s, &err);
	r = serve(&s, &p, lock, listen_fd, &err);
	if (r == 1)
		return fail(&s, &err);
	log_info("left status=%d", r == 0 ? 0 : 1);
	return r == 0 ? 0 : 1;
}
