#include <sys/epoll.h>

#include <string.h>
#include <unistd.h>

#include <microhttpd.h>

#include "exits.h"
#include "log.h"
#include "serve.h"
#include "ui.h"

#define BLOCK		16384	/* bytes of a stream handed over at once */
#define IDLE_S		120	/* a connection on which nothing is asked */
#define RUNS_MAX	1000

/* ---- answers ------------------------------------------------------------- */

static enum MHD_Result
say(struct MHD_Connection *http, unsigned status, struct MHD_Response *r,
    const char *type)
{
	enum MHD_Result rv;

	if (r == NULL || MHD_add_response_header(r, "Content-Type", type) !=
	    MHD_YES || MHD_add_response_header(r, "Cache-Control", "no-store") !=
	    MHD_YES)
		fatalx("no memory for an answer");
	rv = MHD_queue_response(http, status, r);
	MHD_destroy_response(r);
	return rv;
}

static enum MHD_Result
say_bytes(struct MHD_Connection *http, unsigned status, struct bytes b)
{
	return say(http, status, MHD_create_response_from_buffer(b.n,
	    (void *)(uintptr_t)b.p, MHD_RESPMEM_MUST_COPY),
	    "application/json");
}

static enum MHD_Result
say_error(struct MHD_Connection *http, const struct serve_error *e)
{
	struct buf out = BUF_INIT(SERVE_OUT_MAX);
	enum MHD_Result rv;

	serve_put_error(&out, e, false);
	rv = say_bytes(http, e->status, buf_bytes(&out));
	buf_free(&out);
	return rv;
}

static enum MHD_Result
refuse(struct MHD_Connection *http, unsigned status, const char *code,
    const char *message)
{
	struct serve_error e;

	serve_refuse(&e, status, "invalid_request_error", code, message);
	return say_error(http, &e);
}

/* ---- waiting ------------------------------------------------------------- */

/* Nothing can be said yet.  A client that hangs up meanwhile is noticed. */
static void
suspend(struct call *c)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(c->http,
	    MHD_CONNECTION_INFO_CONNECTION_FD);
	struct epoll_event ev = { .events = EPOLLRDHUP, .data.ptr = c };

	if (info == NULL)
		fatalx("libmicrohttpd has no descriptor of a connection");
	c->hup_fd = info->connect_fd;
	if (epoll_ctl(c->s->hup, EPOLL_CTL_ADD, c->hup_fd, &ev) == -1)
		fatal("epoll");
	MHD_suspend_connection(c->http);
	c->suspended = true;
}

void
http_wake(struct call *c)
{
	if (!c->suspended)
		return;
	if (epoll_ctl(c->s->hup, EPOLL_CTL_DEL, c->hup_fd, NULL) == -1)
		fatal("epoll");
	c->hup_fd = -1;
	c->suspended = false;
	MHD_resume_connection(c->http);
	c->s->woken = true;
}

/* libmicrohttpd wants more of a stream. */
static ssize_t
read_stream(void *arg, uint64_t pos, char *p, size_t max)
{
	struct call *c = arg;
	size_t n = c->out.n < max ? c->out.n : max;

	(void)pos;
	if (c->left)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (n > 0) {
		memcpy(p, c->out.p, n);
		buf_consume(&c->out, n);
		return (ssize_t)n;
	}
	if (c->state == CALL_OVER)
		return MHD_CONTENT_READER_END_OF_STREAM;
	suspend(c);
	return 0;
}

static enum MHD_Result
answer(struct call *c)
{
	struct MHD_Response *r;

	if (c->left)
		return MHD_NO;
	if (c->failed && !c->answering)
		return say_error(c->http, &c->error);
	if (c->state != CALL_OVER && (!c->chat.stream || c->out.n == 0)) {
		suspend(c);
		return MHD_YES;
	}
	if (c->models || !c->chat.stream)
		return say_bytes(c->http, MHD_HTTP_OK, buf_bytes(&c->out));
	c->answering = true;
	r = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK,
	    read_stream, c, NULL);
	return say(c->http, MHD_HTTP_OK, r, "text/event-stream");
}

/* ---- requests ------------------------------------------------------------ */

static bool
authorized(const struct serve *s, struct MHD_Connection *http)
{
	static const char bearer[] = "Bearer ";
	const char *v = MHD_lookup_connection_value(http, MHD_HEADER_KIND,
	    "Authorization");

	return v != NULL && strncasecmp(v, bearer, sizeof(bearer) - 1) == 0 &&
	    strlen(v + sizeof(bearer) - 1) == SERVE_TOKEN &&
	    bytes_eq_ct(v + sizeof(bearer) - 1, s->token, SERVE_TOKEN);
}

/*
 * Whether the request names this machine as its host: a page in a browser whose
 * own name was made to lead here does not.
 */
static bool
right_host(const struct serve *s, struct MHD_Connection *http)
{
	static const char *const names[] = { "localhost", "127.0.0.1", "[::1]" };
	const char *v = MHD_lookup_connection_value(http, MHD_HEADER_KIND,
	    "Host");
	size_t n;

	if (s->local_only)
		return true;
	for (size_t i = 0; v != NULL && i < sizeof(names) / sizeof(names[0]);
	    i++) {
		n = strlen(names[i]);
		if (strncasecmp(v, names[i], n) == 0 &&
		    (v[n] == '\0' || v[n] == ':'))
			return true;
	}
	return false;
}

/* The first word of a request, before its body. */
static enum MHD_Result
begin(struct serve *s, struct MHD_Connection *http, const char *url,
    const char *method, void **state)
{
	bool models = strcmp(url, "/v1/models") == 0;
	struct call *c;

	if (!right_host(s, http))
		return refuse(http, 403, NULL, "this is not the host that you "
		    "look for");
	if (!authorized(s, http))
		return refuse(http, 401, "invalid_api_key", "the API key is not "
		    "the token of cloister serve");
	if (!models && strcmp(url, "/v1/chat/completions") != 0)
		return refuse(http, 404, NULL, "cloister serve has /v1/models "
		    "and /v1/chat/completions alone");
	if (strcmp(method, models ? "GET" : "POST") != 0)
		return refuse(http, 405, NULL, models ? "use GET" : "use POST");
	c = call_new(s, http);
	c->models = models;
	*state = c;
	return MHD_YES;
}

static enum MHD_Result
on_request(void *arg, struct MHD_Connection *http, const char *url,
    const char *method, const char *version, const char *data, size_t *n,
    void **state)
{
	struct call *c = *state;

	(void)version;
	if (c == NULL)
		return begin(arg, http, url, method, state);
	if (*n > 0) {
		buf_put(&c->body, data, *n);
		c->too_long |= c->body.err;
		*n = 0;
		return MHD_YES;
	}
	if (c->state == CALL_READING)
		call_ask(c);
	return answer(c);
}

static void
on_completed(void *arg, struct MHD_Connection *http, void **state,
    enum MHD_RequestTerminationCode how)
{
	(void)arg;
	(void)http;
	(void)how;
	if (*state != NULL)
		call_gone(*state);
	*state = NULL;
}

void
http_start(struct serve *s)
{
	const union MHD_DaemonInfo *info;
	struct epoll_event ev = { .events = EPOLLIN };

	s->mhd = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0,
	    NULL, NULL, on_request, s,
	    MHD_OPTION_LISTEN_SOCKET, s->listen_fd,
	    MHD_OPTION_NOTIFY_COMPLETED, on_completed, s,
	    MHD_OPTION_CONNECTION_LIMIT, SERVE_CALLS * 2,
	    MHD_OPTION_CONNECTION_TIMEOUT, IDLE_S,
	    MHD_OPTION_END);
	if (s->mhd == NULL || (info = MHD_get_daemon_info(s->mhd,
	    MHD_DAEMON_INFO_EPOLL_FD)) == NULL)
		fatalx("libmicrohttpd does not start");
	if ((s->hup = epoll_create1(EPOLL_CLOEXEC)) == -1 ||
	    (s->all = epoll_create1(EPOLL_CLOEXEC)) == -1 ||
	    epoll_ctl(s->all, EPOLL_CTL_ADD, info->epoll_fd, &ev) == -1 ||
	    epoll_ctl(s->all, EPOLL_CTL_ADD, s->hup, &ev) == -1)
		fatal("epoll");
}

void
http_stop(struct serve *s)
{
	struct call *c;

	/* What is suspended cannot be stopped. */
	TAILQ_FOREACH(c, &s->calls, link)
		http_wake(c);
	MHD_stop_daemon(s->mhd);
	(void)close(s->hup);
	(void)close(s->all);
}

/* Those who hung up while they were suspended are to be let go. */
static void
wake_gone(struct serve *s)
{
	struct epoll_event ev[16];
	int n = epoll_wait(s->hup, ev, 16, 0);

	for (int i = 0; i < n; i++) {
		struct call *c = ev[i].data.ptr;

		c->left = true;
		http_wake(c);
	}
}

void
http_run(struct serve *s)
{
	MHD_UNSIGNED_LONG_LONG ms;

	wake_gone(s);
	for (int i = 0; i < RUNS_MAX; i++) {
		s->woken = false;
		if (MHD_run(s->mhd) != MHD_YES)
			fatalx("libmicrohttpd failed");
		if (!s->woken && (MHD_get_timeout(s->mhd, &ms) != MHD_YES ||
		    ms > 0))
			break;
	}
}
