/*
 * A signed export, checked with public keys alone (docs/protocol.md, Signed
 * conversations): what it proves, and what is not as it was signed.
 */
#ifndef CLIENT_VERIFY_H
#define CLIENT_VERIFY_H

#include "proof.h"
#include "transfer.h"

/* Whose signatures count. */
struct verify_key {
	uint8_t		sign[HASH_LEN];		/* H(signing SPKI) */
	uint8_t		message[HASH_LEN];	/* H(message SPKI) */
};

struct verify {
	const struct verify_key	*keys;
	size_t			 nkeys;
	/* Whether a server of this key is believed. */
	bool			(*server)(void *arg, const uint8_t fp[HASH_LEN]);
	/* A finding about message number (0: about the whole). */
	void			(*say)(void *arg, bool bad, uint64_t number,
				    const char *text);
	void			*arg;
	/* results */
	size_t			 problems;
	size_t			 signatures;	/* questions that verify */
	size_t			 receipts;	/* answers whose receipt does */
	size_t			 incomplete;	/* of them */
};

/* Check it all; results and findings are in v. */
void verify_run(struct verify *v, const struct transfer *t);

#endif
