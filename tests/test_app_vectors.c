/*
 * common/appconn.c against tests/vectors/session.txt and fresh_s1.txt, fresh_s2.txt:
 * everything that two ends of a session put on the wire.  "test_app_vectors record
 * session|s1|s2" prints a new file.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "appconn.h"
#include "fresh.h"
#include "hs.h"
#include "vectors.h"

static bool recording;
static const char *file_name;

static void
output(const char *name, struct bytes got)
{
	static char hex[2 * 65536 + 1];
	struct bytes want;

	if (recording) {
		hex_encode(hex, got.p, got.n);
		(void)printf("%s = %s\n", name, hex);
		return;
	}
	want = vector_get(file_name, name);
	if (!bytes_eq(got, want))
		fail_msg("%s differs from the recorded one", name);
	vector_free(want);
}

/* What waits to be written, under this name. */
static void
written(struct appconn *c, const char *name)
{
	struct bytes b = appconn_output(c);

	assert_true(b.n > 0);
	output(name, b);
	appconn_written(c, b.n);
}

static void
send_as(struct appconn *c, const char *name, enum msg_type type,
    const void *body)
{
	assert_int_equal(appconn_send(c, type, body), 0);
	written(c, name);
}

static void
client(struct appconn *c)
{
	static uint8_t text[20000];
	struct m_c_ping ping = { .req = 7 };
	struct m_c_prompt prompt = { .req = 8, .flags = 1,
	    .model = bytes_str("echo"), .text = bytes_str("hello") };

	send_as(c, "c_ping", MSG_c_ping, &ping);
	send_as(c, "c_prompt", MSG_c_prompt, &prompt);
	memset(text, 'a', sizeof(text));
	prompt.req = 9;
	prompt.text = bytes_of(text, sizeof(text));
	send_as(c, "c_prompt_long", MSG_c_prompt, &prompt);
	/* Every further record under a key of its own. */
	appconn_limits(c, 1, UINT64_MAX, UINT64_MAX);
	ping.req = 10;
	send_as(c, "c_ping_rekeyed", MSG_c_ping, &ping);
	ping.req = 11;
	send_as(c, "c_ping_rekeyed_again", MSG_c_ping, &ping);
	assert_int_equal(appconn_close(c), 0);
	written(c, "c_close");
}

static void
server(struct appconn *c)
{
	struct m_s_pong pong = { .req = 7 };
	struct m_s_delta delta = { .req = 8, .text = bytes_str("hel") };
	struct m_s_end end = { .req = 8, .finish = 1, .prompt_tokens = 1,
	    .completion_tokens = 2, .model = bytes_str("echo") };

	send_as(c, "s_pong", MSG_s_pong, &pong);
	assert_int_equal(appconn_shape(c, true), 0);
	assert_int_equal(appconn_shaped_record(c), 0);
	written(c, "s_dummy");
	assert_int_equal(appconn_send(c, MSG_s_delta, &delta), 0);
	delta.text = bytes_str("lo");
	assert_int_equal(appconn_send(c, MSG_s_delta, &delta), 0);
	assert_int_equal(appconn_shaped_record(c), 0);
	written(c, "s_deltas");
	assert_int_equal(appconn_send(c, MSG_s_end, &end), 0);
	/* What is left in the stream when shaping ends. */
	assert_int_equal(appconn_shape(c, false), 0);
	written(c, "s_end");
	assert_int_equal(appconn_close(c), 0);
	written(c, "s_close");
}

static void
test_session(void **state)
{
	uint8_t c_ap[HASH_LEN], s_ap[HASH_LEN], msgmac[HASH_LEN];
	struct appconn *c, *s;

	(void)state;
	file_name = "tests/vectors/session.txt";
	sha256(c_ap, bytes_str("c_ap"));
	sha256(s_ap, bytes_str("s_ap"));
	sha256(msgmac, bytes_str("msgmac"));
	output("c_ap", bytes_of(c_ap, HASH_LEN));
	output("s_ap", bytes_of(s_ap, HASH_LEN));
	output("msgmac", bytes_of(msgmac, HASH_LEN));
	c = appconn_new(END_A, HS_SUITE_X25519, c_ap, s_ap, msgmac);
	s = appconn_new(END_B, HS_SUITE_X25519, c_ap, s_ap, msgmac);
	client(c);
	server(s);
	appconn_free(c);
	appconn_free(s);
}

/* The next bytes, too, are what the other end gets; it takes them. */
static void
over(struct appconn *from, struct appconn *to, const char *name)
{
	struct bytes b = appconn_output(from);
	struct msg m;
	uint8_t *p;
	size_t room;

	p = appconn_room(to, &room);
	assert_true(b.n > 0 && b.n <= room);
	memcpy(p, b.p, b.n);
	appconn_arrived(to, b.n);
	written(from, name);
	while (appconn_next(to, &m) == APPCONN_MESSAGE)
		;
	assert_null(appconn_why(to));
}

static void
secret(const char *name, uint8_t out[HASH_LEN])
{
	sha256(out, bytes_str(name));
	output(name, bytes_of(out, HASH_LEN));
}

/* Fresh keys: the offer, the answer, both changes, and a message each way. */
static void
test_fresh(void **state)
{
	uint8_t suite = *(uint8_t *)*state;
	uint8_t c_ap[HASH_LEN], s_ap[HASH_LEN], msgmac[HASH_LEN];
	struct m_c_ping ping = { .req = 7 };
	struct m_s_pong pong = { .req = 7 };
	struct fresh_fixed cf, sf;
	struct appconn *c, *s;

	memset(&cf, 0, sizeof(cf));
	memset(&sf, 0, sizeof(sf));
	file_name = suite == HS_SUITE_HYBRID ? "tests/vectors/fresh_s2.txt" :
	    "tests/vectors/fresh_s1.txt";
	secret("c_ap", c_ap);
	secret("s_ap", s_ap);
	secret("msgmac", msgmac);
	secret("eph_s", sf.eph);
	secret("eph_c", cf.eph);
	if (suite == HS_SUITE_HYBRID) {
		secret("mlkem_d", sf.mlkem);
		secret("mlkem_z", sf.mlkem + 32);
		secret("mlkem_m", cf.coins);
	}
	c = appconn_new(END_A, suite, c_ap, s_ap, msgmac);
	s = appconn_new(END_B, suite, c_ap, s_ap, msgmac);
	appconn_fix(c, &cf);
	appconn_fix(s, &sf);
	assert_int_equal(appconn_fresh(s), 0);
	over(s, c, "s_fresh");
	over(c, s, "c_fresh");
	over(s, c, "s_change");
	assert_int_equal(appconn_freshened(c), 1);
	assert_int_equal(appconn_freshened(s), 1);
	assert_int_equal(appconn_send(c, MSG_c_ping, &ping), 0);
	over(c, s, "c_ping");
	assert_int_equal(appconn_send(s, MSG_s_pong, &pong), 0);
	over(s, c, "s_pong");
	appconn_free(c);
	appconn_free(s);
}

int
main(int argc, char **argv)
{
	static uint8_t s1 = HS_SUITE_X25519, s2 = HS_SUITE_HYBRID;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_session),
		cmocka_unit_test_prestate(test_fresh, &s1),
#if MLKEM_BUILT
		{ "test_fresh s2", test_fresh, NULL, NULL, &s2 },
#endif
	};
	void *suite;

	if (argc > 2 && strcmp(argv[1], "record") == 0) {
		recording = true;
		suite = strcmp(argv[2], "s2") == 0 ? &s2 : &s1;
		if (strcmp(argv[2], "session") == 0)
			test_session(NULL);
		else
			test_fresh(&suite);
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
