#include "spinner.h"

#include <sys/timerfd.h>

#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "log.h"
#include "ui.h"

#define FIRST_MS	400	/* an answer that comes sooner needs no sign */
#define TURN_MS		100
#define ERASE		"\r\033[K"

static int fd = -1;
static unsigned ticks;		/* since the start */
static bool shown;

void
spinner_start(void)
{
	const struct itimerspec when = {
		.it_value.tv_nsec = TURN_MS * 1000000L,
		.it_interval.tv_nsec = TURN_MS * 1000000L
	};

	ticks = 0;
	shown = false;
	if (!ui_fancy_err())
		return;
	fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (fd == -1 || timerfd_settime(fd, 0, &when, NULL) == -1)
		fatal("timer");
}

int
spinner_fd(void)
{
	return fd;
}

void
spinner_turn(void)
{
	static const char *const marks[] = { "\xe2\xa0\x8b", "\xe2\xa0\x99",
	    "\xe2\xa0\xb9", "\xe2\xa0\xb8", "\xe2\xa0\xbc", "\xe2\xa0\xb4",
	    "\xe2\xa0\xa6", "\xe2\xa0\xa7", "\xe2\xa0\x87", "\xe2\xa0\x8f" };
	char line[64];
	uint64_t n;

	if (read(fd, &n, sizeof(n)) != (ssize_t)sizeof(n))
		return;
	ticks += (unsigned)n;
	if (ticks * TURN_MS < FIRST_MS)
		return;
	(void)snprintf(line, sizeof(line), ERASE "%s %u s", marks[ticks %
	    (sizeof(marks) / sizeof(marks[0]))], ticks * TURN_MS / 1000);
	shown = true;
	/* When standard error is gone there is nobody who waits. */
	(void)ui_write(STDERR_FILENO, bytes_str(line));
}

void
spinner_stop(void)
{
	if (fd == -1)
		return;
	if (shown)
		(void)ui_write(STDERR_FILENO, bytes_str(ERASE));
	(void)close(fd);
	fd = -1;
}
