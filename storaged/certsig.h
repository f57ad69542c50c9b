/*
 * Who signed a certificate, without looking into it: the outermost structure of
 * X.509 alone (RFC 5280, 4.1), three elements, is taken apart.  So no parser of
 * certificates is reached by bytes that no authority signed.
 */
#ifndef STORAGED_CERTSIG_H
#define STORAGED_CERTSIG_H

#include <openssl/evp.h>

#include "bytes.h"

struct certsig {
	struct bytes	tbs;		/* what is signed, its header included */
	struct bytes	alg;		/* signatureAlgorithm, likewise */
	struct bytes	sig;
};

/* Take a certificate in DER apart; 0 with strings that point into it, or -1. */
int certsig_parse(struct certsig *s, struct bytes cert);
/*
 * Whether the holder of this public key signed it.  Signature algorithms are RSA
 * (PKCS#1 v1.5 with SHA-256, -384 or -512; PSS with SHA-256 and a salt of 32
 * bytes), ECDSA with SHA-256 or -384, and Ed25519.
 */
bool certsig_by(const struct certsig *s, EVP_PKEY *key);
/*
 * Whether what is signed has this URI as a general name (RFC 5280, 4.2.1.6)
 * somewhere: a claim of certd's is held against it.
 */
bool certsig_has_uri(const struct certsig *s, const char *uri);

#endif
