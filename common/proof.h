/*
 * Signed conversations: what is signed, how a signature is stored with its
 * message, and the chain that joins the messages of a conversation
 * (docs/protocol.md, Signed conversations).
 *
 * A proof is kept with its message as bytes: of a question that its user signed, or
 * of an answer, the server's receipt.  The decoders are strict: what they take
 * encodes to the same bytes.  None of this needs a secret but the signers, which
 * are keyd's.
 */
#ifndef COMMON_PROOF_H
#define COMMON_PROOF_H

#include "bytes.h"
#include "kdf.h"
#include "rsa.h"

#define PROOF_MAX	2048	/* bytes of an encoded proof, at most */
#define PROOF_TBS_MAX	352	/* bytes to be signed, at most */
#define PROOF_CONV	16	/* bytes of a conversation's id */
#define PROOF_MODEL	64	/* bytes of a model's name, at most */
#define PROOF_DEPTH	6	/* of a receipt's path: 64 receipts at once */

enum proof_type {
	PROOF_NONE = 0,		/* it is not one */
	PROOF_USER = 1,
	PROOF_RECEIPT = 2
};

/* A question, signed by its user's message key. */
struct proof_user {
	uint8_t		session_id[HASH_LEN];
	uint8_t		server[HASH_LEN];	/* H(server SPKI) */
	uint8_t		client[HASH_LEN];	/* H(client signing SPKI) */
	uint64_t	number;		/* of the message in its conversation */
	uint64_t	time_us;	/* of the signer's clock */
	uint8_t		previous[HASH_LEN];	/* proof_link of what is before */
	uint8_t		salt[HASH_LEN];
	struct bytes	spki;		/* of the message key; not owned */
	struct bytes	sig;		/* not owned */
};

/* What the proof of this encoding is, from its first byte. */
enum proof_type proof_type(struct bytes proof);

/* Append the encoding; out bounded by PROOF_MAX. */
void proof_user_encode(struct buf *out, const struct proof_user *p);
/* 0, or -1; p then points into proof. */
int proof_user_decode(struct proof_user *p, struct bytes proof);
/* SHA-256(salt | text). */
void proof_digest(uint8_t digest[HASH_LEN], const uint8_t salt[HASH_LEN],
    struct bytes text);
/* Append what is signed (all but spki and sig count); PROOF_TBS_MAX. */
void proof_user_tbs(struct buf *out, const struct proof_user *p,
    const uint8_t digest[HASH_LEN]);
/* 0 when the signature is that of the key in it, for a text of this digest. */
int proof_user_verify(const struct proof_user *p,
    const uint8_t digest[HASH_LEN]);

/* ---- the messages of a conversation, joined ------------------------------ */

/* A message as it is stored. */
struct proof_message {
	uint64_t	number;		/* from 1 */
	uint8_t		kind;		/* enum kind */
	uint8_t		finish;		/* enum finish */
	uint64_t	time_us;
	uint32_t	prompt_tokens;
	uint32_t	completion_tokens;
	struct bytes	model;
	struct bytes	text;
	struct bytes	proof;		/* may be empty */
};

/* The link before the first message of conversation conv. */
void proof_link_begin(uint8_t link[HASH_LEN], const uint8_t conv[PROOF_CONV]);
/* The link behind m, from the one before it. */
void proof_link_next(uint8_t link[HASH_LEN], const struct proof_message *m);

/* ---- an export ------------------------------------------------------------- */

/*
 * What who exports a conversation signs of it, by their message key: that it has
 * so many messages, and which.
 */
struct proof_export {
	uint8_t		server[HASH_LEN];
	uint8_t		client[HASH_LEN];
	uint8_t		conv[PROOF_CONV];
	uint64_t	count;		/* messages */
	uint64_t	time_us;
	uint8_t		last[HASH_LEN];	/* the link behind the last one */
	struct bytes	spki;		/* not owned */
	struct bytes	sig;		/* not owned */
};

void proof_export_tbs(struct buf *out, const struct proof_export *p);
int proof_export_verify(const struct proof_export *p);

#endif
