#include "chan.h"

#include <sys/queue.h>
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "log.h"

/* Messages handled in one go before other descriptors get their turn. */
#define BURST	64
/* More messages than a socket can hold: what a dead peer left in it. */
#define LAST_WORDS	1024

struct chan_out {
	STAILQ_ENTRY(chan_out)	 link;
	size_t			 n;
	int			 fd;
	uint8_t			 p[];
};

struct chan {
	struct loop		*loop;
	struct loop_io		*io;
	int			 fd;
	enum chan_kind		 kind;
	enum chan_end		 end;
	unsigned		 state;
	unsigned		 flags;
	bool			 finished;
	bool			 told;		/* on_closed was called */
	bool			 paused;
	bool			 dropping;
	enum msg_type		 drop_until;
	int			 depth;		/* callbacks under way */
	bool			 freed;		/* by a callback: free at depth 0 */
	chan_msg_cb		*on_msg;
	chan_closed_cb		*on_closed;
	void			*arg;
	struct loop_timer	*end_timer;	/* finished: tell the owner */
	STAILQ_HEAD(, chan_out)	 out;
	size_t			 queued;
	uint8_t			*rx;
	size_t			 rx_n;		/* bytes of a message in it */
};

static void on_io(uint32_t, void *);

int
chan_pair(int fd[2], bool nonblock)
{
	return socketpair(AF_UNIX,
	    SOCK_SEQPACKET | SOCK_CLOEXEC | (nonblock ? SOCK_NONBLOCK : 0), 0, fd);
}

static void
set_nonblock(int fd)
{
	int fl = fcntl(fd, F_GETFL);

	if (fl == -1 || fcntl(fd, F_SETFL, fl | O_NONBLOCK) == -1)
		fatal("fcntl");
}

struct chan *
chan_new(struct loop *l, int fd, enum chan_kind kind, enum chan_end end,
    unsigned state, unsigned flags, chan_msg_cb *on_msg,
    chan_closed_cb *on_closed, void *arg)
{
	struct chan *c;

	if ((c = calloc(1, sizeof(*c))) == NULL)
		fatal("calloc");
	c->loop = l;
	c->fd = fd;
	c->kind = kind;
	c->end = end;
	c->state = state;
	c->flags = flags;
	c->on_msg = on_msg;
	c->on_closed = on_closed;
	c->arg = arg;
	STAILQ_INIT(&c->out);
	set_nonblock(fd);
	if (l != NULL)
		c->io = loop_io_new(l, fd, EPOLLIN, on_io, c);
	return c;
}

static void
out_free(struct chan *c, struct chan_out *o)
{
	STAILQ_REMOVE_HEAD(&c->out, link);
	c->queued -= o->n;
	if (o->fd != -1)
		close(o->fd);
	OPENSSL_cleanse(o->p, o->n);
	free(o);
}

static void
destroy(struct chan *c)
{
	struct chan_out *o;

	while ((o = STAILQ_FIRST(&c->out)) != NULL)
		out_free(c, o);
	if (c->rx != NULL) {
		OPENSSL_cleanse(c->rx, MSG_MAX_BYTES + 1);
		free(c->rx);
	}
	free(c);
}

void
chan_free(struct chan *c)
{
	if (c == NULL || c->freed)
		return;
	loop_io_free(c->io);
	c->io = NULL;
	loop_timer_free(c->end_timer);
	c->end_timer = NULL;
	close(c->fd);
	c->fd = -1;
	c->finished = true;
	c->freed = true;
	if (c->depth == 0)
		destroy(c);
}

void
chan_set_state(struct chan *c, unsigned state)
{
	c->state = state;
}

unsigned
chan_state(const struct chan *c)
{
	return c->state;
}

int
chan_fd(const struct chan *c)
{
	return c->fd;
}

void *
chan_arg(const struct chan *c)
{
	return c->arg;
}

void
chan_drop_until(struct chan *c, enum msg_type type)
{
	c->dropping = true;
	c->drop_until = type;
}

void
chan_restart(struct chan *c)
{
	struct chan_out *o;

	while ((o = STAILQ_FIRST(&c->out)) != NULL)
		out_free(c, o);
	loop_timer_free(c->end_timer);
	c->end_timer = NULL;
	c->finished = c->told = c->paused = false;
	if (c->io == NULL)
		c->io = loop_io_new(c->loop, c->fd, EPOLLIN, on_io, c);
	else
		loop_io_events(c->io, EPOLLIN);
}

size_t
chan_queued(const struct chan *c)
{
	return c->queued;
}

static void
watch(struct chan *c)
{
	if (c->io != NULL)
		loop_io_events(c->io, (c->paused ? 0 : EPOLLIN) |
		    (STAILQ_EMPTY(&c->out) ? 0 : EPOLLOUT));
}

static void
tell_closed(struct chan *c, const char *why)
{
	c->finished = true;
	if (c->told || c->freed)
		return;
	c->told = true;
	loop_io_free(c->io);
	c->io = NULL;
	loop_timer_free(c->end_timer);
	c->end_timer = NULL;
	if (c->on_closed != NULL)
		c->on_closed(c, why, c->arg);
}

static int dispatch(struct chan *, int);

static void
on_end(void *arg)
{
	struct chan *c = arg;

	c->end_timer = NULL;
	c->paused = false;
	c->depth++;
	(void)dispatch(c, LAST_WORDS);
	tell_closed(c, NULL);
	if (--c->depth == 0 && c->freed)
		destroy(c);
}

/*
 * Nothing can be sent any more.  The owner is told by the loop, never from
 * inside its own chan_send(), and after what the peer has said.  The socket is
 * not shut down: on a kept link it is the successor's too.
 */
static void
finish(struct chan *c)
{
	if (!c->finished && c->loop != NULL)
		c->end_timer = loop_timer_new(c->loop, 0, on_end, c);
	c->finished = true;
}

/* 1 sent, 0 would block, -1 the peer is gone. */
static int
send_now(struct chan *c, const uint8_t *p, size_t n, int fd)
{
	union {
		struct cmsghdr	align;
		char		buf[CMSG_SPACE(sizeof(int))];
	} ctl;
	struct iovec iov = { .iov_base = (void *)(uintptr_t)p, .iov_len = n };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cm;
	ssize_t r;

	if (fd != -1) {
		memset(&ctl, 0, sizeof(ctl));
		mh.msg_control = ctl.buf;
		mh.msg_controllen = sizeof(ctl.buf);
		cm = CMSG_FIRSTHDR(&mh);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cm), &fd, sizeof(int));
	}
	do {
		if (fd != -1)
			r = sendmsg(c->fd, &mh, MSG_NOSIGNAL);
		else
			r = send(c->fd, p, n, MSG_NOSIGNAL);
	} while (r == -1 && errno == EINTR);
	if (r == -1)
		return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
	return 1;
}

static int
wait_writable(struct chan *c)
{
	struct pollfd pfd = { .fd = c->fd, .events = POLLOUT };

	while (poll(&pfd, 1, -1) == -1)
		if (errno != EINTR)
			return -1;
	return 0;
}

static int
enqueue(struct chan *c, const struct buf *b, int fd)
{
	struct chan_out *o;

	if (c->queued + b->n > CHAN_QUEUE_MAX_BYTES ||
	    (o = malloc(sizeof(*o) + b->n)) == NULL)
		return -1;
	o->n = b->n;
	o->fd = -1;
	memcpy(o->p, b->p, b->n);
	if (fd != -1 && (o->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0)) == -1) {
		free(o);
		return -1;
	}
	STAILQ_INSERT_TAIL(&c->out, o, link);
	c->queued += o->n;
	watch(c);
	return 0;
}

int
chan_send(struct chan *c, enum msg_type type, const void *body, int fd)
{
	const struct msg_desc *d = msg_desc(type);
	struct buf b = BUF_INIT(MSG_MAX_BYTES);
	int r = -1;

	if (d->kind != c->kind || (d->dir == AB) != (c->end == END_A) ||
	    d->has_fd != (fd != -1) || msg_encode(type, body, &b) == -1)
		fatalx("%s cannot be sent", d->name);
	if (c->finished)
		goto out;
	if (STAILQ_EMPTY(&c->out)) {
		while ((r = send_now(c, b.p, b.n, fd)) == 0 && c->loop == NULL)
			if (wait_writable(c) == -1)
				break;
		if (r != 0) {
			r = r == 1 ? 0 : -1;
			goto out;
		}
	}
	r = enqueue(c, &b, fd);
out:
	if (r == -1)
		finish(c);
	buf_free(&b);
	return r;
}

void
chan_pause(struct chan *c, bool pause)
{
	if (c->paused != pause && !c->finished) {
		c->paused = pause;
		watch(c);
	}
}

/*
 * Descriptors of one datagram: the first is kept in *fd, all others are closed.
 * Returns how many there were, or -1 when the kernel cut some off.
 */
static int
take_fds(struct msghdr *mh, int *fd)
{
	struct cmsghdr *cm;
	int count = 0, got;

	for (cm = CMSG_FIRSTHDR(mh); cm != NULL; cm = CMSG_NXTHDR(mh, cm)) {
		size_t n;

		if (cm->cmsg_level != SOL_SOCKET || cm->cmsg_type != SCM_RIGHTS)
			continue;
		n = (cm->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++, count++) {
			memcpy(&got, CMSG_DATA(cm) + i * sizeof(int),
			    sizeof(int));
			if (count == 0)
				*fd = got;
			else
				close(got);
		}
	}
	return (mh->msg_flags & MSG_CTRUNC) != 0 ? -1 : count;
}

/* Prompts, answers and keys come this way: none stays when it was handled. */
static void
forget(struct chan *c)
{
	if (c->rx_n > 0)
		OPENSSL_cleanse(c->rx, c->rx_n);
	c->rx_n = 0;
}

/* One datagram into c->rx: its length, 0 at end of file, -1 with errno. */
static ssize_t
receive(struct chan *c, int *fd, int *nfds)
{
	union {
		struct cmsghdr	align;
		char		buf[CMSG_SPACE(4 * sizeof(int))];
	} ctl;
	struct iovec iov;
	struct msghdr mh = { 0 };
	ssize_t n;

	*fd = -1;
	*nfds = 0;
	if (c->rx == NULL && (c->rx = malloc(MSG_MAX_BYTES + 1)) == NULL)
		fatal("malloc");
	forget(c);
	if ((c->flags & CHAN_RECV_FD) == 0) {
		do
			n = recv(c->fd, c->rx, MSG_MAX_BYTES + 1, 0);
		while (n == -1 && errno == EINTR);
		c->rx_n = n > 0 ? (size_t)n : 0;
		return n;
	}
	iov.iov_base = c->rx;
	iov.iov_len = MSG_MAX_BYTES + 1;
	mh.msg_iov = &iov;
	mh.msg_iovlen = 1;
	mh.msg_control = ctl.buf;
	mh.msg_controllen = sizeof(ctl.buf);
	do
		n = recvmsg(c->fd, &mh, MSG_CMSG_CLOEXEC);
	while (n == -1 && errno == EINTR);
	if (n >= 0)
		*nfds = take_fds(&mh, fd);
	c->rx_n = n > 0 ? (size_t)n : 0;
	return n;
}

/* Check one datagram; NULL when it may be delivered, else what is wrong. */
static const char *
check(struct chan *c, size_t n, int nfds, struct msg *m)
{
	enum msg_verdict v;

	if (n > MSG_MAX_BYTES)
		return "datagram too long";
	v = msg_decode(bytes_of(c->rx, n), c->kind, c->end, c->state, m);
	if (v != MSG_OK)
		return msg_verdict_text(v);
	if (nfds != (msg_desc(m->type)->has_fd ? 1 : 0))
		return "wrong number of descriptors";
	return NULL;
}

/* Whether nothing was read because of the end, not of an empty datagram. */
static bool
at_end(const struct chan *c)
{
	struct pollfd pfd = { .fd = c->fd, .events = POLLRDHUP };

	return poll(&pfd, 1, 0) != 0;
}

/*
 * The next message that is not dropped: 0 with *m; 1 at end of file; -1 with
 * *why, or with *why NULL when nothing is there.
 */
static int
next(struct chan *c, struct msg *m, const char **why)
{
	ssize_t n;
	int nfds;

	for (;;) {
		*why = NULL;
		n = receive(c, &m->fd, &nfds);
		if (n == 0 && nfds == 0 && at_end(c))
			return 1;
		if (n == -1) {
			if (errno == EAGAIN || errno == EWOULDBLOCK)
				return -1;
			return 1;	/* ECONNRESET: the peer is gone */
		}
		*why = check(c, (size_t)n, nfds, m);
		if (*why == NULL && (!c->dropping || m->type == c->drop_until)) {
			c->dropping = false;
			return 0;
		}
		if (m->fd != -1)
			close(m->fd);
		m->fd = -1;
		if (*why != NULL && !c->dropping)
			return -1;
	}
}

static int
dispatch(struct chan *c, int burst)
{
	const char *why;
	struct msg m;
	int r = 0;

	c->depth++;
	while (burst-- > 0 && !c->freed && !c->told && !c->paused) {
		if ((r = next(c, &m, &why)) == 0) {
			c->on_msg(c, &m, c->arg);
			forget(c);
			if (m.fd != -1)
				close(m.fd);
			continue;
		}
		if (r == 1 || why != NULL)
			tell_closed(c, why);
		break;
	}
	r = c->finished ? -1 : 0;
	if (--c->depth == 0 && c->freed)
		destroy(c);
	return r;
}

static void
flush(struct chan *c)
{
	struct chan_out *o;
	int r;

	while ((o = STAILQ_FIRST(&c->out)) != NULL) {
		if ((r = send_now(c, o->p, o->n, o->fd)) == 0)
			return;
		if (r == -1) {
			finish(c);
			return;
		}
		out_free(c, o);
	}
	watch(c);
}

static void
on_io(uint32_t events, void *arg)
{
	struct chan *c = arg;

	if ((events & EPOLLOUT) != 0)
		flush(c);
	if (c->paused && (events & (EPOLLHUP | EPOLLERR)) != 0)
		c->paused = false;	/* read what is left, then the end */
	(void)dispatch(c, BURST);
}

int
chan_drain(struct chan *c)
{
	return dispatch(c, INT32_MAX);
}

int
chan_recv(struct chan *c, struct msg *m, int timeout_ms, const char **why)
{
	struct pollfd pfd = { .fd = c->fd, .events = POLLIN };
	uint64_t end = timeout_ms < 0 ? 0 : mono_ms() + (uint64_t)timeout_ms;
	uint64_t now;
	int r, left = timeout_ms;

	for (;;) {
		r = next(c, m, why);
		if (r != -1 || *why != NULL)
			break;
		if (timeout_ms >= 0) {
			now = mono_ms();
			if (now >= end) {
				*why = "timed out";
				return -1;
			}
			left = (int)(end - now);
		}
		if (poll(&pfd, 1, left) == -1 && errno != EINTR) {
			*why = "poll failed";
			break;
		}
	}
	if (r != 0)
		finish(c);
	return r;
}
