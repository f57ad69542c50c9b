/*
 * What a provider's wire carries: the body of a request for one answer, and the
 * state of that answer, whichever of the protocols the provider speaks.  Pure:
 * the caller moves the bytes.
 *
 *	wire_init(&w, type, &cb, arg);
 *	if HTTP status 200:	wire_feed(&w, p, n) for each piece of the body,
 *				stopping when it returns other than 0
 *	when the body ended:	wire_end(&w) is the verdict
 *	otherwise:		wire_error_body() on the (bounded) body
 *	wire_free(&w)
 *
 *	openai.c	chat completions, as llama-server, vLLM, OpenRouter and
 *			OpenAI speak them
 *	anthropic.c	messages
 *	ollama.c	/api/chat, Ollama's own
 *
 * jsonin_init() must have been called before.
 */
#ifndef LLMPROXY_WIRE_H
#define LLMPROXY_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bytes.h"
#include "codes.h"
#include "item.h"
#include "sse.h"
#include "wire_error.h"

#define WIRE_BODY_MAX	(4 * 1024 * 1024)	/* of an answer not streamed */
#define WIRE_DELTA_MAX	16384	/* bytes of one delta handed out */
/* What an Anthropic server is asked for where nothing is configured: it wants a
 * number. */
#define WIRE_MAX_TOKENS	8192

struct wire_req {
	const char	*model;
	const struct item *items;	/* in the order of item_next() */
	size_t		 nitems;
	uint32_t	 max_tokens;	/* 0: not sent where that can be */
	uint32_t	 context;	/* Ollama: tokens of context; 0: not sent */
	uint32_t	 temperature;	/* thousandths + 1; 0: not sent */
	uint32_t	 top_p;		/* the same */
};

/*
 * Append the JSON body of a streaming request that asks for usage to out.
 * Returns 0, or -1 when a text or the model is not UTF-8 without NUL, out is
 * full, or something cannot be said to such a provider; out->n is then as before,
 * and *why says what it is, or NULL.
 */
int wire_request(struct buf *out, enum provider_type type,
    const struct wire_req *req, const char **why);
/* What stands behind the provider's path in the request's address. */
const char *wire_path(enum provider_type type);

enum wire_finish {
	WIRE_F_NONE = 0,	/* no reason seen */
	WIRE_F_STOP,
	WIRE_F_LENGTH,
	WIRE_F_TOOL_CALLS,
	WIRE_F_CONTENT_FILTER,
	WIRE_F_FUNCTION_CALL
};

enum wire_verdict {
	WIRE_COMPLETE,	/* a reason to finish was seen and no error: w->finish */
	WIRE_TRUNCATED,	/* ended without: never store or show as complete */
	WIRE_FAILED	/* w->error says why; text may have gone out before */
};

/*
 * Where text goes.  t is valid UTF-8 without NUL (a NUL that the server sent is
 * U+FFFD), never empty, at most WIRE_DELTA_MAX bytes, whole characters, and
 * valid during the call only.
 */
struct wire_cb {
	void	(*text)(void *arg, struct bytes t);
	void	(*reasoning)(void *arg, struct bytes t);
	/*
	 * A tool is called, or more of its arguments came: index is below
	 * ITEM_CALLS_MAX, id and name are within their bounds (item.h), each of
	 * the three may be empty, args are like t.
	 */
	void	(*tool)(void *arg, unsigned index, struct bytes id,
		    struct bytes name, struct bytes args);
};

enum wire_mode { WIRE_M_START, WIRE_M_SSE, WIRE_M_JSON, WIRE_M_LINES };

/* One answer.  The fields under "results" are the caller's to read at any time. */
struct wire {
	/* results */
	enum wire_finish finish;
	bool		 delivered;	/* a callback was called: never retry now */
	bool		 tool_calls;	/* the model calls tools */
	bool		 done;		/* the protocol's own last word was seen */
	int64_t		 prompt_tokens;	/* -1: not reported */
	int64_t		 completion_tokens;
	struct wire_error error;	/* cls is WIRE_E_NONE while all is well */
	/* private */
	enum provider_type type;
	enum wire_mode	 mode;
	unsigned	 ncalls;	/* of tools, where they have no numbers */
	struct sse	 sse;
	struct buf	 body;		/* WIRE_M_JSON; a line of WIRE_M_LINES */
	const struct wire_cb *cb;
	void		*arg;
};

/*
 * Start an answer, which must not move in memory from now on; cb must outlive it.
 * Owns memory: see wire_free().
 */
void wire_init(struct wire *w, enum provider_type type,
    const struct wire_cb *cb, void *arg);
/*
 * Take n bytes of the body of an answer with status 200, in any split: a stream,
 * or one JSON object from a server that does not stream.  Returns 0 to go on, 1
 * after the protocol's last word (nothing more is of interest), -1 after an
 * error, which is in w->error.
 */
int wire_feed(struct wire *w, const void *p, size_t n);
/* The body has ended (or will not be read on): the verdict.  Call it once. */
enum wire_verdict wire_end(struct wire *w);
/* Wipe and free. */
void wire_free(struct wire *w);
/* "stop", "length", ...: the reason's name, OpenAI's; "none" without one. */
const char *wire_finish_name(enum wire_finish f);

#endif
