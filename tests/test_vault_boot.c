/*
 * What the vault makes of a store that somebody changed while it was stopped:
 * single conversations are refused, or the start.
 */
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
	static const uint8_t kinds[] = { 'U', 'K', 'k' };
	struct row *row, keep;
	uint8_t conv[16];
	struct rig r;

	(void)state;
	two_users(&r, conv);
	rig_stop(&r, true);
	for (size_t i = 0; i < sizeof(kinds); i++) {
		flip(&r, kinds[i], 0);
		no_start(&r, "1 that do not verify, the first is a record of");
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

/* ---- heads: only their conversations are refused ------------------------------ */

#define CONVS	12

/* Alice has CONVS conversations more, of one question each. */
static void
many(struct rig *r, uint8_t conv[CONVS][16])
{
	uint8_t first[16];
	struct pair p;

	two_users(r, first);
	login(r, &p, &alice, "alice");
	for (int i = 0; i < CONVS; i++) {
		memset(conv[i], 0, 16);
		(void)put_text(r, &p, conv[i], 1, "question");
	}
	pair_close(&p);
	rig_stop(r, true);
}

/* Remove the rows of these kinds that belong to a conversation. */
static void
drop(struct store *s, const char *kinds, const uint8_t conv[16])
{
	for (size_t i = 0; i < s->n;)
		if (strchr(kinds, s->row[i].key[0]) != NULL &&
		    memmem(s->row[i].key, s->row[i].key_n, conv, 16) != NULL)
			row_del(s, bytes_of(s->row[i].key, s->row[i].key_n));
		else
			i++;
}

/* Put them back as they are in another store. */
static void
put_back(struct store *s, const struct store *from, const char *kinds,
    const uint8_t conv[16])
{
	drop(s, kinds, conv);
	for (size_t i = 0; i < from->n; i++) {
		const struct row *r = &from->row[i];

		if (strchr(kinds, r->key[0]) != NULL &&
		    memmem(r->key, r->key_n, conv, 16) != NULL)
			row_put(s, bytes_of(r->key, r->key_n),
			    bytes_of(r->value, r->value_n));
	}
}

/* The first `refused' of them are, one more request answers; others go on. */
static void
only_these(struct rig *r, uint8_t conv[CONVS][16], int refused)
{
	struct m_sv_list l = { .req = 4 };
	struct m_sv_rename n = { .req = 9, .title = bytes_str("name") };
	char hex[33];
	struct pair p;
	struct msg m;

	logged[0] = '\0';
	assert_int_equal(rig_start(r, false), 0);
	assert_int_equal(r->v->nrefused, refused);
	for (int i = 0; i < CONVS; i++) {
		hex_encode(hex, conv[i], 16);
		assert_int_equal(strstr(logged, hex) != NULL, i < refused);
	}
	login(r, &p, &alice, "alice");
	for (int i = 0; i < CONVS; i++) {
		read_send(&p, 3, conv[i], 1, 1);
		if (i >= refused) {
			expect_text(r, &p, 1, 1, bytes_str("question"));
			expect(r, p.sess, MSG_vs_done, &m);
			(void)put_text(r, &p, conv[i], 2, "answer");
			continue;
		}
		expect_error(r, &p, 3, ERR_STORAGE);
		put_send(&p, 2, conv[i], 1, bytes_str("more"));
		expect_error(r, &p, 2, ERR_STORAGE);
		memcpy(n.conv, conv[i], 16);
		assert_int_equal(chan_send(p.sess, MSG_sv_rename, &n, -1), 0);
		expect_error(r, &p, 9, ERR_STORAGE);
	}
	assert_int_equal(chan_send(p.sess, MSG_sv_list, &l, -1), 0);
	for (int i = CONVS; i-- > refused;)
		expect_conv(r, &p, conv[i], false);
	expect(r, p.sess, MSG_vs_conv, &m);	/* the one of two_users() */
	for (int i = 0; i < refused; i++) {
		expect(r, p.sess, MSG_vs_conv, &m);
		assert_true(bytes_eq(m.u.vs_conv.title,
		    bytes_str(REFUSED_TITLE)));
	}
	expect(r, p.sess, MSG_vs_done, &m);
	pair_close(&p);
	rig_stop(r, true);
}

enum way { FLIP, MOVE, DROP, DROP_ALL, OLD_HEAD, OLD_ALL, WAYS };

static void
change(struct rig *r, const struct store *old, const uint8_t conv[16],
    enum way way)
{
	struct row *row = NULL;
	uint8_t key[33], value[256];
	size_t n;

	for (size_t i = 0; i < r->store->n; i++)
		if (r->store->row[i].key[0] == 'C' &&
		    memcmp(r->store->row[i].key + 17, conv, 16) == 0)
			row = &r->store->row[i];
	assert_true(row != NULL && row->key_n == sizeof(key) &&
	    row->value_n <= sizeof(value));
	switch (way) {
	case FLIP:
		row->value[30] ^= 4;
		break;
	case MOVE:		/* to another user */
		memcpy(key, row->key, sizeof(key));
		memcpy(value, row->value, n = row->value_n);
		drop(r->store, "C", conv);
		key[1] ^= 0x80;
		row_put(r->store, bytes_of(key, sizeof(key)),
		    bytes_of(value, n));
		break;
	case DROP:
		drop(r->store, "C", conv);
		break;
	case DROP_ALL:
		drop(r->store, "CLDM", conv);
		break;
	case OLD_HEAD:
		put_back(r->store, old, "C", conv);
		break;
	default:
		put_back(r->store, old, "CLDM", conv);
		break;
	}
}

static void
heads_changed(void **state)
{
	static const int counts[] = { 1, 3, LOCATE_MAX };
	uint8_t conv[CONVS][16];
	struct store *old, *keep;
	struct rig r;

	(void)state;
	many(&r, conv);
	old = store_copy(r.store);
	only_these(&r, conv, 0);
	for (int way = 0; way < WAYS; way++)
		for (size_t c = 0; c < 3; c++) {
			keep = store_copy(r.store);
			for (int i = 0; i < counts[c]; i++)
				change(&r, old, conv[i], way);
			/* Also at the start after that. */
			only_these(&r, conv, counts[c]);
			only_these(&r, conv, counts[c]);
			/* Who puts back what was there has all back. */
			for (int i = 0; i < counts[c]; i++) {
				uint8_t other[32];

				memcpy(other, conv[i], 16);
				drop(r.store, "C", other);
				put_back(r.store, keep, "CLDM", conv[i]);
			}
			only_these(&r, conv, 0);
			store_free(keep);
		}
	/* One of each, at once. */
	for (int way = 0; way < WAYS; way++)
		change(&r, old, conv[way], way);
	only_these(&r, conv, WAYS);
	store_free(old);
	rig_free(&r);
}

/* More than can be told apart; accounts besides; a record H of old. */
static void
heads_and_more(void **state)
{
	uint8_t conv[CONVS][16];
	struct store *keep;
	struct pair p;
	struct rig r;

	(void)state;
	many(&r, conv);
	keep = store_copy(r.store);
	for (int i = 0; i <= LOCATE_MAX; i++)
		drop(r.store, "C", conv[i]);
	no_start(&r, "more than 8 conversations");
	put_back(r.store, keep, "C", conv[LOCATE_MAX]);
	only_these(&r, conv, LOCATE_MAX);
	for (int i = 0; i < LOCATE_MAX; i++)
		put_back(r.store, keep, "C", conv[i]);
	only_these(&r, conv, 0);
	store_free(keep);
	/* Who may come in is for all. */
	keep = store_copy(r.store);
	drop(r.store, "C", conv[0]);
	flip(&r, 'K', 1);
	no_start(&r, "1 that do not verify");
	flip(&r, 'K', 1);
	only_these(&r, conv, 1);
	put_back(r.store, keep, "C", conv[0]);
	store_free(keep);
	/* A record that counts for nothing is named, and that is all. */
	row_put(r.store, bytes_str("Uno user at all"), bytes_str("nothing at all"
	    " that anybody has sealed"));
	only_these(&r, conv, 0);
	assert_non_null(strstr(logged, "a record of kind U does not verify"));
	/* H of a vault that did not know better; it learns with a commit. */
	assert_int_equal(rig_start(&r, false), 0);
	r.v->h.located = false;
	login(&r, &p, &alice, "alice");
	(void)put_text(&r, &p, conv[3], 2, "answer");
	pair_close(&p);
	rig_stop(&r, true);
	keep = store_copy(r.store);
	drop(r.store, "C", conv[0]);
	no_start(&r, "do not add up to record H");
	put_back(r.store, keep, "C", conv[0]);
	store_free(keep);
	assert_int_equal(rig_start(&r, false), 0);
	login(&r, &p, &alice, "alice");
	for (int i = 0; i < CONVS; i++)
		(void)put_text(&r, &p, conv[i], 2, "answer");
	pair_close(&p);
	rig_stop(&r, true);
	drop(r.store, "C", conv[0]);
	only_these(&r, conv, 1);
	rig_free(&r);
}

/* Deleted ones that are put back; one that is refused can be deleted. */
static void
heads_and_deletions(void **state)
{
	struct m_sv_delete d = { .req = 7 };
	struct m_sv_list l = { .req = 4 };
	uint8_t conv[CONVS][16];
	struct store *old;
	struct pair p;
	struct rig r;
	struct msg m;

	(void)state;
	many(&r, conv);
	old = store_copy(r.store);
	for (int i = 0; i < 2; i++) {
		/* The second time it is refused by then. */
		if (i == 1) {
			change(&r, old, conv[1], OLD_ALL);
			change(&r, old, conv[2], DROP);
			assert_int_equal(rig_start(&r, false), 0);
			assert_int_equal(r.v->nrefused, 2);
		} else
			assert_int_equal(rig_start(&r, false), 0);
		login(&r, &p, &alice, "alice");
		memcpy(d.conv, conv[i], 16);
		assert_int_equal(chan_send(p.sess, MSG_sv_delete, &d, -1), 0);
		expect(&r, p.sess, MSG_vs_deleted, &m);
		/* Its next version, to be exchanged for this one. */
		if (i == 0)
			(void)put_text(&r, &p, conv[1], 2, "newer");
		pair_close(&p);
		rig_stop(&r, true);
	}
	logged[0] = '\0';
	assert_int_equal(rig_start(&r, false), 0);
	assert_int_equal(r.v->nrefused, 1);
	login(&r, &p, &alice, "alice");
	assert_int_equal(chan_send(p.sess, MSG_sv_list, &l, -1), 0);
	for (int i = CONVS; i-- > 3;)
		expect_conv(&r, &p, conv[i], false);
	expect(&r, p.sess, MSG_vs_conv, &m);
	expect_conv(&r, &p, conv[2], true);
	expect(&r, p.sess, MSG_vs_done, &m);
	pair_close(&p);
	rig_stop(&r, true);
	put_back(r.store, old, "CLD", conv[0]);
	put_back(r.store, old, "M", conv[0]);
	assert_int_equal(rig_start(&r, false), 0);
	assert_int_equal(r.v->nrefused, 1);
	assert_non_null(strstr(logged, "there is no such conversation"));
	login(&r, &p, &alice, "alice");
	read_send(&p, 3, conv[0], 1, 1);
	expect_error(&r, &p, 3, ERR_NO_CONV);
	assert_int_equal(chan_send(p.sess, MSG_sv_list, &l, -1), 0);
	for (int i = CONVS; i-- > 3;)
		expect_conv(&r, &p, conv[i], false);
	expect(&r, p.sess, MSG_vs_conv, &m);
	expect_conv(&r, &p, conv[2], true);
	expect(&r, p.sess, MSG_vs_done, &m);
	assert_non_null(strstr(logged, "in the list that does not exist"));
	pair_close(&p);
	rig_stop(&r, true);
	store_free(old);
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

/* It is accepted, served, and what was given up is not taken back. */
static void
rollback_accepted(void **state)
{
	struct store *old, *given_up;
	uint8_t conv[16];
	struct pair p;
	struct rig r;

	(void)state;
	two_users(&r, conv);
	rig_stop(&r, true);
	old = store_copy(r.store);
	accept_rollback = true;
	no_start(&r, "there is nothing to accept");
	accept_rollback = false;
	assert_int_equal(rig_start(&r, false), 0);
	login(&r, &p, &alice, "alice");
	for (int i = 0; i < 5; i++)
		(void)put_text(&r, &p, conv, 1, "given up");
	pair_close(&p);
	rig_stop(&r, true);
	given_up = r.store;
	r.store = old;
	no_start(&r, "it was rolled back; restore the newest backup, or");
	accept_rollback = true;
	logged[0] = '\0';
	assert_int_equal(rig_start(&r, false), 0);
	accept_rollback = false;
	assert_non_null(strstr(logged, "storage.tamper||the database is at"));
	assert_non_null(strstr(logged, "storage.rollback||commit="));
	rig_stop(&r, false);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(rig_start(&r, false), 0);
		login(&r, &p, &alice, "alice");
		read_send(&p, 3, conv, 2, 1);
		expect_text(&r, &p, 2, 2, bytes_str("answer"));
		if (i == 0) {
			struct msg m;

			expect(&r, p.sess, MSG_vs_done, &m);
			assert_int_equal(put_text(&r, &p, conv, 1, "new"), 3);
		}
		pair_close(&p);
		rig_stop(&r, true);
	}
	r.store = given_up;
	no_start(&r, "it was rolled back");
	r.store = old;
	flip(&r, 'U', 0);
	accept_rollback = true;
	no_start(&r, "1 that do not verify");
	accept_rollback = false;
	store_free(given_up);
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
		cmocka_unit_test(heads_changed),
		cmocka_unit_test(heads_and_more),
		cmocka_unit_test(heads_and_deletions),
		cmocka_unit_test(no_start_when_rolled_back),
		cmocka_unit_test(rollback_accepted),
		cmocka_unit_test(no_start_with_other_keys),
	};

	return cmocka_run_group_tests_name("vault_boot", tests, keys, keys_free);
}
