/*
 * Who may say what, when, with what bounds: written a second time, so that no
 * slip in messages.def widens it.  Whoever means to change the table changes
 * both, and says why in the commit.
 *
 * A line: name, number, channel, direction, states of the receiver, "fd" when a
 * descriptor travels with it, then the fields: bits of a number, or bytes of
 * exactly, at most (bytes), at most (text) that length.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "msg.h"

static const char *const permits[] = {
#include "permits.h"
};

static const struct {
	enum chan_kind	 kind;
	unsigned	 bit;
	const char	*name;
} states[] = {
#define STATE(kind, name, bit) { CH_##kind, bit, #name },
#include "messages.def"
};

__attribute__((format(printf, 3, 4)))
static void
add(char *line, size_t size, const char *fmt, ...)
{
	size_t n = strlen(line);
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(line + n, size - n, fmt, ap);
	va_end(ap);
}

static void
describe(char *line, size_t size, const struct msg_desc *d)
{
	static const char *const field[] = {
		[MF_U8] = " u8", [MF_U16] = " u16", [MF_U32] = " u32",
		[MF_U64] = " u64", [MF_FIX] = " =", [MF_BYTES] = " <=",
		[MF_TEXT] = " text<="
	};
	const char *mark = " ";

	line[0] = '\0';
	add(line, size, "%s %04x %s %s", d->name, d->number,
	    chan_kind_name(d->kind), d->dir == AB ? "AB" : "BA");
	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		if (states[i].kind == d->kind &&
		    (states[i].bit & d->states) != 0) {
			add(line, size, "%s%s", mark, states[i].name);
			mark = "|";
		}
	if (d->has_fd)
		add(line, size, " fd");
	for (size_t i = 0; i < d->nfields; i++) {
		add(line, size, "%s", field[d->fields[i].kind]);
		if (d->fields[i].kind >= MF_FIX)
			add(line, size, "%u", d->fields[i].max);
	}
}

/* Every message is as written above, and there is no other. */
static void
table(void **state)
{
	char line[512];

	(void)state;
	for (int t = 0; t < MSG_TYPES; t++) {
		describe(line, sizeof(line), msg_desc((enum msg_type)t));
		assert_true((size_t)t < sizeof(permits) / sizeof(permits[0]));
		assert_string_equal(line, permits[t]);
	}
	assert_int_equal(MSG_TYPES, sizeof(permits) / sizeof(permits[0]));
}

/* The states of one channel are told apart. */
static void
state_bits(void **state)
{
	static const size_t total = sizeof(states) / sizeof(states[0]);

	(void)state;
	for (size_t i = 0; i < total; i++)
		for (size_t j = 0; j < i; j++)
			assert_true(states[i].kind != states[j].kind ||
			    (states[i].bit & states[j].bit) == 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table),
		cmocka_unit_test(state_bits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
