#include "attack.h"

#include <sys/resource.h>
#include <sys/socket.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- 4: one source ------------------------------------------------------------ */

#define CAP	32		/* max_connections_per_source, as it is by default */

/* Whether the server has ended it, without a word. */
static bool
ended(int fd)
{
	uint8_t c;
	ssize_t n = recv(fd, &c, 1, MSG_DONTWAIT);

	if (n == 1)
		tried(false, "a byte of answer to nothing");
	return n == 0 || (n == -1 && errno == ECONNRESET);
}

/* Open more than it may from one address, say nothing, and look at others. */
void
attack_one_source(void)
{
	int fd[3 * CAP];
	uint64_t end;
	size_t open = 0;

	for (size_t i = 0; i < 3 * CAP; i++)
		fd[i] = dial_from(world.port, 0xfe0707);
	for (int i = 0; i < 8; i++)
		tried(others_served(), "another source is served");
	end = mono_ms() + WAIT_MS;
	do {
		open = 0;
		for (size_t i = 0; i < 3 * CAP; i++)
			open += !ended(fd[i]);
	} while (open > CAP && mono_ms() < end);
	tried(open > 0 && open <= CAP, "%zu connections of one source", open);
	for (size_t i = 0; i < 3 * CAP; i++)
		(void)close(fd[i]);
}

/* ---- 37: those that never say enough ------------------------------------------ */

#define SLOW		64
#define MANY		10000
#define STALLED		200

/* Bytes one by one, of a good CH, while others are served. */
static void
slowloris(void)
{
	static struct play p[SLOW];

	for (int i = 0; i < SLOW; i++)
		play_begin(&p[i], &world.alice, world.pin);
	for (size_t at = 0; at < 24; at++) {
		for (int i = 0; i < SLOW; i++)
			put(p[i].fd, bytes_of(p[i].ch.p + at, 1));
		if (at % 6 == 0)
			tried(others_served(), "others beside %d slow ones",
			    SLOW);
	}
	for (int i = 0; i < SLOW; i++)
		play_end(&p[i]);
}

/* After SA: more than a client may send before it is known. */
static void
too_much(void)
{
	static const uint8_t hdr[] = { 0x17, 0, 0x3f, 0xfc };	/* 16380 */
	static uint8_t junk[RECORD_MAX];
	struct play p;
	enum answer a;

	play_begin(&p, &world.alice, world.pin);
	play_until_ca(&p);
	put(p.fd, bytes_of(hdr, sizeof(hdr)));
	a = play_record(&p);
	tried(a == ANSWER_CLOSE, "16 KiB and more: answer %d", (int)a);
	play_end(&p);
	/* In many records, none of which is good. */
	play_begin(&p, &world.alice, world.pin);
	play_until_ca(&p);
	crypto_random(junk, sizeof(junk));
	for (int i = 0; i < 8; i++)
		put(p.fd, bytes_of(junk, sizeof(junk)));
	a = play_record(&p);
	tried(a == ANSWER_CLOSE || a == ANSWER_END, "128 KiB: answer %d",
	    (int)a);
	play_end(&p);
}

static size_t
allow_many(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) == -1)
		fatal("getrlimit");
	rl.rlim_cur = rl.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &rl) == -1)
		fatal("setrlimit");
	return rl.rlim_cur > MANY + 200 ? MANY : rl.rlim_cur - 200;
}

/* From as many addresses, each with a few bytes or none. */
static void
half_open(void)
{
	size_t many = allow_many();
	int *fd = calloc(many, sizeof(*fd));

	if (fd == NULL)
		fatal("calloc");
	for (size_t i = 0; i < many; i++) {
		fd[i] = dial(world.port);
		if (i % 2 == 0)
			put(fd[i], bytes_of("\1\0\7\374", 4));
		if (i % 1000 == 999)
			tried(others_served(),
			    "served beside %zu half-open ones", i + 1);
	}
	tried(others_served(), "served beside %zu half-open ones", many);
	printf("count attack 37: %zu half-open connections, others served\n",
	    many);
	for (size_t i = 0; i < many; i++)
		(void)close(fd[i]);
	free(fd);
	tried(others_served(), "served afterwards");
}

/* Handshakes of many sources that stop after SA, where a signature was spent. */
static void
stalled(void)
{
	static struct play p[STALLED];

	for (int i = 0; i < STALLED; i++) {
		play_begin(&p[i], &world.alice, world.pin);
		put(p[i].fd, buf_bytes(&p[i].ch));
		if (i % 50 == 49)
			tried(others_served(),
			    "others beside %d stalled handshakes", i + 1);
	}
	for (int i = 0; i < STALLED; i++)
		play_end(&p[i]);
}

void
attack_half_open(void)
{
	slowloris();
	too_much();
	stalled();
	half_open();
}
