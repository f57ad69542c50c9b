/*
 * The hostile side of a role's program.  The program is the role's own, so that
 * its cell, its descriptors and its manners are the real ones; some functions
 * are replaced at link time (--wrap), and attack as the board says.
 */
#include <stdio.h>
#include <string.h>

#include "board.h"
#include "hostile.h"
#include "log.h"
#include "role.h"

struct board *board;

/* Before anything is given up: the board is found beside the program. */
void
__wrap_role_start(struct role *r, enum role_id id, int argc, char **argv,
    void (*prepare)(struct role *))
{
	char path[4096];
	const char *slash = strrchr(argv[0], '/');

	if (slash == NULL)
		fatalx("a hostile program is started by cloisterd");
	(void)snprintf(path, sizeof(path), "%.*s/%s", (int)(slash - argv[0]),
	    argv[0], BOARD_NAME);
	board = board_open(path, false);
	(void)msg_desc(0);
	__real_role_start(r, id, argc, argv, prepare);
}

/* One attempt on the peer at the other end of c: the next that must fail. */
static void
attack_peer(struct chan *c, const struct cell *cell)
{
	size_t total = attack_count(cell);
	struct attack a;

	for (size_t i = board->first; ; i++) {
		attack_make(cell, i % total, &a);
		if (a.must_die)
			break;
		attack_free(&a);
	}
	board_begin(board, 0, 0, true, a.name);
	attack_send(chan_fd(c), &a);
	attack_free(&a);
}

/* What a kex worker saw of one client, to be used for another connection. */
static void
keep_auth(const void *body)
{
	struct buf b = BUF_INIT(MSG_MAX_BYTES);

	if (msg_encode(MSG_xv_auth, body, &b) == 0) {
		memcpy(board->auth, b.p, b.n);
		board->auth_n = (uint32_t)b.n;
	}
	buf_free(&b);
}

/*
 * A hostile role behaves until the board says that it attacks: then before its
 * next message on that message's channel.
 */
int
__wrap_chan_send(struct chan *c, enum msg_type type, const void *body, int fd)
{
	const struct msg_desc *d = msg_desc(type);
	struct cell cell = {
		.kind = d->kind, .end = d->dir == AB ? END_B : END_A,
		.state = d->states, .lean = true
	};

	if (board != NULL && type == MSG_xv_auth)
		keep_auth(body);
	if (board != NULL && board->mode == MODE_ROLE &&
	    atomic_exchange(&board->armed, 0) == 1)
		attack_peer(c, &cell);
	return __real_chan_send(c, type, body, fd);
}
