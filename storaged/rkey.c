#include "rkey.h"

#include <string.h>

#include "kdf.h"

struct bytes
rec_bytes(const struct rec_key *k)
{
	return bytes_of(k->p, k->n);
}

/* Append to a key; every key is far shorter than its room. */
static void
key_add(struct rec_key *k, const void *p, size_t n)
{
	memcpy(k->p + k->n, p, n);
	k->n += n;
}

static void
key_add_u64(struct rec_key *k, uint64_t v)
{
	put_be64(k->p + k->n, v);
	k->n += 8;
}

struct rec_key
rec_prefix(uint8_t kind)
{
	return (struct rec_key){ { kind }, 1 };
}

struct rec_key
rec_prefix_id(uint8_t kind, const uint8_t id[REC_ID])
{
	struct rec_key k = rec_prefix(kind);

	key_add(&k, id, REC_ID);
	return k;
}

struct rec_key
rec_prefix_end(const struct rec_key *k)
{
	struct rec_key end = *k;

	while (end.n > 0 && end.p[end.n - 1] == 0xff)
		end.n--;
	if (end.n > 0)
		end.p[end.n - 1]++;
	return end;
}

/* kind | HMAC(prf key, kind | name). */
static struct rec_key
key_prf(const struct seal_bundle *b, uint8_t kind, struct bytes name)
{
	struct rec_key k = rec_prefix(kind);
	const struct bytes in[2] = { { &kind, 1 }, name };

	hmac_sha256v(k.p + 1, bytes_of(b->prf, sizeof(b->prf)), in, 2);
	k.n += HASH_LEN;
	return k;
}

struct rec_key
rec_key_user(const struct seal_bundle *b, const char *name)
{
	return key_prf(b, REC_USER, bytes_str(name));
}

struct rec_key
rec_key_key(const struct seal_bundle *b, const uint8_t fp[REC_FP])
{
	return key_prf(b, REC_KEY, bytes_of(fp, REC_FP));
}

struct rec_key
rec_key_invite(const struct seal_bundle *b, const uint8_t id[INVITE_ID])
{
	return key_prf(b, REC_INVITE, bytes_of(id, INVITE_ID));
}

/* kind 'B', then what sort of subject and the subject. */
static struct rec_key
key_backoff(const struct seal_bundle *b, uint8_t sort, struct bytes x,
    struct bytes y)
{
	struct buf name = BUF_INIT(256);
	struct rec_key k;

	buf_u8(&name, sort);
	buf_put(&name, x.p, x.n);
	buf_put(&name, y.p, y.n);
	k = key_prf(b, REC_BACKOFF, buf_bytes(&name));
	buf_free(&name);
	return k;
}

struct rec_key
rec_key_backoff_name(const struct seal_bundle *b, struct bytes name)
{
	return key_backoff(b, 'n', name, bytes_of(NULL, 0));
}

struct rec_key
rec_key_backoff_source(const struct seal_bundle *b, const uint8_t source[16])
{
	return key_backoff(b, 's', bytes_of(source, 16), bytes_of(NULL, 0));
}

struct rec_key
rec_key_backoff_good(const struct seal_bundle *b, const uint8_t uid[REC_ID],
    const uint8_t source[16])
{
	return key_backoff(b, 'g', bytes_of(uid, REC_ID), bytes_of(source, 16));
}

struct rec_key
rec_key_userkey(const uint8_t uid[REC_ID], const uint8_t keyid[REC_KEYID])
{
	struct rec_key k = rec_prefix_id(REC_USERKEY, uid);

	key_add(&k, keyid, REC_KEYID);
	return k;
}

struct rec_key
rec_key_head(const uint8_t uid[REC_ID], const uint8_t conv[REC_ID])
{
	struct rec_key k = rec_prefix_id(REC_HEAD, uid);

	key_add(&k, conv, REC_ID);
	return k;
}

struct rec_key
rec_key_list(const uint8_t uid[REC_ID], uint64_t updated_us,
    const uint8_t conv[REC_ID])
{
	struct rec_key k = rec_prefix_id(REC_LIST, uid);

	key_add_u64(&k, ~updated_us);
	key_add(&k, conv, REC_ID);
	return k;
}

struct rec_key
rec_key_msg(const uint8_t conv[REC_ID], uint64_t number, uint16_t chunk)
{
	struct rec_key k = rec_prefix_id(REC_MSG, conv);
	uint8_t be[2];

	put_be16(be, chunk);
	key_add_u64(&k, number);
	key_add(&k, be, sizeof(be));
	return k;
}

struct rec_key
rec_key_data(const uint8_t uid[REC_ID], const uint8_t conv[REC_ID])
{
	struct rec_key k = rec_prefix_id(REC_DATA, uid);

	key_add(&k, conv, REC_ID);
	return k;
}

struct rec_key
rec_key_tomb(const uint8_t conv[REC_ID])
{
	return rec_prefix_id(REC_TOMB, conv);
}

struct rec_key
rec_key_tally(const struct seal_bundle *b, const uint8_t uid[REC_ID],
    const char *model)
{
	struct rec_key k = rec_prefix_id(REC_TALLY, uid), prf;
	struct buf name = BUF_INIT(256);

	buf_put(&name, uid, REC_ID);
	buf_put(&name, model, strlen(model));
	prf = key_prf(b, REC_TALLY, buf_bytes(&name));
	buf_free(&name);
	key_add(&k, prf.p + 1, HASH_LEN);
	return k;
}

struct rec_key
rec_key_mset(void)
{
	return rec_prefix(REC_MSET);
}

struct rec_key
rec_key_bundle(uint32_t gen)
{
	struct rec_key k = rec_prefix(REC_BUNDLE);
	uint8_t be[4];

	put_be32(be, gen);
	key_add(&k, be, sizeof(be));
	return k;
}

/* Begin to take a key apart; a key of another kind is an error at once. */
static struct rd
key_reader(struct bytes key, uint8_t kind)
{
	struct rd r = rd_of(key);

	if (rd_u8(&r) != kind)
		r.err = true;
	return r;
}

static int
key_done(const struct rd *r)
{
	return rd_done(r) ? 0 : SEAL_EFORMAT;
}

int
rec_parse_userkey(struct bytes key, uint8_t uid[REC_ID],
    uint8_t keyid[REC_KEYID])
{
	struct rd r = key_reader(key, REC_USERKEY);

	rd_copy(&r, uid, REC_ID);
	rd_copy(&r, keyid, REC_KEYID);
	return key_done(&r);
}

int
rec_parse_head(struct bytes key, uint8_t uid[REC_ID], uint8_t conv[REC_ID])
{
	struct rd r = key_reader(key, REC_HEAD);

	rd_copy(&r, uid, REC_ID);
	rd_copy(&r, conv, REC_ID);
	return key_done(&r);
}

int
rec_parse_list(struct bytes key, uint8_t uid[REC_ID], uint64_t *updated_us,
    uint8_t conv[REC_ID])
{
	struct rd r = key_reader(key, REC_LIST);

	rd_copy(&r, uid, REC_ID);
	*updated_us = ~rd_u64(&r);
	rd_copy(&r, conv, REC_ID);
	return key_done(&r);
}

int
rec_parse_msg(struct bytes key, uint8_t conv[REC_ID], uint64_t *number,
    uint16_t *chunk)
{
	struct rd r = key_reader(key, REC_MSG);

	rd_copy(&r, conv, REC_ID);
	*number = rd_u64(&r);
	*chunk = rd_u16(&r);
	return key_done(&r);
}

int
rec_parse_data(struct bytes key, uint8_t uid[REC_ID], uint8_t conv[REC_ID])
{
	struct rd r = key_reader(key, REC_DATA);

	rd_copy(&r, uid, REC_ID);
	rd_copy(&r, conv, REC_ID);
	return key_done(&r);
}

int
rec_parse_tomb(struct bytes key, uint8_t conv[REC_ID])
{
	struct rd r = key_reader(key, REC_TOMB);

	rd_copy(&r, conv, REC_ID);
	return key_done(&r);
}

int
rec_parse_tally(struct bytes key, uint8_t uid[REC_ID],
    uint8_t model[HASH_LEN])
{
	struct rd r = key_reader(key, REC_TALLY);

	rd_copy(&r, uid, REC_ID);
	rd_copy(&r, model, HASH_LEN);
	return key_done(&r);
}
