#include "keyd.h"

#include <string.h>

#include "checkpoint.h"
#include "log.h"

void
keyd_audit_init(struct keyd_audit *a, struct keyd_server *s)
{
	memset(a, 0, sizeof(*a));
	a->s = s;
	a->wall_us = wall_us;
	a->allowance = KEYD_CP_BURST;
	a->since_ms = s->now_ms();
}

/* One more for each KEYD_CP_MS that went by, at most KEYD_CP_BURST. */
static bool
may_sign(struct keyd_audit *a)
{
	uint64_t n = (a->s->now_ms() - a->since_ms) / KEYD_CP_MS;

	a->since_ms += n * KEYD_CP_MS;
	a->allowance = n > KEYD_CP_BURST - a->allowance ? KEYD_CP_BURST :
	    a->allowance + (unsigned)n;
	if (a->allowance == 0)
		return false;
	a->allowance--;
	return true;
}

const char *
keyd_audit_request(struct keyd_audit *a, struct chan *c, const struct msg *m)
{
	const struct m_lk_checkpoint *q = &m->u.lk_checkpoint;
	struct buf tbs = BUF_INIT(CHECKPOINT_TBS_MAX);
	struct buf sig = BUF_INIT(RSA_OUT_MAX);
	struct m_kl_signed reply = { .seq = q->seq };
	struct m_kl_later later = { .seq = q->seq };
	struct checkpoint cp = { .seq = q->seq };

	if (q->seq <= a->last_seq)
		return "a checkpoint of a line that is not behind the last";
	if (!may_sign(a)) {
		(void)chan_send(c, MSG_kl_later, &later, -1);
		return NULL;
	}
	a->last_seq = q->seq;
	/* Signed times rise as the lines do, whatever happens to the clock. */
	cp.time_us = a->wall_us();
	if (cp.time_us <= a->last_us)
		cp.time_us = a->last_us + 1;
	a->last_us = reply.time_us = cp.time_us;
	memcpy(cp.hash, q->hash, sizeof(cp.hash));
	memcpy(cp.key, a->s->spki_hash, sizeof(cp.key));
	memcpy(reply.key, cp.key, sizeof(reply.key));
	checkpoint_tbs(&tbs, &cp);
	if (tbs.err || rsa_pss_sign(&sig, a->s->host, buf_bytes(&tbs)) == -1)
		fatalx("the host key does not sign");
	reply.sig = buf_bytes(&sig);
	(void)chan_send(c, MSG_kl_signed, &reply, -1);
	buf_free(&tbs);
	buf_free(&sig);
	return NULL;
}
