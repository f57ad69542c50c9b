/*
 * Hostile kex and session workers: forked by the real zygote's code, in the
 * real workers' cells, with the real descriptors.
 *
 * A connection makes a pair of them make one attempt.  The kex worker takes its
 * number; what is the session worker's it passes on over the twin's socket.
 */
#include <sys/socket.h>

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "hostile.h"
#include "log.h"

#define VERDICT_MS	8000	/* until a channel that must close is closed */
#define QUIET_MS	150	/* how long an answer is waited for otherwise */

/* What a taken-over worker can write to, in each state of the other end. */
enum target { T_KEYD, T_VAULT, T_SESSION, T_TWIN };

static const struct place {
	enum target	target;
	struct cell	cell;
} kex_places[] = {
	{ T_KEYD, { CH_KEX_KEYD, END_B, KEX_KEYD_NEW, false, false } },
	{ T_KEYD, { CH_KEX_KEYD, END_B, KEX_KEYD_OPENED, false, false } },
	{ T_KEYD, { CH_KEX_KEYD, END_B, KEX_KEYD_SIGNED, false, false } },
	{ T_VAULT, { CH_KEX_VAULT, END_B, KEX_VAULT_NEW, false, false } },
	{ T_VAULT, { CH_KEX_VAULT, END_B, KEX_VAULT_ASKED, false, false } },
	{ T_VAULT, { CH_KEX_VAULT, END_B, KEX_VAULT_ANSWERED, false, false } },
	{ T_SESSION, { CH_SESS_VAULT, END_B, SESS_VAULT_INERT, false, false } },
}, twin_places[] = {
	{ T_TWIN, { CH_TWIN, END_B, TWIN_WAIT, true, false } },
}, session_places[] = {
	{ T_SESSION, { CH_SESS_VAULT, END_B, SESS_VAULT_LIVE, false, false } },
};
#define PLACES(p)	(sizeof(p) / sizeof((p)[0]))

/* Which place attempt *i is at; *i becomes its number there.  NULL: behind. */
static const struct place *
find_place(const struct place *p, size_t n, size_t *i)
{
	for (size_t k = 0; k < n; k++) {
		size_t count = attack_count(&p[k].cell);

		if (*i < count)
			return &p[k];
		*i -= count;
	}
	return NULL;
}

static size_t
count_places(const struct place *p, size_t n)
{
	size_t count = 0;

	for (size_t k = 0; k < n; k++)
		count += attack_count(&p[k].cell);
	return count;
}

static void
attempt(size_t i, const struct place *p, size_t at, uint64_t n, int fd)
{
	char name[96];
	struct attack a;
	enum board_result r;

	attack_n = n;
	attack_make(&p->cell, at, &a);
	(void)snprintf(name, sizeof(name), "%s/%u: %s",
	    chan_kind_name(p->cell.kind), p->cell.state, a.name);
	board_begin(board, i, n, a.must_die, name);
	attack_send(fd, &a);
	r = board_listen(board, fd, a.must_die ? VERDICT_MS : QUIET_MS);
	if (a.must_die && r == RESULT_TAKEN)
		r = RESULT_BREACH;
	board_end(board, i, r);
	attack_free(&a);
}

/* ---- the kex worker -------------------------------------------------------- */

static int
take_client(const struct kex *k)
{
	const char *why;
	struct msg m;

	return chan_recv(k->zygote, &m, -1, &why) == 0 ? m.fd : -1;
}

static void
say(int fd, enum msg_type type)
{
	struct buf b = BUF_INIT(MSG_MAX_BYTES);

	attack_sample(type, &b);
	(void)attack_datagram(fd, buf_bytes(&b), 0);
	buf_free(&b);
}

/* One datagram, whatever it is. */
static void
hear(int fd)
{
	static uint8_t reply[MSG_MAX_BYTES];
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	if (poll(&pfd, 1, VERDICT_MS) == 1)
		(void)recv(fd, reply, sizeof(reply), 0);
}

/* Bring the other end into the state that is attacked. */
static void
approach(const struct place *p, int fd)
{
	unsigned state = p->cell.state;

	if (p->target == T_KEYD && state != KEX_KEYD_NEW) {
		say(fd, MSG_xk_open);
		hear(fd);
		if (state == KEX_KEYD_SIGNED) {
			say(fd, MSG_xk_sign);
			hear(fd);
		}
	}
	if (p->target == T_VAULT && state != KEX_VAULT_NEW) {
		say(fd, MSG_xv_auth);
		if (state == KEX_VAULT_ANSWERED)
			hear(fd);
	}
}

static void
kex_attack(const struct kex *k)
{
	const struct place *p;
	size_t at;
	int64_t i;

	i = board_next(board, count_places(kex_places, PLACES(kex_places)) +
	    special_kex_count());
	if (i == -1)
		return;
	at = (size_t)i;
	p = find_place(kex_places, PLACES(kex_places), &at);
	if (p == NULL)
		special_kex(k, (size_t)i, at);
	else if (p->target == T_SESSION) {
		uint32_t at32 = (uint32_t)i;

		/* The twin does it; its end is waited for. */
		(void)send(chan_fd(k->twin), &at32, sizeof(at32), MSG_NOSIGNAL);
		(void)board_listen(board, chan_fd(k->twin), -1);
	} else {
		int fd = chan_fd(p->target == T_KEYD ? k->keyd : k->vault);

		approach(p, fd);
		attempt((size_t)i, p, at, k->n, fd);
	}
}

static void
twin_attack(const struct kex *k)
{
	size_t at;
	int64_t i;

	i = board_next(board, count_places(twin_places, PLACES(twin_places)));
	if (i == -1)
		return;
	at = (size_t)i;
	attempt(at, find_place(twin_places, PLACES(twin_places), &at), at, k->n,
	    chan_fd(k->twin));
}

int
__wrap_kex_run(const struct kex *k)
{
	if (board->mode != MODE_KEX && board->mode != MODE_TWIN)
		return __real_kex_run(k);
	if (take_client(k) == -1)
		return 0;
	if (board->mode == MODE_KEX)
		kex_attack(k);
	else
		twin_attack(k);
	return 0;
}

/* ---- the session worker ---------------------------------------------------- */

static void
inert_attack(uint64_t n, int vault, int twin)
{
	const struct place *p;
	uint32_t i;
	size_t at;

	while (recv(twin, &i, sizeof(i), 0) == -1) {
		struct pollfd pfd = { .fd = twin, .events = POLLIN };

		(void)poll(&pfd, 1, -1);
	}
	at = i;
	p = find_place(kex_places, PLACES(kex_places), &at);
	if (p != NULL && p->target == T_SESSION)
		attempt(i, p, at, n, vault);
}
