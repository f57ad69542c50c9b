/*
 * Certificates for tests, made on the spot.
 */
#ifndef TESTS_CERT_MAKE_H
#define TESTS_CERT_MAKE_H

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "bytes.h"
#include "rsa.h"

#define MADE_MAX	4096	/* bytes of one, DER */
#define DAY		86400

/* An issuer: its certificate is NULL while it signs its own. */
struct made_ca {
	EVP_PKEY	*key;
	X509		*cert;
	const EVP_MD	*md;	/* NULL: SHA-256 */
};

/* What is to be made; a NULL extension is left out. */
struct made_spec {
	const char	*name;		/* common name */
	EVP_PKEY	*key;		/* its own */
	const char	*san, *eku, *ku, *bc;
	long		 from, to;	/* seconds from now; both 0: a year */
	long		 serial;
};

__attribute__((unused)) static void
made_ext(X509 *x, X509V3_CTX *ctx, int nid, const char *value)
{
	X509_EXTENSION *e;

	if (value == NULL)
		return;
	e = X509V3_EXT_conf_nid(NULL, ctx, nid, value);
	assert_non_null(e);
	assert_int_equal(X509_add_ext(x, e, -1), 1);
	X509_EXTENSION_free(e);
}

__attribute__((unused)) static X509 *
made_cert(const struct made_spec *s, const struct made_ca *ca)
{
	X509 *x = X509_new();
	X509_NAME *n = X509_NAME_new();
	bool year = s->from == 0 && s->to == 0;
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	EVP_PKEY_CTX *pctx;
	X509V3_CTX ctx;

	assert_int_equal(X509_set_version(x, 2), 1);
	assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(x),
	    s->serial != 0 ? s->serial : 1), 1);
	assert_non_null(X509_gmtime_adj(X509_getm_notBefore(x),
	    year ? -DAY : s->from));
	assert_non_null(X509_gmtime_adj(X509_getm_notAfter(x),
	    year ? 365 * DAY : s->to));
	assert_int_equal(X509_NAME_add_entry_by_txt(n, "CN", MBSTRING_ASC,
	    (const unsigned char *)s->name, -1, -1, 0), 1);
	assert_int_equal(X509_set_subject_name(x, n), 1);
	assert_int_equal(X509_set_issuer_name(x, ca->cert != NULL ?
	    X509_get_subject_name(ca->cert) : n), 1);
	assert_int_equal(X509_set_pubkey(x, s->key), 1);
	X509V3_set_ctx(&ctx, ca->cert != NULL ? ca->cert : x, x, NULL, NULL, 0);
	made_ext(x, &ctx, NID_basic_constraints, s->bc);
	made_ext(x, &ctx, NID_key_usage, s->ku);
	made_ext(x, &ctx, NID_ext_key_usage, s->eku);
	made_ext(x, &ctx, NID_subject_alt_name, s->san);
	assert_int_equal(EVP_DigestSignInit(md, &pctx,
	    EVP_PKEY_is_a(ca->key, "ED25519") ? NULL : ca->md != NULL ? ca->md :
	    EVP_sha256(), NULL, ca->key), 1);
	if (EVP_PKEY_is_a(ca->key, "RSA-PSS"))
		assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, 32), 1);
	assert_true(X509_sign_ctx(x, md) > 0);
	EVP_MD_CTX_free(md);
	X509_NAME_free(n);
	return x;
}

__attribute__((unused)) static struct made_ca
made_authority(const char *name, EVP_PKEY *key, const struct made_ca *above)
{
	struct made_ca ca = { .key = key };
	struct made_spec s = { .name = name, .key = key,
	    .bc = "critical,CA:TRUE", .ku = "critical,keyCertSign,cRLSign" };

	assert_non_null(key);
	ca.cert = made_cert(&s, above != NULL ? above : &ca);
	return ca;
}

__attribute__((unused)) static void
made_ca_free(struct made_ca *ca)
{
	EVP_PKEY_free(ca->key);
	X509_free(ca->cert);
}

__attribute__((unused)) static EVP_PKEY *
made_ec(void)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");

	assert_non_null(key);
	return key;
}

/* Append it: DER, and PEM. */
__attribute__((unused)) static void
made_der(struct buf *out, X509 *x)
{
	uint8_t *der = NULL;
	int n = i2d_X509(x, &der);

	assert_true(n > 0);
	buf_put(out, der, (size_t)n);
	OPENSSL_free(der);
}

__attribute__((unused)) static void
made_bio(struct buf *out, BIO *b)
{
	char *p;
	long n = BIO_get_mem_data(b, &p);

	assert_true(n > 0);
	buf_put(out, p, (size_t)n);
	BIO_free(b);
	assert_false(out->err);
}

__attribute__((unused)) static void
made_pem(struct buf *out, X509 *x)
{
	BIO *b = BIO_new(BIO_s_mem());

	assert_int_equal(PEM_write_bio_X509(b, x), 1);
	made_bio(out, b);
}

/* Its revocation list, PEM; serial 0: nothing revoked. */
__attribute__((unused)) static void
made_crl(struct buf *out, const struct made_ca *ca, long serial, long from,
    long to)
{
	X509_CRL *crl = X509_CRL_new();
	ASN1_TIME *t = ASN1_TIME_new();
	X509_REVOKED *r;
	BIO *b = BIO_new(BIO_s_mem());

	assert_int_equal(X509_CRL_set_version(crl, 1), 1);
	assert_int_equal(X509_CRL_set_issuer_name(crl,
	    X509_get_subject_name(ca->cert)), 1);
	assert_non_null(X509_gmtime_adj(t, from));
	assert_int_equal(X509_CRL_set1_lastUpdate(crl, t), 1);
	assert_non_null(X509_gmtime_adj(t, to));
	assert_int_equal(X509_CRL_set1_nextUpdate(crl, t), 1);
	if (serial != 0) {
		ASN1_INTEGER *n = ASN1_INTEGER_new();

		r = X509_REVOKED_new();
		assert_int_equal(ASN1_INTEGER_set(n, serial), 1);
		assert_int_equal(X509_REVOKED_set_serialNumber(r, n), 1);
		assert_non_null(X509_gmtime_adj(t, from));
		assert_int_equal(X509_REVOKED_set_revocationDate(r, t), 1);
		assert_int_equal(X509_CRL_add0_revoked(crl, r), 1);
		ASN1_INTEGER_free(n);
	}
	assert_true(X509_CRL_sign(crl, ca->key, EVP_sha256()) > 0);
	assert_int_equal(PEM_write_bio_X509_CRL(b, crl), 1);
	made_bio(out, b);
	ASN1_TIME_free(t);
	X509_CRL_free(crl);
}

#endif
