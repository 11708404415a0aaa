/*
 * Outcomes that are 0 or 1: how often the 1s came in two groups.
 */
#ifndef STATS_BINARY_H
#define STATS_BINARY_H

#include <stdint.h>

#include "sample.h"

/* Pairs of a first and a second outcome. */
struct binary_pairs {
	uint64_t none, second, first, both; /* of whose two outcomes: which were 1 */
};

/* Two groups. */
struct binary_groups {
	uint64_t n_a, ones_a, n_b, ones_b;
};

/* McNemar's test, exact: the pairs whose outcomes differ fall on both sides alike. Both sides. */
double binary_mcnemar(const struct binary_pairs *pairs);

/* Of the difference of proportions, second minus first, in pairs: Wald's interval with Laplace's correction
 * (Bonett & Price 2012). */
struct interval binary_paired_interval(const struct binary_pairs *pairs, double confidence);

/* Cohen's g: by how much the share of pairs that went to the second one, of those that differ, is above ½,
 * with the interval of Clopper & Pearson (1934); and the odds ratio, second over first. NAN when no pair
 * differs. */
double binary_paired_effect(const struct binary_pairs *pairs, double confidence,
			    struct interval *ret_interval, double *ret_odds);

/* Fisher's exact test, both sides: all tables that are as unlikely as the one seen, or more. */
double binary_fisher(const struct binary_groups *groups);

/* Of the difference of proportions, second minus first: Newcombe's hybrid of two Wilson intervals (1998, his
 * method 10). */
struct interval binary_groups_interval(const struct binary_groups *groups, double confidence);

/* Cohen's h, the difference of the proportions' arcsines, with the normal's interval; and the odds ratio,
 * with half a case added to each cell when one is empty. */
double binary_groups_effect(const struct binary_groups *groups, double confidence,
			    struct interval *ret_interval, double *ret_odds);

#endif
