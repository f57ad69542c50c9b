/*
 * cloister serve: OpenAI's API on this machine, for programs that know no other,
 * over one encrypted session.
 *
 *	cmd_serve.c	the address, the token, the loop
 *	serve_http.c	HTTP, through libmicrohttpd: who may ask what
 *	serve_call.c	a call's way to the server and back
 *	serve_ask.c	requests, from JSON
 *	serve_json.c	answers, as JSON
 *
 * A call waits on its HTTP connection until the server has said something about
 * it; then its answer streams, or is sent when it is whole.
 */
#ifndef CLIENT_SERVE_H
#define CLIENT_SERVE_H

#include <sys/queue.h>

#include "client.h"
#include "serve_json.h"

#define SERVE_PORT	7465
#define SERVE_TOKEN	43	/* characters of the token */
#define SERVE_FLYING	8	/* calls at the server at once; others wait */
#define SERVE_CALLS	256	/* calls in all; more are refused */
#define SERVE_OUT_MAX	(8u << 20) /* bytes of an answer that wait */

struct MHD_Connection;
struct MHD_Daemon;

enum call_state {
	CALL_READING,	/* its body arrives */
	CALL_WAITING,	/* for its turn */
	CALL_FLYING,	/* at the server */
	CALL_OVER	/* the server has said its last word, or was not asked */
};

struct call {
	TAILQ_ENTRY(call) link;		/* of serve.calls */
	struct serve	*s;
	struct MHD_Connection *http;	/* NULL: it has gone */
	bool		 suspended;	/* http waits for us */
	bool		 left;		/* its client has hung up */
	bool		 answering;	/* http has an answer, at least its head */
	int		 hup_fd;	/* watched while suspended, or -1 */
	enum call_state	 state;
	bool		 models;	/* else a chat */
	struct buf	 body;
	bool		 too_long;
	struct serve_chat chat;
	struct serve_answer who;
	uint32_t	 req;
	/* what is to be said */
	bool		 failed;	/* error says why */
	struct serve_error error;
	struct buf	 out;		/* not handed to http yet */
	struct serve_whole whole;	/* an answer that is not streamed */
	size_t		 nmodels;
};
TAILQ_HEAD(calls, call);

struct serve {
	struct client	*cl;
	struct MHD_Daemon *mhd;
	int		 listen_fd;
	int		 hup;		/* epoll: clients that hang up */
	int		 all;		/* epoll: the two of them */
	bool		 local_only;	/* a UNIX socket: no Host to check */
	char		 token[SERVE_TOKEN + 1];
	struct calls	 calls;
	size_t		 ncalls, nflying;
	bool		 woken;		/* something was resumed */
};

/* ---- serve_http.c -------------------------------------------------------- */

/* Start on s->listen_fd; fatal when libmicrohttpd does not. */
void http_start(struct serve *s);
void http_stop(struct serve *s);
/* Do what can be done without waiting. */
void http_run(struct serve *s);
/* c has something new to say: let http go on. */
void http_wake(struct call *c);

/* ---- serve_call.c -------------------------------------------------------- */

struct call *call_new(struct serve *s, struct MHD_Connection *http);
/* HTTP is done with c, which may have ended or not. */
void call_gone(struct call *c);
/* The body is whole: c->failed, or it waits for its turn from now on. */
void call_ask(struct call *c);
/* Send what can be sent; c's of which the server cannot be asked fail. */
void call_pump(struct serve *s);
/* A message of the server's.  RC_OK, or RC_LOST when it makes no sense. */
int call_message(struct serve *s, const struct msg *m);
/* The session was lost: calls at the server fail, and are not sent again. */
void call_lost(struct serve *s);

#endif
