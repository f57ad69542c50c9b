/*
 * The key exchange worker: one connection from its first byte until its client
 * is authenticated (docs/protocol.md, Handshake), then it hands the session's
 * keys and the socket to its twin and is gone.  Blocking and linear, with one
 * deadline for everything.
 */
#ifndef SESSIOND_KEX_H
#define SESSIOND_KEX_H

#include "bytes.h"
#include "certs.h"
#include "chan.h"

/* Bytes that are read from a client before it is authenticated, at most. */
#define KEX_BYTES_MAX	16384

/* What a worker is born with; the channels are synchronous (loop NULL). */
struct kex {
	uint64_t	 n;		/* the pair's number */
	struct chan	*zygote;	/* ZYG_KEX, END_B, IDLE, CHAN_RECV_FD */
	struct chan	*keyd;		/* KEX_KEYD, END_A, NEW */
	struct chan	*vault;		/* KEX_VAULT, END_A, NEW */
	struct chan	*twin;		/* TWIN, END_A */
	struct bytes	 spki;		/* the server's signing key */
	const struct certs *chain;	/* its certificates, maybe none */
	uint32_t	 grace_s;	/* for the whole handshake */
	bool		 first_contact;	/* serve clients that know no key */
	uint8_t		 lowest_suite;	/* take none below this one */
};

/*
 * Wait for a client and serve it.  Returns the status to exit with: 0 when the
 * twin has everything, or when no client came before zygote, keyd or vault
 * went; 1 when the client was refused, whatever the reason.  The reason goes to
 * the vault as xv_log; the client sees nothing before its CH was accepted,
 * and afterwards one constant CLOSE.
 */
int kex_run(const struct kex *k);

#endif
