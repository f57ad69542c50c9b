/*
 * Wrong passwords make the next attempt wait: by source and by the name that
 * was tried.
 *
 * A source (an IPv4 address, an IPv6 /64) waits after its third failure, 1, 2,
 * 4 ... up to 900 seconds.  A name waits after its tenth failure, up to 300
 * seconds, but not for sources from which that user has been let in by password
 * in the last 90 days: so a stranger who fails for alice as often as they like
 * makes other strangers wait, never alice where she works.  A failure is forgiven
 * each ten minutes.  The numbers are records in the store, so a restart forgets
 * nothing; names that are no users' have them too, so that they look the same.
 */
#include <arpa/inet.h>
#include <netinet/in.h>

#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "vault.h"

#define SOURCE_FREE	3
#define SOURCE_CAP_S	900
#define NAME_FREE	10
#define NAME_CAP_S	300
#define FORGIVE_US	(600ull * 1000000)
#define GOOD_US		(90ull * 86400 * 1000000)
#define GOOD_RENEW_US	(86400ull * 1000000)

/* One B record. */
struct fails {
	LIST_ENTRY(fails)	 link;
	struct rec_key		 key;
	uint64_t		 version;	/* 0: not stored yet */
	struct rec_backoff	 b;
	bool			 dying;		/* its deletion is under way */
	bool			 again;		/* changed during a write */
	unsigned		 writing;	/* commits under way */
};

void
backoff_source(uint8_t out[16], const char *text)
{
	char addr[INET6_ADDRSTRLEN + 2];
	struct in6_addr a6;
	struct in_addr a4;
	char *end;

	memset(out, 0, 16);
	/* Without the port: "v4:port", "[v6]:port". */
	(void)strlcpy(addr, text[0] == '[' ? text + 1 : text, sizeof(addr));
	if ((end = strchr(addr, ']')) != NULL ||
	    (strchr(addr, '.') != NULL && (end = strrchr(addr, ':')) != NULL &&
	    strchr(addr, ':') == end))
		*end = '\0';
	text = addr;
	if (inet_pton(AF_INET, text, &a4) == 1) {
		out[10] = out[11] = 0xff;
		memcpy(out + 12, &a4, 4);
	} else if (inet_pton(AF_INET6, text, &a6) == 1)
		memcpy(out, &a6, IN6_IS_ADDR_V4MAPPED(&a6) ? 16 : 8);
}

static struct fails *
find(struct vault *v, const struct rec_key *key)
{
	struct fails *f;

	LIST_FOREACH(f, &v->fails, link)
		if (bytes_eq(rec_bytes(&f->key), rec_bytes(key)))
			break;
	return f;
}

static struct fails *
make(struct vault *v, const struct rec_key *key)
{
	struct fails *f;

	if ((f = find(v, key)) != NULL)
		return f;
	if ((f = calloc(1, sizeof(*f))) == NULL)
		fatal("calloc");
	f->key = *key;
	LIST_INSERT_HEAD(&v->fails, f, link);
	v->nfails++;
	return f;
}

static void
drop(struct vault *v, struct fails *f)
{
	LIST_REMOVE(f, link);
	v->nfails--;
	free(f);
}

void
backoff_load(struct vault *v, struct bytes key, const struct rec_backoff *b,
    uint64_t version)
{
	struct rec_key k = { .n = key.n };
	struct fails *f;

	memcpy(k.p, key.p, key.n);
	f = make(v, &k);
	f->b = *b;
	f->version = version;
}

void
backoff_free(struct vault *v)
{
	struct fails *f;

	while ((f = LIST_FIRST(&v->fails)) != NULL)
		drop(v, f);
}

/* How many failures still count. */
static uint32_t
counts(const struct rec_backoff *b, uint64_t now_us)
{
	uint64_t forgiven = now_us > b->last_us ?
	    (now_us - b->last_us) / FORGIVE_US : 0;

	return forgiven >= b->count ? 0 : b->count - (uint32_t)forgiven;
}

/* Seconds that are left of the delay after so many failures. */
static uint32_t
left_s(const struct fails *f, uint32_t free, uint32_t first_s, uint32_t cap_s,
    uint64_t now_us)
{
	uint64_t delay_s, past_s;

	if (f == NULL || f->b.count <= free)
		return 0;
	if (cap_s < first_s)
		cap_s = first_s;
	delay_s = f->b.count - free > 20 ? cap_s :
	    (uint64_t)first_s << (f->b.count - free - 1);
	if (delay_s > cap_s)
		delay_s = cap_s;
	/* A clock that was set back costs one whole delay, not more. */
	past_s = now_us > f->b.last_us ? (now_us - f->b.last_us) / 1000000 : 0;
	return past_s >= delay_s ? 0 : (uint32_t)(delay_s - past_s);
}

bool
backoff_is_good(struct vault *v, const struct rec_key *good)
{
	const struct fails *f = find(v, good);
	uint64_t now = wall_us();

	return f != NULL && f->b.kind == REC_BACKOFF_GOOD &&
	    (now < f->b.last_us || now - f->b.last_us < GOOD_US);
}

uint32_t
backoff_wait_s(struct vault *v, const struct rec_key *source,
    const struct rec_key *name)
{
	uint64_t now = wall_us();
	uint32_t s, n = 0;

	s = left_s(find(v, source), SOURCE_FREE, v->password_delay_s,
	    SOURCE_CAP_S, now);
	if (name != NULL)
		n = left_s(find(v, name), NAME_FREE, v->password_delay_s,
		    NAME_CAP_S, now);
	return s > n ? s : n;
}

static bool
is_over(const struct fails *f, uint64_t now)
{
	if (f->b.kind == REC_BACKOFF_GOOD)
		return now > f->b.last_us && now - f->b.last_us >= GOOD_US;
	return counts(&f->b, now) == 0;
}

/*
 * Delete what no longer says anything, a few each time, and when there is no
 * room what says least: so who fails under many names, at the cost of a hash
 * each, pushes out only others' first failures.
 */
static void
tidy(struct vault *v, struct rcommit *rc, const struct fails *keep)
{
	uint64_t now = wall_us();
	struct fails *f, *least = NULL;
	unsigned n = 0;

	LIST_FOREACH(f, &v->fails, link) {
		if (f == keep || f->dying || f->writing > 0 || f->version == 0)
			continue;
		if (is_over(f, now) && n < 2) {
			f->dying = true;
			rcommit_del(rc, &f->key, f->version);
			n++;
		} else if (least == NULL ||
		    counts(&f->b, now) < counts(&least->b, now) ||
		    (counts(&f->b, now) == counts(&least->b, now) &&
		    f->b.last_us < least->b.last_us))
			least = f;
	}
	if (n == 0 && least != NULL && v->nfails > VAULT_FAILS_MAX) {
		least->dying = true;
		rcommit_del(rc, &least->key, least->version);
	}
}

static void
put(struct vault *v, struct rcommit *rc, struct fails *f)
{
	struct buf val = BUF_INIT(SEAL_VALUE_MAX);

	/* One write of a record at a time; until the next one memory has it. */
	if (f->writing > 0 || f->dying) {
		f->again = true;
		return;
	}
	f->writing++;
	if (rec_seal_backoff(&val, &v->keys->bundle, rec_bytes(&f->key),
	    f->version + 1, &f->b) != 0)
		fatalx("a record of failures cannot be sealed");
	rcommit_put(rc, &f->key, f->version, buf_bytes(&val));
	buf_free(&val);
	tidy(v, rc, f);
}

void
backoff_fail(struct vault *v, struct rcommit *rc, const struct rec_key *key)
{
	struct fails *f = make(v, key);
	uint64_t now = wall_us();

	f->b.count = counts(&f->b, now) + 1;
	f->b.kind = REC_BACKOFF_FAILS;
	f->b.last_us = now;
	put(v, rc, f);
}

void
backoff_good(struct vault *v, struct rcommit *rc, const struct rec_key *good)
{
	struct fails *f = find(v, good);
	uint64_t now = wall_us();

	if (f != NULL && now >= f->b.last_us &&
	    now - f->b.last_us < GOOD_RENEW_US)
		return;
	f = make(v, good);
	f->b = (struct rec_backoff){ .kind = REC_BACKOFF_GOOD,
	    .last_us = now };
	put(v, rc, f);
}

void
backoff_written(struct vault *v, const struct rcommit *rc, bool ok)
{
	struct fails *f;

	for (size_t i = 0; i < rc->n; i++) {
		if (rc->rec[i].key.p[0] != REC_BACKOFF ||
		    (f = find(v, &rc->rec[i].key)) == NULL)
			continue;
		if (rc->rec[i].is != 0) {
			f->writing--;
			if (ok)
				f->version = rc->rec[i].is;
		} else if (ok && !f->again)
			drop(v, f);
		else {
			f->dying = f->again = false;
			if (ok)
				f->version = 0;
		}
	}
}
