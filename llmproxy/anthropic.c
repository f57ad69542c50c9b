/*
 * Anthropic's messages: named events, whose data name their type as well; no
 * last word but message_stop.  Usage is cumulative.
 */
#include "jsonin.h"
#include "wire_local.h"

static const struct wire_reason reasons[] = {
	{ "end_turn", WIRE_F_STOP },
	{ "stop_sequence", WIRE_F_STOP },
	{ "max_tokens", WIRE_F_LENGTH },
	{ "model_context_window_exceeded", WIRE_F_LENGTH },
	{ "tool_use", WIRE_F_TOOL_CALLS },
	{ "refusal", WIRE_F_CONTENT_FILTER },
};

/* ---- what is asked ------------------------------------------------------- */

static json_t *
text_block(struct bytes text)
{
	return json_pack("{s:s, s:o}", "type", "text", "text",
	    wire_string(text));
}

/* One text, or each a block. */
static json_t *
system_of(const struct wire_req *req)
{
	json_t *list = json_array(), *one;

	for (size_t i = 0; i < req->nitems; i++)
		if (req->items[i].kind == KIND_SYSTEM &&
		    json_array_append_new(list,
		    text_block(req->items[i].text)) == -1) {
			json_decref(list);
			return NULL;
		}
	if (json_array_size(list) != 1)
		return list;
	one = json_incref(json_object_get(json_array_get(list, 0), "text"));
	json_decref(list);
	return one;
}

static json_t *
block(const struct item *it)
{
	switch (it->kind) {
	case ITEM_IMAGE:
		return json_pack("{s:s, s:{s:s, s:s, s:o}}", "type", "image",
		    "source", "type", "base64", "media_type",
		    item_media_type(it->how), "data",
		    wire_base64("", it->text));
	case ITEM_CALL:
		return json_pack("{s:s, s:o, s:o, s:o}", "type", "tool_use",
		    "id", wire_string(it->id), "name", wire_string(it->name),
		    "input", wire_object(it->text));
	case ITEM_RESULT:
		return json_pack("{s:s, s:o, s:o}", "type", "tool_result",
		    "tool_use_id", wire_string(it->id), "content",
		    wire_string(it->text));
	default:
		return text_block(it->text);
	}
}

/* Empty texts are no blocks. */
static json_t *
blocks(const struct item *it, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++) {
		if (it[i].text.n == 0 && (it[i].kind == KIND_USER ||
		    it[i].kind == KIND_ASSISTANT || it[i].kind == ITEM_PART))
			continue;
		if (json_array_append_new(list, block(&it[i])) == -1) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

/* What a tool gave is said by the user. */
static json_t *
message(const struct wire_req *req, const struct item *it, size_t n)
{
	(void)req;
	return json_pack("{s:s, s:o}", "role", it->kind == KIND_ASSISTANT ?
	    "assistant" : "user", "content", n == 1 &&
	    it->kind != ITEM_RESULT ? wire_string(it->text) : blocks(it, n));
}

/* A schema must say that it is one of an object. */
static json_t *
tool(const struct item *it)
{
	json_t *schema = wire_object(it->text), *t;

	if (schema != NULL && json_object_get(schema, "type") == NULL &&
	    json_object_set_new(schema, "type", json_string("object")) == -1) {
		json_decref(schema);
		return NULL;
	}
	t = json_pack("{s:o, s:o}", "name", wire_string(it->name),
	    "input_schema", schema);
	if (it->about.n > 0 && json_object_set_new(t, "description",
	    wire_string(it->about)) == -1) {
		json_decref(t);
		return NULL;
	}
	return t;
}

static json_t *
choice(const struct item *c)
{
	static const char *const words[] = { [ITEM_AUTO] = "auto",
	    [ITEM_NONE] = "none", [ITEM_REQUIRED] = "any",
	    [ITEM_NAMED] = "tool" };
	json_t *v = json_pack("{s:s}", "type", words[c->how]);

	if (c->how == ITEM_NAMED && json_object_set_new(v, "name",
	    wire_string(c->name)) == -1)
		goto fail;
	if (c->how != ITEM_NONE && c->several != ITEM_UNSET &&
	    json_object_set_new(v, "disable_parallel_tool_use",
	    json_boolean(c->several == ITEM_NO)) == -1)
		goto fail;
	return v;
fail:
	json_decref(v);
	return NULL;
}

static int
set_tools(json_t *root, const struct wire_req *req, const char **why)
{
	const struct item *c = wire_find(req, ITEM_CHOICE);
	json_t *list;

	if (wire_find(req, ITEM_TOOL) == NULL)
		return 0;
	list = json_array();
	for (size_t i = 0; i < req->nitems; i++)
		if (req->items[i].kind == ITEM_TOOL &&
		    json_array_append_new(list, tool(&req->items[i])) == -1) {
			*why = wire_bad_schema;
			json_decref(list);
			return -1;
		}
	if (json_object_set_new(root, "tools", list) == -1)
		return -1;
	return c == NULL ? 0 : json_object_set_new(root, "tool_choice",
	    choice(c));
}

/* The system prompt has a member of its own; a limit of tokens must be there. */
static json_t *
request(const struct wire_req *req, const char **why)
{
	json_t *list, *root;

	if ((list = wire_messages(req, true, message)) == NULL)
		return NULL;
	root = json_pack("{s:s, s:I, s:o, s:b}", "model", req->model,
	    "max_tokens", (json_int_t)(req->max_tokens > 0 ? req->max_tokens :
	    WIRE_MAX_TOKENS), "messages", list, "stream", 1);
	if (root == NULL)
		return NULL;
	if ((wire_find(req, KIND_SYSTEM) != NULL && json_object_set_new(root,
	    "system", system_of(req)) == -1) ||
	    set_tools(root, req, why) == -1 ||
	    wire_set(root, "temperature", req->temperature) == -1 ||
	    wire_set(root, "top_p", req->top_p) == -1) {
		json_decref(root);
		return NULL;
	}
	return root;
}

/* ---- what is answered ---------------------------------------------------- */

/* Blocks come one after the other: the newest call is the one that goes on. */
static int
take_call(struct wire *w, const json_t *block, bool whole)
{
	const json_t *id = json_object_get(block, "id");
	const json_t *name = json_object_get(block, "name");

	return whole ? wire_whole_tool(w, id, name,
	    json_object_get(block, "input")) :
	    wire_tool(w, w->ncalls++, id, name, bytes_of(NULL, 0));
}

static int
take_input(struct wire *w, const json_t *delta)
{
	const json_t *part = json_object_get(delta, "partial_json");

	if (w->ncalls == 0 || !wire_text_or_none(part))
		return wire_bad_tool(w);
	if (jsonin_text(part).n == 0)
		return 0;
	return wire_tool(w, w->ncalls - 1, NULL, NULL, jsonin_text(part));
}

/* A block's text, or a piece of it; blocks of unknown types are passed over. */
static int
take_block(struct wire *w, const json_t *block, bool whole)
{
	const json_t *type = json_object_get(block, "type");
	const json_t *text = json_object_get(block, "text");
	const json_t *thinking = json_object_get(block, "thinking");

	if (!json_is_object(block) || !wire_text_or_none(text) ||
	    !wire_text_or_none(thinking))
		return wire_fail(w,
		    "the model's server sent a text in an unknown form");
	if (jsonin_is(type, "text") || jsonin_is(type, "text_delta"))
		wire_text(w, jsonin_text(text));
	else if (jsonin_is(type, "thinking") ||
	    jsonin_is(type, "thinking_delta"))
		wire_reasoning(w, jsonin_text(thinking));
	else if (jsonin_is(type, "tool_use"))
		return take_call(w, block, whole);
	else if (jsonin_is(type, "input_json_delta"))
		return take_input(w, block);
	return 0;
}

/* What was read from a cache, or written to one, was sent as well. */
static void
take_usage(struct wire *w, const json_t *usage)
{
	static const char *const in[] = { "input_tokens",
	    "cache_creation_input_tokens", "cache_read_input_tokens" };
	int64_t sum = 0, n;

	wire_count(&w->completion_tokens,
	    json_object_get(usage, "output_tokens"));
	if (json_object_get(usage, in[0]) == NULL)
		return;
	for (size_t i = 0; i < sizeof(in) / sizeof(in[0]); i++) {
		n = 0;
		wire_count(&n, json_object_get(usage, in[i]));
		if (n > INT64_MAX - sum)
			return;
		sum += n;
	}
	w->prompt_tokens = sum;
}

static int
take_reason(struct wire *w, const json_t *v)
{
	return wire_take_finish(w, v, reasons,
	    sizeof(reasons) / sizeof(reasons[0]));
}

/* A message that is not streamed, or the one with which a stream begins. */
static int
take_message(struct wire *w, const json_t *m, bool whole)
{
	const json_t *content = json_object_get(m, "content");

	if (!json_is_object(m) || !json_is_array(content))
		return wire_fail(w, "the model's server sent a malformed answer");
	for (size_t i = 0; i < json_array_size(content); i++)
		if (take_block(w, json_array_get(content, i), whole) == -1)
			return -1;
	take_usage(w, json_object_get(m, "usage"));
	return take_reason(w, json_object_get(m, "stop_reason"));
}

static int
take(struct wire *w, const json_t *root, bool whole)
{
	const json_t *type = json_object_get(root, "type");
	const json_t *d = json_object_get(root, "delta");

	if (!json_is_object(root) || !json_is_string(type))
		return wire_fail(w, "the model's server sent a malformed answer");
	if (whole)
		return take_message(w, root, true);
	if (jsonin_is(type, "message_start"))
		return take_message(w, json_object_get(root, "message"),
		    false);
	if (jsonin_is(type, "content_block_start"))
		return take_block(w, json_object_get(root, "content_block"),
		    false);
	if (jsonin_is(type, "content_block_delta"))
		return take_block(w, d, false);
	if (jsonin_is(type, "message_delta")) {
		take_usage(w, json_object_get(root, "usage"));
		return take_reason(w, json_object_get(d, "stop_reason"));
	}
	if (jsonin_is(type, "message_stop")) {
		w->done = true;
		return 1;
	}
	return 0;	/* ping, content_block_stop, and what comes one day */
}

const struct wire_protocol wire_anthropic = {
	"/messages", false, request, take
};
