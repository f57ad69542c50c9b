/*
 * The logger: it writes the audit log's lines and passes operational messages
 * on to the journal or to standard error.  Who sent a message is known by the
 * socket that it came over.
 *
 *	logger.c	the log sockets of all processes
 *	logger_audit.c	the audit log: checkpoints, files, a full disk
 *	oplog.c		operational messages
 */
#ifndef MONITOR_LOGGER_H
#define MONITOR_LOGGER_H

#include "log.h"
#include "role.h"

/* Open or (START_INIT) create the log; fatal on failure.  Log to it oneself. */
void logger_open(struct role *r);
/* Watch every role's log socket. */
void logger_serve(struct role *r);
/* Make what was taken durable and leave. */
void logger_stop(void);

/* ---- logger_audit.c ------------------------------------------------------- */

void alog_open(struct role *r);
/* How often checkpoints, when another file, what if there is no room. */
void alog_configure(const struct m_ctl_audit *m);
/* Ask keyd for checkpoints from now on. */
void alog_serve(void);
/* One event, taken from that role; alog_event(): the logger's own. */
void alog_take(const char *role, unsigned pid, uint64_t session,
    const char *event, const char *user, const char *text);
void alog_event(enum event ev, const char *fields);
/* What was taken becomes durable; a checkpoint, another file if it is time. */
void alog_commit(void);
/* Ask the monitor for another file. */
void alog_rotate(void);
/* It made one (which is taken over), or (-1) could not.  The old one's last
 * lines are written; the switch comes when they are signed, or by a timer. */
void alog_next(int fd);
/* That timer's. */
void alog_switch(void *arg);
/* The last lines and their checkpoint. */
void alog_close(void);

/* ---- oplog.c --------------------------------------------------------------- */

/* journal: a socket connected to the journal; taken over.  If it is anything
 * else (there is no journal) it is closed. */
void oplog_open(int journal);
/*
 * An operational message of a process: one line without control characters.
 * session may be 0, user NULL.
 */
__attribute__((format(printf, 6, 7)))
void oplog(unsigned level, const char *role, unsigned pid, uint64_t session,
    const char *user, const char *fmt, ...);

#endif
