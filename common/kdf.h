/*
 * SHA-256, HMAC-SHA-256 and the key derivation of the protocol.
 *
 * These cannot fail on any input; when the library itself fails (no memory)
 * the process dies by fatalx().  The algorithms are fetched once, on first
 * use, and stay: see warmup.h.  Not for more than one thread.
 */
#ifndef COMMON_KDF_H
#define COMMON_KDF_H

#include "bytes.h"

#include <openssl/evp.h>

#define HASH_LEN	32	/* SHA-256, HMAC-SHA-256, secrets */

/* out = SHA-256(in). */
void sha256(uint8_t out[HASH_LEN], struct bytes in);
/* out = SHA-256(part[0] | part[1] | ... | part[n - 1]). */
void sha256v(uint8_t out[HASH_LEN], const struct bytes *part, size_t n);
/*
 * SHA-256, fetched once; for an incremental hash.  Never NULL, not to be
 * freed.
 */
const EVP_MD *sha256_md(void);

/*
 * out = HMAC-SHA-256(key, in), RFC 2104.  out may be the memory of key or in.
 */
void hmac_sha256(uint8_t out[HASH_LEN], struct bytes key, struct bytes in);
/* The same over n parts, concatenated. */
void hmac_sha256v(uint8_t out[HASH_LEN], struct bytes key,
    const struct bytes *part, size_t n);

/*
 * HKDF-Extract (RFC 5869, 2.2): out = HMAC(salt, ikm).  An empty salt is the
 * same as HASH_LEN zero bytes.
 */
void kdf_extract(struct bytes salt, struct bytes ikm, uint8_t out[HASH_LEN]);
/*
 * HKDF-Expand (RFC 5869, 2.3) to n bytes, 1 to 255 * HASH_LEN; info <= 1024.
 */
void kdf_expand(void *out, size_t n, const uint8_t prk[HASH_LEN],
    struct bytes info);
/*
 * HKDF-Expand-Label (RFC 8446, 7.1) with the prefix "cl1 " in place of "tls13
 * ": info = u16 n | u8 length | "cl1 " label | u8 length | context.  label has
 * at most 32 characters, context at most 255 bytes; out may be secret.
 */
void kdf_xl(void *out, size_t n, const uint8_t secret[HASH_LEN],
    const char *label, struct bytes context);

/*
 * n bytes for keys, randoms and salts, from RAND_bytes; dies if there are
 * none.
 */
void crypto_random(void *out, size_t n);
/* fatalx() with what failed and the library's newest error. */
__attribute__((noreturn)) void crypto_fatalx(const char *what);

#endif
