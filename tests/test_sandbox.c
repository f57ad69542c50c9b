/*
 * Every cell, tried: a child enters it for good and does one thing.  What
 * becomes of it is compared with one table.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <linux/capability.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "chan.h"
#include "rsa.h"
#include "sandbox.h"
#include "warmup.h"

#define UID	54321		/* nobody's */

#define C(cell)	(1u << CELL_##cell)
#define WORKERS	(C(KEX) | C(SESSION))
#define ALL	((1u << CELLS) - 1)

/* What becomes of an act: it succeeds, fails with an errno, or a signal. */
#define OK	0
#define DIES	(1000 + SIGSYS)
#define SIG(s)	(1000 + (s))

static const char *const cell_names[CELLS] = {
	"logger", "keyd", "engine", "vault", "connector", "llmproxy", "zygote",
	"sessiond", "kex", "session"
};

static char dir[] = "/tmp/cloister-sandbox.XXXXXX";
static pid_t victim;
static int sock[2], file, epfd, listener;
static EVP_PKEY *key;

/* ---- acts: 0, or -1 with errno ------------------------------------------ */

static int
open_passwd(void)
{
	return open("/etc/passwd", O_RDONLY | O_CLOEXEC) == -1 ? -1 : 0;
}

static int
open_here(void)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "%s/made", dir);
	return open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) == -1 ? -1 : 0;
}

static int
make_elsewhere(void)
{
	return open("/tmp/cloister-outside", O_RDWR | O_CREAT | O_CLOEXEC,
	    0600) == -1 ? -1 : 0;
}

static int
open_exec(void)
{
	return open("/bin/sh", O_RDONLY | O_CLOEXEC) == -1 ? -1 : 0;
}

static int
socket_inet(void)
{
	return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) == -1 ? -1 : 0;
}

static int
socket_unix(void)
{
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) == -1 ? -1 : 0;
}

static int
socket_raw(void)
{
	return socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0) == -1 ? -1 : 0;
}

static int
bind_inet(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };

	return bind(sock[0], (struct sockaddr *)&sin, sizeof(sin));
}

static int
listen_on(void)
{
	return listen(sock[0], 1);
}

static int
accept_from(void)
{
	return accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

static int
do_fork(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return pid == -1 ? -1 : 0;
}

static int
clone_namespace(void)
{
	return syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0) == -1 ?
	    -1 : 0;
}

static int
do_clone3(void)
{
	return syscall(SYS_clone3, NULL, 0) == -1 ? -1 : 0;
}

static int
do_exec(void)
{
	char *const argv[] = { (char *)(uintptr_t)"true", NULL };

	return execve("/bin/true", argv, argv + 1);
}

static int
do_ptrace(void)
{
	return ptrace(PTRACE_ATTACH, victim, 0, 0) == -1 ? -1 : 0;
}

static int
vm_read(void)
{
	char c;
	struct iovec l = { &c, 1 }, r = { dir, 1 };

	return process_vm_readv(victim, &l, 1, &r, 1, 0) == -1 ? -1 : 0;
}

static int
pidfd(void)
{
	return syscall(SYS_pidfd_open, victim, 0) == -1 ? -1 : 0;
}

static int
kill_sibling(void)
{
	return kill(victim, SIGKILL);
}

static int
term_parent(void)
{
	return kill(getppid(), SIGCONT);
}

static int
exec_memory(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE |
	    MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0;
}

static int
make_executable(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE |
	    MAP_ANONYMOUS, -1, 0);

	return mprotect(p, 4096, PROT_READ | PROT_EXEC);
}

static int
become_root(void)
{
	return setuid(0);
}

static int
do_chmod(void)
{
	return chmod(dir, 0777);
}

static int
do_unlink(void)
{
	return unlink("/tmp/cloister-not-there");
}

static int
do_unshare(void)
{
	return unshare(CLONE_NEWUSER);
}

static int
do_chroot(void)
{
	return chroot("/");
}

static int
io_uring(void)
{
	return syscall(SYS_io_uring_setup, 1, NULL) == -1 ? -1 : 0;
}

static int
do_bpf(void)
{
	return syscall(SYS_bpf, 0, NULL, 0) == -1 ? -1 : 0;
}

static int
do_prctl(void)
{
	return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
}

static int
do_ioctl(void)
{
	char buf[64];

	return ioctl(sock[0], TCGETS, buf);
}

static int
do_shutdown(void)
{
	return shutdown(sock[0], SHUT_RDWR);
}

static int
stream_pair(void)
{
	int sv[2];

	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv);
}

static int
channel_pair(void)
{
	int sv[2];

	return chan_pair(sv, true);
}

static int
do_recvmsg(void)
{
	char c;
	struct iovec iov = { &c, 1 };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };

	return send(sock[1], "x", 1, 0) == 1 &&
	    recvmsg(sock[0], &mh, MSG_CMSG_CLOEXEC) == 1 ? 0 : -1;
}

static int
write_file(void)
{
	return write(file, "x", 1) == 1 ? 0 : -1;
}

static int
write_in_place(void)
{
	return pwrite(file, "x", 1, 0) == 1 && fdatasync(file) == 0 ? 0 : -1;
}

static int
truncate_file(void)
{
	return ftruncate(file, 0);
}

/* ---- what every cell must be able to do ---------------------------------- */

static int
talk(void)
{
	static const struct m_zs_done done = { .id = 9 };
	struct chan *a, *b;
	const char *why;
	struct msg m;

	a = chan_new(NULL, sock[0], CH_SESSD_ZYG, END_B, SESSD_ZYG_UP, 0, NULL,
	    NULL, NULL);
	b = chan_new(NULL, sock[1], CH_SESSD_ZYG, END_A, SESSD_ZYG_UP, 0, NULL,
	    NULL, NULL);
	if (chan_send(a, MSG_zs_done, &done, -1) == -1 ||
	    chan_recv(b, &m, 1000, &why) != 0 || m.u.zs_done.id != 9 ||
	    chan_recv(b, &m, 1, &why) != -1)
		return -1;
	chan_free(a);
	return chan_recv(b, &m, 1000, &why) == 1 ? 0 : -1;
}

static int
send_descriptor(void)
{
	static const struct m_sz_conn conn = { .id = 9 };
	struct chan *a = chan_new(NULL, sock[0], CH_SESSD_ZYG, END_A,
	    SESSD_ZYG_UP, 0, NULL, NULL, NULL);

	return chan_send(a, MSG_sz_conn, &conn, file);
}

static int
sleep_and_log(void)
{
	struct timespec ts = { 0, 1000000 };
	struct stat st;
	void *p = malloc(4 << 20);

	if (p == NULL || nanosleep(&ts, NULL) == -1 || fstat(file, &st) == -1)
		return -1;
	explicit_bzero(p, 4 << 20);
	free(p);
	return fprintf(stderr, "%s", "") < 0 || mono_ms() == 0 ||
	    wall_us() == 0 ? -1 : 0;
}

static int
loop_events(void)
{
	struct epoll_event ev = { .events = EPOLLOUT };
	struct pollfd pfd = { .fd = sock[0], .events = POLLOUT };

	if (epoll_ctl(epfd, EPOLL_CTL_ADD, sock[0], &ev) == -1 ||
	    epoll_wait(epfd, &ev, 1, 0) != 1 ||
	    epoll_ctl(epfd, EPOLL_CTL_DEL, sock[0], NULL) == -1)
		return -1;
	return poll(&pfd, 1, 0) == 1 ? 0 : -1;
}

static int
make_loop(void)
{
	return epoll_create1(EPOLL_CLOEXEC) == -1 ? -1 : 0;
}

static int
sign(void)
{
	struct buf sig = BUF_INIT(RSA_OUT_MAX);
	uint8_t r[32];

	if (getentropy(r, sizeof(r)) == -1 ||
	    rsa_pss_sign(&sig, key, bytes_of(r, sizeof(r))) == -1 ||
	    rsa_pss_verify(key, buf_bytes(&sig), bytes_of(r, sizeof(r))) == -1)
		return -1;
	crypto_warmup();		/* all the rest once more */
	return 0;
}

/* ---- the table ------------------------------------------------------------ */

struct expected {
	unsigned	cells;
	int		outcome;
};

static const struct {
	const char	*name;
	int		(*act)(void);
	int		 outcome;	/* in all other cells */
	struct expected	 except[3];
} acts[] = {
	{ "open /etc/passwd", open_passwd, EACCES, { { 0, 0 } } },
	{ "open a program", open_exec, EACCES, { { 0, 0 } } },
	{ "make a file outside", make_elsewhere, EACCES, { { 0, 0 } } },
	{ "make a file in the state", open_here, EACCES,
	    { { C(ENGINE), OK } } },
	{ "socket inet", socket_inet, DIES,
	    { { C(CONNECTOR), OK }, { C(LLMPROXY), EACCES } } },
	{ "socket unix", socket_unix, DIES,
	    { { C(CONNECTOR), EAFNOSUPPORT }, { C(LLMPROXY), EACCES } } },
	{ "socket packet", socket_raw, DIES, { { C(LLMPROXY), EACCES } } },
	{ "bind", bind_inet, DIES, { { 0, 0 } } },
	{ "listen", listen_on, DIES, { { 0, 0 } } },
	{ "accept", accept_from, DIES, { { C(SESSIOND), EAGAIN } } },
	{ "fork", do_fork, DIES, { { C(ZYGOTE), OK } } },
	{ "clone a namespace", clone_namespace, DIES, { { 0, 0 } } },
	{ "clone3", do_clone3, ENOSYS, { { 0, 0 } } },
	{ "exec", do_exec, DIES, { { 0, 0 } } },
	{ "ptrace", do_ptrace, DIES, { { 0, 0 } } },
	{ "process_vm_readv", vm_read, DIES, { { 0, 0 } } },
	{ "pidfd_open", pidfd, DIES, { { 0, 0 } } },
	{ "kill a sibling", kill_sibling, DIES, { { C(ZYGOTE), EPERM } } },
	{ "signal the parent", term_parent, DIES, { { 0, 0 } } },
	{ "map executable", exec_memory, DIES, { { 0, 0 } } },
	{ "make executable", make_executable, DIES, { { 0, 0 } } },
	{ "setuid 0", become_root, DIES, { { 0, 0 } } },
	{ "chmod", do_chmod, DIES, { { 0, 0 } } },
	{ "unlink", do_unlink, DIES, { { C(ENGINE), ENOENT } } },
	{ "unshare", do_unshare, DIES, { { 0, 0 } } },
	{ "chroot", do_chroot, DIES, { { 0, 0 } } },
	{ "io_uring", io_uring, DIES, { { 0, 0 } } },
	{ "bpf", do_bpf, DIES, { { 0, 0 } } },
	{ "prctl", do_prctl, DIES, { { C(ZYGOTE), OK } } },
	{ "ioctl", do_ioctl, ENOTTY,
	    { { C(CONNECTOR) | C(LLMPROXY), DIES } } },
	{ "shutdown", do_shutdown, DIES, { { C(ZYGOTE) | WORKERS, OK } } },
	{ "a stream pair", stream_pair, DIES, { { 0, 0 } } },
	{ "a channel pair", channel_pair, DIES,
	    { { C(KEYD) | C(VAULT) | C(ZYGOTE), OK } } },
	/* The connector's resolver needs it; no channel of its uses it. */
	{ "recvmsg", do_recvmsg, DIES, { { C(ZYGOTE) | WORKERS | C(LLMPROXY) |
	    C(VAULT) | C(LOGGER) | C(CONNECTOR), OK } } },
	{ "write to a file", write_file, SIG(SIGXFSZ),
	    { { C(LOGGER) | C(ENGINE) | C(VAULT), OK } } },
	{ "write in place", write_in_place, DIES,
	    { { C(LOGGER) | C(ENGINE) | C(VAULT), OK } } },
	{ "truncate", truncate_file, DIES, { { C(LOGGER) | C(ENGINE), OK } } },
	{ "channels", talk, OK, { { 0, 0 } } },
	{ "send a descriptor", send_descriptor, OK, { { 0, 0 } } },
	{ "sleep, log, memory", sleep_and_log, OK, { { 0, 0 } } },
	{ "events", loop_events, OK, { { 0, 0 } } },
	{ "a new loop", make_loop, DIES,
	    { { C(ZYGOTE) | C(SESSION), OK } } },
	{ "cryptography", sign, OK, { { 0, 0 } } },
};
#define NACTS	(sizeof(acts) / sizeof(acts[0]))

static int
wanted(size_t act, enum cell cell)
{
	for (size_t i = 0; i < 3; i++)
		if ((acts[act].except[i].cells & 1u << cell) != 0)
			return acts[act].except[i].outcome;
	return acts[act].outcome;
}

static void
enter(enum cell cell, pid_t parent)
{
	bool worker = (C(KEX) | C(SESSION)) >> cell & 1;

	if (geteuid() == 0) {
		const gid_t groups[] = { 1, 2 };

		if (setgroups(2, groups) == -1)
			_exit(1);
		sandbox_drop(UID, UID);
		/* As exec leaves it. */
		(void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	}
	(void)sandbox_enter(worker ? CELL_ZYGOTE : cell, parent,
	    cell == CELL_ENGINE ? dir : "", 1);
	if (worker)
		sandbox_worker(cell, parent);
}

static int
outcome_of(int status)
{
	if (WIFSIGNALED(status))
		return 1000 + WTERMSIG(status);
	return WEXITSTATUS(status) == 0 ? 0 : WEXITSTATUS(status) & 0x7f;
}

static int
try(size_t act, enum cell cell)
{
	pid_t pid, parent = getpid();
	int status;

	assert_int_equal(chan_pair(sock, true), 0);
	assert_int_not_equal(pid = fork(), -1);
	if (pid == 0) {
		enter(cell, parent);
		errno = 0;
		_exit(acts[act].act() == 0 ? 0 : 0x80 | errno);
	}
	close(sock[0]);
	close(sock[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return outcome_of(status);
}

static void
cells_and_acts(void **state)
{
	int bad = 0, got;

	(void)state;
	for (size_t a = 0; a < NACTS; a++)
		for (int c = 0; c < CELLS; c++) {
			got = try(a, (enum cell)c);
			if (got == wanted(a, (enum cell)c))
				continue;
			print_error("%s: %s: %d, not %d\n", cell_names[c],
			    acts[a].name, got, wanted(a, (enum cell)c));
			bad++;
		}
	assert_int_equal(bad, 0);
	assert_int_equal(kill(victim, 0), 0);	/* alive after all */
}

/* ---- from outside ---------------------------------------------------------- */

static void
status_line(pid_t pid, const char *name, char *dst, size_t size)
{
	char path[64], line[256];
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	assert_non_null(f = fopen(path, "re"));
	dst[0] = '\0';
	while (fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, name, strlen(name)) == 0 &&
		    line[strlen(name)] == ':') {
			line[strcspn(line, "\n")] = '\0';
			(void)snprintf(dst, size, "%s",
			    line + strlen(name) + 2);
		}
	fclose(f);
}

static void
line_is(pid_t pid, const char *name, const char *want)
{
	char got[128];

	status_line(pid, name, got, sizeof(got));
	assert_string_equal(got, want);
}

static bool
limit_is_zero(pid_t pid, const char *name)
{
	char path[64], line[256], soft[32] = "?", hard[32] = "?";
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/limits", (int)pid);
	assert_non_null(f = fopen(path, "re"));
	while (fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, name, strlen(name)) == 0)
			assert_int_equal(sscanf(line + strlen(name),
			    "%31s %31s", soft, hard), 2);
	fclose(f);
	return strcmp(soft, "0") == 0 && strcmp(hard, "0") == 0;
}

static void
look_at(enum cell cell)
{
	const char *none = "0000000000000000";
	pid_t pid, parent = getpid();
	char c, path[64];
	int ready[2], status;
	struct stat st;

	assert_int_equal(chan_pair(ready, false), 0);
	assert_int_not_equal(pid = fork(), -1);
	if (pid == 0) {
		enter(cell, parent);
		(void)send(ready[1], "r", 1, 0);
		for (;;)
			(void)poll(NULL, 0, 1000);
	}
	assert_int_equal(recv(ready[0], &c, 1, 0), 1);
	line_is(pid, "NoNewPrivs", "1");
	line_is(pid, "Seccomp", "2");
	line_is(pid, "CapEff", none);
	line_is(pid, "CapPrm", none);
	line_is(pid, "CapInh", none);
	line_is(pid, "CapAmb", none);
	if (geteuid() == 0) {
		line_is(pid, "CapBnd", none);
		line_is(pid, "Uid", "54321\t54321\t54321\t54321");
		line_is(pid, "Gid", "54321\t54321\t54321\t54321");
		line_is(pid, "Groups", " ");
		/* Not dumpable: its files in /proc are root's. */
		(void)snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_uid, 0);
	}
	assert_true(limit_is_zero(pid, "Max core file size"));
	assert_int_equal(limit_is_zero(pid, "Max processes"),
	    cell != CELL_ZYGOTE);
	assert_int_equal(limit_is_zero(pid, "Max file size"),
	    cell != CELL_LOGGER && cell != CELL_ENGINE && cell != CELL_VAULT);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(ready[0]);
	close(ready[1]);
}

static void
seen_from_outside(void **state)
{
	(void)state;
	for (int c = 0; c < CELLS; c++)
		look_at((enum cell)c);
}

static int
fails(void (*f)(void))
{
	pid_t pid;
	int status;

	assert_int_not_equal(pid = fork(), -1);
	if (pid == 0) {
		(void)close(STDERR_FILENO);
		f();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) && WEXITSTATUS(status) == 1;
}

static void
as_root(void)
{
	sandbox_drop(0, 0);
}

static void
abi_of_the_future(void)
{
	(void)sandbox_enter(CELL_KEYD, getppid(), "", 1000);
}

static void
with_another_parent(void)
{
	(void)sandbox_enter(CELL_KEYD, getppid() + 1, "", 1);
}

/* What cannot be set up ends the process. */
static void
never_without(void **state)
{
	(void)state;
	if (geteuid() == 0)
		assert_true(fails(as_root));
	assert_true(fails(abi_of_the_future));
	assert_true(fails(with_another_parent));
}

/* ---- the fixture ----------------------------------------------------------- */

static int
setup(void **state)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	char path[64];

	(void)state;
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	crypto_warmup();
	if ((key = rsa_generate(RSA_USE_SIGN, 2048, RSA_ALLOW_2048)) == NULL ||
	    mkdtemp(dir) == NULL)
		return -1;
	rsa_warmup(key, RSA_USE_SIGN);
	(void)snprintf(path, sizeof(path), "%s/file", dir);
	if ((file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600)) == -1 ||
	    (geteuid() == 0 && chown(dir, UID, UID) == -1) ||
	    (epfd = epoll_create1(EPOLL_CLOEXEC)) == -1 ||
	    (listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC |
	    SOCK_NONBLOCK, 0)) == -1 ||
	    bind(listener, (struct sockaddr *)&sin, sizeof(sin)) == -1 ||
	    listen(listener, 1) == -1 || (victim = fork()) == -1)
		return -1;
	if (victim == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		if (geteuid() == 0 && (setresgid(UID, UID, UID) == -1 ||
		    setresuid(UID, UID, UID) == -1))
			_exit(1);
		for (;;)
			pause();
	}
	return 0;
}

static int
teardown(void **state)
{
	char path[64];

	(void)state;
	(void)kill(victim, SIGKILL);
	(void)waitpid(victim, NULL, 0);
	(void)snprintf(path, sizeof(path), "%s/file", dir);
	(void)unlink(path);
	(void)snprintf(path, sizeof(path), "%s/made", dir);
	(void)unlink(path);
	EVP_PKEY_free(key);
	return rmdir(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cells_and_acts),
		cmocka_unit_test(seen_from_outside),
		cmocka_unit_test(never_without),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
