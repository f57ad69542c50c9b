/*
 * Who may no longer come in, and whose sessions end.  A state is in the store
 * first; when it is durable the live sessions end, and nobody can have come in
 * between: the engine answers in the order in which it was asked.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "log.h"
#include "vault_admin.h"

#define PAGE_ROWS	100

/* A walk through the keys of one user: to list them, or to revoke one. */
struct keywalk {
	struct admin		*a;
	struct user		*owner;
	struct engine_pos	 at;
	struct rec_key		 hi;
	size_t			 rows;
	size_t			 pages;
	bool			 bad;		/* the command has ended */
	bool			 revoke;
	char			 want[65];	/* the key to revoke */
	struct enrolled		*e;		/* it, when it was found */
	struct rec_key		 ukey;		/* its k record */
	struct rec_userkey	 uk;
	struct rec_enrolled	 k;
};

static void
walk_free(struct keywalk *w)
{
	struct admin *a = w->a;

	a->walk = NULL;
	a->pending = false;
	if (w->revoke)
		a->v->changing = false;
	free(w);
	admin_release(a);
}

static void
tampered(const struct user *u, const char *what)
{
	audit(EV_storage_tamper, 0, u->name, "%s", what);
}

/* The key that this k record is the newest one of, or NULL. */
static struct enrolled *
open_row(struct keywalk *w, const struct kv_row *row, struct rec_userkey *uk,
    uint8_t keyid[REC_KEYID])
{
	const struct seal_bundle *b = &w->a->v->keys->bundle;
	uint8_t uid[REC_ID];
	struct rec_key key;
	struct enrolled *e;
	uint64_t version;

	if (rec_parse_userkey(row->key, uid, keyid) != 0 ||
	    memcmp(uid, w->owner->uid, REC_ID) != 0 ||
	    rec_open_userkey(uk, &version, b, row->key, row->value) != 0)
		return NULL;
	key = rec_key_key(b, uk->fp);
	e = enrolled_find(w->a->v, rec_bytes(&key));
	return e != NULL && e->version == version && e->state == uk->state ?
	    e : NULL;
}

static void
show(struct keywalk *w, const struct rec_userkey *uk,
    const uint8_t keyid[REC_KEYID])
{
	struct m_va_key m = { .state = uk->state,
	    .created_us = uk->created_us, .label = bytes_str(uk->label) };

	memcpy(m.keyid, keyid, sizeof(m.keyid));
	memcpy(m.fp, uk->fp, sizeof(m.fp));
	admin_send(w->a, MSG_va_key, &m);
}

/* Whether this is the key that is wanted, by its id or its fingerprint. */
static bool
wanted(const struct keywalk *w, const struct rec_userkey *uk,
    const uint8_t keyid[REC_KEYID])
{
	char hex[2 * REC_KEYID + 1], text[RSA_FP_TEXT];

	hex_encode(hex, keyid, REC_KEYID);
	rsa_fingerprint_text(text, uk->fp);
	return strcmp(w->want, hex) == 0 || strcmp(w->want, text) == 0;
}

static void
take_row(struct keywalk *w, const struct kv_row *row)
{
	uint8_t keyid[REC_KEYID];
	struct rec_userkey uk;
	struct enrolled *e;

	if ((e = open_row(w, row, &uk, keyid)) == NULL) {
		tampered(w->owner, "an entry in the list of keys is not the "
		    "newest or does not verify");
		admin_end(w->a, false, "the storage does not verify; the log "
		    "has more");
		w->bad = true;
		return;
	}
	w->rows++;
	if (!w->revoke)
		show(w, &uk, keyid);
	else if (wanted(w, &uk, keyid)) {
		w->e = e;
		w->uk = uk;
		w->ukey = rec_key_userkey(w->owner->uid, keyid);
	}
}

static void
account_revoked(void *arg, uint8_t mset[REC_HASH])
{
	const struct keywalk *w = ((struct admin *)arg)->walk;
	const struct seal_bundle *b = &w->a->v->keys->bundle;
	const struct rec_key *key[] = { &w->e->key, &w->ukey };

	for (size_t i = 0; i < 2; i++) {
		mset_sub_record(mset, b, rec_bytes(key[i]), w->e->version);
		mset_add_record(mset, b, rec_bytes(key[i]), w->e->version + 1);
	}
}

static void
on_revoked(void *arg, enum kv_status st)
{
	struct admin *a = arg;
	struct keywalk *w = a->walk;
	unsigned n;

	if (admin_changed(a, st)) {
		w->e->version++;
		w->e->state = REC_KEY_REVOKED;
		w->owner->revoked++;
		rsa_fingerprint_text(a->fp, w->uk.fp);
		audit(EV_admin_key_revoke, 0, w->owner->name, "key=%s uid=%u",
		    a->fp, a->uid);
		n = workers_end(a->v, NULL, w->uk.fp, "its key was revoked");
		admin_end(a, true, "key %s of %s revoked, %u session%s ended",
		    a->fp, w->owner->name, n, n == 1 ? "" : "s");
	}
	walk_free(w);
}

/* Write both records of the key, the next version of each. */
static void
write_revoked(struct keywalk *w)
{
	const struct seal_bundle *b = &w->a->v->keys->bundle;
	struct buf val = BUF_INIT(SEAL_VALUE_MAX);
	uint64_t version = w->e->version;

	w->k.state = w->uk.state = REC_KEY_REVOKED;
	if (rec_seal_enrolled(&val, b, rec_bytes(&w->e->key), version + 1,
	    &w->k) != 0)
		fatalx("the record of a key cannot be sealed");
	wb_put(&w->a->commit.ops, KV_VER, version, rec_bytes(&w->e->key),
	    buf_bytes(&val));
	buf_reset(&val);
	if (rec_seal_userkey(&val, b, rec_bytes(&w->ukey), version + 1,
	    &w->uk) != 0)
		fatalx("the record of a key cannot be sealed");
	wb_put(&w->a->commit.ops, KV_VER, version, rec_bytes(&w->ukey),
	    buf_bytes(&val));
	buf_free(&val);
	admin_write(w->a, account_revoked, on_revoked);
}

static void
on_key(void *arg, const struct engine_reply *r)
{
	struct keywalk *w = arg;
	uint64_t version;

	if (r->status == KV_OK && r->row[0].value.p != NULL &&
	    rec_open_enrolled(&w->k, &version, &w->a->v->keys->bundle,
	    r->row[0].key, r->row[0].value) == 0 &&
	    version == w->e->version &&
	    memcmp(w->k.uid, w->owner->uid, REC_ID) == 0) {
		write_revoked(w);
		return;
	}
	if (r->status == KV_OK)
		tampered(w->owner, "the record of an enrolled key is not the "
		    "newest or does not verify");
	admin_end(w->a, false, "the storage failed; the log has more");
	walk_free(w);
}

/* All keys were seen. */
static void
walk_end(struct keywalk *w)
{
	struct admin *a = w->a;

	if (!w->bad && w->pages == 1 && w->rows != w->owner->keys) {
		tampered(w->owner, "keys are missing in the list");
		admin_end(a, false, "the storage does not verify; the log has "
		    "more");
		w->bad = true;
	}
	if (w->bad)
		;
	else if (!w->revoke)
		admin_end(a, true, "%zu keys", w->rows);
	else if (w->e == NULL)
		admin_end(a, false, "%s has no key %s: key list shows ids and "
		    "fingerprints", w->owner->name, w->want);
	else if (w->uk.state == REC_KEY_REVOKED)
		admin_end(a, false, "this key is revoked already");
	else {
		engine_get(a->v->engine, rec_bytes(&w->e->key), on_key, w);
		return;
	}
	walk_free(w);
}

static void
on_rows(void *arg, const struct engine_reply *r)
{
	struct keywalk *w = arg;

	if (r->status != KV_OK && !w->bad) {
		admin_end(w->a, false, "the store failed, try again");
		w->bad = true;
	}
	for (size_t i = 0; i < r->n && !w->bad; i++) {
		take_row(w, &r->row[i]);
		w->at = engine_after(r->row[i].key);
	}
	if (!r->last)
		return;
	w->pages++;
	if (w->bad || r->end)
		walk_end(w);
	else
		engine_scan(w->a->v->engine, &w->at, &w->hi, PAGE_ROWS,
		    on_rows, w);
}

static void
walk_begin(struct admin *a, struct user *owner, const char *want)
{
	struct rec_key lo = rec_prefix_id(REC_USERKEY, owner->uid);
	struct keywalk *w;

	if ((w = calloc(1, sizeof(*w))) == NULL)
		fatal("calloc");
	w->a = a;
	w->owner = owner;
	w->at = engine_at(rec_bytes(&lo));
	w->hi = rec_prefix_end(&lo);
	if (want != NULL) {
		w->revoke = true;
		(void)strlcpy(w->want, want, sizeof(w->want));
		admin_begin(a);
	}
	a->walk = w;
	a->pending = true;
	engine_scan(a->v->engine, &w->at, &w->hi, PAGE_ROWS, on_rows, w);
}

void
admin_key_list(struct admin *a, const struct m_av_key_list *m)
{
	struct user *u = admin_user(a, m->user);

	if (u != NULL)
		walk_begin(a, u, NULL);
}

void
admin_key_revoke(struct admin *a, const struct m_av_key_revoke *m)
{
	struct user *u = admin_user(a, m->user);
	char want[65];

	if (u == NULL || !admin_may_change(a))
		return;
	(void)msg_text(want, sizeof(want), m->key);
	walk_begin(a, u, want);
}

/* ---- users ---------------------------------------------------------------- */

static void
account_user(void *arg, uint8_t mset[REC_HASH])
{
	const struct admin *a = arg;
	const struct seal_bundle *b = &a->v->keys->bundle;

	mset_sub_record(mset, b, rec_bytes(&a->key), a->owner->version);
	mset_add_record(mset, b, rec_bytes(&a->key), a->owner->version + 1);
}

static void
on_user_written(void *arg, enum kv_status st)
{
	struct admin *a = arg;
	struct user *u = a->owner;
	bool on = a->user.state == REC_USER_ENABLED;
	unsigned n = 0;

	OPENSSL_cleanse(a->user.pwhash, sizeof(a->user.pwhash));
	if (admin_changed(a, st)) {
		u->version++;
		u->state = a->user.state;
		audit(on ? EV_admin_user_enable : EV_admin_user_disable, 0,
		    u->name, "uid=%u", a->uid);
		if (!on)
			n = workers_end(a->v, u, NULL, "its user was disabled");
		if (on)
			admin_end(a, true, "user %s enabled", u->name);
		else
			admin_end(a, true, "user %s disabled, %u session%s "
			    "ended", u->name, n, n == 1 ? "" : "s");
	}
	admin_release(a);
}

static void
write_user(struct admin *a, uint8_t state)
{
	struct buf val = BUF_INIT(SEAL_VALUE_MAX);
	uint64_t version = a->owner->version;

	a->user.state = state;
	if (rec_seal_user(&val, &a->v->keys->bundle, rec_bytes(&a->key),
	    version + 1, &a->user) != 0)
		fatalx("a user record cannot be sealed");
	wb_put(&a->commit.ops, KV_VER, version, rec_bytes(&a->key),
	    buf_bytes(&val));
	buf_free(&val);
	admin_write(a, account_user, on_user_written);
}

static void
on_user(void *arg, const struct engine_reply *r)
{
	struct admin *a = arg;
	uint64_t version;

	if (r->status == KV_OK && r->row[0].value.p != NULL &&
	    rec_open_user(&a->user, &version, &a->v->keys->bundle,
	    r->row[0].key, r->row[0].value) == 0 &&
	    version == a->owner->version &&
	    memcmp(a->user.uid, a->owner->uid, REC_ID) == 0) {
		write_user(a, a->owner->state == REC_USER_ENABLED ?
		    REC_USER_DISABLED : REC_USER_ENABLED);
		return;
	}
	if (r->status == KV_OK)
		tampered(a->owner, "a user's record is not the newest or does "
		    "not verify");
	OPENSSL_cleanse(a->user.pwhash, sizeof(a->user.pwhash));
	admin_end(a, false, "the storage failed; the log has more");
	a->v->changing = false;
	a->pending = false;
	admin_release(a);
}

void
admin_user_state(struct admin *a, const struct m_av_user_state *m)
{
	struct user *u;

	if (m->state != REC_USER_ENABLED && m->state != REC_USER_DISABLED) {
		admin_end(a, false, "there is no such state");
		return;
	}
	if ((u = admin_user(a, m->name)) == NULL || !admin_may_change(a))
		return;
	if (u->state == m->state) {
		admin_end(a, true, "user %s is %s already", u->name,
		    u->state == REC_USER_ENABLED ? "enabled" : "disabled");
		return;
	}
	a->owner = u;
	a->key = rec_key_user(&a->v->keys->bundle, u->name);
	admin_begin(a);
	engine_get(a->v->engine, rec_bytes(&a->key), on_user, a);
}

/* ---- sessions -------------------------------------------------------------- */

void
admin_session_list(struct admin *a)
{
	const struct worker *w = NULL;
	size_t n = 0;

	while ((w = worker_next(a->v, w, NULL, NULL)) != NULL) {
		struct m_va_session m = { .n = w->n, .since_us = w->since_us,
		    .suite = w->suite, .user = bytes_str(w->user->name),
		    .source = bytes_str(w->source),
		    .label = bytes_str(w->label) };

		memcpy(m.session_id, w->session_id, sizeof(m.session_id));
		memcpy(m.fp, w->fp, sizeof(m.fp));
		admin_send(a, MSG_va_session, &m);
		n++;
	}
	admin_end(a, true, "%zu session%s", n, n == 1 ? "" : "s");
}

/* A number: digits alone, and no more than fit. */
static bool
number(const char *s, uint64_t *n)
{
	*n = 0;
	if (*s == '\0')
		return false;
	for (; *s != '\0'; s++) {
		if (*s < '0' || *s > '9' ||
		    *n > (UINT64_MAX - (uint64_t)(*s - '0')) / 10)
			return false;
		*n = *n * 10 + (uint64_t)(*s - '0');
	}
	return true;
}

/* Users' names do not begin with a digit. */
void
admin_session_kill(struct admin *a, const struct m_av_session_kill *m)
{
	struct worker *w;
	struct user *u;
	char which[65];
	unsigned ended = 1;
	uint64_t n;

	(void)msg_text(which, sizeof(which), m->which);
	if (number(which, &n)) {
		if ((w = worker_find(a->v, n)) == NULL || w->user == NULL) {
			admin_end(a, false, "there is no session %s", which);
			return;
		}
		audit(EV_admin_session_kill, n, w->user->name, "uid=%u",
		    a->uid);
		worker_end(w, "ended by the administrator");
	} else {
		if ((u = admin_user(a, m->which)) == NULL)
			return;
		audit(EV_admin_session_kill, 0, u->name, "uid=%u",
		    a->uid);
		ended = workers_end(a->v, u, NULL,
		    "ended by the administrator");
	}
	admin_end(a, true, "%u session%s ended", ended, ended == 1 ? "" : "s");
}
