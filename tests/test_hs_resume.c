/*
 * common/hs_resume.c: both ends of a resumption, and ends that lie.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "hs_ends.h"

enum { R_CH, R_SH, R_SF, R_CF, R_COUNT };

static struct buf msg[R_COUNT];
/* Both ends before each message. */
static struct hs c_before[R_COUNT], s_before[R_COUNT];
static struct hs_ticket ticket;
static uint8_t suite;

static void
ends(struct hs *c, struct hs *s, uint8_t highest)
{
	hs_client_init(c, 0);
	hs_server_init(s, 0);
	hs_suites(c, HS_SUITE_X25519, highest);
	hs_suites(s, HS_SUITE_X25519, highest);
}

static void
keep(int at, const struct hs *c, const struct hs *s)
{
	c_before[at] = fork_hs(c);
	s_before[at] = fork_hs(s);
}

/* One whole resumption, with copies of both ends at each point of it. */
static void
resume(struct hs *c, struct hs *s)
{
	ends(c, s, suite);
	assert_int_equal(hs_client_resume(c, &ticket), 0);
	keep(R_CH, c, s);
	assert_int_equal(hs_client_make_ch(c, random_c, server_hash,
	    &msg[R_CH]), 0);
	assert_int_equal(hs_server_read_ch(s, buf_bytes(&msg[R_CH]),
	    server_hash, false), HS_OK);
	assert_true(hs_binder_ok(buf_bytes(&msg[R_CH]), ticket.psk));
	assert_int_equal(hs_server_resume(s, ticket.psk), 0);
	assert_int_equal(hs_server_make_sh(s, random_s, &msg[R_SH]), 0);
	keep(R_SH, c, s);
	assert_int_equal(hs_client_read_sh(c, buf_bytes(&msg[R_SH])), 0);
	keep(R_SF, c, s);
	assert_int_equal(hs_server_make_sf(s, &msg[R_SF]), 0);
	assert_int_equal(msg[R_SF].n, HS_MAC_LEN);
	assert_int_equal(hs_client_read_sf(c, buf_bytes(&msg[R_SF])), 0);
	assert_int_equal(hs_client_make_cf(c, &msg[R_CF]), 0);
	assert_int_equal(msg[R_CF].n, HS_MAC_LEN);
	keep(R_CF, c, s);
	assert_int_equal(hs_server_read_cf(s, buf_bytes(&msg[R_CF])), 0);
}

static int
begin(void **state, uint8_t with)
{
	struct hs c, s;

	(void)state;
	suite = with;
	crypto_random(&ticket, sizeof(ticket));
	ticket.suite = with;
	rsa_fingerprint(server_hash, bytes_str("a server's key"));
	for (int i = 0; i < R_COUNT; i++)
		buf_init(&msg[i], HS_FLIGHT_MAX);
	resume(&c, &s);
	hs_free(&c);
	hs_free(&s);
	return 0;
}

static int
begin_s1(void **state)
{
	return begin(state, HS_SUITE_X25519);
}

#if MLKEM_BUILT
static int
begin_s2(void **state)
{
	return begin(state, HS_SUITE_HYBRID);
}
#endif

static int
end(void **state)
{
	(void)state;
	for (int i = 0; i < R_COUNT; i++) {
		hs_free(&c_before[i]);
		hs_free(&s_before[i]);
		buf_free(&msg[i]);
	}
	return 0;
}

/* The server takes the ticket and another suite than the ticket's. */
static void
other_suite(void **state)
{
	struct hs c = fork_hs(&c_before[R_SH]);

	(void)state;
	c.ticket_suite = (uint8_t)(suite + 1);
	assert_int_equal(hs_client_read_sh(&c, buf_bytes(&msg[R_SH])), -1);
	assert_string_equal(c.why, "SH: not the ticket's suite");
	hs_free(&c);
}

/* Equal secrets at both ends, others each time. */
static void
agree(void **state)
{
	struct hs_session cs, ss, other;
	struct hs c, s;

	(void)state;
	for (int i = 0; i < R_COUNT; i++)
		buf_reset(&msg[i]);
	end(NULL);
	for (int i = 0; i < R_COUNT; i++)
		buf_init(&msg[i], HS_FLIGHT_MAX);
	resume(&c, &s);
	assert_int_equal(hs_session(&c, &cs), 0);
	assert_int_equal(hs_session(&s, &ss), 0);
	assert_memory_equal(&cs, &ss, sizeof(cs));
	hs_free(&c);
	hs_free(&s);
	/* The same ticket, which no vault would allow: still other secrets. */
	end(NULL);
	for (int i = 0; i < R_COUNT; i++)
		buf_init(&msg[i], HS_FLIGHT_MAX);
	resume(&c, &s);
	assert_int_equal(hs_session(&c, &other), 0);
	assert_memory_not_equal(cs.c_ap, other.c_ap, HASH_LEN);
	assert_memory_not_equal(cs.s_ap, other.s_ap, HASH_LEN);
	assert_memory_not_equal(cs.session_id, other.session_id, HASH_LEN);
	hs_free(&c);
	hs_free(&s);
}

/* A handshake without a ticket looks the same on the wire, up to SH. */
static void
looks_the_same(void **state)
{
	struct buf ch = BUF_INIT(HS_CH_LEN);
	uint8_t id[HASH_LEN];
	struct hs c, s;

	(void)state;
	ends(&c, &s, suite);
	assert_int_equal(hs_client_make_ch(&c, random_c, server_hash, &ch), 0);
	assert_int_equal(ch.n, msg[R_CH].n);
	assert_memory_equal(ch.p, msg[R_CH].p, 7);	/* up to the suites */
	assert_int_equal(hs_ch_ticket(buf_bytes(&ch), id), 0);
	assert_false(hs_binder_ok(buf_bytes(&ch), ticket.psk));
	hs_free(&c);
	hs_free(&s);
	buf_free(&ch);
}

/* A change of any bit of CH is seen by mac1, and by the binder behind it. */
static void
flip_ch(void **state)
{
	uint8_t ch[HS_CH_LEN];
	struct hs s;

	(void)state;
	memcpy(ch, msg[R_CH].p, sizeof(ch));
	for (size_t bit = 0; bit < 8 * sizeof(ch); bit++) {
		ch[bit / 8] ^= (uint8_t)(1u << bit % 8);
		s = fork_hs(&s_before[R_CH]);
		assert_int_equal(hs_server_read_ch(&s, bytes_of(ch, sizeof(ch)),
		    server_hash, true), HS_SILENT);
		hs_free(&s);
		/* mac1 made anew, as anybody can. */
		if (bit < 8 * (HS_CH_LEN - HS_MAC1)) {
			hs_mac1(ch + HS_CH_LEN - HS_MAC1, ch, server_hash);
			if (hs_binder_ok(bytes_of(ch, sizeof(ch)), ticket.psk))
				fail_msg("bit %zu", bit);
		}
		memcpy(ch, msg[R_CH].p, sizeof(ch));
	}
	assert_true(hs_binder_ok(bytes_of(ch, sizeof(ch)), ticket.psk));
	/* Another ticket's secret. */
	for (size_t bit = 0; bit < 8 * HASH_LEN; bit++) {
		struct hs_ticket t = ticket;

		t.psk[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_false(hs_binder_ok(bytes_of(ch, sizeof(ch)), t.psk));
	}
}

/* Any bit of SH: then SF is wrong, or its record does not open. */
static void
flip_sh(void **state)
{
	struct buf sh = BUF_INIT(HS_FLIGHT_MAX);
	struct hs c;

	(void)state;
	buf_put(&sh, msg[R_SH].p, msg[R_SH].n);
	for (size_t bit = 0; bit < 8 * sh.n; bit++) {
		sh.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
		c = fork_hs(&c_before[R_SH]);
		if (hs_client_read_sh(&c, buf_bytes(&sh)) == 0) {
			if (memcmp(c.s_hs, s_before[R_SF].s_hs, HASH_LEN) == 0)
				fail_msg("bit %zu", bit);
			assert_int_equal(hs_client_read_sf(&c,
			    buf_bytes(&msg[R_SF])), -1);
			assert_string_equal(c.why, "SF: wrong");
		}
		hs_free(&c);
		sh.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	buf_free(&sh);
}

static void
flip_macs(void **state)
{
	uint8_t f[HS_MAC_LEN + 1] = { 0 };
	struct hs_session session;
	struct hs c, s;

	(void)state;
	for (size_t bit = 0; bit < 8 * (size_t)HS_MAC_LEN; bit++) {
		memcpy(f, msg[R_SF].p, HS_MAC_LEN);
		f[bit / 8] ^= (uint8_t)(1u << bit % 8);
		c = fork_hs(&c_before[R_SF]);
		assert_int_equal(hs_client_read_sf(&c, bytes_of(f, HS_MAC_LEN)),
		    -1);
		assert_int_equal(hs_client_make_cf(&c, &msg[R_SF]), -1);
		hs_free(&c);
		memcpy(f, msg[R_CF].p, HS_MAC_LEN);
		f[bit / 8] ^= (uint8_t)(1u << bit % 8);
		s = fork_hs(&s_before[R_CF]);
		assert_int_equal(hs_server_read_cf(&s, bytes_of(f, HS_MAC_LEN)),
		    -1);
		assert_int_equal(hs_session(&s, &session), -1);
		hs_free(&s);
	}
	/* Too short, too long; the other's; a reflection. */
	memcpy(f, msg[R_CF].p, HS_MAC_LEN);
	for (size_t n = 0; n <= HS_MAC_LEN + 1; n++) {
		s = fork_hs(&s_before[R_CF]);
		assert_int_equal(hs_server_read_cf(&s, bytes_of(f, n)),
		    n == HS_MAC_LEN ? 0 : -1);
		hs_free(&s);
	}
	s = fork_hs(&s_before[R_CF]);
	f[0] = HS_CF;
	memcpy(f + HS_MSG_HDR, msg[R_SF].p + HS_MSG_HDR, HASH_LEN);
	assert_int_equal(hs_server_read_cf(&s, bytes_of(f, HS_MAC_LEN)), -1);
	assert_string_equal(s.why, "CF: wrong");
	hs_free(&s);
}

/* An end that has another secret, or none, goes no further. */
static void
without_the_secret(void **state)
{
	struct buf ch = BUF_INIT(HS_CH_LEN), sh = BUF_INIT(HS_FLIGHT_MAX);
	struct buf sf = BUF_INIT(HS_FLIGHT_MAX);
	struct hs_ticket other = ticket;
	struct hs c, s;

	(void)state;
	other.psk[0] ^= 1;
	for (int full = 0; full < 2; full++) {
		ends(&c, &s, suite);
		buf_reset(&ch);
		buf_reset(&sh);
		buf_reset(&sf);
		assert_int_equal(hs_client_resume(&c, &ticket), 0);
		assert_int_equal(hs_client_make_ch(&c, random_c, server_hash,
		    &ch), 0);
		assert_int_equal(hs_server_read_ch(&s, buf_bytes(&ch),
		    server_hash, false), HS_OK);
		if (!full)
			assert_int_equal(hs_server_resume(&s, other.psk), 0);
		assert_int_equal(hs_server_make_sh(&s, random_s, &sh), 0);
		assert_int_equal(hs_client_read_sh(&c, buf_bytes(&sh)), 0);
		assert_memory_not_equal(c.s_hs, s.s_hs, HASH_LEN);
		assert_memory_not_equal(c.c_hs, s.c_hs, HASH_LEN);
		/* A server that did not take it cannot make SF alone. */
		assert_int_equal(hs_server_make_sf(&s, &sf), full ? -1 : 0);
		if (!full)
			assert_int_equal(hs_client_read_sf(&c, buf_bytes(&sf)),
			    -1);
		hs_free(&c);
		hs_free(&s);
	}
	buf_free(&ch);
	buf_free(&sh);
	buf_free(&sf);
}

/* No step of the other kind of handshake, and none out of order. */
static void
order(void **state)
{
	struct buf out = BUF_INIT(HS_FLIGHT_MAX);
	uint8_t wd[HASH_LEN] = { 0 };
	struct bytes ct;
	struct hs_sa sa;
	struct hs_ca ca;
	struct hs hs;

	(void)state;
	hs = fork_hs(&c_before[R_SF]);
	assert_int_equal(hs_client_read_sa(&hs, buf_bytes(&msg[R_SF]), &sa),
	    -1);
	assert_int_equal(hs_client_read_sf(&hs, buf_bytes(&msg[R_SF])), -1);
	hs_free(&hs);
	hs = fork_hs(&c_before[R_SF]);
	assert_int_equal(hs_client_make_cf(&hs, &out), -1);
	hs_free(&hs);
	hs = fork_hs(&c_before[R_SF]);
	assert_int_equal(hs_client_read_kw(&hs, buf_bytes(&msg[R_SF]), &ct),
	    -1);
	hs_free(&hs);
	hs = fork_hs(&c_before[R_SF]);
	assert_int_equal(hs_client_finish(&hs, wd), -1);
	hs_free(&hs);
	hs = fork_hs(&c_before[R_CH]);
	assert_int_equal(hs_client_read_sf(&hs, buf_bytes(&msg[R_SF])), -1);
	hs_free(&hs);
	hs = fork_hs(&s_before[R_CF]);
	assert_int_equal(hs_server_read_ca(&hs, buf_bytes(&msg[R_CF]), &ca),
	    -1);
	assert_int_equal(hs_server_read_cf(&hs, buf_bytes(&msg[R_CF])), -1);
	hs_free(&hs);
	hs = fork_hs(&s_before[R_SH]);
	assert_int_equal(hs_server_make_sa(&hs, bytes_str("x"), bytes_str(""),
	    bytes_str(""), &out), -1);
	hs_free(&hs);
	hs = fork_hs(&s_before[R_SH]);
	assert_int_equal(hs_server_read_cf(&hs, buf_bytes(&msg[R_CF])), -1);
	hs_free(&hs);
	/* Too late to say that one resumes. */
	hs = fork_hs(&s_before[R_SH]);
	assert_int_equal(hs_server_resume(&hs, ticket.psk), -1);
	hs_free(&hs);
	hs = fork_hs(&c_before[R_SH]);
	assert_int_equal(hs_client_resume(&hs, &ticket), -1);
	hs_free(&hs);
	buf_free(&out);
}

/* A ticket is good for the suite of its session alone (attack 33). */
static void
other_suites(void **state)
{
	struct buf ch = BUF_INIT(HS_CH_LEN), sh = BUF_INIT(HS_FLIGHT_MAX);
	struct hs_ticket t = ticket;
	struct hs c, s;

	(void)state;
	t.suite = (uint8_t)(suite + 1);
	ends(&c, &s, suite);
	assert_int_equal(hs_client_resume(&c, &t), -1);
	assert_string_equal(c.why, "a ticket for another suite");
	hs_free(&c);
	hs_free(&s);
	if (suite == HS_SUITE_X25519)
		return;
	/* A server that has lost suite 2 since. */
	hs_client_init(&c, 0);
	hs_server_init(&s, 0);
	hs_suites(&s, HS_SUITE_X25519, HS_SUITE_X25519);
	assert_int_equal(hs_client_resume(&c, &ticket), 0);
	assert_int_equal(hs_client_make_ch(&c, random_c, server_hash, &ch), 0);
	assert_int_equal(hs_server_read_ch(&s, buf_bytes(&ch), server_hash,
	    false), HS_OK);
	assert_int_equal(s.suite, HS_SUITE_X25519);
	assert_int_equal(hs_server_resume(&s, ticket.psk), 0);
	assert_int_equal(hs_server_make_sh(&s, random_s, &sh), 0);
	assert_int_equal(hs_client_read_sh(&c, buf_bytes(&sh)), -1);
	assert_string_equal(c.why, "SH: not the ticket's suite");
	hs_free(&c);
	hs_free(&s);
	buf_free(&ch);
	buf_free(&sh);
}

/* What the vault is asked about a CH that is none. */
static void
not_a_ch(void **state)
{
	uint8_t ch[HS_CH_LEN], id[HASH_LEN], want[HASH_LEN];

	(void)state;
	memcpy(ch, msg[R_CH].p, sizeof(ch));
	assert_int_equal(hs_ch_ticket(bytes_of(ch, sizeof(ch)), want), 0);
	assert_memory_equal(want, ticket.id, HASH_LEN);
	for (size_t n = 0; n < HS_CH_LEN; n++)
		assert_int_equal(hs_ch_ticket(bytes_of(ch, n), id), -1);
	/* Lengths that lead anywhere. */
	for (int at = 0; at < 1300; at++)
		for (int v = 0; v < 3; v++) {
			uint8_t *p = malloc(HS_CH_LEN);

			memcpy(p, ch, HS_CH_LEN);
			p[at] = (uint8_t)"\xff\x00\x80"[v];
			(void)hs_ch_ticket(bytes_of(p, HS_CH_LEN), id);
			if (p[at] != ch[at])
				assert_false(hs_binder_ok(bytes_of(p,
				    HS_CH_LEN), ticket.psk));
			free(p);
		}
	memset(ch + 6, 0xff, 400);
	assert_int_equal(hs_ch_ticket(bytes_of(ch, sizeof(ch)), id), -1);
	assert_false(hs_binder_ok(bytes_of(ch, sizeof(ch)), ticket.psk));
}

/* A wiped end has none of the secrets left. */
static void
wiped(void **state)
{
	struct hs hs = fork_hs(&c_before[R_SH]);

	(void)state;
	assert_memory_equal(hs.psk, ticket.psk, HASH_LEN);
	assert_int_equal(hs_client_read_sh(&hs, buf_bytes(&msg[R_SH])), 0);
	for (size_t i = 0; i + HASH_LEN <= sizeof(hs); i++)
		assert_memory_not_equal((uint8_t *)&hs + i, ticket.psk,
		    HASH_LEN);
	hs_free(&hs);
	hs = fork_hs(&s_before[R_CF]);
	hs_free(&hs);
	for (size_t i = 0; i < sizeof(hs); i++)
		assert_int_equal(((uint8_t *)&hs)[i], 0);
}

#define WITH(test, s) { #test " " #s, test, begin_##s, end, NULL }
#define ALL(s) \
	WITH(agree, s), WITH(other_suite, s), WITH(looks_the_same, s), \
	WITH(flip_ch, s), \
	WITH(flip_sh, s), WITH(flip_macs, s), WITH(without_the_secret, s), \
	WITH(order, s), WITH(other_suites, s), WITH(not_a_ch, s), \
	WITH(wiped, s)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		ALL(s1),
#if MLKEM_BUILT
		ALL(s2),
#endif
	};

	return cmocka_run_group_tests_name("hs_resume", tests, NULL, NULL);
}
