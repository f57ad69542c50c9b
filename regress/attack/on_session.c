#include "attack.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "appconn.h"

/* A session of alice, its greeting read. */
struct sess {
	struct play		 p;
	struct appconn		*ac;	/* makes what a client sends */
	struct record_dir	 rx;
};

/* One record, of any content, under the client's key. */
struct raw {
	uint8_t		key[32], iv[12];
	uint8_t		epoch;
	uint64_t	seq;
};

/* The next record from the server: its type, or -1 at the end. */
static int
next_record(struct sess *s)
{
	enum record_type type;
	struct bytes content;
	size_t total;
	ssize_t n = get(s->p.fd, s->p.rec, RECORD_HDR);

	if (n == 0)
		return -1;
	if (n != RECORD_HDR ||
	    record_frame(bytes_of(s->p.rec, RECORD_HDR), &total) == -1)
		return -2;
	n = get(s->p.fd, s->p.rec + RECORD_HDR, total - RECORD_HDR);
	if (n != (ssize_t)(total - RECORD_HDR) ||
	    record_open(&s->rx, memcpy(s->p.open, s->p.rec, total), total,
	    &type, &content) == -1)
		return -2;
	s->p.rec_n = total;
	return (int)type;
}

static void
sess_begin(struct sess *s)
{
	memset(s, 0, sizeof(*s));
	if (!play_login(&s->p, &world.alice))
		fatalx("alice is not let in");
	s->ac = appconn_new(END_A, s->p.session.suite, s->p.session.c_ap,
	    s->p.session.s_ap, s->p.session.msgmac);
	record_dir_init(&s->rx, s->p.session.s_ap, RECORD_EPOCH_AP);
	if (next_record(s) != RECORD_APP)
		fatalx("no s_hello");
}

static void
sess_end(struct sess *s)
{
	appconn_free(s->ac);
	record_dir_free(&s->rx);
	play_end(&s->p);
}

/* The record of one more c_ping. */
static void
ping(struct sess *s, struct buf *out)
{
	static uint32_t req;
	struct m_c_ping m = { .req = ++req };
	struct bytes b;

	if (appconn_send(s->ac, MSG_c_ping, &m) == -1)
		fatalx("a ping");
	b = appconn_output(s->ac);
	buf_init(out, RECORD_MAX);
	buf_put(out, b.p, b.n);
	appconn_written(s->ac, b.n);
}

/* How many pongs come before the server ends the session; -1: it does not. */
static int
pongs(struct sess *s)
{
	int type, n = 0;

	while ((type = next_record(s)) >= 0)
		n += type == RECORD_APP;
	return type == -1 ? n : -1;
}

/* At most so many are answered and then it is over. */
static void
ends_after(struct sess *s, int want, const char *what)
{
	int n = pongs(s);

	tried(n >= 0 && n <= want, "%s: %d answers, and then the end, not %d",
	    what, n, want);
	sess_end(s);
}

static void
raw_begin(struct raw *r, const uint8_t secret[HASH_LEN], uint8_t epoch)
{
	kdf_xl(r->key, sizeof(r->key), secret, "key", bytes_of(NULL, 0));
	kdf_xl(r->iv, sizeof(r->iv), secret, "iv", bytes_of(NULL, 0));
	r->epoch = epoch;
	r->seq = 0;
}

/* Seal any inner plaintext. */
static void
raw_seal(struct raw *r, struct bytes inner, struct buf *out)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t nonce[12], number[8], hdr[RECORD_HDR], *p;
	int n;

	put_be64(number, r->seq++);
	memcpy(nonce, r->iv, sizeof(nonce));
	for (int i = 0; i < 8; i++)
		nonce[4 + i] ^= number[i];
	hdr[0] = 0x17;
	hdr[1] = r->epoch;
	put_be16(hdr + 2, (uint16_t)(inner.n + RECORD_TAG));
	buf_put(out, hdr, sizeof(hdr));
	p = buf_grow(out, inner.n + RECORD_TAG);
	if (p == NULL || ctx == NULL ||
	    EVP_EncryptInit_ex2(ctx, EVP_aes_256_gcm(), r->key, nonce,
	    NULL) != 1 ||
	    EVP_EncryptUpdate(ctx, NULL, &n, hdr, sizeof(hdr)) != 1 ||
	    EVP_EncryptUpdate(ctx, p, &n, inner.p, (int)inner.n) != 1 ||
	    EVP_EncryptFinal_ex(ctx, p + n, &n) != 1 ||
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, RECORD_TAG,
	    p + inner.n) != 1)
		crypto_fatalx("a record");
	EVP_CIPHER_CTX_free(ctx);
}

/* ---- 25: records that come otherwise than they were sent ------------------ */

enum reorder { AS_SENT, DROPPED, REPLAYED, REORDERED, MIRRORED, OTHERS, TWICE };

static void
reordered(enum reorder how, int want, const char *what)
{
	struct sess s, t;
	struct buf a, b, c;

	sess_begin(&s);
	ping(&s, &a);
	ping(&s, &b);
	switch (how) {
	case AS_SENT:
		put(s.p.fd, buf_bytes(&a));
		put(s.p.fd, buf_bytes(&b));
		if (appconn_close(s.ac) == -1)
			fatalx("CLOSE");
		put(s.p.fd, appconn_output(s.ac));
		break;
	case DROPPED:
		put(s.p.fd, buf_bytes(&b));
		break;
	case REPLAYED:
		put(s.p.fd, buf_bytes(&a));
		put(s.p.fd, buf_bytes(&a));
		break;
	case REORDERED:
		put(s.p.fd, buf_bytes(&b));
		put(s.p.fd, buf_bytes(&a));
		break;
	case MIRRORED:		/* s_hello */
		put(s.p.fd, bytes_of(s.p.rec, s.p.rec_n));
		break;
	case OTHERS:
		sess_begin(&t);
		ping(&t, &c);
		put(s.p.fd, buf_bytes(&c));
		buf_free(&c);
		sess_end(&t);
		break;
	case TWICE:		/* an old one, later */
		put(s.p.fd, buf_bytes(&a));
		put(s.p.fd, buf_bytes(&b));
		put(s.p.fd, buf_bytes(&a));
		break;
	}
	if (how == AS_SENT) {
		want = pongs(&s);
		tried(want == 2, "%s: %d answers", what, want);
	}
	ends_after(&s, want, what);
	buf_free(&a);
	buf_free(&b);
}

void
attack_records(void)
{
	struct buf a;
	struct sess s;

	reordered(AS_SENT, 2, "as it was sent");
	reordered(DROPPED, 0, "dropped");
	reordered(REPLAYED, 1, "replayed");
	reordered(REORDERED, 0, "reordered");
	reordered(MIRRORED, 0, "from the other direction");
	reordered(OTHERS, 0, "from another session");
	reordered(TWICE, 2, "replayed later");
	for (int bit = 0; bit < 8 * 24; bit += 5) {
		sess_begin(&s);
		ping(&s, &a);
		a.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
		put(s.p.fd, buf_bytes(&a));
		/* A length that grew would be waited for. */
		a.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
		for (int i = 0; i < 700; i++)
			put(s.p.fd, buf_bytes(&a));
		ends_after(&s, 0, "a bit was flipped");
		buf_free(&a);
	}
}

/* ---- 26, 27: rekeying ------------------------------------------------------ */

/* Fresh keys that the server did not ask for. */
static void
fresh_unasked(void)
{
	static const uint8_t change[] = { RECORD_FRESH, 0, 0 };
	const struct m_c_fresh m = { .share = { 9 } };
	struct buf out = BUF_INIT(RECORD_MAX);
	struct bytes b;
	struct raw r;
	struct sess s;

	sess_begin(&s);
	raw_begin(&r, s.p.session.c_ap, RECORD_EPOCH_AP);
	raw_seal(&r, bytes_of(change, sizeof(change)), &out);
	put(s.p.fd, buf_bytes(&out));
	ends_after(&s, 0, "a fresh key that was not agreed");
	buf_free(&out);

	sess_begin(&s);
	if (appconn_send(s.ac, MSG_c_fresh, &m) == -1)
		fatalx("c_fresh cannot be sent");
	b = appconn_output(s.ac);
	put(s.p.fd, b);
	ends_after(&s, 0, "an answer to no offer");
}

/* A rekey before every message, to the last epoch and beyond. */
void
attack_rekey(void)
{
	struct buf a;
	struct sess s;
	int type = 0;

	sess_begin(&s);
	appconn_limits(s.ac, 1, UINT64_MAX, UINT64_MAX);
	for (int epoch = 1; epoch < RECORD_EPOCH_LAST; epoch++) {
		ping(&s, &a);
		put(s.p.fd, buf_bytes(&a));
		while ((type = next_record(&s)) == RECORD_REKEY)
			if (record_rekey(&s.rx) == -1)
				fatalx("the server's keys are used up");
		tried(type == RECORD_APP, "a ping of epoch %d or so", epoch);
		buf_free(&a);
	}
	sess_end(&s);
	fresh_unasked();
}

enum epoch { EPOCH_OLD, EPOCH_AHEAD, EPOCH_HANDSHAKE, EPOCH_RENUMBERED,
    EPOCH_CONTROL };

static void
epoch_try(enum epoch how, int want, const char *what)
{
	static const uint8_t rekey[] = { RECORD_REKEY, 0, 0 };
	struct buf out = BUF_INIT(RECORD_MAX), inner = BUF_INIT(RECORD_MAX);
	uint8_t next[HASH_LEN];
	struct raw old, new;
	struct sess s;
	struct buf a;

	sess_begin(&s);
	/* The plaintext of a ping, as the client's code makes it. */
	ping(&s, &a);
	{
		struct record_dir own;
		enum record_type type;
		struct bytes content;

		record_dir_init(&own, s.p.session.c_ap, RECORD_EPOCH_AP);
		if (record_open(&own, a.p, a.n, &type, &content) == -1)
			fatalx("the ping does not open");
		buf_u8(&inner, (uint8_t)type);
		buf_u16(&inner, (uint16_t)content.n);
		buf_put(&inner, content.p, content.n);
		record_dir_free(&own);
	}
	kdf_xl(next, sizeof(next), s.p.session.c_ap, "upd", bytes_of(NULL, 0));
	raw_begin(&old, s.p.session.c_ap, RECORD_EPOCH_AP);
	raw_begin(&new, next, RECORD_EPOCH_AP + 1);
	if (how == EPOCH_HANDSHAKE) {
		raw_begin(&old, s.p.hs.c_hs, RECORD_EPOCH_HS);
		old.seq = 2;
	} else if (how != EPOCH_AHEAD)
		raw_seal(&old, bytes_of(rekey, sizeof(rekey)), &out);
	if (how == EPOCH_RENUMBERED)	/* the new key, the old epoch */
		new.epoch--;
	raw_seal(how == EPOCH_OLD || how == EPOCH_HANDSHAKE ? &old : &new,
	    buf_bytes(&inner), &out);
	if (how == EPOCH_CONTROL) {
		put(s.p.fd, buf_bytes(&out));
		tried(next_record(&s) == RECORD_APP, "%s", what);
		sess_end(&s);
	} else {
		put(s.p.fd, buf_bytes(&out));
		ends_after(&s, want, what);
	}
	buf_free(&a);
	buf_free(&out);
	buf_free(&inner);
}

void
attack_old_epoch(void)
{
	epoch_try(EPOCH_CONTROL, 0, "the right epoch is answered");
	epoch_try(EPOCH_OLD, 0, "the old key after a rekey");
	epoch_try(EPOCH_AHEAD, 0, "the next key without a rekey");
	epoch_try(EPOCH_HANDSHAKE, 0, "the handshake's key");
	epoch_try(EPOCH_RENUMBERED, 0, "the new key under the old epoch");
}

/* ---- 28: well sealed, and wrong inside ------------------------------------- */

static void
inside(const uint8_t *inner, size_t n, const char *what)
{
	struct buf out = BUF_INIT(RECORD_MAX);
	struct raw r;
	struct sess s;

	sess_begin(&s);
	raw_begin(&r, s.p.session.c_ap, RECORD_EPOCH_AP);
	raw_seal(&r, bytes_of(inner, n), &out);
	put(s.p.fd, buf_bytes(&out));
	ends_after(&s, 0, what);
	buf_free(&out);
}

/* Records without content, as many as the receiver may not take. */
static void
flood(uint8_t type, size_t n, const char *what)
{
	uint8_t inner[3] = { type, 0, 0 };
	struct buf out = BUF_INIT(64 << 20);
	struct raw r;
	struct sess s;

	sess_begin(&s);
	raw_begin(&r, s.p.session.c_ap, RECORD_EPOCH_AP);
	for (size_t i = 0; i < n; i++)
		raw_seal(&r, bytes_of(inner, sizeof(inner)), &out);
	put(s.p.fd, buf_bytes(&out));
	ends_after(&s, 0, what);
	buf_free(&out);
}

void
attack_inside(void)
{
	static const uint8_t types[] = { 0, 1, 19, 21, 22, 28, 127, 255 };
	uint8_t inner[64];

	for (size_t i = 0; i < sizeof(types); i++) {
		memset(inner, 0, sizeof(inner));
		inner[0] = types[i];
		inner[2] = 4;
		inside(inner, 7, "a type that there is not, or not here");
	}
	for (size_t at = 3; at < sizeof(inner); at += 6) {
		memset(inner, 0, sizeof(inner));
		inner[0] = RECORD_DUMMY;
		inner[at] = 1;
		inside(inner, sizeof(inner), "padding that is not zero");
	}
	memset(inner, 0, sizeof(inner));
	inner[0] = RECORD_APP;
	inner[2] = 8;
	inside(inner, 10, "a content longer than its record");
	inner[1] = 0xff;
	inside(inner, 10, "a content of 65288 bytes in 7");
	inner[1] = inner[2] = 0;
	inside(inner, 3, "a message of no bytes");
	inner[0] = RECORD_APP_MORE;
	inside(inner, 3, "a fragment of no bytes");
	inner[0] = RECORD_STREAM;
	inside(inner, 3, "a stream of no bytes");
	inner[0] = RECORD_DUMMY;
	inner[2] = 1;
	inside(inner, 4, "a dummy with content");
	inner[0] = RECORD_REKEY;
	inside(inner, 4, "a rekey with content");
	/* Messages that are none, in a record and a chain that are right. */
	flood(RECORD_DUMMY, 65537 + 8, "65545 dummies");
	flood(RECORD_APP, 4, "messages of no bytes");
}
