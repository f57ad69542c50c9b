/*
 * Tickets: one for each session, made when its handshake is finished, good for
 * one resumption.  In memory alone: the hash of its id, its secret, and for whom
 * it is.  A ticket outlives its session when that was suspended or lost, and
 * dies with it else; with its key, its user, and this process in any case.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "hs.h"
#include "log.h"
#include "vault.h"

#define SWEEP_MS	10000
#define LATE_MS		30000	/* a session's own end comes first */

struct ticket {
	TAILQ_ENTRY(ticket)	 link;		/* the oldest first */
	LIST_ENTRY(ticket)	 same;		/* in the table by hash */
	uint8_t			 hash[HASH_LEN];	/* of its id */
	uint8_t			*psk;		/* its place in keys->psk */
	uint8_t			 id[HASH_LEN];	/* until it was given out */
	bool			 given;
	uint64_t		 n;		/* of its session */
	struct worker		*w;		/* the same; NULL: ended */
	struct user		*user;
	uint8_t			 fp[REC_FP];
	char			 label[REC_LABEL_MAX + 1];
	uint8_t			 suite;
	uint64_t		 auth_ms;	/* of the full handshake */
};

static uint64_t
ends_ms(const struct vault *v, uint64_t auth_ms)
{
	uint64_t life = v->ticket_lifetime_s;

	if (v->session_timeout_s != 0 && v->session_timeout_s < life)
		life = v->session_timeout_s;
	return auth_ms + life * 1000;
}

/* Who looks for a bucket knows no more than a hash of something random. */
static struct ticket_list *
bucket(struct vault *v, const uint8_t hash[HASH_LEN])
{
	const size_t n = sizeof(v->by_hash) / sizeof(v->by_hash[0]);

	return &v->by_hash[get_be16(hash) % n];
}

static void
ticket_free(struct vault *v, struct ticket *t)
{
	TAILQ_REMOVE(&v->tickets, t, link);
	LIST_REMOVE(t, same);
	v->ntickets--;
	if (t->w != NULL)
		t->w->ticket = NULL;
	OPENSSL_cleanse(t->psk, HASH_LEN);
	v->psk_used[(size_t)(t->psk - v->keys->psk[0]) / HASH_LEN] = false;
	freezero(t, sizeof(*t));
}

/* A free place for a secret; there is one unless all tickets are in use. */
static uint8_t *
psk_place(struct vault *v)
{
	for (size_t i = 0; i < VAULT_TICKETS; i++)
		if (!v->psk_used[i]) {
			v->psk_used[i] = true;
			return v->keys->psk[i];
		}
	return NULL;
}

/*
 * Room for one more of this user: over a limit the oldest of those whose session
 * has ended gives way.  False when there is no such one.
 */
static bool
make_room(struct vault *v, const struct user *u)
{
	struct ticket *t, *oldest = NULL, *own = NULL;
	unsigned n = 0;

	TAILQ_FOREACH(t, &v->tickets, link) {
		if (t->w == NULL && oldest == NULL)
			oldest = t;
		if (t->w == NULL && t->user == u && own == NULL)
			own = t;
		n += t->user == u;
	}
	if (n >= VAULT_TICKETS_USER) {
		if (own == NULL)
			return false;
		ticket_free(v, own);
	} else if (v->ntickets >= VAULT_TICKETS) {
		if (oldest == NULL)
			return false;
		ticket_free(v, oldest);
	}
	return true;
}

void
ticket_new(struct worker *w, const uint8_t resumption[HASH_LEN])
{
	struct vault *v = w->v;
	struct ticket *t;

	/* A certificate is judged anew each time. */
	if (w->user == NULL || w->cert != NULL || w->ticket != NULL ||
	    mono_ms() >= ends_ms(v, w->auth_ms) || !make_room(v, w->user))
		return;
	if ((t = calloc(1, sizeof(*t))) == NULL)
		fatal("calloc");
	if ((t->psk = psk_place(v)) == NULL)
		fatalx("tickets are miscounted");
	crypto_random(t->id, sizeof(t->id));
	sha256(t->hash, bytes_of(t->id, sizeof(t->id)));
	hs_ticket_psk(t->psk, resumption, t->id);
	t->w = w;
	t->n = w->n;
	t->user = w->user;
	memcpy(t->fp, w->fp, sizeof(t->fp));
	memcpy(t->label, w->label, sizeof(t->label));
	t->suite = w->suite;
	t->auth_ms = w->auth_ms;
	TAILQ_INSERT_TAIL(&v->tickets, t, link);
	LIST_INSERT_HEAD(bucket(v, t->hash), t, same);
	v->ntickets++;
	w->ticket = t;
	tickets_watch(v);
}

int
ticket_give(struct worker *w, uint8_t id[HASH_LEN], uint32_t *lifetime_s)
{
	struct ticket *t = w->ticket;
	uint64_t now = mono_ms(), end;

	if (t == NULL || t->given || (end = ends_ms(w->v, t->auth_ms)) <= now)
		return -1;
	memcpy(id, t->id, HASH_LEN);
	*lifetime_s = (uint32_t)((end - now) / 1000);
	OPENSSL_cleanse(t->id, sizeof(t->id));
	t->given = true;
	return 0;
}

void
ticket_revoke(struct worker *w)
{
	w->suspended = false;
	if (w->ticket != NULL)
		ticket_free(w->v, w->ticket);
}

void
ticket_crashed(struct vault *v, uint64_t n)
{
	struct ticket *t;

	TAILQ_FOREACH(t, &v->tickets, link)
		if (t->n == n)
			break;
	if (t != NULL)
		ticket_free(v, t);
}

void
ticket_session_end(struct worker *w)
{
	struct ticket *t = w->ticket;

	if (t == NULL)
		return;
	if (!w->suspended || !t->given) {
		ticket_free(w->v, t);
		return;
	}
	t->w = NULL;
	w->ticket = NULL;
}

void
tickets_drop(struct vault *v, const struct user *u, const uint8_t *fp)
{
	struct ticket *t, *next;

	for (t = TAILQ_FIRST(&v->tickets); t != NULL; t = next) {
		next = TAILQ_NEXT(t, link);
		if ((u == NULL || t->user == u) &&
		    (fp == NULL || memcmp(t->fp, fp, REC_FP) == 0))
			ticket_free(v, t);
	}
}

/* ---- time ------------------------------------------------------------------ */

/* What is over ends, a session too if it does not end by itself. */
void
tickets_sweep(struct vault *v)
{
	uint64_t now = mono_ms();
	struct ticket *t, *nt;
	struct worker *w, *nw;

	for (t = TAILQ_FIRST(&v->tickets); t != NULL; t = nt) {
		nt = TAILQ_NEXT(t, link);
		if (now >= ends_ms(v, t->auth_ms))
			ticket_free(v, t);
	}
	if (v->session_timeout_s == 0)
		return;
	for (w = worker_next(v, NULL, NULL, NULL); w != NULL; w = nw) {
		nw = worker_next(v, w, NULL, NULL);
		if (now >= w->auth_ms + (uint64_t)v->session_timeout_s * 1000 +
		    LATE_MS)
			worker_end(w, "over its time");
	}
}

static void
on_sweep(void *arg)
{
	struct vault *v = arg;

	v->ticket_timer = NULL;
	tickets_sweep(v);
	if (v->ntickets > 0 || v->nlive > 0)
		tickets_watch(v);
}

void
tickets_watch(struct vault *v)
{
	if (v->ticket_timer == NULL)
		v->ticket_timer = loop_timer_new(v->loop, SWEEP_MS, on_sweep, v);
}

/* ---- resumption ------------------------------------------------------------ */

/* Why a ticket that was shown by its owner is not taken, or NULL. */
static const char *
judge(struct vault *v, const struct ticket *t, uint8_t suite)
{
	struct rec_key key = rec_key_key(&v->keys->bundle, t->fp);
	const struct enrolled *e = enrolled_find(v, rec_bytes(&key));

	if (mono_ms() >= ends_ms(v, t->auth_ms))
		return "expired";
	if (suite != t->suite || suite < v->lowest_suite)
		return "another suite";
	if (e == NULL || e->state != REC_KEY_ACTIVE)
		return "key revoked";
	if (t->user->state != REC_USER_ENABLED)
		return "user disabled";
	return user_full(v, t->user);
}

/*
 * The ticket in this CH, if its binder is right; else NULL, at the same cost
 * whether there is such a ticket or not.
 */
static struct ticket *
find(struct vault *v, struct bytes ch)
{
	static const uint8_t no_psk[HASH_LEN];
	uint8_t id[HASH_LEN], hash[HASH_LEN];
	struct ticket *t, *found = NULL;

	if (hs_ch_ticket(ch, id) == -1)
		return NULL;
	sha256(hash, bytes_of(id, sizeof(id)));
	LIST_FOREACH(t, bucket(v, hash), same)
		if (t->given && bytes_eq_ct(t->hash, hash, HASH_LEN))
			found = t;
	if (!hs_binder_ok(ch, found != NULL ? found->psk : no_psk))
		found = NULL;
	return found;
}

static void
answer(struct worker *w, enum msg_type type, const void *body)
{
	if (chan_send(w->kex, type, body, -1) == -1)
		log_debug("worker %" PRIu64 " did not wait", w->n);
}

void
ticket_resume(struct worker *w, const struct m_xv_resume *m)
{
	struct vault *v = w->v;
	struct ticket *t = find(v, m->ch);
	struct m_vx_resumed resumed;
	struct admission a;
	const char *reason;

	if (t == NULL) {
		chan_set_state(w->kex, KEX_VAULT_FULL);
		answer(w, MSG_vx_no_ticket, NULL);
		return;
	}
	reason = w->sess == NULL ? "the session worker is gone" :
	    judge(v, t, m->suite);
	a = (struct admission){ .user = t->user, .suite = t->suite,
	    .auth_ms = t->auth_ms };
	memcpy(a.fp, t->fp, sizeof(a.fp));
	memcpy(a.label, t->label, sizeof(a.label));
	memcpy(resumed.psk, t->psk, sizeof(resumed.psk));
	/* Whatever becomes of this, nobody shows it again. */
	ticket_free(v, t);
	if (reason == NULL) {
		worker_admit(w, &a, EV_auth_resume);
		answer(w, MSG_vx_resumed, &resumed);
	} else {
		audit(EV_resume_refuse, w->n, a.user->name,
		    "reason=%s source=%s", reason, w->source);
		chan_set_state(w->kex, KEX_VAULT_FULL);
		answer(w, MSG_vx_no_ticket, NULL);
	}
	OPENSSL_cleanse(&resumed, sizeof(resumed));
}
