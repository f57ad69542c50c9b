/*
 * The cell of every role: no privileges, resource limits, Landlock, seccomp.
 * Nothing here ever continues after a failure.
 */
#ifndef COMMON_SANDBOX_H
#define COMMON_SANDBOX_H

#include <sys/types.h>

#include <stdbool.h>
#include <stdint.h>

/* Which policy; one for each kind of process. */
enum cell {
	CELL_LOGGER, CELL_KEYD, CELL_ENGINE, CELL_HASHER, CELL_VAULT,
	CELL_CONNECTOR, CELL_LLMPROXY, CELL_ZYGOTE, CELL_SESSIOND, CELL_CERTD,
	CELL_KEX, CELL_SESSION, CELLS
};

/*
 * Give up root: supplementary groups, gid, uid, every capability and the
 * bounding set; check that none can be had back.  Does nothing but drop
 * capabilities when the process is not root.
 */
void sandbox_drop(uid_t uid, gid_t gid);

/*
 * Give up every capability and stay who one is: for a program of the client,
 * which root may run too.
 */
void sandbox_drop_capabilities(void);

/*
 * Resource limits, no dumps, no new privileges, death with the parent (whose
 * pid must be `parent`), Landlock with every right handled and nothing granted
 * but the policy's (dir: the engine's directory, read and write), then the
 * seccomp allow-list.  Fatal below min_abi.  Returns the Landlock ABI.
 */
unsigned sandbox_enter(enum cell cell, pid_t parent, const char *dir,
    unsigned min_abi);

/*
 * In a worker that the zygote forked: the narrower filter of its kind on top of
 * the zygote's.
 */
void sandbox_worker(enum cell cell, pid_t parent);

/* Landlock TCP connect to these ports alone, on top of what holds already
 * (nothing happens before ABI 4). */
void sandbox_connect_ports(const uint16_t *ports, int n, unsigned abi);

#endif
