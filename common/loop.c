#include "loop.h"

#include <sys/queue.h>

#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "log.h"

#define ROUND_EVENTS	64

struct loop_io {
	TAILQ_ENTRY(loop_io)	 link;
	struct loop		*loop;
	int			 fd;
	bool			 dead;
	loop_io_cb		*cb;
	void			*arg;
};

struct loop_timer {
	TAILQ_ENTRY(loop_timer)	 link;
	struct loop		*loop;
	uint64_t		 at_ms;
	loop_timer_cb		*cb;
	void			*arg;
};

struct loop {
	int				 epfd;
	bool				 stop;
	TAILQ_HEAD(, loop_timer)	 timers;	/* soonest first */
	TAILQ_HEAD(, loop_io)		 dead;		/* freed in this round */
	loop_timer_cb			*idle;
	void				*idle_arg;
};

uint64_t
mono_ms(void)
{
	struct timespec ts;

	if (clock_gettime(CLOCK_MONOTONIC, &ts) == -1)
		fatal("clock_gettime");
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

uint64_t
wall_us(void)
{
	struct timespec ts;

	if (clock_gettime(CLOCK_REALTIME, &ts) == -1)
		fatal("clock_gettime");
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

struct loop *
loop_new(void)
{
	struct loop *l;

	if ((l = calloc(1, sizeof(*l))) == NULL)
		fatal("calloc");
	if ((l->epfd = epoll_create1(EPOLL_CLOEXEC)) == -1)
		fatal("epoll_create1");
	TAILQ_INIT(&l->timers);
	TAILQ_INIT(&l->dead);
	return l;
}

static void
bury(struct loop *l)
{
	struct loop_io *io;

	while ((io = TAILQ_FIRST(&l->dead)) != NULL) {
		TAILQ_REMOVE(&l->dead, io, link);
		free(io);
	}
}

void
loop_free(struct loop *l)
{
	struct loop_timer *t;

	while ((t = TAILQ_FIRST(&l->timers)) != NULL)
		loop_timer_free(t);
	bury(l);
	close(l->epfd);
	free(l);
}

struct loop_io *
loop_io_new(struct loop *l, int fd, uint32_t events, loop_io_cb *cb, void *arg)
{
	struct epoll_event ev = { .events = events };
	struct loop_io *io;

	if ((io = calloc(1, sizeof(*io))) == NULL)
		fatal("calloc");
	io->loop = l;
	io->fd = fd;
	io->cb = cb;
	io->arg = arg;
	ev.data.ptr = io;
	if (epoll_ctl(l->epfd, EPOLL_CTL_ADD, fd, &ev) == -1)
		fatal("epoll_ctl add");
	return io;
}

void
loop_io_events(struct loop_io *io, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = io };

	if (epoll_ctl(io->loop->epfd, EPOLL_CTL_MOD, io->fd, &ev) == -1)
		fatal("epoll_ctl mod");
}

void
loop_io_free(struct loop_io *io)
{
	if (io == NULL)
		return;
	if (epoll_ctl(io->loop->epfd, EPOLL_CTL_DEL, io->fd, NULL) == -1)
		fatal("epoll_ctl del");
	io->dead = true;
	TAILQ_INSERT_TAIL(&io->loop->dead, io, link);
}

struct loop_timer *
loop_timer_new(struct loop *l, uint64_t ms, loop_timer_cb *cb, void *arg)
{
	struct loop_timer *t, *o;

	if ((t = calloc(1, sizeof(*t))) == NULL)
		fatal("calloc");
	t->loop = l;
	t->at_ms = mono_ms() + ms;
	t->cb = cb;
	t->arg = arg;
	TAILQ_FOREACH(o, &l->timers, link)
		if (o->at_ms > t->at_ms)
			break;
	if (o != NULL)
		TAILQ_INSERT_BEFORE(o, t, link);
	else
		TAILQ_INSERT_TAIL(&l->timers, t, link);
	return t;
}

void
loop_timer_free(struct loop_timer *t)
{
	if (t == NULL)
		return;
	TAILQ_REMOVE(&t->loop->timers, t, link);
	free(t);
}

void
loop_set_idle(struct loop *l, loop_timer_cb *cb, void *arg)
{
	l->idle = cb;
	l->idle_arg = arg;
}

/* Run what is due. */
static void
run_timers(struct loop *l)
{
	struct loop_timer *t;
	uint64_t now = mono_ms();

	while (!l->stop && (t = TAILQ_FIRST(&l->timers)) != NULL) {
		loop_timer_cb *cb = t->cb;
		void *arg = t->arg;

		if (t->at_ms > now)
			break;
		loop_timer_free(t);
		cb(arg);
	}
}

/* Milliseconds until the next timer, or -1. */
static int
next_timer(const struct loop *l)
{
	const struct loop_timer *t = TAILQ_FIRST(&l->timers);
	uint64_t now;

	if (t == NULL)
		return -1;
	if (t->at_ms <= (now = mono_ms()))
		return 0;
	return t->at_ms - now > 1000000 ? 1000000 : (int)(t->at_ms - now);
}

void
loop_run(struct loop *l)
{
	struct epoll_event ev[ROUND_EVENTS];
	int n;

	l->stop = false;
	while (!l->stop) {
		run_timers(l);
		if (l->idle != NULL)
			l->idle(l->idle_arg);
		bury(l);
		if (l->stop)
			break;
		if ((n = epoll_wait(l->epfd, ev, ROUND_EVENTS,
		    next_timer(l))) == -1) {
			if (errno == EINTR)
				continue;
			fatal("epoll_wait");
		}
		for (int i = 0; i < n && !l->stop; i++) {
			struct loop_io *io = ev[i].data.ptr;

			if (!io->dead)
				io->cb(ev[i].events, io->arg);
		}
	}
	bury(l);
}

void
loop_stop(struct loop *l)
{
	l->stop = true;
}
