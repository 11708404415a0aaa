#include "ident.h"

#include <stdio.h>
#include <strings.h>
#include <sys/random.h>
#include <utf8proc.h>

static bool stays(utf8proc_int32_t c)
{
	if (c < 0x80)
		return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
	switch (utf8proc_category(c)) {
	case UTF8PROC_CATEGORY_LU:
	case UTF8PROC_CATEGORY_LL:
	case UTF8PROC_CATEGORY_LT:
	case UTF8PROC_CATEGORY_LM:
	case UTF8PROC_CATEGORY_LO:
	case UTF8PROC_CATEGORY_MN: /* marks belong to the letters of many scripts */
	case UTF8PROC_CATEGORY_MC:
	case UTF8PROC_CATEGORY_ND:
		return true;
	default:
		return false;
	}
}

int ident_column(struct span key, char ret[IDENT_SIZE], struct xt_err *err)
{
	size_t at = 0, chars = 0, out = 0;

	if (key.len == 0)
		return xt_err_set(err, XT_E_bad_name, NULL, "a key is empty; give it a name");
	if (key.len > XT_MAX_KEY)
		return xt_err_set(err, XT_E_bad_name, NULL, "a key has %zu bytes, at most %d are allowed",
				  key.len, XT_MAX_KEY);
	if (key.data[0] >= '0' && key.data[0] <= '9') {
		ret[out++] = '_';
		chars++;
	}
	while (at < key.len && chars < XT_MAX_NAME) {
		utf8proc_int32_t c;
		utf8proc_ssize_t n = utf8proc_iterate(key.data + at, (utf8proc_ssize_t)(key.len - at), &c);
		if (n <= 0)
			return xt_err_set(err, XT_E_bad_utf8, NULL, "a key is not valid UTF-8");
		if (stays(c)) {
			memcpy(ret + out, key.data + at, (size_t)n);
			out += (size_t)n;
		} else {
			ret[out++] = '_';
		}
		at += (size_t)n;
		chars++;
	}
	ret[out] = '\0';
	if (strcasecmp(ret, "rowid") == 0 || strcasecmp(ret, "oid") == 0 || strcasecmp(ret, "_rowid_") == 0) {
		ret[out++] = '_';
		ret[out] = '\0';
	}
	return 0;
}

int ident_table(struct span name, char ret[IDENT_SIZE], struct xt_err *err)
{
	size_t at = 0, chars = 0;

	while (at < name.len) {
		utf8proc_int32_t c;
		utf8proc_ssize_t n = utf8proc_iterate(name.data + at, (utf8proc_ssize_t)(name.len - at), &c);
		if (n <= 0 || c < 0x20 || c == 0x7f)
			return xt_err_set(err, XT_E_bad_name, "table",
					  "a table's name may not hold control characters");
		at += (size_t)n;
		chars++;
	}
	if (chars == 0 || chars > XT_MAX_NAME)
		return xt_err_set(err, XT_E_bad_name, "table",
				  "a table's name has 1 to %d characters, not %zu", XT_MAX_NAME, chars);
	memcpy(ret, name.data, name.len);
	ret[name.len] = '\0';
	if (strncasecmp(ret, "xt_", 3) == 0 || strncasecmp(ret, "sqlite_", 7) == 0)
		return xt_err_set(err, XT_E_bad_name, "table",
				  "table '%s' is reserved: names that start with xt_ or sqlite_ are internal",
				  ret);
	return 0;
}

void ident_suffix(const char *name, unsigned n, char ret[IDENT_SIZE])
{
	char tail[16];
	size_t tail_len = (size_t)snprintf(tail, sizeof(tail), "_%u", n);
	size_t at = 0, chars = 0;

	while (name[at] && chars < XT_MAX_NAME - tail_len) {
		at++;
		while (((unsigned char)name[at] & 0xc0) == 0x80)
			at++;
		chars++;
	}
	memcpy(ret, name, at);
	memcpy(ret + at, tail, tail_len + 1);
}

static uint8_t fold(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

bool ident_same(struct span a, struct span b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		if (fold(a.data[i]) != fold(b.data[i]))
			return false;
	return true;
}

uint32_t ident_hash(struct span name)
{
	uint32_t h = 2166136261u; /* FNV-1a, as span_hash() */

	for (size_t i = 0; i < name.len; i++)
		h = (h ^ fold(name.data[i])) * 16777619u;
	return h;
}

void ident_quote(struct buf *out, const char *name)
{
	buf_add_str(out, "\"");
	for (const char *p = name; *p; p++) {
		if (*p == '"')
			buf_add_str(out, "\"");
		buf_add(out, p, 1);
	}
	buf_add_str(out, "\"");
}

static const char *const first_words[] = {
	"amber",   "ancient", "autumn",	  "azure",   "bold",	"brave",  "bright",  "calm",
	"clever",  "coral",   "cosmic",	  "crimson", "curious", "dapper", "daring",  "dusty",
	"eager",   "early",   "electric", "emerald", "fancy",	"fierce", "floral",  "frosty",
	"gentle",  "gilded",  "golden",	  "grand",   "happy",	"hidden", "humble",  "icy",
	"indigo",  "ivory",   "jolly",	  "keen",    "kind",	"lively", "lucky",   "lunar",
	"mellow",  "merry",   "mighty",	  "misty",   "noble",	"olive",  "patient", "placid",
	"polar",   "proud",   "purple",	  "quick",   "quiet",	"rapid",  "rustic",  "sage",
	"scarlet", "silent",  "silver",	  "solar",   "steady",	"sunny",  "velvet",  "vivid",
};
static const char *const second_words[] = {
	"acorn",  "badger",  "beacon",	"birch",   "bison",    "breeze",  "brook",  "canyon",
	"cedar",  "cliff",   "cloud",	"comet",   "condor",   "coyote",  "crane",  "delta",
	"desert", "dolphin", "eagle",	"ember",   "falcon",   "fern",	  "finch",  "fjord",
	"forest", "fox",     "garden",	"glacier", "grove",    "harbor",  "hawk",   "heron",
	"island", "jaguar",  "juniper", "lagoon",  "lake",     "lark",	  "lion",   "lynx",
	"maple",  "meadow",  "meteor",	"moose",   "mountain", "oasis",	  "ocean",  "orchid",
	"otter",  "owl",     "panda",	"pebble",  "pine",     "prairie", "quartz", "raven",
	"reef",	  "river",   "sparrow", "summit",  "tiger",    "tundra",  "valley", "willow",
};

void ident_run_name(char ret[64])
{
	uint32_t r[3];

	if (getrandom(r, sizeof(r), 0) != sizeof(r))
		r[0] = r[1] = r[2] = 0; /* the caller checks that the name is free and asks again */
	snprintf(ret, 64, "%s-%s-%04u", first_words[r[0] % 64], second_words[r[1] % 64], r[2] % 10000);
}
