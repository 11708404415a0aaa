/*
 * Words of command lines that are shown to be copied.
 */
#ifndef XT_SHELL_H
#define XT_SHELL_H

#include <stddef.h>

/* Bytes that a word of n bytes takes at most, with its NUL. */
#define SHELL_BYTES(n) (2 * (n) + 3)

/* Writes a word as a shell takes it: as it is, or in double quotes where it has anything but letters, digits
 * and harmless signs. 0, or -1: there is no room. */
int shell_word(char *ret, size_t size, const char *word) __attribute__((warn_unused_result));

#endif
