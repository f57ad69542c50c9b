#include "log.h"
#include "vault.h"

/* Every session is over: the monitor goes on with the stop. */
void
drain_check(struct vault *v)
{
	if (v->draining && v->nlive == 0 && v->ngates == 0 &&
	    chan_send(v->role->ctl, MSG_ctl_drained, NULL, -1) == -1)
		log_err("the monitor is gone");
}

void
drain_tell(struct worker *w)
{
	uint64_t now = mono_ms(), end = w->v->drain_end_ms;
	struct m_vs_stop m = {
		.timeout_ms = end > now ? (uint32_t)(end - now) : 0
	};

	if (w->v->draining && w->sess != NULL &&
	    (w->user != NULL || w->gate != NULL) &&
	    chan_send(w->sess, MSG_vs_stop, &m, -1) == -1)
		log_debug("worker %llu did not wait", (unsigned long long)w->n);
}

void
vault_drain(struct vault *v, uint32_t timeout_ms)
{
	struct worker *w;

	v->draining = true;
	v->drain_end_ms = mono_ms() + timeout_ms;
	for (size_t i = 0; i < sizeof(v->workers) / sizeof(v->workers[0]); i++)
		LIST_FOREACH(w, &v->workers[i], link)
			drain_tell(w);
	drain_check(v);
}
