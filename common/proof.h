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

/* ---- receipts -------------------------------------------------------------- */

/* One step of a path: what stands beside, and on which side. */
struct proof_step {
	bool		left;
	uint8_t		hash[HASH_LEN];
};

/*
 * The server's word on an answer to a signed question.  Several receipts share a
 * signature: each is a leaf of a Merkle tree whose root is signed by the host key.
 */
struct proof_receipt {
	uint8_t		session_id[HASH_LEN];
	uint8_t		server[HASH_LEN];	/* H(server SPKI) */
	uint8_t		client[HASH_LEN];	/* H(client signing SPKI) */
	uint8_t		conv[PROOF_CONV];
	uint64_t	number;		/* in its session, from 1 */
	uint8_t		previous[HASH_LEN];	/* leaf before it there, or 0 */
	uint64_t	question;	/* its number in the conversation */
	uint8_t		signature[HASH_LEN];	/* H(the user's signature) */
	uint8_t		sent[HASH_LEN];	/* H(messages that the model got) */
	uint8_t		response[HASH_LEN];	/* H(text of the answer) */
	struct bytes	model;		/* not owned */
	uint8_t		finish;		/* enum finish */
	uint64_t	time_us;
	uint8_t		salt[HASH_LEN];	/* so that a path tells nothing */
	uint8_t		depth;		/* steps to the root */
	struct proof_step path[PROOF_DEPTH];
	struct bytes	spki;		/* of the server; not owned */
	struct bytes	sig;		/* not owned */
};

void proof_receipt_encode(struct buf *out, const struct proof_receipt *p);
/* 0, or -1; p then points into proof. */
int proof_receipt_decode(struct proof_receipt *p, struct bytes proof);
/* The leaf: H(u8 0 | salt | all before it in the encoding). */
void proof_receipt_leaf(uint8_t leaf[HASH_LEN], const struct proof_receipt *p);
/*
 * The tree over n > 0 leaves: its root, and for each the steps to it.  At most
 * 1 << PROOF_DEPTH; depth and path of each receipt are filled in.
 */
void proof_tree(uint8_t root[HASH_LEN], struct proof_receipt *const *p,
    size_t n);
/* Append what is signed; PROOF_TBS_MAX. */
void proof_receipt_tbs(struct buf *out, const uint8_t server[HASH_LEN],
    const uint8_t root[HASH_LEN]);
/* 0 when the signature is that of the key in it, whose hash is p->server. */
int proof_receipt_verify(const struct proof_receipt *p);

/* Begin and go on with H(messages): of each u8 kind | u32 length | text. */
void proof_sent(EVP_MD_CTX *sent, uint8_t kind, struct bytes text);

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
