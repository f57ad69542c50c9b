/*
 * What `cloister serve' takes and says: OpenAI's chat completions and models, as
 * text.  Pure.  What is asked for and cannot be given is refused, never left out.
 */
#ifndef CLIENT_SERVE_JSON_H
#define CLIENT_SERVE_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "bytes.h"
#include "codes.h"
#include "item.h"

#define SERVE_BODY_MAX	(4u << 20)	/* bytes of a request's body */
#define SERVE_MODEL_MAX	64		/* bytes of a model's name */
#define SERVE_PARAM_MAX	64

/* Why a request is refused. */
struct serve_error {
	unsigned	 status;	/* HTTP's */
	const char	*type;		/* OpenAI's words */
	const char	*code;		/* or NULL */
	char		 param[SERVE_PARAM_MAX];	/* or "" */
	char		 message[512];
};

/* A chat completion that is asked for. */
struct serve_chat {
	char		 model[SERVE_MODEL_MAX + 1];
	bool		 stream;
	bool		 usage;		/* stream_options.include_usage */
	bool		 tools;		/* there are some */
	uint32_t	 max_tokens;	/* 0: not set */
	uint32_t	 temperature, top_p;	/* thousandths + 1; 0: not set */
	struct buf	 messages;	/* as c_chat has them */
};

/*
 * Read a body.  0, and the caller calls serve_chat_free(); or -1 with e filled.
 */
int serve_chat_parse(struct serve_chat *c, struct bytes body,
    struct serve_error *e);
void serve_chat_free(struct serve_chat *c);

/* Fill e. */
void serve_refuse(struct serve_error *e, unsigned status, const char *type,
    const char *code, const char *message);
/* Fill e from an s_error's code and words. */
void serve_refuse_code(struct serve_error *e, enum err code, struct bytes text,
    struct bytes hint);

/* Each appends JSON to out; with event it is one event of a stream. */
void serve_put_error(struct buf *out, const struct serve_error *e, bool event);

/* What all words about one answer have in common. */
struct serve_answer {
	char		 id[48];
	int64_t		 created;	/* seconds since 1970 */
	char		 model[SERVE_MODEL_MAX + 1];
};

/* A chunk that says who speaks: the first of a stream. */
void serve_put_role(struct buf *out, const struct serve_answer *a);
void serve_put_delta(struct buf *out, const struct serve_answer *a,
    enum delta kind, struct bytes text);
/* A tool is called, or more of its arguments came (s_tool). */
void serve_put_call(struct buf *out, const struct serve_answer *a,
    unsigned index, struct bytes id, struct bytes name, struct bytes args);
/*
 * The end of a stream: why, the usage if it was asked for, and [DONE].  finish is
 * one of those that serve_finish() names.
 */
void serve_put_end(struct buf *out, const struct serve_answer *a,
    enum finish finish, bool usage, uint32_t prompt_tokens,
    uint32_t completion_tokens);

/* An answer that is gathered because it is not streamed. */
struct serve_whole {
	size_t		 max;		/* bytes of each text, and of all calls */
	struct buf	 text, reasoning;
	struct serve_call {
		struct buf id, name, args;
	}		*call;
	size_t		 ncalls;
	size_t		 bytes;		/* of arguments */
};

void serve_whole_init(struct serve_whole *w, size_t max);
void serve_whole_free(struct serve_whole *w);
/* As serve_put_call().  0, or -1 when it is too much or makes no sense. */
int serve_whole_call(struct serve_whole *w, unsigned index, struct bytes id,
    struct bytes name, struct bytes args);
void serve_put_whole(struct buf *out, const struct serve_answer *a,
    const struct serve_whole *w, enum finish finish, uint32_t prompt_tokens,
    uint32_t completion_tokens);
/*
 * OpenAI's name of a reason to finish; NULL when the answer is not complete: for
 * calls of tools, where there are none.
 */
const char *serve_finish(enum finish finish, bool tools);

/* The list of models: begin, one each, end. */
void serve_put_models(struct buf *out);
void serve_put_model(struct buf *out, bool first, struct bytes alias,
    struct bytes provider);
void serve_put_models_end(struct buf *out);

#endif
