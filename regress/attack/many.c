#include "attack.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

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
#define BATCH		1000
#define HOLDERS		64	/* processes, at most */
#define OTHER_FDS	200	/* that each of them has besides */
#define PLACES		768	/* of the server, for half-open ones */

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

/* How many sockets a process may have. */
static size_t
allowed(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) == -1)
		fatal("getrlimit");
	rl.rlim_cur = rl.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &rl) == -1)
		fatal("setrlimit");
	if (rl.rlim_max <= OTHER_FDS)
		fatalx("no descriptors are left");
	return rl.rlim_max < MANY + OTHER_FDS ?
	    (size_t)rl.rlim_max - OTHER_FDS : MANY;
}

/*
 * A process that holds some of the half-open connections, so that no limit of
 * one process is in the way: for each byte a thousand more, and it says how many
 * it has; at the end how many of them the server has not ended.
 */
struct holder {
	pid_t	pid;
	int	fd;
	size_t	room;
};

static _Noreturn void
hold(int ctl, size_t room)
{
	int *fd = calloc(room, sizeof(*fd));
	uint32_t n = 0, left = 0;
	uint8_t c;

	if (fd == NULL)
		fatal("calloc");
	while (read(ctl, &c, 1) == 1) {
		for (int i = 0; i < BATCH && n < room; i++, n++) {
			fd[n] = dial(world.port);
			if (n % 2 == 0)
				put(fd[n], bytes_of("\1\0\7\374", 4));
		}
		put(ctl, bytes_of(&n, sizeof(n)));
	}
	for (uint32_t i = 0; i < n; i++)
		left += !ended(fd[i]);
	put(ctl, bytes_of(&left, sizeof(left)));
	_exit(0);
}

static void
holder_start(struct holder *h, size_t room)
{
	int sv[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) == -1 ||
	    (h->pid = fork()) == -1)
		fatal("a holder");
	if (h->pid == 0) {
		(void)close(sv[0]);
		net_forked();
		hold(sv[1], room);
	}
	(void)close(sv[1]);
	h->fd = sv[0];
	h->room = room;
}

static size_t
holder_number(const struct holder *h)
{
	uint32_t n;

	if (get(h->fd, (uint8_t *)&n, sizeof(n)) != sizeof(n))
		fatalx("a holder has ended");
	return n;
}

/* From as many addresses, each with a few bytes or none. */
static void
half_open(void)
{
	struct holder h[HOLDERS];
	size_t room = allowed(), all = 0, left = 0, now, had;
	int n = 0;

	for (; all < MANY && n < HOLDERS; n++) {
		holder_start(&h[n], room < MANY - all ? room : MANY - all);
		for (had = 0; had < h[n].room; had = now) {
			put(h[n].fd, bytes_of("+", 1));
			now = holder_number(&h[n]);
			all += now - had;
			tried(others_served(),
			    "served beside %zu half-open ones", all);
		}
	}
	for (int i = 0; i < n; i++) {
		if (shutdown(h[i].fd, SHUT_WR) == -1)
			fatal("shutdown");
		left += holder_number(&h[i]);
	}
	printf("count attack 37: %zu half-open connections opened, %zu of them "
	    "still open at the end, others served meanwhile\n", all, left);
	/* All of them were accepted, as others were after them. */
	tried(all == MANY && left <= PLACES, "%zu of %zu are still open", left,
	    all);
	for (int i = 0; i < n; i++) {
		(void)close(h[i].fd);
		if (waitpid(h[i].pid, NULL, 0) != h[i].pid)
			fatal("waitpid");
	}
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
