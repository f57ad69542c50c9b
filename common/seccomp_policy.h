/*
 * The seccomp allow-list of each cell.  seccomp_policy.c says of every entry
 * why it is needed.
 */
#ifndef COMMON_SECCOMP_POLICY_H
#define COMMON_SECCOMP_POLICY_H

#include "sandbox.h"

/*
 * Load the filter of a cell into this process.  What is not listed kills the
 * process, as does a system call of a foreign architecture.  Fatal on failure.
 */
void seccomp_enter(enum cell cell);

#endif
