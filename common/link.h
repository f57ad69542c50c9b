/*
 * The link that `cloisterctl invite' prints and `cloister login' takes:
 *
 *	cloister://HOST[:PORT]/#FINGERPRINT.CODE
 *
 * FINGERPRINT is H(server SPKI) and CODE an invite's id and secret (password.h),
 * both in base64url without padding (RFC 4648, 5): 43 and 32 characters.  The
 * part behind '#' is a secret until it is used.
 */
#ifndef COMMON_LINK_H
#define COMMON_LINK_H

#include "password.h"

#define LINK_SCHEME	"cloister://"
#define LINK_SERVER_MAX	263
#define LINK_MAX	(sizeof(LINK_SCHEME) + LINK_SERVER_MAX + 2 + 43 + 1 + 32)

struct link {
	char	server[LINK_SERVER_MAX + 1];	/* "HOST" or "HOST:PORT" */
	uint8_t	fp[HASH_LEN];
	uint8_t	code[INVITE_CODE];
};

/* 0, or -1: not such a link.  server is not looked at beyond its length. */
int link_parse(struct link *l, const char *text);
/* Write it; -1 when server is too long. */
int link_format(char text[LINK_MAX], const struct link *l);

#endif
