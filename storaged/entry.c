#include "entry.h"

#include <string.h>

#include <openssl/crypto.h>

#include "kdf.h"

/* An M value: version | salt | nonce | ciphertext | tag. */
#define NONCE_AT	(SEAL_VERLEN + ENTRY_SALT)
#define CT_AT		(NONCE_AT + SEAL_NONCELEN)
#define CHUNK_OVERHEAD	(CT_AT + SEAL_TAGLEN)
#define BUCKET_MIN	256
#define FORMAT_PROOF	2	/* a header that has a proof */

size_t
entry_bucket(size_t n)
{
	size_t b;

	for (b = BUCKET_MIN; b < ENTRY_CHUNK_MAX; b *= 2)
		if (n <= b)
			return b;
	return (n + ENTRY_CHUNK_MAX - 1) / ENTRY_CHUNK_MAX * ENTRY_CHUNK_MAX;
}

/* Of a padded length. */
static size_t
nchunks(size_t padded)
{
	return (padded + ENTRY_CHUNK_MAX - 1) / ENTRY_CHUNK_MAX;
}

size_t
entry_nchunks(const struct entry *e)
{
	return nchunks(entry_bucket(ENTRY_HEADER_MIN +
	    strnlen(e->model, sizeof(e->model)) +
	    (e->proof.n > 0 ? 2 + e->proof.n : 0) + e->text.n));
}

static bool
entry_valid(const struct entry *e)
{
	size_t n = strnlen(e->model, sizeof(e->model));

	return e->kind >= KIND_USER && e->kind <= KIND_WITHDRAWN &&
	    e->finish <= FINISH_FILTER && n <= REC_MODEL_MAX &&
	    bytes_utf8(bytes_of(e->model, n)) && e->text.n <= ENTRY_TEXT_MAX &&
	    e->proof.n <= PROOF_MAX;
}

/* The key of one entry; conv and number are bound into it. */
static void
entry_key(uint8_t key[SEAL_KEYLEN], const uint8_t dk[SEAL_KEYLEN],
    const uint8_t salt[ENTRY_SALT], const struct entry_at *at)
{
	uint8_t prk[HASH_LEN], context[REC_ID + 8];

	memcpy(context, at->conv, REC_ID);
	put_be64(context + REC_ID, at->number);
	kdf_extract(bytes_of(salt, ENTRY_SALT), bytes_of(dk, SEAL_KEYLEN), prk);
	kdf_xl(key, SEAL_KEYLEN, prk, "msg", bytes_of(context, sizeof(context)));
	OPENSSL_cleanse(prk, sizeof(prk));
}

/* chain(number) from chain(number - 1), the header and the text. */
static void
entry_chain(uint8_t chain[REC_HASH], const struct seal_bundle *b,
    const struct entry_at *at, const uint8_t prev[REC_HASH],
    struct bytes header, struct bytes text)
{
	uint8_t digest[HASH_LEN], be[8];
	const struct bytes content[2] = { header, text };
	const struct bytes in[5] = {
		bytes_str("chain"), { at->conv, REC_ID }, { be, sizeof(be) },
		{ prev, REC_HASH }, { digest, sizeof(digest) }
	};

	sha256v(digest, content, 2);
	put_be64(be, at->number);
	hmac_sha256v(chain, bytes_of(b->chain, sizeof(b->chain)), in, 5);
}

/* Append the header without the chain value. */
static void
put_header(struct buf *out, const struct entry *e)
{
	buf_u8(out, e->proof.n > 0 ? FORMAT_PROOF : SEAL_FORMAT);
	buf_u8(out, e->kind);
	buf_u8(out, e->finish);
	buf_u64(out, e->time_us);
	buf_u32(out, e->prompt_tokens);
	buf_u32(out, e->completion_tokens);
	buf_v16(out, bytes_of(e->model, strnlen(e->model, sizeof(e->model))));
	buf_put(out, e->mac, sizeof(e->mac));
	buf_u32(out, (uint32_t)e->text.n);
	if (e->proof.n > 0)
		buf_v16(out, e->proof);
}

/* Seal one chunk into value, which has room for it, and hand it out. */
static int
seal_chunk(uint8_t value[SEAL_VALUE_MAX], const uint8_t key[SEAL_KEYLEN],
    const struct entry_at *at, uint16_t chunk, uint64_t version,
    struct bytes plain, entry_emit *emit, void *arg)
{
	struct rec_key rk = rec_key_msg(at->conv, at->number, chunk);
	struct seal_ad ad = { rec_bytes(&rk), version, 0, { at->uid, REC_ID } };
	int rv;

	crypto_random(value + NONCE_AT, SEAL_NONCELEN);
	rv = seal_aead(value + CT_AT, key, value + NONCE_AT, &ad, plain);
	if (rv == 0 && (rv = emit(arg, rec_bytes(&rk),
	    bytes_of(value, CHUNK_OVERHEAD + plain.n))) > 0)
		rv = 0;
	return rv;
}

int
entry_seal(const struct seal_bundle *b, const uint8_t dk[SEAL_KEYLEN],
    const struct entry_at *at, uint64_t version, const uint8_t prev[REC_HASH],
    struct entry *e, entry_emit *emit, void *arg)
{
	struct buf plain = BUF_INIT(ENTRY_PLAIN_MAX);
	uint8_t key[SEAL_KEYLEN], value[SEAL_VALUE_MAX];
	size_t padded, left;
	uint16_t chunk = 0;
	int rv = 0;

	if (!entry_valid(e) || at->number == 0 || version == 0)
		return SEAL_EFORMAT;
	put_header(&plain, e);
	entry_chain(e->chain, b, at, prev, buf_bytes(&plain), e->text);
	buf_put(&plain, e->chain, sizeof(e->chain));
	buf_put(&plain, e->text.p, e->text.n);
	padded = entry_bucket(plain.n);
	buf_zero(&plain, padded - plain.n);
	if (plain.err) {
		buf_free(&plain);
		return SEAL_ENOMEM;
	}
	put_be64(value, version);
	crypto_random(value + SEAL_VERLEN, ENTRY_SALT);
	entry_key(key, dk, value + SEAL_VERLEN, at);
	for (size_t pos = 0; rv == 0 && pos < padded; pos += ENTRY_CHUNK_MAX) {
		left = padded - pos;
		rv = seal_chunk(value, key, at, chunk++, version,
		    bytes_of(plain.p + pos, left < ENTRY_CHUNK_MAX ? left :
		    ENTRY_CHUNK_MAX), emit, arg);
	}
	OPENSSL_cleanse(key, sizeof(key));
	buf_free(&plain);
	return rv;
}

/* Append chunk number i's plaintext; first is chunk 0's value. */
static int
open_chunk(struct buf *plain, const uint8_t key[SEAL_KEYLEN],
    const struct entry_at *at, uint16_t i, struct bytes first,
    const struct entry_chunk *c)
{
	struct rec_key rk = rec_key_msg(at->conv, at->number, i);
	struct seal_ad ad = { c->key, get_be64(first.p), 0,
	    { at->uid, REC_ID } };
	uint8_t *p;

	if (c->value.n <= CHUNK_OVERHEAD || c->value.n > SEAL_VALUE_MAX)
		return SEAL_EFORMAT;
	/* Another place, or a chunk of another version or another sealing. */
	if (!bytes_eq(c->key, rec_bytes(&rk)) ||
	    memcmp(c->value.p, first.p, NONCE_AT) != 0)
		return SEAL_EAUTH;
	if ((p = buf_grow(plain, c->value.n - CHUNK_OVERHEAD)) == NULL)
		return SEAL_ENOMEM;
	return seal_aead_open(p, key, c->value.p + NONCE_AT, &ad,
	    bytes_of(c->value.p + CT_AT, c->value.n - CT_AT));
}

/* Take the plaintext apart; *header is the header without the chain value. */
static int
get_entry(struct entry *e, struct bytes plain, struct bytes *header)
{
	struct rd r = rd_of(plain);
	struct bytes model;
	uint8_t format, nonzero = 0;
	uint32_t len;

	format = rd_u8(&r);
	e->kind = rd_u8(&r);
	e->finish = rd_u8(&r);
	e->time_us = rd_u64(&r);
	e->prompt_tokens = rd_u32(&r);
	e->completion_tokens = rd_u32(&r);
	model = rd_v16(&r, REC_MODEL_MAX);
	rd_copy(&r, e->mac, sizeof(e->mac));
	len = rd_u32(&r);
	if (format == FORMAT_PROOF)
		e->proof = rd_v16(&r, PROOF_MAX);
	*header = bytes_of(plain.p, plain.n - r.n);
	rd_copy(&r, e->chain, sizeof(e->chain));
	if (r.err || len > ENTRY_TEXT_MAX || (format != SEAL_FORMAT &&
	    (format != FORMAT_PROOF || e->proof.n == 0)))
		return SEAL_EFORMAT;
	if (model.n > 0)
		memcpy(e->model, model.p, model.n);
	/* The right number of chunks, all of them full, or one was taken. */
	if (entry_bucket(plain.n - r.n + len) != plain.n)
		return SEAL_EAUTH;
	e->text = rd_bytes(&r, len);
	for (size_t i = 0; i < r.n; i++)
		nonzero |= r.p[i];
	/* entry_valid() stops at a NUL inside the name, the length does not. */
	if (r.err || nonzero != 0 || !entry_valid(e) ||
	    strlen(e->model) != model.n)
		return SEAL_EFORMAT;
	return 0;
}

int
entry_open(struct entry *e, uint64_t *version, struct buf *plain,
    const struct seal_bundle *b, const uint8_t dk[SEAL_KEYLEN],
    const struct entry_at *at, const uint8_t *prev,
    const struct entry_chunk *chunk, size_t n)
{
	uint8_t key[SEAL_KEYLEN], chain[REC_HASH];
	struct bytes header;
	int rv = 0;

	memset(e, 0, sizeof(*e));
	*version = 0;
	buf_reset(plain);
	if (n == 0)
		return SEAL_EAUTH;
	if (n > ENTRY_CHUNKS_MAX || chunk[0].value.n <= CHUNK_OVERHEAD)
		return SEAL_EFORMAT;
	entry_key(key, dk, chunk[0].value.p + SEAL_VERLEN, at);
	for (size_t i = 0; rv == 0 && i < n; i++)
		rv = open_chunk(plain, key, at, (uint16_t)i, chunk[0].value,
		    &chunk[i]);
	OPENSSL_cleanse(key, sizeof(key));
	if (rv == 0)
		rv = get_entry(e, buf_bytes(plain), &header);
	if (rv == 0 && prev != NULL) {
		entry_chain(chain, b, at, prev, header, e->text);
		if (!bytes_eq_ct(chain, e->chain, sizeof(chain)))
			rv = SEAL_EAUTH;
	}
	if (rv == 0) {
		*version = get_be64(chunk[0].value.p);
		return 0;
	}
	OPENSSL_cleanse(e, sizeof(*e));
	buf_reset(plain);
	return rv;
}
