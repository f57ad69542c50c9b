/*
 * client/convs.c: pages of the list, shortened ids, and what a server may not do.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <sys/socket.h>
#include <sys/wait.h>

#include <unistd.h>

#include "appconn.h"
#include "hs.h"
#include "convs.h"
#include "exits.h"
#include "loop.h"
#include "tcp.h"

#define DEADLINE (mono_ms() + 30000)

/* What the user has, newest first; a page of the test's server holds two. */
static const uint8_t ids[][CONV_LEN] = {
	{ 0xaa, 0xaa, 0x11 }, { 0xaa, 0xaa, 0x22 }, { 0xbc, 0xde, 0xf0 }
};
#define NIDS	3

enum page { K_GOOD, K_EMPTY, K_ERROR, K_OTHER_REQ, K_WRONG_TYPE, K_ENDLESS };

static char dir[] = "/tmp/cloister-convs.XXXXXX";
static const struct hs_session secrets = { .suite = 1, .c_ap = { 1 }, .s_ap = { 2 },
    .msgmac = { 3 } };
static pid_t server;
static int npages;

static void
send_page(struct appconn *ac, enum page kind, const struct m_c_list *q)
{
	struct m_s_conv conv = { .req = q->req, .title = bytes_str("title") };
	struct m_s_done done = { .req = q->req };
	struct m_s_pong pong = { .req = q->req };
	struct m_s_error error = { .req = q->req, .code = 8,
	    .text = bytes_str("storage failed"), .hint = bytes_str("wait") };
	size_t first = q->token.n == 0 ? 0 : q->token.p[0];

	if (kind == K_ENDLESS) {
		if (npages++ == 100)
			_exit(7);
		done.token = bytes_str("\002");
		(void)appconn_send(ac, MSG_s_done, &done);
		return;
	}
	if (kind == K_ERROR) {
		(void)appconn_send(ac, MSG_s_error, &error);
		return;
	}
	if (kind == K_OTHER_REQ)
		conv.req++;
	for (size_t i = first; i < first + 2 && i < NIDS && kind != K_EMPTY;
	    i++) {
		memcpy(conv.conv, ids[i], CONV_LEN);
		(void)appconn_send(ac, MSG_s_conv, &conv);
	}
	if (first == 0 && kind != K_EMPTY)
		done.token = bytes_str("\002");
	if (kind == K_WRONG_TYPE)
		(void)appconn_send(ac, MSG_s_pong, &pong);
	else
		(void)appconn_send(ac, MSG_s_done, &done);
}

static void
serve(int fd, enum page kind)
{
	struct appconn *ac = appconn_new(END_B, secrets.suite, secrets.c_ap,
	    secrets.s_ap, secrets.msgmac);
	enum appconn_result r;
	struct bytes out;
	struct msg m;
	size_t room, got;
	uint8_t *p;

	for (;;) {
		while ((r = appconn_next(ac, &m)) == APPCONN_MESSAGE)
			if (m.type == MSG_c_list)
				send_page(ac, kind, &m.u.c_list);
		out = appconn_output(ac);
		if (r != APPCONN_AGAIN || tcp_write(fd, out, DEADLINE) == -1)
			_exit(r == APPCONN_CLOSED ? 0 : 9);
		appconn_written(ac, out.n);
		p = appconn_room(ac, &room);
		if (tcp_read(fd, p, 1, &got, DEADLINE) != 0)
			_exit(8);
		appconn_arrived(ac, got);
	}
}

static struct conn *
start(enum page kind)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
	    pair), 0);
	server = fork();
	assert_int_not_equal(server, -1);
	if (server == 0) {
		(void)close(pair[0]);
		serve(pair[1], kind);
	}
	(void)close(pair[1]);
	return conn_attach(pair[0], "test", &secrets);
}

/* How the server ended: 0 by our CLOSE, 8 by an end of file without it. */
static int
stop(struct conn *c)
{
	int status;

	conn_close(c);
	assert_int_equal(waitpid(server, &status, 0), server);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
found(struct conn *c, const char *id, const uint8_t want[CONV_LEN])
{
	uint8_t conv[CONV_LEN] = { 0 };

	assert_int_equal(convs_find(c, id, conv), RC_OK);
	assert_memory_equal(conv, want, CONV_LEN);
}

static void
test_find(void **state)
{
	static const uint8_t whole[CONV_LEN] = { 0xff, 0xee };
	struct conn *c = start(K_GOOD);
	uint8_t conv[CONV_LEN];

	(void)state;
	found(c, "aaaa1", ids[0]);
	found(c, "AAAA2", ids[1]);
	found(c, "bcde", ids[2]);		/* on the second page */
	/* A whole id is taken as it is. */
	found(c, "ffee0000000000000000000000000000", whole);
	assert_int_equal(convs_find(c, "aaaa", conv), RC_ERROR);
	assert_int_equal(convs_find(c, "0123", conv), RC_ERROR);
	assert_int_equal(convs_find(c, "aaa", conv), RC_USAGE);
	assert_int_equal(convs_find(c, "", conv), RC_USAGE);
	assert_int_equal(convs_find(c, "aaag", conv), RC_USAGE);
	assert_int_equal(convs_find(c, "ffee00000000000000000000000000000",
	    conv), RC_USAGE);
	assert_int_equal(stop(c), 0);
}

static bool
count(const struct m_s_conv *conv, void *arg)
{
	int *n = arg;

	assert_memory_equal(conv->conv, ids[*n], CONV_LEN);
	return ++*n != 1;
}

static void
test_stop_early(void **state)
{
	struct conn *c = start(K_GOOD);
	int n = 0;

	(void)state;
	assert_int_equal(convs_each(c, count, &n), RC_OK);
	assert_int_equal(n, 1);
	/* The rest of that page did not stay behind. */
	found(c, "bcde", ids[2]);
	assert_int_equal(stop(c), 0);
}

static void
test_choose(void **state)
{
	static const uint8_t none[CONV_LEN];
	struct client cl = { .key = "" };
	uint8_t conv[CONV_LEN];
	char err[256];

	(void)state;
	assert_int_equal(cconf_load(&cl.conf, err, sizeof(err)), 0);
	assert_int_equal(cconf_server_parse(&cl.server, "test"), 0);
	cl.conn = start(K_GOOD);
	assert_int_equal(convs_choose(&cl, conv), RC_OK);
	assert_memory_equal(conv, none, CONV_LEN);
	cl.args.cid = "bcdef0";
	assert_int_equal(convs_choose(&cl, conv), RC_OK);
	assert_memory_equal(conv, ids[2], CONV_LEN);
	/* -c: the newest one, unless this client remembers another. */
	cl.args.cid = NULL;
	cl.args.cont = true;
	assert_int_equal(convs_choose(&cl, conv), RC_OK);
	assert_memory_equal(conv, ids[0], CONV_LEN);
	convs_remember(&cl, ids[1]);
	assert_int_equal(convs_choose(&cl, conv), RC_OK);
	assert_memory_equal(conv, ids[1], CONV_LEN);
	assert_int_equal(stop(cl.conn), 0);
	assert_int_equal(unlink(cl.conf.last), 0);
	cl.conn = start(K_EMPTY);
	assert_int_equal(convs_choose(&cl, conv), RC_ERROR);
	assert_int_equal(stop(cl.conn), 0);
	cconf_free(&cl.conf);
}

static void
test_bad_server(void **state)
{
	struct conn *c = start(K_ERROR);
	uint8_t conv[CONV_LEN];

	(void)state;
	assert_int_equal(convs_find(c, "aaaa1", conv), RC_SERVER);
	assert_int_equal(stop(c), 0);
	c = start(K_OTHER_REQ);
	assert_int_equal(convs_find(c, "aaaa1", conv), RC_LOST);
	/* Such a session is given up: nothing can be sent any more. */
	assert_int_equal(convs_find(c, "aaaa1", conv), RC_LOST);
	assert_int_equal(stop(c), 8);
	c = start(K_WRONG_TYPE);
	assert_int_equal(convs_find(c, "aaaa1", conv), RC_LOST);
	assert_int_equal(stop(c), 8);
	/* A list of nothing, without an end. */
	c = start(K_ENDLESS);
	assert_int_equal(convs_find(c, "aaaa1", conv), RC_LOST);
	assert_int_equal(stop(c), 8);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_stop_early),
		cmocka_unit_test(test_choose),
		cmocka_unit_test(test_bad_server),
	};
	int rv;

	if (mkdtemp(dir) == NULL || setenv("CLOISTER_HOME", dir, 1) == -1)
		return 1;
	rv = cmocka_run_group_tests(tests, NULL, NULL);
	(void)rmdir(dir);
	return rv;
}
