/*
 * One batch is in flight at a time; what is sealed meanwhile is written
 * together in the next one, with a single H.  So the state of H never depends
 * on a batch that may fail, and many writers cost one sync.
 */
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "vault.h"

#define ANCHOR_MS	1000	/* the anchor lags behind at most this long */
#define STOP_MS		5000
#define RETRIES		10

static void on_written(void *, const struct engine_reply *);

bool
commit_idle(const struct vault *v)
{
	return STAILQ_EMPTY(&v->waiting) && STAILQ_EMPTY(&v->committing);
}

void
commit_add(struct vault *v, struct commit *c)
{
	STAILQ_INSERT_TAIL(&v->waiting, c, link);
}

static void
add_h(struct vault *v)
{
	struct buf b = BUF_INIT(SEAL_VALUE_MAX);
	struct rec_key key = rec_key_mset();

	if (rec_seal_mset(&b, &v->keys->bundle, rec_bytes(&key),
	    v->h_version + 1, &v->h_next) != 0)
		fatalx("record H cannot be sealed");
	wb_put(&v->batch, KV_VER, v->h_version, rec_bytes(&key), buf_bytes(&b));
	buf_free(&b);
}

void
commit_kick(void *arg)
{
	struct vault *v = arg;
	struct commit *c;

	queue_kick(v);
	if (STAILQ_EMPTY(&v->waiting) || !STAILQ_EMPTY(&v->committing))
		return;
	v->h_next = v->h;
	v->h_next.n++;
	while ((c = STAILQ_FIRST(&v->waiting)) != NULL &&
	    v->batch.n + c->ops.n + 1 <= KV_MAX_OPS) {
		STAILQ_REMOVE_HEAD(&v->waiting, link);
		STAILQ_INSERT_TAIL(&v->committing, c, link);
		c->account(c->arg, v->h_next.mset);
		wb_move(&v->batch, &c->ops);
	}
	add_h(v);
	v->retries = 0;
	engine_write(v->engine, &v->batch, on_written, v);
}

static void
anchor_due(void *arg)
{
	struct vault *v = arg;

	v->anchor_timer = NULL;
	anchor_sync(v);
}

void
anchor_now(struct vault *v)
{
	struct anchor *a = &v->keys->anchor;

	a->n = v->h.n;
	mset_root(a->root, &v->keys->bundle, &v->h);
	if (anchor_write(v->anchor_fd, a, v->keys->sk[0]) != 0)
		fatal("the anchor file cannot be written");
	v->anchor_dirty = false;
}

void
anchor_sync(struct vault *v)
{
	if (v->anchor_dirty)
		anchor_now(v);
}

static void
committed(struct vault *v)
{
	v->h = v->h_next;
	v->h_version++;
	v->anchor_dirty = true;
	if (v->anchor_timer == NULL)
		v->anchor_timer = loop_timer_new(v->loop, ANCHOR_MS, anchor_due,
		    v);
}

static void
stop_now(struct vault *v)
{
	anchor_sync(v);
	log_notice("stopped at commit %llu", (unsigned long long)v->h.n);
	_exit(0);
}

static void
on_written(void *arg, const struct engine_reply *r)
{
	struct vault *v = arg;
	STAILQ_HEAD(, commit) done = STAILQ_HEAD_INITIALIZER(done);
	struct commit *c;

	if (r->status == KV_RETRY && v->retries++ < RETRIES) {
		engine_write(v->engine, &v->batch, on_written, v);
		return;
	}
	if (r->status == KV_CONFLICT) {
		audit(EV_storage_tamper, 0, NULL,
		    "the engine says that records changed which it alone keeps");
		fatalx("the engine's records are not those of this vault");
	}
	wb_free(&v->batch);
	if (r->status == KV_OK)
		committed(v);
	else
		log_err("a batch of writes was refused: %s",
		    r->status == KV_FULL ? "the disk is full" : "try again");
	STAILQ_CONCAT(&done, &v->committing);
	while ((c = STAILQ_FIRST(&done)) != NULL) {
		STAILQ_REMOVE_HEAD(&done, link);
		c->done(c->arg, r->status);
	}
	if (v->stopping && commit_idle(v))
		stop_now(v);
}

static void
stop_due(void *arg)
{
	struct vault *v = arg;

	v->stop_timer = NULL;
	log_warn("stopping with writes under way");
	stop_now(v);
}

void
vault_stop(struct vault *v)
{
	v->stopping = true;
	if (commit_idle(v))
		stop_now(v);
	if (v->stop_timer == NULL)
		v->stop_timer = loop_timer_new(v->loop, STOP_MS, stop_due, v);
}
