#include "attack.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

static uint32_t next;

void
net_forked(void)
{
	next = 0;
}

/* 127.1.0.0 and up, at random: the next run begins elsewhere. */
static uint32_t
new_source(void)
{
	if (next == 0) {
		crypto_random(&next, sizeof(next));
		next = next % 0x7f0000 + 0x10000;
	}
	return next++ % 0xff0000 + 0x10000;
}

int
dial_from(int port, uint32_t from)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	struct sockaddr_in sin = { .sin_family = AF_INET };
	int fd, on = 1;

	to.sin_port = htons((uint16_t)port);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	sin.sin_addr.s_addr = htonl(0x7f000000 | from);
	if ((fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) == -1 ||
	    bind(fd, (struct sockaddr *)&sin, sizeof(sin)) == -1 ||
	    connect(fd, (struct sockaddr *)&to, sizeof(to)) == -1)
		fatal("connect");
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == -1)
		fatal("setsockopt");
	return fd;
}

int
dial(int port)
{
	return dial_from(port, new_source());
}

int
listen_any(int *port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	socklen_t n = sizeof(sin);
	int fd;

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if ((fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) == -1 ||
	    bind(fd, (struct sockaddr *)&sin, sizeof(sin)) == -1 ||
	    listen(fd, 16) == -1 ||
	    getsockname(fd, (struct sockaddr *)&sin, &n) == -1)
		fatal("listen");
	*port = ntohs(sin.sin_port);
	return fd;
}

/* Wait until there is something to read; 0 after WAIT_MS. */
static int
readable(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	return poll(&pfd, 1, WAIT_MS);
}

int
take(int lfd)
{
	int fd;

	if (readable(lfd) != 1)
		fatalx("nobody connects");
	if ((fd = accept4(lfd, NULL, NULL, SOCK_CLOEXEC)) == -1)
		fatal("accept");
	return fd;
}

void
put(int fd, struct bytes b)
{
	ssize_t n;

	while (b.n > 0) {
		if ((n = send(fd, b.p, b.n, MSG_NOSIGNAL)) == -1) {
			if (errno == EPIPE || errno == ECONNRESET)
				return;
			fatal("send");
		}
		b.p += n;
		b.n -= (size_t)n;
	}
}

ssize_t
get(int fd, uint8_t *p, size_t n)
{
	size_t done = 0;
	ssize_t r;

	while (done < n) {
		if (readable(fd) != 1)
			return -1;
		r = recv(fd, p + done, n - done, 0);
		if (r == 0 || (r == -1 && errno == ECONNRESET))
			break;
		if (r == -1)
			fatal("recv");
		done += (size_t)r;
	}
	return (ssize_t)done;
}

bool
silent(int fd)
{
	uint8_t c;

	return get(fd, &c, 1) == 0;
}
