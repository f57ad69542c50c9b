#include "kdf.h"

#include <limits.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include "log.h"

#define INFO_MAX	1024
#define LABEL_MAX	32
#define CONTEXT_MAX	255

static const char xl_prefix[] = "cl1 ";

void
crypto_fatalx(const char *what)
{
	char why[160];

	ERR_error_string_n(ERR_peek_last_error(), why, sizeof(why));
	fatalx("%s: %s", what, why);
}

void
crypto_random(void *out, size_t n)
{
	if (n > INT_MAX || RAND_bytes(out, (int)n) != 1)
		crypto_fatalx("RAND_bytes");
}

const EVP_MD *
sha256_md(void)
{
	static EVP_MD *md;

	if (md == NULL && (md = EVP_MD_fetch(NULL, "SHA2-256", NULL)) == NULL)
		crypto_fatalx("SHA-256");
	return md;
}

void
sha256(uint8_t out[HASH_LEN], struct bytes in)
{
	sha256v(out, &in, 1);
}

void
sha256v(uint8_t out[HASH_LEN], const struct bytes *part, size_t n)
{
	EVP_MD_CTX *ctx;
	int ok;

	ok = (ctx = EVP_MD_CTX_new()) != NULL &&
	    EVP_DigestInit_ex2(ctx, sha256_md(), NULL) == 1;
	for (size_t i = 0; ok && i < n; i++)
		ok = part[i].n == 0 ||
		    EVP_DigestUpdate(ctx, part[i].p, part[i].n) == 1;
	if (!ok || EVP_DigestFinal_ex(ctx, out, NULL) != 1)
		crypto_fatalx("SHA-256");
	EVP_MD_CTX_free(ctx);
}

/*
 * A context with its digest chosen and no key: copying it is several times
 * cheaper than choosing again, and no key stays behind in it.
 */
static const EVP_MAC_CTX *
hmac_blank(void)
{
	static EVP_MAC_CTX *blank;
	char md[] = "SHA2-256";
	OSSL_PARAM param[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, md, 0),
		OSSL_PARAM_construct_end()
	};
	EVP_MAC *mac;

	if (blank != NULL)
		return blank;
	if ((mac = EVP_MAC_fetch(NULL, "HMAC", NULL)) == NULL ||
	    (blank = EVP_MAC_CTX_new(mac)) == NULL ||
	    EVP_MAC_CTX_set_params(blank, param) != 1)
		crypto_fatalx("HMAC");
	EVP_MAC_free(mac);
	return blank;
}

void
hmac_sha256(uint8_t out[HASH_LEN], struct bytes key, struct bytes in)
{
	hmac_sha256v(out, key, &in, 1);
}

void
hmac_sha256v(uint8_t out[HASH_LEN], struct bytes key,
    const struct bytes *part, size_t n)
{
	/* Without a key pointer the library would keep an earlier key. */
	static const uint8_t no_key[1];
	const uint8_t *k = key.n > 0 ? key.p : no_key;
	EVP_MAC_CTX *ctx;
	size_t len = 0;
	int ok;

	ok = (ctx = EVP_MAC_CTX_dup(hmac_blank())) != NULL &&
	    EVP_MAC_init(ctx, k, key.n, NULL) == 1;
	for (size_t i = 0; ok && i < n; i++)
		ok = part[i].n == 0 ||
		    EVP_MAC_update(ctx, part[i].p, part[i].n) == 1;
	if (!ok || EVP_MAC_final(ctx, out, &len, HASH_LEN) != 1 ||
	    len != HASH_LEN)
		crypto_fatalx("HMAC");
	EVP_MAC_CTX_free(ctx);
}

void
kdf_extract(struct bytes salt, struct bytes ikm, uint8_t out[HASH_LEN])
{
	hmac_sha256(out, salt, ikm);
}

void
kdf_expand(void *out, size_t n, const uint8_t prk[HASH_LEN], struct bytes info)
{
	static EVP_KDF *kdf;
	EVP_KDF_CTX *ctx;
	OSSL_PARAM param[5];
	char md[] = "SHA2-256";
	uint8_t secret[HASH_LEN], text[INFO_MAX];
	int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;

	if (n == 0 || n > (size_t)255 * HASH_LEN || info.n > sizeof(text))
		fatalx("kdf_expand: size");
	/* OSSL_PARAM takes no const pointers. */
	memcpy(secret, prk, sizeof(secret));
	if (info.n > 0)
		memcpy(text, info.p, info.n);
	param[0] = OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode);
	param[1] = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, md,
	    0);
	param[2] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, secret,
	    sizeof(secret));
	param[3] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, text,
	    info.n);
	param[4] = OSSL_PARAM_construct_end();
	if (kdf == NULL && (kdf = EVP_KDF_fetch(NULL, "HKDF", NULL)) == NULL)
		crypto_fatalx("HKDF");
	if ((ctx = EVP_KDF_CTX_new(kdf)) == NULL ||
	    EVP_KDF_derive(ctx, out, n, param) != 1)
		crypto_fatalx("HKDF");
	EVP_KDF_CTX_free(ctx);
	OPENSSL_cleanse(secret, sizeof(secret));
}

void
kdf_xl(void *out, size_t n, const uint8_t secret[HASH_LEN], const char *label,
    struct bytes context)
{
	uint8_t info[2 + 1 + sizeof(xl_prefix) + LABEL_MAX + 1 + CONTEXT_MAX];
	size_t prefix = sizeof(xl_prefix) - 1, len = strlen(label);
	uint8_t *p = info;

	if (n > UINT16_MAX || len > LABEL_MAX || context.n > CONTEXT_MAX)
		fatalx("kdf_xl: size");
	put_be16(p, (uint16_t)n);
	p += 2;
	*p++ = (uint8_t)(prefix + len);
	memcpy(p, xl_prefix, prefix);
	p += prefix;
	memcpy(p, label, len);
	p += len;
	*p++ = (uint8_t)context.n;
	if (context.n > 0)
		memcpy(p, context.p, context.n);
	p += context.n;
	kdf_expand(out, n, secret, bytes_of(info, (size_t)(p - info)));
}
