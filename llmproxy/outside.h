/* A connector that the service manager started; see monitor/outside.c. */
#ifndef LLMPROXY_OUTSIDE_H
#define LLMPROXY_OUTSIDE_H

/*
 * When a socket was passed (LISTEN_FDS of sd_listen_fds(3)): take the role's
 * descriptors from it and put them into their places, and execute argv again, as the
 * monitor otherwise does.  Returns when there was none; fatal when that fails.
 */
void outside_receive(char **argv);

#endif
