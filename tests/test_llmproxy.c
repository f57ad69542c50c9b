/*
 * llmproxy and connector as they run: the real programs in their sandboxes, with
 * this test as monitor, vault and session worker, and standin as the provider.
 */
#include "llmproxy_rig.h"

/* ---- tests --------------------------------------------------------------- */

static void
test_echo(void **state)
{
	static const uint8_t head1[] = { 1, 0, 0, 0, 2 };
	static const uint8_t head2[] = { 2, 0, 0, 0, 3 };
	static const uint8_t head3[] = { 1, 0, 0, 0, 9 };
	const struct bytes sent[] = { { head1, 5 }, bytes_str("Hi"),
	    { head2, 5 }, bytes_str("Hey"), { head3, 5 },
	    bytes_str("Gr\xc3\xbc\xc3\x9f" "e!!") };
	struct chan *c = grant("echo");
	struct m_lv_usage u;
	struct answer a;
	uint8_t hash[HASH_LEN];

	(void)state;
	chat(c, 9, 3);
	send_msg(c, 9, 1, "Hi", 2);
	send_msg(c, 9, 2, "Hey", 3);
	send_msg(c, 9, 1, "Gr\xc3\xbc\xc3\x9f" "e!!", 9);
	answer(c, 9, &a);
	assert_string_equal(a.error, "");
	assert_string_equal(a.text, "Gr\xc3\xbc\xc3\x9f" "e!!");
	assert_int_equal(a.finish, 1);
	assert_int_equal(a.prompt, 3);
	usage(1, &u);
	assert_int_equal(u.req, 9);
	sha256v(hash, sent, 6);
	assert_memory_equal(u.sent_hash, hash, HASH_LEN);
	sha256(hash, bytes_str("Gr\xc3\xbc\xc3\x9f" "e!!"));
	assert_memory_equal(u.answer_hash, hash, HASH_LEN);
	/* A conversation without any text. */
	chat(c, 9, 1);
	send_msg(c, 9, 1, "", 0);
	answer(c, 9, &a);
	assert_string_equal(a.error, "");
	assert_string_equal(a.text, "");
	/* The number may be used again, on the same channel. */
	ask(c, 9, "again");
	answer(c, 9, &a);
	assert_string_equal(a.text, "again");
	chan_free(c);
}

static void
test_answers(void **state)
{
	struct answer a;

	(void)state;
	one("standin", "x", &a, 1);	/* the model's system prompt is there */
	assert_non_null(strstr(a.text, "held 2 messages"));
	one("length", "x", &a, 2);
	assert_int_equal(a.finish, 2);
	assert_int_equal(a.prompt, 7);
	one("reason", "x", &a, 1);
	assert_string_equal(a.reasoning, "First I think ");
	assert_string_equal(a.text, "Then I speak.");
	one("nostream", "x", &a, 1);
	assert_string_equal(a.text, "This came in one piece.");
	one("crlf", "x", &a, 1);
	assert_non_null(strstr(a.text, "\xf0\x9f\x8f\xb0 end"));
	one("tools", "x", &a, 6);
	assert_int_equal(a.finish, 6);
	one("flaky", "x", &a, 1);
	assert_string_equal(a.text, "loaded now");
	one("usage", "x", &a, 1);
	assert_int_equal(a.prompt, 1234);
	assert_int_equal(a.completion, 567);
}

static void
test_errors(void **state)
{
	static const char *const cut[] = { "trunc", "trunceof", "doneonly" };
	struct answer a;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		one(cut[i], "x", &a, 4);
		assert_int_equal(a.code, 12);
		assert_true(a.n > 5);
	}
	one("err401", "x", &a, 5);
	assert_int_equal(a.code, 5);
	assert_non_null(strstr(a.hint, "local"));
	/* The vault hears it in words of llmproxy's own. */
	assert_int_equal(fx.health, 5);
	assert_non_null(strstr(a.error, "Incorrect API key"));
	assert_null(strstr(fx.health_text, "Incorrect"));
	assert_string_not_equal(fx.health_text, "");
	one("err400", "x", &a, 5);
	assert_int_equal(a.code, 6);
	assert_non_null(strstr(a.error, "9000 tokens"));
	assert_int_equal(fx.health, 0);
	one("err200", "x", &a, 5);
	assert_int_equal(a.code, 4);
	assert_string_equal(a.text, "It begins well ");
	one("redirect", "x", &a, 5);
	assert_int_equal(a.code, 4);
	assert_non_null(strstr(a.error, "redirect"));
	assert_int_equal(fx.health, 4);
	assert_non_null(strstr(fx.health_text, "redirect"));
}

static void
log_says(const char *line)
{
	char text[4096];
	int fd;
	ssize_t n;

	for (int i = 0; i < 400; i++) {
		fd = open(standin_log, O_RDONLY | O_CLOEXEC);
		n = fd == -1 ? 0 : read(fd, text, sizeof(text) - 1);
		close(fd);
		text[n > 0 ? n : 0] = '\0';
		if (strstr(text, line) != NULL)
			return;
		usleep(10000);
	}
	fail_msg("the provider never said: %s", line);
}

static void
test_cancel(void **state)
{
	struct m_sl_cancel cancel = { .req = 3 };
	struct m_vl_revoke revoke = { .n = N };
	struct chan *c = grant("hang"), *d = grant("stall");
	struct answer a;
	struct msg m;

	(void)state;
	ask(c, 3, "x");
	assert_int_equal(chan_send(c, MSG_sl_cancel, &cancel, -1), 0);
	answer(c, 3, &a);
	assert_int_equal(a.finish, 3);
	usage(3, NULL);
	/* Cancelled again: the messages have crossed. */
	assert_int_equal(chan_send(c, MSG_sl_cancel, &cancel, -1), 0);
	/* A revocation ends what runs, and the provider notices. */
	ask(d, 4, "x");
	expect(d, &m, MSG_ls_delta);
	assert_int_equal(chan_send(fx.vault, MSG_vl_revoke, &revoke, -1), 0);
	usage(3, NULL);
	for (;;) {
		const char *why;
		int r = chan_recv(d, &m, WAIT_MS, &why);

		if (r == 1)
			break;
		assert_int_equal(r, 0);
		assert_int_equal(m.type, MSG_ls_delta);
	}
	expect_eof(c);
	chan_free(d);
	log_says("stall 1 aborted");
}

/* A worker that goes away ends its answers. */
static void
test_gone(void **state)
{
	struct chan *c = grant("stall");
	struct msg m;

	(void)state;
	ask(c, 1, "x");
	expect(c, &m, MSG_ls_delta);
	chan_free(c);
	usage(3, NULL);
	log_says("stall 1 aborted");
}

static void
test_violations(void **state)
{
	struct m_sl_data d = { .req = 1, .data = bytes_str("xx") };
	struct m_sl_msg m = { .req = 1, .kind = 1, .len = 1 };
	struct chan *c;

	(void)state;
	c = grant("echo");
	chat(c, 1, 1);
	assert_int_equal(chan_send(c, MSG_sl_msg, &m, -1), 0);
	assert_int_equal(chan_send(c, MSG_sl_data, &d, -1), 0);
	expect_eof(c);
	expect_audit("violation", "not announced");
	c = grant("echo");
	assert_int_equal(chan_send(c, MSG_sl_msg, &m, -1), 0);
	expect_eof(c);
	expect_audit("violation", "not announced");
	c = grant("echo");
	chat(c, 1, 2);
	m.kind = 4;
	assert_int_equal(chan_send(c, MSG_sl_msg, &m, -1), 0);
	expect_eof(c);
	expect_audit("violation", "unknown kind");
	c = grant("echo");
	chat(c, 1, 2);
	m.kind = 2;
	m.len = 0;
	assert_int_equal(chan_send(c, MSG_sl_msg, &m, -1), 0);
	m.kind = 3;
	assert_int_equal(chan_send(c, MSG_sl_msg, &m, -1), 0);
	expect_eof(c);
	expect_audit("violation", "behind other messages");
	c = grant("echo");
	chat(c, 1, 2);
	chat(c, 1, 2);
	expect_eof(c);
	expect_audit("violation", "twice");
	c = grant("echo");
	chat(c, 1, 0);
	expect_eof(c);
	expect_audit("violation", "empty");
	c = grant("nothing-of-ours");
	expect_eof(c);
	/* It serves others. */
	c = grant("echo");
	ask(c, 1, "still here");
	answer(c, 1, &(struct answer){ 0 });
	chan_free(c);
}

static void
test_limits(void **state)
{
	static char big[1 << 20];
	struct chan *c = grant("hang"), *d = grant("echo");
	struct answer a;

	(void)state;
	for (uint32_t i = 1; i <= 8; i++)
		ask(c, i, "x");
	ask(c, 9, "x");
	answer(c, 9, &a);
	assert_int_equal(a.code, 9);
	/* Too much text; all of it may come, and the channel lives. */
	memset(big, 'a', sizeof(big));
	chat(d, 1, 11);
	for (int i = 0; i < 11; i++)
		send_msg(d, 1, 1, big, sizeof(big));
	answer(d, 1, &a);
	assert_int_equal(a.code, 9);
	chat(d, 2, 20000);
	answer(d, 2, &a);
	assert_int_equal(a.code, 9);
	/* Not text: the request is refused, nothing else. */
	ask(d, 3, "a\xff");
	answer(d, 3, &a);
	assert_int_equal(a.code, 11);
	ask(d, 1, "fine");
	answer(d, 1, &a);
	assert_string_equal(a.text, "fine");
	chan_free(c);
	chan_free(d);
}

/* One user leaves room for others, with however many grants. */
static void
test_shares(void **state)
{
	static char big[1 << 20];
	struct chan *c[64], *d;
	struct answer a;
	struct msg m;

	(void)state;
	for (int i = 0; i < 8; i++) {
		c[i] = grant("hang");
		for (uint32_t req = 1; req <= 8; req++)
			ask(c[i], req, "x");
	}
	c[8] = grant("echo");
	ask(c[8], 1, "x");
	answer(c[8], 1, &a);
	assert_int_equal(a.code, 9);
	d = grant_to(N + 1, "bob", "echo");
	ask(d, 1, "bob's");
	answer(d, 1, &a);
	assert_string_equal(a.text, "bob's");
	for (int i = 0; i < 9; i++)
		chan_free(c[i]);
	for (int i = 0; i < 65; i++)
		expect(fx.vault, &m, MSG_lv_usage);
	/* Text that is announced and does not come. */
	memset(big, 'a', sizeof(big));
	for (int i = 0; i < 7; i++) {
		c[i] = grant("echo");
		announce(c[i], 10 << 20);
	}
	answer(c[6], 1, &a);
	assert_int_equal(a.code, 9);
	chat(d, 2, 9);
	for (int i = 0; i < 9; i++)
		send_msg(d, 2, 1, big, sizeof(big));
	answer(d, 2, &a);
	assert_int_equal(a.finish, 1);
	for (int i = 0; i < 7; i++)
		chan_free(c[i]);
	ask(d, 3, "these are closed now");
	answer(d, 3, &a);
	/* Grants that one session keeps: one for each model would do. */
	for (int i = 0; i < 64; i++)
		c[i] = grant("echo");
	expect_eof(grant("echo"));
	ask(c[63], 1, "here");
	answer(c[63], 1, &a);
	assert_string_equal(a.text, "here");
	for (int i = 0; i < 64; i++)
		chan_free(c[i]);
	chan_free(d);
}

static void
test_long(void **state)
{
	struct chan *c = grant("long-20");
	struct answer a;

	(void)state;
	ask(c, 1, "x");
	usleep(300000);		/* a slow reader gets everything all the same */
	answer(c, 1, &a);
	assert_int_equal(a.finish, 1);
	assert_int_equal(a.n, 10 * 6 + 90 * 7 + 900 * 8 + 1000 * 9);
	chan_free(c);
}

static void
test_connector_restart(void **state)
{
	struct answer a;

	(void)state;
	one("echo", "before", &a, 1);
	end_process(&fx.conn, SIGKILL, true);
	chan_free(fx.ctl_conn);
	start_conn(2);
	one("echo", "after", &a, 1);
	assert_string_equal(a.text, "after");
}

static void
test_llmproxy_restart(void **state)
{
	struct m_vl_welcome welcome = { .generation = 1 };
	struct m_vl_welcome stale = { .generation = 0 };
	struct chan *c = grant("stall");
	struct answer a;
	struct msg m;

	(void)state;
	ask(c, 1, "x");
	expect(c, &m, MSG_ls_delta);
	end_process(&fx.llm, SIGKILL, true);
	chan_free(c);
	chan_free(fx.ctl_llm);
	/* A grant for the dead one must not reach its successor. */
	c = grant("echo");
	start_llm();
	expect(fx.vault, &m, MSG_lv_hello);
	/* Nor what was said to one that died before it heard its welcome. */
	assert_int_equal(chan_send(fx.vault, MSG_vl_welcome, &stale, -1), 0);
	assert_int_equal(chan_send(fx.vault, MSG_vl_welcome, &welcome, -1), 0);
	expect_eof(c);
	one("echo", "after", &a, 1);
	assert_string_equal(a.text, "after");
}

static void
test_refused(void **state)
{
	struct answer a;

	(void)state;
	defaults();
	start_standin();
	end_process(&fx.standin, SIGTERM, false);
	fx.host = "localhost";
	start();
	one("echo", "x", &a, 5);
	assert_int_equal(a.code, 4);
	assert_non_null(strstr(a.error, "Connection refused"));
	stop();
}

static void
test_timeouts(void **state)
{
	struct answer a;

	(void)state;
	defaults();
	start_standin();
	fx.first_byte_s = fx.idle_s = 1;
	start();
	one("stall", "x", &a, 4);
	assert_int_equal(a.code, 12);
	assert_non_null(strstr(a.error, "nothing for 1 second"));
	stop();
}

static void
test_wrong_key(void **state)
{
	struct answer a;

	(void)state;
	defaults();
	start_standin();
	fx.key = "sk-another-key-000000";
	start();
	one("echo", "x", &a, 5);
	assert_int_equal(a.code, 5);
	assert_null(strstr(a.error, "sk-another"));
	stop();
}

static void
test_tls(void **state)
{
	struct answer a;

	(void)state;
	defaults();
	fx.tls = fx.ca = true;
	fx.host = "localhost";
	start_standin();
	start();
	one("echo", "in secret", &a, 1);
	assert_string_equal(a.text, "in secret");
	one("stall", "x", &a, 4);
	stop();
	/* The name must be in the certificate. */
	defaults();
	fx.tls = fx.ca = true;
	start_standin();
	start();
	one("echo", "x", &a, 5);
	assert_int_equal(a.code, 4);
	assert_non_null(strstr(a.error, "127.0.0.1"));
	stop();
	/* Nor does a certificate count that nobody vouches for. */
	if (access("/etc/ssl/certs/ca-certificates.crt", R_OK) == -1)
		return;
	defaults();
	fx.tls = true;
	fx.host = "localhost";
	start_standin();
	start();
	one("echo", "x", &a, 5);
	assert_int_equal(a.code, 4);
	assert_non_null(strstr(a.error, "certificate"));
	stop();
}

/* ---- connections kept ---------------------------------------------------- */

/* Answers each request with the number of its connection and of itself, and
 * closes the first connection after two; then it may end. */
__attribute__((noreturn)) static void
keepalive_server(int s, bool ends)
{
	char in[65536], out[512], body[256];
	size_t n, len;
	char *end, *cl;

	for (int conn = 1;; conn++) {
		int fd = accept(s, NULL, NULL);

		for (int req = 1; conn > 1 || req <= 2; req++) {
			for (n = 0, end = NULL;;) {
				ssize_t r = read(fd, in + n, sizeof(in) - 1 - n);

				if (r <= 0)
					goto next;
				n += (size_t)r;
				in[n] = '\0';
				if ((end = strstr(in, "\r\n\r\n")) != NULL &&
				    (cl = strstr(in, "Content-Length: ")) !=
				    NULL && n >= (size_t)(end + 4 - in) +
				    (size_t)atoi(cl + 16))
					break;
			}
			len = (size_t)snprintf(body, sizeof(body),
			    "{\"choices\":[{\"index\":0,\"message\":{\"content\":"
			    "\"%d.%d\"},\"finish_reason\":\"stop\"}]}", conn,
			    req);
			len = (size_t)snprintf(out, sizeof(out), "HTTP/1.1 200 "
			    "OK\r\nContent-Type: application/json\r\n"
			    "Content-Length: %zu\r\n\r\n%s", len, body);
			if (write_all(fd, out, len) == -1)
				break;
		}
next:
		close(fd);
		if (ends)
			_exit(0);
	}
}

static void
start_keepalive(bool ends)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sin);
	int s;

	defaults();
	s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(s, (struct sockaddr *)&sin, len), 0);
	assert_int_equal(listen(s, 8), 0);
	assert_int_equal(getsockname(s, (struct sockaddr *)&sin, &len), 0);
	fx.port = ntohs(sin.sin_port);
	if ((fx.standin = fork()) == 0) {
		end_with_us();
		keepalive_server(s, ends);
	}
	close(s);
	start();
}

static void
test_keepalive(void **state)
{
	struct answer a;

	(void)state;
	start_keepalive(false);
	one("echo", "x", &a, 1);
	assert_string_equal(a.text, "1.1");
	one("echo", "x", &a, 1);
	assert_string_equal(a.text, "1.2");
	/* The idle connection is dead: noticed, and another one made. */
	one("echo", "x", &a, 1);
	assert_string_equal(a.text, "2.1");
	one("echo", "x", &a, 1);
	assert_string_equal(a.text, "2.2");
	stop();
}

/* The server goes away while a connection is idle: that is an error soon. */
static void
test_keepalive_gone(void **state)
{
	struct answer a;

	(void)state;
	start_keepalive(true);
	one("echo", "x", &a, 1);
	one("echo", "x", &a, 1);
	assert_string_equal(a.text, "1.2");
	one("echo", "x", &a, 5);
	assert_int_equal(a.code, 4);
	assert_non_null(strstr(a.error, "cannot be reached"));
	stop();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_echo, setup, teardown),
		cmocka_unit_test_setup_teardown(test_answers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_errors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cancel, setup, teardown),
		cmocka_unit_test_setup_teardown(test_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_violations, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_shares, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long, setup, teardown),
		cmocka_unit_test_setup_teardown(test_connector_restart, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(test_llmproxy_restart, setup,
		    teardown),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_timeouts),
		cmocka_unit_test(test_wrong_key),
		cmocka_unit_test(test_tls),
		cmocka_unit_test(test_keepalive),
		cmocka_unit_test(test_keepalive_gone),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
