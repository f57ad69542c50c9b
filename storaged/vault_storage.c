/* What cloisterctl asks of the storage itself. */
#include "log.h"
#include "vault_admin.h"

static void
on_turned(void *arg, bool ok, const char *what)
{
	struct admin *a = arg;

	a->pending = false;
	admin_end(a, ok, "%s", what);
	admin_release(a);
}

void
admin_rotate(struct admin *a)
{
	audit(EV_admin_storage_rotate, 0, NULL, "uid=%u", a->uid);
	a->pending = true;
	if (rotate_now(a->v, on_turned, a))
		return;
	a->pending = false;
	admin_end(a, false, "%s, try again", backup_running(a->v) ?
	    "a backup is being made" : "the epoch is turning already");
}

void
admin_shred(struct admin *a, const struct m_av_shred *m)
{
	audit(EV_admin_storage_shred, 0, NULL, "force=%u uid=%u", m->force,
	    a->uid);
	a->pending = true;
	if (turn_now(a->v, m->force != 0, on_turned, a))
		return;
	a->pending = false;
	admin_end(a, false, "%s", backup_running(a->v) ? "a backup is being "
	    "made, try again" : "somebody waits for a turn of the epoch "
	    "already");
}
