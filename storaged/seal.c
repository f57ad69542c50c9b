#include "seal.h"

#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "kdf.h"
#include "rkey.h"

#define AD_MAX	(1 + 2 + SEAL_RKEY_MAX + SEAL_VERLEN + 4 + SEAL_RKEY_MAX)

void
seal_storage_key(uint8_t sk[SEAL_KEYLEN], const uint8_t share_a[SEAL_KEYLEN],
    const uint8_t share_b[SEAL_KEYLEN])
{
	uint8_t ikm[2 * SEAL_KEYLEN];

	memcpy(ikm, share_a, SEAL_KEYLEN);
	memcpy(ikm + SEAL_KEYLEN, share_b, SEAL_KEYLEN);
	kdf_extract(bytes_str("cl1 storage key"), bytes_of(ikm, sizeof(ikm)),
	    sk);
	OPENSSL_cleanse(ikm, sizeof(ikm));
}

void
seal_kek(uint8_t kek[SEAL_KEYLEN], const uint8_t sk[SEAL_KEYLEN])
{
	kdf_xl(kek, SEAL_KEYLEN, sk, "kek", bytes_of(NULL, 0));
}

void
seal_epoch_key(uint8_t ek[SEAL_KEYLEN], const uint8_t sk[SEAL_KEYLEN],
    const uint8_t secret[SEAL_KEYLEN], uint32_t epoch)
{
	uint8_t prk[SEAL_KEYLEN], be[4];

	put_be32(be, epoch);
	kdf_extract(bytes_of(sk, SEAL_KEYLEN), bytes_of(secret, SEAL_KEYLEN),
	    prk);
	kdf_xl(ek, SEAL_KEYLEN, prk, "epoch", bytes_of(be, sizeof(be)));
	OPENSSL_cleanse(prk, sizeof(prk));
}

void
seal_record_key(uint8_t out[SEAL_KEYLEN], const uint8_t secret[SEAL_KEYLEN],
    struct bytes rkey)
{
	uint8_t h[HASH_LEN];

	sha256(h, rkey);
	kdf_xl(out, SEAL_KEYLEN, secret, "rec", bytes_of(h, sizeof(h)));
}

/* The associated data; its length, or 0 when ad is out of bounds. */
static size_t
encode_ad(uint8_t dst[AD_MAX], const struct seal_ad *ad)
{
	size_t n = 0;

	if (ad->key.n == 0 || ad->key.n > SEAL_RKEY_MAX ||
	    ad->extra.n > SEAL_RKEY_MAX || ad->version == 0)
		return 0;
	dst[n++] = SEAL_FORMAT;
	put_be16(dst + n, (uint16_t)ad->key.n);
	n += 2;
	memcpy(dst + n, ad->key.p, ad->key.n);
	n += ad->key.n;
	put_be64(dst + n, ad->version);
	n += SEAL_VERLEN;
	put_be32(dst + n, ad->gen);
	n += 4;
	if (ad->extra.n > 0)
		memcpy(dst + n, ad->extra.p, ad->extra.n);
	return n + ad->extra.n;
}

/*
 * The context, ready for one use with this key and nonce.  It is reset after
 * each, which frees and wipes the key schedule; that costs nothing measurable
 * beside the set-up.
 */
static EVP_CIPHER_CTX *
gcm_begin(const uint8_t *key, const uint8_t *nonce, const uint8_t *aad,
    size_t aadlen, int enc)
{
	static EVP_CIPHER *gcm;
	static EVP_CIPHER_CTX *ctx;
	int n;

	if (gcm == NULL)
		gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	if (ctx == NULL)
		ctx = EVP_CIPHER_CTX_new();
	if (gcm == NULL || ctx == NULL ||
	    EVP_CipherInit_ex(ctx, gcm, NULL, key, nonce, enc) != 1 ||
	    EVP_CipherUpdate(ctx, NULL, &n, aad, (int)aadlen) != 1)
		crypto_fatalx("AES-256-GCM");
	return ctx;
}

int
seal_aead(uint8_t *dst, const uint8_t key[SEAL_KEYLEN],
    const uint8_t nonce[SEAL_NONCELEN], const struct seal_ad *ad,
    struct bytes plain)
{
	uint8_t aad[AD_MAX];
	size_t aadlen = encode_ad(aad, ad);
	EVP_CIPHER_CTX *ctx;
	int n = 0;

	if (aadlen == 0 || plain.n > SEAL_VALUE_MAX)
		return SEAL_EFORMAT;
	ctx = gcm_begin(key, nonce, aad, aadlen, 1);
	if ((plain.n > 0 && EVP_CipherUpdate(ctx, dst, &n, plain.p,
	    (int)plain.n) != 1) || (size_t)n != plain.n ||
	    EVP_CipherFinal_ex(ctx, dst + plain.n, &n) != 1 ||
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, SEAL_TAGLEN,
	    dst + plain.n) != 1)
		crypto_fatalx("AES-256-GCM");
	EVP_CIPHER_CTX_reset(ctx);
	return 0;
}

int
seal_aead_open(uint8_t *dst, const uint8_t key[SEAL_KEYLEN],
    const uint8_t nonce[SEAL_NONCELEN], const struct seal_ad *ad,
    struct bytes ct)
{
	uint8_t aad[AD_MAX], tag[SEAL_TAGLEN];
	size_t aadlen = encode_ad(aad, ad), len;
	EVP_CIPHER_CTX *ctx;
	int n = 0, ok;

	if (ct.n < SEAL_TAGLEN || ct.n > SEAL_VALUE_MAX)
		return SEAL_EFORMAT;
	len = ct.n - SEAL_TAGLEN;
	if (aadlen == 0) {
		OPENSSL_cleanse(dst, len);
		return SEAL_EFORMAT;
	}
	memcpy(tag, ct.p + len, sizeof(tag));
	ctx = gcm_begin(key, nonce, aad, aadlen, 0);
	if ((len > 0 && EVP_CipherUpdate(ctx, dst, &n, ct.p, (int)len) != 1) ||
	    (size_t)n != len || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG,
	    SEAL_TAGLEN, tag) != 1)
		crypto_fatalx("AES-256-GCM");
	/* tag serves as a place to point at: GCM's end writes nothing. */
	ok = EVP_CipherFinal_ex(ctx, tag, &n) == 1;
	EVP_CIPHER_CTX_reset(ctx);
	if (!ok && len > 0)
		OPENSSL_cleanse(dst, len);
	return ok ? 0 : SEAL_EAUTH;
}

int
seal_value(struct buf *out, const uint8_t key[SEAL_KEYLEN],
    const struct seal_ad *ad, struct bytes plain)
{
	uint8_t *p;
	int rv;

	if (plain.n > SEAL_VALUE_MAX - SEAL_OVERHEAD)
		return SEAL_EFORMAT;
	if ((p = buf_grow(out, SEAL_OVERHEAD + plain.n)) == NULL)
		return SEAL_ENOMEM;
	put_be64(p, ad->version);
	crypto_random(p + SEAL_VERLEN, SEAL_NONCELEN);
	rv = seal_aead(p + SEAL_VERLEN + SEAL_NONCELEN, key, p + SEAL_VERLEN,
	    ad, plain);
	if (rv != 0)
		out->n -= SEAL_OVERHEAD + plain.n;
	return rv;
}

int
seal_value_open(struct buf *out, const uint8_t key[SEAL_KEYLEN],
    struct seal_ad *ad, struct bytes value)
{
	uint8_t none, *p = &none;
	size_t len;
	int rv;

	if (value.n < SEAL_OVERHEAD || value.n > SEAL_VALUE_MAX)
		return SEAL_EFORMAT;
	len = value.n - SEAL_OVERHEAD;
	if (len > 0 && (p = buf_grow(out, len)) == NULL)
		return SEAL_ENOMEM;
	ad->version = get_be64(value.p);
	rv = seal_aead_open(p, key, value.p + SEAL_VERLEN, ad,
	    bytes_of(value.p + SEAL_VERLEN + SEAL_NONCELEN,
	    len + SEAL_TAGLEN));
	if (rv != 0)
		out->n -= len;
	return rv;
}

uint64_t
seal_version(struct bytes value)
{
	return value.n < SEAL_VERLEN ? 0 : get_be64(value.p);
}

void
seal_bundle_new(struct seal_bundle *b)
{
	crypto_random(b->prf, sizeof(b->prf));
	crypto_random(b->chain, sizeof(b->chain));
	crypto_random(b->mset, sizeof(b->mset));
	crypto_random(b->meta, sizeof(b->meta));
}

int
seal_bundle(struct buf *out, const uint8_t kek[SEAL_KEYLEN], uint32_t gen,
    uint64_t version, const struct seal_bundle *b)
{
	struct rec_key key = rec_key_bundle(gen);
	struct seal_ad ad = { rec_bytes(&key), version, gen, { NULL, 0 } };
	uint8_t plain[4 * SEAL_KEYLEN];
	int rv;

	memcpy(plain, b->prf, SEAL_KEYLEN);
	memcpy(plain + SEAL_KEYLEN, b->chain, SEAL_KEYLEN);
	memcpy(plain + 2 * SEAL_KEYLEN, b->mset, SEAL_KEYLEN);
	memcpy(plain + 3 * SEAL_KEYLEN, b->meta, SEAL_KEYLEN);
	rv = seal_value(out, kek, &ad, bytes_of(plain, sizeof(plain)));
	OPENSSL_cleanse(plain, sizeof(plain));
	return rv;
}

int
seal_bundle_open(struct seal_bundle *b, uint64_t *version,
    const uint8_t kek[SEAL_KEYLEN], uint32_t gen, struct bytes value)
{
	struct rec_key key = rec_key_bundle(gen);
	struct seal_ad ad = { rec_bytes(&key), 0, gen, { NULL, 0 } };
	struct buf plain = BUF_INIT(4 * SEAL_KEYLEN);
	struct rd r;
	int rv;

	OPENSSL_cleanse(b, sizeof(*b));
	*version = 0;
	if (value.n != SEAL_OVERHEAD + 4 * SEAL_KEYLEN)
		return SEAL_EFORMAT;
	if ((rv = seal_value_open(&plain, kek, &ad, value)) == 0) {
		r = rd_of(buf_bytes(&plain));
		rd_copy(&r, b->prf, SEAL_KEYLEN);
		rd_copy(&r, b->chain, SEAL_KEYLEN);
		rd_copy(&r, b->mset, SEAL_KEYLEN);
		rd_copy(&r, b->meta, SEAL_KEYLEN);
		*version = ad.version;
	}
	buf_free(&plain);
	return rv;
}

/* A D value: version | epoch | nonce | wrapped key | tag. */
#define DATA_NONCE	(SEAL_VERLEN + 4)
#define DATA_CT		(DATA_NONCE + SEAL_NONCELEN)
#define DATA_LEN	(DATA_CT + SEAL_KEYLEN + SEAL_TAGLEN)

int
seal_data_key(struct buf *out, const uint8_t ek[SEAL_KEYLEN], uint32_t epoch,
    struct bytes rkey, uint64_t version, const uint8_t dk[SEAL_KEYLEN])
{
	struct seal_ad ad = { rkey, version, epoch, { NULL, 0 } };
	uint8_t *p;
	int rv;

	if ((p = buf_grow(out, DATA_LEN)) == NULL)
		return SEAL_ENOMEM;
	put_be64(p, version);
	put_be32(p + SEAL_VERLEN, epoch);
	crypto_random(p + DATA_NONCE, SEAL_NONCELEN);
	rv = seal_aead(p + DATA_CT, ek, p + DATA_NONCE, &ad,
	    bytes_of(dk, SEAL_KEYLEN));
	if (rv != 0)
		out->n -= DATA_LEN;
	return rv;
}

int
seal_data_key_epoch(struct bytes value, uint32_t *epoch)
{
	*epoch = 0;
	if (value.n != DATA_LEN)
		return SEAL_EFORMAT;
	*epoch = get_be32(value.p + SEAL_VERLEN);
	return 0;
}

int
seal_data_key_open(uint8_t dk[SEAL_KEYLEN], uint64_t *version,
    const uint8_t ek[SEAL_KEYLEN], uint32_t epoch, struct bytes rkey,
    struct bytes value)
{
	struct seal_ad ad = { rkey, 0, epoch, { NULL, 0 } };
	uint32_t named;
	int rv;

	OPENSSL_cleanse(dk, SEAL_KEYLEN);
	*version = 0;
	if (seal_data_key_epoch(value, &named) != 0)
		return SEAL_EFORMAT;
	if (named != epoch)
		return SEAL_EAUTH;
	ad.version = get_be64(value.p);
	rv = seal_aead_open(dk, ek, value.p + DATA_NONCE, &ad,
	    bytes_of(value.p + DATA_CT, SEAL_KEYLEN + SEAL_TAGLEN));
	if (rv == 0)
		*version = ad.version;
	return rv;
}
