/* fuzz-TARGET DIRECTORY: gives each file of the directory to the target, in order of name. No file at all
 * is a failure: a test without inputs tests nothing. */
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#define MOST_BYTES 65536 /* of a committed input */

static int is_input(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

/* One file, in memory of exactly its size, so that a sanitizer sees a read behind its end. */
static int replay(const char *path)
{
	static uint8_t bytes[MOST_BYTES];
	FILE *f = fopen(path, "rb");

	if (!f) {
		perror(path);
		return -1;
	}
	size_t n = fread(bytes, 1, sizeof(bytes), f);
	fclose(f);
	uint8_t *exact = malloc(n ? n : 1);
	if (!exact || n == sizeof(bytes)) {
		fprintf(stderr, "%s: too large\n", path);
		free(exact);
		return -1;
	}
	memcpy(exact, bytes, n);
	printf("%s\n", path); /* the last one that is named is the one that failed */
	fflush(stdout);
	LLVMFuzzerTestOneInput(exact, n);
	free(exact);
	return 0;
}

int main(int argc, char **argv)
{
	struct dirent **names = NULL;
	char path[4096];
	int r = 0;

	if (argc != 2) {
		fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
		return 2;
	}
	int n = scandir(argv[1], &names, is_input, alphasort);
	if (n <= 0)
		fprintf(stderr, "%s: no inputs\n", argv[1]);
	for (int i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s/%s", argv[1], names[i]->d_name);
		if (r == 0)
			r = replay(path);
		free(names[i]);
	}
	free(names);
	return n > 0 && r == 0 ? 0 : 1;
}
