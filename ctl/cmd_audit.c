/* cloisterctl audit show, follow, rotate. */
#include <sys/stat.h>

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "audit.h"
#include "audit_files.h"
#include "ctl.h"
#include "log.h"

#define FOLLOW_US	200000
#define TIME_CHARS	26	/* 2026-11-25T04:02:11.120943 */

struct filter {
	char		 since[TIME_CHARS + 2], until[TIME_CHARS + 2];
	const char	*user, *event, *role;
	const char	*session;
};

static const struct option options[] = {
	{ "since", required_argument, NULL, 's' },
	{ "until", required_argument, NULL, 't' },
	{ "user", required_argument, NULL, 'u' },
	{ "event", required_argument, NULL, 'e' },
	{ "role", required_argument, NULL, 'r' },
	{ "session", required_argument, NULL, 'n' },
	{ NULL, 0, NULL, 0 }
};

/*
 * A time of the form that the log has, or the beginning of one, or how long ago:
 * 90s, 15m, 2h, 3d.  0 or -1.
 */
static int
take_time(char dst[TIME_CHARS + 2], const char *s)
{
	static const char form[] = "dddd-dd-ddTdd:dd:dd.dddddd";
	static const char units[] = "smhd";
	static const time_t seconds[] = { 1, 60, 3600, 86400 };
	size_t n = strlen(s), i;
	const char *unit, *e;
	char number[16];
	struct tm tm;
	time_t t;

	if (n > 1 && n < sizeof(number) &&
	    (unit = strchr(units, s[n - 1])) != NULL) {
		(void)strlcpy(number, s, n);
		t = (time_t)strtonum(number, 0, 100000000, &e);
		if (e != NULL)
			return -1;
		t = time(NULL) - t * seconds[unit - units];
		return gmtime_r(&t, &tm) != NULL && strftime(dst,
		    TIME_CHARS + 2, "%Y-%m-%dT%H:%M:%S", &tm) > 0 ? 0 : -1;
	}
	if (n > 0 && s[n - 1] == 'Z')
		n--;
	if (n < 4 || n > TIME_CHARS)
		return -1;
	for (i = 0; i < n; i++)
		if (form[i] == 'd' ? s[i] < '0' || s[i] > '9' :
		    s[i] != form[i] && (form[i] != 'T' || s[i] != ' '))
			return -1;
	memcpy(dst, s, n);
	dst[n] = '\0';
	if (n > 10)
		dst[10] = 'T';
	return 0;
}

static int
take_filter(struct filter *f, int argc, char **argv)
{
	int c;

	memset(f, 0, sizeof(*f));
	while ((c = getopt_long(argc, argv, "+", options, NULL)) != -1) {
		switch (c) {
		case 's':
		case 't':
			if (take_time(c == 's' ? f->since : f->until,
			    optarg) == 0)
				break;
			out_error("%s: not a time (2026-11-25T04:00, 15m, 2h, "
			    "3d)", optarg);
			return -1;
		case 'u':
			f->user = optarg;
			break;
		case 'e':
			f->event = optarg;
			break;
		case 'r':
			f->role = optarg;
			break;
		case 'n':
			f->session = optarg;
			break;
		default:
			return -1;
		}
	}
	return 0;
}

/* Whether name is the event, or in its group: "auth." or "auth.*" is all. */
static bool
event_is(const char *pattern, const char *name)
{
	size_t n = strlen(pattern);

	if (n > 0 && pattern[n - 1] == '*')
		n--;
	else if (n == 0 || pattern[n - 1] != '.')
		return strcmp(pattern, name) == 0;
	return strncmp(pattern, name, n) == 0;
}

struct line {
	const char	*time, *role, *user, *event;
	json_int_t	 seq, pid, session;
	json_t		*fields;
};

static bool
matches(const struct filter *f, const struct line *l)
{
	char session[24];

	(void)snprintf(session, sizeof(session), "%lld", (long long)l->session);
	return strcmp(l->time, f->since) >= 0 &&
	    (*f->until == '\0' || strcmp(l->time, f->until) < 0) &&
	    (f->user == NULL || strcmp(f->user, l->user) == 0) &&
	    (f->event == NULL || event_is(f->event, l->event)) &&
	    (f->role == NULL || strcmp(f->role, l->role) == 0) &&
	    (f->session == NULL || strcmp(f->session, session) == 0);
}

/* Text that a file has: on this terminal it does nothing but stand there. */
static void
print_text(const char *s)
{
	for (; *s != '\0'; s++)
		(void)putchar((unsigned char)*s < 0x20 ||
		    (unsigned char)*s >= 0x7f ? '?' : *s);
}

static void
print_line(const struct line *l)
{
	const char *name;
	json_t *value;

	print_text(l->time);
	printf(" %lld ", (long long)l->seq);
	print_text(l->role);
	printf("[%lld] ", (long long)l->pid);
	print_text(l->event);
	if (*l->user != '\0') {
		(void)fputs(" user=", stdout);
		print_text(l->user);
	}
	if (l->session != 0)
		printf(" session=%lld", (long long)l->session);
	json_object_foreach(l->fields, name, value) {
		(void)putchar(' ');
		print_text(name);
		(void)putchar('=');
		if (json_is_string(value))
			print_text(json_string_value(value));
		else
			printf("%lld", (long long)json_integer_value(value));
	}
	(void)putchar('\n');
}

/* One line of a file.  What is no line of a log is shown as such. */
static void
show(const struct filter *f, const char *text, size_t n)
{
	json_t *j = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
	struct line l;

	if (j == NULL || json_unpack(j, "{s:s,s:I,s:s,s:I,s:I,s:s,s:s,s:o}",
	    "time", &l.time, "seq", &l.seq, "role", &l.role, "pid", &l.pid,
	    "session", &l.session, "user", &l.user, "event", &l.event,
	    "fields", &l.fields) == -1 || !json_is_object(l.fields))
		out_error("a line that is none of an audit log");
	else if (matches(f, &l)) {
		if (ctl.json) {
			(void)fwrite(text, 1, n, stdout);
			(void)putchar('\n');
		} else
			print_line(&l);
	}
	json_decref(j);
}

/* Whole lines from here to the end of the file; what is unfinished waits. */
static int
show_file(const struct filter *f, FILE *fp)
{
	static char b[AUDIT_LINE_MAX + 1];
	long at = ftell(fp);

	clearerr(fp);
	while (fgets(b, sizeof(b), fp) != NULL) {
		size_t n = strlen(b);

		if (n == 0 || b[n - 1] != '\n') {
			if (n < sizeof(b) - 1) {
				(void)fseek(fp, at, SEEK_SET);
				break;
			}
			out_error("a line that is none of an audit log");
		} else
			show(f, b, n - 1);
		at = ftell(fp);
	}
	if (!ferror(fp))
		return 0;
	out_error("the audit log: %s", strerror(errno));
	return -1;
}

int
cmd_audit_show(int argc, char **argv)
{
	struct audit_files files;
	struct filter f;
	int rv = CTL_OK;

	if (take_filter(&f, argc, argv) == -1)
		return CTL_USAGE;
	if (optind == argc)
		ctl_config();
	if (audit_files_open(&files, argc - optind, argv + optind) == -1)
		rv = CTL_FAILED;
	for (size_t i = 0; rv == CTL_OK && i < files.n; i++)
		if (show_file(&f, files.f[i]) == -1)
			rv = CTL_FAILED;
	audit_files_free(&files);
	return rv;
}

/* Whether the name leads to another file by now, and that is open in *fp. */
static bool
reopened(const char *path, FILE **fp)
{
	struct stat was, is;
	FILE *new;

	if (fstat(fileno(*fp), &was) == -1 || stat(path, &is) == -1 ||
	    (was.st_dev == is.st_dev && was.st_ino == is.st_ino) ||
	    (new = fopen(path, "re")) == NULL)
		return false;
	(void)fclose(*fp);
	*fp = new;
	return true;
}

int
cmd_audit_follow(int argc, char **argv)
{
	struct filter f;
	char *path;
	FILE *fp;

	if (take_filter(&f, argc, argv) == -1 || optind != argc)
		return CTL_USAGE;
	ctl_config();
	path = audit_state_path("audit/audit.log");
	if ((fp = fopen(path, "re")) == NULL || fseek(fp, 0, SEEK_END) == -1) {
		out_error("%s: %s", path, strerror(errno));
		return CTL_FAILED;
	}
	for (;;) {
		/* The old file once more: it was written until the rename. */
		if (show_file(&f, fp) == -1 || fflush(stdout) == EOF)
			return CTL_FAILED;
		if (reopened(path, &fp))
			continue;
		(void)usleep(FOLLOW_US);
	}
}

int
cmd_audit_rotate(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return ctl_ask(MSG_av_audit_rotate, NULL);
}
