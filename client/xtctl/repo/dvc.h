/*
 * What a .dvc file points to: the files and directories that DVC keeps in the place of git. The program dvc
 * is not needed, and nothing is written.
 */
#ifndef XT_DVC_H
#define XT_DVC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One of the outputs that it names. */
struct dvc_out {
	const char *name; /* as the file has it */
	const char *path; /* where it should lie, from where the .dvc file was named */
	int64_t size;	  /* bytes when it was recorded; -1: it does not say */
	bool directory;	  /* as it was recorded */
};

typedef void dvc_seen(void *data, const struct dvc_out *out);

/*
 * Reads a .dvc file and shows its outputs, but for those that lie on other machines (s3://…). 0, or -1 with a
 * sentence in `error`. A file that has none, or is no YAML at all, has no outputs.
 */
int dvc_read(const char *file, dvc_seen *seen, void *data, char *error, size_t size)
	__attribute__((warn_unused_result));

/* The same of its text, n bytes, which a NUL ends too. file: its path. 0, or -1 when out of memory. */
int dvc_parse(const char *file, const char *text, size_t n, dvc_seen *seen, void *data)
	__attribute__((warn_unused_result));

#endif
