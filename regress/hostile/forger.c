/*
 * A hostile logger: when an event comes, it attacks the monitor, answers where
 * nobody listens, or rewrites what was written before.
 */
#include <string.h>
#include <unistd.h>

#include "audit.h"
#include "hostile.h"
#include "log.h"

#define VICTIM	3	/* the line that is forged */

static void
back(void)
{
	static const uint8_t junk[64] = { 0xff };
	int fd = role_extra_fd(ROLE_LOGGER, 1);

	board_begin(board, 0, 0, false, "writes to every log socket");
	for (int i = 0; i <= role_total(1); i++)
		for (int n = 0; n < 1000; n++)
			(void)attack_datagram(fd + i,
			    bytes_of(junk, sizeof(junk)), 0);
}

static uint8_t *
after_line(const struct buf *b, uint8_t *line)
{
	uint8_t *end = memchr(line, '\n', b->n - (size_t)(line - b->p));

	if (end == NULL)
		fatalx("the log is too short");
	return end + 1;
}

/* The log as it is, but for one line, in the file that is appended to. */
static void
rewrite_log(const struct audit_log *l, bool drop)
{
	struct buf b = BUF_INIT(1u << 28);
	uint8_t *line, *end;

	board_begin(board, 0, 0, false, drop ? "leaves out an old line" :
	    "changes an old line");
	if (lseek(l->log_fd, 0, SEEK_SET) == -1 || read_all(l->log_fd,
	    &b) == -1)
		fatal("the log");
	line = b.p;
	for (int i = 1; i < VICTIM; i++)
		line = after_line(&b, line);
	end = after_line(&b, line);
	if (drop) {
		memmove(line, end, b.n - (size_t)(end - b.p));
		b.n -= (size_t)(end - line);
	} else
		line[9] ^= 1;	/* a digit of the year */
	if (ftruncate(l->log_fd, 0) == -1 ||
	    write_all(l->log_fd, b.p, b.n) == -1)
		fatal("the log");
	buf_free(&b);
}

int
__wrap_audit_append(struct audit_log *l, const struct audit_event *ev)
{
	const struct cell ctl = { CH_CTL, END_A, CTL_RUN, false, true };

	if (armed_for(CH_CTL))
		attack_end(FD_CONTROL, &ctl);
	else if (armed_for(PLAN_BACK))
		back();
	else if (armed_for(PLAN_EDIT))
		rewrite_log(l, false);
	else if (armed_for(PLAN_DROP))
		rewrite_log(l, true);
	return __real_audit_append(l, ev);
}
