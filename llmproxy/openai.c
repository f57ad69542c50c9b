/*
 * OpenAI's chat completions: an event stream of chunks that ends in [DONE], or
 * one completion.
 */
#include <stdio.h>

#include "jsonin.h"
#include "wire_local.h"

/* ---- what is asked ------------------------------------------------------- */

/* The text and images of a user's message, which may be many. */
static json_t *
parts(const struct item *it, size_t n)
{
	json_t *list, *part;
	char before[40];

	if (n == 1)
		return wire_string(it->text);
	list = json_array();
	for (size_t i = 0; i < n; i++) {
		if (it[i].kind != ITEM_IMAGE && it[i].text.n == 0)
			continue;
		(void)snprintf(before, sizeof(before), "data:%s;base64,",
		    it[i].kind == ITEM_IMAGE ? item_media_type(it[i].how) : "");
		part = it[i].kind == ITEM_IMAGE ?
		    json_pack("{s:s, s:{s:o}}", "type", "image_url", "image_url",
		    "url", wire_base64(before, it[i].text)) :
		    json_pack("{s:s, s:o}", "type", "text", "text",
		    wire_string(it[i].text));
		if (json_array_append_new(list, part) == -1) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *
calls(const struct item *it, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		if (json_array_append_new(list, json_pack(
		    "{s:o, s:s, s:{s:o, s:o}}", "id", wire_string(it[i].id),
		    "type", "function", "function", "name",
		    wire_string(it[i].name), "arguments",
		    wire_string(it[i].text))) == -1) {
			json_decref(list);
			return NULL;
		}
	return list;
}

static json_t *
message(const struct wire_req *req, const struct item *it, size_t n)
{
	(void)req;
	switch (it->kind) {
	case KIND_SYSTEM:
		return json_pack("{s:s, s:o}", "role", "system", "content",
		    wire_string(it->text));
	case KIND_ASSISTANT:
		if (n == 1)
			return json_pack("{s:s, s:o}", "role", "assistant",
			    "content", wire_string(it->text));
		return json_pack("{s:s, s:o, s:o}", "role", "assistant",
		    "content", it->text.n > 0 ? wire_string(it->text) :
		    json_null(), "tool_calls", calls(it + 1, n - 1));
	case ITEM_RESULT:
		return json_pack("{s:s, s:o, s:o}", "role", "tool",
		    "tool_call_id", wire_string(it->id), "content",
		    wire_string(it->text));
	default:
		return json_pack("{s:s, s:o}", "role", "user", "content",
		    parts(it, n));
	}
}

/* Which tool is to be called, and whether several may be at once. */
static int
set_choice(json_t *root, const struct item *c)
{
	static const char *const words[] = { [ITEM_AUTO] = "auto",
	    [ITEM_NONE] = "none", [ITEM_REQUIRED] = "required" };

	if (c == NULL)
		return 0;
	if (json_object_set_new(root, "tool_choice", c->how != ITEM_NAMED ?
	    json_string(words[c->how]) : json_pack("{s:s, s:{s:o}}", "type",
	    "function", "function", "name", wire_string(c->name))) == -1)
		return -1;
	return c->several == ITEM_UNSET ? 0 : json_object_set_new(root,
	    "parallel_tool_calls", json_boolean(c->several == ITEM_YES));
}

static json_t *
request(const struct wire_req *req, const char **why)
{
	json_t *list = wire_messages(req, false, message), *root, *tools;

	if (list == NULL)
		return NULL;
	root = json_pack("{s:s, s:o, s:b, s:{s:b}}", "model", req->model,
	    "messages", list, "stream", 1, "stream_options", "include_usage", 1);
	if (root == NULL)
		return NULL;
	if (wire_find(req, ITEM_TOOL) != NULL &&
	    ((tools = wire_tools(req, why)) == NULL ||
	    json_object_set_new(root, "tools", tools) == -1 ||
	    set_choice(root, wire_find(req, ITEM_CHOICE)) == -1))
		goto fail;
	if (wire_set_int(root, "max_tokens", req->max_tokens) == -1 ||
	    wire_set(root, "temperature", req->temperature) == -1 ||
	    wire_set(root, "top_p", req->top_p) == -1)
		goto fail;
	return root;
fail:
	json_decref(root);
	return NULL;
}

/* ---- what is answered ---------------------------------------------------- */

/* A message that is not streamed has no numbers in its list. */
static int
take_calls(struct wire *w, const json_t *list)
{
	const json_t *c, *f, *index;

	for (size_t i = 0; i < json_array_size(list); i++) {
		c = json_array_get(list, i);
		f = json_object_get(c, "function");
		index = json_object_get(c, "index");
		if (!wire_text_or_none(json_object_get(f, "arguments")))
			return wire_bad_tool(w);
		if (wire_tool(w, json_is_integer(index) ?
		    json_integer_value(index) : (json_int_t)i,
		    json_object_get(c, "id"), json_object_get(f, "name"),
		    jsonin_text(json_object_get(f, "arguments"))) == -1)
			return -1;
	}
	return 0;
}

static int
take_delta(struct wire *w, const json_t *d)
{
	const json_t *content = json_object_get(d, "content");
	const json_t *refusal = json_object_get(d, "refusal");
	const json_t *reason = json_object_get(d, "reasoning_content");

	/* Some servers send the same text under both names. */
	if (jsonin_text(reason).n == 0 && wire_text_or_none(reason))
		reason = json_object_get(d, "reasoning");
	if (!wire_text_or_none(content) || !wire_text_or_none(refusal) ||
	    !wire_text_or_none(reason))
		return wire_fail(w,
		    "the model's server sent a text in an unknown form");
	wire_reasoning(w, jsonin_text(reason));
	wire_text(w, jsonin_text(content));
	wire_text(w, jsonin_text(refusal));
	/* The older way, which nobody asked for. */
	if (json_is_object(json_object_get(d, "function_call")))
		w->tool_calls = true;
	return take_calls(w, json_object_get(d, "tool_calls"));
}

static int
take_choice(struct wire *w, const json_t *c)
{
	static const struct wire_reason reasons[] = {
		{ "stop", WIRE_F_STOP },
		{ "length", WIRE_F_LENGTH },
		{ "tool_calls", WIRE_F_TOOL_CALLS },
		{ "content_filter", WIRE_F_CONTENT_FILTER },
		{ "function_call", WIRE_F_FUNCTION_CALL },
	};
	const json_t *index = json_object_get(c, "index");
	const json_t *d = json_object_get(c, "delta");

	if (!json_is_object(c))
		return wire_fail(w, "the model's server sent a malformed choice");
	if (json_is_integer(index) && json_integer_value(index) != 0)
		return 0;
	if (!json_is_object(d))
		d = json_object_get(c, "message");
	if (take_delta(w, d) == -1)
		return -1;
	return wire_take_finish(w, json_object_get(c, "finish_reason"), reasons,
	    sizeof(reasons) / sizeof(reasons[0]));
}

/* A chunk of a stream and a whole completion differ in one member's name. */
static int
take(struct wire *w, const json_t *root, bool whole)
{
	const json_t *choices = json_object_get(root, "choices");
	const json_t *usage = json_object_get(root, "usage");

	(void)whole;
	if (!json_is_object(root) || (choices != NULL &&
	    !json_is_array(choices) && !json_is_null(choices)))
		return wire_fail(w, "the model's server sent a malformed answer");
	for (size_t i = 0; i < json_array_size(choices); i++)
		if (take_choice(w, json_array_get(choices, i)) == -1)
			return -1;
	wire_count(&w->prompt_tokens, json_object_get(usage, "prompt_tokens"));
	wire_count(&w->completion_tokens,
	    json_object_get(usage, "completion_tokens"));
	return 0;
}

const struct wire_protocol wire_openai = {
	"/chat/completions", false, request, take
};
