/*
 * The vault's two files of its own, each through one descriptor that was opened
 * before the sandbox closed: the anchor and the key file.
 *
 * Both have two slots of 4096 bytes.  Each slot has a sequence number and ends
 * with a SHA-256 checksum.  A write goes to the slot that does not hold the
 * newest state and is synced; a read takes the valid slot with the highest
 * sequence number.  So a write that is torn leaves the state before it.
 *
 * The anchor keeps, outside the engine's reach:
 * - (n, root) of the last H record known to be committed, against rollback;
 * - share B of the storage key;
 * - the erasable secret of the epoch, and of the next one while the epoch turns.
 *
 * An epoch names the generation of the storage key that it uses.  Rotating the
 * storage key is a turn of the epoch whose next epoch names the next generation:
 * the epoch in a D record then says which storage key opens it.
 *
 * The key file keeps share A of the storage key, encrypted by RSA-OAEP to
 * keyd's wrap key, for at most two generations.
 */
#ifndef STORAGED_ANCHOR_H
#define STORAGED_ANCHOR_H

#include <stdint.h>

#include "records.h"
#include "seal.h"

#define SLOT_BYTES	4096
#define SLOT_FILE_BYTES	(2 * SLOT_BYTES)
#define KEYFILE_CT_MAX	512		/* RSA-4096 */

/* Which slot of a file holds the newest state; set by create, read, write. */
struct slot_pos {
	uint64_t	seq;
	unsigned	slot;		/* 0 or 1 */
};

struct anchor_epoch {
	uint32_t	epoch;		/* from 1 */
	uint32_t	gen;		/* generation of the storage key, from 1 */
	uint8_t		secret[SEAL_KEYLEN];	/* erasable */
	uint8_t		share_b[SEAL_KEYLEN];	/* of that generation */
};

struct anchor {
	struct slot_pos		pos;
	uint64_t		n;
	uint8_t			root[REC_HASH];
	unsigned		nepochs;	/* 1, or 2 during a turn */
	struct anchor_epoch	epoch[2];	/* current, next */
	uint8_t			mac[REC_HASH];	/* set by read, for verify */
};

/*
 * Write a new anchor to an empty file: a->n, root and epochs are given; pos is
 * set.  sk is the storage key of generation a->epoch[0].gen.  Both slots are
 * written and synced.  SEAL_EFORMAT when the file is not empty or a is not
 * valid, SEAL_EIO.
 */
int anchor_create(int fd, struct anchor *a, const uint8_t sk[SEAL_KEYLEN]);
/*
 * Read the newest valid slot.  Its checksum was verified, not yet its MAC:
 * use share_b and gen to make the storage key, then anchor_verify() before
 * anything else of *a is believed.  SEAL_EFORMAT when no slot is valid,
 * SEAL_EIO.
 */
int anchor_read(int fd, struct anchor *a);
/*
 * Verify the MAC of an anchor that was read, by the storage key of generation
 * a->epoch[0].gen: 0 or SEAL_EAUTH.
 */
int anchor_verify(const struct anchor *a, const uint8_t sk[SEAL_KEYLEN]);
/*
 * Write a as the newest state into the other slot and sync it.  On SEAL_EIO
 * what the file holds is not known: do not go on.
 */
int anchor_write(int fd, struct anchor *a, const uint8_t sk[SEAL_KEYLEN]);
/*
 * Write a into both slots, one after the other, so that nothing of an earlier
 * state is left in the file: the end of a turn of the epoch, and once at each
 * start after anchor_verify() (a crash may have come between the two writes).
 */
int anchor_write_both(int fd, struct anchor *a,
    const uint8_t sk[SEAL_KEYLEN]);
/* Wipe the secrets. */
void anchor_clear(struct anchor *a);

struct keyfile_gen {
	uint32_t	gen;		/* from 1 */
	uint16_t	ct_n;
	uint8_t		ct[KEYFILE_CT_MAX];	/* RSA-OAEP of share A */
};

struct keyfile {
	struct slot_pos		pos;
	uint32_t		current;	/* one of gen[] */
	unsigned		ngens;		/* 1 or 2 */
	struct keyfile_gen	gen[2];		/* ascending */
};

/* As for the anchor; a key file has no secret and no MAC. */
int keyfile_create(int fd, struct keyfile *k);
int keyfile_read(int fd, struct keyfile *k);
int keyfile_write(int fd, struct keyfile *k);
/* Into both slots, so that a generation that was dropped is gone. */
int keyfile_write_both(int fd, struct keyfile *k);
/* The entry of a generation, or NULL. */
const struct keyfile_gen *keyfile_find(const struct keyfile *k, uint32_t gen);

#endif
