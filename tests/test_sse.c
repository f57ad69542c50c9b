/* sse.c: every shape of stream, cut at every byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../llmproxy/sse.h"

struct seen {
	struct buf	 out;		/* "name=data;" for each event */
	int		 stop_at;	/* the event that returns 7, or 0 */
	int		 n;
};

static int
note(void *arg, const char *name, struct bytes data)
{
	struct seen *s = arg;

	buf_str(&s->out, name);
	buf_u8(&s->out, '=');
	buf_put(&s->out, data.p, data.n);
	buf_u8(&s->out, ';');
	return ++s->n == s->stop_at ? 7 : 0;
}

/* Feed in[0..n) in pieces of step bytes after a first one of cut bytes. */
static void
expect_cut(const char *in, size_t n, size_t cut, size_t step, const char *want)
{
	struct seen seen = { .out = BUF_INIT(1 << 16) };
	struct sse s;
	size_t i, k;

	sse_init(&s, note, &seen);
	for (i = 0, k = cut; i < n; i += k, k = step) {
		uint8_t *piece;

		if (k > n - i)
			k = n - i;
		/* A copy of its own, so that ASan sees a read past its end. */
		assert_non_null(piece = malloc(k + 1));
		memcpy(piece, in + i, k);
		assert_int_equal(sse_feed(&s, piece, k), 0);
		free(piece);
	}
	buf_u8(&seen.out, 0);
	assert_string_equal((char *)seen.out.p, want);
	buf_free(&seen.out);
	sse_free(&s);
}

static void
expect_n(const char *in, size_t n, const char *want)
{
	for (size_t cut = 0; cut <= n; cut++)
		expect_cut(in, n, cut, n + 1, want);
	expect_cut(in, n, 1, 1, want);
}

static void
expect(const char *in, const char *want)
{
	expect_n(in, strlen(in), want);
}

static void
test_line_ends(void **state)
{
	(void)state;
	expect("data: a\n\ndata: b\n\n", "=a;=b;");
	expect("data: a\r\rdata: b\r\r", "=a;=b;");
	expect("data: a\r\n\r\ndata: b\r\n\r\n", "=a;=b;");
	expect("data: a\r\n\ndata: b\n\r\ndata: c\r\r\n", "=a;=b;=c;");
	/* CRLF is one end: two would end the event. */
	expect("event: e\r\ndata: a\r\ndata: b\r\n\r\n", "e=a\nb;");
	expect("event: e\rdata: a\rdata: b\r\r", "e=a\nb;");
	expect("\n\n\r\n\r\r\ndata: a\n\n\n\n", "=a;");
}

static void
test_fields(void **state)
{
	(void)state;
	expect("data:a\n\n", "=a;");
	expect("data:  a \n\n", "= a ;");
	expect("data: a: b\n\n", "=a: b;");
	expect("data\n\n", "=;");
	expect("data:\n\n", "=;");
	expect("data: a\ndata:b\ndata\ndata: c\n\n", "=a\nb\n\nc;");
	expect("data\ndata\n\n", "=\n;");
	expect("id: 4\nretry: 10\nfoo: bar\nfoo\nDATA: no\n data: no\n"
	    "data : no\ndata: a\n\n", "=a;");
	expect(": OPENROUTER PROCESSING\n\n:\n\n:\ndata: a\n:x\n\n", "=a;");
}

static void
test_names(void **state)
{
	(void)state;
	expect("event: ping\ndata: a\n\ndata: b\n\n", "ping=a;=b;");
	expect("event: a\nevent:b\ndata: c\n\n", "b=c;");
	/* An event without data is no event, and its name is gone. */
	expect("event: x\n\ndata: b\n\n", "=b;");
	expect("event: aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeee"
	    "ffffffffffggg\ndata: 1\n\n", "aaaaaaaaaabbbbbbbbbbccccccccccdddd"
	    "ddddddeeeeeeeeeeffffffffffggg=1;");
	expect("event: aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeee"
	    "ffffffffffgggg\ndata: 1\n\n", "?=1;");
	expect_n("event: a\0b\ndata: 1\n\n", 20, "?=1;");
}

static void
test_start_and_end(void **state)
{
	(void)state;
	expect("\xef\xbb\xbf" "data: a\n\n\xef\xbb\xbf" "data: b\n\ndata: c\n\n",
	    "=a;=c;");
	expect("\xef\xbb\xbf\ndata: a\n\n", "=a;");
	expect("\xef\xbb" "data: a\n\n", "");
	/* What was not ended by an empty line was not sent. */
	expect("data: a\n\ndata: b", "=a;");
	expect("data: a\n\ndata: b\n", "=a;");
	expect("", "");
}

static void
test_utf8_is_kept(void **state)
{
	(void)state;
	expect("data: \xe2\x82\xac\xf0\x9f\x8f\xb0\n\n",
	    "=\xe2\x82\xac\xf0\x9f\x8f\xb0;");
	expect("data: \xff\xc3(\n\n", "=\xff\xc3(;");
}

static void
test_stop(void **state)
{
	static const char in[] = "data: a\n\ndata: b\n\ndata: c\n\n";
	struct seen seen = { .out = BUF_INIT(64), .stop_at = 2 };
	struct sse s;

	(void)state;
	sse_init(&s, note, &seen);
	assert_int_equal(sse_feed(&s, in, sizeof(in) - 1), 7);
	assert_int_equal(seen.n, 2);
	assert_int_equal(sse_feed(&s, in, sizeof(in) - 1), 7);
	assert_int_equal(seen.n, 2);
	buf_free(&seen.out);
	sse_free(&s);
}

/* Lines of len bytes after "data: ", in one event; what the feed returns. */
static int
big_event(size_t lines, size_t len, int *events)
{
	struct seen seen = { .out = BUF_INIT(2 * SSE_EVENT_MAX) };
	struct sse s;
	char *x = malloc(len);
	int rc = 0;

	assert_non_null(x);
	memset(x, 'x', len);
	sse_init(&s, note, &seen);
	for (size_t i = 0; i < lines && rc == 0; i++) {
		if ((rc = sse_feed(&s, "data: ", 6)) == 0 &&
		    (rc = sse_feed(&s, x, len)) == 0)
			rc = sse_feed(&s, "\n", 1);
	}
	if (rc == 0)
		rc = sse_feed(&s, "\n", 1);
	if (rc == -1)
		assert_int_equal(sse_feed(&s, "data: a\n\n", 9), -1);
	*events = seen.n;
	free(x);
	buf_free(&seen.out);
	sse_free(&s);
	return rc;
}

static void
test_bounds(void **state)
{
	int events;

	(void)state;
	assert_int_equal(big_event(1, SSE_EVENT_MAX - 6, &events), 0);
	assert_int_equal(events, 1);
	assert_int_equal(big_event(1, SSE_EVENT_MAX - 5, &events), -1);
	assert_int_equal(events, 0);
	assert_int_equal(big_event(1024, 1023, &events), 0);
	assert_int_equal(events, 1);
	assert_int_equal(big_event(1025, 1023, &events), -1);
	assert_int_equal(events, 0);
}

/* Comments without end must not make memory grow. */
static void
test_many_comments(void **state)
{
	struct seen seen = { .out = BUF_INIT(64) };
	struct sse s;

	(void)state;
	sse_init(&s, note, &seen);
	for (int i = 0; i < 100000; i++)
		assert_int_equal(sse_feed(&s, ": nothing yet\n\n", 15), 0);
	assert_true(s.line.cap + s.data.cap < 1024);
	assert_int_equal(seen.n, 0);
	buf_free(&seen.out);
	sse_free(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_line_ends),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_start_and_end),
		cmocka_unit_test(test_utf8_is_kept),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_many_comments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
