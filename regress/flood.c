/*
 * flood: connections that send random bytes, and must get silence.
 *
 *	flood PORT COUNT
 *
 * From 127.0.0.2, so that a limit by source meets nobody else.  Each sends
 * between 1 and 4096 random bytes, half of them begun as a client would, then
 * waits for the end of the connection.  Prints how many bytes came
 * back in all; exit 0 when there were none and every connection was closed.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kdf.h"

static int
dial(int port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	struct sockaddr_in from = { .sin_family = AF_INET };
	struct timeval tv = { .tv_sec = 60 };
	int fd;

	sin.sin_port = htons((uint16_t)port);
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
	if ((fd = socket(AF_INET, SOCK_STREAM, 0)) == -1 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) == -1 ||
	    bind(fd, (struct sockaddr *)&from, sizeof(from)) == -1 ||
	    connect(fd, (struct sockaddr *)&sin, sizeof(sin)) == -1) {
		perror("flood");
		exit(1);
	}
	return fd;
}

int
main(int argc, char **argv)
{
	uint8_t junk[4096], back[4096];
	long count = argc == 3 ? atol(argv[2]) : 0;
	size_t answered = 0;
	long open_ends = 0;

	if (count < 1 || signal(SIGPIPE, SIG_IGN) == SIG_ERR) {
		(void)fprintf(stderr, "usage: flood port count\n");
		return 2;
	}
	for (long i = 0; i < count; i++) {
		int fd = dial(atoi(argv[1]));
		uint16_t n;
		ssize_t r;

		crypto_random(&n, sizeof(n));
		crypto_random(junk, sizeof(junk));
		if (i % 2 == 0)		/* type CH, its length, version 1 */
			memcpy(junk, "\1\0\7\374\0\1\1\1", 8);
		(void)!write(fd, junk, (size_t)(n % sizeof(junk)) + 1);
		(void)shutdown(fd, SHUT_WR);
		while ((r = read(fd, back, sizeof(back))) > 0)
			answered += (size_t)r;
		if (r == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
			open_ends++;
		(void)close(fd);
	}
	printf("%ld connections, %zu bytes of answer\n", count, answered);
	return answered == 0 && open_ends == 0 ? 0 : 1;
}
