#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "text.h"

static void
check(struct bytes in, const char *want, bool line)
{
	struct buf out = BUF_INIT(4096);

	if (line)
		text_clean_line(&out, in);
	else
		text_clean(&out, in);
	assert_false(out.err);
	assert_int_equal(out.n, strlen(want));
	assert_memory_equal(out.p, want, out.n);
	buf_free(&out);
}

#define CLEAN(in, want) check(bytes_of(in, sizeof(in) - 1), want, false)
#define LINE(in, want)	check(bytes_of(in, sizeof(in) - 1), want, true)
#define FFFD		"\xef\xbf\xbd"

static void
test_plain(void **state)
{
	(void)state;
	CLEAN("a\tb\nc ~", "a\tb\nc ~");
	CLEAN("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xe4\xb8\xad \xf0\x9f\x98\x80",
	    "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xe4\xb8\xad \xf0\x9f\x98\x80");
	LINE("a\tb\nc", "a b c");
}

static void
test_controls(void **state)
{
	(void)state;
	CLEAN("\033[31mred\033[0m", "^[[31mred^[[0m");
	CLEAN("\033]0;title\007", "^[]0;title^G");
	CLEAN("a\rb\bc\x7f", "a^Mb^Hc^?");
	CLEAN("a\0b", "a^@b");
	LINE("\033[2J\n", "^[[2J ");
	/* CSI as a C1 control, in UTF-8 and as a bare byte */
	CLEAN("\xc2\x9b" "31m", FFFD "31m");
	CLEAN("\x9b" "31m", FFFD "31m");
	CLEAN("\xc2\x85|\xc2\xa0|", FFFD "|\xc2\xa0|");
}

static void
test_reordering_and_invisible(void **state)
{
	(void)state;
	CLEAN("\xe2\x80\xae" "abc\xe2\x80\xac", FFFD "abc" FFFD);
	CLEAN("\xe2\x81\xa6x\xe2\x81\xa9", FFFD "x" FFFD);
	CLEAN("\xe2\x80\xa8\xe2\x80\xa9", FFFD FFFD);
	CLEAN("\xf3\xa0\x81\x81", FFFD);		/* tag A */
	CLEAN("\xef\xbf\xbe\xef\xb7\x90", FFFD FFFD);	/* noncharacters */
	/* the joiner that emoji and Indic scripts need stays */
	CLEAN("\xe2\x80\x8d", "\xe2\x80\x8d");
}

static void
test_malformed(void **state)
{
	(void)state;
	CLEAN("\xff\xfe", FFFD FFFD);
	CLEAN("\xc0\x9b", FFFD FFFD);			/* overlong ESC */
	CLEAN("\xe0\x80\x9b", FFFD FFFD FFFD);
	CLEAN("\xed\xa0\x80", FFFD FFFD FFFD);		/* surrogate */
	CLEAN("\xf4\x90\x80\x80", FFFD FFFD FFFD FFFD);	/* > 10FFFF */
	CLEAN("a\xe2\x82", "a" FFFD FFFD);		/* cut off */
	CLEAN("\xe2\x1b[0m", FFFD "^[[0m");		/* ESC inside */
}

/* Whatever comes in, no control byte but newline and tab comes out. */
static void
test_every_pair(void **state)
{
	struct buf out = BUF_INIT(16);
	uint8_t in[2];

	(void)state;
	for (unsigned i = 0; i < 0x10000; i++) {
		put_be16(in, (uint16_t)i);
		buf_reset(&out);
		text_clean(&out, bytes_of(in, 2));
		assert_true(bytes_utf8(buf_bytes(&out)));
		for (size_t j = 0; j < out.n; j++)
			assert_true(out.p[j] == '\n' || out.p[j] == '\t' ||
			    (out.p[j] >= 0x20 && out.p[j] != 0x7f));
	}
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_controls),
		cmocka_unit_test(test_reordering_and_invisible),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_every_pair),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
