/*
 * The zero of a function that changes its sign between two points.
 */
#ifndef STATS_ROOT_H
#define STATS_ROOT_H

/*
 * The x between low and high where f(arg, x) = 0, as near as doubles tell; f is continuous, and its signs at
 * low and high differ. NAN when they do not.
 */
double root_find(double (*f)(const void *arg, double x), const void *arg, double low, double high);

#endif
