/* common/rsa.c: what policy takes, and everything that it must not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

#include "rsa.h"
#include "warmup.h"

#define ALG_OFF		4	/* AlgorithmIdentifier in an SPKI */
#define ALG_PSS_N	67
#define ALG_RSA_N	15

static const uint8_t label[HASH_LEN] = "a label", reject[HASH_LEN] = "a secret";
static EVP_PKEY *sign_key, *wrap_key;
static struct buf sign_spki = BUF_INIT(RSA_SPKI_MAX);
static struct buf wrap_spki = BUF_INIT(RSA_SPKI_MAX);

static int
setup(void **state)
{
	(void)state;
	sign_key = rsa_generate(RSA_USE_SIGN, RSA_BITS_DEFAULT, 0);
	wrap_key = rsa_generate(RSA_USE_WRAP, RSA_BITS_DEFAULT, 0);
	if (sign_key == NULL || wrap_key == NULL)
		return -1;
	return rsa_spki_encode(&sign_spki, sign_key) == 0 &&
	    rsa_spki_encode(&wrap_spki, wrap_key) == 0 ? 0 : -1;
}

static int
teardown(void **state)
{
	(void)state;
	EVP_PKEY_free(sign_key);
	EVP_PKEY_free(wrap_key);
	buf_free(&sign_spki);
	buf_free(&wrap_spki);
	return 0;
}

static bool
accepted(struct bytes spki, enum rsa_use use, int flags)
{
	EVP_PKEY *key = rsa_spki_parse(spki, use, flags);

	EVP_PKEY_free(key);
	return key != NULL;
}

/* Whether the wrap key (n, e) would be taken; n and e are consumed. */
static bool
numbers_accepted(BIGNUM *n, unsigned long e, int flags)
{
	OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_id(EVP_PKEY_RSA, NULL);
	struct buf spki = BUF_INIT(8192);
	BIGNUM *be = BN_new();
	EVP_PKEY *key = NULL;
	OSSL_PARAM *param;
	bool ok;

	assert_int_equal(BN_set_word(be, e), 1);
	assert_int_equal(OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, n),
	    1);
	assert_int_equal(OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, be),
	    1);
	param = OSSL_PARAM_BLD_to_param(bld);
	assert_int_equal(EVP_PKEY_fromdata_init(ctx), 1);
	assert_int_equal(EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY,
	    param), 1);
	assert_int_equal(rsa_spki_encode(&spki, key), 0);
	ok = accepted(buf_bytes(&spki), RSA_USE_WRAP, flags);
	EVP_PKEY_free(key);
	EVP_PKEY_CTX_free(ctx);
	OSSL_PARAM_free(param);
	OSSL_PARAM_BLD_free(bld);
	BN_free(n);
	BN_free(be);
	buf_free(&spki);
	return ok;
}

static BIGNUM *
modulus(void)
{
	BIGNUM *n = NULL;

	assert_int_equal(EVP_PKEY_get_bn_param(wrap_key, OSSL_PKEY_PARAM_RSA_N,
	    &n), 1);
	return n;
}

/* An odd number of this many bits; policy cannot tell it from a real modulus. */
static BIGNUM *
odd(int bits)
{
	BIGNUM *n = BN_new();

	assert_int_equal(BN_rand(n, bits, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ODD),
	    1);
	return n;
}

static void
test_generate(void **state)
{
	EVP_PKEY *key;

	(void)state;
	assert_null(rsa_generate(RSA_USE_SIGN, 2048, 0));
	assert_null(rsa_generate(RSA_USE_WRAP, 1024, RSA_ALLOW_2048));
	assert_null(rsa_generate(RSA_USE_WRAP, 4160, 0));
	assert_null(rsa_generate(RSA_USE_WRAP, 3073, 0));
	assert_int_equal(rsa_size(sign_key), 384);
	assert_true(EVP_PKEY_is_a(sign_key, "RSA-PSS"));
	assert_true(EVP_PKEY_is_a(wrap_key, "RSA"));
	key = rsa_generate(RSA_USE_SIGN, 2048, RSA_ALLOW_2048);
	assert_non_null(key);
	assert_int_equal(rsa_size(key), 256);
	EVP_PKEY_free(key);
}

static void
test_spki_policy(void **state)
{
	BIGNUM *even;

	(void)state;
	assert_true(accepted(buf_bytes(&sign_spki), RSA_USE_SIGN, 0));
	assert_true(accepted(buf_bytes(&wrap_spki), RSA_USE_WRAP, 0));
	/* One use is not the other. */
	assert_false(accepted(buf_bytes(&sign_spki), RSA_USE_WRAP, 0));
	assert_false(accepted(buf_bytes(&wrap_spki), RSA_USE_SIGN, 0));
	/* Exponents. */
	assert_true(numbers_accepted(modulus(), 65537, 0));
	assert_false(numbers_accepted(modulus(), 1, 0));
	assert_false(numbers_accepted(modulus(), 3, 0));
	assert_false(numbers_accepted(modulus(), 65539, 0));
	/* Sizes. */
	assert_false(numbers_accepted(odd(1024), 65537, 0));
	assert_false(numbers_accepted(odd(2048), 65537, 0));
	assert_true(numbers_accepted(odd(2048), 65537, RSA_ALLOW_2048));
	assert_false(numbers_accepted(odd(2047), 65537, RSA_ALLOW_2048));
	assert_false(numbers_accepted(odd(3071), 65537, 0));
	assert_true(numbers_accepted(odd(4096), 65537, 0));
	assert_false(numbers_accepted(odd(4097), 65537, 0));
	assert_false(numbers_accepted(odd(16384), 65537, 0));
	/* An even modulus. */
	even = modulus();
	assert_int_equal(BN_sub_word(even, 1), 1);
	assert_false(numbers_accepted(even, 65537, 0));
}

/* Put the edited copy before the parser. */
static bool
edited(const struct buf *spki, enum rsa_use use, size_t off, uint8_t value)
{
	uint8_t copy[RSA_SPKI_MAX];

	memcpy(copy, spki->p, spki->n);
	assert_int_not_equal(copy[off], value);
	copy[off] = value;
	return accepted(bytes_of(copy, spki->n), use, 0);
}

static void
test_spki_der(void **state)
{
	struct buf b = BUF_INIT(2 * RSA_SPKI_MAX);
	size_t bits = ALG_OFF + ALG_RSA_N;	/* BIT STRING */

	(void)state;
	for (size_t n = 0; n < sign_spki.n; n++)
		assert_false(accepted(bytes_of(sign_spki.p, n), RSA_USE_SIGN,
		    0));
	buf_put(&b, sign_spki.p, sign_spki.n);	/* trailing byte */
	buf_u8(&b, 0);
	assert_false(accepted(buf_bytes(&b), RSA_USE_SIGN, 0));
	put_be16(b.p + 2, (uint16_t)(b.n - 4));	/* now inside the SEQUENCE */
	assert_false(accepted(buf_bytes(&b), RSA_USE_SIGN, 0));

	/* Parameters: salt 31, SHA-384, MGF1 with SHA-384, another algorithm. */
	assert_int_equal(sign_spki.p[ALG_OFF + ALG_PSS_N - 1], 32);
	assert_false(edited(&sign_spki, RSA_USE_SIGN, ALG_OFF + ALG_PSS_N - 1,
	    31));
	assert_int_equal(sign_spki.p[33], 1);
	assert_false(edited(&sign_spki, RSA_USE_SIGN, 33, 2));
	assert_int_equal(sign_spki.p[63], 1);
	assert_false(edited(&sign_spki, RSA_USE_SIGN, 63, 2));
	assert_false(edited(&sign_spki, RSA_USE_SIGN, 16, 7));

	/* Unused bits; a byte behind the key inside the BIT STRING. */
	assert_int_equal(wrap_spki.p[bits], 0x03);
	assert_false(edited(&wrap_spki, RSA_USE_WRAP, bits + 4, 1));
	buf_reset(&b);
	buf_put(&b, wrap_spki.p, wrap_spki.n);
	buf_u8(&b, 0);
	put_be16(b.p + 2, (uint16_t)(b.n - 4));
	put_be16(b.p + bits + 2, (uint16_t)(b.n - bits - 4));
	assert_false(accepted(buf_bytes(&b), RSA_USE_WRAP, 0));
	/* And inside the SEQUENCE of (n, e). */
	put_be16(b.p + bits + 7, (uint16_t)(b.n - bits - 9));
	assert_false(accepted(buf_bytes(&b), RSA_USE_WRAP, 0));
	/* The modulus with a needless leading zero. */
	buf_reset(&b);
	buf_put(&b, wrap_spki.p, bits + 13);
	buf_u8(&b, 0);
	buf_put(&b, wrap_spki.p + bits + 13, wrap_spki.n - bits - 13);
	put_be16(b.p + 2, (uint16_t)(b.n - 4));
	put_be16(b.p + bits + 2, (uint16_t)(b.n - bits - 4));
	put_be16(b.p + bits + 7, (uint16_t)(b.n - bits - 9));
	put_be16(b.p + bits + 11, (uint16_t)(385 + 1));
	assert_false(accepted(buf_bytes(&b), RSA_USE_WRAP, 0));
	buf_free(&b);
}

/* One key, one encoding: what is taken after a flip is a different key. */
static void
test_spki_flip(void **state)
{
	struct buf again = BUF_INIT(RSA_SPKI_MAX);
	uint8_t copy[RSA_SPKI_MAX];
	EVP_PKEY *key;
	size_t taken = 0;

	(void)state;
	for (size_t bit = 0; bit < 8 * wrap_spki.n; bit += 3) {
		memcpy(copy, wrap_spki.p, wrap_spki.n);
		copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
		key = rsa_spki_parse(bytes_of(copy, wrap_spki.n), RSA_USE_WRAP,
		    0);
		if (key == NULL)
			continue;
		assert_true(bit / 8 >= ALG_OFF + ALG_RSA_N + 13);
		buf_reset(&again);
		assert_int_equal(rsa_spki_encode(&again, key), 0);
		assert_true(bytes_eq(buf_bytes(&again), bytes_of(copy,
		    wrap_spki.n)));
		EVP_PKEY_free(key);
		taken++;
	}
	assert_true(taken > 500);	/* flips inside the modulus */
	buf_free(&again);
}

static void
test_fingerprint(void **state)
{
	char text[RSA_FP_TEXT];
	uint8_t fp[HASH_LEN];

	(void)state;
	rsa_fingerprint(fp, bytes_str("abc"));
	rsa_fingerprint_text(text, fp);
	assert_string_equal(text,
	    "SHA256:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0");
}

static void
test_pss(void **state)
{
	struct buf sig = BUF_INIT(RSA_OUT_MAX), again = BUF_INIT(RSA_OUT_MAX);
	struct bytes msg = bytes_str("a message");
	EVP_PKEY *pub;

	(void)state;
	pub = rsa_spki_parse(buf_bytes(&sign_spki), RSA_USE_SIGN, 0);
	assert_non_null(pub);
	assert_int_equal(rsa_pss_sign(&sig, sign_key, msg), 0);
	assert_int_equal(sig.n, 384);
	assert_int_equal(rsa_pss_verify(pub, buf_bytes(&sig), msg), 0);
	assert_int_equal(rsa_pss_sign(&again, sign_key, msg), 0);
	assert_false(bytes_eq(buf_bytes(&sig), buf_bytes(&again)));
	assert_int_equal(rsa_pss_verify(pub, buf_bytes(&sig),
	    bytes_str("a massage")), -1);
	for (size_t i = 0; i < sig.n; i += 5) {
		sig.p[i] ^= 0x10;
		assert_int_equal(rsa_pss_verify(pub, buf_bytes(&sig), msg), -1);
		sig.p[i] ^= 0x10;
	}
	assert_int_equal(rsa_pss_verify(pub, bytes_of(sig.p, 383), msg), -1);
	assert_int_equal(rsa_pss_verify(pub, bytes_of(NULL, 0), msg), -1);
	assert_int_equal(rsa_pss_verify(wrap_key, buf_bytes(&sig), msg), -1);
	/* A public key does not sign. */
	buf_reset(&again);
	assert_int_equal(rsa_pss_sign(&again, pub, msg), -1);
	EVP_PKEY_free(pub);
	buf_free(&sig);
	buf_free(&again);
}

/* The wrap key's modulus dressed up as a signing key. */
static EVP_PKEY *
as_signing_key(void)
{
	struct buf b = BUF_INIT(RSA_SPKI_MAX);
	EVP_PKEY *key;

	buf_put(&b, sign_spki.p, ALG_OFF + ALG_PSS_N);
	buf_put(&b, wrap_spki.p + ALG_OFF + ALG_RSA_N,
	    wrap_spki.n - ALG_OFF - ALG_RSA_N);
	key = rsa_spki_parse(buf_bytes(&b), RSA_USE_SIGN, 0);
	assert_non_null(key);
	buf_free(&b);
	return key;
}

/* Sign with the plain key in a padding of choice, verify as RSA-PSS. */
static int
verify_padding(int padding, int saltlen)
{
	struct bytes msg = bytes_str("a message");
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY *pub = as_signing_key();
	EVP_PKEY_CTX *pctx;
	uint8_t sig[RSA_OUT_MAX];
	size_t n = sizeof(sig);
	int rv;

	assert_int_equal(EVP_DigestSignInit(ctx, &pctx, EVP_sha256(), NULL,
	    wrap_key), 1);
	assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(pctx, padding), 1);
	if (padding == RSA_PKCS1_PSS_PADDING)
		assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx,
		    saltlen), 1);
	assert_int_equal(EVP_DigestSign(ctx, sig, &n, msg.p, msg.n), 1);
	rv = rsa_pss_verify(pub, bytes_of(sig, n), msg);
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(pub);
	return rv;
}

static void
test_pss_padding(void **state)
{
	(void)state;
	assert_int_equal(verify_padding(RSA_PKCS1_PSS_PADDING, 32), 0);
	assert_int_equal(verify_padding(RSA_PKCS1_PSS_PADDING, 20), -1);
	assert_int_equal(verify_padding(RSA_PKCS1_PSS_PADDING, 64), -1);
	assert_int_equal(verify_padding(RSA_PKCS1_PADDING, 0), -1);
}

/* Opening ct gives the pseudo-random answer and nothing else. */
static void
assert_rejected(struct bytes ct, const uint8_t lab[HASH_LEN])
{
	uint8_t got[HASH_LEN], want[HASH_LEN];

	hmac_sha256(want, bytes_of(reject, HASH_LEN), ct);
	rsa_oaep_decrypt(got, wrap_key, lab, ct, reject);
	assert_memory_equal(got, want, HASH_LEN);
}

/* OAEP of n bytes under our label, made without rsa.c. */
static void
oaep_raw(struct buf *out, const uint8_t *plain, size_t n)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, wrap_key, NULL);
	uint8_t tmp[RSA_OUT_MAX];
	size_t len = sizeof(tmp);

	assert_int_equal(EVP_PKEY_encrypt_init(ctx), 1);
	assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(ctx,
	    RSA_PKCS1_OAEP_PADDING), 1);
	assert_int_equal(EVP_PKEY_CTX_set_rsa_oaep_md(ctx, EVP_sha256()), 1);
	assert_int_equal(EVP_PKEY_CTX_set0_rsa_oaep_label(ctx,
	    OPENSSL_memdup(label, HASH_LEN), HASH_LEN), 1);
	assert_int_equal(EVP_PKEY_encrypt(ctx, tmp, &len, plain, n), 1);
	buf_reset(out);
	buf_put(out, tmp, len);
	EVP_PKEY_CTX_free(ctx);
}

static void
test_oaep(void **state)
{
	static const uint8_t plain[HASH_LEN + 1] = "thirty-two bytes to be wrapped..";
	uint8_t got[HASH_LEN], wrong[HASH_LEN] = "a libel", big[384];
	struct buf ct = BUF_INIT(RSA_OUT_MAX + 1);
	EVP_PKEY *pub;

	(void)state;
	pub = rsa_spki_parse(buf_bytes(&wrap_spki), RSA_USE_WRAP, 0);
	assert_int_equal(rsa_oaep_encrypt(&ct, pub, label, plain), 0);
	EVP_PKEY_free(pub);
	assert_int_equal(ct.n, 384);
	rsa_oaep_decrypt(got, wrap_key, label, buf_bytes(&ct), reject);
	assert_memory_equal(got, plain, HASH_LEN);

	assert_rejected(buf_bytes(&ct), wrong);
	for (size_t i = 0; i < ct.n; i += 17) {
		ct.p[i] ^= 1;
		assert_rejected(buf_bytes(&ct), label);
		ct.p[i] ^= 1;
	}
	assert_rejected(bytes_of(ct.p, ct.n - 1), label);
	assert_rejected(bytes_of(NULL, 0), label);
	buf_u8(&ct, 0);
	assert_rejected(buf_bytes(&ct), label);
	memset(big, 0xff, sizeof(big));		/* above the modulus */
	assert_rejected(bytes_of(big, sizeof(big)), label);
	memset(big, 0, sizeof(big));
	assert_rejected(bytes_of(big, sizeof(big)), label);
	/* Well-made OAEP of another length is rejected alike. */
	oaep_raw(&ct, plain, HASH_LEN);
	rsa_oaep_decrypt(got, wrap_key, label, buf_bytes(&ct), reject);
	assert_memory_equal(got, plain, HASH_LEN);
	oaep_raw(&ct, plain, HASH_LEN - 1);
	assert_rejected(buf_bytes(&ct), label);
	oaep_raw(&ct, plain, HASH_LEN + 1);
	assert_rejected(buf_bytes(&ct), label);
	buf_free(&ct);
}

static int
decode(const struct buf *pem, enum rsa_use use, int flags, const char *pass)
{
	EVP_PKEY *key;
	int rv = rsa_private_decode(&key, buf_bytes(pem), use, flags, pass);

	if (rv == 0)
		assert_int_equal(EVP_PKEY_eq(key, use == RSA_USE_SIGN ?
		    sign_key : wrap_key), 1);
	else
		assert_null(key);
	EVP_PKEY_free(key);
	return rv;
}

static void
test_private(void **state)
{
	struct buf pem = BUF_INIT(RSA_PEM_MAX);

	(void)state;
	assert_int_equal(rsa_private_encode(&pem, sign_key, NULL), 0);
	assert_int_equal(decode(&pem, RSA_USE_SIGN, 0, NULL), 0);
	assert_int_equal(decode(&pem, RSA_USE_SIGN, 0, "unneeded"), 0);
	assert_int_equal(decode(&pem, RSA_USE_WRAP, 0, NULL), RSA_E_BAD);
	pem.p[pem.n / 2] = '!';
	assert_int_equal(decode(&pem, RSA_USE_SIGN, 0, NULL), RSA_E_BAD);
	buf_reset(&pem);
	assert_int_equal(decode(&pem, RSA_USE_SIGN, 0, NULL), RSA_E_BAD);

	assert_int_equal(rsa_private_encode(&pem, wrap_key, ""), -1);
	buf_reset(&pem);
	assert_int_equal(rsa_private_encode(&pem, wrap_key, "correct horse"),
	    0);
	assert_memory_equal(pem.p, "-----BEGIN ENCRYPTED PRIVATE KEY-----", 37);
	assert_int_equal(decode(&pem, RSA_USE_WRAP, 0, "correct horse"), 0);
	assert_int_equal(decode(&pem, RSA_USE_WRAP, 0, "correct house"),
	    RSA_E_PASS);
	assert_int_equal(decode(&pem, RSA_USE_WRAP, 0, NULL), RSA_E_PASS);
	assert_int_equal(decode(&pem, RSA_USE_WRAP, 0, ""), RSA_E_PASS);
	buf_free(&pem);
}

static void
test_private_file(void **state)
{
	EVP_PKEY *small, *key;
	FILE *fp;

	(void)state;
	assert_non_null(fp = tmpfile());
	assert_int_equal(rsa_private_write(fp, sign_key, NULL), 0);
	rewind(fp);
	assert_int_equal(rsa_private_read(&key, fp, RSA_USE_SIGN, 0, NULL), 0);
	assert_int_equal(EVP_PKEY_eq(key, sign_key), 1);
	EVP_PKEY_free(key);
	assert_int_equal(fclose(fp), 0);
	/* A stored key obeys policy too. */
	small = rsa_generate(RSA_USE_WRAP, 2048, RSA_ALLOW_2048);
	assert_non_null(fp = tmpfile());
	assert_int_equal(rsa_private_write(fp, small, NULL), 0);
	rewind(fp);
	assert_int_equal(rsa_private_read(&key, fp, RSA_USE_WRAP, 0, NULL),
	    RSA_E_BAD);
	assert_null(key);
	rewind(fp);
	assert_int_equal(rsa_private_read(&key, fp, RSA_USE_WRAP,
	    RSA_ALLOW_2048, NULL), 0);
	EVP_PKEY_free(key);
	EVP_PKEY_free(small);
	assert_int_equal(fclose(fp), 0);
}

/* Both die if an algorithm gives a wrong answer. */
static void
test_warmup(void **state)
{
	(void)state;
	crypto_warmup();
	rsa_warmup(sign_key, RSA_USE_SIGN);
	rsa_warmup(wrap_key, RSA_USE_WRAP);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_generate),
		cmocka_unit_test(test_spki_policy),
		cmocka_unit_test(test_spki_der),
		cmocka_unit_test(test_spki_flip),
		cmocka_unit_test(test_fingerprint),
		cmocka_unit_test(test_pss),
		cmocka_unit_test(test_pss_padding),
		cmocka_unit_test(test_oaep),
		cmocka_unit_test(test_private),
		cmocka_unit_test(test_private_file),
		cmocka_unit_test(test_warmup)
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
