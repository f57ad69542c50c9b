/* The user's live sessions, as the server lists them. */
#ifndef CLIENT_SESSIONS_H
#define CLIENT_SESSIONS_H

#include "conn.h"

/* What is done with one of them; other than RC_OK ends the list, with that. */
typedef int sessions_cb(const struct m_s_session *s, void *arg);

/*
 * Ask for the list and hand each session to cb; more than max of them are not a
 * list.  An exit code; of a failure the user was told.
 */
int sessions_each(struct conn *c, unsigned max, sessions_cb *cb, void *arg);

#endif
