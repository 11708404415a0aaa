#include "gitlib.h"

#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

static const struct {
	const char *name;
	size_t offset; /* of its member in struct gitlib */
} symbols[] = {
#define SYMBOL(name) {#name, offsetof(struct gitlib, name)},
	GITLIB_FUNCTIONS(SYMBOL)
#undef SYMBOL
};

const char *gitlib_load(struct gitlib *ret)
{
	void *library = dlopen(XT_LIBGIT2, RTLD_NOW | RTLD_LOCAL);

	if (!library)
		return dlerror();
	for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
		void *found = dlsym(library, symbols[i].name);
		if (!found)
			return dlerror();
		memcpy((char *)ret + symbols[i].offset, &found, sizeof(found));
	}
	return NULL;
}
