#include "rsa.h"

#include <limits.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "log.h"

#define RSA_BITS_MIN		3072
#define RSA_BITS_MIN_2048	2048
#define SALT_LEN		32	/* of RSA-PSS */

#define SCRYPT_N	16384		/* 16 MiB; OpenSSL's bound is 32 */
#define SCRYPT_R	8
#define SCRYPT_P	5
#define SCRYPT_SALT	16

#define PEM_CLEAR	"PRIVATE KEY"
#define PEM_ENCRYPTED	"ENCRYPTED PRIVATE KEY"

/*
 * The two AlgorithmIdentifiers (RFC 4055): id-RSASSA-PSS with [0] SHA-256, [1]
 * MGF1 with SHA-256, [2] 32; and rsaEncryption with NULL.
 */
static const uint8_t alg_pss[] = {
	0x30, 0x41, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01,
	0x0a, 0x30, 0x34, 0xa0, 0x0f, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48,
	0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0xa1, 0x1c, 0x30, 0x1a,
	0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08, 0x30,
	0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01,
	0x05, 0x00, 0xa2, 0x03, 0x02, 0x01, 0x20
};
static const uint8_t alg_rsa[] = {
	0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01,
	0x01, 0x05, 0x00
};

static int
bits_min(int flags)
{
	return flags & RSA_ALLOW_2048 ? RSA_BITS_MIN_2048 : RSA_BITS_MIN;
}

EVP_PKEY *
rsa_generate(enum rsa_use use, unsigned bits, int flags)
{
	int id = use == RSA_USE_SIGN ? EVP_PKEY_RSA_PSS : EVP_PKEY_RSA;
	EVP_PKEY_CTX *ctx;
	EVP_PKEY *key = NULL;

	if (bits > RSA_BITS_MAX || (int)bits < bits_min(flags) ||
	    bits % 64 != 0)
		return NULL;
	/* The default public exponent is 65537. */
	if ((ctx = EVP_PKEY_CTX_new_id(id, NULL)) == NULL ||
	    EVP_PKEY_keygen_init(ctx) != 1 ||
	    EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, (int)bits) != 1)
		crypto_fatalx("RSA key generation");
	if (use == RSA_USE_SIGN &&
	    (EVP_PKEY_CTX_set_rsa_pss_keygen_md(ctx, sha256_md()) != 1 ||
	    EVP_PKEY_CTX_set_rsa_pss_keygen_mgf1_md(ctx, sha256_md()) != 1 ||
	    EVP_PKEY_CTX_set_rsa_pss_keygen_saltlen(ctx, SALT_LEN) != 1))
		crypto_fatalx("RSA-PSS key generation");
	if (EVP_PKEY_generate(ctx, &key) != 1)
		crypto_fatalx("RSA key generation");
	EVP_PKEY_CTX_free(ctx);
	return key;
}

/* Encrypt a PKCS#8 structure under a passphrase; NULL on failure. */
static X509_SIG *
encrypt_pkcs8(PKCS8_PRIV_KEY_INFO *p8, const char *passphrase)
{
	uint8_t salt[SCRYPT_SALT];
	X509_ALGOR *pbe;
	X509_SIG *sig;
	size_t len = strlen(passphrase);

	if (len == 0 || len > INT_MAX)
		return NULL;
	crypto_random(salt, sizeof(salt));
	if ((pbe = PKCS5_pbe2_set_scrypt(EVP_aes_256_cbc(), salt, sizeof(salt),
	    NULL, SCRYPT_N, SCRYPT_R, SCRYPT_P)) == NULL)
		return NULL;
	/* On success it owns pbe. */
	if ((sig = PKCS8_set0_pbe(passphrase, (int)len, p8, pbe)) == NULL)
		X509_ALGOR_free(pbe);
	return sig;
}

int
rsa_private_encode(struct buf *out, const EVP_PKEY *key, const char *passphrase)
{
	PKCS8_PRIV_KEY_INFO *p8;
	X509_SIG *sig = NULL;
	BIO *bio;
	char *text;
	long n;
	int rv = -1;

	if ((bio = BIO_new(BIO_s_mem())) == NULL)
		crypto_fatalx("BIO_new");
	if ((p8 = EVP_PKEY2PKCS8(key)) == NULL)
		goto out;
	if (passphrase == NULL) {
		if (PEM_write_bio_PKCS8_PRIV_KEY_INFO(bio, p8) != 1)
			goto out;
	} else if ((sig = encrypt_pkcs8(p8, passphrase)) == NULL ||
	    PEM_write_bio_PKCS8(bio, sig) != 1)
		goto out;
	if ((n = BIO_get_mem_data(bio, &text)) <= 0)
		goto out;
	buf_put(out, text, (size_t)n);
	rv = out->err ? -1 : 0;
out:
	X509_SIG_free(sig);
	PKCS8_PRIV_KEY_INFO_free(p8);	/* wipes */
	BIO_free(bio);			/* wipes */
	ERR_clear_error();
	return rv;
}

/* Unwrap the encrypted form; RSA_E_* or 0 with *p8 set. */
static int
decrypt_pkcs8(PKCS8_PRIV_KEY_INFO **p8, const uint8_t *der, long n,
    const char *passphrase)
{
	const uint8_t *p = der;
	X509_SIG *sig;
	size_t len;
	int rv = RSA_E_PASS;

	if ((sig = d2i_X509_SIG(NULL, &p, n)) == NULL || p != der + n)
		rv = RSA_E_BAD;
	else if (passphrase != NULL && (len = strlen(passphrase)) <= INT_MAX &&
	    (*p8 = PKCS8_decrypt(sig, passphrase, (int)len)) != NULL)
		rv = 0;
	X509_SIG_free(sig);
	return rv;
}

/*
 * Use the private key under a public one: what it does must come out right.
 * That takes two milliseconds; OpenSSL's own pairwise check tests the primes
 * for being prime, which takes a hundred and guards against nobody here.
 */
static bool
halves_agree(EVP_PKEY *key, EVP_PKEY *pub, enum rsa_use use)
{
	static const uint8_t label[HASH_LEN] = "halves", plain[HASH_LEN];
	const struct bytes msg = bytes_of(label, sizeof(label));
	struct buf out = BUF_INIT(RSA_OUT_MAX);
	uint8_t got[HASH_LEN];
	bool ok;

	if (use == RSA_USE_SIGN)
		ok = rsa_pss_sign(&out, key, msg) == 0 &&
		    rsa_pss_verify(pub, buf_bytes(&out), msg) == 0;
	else if ((ok = rsa_oaep_encrypt(&out, pub, label, plain) == 0)) {
		rsa_oaep_decrypt(got, key, label, buf_bytes(&out), label);
		ok = bytes_eq_ct(got, plain, sizeof(got));
	}
	buf_free(&out);
	return ok;
}

/* Whether the key is what policy asks for and its halves belong together. */
static bool
private_ok(EVP_PKEY *key, enum rsa_use use, int flags)
{
	struct buf spki = BUF_INIT(RSA_SPKI_MAX);
	EVP_PKEY *pub = NULL;
	bool ok;

	ok = rsa_spki_encode(&spki, key) == 0 &&
	    (pub = rsa_spki_parse(buf_bytes(&spki), use, flags)) != NULL &&
	    halves_agree(key, pub, use);
	EVP_PKEY_free(pub);
	buf_free(&spki);
	return ok;
}

int
rsa_private_decode(EVP_PKEY **key, struct bytes pem, enum rsa_use use,
    int flags, const char *passphrase)
{
	PKCS8_PRIV_KEY_INFO *p8 = NULL;
	BIO *bio;
	char *name = NULL, *header = NULL;
	uint8_t *der = NULL;
	const uint8_t *p;
	long n = 0;
	int rv = RSA_E_BAD;

	*key = NULL;
	if (pem.n == 0 || pem.n > RSA_PEM_MAX)
		return RSA_E_BAD;
	if ((bio = BIO_new_mem_buf(pem.p, (int)pem.n)) == NULL)
		crypto_fatalx("BIO_new");
	/* PEM_FLAG_SECURE makes it wipe its own copies. */
	if (PEM_read_bio_ex(bio, &name, &header, &der, &n,
	    PEM_FLAG_SECURE) != 1)
		goto out;
	if (strcmp(name, PEM_ENCRYPTED) == 0) {
		if ((rv = decrypt_pkcs8(&p8, der, n, passphrase)) != 0)
			goto out;
		rv = RSA_E_BAD;
	} else if (strcmp(name, PEM_CLEAR) == 0) {
		p = der;
		if ((p8 = d2i_PKCS8_PRIV_KEY_INFO(NULL, &p, n)) == NULL ||
		    p != der + n)
			goto out;
	} else
		goto out;
	if ((*key = EVP_PKCS82PKEY(p8)) == NULL)
		goto out;
	if (private_ok(*key, use, flags))
		rv = 0;
out:
	if (rv != 0) {
		EVP_PKEY_free(*key);
		*key = NULL;
	}
	PKCS8_PRIV_KEY_INFO_free(p8);
	OPENSSL_secure_clear_free(der, (size_t)n);
	OPENSSL_secure_free(header);
	OPENSSL_secure_free(name);
	BIO_free(bio);
	ERR_clear_error();
	return rv;
}

int
rsa_private_write(FILE *fp, const EVP_PKEY *key, const char *passphrase)
{
	struct buf pem = BUF_INIT(RSA_PEM_MAX);
	int rv = -1;

	if (setvbuf(fp, NULL, _IONBF, 0) == 0 &&
	    rsa_private_encode(&pem, key, passphrase) == 0 &&
	    fwrite(pem.p, 1, pem.n, fp) == pem.n && fflush(fp) == 0)
		rv = 0;
	buf_free(&pem);
	return rv;
}

int
rsa_private_read(EVP_PKEY **key, FILE *fp, enum rsa_use use, int flags,
    const char *passphrase)
{
	uint8_t pem[RSA_PEM_MAX];
	size_t n;
	int rv = RSA_E_BAD;

	*key = NULL;
	if (setvbuf(fp, NULL, _IONBF, 0) != 0)
		return RSA_E_BAD;
	n = fread(pem, 1, sizeof(pem), fp);
	if (ferror(fp) == 0)
		rv = rsa_private_decode(key, bytes_of(pem, n), use, flags,
		    passphrase);
	OPENSSL_cleanse(pem, sizeof(pem));
	return rv;
}

int
rsa_spki_encode(struct buf *out, const EVP_PKEY *key)
{
	uint8_t *der = NULL;
	int n;

	if ((n = i2d_PUBKEY(key, &der)) <= 0) {
		ERR_clear_error();
		return -1;
	}
	buf_put(out, der, (size_t)n);
	OPENSSL_free(der);
	return out->err ? -1 : 0;
}

/* Whether modulus and exponent are what policy asks for. */
static bool
numbers_ok(const EVP_PKEY *key, int flags)
{
	BIGNUM *n = NULL, *e = NULL;
	bool ok;

	ok = EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &n) == 1 &&
	    EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &e) == 1 &&
	    BN_num_bits(n) >= bits_min(flags) &&
	    BN_num_bits(n) <= RSA_BITS_MAX &&
	    BN_is_odd(n) && BN_is_word(e, RSA_F4);
	BN_free(n);
	BN_free(e);
	return ok;
}

EVP_PKEY *
rsa_spki_parse(struct bytes spki, enum rsa_use use, int flags)
{
	const uint8_t *alg = use == RSA_USE_SIGN ? alg_pss : alg_rsa;
	size_t alg_n = use == RSA_USE_SIGN ? sizeof(alg_pss) : sizeof(alg_rsa);
	struct buf again = BUF_INIT(RSA_SPKI_MAX);
	const uint8_t *p = spki.p;
	EVP_PKEY *key;

	/*
	 * SEQUENCE with a two-byte length, then the one AlgorithmIdentifier:
	 * so that a hostile key of another type or with other parameters is
	 * gone before any general parser sees it.
	 */
	if (spki.n > RSA_SPKI_MAX || spki.n < 4 + alg_n ||
	    p[0] != 0x30 || p[1] != 0x82 || get_be16(p + 2) != spki.n - 4 ||
	    memcmp(p + 4, alg, alg_n) != 0)
		return NULL;
	if ((key = d2i_PUBKEY(NULL, &p, (long)spki.n)) == NULL) {
		ERR_clear_error();
		return NULL;
	}
	/* Encoding it again tells whether it was DER and nothing else. */
	if (p != spki.p + spki.n || !numbers_ok(key, flags) ||
	    rsa_spki_encode(&again, key) != 0 ||
	    !bytes_eq(buf_bytes(&again), spki)) {
		EVP_PKEY_free(key);
		key = NULL;
	}
	buf_free(&again);
	return key;
}

void
rsa_fingerprint(uint8_t fp[HASH_LEN], struct bytes spki)
{
	sha256(fp, spki);
}

void
rsa_fingerprint_text(char text[RSA_FP_TEXT], const uint8_t fp[HASH_LEN])
{
	static const char prefix[] = "SHA256:";
	uint8_t b64[(HASH_LEN + 2) / 3 * 4 + 1];
	size_t n = sizeof(prefix) - 1;

	/* 32 bytes make 43 digits and one '='. */
	(void)EVP_EncodeBlock(b64, fp, HASH_LEN);
	memcpy(text, prefix, n);
	memcpy(text + n, b64, RSA_FP_TEXT - 1 - n);
	text[RSA_FP_TEXT - 1] = '\0';
}

size_t
rsa_size(const EVP_PKEY *key)
{
	return (size_t)EVP_PKEY_get_size(key);
}

static bool
set_pss(EVP_PKEY_CTX *pctx)
{
	return EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) == 1 &&
	    EVP_PKEY_CTX_set_rsa_mgf1_md(pctx, sha256_md()) == 1 &&
	    EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, SALT_LEN) == 1;
}

int
rsa_pss_sign(struct buf *sig, EVP_PKEY *key, struct bytes msg)
{
	uint8_t tmp[RSA_OUT_MAX];
	size_t n = sizeof(tmp);
	EVP_PKEY_CTX *pctx;
	EVP_MD_CTX *ctx;
	int rv = -1;

	if ((ctx = EVP_MD_CTX_new()) == NULL)
		crypto_fatalx("EVP_MD_CTX_new");
	if (rsa_size(key) <= sizeof(tmp) &&
	    EVP_DigestSignInit(ctx, &pctx, sha256_md(), NULL, key) == 1 &&
	    set_pss(pctx) &&
	    EVP_DigestSign(ctx, tmp, &n, msg.p, msg.n) == 1) {
		buf_put(sig, tmp, n);
		rv = sig->err ? -1 : 0;
	}
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return rv;
}

int
rsa_pss_verify(EVP_PKEY *key, struct bytes sig, struct bytes msg)
{
	EVP_PKEY_CTX *pctx;
	EVP_MD_CTX *ctx;
	int rv = -1;

	if ((ctx = EVP_MD_CTX_new()) == NULL)
		crypto_fatalx("EVP_MD_CTX_new");
	if (sig.n == rsa_size(key) &&
	    EVP_DigestVerifyInit(ctx, &pctx, sha256_md(), NULL, key) == 1 &&
	    set_pss(pctx) &&
	    EVP_DigestVerify(ctx, sig.p, sig.n, msg.p, msg.n) == 1)
		rv = 0;
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return rv;
}

static bool
set_oaep(EVP_PKEY_CTX *ctx, const uint8_t label[HASH_LEN])
{
	void *copy;

	if (EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) != 1 ||
	    EVP_PKEY_CTX_set_rsa_oaep_md(ctx, sha256_md()) != 1 ||
	    EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, sha256_md()) != 1 ||
	    (copy = OPENSSL_memdup(label, HASH_LEN)) == NULL)
		return false;
	/* On success the context owns the copy. */
	if (EVP_PKEY_CTX_set0_rsa_oaep_label(ctx, copy, HASH_LEN) != 1) {
		OPENSSL_free(copy);
		return false;
	}
	return true;
}

int
rsa_oaep_encrypt(struct buf *out, EVP_PKEY *key, const uint8_t label[HASH_LEN],
    const uint8_t plain[HASH_LEN])
{
	uint8_t tmp[RSA_OUT_MAX];
	size_t n = sizeof(tmp);
	EVP_PKEY_CTX *ctx;
	int rv = -1;

	if ((ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL)) == NULL)
		crypto_fatalx("EVP_PKEY_CTX_new");
	if (rsa_size(key) <= sizeof(tmp) && EVP_PKEY_encrypt_init(ctx) == 1 &&
	    set_oaep(ctx, label) &&
	    EVP_PKEY_encrypt(ctx, tmp, &n, plain, HASH_LEN) == 1) {
		buf_put(out, tmp, n);
		rv = out->err ? -1 : 0;
	}
	EVP_PKEY_CTX_free(ctx);
	ERR_clear_error();
	return rv;
}

void
rsa_oaep_decrypt(uint8_t plain[HASH_LEN], EVP_PKEY *key,
    const uint8_t label[HASH_LEN], struct bytes ct,
    const uint8_t reject[HASH_LEN])
{
	uint8_t tmp[RSA_OUT_MAX] = { 0 }, fake[HASH_LEN];
	size_t n = sizeof(tmp);
	EVP_PKEY_CTX *ctx;
	uint8_t mask;
	int ok;

	if ((ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL)) == NULL ||
	    EVP_PKEY_decrypt_init(ctx) != 1 || !set_oaep(ctx, label))
		crypto_fatalx("RSA-OAEP");
	hmac_sha256(fake, bytes_of(reject, HASH_LEN), ct);
	ok = EVP_PKEY_decrypt(ctx, tmp, &n, ct.p, ct.n);
	/* 0xff for a plaintext of the right length, 0 for everything else. */
	mask = (uint8_t)-((ok == 1) & (n == HASH_LEN));
	for (size_t i = 0; i < HASH_LEN; i++)
		plain[i] = (uint8_t)((tmp[i] & mask) | (fake[i] & ~mask));
	EVP_PKEY_CTX_free(ctx);
	ERR_clear_error();
	OPENSSL_cleanse(tmp, sizeof(tmp));
	OPENSSL_cleanse(fake, sizeof(fake));
}

void
rsa_warmup(EVP_PKEY *key, enum rsa_use use)
{
	if (!halves_agree(key, key, use))
		fatalx("a private key does not work");
}
