/*
 * The end of a session whose answers are shaped: CLOSE right behind an answer
 * would tell everybody on the network when it was complete.
 */
#ifndef CLIENT_LINGER_H
#define CLIENT_LINGER_H

#include <stdint.h>

#include "appconn.h"

/* Say CLOSE and wait a moment for it to go out. */
void say_close(int fd, struct appconn *app);
/*
 * Leave the session to a process in the background, without a terminal or any
 * other file, which reads until nothing has come for LINGER_QUIET_MS, heard_ms
 * being the last time that something did, and then says CLOSE.  The caller
 * frees app and closes fd as if nothing were left to do.  When no process can
 * be made, the session is ended at once.
 */
#define LINGER_QUIET_MS	2000
#define LINGER_MAX_MS	150000	/* a step ends after 128 s at most */
void linger(int fd, struct appconn *app, uint64_t heard_ms);

#endif
