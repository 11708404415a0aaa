#include "config.h"

const struct setting config_settings[CONFIG_COUNT] = {
#define SETTING(id, name, preset, min, max, doc) {name, preset, min, max, doc},
#include "settings.def"
};

enum config_id config_find(struct span name)
{
	for (int i = 0; i < CONFIG_COUNT; i++)
		if (span_is(name, config_settings[i].name))
			return (enum config_id)i;
	return CONFIG_COUNT;
}
