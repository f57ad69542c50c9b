#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "chan.h"

#define FLOOD_FDS	253	/* SCM_MAX_FD of the kernel */

static struct loop *loop;
static int pair[2];		/* [0] is the channel's, [1] the test's */
static int fds_before;
static int got, closed, ended_well;
static char why_text[64];
static int kept_fd;
static bool free_in_msg;

/* Descriptors of this process: no test may leave one behind. */
static int
count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

static int
setup(void **state)
{
	(void)state;
	fds_before = count_fds();
	loop = loop_new();
	got = closed = ended_well = 0;
	kept_fd = -1;
	free_in_msg = false;
	why_text[0] = '\0';
	return chan_pair(pair, true);
}

/* Frees what setup() made; the channel itself is the test's to free. */
static int
teardown(void **state)
{
	(void)state;
	if (pair[1] != -1)
		close(pair[1]);
	loop_free(loop);
	if (count_fds() != fds_before) {
		print_error("%d descriptors leaked\n",
		    count_fds() - fds_before);
		return -1;
	}
	return 0;
}

static void
stop(void *arg)
{
	(void)arg;
	loop_stop(loop);
}

/* Run the loop until nothing is left to do. */
static void
settle(void)
{
	(void)loop_timer_new(loop, 20, stop, NULL);
	loop_run(loop);
}

static void
on_msg(struct chan *c, struct msg *m, void *arg)
{
	(void)arg;
	assert_int_equal(closed, 0);	/* nothing comes after the end */
	got++;
	if (m->fd != -1 && kept_fd == -1) {
		kept_fd = m->fd;
		m->fd = -1;
	}
	if (free_in_msg)
		chan_free(c);
}

static void
on_closed(struct chan *c, const char *why, void *arg)
{
	(void)arg;
	closed++;
	if (why == NULL)
		ended_well++;
	else
		(void)snprintf(why_text, sizeof(why_text), "%s", why);
	chan_free(c);
}

/* The zygote's end of its link to sessiond: one type with a descriptor. */
static struct chan *
zygote_chan(unsigned flags)
{
	return chan_new(loop, pair[0], CH_SESSD_ZYG, END_B, SESSD_ZYG_UP,
	    flags, on_msg, on_closed, NULL);
}

/* sessiond's end: a type without. */
static struct chan *
sessiond_chan(struct loop *l)
{
	return chan_new(l, pair[0], CH_SESSD_ZYG, END_A, SESSD_ZYG_UP, 0,
	    on_msg, on_closed, NULL);
}

static void
wire(struct buf *b, enum msg_type type)
{
	static const struct m_sz_conn conn = { .id = 7 };
	static const struct m_zs_hello hello = { .generation = 3 };
	static const struct m_zs_done done = { .id = 7 };

	buf_init(b, MSG_MAX_BYTES);
	assert_int_equal(msg_encode(type, type == MSG_sz_conn ?
	    (const void *)&conn : type == MSG_zs_hello ?
	    (const void *)&hello : (const void *)&done, b), 0);
}

/* A datagram from the hostile side, with n descriptors. */
static void
raw_send(const void *p, size_t n, int nfds)
{
	static union {
		struct cmsghdr	align;
		char		buf[CMSG_SPACE(FLOOD_FDS * sizeof(int))];
	} ctl;
	struct iovec iov = { .iov_base = (void *)(uintptr_t)p, .iov_len = n };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cm;

	if (nfds > 0) {
		mh.msg_control = ctl.buf;
		mh.msg_controllen = CMSG_SPACE((size_t)nfds * sizeof(int));
		cm = CMSG_FIRSTHDR(&mh);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN((size_t)nfds * sizeof(int));
		for (int i = 0; i < nfds; i++)
			memcpy(CMSG_DATA(cm) + (size_t)i * sizeof(int),
			    &pair[1], sizeof(int));
	}
	assert_int_equal(sendmsg(pair[1], &mh, MSG_NOSIGNAL), (ssize_t)n);
}

static void
send_type(enum msg_type type, int nfds)
{
	struct buf b;

	wire(&b, type);
	raw_send(b.p, b.n, nfds);
	buf_free(&b);
}

static void
hang_up(void)
{
	close(pair[1]);
	pair[1] = -1;
}

/* Send type with nfds descriptors to the zygote; what becomes of it? */
static void
descriptors(unsigned flags, enum msg_type type, int nfds, const char *why)
{
	struct chan *c = type == MSG_sz_conn ? zygote_chan(flags) :
	    chan_new(loop, pair[0], CH_SESSD_ZYG, END_A, SESSD_ZYG_UP, flags,
	    on_msg, on_closed, NULL);

	send_type(type, nfds);
	settle();
	if (why != NULL) {
		assert_int_equal(got, 0);
		assert_int_equal(closed, 1);
		assert_string_equal(why_text, why);
		return;
	}
	assert_int_equal(got, 1);
	assert_int_equal(closed, 0);
	chan_free(c);
}

#define WRONG_FDS	"wrong number of descriptors"

static void
fd_one(void **state)
{
	(void)state;
	descriptors(CHAN_RECV_FD, MSG_sz_conn, 1, NULL);
	assert_int_not_equal(kept_fd, -1);
	assert_true((fcntl(kept_fd, F_GETFD) & FD_CLOEXEC) != 0);
	close(kept_fd);
}

/* A descriptor that the callback does not take is closed (teardown counts). */
static void
fd_not_taken(void **state)
{
	(void)state;
	kept_fd = -2;
	descriptors(CHAN_RECV_FD, MSG_sz_conn, 1, NULL);
}

static void
fd_none_of_one(void **state)
{
	(void)state;
	descriptors(CHAN_RECV_FD, MSG_sz_conn, 0, WRONG_FDS);
}

static void
fd_two_of_one(void **state)
{
	(void)state;
	descriptors(CHAN_RECV_FD, MSG_sz_conn, 2, WRONG_FDS);
}

static void
fd_many_of_one(void **state)
{
	(void)state;
	descriptors(CHAN_RECV_FD, MSG_sz_conn, FLOOD_FDS, WRONG_FDS);
}

static void
fd_one_of_none(void **state)
{
	(void)state;
	descriptors(CHAN_RECV_FD, MSG_zs_done, 1, WRONG_FDS);
}

static void
fd_many_of_none(void **state)
{
	(void)state;
	descriptors(CHAN_RECV_FD, MSG_zs_done, FLOOD_FDS, WRONG_FDS);
}

/* Without CHAN_RECV_FD the kernel drops what is attached. */
static void
fd_to_plain_channel(void **state)
{
	(void)state;
	descriptors(0, MSG_zs_done, FLOOD_FDS, NULL);
}

static void
fd_needed_on_plain_channel(void **state)
{
	(void)state;
	descriptors(0, MSG_sz_conn, 1, WRONG_FDS);
}

/* nfds descriptors arrive where there is room for fewer. */
static void
at_limit(int nfds, int room)
{
	struct rlimit old, now;
	int last;

	(void)zygote_chan(CHAN_RECV_FD);
	send_type(MSG_sz_conn, nfds);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	last = dup(0);
	assert_int_not_equal(last, -1);
	now = old;
	now.rlim_cur = (rlim_t)(last + room);	/* all below last are taken */
	close(last);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
	settle();
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(got, 0);
	assert_string_equal(why_text, WRONG_FDS);
}

/* MSG_CTRUNC, and the channel ends. */
static void
fd_at_limit(void **state)
{
	(void)state;
	at_limit(1, 0);
}

/* Two are sent, and one fits: it must not pass for the only one. */
static void
fd_cut_to_one(void **state)
{
	(void)state;
	at_limit(2, 1);
}

static void
violation(const void *p, size_t n, const char *why)
{
	(void)zygote_chan(CHAN_RECV_FD);
	raw_send(p, n, 0);
	send_type(MSG_sz_conn, 1);	/* too late */
	settle();
	assert_int_equal(got, 0);
	assert_int_equal(closed, 1);
	assert_string_equal(why_text, why);
}

static void
oversize(void **state)
{
	uint8_t *big = calloc(1, MSG_MAX_BYTES + 100);

	(void)state;
	assert_non_null(big);
	violation(big, MSG_MAX_BYTES + 100, "datagram too long");
	free(big);
}

/* The longest datagram is read as a whole. */
static void
full_size(void **state)
{
	uint8_t *big = calloc(1, MSG_MAX_BYTES);

	(void)state;
	assert_non_null(big);
	violation(big, MSG_MAX_BYTES, "unknown message");
	free(big);
}

static void
unknown_number(void **state)
{
	(void)state;
	violation("\xff\xff", 2, "unknown message");
}

static void
half_a_number(void **state)
{
	(void)state;
	violation("\x05", 1, "malformed message");
}

/* An empty datagram is no end of file. */
static void
empty_datagram(void **state)
{
	(void)state;
	violation("", 0, "malformed message");
}

static void
wrong_direction(void **state)
{
	struct buf b;

	(void)state;
	wire(&b, MSG_zs_done);
	violation(b.p, b.n, "message not permitted here");
	buf_free(&b);
}

static void
wrong_state(void **state)
{
	struct chan *c = sessiond_chan(loop);

	(void)state;
	assert_int_equal(chan_state(c), SESSD_ZYG_UP);
	chan_set_state(c, 0);
	send_type(MSG_zs_done, 0);
	settle();
	assert_int_equal(got, 0);
	assert_string_equal(why_text, "message not permitted here");
}

/* What was said before the peer went is heard, in order, then the end. */
static void
end_after_messages(void **state)
{
	(void)state;
	(void)sessiond_chan(loop);
	for (int i = 0; i < 100; i++)	/* more than one burst */
		send_type(MSG_zs_done, 0);
	hang_up();
	settle();
	assert_int_equal(got, 100);
	assert_int_equal(closed, 1);
	assert_int_equal(ended_well, 1);
}

/* The peer's end of writing alone is an end too. */
static void
half_closed(void **state)
{
	(void)state;
	(void)sessiond_chan(loop);
	send_type(MSG_zs_done, 0);
	assert_int_equal(shutdown(pair[1], SHUT_WR), 0);
	settle();
	assert_int_equal(got, 1);
	assert_int_equal(ended_well, 1);
}

static void
free_in_callback(void **state)
{
	(void)state;
	free_in_msg = true;
	(void)sessiond_chan(loop);
	send_type(MSG_zs_done, 0);
	send_type(MSG_zs_done, 0);
	settle();
	assert_int_equal(got, 1);
	assert_int_equal(closed, 0);
	chan_free(NULL);
}

static struct chan *other;

static void
free_other(struct chan *c, struct msg *m, void *arg)
{
	(void)m;
	(void)arg;
	got++;
	chan_free(other);
	chan_free(c);
	chan_free(c);		/* inside its callback it still exists */
}

/* A callback frees another channel whose event waits in the same round. */
static void
free_each_other(void **state)
{
	int second[2];
	struct buf b;
	struct chan *c;

	(void)state;
	assert_int_equal(chan_pair(second, true), 0);
	c = chan_new(loop, pair[0], CH_SESSD_ZYG, END_A, SESSD_ZYG_UP, 0,
	    free_other, on_closed, NULL);
	other = chan_new(loop, second[0], CH_SESSD_ZYG, END_A, SESSD_ZYG_UP, 0,
	    on_msg, on_closed, NULL);
	(void)c;
	send_type(MSG_zs_done, 0);
	wire(&b, MSG_zs_done);
	assert_int_equal(send(second[1], b.p, b.n, 0), (ssize_t)b.n);
	buf_free(&b);
	settle();
	/* The first frees both, or the second was heard before. */
	assert_true(got == 1 || got == 2);
	close(second[1]);
}

/* A peer that does not read: queued, with descriptors, and then delivered. */
static void
queueing(void **state)
{
	static uint8_t rx[MSG_MAX_BYTES];
	struct chan *c = chan_new(loop, pair[0], CH_SESSD_ZYG, END_A,
	    SESSD_ZYG_UP, 0, on_msg, on_closed, NULL);
	struct m_sz_conn m = { .source = bytes_str("192.0.2.1") };
	uint64_t sent = 0, read_ids = 0;
	ssize_t n;

	(void)state;
	while (chan_queued(c) < 12000) {	/* more than fits at once */
		m.id = sent++;
		assert_int_equal(chan_send(c, MSG_sz_conn, &m, 0), 0);
	}
	for (int quiet = 0; quiet < 3;) {
		n = recv(pair[1], rx, sizeof(rx), 0);
		if (n == -1) {
			assert_int_equal(errno, EAGAIN);
			settle();
			quiet++;
			continue;
		}
		quiet = 0;
		assert_int_equal(get_be64(rx + 2), read_ids++);	/* in order */
	}
	assert_true(read_ids == sent);
	assert_int_equal(chan_queued(c), 0);
	assert_int_equal(closed, 0);
	chan_free(c);
}

/* More than CHAN_QUEUE_MAX_BYTES pile up: the end, told by the loop. */
static void
overflow(void **state)
{
	static uint8_t part[60000];
	struct m_ve_write w = { .ops = bytes_of(part, sizeof(part)) };
	struct chan *c = chan_new(loop, pair[0], CH_VAULT_ENGINE, END_A,
	    VAULT_ENGINE_UP, 0, on_msg, on_closed, NULL);
	int sent = 0;

	(void)state;
	while (chan_queued(c) < CHAN_QUEUE_MAX_BYTES - 2 * sizeof(part)) {
		assert_int_equal(chan_send(c, MSG_ve_write, &w, -1), 0);
		assert_true(++sent < 400);
	}
	/* Exactly full, then one too many. */
	w.ops.n = (CHAN_QUEUE_MAX_BYTES - chan_queued(c)) / 2 - 15;
	assert_int_equal(chan_send(c, MSG_ve_write, &w, -1), 0);
	w.ops.n = CHAN_QUEUE_MAX_BYTES - chan_queued(c) - 15;
	assert_int_equal(chan_send(c, MSG_ve_write, &w, -1), 0);
	assert_int_equal(chan_queued(c), CHAN_QUEUE_MAX_BYTES);
	w.ops.n = 0;
	assert_int_equal(chan_send(c, MSG_ve_write, &w, -1), -1);
	assert_int_equal(chan_queued(c), CHAN_QUEUE_MAX_BYTES);
	assert_int_equal(closed, 0);	/* not from inside chan_send() */
	assert_int_equal(chan_send(c, MSG_ve_write, &w, -1), -1);
	settle();
	assert_int_equal(closed, 1);
	assert_int_equal(ended_well, 1);
}

/*
 * A kept link: whatever one holder of a socket does wrong or suffers, the next
 * holder of the same socket can use it.
 */
static void
usable(int fd)
{
	struct buf b;
	uint8_t rx[64];

	wire(&b, MSG_zs_done);
	assert_int_equal(send(fd, b.p, b.n, MSG_NOSIGNAL), (ssize_t)b.n);
	assert_int_equal(recv(pair[1], rx, sizeof(rx), 0), (ssize_t)b.n);
	buf_free(&b);
}

static void
kept_after_violation(void **state)
{
	int kept = dup(pair[0]);

	(void)state;
	(void)sessiond_chan(loop);
	raw_send("\xff\xff", 2, 0);
	settle();
	assert_int_equal(closed, 1);
	usable(kept);
	close(kept);
}

static void
kept_after_overflow(void **state)
{
	static uint8_t part[60000], rx[MSG_MAX_BYTES];
	struct m_ve_write w = { .ops = bytes_of(part, sizeof(part)) };
	int kept = dup(pair[0]);
	struct chan *c = chan_new(loop, pair[0], CH_VAULT_ENGINE, END_A,
	    VAULT_ENGINE_UP, 0, on_msg, on_closed, NULL);

	(void)state;
	while (chan_send(c, MSG_ve_write, &w, -1) == 0)
		;
	settle();
	assert_int_equal(closed, 1);
	while (recv(pair[1], rx, sizeof(rx), 0) > 0)
		;
	usable(kept);
	close(kept);
}

static void
send_to_nobody(void **state)
{
	struct chan *c = sessiond_chan(loop);
	struct m_sz_conn m = { .id = 1 };

	(void)state;
	send_type(MSG_zs_done, 0);
	hang_up();
	assert_int_equal(chan_send(c, MSG_sz_conn, &m, 0), -1);
	assert_int_equal(closed, 0);
	settle();
	assert_int_equal(got, 1);	/* its last words were heard */
	assert_int_equal(closed, 1);
}

static void
on_closed_keep(struct chan *c, const char *why, void *arg)
{
	(void)c;
	(void)why;
	(void)arg;
	closed++;
}

/* A peer that will read no more, while messages for it are queued. */
static void
deaf_peer(void **state)
{
	static uint8_t rx[MSG_MAX_BYTES];
	struct chan *c = sessiond_chan(loop);
	struct m_sz_conn m = { .id = 1 };

	(void)state;
	while (chan_queued(c) < 1000)
		assert_int_equal(chan_send(c, MSG_sz_conn, &m, 0), 0);
	assert_int_equal(shutdown(pair[1], SHUT_RD), 0);
	while (recv(pair[1], rx, sizeof(rx), 0) > 0)
		;
	settle();
	assert_int_equal(closed, 1);
}

/* An owner that keeps the channel is told once, and can say nothing more. */
static void
told_once(void **state)
{
	struct chan *c = chan_new(loop, pair[0], CH_SESSD_ZYG, END_A,
	    SESSD_ZYG_UP, 0, on_msg, on_closed_keep, NULL);
	struct m_sz_conn m = { .id = 1 };

	(void)state;
	hang_up();
	assert_int_equal(chan_send(c, MSG_sz_conn, &m, 0), -1);
	settle();
	settle();
	assert_int_equal(closed, 1);
	chan_free(c);
}

/* Freed by its callback among the last words: nothing more is told. */
static void
freed_at_the_end(void **state)
{
	struct chan *c = sessiond_chan(loop);
	struct m_sz_conn m = { .id = 1 };

	(void)state;
	free_in_msg = true;
	send_type(MSG_zs_done, 0);
	send_type(MSG_zs_done, 0);
	hang_up();
	assert_int_equal(chan_send(c, MSG_sz_conn, &m, 0), -1);
	settle();
	assert_int_equal(got, 1);
	assert_int_equal(closed, 0);
}

static void
silent_after_violation(void **state)
{
	struct chan *c = chan_new(loop, pair[0], CH_SESSD_ZYG, END_A,
	    SESSD_ZYG_UP, 0, on_msg, on_closed_keep, NULL);
	struct m_sz_conn m = { .id = 1 };
	uint8_t rx[64];

	(void)state;
	raw_send("\xff\xff", 2, 0);
	settle();
	assert_int_equal(closed, 1);
	assert_int_equal(chan_send(c, MSG_sz_conn, &m, 0), -1);
	assert_int_equal(recv(pair[1], rx, sizeof(rx), 0), -1);
	assert_int_equal(chan_drain(c), -1);
	chan_free(c);
}

/* What a program may not send stops it: the table holds for both ends. */
static void
not_to_be_sent(void **state)
{
	static char text[65];
	struct m_sz_conn conn = { .id = 1 };
	struct m_zs_done done = { .id = 1 };
	struct m_vl_revoke other_link = { .n = 1 };
	const struct {
		enum msg_type	 type;
		const void	*body;
		int		 fd;
	} bad[] = {
		{ MSG_sz_conn, &conn, -1 },	/* no descriptor */
		{ MSG_zs_done, &done, -1 },	/* the other direction */
		{ MSG_vl_revoke, &other_link, -1 },	/* another channel */
		{ MSG_sz_conn, &conn, 0 },	/* too long a text */
	};
	int status;
	pid_t pid;

	(void)state;
	memset(text, 'x', sizeof(text));
	for (size_t i = 0; i < 4; i++) {
		struct chan *c = sessiond_chan(loop);

		if (i == 3)
			conn.source = bytes_of(text, sizeof(text));
		assert_int_not_equal(pid = fork(), -1);
		if (pid == 0) {
			/* Its message is not this program's output. */
			close(STDERR_FILENO);
			(void)chan_send(c, bad[i].type, bad[i].body, bad[i].fd);
			_exit(0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) != 0);
		chan_free(c);
		close(pair[1]);
		assert_int_equal(chan_pair(pair, true), 0);
	}
	close(pair[0]);
}

static int rounds;

static void
count_round(void *arg)
{
	(void)arg;
	rounds++;
}

/* Paused: nothing is delivered until it goes on; a hang-up does not spin. */
static void
pausing(void **state)
{
	struct chan *c = sessiond_chan(loop);

	(void)state;
	chan_pause(c, true);
	send_type(MSG_zs_done, 0);
	settle();
	assert_int_equal(got, 0);
	chan_pause(c, false);
	settle();
	assert_int_equal(got, 1);
	chan_pause(c, true);
	send_type(MSG_zs_done, 0);
	hang_up();
	rounds = 0;
	loop_set_idle(loop, count_round, NULL);
	settle();
	assert_int_equal(got, 2);
	assert_int_equal(ended_well, 1);
	assert_true(rounds < 10);
}

static void
pause_again(struct chan *c, struct msg *m, void *arg)
{
	(void)m;
	(void)arg;
	got++;
	chan_pause(c, true);
}

/* A callback that pauses at each message, and a peer that has gone. */
static void
pausing_in_callback(void **state)
{
	(void)state;
	(void)chan_new(loop, pair[0], CH_SESSD_ZYG, END_A, SESSD_ZYG_UP, 0,
	    pause_again, on_closed, NULL);
	for (int i = 0; i < 5; i++)
		send_type(MSG_zs_done, 0);
	hang_up();
	rounds = 0;
	loop_set_idle(loop, count_round, NULL);
	settle();
	assert_int_equal(got, 5);
	assert_int_equal(closed, 1);
	assert_true(rounds < 20);
}

/* What a predecessor was sent is dropped, good or bad, with descriptors. */
static void
dropping(void **state)
{
	struct chan *c = chan_new(loop, pair[0], CH_KEYD_ZYG, END_B,
	    KEYD_ZYG_UP, CHAN_RECV_FD, on_msg, on_closed, NULL);
	static const struct m_kz_chan old = { .n = 1 };
	static const struct m_kz_welcome hi = { .generation = 2 };
	struct buf a = BUF_INIT(4096), w = BUF_INIT(4096);

	(void)state;
	assert_int_equal(msg_encode(MSG_kz_chan, &old, &a), 0);
	assert_int_equal(msg_encode(MSG_kz_welcome, &hi, &w), 0);
	chan_drop_until(c, MSG_kz_welcome);
	raw_send(a.p, a.n, 1);
	raw_send(a.p, a.n, 3);
	raw_send("\xff\xff", 2, FLOOD_FDS);
	raw_send("", 0, 0);
	settle();
	assert_int_equal(got, 0);
	assert_int_equal(closed, 0);
	raw_send(w.p, w.n, 0);
	raw_send(a.p, a.n, 1);
	settle();
	assert_int_equal(got, 2);	/* the welcome, and what follows */
	assert_int_not_equal(kept_fd, -1);
	close(kept_fd);
	raw_send("\xff\xff", 2, 0);	/* strict again */
	settle();
	assert_int_equal(closed, 1);
	buf_free(&a);
	buf_free(&w);
}

static void
drained_in_order(void **state)
{
	struct chan *c = sessiond_chan(loop);

	(void)state;
	send_type(MSG_zs_done, 0);
	send_type(MSG_zs_hello, 0);
	assert_int_equal(chan_drain(c), 0);
	assert_int_equal(got, 2);
	hang_up();
	assert_int_equal(chan_drain(c), -1);
	assert_int_equal(closed, 1);
}

static void
blocking(void **state)
{
	struct chan *c = sessiond_chan(NULL);
	struct msg m;
	const char *why;

	(void)state;
	send_type(MSG_zs_hello, 0);
	assert_int_equal(chan_recv(c, &m, 1000, &why), 0);
	assert_int_equal(m.type, MSG_zs_hello);
	assert_int_equal(m.u.zs_hello.generation, 3);
	assert_int_equal(chan_recv(c, &m, 0, &why), -1);
	assert_string_equal(why, "timed out");
	assert_int_equal(chan_recv(c, &m, 5, &why), -1);
	assert_string_equal(why, "timed out");
	send_type(MSG_zs_done, 0);	/* a time-out is not the end */
	assert_int_equal(chan_recv(c, &m, -1, &why), 0);
	raw_send("\xff\xff", 2, 0);
	assert_int_equal(chan_recv(c, &m, -1, &why), -1);
	assert_string_equal(why, "unknown message");
	chan_free(c);
	c = NULL;
	close(pair[1]);
	assert_int_equal(chan_pair(pair, true), 0);
	c = sessiond_chan(NULL);
	hang_up();
	assert_int_equal(chan_recv(c, &m, -1, &why), 1);
	assert_int_equal(chan_recv(c, &m, -1, &why), 1);
	chan_free(c);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(fd_one), T(fd_not_taken), T(fd_none_of_one),
		T(fd_two_of_one), T(fd_many_of_one), T(fd_one_of_none),
		T(fd_many_of_none), T(fd_to_plain_channel),
		T(fd_needed_on_plain_channel), T(fd_at_limit), T(fd_cut_to_one), T(oversize),
		T(full_size), T(deaf_peer), T(told_once), T(freed_at_the_end),
		T(silent_after_violation), T(not_to_be_sent),
		T(unknown_number), T(half_a_number), T(empty_datagram),
		T(wrong_direction), T(wrong_state), T(end_after_messages),
		T(half_closed), T(free_in_callback), T(free_each_other),
		T(queueing), T(overflow),
		T(kept_after_violation), T(kept_after_overflow),
		T(send_to_nobody), T(pausing), T(pausing_in_callback),
		T(dropping), T(drained_in_order), T(blocking),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
