/* X25519 (RFC 7748), by the crypto library. */
#ifndef COMMON_X25519_H
#define COMMON_X25519_H

#include <stdint.h>

#include <openssl/evp.h>

#define X25519_LEN	32	/* private key, public share, shared secret */

/*
 * Make a key pair, of the X25519_LEN bytes of priv or, when it is NULL, of random
 * ones; its public half into share.  Dies if the library fails.  The caller
 * frees the key.
 */
EVP_PKEY *x25519_keygen(const uint8_t *priv, uint8_t share[X25519_LEN]);
/*
 * ss = X25519(own, peer).  -1 for a share of small order, with which the secret
 * would be all zero (RFC 7748, 6.1); ss is then to be forgotten.
 */
int x25519_agree(EVP_PKEY *own, const uint8_t peer[X25519_LEN],
    uint8_t ss[X25519_LEN]);

#endif
