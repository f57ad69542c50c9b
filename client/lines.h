/*
 * Lines that the user types in a chat: with libedit on a terminal, plain from a
 * pipe.  While the user thinks the session is watched too.
 */
#ifndef CLIENT_LINES_H
#define CLIENT_LINES_H

#include "client.h"

struct lines;

enum lines_result {
	LINES_LINE,		/* a line was read */
	LINES_END,		/* end of input, ^D */
	LINES_INTERRUPTED,	/* ^C */
	LINES_LOST		/* the session is over; the user was told */
};

/*
 * Start; intr.h must have been started.  history is the file of earlier lines, or
 * NULL: none is read or written.  Dies without memory.
 */
struct lines *lines_new(struct conn *conn, const char *history);
/* Save the history and free; NULL is allowed. */
void lines_free(struct lines *l);
/*
 * Complete the first word of a line to one of these (ended by NULL, not copied)
 * when the user presses tab.
 */
void lines_complete(struct lines *l, const char *const *words);
/*
 * The next line begins with this text, which the user may edit; copied.  Nothing
 * happens where lines are not typed.
 */
#define LINES_PREFILL_MAX	16384	/* bytes */
void lines_prefill(struct lines *l, struct bytes text);
/* Whether lines are typed at a terminal. */
bool lines_typed(const struct lines *l);
/*
 * Append one line without its newline to out.  more: it continues another one.
 */
enum lines_result lines_read(struct lines *l, bool more, struct buf *out);

#endif
