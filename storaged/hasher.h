/*
 * The hasher: opens sealed passwords with a key that it makes at its start and
 * never shows, and runs Argon2id over them, one after the other.  It knows no
 * accounts, no pepper and no stored hash: it answers the vault with the hash of
 * what it opened, and the vault decides what that is worth.  Between two
 * requests it knows no password.
 */
#ifndef STORAGED_HASHER_H
#define STORAGED_HASHER_H

#include "chan.h"
#include "password.h"

/* hv_hash's result; HASHED_WEAK + enum password_fault for a bad new password. */
enum hashed {
	HASHED_OK = 0,
	HASHED_SEALED,		/* not sealed to this key for this request */
	HASHED_MEMORY,		/* no memory for Argon2id now */
	HASHED_GONE,		/* of the vault's own: the hasher has ended */
	HASHED_WEAK = 16
};

struct hasher {
	EVP_PKEY	*key;		/* the sealing key */
	uint8_t		 seal[HPKE_KEY];	/* its public half */
	uint32_t	 generation;	/* of this process */
	bool		 welcome;	/* by the vault */
	uint64_t	 last_id;
};

/* Make the key. */
void hasher_init(struct hasher *h, uint32_t generation);
void hasher_free(struct hasher *h);
/* Tell the vault, on its link, the public half. */
void hasher_hello(const struct hasher *h, struct chan *vault);
/*
 * One message of the vault, answered on c.  NULL, or what is wrong with it.
 */
const char *hasher_request(struct hasher *h, struct chan *c,
    const struct msg *m);
/*
 * Argon2id (RFC 9106, version 0x13, one lane, no secret, no associated data) of
 * pw.  Returns an enum hashed: HASHED_OK or HASHED_MEMORY.
 */
enum hashed hasher_argon2(uint8_t hash[HASH_LEN], struct bytes pw,
    const uint8_t salt[16], uint32_t memory_kib, uint32_t passes);

#endif
