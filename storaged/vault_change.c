/*
 * What changes a conversation: a message is added, it is renamed or deleted.
 * One change at a time; the others wait in the order in which they came.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "log.h"
#include "vault.h"

#define DATA_KEY_VERSION	1	/* of a new data key's record */

static void change_start(struct change *);

/* It is durable, or failed with an error code of vs_error. */
static void
change_over(struct change *ch, uint16_t code)
{
	struct vault *v = ch->v;
	struct conv *c = ch->conv;
	struct change *next;

	STAILQ_REMOVE_HEAD(&c->changes, link);
	if (ch->user != NULL)
		ch->user->nchanges--;
	ch->done(ch, code);	/* and free it */
	next = STAILQ_FIRST(&c->changes);
	conv_unpin(v, c);	/* and free it, if nobody else knows it */
	if (next != NULL)
		change_start(next);
}

/* The head that the change replaces, and the one that it makes. */
static void
account_head(void *arg, uint8_t mset[REC_HASH])
{
	struct change *ch = arg;
	const struct conv *c = ch->conv;

	/* mset is that of this H. */
	conv_account(ch->v, c, &ch->v->h_next, c->deleting ? NULL : &ch->head);
	if (c->deleting)
		tomb_account(ch->v, c->id, mset);
}

static void
committed(void *arg, enum kv_status st)
{
	struct change *ch = arg;

	if (st != KV_OK)
		ch->conv->deleting = false;
	change_over(ch, st == KV_OK ? 0 : ERR_STORAGE);
}

/* Everything that it needs is there: seal it and queue it for a batch. */
static void
change_seal(struct change *ch)
{
	int rv;

	conv_head(ch->conv, &ch->head);
	if ((rv = ch->seal(ch)) > 0) {
		change_over(ch, (uint16_t)rv);
		return;
	}
	if (rv != 0) {
		log_err("a change of a conversation cannot be sealed: %d", rv);
		change_over(ch, ERR_INTERNAL);
		return;
	}
	ch->commit.account = account_head;
	ch->commit.done = committed;
	ch->commit.arg = ch;
	commit_add(ch->v, &ch->commit);
}

/* One of the records that had to be read is there. */
static void
loaded(struct change *ch, uint16_t code)
{
	if (ch->failed == 0)
		ch->failed = code;
	if (--ch->loads > 0)
		return;
	if (ch->failed != 0)
		change_over(ch, ch->failed);
	else
		change_seal(ch);
}

static uint64_t
change_n(const struct change *ch)
{
	return ch->sreq.w != NULL ? ch->sreq.w->n : 0;
}

static void
on_dk(void *arg, const struct engine_reply *r)
{
	struct change *ch = arg;

	loaded(ch, conv_take_dk(ch->v, ch->conv, change_n(ch), r));
}

/* Title and model go on from one L record to the next. */
static void
on_list(void *arg, const struct engine_reply *r)
{
	struct change *ch = arg;
	struct conv *c = ch->conv;
	const uint8_t *dk = dk_find(ch->v, c);
	struct rec_list l;
	uint64_t version;
	uint16_t code = 0;

	if (r->status != KV_OK)
		code = ERR_STORAGE;
	else if (dk == NULL)
		code = ch->failed;	/* why there is none was said */
	else if (r->row[0].value.p == NULL || rec_open_list(&l, &version, dk,
	    r->row[0].key, r->row[0].value) != 0 || version != c->version) {
		tamper(c, change_n(ch), "its entry in the list is missing, not "
		    "the newest or does not verify");
		code = ERR_STORAGE;
	} else if (c->title == NULL) {
		if ((c->title = strdup(l.title)) == NULL)
			fatal("strdup");
		memcpy(c->model, l.model, sizeof(c->model));
	}
	OPENSSL_cleanse(&l, sizeof(l));
	loaded(ch, code);
}

/* A message that nobody stored would be in the way of the next one. */
static void
on_tail(void *arg, const struct engine_reply *r)
{
	struct change *ch = arg;

	if (r->n > 0) {
		tamper(ch->conv, change_n(ch), "there is a message behind its "
		    "last one");
		ch->failed = ERR_STORAGE;
	}
	if (r->last)
		loaded(ch, r->status == KV_OK ? 0 : ERR_STORAGE);
}

/* Its turn in its conversation. */
static void
change_start(struct change *ch)
{
	struct conv *c = ch->conv;
	struct rec_key all = rec_prefix_id(REC_MSG, c->id);
	struct rec_key tail = rec_key_msg(c->id, c->last + 1, 0);
	struct rec_key end = rec_prefix_end(&all);
	struct engine_pos at = engine_at(rec_bytes(&tail));
	struct rec_key dkey = rec_key_data(c->uid, c->id);
	struct rec_key lkey = rec_key_list(c->uid, c->updated_us, c->id);
	bool dk = dk_find(ch->v, c) != NULL, title = c->title != NULL;

	if (c->gone) {
		change_over(ch, ERR_NO_CONV);
		return;
	}
	if (ch->blind) {
		change_seal(ch);
		return;
	}
	/* With the title, so once: afterwards the engine alone could do it. */
	ch->loads = (unsigned)!dk + 2 * (unsigned)!title;
	if (!dk)
		engine_get(ch->v->engine, rec_bytes(&dkey), on_dk, ch);
	if (!title) {
		engine_get(ch->v->engine, rec_bytes(&lkey), on_list, ch);
		engine_scan(ch->v->engine, &at, &end, 1, on_tail, ch);
	}
	if (ch->loads == 0)
		change_seal(ch);
}

void
change_add(struct change *ch)
{
	struct conv *c = ch->conv;
	bool first = STAILQ_EMPTY(&c->changes);

	STAILQ_INSERT_TAIL(&c->changes, ch, link);
	if ((ch->user = c->user) != NULL)
		ch->user->nchanges++;
	conv_pin(c);
	if (first)
		change_start(ch);
}

static int
seal_new_key(struct change *ch, const uint8_t dk[SEAL_KEYLEN])
{
	struct vault *v = ch->v;
	struct conv *c = ch->conv;
	struct rec_key dkey = rec_key_data(c->uid, c->id);
	struct buf val = BUF_INIT(SEAL_VALUE_MAX);
	uint32_t epoch = epoch_newest(v);
	int rv;

	if ((rv = seal_data_key(&val, epoch_key(v, epoch), epoch,
	    rec_bytes(&dkey), DATA_KEY_VERSION, dk)) == 0) {
		wb_put(&ch->commit.ops, KV_ABSENT, 0, rec_bytes(&dkey),
		    buf_bytes(&val));
		c->epoch = epoch;
	}
	buf_free(&val);
	return rv;
}

int
change_seal_meta(struct change *ch, const char *title, const char *model)
{
	struct vault *v = ch->v;
	struct conv *c = ch->conv;
	struct wbatch *ops = &ch->commit.ops;
	const uint8_t *dk = dk_find(v, c);
	struct rec_key ck = rec_key_head(c->uid, c->id);
	struct rec_key old = rec_key_list(c->uid, c->updated_us, c->id);
	struct rec_key new = rec_key_list(c->uid, ch->head.updated_us, c->id);
	bool moved = c->version == 0 || ch->head.updated_us != c->updated_us;
	struct rec_list l = { .count = ch->head.last,
	    .updated_us = ch->head.updated_us };
	struct buf val = BUF_INIT(SEAL_VALUE_MAX);
	int rv;

	(void)strlcpy(l.title, title, sizeof(l.title));
	(void)strlcpy(l.model, model, sizeof(l.model));
	if ((rv = rec_seal_head(&val, &v->keys->bundle, rec_bytes(&ck),
	    c->version + 1, &ch->head)) != 0)
		goto out;
	wb_put(ops, c->version == 0 ? KV_ABSENT : KV_VER, c->version,
	    rec_bytes(&ck), buf_bytes(&val));
	if (moved && c->version > 0)
		wb_del(ops, rec_bytes(&old));
	buf_reset(&val);
	if ((rv = rec_seal_list(&val, dk, rec_bytes(&new), c->version + 1,
	    &l)) != 0)
		goto out;
	wb_put(ops, moved ? KV_ABSENT : KV_VER, c->version, rec_bytes(&new),
	    buf_bytes(&val));
	if (c->version == 0)
		rv = seal_new_key(ch, dk);
out:
	OPENSSL_cleanse(&l, sizeof(l));
	buf_free(&val);
	return rv;
}
