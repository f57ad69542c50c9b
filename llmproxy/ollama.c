/*
 * Ollama's own /api/chat: a JSON object in each line, of which the last one says
 * done.  Unlike its /v1 it reports errors in the middle, and the size of the
 * context can be set.
 */
#include "jsonin.h"
#include "wire_local.h"

/* ---- what is asked ------------------------------------------------------- */

/* All texts are one; images stand beside it. */
static json_t *
user(const struct item *it, size_t n)
{
	json_t *images = json_array(), *m = NULL;
	struct buf text = BUF_INIT(SIZE_MAX / 2);

	for (size_t i = 0; i < n; i++)
		if (it[i].kind != ITEM_IMAGE)
			buf_put(&text, it[i].text.p, it[i].text.n);
		else if (json_array_append_new(images, wire_base64("",
		    it[i].text)) == -1)
			goto out;
	if (text.err)
		goto out;
	m = json_pack("{s:s, s:o}", "role", "user", "content",
	    wire_string(buf_bytes(&text)));
	if (json_array_size(images) > 0 &&
	    json_object_set(m, "images", images) == -1) {
		json_decref(m);
		m = NULL;
	}
out:
	json_decref(images);
	buf_free(&text);
	return m;
}

static json_t *
assistant(const struct item *it, size_t n)
{
	json_t *m = json_pack("{s:s, s:o}", "role", "assistant", "content",
	    wire_string(it->text)), *list;

	if (n == 1)
		return m;
	list = json_array();
	for (size_t i = 1; i < n; i++)
		if (json_array_append_new(list, json_pack("{s:{s:o, s:o}}",
		    "function", "name", wire_string(it[i].name), "arguments",
		    wire_object(it[i].text))) == -1) {
			json_decref(list);
			list = NULL;
			break;
		}
	if (json_object_set_new(m, "tool_calls", list) == -1) {
		json_decref(m);
		return NULL;
	}
	return m;
}

/* Calls have no ids here, but results name the tool. */
static json_t *
result(const struct wire_req *req, const struct item *it)
{
	const struct item *c;
	struct bytes name = { NULL, 0 };

	for (c = req->items; c < it; c++)
		if (c->kind == ITEM_CALL && bytes_eq(c->id, it->id))
			name = c->name;
	return json_pack("{s:s, s:o, s:o}", "role", "tool", "content",
	    wire_string(it->text), "tool_name", wire_string(name));
}

static json_t *
message(const struct wire_req *req, const struct item *it, size_t n)
{
	switch (it->kind) {
	case KIND_SYSTEM:
		return json_pack("{s:s, s:o}", "role", "system", "content",
		    wire_string(it->text));
	case KIND_ASSISTANT:
		return assistant(it, n);
	case ITEM_RESULT:
		return result(req, it);
	default:
		return user(it, n);
	}
}

static int
set_tools(json_t *root, const struct wire_req *req, const char **why)
{
	const struct item *c = wire_find(req, ITEM_CHOICE);
	json_t *list;

	if (wire_find(req, ITEM_TOOL) == NULL)
		return 0;
	if (c != NULL && (c->how == ITEM_REQUIRED || c->how == ITEM_NAMED ||
	    c->several == ITEM_NO)) {
		*why = "this provider (Ollama) cannot be told which tools to "
		    "call, nor how many";
		return -1;
	}
	if (c != NULL && c->how == ITEM_NONE)
		return 0;
	if ((list = wire_tools(req, why)) == NULL)
		return -1;
	return json_object_set_new(root, "tools", list);
}

/*
 * truncate and shift: Ollama would else leave out the oldest messages, or the
 * beginning of the answer, without a word when they do not fit.
 */
static json_t *
request(const struct wire_req *req, const char **why)
{
	json_t *list = wire_messages(req, false, message), *root = NULL;
	json_t *options = json_object();

	if (list == NULL || options == NULL)
		goto out;
	if (wire_set_int(options, "num_predict", req->max_tokens) == -1 ||
	    wire_set_int(options, "num_ctx", req->context) == -1 ||
	    wire_set(options, "temperature", req->temperature) == -1 ||
	    wire_set(options, "top_p", req->top_p) == -1)
		goto out;
	root = json_pack("{s:s, s:O, s:b, s:b, s:b, s:O}", "model", req->model,
	    "messages", list, "stream", 1, "truncate", 0, "shift", 0,
	    "options", options);
	if (root != NULL && set_tools(root, req, why) == -1) {
		json_decref(root);
		root = NULL;
	}
out:
	json_decref(list);
	json_decref(options);
	return root;
}

/* ---- what is answered ---------------------------------------------------- */

/* Each is whole when it comes, and has neither a number nor, mostly, an id. */
static int
take_calls(struct wire *w, const json_t *list)
{
	const json_t *c, *f;

	for (size_t i = 0; i < json_array_size(list); i++) {
		c = json_array_get(list, i);
		f = json_object_get(c, "function");
		if (wire_whole_tool(w, json_object_get(c, "id"),
		    json_object_get(f, "name"),
		    json_object_get(f, "arguments")) == -1)
			return -1;
	}
	return 0;
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
	if (take_calls(w, json_object_get(m, "tool_calls")) == -1)
		return -1;
	if (!json_is_true(done))
		return 0;
	wire_count(&w->prompt_tokens,
	    json_object_get(root, "prompt_eval_count"));
	wire_count(&w->completion_tokens, json_object_get(root, "eval_count"));
	if (wire_take_finish(w, json_object_get(root, "done_reason"), reasons,
	    sizeof(reasons) / sizeof(reasons[0])) == -1)
		return -1;
	/* It stopped, in its words, to have them called. */
	if (w->finish == WIRE_F_STOP && w->tool_calls)
		w->finish = WIRE_F_TOOL_CALLS;
	w->done = true;
	return 1;
}

const struct wire_protocol wire_ollama = {
	"/api/chat", true, request, take
};
