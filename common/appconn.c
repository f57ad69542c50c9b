#include "appconn.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "fresh.h"
#include "log.h"
#include "loop.h"
#include "msgmac.h"
#include "record.h"

#define IN_BYTES	(2 * RECORD_MAX)
#define KEEP_BYTES	65536	/* a larger buffer is given back when empty */
#define PAD_UNIT	512
#define REKEY_MS	(60 * 60 * 1000)
#define CLOSE_LEN	(8 + HASH_LEN)
#define LEN_BYTES	4	/* before each message of a stream */
#define SHAPED_INNER	(RECORD_INNER_HDR + APPCONN_SHAPED_CONTENT)

_Static_assert(RECORD_WIRE(SHAPED_INNER) == APPCONN_SHAPED, "shaped records");

/* What is taken from its start, without moving the rest each time. */
struct fifo {
	struct buf	 b;
	size_t		 gone;
};

struct appconn {
	unsigned	 state;		/* APP_* of this end */
	uint8_t		 suite;
	enum chan_end		 end;
	const char		*why;
	bool			 closed_in;	/* the peer's CLOSE came */
	bool			 closed_out;

	struct record_dir	 rx;
	struct msgmac		 mac_in;
	uint8_t			*in;
	size_t			 in_start;
	size_t			 in_end;
	size_t			 plain;		/* bytes before in_start to wipe */
	struct buf		 joined;	/* the fragments so far */
	unsigned		 fragments;
	unsigned		 dummies;
	unsigned		 stream_records; /* since its last message */
	struct buf		 stream;	/* what came of a stream */
	size_t			 stream_used;	/* of it: the last message */

	struct record_dir	 tx;
	struct msgmac		 mac_out;
	uint64_t		 tx_since_ms;
	uint64_t		 rekey_ms;
	struct buf		 enc;
	bool			 shaped;
	struct fifo		 waiting;	/* the stream, while shaped */
	uint64_t		 streamed;	/* bytes ever put into it */
	struct fifo		 out;

	struct fresh		 fresh;
	bool			 fresh_rx, fresh_tx;	/* agreed, not in use */
	unsigned		 freshened;
};

struct appconn *
appconn_new(enum chan_end end, uint8_t suite, const uint8_t c_ap[HASH_LEN],
    const uint8_t s_ap[HASH_LEN], const uint8_t msgmac[HASH_LEN])
{
	bool client = end == END_A;
	struct appconn *c;

	if ((c = calloc(1, sizeof(*c))) == NULL ||
	    (c->in = malloc(IN_BYTES)) == NULL)
		fatal("malloc");
	c->end = end;
	c->suite = suite;
	c->state = APP_OPEN;
	record_dir_init(&c->rx, client ? s_ap : c_ap, RECORD_EPOCH_AP);
	record_dir_init(&c->tx, client ? c_ap : s_ap, RECORD_EPOCH_AP);
	msgmac_init(&c->mac_in, msgmac,
	    client ? MSGMAC_TO_CLIENT : MSGMAC_TO_SERVER);
	msgmac_init(&c->mac_out, msgmac,
	    client ? MSGMAC_TO_SERVER : MSGMAC_TO_CLIENT);
	c->tx_since_ms = mono_ms();
	c->rekey_ms = REKEY_MS;
	buf_init(&c->joined, APPCONN_MAX);
	buf_init(&c->enc, APPCONN_MAX);
	buf_init(&c->stream, LEN_BYTES + APPCONN_MAX + RECORD_CONTENT_MAX);
	buf_init(&c->waiting.b, APPCONN_OUT_MAX);
	buf_init(&c->out.b, APPCONN_OUT_MAX);
	return c;
}

void
appconn_set_state(struct appconn *c, unsigned state)
{
	c->state = state;
}

void
appconn_free(struct appconn *c)
{
	if (c == NULL)
		return;
	record_dir_free(&c->rx);
	record_dir_free(&c->tx);
	msgmac_free(&c->mac_in);
	msgmac_free(&c->mac_out);
	fresh_end(&c->fresh);
	OPENSSL_cleanse(c->in, IN_BYTES);
	free(c->in);
	buf_free(&c->joined);
	buf_free(&c->enc);
	buf_free(&c->stream);
	buf_free(&c->waiting.b);
	buf_free(&c->out.b);
	free(c);
}

void
appconn_limits(struct appconn *c, uint64_t records, uint64_t nbytes,
    uint64_t ms)
{
	c->rx.max_records = c->tx.max_records = records;
	c->rx.max_bytes = c->tx.max_bytes = nbytes;
	c->rekey_ms = ms;
}

void
appconn_fix(struct appconn *c, const struct fresh_fixed *f)
{
	c->fresh.fixed = f;
}

/* Empty b; what a rare large message took is given back. */
static void
empty(struct buf *b)
{
	if (b->cap > KEEP_BYTES)
		buf_free(b);
	else
		buf_reset(b);
}

static struct bytes
fifo_bytes(const struct fifo *f)
{
	if (f->b.n == f->gone)
		return bytes_of(NULL, 0);
	return bytes_of(f->b.p + f->gone, f->b.n - f->gone);
}

static void
fifo_drop(struct fifo *f, size_t n)
{
	f->gone += n;
	if (f->gone == f->b.n) {
		f->gone = 0;
		empty(&f->b);
	} else if (f->gone > f->b.n / 2) {
		buf_consume(&f->b, f->gone);
		f->gone = 0;
	}
}

/* Wipe the record that was delivered last; its message is no longer valid. */
static void
forget(struct appconn *c)
{
	OPENSSL_cleanse(c->in + c->in_start - c->plain, c->plain);
	c->plain = 0;
	buf_consume(&c->stream, c->stream_used);
	c->stream_used = 0;
	if (c->stream.n == 0)
		empty(&c->stream);
	if (c->fragments == 0 && c->joined.n > 0)
		empty(&c->joined);
}

uint8_t *
appconn_room(struct appconn *c, size_t *n)
{
	forget(c);
	if (c->in_start > 0) {
		memmove(c->in, c->in + c->in_start, c->in_end - c->in_start);
		c->in_end -= c->in_start;
		c->in_start = 0;
	}
	if (c->closed_in || c->why != NULL)
		c->in_end = 0;		/* nothing is read any more */
	if (c->in_end == IN_BYTES)
		fatalx("appconn_room: records wait");
	*n = IN_BYTES - c->in_end;
	return c->in + c->in_end;
}

void
appconn_arrived(struct appconn *c, size_t n)
{
	if (n > IN_BYTES - c->in_end)
		fatalx("appconn_arrived: %zu bytes", n);
	c->in_end += n;
}

static enum appconn_result
broken(struct appconn *c, const char *why)
{
	if (c->why == NULL)
		c->why = why;
	return APPCONN_BROKEN;
}

static int	use_fresh(struct appconn *);

static enum appconn_result
take_fragment(struct appconn *c, struct bytes content)
{
	if (content.n > APPCONN_FRAGMENT)
		return broken(c, "fragment too long");
	if (c->stream.n > 0)
		return broken(c, "a fragment inside of a message");
	/* One more, the last, must follow. */
	if (++c->fragments >= APPCONN_FRAGMENTS_MAX)
		return broken(c, "too many fragments");
	buf_put(&c->joined, content.p, content.n);
	if (c->joined.err)
		return broken(c, "message too long");
	return APPCONN_AGAIN;
}

/* One direction more uses what was agreed. */
static void
fresh_used(struct appconn *c, bool *waits)
{
	*waits = false;
	if (c->fresh_rx || c->fresh_tx)
		return;
	fresh_end(&c->fresh);
	c->freshened++;
}

static struct bytes
fresh_secret(const struct appconn *c)
{
	return bytes_of(c->fresh.ss, c->fresh.ss_n);
}

/* The peer's message about fresh keys: they come with its RECORD_FRESH. */
static enum appconn_result
take_fresh(struct appconn *c, const struct msg *m)
{
	struct m_c_fresh answer;

	if (c->fresh_rx || c->fresh_tx)
		return broken(c, "fresh keys again, before they were used");
	if (c->end == END_A && c->closed_out)
		return APPCONN_AGAIN;	/* it will learn of that */
	if (c->end == END_A ? fresh_answer(&c->fresh, c->suite, &m->u.s_fresh,
	    &answer) != 0 : fresh_accept(&c->fresh, c->suite,
	    &m->u.c_fresh) != 0)
		return broken(c, "fresh keys that are none, or unasked");
	if (c->end == END_A && appconn_send(c, MSG_c_fresh, &answer) != 0)
		return APPCONN_BROKEN;
	c->fresh_rx = true;
	c->fresh_tx = !c->closed_out;
	/* A shaped record will do it in its time. */
	return !c->shaped && use_fresh(c) != 0 ? APPCONN_BROKEN : APPCONN_AGAIN;
}

/* The peer's next record is under a fresh key. */
static enum appconn_result
take_fresh_key(struct appconn *c)
{
	if (!c->fresh_rx)
		return broken(c, "a fresh key that was not agreed");
	if (record_fresh(&c->rx, fresh_secret(c), c->fresh.th) != 0)
		return broken(c, "no epoch is left");
	fresh_used(c, &c->fresh_rx);
	return APPCONN_AGAIN;
}

/* A message with its MAC. */
static enum appconn_result
deliver(struct appconn *c, struct bytes whole, struct msg *m)
{
	enum msg_verdict v;
	struct bytes body;

	if (whole.n < HASH_LEN)
		return broken(c, "message too short");
	body = bytes_of(whole.p, whole.n - HASH_LEN);
	if (msgmac_check(&c->mac_in, body, body.p + body.n) != 0)
		return broken(c, "wrong message MAC");
	if ((v = msg_decode(body, CH_APP, c->end, c->state, m)) != MSG_OK)
		return broken(c, msg_verdict_text(v));
	m->fd = -1;
	c->dummies = 0;
	if (m->type == MSG_s_fresh || m->type == MSG_c_fresh)
		return take_fresh(c, m);
	return APPCONN_MESSAGE;
}

static enum appconn_result
take_message(struct appconn *c, struct bytes whole, struct msg *m)
{
	if (whole.n > APPCONN_FRAGMENT)
		return broken(c, "fragment too long");
	if (c->stream.n > 0)
		return broken(c, "a fragment inside of a message");
	if (c->fragments > 0) {
		buf_put(&c->joined, whole.p, whole.n);
		if (c->joined.err)
			return broken(c, "message too long");
		whole = buf_bytes(&c->joined);
		c->fragments = 0;
	}
	return deliver(c, whole, m);
}

/* The next bytes of a stream; stream_message() finds the messages. */
static enum appconn_result
take_stream(struct appconn *c, struct bytes content)
{
	if (c->fragments > 0)
		return broken(c, "a stream inside of a message");
	if (++c->stream_records > APPCONN_FRAGMENTS_MAX)
		return broken(c, "too many fragments");
	buf_put(&c->stream, content.p, content.n);
	if (c->stream.err)
		return broken(c, "message too long");
	return APPCONN_AGAIN;
}

/*
 * The message at the start of the stream, if all of it came; several when some are
 * not for the caller.
 */
static enum appconn_result
stream_message(struct appconn *c, struct msg *m)
{
	enum appconn_result rv;
	struct rd r;
	uint32_t n;

	do {
		forget(c);
		r = rd_of(buf_bytes(&c->stream));
		if (c->stream.n < LEN_BYTES)
			return APPCONN_AGAIN;
		if ((n = rd_u32(&r)) > APPCONN_MAX)
			return broken(c, "message too long");
		if (n > c->stream.n - LEN_BYTES)
			return APPCONN_AGAIN;
		c->stream_used = LEN_BYTES + n;
		c->stream_records = 0;
		rv = deliver(c, rd_bytes(&r, n), m);
	} while (rv == APPCONN_AGAIN);
	return rv;
}

static enum appconn_result
take_close(struct appconn *c, struct bytes content)
{
	struct rd r = rd_of(content);
	uint64_t i = rd_u64(&r);
	uint8_t mac[HASH_LEN];

	rd_copy(&r, mac, sizeof(mac));
	if (!rd_done(&r) || c->fragments > 0 || c->stream.n > 0 || i != c->mac_in.i ||
	    !bytes_eq_ct(mac, c->mac_in.mac, HASH_LEN))
		return broken(c, "CLOSE does not fit what was received");
	c->closed_in = true;
	record_dir_free(&c->rx);
	return APPCONN_CLOSED;
}

static enum appconn_result
take(struct appconn *c, enum record_type type, struct bytes content,
    struct msg *m)
{
	switch (type) {
	case RECORD_APP:
		return take_message(c, content, m);
	case RECORD_APP_MORE:
		return take_fragment(c, content);
	case RECORD_CLOSE:
		return take_close(c, content);
	case RECORD_REKEY:
		if (record_rekey(&c->rx) != 0)
			return broken(c, "no epoch is left");
		return APPCONN_AGAIN;
	case RECORD_FRESH:
		return take_fresh_key(c);
	case RECORD_STREAM:
		return take_stream(c, content);
	case RECORD_DUMMY:
		/* A server that shapes sends them as long as a model thinks. */
		if (c->end == END_B && ++c->dummies > APPCONN_DUMMIES_MAX)
			return broken(c, "too many dummies");
		return APPCONN_AGAIN;
	case RECORD_HANDSHAKE:
		break;
	}
	return broken(c, "record type not permitted here");
}

enum appconn_result
appconn_next(struct appconn *c, struct msg *m)
{
	enum appconn_result r;
	enum record_type type;
	struct bytes content;
	uint8_t *rec;
	size_t total;
	int whole;

	for (;;) {
		forget(c);
		if (c->why != NULL)
			return APPCONN_BROKEN;
		if (c->closed_in)
			return APPCONN_CLOSED;
		if ((r = stream_message(c, m)) != APPCONN_AGAIN)
			return r;
		rec = c->in + c->in_start;
		whole = record_frame(bytes_of(rec, c->in_end - c->in_start),
		    &total);
		if (whole == -1)
			return broken(c, "not a record");
		if (whole == 0)
			return APPCONN_AGAIN;
		c->in_start += total;
		c->plain = total;
		if (record_open(&c->rx, rec, total, &type, &content) != 0)
			return broken(c, "record not authentic");
		if ((r = take(c, type, content, m)) != APPCONN_AGAIN)
			return r;
	}
}

const char *
appconn_eof(struct appconn *c)
{
	if (c->closed_in)
		return NULL;
	(void)broken(c, "truncated: end of file without CLOSE");
	return c->why;
}

const char *
appconn_why(const struct appconn *c)
{
	return c->why;
}

const uint8_t *
appconn_mac_in(const struct appconn *c)
{
	return c->mac_in.mac;
}

const uint8_t *
appconn_mac_out(const struct appconn *c)
{
	return c->mac_out.mac;
}

uint64_t
appconn_count_in(const struct appconn *c)
{
	return c->mac_in.i;
}

uint64_t
appconn_count_out(const struct appconn *c)
{
	return c->mac_out.i;
}

static bool
rekey_is_due(const struct appconn *c)
{
	return c->fresh_tx || record_need_rekey(&c->tx) ||
	    mono_ms() - c->tx_since_ms >= c->rekey_ms;
}

/* To a fresh key, if one was agreed, else to the next one. */
static int
change_key(struct appconn *c, size_t pad)
{
	if (record_seal(&c->tx, c->fresh_tx ? RECORD_FRESH : RECORD_REKEY,
	    bytes_of(NULL, 0), pad, &c->out.b) != 0)
		return -1;
	if (c->fresh_tx) {
		if (record_fresh(&c->tx, fresh_secret(c), c->fresh.th) != 0)
			return -1;
		fresh_used(c, &c->fresh_tx);
	} else if (record_rekey(&c->tx) != 0)
		return -1;
	c->tx_since_ms = mono_ms();
	return 0;
}

/* One record, after a change of key where one is due. */
static int
seal(struct appconn *c, enum record_type type, struct bytes content, size_t pad)
{
	if (rekey_is_due(c) && change_key(c, 0) != 0)
		return -1;
	return record_seal(&c->tx, type, content, pad, &c->out.b);
}

/* The inner plaintext of a prompt's last record, so that its size tells little. */
static size_t
padded(size_t n, bool first)
{
	size_t pad = PAD_UNIT;

	if (!first)
		return RECORD_INNER_MAX;
	while (pad < RECORD_INNER_HDR + n)
		pad *= 2;
	return pad < RECORD_INNER_MAX ? pad : RECORD_INNER_MAX;
}

static int
send_fragments(struct appconn *c, struct bytes all, bool pad)
{
	bool first = true;

	while (all.n > APPCONN_FRAGMENT) {
		if (seal(c, RECORD_APP_MORE, bytes_of(all.p, APPCONN_FRAGMENT),
		    0) != 0)
			return -1;
		all.p += APPCONN_FRAGMENT;
		all.n -= APPCONN_FRAGMENT;
		first = false;
	}
	return seal(c, RECORD_APP, all, pad ? padded(all.n, first) : 0);
}

static int
to_stream(struct appconn *c, struct bytes all)
{
	struct buf *b = &c->waiting.b;

	buf_v32(b, all);
	c->streamed += LEN_BYTES + all.n;
	return b->err ? -1 : 0;
}

static int
exhausted(struct appconn *c)
{
	(void)broken(c, "the output is full or its keys are used up");
	return -1;
}

/* Send under the fresh key from now on, if one was agreed; 0 or -1. */
static int
use_fresh(struct appconn *c)
{
	return c->fresh_tx && change_key(c, 0) != 0 ? exhausted(c) : 0;
}

int
appconn_send(struct appconn *c, enum msg_type type, const void *body)
{
	const struct msg_desc *d = msg_desc(type);
	int rv;

	if (d->kind != CH_APP || (d->dir == AB) != (c->end == END_A) ||
	    msg_encode(type, body, &c->enc) != 0)
		fatalx("%s cannot be sent", d->name);
	if (c->why != NULL || c->closed_out) {
		empty(&c->enc);
		return -1;
	}
	msgmac_next(&c->mac_out, buf_bytes(&c->enc));
	buf_put(&c->enc, c->mac_out.mac, HASH_LEN);
	if (c->enc.err)
		rv = -1;
	else if (c->shaped)
		rv = to_stream(c, buf_bytes(&c->enc));
	else
		rv = send_fragments(c, buf_bytes(&c->enc),
		    type == MSG_c_prompt || type == MSG_c_chat ||
		    type == MSG_c_options);
	empty(&c->enc);
	return rv == 0 ? 0 : exhausted(c);
}

int
appconn_fresh(struct appconn *c)
{
	struct m_s_fresh m;

	if (c->end != END_B)
		fatalx("appconn_fresh: a client");
	if (c->why != NULL || c->closed_out)
		return -1;
	if (appconn_fresh_waits(c))
		return 0;
	fresh_offer(&c->fresh, c->suite, &m);
	return appconn_send(c, MSG_s_fresh, &m);
}

bool
appconn_fresh_waits(const struct appconn *c)
{
	return c->fresh.state != FRESH_NONE;
}

unsigned
appconn_freshened(const struct appconn *c)
{
	return c->freshened;
}

/* The next bytes of the stream, at most max. */
static struct bytes
stream_next(const struct appconn *c, size_t max)
{
	struct bytes b = fifo_bytes(&c->waiting);

	return bytes_of(b.p, b.n < max ? b.n : max);
}

int
appconn_shape(struct appconn *c, bool on)
{
	struct bytes b;

	if (c->why != NULL || c->closed_out)
		return -1;
	c->shaped = on;
	while (!on && (b = stream_next(c, APPCONN_FRAGMENT)).n > 0) {
		if (seal(c, RECORD_STREAM, b, 0) != 0)
			return exhausted(c);
		fifo_drop(&c->waiting, b.n);
	}
	return on ? 0 : use_fresh(c);
}

int
appconn_shaped_record(struct appconn *c)
{
	struct bytes b = stream_next(c, APPCONN_SHAPED_CONTENT);
	int rv;

	if (c->why != NULL || c->closed_out)
		return -1;
	/* A change of key takes the place of this record: no other size. */
	if (rekey_is_due(c))
		return change_key(c, SHAPED_INNER) == 0 ? 0 : exhausted(c);
	rv = record_seal(&c->tx, b.n > 0 ? RECORD_STREAM : RECORD_DUMMY, b,
	    SHAPED_INNER, &c->out.b);
	if (rv != 0)
		return exhausted(c);
	fifo_drop(&c->waiting, b.n);
	return 0;
}

size_t
appconn_waiting(const struct appconn *c)
{
	return fifo_bytes(&c->waiting).n;
}

uint64_t
appconn_streamed(const struct appconn *c)
{
	return c->streamed;
}

int
appconn_close(struct appconn *c)
{
	uint8_t content[CLOSE_LEN];

	if (c->closed_out)
		return 0;
	if (appconn_shape(c, false) != 0)
		return -1;
	put_be64(content, c->mac_out.i);
	memcpy(content + 8, c->mac_out.mac, HASH_LEN);
	if (record_seal(&c->tx, RECORD_CLOSE, bytes_of(content, CLOSE_LEN), 0,
	    &c->out.b) != 0)
		return exhausted(c);
	c->closed_out = true;
	return 0;
}

struct bytes
appconn_output(const struct appconn *c)
{
	return fifo_bytes(&c->out);
}

void
appconn_written(struct appconn *c, size_t n)
{
	if (n > c->out.b.n - c->out.gone)
		fatalx("appconn_written: %zu bytes", n);
	fifo_drop(&c->out, n);
}
