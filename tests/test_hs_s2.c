/*
 * Suites between two ends of which one may not have suite 2, or with somebody
 * between them who would rather that they had not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "hs_ends.h"

#define S1	HS_SUITE_X25519
#define S2	HS_SUITE_BEST

/* Where things are in a CH that offers two suites, and in an SH. */
#define CH_SUITES	6
#define CH_MLKEM	(CH_SUITES + 3 + HS_RANDOM + 2 + HS_X25519)
#define SH_SUITE	6
#define SH_MLKEM	(SH_SUITE + 1 + HS_RANDOM + 2 + HS_X25519)

/* A client and a server, and what they say first. */
struct two {
	struct hs	c, s;
	struct buf	ch, sh;
};

static void
two_new(struct two *t, uint8_t client_best, uint8_t server_best)
{
	hs_client_init(&t->c, 0);
	hs_server_init(&t->s, 0);
	hs_suites(&t->c, S1, client_best);
	hs_suites(&t->s, S1, server_best);
	buf_init(&t->ch, HS_CH_LEN);
	buf_init(&t->sh, HS_SH_LEN_S2);
}

static void
two_free(struct two *t)
{
	hs_free(&t->c);
	hs_free(&t->s);
	buf_free(&t->ch);
	buf_free(&t->sh);
}

static enum hs_verdict
hello(struct two *t)
{
	assert_int_equal(hs_client_make_ch(&t->c, random_c, server_hash,
	    &t->ch), 0);
	return hs_server_read_ch(&t->s, buf_bytes(&t->ch), server_hash, false);
}

/* The same suite at both ends, the best that both have. */
static void
test_negotiated(void **state)
{
	struct two t;

	(void)state;
	for (uint8_t c = S1; c <= S2; c++)
		for (uint8_t s = S1; s <= S2; s++) {
			two_new(&t, c, s);
			assert_int_equal(hello(&t), HS_OK);
			assert_int_equal(t.ch.n, HS_CH_LEN);
			assert_int_equal(t.ch.p[CH_SUITES], c);
			assert_int_equal(t.ch.p[CH_SUITES + 1], c);
			assert_int_equal(t.ch.p[CH_SUITES + c], S1);
			assert_int_equal(hs_server_make_sh(&t.s, random_s,
			    &t.sh), 0);
			assert_int_equal(hs_client_read_sh(&t.c,
			    buf_bytes(&t.sh)), 0);
			assert_int_equal(t.c.suite, c < s ? c : s);
			assert_int_equal(t.s.suite, t.c.suite);
			assert_int_equal(t.sh.n, sh_len(t.c.suite));
			assert_memory_equal(t.c.s_hs, t.s.s_hs, HASH_LEN);
			assert_memory_equal(t.c.c_hs, t.s.c_hs, HASH_LEN);
			assert_null(t.c.mlkem);
			two_free(&t);
		}
}

static void
test_spoken(void **state)
{
	(void)state;
	assert_true(hs_suite_spoken(1));
	assert_int_equal(hs_suite_spoken(2), MLKEM_BUILT);
	assert_false(hs_suite_spoken(0));
	assert_false(hs_suite_spoken(3));
	assert_false(hs_suite_spoken(255));
	assert_string_equal(hs_suite_name(1), "X25519");
	assert_string_equal(hs_suite_name(2), "X25519 with ML-KEM-768");
	assert_string_equal(hs_suite_name(3), "unknown");
}

/* Nothing in common is silence. */
static void
test_none_common(void **state)
{
	struct two t;

	(void)state;
	for (uint8_t c = S1; c <= S2; c++)
		for (uint8_t s = S1; s <= S2; s++) {
			two_new(&t, S2, S2);
			hs_suites(&t.c, c, c);
			hs_suites(&t.s, s, s);
			assert_int_equal(hello(&t),
			    c == s ? HS_OK : HS_SILENT);
			if (c != s)
				assert_string_equal(t.s.why,
				    "CH: no common suite");
			two_free(&t);
		}
}

#if MLKEM_BUILT

/* Why a client that offers the suites from lowest to highest refuses the SH. */
static const char *
client_on_sh(uint8_t lowest, uint8_t highest, struct bytes sh)
{
	struct two t;
	const char *why;

	two_new(&t, S2, S2);
	hs_suites(&t.c, lowest, highest);
	assert_int_equal(hs_client_make_ch(&t.c, random_c, server_hash,
	    &t.ch), 0);
	if (hs_client_read_sh(&t.c, sh) == 0)
		assert_null(t.c.why);
	why = t.c.why;
	two_free(&t);
	return why;
}

/* An SH with a length of the ciphertext, and as many bytes of it. */
static const char *
client_on_ct(uint8_t suite, uint16_t says, size_t has)
{
	static const uint8_t ct[MLKEM_CT + 1];
	struct buf b = BUF_INIT(2 * HS_SH_LEN_S2);
	const char *why;

	buf_put(&b, flight[F_SH].p, SH_MLKEM);
	buf_u16(&b, says);
	buf_put(&b, ct, has);
	put_be16(b.p + 2, (uint16_t)(b.n - HS_MSG_HDR));
	b.p[SH_SUITE] = suite;
	why = client_on_sh(S1, S2, buf_bytes(&b));
	buf_free(&b);
	return why;
}

static void
test_sh(void **state)
{
	static const char length[] = "SH: length or type", form[] =
	    "SH: malformed", offer[] = "SH: suite was not offered";
	struct bytes sh = buf_bytes(&flight[F_SH]);

	(void)state;
	/* What was not offered, in both directions. */
	assert_null(client_on_sh(S1, S2, sh));
	assert_null(client_on_sh(S2, S2, sh));
	assert_string_equal(client_on_sh(S1, S1, sh), offer);
	assert_string_equal(client_on_ct(0, 0, 0), offer);
	assert_string_equal(client_on_ct(3, 0, 0), offer);
	assert_string_equal(client_on_ct(3, MLKEM_CT, MLKEM_CT), offer);
	/* The ciphertext's length, and the suite that it belongs to. */
	assert_null(client_on_ct(2, MLKEM_CT, MLKEM_CT));
	assert_null(client_on_ct(1, 0, 0));
	assert_string_equal(client_on_ct(2, 0, 0), form);
	assert_string_equal(client_on_ct(1, MLKEM_CT, MLKEM_CT), form);
	assert_string_equal(client_on_ct(2, MLKEM_CT - 1, MLKEM_CT), form);
	assert_string_equal(client_on_ct(2, MLKEM_CT + 1, MLKEM_CT), form);
	assert_string_equal(client_on_ct(2, 0, MLKEM_CT), form);
	assert_string_equal(client_on_ct(2, MLKEM_CT, 0), form);
	assert_string_equal(client_on_ct(2, MLKEM_CT - 1, MLKEM_CT - 1),
	    length);
	assert_string_equal(client_on_ct(2, MLKEM_CT + 1, MLKEM_CT + 1),
	    length);
}

/* One that offered suite 2 alone does not take suite 1. */
static void
test_sh_lower(void **state)
{
	struct two t;

	(void)state;
	two_new(&t, S2, S1);
	assert_int_equal(hello(&t), HS_OK);
	assert_int_equal(hs_server_make_sh(&t.s, random_s, &t.sh), 0);
	assert_null(client_on_sh(S1, S2, buf_bytes(&t.sh)));
	assert_string_equal(client_on_sh(S2, S2, buf_bytes(&t.sh)),
	    "SH: suite was not offered");
	two_free(&t);
}

/* A ciphertext that somebody changed: nothing to see, and nothing agrees. */
static void
test_corrupt_ct(void **state)
{
	struct buf sh = BUF_INIT(HS_SH_LEN_S2);
	struct hs c;

	(void)state;
	buf_put(&sh, flight[F_SH].p, flight[F_SH].n);
	sh.p[SH_MLKEM + 2 + 500] ^= 1;
	c = fork_hs(&c_at[F_SH]);
	assert_int_equal(hs_client_read_sh(&c, buf_bytes(&sh)), 0);
	assert_memory_not_equal(c.s_hs, s_at[F_SA].s_hs, HASH_LEN);
	/* Not by the transcript alone: the secret is another one. */
	assert_memory_not_equal(c.hs_secret, s_at[F_SA].hs_secret, HASH_LEN);
	hs_free(&c);
	buf_free(&sh);
}

/* A key that is none, under a right mac1: no SH. */
static void
test_corrupt_key(void **state)
{
	struct buf out = BUF_INIT(HS_SH_LEN_S2);
	struct two t;

	(void)state;
	for (int best = S1; best <= S2; best++) {
		two_new(&t, S2, (uint8_t)best);
		assert_int_equal(hs_client_make_ch(&t.c, random_c, server_hash,
		    &t.ch), 0);
		assert_int_equal(t.ch.p[CH_MLKEM] << 8 | t.ch.p[CH_MLKEM + 1],
		    MLKEM_KEY);
		memset(t.ch.p + CH_MLKEM + 2, 0xff, 3);
		hs_mac1(t.ch.p + HS_CH_LEN - HS_MAC1, t.ch.p, server_hash);
		assert_int_equal(hs_server_read_ch(&t.s, buf_bytes(&t.ch),
		    server_hash, false), HS_OK);
		buf_reset(&out);
		/* Who has suite 1 alone does not look at it. */
		assert_int_equal(hs_server_make_sh(&t.s, random_s, &out),
		    best == S2 ? -1 : 0);
		if (best == S2) {
			assert_string_equal(t.s.why,
			    "ML-KEM key not acceptable");
			assert_int_equal(out.n, 0);
		}
		two_free(&t);
	}
	buf_free(&out);
}

/* CH without suite 2 and its key, all else the same, its mac1 right. */
static void
strip(const struct buf *ch, struct buf *out)
{
	struct rd r = rd_of(buf_bytes(ch));

	(void)rd_bytes(&r, CH_SUITES + 3);
	buf_put(out, ch->p, CH_SUITES);
	buf_u8(out, 1);
	buf_u8(out, S1);
	buf_put(out, r.p, HS_RANDOM + 2 + HS_X25519);
	buf_u16(out, 0);
	(void)rd_bytes(&r, HS_RANDOM + 2 + HS_X25519 + 2 + MLKEM_KEY);
	buf_put(out, r.p, 2 * (size_t)HASH_LEN);
	buf_zero(out, HS_CH_LEN - out->n);
	hs_mac1(out->p + HS_CH_LEN - HS_MAC1, out->p, server_hash);
	assert_false(out->err || r.err);
}

/* SA, SF by whoever has s's keys, with this signature; why c refuses it. */
static const char *
client_on_sig(struct hs *c, struct hs *s, const struct buf *sig)
{
	struct buf f = BUF_INIT(HS_FLIGHT_MAX);
	struct hs_sa sa;

	assert_int_equal(hs_server_make_sa(s, buf_bytes(&server_spki),
	    bytes_of(NULL, 0), buf_bytes(sig), &f), 0);
	(void)hs_client_read_sa(c, buf_bytes(&f), &sa);
	buf_free(&f);
	return c->why;
}

/* Suite 2 taken out of CH on its way. */
static void
test_stripped(void **state)
{
	struct buf ch = BUF_INIT(HS_CH_LEN), sig = BUF_INIT(RSA_OUT_MAX);
	const struct bytes no_seal = { NULL, 0 };
	struct two t;

	(void)state;
	two_new(&t, S2, S2);
	assert_int_equal(hs_client_make_ch(&t.c, random_c, server_hash,
	    &t.ch), 0);
	strip(&t.ch, &ch);
	assert_int_equal(hs_server_read_ch(&t.s, buf_bytes(&ch), server_hash,
	    false), HS_OK);
	assert_int_equal(hs_server_make_sh(&t.s, random_s, &t.sh), 0);
	assert_int_equal(t.sh.n, HS_SH_LEN);
	/* The client did offer suite 1, and the X25519 shares are theirs. */
	assert_int_equal(hs_client_read_sh(&t.c, buf_bytes(&t.sh)), 0);
	assert_memory_equal(t.c.hs_secret, t.s.hs_secret, HASH_LEN);
	/* But the keys are of two transcripts: no record would open, */
	assert_memory_not_equal(t.c.s_hs, t.s.s_hs, HASH_LEN);
	assert_memory_not_equal(t.c.th_sh, t.s.th_sh, HASH_LEN);
	/* and no SF is right. */
	sign_server(&t.s, no_seal, &sig);
	assert_string_equal(client_on_sig(&t.c, &t.s, &sig), "SF: wrong");
	two_free(&t);
	buf_free(&ch);
	buf_free(&sig);
}

/*
 * The same by somebody who exchanges keys with each of the two, and so can make
 * every record and MAC; the server's signature is over what the server saw.
 */
static void
test_stripped_between(void **state)
{
	struct buf sig = BUF_INIT(RSA_OUT_MAX);
	const struct bytes no_seal = { NULL, 0 };
	struct two front, back;

	(void)state;
	two_new(&front, S2, S1);	/* the client, and who is between */
	two_new(&back, S1, S2);		/* who is between, and the server */
	assert_int_equal(hello(&front), HS_OK);
	assert_int_equal(hello(&back), HS_OK);
	assert_int_equal(hs_server_make_sh(&back.s, random_s, &back.sh), 0);
	assert_int_equal(hs_server_make_sh(&front.s, random_s, &front.sh), 0);
	assert_int_equal(hs_client_read_sh(&front.c, buf_bytes(&front.sh)), 0);
	assert_memory_equal(front.c.s_hs, front.s.s_hs, HASH_LEN);
	sign_server(&back.s, no_seal, &sig);
	assert_string_equal(client_on_sig(&front.c, &front.s, &sig),
	    "SA: signature or key not acceptable");
	two_free(&front);
	two_free(&back);
	buf_free(&sig);
}

/* The suite is in the signed bytes too. */
static void
test_suite_signed(void **state)
{
	struct hs s = fork_hs(&s_at[F_SA]), c = fork_hs(&c_at[F_SA]);
	struct hs right = fork_hs(&c_at[F_SA]), t = fork_hs(&s_at[F_SA]);
	struct buf sig = BUF_INIT(RSA_OUT_MAX), other = BUF_INIT(RSA_OUT_MAX);
	const struct bytes no_seal = { NULL, 0 };

	(void)state;
	sign_server(&s, no_seal, &sig);
	s.suite = S1;
	sign_server(&s, no_seal, &other);
	assert_null(client_on_sig(&right, &t, &sig));
	assert_string_equal(client_on_sig(&c, &s, &other),
	    "SA: signature or key not acceptable");
	hs_free(&s);
	hs_free(&c);
	hs_free(&t);
	hs_free(&right);
	buf_free(&sig);
	buf_free(&other);
}

#endif

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_negotiated),
		cmocka_unit_test(test_spoken),
		cmocka_unit_test(test_none_common),
#if MLKEM_BUILT
		cmocka_unit_test(test_sh),
		cmocka_unit_test(test_sh_lower),
		cmocka_unit_test(test_corrupt_ct),
		cmocka_unit_test(test_corrupt_key),
		cmocka_unit_test(test_stripped),
		cmocka_unit_test(test_stripped_between),
		cmocka_unit_test(test_suite_signed)
#endif
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
