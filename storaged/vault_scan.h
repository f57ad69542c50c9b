/*
 * The messages of a conversation, one page of the engine at a time, each opened
 * and verified against the one before and the last one against the head.  What
 * does not verify is audited here.
 */
#ifndef STORAGED_VAULT_SCAN_H
#define STORAGED_VAULT_SCAN_H

#include "vault.h"

struct scan {
	/* Set by the owner, after scan_init(). */
	void		*arg;
	/* A message, number s->number: 0, or a code that ends the scan. */
	uint16_t	(*entry)(void *arg, const struct entry *e);
	/*
	 * What was asked for by scan_page() is there.  over: s->code is 0 after
	 * the last message, else why it ended; not over: call scan_page() again,
	 * now or later, or not at all.
	 */
	void		(*page)(void *arg, bool over);
	bool		 stop;		/* take no more of what comes */

	struct vault	*v;
	uint64_t	 n;		/* whose wish it is, for the audit */
	struct conv	*conv;		/* pinned; NULL: none */
	uint64_t	 number;	/* of the chunks below */
	uint64_t	 last;		/* to be read */
	uint64_t	 conv_last;	/* of the conversation, as chain */
	uint16_t	 code;
	bool		 fresh;		/* it brought the data key */
	bool		 behind;	/* a row behind the last message came */

	uint8_t		 chain[REC_HASH];
	uint8_t		 prev[REC_HASH];	/* of the entry before */
	bool		 have_prev;
	struct engine_pos at;
	struct rec_key	 hi;
	struct buf	 raw;		/* values of the chunks */
	size_t		 nchunks;
	struct rec_key	 key[ENTRY_CHUNKS_MAX];
	size_t		 value_n[ENTRY_CHUNKS_MAX];
	struct buf	 plain;
};

/* s is zero.  n: the session, for the audit. */
void scan_init(struct scan *s, struct vault *v, uint64_t n);
/*
 * Begin with messages from..last of c, which has them.  No other scan of s is
 * under way.
 */
void scan_begin(struct scan *s, struct conv *c, uint64_t from, uint64_t last);
/* Ask for the next page; the answer is a call of page(). */
void scan_page(struct scan *s);
/*
 * Done with the conversation.  forget: a data key that this scan brought into
 * the cache need not stay there.
 */
void scan_end(struct scan *s, bool forget);
/* scan_end(), and free what s holds. */
void scan_free(struct scan *s);

/* Audit that the conversation was changed; ERR_STORAGE. */
uint16_t scan_tamper(struct scan *s, const char *what);

#endif
