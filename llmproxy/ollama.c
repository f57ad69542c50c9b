/*
 * Ollama's own /api/chat: a JSON object in each line, of which the last one says
 * done.  Unlike its /v1 it reports errors in the middle, and the size of the
 * context can be set.
 */
#include "jsonin.h"
#include "wire_local.h"

/*
 * truncate and shift: Ollama would else leave out the oldest messages, or the
 * beginning of the answer, without a word when they do not fit.
 */
static json_t *
request(const struct wire_req *req)
{
	json_t *list = wire_messages(req, 0), *root, *options = json_object();

	if (list == NULL || options == NULL)
		goto fail;
	if (wire_set_int(options, "num_predict", req->max_tokens) == -1 ||
	    wire_set_int(options, "num_ctx", req->context) == -1 ||
	    wire_set(options, "temperature", req->temperature) == -1 ||
	    wire_set(options, "top_p", req->top_p) == -1)
		goto fail;
	root = json_pack("{s:s, s:O, s:b, s:b, s:b, s:O}", "model", req->model,
	    "messages", list, "stream", 1, "truncate", 0, "shift", 0,
	    "options", options);
	json_decref(list);
	json_decref(options);
	return root;
fail:
	json_decref(list);
	json_decref(options);
	return NULL;
}

static int
take(struct wire *w, const json_t *root, bool whole)
{
	static const struct wire_reason reasons[] = {
		{ "stop", WIRE_F_STOP },
		{ "length", WIRE_F_LENGTH },
	};
	const json_t *m = json_object_get(root, "message");
	const json_t *content = json_object_get(m, "content");
	const json_t *thinking = json_object_get(m, "thinking");
	const json_t *done = json_object_get(root, "done");

	(void)whole;
	if (!json_is_object(root) || !json_is_boolean(done))
		return wire_fail(w, "the model's server sent a malformed answer");
	if (!wire_text_or_none(content) || !wire_text_or_none(thinking))
		return wire_fail(w,
		    "the model's server sent a text in an unknown form");
	wire_reasoning(w, jsonin_text(thinking));
	wire_text(w, jsonin_text(content));
	if (json_array_size(json_object_get(m, "tool_calls")) > 0)
		w->tool_calls = true;
	if (!json_is_true(done))
		return 0;
	wire_count(&w->prompt_tokens,
	    json_object_get(root, "prompt_eval_count"));
	wire_count(&w->completion_tokens, json_object_get(root, "eval_count"));
	if (wire_take_finish(w, json_object_get(root, "done_reason"), reasons,
	    sizeof(reasons) / sizeof(reasons[0])) == -1)
		return -1;
	w->done = true;
	return 1;
}

const struct wire_protocol wire_ollama = {
	"/api/chat", true, request, take
};
