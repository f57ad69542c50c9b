/*
 * common/hs*.c against ends that lie: messages that are well protected and say
 * what they must not.  With suite 1, by ends that have it alone; suite 2 is in
 * test_hs_s2.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "hs_ends.h"

/* Rebuild a CH with another body, its mac1 right. */
static int
deliver_ch(const struct buf *ch, const uint8_t *hash, bool first_contact)
{
	uint8_t copy[HS_CH_LEN];
	struct hs s;
	int rv;

	assert_int_equal(ch->n, HS_CH_LEN);
	memcpy(copy, ch->p, sizeof(copy));
	hs_mac1(copy + HS_CH_LEN - HS_MAC1, copy, hash);
	hs_server_init(&s, 0);
	hs_suites(&s, HS_SUITE_X25519, HS_SUITE_X25519);
	rv = hs_server_read_ch(&s, bytes_of(copy, sizeof(copy)), server_hash,
	    first_contact) == HS_OK ? 0 : -1;
	if (rv == 0)
		assert_int_equal(s.first_contact, hash == NULL);
	hs_free(&s);
	return rv;
}

/* A CH with these fields, zero where nothing is said. */
static int
build_ch(unsigned version, struct bytes suites, size_t share, size_t mlkem,
    size_t pad_byte)
{
	static const uint8_t fill[1200] = { 9 };
	struct buf b = BUF_INIT(HS_CH_LEN);
	int rv;

	buf_u8(&b, HS_CH);
	buf_u24(&b, HS_CH_LEN - HS_MSG_HDR);
	buf_u16(&b, (uint16_t)version);
	buf_u8(&b, (uint8_t)suites.n);
	buf_put(&b, suites.p, suites.n);
	buf_zero(&b, HS_RANDOM);
	buf_v16(&b, bytes_of(fill, share));
	buf_v16(&b, bytes_of(fill, mlkem));
	buf_zero(&b, HS_CH_LEN - b.n);
	if (pad_byte != 0)
		b.p[pad_byte] = 1;
	assert_false(b.err);
	rv = deliver_ch(&b, server_hash, false);
	buf_free(&b);
	return rv;
}

static void
test_ch(void **state)
{
	struct bytes s1 = bytes_of("\x01", 1), s21 = bytes_of("\x02\x01", 2);

	(void)state;
	/* mac1: under the server's key, the zero key, another server's. */
	assert_int_equal(deliver_ch(&flight[F_CH], server_hash, false), 0);
	assert_int_equal(deliver_ch(&flight[F_CH], NULL, true), 0);
	assert_int_equal(deliver_ch(&flight[F_CH], NULL, false), -1);
	assert_int_equal(deliver_ch(&flight[F_CH], random_c, true), -1);

	assert_int_equal(build_ch(1, s1, 32, 0, 0), 0);
	assert_int_equal(build_ch(0, s1, 32, 0, 0), -1);
	assert_int_equal(build_ch(2, s1, 32, 0, 0), -1);
	assert_int_equal(build_ch(1, bytes_of("", 0), 32, 0, 0), -1);
	assert_int_equal(build_ch(1, bytes_of("\x02", 1), 32, 1184, 0), -1);
	/* Who offers suite 2 brings its key, and who does not brings none. */
	assert_int_equal(build_ch(1, s21, 32, 1184, 0), 0);
	assert_int_equal(build_ch(1, s21, 32, 0, 0), -1);
	assert_int_equal(build_ch(1, s1, 32, 1184, 0), -1);
	/* Suites of a later version are passed over. */
	assert_int_equal(build_ch(1, bytes_of("\x07\x01", 2), 32, 0, 0), 0);
	assert_int_equal(build_ch(1, s21, 32, 1183, 0), -1);
	assert_int_equal(build_ch(1, s21, 32, 1185, 0), -1);
	assert_int_equal(build_ch(1, bytes_of("\1\1\1\1\1\1\1\1\1", 9), 32, 0,
	    0), -1);
	assert_int_equal(build_ch(1, s1, 31, 0, 0), -1);
	assert_int_equal(build_ch(1, s1, 33, 0, 0), -1);
	assert_int_equal(build_ch(1, s1, 0, 0, 0), -1);
	/* Padding: its first and its last byte. */
	assert_int_equal(build_ch(1, s1, 32, 0, 140), -1);
	assert_int_equal(build_ch(1, s1, 32, 0, HS_CH_LEN - HS_MAC1 - 1), -1);
	assert_int_equal(build_ch(1, s1, 32, 0, 139), 0);	/* binder */
}

/* Points of small order (RFC 7748, 6.1; cr.yp.to/ecdh.html), both ends. */
static void
test_low_order(void **state)
{
	static const char *const point[] = {
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"
	};
	struct buf ch = BUF_INIT(HS_CH_LEN), sh = BUF_INIT(HS_SH_LEN);
	struct buf out = BUF_INIT(HS_SH_LEN);
	struct hs c, s;

	(void)state;
	assert_int_equal(flight[F_CH].p[6], 1);		/* one suite */
	buf_put(&ch, flight[F_CH].p, HS_CH_LEN);
	buf_put(&sh, flight[F_SH].p, HS_SH_LEN);
	for (size_t i = 0; i < sizeof(point) / sizeof(point[0]); i++) {
		assert_int_equal(hex_decode(ch.p + 42, 32, point[i]), 0);
		hs_mac1(ch.p + HS_CH_LEN - HS_MAC1, ch.p, server_hash);
		hs_server_init(&s, 0);
		assert_int_equal(hs_server_read_ch(&s, buf_bytes(&ch),
		    server_hash, false), HS_OK);
		buf_reset(&out);
		assert_int_equal(hs_server_make_sh(&s, random_s, &out), -1);
		assert_string_equal(s.why, "X25519 share of small order");
		hs_free(&s);

		assert_int_equal(hex_decode(sh.p + 41, 32, point[i]), 0);
		c = fork_hs(&c_at[F_SH]);
		assert_int_equal(hs_client_read_sh(&c, buf_bytes(&sh)), -1);
		assert_string_equal(c.why, "X25519 share of small order");
		hs_free(&c);
	}
	buf_free(&ch);
	buf_free(&sh);
	buf_free(&out);
}

/* What the client says of an SH of n bytes, of which nothing follows. */
static const char *
client_on_sh(const struct hs *before, const uint8_t *sh, size_t n)
{
	uint8_t *exact = malloc(n > 0 ? n : 1);
	struct hs c = fork_hs(before);
	const char *why;

	assert_non_null(exact);
	memcpy(exact, sh, n);
	assert_int_equal(hs_client_read_sh(&c, bytes_of(exact, n)), -1);
	why = c.why;
	hs_free(&c);
	free(exact);
	return why;
}

/* SH that is too short or too long, or comes when it must not. */
static void
test_sh_form(void **state)
{
	static const char bad[] = "SH: length or type";
	uint8_t copy[HS_SH_LEN + 1];
	struct hs c;

	(void)state;
	memcpy(copy, flight[F_SH].p, HS_SH_LEN);
	copy[HS_SH_LEN] = 0;
	for (size_t n = 0; n <= sizeof(copy); n++)
		if (n != HS_SH_LEN)
			assert_string_equal(client_on_sh(&c_at[F_SH], copy, n),
			    bad);
	copy[0] = HS_SA;
	assert_string_equal(client_on_sh(&c_at[F_SH], copy, HS_SH_LEN), bad);
	copy[0] = HS_SH;
	/* A client that wants more than suite 1. */
	c = fork_hs(&c_at[F_SH]);
	c.lowest = HS_SUITE_X25519 + 1;
	c.highest = HS_SUITE_X25519 + 1;
	assert_string_equal(client_on_sh(&c, copy, HS_SH_LEN),
	    "SH: suite was not offered");
	hs_free(&c);
	/* Before its time, and a second time. */
	for (int f = 0; f < F_COUNT; f++) {
		if (f == F_SH)
			continue;
		c = fork_hs(&c_at[f]);
		assert_int_equal(hs_client_read_sh(&c, bytes_of(copy,
		    HS_SH_LEN)), -1);
		hs_free(&c);
	}
}

/* SH that picks what was not offered. */
static void
test_sh(void **state)
{
	uint8_t copy[HS_SH_LEN];
	struct hs c;

	(void)state;
	memcpy(copy, flight[F_SH].p, sizeof(copy));
	copy[6] = HS_SUITE_HYBRID;
	c = fork_hs(&c_at[F_SH]);
	assert_int_equal(hs_client_read_sh(&c, bytes_of(copy, sizeof(copy))),
	    -1);
	assert_string_equal(c.why, "SH: suite was not offered");
	hs_free(&c);
	copy[6] = HS_SUITE_X25519;
	copy[5] = 2;
	c = fork_hs(&c_at[F_SH]);
	assert_int_equal(hs_client_read_sh(&c, bytes_of(copy, sizeof(copy))),
	    -1);
	assert_string_equal(c.why, "SH: version");
	hs_free(&c);
	assert_int_equal(hs_clear_len((const uint8_t *)"\1\0\x07\xfd", HS_CH),
	    0);
	assert_int_equal(hs_clear_len((const uint8_t *)"\2\0\x07\xfc", HS_CH),
	    0);
	assert_int_equal(hs_clear_len((const uint8_t *)"\3\0\x07\xfc", HS_SA),
	    0);
}

/* A server flight whose SF is right and whose SA says what the caller likes. */
static size_t behind_sig, behind_mac;	/* bytes in SA and SF that are none of it */

static const char *
client_on_sa(struct bytes spki, size_t ncerts, struct bytes seal,
    struct bytes sig)
{
	struct hs s = fork_hs(&s_at[F_SA]), c = fork_hs(&c_at[F_SA]);
	struct buf f = BUF_INIT(HS_FLIGHT_MAX);
	struct hs_sa sa;
	const char *why;
	size_t start;

	start = hs_msg_begin(&f, HS_SA);
	buf_v16(&f, spki);
	buf_u8(&f, (uint8_t)ncerts);
	for (size_t i = 0; i < ncerts; i++)
		buf_v16(&f, bytes_str("certificate"));
	buf_u8(&f, (uint8_t)seal.n);
	buf_put(&f, seal.p, seal.n);
	buf_v16(&f, sig);
	buf_zero(&f, behind_sig);
	assert_int_equal(hs_msg_end(&s, &f, start), 0);
	start = f.n;
	assert_int_equal(hs_make_mac(&s, &f, HS_SF, s.s_hs, "finished"), 0);
	buf_zero(&f, behind_mac);
	put_be16(f.p + start + 2, (uint16_t)(HASH_LEN + behind_mac));
	if (hs_client_read_sa(&c, buf_bytes(&f), &sa) == 0) {
		assert_null(c.why);
		assert_int_equal(sa.ncerts, ncerts);
		if (ncerts > 0)
			assert_true(bytes_eq(sa.cert[ncerts - 1],
			    bytes_str("certificate")));
	}
	why = c.why;
	hs_free(&s);
	hs_free(&c);
	buf_free(&f);
	return why;
}

static void
test_sa(void **state)
{
	static const char bad_sig[] = "SA: signature or key not acceptable";
	struct bytes spki = buf_bytes(&server_spki), none = { NULL, 0 };
	struct bytes seal = bytes_of(seal_key, HS_SEAL);
	struct buf sig = BUF_INIT(RSA_OUT_MAX), nosig = BUF_INIT(RSA_OUT_MAX);
	struct buf old = BUF_INIT(RSA_OUT_MAX);
	struct hs s = fork_hs(&s_at[F_SA]);

	(void)state;
	sign_server(&s, seal, &sig);
	sign_server(&s, none, &nosig);
	assert_null(client_on_sa(spki, 0, seal, buf_bytes(&sig)));
	assert_null(client_on_sa(spki, 0, none, buf_bytes(&nosig)));
	assert_null(client_on_sa(spki, CERTS_MAX, seal, buf_bytes(&sig)));
	assert_string_equal(client_on_sa(spki, CERTS_MAX + 1, seal,
	    buf_bytes(&sig)), "SA: malformed");
	/* The sealing key is signed too. */
	assert_string_equal(client_on_sa(spki, 0, none, buf_bytes(&sig)),
	    bad_sig);
	assert_string_equal(client_on_sa(spki, 0, seal, buf_bytes(&nosig)),
	    bad_sig);
	assert_string_equal(client_on_sa(spki, 0, bytes_of(seal_key, 31),
	    buf_bytes(&sig)), "SA: malformed");
	behind_sig = 1;
	assert_string_equal(client_on_sa(spki, 0, seal, buf_bytes(&sig)),
	    "SA: malformed");
	behind_sig = 0;
	behind_mac = 1;
	assert_string_equal(client_on_sa(spki, 0, seal, buf_bytes(&sig)),
	    "SA: malformed flight");
	behind_mac = 0;
	/* A signature over another random_s, or over another transcript. */
	s.random_s[0] ^= 1;
	sign_server(&s, seal, &old);
	assert_string_equal(client_on_sa(spki, 0, seal, buf_bytes(&old)),
	    bad_sig);
	s.random_s[0] ^= 1;
	s.th_sh[31] ^= 1;
	buf_reset(&old);
	sign_server(&s, seal, &old);
	assert_string_equal(client_on_sa(spki, 0, seal, buf_bytes(&old)),
	    bad_sig);
	s.th_sh[31] ^= 1;
	/* The client's context in place of the server's. */
	buf_reset(&old);
	sign_client(&s, &old);
	assert_string_equal(client_on_sa(spki, 0, seal, buf_bytes(&old)),
	    bad_sig);
	/* Another key than the pinned one, even if it is a good one. */
	assert_string_equal(client_on_sa(buf_bytes(&client_spki), 0, seal,
	    buf_bytes(&sig)), "SA: not the pinned server key");
	hs_free(&s);
	buf_free(&sig);
	buf_free(&nosig);
	buf_free(&old);
}

/* At first contact nothing goes out before the caller names the very key. */
static void
test_first_contact(void **state)
{
	struct buf ch = BUF_INIT(HS_CH_LEN), sh = BUF_INIT(HS_SH_LEN_S2);
	struct buf f = BUF_INIT(HS_FLIGHT_MAX), sig = BUF_INIT(RSA_OUT_MAX);
	struct bytes none = { NULL, 0 };
	struct hs c, s, early;
	struct hs_sa sa;

	(void)state;
	hs_client_init(&c, 0);
	hs_server_init(&s, 0);
	assert_int_equal(hs_client_make_ch(&c, random_c, NULL, &ch), 0);
	assert_int_equal(hs_server_read_ch(&s, buf_bytes(&ch), server_hash,
	    true), HS_OK);
	assert_true(s.first_contact);
	assert_int_equal(hs_server_make_sh(&s, random_s, &sh), 0);
	assert_int_equal(hs_client_read_sh(&c, buf_bytes(&sh)), 0);
	sign_server(&s, none, &sig);
	/* The server does not send another key than the one that it names. */
	early = fork_hs(&s);
	assert_int_equal(hs_server_make_sa(&early, buf_bytes(&client_spki),
	    none, buf_bytes(&sig), &f), -1);
	hs_free(&early);
	buf_reset(&f);
	assert_int_equal(hs_server_make_sa(&s, buf_bytes(&server_spki), none,
	    buf_bytes(&sig), &f), 0);
	assert_int_equal(hs_client_read_sa(&c, buf_bytes(&f), &sa), 0);
	assert_int_equal(sa.seal.n, 0);
	assert_memory_equal(c.server_hash, server_hash, HASH_LEN);
	early = fork_hs(&c);
	buf_reset(&f);
	assert_int_equal(hs_client_make_ca(&early, buf_bytes(&client_spki),
	    buf_bytes(&wrap_spki), buf_bytes(&sig), &f), -1);
	assert_int_equal(f.n, 0);
	hs_free(&early);
	early = fork_hs(&c);
	assert_int_equal(hs_client_trust(&early, random_c), -1);
	assert_int_equal(hs_client_make_ca(&early, buf_bytes(&client_spki),
	    buf_bytes(&wrap_spki), buf_bytes(&sig), &f), -1);
	assert_int_equal(f.n, 0);
	hs_free(&early);
	assert_int_equal(hs_client_trust(&c, server_hash), 0);
	hs_free(&c);
	hs_free(&s);
	buf_free(&ch);
	buf_free(&sh);
	buf_free(&f);
	buf_free(&sig);
}

/* Wrap keys that the server must not encrypt to. */
static void
test_wrap_key(void **state)
{
	EVP_PKEY *small = rsa_generate(RSA_USE_WRAP, 2048, RSA_ALLOW_2048);
	struct buf spki = BUF_INIT(RSA_SPKI_MAX), f = BUF_INIT(HS_FLIGHT_MAX);
	struct hs c, s;
	struct hs_ca ca;

	(void)state;
	assert_int_equal(rsa_spki_encode(&spki, small), 0);
	for (int i = 0; i < 4; i++) {
		struct bytes wrap = buf_bytes(i == 0 ? &client_spki : &spki);

		if (i == 1)
			wrap.n--;
		c = fork_hs(&c_at[F_CA]);
		s = fork_hs(&s_at[F_CA]);
		s.flags = i == 3 ? RSA_ALLOW_2048 : 0;
		buf_reset(&f);
		assert_int_equal(hs_client_make_ca(&c, buf_bytes(&client_spki),
		    wrap, bytes_str("signature"), &f), 0);
		assert_int_equal(hs_server_read_ca(&s, buf_bytes(&f), &ca),
		    i == 3 ? 0 : -1);
		if (i != 3)
			assert_string_equal(s.why,
			    "CA: wrap key not acceptable");
		hs_free(&c);
		hs_free(&s);
	}
	EVP_PKEY_free(small);
	buf_free(&spki);
	buf_free(&f);
}

static int
group_setup(void **state)
{
	(void)setup_keys(state);
	return setup_s1(state);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ch),
		cmocka_unit_test(test_low_order),
		cmocka_unit_test(test_sh),
		cmocka_unit_test(test_sh_form),
		cmocka_unit_test(test_sa),
		cmocka_unit_test(test_first_contact),
		cmocka_unit_test(test_wrap_key)
	};

	return cmocka_run_group_tests(tests, group_setup, teardown);
}
