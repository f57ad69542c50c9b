#include "openai.h"

#include <math.h>
#include <string.h>

#include <openssl/crypto.h>

#include "jsonin.h"

static const char *const roles[] = {
	[OPENAI_SYSTEM] = "system",
	[OPENAI_USER] = "user",
	[OPENAI_ASSISTANT] = "assistant",
};

static const char *const finishes[] = {
	[OPENAI_F_NONE] = "none",
	[OPENAI_F_STOP] = "stop",
	[OPENAI_F_LENGTH] = "length",
	[OPENAI_F_TOOL_CALLS] = "tool_calls",
	[OPENAI_F_CONTENT_FILTER] = "content_filter",
	[OPENAI_F_FUNCTION_CALL] = "function_call",
};

const char *
openai_finish_name(enum openai_finish f)
{
	return finishes[f];
}

static int
write_json(const char *p, size_t n, void *out)
{
	buf_put(out, p, n);
	return ((struct buf *)out)->err ? -1 : 0;
}

static json_t *
message_list(const struct openai_req *req)
{
	json_t *list = json_array();

	for (size_t i = 0; i < req->nmsgs; i++) {
		const struct openai_msg *m = &req->msgs[i];

		if (!bytes_utf8(m->text) || json_array_append_new(list,
		    json_pack("{s:s, s:o}", "role", roles[m->role], "content",
		    json_stringn(m->text.n > 0 ? (const char *)m->text.p : "",
		    m->text.n))) == -1) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

int
openai_request(struct buf *out, const struct openai_req *req)
{
	json_t *root = NULL, *list;
	size_t before = out->n;
	int rc = -1;

	if ((list = message_list(req)) == NULL || (req->has_temperature &&
	    !isfinite(req->temperature))) {
		json_decref(list);
		return -1;
	}
	root = json_pack("{s:s, s:o, s:b, s:{s:b}}", "model", req->model,
	    "messages", list, "stream", 1, "stream_options", "include_usage", 1);
	if (root == NULL)
		return -1;
	if (req->max_tokens > 0 && json_object_set_new(root, "max_tokens",
	    json_integer(req->max_tokens)) == -1)
		goto out;
	if (req->has_temperature && json_object_set_new(root, "temperature",
	    json_real(req->temperature)) == -1)
		goto out;
	if (json_dump_callback(root, write_json, out,
	    JSON_COMPACT | JSON_REAL_PRECISION(6)) == -1)
		goto out;
	rc = 0;
out:
	if (rc == -1 && out->n > before) {
		OPENSSL_cleanse(out->p + before, out->n - before);
		out->n = before;
	}
	json_decref(root);
	return rc;
}

/* Hand text out in pieces of whole characters, each NUL as U+FFFD. */
static void
emit(struct openai *o, void (*fn)(void *, struct bytes), struct bytes t)
{
	uint8_t piece[OPENAI_DELTA_MAX];
	size_t n = 0;

	if (t.n == 0)
		return;
	o->delivered = true;
	for (size_t i = 0; i < t.n; i++) {
		/* The first byte of a character: the longest may not fit. */
		if ((t.p[i] & 0xc0) != 0x80 && n > sizeof(piece) - 4) {
			fn(o->arg, bytes_of(piece, n));
			n = 0;
		}
		if (t.p[i] == '\0') {
			memcpy(piece + n, "\xef\xbf\xbd", 3);
			n += 3;
		} else
			piece[n++] = t.p[i];
	}
	fn(o->arg, bytes_of(piece, n));
	OPENSSL_cleanse(piece, sizeof(piece));
}

static int
fail(struct openai *o, const char *message)
{
	openai_error_protocol(&o->error, message);
	return -1;
}

/* Absent, null and text are what a text member may be: nothing is dropped. */
static bool
is_text_or_none(const json_t *v)
{
	return v == NULL || json_is_null(v) || json_is_string(v);
}

static int
take_delta(struct openai *o, const json_t *d)
{
	const json_t *content = json_object_get(d, "content");
	const json_t *refusal = json_object_get(d, "refusal");
	const json_t *reason = json_object_get(d, "reasoning_content");

	/* Some servers send the same text under both names. */
	if (jsonin_text(reason).n == 0 && is_text_or_none(reason))
		reason = json_object_get(d, "reasoning");
	if (!is_text_or_none(content) || !is_text_or_none(refusal) ||
	    !is_text_or_none(reason))
		return fail(o, "the model's server sent a text in an unknown form");
	emit(o, o->cb->reasoning, jsonin_text(reason));
	emit(o, o->cb->text, jsonin_text(content));
	emit(o, o->cb->text, jsonin_text(refusal));
	if (json_array_size(json_object_get(d, "tool_calls")) > 0 ||
	    json_is_object(json_object_get(d, "function_call")))
		o->tool_calls = true;
	return 0;
}

static int
take_finish(struct openai *o, const json_t *v)
{
	if (jsonin_text(v).n == 0)
		return 0;
	for (enum openai_finish f = OPENAI_F_STOP;
	    f <= OPENAI_F_FUNCTION_CALL; f++)
		if (jsonin_is(v, finishes[f])) {
			if (o->finish == OPENAI_F_NONE)
				o->finish = f;
			return 0;
		}
	/* It ended, but nobody here can say that it is complete. */
	return fail(o, "the model's server ended for an unknown reason");
}

static int
take_choice(struct openai *o, const json_t *c)
{
	const json_t *index = json_object_get(c, "index");
	const json_t *d = json_object_get(c, "delta");

	if (!json_is_object(c))
		return fail(o, "the model's server sent a malformed choice");
	if (json_is_integer(index) && json_integer_value(index) != 0)
		return 0;
	if (!json_is_object(d))
		d = json_object_get(c, "message");
	if (take_delta(o, d) == -1)
		return -1;
	return take_finish(o, json_object_get(c, "finish_reason"));
}

static void
take_count(int64_t *dst, const json_t *v)
{
	if (json_is_integer(v) && json_integer_value(v) >= 0)
		*dst = json_integer_value(v);
}

/* A chunk of a stream, or a whole completion. */
static int
take_answer(struct openai *o, const json_t *root)
{
	const json_t *choices = json_object_get(root, "choices");
	const json_t *usage = json_object_get(root, "usage");

	if (!json_is_object(root) || (choices != NULL &&
	    !json_is_array(choices) && !json_is_null(choices)))
		return fail(o, "the model's server sent a malformed answer");
	for (size_t i = 0; i < json_array_size(choices); i++)
		if (take_choice(o, json_array_get(choices, i)) == -1)
			return -1;
	take_count(&o->prompt_tokens, json_object_get(usage, "prompt_tokens"));
	take_count(&o->completion_tokens,
	    json_object_get(usage, "completion_tokens"));
	return 0;
}

static int
take_json(struct openai *o, json_t *root, bool is_error)
{
	int rc = -1;

	if (is_error || openai_error_is(root))
		openai_error_json(&o->error, 200, root);
	else
		rc = take_answer(o, root);
	json_decref(root);
	return rc;
}

static int
take_event(void *arg, const char *name, struct bytes data)
{
	struct openai *o = arg;
	bool is_error = strcmp(name, "error") == 0;
	json_t *root;

	while (data.n > 0 && data.p[data.n - 1] == ' ')
		data.n--;
	if (bytes_eq(data, bytes_str("[DONE]"))) {
		o->done = true;
		return 1;
	}
	if (data.n == 0 && !is_error)
		return 0;
	if ((root = jsonin_parse(data, NULL)) != NULL)
		return take_json(o, root, is_error);
	if (!is_error)
		return fail(o, "the model's server sent malformed JSON");
	openai_error_body(&o->error, 200, data);
	return -1;
}

void
openai_init(struct openai *o, const struct openai_cb *cb, void *arg)
{
	memset(o, 0, sizeof(*o));
	o->prompt_tokens = o->completion_tokens = -1;
	o->cb = cb;
	o->arg = arg;
	sse_init(&o->sse, take_event, o);
	buf_init(&o->body, OPENAI_BODY_MAX);
}

void
openai_free(struct openai *o)
{
	sse_free(&o->sse);
	buf_free(&o->body);
}

int
openai_feed(struct openai *o, const void *p, size_t n)
{
	const uint8_t *b = p;
	int rc;

	if (o->error.cls != OPENAI_E_NONE)
		return -1;
	/* No line of an event stream that means anything begins with a brace. */
	while (o->mode == OPENAI_M_START && n > 0) {
		if (b[0] == '{')
			o->mode = OPENAI_M_JSON;
		else if (strchr(" \t\r\n", b[0]) == NULL || b[0] == '\0')
			o->mode = OPENAI_M_SSE;
		else {
			b++;
			n--;
		}
	}
	if (o->mode == OPENAI_M_JSON) {
		buf_put(&o->body, b, n);
		return o->body.err ?
		    fail(o, "the model's server sent too long an answer") : 0;
	}
	rc = sse_feed(&o->sse, b, n);
	if (rc == -1 && o->error.cls == OPENAI_E_NONE)
		return fail(o, "the model's server sent too long an event");
	return rc;
}

enum openai_verdict
openai_end(struct openai *o)
{
	json_t *root;
	bool cut = false;

	if (o->mode == OPENAI_M_JSON && o->error.cls == OPENAI_E_NONE) {
		if ((root = jsonin_parse(buf_bytes(&o->body), &cut)) != NULL)
			(void)take_json(o, root, false);
		else if (!cut)
			(void)fail(o, "the model's server sent malformed JSON");
	}
	if (o->error.cls != OPENAI_E_NONE)
		return OPENAI_FAILED;
	return o->finish == OPENAI_F_NONE ? OPENAI_TRUNCATED : OPENAI_COMPLETE;
}
