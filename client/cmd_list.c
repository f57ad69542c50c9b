#include <string.h>
#include <time.h>
#include <unistd.h>

#include "convs.h"
#include "exits.h"
#include "text.h"
#include "ui.h"

#define PAGE		50	/* messages asked for at once */
#define SHORT_ID	8	/* digits of an id shown on a terminal */
#define TIME_TEXT	32
#define TITLE_MAX	4096	/* bytes of a title, made harmless */
#define BOLD		"\033[1m"
#define PLAIN		"\033[0m"

/* Local time for people; for programs (to a pipe) UTC as ISO 8601. */
static void
time_text(char text[TIME_TEXT], uint64_t us)
{
	time_t t = (time_t)(us / 1000000);
	struct tm tm;

	if (isatty(STDOUT_FILENO) ? localtime_r(&t, &tm) == NULL :
	    gmtime_r(&t, &tm) == NULL)
		(void)strlcpy(text, "?", TIME_TEXT);
	else if (strftime(text, TIME_TEXT, isatty(STDOUT_FILENO) ?
	    "%Y-%m-%d %H:%M" : "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		(void)strlcpy(text, "?", TIME_TEXT);
}

struct listing {
	unsigned	limit;		/* 0: none */
	unsigned	shown;
	bool		failed;		/* standard output */
};

static bool
show_conv(const struct m_s_conv *conv, void *arg)
{
	struct listing *l = arg;
	struct buf title = BUF_INIT(TITLE_MAX);
	char id[CONV_HEX], when[TIME_TEXT];
	const char *fmt;

	hex_encode(id, conv->conv, CONV_LEN);
	time_text(when, conv->updated_us);
	/* One line each, in a pipe too: there the fields are cut by tabs. */
	text_clean_line(&title, conv->title);
	if (isatty(STDOUT_FILENO)) {
		id[SHORT_ID] = '\0';
		fmt = "%s  %s %4ju  %.*s\n";
	} else
		fmt = "%s\t%s\t%ju\t%.*s\n";
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	l->failed = ui_printf(fmt, id, when, (uintmax_t)conv->count,
	    (int)title.n, (const char *)title.p) == -1;
#pragma GCC diagnostic pop
	buf_free(&title);
	return !l->failed && (l->limit == 0 || ++l->shown < l->limit);
}

int
cmd_list(struct client *cl)
{
	struct listing l = { .limit = cl->args.limit };
	int rc;

	rc = conn_open(&cl->conn, &cl->conf, &cl->server, cl->key);
	if (rc == RC_OK)
		rc = convs_each(cl->conn, show_conv, &l);
	return rc == RC_OK && l.failed ? RC_ERROR : rc;
}
