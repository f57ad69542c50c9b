#include "outside.h"

#include <sys/socket.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "role.h"

#define SOCKET_FD	3	/* SD_LISTEN_FDS_START */
#define MAX_FDS		64
#define HIGH_FD		100	/* above all that a connector uses */

/* Take the descriptors out of one message; how many there are. */
static int
take(int s, int fds[MAX_FDS])
{
	union {
		struct cmsghdr	 hdr;
		char		 buf[CMSG_SPACE(sizeof(int) * MAX_FDS)];
	} u;
	uint8_t version;
	struct iovec iov = { &version, 1 };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1,
	    .msg_control = u.buf, .msg_controllen = sizeof(u.buf) };
	const struct cmsghdr *c;
	size_t n;

	if (recvmsg(s, &mh, MSG_CMSG_CLOEXEC) != 1 ||
	    version != OUTSIDE_VERSION || (mh.msg_flags & MSG_CTRUNC) != 0 ||
	    (c = CMSG_FIRSTHDR(&mh)) == NULL || c->cmsg_level != SOL_SOCKET ||
	    c->cmsg_type != SCM_RIGHTS)
		fatalx("the monitor passed no descriptors");
	n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	memcpy(fds, CMSG_DATA(c), n * sizeof(int));
	return (int)n;
}

void
outside_receive(char **argv)
{
	char *envp[3] = { role_title_room, role_wiping, NULL };
	uint8_t version = OUTSIDE_VERSION;
	const char *pid = getenv("LISTEN_PID"), *n = getenv("LISTEN_FDS");
	char mine[16], end;
	int fds[MAX_FDS], nfds, s;

	(void)snprintf(mine, sizeof(mine), "%d", getpid());
	if (pid == NULL || n == NULL || strcmp(pid, mine) != 0 ||
	    strcmp(n, "1") != 0)
		return;
	nfds = take(SOCKET_FD, fds);
	if ((s = fcntl(SOCKET_FD, F_DUPFD_CLOEXEC, HIGH_FD + MAX_FDS)) == -1)
		fatal("fcntl");
	for (int i = 0; i < nfds; i++)
		if ((fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, HIGH_FD)) == -1)
			fatal("fcntl");
	for (int i = 0; i < nfds; i++)
		if (dup2(fds[i], FD_CONTROL + i) == -1)
			fatal("dup2");
	/* The monitor notes whose process this is while it waits here. */
	if (send(s, &version, 1, MSG_NOSIGNAL) != 1 || read(s, &end, 1) != 0)
		fatalx("the monitor is gone");
	if (close_range((unsigned)(FD_CONTROL + nfds), ~0u, 0) == -1)
		fatal("close_range");
	/* Once more, as the monitor would have executed it. */
	(void)execve(argv[0], argv, envp);
	fatal("%s", argv[0]);
}
