/*
 * common/fresh.c, and the sessions of common/appconn.c that go on under fresh keys:
 * both ends against each other, somebody who had the keys, and hostile peers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "appconn.h"
#include "fresh.h"
#include "hs.h"
#include "msgmac.h"
#include "record.h"

#define HOUR_MS	3600000
#define WIRE	(64u << 10)

static const uint8_t c_ap[HASH_LEN] = { 1 };
static const uint8_t s_ap[HASH_LEN] = { 2 };
static const uint8_t mm[HASH_LEN] = { 3 };

/* ---- the exchange --------------------------------------------------------------- */

static uint8_t
suite_of(void **state)
{
	return *(const uint8_t *)*state;
}

static void
agrees(void **state)
{
	uint8_t suite = suite_of(state), before[HASH_LEN] = { 0 };
	struct fresh s = { 0 }, c = { 0 };
	struct m_s_fresh offer;
	struct m_c_fresh answer;

	for (int i = 0; i < 3; i++) {
		fresh_offer(&s, suite, &offer);
		assert_int_equal(s.state, FRESH_OFFERED);
		assert_int_equal(fresh_answer(&c, suite, &offer, &answer), 0);
		assert_int_equal(fresh_accept(&s, suite, &answer), 0);
		assert_int_equal(s.state, FRESH_AGREED);
		assert_int_equal(c.state, FRESH_AGREED);
		assert_int_equal(s.ss_n, suite == HS_SUITE_HYBRID ? 64 : 32);
		assert_int_equal(c.ss_n, s.ss_n);
		assert_memory_equal(s.ss, c.ss, s.ss_n);
		assert_memory_equal(s.th, c.th, HASH_LEN);
		assert_memory_not_equal(s.th, before, HASH_LEN);
		memcpy(before, s.th, HASH_LEN);
		assert_null(s.eph);
		assert_null(c.eph);
		assert_null(s.mlkem);
		fresh_end(&s);
		fresh_end(&c);
		assert_int_equal(s.state, FRESH_NONE);
		assert_int_equal(s.ss_n, 0);
	}
}

/* Whoever changes a share on its way is left with other secrets. */
static void
changed(void **state)
{
	uint8_t suite = suite_of(state);
	struct m_s_fresh offer;
	struct m_c_fresh answer;

	for (int bit = 0; bit < 254; bit += 23) {
		struct fresh s = { 0 }, c = { 0 };

		fresh_offer(&s, suite, &offer);
		if (bit & 1)
			offer.share[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(fresh_answer(&c, suite, &offer, &answer), 0);
		if (!(bit & 1))
			answer.share[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(fresh_accept(&s, suite, &answer), 0);
		assert_memory_not_equal(s.ss, c.ss, s.ss_n);
		assert_memory_not_equal(s.th, c.th, HASH_LEN);
		fresh_end(&s);
		fresh_end(&c);
	}
}

static void
out_of_order(void **state)
{
	uint8_t suite = suite_of(state);
	struct fresh s = { 0 }, c = { 0 };
	struct m_s_fresh offer;
	struct m_c_fresh answer;

	fresh_offer(&s, suite, &offer);
	assert_int_equal(fresh_answer(&c, suite, &offer, &answer), 0);
	fresh_end(&s);
	assert_int_equal(fresh_accept(&s, suite, &answer), -1);
	fresh_offer(&s, suite, &offer);
	assert_int_equal(fresh_answer(&c, suite, &offer, &answer), 0);
	assert_int_equal(fresh_accept(&s, suite, &answer), 0);
	assert_int_equal(fresh_accept(&s, suite, &answer), -1);
	fresh_end(&s);
	fresh_end(&c);
}

static void
not_of_this_suite(void **state)
{
	static const uint8_t zeros[MLKEM_KEY];
	uint8_t suite = suite_of(state);
	size_t good = suite == HS_SUITE_HYBRID ? MLKEM_KEY : 0;
	size_t good_ct = suite == HS_SUITE_HYBRID ? MLKEM_CT : 0;
	struct fresh s = { 0 }, c = { 0 };
	struct m_s_fresh offer;
	struct m_c_fresh answer;

	for (size_t n = 0; n <= MLKEM_KEY; n++) {
		fresh_offer(&s, suite, &offer);
		offer.kem = bytes_of(zeros, n);
		if (n != good)
			assert_int_equal(fresh_answer(&c, suite, &offer,
			    &answer), -1);
		memset(&answer, 7, sizeof(answer.share));
		answer.kem = bytes_of(zeros, n);
		if (n != good_ct && n <= MLKEM_CT)
			assert_int_equal(fresh_accept(&s, suite, &answer), -1);
		n += n > 2 && n < MLKEM_CT - 3 ? 200 : 0;
	}
	fresh_end(&s);
	fresh_end(&c);
}

/* Points of small order: RFC 7748, 6.1. */
static void
low_order(void **state)
{
	static const uint8_t points[][X25519_LEN] = {
		{ 0 }, { 1 },
		{ 0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		    0xff, 0x7f }
	};
	uint8_t suite = suite_of(state);
	struct fresh s = { 0 }, c = { 0 };
	struct m_s_fresh offer;
	struct m_c_fresh answer;

	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		fresh_offer(&s, suite, &offer);
		assert_int_equal(fresh_answer(&c, suite, &offer, &answer), 0);
		memcpy(answer.share, points[i], X25519_LEN);
		assert_int_equal(fresh_accept(&s, suite, &answer), -1);
		assert_int_not_equal(s.state, FRESH_AGREED);
		memcpy(offer.share, points[i], X25519_LEN);
		assert_int_equal(fresh_answer(&c, suite, &offer, &answer), -1);
		assert_int_not_equal(c.state, FRESH_AGREED);
	}
	fresh_end(&s);
	fresh_end(&c);
}

/* ---- sessions ------------------------------------------------------------------ */

struct ends {
	struct appconn	*client, *server;
};

/* What went over a wire, for those who look later. */
struct wire {
	uint8_t	p[WIRE];
	size_t	n;
};

static struct ends
ends(uint8_t suite)
{
	return (struct ends){
		appconn_new(END_A, suite, c_ap, s_ap, mm),
		appconn_new(END_B, suite, c_ap, s_ap, mm)
	};
}

static void
ends_free(struct ends *e)
{
	appconn_free(e->client);
	appconn_free(e->server);
}

/* All that waits goes over; what the last appconn_next() said. */
static enum appconn_result
carry(struct appconn *from, struct appconn *to, struct msg *m, struct wire *w)
{
	enum appconn_result r;
	struct bytes b;
	uint8_t *p;
	size_t room;

	while ((r = appconn_next(to, m)) == APPCONN_AGAIN &&
	    (b = appconn_output(from)).n > 0) {
		p = appconn_room(to, &room);
		if (b.n > room)
			b.n = room;
		memcpy(p, b.p, b.n);
		appconn_arrived(to, b.n);
		if (w != NULL) {
			assert_true(w->n + b.n <= WIRE);
			memcpy(w->p + w->n, b.p, b.n);
			w->n += b.n;
		}
		appconn_written(from, b.n);
	}
	return r;
}

static void
ping(struct ends *e, uint32_t req, struct wire *up, struct wire *down)
{
	struct m_c_ping q = { .req = req };
	struct m_s_pong a = { .req = req };
	struct msg m;

	assert_int_equal(appconn_send(e->client, MSG_c_ping, &q), 0);
	assert_int_equal(carry(e->client, e->server, &m, up), APPCONN_MESSAGE);
	assert_int_equal(m.u.c_ping.req, req);
	assert_int_equal(appconn_send(e->server, MSG_s_pong, &a), 0);
	assert_int_equal(carry(e->server, e->client, &m, down),
	    APPCONN_MESSAGE);
	assert_int_equal(m.u.s_pong.req, req);
}

/* Offer, answer, and both have changed. */
static void
freshen(struct ends *e, struct wire *up, struct wire *down)
{
	unsigned n = appconn_freshened(e->server);
	struct msg m;

	assert_int_equal(appconn_fresh(e->server), 0);
	assert_true(appconn_fresh_waits(e->server));
	assert_int_equal(carry(e->server, e->client, &m, down), APPCONN_AGAIN);
	assert_int_equal(carry(e->client, e->server, &m, up), APPCONN_AGAIN);
	assert_int_equal(carry(e->server, e->client, &m, down), APPCONN_AGAIN);
	assert_false(appconn_fresh_waits(e->server));
	assert_false(appconn_fresh_waits(e->client));
	assert_int_equal(appconn_freshened(e->server), n + 1);
	assert_int_equal(appconn_freshened(e->client), n + 1);
}

static void
goes_on(void **state)
{
	struct ends e = ends(suite_of(state));
	struct msg m;

	for (uint32_t i = 1; i < 10; i++) {
		ping(&e, i, NULL, NULL);
		freshen(&e, NULL, NULL);
	}
	ping(&e, 10, NULL, NULL);
	assert_int_equal(appconn_close(e.client), 0);
	assert_int_equal(carry(e.client, e.server, &m, NULL), APPCONN_CLOSED);
	assert_int_equal(appconn_close(e.server), 0);
	assert_int_equal(carry(e.server, e.client, &m, NULL), APPCONN_CLOSED);
	ends_free(&e);
}

/*
 * Open a recording with the traffic secret that somebody has got hold of, as far as it
 * goes; how many records of it were opened, and whether one changed the key afresh.
 */
static size_t
open_with(const uint8_t secret[HASH_LEN], struct wire *w, bool *fresh)
{
	enum record_type type = RECORD_DUMMY;
	size_t at = 0, total, opened = 0;
	struct record_dir d;
	struct bytes content;

	*fresh = false;
	record_dir_init(&d, secret, RECORD_EPOCH_AP);
	while (record_frame(bytes_of(w->p + at, w->n - at), &total) == 1 &&
	    record_open(&d, w->p + at, total, &type, &content) == 0) {
		at += total;
		opened++;
		if (type == RECORD_FRESH)
			*fresh = true;
		if (type == RECORD_FRESH || type == RECORD_REKEY)
			assert_int_equal(record_rekey(&d), 0);
	}
	record_dir_free(&d);
	assert_true(at < w->n);
	return opened;
}

/* Who has both traffic secrets and a recording reads to the fresh key, no further. */
static void
who_had_the_keys(void **state)
{
	static struct wire up, down;
	struct ends e = ends(suite_of(state));
	bool fresh;

	up.n = down.n = 0;
	ping(&e, 1, &up, &down);
	freshen(&e, &up, &down);
	ping(&e, 2, &up, &down);
	/* c_ping, c_fresh, the change; s_pong, s_fresh, the change. */
	assert_int_equal(open_with(c_ap, &up, &fresh), 3);
	assert_true(fresh);
	assert_int_equal(open_with(s_ap, &down, &fresh), 3);
	assert_true(fresh);
	ends_free(&e);
}

/* Messages that were on their way, and changes of key by their limits. */
static void
amid_traffic(void **state)
{
	struct ends e = ends(suite_of(state));
	struct m_s_delta d = { .req = 1, .text = bytes_str("word") };
	struct m_c_ping q = { .req = 1 };
	struct msg m;
	unsigned got = 0, asked = 0;

	appconn_limits(e.client, 3, 1u << 30, HOUR_MS);
	appconn_limits(e.server, 3, 1u << 30, HOUR_MS);
	for (int i = 0; i < 60; i++) {
		assert_int_equal(appconn_send(e.server, MSG_s_delta, &d), 0);
		if (i % 5 == 1)
			assert_int_equal(appconn_fresh(e.server), 0);
		assert_int_equal(appconn_send(e.client, MSG_c_ping, &q), 0);
		assert_int_equal(appconn_send(e.server, MSG_s_delta, &d), 0);
		while (carry(e.server, e.client, &m, NULL) == APPCONN_MESSAGE)
			got++;
		assert_int_equal(appconn_send(e.client, MSG_c_ping, &q), 0);
		while (carry(e.client, e.server, &m, NULL) == APPCONN_MESSAGE)
			asked++;
	}
	while (carry(e.server, e.client, &m, NULL) == APPCONN_MESSAGE)
		got++;
	assert_null(appconn_why(e.client));
	assert_null(appconn_why(e.server));
	assert_int_equal(got, 120);
	assert_int_equal(asked, 120);
	assert_int_equal(appconn_freshened(e.client), 12);
	assert_int_equal(appconn_freshened(e.server), 12);
	ends_free(&e);
}

/* One offer at a time. */
static void
offered_once(void **state)
{
	struct ends e = ends(suite_of(state));
	size_t n;

	assert_int_equal(appconn_fresh(e.server), 0);
	n = appconn_output(e.server).n;
	assert_int_equal(appconn_fresh(e.server), 0);
	assert_int_equal(appconn_output(e.server).n, n);
	ends_free(&e);
}

/* Shaped, it all happens in records of the one size. */
static void
while_shaped(void **state)
{
	struct ends e = ends(suite_of(state));
	struct m_s_delta d = { .req = 1, .text = bytes_str("word") };
	unsigned got = 0;
	struct msg m;

	assert_int_equal(appconn_shape(e.server, true), 0);
	assert_int_equal(appconn_fresh(e.server), 0);
	assert_int_equal(appconn_send(e.server, MSG_s_delta, &d), 0);
	for (int i = 0; i < 8; i++) {
		assert_int_equal(appconn_shaped_record(e.server), 0);
		assert_int_equal(appconn_output(e.server).n, APPCONN_SHAPED);
		got += carry(e.server, e.client, &m, NULL) == APPCONN_MESSAGE;
		assert_int_equal(carry(e.server, e.client, &m, NULL),
		    APPCONN_AGAIN);
		assert_int_equal(carry(e.client, e.server, &m, NULL),
		    APPCONN_AGAIN);
		assert_int_equal(appconn_output(e.server).n, 0);
	}
	assert_int_equal(got, 1);
	assert_int_equal(appconn_freshened(e.client), 1);
	assert_int_equal(appconn_freshened(e.server), 1);
	/* Agreed while it is shaped, and used at the end of that. */
	assert_int_equal(appconn_fresh(e.server), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(appconn_shaped_record(e.server), 0);
	assert_int_equal(carry(e.server, e.client, &m, NULL), APPCONN_AGAIN);
	assert_int_equal(carry(e.client, e.server, &m, NULL), APPCONN_AGAIN);
	assert_int_equal(appconn_freshened(e.server), 1);
	assert_int_equal(appconn_shape(e.server, false), 0);
	assert_int_equal(carry(e.server, e.client, &m, NULL), APPCONN_AGAIN);
	assert_int_equal(appconn_freshened(e.server), 2);
	assert_int_equal(appconn_freshened(e.client), 2);
	ping(&e, 3, NULL, NULL);
	ends_free(&e);
}

/* An offer to who has said the last word, and an answer to one. */
static void
amid_close(void **state)
{
	struct ends e = ends(suite_of(state));
	struct msg m;

	assert_int_equal(appconn_fresh(e.server), 0);
	assert_int_equal(appconn_close(e.client), 0);
	assert_int_equal(carry(e.server, e.client, &m, NULL), APPCONN_AGAIN);
	assert_int_equal(carry(e.client, e.server, &m, NULL), APPCONN_CLOSED);
	assert_int_equal(appconn_close(e.server), 0);
	assert_int_equal(carry(e.server, e.client, &m, NULL), APPCONN_CLOSED);
	ends_free(&e);

	e = ends(suite_of(state));
	assert_int_equal(appconn_fresh(e.server), 0);
	assert_int_equal(appconn_close(e.server), 0);
	assert_int_equal(appconn_fresh(e.server), -1);
	assert_int_equal(carry(e.server, e.client, &m, NULL), APPCONN_CLOSED);
	assert_int_equal(appconn_close(e.client), 0);
	assert_int_equal(carry(e.client, e.server, &m, NULL), APPCONN_CLOSED);
	ends_free(&e);
}

static void
epochs_run_out(void **state)
{
	struct ends e = ends(suite_of(state));
	struct msg m;

	for (int i = RECORD_EPOCH_AP; i < RECORD_EPOCH_LAST; i++)
		freshen(&e, NULL, NULL);
	assert_int_equal(appconn_fresh(e.server), 0);
	assert_int_equal(carry(e.server, e.client, &m, NULL), APPCONN_BROKEN);
	assert_non_null(appconn_why(e.client));
	ends_free(&e);
}

/* ---- hostile peers --------------------------------------------------------------- */

struct rogue {
	struct record_dir	 tx;
	struct msgmac		 mac;
	struct appconn		*victim;
};

static void
rogue_start(struct rogue *r, enum chan_end victim)
{
	record_dir_init(&r->tx, victim == END_B ? c_ap : s_ap,
	    RECORD_EPOCH_AP);
	msgmac_init(&r->mac, mm, victim == END_B ? MSGMAC_TO_SERVER :
	    MSGMAC_TO_CLIENT);
	r->victim = appconn_new(victim, HS_SUITE_X25519, c_ap, s_ap, mm);
}

static void
rogue_end(struct rogue *r, const char *why)
{
	if (why != NULL)
		assert_string_equal(appconn_why(r->victim), why);
	assert_int_equal(appconn_freshened(r->victim), 0);
	record_dir_free(&r->tx);
	msgmac_free(&r->mac);
	appconn_free(r->victim);
}

static enum appconn_result
rogue_record(struct rogue *r, enum record_type type, struct bytes content)
{
	struct buf b = BUF_INIT(RECORD_MAX);
	uint8_t *p;
	size_t n;
	struct msg m;

	assert_int_equal(record_seal(&r->tx, type, content, 0, &b), 0);
	p = appconn_room(r->victim, &n);
	assert_true(n >= b.n);
	memcpy(p, b.p, b.n);
	appconn_arrived(r->victim, b.n);
	buf_free(&b);
	return appconn_next(r->victim, &m);
}

static enum appconn_result
rogue_say(struct rogue *r, enum msg_type type, const void *body)
{
	struct buf b = BUF_INIT(4096);
	enum appconn_result v;

	assert_int_equal(msg_encode(type, body, &b), 0);
	msgmac_next(&r->mac, buf_bytes(&b));
	buf_put(&b, r->mac.mac, HASH_LEN);
	v = rogue_record(r, RECORD_APP, buf_bytes(&b));
	buf_free(&b);
	return v;
}

static const char unasked[] = "fresh keys that are none, or unasked";
static const char again[] = "fresh keys again, before they were used";
static const char not_agreed[] = "a fresh key that was not agreed";

static void
hostile_clients(void **state)
{
	struct m_c_fresh c = { .share = { 9 } };
	struct bytes none = { NULL, 0 };
	struct rogue r;

	(void)state;
	rogue_start(&r, END_B);
	assert_int_equal(rogue_say(&r, MSG_c_fresh, &c), APPCONN_BROKEN);
	rogue_end(&r, unasked);

	rogue_start(&r, END_B);
	assert_int_equal(rogue_record(&r, RECORD_FRESH, none), APPCONN_BROKEN);
	rogue_end(&r, not_agreed);

	/* Offered is not agreed. */
	rogue_start(&r, END_B);
	assert_int_equal(appconn_fresh(r.victim), 0);
	assert_int_equal(rogue_record(&r, RECORD_FRESH, none), APPCONN_BROKEN);
	rogue_end(&r, not_agreed);

	/* Twice; also after it has gone on under the old key for a while. */
	rogue_start(&r, END_B);
	assert_int_equal(appconn_fresh(r.victim), 0);
	assert_int_equal(rogue_say(&r, MSG_c_fresh, &c), APPCONN_AGAIN);
	assert_int_equal(rogue_record(&r, RECORD_DUMMY, none), APPCONN_AGAIN);
	assert_int_equal(rogue_say(&r, MSG_c_fresh, &c), APPCONN_BROKEN);
	rogue_end(&r, again);

	/* A key that is said to be fresh, and is not. */
	rogue_start(&r, END_B);
	assert_int_equal(appconn_fresh(r.victim), 0);
	assert_int_equal(rogue_say(&r, MSG_c_fresh, &c), APPCONN_AGAIN);
	assert_int_equal(rogue_record(&r, RECORD_REKEY, none), APPCONN_AGAIN);
	assert_int_equal(record_rekey(&r.tx), 0);
	assert_int_equal(rogue_record(&r, RECORD_DUMMY, none), APPCONN_AGAIN);
	assert_int_equal(appconn_freshened(r.victim), 0);
	assert_true(appconn_fresh_waits(r.victim));
	rogue_end(&r, NULL);

	/* No share, and one of another suite. */
	memset(&c, 0, sizeof(c));
	rogue_start(&r, END_B);
	assert_int_equal(appconn_fresh(r.victim), 0);
	assert_int_equal(rogue_say(&r, MSG_c_fresh, &c), APPCONN_BROKEN);
	rogue_end(&r, unasked);
	c.share[0] = 9;
	c.kem = bytes_str("x");
	rogue_start(&r, END_B);
	assert_int_equal(appconn_fresh(r.victim), 0);
	assert_int_equal(rogue_say(&r, MSG_c_fresh, &c), APPCONN_BROKEN);
	rogue_end(&r, unasked);
}

static void
hostile_servers(void **state)
{
	struct m_s_fresh s = { .share = { 9 } };
	struct bytes none = { NULL, 0 };
	struct rogue r;

	(void)state;
	rogue_start(&r, END_A);
	assert_int_equal(rogue_record(&r, RECORD_FRESH, none), APPCONN_BROKEN);
	rogue_end(&r, not_agreed);

	rogue_start(&r, END_A);
	assert_int_equal(rogue_say(&r, MSG_s_fresh, &s), APPCONN_AGAIN);
	assert_int_equal(rogue_say(&r, MSG_s_fresh, &s), APPCONN_BROKEN);
	rogue_end(&r, again);

	memset(&s, 0, sizeof(s));
	rogue_start(&r, END_A);
	assert_int_equal(rogue_say(&r, MSG_s_fresh, &s), APPCONN_BROKEN);
	rogue_end(&r, unasked);
	s.share[0] = 9;
	s.kem = bytes_str("x");
	rogue_start(&r, END_A);
	assert_int_equal(rogue_say(&r, MSG_s_fresh, &s), APPCONN_BROKEN);
	rogue_end(&r, unasked);
}

/* A client that is not let in yet has no say in keys. */
static void
not_let_in(void **state)
{
	struct m_c_fresh c = { .share = { 9 } };
	struct rogue r;

	(void)state;
	rogue_start(&r, END_B);
	appconn_set_state(r.victim, APP_ENROL);
	assert_int_equal(rogue_say(&r, MSG_c_fresh, &c), APPCONN_BROKEN);
	rogue_end(&r, NULL);
}

int
main(void)
{
	static uint8_t s1 = HS_SUITE_X25519;
#if MLKEM_BUILT
	static uint8_t s2 = HS_SUITE_HYBRID;
#define T(f)	{ #f " s1", f, NULL, NULL, &s1 }, { #f " s2", f, NULL, NULL, &s2 }
#else
#define T(f)	{ #f " s1", f, NULL, NULL, &s1 }
#endif
	const struct CMUnitTest tests[] = {
		T(agrees), T(changed), T(out_of_order), T(not_of_this_suite),
		T(low_order), T(goes_on), T(who_had_the_keys), T(amid_traffic),
		T(offered_once), T(while_shaped), T(amid_close),
		T(epochs_run_out), cmocka_unit_test(hostile_clients),
		cmocka_unit_test(hostile_servers), cmocka_unit_test(not_let_in)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
