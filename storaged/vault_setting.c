/*
 * A user's record is replaced for the administrator: read, changed by `apply',
 * written as its next version, and only then taken into memory.
 */
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "vault_admin.h"

void
setting_end(struct setting *s)
{
	struct admin *a = s->a;

	freezero(s, s->size);
	a->pending = false;
	admin_release(a);
}

/* It had the turn. */
static void
give_up(struct setting *s)
{
	queue_done(s->a->v);
	setting_end(s);
}

static void
on_written(struct rcommit *rc, enum kv_status st)
{
	struct setting *s = (struct setting *)((char *)rc -
	    offsetof(struct setting, rc));

	queue_done(s->a->v);
	if (st != KV_OK)
		admin_end(s->a, false, "%s", st == KV_FULL ?
		    "the disk is full" : "the store failed, try again");
	else {
		s->u->version = s->version + 1;
		user_take(s->u, &s->rec);
		s->written(s);
	}
	setting_end(s);
}

static void
on_record(void *arg, const struct engine_reply *r)
{
	struct setting *s = arg;
	struct vault *v = s->a->v;
	struct rec_key key = rec_key_user(&v->keys->bundle, s->u->name);
	struct buf val = BUF_INIT(SEAL_VALUE_MAX);

	if (r->status != KV_OK || r->row[0].value.p == NULL ||
	    rec_open_user(&s->rec, &s->version, &v->keys->bundle,
	    r->row[0].key, r->row[0].value) != 0 ||
	    s->version != s->u->version) {
		if (r->status == KV_OK)
			audit(EV_storage_tamper, 0, s->u->name, "a user's "
			    "record is not the newest or does not verify");
		admin_end(s->a, false, "the storage failed; the log has more");
		give_up(s);
		return;
	}
	if (!s->apply(s)) {
		give_up(s);
		return;
	}
	rcommit_begin(&s->rc, v, on_written);
	if (rec_seal_user(&val, &v->keys->bundle, rec_bytes(&key),
	    s->version + 1, &s->rec) != 0)
		fatalx("a user record cannot be sealed");
	rcommit_put(&s->rc, &key, s->version, buf_bytes(&val));
	buf_free(&val);
	rcommit_go(&s->rc);
}

static void
change(struct queued *c)
{
	struct setting *s = (struct setting *)((char *)c -
	    offsetof(struct setting, turn));
	struct rec_key key = rec_key_user(&s->a->v->keys->bundle, s->name);

	/* It may have been removed while this waited. */
	if ((s->u = user_by_uid(s->a->v, s->uid)) == NULL ||
	    s->u->state == REC_USER_REMOVED) {
		admin_end(s->a, false, "the user was removed");
		give_up(s);
		return;
	}
	engine_get(s->a->v->engine, rec_bytes(&key), on_record, s);
}

void *
setting_new(struct admin *a, struct bytes name, size_t size)
{
	struct user *u = admin_user(a, name);
	struct setting *s;

	if (u == NULL)
		return NULL;
	if ((s = calloc(1, size)) == NULL)
		fatal("calloc");
	s->size = size;
	s->a = a;
	memcpy(s->uid, u->uid, sizeof(s->uid));
	(void)strlcpy(s->name, u->name, sizeof(s->name));
	a->pending = true;
	return s;
}

void
setting_go(struct setting *s, bool (*apply)(struct setting *),
    void (*written)(struct setting *))
{
	s->apply = apply;
	s->written = written;
	s->turn.go = change;
	queue_wait(s->a->v, &s->turn);
}
