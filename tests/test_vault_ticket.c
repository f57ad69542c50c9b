/* Tickets in the vault: who may resume what, how often, and until when. */
#include "vault_rig.h"

#define SUITE	HS_SUITE_BEST

static const uint8_t s1[32] = "one";

static void
rig_begin(struct rig *r)
{
	uint8_t conv[16];

	two_users(r, conv);
	r->v->ticket_lifetime_s = 86400;
}

/* A live session whose kex worker is still there. */
static void
login_kex(struct rig *r, struct pair *p, const struct ident *id)
{
	struct msg m;

	pair_new(r, p);
	nonce(r, p->n, s1);
	ask(p, id, &id->wrap_spki, s1);
	expect(r, p->kex, MSG_vx_grant, &m);
	chan_set_state(p->kex, KEX_VAULT_GRANTED);
	expect(r, p->sess, MSG_vs_user, &m);
	chan_set_state(p->sess, SESS_VAULT_LIVE);
}

/* Its handshake is finished: the vault gets what tickets are made of. */
static void
handshake_done(struct rig *r, struct pair *p, uint8_t fill)
{
	struct m_xv_resumption m;

	memset(m.resumption, fill, sizeof(m.resumption));
	assert_int_equal(chan_send(p->kex, MSG_xv_resumption, &m, -1), 0);
	expect_eof(r, p->kex);
	chan_free(p->kex);
	p->kex = NULL;
}

/* Its client asks for the ticket; false when there is none. */
static bool
get_ticket(struct rig *r, struct pair *p, uint8_t fill, struct hs_ticket *t)
{
	struct m_sv_ticket ask_it = { .req = 77 };
	uint8_t resumption[32];
	const char *why;
	struct msg m;

	assert_int_equal(chan_send(p->sess, MSG_sv_ticket, &ask_it, -1), 0);
	while (chan_recv(p->sess, &m, 0, &why) != 0)
		pump(r);
	if (m.type == MSG_vs_error) {
		assert_int_equal(m.u.vs_error.code, ERR_NO_TICKET);
		return false;
	}
	assert_int_equal(m.type, MSG_vs_ticket);
	assert_int_equal(m.u.vs_ticket.req, 77);
	memcpy(t->id, m.u.vs_ticket.ticket, 32);
	memset(resumption, fill, sizeof(resumption));
	hs_ticket_psk(t->psk, resumption, t->id);
	t->suite = SUITE;
	return true;
}

/* Alice's session and its ticket. */
static void
with_ticket(struct rig *r, struct pair *p, const struct ident *id,
    struct hs_ticket *t)
{
	login_kex(r, p, id);
	handshake_done(r, p, (uint8_t)p->n);
	assert_true(get_ticket(r, p, (uint8_t)p->n, t));
}

/* Let the session end, as suspended or not. */
static void
leave(struct rig *r, struct pair *p, bool suspended)
{
	if (suspended)
		assert_int_equal(chan_send(p->sess, MSG_sv_suspend, NULL, -1),
		    0);
	chan_free(p->sess);
	p->sess = NULL;
	while (worker_find(r->v, p->n) != NULL)
		pump(r);
}

static void
make_ch(const struct hs_ticket *t, struct buf *ch)
{
	uint8_t random_c[32];
	struct hs hs;

	crypto_random(random_c, sizeof(random_c));
	hs_client_init(&hs, 0);
	assert_int_equal(hs_client_resume(&hs, t), 0);
	assert_int_equal(hs_client_make_ch(&hs, random_c, host_hash, ch), 0);
	hs_free(&hs);
}

/* Show these bytes as a CH; whether the vault takes the ticket in them. */
static bool
show_bytes(struct rig *r, struct pair *p, struct bytes ch, uint8_t suite,
    const struct hs_ticket *t)
{
	struct m_xv_resume ask_it = { .suite = suite, .ch = ch };
	const char *why;
	struct msg m;

	pair_new(r, p);
	assert_int_equal(chan_send(p->kex, MSG_xv_resume, &ask_it, -1), 0);
	chan_set_state(p->kex, KEX_VAULT_TICKET);
	while (chan_recv(p->kex, &m, 0, &why) != 0)
		pump(r);
	if (m.type == MSG_vx_no_ticket) {
		chan_set_state(p->kex, KEX_VAULT_ASKED);
		return false;
	}
	assert_int_equal(m.type, MSG_vx_resumed);
	assert_memory_equal(m.u.vx_resumed.psk, t->psk, 32);
	chan_set_state(p->kex, KEX_VAULT_GRANTED);
	expect(r, p->sess, MSG_vs_user, &m);
	assert_true(m.u.vs_user.n == p->n);
	chan_set_state(p->sess, SESS_VAULT_LIVE);
	return true;
}

static bool
show(struct rig *r, struct pair *p, const struct hs_ticket *t)
{
	struct buf ch = BUF_INIT(HS_CH_LEN);
	bool taken;

	make_ch(t, &ch);
	taken = show_bytes(r, p, buf_bytes(&ch), t->suite, t);
	buf_free(&ch);
	return taken;
}

/* It is not taken, and a full handshake goes on with it. */
static void
not_taken(struct rig *r, const struct hs_ticket *t)
{
	struct pair p;
	struct msg m;

	assert_false(show(r, &p, t));
	nonce(r, p.n, s1);
	ask(&p, &bob, &bob.wrap_spki, s1);
	expect(r, p.kex, MSG_vx_grant, &m);
	pair_close(&p);
	while (worker_find(r->v, p.n) != NULL)
		pump(r);
}

/* Nothing of t is in the vault's secret memory. */
static void
wiped(const struct rig *r, const struct hs_ticket *t)
{
	assert_null(memmem(r->v->keys, sizeof(*r->v->keys), t->psk, 32));
}

static void
rig_end(struct rig *r)
{
	rig_stop(r, true);
	rig_free(r);
}

/* Resumed once, as the same user; not twice. */
static void
once(void **state)
{
	struct hs_ticket t, t2;
	struct pair p, q, q2;
	struct rig r;

	(void)state;
	rig_begin(&r);
	with_ticket(&r, &p, &alice, &t);
	/* Given once. */
	assert_false(get_ticket(&r, &p, (uint8_t)p.n, &t2));
	leave(&r, &p, true);
	assert_int_equal(r.v->ntickets, 1);
	assert_non_null(memmem(r.v->keys, sizeof(*r.v->keys), t.psk, 32));
	assert_true(show(&r, &q, &t));
	assert_non_null(strstr(logged, "auth.resume|alice|source=\"127.0.0.1\""));
	assert_true(worker_find(r.v, q.n)->user ==
	    user_by_name(r.v, "alice"));
	assert_memory_equal(worker_find(r.v, q.n)->label, "laptop", 7);
	assert_int_equal(r.v->ntickets, 0);
	wiped(&r, &t);
	not_taken(&r, &t);
	/* The next one comes of the new session. */
	handshake_done(&r, &q, 9);
	assert_true(get_ticket(&r, &q, 9, &t2));
	assert_memory_not_equal(t.id, t2.id, 32);
	leave(&r, &q, true);
	assert_true(show(&r, &q2, &t2));
	pair_close(&q2);
	rig_end(&r);
}

/* END, a violation, a crash, a kill: no ticket is left. */
static void
revoked_with_its_session(void **state)
{
	struct m_sv_violation v = { .text = bytes_str("client: broke") };
	struct m_ctl_crashed cr = { 0 };
	struct hs_ticket t;
	struct pair p;
	struct rig r;

	(void)state;
	rig_begin(&r);
	for (int i = 0; i < 7; i++) {
		with_ticket(&r, &p, &alice, &t);
		assert_int_equal(r.v->ntickets, 1);
		switch (i) {
		case 0:		/* END */
			leave(&r, &p, false);
			break;
		case 1:		/* the client broke the rules, then left */
			assert_int_equal(chan_send(p.sess, MSG_sv_violation,
			    &v, -1), 0);
			leave(&r, &p, true);
			break;
		case 2:		/* after it was suspended */
			assert_int_equal(chan_send(p.sess, MSG_sv_suspend,
			    NULL, -1), 0);
			assert_int_equal(chan_send(p.sess, MSG_sv_violation,
			    &v, -1), 0);
			leave(&r, &p, false);
			break;
		case 3:		/* the worker broke the rules */
			assert_int_equal(chan_send(p.sess, MSG_sv_suspend,
			    NULL, -1), 0);
			assert_int_equal(write(chan_fd(p.sess), "\xff\xff", 2),
			    2);
			expect_eof(&r, p.sess);
			pair_close(&p);
			break;
		case 4:		/* it crashed, before or after its end */
		case 5:
			cr.n = p.n;
			if (i == 5)
				leave(&r, &p, true);
			else
				assert_int_equal(chan_send(p.sess,
				    MSG_sv_suspend, NULL, -1), 0);
			assert_int_equal(r.v->ntickets, 1);
			assert_int_equal(chan_send(r.ctl, MSG_ctl_crashed, &cr,
			    -1), 0);
			for (int k = 0; k < 20; k++)
				pump(&r);
			if (i == 4)
				leave(&r, &p, true);
			break;
		default:	/* ended by the administrator */
			assert_int_equal(chan_send(p.sess, MSG_sv_suspend,
			    NULL, -1), 0);
			for (int k = 0; k < 20; k++)
				pump(&r);
			worker_end(worker_find(r.v, p.n), "test");
			expect_eof(&r, p.sess);
			pair_close(&p);
			break;
		}
		assert_int_equal(r.v->ntickets, 0);
		wiped(&r, &t);
		not_taken(&r, &t);
	}
	rig_end(&r);
}

/* A handshake that was not finished leaves none; nor one that nobody took. */
static void
none_to_have(void **state)
{
	struct m_xv_resumption again = { .resumption = { 1 } };
	struct hs_ticket t;
	struct pair p;
	struct rig r;

	(void)state;
	rig_begin(&r);
	login_kex(&r, &p, &alice);
	assert_false(get_ticket(&r, &p, 1, &t));
	assert_int_equal(r.v->ntickets, 0);
	/* What the kex worker said last is read before the question. */
	assert_int_equal(chan_send(p.kex, MSG_xv_resumption, &again, -1), 0);
	assert_int_equal(chan_send(p.kex, MSG_xv_resumption, &again, -1), 0);
	assert_true(get_ticket(&r, &p, 0, &t));
	pair_close(&p);
	/* Suspended, but the client never had the ticket. */
	login_kex(&r, &p, &alice);
	handshake_done(&r, &p, 4);
	leave(&r, &p, true);
	while (r.v->nlive > 0)
		pump(&r);
	assert_int_equal(r.v->ntickets, 0);
	/* Not by configuration. */
	r.v->ticket_lifetime_s = 0;
	login_kex(&r, &p, &alice);
	handshake_done(&r, &p, 4);
	assert_false(get_ticket(&r, &p, 4, &t));
	pair_close(&p);
	rig_end(&r);
}

/* What is wrong with a CH does not cost its ticket. */
static void
bad_binders(void **state)
{
	struct buf ch = BUF_INIT(HS_CH_LEN);
	struct hs_ticket t, other;
	struct pair p, q;
	struct rig r;

	(void)state;
	rig_begin(&r);
	with_ticket(&r, &p, &alice, &t);
	leave(&r, &p, true);
	/* Another secret for the same id; another id for the secret. */
	other = t;
	other.psk[5] ^= 1;
	not_taken(&r, &other);
	other = t;
	other.id[5] ^= 1;
	not_taken(&r, &other);
	/* A bit in each field, and in the padding. */
	make_ch(&t, &ch);
	for (size_t i = 0; i < 8; i++) {
		size_t at = (size_t[]){ 5, 7, 12, 50, 300, 1300, 2000,
		    HS_CH_LEN - HS_MAC1 - 1 }[i];

		ch.p[at] ^= 1;
		assert_false(show_bytes(&r, &q, buf_bytes(&ch), t.suite, &t));
		pair_close(&q);
		ch.p[at] ^= 1;
	}
	/* Not a CH at all. */
	assert_false(show_bytes(&r, &q, bytes_of(ch.p, 100), t.suite, &t));
	pair_close(&q);
	assert_false(show_bytes(&r, &q, bytes_of(NULL, 0), t.suite, &t));
	pair_close(&q);
	assert_int_equal(r.v->ntickets, 1);
	/* mac1 is not its business. */
	ch.p[HS_CH_LEN - 1] ^= 1;
	assert_true(show_bytes(&r, &q, buf_bytes(&ch), t.suite, &t));
	pair_close(&q);
	buf_free(&ch);
	rig_end(&r);
}

/* What a kex worker may not: ask twice, ask late, hand over before the grant. */
static void
kex_out_of_order(void **state)
{
	struct m_xv_resume ask_it = { .suite = SUITE };
	struct m_xv_resumption res = { .resumption = { 1 } };
	struct pair p;
	struct rig r;
	struct msg m;

	(void)state;
	rig_begin(&r);
	for (int i = 0; i < 3; i++) {
		pair_new(&r, &p);
		if (i == 0) {
			assert_int_equal(chan_send(p.kex, MSG_xv_resume,
			    &ask_it, -1), 0);
			chan_set_state(p.kex, KEX_VAULT_TICKET);
			expect(&r, p.kex, MSG_vx_no_ticket, &m);
			assert_int_equal(chan_send(p.kex, MSG_xv_resume,
			    &ask_it, -1), 0);
		} else if (i == 1)
			assert_int_equal(chan_send(p.kex, MSG_xv_resumption,
			    &res, -1), 0);
		else {
			pair_close(&p);
			login_kex(&r, &p, &alice);
			assert_int_equal(chan_send(p.kex, MSG_xv_resume,
			    &ask_it, -1), 0);
		}
		expect_eof(&r, p.sess);
		assert_non_null(strstr(logged, "violation|"));
		logged[0] = '\0';
		pair_close(&p);
	}
	rig_end(&r);
}

/* After a revocation, of the key or of the user; another's do not matter. */
static void
revocation(void **state)
{
	struct m_av_user_state off = { .state = 2,
	    .name = bytes_str("alice") };
	struct hs_ticket t, tb;
	struct pair p, q;
	struct chan *c;
	struct rig r;
	struct msg m;

	(void)state;
	rig_begin(&r);
	with_ticket(&r, &p, &alice, &t);
	leave(&r, &p, true);
	with_ticket(&r, &p, &bob, &tb);
	leave(&r, &p, true);
	assert_int_equal(r.v->ntickets, 2);
	c = admin_open(&r);
	assert_int_equal(chan_send(c, MSG_av_user_state, &off, -1), 0);
	expect(&r, c, MSG_va_done, &m);
	assert_int_equal(r.v->ntickets, 1);
	wiped(&r, &t);
	not_taken(&r, &t);
	/* Were it still there, it would be looked at again. */
	assert_true(show(&r, &q, &tb));
	pair_close(&q);
	off.state = 1;
	assert_int_equal(chan_send(c, MSG_av_user_state, &off, -1), 0);
	expect(&r, c, MSG_va_done, &m);
	with_ticket(&r, &p, &alice, &t);
	leave(&r, &p, true);
	logged[0] = '\0';
	user_by_name(r.v, "alice")->state = REC_USER_DISABLED;
	not_taken(&r, &t);
	assert_non_null(strstr(logged, "resume.refuse|alice|reason=\"user disabled"));
	user_by_name(r.v, "alice")->state = REC_USER_ENABLED;
	with_ticket(&r, &p, &alice, &t);
	leave(&r, &p, true);
	LIST_FIRST(&r.v->enrolled)->state = REC_KEY_REVOKED;
	LIST_NEXT(LIST_FIRST(&r.v->enrolled), link)->state = REC_KEY_REVOKED;
	assert_false(show(&r, &q, &t));
	assert_non_null(strstr(logged, "resume.refuse|alice|reason=\"key revoked"));
	pair_close(&q);
	LIST_FIRST(&r.v->enrolled)->state = REC_KEY_ACTIVE;
	LIST_NEXT(LIST_FIRST(&r.v->enrolled), link)->state = REC_KEY_ACTIVE;
	/* Consumed all the same. */
	assert_int_equal(r.v->ntickets, 0);
	/* Too many sessions; a vault that stops; another suite. */
	for (int i = 0; i < 3; i++) {
		with_ticket(&r, &p, &alice, &t);
		leave(&r, &p, true);
		r.v->max_sessions_per_user = i == 0 ? 0 : 3;
		r.v->stopping = i == 1;
		if (i == 2)
			r.v->lowest_suite = SUITE + 1;
		logged[0] = '\0';
		assert_false(show(&r, &q, &t));
		assert_non_null(strstr(logged, (const char *[]){
		    "too many sessions", "stopping", "another suite" }[i]));
		pair_close(&q);
		r.v->stopping = false;
		r.v->lowest_suite = 0;
		r.v->max_sessions_per_user = 3;
		assert_int_equal(r.v->ntickets, 0);
	}
	chan_free(c);
	rig_end(&r);
}

/* A ticket for another suite than it is shown with (attack 33). */
static void
other_suite(void **state)
{
	struct buf ch = BUF_INIT(HS_CH_LEN);
	struct hs_ticket t;
	struct pair p, q;
	struct rig r;

	(void)state;
	rig_begin(&r);
	for (uint8_t suite = 0; suite < 4; suite++) {
		if (suite == SUITE)
			continue;
		with_ticket(&r, &p, &alice, &t);
		leave(&r, &p, true);
		buf_reset(&ch);
		make_ch(&t, &ch);
		assert_false(show_bytes(&r, &q, buf_bytes(&ch), suite, &t));
		pair_close(&q);
		assert_int_equal(r.v->ntickets, 0);
	}
	buf_free(&ch);
	rig_end(&r);
}

/* 24 hours from the full handshake, for every ticket that follows it. */
static void
expiry(void **state)
{
	struct hs_ticket t, t2;
	struct worker *w;
	struct pair p, q;
	struct rig r;

	(void)state;
	rig_begin(&r);
	r.v->ticket_lifetime_s = 1000;
	login_kex(&r, &p, &alice);
	w = worker_find(r.v, p.n);
	w->auth_ms -= 990 * 1000;
	handshake_done(&r, &p, 5);
	assert_true(get_ticket(&r, &p, 5, &t));
	leave(&r, &p, true);
	assert_true(show(&r, &q, &t));
	/* The next one ends when the first would have. */
	w = worker_find(r.v, q.n);
	assert_true(mono_ms() - w->auth_ms >= 990 * 1000);
	handshake_done(&r, &q, 6);
	assert_true(get_ticket(&r, &q, 6, &t2));
	leave(&r, &q, true);
	r.v->ticket_lifetime_s = 980;
	logged[0] = '\0';
	not_taken(&r, &t2);
	assert_non_null(strstr(logged, "resume.refuse|alice|reason=\"expired"));
	/* And what has expired is wiped without being shown. */
	r.v->ticket_lifetime_s = 1000;
	with_ticket(&r, &p, &alice, &t);
	leave(&r, &p, true);
	tickets_sweep(r.v);
	assert_int_equal(r.v->ntickets, 1);
	r.v->ticket_lifetime_s = 0;
	tickets_sweep(r.v);
	assert_int_equal(r.v->ntickets, 0);
	wiped(&r, &t);
	/* The time of sessions bounds that of tickets. */
	r.v->ticket_lifetime_s = 1000;
	r.v->session_timeout_s = 100;
	with_ticket(&r, &p, &alice, &t);
	w = worker_find(r.v, p.n);
	assert_true(w != NULL);
	leave(&r, &p, true);
	r.v->session_timeout_s = 0;
	rig_end(&r);
}

/* A session that does not end by itself when its time is over. */
static void
over_its_time(void **state)
{
	struct pair p, q;
	struct rig r;
	struct msg m;

	(void)state;
	rig_begin(&r);
	r.v->session_timeout_s = 100;
	pair_new(&r, &p);
	nonce(&r, p.n, s1);
	ask(&p, &alice, &alice.wrap_spki, s1);
	expect(&r, p.sess, MSG_vs_user, &m);
	assert_int_equal(m.u.vs_user.lifetime_s, 100);
	chan_set_state(p.sess, SESS_VAULT_LIVE);
	login(&r, &q, &bob, "bob");
	worker_find(r.v, p.n)->auth_ms -= 120 * 1000;
	tickets_sweep(r.v);
	assert_non_null(worker_find(r.v, p.n));
	worker_find(r.v, p.n)->auth_ms -= 11 * 1000;
	tickets_sweep(r.v);
	expect_eof(&r, p.sess);
	assert_non_null(strstr(logged, "session.revoke|alice|reason=\"over its time"));
	assert_non_null(worker_find(r.v, q.n));
	r.v->session_timeout_s = 0;
	worker_find(r.v, q.n)->auth_ms -= 999999;
	tickets_sweep(r.v);
	assert_non_null(worker_find(r.v, q.n));
	pair_close(&p);
	pair_close(&q);
	rig_end(&r);
}

/* So many of one user and no more: the oldest that nobody uses gives way. */
static void
bounded(void **state)
{
	struct hs_ticket t[VAULT_TICKETS_USER + 1], tb;
	struct pair p, live;
	struct rig r;

	(void)state;
	rig_begin(&r);
	with_ticket(&r, &p, &bob, &tb);
	leave(&r, &p, true);
	for (int i = 0; i <= VAULT_TICKETS_USER; i++) {
		with_ticket(&r, &p, &alice, &t[i]);
		leave(&r, &p, true);
	}
	assert_int_equal(r.v->ntickets, VAULT_TICKETS_USER + 1);
	not_taken(&r, &t[0]);
	assert_true(show(&r, &p, &t[1]));
	pair_close(&p);
	assert_true(show(&r, &p, &tb));
	pair_close(&p);
	/* Those of live sessions stay. */
	with_ticket(&r, &live, &alice, &t[0]);
	with_ticket(&r, &p, &alice, &t[1]);
	leave(&r, &p, true);
	assert_true(show(&r, &p, &t[0]));
	pair_close(&p);
	pair_close(&live);
	rig_end(&r);
}

/* A restart forgets all. */
static void
restart(void **state)
{
	struct hs_ticket t;
	struct pair p;
	struct rig r;

	(void)state;
	rig_begin(&r);
	with_ticket(&r, &p, &alice, &t);
	leave(&r, &p, true);
	rig_stop(&r, true);
	assert_int_equal(rig_start(&r, false), 0);
	r.v->ticket_lifetime_s = 86400;
	not_taken(&r, &t);
	rig_end(&r);
}

/* A thousand who show the same: one is let in. */
static void
racers(void **state)
{
	struct buf ch = BUF_INIT(HS_CH_LEN);
	struct hs_ticket t;
	struct pair p;
	struct rig r;
	unsigned taken = 0;

	(void)state;
	rig_begin(&r);
	with_ticket(&r, &p, &alice, &t);
	leave(&r, &p, true);
	make_ch(&t, &ch);
	for (int i = 0; i < 1000; i++) {
		taken += show_bytes(&r, &p, buf_bytes(&ch), t.suite, &t);
		pair_close(&p);
	}
	assert_int_equal(taken, 1);
	buf_free(&ch);
	rig_end(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(once),
		cmocka_unit_test(revoked_with_its_session),
		cmocka_unit_test(none_to_have),
		cmocka_unit_test(bad_binders),
		cmocka_unit_test(kex_out_of_order),
		cmocka_unit_test(revocation),
		cmocka_unit_test(other_suite),
		cmocka_unit_test(expiry),
		cmocka_unit_test(over_its_time),
		cmocka_unit_test(bounded),
		cmocka_unit_test(restart),
		cmocka_unit_test(racers),
	};

	return cmocka_run_group_tests_name("vault_ticket", tests, keys,
	    keys_free);
}
