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
	    "\"temperature\":0.5,\"top_p\":1,\"n\":1,\"tools\":[],\"stop\":null,"
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
		{ "{\"model\":\"m\"," MSGS ",\"tools\":[{}]}", "tools" },
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
		assert_int_equal(serve_finish((enum finish)f) != NULL,
		    f == FINISH_STOP || f == FINISH_LENGTH || f == FINISH_FILTER);
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chat),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
