/*
 * What a user may ask: requests a minute, tokens a UTC day and month, of all
 * models together and of each one.
 *
 * Tokens are counted when an llmproxy says what a request came to, so requests
 * under way at the same time may go over a limit, by what they use.  The tallies
 * are records in the store: a restart forgets nothing but the minute.  While one is being
 * written what comes is added to it in memory and written next.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "log.h"
#include "vault.h"

#define MINUTE_MS	60000
#define DAY_S		86400

/* A Q record. */
struct tally {
	LIST_ENTRY(tally)	 link;
	struct user		*u;
	struct rec_key		 key;
	uint64_t		 version;	/* 0: not stored yet */
	struct rec_tally	 t;
	struct minute		 minute;
	bool			 writing;
	bool			 again;		/* changed during a write */
	struct rcommit		 rc;
};

/* ---- days and months ----------------------------------------------------- */

static uint32_t
today(void)
{
	return (uint32_t)(wall_us() / 1000000 / DAY_S);
}

static void
date_of(uint32_t day, struct tm *tm)
{
	time_t t = (time_t)day * DAY_S;

	memset(tm, 0, sizeof(*tm));
	if (gmtime_r(&t, tm) == NULL)
		fatalx("a day that is none");
}

static bool
same_month(uint32_t a, uint32_t b)
{
	struct tm x, y;

	date_of(a, &x);
	date_of(b, &y);
	return x.tm_year == y.tm_year && x.tm_mon == y.tm_mon;
}

/* The first day of the month after day's. */
static uint32_t
next_month(uint32_t day)
{
	struct tm tm;

	date_of(day, &tm);
	day -= (uint32_t)tm.tm_mday - 1;
	do
		day += 28;
	while (date_of(day, &tm), tm.tm_mday > 28);
	return day - ((uint32_t)tm.tm_mday - 1);
}

/*
 * Begin another day, or another month.  A clock that was set back begins nothing.
 */
static void
turn_over(struct rec_tally *t, uint32_t day)
{
	if (day <= t->day)
		return;
	t->day_tokens = t->day_requests = 0;
	if (!same_month(day, t->day))
		t->month_tokens = t->month_requests = 0;
	t->day = day;
}

/* ---- tallies ------------------------------------------------------------- */

static struct tally *
find(const struct user *u, const char *model)
{
	struct tally *t;

	LIST_FOREACH(t, &u->tallies, link)
		if (strcmp(t->t.model, model) == 0)
			break;
	return t;
}

static struct tally *
add(struct user *u, const struct rec_key *key, const char *model)
{
	struct tally *t;

	if ((t = calloc(1, sizeof(*t))) == NULL)
		fatal("calloc");
	t->u = u;
	t->key = *key;
	(void)strlcpy(t->t.model, model, sizeof(t->t.model));
	LIST_INSERT_HEAD(&u->tallies, t, link);
	u->ntallies++;
	return t;
}

/* The tally of a model, or one that it shares when there are too many. */
static struct tally *
make(struct vault *v, struct user *u, const char *model)
{
	struct rec_key key;
	struct tally *t;

	if ((t = find(u, model)) != NULL)
		return t;
	if (u->ntallies >= VAULT_TALLIES_MAX) {
		model = "";
		if ((t = find(u, model)) != NULL)
			return t;
	}
	key = rec_key_tally(&v->keys->bundle, u->uid, model);
	return add(u, &key, model);
}

int
budget_load(struct vault *v, struct bytes key, const struct rec_tally *rec,
    uint64_t version)
{
	uint8_t uid[REC_ID], model[HASH_LEN];
	struct rec_key k;
	struct tally *t;
	struct user *u;

	if (rec_parse_tally(key, uid, model) != 0 ||
	    (u = user_by_uid(v, uid)) == NULL)
		return -1;
	k = rec_key_tally(&v->keys->bundle, uid, rec->model);
	if (!bytes_eq(rec_bytes(&k), key))
		return -1;
	t = add(u, &k, rec->model);
	t->t = *rec;
	t->version = version;
	return 0;
}

void
budget_free(struct user *u)
{
	struct tally *t;

	while ((t = LIST_FIRST(&u->tallies)) != NULL) {
		LIST_REMOVE(t, link);
		wb_free(&t->rc.commit.ops);
		free(t);
	}
	u->ntallies = 0;
}

static void write_tally(struct vault *, struct tally *);

static void
on_written(struct rcommit *rc, enum kv_status st)
{
	struct tally *t = (struct tally *)((char *)rc -
	    offsetof(struct tally, rc));

	t->writing = false;
	t->u->counting--;
	if (st == KV_OK)
		t->version++;
	else	/* memory has it, and writes it with what comes next */
		log_err("what %s used is not stored", t->u->name);
	if (t->again && t->u->state != REC_USER_REMOVED)
		write_tally(rc->v, t);
}

static void
write_tally(struct vault *v, struct tally *t)
{
	struct buf val = BUF_INIT(SEAL_VALUE_MAX);

	t->again = t->writing;
	if (t->writing)
		return;
	t->writing = true;
	t->u->counting++;
	if (rec_seal_tally(&val, &v->keys->bundle, rec_bytes(&t->key),
	    t->version + 1, &t->t) != 0)
		fatalx("a tally cannot be sealed");
	rcommit_begin(&t->rc, v, on_written);
	rcommit_put(&t->rc, &t->key, t->version, buf_bytes(&val));
	buf_free(&val);
	rcommit_go(&t->rc);
}

void
budget_count(struct vault *v, struct user *u, const char *model,
    uint64_t tokens)
{
	struct tally *t;

	if (u->state == REC_USER_REMOVED || v->stopping)
		return;
	t = make(v, u, model);
	turn_over(&t->t, today());
	if (tokens > UINT64_MAX - t->t.month_tokens)
		tokens = UINT64_MAX - t->t.month_tokens;
	t->t.day_tokens += tokens;
	t->t.month_tokens += tokens;
	t->t.day_requests++;
	t->t.month_requests++;
	write_tally(v, t);
}

void
budget_erase(struct user *u, struct wbatch *ops)
{
	const struct tally *t;

	LIST_FOREACH(t, &u->tallies, link)
		if (t->version != 0)
			wb_del(ops, rec_bytes(&t->key));
}

void
budget_account_erased(const struct vault *v, const struct user *u,
    uint8_t mset[REC_HASH])
{
	const struct tally *t;

	LIST_FOREACH(t, &u->tallies, link)
		if (t->version != 0)
			mset_sub_record(mset, &v->keys->bundle,
			    rec_bytes(&t->key), t->version);
}

/* ---- limits -------------------------------------------------------------- */

static void
used(const struct rec_tally *t, uint32_t day, uint64_t *d, uint64_t *m)
{
	struct rec_tally now = *t;

	turn_over(&now, day);
	*d = now.day_tokens > UINT64_MAX - *d ? UINT64_MAX : *d + now.day_tokens;
	*m = now.month_tokens > UINT64_MAX - *m ? UINT64_MAX :
	    *m + now.month_tokens;
}

void
budget_used(const struct user *u, uint64_t *day, uint64_t *month)
{
	const struct tally *t;
	uint32_t now = today();

	*day = *month = 0;
	LIST_FOREACH(t, &u->tallies, link)
		used(&t->t, now, day, month);
}

unsigned
budget_requests(const struct user *u)
{
	return mono_ms() - u->minute.since_ms < MINUTE_MS ?
	    u->minute.requests : 0;
}

bool
budget_next(const struct user *u, const struct tally **at,
    struct rec_tally *now)
{
	*at = *at == NULL ? LIST_FIRST(&u->tallies) : LIST_NEXT(*at, link);
	if (*at == NULL)
		return false;
	*now = (*at)->t;
	turn_over(now, today());
	return true;
}

/* Until when, in words: the beginning of that day. */
static void
say_until(char *dst, size_t size, uint32_t day)
{
	uint64_t now = wall_us() / 1000000, end = (uint64_t)day * DAY_S;
	uint64_t min = end > now ? (end - now + 59) / 60 : 0;
	struct tm tm;

	date_of(day, &tm);
	(void)snprintf(dst, size, "again from %04d-%02d-%02d 00:00 UTC, in %llu "
	    "h %llu min", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
	    (unsigned long long)(min / 60), (unsigned long long)(min % 60));
}

/* Whether tokens are left; of: "" or " of model x". */
static bool
tokens_left(const struct budget *b, uint64_t day, uint64_t month,
    const char *of, struct refusal *why)
{
	bool over_month = b->tokens_month > 0 && month >= b->tokens_month;
	bool over_day = b->tokens_day > 0 && day >= b->tokens_day;

	if (!over_month && !over_day)
		return true;
	(void)snprintf(why->text, sizeof(why->text), "your %llu tokens%s for "
	    "this %s are used up", (unsigned long long)(over_month ?
	    b->tokens_month : b->tokens_day), of,
	    over_month ? "month" : "day");
	say_until(why->hint, sizeof(why->hint), over_month ?
	    next_month(today()) : today() + 1);
	return false;
}

/* Whether this minute has room for one more request. */
static bool
minute_left(const struct budget *b, struct minute *m, const char *of,
    struct refusal *why)
{
	uint64_t now = mono_ms();

	if (m->requests == 0 || now - m->since_ms >= MINUTE_MS) {
		m->since_ms = now;
		m->requests = 0;
	}
	if (b->requests_minute == 0 || m->requests < b->requests_minute)
		return true;
	(void)snprintf(why->text, sizeof(why->text), "your %u requests%s for "
	    "this minute are used up", b->requests_minute, of);
	(void)snprintf(why->hint, sizeof(why->hint), "again in %llu seconds",
	    (unsigned long long)(m->since_ms + MINUTE_MS - now + 999) / 1000);
	return false;
}

/* What the user may ask of all models together. */
static struct budget
budget_of(const struct vault *v, const struct user *u)
{
	return (struct budget){
		(uint32_t)user_limit(v, u, LIMIT_REQUESTS),
		user_limit(v, u, LIMIT_TOKENS_DAY),
		user_limit(v, u, LIMIT_TOKENS_MONTH)
	};
}

bool
budget_may(struct vault *v, struct user *u, const struct model *m,
    struct refusal *why)
{
	struct budget all = budget_of(v, u);
	uint64_t day, month, mday = 0, mmonth = 0;
	struct tally *t = make(v, u, m->alias);
	char of[80];

	(void)snprintf(of, sizeof(of), " of model %s", m->alias);
	budget_used(u, &day, &month);
	used(&t->t, today(), &mday, &mmonth);
	if (!tokens_left(&all, day, month, "", why) ||
	    !tokens_left(&m->budget, mday, mmonth, of, why) ||
	    !minute_left(&all, &u->minute, "", why) ||
	    !minute_left(&m->budget, &t->minute, of, why))
		return false;
	u->minute.requests++;
	t->minute.requests++;
	return true;
}
