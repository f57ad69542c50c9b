/*
 * What a taken-over worker would try that is more than one bad message: each is
 * a "cannot" of the table in docs/threat-model.md.
 */
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "hostile.h"
#include "hs.h"
#include "log.h"

#define WAIT_MS		30000	/* for what must come */
#define QUIET_MS	150	/* for what must not */
#define SIGN_MS		10000	/* keyd's: from xk_open to xk_sign */

/* One attempt's own view of what came back. */
struct heard {
	bool	 ended;		/* the channel was closed */
	bool	 leak;
	unsigned count[MSG_TYPES];
	bool	 conv;		/* somebody else's conversation was named */
	uint16_t code;		/* of the last vs_error */
};

static void
note(struct heard *h, const struct msg *m)
{
	h->count[m->type]++;
	if (m->type == MSG_vs_error)
		h->code = m->u.vs_error.code;
	if (m->type == MSG_vs_conv && memcmp(m->u.vs_conv.conv, board->conv,
	    sizeof(board->conv)) == 0)
		h->conv = true;
	if (m->type == MSG_vs_data)
		h->leak |= board_leak(board, m->u.vs_data.data.p,
		    m->u.vs_data.data.n);
	if (m->fd != -1)
		(void)close(m->fd);
}

/* Everything that comes until the end, or until it has been quiet. */
static void
listen_to(struct chan *c, struct heard *h, int ms)
{
	const char *why;
	struct msg m;
	int r;

	while ((r = chan_recv(c, &m, ms, &why)) == 0)
		note(h, &m);
	h->ended = r == 1;
}

/* So many of that kind, which must come; and whatever comes behind them. */
static void
await(struct chan *c, struct heard *h, enum msg_type type, unsigned n)
{
	const char *why;
	struct msg m;

	while (h->count[type] < n && chan_recv(c, &m, WAIT_MS, &why) == 0)
		note(h, &m);
	listen_to(c, h, QUIET_MS);
}

/* ---- the kex worker -------------------------------------------------------- */

static void
ask(struct chan *keyd, unsigned state, enum msg_type type, const void *body)
{
	chan_set_state(keyd, state);
	(void)__real_chan_send(keyd, type, body, -1);
}

static void
sleep_ms(long ms)
{
	struct timespec ts = { ms / 1000, (ms % 1000) * 1000000 };

	(void)nanosleep(&ts, NULL);
}

/* open, sign (maybe late), sign again: how many signatures come. */
static void
sign(struct chan *keyd, struct heard *h, uint8_t suite, long late_ms,
    int times)
{
	struct m_xk_sign m = { .suite = suite };
	const char *why;
	struct msg r;

	ask(keyd, KEX_KEYD_OPENED, MSG_xk_open, NULL);
	if (chan_recv(keyd, &r, WAIT_MS, &why) != 0)
		return;
	sleep_ms(late_ms);
	for (int i = 0; i < times; i++)
		ask(keyd, KEX_KEYD_SIGNED, MSG_xk_sign, &m);
	listen_to(keyd, h, WAIT_MS);
}

static bool
sign_twice(const struct kex *k, struct heard *h)
{
	sign(k->keyd, h, HS_SUITE_X25519, 0, 2);
	return h->ended && h->count[MSG_kx_sig] <= 1;
}

static bool
sign_late(const struct kex *k, struct heard *h)
{
	sign(k->keyd, h, HS_SUITE_X25519, SIGN_MS + 300, 1);
	return h->ended && h->count[MSG_kx_sig] == 0;
}

static bool
sign_other_suite(const struct kex *k, struct heard *h)
{
	sign(k->keyd, h, HS_SUITE_BEST + 1, 0, 1);
	return h->ended && h->count[MSG_kx_sig] == 0;
}

static bool
open_twice(const struct kex *k, struct heard *h)
{
	ask(k->keyd, KEX_KEYD_OPENED, MSG_xk_open, NULL);
	ask(k->keyd, KEX_KEYD_OPENED, MSG_xk_open, NULL);
	listen_to(k->keyd, h, WAIT_MS);
	return h->ended && h->count[MSG_kx_nonce] <= 1;
}

static bool
refused(const struct kex *k, struct heard *h, bool nonce,
    const struct m_xv_auth *m)
{
	const char *why;
	struct msg r;

	if (nonce) {
		ask(k->keyd, KEX_KEYD_OPENED, MSG_xk_open, NULL);
		if (chan_recv(k->keyd, &r, WAIT_MS, &why) != 0)
			return false;
	}
	ask(k->vault, KEX_VAULT_ASKED, MSG_xv_auth, m);
	if (chan_recv(k->vault, &r, WAIT_MS, &why) == 0)
		note(h, &r);
	return h->count[MSG_vx_refuse] == 1 && h->count[MSG_vx_grant] == 0;
}

/* A user's public keys are no secret; a signature by them is what lacks. */
static struct m_xv_auth
name_user(void)
{
	static const uint8_t junk[384] = { 0x5a };
	struct m_xv_auth m = { .suite = HS_SUITE_X25519,
	    .spki = bytes_of(board->spki, board->spki_n),
	    .wrap_spki = bytes_of(board->wrap, board->wrap_n),
	    .sig = bytes_of(junk, sizeof(junk)) };

	return m;
}

static bool
name_without_nonce(const struct kex *k, struct heard *h)
{
	struct m_xv_auth m = name_user();

	return refused(k, h, false, &m);
}

static bool
name_with_nonce(const struct kex *k, struct heard *h)
{
	struct m_xv_auth m = name_user();

	return refused(k, h, true, &m);
}

static bool
name_without_signature(const struct kex *k, struct heard *h)
{
	struct m_xv_auth m = name_user();

	m.sig = bytes_of(NULL, 0);
	return refused(k, h, true, &m);
}

/* The host's own signature, which is the one thing this worker can have. */
static bool
name_with_host_signature(const struct kex *k, struct heard *h)
{
	struct m_xk_sign q = { .suite = HS_SUITE_X25519 };
	struct m_xv_auth m = name_user();
	uint8_t sig[512];
	const char *why;
	struct msg r;

	ask(k->keyd, KEX_KEYD_OPENED, MSG_xk_open, NULL);
	if (chan_recv(k->keyd, &r, WAIT_MS, &why) != 0)
		return false;
	ask(k->keyd, KEX_KEYD_SIGNED, MSG_xk_sign, &q);
	if (chan_recv(k->keyd, &r, WAIT_MS, &why) != 0)
		return false;
	memcpy(sig, r.u.kx_sig.sig.p, r.u.kx_sig.sig.n);
	m.sig = bytes_of(sig, r.u.kx_sig.sig.n);
	return refused(k, h, false, &m);
}

static bool
replay(const struct kex *k, struct heard *h, bool nonce)
{
	struct msg m;

	if (msg_decode(bytes_of(board->auth, board->auth_n), CH_KEX_VAULT,
	    END_B, KEX_VAULT_NEW, &m) != MSG_OK)
		return false;	/* nothing was caught: the test is wrong */
	return refused(k, h, nonce, &m.u.xv_auth);
}

static bool
replay_without_nonce(const struct kex *k, struct heard *h)
{
	return replay(k, h, false);
}

static bool
replay_with_nonce(const struct kex *k, struct heard *h)
{
	return replay(k, h, true);
}

/* The signer of that session with another user's wrap key. */
static bool
replay_other_wrap(const struct kex *k, struct heard *h)
{
	struct msg m;

	if (msg_decode(bytes_of(board->auth, board->auth_n), CH_KEX_VAULT,
	    END_B, KEX_VAULT_NEW, &m) != MSG_OK)
		return false;
	m.u.xv_auth.wrap_spki = bytes_of(board->wrap, board->wrap_n);
	return refused(k, h, true, &m.u.xv_auth);
}

static const struct {
	const char	*name;
	bool		 must_die;	/* a violation, so in the audit log */
	bool		 (*run)(const struct kex *, struct heard *);
} kex_plans[] = {
	{ "kex: a signature after ten seconds", true, sign_late },
	{ "kex: a second signature", true, sign_twice },
	{ "kex: a second nonce", true, open_twice },
	{ "kex: a signature for another suite", true, sign_other_suite },
	{ "kex: names a user, without nonce", false, name_without_nonce },
	{ "kex: names a user", false, name_with_nonce },
	{ "kex: names a user, empty signature", false,
	    name_without_signature },
	{ "kex: names a user, the host's signature", false,
	    name_with_host_signature },
	{ "kex: replays a session's proof, without nonce", false,
	    replay_without_nonce },
	{ "kex: replays a session's proof", false, replay_with_nonce },
	{ "kex: replays it with another wrap key", false, replay_other_wrap },
};

size_t
special_kex_count(void)
{
	return sizeof(kex_plans) / sizeof(kex_plans[0]);
}

void
special_kex(const struct kex *k, size_t i)
{
	struct heard h = { 0 };
	bool good;

	board_begin(board, i, k->n, kex_plans[i].must_die, kex_plans[i].name);
	good = kex_plans[i].run(k, &h) && !h.leak;
	board_end(board, i, !good ? RESULT_BREACH : h.ended ? RESULT_REFUSED :
	    RESULT_TAKEN);
}

/* ---- the session worker ---------------------------------------------------- */

static void
put(struct chan *v, uint32_t req, const uint8_t conv[16], uint8_t kind,
    uint32_t len, uint32_t data)
{
	static const uint8_t text[64] = "hostile text";
	struct m_sv_put m = { .req = req, .kind = kind, .len = len };
	struct m_sv_data d = { .req = req, .data = bytes_of(text, data) };

	memcpy(m.conv, conv, sizeof(m.conv));
	(void)__real_chan_send(v, MSG_sv_put, &m, -1);
	if (data > 0)
		(void)__real_chan_send(v, MSG_sv_data, &d, -1);
}

static const uint8_t none[16];

static bool
read_other(struct chan *v, struct heard *h)
{
	struct m_sv_read m = { .req = 1, .from = 1 };

	memcpy(m.conv, board->conv, sizeof(m.conv));
	(void)__real_chan_send(v, MSG_sv_read, &m, -1);
	await(v, h, MSG_vs_error, 1);
	return h->count[MSG_vs_error] == 1 && h->count[MSG_vs_msg] == 0 &&
	    h->code == 2;
}

static bool
put_other(struct chan *v, struct heard *h)
{
	put(v, 1, board->conv, 1, 8, 8);
	put(v, 2, board->conv, 2, 8, 8);
	await(v, h, MSG_vs_error, 2);
	return h->count[MSG_vs_error] == 2 && h->count[MSG_vs_stored] == 0;
}

static bool
put_answer_alone(struct chan *v, struct heard *h)
{
	put(v, 1, none, 2, 8, 8);
	await(v, h, MSG_vs_error, 1);
	return h->count[MSG_vs_error] == 1 && h->count[MSG_vs_stored] == 0;
}

static bool
list_others(struct chan *v, struct heard *h)
{
	static const uint8_t ff[8] = { 255, 255, 255, 255, 255, 255, 255, 255 };
	struct m_sv_list m = { .req = 1 };
	uint8_t token[24];

	(void)__real_chan_send(v, MSG_sv_list, &m, -1);
	memcpy(token, ff, 8);
	memcpy(token + 8, board->conv, 16);
	for (uint8_t i = 0; i < 3; i++) {	/* forged positions */
		memset(token, i == 0 ? 0 : i == 1 ? 0xff : 0x7f, 8);
		m.req++;
		m.token = bytes_of(token, sizeof(token));
		(void)__real_chan_send(v, MSG_sv_list, &m, -1);
	}
	await(v, h, MSG_vs_done, 4);
	return h->count[MSG_vs_done] == 4 && !h->conv;
}

static bool
unknown_model(struct chan *v, struct heard *h)
{
	struct m_sv_open_model m = { .req = 1, .model = bytes_str("no-such") };

	(void)__real_chan_send(v, MSG_sv_open_model, &m, -1);
	await(v, h, MSG_vs_error, 1);
	return h->count[MSG_vs_error] == 1 && h->count[MSG_vs_open_model] == 0;
}

static bool
many_models(struct chan *v, struct heard *h)
{
	struct m_sv_open_model m = { .req = 1 };

	for (; m.req <= 100; m.req++)
		(void)__real_chan_send(v, MSG_sv_open_model, &m, -1);
	await(v, h, MSG_vs_error, 68);
	return h->count[MSG_vs_open_model] <= 32 &&
	    h->count[MSG_vs_error] >= 68;
}

static bool
many_reads(struct chan *v, struct heard *h)
{
	struct m_sv_list m = { .req = 1 };

	for (; m.req <= 1000; m.req++)
		(void)__real_chan_send(v, MSG_sv_list, &m, -1);
	listen_to(v, h, QUIET_MS * 4);
	return !h->ended;
}

/* ---- what must end the session ---- */

static bool
ends(struct chan *v, struct heard *h)
{
	listen_to(v, h, WAIT_MS);
	return h->ended && h->count[MSG_vs_stored] == 0;
}

static bool
put_too_long(struct chan *v, struct heard *h)
{
	put(v, 1, none, 1, UINT32_MAX, 8);
	return ends(v, h);
}

static bool
put_too_much(struct chan *v, struct heard *h)
{
	put(v, 1, none, 1, 8, 9);
	return ends(v, h);
}

static bool
put_many(struct chan *v, struct heard *h)
{
	for (uint32_t i = 1; i <= 5; i++)
		put(v, i, none, 1, 1000, 0);
	return ends(v, h);
}

static bool
put_twice(struct chan *v, struct heard *h)
{
	put(v, 1, none, 1, 1000, 8);
	put(v, 1, none, 1, 1000, 8);
	return ends(v, h);
}

static bool
data_alone(struct chan *v, struct heard *h)
{
	struct m_sv_data d = { .req = 1, .data = bytes_str("data") };

	(void)__real_chan_send(v, MSG_sv_data, &d, -1);
	return ends(v, h);
}

static bool
ready_twice(struct chan *v, struct heard *h)
{
	struct m_sv_ready m = { .session_id = { 1 } };

	for (int i = 0; i < 1000; i++)
		(void)__real_chan_send(v, MSG_sv_ready, &m, -1);
	return ends(v, h);
}

/* ---- on the model's channel ---- */

static struct chan *
model(struct chan *v)
{
	int fd = model_channel(v);

	return fd == -1 ? NULL : chan_new(NULL, fd, CH_SESS_LLM, END_A,
	    SESS_LLM_UP, 0, NULL, NULL, NULL);
}

static void
chat(struct chan *m, uint32_t req, uint32_t messages)
{
	struct m_sl_chat c = { .req = req, .messages = messages };

	(void)__real_chan_send(m, MSG_sl_chat, &c, -1);
}

static void
text(struct chan *m, uint32_t req, uint8_t kind, uint32_t len, bool data)
{
	struct m_sl_msg g = { .req = req, .kind = kind, .len = len };
	struct m_sl_data d = { .req = req, .data = bytes_str("text") };

	(void)__real_chan_send(m, MSG_sl_msg, &g, -1);
	if (data)
		(void)__real_chan_send(m, MSG_sl_data, &d, -1);
}

static bool
chat_ends(struct chan *m, struct heard *h)
{
	if (m == NULL)
		return false;
	listen_to(m, h, WAIT_MS);
	return h->ended && h->count[MSG_ls_delta] == 0;
}

static bool
chat_twice(struct chan *v, struct heard *h)
{
	struct chan *m = model(v);

	chat(m, 1, 1);
	chat(m, 1, 1);
	return chat_ends(m, h);
}

static bool
chat_empty(struct chan *v, struct heard *h)
{
	struct chan *m = model(v);

	chat(m, 1, 0);
	return chat_ends(m, h);
}

static bool
chat_system(struct chan *v, struct heard *h)
{
	struct chan *m = model(v);

	chat(m, 1, 3);
	text(m, 1, 1, 4, true);
	text(m, 1, 3, 4, true);		/* in the middle, over what was said */
	return chat_ends(m, h);
}

static bool
chat_kind(struct chan *v, struct heard *h)
{
	struct chan *m = model(v);

	chat(m, 1, 2);
	text(m, 1, 4, 4, true);		/* neither user, model nor system */
	return chat_ends(m, h);
}

static bool
chat_more_text(struct chan *v, struct heard *h)
{
	struct chan *m = model(v);

	chat(m, 1, 2);
	text(m, 1, 1, 3, true);
	return chat_ends(m, h);
}

static bool
chat_message_in_message(struct chan *v, struct heard *h)
{
	struct chan *m = model(v);

	chat(m, 1, 2);
	text(m, 1, 1, 8, true);
	text(m, 1, 1, 4, true);
	return chat_ends(m, h);
}

static bool
chat_unannounced(struct chan *v, struct heard *h)
{
	struct chan *m = model(v);

	text(m, 7, 1, 4, true);
	return chat_ends(m, h);
}

static bool
chat_too_long(struct chan *v, struct heard *h)
{
	struct chan *m = model(v);

	chat(m, 1, 1);
	text(m, 1, 1, UINT32_MAX, true);
	await(m, h, MSG_ls_error, 1);
	return h->count[MSG_ls_error] == 1;
}

static bool
chat_many(struct chan *v, struct heard *h)
{
	struct chan *m = model(v);

	for (uint32_t i = 1; i <= 1000; i++)
		chat(m, i, 1);
	return chat_ends(m, h);
}

static const struct {
	const char	*name;
	bool		 must_die;
	bool		 (*run)(struct chan *, struct heard *);
} session_plans[] = {
	{ "session: reads another user's conversation", false, read_other },
	{ "session: goes on with it", false, put_other },
	{ "session: an answer without a question", false, put_answer_alone },
	{ "session: lists from a forged position", false, list_others },
	{ "session: a model that there is not", false, unknown_model },
	{ "session: a hundred models", false, many_models },
	{ "session: a thousand lists", false, many_reads },
	{ "session: stores 4 GiB", true, put_too_long },
	{ "session: stores more than announced", true, put_too_much },
	{ "session: five texts at once", true, put_many },
	{ "session: one request twice", true, put_twice },
	{ "session: data of nothing", true, data_alone },
	{ "session: ready again and again", true, ready_twice },
	{ "session: a chat twice", true, chat_twice },
	{ "session: an empty chat", true, chat_empty },
	{ "session: a system message behind others", true, chat_system },
	{ "session: a message of nobody", true, chat_kind },
	{ "session: a message longer than announced", true, chat_more_text },
	{ "session: a message within another", true,
	    chat_message_in_message },
	{ "session: a message of no chat", true, chat_unannounced },
	{ "session: a message of 4 GiB", false, chat_too_long },
	{ "session: a thousand chats", true, chat_many },
};

size_t
special_session_count(void)
{
	return sizeof(session_plans) / sizeof(session_plans[0]);
}

void
special_session(struct chan *vault, uint64_t n, size_t i)
{
	struct heard h = { 0 };
	bool good;

	board_begin(board, i, n, session_plans[i].must_die,
	    session_plans[i].name);
	good = session_plans[i].run(vault, &h) && !h.leak;
	board_end(board, i, !good ? RESULT_BREACH : h.ended ? RESULT_REFUSED :
	    RESULT_TAKEN);
}
