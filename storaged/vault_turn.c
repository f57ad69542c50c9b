/*
 * Turning the epoch: the live data keys are sealed under a new epoch's key, then
 * the old epoch's secret is overwritten, and with it every data key that was not
 * carried over.  docs/storage.md, Turning the epoch.
 *
 * The anchor says that a turn is under way (two epochs), each D record which
 * epoch sealed it.  So a turn goes on wherever it was interrupted.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "kdf.h"
#include "log.h"
#include "vault_turn.h"

#define TURN_S		900	/* between a deletion and the turn for it */
#define RETRY_MS	60000	/* after a failure of the store */
#define BACKUP_MS	10000	/* while a backup is being made */
#define PAGE_ROWS	400	/* data keys in one batch */

enum phase {
	IDLE,
	RESERVED,	/* a rotation is being prepared */
	DRAIN,		/* what was sealed before is being written */
	CARRY,		/* the data keys are carried over, a page at a time */
	HELD		/* some cannot be: see finish_carry() */
};

struct turn {
	struct commit		 commit;
	struct vault		*v;
	enum phase		 phase;
	bool			 force;
	struct engine_pos	 at;
	struct engine_pos	 page_end;
	struct rec_key		 hi;
	bool			 last_page;
	size_t			 on_page;	/* keys that it carries over */
	size_t			 carried;
	bool			 again;		/* when it is over */
	bool			 rotating;
	struct loop_timer	*due;
	uint64_t		 due_ms;
	struct loop_timer	*retry;
	void			(*done)(void *, bool, const char *);
	void			*arg;
};

static void begin_turn(struct turn *);
static void carry_page(struct turn *);

uint32_t
epoch_newest(const struct vault *v)
{
	const struct anchor *a = &v->keys->anchor;

	return a->epoch[a->nepochs - 1].epoch;
}

const uint8_t *
epoch_key(const struct vault *v, uint32_t epoch)
{
	const struct anchor *a = &v->keys->anchor;

	for (unsigned i = 0; i < a->nepochs; i++)
		if (a->epoch[i].epoch == epoch)
			return v->keys->ek[i];
	return NULL;
}

static struct turn *
turn_of(struct vault *v)
{
	if (v->turn == NULL) {
		if ((v->turn = calloc(1, sizeof(*v->turn))) == NULL)
			fatal("calloc");
		v->turn->v = v;
	}
	return v->turn;
}

/* Tell who waits. */
static void
tell(struct turn *t, bool ok, const char *what)
{
	void (*done)(void *, bool, const char *) = t->done;

	t->done = NULL;
	if (done != NULL)
		done(t->arg, ok, what);
}

/* How many deletions the end of an epoch shreds. */
static size_t
pending(const struct vault *v, uint32_t epoch)
{
	const struct tomb *t;
	size_t n = 0;

	LIST_FOREACH(t, &v->tombs, link)
		n += t->durable && t->epoch <= epoch;
	return n;
}

/* No record names the old epoch any more: its secret goes. */
static void
end_epoch(struct turn *t)
{
	struct vault *v = t->v;
	struct vault_keys *k = v->keys;
	struct anchor *a = &k->anchor;
	size_t n = pending(v, a->epoch[0].epoch);
	bool rotated = a->epoch[0].gen != a->epoch[1].gen;
	char what[160];

	a->epoch[0] = a->epoch[1];
	OPENSSL_cleanse(&a->epoch[1], sizeof(a->epoch[1]));
	a->nepochs = 1;
	memcpy(k->ek[0], k->ek[1], SEAL_KEYLEN);
	memcpy(k->sk[0], k->sk[1], SEAL_KEYLEN);
	OPENSSL_cleanse(k->ek[1], SEAL_KEYLEN);
	OPENSSL_cleanse(k->sk[1], SEAL_KEYLEN);
	/* Into both slots. */
	anchor_now(v);
	anchor_now(v);
	(void)snprintf(what, sizeof(what), "%zu deleted conversations "
	    "shredded, %zu data keys carried over to epoch %u, key generation "
	    "%u", n, t->carried, a->epoch[0].epoch, a->epoch[0].gen);
	if (rotated) {
		audit(EV_storage_rotate, 0, NULL, "generation=%u",
		    a->epoch[0].gen);
		rotate_tidy(v);
	}
	audit(EV_storage_shred, 0, NULL, "conversations=%zu carried=%zu "
	    "epoch=%u", n, t->carried, a->epoch[0].epoch);
	t->phase = IDLE;
	sweep_kick(v);
	/* What was deleted during the turn. */
	n = pending(v, a->epoch[0].epoch);
	if (n > 0 && t->again)
		begin_turn(t);
	else {
		tell(t, true, what);
		if (n > 0)
			(void)turn_due(v);
	}
}

static bool
is_missing(const struct vault *v, const struct conv *c)
{
	return c->epoch != epoch_newest(v) && !c->deleting;
}

/* Every page was carried over.  Is there a live conversation without a key? */
static void
finish_carry(struct turn *t)
{
	char what[192], hex[2 * REC_ID + 1] = "";
	struct vault *v = t->v;
	size_t missing = 0;
	struct conv *c;

	for (size_t i = 0; i < v->nbuckets; i++)
		LIST_FOREACH(c, &v->convs[i], link)
			if (is_missing(v, c) && missing++ == 0)
				hex_encode(hex, c->id, REC_ID);
	if (missing == 0 || t->force) {
		if (missing > 0)
			audit(EV_storage_shred_lost, 0, NULL, "conversations=%zu "
			    "first=%s", missing, hex);
		end_epoch(t);
		return;
	}
	(void)snprintf(what, sizeof(what), "the data keys of %zu conversations "
	    "are missing or damaged, the first is that of %s: nothing is "
	    "shredded until they are restored or given up", missing, hex);
	audit(EV_storage_shred_held, 0, NULL, "conversations=%zu first=%s",
	    missing, hex);
	t->phase = HELD;
	tell(t, false, what);
}

static void
on_retry(void *arg)
{
	struct turn *t = arg;

	t->retry = NULL;
	carry_page(t);
}

static void
try_later(struct turn *t)
{
	tell(t, false, "the store failed; the turn goes on in a minute");
	t->retry = loop_timer_new(t->v->loop, RETRY_MS, on_retry, t);
}

static void
account_none(void *arg, uint8_t mset[REC_HASH])
{
	(void)arg;
	(void)mset;
}

/* The page is durable; when it is not, it is read again. */
static void
on_carried(void *arg, enum kv_status st)
{
	struct turn *t = arg;

	if (st != KV_OK) {
		wb_free(&t->commit.ops);
		try_later(t);
		return;
	}
	t->carried += t->on_page;
	t->at = t->page_end;
	wb_free(&t->commit.ops);
	if (t->last_page)
		finish_carry(t);
	else
		carry_page(t);
}

/* One D record: seal it under the new epoch, if it is live and is not yet. */
static void
carry(struct turn *t, const struct kv_row *row)
{
	struct vault *v = t->v;
	uint8_t uid[REC_ID], id[REC_ID], dk[SEAL_KEYLEN];
	struct buf val = BUF_INIT(SEAL_VALUE_MAX);
	uint32_t epoch, next = epoch_newest(v);
	uint64_t version;
	struct conv *c;

	/* One that a deletion left, or that somebody put back, is let lie. */
	if (rec_parse_data(row->key, uid, id) != 0 ||
	    (c = conv_find(v, id)) == NULL || c->deleting ||
	    memcmp(c->uid, uid, sizeof(uid)) != 0)
		return;
	if (seal_data_key_epoch(row->value, &epoch) != 0 ||
	    epoch_key(v, epoch) == NULL ||
	    seal_data_key_open(dk, &version, epoch_key(v, epoch), epoch,
	    row->key, row->value) != 0) {
		tamper(c, 0, "its data key does not verify");
		return;
	}
	if (epoch != next) {
		if (seal_data_key(&val, epoch_key(v, next), next, row->key,
		    version + 1, dk) != 0)
			fatalx("a data key cannot be sealed");
		wb_put(&t->commit.ops, KV_VER, version, row->key,
		    buf_bytes(&val));
		buf_free(&val);
	}
	c->epoch = next;
	OPENSSL_cleanse(dk, sizeof(dk));
}

static void
on_page(void *arg, const struct engine_reply *r)
{
	struct turn *t = arg;

	for (size_t i = 0; i < r->n; i++) {
		carry(t, &r->row[i]);
		t->page_end = engine_after(r->row[i].key);
	}
	if (!r->last)
		return;
	if (r->status != KV_OK) {
		wb_free(&t->commit.ops);
		try_later(t);
		return;
	}
	t->last_page = r->end;
	t->on_page = t->commit.ops.n;
	if (t->on_page == 0) {
		on_carried(t, KV_OK);
		return;
	}
	t->commit.account = account_none;
	t->commit.done = on_carried;
	t->commit.arg = t;
	commit_add(t->v, &t->commit);
}

static void
carry_page(struct turn *t)
{
	engine_scan(t->v->engine, &t->at, &t->hi, PAGE_ROWS, on_page, t);
}

static void
carry_all(struct turn *t)
{
	struct rec_key lo = rec_prefix(REC_DATA);

	t->phase = CARRY;
	t->carried = 0;
	t->hi = rec_prefix_end(&lo);
	t->at = t->page_end = engine_at(rec_bytes(&lo));
	carry_page(t);
}

static void
on_drained(void *arg, enum kv_status st)
{
	struct turn *t = arg;

	/* Whatever became of this batch, those before it are over. */
	(void)st;
	carry_all(t);
}

/* The next epoch is there: from now on data keys are sealed under it. */
static void
begin_turn(struct turn *t)
{
	struct vault *v = t->v;
	struct vault_keys *k = v->keys;
	struct anchor *a = &k->anchor;

	loop_timer_free(t->due);
	t->due = NULL;
	t->again = false;
	if (!t->rotating) {
		a->epoch[1] = a->epoch[0];
		memcpy(k->sk[1], k->sk[0], SEAL_KEYLEN);
	}
	t->rotating = false;
	a->epoch[1].epoch = a->epoch[0].epoch + 1;
	crypto_random(a->epoch[1].secret, SEAL_KEYLEN);
	a->nepochs = 2;
	seal_epoch_key(k->ek[1], k->sk[1], a->epoch[1].secret,
	    a->epoch[1].epoch);
	anchor_now(v);
	/* An empty commit: when it is over, so is all that was queued before. */
	t->phase = DRAIN;
	t->commit.account = account_none;
	t->commit.done = on_drained;
	t->commit.arg = t;
	commit_add(v, &t->commit);
}

static void
on_due(void *arg)
{
	struct turn *t = arg;

	t->due = NULL;
	if (t->v->stopping)
		return;
	if (backup_running(t->v))
		t->due = loop_timer_new(t->v->loop, BACKUP_MS, on_due, t);
	else
		(void)turn_now(t->v, false, NULL, NULL);
}

uint32_t
turn_due(struct vault *v)
{
	struct turn *t = turn_of(v);
	uint64_t now = mono_ms();

	if (t->due == NULL) {
		t->due = loop_timer_new(v->loop, TURN_S * 1000, on_due, t);
		t->due_ms = now + TURN_S * 1000;
	}
	return t->due_ms > now ? (uint32_t)((t->due_ms - now) / 1000) : 0;
}

bool
turn_now(struct vault *v, bool force, void (*done)(void *, bool, const char *),
    void *arg)
{
	struct turn *t = turn_of(v);

	if (t->done != NULL || backup_running(v))
		return false;
	t->done = done;
	t->arg = arg;
	t->force = force;
	if (t->phase == HELD)
		carry_all(t);
	else if (t->phase != IDLE)
		t->again = true;	/* for what was deleted since it began */
	else if (pending(v, epoch_newest(v)) > 0)
		begin_turn(t);
	else
		tell(t, true, "nothing is waiting to be shredded");
	return true;
}

bool
turn_reserve(struct vault *v, void (*done)(void *, bool, const char *),
    void *arg)
{
	struct turn *t = turn_of(v);

	if (t->phase != IDLE || t->done != NULL || backup_running(v))
		return false;
	t->phase = RESERVED;
	t->done = done;
	t->arg = arg;
	t->force = false;
	return true;
}

void
turn_give_up(struct vault *v, const char *why)
{
	struct turn *t = turn_of(v);

	t->phase = IDLE;
	tell(t, false, why);
}

void
turn_rotate(struct vault *v)
{
	struct turn *t = turn_of(v);

	t->rotating = true;
	begin_turn(t);
}

bool
turn_idle(const struct vault *v)
{
	return v->turn == NULL || v->turn->phase == IDLE ||
	    v->turn->phase == HELD;
}

void
turn_resume(struct vault *v)
{
	if (v->keys->anchor.nepochs == 2)
		carry_all(turn_of(v));
	else if (pending(v, epoch_newest(v)) > 0)
		(void)turn_due(v);
	rotate_tidy(v);
	sweep_kick(v);
}

void
turn_free(struct vault *v)
{
	struct turn *t = v->turn;

	if (t == NULL)
		return;
	loop_timer_free(t->due);
	loop_timer_free(t->retry);
	wb_free(&t->commit.ops);
	free(t);
	v->turn = NULL;
}
