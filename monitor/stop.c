/*
 * The end of the service, from the network inwards.  First nobody new is let in;
 * then the sessions are told, and answers in flight may end (drain_timeout); then
 * each role stops when the one before it has gone, so that what is under way is
 * stored; then the logger, whose last line keyd signs.
 */
#include "log.h"
#include "monitor.h"
#include "notify.h"

#define STOP_TIMEOUT_MS		5000	/* for each role */
#define DRAIN_MORE_MS		12000	/* to store what was truncated */

static struct proc *
vault(struct monitor *m)
{
	return &m->procs[role_index(ROLE_VAULT, 0, m->providers)];
}

static void
on_stop_timeout(void *arg)
{
	struct monitor *m = arg;

	m->deadline = NULL;
	for (int i = 0; i < m->nprocs; i++)
		if (m->procs[i].pid > 0 && m->procs[i].told_to_stop) {
			log_warn("%s does not stop; killed",
			    role_decls[m->procs[i].role].name);
			proc_kill(&m->procs[i]);
		}
}

static void
set_deadline(struct monitor *m, uint64_t ms, loop_timer_cb *cb)
{
	loop_timer_free(m->deadline);
	m->deadline = loop_timer_new(m->loop, ms, cb, m);
}

static void
on_drain_timeout(void *arg)
{
	struct monitor *m = arg;

	m->deadline = NULL;
	log_warn("sessions did not end in time");
	stop_drained(m);
}

/* Have the vault tell the sessions; false when there is nothing to wait for. */
static bool
drain(struct monitor *m)
{
	struct m_ctl_drain d = {
		.timeout_ms = m->cfg.limits.drain_timeout * 1000
	};

	if (m->draining)
		return true;
	if (!vault(m)->running || vault(m)->ctl == NULL ||
	    chan_send(vault(m)->ctl, MSG_ctl_drain, &d, -1) == -1)
		return false;
	m->draining = true;
	notify("EXTEND_TIMEOUT_USEC=%llu\nSTATUS=stopping: answers may end",
	    (unsigned long long)(d.timeout_ms + DRAIN_MORE_MS) * 1000 +
	    1000000);
	set_deadline(m, d.timeout_ms + DRAIN_MORE_MS, on_drain_timeout);
	return true;
}

void
stop_drained(struct monitor *m)
{
	if (!m->stopping || m->drained)
		return;
	m->drained = true;
	stop_next(m);
}

static void
tell(struct proc *p)
{
	if (p->told_to_stop)
		return;
	p->told_to_stop = true;
	/* One that is not configured yet cannot be asked. */
	if (chan_state(p->ctl) == CTL_START ||
	    chan_send(p->ctl, MSG_ctl_stop, NULL, -1) == -1)
		proc_kill(p);
}

/* Tell all processes of a role to stop; whether there were any. */
static bool
stop_role(struct monitor *m, enum role_id role)
{
	bool any = false;

	if (role == ROLE_ZYGOTE)
		for (int i = 0; i < MONITOR_MAX_RETIRED; i++)
			if (m->retired[i] != NULL) {
				any = true;
				proc_kill(m->retired[i]);
			}
	for (int i = 0; i < m->nprocs; i++) {
		if (m->procs[i].role != role || m->procs[i].pid <= 0)
			continue;
		any = true;
		tell(&m->procs[i]);
	}
	return any;
}

void
stop_next(struct monitor *m)
{
	static const enum role_id order[] = { ROLE_SESSIOND, ROLE_ZYGOTE,
	    ROLE_LLMPROXY, ROLE_CONNECTOR, ROLE_CERTD, ROLE_VAULT, ROLE_HASHER,
	    ROLE_ENGINE, ROLE_LOGGER, ROLE_KEYD };
	bool any = false;

	for (size_t o = 0; o < sizeof(order) / sizeof(order[0]) && !any; o++) {
		if (order[o] == ROLE_ZYGOTE && !m->drained && drain(m))
			return;
		any = stop_role(m, order[o]);
	}
	loop_timer_free(m->deadline);
	m->deadline = NULL;
	if (!any)
		loop_stop(m->loop);
	else
		set_deadline(m, STOP_TIMEOUT_MS, on_stop_timeout);
}

void
stop_service(struct monitor *m, const char *why, int status)
{
	if (m->stopping)
		return;
	m->stopping = true;
	m->exit_status = status;
	/* After a failure nothing is waited for. */
	m->drained = status != 0 || !m->serving;
	audit(EV_stop, 0, NULL, "reason=%s", why);
	notify("STOPPING=1\nSTATUS=stopping: %s", why);
	stop_next(m);
}
