/* openai.c, wire.c, wire_error.c and jsonin.c: every shape of answer, cut everywhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire_runs.h"

#define TYPE	PROVIDER_OPENAI

#define CHUNK(delta, fin) "data: {\"id\":\"x\",\"object\":" \
    "\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{" delta \
    "},\"finish_reason\":" fin "}],\"usage\":null}\n\n"
#define TEXT(t)		CHUNK("\"content\":\"" t "\"", "null")
#define STOP		CHUNK("", "\"stop\"")
#define USAGE(p, c)	"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":" p \
    ",\"completion_tokens\":" c "}}\n\n"
#define DONE		"data: [DONE]\n\n"

static void
test_complete(void **state)
{
	static const struct want t[] = {
		{ TEXT("Hel") TEXT("lo") STOP USAGE("7", "2") DONE,
		    WIRE_COMPLETE, WIRE_F_STOP, "Hello", "", 7, 2, 0, false },
		/* The reason may come with the last text, [DONE] not at all. */
		{ CHUNK("\"content\":\"x\"", "\"length\""), WIRE_COMPLETE,
		    WIRE_F_LENGTH, "x", "", -1, -1, 0, false },
		{ CHUNK("", "\"content_filter\"") DONE, WIRE_COMPLETE,
		    WIRE_F_CONTENT_FILTER, "", "", -1, -1, 0, false },
		/* content null, empty and absent; obfuscation; unknown members */
		{ CHUNK("\"role\":\"assistant\",\"content\":null", "null")
		    TEXT("") CHUNK("\"x\":[1,{}],\"obfuscation\":\"zz\"", "null")
		    TEXT("a") STOP USAGE("0", "1") DONE,
		    WIRE_COMPLETE, WIRE_F_STOP, "a", "", 0, 1, 0, false },
		{ ": OPENROUTER PROCESSING\r\n\r\n:\r\n\r\nevent: message\r\n"
		    "data: {\"choices\":[{\"delta\":{\"content\":\"\xc3\xa4\xe2"
		    "\x82\xac\xf0\x9f\x8f\xb0\\u00e4\\ud83c\\udff0\"}}]}\r\n\r\n"
		    STOP, WIRE_COMPLETE, WIRE_F_STOP, "\xc3\xa4\xe2\x82\xac"
		    "\xf0\x9f\x8f\xb0\xc3\xa4\xf0\x9f\x8f\xb0", "", -1, -1, 0,
		    false },
		/* One event over several data lines; null where objects may be. */
		{ "data: {\"choices\":\ndata: [{\"delta\":{\"content\":\"a\"}}]}"
		    "\n\ndata: {\"choices\":null,\"error\":null}\n\ndata:\n\n"
		    STOP, WIRE_COMPLETE, WIRE_F_STOP, "a", "", -1, -1, 0,
		    false },
		/* Other choices than the first are not ours; order is free. */
		{ "data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"no\"}"
		    ",\"finish_reason\":\"length\"},{\"index\":0,\"delta\":{"
		    "\"content\":\"yes\"}}]}\n\n" STOP, WIRE_COMPLETE,
		    WIRE_F_STOP, "yes", "", -1, -1, 0, false },
		{ STOP CHUNK("", "\"length\""), WIRE_COMPLETE, WIRE_F_STOP, "",
		    "", -1, -1, 0, false },
		{ TEXT("a") STOP DONE TEXT("late"), WIRE_COMPLETE,
		    WIRE_F_STOP, "a", "", -1, -1, 0, false },
		{ CHUNK("\"refusal\":\"I will not\",\"content\":null", "\"stop\""),
		    WIRE_COMPLETE, WIRE_F_STOP, "I will not", "", -1, -1, 0,
		    false },
		{ USAGE("-4", "2.5") STOP, WIRE_COMPLETE, WIRE_F_STOP, "", "",
		    -1, -1, 0, false },
		{ TEXT("a\\u0000b\\u0000") STOP, WIRE_COMPLETE, WIRE_F_STOP,
		    "a\xef\xbf\xbd" "b\xef\xbf\xbd", "", -1, -1, 0, false },
	};

	(void)state;
	RUN(t);
}

static void
test_reasoning_and_tools(void **state)
{
	static const struct want t[] = {
		{ CHUNK("\"reasoning_content\":\"hm\"", "null")
		    CHUNK("\"reasoning\":\" so\"", "null") TEXT("a") STOP,
		    WIRE_COMPLETE, WIRE_F_STOP, "a", "hm so", -1, -1, 0,
		    false },
		/* Both names for the same text: once. */
		{ CHUNK("\"reasoning\":\"r\",\"reasoning_content\":\"r\"", "null")
		    CHUNK("\"reasoning\":\"s\",\"reasoning_content\":null", "null")
		    STOP, WIRE_COMPLETE, WIRE_F_STOP, "", "rs", -1, -1, 0,
		    false },
		{ CHUNK("\"tool_calls\":[{\"index\":0,\"function\":{}}]", "null")
		    CHUNK("", "\"tool_calls\"") DONE, WIRE_COMPLETE,
		    WIRE_F_TOOL_CALLS, "", "[0  ]", -1, -1, 0, true },
		{ CHUNK("\"tool_calls\":[{\"index\":1,\"id\":\"c1\",\"type\":"
		    "\"function\",\"function\":{\"name\":\"f\",\"arguments\":"
		    "\"\"}}]", "null") CHUNK("\"tool_calls\":[{\"index\":1,"
		    "\"function\":{\"arguments\":\"{\\\"a\\\":\"}}]", "null")
		    CHUNK("\"tool_calls\":[{\"index\":1,\"id\":null,"
		    "\"function\":{\"arguments\":\"1}\"}}]", "null")
		    CHUNK("", "\"tool_calls\"") DONE, WIRE_COMPLETE,
		    WIRE_F_TOOL_CALLS, "", "[1 c1 f][1  ]{\"a\":[1  ]1}", -1, -1,
		    0, true },
		/* Not streamed: the place in the list counts. */
		{ "{\"choices\":[{\"message\":{\"content\":null,\"tool_calls\":["
		    "{\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":"
		    "\"{}\"}},{\"id\":\"b\",\"function\":{\"name\":\"g\"}}]},"
		    "\"finish_reason\":\"tool_calls\"}]}", WIRE_COMPLETE,
		    WIRE_F_TOOL_CALLS, "", "[0 a f]{}[1 b g]", -1, -1, 0, true },
		{ CHUNK("\"tool_calls\":[{\"index\":128,\"function\":{}}]",
		    "null"), WIRE_FAILED, WIRE_F_NONE, "", "", -1, -1,
		    WIRE_E_PROTOCOL, false },
		{ CHUNK("\"tool_calls\":[{\"index\":-1,\"function\":{}}]",
		    "null"), WIRE_FAILED, WIRE_F_NONE, "", "", -1, -1,
		    WIRE_E_PROTOCOL, false },
		{ CHUNK("\"tool_calls\":[{\"id\":7,\"function\":{}}]", "null"),
		    WIRE_FAILED, WIRE_F_NONE, "", "", -1, -1, WIRE_E_PROTOCOL,
		    false },
		{ CHUNK("\"tool_calls\":[{\"function\":{\"arguments\":{}}}]",
		    "null"), WIRE_FAILED, WIRE_F_NONE, "", "", -1, -1,
		    WIRE_E_PROTOCOL, false },
		{ CHUNK("\"tool_calls\":[{\"function\":{\"arguments\":"
		    "\"\\u0000\"}}]", "null"), WIRE_FAILED, WIRE_F_NONE, "", "",
		    -1, -1, WIRE_E_PROTOCOL, false },
		{ CHUNK("\"function_call\":{}", "\"function_call\""),
		    WIRE_COMPLETE, WIRE_F_FUNCTION_CALL, "", "", -1, -1, 0,
		    true },
		{ CHUNK("\"tool_calls\":[]", "\"stop\""), WIRE_COMPLETE,
		    WIRE_F_STOP, "", "", -1, -1, 0, false },
	};

	(void)state;
	RUN(t);
}

static void
test_truncated(void **state)
{
	static const struct want t[] = {
		{ "", WIRE_TRUNCATED, 0, "", "", -1, -1, 0, false },
		{ DONE, WIRE_TRUNCATED, 0, "", "", -1, -1, 0, false },
		{ TEXT("a") DONE, WIRE_TRUNCATED, 0, "a", "", -1, -1, 0, false },
		{ TEXT("a") USAGE("1", "1"), WIRE_TRUNCATED, 0, "a", "", 1, 1,
		    0, false },
		{ CHUNK("\"content\":\"a\"", "\"\""), WIRE_TRUNCATED, 0, "a",
		    "", -1, -1, 0, false },
		{ "<html>no stream</html>\n\n", WIRE_TRUNCATED, 0, "", "", -1,
		    -1, 0, false },
		{ "{\"choices\":[{\"message\":{\"content\":\"a", WIRE_TRUNCATED,
		    0, "", "", -1, -1, 0, false },
		{ "{\"choices\":[{\"message\":{\"content\":\"a\"}}]}",
		    WIRE_TRUNCATED, 0, "a", "", -1, -1, 0, false },
	};
	static const char in[] = TEXT("a") STOP;
	struct seen seen = { BUF_INIT(64), BUF_INIT(64), 0 };
	struct wire o;

	(void)state;
	RUN(t);
	/* A stream that ends anywhere before its last byte is not complete. */
	for (size_t n = 0; n < sizeof(in); n++) {
		wire_init(&o, TYPE, &cb, &seen);
		assert_int_equal(wire_feed(&o, in, n), 0);
		assert_int_equal(wire_end(&o), n == sizeof(in) - 1 ?
		    WIRE_COMPLETE : WIRE_TRUNCATED);
		wire_free(&o);
	}
	buf_free(&seen.text);
}

static void
test_not_streamed(void **state)
{
	static const struct want t[] = {
		{ " \r\n{\"object\":\"chat.completion\",\"choices\":[{\"index\":0,"
		    "\"message\":{\"role\":\"assistant\",\"content\":\"whole\","
		    "\"reasoning_content\":\"r\"},\"finish_reason\":\"stop\"}],"
		    "\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n",
		    WIRE_COMPLETE, WIRE_F_STOP, "whole", "r", 3, 4, 0, false },
		{ "{\"error\":\"no\"}", WIRE_FAILED, 0, "", "", -1, -1,
		    WIRE_E_SERVER, false },
		{ "{\"choices\":[]} trailing", WIRE_FAILED, 0, "", "", -1, -1,
		    WIRE_E_PROTOCOL, false },
	};

	(void)state;
	RUN(t);
}

#define BROKEN(in) { TEXT("a") in STOP DONE, WIRE_FAILED, 0, "a", "", -1, -1, \
    WIRE_E_PROTOCOL, false }
#define D32	"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
#define E32	"]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"

static void
test_hostile(void **state)
{
	static const struct want t[] = {
		BROKEN("data: {\"choices\":[{\"delta\":]}\n\n"),
		BROKEN("data: garbage\n\n"),
		BROKEN("data: [1,2]\n\n"),
		BROKEN("data: 7\n\n"),
		BROKEN("data: {} {}\n\n"),
		BROKEN("data: {\"choices\":7}\n\n"),
		BROKEN("data: {\"choices\":[7]}\n\n"),
		BROKEN("data: {\"choices\":[null]}\n\n"),
		BROKEN("data: {\"a\":1e999}\n\n"),
		BROKEN("data: {\"a\\u0000b\":1}\n\n"),
		BROKEN(CHUNK("\"content\":7", "null")),
		BROKEN(CHUNK("\"content\":[{\"text\":\"x\"}]", "null")),
		BROKEN(CHUNK("\"reasoning_content\":{}", "null")),
		BROKEN(CHUNK("\"reasoning\":true", "null")),
		BROKEN(CHUNK("", "\"of my own\"")),
		BROKEN(TEXT("\xff")),
		BROKEN(TEXT("\xc3(")),
		BROKEN(TEXT("\xed\xa0\x80")),
		BROKEN(TEXT("\xc0\x80")),
		BROKEN(TEXT("\\ud83c")),
		BROKEN(TEXT("\\udff0\\ud83c")),
		BROKEN("data: {\"a\":" D32 E32 "}\n\n"),
		/* 32 levels, brackets in texts and duplicate names are fine. */
		{ "data: {\"x\":[" "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
		    "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]" "]}\n\n"
		    TEXT("\\\"" D32 D32) CHUNK("\"content\":\"a\","
		    "\"content\":\"b\"", "\"stop\""), WIRE_COMPLETE,
		    WIRE_F_STOP, "\"" D32 D32 "b", "", -1, -1, 0, false },
	};

	(void)state;
	RUN(t);
}

/* head, then unit repeated count times, then tail, into an answer. */
static enum wire_verdict
repeat(const char *head, const char *unit, size_t count, const char *tail,
    struct seen *seen, enum wire_class *cls)
{
	enum wire_verdict v;
	struct wire o;

	wire_init(&o, TYPE, &cb, seen);
	if (wire_feed(&o, head, strlen(head)) == 0) {
		for (size_t i = 0; i < count; i++)
			if (wire_feed(&o, unit, strlen(unit)) != 0)
				break;
		(void)wire_feed(&o, tail, strlen(tail));
	}
	v = wire_end(&o);
	*cls = o.error.cls;
	wire_free(&o);
	return v;
}

static void
test_bounds(void **state)
{
	static const char open[] = "data: {\"choices\":[{\"finish_reason\":"
	    "\"stop\",\"delta\":{\"content\":\"x";
	static const char body[] = "{\"choices\":[{\"finish_reason\":"
	    "\"stop\",\"message\":{\"content\":\"x";
	struct seen seen = { BUF_INIT(8 << 20), BUF_INIT(64), 0 };
	enum wire_class cls;

	(void)state;
	/* 300000 bytes of three-byte characters, handed out in whole ones. */
	assert_int_equal(repeat(open, "\xe2\x82\xac", 100000, "\"}}]}\n\n",
	    &seen, &cls), WIRE_COMPLETE);
	assert_int_equal(seen.text.n, 300001);
	assert_int_equal(seen.calls, 300001 / (WIRE_DELTA_MAX - 4) + 1);
	buf_reset(&seen.text);
	assert_int_equal(repeat(open, "12345678", 131072, "\"}}]}\n\n", &seen,
	    &cls), WIRE_FAILED);
	assert_int_equal(cls, WIRE_E_PROTOCOL);
	assert_int_equal(seen.text.n, 0);
	assert_int_equal(repeat(body, "12345678", 262144, "\"}}]}", &seen,
	    &cls), WIRE_COMPLETE);
	assert_int_equal(seen.text.n, 2097153);
	buf_reset(&seen.text);
	assert_int_equal(repeat(body, "12345678", 524288, "\"}}]}", &seen,
	    &cls), WIRE_FAILED);
	assert_int_equal(cls, WIRE_E_PROTOCOL);
	assert_int_equal(seen.text.n, 0);
	/* Many small values cost more memory than their text. */
	assert_int_equal(repeat("data: {\"x\":[1", ",1", JSON_ITEMS_MAX - 3,
	    "]}\n\n" STOP, &seen, &cls), WIRE_COMPLETE);
	assert_int_equal(repeat("data: {\"x\":[1", ",1", JSON_ITEMS_MAX - 2,
	    "]}\n\n" STOP, &seen, &cls), WIRE_FAILED);
	buf_free(&seen.text);
}

static void
test_errors_in_streams(void **state)
{
	static const struct want t[] = {
		{ TEXT("a") "data: {\"error\":{\"message\":\"m\",\"type\":"
		    "\"server_error\",\"code\":500}}\n\n" STOP, WIRE_FAILED, 0,
		    "a", "", -1, -1, WIRE_E_SERVER, false },
		{ "data: {\"error\":{\"code\":\"context_length_exceeded\"}}\n\n",
		    WIRE_FAILED, 0, "", "", -1, -1, WIRE_E_CONTEXT, false },
		{ "data: {\"error\":\"text\"}\n\n", WIRE_FAILED, 0, "", "", -1,
		    -1, WIRE_E_SERVER, false },
		{ "data: {\"object\":\"error\",\"message\":\"m\",\"code\":429}\n\n",
		    WIRE_FAILED, 0, "", "", -1, -1, WIRE_E_RATE, false },
		{ "event: error\ndata: {\"message\":\"m\",\"code\":503}\n\n",
		    WIRE_FAILED, 0, "", "", -1, -1, WIRE_E_OVERLOADED,
		    false },
		{ "event: error\ndata: not JSON\n\n", WIRE_FAILED, 0, "", "",
		    -1, -1, WIRE_E_SERVER, false },
		/* Also after the finish, and beside choices. */
		{ STOP "data: {\"error\":{\"code\":502},\"choices\":[{\"delta\":"
		    "{\"content\":\"x\"}}]}\n\n", WIRE_FAILED, WIRE_F_STOP,
		    "", "", -1, -1, WIRE_E_SERVER, false },
	};

	(void)state;
	RUN(t);
}

static void
test_error_bodies(void **state)
{
	static const struct {
		int		 status;
		const char	*body;
		enum wire_class cls;
		bool		 retry;
		const char	*code, *message;
	} t[] = {
		{ 400, "{\"error\":{\"code\":400,\"message\":\"too big\",\"type\":"
		    "\"exceed_context_size_error\",\"n_prompt_tokens\":9000,"
		    "\"n_ctx\":4096}}", WIRE_E_CONTEXT, false,
		    "exceed_context_size_error", "too big" },
		{ 400, "{\"error\":{\"message\":\"m\",\"type\":\"invalid_request_"
		    "error\",\"param\":null,\"code\":\"context_length_exceeded\"}}",
		    WIRE_E_CONTEXT, false, "context_length_exceeded", "m" },
		{ 400, "{\"object\":\"error\",\"message\":\"This model's maximum "
		    "context length is 9\",\"type\":\"BadRequestError\",\"code\":"
		    "400}", WIRE_E_CONTEXT, false, "BadRequestError",
		    "This model's maximum context length is 9" },
		{ 400, "{\"error\":\"a\\nplain\\ttext\\u0007\\u0000 \"}",
		    WIRE_E_REQUEST, false, "", "a plain text" },
		{ 401, "{\"error\":{\"message\":\"no\",\"type\":\"invalid_request_"
		    "error\",\"code\":null}}", WIRE_E_AUTH, false,
		    "invalid_request_error", "no" },
		{ 403, "", WIRE_E_AUTH, false, "", NULL },
		{ 402, "{\"error\":{\"code\":402,\"message\":\"pay\"}}",
		    WIRE_E_QUOTA, false, "402", "pay" },
		{ 404, "{\"detail\":\"Not Found\"}", WIRE_E_NOTFOUND, false, "",
		    "Not Found" },
		{ 400, "{\"error\":{\"code\":\"model_not_found\"}}",
		    WIRE_E_NOTFOUND, false, "model_not_found", NULL },
		{ 413, "too large", WIRE_E_CONTEXT, false, "", "too large" },
		{ 429, "{\"error\":{\"code\":\"rate_limit_exceeded\",\"message\":"
		    "\"slow\"}}", WIRE_E_RATE, true, "rate_limit_exceeded",
		    "slow" },
		{ 429, "{\"error\":{\"type\":\"insufficient_quota\",\"message\":"
		    "\"pay\"}}", WIRE_E_QUOTA, false, "insufficient_quota",
		    "pay" },
		{ 408, "", WIRE_E_SERVER, true, "", NULL },
		{ 409, "{}", WIRE_E_SERVER, true, "", NULL },
		{ 500, "[{\"error\":{\"message\":\"in a list\"}}]",
		    WIRE_E_SERVER, true, "", "in a list" },
		{ 500, "[]", WIRE_E_SERVER, true, "", NULL },
		{ 502, "<html>Bad Gateway</html>", WIRE_E_SERVER, true, "",
		    "the model's server failed (HTTP status 502)" },
		{ 503, "{\"error\":{\"code\":503,\"message\":\"Loading model\","
		    "\"type\":\"unavailable_error\"}}", WIRE_E_OVERLOADED, true,
		    "unavailable_error", "Loading model" },
		{ 529, "\"overloaded\"", WIRE_E_OVERLOADED, true, "",
		    "overloaded" },
		{ 500, "\xff\xfe", WIRE_E_SERVER, true, "", NULL },
		{ 500, "{\"error\":", WIRE_E_SERVER, true, "", NULL },
		{ 500, "{\"error\":{\"message\":7,\"code\":[],\"type\":{}}}",
		    WIRE_E_SERVER, true, "", NULL },
		{ 500, "{\"error\":{\"code\":\"a b\\u0007\xc3\xa4" "c\"}}",
		    WIRE_E_SERVER, true, "abc", NULL },
		{ 302, "", WIRE_E_PROTOCOL, false, "", NULL },
		{ 400, "{\"error\":\"\\u202eevil\\u2028\\u2066x\\u0085\\u009by\"}",
		    WIRE_E_REQUEST, false, "", "evil x y" },
	};
	struct wire_error e;

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		wire_error_body(&e, t[i].status, bytes_str(t[i].body));
		assert_int_equal(e.cls, t[i].cls);
		assert_int_equal(e.retry, t[i].retry);
		assert_int_equal(e.status, t[i].status);
		assert_string_equal(e.code, t[i].code);
		if (t[i].message != NULL)
			assert_string_equal(e.message, t[i].message);
		assert_true(e.message[0] != '\0');
		assert_int_equal(e.prompt_tokens, i == 0 ? 9000 : -1);
		assert_int_equal(e.context_tokens, i == 0 ? 4096 : -1);
		assert_true(strlen(wire_class_name(e.cls)) > 0);
	}
}

/* Whatever the body, and wherever it is cut, the message is one clean line. */
static void
test_error_message_is_clean(void **state)
{
	static const char body[] = "{\"error\":{\"message\":\"\xe2\x82\xac\\n\x7f"
	    "\\u001b[31m\",\"code\":null,\"type\":\"t\"}}";
	char big[1024] = "";
	struct wire_error e;

	(void)state;
	for (size_t n = 0; n < sizeof(body); n++)
		for (int flip = 0; flip < 256; flip += 5) {
			char *b = malloc(n + 1);

			assert_non_null(b);
			memcpy(b, body, n);
			if (n > 0)
				b[n / 2] = (char)flip;
			wire_error_body(&e, 500, bytes_of(b, n));
			assert_true(e.message[0] != '\0');
			assert_true(bytes_utf8(bytes_str(e.message)));
			for (const char *p = e.message; *p != '\0'; p++)
				assert_true(*p < 0 || (*p >= ' ' && *p != 0x7f));
			free(b);
		}
	for (size_t i = 0; i < 300; i++)
		(void)strlcat(big, "\xe2\x82\xac", sizeof(big));
	wire_error_body(&e, 500, bytes_str(big));
	assert_int_equal(strlen(e.message), 399);
	assert_true(bytes_utf8(bytes_str(e.message)));
}

static void
test_redact(void **state)
{
	static const char key[] = "sk-secret-0123456789";
	struct wire_error e;

	(void)state;
	wire_error_body(&e, 401, bytes_str("{\"error\":{\"code\":"
	    "\"sk-secret-0123456789\",\"message\":\"key sk-secret-0123456789, "
	    "sk-secret-...; sk-sec\"}}"));
	wire_error_redact(&e, bytes_str(key));
	assert_string_equal(e.code, "********************");
	assert_string_equal(e.message,
	    "key ********************, **********...; sk-sec");
	wire_error_redact(&e, bytes_str(""));
	assert_string_equal(e.code, "********************");
}

static void
test_retry_after(void **state)
{
	/* Sun, 06 Nov 1994 08:49:37 GMT */
	const time_t t = 784111777;
	const long never = WIRE_RETRY_MAX + 1;
	const char *date = "Sun, 06 Nov 1994 08:49:37 GMT";

	(void)state;
	assert_int_equal(wire_retry_after(NULL, NULL, t), -1);
	assert_int_equal(wire_retry_after("1500", "9", t), 1500);
	assert_int_equal(wire_retry_after("12.7", NULL, t), 12);
	assert_int_equal(wire_retry_after("x", "9", t), 9000);
	assert_int_equal(wire_retry_after(NULL, "0", t), 0);
	assert_int_equal(wire_retry_after(NULL, "0.25", t), 250);
	assert_int_equal(wire_retry_after(NULL, "1.23456789", t), 1234);
	assert_int_equal(wire_retry_after(NULL, "120", t), 120000);
	assert_int_equal(wire_retry_after(NULL, "120.5", t), never);
	assert_int_equal(wire_retry_after(NULL, "121", t), never);
	assert_int_equal(wire_retry_after("99999999999999999999999", NULL, t),
	    never);
	assert_int_equal(wire_retry_after(NULL, "-1", t), -1);
	assert_int_equal(wire_retry_after(NULL, "", t), -1);
	assert_int_equal(wire_retry_after(NULL, "1 s", t), -1);
	assert_int_equal(wire_retry_after(NULL, date, t - 30), 30000);
	assert_int_equal(wire_retry_after(NULL, date, t - 120), 120000);
	assert_int_equal(wire_retry_after(NULL, date, t - 121), never);
	assert_int_equal(wire_retry_after(NULL, date, t), 0);
	assert_int_equal(wire_retry_after(NULL, date, t + 99), 0);
	assert_int_equal(wire_retry_after(NULL,
	    "Sun, 06 Nov 1994 08:49:37 GMT+1", t), -1);
	assert_int_equal(wire_retry_after(NULL, "tomorrow", t), -1);
}

static void
test_request(void **state)
{
	struct item m[] = {
		{ .kind = KIND_SYSTEM, .text = bytes_str("be\nkind") },
		{ .kind = KIND_USER, .text = bytes_str("\"\xc3\xa4\\") },
		{ .kind = KIND_ASSISTANT, .text = bytes_str("") },
	};
	struct wire_req r = { .model = "m", .items = m, .nitems = 3 };
	const char *why;
	struct buf out = BUF_INIT(4096), tiny = BUF_INIT(40);

	(void)state;
	assert_int_equal(wire_request(&out, PROVIDER_OPENAI, &r, &why), 0);
	buf_u8(&out, 0);
	assert_string_equal((char *)out.p, "{\"model\":\"m\",\"messages\":["
	    "{\"role\":\"system\",\"content\":\"be\\nkind\"},"
	    "{\"role\":\"user\",\"content\":\"\\\"\xc3\xa4\\\\\"},"
	    "{\"role\":\"assistant\",\"content\":\"\"}],\"stream\":true,"
	    "\"stream_options\":{\"include_usage\":true}}");
	buf_reset(&out);
	r.nitems = 0;
	r.max_tokens = UINT32_MAX;
	r.temperature = 701;
	r.top_p = 1001;
	assert_int_equal(wire_request(&out, PROVIDER_OPENAI, &r, &why), 0);
	buf_u8(&out, 0);
	assert_string_equal((char *)out.p, "{\"model\":\"m\",\"messages\":[],"
	    "\"stream\":true,\"stream_options\":{\"include_usage\":true},"
	    "\"max_tokens\":4294967295,\"temperature\":0.7,\"top_p\":1.0}");
	buf_reset(&out);
	buf_str(&out, "before");
	r.nitems = 3;
	m[1].text = bytes_of("a\0b", 3);
	assert_int_equal(wire_request(&out, PROVIDER_OPENAI, &r, &why), -1);
	m[1].text = bytes_of("a\xff", 2);
	assert_int_equal(wire_request(&out, PROVIDER_OPENAI, &r, &why), -1);
	m[1].text = bytes_of(NULL, 0);
	r.model = "\xff";
	assert_int_equal(wire_request(&out, PROVIDER_OPENAI, &r, &why), -1);
	assert_int_equal(out.n, 6);
	r.model = "m";
	assert_int_equal(wire_request(&out, PROVIDER_OPENAI, &r, &why), 0);
	assert_true(out.n > 6);
	buf_str(&tiny, "12345");
	assert_int_equal(wire_request(&tiny, PROVIDER_OPENAI, &r, &why), -1);
	assert_int_equal(tiny.n, 5);
	buf_free(&out);
	buf_free(&tiny);
}

/* Images, tools, calls and results, as the protocol of this provider has them. */
static void
test_items(void **state)
{
	struct item it[] = {
		{ .kind = ITEM_TOOL, .how = ITEM_YES, .name = bytes_str("f"),
		    .about = bytes_str("finds"),
		    .text = bytes_str("{\"type\":\"object\"}") },
		{ .kind = ITEM_TOOL, .name = bytes_str("g") },
		{ .kind = ITEM_CHOICE, .how = ITEM_NAMED, .several = ITEM_NO,
		    .name = bytes_str("f") },
		{ .kind = KIND_USER },
		{ .kind = ITEM_IMAGE, .how = ITEM_PNG, .text = bytes_str("abcd") },
		{ .kind = ITEM_PART, .text = bytes_str("what?") },
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
	assert_string_equal((char *)out.p, "{\"model\":\"m\",\"messages\":["
	    "{\"role\":\"user\",\"content\":[{\"type\":\"image_url\","
	    "\"image_url\":{\"url\":\"data:image/png;base64,YWJjZA==\"}},"
	    "{\"type\":\"text\",\"text\":\"what?\"}]},"
	    "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":["
	    "{\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"f\","
	    "\"arguments\":\"{\\\"a\\\":1}\"}}]},"
	    "{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":\"a cat\"}],"
	    "\"stream\":true,\"stream_options\":{\"include_usage\":true},"
	    "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\","
	    "\"parameters\":{\"type\":\"object\"},\"description\":\"finds\","
	    "\"strict\":true}},{\"type\":\"function\",\"function\":{\"name\":"
	    "\"g\",\"parameters\":{}}}],\"tool_choice\":{\"type\":\"function\","
	    "\"function\":{\"name\":\"f\"}},\"parallel_tool_calls\":false}");
	buf_reset(&out);
	it[0].text = bytes_str("[]");
	assert_int_equal(wire_request(&out, TYPE, &r, &why), -1);
	assert_non_null(strstr(why, "schema"));
	assert_int_equal(out.n, 0);
	buf_free(&out);
}

static void
test_names(void **state)
{
	(void)state;
	assert_string_equal(wire_finish_name(WIRE_F_NONE), "none");
	assert_string_equal(wire_finish_name(WIRE_F_FUNCTION_CALL),
	    "function_call");
	assert_string_equal(wire_class_name(WIRE_E_PROTOCOL), "protocol");
	assert_string_equal(wire_class_name(WIRE_E_CONTEXT), "context");
}

/* Nothing but white space may follow, and a NUL is none, wherever it is. */
static void
test_json_nul(void **state)
{
	static const struct bytes bad[] = {
		{ (const uint8_t *)"2\0", 2 }, { (const uint8_t *)"[1\0,2]", 7 },
		{ (const uint8_t *)"\0", 1 }, { (const uint8_t *)"{}\0x", 4 },
		{ (const uint8_t *)"\"a\0\"", 4 }
	};
	json_t *v;
	bool cut;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_null(jsonin_parse(bad[i], &cut));
		assert_false(cut);
	}
	v = jsonin_parse(bytes_str("2 \n"), &cut);
	assert_non_null(v);
	json_decref(v);
	v = jsonin_parse(bytes_str("\"\\u0000\""), &cut);
	assert_int_equal(jsonin_text(v).n, 1);
	json_decref(v);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_complete),
		cmocka_unit_test(test_reasoning_and_tools),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_not_streamed),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_errors_in_streams),
		cmocka_unit_test(test_error_bodies),
		cmocka_unit_test(test_error_message_is_clean),
		cmocka_unit_test(test_redact),
		cmocka_unit_test(test_retry_after),
		cmocka_unit_test(test_request),
		cmocka_unit_test(test_items),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_json_nul),
	};

	jsonin_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
