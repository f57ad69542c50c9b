/*
 * What was said in a conversation, as the model is to see it: the stored messages
 * in their order, the last system prompt before all of them.
 */
#ifndef SESSIOND_HISTORY_H
#define SESSIOND_HISTORY_H

#include <sys/queue.h>

#include "bytes.h"

#define HISTORY_TEXT_MAX	1048576	/* bytes of one message */

struct past {
	TAILQ_ENTRY(past)	 link;
	uint8_t			 kind;		/* enum kind */
	struct buf		 text;
};

struct history {
	TAILQ_HEAD(past_list, past) list;
	uint32_t		 n;		/* in list */
	size_t			 bytes;		/* of all text */
	struct buf		 system;	/* the prompt in force; may be empty */
	bool			 withdrawn;	/* no question came since */
};

void history_init(struct history *h);
/* Free all of it; it is then as after history_init(). */
void history_free(struct history *h);
/*
 * Append a message as it is; text (at most HISTORY_TEXT_MAX bytes) is moved and
 * left empty.  Dies without memory.
 */
void history_append(struct history *h, uint8_t kind, struct buf *text);
/*
 * The same for a stored message: a system prompt takes the place of the one before,
 * KIND_WITHDRAWN takes back the last question and what follows it, and an answer
 * right behind that belongs to what was taken back.
 */
void history_take(struct history *h, uint8_t kind, struct buf *text);
/* The system prompt from now on is text, copied; empty: none. */
void history_set_system(struct history *h, struct bytes text);

#endif
