#include "log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES	1024

static log_sink *sink_fn;
static const char *log_name = "cloister";
static enum log_level log_max = LOG_L_INFO;

void
log_set_sink(log_sink *sink)
{
	sink_fn = sink;
}

void
log_set_name(const char *name)
{
	log_name = name;
}

void
log_set_level(enum log_level level)
{
	log_max = level;
}

void
log_clean(char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < 0x20 || (unsigned char)*s >= 0x7f)
			*s = '?';
}

/* Hand a line on. */
static void
deliver(enum log_level level, const char *event, uint64_t session,
    const char *user, const char *line)
{
	if (sink_fn != NULL)
		sink_fn(level, event, session, user, line);
	else if (event != NULL)
		(void)fprintf(stderr, "%s: %s: %s\n", log_name, event, line);
	else
		(void)fprintf(stderr, "%s: %s\n", log_name, line);
}

static void
emit(enum log_level level, const char *fmt, va_list ap, int err)
{
	char line[LINE_MAX_BYTES];
	int n;

	if (level > log_max)
		return;
	n = vsnprintf(line, sizeof(line), fmt, ap);
	if (n < 0)
		line[0] = '\0';
	if (err != 0 && n >= 0 && (size_t)n < sizeof(line))
		(void)snprintf(line + n, sizeof(line) - (size_t)n, ": %s",
		    strerror(err));
	log_clean(line);
	deliver(level, NULL, 0, NULL, line);
}

#define LOG_FN(name, level)						\
void									\
name(const char *fmt, ...)						\
{									\
	va_list ap;							\
									\
	va_start(ap, fmt);						\
	emit(level, fmt, ap, 0);					\
	va_end(ap);							\
}

LOG_FN(log_err, LOG_L_ERR)
LOG_FN(log_warn, LOG_L_WARNING)
LOG_FN(log_notice, LOG_L_NOTICE)
LOG_FN(log_info, LOG_L_INFO)
LOG_FN(log_debug, LOG_L_DEBUG)

/*
 * A sentence that happens to look like fields (somebody else's words may be in
 * it) is put into quotes: it stays a sentence.
 */
static void
as_sentence(char *line, size_t size)
{
	size_t n = strlen(line);

	log_clean(line);
	if (!fields_ok(line))
		return;
	memmove(line + 1, line, n < size - 1 ? n + 1 : n);
	line[0] = '"';
	line[size - 1] = '\0';
}

void
audit(enum event event, uint64_t session, const char *user,
    const char *fmt, ...)
{
	char line[LINE_MAX_BYTES];
	va_list ap;

	va_start(ap, fmt);
	if (fields_format(line, sizeof(line), fmt, ap) == -1) {
		if (vsnprintf(line, sizeof(line), fmt, ap) < 0)
			line[0] = '\0';
		as_sentence(line, sizeof(line));
	}
	va_end(ap);
	deliver(LOG_L_NOTICE, event_decls[event].name, session, user, line);
}

void
fatal(const char *fmt, ...)
{
	int err = errno;
	va_list ap;

	va_start(ap, fmt);
	emit(LOG_L_ERR, fmt, ap, err);
	va_end(ap);
	_exit(1);
}

void
fatalx(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	emit(LOG_L_ERR, fmt, ap, 0);
	va_end(ap);
	_exit(1);
}
