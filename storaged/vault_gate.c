/*
 * Sessions that are not let in yet.  Whoever has a key, any key, gets as far as
 * ENROL, so these are few, short, counted by source, and their channel permits
 * nothing but enrolment (messages.def).  In FACTOR a session has a user, whose
 * key was right, and permits nothing but the password.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "log.h"
#include "vault_login.h"

static unsigned
from_source(const struct vault *v, const uint8_t source[16])
{
	const struct vault_gate *g;
	unsigned n = 0;

	LIST_FOREACH(g, &v->gates, link)
		n += g->kind == GATE_ENROL && memcmp(g->source, source, 16) == 0;
	return n;
}

static void
on_late(void *arg)
{
	struct vault_gate *g = arg;

	g->timer = NULL;
	worker_end(g->w, g->kind == GATE_ENROL ? "it did not enrol in time" :
	    "no password came in time");
}

bool
gate_begin(struct worker *w, enum gate kind, const struct rec_spki *sign,
    const struct rec_spki *wrap)
{
	struct m_vs_gate m = { .n = w->n, .kind = (uint8_t)kind,
	    .seconds = VAULT_GATE_S,
	    .user = bytes_str(w->user != NULL ? w->user->name : "") };
	struct vault *v = w->v;
	struct vault_gate *g;
	uint8_t source[16];

	backoff_source(source, w->source);
	if (kind == GATE_ENROL && (v->ngates >= VAULT_GATES_MAX ||
	    from_source(v, source) >= VAULT_GATES_SOURCE))
		return false;
	if ((g = calloc(1, sizeof(*g))) == NULL)
		fatal("calloc");
	g->w = w;
	g->kind = kind;
	memcpy(g->source, source, sizeof(source));
	if (sign != NULL)
		g->sign = *sign;
	if (wrap != NULL)
		g->wrap = *wrap;
	g->timer = loop_timer_new(v->loop, VAULT_GATE_S * 1000, on_late, g);
	LIST_INSERT_HEAD(&v->gates, g, link);
	v->ngates += kind == GATE_ENROL;
	w->gate = g;
	chan_set_state(w->sess, kind == GATE_ENROL ? SESS_VAULT_ENROL :
	    SESS_VAULT_FACTOR);
	if (chan_send(w->sess, MSG_vs_gate, &m, -1) == -1)
		log_debug("worker %llu did not wait", (unsigned long long)w->n);
	return true;
}

void
gate_end(struct worker *w)
{
	struct vault_gate *g = w->gate;

	if (g == NULL)
		return;
	w->gate = NULL;
	LIST_REMOVE(g, link);
	w->v->ngates -= g->kind == GATE_ENROL;
	loop_timer_free(g->timer);
	free(g);
}

void
gate_open(struct worker *w)
{
	gate_end(w);
	w->since_ms = mono_ms();
	session_begin(w);
}

void
gate_failed(struct worker *w)
{
	if (w->gate != NULL && ++w->gate->tries >= VAULT_TRIES_MAX)
		worker_end(w, "too many wrong passwords");
}
