/*
 * The list of commands, and how one is found by its name.
 */
#ifndef XTCTL_COMMANDS_H
#define XTCTL_COMMANDS_H

#include "xtctl.h"

/* A heading of the list, and what stands under it. */
struct section {
	const char *title;
	const struct command *const *commands; /* ended by NULL */
};

/* All commands, ended by a section without a title. */
extern const struct section sections[];

/* A command by its name. NULL: there is none. */
const struct command *command_find(const char *name);

/* A part of a group by the last word of its name. NULL: there is none. */
const struct command *command_part(const struct command *group, const char *word);

/* The last word of its name: `ls` of `cache ls`. */
const char *command_word(const struct command *c);

/* What its usage line calls the nth argument after the database, from 0, of *ret_len bytes; the last one goes
 * on where it may be repeated. *ret_len 0: there is none. */
const char *command_place(const struct command *c, size_t n, size_t *ret_len);

/* The name that may be meant by one that there is not; group NULL: of a command. NULL: none is near. */
const char *command_nearest(const struct command *group, const char *word);

/* Its options. */
struct option_set command_options(const struct command *c);

#endif
