/*
 * Retention: conversations that nobody has written to for so many days are
 * deleted, as if their user had done it; the next turn of the epoch shreds them.
 */
#include <stdlib.h>

#include "log.h"
#include "vault.h"

#define EVERY_MS	3600000u	/* and the first time so long after a start */
#define AT_ONCE		200		/* deletions under way */
#define JUMP_US		((uint64_t)EVERY_MS * 1000)
#define DAY_US		((uint64_t)86400 * 1000000)

struct retain {
	struct vault		*v;
	struct loop_timer	*timer;
	uint64_t		 wall_us;	/* of the last time */
	uint64_t		 mono_ms;
	uint64_t		 now_us;	/* for what is looked for */
	size_t			 inflight;
	size_t			 gone;
	bool			 adding;
	bool			 failed;
};

static void delete_more(struct retain *);

static void
on_deleted(void *arg, uint16_t code)
{
	struct retain *t = arg;

	t->inflight--;
	if (code == 0)
		t->gone++;
	else if (code != ERR_NO_CONV)
		t->failed = true;	/* again at the next time */
	if (t->inflight == 0 && !t->adding)
		delete_more(t);
}

/* Written to since, or about to be: it stays. */
static bool
is_over(const struct retain *t, const struct conv *c)
{
	uint64_t keep_us;

	if (c->version == 0 || c->deleting || c->gone || c->user == NULL ||
	    !STAILQ_EMPTY(&c->changes))
		return false;
	keep_us = user_limit(t->v, c->user, LIMIT_RETENTION) * DAY_US;
	return keep_us != 0 && t->now_us > keep_us &&
	    c->updated_us < t->now_us - keep_us;
}

/* Those of one step first, as what is deleted leaves the table. */
static void
delete_more(struct retain *t)
{
	struct vault *v = t->v;
	struct conv *over[AT_ONCE], *c;
	size_t n = 0;

	for (size_t i = 0; i < v->nbuckets && n < AT_ONCE; i++)
		LIST_FOREACH(c, &v->convs[i], link)
			if (n < AT_ONCE && is_over(t, c))
				over[n++] = c;
	if (n == 0 || t->failed || v->stopping) {
		if (t->gone > 0)
			audit(EV_history_expire, 0, NULL, "conversations=%zu",
			    t->gone);
		return;
	}
	t->adding = true;
	t->inflight = n;
	for (size_t i = 0; i < n; i++)
		conv_erase(v, over[i], on_deleted, t);
	t->adding = false;
	if (t->inflight == 0)
		delete_more(t);
}

void
retain_now(struct vault *v, uint64_t now_us)
{
	struct retain *t = v->retain;

	if (t->inflight > 0)
		return;
	t->now_us = now_us;
	t->gone = 0;
	t->failed = false;
	delete_more(t);
}

/*
 * Whether the clock was set since the last time: a clock that is wrong must not
 * delete what is not old.
 */
static bool
clock_jumped(struct retain *t)
{
	uint64_t wall = wall_us(), mono = mono_ms();
	uint64_t want = t->wall_us + (mono - t->mono_ms) * 1000;
	uint64_t off = wall > want ? wall - want : want - wall;

	t->wall_us = wall;
	t->mono_ms = mono;
	return off > JUMP_US;
}

static void
on_timer(void *arg)
{
	struct retain *t = arg;

	t->timer = loop_timer_new(t->v->loop, EVERY_MS, on_timer, t);
	if (clock_jumped(t))
		log_warn("the clock was set: old conversations are looked for "
		    "in an hour");
	else
		retain_now(t->v, t->wall_us);
}

void
retain_watch(struct vault *v)
{
	struct retain *t;

	if ((t = calloc(1, sizeof(*t))) == NULL)
		fatal("calloc");
	v->retain = t;
	t->v = v;
	t->wall_us = wall_us();
	t->mono_ms = mono_ms();
	t->timer = loop_timer_new(v->loop, EVERY_MS, on_timer, t);
}

void
retain_free(struct vault *v)
{
	if (v->retain == NULL)
		return;
	loop_timer_free(v->retain->timer);
	free(v->retain);
	v->retain = NULL;
}
