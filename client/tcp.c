#include "tcp.h"

#include <sys/socket.h>

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "loop.h"
#include "ui.h"

#define KEEPALIVE_IDLE_S	30
#define KEEPALIVE_EVERY_S	10
#define KEEPALIVE_TRIES		3
#define UNACKNOWLEDGED_MS	60000

/* Wait for events on fd; 0, or -1 with errno. */
static int
wait_for(int fd, short events, uint64_t deadline_ms)
{
	struct pollfd pfd = { fd, events, 0 };
	uint64_t now;
	int n;

	do {
		now = mono_ms();
		n = now >= deadline_ms ? 0 :
		    poll(&pfd, 1, (int)(deadline_ms - now));
	} while (n == -1 && errno == EINTR);
	if (n == 0)
		errno = ETIMEDOUT;
	return n == 1 ? 0 : -1;
}

/* A peer that has vanished is to be noticed while a long answer is awaited. */
static void
set_options(int fd)
{
	static const struct {
		int level, name, value;
	} opts[] = {
		{ IPPROTO_TCP, TCP_NODELAY, 1 },
		{ SOL_SOCKET, SO_KEEPALIVE, 1 },
		{ IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S },
		{ IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_EVERY_S },
		{ IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_TRIES },
		{ IPPROTO_TCP, TCP_USER_TIMEOUT, UNACKNOWLEDGED_MS }
	};

	for (size_t i = 0; i < sizeof(opts) / sizeof(opts[0]); i++)
		if (setsockopt(fd, opts[i].level, opts[i].name,
		    &opts[i].value, sizeof(opts[i].value)) == -1)
			ui_step("socket option %d: %s", opts[i].name,
			    strerror(errno));
}

static int
connect_one(const struct addrinfo *ai, int timeout_ms)
{
	socklen_t len = sizeof(int);
	int fd, error = 0, saved;

	fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
	    0);
	if (fd == -1)
		return -1;
	set_options(fd);
	if (connect(fd, ai->ai_addr, ai->ai_addrlen) == 0)
		return fd;
	if (errno != EINPROGRESS || wait_for(fd, POLLOUT,
	    mono_ms() + (uint64_t)timeout_ms) == -1)
		goto fail;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == -1)
		goto fail;
	if (error == 0)
		return fd;
	errno = error;
fail:
	saved = errno;
	(void)close(fd);
	errno = saved;
	return -1;
}

int
tcp_connect(const struct cconf_server *s, int timeout_ms, char *err,
    size_t errlen)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *list, *ai;
	char port[6], address[NI_MAXHOST];
	int error, fd = -1;

	if (s->numeric)
		hints.ai_flags = AI_NUMERICHOST;
	(void)snprintf(port, sizeof(port), "%u", s->port);
	error = getaddrinfo(s->host, port, &hints, &list);
	if (error != 0) {
		(void)snprintf(err, errlen, "%s: %s", s->host,
		    error == EAI_SYSTEM ? strerror(errno) :
		    gai_strerror(error));
		return -1;
	}
	for (ai = list; ai != NULL && fd == -1; ai = ai->ai_next) {
		if (getnameinfo(ai->ai_addr, ai->ai_addrlen, address,
		    sizeof(address), NULL, 0, NI_NUMERICHOST) != 0)
			(void)snprintf(address, sizeof(address), "?");
		ui_step("connecting to %s, port %s", address, port);
		fd = connect_one(ai, timeout_ms);
		if (fd == -1)
			(void)snprintf(err, errlen, "%s (%s): %s", s->text,
			    address, strerror(errno));
	}
	freeaddrinfo(list);
	return fd;
}

int
tcp_read(int fd, void *p, size_t n, size_t *got, uint64_t deadline_ms)
{
	ssize_t r;

	*got = 0;
	while (*got < n) {
		r = read(fd, (uint8_t *)p + *got, n - *got);
		if (r == 0)
			return 1;
		if (r > 0)
			*got += (size_t)r;
		else if (errno == EAGAIN) {
			if (wait_for(fd, POLLIN, deadline_ms) == -1)
				return -1;
		} else if (errno != EINTR)
			return -1;
	}
	return 0;
}

int
tcp_write(int fd, struct bytes b, uint64_t deadline_ms)
{
	ssize_t r;

	while (b.n > 0) {
		r = send(fd, b.p, b.n, MSG_NOSIGNAL);
		if (r >= 0) {
			b.p += r;
			b.n -= (size_t)r;
		} else if (errno == EAGAIN) {
			if (wait_for(fd, POLLOUT, deadline_ms) == -1)
				return -1;
		} else if (errno != EINTR)
			return -1;
	}
	return 0;
}
