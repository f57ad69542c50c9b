#include "certd.h"

#include <string.h>
#include <time.h>

#include "log.h"

void
certd_hello(struct certd *d)
{
	struct buf spki = BUF_INIT(AUTHORITY_SPKI_MAX);
	struct m_tv_hello hello = { .generation = d->generation };
	struct m_tv_ca ca = { .none_ = 0 };

	/*
	 * Only the first process of a service: what runs after a stranger's byte
	 * was here cannot make an authority of anybody.
	 */
	for (size_t i = 0; d->generation == 1 &&
	    i < authorities_count(d->authorities); i++) {
		buf_reset(&spki);
		if (authority_spki(d->authorities, i, &spki) == -1)
			fatalx("client_ca: the key of certificate %zu is too "
			    "large", i + 1);
		ca.spki = buf_bytes(&spki);
		if (chan_send(d->vault, MSG_tv_ca, &ca, -1) == -1)
			fatalx("the vault is gone");
	}
	buf_free(&spki);
	if (chan_send(d->vault, MSG_tv_hello, &hello, -1) == -1)
		fatalx("the vault is gone");
}

void
certd_on_vault(struct certd *d, const struct msg *m)
{
	const struct m_vt_check *q = &m->u.vt_check;
	struct m_tv_verdict reply = { .id = q->id };
	struct verdict v;

	if (m->type == MSG_vt_welcome) {
		if (m->u.vt_welcome.generation != d->generation)
			chan_drop_until(d->vault, MSG_vt_welcome);
		return;
	}
	verify_user(&v, d->authorities, q->cert, q->spki, time(NULL));
	reply.verdict = (uint8_t)v.verdict;
	reply.not_after = v.not_after;
	reply.user = bytes_str(v.user);
	reply.detail = bytes_str(v.detail);
	if (chan_send(d->vault, MSG_tv_verdict, &reply, -1) == -1)
		fatalx("the vault is gone");
}
