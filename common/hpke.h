/*
 * Hybrid public key encryption, RFC 9180, base mode, one suite:
 * DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM; one message to a key
 * schedule (the first, so its nonce is the base nonce), no additional data of
 * its own.  With it a client seals a password to the hasher
 * (docs/protocol.md, Passwords).
 */
#ifndef COMMON_HPKE_H
#define COMMON_HPKE_H

#include "kdf.h"

#define HPKE_KEY	32	/* an X25519 key, public or private */
#define HPKE_TAG	16	/* of AES-256-GCM */
#define HPKE_OVERHEAD	(HPKE_KEY + HPKE_TAG)	/* what sealing adds */
#define HPKE_INFO_MAX	256

/*
 * A new X25519 key pair, or with priv that one; pub is its public half.  The
 * caller frees it.  Fatal when the library fails.
 */
EVP_PKEY *hpke_keygen(const uint8_t *priv, uint8_t pub[HPKE_KEY]);
/*
 * SealBase (RFC 9180, 6.1): enc | ciphertext | tag, plain.n + HPKE_OVERHEAD
 * bytes, to out.  eph is NULL but in tests, where it is the private ephemeral
 * key.  0, or -1 when pub is no acceptable key or info is longer than
 * HPKE_INFO_MAX.
 */
int hpke_seal(uint8_t *out, const uint8_t pub[HPKE_KEY], struct bytes info,
    struct bytes aad, struct bytes plain, const uint8_t *eph);
/*
 * OpenBase: the reverse, sealed.n - HPKE_OVERHEAD bytes to out, wiped on
 * failure.  key is the pair whose public half is pub.  0 or -1: not sealed to
 * this key with this info and aad.
 */
int hpke_open(uint8_t *out, EVP_PKEY *key, const uint8_t pub[HPKE_KEY],
    struct bytes info, struct bytes aad, struct bytes sealed);

#endif
