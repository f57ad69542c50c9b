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

#define ATTEMPTS_MAX		8	/* addresses at the same time */
#define STAGGER_MS		250	/* before the next one is tried as well */

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

/* Attempts to reach a server, started one after the other. */
struct attempts {
	const struct addrinfo	*next;		/* not tried yet */
	struct pollfd		 pfd[ATTEMPTS_MAX];
	const struct addrinfo	*ai[ATTEMPTS_MAX];
	nfds_t			 n;		/* under way */
	int			 error;		/* of the last that failed */
	const struct addrinfo	*failed;
};

static void
address_text(char text[NI_MAXHOST], const struct addrinfo *ai)
{
	if (ai == NULL || getnameinfo(ai->ai_addr, ai->ai_addrlen, text,
	    NI_MAXHOST, NULL, 0, NI_NUMERICHOST) != 0)
		(void)strlcpy(text, "?", NI_MAXHOST);
}

static void
attempt_failed(struct attempts *a, const struct addrinfo *ai, int error)
{
	a->failed = ai;
	a->error = error;
}

/* Start the next one; a connected socket, or -1. */
static int
attempt_start(struct attempts *a)
{
	const struct addrinfo *ai = a->next;
	char address[NI_MAXHOST];
	int fd;

	a->next = ai->ai_next;
	address_text(address, ai);
	ui_step("connecting to %s", address);
	fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
	    0);
	if (fd == -1) {
		attempt_failed(a, ai, errno);
		return -1;
	}
	set_options(fd);
	if (connect(fd, ai->ai_addr, ai->ai_addrlen) == 0)
		return fd;
	if (errno != EINPROGRESS) {
		attempt_failed(a, ai, errno);
		(void)close(fd);
		return -1;
	}
	a->ai[a->n] = ai;
	a->pfd[a->n++] = (struct pollfd){ fd, POLLOUT, 0 };
	return -1;
}

/* Number i is over; its socket if it is connected, else -1. */
static int
attempt_end(struct attempts *a, nfds_t i)
{
	socklen_t len = sizeof(int);
	int error = 0, fd = a->pfd[i].fd;

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == -1)
		error = errno;
	if (error != 0) {
		attempt_failed(a, a->ai[i], error);
		(void)close(fd);
		fd = -1;
	}
	a->n--;
	a->pfd[i] = a->pfd[a->n];
	a->ai[i] = a->ai[a->n];
	return fd;
}

/*
 * Reach one of the addresses.  Where one does not answer at once the next one is
 * tried beside it (RFC 8305, 5, in the order of getaddrinfo(3)): a host whose
 * IPv6 leads nowhere is reached by IPv4 all the same, and soon.
 */
static int
connect_any(struct attempts *a, int timeout_ms)
{
	uint64_t now = mono_ms(), end = now + (uint64_t)timeout_ms, next = now;
	uint64_t until;
	int fd = -1, n;

	while (fd == -1 && (a->n > 0 || a->next != NULL) &&
	    (now = mono_ms()) < end) {
		if (a->next != NULL && a->n < ATTEMPTS_MAX &&
		    (a->n == 0 || now >= next)) {
			fd = attempt_start(a);
			next = now + STAGGER_MS;
			continue;
		}
		until = a->next != NULL && a->n < ATTEMPTS_MAX && next < end ?
		    next : end;
		n = poll(a->pfd, a->n, (int)(until - now));
		for (nfds_t i = 0; n > 0 && fd == -1 && i < a->n; i++)
			if (a->pfd[i].revents != 0) {
				fd = attempt_end(a, i);
				break;	/* the others have moved */
			}
	}
	if (fd == -1 && a->n > 0)
		attempt_failed(a, a->ai[0], ETIMEDOUT);
	while (a->n > 0)
		(void)close(a->pfd[--a->n].fd);
	return fd;
}

int
tcp_connect(const struct cconf_server *s, int timeout_ms, char *err,
    size_t errlen)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct attempts a = { .n = 0 };
	struct addrinfo *list;
	char port[6], address[NI_MAXHOST];
	int error, fd;

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
	a.next = list;
	if ((fd = connect_any(&a, timeout_ms)) == -1) {
		address_text(address, a.failed);
		(void)snprintf(err, errlen, "%s (%s): %s", s->text, address,
		    strerror(a.error));
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
