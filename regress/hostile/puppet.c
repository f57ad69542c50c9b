/*
 * A hostile role against its monitor.  cloisterd starts it as the llmproxy of
 * each of many providers: these are restarted, so each life of one makes one
 * attempt on the control channel, in one of the states of the monitor's end.
 * The first life waits until the service stands and the board says so; when it no
 * longer does, they behave.
 */
#include <poll.h>
#include <unistd.h>

#include "board.h"
#include "log.h"
#include "role.h"

#define VERDICT_MS	30000
#define QUIET_MS	300

static const struct cell places[] = {
	{ CH_CTL, END_A, CTL_START, false, true },
	{ CH_CTL, END_A, CTL_CONF, false, true },
	{ CH_CTL, END_A, CTL_RUN, false, true },
};
#define PLACES	(sizeof(places) / sizeof(places[0]))

static struct board *board;
static struct chan *ctl;

/* What every role may say; the rest is the vault's, the zygote's ... */
static bool
may(const struct msg_desc *d)
{
	return d == msg_desc(MSG_ctl_ready) ||
	    d == msg_desc(MSG_ctl_running) || d == msg_desc(MSG_ctl_pong);
}

/* The monitor kills who breaks the rules: not to be killed is the breach. */
static void
attempt(size_t i, const struct cell *c, size_t at, int instance)
{
	enum board_result r;
	struct attack a;

	attack_make(c, at, &a);
	board_begin(board, i, (uint64_t)instance, a.must_die, a.name);
	attack_send(FD_CONTROL, &a);
	r = board_listen(board, FD_CONTROL, a.must_die ? VERDICT_MS :
	    QUIET_MS);
	board_end(board, i, r == RESULT_REFUSED ? RESULT_TAKEN : r);
	attack_free(&a);
	_exit(0);
}

/* Until a message comes; stopped, or left alone, it ends. */
static void
wait_for(enum msg_type type)
{
	const char *why;
	struct msg m;

	do {
		if (chan_recv(ctl, &m, -1, &why) != 0 ||
		    m.type == MSG_ctl_stop)
			_exit(0);
	} while (m.type != type);
}

int
main(int argc, char **argv)
{
	struct m_ctl_ready ready = { .abi = 1 };
	size_t total = 0, at = 0;
	int instance, place = -1;
	const char *why;
	int64_t i = -1;
	struct msg m;

	(void)argc;
	log_set_name("puppet");
	board = board_beside(argv[0]);
	attack_may = may;
	for (size_t k = 0; k < PLACES; k++)
		total += attack_count(&places[k]);
	ctl = chan_new(NULL, FD_CONTROL, CH_CTL, END_B, CTL_START, 0, NULL,
	    NULL, NULL);
	if (chan_recv(ctl, &m, -1, &why) != 0)
		return 0;
	instance = m.u.ctl_start.instance;
	if (m.u.ctl_start.generation > 1 && atomic_load(&board->armed) != 0 &&
	    (i = board_next(board, total)) != -1)
		for (at = (size_t)i, place = 0;
		    at >= attack_count(&places[place]);
		    at -= attack_count(&places[place++]))
			;
	if (place == 0)
		attempt((size_t)i, &places[0], at, instance);
	(void)chan_send(ctl, MSG_ctl_ready, &ready, -1);
	if (place == 1)
		attempt((size_t)i, &places[1], at, instance);
	chan_set_state(ctl, CTL_CONF);
	wait_for(MSG_ctl_go);
	(void)chan_send(ctl, MSG_ctl_running, NULL, -1);
	if (place == 2)
		attempt((size_t)i, &places[2], at, instance);
	chan_set_state(ctl, CTL_RUN);
	while (m.u.ctl_start.generation == 1 &&
	    atomic_load(&board->armed) == 0)
		(void)poll(NULL, 0, 10);
	if (m.u.ctl_start.generation > 1)
		wait_for(MSG_ctl_stop);
	return 0;
}
