#include "serve_json.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "log.h"

void
serve_refuse(struct serve_error *e, unsigned status, const char *type,
    const char *code, const char *message)
{
	e->status = status;
	e->type = type;
	e->code = code;
	e->param[0] = '\0';
	(void)strlcpy(e->message, message, sizeof(e->message));
}

void
serve_refuse_code(struct serve_error *e, enum err code, struct bytes text,
    struct bytes hint)
{
	static const struct {
		unsigned	 status;
		const char	*type, *code;
	} map[] = {
		[ERR_INTERNAL] = { 500, "server_error", NULL },
		[ERR_NO_CONV] = { 404, "invalid_request_error", NULL },
		[ERR_NO_MODEL] = { 404, "invalid_request_error",
		    "model_not_found" },
		[ERR_UPSTREAM] = { 502, "server_error", "upstream_error" },
		[ERR_UPSTREAM_KEY] = { 502, "server_error", "upstream_error" },
		[ERR_CONTEXT] = { 400, "invalid_request_error",
		    "context_length_exceeded" },
		[ERR_OVERLOADED] = { 429, "requests", "rate_limit_exceeded" },
		[ERR_STORAGE] = { 500, "server_error", NULL },
		[ERR_LIMIT] = { 429, "requests", "rate_limit_exceeded" },
		[ERR_BUSY] = { 429, "requests", "rate_limit_exceeded" },
		[ERR_BAD] = { 400, "invalid_request_error", NULL },
		[ERR_TRUNCATED] = { 502, "server_error", "truncated" },
		[ERR_QUOTA] = { 429, "insufficient_quota",
		    "insufficient_quota" },
		[ERR_MODEL_DENIED] = { 403, "invalid_request_error",
		    "model_not_found" },
	};
	size_t i = code < sizeof(map) / sizeof(map[0]) &&
	    map[code].status != 0 ? code : ERR_INTERNAL;

	serve_refuse(e, map[i].status, map[i].type, map[i].code, "");
	(void)snprintf(e->message, sizeof(e->message), "%.*s%s%.*s", (int)text.n,
	    (const char *)text.p, hint.n > 0 ? ": " : "", (int)hint.n,
	    (const char *)hint.p);
	/* A cut may have fallen into a character. */
	for (size_t n = strlen(e->message); n > 0 &&
	    !bytes_utf8(bytes_str(e->message)); n--)
		e->message[n - 1] = '\0';
}

/* ---- what is said -------------------------------------------------------- */

/* Append v, which is stolen; NULL is no memory. */
static void
put(struct buf *out, json_t *v, bool event)
{
	char *s = v != NULL ? json_dumps(v, JSON_COMPACT) : NULL;

	if (s == NULL)
		fatalx("an answer cannot be written as JSON");
	buf_str(out, event ? "data: " : "");
	buf_str(out, s);
	buf_str(out, event ? "\n\n" : "");
	freezero(s, strlen(s));
	json_decref(v);
}

static json_t *
text_of(struct bytes t)
{
	return json_stringn(t.n > 0 ? (const char *)t.p : "", t.n);
}

void
serve_put_error(struct buf *out, const struct serve_error *e, bool event)
{
	put(out, json_pack("{s:{s:s, s:s, s:s?, s:s?}}", "error", "message",
	    e->message, "type", e->type, "param", e->param[0] != '\0' ?
	    e->param : NULL, "code", e->code), event);
}

/* Steals delta and usage; usage may be NULL. */
static void
put_chunk(struct buf *out, const struct serve_answer *a, json_t *choices,
    json_t *usage)
{
	put(out, json_pack("{s:s, s:s, s:I, s:s, s:o, s:o*}", "id", a->id,
	    "object", "chat.completion.chunk", "created",
	    (json_int_t)a->created, "model", a->model, "choices", choices,
	    "usage", usage), true);
}

void
serve_put_role(struct buf *out, const struct serve_answer *a)
{
	put_chunk(out, a, json_pack("[{s:i, s:{s:s, s:s}, s:n}]", "index", 0,
	    "delta", "role", "assistant", "content", "", "finish_reason"), NULL);
}

void
serve_put_delta(struct buf *out, const struct serve_answer *a,
    enum delta kind, struct bytes text)
{
	put_chunk(out, a, json_pack("[{s:i, s:{s:o}, s:n}]", "index", 0,
	    "delta", kind == DELTA_ANSWER ? "content" : "reasoning_content",
	    text_of(text), "finish_reason"), NULL);
}

/* A call as OpenAI has it; with an index, in a stream. */
static json_t *
call_of(int index, struct bytes id, struct bytes name, struct bytes args)
{
	json_t *f = json_pack("{s:o}", "arguments", text_of(args)), *c;

	if (name.n > 0 && json_object_set_new(f, "name", text_of(name)) == -1)
		fatalx("no memory");
	c = json_pack("{s:o}", "function", f);
	if ((index >= 0 && json_object_set_new(c, "index",
	    json_integer(index)) == -1) || (id.n > 0 &&
	    (json_object_set_new(c, "id", text_of(id)) == -1 ||
	    json_object_set_new(c, "type", json_string("function")) == -1)))
		fatalx("no memory");
	return c;
}

void
serve_put_call(struct buf *out, const struct serve_answer *a, unsigned index,
    struct bytes id, struct bytes name, struct bytes args)
{
	put_chunk(out, a, json_pack("[{s:i, s:{s:[o]}, s:n}]", "index", 0,
	    "delta", "tool_calls", call_of((int)index, id, name, args),
	    "finish_reason"), NULL);
}

const char *
serve_finish(enum finish finish, bool tools)
{
	switch (finish) {
	case FINISH_STOP:
		return "stop";
	case FINISH_LENGTH:
		return "length";
	case FINISH_FILTER:
		return "content_filter";
	case FINISH_TOOL_CALLS:
		return tools ? "tool_calls" : NULL;
	case FINISH_NONE:
	case FINISH_CANCELLED:
	case FINISH_TRUNCATED:
	case FINISH_ERROR:
		break;
	}
	return NULL;
}

static json_t *
usage_of(uint32_t prompt, uint32_t completion)
{
	return json_pack("{s:I, s:I, s:I}", "prompt_tokens", (json_int_t)prompt,
	    "completion_tokens", (json_int_t)completion, "total_tokens",
	    (json_int_t)prompt + completion);
}

void
serve_put_end(struct buf *out, const struct serve_answer *a,
    enum finish finish, bool usage, uint32_t prompt_tokens,
    uint32_t completion_tokens)
{
	put_chunk(out, a, json_pack("[{s:i, s:{}, s:s}]", "index", 0, "delta",
	    "finish_reason", serve_finish(finish, true)), NULL);
	if (usage)
		put_chunk(out, a, json_array(), usage_of(prompt_tokens,
		    completion_tokens));
	buf_str(out, "data: [DONE]\n\n");
}

void
serve_put_whole(struct buf *out, const struct serve_answer *a,
    const struct serve_whole *w, enum finish finish, uint32_t prompt_tokens,
    uint32_t completion_tokens)
{
	struct bytes text = buf_bytes(&w->text);
	struct bytes reasoning = buf_bytes(&w->reasoning);
	json_t *calls = w->ncalls > 0 ? json_array() : NULL;

	for (size_t i = 0; i < w->ncalls; i++)
		if (json_array_append_new(calls, call_of(-1,
		    buf_bytes(&w->call[i].id), buf_bytes(&w->call[i].name),
		    buf_bytes(&w->call[i].args))) == -1)
			fatalx("no memory");
	put(out, json_pack("{s:s, s:s, s:I, s:s, s:[{s:i, s:{s:s, s:o, s:o*, "
	    "s:o*}, s:s}], s:o}", "id", a->id, "object", "chat.completion",
	    "created", (json_int_t)a->created, "model", a->model, "choices",
	    "index", 0, "message", "role", "assistant", "content",
	    text.n > 0 || calls == NULL ? text_of(text) : json_null(),
	    "reasoning_content", reasoning.n > 0 ? text_of(reasoning) : NULL,
	    "tool_calls", calls, "finish_reason", serve_finish(finish, true),
	    "usage", usage_of(prompt_tokens, completion_tokens)), false);
}

/* ---- an answer that is gathered ------------------------------------------ */

void
serve_whole_init(struct serve_whole *w, size_t max)
{
	memset(w, 0, sizeof(*w));
	w->max = max;
	buf_init(&w->text, max);
	buf_init(&w->reasoning, max);
}

void
serve_whole_free(struct serve_whole *w)
{
	for (size_t i = 0; i < w->ncalls; i++) {
		buf_free(&w->call[i].id);
		buf_free(&w->call[i].name);
		buf_free(&w->call[i].args);
	}
	free(w->call);
	buf_free(&w->text);
	buf_free(&w->reasoning);
	memset(w, 0, sizeof(*w));
}

/* Calls begin in the order of their numbers, so that none is left out. */
int
serve_whole_call(struct serve_whole *w, unsigned index, struct bytes id,
    struct bytes name, struct bytes args)
{
	struct serve_call *c;

	if (index > w->ncalls || index >= ITEM_CALLS_MAX)
		return -1;
	if (index == w->ncalls) {
		if ((c = reallocarray(w->call, w->ncalls + 1,
		    sizeof(*c))) == NULL)
			fatal("reallocarray");
		w->call = c;
		c += w->ncalls++;
		buf_init(&c->id, ITEM_ID_MAX);
		buf_init(&c->name, ITEM_NAME_MAX);
		buf_init(&c->args, w->max);
	}
	c = &w->call[index];
	buf_put(&c->id, id.p, id.n);
	buf_put(&c->name, name.p, name.n);
	buf_put(&c->args, args.p, args.n);
	w->bytes += args.n;
	return c->id.err || c->name.err || c->args.err || w->bytes > w->max ?
	    -1 : 0;
}

void
serve_put_models(struct buf *out)
{
	buf_str(out, "{\"object\":\"list\",\"data\":[");
}

void
serve_put_model(struct buf *out, bool first, struct bytes alias,
    struct bytes provider)
{
	buf_str(out, first ? "" : ",");
	put(out, json_pack("{s:o, s:s, s:i, s:o}", "id", text_of(alias),
	    "object", "model", "created", 0, "owned_by", text_of(provider)),
	    false);
}

void
serve_put_models_end(struct buf *out)
{
	buf_str(out, "]}");
}
