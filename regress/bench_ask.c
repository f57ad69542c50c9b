#include "bench.h"

#include <sys/prctl.h>
#include <sys/socket.h>

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "exits.h"
#include "log.h"
#include "loop.h"
#include "tcp.h"

#define ASKERS_MAX	1024
#define ANSWER_MAX	(16u << 20)
#define CONNECT_MS	10000
#define WAIT_MS		60000

void
identity_open(struct identity *id)
{
	char err[512];

	if (cconf_load(&id->conf, err, sizeof(err)) == -1)
		fatalx("%s", err);
	if (!id->conf.has_server)
		fatalx("the client's configuration names no server");
	if (cconf_known_get(&id->conf, &id->conf.server, id->pin, err,
	    sizeof(err)) != 1)
		fatalx("the server's key is not known");
	if (keyd_start(&id->keyd, &id->conf, id->conf.key) != RC_OK)
		fatalx("keyd does not start");
}

void
identity_close(struct identity *id)
{
	keyd_stop(&id->keyd);
	cconf_free(&id->conf);
}

int
trust_pinned(const struct server_id *id, void *arg)
{
	return memcmp(id->fp, arg, HASH_LEN) == 0 ? RC_OK : RC_SERVER_KEY;
}

static int
loopback(int port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
	    .sin_port = htons((uint16_t)port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd, on = 1;

	if ((fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) == -1 ||
	    connect(fd, (struct sockaddr *)&sin, sizeof(sin)) == -1 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == -1)
		fatal("the upstream");
	return fd;
}

/* ---- what arrives -------------------------------------------------------- */

static void
session_message(struct asker *a, const struct msg *m)
{
	switch (m->type) {
	case MSG_s_delta:
		if (a->first_us == 0)
			a->first_us = now_us();
		break;
	case MSG_s_end:
		a->end_us = now_us();
		/* FALLTHROUGH */
	case MSG_s_hello:
		a->busy = false;
		break;
	case MSG_s_error:
		fatalx("the service says: %.*s", (int)m->u.s_error.text.n,
		    (const char *)m->u.s_error.text.p);
	default:
		break;
	}
}

static void
session_read(struct asker *a)
{
	struct msg m;
	size_t room;
	uint8_t *p = appconn_room(a->ac, &room);
	ssize_t n = read(a->fd, p, room);

	if (n == -1 && errno == EAGAIN)
		return;
	if (n <= 0)
		fatalx("the service closed a session");
	appconn_arrived(a->ac, (size_t)n);
	while (appconn_next(a->ac, &m) == APPCONN_MESSAGE)
		session_message(a, &m);
	if (appconn_why(a->ac) != NULL)
		fatalx("%s", appconn_why(a->ac));
}

static bool
holds(const struct buf *b, const char *text)
{
	return memmem(b->p, b->n, text, strlen(text)) != NULL;
}

/* As little as will do: a reader of HTTP that costs next to nothing. */
static void
http_read(struct asker *a)
{
	static const char last[] = "\r\n0\r\n\r\n";
	char piece[65536];
	ssize_t n = read(a->fd, piece, sizeof(piece));
	size_t tail;

	if (n <= 0)
		fatalx("the upstream closed a connection");
	if (a->first_us == 0) {
		buf_put(&a->in, piece, (size_t)n);
		if (!holds(&a->in, "\"content\":"))
			return;
		a->first_us = now_us();
		if (!holds(&a->in, "HTTP/1.1 200 "))
			fatalx("the upstream refused");
	} else
		buf_put(&a->in, piece, (size_t)n);
	/* Only the end matters from here. */
	tail = sizeof(last) - 1;
	if (a->in.n > tail)
		buf_consume(&a->in, a->in.n - tail);
	if (holds(&a->in, last)) {
		a->end_us = now_us();
		a->busy = false;
		buf_reset(&a->in);
	}
}

static void
asker_read(struct asker *a)
{
	if (a->ac != NULL)
		session_read(a);
	else
		http_read(a);
}

static void
asker_wait(struct asker *a)
{
	struct pollfd p = { .fd = a->fd, .events = POLLIN };

	while (a->busy) {
		if (poll(&p, 1, WAIT_MS) != 1)
			fatalx("no answer");
		asker_read(a);
	}
}

/* ---- what is sent -------------------------------------------------------- */

static void
session_flush(struct asker *a)
{
	struct bytes b = appconn_output(a->ac);

	if (tcp_write(a->fd, b, mono_ms() + WAIT_MS) == -1)
		fatal("sending to the service");
	appconn_written(a->ac, b.n);
}

static void
session_send(struct asker *a, const struct question *q)
{
	struct m_c_prompt p = { .req = ++a->req, .flags = q->store ? 0 : 1,
	    .model = bytes_str(q->model), .text = bytes_str(q->text) };

	if (appconn_send(a->ac, MSG_c_prompt, &p) == -1)
		fatalx("a question could not be sent");
	session_flush(a);
}

/* What an llmproxy would send; the text needs no escapes. */
static void
http_send(struct asker *a, const struct question *q)
{
	char body[2048], head[256];
	int nbody, nhead;
	struct buf b = BUF_INIT(sizeof(body) + sizeof(head));

	nbody = snprintf(body, sizeof(body), "{\"model\":\"%s\",\"messages\":"
	    "[{\"role\":\"user\",\"content\":\"%s\"}],\"stream\":true,"
	    "\"stream_options\":{\"include_usage\":true}}", q->model, q->text);
	nhead = snprintf(head, sizeof(head), "POST /v1/chat/completions "
	    "HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n"
	    "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n",
	    nbody);
	buf_put(&b, head, (size_t)nhead);
	buf_put(&b, body, (size_t)nbody);
	if (b.err || write(a->fd, b.p, b.n) != (ssize_t)b.n)
		fatal("sending to the upstream");
	buf_free(&b);
}

static void
asker_send(struct asker *a, const struct question *q)
{
	a->busy = true;
	a->first_us = a->end_us = 0;
	a->sent_us = now_us();
	if (a->ac != NULL)
		session_send(a, q);
	else
		http_send(a, q);
}

void
asker_ask(struct asker *a, const struct question *q)
{
	asker_send(a, q);
	asker_wait(a);
}

void
askers_run(struct asker *a, size_t n, const struct question *q, unsigned times)
{
	static struct pollfd p[ASKERS_MAX];
	size_t working = n;

	if (n > ASKERS_MAX)
		fatalx("too many connections");
	for (size_t i = 0; i < n; i++) {
		p[i].fd = a[i].fd;
		p[i].events = POLLIN;
		a[i].todo = times;
		asker_send(&a[i], q);
	}
	while (working > 0) {
		if (poll(p, n, WAIT_MS) <= 0)
			fatalx("no answer");
		for (size_t i = 0; i < n; i++) {
			if (p[i].revents == 0)
				continue;
			asker_read(&a[i]);
			if (a[i].busy)
				continue;
			if (--a[i].todo > 0)
				asker_send(&a[i], q);
			else {
				p[i].fd = -1;
				working--;
			}
		}
	}
}

/* ---- connections --------------------------------------------------------- */

void
asker_session(struct asker *a, struct identity *id)
{
	struct handshake h = { .server = id->conf.server.text,
	    .keyd = &id->keyd, .pin = id->pin, .trust = trust_pinned,
	    .arg = id->pin };
	char err[512];

	memset(a, 0, sizeof(*a));
	if (keyd_open(&id->keyd) != RC_OK)
		fatalx("keyd");
	if ((h.fd = tcp_connect(&id->conf.server, CONNECT_MS, err,
	    sizeof(err))) == -1)
		fatalx("%s", err);
	if (handshake_run(&h) != RC_OK)
		fatalx("handshake");
	a->fd = h.fd;
	a->ac = appconn_new(END_A, h.session.suite, h.session.c_ap, h.session.s_ap,
	    h.session.msgmac);
	OPENSSL_cleanse(&h.session, sizeof(h.session));
	a->busy = true;
	asker_wait(a);
}

void
asker_http(struct asker *a, int port)
{
	memset(a, 0, sizeof(*a));
	buf_init(&a->in, ANSWER_MAX);
	a->fd = loopback(port);
}

/* Copy between two sockets for ever. */
static void
relay(int x, int y)
{
	struct pollfd p[2] = { { x, POLLIN, 0 }, { y, POLLIN, 0 } };
	char piece[65536];

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) == -1)
		fatal("prctl");
	for (;;) {
		if (poll(p, 2, -1) == -1)
			fatal("poll");
		for (int i = 0; i < 2; i++) {
			ssize_t n;

			if (p[i].revents == 0)
				continue;
			n = read(p[i].fd, piece, sizeof(piece));
			if (n <= 0 || write(p[1 - i].fd, piece, (size_t)n) != n)
				_exit(0);
		}
	}
}

/* A connected pair of TCP sockets. */
static void
tcp_pair(int pair[2])
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sin);
	int fd, on = 1;

	if ((fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) == -1 ||
	    bind(fd, (struct sockaddr *)&sin, sizeof(sin)) == -1 ||
	    listen(fd, 1) == -1 ||
	    getsockname(fd, (struct sockaddr *)&sin, &len) == -1)
		fatal("listen");
	pair[0] = loopback(ntohs(sin.sin_port));
	if ((pair[1] = accept4(fd, NULL, NULL, SOCK_CLOEXEC)) == -1 ||
	    setsockopt(pair[1], IPPROTO_TCP, TCP_NODELAY, &on,
	    sizeof(on)) == -1)
		fatal("accept");
	(void)close(fd);
}

static pid_t
relay_start(int x, int y)
{
	pid_t pid = fork();

	if (pid == -1)
		fatal("fork");
	if (pid == 0)
		relay(x, y);
	return pid;
}

void
asker_relayed(struct asker *a, int port, pid_t pid[2])
{
	int client[2], between[2], upstream = loopback(port);

	memset(a, 0, sizeof(*a));
	buf_init(&a->in, ANSWER_MAX);
	tcp_pair(client);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, between) == -1)
		fatal("socketpair");
	pid[0] = relay_start(client[1], between[0]);
	pid[1] = relay_start(between[1], upstream);
	(void)close(client[1]);
	(void)close(between[0]);
	(void)close(between[1]);
	(void)close(upstream);
	a->fd = client[0];
}

void
asker_close(struct asker *a)
{
	if (a->ac != NULL) {
		if (appconn_close(a->ac) == -1)
			fatalx("a session could not be ended");
		session_flush(a);
		appconn_free(a->ac);
	} else
		buf_free(&a->in);
	(void)close(a->fd);
}
