/*
 * relay: what somebody on the network sees of connections.  It passes each
 * connection on to 127.0.0.1:TARGET and says what it saw: a line
 *
 *	NUMBER DIRECTION MS BYTES
 *
 * for each piece that it read, NUMBER counting connections from 1, DIRECTION c
 * (from the client) or s (from the server), MS since some moment; and a last one
 * with DIRECTION e when the connection has ended.
 *
 *	relay TARGET [PORT [CUTFILE]]
 *
 * A connection that begins while CUTFILE is there, with a line DIRECTION BYTES in
 * it, is cut when so many bytes have passed in that direction; the file is removed.
 *
 * Prints "listening PORT" when it is ready; SIGTERM ends it.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bytes.h"
#include "log.h"
#include "loop.h"

#define CONNS_MAX	64
#define PIECE		65536

struct pair {
	int		 fd[2];		/* client, server; -1: free */
	unsigned	 number;
	size_t		 left[2];	/* from client, server: until the cut */
};

static struct pair pairs[CONNS_MAX];
static unsigned last_number;
static struct sockaddr_in target;
static const char *cutfile;

static void
saw(const struct pair *p, char direction, size_t n)
{
	if (printf("%u %c %ju %zu\n", p->number, direction,
	    (uintmax_t)mono_ms(), n) < 0 || fflush(stdout) != 0)
		fatal("stdout");
}

static void
end(struct pair *p)
{
	saw(p, 'e', 0);
	(void)close(p->fd[0]);
	(void)close(p->fd[1]);
	p->fd[0] = p->fd[1] = -1;
}

/* Where the next connection is cut. */
static void
take_cut(struct pair *p)
{
	char direction = 0;
	size_t n = 0;
	FILE *f;

	p->left[0] = p->left[1] = SIZE_MAX;
	if (cutfile == NULL || (f = fopen(cutfile, "r")) == NULL)
		return;
	if (fscanf(f, "%c %zu", &direction, &n) == 2)
		p->left[direction == 'c' ? 0 : 1] = n;
	(void)fclose(f);
	(void)unlink(cutfile);
}

static void
begin(int fd)
{
	static const int on = 1;
	struct pair *p = pairs;

	while (p < pairs + CONNS_MAX && p->fd[0] != -1)
		p++;
	if (p == pairs + CONNS_MAX) {
		(void)close(fd);
		return;
	}
	p->number = ++last_number;
	take_cut(p);
	p->fd[0] = fd;
	p->fd[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (p->fd[1] == -1)
		fatal("socket");
	for (int i = 0; i < 2; i++)
		if (setsockopt(p->fd[i], IPPROTO_TCP, TCP_NODELAY, &on,
		    sizeof(on)) == -1)
			fatal("TCP_NODELAY");
	if (connect(p->fd[1], (struct sockaddr *)&target,
	    sizeof(target)) == -1)
		end(p);
}

/* One piece from side to the other. */
static void
pass(struct pair *p, int side)
{
	static uint8_t buf[PIECE];
	size_t done = 0;
	ssize_t n, w;

	n = read(p->fd[side], buf, p->left[side] < sizeof(buf) ?
	    p->left[side] : sizeof(buf));
	if (n <= 0) {
		end(p);
		return;
	}
	saw(p, side == 0 ? 'c' : 's', (size_t)n);
	for (; done < (size_t)n; done += (size_t)w) {
		w = write(p->fd[1 - side], buf + done, (size_t)n - done);
		if (w == -1) {
			end(p);
			return;
		}
	}
	p->left[side] -= p->left[side] != SIZE_MAX ? (size_t)n : 0;
	if (p->left[side] == 0)
		end(p);
}

static void
serve(int lfd)
{
	struct pollfd pfd[1 + 2 * CONNS_MAX];
	int fd;

	for (;;) {
		pfd[0] = (struct pollfd){ .fd = lfd, .events = POLLIN };
		for (int i = 0; i < 2 * CONNS_MAX; i++)
			pfd[1 + i] = (struct pollfd){
			    .fd = pairs[i / 2].fd[i % 2], .events = POLLIN };
		if (poll(pfd, 1 + 2 * CONNS_MAX, -1) == -1)
			fatal("poll");
		for (int i = 0; i < 2 * CONNS_MAX; i++)
			if (pfd[1 + i].revents != 0 &&
			    pairs[i / 2].fd[i % 2] == pfd[1 + i].fd)
				pass(&pairs[i / 2], i % 2);
		if (pfd[0].revents != 0 && (fd = accept(lfd, NULL, NULL)) != -1)
			begin(fd);
	}
}

int
main(int argc, char **argv)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	socklen_t len = sizeof(sin);
	const int on = 1;
	int fd;

	log_set_name("relay");
	if (argc < 2 || argc > 4)
		fatalx("usage: relay target-port [port [cutfile]]");
	cutfile = argc == 4 ? argv[3] : NULL;
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		fatal("signal");
	for (int i = 0; i < CONNS_MAX; i++)
		pairs[i].fd[0] = pairs[i].fd[1] = -1;
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	target = sin;
	target.sin_port = htons((uint16_t)strtonum(argv[1], 1, 65535, NULL));
	if (argc > 2)
		sin.sin_port = htons((uint16_t)strtonum(argv[2], 1, 65535,
		    NULL));
	if ((fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) == -1 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == -1 ||
	    bind(fd, (struct sockaddr *)&sin, sizeof(sin)) == -1 ||
	    listen(fd, CONNS_MAX) == -1 ||
	    getsockname(fd, (struct sockaddr *)&sin, &len) == -1)
		fatal("listen");
	printf("listening %u\n", ntohs(sin.sin_port));
	if (fflush(stdout) != 0)
		fatal("stdout");
	serve(fd);
}
