/*
 * The vault among hostile peers: a session worker with a user, workers without
 * one, cloisterctl, an llmproxy, and an engine that changes what it stores.
 * Nobody sees another user's text, and what was changed is never shown.
 */
#include "fuzz.h"

#include "vault_rig.h"

static struct rig base, rig;
static struct pair live, inert;
static int admin;
static uint8_t conv_a[32], conv_b[32];
static bool wrote;			/* this input stored a message */
static bool tampered;			/* from then on it only reads: a write */
					/* that conflicts ends the vault */
static bool nonce_given;
static uint64_t ask_id;

static void
copy_file(int to, int from)
{
	uint8_t b[SLOT_FILE_BYTES];
	ssize_t n = pread(from, b, sizeof(b), 0);

	need(n >= 0);
	fz_fill(to, bytes_of(b, (size_t)n));
}

/* Alice and Bob have one conversation each. */
static void
fuzz_setup(void)
{
	struct pair p;

	log_set_sink(fz_no_log);
	need((keyd_wrap = rsa_generate(RSA_USE_WRAP, 3072, 0)) != NULL);
	ident_new(&alice);
	ident_new(&bob);
	rig_new(&base);
	user_new(&base, "alice", &alice);
	user_new(&base, "bob", &bob);
	login(&base, &p, &alice, "alice");
	(void)put_text(&base, &p, conv_a, 1, "question");
	(void)put_text(&base, &p, conv_a, 2, "answer");
	pair_close(&p);
	login(&base, &p, &bob, "bob");
	(void)put_text(&base, &p, conv_b, 1, "bob's secret");
	pair_close(&p);
	rig_stop(&base, true);
	rig.anchor = memfd_create("anchor", MFD_CLOEXEC);
	rig.keyfile = memfd_create("keyfile", MFD_CLOEXEC);
	fz_known[0] = conv_a;
	fz_known[1] = conv_b;
}

enum { V_SESS, V_INERT, V_KEX, V_ADMIN, V_LLM, V_TAMPER, V_NONCE, V_END, V_ALL };

static void
say(struct buf *b, uint8_t who, enum msg_type type, const char *fields)
{
	buf_u8(b, who);
	if (who == V_SESS)
		buf_u8(b, 0);
	fz_script(b, type, fields);
}

static void
fuzz_seeds(void)
{
	struct buf b = BUF_INIT(4096);

	say(&b, V_SESS, MSG_sv_ready, "3");
	say(&b, V_SESS, MSG_sv_list, "1 10 :");
	say(&b, V_SESS, MSG_sv_read, "2 1 1 0");
	say(&b, V_SESS, MSG_sv_read, "3 2 1 1");
	say(&b, V_SESS, MSG_sv_models, "4");
	say(&b, V_SESS, MSG_sv_open_model, "5 :");
	say(&b, V_SESS, MSG_sv_open_model, "6 :nosuch");
	fuzz_seed(NULL, 0, buf_bytes(&b));
	buf_reset(&b);
	say(&b, V_SESS, MSG_sv_put, "1 1 1 0 0 0 7 : 5 :");
	say(&b, V_SESS, MSG_sv_put, "2 0 1 0 0 0 7 : 2 :");
	say(&b, V_SESS, MSG_sv_data, "1 :hello");
	say(&b, V_SESS, MSG_sv_data, "2 :hi");
	say(&b, V_SESS, MSG_sv_put, "3 1 2 1 5 6 7 :small 2 :");
	say(&b, V_SESS, MSG_sv_data, "3 :ok");
	say(&b, V_SESS, MSG_sv_read, "4 1 1 0");
	fuzz_seed(NULL, 0, buf_bytes(&b));
	buf_reset(&b);
	say(&b, V_SESS, MSG_sv_put, "1 0 3 0 0 0 7 : 5 :");
	say(&b, V_SESS, MSG_sv_data, "1 :brief");
	say(&b, V_SESS, MSG_sv_withdraw, "2 1 1 7");
	say(&b, V_SESS, MSG_sv_withdraw, "3 1 2 7");
	say(&b, V_SESS, MSG_sv_read, "4 1 1 0");
	fuzz_seed(NULL, 0, buf_bytes(&b));
	buf_reset(&b);
	say(&b, V_SESS, MSG_sv_search, "1 0 :hello");
	say(&b, V_SESS, MSG_sv_rename, "2 1 :title");
	say(&b, V_SESS, MSG_sv_import, "3 0 1 0 5 0 0 7 : :title 2");
	say(&b, V_SESS, MSG_sv_data, "3 :hi");
	say(&b, V_SESS, MSG_sv_cancel, "1");
	say(&b, V_SESS, MSG_sv_read, "4 1 1 0");
	say(&b, V_SESS, MSG_sv_delete, "5 1");
	say(&b, V_SESS, MSG_sv_list, "6 10 :");
	say(&b, V_ADMIN, MSG_av_shred, "0");
	fuzz_seed(NULL, 0, buf_bytes(&b));
	buf_reset(&b);
	say(&b, V_ADMIN, MSG_av_user_remove, "0 :alice");
	say(&b, V_ADMIN, MSG_av_user_remove, "1 :alice");
	say(&b, V_ADMIN, MSG_av_shred, "1");
	fuzz_seed(NULL, 0, buf_bytes(&b));
	buf_reset(&b);
	say(&b, V_ADMIN, MSG_av_user_list, "");
	say(&b, V_ADMIN, MSG_av_user_add, ":carol");
	say(&b, V_ADMIN, MSG_av_status, "");
	say(&b, V_ADMIN, MSG_av_key_add, ":carol :a :b :c :label");
	say(&b, V_ADMIN, MSG_av_key_list, ":alice");
	say(&b, V_ADMIN, MSG_av_key_revoke, ":alice :0123456789abcdef");
	say(&b, V_ADMIN, MSG_av_session_list, "");
	say(&b, V_ADMIN, MSG_av_session_kill, ":bob");
	say(&b, V_ADMIN, MSG_av_user_state, "2 :alice");
	say(&b, V_ADMIN, MSG_av_user_state, "1 :alice");
	fuzz_seed(NULL, 0, buf_bytes(&b));
	buf_reset(&b);
	say(&b, V_ADMIN, MSG_av_model_set, "0 :alice :small");
	say(&b, V_SESS, MSG_sv_open_model, "5 :");
	say(&b, V_SESS, MSG_sv_open_model, "6 :small");
	say(&b, V_ADMIN, MSG_av_model_set, "0 :alice :");
	say(&b, V_SESS, MSG_sv_models, "7");
	say(&b, V_ADMIN, MSG_av_model_list, ":alice");
	say(&b, V_ADMIN, MSG_av_user_limit, ":alice :aaaaaaaaa");
	say(&b, V_ADMIN, MSG_av_user_show, ":alice");
	say(&b, V_LLM, MSG_lv_health, "4 :unreachable");
	say(&b, V_ADMIN, MSG_av_metrics, "");
	fuzz_seed(NULL, 0, buf_bytes(&b));
	buf_reset(&b);
	say(&b, V_KEX, MSG_xv_log, ":text");
	buf_u8(&b, V_NONCE);
	say(&b, V_KEX, MSG_xv_auth, "1 2 3 :spki :wrap : :sig");
	buf_u8(&b, V_NONCE);
	say(&b, V_KEX, MSG_xv_auth, "1 2 3 :spki :wrap :0000 :sig");
	say(&b, V_INERT, MSG_sv_models, "1");
	fuzz_seed(NULL, 0, buf_bytes(&b));
	for (uint8_t row = 0; row < 20; row++) {
		buf_reset(&b);
		buf_put(&b, (uint8_t[]){ V_TAMPER, row, (uint8_t)(row % 5), 40,
		    1 }, 5);
		say(&b, V_SESS, MSG_sv_list, "1 10 :");
		say(&b, V_SESS, MSG_sv_read, "2 1 1 0");
		say(&b, V_LLM, MSG_lv_ask, "0 0 :small");
		say(&b, V_LLM, MSG_lv_hello, "1");
		buf_u8(&b, V_END);
		fuzz_seed(NULL, 0, buf_bytes(&b));
	}
	buf_free(&b);
}

/* The engine changes a row: flip, cut, delete, or another row's value. */
static void
tamper_store(struct rd *in)
{
	struct store *s = rig.store;
	uint8_t which = rd_u8(in), how = rd_u8(in), at = rd_u8(in),
	    other = rd_u8(in);
	struct row *r, *o;
	uint8_t *v;

	pthread_mutex_lock(&s->lock);
	if (s->n > 0) {
		r = &s->row[which % s->n];
		o = &s->row[other % s->n];
		switch (how % 5) {
		case 0:
			r->value[at % r->value_n] ^= (uint8_t)(other | 1);
			break;
		case 1:
			/* Shorter values are refused by the codec. */
			r->value_n = KV_VER_BYTES +
			    at % (r->value_n - KV_VER_BYTES + 1);
			break;
		case 2:
			row_del(s, bytes_of(r->key, r->key_n));
			break;
		case 3:
			v = r->value;
			r->value = o->value;
			o->value = v;
			size_t n = r->value_n;

			r->value_n = o->value_n;
			o->value_n = n;
			break;
		case 4:
			s->next_write = at & 1 ? KV_RETRY : KV_FULL;
			break;
		}
	}
	pthread_mutex_unlock(&s->lock);
}

/* What a session is told. */
static void
check_session(struct chan *c, const char *secret)
{
	struct msg m;

	while (c != NULL && fz_next(chan_fd(c), CH_SESS_VAULT, END_A, &m) == 0) {
		if (m.fd != -1)
			close(m.fd);
		if (m.type != MSG_vs_data)
			continue;
		struct bytes d = m.u.vs_data.data;

		need(memmem(d.p, d.n, secret, strlen(secret)) == NULL);
		need(wrote || bytes_eq(d, bytes_str("question")) ||
		    bytes_eq(d, bytes_str("answer")));
	}
}

static void
hear(void)
{
	check_session(live.sess, "bob's secret");
	fz_drain(chan_fd(rig.ctl), CH_CTL, END_A);
	fz_drain(chan_fd(rig.llm), CH_VAULT_LLM, END_B);
	fz_drain(chan_fd(rig.zygote), CH_VAULT_ZYG, END_B);
	if (inert.kex != NULL)
		fz_drain(chan_fd(inert.kex), CH_KEX_VAULT, END_A);
	if (inert.sess != NULL)		/* nobody is admitted */
		fz_drain(chan_fd(inert.sess), CH_SESS_VAULT, END_A);
	if (admin != -1)
		fz_drain(admin, CH_ADMIN, END_A);
}

static void
say_admin(struct rd *in)
{
	struct m_ctl_admin m = { .uid = 1000, .pid = 1 };
	int fd[2];

	if (admin == -1) {
		need(chan_pair(fd, true) == 0);
		fz_tell(chan_fd(rig.ctl), MSG_ctl_admin, &m, fd[1]);
		close(fd[1]);
		admin = fd[0];
		pump(&rig);
	}
	fz_say(in, admin, CH_ADMIN, END_A, NULL);
}

/* Whether something is still to be written. */
static bool
writing(void)
{
	const struct user *u = user_by_name(rig.v, "alice");

	return !commit_idle(rig.v) ||
	    (u != NULL && (u->nchanges > 0 || u->counting > 0));
}

/*
 * A write on records that the engine has changed ends the vault, by design
 * (test_vault_engine.c): afterwards sessions read alone.
 */
static bool
reads(enum msg_type type)
{
	switch (type) {
	case MSG_sv_list:
	case MSG_sv_read:
	case MSG_sv_search:
	case MSG_sv_models:
	case MSG_sv_open_model:
	case MSG_sv_cancel:
	case MSG_sv_ready:
		return true;
	default:
		return false;
	}
}

static void
say_session(struct rd *in)
{
	struct msg m;
	struct buf wire = BUF_INIT(MSG_MAX_BYTES);

	if (live.sess == NULL)
		return;
	if (rd_u8(in) == 0xff && !tampered) {
		wrote = true;
		fz_say(in, chan_fd(live.sess), CH_SESS_VAULT, END_A, NULL);
		return;
	}
	(void)fz_msg(in, CH_SESS_VAULT, AB, &m);
	wrote |= !reads(m.type);
	if ((!tampered || reads(m.type)) &&
	    msg_encode(m.type, &m.u, &wire) == 0)
		fz_send(chan_fd(live.sess), buf_bytes(&wire), -1);
	buf_free(&wire);
}

/*
 * Of a session that it was not granted an llmproxy may say nothing: that ends
 * the link by design (test_vault_edges.c), so here it is one that has ended.
 */
static void
say_ask(struct m_lv_ask *q)
{
	const struct worker *w = worker_find(rig.v, q->n);

	if (w != NULL ? (w->granted & 1) == 0 : q->n > rig.v->last_n)
		q->n = 0;
	q->id = ++ask_id;
	if (rig.v->nasked[0] < VAULT_ASKED_MAX)
		fz_tell(chan_fd(rig.llm), MSG_lv_ask, q, -1);
}

/* Nor of a request that it did not ask about: this is of the last one. */
static void
say_usage(struct m_lv_usage *u)
{
	const struct llm_ask *a = LIST_FIRST(&rig.v->asked[0]);

	if (a == NULL || tampered)
		return;
	u->id = a->id;
	u->n = a->n;
	fz_tell(chan_fd(rig.llm), MSG_lv_usage, u, -1);
}

static void
step(struct rd *in)
{
	struct msg m;
	uint8_t random_s[32] = { 7 };

	switch (rd_u8(in) % V_ALL) {
	case V_SESS:
		say_session(in);
		break;
	case V_INERT:
		if (inert.sess != NULL)
			fz_say(in, chan_fd(inert.sess), CH_SESS_VAULT, END_A,
			    NULL);
		break;
	case V_KEX:
		if (inert.kex != NULL)
			fz_say(in, chan_fd(inert.kex), CH_KEX_VAULT, END_A,
			    NULL);
		break;
	case V_ADMIN:
		if (!tampered)
			say_admin(in);
		break;
	case V_LLM:
		(void)fz_msg(in, CH_VAULT_LLM, BA, &m);
		if (m.type == MSG_lv_ask)
			say_ask(&m.u.lv_ask);
		else if (m.type == MSG_lv_usage)
			say_usage(&m.u.lv_usage);
		else if (m.type == MSG_lv_health)
			fz_tell(chan_fd(rig.llm), MSG_lv_health,
			    &m.u.lv_health, -1);
		break;
	case V_TAMPER:
		for (int i = 0; i < WAIT_TRIES && writing(); i++)
			pump(&rig);
		if (writing())
			break;
		tampered = true;
		tamper_store(in);
		break;
	case V_NONCE:
		if (!nonce_given)
			nonce(&rig, inert.n, random_s);
		nonce_given = true;
		break;
	case V_END:
		chan_free(live.sess);
		live.sess = NULL;
		break;
	}
}

static void
fuzz_one(struct bytes input)
{
	struct rd in = rd_of(input);

	rig.store = store_copy(base.store);
	copy_file(rig.anchor, base.anchor);
	copy_file(rig.keyfile, base.keyfile);
	rig.n = 0;
	need(rig_start(&rig, false) == 0);
	rig.v->has_client_ca = true;
	login(&rig, &live, &alice, "alice");
	pair_new(&rig, &inert);
	admin = -1;
	wrote = tampered = nonce_given = false;
	for (int i = 0; i < 20 && in.n > 0; i++) {
		step(&in);
		pump(&rig);
		hear();
	}
	for (int i = 0; i < 3; i++) {
		pump(&rig);
		hear();
	}
	pair_close(&live);
	pair_close(&inert);
	if (admin != -1)
		close(admin);
	rig_stop(&rig, false);
	store_free(rig.store);
}
