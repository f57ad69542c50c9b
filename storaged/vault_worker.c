#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "log.h"
#include "vault.h"

#define CLOSE_MS	300	/* for the last word of a session that is ended */

static size_t
slot(const struct vault *v, uint64_t n)
{
	return n % (sizeof(v->workers) / sizeof(v->workers[0]));
}

struct worker *
worker_find(struct vault *v, uint64_t n)
{
	struct worker *w;

	LIST_FOREACH(w, &v->workers[slot(v, n)], link)
		if (w->n == n)
			break;
	return w;
}

static void
worker_release(struct worker *w)
{
	if (w->kex != NULL || w->sess != NULL)
		return;
	LIST_REMOVE(w, link);
	OPENSSL_cleanse(w, sizeof(*w));
	free(w);
}

void
worker_close_kex(struct worker *w)
{
	chan_free(w->kex);
	w->kex = NULL;
	worker_release(w);
}

/* Its user has one session less; nothing that it asked for goes on but puts. */
static void
end_session(struct worker *w)
{
	struct vault *v = w->v;
	struct user *u = w->user;

	ticket_session_end(w);
	proof_over(w);
	llm_revoke(v, w->n);
	cert_forget(w);
	audit(EV_session_end, w->n, u->name, "seconds=%llu",
	    (unsigned long long)((mono_ms() - w->since_ms) / 1000));
	w->user = NULL;
	v->nlive--;
	if (--u->live == 0)
		dk_drop_user(v, u);
}

void
worker_close_sess(struct worker *w)
{
	struct sreq *s;

	if (w->sess == NULL)
		return;
	chan_free(w->sess);
	w->sess = NULL;
	while ((s = TAILQ_FIRST(&w->reqs)) != NULL) {
		sreq_end(s);
		s->gone(s);
	}
	TAILQ_INIT(&w->receiving);	/* they were freed as requests */
	w->nreceiving = 0;
	gate_end(w);
	if (w->user != NULL)
		end_session(w);
	drain_check(w->v);
	worker_release(w);
}

/* A session that was ended and may still be there. */
struct doomed {
	LIST_ENTRY(doomed)	 link;
	struct vault		*v;
	uint64_t		 n;
	struct loop_timer	*timer;
};

static void
kill_now(struct vault *v, uint64_t n)
{
	struct m_ctl_revoke m = { .n = n };

	if (chan_send(v->role->ctl, MSG_ctl_revoke, &m, -1) == -1)
		log_err("the monitor is gone");
}

static void
on_doom(void *arg)
{
	struct doomed *d = arg;

	kill_now(d->v, d->n);
	LIST_REMOVE(d, link);
	free(d);
}

void
worker_end(struct worker *w, const char *reason)
{
	struct doomed *d;

	audit(EV_session_revoke, w->n, w->user != NULL ? w->user->name : NULL,
	    "reason=%s", reason);
	w->suspended = false;
	if ((d = calloc(1, sizeof(*d))) == NULL)
		fatal("calloc");
	d->v = w->v;
	d->n = w->n;
	d->timer = loop_timer_new(w->v->loop, CLOSE_MS, on_doom, d);
	LIST_INSERT_HEAD(&w->v->doomed, d, link);
	if (w->kex != NULL) {
		chan_free(w->kex);
		w->kex = NULL;
	}
	worker_close_sess(w);
}

void
workers_forget_doomed(struct vault *v)
{
	struct doomed *d;

	while ((d = LIST_FIRST(&v->doomed)) != NULL) {
		LIST_REMOVE(d, link);
		loop_timer_free(d->timer);
		free(d);
	}
}

struct worker *
worker_next(struct vault *v, const struct worker *after, const struct user *u,
    const uint8_t *fp)
{
	const size_t slots = sizeof(v->workers) / sizeof(v->workers[0]);
	size_t i = after != NULL ? slot(v, after->n) : 0;
	struct worker *w = after != NULL ? LIST_NEXT(after, link) :
	    LIST_FIRST(&v->workers[0]);

	for (;;) {
		for (; w != NULL; w = LIST_NEXT(w, link))
			if (w->user != NULL && (u == NULL || w->user == u) &&
			    (fp == NULL || memcmp(w->fp, fp, REC_FP) == 0))
				return w;
		if (++i == slots)
			return NULL;
		w = LIST_FIRST(&v->workers[i]);
	}
}

unsigned
workers_end(struct vault *v, const struct user *u, const uint8_t *fp,
    const char *reason)
{
	struct worker *w, *next;
	unsigned n = 0;

	tickets_drop(v, u, fp);
	for (w = worker_next(v, NULL, u, fp); w != NULL; w = next) {
		next = worker_next(v, w, u, fp);
		worker_end(w, reason);
		n++;
	}
	return n;
}

void
worker_violation(struct worker *w, const char *what)
{
	audit(EV_violation, w->n, w->user != NULL ? w->user->name : NULL, "%s",
	    what);
	w->suspended = false;
	kill_now(w->v, w->n);
	if (w->kex != NULL) {
		chan_free(w->kex);
		w->kex = NULL;
	}
	if (w->sess != NULL)
		worker_close_sess(w);
	else
		worker_release(w);
}

void
worker_log(struct worker *w, const char *which, struct bytes text)
{
	char line[257];

	if (w->logs++ < VAULT_LOGS_MAX &&
	    msg_text(line, sizeof(line), text) == 0)
		log_info("%s [%llu]: %s", which, (unsigned long long)w->n, line);
}

void
worker_report(struct worker *w, const char *which, struct bytes text)
{
	char line[257];

	if (w->logs++ < VAULT_LOGS_MAX &&
	    msg_text(line, sizeof(line), text) == 0)
		audit(EV_violation, w->n, w->user != NULL ? w->user->name : NULL,
		    "reported by the %s worker: %s", which, line);
}

static void
on_kex_closed(struct chan *c, const char *why, void *arg)
{
	struct worker *w = arg;

	(void)c;
	if (why != NULL)
		worker_violation(w, why);
	else
		worker_close_kex(w);
}

static void
on_sess_closed(struct chan *c, const char *why, void *arg)
{
	struct worker *w = arg;

	(void)c;
	if (why != NULL)
		worker_violation(w, why);
	else
		worker_close_sess(w);
}

/*
 * The two channels of a new pair, each made here and bound to N by this table;
 * one end of each goes to the zygote and is not kept.
 */
static void
worker_new(struct vault *v, uint64_t n)
{
	struct m_vz_kex_chan mk = { .n = n };
	struct m_vz_sess_chan ms = { .n = n };
	int kex[2], sess[2];
	struct worker *w;

	if (chan_pair(kex, true) == -1) {
		log_warn("no channel for worker %llu: %s",
		    (unsigned long long)n, strerror(errno));
		return;
	}
	if (chan_pair(sess, true) == -1) {
		log_warn("no channel for worker %llu: %s",
		    (unsigned long long)n, strerror(errno));
		close(kex[0]);
		close(kex[1]);
		return;
	}
	if ((w = calloc(1, sizeof(*w))) == NULL)
		fatal("calloc");
	w->v = v;
	w->n = n;
	TAILQ_INIT(&w->reqs);
	TAILQ_INIT(&w->receiving);
	w->kex = chan_new(v->loop, kex[0], CH_KEX_VAULT, END_B, KEX_VAULT_NEW,
	    0, vault_on_kex, on_kex_closed, w);
	w->sess = chan_new(v->loop, sess[0], CH_SESS_VAULT, END_B,
	    SESS_VAULT_INERT, 0, vault_on_session, on_sess_closed, w);
	LIST_INSERT_HEAD(&v->workers[slot(v, n)], w, link);
	if (chan_send(v->zygote, MSG_vz_kex_chan, &mk, kex[1]) == -1 ||
	    chan_send(v->zygote, MSG_vz_sess_chan, &ms, sess[1]) == -1)
		log_err("the zygote takes no more channels");
	close(kex[1]);
	close(sess[1]);
}

void
vault_on_zygote(struct chan *c, struct msg *m, void *arg)
{
	struct vault *v = arg;
	struct m_vz_welcome welcome;
	struct worker *w;

	switch (m->type) {
	case MSG_zv_hello:
		if (m->u.zv_hello.generation <= v->zygote_generation) {
			role_link_lost(c, "a generation that does not rise", v);
			break;
		}
		v->zygote_generation = m->u.zv_hello.generation;
		welcome.generation = v->zygote_generation;
		if (chan_send(c, MSG_vz_welcome, &welcome, -1) == -1)
			log_err("the zygote is gone");
		break;
	case MSG_zv_want:
		/* A zygote that is being replaced may still ask. */
		if ((uint32_t)(m->u.zv_want.n >> 32) < v->zygote_generation)
			break;
		if ((uint32_t)(m->u.zv_want.n >> 32) != v->zygote_generation ||
		    m->u.zv_want.n <= v->last_n) {
			role_link_lost(c, "a session number that does not rise "
			    "within its generation", v);
			break;
		}
		v->last_n = m->u.zv_want.n;
		worker_new(v, v->last_n);
		break;
	case MSG_zv_client:
		if ((w = worker_find(v, m->u.zv_client.n)) != NULL)
			(void)msg_text(w->source, sizeof(w->source),
			    m->u.zv_client.source);
		break;
	default:
		break;
	}
}
