/*
 * The service manager's watchdog.  It is fed when every role that runs has
 * answered; one that hangs and can be restarted is killed, one that cannot lets
 * the manager restart everything.
 */
#include <signal.h>

#include "log.h"
#include "monitor.h"
#include "notify.h"

static struct loop_timer *timer;
static unsigned missed;		/* rounds in which somebody was silent */

#define ROUNDS		4	/* in one period of the watchdog */

static void
on_round(void *arg)
{
	struct monitor *m = arg;
	bool silent = false;
	char name[64];

	timer = loop_timer_new(m->loop, notify_watchdog_ms() / ROUNDS, on_round,
	    m);
	if (m->stopping)
		missed = 0;	/* that has deadlines of its own */
	for (int i = 0; i < m->nprocs && !m->stopping; i++)
		if (m->procs[i].running && m->procs[i].pinged)
			silent = true;
	missed = silent ? missed + 1 : 0;
	if (!silent)
		notify("WATCHDOG=1");
	for (int i = 0; i < m->nprocs && !m->stopping; i++) {
		struct proc *p = &m->procs[i];

		if (!p->running || p->ctl == NULL)
			continue;
		if (!p->pinged) {
			p->pinged = true;
			(void)chan_send(p->ctl, MSG_ctl_ping, NULL, -1);
		} else if (missed == ROUNDS / 2) {
			proc_name(p, name, sizeof(name));
			audit(EV_role_hang, 0, NULL, "role=%s", name);
			if (role_decls[p->role].keep)
				proc_kill(p);
		}
	}
}

void
watchdog_start(struct monitor *m)
{
	if (notify_watchdog_ms() < ROUNDS || timer != NULL)
		return;
	on_round(m);
}
