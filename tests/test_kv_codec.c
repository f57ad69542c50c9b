#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "../storaged/kv_codec.h"

#define MAX	8

static uint8_t filler[KV_MAX_VALUE + 1];

/*
 * A decoder of a part into arrays of max elements, with its result re-encoded
 * into again; 0 or -1.
 */
typedef int recode_fn(struct bytes part, size_t max, struct buf *again);

static int
recode_ops(struct bytes part, size_t max, struct buf *again)
{
	struct kv_op ops[MAX];
	size_t n;

	if (kv_dec_ops(part, ops, max, &n) == -1)
		return -1;
	kv_enc_ops(again, ops, n);
	return 0;
}

static int
recode_keys(struct bytes part, size_t max, struct buf *again)
{
	struct bytes keys[MAX];
	size_t n;

	if (kv_dec_keys(part, keys, max, &n) == -1)
		return -1;
	kv_enc_keys(again, keys, n);
	return 0;
}

static int
recode_range(struct bytes part, size_t max, struct buf *again)
{
	struct kv_range range;

	(void)max;
	if (kv_dec_range(part, &range) == -1)
		return -1;
	kv_enc_range(again, &range);
	return 0;
}

static int
recode_rows(struct bytes part, size_t max, struct buf *again)
{
	struct kv_row rows[MAX];
	size_t n;

	if (kv_dec_rows(part, rows, max, &n) == -1)
		return -1;
	for (size_t i = 0; i < n; i++)
		kv_enc_row(again, rows[i].key, rows[i].value);
	return 0;
}

/* A copy of exactly n bytes, so that a sanitizer sees a read past the end. */
static uint8_t *
exact(const uint8_t *p, size_t n)
{
	uint8_t *copy = malloc(n == 0 ? 1 : n);

	assert_non_null(copy);
	if (n > 0)
		memcpy(copy, p, n);
	return copy;
}

/*
 * The part decodes and encodes to itself; cut or extended anywhere it is
 * refused, except that rows end anywhere between two rows; any flipped bit
 * leaves it refused or meaning exactly its bytes.
 */
static void
check_part(recode_fn *recode, const struct buf *part, size_t max, bool rows)
{
	struct buf again = BUF_INIT(KV_PART_MAX);
	uint8_t *p;

	assert_false(part->err);
	for (size_t n = 0; n <= part->n; n++) {
		p = exact(part->p, n);
		buf_reset(&again);
		if (recode(bytes_of(p, n), max, &again) == 0) {
			assert_true(n == part->n || rows);
			assert_int_equal(again.n, n);
			assert_true(n == 0 || memcmp(again.p, p, n) == 0);
		} else
			assert_true(n < part->n);
		free(p);
	}
	p = exact(part->p, part->n + 1);
	p[part->n] = 0;
	assert_int_equal(recode(bytes_of(p, part->n + 1), max, &again), -1);
	for (size_t bit = 0; bit < 8 * part->n; bit++) {
		p[bit / 8] ^= (uint8_t)(1 << bit % 8);
		buf_reset(&again);
		if (recode(bytes_of(p, part->n), max, &again) == 0) {
			assert_int_equal(again.n, part->n);
			assert_memory_equal(again.p, p, part->n);
		}
		p[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	free(p);
	buf_free(&again);
}

static void
test_ops(void **state)
{
	static const uint8_t expect[] = { 0, 3, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8,
	    0, 1, 'k', 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 2, 'a', 'b',
	    2, 1, 0, 1, 'c' };
	struct kv_op ops[3] = {
		{ KV_PUT, KV_VER, 0x0102030405060708, bytes_str("k"),
		    bytes_of(filler, 8) },
		{ KV_DEL, KV_ANY, 0, bytes_str("ab"), { NULL, 0 } },
		{ KV_CHECK, KV_ABSENT, 0, bytes_str("c"), { NULL, 0 } },
	};
	struct kv_op got[3];
	struct buf b = BUF_INIT(KV_PART_MAX);
	size_t n;

	(void)state;
	kv_enc_ops(&b, ops, 3);
	assert_int_equal(b.n, sizeof(expect));
	assert_memory_equal(b.p, expect, b.n);
	assert_int_equal(kv_dec_ops(buf_bytes(&b), got, 2, &n), -1);
	assert_int_equal(kv_dec_ops(buf_bytes(&b), got, 3, &n), 0);
	assert_int_equal(n, 3);
	assert_int_equal(got[0].op, KV_PUT);
	assert_int_equal(got[0].pre, KV_VER);
	assert_int_equal(got[0].ver, 0x0102030405060708);
	assert_true(bytes_eq(got[0].key, ops[0].key));
	assert_true(bytes_eq(got[0].value, ops[0].value));
	assert_int_equal(got[1].op, KV_DEL);
	assert_int_equal(got[1].ver, 0);
	assert_null(got[1].value.p);
	assert_int_equal(got[2].pre, KV_ABSENT);
	assert_true(bytes_eq(got[2].key, ops[2].key));
	check_part(recode_ops, &b, 3, false);
	buf_free(&b);
}

static void
test_ops_limits(void **state)
{
	static struct kv_op many[KV_MAX_OPS + 1];
	struct kv_op o = { KV_PUT, KV_ANY, 0, bytes_of(filler, KV_MAX_KEY),
	    bytes_of(filler, KV_MAX_VALUE) };
	struct buf b = BUF_INIT(KV_PART_MAX);
	size_t n;

	(void)state;
	kv_enc_ops(&b, &o, 1);
	assert_false(b.err);
	assert_int_equal(kv_dec_ops(buf_bytes(&b), many, 1, &n), 0);
	assert_int_equal(many[0].value.n, KV_MAX_VALUE);
	/* One byte more of key or value, built by hand. */
	for (int long_key = 0; long_key <= 1; long_key++) {
		buf_reset(&b);
		buf_u16(&b, 1);
		buf_u16(&b, KV_PUT << 8 | KV_ANY);
		buf_v16(&b, bytes_of(filler, KV_MAX_KEY + (size_t)long_key));
		buf_v16(&b, bytes_of(filler, KV_MAX_VALUE + 1 -
		    (size_t)long_key));
		assert_false(b.err);
		assert_int_equal(kv_dec_ops(buf_bytes(&b), many, 1, &n), -1);
	}
	for (int i = 0; i < 6; i++) {
		struct kv_op bad = o;

		if (i == 0)
			bad.op = KV_CHECK + 1;
		else if (i == 1)
			bad.pre = KV_VER + 1;
		else if (i == 2)
			bad.key.n = 0;
		else if (i == 3)
			bad.key.n = KV_MAX_KEY + 1;
		else if (i == 4)
			bad.value.n = KV_VER_BYTES - 1;
		else
			bad.value.n = KV_MAX_VALUE + 1;
		buf_reset(&b);
		kv_enc_ops(&b, &bad, 1);
		assert_true(b.err);
	}
	for (size_t i = 0; i <= KV_MAX_OPS; i++)
		many[i] = (struct kv_op){ KV_DEL, KV_ANY, 0, bytes_str("k"),
		    { NULL, 0 } };
	buf_reset(&b);
	kv_enc_ops(&b, many, KV_MAX_OPS + 1);
	assert_true(b.err);
	buf_reset(&b);
	kv_enc_ops(&b, many, KV_MAX_OPS);
	assert_false(b.err);
	assert_int_equal(kv_dec_ops(buf_bytes(&b), many, KV_MAX_OPS + 1, &n),
	    0);
	assert_int_equal(n, KV_MAX_OPS);
	/* More than KV_MAX_OPS, though the array would hold them. */
	buf_put(&b, "\1\0\0\1k", 5);
	put_be16(b.p, KV_MAX_OPS + 1);
	assert_int_equal(kv_dec_ops(buf_bytes(&b), many, KV_MAX_OPS + 1, &n),
	    -1);
	buf_free(&b);
}

static void
test_keys(void **state)
{
	struct bytes keys[3] = { bytes_str("a"), bytes_str("bc"),
	    bytes_of("\0\xff", 2) }, got[3];
	struct buf b = BUF_INIT(KV_PART_MAX);
	size_t n;

	(void)state;
	kv_enc_keys(&b, keys, 3);
	assert_int_equal(kv_dec_keys(buf_bytes(&b), got, 2, &n), -1);
	assert_int_equal(kv_dec_keys(buf_bytes(&b), got, 3, &n), 0);
	assert_int_equal(n, 3);
	for (size_t i = 0; i < n; i++)
		assert_true(bytes_eq(got[i], keys[i]));
	check_part(recode_keys, &b, 3, false);
	buf_reset(&b);
	kv_enc_keys(&b, NULL, 0);
	assert_int_equal(kv_dec_keys(buf_bytes(&b), got, 3, &n), 0);
	assert_int_equal(n, 0);
	keys[1].n = 0;
	kv_enc_keys(&b, keys, 3);
	assert_true(b.err);
	buf_reset(&b);
	kv_enc_keys(&b, keys, (size_t)UINT16_MAX + 1);
	assert_true(b.err);
	buf_free(&b);
}

static void
test_range(void **state)
{
	struct kv_range range = { bytes_of(filler, KV_MAX_BOUND),
	    bytes_str("hi"), true, 1, KV_MIN_SCAN }, got;
	struct buf b = BUF_INIT(KV_PART_MAX);

	(void)state;
	kv_enc_range(&b, &range);
	assert_int_equal(kv_dec_range(buf_bytes(&b), &got), 0);
	assert_true(bytes_eq(got.lo, range.lo));
	assert_true(bytes_eq(got.hi, range.hi));
	assert_true(got.reverse);
	assert_int_equal(got.max_items, 1);
	assert_int_equal(got.max_bytes, KV_MIN_SCAN);
	check_part(recode_range, &b, 0, false);
	b.p[0] = 2;
	assert_int_equal(kv_dec_range(buf_bytes(&b), &got), -1);
	b.p[0] = 0;
	put_be32(b.p + 5, KV_MIN_SCAN - 1);
	assert_int_equal(kv_dec_range(buf_bytes(&b), &got), -1);
	put_be32(b.p + 5, KV_MIN_SCAN);
	assert_int_equal(kv_dec_range(buf_bytes(&b), &got), 0);
	put_be32(b.p + 1, 0);
	assert_int_equal(kv_dec_range(buf_bytes(&b), &got), -1);
	buf_reset(&b);
	range.lo.n++;
	kv_enc_range(&b, &range);
	assert_true(b.err);
	buf_free(&b);
}

static void
test_rows(void **state)
{
	struct kv_row got[4];
	struct buf b = BUF_INIT(KV_PART_MAX);
	size_t n, rows = 0;

	(void)state;
	assert_int_equal(kv_dec_rows(buf_bytes(&b), got, 0, &n), 0);
	assert_int_equal(n, 0);
	kv_enc_row(&b, bytes_str("key"), bytes_of(filler, 8));
	assert_int_equal(b.n, 3 + 8 + KV_ROW_OVERHEAD);
	kv_enc_row(&b, bytes_str("gone"), bytes_of(NULL, 0));
	assert_int_equal(kv_dec_rows(buf_bytes(&b), got, 1, &n), -1);
	assert_int_equal(kv_dec_rows(buf_bytes(&b), got, 2, &n), 0);
	assert_int_equal(n, 2);
	assert_true(bytes_eq(got[0].key, bytes_str("key")));
	assert_true(bytes_eq(got[0].value, bytes_of(filler, 8)));
	assert_true(bytes_eq(got[1].key, bytes_str("gone")));
	assert_null(got[1].value.p);
	check_part(recode_rows, &b, 2, true);
	b.p[0] = 2;
	assert_int_equal(kv_dec_rows(buf_bytes(&b), got, 2, &n), -1);
	/* As many as fit a part, and no part is longer. */
	buf_reset(&b);
	while (!b.err) {
		kv_enc_row(&b, bytes_of(filler, KV_MAX_KEY),
		    bytes_of(filler, KV_MAX_VALUE));
		rows++;
	}
	assert_int_equal(rows - 1, KV_PART_MAX / KV_MIN_SCAN);
	buf_reset(&b);
	kv_enc_row(&b, bytes_str("k"), bytes_of(filler, KV_VER_BYTES - 1));
	assert_true(b.err);
	buf_free(&b);
}

static void
test_part_max(void **state)
{
	static uint8_t part[KV_PART_MAX + 1];
	static struct kv_row rows[KV_PART_MAX];
	size_t n, len = 0;

	(void)state;
	/* 15000 rows "not found, one byte" of 4 bytes: exactly the limit. */
	for (size_t i = 0; i < KV_PART_MAX; i += 4)
		memcpy(part + i, "\0\0\1k", 4);
	assert_int_equal(kv_dec_rows(bytes_of(part, KV_PART_MAX), rows,
	    KV_PART_MAX, &n), 0);
	assert_int_equal(n, KV_PART_MAX / 4);
	/* One byte more in the last key. */
	len = KV_PART_MAX + 1;
	part[KV_PART_MAX - 2] = 2;
	part[KV_PART_MAX] = 'k';
	assert_int_equal(kv_dec_rows(bytes_of(part, len), rows, KV_PART_MAX,
	    &n), -1);
	assert_int_equal(kv_dec_rows(bytes_of(part + 4, len - 4), rows,
	    KV_PART_MAX, &n), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ops),
		cmocka_unit_test(test_ops_limits),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_range),
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_part_max),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
