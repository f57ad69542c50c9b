/*
 * What the administrator sets of a user: a password, which travels sealed to the
 * hasher like any other, and the policy.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "log.h"
#include "vault_admin.h"
#include "vault_login.h"

/* A user's record that is being replaced. */
struct setting {
	struct admin	*a;
	struct user	*u;
	uint8_t		 uid[REC_ID];
	char		 name[REC_NAME_MAX + 1];
	bool		 password;	/* else the policy */
	uint8_t		 policy;
	struct pwhash	 pw;
	struct hash_job	 job;
	struct queued	 turn;
	struct rcommit	 rc;
	struct rec_user	 rec;
	uint64_t	 version;
};

/* The command has ended; so has its change, if it had the turn. */
static void
finish(struct setting *s)
{
	struct admin *a = s->a;

	freezero(s, sizeof(*s));
	a->pending = false;
	admin_release(a);
}

static void
on_written(struct rcommit *rc, enum kv_status st)
{
	struct setting *s = (struct setting *)((char *)rc -
	    offsetof(struct setting, rc));
	struct admin *a = s->a;
	struct user *u = s->u;
	static const char *const policies[] = { "default", "publickey",
	    "publickey+password" };

	queue_done(a->v);
	if (st != KV_OK)
		admin_end(a, false, "the store failed, try again");
	else {
		u->version = s->version + 1;
		u->password = s->rec.pwhash_n > 0;
		u->policy = s->rec.flags;
		tickets_drop(a->v, u, NULL);
		if (s->password)
			audit(EV_admin_user_passwd, 0, u->name, "uid=%u",
			    a->uid);
		else
			audit(EV_admin_user_policy, 0, u->name,
			    "policy=%s uid=%u", policies[u->policy], a->uid);
		if (s->password)
			admin_end(a, true, "password of %s set", u->name);
		else
			admin_end(a, true, "policy of %s: %s%s", u->name,
			    policies[u->policy], u->policy ==
			    REC_POLICY_KEY_PASSWORD && !u->password ?
			    " (and there is no password yet: user passwd)" : "");
	}
	finish(s);
}

static void
on_record(void *arg, const struct engine_reply *r)
{
	struct setting *s = arg;
	struct vault *v = s->a->v;
	struct rec_key key = rec_key_user(&v->keys->bundle, s->u->name);
	struct buf val = BUF_INIT(SEAL_VALUE_MAX);

	if (r->status != KV_OK || r->row[0].value.p == NULL ||
	    rec_open_user(&s->rec, &s->version, &v->keys->bundle,
	    r->row[0].key, r->row[0].value) != 0 ||
	    s->version != s->u->version) {
		if (r->status == KV_OK)
			audit(EV_storage_tamper, 0, s->u->name, "a user's "
			    "record is not the newest or does not verify");
		admin_end(s->a, false, "the storage failed; the log has more");
		queue_done(v);
		finish(s);
		return;
	}
	if (s->password)
		pwhash_store(&s->rec, &s->pw);
	else
		s->rec.flags = s->policy;
	rcommit_begin(&s->rc, v, on_written);
	if (rec_seal_user(&val, &v->keys->bundle, rec_bytes(&key),
	    s->version + 1, &s->rec) != 0)
		fatalx("a user record cannot be sealed");
	rcommit_put(&s->rc, &key, s->version, buf_bytes(&val));
	buf_free(&val);
	rcommit_go(&s->rc);
}

static void
change(struct queued *c)
{
	struct setting *s = (struct setting *)((char *)c -
	    offsetof(struct setting, turn));
	struct rec_key key = rec_key_user(&s->a->v->keys->bundle, s->name);

	/* It may have been removed while this waited. */
	if ((s->u = user_by_uid(s->a->v, s->uid)) == NULL ||
	    s->u->state == REC_USER_REMOVED) {
		admin_end(s->a, false, "the user was removed");
		queue_done(s->a->v);
		finish(s);
		return;
	}
	engine_get(s->a->v->engine, rec_bytes(&key), on_record, s);
}

static void
set(struct setting *s)
{
	s->turn.go = change;
	queue_wait(s->a->v, &s->turn);
}

static struct setting *
setting_new(struct admin *a, struct bytes name)
{
	struct user *u = admin_user(a, name);
	struct setting *s;

	if (u == NULL)
		return NULL;
	if ((s = calloc(1, sizeof(*s))) == NULL)
		fatal("calloc");
	s->a = a;
	memcpy(s->uid, u->uid, sizeof(s->uid));
	(void)strlcpy(s->name, u->name, sizeof(s->name));
	a->pending = true;
	return s;
}

/* ---- a password ------------------------------------------------------------ */

void
admin_seal(struct admin *a, const struct m_av_seal *m)
{
	struct m_va_seal reply;

	if (admin_user(a, m->user) == NULL)
		return;
	if (!a->v->hasher_up) {
		admin_end(a, false, "the hasher does not run, try again");
		return;
	}
	crypto_random(a->nonce, sizeof(a->nonce));
	a->have_nonce = true;
	memcpy(reply.seal, a->v->seal, sizeof(reply.seal));
	memcpy(reply.nonce, a->nonce, sizeof(reply.nonce));
	admin_send(a, MSG_va_seal, &reply);
	admin_end(a, true, "%s", "");
}

static void
on_hashed(struct hash_job *j, enum hashed result, const uint8_t *hash)
{
	struct setting *s = j->arg;

	if (result == HASHED_OK) {
		pwhash_make(&s->pw, &s->a->v->keys->bundle, s->uid, hash);
		set(s);
		return;
	}
	if (result >= HASHED_WEAK)
		admin_end(s->a, false, "the password is too weak: %s (%s)",
		    password_fault_text((enum password_fault)(result -
		    HASHED_WEAK)), PASSWORD_RULE);
	else
		admin_end(s->a, false, "%s", result == HASHED_SEALED ?
		    "the password was not sealed for this" :
		    "the hasher failed, try again");
	finish(s);
}

void
admin_passwd(struct admin *a, const struct m_av_passwd *m)
{
	static const uint8_t zeros[HASH_LEN];
	const struct bytes none = { NULL, 0 };
	uint8_t what[HASH_LEN];
	struct setting *s;

	if (!a->have_nonce) {
		admin_end(a, false, "no key was asked for");
		return;
	}
	if ((s = setting_new(a, m->user)) == NULL)
		return;
	s->password = true;
	s->pw.memory_kib = a->v->argon2_memory_kib;
	s->pw.passes = a->v->argon2_passes;
	crypto_random(s->pw.salt, sizeof(s->pw.salt));
	password_what(what, m->user, none, none);
	password_info(s->job.q.info, PASSWORD_ADMIN, a->nonce, zeros, what);
	a->have_nonce = false;		/* each is for one password */
	memcpy(s->job.q.sealed, m->sealed, sizeof(s->job.q.sealed));
	memcpy(s->job.q.salt, s->pw.salt, sizeof(s->job.q.salt));
	s->job.q.memory_kib = s->pw.memory_kib;
	s->job.q.passes = s->pw.passes;
	s->job.q.fresh = 1;
	s->job.q.user = bytes_str(s->name);
	s->job.done = on_hashed;
	s->job.arg = s;
	if (hash_ask(a->v, &s->job, true) == -1) {
		admin_end(a, false, "the hasher is busy, try again");
		finish(s);
	}
}

/* ---- the policy -------------------------------------------------------------- */

void
admin_policy(struct admin *a, const struct m_av_policy *m)
{
	struct setting *s;

	if (m->policy > REC_POLICY_KEY_PASSWORD) {
		admin_end(a, false, "there is no such policy");
		return;
	}
	if ((s = setting_new(a, m->user)) == NULL)
		return;
	s->policy = m->policy;
	set(s);
}
