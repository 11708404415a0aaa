/* The directory of a target that needs files: made at first use below $TMPDIR, removed at exit. */
#ifndef XT_FUZZ_TEMP_DIR_H
#define XT_FUZZ_TEMP_DIR_H

/* Its path. Aborts when it cannot be made. */
const char *temp_dir(void);

/* Asserts that it holds no files but these n. */
void temp_dir_holds(const char *const *names, int n);

#endif
