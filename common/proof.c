#include "proof.h"

#include <string.h>

#include "codes.h"
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

/* ---- receipts -------------------------------------------------------------- */

/* What the leaf covers. */
static void
put_fields(struct buf *out, const struct proof_receipt *p)
{
	buf_put(out, p->session_id, HASH_LEN);
	buf_put(out, p->server, HASH_LEN);
	buf_put(out, p->client, HASH_LEN);
	buf_put(out, p->conv, PROOF_CONV);
	buf_u64(out, p->number);
	buf_put(out, p->previous, HASH_LEN);
	buf_u64(out, p->question);
	buf_put(out, p->signature, HASH_LEN);
	buf_put(out, p->sent, HASH_LEN);
	buf_put(out, p->response, HASH_LEN);
	buf_v16(out, p->model);
	buf_u8(out, p->finish);
	buf_u64(out, p->time_us);
}

void
proof_receipt_encode(struct buf *out, const struct proof_receipt *p)
{
	buf_u8(out, PROOF_RECEIPT);
	put_fields(out, p);
	buf_put(out, p->salt, HASH_LEN);
	buf_u8(out, p->depth);
	for (unsigned i = 0; i < p->depth; i++) {
		buf_u8(out, p->path[i].left);
		buf_put(out, p->path[i].hash, HASH_LEN);
	}
	buf_v16(out, p->spki);
	buf_v16(out, p->sig);
}

/* The steps; false when they are not as they must be. */
static bool
get_path(struct proof_receipt *p, struct rd *r)
{
	uint8_t side;

	p->depth = rd_u8(r);
	if (p->depth > PROOF_DEPTH)
		return false;
	for (unsigned i = 0; i < p->depth; i++) {
		if ((side = rd_u8(r)) > 1)
			return false;
		p->path[i].left = side == 1;
		rd_copy(r, p->path[i].hash, HASH_LEN);
	}
	return true;
}

int
proof_receipt_decode(struct proof_receipt *p, struct bytes proof)
{
	struct rd r = rd_of(proof);

	memset(p, 0, sizeof(*p));
	if (proof_type(proof) != PROOF_RECEIPT)
		return -1;
	(void)rd_u8(&r);
	rd_copy(&r, p->session_id, HASH_LEN);
	rd_copy(&r, p->server, HASH_LEN);
	rd_copy(&r, p->client, HASH_LEN);
	rd_copy(&r, p->conv, PROOF_CONV);
	p->number = rd_u64(&r);
	rd_copy(&r, p->previous, HASH_LEN);
	p->question = rd_u64(&r);
	rd_copy(&r, p->signature, HASH_LEN);
	rd_copy(&r, p->sent, HASH_LEN);
	rd_copy(&r, p->response, HASH_LEN);
	p->model = rd_v16(&r, PROOF_MODEL);
	p->finish = rd_u8(&r);
	p->time_us = rd_u64(&r);
	rd_copy(&r, p->salt, HASH_LEN);
	if (!get_path(p, &r))
		return -1;
	p->spki = rd_v16(&r, RSA_SPKI_MAX);
	p->sig = rd_v16(&r, RSA_OUT_MAX);
	return rd_done(&r) && p->number > 0 && p->question > 0 &&
	    p->finish > FINISH_NONE && p->finish <= FINISH_FILTER &&
	    p->spki.n > 0 && p->sig.n > 0 && bytes_utf8(p->model) ? 0 : -1;
}

void
proof_receipt_leaf(uint8_t leaf[HASH_LEN], const struct proof_receipt *p)
{
	static const uint8_t zero;
	struct buf b = BUF_INIT(512);
	struct bytes part[3] = { bytes_of(&zero, 1), h32(p->salt) };

	put_fields(&b, p);
	if (b.err)
		crypto_fatalx("a receipt");
	part[2] = buf_bytes(&b);
	sha256v(leaf, part, 3);
	buf_free(&b);
}

static void
node(uint8_t out[HASH_LEN], const uint8_t left[HASH_LEN],
    const uint8_t right[HASH_LEN])
{
	static const uint8_t one = 1;
	const struct bytes part[3] = { bytes_of(&one, 1), h32(left),
	    h32(right) };

	sha256v(out, part, 3);
}

void
proof_tree(uint8_t root[HASH_LEN], struct proof_receipt *const *p, size_t n)
{
	uint8_t level[1 << PROOF_DEPTH][HASH_LEN];
	size_t at, width = n, i;

	if (n == 0 || n > 1 << PROOF_DEPTH)
		crypto_fatalx("a tree of receipts");
	for (i = 0; i < n; i++) {
		p[i]->depth = 0;
		proof_receipt_leaf(level[i], p[i]);
	}
	/* Leaf i is below node i >> level; one without a neighbour moves up. */
	for (unsigned up = 0; width > 1; up++, width = (width + 1) / 2) {
		for (i = 0; i < n; i++) {
			if ((at = (i >> up) ^ 1) >= width)
				continue;
			p[i]->path[p[i]->depth].left = (at & 1) == 0;
			memcpy(p[i]->path[p[i]->depth++].hash, level[at],
			    HASH_LEN);
		}
		for (i = 0; i < width / 2; i++)
			node(level[i], level[2 * i], level[2 * i + 1]);
		if (width % 2 == 1)
			memcpy(level[width / 2], level[width - 1], HASH_LEN);
	}
	memcpy(root, level[0], HASH_LEN);
}

void
proof_receipt_tbs(struct buf *out, const uint8_t server[HASH_LEN],
    const uint8_t root[HASH_LEN])
{
	hs_tbs_head(out, "Cloister v1 receipt", FORMAT_VERSION);
	buf_put(out, server, HASH_LEN);
	buf_put(out, root, HASH_LEN);
}

int
proof_receipt_verify(const struct proof_receipt *p)
{
	struct buf tbs = BUF_INIT(PROOF_TBS_MAX);
	uint8_t root[HASH_LEN], fp[HASH_LEN], leaf[HASH_LEN];
	int rv;

	proof_receipt_leaf(root, p);
	for (unsigned i = 0; i < p->depth; i++) {
		memcpy(leaf, root, HASH_LEN);
		if (p->path[i].left)
			node(root, p->path[i].hash, leaf);
		else
			node(root, leaf, p->path[i].hash);
	}
	sha256(fp, p->spki);
	if (memcmp(fp, p->server, HASH_LEN) != 0)
		return -1;
	proof_receipt_tbs(&tbs, p->server, root);
	rv = verify(p->spki, p->sig, &tbs);
	buf_free(&tbs);
	return rv;
}

void
proof_sent(EVP_MD_CTX *sent, uint8_t kind, struct bytes text)
{
	uint8_t head[5] = { kind };

	put_be32(head + 1, (uint32_t)text.n);
	if (EVP_DigestUpdate(sent, head, sizeof(head)) != 1 ||
	    EVP_DigestUpdate(sent, text.p, text.n) != 1)
		crypto_fatalx("SHA-256");
}

/* ---- links ------------------------------------------------------------------- */

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
