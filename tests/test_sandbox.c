/*
 * Every cell: what it must be able to do, how it looks from outside, and that
 * nothing runs without it.  What it must not be able to do: test_probe.c.
 */
#include "cell.h"

#include <sys/epoll.h>
#include <sys/stat.h>

#include <poll.h>
#include <time.h>

#include "rsa.h"
#include "warmup.h"

static int epfd;
static EVP_PKEY *key;

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
	void *p = malloc(4 << 20);

	if (p == NULL || nanosleep(&ts, NULL) == -1)
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

static const struct {
	const char	*name;
	int		(*act)(void);
	unsigned	 cells;		/* in all others it dies */
} acts[] = {
	{ "channels", talk, ALL },
	{ "send a descriptor", send_descriptor, ALL },
	{ "sleep, log, memory", sleep_and_log, ALL },
	{ "events", loop_events, ALL },
	{ "a new loop", make_loop, C(ZYGOTE) | C(SESSION) },
	{ "cryptography", sign, ALL },
};
#define NACTS	(sizeof(acts) / sizeof(acts[0]))

static void
what_must_work(void **state)
{
	int bad = 0, got, wanted;

	(void)state;
	for (size_t a = 0; a < NACTS; a++)
		for (int c = 0; c < CELLS; c++) {
			got = try(acts[a].act, (enum cell)c);
			wanted = acts[a].cells >> c & 1 ? OK : DIES;
			if (got == wanted)
				continue;
			print_error("%s: %s: %d, not %d\n", cell_names[c],
			    acts[a].name, got, wanted);
			bad++;
		}
	assert_int_equal(bad, 0);
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
	(void)state;
	crypto_warmup();
	if ((key = rsa_generate(RSA_USE_SIGN, 2048, RSA_ALLOW_2048)) == NULL)
		return -1;
	rsa_warmup(key, RSA_USE_SIGN);
	if ((epfd = epoll_create1(EPOLL_CLOEXEC)) == -1)
		return -1;
	return cell_setup();
}

static int
teardown(void **state)
{
	(void)state;
	EVP_PKEY_free(key);
	return cell_teardown();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_must_work),
		cmocka_unit_test(seen_from_outside),
		cmocka_unit_test(never_without),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
