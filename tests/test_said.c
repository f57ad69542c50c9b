/* client/said.c: what stands of a conversation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "exits.h"
#include "said.h"

static uint64_t number;

static int
add(struct said *s, uint8_t kind, const char *text)
{
	struct m_s_msg m = { .number = ++number, .kind = kind,
	    .model = bytes_str("m"), .text = bytes_str(text) };

	return said_add(s, &m);
}

/* Everything that stands, with blanks between. */
static void
stands(const struct said *s, const char *want)
{
	const struct said_msg *sm;
	struct buf all = BUF_INIT(256);

	TAILQ_FOREACH(sm, &s->list, link) {
		buf_str(&all, all.n > 0 ? " " : "");
		buf_put(&all, sm->text.p, sm->text.n);
	}
	assert_true(bytes_eq(buf_bytes(&all), bytes_str(want)));
	buf_free(&all);
}

static void
test_withdrawn(void **state)
{
	struct said s;

	(void)state;
	number = 0;
	said_init(&s);
	assert_null(said_question(&s));
	assert_int_equal(add(&s, KIND_WITHDRAWN, ""), RC_OK);
	assert_int_equal(add(&s, KIND_SYSTEM, "rule"), RC_OK);
	assert_int_equal(add(&s, KIND_USER, "one"), RC_OK);
	assert_int_equal(add(&s, KIND_ASSISTANT, "first"), RC_OK);
	assert_int_equal(add(&s, KIND_USER, "two"), RC_OK);
	assert_int_equal(add(&s, KIND_SYSTEM, "other"), RC_OK);
	assert_int_equal(add(&s, KIND_USER, "three"), RC_OK);
	assert_int_equal(add(&s, KIND_ASSISTANT, "third"), RC_OK);
	stands(&s, "rule one first two other three third");
	assert_int_equal(add(&s, KIND_WITHDRAWN, ""), RC_OK);
	stands(&s, "rule one first two other");
	/* An answer that came too late; system prompts stay. */
	assert_int_equal(add(&s, KIND_ASSISTANT, "late"), RC_OK);
	assert_int_equal(add(&s, KIND_WITHDRAWN, ""), RC_OK);
	stands(&s, "rule one first other");
	assert_true(bytes_eq(said_question(&s)->m.text, bytes_str("one")));
	assert_true(s.last == number);
	assert_int_equal(add(&s, KIND_USER, "four"), RC_OK);
	assert_int_equal(add(&s, KIND_ASSISTANT, "fourth"), RC_OK);
	stands(&s, "rule one first other four fourth");
	for (int i = 0; i < 4; i++)
		assert_int_equal(add(&s, KIND_WITHDRAWN, ""), RC_OK);
	stands(&s, "rule other");
	assert_null(said_question(&s));
	/* A kind of a later version is not passed over. */
	assert_int_equal(add(&s, 5, "?"), RC_ERROR);
	assert_int_equal(add(&s, 0, "?"), RC_ERROR);
	said_free(&s);
	assert_true(s.bytes == 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_withdrawn) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
