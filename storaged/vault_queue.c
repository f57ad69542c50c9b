/*
 * Changes of users, keys and invites: one after the other, so that each sees
 * what is there; and commits of metadata records with their versions.
 */
#include <string.h>

#include "log.h"
#include "vault.h"

void
queue_wait(struct vault *v, struct queued *c)
{
	if (v->changing) {
		STAILQ_INSERT_TAIL(&v->queued, c, link);
		return;
	}
	v->changing = true;
	c->go(c);
}

void
queue_done(struct vault *v)
{
	v->changing = false;
}

void
queue_kick(struct vault *v)
{
	struct queued *c;

	while (!v->changing && (c = STAILQ_FIRST(&v->queued)) != NULL) {
		STAILQ_REMOVE_HEAD(&v->queued, link);
		v->changing = true;
		c->go(c);
	}
}

void
rcommit_begin(struct rcommit *rc, struct vault *v,
    void (*done)(struct rcommit *, enum kv_status))
{
	memset(rc, 0, sizeof(*rc));
	rc->v = v;
	rc->done = done;
}

static void
add(struct rcommit *rc, const struct rec_key *key, uint64_t was, uint64_t is)
{
	if (rc->n == RCOMMIT_MAX)
		fatalx("too many records in a commit");
	rc->rec[rc->n].key = *key;
	rc->rec[rc->n].was = was;
	rc->rec[rc->n++].is = is;
}

void
rcommit_put(struct rcommit *rc, const struct rec_key *key, uint64_t was,
    struct bytes value)
{
	add(rc, key, was, was + 1);
	wb_put(&rc->commit.ops, was == 0 ? KV_ABSENT : KV_VER, was,
	    rec_bytes(key), value);
}

void
rcommit_del(struct rcommit *rc, const struct rec_key *key, uint64_t was)
{
	add(rc, key, was, 0);
	wb_del(&rc->commit.ops, rec_bytes(key));
}

static void
account(void *arg, uint8_t mset[REC_HASH])
{
	const struct rcommit *rc = arg;
	const struct seal_bundle *b = &rc->v->keys->bundle;

	for (size_t i = 0; i < rc->n; i++) {
		if (rc->rec[i].was != 0)
			mset_sub_record(mset, b, rec_bytes(&rc->rec[i].key),
			    rc->rec[i].was);
		if (rc->rec[i].is != 0)
			mset_add_record(mset, b, rec_bytes(&rc->rec[i].key),
			    rc->rec[i].is);
	}
}

static void
on_done(void *arg, enum kv_status st)
{
	struct rcommit *rc = arg;

	wb_free(&rc->commit.ops);
	backoff_written(rc->v, rc, st == KV_OK);
	rc->done(rc, st);
}

void
rcommit_go(struct rcommit *rc)
{
	rc->commit.account = account;
	rc->commit.done = on_done;
	rc->commit.arg = rc;
	commit_add(rc->v, &rc->commit);
}
