/*
 * The logger: it writes the audit log's lines and passes operational messages
 * on to standard error (the journal under systemd).  Who sent a message is
 * known by the socket that it came over.
 */
#ifndef MONITOR_LOGGER_H
#define MONITOR_LOGGER_H

#include "role.h"

/* Open or (START_INIT) create the log; fatal on failure.  Log to it oneself. */
void logger_open(struct role *r);
/* Watch every role's log socket. */
void logger_serve(struct role *r);
/* Make what was taken durable and leave. */
void logger_stop(void);

#endif
