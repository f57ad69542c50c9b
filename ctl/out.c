#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "ctl.h"
#include "log.h"

static json_t *row;
static bool first;

static void
put(FILE *f, json_t *j)
{
	if (j == NULL || json_dumpf(j, f, JSON_COMPACT | JSON_ENSURE_ASCII) ==
	    -1)
		fatalx("an answer cannot be shown");
	json_decref(j);
	(void)fputc('\n', f);
}

static void
member(const char *name, json_t *value)
{
	if (json_object_set_new(row, name, value) == -1)
		fatalx("an answer cannot be shown");
}

static void
space(const char *label)
{
	if (!first)
		(void)putchar(' ');
	first = false;
	if (label != NULL)
		printf("%s ", label);
}

void
out_begin(const char *type)
{
	first = true;
	if (!ctl.json)
		return;
	if ((row = json_object()) == NULL)
		fatalx("out of memory");
	member("type", json_string(type));
}

void
out_text(const char *name, const char *label, int width, struct bytes value)
{
	char text[CTL_TEXT_MAX];

	if (ctl.json) {
		member(name, json_stringn((const char *)value.p, value.n));
		return;
	}
	if (msg_text(text, sizeof(text), value) == -1)
		(void)strlcpy(text, "?", sizeof(text));
	log_clean(text);
	space(label);
	printf("%*s", -width, text);
}

void
out_str(const char *name, const char *label, int width, const char *value)
{
	out_text(name, label, width, bytes_str(value));
}

void
out_num(const char *name, const char *label, int width, uint64_t value)
{
	char text[24];

	if (ctl.json) {
		member(name, json_integer(value > INT64_MAX ? INT64_MAX :
		    (json_int_t)value));
		return;
	}
	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	space(label);
	printf("%*s", -width, text);
}

void
out_bool(const char *name, const char *yes, const char *no, int width,
    bool value)
{
	if (ctl.json) {
		member(name, json_boolean(value));
		return;
	}
	space(NULL);
	printf("%*s", -width, value ? yes : no);
}

void
out_time(const char *name, const char *label, uint64_t us)
{
	time_t t = (time_t)(us / 1000000);
	char text[32] = "-";
	struct tm tm;

	if (us != 0 && (gmtime_r(&t, &tm) == NULL || strftime(text,
	    sizeof(text), ctl.json ? "%Y-%m-%dT%H:%M:%SZ" :
	    "%Y-%m-%d %H:%M:%SZ", &tm) == 0))
		(void)strlcpy(text, "?", sizeof(text));
	if (ctl.json) {
		member(name, us == 0 ? json_null() : json_string(text));
		return;
	}
	space(label);
	(void)fputs(text, stdout);
}

void
out_word(const char *text)
{
	if (ctl.json)
		return;
	space(NULL);
	(void)fputs(text, stdout);
}

void
out_end(void)
{
	if (ctl.json)
		put(stdout, row);
	else
		(void)putchar('\n');
	row = NULL;
}

void
out_done(const char *text)
{
	if (ctl.json)
		put(stdout, json_pack("{s:s,s:s}", "type", "done", "text",
		    text));
	else if (*text != '\0')
		printf("%s\n", text);
}

void
out_error(const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_clean(text);
	if (ctl.json)
		put(stderr, json_pack("{s:s,s:s}", "type", "error", "text",
		    text));
	else
		(void)fprintf(stderr, "cloisterctl: %s\n", text);
}

int
out_finish(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return 0;
	out_error("standard output: %s", strerror(errno));
	return -1;
}
