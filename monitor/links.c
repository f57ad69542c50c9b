#include <string.h>
#include <unistd.h>

#include "log.h"
#include "monitor.h"

static int
link_instances(const struct monitor *m, enum link_id l)
{
	const struct link_decl *d = &link_decls[l];

	return role_instances(d->a, m->providers) *
	    role_instances(d->b, m->providers);
}

void
links_make(struct monitor *m)
{
	memset(m->links, -1, sizeof(m->links));
	memset(m->logs, -1, sizeof(m->logs));
	for (int l = 0; l < LINKS; l++)
		for (int i = 0; i < link_instances(m, (enum link_id)l); i++)
			if (chan_pair(m->links[l][i], false) == -1)
				fatal("socketpair");
	for (int i = 0; i <= role_total(m->providers); i++)
		if (chan_pair(m->logs[i], false) == -1)
			fatal("socketpair");
}

static void
drop(int *fd)
{
	if (*fd != -1)
		close(*fd);
	*fd = -1;
}

void
links_close_unkept(struct monitor *m)
{
	for (int l = 0; l < LINKS; l++) {
		const struct link_decl *d = &link_decls[l];

		for (int i = 0; i < ROLE_MAX_PROVIDERS; i++) {
			if (!role_decls[d->a].keep)
				drop(&m->links[l][i][0]);
			if (!role_decls[d->b].keep)
				drop(&m->links[l][i][1]);
		}
	}
	for (int i = 0; i < m->nprocs; i++) {
		const struct proc *p = &m->procs[i];
		int n = role_index(p->role, p->instance, m->providers);

		if (!role_decls[p->role].keep)
			drop(&m->logs[n][0]);
		drop(&m->logs[n][1]);	/* the logger's end */
	}
	drop(&m->logs[role_total(m->providers)][1]);
}
