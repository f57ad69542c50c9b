/* What the store does with what it is asked. */
#include "kv_fixture.h"

static void
test_preconditions(void **state)
{
	struct kv *kv;

	(void)state;
	kv = fresh();
	assert_int_equal(one(kv, KV_PUT, KV_VER, 0, "k", 1), KV_CONFLICT);
	assert_int_equal(one(kv, KV_CHECK, KV_ABSENT, 0, "k", 0), KV_OK);
	assert_int_equal(version(kv, "k"), GONE);
	assert_int_equal(one(kv, KV_PUT, KV_ABSENT, 0, "k", 1), KV_OK);
	assert_int_equal(one(kv, KV_PUT, KV_ABSENT, 0, "k", 9), KV_CONFLICT);
	assert_int_equal(version(kv, "k"), 1);
	assert_int_equal(one(kv, KV_PUT, KV_VER, 1, "k", 0x0102030405060708),
	    KV_OK);
	assert_int_equal(one(kv, KV_PUT, KV_VER, 1, "k", 3), KV_CONFLICT);
	assert_int_equal(one(kv, KV_CHECK, KV_VER, 0x0102030405060708, "k", 0),
	    KV_OK);
	assert_int_equal(one(kv, KV_CHECK, KV_VER, 0x0807060504030201, "k", 0),
	    KV_CONFLICT);
	assert_int_equal(one(kv, KV_CHECK, KV_ABSENT, 0, "k", 0), KV_CONFLICT);
	assert_int_equal(one(kv, KV_DEL, KV_VER, 2, "k", 0), KV_CONFLICT);
	assert_int_equal(version(kv, "k"), 0x0102030405060708);
	assert_int_equal(one(kv, KV_DEL, KV_VER, 0x0102030405060708, "k", 0),
	    KV_OK);
	assert_int_equal(version(kv, "k"), GONE);
	assert_int_equal(one(kv, KV_DEL, KV_ANY, 0, "k", 0), KV_OK);
	assert_int_equal(one(kv, KV_CHECK, KV_ANY, 0, "k", 0), KV_OK);
	assert_int_equal(kv_close(kv), KV_OK);
}

static void
test_atomic(void **state)
{
	struct kv_op ops[4];
	struct kv *kv;

	(void)state;
	kv = fresh();
	assert_int_equal(put(kv, "old", 1), KV_OK);
	ops[0] = op(KV_PUT, KV_ANY, 0, "old", val(2, 'x', 20));
	ops[1] = op(KV_DEL, KV_VER, 2, "old", val(0, 'x', 20));
	ops[2] = op(KV_PUT, KV_ABSENT, 0, "new", val(3, 'x', 20));
	ops[3] = op(KV_CHECK, KV_VER, 1, "new", val(0, 'x', 20));
	assert_int_equal(kv_write(kv, ops, 4), KV_CONFLICT);
	assert_int_equal(version(kv, "old"), 1);
	assert_int_equal(version(kv, "new"), GONE);
	assert_int_equal(kv_seq(kv), 1);
	/* The same without the check that fails: each sees those before. */
	assert_int_equal(kv_write(kv, ops, 3), KV_OK);
	assert_int_equal(version(kv, "old"), GONE);
	assert_int_equal(version(kv, "new"), 3);
	kv = reopen(kv);
	assert_int_equal(version(kv, "old"), GONE);
	assert_int_equal(version(kv, "new"), 3);
	assert_int_equal(kv_close(kv), KV_OK);
}

static void
test_invalid(void **state)
{
	struct kv_op bad[6], good = op(KV_PUT, KV_ANY, 0, "k",
	    val(7, 'v', KV_MAX_VALUE));
	struct bytes k = { NULL, 0 };
	struct kv_range range = { k, k, false, 0, KV_MIN_SCAN };
	struct rows r = { .stop = 0 };
	struct kv *kv;
	bool more;

	(void)state;
	kv = fresh();
	for (size_t i = 0; i < 6; i++)
		bad[i] = good;
	bad[0].op = KV_CHECK + 1;
	bad[1].pre = KV_VER + 1;
	bad[2].key.n = 0;
	bad[3].key.n = KV_MAX_KEY + 1;
	bad[4].value.n = KV_VER_BYTES - 1;
	bad[5].value.n = KV_MAX_VALUE + 1;
	for (size_t i = 0; i < 6; i++)
		assert_int_equal(kv_write(kv, &bad[i], 1), KV_INVALID);
	bad[0] = good;
	assert_int_equal(kv_write(kv, bad, 2), KV_INVALID);
	assert_int_equal(kv_get(kv, &k, 1, collect, &r), KV_INVALID);
	assert_int_equal(kv_scan(kv, &range, collect, &r, &more), KV_INVALID);
	range.max_items = 1;
	range.max_bytes--;
	assert_int_equal(kv_scan(kv, &range, collect, &r, &more), KV_INVALID);
	range.max_bytes++;
	range.lo = val(0, 'x', KV_MAX_BOUND + 1);
	assert_int_equal(kv_scan(kv, &range, collect, &r, &more), KV_INVALID);
	range.lo.n--;
	assert_int_equal(kv_scan(kv, &range, collect, &r, &more), KV_OK);
	assert_int_equal(kv_maint(kv, (enum kv_task)1), KV_INVALID);
	assert_int_equal(kv_seq(kv), 0);
	assert_false(scan(kv, &r, "", "", false, 1, KV_MIN_SCAN));
	assert_int_equal(r.n, 0);
	assert_int_equal(kv_close(kv), KV_OK);
}

/* The largest batch of the largest rows, then again over a full tree. */
static void
test_largest(void **state)
{
	static struct kv_op many[KV_MAX_OPS + 1];
	static uint8_t keys[KV_MAX_OPS + 1][KV_MAX_KEY];
	struct rows r = { .stop = 0 };
	struct kv *kv;

	(void)state;
	kv = fresh();
	for (size_t i = 0; i <= KV_MAX_OPS; i++) {
		memset(keys[i], 'k', KV_MAX_KEY);
		put_be32(keys[i], (uint32_t)i * 0x9e3779b1U);
		many[i] = (struct kv_op){ .op = KV_PUT, .pre = KV_ABSENT,
		    .ver = 7, .key = bytes_of(keys[i], KV_MAX_KEY),
		    .value = val(7, 'v', KV_MAX_VALUE) };
	}
	assert_int_equal(kv_write(kv, many, KV_MAX_OPS + 1), KV_INVALID);
	assert_int_equal(kv_write(kv, many, KV_MAX_OPS), KV_OK);
	assert_int_equal(kv_write(kv, many, KV_MAX_OPS), KV_CONFLICT);
	for (size_t i = 0; i < KV_MAX_OPS; i++)
		many[i].pre = KV_VER;
	assert_int_equal(kv_write(kv, many, KV_MAX_OPS), KV_OK);
	assert_int_equal(kv_write(kv, NULL, 0), KV_OK);
	assert_int_equal(kv_seq(kv), 2);
	kv = reopen(kv);
	assert_false(scan(kv, &r, "", "", false, KV_MAX_OPS, UINT32_MAX));
	assert_int_equal(r.n, KV_MAX_OPS);
	assert_int_equal(r.bytes, (size_t)KV_MAX_OPS * KV_MIN_SCAN);
	assert_true(scan(kv, &r, "", "", true, 9, KV_MIN_SCAN));
	assert_int_equal(r.n, 1);
	assert_true(scan(kv, &r, "", "", true, 9, 2 * KV_MIN_SCAN - 1));
	assert_int_equal(r.n, 1);
	assert_true(scan(kv, &r, "", "", false, 9, 2 * KV_MIN_SCAN));
	assert_int_equal(r.n, 2);
	assert_int_equal(kv_close(kv), KV_OK);
}

static void
test_scan(void **state)
{
	static const char *const keys[] = { "c", "a", "b1", "\xff", "b", "b0",
	    "b00", "\xff\xff" };
	struct rows r = { .stop = 0 };
	struct kv *kv;

	(void)state;
	kv = fresh();
	assert_false(scan(kv, &r, "", "", true, 1, KV_MIN_SCAN));
	assert_int_equal(r.n, 0);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		assert_int_equal(put(kv, keys[i], i), KV_OK);
	assert_false(scan(kv, &r, "", "", false, 8, 99999));
	assert_string_equal(r.text, "a b b0 b00 b1 c \xff \xff\xff ");
	assert_false(scan(kv, &r, "", "", true, 8, 99999));
	assert_string_equal(r.text, "\xff\xff \xff c b1 b00 b0 b a ");
	/* lo is inside, hi is not, whether or not they are keys. */
	assert_false(scan(kv, &r, "b", "b1", false, 9, 99999));
	assert_string_equal(r.text, "b b0 b00 ");
	assert_false(scan(kv, &r, "b", "b1", true, 9, 99999));
	assert_string_equal(r.text, "b00 b0 b ");
	assert_false(scan(kv, &r, "aa", "b01", false, 9, 99999));
	assert_string_equal(r.text, "b b0 b00 ");
	assert_false(scan(kv, &r, "aa", "b01", true, 9, 99999));
	assert_string_equal(r.text, "b00 b0 b ");
	assert_false(scan(kv, &r, "c", "\xff\xff\xff", true, 9, 99999));
	assert_string_equal(r.text, "\xff\xff \xff c ");
	assert_false(scan(kv, &r, "c", "b", false, 9, 99999));
	assert_false(scan(kv, &r, "b", "b", true, 9, 99999));
	assert_int_equal(r.n, 0);
	/* Pages: as the header says to go on. */
	assert_true(scan(kv, &r, "b", "c", false, 3, 99999));
	assert_string_equal(r.text, "b b0 b00 ");
	assert_false(scan(kv, &r, "b000", "c", false, 1, 99999));
	assert_string_equal(r.text, "b1 ");
	assert_true(scan(kv, &r, "b", "c", true, 2, 99999));
	assert_string_equal(r.text, "b1 b00 ");
	assert_false(scan(kv, &r, "b", "b00", true, 2, 99999));
	assert_string_equal(r.text, "b0 b ");
	/* The receiver ends it. */
	r.stop = 3;
	assert_true(scan(kv, &r, "", "", false, 9, 99999));
	assert_string_equal(r.text, "a b ");
	assert_int_equal(kv_close(kv), KV_OK);
}

static void
test_get(void **state)
{
	struct bytes keys[3] = { bytes_str("b"), bytes_str("x"),
	    bytes_str("a") };
	struct rows r = { .stop = 0 };
	struct kv *kv;

	(void)state;
	kv = fresh();
	assert_int_equal(put(kv, "a", 1), KV_OK);
	assert_int_equal(put(kv, "b", 1), KV_OK);
	assert_int_equal(kv_get(kv, keys, 3, collect, &r), KV_OK);
	assert_string_equal(r.text, "b x- a ");
	assert_int_equal(r.bytes, 3 + 2 * 20 + 3 * KV_ROW_OVERHEAD);
	r = (struct rows){ .stop = 2 };
	assert_int_equal(kv_get(kv, keys, 3, collect, &r), KV_OK);
	assert_string_equal(r.text, "b ");
	assert_int_equal(kv_close(kv), KV_OK);
}

static void
test_seq(void **state)
{
	struct kv *kv;

	(void)state;
	kv = fresh();
	assert_int_equal(kv_seq(kv), 0);
	assert_int_equal(kv_flush(kv), KV_OK);
	assert_int_equal(put(kv, "a", 1), KV_OK);
	assert_int_equal(put(kv, "a", 2), KV_OK);
	assert_int_equal(one(kv, KV_CHECK, KV_VER, 2, "a", 0), KV_OK);
	assert_int_equal(one(kv, KV_PUT, KV_ABSENT, 0, "a", 0), KV_CONFLICT);
	assert_int_equal(kv_seq(kv), 2);
	assert_int_equal(kv_flushed_seq(kv), 0);
	assert_int_equal(kv_flush(kv), KV_OK);
	assert_int_equal(kv_flushed_seq(kv), 2);
	assert_int_equal(put(kv, "a", 3), KV_OK);
	assert_int_equal(kv_maint(kv, KV_CHECKPOINT), KV_OK);
	assert_int_equal(kv_flushed_seq(kv), 3);
	kv = reopen(kv);
	assert_int_equal(kv_seq(kv), 0);
	assert_int_equal(version(kv, "a"), 3);
	assert_int_equal(kv_close(kv), KV_OK);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_preconditions),
		T(test_atomic),
		T(test_invalid),
		T(test_largest),
		T(test_scan),
		T(test_get),
		T(test_seq),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
