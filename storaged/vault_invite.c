/*
 * Invites: one use each, until they expire.  The code is an id, which finds the
 * record, and a secret, which nobody shows: the client proves that it has it, for
 * its own key in its own session (password.h), so a worker between cannot enrol
 * another key with what it sees.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "log.h"
#include "vault_admin.h"
#include "vault_login.h"

#define SECONDS_MAX	(30u * 86400)

static struct invite *
find(struct vault *v, const struct rec_key *key)
{
	struct invite *i;

	LIST_FOREACH(i, &v->invites, link)
		if (bytes_eq(rec_bytes(&i->key), rec_bytes(key)))
			break;
	return i;
}

void
invite_load(struct vault *v, struct bytes key, const struct rec_invite *rec,
    uint64_t version)
{
	struct invite *i;

	if ((i = calloc(1, sizeof(*i))) == NULL)
		fatal("calloc");
	memcpy(i->key.p, key.p, key.n);
	i->key.n = key.n;
	i->version = version;
	i->expires_us = rec->expires_us;
	LIST_INSERT_HEAD(&v->invites, i, link);
	v->ninvites++;
}

static void
forget(struct vault *v, struct invite *i)
{
	LIST_REMOVE(i, link);
	v->ninvites--;
	free(i);
}

void
invites_free(struct vault *v)
{
	struct invite *i;

	while ((i = LIST_FIRST(&v->invites)) != NULL)
		forget(v, i);
}

/* What became of the records in a commit. */
static void
written(struct vault *v, const struct rcommit *rc)
{
	struct invite *i;

	for (size_t k = 0; k < rc->n; k++)
		if (rc->rec[k].key.p[0] == REC_INVITE && rc->rec[k].is == 0 &&
		    (i = find(v, &rc->rec[k].key)) != NULL)
			forget(v, i);
}

/* ---- using one ------------------------------------------------------------ */

static void
on_record(void *arg, const struct engine_reply *r)
{
	struct attempt *a = arg;
	struct vault *v = a->v;
	const struct invite *i = find(v, &a->invite);
	uint8_t want[HASH_LEN], secret[INVITE_SECRET];
	struct rec_invite rec;
	uint64_t version;
	bool good = false;

	if (r->status != KV_OK) {
		attempt_wrong(a, ERR_STORAGE);
		return;
	}
	/* Whatever is there, the same is computed. */
	memset(&rec, 0, sizeof(rec));
	crypto_random(secret, sizeof(secret));
	if (r->row[0].value.p != NULL) {
		good = i != NULL && rec_open_invite(&rec, &version,
		    &v->keys->bundle, r->row[0].key, r->row[0].value) == 0 &&
		    version == i->version;
		if (!good)
			audit(EV_storage_tamper, a->n, NULL, "an invite is not "
			    "the newest or does not verify");
	} else if (i != NULL)
		audit(EV_storage_tamper, a->n, NULL, "an invite is missing");
	if (good)
		memcpy(secret, rec.secret, sizeof(secret));
	invite_proof(want, secret, a->bind, a->what);
	good &= bytes_eq_ct(want, a->proof, sizeof(want));
	good &= wall_us() < rec.expires_us;
	a->u = good ? user_by_uid(v, rec.uid) : NULL;
	if ((a->named = a->u != NULL))
		memcpy(a->uid, rec.uid, sizeof(a->uid));
	good &= a->named;
	OPENSSL_cleanse(&rec, sizeof(rec));
	OPENSSL_cleanse(secret, sizeof(secret));
	OPENSSL_cleanse(want, sizeof(want));
	if (good)
		attempt_right(a);
	else
		attempt_wrong(a, ERR_INVITE);
}

void
invite_check(struct attempt *a, const uint8_t id[INVITE_ID])
{
	a->invite = rec_key_invite(&a->v->keys->bundle, id);
	engine_get(a->v->engine, rec_bytes(&a->invite), on_record, a);
}

bool
invite_take(struct attempt *a)
{
	const struct invite *i = find(a->v, &a->invite);

	if (i == NULL || wall_us() >= i->expires_us)
		return false;
	rcommit_del(&a->rc, &i->key, i->version);
	return true;
}

void
invite_taken(struct attempt *a)
{
	written(a->v, &a->rc);
}

/* ---- making one ------------------------------------------------------------ */

struct making {
	struct admin		*a;
	struct queued		 turn;
	struct rcommit		 rc;
	struct user		*u;
	uint8_t			 id[INVITE_ID];
	struct rec_invite	 rec;
	struct rec_key		 key;
};

static void
made(struct making *m)
{
	struct admin *a = m->a;

	freezero(m, sizeof(*m));
	a->pending = false;
	admin_release(a);
}

static void
on_made(struct rcommit *rc, enum kv_status st)
{
	struct making *m = (struct making *)((char *)rc -
	    offsetof(struct making, rc));
	struct admin *a = m->a;
	struct m_va_invite reply = { .expires_us = m->rec.expires_us };
	struct vault *v = a->v;

	if (st == KV_OK) {
		written(v, rc);
		invite_load(v, rec_bytes(&m->key), &m->rec, 1);
		audit(EV_admin_invite, 0, m->u->name, "uid=%u", a->uid);
		memcpy(reply.code, m->id, INVITE_ID);
		memcpy(reply.code + INVITE_ID, m->rec.secret, INVITE_SECRET);
		memcpy(reply.host_hash, v->host_hash, sizeof(reply.host_hash));
		admin_send(a, MSG_va_invite, &reply);
		admin_end(a, true, "for %s, once", m->u->name);
	} else
		admin_end(a, false, "the store failed, try again");
	queue_done(v);
	OPENSSL_cleanse(&reply, sizeof(reply));
	made(m);
}

static void
make(struct queued *c)
{
	struct making *m = (struct making *)((char *)c -
	    offsetof(struct making, turn));
	struct vault *v = m->a->v;
	struct buf val = BUF_INIT(SEAL_VALUE_MAX);
	const struct invite *i;

	/* It may have been removed while this waited. */
	if ((m->u = user_by_uid(v, m->rec.uid)) == NULL ||
	    m->u->state == REC_USER_REMOVED) {
		admin_end(m->a, false, "the user was removed");
		queue_done(v);
		made(m);
		return;
	}
	rcommit_begin(&m->rc, v, on_made);
	crypto_random(m->id, sizeof(m->id));
	crypto_random(m->rec.secret, sizeof(m->rec.secret));
	m->key = rec_key_invite(&v->keys->bundle, m->id);
	if (rec_seal_invite(&val, &v->keys->bundle, rec_bytes(&m->key), 1,
	    &m->rec) != 0)
		fatalx("an invite cannot be sealed");
	rcommit_put(&m->rc, &m->key, 0, buf_bytes(&val));
	buf_free(&val);
	/* Some of those that nobody can use any more go with it. */
	LIST_FOREACH(i, &v->invites, link)
		if (i->expires_us <= m->rec.created_us && m->rc.n < RCOMMIT_MAX)
			rcommit_del(&m->rc, &i->key, i->version);
	rcommit_go(&m->rc);
}

void
admin_invite(struct admin *a, const struct m_av_invite *q)
{
	struct user *u = admin_user(a, q->user);
	struct making *m;

	if (u == NULL)
		return;
	if (!a->v->enrolment) {
		admin_end(a, false, "enrolment is off (cloisterd.conf)");
		return;
	}
	if (q->seconds < 1 || q->seconds > SECONDS_MAX) {
		admin_end(a, false, "an invite is good for a second to 30 "
		    "days");
		return;
	}
	if (a->v->ninvites >= VAULT_INVITES_MAX) {
		admin_end(a, false, "there are %zu invites already; they "
		    "expire", a->v->ninvites);
		return;
	}
	if ((m = calloc(1, sizeof(*m))) == NULL)
		fatal("calloc");
	m->a = a;
	m->u = u;
	m->turn.go = make;
	memcpy(m->rec.uid, u->uid, sizeof(m->rec.uid));
	m->rec.created_us = wall_us();
	m->rec.expires_us = m->rec.created_us + q->seconds * 1000000ull;
	a->pending = true;
	queue_wait(a->v, &m->turn);
}
