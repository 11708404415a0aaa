/* Calls and rows that are sampled, by a clock, processes and a machine that the test says. */
#include "unit.h"

#include <math.h>

#include "sampler.h"
#include "token.h"

#define MS UINT64_C(1000000)

/* What the sources say, and how often they were asked. */
static struct {
	uint64_t now_ns;
	struct sample_process process;
	uint64_t cpu_ns;
	struct sample_memory memory;
	double disk;
	struct sample_cpu cpu;
	struct sample_network network;
	bool gone;
	int process_reads, machine_reads;
} world;

static uint64_t now_ns(void)
{
	return world.now_ns;
}

static int process(pid_t pid, struct sample_process *ret)
{
	(void)pid;
	world.process_reads++;
	*ret = world.process;
	return world.gone ? -1 : 0;
}

static int cpu_ns(pid_t pid, uint64_t *ret)
{
	(void)pid;
	*ret = world.cpu_ns;
	return world.gone ? -1 : 0;
}

static int memory(struct sample_memory *ret)
{
	world.machine_reads++;
	*ret = world.memory;
	return 0;
}

static int disk(double *ret)
{
	*ret = world.disk;
	return 0;
}

static int cpu(struct sample_cpu *ret)
{
	*ret = world.cpu;
	return 0;
}

static int network(pid_t pid, struct sample_network *ret)
{
	(void)pid;
	*ret = world.network;
	return world.gone ? -1 : 0;
}

static struct {
	struct sampler s;
	struct shares shares;
	struct share *share;
	struct sampled_process *process;
	struct buf out;
} fix;

static const struct client_key client = {.uid = 1, .id = {1}}, other = {.uid = 1, .id = {2}};

static int set_up(void **state)
{
	static const struct sample_source source = {.now_ns = now_ns,
						    .process = process,
						    .cpu_ns = cpu_ns,
						    .memory = memory,
						    .disk = disk,
						    .cpu = cpu,
						    .network = network,
						    .page_bytes = 4096};

	(void)state;
	memset(&world, 0, sizeof(world));
	world.now_ns = 1000 * MS;
	world.process = (struct sample_process){.start_ticks = 7, .rss_pages = 250};
	world.memory = (struct sample_memory){.total_kib = 100000, .available_kib = 75000};
	world.disk = 40;
	memset(&fix, 0, sizeof(fix));
	sampler_init(&fix.s, &source);
	fix.shares.max[SHARE_SAMPLED] = 8;
	fix.share = share_of(&fix.shares, 1, 42);
	fix.process = sampler_process(&fix.s, 42);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	sampler_done(&fix.s);
	sampled_unref(fix.process);
	for (size_t i = 0; i < SAMPLER_BUCKETS; i++)
		assert_null(fix.s.processes[i]);
	assert_int_equal(fix.shares.used[SHARE_SAMPLED], 0);
	assert_int_equal(fix.share->refs, 1);
	share_unref(fix.share);
	buf_done(&fix.out);
	return 0;
}

/* Loop time: ms of the same clock. */
static uint64_t now_ms(void)
{
	return world.now_ns / MS;
}

static void pass(uint64_t ms)
{
	world.now_ns += ms * MS;
}

static uint64_t begin(uint64_t call, uint64_t interval_ms, bool with_network)
{
	struct sampler_wish wish = {.interval_ms = interval_ms, .network = with_network};

	return sampler_begin(&fix.s, fix.process, &client, call, &wish, fix.share, now_ms());
}

static void end(uint64_t call)
{
	buf_clear(&fix.out);
	sampler_end(&fix.s, &client, call, &fix.out);
}

/* The value of a column in fix.out; NAN: it is not there. */
static double value(const char *key)
{
	struct reader r = reader_of(buf_span(&fix.out));
	struct token k = {0}, v = {0};

	while (r.at < r.end) {
		assert_int_equal(reader_next(&r, &k), 0);
		assert_int_equal(reader_next(&r, &v), 0);
		if (span_is(k.bytes, key))
			return v.type == TOKEN_REAL ? v.real : (double)v.integer;
	}
	return NAN;
}

static void is(const char *key, double want)
{
	double got = value(key);

	assert_true(fabs(got - want) < 1e-9);
}

static void averages(void **state)
{
	(void)state;
	begin(1, 100, false);
	pass(100);
	world.memory.available_kib = 50000;
	world.process.rss_pages = 750;
	world.disk = 60;
	assert_int_equal(sampler_tick(&fix.s, now_ms()), now_ms() + 100);
	pass(50);
	assert_int_equal(sampler_tick(&fix.s, now_ms()), now_ms() + 50); /* not its turn */
	world.memory.available_kib = 25000;
	world.process.rss_pages = 1250;
	world.disk = 80;
	world.cpu_ns = 300 * MS;
	end(1);
	is("cpu", 200); /* two threads */
	is("memory_percent", 50);
	is("p_memory_percent", 3);
	is("disk_percent", 60);
	assert_true(isnan(value("bytes_sent")));
}

static void a_call_without_a_tick(void **state)
{
	(void)state;
	begin(1, 1000, true);
	world.now_ns += MS / 2;
	world.cpu_ns = MS / 4;
	world.network.sent = 5;
	end(1);
	is("cpu", 50);
	is("memory_percent", 25);
	is("p_memory_percent", 1);
	is("bytes_sent", 0); /* as read at its beginning, just now */
	assert_int_equal(world.process_reads, 1);
	end(1);
	assert_int_equal(fix.out.len, 0);
}

static void network_bytes(void **state)
{
	(void)state;
	world.network = (struct sample_network){.sent = 1000, .received = 5000};
	assert_int_equal(begin(1, 0, true), SAMPLER_NEVER);
	assert_int_equal(sampler_tick(&fix.s, now_ms()), SAMPLER_NEVER);
	pass(5);
	world.network = (struct sample_network){.sent = 1500, .received = 4000}; /* an interface has gone */
	end(1);
	is("bytes_sent", 500);
	is("bytes_recv", 0);
	assert_true(isnan(value("cpu")) && isnan(value("disk_percent")));
}

/* Nested calls, and those of other clients of the process. */
static void one_read_a_tick(void **state)
{
	struct sampler_wish wish = {.interval_ms = 100};
	struct sampled_process *same = sampler_process(&fix.s, 42);

	(void)state;
	assert_ptr_equal(same, fix.process);
	for (uint64_t i = 1; i <= 3; i++)
		begin(i, 100, false);
	sampler_begin(&fix.s, same, &other, 1, &wish, fix.share, now_ms());
	assert_int_equal(world.process_reads, 1);
	assert_int_equal(world.machine_reads, 1);
	pass(100);
	assert_int_equal(sampler_tick(&fix.s, now_ms()), now_ms() + 100);
	assert_int_equal(world.process_reads, 2);
	assert_int_equal(world.machine_reads, 2);
	end(2);
	assert_true(fix.out.len > 0);
	sampler_client_gone(&fix.s, &client);
	assert_int_equal(fix.s.n_calls, 1);
	sampler_client_gone(&fix.s, &other);
	assert_int_equal(sampler_tick(&fix.s, now_ms()), SAMPLER_NEVER);
	sampled_unref(same);
}

static void a_call_that_is_told_twice(void **state)
{
	(void)state;
	begin(1, 100, false);
	pass(100);
	begin(1, 100, false);
	assert_int_equal(fix.s.n_calls, 1);
	world.cpu_ns = 50 * MS;
	end(1);
	is("cpu", 50);
}

static void an_interval_too_short(void **state)
{
	(void)state;
	assert_int_equal(begin(1, 1, false), now_ms() + 10);
	assert_int_equal(sampler_tick(&fix.s, now_ms()), now_ms() + 10);
}

/* A tick that takes long is long in coming again. */
static int slow_process(pid_t pid, struct sample_process *ret)
{
	pass(3);
	return process(pid, ret);
}

static void a_twentieth_of_the_time(void **state)
{
	(void)state;
	begin(1, 10, false);
	pass(10);
	fix.s.source.process = slow_process;
	uint64_t start = now_ms();
	assert_int_equal(sampler_tick(&fix.s, start), start + 57);
	assert_int_equal(begin(2, 10, false), start + 57); /* nor do others make it come earlier */
	assert_int_equal(begin(3, 100, false), now_ms() + 100);
}

static void more_than_a_share(void **state)
{
	(void)state;
	for (uint64_t i = 1; i <= 8; i++)
		begin(i, 100, false);
	assert_int_equal(fix.s.n_calls, 4); /* what it leaves to the others */
	end(8);
	assert_int_equal(fix.out.len, 0);
	end(1);
	assert_true(fix.out.len > 0);
}

static void a_process_that_has_ended(void **state)
{
	(void)state;
	begin(1, 100, true);
	pass(100);
	world.cpu_ns = 50 * MS;
	world.network.sent = 10;
	(void)sampler_tick(&fix.s, now_ms());
	pass(400);
	world.gone = true;
	end(1);
	is("cpu", 50); /* as far as it was seen */
	is("p_memory_percent", 1);
	is("bytes_sent", 0);
}

static void a_number_that_is_anothers_by_now(void **state)
{
	(void)state;
	begin(1, 100, false);
	pass(100);
	world.process = (struct sample_process){.start_ticks = 8, .rss_pages = 90000};
	world.cpu_ns = 9000 * MS;
	end(1);
	assert_true(isnan(value("cpu"))); /* it was seen once */
	is("p_memory_percent", 1);
	struct sampled_process *p = sampler_process(&fix.s, 42);
	assert_ptr_not_equal(p, fix.process);
	sampled_unref(p);
}

static void plain_rows(void **state)
{
	struct sampler_since since;

	(void)state;
	world.cpu = (struct sample_cpu){.busy = 1000, .idle = 1000};
	world.network = (struct sample_network){.sent = 100, .received = 100};
	sampler_connected(&fix.s, 42, &since);
	sampler_row(&fix.s, fix.process, &since, true, true, &fix.out);
	assert_true(isnan(value("cpu_percent"))); /* no tick has passed */
	is("ram_percent", 25);
	is("p_memory_percent", 1);
	is("disk_percent", 40);
	is("bytes_sent", 0);
	pass(100);
	world.cpu = (struct sample_cpu){.busy = 1030, .idle = 1070};
	world.network = (struct sample_network){.sent = 150, .received = 100};
	for (int i = 0; i < 2; i++) { /* the second one a moment later */
		buf_clear(&fix.out);
		sampler_row(&fix.s, fix.process, &since, true, true, &fix.out);
		is("cpu_percent", 30);
		is("bytes_sent", i ? 0 : 50);
	}
	pass(100);
	world.cpu = (struct sample_cpu){.busy = 1100, .idle = 1060}; /* the kernel's idle may go down */
	buf_clear(&fix.out);
	sampler_row(&fix.s, fix.process, &since, true, false, &fix.out);
	is("cpu_percent", 30);
	assert_true(isnan(value("bytes_sent")));
	buf_clear(&fix.out);
	sampler_row(&fix.s, fix.process, &since, false, true, &fix.out);
	assert_true(isnan(value("ram_percent")));
	is("bytes_recv", 0);
}

static void a_process_that_cannot_be_seen(void **state)
{
	struct sampler_wish wish = {.interval_ms = 100};
	struct sampler_since since;

	(void)state;
	assert_null(sampler_process(&fix.s, 0));
	sampler_begin(&fix.s, NULL, &client, 1, &wish, fix.share, now_ms());
	assert_int_equal(fix.s.n_calls, 0);
	sampler_connected(&fix.s, 0, &since);
	assert_false(since.has_cpu || since.has_network);
	sampler_row(&fix.s, NULL, &since, true, true, &fix.out);
	assert_int_equal(fix.out.len, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(averages),
		TEST(a_call_without_a_tick),
		TEST(network_bytes),
		TEST(one_read_a_tick),
		TEST(a_call_that_is_told_twice),
		TEST(an_interval_too_short),
		TEST(a_twentieth_of_the_time),
		TEST(more_than_a_share),
		TEST(a_process_that_has_ended),
		TEST(a_number_that_is_anothers_by_now),
		TEST(plain_rows),
		TEST(a_process_that_cannot_be_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
