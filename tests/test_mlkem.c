/*
 * common/mlkem.c: what the two ends get; keys and ciphertexts that are none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "mlkem.h"

#if MLKEM_BUILT

static int
encap(const uint8_t *pub, const uint8_t *coins, uint8_t *ct, uint8_t *ss)
{
	return mlkem_encapsulate(bytes_of(pub, MLKEM_KEY), coins, ct, ss);
}

static int
decap(EVP_PKEY *key, const uint8_t *ct, uint8_t *ss)
{
	return mlkem_decapsulate(key, bytes_of(ct, MLKEM_CT), ss);
}

static void
test_agree(void **state)
{
	uint8_t pub[MLKEM_KEY], ct[MLKEM_CT], ct2[MLKEM_CT];
	uint8_t a[MLKEM_SS], b[MLKEM_SS];
	EVP_PKEY *key = mlkem_keygen(NULL, pub);

	(void)state;
	assert_int_equal(encap(pub, NULL, ct, a), 0);
	assert_int_equal(decap(key, ct, b), 0);
	assert_memory_equal(a, b, MLKEM_SS);
	/* Each time another one. */
	assert_int_equal(encap(pub, NULL, ct2, b), 0);
	assert_memory_not_equal(a, b, MLKEM_SS);
	assert_memory_not_equal(ct, ct2, MLKEM_CT);
	EVP_PKEY_free(key);
}

/* Seed and coins decide everything, each byte of them. */
static void
test_fixed(void **state)
{
	uint8_t seed[MLKEM_SEED] = { 1 }, coins[MLKEM_COINS] = { 2 };
	uint8_t pub[MLKEM_KEY], pub2[MLKEM_KEY], ct[MLKEM_CT], ct2[MLKEM_CT];
	uint8_t a[MLKEM_SS], b[MLKEM_SS];
	EVP_PKEY *key = mlkem_keygen(seed, pub), *key2;

	(void)state;
	key2 = mlkem_keygen(seed, pub2);
	assert_memory_equal(pub, pub2, MLKEM_KEY);
	EVP_PKEY_free(key2);
	assert_int_equal(encap(pub, coins, ct, a), 0);
	assert_int_equal(encap(pub, coins, ct2, b), 0);
	assert_memory_equal(ct, ct2, MLKEM_CT);
	assert_memory_equal(a, b, MLKEM_SS);
	coins[MLKEM_COINS - 1] ^= 1;
	assert_int_equal(encap(pub, coins, ct2, b), 0);
	assert_memory_not_equal(a, b, MLKEM_SS);
	/* z, the second half, decides only over bad ciphertexts. */
	seed[MLKEM_SEED - 1] ^= 1;
	key2 = mlkem_keygen(seed, pub2);
	assert_memory_equal(pub, pub2, MLKEM_KEY);
	assert_int_equal(decap(key2, ct, b), 0);
	assert_memory_equal(a, b, MLKEM_SS);
	ct[0] ^= 1;
	assert_int_equal(decap(key2, ct, b), 0);
	assert_int_equal(decap(key, ct, a), 0);
	assert_memory_not_equal(a, b, MLKEM_SS);
	EVP_PKEY_free(key2);
	EVP_PKEY_free(key);
}

/* FIPS 203, 7.2: the length, and each coefficient less than 3329. */
static void
test_bad_key(void **state)
{
	uint8_t pub[MLKEM_KEY + 1] = { 0 }, ct[MLKEM_CT], ss[MLKEM_SS];
	EVP_PKEY *key = mlkem_keygen(NULL, pub);
	uint8_t was[2];

	(void)state;
	EVP_PKEY_free(key);
	for (size_t n = 0; n <= sizeof(pub); n++)
		assert_int_equal(mlkem_encapsulate(bytes_of(pub, n), NULL, ct,
		    ss), n == MLKEM_KEY ? 0 : -1);
	/* Two coefficients in three bytes; rho in the last 32. */
	for (size_t i = 0; i + 3 <= MLKEM_KEY - 32; i += 3) {
		memcpy(was, pub + i, 2);
		pub[i] = 0x01;			/* 3329 */
		pub[i + 1] = (uint8_t)((pub[i + 1] & 0xf0) | 0x0d);
		assert_int_equal(encap(pub, NULL, ct, ss), -1);
		pub[i] = 0x00;			/* 3328 */
		if (i % 96 == 0)
			assert_int_equal(encap(pub, NULL, ct, ss), 0);
		memcpy(pub + i, was, 2);
	}
	memset(pub, 0xff, sizeof(pub));
	assert_int_equal(encap(pub, NULL, ct, ss), -1);
}

static void
test_bad_ciphertext(void **state)
{
	uint8_t pub[MLKEM_KEY], ct[MLKEM_CT + 1] = { 0 };
	uint8_t a[MLKEM_SS], b[MLKEM_SS], c[MLKEM_SS];
	EVP_PKEY *key = mlkem_keygen(NULL, pub);

	(void)state;
	assert_int_equal(encap(pub, NULL, ct, a), 0);
	for (size_t n = 0; n <= sizeof(ct); n++)
		assert_int_equal(mlkem_decapsulate(key, bytes_of(ct, n), b),
		    n == MLKEM_CT ? 0 : -1);
	/* Any other gives another secret, always the same for it. */
	for (size_t i = 0; i < MLKEM_CT; i += 17) {
		ct[i] ^= 0x10;
		assert_int_equal(decap(key, ct, b), 0);
		assert_int_equal(decap(key, ct, c), 0);
		assert_memory_not_equal(a, b, MLKEM_SS);
		assert_memory_equal(b, c, MLKEM_SS);
		ct[i] ^= 0x10;
	}
	EVP_PKEY_free(key);
}

#else

static void
test_not_available(void **state)
{
	uint8_t pub[MLKEM_KEY] = { 0 }, ct[MLKEM_CT] = { 0 }, ss[MLKEM_SS];

	(void)state;
	assert_null(mlkem_keygen(NULL, pub));
	assert_int_equal(mlkem_encapsulate(bytes_of(pub, sizeof(pub)), NULL,
	    ct, ss), -1);
	assert_int_equal(mlkem_decapsulate(NULL, bytes_of(ct, sizeof(ct)), ss),
	    -1);
}

#endif

int
main(void)
{
	const struct CMUnitTest tests[] = {
#if MLKEM_BUILT
		cmocka_unit_test(test_agree),
		cmocka_unit_test(test_fixed),
		cmocka_unit_test(test_bad_key),
		cmocka_unit_test(test_bad_ciphertext)
#else
		cmocka_unit_test(test_not_available)
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
