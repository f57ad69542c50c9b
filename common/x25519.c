#include "x25519.h"

#include <openssl/err.h>

#include "kdf.h"

EVP_PKEY *
x25519_keygen(const uint8_t *priv, uint8_t share[X25519_LEN])
{
	size_t n = X25519_LEN;
	EVP_PKEY *key;

	key = priv != NULL ? EVP_PKEY_new_raw_private_key_ex(NULL, "X25519",
	    NULL, priv, X25519_LEN) : EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
	if (key == NULL || EVP_PKEY_get_raw_public_key(key, share, &n) != 1 ||
	    n != X25519_LEN)
		crypto_fatalx("X25519");
	return key;
}

int
x25519_agree(EVP_PKEY *own, const uint8_t peer[X25519_LEN],
    uint8_t ss[X25519_LEN])
{
	static const uint8_t zero[X25519_LEN];
	EVP_PKEY *p;
	EVP_PKEY_CTX *ctx;
	size_t n = X25519_LEN;
	int rv = -1;

	p = EVP_PKEY_new_raw_public_key_ex(NULL, "X25519", NULL, peer,
	    X25519_LEN);
	ctx = EVP_PKEY_CTX_new_from_pkey(NULL, own, NULL);
	if (p == NULL || ctx == NULL)
		crypto_fatalx("X25519");
	/*
	 * The library refuses the all-zero secret too; that is not relied
	 * upon.
	 */
	if (EVP_PKEY_derive_init(ctx) == 1 &&
	    EVP_PKEY_derive_set_peer(ctx, p) == 1 &&
	    EVP_PKEY_derive(ctx, ss, &n) == 1 && n == X25519_LEN &&
	    !bytes_eq_ct(ss, zero, sizeof(zero)))
		rv = 0;
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(p);
	ERR_clear_error();
	return rv;
}
