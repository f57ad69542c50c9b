/*
 * TCP to the server, and exact amounts of bytes within a time.
 */
#ifndef CLIENT_TCP_H
#define CLIENT_TCP_H

#include "bytes.h"
#include "cconf.h"

/*
 * Connect to one of the server's addresses, IPv6 and IPv4 as getaddrinfo(3)
 * orders them, within timeout_ms for all; where one does not answer at once the
 * next one is tried beside it.  Returns a descriptor (non-blocking,
 * close-on-exec) or -1 with a message in err.
 */
int tcp_connect(const struct cconf_server *s, int timeout_ms, char *err,
    size_t errlen);
/*
 * Read exactly n bytes until deadline_ms on the clock of mono_ms().  0; 1 at end
 * of file (*got says how many came before); -1 with errno (ETIMEDOUT).
 */
int tcp_read(int fd, void *p, size_t n, size_t *got, uint64_t deadline_ms);
/* Write all of b; 0 or -1 with errno. */
int tcp_write(int fd, struct bytes b, uint64_t deadline_ms);

#endif
