#include "session_local.h"

void
stop_tell(struct session *s)
{
	uint64_t now = mono_ms();
	struct m_s_bye m = {
		.reason = BYE_STOPPING,
		.seconds = s->stop_end_ms > now ?
		    (uint32_t)((s->stop_end_ms - now + 999) / 1000) : 0
	};

	if (s->stopping)
		io_send(s, MSG_s_bye, &m);
}

static void
on_due(void *arg)
{
	struct session *s = arg;
	struct req *r, *next;

	s->stop_timer = NULL;
	s->stop_due = true;
	for (r = TAILQ_FIRST(&s->reqs); r != NULL; r = next) {
		next = TAILQ_NEXT(r, link);
		if (r->kind == REQ_CHAT)
			chat_truncate(s, r);
	}
	session_left(s, 0);
}

void
stop_begin(struct session *s, uint32_t timeout_ms)
{
	if (s->stopping)
		return;
	s->stopping = true;
	s->stop_end_ms = mono_ms() + timeout_ms;
	s->stop_timer = loop_timer_new(s->loop, timeout_ms, on_due, s);
	if (s->app != NULL && s->gate == 0)
		stop_tell(s);
}

void
stop_check(struct session *s)
{
	/* A step that is under way goes on: its end would say too much. */
	if (s->stopping && !s->left && TAILQ_EMPTY(&s->reqs) &&
	    !shape_active(&s->shape))
		session_left(s, 0);
}
