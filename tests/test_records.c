#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "kdf.h"

#include "../storaged/records.h"

static struct seal_bundle bundle;
static uint8_t dk[SEAL_KEYLEN];
static uint8_t uid[REC_ID], uid2[REC_ID], conv[REC_ID], conv2[REC_ID];

static int
setup(void **state)
{
	(void)state;
	memset(bundle.prf, 0xa1, 32);
	memset(bundle.chain, 0xb2, 32);
	memset(bundle.mset, 0xc3, 32);
	memset(bundle.meta, 0xd4, 32);
	memset(dk, 0x5d, sizeof(dk));
	memset(uid, 0xaa, sizeof(uid));
	memset(uid2, 0xab, sizeof(uid2));
	memset(conv, 0xcc, sizeof(conv));
	memset(conv2, 0xcd, sizeof(conv2));
	return 0;
}

static void
assert_hex(const void *p, size_t n, const char *want)
{
	char hex[257];

	assert_true(2 * n < sizeof(hex));
	hex_encode(hex, p, n);
	assert_string_equal(hex, want);
}

/* memcmp order, the shorter first. */
static int
key_cmp(const struct rec_key *a, const struct rec_key *b)
{
	size_t n = a->n < b->n ? a->n : b->n;
	int c = memcmp(a->p, b->p, n);

	return c != 0 ? c : (a->n > b->n) - (a->n < b->n);
}

/* Pseudo-random names: expected values from Python's hmac module. */
static void
test_key_prf(void **state)
{
	uint8_t fp[REC_FP];
	struct rec_key k;

	(void)state;
	k = rec_key_user(&bundle, "alice");
	assert_int_equal(k.n, 33);
	assert_hex(k.p, 33, "55" "557678e6344f3611cfc3763148662ad1"
	    "79390badfb5dc99cccea40451c9e2608");
	memset(fp, 0xfe, sizeof(fp));
	k = rec_key_key(&bundle, fp);
	assert_int_equal(k.n, 33);
	assert_hex(k.p, 33, "4b" "c0ee41b5a98f1aea6c2ecf7fd51ac5ba"
	    "61e1ba9a6f490a601a1715ec5775e868");
}

static void
test_key_layout(void **state)
{
	static const uint8_t keyid[REC_KEYID] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	struct rec_key k;

	(void)state;
	k = rec_key_userkey(uid, keyid);
	assert_hex(k.p, k.n, "6b" "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	    "0102030405060708");
	k = rec_key_head(uid, conv);
	assert_hex(k.p, k.n, "43" "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	    "cccccccccccccccccccccccccccccccc");
	k = rec_key_list(uid, 0x0102030405060708, conv);
	assert_hex(k.p, k.n, "4c" "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	    "fefdfcfbfaf9f8f7" "cccccccccccccccccccccccccccccccc");
	k = rec_key_msg(conv, 258, 3);
	assert_hex(k.p, k.n, "4d" "cccccccccccccccccccccccccccccccc"
	    "0000000000000102" "0003");
	k = rec_key_data(uid, conv);
	assert_hex(k.p, k.n, "44" "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	    "cccccccccccccccccccccccccccccccc");
	k = rec_key_mset();
	assert_hex(k.p, k.n, "48");
	k = rec_key_bundle(9);
	assert_hex(k.p, k.n, "52" "00000009");
}

static void
test_key_order(void **state)
{
	struct rec_key a, b, end;

	(void)state;
	/* Newest first in the list, messages and chunks ascending. */
	a = rec_key_list(uid, 2000, conv2);
	b = rec_key_list(uid, 1999, conv);
	assert_true(key_cmp(&a, &b) < 0);
	a = rec_key_msg(conv, 255, 65535);
	b = rec_key_msg(conv, 256, 0);
	assert_true(key_cmp(&a, &b) < 0);
	/* A prefix's end is above all of its own and below all others. */
	a = rec_prefix_id(REC_LIST, uid);
	end = rec_prefix_end(&a);
	b = rec_key_list(uid, 0, conv);
	assert_true(key_cmp(&a, &b) < 0 && key_cmp(&b, &end) < 0);
	b = rec_key_list(uid2, UINT64_MAX, conv);
	assert_true(key_cmp(&b, &end) >= 0);
	memset(a.p + 1, 0xff, REC_ID);
	end = rec_prefix_end(&a);
	assert_int_equal(end.n, 1);
	assert_int_equal(end.p[0], 'M');
	a = rec_prefix(0xff);
	assert_int_equal(rec_prefix_end(&a).n, 0);
}

static void
test_key_parse(void **state)
{
	static const uint8_t keyid[REC_KEYID] = { 9 };
	uint8_t u[REC_ID], c[REC_ID], id[REC_KEYID];
	struct rec_key k;
	uint64_t number;
	uint16_t chunk;

	(void)state;
	k = rec_key_userkey(uid, keyid);
	assert_int_equal(rec_parse_userkey(rec_bytes(&k), u, id), 0);
	assert_memory_equal(u, uid, REC_ID);
	assert_memory_equal(id, keyid, REC_KEYID);
	k = rec_key_head(uid, conv);
	assert_int_equal(rec_parse_head(rec_bytes(&k), u, c), 0);
	assert_memory_equal(c, conv, REC_ID);
	assert_int_equal(rec_parse_data(rec_bytes(&k), u, c), SEAL_EFORMAT);
	k = rec_key_data(uid, conv2);
	assert_int_equal(rec_parse_data(rec_bytes(&k), u, c), 0);
	assert_memory_equal(c, conv2, REC_ID);
	k = rec_key_list(uid2, 1700000000000000, conv);
	assert_int_equal(rec_parse_list(rec_bytes(&k), u, &number, c), 0);
	assert_int_equal(number, 1700000000000000);
	assert_memory_equal(u, uid2, REC_ID);
	k = rec_key_msg(conv, 77, 260);
	assert_int_equal(rec_parse_msg(rec_bytes(&k), c, &number, &chunk), 0);
	assert_int_equal(number, 77);
	assert_int_equal(chunk, 260);
	for (size_t n = 0; n < k.n; n++)
		assert_int_equal(rec_parse_msg(bytes_of(k.p, n), c, &number,
		    &chunk), SEAL_EFORMAT);
	assert_int_equal(rec_parse_msg(bytes_of(k.p, k.n + 1), c, &number,
	    &chunk), SEAL_EFORMAT);
}

/* One kind of record, for the tests that all kinds share. */
typedef int seal_fn(struct buf *, struct bytes, uint64_t, const void *);
typedef int open_fn(void *, uint64_t *, struct bytes, struct bytes);

#define WRAP(name, secret)						\
static int								\
seal_##name(struct buf *out, struct bytes key, uint64_t v, const void *r) \
{									\
	return rec_seal_##name(out, secret, key, v, r);		\
}									\
static int								\
open_##name(void *r, uint64_t *v, struct bytes key, struct bytes value)	\
{									\
	return rec_open_##name(r, v, secret, key, value);		\
}
WRAP(user, &bundle)
WRAP(enrolled, &bundle)
WRAP(userkey, &bundle)
WRAP(head, &bundle)
WRAP(list, dk)
WRAP(tally, &bundle)
WRAP(mset, &bundle)

static void
make_user(void *p)
{
	struct rec_user *u = p;

	strcpy(u->name, "alice");
	memcpy(u->uid, uid, sizeof(u->uid));
	u->created_us = 1700000000000001;
	u->state = REC_USER_DISABLED;
	u->limit[LIMIT_SESSIONS] = 5;
	u->grants.none_but = 1;
	u->grants.n = 2;
	strcpy(u->grants.model[0], "big");
	strcpy(u->grants.model[1], "small");
	u->pwhash_n = 97;
	memset(u->pwhash, 'h', 97);
}

static void
make_enrolled(void *p)
{
	struct rec_enrolled *e = p;

	memcpy(e->uid, uid, sizeof(e->uid));
	memset(e->keyid, 4, sizeof(e->keyid));
	e->state = REC_KEY_ACTIVE;
	e->created_us = 5;
	strcpy(e->label, "laptop \xc3\xa9");
	e->sign.n = REC_SPKI_MAX;
	memset(e->sign.p, 1, REC_SPKI_MAX);
	e->wrap.n = REC_SPKI_MAX;
	memset(e->wrap.p, 2, REC_SPKI_MAX);
	e->message.n = REC_SPKI_MAX;
	memset(e->message.p, 3, REC_SPKI_MAX);
}

static void
make_userkey(void *p)
{
	struct rec_userkey *k = p;

	memset(k->fp, 6, sizeof(k->fp));
	k->state = REC_KEY_REVOKED;
	k->created_us = 7;
	strcpy(k->label, "phone");
}

static void
make_head(void *p)
{
	struct rec_head *h = p;

	h->last = 6;
	memset(h->chain, 0x99, sizeof(h->chain));
	h->created_us = 1;
	h->updated_us = 2;
}

static void
make_list(void *p)
{
	struct rec_list *l = p;

	memset(l->title, 't', REC_TITLE_MAX);
	l->count = 12;
	l->updated_us = 2;
	strcpy(l->model, "model-x");
}

static void
make_tally(void *p)
{
	struct rec_tally *t = p;

	strcpy(t->model, "big");
	t->day = 20000;
	t->day_tokens = 7;
	t->month_tokens = UINT64_MAX;
	t->day_requests = 2;
	t->month_requests = 3;
}

static void
make_mset(void *p)
{
	struct rec_mset *m = p;

	m->n = 42;
	memset(m->mset, 0x11, sizeof(m->mset));
}

static const struct kind {
	const char	*name;
	size_t		 size;
	void		(*make)(void *);
	seal_fn		*seal;
	open_fn		*open;
} kinds[] = {
	{ "user", sizeof(struct rec_user), make_user, seal_user, open_user },
	{ "enrolled", sizeof(struct rec_enrolled), make_enrolled,
	    seal_enrolled, open_enrolled },
	{ "userkey", sizeof(struct rec_userkey), make_userkey, seal_userkey,
	    open_userkey },
	{ "head", sizeof(struct rec_head), make_head, seal_head, open_head },
	{ "list", sizeof(struct rec_list), make_list, seal_list, open_list },
	{ "tally", sizeof(struct rec_tally), make_tally, seal_tally,
	    open_tally },
	{ "mset", sizeof(struct rec_mset), make_mset, seal_mset, open_mset },
};
#define NKINDS	(sizeof(kinds) / sizeof(kinds[0]))

/* A key of the right kind; which: another place for the same kind. */
static struct rec_key
key_of(const struct kind *k, unsigned which)
{
	static const uint8_t zero[REC_ID];
	const uint8_t *c = which ? conv2 : conv;

	switch (k->name[0]) {
	case 'e':
		return rec_key_key(&bundle, which ? bundle.prf : bundle.meta);
	case 'h':
		return rec_key_head(uid, c);
	case 'l':
		return rec_key_list(uid, 2, c);
	case 't':
		return rec_key_tally(&bundle, uid, which ? "small" : "big");
	case 'm':
		return rec_key_mset();
	default:
		if (strcmp(k->name, "user") == 0)
			return rec_key_user(&bundle, which ? "bob" : "alice");
		return rec_key_userkey(which ? uid2 : uid, zero);
	}
}

static void
test_round_trips(void **state)
{
	(void)state;
	for (size_t i = 0; i < NKINDS; i++) {
		const struct kind *k = &kinds[i];
		struct buf v = BUF_INIT(SEAL_VALUE_MAX);
		void *rec = calloc(1, k->size), *back = calloc(1, k->size);
		struct rec_key key = key_of(k, 0);
		uint64_t version;

		k->make(rec);
		memset(back, 0x55, k->size);
		assert_int_equal(k->seal(&v, rec_bytes(&key), 3, rec), 0);
		assert_int_equal((v.n - SEAL_OVERHEAD) % 128, 0);
		assert_int_equal(k->open(back, &version, rec_bytes(&key),
		    buf_bytes(&v)), 0);
		assert_int_equal(version, 3);
		assert_memory_equal(rec, back, k->size);
		buf_reset(&v);
		assert_int_equal(k->seal(&v, rec_bytes(&key), 0, rec),
		    SEAL_EFORMAT);
		buf_free(&v);
		free(rec);
		free(back);
	}
}

/* Every byte flipped, every shorter length, one byte longer, moved. */
static void
test_tampered(void **state)
{
	(void)state;
	for (size_t i = 0; i < NKINDS; i++) {
		const struct kind *k = &kinds[i];
		struct buf v = BUF_INIT(SEAL_VALUE_MAX + 1);
		void *rec = calloc(1, k->size), *zero = calloc(1, k->size);
		struct rec_key key = key_of(k, 0), other = key_of(k, 1);
		uint64_t version;

		k->make(rec);
		assert_int_equal(k->seal(&v, rec_bytes(&key), 3, rec), 0);
		for (size_t j = 0; j < v.n; j++) {
			v.p[j] ^= 0x80;
			assert_int_equal(k->open(rec, &version,
			    rec_bytes(&key), buf_bytes(&v)), SEAL_EAUTH);
			v.p[j] ^= 0x80;
		}
		assert_memory_equal(rec, zero, k->size);
		assert_int_equal(version, 0);
		for (size_t n = 0; n < v.n; n++)
			assert_int_equal(k->open(rec, &version,
			    rec_bytes(&key), bytes_of(v.p, n)),
			    n < SEAL_OVERHEAD ? SEAL_EFORMAT : SEAL_EAUTH);
		if (key_cmp(&key, &other) != 0)
			assert_int_equal(k->open(rec, &version,
			    rec_bytes(&other), buf_bytes(&v)), SEAL_EAUTH);
		/* As a record of each other kind. */
		for (size_t j = 0; j < NKINDS; j++) {
			void *r = calloc(1, kinds[j].size);
			struct rec_key at = key_of(&kinds[j], 0);

			if (j != i) {
				assert_int_equal(kinds[j].open(r, &version,
				    rec_bytes(&at), buf_bytes(&v)),
				    SEAL_EAUTH);
				assert_int_equal(kinds[j].open(r, &version,
				    rec_bytes(&key), buf_bytes(&v)),
				    SEAL_EFORMAT);
			}
			free(r);
		}
		buf_zero(&v, 1);
		assert_int_equal(k->open(rec, &version, rec_bytes(&key),
		    buf_bytes(&v)), SEAL_EAUTH);
		buf_free(&v);
		free(rec);
		free(zero);
	}
}

static void
test_versions_swapped(void **state)
{
	struct buf v1 = BUF_INIT(SEAL_VALUE_MAX), v2 = BUF_INIT(SEAL_VALUE_MAX);
	struct rec_key key = rec_key_head(uid, conv);
	struct rec_head h = { 0 };
	uint64_t version;

	(void)state;
	assert_int_equal(rec_seal_head(&v1, &bundle, rec_bytes(&key), 1, &h), 0);
	h.last = 2;
	assert_int_equal(rec_seal_head(&v2, &bundle, rec_bytes(&key), 2, &h), 0);
	v1.p[7] = 2;
	v2.p[7] = 1;
	assert_int_equal(rec_open_head(&h, &version, &bundle, rec_bytes(&key),
	    buf_bytes(&v1)), SEAL_EAUTH);
	assert_int_equal(rec_open_head(&h, &version, &bundle, rec_bytes(&key),
	    buf_bytes(&v2)), SEAL_EAUTH);
	buf_free(&v1);
	buf_free(&v2);
}

/* The engine does not learn how long a title is. */
static void
test_lengths_hidden(void **state)
{
	struct buf v1 = BUF_INIT(SEAL_VALUE_MAX), v2 = BUF_INIT(SEAL_VALUE_MAX);
	struct rec_key key = rec_key_list(uid, 0, conv);
	struct rec_list l = { 0 };

	(void)state;
	assert_int_equal(rec_seal_list(&v1, dk, rec_bytes(&key), 1, &l), 0);
	memset(l.title, 'x', 60);
	assert_int_equal(rec_seal_list(&v2, dk, rec_bytes(&key), 1, &l), 0);
	assert_int_equal(v1.n, v2.n);
	buf_free(&v1);
	buf_free(&v2);
}

/* What does not open is not sealed either. */
static void
test_invalid_not_sealed(void **state)
{
	struct buf v = BUF_INIT(SEAL_VALUE_MAX);
	struct rec_key ku = rec_key_user(&bundle, "alice");
	struct rec_key kk = rec_key_key(&bundle, bundle.meta);
	struct rec_key kl = rec_key_list(uid, 3, conv);
	struct rec_user u, bad;
	struct rec_enrolled e = { 0 };
	struct rec_list l = { 0 };

	(void)state;
	memset(&u, 0, sizeof(u));
	make_user(&u);
#define REFUSED(change) do {						\
	bad = u;							\
	change;								\
	assert_int_equal(rec_seal_user(&v, &bundle, rec_bytes(&ku), 1,	\
	    &bad), SEAL_EFORMAT);					\
} while (0)
	REFUSED(bad.name[0] = '\0');
	REFUSED(bad.name[0] = '\xff');
	REFUSED(memset(bad.name, 'n', sizeof(bad.name)));
	REFUSED(bad.state = 0);
	REFUSED(bad.state = 4);
	REFUSED(bad.flags = REC_POLICY_KEY_PASSWORD + 1);
	REFUSED(bad.pwhash_n = REC_PWHASH_MAX + 1);
	REFUSED(bad.limit[LIMIT_SESSIONS] = 1000001);
	REFUSED(bad.grants.none_but = 2);
	REFUSED(bad.grants.model[0][0] = 'z');
	REFUSED(bad.grants.model[1][0] = '\0');
#undef REFUSED
	make_enrolled(&e);
	e.wrap.n = 0;
	assert_int_equal(rec_seal_enrolled(&v, &bundle, rec_bytes(&kk), 1, &e),
	    SEAL_EFORMAT);
	e.wrap.n = REC_SPKI_MAX + 1;
	assert_int_equal(rec_seal_enrolled(&v, &bundle, rec_bytes(&kk), 1, &e),
	    SEAL_EFORMAT);
	make_list(&l);			/* updated 2, its key says 3 */
	assert_int_equal(rec_seal_list(&v, dk, rec_bytes(&kl), 1, &l),
	    SEAL_EFORMAT);
	/* A key of another kind. */
	assert_int_equal(rec_seal_user(&v, &bundle, rec_bytes(&kk), 1, &u),
	    SEAL_EFORMAT);
	assert_int_equal(v.n, 0);
	buf_free(&v);
}

/* Seal a frame as it is, for H, and open it. */
static int
open_frame(const uint8_t *frame, size_t n, struct rec_mset *m)
{
	struct buf v = BUF_INIT(SEAL_VALUE_MAX);
	struct rec_key key = rec_key_mset();
	struct seal_ad ad = { rec_bytes(&key), 1, 0, { NULL, 0 } };
	uint8_t rk[SEAL_KEYLEN];
	uint64_t version;
	int rv;

	seal_record_key(rk, bundle.meta, rec_bytes(&key));
	assert_int_equal(seal_value(&v, rk, &ad, bytes_of(frame, n)), 0);
	rv = rec_open_mset(m, &version, &bundle, rec_bytes(&key),
	    buf_bytes(&v));
	buf_free(&v);
	return rv;
}

static void
test_frames(void **state)
{
	uint8_t frame[256] = { 1, 0, 40, 0, 0, 0, 0, 0, 0, 0, 42 };
	struct rec_mset m;

	(void)state;
	assert_int_equal(open_frame(frame, 128, &m), 0);
	assert_int_equal(m.n, 42);
	assert_int_equal(open_frame(frame, 127, &m), SEAL_EFORMAT);
	assert_int_equal(open_frame(frame, 256, &m), SEAL_EFORMAT);
	assert_int_equal(open_frame(frame, 43, &m), SEAL_EFORMAT);
	assert_int_equal(open_frame(frame, 0, &m), SEAL_EFORMAT);
	frame[0] = 2;
	assert_int_equal(open_frame(frame, 128, &m), SEAL_EFORMAT);
	frame[0] = 1;
	frame[2] = 41;		/* a byte after the last field */
	assert_int_equal(open_frame(frame, 128, &m), SEAL_EFORMAT);
	frame[2] = 39;
	assert_int_equal(open_frame(frame, 128, &m), SEAL_EFORMAT);
	frame[2] = 126;		/* more than is there */
	assert_int_equal(open_frame(frame, 128, &m), SEAL_EFORMAT);
	frame[2] = 40;
	frame[127] = 1;		/* padding that is not zero */
	assert_int_equal(open_frame(frame, 128, &m), SEAL_EFORMAT);
	frame[127] = 0;
	assert_int_equal(open_frame(frame, 128, &m), 0);
}

/* A whole value made by another implementation (Python's AESGCM). */
static void
test_known_value(void **state)
{
	static const char hex[] =
	    "0000000000000005000102030405060708090a0baa6ee6b0df0278677467dc9f18"
	    "d3a471cf909c62dfd8e25b266be99fd24410d7853a4edbb02f889f975106989ca4"
	    "52152a7687eb558a8c6d3a1a4b2e5df5b2c6a4c38c51c1258fba259a1c723299d2"
	    "d4bd168a17ee3cc2d839f1da47347421fd6669167c87c01ad3590a6b477649578d"
	    "89c0b0fc677351641da13f63665d66fc3c74a0a6f79a2c9d821553ef0651e8f3";
	struct rec_key key = rec_key_mset();
	uint8_t value[164];
	struct rec_mset m;
	uint64_t version;

	(void)state;
	assert_int_equal(hex_decode(value, sizeof(value), hex), 0);
	assert_int_equal(rec_open_mset(&m, &version, &bundle, rec_bytes(&key),
	    bytes_of(value, sizeof(value))), 0);
	assert_int_equal(version, 5);
	assert_int_equal(m.n, 42);
	assert_hex(m.mset, 32, "59992c1e87bd5901128e4e8af778ed54"
	    "b77a85e3e53bb60a312d781ec8ab52d3");
}

static void
test_mset_known(void **state)
{
	struct rec_key key = rec_key_head(uid, conv);
	struct rec_mset m = { .n = 42 };
	struct rec_head h = { 0 };
	uint8_t root[REC_HASH];

	(void)state;
	make_head(&h);
	mset_add(m.mset, &bundle, rec_bytes(&key), 3, &h);
	assert_hex(m.mset, 32, "59992c1e87bd5901128e4e8af778ed54"
	    "b77a85e3e53bb60a312d781ec8ab52d3");
	mset_root(root, &bundle, &m);
	assert_hex(root, 32, "79f7f56f14b55c6da37ddd8060ccb7d8"
	    "e386335417b99692d6fb09432663cb45");
}

static void
test_mset_algebra(void **state)
{
	static const uint8_t zero[REC_HASH];
	uint8_t a[REC_HASH] = { 0 }, b[REC_HASH] = { 0 }, ids[64][REC_ID];
	struct rec_head h = { 0 };

	(void)state;
	make_head(&h);
	crypto_random(ids, sizeof(ids));
	for (size_t i = 0; i < 64; i++) {
		struct rec_key f = rec_key_head(uid, ids[i]);
		struct rec_key r = rec_key_head(uid, ids[63 - i]);

		mset_add(a, &bundle, rec_bytes(&f), 1, &h);
		mset_add(b, &bundle, rec_bytes(&r), 1, &h);
	}
	assert_memory_equal(a, b, sizeof(a));
	/* The same head twice is not the same as none (no XOR). */
	for (unsigned i = 0; i < 2; i++) {
		struct rec_key k = rec_key_head(uid2, conv);

		mset_add(b, &bundle, rec_bytes(&k), 1, &h);
	}
	assert_memory_not_equal(a, b, sizeof(a));
	for (unsigned i = 0; i < 2; i++) {
		struct rec_key k = rec_key_head(uid2, conv);

		mset_sub(b, &bundle, rec_bytes(&k), 1, &h);
	}
	assert_memory_equal(a, b, sizeof(a));
	for (size_t i = 0; i < 64; i++) {
		struct rec_key k = rec_key_head(uid, ids[i]);

		mset_sub(a, &bundle, rec_bytes(&k), 1, &h);
	}
	assert_memory_equal(a, zero, sizeof(a));
	/* Below zero and back: modulo 2^256. */
	for (unsigned i = 0; i < 20; i++) {
		struct rec_key k = rec_key_head(uid, ids[i]);

		mset_sub(a, &bundle, rec_bytes(&k), 9, &h);
		mset_add(a, &bundle, rec_bytes(&k), 9, &h);
		assert_memory_equal(a, zero, sizeof(a));
	}
}

/* A title goes with the data key: the storage key alone does not open it. */
static void
test_list_shredded(void **state)
{
	struct buf v = BUF_INIT(SEAL_VALUE_MAX);
	struct rec_key key = rec_key_list(uid, 2, conv);
	struct rec_list l = { 0 };
	uint64_t version;

	(void)state;
	make_list(&l);
	assert_int_equal(rec_seal_list(&v, dk, rec_bytes(&key), 1, &l), 0);
	assert_int_equal(rec_open_list(&l, &version, bundle.meta,
	    rec_bytes(&key), buf_bytes(&v)), SEAL_EAUTH);
	assert_int_equal(rec_open_list(&l, &version, dk, rec_bytes(&key),
	    buf_bytes(&v)), 0);
	assert_int_equal(l.count, 12);
	buf_free(&v);
}

/* An enrolled key's older record is another element: no un-revoking. */
static void
test_mset_records(void **state)
{
	static const uint8_t zero[REC_HASH];
	uint8_t fp[REC_FP] = { 3 }, a[REC_HASH] = { 0 }, b[REC_HASH] = { 0 };
	struct rec_key k = rec_key_key(&bundle, fp);
	struct rec_key u = rec_key_user(&bundle, "alice");

	(void)state;
	mset_add_record(a, &bundle, rec_bytes(&k), 1);
	assert_hex(a, 32, "fe532bded17f836a4525a289b3ed9557"
	    "f9bb2c90a8924848db6405316a7b1a1d");
	mset_add_record(a, &bundle, rec_bytes(&u), 1);
	mset_add_record(b, &bundle, rec_bytes(&u), 1);
	mset_add_record(b, &bundle, rec_bytes(&k), 2);
	assert_memory_not_equal(a, b, sizeof(a));
	mset_sub_record(b, &bundle, rec_bytes(&k), 2);
	mset_add_record(b, &bundle, rec_bytes(&k), 1);
	assert_memory_equal(a, b, sizeof(a));
	mset_sub_record(a, &bundle, rec_bytes(&u), 1);
	mset_sub_record(a, &bundle, rec_bytes(&k), 1);
	assert_memory_equal(a, zero, sizeof(a));
}

/* Each thing that a head is must change its element. */
static void
test_mset_inputs(void **state)
{
	static const uint8_t zero[REC_HASH];
	struct rec_key key = rec_key_head(uid, conv);
	struct rec_key other = rec_key_head(uid, conv2);
	struct rec_mset m = { .n = 1 };
	struct rec_head h = { 0 }, h2;
	uint8_t a[REC_HASH], r1[REC_HASH], r2[REC_HASH];

	(void)state;
	make_head(&h);
	mset_add(m.mset, &bundle, rec_bytes(&key), 3, &h);
#define DIFFERS(k, v, head) do {					\
	memcpy(a, m.mset, sizeof(a));					\
	mset_sub(a, &bundle, rec_bytes(k), v, head);			\
	assert_memory_not_equal(a, zero, sizeof(a));			\
} while (0)
	DIFFERS(&other, 3, &h);
	DIFFERS(&key, 2, &h);
	h2 = h;
	h2.last--;
	DIFFERS(&key, 3, &h2);
	h2 = h;
	h2.chain[31] ^= 1;
	DIFFERS(&key, 3, &h2);
#undef DIFFERS
	mset_root(r1, &bundle, &m);
	m.n++;
	mset_root(r2, &bundle, &m);
	assert_memory_not_equal(r1, r2, sizeof(r1));
	m.n--;
	m.mset[0] ^= 1;
	mset_root(r2, &bundle, &m);
	assert_memory_not_equal(r1, r2, sizeof(r1));
}

/* What a user's record holds, opened: the format is spelt out here. */
static int
open_content(struct rec_user *u, const char *head_hex, const char *tail_hex)
{
	struct rec_key key = rec_key_user(&bundle, "alice");
	struct seal_ad ad = { rec_bytes(&key), 3, 0, { NULL, 0 } };
	struct buf content = BUF_INIT(4096), frame = BUF_INIT(4096);
	struct buf v = BUF_INIT(SEAL_VALUE_MAX);
	uint8_t rk[SEAL_KEYLEN], raw[1024];
	uint64_t version;
	int rv;

	const char *const part[] = { head_hex, tail_hex };

	for (int i = 0; i < 2; i++) {
		assert_int_equal(hex_decode(raw, strlen(part[i]) / 2, part[i]),
		    0);
		buf_put(&content, raw, strlen(part[i]) / 2);
	}
	buf_u8(&frame, 1);
	buf_v16(&frame, buf_bytes(&content));
	buf_zero(&frame, (128 - frame.n % 128) % 128);
	seal_record_key(rk, bundle.meta, rec_bytes(&key));
	assert_int_equal(seal_value(&v, rk, &ad, buf_bytes(&frame)), 0);
	rv = rec_open_user(u, &version, &bundle, rec_bytes(&key),
	    buf_bytes(&v));
	buf_free(&content);
	buf_free(&frame);
	buf_free(&v);
	return rv;
}

#define OLD_USER(sessions)	"0005616c696365"			\
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" "0000000000000007"		\
	"01" "00000000" sessions "0000"

/* Limits and grants: records from before them, and what is none. */
static void
test_rights(void **state)
{
	static const char *const bad[] = {
		"00",				/* breaks off */
		"0000",
		"000001",
		"01010000000000000000" "0000",	/* a limit of nothing */
		"01010000000000f42410" "0000",	/* too large */
		"01000000000000000001" "0000",	/* no such limit */
		"01ff0000000000000001" "0000",
		"02010000000000000001" "010000000000000002" "0000", /* twice */
		"010100000000000000" "0000",
		"000200",			/* neither all nor none */
		"000121",			/* more than 32 */
		"0001010000",			/* a name of nothing */
		"00010100",
		"000102" "000162" "000161",	/* out of order */
		"000102" "000161" "000161",	/* twice */
		"000101" "0001ff",		/* not UTF-8 */
		"000100" "00",			/* more than there is */
	};
	struct rec_user u;

	(void)state;
	assert_int_equal(open_content(&u, OLD_USER("00000000"), ""), 0);
	assert_int_equal(u.limit[LIMIT_SESSIONS], 0);
	assert_int_equal(u.grants.none_but + u.grants.n, 0);
	/* The one limit that there has always been. */
	assert_int_equal(open_content(&u, OLD_USER("00000005"), ""), 0);
	assert_int_equal(u.limit[LIMIT_SESSIONS], 5);
	assert_int_equal(open_content(&u, OLD_USER("00000000"),
	    "01010000000000000009" "0102" "0003626967" "0005736d616c6c"), 0);
	assert_int_equal(u.limit[LIMIT_SESSIONS], 9);
	assert_int_equal(u.grants.none_but, 1);
	assert_int_equal(u.grants.n, 2);
	assert_string_equal(u.grants.model[0], "big");
	assert_string_equal(u.grants.model[1], "small");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (open_content(&u, OLD_USER("00000000"), bad[i]) !=
		    SEAL_EFORMAT)
			fail_msg("%s is taken", bad[i]);
}

/* What a user has used, as the first of these records had it. */
static void
test_tally_old(void **state)
{
	static const char content[] = "0003626967" "00005000"
	    "0000000000000007" "0000000000000009";
	struct rec_key key = rec_key_tally(&bundle, uid, "big");
	struct seal_ad ad = { rec_bytes(&key), 3, 0, { NULL, 0 } };
	struct buf frame = BUF_INIT(4096), v = BUF_INIT(SEAL_VALUE_MAX);
	uint8_t rk[SEAL_KEYLEN], raw[sizeof(content) / 2];
	struct rec_tally t;
	uint64_t version;

	(void)state;
	assert_int_equal(hex_decode(raw, sizeof(raw), content), 0);
	buf_u8(&frame, 1);
	buf_v16(&frame, bytes_of(raw, sizeof(raw)));
	buf_zero(&frame, (128 - frame.n % 128) % 128);
	seal_record_key(rk, bundle.meta, rec_bytes(&key));
	assert_int_equal(seal_value(&v, rk, &ad, buf_bytes(&frame)), 0);
	assert_int_equal(rec_open_tally(&t, &version, &bundle,
	    rec_bytes(&key), buf_bytes(&v)), 0);
	assert_string_equal(t.model, "big");
	assert_int_equal(t.day_tokens, 7);
	assert_int_equal(t.month_tokens, 9);
	assert_int_equal(t.day_requests + t.month_requests, 0);
	/* More in a day than in its month. */
	t.day_requests = 1;
	buf_reset(&v);
	assert_int_equal(rec_seal_tally(&v, &bundle, rec_bytes(&key), 4, &t),
	    SEAL_EFORMAT);
	buf_free(&frame);
	buf_free(&v);
}

/* As many and as long as may be. */
static void
test_rights_full(void **state)
{
	struct buf v = BUF_INIT(SEAL_VALUE_MAX);
	struct rec_key key = rec_key_user(&bundle, "alice");
	struct rec_user u = { 0 }, back;
	uint64_t version;

	(void)state;
	make_user(&u);
	memset(u.name, 'n', REC_NAME_MAX);
	u.pwhash_n = REC_PWHASH_MAX;
	u.grants.n = REC_GRANTS_MAX;
	for (int i = 0; i < REC_GRANTS_MAX; i++) {
		memset(u.grants.model[i], 'm', REC_MODEL_MAX);
		u.grants.model[i][0] = (char)('A' + i);
	}
	assert_int_equal(rec_seal_user(&v, &bundle, rec_bytes(&key), 1, &u), 0);
	assert_int_equal(rec_open_user(&back, &version, &bundle,
	    rec_bytes(&key), buf_bytes(&v)), 0);
	assert_memory_equal(&back.grants, &u.grants, sizeof(u.grants));
	u.grants.n++;
	buf_reset(&v);
	assert_int_equal(rec_seal_user(&v, &bundle, rec_bytes(&key), 1, &u),
	    SEAL_EFORMAT);
	buf_free(&v);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_key_prf),
		cmocka_unit_test(test_key_layout),
		cmocka_unit_test(test_key_order),
		cmocka_unit_test(test_key_parse),
		cmocka_unit_test(test_round_trips),
		cmocka_unit_test(test_tampered),
		cmocka_unit_test(test_versions_swapped),
		cmocka_unit_test(test_lengths_hidden),
		cmocka_unit_test(test_invalid_not_sealed),
		cmocka_unit_test(test_rights),
		cmocka_unit_test(test_rights_full),
		cmocka_unit_test(test_tally_old),
		cmocka_unit_test(test_frames),
		cmocka_unit_test(test_known_value),
		cmocka_unit_test(test_mset_known),
		cmocka_unit_test(test_mset_algebra),
		cmocka_unit_test(test_list_shredded),
		cmocka_unit_test(test_mset_records),
		cmocka_unit_test(test_mset_inputs),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
