/* serve_json.c: what programs may ask, and in which words they are answered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "serve_json.h"

#define MSGS	"\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"

#define TOOL	"{\"type\":\"function\",\"function\":{\"name\":\"f\"," \
    "\"description\":\"d\",\"strict\":true,\"parameters\":{\"type\":" \
    "\"object\"}}}"

static void
test_chat(void **state)
{
	static const uint8_t want[] = "\3\0\0\0\2be\3\0\0\0\1d\1\0\0\0\1q"
	    "\2\0\0\0\1a\1\0\0\0\3one";
	struct serve_error e;
	struct serve_chat c;

	(void)state;
	assert_int_equal(serve_chat_parse(&c, bytes_str("{\"model\":\"m\","
	    "\"messages\":[{\"role\":\"system\",\"content\":\"be\"},"
	    "{\"role\":\"developer\",\"content\":\"d\"},"
	    "{\"role\":\"user\",\"content\":\"q\"},"
	    "{\"role\":\"assistant\",\"content\":\"a\",\"tool_calls\":null},"
	    "{\"role\":\"assistant\",\"content\":null},"
	    "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"on\"},"
	    "{\"type\":\"text\",\"text\":\"e\"}]}],\"stream\":true,"
	    "\"stream_options\":{\"include_usage\":true},\"max_tokens\":7,"
	    "\"temperature\":0.5,\"top_p\":1,\"n\":1,\"tools\":[],\"tool_choice\":\"auto\","
	    "\"stop\":null,"
	    "\"response_format\":{\"type\":\"text\"},\"user\":\"me\"}"), &e), 0);
	assert_string_equal(c.model, "m");
	assert_true(c.stream && c.usage);
	assert_int_equal(c.max_tokens, 7);
	assert_int_equal(c.temperature, 501);
	assert_int_equal(c.top_p, 1001);
	assert_true(bytes_eq(buf_bytes(&c.messages), bytes_of(want,
	    sizeof(want) - 1)));
	serve_chat_free(&c);
	assert_int_equal(serve_chat_parse(&c, bytes_str("{\"model\":\"m\"," MSGS
	    "}"), &e), 0);
	assert_false(c.stream || c.usage);
	assert_int_equal(c.max_tokens + c.temperature + c.top_p, 0);
	serve_chat_free(&c);
}

/* Tools and images become items, in the order that they must have. */
static void
test_items(void **state)
{
	static const uint8_t want[] = "\24\0\0\0\34\2\0\1f\0\1d\0\0\0\21"
	    "{\"type\":\"object\"}"
	    "\25\0\0\0\5\3\1\0\1f"
	    "\3\0\0\0\1s"
	    "\1\0\0\0\0\21\0\0\0\5\1abcd\20\0\0\0\1u\21\0\0\0\2\2x"
	    "\2\0\0\0\0\22\0\0\0\14\0\1c\0\1f\0\0\0\2{}"
	    "\23\0\0\0\10\0\1c\0\0\0\1r";
	struct serve_error e;
	struct serve_chat c;

	(void)state;
	assert_int_equal(serve_chat_parse(&c, bytes_str("{\"model\":\"m\","
	    "\"messages\":[{\"role\":\"system\",\"content\":\"s\"},"
	    "{\"role\":\"user\",\"content\":[{\"type\":\"image_url\","
	    "\"image_url\":{\"url\":\"data:image/png;base64,YWJjZA==\","
	    "\"detail\":\"low\"}},{\"type\":\"text\",\"text\":\"u\"},"
	    "{\"type\":\"image_url\",\"image_url\":{\"url\":"
	    "\"data:image/jpeg;base64,eA==\"}}]},"
	    "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{"
	    "\"id\":\"c\",\"type\":\"function\",\"function\":{\"name\":"
	    "\"f\",\"arguments\":\"{}\"}}]},{\"role\":\"tool\","
	    "\"tool_call_id\":\"c\",\"content\":\"r\"}],\"tools\":[" TOOL "],"
	    "\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":"
	    "\"f\"}},\"parallel_tool_calls\":false}"), &e), 0);
	assert_true(c.tools);
	assert_int_equal(c.messages.n, sizeof(want) - 1);
	assert_memory_equal(c.messages.p, want, sizeof(want) - 1);
	serve_chat_free(&c);
}

/* Calls as a stream has them, and in one piece. */
static void
test_calls(void **state)
{
	struct serve_answer a = { .id = "i", .created = 1, .model = "m" };
	const struct bytes none = { NULL, 0 };
	struct buf out = BUF_INIT(4096);
	struct serve_whole w;

	(void)state;
	serve_put_call(&out, &a, 1, bytes_str("c"), bytes_str("f"), none);
	serve_put_call(&out, &a, 1, none, none, bytes_str("{\"a\":"));
	buf_u8(&out, 0);
	assert_non_null(strstr((char *)out.p, "\"delta\":{\"tool_calls\":[{"
	    "\"function\":{\"arguments\":\"\",\"name\":\"f\"},\"index\":1,"
	    "\"id\":\"c\",\"type\":\"function\"}]}"));
	assert_non_null(strstr((char *)out.p, "\"delta\":{\"tool_calls\":[{"
	    "\"function\":{\"arguments\":\"{\\\"a\\\":\"},\"index\":1}]}"));
	buf_reset(&out);
	serve_whole_init(&w, 10);
	assert_int_equal(serve_whole_call(&w, 1, bytes_str("d"), none, none),
	    -1);
	assert_int_equal(serve_whole_call(&w, 0, bytes_str("c"),
	    bytes_str("f"), none), 0);
	assert_int_equal(serve_whole_call(&w, 1, bytes_str("d"),
	    bytes_str("g"), bytes_str("{}")), 0);
	assert_int_equal(serve_whole_call(&w, 0, none, none, bytes_str("{}")),
	    0);
	serve_put_whole(&out, &a, &w, FINISH_TOOL_CALLS, 1, 2);
	buf_u8(&out, 0);
	assert_non_null(strstr((char *)out.p, "\"content\":null,"
	    "\"tool_calls\":[{\"function\":{\"arguments\":\"{}\",\"name\":"
	    "\"f\"},\"id\":\"c\",\"type\":\"function\"},{\"function\":{"
	    "\"arguments\":\"{}\",\"name\":\"g\"},\"id\":\"d\",\"type\":"
	    "\"function\"}]},\"finish_reason\":\"tool_calls\"}"));
	/* All calls together have a bound. */
	assert_int_equal(serve_whole_call(&w, 0, none, none,
	    bytes_str("1234567")), -1);
	serve_whole_free(&w);
	buf_free(&out);
}

static void
test_refused(void **state)
{
	static const struct {
		const char *body, *param;
	} t[] = {
		{ "", "" }, { "[]", "" }, { "{", "" }, { "{} x", "" },
		{ "{" MSGS "}", "model" },
		{ "{\"model\":7," MSGS "}", "model" },
		{ "{\"model\":\"\"," MSGS "}", "model" },
		{ "{\"model\":\"a\\u0000b\"," MSGS "}", "model" },
		{ "{\"model\":\"m\"}", "messages" },
		{ "{\"model\":\"m\",\"messages\":[]}", "messages" },
		{ "{\"model\":\"m\",\"messages\":[7]}", "messages" },
		{ "{\"model\":\"m\",\"messages\":[{\"role\":\"tool\","
		    "\"content\":\"x\"}]}", "messages" },
		{ "{\"model\":\"m\",\"messages\":[{\"role\":\"user\","
		    "\"content\":7}]}", "messages" },
		{ "{\"model\":\"m\",\"messages\":[{\"role\":\"user\","
		    "\"content\":\"a\\u0000\"}]}", "messages" },
		{ "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":"
		    "[{\"type\":\"image_url\"}]}]}", "messages" },
		{ "{\"model\":\"m\",\"messages\":[{\"role\":\"assistant\","
		    "\"tool_calls\":[{}]}]}", "messages" },
		{ "{\"model\":\"m\",\"messages\":[{\"role\":\"user\","
		    "\"content\":\"x\",\"tool_calls\":[{}]}]}", "messages" },
#define IMAGE(url) "{\"model\":\"m\",\"messages\":[{\"role\":\"user\"," \
	"\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":\"" url \
	"\"}}]}]}"
		{ IMAGE("https://example.org/x.png"), "messages" },
		{ IMAGE("file:///etc/passwd"), "messages" },
		{ IMAGE("data:,"), "messages" },
		{ IMAGE("data:text/html;base64,YWJj"), "messages" },
		{ IMAGE("data:image/png;base64,"), "messages" },
		{ IMAGE("data:image/png;base64,YWJ"), "messages" },
		{ IMAGE("data:image/png;base64,YW=j"), "messages" },
		{ IMAGE("data:image/png;base64,YW j"), "messages" },
		{ IMAGE("data:image/png;base64,===="), "messages" },
		{ "{\"model\":\"m\"," MSGS ",\"tools\":[{}]}", "tools" },
		{ "{\"model\":\"m\"," MSGS ",\"tools\":{\"a\":1}}", "tools" },
		{ "{\"model\":\"m\"," MSGS ",\"tools\":[{\"type\":\"function\","
		    "\"function\":{\"name\":\"\"}}]}", "tools" },
		{ "{\"model\":\"m\"," MSGS ",\"tools\":[{\"type\":\"function\","
		    "\"function\":{\"name\":\"f\",\"parameters\":[]}}]}",
		    "tools" },
		{ "{\"model\":\"m\"," MSGS ",\"tools\":[" TOOL "],"
		    "\"tool_choice\":\"always\"}", "tool_choice" },
		{ "{\"model\":\"m\"," MSGS ",\"tools\":[" TOOL "],"
		    "\"tool_choice\":{\"type\":\"function\"}}", "tool_choice" },
		{ "{\"model\":\"m\"," MSGS ",\"stop\":\"x\"}", "stop" },
		{ "{\"model\":\"m\"," MSGS ",\"n\":2}", "n" },
		{ "{\"model\":\"m\"," MSGS ",\"tool_choice\":\"required\"}",
		    "tool_choice" },
		{ "{\"model\":\"m\"," MSGS ",\"response_format\":{\"type\":"
		    "\"json_object\"}}", "response_format" },
		{ "{\"model\":\"m\"," MSGS ",\"max_tokens\":0}", "max_tokens" },
		{ "{\"model\":\"m\"," MSGS ",\"max_tokens\":1.5}", "max_tokens" },
		{ "{\"model\":\"m\"," MSGS ",\"temperature\":\"hot\"}",
		    "temperature" },
		{ "{\"model\":\"m\"," MSGS ",\"temperature\":-0.1}",
		    "temperature" },
		{ "{\"model\":\"m\"," MSGS ",\"top_p\":1.1}", "top_p" },
	};
	struct serve_error e;
	struct serve_chat c;

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		assert_int_equal(serve_chat_parse(&c, bytes_str(t[i].body), &e),
		    -1);
		assert_int_equal(e.status, 400);
		assert_string_equal(e.param, t[i].param);
		assert_true(e.message[0] != '\0');
	}
}

static void
test_errors(void **state)
{
	struct buf out = BUF_INIT(4096);
	struct serve_error e;

	(void)state;
	serve_refuse_code(&e, ERR_NO_MODEL, bytes_str("no \"such\""),
	    bytes_str("ask"));
	assert_int_equal(e.status, 404);
	serve_put_error(&out, &e, false);
	buf_u8(&out, 0);
	assert_string_equal((char *)out.p, "{\"error\":{\"message\":"
	    "\"no \\\"such\\\": ask\",\"type\":\"invalid_request_error\","
	    "\"param\":null,\"code\":\"model_not_found\"}}");
	/* A code that nobody knows is our own failure. */
	serve_refuse_code(&e, 999, bytes_str("?"), bytes_str(""));
	assert_int_equal(e.status, 500);
	for (int f = 0; f < 8; f++)
		for (int tools = 0; tools < 2; tools++)
			assert_int_equal(serve_finish((enum finish)f,
			    tools != 0) != NULL, f == FINISH_STOP ||
			    f == FINISH_LENGTH || f == FINISH_FILTER ||
			    (tools && f == FINISH_TOOL_CALLS));
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chat),
		cmocka_unit_test(test_items),
		cmocka_unit_test(test_calls),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
