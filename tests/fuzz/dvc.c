/* Files of DVC: whatever they are, what is shown of them has a name and a path that ends with it. */
#include <assert.h>
#include <string.h>

#include "dvc.h"
#include "fuzz.h"

static void see(void *data, const struct dvc_out *out)
{
	size_t name = strlen(out->name), path = strlen(out->path);

	assert(name > 0 && path >= name && strcmp(out->path + path - name, out->name) == 0);
	assert(!strchr(out->name, '\n') && !strstr(out->name, "://"));
	(*(unsigned *)data)++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned here = 0, there = 0;

	if (size > 1 << 16)
		return 0;
	if (dvc_parse("data.dvc", (const char *)data, size, see, &here) == 0 &&
	    dvc_parse("some/where/data.dvc", (const char *)data, size, see, &there) == 0)
		assert(here == there);
	return 0;
}
