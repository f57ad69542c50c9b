#include <string.h>

#include "log.h"
#include "vault_login.h"

static const struct {
	uint16_t	 code;
	const char	*text;
	const char	*hint;
} errors[] = {
	{ ERR_INTERNAL, "something went wrong in the vault",
	    "the administrator finds the reason in the log" },
	{ ERR_NO_CONV, "no such conversation", "list shows yours" },
	{ ERR_NO_MODEL, "no such model", "models shows those you may use" },
	{ ERR_MODEL_DENIED, "you may not use this model",
	    "models shows those you may use; the administrator grants others" },
	{ ERR_OVERLOADED, "too much at once", "try again in a minute" },
	{ ERR_STORAGE, "the storage failed or does not verify",
	    "the administrator finds the reason in the log" },
	{ ERR_LIMIT, "the conversation is too long to be read at once",
	    "start a new one" },
	{ ERR_BUSY, "too many requests at once",
	    "wait for one of them to end" },
	{ ERR_BAD, "the request makes no sense", "" },
	{ ERR_PASSWORD, "the user's name or the password is wrong", "" },
	{ ERR_INVITE, "this invite is not valid: it was used, has expired, or "
	    "was not copied whole", "ask the administrator for another one" },
	{ ERR_KEY, "there is no such key, or it was revoked", "`cloister keys' "
	    "shows yours; a revoked key stays so, `cloister keygen' makes new "
	    "ones" },
	{ ERR_SIGNATURE, "the signature of this message is not taken: it is of "
	    "another key than the enrolled one, or the conversation went on "
	    "elsewhere", "ask again; without a signature: sign = off" },
	{ ERR_CHANGED, "the conversation has gone on meanwhile",
	    "look at it before you try again" },
	{ ERR_NO_TICKET, "this session cannot be resumed",
	    "the next one begins with a whole handshake" },
};

void
sreq_begin(struct sreq *s, struct worker *w, uint32_t req,
    void (*gone)(struct sreq *))
{
	s->w = w;
	s->req = req;
	s->gone = gone;
	TAILQ_INSERT_TAIL(&w->reqs, s, link);
	w->nreqs++;
}

void
sreq_end(struct sreq *s)
{
	if (s->w == NULL)
		return;
	TAILQ_REMOVE(&s->w->reqs, s, link);
	s->w->nreqs--;
	s->w = NULL;
}

/* A channel that is finished tells its owner from the loop. */
static void
sess_send(struct worker *w, enum msg_type type, const void *body)
{
	if (w->sess != NULL && chan_send(w->sess, type, body, -1) == -1)
		log_debug("session %llu takes no more answers",
		    (unsigned long long)w->n);
}

void
sreq_send(struct sreq *s, enum msg_type type, const void *body)
{
	if (s->w != NULL)
		sess_send(s->w, type, body);
}

void
sess_error(struct worker *w, uint32_t req, uint16_t code)
{
	struct m_vs_error m = { .req = req, .code = code };

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		if (errors[i].code == code) {
			m.text = bytes_str(errors[i].text);
			m.hint = bytes_str(errors[i].hint);
		}
	sess_send(w, MSG_vs_error, &m);
}

void
sess_say(struct worker *w, uint32_t req, uint16_t code, const char *text,
    const char *hint)
{
	struct m_vs_error m = { .req = req, .code = code,
	    .text = bytes_str(text), .hint = bytes_str(hint) };

	sess_send(w, MSG_vs_error, &m);
}

bool
sess_may(struct worker *w, uint32_t req)
{
	if (w->nreqs < VAULT_REQS_MAX)
		return true;
	sess_error(w, req, ERR_BUSY);
	return false;
}

void
session_begin(struct worker *w)
{
	struct vault *v = w->v;
	struct m_vs_user m = {
		.n = w->n, .idle_timeout_s = v->idle_timeout_s,
		.rekey_interval_s = v->rekey_interval_s,
		.max_prompt_bytes = v->max_prompt_bytes,
		.shaping = v->shaping,
		.user = bytes_str(w->user->name)
	};
	uint64_t age_s = (mono_ms() - w->auth_ms) / 1000;

	if (v->session_timeout_s != 0)
		m.lifetime_s = v->session_timeout_s > age_s ?
		    v->session_timeout_s - (uint32_t)age_s : 1;
	chan_set_state(w->sess, SESS_VAULT_LIVE);
	sess_send(w, MSG_vs_user, &m);
}

struct conv *
sess_conv(struct worker *w, const uint8_t id[REC_ID])
{
	struct conv *c = conv_find(w->v, id);
	char hex[2 * REC_ID + 1];

	if (c != NULL && c->user == w->user && !c->deleting)
		return c;
	/* Not there, or another's: the same answer, and the same line. */
	if (w->logs++ < VAULT_LOGS_MAX) {
		hex_encode(hex, id, REC_ID);
		audit(EV_storage_denied, w->n, w->user->name, "conversation=%s",
		    hex);
	}
	return NULL;
}

static void
models(struct worker *w, uint32_t req)
{
	const struct model *deflt = model_default(w->v, w->user);
	struct m_vs_done done = { .req = req };

	for (size_t i = 0; i < w->v->nmodels; i++) {
		const struct model *mo = &w->v->models[i];
		struct m_vs_model m = {
			.req = req, .is_default = mo == deflt,
			.alias = bytes_str(mo->alias),
			.provider = bytes_str(mo->provider_name)
		};

		if (model_granted(w->user, mo->alias))
			sess_send(w, MSG_vs_model, &m);
	}
	sess_send(w, MSG_vs_done, &done);
}

/* The live sessions of the user who asks. */
static void
sessions(struct worker *w, uint32_t req)
{
	struct m_vs_done done = { .req = req };
	const struct worker *o = NULL;

	while ((o = worker_next(w->v, o, w->user, NULL)) != NULL) {
		struct m_vs_session m = { .req = req, .since_us = o->since_us,
		    .suite = o->suite, .own = o == w,
		    .source = bytes_str(o->source),
		    .label = bytes_str(o->label) };

		memcpy(m.session_id, o->session_id, sizeof(m.session_id));
		sess_send(w, MSG_vs_session, &m);
	}
	sess_send(w, MSG_vs_done, &done);
}

/* Another's session is no session. */
static void
session_end(struct worker *w, const struct m_sv_session_end *m)
{
	struct m_vs_done done = { .req = m->req };
	char hex[2 * sizeof(m->session_id) + 1];
	struct worker *o = NULL;

	while ((o = worker_next(w->v, o, w->user, NULL)) != NULL)
		if (memcmp(o->session_id, m->session_id,
		    sizeof(m->session_id)) == 0)
			break;
	if (o == NULL) {
		sess_say(w, m->req, ERR_BAD, "there is no such session of yours",
		    "see `cloister sessions'");
		return;
	}
	hex_encode(hex, o->session_id, sizeof(o->session_id));
	audit(EV_session_kill, w->n, w->user->name, "session_id=%s", hex);
	/* It may be the one that asks: it is told before it ends. */
	sess_send(w, MSG_vs_done, &done);
	worker_end(o, "ended by its user");
}

/* Its kex worker may have finished a moment ago: that is read first. */
static void
ticket(struct worker *w, uint32_t req)
{
	struct m_vs_ticket m = { .req = req };
	struct vault *v = w->v;
	uint64_t n = w->n;

	if (w->kex != NULL)
		(void)chan_drain(w->kex);
	if (worker_find(v, n) != w || w->sess == NULL)
		return;
	if (ticket_give(w, m.ticket, &m.lifetime_s) == 0)
		sess_send(w, MSG_vs_ticket, &m);
	else
		sess_error(w, req, ERR_NO_TICKET);
	OPENSSL_cleanse(&m, sizeof(m));
}

void
vault_on_session(struct chan *c, struct msg *m, void *arg)
{
	struct worker *w = arg;
	char hex[65];

	(void)c;
	switch (m->type) {
	case MSG_sv_ready:
		if (w->ready) {
			worker_violation(w, "a session that is ready twice");
			break;
		}
		w->ready = true;
		memcpy(w->session_id, m->u.sv_ready.session_id,
		    sizeof(w->session_id));
		hex_encode(hex, m->u.sv_ready.session_id, 32);
		log_info("session [%llu] of %s is %s", (unsigned long long)w->n,
		    w->user->name, hex);
		break;
	case MSG_sv_ticket:
		ticket(w, m->u.sv_ticket.req);
		break;
	case MSG_sv_suspend:
		w->suspended = true;
		break;
	case MSG_sv_models:
		models(w, m->u.sv_models.req);
		break;
	case MSG_sv_list:
		list_begin(w, &m->u.sv_list);
		break;
	case MSG_sv_read:
		read_begin(w, &m->u.sv_read);
		break;
	case MSG_sv_open_model:
		llm_open(w, &m->u.sv_open_model);
		break;
	case MSG_sv_put:
		put_begin(w, &m->u.sv_put);
		break;
	case MSG_sv_data:
		put_data(w, &m->u.sv_data);
		break;
	case MSG_sv_invite:
		login_invite(w, &m->u.sv_invite);
		break;
	case MSG_sv_login:
		login_enrol(w, &m->u.sv_login);
		break;
	case MSG_sv_password:
		login_factor(w, &m->u.sv_password);
		break;
	case MSG_sv_passwd:
		login_change(w, &m->u.sv_passwd);
		break;
	case MSG_sv_sessions:
		sessions(w, m->u.sv_sessions.req);
		break;
	case MSG_sv_session_end:
		session_end(w, &m->u.sv_session_end);
		break;
	case MSG_sv_keys:
		keys_list(w, m->u.sv_keys.req);
		break;
	case MSG_sv_key_name:
		keys_name(w, &m->u.sv_key_name);
		break;
	case MSG_sv_key_revoke:
		keys_revoke(w, &m->u.sv_key_revoke);
		break;
	case MSG_sv_delete:
		delete_begin(w, &m->u.sv_delete);
		break;
	case MSG_sv_rename:
		rename_begin(w, &m->u.sv_rename);
		break;
	case MSG_sv_withdraw:
		withdraw_begin(w, &m->u.sv_withdraw);
		break;
	case MSG_sv_search:
		search_begin(w, &m->u.sv_search);
		break;
	case MSG_sv_import:
		import_begin(w, &m->u.sv_import);
		break;
	case MSG_sv_cancel:
		search_cancel(w, m->u.sv_cancel.req);
		break;
	case MSG_sv_log:
		worker_log(w, "session", m->u.sv_log.text);
		break;
	case MSG_sv_violation:
		ticket_revoke(w);
		worker_report(w, "session", m->u.sv_violation.text);
		break;
	default:
		break;
	}
}
