/*
 * Whether a server's key is the right one: the keys in known_servers, and the
 * user at first contact.
 */
#ifndef CLIENT_TRUST_H
#define CLIENT_TRUST_H

#include "cconf.h"
#include "kdf.h"

struct trust {
	const struct cconf		*conf;
	const struct cconf_server	*server;
	const uint8_t			*link;	/* the key that a link names, or
						 * NULL */
};

/*
 * A handshake_trust (handshake.h) with a struct trust.  A known key is taken, but
 * not under a lower suite than it once spoke.  A changed key is refused, whatever
 * the configuration or a link says.  An unknown key is taken if it is that of the
 * link, where there is one, and else as `first_contact' says; ask means a
 * question on /dev/tty, and refusal when there is none.  A key taken
 * newly is remembered.
 */
int trust_decide(const uint8_t fp[HASH_LEN], int suite, void *arg);

/* What a user typed about the fingerprint in text. */
enum trust_answer { TRUST_YES, TRUST_NO, TRUST_UNCLEAR };
/* "yes", "no" or the fingerprint itself; anything else is unclear. */
enum trust_answer trust_parse(const char *line, const char *text);

#endif
