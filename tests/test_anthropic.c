/* anthropic.c: every shape of answer, cut everywhere, and requests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire_runs.h"

#define TYPE	PROVIDER_ANTHROPIC

#define EV(type, members) "event: " type "\ndata: {\"type\":\"" type "\"" \
    members "}\n\n"
#define START	EV("message_start", ",\"message\":{\"id\":\"m\",\"type\":" \
    "\"message\",\"role\":\"assistant\",\"content\":[],\"stop_reason\":null," \
    "\"usage\":{\"input_tokens\":25,\"output_tokens\":1}}")
#define BLOCK	EV("content_block_start", ",\"index\":0,\"content_block\":" \
    "{\"type\":\"text\",\"text\":\"\"}")
#define TEXT(t)	EV("content_block_delta", ",\"index\":0,\"delta\":" \
    "{\"type\":\"text_delta\",\"text\":\"" t "\"}")
#define THINK(t) EV("content_block_delta", ",\"index\":0,\"delta\":" \
    "{\"type\":\"thinking_delta\",\"thinking\":\"" t "\"}")
#define BEND	EV("content_block_stop", ",\"index\":0")
#define REASON(r) EV("message_delta", ",\"delta\":{\"stop_reason\":\"" r \
    "\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":15}")
#define STOP	EV("message_stop", "")
#define PING	EV("ping", "")

static void
test_complete(void **state)
{
	static const struct want t[] = {
		{ START BLOCK PING TEXT("Hel") TEXT("lo") BEND REASON("end_turn")
		    STOP, WIRE_COMPLETE, WIRE_F_STOP, "Hello", "", 25, 15, 0,
		    false },
		{ START BLOCK TEXT("x") BEND REASON("max_tokens") STOP,
		    WIRE_COMPLETE, WIRE_F_LENGTH, "x", "", 25, 15, 0, false },
		{ START BLOCK TEXT("x") BEND
		    REASON("model_context_window_exceeded"),
		    WIRE_COMPLETE, WIRE_F_LENGTH, "x", "", 25, 15, 0, false },
		{ START BLOCK TEXT("x") BEND REASON("stop_sequence") STOP,
		    WIRE_COMPLETE, WIRE_F_STOP, "x", "", 25, 15, 0, false },
		{ START REASON("refusal") STOP, WIRE_COMPLETE,
		    WIRE_F_CONTENT_FILTER, "", "", 25, 15, 0, false },
		/* A block may begin with text; unknown events and blocks. */
		{ START EV("content_block_start", ",\"index\":0,"
		    "\"content_block\":{\"type\":\"text\",\"text\":\"a\"}")
		    EV("novelty", ",\"x\":[1]") EV("content_block_start",
		    ",\"index\":1,\"content_block\":{\"type\":\"novelty\","
		    "\"text\":\"never\"}") TEXT("b") REASON("end_turn") STOP,
		    WIRE_COMPLETE, WIRE_F_STOP, "ab", "", 25, 15, 0, false },
		/* Thinking is shown apart, its signature not at all. */
		{ START EV("content_block_start", ",\"index\":0,"
		    "\"content_block\":{\"type\":\"thinking\",\"thinking\":\"\"}")
		    THINK("hm") EV("content_block_delta", ",\"index\":0,"
		    "\"delta\":{\"type\":\"signature_delta\",\"signature\":"
		    "\"c2ln\"}") BEND TEXT("yes") REASON("end_turn") STOP,
		    WIRE_COMPLETE, WIRE_F_STOP, "yes", "hm", 25, 15, 0, false },
		{ START EV("content_block_start", ",\"index\":0,"
		    "\"content_block\":{\"type\":\"tool_use\",\"id\":\"t\","
		    "\"name\":\"f\",\"input\":{}}") EV("content_block_delta",
		    ",\"index\":0,\"delta\":{\"type\":\"input_json_delta\","
		    "\"partial_json\":\"\"}") EV("content_block_delta",
		    ",\"index\":0,\"delta\":{\"type\":\"input_json_delta\","
		    "\"partial_json\":\"{\\\"a\"}") EV("content_block_delta",
		    ",\"index\":0,\"delta\":{\"type\":\"input_json_delta\","
		    "\"partial_json\":\"\\\":1}\"}") EV("content_block_start",
		    ",\"index\":1,\"content_block\":{\"type\":\"tool_use\","
		    "\"id\":\"u\",\"name\":\"g\",\"input\":{}}")
		    REASON("tool_use") STOP,
		    WIRE_COMPLETE, WIRE_F_TOOL_CALLS, "",
		    "[0 t f][0  ]{\"a[0  ]\":1}[1 u g]", 25, 15, 0, true },
		{ START EV("content_block_delta", ",\"index\":0,\"delta\":{"
		    "\"type\":\"input_json_delta\",\"partial_json\":\"1\"}"),
		    WIRE_FAILED, WIRE_F_NONE, "", "", 25, 1, WIRE_E_PROTOCOL,
		    false },
		{ "{\"type\":\"message\",\"content\":[{\"type\":\"tool_use\","
		    "\"id\":\"t\",\"name\":\"f\",\"input\":{\"a\":[1]}}],"
		    "\"stop_reason\":\"tool_use\"}", WIRE_COMPLETE,
		    WIRE_F_TOOL_CALLS, "", "[0 t f]{\"a\":[1]}", -1, -1, 0,
		    true },
		/* What a cache did counts as sent. */
		{ EV("message_start", ",\"message\":{\"content\":[],\"usage\":"
		    "{\"input_tokens\":1,\"cache_creation_input_tokens\":20,"
		    "\"cache_read_input_tokens\":300,\"output_tokens\":0}}")
		    TEXT("c") REASON("end_turn") STOP, WIRE_COMPLETE,
		    WIRE_F_STOP, "c", "", 321, 15, 0, false },
		/* What is not streamed. */
		{ "{\"type\":\"message\",\"content\":[{\"type\":\"thinking\","
		    "\"thinking\":\"h\"},{\"type\":\"text\",\"text\":\"one\"},"
		    "{\"type\":\"text\",\"text\":\" two\"}],\"stop_reason\":"
		    "\"end_turn\",\"usage\":{\"input_tokens\":4,"
		    "\"output_tokens\":2}}", WIRE_COMPLETE, WIRE_F_STOP,
		    "one two", "h", 4, 2, 0, false },
	};

	(void)state;
	RUN(t);
}

static void
test_incomplete(void **state)
{
	static const struct want t[] = {
		{ START BLOCK TEXT("half"), WIRE_TRUNCATED, WIRE_F_NONE, "half",
		    "", 25, 1, 0, false },
		/* The last word without a reason. */
		{ START BLOCK TEXT("half") BEND STOP, WIRE_TRUNCATED,
		    WIRE_F_NONE, "half", "", 25, 1, 0, false },
		{ "", WIRE_TRUNCATED, WIRE_F_NONE, "", "", -1, -1, 0, false },
		{ "data: [DONE]\n\n", WIRE_FAILED, WIRE_F_NONE, "", "", -1, -1,
		    WIRE_E_PROTOCOL, false },
		{ START TEXT("x") REASON("pause_turn") STOP, WIRE_FAILED,
		    WIRE_F_NONE, "x", "", 25, 15, WIRE_E_PROTOCOL, false },
		{ START TEXT("x") "event: error\ndata: {\"type\":\"error\","
		    "\"error\":{\"type\":\"overloaded_error\",\"message\":"
		    "\"Overloaded\"}}\n\n", WIRE_FAILED, WIRE_F_NONE, "x", "",
		    25, 1, WIRE_E_OVERLOADED, false },
		{ START EV("content_block_delta", ",\"delta\":{\"type\":"
		    "\"text_delta\",\"text\":7}"), WIRE_FAILED, WIRE_F_NONE, "",
		    "", 25, 1, WIRE_E_PROTOCOL, false },
		{ EV("message_start", ""), WIRE_FAILED, WIRE_F_NONE, "", "", -1,
		    -1, WIRE_E_PROTOCOL, false },
		{ "data: []\n\n", WIRE_FAILED, WIRE_F_NONE, "", "", -1, -1,
		    WIRE_E_PROTOCOL, false },
		{ "{\"type\":\"message\",\"content\":{}}", WIRE_FAILED,
		    WIRE_F_NONE, "", "", -1, -1, WIRE_E_PROTOCOL, false },
		{ "{\"type\":\"error\",\"error\":{\"type\":\"api_error\","
		    "\"message\":\"no\"}}", WIRE_FAILED, WIRE_F_NONE, "", "", -1,
		    -1, WIRE_E_SERVER, false },
	};

	(void)state;
	RUN(t);
}

static void
test_errors(void **state)
{
	static const struct {
		int		 status;
		const char	*type, *message;
		enum wire_class	 cls;
		bool		 retry;
	} t[] = {
		{ 401, "authentication_error", "invalid x-api-key", WIRE_E_AUTH,
		    false },
		{ 403, "permission_error", "no", WIRE_E_AUTH, false },
		{ 404, "not_found_error", "model: x", WIRE_E_NOTFOUND, false },
		{ 413, "request_too_large", "too large", WIRE_E_CONTEXT, false },
		{ 429, "rate_limit_error", "slow down", WIRE_E_RATE, true },
		{ 402, "billing_error", "pay", WIRE_E_QUOTA, false },
		{ 500, "api_error", "oops", WIRE_E_SERVER, true },
		{ 529, "overloaded_error", "Overloaded", WIRE_E_OVERLOADED, true },
		{ 400, "invalid_request_error", "prompt is too long: 9 tokens > "
		    "8 maximum", WIRE_E_CONTEXT, false },
		{ 400, "invalid_request_error", "max_tokens: required",
		    WIRE_E_REQUEST, false },
	};
	struct wire_error e;
	char body[256];

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		(void)snprintf(body, sizeof(body), "{\"type\":\"error\",\"error\":"
		    "{\"type\":\"%s\",\"message\":\"%s\"},\"request_id\":\"r\"}",
		    t[i].type, t[i].message);
		wire_error_body(&e, t[i].status, bytes_str(body));
		assert_int_equal(e.cls, t[i].cls);
		assert_int_equal(e.retry, t[i].retry);
		assert_string_equal(e.message, t[i].message);
		assert_string_equal(e.code, t[i].type);
	}
}

static void
test_request(void **state)
{
	struct item m[] = {
		{ .kind = KIND_SYSTEM, .text = bytes_str("be\nkind") },
		{ .kind = KIND_USER, .text = bytes_str("\"") },
		{ .kind = KIND_ASSISTANT, .text = bytes_str("a") },
		{ .kind = KIND_USER, .text = bytes_str("b") },
	};
	struct wire_req r = { .model = "m", .items = m, .nitems = 4,
	    .context = 99 };
	struct buf out = BUF_INIT(4096);
	const char *why;

	(void)state;
	assert_int_equal(wire_request(&out, TYPE, &r, &why), 0);
	buf_u8(&out, 0);
	assert_string_equal((char *)out.p, "{\"model\":\"m\",\"max_tokens\":8192,"
	    "\"messages\":[{\"role\":\"user\",\"content\":\"\\\"\"},"
	    "{\"role\":\"assistant\",\"content\":\"a\"},{\"role\":\"user\","
	    "\"content\":\"b\"}],\"stream\":true,\"system\":\"be\\nkind\"}");
	buf_reset(&out);
	r.items = m + 1;
	r.nitems = 1;
	r.max_tokens = 5;
	r.temperature = 501;
	r.top_p = 901;
	assert_int_equal(wire_request(&out, TYPE, &r, &why), 0);
	buf_u8(&out, 0);
	assert_string_equal((char *)out.p, "{\"model\":\"m\",\"max_tokens\":5,"
	    "\"messages\":[{\"role\":\"user\",\"content\":\"\\\"\"}],"
	    "\"stream\":true,\"temperature\":0.5,\"top_p\":0.9}");
	buf_reset(&out);
	/* Several system prompts: the model's own, then the user's. */
	m[1].kind = KIND_SYSTEM;
	r.items = m;
	r.nitems = 4;
	assert_int_equal(wire_request(&out, TYPE, &r, &why), 0);
	buf_u8(&out, 0);
	assert_non_null(strstr((char *)out.p, "\"system\":[{\"type\":\"text\","
	    "\"text\":\"be\\nkind\"},{\"type\":\"text\",\"text\":"
	    "\"\\\"\"}]"));
	m[1].kind = KIND_USER;
	buf_reset(&out);
	m[0].text = bytes_of("a\0b", 3);
	r.items = m;
	r.nitems = 4;
	assert_int_equal(wire_request(&out, TYPE, &r, &why), -1);
	assert_int_equal(out.n, 0);
	buf_free(&out);
}

/* Images, tools, calls and results, as the protocol of this provider has them. */
static void
test_items(void **state)
{
	struct item it[] = {
		{ .kind = KIND_SYSTEM, .text = bytes_str("s") },
		{ .kind = ITEM_TOOL, .name = bytes_str("f"),
		    .about = bytes_str("finds"), .text = bytes_str(
		    "{\"type\":\"object\",\"required\":[]}") },
		{ .kind = ITEM_TOOL, .name = bytes_str("g") },
		{ .kind = ITEM_CHOICE, .how = ITEM_REQUIRED,
		    .several = ITEM_NO },
		{ .kind = KIND_USER, .text = bytes_str("what?") },
		{ .kind = ITEM_IMAGE, .how = ITEM_JPEG,
		    .text = bytes_str("abc") },
		{ .kind = KIND_ASSISTANT },
		{ .kind = ITEM_CALL, .id = bytes_str("c1"),
		    .name = bytes_str("f"), .text = bytes_str("{\"a\":1}") },
		{ .kind = ITEM_RESULT, .id = bytes_str("c1"),
		    .text = bytes_str("a cat") },
	};
	struct wire_req r = { .model = "m", .items = it, .nitems = 9 };
	struct buf out = BUF_INIT(4096);
	const char *why;

	(void)state;
	assert_int_equal(wire_request(&out, TYPE, &r, &why), 0);
	buf_u8(&out, 0);
	assert_string_equal((char *)out.p, "{\"model\":\"m\",\"max_tokens\":8192,"
	    "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\","
	    "\"text\":\"what?\"},{\"type\":\"image\",\"source\":{\"type\":"
	    "\"base64\",\"media_type\":\"image/jpeg\",\"data\":\"YWJj\"}}]},"
	    "{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\","
	    "\"id\":\"c1\",\"name\":\"f\",\"input\":{\"a\":1}}]},"
	    "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\","
	    "\"tool_use_id\":\"c1\",\"content\":\"a cat\"}]}],\"stream\":true,"
	    "\"system\":\"s\",\"tools\":[{\"name\":\"f\",\"input_schema\":{"
	    "\"type\":\"object\",\"required\":[]},\"description\":\"finds\"},"
	    "{\"name\":\"g\",\"input_schema\":{\"type\":\"object\"}}],"
	    "\"tool_choice\":{\"type\":\"any\",\"disable_parallel_tool_use\":"
	    "true}}");
	buf_reset(&out);
	it[7].text = bytes_str("7");	/* arguments are an object's */
	assert_int_equal(wire_request(&out, TYPE, &r, &why), -1);
	it[7].text = bytes_str("");
	it[1].text = bytes_str("{");
	assert_int_equal(wire_request(&out, TYPE, &r, &why), -1);
	assert_non_null(strstr(why, "schema"));
	assert_int_equal(out.n, 0);
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_complete),
		cmocka_unit_test(test_incomplete),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_request),
		cmocka_unit_test(test_items),
	};

	jsonin_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
