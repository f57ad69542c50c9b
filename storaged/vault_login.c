/*
 * Who proves what: passwords and invites.
 *
 * An attempt is admitted when neither its source nor the name that it names must
 * wait and none other of the same source or name is being checked.  Then it
 * costs one Argon2id whoever is named, and the same records are read.  A failure
 * is in the store before it is told.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "log.h"
#include "vault_login.h"

static void on_checked(struct hash_job *, enum hashed, const uint8_t *);
static void on_fresh(struct hash_job *, enum hashed, const uint8_t *);

static bool
is_password(const struct attempt *a)
{
	return a->use != USE_INVITE;
}

static bool
enrols(const struct attempt *a)
{
	return a->use == USE_INVITE || a->use == PASSWORD_ENROL;
}

/* A user may be removed while others work: looked up again at each step. */
static void
look_up(struct attempt *a)
{
	a->u = a->named ? user_by_uid(a->v, a->uid) : NULL;
}

static void
gone(struct sreq *s)
{
	(void)s;		/* it goes on: its failure counts */
}

static struct attempt *
attempt_new(struct worker *w, unsigned use, uint32_t req)
{
	const struct seal_bundle *b = &w->v->keys->bundle;
	uint8_t source[16];
	struct attempt *a;

	if (w->attempt != NULL) {
		sess_error(w, req, ERR_BUSY);
		return NULL;
	}
	if ((a = calloc(1, sizeof(*a))) == NULL)
		fatal("calloc");
	a->v = w->v;
	a->use = use;
	a->n = w->n;
	memcpy(a->source_text, w->source, sizeof(a->source_text));
	backoff_source(source, w->source);
	a->source = rec_key_backoff_source(b, source);
	memcpy(a->bind, w->bind, sizeof(a->bind));
	w->attempt = a;
	sreq_begin(&a->sreq, w, req, gone);
	return a;
}

/* The answer, and the end of the attempt. */
static void
answer(struct attempt *a, uint16_t code)
{
	struct worker *w = a->sreq.w;
	uint32_t req = a->sreq.req;

	if (a->admitted)
		LIST_REMOVE(a, link);
	if (w != NULL) {
		w->attempt = NULL;
		if (code != 0)
			sess_error(w, req, code);
	}
	sreq_end(&a->sreq);
	freezero(a, sizeof(*a));
	if (w != NULL && (code == ERR_PASSWORD || code == ERR_INVITE ||
	    code == ERR_BAD))
		gate_failed(w);
}

static bool
same(const struct rec_key *a, const struct rec_key *b)
{
	return bytes_eq(rec_bytes(a), rec_bytes(b));
}

/* Whether it may be checked now; if not, it was answered and is over. */
static bool
admit(struct attempt *a)
{
	struct vault *v = a->v;
	const struct attempt *o;
	bool by_name = is_password(a) && !a->is_good;
	char text[128];
	uint32_t s;

	s = backoff_wait_s(v, &a->source, by_name ? &a->name : NULL);
	if (s > 0) {
		(void)snprintf(text, sizeof(text), "too many wrong %s: wait %u "
		    "s", is_password(a) ? "passwords" : "codes", s);
		sess_say(a->sreq.w, a->sreq.req, ERR_WAIT, text, "");
		audit(EV_auth_wait, a->n, a->u != NULL ? a->u->name : NULL,
		    "source=%s seconds=%u", a->source_text, s);
		answer(a, 0);
		return false;
	}
	LIST_FOREACH(o, &v->attempts, link)
		if (same(&o->source, &a->source) || (by_name &&
		    is_password(o) && !o->is_good && same(&o->name, &a->name)))
			break;
	if (o != NULL || v->stopping) {
		answer(a, ERR_BUSY);
		return false;
	}
	a->admitted = true;
	LIST_INSERT_HEAD(&v->attempts, a, link);
	return true;
}

/* ---- what was wrong --------------------------------------------------------- */

static void
on_counted(struct rcommit *rc, enum kv_status st)
{
	struct attempt *a = (struct attempt *)((char *)rc -
	    offsetof(struct attempt, rc));

	if (st != KV_OK)
		log_err("a failed attempt could not be written down");
	answer(a, a->code);
}

void
attempt_wrong(struct attempt *a, uint16_t code)
{
	if (code == ERR_STORAGE || code == ERR_OVERLOADED || code == ERR_KEY ||
	    code == ERR_BUSY || code == ERR_WEAK) {
		answer(a, code);
		return;
	}
	audit(EV_auth_fail, a->n, a->u != NULL ? a->u->name : NULL,
	    "reason=%s source=%s", code == ERR_INVITE ? "no such invite" :
	    code == ERR_BAD ? "a password that was not sealed for this session" :
	    a->u == NULL ? "no such user" : !a->real ? "no password" :
	    "wrong password", a->source_text);
	a->code = code;
	rcommit_begin(&a->rc, a->v, on_counted);
	backoff_fail(a->v, &a->rc, &a->source);
	if (is_password(a) && !a->is_good)
		backoff_fail(a->v, &a->rc, &a->name);
	if (a->rc.n > 0)
		rcommit_go(&a->rc);
	else
		answer(a, code);
}

/* ---- what was right --------------------------------------------------------- */

/* What follows when everything is durable. */
static void
right(struct attempt *a)
{
	struct m_vs_enrolled enrolled = { .req = a->sreq.req,
	    .user = bytes_str(a->u->name) };
	struct m_vs_done done = { .req = a->sreq.req };
	struct worker *w = a->sreq.w;
	char fp[RSA_FP_TEXT];

	if (enrols(a)) {
		rsa_fingerprint_text(fp, a->fp);
		audit(EV_auth_enrol, a->n, a->u->name, "key=%s by=%s source=%s", fp,
		    a->use == USE_INVITE ? "invite" : "password",
		    a->source_text);
		sreq_send(&a->sreq, MSG_vs_enrolled, &enrolled);
	} else if (a->use == PASSWORD_CHANGE) {
		audit(EV_auth_passwd, a->n, a->u->name, "source=%s",
		    a->source_text);
		sreq_send(&a->sreq, MSG_vs_done, &done);
	} else
		audit(EV_auth_password, a->n, a->u->name, "source=%s",
		    a->source_text);
	answer(a, 0);
	/* Its record of requests is empty now: it begins. */
	if (w != NULL && w->gate != NULL && w->gate->kind == GATE_FACTOR)
		gate_open(w);
}

static void
on_settled(struct rcommit *rc, enum kv_status st)
{
	struct attempt *a = (struct attempt *)((char *)rc -
	    offsetof(struct attempt, rc));
	struct vault *v = a->v;
	struct rec_key key;

	if (st == KV_OK) {
		if (a->have_fresh) {
			a->u->version++;
			a->u->password = true;
			/* Who knew the old one resumes nothing. */
			if (a->use == PASSWORD_CHANGE)
				tickets_drop(v, a->u, NULL);
		}
		if (enrols(a)) {
			key = rec_key_key(&v->keys->bundle, a->fp);
			enrolled_add(v, rec_bytes(&key), 1, REC_KEY_ACTIVE,
			    &a->k.message);
			a->u->keys++;
		}
		if (a->use == USE_INVITE)
			invite_taken(a);
		right(a);
	} else
		answer(a, ERR_STORAGE);
	queue_done(v);
}

/* Add the user's record with the new password. */
static void
put_user(struct attempt *a)
{
	const struct seal_bundle *b = &a->v->keys->bundle;
	struct rec_key key = rec_key_user(b, a->u->name);
	struct buf val = BUF_INIT(SEAL_VALUE_MAX);

	pwhash_store(&a->rec, &a->fresh);
	if (rec_seal_user(&val, b, rec_bytes(&key), a->version + 1,
	    &a->rec) != 0)
		fatalx("a user record cannot be sealed");
	rcommit_put(&a->rc, &key, a->version, buf_bytes(&val));
	buf_free(&val);
}

/* In the change: why it cannot be, or 0 with what to write in a->rc. */
static uint16_t
gather(struct attempt *a)
{
	struct vault *v = a->v;
	struct rec_key key;

	look_up(a);
	if (a->u == NULL || a->u->state != REC_USER_ENABLED)
		return is_password(a) ? ERR_PASSWORD : ERR_INVITE;
	/* A password that nobody waits for any more enrols nothing. */
	if (a->sreq.w == NULL)
		return ERR_BUSY;
	if (is_password(a) && a->u->version != a->version) {
		if (a->use == PASSWORD_CHANGE)
			return ERR_BUSY;
		a->have_fresh = false;
	}
	if (enrols(a)) {
		key = rec_key_key(&v->keys->bundle, a->fp);
		if (enrolled_find(v, rec_bytes(&key)) != NULL)
			return ERR_KEY;
		if (a->use == USE_INVITE && !invite_take(a))
			return ERR_INVITE;
		memcpy(a->k.uid, a->u->uid, sizeof(a->k.uid));
		crypto_random(a->k.keyid, sizeof(a->k.keyid));
		a->k.created_us = wall_us();
		a->k.state = REC_KEY_ACTIVE;
		key_put(&a->rc, &a->k, a->fp, 0);
	}
	if (a->have_fresh)
		put_user(a);
	if (is_password(a))
		backoff_good(v, &a->rc, &a->good);
	return 0;
}

static void
settle(struct queued *c)
{
	struct attempt *a = (struct attempt *)((char *)c -
	    offsetof(struct attempt, turn));
	struct vault *v = a->v;
	uint16_t code;

	rcommit_begin(&a->rc, v, on_settled);
	if ((code = gather(a)) != 0) {
		wb_free(&a->rc.commit.ops);
		attempt_wrong(a, code);
		queue_done(v);
	} else if (a->rc.n == 0) {
		right(a);
		queue_done(v);
	} else
		rcommit_go(&a->rc);
}

static void
fresh_begin(struct attempt *a)
{
	struct vault *v = a->v;

	a->fresh.memory_kib = v->argon2_memory_kib;
	a->fresh.passes = v->argon2_passes;
	crypto_random(a->fresh.salt, sizeof(a->fresh.salt));
}

/* One more hash, of the same password or, for a change, of the new one. */
static bool
hash_fresh(struct attempt *a)
{
	fresh_begin(a);
	a->job.q.fresh = a->use == PASSWORD_CHANGE;
	a->job.q.memory_kib = a->fresh.memory_kib;
	a->job.q.passes = a->fresh.passes;
	memcpy(a->job.q.salt, a->fresh.salt, sizeof(a->job.q.salt));
	a->job.done = on_fresh;
	return hash_ask(a->v, &a->job, true) == 0;
}

void
attempt_right(struct attempt *a)
{
	bool renew = is_password(a) && (a->use == PASSWORD_CHANGE ||
	    a->pw.memory_kib < a->v->argon2_memory_kib ||
	    a->pw.passes < a->v->argon2_passes);

	if (renew && hash_fresh(a))
		return;
	if (a->use == PASSWORD_CHANGE) {
		attempt_wrong(a, ERR_OVERLOADED);
		return;
	}
	a->turn.go = settle;
	queue_wait(a->v, &a->turn);
}

static void
on_fresh(struct hash_job *j, enum hashed result, const uint8_t *hash)
{
	struct attempt *a = j->arg;
	char text[128];

	if (result == HASHED_OK) {
		pwhash_make(&a->fresh, &a->v->keys->bundle, a->rec.uid, hash);
		a->have_fresh = true;
	} else if (a->use == PASSWORD_CHANGE) {
		if (result >= HASHED_WEAK && a->sreq.w != NULL) {
			(void)snprintf(text, sizeof(text), "the new password is "
			    "too weak: %s", password_fault_text(
			    (enum password_fault)(result - HASHED_WEAK)));
			sess_say(a->sreq.w, a->sreq.req, ERR_WEAK, text,
			    PASSWORD_RULE);
			answer(a, 0);
		} else
			attempt_wrong(a, ERR_OVERLOADED);
		return;
	}
	a->turn.go = settle;
	queue_wait(a->v, &a->turn);
}

/* ---- checking a password ------------------------------------------------------ */

static void
on_checked(struct hash_job *j, enum hashed result, const uint8_t *hash)
{
	struct attempt *a = j->arg;
	bool good;

	look_up(a);
	if (result == HASHED_MEMORY || result == HASHED_GONE) {
		attempt_wrong(a, ERR_OVERLOADED);
		return;
	}
	if (result != HASHED_OK) {
		attempt_wrong(a, ERR_BAD);
		return;
	}
	good = pwhash_right(&a->pw, &a->v->keys->bundle, a->rec.uid, hash);
	if (good & a->real & (a->u != NULL))
		attempt_right(a);
	else
		attempt_wrong(a, ERR_PASSWORD);
}

/* The same for a user and for none, but for what it says to the log. */
static void
on_user(void *arg, const struct engine_reply *r)
{
	struct attempt *a = arg;
	struct vault *v = a->v;
	bool found = false;

	look_up(a);
	if (r->status != KV_OK) {
		attempt_wrong(a, ERR_STORAGE);
		return;
	}
	if (r->row[0].value.p != NULL)
		found = a->u != NULL && rec_open_user(&a->rec, &a->version,
		    &v->keys->bundle, r->row[0].key, r->row[0].value) == 0 &&
		    a->version == a->u->version &&
		    memcmp(a->rec.uid, a->u->uid, REC_ID) == 0;
	if (a->u != NULL && !found)
		audit(EV_storage_tamper, a->n, a->u->name, "a user's record is "
		    "not the newest or does not verify");
	pwhash_dummy(&a->pw, &v->keys->bundle, bytes_str(a->user_name),
	    v->argon2_memory_kib, v->argon2_passes);
	a->real = found && a->u->state == REC_USER_ENABLED &&
	    pwhash_parse(&a->fresh, &a->rec) == 0;
	if (a->real)
		a->pw = a->fresh;
	a->job.q.memory_kib = a->pw.memory_kib;
	a->job.q.passes = a->pw.passes;
	memcpy(a->job.q.salt, a->pw.salt, sizeof(a->job.q.salt));
	a->job.q.user = bytes_str(a->user_name);
	a->job.done = on_checked;
	a->job.arg = a;
	if (hash_ask(v, &a->job, a->use != PASSWORD_ENROL) == -1)
		attempt_wrong(a, ERR_OVERLOADED);
}

static void
check_password(struct attempt *a, struct bytes name, struct bytes label,
    struct bytes msg_spki, const uint8_t exported[HASH_LEN],
    const uint8_t sealed[PASSWORD_SEALED])
{
	const struct seal_bundle *b = &a->v->keys->bundle;
	uint8_t source[16];
	struct rec_key key;

	(void)msg_text(a->user_name, sizeof(a->user_name), name);
	a->u = user_by_name(a->v, a->user_name);
	a->name = rec_key_backoff_name(b, name);
	if (a->u != NULL) {
		a->named = true;
		memcpy(a->uid, a->u->uid, sizeof(a->uid));
		backoff_source(source, a->source_text);
		a->good = rec_key_backoff_good(b, a->u->uid, source);
		a->is_good = backoff_is_good(a->v, &a->good);
	}
	password_what(a->what, name, label, msg_spki);
	password_info(a->job.q.info, (enum password_use)a->use, a->bind,
	    exported, a->what);
	memcpy(a->job.q.sealed, sealed, PASSWORD_SEALED);
	if (!admit(a))
		return;
	key = rec_key_user(b, a->user_name);
	engine_get(a->v->engine, rec_bytes(&key), on_user, a);
}

/* The key that wants in; false, and it was answered, when it cannot be one. */
static bool
take_key(struct attempt *a, struct bytes msg_spki, struct bytes label)
{
	const struct vault_gate *g = a->sreq.w->gate;

	(void)msg_text(a->k.label, sizeof(a->k.label), label);
	rsa_fingerprint(a->fp, bytes_of(g->sign.p, g->sign.n));
	if (key_take_spki(&a->k.sign, bytes_of(g->sign.p, g->sign.n),
	    RSA_USE_SIGN, false) &&
	    key_take_spki(&a->k.wrap, bytes_of(g->wrap.p, g->wrap.n),
	    RSA_USE_WRAP, false) &&
	    key_take_spki(&a->k.message, msg_spki, RSA_USE_SIGN, true) &&
	    !bytes_eq(msg_spki, bytes_of(g->sign.p, g->sign.n)))
		return true;
	answer(a, ERR_KEY);
	return false;
}

void
login_invite(struct worker *w, const struct m_sv_invite *m)
{
	struct attempt *a = attempt_new(w, USE_INVITE, m->req);
	const struct bytes none = { NULL, 0 };

	if (a == NULL || !take_key(a, m->msg_spki, m->label))
		return;
	password_what(a->what, none, m->label, m->msg_spki);
	memcpy(a->proof, m->proof, sizeof(a->proof));
	if (admit(a))
		invite_check(a, m->id);
}

void
login_enrol(struct worker *w, const struct m_sv_login *m)
{
	struct attempt *a = attempt_new(w, PASSWORD_ENROL, m->req);

	if (a != NULL && take_key(a, m->msg_spki, m->label))
		check_password(a, m->user, m->label, m->msg_spki, m->exported,
		    m->sealed);
}

void
login_factor(struct worker *w, const struct m_sv_password *m)
{
	struct attempt *a = attempt_new(w, PASSWORD_FACTOR, m->req);
	const struct bytes none = { NULL, 0 };

	if (a != NULL)
		check_password(a, bytes_str(w->user->name), none, none,
		    m->exported, m->sealed);
}

void
login_change(struct worker *w, const struct m_sv_passwd *m)
{
	struct attempt *a;
	const struct bytes none = { NULL, 0 };

	if (!w->bound) {
		sess_say(w, m->req, ERR_BAD, "a resumed session changes no "
		    "password", "connect again");
		return;
	}
	if (!sess_may(w, m->req) ||
	    (a = attempt_new(w, PASSWORD_CHANGE, m->req)) == NULL)
		return;
	check_password(a, bytes_str(w->user->name), none, none, m->exported,
	    m->sealed);
}
