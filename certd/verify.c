#include "certd.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#define AUTH_LEVEL	3	/* 128 bits: RSA-3072, P-256, SHA-256 */
#define STRENGTH	128

struct authorities {
	STACK_OF(X509)	*certs;
	X509_STORE	*store;
	bool		 has_crl;
};

/* ---- the files of authorities --------------------------------------------- */

/* An authority's own key must not be the weakest link of every chain. */
static const char *
not_an_authority(X509 *x)
{
	EVP_PKEY *key = X509_get0_pubkey(x);

	if (X509_check_ca(x) != 1)
		return "is not an authority's (basicConstraints CA:TRUE, and "
		    "keyCertSign where there is a key usage)";
	if (key == NULL || EVP_PKEY_get_security_bits(key) < STRENGTH)
		return "has a key that is too weak (RSA of 3072 bits and P-256 "
		    "are the least)";
	return NULL;
}

static int
add_authorities(struct authorities *a, BIO *in, char *err, size_t errlen)
{
	const char *why;
	X509 *x;
	int n = 0;

	while ((x = PEM_read_bio_X509(in, NULL, NULL, NULL)) != NULL) {
		n++;
		why = n > AUTHORITIES_MAX ? "is one too many" :
		    not_an_authority(x);
		if (why == NULL && (X509_STORE_add_cert(a->store, x) != 1 ||
		    sk_X509_push(a->certs, x) <= 0))
			why = "cannot be taken";
		if (why != NULL) {
			(void)snprintf(err, errlen, "certificate %d %s", n,
			    why);
			X509_free(x);
			return -1;
		}
	}
	if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE) {
		(void)snprintf(err, errlen, "certificate %d is damaged", n + 1);
		return -1;
	}
	if (n == 0)
		(void)snprintf(err, errlen, "no certificate in it (PEM is "
		    "needed)");
	return n == 0 ? -1 : 0;
}

/* crl is taken over. */
static int
add_crl(struct authorities *a, X509_CRL *crl, char *err, size_t errlen)
{
	int rv = X509_STORE_add_crl(a->store, crl) == 1 ? 0 : -1;

	X509_CRL_free(crl);
	if (rv == -1)
		(void)snprintf(err, errlen, "a revocation list cannot be "
		    "taken");
	return rv;
}

static int
add_crls(struct authorities *a, BIO *in, struct bytes text, char *err,
    size_t errlen)
{
	const uint8_t *p = text.p;
	X509_CRL *crl;
	int n = 0;

	/* What authorities publish is often one list in DER. */
	if (text.n > 0 && p[0] == 0x30) {
		crl = d2i_X509_CRL(NULL, &p, (long)text.n);
		if (crl != NULL && p == text.p + text.n)
			return add_crl(a, crl, err, errlen);
		X509_CRL_free(crl);
		(void)snprintf(err, errlen, "not a revocation list");
		return -1;
	}
	while ((crl = PEM_read_bio_X509_CRL(in, NULL, NULL, NULL)) != NULL) {
		if (++n > CRLS_MAX) {
			X509_CRL_free(crl);
			(void)snprintf(err, errlen, "more than %d revocation "
			    "lists", CRLS_MAX);
			return -1;
		}
		if (add_crl(a, crl, err, errlen) == -1)
			return -1;
	}
	if (n == 0 || ERR_GET_REASON(ERR_peek_last_error()) !=
	    PEM_R_NO_START_LINE) {
		(void)snprintf(err, errlen, n == 0 ? "no revocation list in it" :
		    "a revocation list is damaged");
		return -1;
	}
	return 0;
}

/* A reader over text that somebody else owns. */
static BIO *
reader(struct bytes text)
{
	BIO *b = BIO_new_mem_buf(text.n > 0 ? (const void *)text.p : "",
	    (int)text.n);

	if (b == NULL)
		abort();
	return b;
}

struct authorities *
authorities_new(struct bytes ca, struct bytes crl, bool has_crl, char *err,
    size_t errlen)
{
	struct authorities *a;
	BIO *in;
	int rv = 0;

	if ((a = calloc(1, sizeof(*a))) == NULL ||
	    (a->certs = sk_X509_new_null()) == NULL ||
	    (a->store = X509_STORE_new()) == NULL)
		abort();
	a->has_crl = has_crl;
	if (ca.n > 0) {
		in = reader(ca);
		rv = add_authorities(a, in, err, errlen);
		BIO_free(in);
	}
	if (rv == 0 && has_crl) {
		in = reader(crl);
		rv = add_crls(a, in, crl, err, errlen);
		BIO_free(in);
	}
	ERR_clear_error();
	if (rv == 0)
		return a;
	authorities_free(a);
	return NULL;
}

void
authorities_free(struct authorities *a)
{
	if (a == NULL)
		return;
	sk_X509_pop_free(a->certs, X509_free);
	X509_STORE_free(a->store);
	free(a);
}

size_t
authorities_count(const struct authorities *a)
{
	return (size_t)sk_X509_num(a->certs);
}

/* The SPKI of a certificate as it is encoded there. */
static int
spki_of(X509 *x, struct buf *out)
{
	uint8_t *der = NULL;
	int n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der);

	if (n <= 0)
		return -1;
	buf_put(out, der, (size_t)n);
	OPENSSL_free(der);
	return out->err ? -1 : 0;
}

int
authority_spki(const struct authorities *a, size_t i, struct buf *out)
{
	return spki_of(sk_X509_value(a->certs, (int)i), out);
}

/* ---- what a certificate says ----------------------------------------------- */

static X509 *
parse(struct bytes der)
{
	const uint8_t *p = der.p;
	X509 *x;

	if (der.n == 0 || der.n > CERT_MAX)
		return NULL;
	x = d2i_X509(NULL, &p, (long)der.n);
	/* X509_get_extension_flags() has all extensions parsed. */
	if (x != NULL && (p != der.p + der.n ||
	    (X509_get_extension_flags(x) & EXFLAG_INVALID) != 0)) {
		X509_free(x);
		x = NULL;
	}
	ERR_clear_error();
	return x;
}

static uint64_t
seconds(const ASN1_TIME *t)
{
	ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
	int days = 0, secs = 0;
	uint64_t s = 0;

	if (epoch != NULL && ASN1_TIME_diff(&days, &secs, epoch, t) == 1 &&
	    days >= 0 && secs >= 0)
		s = (uint64_t)days * 86400 + (uint64_t)secs;
	ASN1_TIME_free(epoch);
	return s;
}

/* "issued by NAME, serial HEX", of printable ASCII. */
static void
describe(struct verdict *v, X509 *x)
{
	const ASN1_INTEGER *serial = X509_get0_serialNumber(x);
	char name[160] = "", hex[2 * 24 + 1];
	BIO *out = BIO_new(BIO_s_mem());
	int n = ASN1_STRING_length(serial);

	/* RFC 2253: control characters and what is not ASCII are escaped. */
	if (out != NULL && X509_NAME_print_ex(out, X509_get_issuer_name(x), 0,
	    XN_FLAG_RFC2253) >= 0) {
		n = BIO_read(out, name, sizeof(name) - 1);
		name[n > 0 ? n : 0] = '\0';
		n = ASN1_STRING_length(serial);
	}
	BIO_free(out);
	for (char *p = name; *p != '\0'; p++)
		if (*p < 0x20 || *p > 0x7e)
			*p = '?';
	hex_encode(hex, ASN1_STRING_get0_data(serial),
	    n < 24 ? (size_t)n : 24);
	(void)snprintf(v->detail, sizeof(v->detail), "issued by \"%s\", serial "
	    "%s", name, hex);
	v->not_before = seconds(X509_get0_notBefore(x));
	v->not_after = seconds(X509_get0_notAfter(x));
}

static bool
usage_ok(X509 *x, uint32_t wanted)
{
	uint32_t flags = X509_get_extension_flags(x);

	/* All bits are set where there is no key usage. */
	return (flags & EXFLAG_CA) == 0 && X509_check_ca(x) == 0 &&
	    (X509_get_key_usage(x) & KU_DIGITAL_SIGNATURE) != 0 &&
	    (flags & EXFLAG_XKUSAGE) != 0 &&
	    (X509_get_extended_key_usage(x) & wanted) != 0;
}

static bool
key_is(X509 *x, struct bytes spki)
{
	struct buf got = BUF_INIT(AUTHORITY_SPKI_MAX);
	bool same = spki_of(x, &got) == 0 && bytes_eq(buf_bytes(&got), spki);

	buf_free(&got);
	return same;
}

static bool
name_is(X509 *x, const char *host, bool numeric)
{
	if (numeric)
		return X509_check_ip_asc(x, host, 0) == 1;
	return X509_check_host(x, host, 0, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT |
	    X509_CHECK_FLAG_NO_WILDCARDS, NULL) == 1;
}

/* Take the user's name out of a URI that is ours; false when it is not right. */
static bool
take_user(char user[VERIFY_USER], const ASN1_IA5STRING *uri)
{
	size_t n = (size_t)ASN1_STRING_length(uri), skip = strlen(CERT_USER_URI);
	const char *p = (const char *)ASN1_STRING_get0_data(uri);

	n -= skip;
	p += skip;
	if (user[0] != '\0' || n == 0 || n >= VERIFY_USER)
		return false;
	for (size_t i = 0; i < n; i++)
		if (p[i] <= 0x20 || p[i] > 0x7e)
			return false;
	memcpy(user, p, n);
	user[n] = '\0';
	return true;
}

static bool
is_ours(const GENERAL_NAME *g)
{
	const ASN1_IA5STRING *uri;

	if (g->type != GEN_URI)
		return false;
	uri = g->d.uniformResourceIdentifier;
	return (size_t)ASN1_STRING_length(uri) >= strlen(CERT_USER_URI) &&
	    memcmp(ASN1_STRING_get0_data(uri), CERT_USER_URI,
	    strlen(CERT_USER_URI)) == 0;
}

/* The user that the certificate names, exactly once. */
static bool
find_user(X509 *x, char user[VERIFY_USER])
{
	GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL,
	    NULL);
	bool ok = true;

	user[0] = '\0';
	for (int i = 0; i < sk_GENERAL_NAME_num(names) && ok; i++)
		if (is_ours(sk_GENERAL_NAME_value(names, i)))
			ok = take_user(user, sk_GENERAL_NAME_value(names, i)->
			    d.uniformResourceIdentifier);
	GENERAL_NAMES_free(names);
	if (!ok)
		user[0] = '\0';
	return user[0] != '\0';
}

#define SOON	(14 * 86400)

const char *
leaf_wrong(struct bytes cert, struct bytes spki, time_t now, bool *soon)
{
	GENERAL_NAMES *names;
	const char *why = NULL;
	X509 *x;

	if ((x = parse(cert)) == NULL)
		return "it is damaged";
	names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	if (!key_is(x, spki))
		why = "the first one is not for this server's host key "
		    "(cloisterctl csr makes the request for it)";
	else if (!usage_ok(x, XKU_SSL_SERVER))
		why = "it needs the extended key usage serverAuth, and no key "
		    "usage without digitalSignature";
	else if (names == NULL)
		why = "it has no subject alternative name";
	*soon = seconds(X509_get0_notAfter(x)) < (uint64_t)now + SOON;
	GENERAL_NAMES_free(names);
	X509_free(x);
	ERR_clear_error();
	return why;
}

/* ---- the chain --------------------------------------------------------------- */

static enum cert_verdict
of_error(int error, int depth)
{
	switch (error) {
	case X509_V_OK:
		return CERT_OK;
	case X509_V_ERR_CERT_HAS_EXPIRED:
		return depth == 0 ? CERT_EXPIRED : CERT_CA_EXPIRED;
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return depth == 0 ? CERT_EARLY : CERT_CA_EXPIRED;
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_CERT_UNTRUSTED:
		return CERT_UNKNOWN_CA;
	case X509_V_ERR_CERT_SIGNATURE_FAILURE:
		return CERT_SIGNATURE;
	case X509_V_ERR_INVALID_PURPOSE:
		return CERT_USAGE;
	case X509_V_ERR_CERT_REVOKED:
		return CERT_REVOKED;
	case X509_V_ERR_UNABLE_TO_GET_CRL:
	case X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER:
	case X509_V_ERR_CRL_SIGNATURE_FAILURE:
	case X509_V_ERR_DIFFERENT_CRL_SCOPE:
		return CERT_NO_CRL;
	case X509_V_ERR_CRL_HAS_EXPIRED:
	case X509_V_ERR_CRL_NOT_YET_VALID:
		return CERT_CRL_OLD;
	case X509_V_ERR_EE_KEY_TOO_SMALL:
	case X509_V_ERR_CA_KEY_TOO_SMALL:
	case X509_V_ERR_CA_MD_TOO_WEAK:
		return CERT_WEAK;
	default:
		return CERT_CHAIN;
	}
}

/*
 * A trusted authority is trusted as it is: no list has to say that it was not
 * revoked by the one above it, which need not be trusted itself.
 */
static int
needs_no_list(int ok, X509_STORE_CTX *ctx)
{
	int depth = X509_STORE_CTX_get_error_depth(ctx);
	int error = X509_STORE_CTX_get_error(ctx);

	if (ok == 0 && depth > 0 &&
	    depth == sk_X509_num(X509_STORE_CTX_get0_chain(ctx)) - 1 &&
	    (error == X509_V_ERR_UNABLE_TO_GET_CRL ||
	    error == X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER)) {
		X509_STORE_CTX_set_error(ctx, X509_V_OK);
		return 1;
	}
	return ok;
}

static enum cert_verdict
check_chain(const struct authorities *a, X509 *leaf, STACK_OF(X509) *others,
    int purpose, time_t now)
{
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	enum cert_verdict verdict = CERT_CHAIN;
	X509_VERIFY_PARAM *param;
	unsigned long flags = X509_V_FLAG_PARTIAL_CHAIN;

	if (ctx == NULL || X509_STORE_CTX_init(ctx, a->store, leaf, others) != 1)
		abort();
	param = X509_STORE_CTX_get0_param(ctx);
	if (a->has_crl)
		flags |= X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL;
	X509_STORE_CTX_set_verify_cb(ctx, needs_no_list);
	X509_VERIFY_PARAM_set_flags(param, flags);
	X509_VERIFY_PARAM_set_auth_level(param, AUTH_LEVEL);
	X509_VERIFY_PARAM_set_depth(param, CERTS_MAX);
	X509_VERIFY_PARAM_set_time(param, now);
	if (X509_VERIFY_PARAM_set_purpose(param, purpose) != 1)
		abort();
	if (X509_verify_cert(ctx) == 1)
		verdict = CERT_OK;
	else if (X509_STORE_CTX_get_error(ctx) != X509_V_OK)
		verdict = of_error(X509_STORE_CTX_get_error(ctx),
		    X509_STORE_CTX_get_error_depth(ctx));
	X509_STORE_CTX_free(ctx);
	ERR_clear_error();
	return verdict;
}

void
verify_server(struct verdict *v, const struct authorities *a,
    const struct certs *chain, struct bytes spki, const char *host,
    bool numeric, time_t now)
{
	STACK_OF(X509) *others = sk_X509_new_null();
	X509 *x, *leaf = NULL;

	memset(v, 0, sizeof(*v));
	v->verdict = chain->n == 0 ? CERT_NONE : CERT_MALFORMED;
	if (others == NULL)
		abort();
	for (size_t i = 0; i < chain->n; i++) {
		if ((x = parse(chain->cert[i])) == NULL)
			goto out;
		if (i == 0)
			leaf = x;
		else if (sk_X509_push(others, x) <= 0)
			abort();
	}
	if (leaf == NULL)
		goto out;
	describe(v, leaf);
	v->verdict = check_chain(a, leaf, others, X509_PURPOSE_SSL_SERVER, now);
	if (v->verdict != CERT_OK)
		goto out;
	if (!usage_ok(leaf, XKU_SSL_SERVER))
		v->verdict = CERT_USAGE;
	else if (!key_is(leaf, spki))
		v->verdict = CERT_KEY;
	else if (!name_is(leaf, host, numeric))
		v->verdict = CERT_NAME;
out:
	ERR_clear_error();
	X509_free(leaf);
	sk_X509_pop_free(others, X509_free);
}

void
verify_user(struct verdict *v, const struct authorities *a, struct bytes cert,
    struct bytes spki, time_t now)
{
	X509 *x = parse(cert);

	memset(v, 0, sizeof(*v));
	v->verdict = CERT_MALFORMED;
	if (x == NULL)
		return;
	describe(v, x);
	v->verdict = check_chain(a, x, NULL, X509_PURPOSE_SSL_CLIENT, now);
	if (v->verdict == CERT_OK && !usage_ok(x, XKU_SSL_CLIENT))
		v->verdict = CERT_USAGE;
	if (v->verdict == CERT_OK && !key_is(x, spki))
		v->verdict = CERT_KEY;
	if (v->verdict == CERT_OK && !find_user(x, v->user))
		v->verdict = CERT_USER;
	ERR_clear_error();
	X509_free(x);
}
