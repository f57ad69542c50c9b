/* What `cloister serve' takes: a chat completion that is asked for. */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <openssl/evp.h>

#include "item.h"
#include "msg.h"
#include "serve_json.h"

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
	static const char *const others[] = { "functions", "function_call",
	    "stop", "logprobs", "top_logprobs", "logit_bias",
	    "presence_penalty", "frequency_penalty", "audio", "prediction",
	    "web_search_options" };
	const json_t *n = json_object_get(root, "n");
	const json_t *format = json_object_get(root, "response_format");

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (!is_nothing(json_object_get(root, others[i])))
			return bad(e, others[i], "%s is not supported by "
			    "cloister serve", others[i]);
	if (!is_nothing(n) && !(json_is_integer(n) && json_integer_value(n) == 1))
		return bad(e, "n", "one answer at a time is given");
	if (!is_nothing(format) &&
	    !is_text(json_object_get(format, "type"), "text"))
		return bad(e, "response_format", "text is the only format");
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

/* ---- messages ------------------------------------------------------------ */

/*
 * Append an item, which its parser must take: the one place that knows what is
 * valid.  0, or -1 with e filled.
 */
static int
put_item(struct buf *out, const struct item *it, const char *param,
    struct serve_error *e)
{
	struct buf content = BUF_INIT(MSG_TEXT_MAX_BYTES);
	struct item check;
	int rv = 0;

	item_encode(&content, it);
	if (content.err)
		rv = bad(e, param, "it is too long: more than %u bytes",
		    MSG_TEXT_MAX_BYTES);
	else if (item_parse(&check, it->kind, buf_bytes(&content)) == -1)
		rv = bad(e, param, "it holds a NUL, or an id, a name or a "
		    "description is empty or too long");
	else {
		buf_u8(out, it->kind);
		buf_v32(out, buf_bytes(&content));
	}
	buf_free(&content);
	return rv;
}

static struct bytes
text_in(const json_t *v)
{
	return json_is_string(v) ? bytes_of(json_string_value(v),
	    json_string_length(v)) : bytes_of(NULL, 0);
}

/* The bytes of base64 text into out, which is empty; 0 or -1. */
static int
decode(struct buf *out, struct bytes text)
{
	uint8_t *p;
	int n;

	if (text.n == 0 || text.n % 4 != 0 || text.n > INT32_MAX ||
	    (p = buf_grow(out, text.n / 4 * 3)) == NULL)
		return -1;
	for (size_t i = 0; i < text.n; i++)
		if (!isalnum(text.p[i]) && text.p[i] != '+' &&
		    text.p[i] != '/' && (text.p[i] != '=' || i < text.n - 2 ||
		    text.p[text.n - 1] != '='))
			return -1;
	if ((n = EVP_DecodeBlock(p, text.p, (int)text.n)) == -1)
		return -1;
	n -= text.p[text.n - 1] == '=';
	n -= text.p[text.n - 2] == '=';
	out->n = (size_t)n;
	return 0;
}

/* {"url": "data:image/png;base64,..."}: nothing is fetched from elsewhere. */
static int
take_image(const json_t *part, struct buf *out, struct serve_error *e)
{
	static const char scheme[] = "data:", coding[] = ";base64,";
	struct bytes url = text_in(json_object_get(json_object_get(part,
	    "image_url"), "url")), type;
	struct buf image = BUF_INIT(MSG_TEXT_MAX_BYTES);
	struct item it = { .kind = ITEM_IMAGE };
	const uint8_t *at;
	int rv;

	if (url.n < sizeof(scheme) - 1 ||
	    memcmp(url.p, scheme, sizeof(scheme) - 1) != 0 ||
	    (at = memmem(url.p, url.n, coding, sizeof(coding) - 1)) == NULL)
		return bad(e, "messages", "an image's url must be "
		    "data:TYPE;base64,...: nothing is fetched for you");
	type = bytes_of(url.p + sizeof(scheme) - 1,
	    (size_t)(at - url.p) - (sizeof(scheme) - 1));
	at += sizeof(coding) - 1;
	if ((it.how = item_media_of(type)) == 0)
		return bad(e, "messages", "an image must be image/png, "
		    "image/jpeg, image/gif or image/webp");
	if (decode(&image, bytes_of(at, (size_t)(url.p + url.n - at))) == -1)
		rv = bad(e, "messages", "an image is no base64, or longer than "
		    "%u bytes", MSG_TEXT_MAX_BYTES);
	else {
		it.text = buf_bytes(&image);
		rv = put_item(out, &it, "messages", e);
	}
	buf_free(&image);
	return rv;
}

/* Parts of text, one after the other. */
static int
take_texts(const json_t *list, struct buf *text, struct serve_error *e)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *part = json_array_get(list, i);
		const json_t *t = json_object_get(part, "text");

		if (!is_text(json_object_get(part, "type"), "text") ||
		    !json_is_string(t))
			return bad(e, "messages", "a message has a part that is "
			    "no text, where text alone may stand");
		buf_put(text, json_string_value(t), json_string_length(t));
	}
	return 0;
}

/* A message's text, which may come in parts. */
static int
take_content(const json_t *content, struct buf *text, struct serve_error *e)
{
	struct bytes t = text_in(content);

	if (!json_is_string(content) && !json_is_array(content) &&
	    !json_is_null(content) && content != NULL)
		return bad(e, "messages", "a message's content must be text, "
		    "or parts of text");
	buf_put(text, t.p, t.n);
	return take_texts(content, text, e);
}

static bool
has_image(const json_t *content)
{
	for (size_t i = 0; i < json_array_size(content); i++)
		if (is_text(json_object_get(json_array_get(content, i), "type"),
		    "image_url"))
			return true;
	return false;
}

/* A user's message with images: in the order in which its parts stand. */
static int
take_parts(const json_t *content, struct buf *out, struct serve_error *e)
{
	struct item it = { .kind = KIND_USER };

	for (size_t i = 0; i < json_array_size(content); i++) {
		const json_t *part = json_array_get(content, i);
		bool image = is_text(json_object_get(part, "type"),
		    "image_url");
		const json_t *t = json_object_get(part, "text");

		if (!image && (!is_text(json_object_get(part, "type"), "text") ||
		    !json_is_string(t)))
			return bad(e, "messages", "a message has a part that is "
			    "neither text nor image_url");
		it.text = image ? bytes_of(NULL, 0) : text_in(t);
		/* What begins with an image begins with an empty text. */
		if ((!image || it.kind == KIND_USER) &&
		    put_item(out, &it, "messages", e) == -1)
			return -1;
		it.kind = ITEM_PART;
		if (image && take_image(part, out, e) == -1)
			return -1;
	}
	return 0;
}

static int
take_calls(const json_t *list, struct buf *out, struct serve_error *e)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *c = json_array_get(list, i);
		const json_t *f = json_object_get(c, "function");
		struct item it = { .kind = ITEM_CALL,
		    .id = text_in(json_object_get(c, "id")),
		    .name = text_in(json_object_get(f, "name")),
		    .text = text_in(json_object_get(f, "arguments")) };

		if (!is_text(json_object_get(c, "type"), "function"))
			return bad(e, "messages", "a call must be one of a "
			    "function");
		if (put_item(out, &it, "messages", e) == -1)
			return -1;
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
		{ "tool", ITEM_RESULT },
	};
	struct buf text = BUF_INIT(MSG_TEXT_MAX_BYTES);
	const json_t *role = json_object_get(m, "role");
	const json_t *content = json_object_get(m, "content");
	const json_t *calls = json_object_get(m, "tool_calls");
	struct item it = { .id = text_in(json_object_get(m, "tool_call_id")) };
	int rv = -1;

	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
		if (is_text(role, roles[i].role))
			it.kind = roles[i].kind;
	if (it.kind == 0)
		return bad(e, "messages", "a message's role must be system, "
		    "developer, user, assistant or tool");
	if (!is_nothing(calls) && (it.kind != KIND_ASSISTANT ||
	    !json_is_array(calls)))
		return bad(e, "messages", "tool_calls are the assistant's");
	if (it.kind == KIND_USER && has_image(content))
		return take_parts(content, out, e);
	if (take_content(content, &text, e) == -1)
		goto out;
	it.text = buf_bytes(&text);
	/* An empty one says nothing to a model. */
	rv = it.text.n > 0 || it.kind == ITEM_RESULT ||
	    json_array_size(calls) > 0 ? put_item(out, &it, "messages", e) : 0;
	if (text.err)
		rv = bad(e, "messages", "a message is too long");
	if (rv == 0)
		rv = take_calls(calls, out, e);
out:
	buf_free(&text);
	return rv;
}

/* ---- tools --------------------------------------------------------------- */

static int
take_tool(const json_t *t, struct buf *out, struct serve_error *e)
{
	const json_t *f = json_object_get(t, "function");
	const json_t *schema = json_object_get(f, "parameters");
	const json_t *strict = json_object_get(f, "strict");
	struct item it = { .kind = ITEM_TOOL,
	    .name = text_in(json_object_get(f, "name")),
	    .about = text_in(json_object_get(f, "description")),
	    .how = json_is_true(strict) ? ITEM_YES : json_is_false(strict) ?
	    ITEM_NO : ITEM_UNSET };
	char *text = NULL;
	int rv;

	if (!is_text(json_object_get(t, "type"), "function") ||
	    !json_is_object(f))
		return bad(e, "tools", "a tool must be a function");
	if (schema != NULL && !json_is_null(schema)) {
		if (!json_is_object(schema) || (text = json_dumps(schema,
		    JSON_COMPACT)) == NULL)
			return bad(e, "tools", "a function's parameters must be "
			    "a JSON schema, an object");
		it.text = bytes_str(text);
	}
	rv = put_item(out, &it, "tools", e);
	free(text);
	return rv;
}

/* "auto", "none", "required" or {"type": "function", "function": {"name"}}. */
static int
take_choice(const json_t *root, struct buf *out, struct serve_error *e)
{
	static const char *const words[] = { [ITEM_AUTO] = "auto",
	    [ITEM_NONE] = "none", [ITEM_REQUIRED] = "required" };
	const json_t *v = json_object_get(root, "tool_choice");
	const json_t *several = json_object_get(root, "parallel_tool_calls");
	struct item it = { .kind = ITEM_CHOICE, .how = ITEM_NAMED + 1,
	    .several = json_is_true(several) ? ITEM_YES :
	    json_is_false(several) ? ITEM_NO : ITEM_UNSET };

	if (is_nothing(v) && it.several == ITEM_UNSET)
		return 0;
	if (is_nothing(v))
		it.how = ITEM_AUTO;
	for (uint8_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (is_text(v, words[i]))
			it.how = i;
	if (json_is_object(v)) {
		it.how = ITEM_NAMED;
		it.name = text_in(json_object_get(json_object_get(v,
		    "function"), "name"));
	}
	if (it.how > ITEM_NAMED)
		return bad(e, "tool_choice", "tool_choice must be auto, none, "
		    "required or a function");
	return put_item(out, &it, "tool_choice", e);
}

static int
take_tools(struct serve_chat *c, const json_t *root, struct serve_error *e)
{
	const json_t *list = json_object_get(root, "tools");
	const json_t *choice = json_object_get(root, "tool_choice");

	if (is_nothing(list)) {
		if (!is_nothing(choice) && !is_text(choice, "none") &&
		    !is_text(choice, "auto"))
			return bad(e, "tool_choice", "there are no tools");
		return 0;
	}
	if (!json_is_array(list))
		return bad(e, "tools", "tools must be a list");
	c->tools = true;
	for (size_t i = 0; i < json_array_size(list); i++)
		if (take_tool(json_array_get(list, i), &c->messages, e) == -1)
			return -1;
	return take_choice(root, &c->messages, e);
}

/* ---- the whole ------------------------------------------------------------ */

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
	if (take_tools(c, root, e) == -1)
		return -1;
	for (size_t i = 0; i < json_array_size(list); i++)
		if (take_message(json_array_get(list, i), &c->messages, e) == -1)
			return -1;
	if (c->messages.err)
		return bad(e, "messages", "the conversation is too long: more "
		    "than %u bytes", MSG_TEXT_MAX_BYTES);
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
