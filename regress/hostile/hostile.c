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
	board = board_beside(argv[0]);
	(void)msg_desc(0);
	__real_role_start(r, id, argc, argv, prepare);
}

bool
armed_for(int32_t what)
{
	uint32_t armed = 1;

	return board != NULL && board->mode == MODE_ROLE &&
	    board->what == what &&
	    atomic_compare_exchange_strong(&board->armed, &armed, 0);
}

/* The next that must fail. */
void
attack_end(int fd, const struct cell *cell)
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
	attack_send(fd, &a);
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

/* What keyd says is not what it should be. */
static int
lie(struct chan *c, enum msg_type type, const void *body)
{
	struct m_kx_sig sig = { .sig = { NULL, 0 } };
	struct m_kv_nonce nonce;
	uint8_t other[512];

	board_begin(board, 0, 0, true, type == MSG_kx_sig ?
	    "signs something else" : "tells the vault another nonce");
	if (type == MSG_kx_sig) {
		sig = *(const struct m_kx_sig *)body;
		memcpy(other, sig.sig.p, sig.sig.n);
		other[sig.sig.n / 2] ^= 1;
		sig.sig.p = other;
		return __real_chan_send(c, type, &sig, -1);
	}
	nonce = *(const struct m_kv_nonce *)body;
	nonce.random_s[0] ^= 1;
	return __real_chan_send(c, type, &nonce, -1);
}

/* What a restarted role says first: before that nobody listens to it. */
static bool
is_hello(enum msg_type type)
{
	for (int l = 0; l < LINKS; l++)
		if (link_decls[l].hello[0] == type ||
		    link_decls[l].hello[1] == type)
			return true;
	return false;
}

/*
 * A hostile role behaves until the board says that it attacks: then before its
 * next message on the channel that is to be attacked (after a hello), or, on the
 * log socket and the control channel, before any message.
 */
int
__wrap_chan_send(struct chan *c, enum msg_type type, const void *body, int fd)
{
	const struct msg_desc *d = msg_desc(type);
	struct cell cell = {
		.kind = d->kind, .end = d->dir == AB ? END_B : END_A,
		.state = d->states, .lean = true
	};
	int r = 0;
	const struct cell ctl = { CH_CTL, END_A, CTL_RUN, false, true };
	const struct cell log = { CH_LOG, END_B, LOG_OPEN, false, true };

	if (board != NULL && type == MSG_xv_auth)
		keep_auth(body);
	if (is_hello(type) && (r = __real_chan_send(c, type, body, fd)) == -1)
		return -1;
	if (armed_for(PLAN_NEXT) || armed_for((int32_t)d->kind))
		attack_end(chan_fd(c), &cell);
	else if (armed_for(CH_CTL))
		attack_end(FD_CONTROL, &ctl);
	else if (armed_for(CH_LOG))
		attack_end(FD_LOG, &log);
	else if ((type == MSG_kx_sig && armed_for(PLAN_SIGNATURE)) ||
	    (type == MSG_kv_nonce && armed_for(PLAN_NONCE)))
		return lie(c, type, body);
	return is_hello(type) ? r : __real_chan_send(c, type, body, fd);
}
