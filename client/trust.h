/*
 * Whether a server's key is the right one: the keys in known_servers, the user at
 * first contact, the authorities in ca_file; `trust' says which of them.
 */
#ifndef CLIENT_TRUST_H
#define CLIENT_TRUST_H

#include "cconf.h"
#include "handshake.h"

struct trust {
	const struct cconf		*conf;
	const struct cconf_server	*server;
	const uint8_t			*link;	/* the key that a link names, or
						 * NULL */
};

/*
 * A handshake_trust (handshake.h) with a struct trust.  Pins: a known key is
 * taken, a changed one is refused, whatever first_contact or a link says, which
 * are for a server of which no key is known; ask means a question on /dev/tty,
 * and refusal when there is none.  A key taken newly is remembered.
 * Certificates: certd (certd_child.h) says whether the chain is good; the key is
 * not pinned by it.  With either, no suite below the one that was once spoken
 * under this key.
 */
int trust_decide(const struct server_id *id, void *arg);

/* What a user typed about the fingerprint in text. */
enum trust_answer { TRUST_YES, TRUST_NO, TRUST_UNCLEAR };
/* "yes", "no" or the fingerprint itself; anything else is unclear. */
enum trust_answer trust_parse(const char *line, const char *text);

#endif
