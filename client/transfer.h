/*
 * The file that export writes and import reads: one JSON object,
 *
 *	{"format": "cloister conversation", "version": 1, "title": "...",
 *	 "messages": [{"role": "user" or "assistant", "time_us": N,
 *	   "model": "...", "finish": N, "prompt_tokens": N,
 *	   "completion_tokens": N, "text": "..."}, ...]}
 *
 * Times are microseconds since 1970; finish is a number of codes.h.  Of a
 * message, role and text must be there.
 */
#ifndef CLIENT_TRANSFER_H
#define CLIENT_TRANSFER_H

#include "client.h"

#define TRANSFER_FORMAT		"cloister conversation"
#define TRANSFER_VERSION	1
#define TRANSFER_MAX		(256u << 20)	/* bytes of a file */

struct transfer;

/*
 * Parse and check a whole file; every message is within the bounds of
 * messages.def.  NULL with the reason in err.
 */
struct transfer *transfer_parse(struct bytes file, char *err, size_t errlen);
void transfer_free(struct transfer *t);
/* How many messages; at least one. */
size_t transfer_count(const struct transfer *t);
/* Fill in all but req and conv; valid as long as t. */
void transfer_message(const struct transfer *t, size_t i,
    struct m_c_import *m);

#endif
