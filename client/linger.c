#include "linger.h"

#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "loop.h"
#include "tcp.h"

#define CLOSE_MS	2000

void
say_close(int fd, struct appconn *app)
{
	/* Whether it arrives is the server's to notice. */
	if (appconn_close(app) == 0)
		(void)tcp_write(fd, appconn_output(app), mono_ms() + CLOSE_MS);
}

/* Answer what wants an answer (fresh keys); -1 when that cannot be said. */
static int
answer(int fd, struct appconn *app)
{
	struct bytes b = appconn_output(app);

	if (b.n > 0 && tcp_write(fd, b, mono_ms() + CLOSE_MS) == -1)
		return -1;
	appconn_written(app, b.n);
	return 0;
}

/* Read what comes; -1 at the session's end. */
static int
swallow(int fd, struct appconn *app)
{
	enum appconn_result v;
	struct msg m;
	uint8_t *p;
	size_t room;
	ssize_t n;

	do
		v = appconn_next(app, &m);
	while (v == APPCONN_MESSAGE);
	if (v != APPCONN_AGAIN || answer(fd, app) == -1)
		return -1;
	p = appconn_room(app, &room);
	n = read(fd, p, room);
	if (n > 0)
		appconn_arrived(app, (size_t)n);
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		return -1;
	return 0;
}

/* Until the server is quiet: 0; -1 when the session has ended. */
static int
wait_quiet(int fd, struct appconn *app, uint64_t heard_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint64_t begin = mono_ms(), now = begin;

	while (now < heard_ms + LINGER_QUIET_MS &&
	    now < begin + LINGER_MAX_MS) {
		if (poll(&p, 1, (int)(heard_ms + LINGER_QUIET_MS - now)) == 1) {
			if (swallow(fd, app) == -1)
				return -1;
			heard_ms = mono_ms();
		}
		now = mono_ms();
	}
	return 0;
}

/* Nothing of what the user's shell waits for may stay open; fd becomes 3. */
static int
alone(int fd)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null == -1 || setsid() == -1 || chdir("/") == -1)
		return -1;
	for (int i = 0; i <= STDERR_FILENO; i++)
		if (dup2(null, i) == -1)
			return -1;
	if (fd != 3 && dup2(fd, 3) == -1)
		return -1;
	return close_range(4, ~0U, 0);
}

void
linger(int fd, struct appconn *app, uint64_t heard_ms)
{
	pid_t pid = fork();

	if (pid == -1)
		say_close(fd, app);
	if (pid != 0)
		return;
	(void)signal(SIGINT, SIG_DFL);
	(void)signal(SIGTERM, SIG_DFL);
	if (alone(fd) == 0 && wait_quiet(3, app, heard_ms) == 0)
		say_close(3, app);
	appconn_free(app);
	_exit(0);
}
