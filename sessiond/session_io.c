#include <sys/socket.h>

#include <errno.h>
#include <unistd.h>

#include "log.h"
#include "session_local.h"

#define READS_MAX	64	/* of one round, then others get their turn */

/* What waits for the client. */
static size_t
queued(const struct session *s)
{
	return appconn_output(s->app).n + appconn_waiting(s->app);
}

/* Whether something that requests would fill further is full enough. */
static bool
blocked(const struct session *s)
{
	const struct llm *l;

	if (queued(s) > QUEUE_HIGH ||
	    (s->vault != NULL && chan_queued(s->vault) > QUEUE_HIGH))
		return true;
	TAILQ_FOREACH(l, &s->llms, link)
		if (chan_queued(l->chan) > QUEUE_HIGH)
			return true;
	return false;
}

/* The client's socket is of no use any more. */
static void
gone(struct session *s, const char *why)
{
	if (!s->left) {
		log_info("client: %s", why);
		/* It may come back: that was no word of its own. */
		if (s->have_user && s->gate == 0)
			session_vault(s, MSG_sv_suspend, NULL);
	}
	io_stop(s);
	session_left(s, s->status);
}

/* Every message that has arrived whole; false when reading must stop. */
static bool
take_messages(struct session *s)
{
	struct msg m;

	while (!s->left) {
		if (blocked(s)) {
			s->stalled = true;
			return false;
		}
		switch (appconn_next(s->app, &m)) {
		case APPCONN_MESSAGE:
			s->last_ms = mono_ms();
			session_message(s, &m);
			break;
		case APPCONN_AGAIN:
			return true;
		case APPCONN_CLOSED:
			session_left(s, 0);
			break;
		case APPCONN_BROKEN:
			audit(EV_violation, s->n, NULL, "client: %s",
			    appconn_why(s->app));
			io_stop(s);
			session_left(s, 1);
			break;
		}
	}
	return false;
}

static void
input(struct session *s)
{
	uint8_t *p;
	size_t max;
	ssize_t n;

	s->stalled = false;
	for (int i = 0; i < READS_MAX && take_messages(s); i++) {
		p = appconn_room(s->app, &max);
		n = recv(s->fd, p, max, MSG_DONTWAIT);
		if (n > 0)
			appconn_arrived(s->app, (size_t)n);
		else if (n == 0) {
			gone(s, appconn_eof(s->app));
			return;
		} else if (errno == EAGAIN || errno == EWOULDBLOCK)
			return;
		else if (errno != EINTR) {
			gone(s, "the connection broke");
			return;
		}
		/* A short read took all there was: no call to learn so. */
		if (n > 0 && (size_t)n < max) {
			(void)take_messages(s);
			return;
		}
	}
}

static void
on_client(uint32_t events, void *arg)
{
	struct session *s = arg;

	if (!s->left && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)
		input(s);
	else if ((events & (EPOLLHUP | EPOLLERR)) != 0)
		gone(s, "the connection broke");
}

void
io_start(struct session *s)
{
	s->events = EPOLLIN;
	s->io = loop_io_new(s->loop, s->fd, s->events, on_client, s);
}

void
io_stop(struct session *s)
{
	loop_io_free(s->io);
	s->io = NULL;
}

void
io_send(struct session *s, enum msg_type type, const void *body)
{
	if (s->io == NULL || s->closing)
		return;
	if (appconn_send(s->app, type, body) != 0)
		gone(s, appconn_why(s->app));
}

static void
flush(struct session *s)
{
	struct bytes b;
	ssize_t n;

	while (s->io != NULL && (b = appconn_output(s->app)).n > 0) {
		n = send(s->fd, b.p, b.n, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n >= 0)
			appconn_written(s->app, (size_t)n);
		else if (errno == EAGAIN || errno == EWOULDBLOCK)
			break;
		else if (errno != EINTR)
			gone(s, "the connection broke");
	}
}

static void
watch(struct session *s)
{
	uint32_t want = 0;

	if (s->io == NULL)
		return;
	if (!s->left && !s->stalled)
		want |= EPOLLIN;
	if (appconn_output(s->app).n > 0)
		want |= EPOLLOUT;
	if (want != s->events) {
		s->events = want;
		loop_io_events(s->io, want);
	}
}

static void
back_pressure(struct session *s)
{
	bool full = s->io != NULL && queued(s) > QUEUE_HIGH;
	struct llm *l;

	if (s->vault != NULL)
		chan_pause(s->vault, full);
	TAILQ_FOREACH(l, &s->llms, link)
		chan_pause(l->chan, full);
}

void
io_round(void *session)
{
	struct session *s = session;

	if (s->app == NULL)
		return;
	for (;;) {
		session_settle(s);
		flush(s);
		if (s->left && !s->leaving)
			continue;	/* that was noticed by writing */
		if (!s->stalled || s->left || blocked(s))
			break;
		input(s);
	}
	back_pressure(s);
	watch(s);
	if (s->closing && (s->io == NULL || appconn_output(s->app).n == 0)) {
		if (s->io != NULL)
			(void)shutdown(s->fd, SHUT_WR);
		loop_stop(s->loop);
	}
}
