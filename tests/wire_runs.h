/*
 * Answers of a provider, as text, with what they must come to, however they are
 * cut: test_openai.c, test_anthropic.c and test_ollama.c.
 */
#ifndef TESTS_WIRE_RUNS_H
#define TESTS_WIRE_RUNS_H

#include "jsonin.h"
#include "wire.h"

struct seen {
	struct buf	text;
	struct buf	reasoning;
	size_t		calls;
};

static void
check_delta(struct bytes t)
{
	assert_true(t.n > 0 && t.n <= WIRE_DELTA_MAX);
	assert_true(bytes_utf8(t));
}

static void
on_text(void *arg, struct bytes t)
{
	struct seen *s = arg;

	check_delta(t);
	buf_put(&s->text, t.p, t.n);
	s->calls++;
}

static void
on_reasoning(void *arg, struct bytes t)
{
	struct seen *s = arg;

	check_delta(t);
	buf_put(&s->reasoning, t.p, t.n);
	s->calls++;
}

/* Calls stand in the reasoning: "[index id name]arguments". */
static void
on_tool(void *arg, unsigned index, struct bytes id, struct bytes name,
    struct bytes args)
{
	struct seen *s = arg;
	char head[2 * ITEM_ID_MAX + 32];

	assert_true(args.n <= WIRE_DELTA_MAX && bytes_utf8(args));
	(void)snprintf(head, sizeof(head), "[%u %.*s %.*s]", index, (int)id.n,
	    (const char *)id.p, (int)name.n, (const char *)name.p);
	buf_str(&s->reasoning, head);
	buf_put(&s->reasoning, args.p, args.n);
	s->calls++;
}

static const struct wire_cb cb = { on_text, on_reasoning, on_tool };

/* What an answer must come to; the counts are -1 when not reported. */
struct want {
	const char	*in;
	enum wire_verdict verdict;
	enum wire_finish finish;
	const char	*text;
	const char	*reasoning;
	int		 prompt, completion;
	enum wire_class cls;
	bool		 tools;
};

static void
run(enum provider_type type, const struct want *w, size_t cut, size_t step)
{
	struct seen seen = { BUF_INIT(1 << 22), BUF_INIT(1 << 16), 0 };
	size_t n = strlen(w->in), i, k;
	enum wire_verdict verdict;
	struct wire o;
	int rc = 0;

	wire_init(&o, type, &cb, &seen);
	for (i = 0, k = cut; i < n && rc == 0; i += k, k = step) {
		uint8_t *piece;

		if (k > n - i)
			k = n - i;
		assert_non_null(piece = malloc(k + 1));
		memcpy(piece, w->in + i, k);
		rc = wire_feed(&o, piece, k);
		free(piece);
	}
	verdict = wire_end(&o);
	buf_u8(&seen.text, 0);
	buf_u8(&seen.reasoning, 0);
	assert_string_equal((char *)seen.text.p, w->text);
	assert_string_equal((char *)seen.reasoning.p, w->reasoning);
	assert_int_equal(verdict, w->verdict);
	assert_int_equal(o.finish, w->finish);
	assert_int_equal(o.error.cls, w->cls);
	assert_int_equal(o.prompt_tokens, w->prompt);
	assert_int_equal(o.completion_tokens, w->completion);
	assert_int_equal(o.tool_calls, w->tools);
	assert_int_equal(o.delivered, seen.calls > 0);
	assert_int_equal(verdict == WIRE_FAILED, o.error.message[0] != '\0');
	if (rc == 1)
		assert_true(o.done);
	buf_free(&seen.text);
	buf_free(&seen.reasoning);
	wire_free(&o);
}

static void
run_all(enum provider_type type, const struct want *w, size_t count)
{
	for (; count > 0; w++, count--) {
		size_t n = strlen(w->in);

		for (size_t cut = 0; cut <= n; cut++)
			run(type, w, cut, n + 1);
		run(type, w, 1, 1);
	}
}
/* t, answers of the provider type TYPE, each in every split. */
#define RUN(t)	run_all(TYPE, t, sizeof(t) / sizeof((t)[0]))

#endif
