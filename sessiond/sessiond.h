/*
 * sessiond: accepts connections and passes each socket to the zygote.  It never
 * reads a client's byte.  What a source may do is source.h's.
 */
#ifndef SESSIOND_SESSIOND_H
#define SESSIOND_SESSIOND_H

#include "role.h"

/* Take over the started role's callbacks; role_run() then serves. */
void sessiond_init(struct role *r);

#endif
