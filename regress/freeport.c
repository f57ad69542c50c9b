/*
 * Print a TCP port of 127.0.0.1 that nobody listens on: one below those that
 * the kernel gives to outgoing connections, so that none of them takes it before
 * the caller does.
 */
#include <sys/socket.h>

#include <err.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LOWEST	10000
#define PORTS	22000
#define TRIES	1000

int
main(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd;

	for (int i = 0; i < TRIES; i++) {
		sin.sin_port = htons((uint16_t)(LOWEST +
		    arc4random_uniform(PORTS)));
		if ((fd = socket(AF_INET, SOCK_STREAM, 0)) == -1)
			err(1, "socket");
		if (bind(fd, (struct sockaddr *)&sin, sizeof(sin)) == 0) {
			(void)printf("%u\n", ntohs(sin.sin_port));
			return 0;
		}
		(void)close(fd);
	}
	errx(1, "no free port");
}
