/*
 * Operational messages: to the journal by its native protocol (systemd's
 * "Native Journal Protocol": a datagram of lines NAME=value) with the role, the
 * session and the user as fields; without a journal, lines on standard error,
 * whose <N> journald and others read as the priority.
 */
#include <sys/socket.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "logger.h"

static int journal = -1;

void
oplog_open(int fd)
{
	int type;
	socklen_t len = sizeof(type);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 &&
	    type == SOCK_DGRAM)
		journal = fd;
	else
		(void)close(fd);
}

/* 0, or -1 when the journal does not take it. */
static int
to_journal(unsigned level, const char *role, unsigned pid, uint64_t session,
    const char *user, const char *text)
{
	char b[4096], more[256] = "";
	int n;

	if (session != 0)
		(void)snprintf(more, sizeof(more), "CLOISTER_SESSION=%llu\n",
		    (unsigned long long)session);
	if (user != NULL && *user != '\0')
		(void)snprintf(more + strlen(more), sizeof(more) -
		    strlen(more), "CLOISTER_USER=%s\n", user);
	n = snprintf(b, sizeof(b), "PRIORITY=%u\nSYSLOG_IDENTIFIER=cloisterd\n"
	    "CLOISTER_ROLE=%s\nCLOISTER_PID=%u\n%sMESSAGE=%s: %s\n", level,
	    role, pid, more, role, text);
	if (n < 0 || (size_t)n >= sizeof(b))
		return -1;
	return send(journal, b, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL) == n ?
	    0 : -1;
}

void
oplog(unsigned level, const char *role, unsigned pid, uint64_t session,
    const char *user, const char *fmt, ...)
{
	char text[1280];
	va_list ap;

	va_start(ap, fmt);
	if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
		text[0] = '\0';
	va_end(ap);
	log_clean(text);
	if (journal != -1 &&
	    to_journal(level, role, pid, session, user, text) == 0)
		return;
	if (session != 0)
		(void)fprintf(stderr, "<%u>%s[%u]: session %llu: %s\n", level,
		    role, pid, (unsigned long long)session, text);
	else
		(void)fprintf(stderr, "<%u>%s[%u]: %s\n", level, role, pid,
		    text);
}
