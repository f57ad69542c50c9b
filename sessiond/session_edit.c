#include <string.h>

#include "session_local.h"

void
edit_delete(struct session *s, const struct m_c_delete *m)
{
	struct m_sv_delete v;
	struct req *r;

	if ((r = req_new(s, m->req, REQ_DELETE)) == NULL)
		return;
	v.req = r->rid;
	memcpy(v.conv, m->conv, sizeof(v.conv));
	session_vault(s, MSG_sv_delete, &v);
}

void
edit_rename(struct session *s, const struct m_c_rename *m)
{
	struct m_sv_rename v = { .title = m->title };
	struct req *r;

	if ((r = req_new(s, m->req, REQ_RENAME)) == NULL)
		return;
	v.req = r->rid;
	memcpy(v.conv, m->conv, sizeof(v.conv));
	session_vault(s, MSG_sv_rename, &v);
}

void
edit_search(struct session *s, const struct m_c_search *m)
{
	struct m_sv_search v = { .limit = m->limit, .words = m->words };
	struct req *r;

	if ((r = req_new(s, m->req, REQ_SEARCH)) == NULL)
		return;
	v.req = r->rid;
	session_vault(s, MSG_sv_search, &v);
}

/* One message of a conversation that the client has kept. */
void
edit_import(struct session *s, const struct m_c_import *m)
{
	struct m_sv_import v = {
		.kind = m->kind, .finish = m->finish, .time_us = m->time_us,
		.prompt_tokens = m->prompt_tokens,
		.completion_tokens = m->completion_tokens,
		.model = m->model, .title = m->title,
		.len = (uint32_t)m->text.n
	};
	struct req *r;

	if ((r = req_new(s, m->req, REQ_IMPORT)) == NULL)
		return;
	v.req = r->rid;
	memcpy(v.conv, m->conv, sizeof(v.conv));
	memcpy(v.mac, appconn_mac_in(s->app), sizeof(v.mac));
	session_vault(s, MSG_sv_import, &v);
	session_vault_data(s, r, m->text);
}

void
edit_withdraw(struct session *s, const struct m_c_withdraw *m)
{
	struct m_sv_withdraw v = { .last = m->last };
	struct req *r;

	/* Its answer would stand behind the withdrawal. */
	if (chat_busy(s, m->conv)) {
		session_error(s, m->req, ERR_BUSY, "an answer in this "
		    "conversation is under way", "wait for it or cancel it");
		return;
	}
	if ((r = req_new(s, m->req, REQ_WITHDRAW)) == NULL)
		return;
	v.req = r->rid;
	memcpy(v.conv, m->conv, sizeof(v.conv));
	memcpy(v.mac, appconn_mac_in(s->app), sizeof(v.mac));
	session_vault(s, MSG_sv_withdraw, &v);
}

void
edit_cancel(struct session *s, struct req *r)
{
	struct m_sv_cancel v = { .req = r->rid };
	struct m_s_done out = { .req = r->id };

	session_vault(s, MSG_sv_cancel, &v);
	io_send(s, MSG_s_done, &out);
	req_free(s, r);
}

static void
stored(struct session *s, struct req *r, const struct m_vs_stored *m)
{
	struct m_s_stored out = {
		.req = r->id, .number = m->number, .time_us = m->time_us
	};

	memcpy(out.conv, m->conv, sizeof(out.conv));
	io_send(s, MSG_s_stored, &out);
	req_free(s, r);
}

static void
deleted(struct session *s, struct req *r, const struct m_vs_deleted *m)
{
	struct m_s_deleted out = { .req = r->id, .shred_s = m->shred_s };

	io_send(s, MSG_s_deleted, &out);
	req_free(s, r);
}

static void
found(struct session *s, const struct req *r, const struct m_vs_found *m)
{
	struct m_s_found out = {
		.req = r->id, .number = m->number, .kind = m->kind,
		.time_us = m->time_us, .title = m->title, .excerpt = m->excerpt
	};

	memcpy(out.conv, m->conv, sizeof(out.conv));
	io_send(s, MSG_s_found, &out);
}

void
edit_answer(struct session *s, struct req *r, const struct msg *m)
{
	if (m->type == MSG_vs_stored && (r->kind == REQ_IMPORT ||
	    r->kind == REQ_WITHDRAW))
		stored(s, r, &m->u.vs_stored);
	else if (m->type == MSG_vs_deleted && r->kind == REQ_DELETE)
		deleted(s, r, &m->u.vs_deleted);
	else if (m->type == MSG_vs_found && r->kind == REQ_SEARCH)
		found(s, r, &m->u.vs_found);
	else
		session_violation(s, "vault: answers what it was not asked");
}
