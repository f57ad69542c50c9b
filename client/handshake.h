/*
 * The client's side of the handshake over a connected socket: hs.h does the
 * cryptography, keyd_child.h has the user's keys, this moves the messages.
 */
#ifndef CLIENT_HANDSHAKE_H
#define CLIENT_HANDSHAKE_H

#include "hs.h"
#include "keyd_child.h"

#define HANDSHAKE_MS	30000	/* without the time in which a user is asked */

/* What a server showed. */
struct server_id {
	uint8_t		 fp[HASH_LEN];	/* of its key, which it proved to hold */
	int		 suite;		/* that was agreed */
	struct bytes	 spki;
	struct bytes	 chain;		/* its certificates (certs.h) */
};

/*
 * Whether the server's key is to be trusted, under this suite.  Returns RC_OK, or
 * another exit code after telling the user: then nothing of the client's
 * identity is sent.
 */
typedef int handshake_trust(const struct server_id *id, void *arg);

struct handshake {
	int		 fd;		/* connected, non-blocking; the caller's */
	const char	*server;	/* its name, for messages */
	struct keyd	*keyd;		/* opened; NULL: only see the server's key */
	const uint8_t	*pin;		/* the key to expect, or NULL */
	struct bytes	 cert;		/* of our signing key, or empty */
	handshake_trust	*trust;
	void		*arg;		/* of trust */
	/* results */
	bool		 silent;	/* closed without one byte of answer */
	struct hs_session session;	/* after RC_OK; the caller wipes it */
	uint8_t		 server_hash[HASH_LEN];	/* after RC_OK */
	uint8_t		 suite;
	uint8_t		 bind[HASH_LEN];	/* hs_login_bind() */
	size_t		 seal_n;	/* HS_SEAL, or 0: takes no passwords */
	uint8_t		 seal[HS_SEAL];	/* what passwords are sealed to */
};

/*
 * Do it.  Returns RC_OK with h->session, or another exit code after telling the
 * user; only after silence (h->silent, RC_LOST) the telling is left to the caller.
 * Without keyd it ends after trust was asked, whose answer it then returns.
 */
int handshake_run(struct handshake *h);

#endif
