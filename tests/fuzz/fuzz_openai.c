/*
 * A provider's answer: event streams and JSON in any split, error bodies and
 * the headers that ask to wait.
 */
#include "fuzz.h"

#include "jsonin.h"
#include "openai.h"

struct got {
	struct buf	text, reasoning;
};

static void
take(struct buf *b, struct bytes t)
{
	need(t.n > 0 && t.n <= OPENAI_DELTA_MAX && bytes_utf8(t));
	buf_put(b, t.p, t.n);
}

static void
on_text(void *arg, struct bytes t)
{
	take(&((struct got *)arg)->text, t);
}

static void
on_reasoning(void *arg, struct bytes t)
{
	take(&((struct got *)arg)->reasoning, t);
}

static const struct openai_cb cb = { on_text, on_reasoning };

static void
fuzz_setup(void)
{
	jsonin_init();
}

static void
fuzz_seeds(void)
{
	static const char *const s[] = {
		": hello\r\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"role\":"
		"\"assistant\",\"content\":\"Hi \\u00e9\\ud83d\\ude00\"},"
		"\"finish_reason\":null}]}\r\n\r\ndata: {\"choices\":[{\"delta\":"
		"{\"reasoning_content\":\"hm\"},\"finish_reason\":\"stop\"}]}\n\n"
		"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,"
		"\"completion_tokens\":4}}\n\ndata: [DONE]\n\n",
		"event: error\ndata: {\"error\":{\"message\":\"no\","
		"\"code\":429,\"type\":\"rate_limit_error\"}}\n\n",
		"{\"object\":\"chat.completion\",\"choices\":[{\"message\":"
		"{\"content\":\"whole\\u0000\",\"reasoning\":\"r\"},"
		"\"finish_reason\":\"length\"}],\"usage\":{\"prompt_tokens\":1}}",
		"data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0}]},"
		"\"finish_reason\":\"tool_calls\"}]}\n\n",
		"{\"error\":{\"code\":400,\"message\":\"the request exceeds the "
		"available context size\",\"type\":"
		"\"exceed_context_size_error\",\"n_prompt_tokens\":9,"
		"\"n_ctx\":8}}",
		"{\"object\":\"error\",\"message\":\"m\",\"code\":404}",
		"{\"detail\":[{\"msg\":\"x\"}]}", "{\"error\":\"plain\"}",
		"<html><title>502</title>", "data:\ndata: x\rdata\n\r\n",
		"1.5", "Wed, 21 Oct 2026 07:28:00 GMT", "120",
		"[[[[{\"a\":[1,-2e5,null,true,\"\\ud83d\"]}]]]]"
	};

	for (uint8_t mode = 0; mode < 5; mode++)
		for (size_t i = 0; i < sizeof(s) / sizeof(s[0]); i++)
			fuzz_seed((uint8_t[]){ mode, 7 }, 2, bytes_str(s[i]));
}

/* Feed the body in pieces of that size; what comes must not depend on it. */
static enum openai_verdict
answer(struct bytes body, size_t piece, struct got *g, struct openai *o)
{
	int rv = 0;

	buf_init(&g->text, 1 << 20);
	buf_init(&g->reasoning, 1 << 20);
	openai_init(o, &cb, g);
	while (rv == 0 && body.n > 0) {
		size_t n = body.n < piece ? body.n : piece;
		uint8_t *copy = malloc(n);

		memcpy(copy, body.p, n);
		rv = openai_feed(o, copy, n);
		free(copy);
		body.p += n;
		body.n -= n;
	}
	return openai_end(o);
}

static void
check_error(const struct openai_error *e)
{
	size_t n = strlen(e->message);

	need(n > 0 && n <= OPENAI_MESSAGE_MAX);
	need(bytes_utf8(bytes_str(e->message)));
	for (size_t i = 0; i < n; i++)
		need((uint8_t)e->message[i] >= 0x20 && e->message[i] != 0x7f);
	for (const char *p = e->code; *p != '\0'; p++)
		need(*p >= 0x20 && *p < 0x7f);
	need(e->cls != OPENAI_E_NONE && openai_class_name(e->cls) != NULL);
}

static void
answers(struct bytes body, size_t piece)
{
	struct openai a, b;
	struct got ga, gb;
	enum openai_verdict v = answer(body, body.n + 1, &ga, &a);

	need(v == answer(body, piece, &gb, &b));
	need(bytes_eq(buf_bytes(&ga.text), buf_bytes(&gb.text)));
	need(bytes_eq(buf_bytes(&ga.reasoning), buf_bytes(&gb.reasoning)));
	need(a.finish == b.finish && a.done == b.done);
	need(a.delivered == (ga.text.n > 0 || ga.reasoning.n > 0));
	need(a.prompt_tokens == b.prompt_tokens && a.prompt_tokens >= -1);
	need(a.completion_tokens >= -1);
	need(openai_finish_name(a.finish) != NULL);
	if (v == OPENAI_COMPLETE)
		need(a.finish != OPENAI_F_NONE);
	if (v == OPENAI_FAILED)
		check_error(&a.error);
	openai_free(&a);
	openai_free(&b);
	buf_free(&ga.text);
	buf_free(&ga.reasoning);
	buf_free(&gb.text);
	buf_free(&gb.reasoning);
}

static void
error(struct bytes body, int status)
{
	const struct bytes key = bytes_str("sk-0123456789abcdef");
	struct openai_error e;

	openai_error_body(&e, status, body);
	check_error(&e);
	openai_error_redact(&e, key);
	check_error(&e);
	need(strstr(e.message, "sk-01234") == NULL);
	need(strstr(e.code, "sk-01234") == NULL);
}

static void
retry_after(struct bytes body)
{
	char *s = strndup((const char *)body.p, body.n);
	long ms[3] = { openai_retry_after(s, NULL, 1700000000),
	    openai_retry_after(NULL, s, 1700000000),
	    openai_retry_after(s, s, 0) };

	for (int i = 0; i < 3; i++)
		need(ms[i] >= -1 && ms[i] <= OPENAI_RETRY_MAX + 1);
	free(s);
}

static void
request(struct bytes text)
{
	struct buf out = BUF_INIT(1 << 20);
	struct openai_msg msg = { OPENAI_USER, text };
	struct openai_req req = { .model = "m", .msgs = &msg, .nmsgs = 1 };
	json_t *j, *t;

	if (openai_request(&out, &req) == 0) {
		need((j = jsonin_parse(buf_bytes(&out), NULL)) != NULL);
		t = json_object_get(json_array_get(json_object_get(j,
		    "messages"), 0), "content");
		need(bytes_eq(jsonin_text(t), text));
		json_decref(j);
	} else
		need(out.n == 0);
	buf_free(&out);
}

static void
fuzz_one(struct bytes input)
{
	struct rd in = rd_of(input);
	uint8_t mode = rd_u8(&in) % 5, arg = rd_u8(&in);
	struct bytes body = { in.p, in.n };
	json_t *j;
	bool cut;

	if (mode == 0)
		answers(body, 1 + arg % 32);
	else if (mode == 1)
		error(body, 400 + arg % 200);
	else if (mode == 2)
		retry_after(body);
	else if (mode == 3)
		request(body);
	else if ((j = jsonin_parse(body, &cut)) != NULL) {
		need(bytes_utf8(body));
		json_decref(j);
	}
}
