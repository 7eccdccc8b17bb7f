#include "base/clock.h"

#include "base/date.h"

#include <string.h>
#include <time.h>

uint64_t clock_now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* The part up to the second changes rarely and is kept per thread. */
void clock_stamp(char *out)
{
	static _Thread_local time_t second = -1;
	static _Thread_local char text[DATE_SIZE];
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	if (now.tv_sec != second) {
		second = now.tv_sec;
		date_write(second, text);
	}
	long ms = now.tv_nsec / 1000000;
	memcpy(out, text, 19);
	out[19] = '.';
	out[20] = (char)('0' + ms / 100);
	out[21] = (char)('0' + ms / 10 % 10);
	out[22] = (char)('0' + ms % 10);
	memcpy(out + 23, "Z", 2);
}
