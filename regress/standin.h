/*
 * What standin's parts share: standin.c moves bytes, standin_answer.c says what
 * a model of that name answers, standin_wire.c in which form.
 */
#ifndef REGRESS_STANDIN_H
#define REGRESS_STANDIN_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>
#include <openssl/ssl.h>

#include "bytes.h"
#include "codes.h"

/* One connection and its request. */
struct conn {
	int	 fd;
	SSL	*ssl;		/* NULL: plain */
	bool	 gone;		/* the peer has closed: writes do nothing */
	bool	 sent;		/* the whole answer went out before that */
	bool	 chunked;	/* the body of the answer goes out in chunks */
	bool	 crlf;		/* event streams end lines in CRLF ... */
	bool	 dribble;	/* ... and go out byte by byte */
	/* the request */
	enum provider_type wire; /* the protocol, by its path */
	bool	 credentials;	/* it has an Authorization header */
	char	 model[64];
	const char *last;	/* the last user's message, owned by req */
	size_t	 nmsgs;
	bool	 stream;
	bool	 system;	/* a system prompt came, in whatever form */
	json_t	*req;
};

/* The options. */
struct standin {
	const char	*key;		/* NULL: everybody may ask */
	int		 delay_ms;	/* between two words */
	int		 log_fd;	/* or -1 */
	SSL_CTX		*tls;		/* or NULL */
	bool		 keep_alive;	/* after answers that ended properly */
};
extern struct standin standin;

/* Wait ms milliseconds; c->gone is set, and ends it, when the peer closes. */
void nap(struct conn *c, int ms);
/* Write n bytes, or set c->gone. */
void write_all(struct conn *c, const void *p, size_t n);
/* Answer a request whose body this is in the protocol c->wire, and log it. */
void answer_completion(struct conn *c, struct bytes body);
/* Answer GET /v1/models. */
void answer_models(struct conn *c);

/* ---- standin_wire.c: an answer in c->wire's form --------------------------- */

/* Begin a stream, in chunks or up to the end of the connection. */
void wire_open(struct conn *c, bool chunked);
/* A piece of text, which may be NULL for null. */
void wire_piece(struct conn *c, bool reasoning, const char *text);
/* The proper end, by "stop", "length" or "tool_calls"; closes. */
/* Call a tool, whose arguments come in two pieces where they can. */
void wire_call(struct conn *c, const char *name, const char *args);
void wire_finish(struct conn *c, const char *reason, int prompt, int completion);
/* An error in the middle of the stream; closes. */
void wire_error(struct conn *c, const char *type, const char *message);
/* Bytes of the stream as they are, as c's line ends and pace have it. */
void wire_say(struct conn *c, const char *s);
/* The end of a chunked body. */
void wire_close(struct conn *c);
/* An answer that is not streamed. */
void wire_whole(struct conn *c, const char *text);
/* A JSON body; extra is header lines, each with its CRLF. */
void answer_plain(struct conn *c, int status, const char *extra,
    const char *body);

#endif
