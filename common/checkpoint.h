/*
 * A signed checkpoint of the audit log: keyd's word, under the host key, that
 * line `seq` of the log had this hash at this time of keyd's clock.  As each
 * line has the hash of the one before, the signature covers all lines up to it.
 * keyd puts the signed bytes together itself (docs/protocol.md, Signed bytes).
 */
#ifndef COMMON_CHECKPOINT_H
#define COMMON_CHECKPOINT_H

#include "bytes.h"
#include "kdf.h"
#include "rsa.h"

struct checkpoint {
	uint64_t	seq;			/* of the last line covered */
	uint8_t		hash[HASH_LEN];		/* of that line */
	uint64_t	time_us;		/* since 1970-01-01 UTC */
	uint8_t		key[HASH_LEN];		/* H(host SPKI) */
	uint8_t		sig[RSA_OUT_MAX];
	size_t		sig_n;
};

/* Bytes of CHECKPOINT_TBS_MAX are enough for what is signed. */
#define CHECKPOINT_TBS_MAX	256
/* Longest text of checkpoint_fields(), with NUL. */
#define CHECKPOINT_FIELDS_MAX	1024

/* Append what is signed to out; sig is not used. */
void checkpoint_tbs(struct buf *out, const struct checkpoint *cp);
/* 0 if the signature is that of the host key whose SPKI hash is cp->key. */
int checkpoint_verify(const struct checkpoint *cp, EVP_PKEY *host);
/*
 * The fields of an audit.checkpoint event (events.h): line, hash, signed_us, key
 * and sig; hashes in hexadecimal, the signature in base64.
 */
void checkpoint_fields(char dst[CHECKPOINT_FIELDS_MAX],
    const struct checkpoint *cp);
/*
 * Take hash, key and signature in the form of those fields.  0, or -1 when one
 * has another form.
 */
int checkpoint_take(struct checkpoint *cp, const char *hash, const char *key,
    const char *sig);

#endif
