/* What the check at start knows: vault_boot.c finds, vault_judge.c decides. */
#ifndef STORAGED_VAULT_BOOT_H
#define STORAGED_VAULT_BOOT_H

#include "vault.h"

#define BAD_NAMES	8

/* What the scans of all records came to. */
struct found {
	uint8_t	mset[REC_HASH];		/* of those that verify */
	size_t	bad;			/* that do not */
	char	bad_name[BAD_NAMES][64];	/* the first ones */
};

/* v->why, and -1. */
__attribute__((format(printf, 2, 3)))
int boot_refuse(struct vault *v, const char *fmt, ...);

/*
 * Compare what was found, H and the anchor; what is wrong is audited.  0 when
 * the service may start: single conversations may be refused then.  Else -1 with
 * the reason in v->why.
 */
int vault_judge(struct vault *v, const struct found *f);

#endif
