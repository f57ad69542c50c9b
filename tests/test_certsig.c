/* storaged/certsig.c: who signed a certificate. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "cert_make.h"
#include "certsig.h"

static EVP_PKEY *leaf_key;

static int
setup(void **state)
{
	(void)state;
	leaf_key = made_ec();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	EVP_PKEY_free(leaf_key);
	return 0;
}

/* One that this authority signs. */
static struct buf
signed_by(EVP_PKEY *key, const EVP_MD *md)
{
	struct buf der = BUF_INIT(MADE_MAX);
	struct made_ca ca = made_authority("root", key, NULL);
	struct made_spec s = { .name = "x", .key = leaf_key,
	    .san = "URI:cloister:user:alice" };
	X509 *x;

	ca.md = md;
	x = made_cert(&s, &ca);
	made_der(&der, x);
	X509_free(x);
	X509_free(ca.cert);
	return der;
}

/* Whether a certificate that key makes with md is taken as its own. */
static bool
taken(EVP_PKEY *key, const EVP_MD *md)
{
	struct buf der = signed_by(key, md);
	struct certsig s;
	EVP_PKEY *other = made_ec();
	bool rv;

	assert_int_equal(certsig_parse(&s, buf_bytes(&der)), 0);
	assert_true(s.tbs.p == der.p + 4 || s.tbs.p == der.p + 3);
	rv = certsig_by(&s, key);
	assert_false(certsig_by(&s, other));
	assert_false(certsig_by(&s, leaf_key));
	EVP_PKEY_free(other);
	EVP_PKEY_free(key);
	buf_free(&der);
	return rv;
}

static void
test_algorithms(void **state)
{
	(void)state;
	assert_true(taken(EVP_RSA_gen(3072), EVP_sha256()));
	assert_true(taken(EVP_RSA_gen(3072), EVP_sha384()));
	assert_true(taken(EVP_RSA_gen(3072), EVP_sha512()));
	assert_true(taken(rsa_generate(RSA_USE_SIGN, 3072, 0), EVP_sha256()));
	assert_true(taken(made_ec(), EVP_sha256()));
	assert_true(taken(EVP_EC_gen("P-384"), EVP_sha384()));
	assert_true(taken(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), NULL));
	assert_false(taken(EVP_RSA_gen(3072), EVP_sha1()));
	assert_false(taken(EVP_RSA_gen(3072), EVP_sha224()));
	assert_false(taken(made_ec(), EVP_sha1()));
	assert_false(taken(made_ec(), EVP_sha512()));
}

/* Nothing of it may change; what is cut or longer is no certificate. */
static void
test_damage(void **state)
{
	EVP_PKEY *key = made_ec();
	struct buf der = signed_by(key, NULL);
	struct certsig s;

	(void)state;
	for (size_t i = 0; i < der.n; i++)
		for (int bit = 0; bit < 8; bit++) {
			der.p[i] ^= (uint8_t)(1 << bit);
			if (certsig_parse(&s, buf_bytes(&der)) == 0 &&
			    certsig_by(&s, key))
				fail_msg("byte %zu, bit %d", i, bit);
			der.p[i] ^= (uint8_t)(1 << bit);
		}
	for (size_t n = 0; n < der.n; n++)
		assert_int_equal(certsig_parse(&s, bytes_of(der.p, n)), -1);
	buf_u8(&der, 0);
	assert_int_equal(certsig_parse(&s, buf_bytes(&der)), -1);
	buf_free(&der);
	EVP_PKEY_free(key);
}

/* Lengths as DER has them, and no other way. */
static void
test_lengths(void **state)
{
	static const uint8_t good[] = { 0x30, 0x08, 0x30, 0x00, 0x30, 0x00,
	    0x03, 0x02, 0x00, 0x55 };
	static const uint8_t long1[] = { 0x30, 0x81, 0x08, 0x30, 0x00, 0x30,
	    0x00, 0x03, 0x02, 0x00, 0x55 };
	static const uint8_t long2[] = { 0x30, 0x82, 0x00, 0x08, 0x30, 0x00,
	    0x30, 0x00, 0x03, 0x02, 0x00, 0x55 };
	static const uint8_t endless[] = { 0x30, 0x80, 0x30, 0x00, 0x30, 0x00,
	    0x03, 0x02, 0x00, 0x55, 0x00, 0x00 };
	static const uint8_t bits[] = { 0x30, 0x08, 0x30, 0x00, 0x30, 0x00,
	    0x03, 0x02, 0x01, 0x55 };
	static const uint8_t four[] = { 0x30, 0x0a, 0x30, 0x00, 0x30, 0x00,
	    0x03, 0x02, 0x00, 0x55, 0x05, 0x00 };
	static const uint8_t empty[] = { 0x30, 0x07, 0x30, 0x00, 0x30, 0x00,
	    0x03, 0x01, 0x00 };
	static const uint8_t over[] = { 0x30, 0x08, 0x30, 0x7f, 0x30, 0x00,
	    0x03, 0x02, 0x00, 0x55 };
	struct certsig s;
	EVP_PKEY *key = made_ec();

	(void)state;
#define PARSE(a) certsig_parse(&s, bytes_of(a, sizeof(a)))
	assert_int_equal(PARSE(long1), -1);
	assert_int_equal(PARSE(long2), -1);
	assert_int_equal(PARSE(endless), -1);
	assert_int_equal(PARSE(bits), -1);
	assert_int_equal(PARSE(four), -1);
	assert_int_equal(PARSE(empty), -1);
	assert_int_equal(PARSE(over), -1);
	assert_int_equal(PARSE(good), 0);
	assert_int_equal(s.tbs.n, 2);
	assert_int_equal(s.alg.n, 2);
	assert_int_equal(s.sig.n, 1);
	assert_false(certsig_by(&s, key));
	EVP_PKEY_free(key);
}

static void
test_uri(void **state)
{
	EVP_PKEY *key = made_ec();
	struct buf der = signed_by(key, NULL);
	struct certsig s;
	char big[200];

	(void)state;
	assert_int_equal(certsig_parse(&s, buf_bytes(&der)), 0);
	assert_true(certsig_has_uri(&s, "cloister:user:alice"));
	assert_false(certsig_has_uri(&s, "cloister:user:alic"));
	assert_false(certsig_has_uri(&s, "loister:user:alice"));
	assert_false(certsig_has_uri(&s, "cloister:user:bob"));
	assert_false(certsig_has_uri(&s, ""));
	memset(big, 'a', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	assert_false(certsig_has_uri(&s, big));
	buf_free(&der);
	EVP_PKEY_free(key);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_algorithms),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_uri),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
