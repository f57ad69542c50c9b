/* ollama.c: every shape of answer, cut everywhere, and requests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire_runs.h"

#define TYPE	PROVIDER_OLLAMA

#define LINE(message, rest) "{\"model\":\"m\",\"created_at\":\"t\"," \
    "\"message\":{\"role\":\"assistant\"," message "}," rest "}\n"
#define TEXT(t)	LINE("\"content\":\"" t "\"", "\"done\":false")
#define DONE(r)	LINE("\"content\":\"\"", "\"done_reason\":\"" r "\"," \
    "\"done\":true,\"total_duration\":5,\"prompt_eval_count\":26," \
    "\"eval_count\":298")

static void
test_complete(void **state)
{
	static const struct want t[] = {
		{ TEXT("Hel") TEXT("lo") DONE("stop"), WIRE_COMPLETE,
		    WIRE_F_STOP, "Hello", "", 26, 298, 0, false },
		{ TEXT("x") DONE("length"), WIRE_COMPLETE, WIRE_F_LENGTH, "x",
		    "", 26, 298, 0, false },
		{ LINE("\"content\":\"\",\"thinking\":\"hm\"", "\"done\":false")
		    TEXT("yes") DONE("stop"), WIRE_COMPLETE, WIRE_F_STOP, "yes",
		    "hm", 26, 298, 0, false },
		{ LINE("\"content\":null,\"tool_calls\":[{\"function\":{}}]",
		    "\"done\":false") DONE("stop"), WIRE_COMPLETE,
		    WIRE_F_TOOL_CALLS, "", "[0  ]", 26, 298, 0, true },
		{ LINE("\"content\":\"\",\"tool_calls\":[{\"function\":{\"name\":"
		    "\"f\",\"arguments\":{\"a\":1}}}]", "\"done\":false")
		    LINE("\"content\":\"\",\"tool_calls\":[{\"id\":\"x\","
		    "\"function\":{\"name\":\"g\",\"arguments\":{}}}]",
		    "\"done\":false") DONE("stop"), WIRE_COMPLETE,
		    WIRE_F_TOOL_CALLS, "", "[0  f]{\"a\":1}[1 x g]{}", 26, 298,
		    0, true },
		/* Blank lines, CRLF, a last line without an end. */
		{ "\n\r\n" TEXT("a") "  \n{\"message\":{\"content\":\"b\"},"
		    "\"done\":true,\"done_reason\":\"stop\"}", WIRE_COMPLETE,
		    WIRE_F_STOP, "ab", "", -1, -1, 0, false },
		/* What is not streamed. */
		{ LINE("\"content\":\"whole\"", "\"done_reason\":\"stop\","
		    "\"done\":true,\"prompt_eval_count\":1,\"eval_count\":2"),
		    WIRE_COMPLETE, WIRE_F_STOP, "whole", "", 1, 2, 0, false },
	};

	(void)state;
	RUN(t);
}

static void
test_incomplete(void **state)
{
	static const struct want t[] = {
		{ TEXT("half"), WIRE_TRUNCATED, WIRE_F_NONE, "half", "", -1, -1,
		    0, false },
		{ TEXT("half") "{\"message\":{\"content\":\"never", WIRE_TRUNCATED,
		    WIRE_F_NONE, "half", "", -1, -1, 0, false },
		/* Done, and nobody says why. */
		{ TEXT("half") LINE("\"content\":\"\"", "\"done\":true"),
		    WIRE_TRUNCATED, WIRE_F_NONE, "half", "", -1, -1, 0, false },
		{ "", WIRE_TRUNCATED, WIRE_F_NONE, "", "", -1, -1, 0, false },
		{ TEXT("x") DONE("load"), WIRE_FAILED, WIRE_F_NONE, "x", "", 26,
		    298, WIRE_E_PROTOCOL, false },
		{ TEXT("x") "{\"error\":\"an error was encountered while running "
		    "the model\"}\n", WIRE_FAILED, WIRE_F_NONE, "x", "", -1, -1,
		    WIRE_E_SERVER, false },
		{ TEXT("x") "{\"message\":\n", WIRE_FAILED, WIRE_F_NONE, "x", "",
		    -1, -1, WIRE_E_PROTOCOL, false },
		{ "{\"message\":{\"content\":7},\"done\":false}\n", WIRE_FAILED,
		    WIRE_F_NONE, "", "", -1, -1, WIRE_E_PROTOCOL, false },
		{ "{\"message\":{\"content\":\"x\"}}\n", WIRE_FAILED, WIRE_F_NONE,
		    "", "", -1, -1, WIRE_E_PROTOCOL, false },
		{ "data: {}\n", WIRE_FAILED, WIRE_F_NONE, "", "", -1, -1,
		    WIRE_E_PROTOCOL, false },
	};

	(void)state;
	RUN(t);
}

/* A line that never ends is not gathered for ever. */
static void
test_long_line(void **state)
{
	struct seen seen = { BUF_INIT(1 << 20), BUF_INIT(1 << 20), 0 };
	static char block[65536];
	struct wire w;
	int rc = 0;

	(void)state;
	memset(block, ' ', sizeof(block));
	wire_init(&w, TYPE, &cb, &seen);
	for (int i = 0; i < 64 && rc == 0; i++)
		rc = wire_feed(&w, block, sizeof(block));
	assert_int_equal(rc, -1);
	assert_int_equal(w.error.cls, WIRE_E_PROTOCOL);
	assert_int_equal(wire_end(&w), WIRE_FAILED);
	wire_free(&w);
}

static void
test_errors(void **state)
{
	struct wire_error e;

	(void)state;
	wire_error_body(&e, 404, bytes_str(
	    "{\"error\":\"model 'x' not found\"}"));
	assert_int_equal(e.cls, WIRE_E_NOTFOUND);
	assert_string_equal(e.message, "model 'x' not found");
	wire_error_body(&e, 400, bytes_str("{\"error\":\"the input length "
	    "exceeds the context length\"}"));
	assert_int_equal(e.cls, WIRE_E_CONTEXT);
}

static void
test_request(void **state)
{
	struct item m[] = {
		{ .kind = KIND_SYSTEM, .text = bytes_str("s") },
		{ .kind = KIND_USER, .text = bytes_str("u") },
	};
	struct wire_req r = { .model = "m", .items = m, .nitems = 2 };
	struct buf out = BUF_INIT(4096);
	const char *why;

	(void)state;
	assert_int_equal(wire_request(&out, TYPE, &r, &why), 0);
	buf_u8(&out, 0);
	assert_string_equal((char *)out.p, "{\"model\":\"m\",\"messages\":["
	    "{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\","
	    "\"content\":\"u\"}],\"stream\":true,\"truncate\":false,"
	    "\"shift\":false,\"options\":{}}");
	buf_reset(&out);
	r.max_tokens = 5;
	r.context = 4096;
	r.temperature = 501;
	r.top_p = 901;
	assert_int_equal(wire_request(&out, TYPE, &r, &why), 0);
	buf_u8(&out, 0);
	assert_non_null(strstr((char *)out.p, "\"options\":{\"num_predict\":5,"
	    "\"num_ctx\":4096,\"temperature\":0.5,\"top_p\":0.9}"));
	buf_reset(&out);
	m[1].text = bytes_of("\xff", 1);
	assert_int_equal(wire_request(&out, TYPE, &r, &why), -1);
	assert_int_equal(out.n, 0);
	buf_free(&out);
}

/* Images, tools, calls and results, as the protocol of this provider has them. */
static void
test_items(void **state)
{
	struct item it[] = {
		{ .kind = ITEM_TOOL, .name = bytes_str("f"),
		    .text = bytes_str("{\"type\":\"object\"}") },
		{ .kind = ITEM_CHOICE, .how = ITEM_AUTO },
		{ .kind = KIND_USER, .text = bytes_str("what ") },
		{ .kind = ITEM_IMAGE, .how = ITEM_GIF, .text = bytes_str("abc") },
		{ .kind = ITEM_PART, .text = bytes_str("is it?") },
		{ .kind = KIND_ASSISTANT },
		{ .kind = ITEM_CALL, .id = bytes_str("c1"),
		    .name = bytes_str("f"), .text = bytes_str("{\"a\":1}") },
		{ .kind = ITEM_RESULT, .id = bytes_str("c1"),
		    .text = bytes_str("a cat") },
	};
	struct wire_req r = { .model = "m", .items = it, .nitems = 8 };
	struct buf out = BUF_INIT(4096);
	const char *why;

	(void)state;
	assert_int_equal(wire_request(&out, TYPE, &r, &why), 0);
	buf_u8(&out, 0);
	assert_string_equal((char *)out.p, "{\"model\":\"m\",\"messages\":["
	    "{\"role\":\"user\",\"content\":\"what is it?\",\"images\":["
	    "\"YWJj\"]},{\"role\":\"assistant\",\"content\":\"\","
	    "\"tool_calls\":[{\"function\":{\"name\":\"f\",\"arguments\":{"
	    "\"a\":1}}}]},{\"role\":\"tool\",\"content\":\"a cat\","
	    "\"tool_name\":\"f\"}],\"stream\":true,\"truncate\":false,"
	    "\"shift\":false,\"options\":{},\"tools\":[{\"type\":\"function\","
	    "\"function\":{\"name\":\"f\",\"parameters\":{\"type\":\"object\"}"
	    "}}]}");
	buf_reset(&out);
	/* What it cannot be told is refused, not left out. */
	it[1].how = ITEM_REQUIRED;
	assert_int_equal(wire_request(&out, TYPE, &r, &why), -1);
	assert_non_null(strstr(why, "cannot be told"));
	assert_int_equal(out.n, 0);
	it[1].how = ITEM_NONE;
	assert_int_equal(wire_request(&out, TYPE, &r, &why), 0);
	buf_u8(&out, 0);
	assert_null(strstr((char *)out.p, "\"tools\""));
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_complete),
		cmocka_unit_test(test_incomplete),
		cmocka_unit_test(test_long_line),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_request),
		cmocka_unit_test(test_items),
	};

	jsonin_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
