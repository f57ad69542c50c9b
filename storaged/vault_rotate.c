/*
 * Rotating the storage key: a turn of the epoch whose next epoch names the next
 * generation.  docs/storage.md, Turning the epoch, rotating the storage key.
 *
 * The anchor alone says which generations count.  What else there is, of a
 * rotation that did not come to the turn or whose end was interrupted, is dropped.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "kdf.h"
#include "log.h"
#include "vault_turn.h"

#define BUNDLE_VERSION	1	/* of an R record: each is written once */
#define BUNDLES_MAX	100

struct rotate {
	struct commit	 commit;
	struct vault	*v;
	bool		 busy;		/* with the commit */
	bool		 tidying;	/* what is busy is this */
	/* Who wants a rotation as soon as that is done. */
	void		(*next)(void *, bool, const char *);
	void		*next_arg;
};

static struct rotate *
rotate_of(struct vault *v)
{
	if (v->rotate == NULL) {
		if ((v->rotate = calloc(1, sizeof(*v->rotate))) == NULL)
			fatal("calloc");
		v->rotate->v = v;
	}
	return v->rotate;
}

static void
account_none(void *arg, uint8_t mset[REC_HASH])
{
	(void)arg;
	(void)mset;
}

static void
write_ops(struct rotate *r, void (*done)(void *, enum kv_status))
{
	r->busy = true;
	r->commit.account = account_none;
	r->commit.done = done;
	r->commit.arg = r;
	commit_add(r->v, &r->commit);
}

static bool
in_anchor(const struct anchor *a, uint32_t gen)
{
	for (unsigned i = 0; i < a->nepochs; i++)
		if (a->epoch[i].gen == gen)
			return true;
	return false;
}

/* ---- what is left over ----------------------------------------------------- */

static void
tidy_keyfile(struct vault *v)
{
	const struct anchor *a = &v->keys->anchor;
	struct keyfile *kf = &v->keyfile;
	struct keyfile_gen keep;

	if (a->nepochs == 2 || (kf->ngens == 1 &&
	    kf->gen[0].gen == a->epoch[0].gen))
		return;
	keep = *keyfile_find(kf, a->epoch[0].gen);	/* it opened the anchor */
	memset(kf->gen, 0, sizeof(kf->gen));
	kf->gen[0] = keep;
	kf->ngens = 1;
	kf->current = keep.gen;
	if (keyfile_write_both(v->keyfile_fd, kf) != 0)
		fatal("the key file cannot be written");
}

static void
tidied(struct rotate *r)
{
	void (*next)(void *, bool, const char *) = r->next;

	r->busy = r->tidying = false;
	r->next = NULL;
	if (next != NULL && !rotate_now(r->v, next, r->next_arg))
		next(r->next_arg, false, "the epoch is turning already, try "
		    "again");
}

static void
on_tidied(void *arg, enum kv_status st)
{
	struct rotate *r = arg;

	wb_free(&r->commit.ops);
	if (st != KV_OK)
		log_warn("a bundle of an old generation stays for now");
	tidied(r);
}

static void
on_bundles(void *arg, const struct engine_reply *reply)
{
	struct rotate *r = arg;

	for (size_t i = 0; i < reply->n; i++) {
		struct bytes key = reply->row[i].key;

		if (key.n != 5 || !in_anchor(&r->v->keys->anchor,
		    get_be32(key.p + 1)))
			wb_del(&r->commit.ops, key);
	}
	if (!reply->last)
		return;
	if (r->commit.ops.n > 0)
		write_ops(r, on_tidied);
	else
		tidied(r);
}

void
rotate_tidy(struct vault *v)
{
	struct rec_key lo = rec_prefix(REC_BUNDLE), hi = rec_prefix_end(&lo);
	struct engine_pos at = engine_at(rec_bytes(&lo));
	struct rotate *r = rotate_of(v);

	tidy_keyfile(v);
	if (r->busy)
		return;
	r->busy = r->tidying = true;
	engine_scan(v->engine, &at, &hi, BUNDLES_MAX, on_bundles, r);
}

/* ---- a new generation ------------------------------------------------------- */

/* The bundle is there under the new generation, or it is not. */
static void
on_bundle(void *arg, enum kv_status st)
{
	struct rotate *r = arg;
	struct vault *v = r->v;
	struct vault_keys *k = v->keys;

	r->busy = false;
	wb_free(&r->commit.ops);
	if (st == KV_OK) {
		turn_rotate(v);
		return;
	}
	OPENSSL_cleanse(&k->anchor.epoch[1], sizeof(k->anchor.epoch[1]));
	OPENSSL_cleanse(k->sk[1], sizeof(k->sk[1]));
	tidy_keyfile(v);
	turn_give_up(v, st == KV_FULL ? "the disk is full" :
	    "the store failed, try again");
}

static void
write_bundle(struct rotate *r, uint32_t gen)
{
	struct vault_keys *k = r->v->keys;
	struct rec_key key = rec_key_bundle(gen);
	struct buf val = BUF_INIT(SEAL_VALUE_MAX);
	uint8_t kek[SEAL_KEYLEN];

	seal_kek(kek, k->sk[1]);
	if (seal_bundle(&val, kek, gen, BUNDLE_VERSION, &k->bundle) != 0)
		fatalx("the bundle cannot be sealed");
	OPENSSL_cleanse(kek, sizeof(kek));
	/* One of this number may be left of an attempt that was given up. */
	wb_put(&r->commit.ops, KV_ANY, 0, rec_bytes(&key), buf_bytes(&val));
	buf_free(&val);
	write_ops(r, on_bundle);
}

bool
rotate_now(struct vault *v, void (*done)(void *, bool, const char *),
    void *arg)
{
	struct anchor_epoch *next = &v->keys->anchor.epoch[1];
	uint32_t gen = v->keys->anchor.epoch[0].gen + 1;
	struct keyfile *kf = &v->keyfile;
	struct rotate *r = rotate_of(v);
	uint8_t share_a[SEAL_KEYLEN];

	/* A rotation that has just ended leaves something to tidy up. */
	if (r->tidying && r->next == NULL) {
		r->next = done;
		r->next_arg = arg;
		return true;
	}
	if (r->busy || !turn_reserve(v, done, arg))
		return false;
	crypto_random(share_a, sizeof(share_a));
	crypto_random(next->share_b, sizeof(next->share_b));
	next->gen = gen;
	seal_storage_key(v->keys->sk[1], share_a, next->share_b);
	if (share_wrap(&kf->gen[1], gen, bytes_of(v->wrap.p, v->wrap.n),
	    share_a) == -1)
		fatalx("a share of the storage key cannot be wrapped");
	OPENSSL_cleanse(share_a, sizeof(share_a));
	kf->ngens = 2;
	if (keyfile_write(v->keyfile_fd, kf) != 0)
		fatal("the key file cannot be written");
	write_bundle(r, gen);
	return true;
}

void
rotate_free(struct vault *v)
{
	if (v->rotate == NULL)
		return;
	wb_free(&v->rotate->commit.ops);
	free(v->rotate);
	v->rotate = NULL;
}
