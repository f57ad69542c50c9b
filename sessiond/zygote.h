/*
 * The zygote: forks a pair of workers for each connection and buries them.
 * It never reads a client's byte.  A pair is born when keyd and the vault have
 * made the channels of number N, waits as a spare, serves one connection and
 * ends.  When a worker crashes, this zygote retires and another takes its place.
 */
#ifndef SESSIOND_ZYGOTE_H
#define SESSIOND_ZYGOTE_H

#include "role.h"

/*
 * role_start()'s prepare: the crypto library is warm and SIGCHLD arrives by a
 * signalfd before the sandbox closes.
 */
void zygote_prepare(struct role *r);
/* Take over the started role's callbacks; role_run() then serves. */
void zygote_init(struct role *r);

#endif
