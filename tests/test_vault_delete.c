/* Deleting, renaming, importing, searching; the turn of the epoch. */
#include <locale.h>

#include "vault_rig.h"

static void
delete_send(struct pair *p, uint32_t req, const uint8_t conv[16])
{
	struct m_sv_delete m = { .req = req };

	memcpy(m.conv, conv, 16);
	assert_int_equal(chan_send(p->sess, MSG_sv_delete, &m, -1), 0);
}

static void
delete_conv(struct rig *r, struct pair *p, const uint8_t conv[16])
{
	struct msg m;

	delete_send(p, 21, conv);
	expect(r, p->sess, MSG_vs_deleted, &m);
	assert_int_equal(m.u.vs_deleted.req, 21);
	assert_true(m.u.vs_deleted.shred_s <= 900);
}

/* cloisterctl storage shred: what it says. */
static void
shred(struct rig *r, uint8_t force, bool ok, const char *says)
{
	struct m_av_shred q = { .force = force };
	struct chan *c = admin_open(r);
	struct bytes text;
	struct msg m;

	assert_int_equal(chan_send(c, MSG_av_shred, &q, -1), 0);
	expect(r, c, ok ? MSG_va_done : MSG_va_error, &m);
	text = ok ? m.u.va_done.text : m.u.va_error.text;
	if (memmem(text.p, text.n, says, strlen(says)) == NULL)
		fail_msg("%.*s", (int)text.n, (const char *)text.p);
	chan_free(c);
}

static size_t
count(struct rig *r, uint8_t kind)
{
	size_t n = 0;

	while (row_kind(r->store, kind, n) != NULL)
		n++;
	return n;
}

static void
wait_count(struct rig *r, uint8_t kind, size_t n)
{
	for (int i = 0; i < WAIT_TRIES && count(r, kind) != n; i++)
		pump(r);
	assert_int_equal(count(r, kind), n);
}

static void
list_titles(struct rig *r, struct pair *p, const char *titles[], size_t n)
{
	struct m_sv_list l = { .req = 9 };
	struct msg m;

	assert_int_equal(chan_send(p->sess, MSG_sv_list, &l, -1), 0);
	for (size_t i = 0; i < n; i++) {
		expect(r, p->sess, MSG_vs_conv, &m);
		assert_true(bytes_eq(m.u.vs_conv.title, bytes_str(titles[i])));
	}
	expect(r, p->sess, MSG_vs_done, &m);
}

static void
restart(struct rig *r, struct pair *p)
{
	if (p != NULL)
		pair_close(p);
	rig_stop(r, true);
	assert_int_equal(rig_start(r, false), 0);
	if (p != NULL)
		login(r, p, &alice, "alice");
}

static void
deletes(void **state)
{
	uint8_t conv[3][16] = { { 0 } };
	const char *left[] = { "third", "first" };
	struct pair p, q;
	struct rig r;
	uint32_t epoch;

	(void)state;
	rig_new(&r);
	user_new(&r, "alice", &alice);
	user_new(&r, "bob", &bob);
	login(&r, &p, &alice, "alice");
	login(&r, &q, &bob, "bob");
	(void)put_text(&r, &p, conv[0], 1, "first");
	(void)put_text(&r, &p, conv[1], 1, "second");
	(void)put_text(&r, &p, conv[2], 1, "third");
	shred(&r, 0, true, "nothing is waiting");
	/* Not another's. */
	delete_send(&q, 3, conv[1]);
	expect_error(&r, &q, 3, ERR_NO_CONV);
	delete_conv(&r, &p, conv[1]);
	assert_non_null(strstr(logged, "history.delete|alice|"));
	list_titles(&r, &p, left, 2);
	read_send(&p, 7, conv[1], 1, 0);
	expect_error(&r, &p, 7, ERR_NO_CONV);
	put_send(&p, 8, conv[1], 1, bytes_str("more"));
	expect_error(&r, &p, 8, ERR_NO_CONV);
	delete_send(&p, 4, conv[1]);
	expect_error(&r, &p, 4, ERR_NO_CONV);
	wait_count(&r, 'M', 2);
	assert_int_equal(count(&r, 'X'), 1);
	/* It stays so over a restart, and is still to be shredded. */
	pair_close(&q);
	restart(&r, &p);
	list_titles(&r, &p, left, 2);
	/* Until then its data key could be opened: that is what ends. */
	epoch = r.v->keys->anchor.epoch[0].epoch;
	assert_non_null(epoch_key(r.v, epoch));
	shred(&r, 0, true, "1 deleted conversations shredded, 2 data keys");
	assert_null(epoch_key(r.v, epoch));
	assert_int_equal(r.v->keys->anchor.nepochs, 1);
	wait_count(&r, 'X', 0);
	/* No slot of the anchor has the old secret; what is live is whole. */
	restart(&r, &p);
	list_titles(&r, &p, left, 2);
	read_send(&p, 7, conv[0], 1, 0);
	expect_text(&r, &p, 1, 1, bytes_str("first"));
	pair_close(&p);
	rig_stop(&r, true);
	rig_free(&r);
}

/* A put, a rename and a read that were asked for with a deletion. */
static void
deletes_in_turn(void **state)
{
	struct m_sv_rename rn = { .req = 11, .title = bytes_str("new") };
	uint8_t conv[16];
	struct pair p;
	struct rig r;
	struct msg m;

	(void)state;
	two_users(&r, conv);
	login(&r, &p, &alice, "alice");
	memcpy(rn.conv, conv, 16);
	put_send(&p, 10, conv, 1, bytes_str("before"));
	assert_int_equal(chan_send(p.sess, MSG_sv_rename, &rn, -1), 0);
	read_send(&p, 12, conv, 1, 0);
	delete_send(&p, 13, conv);
	put_send(&p, 14, conv, 1, bytes_str("after"));
	for (unsigned seen = 0; seen != 0x1f;) {
		const char *why;

		while (chan_recv(p.sess, &m, 0, &why) != 0)
			pump(&r);
		if (m.type == MSG_vs_stored && m.u.vs_stored.req == 10)
			seen |= 1;
		else if (m.type == MSG_vs_done && m.u.vs_done.req == 11)
			seen |= 2;
		else if ((m.type == MSG_vs_done && m.u.vs_done.req == 12) ||
		    (m.type == MSG_vs_error && m.u.vs_error.req == 12))
			seen |= 4;
		else if (m.type == MSG_vs_deleted)
			seen |= 8;
		else if (m.type == MSG_vs_error && m.u.vs_error.req == 14) {
			assert_int_equal(m.u.vs_error.code, ERR_NO_CONV);
			seen |= 16;
		} else
			assert_true(m.type == MSG_vs_msg ||
			    m.type == MSG_vs_data);
	}
	/* Nobody was accused of anything. */
	assert_null(strstr(logged, "storage.tamper"));
	pair_close(&p);
	rig_stop(&r, true);
	rig_free(&r);
}

static void
renames(void **state)
{
	struct m_sv_rename rn = { .req = 11,
	    .title = bytes_str("  a\tnew\x1btitle") };
	const char *titles[] = { "another", "a new title" };
	uint8_t conv[16] = { 0 }, other[16] = { 0 };
	struct pair p;
	struct rig r;
	struct msg m;

	(void)state;
	rig_new(&r);
	user_new(&r, "alice", &alice);
	login(&r, &p, &alice, "alice");
	(void)put_text(&r, &p, conv, 1, "question");
	(void)put_text(&r, &p, other, 1, "another");
	memcpy(rn.conv, conv, 16);
	assert_int_equal(chan_send(p.sess, MSG_sv_rename, &rn, -1), 0);
	expect(&r, p.sess, MSG_vs_done, &m);
	/* It keeps its place and goes on. */
	list_titles(&r, &p, titles, 2);
	restart(&r, &p);
	list_titles(&r, &p, titles, 2);
	assert_true(put_text(&r, &p, conv, 2, "answer") == 2);
	list_titles(&r, &p, (const char *[]){ "a new title", "another" }, 2);
	rn.title = bytes_str(" \n ");
	assert_int_equal(chan_send(p.sess, MSG_sv_rename, &rn, -1), 0);
	expect_error(&r, &p, 11, ERR_BAD);
	memset(rn.conv, 7, 16);
	assert_int_equal(chan_send(p.sess, MSG_sv_rename, &rn, -1), 0);
	expect_error(&r, &p, 11, ERR_NO_CONV);
	pair_close(&p);
	rig_stop(&r, true);
	rig_free(&r);
}

static void
imports(void **state)
{
	struct m_sv_import im = { .req = 5, .kind = 1, .time_us = 12345,
	    .title = bytes_str("from elsewhere"), .len = 4 };
	struct m_sv_data d = { .req = 5, .data = bytes_str("text") };
	struct pair p;
	struct rig r;
	struct msg m;

	(void)state;
	rig_new(&r);
	user_new(&r, "alice", &alice);
	login(&r, &p, &alice, "alice");
	assert_int_equal(chan_send(p.sess, MSG_sv_import, &im, -1), 0);
	assert_int_equal(chan_send(p.sess, MSG_sv_data, &d, -1), 0);
	expect(&r, p.sess, MSG_vs_stored, &m);
	memcpy(im.conv, m.u.vs_stored.conv, 16);
	im.kind = 2;
	im.finish = FINISH_CANCELLED;
	im.model = bytes_str("a model of old");
	assert_int_equal(chan_send(p.sess, MSG_sv_import, &im, -1), 0);
	assert_int_equal(chan_send(p.sess, MSG_sv_data, &d, -1), 0);
	expect(&r, p.sess, MSG_vs_stored, &m);
	assert_true(m.u.vs_stored.number == 2);
	list_titles(&r, &p, (const char *[]){ "from elsewhere" }, 1);
	read_send(&p, 7, im.conv, 2, 0);
	expect(&r, p.sess, MSG_vs_msg, &m);
	assert_true(m.u.vs_msg.time_us == 12345);
	assert_int_equal(m.u.vs_msg.finish, FINISH_CANCELLED);
	assert_true(bytes_eq(m.u.vs_msg.model, im.model));
	expect(&r, p.sess, MSG_vs_data, &m);
	expect(&r, p.sess, MSG_vs_done, &m);
	/* No kind that a chat could not go on with. */
	for (unsigned kind = 0; kind < 6; kind++) {
		im.kind = kind == 0 || kind > 4 ? (uint8_t)kind : 4;
		assert_int_equal(chan_send(p.sess, MSG_sv_import, &im, -1), 0);
		assert_int_equal(chan_send(p.sess, MSG_sv_data, &d, -1), 0);
		expect_error(&r, &p, 5, ERR_BAD);
	}
	pair_close(&p);
	rig_stop(&r, true);
	rig_free(&r);
}

static void
stored_as(struct rig *r, struct pair *p, uint64_t number, uint8_t conv[16])
{
	struct msg m;

	expect(r, p->sess, MSG_vs_stored, &m);
	assert_true(m.u.vs_stored.number == number);
	memcpy(conv, m.u.vs_stored.conv, 16);
}

/* A system prompt begins a conversation; the question gives it its title. */
static void
system_prompts(void **state)
{
	uint8_t conv[16];
	struct pair p;
	struct rig r;
	struct msg m;

	(void)state;
	rig_new(&r);
	user_new(&r, "alice", &alice);
	login(&r, &p, &alice, "alice");
	put_send(&p, 1, zero_conv, 3, bytes_str("be brief"));
	stored_as(&r, &p, 1, conv);
	list_titles(&r, &p, (const char *[]){ "" }, 1);
	put_send(&p, 2, conv, 1, bytes_str("a question"));
	stored_as(&r, &p, 2, conv);
	list_titles(&r, &p, (const char *[]){ "a question" }, 1);
	put_send(&p, 3, conv, 3, bytes_str(""));
	stored_as(&r, &p, 3, conv);
	put_send(&p, 4, conv, 1, bytes_str("another question"));
	stored_as(&r, &p, 4, conv);
	list_titles(&r, &p, (const char *[]){ "a question" }, 1);
	pair_close(&p);
	rig_stop(&r, true);
	/* It is so after a start, too. */
	assert_int_equal(rig_start(&r, false), 0);
	login(&r, &p, &alice, "alice");
	list_titles(&r, &p, (const char *[]){ "a question" }, 1);
	read_send(&p, 7, conv, 1, 1);
	expect(&r, p.sess, MSG_vs_msg, &m);
	assert_int_equal(m.u.vs_msg.kind, 3);
	pair_close(&p);
	rig_stop(&r, true);
	rig_free(&r);
}

static void
withdraw_send(struct pair *p, uint32_t req, const uint8_t conv[16],
    uint64_t last)
{
	struct m_sv_withdraw m = { .req = req, .last = last };

	memcpy(m.conv, conv, 16);
	memset(m.mac, 9, sizeof(m.mac));
	assert_int_equal(chan_send(p->sess, MSG_sv_withdraw, &m, -1), 0);
}

/* An exchange is withdrawn by one more message, and only by who knows the last. */
static void
withdrawals(void **state)
{
	uint8_t conv[16];
	struct pair p;
	struct rig r;
	struct msg m;

	(void)state;
	rig_new(&r);
	user_new(&r, "alice", &alice);
	login(&r, &p, &alice, "alice");
	put_send(&p, 1, zero_conv, 1, bytes_str("a question"));
	stored_as(&r, &p, 1, conv);
	put_send(&p, 2, conv, 2, bytes_str("an answer"));
	stored_as(&r, &p, 2, conv);
	withdraw_send(&p, 3, conv, 1);
	expect_error(&r, &p, 3, ERR_CHANGED);
	withdraw_send(&p, 3, conv, 3);
	expect_error(&r, &p, 3, ERR_CHANGED);
	withdraw_send(&p, 3, conv, 0);
	expect_error(&r, &p, 3, ERR_BAD);
	withdraw_send(&p, 3, conv, 2);
	stored_as(&r, &p, 3, conv);
	/* Of two at once, one is too late. */
	put_send(&p, 4, conv, 1, bytes_str("meanwhile"));
	withdraw_send(&p, 5, conv, 3);
	stored_as(&r, &p, 4, conv);
	expect_error(&r, &p, 5, ERR_CHANGED);
	pair_close(&p);
	rig_stop(&r, true);
	assert_int_equal(rig_start(&r, false), 0);
	login(&r, &p, &alice, "alice");
	read_send(&p, 7, conv, 3, 1);
	expect(&r, p.sess, MSG_vs_msg, &m);
	assert_int_equal(m.u.vs_msg.kind, 4);
	assert_int_equal(m.u.vs_msg.len, 0);
	expect(&r, p.sess, MSG_vs_done, &m);
	list_titles(&r, &p, (const char *[]){ "a question" }, 1);
	pair_close(&p);
	rig_stop(&r, true);
	rig_free(&r);
}

static void
found(struct rig *r, struct pair *p, const uint8_t conv[16], uint64_t number,
    const char *excerpt)
{
	struct msg m;

	expect(r, p->sess, MSG_vs_found, &m);
	assert_memory_equal(m.u.vs_found.conv, conv, 16);
	assert_true(m.u.vs_found.number == number);
	if (!bytes_eq(m.u.vs_found.excerpt, bytes_str(excerpt)))
		fail_msg("%.*s", (int)m.u.vs_found.excerpt.n,
		    (const char *)m.u.vs_found.excerpt.p);
}

/* What was withdrawn is not found, whatever of it would be. */
static void
searches_what_stands(void **state)
{
	struct m_sv_search q = { .req = 6, .words = bytes_str("word") };
	uint8_t conv[16];
	struct pair p;
	struct rig r;
	struct msg m;

	(void)state;
	rig_new(&r);
	user_new(&r, "alice", &alice);
	login(&r, &p, &alice, "alice");
	memset(conv, 0, sizeof(conv));
	(void)put_text(&r, &p, conv, 1, "title");
	(void)put_text(&r, &p, conv, 2, "word one");
	(void)put_text(&r, &p, conv, 1, "word two");
	(void)put_text(&r, &p, conv, 3, "word three");
	(void)put_text(&r, &p, conv, 2, "word four");
	withdraw_send(&p, 3, conv, 5);
	stored_as(&r, &p, 6, conv);
	(void)put_text(&r, &p, conv, 2, "word seven, too late");
	(void)put_text(&r, &p, conv, 1, "word eight");
	assert_int_equal(chan_send(p.sess, MSG_sv_search, &q, -1), 0);
	found(&r, &p, conv, 2, "word one");
	found(&r, &p, conv, 4, "word three");
	found(&r, &p, conv, 8, "word eight");
	expect(&r, p.sess, MSG_vs_done, &m);
	for (uint64_t last = 8; last < 11; last++) {
		withdraw_send(&p, 3, conv, last);
		stored_as(&r, &p, last + 1, conv);
	}
	assert_int_equal(chan_send(p.sess, MSG_sv_search, &q, -1), 0);
	found(&r, &p, conv, 4, "word three");
	expect(&r, p.sess, MSG_vs_done, &m);
	pair_close(&p);
	rig_stop(&r, true);
	rig_free(&r);
}

static void
searches(void **state)
{
	struct m_sv_search q = { .req = 6, .words = bytes_str("ÄPFEL und") };
	uint8_t a[16] = { 0 }, b[16] = { 0 }, c[16] = { 0 };
	struct m_sv_cancel cancel = { .req = 6 };
	struct row *row;
	struct pair p, other;
	struct rig r;
	struct msg m;

	(void)state;
	rig_new(&r);
	user_new(&r, "alice", &alice);
	user_new(&r, "bob", &bob);
	login(&r, &p, &alice, "alice");
	login(&r, &other, &bob, "bob");
	(void)put_text(&r, &p, a, 1, "Birnen und äpfel");
	(void)put_text(&r, &p, a, 2, "nothing");
	(void)put_text(&r, &p, b, 1, "only Äpfel");
	(void)put_text(&r, &p, b, 2, "x\nUND Äpfel");
	(void)put_text(&r, &other, c, 1, "bob's Äpfel und mehr");
	assert_int_equal(chan_send(p.sess, MSG_sv_search, &q, -1), 0);
	found(&r, &p, b, 2, "x UND Äpfel");
	found(&r, &p, a, 0, "");
	found(&r, &p, a, 1, "Birnen und äpfel");
	expect(&r, p.sess, MSG_vs_done, &m);
	/* As many as are wanted. */
	q.limit = 1;
	assert_int_equal(chan_send(p.sess, MSG_sv_search, &q, -1), 0);
	found(&r, &p, b, 2, "x UND Äpfel");
	expect(&r, p.sess, MSG_vs_done, &m);
	q.words = bytes_str("  ");
	assert_int_equal(chan_send(p.sess, MSG_sv_search, &q, -1), 0);
	expect_error(&r, &p, 6, ERR_BAD);
	/* Cancelled: not a word more, and room for others. */
	q.words = bytes_str("e");
	for (int i = 0; i < 5; i++) {
		assert_int_equal(chan_send(p.sess, MSG_sv_search, &q, -1), 0);
		assert_int_equal(chan_send(p.sess, MSG_sv_cancel, &cancel, -1),
		    0);
	}
	assert_int_equal(chan_send(p.sess, MSG_sv_cancel, &cancel, -1), 0);
	for (int i = 0; i < 20; i++)
		pump(&r);
	/* A conversation that was changed is left out aloud, the other not. */
	for (size_t i = 0; (row = row_kind(r.store, 'M', i)) != NULL; i++)
		if (memcmp(row->key + 1, b, 16) == 0)
			row->value[60] ^= 1;
	q.req = 7;
	q.limit = 0;
	q.words = bytes_str("äpfel");
	assert_int_equal(chan_send(p.sess, MSG_sv_search, &q, -1), 0);
	do
		expect(&r, p.sess, MSG_vs_found, &m);
	while (m.u.vs_found.req != 7);
	assert_int_equal(m.u.vs_found.kind, 0);	/* b's title */
	expect(&r, p.sess, MSG_vs_found, &m);
	assert_memory_equal(m.u.vs_found.conv, b, 16);
	assert_non_null(memmem(m.u.vs_found.excerpt.p, m.u.vs_found.excerpt.n,
	    "not searched", 12));
	found(&r, &p, a, 0, "");
	found(&r, &p, a, 1, "Birnen und äpfel");
	expect(&r, p.sess, MSG_vs_done, &m);
	assert_non_null(strstr(logged, "storage.tamper|alice|"));
	pair_close(&p);
	pair_close(&other);
	rig_stop(&r, true);
	rig_free(&r);
}

/*
 * Every step of a turn, interrupted behind it, goes on at the next start; what
 * is the command that begins it.
 */
static void
resume(enum msg_type type, const void *what)
{
	uint8_t conv[8][16] = { { 0 } };
	struct pair p;
	struct rig r;
	bool whole = false;

	rig_new(&r);
	user_new(&r, "alice", &alice);
	login(&r, &p, &alice, "alice");
	for (int i = 0; i < 8; i++)
		(void)put_text(&r, &p, conv[i], 1, "text");
	pair_close(&p);
	for (int cut = 0; !whole; cut++) {
		struct chan *c;
		uint32_t epoch = r.v->keys->anchor.epoch[0].epoch;

		login(&r, &p, &alice, "alice");
		(void)put_text(&r, &p, conv[7], 1, "text");
		memset(conv[7], 0, 16);
		(void)put_text(&r, &p, conv[7], 1, "to be deleted");
		delete_conv(&r, &p, conv[7]);
		memset(conv[7], 0, 16);
		(void)put_text(&r, &p, conv[7], 1, "text");
		pair_close(&p);
		c = admin_open(&r);
		assert_int_equal(chan_send(c, type, what, -1), 0);
		for (int i = 0; i < cut; i++)
			pump(&r);
		whole = r.v->keys->anchor.nepochs == 1 &&
		    r.v->keys->anchor.epoch[0].epoch > epoch;
		chan_free(c);
		r.v->nadmins = 0;	/* it is not waited for */
		rig_stop(&r, false);
		assert_int_equal(rig_start(&r, false), 0);
		r.v->nadmins = 0;
		for (int i = 0; i < WAIT_TRIES &&
		    r.v->keys->anchor.nepochs == 2; i++)
			pump(&r);
		assert_int_equal(r.v->keys->anchor.nepochs, 1);
		wait_count(&r, 'R', 1);
		assert_int_equal(r.v->keyfile.ngens, 1);
		login(&r, &p, &alice, "alice");
		for (int i = 0; i < 8; i++) {
			struct msg m;

			read_send(&p, 7, conv[i], 1, 1);
			expect_text(&r, &p, 1, 1, bytes_str("text"));
			expect(&r, p.sess, MSG_vs_done, &m);
		}
		pair_close(&p);
		for (int i = 0; i < WAIT_TRIES && any_worker(&r); i++)
			pump(&r);
	}
	assert_null(strstr(logged, "storage.tamper"));
	rig_stop(&r, true);
	rig_free(&r);
}

static void
turns_resume(void **state)
{
	struct m_av_shred q = { 0 };

	(void)state;
	resume(MSG_av_shred, &q);
}

static void
rotations_resume(void **state)
{
	(void)state;
	resume(MSG_av_rotate, NULL);
}

/* A new storage key: the old one, and the old key file, open nothing. */
static void
rotates(void **state)
{
	uint8_t conv[16], old[SEAL_KEYLEN];
	struct keyfile before;
	struct chan *c;
	struct pair p;
	struct rig r;
	struct msg m;

	(void)state;
	two_users(&r, conv);
	before = r.v->keyfile;
	memcpy(old, r.v->keys->sk[0], sizeof(old));
	for (uint32_t gen = 2; gen < 4; gen++) {
		c = admin_open(&r);
		assert_int_equal(chan_send(c, MSG_av_rotate, NULL, -1), 0);
		expect(&r, c, MSG_va_done, &m);
		chan_free(c);
		wait_count(&r, 'R', 1);
		assert_int_equal(r.v->keys->anchor.epoch[0].gen, gen);
		assert_int_equal(r.v->keyfile.ngens, 1);
		assert_int_equal(r.v->keyfile.gen[0].gen, gen);
		assert_memory_not_equal(r.v->keys->sk[0], old, sizeof(old));
		rig_stop(&r, true);
		assert_int_equal(rig_start(&r, false), 0);
		login(&r, &p, &alice, "alice");
		read_send(&p, 7, conv, 1, 0);
		expect_text(&r, &p, 1, 1, bytes_str("question"));
		expect_text(&r, &p, 2, 2, bytes_str("answer"));
		expect(&r, p.sess, MSG_vs_done, &m);
		pair_close(&p);
	}
	assert_int_not_equal(anchor_verify(&r.v->keys->anchor, old), 0);
	rig_stop(&r, true);
	assert_int_equal(keyfile_write_both(r.keyfile, &before), 0);
	assert_int_equal(rig_start(&r, false), -1);
	assert_non_null(strstr(r.v->why, "no share of generation 3"));
	rig_stop(&r, false);
	rig_free(&r);
}

/* A data key that does not open: nothing is shredded, unless it is given up. */
static void
turn_is_held(void **state)
{
	uint8_t conv[2][16] = { { 0 } };
	struct pair p;
	struct rig r;
	struct row *d;
	uint32_t epoch;

	(void)state;
	rig_new(&r);
	user_new(&r, "alice", &alice);
	login(&r, &p, &alice, "alice");
	for (int i = 0; i < 2; i++)
		(void)put_text(&r, &p, conv[i], 1, "text");
	delete_conv(&r, &p, conv[0]);
	d = row_kind(r.store, 'D', 0);
	d->value[30] ^= 1;
	epoch = r.v->keys->anchor.epoch[0].epoch;
	shred(&r, 0, false, "data keys of 1 conversations are missing");
	assert_int_equal(r.v->keys->anchor.epoch[0].epoch, epoch);
	assert_non_null(strstr(logged, "storage.tamper|alice|"));
	assert_non_null(strstr(logged, "storage.shred.held"));
	/* Repaired, it goes on; or it is given up. */
	d->value[30] ^= 1;
	shred(&r, 0, true, "1 deleted conversations shredded, 1 data keys");
	delete_conv(&r, &p, conv[1]);
	memset(conv[0], 0, 16);
	(void)put_text(&r, &p, conv[0], 1, "text");
	row_kind(r.store, 'D', 0)->value[30] ^= 1;
	shred(&r, 1, true, "1 deleted conversations shredded, 0 data keys");
	assert_non_null(strstr(logged, "storage.shred.lost"));
	assert_true(r.v->keys->anchor.epoch[0].epoch == epoch + 2);
	pair_close(&p);
	rig_stop(&r, true);
	rig_free(&r);
}

/* The tombstone says what is to be shredded: that it went is noticed. */
static void
tombs_are_counted(void **state)
{
	uint8_t conv[16];
	struct pair p;
	struct rig r;

	(void)state;
	two_users(&r, conv);
	login(&r, &p, &alice, "alice");
	delete_conv(&r, &p, conv);
	wait_count(&r, 'M', 0);
	pair_close(&p);
	rig_stop(&r, true);
	row_del(r.store, bytes_of(row_kind(r.store, 'X', 0)->key, 17));
	assert_int_equal(rig_start(&r, false), -1);
	assert_non_null(strstr(r.v->why, "do not add up"));
	rig_stop(&r, false);
	rig_free(&r);
}

static void
remove_send(struct rig *r, const char *name, uint8_t erase, bool ok,
    const char *says)
{
	struct m_av_user_remove q = { .erase = erase,
	    .name = bytes_str(name) };
	struct chan *c = admin_open(r);
	struct bytes text;
	struct msg m;

	assert_int_equal(chan_send(c, MSG_av_user_remove, &q, -1), 0);
	expect(r, c, ok ? MSG_va_done : MSG_va_error, &m);
	text = ok ? m.u.va_done.text : m.u.va_error.text;
	if (memmem(text.p, text.n, says, strlen(says)) == NULL)
		fail_msg("%.*s", (int)text.n, (const char *)text.p);
	chan_free(c);
}

/* What was under way is answered, then the channel ends. */
static void
expect_gone(struct rig *r, struct pair *p)
{
	const char *why;
	struct msg m;

	for (int i = 0; i < WAIT_TRIES; i++) {
		if (chan_recv(p->sess, &m, 0, &why) == 1) {
			pair_close(p);
			return;
		}
		pump(r);
	}
	fail_msg("the session goes on");
}

static void
users_are_erased(void **state)
{
	uint8_t conv[300][16] = { { 0 } }, bobs[16] = { 0 };
	struct pair p, q;
	struct rig r;

	(void)state;
	rig_new(&r);
	user_new(&r, "alice", &alice);
	user_new(&r, "bob", &bob);
	login(&r, &p, &alice, "alice");
	login(&r, &q, &bob, "bob");
	(void)put_text(&r, &q, bobs, 1, "bob's");
	for (int i = 0; i < 300; i++)
		(void)put_text(&r, &p, conv[i], 1, "text");
	remove_send(&r, "nobody", 1, false, "there is no user nobody");
	remove_send(&r, "alice", 0, false, "has 300 conversations");
	/* Without a word about what is being stored meanwhile. */
	put_send(&p, 8, conv[0], 1, bytes_str("more"));
	put_send(&p, 9, zero_conv, 1, bytes_str("a new one"));
	remove_send(&r, "alice", 1, true, "user alice and 30");
	expect_gone(&r, &p);
	wait_count(&r, 'M', 1);
	assert_int_equal(count(&r, 'C'), 1);
	assert_int_equal(count(&r, 'L'), 1);
	assert_int_equal(count(&r, 'D'), 1);
	assert_int_equal(count(&r, 'U'), 1);
	assert_int_equal(count(&r, 'K'), 1);
	assert_int_equal(count(&r, 'k'), 1);
	shred(&r, 0, true, "deleted conversations shredded, 1 data keys");
	wait_count(&r, 'X', 0);
	assert_int_equal(r.v->nusers, 1);
	/* The name and the key are free. */
	user_new(&r, "alice", &alice);
	pair_close(&q);
	restart(&r, NULL);
	login(&r, &p, &alice, "alice");
	list_titles(&r, &p, NULL, 0);
	pair_close(&p);
	rig_stop(&r, true);
	rig_free(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(deletes),
		cmocka_unit_test(deletes_in_turn),
		cmocka_unit_test(renames),
		cmocka_unit_test(imports),
		cmocka_unit_test(system_prompts),
		cmocka_unit_test(withdrawals),
		cmocka_unit_test(searches),
		cmocka_unit_test(searches_what_stands),
		cmocka_unit_test(turns_resume),
		cmocka_unit_test(rotates),
		cmocka_unit_test(rotations_resume),
		cmocka_unit_test(turn_is_held),
		cmocka_unit_test(tombs_are_counted),
		cmocka_unit_test(users_are_erased),
	};

	(void)setlocale(LC_CTYPE, "C.UTF-8");
	return cmocka_run_group_tests(tests, keys, keys_free);
}
