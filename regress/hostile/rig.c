#include "rig.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "loop.h"

#define HIGH_FD		200	/* above all that a role has */
#define START_MS	30000
#define STOP_MS		10000

/* Below the state directory, as cloisterd has them. */
static const char *const files[FILES] = {
	[FILE_AUDIT_LOG] = "audit/audit.log",
	[FILE_AUDIT_STATE] = "audit/audit.state",
	[FILE_HOST_KEY] = "keys/host.key",
	[FILE_WRAP_KEY] = "keys/wrap.key",
	[FILE_ANCHOR] = "vault/anchor",
	[FILE_KEYFILE] = "vault/storage.key",
};

static int
open_file(const struct rig *r, enum file_id f)
{
	char path[4096];
	int fd;

	if (f == FILE_API_KEY) {
		(void)snprintf(path, sizeof(path), "%s/../api.key", r->state);
		fd = open(path, O_RDONLY);
	} else if (files[f] == NULL)
		fd = open("/dev/null", O_RDWR);
	else {
		(void)snprintf(path, sizeof(path), "%s/%s", r->state, files[f]);
		fd = open(path, O_RDWR |
		    (f == FILE_AUDIT_LOG ? O_APPEND : 0));
	}
	if (fd == -1)
		fatal("file %d of a role", f);
	return fd;
}

static int
tcp_listener(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd == -1 || bind(fd, (struct sockaddr *)&sin, sizeof(sin)) == -1 ||
	    listen(fd, 64) == -1)
		fatal("listener");
	return fd;
}

/* target's place is taken by source, which is out of the way afterwards. */
struct places {
	int	source[128];
	int	n;
};

static void
place(struct places *p, int target, int source)
{
	while (p->n <= target)
		p->source[p->n++] = -1;
	if ((p->source[target] = fcntl(source, F_DUPFD_CLOEXEC, HIGH_FD)) == -1)
		fatal("dup");
}

__attribute__((noreturn)) static void
become(const struct rig *r, struct places *p)
{
	struct rlimit rl = { r->nofile, r->nofile };
	static char room[] = "CLOISTER_TITLE="
	    "................................................................";
	/* A sanitizer's end is none of its own. */
	static char asan[] = "ASAN_OPTIONS=detect_leaks=0:abort_on_error=0:"
	    "exitcode=99";
	char path[4096], *argv[] = { path, NULL }, *envp[] = { room, asan,
	    NULL };

	(void)snprintf(path, sizeof(path), "%s/%s", r->libexec,
	    role_decls[r->role].name);
	for (int i = 0; i < p->n; i++)
		if (p->source[i] == -1 || dup2(p->source[i], i) == -1)
			_exit(126);
	if (close_range((unsigned)p->n, ~0u, 0) == -1 ||
	    (r->nofile != 0 && setrlimit(RLIMIT_NOFILE, &rl) == -1))
		_exit(126);
	(void)execve(path, argv, envp);
	_exit(127);
}

static void
close_all(struct rig *r)
{
	(void)close(r->ctl);
	(void)close(r->log);
	for (int l = 0; l < LINKS; l++)
		if (r->link[l] != -1)
			(void)close(r->link[l]);
	for (int i = 0; i <= role_total(1); i++)
		if (r->logs[i] != -1)
			(void)close(r->logs[i]);
	if (r->listener != -1)
		(void)close(r->listener);
}

/* Everything that a role finds at its start; ours stay open here. */
static void
equip(struct rig *r, struct places *p, int *theirs, int *n)
{
	int pair[2], fd, extra = role_extra_fd(r->role, 1);

	if ((fd = open("/dev/null", O_RDWR)) == -1)
		fatal("/dev/null");
	theirs[(*n)++] = fd;
	for (int i = 0; i < 3; i++)
		place(p, i, i == 2 && getenv("RIG_DEBUG") != NULL ? 2 : fd);
	if (chan_pair(pair, false) == -1)
		fatal("socketpair");
	r->ctl = pair[0];
	place(p, FD_CONTROL, theirs[(*n)++] = pair[1]);
	if (chan_pair(pair, false) == -1)
		fatal("socketpair");
	r->log = pair[0];
	place(p, FD_LOG, theirs[(*n)++] = pair[1]);
	for (int l = 0; l < LINKS; l++) {
		r->link[l] = -1;
		if (link_decls[l].a != r->role && link_decls[l].b != r->role)
			continue;
		if (chan_pair(pair, false) == -1)
			fatal("socketpair");
		r->link[l] = pair[0];
		place(p, role_link_fd(r->role, 1, (enum link_id)l, 0),
		    theirs[(*n)++] = pair[1]);
	}
	for (int f = 0; f < FILES; f++)
		if (file_roles[f] == r->role)
			place(p, role_file_fd(r->role, 1, (enum file_id)f),
			    theirs[(*n)++] = open_file(r, (enum file_id)f));
	r->listener = -1;
	if (r->role == ROLE_SESSIOND)
		place(p, extra, r->listener = tcp_listener());
	/* The logger has a socket of every process: we are all of them. */
	for (int i = 0; i <= role_total(1); i++) {
		r->logs[i] = -1;
		if (r->role != ROLE_LOGGER)
			continue;
		if (chan_pair(pair, false) == -1)
			fatal("socketpair");
		r->logs[i] = pair[0];
		place(p, extra + i, theirs[(*n)++] = pair[1]);
	}
}

/* One datagram, decoded: 0, or -1 with *over when there will be no other. */
static int
take(struct rig *r, int sock, enum chan_kind kind, enum chan_end end,
    unsigned state, struct msg *m, bool *over)
{
	static uint8_t wire[MSG_MAX_BYTES];
	union {
		struct cmsghdr	align;
		char		buf[CMSG_SPACE(sizeof(int))];
	} ctl;
	struct iovec iov = { wire, sizeof(wire) };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1,
	    .msg_control = ctl.buf, .msg_controllen = sizeof(ctl.buf) };
	struct cmsghdr *cm;
	ssize_t n;

	m->fd = -1;
	*over = false;
	if ((n = recvmsg(sock, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC)) <= 0) {
		*over = n == 0 || (errno != EAGAIN && errno != EINTR);
		return -1;
	}
	r->leak |= board_leak(r->board, wire, (size_t)n);
	if ((cm = CMSG_FIRSTHDR(&mh)) != NULL && cm->cmsg_type == SCM_RIGHTS)
		memcpy(&m->fd, CMSG_DATA(cm), sizeof(int));
	if (msg_decode(bytes_of(wire, (size_t)n), kind, end, state, m) ==
	    MSG_OK)
		return 0;
	if (m->fd != -1)
		(void)close(m->fd);
	*over = true;
	return -1;
}

static void
hear_log(struct rig *r)
{
	struct msg m;
	bool over;

	while (take(r, r->log, CH_LOG, END_B, LOG_OPEN, &m, &over) == 0) {
		r->violations += m.u.log_event.is_audit &&
		    bytes_eq(m.u.log_event.event, bytes_str("violation")) &&
		    m.u.log_event.text.n > 0;
		r->errors += m.u.log_event.level <= LOG_L_ERR &&
		    m.u.log_event.text.n > 0;
	}
}

/* What the logger has written since `at', whole lines; the caller frees. */
static char *
audit_from(const struct rig *r, off_t at, size_t *n)
{
	struct buf b = BUF_INIT(1u << 28);
	int fd = open_file(r, FILE_AUDIT_LOG);

	if (lseek(fd, at, SEEK_SET) == -1 || read_all(fd, &b) == -1)
		fatal("the audit log");
	(void)close(fd);
	buf_u8(&b, 0);
	*n = b.n - 1;
	while (*n > 0 && b.p[*n - 1] != '\n')
		(*n)--;
	b.p[*n] = '\0';
	return (char *)b.p;
}

static void
read_audit(struct rig *r)
{
	size_t n;
	char *log = audit_from(r, r->audit_at, &n);

	/* A ping is one as well, for everybody may say that. */
	for (char *p = log; (p = strstr(p, "\"event\":\"violation\"")) != NULL;
	    p++) {
		const char *text = strstr(p, "\"text\":\"");

		r->violations += text == NULL ||
		    strncmp(text, "\"text\":\"ping ", 13) != 0;
	}
	r->audit_at += (off_t)n;
	free(log);
}

bool
rig_audited(const struct rig *r, const char *text)
{
	size_t n;
	/* A ping is among the last lines. */
	char *log = audit_from(r, r->audit_at > 4096 ? r->audit_at - 4096 : 0,
	    &n);
	bool found = strstr(log, text) != NULL;

	free(log);
	return found;
}

/* Read what it said on every socket but one: it must never wait for us. */
static void
drain(struct rig *r, int except)
{
	static uint8_t junk[2 * MSG_MAX_BYTES];
	ssize_t n;

	if (r->role == ROLE_LOGGER)
		read_audit(r);
	else
		hear_log(r);
	for (int l = 0; l < LINKS; l++)
		while (r->link[l] != -1 && r->link[l] != except &&
		    (n = recv(r->link[l], junk, sizeof(junk),
		    MSG_DONTWAIT)) > 0)
			r->leak |= board_leak(r->board, junk, (size_t)n);
	while (r->ctl != except && (n = recv(r->ctl, junk, sizeof(junk),
	    MSG_DONTWAIT)) > 0) {
		r->leak |= board_leak(r->board, junk, (size_t)n);
		if (n < 3 || get_be16(junk) !=
		    msg_desc(MSG_ctl_offender)->number)
			continue;
		r->offenders++;
		r->offender = junk[2];
	}
}

void
rig_drain(struct rig *r)
{
	drain(r, -1);
}

void
rig_send(struct rig *r, int sock, enum msg_type type, const void *body, int fd)
{
	struct buf b = BUF_INIT(MSG_MAX_BYTES);
	int was = attack_fd;

	if (msg_encode(type, body, &b) == -1)
		fatalx("%s cannot be encoded", msg_desc(type)->name);
	attack_fd = fd;
	while (attack_datagram(sock, buf_bytes(&b), fd != -1) == -1 &&
	    errno == EAGAIN) {
		/* It may wait for us itself, with its log or another link. */
		drain(r, -1);
		(void)poll(NULL, 0, 1);
	}
	attack_fd = was;
	buf_free(&b);
}

int
rig_recv(struct rig *r, int sock, enum chan_kind kind, enum chan_end end,
    unsigned state, struct msg *m, int ms)
{
	uint64_t until = mono_ms() + (uint64_t)ms;
	struct pollfd pfd = { .fd = sock, .events = POLLIN };
	bool over = false;

	while (take(r, sock, kind, end, state, m, &over) == -1) {
		if (over || mono_ms() >= until)
			return -1;
		drain(r, sock);
		(void)poll(&pfd, 1, 1);
	}
	return 0;
}

enum board_result
rig_listen(struct rig *r, int sock, int ms)
{
	uint64_t until = mono_ms() + (uint64_t)ms;
	enum board_result got;

	do {
		drain(r, -1);
		got = board_listen(r->board, sock, 1);
	} while (got == RESULT_TAKEN && mono_ms() < until);
	return got;
}

static void
want(struct rig *r, enum msg_type type, unsigned state)
{
	uint64_t end = mono_ms() + START_MS;
	struct msg m;

	while (mono_ms() < end) {
		if (rig_recv(r, r->ctl, CH_CTL, END_A, state, &m, 50) == 0 &&
		    m.type == type)
			return;
		if (rig_ended(r, 0))
			break;
	}
	fatalx("%s does not start", role_decls[r->role].name);
}

static void
configure(struct rig *r)
{
	struct m_ctl_limits limits = {
		.max_connections = 100, .max_per_source = 100,
		.max_sessions_per_user = 10, .login_grace_s = 30,
		.idle_timeout_s = 60, .spare_workers = 2,
		.max_prompt_bytes = 1000, .first_contact = 1
	};
	struct m_ctl_upstream up = {
		.port = 9, .has_key = 1, .connect_timeout_s = 1,
		.first_byte_timeout_s = 1, .idle_timeout_s = 1,
		.total_timeout_s = 1, .name = bytes_str("upstream"),
		.host = bytes_str("127.0.0.1"), .path = bytes_str("/v1")
	};
	struct m_ctl_model model = {
		.is_default = 1, .alias = bytes_str("echo"),
		.upstream = bytes_str("echo"),
		.provider_name = bytes_str("upstream")
	};

	/* To each what cloisterd tells it. */
	if (r->role == ROLE_SESSIOND || r->role == ROLE_ZYGOTE)
		rig_send(r, r->ctl, MSG_ctl_limits, &limits, -1);
	if (r->role == ROLE_CONNECTOR || r->role == ROLE_LLMPROXY)
		rig_send(r, r->ctl, MSG_ctl_upstream, &up, -1);
	if (r->role == ROLE_LLMPROXY)
		rig_send(r, r->ctl, MSG_ctl_model, &model, -1);
}

/*
 * Welcomes for those who drop everything before: each begins with the generation
 * that it is for.
 */
static void
welcome(struct rig *r)
{
	struct buf b = BUF_INIT(MSG_MAX_BYTES);

	for (int l = 0; l < LINKS; l++)
		for (int t = 0; t < MSG_TYPES && r->link[l] != -1; t++) {
			const struct msg_desc *d = msg_desc((enum msg_type)t);

			if (d->kind != link_decls[l].kind || (d->dir == AB) !=
			    (link_decls[l].b == r->role) ||
			    strstr(d->name, "_welcome") == NULL)
				continue;
			buf_reset(&b);
			attack_sample((enum msg_type)t, &b);
			put_be32(b.p + 2, r->generation);
			(void)attack_datagram(r->link[l], buf_bytes(&b), 0);
		}
	buf_free(&b);
}

void
rig_start(struct rig *r)
{
	struct places p = { .n = 0 };
	int fd, theirs[64], n = 0;
	char dir[4096];
	struct m_ctl_start s = {
		.role = (uint8_t)r->role, .providers = 1, .listeners = 1,
		.uid = r->uid, .gid = r->uid,
		.flags = geteuid() != 0 ? START_SHARE_UID : 0,
		.log_level = LOG_L_INFO,
	};

	(void)snprintf(dir, sizeof(dir), "%s/db", r->state);
	s.dir = bytes_str(r->role == ROLE_ENGINE ? dir : "");
	s.generation = ++r->generation;
	equip(r, &p, theirs, &n);
	if ((fd = open_file(r, FILE_AUDIT_LOG)) == -1 ||
	    (r->audit_at = lseek(fd, 0, SEEK_END)) == -1)
		fatal("the audit log");
	(void)close(fd);
	if ((r->pid = fork()) == -1)
		fatal("fork");
	if (r->pid == 0)
		become(r, &p);
	for (int i = 0; i < n; i++)
		(void)close(theirs[i]);
	for (int i = 0; i < p.n; i++)
		if (p.source[i] != -1)
			(void)close(p.source[i]);
	r->violations = r->errors = 0;
	r->offenders = 0;
	r->id = 0;
	if (r->until == CTL_START)
		return;
	rig_send(r, r->ctl, MSG_ctl_start, &s, -1);
	want(r, MSG_ctl_ready, CTL_START);
	if (r->until == CTL_CONF)
		return;
	configure(r);
	rig_send(r, r->ctl, MSG_ctl_go, NULL, -1);
	want(r, MSG_ctl_running, CTL_CONF);
	welcome(r);
}

static bool
wait_for(struct rig *r, int ms, bool accused)
{
	uint64_t end = mono_ms() + (uint64_t)ms;

	if (r->pid == 0)
		return true;
	for (;;) {
		if (accused && r->offenders > 0) {
			rig_drain(r);
			return true;
		}
		if (waitpid(r->pid, &r->status, WNOHANG) == r->pid)
			break;
		if (mono_ms() >= end)
			return false;
		/* A full socket must not keep it from its end. */
		rig_drain(r);
		(void)poll(NULL, 0, 1);
	}
	rig_drain(r);
	r->pid = 0;
	close_all(r);
	return true;
}

bool
rig_ended(struct rig *r, int ms)
{
	return wait_for(r, ms, false);
}

bool
rig_refused(struct rig *r, int ms)
{
	return wait_for(r, ms, true);
}

bool
rig_stop(struct rig *r)
{
	rig_send(r, r->ctl, MSG_ctl_stop, NULL, -1);
	/* It may have been about to end by itself. */
	if (rig_ended(r, STOP_MS))
		return WIFEXITED(r->status) && (WEXITSTATUS(r->status) == 0 ||
		    r->violations > 0);
	(void)kill(r->pid, SIGKILL);
	(void)rig_ended(r, STOP_MS);
	return false;
}

int
rig_fds(const struct rig *r)
{
	char path[64];
	DIR *d;
	int n = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/fd", r->pid);
	if ((d = opendir(path)) == NULL)
		return -1;
	while (readdir(d) != NULL)
		n++;
	(void)closedir(d);
	return n;
}
