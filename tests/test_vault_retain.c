/* Old conversations go by themselves; a user stores no more than may be. */
#include "vault_rig.h"

#define DAY_US	((uint64_t)86400 * 1000000)

/* Until nothing is left to be done, and so many conversations are there. */
static void
wait_convs(struct rig *r, size_t n)
{
	for (int i = 0; i < WAIT_TRIES && r->v->nconvs != n; i++)
		pump(r);
	assert_int_equal(r->v->nconvs, n);
}

static void
limit(struct rig *r, const char *user, enum limit l, uint64_t value)
{
	struct user *u = user_by_name(r->v, user);

	assert_non_null(u);
	u->limit[l] = value;
}

static void
old_ones_go(void **state)
{
	uint8_t conv[2][16] = { { 0 } }, other[16] = { 0 };
	struct pair p, q;
	struct rig r;

	(void)state;
	rig_new(&r);
	user_new(&r, "alice", &alice);
	user_new(&r, "bob", &bob);
	login(&r, &p, &alice, "alice");
	login(&r, &q, &bob, "bob");
	(void)put_text(&r, &p, conv[0], 1, "old");
	(void)put_text(&r, &p, conv[1], 1, "old too");
	(void)put_text(&r, &q, other, 1, "bob's");
	retain_watch(r.v);
	/* For ever, unless something else is said. */
	retain_now(r.v, wall_us() + 4000 * DAY_US);
	for (int i = 0; i < 20; i++)
		pump(&r);
	assert_int_equal(r.v->nconvs, 3);
	r.v->retention_days = 10;
	retain_now(r.v, wall_us() + 9 * DAY_US);
	for (int i = 0; i < 20; i++)
		pump(&r);
	assert_int_equal(r.v->nconvs, 3);
	/* bob's are kept longer. */
	limit(&r, "bob", LIMIT_RETENTION, 100);
	retain_now(r.v, wall_us() + 11 * DAY_US);
	wait_convs(&r, 1);
	for (int i = 0; i < WAIT_TRIES &&
	    strstr(logged, "history.expire||conversations=2") == NULL; i++)
		pump(&r);
	assert_non_null(strstr(logged, "history.expire||conversations=2"));
	assert_non_null(strstr(logged, "history.delete|alice|"));
	assert_null(strstr(logged, "history.delete|bob|"));
	read_send(&p, 7, conv[0], 1, 0);
	expect_error(&r, &p, 7, ERR_NO_CONV);
	read_send(&q, 8, other, 1, 0);
	expect_text(&r, &q, 1, 1, bytes_str("bob's"));
	assert_int_equal(user_by_name(r.v, "alice")->nmessages, 0);
	pair_close(&p);
	pair_close(&q);
	rig_stop(&r, true);
	rig_free(&r);
}

static void
refused(struct rig *r, struct pair *p, const uint8_t conv[16], uint8_t kind)
{
	put_send(p, 30, conv, kind, bytes_str("one too many"));
	expect_error(r, p, 30, ERR_LIMIT);
}

static void
quotas(void **state)
{
	uint8_t conv[3][16] = { { 0 } };
	struct pair p;
	struct rig r;

	(void)state;
	rig_new(&r);
	user_new(&r, "alice", &alice);
	login(&r, &p, &alice, "alice");
	r.v->max_conversations = 2;
	(void)put_text(&r, &p, conv[0], 1, "one");
	(void)put_text(&r, &p, conv[1], 1, "two");
	refused(&r, &p, conv[2], 1);
	(void)put_text(&r, &p, conv[1], 1, "in one that there is");
	limit(&r, "alice", LIMIT_CONVERSATIONS, 3);
	(void)put_text(&r, &p, conv[2], 1, "hers are more");
	assert_int_equal(user_by_name(r.v, "alice")->nmessages, 4);
	r.v->max_messages = 4;
	refused(&r, &p, conv[0], 1);
	/* The answer to what was stored is not. */
	(void)put_text(&r, &p, conv[0], 2, "an answer");
	assert_int_equal(user_by_name(r.v, "alice")->nmessages, 5);
	/* Counted again at a start. */
	pair_close(&p);
	rig_stop(&r, true);
	assert_int_equal(rig_start(&r, false), 0);
	assert_int_equal(user_by_name(r.v, "alice")->nmessages, 5);
	rig_stop(&r, true);
	rig_free(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(old_ones_go),
		cmocka_unit_test(quotas),
	};

	return cmocka_run_group_tests(tests, keys, keys_free);
}
