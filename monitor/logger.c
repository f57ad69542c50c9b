#include "logger.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "audit.h"
#include "log.h"

struct source {
	char		 name[64];
	struct m_ctl_offender who;	/* ROLES: the monitor, whom all obey */
	struct chan	*chan;
};

static struct role *self;
static struct audit_log alog;
static struct source sources[ROLES + ROLE_MAX_PROVIDERS + 1];
static bool dirty;

/* <N> is how journald reads a priority from standard error. */
static void
to_stderr(unsigned level, const char *name, unsigned pid, uint64_t session,
    const char *text)
{
	if (session != 0)
		(void)fprintf(stderr, "<%u>%s[%u]: session %llu: %s\n", level,
		    name, pid, (unsigned long long)session, text);
	else
		(void)fprintf(stderr, "<%u>%s[%u]: %s\n", level, name, pid,
		    text);
}

static void
take(const char *role, unsigned pid, uint64_t session, const char *event,
    const char *user, const char *text)
{
	struct audit_event ev = {
		.time_us = wall_us(), .role = role, .pid = (pid_t)pid,
		.session = session, .user = user, .event = event,
		.fields = text,
	};

	if (audit_append(&alog, &ev) == -1) {
		(void)fprintf(stderr, "<2>logger: the audit log cannot be "
		    "written: the service stops\n");
		_exit(1);
	}
	dirty = true;
}

static void
own_sink(enum log_level level, const char *event, uint64_t session,
    const char *user, const char *text)
{
	if (event != NULL)
		take("logger", (unsigned)getpid(), session, event, user, text);
	else
		to_stderr(level, "logger", (unsigned)getpid(), session, text);
}

/* One sync for everything that came in a round. */
static void
commit(void *arg)
{
	(void)arg;
	if (!dirty)
		return;
	dirty = false;
	if (audit_commit(&alog) == -1) {
		(void)fprintf(stderr, "<2>logger: the audit log cannot be made "
		    "durable: the service stops\n");
		_exit(1);
	}
}

/* What it wrote is durable before it ends by that. */
static void
accuse(const struct source *s, const char *why)
{
	audit(EV_violation, 0, NULL, "%s: log socket: %s", s->name, why);
	commit(NULL);
	if (s->who.role != ROLES &&
	    chan_send(self->ctl, MSG_ctl_offender, &s->who, -1) == -1)
		fatalx("the monitor is gone");
}

/* No process speaks of what is another's to say. */
static void
take_event(const struct source *s, const struct m_log_event *e,
    const char *event, const char *user, const char *text)
{
	enum event ev = event_find(event);
	char why[128];

	if (ev != EVENTS && (event_decls[ev].who & 1u << s->who.role) != 0) {
		take(s->name, e->pid, e->session, event, user, text);
		return;
	}
	(void)snprintf(why, sizeof(why), "%s, which is not its to say",
	    ev == EVENTS ? "an event that there is not" : event);
	accuse(s, why);
}

static void
on_event(struct chan *c, struct msg *m, void *arg)
{
	const struct source *s = arg;
	const struct m_log_event *e = &m->u.log_event;
	char event[65], user[65], text[1025];

	(void)c;
	if (msg_text(event, sizeof(event), e->event) == -1 ||
	    msg_text(user, sizeof(user), e->user) == -1 ||
	    msg_text(text, sizeof(text), e->text) == -1)
		fatalx("a log message is longer than declared");
	/* A role that was taken over writes no second line and no terminal
	 * sequence. */
	log_clean(text);
	if (e->is_audit)
		take_event(s, e, event, user, text);
	else
		to_stderr(e->level <= LOG_L_DEBUG ? e->level : LOG_L_DEBUG,
		    s->name, e->pid, e->session, text);
}

static void
on_closed(struct chan *c, const char *why, void *arg)
{
	struct source *s = arg;
	int fd = -1;

	/* The socket is also the successor's: go on with it. */
	if (why != NULL) {
		accuse(s, why);
		if ((fd = fcntl(chan_fd(c), F_DUPFD_CLOEXEC, 0)) == -1)
			fatal("fcntl");
	}
	chan_free(c);
	s->chan = fd == -1 ? NULL : chan_new(self->loop, fd, CH_LOG, END_B,
	    LOG_OPEN, 0, on_event, on_closed, s);
}

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
logger_open(struct role *r)
{
	int log_fd = role_file_fd(ROLE_LOGGER, r->providers, FILE_AUDIT_LOG);
	int state_fd = role_file_fd(ROLE_LOGGER, r->providers,
	    FILE_AUDIT_STATE);
	struct audit_report report;

	self = r;
	if ((r->flags & START_INIT) != 0)
		create(state_fd);
	switch (audit_open(&alog, log_fd, state_fd, &report)) {
	case AUDIT_CLEAN:
		break;
	case AUDIT_RECOVERED:
		(void)fprintf(stderr, "<5>logger: the audit log was mended "
		    "after a crash\n");
		break;
	case AUDIT_TAMPERED:
		(void)fprintf(stderr, "<2>logger: the audit log was changed "
		    "from outside: %s at line %llu\n",
		    audit_reason_name(report.reason),
		    (unsigned long long)report.line);
		break;
	default:
		fatal("the audit log cannot be opened");
	}
	dirty = true;
	log_set_sink(own_sink);
}

void
logger_serve(struct role *r)
{
	int fd = role_extra_fd(ROLE_LOGGER, r->providers);
	int n = 0;

	loop_set_idle(r->loop, commit, NULL);
	for (int role = 0; role < ROLES; role++)
		for (int i = 0; i < role_instances((enum role_id)role,
		    r->providers); i++) {
			struct source *s = &sources[n++];

			s->who = (struct m_ctl_offender){ .role = (uint8_t)role,
			    .instance = (uint8_t)i };
			if (role_decls[role].multi)
				(void)snprintf(s->name, sizeof(s->name),
				    "%s[%d]", role_decls[role].name, i);
			else
				(void)strlcpy(s->name, role_decls[role].name,
				    sizeof(s->name));
		}
	(void)strlcpy(sources[n].name, "cloisterd", sizeof(sources[n].name));
	sources[n++].who.role = ROLES;
	for (int i = 0; i < n; i++)
		sources[i].chan = chan_new(r->loop, fd + i, CH_LOG, END_B,
		    LOG_OPEN, 0, on_event, on_closed, &sources[i]);
}

void
logger_stop(void)
{
	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++)
		if (sources[i].chan != NULL)
			(void)chan_drain(sources[i].chan);
	commit(NULL);
	audit_close(&alog);
	_exit(0);
}
