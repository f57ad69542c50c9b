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

/* One text, or each a block. */
static json_t *
system_of(const struct wire_req *req, size_t n)
{
	json_t *list;

	if (n == 1)
		return wire_string(req->msgs[0].text);
	list = json_array();
	for (size_t i = 0; i < n; i++)
		if (json_array_append_new(list, json_pack("{s:s, s:o}", "type",
		    "text", "text", wire_string(req->msgs[i].text))) == -1) {
			json_decref(list);
			return NULL;
		}
	return list;
}

/* The system prompt has a member of its own; a limit of tokens must be there. */
static json_t *
request(const struct wire_req *req)
{
	json_t *list, *root;
	size_t first = 0;

	while (first < req->nmsgs && req->msgs[first].role == WIRE_SYSTEM)
		first++;
	if ((list = wire_messages(req, first)) == NULL)
		return NULL;
	root = json_pack("{s:s, s:I, s:o, s:b}", "model", req->model,
	    "max_tokens", (json_int_t)(req->max_tokens > 0 ? req->max_tokens :
	    WIRE_MAX_TOKENS), "messages", list, "stream", 1);
	if (root == NULL)
		return NULL;
	if ((first > 0 && json_object_set_new(root, "system",
	    system_of(req, first)) == -1) ||
	    wire_set(root, "temperature", req->temperature) == -1 ||
	    wire_set(root, "top_p", req->top_p) == -1) {
		json_decref(root);
		return NULL;
	}
	return root;
}

/* A block's text, or a piece of it; blocks of unknown types are passed over. */
static int
take_block(struct wire *w, const json_t *block)
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
		w->tool_calls = true;
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
take_message(struct wire *w, const json_t *m)
{
	const json_t *content = json_object_get(m, "content");

	if (!json_is_object(m) || !json_is_array(content))
		return wire_fail(w, "the model's server sent a malformed answer");
	for (size_t i = 0; i < json_array_size(content); i++)
		if (take_block(w, json_array_get(content, i)) == -1)
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
		return take_message(w, root);
	if (jsonin_is(type, "message_start"))
		return take_message(w, json_object_get(root, "message"));
	if (jsonin_is(type, "content_block_start"))
		return take_block(w, json_object_get(root, "content_block"));
	if (jsonin_is(type, "content_block_delta"))
		return take_block(w, d);
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
