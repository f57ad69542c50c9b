/* item.c: what is taken, what is refused, in which order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "item.h"

static void
test_round_trips(void **state)
{
	const struct item t[] = {
		{ .kind = KIND_USER, .text = bytes_str("u") },
		{ .kind = ITEM_PART, .text = bytes_str("p") },
		{ .kind = ITEM_IMAGE, .how = ITEM_WEBP,
		    .text = bytes_of("\0\xff", 2) },
		{ .kind = ITEM_CALL, .id = bytes_str("c"),
		    .name = bytes_str("f"), .text = bytes_str("{}") },
		{ .kind = ITEM_RESULT, .id = bytes_str("c"),
		    .text = bytes_str("") },
		{ .kind = ITEM_TOOL, .how = ITEM_NO, .name = bytes_str("f"),
		    .about = bytes_str("d"), .text = bytes_str("{}") },
		{ .kind = ITEM_CHOICE, .how = ITEM_NAMED, .several = ITEM_YES,
		    .name = bytes_str("f") },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct buf b = BUF_INIT(256);
		struct item it;

		item_encode(&b, &t[i]);
		assert_int_equal(item_parse(&it, t[i].kind, buf_bytes(&b)), 0);
		assert_int_equal(it.how, t[i].how);
		assert_int_equal(it.several, t[i].several);
		assert_true(bytes_eq(it.id, t[i].id));
		assert_true(bytes_eq(it.name, t[i].name));
		assert_true(bytes_eq(it.about, t[i].about));
		assert_true(bytes_eq(it.text, t[i].text));
		/* Shorter or longer it is another one, or none. */
		for (size_t n = 0; n < b.n; n++)
			if (item_parse(&it, t[i].kind, bytes_of(b.p, n)) == 0)
				assert_true(t[i].kind == KIND_USER ||
				    t[i].kind == ITEM_PART ||
				    t[i].kind == ITEM_IMAGE);
		buf_u8(&b, 'x');
		if (t[i].kind >= ITEM_CALL)
			assert_int_equal(item_parse(&it, t[i].kind,
			    buf_bytes(&b)), -1);
		buf_free(&b);
	}
}

static void
test_malformed(void **state)
{
	static const struct {
		uint8_t kind;
		const char *p;
		size_t n;
	} t[] = {
		{ 0, "x", 1 }, { 4, "x", 1 }, { 15, "x", 1 }, { 22, "x", 1 },
		{ KIND_USER, "\xff", 1 }, { KIND_USER, "\0", 1 },
		{ ITEM_PART, "\xff", 1 },
		{ ITEM_IMAGE, "\0x", 2 }, { ITEM_IMAGE, "\5x", 2 },
		{ ITEM_IMAGE, "\1", 1 },
		{ ITEM_CALL, "\0\0\0\1f\0\0\0\0", 9 },
		{ ITEM_CALL, "\0\1c\0\0\0\0\0\0", 9 },
		{ ITEM_CALL, "\0\1\xff\0\1f\0\0\0\0", 10 },
		{ ITEM_CALL, "\0\1c\0\1f\0\0\0\1\0", 11 },
		{ ITEM_CALL, "\0\1c\0\1f\xff\xff\xff\xff", 10 },
		{ ITEM_RESULT, "\0\0\0\0\0\0", 6 },
		{ ITEM_TOOL, "\3\0\1f\0\0\0\0\0\0", 10 },
		{ ITEM_TOOL, "\0\0\0\0\0\0\0\0\0", 9 },
		{ ITEM_CHOICE, "\4\0\0\0", 4 }, { ITEM_CHOICE, "\0\3\0\0", 4 },
		{ ITEM_CHOICE, "\3\0\0\0", 4 },
		{ ITEM_CHOICE, "\0\0\0\1f", 5 },
	};
	struct item it;

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		assert_int_equal(item_parse(&it, t[i].kind,
		    bytes_of(t[i].p, t[i].n)), -1);
	assert_int_equal(item_media_of(bytes_str("image/gif")), ITEM_GIF);
	assert_int_equal(item_media_of(bytes_str("image/svg")), 0);
}

/* Kinds in a row: how many of them may come, and whether that asks something. */
static void
test_order(void **state)
{
	static const struct {
		const char *kinds;
		size_t ok;
		bool asks;
	} t[] = {
		{ "\1", 1, true }, { "\3\24\25\3\1\21\20", 7, true },
		{ "\1\2", 2, false }, { "\1\2\22\22\23\23", 6, true },
		{ "\24", 1, false }, { "\20", 0, false },
		{ "\1\2\21", 2, false }, { "\1\22", 1, true },
		{ "\23\21", 1, true }, { "\23\22", 1, true },
		{ "\1\3", 1, true }, { "\1\24", 1, true },
		{ "\1\26", 1, true }, { "\4", 0, false },
		{ "\2\22\20", 2, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct item_order o = { 0, false };
		size_t n = 0;

		while (t[i].kinds[n] != '\0' &&
		    item_next(&o, (uint8_t)t[i].kinds[n]) == NULL)
			n++;
		assert_int_equal(n, t[i].ok);
		assert_int_equal(item_asks(&o), t[i].asks);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trips),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
