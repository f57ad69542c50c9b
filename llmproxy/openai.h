/*
 * OpenAI's chat completions, as llama-server, vLLM, Ollama (/v1), OpenRouter and
 * OpenAI speak it: the request's body and the state of one answer.  Pure: the
 * caller moves the bytes.
 *
 *	openai_init(&o, &cb, arg);
 *	if HTTP status 200:	openai_feed(&o, p, n) for each piece of the body,
 *				stopping when it returns other than 0
 *	when the body ended:	openai_end(&o) is the verdict
 *	otherwise:		openai_error_body() on the (bounded) body
 *	openai_free(&o)
 *
 * jsonin_init() must have been called before.
 */
#ifndef LLMPROXY_OPENAI_H
#define LLMPROXY_OPENAI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bytes.h"
#include "openai_error.h"
#include "sse.h"

#define OPENAI_BODY_MAX		(4 * 1024 * 1024)	/* of an answer not streamed */
#define OPENAI_DELTA_MAX	16384	/* bytes of one delta handed out */

enum openai_role {
	OPENAI_SYSTEM,
	OPENAI_USER,
	OPENAI_ASSISTANT
};

struct openai_msg {
	enum openai_role role;
	struct bytes	 text;		/* UTF-8 without NUL */
};

struct openai_req {
	const char	*model;
	const struct openai_msg *msgs;
	size_t		 nmsgs;
	uint32_t	 max_tokens;	/* 0: not sent */
	bool		 has_temperature;
	double		 temperature;
};

/*
 * Append the JSON body of a streaming request that asks for usage to out.
 * Returns 0, or -1 when a text or the model is not UTF-8 without NUL, the
 * temperature is not a finite number, or out is full; out->n is then as before.
 */
int openai_request(struct buf *out, const struct openai_req *req);

enum openai_finish {
	OPENAI_F_NONE = 0,	/* no finish_reason seen */
	OPENAI_F_STOP,
	OPENAI_F_LENGTH,
	OPENAI_F_TOOL_CALLS,
	OPENAI_F_CONTENT_FILTER,
	OPENAI_F_FUNCTION_CALL
};

enum openai_verdict {
	OPENAI_COMPLETE,	/* a finish_reason was seen and no error: o->finish */
	OPENAI_TRUNCATED,	/* ended without: never store or show as complete */
	OPENAI_FAILED		/* o->error says why; text may have gone out before */
};

/*
 * Where text goes.  t is valid UTF-8 without NUL (a NUL that the server sent is
 * U+FFFD), never empty, at most OPENAI_DELTA_MAX bytes, whole characters, and
 * valid during the call only.
 */
struct openai_cb {
	void	(*text)(void *arg, struct bytes t);
	void	(*reasoning)(void *arg, struct bytes t);
};

enum openai_mode { OPENAI_M_START, OPENAI_M_SSE, OPENAI_M_JSON };

/* One answer.  The fields under "results" are the caller's to read at any time. */
struct openai {
	/* results */
	enum openai_finish finish;
	bool		 delivered;	/* a callback was called: never retry now */
	bool		 tool_calls;	/* the model tried to call tools; ignored */
	bool		 done;		/* [DONE] was seen */
	int64_t		 prompt_tokens;	/* -1: not reported */
	int64_t		 completion_tokens;
	struct openai_error error;	/* cls is OPENAI_E_NONE while all is well */
	/* private */
	enum openai_mode mode;
	struct sse	 sse;
	struct buf	 body;
	const struct openai_cb *cb;
	void		*arg;
};

/*
 * Start an answer, which must not move in memory from now on; cb must outlive it.
 * Owns memory: see openai_free().
 */
void openai_init(struct openai *o, const struct openai_cb *cb, void *arg);
/*
 * Take n bytes of the body of an answer with status 200, in any split: an event
 * stream, or one JSON object from a server that does not stream.  Returns 0 to go
 * on, 1 after [DONE] (nothing more is of interest), -1 after an error, which is in
 * o->error.
 */
int openai_feed(struct openai *o, const void *p, size_t n);
/* The body has ended (or will not be read on): the verdict.  Call it once. */
enum openai_verdict openai_end(struct openai *o);
/* Wipe and free. */
void openai_free(struct openai *o);
/* "stop", "length", ...: the finish_reason's name; "none" without one. */
const char *openai_finish_name(enum openai_finish f);

#endif
