/*
 * Two ends of a handshake for tests: their keys, what their keyd does, one whole
 * live handshake, and copies of both ends at each point of it.
 */
#ifndef TESTS_HS_ENDS_H
#define TESTS_HS_ENDS_H

#include <string.h>

#include "hs.h"
#include "hs_local.h"
#include "record.h"

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

__attribute__((unused)) static EVP_PKEY *
new_key(enum rsa_use use, struct buf *spki)
{
	EVP_PKEY *key = rsa_generate(use, RSA_BITS_DEFAULT, 0);

	assert_non_null(key);
	assert_int_equal(rsa_spki_encode(spki, key), 0);
	return key;
}

/* A copy of an end that can go its own way. */
__attribute__((unused)) static struct hs
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
	if (hs.mlkem != NULL)
		assert_int_equal(EVP_PKEY_up_ref(hs.mlkem), 1);
	if (hs.wrap != NULL)
		assert_int_equal(EVP_PKEY_up_ref(hs.wrap), 1);
	return hs;
}

/* What keyd of the server does. */
__attribute__((unused)) static void
sign_server(const struct hs *hs, struct bytes seal, struct buf *sig)
{
	struct buf tbs = BUF_INIT(HS_TBS_MAX);

	hs_tbs_server(&tbs, hs->suite, hs->random_s, hs->th_sh, server_hash,
	    seal);
	assert_int_equal(rsa_pss_sign(sig, server_key, buf_bytes(&tbs)), 0);
	buf_free(&tbs);
}

__attribute__((unused)) static void
tbs_of_client(const struct hs *hs, struct buf *tbs)
{
	uint8_t spki_hash[HASH_LEN], wrap_hash[HASH_LEN];

	rsa_fingerprint(spki_hash, buf_bytes(&client_spki));
	rsa_fingerprint(wrap_hash, buf_bytes(&wrap_spki));
	hs_tbs_client(tbs, hs->suite, hs->random_c, hs->random_s, hs->th_sf,
	    spki_hash, wrap_hash, hs->server_hash, hs->cert_hash);
}

/* What keyd of the client does. */
__attribute__((unused)) static void
sign_client(const struct hs *hs, struct buf *sig)
{
	struct buf tbs = BUF_INIT(HS_TBS_MAX);

	tbs_of_client(hs, &tbs);
	assert_int_equal(rsa_pss_sign(sig, client_key, buf_bytes(&tbs)), 0);
	buf_free(&tbs);
}

__attribute__((unused)) static void
unwrap(const struct hs *hs, struct bytes ct, uint8_t wd[HASH_LEN])
{
	uint8_t label[HASH_LEN], w[HASH_LEN];

	hs_wrap_label(label, random_c, hs->random_s, hs->th_cf);
	rsa_oaep_decrypt(w, wrap_key, label, ct, reject);
	hs_wrap_derive(wd, w, hs->th_cf);
}

/* Over the wire as the one record of a flight. */
__attribute__((unused)) static void
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

__attribute__((unused)) static void
snapshot(enum flight f, const struct hs *c, const struct hs *s)
{
	c_at[f] = fork_hs(c);
	s_at[f] = fork_hs(s);
}

__attribute__((unused)) static size_t
sh_len(uint8_t suite)
{
	return suite == HS_SUITE_HYBRID ? HS_SH_LEN_S2 : HS_SH_LEN;
}

/*
 * One whole handshake with suite; leaves the snapshots and flights for the
 * other tests.
 */
__attribute__((unused)) static void
live(struct hs *c, struct hs *s, uint8_t suite)
{
	struct buf sig = BUF_INIT(RSA_OUT_MAX), csig = BUF_INIT(RSA_OUT_MAX);
	struct buf tbs = BUF_INIT(HS_TBS_MAX);
	struct bytes seal = bytes_of(seal_key, HS_SEAL), ct;
	struct hs_sa sa;
	struct hs_ca ca;

	hs_client_init(c, 0);
	hs_server_init(s, 0);
	hs_suites(c, HS_SUITE_X25519, suite);
	snapshot(F_CH, c, s);
	assert_int_equal(hs_client_make_ch(c, random_c, server_hash,
	    &flight[F_CH]), 0);
	assert_int_equal(flight[F_CH].n, HS_CH_LEN);
	assert_int_equal(hs_clear_len(flight[F_CH].p, HS_CH), HS_CH_LEN);
	assert_int_equal(hs_server_read_ch(s, buf_bytes(&flight[F_CH]),
	    server_hash, false), HS_OK);
	assert_false(s->first_contact);
	assert_int_equal(hs_server_make_sh(s, random_s, &flight[F_SH]), 0);
	assert_int_equal(flight[F_SH].n, sh_len(suite));
	assert_int_equal(hs_clear_len(flight[F_SH].p, HS_SH), sh_len(suite));
	snapshot(F_SH, c, s);
	assert_int_equal(hs_client_read_sh(c, buf_bytes(&flight[F_SH])), 0);
	assert_int_equal(s->suite, suite);
	assert_int_equal(c->suite, suite);
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

__attribute__((unused)) static int
setup_keys(void **state)
{
	(void)state;
	server_key = new_key(RSA_USE_SIGN, &server_spki);
	client_key = new_key(RSA_USE_SIGN, &client_spki);
	wrap_key = new_key(RSA_USE_WRAP, &wrap_spki);
	rsa_fingerprint(server_hash, buf_bytes(&server_spki));
	return 0;
}

__attribute__((unused)) static int
teardown_keys(void **state)
{
	(void)state;
	EVP_PKEY_free(server_key);
	EVP_PKEY_free(client_key);
	EVP_PKEY_free(wrap_key);
	buf_free(&server_spki);
	buf_free(&client_spki);
	buf_free(&wrap_spki);
	return 0;
}

/* A live handshake with the keys that are there. */
__attribute__((unused)) static int
setup_live(uint8_t suite)
{
	struct hs c, s;

	for (int f = 0; f < F_COUNT; f++)
		buf_init(&flight[f], HS_FLIGHT_MAX);
	live(&c, &s, suite);
	hs_free(&c);
	hs_free(&s);
	return 0;
}

__attribute__((unused)) static int
teardown_live(void **state)
{
	(void)state;
	for (int f = 0; f < F_COUNT; f++) {
		hs_free(&c_at[f]);
		hs_free(&s_at[f]);
		buf_free(&flight[f]);
	}
	return 0;
}

__attribute__((unused)) static int
setup_s1(void **state)
{
	(void)state;
	return setup_live(HS_SUITE_X25519);
}

#if MLKEM_BUILT
__attribute__((unused)) static int
setup_s2(void **state)
{
	(void)state;
	return setup_live(HS_SUITE_HYBRID);
}
#endif

/* Keys, and a live handshake with the best suite of this build. */
__attribute__((unused)) static int
setup(void **state)
{
	(void)setup_keys(state);
	return setup_live(HS_SUITE_BEST);
}

__attribute__((unused)) static int
teardown(void **state)
{
	(void)teardown_live(state);
	return teardown_keys(state);
}

#endif
