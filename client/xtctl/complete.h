/*
 * What may come next on a command line: what shells ask for when the tab key is pressed.
 */
#ifndef XTCTL_COMPLETE_H
#define XTCTL_COMPLETE_H

#include "xtctl.h"

/*
 * Prints what the last of the n words may become, a line each: the word, and after a tab what it means, where
 * that is not plain. The words are those after the program's name; the last one, which may be empty, is being
 * typed. A line ":files" says that file names may stand there too,
 * ":databases" the same but for what lies beside a database. A word that ends in = is to be gone on with.
 * Tables, columns, runs and values are looked up when a daemon serves the database already: none is started.
 */
void complete(struct ctl *ctl, int n, char *const *words);

#endif
