#include "shell.h"

#include <string.h>

int shell_word(char *ret, size_t size, const char *word)
{
	static const char harmless[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
				       "_-+./,:@%";
	size_t len = strlen(word), n = 0;

	if (size < SHELL_BYTES(len))
		return -1;
	if (len > 0 && strspn(word, harmless) == len) {
		memcpy(ret, word, len + 1);
		return 0;
	}
	ret[n++] = '"';
	for (; *word; word++) {
		if (strchr("\"\\$`", *word))
			ret[n++] = '\\';
		ret[n++] = *word;
	}
	ret[n++] = '"';
	ret[n] = '\0';
	return 0;
}
