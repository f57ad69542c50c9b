#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>

#include "log.h"
#include "rsa.h"
#include "vault_boot.h"

#define GEN_FIRST	1
#define EPOCH_FIRST	1
#define PAGE_ROWS	1000
#define BOOT_MS		60000	/* keyd answers within a minute */

int
boot_refuse(struct vault *v, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(v->why, sizeof(v->why), fmt, ap);
	va_end(ap);
	return -1;
}

/* What binds a share to its generation of the storage key. */
static void
share_label(uint8_t label[HASH_LEN], uint32_t gen)
{
	uint8_t be[4];
	const struct bytes in[2] = {
		bytes_str("cl1 storage share"), { be, sizeof(be) }
	};

	put_be32(be, gen);
	sha256v(label, in, 2);
}

/* Send to keyd and wait for the one answer. */
static int
ask_keyd(struct vault *v, struct chan *boot, enum msg_type type,
    const void *body, struct msg *m, enum msg_type want)
{
	const char *why;

	chan_set_state(boot, BOOT_WAIT);
	if (chan_send(boot, type, body, -1) == -1 ||
	    chan_recv(boot, m, BOOT_MS, &why) != 0 || m->type != want)
		return boot_refuse(v, "keyd does not answer about the storage key");
	chan_set_state(boot, BOOT_ASK);
	return 0;
}

/* keyd's public wrap key, for a later rotation. */
static int
ask_wrap_key(struct vault *v, struct chan *boot)
{
	struct bytes spki;
	struct msg m;

	if (ask_keyd(v, boot, MSG_boot_wrap, NULL, &m,
	    MSG_boot_wrap_key) == -1)
		return -1;
	spki = m.u.boot_wrap_key.spki;	/* bounds of messages.def */
	v->wrap.n = (uint16_t)spki.n;
	memcpy(v->wrap.p, spki.p, spki.n);
	return 0;
}

/* The storage key of one of the anchor's epochs, with keyd's share. */
static int
open_generation(struct vault *v, struct chan *boot, unsigned i)
{
	const struct anchor_epoch *e = &v->keys->anchor.epoch[i];
	const struct keyfile_gen *kg = keyfile_find(&v->keyfile, e->gen);
	struct m_boot_unwrap ask = { 0 };
	struct msg m;

	if (kg == NULL)
		return boot_refuse(v, "the key file has no share of generation %u, "
		    "which the anchor names: they do not belong together",
		    e->gen);
	ask.key_generation = kg->gen;
	ask.wrapped = bytes_of(kg->ct, kg->ct_n);
	if (ask_keyd(v, boot, MSG_boot_unwrap, &ask, &m, MSG_boot_share) == -1)
		return -1;
	seal_storage_key(v->keys->sk[i], m.u.boot_share.share, e->share_b);
	OPENSSL_cleanse(&m, sizeof(m));
	return 0;
}

/* SK from keyd's share and the anchor's; the anchor is believed afterwards. */
static int
open_storage_key(struct vault *v, struct chan *boot, int keyfile_fd)
{
	struct vault_keys *k = v->keys;
	struct anchor *a = &k->anchor;

	v->keyfile_fd = keyfile_fd;
	if (keyfile_read(keyfile_fd, &v->keyfile) != 0)
		return boot_refuse(v, "the key file cannot be read or is damaged");
	if (anchor_read(v->anchor_fd, a) != 0)
		return boot_refuse(v, "the anchor cannot be read or is damaged");
	if (ask_wrap_key(v, boot) == -1 || open_generation(v, boot, 0) == -1)
		return -1;
	if (a->nepochs == 2 && a->epoch[1].gen != a->epoch[0].gen) {
		if (open_generation(v, boot, 1) == -1)
			return -1;
	} else
		memcpy(k->sk[1], k->sk[0], SEAL_KEYLEN);
	if (chan_send(boot, MSG_boot_done, NULL, -1) == -1)
		return boot_refuse(v, "keyd is gone");
	if (anchor_verify(a, k->sk[0]) != 0)
		return boot_refuse(v, "the storage key is wrong: anchor, key file "
		    "and keyd's wrap key do not belong together, or one of "
		    "them was changed");
	for (unsigned i = 0; i < a->nepochs; i++)
		seal_epoch_key(k->ek[i], k->sk[i], a->epoch[i].secret,
		    a->epoch[i].epoch);
	return 0;
}

/* One record, copied; found tells whether there is one. */
struct one {
	struct buf	value;
	bool		found;
	bool		ok;
};

static void
on_one(void *arg, const struct engine_reply *r)
{
	struct one *o = arg;

	o->ok = r->status == KV_OK;
	if (o->ok && r->n == 1 && r->row[0].value.p != NULL) {
		buf_put(&o->value, r->row[0].value.p, r->row[0].value.n);
		o->found = !o->value.err;
	}
}

static int
get_one(struct vault *v, const struct rec_key *key, struct one *o)
{
	*o = (struct one){ .value = BUF_INIT(SEAL_VALUE_MAX) };
	engine_get(v->engine, rec_bytes(key), on_one, o);
	if (engine_wait(v->engine) == -1 || !o->ok)
		return boot_refuse(v, "the engine does not answer");
	return 0;
}

static int
open_bundle(struct vault *v)
{
	uint32_t gen = v->keys->anchor.epoch[0].gen;
	struct rec_key key = rec_key_bundle(gen);
	uint8_t kek[SEAL_KEYLEN];
	uint64_t version;
	struct one o;
	int rv = -1;

	if (get_one(v, &key, &o) == -1)
		return -1;
	seal_kek(kek, v->keys->sk[0]);
	if (!o.found)
		(void)boot_refuse(v, "the database has no record R: it is not the "
		    "one of this anchor, or was emptied");
	else if (seal_bundle_open(&v->keys->bundle, &version, kek, gen,
	    buf_bytes(&o.value)) != 0)
		(void)boot_refuse(v, "record R does not verify: the database is not "
		    "the one of this anchor, or was changed");
	else
		rv = 0;
	OPENSSL_cleanse(kek, sizeof(kek));
	buf_free(&o.value);
	return rv;
}

static int
open_h(struct vault *v)
{
	struct rec_key key = rec_key_mset();
	struct one o;
	int rv = -1;

	if (get_one(v, &key, &o) == -1)
		return -1;
	if (!o.found)
		(void)boot_refuse(v, "the database has no record H");
	else if (rec_open_mset(&v->h, &v->h_version, &v->keys->bundle,
	    rec_bytes(&key), buf_bytes(&o.value)) != 0)
		(void)boot_refuse(v, "record H does not verify: the database was "
		    "changed");
	else
		rv = 0;
	buf_free(&o.value);
	return rv;
}

/* A scan of all records of a kind. */
struct walk {
	struct vault		*v;
	int			(*row)(struct walk *, const struct kv_row *);
	struct engine_pos	 at;
	bool			 end;
	bool			 failed;
	struct user		*user;		/* of the last head */
	struct found		 found;
};

static void
on_walk(void *arg, const struct engine_reply *r)
{
	struct walk *w = arg;

	if (r->status != KV_OK)
		w->failed = true;
	for (size_t i = 0; i < r->n && !w->failed; i++) {
		if (w->row(w, &r->row[i]) == -1)
			w->failed = true;
		w->at = engine_after(r->row[i].key);
	}
	if (r->last)
		w->end = r->end;
}

static int
walk(struct walk *w, uint8_t kind,
    int (*row)(struct walk *, const struct kv_row *))
{
	struct rec_key lo = rec_prefix(kind), hi = rec_prefix_end(&lo);

	w->row = row;
	w->at = engine_at(rec_bytes(&lo));
	for (w->end = false; !w->end && !w->failed;) {
		engine_scan(w->v->engine, &w->at, &hi, PAGE_ROWS, on_walk, w);
		if (engine_wait(w->v->engine) == -1)
			return boot_refuse(w->v, "the engine does not answer");
	}
	return w->failed ? -1 : 0;
}

/* Count a record that does not verify, and name it. */
static int
bad_row(struct walk *w, const struct kv_row *row)
{
	char hex[2 * REC_ID + 1], *name;

	if (w->found.bad >= BAD_NAMES) {
		w->found.bad++;
		return 0;
	}
	name = w->found.bad_name[w->found.bad++];
	if (row->key.p[0] == REC_HEAD && row->key.n == 1 + 2 * REC_ID) {
		hex_encode(hex, row->key.p + 1 + REC_ID, REC_ID);
		(void)snprintf(name, sizeof(w->found.bad_name[0]),
		    "the head of conversation %s", hex);
	} else
		(void)snprintf(name, sizeof(w->found.bad_name[0]),
		    "a record of kind %c", row->key.p[0]);
	return 0;
}

static int
row_user(struct walk *w, const struct kv_row *row)
{
	struct rec_user rec;
	uint64_t version;

	if (rec_open_user(&rec, &version, &w->v->keys->bundle, row->key,
	    row->value) != 0)
		return bad_row(w, row);
	(void)user_add(w->v, &rec, version);
	mset_add_record(w->found.mset, &w->v->keys->bundle, row->key, version);
	OPENSSL_cleanse(&rec, sizeof(rec));
	return 0;
}

static int
row_userkey(struct walk *w, const struct kv_row *row)
{
	uint8_t uid[REC_ID], keyid[REC_KEYID];
	struct rec_userkey rec;
	uint64_t version;
	struct user *u;

	if (rec_parse_userkey(row->key, uid, keyid) != 0 ||
	    rec_open_userkey(&rec, &version, &w->v->keys->bundle, row->key,
	    row->value) != 0)
		return bad_row(w, row);
	if ((u = user_by_uid(w->v, uid)) != NULL) {
		u->keys++;
		u->revoked += rec.state == REC_KEY_REVOKED;
	}
	mset_add_record(w->found.mset, &w->v->keys->bundle, row->key, version);
	return 0;
}

/* Opened again when it is used; here its version is what matters. */
static int
row_enrolled(struct walk *w, const struct kv_row *row)
{
	struct rec_enrolled rec;
	uint64_t version;

	if (rec_open_enrolled(&rec, &version, &w->v->keys->bundle, row->key,
	    row->value) != 0)
		return bad_row(w, row);
	enrolled_add(w->v, row->key, version, rec.state, &rec.message);
	mset_add_record(w->found.mset, &w->v->keys->bundle, row->key, version);
	return 0;
}

static int
row_head(struct walk *w, const struct kv_row *row)
{
	uint8_t uid[REC_ID], id[REC_ID];
	struct rec_head h;
	uint64_t version;
	struct conv *c;

	if (rec_parse_head(row->key, uid, id) != 0 ||
	    rec_open_head(&h, &version, &w->v->keys->bundle, row->key,
	    row->value) != 0 || conv_find(w->v, id) != NULL)
		return bad_row(w, row);
	if (w->user == NULL || memcmp(w->user->uid, uid, REC_ID) != 0)
		w->user = user_by_uid(w->v, uid);
	c = conv_new(id, uid);
	c->user = w->user;
	c->version = version;
	conv_set_head(c, &h);
	conv_insert(w->v, c);
	mset_add(w->found.mset, &w->v->keys->bundle, row->key, version, &h);
	return 0;
}

static int
row_invite(struct walk *w, const struct kv_row *row)
{
	struct rec_invite rec;
	uint64_t version;

	if (rec_open_invite(&rec, &version, &w->v->keys->bundle, row->key,
	    row->value) != 0)
		return bad_row(w, row);
	invite_load(w->v, row->key, &rec, version);
	mset_add_record(w->found.mset, &w->v->keys->bundle, row->key, version);
	OPENSSL_cleanse(&rec, sizeof(rec));
	return 0;
}

static int
row_backoff(struct walk *w, const struct kv_row *row)
{
	struct rec_backoff rec;
	uint64_t version;

	if (rec_open_backoff(&rec, &version, &w->v->keys->bundle, row->key,
	    row->value) != 0)
		return bad_row(w, row);
	backoff_load(w->v, row->key, &rec, version);
	mset_add_record(w->found.mset, &w->v->keys->bundle, row->key, version);
	return 0;
}

static int
row_tomb(struct walk *w, const struct kv_row *row)
{
	uint8_t id[REC_ID];
	struct rec_tomb rec;
	uint64_t version;

	if (rec_parse_tomb(row->key, id) != 0 ||
	    rec_open_tomb(&rec, &version, &w->v->keys->bundle, row->key,
	    row->value) != 0)
		return bad_row(w, row);
	tomb_add(w->v, id, rec.epoch)->durable = true;
	mset_add_record(w->found.mset, &w->v->keys->bundle, row->key, version);
	return 0;
}

int
vault_boot(struct vault *v, struct chan *boot, int anchor_fd, int keyfile_fd)
{
	struct anchor *a = &v->keys->anchor;
	struct walk w = { .v = v };

	v->anchor_fd = anchor_fd;
	if (open_storage_key(v, boot, keyfile_fd) == -1 ||
	    open_bundle(v) == -1 || open_h(v) == -1)
		return -1;
	if (walk(&w, REC_USER, row_user) == -1 ||
	    walk(&w, REC_KEY, row_enrolled) == -1 ||
	    walk(&w, REC_USERKEY, row_userkey) == -1 ||
	    walk(&w, REC_INVITE, row_invite) == -1 ||
	    walk(&w, REC_BACKOFF, row_backoff) == -1 ||
	    walk(&w, REC_HEAD, row_head) == -1 ||
	    walk(&w, REC_TOMB, row_tomb) == -1 || vault_judge(v, &w.found) == -1)
		return -1;
	a->n = v->h.n;
	mset_root(a->root, &v->keys->bundle, &v->h);
	if (anchor_write_both(anchor_fd, a, v->keys->sk[0]) != 0)
		return boot_refuse(v, "the anchor file cannot be written");
	audit(EV_vault_start, 0, NULL, "commit=%llu users=%zu "
	    "conversations=%zu", (unsigned long long)v->h.n, v->nusers, v->nconvs);
	return 0;
}

int
share_wrap(struct keyfile_gen *g, uint32_t gen, struct bytes spki,
    const uint8_t share_a[SEAL_KEYLEN])
{
	struct buf ct = BUF_INIT(KEYFILE_CT_MAX);
	uint8_t label[HASH_LEN];
	EVP_PKEY *wrap;
	int rv = -1;

	if ((wrap = rsa_spki_parse(spki, RSA_USE_WRAP, 0)) == NULL)
		return -1;
	share_label(label, gen);
	if (rsa_oaep_encrypt(&ct, wrap, label, share_a) == 0) {
		g->gen = gen;
		g->ct_n = (uint16_t)ct.n;
		memcpy(g->ct, ct.p, ct.n);
		rv = 0;
	}
	buf_free(&ct);
	EVP_PKEY_free(wrap);
	return rv;
}

/* A random share A, wrapped for keyd, into a new key file. */
static int
make_keyfile(struct vault *v, struct bytes spki, int keyfile_fd,
    uint8_t share_a[SEAL_KEYLEN])
{
	struct keyfile kf = { .current = GEN_FIRST, .ngens = 1 };

	crypto_random(share_a, SEAL_KEYLEN);
	if (share_wrap(&kf.gen[0], GEN_FIRST, spki, share_a) == -1)
		return boot_refuse(v, "keyd's wrap key is not acceptable");
	if (keyfile_create(keyfile_fd, &kf) != 0)
		return boot_refuse(v, "the key file cannot be created (is it "
		    "empty?)");
	return 0;
}

/* R and H, the first records. */
static int
make_records(struct vault *v)
{
	struct vault_keys *k = v->keys;
	struct rec_key rkey = rec_key_bundle(GEN_FIRST), hkey = rec_key_mset();
	struct buf r = BUF_INIT(SEAL_VALUE_MAX), h = BUF_INIT(SEAL_VALUE_MAX);
	struct wbatch b = { NULL, 0, 0 };
	uint8_t kek[SEAL_KEYLEN];
	struct one o = { .value = BUF_INIT(0) };
	int rv = 0;

	seal_kek(kek, k->sk[0]);
	if (seal_bundle(&r, kek, GEN_FIRST, 1, &k->bundle) != 0 ||
	    rec_seal_mset(&h, &k->bundle, rec_bytes(&hkey), 1, &v->h) != 0)
		fatalx("the first records cannot be sealed");
	wb_put(&b, KV_ABSENT, 0, rec_bytes(&rkey), buf_bytes(&r));
	wb_put(&b, KV_ABSENT, 0, rec_bytes(&hkey), buf_bytes(&h));
	engine_write(v->engine, &b, on_one, &o);
	if (engine_wait(v->engine) == -1 || !o.ok)
		rv = boot_refuse(v, "the first records cannot be written");
	OPENSSL_cleanse(kek, sizeof(kek));
	wb_free(&b);
	buf_free(&r);
	buf_free(&h);
	return rv;
}

int
vault_init(struct vault *v, struct chan *boot, int anchor_fd, int keyfile_fd)
{
	struct vault_keys *k = v->keys;
	struct anchor *a = &k->anchor;
	uint8_t share_a[SEAL_KEYLEN];
	struct msg m;

	v->anchor_fd = anchor_fd;
	if (ask_keyd(v, boot, MSG_boot_wrap, NULL, &m,
	    MSG_boot_wrap_key) == -1 ||
	    make_keyfile(v, m.u.boot_wrap_key.spki, keyfile_fd, share_a) == -1)
		return -1;
	a->nepochs = 1;
	a->epoch[0].epoch = EPOCH_FIRST;
	a->epoch[0].gen = GEN_FIRST;
	crypto_random(a->epoch[0].secret, SEAL_KEYLEN);
	crypto_random(a->epoch[0].share_b, SEAL_KEYLEN);
	seal_storage_key(k->sk[0], share_a, a->epoch[0].share_b);
	OPENSSL_cleanse(share_a, sizeof(share_a));
	seal_bundle_new(&k->bundle);
	memset(&v->h, 0, sizeof(v->h));
	v->h.located = true;
	mset_root(a->root, &k->bundle, &v->h);
	if (anchor_create(anchor_fd, a, k->sk[0]) != 0)
		return boot_refuse(v, "the anchor cannot be created (is it empty?)");
	if (make_records(v) == -1)
		return -1;
	if (chan_send(boot, MSG_boot_done, NULL, -1) == -1)
		return boot_refuse(v, "keyd is gone");
	audit(EV_vault_init, 0, NULL, "a new storage was made");
	return 0;
}
