#include "lines.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

#include <histedit.h>

#include "intr.h"
#include "log.h"
#include "ui.h"

#define HISTORY_LINES	1000
#define QUOTE		0x16	/* ^V: the next key is a character */

struct lines {
	struct conn	*conn;
	const char	*history_file;
	EditLine	*el;		/* NULL: not a terminal */
	History		*history;
	const char	*prompt;
	const char *const *words;	/* to complete to, or NULL */
	enum lines_result why;		/* why the last line did not end */
	struct buf	 keys;		/* as if the user had typed them */
};

/*
 * The next byte of standard input, while the session and ^C are watched: 1, or 0
 * with l->why.
 */
static int
next_byte(struct lines *l, char *byte)
{
	int fds[] = { STDIN_FILENO, intr_fd() };
	ssize_t n;

	for (;;) {
		switch (conn_idle(l->conn, fds, 2)) {
		case 0:
			n = read(STDIN_FILENO, byte, 1);
			if (n == 1)
				return 1;
			if (n == -1 && (errno == EINTR || errno == EAGAIN))
				continue;
			l->why = LINES_END;
			return 0;
		case 1:
			intr_clear();
			l->why = LINES_INTERRUPTED;
			return 0;
		default:
			break;
		}
		l->why = LINES_LOST;
		return 0;
	}
}

/* libedit's reader: one character, 0 at the end, -1 to break off. */
static int
get_char(EditLine *el, wchar_t *wc)
{
	mbstate_t state;
	struct lines *l;
	char byte;
	size_t n;

	if (el_get(el, EL_CLIENTDATA, &l) == -1)
		return -1;
	memset(&state, 0, sizeof(state));
	do {
		if (next_byte(l, &byte) == 0)
			return l->why == LINES_END ? 0 : -1;
		n = mbrtowc(wc, &byte, 1, &state);
		if (n == (size_t)-1) {
			/* Not a character of this locale: left out. */
			memset(&state, 0, sizeof(state));
			n = (size_t)-2;
		}
	} while (n == (size_t)-2);
	return 1;
}

static char *
get_prompt(EditLine *el)
{
	static char text[16];
	struct lines *l;

	if (el_get(el, EL_CLIENTDATA, &l) == 0)
		(void)strlcpy(text, l->prompt, sizeof(text));
	return text;
}

/*
 * Tab: what all words that begin like the line have in common, and a blank
 * behind the only one.
 */
static unsigned char
complete(EditLine *el, int ch)
{
	const LineInfo *li = el_line(el);
	size_t n = (size_t)(li->cursor - li->buffer), common = 0;
	const char *first = NULL;
	char rest[64];
	struct lines *l;
	int found = 0;

	(void)ch;
	if (el_get(el, EL_CLIENTDATA, &l) == -1 || l->words == NULL || n == 0)
		return CC_ERROR;
	for (const char *const *w = l->words; *w != NULL; w++) {
		if (strncmp(*w, li->buffer, n) != 0)
			continue;
		if (found++ == 0) {
			first = *w;
			common = strlen(first);
		} else
			while (strncmp(first, *w, common) != 0)
				common--;
	}
	if (found == 0 || common - n >= sizeof(rest) - 1)
		return CC_ERROR;
	(void)snprintf(rest, sizeof(rest), "%.*s%s", (int)(common - n),
	    first + n, found == 1 ? " " : "");
	if (rest[0] == '\0' || el_insertstr(el, rest) == -1)
		return CC_ERROR;
	return CC_REFRESH;
}

void
lines_complete(struct lines *l, const char *const *words)
{
	l->words = words;
}

static void
start_editing(struct lines *l)
{
	HistEvent ev;

	/* What is piped on must not contain prompts. */
	l->el = el_init("cloister", stdin,
	    isatty(STDOUT_FILENO) ? stdout : stderr, stderr);
	l->history = history_init();
	if (l->el == NULL || l->history == NULL)
		fatalx("libedit does not start");
	(void)history(l->history, &ev, H_SETSIZE, HISTORY_LINES);
	(void)history(l->history, &ev, H_SETUNIQUE, 1);
	if (l->history_file != NULL)
		/* There is none at first. */
		(void)history(l->history, &ev, H_LOAD, l->history_file);
	(void)el_set(l->el, EL_CLIENTDATA, l);
	(void)el_set(l->el, EL_EDITOR, "emacs");
	(void)el_set(l->el, EL_HIST, history, l->history);
	(void)el_set(l->el, EL_PROMPT, get_prompt);
	(void)el_set(l->el, EL_GETCFN, get_char);
	(void)el_set(l->el, EL_ADDFN, "cl-complete", "complete a command",
	    complete);
	(void)el_set(l->el, EL_BIND, "^I", "cl-complete", NULL);
	(void)el_set(l->el, EL_BIND, "^R", "em-inc-search-prev", NULL);
	(void)el_source(l->el, NULL);
}

struct lines *
lines_new(struct conn *conn, const char *history_file)
{
	struct lines *l = calloc(1, sizeof(*l));

	if (l == NULL)
		fatal("memory");
	l->conn = conn;
	l->history_file = history_file;
	buf_init(&l->keys, 2 * LINES_PREFILL_MAX + 1);
	if (isatty(STDIN_FILENO))
		start_editing(l);
	return l;
}

void
lines_free(struct lines *l)
{
	HistEvent ev;

	if (l == NULL)
		return;
	if (l->el != NULL) {
		if (l->history_file != NULL && history(l->history, &ev, H_SAVE,
		    l->history_file) == -1)
			ui_err("%s: the history could not be saved",
			    l->history_file);
		history_end(l->history);
		el_end(l->el);
	}
	buf_free(&l->keys);
	free(l);
}

void
lines_prefill(struct lines *l, struct bytes text)
{
	buf_reset(&l->keys);
	for (size_t i = 0; i < text.n; i++) {
		/* What would be a command of the editor is quoted. */
		if (text.p[i] < ' ' || text.p[i] == 0x7f)
			buf_u8(&l->keys, QUOTE);
		buf_u8(&l->keys, text.p[i]);
	}
	buf_u8(&l->keys, '\0');
}

bool
lines_typed(const struct lines *l)
{
	return l->el != NULL;
}

static enum lines_result
read_edited(struct lines *l, struct buf *out)
{
	const char *line;
	HistEvent ev;
	int n;

	l->why = LINES_END;
	if (l->keys.n > 0 && !l->keys.err)
		el_push(l->el, (const char *)l->keys.p);
	buf_reset(&l->keys);
	line = el_gets(l->el, &n);
	if (line == NULL || n <= 0) {
		/* Leave the line on which the prompt stands. */
		(void)ui_write(STDERR_FILENO, bytes_str("\n"));
		return l->why;
	}
	if (line[n - 1] == '\n')
		n--;
	buf_put(out, line, (size_t)n);
	if (n > 0)
		(void)history(l->history, &ev, H_ENTER, line);
	return LINES_LINE;
}

static enum lines_result
read_plain(struct lines *l, struct buf *out)
{
	size_t start = out->n;
	char byte;

	while (next_byte(l, &byte) == 1) {
		if (byte == '\n')
			return LINES_LINE;
		buf_u8(out, (uint8_t)byte);
	}
	/* A last line may lack its newline. */
	return l->why == LINES_END && out->n > start ? LINES_LINE : l->why;
}

enum lines_result
lines_read(struct lines *l, bool more, struct buf *out)
{
	l->prompt = more ? "... " : "> ";
	return l->el != NULL ? read_edited(l, out) : read_plain(l, out);
}
