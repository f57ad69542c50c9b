#include "sessions.h"

#include "convs.h"
#include "exits.h"

int
sessions_each(struct conn *c, unsigned max, sessions_cb *cb, void *arg)
{
	struct m_c_sessions q = { .req = conn_request(c) };
	unsigned n = 0;
	struct msg m;
	int rc;

	rc = conn_send(c, MSG_c_sessions, &q);
	while (rc == RC_OK && (rc = conn_next(c, &m)) == RC_OK) {
		if (m.type == MSG_s_done && m.u.s_done.req == q.req)
			break;
		if (m.type != MSG_s_session || m.u.s_session.req != q.req ||
		    n++ == max)
			return other_reply(c, &m, q.req);
		rc = cb(&m.u.s_session, arg);
	}
	return rc;
}
