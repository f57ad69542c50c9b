/*
 * The vault's keys as who has all files of a service has them: for tools of the
 * end-to-end tests.
 */
#ifndef REGRESS_VAULTKEYS_H
#define REGRESS_VAULTKEYS_H

#include <openssl/evp.h>

#include "anchor.h"
#include "rsa.h"

/* One slot of an anchor, with what it opens; both are looked at. */
struct vaultkeys {
	struct anchor	anchor;
	uint8_t		share_a[2][SEAL_KEYLEN];	/* of anchor.epoch[] */
	uint8_t		sk[2][SEAL_KEYLEN];
	uint8_t		ek[2][SEAL_KEYLEN];
};

/* A private key of the state directory. */
EVP_PKEY *private_key(const char *state, const char *name, enum rsa_use use);
/* The newest state; dies when anchor, key file and wrap key do not fit. */
void vaultkeys_open(struct vaultkeys *k, const char *state);
/*
 * Slot 0 or 1, whatever the other one says; false when it is not valid or the
 * key file does not open it.
 */
bool vaultkeys_slot(struct vaultkeys *k, const char *state, unsigned slot);

#endif
