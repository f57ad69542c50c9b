#include "hpke.h"

#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

#include "x25519.h"

#define KEY_LEN		32	/* Nk of AES-256-GCM */
#define NONCE_LEN	12	/* Nn */
#define KEM_ID		0x00, 0x20	/* DHKEM(X25519, HKDF-SHA256) */
#define KDF_ID		0x00, 0x01	/* HKDF-SHA256 */
#define AEAD_ID		0x00, 0x02	/* AES-256-GCM */

/* Suite identifiers: RFC 9180, 4.1 and 5.1. */
static const uint8_t kem_suite[] = { 'K', 'E', 'M', KEM_ID };
static const uint8_t suite[] = { 'H', 'P', 'K', 'E', KEM_ID, KDF_ID, AEAD_ID };
static const struct bytes none = { NULL, 0 };

/* LabeledExtract and LabeledExpand: RFC 9180, 4. */
static void
labeled_extract(uint8_t out[HASH_LEN], struct bytes id, struct bytes salt,
    const char *label, struct bytes ikm)
{
	const struct bytes in[] = {
		bytes_str("HPKE-v1"), id, bytes_str(label), ikm
	};

	hmac_sha256v(out, salt, in, 4);
}

static void
labeled_expand(uint8_t *out, size_t n, struct bytes id,
    const uint8_t prk[HASH_LEN], const char *label, struct bytes info)
{
	struct buf b = BUF_INIT(256);

	buf_u16(&b, (uint16_t)n);
	buf_str(&b, "HPKE-v1");
	buf_put(&b, id.p, id.n);
	buf_str(&b, label);
	buf_put(&b, info.p, info.n);
	if (b.err)
		crypto_fatalx("HPKE");
	kdf_expand(out, n, prk, buf_bytes(&b));
	buf_free(&b);
}

EVP_PKEY *
hpke_keygen(const uint8_t *priv, uint8_t pub[HPKE_KEY])
{
	return x25519_keygen(priv, pub);
}

/* ExtractAndExpand of the KEM, then KeySchedule in base mode. */
static void
schedule(uint8_t key[KEY_LEN], uint8_t nonce[NONCE_LEN],
    const uint8_t shared_x[HPKE_KEY], const uint8_t enc[HPKE_KEY],
    const uint8_t pub[HPKE_KEY], struct bytes info)
{
	const struct bytes kem = { kem_suite, sizeof(kem_suite) };
	const struct bytes id = { suite, sizeof(suite) };
	uint8_t prk[HASH_LEN], shared[HASH_LEN], secret[HASH_LEN];
	uint8_t kem_context[2 * HPKE_KEY], context[1 + 2 * HASH_LEN];

	memcpy(kem_context, enc, HPKE_KEY);
	memcpy(kem_context + HPKE_KEY, pub, HPKE_KEY);
	labeled_extract(prk, kem, none, "eae_prk", bytes_of(shared_x, HPKE_KEY));
	labeled_expand(shared, sizeof(shared), kem, prk, "shared_secret",
	    bytes_of(kem_context, sizeof(kem_context)));
	context[0] = 0;				/* mode_base */
	labeled_extract(context + 1, id, none, "psk_id_hash", none);
	labeled_extract(context + 1 + HASH_LEN, id, none, "info_hash", info);
	labeled_extract(secret, id, bytes_of(shared, sizeof(shared)), "secret",
	    none);
	labeled_expand(key, KEY_LEN, id, secret, "key",
	    bytes_of(context, sizeof(context)));
	labeled_expand(nonce, NONCE_LEN, id, secret, "base_nonce",
	    bytes_of(context, sizeof(context)));
	OPENSSL_cleanse(prk, sizeof(prk));
	OPENSSL_cleanse(shared, sizeof(shared));
	OPENSSL_cleanse(secret, sizeof(secret));
}

static EVP_CIPHER_CTX *
gcm_start(const uint8_t key[KEY_LEN], const uint8_t nonce[NONCE_LEN],
    struct bytes aad, int seal)
{
	static EVP_CIPHER *cipher;
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n;

	if (cipher == NULL)
		cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	if (ctx == NULL || cipher == NULL ||
	    EVP_CipherInit_ex2(ctx, cipher, key, nonce, seal, NULL) != 1 ||
	    (aad.n > 0 && EVP_CipherUpdate(ctx, NULL, &n, aad.p,
	    (int)aad.n) != 1))
		crypto_fatalx("AES-256-GCM");
	return ctx;
}

int
hpke_seal(uint8_t *out, const uint8_t pub[HPKE_KEY], struct bytes info,
    struct bytes aad, struct bytes plain, const uint8_t *eph)
{
	uint8_t x[HPKE_KEY], key[KEY_LEN], nonce[NONCE_LEN];
	EVP_PKEY *e;
	EVP_CIPHER_CTX *ctx;
	int n, last, rv;

	if (info.n > HPKE_INFO_MAX || plain.n > INT32_MAX)
		return -1;
	e = hpke_keygen(eph, out);
	if ((rv = x25519_agree(e, pub, x)) == 0) {
		schedule(key, nonce, x, out, pub, info);
		ctx = gcm_start(key, nonce, aad, 1);
		if (EVP_CipherUpdate(ctx, out + HPKE_KEY, &n, plain.p,
		    (int)plain.n) != 1 || (size_t)n != plain.n ||
		    EVP_CipherFinal_ex(ctx, out + HPKE_KEY + n, &last) != 1 ||
		    last != 0 || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG,
		    HPKE_TAG, out + HPKE_KEY + n) != 1)
			crypto_fatalx("AES-256-GCM");
		EVP_CIPHER_CTX_free(ctx);
	}
	EVP_PKEY_free(e);
	OPENSSL_cleanse(x, sizeof(x));
	OPENSSL_cleanse(key, sizeof(key));
	return rv;
}

int
hpke_open(uint8_t *out, EVP_PKEY *pair, const uint8_t pub[HPKE_KEY],
    struct bytes info, struct bytes aad, struct bytes sealed)
{
	uint8_t x[HPKE_KEY], key[KEY_LEN], nonce[NONCE_LEN], tag[HPKE_TAG];
	EVP_CIPHER_CTX *ctx;
	size_t len;
	int n, last, rv;

	if (info.n > HPKE_INFO_MAX || sealed.n < HPKE_OVERHEAD ||
	    sealed.n > INT32_MAX)
		return -1;
	len = sealed.n - HPKE_OVERHEAD;
	memcpy(tag, sealed.p + HPKE_KEY + len, sizeof(tag));
	if ((rv = x25519_agree(pair, sealed.p, x)) == 0) {
		schedule(key, nonce, x, sealed.p, pub, info);
		ctx = gcm_start(key, nonce, aad, 0);
		if (EVP_CipherUpdate(ctx, out, &n, sealed.p + HPKE_KEY,
		    (int)len) != 1 || EVP_CIPHER_CTX_ctrl(ctx,
		    EVP_CTRL_AEAD_SET_TAG, sizeof(tag), tag) != 1)
			crypto_fatalx("AES-256-GCM");
		if (EVP_CipherFinal_ex(ctx, out + n, &last) != 1)
			rv = -1;
		EVP_CIPHER_CTX_free(ctx);
		ERR_clear_error();
	}
	if (rv != 0)
		OPENSSL_cleanse(out, len);
	OPENSSL_cleanse(x, sizeof(x));
	OPENSSL_cleanse(key, sizeof(key));
	return rv;
}
