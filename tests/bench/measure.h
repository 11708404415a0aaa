/* Times and their order statistics, and the files around a benchmark. */
#ifndef XT_MEASURE_H
#define XT_MEASURE_H

#include <stddef.h>
#include <stdint.h>

struct samples {
	double *v;     /* owned */
	size_t n, cap; /* used, allocated */
	int sorted;
};

struct samples samples_new(long cap);
void samples_free(struct samples *s);
void samples_add(struct samples *s, double v);

/* The value below which the share q of the samples lies; 0.5: the median, 1: the largest. */
double samples_at(struct samples *s, double q);

/* CLOCK_MONOTONIC. */
int64_t now_ns(void);

/* Prints what went wrong and exits with status 1. */
_Noreturn void die(const char *what, const char *why);

/* Removes a database and what lies beside it; a directory and the files in it. */
void remove_database(const char *db);
void remove_directory(const char *dir);

/* The path of a program that lies beside this one. */
void find_sibling(char *ret, size_t size, const char *name);

#endif
