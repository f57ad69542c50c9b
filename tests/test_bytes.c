#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "bytes.h"

static void
numbers(void **state)
{
	static const uint8_t want[] = {
		0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0x00, 0x01, 0x02, 0x03,
		0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0xfa, 0xf9, 0xf8
	};
	struct buf b = BUF_INIT(64);
	struct rd r;

	(void)state;
	buf_u8(&b, 0x01);
	buf_u16(&b, 0x2345);
	buf_u24(&b, 0xff6789ab);	/* low 24 bits */
	buf_u32(&b, 0x00010203);
	buf_u64(&b, 0xfffefdfcfbfaf9f8);
	assert_false(b.err);
	assert_int_equal(b.n, sizeof(want));
	assert_memory_equal(b.p, want, sizeof(want));
	r = rd_of(buf_bytes(&b));
	assert_int_equal(rd_u8(&r), 0x01);
	assert_int_equal(rd_u16(&r), 0x2345);
	assert_int_equal(rd_u24(&r), 0x6789ab);
	assert_int_equal(rd_u32(&r), 0x00010203);
	assert_false(rd_done(&r));
	assert_true(rd_u64(&r) == 0xfffefdfcfbfaf9f8);
	assert_true(rd_done(&r));
	buf_free(&b);
}

/* After the first read past the end everything is zero and nothing is done. */
static void
reader_past_end(void **state)
{
	const uint8_t src[] = { 0xaa, 0xbb, 0xcc };
	uint8_t dst[4] = { 1, 2, 3, 4 };
	const uint8_t zero[4] = { 0 };
	struct rd r = rd_of(bytes_of(src, 3));

	(void)state;
	assert_int_equal(rd_u16(&r), 0xaabb);
	rd_copy(&r, dst, 4);
	assert_memory_equal(dst, zero, 4);
	assert_true(r.err);
	assert_int_equal(rd_u8(&r), 0);	/* though one byte is left */
	assert_int_equal(rd_bytes(&r, 0).n, 0);
	assert_false(rd_done(&r));
	r = rd_of(bytes_of(src, 3));
	assert_int_equal(rd_u32(&r), 0);
	assert_true(r.err);
	r = rd_of(bytes_of(src, 3));
	assert_int_equal(rd_bytes(&r, SIZE_MAX).n, 0);
	assert_true(r.err);
}

static void
reader_variable(void **state)
{
	const uint8_t v16[] = { 0, 3, 'a', 'b', 'c' };
	const uint8_t v32[] = { 0, 0, 0, 3, 'a', 'b', 'c' };
	const uint8_t huge[] = { 0xff, 0xff, 0xff, 0xff, 'a' };
	struct rd r = rd_of(bytes_of(v16, sizeof(v16)));

	(void)state;
	assert_true(bytes_eq(rd_v16(&r, 3), bytes_str("abc")));
	assert_true(rd_done(&r));
	r = rd_of(bytes_of(v16, sizeof(v16)));
	assert_int_equal(rd_v16(&r, 2).n, 0);	/* over the maximum */
	assert_true(r.err);
	r = rd_of(bytes_of(v16, sizeof(v16) - 1));
	assert_int_equal(rd_v16(&r, 3).n, 0);	/* not all there */
	assert_true(r.err);
	r = rd_of(bytes_of(v32, sizeof(v32)));
	assert_true(bytes_eq(rd_v32(&r, 3), bytes_str("abc")));
	assert_true(rd_done(&r));
	r = rd_of(bytes_of(huge, sizeof(huge)));
	assert_int_equal(rd_v32(&r, UINT32_MAX).n, 0);
	assert_true(r.err);
	r = rd_of(bytes_of(v32, 3));
	assert_int_equal(rd_v32(&r, 3).n, 0);
	assert_true(r.err);
}

static void
buffer_bound(void **state)
{
	struct buf b = BUF_INIT(300);
	uint8_t chunk[200];

	(void)state;
	memset(chunk, 0x5a, sizeof(chunk));
	buf_put(&b, chunk, 200);
	assert_false(b.err);
	buf_put(&b, chunk, 101);	/* one too many: nothing is added */
	assert_true(b.err);
	assert_int_equal(b.n, 200);
	buf_u8(&b, 1);			/* an error stays */
	assert_int_equal(b.n, 200);
	assert_null(buf_grow(&b, 0));
	buf_reset(&b);
	assert_false(b.err);
	assert_int_equal(b.n, 0);
	buf_put(&b, chunk, 200);
	buf_zero(&b, 100);		/* exactly full */
	assert_false(b.err);
	assert_int_equal(b.n, 300);
	assert_int_equal(b.p[199], 0x5a);
	assert_int_equal(b.p[299], 0);
	assert_null(buf_grow(&b, SIZE_MAX));
	assert_true(b.err);
	buf_free(&b);
	assert_int_equal(b.n, 0);
	assert_int_equal(b.max, 300);
	buf_str(&b, "usable");
	assert_true(bytes_eq(buf_bytes(&b), bytes_str("usable")));
	buf_free(&b);
	buf_init(&b, 0);
	buf_put(&b, NULL, 0);
	assert_false(b.err);
	buf_u8(&b, 0);
	assert_true(b.err);
	buf_free(&b);
}

static void
buffer_consume(void **state)
{
	struct buf b = BUF_INIT(64);

	(void)state;
	buf_str(&b, "abcdef");
	buf_consume(&b, 0);
	buf_consume(&b, 2);
	assert_true(bytes_eq(buf_bytes(&b), bytes_str("cdef")));
	assert_int_equal(b.p[4], 0);	/* wiped behind the rest */
	assert_int_equal(b.p[5], 0);
	buf_consume(&b, 4);
	assert_int_equal(b.n, 0);
	buf_consume(&b, 1);		/* more than there is: nothing */
	assert_int_equal(b.n, 0);
	buf_free(&b);
}

static void
buffer_variable(void **state)
{
	struct buf b = BUF_INIT(200000);
	uint8_t *big = calloc(1, 65536);

	(void)state;
	assert_non_null(big);
	buf_v16(&b, bytes_str("hi"));
	buf_v32(&b, bytes_str(""));
	assert_int_equal(b.n, 8);
	assert_memory_equal(b.p, "\0\2hi\0\0\0\0", 8);
	buf_v16(&b, bytes_of(big, 65536));	/* no u16 says that */
	assert_true(b.err);
	assert_int_equal(b.n, 8);
	buf_reset(&b);
	buf_v16(&b, bytes_of(big, 65535));
	assert_false(b.err);
	assert_int_equal(b.n, 65537);
	buf_free(&b);
	free(big);
}

static void
comparing(void **state)
{
	(void)state;
	assert_true(bytes_eq(bytes_of(NULL, 0), bytes_str("")));
	assert_false(bytes_eq(bytes_str("a"), bytes_str("ab")));
	assert_false(bytes_eq(bytes_str("a"), bytes_str("b")));
	assert_true(bytes_eq_ct("abc", "abd", 2));
	assert_false(bytes_eq_ct("abc", "abd", 3));
	assert_true(bytes_eq_ct("x", "y", 0));
}

/* RFC 3629: what is well formed, and every kind of what is not. */
static void
utf8(void **state)
{
	static const char *const good[] = {
		"", "ascii\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80",
		"\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbf",
		"\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "a\xc3\xa9z"
	};
	static const char *const bad[] = {
		"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2", "\xc2\x7f",
		"\xc2\xc0", "\xe0\x9f\xbf", "\xe0\xa0", "\xed\xa0\x80",
		"\xed\xbf\xbf", "\xe1\x80\xc0", "\xf0\x8f\xbf\xbf",
		"\xf0\x90\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
		"\xff", "\xfe", "ok\xc3", "\xf1\x80\x80\x7f"
	};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(bytes_utf8(bytes_str(good[i])));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(bytes_utf8(bytes_str(bad[i])));
	assert_false(bytes_utf8(bytes_of("a\0b", 3)));
}

static void
hexadecimal(void **state)
{
	const uint8_t src[] = { 0x00, 0x9a, 0xff };
	uint8_t dst[3];
	char text[7];

	(void)state;
	hex_encode(text, src, 3);
	assert_string_equal(text, "009aff");
	assert_int_equal(hex_decode(dst, 3, "009aFF"), 0);
	assert_memory_equal(dst, src, 3);
	assert_int_equal(hex_decode(dst, 3, "009af"), -1);
	assert_int_equal(hex_decode(dst, 3, "009aff0"), -1);
	assert_int_equal(hex_decode(dst, 3, "009afg"), -1);
	assert_int_equal(hex_decode(dst, 3, "0x9aff"), -1);
	hex_encode(text, src, 0);
	assert_string_equal(text, "");
	assert_int_equal(hex_decode(dst, 0, ""), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers),
		cmocka_unit_test(reader_past_end),
		cmocka_unit_test(reader_variable),
		cmocka_unit_test(buffer_bound),
		cmocka_unit_test(buffer_consume),
		cmocka_unit_test(buffer_variable),
		cmocka_unit_test(comparing),
		cmocka_unit_test(utf8),
		cmocka_unit_test(hexadecimal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
