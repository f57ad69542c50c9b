#include <string.h>

#include <openssl/crypto.h>

#include "session_local.h"

void
self_ticket(struct session *s, const struct m_c_ticket *m)
{
	struct m_sv_ticket v;
	struct req *r;

	if ((r = req_new(s, m->req, REQ_TICKET)) == NULL)
		return;
	v.req = r->rid;
	session_vault(s, MSG_sv_ticket, &v);
}

/* The vault reads it before it sees the end of this session, in any case. */
void
self_suspend(struct session *s, const struct m_c_suspend *m)
{
	struct m_s_done out = { .req = m->req };

	session_vault(s, MSG_sv_suspend, NULL);
	io_send(s, MSG_s_done, &out);
}

void
self_answer(struct session *s, struct req *r, const struct msg *m)
{
	const struct m_vs_ticket *t = &m->u.vs_ticket;
	struct m_s_ticket out = { .req = r->id, .lifetime_s = t->lifetime_s };

	if (r->kind != REQ_TICKET) {
		session_violation(s, "vault: a ticket that was not asked for");
		return;
	}
	memcpy(out.ticket, t->ticket, sizeof(out.ticket));
	io_send(s, MSG_s_ticket, &out);
	OPENSSL_cleanse(&out, sizeof(out));
	req_free(s, r);
}
