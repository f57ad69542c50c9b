#include "llmproxy.h"

#include <sys/socket.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "log.h"
#include "role.h"

#define HELLO_MS	2000	/* until the connector is greeted again */
#define SPARE_MS	20000	/* how long an unused connection is kept */
#define IDLE_MAX	LLM_REQUESTS_MAX /* connections that libcurl keeps */
#define GRACE_S		5	/* for the connector, beyond its own time-out */

/* A socket that libcurl has. */
struct sock {
	LIST_ENTRY(sock) link;
	struct llmproxy	*lp;
	int		 fd;
	struct loop_io	*io;		/* NULL while nothing is awaited */
};

void
transport_prepare(struct llmproxy *lp)
{
	CURL *easy;

	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK ||
	    (lp->multi = curl_multi_init()) == NULL ||
	    (easy = curl_easy_init()) == NULL)
		fatalx("libcurl cannot be started");
	curl_easy_cleanup(easy);
	upstream_prepare(lp);
	for (size_t i = 0; i < 2; i++)
		lp->spare[i].fd = -1;
	LIST_INIT(&lp->socks);
}

/* ---- libcurl on the event loop ------------------------------------------- */

static void
collect_done(struct llmproxy *lp)
{
	CURLMsg *m;
	struct request *r;
	CURLcode rc;
	int left;

	while ((m = curl_multi_info_read(lp->multi, &left)) != NULL) {
		if (m->msg != CURLMSG_DONE)
			continue;
		rc = m->data.result;
		if (curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &r) !=
		    CURLE_OK)
			fatalx("libcurl lost a request");
		request_attempt_done(r, rc, r->curl_error[0] != '\0' ?
		    r->curl_error : curl_easy_strerror(rc));
	}
}

static void
act(struct llmproxy *lp, curl_socket_t fd, int what)
{
	int running;

	if (curl_multi_socket_action(lp->multi, fd, what, &running) != CURLM_OK)
		fatalx("libcurl failed");
	collect_done(lp);
}

static void
on_curl_timer(void *arg)
{
	struct llmproxy *lp = arg;

	lp->curl_timer = NULL;
	act(lp, CURL_SOCKET_TIMEOUT, 0);
}

static int
set_curl_timer(CURLM *multi, long ms, void *arg)
{
	struct llmproxy *lp = arg;

	(void)multi;
	loop_timer_free(lp->curl_timer);
	lp->curl_timer = ms < 0 ? NULL : loop_timer_new(lp->loop, (uint64_t)ms,
	    on_curl_timer, lp);
	return 0;
}

static struct sock *
find_sock(struct llmproxy *lp, curl_socket_t fd)
{
	struct sock *s;

	LIST_FOREACH(s, &lp->socks, link)
		if (s->fd == fd)
			break;
	return s;
}

static void
on_sock(uint32_t events, void *arg)
{
	struct sock *s = arg;
	int what = 0;

	if ((events & (EPOLLIN | EPOLLHUP)) != 0)
		what |= CURL_CSELECT_IN;
	if ((events & EPOLLOUT) != 0)
		what |= CURL_CSELECT_OUT;
	if ((events & EPOLLERR) != 0)
		what |= CURL_CSELECT_ERR;
	act(s->lp, s->fd, what);
}

static int
watch_sock(CURL *easy, curl_socket_t fd, int what, void *arg, void *unused)
{
	struct llmproxy *lp = arg;
	struct sock *s = find_sock(lp, fd);
	uint32_t events = ((what & CURL_POLL_IN) != 0 ? EPOLLIN : 0u) |
	    ((what & CURL_POLL_OUT) != 0 ? EPOLLOUT : 0u);

	(void)easy;
	(void)unused;
	if (s == NULL)
		return what == CURL_POLL_REMOVE ? 0 : -1;
	/* Without interest even a hang-up must not wake us over and over. */
	if (what == CURL_POLL_REMOVE || events == 0) {
		loop_io_free(s->io);
		s->io = NULL;
	} else if (s->io == NULL)
		s->io = loop_io_new(lp->loop, fd, events, on_sock, s);
	else
		loop_io_events(s->io, events);
	return 0;
}

/* ---- sockets ------------------------------------------------------------- */

static int
take_spare(struct llmproxy *lp)
{
	int fd = -1;

	for (size_t i = 0; i < 2; i++) {
		struct spare *s = &lp->spare[i];

		if (s->fd != -1 && mono_ms() - s->since_ms > SPARE_MS) {
			(void)close(s->fd);
			s->fd = -1;
		}
		if (fd == -1) {
			fd = s->fd;
			s->fd = -1;
		}
	}
	return fd;
}

static void
put_spare(struct llmproxy *lp, int fd)
{
	for (size_t i = 0; i < 2; i++)
		if (lp->spare[i].fd == -1) {
			lp->spare[i] = (struct spare){ fd, mono_ms() };
			return;
		}
	(void)close(fd);
}

static curl_socket_t
open_sock(void *arg, curlsocktype purpose, struct curl_sockaddr *addr)
{
	struct request *r = arg;
	struct sock *s;
	int fd = r->fd;

	(void)addr;
	if (purpose != CURLSOCKTYPE_IPCXN)
		return CURL_SOCKET_BAD;
	r->fd = -1;
	if (fd == -1 && (fd = take_spare(r->lp)) == -1) {
		r->no_fd = true;
		return CURL_SOCKET_BAD;
	}
	r->no_fd = false;
	if ((s = calloc(1, sizeof(*s))) == NULL)
		fatal("calloc");
	s->lp = r->lp;
	s->fd = fd;
	LIST_INSERT_HEAD(&r->lp->socks, s, link);
	r->lp->nsocks++;
	return fd;
}

static int
is_connected(void *arg, curl_socket_t fd, curlsocktype purpose)
{
	(void)arg;
	(void)fd;
	(void)purpose;
	return CURL_SOCKOPT_ALREADY_CONNECTED;
}

static int
close_sock(void *arg, curl_socket_t fd)
{
	struct llmproxy *lp = arg;
	struct sock *s = find_sock(lp, fd);

	if (s != NULL) {
		loop_io_free(s->io);
		LIST_REMOVE(s, link);
		lp->nsocks--;
		/* The loop may hold an event for it in this round, but delivers
		 * none to what was freed. */
		free(s);
	}
	return close(fd);
}

/* ---- one transfer -------------------------------------------------------- */

static size_t
on_body(char *p, size_t size, size_t n, void *arg)
{
	struct request *r = arg;

	if (request_paused(r))
		return CURL_WRITEFUNC_PAUSE;
	if (request_body(r, p, size * n) == -1)
		return 0;
	/* Newer ones of libcurl keep one buffer for all that they receive. */
	explicit_bzero(p, size * n);
	return n;
}

static size_t
on_head(char *p, size_t size, size_t n, void *arg)
{
	struct request *r = arg;

	(void)p;
	if (size * n > LLM_HEAD_MAX - r->head_bytes)
		return 0;
	r->head_bytes += size * n;
	return size * n;
}

static CURLcode
on_tls(CURL *easy, void *ctx, void *arg)
{
	struct llmproxy *lp = arg;

	(void)easy;
	SSL_CTX_set1_cert_store(ctx, lp->up.store);
	return CURLE_OK;
}

#define SET(opt, v) \
	(rc = rc != CURLE_OK ? rc : curl_easy_setopt(e, CURLOPT_##opt, v))

/* Nothing but what is configured: no proxies, files, redirects, resolvers. */
static CURLcode
set_closed(CURL *e, const struct upstream *up)
{
	CURLcode rc = CURLE_OK;

	SET(PROXY, "");
	SET(NETRC, (long)CURL_NETRC_IGNORED);
	SET(FOLLOWLOCATION, 0L);
	SET(PROTOCOLS_STR, up->tls ? "https" : "http");
	SET(NOSIGNAL, 1L);
	SET(RESOLVE, up->resolve);
	SET(DNS_CACHE_TIMEOUT, -1L);
	SET(HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	SET(SSL_VERIFYPEER, 1L);
	SET(SSL_VERIFYHOST, 2L);
	/* The store of on_tls() instead of a file, parsed again each time. */
	SET(CAINFO, NULL);
	SET(CAPATH, NULL);
	return rc;
}

static CURLcode
set_callbacks(CURL *e, struct request *r)
{
	CURLcode rc = CURLE_OK;

	SET(PRIVATE, r);
	SET(ERRORBUFFER, r->curl_error);
	SET(OPENSOCKETFUNCTION, open_sock);
	SET(OPENSOCKETDATA, r);
	SET(SOCKOPTFUNCTION, is_connected);
	/* Idle connections outlive the request. */
	SET(CLOSESOCKETFUNCTION, close_sock);
	SET(CLOSESOCKETDATA, r->lp);
	SET(WRITEFUNCTION, on_body);
	SET(WRITEDATA, r);
	SET(HEADERFUNCTION, on_head);
	SET(HEADERDATA, r);
	if (r->lp->up.tls) {
		SET(SSL_CTX_FUNCTION, on_tls);
		SET(SSL_CTX_DATA, r->lp);
	}
	return rc;
}

static CURLcode
set_request(CURL *e, const struct request *r)
{
	const struct upstream *up = &r->lp->up;
	CURLcode rc = CURLE_OK;

	SET(URL, up->url);
	SET(HTTPHEADER, up->headers);
	SET(POST, 1L);
	SET(POSTFIELDSIZE_LARGE, (curl_off_t)r->body.n);
	SET(POSTFIELDS, r->body.p);
	SET(TCP_NODELAY, 1L);
	SET(CONNECTTIMEOUT_MS, (long)up->connect_s * 1000);
	/* libcurl 7.88 looks at a socket that came connected only when it would
	 * try the other family, after 200 ms. */
	SET(HAPPY_EYEBALLS_TIMEOUT_MS, 1L);
	return rc;
}
#undef SET

static void
run(struct request *r)
{
	const struct upstream *up = &r->lp->up;
	CURLcode rc;

	r->state = R_RUNNING;
	r->reached = true;
	/* The connection stands; TLS has as long as it may have taken. */
	r->deadline_ms = mono_ms() + ((uint64_t)up->first_byte_s +
	    (up->tls ? up->connect_s : 0)) * 1000;
	r->no_fd = false;
	r->curl_error[0] = '\0';
	if ((r->easy = curl_easy_init()) == NULL)
		fatalx("no memory for a transfer");
	if ((rc = set_closed(r->easy, &r->lp->up)) != CURLE_OK ||
	    (rc = set_callbacks(r->easy, r)) != CURLE_OK ||
	    (rc = set_request(r->easy, r)) != CURLE_OK)
		fatalx("libcurl refuses an option: %s", curl_easy_strerror(rc));
	if (curl_multi_add_handle(r->lp->multi, r->easy) != CURLM_OK)
		fatalx("libcurl refuses a transfer");
	r->lp->nrunning++;
}

static void
ask_connector(struct request *r)
{
	struct m_lc_connect m = { .id = ++r->lp->connect_id };

	r->connect_id = m.id;
	r->deadline_ms = mono_ms() +
	    ((uint64_t)r->lp->up.connect_s + GRACE_S) * 1000;
	if (r->lp->welcome)
		(void)chan_send(r->lp->connector, MSG_lc_connect, &m, -1);
}

void
transport_begin(struct request *r, bool fresh)
{
	struct llmproxy *lp = r->lp;

	/* HTTP/1.1: each transfer has one connection, the others are idle. */
	if (!fresh && (lp->nsocks > lp->nrunning ||
	    (r->fd = take_spare(lp)) != -1)) {
		run(r);
		return;
	}
	r->state = R_CONNECTING;
	ask_connector(r);
}

void
transport_end(struct request *r)
{
	if (r->easy != NULL) {
		if (curl_multi_remove_handle(r->lp->multi, r->easy) != CURLM_OK)
			fatalx("libcurl keeps a transfer");
		curl_easy_cleanup(r->easy);
		r->easy = NULL;
		r->lp->nrunning--;
	}
	if (r->fd != -1)
		put_spare(r->lp, r->fd);
	r->fd = -1;
	r->connect_id = 0;
}

void
transport_resume(struct request *r)
{
	struct llmproxy *lp = r->lp;

	if (r->easy == NULL)
		return;
	if (curl_easy_pause(r->easy, CURLPAUSE_CONT) != CURLE_OK)
		log_debug("a paused transfer ended");
	act(lp, CURL_SOCKET_TIMEOUT, 0);
}

/* ---- the connector ------------------------------------------------------- */

static void
say_hello(void *arg)
{
	struct llmproxy *lp = arg;
	struct m_lc_hello m = { .generation = lp->generation };

	/* It may have died between our hello and its welcome. */
	lp->hello = loop_timer_new(lp->loop, HELLO_MS, say_hello, lp);
	(void)chan_send(lp->connector, MSG_lc_hello, &m, -1);
}

void
transport_start(struct llmproxy *lp)
{
	CURLM *m = lp->multi;

	if (curl_multi_setopt(m, CURLMOPT_SOCKETFUNCTION, watch_sock) ||
	    curl_multi_setopt(m, CURLMOPT_SOCKETDATA, lp) ||
	    curl_multi_setopt(m, CURLMOPT_TIMERFUNCTION, set_curl_timer) ||
	    curl_multi_setopt(m, CURLMOPT_TIMERDATA, lp) ||
	    curl_multi_setopt(m, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING) ||
	    curl_multi_setopt(m, CURLMOPT_MAXCONNECTS, (long)IDLE_MAX))
		fatalx("libcurl refuses an option");
	chan_drop_until(lp->connector, MSG_cl_welcome);
	say_hello(lp);
}

/* What the connector was asked is forgotten by it: ask again. */
static void
ask_again(struct llmproxy *lp)
{
	struct request *r;

	LIST_FOREACH(r, &lp->flying, flight)
		if (r->state == R_CONNECTING)
			ask_connector(r);
}

static struct request *
find_waiting(struct llmproxy *lp, uint64_t id)
{
	struct request *r;

	LIST_FOREACH(r, &lp->flying, flight)
		if (r->state == R_CONNECTING && r->connect_id == id)
			break;
	return r;
}

/* What is no socket cannot be waited for.  fstat(2) is not in our filter. */
static bool
is_socket(int fd)
{
	int type;
	socklen_t len = sizeof(type);

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 &&
	    type == SOCK_STREAM;
}

static void
on_connected(struct llmproxy *lp, struct msg *m)
{
	struct request *r = find_waiting(lp, m->u.cl_connected.id);

	if (!is_socket(m->fd)) {
		role_link_lost(lp->connector, "not a connection", lp);
		return;
	}
	if (r == NULL) {
		put_spare(lp, m->fd);	/* cancelled: the next one's */
	} else {
		r->fd = m->fd;
		run(r);
	}
	m->fd = -1;
}

static void
on_failed(struct llmproxy *lp, const struct m_cl_failed *m)
{
	struct request *r = find_waiting(lp, m->id);
	char text[257];

	if (r == NULL)
		return;
	(void)msg_text(text, sizeof(text), m->text);
	request_attempt_done(r, CURLE_COULDNT_CONNECT, text);
}

void
transport_on_connector(struct chan *c, struct msg *m, void *arg)
{
	struct llmproxy *lp = arg;

	switch (m->type) {
	case MSG_cl_welcome:
		if (m->u.cl_welcome.generation != lp->generation) {
			/* A predecessor's: ours is still to come. */
			chan_drop_until(c, MSG_cl_welcome);
			break;
		}
		loop_timer_free(lp->hello);
		lp->hello = NULL;
		if (!lp->welcome) {
			lp->welcome = true;
			ask_again(lp);
		}
		break;
	case MSG_cl_hello:
		ask_again(lp);
		break;
	case MSG_cl_connected:
		on_connected(lp, m);
		break;
	case MSG_cl_failed:
		on_failed(lp, &m->u.cl_failed);
		break;
	default:
		fatalx("the connector sent %s", msg_desc(m->type)->name);
	}
}
