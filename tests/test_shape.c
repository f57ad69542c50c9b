/*
 * sessiond/shape.c with common/appconn.c: what somebody on the network sees of an
 * answer, by a clock of our own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "appconn.h"
#include "hs.h"
#include "shape.h"

#define TRACE_MAX	4096
#define SEEN_MAX	8
#define BEGIN		5000	/* the clock does not start at 0 */

static const uint8_t c_ap[HASH_LEN] = { 1 };
static const uint8_t s_ap[HASH_LEN] = { 2 };
static const uint8_t mm[HASH_LEN] = { 3 };

/* What happens in the worker: at ms, a text of n bytes, or an end. */
struct event {
	uint64_t	 ms;
	uint32_t	 req;
	size_t		 n;
	bool		 end;
};

struct trace {
	size_t		 n;
	struct {
		uint64_t	ms;
		size_t		size;
	} at[TRACE_MAX];
	/* what the client made of it */
	size_t		 text;		/* bytes */
	uint64_t	 ended[SEEN_MAX]; /* ms, by request */
};

struct worker {
	struct shape	 shape;
	struct appconn	*server, *client;
	uint64_t	 now;
	struct trace	*t;
};

static void
begin(struct worker *w, enum shape_mode mode, struct trace *t)
{
	memset(w, 0, sizeof(*w));
	memset(t, 0, sizeof(*t));
	w->t = t;
	w->now = BEGIN;
	w->server = appconn_new(END_B, HS_SUITE_X25519, c_ap, s_ap, mm);
	w->client = appconn_new(END_A, HS_SUITE_X25519, c_ap, s_ap, mm);
	shape_init(&w->shape, mode);
}

static void
finish(struct worker *w)
{
	shape_free(&w->shape);
	appconn_free(w->server);
	appconn_free(w->client);
}

static void
taken(struct worker *w, uint32_t req)
{
	shape_begin(&w->shape, req, w->now);
	assert_int_equal(appconn_shape(w->server, shape_active(&w->shape)), 0);
}

static void
say(struct worker *w, uint32_t req, size_t n)
{
	static uint8_t text[16000];
	struct m_s_delta d = { .req = req };

	memset(text, 'x', sizeof(text));
	for (; n > 0; n -= d.text.n) {
		d.text = bytes_of(text, n < sizeof(text) ? n : sizeof(text));
		assert_int_equal(appconn_send(w->server, MSG_s_delta, &d), 0);
	}
}

static void
say_end(struct worker *w, uint32_t req)
{
	struct m_s_end e = { .req = req, .finish = FINISH_STOP };

	assert_int_equal(appconn_send(w->server, MSG_s_end, &e), 0);
	shape_end(&w->shape, req, appconn_streamed(w->server));
}

/* The client takes what was sent. */
static void
deliver(struct worker *w)
{
	struct bytes b;
	struct msg m;
	uint8_t *p;
	size_t room;

	while ((b = appconn_output(w->server)).n > 0) {
		p = appconn_room(w->client, &room);
		b.n = b.n < room ? b.n : room;
		memcpy(p, b.p, b.n);
		appconn_arrived(w->client, b.n);
		appconn_written(w->server, b.n);
		while (appconn_next(w->client, &m) == APPCONN_MESSAGE) {
			if (m.type == MSG_s_delta)
				w->t->text += m.u.s_delta.text.n;
			else if (m.type == MSG_s_end)
				w->t->ended[m.u.s_end.req] = w->now - BEGIN;
		}
		assert_null(appconn_why(w->client));
	}
}

/* The clock strikes: what the worker's timer does. */
static void
strike(struct worker *w)
{
	unsigned n = shape_due(&w->shape, w->now, appconn_waiting(w->server));
	struct trace *t = w->t;

	for (; n > 0; n--) {
		size_t before = appconn_output(w->server).n;

		assert_int_equal(appconn_shaped_record(w->server), 0);
		assert_true(t->n < TRACE_MAX);
		t->at[t->n].ms = w->now - BEGIN;
		t->at[t->n++].size = appconn_output(w->server).n - before;
	}
	shape_sent(&w->shape, appconn_streamed(w->server) -
	    appconn_waiting(w->server));
	deliver(w);
}

/* Let the clock run until ms, or until nothing is shaped. */
static void
run_until(struct worker *w, uint64_t ms)
{
	uint64_t next;

	while ((next = shape_next(&w->shape)) <= BEGIN + ms &&
	    next != SHAPE_NEVER) {
		assert_true(next > w->now);
		w->now = next;
		strike(w);
	}
	if (w->now < BEGIN + ms)
		w->now = BEGIN + ms;
}

/* One session with these events; requests begin at their first event. */
static void
play(enum shape_mode mode, const struct event *e, size_t n, struct trace *t)
{
	bool known[SEEN_MAX] = { false };
	struct worker w;

	begin(&w, mode, t);
	for (size_t i = 0; i < n; i++) {
		run_until(&w, e[i].ms);
		if (!known[e[i].req])
			taken(&w, e[i].req);
		known[e[i].req] = true;
		say(&w, e[i].req, e[i].n);
		if (e[i].end)
			say_end(&w, e[i].req);
	}
	run_until(&w, 10000000);
	assert_false(shape_active(&w.shape));
	assert_int_equal(appconn_waiting(w.server), 0);
	finish(&w);
}

static void
same(const struct trace *a, const struct trace *b)
{
	assert_int_equal(a->n, b->n);
	assert_memory_equal(a->at, b->at, a->n * sizeof(a->at[0]));
}

/* Records of one size, one every 100 ms. */
static void
regular(const struct trace *t, size_t n)
{
	assert_int_equal(t->n, n);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(t->at[i].ms, (i + 1) * SHAPE_TICK_MS);
		assert_int_equal(t->at[i].size, APPCONN_SHAPED);
	}
}

/* Different words, lengths, paces and ends: one trace. */
static void
same_step_same_trace(void **state)
{
	static const struct event quick[] = {
		{ 0, 1, 0, false }, { 3, 1, 5, true }
	}, slow[] = {
		{ 0, 1, 0, false }, { 1500, 1, 9, false }, { 1517, 1, 4, false },
		{ 2950, 1, 700, false }, { 5001, 1, 12, false },
		{ 7890, 1, 3, true }
	}, many[] = {
		{ 0, 1, 60000, false }, { 400, 1, 2, false }, { 401, 1, 2, true }
	};
	struct trace a, b, c;

	(void)state;
	play(SHAPE_TICK, quick, 2, &a);
	play(SHAPE_TICK, slow, 6, &b);
	play(SHAPE_TICK, many, 3, &c);
	regular(&a, SHAPE_STEP);
	same(&a, &b);
	same(&a, &c);
	assert_int_equal(a.text, 5);
	assert_int_equal(b.text, 728);
	assert_int_equal(c.text, 60004);
	/* The end travels inside, at the next tick or when all went before. */
	assert_int_equal(a.ended[1], 100);
	assert_int_equal(b.ended[1], 7900);
	assert_true(c.ended[1] > 6000 && c.ended[1] <= 6500);
}

/* Unshaped, the same answers look different. */
static void
off_is_off(void **state)
{
	struct trace t;
	struct worker w;

	(void)state;
	begin(&w, SHAPE_OFF, &t);
	taken(&w, 1);
	assert_false(shape_active(&w.shape));
	assert_true(shape_next(&w.shape) == SHAPE_NEVER);
	say(&w, 1, 5);
	assert_int_equal(appconn_output(w.server).n, 20 + 3 + 11 + 5 + 32);
	say_end(&w, 1);
	deliver(&w);
	assert_int_equal(t.text, 5);
	assert_int_equal(t.ended[1], 0);
	finish(&w);
}

static void
steps(void **state)
{
	static const struct { uint64_t end; size_t records; } want[] = {
		{ 0, 80 }, { 7899, 80 },
		{ 7999, 80 },		/* its end is in the last record */
		{ 8000, 160 }, { 8001, 160 }, { 15999, 160 }, { 16000, 320 },
		{ 32000, 640 }, { 64000, 1280 }, { 127999, 1280 },
		{ 128000, 2560 }, { 255999, 2560 }, { 256000, 3840 }
	};
	struct trace t;

	(void)state;
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		const struct event e[] = {
			{ 0, 1, 1, false }, { want[i].end, 1, 0, true }
		};

		play(SHAPE_TICK, e, 2, &t);
		regular(&t, want[i].records);
	}
}

/* One record a tick for each, each at its own times. */
static void
two_requests(void **state)
{
	static const struct event e[] = {
		{ 0, 1, 10, false }, { 150, 2, 20, false },
		{ 170, 2, 0, true }, { 9000, 1, 5, true }
	}, other[] = {
		{ 0, 1, 5000, false }, { 150, 2, 0, false },
		{ 7000, 2, 900, true }, { 15000, 1, 0, true }
	};
	struct trace a, b;
	size_t first = 0, second = 0;

	(void)state;
	play(SHAPE_TICK, e, 4, &a);
	play(SHAPE_TICK, other, 4, &b);
	same(&a, &b);
	for (size_t i = 0; i < a.n; i++) {
		assert_int_equal(a.at[i].size, APPCONN_SHAPED);
		if (a.at[i].ms % 100 == 0)
			assert_int_equal(a.at[i].ms, ++first * 100);
		else
			assert_int_equal(a.at[i].ms, 150 + ++second * 100);
	}
	assert_int_equal(first, 160);
	assert_int_equal(second, 80);
	assert_int_equal(a.text, 35);
	/* Whatever record comes first takes it. */
	assert_int_equal(a.ended[2], 200);
	assert_int_equal(a.ended[1], 9100);
}

/* The second prompt of a chat while the first one's step still runs. */
static void
next_prompt_before_the_step(void **state)
{
	static const struct event e[] = {
		{ 0, 1, 10, true }, { 3000, 2, 20, true }
	};
	struct trace t;

	(void)state;
	play(SHAPE_TICK, e, 2, &t);
	assert_int_equal(t.n, 160);
	assert_int_equal(t.at[t.n - 1].ms, 11000);
	/* From 3.1 s to 8 s there are two a tick. */
	assert_int_equal(t.at[29].ms, 3000);
	assert_int_equal(t.at[30].ms, 3100);
	assert_int_equal(t.at[31].ms, 3100);
	assert_int_equal(t.ended[2], 3100);
}

/* What does not fit waits; the schedule does not hurry. */
static void
more_than_fits(void **state)
{
	static const struct event e[] = { { 0, 1, 200000, true } };
	struct trace t;

	(void)state;
	play(SHAPE_TICK, e, 1, &t);
	regular(&t, 320);
	assert_int_equal(t.text, 200000);
	/* 13 messages with 47 bytes each around the text, and the end */
	assert_int_equal(t.ended[1], (200000 + 13 * 47 + 87 +
	    APPCONN_SHAPED_CONTENT - 1) / APPCONN_SHAPED_CONTENT * 100);
}

/* A late tick is made up for once, and the next one is on time. */
static void
late(void **state)
{
	struct trace t;
	struct worker w;

	(void)state;
	begin(&w, SHAPE_TICK, &t);
	taken(&w, 1);
	run_until(&w, 300);
	assert_int_equal(t.n, 3);
	w.now = BEGIN + 777;
	strike(&w);
	assert_int_equal(t.n, 4);
	assert_true(shape_next(&w.shape) == BEGIN + 800);
	strike(&w);
	assert_int_equal(t.n, 4);
	/* Beyond the step: over, if the end was sent before. */
	say_end(&w, 1);
	run_until(&w, 800);
	w.now = BEGIN + 8250;
	strike(&w);
	assert_false(shape_active(&w.shape));
	finish(&w);
}

/* A change of key costs no record of another size, and loses nothing. */
static void
rekey(void **state)
{
	struct trace t;
	struct worker w;

	(void)state;
	begin(&w, SHAPE_TICK, &t);
	appconn_limits(w.server, 7, 1u << 30, 3600000);
	appconn_limits(w.client, 7, 1u << 30, 3600000);
	taken(&w, 1);
	say(&w, 1, 20000);
	say_end(&w, 1);
	run_until(&w, 100000);
	regular(&t, SHAPE_STEP);
	assert_int_equal(t.text, 20000);
	assert_true(t.ended[1] > 0);
	finish(&w);
}

/* At the end of the last step, what was not an answer's goes out at once. */
static void
rest(void **state)
{
	struct trace t;
	struct worker w;

	(void)state;
	begin(&w, SHAPE_TICK, &t);
	taken(&w, 1);
	say_end(&w, 1);
	say(&w, 2, 300000);
	run_until(&w, 8000);
	assert_false(shape_active(&w.shape));
	assert_true(appconn_waiting(w.server) > 200000);
	assert_int_equal(appconn_shape(w.server, false), 0);
	assert_int_equal(appconn_waiting(w.server), 0);
	say(&w, 2, 7);
	deliver(&w);
	assert_int_equal(t.text, 300007);
	finish(&w);
}

/* CLOSE in the middle: first what waits, and both ends agree. */
static void
close_inside(void **state)
{
	struct trace t;
	struct worker w;
	struct msg m;

	(void)state;
	begin(&w, SHAPE_TICK, &t);
	taken(&w, 1);
	say(&w, 1, 3000);
	run_until(&w, 100);
	assert_int_equal(appconn_close(w.server), 0);
	assert_int_equal(appconn_shaped_record(w.server), -1);
	deliver(&w);
	assert_int_equal(t.text, 3000);
	assert_int_equal(appconn_next(w.client, &m), APPCONN_CLOSED);
	finish(&w);
}

static void
buckets(void **state)
{
	static const struct { size_t text, records; } want[] = {
		{ 1, 4 }, { 3800, 4 }, { 4100, 8 }, { 15800, 16 },
		{ 16000, 32 }, { 100000, 128 }
	};
	struct trace t;

	(void)state;
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		const struct event e[] = {
			{ 0, 1, 0, false }, { 950, 1, want[i].text, false },
			{ 1730, 1, 0, true }
		};

		play(SHAPE_BUCKET, e, 3, &t);
		assert_int_equal(t.n, want[i].records);
		for (size_t k = 0; k < t.n; k++) {
			assert_int_equal(t.at[k].ms, 1800);
			assert_int_equal(t.at[k].size, APPCONN_SHAPED);
		}
		assert_int_equal(t.text, want[i].text);
		assert_int_equal(t.ended[1], 1800);
	}
}

/* An answer without end cannot wait for it. */
static void
bucket_that_overflows(void **state)
{
	static const struct event e[] = {
		{ 0, 1, 600000, false }, { 250, 1, 5, true }
	};
	struct trace t;

	(void)state;
	play(SHAPE_BUCKET, e, 2, &t);
	assert_int_equal(t.n, 1024 + 4);
	assert_int_equal(t.at[1023].ms, 100);
	assert_int_equal(t.at[1024].ms, 300);
	assert_int_equal(t.text, 600005);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_step_same_trace),
		cmocka_unit_test(off_is_off),
		cmocka_unit_test(steps),
		cmocka_unit_test(two_requests),
		cmocka_unit_test(next_prompt_before_the_step),
		cmocka_unit_test(more_than_fits),
		cmocka_unit_test(late),
		cmocka_unit_test(rekey),
		cmocka_unit_test(rest),
		cmocka_unit_test(close_inside),
		cmocka_unit_test(buckets),
		cmocka_unit_test(bucket_that_overflows)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
