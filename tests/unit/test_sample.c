/* What the kernel says of processes and the machine, parsed: whole, cut short, and as nonsense. */
#include "unit.h"

#include <unistd.h>

#include "sample.h"

static const char process_text[] =
	"4711 (a (strange) name) R 1 4711 4711 0 -1 4194304 105 0 0 0 250 50 7 9 20 0 1 0 123456 8654848 321 "
	"18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n";

static const char memory_text[] = "MemTotal:       16000000 kB\nMemFree:         1000000 kB\n"
				  "MemAvailable:    4000000 kB\nBuffers:          100000 kB\n";

static const char cpu_text[] = "cpu  100 20 30 400 50 6 7 8 99 0\ncpu0 1 2 3 4 5 6 7 8 9 0\nintr 1 2 3\n";

static const char network_text[] =
	"Inter-|   Receive                                                |  Transmit\n"
	" face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop\n"
	"    lo: 1000      10    0    0    0     0          0         0     1000      10    0    0    0     "
	"0       0          0\n"
	"  eth0: 2000      20    0    0    0     0          0         0      300       3    0    0    0     "
	"0       0          0\n"
	"wlan0:4000 40 0 0 0 0 0 0 500 5 0 0 0 0 0 0\n";

/* What a parser makes of each shorter text is up to it, but it must stay within the bytes. */
#define CUT_SHORT(parse, type, text)                                             \
	do {                                                                     \
		for (size_t cut = 0; cut < sizeof(text); cut++) {                \
			uint8_t *copy = exact_copy(span_of(text, cut));          \
			type ignored;                                            \
			(void)!parse(span_of(cut ? copy : NULL, cut), &ignored); \
			free(copy);                                              \
		}                                                                \
	} while (0)

static void a_process(void **state)
{
	struct sample_process p;

	(void)state;
	assert_int_equal(sample_parse_process(span_str(process_text), &p), 0);
	assert_int_equal(p.cpu_ticks, 300);
	assert_int_equal(p.start_ticks, 123456);
	assert_int_equal(p.rss_pages, 321);
	CUT_SHORT(sample_parse_process, struct sample_process, process_text);
}

static void no_process(void **state)
{
	static const char *const texts[] = {
		"",
		")",
		") ",
		"1 (x",
		"1 (x) R",
		"1 (x) R 1 2 3",
		"1 (x) Z 1 1 1 0 -1 0 0 0 0 0 1 1 0 0 20 0 1 0 5 0 0 0\n",
		"1 (x) R 1 1 1 0 -1 0 0 0 0 0 one 1 0 0 20 0 1 0 5 0 0 0\n",
		"1 (x) R 1 1 1 0 -1 0 0 0 0 0 99999999999999999999 1 0 0 20 0 1 0 5 0 0 0\n",
		"1 (x) R 1 1 1 0 -1 0 0 0 0 0 1 1 0 0 20 0 1 0 5 0 -1 0\n",
	};
	struct sample_process p;

	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++)
		assert_int_equal(sample_parse_process(span_str(texts[i]), &p), -1);
}

static void memory(void **state)
{
	static const char *const texts[] = {"", "MemTotal: 1 kB\n", "MemTotal: 1 kB\nMemAvailable: 2 kB\n",
					    "MemTotal: 0 kB\nMemAvailable: 0 kB\n",
					    "MemTotal: x kB\nMemAvailable: 0 kB\n"};
	struct sample_memory m;

	(void)state;
	assert_int_equal(sample_parse_memory(span_str(memory_text), &m), 0);
	assert_int_equal(m.total_kib, 16000000);
	assert_int_equal(m.available_kib, 4000000);
	CUT_SHORT(sample_parse_memory, struct sample_memory, memory_text);
	for (size_t i = 0; i < COUNT(texts); i++)
		assert_int_equal(sample_parse_memory(span_str(texts[i]), &m), -1);
}

static void cpu(void **state)
{
	static const char *const texts[] = {
		"", "cpu", "cpu \n", "cpu  1 2 3\n", "cpu0 1 2 3 4 5\n", "cpu  1 2 3 x\n"};
	struct sample_cpu c;

	(void)state;
	assert_int_equal(sample_parse_cpu(span_str(cpu_text), &c), 0);
	assert_int_equal(c.busy, 100 + 20 + 30 + 6 + 7 + 8);
	assert_int_equal(c.idle, 450);
	assert_int_equal(sample_parse_cpu(span_str("cpu  1 2 3 4\n"), &c), 0); /* of an old kernel */
	assert_int_equal(c.idle, 4);
	CUT_SHORT(sample_parse_cpu, struct sample_cpu, cpu_text);
	for (size_t i = 0; i < COUNT(texts); i++)
		assert_int_equal(sample_parse_cpu(span_str(texts[i]), &c), -1);
}

static void network(void **state)
{
	static const char *const texts[] = {"", "one line\n", "two\nlines\nname 1 2 3 4 5 6 7 8 9\n",
					    "two\nlines\nx: 1 2 3\n", "two\nlines\nx: a 2 3 4 5 6 7 8 9\n"};
	struct sample_network n;

	(void)state;
	assert_int_equal(sample_parse_network(span_str(network_text), &n), 0);
	assert_int_equal(n.received, 6000);
	assert_int_equal(n.sent, 800);
	assert_int_equal(sample_parse_network(span_str("two\nlines\n"), &n), 0);
	assert_int_equal(n.received, 0);
	assert_int_equal(n.sent, 0);
	CUT_SHORT(sample_parse_network, struct sample_network, network_text);
	for (size_t i = 0; i < COUNT(texts); i++)
		assert_int_equal(sample_parse_network(span_str(texts[i]), &n), -1);
}

/* This machine, and this process. */
static void the_kernel(void **state)
{
	struct sample_source s = sample_kernel();
	struct sample_process p, again;
	struct sample_memory m;
	struct sample_network n;
	struct sample_cpu c;
	uint64_t before, after;
	double disk;

	(void)state;
	assert_int_equal(s.process(getpid(), &p), 0);
	assert_true(p.rss_pages > 10 && p.start_ticks > 0);
	assert_int_equal(s.process(getpid(), &again), 0);
	assert_int_equal(again.start_ticks, p.start_ticks);
	assert_int_equal(s.cpu_ns(getpid(), &before), 0);
	for (volatile int i = 0; i < 100000; i++)
		continue;
	assert_int_equal(s.cpu_ns(getpid(), &after), 0);
	assert_true(after > before);
	assert_int_equal(s.memory(&m), 0);
	assert_true(p.rss_pages * s.page_bytes < m.total_kib * 1024);
	assert_int_equal(s.disk(&disk), 0);
	assert_true(disk > 0 && disk <= 100);
	assert_int_equal(s.cpu(&c), 0);
	assert_true(c.busy > 0);
	assert_int_equal(s.network(getpid(), &n), 0);
	assert_int_equal(s.process(0, &p), -1);
	assert_int_equal(s.cpu_ns(0, &before), -1);
	assert_int_equal(s.network(-1, &n), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_process), cmocka_unit_test(no_process), cmocka_unit_test(memory),
		cmocka_unit_test(cpu),	     cmocka_unit_test(network),	   cmocka_unit_test(the_kernel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
