/*
 * Every cell, probed: a child enters it for good, as its role does, and tries one
 * forbidden act.  What becomes of it is compared with one table (probes.h); as
 * root, who drops to a user of the role's own, and as an ordinary user.
 */
#include "cell.h"
#include "connector.h"
#include "probe_acts.h"
#include "probes.h"

static unsigned abi;
static unsigned tried, wrong, skipped;

static int
wanted(const struct probe *p, enum cell cell)
{
	for (size_t i = 0; i < 4; i++)
		if ((p->except[i].cells >> cell & 1) != 0)
			return p->except[i].outcome;
	return p->outcome;
}

static void
probe(const struct probe *p, enum cell cell, int outcome)
{
	int got;

	if ((tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) == -1 ||
	    (udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) == -1)
		fail();
	tried++;
	arg = p->arg;
	if (p->act == bind_inet)
		arg = p->arg == 0 ? tcp : udp;
	got = try(p->act, cell);
	close(tcp);
	close(udp);
	if (got == outcome)
		return;
	wrong++;
	print_error("%s: %s (%ld): %d, not %d\n", cell_names[cell], p->name,
	    p->arg, got, outcome);
}

/* Sockets of every family that there is, or may be. */
static void
probe_families(enum cell cell)
{
	struct probe p = { "a socket of family", family, 0, 0, NONE, 0 };
	int outcome;

	for (p.arg = 0; p.arg < 64; p.arg++) {
		outcome = cell == CELL_LLMPROXY ? EACCES : DIES;
		if (cell == CELL_CONNECTOR && p.arg == AF_UNIX)
			outcome = EAFNOSUPPORT;
		if (cell == CELL_CONNECTOR && p.arg == AF_INET)
			outcome = OK;
		if (cell == CELL_CONNECTOR && p.arg == AF_INET6)
			outcome = has_ip6 ? OK : EAFNOSUPPORT;
		probe(&p, cell, outcome);
	}
}

static void
probe_all(void)
{
	for (int c = 0; c < CELLS; c++) {
		for (size_t i = 0; i < NPROBES; i++) {
			if (abi < probes[i].min_abi) {
				skipped++;
				continue;
			}
			probe(&probes[i], (enum cell)c,
			    wanted(&probes[i], (enum cell)c));
		}
		probe_families((enum cell)c);
	}
	printf("count probes as %s %u, wrong %u, skipped %u\n",
	    geteuid() == 0 ? "root" : "an ordinary user", tried, wrong,
	    skipped);
	(void)fflush(stdout);
}

static void
as_root(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	probe_all();
	assert_int_equal(wrong, 0);
	assert_int_equal(kill(victim, 0), 0);	/* alive after all */
}

static void
as_an_ordinary_user(void **state)
{
	pid_t pid;
	int status;

	(void)state;
	tried = wrong = skipped = 0;
	assert_int_not_equal(pid = fork(), -1);
	if (pid == 0) {
		if (geteuid() == 0)
			become_ordinary();
		probe_all();
		_exit(wrong != 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(kill(victim, 0), 0);
}

/* ---- the fixture ----------------------------------------------------------- */

static int
name_abstract(int type, struct sockaddr_un *sun)
{
	int s = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	sun->sun_family = AF_UNIX;
	(void)snprintf(sun->sun_path + 1, sizeof(sun->sun_path) - 1,
	    "cloister-probe-%d-%d", type, (int)getpid());
	if (s == -1 || bind(s, (struct sockaddr *)sun, sizeof(*sun)) == -1)
		return -1;
	return type == SOCK_STREAM && listen(s, 64) == -1 ? -1 : s;
}

static int
listen_path(void)
{
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	path_name.sun_family = AF_UNIX;
	(void)snprintf(path_name.sun_path, sizeof(path_name.sun_path),
	    "%s/path", dir);
	return s == -1 || bind(s, (struct sockaddr *)&path_name,
	    sizeof(path_name)) == -1 || listen(s, 64) == -1 ? -1 : 0;
}

/* A server's end of a connection. */
static int
accept_client(void)
{
	struct sockaddr_in sin = loopback(listener_port);
	int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (s == -1 || connect(s, (struct sockaddr *)&sin, sizeof(sin)) == -1)
		return -1;
	return accept4(listener, NULL, NULL, SOCK_CLOEXEC);
}

static int
make_victim(void)
{
	if ((victim = fork()) == -1)
		return -1;
	if (victim == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		if (geteuid() == 0)
			become_ordinary();
		for (;;)
			pause();
	}
	victim_fd = (int)syscall(SYS_pidfd_open, victim, 0);
	return victim_fd == -1 ? -1 : 0;
}

static int
setup(void **state)
{
	long v = syscall(SYS_landlock_create_ruleset, NULL, 0,
	    LL_CREATE_RULESET_VERSION);

	(void)state;
	abi = v < 0 ? 0 : (unsigned)v;
	connector_prepare();
	has_ip6 = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0) != -1;
	if (cell_setup() == -1 ||
	    (quiet = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC |
	    SOCK_NONBLOCK, 0)) == -1 || listen(quiet, 1) == -1 ||
	    (unix_stream = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC,
	    0)) == -1 ||
	    (unix_dgram = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC,
	    0)) == -1 ||
	    (client = accept_client()) == -1 ||
	    (unix_abstract[0] = name_abstract(SOCK_STREAM,
	    &abstract[0])) == -1 ||
	    (unix_abstract[1] = name_abstract(SOCK_DGRAM,
	    &abstract[1])) == -1 || listen_path() == -1)
		return -1;
	return make_victim();
}

static int
teardown(void **state)
{
	(void)state;
	(void)kill(victim, SIGKILL);
	(void)waitpid(victim, NULL, 0);
	return cell_teardown();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_root),
		cmocka_unit_test(as_an_ordinary_user),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
