/*
 * The client's side of a resumption over a connected socket: no key of the user is
 * needed, and no question is asked.
 */
#ifndef CLIENT_RESUME_H
#define CLIENT_RESUME_H

#include "hs.h"

#define RESUME_MS	10000

/*
 * Resume with a ticket of a session with the server whose key has this hash.  0
 * with *s, which the caller wipes; -1 when it did not come to be, whatever the
 * reason (with -v it is said): then the connection is of no use, a whole handshake
 * over another one is the way, and the ticket was used up.
 */
int resume_run(int fd, const uint8_t server_hash[HASH_LEN],
    const struct hs_ticket *t, struct hs_session *s);

#endif
