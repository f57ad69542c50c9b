/*
 * Logging and the one way to die.
 *
 * A role's messages go to the logger over the role's own log socket, never to
 * a file.  Before that socket is set (and in the client and cloisterctl) they
 * go to standard error.  Nothing here may be called from a signal handler.
 * Never pass a secret, a prompt, an answer or a password.
 */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include <stdarg.h>
#include <stdint.h>

#include "events.h"

/* Priorities, as syslog(3) numbers them. */
enum log_level {
	LOG_L_ERR = 3,
	LOG_L_WARNING = 4,
	LOG_L_NOTICE = 5,
	LOG_L_INFO = 6,
	LOG_L_DEBUG = 7
};

/*
 * Where a message goes.  text is one line of ASCII without control characters:
 * for an audit event its fields, or a sentence (events.h).
 * event is NULL for an operational message and else the name of an audit event;
 * session is the session number or 0, user a user's name or NULL.
 */
typedef void log_sink(enum log_level level, const char *event,
    uint64_t session, const char *user, const char *text);

/* Send messages to sink from now on; NULL is standard error. */
void log_set_sink(log_sink *sink);
/* The name shown before messages on standard error. */
void log_set_name(const char *name);
/* Control and non-ASCII bytes become '?': a log line is one line of text, and
 * harmless on a terminal. */
void log_clean(char *s);
/* Messages above this level are dropped (default LOG_L_INFO). */
void log_set_level(enum log_level level);

void log_err(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_notice(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * An audit event of events.def, the session that it belongs to or 0, the user or
 * NULL, and its fields: fmt is either `name=%X name=%X ...' (events.h, there
 * which conversions) or a sentence, which becomes the one field "text".
 */
void audit(enum event event, uint64_t session, const char *user,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Log the message with strerror(errno), then exit with status 1. */
__attribute__((noreturn, format(printf, 1, 2)))
void fatal(const char *fmt, ...);
/* The same without errno. */
__attribute__((noreturn, format(printf, 1, 2)))
void fatalx(const char *fmt, ...);

#endif
