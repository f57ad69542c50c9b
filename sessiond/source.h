/*
 * Where connections come from, and what each source may do: how many at once,
 * how fast, and how long it must wait after what went wrong.  A source is an
 * IPv4 address or an IPv6 /64.  Pure but for memory: the caller tells the time.
 */
#ifndef SESSIOND_SOURCE_H
#define SESSIOND_SOURCE_H

#include <sys/socket.h>

#include <stdbool.h>
#include <stdint.h>

#define SOURCES_MAX	65536	/* remembered; the longest idle is forgotten */
#define SOURCE_TEXT	64	/* bytes of an address's text, NUL included */

struct sources;
struct source;

enum source_verdict {
	SOURCE_OK,
	SOURCE_FULL,		/* too many connections at once */
	SOURCE_FAST,		/* too many in a short time */
	SOURCE_PENALTY		/* it must wait */
};

/* How a connection ended, as zs_done says. */
enum source_outcome { SOURCE_DONE = 0, SOURCE_REFUSED = 1, SOURCE_CRASH = 2 };

struct sources *sources_new(void);
void sources_free(struct sources *ss);

/*
 * Ask for one more connection from sa at now_ms, with at most max at once.
 * SOURCE_OK: it is counted, and *s is to be given back to source_end(), which
 * it outlives.
 */
enum source_verdict source_begin(struct sources *ss, const struct sockaddr *sa,
    uint32_t max, uint64_t now_ms, struct source **s);
/* One of its connections ended.  Returns the penalty it has now, ms. */
uint64_t source_end(struct sources *ss, struct source *s,
    enum source_outcome outcome, uint64_t now_ms);
/* The penalty that it has now, ms. */
uint64_t source_waits(const struct source *s, uint64_t now_ms);
/* Whom it stands for: an IPv4 address, or "NETWORK/64" of IPv6. */
void source_name(char text[SOURCE_TEXT], const struct source *s);
/* How many sources are remembered. */
unsigned sources_count(const struct sources *ss);

/* "ADDRESS:PORT", IPv6 addresses in brackets, into text. */
void source_text(char text[SOURCE_TEXT], const struct sockaddr *sa);

#endif
