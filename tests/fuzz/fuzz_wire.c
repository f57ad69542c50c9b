/*
 * A provider's answer in each protocol: event streams, lines and JSON in any
 * split, error bodies and the headers that ask to wait.
 */
#include "fuzz.h"

#include "jsonin.h"
#include "wire.h"

#define MODES	(PROVIDER_TYPES + 4)

struct got {
	struct buf	text, reasoning;
};

static void
take(struct buf *b, struct bytes t)
{
	need(t.n > 0 && t.n <= WIRE_DELTA_MAX && bytes_utf8(t));
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

static void
on_tool(void *arg, unsigned index, struct bytes id, struct bytes name,
    struct bytes args)
{
	struct got *g = arg;

	need(index < ITEM_CALLS_MAX && id.n <= ITEM_ID_MAX &&
	    name.n <= ITEM_NAME_MAX && args.n <= WIRE_DELTA_MAX);
	need(bytes_utf8(id) && bytes_utf8(name) && bytes_utf8(args));
	buf_u8(&g->reasoning, (uint8_t)('A' + index));
	buf_put(&g->reasoning, id.p, id.n);
	buf_put(&g->reasoning, name.p, name.n);
	buf_put(&g->reasoning, args.p, args.n);
}

static const struct wire_cb cb = { on_text, on_reasoning, on_tool };

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
		"[[[[{\"a\":[1,-2e5,null,true,\"\\ud83d\"]}]]]]",
		"event: message_start\ndata: {\"type\":\"message_start\","
		"\"message\":{\"content\":[],\"usage\":{\"input_tokens\":2,"
		"\"cache_read_input_tokens\":9223372036854775807}}}\n\n"
		"data: {\"type\":\"content_block_start\",\"content_block\":"
		"{\"type\":\"tool_use\"}}\n\ndata: {\"type\":"
		"\"content_block_delta\",\"delta\":{\"type\":\"text_delta\","
		"\"text\":\"x\"}}\n\ndata: {\"type\":\"message_delta\","
		"\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":"
		"{\"output_tokens\":3}}\n\ndata: {\"type\":\"message_stop\"}"
		"\n\n",
		"{\"type\":\"message\",\"content\":[{\"type\":\"thinking\","
		"\"thinking\":\"t\"}],\"stop_reason\":\"refusal\"}",
		"data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,"
		"\"id\":\"c\",\"function\":{\"name\":\"f\",\"arguments\":"
		"\"{}\"}}]},\"finish_reason\":\"tool_calls\"}]}\n\n",
		"{\"message\":{\"tool_calls\":[{\"function\":{\"name\":\"f\","
		"\"arguments\":{\"a\":[1]}}}]},\"done\":true,"
		"\"done_reason\":\"stop\"}\n",
		"data: {\"type\":\"content_block_start\",\"content_block\":"
		"{\"type\":\"tool_use\",\"id\":\"c\",\"name\":\"f\"}}\n\n"
		"data: {\"type\":\"content_block_delta\",\"delta\":{\"type\":"
		"\"input_json_delta\",\"partial_json\":\"{}\"}}\n\n",
		"{\"message\":{\"content\":\"a\",\"thinking\":\"b\"},"
		"\"done\":false}\n{\"done\":true,\"done_reason\":\"length\","
		"\"eval_count\":7}\n"
	};

	for (uint8_t mode = 0; mode < MODES; mode++)
		for (size_t i = 0; i < sizeof(s) / sizeof(s[0]); i++)
			fuzz_seed((uint8_t[]){ mode, 7 }, 2, bytes_str(s[i]));
}

/* Feed the body in pieces of that size; what comes must not depend on it. */
static enum wire_verdict
answer(enum provider_type type, struct bytes body, size_t piece, struct got *g,
    struct wire *o)
{
	int rv = 0;

	buf_init(&g->text, 1 << 20);
	buf_init(&g->reasoning, 1 << 20);
	wire_init(o, type, &cb, g);
	while (rv == 0 && body.n > 0) {
		size_t n = body.n < piece ? body.n : piece;
		uint8_t *copy = malloc(n);

		memcpy(copy, body.p, n);
		rv = wire_feed(o, copy, n);
		free(copy);
		body.p += n;
		body.n -= n;
	}
	return wire_end(o);
}

static void
check_error(const struct wire_error *e)
{
	size_t n = strlen(e->message);

	need(n > 0 && n <= WIRE_MESSAGE_MAX);
	need(bytes_utf8(bytes_str(e->message)));
	for (size_t i = 0; i < n; i++)
		need((uint8_t)e->message[i] >= 0x20 && e->message[i] != 0x7f);
	for (const char *p = e->code; *p != '\0'; p++)
		need(*p >= 0x20 && *p < 0x7f);
	need(e->cls != WIRE_E_NONE && wire_class_name(e->cls) != NULL);
}

static void
answers(enum provider_type type, struct bytes body, size_t piece)
{
	struct wire a, b;
	struct got ga, gb;
	enum wire_verdict v = answer(type, body, body.n + 1, &ga, &a);

	need(v == answer(type, body, piece, &gb, &b));
	need(bytes_eq(buf_bytes(&ga.text), buf_bytes(&gb.text)));
	need(bytes_eq(buf_bytes(&ga.reasoning), buf_bytes(&gb.reasoning)));
	need(a.finish == b.finish && a.done == b.done);
	need(a.delivered == (ga.text.n > 0 || ga.reasoning.n > 0));
	need(a.prompt_tokens == b.prompt_tokens && a.prompt_tokens >= -1);
	need(a.completion_tokens >= -1);
	need(wire_finish_name(a.finish) != NULL);
	if (v == WIRE_COMPLETE)
		need(a.finish != WIRE_F_NONE);
	if (v == WIRE_FAILED)
		check_error(&a.error);
	wire_free(&a);
	wire_free(&b);
	buf_free(&ga.text);
	buf_free(&ga.reasoning);
	buf_free(&gb.text);
	buf_free(&gb.reasoning);
}

static void
error(struct bytes body, int status)
{
	const struct bytes key = bytes_str("sk-0123456789abcdef");
	struct wire_error e;

	wire_error_body(&e, status, body);
	check_error(&e);
	wire_error_redact(&e, key);
	check_error(&e);
	need(strstr(e.message, "sk-01234") == NULL);
	need(strstr(e.code, "sk-01234") == NULL);
}

static void
retry_after(struct bytes body)
{
	char *s = strndup((const char *)body.p, body.n);
	long ms[3] = { wire_retry_after(s, NULL, 1700000000),
	    wire_retry_after(NULL, s, 1700000000),
	    wire_retry_after(s, s, 0) };

	for (int i = 0; i < 3; i++)
		need(ms[i] >= -1 && ms[i] <= WIRE_RETRY_MAX + 1);
	free(s);
}

static void
request(enum provider_type type, struct bytes text)
{
	struct buf out = BUF_INIT(1 << 20);
	struct item msg = { .kind = KIND_USER, .text = text };
	struct wire_req req = { .model = "m", .items = &msg, .nitems = 1 };
	const char *why;
	json_t *j, *t;

	if (wire_request(&out, type, &req, &why) == 0) {
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
	uint8_t mode = rd_u8(&in) % MODES, arg = rd_u8(&in);
	struct bytes body = { in.p, in.n };
	json_t *j;
	bool cut;

	if (mode < PROVIDER_TYPES)
		answers(mode, body, 1 + arg % 32);
	else if (mode == PROVIDER_TYPES)
		error(body, 400 + arg % 200);
	else if (mode == PROVIDER_TYPES + 1)
		retry_after(body);
	else if (mode == PROVIDER_TYPES + 2)
		request(arg % PROVIDER_TYPES, body);
	else if ((j = jsonin_parse(body, &cut)) != NULL) {
		need(bytes_utf8(body));
		json_decref(j);
	}
}
