/*
 * For tests of the client: a keyd and a server, each in a child process at the
 * other end of a socketpair.
 */
#ifndef TESTS_CONN_ENDS_H
#define TESTS_CONN_ENDS_H

#include <sys/socket.h>
#include <sys/wait.h>

#include <signal.h>
#include <unistd.h>

#include "appconn.h"
#include "chan.h"
#include "hs_ends.h"
#include "tcp.h"
#include "loop.h"

/* What a server does that is not as it should be. */
enum server_kind {
	S_GOOD,		/* nothing: a whole session */
	S_SILENT,	/* reads CH and closes */
	S_IMPOSTOR,	/* takes mac1 under the pin, shows its own key */
	S_REFUSE,	/* CLOSE in answer to CA */
	S_DROP,		/* end of file in answer to CA */
	S_FLIP,		/* a bit of the record with KW flipped */
	S_TRUNCATE,	/* end of file in the middle of an answer */
	S_CLOSE,	/* CLOSE in the middle of an answer */
	S_CANCEL,	/* interrupts the client, and waits for c_cancel */
	S_STRANGE	/* answers a request that was not made */
};

struct server {
	pid_t	pid;
	int	fd;	/* the client's end */
	int	report;	/* reads what the server says at its end */
};

/* What the server tells the test when it ends. */
struct report {
	uint32_t	after_sa;	/* bytes that came after SA was sent */
	uint32_t	authenticated;
	uint32_t	closed;		/* the client's CLOSE came, and was right */
	uint32_t	prompts;
};

#define DEADLINE (mono_ms() + 30000)

static void
serve_seal(int fd, const uint8_t secret[HASH_LEN], uint64_t seq,
    enum record_type type, struct bytes content, bool flip)
{
	struct buf b = BUF_INIT(RECORD_MAX);
	struct record_dir d;

	record_dir_init(&d, secret, RECORD_EPOCH_HS);
	d.seq = seq;
	if (record_seal(&d, type, content, 0, &b) == -1)
		_exit(9);
	if (flip)
		b.p[b.n - 1] ^= 1;
	if (tcp_write(fd, buf_bytes(&b), DEADLINE) == -1)
		_exit(9);
	record_dir_free(&d);
	buf_free(&b);
}

/* Read the client's record; its bytes are counted.  0, or -1 at end of file. */
static int
serve_open(int fd, const uint8_t secret[HASH_LEN], uint64_t seq,
    uint8_t rec[RECORD_MAX], struct bytes *content, uint32_t *count)
{
	struct record_dir d;
	enum record_type type;
	size_t got, total;
	int r;

	r = tcp_read(fd, rec, RECORD_HDR, &got, DEADLINE);
	*count += (uint32_t)got;
	if (r != 0)
		return -1;
	if (record_frame(bytes_of(rec, RECORD_HDR), &total) == -1)
		_exit(9);
	r = tcp_read(fd, rec + RECORD_HDR, total - RECORD_HDR, &got, DEADLINE);
	*count += (uint32_t)got;
	if (r != 0)
		return -1;
	record_dir_init(&d, secret, RECORD_EPOCH_HS);
	d.seq = seq;
	if (record_open(&d, rec, total, &type, content) == -1 ||
	    type != RECORD_HANDSHAKE)
		_exit(9);
	record_dir_free(&d);
	return 0;
}

/* The handshake; 0 with s, or -1 when it ended early. */
static int
serve_handshake(int fd, enum server_kind kind, const uint8_t pin[HASH_LEN],
    struct report *rep, struct hs_session *s)
{
	static uint8_t rec[RECORD_MAX];
	struct buf sh = BUF_INIT(HS_FLIGHT_MAX), sa = BUF_INIT(HS_FLIGHT_MAX);
	struct buf kw = BUF_INIT(HS_FLIGHT_MAX), sig = BUF_INIT(RSA_OUT_MAX);
	struct bytes none = { NULL, 0 }, in;
	uint8_t ch[HS_CH_LEN];
	struct hs_ca ca;
	struct hs hs;
	size_t got;

	if (tcp_read(fd, ch, sizeof(ch), &got, DEADLINE) != 0)
		_exit(9);
	if (kind == S_SILENT)
		return -1;
	hs_server_init(&hs, 0);
	if (hs_server_read_ch(&hs, bytes_of(ch, sizeof(ch)),
	    kind == S_IMPOSTOR ? pin : server_hash, true) != HS_OK)
		return -1;
	memcpy(hs.server_hash, server_hash, HASH_LEN);
	if (hs_server_make_sh(&hs, random_s, &sh) == -1)
		_exit(9);
	sign_server(&hs, none, &sig);
	if (hs_server_make_sa(&hs, buf_bytes(&server_spki), none,
	    buf_bytes(&sig), &sa) == -1 ||
	    tcp_write(fd, buf_bytes(&sh), DEADLINE) == -1)
		_exit(9);
	serve_seal(fd, hs.s_hs, 0, RECORD_HANDSHAKE, buf_bytes(&sa), false);
	if (serve_open(fd, hs.c_hs, 0, rec, &in, &rep->after_sa) == -1)
		return -1;
	if (hs_server_read_ca(&hs, in, &ca) == -1)
		_exit(9);
	if (kind == S_DROP)
		return -1;
	if (kind == S_REFUSE) {
		serve_seal(fd, hs.s_hs, 1, RECORD_CLOSE, none, false);
		return -1;
	}
	if (hs_server_make_kw(&hs, &kw) == -1)
		_exit(9);
	serve_seal(fd, hs.s_hs, 1, RECORD_HANDSHAKE, buf_bytes(&kw),
	    kind == S_FLIP);
	if (serve_open(fd, hs.c_hs, 1, rec, &in, &rep->after_sa) == -1)
		return -1;
	if (hs_server_read_cc(&hs, in) == -1 || hs_session(&hs, s) == -1)
		_exit(9);
	rep->authenticated = 1;
	return 0;
}

static void
serve_flush(int fd, struct appconn *ac)
{
	struct bytes out = appconn_output(ac);

	if (tcp_write(fd, out, DEADLINE) == -1)
		_exit(9);
	appconn_written(ac, out.n);
}

static void
serve_delta(struct appconn *ac, uint32_t req, uint8_t kind, const char *text)
{
	struct m_s_delta d = { .req = req, .kind = kind,
	    .text = bytes_str(text) };

	if (appconn_send(ac, MSG_s_delta, &d) == -1)
		_exit(9);
}

static void
serve_end(struct appconn *ac, uint32_t req, uint8_t finish)
{
	struct m_s_end e = { .req = req, .finish = finish,
	    .model = bytes_str("m") };

	if (appconn_send(ac, MSG_s_end, &e) == -1)
		_exit(9);
}

/* Answer a prompt in this server's way; 0, or -1 to end at once. */
static int
serve_prompt(int fd, struct appconn *ac, enum server_kind kind, uint32_t req)
{
	struct m_s_stored st = { .req = req, .number = 1,
	    .conv = { 0xab, 0xcd, 0xef } };

	if (appconn_send(ac, MSG_s_stored, &st) == -1)
		_exit(9);
	serve_delta(ac, req, 1, "thinking");
	serve_delta(ac, req, 0, "The \033[31manswer");
	if (kind == S_STRANGE)
		serve_delta(ac, req + 7, 0, "x");
	serve_flush(fd, ac);
	if (kind == S_TRUNCATE)
		return -1;
	if (kind == S_STRANGE)
		return 0;
	if (kind == S_CLOSE) {
		if (appconn_close(ac) == -1)
			_exit(9);
		serve_flush(fd, ac);
		return -1;
	}
	if (kind == S_CANCEL) {
		if (kill(getppid(), SIGINT) == -1)
			_exit(9);
		return 0;
	}
	serve_delta(ac, req, 0, " is 42.");
	serve_end(ac, req, 1);
	serve_flush(fd, ac);
	return 0;
}

static void
serve_session(int fd, enum server_kind kind, const struct hs_session *s,
    struct report *rep)
{
	struct appconn *ac = appconn_new(END_B, s->suite, s->c_ap, s->s_ap,
	    s->msgmac);
	struct m_s_hello hello = { .user = bytes_str("alice"),
	    .version = bytes_str("test"), .max_prompt_bytes = 1000 };
	enum appconn_result r;
	uint8_t *p;
	struct msg m;
	size_t room, got;

	if (appconn_send(ac, MSG_s_hello, &hello) == -1)
		_exit(9);
	serve_flush(fd, ac);
	for (;;) {
		while ((r = appconn_next(ac, &m)) == APPCONN_MESSAGE) {
			if (m.type == MSG_c_prompt) {
				rep->prompts++;
				if (serve_prompt(fd, ac, kind,
				    m.u.c_prompt.req) == -1)
					return;
			} else if (m.type == MSG_c_cancel) {
				serve_end(ac, m.u.c_cancel.req, 3);
				serve_flush(fd, ac);
			}
		}
		if (r != APPCONN_AGAIN)
			break;
		p = appconn_room(ac, &room);
		if (tcp_read(fd, p, 1, &got, DEADLINE) != 0)
			break;
		appconn_arrived(ac, got);
	}
	rep->closed = r == APPCONN_CLOSED;
}

static void
start_server(struct server *sv, enum server_kind kind,
    const uint8_t pin[HASH_LEN])
{
	struct report rep = { 0 };
	struct hs_session s;
	int pair[2], report[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
	    pair), 0);
	assert_int_equal(pipe(report), 0);
	sv->pid = fork();
	assert_int_not_equal(sv->pid, -1);
	if (sv->pid == 0) {
		(void)close(pair[0]);
		if (serve_handshake(pair[1], kind, pin, &rep, &s) == 0)
			serve_session(pair[1], kind, &s, &rep);
		_exit(write(report[1], &rep, sizeof(rep)) == sizeof(rep) ?
		    0 : 9);
	}
	(void)close(pair[1]);
	(void)close(report[1]);
	sv->fd = pair[0];
	sv->report = report[0];
}

/* The client's end is closed by then. */
static struct report
stop_server(struct server *sv)
{
	struct report rep;
	int status;

	assert_int_equal(waitpid(sv->pid, &status, 0), sv->pid);
	assert_int_equal(status, 0);
	assert_int_equal(read(sv->report, &rep, sizeof(rep)), sizeof(rep));
	(void)close(sv->report);
	return rep;
}

/* What keyd does, in a child: one handshake. */
static void
fake_keyd(int fd)
{
	struct chan *c = chan_new(NULL, fd, CH_CLI_KEYD, END_B, CLI_KEYD_NEW, 0,
	    NULL, NULL, NULL);
	struct m_kc_opened opened = { .spki = buf_bytes(&client_spki),
	    .wrap_spki = buf_bytes(&wrap_spki) };
	struct buf tbs = BUF_INIT(HS_TBS_MAX), sig = BUF_INIT(RSA_OUT_MAX);
	struct m_kc_sig signature;
	struct m_kc_wd wd;
	struct hs hs = { .suite = 0 };
	const char *why;
	struct msg m;

	if (chan_recv(c, &m, -1, &why) != 0)
		_exit(0);
	memcpy(opened.random_c, random_c, HS_RANDOM);
	chan_set_state(c, CLI_KEYD_OPENED);
	if (chan_send(c, MSG_kc_opened, &opened, -1) == -1 ||
	    chan_recv(c, &m, -1, &why) != 0)
		_exit(0);
	hs.suite = m.u.ck_sign.suite;
	memcpy(hs.random_c, random_c, HS_RANDOM);
	memcpy(hs.random_s, m.u.ck_sign.random_s, HS_RANDOM);
	memcpy(hs.th_sf, m.u.ck_sign.th_sf, HASH_LEN);
	memcpy(hs.server_hash, m.u.ck_sign.server_hash, HASH_LEN);
	tbs_of_client(&hs, &tbs);
	if (rsa_pss_sign(&sig, client_key, buf_bytes(&tbs)) == -1)
		_exit(9);
	signature.sig = buf_bytes(&sig);
	chan_set_state(c, CLI_KEYD_SIGNED);
	if (chan_send(c, MSG_kc_sig, &signature, -1) == -1 ||
	    chan_recv(c, &m, -1, &why) != 0)
		_exit(0);
	memcpy(hs.th_cf, m.u.ck_unwrap.th_cf, HASH_LEN);
	unwrap(&hs, m.u.ck_unwrap.wrapped, wd.wd);
	chan_set_state(c, CLI_KEYD_DONE);
	(void)chan_send(c, MSG_kc_wd, &wd, -1);
	_exit(0);
}

/* A keyd child, as keyd_start() would make one. */
static void
start_keyd(struct keyd *k)
{
	int pair[2];
	pid_t pid;

	assert_int_equal(chan_pair(pair, false), 0);
	pid = fork();
	assert_int_not_equal(pid, -1);
	if (pid == 0) {
		(void)close(pair[0]);
		fake_keyd(pair[1]);
	}
	(void)close(pair[1]);
	keyd_attach(k, pair[0], pid);
}

#endif
