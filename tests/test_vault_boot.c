/* The vault does not start on what was tampered with or rolled back. */
#include "vault_rig.h"

static void
flip(struct rig *r, uint8_t kind, size_t nth)
{
	struct row *row;

	pthread_mutex_lock(&r->store->lock);
	assert_non_null(row = row_kind(r->store, kind, nth));
	row->value[row->value_n - 1] ^= 1;
	pthread_mutex_unlock(&r->store->lock);
}

/* Restart on what `change` made of the store: refused for this reason. */
static void
no_start(struct rig *r, const char *why)
{
	assert_int_equal(rig_start(r, false), -1);
	if (strstr(r->v->why, why) == NULL)
		fail_msg("refused otherwise: %s", r->v->why);
	rig_stop(r, false);
}

static void
no_start_when_tampered(void **state)
{
	static const uint8_t kinds[] = { 'C', 'U', 'K', 'k' };
	struct row *row, keep;
	uint8_t conv[16];
	struct rig r;

	(void)state;
	two_users(&r, conv);
	rig_stop(&r, true);
	for (size_t i = 0; i < sizeof(kinds); i++) {
		flip(&r, kinds[i], 0);
		no_start(&r, "records do not verify, the first is ");
		flip(&r, kinds[i], 0);
		row = row_kind(r.store, kinds[i], 0);
		keep = *row;
		keep.value = malloc(keep.value_n);
		memcpy(keep.value, row->value, keep.value_n);
		row_del(r.store, bytes_of(keep.key, keep.key_n));
		no_start(&r, "do not add up to record H");
		row_put(r.store, bytes_of(keep.key, keep.key_n),
		    bytes_of(keep.value, keep.value_n));
		free(keep.value);
	}
	flip(&r, 'H', 0);
	no_start(&r, "record H does not verify");
	flip(&r, 'H', 0);
	flip(&r, 'R', 0);
	no_start(&r, "record R does not verify");
	flip(&r, 'R', 0);
	assert_int_equal(rig_start(&r, false), 0);
	rig_stop(&r, true);
	store_clear(r.store);
	no_start(&r, "no record R");
	rig_free(&r);
}

/* An older state of the whole database, and another future of it. */
static void
no_start_when_rolled_back(void **state)
{
	struct store *old, *new;
	uint8_t conv[16], was[SLOT_FILE_BYTES];
	struct pair p;
	struct rig r;

	(void)state;
	two_users(&r, conv);
	anchor_sync(r.v);
	assert_int_equal(pread(r.anchor, was, sizeof(was), 0), sizeof(was));
	old = store_copy(r.store);
	login(&r, &p, &alice, "alice");
	(void)put_text(&r, &p, conv, 1, "newer");
	pair_close(&p);
	rig_stop(&r, true);
	new = r.store;
	r.store = old;
	no_start(&r, "it was rolled back");
	assert_non_null(strstr(logged, "storage.tamper||the database is at"));
	/* Behind the database the anchor may be: a crash before its write. */
	r.store = new;
	assert_int_equal(pwrite(r.anchor, was, sizeof(was), 0), sizeof(was));
	assert_int_equal(rig_start(&r, false), 0);
	rig_stop(&r, true);
	/* As many commits, but not the same. */
	assert_int_equal(pwrite(r.anchor, was, sizeof(was), 0), sizeof(was));
	r.store = old;
	assert_int_equal(rig_start(&r, false), 0);
	login(&r, &p, &alice, "alice");
	(void)put_text(&r, &p, conv, 1, "otherwise");
	pair_close(&p);
	rig_stop(&r, true);
	r.store = new;
	no_start(&r, "is not the one that the anchor saw");
	store_free(old);
	rig_free(&r);
}

static void
no_start_with_other_keys(void **state)
{
	uint8_t slots[SLOT_FILE_BYTES];
	uint8_t conv[16];
	struct rig r, other;
	EVP_PKEY *right = keyd_wrap;
	int fd;

	(void)state;
	rig_new(&other);
	rig_stop(&other, true);
	two_users(&r, conv);
	rig_stop(&r, true);
	keyd_wrap = alice.wrap;
	no_start(&r, "the storage key is wrong");
	keyd_wrap = right;
	fd = r.keyfile;
	r.keyfile = other.keyfile;
	no_start(&r, "the storage key is wrong");
	r.keyfile = fd;
	fd = r.anchor;
	r.anchor = other.anchor;
	no_start(&r, "the storage key is wrong");
	r.anchor = fd;
	memset(slots, 0, sizeof(slots));
	assert_int_equal(pread(r.anchor, slots, sizeof(slots), 0),
	    sizeof(slots));
	slots[40] ^= 1;
	slots[SLOT_BYTES + 40] ^= 1;
	assert_int_equal(pwrite(r.anchor, slots, sizeof(slots), 0),
	    sizeof(slots));
	no_start(&r, "the anchor cannot be read or is damaged");
	rig_free(&r);
	rig_free(&other);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_start_when_tampered),
		cmocka_unit_test(no_start_when_rolled_back),
		cmocka_unit_test(no_start_with_other_keys),
	};

	return cmocka_run_group_tests_name("vault_boot", tests, keys, keys_free);
}
