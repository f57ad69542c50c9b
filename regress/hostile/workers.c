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

#define VERDICT_MS	30000	/* until a channel that must close is closed */
#define QUIET_MS	150	/* how long an answer is waited for otherwise */

/* What a taken-over worker can write to, in each state of the other end. */
enum target { T_KEYD, T_VAULT, T_SESSION, T_TWIN, T_MODEL };

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
	{ T_MODEL, { CH_SESS_LLM, END_B, SESS_LLM_UP, false, false } },
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

/* The next datagram stays where it is. */
static size_t
peek(int fd, uint8_t *p, size_t size)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	ssize_t n;

	while (poll(&pfd, 1, -1) != 1)
		;
	n = recv(fd, p, size, MSG_PEEK | MSG_DONTWAIT);
	return n < 0 ? 0 : (size_t)n;
}

/* Clients from there wake hostile workers; those of others are honest. */
static bool
is_driver(const struct kex *k)
{
	uint8_t p[256];
	size_t n = peek(chan_fd(k->zygote), p, sizeof(p));

	return memmem(p, n, HOSTILE_SOURCE, strlen(HOSTILE_SOURCE)) != NULL;
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

	i = board_next(board, special_kex_count() +
	    count_places(kex_places, PLACES(kex_places)));
	if (i == -1)
		return;
	if ((size_t)i < special_kex_count()) {
		special_kex(k, (size_t)i);
		return;
	}
	at = (size_t)i - special_kex_count();
	p = find_place(kex_places, PLACES(kex_places), &at);
	if (p->target == T_SESSION) {
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
	if ((board->mode != MODE_KEX && board->mode != MODE_TWIN) ||
	    !is_driver(k))
		return __real_kex_run(k);
	if (board->mode == MODE_KEX)
		kex_attack(k);
	else
		twin_attack(k);
	return 0;
}

/* ---- the session worker ---------------------------------------------------- */

/* Before anybody is authenticated, at the kex worker's word. */
static void
inert_attack(uint64_t n, int vault, int twin)
{
	const struct place *p;
	uint32_t i;
	size_t at;

	if (recv(twin, &i, sizeof(i), 0) != (ssize_t)sizeof(i))
		return;
	at = i - special_kex_count();
	p = find_place(kex_places, PLACES(kex_places), &at);
	if (p != NULL && p->target == T_SESSION)
		attempt(i, p, at, n, vault);
}

int
model_channel(struct chan *vault)
{
	struct m_sv_open_model m = { .req = 1 };
	const char *why;
	struct msg reply;

	if (__real_chan_send(vault, MSG_sv_open_model, &m, -1) == -1 ||
	    chan_recv(vault, &reply, VERDICT_MS, &why) != 0 ||
	    reply.type != MSG_vs_open_model)
		return -1;
	return reply.fd;
}

/* With a client who was authenticated by the real kex worker. */
static void
live_attack(uint64_t n, struct chan *vault)
{
	size_t at, specials = special_session_count();
	const struct place *p;
	int64_t i;
	int fd;

	i = board_next(board, specials +
	    count_places(session_places, PLACES(session_places)));
	if (i == -1)
		return;
	if ((size_t)i < specials) {
		special_session(vault, n, (size_t)i);
		return;
	}
	at = (size_t)i - specials;
	p = find_place(session_places, PLACES(session_places), &at);
	fd = p->target == T_MODEL ? model_channel(vault) : chan_fd(vault);
	attempt((size_t)i, p, at, n, fd);
}

int
__wrap_session_run(uint64_t n, int vault, int twin)
{
	struct chan *v, *t;
	uint8_t first[256];
	const char *why;
	struct msg m;

	if (board->mode == MODE_KEX &&
	    peek(twin, first, sizeof(first)) == sizeof(uint32_t)) {
		inert_attack(n, vault, twin);
		return 0;
	}
	if (board->mode != MODE_SESSION ||
	    memmem(first, peek(vault, first, sizeof(first)), HOSTILE_USER,
	    strlen(HOSTILE_USER)) == NULL)
		return __real_session_run(n, vault, twin);
	t = chan_new(NULL, twin, CH_TWIN, END_B, TWIN_WAIT, CHAN_RECV_FD, NULL,
	    NULL, NULL);
	v = chan_new(NULL, vault, CH_SESS_VAULT, END_A, SESS_VAULT_INERT,
	    CHAN_RECV_FD, NULL, NULL, NULL);
	if (chan_recv(t, &m, -1, &why) != 0 || chan_recv(v, &m, -1, &why) != 0)
		return 0;
	chan_set_state(v, SESS_VAULT_LIVE);
	live_attack(n, v);
	return 0;
}
