/*
 * cloisterctl user remove: the user's record says first that it is being
 * removed, so that whatever interrupts, a later start goes on; then conversation
 * after conversation is deleted, then the keys, then the record itself.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "log.h"
#include "vault_admin.h"

#define AT_ONCE		200	/* deletions under way */
#define KEYS_AT_ONCE	200
#define WAIT_MS		50	/* for what is being stored */

struct erase {
	struct commit		 commit;
	struct vault		*v;
	struct admin		*a;	/* who waits, or NULL */
	struct user		*u;
	struct rec_key		 ukey;
	char			 name[REC_NAME_MAX + 1];
	unsigned		 inflight;
	bool			 adding;
	bool			 failed;
	size_t			 convs;
	size_t			 nkeys;		/* that are being removed */
	struct {
		struct rec_key	 list, key;	/* k and K */
		uint64_t	 version;	/* of both */
	} key[KEYS_AT_ONCE];
};

static void erase_more(struct erase *);

static void
erase_end(struct erase *e, bool ok)
{
	struct admin *a = e->a;

	e->v->changing = false;
	if (a != NULL) {
		a->pending = false;
		if (ok)
			admin_end(a, true, "user %s and %zu conversations "
			    "removed; shredding pending", e->name,
			    e->convs);
		else
			admin_end(a, false, "the storage failed: user %s is "
			    "removed only in part, try again", e->name);
		admin_release(a);
	}
	wb_free(&e->commit.ops);
	freezero(e, sizeof(*e));
}

static void
write_ops(struct erase *e, void (*account)(void *, uint8_t mset[REC_HASH]),
    void (*done)(void *, enum kv_status))
{
	e->commit.account = account;
	e->commit.done = done;
	e->commit.arg = e;
	commit_add(e->v, &e->commit);
}

static void
account_user(void *arg, uint8_t mset[REC_HASH])
{
	struct erase *e = arg;

	mset_sub_record(mset, &e->v->keys->bundle, rec_bytes(&e->ukey),
	    e->u->version);
	budget_account_erased(e->v, e->u, mset);
}

static void
on_user_gone(void *arg, enum kv_status st)
{
	struct erase *e = arg;

	if (st == KV_OK) {
		audit(EV_admin_user_removed, 0, e->name, "conversations=%zu",
		    e->convs);
		user_remove(e->v, e->u);
	}
	erase_end(e, st == KV_OK);
}

static void
remove_record(struct erase *e)
{
	wb_del(&e->commit.ops, rec_bytes(&e->ukey));
	budget_erase(e->u, &e->commit.ops);
	write_ops(e, account_user, on_user_gone);
}

static void
account_keys(void *arg, uint8_t mset[REC_HASH])
{
	struct erase *e = arg;
	const struct seal_bundle *b = &e->v->keys->bundle;

	for (size_t i = 0; i < e->nkeys; i++) {
		mset_sub_record(mset, b, rec_bytes(&e->key[i].list),
		    e->key[i].version);
		mset_sub_record(mset, b, rec_bytes(&e->key[i].key),
		    e->key[i].version);
	}
}

static void remove_keys(struct erase *);

static void
on_keys_gone(void *arg, enum kv_status st)
{
	struct erase *e = arg;

	if (st != KV_OK) {
		erase_end(e, false);
		return;
	}
	for (size_t i = 0; i < e->nkeys; i++)
		enrolled_remove(e->v, rec_bytes(&e->key[i].key));
	remove_keys(e);
}

/* A k record names its K record. */
static int
take_key(struct erase *e, const struct kv_row *row)
{
	uint8_t uid[REC_ID], keyid[REC_KEYID];
	const struct seal_bundle *b = &e->v->keys->bundle;
	struct rec_userkey uk;
	struct rec_key key;
	uint64_t version;

	if (rec_parse_userkey(row->key, uid, keyid) != 0 ||
	    rec_open_userkey(&uk, &version, b, row->key, row->value) != 0)
		return -1;
	key = rec_key_key(b, uk.fp);
	if (enrolled_version(e->v, rec_bytes(&key)) != version)
		return -1;
	wb_del(&e->commit.ops, row->key);
	wb_del(&e->commit.ops, rec_bytes(&key));
	e->key[e->nkeys].list = rec_key_userkey(uid, keyid);
	e->key[e->nkeys].key = key;
	e->key[e->nkeys++].version = version;
	return 0;
}

static void
on_keys(void *arg, const struct engine_reply *r)
{
	struct erase *e = arg;

	if (r->status != KV_OK)
		e->failed = true;
	for (size_t i = 0; i < r->n && !e->failed; i++)
		if (take_key(e, &r->row[i]) == -1) {
			audit(EV_storage_tamper, 0, e->name, "an entry in "
			    "the list of keys is not the newest or does not "
			    "verify");
			e->failed = true;
		}
	if (!r->last)
		return;
	if (e->failed)
		erase_end(e, false);
	else if (e->nkeys > 0)
		write_ops(e, account_keys, on_keys_gone);
	else
		remove_record(e);
}

static void
remove_keys(struct erase *e)
{
	struct rec_key lo = rec_prefix_id(REC_USERKEY, e->u->uid);
	struct rec_key hi = rec_prefix_end(&lo);
	struct engine_pos at = engine_at(rec_bytes(&lo));

	e->nkeys = 0;
	engine_scan(e->v->engine, &at, &hi, KEYS_AT_ONCE, on_keys, e);
}

static void
on_wait(void *arg)
{
	struct erase *e = arg;

	e->v->erase_timer = NULL;
	erase_more(e);
}

/* A conversation was deleted, or had been by somebody else. */
static void
on_deleted(void *arg, uint16_t code)
{
	struct erase *e = arg;

	e->inflight--;
	if (code == 0)
		e->convs++;
	else if (code != ERR_NO_CONV)
		e->failed = true;
	if (e->inflight == 0 && !e->adding)
		erase_more(e);
}

/* Delete as many as may be under way at once. */
static void
add(struct erase *e)
{
	struct vault *v = e->v;
	struct conv *c, *next;

	e->adding = true;
	for (size_t i = 0; i < v->nbuckets && e->inflight < AT_ONCE; i++)
		for (c = LIST_FIRST(&v->convs[i]); c != NULL; c = next) {
			next = LIST_NEXT(c, link);
			if (c->user != e->u || c->deleting)
				continue;
			e->inflight++;
			conv_erase(v, c, on_deleted, e);
		}
	e->adding = false;
}

static void
erase_more(struct erase *e)
{
	struct vault *v = e->v;

	if (!e->failed)
		add(e);
	if (e->inflight > 0)
		return;
	if (e->failed)
		erase_end(e, false);
	else if (e->u->nconvs > 0 || e->u->nchanges > 0 || e->u->counting > 0)
		/* Messages and tallies that are still being stored. */
		v->erase_timer = loop_timer_new(v->loop, WAIT_MS, on_wait, e);
	else
		remove_keys(e);
}

static void
account_state(void *arg, uint8_t mset[REC_HASH])
{
	struct erase *e = arg;
	const struct seal_bundle *b = &e->v->keys->bundle;

	mset_sub_record(mset, b, rec_bytes(&e->ukey), e->u->version);
	mset_add_record(mset, b, rec_bytes(&e->ukey), e->u->version + 1);
}

static void
on_state(void *arg, enum kv_status st)
{
	struct erase *e = arg;

	if (st != KV_OK) {
		erase_end(e, false);
		return;
	}
	e->u->version++;
	e->u->state = REC_USER_REMOVED;
	audit(EV_admin_user_remove, 0, e->u->name, "uid=%u", e->a->uid);
	(void)workers_end(e->v, e->u, NULL, "the user is removed");
	erase_more(e);
}

/* The record says what is going on before anything else does. */
static void
on_record(void *arg, const struct engine_reply *r)
{
	struct erase *e = arg;
	struct buf val = BUF_INIT(SEAL_VALUE_MAX);
	struct rec_user rec;
	uint64_t version;

	if (r->status != KV_OK || r->row[0].value.p == NULL ||
	    rec_open_user(&rec, &version, &e->v->keys->bundle, r->row[0].key,
	    r->row[0].value) != 0 || version != e->u->version) {
		if (r->status == KV_OK)
			audit(EV_storage_tamper, 0, e->u->name, "a user's "
			    "record is not the newest or does not verify");
		erase_end(e, false);
		return;
	}
	rec.state = REC_USER_REMOVED;
	if (rec_seal_user(&val, &e->v->keys->bundle, rec_bytes(&e->ukey),
	    version + 1, &rec) != 0)
		fatalx("a user record cannot be sealed");
	OPENSSL_cleanse(&rec, sizeof(rec));
	wb_put(&e->commit.ops, KV_VER, version, rec_bytes(&e->ukey),
	    buf_bytes(&val));
	buf_free(&val);
	write_ops(e, account_state, on_state);
}

static struct erase *
erase_new(struct vault *v, struct user *u, struct admin *a)
{
	struct erase *e;

	if ((e = calloc(1, sizeof(*e))) == NULL)
		fatal("calloc");
	e->v = v;
	e->u = u;
	e->a = a;
	e->ukey = rec_key_user(&v->keys->bundle, u->name);
	(void)strlcpy(e->name, u->name, sizeof(e->name));
	v->changing = true;
	return e;
}

void
admin_user_remove(struct admin *a, const struct m_av_user_remove *m)
{
	struct user *u;
	struct erase *e;
	char name[65];

	(void)msg_text(name, sizeof(name), m->name);
	if ((u = user_by_name(a->v, name)) == NULL) {
		admin_end(a, false, "there is no user %s", name);
		return;
	}
	if (u->nconvs > 0 && m->erase == 0) {
		admin_end(a, false, "user %s has %zu conversations: --erase "
		    "deletes them too", name, u->nconvs);
		return;
	}
	if (!admin_may_change(a))
		return;
	admin_begin(a);
	e = erase_new(a->v, u, a);
	if (u->state == REC_USER_REMOVED)
		erase_more(e);		/* an attempt that failed */
	else
		engine_get(a->v->engine, rec_bytes(&e->ukey), on_record, e);
}

void
erase_resume(struct vault *v)
{
	struct user *u;

	LIST_FOREACH(u, &v->users, link)
		if (u->state == REC_USER_REMOVED)
			break;
	if (u != NULL && !v->changing)
		erase_more(erase_new(v, u, NULL));
}
