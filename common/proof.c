#include "proof.h"

#include <string.h>

#include "hs.h"

#define FORMAT_VERSION	1	/* in the place of a handshake's suite */

static struct bytes
h32(const uint8_t hash[HASH_LEN])
{
	return bytes_of(hash, HASH_LEN);
}

enum proof_type
proof_type(struct bytes proof)
{
	if (proof.n == 0 || proof.n > PROOF_MAX ||
	    (proof.p[0] != PROOF_USER && proof.p[0] != PROOF_RECEIPT))
		return PROOF_NONE;
	return (enum proof_type)proof.p[0];
}

void
proof_user_encode(struct buf *out, const struct proof_user *p)
{
	buf_u8(out, PROOF_USER);
	buf_put(out, p->session_id, HASH_LEN);
	buf_put(out, p->server, HASH_LEN);
	buf_put(out, p->client, HASH_LEN);
	buf_u64(out, p->number);
	buf_u64(out, p->time_us);
	buf_put(out, p->previous, HASH_LEN);
	buf_put(out, p->salt, HASH_LEN);
	buf_v16(out, p->spki);
	buf_v16(out, p->sig);
}

int
proof_user_decode(struct proof_user *p, struct bytes proof)
{
	struct rd r = rd_of(proof);

	memset(p, 0, sizeof(*p));
	if (proof_type(proof) != PROOF_USER)
		return -1;
	(void)rd_u8(&r);
	rd_copy(&r, p->session_id, HASH_LEN);
	rd_copy(&r, p->server, HASH_LEN);
	rd_copy(&r, p->client, HASH_LEN);
	p->number = rd_u64(&r);
	p->time_us = rd_u64(&r);
	rd_copy(&r, p->previous, HASH_LEN);
	rd_copy(&r, p->salt, HASH_LEN);
	p->spki = rd_v16(&r, RSA_SPKI_MAX);
	p->sig = rd_v16(&r, RSA_OUT_MAX);
	return rd_done(&r) && p->number > 0 && p->spki.n > 0 && p->sig.n > 0 ?
	    0 : -1;
}

void
proof_digest(uint8_t digest[HASH_LEN], const uint8_t salt[HASH_LEN],
    struct bytes text)
{
	const struct bytes part[2] = { h32(salt), text };

	sha256v(digest, part, 2);
}

void
proof_user_tbs(struct buf *out, const struct proof_user *p,
    const uint8_t digest[HASH_LEN])
{
	hs_tbs_head(out, "Cloister v1 user message", FORMAT_VERSION);
	buf_put(out, p->session_id, HASH_LEN);
	buf_put(out, p->server, HASH_LEN);
	buf_put(out, p->client, HASH_LEN);
	buf_u64(out, p->number);
	buf_u64(out, p->time_us);
	buf_put(out, p->previous, HASH_LEN);
	buf_put(out, digest, HASH_LEN);
}

/* 0 when sig is that of the signing key spki for tbs. */
static int
verify(struct bytes spki, struct bytes sig, const struct buf *tbs)
{
	EVP_PKEY *key = rsa_spki_parse(spki, RSA_USE_SIGN, 0);
	int rv = -1;

	if (key != NULL && !tbs->err)
		rv = rsa_pss_verify(key, sig, buf_bytes(tbs));
	EVP_PKEY_free(key);
	return rv;
}

int
proof_user_verify(const struct proof_user *p, const uint8_t digest[HASH_LEN])
{
	struct buf tbs = BUF_INIT(PROOF_TBS_MAX);
	int rv;

	proof_user_tbs(&tbs, p, digest);
	rv = verify(p->spki, p->sig, &tbs);
	buf_free(&tbs);
	return rv;
}

void
proof_link_begin(uint8_t link[HASH_LEN], const uint8_t conv[PROOF_CONV])
{
	const struct bytes part[2] = {
		bytes_of("cl1 conversation", sizeof("cl1 conversation")),
		bytes_of(conv, PROOF_CONV)
	};

	sha256v(link, part, 2);
}

void
proof_link_next(uint8_t link[HASH_LEN], const struct proof_message *m)
{
	struct buf b = BUF_INIT(256);
	uint8_t salt[HASH_LEN] = { 0 }, digest[HASH_LEN], proof[HASH_LEN];
	struct proof_user p;

	if (proof_user_decode(&p, m->proof) == 0)
		memcpy(salt, p.salt, sizeof(salt));
	proof_digest(digest, salt, m->text);
	sha256(proof, m->proof);
	buf_put(&b, "cl1 link", sizeof("cl1 link"));
	buf_put(&b, link, HASH_LEN);
	buf_u64(&b, m->number);
	buf_u8(&b, m->kind);
	buf_u8(&b, m->finish);
	buf_u64(&b, m->time_us);
	buf_u32(&b, m->prompt_tokens);
	buf_u32(&b, m->completion_tokens);
	buf_v16(&b, m->model);
	buf_put(&b, digest, HASH_LEN);
	buf_put(&b, proof, HASH_LEN);
	if (b.err)
		crypto_fatalx("a link of a conversation");
	sha256(link, buf_bytes(&b));
	buf_free(&b);
}

void
proof_export_tbs(struct buf *out, const struct proof_export *p)
{
	hs_tbs_head(out, "Cloister v1 export", FORMAT_VERSION);
	buf_put(out, p->server, HASH_LEN);
	buf_put(out, p->client, HASH_LEN);
	buf_put(out, p->conv, PROOF_CONV);
	buf_u64(out, p->count);
	buf_u64(out, p->time_us);
	buf_put(out, p->last, HASH_LEN);
}

int
proof_export_verify(const struct proof_export *p)
{
	struct buf tbs = BUF_INIT(PROOF_TBS_MAX);
	int rv;

	proof_export_tbs(&tbs, p);
	rv = verify(p->spki, p->sig, &tbs);
	buf_free(&tbs);
	return rv;
}
