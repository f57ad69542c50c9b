/*
 * Enrolment, passwords and the user's own keys: the worker carries what it cannot
 * read or use.  A password is sealed to the hasher, an invite is a proof for one
 * key in one session; the vault decides.
 */
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "session_local.h"

bool
gate_take(struct session *s, const struct m_vs_gate *m)
{
	if (m->n != s->n || m->seconds == 0 ||
	    (m->kind != GATE_ENROL && m->kind != GATE_FACTOR) ||
	    msg_text(s->user, sizeof(s->user), m->user) == -1) {
		session_violation(s, "vault: not this session's gate");
		return false;
	}
	s->gate = m->kind;
	s->gate_s = m->seconds;
	s->have_user = true;
	chan_set_state(s->vault, m->kind == GATE_ENROL ? SESS_VAULT_ENROL :
	    SESS_VAULT_FACTOR);
	setproctitle("-cloisterd: session (not let in) [%llu]",
	    (unsigned long long)s->n);
	return true;
}

void
gate_hello(struct session *s)
{
	struct m_s_gate m = { .kind = s->gate, .seconds = s->gate_s,
	    .user = bytes_str(s->user),
	    .version = bytes_str("Cloister " CLOISTER_VERSION) };

	appconn_set_state(s->app, s->gate == GATE_ENROL ? APP_ENROL :
	    APP_FACTOR);
	io_send(s, MSG_s_gate, &m);
}

/* A request that goes to the vault under our number, or NULL. */
static struct req *
ask(struct session *s, uint32_t id, enum msg_type asked)
{
	struct req *r = NULL;

	/* One at a time before the user is let in. */
	if (s->gate != 0 && s->nreqs > 0)
		session_error(s, id, ERR_BUSY, "one attempt at a time", "");
	else
		r = req_new(s, id, REQ_GATE);
	if (r != NULL)
		r->asked = asked;
	return r;
}

static void
enrol_invite(struct session *s, const struct m_c_enrol_invite *m)
{
	struct req *r = ask(s, m->req, MSG_c_enrol_invite);
	struct m_sv_invite out = { .msg_spki = m->msg_spki,
	    .label = m->label };

	if (r == NULL)
		return;
	out.req = r->rid;
	memcpy(out.id, m->id, sizeof(out.id));
	memcpy(out.proof, m->proof, sizeof(out.proof));
	session_vault(s, MSG_sv_invite, &out);
}

static void
enrol_password(struct session *s, const struct m_c_enrol_password *m)
{
	struct req *r = ask(s, m->req, MSG_c_enrol_password);
	struct m_sv_login out = { .user = m->user, .msg_spki = m->msg_spki,
	    .label = m->label };

	if (r == NULL)
		return;
	out.req = r->rid;
	memcpy(out.exported, s->exported, sizeof(out.exported));
	memcpy(out.sealed, m->sealed, sizeof(out.sealed));
	session_vault(s, MSG_sv_login, &out);
}

static void
factor(struct session *s, const struct m_c_password *m)
{
	struct req *r = ask(s, m->req, MSG_c_password);
	struct m_sv_password out;

	if (r == NULL)
		return;
	out.req = r->rid;
	memcpy(out.exported, s->exported, sizeof(out.exported));
	memcpy(out.sealed, m->sealed, sizeof(out.sealed));
	session_vault(s, MSG_sv_password, &out);
}

static void
change(struct session *s, const struct m_c_passwd *m)
{
	struct req *r = ask(s, m->req, MSG_c_passwd);
	struct m_sv_passwd out;

	if (r == NULL)
		return;
	out.req = r->rid;
	memcpy(out.exported, s->exported, sizeof(out.exported));
	memcpy(out.sealed, m->sealed, sizeof(out.sealed));
	session_vault(s, MSG_sv_passwd, &out);
}

static void
keys(struct session *s, const struct msg *m)
{
	struct m_sv_key_revoke revoke;
	struct m_sv_key_name name;
	struct m_sv_keys list;
	struct req *r;

	switch (m->type) {
	case MSG_c_keys:
		if ((r = ask(s, m->u.c_keys.req, m->type)) == NULL)
			return;
		list.req = r->rid;
		session_vault(s, MSG_sv_keys, &list);
		break;
	case MSG_c_key_name:
		if ((r = ask(s, m->u.c_key_name.req, m->type)) == NULL)
			return;
		name.req = r->rid;
		memcpy(name.keyid, m->u.c_key_name.keyid, sizeof(name.keyid));
		name.label = m->u.c_key_name.label;
		session_vault(s, MSG_sv_key_name, &name);
		break;
	default:
		if ((r = ask(s, m->u.c_key_revoke.req, m->type)) == NULL)
			return;
		revoke.req = r->rid;
		memcpy(revoke.keyid, m->u.c_key_revoke.keyid,
		    sizeof(revoke.keyid));
		session_vault(s, MSG_sv_key_revoke, &revoke);
	}
}

static void
sessions(struct session *s, const struct msg *m)
{
	struct m_sv_session_end end;
	struct m_sv_sessions list;
	struct req *r;

	if (m->type == MSG_c_sessions) {
		if ((r = ask(s, m->u.c_sessions.req, m->type)) == NULL)
			return;
		list.req = r->rid;
		session_vault(s, MSG_sv_sessions, &list);
		return;
	}
	if ((r = ask(s, m->u.c_session_end.req, m->type)) == NULL)
		return;
	end.req = r->rid;
	memcpy(end.session_id, m->u.c_session_end.session_id,
	    sizeof(end.session_id));
	session_vault(s, MSG_sv_session_end, &end);
}

void
gate_message(struct session *s, const struct msg *m)
{
	switch (m->type) {
	case MSG_c_enrol_invite:
		enrol_invite(s, &m->u.c_enrol_invite);
		break;
	case MSG_c_enrol_password:
		enrol_password(s, &m->u.c_enrol_password);
		break;
	case MSG_c_password:
		factor(s, &m->u.c_password);
		break;
	case MSG_c_passwd:
		change(s, &m->u.c_passwd);
		break;
	case MSG_c_sessions:
	case MSG_c_session_end:
		sessions(s, m);
		break;
	default:
		keys(s, m);
	}
}

static void
send_key(struct session *s, const struct req *r, const struct m_vs_key *m)
{
	struct m_s_key out = { .req = r->id, .state = m->state,
	    .own = m->own, .created_us = m->created_us, .label = m->label };

	memcpy(out.keyid, m->keyid, sizeof(out.keyid));
	memcpy(out.fp, m->fp, sizeof(out.fp));
	io_send(s, MSG_s_key, &out);
}

static void
send_session(struct session *s, const struct req *r,
    const struct m_vs_session *m)
{
	struct m_s_session out = { .req = r->id, .since_us = m->since_us,
	    .suite = m->suite, .own = m->own, .source = m->source,
	    .label = m->label };

	memcpy(out.session_id, m->session_id, sizeof(out.session_id));
	io_send(s, MSG_s_session, &out);
}

void
gate_answer(struct session *s, struct req *r, const struct msg *m)
{
	struct m_s_enrolled enrolled = { .req = r->id };
	struct m_s_done done = { .req = r->id };
	bool enrols = r->asked == MSG_c_enrol_invite ||
	    r->asked == MSG_c_enrol_password;

	if (m->type == MSG_vs_key && r->asked == MSG_c_keys)
		send_key(s, r, &m->u.vs_key);
	else if (m->type == MSG_vs_session && r->asked == MSG_c_sessions)
		send_session(s, r, &m->u.vs_session);
	else if (m->type == MSG_vs_enrolled && enrols) {
		enrolled.user = m->u.vs_enrolled.user;
		io_send(s, MSG_s_enrolled, &enrolled);
		req_free(s, r);
		session_left(s, 0);	/* that is all that it may do */
	} else if (m->type == MSG_vs_done && !enrols &&
	    r->asked != MSG_c_password) {
		io_send(s, MSG_s_done, &done);
		req_free(s, r);
	} else
		session_violation(s, "vault: an answer to something else");
}
