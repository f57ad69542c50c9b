#include "keyd.h"

#include <string.h>

#include "log.h"

#define TEXT_MAX	1048576		/* bytes of a message */

static void
sign(struct keyd_client *k, struct buf *sig, const struct buf *tbs)
{
	if (tbs->err || rsa_pss_sign(sig, k->key[KEYD_MESSAGE],
	    buf_bytes(tbs)) == -1)
		fatalx("the key does not sign");
}

static const char *
on_message(struct keyd_client *k, struct chan *c, const struct m_ck_message *q)
{
	struct proof_user *p = &k->message;

	if (q->number == 0 || q->len == 0 || q->len > TEXT_MAX)
		return "a message without a number or a text";
	memset(p, 0, sizeof(*p));
	memcpy(p->session_id, q->session_id, HASH_LEN);
	memcpy(p->server, q->server_hash, HASH_LEN);
	memcpy(p->client, k->hash[KEYD_SIGN], HASH_LEN);
	memcpy(p->previous, q->previous, HASH_LEN);
	p->number = q->number;
	crypto_random(p->salt, sizeof(p->salt));
	if (EVP_DigestInit_ex(k->text, sha256_md(), NULL) != 1 ||
	    EVP_DigestUpdate(k->text, p->salt, sizeof(p->salt)) != 1)
		fatalx("SHA-256");
	k->left = q->len;
	chan_set_state(c, CLI_KEYD_TEXT);
	return NULL;
}

/* The text is whole. */
static void
message_end(struct keyd_client *k, struct chan *c)
{
	struct buf tbs = BUF_INIT(PROOF_TBS_MAX), sig = BUF_INIT(RSA_OUT_MAX);
	struct proof_user *p = &k->message;
	struct m_kc_message reply = { .time_us = wall_us() };
	uint8_t digest[HASH_LEN];

	if (EVP_DigestFinal_ex(k->text, digest, NULL) != 1)
		fatalx("SHA-256");
	p->time_us = reply.time_us;
	memcpy(reply.salt, p->salt, sizeof(reply.salt));
	proof_user_tbs(&tbs, p, digest);
	sign(k, &sig, &tbs);
	reply.sig = buf_bytes(&sig);
	chan_set_state(c, CLI_KEYD_NEW);
	(void)chan_send(c, MSG_kc_message, &reply, -1);
	buf_free(&tbs);
	buf_free(&sig);
}

static const char *
on_text(struct keyd_client *k, struct chan *c, const struct m_ck_text *q)
{
	if (q->data.n == 0 || q->data.n > k->left)
		return "text that was not announced";
	if (EVP_DigestUpdate(k->text, q->data.p, q->data.n) != 1)
		fatalx("SHA-256");
	k->left -= (uint32_t)q->data.n;
	if (k->left == 0)
		message_end(k, c);
	return NULL;
}

static const char *
on_export(struct keyd_client *k, struct chan *c, const struct m_ck_export *q)
{
	struct buf tbs = BUF_INIT(PROOF_TBS_MAX), sig = BUF_INIT(RSA_OUT_MAX);
	struct m_kc_export reply = { .time_us = wall_us() };
	struct proof_export p = { .count = q->count,
	    .time_us = reply.time_us };

	memcpy(p.server, q->server_hash, sizeof(p.server));
	memcpy(p.client, k->hash[KEYD_SIGN], sizeof(p.client));
	memcpy(p.conv, q->conv, sizeof(p.conv));
	memcpy(p.last, q->last, sizeof(p.last));
	proof_export_tbs(&tbs, &p);
	sign(k, &sig, &tbs);
	reply.sig = buf_bytes(&sig);
	(void)chan_send(c, MSG_kc_export, &reply, -1);
	buf_free(&tbs);
	buf_free(&sig);
	return NULL;
}

const char *
keyd_message_request(struct keyd_client *k, struct chan *c, const struct msg *m)
{
	switch (m->type) {
	case MSG_ck_message:
		return on_message(k, c, &m->u.ck_message);
	case MSG_ck_text:
		return on_text(k, c, &m->u.ck_text);
	default:		/* nothing else comes this way */
		return on_export(k, c, &m->u.ck_export);
	}
}
