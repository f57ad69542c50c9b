/*
 * The vault's storage keys and the sealing of one stored value.
 *
 * The engine is given keys and values that it can neither read nor forge.  A
 * value carries its version in clear, and everything that says what the value
 * is (format, full key, version, and for some its epoch or generation) is
 * associated data of its AES-256-GCM encryption: a value that was changed,
 * moved to another key, or given another version does not open.
 * docs/storage.md has the formats byte by byte.
 *
 * Key hierarchy:
 *
 *	SK    = HKDF-Extract("cl1 storage key", share A | share B)
 *	KEK   = XL(SK, "kek", "")		seals the bundle, record R
 *	EK(e) = XL(HKDF-Extract(SK, secret(e)), "epoch", be32 e)
 *						seals data keys, records D
 *	bundle: four random keys		names, chain, multiset, metadata
 *	data key: random, one a conversation	seals its records M and L
 *
 * Single-threaded: the cipher and its context are kept between calls, no key in
 * them.  Failures of the cryptographic library itself are fatal.  New keys,
 * shares, secrets and ids come from crypto_random() (kdf.h).
 */
#ifndef STORAGED_SEAL_H
#define STORAGED_SEAL_H

#include <stdint.h>

#include "bytes.h"

/* What opening and sealing functions return besides 0. */
enum {
	SEAL_EAUTH = -1,	/* changed, moved, other version or wrong key */
	SEAL_EFORMAT = -2,	/* not a value of this kind; nothing was opened,
				 * or what was opened is of no known layout */
	SEAL_ENOMEM = -3,	/* no memory, or the output's bound is too low */
	SEAL_EIO = -4		/* files only (anchor.h): errno says why */
};

#define SEAL_FORMAT	1	/* the one format there is */
#define SEAL_KEYLEN	32
#define SEAL_NONCELEN	12
#define SEAL_TAGLEN	16
#define SEAL_VERLEN	8
#define SEAL_VALUE_MAX	4064	/* largest value given to the engine */
#define SEAL_RKEY_MAX	64	/* no record's key is longer */
/* What sealing adds to a plaintext. */
#define SEAL_OVERHEAD	(SEAL_VERLEN + SEAL_NONCELEN + SEAL_TAGLEN)

/* The random keys that are sealed in record R, under the KEK. */
struct seal_bundle {
	uint8_t	prf[SEAL_KEYLEN];	/* names of U and K records */
	uint8_t	chain[SEAL_KEYLEN];	/* message chains */
	uint8_t	mset[SEAL_KEYLEN];	/* multiset hash, its root */
	uint8_t	meta[SEAL_KEYLEN];	/* metadata records */
};

/* What a sealed value is bound to. */
struct seal_ad {
	struct bytes	key;		/* the record's full key */
	uint64_t	version;	/* from 1 */
	uint32_t	gen;		/* epoch (D), generation (R), else 0 */
	struct bytes	extra;		/* user id (M), else empty */
};

/* SK from its two shares of 32 bytes. */
void seal_storage_key(uint8_t sk[SEAL_KEYLEN],
    const uint8_t share_a[SEAL_KEYLEN], const uint8_t share_b[SEAL_KEYLEN]);
/* The key that seals the bundle. */
void seal_kek(uint8_t kek[SEAL_KEYLEN], const uint8_t sk[SEAL_KEYLEN]);
/* The key that seals the data keys of an epoch; secret is the erasable one. */
void seal_epoch_key(uint8_t ek[SEAL_KEYLEN], const uint8_t sk[SEAL_KEYLEN],
    const uint8_t secret[SEAL_KEYLEN], uint32_t epoch);
/*
 * The key of one metadata record: XL(secret, "rec", SHA-256(rkey)); secret is
 * the bundle's meta key, or for L the conversation's data key.
 */
void seal_record_key(uint8_t out[SEAL_KEYLEN],
    const uint8_t secret[SEAL_KEYLEN], struct bytes rkey);

/*
 * AES-256-GCM: plain.n + SEAL_TAGLEN bytes to dst (not overlapping plain).
 * SEAL_EFORMAT when ad is not within bounds (key of 1 to SEAL_RKEY_MAX bytes,
 * extra of at most SEAL_RKEY_MAX, version not 0).
 */
int seal_aead(uint8_t *dst, const uint8_t key[SEAL_KEYLEN],
    const uint8_t nonce[SEAL_NONCELEN], const struct seal_ad *ad,
    struct bytes plain);
/*
 * The reverse: ct ends with the tag; ct.n - SEAL_TAGLEN bytes to dst, which is
 * wiped when SEAL_EAUTH or SEAL_EFORMAT is returned.
 */
int seal_aead_open(uint8_t *dst, const uint8_t key[SEAL_KEYLEN],
    const uint8_t nonce[SEAL_NONCELEN], const struct seal_ad *ad,
    struct bytes ct);

/*
 * Append the value version | nonce | ciphertext | tag to out; the nonce is
 * random.
 */
int seal_value(struct buf *out, const uint8_t key[SEAL_KEYLEN],
    const struct seal_ad *ad, struct bytes plain);
/*
 * Open such a value and append its plaintext to out.  ad->version is set from
 * the value; compare it with the version that you expect.
 */
int seal_value_open(struct buf *out, const uint8_t key[SEAL_KEYLEN],
    struct seal_ad *ad, struct bytes value);
/*
 * The version that any value carries in clear, not authenticated (for a
 * precondition of a write); 0 when it has none, which no sealed value has.
 */
uint64_t seal_version(struct bytes value);

/* Fill a bundle with random keys. */
void seal_bundle_new(struct seal_bundle *b);
/*
 * Record R: append the value of the bundle, sealed by the KEK of that
 * generation (key: rec_key_bundle(gen)).
 */
int seal_bundle(struct buf *out, const uint8_t kek[SEAL_KEYLEN],
    uint32_t gen, uint64_t version, const struct seal_bundle *b);
/* Open it; *version is set; b is wiped on failure. */
int seal_bundle_open(struct seal_bundle *b, uint64_t *version,
    const uint8_t kek[SEAL_KEYLEN], uint32_t gen, struct bytes value);

/*
 * Record D: append a conversation's data key, sealed by the epoch key.  rkey is
 * rec_key_data(uid, conv).
 */
int seal_data_key(struct buf *out, const uint8_t ek[SEAL_KEYLEN],
    uint32_t epoch, struct bytes rkey, uint64_t version,
    const uint8_t dk[SEAL_KEYLEN]);
/*
 * Open it with the key of the epoch that it names; SEAL_EAUTH when that is not
 * epoch.  *version is set; dk is wiped on failure.
 */
int seal_data_key_open(uint8_t dk[SEAL_KEYLEN], uint64_t *version,
    const uint8_t ek[SEAL_KEYLEN], uint32_t epoch, struct bytes rkey,
    struct bytes value);
/*
 * The epoch that a D value names, to choose the key that opens it: 0 and
 * *epoch, or SEAL_EFORMAT.  Not authenticated until opened.
 */
int seal_data_key_epoch(struct bytes value, uint32_t *epoch);

#endif
