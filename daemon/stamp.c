#include "stamp.h"

#include <string.h>
#include <time.h>

static void put_digits(char *p, int n, unsigned value)
{
	for (int i = n - 1; i >= 0; i--, value /= 10)
		p[i] = (char)('0' + value % 10);
}

int stamp_write(int64_t us, bool local, char ret[STAMP_SIZE])
{
	static _Thread_local struct {
		int64_t seconds;
		bool local, set;
		char text[STAMP_SIZE];
	} last;
	int64_t micro = us % 1000000, seconds = us / 1000000;
	struct tm tm;

	if (micro < 0) {
		micro += 1000000;
		seconds--;
	}
	if (last.set && last.seconds == seconds && last.local == local) {
		memcpy(ret, last.text, STAMP_SIZE);
		put_digits(ret + 20, 6, (unsigned)micro);
		return 0;
	}
	time_t t = (time_t)seconds;
	if (!(local ? localtime_r(&t, &tm) : gmtime_r(&t, &tm)) || tm.tm_year < 1 - 1900 ||
	    tm.tm_year > 9999 - 1900)
		return -1;
	memcpy(ret, "0000-00-00 00:00:00.000000", STAMP_SIZE);
	put_digits(ret, 4, (unsigned)(tm.tm_year + 1900));
	put_digits(ret + 5, 2, (unsigned)(tm.tm_mon + 1));
	put_digits(ret + 8, 2, (unsigned)tm.tm_mday);
	put_digits(ret + 11, 2, (unsigned)tm.tm_hour);
	put_digits(ret + 14, 2, (unsigned)tm.tm_min);
	put_digits(ret + 17, 2, (unsigned)tm.tm_sec);
	put_digits(ret + 20, 6, (unsigned)micro);
	last.seconds = seconds;
	last.local = local;
	last.set = true;
	memcpy(last.text, ret, STAMP_SIZE);
	return 0;
}
