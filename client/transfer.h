/*
 * The file that export writes and import reads: one JSON object,
 *
 *	{"format": "cloister conversation", "version": 1, "title": "...",
 *	 "messages": [{"role": "user" or "assistant", "time_us": N,
 *	   "model": "...", "finish": N, "prompt_tokens": N,
 *	   "completion_tokens": N, "text": "..."}, ...]}
 *
 * Times are microseconds since 1970; finish is a number of codes.h.  Of a
 * message, role and text must be there.  `export --signed' adds to each message its
 * "number" and, if it has one, "proof", and behind the messages
 *
 *	"signed": {"conversation": HEX, "count": N, "last": HEX,
 *	  "server": HEX, "client": HEX, "time_us": N, "key": HEX, "signature": HEX}
 *
 * (docs/protocol.md, Signed conversations).
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
/*
 * Read and parse a file, "-" for standard input: an exit code, and with RC_OK what
 * it says in *t; else the user was told.
 */
int transfer_load(const char *path, struct transfer **t);
void transfer_free(struct transfer *t);
/* How many messages; at least one. */
size_t transfer_count(const struct transfer *t);
/*
 * What a signed export has besides, of message i, or with TRANSFER_HEAD of the
 * whole: append bytes that are written in hexadecimal (nothing when it is missing),
 * or take a number, which must be there.  False when it is not so.
 */
#define TRANSFER_HEAD	SIZE_MAX
bool transfer_bytes(const struct transfer *t, size_t i, const char *name,
    struct buf *out);
bool transfer_number(const struct transfer *t, size_t i, const char *name,
    uint64_t *out);
/* Fill in all but req and conv; valid as long as t. */
void transfer_message(const struct transfer *t, size_t i,
    struct m_c_import *m);

#endif
