/*
 * Server-sent events (WHATWG HTML, section 9.2), read incrementally: bytes
 * come in any split, events go out whole.  Pure: no input or output of its own.
 */
#ifndef LLMPROXY_SSE_H
#define LLMPROXY_SSE_H

#include <stdbool.h>
#include <stddef.h>

#include "bytes.h"

#define SSE_EVENT_MAX	(1024 * 1024)	/* bytes of one line, and of one event */
#define SSE_NAME_MAX	64		/* bytes of an event name, NUL included */

/*
 * One event.  name is "" when the event has none; a name that is too long or
 * holds a NUL is given as "?".  data is its data lines joined by LF, not checked
 * in any way, and valid during the call only.  Another value than 0 stops the
 * parser for good and is what sse_feed() returns.
 */
typedef int sse_event_fn(void *arg, const char *name, struct bytes data);

struct sse {
	struct buf	 line;		/* the line that is not complete yet */
	struct buf	 data;		/* data lines of this event, each with its LF */
	char		 name[SSE_NAME_MAX];
	bool		 first;		/* no line seen: it may begin with a BOM */
	bool		 after_cr;	/* an LF now belongs to the CR before it */
	int		 stop;		/* what every further sse_feed() returns */
	sse_event_fn	*fn;
	void		*arg;
};

/* Start; fn is called with arg for each event.  Owns memory: see sse_free(). */
void sse_init(struct sse *s, sse_event_fn *fn, void *arg);
/*
 * Take the next n bytes and call fn for each event that they complete.  Lines end
 * in LF, CR or CRLF; comments, id, retry and unknown fields are ignored, and so
 * is an event without data.  Returns 0, the value other than 0 that fn returned,
 * or -1 when a line or an event exceeds SSE_EVENT_MAX (or memory ran out).
 */
int sse_feed(struct sse *s, const void *p, size_t n);
/* Wipe and free.  An event that was not complete is dropped, as 9.2.6 says. */
void sse_free(struct sse *s);

#endif
