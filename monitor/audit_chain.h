/* What writing and verifying the audit log share; see audit.h. */
#ifndef MONITOR_AUDIT_CHAIN_H
#define MONITOR_AUDIT_CHAIN_H

#include "audit.h"

/* A line taken apart; only its form is checked. */
struct audit_parsed {
	struct bytes	line;			/* without its newline */
	uint64_t	seq;
	const char	*prev;			/* 64 characters in the line */
};

/* Take a line without its newline apart.  0, or -1 when it has another form. */
int audit_parse(struct audit_parsed *p, struct bytes line);
/* Whether the line's mac is right under key. */
bool audit_mac_ok(const struct audit_parsed *p,
    const uint8_t key[AUDIT_KEY_BYTES]);
/* Whether the line names hash as the previous line's. */
bool audit_prev_ok(const struct audit_parsed *p,
    const uint8_t hash[AUDIT_HASH_BYTES]);
/* key_(i+1) in the place of key_i. */
void audit_ratchet(uint8_t key[AUDIT_KEY_BYTES]);
/* Move the chain behind the line (without its newline). */
void audit_advance(struct audit_chain *c, struct bytes line);
/*
 * Compare a line with what the chain expects next.  AUDIT_GOOD, and the chain
 * has moved on; or why not, and it has not.  A genuine line with a higher
 * number is AUDIT_DROPPED.  initial is the key of line 1, for lines from
 * before, or NULL when it is not known.
 */
enum audit_reason audit_check(struct audit_chain *c, struct bytes line,
    const uint8_t *initial);

#endif
