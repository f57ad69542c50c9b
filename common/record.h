/*
 * The record layer: AES-256-GCM (NIST SP 800-38D) under a key for each
 * direction and epoch, laid out as docs/protocol.md, Records, says.
 *
 *	u8 0x17 | u8 epoch | u16 length			associated data
 *	u8 type | u16 content length | content | zeros	encrypted
 *	tag[16]
 *
 * length counts what follows it, tag included.  key = XL(secret, "key", ""),
 * iv = XL(secret, "iv", ""), nonce = iv XOR the record's number under this
 * key.
 *
 * A record that does not open is final: the direction then refuses everything.
 */
#ifndef COMMON_RECORD_H
#define COMMON_RECORD_H

#include "kdf.h"

#define RECORD_MAX	16384	/* bytes of a record, header and tag included */
#define RECORD_HDR	4
#define RECORD_TAG	16
#define RECORD_INNER_HDR 3
#define RECORD_INNER_MAX (RECORD_MAX - RECORD_HDR - RECORD_TAG)
#define RECORD_CONTENT_MAX (RECORD_INNER_MAX - RECORD_INNER_HDR)
/* What a record with an inner plaintext of n bytes occupies on the wire. */
#define RECORD_WIRE(n)	(RECORD_HDR + (n) + RECORD_TAG)

#define RECORD_EPOCH_HS	0	/* handshake flights, keys from c_hs and s_hs */
#define RECORD_EPOCH_AP	1	/* the first epoch of application data */
#define RECORD_EPOCH_LAST 254

#define RECORD_LIMIT_RECORDS	((uint64_t)1 << 20)
#define RECORD_LIMIT_BYTES	((uint64_t)1 << 30)

enum record_type {
	RECORD_CLOSE = 20,	/* content: the session layer's */
	RECORD_HANDSHAKE = 22,	/* content: the messages of one flight */
	RECORD_APP = 23,	/* last or only fragment of a message */
	RECORD_APP_MORE = 24,	/* fragment, more follow */
	RECORD_REKEY = 25,	/* no content; then the next key */
	RECORD_DUMMY = 26,	/* no content */
	RECORD_STREAM = 27,	/* the next bytes of a stream of messages */
	RECORD_FRESH = 28	/* no content; then the next key, a fresh one */
};

/*
 * One direction of one connection, at one of its ends: it seals or it opens.
 */
struct record_dir {
	uint8_t		 secret[HASH_LEN];
	uint8_t		 iv[12];
	uint64_t	 seq;		/* records under this key */
	uint64_t	 nbytes;	/* bytes on the wire under this key */
	uint64_t	 max_records;	/* limits; smaller in tests */
	uint64_t	 max_bytes;
	uint8_t		 epoch;
	uint8_t		 mode;		/* set by first use; never both ways */
	bool		 dead;
	EVP_CIPHER_CTX	*ctx;
};

/*
 * Start a direction with a traffic secret, which is copied.  epoch is
 * RECORD_EPOCH_HS or RECORD_EPOCH_AP (any up to RECORD_EPOCH_LAST).  d need
 * not be initialised.
 */
void record_dir_init(struct record_dir *d, const uint8_t secret[HASH_LEN],
    uint8_t epoch);
/* Wipe and free; the direction is dead.  Also for one that is all zeros. */
void record_dir_free(struct record_dir *d);

/*
 * Append one record to out.  content: 1 to RECORD_CONTENT_MAX bytes, none for
 * RECORD_REKEY, RECORD_FRESH and RECORD_DUMMY, either for RECORD_CLOSE.  With pad > 0 the
 * inner plaintext (RECORD_INNER_HDR + content) is filled with zeros to exactly
 * pad bytes. -1: content does not fit pad or the record, out is full, the
 * direction is dead, or its limit is reached and this is none of RECORD_REKEY,
 * RECORD_FRESH and RECORD_CLOSE.
 */
int record_seal(struct record_dir *d, enum record_type type,
    struct bytes content, size_t pad, struct buf *out);
/*
 * How far the record at the start of in has arrived.  1: *total is its length
 * and all of it is there.  0: read on (*total is its length, or 0 while the
 * header is short).  -1: no acceptable header.
 */
int record_frame(struct bytes in, size_t *total);
/*
 * Open the one whole record rec[0..n) in place.  0: *type is known, *content
 * points into rec and obeys what record_seal() says of it.  -1: not authentic,
 * out of order, wrong epoch, malformed inside, or over the limit; the
 * direction is dead.
 */
int record_open(struct record_dir *d, uint8_t *rec, size_t n,
    enum record_type *type, struct bytes *content);

/*
 * Whether the sender must now send RECORD_REKEY and call record_rekey(): the
 * key has done max_records records or max_bytes bytes.  To be asked before
 * every record; the limit of one hour is the caller's.
 */
bool record_need_rekey(const struct record_dir *d);
/*
 * Go on to the next epoch: secret = XL(secret, "upd", ""), new key, number 0,
 * the old ones wiped.  The sender calls it after sealing RECORD_REKEY, the
 * receiver after opening it.  -1 after RECORD_EPOCH_LAST: the direction is
 * dead, the session ends.
 */
int record_rekey(struct record_dir *d);
/*
 * The same for RECORD_FRESH: secret = XL(Extract(secret, ss), "fresh", th), where ss
 * was agreed anew, and th is the hash of how (fresh.h).
 */
int record_fresh(struct record_dir *d, struct bytes ss,
    const uint8_t th[HASH_LEN]);

#endif
