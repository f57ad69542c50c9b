/*
 * Stored messages, called entries here: a header and a text, padded to a
 * bucket, cut into chunks, each chunk one record M under a key that is this
 * entry's alone.
 *
 * The entries of a conversation are chained by HMAC; each carries its own chain
 * value, and the head (record C) that of the last:
 *
 *	chain(0) = 32 zero bytes
 *	chain(i) = HMAC(chain key, "chain" | conv | be64 i | chain(i-1) | digest)
 *	digest   = SHA-256(header without the chain value | text)
 *
 * So a reader who follows the chain to the head sees every entry that was
 * changed, left out, moved or exchanged.  docs/storage.md has the bytes.
 */
#ifndef STORAGED_ENTRY_H
#define STORAGED_ENTRY_H

#include <stdint.h>

#include "bytes.h"
#include "codes.h"
#include "proof.h"
#include "records.h"
#include "seal.h"

#define ENTRY_TEXT_MAX	(1024 * 1024)	/* bytes */
#define ENTRY_SALT	16
/* Plaintext bytes in a full chunk. */
#define ENTRY_CHUNK_MAX	(SEAL_VALUE_MAX - SEAL_OVERHEAD - ENTRY_SALT)
/* The header with an empty model's name, chain value included. */
#define ENTRY_HEADER_MIN	(57 + REC_HASH)
/* Chunks of the longest entry, and its plaintext with the padding. */
#define ENTRY_CHUNKS_MAX	((ENTRY_HEADER_MIN + REC_MODEL_MAX + \
    2 + PROOF_MAX + ENTRY_TEXT_MAX + ENTRY_CHUNK_MAX - 1) / ENTRY_CHUNK_MAX)
#define ENTRY_PLAIN_MAX	(ENTRY_CHUNKS_MAX * ENTRY_CHUNK_MAX)

/* Where an entry belongs. */
struct entry_at {
	uint8_t		uid[REC_ID];
	uint8_t		conv[REC_ID];
	uint64_t	number;			/* from 1 */
};

struct entry {
	uint8_t		kind;			/* enum kind */
	uint8_t		finish;			/* enum finish */
	uint64_t	time_us;		/* since 1970 */
	uint32_t	prompt_tokens;
	uint32_t	completion_tokens;
	char		model[REC_MODEL_MAX + 1];
	uint8_t		mac[REC_HASH];	/* mac_i of the application message
					 * (docs/protocol.md), or zeros */
	uint8_t		chain[REC_HASH];	/* chain(number) */
	struct bytes	text;	/* not owned; not checked to be UTF-8 */
	struct bytes	proof;	/* proof.h; not owned, may be empty */
};

/* One record of an entry, as the engine has it. */
struct entry_chunk {
	struct bytes	key;
	struct bytes	value;
};

/*
 * Takes one record to write; the bytes are valid during the call.  Returns 0,
 * or a negative number to stop.
 */
typedef int entry_emit(void *arg, struct bytes key, struct bytes value);

/*
 * Seal an entry: set e->chain from prev (the chain value of the entry before,
 * zeros for the first) and call emit for each of its records in order.  dk is
 * the conversation's data key; version (from 1) that of all the records.  0,
 * SEAL_EFORMAT (content out of bounds), SEAL_ENOMEM, or what emit returned when
 * that was negative.
 */
int entry_seal(const struct seal_bundle *b, const uint8_t dk[SEAL_KEYLEN],
    const struct entry_at *at, uint64_t version, const uint8_t prev[REC_HASH],
    struct entry *e, entry_emit *emit, void *arg);
/*
 * Open an entry from all of its records in order.  plain, bounded by at least
 * ENTRY_PLAIN_MAX, is reset and then holds the plaintext; e->text points into
 * it, so keep plain while e is used and buf_free() it afterwards.  When prev is
 * not NULL, e->chain is verified to follow it.  0; SEAL_EAUTH, also for a chunk
 * that is missing, too many, out of order or of another entry, and for a broken
 * chain; SEAL_EFORMAT; SEAL_ENOMEM.  e and plain are empty unless 0 is returned.
 */
int entry_open(struct entry *e, uint64_t *version, struct buf *plain,
    const struct seal_bundle *b, const uint8_t dk[SEAL_KEYLEN],
    const struct entry_at *at, const uint8_t *prev,
    const struct entry_chunk *chunk, size_t n);

/*
 * The padded length of n bytes of header and text: the next of 256, 512, 1024,
 * 2048 and ENTRY_CHUNK_MAX, then the next multiple of ENTRY_CHUNK_MAX.
 */
size_t entry_bucket(size_t n);
/* How many records an entry takes, from its lengths. */
size_t entry_nchunks(const struct entry *e);

#endif
