/* common/appconn.c: both ends against each other, and hostile peers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "appconn.h"
#include "hs.h"
#include "msgmac.h"
#include "record.h"

#define HOUR_MS	3600000

static const uint8_t c_ap[HASH_LEN] = { 1 };
static const uint8_t s_ap[HASH_LEN] = { 2 };
static const uint8_t mm[HASH_LEN] = { 3 };

struct ends {
	struct appconn	*client;
	struct appconn	*server;
};

static int
setup(void **state)
{
	struct ends *e = calloc(1, sizeof(*e));

	if (e == NULL)
		return -1;
	e->client = appconn_new(END_A, HS_SUITE_X25519, c_ap, s_ap, mm);
	e->server = appconn_new(END_B, HS_SUITE_X25519, c_ap, s_ap, mm);
	*state = e;
	return 0;
}

static int
teardown(void **state)
{
	struct ends *e = *state;

	appconn_free(e->client);
	appconn_free(e->server);
	free(e);
	return 0;
}

/* Move up to max bytes of what from has to write; returns how many. */
static size_t
move(struct appconn *from, struct appconn *to, size_t max)
{
	struct bytes b = appconn_output(from);
	uint8_t *p;
	size_t room;

	p = appconn_room(to, &room);
	if (b.n > max)
		b.n = max;
	if (b.n > room)
		b.n = room;
	if (b.n > 0)
		memcpy(p, b.p, b.n);
	appconn_arrived(to, b.n);
	appconn_written(from, b.n);
	return b.n;
}

/* Move until a message is whole or nothing is left. */
static enum appconn_result
carry(struct appconn *from, struct appconn *to, size_t step, struct msg *m)
{
	enum appconn_result r;

	while ((r = appconn_next(to, m)) == APPCONN_AGAIN)
		if (move(from, to, step) == 0)
			return APPCONN_AGAIN;
	return r;
}

static void
send_list(struct appconn *c, uint32_t req)
{
	struct m_c_list l = { .req = req, .limit = 7 };

	assert_int_equal(appconn_send(c, MSG_c_list, &l), 0);
}

static void
send_delta(struct appconn *c, uint32_t req, const char *text)
{
	struct m_s_delta d = { .req = req, .text = bytes_str(text) };

	assert_int_equal(appconn_send(c, MSG_s_delta, &d), 0);
}

static void
both_ways(void **state)
{
	struct ends *e = *state;
	struct msg m;

	send_list(e->client, 11);
	send_list(e->client, 12);
	assert_int_equal(carry(e->client, e->server, 1u << 20, &m),
	    APPCONN_MESSAGE);
	assert_int_equal(m.type, MSG_c_list);
	assert_int_equal(m.fd, -1);
	assert_int_equal(m.u.c_list.req, 11);
	assert_int_equal(m.u.c_list.limit, 7);
	assert_int_equal(appconn_next(e->server, &m), APPCONN_MESSAGE);
	assert_int_equal(m.u.c_list.req, 12);
	assert_int_equal(appconn_next(e->server, &m), APPCONN_AGAIN);

	send_delta(e->server, 11, "hello");
	assert_int_equal(carry(e->server, e->client, 1u << 20, &m),
	    APPCONN_MESSAGE);
	assert_int_equal(m.type, MSG_s_delta);
	assert_memory_equal(m.u.s_delta.text.p, "hello", 5);

	assert_int_equal(appconn_count_in(e->server), 2);
	assert_int_equal(appconn_count_out(e->client), 2);
	assert_memory_equal(appconn_mac_in(e->server),
	    appconn_mac_out(e->client), HASH_LEN);
	assert_memory_not_equal(appconn_mac_in(e->server),
	    appconn_mac_in(e->client), HASH_LEN);
}

/* One byte at a time. */
static void
drip(void **state)
{
	struct ends *e = *state;
	struct msg m;

	for (uint32_t i = 1; i <= 5; i++)
		send_list(e->client, i);
	for (uint32_t i = 1; i <= 5; i++) {
		assert_int_equal(carry(e->client, e->server, 1, &m),
		    APPCONN_MESSAGE);
		assert_int_equal(m.u.c_list.req, i);
	}
	assert_int_equal(carry(e->client, e->server, 1, &m), APPCONN_AGAIN);
}

static char *
make_text(size_t n)
{
	char *s = malloc(n + 1);

	assert_non_null(s);
	for (size_t i = 0; i < n; i++)
		s[i] = (char)('a' + i % 23);
	s[n] = '\0';
	return s;
}

static void
prompt_of(struct ends *e, size_t n, size_t step)
{
	char *text = make_text(n);
	struct m_c_prompt p = { .req = 5, .text = bytes_of(text, n) };
	struct msg m;

	assert_int_equal(appconn_send(e->client, MSG_c_prompt, &p), 0);
	assert_int_equal(carry(e->client, e->server, step, &m),
	    APPCONN_MESSAGE);
	assert_int_equal(m.type, MSG_c_prompt);
	assert_int_equal(m.u.c_prompt.text.n, n);
	assert_memory_equal(m.u.c_prompt.text.p, text, n);
	assert_int_equal(appconn_output(e->client).n, 0);
	free(text);
}

static void
sizes(void **state)
{
	struct ends *e = *state;

	for (size_t n = 15800; n < 16100; n++)
		prompt_of(e, n, 1u << 20);
	prompt_of(e, 2 * APPCONN_FRAGMENT, 999);
	prompt_of(e, MSG_TEXT_MAX_BYTES, 1u << 20);
	prompt_of(e, MSG_TEXT_MAX_BYTES, 4096);
	prompt_of(e, 1, 1u << 20);
}

/* What a prompt of n bytes occupies on the wire. */
static size_t
wire_size(struct ends *e, size_t n)
{
	char *text = make_text(n);
	struct m_c_prompt p = { .req = 5, .text = bytes_of(text, n) };
	size_t wire;

	assert_int_equal(appconn_send(e->client, MSG_c_prompt, &p), 0);
	wire = appconn_output(e->client).n;
	appconn_written(e->client, wire);
	free(text);
	return wire;
}

static void
prompts_are_padded(void **state)
{
	struct ends *e = *state;

	assert_int_equal(wire_size(e, 1), RECORD_WIRE(512));
	assert_int_equal(wire_size(e, 300), RECORD_WIRE(512));
	assert_int_equal(wire_size(e, 700), RECORD_WIRE(1024));
	assert_int_equal(wire_size(e, 9000), RECORD_WIRE(RECORD_INNER_MAX));
	assert_int_equal(wire_size(e, 17000), RECORD_WIRE(RECORD_INNER_HDR +
	    APPCONN_FRAGMENT) + RECORD_WIRE(RECORD_INNER_MAX));
}

static void
close_each_way(void **state)
{
	struct ends *e = *state;
	struct msg m;

	send_list(e->client, 1);
	assert_int_equal(appconn_close(e->client), 0);
	assert_int_equal(appconn_close(e->client), 0);
	assert_int_equal(appconn_send(e->client, MSG_c_list,
	    &(struct m_c_list){ .req = 2 }), -1);
	assert_int_equal(carry(e->client, e->server, 1u << 20, &m),
	    APPCONN_MESSAGE);
	assert_int_equal(carry(e->client, e->server, 1u << 20, &m),
	    APPCONN_CLOSED);
	assert_int_equal(carry(e->client, e->server, 1u << 20, &m),
	    APPCONN_CLOSED);
	assert_null(appconn_eof(e->server));
	/* The other direction is still open. */
	send_delta(e->server, 1, "x");
	assert_int_equal(appconn_close(e->server), 0);
	assert_int_equal(carry(e->server, e->client, 1u << 20, &m),
	    APPCONN_MESSAGE);
	assert_int_equal(carry(e->server, e->client, 1u << 20, &m),
	    APPCONN_CLOSED);
	assert_null(appconn_eof(e->client));
	assert_null(appconn_why(e->client));
}

static void
truncation(void **state)
{
	struct ends *e = *state;
	struct msg m;

	send_list(e->client, 1);
	assert_int_equal(carry(e->client, e->server, 1u << 20, &m),
	    APPCONN_MESSAGE);
	assert_non_null(appconn_eof(e->server));
	assert_non_null(strstr(appconn_why(e->server), "truncated"));
	assert_int_equal(appconn_next(e->server, &m), APPCONN_BROKEN);
	assert_int_equal(appconn_send(e->server, MSG_s_pong,
	    &(struct m_s_pong){ .req = 1 }), -1);
}

static void
every_bit_flipped(void **state)
{
	struct m_c_ping ping = { .req = 9 };
	uint8_t wire[256];
	struct bytes b;
	size_t n;

	(void)state;
	for (size_t bit = 0;; bit++) {
		struct ends *e;
		struct msg m;
		uint8_t *p;
		enum appconn_result r;

		assert_int_equal(setup((void **)&e), 0);
		assert_int_equal(appconn_send(e->client, MSG_c_ping, &ping), 0);
		b = appconn_output(e->client);
		assert_true(b.n <= sizeof(wire));
		memcpy(wire, b.p, b.n);
		if (bit >= b.n * 8) {
			teardown((void **)&e);
			break;
		}
		wire[bit / 8] ^= (uint8_t)(1 << bit % 8);
		p = appconn_room(e->server, &n);
		memcpy(p, wire, b.n);
		appconn_arrived(e->server, b.n);
		r = appconn_next(e->server, &m);
		/* A longer length waits for more; nothing is delivered. */
		assert_true(r == APPCONN_BROKEN ||
		    (r == APPCONN_AGAIN && (bit / 8 == 2 || bit / 8 == 3)));
		teardown((void **)&e);
	}
}

static void
reordered_and_replayed(void **state)
{
	struct ends *e = *state;
	struct bytes b;
	uint8_t *p, one[512];
	size_t n, len;
	struct msg m;

	send_list(e->client, 1);
	b = appconn_output(e->client);
	len = b.n;
	memcpy(one, b.p, len);
	assert_int_equal(carry(e->client, e->server, 1u << 20, &m),
	    APPCONN_MESSAGE);
	p = appconn_room(e->server, &n);
	memcpy(p, one, len);
	appconn_arrived(e->server, len);
	assert_int_equal(appconn_next(e->server, &m), APPCONN_BROKEN);
}

/* What a client seals is not for a client: reflection. */
static void
reflected(void **state)
{
	struct ends *e = *state;
	struct msg m;

	send_list(e->client, 1);
	assert_int_equal(carry(e->client, e->client, 1u << 20, &m),
	    APPCONN_BROKEN);
}

static void
rekeys(void **state)
{
	struct ends *e = *state;
	struct msg m;
	char *text = make_text(100000);
	struct m_c_prompt p = { .req = 1, .text = bytes_of(text, 100000) };

	appconn_limits(e->client, 3, 1u << 30, HOUR_MS);
	appconn_limits(e->server, 3, 1u << 30, HOUR_MS);
	for (uint32_t i = 0; i < 50; i++) {
		if (i % 10 == 3) {
			assert_int_equal(appconn_send(e->client, MSG_c_prompt,
			    &p), 0);
			assert_int_equal(carry(e->client, e->server, 1u << 20,
			    &m), APPCONN_MESSAGE);
			assert_memory_equal(m.u.c_prompt.text.p, text, 100000);
		}
		send_list(e->client, i);
		assert_int_equal(carry(e->client, e->server, 1u << 20, &m),
		    APPCONN_MESSAGE);
		assert_int_equal(m.u.c_list.req, i);
		send_delta(e->server, i, "d");
		assert_int_equal(carry(e->server, e->client, 1u << 20, &m),
		    APPCONN_MESSAGE);
	}
	free(text);
}

/* The first record after a limit is REKEY and then epoch 2 is on the wire. */
static void
rekey_is_on_the_wire(void **state)
{
	struct ends *e = *state;
	struct msg m;

	appconn_limits(e->client, 2, 1u << 30, HOUR_MS);
	appconn_limits(e->server, 2, 1u << 30, HOUR_MS);
	for (uint32_t i = 0; i < 2; i++) {
		send_list(e->client, i);
		assert_int_equal(appconn_output(e->client).p[1],
		    RECORD_EPOCH_AP);
		assert_int_equal(carry(e->client, e->server, 1u << 20, &m),
		    APPCONN_MESSAGE);
	}
	send_list(e->client, 3);
	assert_int_equal(appconn_output(e->client).p[1], RECORD_EPOCH_AP);
	assert_int_equal(appconn_output(e->client).p[RECORD_WIRE(
	    RECORD_INNER_HDR) + 1], RECORD_EPOCH_AP + 1);
	assert_int_equal(carry(e->client, e->server, 1u << 20, &m),
	    APPCONN_MESSAGE);
}

static void
rekeys_by_bytes_and_time(void **state)
{
	struct ends *e = *state;
	struct msg m;

	appconn_limits(e->client, 1u << 20, 200, HOUR_MS);
	appconn_limits(e->server, 1u << 20, 200, 0);
	for (uint32_t i = 0; i < 30; i++) {
		send_list(e->client, i);
		assert_int_equal(carry(e->client, e->server, 1u << 20, &m),
		    APPCONN_MESSAGE);
		send_delta(e->server, i, "d");
		assert_int_equal(appconn_output(e->server).n,
		    RECORD_WIRE(RECORD_INNER_HDR) +
		    RECORD_WIRE(RECORD_INNER_HDR + 2 + 4 + 1 + 4 + 1 +
		    HASH_LEN));
		assert_int_equal(carry(e->server, e->client, 1u << 20, &m),
		    APPCONN_MESSAGE);
	}
}

static void
epochs_run_out(void **state)
{
	struct ends *e = *state;
	struct m_s_pong pong = { .req = 1 };
	struct msg m;
	int sent = 0;

	appconn_limits(e->client, 1, 1u << 30, HOUR_MS);
	appconn_limits(e->server, 1, 1u << 30, HOUR_MS);
	while (appconn_send(e->server, MSG_s_pong, &pong) == 0) {
		sent++;
		assert_int_equal(carry(e->server, e->client, 1u << 20, &m),
		    APPCONN_MESSAGE);
		assert_true(sent < 1000);
	}
	assert_int_equal(sent, RECORD_EPOCH_LAST);
	assert_non_null(appconn_why(e->server));
}

/*
 * A hostile client: it has the right keys and seals what it likes.
 */
struct rogue {
	struct record_dir	 tx;
	struct msgmac		 mac;
	struct appconn		*server;
};

static int
rogue_setup(void **state)
{
	struct rogue *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return -1;
	record_dir_init(&r->tx, c_ap, RECORD_EPOCH_AP);
	msgmac_init(&r->mac, mm, MSGMAC_TO_SERVER);
	r->server = appconn_new(END_B, HS_SUITE_X25519, c_ap, s_ap, mm);
	*state = r;
	return 0;
}

static int
rogue_teardown(void **state)
{
	struct rogue *r = *state;

	record_dir_free(&r->tx);
	appconn_free(r->server);
	free(r);
	return 0;
}

/* Seal one record and give it to the server. */
static enum appconn_result
rogue_send(struct rogue *r, enum record_type type, struct bytes content,
    struct msg *m)
{
	struct buf b = BUF_INIT(RECORD_MAX);
	uint8_t *p;
	size_t n;

	assert_int_equal(record_seal(&r->tx, type, content, 0, &b), 0);
	p = appconn_room(r->server, &n);
	assert_true(n >= b.n);
	memcpy(p, b.p, b.n);
	appconn_arrived(r->server, b.n);
	buf_free(&b);
	return appconn_next(r->server, m);
}

static struct bytes
with_mac(struct rogue *r, struct buf *b)
{
	msgmac_next(&r->mac, buf_bytes(b));
	buf_put(b, r->mac.mac, HASH_LEN);
	return buf_bytes(b);
}

static void
flood_of_fragments(void **state)
{
	static const uint8_t zeros[APPCONN_FRAGMENT];
	struct rogue *r = *state;
	enum appconn_result v = APPCONN_AGAIN;
	struct msg m;
	size_t sent = 0;

	while (v == APPCONN_AGAIN) {
		v = rogue_send(r, RECORD_APP_MORE, bytes_of(zeros,
		    sizeof(zeros)), &m);
		sent += sizeof(zeros);
		assert_true(sent <= APPCONN_MAX + sizeof(zeros));
	}
	assert_int_equal(v, APPCONN_BROKEN);
	assert_string_equal(appconn_why(r->server), "message too long");
}

static void
flood_of_small_fragments(void **state)
{
	struct rogue *r = *state;
	enum appconn_result v = APPCONN_AGAIN;
	struct msg m;
	int sent = 0;

	while (v == APPCONN_AGAIN) {
		v = rogue_send(r, RECORD_APP_MORE, bytes_of("x", 1), &m);
		assert_true(++sent <= APPCONN_FRAGMENTS_MAX);
	}
	assert_int_equal(v, APPCONN_BROKEN);
	assert_string_equal(appconn_why(r->server), "too many fragments");
}

static void
flood_of_dummies(void **state)
{
	struct rogue *r = *state;
	enum appconn_result v = APPCONN_AGAIN;
	struct msg m;
	int sent = 0;

	while (v == APPCONN_AGAIN) {
		v = rogue_send(r, RECORD_DUMMY, bytes_of(NULL, 0), &m);
		assert_true(++sent <= APPCONN_DUMMIES_MAX + 1);
	}
	assert_int_equal(sent, APPCONN_DUMMIES_MAX + 1);
	assert_string_equal(appconn_why(r->server), "too many dummies");
}

/* A message that is not whole yet, in a stream. */
static void
half_streamed(struct rogue *r)
{
	struct msg m;

	assert_int_equal(rogue_send(r, RECORD_STREAM, bytes_of("\0\0\0\50abc", 7),
	    &m), APPCONN_AGAIN);
}

static void
inside_of_a_stream(void **state)
{
	static const enum record_type types[] = {
		RECORD_APP, RECORD_APP_MORE, RECORD_CLOSE
	};
	static const uint8_t zeros[40];

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		struct rogue *r;
		struct msg m;

		assert_int_equal(rogue_setup(state), 0);
		r = *state;
		half_streamed(r);
		assert_int_equal(rogue_send(r, types[i], bytes_of(zeros,
		    sizeof(zeros)), &m), APPCONN_BROKEN);
		assert_int_equal(rogue_teardown(state), 0);
	}
}

static void
stream_inside_of_fragments(void **state)
{
	struct rogue *r = *state;
	struct msg m;

	assert_int_equal(rogue_send(r, RECORD_APP_MORE, bytes_of("x", 1), &m),
	    APPCONN_AGAIN);
	assert_int_equal(rogue_send(r, RECORD_STREAM, bytes_of("x", 1), &m),
	    APPCONN_BROKEN);
	assert_string_equal(appconn_why(r->server),
	    "a stream inside of a message");
}

static void
streamed_length(void **state)
{
	uint8_t len[4];
	struct rogue *r = *state;
	struct msg m;

	put_be32(len, APPCONN_MAX + 1);
	assert_int_equal(rogue_send(r, RECORD_STREAM, bytes_of(len, 3), &m),
	    APPCONN_AGAIN);
	assert_int_equal(rogue_send(r, RECORD_STREAM, bytes_of(len + 3, 1), &m),
	    APPCONN_BROKEN);
	assert_string_equal(appconn_why(r->server), "message too long");
}

static void
streamed_mac(void **state)
{
	struct rogue *r = *state;
	struct msg m;

	half_streamed(r);
	assert_int_equal(rogue_send(r, RECORD_STREAM,
	    bytes_of("0123456789012345678901234567890123456", 37), &m),
	    APPCONN_BROKEN);
	assert_string_equal(appconn_why(r->server), "wrong message MAC");
}

/* One byte a record is slow, but a message all the same. */
static void
small_streams(void **state)
{
	struct rogue *r = *state;
	enum appconn_result v;
	struct msg m;
	int sent = 1;

	half_streamed(r);
	do
		v = rogue_send(r, RECORD_STREAM, bytes_of("", 1), &m);
	while (v == APPCONN_AGAIN && ++sent < 100);
	assert_int_equal(v, APPCONN_BROKEN);
	assert_string_equal(appconn_why(r->server), "wrong message MAC");
}

static void
flood_of_long_streams(void **state)
{
	uint8_t len[4];
	struct rogue *r = *state;
	enum appconn_result v;
	struct msg m;
	int sent = 1;

	put_be32(len, APPCONN_MAX);
	v = rogue_send(r, RECORD_STREAM, bytes_of(len, 4), &m);
	while (v == APPCONN_AGAIN && sent++ <= APPCONN_FRAGMENTS_MAX)
		v = rogue_send(r, RECORD_STREAM, bytes_of("x", 1), &m);
	assert_int_equal(sent, APPCONN_FRAGMENTS_MAX + 1);
	assert_string_equal(appconn_why(r->server), "too many fragments");
}

/* Dummies of a server have no bound: a model may think for hours. */
static void
dummies_of_a_server(void **state)
{
	struct ends *e = *state;
	struct msg m;

	assert_int_equal(appconn_shape(e->server, true), 0);
	for (int i = 0; i < APPCONN_DUMMIES_MAX + 10; i++) {
		assert_int_equal(appconn_shaped_record(e->server), 0);
		assert_int_equal(appconn_output(e->server).n, APPCONN_SHAPED);
		assert_int_equal(carry(e->server, e->client, 1u << 20, &m),
		    APPCONN_AGAIN);
	}
	assert_null(appconn_why(e->client));
}

/* Many messages in one record, one in many, in steps of one byte. */
static void
streams(void **state)
{
	struct ends *e = *state;
	char *text = make_text(12000);
	struct msg m;

	assert_int_equal(appconn_shape(e->server, true), 0);
	for (uint32_t i = 1; i <= 5; i++)
		send_delta(e->server, i, "short");
	send_delta(e->server, 6, text);
	send_delta(e->server, 7, "last");
	assert_int_equal(appconn_output(e->server).n, 0);
	for (size_t sent = 1; appconn_waiting(e->server) > 0; sent++) {
		assert_int_equal(appconn_shaped_record(e->server), 0);
		assert_int_equal(appconn_output(e->server).n,
		    sent * APPCONN_SHAPED);
	}
	for (uint32_t i = 1; i <= 7; i++) {
		assert_int_equal(carry(e->server, e->client, 1, &m),
		    APPCONN_MESSAGE);
		assert_int_equal(m.u.s_delta.req, i);
		assert_true(bytes_eq(m.u.s_delta.text,
		    bytes_str(i < 6 ? "short" : i == 6 ? text : "last")));
	}
	assert_int_equal(appconn_shape(e->server, false), 0);
	send_delta(e->server, 8, "plain");
	assert_int_equal(carry(e->server, e->client, 1, &m), APPCONN_MESSAGE);
	assert_int_equal(m.u.s_delta.req, 8);
	free(text);
}

static void
long_fragment(void **state)
{
	static const uint8_t zeros[APPCONN_FRAGMENT + 1];
	struct rogue *r = *state;
	struct msg m;

	assert_int_equal(rogue_send(r, RECORD_APP_MORE, bytes_of(zeros,
	    sizeof(zeros)), &m), APPCONN_BROKEN);
	assert_string_equal(appconn_why(r->server), "fragment too long");
}

static void
wrong_mac(void **state)
{
	struct rogue *r = *state;
	struct buf b = BUF_INIT(1024);
	struct m_c_ping ping = { .req = 1 };
	struct msg m;

	assert_int_equal(msg_encode(MSG_c_ping, &ping, &b), 0);
	(void)with_mac(r, &b);
	b.p[b.n - 1] ^= 1;
	assert_int_equal(rogue_send(r, RECORD_APP, buf_bytes(&b), &m),
	    APPCONN_BROKEN);
	assert_string_equal(appconn_why(r->server), "wrong message MAC");
	buf_free(&b);
}

/* Right MACs, wrong messages: numbers, directions, rests. */
static void
bad_messages(void **state)
{
	static const struct {
		const char	*bytes;
		size_t		 n;
	} bad[] = {
		{ "\xff\xff", 2 },			/* unknown */
		{ "\x80\x06\0\0\0\1\0", 7 },		/* c_ping and a byte */
		{ "\x80\x06\0\0\0", 5 },		/* short c_ping */
		{ "\x81\x0a\0\0\0\1", 6 },		/* s_pong */
		{ "\x0f\x02\0\0\0\1", 6 },		/* another channel */
		{ "", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct buf b = BUF_INIT(1024);
		struct rogue *r;
		struct msg m;

		assert_int_equal(rogue_setup((void **)&r), 0);
		buf_put(&b, bad[i].bytes, bad[i].n);
		assert_int_equal(rogue_send(r, RECORD_APP, with_mac(r, &b), &m),
		    APPCONN_BROKEN);
		assert_string_not_equal(appconn_why(r->server),
		    "wrong message MAC");
		buf_free(&b);
		rogue_teardown((void **)&r);
	}
}

static void
short_message(void **state)
{
	static const uint8_t zeros[HASH_LEN - 1];
	struct rogue *r = *state;
	struct msg m;

	assert_int_equal(rogue_send(r, RECORD_APP, bytes_of(zeros,
	    sizeof(zeros)), &m), APPCONN_BROKEN);
	assert_string_equal(appconn_why(r->server), "message too short");
}

static void
handshake_record(void **state)
{
	struct rogue *r = *state;
	struct msg m;

	assert_int_equal(rogue_send(r, RECORD_HANDSHAKE, bytes_of("x", 1), &m),
	    APPCONN_BROKEN);
}

static enum appconn_result
rogue_close(struct rogue *r, uint64_t i, const uint8_t *mac, size_t n)
{
	uint8_t content[64] = { 0 };
	struct msg m;

	put_be64(content, i);
	memcpy(content + 8, mac, HASH_LEN);
	return rogue_send(r, RECORD_CLOSE, bytes_of(content, n), &m);
}

/* A CLOSE that does not name the last message is no end. */
static void
bad_closes(void **state)
{
	static const uint8_t zeros[HASH_LEN];
	const size_t len = 8 + HASH_LEN;

	(void)state;
	for (int i = 0; i < 7; i++) {
		struct buf b = BUF_INIT(1024);
		struct m_c_ping ping = { .req = 1 };
		enum appconn_result v = APPCONN_AGAIN;
		struct rogue *r;
		struct msg m;
		uint8_t mac[HASH_LEN];

		assert_int_equal(rogue_setup((void **)&r), 0);
		assert_int_equal(msg_encode(MSG_c_ping, &ping, &b), 0);
		assert_int_equal(rogue_send(r, RECORD_APP, with_mac(r, &b), &m),
		    APPCONN_MESSAGE);
		memcpy(mac, r->mac.mac, sizeof(mac));
		switch (i) {
		case 0:		/* as if nothing had been sent */
			v = rogue_close(r, 0, zeros, len);
			break;
		case 1:
			v = rogue_close(r, 2, mac, len);
			break;
		case 2:
			mac[31] ^= 1;
			v = rogue_close(r, 1, mac, len);
			break;
		case 3:		/* the constant one of a handshake */
			v = rogue_close(r, 1, mac, 0);
			break;
		case 4:
			v = rogue_close(r, 1, mac, len + 1);
			break;
		case 5:		/* in the middle of a message */
			assert_int_equal(rogue_send(r, RECORD_APP_MORE,
			    bytes_of("x", 1), &m), APPCONN_AGAIN);
			v = rogue_close(r, 1, mac, len);
			break;
		case 6:		/* the right one */
			v = rogue_close(r, 1, mac, len);
			break;
		}
		assert_int_equal(v, i == 6 ? APPCONN_CLOSED : APPCONN_BROKEN);
		buf_free(&b);
		rogue_teardown((void **)&r);
	}
}

/* Padding that is not zero, sealed with the right key. */
static void
nonzero_padding(void **state)
{
	struct rogue *r = *state;
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t key[32], iv[12], rec[RECORD_WIRE(64)] = { 0x17 };
	uint8_t *p, *inner = rec + RECORD_HDR;
	struct msg m;
	size_t n;
	int len;

	kdf_xl(key, sizeof(key), c_ap, "key", bytes_of(NULL, 0));
	kdf_xl(iv, sizeof(iv), c_ap, "iv", bytes_of(NULL, 0));
	rec[1] = RECORD_EPOCH_AP;
	put_be16(rec + 2, 64 + RECORD_TAG);
	inner[0] = RECORD_DUMMY;
	inner[63] = 1;
	assert_non_null(ctx);
	assert_int_equal(EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key,
	    iv), 1);
	assert_int_equal(EVP_EncryptUpdate(ctx, NULL, &len, rec, RECORD_HDR),
	    1);
	assert_int_equal(EVP_EncryptUpdate(ctx, inner, &len, inner, 64), 1);
	assert_int_equal(EVP_EncryptFinal_ex(ctx, inner + 64, &len), 1);
	assert_int_equal(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG,
	    RECORD_TAG, inner + 64), 1);
	EVP_CIPHER_CTX_free(ctx);
	p = appconn_room(r->server, &n);
	memcpy(p, rec, sizeof(rec));
	appconn_arrived(r->server, sizeof(rec));
	assert_int_equal(appconn_next(r->server, &m), APPCONN_BROKEN);
}

/* A client that never reads: the output is bounded. */
static void
output_is_bounded(void **state)
{
	struct ends *e = *state;
	char *text = make_text(MSG_TEXT_MAX_BYTES);
	struct m_s_msg big = {
		.req = 1, .text = bytes_of(text, MSG_TEXT_MAX_BYTES)
	};
	int sent = 0;

	while (appconn_send(e->server, MSG_s_msg, &big) == 0)
		assert_true(++sent < 17);
	assert_int_equal(sent, 15);
	assert_true(appconn_output(e->server).n <= APPCONN_OUT_MAX);
	free(text);
}

int
main(void)
{
#define T(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)
#define R(f)	cmocka_unit_test_setup_teardown(f, rogue_setup, rogue_teardown)
	const struct CMUnitTest tests[] = {
		T(both_ways), T(drip), T(sizes), T(prompts_are_padded),
		T(close_each_way), T(truncation), T(reordered_and_replayed),
		T(reflected), T(rekeys), T(rekey_is_on_the_wire),
		T(rekeys_by_bytes_and_time), T(epochs_run_out),
		T(output_is_bounded), T(streams), T(dummies_of_a_server),
		R(flood_of_fragments), R(flood_of_small_fragments),
		R(flood_of_dummies), R(long_fragment), R(wrong_mac),
		R(short_message), R(handshake_record), R(nonzero_padding),
		R(stream_inside_of_fragments), R(streamed_length),
		R(streamed_mac), R(small_streams),
		R(flood_of_long_streams), cmocka_unit_test(inside_of_a_stream),
		cmocka_unit_test(every_bit_flipped),
		cmocka_unit_test(bad_messages),
		cmocka_unit_test(bad_closes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
