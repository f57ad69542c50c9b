#include "session.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "log.h"
#include "session_local.h"

#define BIRTH_MS	30000	/* between the keys and the user */
#define LEAVE_MS	10000	/* for answers that are being stored */
#define END_MS		5000	/* for the last bytes to the client */

/* Log lines go to the vault, which knows whose session this is. */
static struct session *log_session;

static void
log_to_vault(enum log_level level, const char *event, uint64_t session,
    const char *user, const char *text)
{
	struct m_sv_log m = { .text = bytes_str(text) };
	struct m_sv_violation v;

	(void)level;
	(void)session;
	(void)user;
	if (m.text.n > 256)
		m.text.n = 256;
	v.text = m.text;
	if (log_session == NULL)
		return;
	/* The only event that a session worker knows. */
	if (event != NULL)
		session_vault(log_session, MSG_sv_violation, &v);
	else if (log_session->have_user)
		session_vault(log_session, MSG_sv_log, &m);
}

static void
set_timer(struct session *s, uint64_t ms, loop_timer_cb *cb)
{
	loop_timer_free(s->timer);
	s->timer = loop_timer_new(s->loop, ms, cb, s);
}

void
session_vault(struct session *s, enum msg_type type, const void *body)
{
	if (s->vault != NULL)
		(void)chan_send(s->vault, type, body, -1);
}

void
session_vault_data(struct session *s, const struct req *r, struct bytes text)
{
	struct m_sv_data d = { .req = r->rid };

	while (text.n > 0) {
		d.data = bytes_of(text.p,
		    text.n < DATA_MAX_BYTES ? text.n : DATA_MAX_BYTES);
		session_vault(s, MSG_sv_data, &d);
		text.p += d.data.n;
		text.n -= d.data.n;
	}
}

static struct req *
req_by_id(struct session *s, uint32_t id)
{
	struct req *r;

	TAILQ_FOREACH(r, &s->reqs, link)
		if (r->id == id)
			return r;
	return NULL;
}

void
session_error(struct session *s, uint32_t id, enum err code,
    const char *text, const char *hint)
{
	struct m_s_error m = {
		.req = id, .code = (uint16_t)code, .text = bytes_str(text),
		.hint = bytes_str(hint)
	};

	struct req *r = req_by_id(s, id);

	/* What was said before it goes before it. */
	if (r != NULL && r->kind == REQ_CHAT)
		chat_flush(s, r);
	io_send(s, MSG_s_error, &m);
}

struct req *
req_by_rid(struct session *s, uint32_t rid)
{
	struct req *r;

	TAILQ_FOREACH(r, &s->reqs, link)
		if (r->rid == rid)
			return r;
	return NULL;
}

bool
req_known(const struct session *s, uint32_t rid)
{
	return rid != 0 && rid <= s->last_rid;
}

struct req *
req_new(struct session *s, uint32_t id, enum req_kind kind)
{
	struct req *r;

	if (req_by_id(s, id) != NULL) {
		session_error(s, id, ERR_BUSY, "this request number is in use",
		    "");
		return NULL;
	}
	if (s->stopping) {
		session_error(s, id, ERR_OVERLOADED, "the server is stopping",
		    "connect again in a moment");
		return NULL;
	}
	if (s->nreqs >= REQS_MAX || s->last_rid == UINT32_MAX) {
		session_error(s, id, ERR_LIMIT, "too many requests at once",
		    "wait for one to end");
		return NULL;
	}
	if ((r = calloc(1, sizeof(*r))) == NULL)
		fatal("calloc");
	r->id = id;
	r->rid = ++s->last_rid;
	r->kind = kind;
	buf_init(&r->text, TEXT_MAX_BYTES);
	buf_init(&r->proof, PROOF_MAX);
	TAILQ_INSERT_TAIL(&s->reqs, r, link);
	s->nreqs++;
	return r;
}

void
req_free(struct session *s, struct req *r)
{
	TAILQ_REMOVE(&s->reqs, r, link);
	s->nreqs--;
	if (r->kind == REQ_CHAT)
		shaping_end(s, r);
	chat_free(r->chat);
	buf_free(&r->text);
	buf_free(&r->proof);
	free(r);
}

void
session_message(struct session *s, struct msg *m)
{
	struct m_s_pong pong;
	struct req *r;

	switch (m->type) {
	case MSG_c_prompt:
		chat_prompt(s, &m->u.c_prompt);
		break;
	case MSG_c_sign:
		chat_sign(s, &m->u.c_sign);
		break;
	case MSG_c_options:
		options_keep(s, &m->u.c_options);
		break;
	case MSG_c_chat:
		chat_whole(s, &m->u.c_chat);
		break;
	case MSG_c_cancel:
		/* One that has ended meanwhile is no mistake. */
		r = req_by_id(s, m->u.c_cancel.req);
		if (r != NULL && r->kind == REQ_CHAT)
			chat_cancel(s, r);
		else if (r != NULL && r->kind == REQ_SEARCH)
			edit_cancel(s, r);
		break;
	case MSG_c_list:
		read_list(s, &m->u.c_list);
		break;
	case MSG_c_show:
		read_show(s, &m->u.c_show);
		break;
	case MSG_c_models:
		read_models(s, &m->u.c_models);
		break;
	case MSG_c_ticket:
		self_ticket(s, &m->u.c_ticket);
		break;
	case MSG_c_suspend:
		self_suspend(s, &m->u.c_suspend);
		break;
	case MSG_c_delete:
		edit_delete(s, &m->u.c_delete);
		break;
	case MSG_c_rename:
		edit_rename(s, &m->u.c_rename);
		break;
	case MSG_c_search:
		edit_search(s, &m->u.c_search);
		break;
	case MSG_c_import:
		edit_import(s, &m->u.c_import);
		break;
	case MSG_c_withdraw:
		edit_withdraw(s, &m->u.c_withdraw);
		break;
	case MSG_c_ping:
		pong.req = m->u.c_ping.req;
		io_send(s, MSG_s_pong, &pong);
		break;
	default:
		gate_message(s, m);
	}
}

void
session_left(struct session *s, int status)
{
	s->left = true;
	if (s->status == 0)
		s->status = status;
}

static void
on_end(void *arg)
{
	struct session *s = arg;

	s->timer = NULL;
	loop_stop(s->loop);
}

/* Nothing is left to do but to say CLOSE. */
static void
finish(struct session *s)
{
	if (s->closing)
		return;
	/* Who left within a step is told nothing of a size that says more. */
	if (s->left && !s->stop_due && shape_active(&s->shape))
		io_stop(s);
	s->left = s->leaving = s->closing = true;
	if (s->app == NULL) {
		loop_stop(s->loop);
		return;
	}
	if (s->io != NULL && appconn_close(s->app) != 0)
		io_stop(s);
	set_timer(s, END_MS, on_end);
}

static void
on_leave(void *arg)
{
	struct session *s = arg;

	s->timer = NULL;
	log_warn("answers were not stored in time");
	finish(s);
}

void
session_settle(struct session *s)
{
	struct req *r, *next;

	stop_check(s);
	if (!s->left || s->closing)
		return;
	if (!s->leaving) {
		s->leaving = true;
		set_timer(s, LEAVE_MS, on_leave);
		for (r = TAILQ_FIRST(&s->reqs); r != NULL; r = next) {
			next = TAILQ_NEXT(r, link);
			if (r->kind == REQ_CHAT)
				chat_cancel(s, r);
			else
				req_free(s, r);
		}
	}
	if (TAILQ_EMPTY(&s->reqs))
		finish(s);
}

void
session_violation(struct session *s, const char *why)
{
	audit(EV_violation, s->n, NULL, "%s", why);
	s->status = 1;
	chan_free(s->vault);
	s->vault = NULL;
	finish(s);
}

static void
on_idle(void *arg)
{
	struct session *s = arg;
	uint64_t idle_ms = (uint64_t)s->idle_timeout_s * 1000;
	uint64_t passed = mono_ms() - s->last_ms;

	s->timer = NULL;
	if (!TAILQ_EMPTY(&s->reqs) || shape_active(&s->shape))
		set_timer(s, idle_ms, on_idle);
	else if (passed < idle_ms)
		set_timer(s, idle_ms - passed, on_idle);
	else {
		log_info("idle for too long");
		session_vault(s, MSG_sv_suspend, NULL);
		session_left(s, 0);
	}
}

static void
on_life(void *arg)
{
	struct session *s = arg;

	s->life = NULL;
	log_info("over its time");
	session_left(s, 0);
}

static void on_fresh(void *arg);

static void
set_fresh(struct session *s)
{
	if (s->rekey_interval_s != 0)
		s->fresh = loop_timer_new(s->loop,
		    (uint64_t)s->rekey_interval_s * 1000, on_fresh, s);
}

/* The keys are old: fresh ones, or an end where the last offer has no answer. */
static void
on_fresh(void *arg)
{
	struct session *s = arg;

	s->fresh = NULL;
	if (s->left || s->io == NULL)
		return;
	if (appconn_fresh_waits(s->app)) {
		log_info("no answer to the offer of fresh keys");
		session_vault(s, MSG_sv_suspend, NULL);
		session_left(s, 0);
		return;
	}
	log_info("fresh keys are offered; %u times so far",
	    appconn_freshened(s->app));
	if (appconn_fresh(s->app) == 0)
		set_fresh(s);
	else
		session_left(s, 0);
}

static void
on_birth(void *arg)
{
	struct session *s = arg;

	s->timer = NULL;
	log_warn("the handshake was not finished");
	finish(s);
}

static void
on_gate_end(void *arg)
{
	struct session *s = arg;

	s->timer = NULL;
	log_info("nothing was proved in time");
	session_left(s, 0);
}

void
session_hello(struct session *s)
{
	struct m_sv_ready ready;
	struct m_s_hello hello = {
		.user = bytes_str(s->user), .version = bytes_str("Cloister " CLOISTER_VERSION),
		.max_prompt_bytes = s->max_prompt,
		.shaping = (uint8_t)s->shape.mode
	};

	loop_timer_free(s->timer);
	s->timer = NULL;
	memcpy(ready.session_id, s->session_id, sizeof(ready.session_id));
	session_vault(s, MSG_sv_ready, &ready);
	appconn_set_state(s->app, APP_OPEN);
	io_send(s, MSG_s_hello, &hello);
	stop_tell(s);
	s->last_ms = mono_ms();
	if (s->idle_timeout_s != 0)
		set_timer(s, (uint64_t)s->idle_timeout_s * 1000, on_idle);
	if (s->lifetime_s != 0)
		s->life = loop_timer_new(s->loop,
		    (uint64_t)s->lifetime_s * 1000, on_life, s);
	set_fresh(s);
}

/* One of keys and user came; with both, the session begins. */
static void
begin(struct session *s)
{
	if (!s->have_keys || !s->have_user) {
		set_timer(s, BIRTH_MS, on_birth);
		return;
	}
	s->app = appconn_new(END_B, s->secrets.suite, s->secrets.c_ap,
	    s->secrets.s_ap, s->secrets.msgmac);
	memcpy(s->session_id, s->secrets.session_id, sizeof(s->session_id));
	password_export(s->exported, s->secrets.exporter);
	OPENSSL_cleanse(&s->secrets, sizeof(s->secrets));
	io_start(s);
	if (s->gate == 0) {
		session_hello(s);
		return;
	}
	gate_hello(s);
	set_timer(s, (uint64_t)s->gate_s * 1000, on_gate_end);
}

static void
take_user(struct session *s, const struct m_vs_user *m)
{
	struct req *r;

	chan_set_state(s->vault, SESS_VAULT_LIVE);
	if (m->n != s->n || m->shaping > SHAPE_BUCKET ||
	    msg_text(s->user, sizeof(s->user), m->user) == -1) {
		session_violation(s, "vault: not this session's user");
		return;
	}
	s->idle_timeout_s = m->idle_timeout_s;
	s->lifetime_s = m->lifetime_s;
	s->rekey_interval_s = m->rekey_interval_s;
	s->max_prompt = m->max_prompt_bytes;
	s->shape.mode = m->shaping;
	s->have_user = true;
	setproctitle("-cloisterd: session %s [%" PRIu64 "]", s->user, s->n);
	if (s->gate == 0) {
		begin(s);
		return;
	}
	/* The password was right: this is the answer to it. */
	s->gate = 0;
	if ((r = TAILQ_FIRST(&s->reqs)) == NULL || s->app == NULL) {
		session_violation(s, "vault: a user without a password");
		return;
	}
	req_free(s, r);
	if (!s->left)
		session_hello(s);
}

/* The request that an answer of the vault is for. */
static uint32_t
answered(const struct msg *m)
{
	switch (m->type) {
	case MSG_vs_stored:
		return m->u.vs_stored.req;
	case MSG_vs_model:
		return m->u.vs_model.req;
	case MSG_vs_conv:
		return m->u.vs_conv.req;
	case MSG_vs_msg:
		return m->u.vs_msg.req;
	case MSG_vs_data:
		return m->u.vs_data.req;
	case MSG_vs_done:
		return m->u.vs_done.req;
	case MSG_vs_error:
		return m->u.vs_error.req;
	case MSG_vs_key:
		return m->u.vs_key.req;
	case MSG_vs_session:
		return m->u.vs_session.req;
	case MSG_vs_enrolled:
		return m->u.vs_enrolled.req;
	case MSG_vs_ticket:
		return m->u.vs_ticket.req;
	case MSG_vs_deleted:
		return m->u.vs_deleted.req;
	case MSG_vs_found:
		return m->u.vs_found.req;
	default:
		return m->u.vs_open_model.req;
	}
}

static void
take_error(struct session *s, struct req *r, const struct m_vs_error *m)
{
	char text[513], hint[257];

	(void)msg_text(text, sizeof(text), m->text);
	(void)msg_text(hint, sizeof(hint), m->hint);
	session_error(s, r->id, m->code != 0 ? m->code : ERR_INTERNAL, text,
	    hint);
	if (r->kind == REQ_CHAT)
		chat_refused(s, r);
	else
		req_free(s, r);
}

/* A channel for a model; it is kept even if its request is over. */
static void
take_model(struct session *s, struct req *r, struct msg *m)
{
	struct llm *llm = llm_opened(s, m, r != NULL && chat_wants_default(r));

	if (llm == NULL)
		session_violation(s, "vault: a model without a name");
	else if (r != NULL)
		chat_opened(s, r, llm);
}

static void
on_vault(struct chan *c, struct msg *m, void *arg)
{
	struct session *s = arg;
	struct req *r;
	uint32_t rid;

	(void)c;
	if (m->type == MSG_vs_user || m->type == MSG_vs_gate) {
		if (m->type == MSG_vs_user)
			take_user(s, &m->u.vs_user);
		else if (gate_take(s, &m->u.vs_gate))
			begin(s);
		return;
	}
	if (m->type == MSG_vs_stop) {
		stop_begin(s, m->u.vs_stop.timeout_ms);
		return;
	}
	rid = answered(m);
	r = req_by_rid(s, rid);
	if (!req_known(s, rid) || (m->type == MSG_vs_open_model && r != NULL &&
	    r->kind != REQ_CHAT))
		session_violation(s, "vault: answers what it was not asked");
	else if (m->type == MSG_vs_open_model)
		take_model(s, r, m);
	else if (r == NULL)
		;		/* for a request that is over */
	else if (m->type == MSG_vs_stored && r->kind == REQ_CHAT)
		chat_stored(s, r, &m->u.vs_stored);
	else if (m->type == MSG_vs_error)
		take_error(s, r, &m->u.vs_error);
	else if (r->kind == REQ_GATE)
		gate_answer(s, r, m);
	else if (m->type == MSG_vs_ticket)
		self_answer(s, r, m);
	else if (m->type == MSG_vs_stored || m->type == MSG_vs_deleted ||
	    m->type == MSG_vs_found)
		edit_answer(s, r, m);
	else
		read_answer(s, r, m);
}

/* Without the vault there is no session: what was asked fails. */
static void
on_vault_closed(struct chan *c, const char *why, void *arg)
{
	struct session *s = arg;
	struct req *r;

	chan_free(c);
	s->vault = NULL;
	if (why != NULL)
		s->status = 1;
	while ((r = TAILQ_FIRST(&s->reqs)) != NULL) {
		session_error(s, r->id, ERR_INTERNAL,
		    "the server ended the session", "connect again");
		req_free(s, r);
	}
	finish(s);
}

static void
on_twin(struct chan *c, struct msg *m, void *arg)
{
	struct session *s = arg;

	chan_set_state(c, TWIN_DONE);
	s->secrets = m->u.twin_secrets;
	OPENSSL_cleanse(&m->u, sizeof(m->u));
	s->fd = m->fd;
	m->fd = -1;
	s->have_keys = true;
	chan_free(c);
	s->twin = NULL;
	begin(s);
}

static void
on_twin_closed(struct chan *c, const char *why, void *arg)
{
	struct session *s = arg;

	chan_free(c);
	s->twin = NULL;
	if (why != NULL) {
		audit(EV_violation, s->n, NULL, "twin: %s", why);
		s->status = 1;
	} else if (s->have_user)
		log_info("the handshake was not finished");
	finish(s);
}

int
session_run(uint64_t n, int vault, int twin)
{
	struct session s = { .n = n, .fd = -1 };
	struct req *r;

	s.loop = loop_new();
	TAILQ_INIT(&s.reqs);
	TAILQ_INIT(&s.llms);
	buf_init(&s.sign, PROOF_MAX);
	shape_init(&s.shape, SHAPE_OFF);
	log_session = &s;
	log_set_sink(log_to_vault);
	s.vault = chan_new(s.loop, vault, CH_SESS_VAULT, END_A,
	    SESS_VAULT_INERT, CHAN_RECV_FD, on_vault, on_vault_closed, &s);
	s.twin = chan_new(s.loop, twin, CH_TWIN, END_B, TWIN_WAIT, CHAN_RECV_FD,
	    on_twin, on_twin_closed, &s);
	loop_set_idle(s.loop, io_round, &s);
	loop_run(s.loop);
	log_session = NULL;
	while ((r = TAILQ_FIRST(&s.reqs)) != NULL)
		req_free(&s, r);
	options_free(s.options);
	llm_free_all(&s);
	shaping_stop(&s);
	io_stop(&s);
	appconn_free(s.app);
	buf_free(&s.sign);
	chan_free(s.vault);
	chan_free(s.twin);
	if (s.fd != -1)
		close(s.fd);
	loop_timer_free(s.timer);
	loop_timer_free(s.stop_timer);
	loop_timer_free(s.life);
	loop_timer_free(s.fresh);
	loop_free(s.loop);
	OPENSSL_cleanse(&s.secrets, sizeof(s.secrets));
	return s.status;
}
