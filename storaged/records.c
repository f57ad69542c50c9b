#include "records.h"

#include <string.h>

#include <openssl/crypto.h>

#include "kdf.h"

/*
 * The plaintext of a metadata record is u8 format | u16 length | content |
 * zeros up to a multiple of META_PAD, so that the engine does not see how long
 * a name or a title is.
 */
#define META_PAD	128
#define META_MAX	((SEAL_VALUE_MAX - SEAL_OVERHEAD) / META_PAD * META_PAD)
#define META_FRAME	3

static void
put_text(struct buf *b, const char *s, size_t size)
{
	buf_v16(b, bytes_of(s, strnlen(s, size)));
}

/* Text into an array of size bytes, which has room for a NUL at its end. */
static void
get_text(struct rd *r, char *dst, size_t size)
{
	struct bytes t = rd_v16(r, size - 1);

	if (!r->err && !bytes_utf8(t))
		r->err = true;
	if (r->err)
		t.n = 0;
	if (t.n > 0)
		memcpy(dst, t.p, t.n);
	dst[t.n] = '\0';
}

/* A u8 that must be from lo to hi. */
static uint8_t
get_enum(struct rd *r, uint8_t lo, uint8_t hi)
{
	uint8_t v = rd_u8(r);

	if (v < lo || v > hi)
		r->err = true;
	return v;
}

/*
 * What a user has of limits and grants: at the end of U, and only when there is
 * anything, so that records from before these are the same.
 */
static void
encode_rights(struct buf *b, const struct rec_user *u)
{
	uint8_t n = 0;

	for (int i = 0; i < LIMITS; i++)
		n = (uint8_t)(n + (u->limit[i] != 0));
	if (n == 0 && u->grants.none_but == 0 && u->grants.n == 0)
		return;
	buf_u8(b, n);
	for (int i = 0; i < LIMITS; i++)
		if (u->limit[i] != 0) {
			buf_u8(b, limit_decls[i].number);
			buf_u64(b, u->limit[i]);
		}
	buf_u8(b, u->grants.none_but);
	buf_u8(b, u->grants.n);
	if (u->grants.n > REC_GRANTS_MAX) {
		b->err = true;
		return;
	}
	for (int i = 0; i < u->grants.n; i++)
		put_text(b, u->grants.model[i], sizeof(u->grants.model[i]));
}

static void
decode_limits(struct rd *r, struct rec_user *u)
{
	uint8_t n = rd_u8(r), number, last = 0;
	uint64_t value;
	enum limit l;

	for (; n > 0 && !r->err; n--) {
		number = rd_u8(r);
		value = rd_u64(r);
		l = limit_of(number);
		if (number <= last || l == LIMITS || value == 0 ||
		    value > limit_decls[l].max)
			r->err = true;
		else
			u->limit[l] = value;
		last = number;
	}
}

static void
decode_grants(struct rd *r, struct rec_grants *g)
{
	g->none_but = get_enum(r, 0, 1);
	g->n = get_enum(r, 0, REC_GRANTS_MAX);
	for (int i = 0; i < g->n && !r->err; i++) {
		get_text(r, g->model[i], sizeof(g->model[i]));
		if (g->model[i][0] == '\0' || (i > 0 &&
		    strcmp(g->model[i - 1], g->model[i]) >= 0))
			r->err = true;
	}
}

static void
encode_user(struct buf *b, const void *p)
{
	const struct rec_user *u = p;

	put_text(b, u->name, sizeof(u->name));
	buf_put(b, u->uid, sizeof(u->uid));
	buf_u64(b, u->created_us);
	buf_u8(b, u->state);
	buf_u32(b, u->flags);
	buf_u32(b, 0);		/* a limit of sessions, before there were others */
	if (u->pwhash_n > sizeof(u->pwhash))
		b->err = true;
	else
		buf_v16(b, bytes_of(u->pwhash, u->pwhash_n));
	encode_rights(b, u);
}

static void
decode_user(struct rd *r, void *p)
{
	struct rec_user *u = p;
	struct bytes hash;

	get_text(r, u->name, sizeof(u->name));
	rd_copy(r, u->uid, sizeof(u->uid));
	u->created_us = rd_u64(r);
	u->state = get_enum(r, REC_USER_ENABLED, REC_USER_REMOVED);
	u->flags = rd_u32(r);
	u->limit[LIMIT_SESSIONS] = rd_u32(r);
	hash = rd_v16(r, sizeof(u->pwhash));
	if (u->name[0] == '\0' || u->flags > REC_POLICY_KEY_PASSWORD ||
	    u->limit[LIMIT_SESSIONS] > limit_decls[LIMIT_SESSIONS].max)
		r->err = true;
	u->pwhash_n = (uint16_t)hash.n;
	if (hash.n > 0)
		memcpy(u->pwhash, hash.p, hash.n);
	if (!r->err && r->n > 0) {
		decode_limits(r, u);
		decode_grants(r, &u->grants);
	}
}

static void
put_spki(struct buf *b, const struct rec_spki *s)
{
	if (s->n > sizeof(s->p))
		b->err = true;
	else
		buf_v16(b, bytes_of(s->p, s->n));
}

static void
get_spki(struct rd *r, struct rec_spki *s)
{
	struct bytes v = rd_v16(r, sizeof(s->p));

	s->n = (uint16_t)v.n;
	if (v.n > 0)
		memcpy(s->p, v.p, v.n);
}

static void
encode_enrolled(struct buf *b, const void *p)
{
	const struct rec_enrolled *e = p;

	buf_put(b, e->uid, sizeof(e->uid));
	buf_put(b, e->keyid, sizeof(e->keyid));
	buf_u8(b, e->state);
	buf_u64(b, e->created_us);
	put_text(b, e->label, sizeof(e->label));
	put_spki(b, &e->sign);
	put_spki(b, &e->wrap);
	put_spki(b, &e->message);
}

static void
decode_enrolled(struct rd *r, void *p)
{
	struct rec_enrolled *e = p;

	rd_copy(r, e->uid, sizeof(e->uid));
	rd_copy(r, e->keyid, sizeof(e->keyid));
	e->state = get_enum(r, REC_KEY_ACTIVE, REC_KEY_REVOKED);
	e->created_us = rd_u64(r);
	get_text(r, e->label, sizeof(e->label));
	get_spki(r, &e->sign);
	get_spki(r, &e->wrap);
	get_spki(r, &e->message);
	if (e->sign.n == 0 || e->wrap.n == 0)
		r->err = true;
}

static void
encode_userkey(struct buf *b, const void *p)
{
	const struct rec_userkey *k = p;

	buf_put(b, k->fp, sizeof(k->fp));
	buf_u8(b, k->state);
	buf_u64(b, k->created_us);
	put_text(b, k->label, sizeof(k->label));
}

static void
decode_userkey(struct rd *r, void *p)
{
	struct rec_userkey *k = p;

	rd_copy(r, k->fp, sizeof(k->fp));
	k->state = get_enum(r, REC_KEY_ACTIVE, REC_KEY_REVOKED);
	k->created_us = rd_u64(r);
	get_text(r, k->label, sizeof(k->label));
}

static void
encode_head(struct buf *b, const void *p)
{
	const struct rec_head *h = p;

	buf_u64(b, h->last);
	buf_put(b, h->chain, sizeof(h->chain));
	buf_u64(b, h->created_us);
	buf_u64(b, h->updated_us);
}

static void
decode_head(struct rd *r, void *p)
{
	struct rec_head *h = p;

	h->last = rd_u64(r);
	rd_copy(r, h->chain, sizeof(h->chain));
	h->created_us = rd_u64(r);
	h->updated_us = rd_u64(r);
}

static void
encode_list(struct buf *b, const void *p)
{
	const struct rec_list *l = p;

	put_text(b, l->title, sizeof(l->title));
	buf_u64(b, l->count);
	buf_u64(b, l->updated_us);
	put_text(b, l->model, sizeof(l->model));
}

static void
decode_list(struct rd *r, void *p)
{
	struct rec_list *l = p;

	get_text(r, l->title, sizeof(l->title));
	l->count = rd_u64(r);
	l->updated_us = rd_u64(r);
	get_text(r, l->model, sizeof(l->model));
}

static void
encode_invite(struct buf *b, const void *p)
{
	const struct rec_invite *i = p;

	buf_put(b, i->uid, sizeof(i->uid));
	buf_u64(b, i->created_us);
	buf_u64(b, i->expires_us);
	buf_put(b, i->secret, sizeof(i->secret));
}

static void
decode_invite(struct rd *r, void *p)
{
	struct rec_invite *i = p;

	rd_copy(r, i->uid, sizeof(i->uid));
	i->created_us = rd_u64(r);
	i->expires_us = rd_u64(r);
	rd_copy(r, i->secret, sizeof(i->secret));
}

static void
encode_backoff(struct buf *b, const void *p)
{
	const struct rec_backoff *k = p;

	buf_u8(b, k->kind);
	buf_u32(b, k->count);
	buf_u64(b, k->last_us);
}

static void
decode_backoff(struct rd *r, void *p)
{
	struct rec_backoff *k = p;

	k->kind = get_enum(r, REC_BACKOFF_FAILS, REC_BACKOFF_GOOD);
	k->count = rd_u32(r);
	k->last_us = rd_u64(r);
	if ((k->kind == REC_BACKOFF_GOOD) != (k->count == 0))
		r->err = true;
}

static void
encode_tomb(struct buf *b, const void *p)
{
	const struct rec_tomb *t = p;

	buf_u32(b, t->epoch);
	buf_u64(b, t->deleted_us);
}

static void
decode_tomb(struct rd *r, void *p)
{
	struct rec_tomb *t = p;

	t->epoch = rd_u32(r);
	t->deleted_us = rd_u64(r);
	if (t->epoch == 0)
		r->err = true;
}

static void
encode_tally(struct buf *b, const void *p)
{
	const struct rec_tally *t = p;

	put_text(b, t->model, sizeof(t->model));
	buf_u32(b, t->day);
	buf_u64(b, t->day_tokens);
	buf_u64(b, t->month_tokens);
	buf_u64(b, t->day_requests);
	buf_u64(b, t->month_requests);
}

static void
decode_tally(struct rd *r, void *p)
{
	struct rec_tally *t = p;

	get_text(r, t->model, sizeof(t->model));
	t->day = rd_u32(r);
	t->day_tokens = rd_u64(r);
	t->month_tokens = rd_u64(r);
	if (r->n > 0) {		/* the first ones had no requests */
		t->day_requests = rd_u64(r);
		t->month_requests = rd_u64(r);
	}
	if (t->day_tokens > t->month_tokens ||
	    t->day_requests > t->month_requests)
		r->err = true;
}

static void
encode_mset(struct buf *b, const void *p)
{
	const struct rec_mset *m = p;

	buf_u64(b, m->n);
	buf_put(b, m->mset, sizeof(m->mset));
	if (m->located)
		buf_put(b, &m->heads, sizeof(m->heads));
}

static void
decode_mset(struct rd *r, void *p)
{
	struct rec_mset *m = p;

	m->n = rd_u64(r);
	rd_copy(r, m->mset, sizeof(m->mset));
	m->located = !rd_done(r);
	if (m->located)
		rd_copy(r, &m->heads, sizeof(m->heads));
}

/* A kind of metadata record. */
struct kind {
	uint8_t	kind;
	size_t	keylen;
	size_t	size;		/* of its structure */
	void	(*encode)(struct buf *, const void *);
	void	(*decode)(struct rd *, void *);
};

static const struct kind kind_user = { REC_USER, 1 + HASH_LEN,
    sizeof(struct rec_user), encode_user, decode_user };
static const struct kind kind_enrolled = { REC_KEY, 1 + HASH_LEN,
    sizeof(struct rec_enrolled), encode_enrolled, decode_enrolled };
static const struct kind kind_userkey = { REC_USERKEY, 1 + REC_ID + REC_KEYID,
    sizeof(struct rec_userkey), encode_userkey, decode_userkey };
static const struct kind kind_head = { REC_HEAD, 1 + 2 * REC_ID,
    sizeof(struct rec_head), encode_head, decode_head };
static const struct kind kind_list = { REC_LIST, 1 + 2 * REC_ID + 8,
    sizeof(struct rec_list), encode_list, decode_list };
static const struct kind kind_invite = { REC_INVITE, 1 + HASH_LEN,
    sizeof(struct rec_invite), encode_invite, decode_invite };
static const struct kind kind_backoff = { REC_BACKOFF, 1 + HASH_LEN,
    sizeof(struct rec_backoff), encode_backoff, decode_backoff };
static const struct kind kind_tomb = { REC_TOMB, 1 + REC_ID,
    sizeof(struct rec_tomb), encode_tomb, decode_tomb };
static const struct kind kind_tally = { REC_TALLY, 1 + REC_ID + HASH_LEN,
    sizeof(struct rec_tally), encode_tally, decode_tally };
static const struct kind kind_mset = { REC_MSET, 1,
    sizeof(struct rec_mset), encode_mset, decode_mset };

/* Decode a frame into a structure that is zero; on failure it is wiped. */
static int
meta_decode(const struct kind *k, void *rec, struct bytes frame)
{
	struct rd r = rd_of(frame), content;
	uint8_t format = rd_u8(&r), nonzero = 0;

	content = rd_of(rd_v16(&r, META_MAX - META_FRAME));
	k->decode(&content, rec);
	for (size_t i = 0; i < r.n; i++)
		nonzero |= r.p[i];
	if (!r.err && format == SEAL_FORMAT && rd_done(&content) &&
	    nonzero == 0 && frame.n % META_PAD == 0 && r.n < META_PAD)
		return 0;
	OPENSSL_cleanse(rec, k->size);
	return SEAL_EFORMAT;
}

/*
 * Encode a frame.  What is to be sealed must open again: it is put through the
 * decoder, which is the one place that knows what is valid.
 */
static int
meta_encode(const struct kind *k, struct buf *frame, const void *rec)
{
	union {
		struct rec_user		user;
		struct rec_enrolled	enrolled;
		struct rec_userkey	userkey;
		struct rec_head		head;
		struct rec_list		list;
		struct rec_invite	invite;
		struct rec_backoff	backoff;
		struct rec_tomb		tomb;
		struct rec_tally	tally;
		struct rec_mset		mset;
	} check = { 0 };
	int rv;

	if (buf_grow(frame, META_MAX) == NULL)
		return SEAL_ENOMEM;
	frame->n = 0;
	buf_u8(frame, SEAL_FORMAT);
	buf_u16(frame, 0);
	k->encode(frame, rec);
	if (frame->err)
		return SEAL_EFORMAT;
	put_be16(frame->p + 1, (uint16_t)(frame->n - META_FRAME));
	buf_zero(frame, (META_PAD - frame->n % META_PAD) % META_PAD);
	if (frame->err)
		return SEAL_EFORMAT;
	rv = meta_decode(k, &check, buf_bytes(frame));
	OPENSSL_cleanse(&check, sizeof(check));
	return rv;
}

static int
meta_seal(const struct kind *k, struct buf *out,
    const uint8_t secret[SEAL_KEYLEN], struct bytes key, uint64_t version,
    const void *rec)
{
	struct seal_ad ad = { key, version, 0, { NULL, 0 } };
	struct buf frame = BUF_INIT(META_MAX);
	uint8_t rk[SEAL_KEYLEN];
	int rv;

	if (key.n != k->keylen || key.p[0] != k->kind)
		return SEAL_EFORMAT;
	if ((rv = meta_encode(k, &frame, rec)) == 0) {
		seal_record_key(rk, secret, key);
		rv = seal_value(out, rk, &ad, buf_bytes(&frame));
		OPENSSL_cleanse(rk, sizeof(rk));
	}
	buf_free(&frame);
	return rv;
}

static int
meta_open(const struct kind *k, void *rec, uint64_t *version,
    const uint8_t secret[SEAL_KEYLEN], struct bytes key, struct bytes value)
{
	struct seal_ad ad = { key, 0, 0, { NULL, 0 } };
	struct buf frame = BUF_INIT(SEAL_VALUE_MAX);
	uint8_t rk[SEAL_KEYLEN];
	int rv;

	memset(rec, 0, k->size);
	*version = 0;
	if (key.n != k->keylen || key.p[0] != k->kind)
		return SEAL_EFORMAT;
	seal_record_key(rk, secret, key);
	rv = seal_value_open(&frame, rk, &ad, value);
	OPENSSL_cleanse(rk, sizeof(rk));
	if (rv == 0)
		rv = meta_decode(k, rec, buf_bytes(&frame));
	if (rv == 0)
		*version = ad.version;
	buf_free(&frame);
	return rv;
}

int
rec_seal_user(struct buf *out, const struct seal_bundle *b, struct bytes key,
    uint64_t version, const struct rec_user *u)
{
	return meta_seal(&kind_user, out, b->meta, key, version, u);
}

int
rec_open_user(struct rec_user *u, uint64_t *version,
    const struct seal_bundle *b, struct bytes key, struct bytes value)
{
	return meta_open(&kind_user, u, version, b->meta, key, value);
}

int
rec_seal_enrolled(struct buf *out, const struct seal_bundle *b,
    struct bytes key, uint64_t version, const struct rec_enrolled *e)
{
	return meta_seal(&kind_enrolled, out, b->meta, key, version, e);
}

int
rec_open_enrolled(struct rec_enrolled *e, uint64_t *version,
    const struct seal_bundle *b, struct bytes key, struct bytes value)
{
	return meta_open(&kind_enrolled, e, version, b->meta, key, value);
}

int
rec_seal_userkey(struct buf *out, const struct seal_bundle *b,
    struct bytes key, uint64_t version, const struct rec_userkey *k)
{
	return meta_seal(&kind_userkey, out, b->meta, key, version, k);
}

int
rec_open_userkey(struct rec_userkey *k, uint64_t *version,
    const struct seal_bundle *b, struct bytes key, struct bytes value)
{
	return meta_open(&kind_userkey, k, version, b->meta, key, value);
}

int
rec_seal_head(struct buf *out, const struct seal_bundle *b, struct bytes key,
    uint64_t version, const struct rec_head *h)
{
	return meta_seal(&kind_head, out, b->meta, key, version, h);
}

int
rec_open_head(struct rec_head *h, uint64_t *version,
    const struct seal_bundle *b, struct bytes key, struct bytes value)
{
	return meta_open(&kind_head, h, version, b->meta, key, value);
}

/* Whether a summary belongs under that key: both name its time. */
static bool
list_fits(const struct rec_list *l, struct bytes key)
{
	uint8_t uid[REC_ID], conv[REC_ID];
	uint64_t updated_us;

	return rec_parse_list(key, uid, &updated_us, conv) == 0 &&
	    updated_us == l->updated_us;
}

int
rec_seal_list(struct buf *out, const uint8_t dk[SEAL_KEYLEN],
    struct bytes key, uint64_t version, const struct rec_list *l)
{
	if (!list_fits(l, key))
		return SEAL_EFORMAT;
	return meta_seal(&kind_list, out, dk, key, version, l);
}

int
rec_open_list(struct rec_list *l, uint64_t *version,
    const uint8_t dk[SEAL_KEYLEN], struct bytes key, struct bytes value)
{
	int rv = meta_open(&kind_list, l, version, dk, key, value);

	if (rv == 0 && !list_fits(l, key)) {
		OPENSSL_cleanse(l, sizeof(*l));
		*version = 0;
		rv = SEAL_EFORMAT;
	}
	return rv;
}

int
rec_seal_invite(struct buf *out, const struct seal_bundle *b,
    struct bytes key, uint64_t version, const struct rec_invite *i)
{
	return meta_seal(&kind_invite, out, b->meta, key, version, i);
}

int
rec_open_invite(struct rec_invite *i, uint64_t *version,
    const struct seal_bundle *b, struct bytes key, struct bytes value)
{
	return meta_open(&kind_invite, i, version, b->meta, key, value);
}

int
rec_seal_backoff(struct buf *out, const struct seal_bundle *b,
    struct bytes key, uint64_t version, const struct rec_backoff *k)
{
	return meta_seal(&kind_backoff, out, b->meta, key, version, k);
}

int
rec_open_backoff(struct rec_backoff *k, uint64_t *version,
    const struct seal_bundle *b, struct bytes key, struct bytes value)
{
	return meta_open(&kind_backoff, k, version, b->meta, key, value);
}

int
rec_seal_tomb(struct buf *out, const struct seal_bundle *b, struct bytes key,
    uint64_t version, const struct rec_tomb *t)
{
	return meta_seal(&kind_tomb, out, b->meta, key, version, t);
}

int
rec_open_tomb(struct rec_tomb *t, uint64_t *version,
    const struct seal_bundle *b, struct bytes key, struct bytes value)
{
	return meta_open(&kind_tomb, t, version, b->meta, key, value);
}

int
rec_seal_tally(struct buf *out, const struct seal_bundle *b, struct bytes key,
    uint64_t version, const struct rec_tally *t)
{
	return meta_seal(&kind_tally, out, b->meta, key, version, t);
}

int
rec_open_tally(struct rec_tally *t, uint64_t *version,
    const struct seal_bundle *b, struct bytes key, struct bytes value)
{
	return meta_open(&kind_tally, t, version, b->meta, key, value);
}

int
rec_seal_mset(struct buf *out, const struct seal_bundle *b, struct bytes key,
    uint64_t version, const struct rec_mset *m)
{
	return meta_seal(&kind_mset, out, b->meta, key, version, m);
}

int
rec_open_mset(struct rec_mset *m, uint64_t *version,
    const struct seal_bundle *b, struct bytes key, struct bytes value)
{
	return meta_open(&kind_mset, m, version, b->meta, key, value);
}

void
mset_add_element(uint8_t sum[REC_HASH], const uint8_t e[REC_HASH])
{
	unsigned carry = 0;

	for (size_t i = REC_HASH; i-- > 0;) {
		carry += (unsigned)sum[i] + e[i];
		sum[i] = (uint8_t)carry;
		carry >>= 8;
	}
}

void
mset_sub_element(uint8_t sum[REC_HASH], const uint8_t e[REC_HASH])
{
	unsigned borrow = 0, d;

	for (size_t i = REC_HASH; i-- > 0;) {
		d = 256 + (unsigned)sum[i] - e[i] - borrow;
		sum[i] = (uint8_t)d;
		borrow = d < 256;
	}
}

/* HMAC(mset key, C key | be64 version | be64 last | chain). */
void
mset_element(uint8_t out[REC_HASH], const struct seal_bundle *b,
    struct bytes key, uint64_t version, const struct rec_head *h)
{
	uint8_t be[16];
	const struct bytes in[3] = {
		key, { be, sizeof(be) }, { h->chain, sizeof(h->chain) }
	};

	put_be64(be, version);
	put_be64(be + 8, h->last);
	hmac_sha256v(out, bytes_of(b->mset, sizeof(b->mset)), in, 3);
}

/* HMAC(mset key, key | be64 version). */
static void
record_element(uint8_t out[REC_HASH], const struct seal_bundle *b,
    struct bytes key, uint64_t version)
{
	uint8_t be[8];
	const struct bytes in[2] = { key, { be, sizeof(be) } };

	put_be64(be, version);
	hmac_sha256v(out, bytes_of(b->mset, sizeof(b->mset)), in, 2);
}

void
mset_add(uint8_t mset[REC_HASH], const struct seal_bundle *b,
    struct bytes head_key, uint64_t version, const struct rec_head *h)
{
	uint8_t e[REC_HASH];

	mset_element(e, b, head_key, version, h);
	mset_add_element(mset, e);
}

void
mset_sub(uint8_t mset[REC_HASH], const struct seal_bundle *b,
    struct bytes head_key, uint64_t version, const struct rec_head *h)
{
	uint8_t e[REC_HASH];

	mset_element(e, b, head_key, version, h);
	mset_sub_element(mset, e);
}

void
mset_add_record(uint8_t mset[REC_HASH], const struct seal_bundle *b,
    struct bytes key, uint64_t version)
{
	uint8_t e[REC_HASH];

	record_element(e, b, key, version);
	mset_add_element(mset, e);
}

void
mset_sub_record(uint8_t mset[REC_HASH], const struct seal_bundle *b,
    struct bytes key, uint64_t version)
{
	uint8_t e[REC_HASH];

	record_element(e, b, key, version);
	mset_sub_element(mset, e);
}

void
mset_root(uint8_t root[REC_HASH], const struct seal_bundle *b,
    const struct rec_mset *m)
{
	uint8_t be[8];
	const struct bytes in[3] = {
		bytes_str("root"), { be, sizeof(be) },
		{ m->mset, sizeof(m->mset) }
	};

	put_be64(be, m->n);
	hmac_sha256v(root, bytes_of(b->mset, sizeof(b->mset)), in, 3);
}
