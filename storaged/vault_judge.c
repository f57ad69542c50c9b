/*
 * The check at start is over: what does it mean?
 *
 * If only heads are other than H counts, and few, H tells which (locate.h): then
 * these conversations are refused and the service starts.  Who may come in, what
 * was deleted, and a database that is older as a whole are not divisible: the
 * start is refused.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "log.h"
#include "vault_boot.h"

/* Every head that was found, added up. */
static void
sum_heads(const struct vault *v, struct locate *l)
{
	struct rec_key key;
	struct rec_head h;
	struct conv *c;
	uint8_t e[REC_HASH];

	memset(l, 0, sizeof(*l));
	for (size_t i = 0; i < v->nbuckets; i++)
		LIST_FOREACH(c, &v->convs[i], link) {
			key = rec_key_head(c->uid, c->id);
			conv_head(c, &h);
			mset_element(e, &v->keys->bundle, rec_bytes(&key),
			    c->version, &h);
			locate_add(l, key.p + 1, e);
		}
}

/* A head that H counts otherwise than it was found. */
struct suspect {
	uint8_t		 uid[REC_ID];
	uint8_t		 id[REC_ID];
	struct conv	*conv;		/* NULL: no head was found */
	uint8_t		 counted[REC_HASH];	/* by H; zeros: nothing */
};

static void
make_suspect(struct vault *v, struct suspect *s, const struct located *l,
    uint8_t mset[REC_HASH])
{
	uint8_t e[REC_HASH] = { 0 };
	struct rec_key key;
	struct rec_head h;

	memcpy(s->uid, l->x, REC_ID);
	memcpy(s->id, l->x + REC_ID, REC_ID);
	s->conv = conv_find(v, s->id);
	if (s->conv != NULL && memcmp(s->conv->uid, s->uid, REC_ID) != 0)
		s->conv = NULL;
	if (s->conv != NULL) {
		key = rec_key_head(s->uid, s->id);
		conv_head(s->conv, &h);
		mset_element(e, &v->keys->bundle, rec_bytes(&key),
		    s->conv->version, &h);
		mset_sub_element(mset, e);
	}
	locate_apply(e, l);
	memcpy(s->counted, e, sizeof(e));
	mset_add_element(mset, e);
}

static void
refuse_suspect(struct vault *v, const struct suspect *s)
{
	static const uint8_t none[REC_HASH];
	struct conv *c = s->conv;

	if (memcmp(s->counted, none, sizeof(none)) == 0) {
		tamper(c, 0, "there is no such conversation, but a head of it "
		    "from before its deletion");
		conv_remove(v, c);
		conv_free(v, c);
		return;
	}
	if (c == NULL)
		c = conv_new(s->id, s->uid);
	conv_refuse(v, c, s->counted);
	tamper(c, 0, s->conv == NULL ? "its head is missing or does not "
	    "verify; it is refused" :
	    "its head is an older one; it is refused");
}

/*
 * The sum of what was found is not H's.  Refuse the conversations that explain
 * it, or -1 when nothing does.
 */
static int
locate(struct vault *v, const struct found *f)
{
	struct located l[LOCATE_MAX];
	struct suspect s[LOCATE_MAX];
	struct locate *have;
	uint8_t mset[REC_HASH];
	int n;

	if (!v->h.located)
		return -1;
	if ((have = malloc(sizeof(*have))) == NULL)
		fatal("malloc");
	sum_heads(v, have);
	n = locate_solve(l, &v->h.heads, have);
	freezero(have, sizeof(*have));
	memcpy(mset, f->mset, sizeof(mset));
	for (int i = 0; i < n; i++)
		make_suspect(v, &s[i], &l[i], mset);
	/* Nothing but this says that the guess is right. */
	if (n < 0 || !bytes_eq_ct(mset, v->h.mset, sizeof(mset)))
		n = -1;
	for (int i = 0; i < n; i++)
		refuse_suspect(v, &s[i]);
	OPENSSL_cleanse(l, sizeof(l));
	OPENSSL_cleanse(s, sizeof(s));
	return n < 0 ? -1 : 0;
}

/* Name what does not verify. */
static void
name_bad(const struct found *f)
{
	for (size_t i = 0; i < f->bad && i < BAD_NAMES; i++)
		audit(EV_storage_tamper, 0, NULL, "%s does not verify",
		    f->bad_name[i]);
	if (f->bad > BAD_NAMES)
		audit(EV_storage_tamper, 0, NULL, "%zu records more do not "
		    "verify", f->bad - BAD_NAMES);
}

static int
judge_sum(struct vault *v, const struct found *f)
{
	name_bad(f);
	if (bytes_eq_ct(f->mset, v->h.mset, sizeof(f->mset)) ||
	    locate(v, f) == 0)
		return 0;
	audit(EV_storage_tamper, 0, NULL,
	    "the records do not add up to record H");
	return boot_refuse(v, "the records found (%zu users, %zu "
	    "conversations, %zu that do not verify%s%s) do not add up to record "
	    "H of commit %llu: users, keys, invites or deletions, or more than "
	    "%d conversations, were removed, added or exchanged for older "
	    "states; restore the newest backup of database and anchor together",
	    v->nusers, v->nconvs, f->bad, f->bad > 0 ? ", the first is " : "",
	    f->bad > 0 ? f->bad_name[0] : "", (unsigned long long)v->h.n,
	    LOCATE_MAX);
}

/*
 * How far the commits go on behind what the anchor has seen: whoever kept what was
 * given up has no commit that is beyond.  The anchor lags a second.
 */
#define BEHIND		((uint64_t)1 << 32)

static void
on_h(void *arg, const struct engine_reply *r)
{
	*(enum kv_status *)arg = r->status;
}

/* Write H as it is now, durably; the anchor follows. */
static int
go_on_behind(struct vault *v)
{
	struct rec_key key = rec_key_mset();
	struct buf val = BUF_INIT(SEAL_VALUE_MAX);
	struct wbatch b = { NULL, 0, 0 };
	enum kv_status st = KV_FATAL;
	uint64_t was = v->h.n;

	v->h.n = v->keys->anchor.n + BEHIND;
	if (rec_seal_mset(&val, &v->keys->bundle, rec_bytes(&key),
	    v->h_version + 1, &v->h) != 0)
		fatalx("record H cannot be sealed");
	audit(EV_storage_rollback, 0, NULL, "commit=%llu seen=%llu now=%llu",
	    (unsigned long long)was, (unsigned long long)v->keys->anchor.n,
	    (unsigned long long)v->h.n);
	wb_put(&b, KV_VER, v->h_version++, rec_bytes(&key), buf_bytes(&val));
	engine_write(v->engine, &b, on_h, &st);
	wb_free(&b);
	buf_free(&val);
	if (engine_wait(v->engine) == -1 || st != KV_OK)
		return boot_refuse(v, "record H cannot be written%s", st ==
		    KV_FULL ? ": the disk is full" : "");
	log_notice("the database of commit %llu is accepted; commit %llu had "
	    "been seen", (unsigned long long)was,
	    (unsigned long long)v->keys->anchor.n);
	return 0;
}

/* Is the whole older than it was?  why is empty when it is not. */
static void
judge_age(struct vault *v, char why[256])
{
	const struct anchor *a = &v->keys->anchor;
	uint8_t root[REC_HASH];

	why[0] = '\0';
	mset_root(root, &v->keys->bundle, &v->h);
	if (v->h.n < a->n)
		(void)snprintf(why, 256, "the database is at commit %llu but the "
		    "anchor has seen commit %llu: it was rolled back",
		    (unsigned long long)v->h.n, (unsigned long long)a->n);
	else if (v->h.n == a->n && !bytes_eq_ct(root, a->root, sizeof(root)))
		(void)snprintf(why, 256, "commit %llu in the database is not the "
		    "one that the anchor saw", (unsigned long long)a->n);
}

int
vault_judge(struct vault *v, const struct found *f)
{
	char why[256];

	judge_age(v, why);
	if (why[0] != '\0')
		audit(EV_storage_tamper, 0, NULL, "%s", why);
	if (why[0] != '\0' && !v->accept)
		return boot_refuse(v, "%s; restore the newest backup, or accept "
		    "what is there (cloisterctl storage accept-rollback): all "
		    "that came later is lost then", why);
	if (judge_sum(v, f) == -1)
		return -1;
	/* A record H of old: from the next commit on it has the sums. */
	if (!v->h.located) {
		sum_heads(v, &v->h.heads);
		v->h.located = true;
	}
	if (!v->accept)
		return 0;
	if (why[0] == '\0')
		return boot_refuse(v, "the database was not rolled back: there "
		    "is nothing to accept");
	return go_on_behind(v);
}
