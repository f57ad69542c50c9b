/*
 * What a user may: limits and models, and who asks for more; status and metrics.
 */
#include "metrics.h"
#include "vault_rig.h"

static void
text_has(struct bytes text, const char *what)
{
	if (memmem(text.p, text.n, what, strlen(what)) == NULL)
		fail_msg("\"%s\" is not in \"%.*s\"", what, (int)text.n,
		    (const char *)text.p);
}

static void
set_limit(struct rig *r, struct chan *c, const char *name, const void *set,
    size_t n, bool ok, const char *text)
{
	struct m_av_user_limit q = { .name = bytes_str(name),
	    .set = bytes_of(set, n) };
	struct msg m;

	assert_int_equal(chan_send(c, MSG_av_user_limit, &q, -1), 0);
	expect(r, c, ok ? MSG_va_done : MSG_va_error, &m);
	text_has(ok ? m.u.va_done.text : m.u.va_error.text, text);
}

static void
set_model(struct rig *r, struct chan *c, const char *name, uint8_t allow,
    const char *model, bool ok, const char *text)
{
	struct m_av_model_set q = { .allow = allow, .user = bytes_str(name),
	    .model = bytes_str(model) };
	struct msg m;

	assert_int_equal(chan_send(c, MSG_av_model_set, &q, -1), 0);
	expect(r, c, ok ? MSG_va_done : MSG_va_error, &m);
	text_has(ok ? m.u.va_done.text : m.u.va_error.text, text);
}

/* What user show says of the limit of sessions, and of models in all. */
static uint64_t
show(struct rig *r, struct chan *c, const char *name, bool *all)
{
	struct m_av_user_show q = { .name = bytes_str(name) };
	uint64_t value = 0;
	struct msg m;

	assert_int_equal(chan_send(c, MSG_av_user_show, &q, -1), 0);
	expect(r, c, MSG_va_account, &m);
	assert_true(bytes_eq(m.u.va_account.name, bytes_str(name)));
	assert_int_equal(m.u.va_account.keys, 1);
	*all = m.u.va_account.all_models != 0;
	for (int i = 0; i < LIMITS; i++) {
		expect(r, c, MSG_va_limit, &m);
		if (bytes_eq(m.u.va_limit.name, bytes_str("sessions"))) {
			value = m.u.va_limit.value;
			assert_int_equal(m.u.va_limit.deflt, 3);
		}
	}
	for (size_t i = 0; i < r->v->nmodels; i++)
		expect(r, c, MSG_va_model, &m);
	expect(r, c, MSG_va_done, &m);
	return value;
}

static void
limits(void **state)
{
	static const uint8_t two[] = { 1, 0, 0, 0, 0, 0, 0, 0, 2 };
	static const uint8_t none[9] = { 1 };
	static const uint8_t twice[18] = { 1, [8] = 1, [9] = 1, [17] = 2 };
	static const uint8_t large[9] = { 1, [1] = 1 };
	static const uint8_t zero[9] = { 0 }, unknown[9] = { 0xff, [8] = 1 };
	uint8_t conv[16];
	struct pair p[3];
	struct chan *c;
	struct rig r;
	struct msg m;
	bool all;

	(void)state;
	two_users(&r, conv);
	c = admin_open(&r);
	assert_int_equal(show(&r, c, "alice", &all), 0);
	assert_true(all);
	set_limit(&r, c, "alice", "", 0, false, "no limit");
	set_limit(&r, c, "eve", two, 9, false, "no user eve");
	set_limit(&r, c, "alice", zero, 9, false, "no such limit");
	set_limit(&r, c, "alice", unknown, 9, false, "no such limit");
	set_limit(&r, c, "alice", twice, 18, false, "twice");
	set_limit(&r, c, "alice", large, 9, false, "too large");
	for (size_t n = 1; n < 9; n++)
		set_limit(&r, c, "alice", two, n, false, "breaks off");
	assert_int_equal(show(&r, c, "alice", &all), 0);
	assert_null(strstr(logged, "admin.user.limit"));
	/* A disk that is full changes nothing. */
	r.store->next_write = KV_FULL;
	set_limit(&r, c, "alice", two, 9, false, "disk is full");
	assert_int_equal(show(&r, c, "alice", &all), 0);
	set_limit(&r, c, "alice", two, 9, true, "set");
	assert_int_equal(show(&r, c, "alice", &all), 2);
	assert_non_null(strstr(logged, "admin.user.limit|alice|"
	    "limit=\"sessions\" value=2 uid=1000"));
	chan_free(c);
	/* It holds after a start, for her alone. */
	rig_stop(&r, true);
	assert_int_equal(rig_start(&r, false), 0);
	login(&r, &p[0], &alice, "alice");
	login(&r, &p[1], &alice, "alice");
	pair_new(&r, &p[2]);
	nonce(&r, p[2].n, (const uint8_t *)"another nonce of 32 bytes, yes..");
	ask(&p[2], &alice, &alice.wrap_spki,
	    (const uint8_t *)"another nonce of 32 bytes, yes..");
	expect(&r, p[2].kex, MSG_vx_refuse, &m);
	assert_non_null(strstr(logged, "too many sessions"));
	pair_close(&p[2]);
	login(&r, &p[2], &bob, "bob");
	c = admin_open(&r);
	set_limit(&r, c, "alice", none, 9, true, "set");
	assert_int_equal(show(&r, c, "alice", &all), 0);
	chan_free(c);
	for (int i = 0; i < 3; i++)
		pair_close(&p[i]);
	rig_stop(&r, true);
	rig_free(&r);
}

/* What sv_models shows: "small" 1, "big" 2; with 4 and 8 for the default. */
static unsigned
offered(struct rig *r, struct pair *p)
{
	struct m_sv_models q = { .req = 3 };
	unsigned seen = 0, bit;
	struct msg m;

	assert_int_equal(chan_send(p->sess, MSG_sv_models, &q, -1), 0);
	for (;;) {
		const char *why;

		while (chan_recv(p->sess, &m, 0, &why) != 0)
			pump(r);
		if (m.type == MSG_vs_done)
			return seen;
		assert_int_equal(m.type, MSG_vs_model);
		bit = bytes_eq(m.u.vs_model.alias, bytes_str("small")) ? 1 : 2;
		seen |= bit | (m.u.vs_model.is_default != 0 ? bit << 2 : 0);
	}
}

static void
models(void **state)
{
	uint8_t conv[16];
	struct pair a, b;
	struct chan *c;
	struct rig r;
	struct msg m;
	bool all;

	(void)state;
	two_users(&r, conv);
	expect(&r, r.llm, MSG_vl_revoke, &m);	/* of the session of that */
	c = admin_open(&r);
	login(&r, &a, &alice, "alice");
	login(&r, &b, &bob, "bob");
	assert_int_equal(offered(&r, &a), 1 | 4 | 2);
	open_model(&r, &a, "big", 0);
	set_model(&r, c, "eve", 0, "big", false, "no user eve");
	set_model(&r, c, "alice", 2, "big", false, "no grant");
	set_model(&r, c, "alice", 0, "huge", false, "no model huge");
	/* The channel that she has is closed at its llmproxy; bob's stays. */
	set_model(&r, c, "alice", 0, "big", true, "may not use model big");
	expect(&r, r.llm, MSG_vl_revoke, &m);
	assert_true(m.u.vl_revoke.n == a.n);
	assert_int_equal(offered(&r, &a), 1 | 4);
	open_model(&r, &a, "big", ERR_MODEL_DENIED);
	assert_non_null(strstr(logged, "model.refuse|alice|model=\"big\""));
	open_model(&r, &a, "huge", ERR_NO_MODEL);
	open_model(&r, &a, "small", 0);
	open_model(&r, &b, "big", 0);
	/* A question that nobody will answer is not stored. */
	{
		struct m_sv_put q = { .req = 9, .kind = 1,
		    .model = bytes_str("big"), .len = 1 };
		struct m_sv_data d = { .req = 9, .data = bytes_str("q") };

		assert_int_equal(chan_send(a.sess, MSG_sv_put, &q, -1), 0);
		assert_int_equal(chan_send(a.sess, MSG_sv_data, &d, -1), 0);
		expect_error(&r, &a, 9, ERR_MODEL_DENIED);
	}
	/* None but one, which is then the default. */
	set_model(&r, c, "alice", 0, "", true, "may use no model");
	expect(&r, r.llm, MSG_vl_revoke, &m);
	expect(&r, r.llm, MSG_vl_revoke, &m);
	assert_int_equal(offered(&r, &a), 0);
	open_model(&r, &a, "", ERR_MODEL_DENIED);
	set_model(&r, c, "alice", 1, "big", true, "may use model big");
	assert_int_equal(offered(&r, &a), 2 | 8);
	open_model(&r, &a, "", 0);
	(void)show(&r, c, "alice", &all);
	assert_false(all);
	chan_free(c);
	pair_close(&a);
	pair_close(&b);
	/* After a start; a model that came is not in it; all again. */
	rig_stop(&r, true);
	assert_int_equal(rig_start(&r, false), 0);
	login(&r, &a, &alice, "alice");
	assert_int_equal(offered(&r, &a), 2 | 8);
	r.v->models[r.v->nmodels++] = (struct model){ .alias = "new" };
	open_model(&r, &a, "new", ERR_MODEL_DENIED);
	c = admin_open(&r);
	set_model(&r, c, "alice", 1, "", true, "may use all models");
	open_model(&r, &a, "new", 0);
	/* One that the configuration has no more can be taken back. */
	set_model(&r, c, "alice", 0, "new", true, "may not");
	expect(&r, r.llm, MSG_vl_revoke, &m);
	assert_true(m.u.vl_revoke.n == a.n);
	r.v->nmodels--;
	set_model(&r, c, "alice", 1, "new", true, "may use");
	set_model(&r, c, "alice", 1, "new", false, "no model new");
	(void)show(&r, c, "alice", &all);
	assert_true(all);
	chan_free(c);
	pair_close(&a);
	rig_stop(&r, true);
	rig_free(&r);
}

/* As many names as a record has room for. */
static void
many(void **state)
{
	char alias[32];
	struct chan *c;
	struct rig r;
	bool all;

	(void)state;
	rig_new(&r);
	user_new(&r, "alice", &alice);
	c = admin_open(&r);
	for (int i = 0; i <= REC_GRANTS_MAX; i++) {
		struct model *mo = &r.v->models[r.v->nmodels++];

		*mo = (struct model){ 0 };
		(void)snprintf(mo->alias, sizeof(mo->alias), "m%d", i * 7 % 33);
	}
	for (int i = 0; i < REC_GRANTS_MAX; i++) {
		(void)snprintf(alias, sizeof(alias), "m%d", i);
		set_model(&r, c, "alice", 0, alias, true, "may not");
		set_model(&r, c, "alice", 0, alias, true, "may not");
	}
	(void)snprintf(alias, sizeof(alias), "m%d", REC_GRANTS_MAX);
	set_model(&r, c, "alice", 0, alias, false, "32 models at most");
	for (int i = 0; i < REC_GRANTS_MAX; i++) {
		(void)snprintf(alias, sizeof(alias), "m%d", i);
		assert_false(model_granted(user_by_name(r.v, "alice"), alias));
		set_model(&r, c, "alice", 1, alias, true, "may use");
		assert_true(model_granted(user_by_name(r.v, "alice"), alias));
	}
	(void)show(&r, c, "alice", &all);
	assert_true(all);
	chan_free(c);
	rig_stop(&r, true);
	rig_free(&r);
}

static void
tell_health(struct rig *r, unsigned code, const char *text)
{
	struct m_lv_health h = { .code = (uint16_t)code,
	    .text = bytes_str(text) };
	uint64_t n = r->v->health[0].successes + r->v->health[0].errors;

	assert_int_equal(chan_send(r->llm, MSG_lv_health, &h, -1), 0);
	for (int i = 0; i < WAIT_TRIES && r->v->health[0].successes +
	    r->v->health[0].errors == n; i++)
		pump(r);
}

/* Ask; the monitor's answer is one role. */
static void
ask_status(struct rig *r, struct chan *c, enum msg_type type)
{
	struct m_ctl_role role = { .name = bytes_str("llmproxy[local]"),
	    .pid = 7, .restarts = 2, .started_us = 5000000 };
	struct m_ctl_status_end end;
	struct msg m;

	assert_int_equal(chan_send(c, type, NULL, -1), 0);
	expect(r, r->ctl, MSG_ctl_status, &m);
	role.id = end.id = m.u.ctl_status.id;
	assert_int_equal(chan_send(r->ctl, MSG_ctl_role, &role, -1), 0);
	assert_int_equal(chan_send(r->ctl, MSG_ctl_status_end, &end, -1), 0);
}

static void
status(void **state)
{
	bool seen[METRICS] = { false };
	uint64_t before = wall_us();
	struct chan *c;
	struct rig r;
	struct msg m;

	(void)state;
	rig_new(&r);
	user_new(&r, "alice", &alice);
	c = admin_open(&r);
	ask_status(&r, c, MSG_av_status);
	expect(&r, c, MSG_va_role, &m);
	expect(&r, c, MSG_va_upstream, &m);
	assert_true(bytes_eq(m.u.va_upstream.name, bytes_str("local")));
	assert_true(m.u.va_upstream.successes == 0 &&
	    m.u.va_upstream.success_us == 0 && m.u.va_upstream.error_us == 0);
	do
		expect(&r, c, MSG_va_info, &m);
	while (!bytes_eq(m.u.va_info.name, bytes_str("uptime")));
	expect(&r, c, MSG_va_done, &m);
	/* One success, then an error that has no number here. */
	tell_health(&r, 0, "");
	tell_health(&r, 65535, "no such code");
	ask_status(&r, c, MSG_av_status);
	expect(&r, c, MSG_va_role, &m);
	expect(&r, c, MSG_va_upstream, &m);
	assert_int_equal(m.u.va_upstream.successes, 1);
	assert_int_equal(m.u.va_upstream.errors, 1);
	assert_int_equal(m.u.va_upstream.code, 65535);
	assert_true(m.u.va_upstream.success_us >= before);
	assert_true(m.u.va_upstream.error_us >= m.u.va_upstream.success_us);
	assert_true(bytes_eq(m.u.va_upstream.text, bytes_str("no such code")));
	do
		expect(&r, c, MSG_va_info, &m);
	while (!bytes_eq(m.u.va_info.name, bytes_str("uptime")));
	expect(&r, c, MSG_va_done, &m);
	/* Each metric, with its own kind of label, and once for each. */
	ask_status(&r, c, MSG_av_metrics);
	for (int i = 0; i < METRICS; i++) {
		const struct metric_decl *d;

		expect(&r, c, MSG_va_metric, &m);
		assert_true(m.u.va_metric.metric < METRICS);
		assert_false(seen[m.u.va_metric.metric]);
		seen[m.u.va_metric.metric] = true;
		d = &metric_decls[m.u.va_metric.metric];
		assert_true(bytes_eq(m.u.va_metric.label,
		    bytes_str(strcmp(d->label, "role") == 0 ?
		    "llmproxy[local]" : strcmp(d->label, "provider") == 0 ?
		    "local" : "")));
		if (m.u.va_metric.metric == METRIC_USERS ||
		    m.u.va_metric.metric == METRIC_UPSTREAM_ERRORS)
			assert_int_equal(m.u.va_metric.value, 1);
		if (m.u.va_metric.metric == METRIC_ROLE_START)
			assert_int_equal(m.u.va_metric.value, 5);
	}
	expect(&r, c, MSG_va_done, &m);
	chan_free(c);
	rig_stop(&r, true);
	rig_free(&r);
}

/* Rows of usage: what they add up to, and of whom they are. */
static unsigned
usage(struct rig *r, struct chan *c, const char *user, uint64_t *requests,
    uint64_t *tokens)
{
	struct m_av_usage q = { .user = bytes_str(user) };
	const char *why;
	unsigned n = 0;
	struct msg m;

	*requests = *tokens = 0;
	assert_int_equal(chan_send(c, MSG_av_usage, &q, -1), 0);
	for (;; n++) {
		while (chan_recv(c, &m, 0, &why) != 0)
			pump(r);
		if (m.type == MSG_va_done)
			return n;
		assert_int_equal(m.type, MSG_va_usage);
		assert_true(m.u.va_usage.day_tokens <=
		    m.u.va_usage.month_tokens);
		if (*user != '\0')
			assert_true(bytes_eq(m.u.va_usage.user, q.user));
		*requests += m.u.va_usage.month_requests;
		*tokens += m.u.va_usage.month_tokens;
	}
}

static void
used(void **state)
{
	uint64_t requests, tokens;
	struct user *u;
	struct chan *c;
	struct rig r;

	(void)state;
	rig_new(&r);
	user_new(&r, "alice", &alice);
	user_new(&r, "bob", &bob);
	c = admin_open(&r);
	assert_int_equal(usage(&r, c, "", &requests, &tokens), 0);
	u = user_by_name(r.v, "alice");
	budget_count(r.v, u, "small", 10);
	budget_count(r.v, u, "small", 0);
	budget_count(r.v, u, "big", 5);
	budget_count(r.v, user_by_name(r.v, "bob"), "big", 100);
	assert_int_equal(usage(&r, c, "", &requests, &tokens), 3);
	assert_int_equal(requests, 4);
	assert_int_equal(tokens, 115);
	for (int i = 0; i < WAIT_TRIES && u->counting > 0; i++)
		pump(&r);
	chan_free(c);
	rig_stop(&r, true);
	assert_int_equal(rig_start(&r, false), 0);
	c = admin_open(&r);
	assert_int_equal(usage(&r, c, "alice", &requests, &tokens), 2);
	assert_int_equal(requests, 3);
	assert_int_equal(tokens, 15);
	chan_free(c);
	rig_stop(&r, true);
	rig_free(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(limits),
		cmocka_unit_test(models),
		cmocka_unit_test(many),
		cmocka_unit_test(status),
		cmocka_unit_test(used),
	};

	return cmocka_run_group_tests_name("vault_rights", tests, keys,
	    keys_free);
}
