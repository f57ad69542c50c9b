/*
 * Making the crypto library ready for a sandbox.
 *
 * OpenSSL loads, allocates and looks up on first use.  Every role calls this
 * once before its seccomp filter closes; afterwards nothing in kdf.h, rsa.h,
 * record.h, msgmac.h, mlkem.h and hs.h opens a file or needs a system call
 * other than those for memory and getrandom.
 */
#ifndef COMMON_WARMUP_H
#define COMMON_WARMUP_H

/*
 * Use once, with a known answer where there is one: random bytes, SHA-256,
 * HMAC, HKDF, AES-256-GCM both ways, X25519 generation and agreement, ML-KEM
 * both ways if it is built in, SPKI parsing and encoding of both key types,
 * RSA-PSS verification and RSA-OAEP encryption.  A wrong answer is fatal.
 * Private RSA operations are warmed by whoever holds the private key:
 * rsa_warmup().
 */
void crypto_warmup(void);

#endif
