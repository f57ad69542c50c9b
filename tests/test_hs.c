/*
 * common/hs*.c: whole handshakes between both ends, with live keys and against
 * tests/vectors/handshake_s1.txt, and everything that must break them.
 *
 * "test_hs record" prints a new vector file, with keys that it makes and forgets.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/prctl.h>
#include <sys/wait.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <seccomp.h>

#include "hs.h"
#include "hs_local.h"
#include "record.h"
#include "vectors.h"
#include "warmup.h"

#define FILE_HS	"tests/vectors/handshake_s1.txt"

enum flight { F_CH, F_SH, F_SA, F_CA, F_KW, F_CC, F_COUNT };

static const uint8_t reject[HASH_LEN] = "keyd's secret";
static const uint8_t random_c[HS_RANDOM] = "random_c";
static const uint8_t random_s[HS_RANDOM] = "random_s";
static const uint8_t seal_key[HS_SEAL] = "the vault's sealing key";

/* Keys of the two ends, made once. */
static EVP_PKEY *server_key, *client_key, *wrap_key;
static struct buf server_spki = BUF_INIT(RSA_SPKI_MAX);
static struct buf client_spki = BUF_INIT(RSA_SPKI_MAX);
static struct buf wrap_spki = BUF_INIT(RSA_SPKI_MAX);
static uint8_t server_hash[HASH_LEN];

/* Both ends before each flight: c[f] and s[f] have not seen flight f yet. */
static struct hs c_at[F_COUNT], s_at[F_COUNT];
static struct buf flight[F_COUNT];
static uint8_t live_wd[HASH_LEN];

static EVP_PKEY *
new_key(enum rsa_use use, struct buf *spki)
{
	EVP_PKEY *key = rsa_generate(use, RSA_BITS_DEFAULT, 0);

	assert_non_null(key);
	assert_int_equal(rsa_spki_encode(spki, key), 0);
	return key;
}

/* A copy of an end that can go its own way. */
static struct hs
fork_hs(const struct hs *from)
{
	struct hs hs = *from;

	if (from->transcript != NULL) {
		hs.transcript = EVP_MD_CTX_new();
		assert_int_equal(EVP_MD_CTX_copy_ex(hs.transcript,
		    from->transcript), 1);
	}
	if (hs.eph != NULL)
		assert_int_equal(EVP_PKEY_up_ref(hs.eph), 1);
	if (hs.wrap != NULL)
		assert_int_equal(EVP_PKEY_up_ref(hs.wrap), 1);
	return hs;
}

/* What keyd of the server does. */
static void
sign_server(const struct hs *hs, struct bytes seal, struct buf *sig)
{
	struct buf tbs = BUF_INIT(HS_TBS_MAX);

	hs_tbs_server(&tbs, hs->suite, hs->random_s, hs->th_sh, server_hash,
	    seal);
	assert_int_equal(rsa_pss_sign(sig, server_key, buf_bytes(&tbs)), 0);
	buf_free(&tbs);
}

static void
tbs_of_client(const struct hs *hs, struct buf *tbs)
{
	uint8_t spki_hash[HASH_LEN], wrap_hash[HASH_LEN];

	rsa_fingerprint(spki_hash, buf_bytes(&client_spki));
	rsa_fingerprint(wrap_hash, buf_bytes(&wrap_spki));
	hs_tbs_client(tbs, hs->suite, hs->random_c, hs->random_s, hs->th_sf,
	    spki_hash, wrap_hash, hs->server_hash);
}

/* What keyd of the client does. */
static void
sign_client(const struct hs *hs, struct buf *sig)
{
	struct buf tbs = BUF_INIT(HS_TBS_MAX);

	tbs_of_client(hs, &tbs);
	assert_int_equal(rsa_pss_sign(sig, client_key, buf_bytes(&tbs)), 0);
	buf_free(&tbs);
}

static void
unwrap(const struct hs *hs, struct bytes ct, uint8_t wd[HASH_LEN])
{
	uint8_t label[HASH_LEN], w[HASH_LEN];

	hs_wrap_label(label, random_c, hs->random_s, hs->th_cf);
	rsa_oaep_decrypt(w, wrap_key, label, ct, reject);
	hs_wrap_derive(wd, w, hs->th_cf);
}

/* Over the wire as the one record of a flight. */
static void
transport(const struct buf *f, const uint8_t from[HASH_LEN],
    const uint8_t to[HASH_LEN], size_t pad)
{
	struct buf rec = BUF_INIT(RECORD_MAX);
	struct record_dir seal, open;
	enum record_type type;
	struct bytes got;

	record_dir_init(&seal, from, RECORD_EPOCH_HS);
	record_dir_init(&open, to, RECORD_EPOCH_HS);
	assert_int_equal(record_seal(&seal, RECORD_HANDSHAKE, buf_bytes(f), pad,
	    &rec), 0);
	assert_int_equal(record_open(&open, rec.p, rec.n, &type, &got), 0);
	assert_int_equal(type, RECORD_HANDSHAKE);
	assert_true(bytes_eq(got, buf_bytes(f)));
	if (pad != 0)
		assert_int_equal(rec.n, RECORD_WIRE(pad));
	record_dir_free(&seal);
	record_dir_free(&open);
	buf_free(&rec);
}

static void
snapshot(enum flight f, const struct hs *c, const struct hs *s)
{
	c_at[f] = fork_hs(c);
	s_at[f] = fork_hs(s);
}

/* One whole handshake; leaves the snapshots and flights for the other tests. */
static void
live(struct hs *c, struct hs *s)
{
	struct buf sig = BUF_INIT(RSA_OUT_MAX), csig = BUF_INIT(RSA_OUT_MAX);
	struct buf tbs = BUF_INIT(HS_TBS_MAX);
	struct bytes seal = bytes_of(seal_key, HS_SEAL), ct;
	struct hs_sa sa;
	struct hs_ca ca;

	hs_client_init(c, 0);
	hs_server_init(s, 0);
	snapshot(F_CH, c, s);
	assert_int_equal(hs_client_make_ch(c, random_c, server_hash,
	    &flight[F_CH]), 0);
	assert_int_equal(flight[F_CH].n, HS_CH_LEN);
	assert_int_equal(hs_clear_len(flight[F_CH].p, HS_CH), HS_CH_LEN);
	snapshot(F_CH, c, s);
	assert_int_equal(hs_server_read_ch(s, buf_bytes(&flight[F_CH]),
	    server_hash, false), HS_OK);
	assert_false(s->first_contact);
	assert_int_equal(hs_server_make_sh(s, random_s, &flight[F_SH]), 0);
	assert_int_equal(flight[F_SH].n, HS_SH_LEN);
	assert_int_equal(hs_clear_len(flight[F_SH].p, HS_SH), HS_SH_LEN);
	snapshot(F_SH, c, s);
	assert_int_equal(hs_client_read_sh(c, buf_bytes(&flight[F_SH])), 0);
	snapshot(F_SA, c, s);
	sign_server(s, seal, &sig);
	assert_int_equal(hs_server_make_sa(s, buf_bytes(&server_spki), seal,
	    buf_bytes(&sig), &flight[F_SA]), 0);
	transport(&flight[F_SA], s->s_hs, c->s_hs, 0);
	assert_int_equal(hs_client_read_sa(c, buf_bytes(&flight[F_SA]), &sa),
	    0);
	assert_true(bytes_eq(sa.spki, buf_bytes(&server_spki)));
	assert_true(bytes_eq(sa.seal, seal));
	assert_int_equal(sa.ncerts, 0);
	assert_int_equal(hs_client_trust(c, server_hash), 0);
	snapshot(F_CA, c, s);
	sign_client(c, &csig);
	assert_int_equal(hs_client_make_ca(c, buf_bytes(&client_spki),
	    buf_bytes(&wrap_spki), buf_bytes(&csig), &flight[F_CA]), 0);
	transport(&flight[F_CA], c->c_hs, s->c_hs, HS_CA_PAD);
	assert_int_equal(hs_server_read_ca(s, buf_bytes(&flight[F_CA]), &ca),
	    0);
	assert_true(bytes_eq(ca.spki, buf_bytes(&client_spki)));
	assert_true(bytes_eq(ca.wrap_spki, buf_bytes(&wrap_spki)));
	/* What the vault does. */
	tbs_of_client(s, &tbs);
	assert_int_equal(rsa_pss_verify(client_key, ca.sig, buf_bytes(&tbs)),
	    0);
	assert_int_equal(hs_server_make_kw(s, &flight[F_KW]), 0);
	snapshot(F_KW, c, s);
	assert_int_equal(hs_client_read_kw(c, buf_bytes(&flight[F_KW]), &ct),
	    0);
	unwrap(c, ct, live_wd);
	assert_int_equal(hs_client_finish(c, live_wd), 0);
	assert_int_equal(hs_client_make_cc(c, &flight[F_CC]), 0);
	snapshot(F_CC, c, s);
	assert_int_equal(hs_server_read_cc(s, buf_bytes(&flight[F_CC])), 0);
	buf_free(&sig);
	buf_free(&csig);
	buf_free(&tbs);
}

static int
setup(void **state)
{
	struct hs c, s;

	(void)state;
	server_key = new_key(RSA_USE_SIGN, &server_spki);
	client_key = new_key(RSA_USE_SIGN, &client_spki);
	wrap_key = new_key(RSA_USE_WRAP, &wrap_spki);
	rsa_fingerprint(server_hash, buf_bytes(&server_spki));
	for (int f = 0; f < F_COUNT; f++)
		buf_init(&flight[f], HS_FLIGHT_MAX);
	live(&c, &s);
	hs_free(&c);
	hs_free(&s);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	for (int f = 0; f < F_COUNT; f++) {
		hs_free(&c_at[f]);
		hs_free(&s_at[f]);
		buf_free(&flight[f]);
	}
	EVP_PKEY_free(server_key);
	EVP_PKEY_free(client_key);
	EVP_PKEY_free(wrap_key);
	buf_free(&server_spki);
	buf_free(&client_spki);
	buf_free(&wrap_spki);
	return 0;
}

/* Both ends agree, on secrets that all differ and differ each time. */
static void
test_agree(void **state)
{
	struct hs c = fork_hs(&c_at[F_CC]), s = fork_hs(&s_at[F_CC]), none;
	struct hs_session cs, ss;

	(void)state;
	assert_int_equal(hs_session(&s, &ss), -1);
	assert_int_equal(ss.c_ap[0] | ss.c_ap[31], 0);
	assert_int_equal(hs_server_read_cc(&s, buf_bytes(&flight[F_CC])), 0);
	assert_int_equal(hs_session(&s, &ss), 0);
	assert_int_equal(hs_session(&c, &cs), 0);
	assert_memory_equal(&cs, &ss, sizeof(cs));
	assert_memory_not_equal(cs.c_ap, cs.s_ap, HASH_LEN);
	assert_memory_not_equal(cs.c_ap, s.c_hs, HASH_LEN);
	assert_memory_not_equal(cs.exporter, cs.resumption, HASH_LEN);
	assert_memory_not_equal(cs.msgmac, cs.session_id, HASH_LEN);
	assert_memory_equal(c.client_hash, s.client_hash, HASH_LEN);
	assert_memory_equal(c.wrap_hash, s.wrap_hash, HASH_LEN);
	hs_free(&c);
	hs_free(&s);
	memset(&none, 0, sizeof(none));
	hs_free(&none);
	assert_int_equal(hs_session(&s, &ss), -1);
}

/* Give an altered flight to whoever waits for it; 0 if it was taken. */
static int
deliver(enum flight f, struct bytes b)
{
	struct hs c = fork_hs(&c_at[f]), s = fork_hs(&s_at[f]);
	struct hs_sa sa;
	struct hs_ca ca;
	struct bytes ct;
	int rv = -1;

	switch (f) {
	case F_CH:
		rv = hs_server_read_ch(&s, b, server_hash, true) == HS_OK ?
		    0 : -1;
		break;
	case F_SH:
		/* What is not refused at once gives keys that do not agree. */
		rv = hs_client_read_sh(&c, b);
		if (rv == 0 && !bytes_eq_ct(c.s_hs, s.s_hs, HASH_LEN) &&
		    !bytes_eq_ct(c.c_hs, s.c_hs, HASH_LEN))
			rv = -1;
		break;
	case F_SA:
		rv = hs_client_read_sa(&c, b, &sa);
		break;
	case F_CA:
		rv = hs_server_read_ca(&s, b, &ca);
		break;
	case F_KW:
		/* Even with the Wd that belongs to the true wrapping. */
		rv = hs_client_read_kw(&c, b, &ct);
		if (rv == 0)
			rv = hs_client_finish(&c, live_wd);
		break;
	case F_CC:
		rv = hs_server_read_cc(&s, b);
		break;
	case F_COUNT:
		break;
	}
	hs_free(&c);
	hs_free(&s);
	return rv;
}

/* deliver() needs CA's client before it signed, so snapshots differ by flight. */
static void
test_flip(void **state)
{
	uint8_t copy[HS_FLIGHT_MAX];

	(void)state;
	for (enum flight f = F_CH; f < F_COUNT; f++) {
		memcpy(copy, flight[f].p, flight[f].n);
		for (size_t i = 0; i < flight[f].n; i++) {
			copy[i] ^= (uint8_t)(1 << i % 8);
			assert_int_equal(deliver(f, bytes_of(copy,
			    flight[f].n)), -1);
			copy[i] = flight[f].p[i];
		}
		assert_int_equal(deliver(f, buf_bytes(&flight[f])), 0);
	}
}

static void
test_length(void **state)
{
	uint8_t copy[HS_FLIGHT_MAX];

	(void)state;
	for (enum flight f = F_CH; f < F_COUNT; f++) {
		for (size_t n = 0; n < flight[f].n; n += n < 64 ? 1 : 13)
			assert_int_equal(deliver(f, bytes_of(flight[f].p, n)),
			    -1);
		memcpy(copy, flight[f].p, flight[f].n);
		copy[flight[f].n] = 0;
		assert_int_equal(deliver(f, bytes_of(copy, flight[f].n + 1)),
		    -1);
		/* Another flight in its place, and this one twice. */
		for (enum flight g = F_CH; g < F_COUNT; g++)
			if (g != f)
				assert_int_equal(deliver(f,
				    buf_bytes(&flight[g])), -1);
		if (2 * flight[f].n <= sizeof(copy)) {
			memcpy(copy + flight[f].n, flight[f].p, flight[f].n);
			assert_int_equal(deliver(f, bytes_of(copy,
			    2 * flight[f].n)), -1);
		}
	}
}

/* Every step at every state: only the right one passes, and the others kill. */
static int
take_step(struct hs *hs, int step)
{
	struct buf out = BUF_INIT(HS_FLIGHT_MAX);
	struct bytes spki = buf_bytes(&server_spki), none = { NULL, 0 }, ct;
	struct hs_sa sa;
	struct hs_ca ca;
	int rv = -1;

	switch (step) {
	case HS_S_READ_CH:
		rv = hs_server_read_ch(hs, buf_bytes(&flight[F_CH]),
		    server_hash, false) == HS_OK ? 0 : -1;
		break;
	case HS_S_MAKE_SH:
		rv = hs_server_make_sh(hs, random_s, &out);
		break;
	case HS_S_MAKE_SA:
		rv = hs_server_make_sa(hs, spki, none, none, &out);
		break;
	case HS_S_READ_CA:
		rv = hs_server_read_ca(hs, buf_bytes(&flight[F_CA]), &ca);
		break;
	case HS_S_MAKE_KW:
		rv = hs_server_make_kw(hs, &out);
		break;
	case HS_S_READ_CC:
		rv = hs_server_read_cc(hs, buf_bytes(&flight[F_CC]));
		break;
	case HS_C_MAKE_CH:
		rv = hs_client_make_ch(hs, random_c, server_hash, &out);
		break;
	case HS_C_READ_SH:
		rv = hs_client_read_sh(hs, buf_bytes(&flight[F_SH]));
		break;
	case HS_C_READ_SA:
		rv = hs_client_read_sa(hs, buf_bytes(&flight[F_SA]), &sa);
		break;
	case HS_C_TRUST:
		rv = hs_client_trust(hs, server_hash);
		break;
	case HS_C_MAKE_CA:
		rv = hs_client_make_ca(hs, spki, spki, none, &out);
		break;
	case HS_C_READ_KW:
		rv = hs_client_read_kw(hs, buf_bytes(&flight[F_KW]), &ct);
		break;
	case HS_C_FINISH:
		rv = hs_client_finish(hs, live_wd);
		break;
	case HS_C_MAKE_CC:
		rv = hs_client_make_cc(hs, &out);
		break;
	}
	buf_free(&out);
	return rv;
}

static void
test_order(void **state)
{
	struct hs_session session;
	struct hs hs;

	(void)state;
	for (int f = 0; f < 2 * F_COUNT; f++) {
		const struct hs *at = f % 2 ? &c_at[f / 2] : &s_at[f / 2];

		for (int step = HS_S_READ_CH; step < HS_DONE; step++) {
			hs = fork_hs(at);
			if (step == at->state) {
				assert_int_equal(take_step(&hs, step), 0);
				assert_true(hs.state > step);
				hs_free(&hs);
				continue;
			}
			assert_int_equal(take_step(&hs, step), -1);
			assert_non_null(hs.why);
			assert_int_equal(hs_session(&hs, &session), -1);
			/* Now the right one is refused as well. */
			assert_int_equal(take_step(&hs, at->state), -1);
			hs_free(&hs);
		}
	}
}

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
	assert_int_equal(build_ch(1, s21, 32, 1184, 0), 0);
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
	assert_int_equal(hs_msg_end(&s, &f, start), 0);
	assert_int_equal(hs_make_mac(&s, &f, HS_SF, s.s_hs, "finished"), 0);
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
	assert_null(client_on_sa(spki, HS_CERTS_MAX, seal, buf_bytes(&sig)));
	assert_string_equal(client_on_sa(spki, HS_CERTS_MAX + 1, seal,
	    buf_bytes(&sig)), "SA: malformed");
	/* The sealing key is signed too. */
	assert_string_equal(client_on_sa(spki, 0, none, buf_bytes(&sig)),
	    bad_sig);
	assert_string_equal(client_on_sa(spki, 0, seal, buf_bytes(&nosig)),
	    bad_sig);
	assert_string_equal(client_on_sa(spki, 0, bytes_of(seal_key, 31),
	    buf_bytes(&sig)), "SA: malformed");
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
	struct buf ch = BUF_INIT(HS_CH_LEN), sh = BUF_INIT(HS_SH_LEN);
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
	assert_int_equal(take_step(&early, HS_C_MAKE_CA), -1);
	hs_free(&early);
	early = fork_hs(&c);
	assert_int_equal(hs_client_trust(&early, random_c), -1);
	assert_int_equal(take_step(&early, HS_C_MAKE_CA), -1);
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

/* A wrapping that does not open ends in the same failure as any other. */
static void
test_implicit_rejection(void **state)
{
	struct buf f = BUF_INIT(HS_FLIGHT_MAX);
	uint8_t wd[HASH_LEN];
	struct bytes ct;
	struct hs c;

	(void)state;
	buf_put(&f, flight[F_KW].p, flight[F_KW].n);
	for (size_t i = 0; i < 3; i++) {
		f.p[6 + i] ^= 0x40;
		c = fork_hs(&c_at[F_KW]);
		assert_int_equal(hs_client_read_kw(&c, buf_bytes(&f), &ct), 0);
		unwrap(&c, ct, wd);
		assert_int_equal(hs_client_finish(&c, wd), -1);
		assert_string_equal(c.why, "SF2: wrong");
		hs_free(&c);
		f.p[6 + i] ^= 0x40;
	}
	/* Another label: the exchange is not the one that was signed for. */
	c = fork_hs(&c_at[F_KW]);
	assert_int_equal(hs_client_read_kw(&c, buf_bytes(&f), &ct), 0);
	c.random_s[0] ^= 1;
	unwrap(&c, ct, wd);
	assert_int_equal(hs_client_finish(&c, wd), -1);
	hs_free(&c);
	buf_free(&f);
}

/* What a key holder or worker needs of the system, once it is warm. */
static int
lock_down(void)
{
	static const int allowed[] = {
		SCMP_SYS(mmap), SCMP_SYS(munmap), SCMP_SYS(mremap),
		SCMP_SYS(brk), SCMP_SYS(madvise), SCMP_SYS(futex),
		SCMP_SYS(getrandom), SCMP_SYS(getpid), SCMP_SYS(write),
		SCMP_SYS(exit_group)
	};
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int rv = ctx == NULL ? -1 : 0;

	for (size_t i = 0; rv == 0 && i < sizeof(allowed) / sizeof(int); i++)
		rv = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, allowed[i], 0);
	return rv != 0 ? -1 : seccomp_load(ctx);
}

static void
test_warm_sandbox(void **state)
{
#ifdef __SANITIZE_ADDRESS__
	(void)state;
	skip();		/* the sanitizer makes system calls of its own */
#else
	int status;
	pid_t pid;

	(void)state;
	/* In a program of its own, so that no other test has warmed it. */
	assert_int_not_equal(pid = fork(), -1);
	if (pid == 0) {
		(void)execl("/proc/self/exe", "test_hs", "sandbox", NULL);
		_exit(99);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
#endif
}

static int
in_sandbox(void)
{
	static const uint8_t label[HASH_LEN];
	struct buf enc = BUF_INIT(RSA_OUT_MAX);
	struct bytes bad = bytes_str("no key");
	uint8_t w[HASH_LEN];
	struct hs c, s;

	server_key = new_key(RSA_USE_SIGN, &server_spki);
	client_key = new_key(RSA_USE_SIGN, &client_spki);
	wrap_key = new_key(RSA_USE_WRAP, &wrap_spki);
	rsa_fingerprint(server_hash, buf_bytes(&server_spki));
	for (int f = 0; f < F_COUNT; f++)
		buf_init(&flight[f], HS_FLIGHT_MAX);
	crypto_warmup();
	rsa_warmup(server_key, RSA_USE_SIGN);
	rsa_warmup(wrap_key, RSA_USE_WRAP);
	if (lock_down() != 0)
		_exit(3);
	live(&c, &s);
	/* The failing paths must not reach for anything either. */
	rsa_oaep_decrypt(w, wrap_key, label, bad, label);
	if (rsa_pss_verify(server_key, bytes_of(flight[F_CH].p, 384), bad) == 0)
		_exit(4);
	server_spki.p[100] ^= 1;
	EVP_PKEY_free(rsa_spki_parse(buf_bytes(&server_spki), RSA_USE_SIGN, 0));
	server_spki.p[80] ^= 1;
	if (rsa_spki_parse(buf_bytes(&server_spki), RSA_USE_SIGN, 0) != NULL)
		_exit(5);
	buf_free(&enc);
	_exit(0);
}
