/*
 * What a deletion leaves behind.  A record X (the tombstone) is written with the
 * deletion; then the messages are removed in steps, and X last, when the epoch
 * that sealed the data key has ended too (vault_turn.c).  Whatever happens, X
 * says what is still to be done.
 */
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "vault.h"

#define TOMB_VERSION	1	/* written once */
#define PAGE_ROWS	400
#define ENDS_MAX	400	/* tombstones removed in one batch */
#define RETRY_MS	10000

/* One step at a time. */
struct sweep {
	struct commit		 commit;
	struct vault		*v;
	bool			 busy;
	struct tomb		*tomb;		/* whose messages; or NULL: ends */
	struct loop_timer	*timer;		/* after a failure */
};

struct tomb *
tomb_find(const struct vault *v, const uint8_t id[REC_ID])
{
	struct tomb *t;

	/* The newest are in front, and are those that are looked for. */
	LIST_FOREACH(t, &v->tombs, link)
		if (memcmp(t->id, id, REC_ID) == 0)
			break;
	return t;
}

struct tomb *
tomb_add(struct vault *v, const uint8_t id[REC_ID], uint32_t epoch)
{
	struct tomb *t;

	if ((t = calloc(1, sizeof(*t))) == NULL)
		fatal("calloc");
	memcpy(t->id, id, sizeof(t->id));
	t->epoch = epoch;
	LIST_INSERT_HEAD(&v->tombs, t, link);
	v->ntombs++;
	return t;
}

static void
tomb_free(struct vault *v, struct tomb *t)
{
	LIST_REMOVE(t, link);
	v->ntombs--;
	free(t);
}

void
tomb_make(struct vault *v, const uint8_t id[REC_ID], struct wbatch *ops)
{
	struct rec_tomb rec = { .epoch = epoch_newest(v),
	    .deleted_us = wall_us() };
	struct rec_key key = rec_key_tomb(id);
	struct buf val = BUF_INIT(SEAL_VALUE_MAX);

	if (rec_seal_tomb(&val, &v->keys->bundle, rec_bytes(&key), TOMB_VERSION,
	    &rec) != 0)
		fatalx("a tombstone cannot be sealed");
	/* What may lie there does not count: it did not verify at the start. */
	wb_put(ops, KV_ANY, 0, rec_bytes(&key), buf_bytes(&val));
	buf_free(&val);
	(void)tomb_add(v, id, rec.epoch);
}

void
tomb_account(const struct vault *v, const uint8_t id[REC_ID],
    uint8_t mset[REC_HASH])
{
	struct rec_key key = rec_key_tomb(id);

	mset_add_record(mset, &v->keys->bundle, rec_bytes(&key), TOMB_VERSION);
}

void
tomb_undo(struct vault *v, const uint8_t id[REC_ID])
{
	struct tomb *t = tomb_find(v, id);

	if (t != NULL)
		tomb_free(v, t);
}

void
tomb_durable(struct vault *v, const uint8_t id[REC_ID])
{
	struct tomb *t = tomb_find(v, id);

	if (t != NULL)
		t->durable = true;
	sweep_kick(v);
}

static void
on_retry(void *arg)
{
	struct sweep *s = arg;

	s->timer = NULL;
	sweep_kick(s->v);
}

/* A step is over. */
static void
step_over(struct sweep *s, bool ok)
{
	s->busy = false;
	if (ok)
		sweep_kick(s->v);
	else if (s->timer == NULL)
		s->timer = loop_timer_new(s->v->loop, RETRY_MS, on_retry, s);
}

static void
account_none(void *arg, uint8_t mset[REC_HASH])
{
	(void)arg;
	(void)mset;
}

static void
on_removed(void *arg, enum kv_status st)
{
	struct sweep *s = arg;

	wb_free(&s->commit.ops);
	step_over(s, st == KV_OK);
}

/* A page of a deleted conversation's messages: remove it. */
static void
on_rows(void *arg, const struct engine_reply *r)
{
	struct sweep *s = arg;

	for (size_t i = 0; i < r->n; i++)
		wb_del(&s->commit.ops, r->row[i].key);
	if (!r->last)
		return;
	if (r->status != KV_OK) {
		wb_free(&s->commit.ops);
		step_over(s, false);
	} else if (s->commit.ops.n == 0) {
		s->tomb->swept = r->end;
		step_over(s, r->end);
	} else {
		s->commit.account = account_none;
		s->commit.done = on_removed;
		s->commit.arg = s;
		commit_add(s->v, &s->commit);
	}
}

/* Whether nothing of the deletion is left to do but to forget it. */
static bool
ended(const struct vault *v, const struct tomb *t)
{
	return t->durable && t->swept &&
	    t->epoch < v->keys->anchor.epoch[0].epoch;
}

static void
account_ends(void *arg, uint8_t mset[REC_HASH])
{
	struct sweep *s = arg;
	const struct wbatch *ops = &s->commit.ops;

	for (size_t i = 0; i < ops->n; i++)
		mset_sub_record(mset, &s->v->keys->bundle, ops->op[i].key,
		    TOMB_VERSION);
}

static void
on_ended(void *arg, enum kv_status st)
{
	struct sweep *s = arg;
	struct tomb *t, *next;

	for (t = LIST_FIRST(&s->v->tombs); t != NULL; t = next) {
		next = LIST_NEXT(t, link);
		if (!t->ending)
			continue;
		t->ending = false;
		if (st == KV_OK)
			tomb_free(s->v, t);
	}
	wb_free(&s->commit.ops);
	step_over(s, st == KV_OK);
}

/* Remove the tombstones of what is shredded; false when there are none. */
static bool
remove_tombs(struct sweep *s)
{
	struct rec_key key;
	struct tomb *t;

	LIST_FOREACH(t, &s->v->tombs, link) {
		if (!ended(s->v, t) || s->commit.ops.n == ENDS_MAX)
			continue;
		key = rec_key_tomb(t->id);
		wb_del(&s->commit.ops, rec_bytes(&key));
		t->ending = true;
	}
	if (s->commit.ops.n == 0)
		return false;
	s->busy = true;
	s->commit.account = account_ends;
	s->commit.done = on_ended;
	s->commit.arg = s;
	commit_add(s->v, &s->commit);
	return true;
}

void
sweep_kick(struct vault *v)
{
	struct rec_key lo, hi;
	struct engine_pos at;
	struct sweep *s;
	struct tomb *t;

	if (v->sweep == NULL) {
		if ((v->sweep = calloc(1, sizeof(*v->sweep))) == NULL)
			fatal("calloc");
		v->sweep->v = v;
	}
	s = v->sweep;
	if (s->busy || s->timer != NULL || v->stopping)
		return;
	LIST_FOREACH(t, &v->tombs, link)
		if (t->durable && !t->swept)
			break;
	if (t == NULL) {
		(void)remove_tombs(s);
		return;
	}
	s->busy = true;
	s->tomb = t;
	lo = rec_prefix_id(REC_MSG, t->id);
	hi = rec_prefix_end(&lo);
	at = engine_at(rec_bytes(&lo));
	engine_scan(v->engine, &at, &hi, PAGE_ROWS, on_rows, s);
}

bool
sweep_idle(const struct vault *v)
{
	const struct tomb *t;

	if (v->sweep != NULL && v->sweep->busy)
		return false;
	LIST_FOREACH(t, &v->tombs, link)
		if (!t->swept || ended(v, t))
			return false;
	return true;
}

void
sweep_free(struct vault *v)
{
	struct tomb *t;

	while ((t = LIST_FIRST(&v->tombs)) != NULL)
		tomb_free(v, t);
	if (v->sweep == NULL)
		return;
	loop_timer_free(v->sweep->timer);
	wb_free(&v->sweep->commit.ops);
	free(v->sweep);
	v->sweep = NULL;
}
