#include "logger.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "log.h"

struct source {
	char		 name[64];
	struct m_ctl_offender who;	/* ROLES: the monitor, whom all obey */
	struct chan	*chan;
};

static struct role *self;
static struct source sources[ROLES + ROLE_MAX_PROVIDERS + 1];

static void
own_sink(enum log_level level, const char *event, uint64_t session,
    const char *user, const char *text)
{
	if (event != NULL)
		alog_take("logger", (unsigned)getpid(), session, event, user,
		    text);
	else
		oplog(level, "logger", (unsigned)getpid(), session, NULL, "%s",
		    text);
}

/* One sync for everything that came in a round. */
static void
on_idle(void *arg)
{
	(void)arg;
	alog_commit();
}

/* What it wrote is durable before it ends by that. */
static void
accuse(const struct source *s, const char *why)
{
	audit(EV_violation, 0, NULL, "%s: log socket: %s", s->name, why);
	alog_commit();
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
		alog_take(s->name, e->pid, e->session, event, user, text);
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
	log_clean(user);
	if (e->is_audit)
		take_event(s, e, event, user, text);
	else
		oplog(e->level <= LOG_L_DEBUG ? e->level : LOG_L_DEBUG,
		    s->name, e->pid, e->session, user, "%s", text);
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

/* What the monitor says once the role runs. */
static void
on_ctl(struct chan *c, struct msg *m, void *arg)
{
	(void)c;
	(void)arg;
	switch (m->type) {
	case MSG_ctl_rotate:
		alog_rotate();
		break;
	case MSG_ctl_log_file:
		alog_next(m->fd);
		m->fd = -1;
		break;
	case MSG_ctl_no_log_file:
		alog_next(-1);
		break;
	default:
		fatalx("control message %s has no meaning here",
		    msg_desc(m->type)->name);
	}
}

static void
on_conf(struct chan *c, struct msg *m, void *arg)
{
	(void)c;
	(void)arg;
	if (m->type != MSG_ctl_audit)
		fatalx("control message %s has no meaning here",
		    msg_desc(m->type)->name);
	alog_configure(&m->u.ctl_audit);
}

void
logger_open(struct role *r)
{
	self = r;
	r->on_conf = on_conf;
	r->on_ctl = on_ctl;
	alog_open(r);
	log_set_sink(own_sink);
}

void
logger_serve(struct role *r)
{
	int fd = role_extra_fd(ROLE_LOGGER, r->providers);
	int n = 0;

	loop_set_idle(r->loop, on_idle, NULL);
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
	if ((r->flags & START_OFFLINE) == 0)
		alog_serve();
}

void
logger_stop(void)
{
	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++)
		if (sources[i].chan != NULL)
			(void)chan_drain(sources[i].chan);
	alog_close();
	_exit(0);
}
