#include "zygote.h"

#include <sys/queue.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "warmup.h"
#include "worker.h"

#define PAIRS_WANTED_MAX	64	/* asked for and not there yet */
#define WAITING_MORE		1024	/* what a predecessor was sent */
#define REFILL_MS		500	/* after a spare pair died */
#define WANT_MS			2000	/* for the channels of a pair */
#define STATUS_CRASH		2	/* exit statuses from here on are crashes */
#define LATE_MS			5000	/* beyond the login grace */
#define HANDSHAKES_MAX		128	/* at a time; others wait */
#define SQUEEZE_MS		3000	/* a handshake may take, while others wait */

/* How a connection ended, for sessiond (zs_done). */
enum outcome { DONE_OK = 0, DONE_REFUSED = 1, DONE_CRASH = 2 };

enum pair_state { PAIR_WANTED, PAIR_SPARE, PAIR_LIVE, PAIR_DONE };

struct pair {
	TAILQ_ENTRY(pair)	 link;
	uint64_t		 n;
	uint64_t		 asked_ms;
	uint64_t		 served_ms;	/* when it got its connection */
	enum pair_state		 state;
	struct pair_fds		 fds;		/* until the fork */
	struct chan		*zyg;		/* until the client is sent */
	pid_t			 kex;		/* 0: reaped */
	pid_t			 session;
	uint64_t		 conn;		/* sessiond's id */
	enum outcome		 outcome;
	bool			 killed;	/* by this zygote */
	struct loop_timer	*late_timer;	/* kex must have ended by then */
	bool			 late;		/* it had not, and was killed */
};

/* A connection that waits for a pair. */
struct waiting {
	STAILQ_ENTRY(waiting)	 link;
	uint64_t		 conn;
	int			 fd;
	char			 source[65];
};

static struct zygote {
	struct role		*role;
	struct chan		*keyd;
	struct chan		*vault;
	struct chan		*sessiond;
	bool			 keyd_up;
	bool			 vault_up;
	bool			 retired;
	int			 sigfd;
	struct loop_timer	*refill;
	struct loop_timer	*overdue;	/* while pairs are wanted */
	uint64_t		 given_up;	/* the highest such n */
	uint64_t		 counter;
	struct birth		 birth;
	uint32_t		 spare_workers;
	uint32_t		 max_connections;
	struct buf		 spki;
	bool			 has_chain;
	struct certs		 chain;
	TAILQ_HEAD(, pair)	 pairs;
	unsigned		 wanted;
	unsigned		 spare;
	unsigned		 handshakes;	/* live pairs whose kex works */
	struct loop_timer	*squeeze;	/* while others wait for these */
	unsigned		 nwaiting;
	STAILQ_HEAD(, waiting)	 waiting;
} zy = {
	.sigfd = -1,
	.spki = BUF_INIT(1024),
	.pairs = TAILQ_HEAD_INITIALIZER(zy.pairs),
	.waiting = STAILQ_HEAD_INITIALIZER(zy.waiting),
};

static void retire(void);
static void on_overdue(void *);
static void serve_waiting(void);

static void
close_fd(int *fd)
{
	if (*fd != -1)
		close(*fd);
	*fd = -1;
}

static void
close_fds(struct pair_fds *f)
{
	close_fd(&f->keyd);
	close_fd(&f->kex_vault);
	close_fd(&f->sess_vault);
	close_fd(&f->zyg);
	close_fd(&f->twin[0]);
	close_fd(&f->twin[1]);
}

static void
set_state(struct pair *p, enum pair_state state)
{
	zy.wanted -= p->state == PAIR_WANTED;
	zy.spare -= p->state == PAIR_SPARE;
	p->state = state;
	zy.wanted += p->state == PAIR_WANTED;
	zy.spare += p->state == PAIR_SPARE;
}

/* The pair is over, or never came to be. */
static void
pair_free(struct pair *p)
{
	set_state(p, PAIR_DONE);
	TAILQ_REMOVE(&zy.pairs, p, link);
	close_fds(&p->fds);
	chan_free(p->zyg);
	loop_timer_free(p->late_timer);
	free(p);
	if (zy.retired && TAILQ_EMPTY(&zy.pairs))
		_exit(0);
}

static void
pair_kill(struct pair *p)
{
	p->killed = true;
	if (p->kex != 0 && kill(p->kex, SIGKILL) == -1)
		fatal("kill");
	if (p->session != 0 && kill(p->session, SIGKILL) == -1)
		fatal("kill");
}

/* Ask keyd and the vault for the channels of one more pair. */
static void
pair_want(void)
{
	struct m_zk_want k;
	struct m_zv_want v;
	struct pair *p;

	if ((p = calloc(1, sizeof(*p))) == NULL)
		fatal("calloc");
	p->n = (uint64_t)zy.role->generation << 32 | ++zy.counter;
	p->asked_ms = mono_ms();
	p->fds = (struct pair_fds){ -1, -1, -1, -1, { -1, -1 } };
	p->state = PAIR_WANTED;
	zy.wanted++;
	TAILQ_INSERT_HEAD(&zy.pairs, p, link);
	k.n = v.n = p->n;
	if (chan_send(zy.keyd, MSG_zk_want, &k, -1) == -1 ||
	    chan_send(zy.vault, MSG_zv_want, &v, -1) == -1)
		fatalx("a link ended");
	if (zy.overdue == NULL)
		zy.overdue = loop_timer_new(zy.role->loop, WANT_MS, on_overdue,
		    NULL);
}

/* Keep as many pairs coming as there are places and waiting connections. */
static void
refill(void)
{
	unsigned more;

	if (!zy.keyd_up || !zy.vault_up || zy.retired || zy.refill != NULL)
		return;
	if ((more = zy.nwaiting) > HANDSHAKES_MAX - zy.handshakes)
		more = HANDSHAKES_MAX - zy.handshakes;
	while (zy.wanted < PAIRS_WANTED_MAX &&
	    zy.wanted + zy.spare < zy.spare_workers + more)
		pair_want();
}

static void
on_refill(void *arg)
{
	(void)arg;
	zy.refill = NULL;
	refill();
}

/* A spare that dies by itself may mean that its peers do: not at full speed. */
static void
refill_later(void)
{
	if (zy.refill == NULL)
		zy.refill = loop_timer_new(zy.role->loop, REFILL_MS, on_refill,
		    NULL);
}

/* keyd or the vault had no channel to give: ask again, for other pairs. */
static void
on_overdue(void *arg)
{
	struct pair *p, *next;
	unsigned lost = 0;

	(void)arg;
	zy.overdue = NULL;
	for (p = TAILQ_FIRST(&zy.pairs); p != NULL; p = next) {
		next = TAILQ_NEXT(p, link);
		if (p->state != PAIR_WANTED ||
		    mono_ms() - p->asked_ms < WANT_MS)
			continue;
		if (p->n > zy.given_up)
			zy.given_up = p->n;
		pair_free(p);
		lost++;
	}
	if (lost > 0)
		log_warn("%u pairs of workers got no channels", lost);
	if (zy.wanted > 0)
		zy.overdue = loop_timer_new(zy.role->loop, WANT_MS, on_overdue,
		    NULL);
	refill();
}

static void
report(const struct pair *p)
{
	struct m_zs_done m = { .id = p->conn, .outcome = (uint8_t)p->outcome };

	if (zy.sessiond != NULL &&
	    chan_send(zy.sessiond, MSG_zs_done, &m, -1) == -1)
		fatalx("sessiond's link ended");
}

/*
 * The kex worker itself keeps the login grace, if it still does what it should.
 * The session worker, if it has its keys, goes on.
 */
static void
on_late(void *arg)
{
	struct pair *p = arg;

	p->late_timer = NULL;
	p->late = true;
	log_warn("worker %" PRIu64 " does not end its handshake", p->n);
	if (kill(p->kex, SIGKILL) == -1)
		fatal("kill");
}

/* All places for handshakes are taken, and others wait: the oldest end. */
static void
on_squeeze(void *arg)
{
	uint64_t now = mono_ms();
	struct pair *p;

	(void)arg;
	zy.squeeze = NULL;
	if (zy.nwaiting == 0)
		return;
	TAILQ_FOREACH(p, &zy.pairs, link) {
		if (p->state != PAIR_LIVE || p->kex == 0 || p->late ||
		    now - p->served_ms < SQUEEZE_MS)
			continue;
		p->late = true;
		if (kill(p->kex, SIGKILL) == -1)
			fatal("kill");
	}
	zy.squeeze = loop_timer_new(zy.role->loop, REFILL_MS, on_squeeze, NULL);
}

/* Give a connection to a pair; -1 when the pair turned out to be dead. */
static int
pair_serve(struct pair *p, const struct waiting *w)
{
	struct m_zv_client v = { .n = p->n, .source = bytes_str(w->source) };
	struct m_zx_client x = { .source = bytes_str(w->source) };

	if (chan_send(zy.vault, MSG_zv_client, &v, -1) == -1)
		fatalx("the vault's link ended");
	set_state(p, PAIR_LIVE);
	if (chan_send(p->zyg, MSG_zx_client, &x, w->fd) == -1) {
		set_state(p, PAIR_DONE);
		pair_kill(p);
		return -1;
	}
	/* Nothing more is said to this worker, and it never says anything. */
	chan_free(p->zyg);
	p->zyg = NULL;
	p->late_timer = loop_timer_new(zy.role->loop,
	    (uint64_t)zy.birth.grace_s * 1000 + LATE_MS, on_late, p);
	p->conn = w->conn;
	p->served_ms = mono_ms();
	zy.handshakes++;
	return 0;
}

static struct pair *
find_spare(void)
{
	struct pair *p;

	TAILQ_FOREACH(p, &zy.pairs, link)
		if (p->state == PAIR_SPARE)
			return p;
	return NULL;
}

static void
serve_waiting(void)
{
	struct waiting *w;
	struct pair *p;

	while ((w = STAILQ_FIRST(&zy.waiting)) != NULL && zy.spare > 0 &&
	    zy.handshakes < HANDSHAKES_MAX) {
		if ((p = find_spare()) == NULL)
			fatalx("spare pairs are miscounted");
		if (pair_serve(p, w) == -1)
			continue;
		STAILQ_REMOVE_HEAD(&zy.waiting, link);
		zy.nwaiting--;
		close(w->fd);
		free(w);
	}
	if (w != NULL && zy.handshakes >= HANDSHAKES_MAX && zy.squeeze == NULL)
		zy.squeeze = loop_timer_new(zy.role->loop, REFILL_MS,
		    on_squeeze, NULL);
	refill();
}

/* All channels are there: fork both workers, and keep none of the ends. */
static void
pair_start(struct pair *p)
{
	int zyg[2];

	zy.birth.n = p->n;
	if (chan_pair(zyg, true) == -1 || chan_pair(p->fds.twin, true) == -1)
		fatal("socketpair");
	p->fds.zyg = zyg[1];
	p->zyg = chan_new(NULL, zyg[0], CH_ZYG_KEX, END_A, ZYG_KEX_IDLE, 0,
	    NULL, NULL, NULL);
	if ((p->session = worker_fork_session(&zy.birth, &p->fds)) == -1 ||
	    (p->kex = worker_fork_kex(&zy.birth, &p->fds)) == -1)
		fatal("fork");
	close_fds(&p->fds);
	set_state(p, PAIR_SPARE);
}

/* A channel for number n arrived; take its descriptor. */
static void
pair_channel(struct chan *c, uint64_t n, size_t which, struct msg *m)
{
	struct pair *p;
	int *fd;

	TAILQ_FOREACH(p, &zy.pairs, link)
		if (p->n == n)
			break;
	if (p == NULL && n <= zy.given_up)
		return;		/* too late: its other channels are closed */
	if (p == NULL || p->state != PAIR_WANTED) {
		role_link_lost(c, "a channel that was not asked for", NULL);
		return;
	}
	fd = (int *)((char *)&p->fds + which);
	if (*fd != -1) {
		role_link_lost(c, "a second channel for a pair", NULL);
		return;
	}
	*fd = m->fd;
	m->fd = -1;
	if (p->fds.keyd != -1 && p->fds.kex_vault != -1 &&
	    p->fds.sess_vault != -1) {
		pair_start(p);
		serve_waiting();
	}
}

/*
 * The configured certificates, if they are this host key's: a file that was
 * exchanged for a wrong one must not keep those out who know the key.  Nothing is
 * taken apart here; what clients believe is for them to verify.
 */
static void
choose_chain(void)
{
	zy.birth.chain = NULL;
	if (zy.chain.n > 0 && !cert_holds(zy.chain.cert[0], zy.birth.spki))
		log_err("certificate: the first one is not for this server's "
		    "host key; no certificate is shown");
	else if (zy.chain.n > 0)
		zy.birth.chain = &zy.chain;
}

static void
on_keyd(struct chan *c, struct msg *m, void *arg)
{
	const struct m_kz_welcome *w = &m->u.kz_welcome;

	(void)arg;
	switch (m->type) {
	case MSG_kz_welcome:
		if (w->generation != zy.role->generation) {
			chan_drop_until(c, MSG_kz_welcome);
			break;
		}
		buf_reset(&zy.spki);
		buf_put(&zy.spki, w->spki.p, w->spki.n);
		zy.birth.spki = buf_bytes(&zy.spki);
		choose_chain();
		zy.keyd_up = true;
		refill();
		break;
	case MSG_kz_chan:
		pair_channel(c, m->u.kz_chan.n,
		    offsetof(struct pair_fds, keyd), m);
		break;
	default:
		fatalx("keyd: %s", msg_desc(m->type)->name);
	}
}

static void
on_vault(struct chan *c, struct msg *m, void *arg)
{
	(void)arg;
	switch (m->type) {
	case MSG_vz_welcome:
		if (m->u.vz_welcome.generation != zy.role->generation) {
			chan_drop_until(c, MSG_vz_welcome);
			break;
		}
		zy.vault_up = true;
		refill();
		break;
	case MSG_vz_kex_chan:
		pair_channel(c, m->u.vz_kex_chan.n,
		    offsetof(struct pair_fds, kex_vault), m);
		break;
	case MSG_vz_sess_chan:
		pair_channel(c, m->u.vz_sess_chan.n,
		    offsetof(struct pair_fds, sess_vault), m);
		break;
	default:
		fatalx("vault: %s", msg_desc(m->type)->name);
	}
}

static void
on_sessiond(struct chan *c, struct msg *m, void *arg)
{
	struct waiting *w;

	(void)arg;
	if (zy.nwaiting >= zy.max_connections + WAITING_MORE) {
		role_link_lost(c, "more connections than there can be", NULL);
		return;
	}
	if ((w = calloc(1, sizeof(*w))) == NULL)
		fatal("calloc");
	(void)msg_text(w->source, sizeof(w->source), m->u.sz_conn.source);
	w->conn = m->u.sz_conn.id;
	w->fd = m->fd;
	m->fd = -1;
	STAILQ_INSERT_TAIL(&zy.waiting, w, link);
	zy.nwaiting++;
	serve_waiting();
}

/*
 * One of the pair crashed.  Sessiond hears of it before the successor of this
 * zygote can say hello to it, and this zygote reads its links no more, so that
 * the two never compete for what arrives on them.
 */
static void
crashed(struct pair *p, int status)
{
	struct m_ctl_crash m = { .n = p->n, .status = (uint32_t)status };

	log_warn("worker %" PRIu64 " crashed: wait status %#x", p->n,
	    (unsigned)status);
	pair_kill(p);
	p->outcome = DONE_CRASH;
	if (p->state == PAIR_LIVE)
		report(p);
	set_state(p, PAIR_DONE);
	retire();
	if (chan_send(zy.role->ctl, MSG_ctl_crash, &m, -1) == -1)
		fatalx("the monitor is gone");
}

static bool
is_crash(int status)
{
	return WIFSIGNALED(status) ||
	    (WIFEXITED(status) && WEXITSTATUS(status) >= STATUS_CRASH);
}

static void
reaped(pid_t pid, int status)
{
	bool late = false, place = false;
	struct pair *p;

	TAILQ_FOREACH(p, &zy.pairs, link)
		if (p->kex == pid || p->session == pid)
			break;
	if (p == NULL)
		fatalx("a child that is nobody's");
	if (p->kex == pid) {
		p->kex = 0;
		/* Only a pair with a connection has one of the places. */
		if (p->served_ms != 0) {
			zy.handshakes--;
			place = true;
		}
		late = p->late;
		loop_timer_free(p->late_timer);
		p->late_timer = NULL;
		if (p->outcome == DONE_OK && status != 0 && !p->killed)
			p->outcome = DONE_REFUSED;
	} else
		p->session = 0;
	if (!p->killed && !late && is_crash(status))
		crashed(p, status);
	else if (p->state == PAIR_SPARE) {
		log_warn("a spare worker ended");
		set_state(p, PAIR_DONE);
		pair_kill(p);
		refill_later();
	}
	if (p->kex == 0 && p->session == 0) {
		if (p->state == PAIR_LIVE)
			report(p);
		pair_free(p);
	}
	if (place && !zy.retired)
		serve_waiting();
}

static void
on_sigchld(uint32_t events, void *arg)
{
	struct signalfd_siginfo si;
	int status;
	pid_t pid;

	(void)events;
	(void)arg;
	while (read(zy.sigfd, &si, sizeof(si)) > 0)
		;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		reaped(pid, status);
	if (pid == -1 && errno != ECHILD)
		fatal("waitpid");
}

/* Make nothing new; stay until the last live session has ended. */
static void
retire(void)
{
	struct waiting *w;
	struct pair *p, *next;

	if (zy.retired)
		return;
	log_notice("retiring");
	loop_timer_free(zy.refill);
	loop_timer_free(zy.overdue);
	loop_timer_free(zy.squeeze);
	zy.refill = zy.overdue = zy.squeeze = NULL;
	chan_free(zy.keyd);
	chan_free(zy.vault);
	chan_free(zy.sessiond);
	zy.keyd = zy.vault = zy.sessiond = NULL;
	while ((w = STAILQ_FIRST(&zy.waiting)) != NULL) {
		STAILQ_REMOVE_HEAD(&zy.waiting, link);
		close(w->fd);
		free(w);
	}
	zy.nwaiting = 0;
	for (p = TAILQ_FIRST(&zy.pairs); p != NULL; p = next) {
		next = TAILQ_NEXT(p, link);
		if (p->state == PAIR_WANTED)
			pair_free(p);
		else if (p->state == PAIR_SPARE) {
			set_state(p, PAIR_DONE);
			pair_kill(p);
		}
	}
	zy.retired = true;
}

static void
on_ctl(struct chan *c, struct msg *m, void *arg)
{
	struct pair *p;

	(void)c;
	(void)arg;
	switch (m->type) {
	case MSG_ctl_retire:
		retire();
		if (TAILQ_EMPTY(&zy.pairs))
			_exit(0);
		break;
	case MSG_ctl_kill:
		TAILQ_FOREACH(p, &zy.pairs, link)
			if (p->n == m->u.ctl_kill.n)
				break;
		if (p != NULL && p->state == PAIR_LIVE)
			pair_kill(p);
		break;
	default:
		fatalx("control message %s has no meaning here",
		    msg_desc(m->type)->name);
	}
}

static void
on_conf(struct chan *c, struct msg *m, void *arg)
{
	(void)c;
	(void)arg;
	if (m->type == MSG_ctl_certs)
		zy.has_chain = m->u.ctl_certs.has_chain != 0;
	if (m->type != MSG_ctl_limits)
		return;
	zy.max_connections = m->u.ctl_limits.max_connections;
	zy.spare_workers = m->u.ctl_limits.spare_workers;
	zy.birth.grace_s = m->u.ctl_limits.login_grace_s;
	zy.birth.first_contact = m->u.ctl_limits.first_contact != 0;
	zy.birth.lowest_suite = m->u.ctl_limits.lowest_suite;
}

/* The administrator's file, before anything else is read. */
static void
read_chain(void)
{
	struct buf text = BUF_INIT(CERTS_FILE_MAX);
	int fd = role_file_fd(ROLE_ZYGOTE, zy.role->providers, FILE_CHAIN);
	const char *why = "it cannot be read, or is too large";

	if (zy.has_chain && (read_all(fd, &text) == -1 ||
	    certs_pem(&zy.chain, buf_bytes(&text), &why) == -1))
		log_err("certificate: %s; no certificate is shown", why);
	close(fd);
	buf_free(&text);
}

/* Spare pairs were born under what was in force before. */
static void
on_reloaded(void)
{
	struct pair *p, *next;

	for (p = TAILQ_FIRST(&zy.pairs); p != NULL; p = next) {
		next = TAILQ_NEXT(p, link);
		if (p->state != PAIR_SPARE)
			continue;
		set_state(p, PAIR_DONE);
		pair_kill(p);
	}
	refill();
}

static void
on_go(void)
{
	struct role *r = zy.role;
	struct m_zk_hello k = { .generation = r->generation };
	struct m_zv_hello v = { .generation = r->generation };
	struct m_zs_hello s = { .generation = r->generation };

	read_chain();
	zy.keyd = role_link(r, LINK_KEYD_ZYG, 0, KEYD_ZYG_UP, CHAN_RECV_FD,
	    on_keyd, role_link_lost, r);
	zy.vault = role_link(r, LINK_VAULT_ZYG, 0, VAULT_ZYG_UP, CHAN_RECV_FD,
	    on_vault, role_link_lost, r);
	zy.sessiond = role_link(r, LINK_SESSD_ZYG, 0, SESSD_ZYG_UP, CHAN_RECV_FD,
	    on_sessiond, role_link_lost, r);
	chan_drop_until(zy.keyd, MSG_kz_welcome);
	chan_drop_until(zy.vault, MSG_vz_welcome);
	if (chan_send(zy.keyd, MSG_zk_hello, &k, -1) == -1 ||
	    chan_send(zy.vault, MSG_zv_hello, &v, -1) == -1 ||
	    chan_send(zy.sessiond, MSG_zs_hello, &s, -1) == -1)
		fatalx("a link ended");
}

void
zygote_prepare(struct role *r)
{
	sigset_t set;

	(void)r;
	crypto_warmup();
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &set, NULL) == -1)
		fatal("sigprocmask");
	if ((zy.sigfd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)) == -1)
		fatal("signalfd");
}

void
zygote_init(struct role *r)
{
	zy.role = r;
	zy.birth.zygote = getpid();
	r->on_conf = on_conf;
	r->on_ctl = on_ctl;
	r->on_go = on_go;
	r->on_reloaded = on_reloaded;
	(void)loop_io_new(r->loop, zy.sigfd, EPOLLIN, on_sigchld, NULL);
}
