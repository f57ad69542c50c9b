/*
 * The vault's metadata records: users, enrolled keys, conversation heads and
 * summaries, the multiset hash.  Their keys are in rkey.h, messages in entry.h,
 * data keys and the bundle in seal.h.  docs/storage.md has the formats byte by
 * byte.
 *
 * Decoders are strict: unknown format or state, a bound exceeded, text that is
 * not UTF-8, nonzero padding and trailing bytes are SEAL_EFORMAT.
 */
#ifndef STORAGED_RECORDS_H
#define STORAGED_RECORDS_H

#include <stdint.h>

#include "bytes.h"
#include "locate.h"
#include "rkey.h"
#include "seal.h"
#include "userlimits.h"

#define REC_HASH	32
#define REC_NAME_MAX	64	/* bytes of UTF-8, all of these */
#define REC_LABEL_MAX	64
#define REC_TITLE_MAX	256
#define REC_MODEL_MAX	64
#define REC_SPKI_MAX	1024	/* RSA-4096 with PSS parameters: about 620 */
#define REC_PWHASH_MAX	256
#define REC_GRANTS_MAX	32	/* models named in a user's grants */

/* One that is removed goes when all that is theirs is gone. */
enum { REC_USER_ENABLED = 1, REC_USER_DISABLED = 2, REC_USER_REMOVED = 3 };
enum { REC_KEY_ACTIVE = 1, REC_KEY_REVOKED = 2 };
/* What a session of this user takes. */
enum { REC_POLICY_DEFAULT, REC_POLICY_KEY, REC_POLICY_KEY_PASSWORD };

/* Which models a user may use: all but those named, or none but those. */
struct rec_grants {
	uint8_t		none_but;	/* 0 or 1 */
	uint8_t		n;
	char		model[REC_GRANTS_MAX][REC_MODEL_MAX + 1]; /* ascending */
};

/* U: a user. */
struct rec_user {
	char		name[REC_NAME_MAX + 1];		/* not empty */
	uint8_t		uid[REC_ID];
	uint64_t	created_us;	/* microseconds since 1970, as all */
	uint8_t		state;		/* REC_USER_* */
	uint32_t	flags;		/* REC_POLICY_* */
	uint16_t	pwhash_n;	/* 0: no password */
	uint8_t		pwhash[REC_PWHASH_MAX];	/* pwhash.h */
	uint64_t	limit[LIMITS];	/* 0: the configured default */
	struct rec_grants grants;	/* zeros: all models */
};

/* A public key in DER (SubjectPublicKeyInfo); n may be 0. */
struct rec_spki {
	uint16_t	n;
	uint8_t		p[REC_SPKI_MAX];
};

/* K: an enrolled key, found by its fingerprint. */
struct rec_enrolled {
	uint8_t		uid[REC_ID];
	uint8_t		keyid[REC_KEYID];
	uint8_t		state;		/* REC_KEY_* */
	uint64_t	created_us;
	char		label[REC_LABEL_MAX + 1];
	struct rec_spki	sign;		/* handshake signatures */
	struct rec_spki	wrap;		/* RSA-OAEP of session secrets */
	struct rec_spki	message;	/* message signatures; may be empty */
};

/* k: the same key in the list of its user's keys. */
struct rec_userkey {
	uint8_t		fp[REC_FP];
	uint8_t		state;
	uint64_t	created_us;
	char		label[REC_LABEL_MAX + 1];
};

/* C: the head of a conversation. */
struct rec_head {
	uint64_t	last;		/* number of the last message; 0: none */
	uint8_t		chain[REC_HASH];	/* its chain value */
	uint64_t	created_us;
	uint64_t	updated_us;	/* also in the key of the L record */
};

/*
 * L: the summary that `list` shows.  It has what the user wrote (the title), so
 * it is sealed under the conversation's data key and is shredded with it.
 */
struct rec_list {
	char		title[REC_TITLE_MAX + 1];
	uint64_t	count;		/* messages: that of C's last */
	uint64_t	updated_us;	/* must be that of the key */
	char		model[REC_MODEL_MAX + 1];	/* of the last answer */
};

/* I: an invite, until it is used. */
struct rec_invite {
	uint8_t		uid[REC_ID];
	uint64_t	created_us;
	uint64_t	expires_us;
	uint8_t		secret[INVITE_SECRET];
};

/* B: failed passwords of a name or a source; a source that was good for a user. */
enum { REC_BACKOFF_FAILS = 1, REC_BACKOFF_GOOD = 2 };
struct rec_backoff {
	uint8_t		kind;		/* REC_BACKOFF_* */
	uint32_t	count;		/* of failures; GOOD: 0 */
	uint64_t	last_us;	/* when the last one, or success, was */
};

/*
 * X: a conversation that was deleted, until its messages are swept out and the
 * epoch that sealed its data key has ended.
 */
struct rec_tomb {
	uint32_t	epoch;		/* the newest that may have sealed it */
	uint64_t	deleted_us;
};

/*
 * Q: what a user has used of a model, in the UTC day that is named and in the
 * month of that day.
 */
struct rec_tally {
	char		model[REC_MODEL_MAX + 1];	/* "": of all others */
	uint32_t	day;		/* days since 1970 */
	uint64_t	day_tokens;	/* at most month_tokens */
	uint64_t	month_tokens;
	uint64_t	day_requests;	/* at most month_requests */
	uint64_t	month_requests;
};

/* H: the state of all heads, users, keys, invites, failures, deletions, tallies. */
struct rec_mset {
	uint64_t	n;		/* counts commits; never falls */
	uint8_t		mset[REC_HASH];
	bool		located;	/* heads is there: not in a record of old */
	struct locate	heads;		/* which head is not as it should be */
};

/*
 * Seal a record's content: append the value for key and version (from 1) to
 * out, which should be bounded by SEAL_VALUE_MAX.  dk is the conversation's data
 * key.  0, SEAL_EFORMAT when the content or the key is not valid for its kind,
 * or SEAL_ENOMEM.
 */
int rec_seal_user(struct buf *out, const struct seal_bundle *b,
    struct bytes key, uint64_t version, const struct rec_user *u);
int rec_seal_enrolled(struct buf *out, const struct seal_bundle *b,
    struct bytes key, uint64_t version, const struct rec_enrolled *e);
int rec_seal_userkey(struct buf *out, const struct seal_bundle *b,
    struct bytes key, uint64_t version, const struct rec_userkey *k);
int rec_seal_head(struct buf *out, const struct seal_bundle *b,
    struct bytes key, uint64_t version, const struct rec_head *h);
int rec_seal_list(struct buf *out, const uint8_t dk[SEAL_KEYLEN],
    struct bytes key, uint64_t version, const struct rec_list *l);
int rec_seal_invite(struct buf *out, const struct seal_bundle *b,
    struct bytes key, uint64_t version, const struct rec_invite *i);
int rec_seal_backoff(struct buf *out, const struct seal_bundle *b,
    struct bytes key, uint64_t version, const struct rec_backoff *k);
int rec_seal_tomb(struct buf *out, const struct seal_bundle *b,
    struct bytes key, uint64_t version, const struct rec_tomb *t);
int rec_seal_tally(struct buf *out, const struct seal_bundle *b,
    struct bytes key, uint64_t version, const struct rec_tally *t);
int rec_seal_mset(struct buf *out, const struct seal_bundle *b,
    struct bytes key, uint64_t version, const struct rec_mset *m);

/*
 * Open a record: fill the structure and *version.  0, SEAL_EAUTH, SEAL_EFORMAT
 * or SEAL_ENOMEM; the structure is zero unless 0 is returned.  That the version
 * is the newest one is for the caller to know (mset_add).
 */
int rec_open_user(struct rec_user *u, uint64_t *version,
    const struct seal_bundle *b, struct bytes key, struct bytes value);
int rec_open_enrolled(struct rec_enrolled *e, uint64_t *version,
    const struct seal_bundle *b, struct bytes key, struct bytes value);
int rec_open_userkey(struct rec_userkey *k, uint64_t *version,
    const struct seal_bundle *b, struct bytes key, struct bytes value);
int rec_open_head(struct rec_head *h, uint64_t *version,
    const struct seal_bundle *b, struct bytes key, struct bytes value);
int rec_open_list(struct rec_list *l, uint64_t *version,
    const uint8_t dk[SEAL_KEYLEN], struct bytes key, struct bytes value);
int rec_open_invite(struct rec_invite *i, uint64_t *version,
    const struct seal_bundle *b, struct bytes key, struct bytes value);
int rec_open_backoff(struct rec_backoff *k, uint64_t *version,
    const struct seal_bundle *b, struct bytes key, struct bytes value);
int rec_open_tomb(struct rec_tomb *t, uint64_t *version,
    const struct seal_bundle *b, struct bytes key, struct bytes value);
int rec_open_tally(struct rec_tally *t, uint64_t *version,
    const struct seal_bundle *b, struct bytes key, struct bytes value);
int rec_open_mset(struct rec_mset *m, uint64_t *version,
    const struct seal_bundle *b, struct bytes key, struct bytes value);

/*
 * Multiset hash of the live heads, users, keys and deletions: the sum modulo 2^256 of one
 * HMAC a record (MSet-Add-Hash: Clarke, Devadas, van Dijk, Gassend, Suh,
 * ASIACRYPT 2003).  The order of additions does not matter and a removal undoes
 * an addition, so a changed record is sub(old), add(new).  The sum is secret: it
 * is stored only sealed, in H.
 */
void mset_add(uint8_t mset[REC_HASH], const struct seal_bundle *b,
    struct bytes head_key, uint64_t version, const struct rec_head *h);
void mset_sub(uint8_t mset[REC_HASH], const struct seal_bundle *b,
    struct bytes head_key, uint64_t version, const struct rec_head *h);
/* What a head adds, and the sum with such an element more or less. */
void mset_element(uint8_t e[REC_HASH], const struct seal_bundle *b,
    struct bytes head_key, uint64_t version, const struct rec_head *h);
void mset_add_element(uint8_t mset[REC_HASH], const uint8_t e[REC_HASH]);
void mset_sub_element(uint8_t mset[REC_HASH], const uint8_t e[REC_HASH]);
/*
 * The same for a U, K, k, I, B, X or Q record, so that an old one (a revoked key
 * that was active, an old password, a used invite, a forgotten failure) cannot be
 * put back: its content is bound to its
 * version by its own encryption.
 */
void mset_add_record(uint8_t mset[REC_HASH], const struct seal_bundle *b,
    struct bytes key, uint64_t version);
void mset_sub_record(uint8_t mset[REC_HASH], const struct seal_bundle *b,
    struct bytes key, uint64_t version);
/* What the anchor keeps of an H record: HMAC(mset key, "root" | n | mset). */
void mset_root(uint8_t root[REC_HASH], const struct seal_bundle *b,
    const struct rec_mset *m);

#endif
