#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "kdf.h"

#include "../storaged/rkey.h"
#include "../storaged/seal.h"

/* 00 01 02 ...: share A, share B and an epoch's secret, in a row. */
static uint8_t counting[96];

static int
setup(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(counting); i++)
		counting[i] = (uint8_t)i;
	return 0;
}

static void
assert_hex(const void *p, size_t n, const char *want)
{
	char hex[513];

	assert_true(2 * n < sizeof(hex));
	hex_encode(hex, p, n);
	assert_string_equal(hex, want);
}

static struct seal_ad
ad_of(const char *key, uint64_t version)
{
	return (struct seal_ad){ bytes_str(key), version, 0, { NULL, 0 } };
}

/* Expected values were computed with Python's hmac module. */
static void
test_hierarchy(void **state)
{
	uint8_t sk[32], k[32], meta[32];

	(void)state;
	seal_storage_key(sk, counting, counting + 32);
	assert_hex(sk, 32, "304193d1a06d9632e9d34745121651ca"
	    "671b230e64a131c99ba3d80cf9c07c50");
	seal_kek(k, sk);
	assert_hex(k, 32, "ec5a89587157d6ccf12903d6ba8c4aef"
	    "ac3a82bc9995bbeb82f9a84de549eed9");
	seal_epoch_key(k, sk, counting + 64, 7);
	assert_hex(k, 32, "b2d37e8188b4da895da05c7c927cd918"
	    "0888d150e28b806e47a6a921d69350fc");
	memset(meta, 0xd4, sizeof(meta));
	seal_record_key(k, meta, bytes_str("H"));
	assert_hex(k, 32, "5e8884e20046117ed9ae43dba3859246"
	    "2471ace9fe96febc8122a2673e017fa4");
}

static void
test_hierarchy_inputs(void **state)
{
	uint8_t sk[32], other[32], k1[32], k2[32];

	(void)state;
	seal_storage_key(sk, counting, counting + 32);
	seal_storage_key(other, counting + 32, counting);
	assert_memory_not_equal(sk, other, 32);
	seal_epoch_key(k1, sk, counting + 64, 7);
	seal_epoch_key(k2, sk, counting + 64, 8);
	assert_memory_not_equal(k1, k2, 32);
	seal_epoch_key(k2, sk, counting + 63, 7);
	assert_memory_not_equal(k1, k2, 32);
	seal_epoch_key(k2, other, counting + 64, 7);
	assert_memory_not_equal(k1, k2, 32);
	seal_record_key(k1, sk, bytes_str("A"));
	seal_record_key(k2, sk, bytes_str("B"));
	assert_memory_not_equal(k1, k2, 32);
}

static void
test_value_round_trip(void **state)
{
	static const uint8_t zeros[SEAL_VALUE_MAX];
	static const size_t sizes[] = { 0, 1, 15, 16, 17, 255,
	    SEAL_VALUE_MAX - SEAL_OVERHEAD };

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct buf v = BUF_INIT(SEAL_VALUE_MAX);
		struct buf p = BUF_INIT(SEAL_VALUE_MAX);
		struct seal_ad ad = ad_of("key", 77);

		assert_int_equal(seal_value(&v, counting, &ad,
		    bytes_of(zeros, sizes[i])), 0);
		assert_int_equal(v.n, sizes[i] + SEAL_OVERHEAD);
		assert_int_equal(seal_version(buf_bytes(&v)), 77);
		ad.version = 0;
		assert_int_equal(seal_value_open(&p, counting, &ad,
		    buf_bytes(&v)), 0);
		assert_int_equal(ad.version, 77);
		assert_int_equal(p.n, sizes[i]);
		if (p.n > 0)
			assert_memory_equal(p.p, zeros, p.n);
		buf_free(&v);
		buf_free(&p);
	}
}

static void
test_value_bounds(void **state)
{
	static const uint8_t zeros[SEAL_VALUE_MAX + 1];
	struct buf v = BUF_INIT(2 * SEAL_VALUE_MAX), small = BUF_INIT(39);
	struct seal_ad ad = ad_of("key", 1), bad;

	(void)state;
	assert_int_equal(seal_value(&v, counting, &ad, bytes_of(zeros,
	    SEAL_VALUE_MAX - SEAL_OVERHEAD + 1)), SEAL_EFORMAT);
	assert_int_equal(seal_value(&small, counting, &ad, bytes_of(zeros, 4)),
	    SEAL_ENOMEM);
	bad = ad_of("key", 0);
	assert_int_equal(seal_value(&v, counting, &bad, bytes_str("x")),
	    SEAL_EFORMAT);
	bad = ad_of("", 1);
	assert_int_equal(seal_value(&v, counting, &bad, bytes_str("x")),
	    SEAL_EFORMAT);
	bad = ad;
	bad.key = bytes_of(zeros, SEAL_RKEY_MAX + 1);
	assert_int_equal(seal_value(&v, counting, &bad, bytes_str("x")),
	    SEAL_EFORMAT);
	bad = ad;
	bad.extra = bytes_of(zeros, SEAL_RKEY_MAX + 1);
	assert_int_equal(seal_value(&v, counting, &bad, bytes_str("x")),
	    SEAL_EFORMAT);
	assert_int_equal(v.n, 0);
	/* A version of zero on disk is no version. */
	assert_int_equal(seal_value_open(&v, counting, &ad,
	    bytes_of(zeros, SEAL_OVERHEAD)), SEAL_EFORMAT);
	assert_int_equal(seal_value_open(&v, counting, &ad,
	    bytes_of(zeros, SEAL_OVERHEAD - 1)), SEAL_EFORMAT);
	assert_int_equal(seal_value_open(&v, counting, &ad,
	    bytes_of(zeros, SEAL_VALUE_MAX + 1)), SEAL_EFORMAT);
	assert_int_equal(seal_version(bytes_of(zeros, 7)), 0);
	assert_int_equal(v.n, 0);
	buf_free(&v);
	buf_free(&small);
}

/* Open and expect to be refused with an empty output. */
static void
refused(struct bytes value, const uint8_t key[32], struct seal_ad ad, int rv)
{
	struct buf p = BUF_INIT(SEAL_VALUE_MAX);

	assert_int_equal(seal_value_open(&p, key, &ad, value), rv);
	assert_int_equal(p.n, 0);
	buf_free(&p);
}

static void
test_value_tampered(void **state)
{
	struct buf v = BUF_INIT(SEAL_VALUE_MAX);
	struct seal_ad ad = ad_of("key", 77), other;

	(void)state;
	ad.gen = 3;
	ad.extra = bytes_str("uid");
	assert_int_equal(seal_value(&v, counting, &ad, bytes_str("text")), 0);
	for (size_t i = 0; i < v.n; i++)
		for (unsigned bit = 0; bit < 8; bit++) {
			v.p[i] ^= (uint8_t)(1U << bit);
			refused(buf_bytes(&v), counting, ad, SEAL_EAUTH);
			v.p[i] ^= (uint8_t)(1U << bit);
		}
	for (size_t n = SEAL_OVERHEAD; n < v.n; n++)
		refused(bytes_of(v.p, n), counting, ad, SEAL_EAUTH);
	refused(buf_bytes(&v), counting + 1, ad, SEAL_EAUTH);
	other = ad;
	other.key = bytes_str("kex");
	refused(buf_bytes(&v), counting, other, SEAL_EAUTH);
	other = ad;
	other.gen = 4;
	refused(buf_bytes(&v), counting, other, SEAL_EAUTH);
	other = ad;
	other.extra = bytes_str("uie");
	refused(buf_bytes(&v), counting, other, SEAL_EAUTH);
	buf_zero(&v, 1);
	refused(buf_bytes(&v), counting, ad, SEAL_EAUTH);
	buf_free(&v);
}

/* The newer value under the older version, and the other way round. */
static void
test_versions_swapped(void **state)
{
	struct buf v1 = BUF_INIT(SEAL_VALUE_MAX), v2 = BUF_INIT(SEAL_VALUE_MAX);
	struct seal_ad ad = ad_of("key", 1);
	uint8_t t[SEAL_VERLEN];

	(void)state;
	assert_int_equal(seal_value(&v1, counting, &ad, bytes_str("one")), 0);
	ad.version = 2;
	assert_int_equal(seal_value(&v2, counting, &ad, bytes_str("two")), 0);
	memcpy(t, v1.p, sizeof(t));
	memcpy(v1.p, v2.p, sizeof(t));
	memcpy(v2.p, t, sizeof(t));
	refused(buf_bytes(&v1), counting, ad, SEAL_EAUTH);
	refused(buf_bytes(&v2), counting, ad, SEAL_EAUTH);
	buf_free(&v1);
	buf_free(&v2);
}

static void
test_nonces_differ(void **state)
{
	struct buf v = BUF_INIT(SEAL_VALUE_MAX);
	struct seal_ad ad = ad_of("key", 1);
	size_t n;

	(void)state;
	assert_int_equal(seal_value(&v, counting, &ad, bytes_str("same")), 0);
	n = v.n;
	/* Appends: what is there stays. */
	assert_int_equal(seal_value(&v, counting, &ad, bytes_str("same")), 0);
	assert_int_equal(v.n, 2 * n);
	assert_memory_not_equal(v.p + SEAL_VERLEN, v.p + n + SEAL_VERLEN,
	    SEAL_NONCELEN);
	assert_memory_not_equal(v.p + SEAL_VERLEN + SEAL_NONCELEN,
	    v.p + n + SEAL_VERLEN + SEAL_NONCELEN, 4);
	buf_free(&v);
}

static void
test_bundle(void **state)
{
	static const struct seal_bundle zero;
	struct buf v = BUF_INIT(SEAL_VALUE_MAX);
	struct seal_bundle b, back;
	uint64_t version;

	(void)state;
	seal_bundle_new(&b);
	assert_memory_not_equal(b.prf, b.chain, 32);
	assert_memory_not_equal(b.mset, b.meta, 32);
	assert_int_equal(seal_bundle(&v, counting, 3, 9, &b), 0);
	assert_int_equal(seal_bundle_open(&back, &version, counting, 3,
	    buf_bytes(&v)), 0);
	assert_int_equal(version, 9);
	assert_memory_equal(&b, &back, sizeof(b));
	/* Another generation's record, another KEK. */
	assert_int_equal(seal_bundle_open(&back, &version, counting, 4,
	    buf_bytes(&v)), SEAL_EAUTH);
	assert_int_equal(seal_bundle_open(&back, &version, counting + 1, 3,
	    buf_bytes(&v)), SEAL_EAUTH);
	assert_memory_equal(&back, &zero, sizeof(zero));
	assert_int_equal(version, 0);
	for (size_t i = 0; i < v.n; i++) {
		v.p[i] ^= 0x10;
		assert_int_equal(seal_bundle_open(&back, &version, counting, 3,
		    buf_bytes(&v)), SEAL_EAUTH);
		v.p[i] ^= 0x10;
	}
	for (size_t n = 0; n < v.n; n++)
		assert_int_equal(seal_bundle_open(&back, &version, counting, 3,
		    bytes_of(v.p, n)), SEAL_EFORMAT);
	buf_zero(&v, 1);
	assert_int_equal(seal_bundle_open(&back, &version, counting, 3,
	    buf_bytes(&v)), SEAL_EFORMAT);
	buf_free(&v);
}

/* Made by another implementation (Python, cryptography's AESGCM). */
static void
test_data_key_known(void **state)
{
	static const char hex[] =
	    "000000000000000900000007000102030405060708090a0baf1acd23830337601c"
	    "1f720def7f29b396fd7041b6f91a5e6b7beb73bb37babd3965a8777d6c4d7f5f85"
	    "6b30625d2e72";
	uint8_t value[72], uid[REC_ID], conv[REC_ID], sk[32], ek[32], dk[32];
	struct rec_key key;
	uint64_t version;

	(void)state;
	memset(uid, 0xaa, sizeof(uid));
	memset(conv, 0xcc, sizeof(conv));
	key = rec_key_data(uid, conv);
	seal_storage_key(sk, counting, counting + 32);
	seal_epoch_key(ek, sk, counting + 64, 7);
	assert_int_equal(hex_decode(value, sizeof(value), hex), 0);
	assert_int_equal(seal_data_key_open(dk, &version, ek, 7,
	    rec_bytes(&key), bytes_of(value, sizeof(value))), 0);
	assert_int_equal(version, 9);
	for (size_t i = 0; i < sizeof(dk); i++)
		assert_int_equal(dk[i], 0x5d);
}

static void
test_data_key(void **state)
{
	static const uint8_t zero[32];
	uint8_t ek1[32], ek2[32], dk[32], back[32], uid[REC_ID] = { 1 };
	struct rec_key key, other;
	struct buf v = BUF_INIT(SEAL_VALUE_MAX);
	uint64_t version;
	uint32_t epoch;

	(void)state;
	key = rec_key_data(uid, counting);
	other = rec_key_data(uid, counting + 1);
	seal_epoch_key(ek1, counting, counting + 64, 1);
	seal_epoch_key(ek2, counting, counting + 63, 2);
	crypto_random(dk, sizeof(dk));
	assert_int_equal(seal_data_key(&v, ek1, 1, rec_bytes(&key), 5, dk), 0);
	assert_int_equal(seal_data_key_epoch(buf_bytes(&v), &epoch), 0);
	assert_int_equal(epoch, 1);
	assert_int_equal(seal_version(buf_bytes(&v)), 5);
	assert_int_equal(seal_data_key_open(back, &version, ek1, 1,
	    rec_bytes(&key), buf_bytes(&v)), 0);
	assert_memory_equal(back, dk, 32);
	assert_int_equal(version, 5);

	/* The secret of epoch 1 is gone: no other epoch's key opens it. */
	assert_int_equal(seal_data_key_open(back, &version, ek2, 1,
	    rec_bytes(&key), buf_bytes(&v)), SEAL_EAUTH);
	assert_memory_equal(back, zero, 32);
	assert_int_equal(seal_data_key_open(back, &version, ek2, 2,
	    rec_bytes(&key), buf_bytes(&v)), SEAL_EAUTH);
	assert_int_equal(seal_data_key_open(back, &version, ek1, 2,
	    rec_bytes(&key), buf_bytes(&v)), SEAL_EAUTH);
	assert_int_equal(seal_data_key_open(back, &version, ek1, 1,
	    rec_bytes(&other), buf_bytes(&v)), SEAL_EAUTH);
	for (size_t i = 0; i < v.n; i++) {
		v.p[i] ^= 1;
		assert_int_equal(seal_data_key_open(back, &version, ek1, 1,
		    rec_bytes(&key), buf_bytes(&v)), SEAL_EAUTH);
		v.p[i] ^= 1;
	}
	for (size_t n = 0; n < v.n; n++) {
		assert_int_equal(seal_data_key_open(back, &version, ek1, 1,
		    rec_bytes(&key), bytes_of(v.p, n)), SEAL_EFORMAT);
		assert_int_equal(seal_data_key_epoch(bytes_of(v.p, n),
		    &epoch), SEAL_EFORMAT);
	}
	buf_free(&v);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hierarchy),
		cmocka_unit_test(test_hierarchy_inputs),
		cmocka_unit_test(test_value_round_trip),
		cmocka_unit_test(test_value_bounds),
		cmocka_unit_test(test_value_tampered),
		cmocka_unit_test(test_versions_swapped),
		cmocka_unit_test(test_nonces_differ),
		cmocka_unit_test(test_bundle),
		cmocka_unit_test(test_data_key_known),
		cmocka_unit_test(test_data_key),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
