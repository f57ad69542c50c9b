/*
 * The message MAC chain: each application message of one direction is bound to
 * the session, its number and every message before it (docs/protocol.md,
 * Records).
 *
 *	mac_0 = 32 zero bytes
 *	mac_i = HMAC(msgmac, u8 direction | u64 i | mac_{i-1} | SHA-256(body_i))
 */
#ifndef COMMON_MSGMAC_H
#define COMMON_MSGMAC_H

#include "kdf.h"

enum msgmac_direction {
	MSGMAC_TO_SERVER = 0,
	MSGMAC_TO_CLIENT = 1
};

struct msgmac {
	uint8_t		key[HASH_LEN];
	uint8_t		mac[HASH_LEN];	/* mac_i, of the last message */
	uint64_t	i;		/* messages so far; the next is i + 1 */
	uint8_t		direction;
};

/* Start a chain with the session's msgmac secret. */
void msgmac_init(struct msgmac *m, const uint8_t key[HASH_LEN],
    enum msgmac_direction direction);
/* Take the next message; afterwards m->i and m->mac are its number and MAC. */
void msgmac_next(struct msgmac *m, struct bytes body);
/* Take it only if its MAC is mac (compared in constant time): 0, else -1. */
int msgmac_check(struct msgmac *m, struct bytes body,
    const uint8_t mac[HASH_LEN]);
/* Wipe. */
void msgmac_free(struct msgmac *m);

#endif
