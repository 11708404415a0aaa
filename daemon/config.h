/* Settings that live in the database (xt_config), so that whoever starts its daemon has them too. */
#ifndef XT_CONFIG_H
#define XT_CONFIG_H

#include <stddef.h>
#include <stdint.h>

#include "span.h"

enum config_id {
#define SETTING(id, name, preset, min, max, doc) CONFIG_##id,
#include "settings.def"
	CONFIG_COUNT
};

struct setting {
	const char *name;
	int64_t preset; /* in force unless xt_config has another */
	int64_t min, max;
	const char *doc;
};

extern const struct setting config_settings[CONFIG_COUNT];

/* The setting of that name, or CONFIG_COUNT. */
enum config_id config_find(struct span name);

#endif
