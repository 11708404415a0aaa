/* xt-track DB: every way into an XT_TRACK block and out of it, for tests/integration/test_calls.py. Linked
 * with the shared library, as a user's program is. */
#include <math.h>
#include <stdio.h>

#include <xetrack.h>

static int executed;

static double by_return(xt_run *run)
{
	XT_TRACK(call, run, "by_return", XT("x", 1))
	{
		executed++;
		return 1.5; /* the handle is freed, the call counts as abandoned */
	}
	return 0;
}

static void plain(xt_run *run, int level)
{
	XT_TRACK(call, run, "plain", XT("codec", "zstd"), XT("level", level))
	{
		executed++;
		xt_call_result(call, XT("ratio", 2.5), XT("packed", 10));
		xt_call_result(call, XT("packed", 11)); /* the last one counts */
	}
}

static void cached(xt_run *run, xt_value config)
{
	const xt_call_options o = {.cache = true, .version = "2", .round_digits = 3};

	XT_TRACK_WITH(call, &o, run, "cached", XT("config", config), XT("lr", 0.1 + 0.2), XT("gap", NAN))
	{
		executed++;
		XT_TRACK(inner, run, "inner", XT("depth", 1))
		xt_call_result(inner, XT("function_result", "deep"));
		xt_call_result(call, XT("y", 7));
	}
}

static void by_break(xt_run *run)
{
	XT_TRACK(call, run, "by_break", XT("x", 1))
	{
		executed++;
		break;
	}
}

static void fails(xt_run *run)
{
	XT_TRACK(call, run, "fails", XT("x", 1))
	{
		executed++;
		xt_call_fail(call, "ValueError", "no such luck");
	}
}

/* It cannot be begun, and is executed all the same. */
static void untracked(xt_run *run)
{
	XT_TRACK(call, run, "", XT("x", 1))
	{
		executed++;
		xt_call_result(call, XT("y", 1));
	}
}

/* Arguments that no row can hold: it is executed, and the row says so. */
static void too_deep(xt_run *run)
{
	xt_field fields[20];
	xt_value deep = xt_int(1);

	for (int i = 0; i < 20; i++) {
		fields[i] = xt_field_of("in", deep);
		deep = xt_map(&fields[i], 1);
	}
	XT_TRACK(call, run, "too_deep", XT("x", deep))
	{
		executed++;
		xt_call_result(call, XT("y", 1));
	}
}

/* A result that no row can hold: the call has failed, and nothing is kept. */
static void bad_result(xt_run *run)
{
	XT_TRACK_WITH(call, &(xt_call_options){.cache = true}, run, "bad_result", XT("x", 1))
	{
		executed++;
		xt_call_result(call, XT("text", "\xff\xfe"));
	}
}

static void on_warning(const char *code, const char *message, void *user)
{
	(void)user;
	printf("warning %s: %s\n", code, message);
}

int main(int argc, char **argv)
{
	xt_client *xt;
	xt_run *run;

	if (argc != 2 || xt_open(&xt, argv[1], &(xt_options){.on_warning = on_warning}) != XT_OK ||
	    xt_run_start(&run, xt, &(xt_run_options){.track_id = "r"}) != XT_OK)
		return 1;
	plain(run, 3);
	(void)by_return(run);
	by_break(run);
	fails(run);
	untracked(run);
	too_deep(run);
	bad_result(run);
	const xt_value config =
		XT_MAP(XT("a", XT_MAP(XT("b", 1))), XT("c", xt_ints((const int64_t[]){1, 2}, 2)));
	cached(run, config);
	if (xt_flush(xt, XT_FOREVER) != XT_OK)
		return 1;
	cached(run, config);
	printf("executed %d\n", executed);
	if (xt_run_finish(run, XT_FINISHED) != XT_OK)
		return 1;
	return xt_close(xt) != XT_OK;
}
