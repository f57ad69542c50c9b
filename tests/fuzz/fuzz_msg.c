/*
 * The codec of every message: decode for any channel, end and state; what was
 * decoded encodes to the same bytes.
 */
#include "fuzz.h"

static void
fuzz_setup(void)
{
}

/* For each channel and direction, a message of each type. */
static void
fuzz_seeds(void)
{
	for (int t = 0; t < MSG_TYPES; t++) {
		const struct msg_desc *d = msg_desc(t);
		uint8_t head[] = { 0, (uint8_t)d->kind,
		    d->dir == AB ? END_B : END_A, (uint8_t)d->states };
		uint8_t zero[64] = { 0 };
		struct rd in = rd_of(bytes_of(zero, sizeof(zero)));
		struct buf wire = BUF_INIT(MSG_APP_MAX_BYTES);
		struct msg m;

		memset(&m, 0, sizeof(m));
		for (size_t i = 0; i < d->nfields; i++)
			fz_field(&in, &d->fields[i], (uint8_t *)&m.u);
		need(msg_encode(t, &m.u, &wire) == 0);
		fuzz_seed(head, sizeof(head), buf_bytes(&wire));
		head[0] = 1;
		fuzz_seed(head, 3, bytes_of(zero, sizeof(zero)));
		buf_free(&wire);
	}
}

/* Decode, and back. */
static enum msg_verdict
check(struct bytes wire, enum chan_kind kind, enum chan_end end, unsigned state)
{
	struct buf again = BUF_INIT(MSG_APP_MAX_BYTES);
	const struct msg_desc *d;
	enum msg_verdict v;
	struct msg m;

	v = msg_decode(wire, kind, end, state, &m);
	need(msg_verdict_text(v) != NULL);
	if (v != MSG_OK)
		return v;
	need(m.type < MSG_TYPES);
	d = msg_desc(m.type);
	need(d->kind == kind && (d->states & state) != 0);
	need((d->dir == AB) == (end == END_B));
	need(msg_encode(m.type, &m.u, &again) == 0);
	need(bytes_eq(buf_bytes(&again), wire));
	buf_free(&again);
	return v;
}

static void
fuzz_one(struct bytes input)
{
	struct rd in = rd_of(input);
	uint8_t made = rd_u8(&in);
	enum chan_kind kind = (enum chan_kind)(rd_u8(&in) % CH_KINDS);
	enum chan_end end = rd_u8(&in) & 1 ? END_B : END_A;
	struct buf wire = BUF_INIT(MSG_APP_MAX_BYTES);
	unsigned state;
	struct msg m;

	if (made % 2 == 0) {
		state = rd_u8(&in);
		(void)check(bytes_of(in.p, in.n), kind, end, state);
		return;
	}
	for (int t = 0; t < MSG_TYPES; t++) {
		if (msg_desc(t)->kind != kind ||
		    (msg_desc(t)->dir == AB) != (end == END_B))
			continue;
		(void)fz_msg(&in, kind, end == END_B ? AB : BA, &m);
		if (msg_encode(m.type, &m.u, &wire) == 0) {
			need(check(buf_bytes(&wire), kind, end, ~0u) == MSG_OK);
			need(check(buf_bytes(&wire), kind, end, 0) ==
			    MSG_DENIED);
		}
		break;
	}
	buf_free(&wire);
}
