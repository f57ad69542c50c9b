#include "sessiond.h"

#include <sys/socket.h>
#include <sys/tree.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "source.h"

#define ACCEPT_BURST	64
#define PAUSE_MS	100	/* the zygote is behind, or the kernel is short */
#define REPORT_MS	60000
#define KEEPALIVE_S	60

struct conn {
	RB_ENTRY(conn)	 node;
	uint64_t	 id;
	struct source	*source;
};

RB_HEAD(conn_tree, conn);

static struct sessiond {
	struct role		*role;
	struct chan		*zygote;
	struct loop_io		*listener[ROLE_MAX_LISTENERS];
	int			 fd[ROLE_MAX_LISTENERS];
	bool			 listening;
	struct loop_timer	*pause;
	struct sources		*sources;
	struct conn_tree	 conns;
	uint32_t		 live;
	uint32_t		 max_connections;
	uint32_t		 max_per_source;
	uint64_t		 next_id;
	uint64_t		 turned_away[SOURCE_PENALTY + 1];
} sd = { .conns = RB_INITIALIZER(&sd.conns), .listening = true };

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

/* Count a connection and pass its socket on, or turn it away. */
static void
serve(int fd, const struct sockaddr *sa)
{
	struct m_sz_conn m;
	char text[SOURCE_TEXT];
	enum source_verdict v;
	struct source *s;
	struct conn *c;

	v = source_begin(sd.sources, sa, source_cap(), mono_ms(), &s);
	if (v != SOURCE_OK) {
		sd.turned_away[v]++;
		return;
	}
	if ((c = calloc(1, sizeof(*c))) == NULL)
		fatal("calloc");
	c->id = ++sd.next_id;
	c->source = s;
	RB_INSERT(conn_tree, &sd.conns, c);
	sd.live++;
	set_options(fd);
	source_text(text, sa);
	m.id = c->id;
	m.source = bytes_str(text);
	if (chan_send(sd.zygote, MSG_sz_conn, &m, fd) == -1)
		fatalx("the zygote's link ended");
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
		close(fd);
		if (chan_queued(sd.zygote) > 0)
			pause_accepting();
		listen_if_possible();
	}
}

static void
on_done(const struct m_zs_done *m)
{
	struct conn key = { .id = m->id }, *c;
	uint64_t ms;

	if (m->outcome > SOURCE_CRASH) {
		role_link_lost(sd.zygote, "an outcome that there is not", NULL);
		return;
	}
	/* One that a predecessor of the zygote was sent is forgotten. */
	if ((c = RB_FIND(conn_tree, &sd.conns, &key)) == NULL)
		return;
	ms = source_end(sd.sources, c->source, m->outcome, mono_ms());
	if (m->outcome == SOURCE_CRASH)
		log_warn("a worker crashed; its source waits %llu s",
		    (unsigned long long)ms / 1000);
	RB_REMOVE(conn_tree, &sd.conns, c);
	free(c);
	sd.live--;
	listen_if_possible();
}

/* A new zygote: it knows of no connection. */
static void
on_hello(void)
{
	struct conn *c;

	while ((c = RB_MIN(conn_tree, &sd.conns)) != NULL) {
		RB_REMOVE(conn_tree, &sd.conns, c);
		free(c);
	}
	sd.live = 0;
	sources_forget_live(sd.sources, mono_ms());
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
