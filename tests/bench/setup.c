#include "setup.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "measure.h"

#define MAX_SETTINGS 16

static _Noreturn void usage(const struct setting *settings, size_t n)
{
	fprintf(stderr, "usage: %s", program_invocation_short_name);
	for (size_t i = 0; i < n; i++)
		fprintf(stderr, " [--%s %s]", settings[i].name, settings[i].value);
	fputc('\n', stderr);
	exit(1);
}

static void take(const struct setting *s, const char *value)
{
	if (s->text) {
		*s->text = value;
		return;
	}
	double number = atof(value);
	if (number < s->least || (s->most > 0 && number > s->most)) {
		fprintf(stderr, "%s: --%s must be %g at least", program_invocation_short_name, s->name,
			s->least);
		if (s->most > 0)
			fprintf(stderr, ", %g at most", s->most);
		fputc('\n', stderr);
		exit(1);
	}
	if (s->whole)
		*s->whole = (long)number;
	if (s->real)
		*s->real = number;
}

void setup_options(int argc, char **argv, const struct setting *settings, size_t n)
{
	struct option options[MAX_SETTINGS + 1] = {0};
	int at, o;

	for (size_t i = 0; i < n && i < MAX_SETTINGS; i++)
		options[i] = (struct option){.name = settings[i].name, .has_arg = required_argument};
	while ((o = getopt_long(argc, argv, "", options, &at)) != -1) {
		if (o != 0)
			usage(settings, n);
		take(&settings[at], optarg);
	}
	if (optind < argc)
		usage(settings, n);
}

void setup_directory(const char *base, char ret[DIR_SIZE])
{
	char *real = realpath(base, NULL);

	snprintf(ret, DIR_SIZE, "%.900s/xt-bench-XXXXXX", real ? real : base);
	free(real);
	if (!mkdtemp(ret))
		die("cannot make a directory in", base);
	setenv("XDG_RUNTIME_DIR", ret, 1);
	signal(SIGPIPE, SIG_IGN);
}

void check(xt_client *xt, int r, const char *what)
{
	if (r == XT_OK)
		return;
	fprintf(stderr, "%s: %s: %s: %s\n", program_invocation_short_name, what, xt_status_name(r),
		xt_error(xt));
	_exit(1); /* perhaps of a child, whose parent has what stdio holds */
}
