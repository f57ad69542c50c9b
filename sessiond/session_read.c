#include <string.h>

#include "session_local.h"

void
read_list(struct session *s, const struct m_c_list *m)
{
	struct m_sv_list v = { .limit = m->limit, .token = m->token };
	struct req *r;

	if ((r = req_new(s, m->req, REQ_LIST)) == NULL)
		return;
	v.req = r->rid;
	session_vault(s, MSG_sv_list, &v);
}

void
read_show(struct session *s, const struct m_c_show *m)
{
	struct m_sv_read v = { .from = m->from, .limit = m->limit };
	struct req *r;

	if ((r = req_new(s, m->req, REQ_SHOW)) == NULL)
		return;
	v.req = r->rid;
	memcpy(v.conv, m->conv, sizeof(v.conv));
	session_vault(s, MSG_sv_read, &v);
}

void
read_models(struct session *s, const struct m_c_models *m)
{
	struct m_sv_models v;
	struct req *r;

	if ((r = req_new(s, m->req, REQ_MODELS)) == NULL)
		return;
	v.req = r->rid;
	session_vault(s, MSG_sv_models, &v);
}

static void
send_model(struct session *s, const struct req *r, const struct m_vs_model *m)
{
	struct m_s_model out = {
		.req = r->id, .is_default = m->is_default, .alias = m->alias,
		.provider = m->provider
	};

	if (r->kind != REQ_MODELS) {
		session_violation(s, "vault: a model that was not asked for");
		return;
	}
	io_send(s, MSG_s_model, &out);
}

static void
send_conv(struct session *s, const struct req *r, const struct m_vs_conv *m)
{
	struct m_s_conv out = {
		.req = r->id, .updated_us = m->updated_us, .count = m->count,
		.title = m->title
	};

	if (r->kind != REQ_LIST) {
		session_violation(s,
		    "vault: a conversation that was not asked for");
		return;
	}
	memcpy(out.conv, m->conv, sizeof(out.conv));
	io_send(s, MSG_s_conv, &out);
}

/* The message in r->head and r->text is whole. */
static void
whole(struct session *s, struct req *r)
{
	const struct m_vs_msg *h = &r->head;
	struct m_s_msg out = {
		.req = r->id, .number = h->number, .kind = h->kind,
		.finish = h->finish, .time_us = h->time_us,
		.prompt_tokens = h->prompt_tokens,
		.completion_tokens = h->completion_tokens,
		.model = bytes_str(r->model), .text = buf_bytes(&r->text),
		.proof = buf_bytes(&r->proof)
	};

	r->reading = false;
	if (!bytes_utf8(out.text)) {
		session_violation(s, "vault: a text is not UTF-8");
		return;
	}
	if (r->kind == REQ_CHAT) {
		chat_history(s, r);	/* may end the request */
		return;
	}
	io_send(s, MSG_s_msg, &out);
	buf_reset(&r->text);
}

static void
begin(struct session *s, struct req *r, const struct m_vs_msg *m)
{
	if ((r->kind != REQ_SHOW &&
	    (r->kind != REQ_CHAT || !chat_reading(r))) || r->reading ||
	    m->len > TEXT_MAX_BYTES ||
	    msg_text(r->model, sizeof(r->model), m->model) == -1) {
		session_violation(s, "vault: message out of order");
		return;
	}
	r->head = *m;
	buf_reset(&r->proof);
	buf_put(&r->proof, m->proof.p, m->proof.n);
	if (r->proof.err) {
		session_violation(s, "no memory");
		return;
	}
	r->reading = true;
	if (m->len == 0)
		whole(s, r);
}

static void
more(struct session *s, struct req *r, const struct m_vs_data *m)
{
	if (!r->reading || m->data.n == 0 ||
	    m->data.n > r->head.len - r->text.n) {
		session_violation(s, "vault: data out of order");
		return;
	}
	buf_put(&r->text, m->data.p, m->data.n);
	if (r->text.err)
		session_violation(s, "no memory");
	else if (r->text.n == r->head.len)
		whole(s, r);
}

static void
done(struct session *s, struct req *r, const struct m_vs_done *m)
{
	struct m_s_done out = { .req = r->id, .token = m->token };

	if (r->reading || (r->kind == REQ_CHAT && !chat_reading(r)) ||
	    r->kind == REQ_DELETE || r->kind == REQ_IMPORT ||
	    r->kind == REQ_WITHDRAW) {
		session_violation(s, "vault: end out of order");
		return;
	}
	if (r->kind == REQ_CHAT) {
		chat_history_done(s, r);
		return;
	}
	io_send(s, MSG_s_done, &out);
	req_free(s, r);
}

void
read_answer(struct session *s, struct req *r, const struct msg *m)
{
	switch (m->type) {
	case MSG_vs_model:
		send_model(s, r, &m->u.vs_model);
		break;
	case MSG_vs_conv:
		send_conv(s, r, &m->u.vs_conv);
		break;
	case MSG_vs_msg:
		begin(s, r, &m->u.vs_msg);
		break;
	case MSG_vs_data:
		more(s, r, &m->u.vs_data);
		break;
	case MSG_vs_done:
		done(s, r, &m->u.vs_done);
		break;
	default:
		session_violation(s, "vault: an answer to something else");
	}
}
