#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "kdf.h"

#include "../storaged/entry.h"

static struct seal_bundle bundle;
static uint8_t dk[SEAL_KEYLEN], prev[REC_HASH];
static struct entry_at at;
static char big[ENTRY_TEXT_MAX + 1];

/* The records of an entry, as an engine would keep them. */
struct stored {
	size_t			n;
	struct entry_chunk	chunk[ENTRY_CHUNKS_MAX];
	uint8_t			key[ENTRY_CHUNKS_MAX][SEAL_RKEY_MAX];
	uint8_t			value[ENTRY_CHUNKS_MAX][SEAL_VALUE_MAX];
};

static int
setup(void **state)
{
	(void)state;
	memset(bundle.chain, 0xb2, 32);
	memset(dk, 0x5d, sizeof(dk));
	memset(prev, 0x99, sizeof(prev));
	memset(at.uid, 0xaa, sizeof(at.uid));
	memset(at.conv, 0xcc, sizeof(at.conv));
	at.number = 6;
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)('a' + i % 23);
	return 0;
}

static int
store(void *arg, struct bytes key, struct bytes value)
{
	struct stored *s = arg;
	size_t i = s->n++;

	assert_true(i < ENTRY_CHUNKS_MAX);
	assert_true(value.n <= SEAL_VALUE_MAX);
	memcpy(s->key[i], key.p, key.n);
	memcpy(s->value[i], value.p, value.n);
	s->chunk[i].key = bytes_of(s->key[i], key.n);
	s->chunk[i].value = bytes_of(s->value[i], value.n);
	return 0;
}

static struct entry
answer(const char *text, size_t n)
{
	struct entry e;

	memset(&e, 0, sizeof(e));
	e.kind = KIND_ASSISTANT;
	e.finish = FINISH_STOP;
	e.time_us = 1700000000000000;
	e.prompt_tokens = 11;
	e.completion_tokens = 22;
	strcpy(e.model, "model-x");
	memset(e.mac, 0x3a, sizeof(e.mac));
	e.text = bytes_of(text, n);
	return e;
}

/* Seal n bytes of text; the result is the caller's to free. */
static struct stored *
seal_text(size_t n, struct entry *e)
{
	struct stored *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	*e = answer(big, n);
	assert_int_equal(entry_seal(&bundle, dk, &at, 1, prev, e, store, s), 0);
	assert_int_equal(s->n, entry_nchunks(e));
	return s;
}

/* Open what is stored; *len is the length of the text, SIZE_MAX for failure. */
static int
open_at(const struct stored *s, size_t n, const struct entry_at *where,
    size_t *len)
{
	struct buf plain = BUF_INIT(ENTRY_PLAIN_MAX);
	struct entry e;
	uint64_t version;
	int rv;

	rv = entry_open(&e, &version, &plain, &bundle, dk, where, prev,
	    s->chunk, n);
	*len = SIZE_MAX;
	if (rv == 0) {
		assert_int_equal(version, 1);
		*len = e.text.n;
	} else {
		assert_int_equal(plain.n, 0);
		assert_int_equal(version, 0);
		assert_null(e.text.p);
	}
	buf_free(&plain);
	return rv;
}

static int
reopen(const struct stored *s)
{
	size_t len;

	return open_at(s, s->n, &at, &len);
}

static void
test_round_trips(void **state)
{
	static const size_t sizes[] = { 0, 1, 159, 160, 161, 416, 928, 1952,
	    ENTRY_CHUNK_MAX - 96, ENTRY_CHUNK_MAX - 95,
	    2 * ENTRY_CHUNK_MAX - 96, 2 * ENTRY_CHUNK_MAX - 95, 65536,
	    ENTRY_TEXT_MAX };

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct buf plain = BUF_INIT(ENTRY_PLAIN_MAX);
		struct entry e, back;
		struct stored *s = seal_text(sizes[i], &e);
		uint64_t version;

		assert_int_equal(entry_open(&back, &version, &plain, &bundle,
		    dk, &at, prev, s->chunk, s->n), 0);
		assert_int_equal(version, 1);
		assert_int_equal(back.kind, KIND_ASSISTANT);
		assert_int_equal(back.finish, FINISH_STOP);
		assert_int_equal(back.time_us, 1700000000000000);
		assert_int_equal(back.prompt_tokens, 11);
		assert_int_equal(back.completion_tokens, 22);
		assert_string_equal(back.model, "model-x");
		assert_memory_equal(back.mac, e.mac, sizeof(e.mac));
		assert_memory_equal(back.chain, e.chain, sizeof(e.chain));
		assert_int_equal(back.text.n, sizes[i]);
		if (sizes[i] > 0)
			assert_memory_equal(back.text.p, big, sizes[i]);
		buf_free(&plain);
		free(s);
	}
}

/* A message that was signed has its proof in front of its text. */
static void
test_proofs(void **state)
{
	static const size_t sizes[] = { 1, 600, PROOF_MAX };
	uint8_t proof[PROOF_MAX + 1];

	(void)state;
	memset(proof, 0x77, sizeof(proof));
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		for (size_t n = 0; n <= ENTRY_TEXT_MAX;
		    n += ENTRY_TEXT_MAX / 2) {
			struct buf plain = BUF_INIT(ENTRY_PLAIN_MAX);
			struct stored *s = calloc(1, sizeof(*s));
			struct entry e = answer(big, n), back;
			uint64_t version;

			assert_non_null(s);
			e.proof = bytes_of(proof, sizes[i]);
			assert_int_equal(entry_seal(&bundle, dk, &at, 1, prev,
			    &e, store, s), 0);
			assert_int_equal(s->n, entry_nchunks(&e));
			assert_int_equal(entry_open(&back, &version, &plain,
			    &bundle, dk, &at, prev, s->chunk, s->n), 0);
			assert_true(bytes_eq(back.proof, e.proof));
			assert_true(bytes_eq(back.text, e.text));
			buf_free(&plain);
			free(s);
		}
}

/* One that is too long is not stored. */
static void
test_long_proof(void **state)
{
	static uint8_t proof[PROOF_MAX + 1];
	struct entry e = answer(big, 1);
	struct stored *s = calloc(1, sizeof(*s));

	(void)state;
	assert_non_null(s);
	e.proof = bytes_of(proof, sizeof(proof));
	assert_int_equal(entry_seal(&bundle, dk, &at, 1, prev, &e, store, s),
	    SEAL_EFORMAT);
	assert_int_equal(s->n, 0);
	free(s);
}

static void
test_buckets(void **state)
{
	struct entry e;
	struct stored *s;

	(void)state;
	assert_int_equal(entry_bucket(0), 256);
	assert_int_equal(entry_bucket(256), 256);
	assert_int_equal(entry_bucket(257), 512);
	assert_int_equal(entry_bucket(2048), 2048);
	assert_int_equal(entry_bucket(2049), ENTRY_CHUNK_MAX);
	assert_int_equal(entry_bucket(ENTRY_CHUNK_MAX), ENTRY_CHUNK_MAX);
	assert_int_equal(entry_bucket(ENTRY_CHUNK_MAX + 1),
	    2 * ENTRY_CHUNK_MAX);
	/* 96 bytes of header: texts of 161 to 416 bytes look the same. */
	for (size_t n = 161; n <= 416; n += 51) {
		s = seal_text(n, &e);
		assert_int_equal(s->n, 1);
		assert_int_equal(s->chunk[0].value.n, 512 + 52);
		free(s);
	}
	/* Beyond one chunk every value is full. */
	s = seal_text(10000, &e);
	assert_int_equal(s->n, 3);
	for (size_t i = 0; i < s->n; i++)
		assert_int_equal(s->chunk[i].value.n, SEAL_VALUE_MAX);
	free(s);
	s = seal_text(ENTRY_TEXT_MAX, &e);
	assert_int_equal(s->n, 262);
	free(s);
}

/* Sealing the same again shares no key, so no byte of the result. */
static void
test_fresh_salt(void **state)
{
	struct entry e;
	struct stored *a = seal_text(100, &e), *b = seal_text(100, &e);

	(void)state;
	assert_memory_not_equal(a->value[0] + 8, b->value[0] + 8, ENTRY_SALT);
	assert_memory_not_equal(a->value[0] + 36, b->value[0] + 36, 16);
	free(a);
	free(b);
}

static void
test_flips(void **state)
{
	struct entry e;
	struct stored *s = seal_text(5000, &e);

	(void)state;
	assert_int_equal(s->n, 2);
	for (size_t c = 0; c < s->n; c++)
		for (size_t i = 0; i < s->chunk[c].value.n; i++) {
			s->value[c][i] ^= 4;
			assert_int_equal(reopen(s), SEAL_EAUTH);
			s->value[c][i] ^= 4;
		}
	assert_int_equal(reopen(s), 0);
	free(s);
}

static void
test_truncated(void **state)
{
	struct entry e;
	struct stored *s = seal_text(5000, &e);
	size_t full = s->chunk[1].value.n;

	(void)state;
	for (size_t n = 0; n < full; n += 7) {
		s->chunk[1].value.n = n;
		assert_int_equal(reopen(s), n <= 52 ? SEAL_EFORMAT : SEAL_EAUTH);
	}
	s->chunk[1].value.n = full;
	for (size_t n = 0; n < full; n += 7) {
		s->chunk[0].value.n = n;
		assert_int_equal(reopen(s), n <= 52 ? SEAL_EFORMAT : SEAL_EAUTH);
	}
	s->chunk[0].value.n = full;
	assert_int_equal(reopen(s), 0);
	free(s);
}

static void
test_chunks_disordered(void **state)
{
	struct entry e;
	struct stored *s = seal_text(10000, &e);
	struct entry_chunk orig[3];
	size_t len;

	(void)state;
	assert_int_equal(s->n, 3);
	memcpy(orig, s->chunk, sizeof(orig));

	/* Reordered: whole records, then values alone under right keys. */
	s->chunk[0] = orig[1];
	s->chunk[1] = orig[0];
	assert_int_equal(reopen(s), SEAL_EAUTH);
	s->chunk[0].key = orig[0].key;
	s->chunk[1].key = orig[1].key;
	assert_int_equal(reopen(s), SEAL_EAUTH);
	memcpy(s->chunk, orig, sizeof(orig));

	/* Dropped: the last, the first, one in the middle, all. */
	assert_int_equal(open_at(s, 2, &at, &len), SEAL_EAUTH);
	assert_int_equal(open_at(s, 1, &at, &len), SEAL_EAUTH);
	assert_int_equal(open_at(s, 0, &at, &len), SEAL_EAUTH);
	s->chunk[1] = orig[2];
	assert_int_equal(open_at(s, 2, &at, &len), SEAL_EAUTH);
	s->chunk[0] = orig[1];
	assert_int_equal(open_at(s, 2, &at, &len), SEAL_EAUTH);
	memcpy(s->chunk, orig, sizeof(orig));

	/* Duplicated: in place of another, and at the end. */
	s->chunk[1] = orig[0];
	assert_int_equal(reopen(s), SEAL_EAUTH);
	s->chunk[1] = orig[1];
	s->chunk[3] = orig[2];
	assert_int_equal(open_at(s, 4, &at, &len), SEAL_EAUTH);

	/* More than any entry has. */
	assert_int_equal(open_at(s, ENTRY_CHUNKS_MAX + 1, &at, &len),
	    SEAL_EFORMAT);
	assert_int_equal(open_at(s, 3, &at, &len), 0);
	assert_int_equal(len, 10000);
	free(s);
}

/* The chunks of two sealings of one entry do not mix. */
static void
test_chunks_mixed(void **state)
{
	struct entry e;
	struct stored *a = seal_text(10000, &e), *b = seal_text(14000, &e);
	struct entry_chunk t = a->chunk[1];
	size_t len;

	(void)state;
	a->chunk[1] = b->chunk[1];
	assert_int_equal(reopen(a), SEAL_EAUTH);
	memcpy(b->value[1] + 8, a->value[0] + 8, ENTRY_SALT);
	assert_int_equal(reopen(a), SEAL_EAUTH);
	a->chunk[1] = t;
	a->chunk[3] = b->chunk[3];
	assert_int_equal(open_at(a, 4, &at, &len), SEAL_EAUTH);
	assert_int_equal(open_at(a, 3, &at, &len), 0);
	free(a);
	free(b);
}

/* Put the records under the keys of another place. */
static void
rekey(struct stored *s, const struct entry_at *where)
{
	for (size_t i = 0; i < s->n; i++) {
		struct rec_key k = rec_key_msg(where->conv, where->number,
		    (uint16_t)i);

		memcpy(s->key[i], k.p, k.n);
	}
}

static void
test_moved(void **state)
{
	struct entry_at other;
	struct entry e;
	struct stored *s = seal_text(300, &e);
	size_t len;

	(void)state;
	other = at;
	other.uid[0] ^= 1;
	assert_int_equal(open_at(s, s->n, &other, &len), SEAL_EAUTH);
	other = at;
	other.number++;
	assert_int_equal(open_at(s, s->n, &other, &len), SEAL_EAUTH);
	rekey(s, &other);
	assert_int_equal(open_at(s, s->n, &other, &len), SEAL_EAUTH);
	other = at;
	other.conv[15] ^= 1;
	rekey(s, &other);
	assert_int_equal(open_at(s, s->n, &other, &len), SEAL_EAUTH);
	rekey(s, &at);
	s->value[0][7] = 2;		/* another version */
	assert_int_equal(reopen(s), SEAL_EAUTH);
	s->value[0][7] = 1;
	dk[0] ^= 1;
	assert_int_equal(reopen(s), SEAL_EAUTH);
	dk[0] ^= 1;
	assert_int_equal(reopen(s), 0);
	free(s);
}

/* A conversation of four, then one left out, exchanged, or changed. */
static void
test_chain(void **state)
{
	struct buf plain = BUF_INIT(ENTRY_PLAIN_MAX);
	struct stored *s[4];
	struct entry e[4], back;
	struct entry_at where = at;
	uint8_t zero[REC_HASH] = { 0 };
	const uint8_t *before = zero;
	uint64_t version;

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		s[i] = calloc(1, sizeof(*s[i]));
		assert_non_null(s[i]);
		e[i] = answer(big, 100 + i);
		where.number = i + 1;
		assert_int_equal(entry_seal(&bundle, dk, &where, 1, before,
		    &e[i], store, s[i]), 0);
		before = e[i].chain;
	}
	before = zero;
	for (size_t i = 0; i < 4; i++) {
		where.number = i + 1;
		assert_int_equal(entry_open(&back, &version, &plain, &bundle,
		    dk, &where, before, s[i]->chunk, s[i]->n), 0);
		before = e[i].chain;
	}
	/* Number 3 after number 1; number 3 alone; after nothing. */
	where.number = 3;
	assert_int_equal(entry_open(&back, &version, &plain, &bundle, dk,
	    &where, e[0].chain, s[2]->chunk, s[2]->n), SEAL_EAUTH);
	assert_int_equal(plain.n, 0);
	assert_int_equal(entry_open(&back, &version, &plain, &bundle, dk,
	    &where, NULL, s[2]->chunk, s[2]->n), 0);
	assert_memory_equal(back.chain, e[2].chain, REC_HASH);
	assert_int_equal(entry_open(&back, &version, &plain, &bundle, dk,
	    &where, zero, s[2]->chunk, s[2]->n), SEAL_EAUTH);
	/* Number 2 exchanged for another, by one who has the data key. */
	where.number = 2;
	s[1]->n = 0;
	e[1].text = bytes_str("other");
	assert_int_equal(entry_seal(&bundle, dk, &where, 1, e[0].chain, &e[1],
	    store, s[1]), 0);
	where.number = 3;
	assert_int_equal(entry_open(&back, &version, &plain, &bundle, dk,
	    &where, e[1].chain, s[2]->chunk, s[2]->n), SEAL_EAUTH);
	buf_free(&plain);
	for (size_t i = 0; i < 4; i++)
		free(s[i]);
}

/* Everything that is said of an entry is in its chain value. */
static void
test_chain_inputs(void **state)
{
	struct stored *s = calloc(1, sizeof(*s));
	struct entry base = answer(big, 50), e;
	struct entry_at where = at;
	struct seal_bundle b2 = bundle;

	(void)state;
	assert_non_null(s);
	assert_int_equal(entry_seal(&bundle, dk, &at, 1, prev, &base, store, s),
	    0);
#define DIFFERS(b, change) do {						\
	e = answer(big, 50);						\
	change;								\
	s->n = 0;							\
	assert_int_equal(entry_seal(b, dk, &where, 1, prev, &e, store,	\
	    s), 0);							\
	assert_memory_not_equal(e.chain, base.chain, REC_HASH);		\
} while (0)
	DIFFERS(&bundle, e.kind = KIND_SYSTEM);
	DIFFERS(&bundle, e.finish = FINISH_TRUNCATED);
	DIFFERS(&bundle, e.time_us++);
	DIFFERS(&bundle, e.prompt_tokens++);
	DIFFERS(&bundle, e.completion_tokens++);
	DIFFERS(&bundle, e.model[0] = 'n');
	DIFFERS(&bundle, e.mac[31] ^= 1);
	DIFFERS(&bundle, e.text.n--);
	DIFFERS(&bundle, e.text.p++);
	DIFFERS(&bundle, where.number++);
	where = at;
	DIFFERS(&bundle, where.conv[0]++);
	where = at;
	b2.chain[0] ^= 1;
	DIFFERS(&b2, (void)0);
#undef DIFFERS
	free(s);
}

/* Made by another implementation (Python's hmac and AESGCM). */
static void
test_known(void **state)
{
	static const char hex[] =
	    "000000000000000117171717171717171717171717171717000102030405060708"
	    "090a0bf8aeb674a425b56014ee382d02d16b77f34b587e1cece65c0612becfab4f"
	    "c25e184c485c76cb549217a1a2e0a2cf0cd58b72578c37dee56c5b1f9eee298387"
	    "f183e511fb07d607e3a2d734374e9ce22f84e7ed924415b2e2e1c0969cccbf8ffa"
	    "4207c9e501c7d0f89389891affe54e3c919e647ef1b91e1c7743a8fff7d47940b6"
	    "b42e2c5e4f06284ab7b1a4dc23f06f65ade3d6fcd4a06aa1b121af2563a80f8795"
	    "19efd065cd82c96bd837089330718bb64d3c48141d2b6fddf8592f115ad54ee82d"
	    "0337adb675c8c8ade2f68836a2e85d01cda6e798f649bb3723615198cb142fd3b1"
	    "200cce09228566b279663e7e735f813f274a47c6aa8a18010ab7878365782bd681"
	    "dd2f60181b6635d6bcd9c7";
	struct buf plain = BUF_INIT(ENTRY_PLAIN_MAX);
	struct rec_key k = rec_key_msg(at.conv, at.number, 0);
	uint8_t value[308], chain[REC_HASH];
	struct entry_chunk c = { rec_bytes(&k), { value, sizeof(value) } };
	struct entry e;
	uint64_t version;

	(void)state;
	assert_int_equal(hex_decode(value, sizeof(value), hex), 0);
	assert_int_equal(hex_decode(chain, sizeof(chain),
	    "3b5d050cef91e0dabb2e443a5d03d6f8"
	    "817fda5b64447636f6727e145762e155"), 0);
	assert_int_equal(entry_open(&e, &version, &plain, &bundle, dk, &at,
	    prev, &c, 1), 0);
	assert_int_equal(e.text.n, 5);
	assert_memory_equal(e.text.p, "hello", 5);
	assert_memory_equal(e.chain, chain, sizeof(chain));
	buf_free(&plain);
}

/* Open a plaintext of our own making. */
static int
open_plain(const uint8_t *p, size_t n)
{
	struct buf plain = BUF_INIT(ENTRY_PLAIN_MAX);
	struct rec_key rk = rec_key_msg(at.conv, at.number, 0);
	struct seal_ad ad = { rec_bytes(&rk), 1, 0, { at.uid, REC_ID } };
	uint8_t value[SEAL_VALUE_MAX] = { 0 }, prk[32], key[32], ctx[24];
	struct entry_chunk c = { rec_bytes(&rk), { value, n + 52 } };
	struct entry e;
	uint64_t version;
	int rv;

	memcpy(ctx, at.conv, REC_ID);
	put_be64(ctx + REC_ID, at.number);
	kdf_extract(bytes_of(value + 8, ENTRY_SALT), bytes_of(dk, 32), prk);
	kdf_xl(key, 32, prk, "msg", bytes_of(ctx, sizeof(ctx)));
	value[7] = 1;
	assert_int_equal(seal_aead(value + 36, key, value + 24, &ad,
	    bytes_of(p, n)), 0);
	rv = entry_open(&e, &version, &plain, &bundle, dk, &at, NULL, &c, 1);
	buf_free(&plain);
	return rv;
}

static void
test_strict(void **state)
{
	/* format, kind, finish, times 8, tokens 4 + 4, model 2 + 1, mac 32,
	 * text length 4, chain 32, text. */
	uint8_t p[512] = { 1, 1, 0 };

	(void)state;
	p[20] = 1;
	p[21] = 'm';
	p[57] = 3;
	assert_int_equal(open_plain(p, 256), 0);
#define REFUSED(i, v, rv) do {						\
	uint8_t was_ = p[i];						\
	p[i] = (v);							\
	assert_int_equal(open_plain(p, 256), rv);			\
	p[i] = was_;							\
} while (0)
	REFUSED(0, 2, SEAL_EFORMAT);
	REFUSED(1, 0, SEAL_EFORMAT);
	REFUSED(1, 5, SEAL_EFORMAT);
	REFUSED(2, 8, SEAL_EFORMAT);
	REFUSED(19, 1, SEAL_EFORMAT);	/* a model's name of 257 bytes */
	REFUSED(21, 0, SEAL_EFORMAT);	/* a NUL in it */
	REFUSED(21, 0xff, SEAL_EFORMAT);
	REFUSED(54, 1, SEAL_EFORMAT);	/* text over 1 MiB */
	REFUSED(56, 1, SEAL_EAUTH);	/* more text than there is */
	REFUSED(255, 1, SEAL_EFORMAT);	/* padding */
	REFUSED(93, 1, SEAL_EFORMAT);
#undef REFUSED
	assert_int_equal(open_plain(p, 512), SEAL_EAUTH);
	assert_int_equal(open_plain(p, 255), SEAL_EAUTH);
	assert_int_equal(open_plain(p, 50), SEAL_EFORMAT);
	assert_int_equal(open_plain(p, 256), 0);
}

static int
refuse_second(void *arg, struct bytes key, struct bytes value)
{
	unsigned *calls = arg;

	(void)key;
	(void)value;
	return ++*calls == 2 ? -77 : 0;
}

static void
test_seal_refusals(void **state)
{
	struct buf tight = BUF_INIT(255);
	struct stored *s = calloc(1, sizeof(*s));
	struct entry e = answer(big, sizeof(big));
	struct entry_at where = at;
	unsigned calls = 0;
	uint64_t version;

	(void)state;
	assert_non_null(s);
#define REFUSED(v) assert_int_equal(entry_seal(&bundle, dk, &where, v,	\
    prev, &e, store, s), SEAL_EFORMAT)
	REFUSED(1);			/* a byte over 1 MiB */
	e = answer(big, 10);
	REFUSED(0);
	where.number = 0;
	REFUSED(1);
	where = at;
	e.kind = 0;
	REFUSED(1);
	e = answer(big, 10);
	e.finish = FINISH_FILTER + 1;
	REFUSED(1);
	e = answer(big, 10);
	memset(e.model, 'm', sizeof(e.model));
	REFUSED(1);
	e = answer(big, 10);
	e.model[3] = '\x80';
	REFUSED(1);
#undef REFUSED
	assert_int_equal(s->n, 0);
	/* What emit returns stops it. */
	e = answer(big, 20000);
	assert_int_equal(entry_seal(&bundle, dk, &at, 1, prev, &e,
	    refuse_second, &calls), -77);
	assert_int_equal(calls, 2);
	/* A buffer that is too small. */
	e = answer(big, 10);
	assert_int_equal(entry_seal(&bundle, dk, &at, 1, prev, &e, store, s),
	    0);
	assert_int_equal(entry_open(&e, &version, &tight, &bundle, dk, &at,
	    prev, s->chunk, s->n), SEAL_ENOMEM);
	buf_free(&tight);
	free(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trips),
		cmocka_unit_test(test_proofs),
		cmocka_unit_test(test_long_proof),
		cmocka_unit_test(test_buckets),
		cmocka_unit_test(test_fresh_salt),
		cmocka_unit_test(test_flips),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_chunks_disordered),
		cmocka_unit_test(test_chunks_mixed),
		cmocka_unit_test(test_moved),
		cmocka_unit_test(test_chain),
		cmocka_unit_test(test_chain_inputs),
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_strict),
		cmocka_unit_test(test_seal_refusals),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
