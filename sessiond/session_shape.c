#include <stdlib.h>

#include "log.h"
#include "session_local.h"

#define OUTPUT_MAX	(64u << 10)	/* that the socket did not take yet */

static void on_tick(void *arg);

static void
set_tick(struct session *s)
{
	uint64_t next = shape_next(&s->shape), now = mono_ms();

	loop_timer_free(s->tick);
	s->tick = NULL;
	if (next != SHAPE_NEVER)
		s->tick = loop_timer_new(s->loop, next > now ? next - now : 0,
		    on_tick, s);
}

/* Text goes into the stream when a record has room for it, not before. */
static void
gather(struct session *s)
{
	struct req *r;

	TAILQ_FOREACH(r, &s->reqs, link)
		if (r->kind == REQ_CHAT &&
		    appconn_waiting(s->app) < APPCONN_SHAPED_CONTENT)
			chat_flush(s, r);
}

/* Append n records; -1 when the session is at its end. */
static int
records(struct session *s, unsigned n)
{
	for (; n > 0; n--) {
		gather(s);
		if (appconn_shaped_record(s->app) != 0)
			return -1;
	}
	shape_sent(&s->shape, appconn_streamed(s->app) -
	    appconn_waiting(s->app));
	return shape_active(&s->shape) ? 0 : appconn_shape(s->app, false);
}

static void
on_tick(void *arg)
{
	struct session *s = arg;
	unsigned n;

	s->tick = NULL;
	/* Who left gets nothing more. */
	if (s->io == NULL || s->left)
		return;
	n = shape_due(&s->shape, mono_ms(), appconn_waiting(s->app));
	/* What the network does not take cannot be seen there either. */
	if (appconn_output(s->app).n > OUTPUT_MAX)
		n = 0;
	if (records(s, n) != 0) {
		log_info("client: %s", appconn_why(s->app));
		io_stop(s);
		session_left(s, 0);
	}
	set_tick(s);
}

void
shaping_begin(struct session *s, const struct req *r)
{
	shape_begin(&s->shape, r->rid, mono_ms());
	if (!shape_active(&s->shape) || s->io == NULL)
		return;
	/* A connection that takes nothing more is noticed by the next to say. */
	(void)appconn_shape(s->app, true);
	set_tick(s);
}

void
shaping_end(struct session *s, const struct req *r)
{
	if (s->app != NULL)
		shape_end(&s->shape, r->rid, appconn_streamed(s->app));
}

void
shaping_stop(struct session *s)
{
	loop_timer_free(s->tick);
	s->tick = NULL;
	shape_free(&s->shape);
}
