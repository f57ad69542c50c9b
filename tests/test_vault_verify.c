/*
 * cloisterctl storage verify finds what an engine did to each kind of record;
 * backups keep epochs from ending, and end when nobody goes on with them.
 */
#include "codes.h"
#include "vault_rig.h"

/* What is done to the store, and what is said of it then. */
struct harm {
	const char	*name;
	uint8_t		 kind;
	enum { FLIP, DROP, COPY_KEY } what;
	const char	*says;
};

static const struct harm harms[] = {
	{ "a message changed", 'M', FLIP, "a message is missing, or does not" },
	{ "a message dropped", 'M', DROP, "a message is missing, or does not" },
	{ "a message too many", 'M', COPY_KEY, "belongs to nothing" },
	{ "a data key changed", 'D', FLIP, "its data key" },
	{ "a data key dropped", 'D', DROP, "its data key" },
	{ "a data key too many", 'D', COPY_KEY, "belongs to nothing" },
	{ "an entry changed", 'L', FLIP, "its entry in the list" },
	{ "an entry dropped", 'L', DROP, "its entry in the list" },
	{ "an entry too many", 'L', COPY_KEY, "belongs to nothing" },
	{ "a head changed", 'C', FLIP, "its head does not verify" },
	{ "a head dropped", 'C', DROP, "its head is missing" },
	{ "a head too many", 'C', COPY_KEY, "belongs to nothing" },
};

static void
hurt(struct store *s, const struct harm *h)
{
	struct row *row;
	uint8_t key[80];
	size_t n;

	pthread_mutex_lock(&s->lock);
	row = row_kind(s, h->kind, 0);
	assert_non_null(row);
	switch (h->what) {
	case FLIP:
		row->value[row->value_n - 1] ^= 1;
		break;
	case DROP:
		row_del(s, bytes_of(row->key, row->key_n));
		break;
	default:
		memcpy(key, row->key, n = row->key_n);
		key[n - (h->kind == 'M' ? 3 : 1)] ^= 0x40;
		row_put(s, bytes_of(key, n), bytes_of(row->value,
		    row->value_n));
		break;
	}
	pthread_mutex_unlock(&s->lock);
}

/* Its last word, and in said everything before that. */
static bool
verify(struct rig *r, char said[1024], char last[513])
{
	struct chan *c = admin_open(r);
	size_t n = 0;
	struct msg m;
	const char *why;
	int rv = -1;

	said[0] = '\0';
	assert_int_equal(chan_send(c, MSG_av_verify, NULL, -1), 0);
	for (;;) {
		for (rv = -1; rv == -1; pump(r))
			rv = chan_recv(c, &m, 0, &why);
		assert_int_equal(rv, 0);
		if (m.type != MSG_va_info)
			break;
		n += (size_t)snprintf(said + n, 1024 - n, "%.*s\n",
		    (int)m.u.va_info.value.n,
		    (const char *)m.u.va_info.value.p);
		assert_in_range(n, 1, 1023);
	}
	assert_int_equal(msg_text(last, 513, m.type == MSG_va_done ?
	    m.u.va_done.text : m.u.va_error.text), 0);
	rv = m.type == MSG_va_done;
	chan_free(c);
	return rv;
}

static void
finds_every_harm(void **state)
{
	char said[1024], last[513];
	uint8_t conv[16];

	(void)state;
	for (size_t i = 0; i < sizeof(harms) / sizeof(harms[0]); i++) {
		const struct harm *h = &harms[i];
		struct rig r;

		two_users(&r, conv);
		assert_true(verify(&r, said, last));
		assert_string_equal(said, "");
		assert_non_null(strstr(last, "2 users, 1 conversations, 2 "
		    "messages; "));
		hurt(r.store, h);
		if (verify(&r, said, last) || strstr(said, h->says) == NULL)
			fail_msg("%s: %s %s", h->name, said, last);
		rig_stop(&r, true);
		rig_free(&r);
	}
}

/* While a user writes and deletes: nothing is found that is not so. */
static void
while_it_changes(void **state)
{
	struct m_sv_delete d = { .req = 7 };
	char said[1024], last[513];
	uint8_t conv[8][16] = { { 0 } };
	struct chan *c;
	struct pair p;
	struct rig r;
	struct msg m;

	(void)state;
	rig_new(&r);
	user_new(&r, "alice", &alice);
	login(&r, &p, &alice, "alice");
	for (int i = 0; i < 8; i++)
		(void)put_text(&r, &p, conv[i], 1, "text");
	c = admin_open(&r);
	assert_int_equal(chan_send(c, MSG_av_verify, NULL, -1), 0);
	for (int i = 0; i < 4; i++) {
		memcpy(d.conv, conv[i], 16);
		assert_int_equal(chan_send(p.sess, MSG_sv_delete, &d, -1), 0);
		expect(&r, p.sess, MSG_vs_deleted, &m);
		(void)put_text(&r, &p, conv[4 + i], 2, "more");
	}
	expect(&r, c, MSG_va_done, &m);
	chan_free(c);
	pair_close(&p);
	assert_true(verify(&r, said, last));
	rig_stop(&r, true);
	rig_free(&r);
}

static void
step(struct rig *r, struct chan *c, uint8_t op, uint32_t log, bool ok,
    const char *says)
{
	struct m_av_backup q = { .op = op, .log = log };
	struct bytes text;
	struct msg m;

	assert_int_equal(chan_send(c, MSG_av_backup, &q, -1), 0);
	if (ok) {
		expect(r, c, MSG_va_backup, &m);
		assert_true(m.u.va_backup.oldest == 1 &&
		    m.u.va_backup.first == 2 && m.u.va_backup.last == 3 &&
		    m.u.va_backup.last_bytes == 4);
		assert_true(bytes_eq(m.u.va_backup.data, bytes_str(says)));
		expect(r, c, MSG_va_done, &m);
		return;
	}
	expect(r, c, MSG_va_error, &m);
	text = m.u.va_error.text;
	if (memmem(text.p, text.n, says, strlen(says)) == NULL)
		fail_msg("%.*s", (int)text.n, (const char *)text.p);
}

static void
backups(void **state)
{
	uint8_t conv[16];
	struct chan *a, *b;
	struct m_av_shred shred = { .force = 0 };
	struct rig r;
	struct msg m;

	(void)state;
	two_users(&r, conv);
	a = admin_open(&r);
	b = admin_open(&r);
	step(&r, a, COPY_READ, 0, false, "no backup is under way");
	step(&r, a, COPY_OPS, 0, false, "no such step");
	step(&r, a, COPY_BEGIN, 0, true, "");
	step(&r, a, COPY_BEGIN, 0, false, "another backup");
	step(&r, b, COPY_BEGIN, 0, false, "another backup");
	step(&r, b, COPY_READ, 0, false, "no backup is under way");
	step(&r, a, COPY_READ, 0, true, "a file");
	step(&r, a, COPY_READ, 404, false, "no such file");
	/* No epoch ends meanwhile. */
	assert_int_equal(chan_send(b, MSG_av_shred, &shred, -1), 0);
	expect(&r, b, MSG_va_error, &m);
	assert_int_equal(chan_send(b, MSG_av_rotate, NULL, -1), 0);
	expect(&r, b, MSG_va_error, &m);
	step(&r, a, COPY_MARK, 0, true, "");
	assert_null(strstr(logged, "storage.backup||last_log"));
	step(&r, a, COPY_END, 3, true, "");
	assert_non_null(strstr(logged, "storage.backup||last_log=3"));
	step(&r, a, COPY_READ, 0, false, "no backup is under way");
	/* Who goes away ends theirs. */
	step(&r, b, COPY_BEGIN, 0, true, "");
	chan_free(b);
	for (int i = 0; i < WAIT_TRIES && r.v->nadmins > 1; i++)
		pump(&r);
	step(&r, a, COPY_BEGIN, 0, true, "");
	step(&r, a, COPY_END, 0, true, "");
	assert_int_equal(chan_send(a, MSG_av_shred, &shred, -1), 0);
	expect(&r, a, MSG_va_done, &m);
	chan_free(a);
	rig_stop(&r, true);
	rig_free(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_every_harm),
		cmocka_unit_test(while_it_changes),
		cmocka_unit_test(backups),
	};

	return cmocka_run_group_tests(tests, keys, keys_free);
}
