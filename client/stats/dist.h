/*
 * The distributions that tests and intervals need: normal, beta, Student's t (central and not), binomial,
 * hypergeometric. Pure functions of doubles; NAN in or an impossible parameter gives NAN.
 */
#ifndef STATS_DIST_H
#define STATS_DIST_H

#include <stdint.h>

/* P(Z <= z), and the z below which a part p lies: -inf for 0, inf for 1. */
double dist_normal(double z);
double dist_normal_quantile(double p);

/* The regularised incomplete beta function I_x(a, b); y is 1 - x, given apart because it may be too small to
 * be told from x. a, b > 0. */
double dist_beta(double a, double b, double x, double y);

/* The x with I_x(a, b) = p. */
double dist_beta_quantile(double a, double b, double p);

/* Student's t with df > 0 degrees of freedom: P(T <= t), P(|T| >= |t|), and the t of a p in (0, 1). */
double dist_t(double t, double df);
double dist_t_both(double t, double df);
double dist_t_quantile(double p, double df);

/* Noncentral t: P(T <= t) where T is a normal with mean `shift` over the root of chi²/df. */
double dist_t_shifted(double t, double df, double shift);

/* P(X <= k) and P(X = k) of n trials that each succeed with probability p. */
double dist_binomial(uint64_t k, uint64_t n, double p);
double dist_binomial_at(uint64_t k, uint64_t n, double p);

/* P(X = k) where `drawn` are taken from `all`, of which `marked` are marked. */
double dist_hypergeometric_at(uint64_t k, uint64_t all, uint64_t marked, uint64_t drawn);

/* The logarithm of Γ(x) / (Γ(x - ½) √x) for x > ½: near 0 for a large x, where two lgamma() would leave
 * nothing of it. */
double dist_log_gamma_step(double x);

#endif
