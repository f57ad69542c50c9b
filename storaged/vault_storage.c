/* What cloisterctl asks of the storage itself. */
#include "log.h"
#include "vault_admin.h"

static void
on_shred(void *arg, bool ok, const char *what)
{
	struct admin *a = arg;

	a->pending = false;
	admin_end(a, ok, "%s", what);
	admin_release(a);
}

void
admin_shred(struct admin *a, const struct m_av_shred *m)
{
	audit(EV_admin_storage_shred, 0, NULL, "force=%u uid=%u", m->force,
	    a->uid);
	a->pending = true;
	if (turn_now(a->v, m->force != 0, on_shred, a))
		return;
	a->pending = false;
	admin_end(a, false, "somebody waits for a turn of the epoch already");
}
