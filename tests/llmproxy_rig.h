/*
 * The real llmproxy and connector in their sandboxes, started as the monitor
 * starts them, and the other ends of their channels.
 */
#ifndef TESTS_LLMPROXY_RIG_H
#define TESTS_LLMPROXY_RIG_H

#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <netinet/in.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "bytes.h"
#include "chan.h"
#include "kdf.h"
#include "log.h"
#include "role.h"

#define KEY	"sk-test-0123456789abcdef"
#define WAIT_MS	20000
#define N	((1ull << 32) | 7)
#define HIGH	100

static char bindir[4000], tmpdir[64], cert[96], certkey[96], standin_log[96];

static struct fixture {
	pid_t		 llm, conn, standin;
	struct chan	*ctl_llm, *ctl_conn;	/* this is the monitor */
	struct chan	*log;
	struct chan	*vault;			/* this is the vault */
	int		 log_fd, vault_fd, llm_end, conn_end, log_end;
	uint16_t	 port;
	const char	*host, *key;
	bool		 tls, ca;
	uint32_t	 first_byte_s, idle_s;
	uint16_t	 health;		/* what the last lv_health said */
	char		 health_text[161];
} fx;

/* ---- processes ----------------------------------------------------------- */

static void
pair(int fd[2])
{
	assert_int_equal(chan_pair(fd, false), 0);
}

/* A failed assertion leaves children behind: they end with this process. */
static void
end_with_us(void)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == -1)
		_exit(126);
}

static pid_t
start_program(const char *name, const int *fds, int n)
{
	static char room[] = "CLOISTER_TITLE=................................";
	char path[4096];
	char *argv[] = { path, NULL };
	char *envp[] = { room, (char *)(uintptr_t)"ASAN_OPTIONS=detect_leaks=0",
	    NULL };
	pid_t pid;

	(void)snprintf(path, sizeof(path), "%s/%s", bindir, name);
	if ((pid = fork()) != 0) {
		assert_true(pid > 0);
		return pid;
	}
	for (int i = 0; i < n; i++)
		if (fcntl(fds[i], F_DUPFD_CLOEXEC, HIGH + i) != HIGH + i)
			_exit(126);
	for (int i = 0; i < n; i++)
		if (dup2(HIGH + i, i) == -1)
			_exit(126);
	if (close_range((unsigned)n, ~0u, 0) == -1)
		_exit(126);
	execve(path, argv, envp);
	_exit(127);
}

static struct chan *
blocking(int fd, enum chan_kind kind, enum chan_end end, unsigned state,
    unsigned flags)
{
	return chan_new(NULL, fd, kind, end, state, flags, NULL, NULL, NULL);
}

static void
expect(struct chan *c, struct msg *m, enum msg_type type)
{
	const char *why = NULL;
	int r;

	/* What the vault hears of each attempt is looked at afterwards. */
	while ((r = chan_recv(c, m, WAIT_MS, &why)) == 0 &&
	    m->type == MSG_lv_health) {
		fx.health = m->u.lv_health.code;
		assert_int_equal(msg_text(fx.health_text,
		    sizeof(fx.health_text), m->u.lv_health.text), 0);
	}
	if (r != 0)
		fail_msg("%s: %s", msg_desc(type)->name, r == 1 ? "end of file" :
		    why);
	if (m->type != type)
		fail_msg("%s instead of %s", msg_desc(m->type)->name,
		    msg_desc(type)->name);
}

static void
configure(struct chan *ctl, enum role_id role, uint32_t generation)
{
	static const char *const models[] = { "echo", "standin", "err401",
	    "err400", "trunc", "trunceof", "doneonly", "length", "reason",
	    "err200", "redirect", "nostream", "flaky", "crlf", "tools", "hang",
	    "stall", "huge", "usage", "long-20" };
	struct m_ctl_start start = { .role = (uint8_t)role, .providers = 1,
	    .generation = generation, .flags = START_SHARE_UID,
	    .uid = getuid(), .gid = getgid(), .min_abi = 1,
	    .log_level = LOG_L_INFO };
	struct m_ctl_upstream up = { .tls = fx.tls, .port = fx.port,
	    .has_key = fx.key != NULL, .has_ca = fx.ca,
	    .connect_timeout_s = 5, .first_byte_timeout_s = fx.first_byte_s,
	    .idle_timeout_s = fx.idle_s, .total_timeout_s = 60,
	    .name = bytes_str("local"), .host = bytes_str(fx.host),
	    .path = bytes_str("/v1") };
	struct msg m;

	assert_int_equal(chan_send(ctl, MSG_ctl_start, &start, -1), 0);
	expect(ctl, &m, MSG_ctl_ready);
	chan_set_state(ctl, CTL_CONF);
	assert_int_equal(chan_send(ctl, MSG_ctl_upstream, &up, -1), 0);
	for (size_t i = 0; role == ROLE_LLMPROXY &&
	    i < sizeof(models) / sizeof(models[0]); i++) {
		struct m_ctl_model mo = { .alias = bytes_str(models[i]),
		    .upstream = bytes_str(models[i]),
		    .provider_name = bytes_str("local"),
		    .system = bytes_str(strcmp(models[i], "standin") == 0 ?
		    "Be brief." : "") };

		assert_int_equal(chan_send(ctl, MSG_ctl_model, &mo, -1), 0);
	}
	assert_int_equal(chan_send(ctl, MSG_ctl_go, NULL, -1), 0);
	expect(ctl, &m, MSG_ctl_running);
	chan_set_state(ctl, CTL_RUN);
}

static int
key_fd(void)
{
	int fd[2];

	assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
	if (fx.key != NULL)
		assert_int_equal(write_all(fd[1], fx.key, strlen(fx.key)), 0);
	close(fd[1]);
	return fd[0];
}

static void
start_llm(void)
{
	int ctl[2], fds[16], n = role_extra_fd(ROLE_LLMPROXY, 1);
	int key = key_fd(), null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int ca = open(fx.ca ? cert : "/dev/null", O_RDONLY | O_CLOEXEC);

	pair(ctl);
	fds[0] = fds[1] = null;
	fds[2] = STDERR_FILENO;
	fds[FD_CONTROL] = ctl[1];
	fds[FD_LOG] = fx.log_end;
	fds[role_link_fd(ROLE_LLMPROXY, 1, LINK_VAULT_LLM, 0)] = fx.vault_fd;
	fds[role_link_fd(ROLE_LLMPROXY, 1, LINK_LLM_CONN, 0)] = fx.llm_end;
	fds[role_file_fd(ROLE_LLMPROXY, 1, FILE_API_KEY)] = key;
	fds[role_file_fd(ROLE_LLMPROXY, 1, FILE_CA)] = ca;
	fx.llm = start_program("llmproxy", fds, n);
	close(ctl[1]);
	close(key);
	close(ca);
	close(null);
	fx.ctl_llm = blocking(ctl[0], CH_CTL, END_A, CTL_START, 0);
	configure(fx.ctl_llm, ROLE_LLMPROXY, 1);
}

static void
start_conn(uint32_t generation)
{
	int ctl[2], fds[16], null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int n = role_extra_fd(ROLE_CONNECTOR, 1);

	pair(ctl);
	fds[0] = fds[1] = null;
	fds[2] = STDERR_FILENO;
	fds[FD_CONTROL] = ctl[1];
	fds[FD_LOG] = fx.log_end;
	fds[role_link_fd(ROLE_CONNECTOR, 1, LINK_LLM_CONN, 0)] = fx.conn_end;
	fx.conn = start_program("connector", fds, n);
	close(ctl[1]);
	close(null);
	fx.ctl_conn = blocking(ctl[0], CH_CTL, END_A, CTL_START, 0);
	configure(fx.ctl_conn, ROLE_CONNECTOR, generation);
}

static void
start_standin(void)
{
	char path[4096], line[64] = "";
	int out[2];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "%s/standin", bindir);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	if ((fx.standin = fork()) == 0) {
		end_with_us();
		if (dup2(out[1], 1) == -1)
			_exit(126);
		if (fx.tls)
			execl(path, "standin", "--delay-ms", "1", "--key", KEY,
			    "--log", standin_log, "--tls", cert, certkey,
			    (char *)NULL);
		else
			execl(path, "standin", "--delay-ms", "1", "--key", KEY,
			    "--log", standin_log, (char *)NULL);
		_exit(127);
	}
	close(out[1]);
	n = read(out[0], line, sizeof(line) - 1);
	assert_true(n > 10);
	fx.port = (uint16_t)atoi(line + 10);
	close(out[0]);
}

static void
defaults(void)
{
	memset(&fx, 0, sizeof(fx));
	fx.host = "127.0.0.1";
	fx.key = KEY "\n";
	fx.first_byte_s = 10;
	fx.idle_s = 10;
}

/* fx.port is set, or there is a standin. */
static void
start(void)
{
	struct m_vl_welcome welcome = { .generation = 1 };
	struct msg m;
	int fd[2];

	pair(fd);
	fx.log_end = fd[0];
	fx.log = blocking(fd[1], CH_LOG, END_B, LOG_OPEN, 0);
	pair(fd);
	fx.vault_fd = fd[1];
	fx.vault = blocking(fd[0], CH_VAULT_LLM, END_A, VAULT_LLM_UP, 0);
	pair(fd);
	fx.llm_end = fd[0];
	fx.conn_end = fd[1];
	start_llm();
	start_conn(1);
	expect(fx.vault, &m, MSG_lv_hello);
	assert_int_equal(m.u.lv_hello.generation, 1);
	assert_int_equal(chan_send(fx.vault, MSG_vl_welcome, &welcome, -1), 0);
}

static void
end_process(pid_t *pid, int sig, bool ours)
{
	int status;

	if (*pid <= 0)
		return;
	/* Nobody may have died of a system call before. */
	if (ours)
		assert_int_equal(waitpid(*pid, &status, WNOHANG), 0);
	assert_int_equal(kill(*pid, sig), 0);
	assert_int_equal(waitpid(*pid, &status, 0), *pid);
	*pid = 0;
}

static void
stop(void)
{
	end_process(&fx.llm, SIGKILL, true);
	end_process(&fx.conn, SIGKILL, true);
	end_process(&fx.standin, SIGTERM, false);
	chan_free(fx.ctl_llm);
	chan_free(fx.ctl_conn);
	chan_free(fx.log);
	chan_free(fx.vault);
	close(fx.vault_fd);
	close(fx.llm_end);
	close(fx.conn_end);
	close(fx.log_end);
}

static int
setup(void **state)
{
	(void)state;
	defaults();
	start_standin();
	start();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	stop();
	return 0;
}

/* ---- a session ----------------------------------------------------------- */

static struct chan *
grant_to(uint64_t n, const char *user, const char *model)
{
	struct m_vl_grant m = { .n = n, .user = bytes_str(user),
	    .model = bytes_str(model) };
	int fd[2];

	pair(fd);
	assert_int_equal(chan_send(fx.vault, MSG_vl_grant, &m, fd[1]), 0);
	close(fd[1]);
	return blocking(fd[0], CH_SESS_LLM, END_A, SESS_LLM_UP, 0);
}

static struct chan *
grant(const char *model)
{
	return grant_to(N, "alice", model);
}

static void
send_msg(struct chan *c, uint32_t req, uint8_t kind, const char *text, size_t n)
{
	struct m_sl_msg m = { .req = req, .kind = kind, .len = (uint32_t)n };
	struct m_sl_data d = { .req = req };

	assert_int_equal(chan_send(c, MSG_sl_msg, &m, -1), 0);
	while (n > 0) {
		d.data = bytes_of(text, n > 32768 ? 32768 : n);
		assert_int_equal(chan_send(c, MSG_sl_data, &d, -1), 0);
		text += d.data.n;
		n -= d.data.n;
	}
}

static void
chat(struct chan *c, uint32_t req, uint32_t n)
{
	struct m_sl_chat m = { .req = req, .messages = n };

	assert_int_equal(chan_send(c, MSG_sl_chat, &m, -1), 0);
}

/* Request 1, with a text of n bytes that is only announced. */
static void
announce(struct chan *c, uint32_t n)
{
	struct m_sl_msg m = { .req = 1, .kind = 1, .len = n };

	chat(c, 1, 1);
	assert_int_equal(chan_send(c, MSG_sl_msg, &m, -1), 0);
}

static void
ask(struct chan *c, uint32_t req, const char *text)
{
	chat(c, req, 1);
	send_msg(c, req, 1, text, strlen(text));
}

struct answer {
	char	 text[8192], reasoning[1024], error[513], hint[257];
	unsigned finish, code;
	uint32_t prompt, completion;
	size_t	 n;
};

/* Read what belongs to one request until it ends. */
static void
answer(struct chan *c, uint32_t req, struct answer *a)
{
	struct msg m;
	const char *why = "end of file";

	memset(a, 0, sizeof(*a));
	for (;;) {
		if (chan_recv(c, &m, WAIT_MS, &why) != 0)
			fail_msg("no answer: %s", why != NULL ? why : "eof");
		if (m.type == MSG_ls_delta) {
			struct bytes t = m.u.ls_delta.text;
			char *dst = m.u.ls_delta.kind == 0 ? a->text :
			    a->reasoning;
			size_t max = m.u.ls_delta.kind == 0 ?
			    sizeof(a->text) : sizeof(a->reasoning);

			assert_int_equal(m.u.ls_delta.req, req);
			assert_true(t.n > 0);
			a->n += t.n;
			if (strlen(dst) + t.n < max)
				strncat(dst, (const char *)t.p, t.n);
			continue;
		}
		if (m.type == MSG_ls_end) {
			assert_int_equal(m.u.ls_end.req, req);
			a->finish = m.u.ls_end.finish;
			a->prompt = m.u.ls_end.prompt_tokens;
			a->completion = m.u.ls_end.completion_tokens;
			return;
		}
		assert_int_equal(m.type, MSG_ls_error);
		assert_int_equal(m.u.ls_error.req, req);
		a->code = m.u.ls_error.code;
		assert_int_equal(msg_text(a->error, sizeof(a->error),
		    m.u.ls_error.text), 0);
		assert_int_equal(msg_text(a->hint, sizeof(a->hint),
		    m.u.ls_error.hint), 0);
		return;
	}
}

static void
usage(unsigned finish, struct m_lv_usage *u)
{
	struct msg m;

	expect(fx.vault, &m, MSG_lv_usage);
	assert_int_equal(m.u.lv_usage.n, N);
	assert_int_equal(m.u.lv_usage.finish, finish);
	if (u != NULL)
		*u = m.u.lv_usage;
}

static void
one(const char *model, const char *text, struct answer *a, unsigned finish)
{
	struct chan *c = grant(model);

	ask(c, 1, text);
	answer(c, 1, a);
	usage(finish, NULL);
	chan_free(c);
}

static void
expect_eof(struct chan *c)
{
	const char *why = NULL;
	struct msg m;

	assert_int_equal(chan_recv(c, &m, WAIT_MS, &why), 1);
	chan_free(c);
}

/* The next audit event is this one. */
static void
expect_audit(const char *event, const char *part)
{
	struct m_log_event *e;
	struct msg m;
	char text[1025];

	do {
		expect(fx.log, &m, MSG_log_event);
		e = &m.u.log_event;
	} while (!e->is_audit);
	assert_true(bytes_eq(e->event, bytes_str(event)));
	assert_int_equal(msg_text(text, sizeof(text), e->text), 0);
	assert_non_null(strstr(text, part));
	assert_int_equal(e->session, N);
}

/* ---- files --------------------------------------------------------------- */

static void
make_certificate(void)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	X509_NAME *name = X509_get_subject_name(x);
	X509_EXTENSION *san = X509V3_EXT_conf_nid(NULL, NULL,
	    NID_subject_alt_name, "DNS:localhost");
	FILE *f;

	assert_non_null(key);
	assert_int_equal(X509_set_version(x, 2), 1);
	assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(x), 1), 1);
	assert_non_null(X509_gmtime_adj(X509_getm_notBefore(x), -60));
	assert_non_null(X509_gmtime_adj(X509_getm_notAfter(x), 86400));
	assert_int_equal(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
	    (const unsigned char *)"standin", -1, -1, 0), 1);
	assert_int_equal(X509_set_issuer_name(x, name), 1);
	assert_int_equal(X509_set_pubkey(x, key), 1);
	assert_int_equal(X509_add_ext(x, san, -1), 1);
	assert_true(X509_sign(x, key, EVP_sha256()) > 0);
	assert_non_null(f = fopen(cert, "we"));
	assert_int_equal(PEM_write_X509(f, x), 1);
	assert_int_equal(fclose(f), 0);
	assert_non_null(f = fopen(certkey, "we"));
	assert_int_equal(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL,
	    NULL), 1);
	assert_int_equal(fclose(f), 0);
	X509_EXTENSION_free(san);
	X509_free(x);
	EVP_PKEY_free(key);
}

static int
group_setup(void **state)
{
	ssize_t n = readlink("/proc/self/exe", bindir, sizeof(bindir) - 1);

	(void)state;
	assert_true(n > 0);
	bindir[n] = '\0';
	*strrchr(bindir, '/') = '\0';
	(void)strlcat(bindir, "/..", sizeof(bindir));
	(void)strlcpy(tmpdir, "/tmp/test_llmproxy.XXXXXX", sizeof(tmpdir));
	assert_non_null(mkdtemp(tmpdir));
	(void)snprintf(cert, sizeof(cert), "%s/cert", tmpdir);
	(void)snprintf(certkey, sizeof(certkey), "%s/key", tmpdir);
	(void)snprintf(standin_log, sizeof(standin_log), "%s/log", tmpdir);
	make_certificate();
	return 0;
}

static int
group_teardown(void **state)
{
	(void)state;
	(void)unlink(cert);
	(void)unlink(certkey);
	(void)unlink(standin_log);
	return rmdir(tmpdir);
}

#endif
