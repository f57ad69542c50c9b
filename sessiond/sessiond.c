#include "sessiond.h"

#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/tree.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hs.h"
#include "log.h"
#include "source.h"

#define ACCEPT_BURST	64
#define PAUSE_MS	100	/* the zygote is behind, or the kernel is short */
#define REPORT_MS	60000
#define KEEPALIVE_S	60

/*
 * Connections whose first message, of HS_CH_LEN bytes always, is not all there:
 * as many as there may be connections, and no more than these.  They cost a
 * descriptor here and no process.
 */
#define HALF_OPEN_MAX	768
#define HALF_OPEN_MS	250	/* how often their age is looked at */
#define HALF_OPEN_SHARE	4	/* of the login grace they have, the share */
#define HALF_OPEN_TIGHT	20	/* and when half of their places are taken */

/* A connection: half open, or the zygote's. */
struct conn {
	union {
		RB_ENTRY(conn)		node;	/* the zygote's */
		TAILQ_ENTRY(conn)	link;	/* half open */
	};
	uint64_t	 id;
	struct source	*source;
	/* half open */
	int		 fd;
	struct loop_io	*io;
	uint64_t	 since_ms;
	bool		 ready;		/* all there, and no place for it */
	char		 text[SOURCE_TEXT];
};

RB_HEAD(conn_tree, conn);
TAILQ_HEAD(conn_list, conn);

static struct sessiond {
	struct role		*role;
	struct chan		*zygote;
	struct loop_io		*listener[ROLE_MAX_LISTENERS];
	int			 fd[ROLE_MAX_LISTENERS];
	bool			 listening;
	struct loop_timer	*pause;
	struct sources		*sources;
	struct conn_tree	 conns;		/* the zygote's */
	uint32_t		 live;		/* of them */
	struct conn_list	 half_open;	/* the oldest first */
	uint32_t		 nhalf;
	uint32_t		 nready;
	struct loop_timer	*aging;		/* while there are some */
	uint64_t		 too_slow, made_room;	/* for on_report() */
	uint32_t		 grace_ms;
	uint32_t		 max_connections;
	uint32_t		 max_per_source;
	uint64_t		 next_id;
	uint64_t		 turned_away[SOURCE_PENALTY + 1];
} sd = {
	.conns = RB_INITIALIZER(&sd.conns),
	.half_open = TAILQ_HEAD_INITIALIZER(sd.half_open),
	.listening = true
};

static int
conn_cmp(struct conn *a, struct conn *b)
{
	return a->id < b->id ? -1 : a->id > b->id;
}

RB_PROTOTYPE(conn_tree, conn, node, conn_cmp)
RB_GENERATE(conn_tree, conn, node, conn_cmp)

static void
listen_if_possible(void)
{
	bool on = sd.live < sd.max_connections && sd.pause == NULL;

	if (on == sd.listening)
		return;
	sd.listening = on;
	for (int i = 0; i < sd.role->listeners; i++)
		loop_io_events(sd.listener[i], on ? EPOLLIN : 0);
}

static void
on_pause(void *arg)
{
	(void)arg;
	sd.pause = NULL;
	if (chan_queued(sd.zygote) > 0)
		sd.pause = loop_timer_new(sd.role->loop, PAUSE_MS, on_pause,
		    NULL);
	listen_if_possible();
}

/* Accept nothing for a moment: the backlog holds what comes. */
static void
pause_accepting(void)
{
	if (sd.pause == NULL)
		sd.pause = loop_timer_new(sd.role->loop, PAUSE_MS, on_pause,
		    NULL);
	listen_if_possible();
}

static void
set_options(int fd)
{
	static const int on = 1, idle = KEEPALIVE_S;

	/* A socket whose client is gone already may refuse: it ends soon. */
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == -1 ||
	    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)) == -1 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle,
	    sizeof(idle)) == -1)
		log_debug("setsockopt: %s", strerror(errno));
}

/* The cap of one source: half of it when places run out. */
static uint32_t
source_cap(void)
{
	if ((uint64_t)sd.live * 4 <= (uint64_t)sd.max_connections * 3)
		return sd.max_per_source;
	return sd.max_per_source > 1 ? sd.max_per_source / 2 : 1;
}

/* Its source has one less; what that costs is told when it begins to. */
static void
leave(struct conn *c, enum source_outcome outcome)
{
	uint64_t now = mono_ms(), ms;
	bool waited = source_waits(c->source, now) > 0;
	char name[SOURCE_TEXT];

	source_name(name, c->source);	/* it may be forgotten now */
	ms = source_end(sd.sources, c->source, outcome, now);
	c->source = NULL;
	/* Once for each crash; for refusals when it begins. */
	if (ms > 0 && (outcome == SOURCE_CRASH || !waited))
		audit(EV_penalty, 0, NULL, "source=%s seconds=%llu reason=%s",
		    name, (unsigned long long)(ms + 999) / 1000,
		    outcome == SOURCE_CRASH ? "a worker crashed" :
		    "too many refused handshakes");
}

/* It is half open no more; its descriptor is the caller's. */
static void
half_open_end(struct conn *c)
{
	TAILQ_REMOVE(&sd.half_open, c, link);
	sd.nhalf--;
	sd.nready -= c->ready;
	loop_io_free(c->io);
	c->io = NULL;
}

/* End a half-open connection without a word. */
static void
drop(struct conn *c, enum source_outcome outcome)
{
	half_open_end(c);
	leave(c, outcome);
	close(c->fd);
	free(c);
}

/* A whole first message waits in the kernel: the zygote has the connection now. */
static void
pass_on(struct conn *c)
{
	static const int one = 1;
	struct m_sz_conn m = { .id = c->id, .source = bytes_str(c->text) };

	if (sd.live >= sd.max_connections) {
		sd.nready += !c->ready;
		c->ready = true;
		loop_io_events(c->io, 0);
		return;
	}
	half_open_end(c);
	/* Later messages are shorter; a socket that refuses this ends soon. */
	if (setsockopt(c->fd, SOL_SOCKET, SO_RCVLOWAT, &one, sizeof(one)) == -1)
		log_debug("setsockopt: %s", strerror(errno));
	RB_INSERT(conn_tree, &sd.conns, c);
	sd.live++;
	if (chan_send(sd.zygote, MSG_sz_conn, &m, c->fd) == -1)
		fatalx("the zygote's link ended");
	close(c->fd);
	c->fd = -1;
	if (chan_queued(sd.zygote) > 0)
		pause_accepting();
	listen_if_possible();
}

static void
on_half_open(uint32_t events, void *arg)
{
	struct conn *c = arg;

	/* Who has nothing more to send wants no answer. */
	if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)
		drop(c, SOURCE_REFUSED);
	else
		pass_on(c);
}

/* Those that are whole and have waited for a place. */
static void
pass_ready(void)
{
	struct conn *c, *next;

	for (c = TAILQ_FIRST(&sd.half_open); c != NULL && sd.nready > 0 &&
	    sd.live < sd.max_connections; c = next) {
		next = TAILQ_NEXT(c, link);
		if (c->ready)
			pass_on(c);
	}
}

static uint32_t
half_open_places(void)
{
	return sd.max_connections < HALF_OPEN_MAX ? sd.max_connections :
	    HALF_OPEN_MAX;
}

/* They have less time when places run out. */
static void
on_aging(void *arg)
{
	uint64_t now = mono_ms(), ms = sd.grace_ms /
	    (sd.nhalf * 2 > half_open_places() ? HALF_OPEN_TIGHT :
	    HALF_OPEN_SHARE);
	struct conn *c;

	(void)arg;
	while ((c = TAILQ_FIRST(&sd.half_open)) != NULL &&
	    now - c->since_ms >= ms) {
		sd.too_slow++;
		drop(c, SOURCE_REFUSED);
	}
	sd.aging = TAILQ_EMPTY(&sd.half_open) ? NULL :
	    loop_timer_new(sd.role->loop, HALF_OPEN_MS, on_aging, NULL);
}

/*
 * Count a connection and wait for its first message, or turn it away.  The
 * kernel tells when that is whole; its bytes are for others to read.  fd is
 * taken over.
 */
static void
serve(int fd, const struct sockaddr *sa)
{
	static const int whole = HS_CH_LEN;
	enum source_verdict v;
	struct source *s;
	struct conn *c;

	v = source_begin(sd.sources, sa, source_cap(), mono_ms(), &s);
	if (v != SOURCE_OK) {
		sd.turned_away[v]++;
		close(fd);
		return;
	}
	if (sd.nhalf >= half_open_places()) {
		sd.made_room++;
		drop(TAILQ_FIRST(&sd.half_open), SOURCE_DONE);
	}
	if ((c = calloc(1, sizeof(*c))) == NULL)
		fatal("calloc");
	c->id = ++sd.next_id;
	c->source = s;
	c->fd = fd;
	c->since_ms = mono_ms();
	source_text(c->text, sa);
	set_options(fd);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &whole,
	    sizeof(whole)) == -1)
		log_debug("setsockopt: %s", strerror(errno));
	TAILQ_INSERT_TAIL(&sd.half_open, c, link);
	sd.nhalf++;
	c->io = loop_io_new(sd.role->loop, fd, EPOLLIN | EPOLLRDHUP,
	    on_half_open, c);
	if (sd.aging == NULL)
		sd.aging = loop_timer_new(sd.role->loop, HALF_OPEN_MS,
		    on_aging, NULL);
}

static void
on_listener(uint32_t events, void *arg)
{
	int *lfd = arg;
	union {
		struct sockaddr		sa;
		struct sockaddr_storage	ss;
	} u;
	socklen_t len;
	int fd;

	(void)events;
	for (int i = 0; i < ACCEPT_BURST && sd.listening; i++) {
		len = sizeof(u);
		fd = accept4(*lfd, &u.sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd == -1) {
			if (errno == EINTR || errno == ECONNABORTED)
				continue;
			if (errno != EAGAIN && errno != EWOULDBLOCK) {
				log_warn("accept: %s", strerror(errno));
				pause_accepting();
			}
			break;
		}
		serve(fd, &u.sa);
	}
}

static void
on_done(const struct m_zs_done *m)
{
	struct conn key = { .id = m->id }, *c;

	if (m->outcome > SOURCE_CRASH) {
		role_link_lost(sd.zygote, "an outcome that there is not", NULL);
		return;
	}
	/* One that a predecessor of the zygote was sent is forgotten. */
	if ((c = RB_FIND(conn_tree, &sd.conns, &key)) == NULL)
		return;
	leave(c, (enum source_outcome)m->outcome);
	RB_REMOVE(conn_tree, &sd.conns, c);
	free(c);
	sd.live--;
	pass_ready();
	listen_if_possible();
}

/* A new zygote: it knows of no connection. */
static void
on_hello(void)
{
	struct conn *c;

	while ((c = RB_MIN(conn_tree, &sd.conns)) != NULL) {
		RB_REMOVE(conn_tree, &sd.conns, c);
		leave(c, SOURCE_DONE);
		free(c);
	}
	sd.live = 0;
	pass_ready();
	listen_if_possible();
}

static void
on_zygote(struct chan *c, struct msg *m, void *arg)
{
	(void)c;
	(void)arg;
	if (m->type == MSG_zs_hello)
		on_hello();
	else
		on_done(&m->u.zs_done);
}

/* Say from time to time how many were turned away, not each time. */
static void
on_report(void *arg)
{
	uint64_t *n = sd.turned_away;

	(void)arg;
	if (n[SOURCE_FULL] + n[SOURCE_FAST] + n[SOURCE_PENALTY] > 0) {
		log_notice("turned away: %llu over their source's cap, %llu too "
		    "fast, %llu in a penalty",
		    (unsigned long long)n[SOURCE_FULL],
		    (unsigned long long)n[SOURCE_FAST],
		    (unsigned long long)n[SOURCE_PENALTY]);
		memset(sd.turned_away, 0, sizeof(sd.turned_away));
	}
	if (sd.too_slow + sd.made_room > 0) {
		log_notice("half open: %llu were too slow, %llu made room for "
		    "others", (unsigned long long)sd.too_slow,
		    (unsigned long long)sd.made_room);
		sd.too_slow = sd.made_room = 0;
	}
	(void)loop_timer_new(sd.role->loop, REPORT_MS, on_report, NULL);
}

static void
on_conf(struct chan *c, struct msg *m, void *arg)
{
	(void)c;
	(void)arg;
	if (m->type != MSG_ctl_limits)
		return;
	sd.max_connections = m->u.ctl_limits.max_connections;
	sd.max_per_source = m->u.ctl_limits.max_per_source;
	sd.grace_ms = m->u.ctl_limits.login_grace_s * 1000;
}

static void
on_go(void)
{
	struct role *r = sd.role;
	int first = role_extra_fd(r->id, r->providers), fl;

	sd.zygote = role_link(r, LINK_SESSD_ZYG, 0, SESSD_ZYG_UP, 0, on_zygote,
	    role_link_lost, r);
	for (int i = 0; i < r->listeners; i++) {
		sd.fd[i] = first + i;
		if ((fl = fcntl(sd.fd[i], F_GETFL)) == -1 ||
		    fcntl(sd.fd[i], F_SETFL, fl | O_NONBLOCK) == -1)
			fatal("listener %d", i);
		sd.listener[i] = loop_io_new(r->loop, sd.fd[i], EPOLLIN,
		    on_listener, &sd.fd[i]);
	}
	listen_if_possible();
	on_report(NULL);
}

void
sessiond_init(struct role *r)
{
	sd.role = r;
	/* What the zygote says of a predecessor's connections is nobody's. */
	sd.next_id = (uint64_t)r->generation << 32;
	sd.sources = sources_new();
	r->on_conf = on_conf;
	r->on_go = on_go;
	r->on_reloaded = listen_if_possible;
}
