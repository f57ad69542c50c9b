#include "role.h"

#include <sys/prctl.h>
#include <sys/socket.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "sandbox.h"

const struct role_decl role_decls[ROLES] = {
#define ROLE(id, name, keep, multi) { name, keep, multi },
#include "roles.def"
};

const struct link_decl link_decls[LINKS] = {
#define MSG_NONE MSG_TYPES
#define LINK(id, kind, a, b, hello_a, hello_b) \
	{ CH_##kind, ROLE_##a, ROLE_##b, { MSG_##hello_a, MSG_##hello_b } },
#include "roles.def"
};

const enum role_id file_roles[FILES] = {
#define FILE_FD(role, id) ROLE_##role,
#include "roles.def"
};

static const enum cell role_cells[ROLES] = {
#define ROLE(id, name, keep, multi) CELL_##id,
#include "roles.def"
};

char role_title_room[] = "CLOISTER_TITLE="
    "................................................................"
    "................................................................";
char role_wiping[] = "GLIBC_TUNABLES=glibc.malloc.perturb=90:"
    "glibc.malloc.tcache_count=0";

bool
role_accuses(enum role_id accuser, enum link_id link)
{
	const struct link_decl *d = &link_decls[link];

	if (d->a == accuser)
		return !role_decls[d->a].keep && role_decls[d->b].keep;
	return d->b == accuser && role_decls[d->a].keep;
}

int
role_instances(enum role_id role, int providers)
{
	return role_decls[role].multi ? providers : 1;
}

/* How many descriptors of a link a role holds: one for each peer process. */
static int
link_count(enum role_id role, int providers, enum link_id link)
{
	const struct link_decl *d = &link_decls[link];

	if (d->a == role)
		return role_instances(d->b, providers);
	if (d->b == role)
		return role_instances(d->a, providers);
	return 0;
}

int
role_link_fd(enum role_id role, int providers, enum link_id link, int peer)
{
	int fd = FD_FIRST;

	for (int l = 0; l < (int)link; l++)
		fd += link_count(role, providers, (enum link_id)l);
	return fd + peer;
}

int
role_file_fd(enum role_id role, int providers, enum file_id file)
{
	int fd = role_link_fd(role, providers, LINKS, 0);

	for (int f = 0; f < (int)file; f++)
		if (file_roles[f] == role)
			fd++;
	return fd;
}

int
role_extra_fd(enum role_id role, int providers)
{
	return role_file_fd(role, providers, FILES);
}

int
role_index(enum role_id role, int instance, int providers)
{
	int n = 0;

	for (int r = 0; r < (int)role; r++)
		n += role_instances((enum role_id)r, providers);
	return n + instance;
}

int
role_total(int providers)
{
	return role_index(ROLES, 0, providers);
}

int
read_all(int fd, struct buf *b)
{
	uint8_t tmp[4096];
	ssize_t n;

	for (;;) {
		if ((n = read(fd, tmp, sizeof(tmp))) == -1) {
			if (errno == EINTR)
				continue;
			break;
		}
		if (n == 0)
			break;
		buf_put(b, tmp, (size_t)n);
		if (b->err)
			break;		/* it may have no end */
	}
	explicit_bzero(tmp, sizeof(tmp));
	return n == -1 || b->err ? -1 : 0;
}

int
write_all(int fd, const void *p, size_t n)
{
	const uint8_t *u = p;

	while (n > 0) {
		ssize_t w = write(fd, u, n);

		if (w == -1) {
			if (errno == EINTR)
				continue;
			return -1;
		}
		u += w;
		n -= (size_t)w;
	}
	return 0;
}

static void
log_to_logger(enum log_level level, const char *event, uint64_t session,
    const char *user, const char *text)
{
	struct m_log_event m = {
		.level = (uint8_t)level, .is_audit = event != NULL,
		.pid = (uint32_t)getpid(), .session = session,
		.event = bytes_str(event != NULL ? event : ""),
		.user = bytes_str(user != NULL ? user : ""),
		.text = bytes_str(text)
	};
	struct buf b = BUF_INIT(4096);
	ssize_t n;

	if (msg_encode(MSG_log_event, &m, &b) == -1) {
		if (event != NULL)	/* its name or the user's */
			fatalx("an audit event that cannot be written");
	} else {
		do
			n = send(FD_LOG, b.p, b.n, MSG_NOSIGNAL);
		while (n == -1 && errno == EINTR);
		if (n == -1 && event != NULL) {
			log_set_sink(NULL);	/* no audit, no service */
			fatal("the logger is gone; %s: %s", event, text);
		}
	}
	buf_free(&b);
}

void
role_log_init(void)
{
	log_set_sink(log_to_logger);
}

static void
on_ctl(struct chan *c, struct msg *m, void *arg)
{
	struct role *r = arg;

	switch (m->type) {
	case MSG_ctl_limits:
	case MSG_ctl_upstream:
	case MSG_ctl_model:
	case MSG_ctl_budget:
	case MSG_ctl_audit:
	case MSG_ctl_certs:
		if (r->on_conf != NULL)
			r->on_conf(c, m, r);
		break;
	case MSG_ctl_go:
		chan_set_state(c, CTL_RUN);
		if (r->on_go != NULL)
			r->on_go();
		if (chan_send(c, MSG_ctl_running, NULL, -1) == -1)
			_exit(0);
		break;
	case MSG_ctl_level:
		if (m->u.ctl_level.level < LOG_L_ERR ||
		    m->u.ctl_level.level > LOG_L_DEBUG)
			fatalx("a log level that there is not");
		log_set_level((enum log_level)m->u.ctl_level.level);
		break;
	case MSG_ctl_reload:
		chan_set_state(c, CTL_RELOAD);
		if (r->on_reload != NULL)
			r->on_reload();
		break;
	case MSG_ctl_reload_end:
		chan_set_state(c, CTL_RUN);
		if (r->on_reloaded != NULL)
			r->on_reloaded();
		break;
	case MSG_ctl_ping:
		if (chan_send(c, MSG_ctl_pong, NULL, -1) == -1)
			_exit(0);
		break;
	case MSG_ctl_stop:
		if (r->on_stop == NULL)
			_exit(0);
		r->on_stop();
		break;
	default:
		if (r->on_ctl == NULL)
			fatalx("control message %s has no meaning here",
			    msg_desc(m->type)->name);
		r->on_ctl(c, m, r);
	}
}

/* The monitor is gone: so is the service. */
static void
on_ctl_closed(struct chan *c, const char *why, void *arg)
{
	(void)c;
	(void)arg;
	if (why != NULL)
		fatalx("control channel: %s", why);
	_exit(0);
}

static bool
is_socket(int fd)
{
	int type;
	socklen_t len = sizeof(type);

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 &&
	    type == SOCK_SEQPACKET;
}

static void
read_start(struct role *r, struct m_ctl_start *start)
{
	struct chan *c;
	struct msg m;
	const char *why;

	c = chan_new(NULL, dup(FD_CONTROL), CH_CTL, END_B, CTL_START, 0, NULL,
	    NULL, NULL);
	if (chan_recv(c, &m, 10000, &why) != 0 || m.type != MSG_ctl_start)
		fatalx("no start message from the monitor");
	*start = m.u.ctl_start;
	if (start->role != r->id || start->providers > ROLE_MAX_PROVIDERS ||
	    start->listeners > ROLE_MAX_LISTENERS ||
	    start->log_level < LOG_L_ERR || start->log_level > LOG_L_DEBUG ||
	    msg_text(r->dir, sizeof(r->dir), start->dir) == -1)
		fatalx("bad start message");
	r->instance = start->instance;
	r->providers = start->providers;
	r->listeners = start->listeners;
	r->generation = start->generation;
	r->flags = start->flags;
	log_set_level((enum log_level)start->log_level);
	chan_free(c);
}

void
role_start(struct role *r, enum role_id id, int argc, char **argv,
    void (*prepare)(struct role *))
{
	struct m_ctl_start start;
	struct m_ctl_ready ready = { 0 };
	pid_t parent = getppid();

	r->id = id;
	setproctitle_init(argc, argv, environ);
	log_set_name(role_decls[id].name);
	(void)msg_desc(0);	/* its table is complete before any sandbox */
	if (argc != 1 || !is_socket(FD_CONTROL))
		fatalx("this program is started by cloisterd");
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR ||
	    signal(SIGINT, SIG_IGN) == SIG_ERR ||
	    signal(SIGHUP, SIG_IGN) == SIG_ERR ||
	    signal(SIGCHLD, SIG_DFL) == SIG_ERR)
		fatal("signal");
	read_start(r, &start);
	if (id != ROLE_LOGGER)
		role_log_init();
	if (role_decls[id].multi)
		setproctitle("-cloisterd: %s [%d]", role_decls[id].name,
		    r->instance);
	else
		setproctitle("-cloisterd: %s", role_decls[id].name);
	if (prepare != NULL)
		prepare(r);
	r->loop = loop_new();
	if ((r->flags & START_SHARE_UID) == 0)
		sandbox_drop(start.uid, start.gid);
	r->abi = sandbox_enter(role_cells[id], parent, r->dir, start.min_abi);
	ready.abi = r->abi;
	r->ctl = chan_new(r->loop, FD_CONTROL, CH_CTL, END_B, CTL_CONF,
	    id == ROLE_VAULT || id == ROLE_LOGGER ? CHAN_RECV_FD : 0, on_ctl,
	    on_ctl_closed, r);
	if (chan_send(r->ctl, MSG_ctl_ready, &ready, -1) == -1)
		fatalx("the monitor is gone");
}

void
role_run(struct role *r)
{
	loop_run(r->loop);
	_exit(0);
}

static struct role *self;

/* Which link a descriptor is, and which of its peers is at the other end. */
static bool
find_link(int fd, enum link_id *link, int *peer)
{
	for (int l = 0; self != NULL && l < LINKS; l++)
		for (int i = 0; i < link_count(self->id, self->providers,
		    (enum link_id)l); i++)
			if (role_link_fd(self->id, self->providers,
			    (enum link_id)l, i) == fd) {
				*link = (enum link_id)l;
				*peer = i;
				return true;
			}
	return false;
}

struct chan *
role_link(struct role *r, enum link_id link, int peer, unsigned state,
    unsigned flags, chan_msg_cb *cb, chan_closed_cb *closed, void *arg)
{
	const struct link_decl *d = &link_decls[link];

	self = r;
	return chan_new(r->loop, role_link_fd(r->id, r->providers, link, peer),
	    d->kind, d->a == r->id ? END_A : END_B, state, flags, cb, closed,
	    arg);
}

void
role_link_lost(struct chan *c, const char *why, void *arg)
{
	struct m_ctl_offender m = { 0 };
	const struct link_decl *d;
	enum link_id link;
	int other, peer;

	(void)arg;
	if (!find_link(chan_fd(c), &link, &peer))
		fatalx("an unknown link: %s", why != NULL ? why : "ended");
	d = &link_decls[link];
	other = d->a == self->id ? 1 : 0;
	m.role = (uint8_t)(other == 1 ? d->b : d->a);
	/* At a multi role's end `peer` numbers nothing: there is one of it. */
	m.instance = (uint8_t)(role_decls[m.role].multi ? peer : 0);
	if (why == NULL && !role_decls[m.role].keep) {
		/* Its death is the monitor's to report; so is a stop. */
		log_info("the link with %s has ended", role_decls[m.role].name);
		_exit(1);
	}
	audit(EV_violation, 0, NULL, "%s: %s", role_decls[m.role].name,
	    why != NULL ? why : "does not read its messages");
	if (!role_accuses(self->id, link))
		fatalx("%s broke the rules of its link",
		    role_decls[m.role].name);
	if (chan_send(self->ctl, MSG_ctl_offender, &m, -1) == -1)
		fatalx("the monitor is gone");
	chan_restart(c);
	if (d->hello[other] != MSG_TYPES)
		chan_drop_until(c, d->hello[other]);
}
