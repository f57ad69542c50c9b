/* Which heads are not those that were counted: storaged/locate.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include <openssl/bn.h>
#include <openssl/rand.h>

#include "../storaged/locate.h"

#define HEADS	40

static uint8_t x[HEADS][LOCATE_BYTES], e[HEADS][LOCATE_BYTES];

static void
make_heads(struct locate *l)
{
	memset(l, 0, sizeof(*l));
	assert_int_equal(RAND_bytes(x[0], sizeof(x)), 1);
	assert_int_equal(RAND_bytes(e[0], sizeof(e)), 1);
	for (int i = 0; i < HEADS; i++)
		locate_add(l, x[i], e[i]);
}

static void
modulus(void **state)
{
	BIGNUM *p = BN_new();

	(void)state;
	assert_true(BN_set_bit(p, 256) && BN_sub_word(p, 189));
	assert_int_equal(BN_check_prime(p, NULL, NULL), 1);
	BN_free(p);
}

static void
order_and_removal(void **state)
{
	struct locate a, b = { 0 }, zero = { 0 };

	(void)state;
	make_heads(&a);
	for (int i = HEADS; i-- > 0;)
		locate_add(&b, x[i], e[i]);
	assert_memory_equal(&a, &b, sizeof(a));
	for (int i = 0; i < HEADS; i++)
		locate_sub(&a, x[i], e[i]);
	assert_memory_equal(&a, &zero, sizeof(a));
}

/* Sums of the sum's own definition, for one head: e, x e, x x e ... */
static void
known_sums(void **state)
{
	uint8_t one[LOCATE_BYTES] = { 0 }, want[LOCATE_BYTES] = { 0 };
	uint8_t big[LOCATE_BYTES];
	struct locate l = { 0 };

	(void)state;
	one[LOCATE_BYTES - 1] = 3;
	locate_add(&l, one, one);
	want[LOCATE_BYTES - 1] = 3;
	assert_memory_equal(l.sum[0], want, sizeof(want));
	want[LOCATE_BYTES - 1] = 27;
	assert_memory_equal(l.sum[2], want, sizeof(want));
	/* p + 4 is 4. */
	memset(big, 0xff, sizeof(big));
	big[LOCATE_BYTES - 1] = 0xff - 189 + 1 + 4;
	memset(&l, 0, sizeof(l));
	locate_add(&l, one, big);
	want[LOCATE_BYTES - 1] = 4;
	assert_memory_equal(l.sum[0], want, sizeof(want));
	want[LOCATE_BYTES - 1] = 12;
	assert_memory_equal(l.sum[1], want, sizeof(want));
}

/* How many of the first n heads, whose right elements are e, were told. */
static int
told(const struct located *out, int found, int n)
{
	uint8_t got[LOCATE_BYTES];
	int hits = 0;

	for (int i = 0; i < n; i++)
		for (int k = 0; k < found; k++) {
			if (memcmp(out[k].x, x[i], LOCATE_BYTES) != 0)
				continue;
			memset(got, 0, sizeof(got));
			if (i % 3 == 1)
				memset(got, 0x5a, sizeof(got));
			locate_apply(got, &out[k]);
			assert_memory_equal(got, e[i], sizeof(got));
			hits++;
		}
	return hits;
}

/* Of n heads some are missing, some have another element, some are new. */
static void
as_many_as_can_be(void **state)
{
	struct located out[LOCATE_MAX];
	struct locate want, have;
	uint8_t other[LOCATE_BYTES];

	(void)state;
	memset(other, 0x5a, sizeof(other));
	for (int n = 0; n <= LOCATE_MAX; n++) {
		make_heads(&want);
		have = want;
		for (int i = 0; i < n; i++) {
			locate_sub(&have, x[i], e[i]);
			if (i % 3 == 1)
				locate_add(&have, x[i], other);
			if (i % 3 == 2) {
				/* Only there is it: H counts nothing. */
				locate_sub(&want, x[i], e[i]);
				locate_add(&have, x[i], other);
			}
		}
		assert_int_equal(locate_solve(out, &want, &have), n);
		for (int i = 0; i < n; i++)
			if (i % 3 == 2)
				for (int k = 0; k < n; k++) {
					uint8_t zero[LOCATE_BYTES] = { 0 };
					uint8_t got[LOCATE_BYTES];

					if (memcmp(out[k].x, x[i],
					    LOCATE_BYTES) != 0)
						continue;
					memcpy(got, other, sizeof(got));
					locate_apply(got, &out[k]);
					assert_memory_equal(got, zero,
					    sizeof(got));
					/* For told(): nothing was found. */
					memcpy(e[i], out[k].add, sizeof(e[i]));
				}
		assert_int_equal(told(out, n, n), n);
	}
}

/* More than that are said to be more; nobody is accused. */
static void
too_many(void **state)
{
	struct located out[LOCATE_MAX];
	struct locate want, have;

	(void)state;
	for (int n = LOCATE_MAX + 1; n <= HEADS; n += 7) {
		make_heads(&want);
		have = want;
		for (int i = 0; i < n; i++)
			locate_sub(&have, x[i], e[i]);
		assert_int_equal(locate_solve(out, &want, &have), -1);
	}
	/* What no heads can make. */
	make_heads(&want);
	have = want;
	have.sum[LOCATE_SUMS - 1][5] ^= 1;
	assert_int_equal(locate_solve(out, &want, &have), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(modulus),
		cmocka_unit_test(order_and_removal),
		cmocka_unit_test(known_sums),
		cmocka_unit_test(as_many_as_can_be),
		cmocka_unit_test(too_many),
	};

	return cmocka_run_group_tests_name("locate", tests, NULL, NULL);
}
