#include "certsig.h"

#include <string.h>

#include <openssl/err.h>
#include <openssl/rsa.h>

#define SEQUENCE	0x30
#define BIT_STRING	0x03
#define URI_TAG		0x86	/* [6] IMPLICIT IA5String */

/*
 * The next element with this tag: its content, and in *whole the element with its
 * header.  Lengths are DER's (X.690, 10.1), of at most 65535 bytes.
 */
static int
element(struct rd *r, uint8_t tag, struct bytes *whole, struct bytes *content)
{
	const uint8_t *start = r->p;
	size_t n;
	uint8_t first;

	if (rd_u8(r) != tag)
		return -1;
	first = rd_u8(r);
	if (first < 0x80)
		n = first;
	else if (first == 0x81) {
		if ((n = rd_u8(r)) < 0x80)
			return -1;
	} else if (first == 0x82) {
		if ((n = rd_u16(r)) < 0x100)
			return -1;
	} else
		return -1;
	*content = rd_bytes(r, n);
	if (r->err)
		return -1;
	*whole = bytes_of(start, (size_t)(r->p - start));
	return 0;
}

int
certsig_parse(struct certsig *s, struct bytes cert)
{
	struct bytes all, body, content;
	struct rd r = rd_of(cert), in;

	memset(s, 0, sizeof(*s));
	if (element(&r, SEQUENCE, &all, &body) == -1 || !rd_done(&r))
		return -1;
	in = rd_of(body);
	if (element(&in, SEQUENCE, &s->tbs, &content) == -1 ||
	    element(&in, SEQUENCE, &s->alg, &content) == -1 ||
	    element(&in, BIT_STRING, &all, &content) == -1 || !rd_done(&in))
		return -1;
	/* A signature is whole bytes: no unused bits in the last one. */
	if (content.n < 2 || content.p[0] != 0)
		return -1;
	s->sig = bytes_of(content.p + 1, content.n - 1);
	return 0;
}

/* AlgorithmIdentifiers (RFC 4055, RFC 5758, RFC 8410), each in its one form. */
#define RSA_WITH(last)	\
	{ 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, \
	  0x01, (last), 0x05, 0x00 }
#define ECDSA_WITH(last) \
	{ 0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, \
	  (last) }

static const uint8_t rsa_256[] = RSA_WITH(0x0b);
static const uint8_t rsa_384[] = RSA_WITH(0x0c);
static const uint8_t rsa_512[] = RSA_WITH(0x0d);
static const uint8_t ec_256[] = ECDSA_WITH(0x02);
static const uint8_t ec_384[] = ECDSA_WITH(0x03);
static const uint8_t ed25519[] = { 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70 };
static const uint8_t pss_256[] = {
	0x30, 0x41, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01,
	0x0a, 0x30, 0x34, 0xa0, 0x0f, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48,
	0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0xa1, 0x1c, 0x30, 0x1a,
	0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08, 0x30,
	0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01,
	0x05, 0x00, 0xa2, 0x03, 0x02, 0x01, 0x20
};

static const struct scheme {
	const uint8_t	*alg;
	size_t		 n;
	const char	*key[2];	/* types of key that it may be used with */
	const char	*md;		/* NULL: the scheme's own */
	bool		 pss;
} schemes[] = {
	{ rsa_256, sizeof(rsa_256), { "RSA", "RSA" }, "SHA256", false },
	{ rsa_384, sizeof(rsa_384), { "RSA", "RSA" }, "SHA384", false },
	{ rsa_512, sizeof(rsa_512), { "RSA", "RSA" }, "SHA512", false },
	{ pss_256, sizeof(pss_256), { "RSA", "RSA-PSS" }, "SHA256", true },
	{ ec_256, sizeof(ec_256), { "EC", "EC" }, "SHA256", false },
	{ ec_384, sizeof(ec_384), { "EC", "EC" }, "SHA384", false },
	{ ed25519, sizeof(ed25519), { "ED25519", "ED25519" }, NULL, false },
};

static const struct scheme *
scheme_of(struct bytes alg, const EVP_PKEY *key)
{
	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		const struct scheme *s = &schemes[i];

		if (bytes_eq(alg, bytes_of(s->alg, s->n)) &&
		    (EVP_PKEY_is_a(key, s->key[0]) ||
		    EVP_PKEY_is_a(key, s->key[1])))
			return s;
	}
	return NULL;
}

bool
certsig_by(const struct certsig *s, EVP_PKEY *key)
{
	const struct scheme *how = scheme_of(s->alg, key);
	EVP_PKEY_CTX *pctx;
	EVP_MD_CTX *ctx;
	bool ok;

	if (how == NULL || (ctx = EVP_MD_CTX_new()) == NULL)
		return false;
	ok = EVP_DigestVerifyInit_ex(ctx, &pctx, how->md, NULL, NULL, key,
	    NULL) == 1 && (!how->pss ||
	    (EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) == 1 &&
	    EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, 32) == 1)) &&
	    EVP_DigestVerify(ctx, s->sig.p, s->sig.n, s->tbs.p, s->tbs.n) == 1;
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return ok;
}

bool
certsig_has_uri(const struct certsig *s, const char *uri)
{
	uint8_t name[130];
	size_t n = strlen(uri);

	if (n == 0 || n > 127)
		return false;
	name[0] = URI_TAG;
	name[1] = (uint8_t)n;
	memcpy(name + 2, uri, n);
	return memmem(s->tbs.p, s->tbs.n, name, n + 2) != NULL;
}
