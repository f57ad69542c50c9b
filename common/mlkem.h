/*
 * ML-KEM-768 (FIPS 203), by the crypto library: OpenSSL 3.5 and later have it.
 * Where it is not built in, MLKEM_BUILT is 0 and everything here answers that
 * it is not available.
 */
#ifndef COMMON_MLKEM_H
#define COMMON_MLKEM_H

#include "bytes.h"

#include <openssl/evp.h>

#if OPENSSL_VERSION_NUMBER >= 0x30500000L
#define MLKEM_BUILT	1
#else
#define MLKEM_BUILT	0
#endif

#define MLKEM_KEY	1184	/* encapsulation key (FIPS 203, table 3) */
#define MLKEM_CT	1088	/* ciphertext */
#define MLKEM_SS	32	/* shared secret */
#define MLKEM_SEED	64	/* d | z: the private key (FIPS 203, 7.1) */
#define MLKEM_COINS	32	/* m, the randomness of encapsulation (7.2) */

/*
 * Make a key pair, of the 64 bytes of seed (for known-answer tests alone) or,
 * when it is NULL, of random ones; its public half into pub.  Dies if the
 * library fails.  The caller frees the key.  NULL if not available.
 */
EVP_PKEY *mlkem_keygen(const uint8_t *seed, uint8_t pub[MLKEM_KEY]);
/*
 * A secret ss for the holder of the key pub, which comes from a peer, and the
 * ciphertext ct that tells it; of the 32 bytes of coins (for known-answer tests
 * alone) or, when it is NULL, of random ones.  -1 if pub is not a key (another
 * length, a coefficient that is not reduced: FIPS 203, 7.2), or if not
 * available.
 */
int mlkem_encapsulate(struct bytes pub, const uint8_t *coins,
    uint8_t ct[MLKEM_CT], uint8_t ss[MLKEM_SS]);
/*
 * The secret that ct tells the holder of key.  Of a ciphertext that nobody made
 * for this key it is another, pseudo-random one, which cannot be told apart
 * here (FIPS 203, 7.3).  -1 if ct has another length than MLKEM_CT, or if not
 * available.
 */
int mlkem_decapsulate(EVP_PKEY *key, struct bytes ct, uint8_t ss[MLKEM_SS]);

#endif
