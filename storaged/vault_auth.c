#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "hs.h"
#include "log.h"
#include "rsa.h"
#include "vault.h"

/* An xv_auth that waits for the K record, then perhaps for certd. */
struct try {
	struct vault	*v;
	struct cert_job	 cert;		/* cert_n 0: none was shown */
	uint64_t	 n;
	uint8_t		 suite;
	uint8_t		 random_c[32];
	uint8_t		 th_sf[32];
	uint8_t		 fp[HASH_LEN];
	struct rec_spki	 spki;
	struct rec_spki	 wrap;
	size_t		 sig_n;
	uint8_t		 sig[512];
};

void
vault_on_keyd(struct chan *c, struct msg *m, void *arg)
{
	struct vault *v = arg;
	struct worker *w;

	if (m->type == MSG_kv_identity) {
		memcpy(v->host_hash, m->u.kv_identity.spki_hash,
		    sizeof(v->host_hash));
		chan_set_state(c, KEYD_VAULT_UP);
		return;
	}
	if (m->type == MSG_kv_signed) {
		v->signatures++;
		return;
	}
	if (m->type == MSG_kv_receipt) {
		proof_on_keyd(v, c, &m->u.kv_receipt);
		return;
	}
	v->nonces++;
	/*
	 * A worker that is gone already has no use for it.  Its session worker
	 * may still be there: that says nothing about keyd.
	 */
	if ((w = worker_find(v, m->u.kv_nonce.n)) == NULL || w->kex == NULL)
		return;
	if (w->have_nonce) {
		role_link_lost(c, "a second nonce for one worker", v);
		return;
	}
	memcpy(w->random_s, m->u.kv_nonce.random_s, sizeof(w->random_s));
	w->have_nonce = true;
}

static struct bytes
spki_bytes(const struct rec_spki *s)
{
	return bytes_of(s->p, s->n);
}

static bool
same_spki(const struct rec_spki *a, const struct rec_spki *b)
{
	return bytes_eq(spki_bytes(a), spki_bytes(b));
}

/* Verify the client's signature over what this process knows of N. */
static bool
signed_by(const struct try *a, const struct worker *w,
    const struct rec_spki *signer)
{
	struct buf tbs = BUF_INIT(HS_TBS_MAX);
	uint8_t wrap_hash[HASH_LEN], cert_hash[HASH_LEN];
	EVP_PKEY *key;
	bool ok = false;

	if ((key = rsa_spki_parse(spki_bytes(signer), RSA_USE_SIGN, 0)) == NULL)
		return false;
	sha256(wrap_hash, spki_bytes(&a->wrap));
	sha256(cert_hash, bytes_of(a->cert.cert, a->cert.cert_n));
	hs_tbs_client(&tbs, a->suite, a->random_c, w->random_s, a->th_sf, a->fp,
	    wrap_hash, a->v->host_hash, cert_hash);
	a->v->verifications++;
	if (!tbs.err)
		ok = rsa_pss_verify(key, bytes_of(a->sig, a->sig_n),
		    buf_bytes(&tbs)) == 0;
	buf_free(&tbs);
	EVP_PKEY_free(key);
	return ok;
}

uint64_t
limit_default(const struct vault *v, enum limit l)
{
	switch (l) {
	case LIMIT_SESSIONS:
		return v->max_sessions_per_user;
	case LIMIT_CONVERSATIONS:
		return v->max_conversations;
	case LIMIT_MESSAGES:
		return v->max_messages;
	case LIMIT_RETENTION:
		return v->retention_days;
	default:
		return 0;
	}
}

uint64_t
user_limit(const struct vault *v, const struct user *u, enum limit l)
{
	return u->limit[l] != 0 ? u->limit[l] : limit_default(v, l);
}

const char *
user_full(const struct vault *v, const struct user *u)
{
	if (u->live >= user_limit(v, u, LIMIT_SESSIONS))
		return "too many sessions";
	return v->stopping ? "stopping" : NULL;
}

/* Why somebody who has shown who they are may not come in, or NULL. */
static const char *
judge_user(const struct try *a, const struct user *u)
{
	if (u->state != REC_USER_ENABLED)
		return "user disabled";
	return user_full(a->v, u);
}

/*
 * With a certificate: the signature first, then who signed the certificate; what
 * stands in it is looked at by certd, and only after that.  A key that is enrolled
 * besides counts as revoked when it was.
 */
static const char *
judge_cert(const struct try *a, const struct worker *w,
    const struct rec_enrolled *k)
{
	if (!signed_by(a, w, &a->spki))
		return "bad signature";
	if (!hs_suite_spoken(a->suite) || a->suite < a->v->lowest_suite)
		return "suite not allowed";
	if (k != NULL && k->state != REC_KEY_ACTIVE)
		return "key revoked";
	return cert_refuse(a->v, &a->cert);
}

/*
 * Why not, or NULL.  Every way through here costs one verification, with the
 * enrolled key or, when there is none, with the one that was sent.  *may_enrol:
 * it is not let in, but it is the key that signed: an unknown one, a revoked one
 * and that of a disabled user are the same here.
 */
static const char *
judge(const struct try *a, const struct worker *w,
    const struct rec_enrolled *k, const struct user *u, bool *may_enrol)
{
	bool good = signed_by(a, w, k != NULL ? &k->sign : &a->spki);
	bool in = k != NULL && u != NULL && k->state == REC_KEY_ACTIVE &&
	    u->state == REC_USER_ENABLED;

	if (k != NULL && (!same_spki(&k->sign, &a->spki) || u == NULL))
		return "the key's record does not fit";
	if (in && !same_spki(&k->wrap, &a->wrap))
		return "another wrap key than the enrolled one";
	if (!good)
		return k != NULL ? "bad signature" : "unknown key, and a bad "
		    "signature";
	if (!hs_suite_spoken(a->suite) || a->suite < a->v->lowest_suite)
		return "suite not allowed";
	*may_enrol = !in && a->v->enrolment && !a->v->stopping &&
	    w->have_nonce && w->sess != NULL;
	if (k == NULL)
		return "unknown key";
	if (k->state != REC_KEY_ACTIVE)
		return "key revoked";
	return judge_user(a, u);
}

static void
refuse(struct worker *w, const struct try *a, const struct user *u,
    const char *reason)
{
	char fp[RSA_FP_TEXT];

	rsa_fingerprint_text(fp, a->fp);
	audit(EV_auth_refuse, w->n, u != NULL ? u->name : NULL,
	    "reason=%s source=%s key=%s", reason, w->source, fp);
	chan_set_state(w->kex, KEX_VAULT_ANSWERED);
	if (chan_send(w->kex, MSG_vx_refuse, NULL, -1) == -1)
		log_debug("worker %llu did not wait", (unsigned long long)w->n);
	worker_close_sess(w);
}

/*
 * The handshake may be finished; of the kex worker only what it leaves for
 * resumption is awaited.
 */
static void
let_through(struct worker *w)
{
	chan_set_state(w->kex, KEX_VAULT_GRANTED);
	if (chan_send(w->kex, MSG_vx_grant, NULL, -1) == -1)
		log_debug("worker %llu did not wait", (unsigned long long)w->n);
}

/* What a password or an invite in this session will be bound to. */
static void
bind_login(struct worker *w, const struct try *a)
{
	uint8_t wrap_hash[HASH_LEN], cert_hash[HASH_LEN];

	sha256(wrap_hash, spki_bytes(&a->wrap));
	sha256(cert_hash, bytes_of(a->cert.cert, a->cert.cert_n));
	hs_login_bind(w->bind, a->suite, a->random_c, w->random_s, a->th_sf,
	    a->fp, wrap_hash, a->v->host_hash, cert_hash);
	w->bound = true;
	OPENSSL_cleanse(w->random_s, sizeof(w->random_s));
}

/* Whether a password is wanted besides the key or the certificate. */
static bool
wants_password(const struct vault *v, const struct user *u)
{
	return (u->policy == REC_POLICY_DEFAULT ? v->policy : u->policy) ==
	    REC_POLICY_KEY_PASSWORD;
}

/* A key that is not let in may enrol itself, and nothing else. */
static bool
let_enrol(struct worker *w, const struct try *a, const char *reason)
{
	char fp[RSA_FP_TEXT];

	if (!gate_begin(w, GATE_ENROL, &a->spki, &a->wrap))
		return false;
	rsa_fingerprint_text(fp, a->fp);
	audit(EV_auth_stranger, w->n, NULL, "reason=%s source=%s key=%s",
	    reason, w->source, fp);
	w->suite = a->suite;
	w->auth_ms = w->since_ms = mono_ms();
	w->logs = 0;
	drain_tell(w);
	let_through(w);
	return true;
}

void
worker_admit(struct worker *w, const struct admission *a, enum event event)
{
	struct vault *v = w->v;
	char fp[RSA_FP_TEXT];

	rsa_fingerprint_text(fp, a->fp);
	audit(event, w->n, a->user->name, "source=%s key=%s suite=%u",
	    w->source, fp, a->suite);
	w->user = a->user;
	memcpy(w->fp, a->fp, sizeof(w->fp));
	memcpy(w->label, a->label, sizeof(w->label));
	w->suite = a->suite;
	w->auth_ms = a->auth_ms;
	w->since_ms = mono_ms();
	w->since_us = wall_us();
	w->logs = 0;
	w->user->live++;
	v->nlive++;
	tickets_watch(v);
	v->grants++;
	chan_set_state(w->kex, KEX_VAULT_GRANTED);
	if (a->want_password)
		(void)gate_begin(w, GATE_FACTOR, NULL, NULL);
	else
		session_begin(w);
	drain_tell(w);
}

static void
grant(struct worker *w, const struct try *at, const char *label,
    struct user *u)
{
	struct admission a = { .user = u, .suite = at->suite,
	    .auth_ms = mono_ms(),
	    .want_password = wants_password(w->v, u) };

	memcpy(a.fp, at->fp, sizeof(a.fp));
	(void)strlcpy(a.label, label, sizeof(a.label));
	worker_admit(w, &a, EV_auth_accept);
	let_through(w);
}

/* What certd says; the worker may have gone meanwhile. */
static void
on_cert(struct cert_job *j, const char *reason, const struct cert_answer *ca)
{
	struct try *a = j->arg;
	struct worker *w = worker_find(a->v, a->n);
	struct user *u = NULL;
	uint64_t not_after = ca != NULL ? ca->not_after : 0;
	char why[512];

	if (w == NULL || w->kex == NULL) {
		free(a);
		return;
	}
	if (reason == NULL && (u = user_by_name(a->v, ca->user)) == NULL)
		reason = "the certificate's user is not known here";
	if (reason == NULL)
		reason = judge_user(a, u);
	if (reason == NULL && w->sess == NULL)
		reason = "the session worker is gone";
	if (reason == NULL) {
		audit(EV_auth_certificate, w->n, u->name,
		    "certificate=%s expires=%llu", ca->detail,
		    (unsigned long long)not_after);
		grant(w, a, "certificate", u);
		if (w->user != NULL)
			cert_keep(w, j, not_after);
	} else {
		(void)snprintf(why, sizeof(why), "%s (%s)", reason,
		    ca != NULL ? ca->detail : "no verdict");
		refuse(w, a, u, why);
	}
	free(a);
}

static void
on_enrolled(void *arg, const struct engine_reply *r)
{
	struct try *a = arg;
	struct vault *v = a->v;
	struct worker *w = worker_find(v, a->n);
	struct rec_enrolled k;
	bool found = false, may_enrol = false;
	const char *reason;
	struct user *u = NULL;
	uint64_t version;

	if (w == NULL || w->kex == NULL)
		goto out;
	if (r->status == KV_OK && r->n == 1 && r->row[0].value.p != NULL) {
		found = rec_open_enrolled(&k, &version, &v->keys->bundle,
		    r->row[0].key, r->row[0].value) == 0 &&
		    version == enrolled_version(v, r->row[0].key);
		if (!found)
			audit(EV_storage_tamper, w->n, NULL,
			    "the record of an enrolled key is not the newest "
			    "or does not verify");
	}
	if (found)
		u = user_by_uid(v, k.uid);
	if (a->cert.cert_n > 0)
		reason = judge_cert(a, w, found ? &k : NULL);
	else
		reason = judge(a, w, found ? &k : NULL, u, &may_enrol);
	if (reason == NULL && !w->have_nonce)
		reason = "no nonce from keyd";
	else if (reason == NULL && w->sess == NULL)
		reason = "the session worker is gone";
	bind_login(w, a);
	if (reason != NULL) {
		if (!may_enrol || !let_enrol(w, a, reason))
			refuse(w, a, u, reason);
	} else if (a->cert.cert_n > 0) {
		a->cert.done = on_cert;
		a->cert.arg = a;
		cert_ask(v, &a->cert);
		return;
	} else
		grant(w, a, k.label, u);
out:
	free(a);
}

static void
auth(struct worker *w, const struct m_xv_auth *m)
{
	struct vault *v = w->v;
	struct rec_key key;
	struct try *a;

	chan_set_state(w->kex, KEX_VAULT_ASKED);
	if ((a = calloc(1, sizeof(*a))) == NULL)
		fatal("calloc");
	a->v = v;
	a->n = w->n;
	a->suite = m->suite;
	memcpy(a->random_c, m->random_c, sizeof(a->random_c));
	memcpy(a->th_sf, m->th_sf, sizeof(a->th_sf));
	a->spki.n = (uint16_t)m->spki.n;	/* bounds of messages.def */
	memcpy(a->spki.p, m->spki.p, m->spki.n);
	a->wrap.n = (uint16_t)m->wrap_spki.n;
	memcpy(a->wrap.p, m->wrap_spki.p, m->wrap_spki.n);
	cert_job_init(&a->cert, m->cert, &a->spki);
	a->sig_n = m->sig.n;
	memcpy(a->sig, m->sig.p, m->sig.n);
	rsa_fingerprint(a->fp, m->spki);
	/* keyd told of its nonce before the worker could have it. */
	(void)chan_drain(v->keyd);
	key = rec_key_key(&v->keys->bundle, a->fp);
	engine_get(v->engine, rec_bytes(&key), on_enrolled, a);
}

void
vault_on_kex(struct chan *c, struct msg *m, void *arg)
{
	struct worker *w = arg;

	(void)c;
	switch (m->type) {
	case MSG_xv_resume:
		ticket_resume(w, &m->u.xv_resume);
		break;
	case MSG_xv_auth:
		auth(w, &m->u.xv_auth);
		break;
	case MSG_xv_resumption:
		ticket_new(w, m->u.xv_resumption.resumption);
		OPENSSL_cleanse(&m->u, sizeof(m->u));
		worker_close_kex(w);
		break;
	case MSG_xv_violation:
		worker_report(w, "kex", m->u.xv_violation.text);
		break;
	default:
		worker_log(w, "kex", m->u.xv_log.text);
	}
}
