#include "source.h"

#include <sys/queue.h>
#include <sys/tree.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

#define KEY_LEN		9	/* family, then IPv4 address or IPv6 /64 */

/* Bucket: a burst of 4 times what may be at once, refilled in 4 seconds. */
#define BURST_FACTOR	4
#define REFILL_S	4

#define CRASH_LEVEL_MAX	9	/* 2^8 s and more: the longest penalty */
#define CRASH_MAX_MS	300000
#define CRASH_DECAY_MS	600000	/* one level less */
#define REFUSALS_FREE	10	/* within the window */
#define REFUSALS_MS	60000
#define REFUSAL_MS	5000

struct source {
	RB_ENTRY(source)	 node;
	TAILQ_ENTRY(source)	 idle;		/* while live is 0 */
	uint8_t			 key[KEY_LEN];
	uint32_t		 live;
	uint64_t		 tokens_milli;
	uint64_t		 tokens_ms;	/* when they were counted */
	uint64_t		 penalty_until_ms;
	unsigned		 crashes;
	uint64_t		 crash_ms;	/* the last one, or its decay */
	unsigned		 refusals;
	uint64_t		 refusals_ms;	/* when the window began */
};

RB_HEAD(source_tree, source);

struct sources {
	struct source_tree	 tree;
	TAILQ_HEAD(, source)	 idle;		/* longest idle first */
	unsigned		 count;
};

static int
source_cmp(struct source *a, struct source *b)
{
	return memcmp(a->key, b->key, KEY_LEN);
}

RB_PROTOTYPE(source_tree, source, node, source_cmp)
RB_GENERATE(source_tree, source, node, source_cmp)

struct sources *
sources_new(void)
{
	struct sources *ss;

	if ((ss = calloc(1, sizeof(*ss))) == NULL)
		fatal("calloc");
	RB_INIT(&ss->tree);
	TAILQ_INIT(&ss->idle);
	return ss;
}

static void
forget(struct sources *ss, struct source *s)
{
	if (s->live == 0)
		TAILQ_REMOVE(&ss->idle, s, idle);
	RB_REMOVE(source_tree, &ss->tree, s);
	ss->count--;
	free(s);
}

void
sources_free(struct sources *ss)
{
	struct source *s;

	while ((s = RB_MIN(source_tree, &ss->tree)) != NULL)
		forget(ss, s);
	free(ss);
}

unsigned
sources_count(const struct sources *ss)
{
	return ss->count;
}

static void
make_key(uint8_t key[KEY_LEN], const struct sockaddr *sa)
{
	const struct sockaddr_in *in4 = (const void *)sa;
	const struct sockaddr_in6 *in6 = (const void *)sa;

	memset(key, 0, KEY_LEN);
	if (sa->sa_family == AF_INET) {
		key[0] = 4;
		memcpy(key + 1, &in4->sin_addr, 4);
	} else if (sa->sa_family == AF_INET6) {
		const uint8_t *a = in6->sin6_addr.s6_addr;

		if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
			key[0] = 4;
			memcpy(key + 1, a + 12, 4);
		} else {
			key[0] = 6;
			memcpy(key + 1, a, 8);
		}
	}
}

/* A new source: with its bucket full.  NULL when all places are in use. */
static struct source *
source_new(struct sources *ss, const uint8_t key[KEY_LEN], uint32_t max,
    uint64_t now_ms)
{
	struct source *s;

	if (ss->count >= SOURCES_MAX) {
		if ((s = TAILQ_FIRST(&ss->idle)) == NULL)
			return NULL;
		forget(ss, s);
	}
	if ((s = calloc(1, sizeof(*s))) == NULL)
		fatal("calloc");
	memcpy(s->key, key, KEY_LEN);
	s->tokens_milli = (uint64_t)max * BURST_FACTOR * 1000;
	s->tokens_ms = now_ms;
	RB_INSERT(source_tree, &ss->tree, s);
	TAILQ_INSERT_TAIL(&ss->idle, s, idle);
	ss->count++;
	return s;
}

static bool
take_token(struct source *s, uint32_t max, uint64_t now_ms)
{
	uint64_t full = (uint64_t)max * BURST_FACTOR * 1000;
	uint64_t passed = now_ms - s->tokens_ms;

	if (passed > REFILL_S * 1000)
		passed = REFILL_S * 1000;
	s->tokens_milli += passed * max * BURST_FACTOR / REFILL_S;
	if (s->tokens_milli > full)
		s->tokens_milli = full;
	s->tokens_ms = now_ms;
	if (s->tokens_milli < 1000)
		return false;
	s->tokens_milli -= 1000;
	return true;
}

enum source_verdict
source_begin(struct sources *ss, const struct sockaddr *sa, uint32_t max,
    uint64_t now_ms, struct source **sp)
{
	struct source *s, key;

	make_key(key.key, sa);
	if ((s = RB_FIND(source_tree, &ss->tree, &key)) == NULL &&
	    (s = source_new(ss, key.key, max, now_ms)) == NULL)
		return SOURCE_FULL;
	if (now_ms < s->penalty_until_ms)
		return SOURCE_PENALTY;
	if (s->live >= max)
		return SOURCE_FULL;
	if (!take_token(s, max, now_ms))
		return SOURCE_FAST;
	if (s->live++ == 0)
		TAILQ_REMOVE(&ss->idle, s, idle);
	*sp = s;
	return SOURCE_OK;
}

/* 1, 2, 4 ... 300 s, one step more for each crash, one less for each decay. */
static void
punish_crash(struct source *s, uint64_t now_ms)
{
	uint64_t decayed = (now_ms - s->crash_ms) / CRASH_DECAY_MS;
	uint64_t ms;

	s->crashes = decayed >= s->crashes ? 0 :
	    s->crashes - (unsigned)decayed;
	if (s->crashes < CRASH_LEVEL_MAX + 1)
		s->crashes++;
	s->crash_ms = now_ms;
	ms = (uint64_t)1000 << (s->crashes - 1);
	if (ms > CRASH_MAX_MS)
		ms = CRASH_MAX_MS;
	if (s->penalty_until_ms < now_ms + ms)
		s->penalty_until_ms = now_ms + ms;
}

static void
punish_refusal(struct source *s, uint64_t now_ms)
{
	if (now_ms - s->refusals_ms > REFUSALS_MS) {
		s->refusals = 0;
		s->refusals_ms = now_ms;
	}
	if (++s->refusals > REFUSALS_FREE &&
	    s->penalty_until_ms < now_ms + REFUSAL_MS)
		s->penalty_until_ms = now_ms + REFUSAL_MS;
}

uint64_t
source_end(struct sources *ss, struct source *s, enum source_outcome outcome,
    uint64_t now_ms)
{
	if (outcome == SOURCE_CRASH)
		punish_crash(s, now_ms);
	else if (outcome == SOURCE_REFUSED)
		punish_refusal(s, now_ms);
	if (--s->live == 0)
		TAILQ_INSERT_TAIL(&ss->idle, s, idle);
	return source_waits(s, now_ms);
}

uint64_t
source_waits(const struct source *s, uint64_t now_ms)
{
	return s->penalty_until_ms > now_ms ? s->penalty_until_ms - now_ms : 0;
}

void
source_name(char text[SOURCE_TEXT], const struct source *s)
{
	uint8_t addr[16] = { 0 };
	bool v6 = s->key[0] == 6;

	memcpy(addr, s->key + 1, KEY_LEN - 1);
	if (inet_ntop(v6 ? AF_INET6 : AF_INET, addr, text, SOURCE_TEXT) == NULL)
		(void)strlcpy(text, "?", SOURCE_TEXT);
	else if (v6)
		(void)strlcat(text, "/64", SOURCE_TEXT);
}

void
source_text(char text[SOURCE_TEXT], const struct sockaddr *sa)
{
	const struct sockaddr_in *in4 = (const void *)sa;
	const struct sockaddr_in6 *in6 = (const void *)sa;
	char addr[INET6_ADDRSTRLEN];
	bool v6 = false;
	in_port_t port = 0;

	(void)strlcpy(addr, "?", sizeof(addr));
	if (sa->sa_family == AF_INET) {
		(void)inet_ntop(AF_INET, &in4->sin_addr, addr, sizeof(addr));
		port = ntohs(in4->sin_port);
	} else if (sa->sa_family == AF_INET6) {
		port = ntohs(in6->sin6_port);
		if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
			(void)inet_ntop(AF_INET, in6->sin6_addr.s6_addr + 12,
			    addr, sizeof(addr));
		else {
			(void)inet_ntop(AF_INET6, &in6->sin6_addr, addr,
			    sizeof(addr));
			v6 = true;
		}
	}
	/* The longest: 45 of the address, brackets, ":65535". */
	if (v6)
		(void)snprintf(text, SOURCE_TEXT, "[%s]:%u", addr, port);
	else
		(void)snprintf(text, SOURCE_TEXT, "%s:%u", addr, port);
}
