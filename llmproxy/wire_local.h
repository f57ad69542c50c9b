/* What wire.c and the protocols share. */
#ifndef LLMPROXY_WIRE_LOCAL_H
#define LLMPROXY_WIRE_LOCAL_H

#include "wire.h"

/* One protocol. */
struct wire_protocol {
	const char	*path;
	bool		 lines;		/* JSON by the line; else events */
	/* The request as a new object, or NULL when it cannot be made. */
	json_t		*(*request)(const struct wire_req *req);
	/*
	 * A value of the stream, or with `whole` the body of an answer that is
	 * not streamed: no error by its shape.  0, 1 after the last word, or -1
	 * after wire_fail().
	 */
	int		 (*take)(struct wire *w, const json_t *root, bool whole);
};

extern const struct wire_protocol wire_openai;
extern const struct wire_protocol wire_anthropic;
extern const struct wire_protocol wire_ollama;

/* req's messages from the first-th on as role and content, or NULL. */
json_t *wire_messages(const struct wire_req *req, size_t first);
/*
 * Set a number that is given in thousandths + 1, or, without one (0), nothing.
 * 0 or -1.
 */
int wire_set(json_t *object, const char *name, uint32_t thousandths);
/* The same for a whole number; 0 is none. */
int wire_set_int(json_t *object, const char *name, uint32_t n);
/* A text as a JSON string, or NULL when it is not UTF-8 without NUL. */
json_t *wire_string(struct bytes t);

/* Hand text out, whatever its length. */
void wire_text(struct wire *w, struct bytes t);
void wire_reasoning(struct wire *w, struct bytes t);
/* The server broke the protocol: sets w->error and returns -1. */
int wire_fail(struct wire *w, const char *message);
/*
 * A reason to finish, looked up in names[n]; the first one counts.  Absent, null
 * and empty are no reason (0); an unknown one is an error (-1).
 */
struct wire_reason {
	const char	*name;
	enum wire_finish finish;
};
int wire_take_finish(struct wire *w, const json_t *v,
    const struct wire_reason *names, size_t n);
/* Absent, null and text are what a text member may be: nothing is dropped. */
bool wire_text_or_none(const json_t *v);
/* A number of tokens, if v is one; else *dst stays. */
void wire_count(int64_t *dst, const json_t *v);

#endif
