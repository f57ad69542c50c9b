/* What wire.c and the protocols share. */
#ifndef LLMPROXY_WIRE_LOCAL_H
#define LLMPROXY_WIRE_LOCAL_H

#include "wire.h"

/* One protocol. */
struct wire_protocol {
	const char	*path;
	bool		 lines;		/* JSON by the line; else events */
	/*
	 * The request as a new object, or NULL when it cannot be made; *why may
	 * say what of it.
	 */
	json_t		*(*request)(const struct wire_req *req,
			    const char **why);
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

/*
 * The message that begins at the i-th item: how many items it has, those that
 * belong to it with it.
 */
size_t wire_group(const struct wire_req *req, size_t i);
/*
 * The messages, each from make() of its items, as a new list, or NULL.  Tools, the
 * choice and, with no_system, system prompts are left out.
 */
json_t *wire_messages(const struct wire_req *req, bool no_system,
    json_t *(*make)(const struct wire_req *, const struct item *, size_t n));
/* The only item of that kind, or NULL. */
const struct item *wire_find(const struct wire_req *req, uint8_t kind);
/* The tools as OpenAI has them, a new list, or NULL; empty without any. */
json_t *wire_tools(const struct wire_req *req, const char **why);
/* What is wrong with a tool of which wire_object() says NULL. */
extern const char wire_bad_schema[];
/* Append a value as compact JSON; NULL is nothing.  0 or -1: out is full. */
int wire_dump(struct buf *out, const json_t *v);
/* A schema or arguments as an object, {} for "", or NULL when they are none. */
json_t *wire_object(struct bytes text);
/* Bytes in base64 with something before them, as a string, or NULL. */
json_t *wire_base64(const char *before, struct bytes b);
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
/*
 * A call, or more of one; v are text, null or absent.  0, or -1 after
 * wire_fail().
 */
int wire_tool(struct wire *w, json_int_t index, const json_t *id,
    const json_t *name, struct bytes args);
/* The same of a call that is whole, args any value, without a number of its own. */
int wire_whole_tool(struct wire *w, const json_t *id, const json_t *name,
    const json_t *args);
/* wire_fail(): a call that is none. */
int wire_bad_tool(struct wire *w);
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
