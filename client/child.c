#include "child.h"

#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "ui.h"

#define FIRST	3
#define COPIES	10	/* out of the way of FIRST and up */

/* In the child. */
__attribute__((noreturn)) static void
become(const char *program, char *const argv[], const int *fd, int n)
{
	int null, copy[CHILD_FDS_MAX];

	null = open("/dev/null", O_RDWR);
	if (null == -1 || dup2(null, STDIN_FILENO) == -1 ||
	    dup2(null, STDOUT_FILENO) == -1)
		_exit(126);
	for (int i = 0; i < n; i++)
		if ((copy[i] = fcntl(fd[i], F_DUPFD, COPIES)) == -1)
			_exit(126);
	for (int i = 0; i < n; i++)
		if (dup2(copy[i], FIRST + i) == -1)
			_exit(126);
	closefrom(FIRST + n);
	(void)signal(SIGPIPE, SIG_DFL);
	(void)signal(SIGINT, SIG_DFL);
	(void)execv(program, argv);
	ui_err("cannot run %s: %s; `keyd' in config or $CLOISTER_LIBEXEC says "
	    "where it is", program, strerror(errno));
	_exit(127);
}

pid_t
child_spawn(const char *program, char *const argv[], const int *fd, int n)
{
	pid_t pid;

	if (n > CHILD_FDS_MAX)
		fatalx("too many descriptors for a child");
	ui_step("running %s %s", program, argv[1]);
	pid = fork();
	if (pid == -1)
		fatal("fork");
	if (pid == 0)
		become(program, argv, fd, n);
	return pid;
}

int
child_reap(pid_t pid)
{
	int status = -1;

	while (waitpid(pid, &status, 0) == -1)
		if (errno != EINTR)
			fatal("waitpid");
	return status;
}
