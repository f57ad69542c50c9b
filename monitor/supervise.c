#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "monitor.h"
#include "notify.h"

#define START_TIMEOUT_MS	60000
#define DELAY_FIRST_MS		100
#define DELAY_MAX_MS		30000
#define DELAY_RESET_MS		60000

static struct monitor *mon;

static void start_process(struct proc *p);
static void schedule_restart(struct proc *p);

static struct proc *
find_role(enum role_id role, int instance)
{
	return &mon->procs[role_index(role, instance, mon->providers)];
}

/* ---- what roles say ----------------------------------------------------- */

static bool
all_running(void)
{
	for (int i = 0; i < mon->nprocs; i++)
		if (!mon->procs[i].running &&
		    mon->procs[i].role != ROLE_SESSIOND)
			return false;
	return true;
}

/* sessiond serves when everybody else does. */
bool
monitor_offline(const struct monitor *m)
{
	return m->init || m->accept || m->check;
}

static void
let_go(struct proc *p)
{
	if (p->ctl != NULL && chan_state(p->ctl) == CTL_CONF && !p->running)
		(void)chan_send(p->ctl, MSG_ctl_go, NULL, -1);
}

/* Its sandbox stands. */
static void
on_ready(struct proc *p)
{
	char name[64];

	proc_name(p, name, sizeof(name));
	audit(EV_role_start, 0, NULL, "role=%s role_pid=%d uid=%u landlock=%u "
	    "start=%u", name, p->pid, geteuid() == 0 ? proc_user(mon, p)->uid :
	    geteuid(), p->abi, p->generation);
	configure(mon, p);
	if (monitor_offline(mon) || mon->serving || p->role != ROLE_SESSIOND ||
	    all_running())
		let_go(p);
}

static void
audit_config(void)
{
	char hex[2 * sizeof(mon->cfg.sha256) + 1];

	hex_encode(hex, mon->cfg.sha256, sizeof(mon->cfg.sha256));
	audit(EV_config, 0, NULL, "file=%s sha256=%s", mon->conf_path, hex);
}

static void
on_running(struct proc *p)
{
	struct proc *front = find_role(ROLE_SESSIOND, 0);

	p->running = true;
	chan_set_state(p->ctl, CTL_RUN);
	if (mon->serving || monitor_offline(mon))
		return;
	if (front->running) {
		mon->serving = true;
		loop_timer_free(mon->deadline);
		mon->deadline = NULL;
		control_serve(mon);
		audit_config();
		audit(EV_start, 0, NULL, "roles=%d providers=%d "
		    "uid_separation=%s", mon->nprocs, mon->providers,
		    geteuid() == 0 ? "on" : "OFF (not root)");
		log_notice("ready");
		notify("READY=1\nSTATUS=%d processes, %d providers, %s",
		    mon->nprocs, mon->providers, geteuid() == 0 ?
		    "each role under its own user" : "NOT separated by users");
		watchdog_start(mon);
	} else if (all_running())
		let_go(front);
}

static void
send_status(struct proc *to, uint32_t id)
{
	struct m_ctl_status_end end = { .id = id };

	for (int i = 0; i < mon->nprocs; i++) {
		const struct proc *p = &mon->procs[i];
		char name[64];
		struct m_ctl_role m = {
			.id = id, .pid = (uint32_t)p->pid, .abi = p->abi,
			.restarts = p->generation - 1,
			.started_us = p->started_us,
			.uid = geteuid() == 0 ? proc_user(mon, p)->uid :
			    geteuid(),
		};

		proc_name(p, name, sizeof(name));
		m.name = bytes_str(name);
		(void)chan_send(to->ctl, MSG_ctl_role, &m, -1);
	}
	(void)chan_send(to->ctl, MSG_ctl_status_end, &end, -1);
}

static void
kill_session(uint64_t n)
{
	struct m_ctl_kill m = { .n = n };
	uint32_t generation = (uint32_t)(n >> 32);
	struct proc *z = find_role(ROLE_ZYGOTE, 0);

	if (z->generation != generation) {
		z = NULL;
		for (int i = 0; i < MONITOR_MAX_RETIRED; i++)
			if (mon->retired[i] != NULL &&
			    mon->retired[i]->generation == generation)
				z = mon->retired[i];
	}
	if (z != NULL && z->ctl != NULL && z->running)
		(void)chan_send(z->ctl, MSG_ctl_kill, &m, -1);
}

/*
 * A worker crashed.  The zygote that forked it must fork no other, lest a
 * layout be probed twice; but it keeps the sessions that it has.
 */
void
replace_zygote(struct proc *z)
{
	struct proc *old;
	int slot = 0;

	if (z != find_role(ROLE_ZYGOTE, 0))
		return;		/* retired already */
	while (slot < MONITOR_MAX_RETIRED && mon->retired[slot] != NULL)
		slot++;
	if (slot == MONITOR_MAX_RETIRED) {
		log_warn("too many zygotes serve their last sessions");
		proc_kill(z);
		return;
	}
	if ((old = malloc(sizeof(*old))) == NULL)
		fatal("malloc");
	(void)chan_send(z->ctl, MSG_ctl_retire, NULL, -1);
	*old = *z;
	mon->retired[slot] = old;
	z->ctl = NULL;
	z->pid = 0;
	start_process(z);
}

/* What crashed is not to be resumed. */
static void
tell_vault(uint64_t n)
{
	struct m_ctl_crashed m = { .n = n };
	struct proc *v = find_role(ROLE_VAULT, 0);

	if (v->ctl != NULL && v->running)
		(void)chan_send(v->ctl, MSG_ctl_crashed, &m, -1);
}

static struct proc *
proc_of(struct chan *c)
{
	for (int i = 0; i < mon->nprocs; i++)
		if (mon->procs[i].ctl == c)
			return &mon->procs[i];
	for (int i = 0; i < MONITOR_MAX_RETIRED; i++)
		if (mon->retired[i] != NULL && mon->retired[i]->ctl == c)
			return mon->retired[i];
	fatalx("a control channel without a role");
}

/* A role did what it may not: it ends, and its kind decides what follows. */
static void
violation(const struct proc *p, const char *what)
{
	char name[64];

	proc_name(p, name, sizeof(name));
	if (p->role == ROLE_LOGGER)	/* it would not write that down */
		log_set_sink(NULL);
	audit(EV_violation, 0, NULL, "%s: control: %s", name, what);
	proc_kill(p);
}

/* Which role may send what, beyond messages.def: 0, or -1. */
static int
may_send(const struct proc *p, enum msg_type type)
{
	switch (type) {
	case MSG_ctl_ready:
	case MSG_ctl_running:
	case MSG_ctl_offender:
	case MSG_ctl_pong:
		return 0;
	case MSG_ctl_next_log:
		return p->role == ROLE_LOGGER ? 0 : -1;
	case MSG_ctl_ask_rotate:
	case MSG_ctl_ask_level:
	case MSG_ctl_status:
	case MSG_ctl_revoke:
	case MSG_ctl_drained:
	case MSG_ctl_reload_ask:
		return p->role == ROLE_VAULT ? 0 : -1;
	case MSG_ctl_crash:
		return p->role == ROLE_ZYGOTE ? 0 : -1;
	default:
		return -1;
	}
}

/*
 * A role's peer broke the rules of their link, or of its log socket, which
 * everybody has with the logger: it is restarted, or the service stops.  A log
 * socket is retired zygotes' too: who of them it was cannot be known.
 */
static void
on_accusation(const struct proc *p, const struct m_ctl_offender *m)
{
	bool linked = p->role == ROLE_LOGGER && m->role < ROLES;
	struct proc *offender;
	char name[64];

	for (int l = 0; l < LINKS; l++)
		if ((link_decls[l].a == m->role || link_decls[l].b == m->role) &&
		    role_accuses(p->role, (enum link_id)l))
			linked = true;
	if (!linked || m->role == p->role ||
	    m->instance >= role_instances((enum role_id)m->role,
	    mon->providers)) {
		violation(p, "an accusation that is not its to make");
		return;
	}
	offender = find_role((enum role_id)m->role, m->instance);
	proc_name(offender, name, sizeof(name));
	log_warn("%s broke the rules of a link, says %s; it is killed", name,
	    role_decls[p->role].name);
	proc_kill(offender);
	for (int i = 0; i < MONITOR_MAX_RETIRED && p->role == ROLE_LOGGER &&
	    m->role == ROLE_ZYGOTE; i++)
		if (mon->retired[i] != NULL)
			proc_kill(mon->retired[i]);
}

/* An administrator wants another file for the audit log. */
static void
rotate_log(void)
{
	struct proc *p = find_role(ROLE_LOGGER, 0);

	if (p->running)
		(void)chan_send(p->ctl, MSG_ctl_rotate, NULL, -1);
}

static void
on_ctl(struct chan *c, struct msg *m, void *arg)
{
	struct proc *p = proc_of(c);
	const char *why;

	(void)arg;
	if (may_send(p, m->type) == -1) {
		violation(p, msg_desc(m->type)->name);
		return;
	}
	switch (m->type) {
	case MSG_ctl_ready:
		p->abi = m->u.ctl_ready.abi;
		chan_set_state(c, CTL_CONF);
		on_ready(p);
		break;
	case MSG_ctl_running:
		on_running(p);
		break;
	case MSG_ctl_status:
		send_status(p, m->u.ctl_status.id);
		break;
	case MSG_ctl_revoke:
		kill_session(m->u.ctl_revoke.n);
		break;
	case MSG_ctl_offender:
		on_accusation(p, &m->u.ctl_offender);
		break;
	case MSG_ctl_next_log:
		logfiles_next(mon, c, m->u.ctl_next_log.seq);
		break;
	case MSG_ctl_ask_rotate:
		rotate_log();
		break;
	case MSG_ctl_ask_level:
		why = loglevel_set(mon, m->u.ctl_ask_level.role,
		    m->u.ctl_ask_level.level);
		if (why != NULL)
			violation(p, why);
		break;
	case MSG_ctl_pong:
		p->pinged = false;
		break;
	case MSG_ctl_drained:
		stop_drained(mon);
		break;
	case MSG_ctl_reload_ask:
		reload_asked(mon, p, &m->u.ctl_reload_ask);
		break;
	default:		/* ctl_crash */
		audit(EV_worker_crash, m->u.ctl_crash.n, NULL, "status=%x",
		    m->u.ctl_crash.status);
		tell_vault(m->u.ctl_crash.n);
		replace_zygote(p);
		break;
	}
}

/*
 * What follows is done when SIGCHLD comes.  A role that closed its control
 * channel and lives on cannot be led any more.
 */
static void
on_ctl_closed(struct chan *c, const char *why, void *arg)
{
	struct proc *p = proc_of(c);

	(void)arg;
	if (why != NULL)
		violation(p, why);
	else
		proc_kill(p);
}

/* ---- starting and stopping ---------------------------------------------- */

/*
 * The logger is waited for: whatever fails afterwards, there is somebody to
 * write it down.
 */
static void
wait_for_logger(struct chan *c, struct proc *p)
{
	struct msg m;
	const char *why;

	if (chan_recv(c, &m, START_TIMEOUT_MS, &why) != 0 ||
	    m.type != MSG_ctl_ready) {
		log_set_sink(NULL);
		fatalx("the logger does not start");
	}
	p->abi = m.u.ctl_ready.abi;
}

static void
start_process(struct proc *p)
{
	int fd;
	struct chan *blocking;
	unsigned state = CTL_START;

	if (spawn(mon, p) == -1) {
		schedule_restart(p);
		return;
	}
	blocking = p->ctl;
	if (p->role == ROLE_LOGGER) {
		wait_for_logger(blocking, p);
		state = CTL_CONF;
	}
	if ((fd = fcntl(chan_fd(blocking), F_DUPFD_CLOEXEC, 0)) == -1)
		fatal("fcntl");
	chan_free(blocking);
	p->ctl = chan_new(mon->loop, fd, CH_CTL, END_A, state, 0, on_ctl,
	    on_ctl_closed, NULL);
	if (state == CTL_CONF)
		on_ready(p);
}

static void
on_restart(void *arg)
{
	struct proc *p = arg;

	p->restart = NULL;
	if (!mon->stopping)
		start_process(p);
}

static void
schedule_restart(struct proc *p)
{
	if (mono_ms() - p->started_ms > DELAY_RESET_MS || p->delay_ms == 0)
		p->delay_ms = DELAY_FIRST_MS;
	else if ((p->delay_ms *= 2) > DELAY_MAX_MS)
		p->delay_ms = DELAY_MAX_MS;
	p->restart = loop_timer_new(mon->loop, p->delay_ms, on_restart, p);
}

static void
on_start_timeout(void *arg)
{
	(void)arg;
	mon->deadline = NULL;
	log_err("not every role came up in time");
	stop_service(mon, "start timed out", 1);
}

void
on_exit_of(struct proc *p, int status)
{
	char name[64], how[64];

	proc_name(p, name, sizeof(name));
	if (status == -1)
		(void)strlcpy(how, "gone", sizeof(how));
	else if (WIFSIGNALED(status))
		(void)snprintf(how, sizeof(how), "signal %d", WTERMSIG(status));
	else
		(void)snprintf(how, sizeof(how), "exit %d",
		    WEXITSTATUS(status));
	chan_free(p->ctl);
	p->ctl = NULL;
	p->pid = 0;
	outside_forget(p);
	p->running = false;
	p->exited_ok = status == 0;
	if (mon->stopping) {
		if (p->role == ROLE_LOGGER)
			log_set_sink(NULL);
		stop_next(mon);
		return;
	}
	if (monitor_offline(mon) && status == 0) {
		if (find_role(ROLE_KEYD, 0)->exited_ok &&
		    find_role(ROLE_VAULT, 0)->exited_ok &&
		    find_role(ROLE_ENGINE, 0)->exited_ok)
			stop_service(mon, mon->init ? "initialized" :
			    mon->accept ? "accepted" : "verified", 0);
		return;
	}
	audit(EV_role_exit, 0, NULL, "role=%s how=%s", name, how);
	if (status != -1 && WIFEXITED(status) && WEXITSTATUS(status) == 127)
		log_err("%s/%s cannot be executed", mon->libexec,
		    role_decls[p->role].name);
	if (!role_decls[p->role].keep || !mon->serving) {
		log_err("%s has ended (%s): the service stops", name, how);
		stop_service(mon, "a role has ended", 1);
	} else
		schedule_restart(p);
}

static void
reap(void)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (int i = 0; i < mon->nprocs; i++)
			if (mon->procs[i].pid == pid)
				on_exit_of(&mon->procs[i], status);
		for (int i = 0; i < MONITOR_MAX_RETIRED; i++)
			if (mon->retired[i] != NULL &&
			    mon->retired[i]->pid == pid) {
				chan_free(mon->retired[i]->ctl);
				free(mon->retired[i]);
				mon->retired[i] = NULL;
				if (mon->stopping)
					stop_next(mon);
			}
	}
}

static void
on_signal(uint32_t events, void *arg)
{
	int fd = *(int *)arg;
	struct signalfd_siginfo si;
	char err[512];

	(void)events;
	while (read(fd, &si, sizeof(si)) == (ssize_t)sizeof(si)) {
		switch (si.ssi_signo) {
		case SIGCHLD:
			reap();
			break;
		case SIGHUP:
			(void)reload(mon, 0, err, sizeof(err));
			break;
		default:
			if (mon->stopping) {
				log_notice("stopping at once");
				stop_drained(mon);
				break;
			}
			log_notice("stopping (signal %u)", si.ssi_signo);
			stop_service(mon, "signal",
			    monitor_offline(mon) ? 1 : 0);
		}
	}
}

static int
watch_signals(void)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL) == -1 ||
	    signal(SIGPIPE, SIG_IGN) == SIG_ERR ||
	    signal(SIGCHLD, SIG_DFL) == SIG_ERR)
		fatal("signals");
	if ((fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)) == -1)
		fatal("signalfd");
	return fd;
}

int
supervise(struct monitor *m)
{
	static int sigfd;

	mon = m;
	memset(m->levels, (int)m->cfg.log_level, sizeof(m->levels));
	m->loop = loop_new();
	sigfd = watch_signals();
	(void)loop_io_new(m->loop, sigfd, EPOLLIN, on_signal, &sigfd);
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == -1)
		fatal("PR_SET_CHILD_SUBREAPER");
	for (int r = 0; r < ROLES; r++)
		for (int i = 0; i < role_instances((enum role_id)r,
		    m->providers); i++) {
			struct proc *p = &m->procs[m->nprocs++];

			p->role = (enum role_id)r;
			p->instance = i;
			if (!monitor_offline(m) || !role_decls[r].keep)
				start_process(p);
		}
	links_close_unkept(m);
	/* How long a recovery takes depends on how much there is. */
	if (!m->check)
		mon->deadline = loop_timer_new(m->loop, START_TIMEOUT_MS,
		    on_start_timeout, NULL);
	loop_run(m->loop);
	return mon->exit_status;
}
