/*
 * Cells as roles enter them, in a child that does one thing there; for
 * test_sandbox.c and test_probe.c.
 */
#ifndef TESTS_CELL_H
#define TESTS_CELL_H

#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <netinet/in.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
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

#include "chan.h"
#include "landlock.h"
#include "sandbox.h"

#define UID	54321		/* nobody's */

#define C(cell)	(1u << CELL_##cell)
#define WORKERS	(C(KEX) | C(SESSION))
#define ALL	((1u << CELLS) - 1)

/* What becomes of an act: it succeeds, fails with an errno, or a signal. */
#define OK	0
#define SIG(s)	(1000 + (s))
#define DIES	SIG(SIGSYS)

static const char *const cell_names[CELLS] = {
	"logger", "keyd", "engine", "hasher", "vault", "connector", "llmproxy",
	"zygote", "sessiond", "certd", "kex", "session"
};

static char dir[] = "/tmp/cloister-cell.XXXXXX";	/* the engine's */
static int sock[2];			/* a channel, made for each act */
static int file;			/* in dir, open for writing */
static int listener;			/* TCP, where the connector may go */
static uint16_t listener_port;

/* What role_start() does in a role, and worker.c in a worker. */
static inline void
enter(enum cell cell, pid_t parent)
{
	bool worker = WORKERS >> cell & 1;
	unsigned abi;

	if (geteuid() == 0) {
		const gid_t groups[] = { 1, 2 };

		if (setgroups(2, groups) == -1)
			_exit(1);
	}
	sandbox_drop(UID, UID);
	/* As exec leaves it. */
	(void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	abi = sandbox_enter(worker ? CELL_ZYGOTE : cell, parent,
	    cell == CELL_ENGINE ? dir : "", 1);
	if (worker)
		sandbox_worker(cell, parent);
	if (cell == CELL_CONNECTOR)
		sandbox_connect_ports(&listener_port, 1, abi);
}

/* The outcome of one act in a cell. */
static inline int
try(int (*act)(void), enum cell cell)
{
	pid_t pid, parent = getpid();
	int status;

	assert_int_equal(chan_pair(sock, true), 0);
	assert_int_not_equal(pid = fork(), -1);
	if (pid == 0) {
		enter(cell, parent);
		errno = 0;
		_exit(act() == 0 ? 0 : 0x80 | errno);
	}
	close(sock[0]);
	close(sock[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status))
		return SIG(WTERMSIG(status));
	return WEXITSTATUS(status) & 0x7f;
}

/* Become an ordinary user for good. */
static inline void
become_ordinary(void)
{
	if (setgroups(0, NULL) == -1 || setresgid(UID, UID, UID) == -1 ||
	    setresuid(UID, UID, UID) == -1)
		_exit(1);
}

static inline int
cell_setup(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	socklen_t len = sizeof(sin);
	char path[64];

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (mkdtemp(dir) == NULL)
		return -1;
	(void)snprintf(path, sizeof(path), "%s/file", dir);
	if ((file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600)) == -1 ||
	    (geteuid() == 0 && chown(dir, UID, UID) == -1) ||
	    (listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC |
	    SOCK_NONBLOCK, 0)) == -1 ||
	    bind(listener, (struct sockaddr *)&sin, sizeof(sin)) == -1 ||
	    listen(listener, 64) == -1 ||
	    getsockname(listener, (struct sockaddr *)&sin, &len) == -1)
		return -1;
	listener_port = ntohs(sin.sin_port);
	return 0;
}

static inline int
cell_teardown(void)
{
	static const char *const names[] = { "file", "made", "path" };
	char path[64];

	for (size_t i = 0; i < 3; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		(void)unlink(path);
	}
	return rmdir(dir);
}

#endif
