/* sessiond/source.c: caps, rates and penalties. */
#include <arpa/inet.h>
#include <netinet/in.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "source.h"

union addr {
	struct sockaddr		sa;
	struct sockaddr_in	in4;
	struct sockaddr_in6	in6;
};

static union addr
v4(const char *text)
{
	union addr a;

	memset(&a, 0, sizeof(a));
	a.in4.sin_family = AF_INET;
	a.in4.sin_port = htons(80);
	assert_int_equal(inet_pton(AF_INET, text, &a.in4.sin_addr), 1);
	return a;
}

static union addr
v6(const char *text)
{
	union addr a;

	memset(&a, 0, sizeof(a));
	a.in6.sin6_family = AF_INET6;
	a.in6.sin6_port = htons(65535);
	assert_int_equal(inet_pton(AF_INET6, text, &a.in6.sin6_addr), 1);
	return a;
}

static void
cap_of_one_source(void **state)
{
	struct sources *ss = sources_new();
	union addr a = v4("192.0.2.1"), b = v4("192.0.2.2");
	struct source *s, *t;

	(void)state;
	assert_int_equal(source_begin(ss, &a.sa, 2, 0, &s), SOURCE_OK);
	assert_int_equal(source_begin(ss, &a.sa, 2, 0, &s), SOURCE_OK);
	assert_int_equal(source_begin(ss, &a.sa, 2, 0, &t), SOURCE_FULL);
	/* Another is served while this one is over its cap. */
	assert_int_equal(source_begin(ss, &b.sa, 2, 0, &t), SOURCE_OK);
	assert_int_equal(source_end(ss, s, SOURCE_DONE, 0), 0);
	assert_int_equal(source_begin(ss, &a.sa, 2, 0, &s), SOURCE_OK);
	assert_int_equal(sources_count(ss), 2);
	sources_free(ss);
}

/* The same /64, or the same address in a mapped form, is one source. */
static void
what_a_source_is(void **state)
{
	struct sources *ss = sources_new();
	union addr a[] = {
		v6("2001:db8:0:1::1"), v6("2001:db8:0:1:ffff::2"),
		v6("2001:db8:0:2::1"), v6("::ffff:192.0.2.1"), v4("192.0.2.1")
	};
	static const unsigned count[] = { 1, 1, 2, 3, 3 };
	struct source *s;

	(void)state;
	for (size_t i = 0; i < 5; i++) {
		assert_int_equal(source_begin(ss, &a[i].sa, 9, 0, &s),
		    SOURCE_OK);
		assert_int_equal(sources_count(ss), count[i]);
	}
	sources_free(ss);
}

static void
rate(void **state)
{
	struct sources *ss = sources_new();
	union addr a = v4("192.0.2.1");
	struct source *s;
	int n = 0;

	(void)state;
	while (source_begin(ss, &a.sa, 5, 1000, &s) == SOURCE_OK) {
		(void)source_end(ss, s, SOURCE_DONE, 1000);
		assert_true(++n <= 20);
	}
	assert_int_equal(n, 20);
	assert_int_equal(source_begin(ss, &a.sa, 5, 1000, &s), SOURCE_FAST);
	/* Five a second come back, and never more than the burst. */
	assert_int_equal(source_begin(ss, &a.sa, 5, 1200, &s), SOURCE_OK);
	(void)source_end(ss, s, SOURCE_DONE, 1200);
	assert_int_equal(source_begin(ss, &a.sa, 5, 1200, &s), SOURCE_FAST);
	for (n = 0; source_begin(ss, &a.sa, 5, 1000000, &s) == SOURCE_OK; n++)
		(void)source_end(ss, s, SOURCE_DONE, 1000000);
	assert_int_equal(n, 20);
	sources_free(ss);
}

static void
crashes(void **state)
{
	static const uint64_t want_s[] = {
		1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300
	};
	struct sources *ss = sources_new();
	union addr a = v4("192.0.2.1");
	uint64_t now = 5000;
	struct source *s;

	(void)state;
	for (size_t i = 0; i < sizeof(want_s) / sizeof(want_s[0]); i++) {
		assert_int_equal(source_begin(ss, &a.sa, 5, now, &s),
		    SOURCE_OK);
		assert_int_equal(source_end(ss, s, SOURCE_CRASH, now),
		    want_s[i] * 1000);
		assert_int_equal(source_begin(ss, &a.sa, 5, now, &s),
		    SOURCE_PENALTY);
		now += want_s[i] * 1000 - 1;
		assert_int_equal(source_begin(ss, &a.sa, 5, now, &s),
		    SOURCE_PENALTY);
		now++;
	}
	/* Hours later it begins again. */
	now += 100 * 600000;
	assert_int_equal(source_begin(ss, &a.sa, 5, now, &s), SOURCE_OK);
	assert_int_equal(source_end(ss, s, SOURCE_CRASH, now), 1000);
	sources_free(ss);
}

static void
refusals(void **state)
{
	struct sources *ss = sources_new();
	union addr a = v4("192.0.2.1");
	struct source *s;

	(void)state;
	for (uint64_t i = 0; i < 10; i++) {
		assert_int_equal(source_begin(ss, &a.sa, 9, i, &s), SOURCE_OK);
		assert_int_equal(source_end(ss, s, SOURCE_REFUSED, i), 0);
	}
	assert_int_equal(source_begin(ss, &a.sa, 9, 10, &s), SOURCE_OK);
	assert_int_equal(source_end(ss, s, SOURCE_REFUSED, 10), 5000);
	assert_int_equal(source_begin(ss, &a.sa, 9, 11, &s), SOURCE_PENALTY);
	/* In another minute it may err again. */
	assert_int_equal(source_begin(ss, &a.sa, 9, 70000, &s), SOURCE_OK);
	assert_int_equal(source_end(ss, s, SOURCE_REFUSED, 70000), 0);
	sources_free(ss);
}

/* A flood of addresses takes bounded memory and evicts nobody who is served. */
static void
flood(void **state)
{
	struct sources *ss = sources_new();
	union addr mine = v4("192.0.2.1"), a;
	struct source *s, *t;

	(void)state;
	assert_int_equal(source_begin(ss, &mine.sa, 1, 0, &s), SOURCE_OK);
	for (uint32_t i = 0; i < SOURCES_MAX + 100; i++) {
		a = v4("10.0.0.0");
		a.in4.sin_addr.s_addr = htonl(0x0a000000 + i);
		assert_int_equal(source_begin(ss, &a.sa, 1, 0, &t), SOURCE_OK);
		(void)source_end(ss, t, SOURCE_DONE, 0);
	}
	assert_int_equal(sources_count(ss), SOURCES_MAX);
	assert_int_equal(source_begin(ss, &mine.sa, 1, 0, &t), SOURCE_FULL);
	(void)source_end(ss, s, SOURCE_DONE, 0);
	sources_free(ss);
}

static void
texts(void **state)
{
	union addr a = v4("192.0.2.1"), b = v6("2001:db8::1");
	union addr c = v6("::ffff:192.0.2.9");
	char text[SOURCE_TEXT];

	(void)state;
	source_text(text, &a.sa);
	assert_string_equal(text, "192.0.2.1:80");
	source_text(text, &b.sa);
	assert_string_equal(text, "[2001:db8::1]:65535");
	source_text(text, &c.sa);
	assert_string_equal(text, "192.0.2.9:65535");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cap_of_one_source),
		cmocka_unit_test(what_a_source_is),
		cmocka_unit_test(rate),
		cmocka_unit_test(crashes),
		cmocka_unit_test(refusals),
		cmocka_unit_test(flood),
		cmocka_unit_test(texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
