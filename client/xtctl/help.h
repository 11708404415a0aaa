/*
 * What is said of commands: the list of them, and the help of one.
 */
#ifndef XTCTL_HELP_H
#define XTCTL_HELP_H

#include "xtctl.h"

/* All commands, a line each. */
void help_all(FILE *out, const char *program);

/* All about one, in lines that fit the terminal. */
void help_command(const struct out *out, const char *program, const struct command *c);

#endif
