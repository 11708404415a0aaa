/*
 * What is said of commands: the list of them, and the help of one.
 */
#ifndef XTCTL_HELP_H
#define XTCTL_HELP_H

#include "xtctl.h"

/* All commands, each with what it does, in lines for a terminal of so many columns; 0: not one. */
void help_all(FILE *out, int columns, const char *program);

/* How one is called: "xtctl head DB [-n N]". Owned by the caller; NULL: out of memory. */
char *help_usage(const char *program, const struct command *c);

/* All about one, in lines that fit the terminal. */
void help_command(const struct out *out, const char *program, const struct command *c);

#endif
