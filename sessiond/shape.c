#include "shape.h"

#include <stdlib.h>

#include "appconn.h"
#include "log.h"

void
shape_init(struct shape *s, enum shape_mode mode)
{
	s->mode = mode;
	TAILQ_INIT(&s->reqs);
}

static void
drop(struct shape *s, struct shape_req *r)
{
	TAILQ_REMOVE(&s->reqs, r, link);
	free(r);
}

void
shape_free(struct shape *s)
{
	struct shape_req *r;

	while ((r = TAILQ_FIRST(&s->reqs)) != NULL)
		drop(s, r);
}

void
shape_begin(struct shape *s, uint32_t id, uint64_t now)
{
	struct shape_req *r;

	if (s->mode == SHAPE_OFF)
		return;
	if ((r = calloc(1, sizeof(*r))) == NULL)
		fatal("calloc");
	r->id = id;
	r->begin = now;
	TAILQ_INSERT_TAIL(&s->reqs, r, link);
}

void
shape_end(struct shape *s, uint32_t id, uint64_t end)
{
	struct shape_req *r;

	TAILQ_FOREACH(r, &s->reqs, link)
		if (r->id == id && !r->ended) {
			r->ended = true;
			r->end = end;
		}
}

bool
shape_active(const struct shape *s)
{
	return !TAILQ_EMPTY(&s->reqs);
}

static uint64_t
next_tick(const struct shape_req *r)
{
	return r->begin + (r->ticks + 1) * SHAPE_TICK_MS;
}

uint64_t
shape_next(const struct shape *s)
{
	const struct shape_req *r;
	uint64_t next = SHAPE_NEVER;

	TAILQ_FOREACH(r, &s->reqs, link)
		if (next_tick(r) < next)
			next = next_tick(r);
	return next;
}

/* The records of a bucket that holds n bytes. */
static unsigned
bucket(size_t n)
{
	unsigned records = SHAPE_BUCKET_MIN;

	while ((size_t)records * APPCONN_SHAPED_CONTENT < n)
		records *= 2;
	return records;
}

unsigned
shape_due(struct shape *s, uint64_t now, size_t waiting)
{
	bool full = waiting >= SHAPE_BUCKET_EARLY;
	struct shape_req *r;
	unsigned n = 0;

	TAILQ_FOREACH(r, &s->reqs, link) {
		if (now < next_tick(r))
			continue;
		r->ticks = (now - r->begin) / SHAPE_TICK_MS;
		if (s->mode == SHAPE_TICK || r->ended || full)
			n++;
	}
	if (s->mode == SHAPE_BUCKET && n > 0)
		n = bucket(waiting);
	return n;
}

/* The first step that is not before this tick. */
static uint64_t
step(uint64_t ticks)
{
	uint64_t n = SHAPE_STEP;

	while (n < ticks && n < SHAPE_STEP_MAX)
		n *= 2;
	if (n < ticks)
		n = (ticks + n - 1) / n * n;
	return n;
}

void
shape_sent(struct shape *s, uint64_t sent)
{
	struct shape_req *r, *next;

	for (r = TAILQ_FIRST(&s->reqs); r != NULL; r = next) {
		next = TAILQ_NEXT(r, link);
		if (!r->ended || sent < r->end)
			continue;
		/* Its end may have left in a record of another request. */
		if (r->stop == 0)
			r->stop = step(r->ticks);
		if (s->mode == SHAPE_BUCKET || r->ticks >= r->stop)
			drop(s, r);
	}
}
