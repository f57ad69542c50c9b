/*
 * The keys of the vault's records in the engine.
 *
 * The first byte is the kind of record; what follows is a pseudo-random function
 * of a name, a random identifier, or a number.  Keys sort by memcmp.
 */
#ifndef STORAGED_RKEY_H
#define STORAGED_RKEY_H

#include <stdint.h>

#include "bytes.h"
#include "kdf.h"
#include "password.h"
#include "seal.h"

#define REC_ID		16	/* user and conversation ids: random */
#define REC_KEYID	8	/* id of an enrolled key: random */
#define REC_FP		32	/* fingerprint: SHA-256 of the signing SPKI */

/* Kinds of records: the first byte of a key. */
enum {
	REC_USER = 'U',		/* PRF("U" | name)[32] */
	REC_KEY = 'K',		/* PRF("K" | fingerprint)[32] */
	REC_USERKEY = 'k',	/* uid[16] keyid[8] */
	REC_HEAD = 'C',		/* uid[16] conv[16] */
	REC_LIST = 'L',		/* uid[16] be64(~updated) conv[16] */
	REC_MSG = 'M',		/* conv[16] be64(number) be16(chunk) */
	REC_DATA = 'D',		/* uid[16] conv[16] */
	REC_INVITE = 'I',	/* PRF("I" | id)[32] */
	REC_BACKOFF = 'B',	/* PRF("B" | subject)[32] */
	REC_TOMB = 'X',		/* conv[16] */
	REC_TALLY = 'Q',	/* uid[16] PRF("Q" | uid | model)[32] */
	REC_MSET = 'H',		/* nothing */
	REC_BUNDLE = 'R'	/* be32(generation) */
};

/* A key, or the common beginning of many, owned by value. */
struct rec_key {
	uint8_t	p[SEAL_RKEY_MAX];
	size_t	n;
};

/* Its bytes, valid as long as *k. */
struct bytes rec_bytes(const struct rec_key *k);

/* Full keys. */
struct rec_key rec_key_user(const struct seal_bundle *b, const char *name);
struct rec_key rec_key_key(const struct seal_bundle *b,
    const uint8_t fp[REC_FP]);
struct rec_key rec_key_userkey(const uint8_t uid[REC_ID],
    const uint8_t keyid[REC_KEYID]);
/* An invite, by the public part of its code. */
struct rec_key rec_key_invite(const struct seal_bundle *b,
    const uint8_t id[INVITE_ID]);
/*
 * What is known of failed passwords: of a user's name, a source, or a source
 * that has been good for a user.  source is 16 bytes: vault_backoff.c.
 */
struct rec_key rec_key_backoff_name(const struct seal_bundle *b,
    struct bytes name);
struct rec_key rec_key_backoff_source(const struct seal_bundle *b,
    const uint8_t source[16]);
struct rec_key rec_key_backoff_good(const struct seal_bundle *b,
    const uint8_t uid[REC_ID], const uint8_t source[16]);
struct rec_key rec_key_head(const uint8_t uid[REC_ID],
    const uint8_t conv[REC_ID]);
struct rec_key rec_key_list(const uint8_t uid[REC_ID], uint64_t updated_us,
    const uint8_t conv[REC_ID]);
struct rec_key rec_key_msg(const uint8_t conv[REC_ID], uint64_t number,
    uint16_t chunk);
struct rec_key rec_key_data(const uint8_t uid[REC_ID],
    const uint8_t conv[REC_ID]);
struct rec_key rec_key_tomb(const uint8_t conv[REC_ID]);
struct rec_key rec_key_tally(const struct seal_bundle *b,
    const uint8_t uid[REC_ID], const char *model);
struct rec_key rec_key_mset(void);
struct rec_key rec_key_bundle(uint32_t gen);

/*
 * For scans.  The beginning of all keys of a kind, or of all of a kind that
 * belong to one id (uid for k, C, L, D and Q; conv for M).
 */
struct rec_key rec_prefix(uint8_t kind);
struct rec_key rec_prefix_id(uint8_t kind, const uint8_t id[REC_ID]);
/*
 * The smallest key above every key that begins with *k: the exclusive end of a
 * scan of that prefix.  Empty (n == 0, no end) when there is none.
 */
struct rec_key rec_prefix_end(const struct rec_key *k);

/* Take keys apart that a scan returned: 0 or SEAL_EFORMAT. */
int rec_parse_userkey(struct bytes key, uint8_t uid[REC_ID],
    uint8_t keyid[REC_KEYID]);
int rec_parse_head(struct bytes key, uint8_t uid[REC_ID],
    uint8_t conv[REC_ID]);
int rec_parse_list(struct bytes key, uint8_t uid[REC_ID],
    uint64_t *updated_us, uint8_t conv[REC_ID]);
int rec_parse_msg(struct bytes key, uint8_t conv[REC_ID], uint64_t *number,
    uint16_t *chunk);
int rec_parse_data(struct bytes key, uint8_t uid[REC_ID],
    uint8_t conv[REC_ID]);
int rec_parse_tomb(struct bytes key, uint8_t conv[REC_ID]);
int rec_parse_tally(struct bytes key, uint8_t uid[REC_ID],
    uint8_t model[HASH_LEN]);

#endif
