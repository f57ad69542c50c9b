/*
 * The session worker: one authenticated connection.  It is born inert, gets its
 * keys and the client's socket from its twin and its user from the vault, serves
 * the application messages and ends.
 */
#ifndef SESSIOND_SESSION_H
#define SESSIOND_SESSION_H

#include <stdint.h>

/*
 * Serve session n.  vault is the SESS_VAULT channel's end A, twin the TWIN
 * channel's end B; both are taken over.  Returns the status to exit with: 0,
 * or 1 when a peer broke the rules.
 */
int session_run(uint64_t n, int vault, int twin);

#endif
