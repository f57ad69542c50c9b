#include "mlkem.h"

#include "kdf.h"

#if MLKEM_BUILT

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>

#define MLKEM_NAME	"ML-KEM-768"

/* OSSL_PARAM takes no const; nothing writes through it. */
static OSSL_PARAM
octets(const char *name, const uint8_t *p, size_t n)
{
	return OSSL_PARAM_construct_octet_string(name, (void *)(uintptr_t)p, n);
}

static EVP_PKEY *
from_seed(const uint8_t *seed)
{
	OSSL_PARAM params[] = {
		octets(OSSL_PKEY_PARAM_ML_KEM_SEED, seed, MLKEM_SEED),
		OSSL_PARAM_construct_end()
	};
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, MLKEM_NAME, NULL);
	EVP_PKEY *key = NULL;

	if (ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
	    EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params) != 1)
		key = NULL;
	EVP_PKEY_CTX_free(ctx);
	return key;
}

EVP_PKEY *
mlkem_keygen(const uint8_t *seed, uint8_t pub[MLKEM_KEY])
{
	size_t n = MLKEM_KEY;
	EVP_PKEY *key;

	key = seed != NULL ? from_seed(seed) :
	    EVP_PKEY_Q_keygen(NULL, NULL, MLKEM_NAME);
	if (key == NULL || EVP_PKEY_get_raw_public_key(key, pub, &n) != 1 ||
	    n != MLKEM_KEY)
		crypto_fatalx(MLKEM_NAME);
	return key;
}

int
mlkem_encapsulate(struct bytes pub, const uint8_t *coins, uint8_t ct[MLKEM_CT],
    uint8_t ss[MLKEM_SS])
{
	OSSL_PARAM params[] = {
		octets(OSSL_KEM_PARAM_IKME, coins, MLKEM_COINS),
		OSSL_PARAM_construct_end()
	};
	size_t ctn = MLKEM_CT, ssn = MLKEM_SS;
	EVP_PKEY_CTX *ctx = NULL;
	EVP_PKEY *key;
	int rv = -1;

	if (pub.n != MLKEM_KEY)
		return -1;
	key = EVP_PKEY_new_raw_public_key_ex(NULL, MLKEM_NAME, NULL, pub.p,
	    pub.n);
	if (key == NULL)
		goto out;
	if ((ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL)) == NULL ||
	    EVP_PKEY_encapsulate_init(ctx, coins != NULL ? params : NULL) !=
	    1 || EVP_PKEY_encapsulate(ctx, ct, &ctn, ss, &ssn) != 1 ||
	    ctn != MLKEM_CT || ssn != MLKEM_SS)
		crypto_fatalx(MLKEM_NAME);
	rv = 0;
out:
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(key);
	ERR_clear_error();
	return rv;
}

int
mlkem_decapsulate(EVP_PKEY *key, struct bytes ct, uint8_t ss[MLKEM_SS])
{
	EVP_PKEY_CTX *ctx;
	size_t n = MLKEM_SS;

	if (ct.n != MLKEM_CT)
		return -1;
	if ((ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL)) == NULL ||
	    EVP_PKEY_decapsulate_init(ctx, NULL) != 1 ||
	    EVP_PKEY_decapsulate(ctx, ss, &n, ct.p, ct.n) != 1 ||
	    n != MLKEM_SS)
		crypto_fatalx(MLKEM_NAME);
	EVP_PKEY_CTX_free(ctx);
	return 0;
}

#else	/* !MLKEM_BUILT */

EVP_PKEY *
mlkem_keygen(const uint8_t *seed, uint8_t pub[MLKEM_KEY])
{
	(void)seed;
	(void)pub;
	return NULL;
}

int
mlkem_encapsulate(struct bytes pub, const uint8_t *coins, uint8_t ct[MLKEM_CT],
    uint8_t ss[MLKEM_SS])
{
	(void)pub;
	(void)coins;
	(void)ct;
	(void)ss;
	return -1;
}

int
mlkem_decapsulate(EVP_PKEY *key, struct bytes ct, uint8_t ss[MLKEM_SS])
{
	(void)key;
	(void)ct;
	(void)ss;
	return -1;
}

#endif
