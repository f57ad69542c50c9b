/*
 * cells: every generated attempt on the links between roles.
 *
 *	cells BOARD PROGRAMS STATE UID CLIENT-KEYS [ROLE]
 *
 * A broken link stops its role, or has its peer restarted, so each role is
 * started alone, as cloisterd starts it, as often as it takes; the test holds
 * the other ends.  An attempt that must be refused has to make the role end by
 * its own decision or accuse its peer, with a reason for the audit log; after
 * any other it goes on or does the same.  No reply may have a secret of the
 * board.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <linux/sockios.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hs.h"
#include "log.h"
#include "rig.h"

#define END_MS		30000
#define MANY		200	/* more than a role at its limit can hold */
#define FEW_FILES	48	/* RLIMIT_NOFILE */

static unsigned attempts, breaches;

/* ---- is it still serving? ------------------------------------------------- */

/*
 * The answer to a question of this kind and number, among whatever else comes;
 * none will, once the role has ended or accused who asks.
 */
static bool
answered(struct rig *r, enum link_id link, enum msg_type type, uint64_t number)
{
	const struct msg_desc *d = msg_desc(type);
	enum chan_end end = d->dir == AB ? END_B : END_A;
	uint64_t until = mono_ms() + END_MS, got = 0;
	uint32_t got32;
	struct msg m;

	while (r->offenders == 0 && !rig_ended(r, 0) && mono_ms() < until) {
		if (rig_recv(r, r->link[link], d->kind, end, d->states, &m,
		    20) == -1)
			continue;
		if (m.fd != -1)
			(void)close(m.fd);
		/* Its first field, a generation or a number. */
		memcpy(&got, (const uint8_t *)&m.u + d->fields[0].offset,
		    sizeof(got));
		memcpy(&got32, (const uint8_t *)&m.u + d->fields[0].offset,
		    sizeof(got32));
		if (m.type == type && number ==
		    (d->fields[0].kind == MF_U32 ? got32 : got))
			return true;
	}
	return false;
}

static bool
ping_keyd(struct rig *r)
{
	struct m_zk_hello m = { .generation = (uint32_t)(1000 + ++r->id) };

	rig_send(r, r->link[LINK_KEYD_ZYG], MSG_zk_hello, &m, -1);
	return answered(r, LINK_KEYD_ZYG, MSG_kz_welcome, m.generation);
}

static bool
ping_engine(struct rig *r)
{
	struct m_ve_get m = { .id = (1u << 20) + ++r->id,
	    .keys = bytes_of("\0\1\0\1x", 5) };

	rig_send(r, r->link[LINK_VAULT_ENGINE], MSG_ve_get, &m, -1);
	return answered(r, LINK_VAULT_ENGINE, MSG_ev_rows, m.id);
}

static bool
ping_connector(struct rig *r)
{
	struct m_lc_hello m = { .generation = (uint32_t)(1000 + ++r->id) };

	rig_send(r, r->link[LINK_LLM_CONN], MSG_lc_hello, &m, -1);
	return answered(r, LINK_LLM_CONN, MSG_cl_welcome, m.generation);
}

/* Once it was welcomed, which it forgets when it dislikes something. */
static bool
ping_hasher(struct rig *r)
{
	struct m_vh_hash m = { .id = (1u << 20) + ++r->id, .memory_kib = 19456,
	    .passes = 1 };

	rig_send(r, r->link[LINK_HASHER_VAULT], MSG_vh_hash, &m, -1);
	return answered(r, LINK_HASHER_VAULT, MSG_hv_hash, m.id);
}

/*
 * A verdict on what is no certificate.  Before its own welcome it drops all that a
 * predecessor may have been sent, other welcomes too.
 */
static bool
ping_certd(struct rig *r)
{
	struct m_vt_welcome w = { .generation = r->generation };
	struct m_vt_check m = { .id = (1u << 20) + ++r->id,
	    .cert = bytes_str("0"), .spki = bytes_str("a key") };

	rig_send(r, r->link[LINK_VAULT_CERT], MSG_vt_welcome, &w, -1);
	rig_send(r, r->link[LINK_VAULT_CERT], MSG_vt_check, &m, -1);
	return answered(r, LINK_VAULT_CERT, MSG_tv_verdict, m.id);
}

/* A grant whose owner misbehaves is closed. */
static bool
ping_llmproxy(struct rig *r)
{
	struct m_vl_grant g = { .n = 7, .user = bytes_str("alice"),
	    .model = bytes_str("echo") };
	struct m_sl_chat m = { .req = 1 };
	int pair[2];
	bool ended;

	if (chan_pair(pair, false) == -1)
		fatal("socketpair");
	rig_send(r, r->link[LINK_VAULT_LLM], MSG_vl_grant, &g, pair[1]);
	(void)close(pair[1]);
	rig_send(r, pair[0], MSG_sl_chat, &m, -1);
	ended = rig_listen(r, pair[0], END_MS) == RESULT_REFUSED;
	(void)close(pair[0]);
	return ended;
}

static bool
ping_sessiond(struct rig *r)
{
	static const uint8_t nothing[HS_CH_LEN];
	struct sockaddr_in sin;
	socklen_t len = sizeof(sin);
	struct msg reply;
	bool got;
	int fd;

	/* It waits for a whole first message, whatever that says. */
	if (getsockname(r->listener, (struct sockaddr *)&sin, &len) == -1 ||
	    (fd = socket(AF_INET, SOCK_STREAM, 0)) == -1 ||
	    connect(fd, (struct sockaddr *)&sin, len) == -1 ||
	    send(fd, nothing, sizeof(nothing), 0) != sizeof(nothing))
		fatal("connect");
	got = rig_recv(r, r->link[LINK_SESSD_ZYG], CH_SESSD_ZYG, END_B,
	    SESSD_ZYG_UP, &reply, END_MS) == 0;
	if (got && reply.fd != -1) {
		struct m_zs_done m = { .id = reply.u.sz_conn.id };

		rig_send(r, r->link[LINK_SESSD_ZYG], MSG_zs_done, &m, -1);
		(void)close(reply.fd);
	}
	(void)close(fd);
	return got;
}

/* A line by that socket, of the one event that is everybody's to say. */
static bool
ping_log(struct rig *r, int who)
{
	uint64_t end = mono_ms() + END_MS;
	struct m_log_event m = { .level = LOG_L_INFO, .is_audit = 1,
	    .event = bytes_str("violation") };
	char text[64];

	(void)snprintf(text, sizeof(text), "ping %u of %u", (unsigned)++r->id,
	    r->generation);
	m.text = bytes_str(text);
	rig_send(r, r->logs[who], MSG_log_event, &m, -1);
	while (!rig_audited(r, text)) {
		if (mono_ms() >= end || rig_ended(r, 0))
			return false;
		rig_drain(r);
		(void)poll(NULL, 0, 1);
	}
	return true;
}

/* ---- the attempts --------------------------------------------------------- */

struct target {
	enum role_id	role;
	enum link_id	link;
	bool		(*ping)(struct rig *);	/* NULL: a stop tells */
	bool		fresh;	/* what it was told lasts: start anew each time */
	struct cell	cell;
	int		who;	/* CH_LOG: whose socket, as role_index() */
	size_t		first, step;	/* each step-th attempt; 0: all */
};

/* How each role is asked whether it still serves; a new one is just stopped. */
static const struct {
	bool		(*ping)(struct rig *);
	bool		lasts;	/* what it was told changes what it answers */
} manners[ROLES] = {
	[ROLE_KEYD] = { ping_keyd, false },
	[ROLE_ENGINE] = { ping_engine, false },
	[ROLE_HASHER] = { ping_hasher, true },
	[ROLE_CERTD] = { ping_certd, true },
	[ROLE_CONNECTOR] = { ping_connector, false },
	[ROLE_LLMPROXY] = { ping_llmproxy, true },
	[ROLE_SESSIOND] = { ping_sessiond, false },
};

/*
 * One end of a link, as roles.def and messages.def have it: whoever may be sent
 * a descriptor there can receive them.
 */
static struct target
target_of(enum role_id role, enum link_id link)
{
	const struct link_decl *d = &link_decls[link];
	struct target t = { .role = role, .link = link,
	    .ping = manners[role].ping,
	    .fresh = manners[role].lasts || manners[role].ping == NULL,
	    .cell = { d->kind, d->a == role ? END_A : END_B, 0, false, true } };

	for (int m = 0; m < MSG_TYPES; m++) {
		const struct msg_desc *e = msg_desc((enum msg_type)m);

		if (e->kind != d->kind || (e->dir == AB) !=
		    (t.cell.end == END_B))
			continue;
		t.cell.state |= e->states;
		t.cell.recv_fd |= e->has_fd;
	}
	return t;
}

static void
breach(const struct target *t, const char *name, const char *why)
{
	breaches++;
	printf("breach: %s of %s: %s: %s\n", chan_kind_name(t->cell.kind),
	    role_decls[t->role].name, name, why);
}

/* How a role that did not go on should have ended it: NULL, or what is wrong. */
static const char *
bad_end(const struct rig *r)
{
	static char why[64];

	if (r->pid != 0)	/* its peer is to be restarted, not itself */
		return r->violations > 0 ? NULL : "no reason in the audit log";
	if (WIFSIGNALED(r->status)) {
		(void)snprintf(why, sizeof(why), "killed by signal %d",
		    WTERMSIG(r->status));
		return why;
	}
	if (WEXITSTATUS(r->status) != 1)
		return "it ended without a complaint";
	return r->violations > 0 ? NULL : "no reason in the audit log";
}

static int
sock_of(const struct rig *r, const struct target *t)
{
	return t->cell.kind == CH_LOG ? r->logs[t->who] :
	    t->cell.kind == CH_CTL ? r->ctl : r->link[t->link];
}

/*
 * Until it has read all that was sent: a ping by another link would overtake it,
 * and what it is answered with would count for the next attempt.
 */
static void
read_by_it(struct rig *r, const struct target *t)
{
	uint64_t end = mono_ms() + END_MS;
	int unread;

	while (!rig_refused(r, 0) && mono_ms() < end &&
	    ioctl(sock_of(r, t), SIOCOUTQ, &unread) == 0 && unread > 0) {
		rig_drain(r);
		(void)poll(NULL, 0, 1);
	}
}

static const char *
verdict(struct rig *r, const struct target *t, const struct attack *a, int fds)
{
	if (a->must_die)
		return rig_refused(r, END_MS) ? bad_end(r) : "it was taken";
	read_by_it(r, t);
	if (rig_refused(r, 0))
		return bad_end(r);
	if (t->ping == NULL) {
		(void)rig_ended(r, 5);
		rig_drain(r);
	} else if (!t->ping(r) && !rig_refused(r, END_MS))
		return "it does not serve any more";
	if (rig_refused(r, 0))
		return bad_end(r);
	if (!t->cell.recv_fd && a->nfds > 0 && rig_fds(r) > fds + 2)
		return "descriptors stay";
	return NULL;
}

/*
 * Of a log socket.  The logger goes on, for it serves all others; who wrote that
 * is to be ended.  The monitor is nobody's to accuse.
 */
static const char *
log_verdict(struct rig *r, const struct target *t, const struct attack *a)
{
	uint64_t end = mono_ms() + END_MS;
	int monitor = role_total(1);
	bool accused = t->who != monitor;

	/* Behind what was sent, and of somebody else. */
	if (!ping_log(r, t->who) || !ping_log(r, monitor))
		return "it does not serve any more";
	rig_drain(r);
	if (a->must_die && r->violations == 0)
		return "no reason in the audit log";
	while (r->violations > 0 && accused && r->offenders == 0 &&
	    mono_ms() < end) {
		(void)poll(NULL, 0, 1);
		rig_drain(r);
	}
	if (!accused)
		return r->offenders > 0 ? "the monitor is accused" : NULL;
	return r->violations > 0 && (r->offenders == 0 ||
	    r->offender != t->who) ? "it is not accused, or another is" : NULL;
}

/*
 * Of a control channel.  A monitor that breaks the rules, or has gone, ends the
 * role; that is no violation by a peer, but an error in the log (nothing in the
 * log before the start message, which says what to log).
 */
static const char *
ctl_verdict(struct rig *r, const struct target *t, const struct attack *a)
{
	/* What was taken is read before the end.  A vault that starts waits for
	 * keyd and the engine, which would have gone, too. */
	for (int l = 0; l < LINKS && !a->must_die && t->role == ROLE_VAULT; l++)
		if (r->link[l] != -1)
			(void)shutdown(r->link[l], SHUT_WR);
	if (!a->must_die)
		(void)shutdown(r->ctl, SHUT_WR);
	if (!rig_ended(r, END_MS))
		return a->must_die ? "it was taken" :
		    "it lives on without its monitor";
	if (WIFSIGNALED(r->status))
		return "killed by a signal";
	if (WEXITSTATUS(r->status) > 1)
		return "it did not end by itself";
	if (!a->must_die)
		return NULL;
	if (WEXITSTATUS(r->status) != 1)
		return "it ended without a complaint";
	return r->errors > 0 || t->role == ROLE_LOGGER ||
	    t->cell.state == CTL_START ? NULL : "no reason in the log";
}

static void
one(struct rig *r, const struct target *t, size_t i)
{
	const char *why;
	struct attack a;
	int fds;

	r->until = t->cell.kind == CH_CTL ? t->cell.state : CTL_RUN;
	if (r->pid == 0)
		rig_start(r);
	attack_n = (uint64_t)r->generation << 32 | (1 + i);
	attack_make(&t->cell, i, &a);
	rig_drain(r);
	fds = rig_fds(r);
	r->leak = false;
	r->violations = r->errors = r->offenders = 0;
	attack_send(sock_of(r, t), &a);
	why = t->cell.kind == CH_LOG ? log_verdict(r, t, &a) :
	    t->cell.kind == CH_CTL ? ctl_verdict(r, t, &a) :
	    verdict(r, t, &a, fds);
	rig_drain(r);
	if (why == NULL && r->leak)
		why = "a secret in the answer";
	attempts++;
	if (why != NULL)
		breach(t, a.name, why);
	/* What it was made to believe is not the next attempt's. */
	if (r->pid != 0 && (why != NULL || (t->cell.kind != CH_LOG &&
	    (a.times > 1 || r->offenders > 0 || t->fresh))) && !rig_stop(r))
		breach(t, a.name, "it does not stop");
	attack_free(&a);
}

/* A role that receives descriptors and can open no more. */
static void
at_limit(struct rig *r, const struct target *t, enum msg_type type)
{
	struct attack a;
	const char *why = NULL;

	r->nofile = FEW_FILES;
	rig_start(r);
	memset(&a, 0, sizeof(a));
	buf_init(&a.wire, MSG_MAX_BYTES);
	attack_n = (uint64_t)r->generation << 32 | 1;
	attack_sample(type, &a.wire);
	a.nfds = 1;
	a.times = MANY;
	attack_send(r->link[t->link], &a);
	why = rig_refused(r, END_MS) ? bad_end(r) : NULL;
	attempts++;
	if (why != NULL)
		breach(t, "descriptors at the limit", why);
	if (r->pid != 0 && !rig_stop(r))
		breach(t, "descriptors at the limit", "it does not stop");
	buf_free(&a.wire);
	r->nofile = 0;
}

/* ---- a connector that passes what is no connection ------------------------ */

static void
no_connection(struct rig *r)
{
	const struct target tgt = target_of(ROLE_LLMPROXY, LINK_LLM_CONN);
	const struct target *t = &tgt;
	struct m_cl_connected m = { .id = 1 };
	const char *why;

	r->role = t->role;
	r->until = CTL_RUN;
	rig_start(r);
	rig_send(r, r->link[t->link], MSG_cl_connected, &m, 0);
	why = rig_refused(r, END_MS) ? bad_end(r) : "it was taken";
	attempts++;
	if (why != NULL)
		breach(t, "a file instead of a connection", why);
	if (r->pid != 0 && !rig_stop(r))
		breach(t, "a file instead of a connection", "it does not stop");
	printf("count hostile connector with a file: attempts 1, breaches %d\n",
	    why != NULL);
}

/* ---- the client's keyd ---------------------------------------------------- */

static int
keyd_start(const struct rig *r, const char *keys, pid_t *pid)
{
	char path[4096], c[] = "-c", *argv[] = { path, c, NULL };
	int pair[2], file = open(keys, O_RDONLY | O_CLOEXEC);

	(void)snprintf(path, sizeof(path), "%s/keyd", r->libexec);
	if (file == -1 || chan_pair(pair, false) == -1 ||
	    (*pid = fork()) == -1)
		fatal("keyd");
	if (*pid == 0) {
		int a = fcntl(pair[1], F_DUPFD, 100);
		int b = fcntl(file, F_DUPFD, 100);

		if (dup2(0, 2) == -1 || dup2(a, 3) == -1 || dup2(b, 4) == -1)
			_exit(126);
		closefrom(5);
		(void)execv(path, argv);
		_exit(127);
	}
	(void)close(pair[1]);
	(void)close(file);
	return pair[0];
}

/* Ask for something that the state permits, and wait for the answer. */
static void
keyd_step(int fd, enum msg_type type)
{
	static uint8_t reply[MSG_MAX_BYTES];
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	struct buf b = BUF_INIT(MSG_MAX_BYTES);

	attack_sample(type, &b);
	(void)attack_datagram(fd, buf_bytes(&b), 0);
	buf_free(&b);
	if (poll(&pfd, 1, END_MS) == 1)
		(void)recv(fd, reply, sizeof(reply), 0);
}

/* A message was announced to the client's keyd; it answers when it has it all. */
static void
attack_client_message(int fd)
{
	struct buf b = BUF_INIT(MSG_MAX_BYTES);

	attack_sample(MSG_ck_message, &b);
	(void)attack_datagram(fd, buf_bytes(&b), 0);
	buf_free(&b);
}

/* It answers to its client alone: its end is all that there is to see. */
static void
attack_client_keyd(const struct rig *r, const char *keys)
{
	static const unsigned states[] = { CLI_KEYD_NEW, CLI_KEYD_OPENED,
	    CLI_KEYD_SIGNED, CLI_KEYD_TEXT };
	struct target t = { .role = ROLE_KEYD,
	    .cell = { CH_CLI_KEYD, END_B, 0, false, true } };
	unsigned was = attempts, bad = breaches;

	for (size_t s = 0; s < sizeof(states) / sizeof(states[0]); s++) {
		t.cell.state = states[s];
		for (size_t i = 0; i < attack_count(&t.cell); i++) {
			enum board_result got;
			struct attack a;
			int status, fd;
			pid_t pid;

			fd = keyd_start(r, keys, &pid);
			if (s == 1 || s == 2)
				keyd_step(fd, MSG_ck_open);
			if (s == 2)
				keyd_step(fd, MSG_ck_sign);
			if (s == 3)
				attack_client_message(fd);
			attack_make(&t.cell, i, &a);
			attack_send(fd, &a);
			if (!a.must_die)
				(void)shutdown(fd, SHUT_WR);
			got = board_listen(r->board, fd, END_MS);
			(void)close(fd);
			attempts++;
			if (waitpid(pid, &status, 0) != pid)
				fatal("waitpid");
			if (got != RESULT_REFUSED)
				breach(&t, a.name, "it does not end");
			else if (!WIFEXITED(status) ||
			    (a.must_die && WEXITSTATUS(status) != 1))
				breach(&t, a.name, "it was taken");
			attack_free(&a);
		}
	}
	printf("count hostile client on keyd: attempts %u, breaches %u\n",
	    attempts - was, breaches - bad);
}

static void
attack_target(struct rig *r, const struct target *t)
{
	unsigned a = attempts, b = breaches;
	size_t n = attack_count(&t->cell);

	r->role = t->role;
	for (size_t i = t->first; i < n; i += t->step > 0 ? t->step : 1)
		one(r, t, i);
	for (int m = 0; m < MSG_TYPES; m++) {
		const struct msg_desc *d = msg_desc((enum msg_type)m);

		if (d->kind == t->cell.kind && d->has_fd &&
		    t->cell.kind != CH_CTL && (d->dir == AB) == (t->cell.end == END_B))
			at_limit(r, t, (enum msg_type)m);
	}
	if (r->pid != 0 && !rig_stop(r))
		breach(t, "at the end", "it does not stop");
	(void)fflush(stdout);
	printf("count hostile %s on %s%s: attempts %u, breaches %u\n",
	    t->cell.kind != CH_LOG ? chan_end_name(t->cell.kind,
	    t->cell.end == END_A ? END_B : END_A) :
	    t->who < ROLES ? role_decls[t->who].name : "cloisterd",
	    role_decls[t->role].name, t->cell.kind == CH_LOG ?
	    " (log socket)" : "", attempts - a, breaches - b);
}

/* Both ends of each, but for the vault's: it does not run without the others. */
static void
attack_links(struct rig *r, const char *only)
{
	for (int l = 0; l < LINKS; l++)
		for (int end = 0; end < 2; end++) {
			enum role_id role = end == 0 ? link_decls[l].a :
			    link_decls[l].b;
			struct target t = target_of(role, (enum link_id)l);

			if (role != ROLE_VAULT && (only == NULL || strcmp(only,
			    role_decls[role].name) == 0))
				attack_target(r, &t);
		}
}

/* Everybody's log socket; every attempt on one of them, fewer on the others. */
static void
attack_logs(struct rig *r)
{
	struct target t = { .role = ROLE_LOGGER,
	    .cell = { CH_LOG, END_B, LOG_OPEN, false, false } };

	for (t.who = 0; t.who <= role_total(1); t.who++) {
		t.cell.lean = t.who != ROLE_SESSIOND;
		attack_target(r, &t);
	}
}

/*
 * The control channel, as a hostile monitor would.  All roles have one code for
 * it, so they share the attempts.  (The vault runs only with keyd and the engine.)
 */
static void
attack_controls(struct rig *r, const char *only)
{
	static const unsigned states[] = { CTL_START, CTL_CONF, CTL_RUN };
	struct target t = { .cell = { CH_CTL, END_B, 0, false, true },
	    .step = ROLES };

	for (int role = 0; role < ROLES; role++)
		for (size_t s = 0; s < 3; s++) {
			t.role = (enum role_id)role;
			t.first = (t.step + s + (size_t)role) % t.step;
			t.cell.state = states[s];
			t.cell.recv_fd = states[s] != CTL_START &&
			    (role == ROLE_VAULT || role == ROLE_LOGGER);
			if ((role != ROLE_VAULT || states[s] != CTL_RUN) &&
			    (only == NULL || strcmp(only,
			    role_decls[role].name) == 0 ||
			    strcmp(only, "control") == 0))
				attack_target(r, &t);
		}
}

int
main(int argc, char **argv)
{
	struct rig r = { 0 };
	const char *only = argc > 6 ? argv[6] : NULL;
	int pair[2];

	log_set_name("cells");
	if (argc < 6)
		fatalx("usage: cells board programs state uid key [role]");
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		fatal("signal");
	(void)close(0);
	if (open("/dev/null", O_RDWR) != 0 || chan_pair(pair, false) == -1)
		fatal("descriptors");
	attack_fd = pair[0];
	r.board = board_open(argv[1], false);
	r.libexec = argv[2];
	r.state = argv[3];
	r.uid = (uid_t)atoi(argv[4]);
	attack_links(&r, only);
	if (only == NULL || strcmp(only, "logger") == 0)
		attack_logs(&r);
	attack_controls(&r, only);
	if (only == NULL || strcmp(only, "llmproxy") == 0)
		no_connection(&r);
	if (only == NULL || strcmp(only, "client") == 0)
		attack_client_keyd(&r, argv[5]);
	return attempts > 0 && breaches == 0 ? 0 : 1;
}
