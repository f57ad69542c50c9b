/*
 * What the administrator sets of a user: a password, which travels sealed to the
 * hasher like any other, and the policy.
 */
#include <string.h>

#include <openssl/crypto.h>

#include "log.h"
#include "vault_admin.h"
#include "vault_login.h"

/* A password or a policy. */
struct pwset {
	struct setting	 s;
	uint8_t		 policy;
	struct pwhash	 pw;
	struct hash_job	 job;
};

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

static bool
set_password(struct setting *s)
{
	pwhash_store(&s->rec, &((struct pwset *)s)->pw);
	return true;
}

static void
password_written(struct setting *s)
{
	tickets_drop(s->a->v, s->u, NULL);
	audit(EV_admin_user_passwd, 0, s->name, "uid=%u", s->a->uid);
	admin_end(s->a, true, "password of %s set", s->name);
}

static void
on_hashed(struct hash_job *j, enum hashed result, const uint8_t *hash)
{
	struct pwset *p = j->arg;
	struct setting *s = &p->s;

	if (result == HASHED_OK) {
		pwhash_make(&p->pw, &s->a->v->keys->bundle, s->uid, hash);
		setting_go(s, set_password, password_written);
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
	setting_end(s);
}

void
admin_passwd(struct admin *a, const struct m_av_passwd *m)
{
	static const uint8_t zeros[HASH_LEN];
	const struct bytes none = { NULL, 0 };
	uint8_t what[HASH_LEN];
	struct pwset *s;

	if (!a->have_nonce) {
		admin_end(a, false, "no key was asked for");
		return;
	}
	if ((s = setting_new(a, m->user, sizeof(*s))) == NULL)
		return;
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
	s->job.q.user = bytes_str(s->s.name);
	s->job.done = on_hashed;
	s->job.arg = s;
	if (hash_ask(a->v, &s->job, true) == -1) {
		admin_end(a, false, "the hasher is busy, try again");
		setting_end(&s->s);
	}
}

/* ---- the policy -------------------------------------------------------------- */

static bool
set_policy(struct setting *s)
{
	s->rec.flags = ((struct pwset *)s)->policy;
	return true;
}

static void
policy_written(struct setting *s)
{
	static const char *const names[] = { "default", "publickey",
	    "publickey+password" };
	const struct user *u = s->u;

	tickets_drop(s->a->v, u, NULL);
	audit(EV_admin_user_policy, 0, u->name, "policy=%s uid=%u",
	    names[u->policy], s->a->uid);
	admin_end(s->a, true, "policy of %s: %s%s", u->name, names[u->policy],
	    u->policy == REC_POLICY_KEY_PASSWORD && !u->password ?
	    " (and there is no password yet: user passwd)" : "");
}

void
admin_policy(struct admin *a, const struct m_av_policy *m)
{
	struct pwset *s;

	if (m->policy > REC_POLICY_KEY_PASSWORD) {
		admin_end(a, false, "there is no such policy");
		return;
	}
	if ((s = setting_new(a, m->user, sizeof(*s))) == NULL)
		return;
	s->policy = m->policy;
	setting_go(&s->s, set_policy, policy_written);
}
