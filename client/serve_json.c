#include "serve_json.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "log.h"
#include "msg.h"

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

/* ---- what is asked ------------------------------------------------------- */

__attribute__((format(printf, 3, 4)))
static int
bad(struct serve_error *e, const char *param, const char *fmt, ...)
{
	va_list ap;

	serve_refuse(e, 400, "invalid_request_error", NULL, "");
	(void)strlcpy(e->param, param, sizeof(e->param));
	va_start(ap, fmt);
	(void)vsnprintf(e->message, sizeof(e->message), fmt, ap);
	va_end(ap);
	return -1;
}

static bool
is_text(const json_t *v, const char *s)
{
	return json_is_string(v) && strcmp(json_string_value(v), s) == 0;
}

/* Whether a member asks for nothing: absent, null, false, 0, "", [], {}. */
static bool
is_nothing(const json_t *v)
{
	return v == NULL || json_is_null(v) || json_is_false(v) ||
	    (json_is_number(v) && json_number_value(v) == 0) ||
	    (json_is_string(v) && json_string_length(v) == 0) ||
	    (json_is_array(v) && json_array_size(v) == 0) ||
	    (json_is_object(v) && json_object_size(v) == 0);
}

/* What would change the answer, and cannot be passed on. */
static int
check_rest(const json_t *root, struct serve_error *e)
{
	static const char *const others[] = { "tools", "functions",
	    "function_call", "stop", "logprobs", "top_logprobs", "logit_bias",
	    "presence_penalty", "frequency_penalty", "audio", "prediction",
	    "web_search_options" };
	const json_t *n = json_object_get(root, "n");
	const json_t *format = json_object_get(root, "response_format");
	const json_t *choice = json_object_get(root, "tool_choice");

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (!is_nothing(json_object_get(root, others[i])))
			return bad(e, others[i], "%s is not supported by "
			    "cloister serve", others[i]);
	if (!is_nothing(n) && !(json_is_integer(n) && json_integer_value(n) == 1))
		return bad(e, "n", "one answer at a time is given");
	if (!is_nothing(format) &&
	    !is_text(json_object_get(format, "type"), "text"))
		return bad(e, "response_format", "text is the only format");
	if (!is_nothing(choice) && !is_text(choice, "none") &&
	    !is_text(choice, "auto"))
		return bad(e, "tool_choice", "there are no tools");
	return 0;
}

/* A number in [0, max], in thousandths + 1; absent and null are 0. */
static int
take_number(const json_t *root, const char *name, double max, uint32_t *out,
    struct serve_error *e)
{
	const json_t *v = json_object_get(root, name);
	double d = json_number_value(v);

	*out = 0;
	if (v == NULL || json_is_null(v))
		return 0;
	if (!json_is_number(v) || !(d >= 0 && d <= max))
		return bad(e, name, "%s must be a number from 0 to %g", name,
		    max);
	*out = (uint32_t)(d * 1000 + 0.5) + 1;
	return 0;
}

static int
take_tokens(const json_t *root, const char *name, uint32_t *out,
    struct serve_error *e)
{
	const json_t *v = json_object_get(root, name);

	if (v == NULL || json_is_null(v))
		return 0;
	if (!json_is_integer(v) || json_integer_value(v) < 1 ||
	    json_integer_value(v) > INT32_MAX)
		return bad(e, name, "%s must be a whole number, at least 1",
		    name);
	*out = (uint32_t)json_integer_value(v);
	return 0;
}

/* A message's text, which may come in parts. */
static int
take_content(const json_t *content, struct buf *text, struct serve_error *e)
{
	if (json_is_string(content)) {
		buf_put(text, json_string_value(content),
		    json_string_length(content));
		return 0;
	}
	if (!json_is_array(content) && !json_is_null(content) && content != NULL)
		return bad(e, "messages", "a message's content must be text, "
		    "or parts of text");
	for (size_t i = 0; i < json_array_size(content); i++) {
		const json_t *part = json_array_get(content, i);
		const json_t *t = json_object_get(part, "text");

		if (!is_text(json_object_get(part, "type"), "text") ||
		    !json_is_string(t))
			return bad(e, "messages", "a message has a part that is "
			    "no text; cloister serve passes on text alone");
		buf_put(text, json_string_value(t), json_string_length(t));
	}
	return 0;
}

static int
take_message(const json_t *m, struct buf *out, struct serve_error *e)
{
	static const struct {
		const char	*role;
		uint8_t		 kind;
	} roles[] = {
		{ "user", KIND_USER }, { "assistant", KIND_ASSISTANT },
		{ "system", KIND_SYSTEM }, { "developer", KIND_SYSTEM },
	};
	struct buf text = BUF_INIT(MSG_TEXT_MAX_BYTES);
	const json_t *role = json_object_get(m, "role");
	uint8_t kind = 0;
	int rv = -1;

	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
		if (is_text(role, roles[i].role))
			kind = roles[i].kind;
	if (kind == 0)
		return bad(e, "messages", "a message's role must be system, "
		    "developer, user or assistant");
	if (!is_nothing(json_object_get(m, "tool_calls")))
		return bad(e, "messages", "tool calls are not supported by "
		    "cloister serve");
	if (take_content(json_object_get(m, "content"), &text, e) == -1)
		goto out;
	rv = 0;
	if (text.n > 0) {	/* an empty one says nothing to a model */
		buf_u8(out, kind);
		buf_v32(out, buf_bytes(&text));
	}
	if (text.err || out->err)
		rv = bad(e, "messages", "the conversation is too long: more than "
		    "%u bytes", MSG_TEXT_MAX_BYTES);
	else if (text.n > 0 && !bytes_utf8(buf_bytes(&text)))
		rv = bad(e, "messages", "a message holds a NUL");
out:
	buf_free(&text);
	return rv;
}

static int
parse(struct serve_chat *c, const json_t *root, struct serve_error *e)
{
	const json_t *model = json_object_get(root, "model");
	const json_t *list = json_object_get(root, "messages");

	if (!json_is_object(root))
		return bad(e, "", "the body is no JSON object");
	if (!json_is_string(model) || json_string_length(model) == 0 ||
	    json_string_length(model) > SERVE_MODEL_MAX ||
	    !bytes_utf8(bytes_of(json_string_value(model),
	    json_string_length(model))))
		return bad(e, "model", "model must be the name of a model");
	(void)strlcpy(c->model, json_string_value(model), sizeof(c->model));
	if (!json_is_array(list) || json_array_size(list) == 0)
		return bad(e, "messages", "messages must be a list of at least "
		    "one");
	if (check_rest(root, e) == -1 ||
	    take_tokens(root, "max_tokens", &c->max_tokens, e) == -1 ||
	    take_tokens(root, "max_completion_tokens", &c->max_tokens, e) == -1 ||
	    take_number(root, "temperature", 2, &c->temperature, e) == -1 ||
	    take_number(root, "top_p", 1, &c->top_p, e) == -1)
		return -1;
	c->stream = json_is_true(json_object_get(root, "stream"));
	c->usage = json_is_true(json_object_get(json_object_get(root,
	    "stream_options"), "include_usage"));
	for (size_t i = 0; i < json_array_size(list); i++)
		if (take_message(json_array_get(list, i), &c->messages, e) == -1)
			return -1;
	return 0;
}

int
serve_chat_parse(struct serve_chat *c, struct bytes body,
    struct serve_error *e)
{
	json_t *root;
	int rv;

	memset(c, 0, sizeof(*c));
	buf_init(&c->messages, MSG_TEXT_MAX_BYTES);
	root = json_loadb(body.n > 0 ? (const char *)body.p : "", body.n,
	    JSON_ALLOW_NUL, NULL);
	rv = root == NULL ? bad(e, "", "the body is no JSON") :
	    parse(c, root, e);
	json_decref(root);
	if (rv == -1)
		serve_chat_free(c);
	return rv;
}

void
serve_chat_free(struct serve_chat *c)
{
	buf_free(&c->messages);
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

const char *
serve_finish(enum finish finish)
{
	switch (finish) {
	case FINISH_STOP:
		return "stop";
	case FINISH_LENGTH:
		return "length";
	case FINISH_FILTER:
		return "content_filter";
	case FINISH_NONE:
	case FINISH_CANCELLED:
	case FINISH_TRUNCATED:
	case FINISH_ERROR:
	case FINISH_TOOL_CALLS:
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
	    "finish_reason", serve_finish(finish)), NULL);
	if (usage)
		put_chunk(out, a, json_array(), usage_of(prompt_tokens,
		    completion_tokens));
	buf_str(out, "data: [DONE]\n\n");
}

void
serve_put_whole(struct buf *out, const struct serve_answer *a,
    struct bytes text, struct bytes reasoning, enum finish finish,
    uint32_t prompt_tokens, uint32_t completion_tokens)
{
	put(out, json_pack("{s:s, s:s, s:I, s:s, s:[{s:i, s:{s:s, s:o, s:o*}, "
	    "s:s}], s:o}", "id", a->id, "object", "chat.completion", "created",
	    (json_int_t)a->created, "model", a->model, "choices", "index", 0,
	    "message", "role", "assistant", "content", text_of(text),
	    "reasoning_content", reasoning.n > 0 ? text_of(reasoning) : NULL,
	    "finish_reason", serve_finish(finish), "usage",
	    usage_of(prompt_tokens, completion_tokens)), false);
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
