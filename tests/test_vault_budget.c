/*
 * What users may ask: counted from what the llmproxy says, in the store, and
 * refused with the time when it ends.
 */
#include "vault_rig.h"

#include <inttypes.h>

static uint64_t ask_id;

/* What the vault says to a request: its code; text and hint in said. */
static char said[1024];

static unsigned
may(struct rig *r, uint64_t n, const char *model)
{
	struct m_lv_ask q = { .id = ++ask_id, .n = n,
	    .model = bytes_str(model) };
	struct msg m;

	assert_int_equal(chan_send(r->llm, MSG_lv_ask, &q, -1), 0);
	expect(r, r->llm, MSG_vl_may, &m);
	assert_true(m.u.vl_may.id == ask_id);
	(void)snprintf(said, sizeof(said), "%.*s: %.*s",
	    (int)m.u.vl_may.text.n, (const char *)m.u.vl_may.text.p,
	    (int)m.u.vl_may.hint.n, (const char *)m.u.vl_may.hint.p);
	return m.u.vl_may.code;
}

static bool
is_asked(struct rig *r, uint64_t id)
{
	const struct llm_ask *a;

	LIST_FOREACH(a, &r->v->asked[0], link)
		if (a->id == id)
			return true;
	return false;
}

static void
report(struct rig *r, uint64_t id, uint64_t n, uint32_t tokens)
{
	struct m_lv_usage u = { .id = id, .n = n, .finish = 1,
	    .prompt_tokens = tokens / 2, .completion_tokens = tokens -
	    tokens / 2, .model = bytes_str("any") };

	assert_int_equal(chan_send(r->llm, MSG_lv_usage, &u, -1), 0);
	for (int i = 0; i < WAIT_TRIES && is_asked(r, id); i++)
		pump(r);
}

/* A request that comes to so many tokens, durably. */
static void
use(struct rig *r, uint64_t n, const char *model, uint32_t tokens)
{
	assert_int_equal(may(r, n, model), 0);
	report(r, ask_id, n, tokens);
	for (int i = 0; i < WAIT_TRIES && !commit_idle(r->v); i++)
		pump(r);
}

static void
restart(struct rig *r, struct pair *p)
{
	struct msg m;

	pair_close(p);
	for (int i = 0; i < WAIT_TRIES && r->v->nlive > 0; i++)
		pump(r);
	expect(r, r->llm, MSG_vl_revoke, &m);
	rig_stop(r, true);
	assert_int_equal(rig_start(r, false), 0);
	login(r, p, &alice, "alice");
}

static void
begin(struct rig *r, struct pair *p)
{
	rig_new(r);
	user_new(r, "alice", &alice);
	login(r, p, &alice, "alice");
	open_model(r, p, "small", 0);
	open_model(r, p, "big", 0);
}

static size_t
tallies(struct rig *r)
{
	size_t n = 0;

	while (row_kind(r->store, REC_TALLY, n) != NULL)
		n++;
	return n;
}

static void
tokens(void **state)
{
	uint64_t day, month;
	struct pair p;
	struct rig r;

	(void)state;
	begin(&r, &p);
	r.v->budget.tokens_day = 100;
	use(&r, p.n, "small", 60);
	use(&r, p.n, "big", 30);
	use(&r, p.n, "small", 10);		/* the last one may go over */
	assert_int_equal(may(&r, p.n, "big"), ERR_LIMIT);
	assert_non_null(strstr(said, "your 100 tokens for this day"));
	assert_non_null(strstr(said, "00:00 UTC, in "));
	report(&r, ask_id, p.n, 1000);		/* it was refused: not counted */
	budget_used(user_by_name(r.v, "alice"), &day, &month);
	assert_true(day == 100 && month == 100);
	assert_int_equal(budget_requests(user_by_name(r.v, "alice")), 3);
	assert_int_equal(tallies(&r), 2);
	assert_int_equal(r.v->answers, 3);
	/* After a restart the same. */
	restart(&r, &p);
	r.v->budget.tokens_day = 100;
	open_model(&r, &p, "big", 0);
	assert_int_equal(may(&r, p.n, "big"), ERR_LIMIT);
	/* The month is over later than the day. */
	r.v->budget.tokens_month = 90;
	assert_int_equal(may(&r, p.n, "big"), ERR_LIMIT);
	assert_non_null(strstr(said, "your 90 tokens for this month"));
	assert_non_null(strstr(said, "-01 00:00 UTC"));
	r.v->budget = (struct budget){ 0, 101, 101 };
	assert_int_equal(may(&r, p.n, "big"), 0);
	pair_close(&p);
	rig_stop(&r, true);
	rig_free(&r);
}

/* What an administrator set for a user stands in place of the service's. */
static void
own_limits(void **state)
{
	struct user *u;
	struct pair p;
	struct rig r;

	(void)state;
	begin(&r, &p);
	u = user_by_name(r.v, "alice");
	r.v->budget = (struct budget){ 1, 10, 10 };
	u->limit[LIMIT_REQUESTS] = 100;
	u->limit[LIMIT_TOKENS_DAY] = 50;
	u->limit[LIMIT_TOKENS_MONTH] = 70;
	use(&r, p.n, "small", 49);
	use(&r, p.n, "small", 1);
	assert_int_equal(may(&r, p.n, "small"), ERR_LIMIT);
	assert_non_null(strstr(said, "your 50 tokens for this day"));
	u->limit[LIMIT_TOKENS_DAY] = 1000;
	use(&r, p.n, "big", 20);
	assert_int_equal(may(&r, p.n, "small"), ERR_LIMIT);
	assert_non_null(strstr(said, "your 70 tokens for this month"));
	u->limit[LIMIT_REQUESTS] = 0;		/* the service's again */
	u->limit[LIMIT_TOKENS_MONTH] = 1000;
	assert_int_equal(may(&r, p.n, "small"), ERR_LIMIT);
	assert_non_null(strstr(said, "your 1 requests for this minute"));
	pair_close(&p);
	rig_stop(&r, true);
	rig_free(&r);
}

static void
one_model(void **state)
{
	struct pair p;
	struct rig r;

	(void)state;
	begin(&r, &p);
	r.v->models[1].budget.tokens_month = 50;
	use(&r, p.n, "small", 60);
	use(&r, p.n, "big", 50);
	assert_int_equal(may(&r, p.n, "big"), ERR_LIMIT);
	assert_non_null(strstr(said, "50 tokens of model big for this month"));
	assert_int_equal(may(&r, p.n, "small"), 0);
	assert_int_equal(may(&r, p.n, "none"), ERR_NO_MODEL);
	assert_int_equal(may(&r, p.n, ""), ERR_NO_MODEL);
	pair_close(&p);
	rig_stop(&r, true);
	rig_free(&r);
}

static void
requests(void **state)
{
	struct user *u;
	struct pair p;
	struct rig r;

	(void)state;
	begin(&r, &p);
	r.v->budget.requests_minute = 3;
	r.v->models[1].budget.requests_minute = 1;
	assert_int_equal(may(&r, p.n, "big"), 0);
	assert_int_equal(may(&r, p.n, "big"), ERR_LIMIT);
	assert_non_null(strstr(said, "your 1 requests of model big"));
	assert_non_null(strstr(said, "again in 60 seconds"));
	/* What was refused does not count for all models. */
	assert_int_equal(may(&r, p.n, "small"), 0);
	assert_int_equal(may(&r, p.n, "small"), 0);
	assert_int_equal(may(&r, p.n, "small"), ERR_LIMIT);
	assert_non_null(strstr(said, "your 3 requests for this minute"));
	u = user_by_name(r.v, "alice");
	u->minute.since_ms -= 59000;
	assert_int_equal(may(&r, p.n, "small"), ERR_LIMIT);
	u->minute.since_ms -= 1000;
	assert_int_equal(may(&r, p.n, "small"), 0);
	pair_close(&p);
	rig_stop(&r, true);
	rig_free(&r);
}

/* What is under way when its session ends is counted; then nothing begins. */
static void
after_the_session(void **state)
{
	uint64_t day, month, n;
	struct pair p;
	struct rig r;

	(void)state;
	begin(&r, &p);
	n = p.n;
	assert_int_equal(may(&r, n, "small"), 0);
	restart(&r, &p);		/* the question is forgotten */
	assert_int_equal(r.v->nasked[0], 0);
	open_model(&r, &p, "small", 0);
	n = p.n;
	assert_int_equal(may(&r, n, "small"), 0);
	pair_close(&p);
	while (any_worker(&r))
		pump(&r);
	report(&r, ask_id, n, 44);
	budget_used(user_by_name(r.v, "alice"), &day, &month);
	assert_int_equal(day, 44);
	login(&r, &p, &alice, "alice");
	pair_close(&p);
	rig_stop(&r, true);
	rig_free(&r);
}

/* Alice's tally, genuinely sealed again, of another day. */
static void
back_date(struct rig *r, uint32_t days)
{
	const struct seal_bundle *b = &r->v->keys->bundle;
	struct buf val = BUF_INIT(SEAL_VALUE_MAX);
	struct rec_tally t;
	struct rec_key k;
	struct bytes key;
	struct row *row;
	uint64_t version;

	pthread_mutex_lock(&r->store->lock);
	assert_non_null(row = row_kind(r->store, REC_TALLY, 0));
	k.n = row->key_n;
	memcpy(k.p, row->key, k.n);
	key = rec_bytes(&k);
	assert_int_equal(rec_open_tally(&t, &version, b, key,
	    bytes_of(row->value, row->value_n)), 0);
	t.day -= days;
	assert_int_equal(rec_seal_tally(&val, b, key, version, &t), 0);
	row_put(r->store, key, buf_bytes(&val));
	pthread_mutex_unlock(&r->store->lock);
	buf_free(&val);
}

static void
days(void **state)
{
	uint64_t day, month;
	struct pair p;
	struct rig r;

	(void)state;
	begin(&r, &p);
	use(&r, p.n, "small", 70);
	back_date(&r, 40);
	restart(&r, &p);
	budget_used(user_by_name(r.v, "alice"), &day, &month);
	assert_true(day == 0 && month == 0);
	open_model(&r, &p, "small", 0);
	use(&r, p.n, "small", 5);
	restart(&r, &p);
	budget_used(user_by_name(r.v, "alice"), &day, &month);
	assert_true(day == 5 && month == 5);
	/* A clock that goes back gives nothing. */
	back_date(&r, (uint32_t)-3);
	restart(&r, &p);
	budget_used(user_by_name(r.v, "alice"), &day, &month);
	assert_true(day == 5 && month == 5);
	pair_close(&p);
	rig_stop(&r, true);
	rig_free(&r);
}

/* An older tally cannot be put back, nor one be taken away. */
static void
tampered(void **state)
{
	uint8_t old[4096];
	struct rec_key key;
	struct pair p;
	struct rig r;
	struct row *row;
	size_t n;

	(void)state;
	begin(&r, &p);
	use(&r, p.n, "small", 70);
	row = row_kind(r.store, REC_TALLY, 0);
	n = row->value_n;
	key.n = row->key_n;
	memcpy(key.p, row->key, key.n);
	memcpy(old, row->value, n);
	use(&r, p.n, "small", 70);
	pair_close(&p);
	rig_stop(&r, true);
	row_put(r.store, rec_bytes(&key), bytes_of(old, n));
	assert_int_equal(rig_start(&r, false), -1);
	assert_non_null(strstr(r.v->why, "do not add up"));
	rig_stop(&r, false);
	row_del(r.store, rec_bytes(&key));
	assert_int_equal(rig_start(&r, false), -1);
	assert_non_null(strstr(r.v->why, "do not add up"));
	rig_stop(&r, false);
	rig_free(&r);
}

/* With a user goes what they have used. */
static void
removed(void **state)
{
	struct m_av_user_remove q = { .erase = 1, .name = bytes_str("alice") };
	struct chan *c;
	struct pair p;
	struct rig r;
	struct msg m;

	(void)state;
	begin(&r, &p);
	use(&r, p.n, "small", 70);
	assert_int_equal(may(&r, p.n, "big"), 0);
	c = admin_open(&r);
	assert_int_equal(chan_send(c, MSG_av_user_remove, &q, -1), 0);
	expect(&r, c, MSG_va_done, &m);
	chan_free(c);
	expect(&r, r.llm, MSG_vl_revoke, &m);
	report(&r, ask_id, p.n, 10);
	assert_int_equal(tallies(&r), 0);
	pair_close(&p);
	rig_stop(&r, true);
	assert_int_equal(rig_start(&r, false), 0);
	rig_stop(&r, true);
	rig_free(&r);
}

/* More models than there can be at once: the rest is counted together. */
static void
many_models(void **state)
{
	uint64_t day, month;
	char name[16];
	struct user *u;
	struct pair p;
	struct rig r;

	(void)state;
	begin(&r, &p);
	u = user_by_name(r.v, "alice");
	for (int i = 0; i < VAULT_TALLIES_MAX + 3; i++) {
		(void)snprintf(name, sizeof(name), "m%d", i);
		budget_count(r.v, u, name, 2);
		while (!commit_idle(r.v))
			pump(&r);
	}
	assert_int_equal(tallies(&r), VAULT_TALLIES_MAX + 1);
	restart(&r, &p);
	budget_used(user_by_name(r.v, "alice"), &day, &month);
	assert_true(month == 2 * (VAULT_TALLIES_MAX + 3));
	pair_close(&p);
	rig_stop(&r, true);
	rig_free(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tokens),
		cmocka_unit_test(own_limits),
		cmocka_unit_test(one_model),
		cmocka_unit_test(requests),
		cmocka_unit_test(after_the_session),
		cmocka_unit_test(days),
		cmocka_unit_test(tampered),
		cmocka_unit_test(removed),
		cmocka_unit_test(many_models),
	};

	return cmocka_run_group_tests_name("vault_budget", tests, keys,
	    keys_free);
}
