/*
 * OpenAI's chat completions: an event stream of chunks that ends in [DONE], or
 * one completion.
 */
#include "jsonin.h"
#include "wire_local.h"

static json_t *
request(const struct wire_req *req)
{
	json_t *list = wire_messages(req, 0), *root;

	if (list == NULL)
		return NULL;
	root = json_pack("{s:s, s:o, s:b, s:{s:b}}", "model", req->model,
	    "messages", list, "stream", 1, "stream_options", "include_usage", 1);
	if (root == NULL)
		return NULL;
	if (wire_set_int(root, "max_tokens", req->max_tokens) == -1 ||
	    wire_set(root, "temperature", req->temperature) == -1 ||
	    wire_set(root, "top_p", req->top_p) == -1) {
		json_decref(root);
		return NULL;
	}
	return root;
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
	if (json_array_size(json_object_get(d, "tool_calls")) > 0 ||
	    json_is_object(json_object_get(d, "function_call")))
		w->tool_calls = true;
	return 0;
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
