#include "attack.h"

#include <sys/socket.h>

#include <errno.h>
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

void
attack_half_open(void)
{
	slowloris();
	too_much();
}
