/*
 * Backups, and the walk through all that is stored, for cloisterctl.  The engine
 * reads its own files, and they pass here as they are: ciphertext.  While a
 * backup is made no epoch ends, so that the anchor and the key file, which
 * cloisterctl copies itself, belong to it from its beginning to its end.
 */
#include <unistd.h>

#include "codes.h"
#include "log.h"
#include "vault_admin.h"

#define IDLE_MS		60000	/* one that is not gone on with is over */

bool
backup_running(const struct vault *v)
{
	return v->backup != NULL;
}

static void
on_ended(void *arg, const struct engine_reply *r)
{
	(void)arg;
	(void)r;
}

/* No more steps of it. */
static void
forget(struct vault *v)
{
	v->backup = NULL;
	loop_timer_free(v->backup_timer);
	v->backup_timer = NULL;
}

void
backup_drop(struct vault *v, const struct admin *a)
{
	if (v->backup != a)
		return;
	forget(v);
	engine_copy(v->engine, COPY_END, 0, 0, on_ended, NULL);
}

static void
on_idle(void *arg)
{
	struct vault *v = arg;

	v->backup_timer = NULL;
	log_warn("a backup was not gone on with; it has ended");
	backup_drop(v, v->backup);
}

static void
on_step(void *arg, const struct engine_reply *r)
{
	struct admin *a = arg;
	struct m_va_backup m = { 0 };

	a->pending = false;
	if (r->status == KV_OK) {
		m.oldest = r->copy->oldest;
		m.first = r->copy->first;
		m.last = r->copy->last;
		m.last_bytes = r->copy->last_bytes;
		m.data = r->copy->data;
		admin_send(a, MSG_va_backup, &m);
		admin_end(a, true, "%s", "");
	} else
		admin_end(a, false, "the engine has no such file");
	admin_release(a);
}

/* Whether a may go on with this step; if not, it was told. */
static bool
may_step(struct admin *a, const struct m_av_backup *m)
{
	struct vault *v = a->v;

	if (m->op >= COPY_OPS)
		admin_end(a, false, "there is no such step of a backup");
	else if (m->op != COPY_BEGIN && v->backup != a)
		admin_end(a, false, "no backup is under way here");
	else if (m->op == COPY_BEGIN && v->backup != NULL)
		admin_end(a, false, "another backup is being made");
	else if (m->op == COPY_BEGIN && (v->stopping || !turn_idle(v)))
		admin_end(a, false, "the epoch is turning or the service is "
		    "stopping, try again");
	else
		return true;
	return false;
}

void
admin_backup(struct admin *a, const struct m_av_backup *m)
{
	struct vault *v = a->v;

	if (!may_step(a, m))
		return;
	if (m->op == COPY_BEGIN) {
		audit(EV_admin_storage_backup, 0, NULL, "uid=%u", a->uid);
		v->backup = a;
	}
	loop_timer_free(v->backup_timer);
	v->backup_timer = loop_timer_new(v->loop, IDLE_MS, on_idle, v);
	if (m->op == COPY_END) {
		if (m->log != 0)
			audit(EV_storage_backup, 0, NULL, "last_log=%u uid=%u",
			    m->log, a->uid);
		forget(v);
	}
	a->pending = true;
	engine_copy(v->engine, (enum copy_op)m->op, m->log, m->offset, on_step,
	    a);
}

/* ---- storage verify -------------------------------------------------------- */

static void
on_said(void *arg, const char *text)
{
	struct m_va_info m = { .name = bytes_str("broken"),
	    .value = bytes_str(text) };

	admin_send(arg, MSG_va_info, &m);
}

static void
on_verified(void *arg, const struct verify_counts *n)
{
	struct admin *a = arg;

	a->pending = false;
	if (n == NULL)
		admin_end(a, false, "the store failed, try again");
	else {
		audit(EV_storage_verify, 0, NULL, VERIFY_COUNTS,
		    VERIFY_ARGS(n));
		admin_end(a, n->broken == 0, VERIFY_TEXT, VERIFY_ARGS(n));
	}
	admin_release(a);
}

void
admin_verify(struct admin *a)
{
	a->pending = true;
	if (verify_begin(a->v, on_said, on_verified, a))
		return;
	a->pending = false;
	admin_end(a, false, "somebody else has it verified already");
}

void
verify_drop(struct vault *v, struct admin *a)
{
	if (!verify_cancel(v, a))
		return;
	/* Nobody is told any more. */
	a->pending = false;
}

/* ---- after a restore --------------------------------------------------------- */

static void
on_check_said(void *arg, const char *text)
{
	(void)arg;
	log_err("%s", text);
}

static void
on_checked(void *arg, const struct verify_counts *n)
{
	struct vault *v = arg;

	if (n == NULL)
		fatalx("the store failed");
	audit(EV_storage_restore, 0, NULL, "commit=%llu " VERIFY_COUNTS,
	    (unsigned long long)v->h.n, VERIFY_ARGS(n));
	if (n->broken != 0)
		fatalx(VERIFY_TEXT, VERIFY_ARGS(n));
	log_notice("commit %llu, " VERIFY_TEXT, (unsigned long long)v->h.n,
	    VERIFY_ARGS(n));
	_exit(0);
}

void
vault_check(struct vault *v)
{
	(void)verify_begin(v, on_check_said, on_checked, v);
}
