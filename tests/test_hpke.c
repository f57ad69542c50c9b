#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "hpke.h"

/*
 * The test vectors that were published with RFC 9180 (the CFRG's
 * test-vectors.json): mode_base, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256,
 * AES-256-GCM, encryption 0.
 */
static const char info_hex[] = "4f6465206f6e2061204772656369616e2055726e";
static const char sk_e[] =
    "179d4b53b6365c45b600c4163b61d95cbc2f4d9e36f1695558dce265ab8bab11";
static const char sk_r[] =
    "497b4502664cfea5d5af0b39934dac72242a74f8480451e1aee7d6a53320333d";
static const char pk_r[] =
    "430f4b9859665145a6b1ba274024487bd66f03a2dd577d7753c68d7d7d00c00c";
static const char enc_ct[] =
    "6c93e09869df3402d7bf231bf540fadd35cd56be14f97178f0954db94b7fc256"
    "e5d84cd531cfb583096e7cfa9641bd3079cf3a91cda813c52deb5f512be9931980"
    "a41de125a925cdad859d5b7a";
static const char aad_hex[] = "436f756e742d30";
static const char pt_hex[] =
    "4265617574792069732074727574682c20747275746820626561757479";
/* One that another implementation (pyca/cryptography 48) sealed, without aad. */
static const char other_pub[] =
    "8f40c5adb68f25624ae5b214ea767a6ec94d829d3d7b5e1ad1ba6f3e2138285f";
static const char other_sealed[] =
    "f8c94edb318937fbb28a815a81ee33138995d20d6fd2552ceb4246739decc525"
    "ca078dd01219ef4e03ea034031761e78f12d9f949cd3a7776a19be05dd7d65fc"
    "1304c6b74256cdc480fddf7efd";

#define PT	29
#define SEALED	(PT + HPKE_OVERHEAD)

static struct {
	uint8_t	info[20], eph[32], priv[32], pub[32], sealed[SEALED], aad[7],
		pt[PT];
} v;
static const struct bytes none = { NULL, 0 };

static int
load(void **state)
{
	(void)state;
	return hex_decode(v.info, sizeof(v.info), info_hex) |
	    hex_decode(v.eph, 32, sk_e) | hex_decode(v.priv, 32, sk_r) |
	    hex_decode(v.pub, 32, pk_r) |
	    hex_decode(v.sealed, sizeof(v.sealed), enc_ct) |
	    hex_decode(v.aad, sizeof(v.aad), aad_hex) |
	    hex_decode(v.pt, sizeof(v.pt), pt_hex);
}

static struct bytes
info(void)
{
	return bytes_of(v.info, sizeof(v.info));
}

static struct bytes
aad(void)
{
	return bytes_of(v.aad, sizeof(v.aad));
}

static void
seals_the_vector(void **state)
{
	uint8_t out[SEALED];

	(void)state;
	assert_int_equal(hpke_seal(out, v.pub, info(), aad(),
	    bytes_of(v.pt, PT), v.eph), 0);
	assert_memory_equal(out, v.sealed, SEALED);
}

static void
opens_the_vector(void **state)
{
	uint8_t pub[32], out[PT];
	EVP_PKEY *key = hpke_keygen(v.priv, pub);

	(void)state;
	assert_memory_equal(pub, v.pub, 32);
	assert_int_equal(hpke_open(out, key, pub, info(), aad(),
	    bytes_of(v.sealed, SEALED)), 0);
	assert_memory_equal(out, v.pt, PT);
	EVP_PKEY_free(key);
}

static void
opens_another_implementations(void **state)
{
	uint8_t priv[32], pub[32], want[32], sealed[SEALED], out[PT];
	EVP_PKEY *key;

	(void)state;
	for (unsigned i = 0; i < 32; i++)
		priv[i] = (uint8_t)i;
	key = hpke_keygen(priv, pub);
	assert_int_equal(hex_decode(want, 32, other_pub), 0);
	assert_memory_equal(pub, want, 32);
	assert_int_equal(hex_decode(sealed, sizeof(sealed), other_sealed), 0);
	assert_int_equal(hpke_open(out, key, pub,
	    bytes_str("Ode on a Grecian Urn"), none,
	    bytes_of(sealed, sizeof(sealed))), 0);
	assert_memory_equal(out, "Beauty is truth, truth beauty", PT);
	EVP_PKEY_free(key);
}

/* Every bit counts, and so do info, aad and the key; nothing is left behind. */
static void
refuses(void **state)
{
	uint8_t pub[32], other[32], out[PT + 8], bad[SEALED], zero[PT] = { 0 };
	EVP_PKEY *key = hpke_keygen(v.priv, pub);
	EVP_PKEY *second = hpke_keygen(NULL, other);

	(void)state;
	for (size_t i = 0; i < 8 * SEALED; i++) {
		memcpy(bad, v.sealed, SEALED);
		bad[i / 8] ^= (uint8_t)(1u << i % 8);
		/* X25519 ignores the highest bit of a point, enc does not. */
		memset(out, 1, sizeof(out));
		assert_int_equal(hpke_open(out, key, pub, info(), aad(),
		    bytes_of(bad, SEALED)), -1);
		assert_memory_equal(out, zero, PT);
	}
	for (size_t n = 0; n < SEALED; n++)
		assert_int_equal(hpke_open(out, key, pub, info(), aad(),
		    bytes_of(v.sealed, n)), -1);
	assert_int_equal(hpke_open(out, key, pub, none, aad(),
	    bytes_of(v.sealed, SEALED)), -1);
	assert_int_equal(hpke_open(out, key, pub, info(), none,
	    bytes_of(v.sealed, SEALED)), -1);
	assert_int_equal(hpke_open(out, second, other, info(), aad(),
	    bytes_of(v.sealed, SEALED)), -1);
	/* enc and the recipient's key are in the context, not only in the DH. */
	assert_int_equal(hpke_open(out, key, other, info(), aad(),
	    bytes_of(v.sealed, SEALED)), -1);
	EVP_PKEY_free(key);
	EVP_PKEY_free(second);
}

/* A point of low order gives a secret that everybody knows: RFC 9180, 7.1.4. */
static void
low_order(void **state)
{
	static const uint8_t one[32] = { 1 }, zero[32];
	uint8_t pub[32], out[SEALED], bad[SEALED];
	EVP_PKEY *key = hpke_keygen(v.priv, pub);

	(void)state;
	assert_int_equal(hpke_seal(out, zero, info(), none, bytes_of(v.pt, PT),
	    NULL), -1);
	assert_int_equal(hpke_seal(out, one, info(), none, bytes_of(v.pt, PT),
	    NULL), -1);
	memcpy(bad, v.sealed, SEALED);
	memcpy(bad, one, 32);
	assert_int_equal(hpke_open(out, key, pub, info(), aad(),
	    bytes_of(bad, SEALED)), -1);
	EVP_PKEY_free(key);
}

/* A new ephemeral key each time. */
static void
fresh(void **state)
{
	uint8_t a[SEALED], b[SEALED], pub[32], out[PT];
	EVP_PKEY *key = hpke_keygen(NULL, pub);

	(void)state;
	assert_int_equal(hpke_seal(a, pub, info(), none, bytes_of(v.pt, PT),
	    NULL), 0);
	assert_int_equal(hpke_seal(b, pub, info(), none, bytes_of(v.pt, PT),
	    NULL), 0);
	assert_memory_not_equal(a, b, 32);
	assert_memory_not_equal(a + 32, b + 32, PT);
	assert_int_equal(hpke_open(out, key, pub, info(), none,
	    bytes_of(b, SEALED)), 0);
	assert_memory_equal(out, v.pt, PT);
	EVP_PKEY_free(key);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(seals_the_vector),
		cmocka_unit_test(opens_the_vector),
		cmocka_unit_test(opens_another_implementations),
		cmocka_unit_test(refuses),
		cmocka_unit_test(low_order),
		cmocka_unit_test(fresh),
	};

	return cmocka_run_group_tests_name("hpke", tests, load, NULL);
}
