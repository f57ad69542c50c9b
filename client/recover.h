/*
 * A question whose connection was lost on its way: it is never sent a second time;
 * what became of it is looked up, and its answer shown if it is whole.
 */
#ifndef CLIENT_RECOVER_H
#define CLIENT_RECOVER_H

#include "client.h"

/* What is known of the question. */
struct recover {
	struct bytes	 text;
	bool		 stored;	/* s_stored came: conv is its */
	uint64_t	 last;		/* messages there before, 0: not known */
	uint64_t	 sent_us;	/* when it was sent, by our clock */
	bool		 shown;		/* a part of the answer was */
	bool		 whole;		/* set: the whole answer was shown now */
};

/*
 * Connect again and tell the user what the server has of it; conv becomes the
 * conversation that the question began.  RC_OK, or another exit code after telling.
 */
int recover_run(struct client *cl, struct recover *r,
    uint8_t conv[CONV_LEN]);

#endif
