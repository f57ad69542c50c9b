/*
 * The connector outside: under systemd the service has no network but accepted
 * connections (PrivateNetwork=), and the one role that needs more is started by
 * systemd, in a unit of its own, when the monitor connects to connector_socket.
 * It is given its descriptors over that connection and is then led like any
 * other role.
 *
 *	monitor -> connector	one byte, with descriptors FD_CONTROL and up
 *	connector -> monitor	one byte; the kernel says whose (SCM_CREDENTIALS)
 */
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "monitor.h"

#define ANSWER_MS	10000
#define MAX_FDS		128

static int
dial(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd, on = 1;

	if (strlcpy(sun.sun_path, path, sizeof(sun.sun_path)) >=
	    sizeof(sun.sun_path))
		fatalx("connector_socket: the path is too long");
	if ((fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)) == -1)
		fatal("socket");
	if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) == -1)
		fatal("SO_PASSCRED");
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == -1) {
		log_err("connector_socket %s: %s", path, strerror(errno));
		(void)close(fd);
		return -1;
	}
	return fd;
}

static int
send_fds(int s, const int *fds, int n)
{
	union {
		struct cmsghdr	 hdr;
		char		 buf[CMSG_SPACE(sizeof(int) * MAX_FDS)];
	} u;
	uint8_t version = OUTSIDE_VERSION;
	struct iovec iov = { &version, 1 };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1,
	    .msg_control = u.buf };
	struct cmsghdr *c;

	if (n > MAX_FDS)
		fatalx("too many descriptors for the connector");
	memset(&u, 0, sizeof(u));
	mh.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)n);
	c = CMSG_FIRSTHDR(&mh);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)n);
	memcpy(CMSG_DATA(c), fds, sizeof(int) * (size_t)n);
	return sendmsg(s, &mh, MSG_NOSIGNAL) == 1 ? 0 : -1;
}

/* Who took them, as the kernel says; 0 or -1. */
static int
wait_for_answer(int s, struct ucred *uc)
{
	union {
		struct cmsghdr	 hdr;
		char		 buf[CMSG_SPACE(sizeof(struct ucred))];
	} u;
	uint8_t version;
	struct iovec iov = { &version, 1 };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1,
	    .msg_control = u.buf, .msg_controllen = sizeof(u.buf) };
	struct pollfd pfd = { s, POLLIN, 0 };
	const struct cmsghdr *c;

	if (poll(&pfd, 1, ANSWER_MS) != 1 ||
	    recvmsg(s, &mh, MSG_CMSG_CLOEXEC) != 1 ||
	    version != OUTSIDE_VERSION)
		return -1;
	c = CMSG_FIRSTHDR(&mh);
	if (c == NULL || c->cmsg_level != SOL_SOCKET ||
	    c->cmsg_type != SCM_CREDENTIALS ||
	    c->cmsg_len != CMSG_LEN(sizeof(*uc)))
		return -1;
	memcpy(uc, CMSG_DATA(c), sizeof(*uc));
	return 0;
}

static void
on_gone(uint32_t events, void *arg)
{
	(void)events;
	on_exit_of(arg, -1);
}

int
outside_spawn(struct monitor *m, struct proc *p, const int *fds, int n)
{
	const struct config_user *u = proc_user(m, p);
	struct ucred uc = { 0 };
	int s, pidfd;

	if ((s = dial(m->cfg.connector_socket)) == -1)
		return -1;
	if (send_fds(s, fds + FD_CONTROL, n - FD_CONTROL) == -1 ||
	    wait_for_answer(s, &uc) == -1) {
		log_err("nobody takes the connector's descriptors");
		(void)close(s);
		return -1;
	}
	/* It waits for the end of this connection, so the number is its own. */
	pidfd = (int)syscall(SYS_pidfd_open, uc.pid, 0);
	(void)close(s);
	if (pidfd == -1 || (geteuid() == 0 && uc.uid != u->uid)) {
		log_err("the connector's descriptors went to pid %d of uid %u",
		    uc.pid, uc.uid);
		if (pidfd != -1)
			(void)close(pidfd);
		return -1;
	}
	p->pid = uc.pid;
	p->pidfd = pidfd;
	p->gone = loop_io_new(m->loop, pidfd, EPOLLIN, on_gone, p);
	return 0;
}

void
outside_forget(struct proc *p)
{
	loop_io_free(p->gone);
	p->gone = NULL;
	if (p->pidfd != 0)
		(void)close(p->pidfd);
	p->pidfd = 0;
}
