/* xt-asset DB SIZE: puts an asset of that many bytes, of each of two runs, and reads it back, by libxetrack.
 */
#include <stdio.h>
#include <stdlib.h>

#include "xetrack.h"

static int fail(xt_client *xt, const char *what, int status)
{
	fprintf(stderr, "xt-asset: %s: %s: %s\n", what, xt_status_name(status), xt ? xt_error(xt) : "");
	return 1;
}

struct seen {
	const char *data;
	size_t at;
	bool same;
};

static bool compare(const void *data, size_t size, void *user)
{
	struct seen *s = user;

	s->same = s->same && memcmp(s->data + s->at, data, size) == 0;
	s->at += size;
	return true;
}

static bool stop(const void *data, size_t size, void *user)
{
	(void)data;
	(void)size;
	(void)user;
	return false;
}

static int read_back(xt_client *xt, const char *hash, const char *data, size_t size)
{
	struct seen seen = {.data = data, .same = true};
	void *loaded = NULL;
	size_t n = 0;

	int r = xt_asset_load(xt, hash, &loaded, &n);
	bool same = r == XT_OK && n == size && memcmp(loaded, data, size) == 0 && ((char *)loaded)[n] == '\0';
	free(loaded);
	if (!same)
		return fail(xt, "load", r);
	r = xt_asset_get(xt, hash, compare, &seen);
	if (r != XT_OK || !seen.same || seen.at != size)
		return fail(xt, "get", r);
	r = xt_asset_get(xt, hash, stop, NULL);
	return r == (size > 0 ? XT_EINTR : XT_OK) ? 0 : fail(xt, "get that stops", r);
}

static int use(xt_client *xt, const char *data, size_t size)
{
	char hash[XT_HASH_SIZE] = "", again[XT_HASH_SIZE] = "";
	xt_run *a, *b;
	uint64_t left = 99;
	void *none = NULL;

	if (xt_run_start(&a, xt, NULL) != XT_OK || xt_run_start(&b, xt, NULL) != XT_OK)
		return fail(xt, "run", -1);
	int r = xt_asset_put(a, "model", data, size, hash);
	if (r != XT_OK)
		return fail(xt, "put", r);
	r = xt_asset_put(b, "model", data, size, again);
	if (r != XT_OK || strcmp(hash, again) != 0)
		return fail(xt, "put again", r);
	if (xt_log(a, XT("model", hash)) != XT_OK || read_back(xt, hash, data, size))
		return 1;
	if (xt_asset_put(a, "", data, size, hash) != XT_EINVAL ||
	    xt_asset_put(a, "x", NULL, 1, hash) != XT_EINVAL ||
	    xt_asset_put_file(a, "x", "/dev/null", NULL, hash) != XT_EINVAL ||
	    xt_asset_load(xt, "abc", &none, &size) != XT_EINVAL)
		return fail(xt, "what makes no sense was done", 0);
	r = xt_asset_delete(xt, hash, NULL, NULL, false, &left);
	if (r != XT_EREQUEST || strcmp(xt_error_code(xt), "asset_in_use") != 0)
		return fail(xt, "delete of what two need", r);
	r = xt_asset_delete(xt, hash, xt_run_id(a), "model", false, &left);
	if (r != XT_OK || left != 1)
		return fail(xt, "delete of one's", r);
	r = xt_asset_delete(xt, hash, NULL, NULL, false, &left);
	if (r != XT_OK || left != 0)
		return fail(xt, "delete of the other's", r);
	r = xt_asset_load(xt, hash, &none, &size);
	if (r != XT_EREQUEST || strcmp(xt_error_code(xt), "no_such_asset") != 0)
		return fail(xt, "load of what is deleted", r);
	return 0;
}

int main(int argc, char **argv)
{
	xt_client *xt = NULL;

	if (argc != 3)
		return 2;
	size_t size = (size_t)atol(argv[2]);
	char *data = malloc(size + 1);
	unsigned x = 1;
	for (size_t i = 0; data && i < size; i++) {
		x = x * 1103515245 + 12345;
		data[i] = (char)(x >> 16);
	}
	int r = xt_open(&xt, argv[1], NULL);
	int failed = !data || r != XT_OK ? fail(xt, "open", r) : use(xt, data, size);
	free(data);
	return xt_close(xt) == XT_OK ? failed : 1;
}
