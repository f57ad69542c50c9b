/*
 * Records and application messages, as they come from a peer that has the keys:
 * any inner plaintext under the right key, then whole connections of records of
 * every type; and raw bytes.
 */
#include "fuzz.h"

#include "appconn.h"
#include "hs.h"
#include "msgmac.h"
#include "record.h"

static const uint8_t c_ap[HASH_LEN] = "client to server";
static const uint8_t s_ap[HASH_LEN] = "server to client";
static const uint8_t mm[HASH_LEN] = "message MAC";

static void
fuzz_setup(void)
{
}

static void
fuzz_seeds(void)
{
	/* mode 2: a script of each step; see step(). */
	static const uint8_t script[][10] = {
		{ 2, 0, 200, 0, 0, 1, 7 }, { 2, 1, 3, 0, 9, 2, 4 },
		{ 2, 1, 200, 3, 4, 0, 0, 1, 5 }, { 2, 0, 9, 4, 0, 4, 1, 9, 5 },
		{ 2, 1, 99, 2, 23, 40, 7, 1, 1 }, { 2, 1, 7, 1, 3, 6, 40, 8 },
	};
	struct buf rec = BUF_INIT(RECORD_MAX);
	struct record_dir d;

	for (size_t i = 0; i < sizeof(script) / sizeof(script[0]); i++)
		fuzz_seed(script[i], sizeof(script[i]), bytes_str("0123456789"));
	record_dir_init(&d, c_ap, RECORD_EPOCH_AP);
	need(record_seal(&d, RECORD_APP, bytes_str("content"), 64, &rec) == 0);
	fuzz_seed("\0", 1, buf_bytes(&rec));
	/* mode 2: a fresh key, which a server was asked for, a client is offered. */
	for (uint8_t end = 2; end < 4; end++) {
		struct buf b = BUF_INIT(64);

		buf_put(&b, (uint8_t[]){ 2, end, 200, 0, 99 }, 5);
		fz_script(&b, end == 3 ? MSG_c_fresh : MSG_s_fresh, "9 :");
		buf_put(&b, (uint8_t[]){ 2, RECORD_FRESH, 0, 0, 4 }, 5);
		fuzz_seed("", 0, buf_bytes(&b));
		buf_free(&b);
	}
	fuzz_seed("\1", 1, bytes_of("\x17\0\x3" "abc\0\0\0", 9));
	fuzz_seed("\1", 1, bytes_of("\x19\0\0\0", 4));
	record_dir_free(&d);
	buf_free(&rec);
}

/* A record with any inner plaintext, under the keys of d. */
static void
seal_any(struct record_dir *d, struct bytes inner, struct buf *out)
{
	uint8_t nonce[12], seq[8], *rec;
	int len, n = (int)inner.n;

	if (inner.n > RECORD_INNER_MAX ||
	    (rec = buf_grow(out, RECORD_WIRE(inner.n))) == NULL)
		return;
	rec[0] = 0x17;
	rec[1] = d->epoch;
	put_be16(rec + 2, (uint16_t)(inner.n + RECORD_TAG));
	memcpy(nonce, d->iv, sizeof(nonce));
	put_be64(seq, d->seq++);
	for (int i = 0; i < 8; i++)
		nonce[4 + i] ^= seq[i];
	if (n > 0)
		memcpy(rec + RECORD_HDR, inner.p, inner.n);
	need(EVP_EncryptInit_ex2(d->ctx, NULL, NULL, nonce, NULL) == 1 &&
	    EVP_EncryptUpdate(d->ctx, NULL, &len, rec, RECORD_HDR) == 1 &&
	    (n == 0 || EVP_EncryptUpdate(d->ctx, rec + RECORD_HDR, &len,
	    rec + RECORD_HDR, n) == 1) &&
	    EVP_EncryptFinal_ex(d->ctx, rec + RECORD_HDR + n, &len) == 1 &&
	    EVP_CIPHER_CTX_ctrl(d->ctx, EVP_CTRL_AEAD_GET_TAG, RECORD_TAG,
	    rec + RECORD_HDR + n) == 1);
}

/* What opens must be a record that record_seal() could have made. */
static void
open_one(uint8_t *rec, size_t n, bool sealed)
{
	struct buf again = BUF_INIT(RECORD_MAX);
	struct record_dir d, s;
	enum record_type type;
	struct bytes content;
	uint8_t *copy = malloc(n + 1);

	memcpy(copy, rec, n);
	record_dir_init(&d, c_ap, RECORD_EPOCH_AP);
	if (record_open(&d, rec, n, &type, &content) == 0) {
		need(sealed || n > 40);
		need(content.n <= RECORD_CONTENT_MAX);
		record_dir_init(&s, c_ap, RECORD_EPOCH_AP);
		need(record_seal(&s, type, content,
		    n - RECORD_HDR - RECORD_TAG, &again) == 0);
		need(again.n == n && memcmp(again.p, copy, n) == 0);
		record_dir_free(&s);
	} else
		need(record_open(&d, copy, n, &type, &content) == -1);
	record_dir_free(&d);
	buf_free(&again);
	free(copy);
}

struct peer {
	struct record_dir tx;
	struct msgmac	 mac;
	struct buf	 out;
	enum chan_end	 end;		/* the end under test */
	bool		 sane;		/* nothing wrong was sent yet */
	bool		 closed;
	size_t		 messages;	/* that must arrive */
	size_t		 fresh;		/* that may be taken inside */
};

/* A right message, in fragments of any size or as part of a stream. */
static void
say(struct rd *in, struct peer *p, bool streamed)
{
	struct buf b = BUF_INIT(APPCONN_MAX), framed = BUF_INIT(4 + APPCONN_MAX);
	enum record_type last = streamed ? RECORD_STREAM : RECORD_APP;
	enum record_type more = streamed ? RECORD_STREAM : RECORD_APP_MORE;
	size_t cut = 1 + fz_num(in) % APPCONN_FRAGMENT, at = 0, n;
	struct msg m;

	(void)fz_msg(in, CH_APP, p->end == END_B ? AB : BA, &m);
	if (msg_encode(m.type, &m.u, &b) == -1)
		goto out;
	if ((msg_desc(m.type)->states & APP_OPEN) == 0)
		p->sane = false;	/* it is for another kind of session */
	/* Unasked, or of a suite that this is not, or good. */
	if (m.type == MSG_c_fresh || m.type == MSG_s_fresh) {
		p->sane = false;
		p->fresh++;
	}
	msgmac_next(&p->mac, buf_bytes(&b));
	buf_put(&b, p->mac.mac, HASH_LEN);
	if (b.n / cut > 1000)
		cut = APPCONN_FRAGMENT;
	if (streamed)
		buf_v32(&framed, buf_bytes(&b));
	else
		buf_put(&framed, b.p, b.n);
	for (; at < framed.n; at += n) {
		n = framed.n - at < cut ? framed.n - at : cut;
		if (record_seal(&p->tx, at + n == framed.n ? last : more,
		    bytes_of(framed.p + at, n), 0, &p->out) == -1)
			p->sane = false;
	}
	p->messages += p->sane && !p->closed;
out:
	buf_free(&b);
	buf_free(&framed);
}

static void
say_close(struct peer *p)
{
	struct buf b = BUF_INIT(64);

	buf_u64(&b, p->mac.i);
	buf_put(&b, p->mac.mac, HASH_LEN);
	if (record_seal(&p->tx, RECORD_CLOSE, buf_bytes(&b), 0, &p->out) == -1)
		p->sane = false;
	p->closed = true;
	buf_free(&b);
}

/* One step of what the peer sends. */
static void
step(struct rd *in, struct peer *p)
{
	struct bytes none = { NULL, 0 };
	uint8_t what = rd_u8(in), type;

	fz_arena_n = 0;
	switch (what % 7) {
	case 0:
	case 1:
		say(in, p, what % 7 == 1);
		break;
	case 2:
		p->sane = false;
		type = rd_u8(in);
		(void)record_seal(&p->tx, type, fz_string(in,
		    RECORD_CONTENT_MAX, false), 0, &p->out);
		break;
	case 3:
		if (record_seal(&p->tx, RECORD_REKEY, none, 0, &p->out) == -1 ||
		    record_rekey(&p->tx) == -1)
			p->sane = false;
		break;
	case 4:
		if (record_seal(&p->tx, RECORD_DUMMY, none, rd_u8(in) + 3u,
		    &p->out) == -1)
			p->sane = false;
		break;
	case 5:
		say_close(p);
		break;
	case 6:
		p->sane = false;
		if (p->tx.dead)
			break;
		if (rd_u8(in) & 1)
			seal_any(&p->tx, fz_string(in, 600, false), &p->out);
		else {
			struct bytes raw = fz_string(in, 600, false);

			buf_put(&p->out, raw.p, raw.n);
		}
		break;
	}
}

/* Give the end under test everything, at most `piece' bytes at once. */
static void
deliver(struct appconn *c, const struct peer *p, size_t piece)
{
	enum appconn_result r = APPCONN_AGAIN;
	size_t at = 0, room, got = 0;
	struct msg m;
	uint8_t *to;

	while (at < p->out.n && r == APPCONN_AGAIN) {
		to = appconn_room(c, &room);
		if (room > piece)
			room = piece;
		if (room > p->out.n - at)
			room = p->out.n - at;
		memcpy(to, p->out.p + at, room);
		at += room;
		appconn_arrived(c, room);
		while ((r = appconn_next(c, &m)) == APPCONN_MESSAGE) {
			need(m.fd == -1 && msg_desc(m.type)->kind == CH_APP);
			got++;
		}
	}
	/* One that is not permitted is counted, as its MAC is right. */
	need(got <= appconn_count_in(c) && appconn_count_in(c) - got <=
	    p->fresh + (r == APPCONN_BROKEN));
	need(got >= p->messages);
	need((r == APPCONN_BROKEN) == (appconn_why(c) != NULL));
	if (p->sane) {
		need(r == (p->closed ? APPCONN_CLOSED : APPCONN_AGAIN));
		need(got == p->messages);
		need((appconn_eof(c) == NULL) == p->closed);
	}
	need(appconn_next(c, &m) == (r == APPCONN_AGAIN && p->sane ?
	    APPCONN_BROKEN : r));
}

static void
connection(struct rd *in)
{
	struct peer p = { .sane = true };
	struct appconn *c;
	size_t piece;

	uint8_t how = rd_u8(in);

	p.end = how & 1 ? END_B : END_A;
	piece = 1 + (size_t)rd_u8(in) * 300;
	buf_init(&p.out, 8u << 20);
	record_dir_init(&p.tx, p.end == END_B ? c_ap : s_ap, RECORD_EPOCH_AP);
	msgmac_init(&p.mac, mm, p.end == END_B ? MSGMAC_TO_SERVER :
	    MSGMAC_TO_CLIENT);
	c = appconn_new(p.end, HS_SUITE_X25519, c_ap, s_ap, mm);
	if ((how & 3) == 3)
		need(appconn_fresh(c) == 0);
	for (int i = 0; i < 64 && in->n > 0; i++)
		step(in, &p);
	deliver(c, &p, piece);
	appconn_free(c);
	record_dir_free(&p.tx);
	msgmac_free(&p.mac);
	buf_free(&p.out);
}

static void
fuzz_one(struct bytes input)
{
	struct buf b = BUF_INIT(2 * RECORD_MAX);
	struct rd in = rd_of(input);
	uint8_t mode = rd_u8(&in) % 3;
	struct record_dir d;
	size_t total;

	if (mode == 0) {
		buf_put(&b, in.p, in.n);
		if (b.n > 0 && record_frame(buf_bytes(&b), &total) == 1)
			need(total <= b.n && total <= RECORD_MAX);
		if (b.n > 0)
			open_one(b.p, b.n, false);
	} else if (mode == 1) {
		record_dir_init(&d, c_ap, RECORD_EPOCH_AP);
		seal_any(&d, bytes_of(in.p, in.n), &b);
		if (b.n > 0)
			open_one(b.p, b.n, true);
		record_dir_free(&d);
	} else
		connection(&in);
	buf_free(&b);
}
