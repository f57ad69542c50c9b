/*
 * Made from the table: each message is filled with a pattern, to its bounds,
 * and tried on every channel, end and state.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "msg.h"

/* The structure of any message. */
union body {
	struct msg	m;
	uint8_t		raw[sizeof(struct msg)];
};

static uint8_t *text;		/* enough for the longest field */

static int
setup(void **state)
{
	(void)state;
	if ((text = malloc(MSG_TEXT_MAX_BYTES)) == NULL)
		return -1;
	memset(text, 'x', MSG_TEXT_MAX_BYTES);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	free(text);
	return 0;
}

static size_t
bound(const struct msg_desc *d)
{
	return d->kind == CH_APP ? MSG_APP_MAX_BYTES : MSG_MAX_BYTES;
}

/* Bytes of a field that holds len bytes where its length is free. */
static size_t
field_bytes(const struct msg_field *f, size_t len)
{
	return f->kind == MF_BYTES || f->kind == MF_TEXT ? 4 + len : f->max;
}

/* Fill every field; strings with len bytes, or as many as they may have. */
static void
fill(union body *b, const struct msg_desc *d, size_t len)
{
	memset(b, 0, sizeof(*b));
	for (size_t i = 0; i < d->nfields; i++) {
		const struct msg_field *f = &d->fields[i];
		uint8_t *dst = b->raw + f->offset;
		struct bytes s = bytes_of(text, len > f->max ? f->max : len);

		assert_true(f->offset + (f->kind >= MF_BYTES ? sizeof(s) :
		    f->max) <= d->size);
		if (f->kind >= MF_BYTES)
			memcpy(dst, &s, sizeof(s));
		else
			memset(dst, (int)(0xa1 + i), f->max);
	}
}

static void
encode(struct buf *out, enum msg_type t, size_t len)
{
	union body b;

	buf_init(out, bound(msg_desc(t)));
	fill(&b, msg_desc(t), len);
	assert_int_equal(msg_encode(t, &b, out), 0);
}

static enum chan_end
receiver(const struct msg_desc *d)
{
	return d->dir == AB ? END_B : END_A;
}

static enum msg_verdict
decode(struct bytes wire, enum msg_type t, struct msg *m)
{
	const struct msg_desc *d = msg_desc(t);

	return msg_decode(wire, d->kind, receiver(d), d->states, m);
}

static void
same(const struct msg_desc *d, const uint8_t *a, const uint8_t *b)
{
	for (size_t i = 0; i < d->nfields; i++) {
		const struct msg_field *f = &d->fields[i];
		struct bytes x, y;

		if (f->kind < MF_BYTES) {
			assert_memory_equal(a + f->offset, b + f->offset,
			    f->max);
			continue;
		}
		memcpy(&x, a + f->offset, sizeof(x));
		memcpy(&y, b + f->offset, sizeof(y));
		assert_true(bytes_eq(x, y));
	}
}

static void
round_trip(enum msg_type t, size_t len)
{
	const struct msg_desc *d = msg_desc(t);
	struct buf wire;
	struct msg m = { .fd = 77 };
	union body b;
	size_t want = 2;

	encode(&wire, t, len);
	fill(&b, d, len);
	for (size_t i = 0; i < d->nfields; i++)
		want += field_bytes(&d->fields[i],
		    len > d->fields[i].max ? d->fields[i].max : len);
	assert_int_equal(wire.n, want);
	assert_int_equal(get_be16(wire.p), d->number);
	assert_int_equal(decode(buf_bytes(&wire), t, &m), MSG_OK);
	assert_int_equal(m.type, t);
	assert_int_equal(m.fd, 77);
	same(d, b.raw, (uint8_t *)&m.u);
	buf_free(&wire);
}

static void
round_trips(void **state)
{
	(void)state;
	for (int t = 0; t < MSG_TYPES; t++) {
		round_trip((enum msg_type)t, 0);
		round_trip((enum msg_type)t, 1);
		round_trip((enum msg_type)t, 40);
		/* Every message fits its transport with all fields full. */
		round_trip((enum msg_type)t, MSG_TEXT_MAX_BYTES);
	}
}

static void
truncated_and_extended(void **state)
{
	struct msg m;

	(void)state;
	for (int t = 0; t < MSG_TYPES; t++)
		for (size_t len = 0; len <= 3; len += 3) {
			struct buf w;

			encode(&w, (enum msg_type)t, len);
			for (size_t n = 0; n < w.n; n++) {
				/* A copy, so that a sanitizer sees a read
				 * past its end. */
				uint8_t *copy = malloc(n == 0 ? 1 : n);

				assert_non_null(copy);
				memcpy(copy, w.p, n);
				assert_int_equal(decode(bytes_of(copy, n),
				    (enum msg_type)t, &m), MSG_MALFORMED);
				free(copy);
			}
			buf_u8(&w, 0);
			assert_int_equal(decode(buf_bytes(&w),
			    (enum msg_type)t, &m), MSG_MALFORMED);
			buf_free(&w);
		}
}

/* A length field that promises more than there is, or than is allowed. */
static void
hostile_lengths(void **state)
{
	static const uint32_t lie[] = { 4, 0x7fffffff, 0xfffffffc, 0xffffffff };
	struct msg m;

	(void)state;
	for (int t = 0; t < MSG_TYPES; t++) {
		const struct msg_desc *d = msg_desc((enum msg_type)t);
		size_t at = 2;

		for (size_t i = 0; i < d->nfields; i++) {
			const struct msg_field *f = &d->fields[i];

			for (size_t k = 0; f->kind >= MF_BYTES && k < 4; k++) {
				struct buf w;

				encode(&w, (enum msg_type)t, 3);
				put_be32(w.p + at, lie[k]);
				assert_int_equal(decode(buf_bytes(&w),
				    (enum msg_type)t, &m), MSG_MALFORMED);
				buf_free(&w);
			}
			at += field_bytes(f, 3);
		}
	}
}

/* One byte more than a field may have: neither sent nor accepted. */
static void
field_too_long(void **state)
{
	struct msg m;

	(void)state;
	for (int t = 0; t < MSG_TYPES; t++) {
		const struct msg_desc *d = msg_desc((enum msg_type)t);

		for (size_t i = 0; i < d->nfields; i++) {
			const struct msg_field *f = &d->fields[i];
			struct buf w = BUF_INIT(2 * MSG_TEXT_MAX_BYTES);
			struct bytes s;
			union body b;

			if (f->kind < MF_BYTES || f->max >= MSG_TEXT_MAX_BYTES)
				continue;
			fill(&b, d, 0);
			s = bytes_of(text, (size_t)f->max + 1);
			memcpy(b.raw + f->offset, &s, sizeof(s));
			assert_int_equal(msg_encode((enum msg_type)t, &b, &w),
			    -1);
			buf_reset(&w);
			buf_u16(&w, d->number);
			for (size_t k = 0; k < d->nfields; k++)
				if (k == i)
					buf_v32(&w, s);
				else
					buf_zero(&w, field_bytes(&d->fields[k],
					    0));
			assert_int_equal(decode(buf_bytes(&w),
			    (enum msg_type)t, &m), MSG_MALFORMED);
			buf_free(&w);
		}
	}
}

/* Three bytes in a field at offset `at` of the wire, `i`th of its message. */
static void
try_text(enum msg_type t, size_t i, size_t at, const char *three, bool is_utf8)
{
	const struct msg_desc *d = msg_desc(t);
	bool ok = is_utf8 || d->fields[i].kind != MF_TEXT;
	struct bytes s = bytes_of(three, 3);
	struct buf wire, out = BUF_INIT(bound(d));
	union body b;
	struct msg m;

	fill(&b, d, 3);
	memcpy(b.raw + d->fields[i].offset, &s, sizeof(s));
	assert_int_equal(msg_encode(t, &b, &out), ok ? 0 : -1);
	encode(&wire, t, 3);
	memcpy(wire.p + at + 4, three, 3);
	assert_int_equal(decode(buf_bytes(&wire), t, &m),
	    ok ? MSG_OK : MSG_MALFORMED);
	buf_free(&wire);
	buf_free(&out);
}

static void
text_is_text(void **state)
{
	(void)state;
	for (int t = 0; t < MSG_TYPES; t++) {
		const struct msg_desc *d = msg_desc((enum msg_type)t);
		size_t at = 2;

		for (size_t i = 0; i < d->nfields; i++) {
			if (d->fields[i].kind >= MF_BYTES) {
				enum msg_type m = (enum msg_type)t;

				try_text(m, i, at, "\xe2\x82\xac", true);
				try_text(m, i, at, "a\0b", false);
				try_text(m, i, at, "ab\0", false);
				try_text(m, i, at, "a\xff" "b", false);
				try_text(m, i, at, "ab\xc3", false);
				try_text(m, i, at, "\xed\xa0\x80", false);
			}
			at += field_bytes(&d->fields[i], 3);
		}
	}
}

static void
every_number(void **state)
{
	bool known[65536] = { false };
	uint8_t wire[2];
	struct msg m;

	(void)state;
	for (int t = 0; t < MSG_TYPES; t++)
		known[msg_desc((enum msg_type)t)->number] = true;
	for (unsigned n = 0; n < 65536; n++) {
		put_be16(wire, (uint16_t)n);
		for (int k = 0; k < CH_KINDS && !known[n]; k++)
			assert_int_equal(msg_decode(bytes_of(wire, 2),
			    (enum chan_kind)k, END_A, ~0u, &m), MSG_UNKNOWN);
	}
}

/* The permission table: one cell for each channel, end and state. */
static void
permitted_where_declared(void **state)
{
	struct msg m;

	(void)state;
	for (int t = 0; t < MSG_TYPES; t++) {
		const struct msg_desc *d = msg_desc((enum msg_type)t);
		struct buf w;

		encode(&w, (enum msg_type)t, 1);
		for (int k = 0; k < CH_KINDS; k++)
			for (int e = 0; e < 2; e++)
				for (unsigned bit = 1; bit != 0; bit <<= 1) {
					bool ok = d->kind == (enum chan_kind)k
					    && receiver(d) == (enum chan_end)e
					    && (d->states & bit) != 0;

					assert_int_equal(msg_decode(
					    buf_bytes(&w), (enum chan_kind)k,
					    (enum chan_end)e, bit, &m),
					    ok ? MSG_OK : MSG_DENIED);
				}
		assert_int_equal(msg_decode(buf_bytes(&w), d->kind,
		    receiver(d), 0, &m), MSG_DENIED);
		buf_free(&w);
	}
}

/* Numbers are unique, and their high byte says the channel. */
static void
numbers(void **state)
{
	int high[CH_KINDS][2];

	(void)state;
	memset(high, -1, sizeof(high));
	for (int t = 0; t < MSG_TYPES; t++) {
		const struct msg_desc *d = msg_desc((enum msg_type)t);
		int *h = &high[d->kind][d->kind == CH_APP ? d->dir : 0];

		assert_true(d->states != 0);
		for (int o = 0; o < t; o++)
			assert_int_not_equal(d->number,
			    msg_desc((enum msg_type)o)->number);
		if (*h == -1)
			*h = d->number >> 8;
		assert_int_equal(d->number >> 8, *h);
	}
	for (int k = 0; k < CH_KINDS; k++) {
		assert_int_not_equal(high[k][0], -1);	/* has messages */
		for (int o = 0; o < k; o++)
			assert_int_not_equal(high[k][0], high[o][0]);
	}
}

/* Every state that a message needs is one that its channel has. */
static void
states_exist(void **state)
{
	unsigned all[CH_KINDS] = { 0 };

	(void)state;
#define STATE(kind, name, bit)						\
	assert_true((bit) != 0 && ((bit) & ((bit) - 1)) == 0);		\
	assert_int_equal(all[CH_##kind] & (bit), 0);			\
	all[CH_##kind] |= (bit);
#include "messages.def"
	for (int t = 0; t < MSG_TYPES; t++) {
		const struct msg_desc *d = msg_desc((enum msg_type)t);

		assert_int_equal(d->states & ~all[d->kind], 0);
	}
}

static void
helpers(void **state)
{
	char dst[4];
	struct buf w = BUF_INIT(16);

	(void)state;
	assert_int_equal(msg_text(dst, sizeof(dst), bytes_str("abc")), 0);
	assert_string_equal(dst, "abc");
	assert_int_equal(msg_text(dst, sizeof(dst), bytes_str("abcd")), -1);
	assert_string_equal(dst, "");
	assert_int_equal(msg_text(dst, sizeof(dst), bytes_of(NULL, 0)), 0);
	assert_string_equal(dst, "");
	assert_string_equal(chan_kind_name(CH_KEX_KEYD), "KEX_KEYD");
	assert_string_equal(chan_end_name(CH_KEX_KEYD, END_A), "kex");
	assert_string_equal(chan_end_name(CH_KEX_KEYD, END_B), "keyd");
	/* No body: for a message without fields alone. */
	assert_int_equal(msg_encode(MSG_ctl_go, NULL, &w), 0);
	assert_int_equal(msg_encode(MSG_ctl_kill, NULL, &w), -1);
	buf_free(&w);
	/* No room even for the number. */
	buf_init(&w, 1);
	assert_int_equal(msg_encode(MSG_ctl_go, NULL, &w), -1);
	buf_free(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trips),
		cmocka_unit_test(truncated_and_extended),
		cmocka_unit_test(hostile_lengths),
		cmocka_unit_test(field_too_long),
		cmocka_unit_test(text_is_text),
		cmocka_unit_test(every_number),
		cmocka_unit_test(permitted_where_declared),
		cmocka_unit_test(numbers),
		cmocka_unit_test(states_exist),
		cmocka_unit_test(helpers),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
