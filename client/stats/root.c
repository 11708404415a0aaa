#include "root.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>

/*
 * Chandrupatla's method (Advances in Engineering Software 28, 1997): inverse quadratic interpolation where
 * the last three points say that it can be trusted, else bisection.
 */
double root_find(double (*f)(const void *arg, double x), const void *arg, double low, double high)
{
	double a = high, b = low, t = 0.5;
	double fa = f(arg, a), fb = f(arg, b);

	if (fa == 0)
		return a;
	if (fb == 0)
		return b;
	if (isnan(fa) || isnan(fb) || (fa > 0) == (fb > 0))
		return NAN;
	for (int i = 0; i < 500; i++) {
		double x = a + t * (b - a), fx = f(arg, x);
		if (isnan(fx))
			return NAN;
		bool same = (fx > 0) == (fa > 0);
		double c = same ? a : b, fc = same ? fa : fb;
		if (!same) {
			b = a;
			fb = fa;
		}
		a = x;
		fa = fx;
		double best = fabs(fa) < fabs(fb) ? a : b;
		double limit = (2 * DBL_EPSILON * fabs(best) + DBL_MIN) / fabs(b - c);
		if (limit > 0.5 || fa == 0 || fb == 0)
			return best;
		double xi = (a - b) / (c - b), phi = (fa - fb) / (fc - fb);
		t = 0.5;
		if (1 - sqrt(1 - xi) < phi && phi < sqrt(xi))
			t = fa / (fb - fa) * fc / (fb - fc) +
			    (c - a) / (b - a) * fa / (fc - fa) * fb / (fc - fb);
		t = fmin(1 - limit, fmax(limit, t));
	}
	return a;
}
