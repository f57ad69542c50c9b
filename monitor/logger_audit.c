/*
 * What the logger does with the audit log: lines, commits, checkpoints, other
 * files, and a disk that is full.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "audit.h"
#include "checkpoint.h"
#include "log.h"
#include "logger.h"

#define LAST_CP_MS	3000	/* for keyd's signature at the end */
#define LATER_MS	1000	/* after keyd put a checkpoint off */
#define ROOM_MS		1000	/* between looks whether there is room again */
#define SWITCH_MS	5000	/* for the checkpoint that ends a file */
#define NO_FILE_MS	60000	/* after the monitor could not make one */

static struct role *self;
static struct audit_log alog;
static struct m_ctl_audit conf;
static bool dirty;

/* Signed checkpoints. */
static struct {
	struct chan		*keyd;	/* NULL: none is there */
	uint64_t		 asked;	/* for this line; 0: not asked */
	uint8_t			 hash[AUDIT_HASH_BYTES];	/* of that line */
	uint64_t		 line;	/* of the newest checkpoint; 0: none */
	bool			 now;	/* not only when there is enough */
	struct loop_timer	*timer;
} cp;

/* The next file. */
static struct {
	bool			 asked;
	int			 fd;	/* -1: none */
	uint64_t		 last_line;	/* audit.rotate in the old one */
	uint64_t		 not_before_ms;
	struct loop_timer	*timer;
} next = { .fd = -1 };

/* Lines for which there was no room. */
static struct {
	uint64_t		 lost;
	bool			 in_batch;	/* the line that tells of them */
	uint64_t		 retry_ms;
	struct loop_timer	*timer;
} full;

static void checkpoint(void);
static void on_room_timer(void *arg);

/* ---- lines ------------------------------------------------------------------ */

static bool
no_room(int err)
{
	return err == ENOSPC || err == EDQUOT || err == EFBIG;
}

/* The disk does not take it: that is for the policy; all else ends the service. */
static void
failed(const char *what, uint64_t events)
{
	int err = errno;

	if (!no_room(err) || conf.full_continue == 0) {
		oplog(LOG_L_ERR, "logger", (unsigned)getpid(), 0, NULL,
		    "the audit log cannot be %s: %s: the service stops", what,
		    strerror(err));
		_exit(1);
	}
	if (full.lost == 0)
		oplog(LOG_L_ERR, "logger", (unsigned)getpid(), 0, NULL,
		    "there is no room for the audit log: events are lost until "
		    "there is (audit_full = continue)");
	full.lost += events;
	full.in_batch = false;
	full.retry_ms = mono_ms() + ROOM_MS;
	if (full.timer == NULL)
		full.timer = loop_timer_new(self->loop, ROOM_MS, on_room_timer,
		    NULL);
	if (audit_note_lost(&alog, full.lost) == -1) {
		oplog(LOG_L_ERR, "logger", (unsigned)getpid(), 0, NULL,
		    "the audit log's state cannot be written: the service "
		    "stops");
		_exit(1);
	}
}

static void
append(const char *role, unsigned pid, uint64_t session, const char *event,
    const char *user, const char *text)
{
	struct audit_event ev = {
		.time_us = wall_us(), .role = role, .pid = (pid_t)pid,
		.session = session, .user = user, .event = event,
		.fields = text,
	};

	if (audit_append(&alog, &ev) == -1)
		failed("written", 1 + alog.dropped - (full.in_batch ? 1 : 0));
	dirty = true;
}

/* Say first what is missing here. */
static void
append_gap(void)
{
	char text[64];

	(void)snprintf(text, sizeof(text), "lost=%llu",
	    (unsigned long long)full.lost);
	full.in_batch = true;
	append("logger", (unsigned)getpid(), 0, event_decls[EV_audit_gap].name,
	    NULL, text);
}

void
alog_take(const char *role, unsigned pid, uint64_t session, const char *event,
    const char *user, const char *text)
{
	if (full.lost > 0 && !full.in_batch) {
		if (mono_ms() < full.retry_ms) {
			full.lost++;
			return;
		}
		append_gap();
		if (!full.in_batch) {
			full.lost++;
			return;
		}
	}
	append(role, pid, session, event, user, text);
	if (strcmp(event, event_decls[EV_start].name) == 0)
		cp.now = true;
}

void
alog_event(enum event ev, const char *text)
{
	alog_take("logger", (unsigned)getpid(), 0, event_decls[ev].name, NULL,
	    text);
}

/* What is in the batch becomes durable, or is lost. */
static void
write_down(void)
{
	dirty = false;
	if (audit_commit(&alog) == -1) {
		failed("made durable", alog.dropped - (full.in_batch ? 1 : 0));
		return;
	}
	if (!full.in_batch)
		return;
	full.in_batch = false;
	oplog(LOG_L_WARNING, "logger", (unsigned)getpid(), 0, NULL,
	    "there is room for the audit log again: %llu events were lost",
	    (unsigned long long)full.lost);
	full.lost = 0;
	if (audit_note_lost(&alog, 0) == -1)
		fatal("the audit log's state");
}

static void
on_room_timer(void *arg)
{
	(void)arg;
	full.timer = NULL;
	if (full.lost == 0)
		return;
	if (!full.in_batch)
		append_gap();
	write_down();
	if (full.lost > 0 && full.timer == NULL)
		full.timer = loop_timer_new(self->loop, ROOM_MS, on_room_timer,
		    NULL);
}

void
alog_commit(void)
{
	if (!dirty)
		return;
	write_down();
	checkpoint();
	if (conf.rotate_bytes > 0 && alog.log_bytes >= conf.rotate_bytes &&
	    mono_ms() >= next.not_before_ms)
		alog_rotate();
}

/* ---- checkpoints ------------------------------------------------------------- */

static void
on_cp_timer(void *arg)
{
	(void)arg;
	cp.timer = NULL;
	cp.now = true;
	checkpoint();
}

static void
cp_timer(uint64_t ms)
{
	if (cp.timer == NULL)
		cp.timer = loop_timer_new(self->loop, ms, on_cp_timer, NULL);
}

/* Ask for one, if the lines since the last are worth it.  All is committed. */
static void
checkpoint(void)
{
	struct m_lk_checkpoint m = { .seq = alog.chain.seq };

	if (cp.keyd == NULL || cp.asked != 0 || full.lost > 0 || dirty ||
	    alog.chain.seq <= cp.line)
		return;
	if (!cp.now && alog.chain.seq - cp.line < conf.checkpoint_lines) {
		cp_timer((uint64_t)conf.checkpoint_s * 1000);
		return;
	}
	cp.now = false;
	cp.asked = m.seq;
	memcpy(cp.hash, alog.chain.prev, sizeof(cp.hash));
	memcpy(m.hash, cp.hash, sizeof(m.hash));
	(void)chan_send(cp.keyd, MSG_lk_checkpoint, &m, -1);
}

/* keyd broke the protocol: it holds the host key, so nothing goes on. */
__attribute__((noreturn)) static void
keyd_violation(const char *why)
{
	char text[256];

	(void)snprintf(text, sizeof(text), "keyd: %s", why);
	alog_event(EV_violation, text);
	write_down();
	fatalx("keyd broke the rules of its link: %s", why);
}

static void
on_signed(const struct m_kl_signed *m)
{
	char text[CHECKPOINT_FIELDS_MAX];
	struct checkpoint c = { .seq = m->seq, .time_us = m->time_us,
	    .sig_n = m->sig.n };

	if (alog.chain.seq - m->seq >= AUDIT_CP_REACH - 1) {
		cp.now = true;	/* too far behind by now: another one */
		return;
	}
	memcpy(c.hash, cp.hash, sizeof(c.hash));
	memcpy(c.key, m->key, sizeof(c.key));
	memcpy(c.sig, m->sig.p, m->sig.n);
	checkpoint_fields(text, &c);
	alog_event(EV_audit_checkpoint, text);
	write_down();
	cp.line = alog.chain.seq;
	loop_timer_free(cp.timer);
	cp.timer = NULL;
	if (next.fd != -1 && m->seq >= next.last_line)
		alog_switch(NULL);
}

static void
on_keyd(struct chan *c, struct msg *m, void *arg)
{
	uint64_t seq = m->type == MSG_kl_signed ? m->u.kl_signed.seq :
	    m->u.kl_later.seq;

	(void)c;
	(void)arg;
	if (cp.asked == 0 || seq != cp.asked)
		keyd_violation("an answer to what was not asked");
	cp.asked = 0;
	if (m->type == MSG_kl_signed)
		on_signed(&m->u.kl_signed);
	else
		cp_timer(LATER_MS);
}

/* Its death is the monitor's to tell; there is somebody to write it down. */
static void
on_keyd_closed(struct chan *c, const char *why, void *arg)
{
	(void)arg;
	if (why != NULL)
		keyd_violation(why);
	chan_free(c);
	cp.keyd = NULL;
	cp.asked = 0;
}

/* The last checkpoint, before the end. */
static void
last_checkpoint(void)
{
	uint64_t end = mono_ms() + LAST_CP_MS;

	for (int i = 0; i < 2; i++) {
		while (cp.keyd != NULL && cp.asked != 0 && mono_ms() < end) {
			struct pollfd p = { .fd = chan_fd(cp.keyd),
			    .events = POLLIN };

			(void)poll(&p, 1, 100);
			(void)chan_drain(cp.keyd);
		}
		cp.now = true;
		checkpoint();
	}
}

/* ---- the next file ------------------------------------------------------------ */

void
alog_rotate(void)
{
	struct m_ctl_next_log m = { .seq = alog.chain.seq };

	if (next.asked || next.fd != -1 || full.lost > 0 || m.seq == 0)
		return;
	next.asked = true;
	if (chan_send(self->ctl, MSG_ctl_next_log, &m, -1) == -1)
		fatalx("the monitor is gone");
}

/* Go on in the new file, whether or not the old one's end was signed. */
void
alog_switch(void *arg)
{
	int old = alog.log_fd;

	(void)arg;
	loop_timer_free(next.timer);
	next.timer = NULL;
	if (next.fd == -1)
		return;
	write_down();
	if (full.lost > 0) {	/* there is no room: later */
		next.timer = loop_timer_new(self->loop, SWITCH_MS, alog_switch,
		    NULL);
		return;
	}
	if (audit_switch(&alog, next.fd) == -1)
		fatal("the audit log's next file");
	(void)close(old);
	next.fd = -1;
}

void
alog_next(int fd)
{
	if (!next.asked)
		fatalx("a file for the audit log that nobody asked for");
	next.asked = false;
	if (fd == -1) {
		oplog(LOG_L_ERR, "logger", (unsigned)getpid(), 0, NULL,
		    "the audit log gets no new file; it goes on in the old one");
		next.not_before_ms = mono_ms() + NO_FILE_MS;
		return;
	}
	next.fd = fd;
	alog_event(EV_audit_rotate, "text=\"the log goes on in another file\"");
	write_down();
	next.last_line = alog.chain.seq;
	next.timer = loop_timer_new(self->loop, SWITCH_MS, alog_switch, NULL);
	cp.now = true;
	checkpoint();
}

/* ---- start and end -------------------------------------------------------------- */

static void
create(int state_fd)
{
	uint8_t key[AUDIT_KEY_BYTES];
	int fd = role_file_fd(ROLE_LOGGER, self->providers, FILE_AUDIT_KEY);

	if (audit_create(state_fd, key) == -1 ||
	    write_all(fd, key, sizeof(key)) == -1 || fdatasync(fd) == -1)
		fatal("the audit log cannot be made");
	explicit_bzero(key, sizeof(key));
}

void
alog_open(struct role *r)
{
	int log_fd = role_file_fd(ROLE_LOGGER, r->providers, FILE_AUDIT_LOG);
	int prev_fd = role_file_fd(ROLE_LOGGER, r->providers, FILE_AUDIT_PREV);
	int state_fd = role_file_fd(ROLE_LOGGER, r->providers,
	    FILE_AUDIT_STATE);
	struct audit_report report;

	self = r;
	if ((r->flags & START_INIT) != 0)
		create(state_fd);
	switch (audit_open(&alog, log_fd, prev_fd, state_fd, &report)) {
	case AUDIT_CLEAN:
		break;
	case AUDIT_RECOVERED:
		oplog(LOG_L_NOTICE, "logger", (unsigned)getpid(), 0, NULL,
		    "the audit log was mended after a crash");
		break;
	case AUDIT_TAMPERED:
		oplog(LOG_L_ERR, "logger", (unsigned)getpid(), 0, NULL,
		    "the audit log was changed from outside: %s at line %llu",
		    audit_reason_name(report.reason),
		    (unsigned long long)report.line);
		break;
	default:
		fatal("the audit log cannot be opened");
	}
	(void)close(prev_fd);
	full.lost = alog.lost;
	dirty = true;
}

void
alog_configure(const struct m_ctl_audit *m)
{
	conf = *m;
}

void
alog_serve(void)
{
	cp.keyd = role_link(self, LINK_LOGGER_KEYD, 0, LOGGER_KEYD_UP, 0,
	    on_keyd, on_keyd_closed, NULL);
	if (full.lost > 0)
		full.timer = loop_timer_new(self->loop, ROOM_MS, on_room_timer,
		    NULL);
}

void
alog_close(void)
{
	if (full.lost > 0 && !full.in_batch)
		append_gap();
	write_down();
	last_checkpoint();
	if (full.lost > 0 && audit_note_lost(&alog, full.lost) == 0)
		oplog(LOG_L_ERR, "logger", (unsigned)getpid(), 0, NULL,
		    "%llu events of the audit log were lost",
		    (unsigned long long)full.lost);
	audit_close(&alog);
}
