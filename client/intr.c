#include "intr.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

#include "log.h"

static int pipe_fd[2] = { -1, -1 };
static struct sigaction old_action;

static void
on_sigint(int sig)
{
	int saved = errno;
	ssize_t n;

	(void)sig;
	/* A full pipe already says it. */
	n = write(pipe_fd[1], "", 1);
	(void)n;
	errno = saved;
}

void
intr_start(void)
{
	struct sigaction sa = { .sa_handler = on_sigint };

	if (pipe_fd[0] == -1 && pipe2(pipe_fd, O_CLOEXEC | O_NONBLOCK) == -1)
		fatal("pipe");
	(void)sigemptyset(&sa.sa_mask);
	if (sigaction(SIGINT, &sa, &old_action) == -1)
		fatal("sigaction");
}

void
intr_stop(void)
{
	if (pipe_fd[0] == -1)
		return;
	if (sigaction(SIGINT, &old_action, NULL) == -1)
		fatal("sigaction");
	(void)close(pipe_fd[0]);
	(void)close(pipe_fd[1]);
	pipe_fd[0] = pipe_fd[1] = -1;
}

int
intr_fd(void)
{
	return pipe_fd[0];
}

void
intr_clear(void)
{
	char junk[16];

	while (pipe_fd[0] != -1 && read(pipe_fd[0], junk, sizeof(junk)) > 0)
		;
}
