/*
 * What the vault reads back: records and messages under the right keys with any
 * plaintext, and as raw values; the anchor and the key file with right
 * checksums and any content; the codec between vault and engine; record keys.
 */
#include "fuzz.h"

#include "../storaged/anchor.h"
#include "../storaged/entry.h"
#include "../storaged/kv_codec.h"
#include "kdf.h"

#define SUM_AT		(SLOT_BYTES - HASH_LEN)
#define CHUNK_HDR	(SEAL_VERLEN + ENTRY_SALT + SEAL_NONCELEN)

static struct seal_bundle bundle;
static uint8_t dk[SEAL_KEYLEN], sk[SEAL_KEYLEN];
static struct entry_at at = { .number = 1 };
static int file;

static void
fuzz_setup(void)
{
	memset(&bundle, 0x11, sizeof(bundle));
	memset(dk, 0x22, sizeof(dk));
	memset(sk, 0x33, sizeof(sk));
	memset(&at.uid, 0x44, sizeof(at.uid));
	memset(&at.conv, 0x55, sizeof(at.conv));
	need((file = memfd_create("fuzz", MFD_CLOEXEC)) != -1);
}

/* ---- records --------------------------------------------------------------- */

union record {
	struct rec_user		u;
	struct rec_enrolled	e;
	struct rec_userkey	k;
	struct rec_head		h;
	struct rec_list		l;
	struct rec_tomb		t;
	struct rec_tally	q;
	struct rec_mset		m;
};

enum { R_USER, R_KEY, R_USERKEY, R_HEAD, R_LIST, R_TOMB, R_TALLY, R_MSET, R_KINDS };

static struct rec_key
record_key(int kind)
{
	uint8_t fp[REC_FP] = { 1 };

	switch (kind) {
	case R_USER: return rec_key_user(&bundle, "alice");
	case R_KEY: return rec_key_key(&bundle, fp);
	case R_USERKEY: return rec_key_userkey(at.uid, fp);
	case R_HEAD: return rec_key_head(at.uid, at.conv);
	case R_LIST: return rec_key_list(at.uid, 5, at.conv);
	case R_TOMB: return rec_key_tomb(at.conv);
	case R_TALLY: return rec_key_tally(&bundle, at.uid, "m");
	default: return rec_key_mset();
	}
}

static int
record_open_as(int kind, union record *r, uint64_t *ver, struct bytes key,
    struct bytes value)
{
	switch (kind) {
	case R_USER: return rec_open_user(&r->u, ver, &bundle, key, value);
	case R_KEY: return rec_open_enrolled(&r->e, ver, &bundle, key, value);
	case R_USERKEY:
		return rec_open_userkey(&r->k, ver, &bundle, key, value);
	case R_HEAD: return rec_open_head(&r->h, ver, &bundle, key, value);
	case R_LIST: return rec_open_list(&r->l, ver, dk, key, value);
	case R_TOMB: return rec_open_tomb(&r->t, ver, &bundle, key, value);
	case R_TALLY: return rec_open_tally(&r->q, ver, &bundle, key, value);
	default: return rec_open_mset(&r->m, ver, &bundle, key, value);
	}
}

static int
record_seal_as(int kind, const union record *r, uint64_t ver, struct bytes key,
    struct buf *out)
{
	switch (kind) {
	case R_USER: return rec_seal_user(out, &bundle, key, ver, &r->u);
	case R_KEY: return rec_seal_enrolled(out, &bundle, key, ver, &r->e);
	case R_USERKEY: return rec_seal_userkey(out, &bundle, key, ver, &r->k);
	case R_HEAD: return rec_seal_head(out, &bundle, key, ver, &r->h);
	case R_LIST: return rec_seal_list(out, dk, key, ver, &r->l);
	case R_TOMB: return rec_seal_tomb(out, &bundle, key, ver, &r->t);
	case R_TALLY: return rec_seal_tally(out, &bundle, key, ver, &r->q);
	default: return rec_seal_mset(out, &bundle, key, ver, &r->m);
	}
}

/* A value with any plaintext, under the record's own key. */
static int
seal_plain(int kind, struct bytes plain, struct buf *out)
{
	struct rec_key key = record_key(kind);
	struct seal_ad ad = { rec_bytes(&key), 7, 0, { NULL, 0 } };
	uint8_t rk[SEAL_KEYLEN];

	seal_record_key(rk, kind == R_LIST ? dk : bundle.meta, rec_bytes(&key));
	return seal_value(out, rk, &ad, plain);
}

static void
record(int kind, struct bytes value)
{
	struct rec_key key = record_key(kind);
	struct buf again = BUF_INIT(SEAL_VALUE_MAX);
	union record r, r2;
	uint64_t ver, ver2;

	memset(&r, 0, sizeof(r));
	memset(&r2, 0, sizeof(r2));
	if (record_open_as(kind, &r, &ver, rec_bytes(&key), value) == 0) {
		need(record_seal_as(kind, &r, ver, rec_bytes(&key), &again) ==
		    0);
		need(record_open_as(kind, &r2, &ver2, rec_bytes(&key),
		    buf_bytes(&again)) == 0);
		need(ver == ver2 && memcmp(&r, &r2, sizeof(r)) == 0);
	}
	buf_free(&again);
}

/* ---- messages -------------------------------------------------------------- */

static struct buf chunk_value[8];
static struct entry_chunk chunk[8];
static struct rec_key chunk_key[8];

/* One more chunk with this plaintext, as the vault would have sealed it. */
static void
add_chunk(size_t i, struct bytes plain)
{
	struct seal_ad ad = { .version = 9, .extra = { at.uid, REC_ID } };
	uint8_t prk[HASH_LEN], key[SEAL_KEYLEN], context[REC_ID + 8];
	uint8_t salt[ENTRY_SALT] = { 3 }, nonce[SEAL_NONCELEN] = { 4 };
	struct buf *v = &chunk_value[i];

	memcpy(context, at.conv, REC_ID);
	put_be64(context + REC_ID, at.number);
	kdf_extract(bytes_of(salt, sizeof(salt)), bytes_of(dk, sizeof(dk)), prk);
	kdf_xl(key, sizeof(key), prk, "msg", bytes_of(context, sizeof(context)));
	chunk_key[i] = rec_key_msg(at.conv, at.number, (uint16_t)i);
	ad.key = rec_bytes(&chunk_key[i]);
	buf_init(v, SEAL_VALUE_MAX);
	buf_u64(v, ad.version);
	buf_put(v, salt, sizeof(salt));
	buf_put(v, nonce, sizeof(nonce));
	need(seal_aead(buf_grow(v, plain.n + SEAL_TAGLEN), key, nonce, &ad,
	    plain) == 0);
	chunk[i] = (struct entry_chunk){ ad.key, buf_bytes(v) };
}

static void
message(struct bytes plain)
{
	struct buf b = BUF_INIT(ENTRY_PLAIN_MAX), padded = BUF_INIT(1 << 20);
	uint8_t zero[REC_HASH] = { 0 };
	struct entry e;
	uint64_t ver;
	size_t n = 0, len;

	buf_put(&padded, plain.p, plain.n);
	if (plain.n > 0 && plain.p[plain.n - 1] & 1)	/* as it must be */
		buf_zero(&padded, entry_bucket(plain.n) - plain.n);
	for (size_t pos = 0; pos < padded.n && n < 8; pos += len) {
		len = padded.n - pos < ENTRY_CHUNK_MAX ? padded.n - pos :
		    ENTRY_CHUNK_MAX;
		add_chunk(n++, bytes_of(padded.p + pos, len));
	}
	if (entry_open(&e, &ver, &b, &bundle, dk, &at, NULL, chunk, n) == 0) {
		need(ver == 9 && e.text.n <= ENTRY_TEXT_MAX);
		need(e.text.n == 0 || (e.text.p >= b.p &&
		    e.text.p + e.text.n <= b.p + b.n));
		need(entry_nchunks(&e) == n);
	}
	/* The chain value is the engine's guess here. */
	if (entry_open(&e, &ver, &b, &bundle, dk, &at, zero, chunk, n) == 0)
		need(e.kind != 0);
	for (size_t i = 0; i < n; i++)
		buf_free(&chunk_value[i]);
	buf_free(&b);
	buf_free(&padded);
}

static void
raw_message(struct bytes value)
{
	struct rec_key key = rec_key_msg(at.conv, at.number, 0);
	struct entry_chunk c = { rec_bytes(&key), value };
	struct buf b = BUF_INIT(ENTRY_PLAIN_MAX);
	struct entry e;
	uint64_t ver;

	need(entry_open(&e, &ver, &b, &bundle, dk, &at, NULL, &c, 1) != 0 ||
	    value.n > CHUNK_HDR);
	buf_free(&b);
}

/* ---- the vault's files ------------------------------------------------------- */

/* Both slots, with right checksums if `sum'. */
static void
fill_slots(struct bytes in, bool sum)
{
	static uint8_t both[SLOT_FILE_BYTES];

	memset(both, 0, sizeof(both));
	memcpy(both, in.p, in.n < sizeof(both) ? in.n : sizeof(both));
	for (int i = 0; sum && i < 2; i++)
		sha256(both + i * SLOT_BYTES + SUM_AT,
		    bytes_of(both + i * SLOT_BYTES, SUM_AT));
	fz_fill(file, sum ? bytes_of(both, sizeof(both)) : in);
}

static void
anchor(void)
{
	struct anchor a, b;

	if (anchor_read(file, &a) == 0) {
		(void)anchor_verify(&a, sk);
		need(anchor_write(file, &a, sk) == 0);
		need(anchor_read(file, &b) == 0 && anchor_verify(&b, sk) == 0);
		need(a.n == b.n && a.nepochs == b.nepochs);
		need(memcmp(a.epoch, b.epoch, sizeof(a.epoch)) == 0);
	}
}

static void
keyfile(void)
{
	struct keyfile a, b;

	if (keyfile_read(file, &a) == 0) {
		need(keyfile_find(&a, a.current) != NULL);
		need(keyfile_write(file, &a) == 0);
		need(keyfile_read(file, &b) == 0);
		need(memcmp(a.gen, b.gen, sizeof(a.gen)) == 0);
	}
}

/* ---- vault and engine ---------------------------------------------------------- */

static void
codec(struct bytes part, int what)
{
	static struct kv_op op[KV_MAX_OPS];
	static struct bytes key[KV_MAX_OPS];
	static struct kv_row row[KV_MAX_OPS];
	struct buf b = BUF_INIT(KV_PART_MAX);
	struct kv_range range;
	size_t n;
	int rv;

	if (what == 0 && (rv = kv_dec_ops(part, op, KV_MAX_OPS, &n)) == 0)
		kv_enc_ops(&b, op, n);
	if (what == 1 && (rv = kv_dec_keys(part, key, KV_MAX_OPS, &n)) == 0)
		kv_enc_keys(&b, key, n);
	if (what == 2 && (rv = kv_dec_range(part, &range)) == 0)
		kv_enc_range(&b, &range);
	if (what == 3 && (rv = kv_dec_rows(part, row, KV_MAX_OPS, &n)) == 0)
		for (size_t i = 0; i < n; i++)
			kv_enc_row(&b, row[i].key, row[i].value);
	if (rv == 0)
		need(!b.err && bytes_eq(buf_bytes(&b), part));
	buf_free(&b);
}

static void
keys(struct bytes in)
{
	uint8_t uid[REC_ID], id[REC_ID];
	struct rec_key k;
	uint64_t v;
	uint16_t c;

	if (rec_parse_userkey(in, uid, id) == 0) {
		k = rec_key_userkey(uid, id);
		need(bytes_eq(rec_bytes(&k), in));
	}
	if (rec_parse_head(in, uid, id) == 0) {
		k = rec_key_head(uid, id);
		need(bytes_eq(rec_bytes(&k), in));
	}
	if (rec_parse_list(in, uid, &v, id) == 0) {
		k = rec_key_list(uid, v, id);
		need(bytes_eq(rec_bytes(&k), in));
	}
	if (rec_parse_msg(in, id, &v, &c) == 0) {
		k = rec_key_msg(id, v, c);
		need(bytes_eq(rec_bytes(&k), in));
	}
	if (rec_parse_data(in, uid, id) == 0) {
		k = rec_key_data(uid, id);
		need(bytes_eq(rec_bytes(&k), in));
	}
}

/* ---- all of it --------------------------------------------------------------- */

/* The first byte of an input: what it is. */
enum {
	F_PLAIN = 0,			/* + R_*: a plaintext */
	F_VALUE = F_PLAIN + R_KINDS,	/* + R_*: a value */
	F_MESSAGE = F_VALUE + R_KINDS, F_RAW_MESSAGE, F_ANCHOR, F_ANCHOR_RAW,
	F_KEYFILE, F_KEYFILE_RAW, F_CODEC,	/* + 0..3 */
	F_KEYS = F_CODEC + 4, F_BUNDLE, F_DATA_KEY, F_ALL
};

static void
seed(uint8_t what, struct bytes body)
{
	fuzz_seed(&what, 1, body);
}

static int
seed_chunk(void *arg, struct bytes key, struct bytes value)
{
	(void)arg;
	seed(F_KEYS, key);
	seed(F_RAW_MESSAGE, value);
	return 0;
}

static void
seed_records(void)
{
	union record r[R_KINDS];
	uint8_t plain[128] = { SEAL_FORMAT };

	memset(r, 0, sizeof(r));
	(void)strcpy(r[R_USER].u.name, "alice");
	r[R_USER].u.state = REC_USER_ENABLED;
	r[R_KEY].e.state = r[R_USERKEY].k.state = REC_KEY_ACTIVE;
	r[R_KEY].e.sign.n = r[R_KEY].e.wrap.n = 10;
	(void)strcpy(r[R_KEY].e.label, "laptop");
	(void)strcpy(r[R_LIST].l.title, "a title");
	r[R_LIST].l.updated_us = 5;
	r[R_TOMB].t.epoch = 1;
	for (int k = 0; k < R_KINDS; k++) {
		struct rec_key key = record_key(k);
		struct buf v = BUF_INIT(SEAL_VALUE_MAX), p = BUF_INIT(8192);
		struct seal_ad ad = { .key = rec_bytes(&key) };
		uint8_t rk[SEAL_KEYLEN];

		need(record_seal_as(k, &r[k], 7, rec_bytes(&key), &v) == 0);
		seed((uint8_t)(F_VALUE + k), buf_bytes(&v));
		seed(F_KEYS, rec_bytes(&key));
		seal_record_key(rk, k == R_LIST ? dk : bundle.meta,
		    rec_bytes(&key));
		need(seal_value_open(&p, rk, &ad, buf_bytes(&v)) == 0);
		seed((uint8_t)(F_PLAIN + k), buf_bytes(&p));
		seed((uint8_t)(F_PLAIN + k), bytes_of(plain, sizeof(plain)));
		buf_free(&v);
		buf_free(&p);
	}
}

static void
seed_files(void)
{
	struct anchor a = { .n = 3, .nepochs = 2 };
	struct keyfile k = { .current = 1, .ngens = 2 };
	uint8_t both[SLOT_FILE_BYTES];

	for (uint32_t i = 0; i < 2; i++) {
		a.epoch[i].epoch = k.gen[i].gen = i + 1;
		a.epoch[i].gen = 1;
		k.gen[i].ct_n = 384;
	}
	fz_fill(file, bytes_of(NULL, 0));
	need(anchor_create(file, &a, sk) == 0);
	need(pread(file, both, sizeof(both), 0) == sizeof(both));
	seed(F_ANCHOR, bytes_of(both, SLOT_BYTES));
	seed(F_ANCHOR_RAW, bytes_of(both, sizeof(both)));
	fz_fill(file, bytes_of(NULL, 0));
	need(keyfile_create(file, &k) == 0);
	need(pread(file, both, sizeof(both), 0) == sizeof(both));
	seed(F_KEYFILE, bytes_of(both, SLOT_BYTES));
	seed(F_KEYFILE_RAW, bytes_of(both, sizeof(both)));
}

static void
fuzz_seeds(void)
{
	struct entry e = { .kind = 1, .model = "m", .text = bytes_str("text") };
	struct bytes k[2] = { bytes_str("k1"), bytes_str("k2") };
	struct kv_op op[2] = {
		{ 0, 1, 0, k[0], bytes_str("12345678") }, { 1, 2, 4, k[1], k[0] }
	};
	struct kv_range range = { k[0], k[1], true, 10, 8000 };
	uint8_t zero[REC_HASH] = { 0 };
	struct buf b[4], plain = BUF_INIT(4096);

	seed_records();
	seed_files();
	need(entry_seal(&bundle, dk, &at, 9, zero, &e, seed_chunk, NULL) == 0);
	buf_put(&plain, "\1\1\0", 3);
	buf_zero(&plain, 16);
	buf_v16(&plain, bytes_str("model"));
	buf_zero(&plain, 32);
	buf_u32(&plain, 5);
	buf_zero(&plain, 32);
	buf_str(&plain, "texts");
	seed(F_MESSAGE, buf_bytes(&plain));
	buf_free(&plain);
	for (int i = 0; i < 4; i++)
		buf_init(&b[i], KV_PART_MAX);
	kv_enc_ops(&b[0], op, 2);
	kv_enc_keys(&b[1], k, 2);
	kv_enc_range(&b[2], &range);
	kv_enc_row(&b[3], k[0], bytes_str("12345678"));
	kv_enc_row(&b[3], k[1], bytes_of(NULL, 0));
	for (int i = 0; i < 4; i++) {
		seed((uint8_t)(F_CODEC + i), buf_bytes(&b[i]));
		buf_free(&b[i]);
	}
	buf_init(&b[0], SEAL_VALUE_MAX);
	need(seal_bundle(&b[0], sk, 1, 1, &bundle) == 0);
	seed(F_BUNDLE, buf_bytes(&b[0]));
	buf_reset(&b[0]);
	struct rec_key dkey = rec_key_data(at.uid, at.conv);

	need(seal_data_key(&b[0], sk, 1, rec_bytes(&dkey), 1, dk) == 0);
	seed(F_DATA_KEY, buf_bytes(&b[0]));
	buf_free(&b[0]);
}

static void
sealed_keys(uint8_t what, struct bytes in)
{
	struct rec_key key = rec_key_data(at.uid, at.conv);
	struct seal_bundle b;
	uint8_t k[SEAL_KEYLEN];
	uint64_t ver;
	uint32_t epoch;

	if (what == F_BUNDLE)
		(void)seal_bundle_open(&b, &ver, sk, 1, in);
	else if (seal_data_key_epoch(in, &epoch) == 0)
		(void)seal_data_key_open(k, &ver, sk, epoch, rec_bytes(&key),
		    in);
	(void)seal_version(in);
}

static void
fuzz_one(struct bytes input)
{
	struct rd in = rd_of(input);
	uint8_t what = rd_u8(&in) % F_ALL;
	struct bytes body = { in.p, in.n };
	struct buf value = BUF_INIT(SEAL_VALUE_MAX);

	if (what < F_VALUE) {
		if (seal_plain(what, body, &value) == 0)
			record(what, buf_bytes(&value));
	} else if (what < F_MESSAGE)
		record(what - F_VALUE, body);
	else if (what == F_MESSAGE)
		message(body);
	else if (what == F_RAW_MESSAGE)
		raw_message(body);
	else if (what <= F_KEYFILE_RAW) {
		fill_slots(body, what == F_ANCHOR || what == F_KEYFILE);
		if (what <= F_ANCHOR_RAW)
			anchor();
		else
			keyfile();
	} else if (what < F_KEYS)
		codec(body, what - F_CODEC);
	else if (what == F_KEYS)
		keys(body);
	else
		sealed_keys(what, body);
	buf_free(&value);
}
