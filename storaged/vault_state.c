#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "kdf.h"
#include "log.h"
#include "secret.h"
#include "vault_turn.h"

#define BUCKETS_MIN	1024

struct vault *
vault_new(struct role *r, struct loop *l)
{
	struct vault *v;

	if ((v = calloc(1, sizeof(*v))) == NULL)
		fatal("calloc");
	v->role = r;
	v->loop = l;
	v->keys = secret_alloc(sizeof(*v->keys));
	v->engine = engine_new();
	v->anchor_fd = -1;
	v->nbuckets = BUCKETS_MIN;
	if ((v->convs = calloc(v->nbuckets, sizeof(*v->convs))) == NULL)
		fatal("calloc");
	LIST_INIT(&v->users);
	LIST_INIT(&v->enrolled);
	LIST_INIT(&v->tombs);
	STAILQ_INIT(&v->waiting);
	STAILQ_INIT(&v->committing);
	LIST_INIT(&v->admins);
	STAILQ_INIT(&v->queued);
	LIST_INIT(&v->invites);
	LIST_INIT(&v->fails);
	LIST_INIT(&v->gates);
	LIST_INIT(&v->attempts);
	v->password_delay_s = 1;
	v->policy = REC_POLICY_KEY;
	v->argon2_memory_kib = 65536;
	v->argon2_passes = 3;
	STAILQ_INIT(&v->hash_wait[0]);
	STAILQ_INIT(&v->hash_wait[1]);
	STAILQ_INIT(&v->hash_sent);
	LIST_INIT(&v->doomed);
	TAILQ_INIT(&v->tickets);
	LIST_INIT(&v->cert_jobs);
	v->started_ms = mono_ms();
	return v;
}

void
vault_free(struct vault *v)
{
	struct enrolled *e;
	struct user *u;
	struct conv *c;

	for (size_t i = 0; i < v->nbuckets; i++)
		while ((c = LIST_FIRST(&v->convs[i])) != NULL) {
			LIST_REMOVE(c, link);
			conv_free(v, c);
		}
	free(v->convs);
	while ((u = LIST_FIRST(&v->users)) != NULL) {
		LIST_REMOVE(u, link);
		free(u->grants);
		free(u);
	}
	while ((e = LIST_FIRST(&v->enrolled)) != NULL) {
		LIST_REMOVE(e, link);
		free(e);
	}
	hash_free(v);
	invites_free(v);
	backoff_free(v);
	workers_forget_doomed(v);
	tickets_drop(v, NULL, NULL);
	loop_timer_free(v->ticket_timer);
	loop_timer_free(v->erase_timer);
	turn_free(v);
	verify_free(v);
	retain_free(v);
	loop_timer_free(v->backup_timer);
	rotate_free(v);
	sweep_free(v);
	certs_free_all(v);
	loop_timer_free(v->anchor_timer);
	loop_timer_free(v->stop_timer);
	wb_free(&v->batch);
	engine_free(v->engine);
	secret_free(v->keys, sizeof(*v->keys));
	free(v);
}

struct user *
user_add(struct vault *v, const struct rec_user *rec, uint64_t version)
{
	struct user *u;

	if ((u = calloc(1, sizeof(*u))) == NULL)
		fatal("calloc");
	memcpy(u->name, rec->name, sizeof(u->name));
	memcpy(u->uid, rec->uid, sizeof(u->uid));
	u->created_us = rec->created_us;
	u->version = version;
	u->state = rec->state;
	user_take(u, rec);
	LIST_INIT(&u->convs);
	LIST_INSERT_HEAD(&v->users, u, link);
	v->nusers++;
	return u;
}

void
user_take(struct user *u, const struct rec_user *rec)
{
	u->policy = rec->flags;
	u->password = rec->pwhash_n > 0;
	memcpy(u->limit, rec->limit, sizeof(u->limit));
	free(u->grants);
	u->grants = NULL;
	if (rec->grants.none_but == 0 && rec->grants.n == 0)
		return;
	if ((u->grants = malloc(sizeof(*u->grants))) == NULL)
		fatal("malloc");
	*u->grants = rec->grants;
}

void
user_remove(struct vault *v, struct user *u)
{
	tickets_drop(v, u, NULL);
	free(u->grants);
	LIST_REMOVE(u, link);
	v->nusers--;
	freezero(u, sizeof(*u));
}

struct user *
user_by_uid(struct vault *v, const uint8_t uid[REC_ID])
{
	struct user *u;

	LIST_FOREACH(u, &v->users, link)
		if (memcmp(u->uid, uid, REC_ID) == 0)
			break;
	return u;
}

struct user *
user_by_name(struct vault *v, const char *name)
{
	struct user *u;

	LIST_FOREACH(u, &v->users, link)
		if (strcmp(u->name, name) == 0)
			break;
	return u;
}

void
enrolled_add(struct vault *v, struct bytes key, uint64_t version,
    uint8_t state, const struct rec_spki *message)
{
	struct enrolled *e;

	if (key.n > sizeof(e->key.p))
		fatalx("key too long");
	if ((e = calloc(1, sizeof(*e))) == NULL)
		fatal("calloc");
	memcpy(e->key.p, key.p, key.n);
	e->key.n = key.n;
	e->version = version;
	e->state = state;
	sha256(e->message, bytes_of(message->p, message->n));
	LIST_INSERT_HEAD(&v->enrolled, e, link);
}

struct enrolled *
enrolled_find(const struct vault *v, struct bytes key)
{
	struct enrolled *e, *found = NULL;

	/* To the end in any case: where a key stands does not show. */
	LIST_FOREACH(e, &v->enrolled, link)
		if (bytes_eq(rec_bytes(&e->key), key))
			found = e;
	return found;
}

void
enrolled_remove(struct vault *v, struct bytes key)
{
	struct enrolled *e = enrolled_find(v, key);

	if (e == NULL)
		return;
	LIST_REMOVE(e, link);
	freezero(e, sizeof(*e));
}

uint64_t
enrolled_version(const struct vault *v, struct bytes key)
{
	const struct enrolled *e = enrolled_find(v, key);

	return e != NULL ? e->version : 0;
}

struct conv *
conv_new(const uint8_t id[REC_ID], const uint8_t uid[REC_ID])
{
	struct conv *c;

	if ((c = calloc(1, sizeof(*c))) == NULL)
		fatal("calloc");
	memcpy(c->id, id, sizeof(c->id));
	memcpy(c->uid, uid, sizeof(c->uid));
	c->dk = -1;
	STAILQ_INIT(&c->changes);
	return c;
}

/* Ids are random: any bits of them are a hash. */
static struct convs *
bucket(struct vault *v, const uint8_t id[REC_ID])
{
	return &v->convs[get_be64(id) & (v->nbuckets - 1)];
}

static void
grow(struct vault *v)
{
	struct convs *old = v->convs;
	size_t n = v->nbuckets;
	struct conv *c;

	v->nbuckets = n * 2;
	if ((v->convs = calloc(v->nbuckets, sizeof(*v->convs))) == NULL)
		fatal("calloc");
	for (size_t i = 0; i < n; i++)
		while ((c = LIST_FIRST(&old[i])) != NULL) {
			LIST_REMOVE(c, link);
			LIST_INSERT_HEAD(bucket(v, c->id), c, link);
		}
	free(old);
}

void
conv_insert(struct vault *v, struct conv *c)
{
	if (v->nconvs >= v->nbuckets)
		grow(v);
	LIST_INSERT_HEAD(bucket(v, c->id), c, link);
	v->nconvs++;
	if (c->user != NULL) {
		LIST_INSERT_HEAD(&c->user->convs, c, of_user);
		c->user->nconvs++;
		c->user->nmessages += c->last;
	}
}

void
conv_free(struct vault *v, struct conv *c)
{
	dk_drop(v, c);
	if (c->refused != NULL)
		freezero(c->refused, REC_HASH);
	free(c);
}

struct conv *
conv_find(struct vault *v, const uint8_t id[REC_ID])
{
	struct conv *c;

	LIST_FOREACH(c, bucket(v, id), link)
		if (memcmp(c->id, id, REC_ID) == 0)
			break;
	return c;
}

void
conv_head(const struct conv *c, struct rec_head *h)
{
	memset(h, 0, sizeof(*h));
	h->last = c->last;
	memcpy(h->chain, c->chain, sizeof(h->chain));
	h->created_us = c->created_us;
	h->updated_us = c->updated_us;
}

void
conv_set_head(struct conv *c, const struct rec_head *h)
{
	c->last = h->last;
	memcpy(c->chain, h->chain, sizeof(c->chain));
	c->created_us = h->created_us;
	c->updated_us = h->updated_us;
}

const uint8_t *
dk_find(struct vault *v, struct conv *c)
{
	if (c->dk == -1)
		return NULL;
	v->dk_used[c->dk] = ++v->dk_clock;
	return v->keys->dk[c->dk];
}

uint8_t *
dk_make(struct vault *v, struct conv *c)
{
	int best = -1;

	for (int i = 0; i < VAULT_DKS; i++) {
		struct conv *o = v->dk_owner[i];

		if (o == NULL) {
			best = i;
			break;
		}
		if (o->pins == 0 &&
		    (best == -1 || v->dk_used[i] < v->dk_used[best]))
			best = i;
	}
	if (best == -1)
		return NULL;
	if (v->dk_owner[best] != NULL)
		dk_drop(v, v->dk_owner[best]);
	v->dk_owner[best] = c;
	v->dk_used[best] = ++v->dk_clock;
	c->dk = best;
	return v->keys->dk[best];
}

void
dk_drop(struct vault *v, struct conv *c)
{
	if (c->dk == -1)
		return;
	if (c->title != NULL)
		freezero(c->title, strlen(c->title));
	c->title = NULL;
	OPENSSL_cleanse(v->keys->dk[c->dk], SEAL_KEYLEN);
	v->dk_owner[c->dk] = NULL;
	c->dk = -1;
}

void
dk_drop_user(struct vault *v, const struct user *u)
{
	for (int i = 0; i < VAULT_DKS; i++) {
		struct conv *c = v->dk_owner[i];

		if (c != NULL && c->user == u && c->pins == 0)
			dk_drop(v, c);
	}
}

void
conv_pin(struct conv *c)
{
	c->pins++;
}

void
conv_unpin(struct vault *v, struct conv *c)
{
	if (--c->pins > 0)
		return;
	if (c->gone || c->version == 0)
		conv_free(v, c);	/* nobody else knows of it */
	else if (c->user == NULL || c->user->live == 0)
		dk_drop(v, c);
}

void
conv_remove(struct vault *v, struct conv *c)
{
	LIST_REMOVE(c, link);
	v->nconvs--;
	v->nrefused -= c->refused != NULL;
	if (c->user != NULL) {
		LIST_REMOVE(c, of_user);
		c->user->nconvs--;
		c->user->nmessages -= c->last;
	}
	c->user = NULL;
	c->gone = true;
	dk_drop(v, c);
}
