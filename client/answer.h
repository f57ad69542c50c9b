/*
 * One question and its answer, shown as it comes.
 */
#ifndef CLIENT_ANSWER_H
#define CLIENT_ANSWER_H

#include "client.h"

/*
 * Ask text in the conversation conv (zeros: a new one) and print the answer:
 * its text on standard output, with a newline at its end; reasoning dim on
 * standard error, when that is a terminal.  ^C (intr.h must be started) cancels it;
 * a second ^C waits no more.  A prompt is sent once, whatever happens.
 *
 * On return conv is the conversation in which the question was stored, and that
 * was remembered as the last one.  Returns RC_OK, RC_INTERRUPTED when it was
 * cancelled by the user, or another exit code after telling the user; conn has been
 * told to stop in every case in which it still stands.
 */
struct answer_end {
	bool		gone;	/* the second ^C came, or nobody reads the
				 * output: nothing more can be done here */
	bool		stored;	/* the question is, in conv */
	bool		some;	/* text of the answer was printed */
	uint64_t	last;	/* number of the last message there, 0: not
				 * known */
};
int answer_run(struct client *cl, struct bytes text, uint8_t conv[CONV_LEN],
    struct answer_end *end);

#endif
