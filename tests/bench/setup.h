/* What every benchmark begins with: its options, the directory it works in, calls that must succeed. */
#ifndef XT_BENCH_SETUP_H
#define XT_BENCH_SETUP_H

#include <stddef.h>

#include "xetrack.h"

#define MAX_REPEAT 25
#define DIR_SIZE   1000 /* bytes of a directory's name */

/* An option `--name VALUE`. One of the pointers says where its value goes. */
struct setting {
	const char *name;
	const char *value; /* what the usage calls it */
	long *whole;
	double *real;
	const char **text;
	double least, most; /* of numbers; most 0: no bound */
};

/* Reads the command line; says how it is used, and exits, when it makes no sense. */
void setup_options(int argc, char **argv, const struct setting *settings, size_t n);

/* Makes a directory in `base`, where sockets go too. To be removed by remove_directory(). */
void setup_directory(const char *base, char ret[DIR_SIZE]);

/* Ends the process, saying why, when a call of the library was not XT_OK. */
void check(xt_client *xt, int r, const char *what);

#endif
