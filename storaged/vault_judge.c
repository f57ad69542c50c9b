/*
 * The check at start is over: what does it mean?
 *
 * If only heads are other than H counts, and few, H tells which (locate.h): then
 * these conversations are refused and the service starts.  Who may come in, what
 * was deleted, and a database that is older as a whole are not divisible: the
 * start is refused.
 */
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

#define NO_ROLLBACK	"; accepting an older state is not possible in this " \
    "version: restore the newest backup of database and anchor together"

static int
judge_age(struct vault *v)
{
	const struct anchor *a = &v->keys->anchor;
	uint8_t root[REC_HASH];

	if (v->h.n < a->n) {
		audit(EV_storage_tamper, 0, NULL,
		    "the database is at commit %llu, the anchor saw %llu",
		    (unsigned long long)v->h.n, (unsigned long long)a->n);
		return boot_refuse(v, "the database is at commit %llu but the "
		    "anchor has seen commit %llu: it was rolled back"
		    NO_ROLLBACK, (unsigned long long)v->h.n,
		    (unsigned long long)a->n);
	}
	mset_root(root, &v->keys->bundle, &v->h);
	if (v->h.n == a->n && !bytes_eq_ct(root, a->root, sizeof(root))) {
		audit(EV_storage_tamper, 0, NULL,
		    "commit %llu is not the one that the anchor saw",
		    (unsigned long long)a->n);
		return boot_refuse(v, "commit %llu in the database is not the "
		    "one that the anchor saw" NO_ROLLBACK,
		    (unsigned long long)a->n);
	}
	return 0;
}

int
vault_judge(struct vault *v, const struct found *f)
{
	/* What is old as a whole is not to be told apart. */
	if (judge_age(v) == -1 || judge_sum(v, f) == -1)
		return -1;
	/* A record H of old: from the next commit on it has the sums. */
	if (!v->h.located) {
		sum_heads(v, &v->h.heads);
		v->h.located = true;
	}
	return 0;
}
