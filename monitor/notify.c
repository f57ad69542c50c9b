#include "notify.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"

#define FIRST_FD	3		/* SD_LISTEN_FDS_START */
#define TEXT_MAX	1024

static struct sockaddr_un addr;
static socklen_t addr_len;
static int sock = -1;
static uint64_t watchdog_ms;

/* A number of an environment variable, or 0; the variable goes. */
static uint64_t
take_number(const char *name, uint64_t max)
{
	const char *s = getenv(name), *e;
	long long n;

	if (s == NULL)
		return 0;
	n = strtonum(s, 0, (long long)max, &e);
	if (e != NULL)
		log_warn("%s: %s", name, e);
	(void)unsetenv(name);
	return e == NULL ? (uint64_t)n : 0;
}

void
notify_init(void)
{
	const char *s = getenv("NOTIFY_SOCKET");
	uint64_t us = take_number("WATCHDOG_USEC", UINT32_MAX * 1000ull);
	uint64_t pid = take_number("WATCHDOG_PID", INT32_MAX);
	size_t n;

	if (pid == 0 || pid == (uint64_t)getpid())
		watchdog_ms = us / 1000;
	if (s == NULL)
		return;
	n = strlen(s);
	if ((s[0] != '/' && s[0] != '@') || n < 2 ||
	    n >= sizeof(addr.sun_path)) {
		log_warn("NOTIFY_SOCKET is not a socket's path");
		return;
	}
	addr.sun_family = AF_UNIX;
	memcpy(addr.sun_path, s, n);
	addr_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
	if (s[0] == '@')
		addr.sun_path[0] = '\0';	/* an abstract name */
	else
		addr_len++;
	if ((sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    0)) == -1)
		fatal("socket");
	(void)unsetenv("NOTIFY_SOCKET");
}

void
notify(const char *fmt, ...)
{
	char text[TEXT_MAX];
	va_list ap;
	int n;

	if (sock == -1)
		return;
	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(text)) {
		log_warn("too long for the service manager");
		return;
	}
	/* By name each time: a manager that starts anew makes a new socket. */
	if (sendto(sock, text, (size_t)n, MSG_NOSIGNAL,
	    (struct sockaddr *)&addr, addr_len) == -1)
		log_warn("the service manager cannot be told: %s",
		    strerror(errno));
}

uint64_t
notify_watchdog_ms(void)
{
	return watchdog_ms;
}

int
activation_take(int *fds, int max, int min_fd)
{
	uint64_t pid = take_number("LISTEN_PID", INT32_MAX);
	uint64_t n = take_number("LISTEN_FDS", 1024);

	(void)unsetenv("LISTEN_FDNAMES");
	if (pid != (uint64_t)getpid())
		n = 0;
	if (n > (uint64_t)max)
		fatalx("%llu sockets were passed; at most %d can be used",
		    (unsigned long long)n, max);
	closefrom(FIRST_FD + (int)n);
	for (int i = 0; i < (int)n; i++)
		if ((fds[i] = fcntl(FIRST_FD + i, F_DUPFD_CLOEXEC,
		    min_fd)) == -1)
			fatal("a socket that was said to be passed");
	for (int i = 0; i < (int)n; i++)
		(void)close(FIRST_FD + i);
	return (int)n;
}
