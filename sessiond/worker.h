/*
 * The birth of a worker: from the zygote's child to the worker's main function
 * in its own cell.
 */
#ifndef SESSIOND_WORKER_H
#define SESSIOND_WORKER_H

#include <sys/types.h>

#include "bytes.h"
#include "certs.h"

/* What both workers of a pair are told at birth. */
struct birth {
	uint64_t	n;		/* the pair's number */
	pid_t		zygote;
	struct bytes	spki;		/* the server's signing key */
	const struct certs *chain;	/* and its certificates, maybe none */
	uint32_t	grace_s;
	bool		first_contact;
	uint8_t		lowest_suite;
};

/* The descriptors of a pair, all the caller's. */
struct pair_fds {
	int	keyd;			/* KEX_KEYD, END_A */
	int	kex_vault;		/* KEX_VAULT, END_A */
	int	sess_vault;		/* SESS_VAULT, END_A */
	int	zyg;			/* ZYG_KEX, END_B */
	int	twin[2];		/* TWIN, END_A and END_B */
};

/*
 * Fork a worker.  The child keeps the descriptors named here and the standard
 * ones, enters its sandbox and never returns.  Returns the child's pid, or -1
 * with errno.
 */
pid_t worker_fork_kex(const struct birth *b, const struct pair_fds *fds);
pid_t worker_fork_session(const struct birth *b, const struct pair_fds *fds);

#endif
