#include <sys/syscall.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "monitor.h"

/* Above every number that a role uses: 3 + links + files + log sockets. */
#define HIGH_FD		200
#define MAX_ROLE_FDS	128

static const enum config_role users[ROLES] = {
	[ROLE_LOGGER] = CONFIG_LOGGER, [ROLE_KEYD] = CONFIG_KEYD,
	[ROLE_ENGINE] = CONFIG_ENGINE, [ROLE_HASHER] = CONFIG_HASHER,
	[ROLE_VAULT] = CONFIG_VAULT,
	[ROLE_CONNECTOR] = CONFIG_CONNECTOR, [ROLE_LLMPROXY] = CONFIG_LLMPROXY,
	[ROLE_ZYGOTE] = CONFIG_ZYGOTE, [ROLE_SESSIOND] = CONFIG_SESSIOND,
	[ROLE_CERTD] = CONFIG_CERTD,
};

void
proc_name(const struct proc *p, char *dst, size_t size)
{
	if (role_decls[p->role].multi)
		(void)snprintf(dst, size, "%s[%d]", role_decls[p->role].name,
		    p->instance);
	else
		(void)snprintf(dst, size, "%s", role_decls[p->role].name);
}

const struct config_user *
proc_user(const struct monitor *m, const struct proc *p)
{
	if (p->role == ROLE_LLMPROXY)
		return &m->cfg.providers[p->instance].user;
	return &m->cfg.user[users[p->role]];
}

void
proc_kill(const struct proc *p)
{
	if (p->pid <= 0)
		return;
	/* Of one that is not our child the number alone may be another's now. */
	if (p->pidfd != 0)
		(void)syscall(SYS_pidfd_send_signal, p->pidfd, SIGKILL, NULL, 0);
	else
		(void)kill(p->pid, SIGKILL);
}

/* Whether the service manager starts p's process, not we. */
static bool
is_outside(const struct monitor *m, const struct proc *p)
{
	return p->role == ROLE_CONNECTOR && m->cfg.connector_socket != NULL;
}

/* What goes where in the new process: fds[target] = source. */
struct fdmap {
	int	source[MAX_ROLE_FDS];
	bool	ours[MAX_ROLE_FDS];	/* opened for this start: close after */
	int	n;
};

static void
map(struct fdmap *f, int target, int source, bool ours)
{
	if (target >= MAX_ROLE_FDS || source == -1)
		fatalx("descriptor %d of a role cannot be filled", target);
	f->source[target] = source;
	f->ours[target] = ours;
	if (target >= f->n)
		f->n = target + 1;
}

static void
map_links(struct monitor *m, const struct proc *p, struct fdmap *f)
{
	for (int l = 0; l < LINKS; l++) {
		const struct link_decl *d = &link_decls[l];
		enum role_id peer = d->a == p->role ? d->b : d->a;
		int end = d->a == p->role ? 0 : 1;

		if (d->a != p->role && d->b != p->role)
			continue;
		if (role_decls[p->role].multi) {
			map(f, role_link_fd(p->role, m->providers,
			    (enum link_id)l, 0), m->links[l][p->instance][end],
			    false);
			continue;
		}
		for (int i = 0; i < role_instances(peer, m->providers); i++)
			map(f, role_link_fd(p->role, m->providers,
			    (enum link_id)l, i), m->links[l][i][end], false);
	}
}

static void
close_ours(const struct fdmap *f)
{
	for (int i = 0; i < f->n; i++)
		if (f->ours[i])
			close(f->source[i]);
}

/* 0, or -1 when a file cannot be opened now; then nothing is left open. */
static int
map_fds(struct monitor *m, const struct proc *p, int ctl, struct fdmap *f)
{
	int null, fd, extra = role_extra_fd(p->role, m->providers);

	memset(f, 0, sizeof(*f));
	if ((null = open("/dev/null", O_RDWR | O_CLOEXEC)) == -1)
		fatal("/dev/null");
	map(f, 0, null, true);
	map(f, 1, null, false);
	map(f, 2, m->debug || p->role == ROLE_LOGGER ? STDERR_FILENO : null,
	    false);
	map(f, FD_CONTROL, ctl, true);
	map(f, FD_LOG, m->logs[role_index(p->role, p->instance,
	    m->providers)][0], false);
	map_links(m, p, f);
	for (int i = 0; i < FILES; i++) {
		if (file_roles[i] != p->role)
			continue;
		if ((fd = state_open_file(m, (enum file_id)i,
		    p->instance)) == -1) {
			close_ours(f);
			return -1;
		}
		map(f, role_file_fd(p->role, m->providers, (enum file_id)i),
		    fd, true);
	}
	if (p->role == ROLE_SESSIOND)
		for (int i = 0; i < m->nlisteners; i++)
			map(f, extra++, m->listeners[i], false);
	if (p->role == ROLE_LOGGER)
		for (int i = 0; i <= role_total(m->providers); i++)
			map(f, extra++, m->logs[i][1], false);
	return 0;
}

/* In the child: sources out of the way, then each to its place. */
__attribute__((noreturn)) static void
exec_role(const struct monitor *m, const struct proc *p, struct fdmap *f)
{
	char path[4096];
	char *argv[2] = { path, NULL };
	char *envp[4] = { role_title_room, role_wiping, NULL, NULL };
	sigset_t none;
	int n;

	for (int i = 0; i < f->n; i++)
		if ((f->source[i] = fcntl(f->source[i], F_DUPFD_CLOEXEC,
		    HIGH_FD)) == -1)
			_exit(126);
	for (int i = 0; i < f->n; i++)
		if (dup2(f->source[i], i) == -1)
			_exit(126);
	if (close_range((unsigned)f->n, ~0u, 0) == -1)
		_exit(126);
	sigemptyset(&none);
	if (sigprocmask(SIG_SETMASK, &none, NULL) == -1)
		_exit(126);
	n = snprintf(path, sizeof(path), "%s/%s", m->libexec,
	    role_decls[p->role].name);
	if (n < 0 || (size_t)n >= sizeof(path))
		_exit(126);
#ifdef __SANITIZE_ADDRESS__
	static char asan[512];

	(void)snprintf(asan, sizeof(asan), "ASAN_OPTIONS=%s",
	    getenv("ASAN_OPTIONS") != NULL ? getenv("ASAN_OPTIONS") :
	    "detect_leaks=0");
	envp[2] = asan;
#endif
	execve(path, argv, envp);
	_exit(127);
}

static void
send_start(struct monitor *m, struct proc *p)
{
	const struct config_user *u = proc_user(m, p);
	struct m_ctl_start s = {
		.role = (uint8_t)p->role, .instance = (uint8_t)p->instance,
		.providers = (uint8_t)m->providers,
		.listeners = (uint8_t)m->nlisteners,
		.generation = p->generation, .uid = u->uid, .gid = u->gid,
		.flags = (m->init || (m->trial && p->role == ROLE_LOGGER) ?
		    START_INIT : 0) | (m->check ? START_CHECK : 0) |
		    (m->accept ? START_ACCEPT : 0) |
		    (geteuid() != 0 || p->pidfd != 0 ? START_SHARE_UID : 0),
		.min_abi = m->cfg.limits.min_landlock_abi,
		.log_level = m->levels[p->role],
	};
	char dir[1024] = "";

	if (p->role == ROLE_ENGINE)
		state_engine_dir(m, dir, sizeof(dir));
	s.dir = bytes_str(dir);
	(void)chan_send(p->ctl, MSG_ctl_start, &s, -1);
}

int
spawn(struct monitor *m, struct proc *p)
{
	struct fdmap f;
	int ctl[2];
	pid_t pid;

	if (chan_pair(ctl, false) == -1)
		fatal("socketpair");
	if (map_fds(m, p, ctl[1], &f) == -1) {
		close(ctl[0]);
		return -1;
	}
	if (is_outside(m, p)) {
		if (outside_spawn(m, p, f.source, f.n) == -1) {
			close_ours(&f);
			close(ctl[0]);
			return -1;
		}
	} else if ((pid = fork()) == -1)
		fatal("fork");
	else if (pid == 0)
		exec_role(m, p, &f);
	else
		p->pid = pid;
	close_ours(&f);
	p->generation++;
	p->pinged = false;
	p->running = false;
	p->started_us = wall_us();
	p->started_ms = mono_ms();
	p->ctl = chan_new(NULL, ctl[0], CH_CTL, END_A, CTL_START, 0, NULL, NULL,
	    NULL);
	send_start(m, p);
	return 0;
}
