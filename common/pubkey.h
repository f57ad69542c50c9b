/*
 * The file with a person's public keys, which `cloister keygen' makes and
 * `cloisterctl key add' enrols.  Four lines of text:
 *
 *	cloister-key-v1 COMMENT
 *	sign: BASE64
 *	wrap: BASE64
 *	message: BASE64
 *
 * where BASE64 (RFC 4648, 4, padded) is the SPKI DER of an RSA key as rsa.h
 * accepts it without flags, typed RSA-PSS but for wrap.  No two are the same.
 */
#ifndef COMMON_PUBKEY_H
#define COMMON_PUBKEY_H

#include <stddef.h>

#include "bytes.h"
#include "rsa.h"

#define PUBKEY_COMMENT_MAX	64	/* bytes of UTF-8, no control characters */
#define PUBKEY_FILE_MAX		4096	/* bytes of a file, at most */

struct pubkey {
	struct buf	sign;
	struct buf	wrap;
	struct buf	message;
	char		comment[PUBKEY_COMMENT_MAX + 1];
};

/*
 * Take a file's content apart; all of it is checked as above.  0 with *k, to be
 * freed by pubkey_free(); or -1 with nothing to free and err (errsize bytes)
 * saying what is wrong, without echoing the file.
 */
int pubkey_parse(struct pubkey *k, struct bytes text, char *err,
    size_t errsize);
/* The same from the file at path; err names it. */
int pubkey_load(struct pubkey *k, const char *path, char *err,
    size_t errsize);
/* Append the file to out; 0, or -1 when the comment is not allowed or out is full. */
int pubkey_format(struct buf *out, const struct pubkey *k);
/* Whether a comment may stand in such a file. */
bool pubkey_comment_ok(struct bytes comment);
void pubkey_free(struct pubkey *k);

#endif
