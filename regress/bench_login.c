#include "bench.h"

#include <sys/wait.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/ssl.h>

#include "exits.h"
#include "log.h"
#include "loop.h"
#include "record.h"
#include "tcp.h"

#define CLIENTS		4
#define WAIT_MS		10000

/*
 * One client of a kind: begin() once, which comes in once as well; then once()
 * for each login that is counted.
 */
struct login_kind {
	void	*(*begin)(void *arg);
	void	(*once)(void *state);
	void	*arg;
};

static _Noreturn void
be_client(const struct login_kind *k, int ready, int go, unsigned times)
{
	void *state = k->begin(k->arg);
	char c = 0;

	if (write(ready, &c, 1) != 1 || read(go, &c, 1) != 1)
		fatal("start");
	while (times-- > 0)
		k->once(state);
	_exit(0);
}

/* Print `WHAT.rate' and `WHAT.cpu' of the service's processes. */
static void
logins(const char *what, pid_t service, unsigned per_client,
    const struct login_kind *k)
{
	size_t processes = tree_count(service);
	double cpu, start, n = CLIENTS * (double)per_client, elapsed;
	int status, ready[2], go[2];
	char bytes[CLIENTS] = { 0 }, name[64];

	if (pipe2(ready, O_CLOEXEC) == -1 || pipe2(go, O_CLOEXEC) == -1)
		fatal("pipe2");
	for (int i = 0; i < CLIENTS; i++) {
		pid_t pid = fork();

		if (pid == -1)
			fatal("fork");
		if (pid == 0)
			be_client(k, ready[1], go[0], per_client);
	}
	(void)close(ready[1]);
	for (int i = 0; i < CLIENTS; i++)
		if (read(ready[0], bytes, 1) != 1)
			fatalx("%s: a client failed", what);
	tree_settle(service, processes);
	cpu = tree_cpu_us(service);
	start = now_us();
	if (write(go[1], bytes, sizeof(bytes)) != (ssize_t)sizeof(bytes))
		fatal("start");
	for (int i = 0; i < CLIENTS; i++)
		if (wait(&status) == -1 || status != 0)
			fatalx("%s: a client failed", what);
	elapsed = now_us() - start;
	tree_settle(service, processes);
	(void)snprintf(name, sizeof(name), "%s.rate", what);
	metric(name, n * 1e6 / elapsed);
	(void)snprintf(name, sizeof(name), "%s.cpu", what);
	metric(name, (tree_cpu_us(service) - cpu) / n / 1e3);
	(void)close(ready[0]);
	(void)close(go[0]);
	(void)close(go[1]);
}

/* ---- Cloister's full handshake -------------------------------------------- */

static void
full_once(void *state)
{
	struct asker a;

	asker_session(&a, state);
	asker_close(&a);
}

static void *
full_begin(void *arg)
{
	static struct identity id;

	(void)arg;
	identity_open(&id);
	full_once(&id);
	return &id;
}

void
bench_handshake(pid_t service, unsigned per_client)
{
	struct login_kind k = { full_begin, full_once, NULL };

	logins("handshake", service, per_client, &k);
}

/* ---- resumed --------------------------------------------------------------- */

struct resumer {
	struct identity		 id;
	struct hs_session	 last;
	uint8_t			 suite;
	int			 fd;
	struct appconn		*ac;
};

/* The next message of the session. */
static void
next_message(struct resumer *r, enum msg_type type, struct msg *m)
{
	size_t room, got;
	uint8_t *p;

	while (appconn_next(r->ac, m) != APPCONN_MESSAGE) {
		p = appconn_room(r->ac, &room);
		if (tcp_read(r->fd, p, 1, &got, mono_ms() + WAIT_MS) != 0)
			fatalx("the session ends: %s",
			    appconn_why(r->ac) == NULL ? "end of file" :
			    appconn_why(r->ac));
		appconn_arrived(r->ac, 1);
	}
	if (m->type != type)
		fatalx("%s, not %s", msg_desc(m->type)->name,
		    msg_desc(type)->name);
}

static void
say(struct resumer *r, enum msg_type type, const void *body)
{
	struct bytes b;

	if (appconn_send(r->ac, type, body) == -1)
		fatalx("a message");
	b = appconn_output(r->ac);
	if (tcp_write(r->fd, b, mono_ms() + WAIT_MS) == -1)
		fatal("write");
	appconn_written(r->ac, b.n);
}

static void
session_begin(struct resumer *r)
{
	struct msg m;

	r->ac = appconn_new(END_A, r->last.suite, r->last.c_ap, r->last.s_ap,
	    r->last.msgmac);
	next_message(r, MSG_s_hello, &m);
}

/* Take a ticket, suspend the session, and leave. */
static void
session_leave(struct resumer *r, struct hs_ticket *t)
{
	struct m_c_ticket ask = { .req = 1 };
	struct m_c_suspend suspend = { .req = 2 };
	struct bytes b;
	struct msg m;

	say(r, MSG_c_ticket, &ask);
	next_message(r, MSG_s_ticket, &m);
	memcpy(t->id, m.u.s_ticket.ticket, sizeof(t->id));
	hs_ticket_psk(t->psk, r->last.resumption, t->id);
	t->suite = r->suite;
	say(r, MSG_c_suspend, &suspend);
	next_message(r, MSG_s_done, &m);
	if (appconn_close(r->ac) == -1)
		fatalx("CLOSE");
	b = appconn_output(r->ac);
	if (tcp_write(r->fd, b, mono_ms() + WAIT_MS) == -1)
		fatal("write");
	appconn_free(r->ac);
	(void)close(r->fd);
}

static int
dial(struct identity *id)
{
	char err[512];
	int fd = tcp_connect(&id->conf.server, WAIT_MS, err, sizeof(err));

	if (fd == -1)
		fatalx("%s", err);
	return fd;
}

/* CH with the ticket, SH, SF, CF. */
static void
resume(struct resumer *r, const struct hs_ticket *t)
{
	struct buf out = BUF_INIT(RECORD_MAX), cf = BUF_INIT(HS_FLIGHT_MAX);
	uint8_t random_c[HS_RANDOM], in[RECORD_MAX];
	struct record_dir rx, tx;
	enum record_type type;
	struct bytes flight;
	size_t got, n;
	struct hs hs;

	r->fd = dial(&r->id);
	crypto_random(random_c, sizeof(random_c));
	hs_client_init(&hs, 0);
	if (hs_client_resume(&hs, t) != 0 ||
	    hs_client_make_ch(&hs, random_c, r->id.pin, &out) != 0 ||
	    tcp_write(r->fd, buf_bytes(&out), mono_ms() + WAIT_MS) == -1 ||
	    tcp_read(r->fd, in, HS_MSG_HDR, &got, mono_ms() + WAIT_MS) != 0 ||
	    (n = hs_clear_len(in, HS_SH)) == 0 ||
	    tcp_read(r->fd, in + HS_MSG_HDR, n - HS_MSG_HDR, &got,
	    mono_ms() + WAIT_MS) != 0 ||
	    hs_client_read_sh(&hs, bytes_of(in, n)) != 0)
		fatalx("no SH");
	record_dir_init(&rx, hs.s_hs, RECORD_EPOCH_HS);
	record_dir_init(&tx, hs.c_hs, RECORD_EPOCH_HS);
	if (tcp_read(r->fd, in, RECORD_HDR, &got, mono_ms() + WAIT_MS) != 0 ||
	    record_frame(bytes_of(in, RECORD_HDR), &n) == -1 ||
	    tcp_read(r->fd, in + RECORD_HDR, n - RECORD_HDR, &got,
	    mono_ms() + WAIT_MS) != 0 ||
	    record_open(&rx, in, n, &type, &flight) != 0 ||
	    hs_client_read_sf(&hs, flight) != 0 ||
	    hs_client_make_cf(&hs, &cf) != 0)
		fatalx("the ticket is not taken");
	buf_reset(&out);
	if (record_seal(&tx, RECORD_HANDSHAKE, buf_bytes(&cf), 0, &out) != 0 ||
	    tcp_write(r->fd, buf_bytes(&out), mono_ms() + WAIT_MS) == -1 ||
	    hs_session(&hs, &r->last) != 0)
		fatalx("CF");
	record_dir_free(&rx);
	record_dir_free(&tx);
	hs_free(&hs);
	buf_free(&out);
	buf_free(&cf);
}

static void
resume_once(void *state)
{
	struct resumer *r = state;
	struct hs_ticket t;

	session_leave(r, &t);
	resume(r, &t);
	session_begin(r);
}

static void *
resume_begin(void *arg)
{
	static struct resumer r;
	struct handshake h = { .keyd = &r.id.keyd, .pin = r.id.pin };

	(void)arg;
	identity_open(&r.id);
	h.server = r.id.conf.server.text;
	h.trust = trust_pinned;
	h.arg = r.id.pin;
	if (keyd_open(&r.id.keyd) != RC_OK)
		fatalx("keyd");
	h.fd = r.fd = dial(&r.id);
	if (handshake_run(&h) != RC_OK)
		fatalx("handshake");
	r.last = h.session;
	r.suite = HS_SUITE_BEST;
	session_begin(&r);
	resume_once(&r);
	return &r;
}

void
bench_resume(pid_t service, unsigned per_client)
{
	struct login_kind k = { resume_begin, resume_once, NULL };

	logins("resumed", service, per_client, &k);
}

/* ---- TLS 1.3 with certificates of both ends --------------------------------- */

struct tls {
	SSL_CTX		*ctx;
	SSL_SESSION	*session;	/* to resume, or NULL */
	int		 port;
	bool		 resume;
};

static int
keep_session(SSL *ssl, SSL_SESSION *s)
{
	struct tls *t = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

	SSL_SESSION_free(t->session);
	t->session = s;
	return 1;
}

/* Handshake, and one short request: so both know that it has succeeded. */
static void
tls_once(void *state)
{
	static const char request[] = "GET / HTTP/1.0\r\n\r\n";
	struct tls *t = state;
	struct cconf_server local = { .host = "127.0.0.1", .numeric = true,
	    .port = (uint16_t)t->port };
	SSL *ssl = SSL_new(t->ctx);
	char answer[4096], err[512];
	int fd = tcp_connect(&local, WAIT_MS, err, sizeof(err)), n;

	if (fd == -1)
		fatalx("%s", err);
	if (fcntl(fd, F_SETFL, 0) == -1 || ssl == NULL ||
	    SSL_set_fd(ssl, fd) != 1 || (t->resume && t->session != NULL &&
	    SSL_set_session(ssl, t->session) != 1))
		fatalx("TLS");
	if (SSL_connect(ssl) != 1 ||
	    SSL_write(ssl, request, sizeof(request) - 1) <= 0 ||
	    (n = SSL_read(ssl, answer, sizeof(answer) - 1)) <= 0)
		crypto_fatalx("TLS");
	answer[n] = '\0';
	if (strncmp(answer, "HTTP/1.1 204", 12) != 0)
		fatalx("TLS: the server says %.40s", answer);
	while (SSL_read(ssl, answer, sizeof(answer)) > 0)
		;
	(void)SSL_shutdown(ssl);
	SSL_free(ssl);
	(void)close(fd);
}

static void *
tls_begin(void *arg)
{
	static struct tls t;
	const struct tls *as = arg;

	t = *as;
	SSL_CTX_set_app_data(t.ctx, &t);
	tls_once(&t);
	if (t.resume && t.session == NULL)
		fatalx("TLS: no ticket");
	return &t;
}

void
bench_tls(pid_t service, unsigned per_client, int port, const char *dir)
{
	struct tls t = { .port = port };
	struct login_kind k = { tls_begin, tls_once, &t };
	char cert[1024], key[1024], ca[1024];

	(void)snprintf(cert, sizeof(cert), "%s/client.crt", dir);
	(void)snprintf(key, sizeof(key), "%s/client.key", dir);
	(void)snprintf(ca, sizeof(ca), "%s/ca.crt", dir);
	if ((t.ctx = SSL_CTX_new(TLS_client_method())) == NULL ||
	    SSL_CTX_set_min_proto_version(t.ctx, TLS1_3_VERSION) != 1 ||
	    SSL_CTX_use_certificate_file(t.ctx, cert, SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_use_PrivateKey_file(t.ctx, key, SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_load_verify_locations(t.ctx, ca, NULL) != 1)
		crypto_fatalx("TLS: keys");
	SSL_CTX_set_verify(t.ctx, SSL_VERIFY_PEER, NULL);
	logins("tls", service, per_client, &k);
	t.resume = true;
	/* Of each client's own copy. */
	SSL_CTX_set_session_cache_mode(t.ctx, SSL_SESS_CACHE_CLIENT |
	    SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(t.ctx, keep_session);
	logins("tls.resumed", service, per_client, &k);
	SSL_CTX_free(t.ctx);
}

/* ---- any program that logs in and leaves -------------------------------------- */

static void
spawn_once(void *state)
{
	char *const *argv = state;
	int status;
	pid_t pid = fork();

	if (pid == -1)
		fatal("fork");
	if (pid == 0) {
		(void)execvp(argv[0], argv);
		fatal("%s", argv[0]);
	}
	if (waitpid(pid, &status, 0) != pid || status != 0)
		fatalx("%s: status %#x", argv[0], (unsigned)status);
}

static void *
spawn_begin(void *arg)
{
	spawn_once(arg);
	return arg;
}

void
bench_spawn(const char *what, pid_t service, unsigned per_client, char **argv)
{
	struct login_kind k = { spawn_begin, spawn_once, argv };

	logins(what, service, per_client, &k);
}
