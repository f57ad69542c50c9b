/*
 * Errors of a provider: what went wrong, in one line for a
 * person and in one class for a program.
 */
#ifndef LLMPROXY_WIRE_ERROR_H
#define LLMPROXY_WIRE_ERROR_H

#include <stdbool.h>
#include <time.h>

#include <jansson.h>

#include "bytes.h"

#define WIRE_MESSAGE_MAX	400	/* bytes of a message, without its NUL */
#define WIRE_CODE_MAX		64	/* bytes of a code, NUL included */
#define WIRE_RETRY_MAX	120000L	/* milliseconds that a server can ask for */

enum wire_class {
	WIRE_E_NONE = 0,
	WIRE_E_REQUEST,	/* the request is wrong in some other way */
	WIRE_E_AUTH,		/* the key is missing, wrong or not permitted */
	WIRE_E_NOTFOUND,	/* no such model or path */
	WIRE_E_CONTEXT,	/* the conversation does not fit */
	WIRE_E_RATE,		/* too many requests now */
	WIRE_E_QUOTA,		/* nothing left to spend */
	WIRE_E_OVERLOADED,	/* overloaded, or loading its model */
	WIRE_E_SERVER,	/* another failure at the server */
	WIRE_E_PROTOCOL	/* an answer that is not understood */
};

struct wire_error {
	enum wire_class cls;
	bool	 retry;		/* may be tried again if nothing was delivered */
	int	 status;	/* HTTP status, or the one that the error names; or 0 */
	long	 prompt_tokens;	/* WIRE_E_CONTEXT: as the server counted; or -1 */
	long	 context_tokens;	/* the size of its context; or -1 */
	char	 code[WIRE_CODE_MAX];	/* printable ASCII; may be "" */
	char	 message[WIRE_MESSAGE_MAX + 1];	/* one line of UTF-8 */
};

/* "auth", "context", ...: the class as a word for logs; never NULL. */
const char *wire_class_name(enum wire_class cls);
/*
 * Fill e from the body of an answer with an HTTP status other than 200.  Any body
 * will do: an error in any of the known shapes, plain text, HTML, nothing.
 * e->message is never empty, has no control characters and is cut between
 * characters.
 */
void wire_error_body(struct wire_error *e, int status, struct bytes body);
/*
 * The same from a JSON value; status is the HTTP status (200 for an error inside
 * of a stream).
 */
void wire_error_json(struct wire_error *e, int status, const json_t *root);
/*
 * Whether a JSON value that came with status 200 is an error: it has a member
 * "error" other than null and false, or "object" is "error".
 */
bool wire_error_is(const json_t *root);
/* Fill e with WIRE_E_PROTOCOL and a message of ours. */
void wire_error_protocol(struct wire_error *e, const char *message);
/*
 * Overwrite the secret (the API key) in code and message by asterisks wherever 8
 * or more bytes of its beginning occur, for servers that quote what they refuse.
 * To be called before either is logged or sent on.
 */
void wire_error_redact(struct wire_error *e, struct bytes secret);
/*
 * How long the server asks to wait, in milliseconds: the header retry-after-ms,
 * else retry-after (RFC 9110 10.2.3: seconds, a fraction allowed, or a date,
 * measured from now).  Either may be NULL.  Returns -1 when neither says anything
 * usable, and WIRE_RETRY_MAX + 1 for all that is longer: do not try again.
 */
long wire_retry_after(const char *retry_after_ms, const char *retry_after,
    time_t now);

#endif
