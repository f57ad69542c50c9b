#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "kex.h"
#include "log.h"
#include "sandbox.h"
#include "session.h"

/* A worker's descriptors follow the standard ones; copies are made above. */
#define FD_BASE		3
#define FD_COPIES	64
#define FDS_MAX		4

/*
 * Move fd[0..n) to FD_BASE and up, and close everything else: the zygote's
 * links, its loop, its log and the other worker's channels.
 */
static void
keep_only(const int *fd, int n)
{
	int copy[FDS_MAX];

	/* The zygote's log socket goes: last words are for standard error. */
	log_set_sink(NULL);
	log_set_name("worker");
	for (int i = 0; i < n; i++)
		if ((copy[i] = fcntl(fd[i], F_DUPFD_CLOEXEC, FD_COPIES)) == -1)
			fatal("worker: dup");
	for (int i = 0; i < n; i++)
		if (dup2(copy[i], FD_BASE + i) == -1)
			fatal("worker: dup2");
	if (close_range((unsigned)(FD_BASE + n), ~0u, 0) == -1)
		fatal("worker: close_range");
}

static _Noreturn void
be_kex(const struct birth *b)
{
	struct kex k = {
		.n = b->n, .spki = b->spki, .chain = b->chain,
		.grace_s = b->grace_s,
		.first_contact = b->first_contact,
		.lowest_suite = b->lowest_suite
	};

	setproctitle("-cloisterd: kex [%" PRIu64 "]", b->n);
	sandbox_worker(CELL_KEX, b->zygote);
	k.zygote = chan_new(NULL, FD_BASE, CH_ZYG_KEX, END_B, ZYG_KEX_IDLE,
	    CHAN_RECV_FD, NULL, NULL, NULL);
	k.keyd = chan_new(NULL, FD_BASE + 1, CH_KEX_KEYD, END_A, KEX_KEYD_NEW,
	    0, NULL, NULL, NULL);
	k.vault = chan_new(NULL, FD_BASE + 2, CH_KEX_VAULT, END_A,
	    KEX_VAULT_NEW, 0, NULL, NULL, NULL);
	k.twin = chan_new(NULL, FD_BASE + 3, CH_TWIN, END_A, TWIN_WAIT, 0, NULL,
	    NULL, NULL);
	_exit(kex_run(&k));
}

static _Noreturn void
be_session(const struct birth *b)
{
	setproctitle("-cloisterd: session [%" PRIu64 "]", b->n);
	sandbox_worker(CELL_SESSION, b->zygote);
	_exit(session_run(b->n, FD_BASE, FD_BASE + 1));
}

pid_t
worker_fork_kex(const struct birth *b, const struct pair_fds *fds)
{
	const int keep[] = {
		fds->zyg, fds->keyd, fds->kex_vault, fds->twin[0]
	};
	pid_t pid;

	if ((pid = fork()) == 0) {
		keep_only(keep, 4);
		be_kex(b);
	}
	return pid;
}

pid_t
worker_fork_session(const struct birth *b, const struct pair_fds *fds)
{
	const int keep[] = { fds->sess_vault, fds->twin[1] };
	pid_t pid;

	if ((pid = fork()) == 0) {
		keep_only(keep, 2);
		be_session(b);
	}
	return pid;
}
