/*
 * Reals of a usual size as decimals, without the C library, whose ways there take a microsecond each.
 */
#ifndef XTCTL_REAL_H
#define XTCTL_REAL_H

#define REAL_MOST 32 /* bytes that real_text() writes at most, its NUL counted */

/*
 * The shortest of the decimals of 15, 16 and 17 digits, each rounded as printf's %g rounds it, that reads
 * back as the same double: to the byte what the C library writes, with a point in it. Returns its length; 0:
 * the number is not of a usual size (a millionth to 10^15, either sign, or 0), and `ret` was not touched.
 */
int real_text(char ret[REAL_MOST], double d);

#endif
