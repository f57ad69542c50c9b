#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kdf.h"
#include "log.h"
#include "vault_admin.h"
#include "vault_login.h"

#define NAME_MAX_CHARS	32
#define RECORD_VERSION	1	/* of what is new */

void
admin_release(struct admin *a)
{
	if (a->chan != NULL || a->pending)
		return;
	LIST_REMOVE(a, link);
	a->v->nadmins--;
	free(a);
}

void
admin_send(struct admin *a, enum msg_type type, const void *body)
{
	if (a->chan != NULL && chan_send(a->chan, type, body, -1) == -1)
		log_debug("cloisterctl did not wait");
}

void
admin_end(struct admin *a, bool ok, const char *fmt, ...)
{
	struct m_va_done done;
	struct m_va_error error;
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	done.text = error.text = bytes_str(text);
	if (ok)
		admin_send(a, MSG_va_done, &done);
	else
		admin_send(a, MSG_va_error, &error);
	if (a->chan != NULL)
		chan_set_state(a->chan, ADMIN_IDLE);
}

/* [a-z_][a-z0-9_.-]{0,31} */
static bool
name_ok(const char *s)
{
	size_t n = strlen(s);

	return n >= 1 && n <= NAME_MAX_CHARS && strchr("0123456789.-", *s) ==
	    NULL && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_.-") == n;
}

struct user *
admin_user(struct admin *a, struct bytes name)
{
	struct user *u = NULL;
	char text[65];

	if (msg_text(text, sizeof(text), name) == 0)
		u = user_by_name(a->v, text);
	if (u == NULL)
		admin_end(a, false, "there is no user %s", text);
	else if (u->state == REC_USER_REMOVED) {
		admin_end(a, false, "user %s is being removed", text);
		u = NULL;
	}
	return u;
}

bool
admin_may_change(struct admin *a)
{
	if (!a->v->changing && !a->v->stopping)
		return true;
	admin_end(a, false, "another change is being made, try again");
	return false;
}

static void
account_new(void *arg, uint8_t mset[REC_HASH])
{
	struct admin *a = arg;
	const struct wbatch *ops = &a->commit.ops;

	for (size_t i = 0; i < ops->n; i++)
		mset_add_record(mset, &a->v->keys->bundle, ops->op[i].key,
		    RECORD_VERSION);
}

void
admin_begin(struct admin *a)
{
	a->v->changing = true;
	a->pending = true;
}

void
admin_write(struct admin *a, void (*account)(void *, uint8_t mset[REC_HASH]),
    void (*done)(void *, enum kv_status))
{
	a->commit.account = account;
	a->commit.done = done;
	a->commit.arg = a;
	commit_add(a->v, &a->commit);
}

/* Write what is in a->commit.ops, all of it new. */
static void
write_new(struct admin *a, void (*done)(void *, enum kv_status))
{
	admin_begin(a);
	admin_write(a, account_new, done);
}

bool
admin_changed(struct admin *a, enum kv_status st)
{
	a->v->changing = false;
	a->pending = false;
	if (st == KV_OK)
		return true;
	wb_free(&a->commit.ops);
	admin_end(a, false, "%s", st == KV_FULL ? "the disk is full" :
	    "the store failed, try again");
	return false;
}

static void
on_user_written(void *arg, enum kv_status st)
{
	struct admin *a = arg;

	if (admin_changed(a, st)) {
		(void)user_add(a->v, &a->user, RECORD_VERSION);
		audit(EV_admin_user_add, 0, a->user.name, "uid=%u", a->uid);
		admin_end(a, true, "user %s added", a->user.name);
	}
	admin_release(a);
}

static void
user_create(struct admin *a, const struct m_av_user_add *m)
{
	struct vault *v = a->v;
	struct rec_user *u = &a->user;
	struct buf val = BUF_INIT(SEAL_VALUE_MAX);
	struct rec_key key;

	memset(u, 0, sizeof(*u));
	if (msg_text(u->name, sizeof(u->name), m->name) == -1 ||
	    !name_ok(u->name)) {
		admin_end(a, false, "a user's name is up to %d of a-z, 0-9, _, "
		    "., - and begins with a letter or _", NAME_MAX_CHARS);
		return;
	}
	if (user_by_name(v, u->name) != NULL) {
		admin_end(a, false, "user %s exists", u->name);
		return;
	}
	if (!admin_may_change(a))
		return;
	crypto_random(u->uid, sizeof(u->uid));
	u->created_us = wall_us();
	u->state = REC_USER_ENABLED;
	key = rec_key_user(&v->keys->bundle, u->name);
	if (rec_seal_user(&val, &v->keys->bundle, rec_bytes(&key),
	    RECORD_VERSION, u) != 0)
		fatalx("a user record cannot be sealed");
	wb_put(&a->commit.ops, KV_ABSENT, 0, rec_bytes(&key), buf_bytes(&val));
	buf_free(&val);
	write_new(a, on_user_written);
}

static void
user_list(struct admin *a)
{
	struct m_va_user m = { 0 };
	struct user *u;

	LIST_FOREACH(u, &a->v->users, link) {
		m.state = u->state;
		m.created_us = u->created_us;
		m.keys = u->keys - u->revoked;
		m.name = bytes_str(u->name);
		admin_send(a, MSG_va_user, &m);
	}
	admin_end(a, true, "%zu users", a->v->nusers);
}

static void
on_key_written(struct rcommit *rc, enum kv_status st)
{
	struct admin *a = (struct admin *)((char *)rc -
	    offsetof(struct admin, rc));

	if (admin_changed(a, st)) {
		enrolled_add(a->v, rec_bytes(&a->key), RECORD_VERSION,
		    REC_KEY_ACTIVE, &a->message);
		a->owner->keys++;
		audit(EV_admin_key_add, 0, a->owner->name, "key=%s uid=%u",
		    a->fp, a->uid);
		admin_end(a, true, "key %s added for %s", a->fp,
		    a->owner->name);
	}
	admin_release(a);
}

static void
key_create(struct admin *a, const struct m_av_key_add *m)
{
	struct rec_enrolled k = { .state = REC_KEY_ACTIVE };
	const struct enrolled *e;
	uint8_t fp[REC_FP];

	(void)msg_text(k.label, sizeof(k.label), m->label);
	if ((a->owner = admin_user(a, m->user)) == NULL)
		return;
	if (!key_take_spki(&k.sign, m->sign_spki, RSA_USE_SIGN, false) ||
	    !key_take_spki(&k.wrap, m->wrap_spki, RSA_USE_WRAP, false) ||
	    !key_take_spki(&k.message, m->msg_spki, RSA_USE_SIGN, true)) {
		admin_end(a, false, "not keys that Cloister accepts (RSA of "
		    "3072 to 4096 bits, made by cloister keygen)");
		return;
	}
	a->message = k.message;
	memcpy(k.uid, a->owner->uid, sizeof(k.uid));
	crypto_random(k.keyid, sizeof(k.keyid));
	k.created_us = wall_us();
	rsa_fingerprint(fp, m->sign_spki);
	rsa_fingerprint_text(a->fp, fp);
	a->key = rec_key_key(&a->v->keys->bundle, fp);
	if ((e = enrolled_find(a->v, rec_bytes(&a->key))) != NULL)
		admin_end(a, false, e->state == REC_KEY_ACTIVE ?
		    "key %s is enrolled already" :
		    "key %s was revoked: make a new one", a->fp);
	else if (admin_may_change(a)) {
		admin_begin(a);
		rcommit_begin(&a->rc, a->v, on_key_written);
		key_put(&a->rc, &k, fp, 0);
		rcommit_go(&a->rc);
	}
}

/* What the monitor alone can do: it is told, and the audit log knows by whom. */
static void
tell_monitor(struct admin *a, enum msg_type type, const void *body,
    const char *text)
{
	if (chan_send(a->v->role->ctl, type, body, -1) == -1)
		admin_end(a, false, "the monitor is gone");
	else
		admin_end(a, true, "%s", text);
}

static void
audit_rotate(struct admin *a)
{
	audit(EV_admin_audit_rotate, 0, NULL, "uid=%u", a->uid);
	tell_monitor(a, MSG_ctl_ask_rotate, NULL, "asked for");
}

static void
log_level(struct admin *a, const struct m_av_log_level *m)
{
	struct m_ctl_ask_level ask = { .level = m->level, .role = 255 };
	char name[65];
	int r;

	(void)msg_text(name, sizeof(name), m->role);
	for (r = 0; r < ROLES; r++)
		if (strcmp(name, role_decls[r].name) == 0)
			ask.role = (uint8_t)r;
	if (strcmp(name, "cloisterd") == 0)
		ask.role = ROLES;
	else if (ask.role == 255 && strcmp(name, "all") != 0) {
		admin_end(a, false, "there is no role %s", name);
		return;
	}
	if (m->level < LOG_L_ERR || m->level > LOG_L_DEBUG) {
		admin_end(a, false, "a level is 3 to 7");
		return;
	}
	audit(EV_admin_log_level, 0, NULL, "role=%s level=%u uid=%u", name,
	    m->level, a->uid);
	tell_monitor(a, MSG_ctl_ask_level, &ask, "done");
}

uint32_t
admin_ask_id(struct admin *a)
{
	if (++a->v->status_id == 0)
		a->v->status_id = 1;
	return a->status_id = a->v->status_id;
}

/* The monitor reads the configuration; what it says of it ends the command. */
static void
reload_ask(struct admin *a)
{
	struct m_ctl_reload_ask m = { .uid = a->uid };

	m.id = admin_ask_id(a);
	if (chan_send(a->v->role->ctl, MSG_ctl_reload_ask, &m, -1) == -1)
		log_err("the monitor is gone");
}

static void
on_admin(struct chan *c, struct msg *m, void *arg)
{
	struct admin *a = arg;

	chan_set_state(c, ADMIN_BUSY);
	switch (m->type) {
	case MSG_av_user_add:
		user_create(a, &m->u.av_user_add);
		break;
	case MSG_av_user_list:
		user_list(a);
		break;
	case MSG_av_key_add:
		key_create(a, &m->u.av_key_add);
		break;
	case MSG_av_reload:
		reload_ask(a);
		break;
	case MSG_av_invite:
		admin_invite(a, &m->u.av_invite);
		break;
	case MSG_av_seal:
		admin_seal(a, &m->u.av_seal);
		break;
	case MSG_av_passwd:
		admin_passwd(a, &m->u.av_passwd);
		break;
	case MSG_av_policy:
		admin_policy(a, &m->u.av_policy);
		break;
	case MSG_av_status:
		admin_status(a, false);
		break;
	case MSG_av_metrics:
		admin_status(a, true);
		break;
	case MSG_av_audit_rotate:
		audit_rotate(a);
		break;
	case MSG_av_log_level:
		log_level(a, &m->u.av_log_level);
		break;
	case MSG_av_user_show:
		admin_user_show(a, &m->u.av_user_show);
		break;
	case MSG_av_usage:
		admin_usage(a, &m->u.av_usage);
		break;
	case MSG_av_user_limit:
		admin_user_limit(a, &m->u.av_user_limit);
		break;
	case MSG_av_model_list:
		admin_model_list(a, &m->u.av_model_list);
		break;
	case MSG_av_model_set:
		admin_model_set(a, &m->u.av_model_set);
		break;
	case MSG_av_user_state:
		admin_user_state(a, &m->u.av_user_state);
		break;
	case MSG_av_key_list:
		admin_key_list(a, &m->u.av_key_list);
		break;
	case MSG_av_key_revoke:
		admin_key_revoke(a, &m->u.av_key_revoke);
		break;
	case MSG_av_session_list:
		admin_session_list(a);
		break;
	case MSG_av_user_remove:
		admin_user_remove(a, &m->u.av_user_remove);
		break;
	case MSG_av_rotate:
		admin_rotate(a);
		break;
	case MSG_av_shred:
		admin_shred(a, &m->u.av_shred);
		break;
	case MSG_av_backup:
		admin_backup(a, &m->u.av_backup);
		break;
	case MSG_av_verify:
		admin_verify(a);
		break;
	case MSG_av_session_kill:
		admin_session_kill(a, &m->u.av_session_kill);
		break;
	default:
		break;
	}
}

static void
on_admin_closed(struct chan *c, const char *why, void *arg)
{
	struct admin *a = arg;

	if (why != NULL)
		audit(EV_violation, 0, NULL, "cloisterctl of uid %u: %s", a->uid,
		    why);
	chan_free(c);
	a->chan = NULL;
	backup_drop(a->v, a);
	verify_drop(a->v, a);
	admin_release(a);
}

static void
admin_new(struct vault *v, struct msg *m)
{
	struct admin *a;

	if (v->nadmins >= VAULT_ADMINS_MAX) {
		log_warn("too many connections of cloisterctl at once");
		return;		/* the channel closes the descriptor */
	}
	if ((a = calloc(1, sizeof(*a))) == NULL)
		fatal("calloc");
	a->v = v;
	a->uid = m->u.ctl_admin.uid;
	a->chan = chan_new(v->loop, m->fd, CH_ADMIN, END_B, ADMIN_IDLE, 0,
	    on_admin, on_admin_closed, a);
	m->fd = -1;
	LIST_INSERT_HEAD(&v->admins, a, link);
	v->nadmins++;
}

static struct admin *
by_status(struct vault *v, uint32_t id)
{
	struct admin *a;

	LIST_FOREACH(a, &v->admins, link)
		if (a->status_id == id && id != 0)
			break;
	return a;
}

static void
reload_done(struct vault *v, const struct m_ctl_reload_done *m)
{
	struct admin *a = by_status(v, m->id);

	if (a == NULL)
		return;
	a->status_id = 0;
	admin_end(a, m->ok != 0, "%.*s", (int)m->text.n,
	    (const char *)m->text.p);
}

void
admin_on_ctl(struct vault *v, struct msg *m)
{
	const struct m_ctl_role *r = &m->u.ctl_role;
	struct admin *a;

	switch (m->type) {
	case MSG_ctl_admin:
		admin_new(v, m);
		break;
	case MSG_ctl_reload_done:
		reload_done(v, &m->u.ctl_reload_done);
		break;
	case MSG_ctl_drain:
		vault_drain(v, m->u.ctl_drain.timeout_ms);
		break;
	case MSG_ctl_crashed:
		ticket_crashed(v, m->u.ctl_crashed.n);
		break;
	case MSG_ctl_role:
		if ((a = by_status(v, r->id)) != NULL)
			status_role(a, r);
		break;
	case MSG_ctl_status_end:
		if ((a = by_status(v, m->u.ctl_status_end.id)) != NULL)
			status_end(a);
		break;
	default:
		fatalx("control message %s has no meaning here",
		    msg_desc(m->type)->name);
	}
}
