#include "connector.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <errno.h>
#include <netdb.h>
#include <nss.h>
#include <resolv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"

#define KEEP_MS		60000	/* addresses */
#define KEEP_FAILURE_MS	5000
#define ADDR_MIN_MS	1000	/* for one of several addresses */

/* One lc_connect under way. */
struct pending {
	LIST_ENTRY(pending) link;
	struct dest	*dest;
	uint64_t	 id;
	uint64_t	 end_ms;
	size_t		 next;		/* address to try after this one */
	int		 fd;		/* -1 between two */
	int		 error;		/* of the last address */
	struct loop_io	*io;
	struct loop_timer *timer;
};

static void try_next(struct pending *);

void
connector_prepare(void)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *ai;

	if (__nss_configure_lookup("hosts", "files dns") == -1)
		fatal("__nss_configure_lookup");
	/* Whatever comes of it, the modules are loaded. */
	if (getaddrinfo("localhost", NULL, &hints, &ai) == 0)
		freeaddrinfo(ai);
	if (res_init() == -1)
		log_warn("the resolver's configuration cannot be read");
	_res.retrans = 2;	/* seconds: others wait meanwhile */
	_res.retry = 2;
}

/* ---- names --------------------------------------------------------------- */

static void
resolve(struct dest *d)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
	    .ai_flags = AI_NUMERICSERV }, *list = NULL, *ai;
	char port[6];
	int rc;

	if (mono_ms() < d->good_ms)
		return;
	d->naddrs = 0;
	(void)snprintf(port, sizeof(port), "%u", d->port);
	/* A numeric address needs no resolver, and asks none. */
	hints.ai_flags |= AI_NUMERICHOST;
	if ((rc = getaddrinfo(d->host, port, &hints, &list)) == EAI_NONAME) {
		hints.ai_flags &= ~AI_NUMERICHOST;
		rc = getaddrinfo(d->host, port, &hints, &list);
	}
	if (rc != 0) {
		(void)snprintf(d->failure, sizeof(d->failure),
		    "its name is not known: %s", gai_strerror(rc));
		d->good_ms = mono_ms() + KEEP_FAILURE_MS;
		return;
	}
	for (ai = list; ai != NULL && d->naddrs < CONNECTOR_ADDRS_MAX;
	    ai = ai->ai_next) {
		struct addr *a = &d->addr[d->naddrs];

		if ((ai->ai_family != AF_INET && ai->ai_family != AF_INET6) ||
		    ai->ai_addrlen > sizeof(a->sa))
			continue;
		memcpy(&a->sa, ai->ai_addr, ai->ai_addrlen);
		a->len = ai->ai_addrlen;
		d->naddrs++;
	}
	freeaddrinfo(list);
	d->good_ms = mono_ms() + KEEP_MS;
	(void)strlcpy(d->failure, "its name has no address",
	    sizeof(d->failure));
}

/* ---- connecting ---------------------------------------------------------- */

static void
stop(struct pending *p)
{
	loop_io_free(p->io);
	p->io = NULL;
	loop_timer_free(p->timer);
	p->timer = NULL;
	if (p->fd != -1)
		(void)close(p->fd);
	p->fd = -1;
}

static void
pending_free(struct pending *p)
{
	stop(p);
	LIST_REMOVE(p, link);
	p->dest->npending--;
	free(p);
}

static void
tell_failed(struct dest *d, uint64_t id, const char *text)
{
	struct m_cl_failed m = { .id = id, .text = bytes_str(text) };

	(void)chan_send(d->chan, MSG_cl_failed, &m, -1);
}

static void
connected(struct pending *p)
{
	struct m_cl_connected m = { .id = p->id };
	int on = 1;

	if (setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == -1 ||
	    setsockopt(p->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)) == -1)
		log_warn("socket options: %s", strerror(errno));
	(void)chan_send(p->dest->chan, MSG_cl_connected, &m, p->fd);
	pending_free(p);
}

static void
on_io(uint32_t events, void *arg)
{
	struct pending *p = arg;
	socklen_t len = sizeof(p->error);

	(void)events;
	if (getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &p->error, &len) == -1)
		p->error = errno;
	if (p->error == 0)
		connected(p);
	else
		try_next(p);
}

static void
on_timeout(void *arg)
{
	struct pending *p = arg;

	p->timer = NULL;
	p->error = ETIMEDOUT;
	try_next(p);
}

/* 0 under way, 1 connected, -1 with p->error. */
static int
begin(struct pending *p, const struct addr *a, uint64_t ms)
{
	p->fd = socket(a->sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC |
	    SOCK_NONBLOCK, 0);
	if (p->fd == -1) {
		p->error = errno;
		return -1;
	}
	if (connect(p->fd, (const struct sockaddr *)&a->sa, a->len) == 0)
		return 1;
	if (errno != EINPROGRESS) {
		p->error = errno;
		return -1;
	}
	p->io = loop_io_new(p->dest->loop, p->fd, EPOLLOUT, on_io, p);
	p->timer = loop_timer_new(p->dest->loop, ms, on_timeout, p);
	return 0;
}

/* The time that is left is shared among the addresses that are left. */
static uint64_t
share_ms(const struct pending *p)
{
	uint64_t left = p->end_ms - mono_ms();
	uint64_t ms = left / (p->dest->naddrs - p->next);

	return ms >= ADDR_MIN_MS ? ms : left < ADDR_MIN_MS ? left : ADDR_MIN_MS;
}

static void
try_next(struct pending *p)
{
	struct dest *d = p->dest;
	int rc = -1;

	stop(p);
	while (rc == -1 && p->next < d->naddrs && mono_ms() < p->end_ms) {
		uint64_t ms = share_ms(p);

		if ((rc = begin(p, &d->addr[p->next++], ms)) == -1)
			stop(p);
	}
	if (rc == 1)
		connected(p);
	else if (rc == -1) {
		tell_failed(d, p->id, p->error == 0 ? d->failure :
		    strerror(p->error));
		pending_free(p);
	}
}

static void
on_connect(struct dest *d, uint64_t id)
{
	struct pending *p;

	if (d->npending >= CONNECTOR_PENDING_MAX) {
		tell_failed(d, id, "too many connections are being made");
		return;
	}
	resolve(d);
	if ((p = calloc(1, sizeof(*p))) == NULL)
		fatal("calloc");
	p->dest = d;
	p->id = id;
	p->fd = -1;
	p->end_ms = mono_ms() + d->timeout_ms;
	LIST_INSERT_HEAD(&d->pending, p, link);
	d->npending++;
	try_next(p);
}

void
connector_on_msg(struct chan *c, struct msg *m, void *arg)
{
	struct dest *d = arg;
	struct m_cl_welcome welcome;
	struct pending *p;

	if (m->type == MSG_lc_connect) {
		on_connect(d, m->u.lc_connect.id);
		return;
	}
	/* A new llmproxy: nobody waits for these any more. */
	while ((p = LIST_FIRST(&d->pending)) != NULL)
		pending_free(p);
	welcome = (struct m_cl_welcome){
		.generation = m->u.lc_hello.generation
	};
	(void)chan_send(c, MSG_cl_welcome, &welcome, -1);
}
