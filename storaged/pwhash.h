/*
 * What the vault keeps of a password: its Argon2id, which the hasher computes,
 * under a pepper, which the hasher does not know.
 *
 *	u8 1 | u32 memory, KiB | u32 passes | salt[16] | check[32]
 *	check = HMAC(pepper, uid | the bytes before check | Argon2id)
 *	pepper = XL(meta, "pepper", "")
 */
#ifndef STORAGED_PWHASH_H
#define STORAGED_PWHASH_H

#include "records.h"

#define PWHASH_SALT	16
#define PWHASH_LEN	57

struct pwhash {
	uint32_t	memory_kib;
	uint32_t	passes;
	uint8_t		salt[PWHASH_SALT];
	uint8_t		check[HASH_LEN];
};

/*
 * From a user's record: 0, or SEAL_EFORMAT: none, of an unknown form or with
 * parameters out of bounds (codes.h).
 */
int pwhash_parse(struct pwhash *p, const struct rec_user *u);
/* Into a user's record. */
void pwhash_store(struct rec_user *u, const struct pwhash *p);
/* Set p->check from Argon2id's output for p's parameters and salt. */
void pwhash_make(struct pwhash *p, const struct seal_bundle *b,
    const uint8_t uid[REC_ID], const uint8_t argon2[HASH_LEN]);
/* Whether p->check is that of this output; in constant time. */
bool pwhash_right(const struct pwhash *p, const struct seal_bundle *b,
    const uint8_t uid[REC_ID], const uint8_t argon2[HASH_LEN]);
/*
 * What is checked for a user who is not there or has no password, at the same
 * cost: a salt that is always the same for this name, and nothing is right.
 */
void pwhash_dummy(struct pwhash *p, const struct seal_bundle *b,
    struct bytes name, uint32_t memory_kib, uint32_t passes);

#endif
