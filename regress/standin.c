/*
 * standin: an upstream that is no model, for the demo and for tests, and speaks
 * OpenAI's, Anthropic's and Ollama's protocols.  It answers on 127.0.0.1
 * (or elsewhere) with a text that says what it is; a model's name
 * chooses how it misbehaves (see standin_answer.c).  One thread for each
 * connection and plain sockets: libraries do not misbehave on demand.
 *
 *	standin [--address A] [--port N] [--key KEY] [--delay-ms N] [--log FILE]
 *		[--tls CERT KEY] [--keep-alive 1]
 *
 * Prints "listening PORT" when it is ready; SIGTERM ends it.  The log gets one
 * line for each completion: model, number of messages, "done" or "aborted" (the
 * client went away before the end), and "credentials" where a key or a password
 * came with it.
 */
#include "standin.h"

#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"

#define HEAD_MAX	(64 * 1024)
#define BODY_MAX	(16 * 1024 * 1024)

struct standin standin = { NULL, 20, -1, NULL, false };

void
nap(struct conn *c, int ms)
{
	struct pollfd p = { .fd = c->fd, .events = POLLRDHUP };

	if (!c->gone && poll(&p, 1, ms) == 1)
		c->gone = true;
}

void
write_all(struct conn *c, const void *p, size_t n)
{
	const uint8_t *b = p;

	while (n > 0 && !c->gone) {
		ssize_t w = c->ssl != NULL ?
		    SSL_write(c->ssl, b, n > INT_MAX ? INT_MAX : (int)n) :
		    write(c->fd, b, n);

		if (w <= 0) {
			c->gone = true;
			return;
		}
		b += w;
		n -= (size_t)w;
	}
}

static ssize_t
read_some(struct conn *c, void *p, size_t n)
{
	return c->ssl != NULL ? SSL_read(c->ssl, p, (int)n) :
	    read(c->fd, p, n);
}

/* The value of a header in a NUL-terminated head, copied; "" without it. */
static void
header(const char *head, const char *name, char *dst, size_t size)
{
	const char *p = head;
	size_t n = strlen(name);

	dst[0] = '\0';
	while ((p = strstr(p, "\r\n")) != NULL) {
		p += 2;
		if (strncasecmp(p, name, n) != 0 || p[n] != ':')
			continue;
		p += n + 1;
		p += strspn(p, " \t");
		n = strcspn(p, "\r");
		(void)strlcpy(dst, p, n < size ? n + 1 : size);
		return;
	}
}

static bool
authorized(const char *head)
{
	char got[512], want[512];

	if (standin.key == NULL)
		return true;
	header(head, "Authorization", got, sizeof(got));
	(void)snprintf(want, sizeof(want), "Bearer %s", standin.key);
	if (strcmp(got, want) == 0)
		return strncmp(head, "POST /v1/messages ", 18) != 0;
	header(head, "x-api-key", got, sizeof(got));
	return strcmp(got, standin.key) == 0;
}

/* Read until in holds n bytes, or, with n 0, a whole head; how long that is. */
static size_t
fill(struct conn *c, struct buf *in, size_t n)
{
	char piece[8192], *end;
	ssize_t r;

	for (;;) {
		if (n > 0 && in->n >= n)
			return n;
		if (n == 0 && in->n > 0 && (end = memmem(in->p, in->n,
		    "\r\n\r\n", 4)) != NULL)
			return (size_t)((uint8_t *)end - in->p) + 4;
		if ((r = read_some(c, piece, sizeof(piece))) <= 0)
			return 0;
		buf_put(in, piece, (size_t)r);
		if (in->err)
			return 0;
	}
}

/* Whether this is a path where completions are asked for, and in which form. */
static bool
takes(struct conn *c, const char *head)
{
	static const char *const posts[PROVIDER_TYPES] = {
		[PROVIDER_OPENAI] = "POST /v1/chat/completions ",
		[PROVIDER_ANTHROPIC] = "POST /v1/messages ",
		[PROVIDER_OLLAMA] = "POST /api/chat ",
	};

	for (int i = 0; i < PROVIDER_TYPES; i++)
		if (strncmp(head, posts[i], strlen(posts[i])) == 0) {
			c->wire = (enum provider_type)i;
			return true;
		}
	return false;
}

/* One request; c->sent says whether its answer ended properly. */
static void
serve(struct conn *c)
{
	struct buf in = BUF_INIT(HEAD_MAX + BODY_MAX);
	char *head = NULL, field[64];
	size_t n, len;

	c->sent = c->chunked = c->crlf = c->dribble = false;
	c->req = NULL;
	if ((n = fill(c, &in, 0)) == 0 ||
	    (head = strndup((const char *)in.p, n - 2)) == NULL)
		goto out;
	buf_consume(&in, n);
	header(head, "Content-Length", field, sizeof(field));
	len = (size_t)strtonum(field, 0, BODY_MAX, NULL);
	header(head, "Expect", field, sizeof(field));
	if (field[0] != '\0')
		write_all(c, "HTTP/1.1 100 Continue\r\n\r\n", 25);
	if (len > 0 && fill(c, &in, len) == 0)
		goto out;
	header(head, "Authorization", field, sizeof(field));
	c->credentials = field[0] != '\0';
	if (!authorized(head))
		answer_plain(c, 401, "", "{\"error\":{\"message\":\"Incorrect API key "
		    "provided\",\"type\":\"invalid_request_error\",\"param\":"
		    "null,\"code\":\"invalid_api_key\"}}");
	else if (takes(c, head))
		answer_completion(c, bytes_of(in.p, len));
	else if (strncmp(head, "GET /v1/models ", 15) == 0)
		answer_models(c);
	else
		answer_plain(c, 404, "", "{\"error\":{\"message\":\"no such path\","
		    "\"type\":\"not_found_error\",\"code\":404}}");
out:
	free(head);
	buf_free(&in);
	json_decref(c->req);
}

static void *
connection(void *arg)
{
	struct conn *c = arg;
	char rest[4096];

	if (standin.tls != NULL && ((c->ssl = SSL_new(standin.tls)) == NULL ||
	    SSL_set_fd(c->ssl, c->fd) != 1 || SSL_accept(c->ssl) != 1))
		c->gone = true;
	if (!c->gone) {
		do
			serve(c);
		while (standin.keep_alive && c->sent && !c->gone);
	}
	if (c->ssl != NULL && !c->gone)
		(void)SSL_shutdown(c->ssl);
	/* Let the peer read everything before a reset could reach it. */
	(void)shutdown(c->fd, SHUT_WR);
	while (!c->gone && read(c->fd, rest, sizeof(rest)) > 0)
		;
	SSL_free(c->ssl);
	(void)close(c->fd);
	free(c);
	return NULL;
}

static void
on_term(int sig)
{
	(void)sig;
	_exit(0);
}

static struct sockaddr_in where = { .sin_family = AF_INET };

static int
listen_on(void)
{
	socklen_t len = sizeof(where);
	int fd, on = 1;

	if ((fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) == -1 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == -1 ||
	    bind(fd, (struct sockaddr *)&where, sizeof(where)) == -1 ||
	    listen(fd, 128) == -1 ||
	    getsockname(fd, (struct sockaddr *)&where, &len) == -1)
		fatal("listen");
	(void)printf("listening %u\n", ntohs(where.sin_port));
	(void)fflush(stdout);
	return fd;
}

static void
use_tls(const char *cert, const char *key)
{
	if ((standin.tls = SSL_CTX_new(TLS_server_method())) == NULL ||
	    SSL_CTX_use_certificate_chain_file(standin.tls, cert) != 1 ||
	    SSL_CTX_use_PrivateKey_file(standin.tls, key, SSL_FILETYPE_PEM) != 1)
		fatalx("cannot use %s and %s", cert, key);
}

static void
options(int argc, char **argv)
{
	where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (int i = 1; i < argc; i++) {
		const char *o = argv[i], *v = argv[i + 1], *e = NULL;

		if (v == NULL)
			fatalx("%s needs a value", o);
		if (strcmp(o, "--port") == 0)
			where.sin_port = htons((uint16_t)strtonum(v, 0,
			    UINT16_MAX, &e));
		else if (strcmp(o, "--address") == 0)
			e = inet_pton(AF_INET, v, &where.sin_addr) == 1 ? NULL :
			    "no address";
		else if (strcmp(o, "--key") == 0)
			standin.key = v;
		else if (strcmp(o, "--delay-ms") == 0)
			standin.delay_ms = (int)strtonum(v, 0, 60000, &e);
		else if (strcmp(o, "--keep-alive") == 0)
			standin.keep_alive = strtonum(v, 0, 1, &e) == 1;
		else if (strcmp(o, "--log") == 0) {
			if ((standin.log_fd = open(v, O_WRONLY | O_APPEND |
			    O_CREAT | O_CLOEXEC, 0600)) == -1)
				fatal("%s", v);
		} else if (strcmp(o, "--tls") == 0 && argv[i + 2] != NULL)
			use_tls(v, argv[++i + 1]);
		else
			fatalx("unknown option %s", o);
		if (e != NULL)
			fatalx("%s %s is %s", o, v, e);
		i++;
	}
}

int
main(int argc, char **argv)
{
	pthread_attr_t detached;
	pthread_t t;
	int fd, on = 1;

	log_set_name("standin");
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR ||
	    signal(SIGTERM, on_term) == SIG_ERR ||
	    pthread_attr_init(&detached) != 0 ||
	    pthread_attr_setdetachstate(&detached,
	    PTHREAD_CREATE_DETACHED) != 0)
		fatal("start");
	options(argc, argv);
	fd = listen_on();
	for (;;) {
		struct conn *c = calloc(1, sizeof(*c));

		if (c == NULL)
			fatal("calloc");
		if ((c->fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC)) == -1 ||
		    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on,
		    sizeof(on)) == -1 ||
		    pthread_create(&t, &detached, connection, c) != 0) {
			log_warn("connection: %s", strerror(errno));
			if (c->fd != -1)
				(void)close(c->fd);
			free(c);
		}
	}
}
