/*
 * RSA keys and what Cloister does with them: RSA-PSS signatures (RFC 8017,
 * 8.1) and RSA-OAEP wrapping (7.1), both with SHA-256 and MGF1 with SHA-256.
 *
 * A key has one use.  Signing keys are typed id-RSASSA-PSS with the parameters
 * (SHA-256, MGF1-SHA-256, salt 32) in the key; wrapping keys are
 * rsaEncryption. Keys have 3072 to 4096 bits and the public exponent 65537.
 */
#ifndef COMMON_RSA_H
#define COMMON_RSA_H

#include "bytes.h"
#include "kdf.h"

#include <stdio.h>

#include <openssl/evp.h>

enum rsa_use {
	RSA_USE_SIGN,		/* id-RSASSA-PSS, restricted as above */
	RSA_USE_WRAP		/* rsaEncryption, for OAEP alone */
};

/* Flags: what policy adds. */
#define RSA_ALLOW_2048	1	/* 2048 bits and more instead of 3072 */

#define RSA_BITS_DEFAULT 3072
#define RSA_BITS_MAX	4096
#define RSA_SPKI_MAX	640	/* bytes of an SPKI, at most */
#define RSA_OUT_MAX	512	/* bytes of a signature or ciphertext */
#define RSA_PEM_MAX	16384	/* bytes of a private key file, at most */
#define RSA_FP_TEXT	51	/* "SHA256:" and 43 digits and a NUL */

/* Answers of the private key readers, besides 0. */
#define RSA_E_BAD	(-1)	/* not such a key, or I/O failed */
#define RSA_E_PASS	(-2)	/* passphrase needed (NULL given), or wrong */

/*
 * A new key of 3072 to 4096 bits (2048 with RSA_ALLOW_2048), a multiple of 64;
 * NULL if bits are not allowed.  Takes a second or so.  Free by
 * EVP_PKEY_free().
 */
EVP_PKEY *rsa_generate(enum rsa_use use, unsigned bits, int flags);

/*
 * Append the private key as PKCS#8 PEM to out (out->max: RSA_PEM_MAX is
 * enough). With a passphrase (not empty) it is encrypted: PBES2, scrypt N=2^14
 * r=8 p=5, AES-256-CBC. NULL stores it in clear.  0, or -1 with nothing useful
 * in out.
 */
int rsa_private_encode(struct buf *out, const EVP_PKEY *key,
    const char *passphrase);
/*
 * Read what rsa_private_encode() wrote: use, size, exponent and parameters are
 * checked, and that the two halves belong together.  passphrase may be NULL.
 * Returns 0 with a key in *key that the caller frees, RSA_E_PASS or RSA_E_BAD.
 */
int rsa_private_decode(EVP_PKEY **key, struct bytes pem, enum rsa_use use,
    int flags, const char *passphrase);
/* The same to and from an open file; they leave no copy in stdio's buffers. */
int rsa_private_write(FILE *fp, const EVP_PKEY *key, const char *passphrase);
int rsa_private_read(EVP_PKEY **key, FILE *fp, enum rsa_use use, int flags,
    const char *passphrase);

/* Append the key's public half as SPKI DER (RFC 5280, 4.1); 0 or -1. */
int rsa_spki_encode(struct buf *out, const EVP_PKEY *key);
/*
 * Parse a public key from a peer.  Accepted is only the one canonical DER form
 * of a key of this use: exact length, the parameters above, an odd modulus of
 * allowed size, e = 65537.  Returns a key that the caller frees, or NULL.
 */
EVP_PKEY *rsa_spki_parse(struct bytes spki, enum rsa_use use, int flags);

/* A key's fingerprint: SHA-256 of its SPKI DER. */
void rsa_fingerprint(uint8_t fp[HASH_LEN], struct bytes spki);
/* "SHA256:" and unpadded base64, as ssh shows it. */
void rsa_fingerprint_text(char text[RSA_FP_TEXT], const uint8_t fp[HASH_LEN]);

/*
 * Bytes of a signature or ciphertext of this key (the modulus), <=
 * RSA_OUT_MAX.
 */
size_t rsa_size(const EVP_PKEY *key);
/*
 * Append the RSA-PSS signature of msg to sig.  What msg is, is the caller's
 * duty: the builders of signed bytes stand in hs.h and elsewhere.  0 or -1.
 */
int rsa_pss_sign(struct buf *sig, EVP_PKEY *key, struct bytes msg);
/* 0 if sig is the key's RSA-PSS signature of msg, else -1. */
int rsa_pss_verify(EVP_PKEY *key, struct bytes sig, struct bytes msg);

/*
 * Append RSA-OAEP of the 32-byte plain to out, under a label of HASH_LEN
 * bytes. 0 or -1.
 */
int rsa_oaep_encrypt(struct buf *out, EVP_PKEY *key,
    const uint8_t label[HASH_LEN], const uint8_t plain[HASH_LEN]);
/*
 * Open it, with implicit rejection: whatever is wrong with ct (length,
 * padding, label, length of the plaintext), plain becomes HMAC-SHA-256(reject,
 * ct), and nobody, the caller included, is told.  reject is a random secret of
 * the key's holder.
 */
void rsa_oaep_decrypt(uint8_t plain[HASH_LEN], EVP_PKEY *key,
    const uint8_t label[HASH_LEN], struct bytes ct,
    const uint8_t reject[HASH_LEN]);

/*
 * Use a private key once for what it is for, so that a sandbox may close after
 * it; fatal if it does not work.
 */
void rsa_warmup(EVP_PKEY *key, enum rsa_use use);

#endif
