#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "monitor.h"

#define FIRST	3		/* certd -t: chain, host.pub, CA, CRL */
#define NFILES	4
#define COPIES	64		/* above every descriptor of this process */

/* An open file, or /dev/null; -1, after saying why. */
static int
open_for(const char *path, bool may_be_missing)
{
	int fd = open(path != NULL ? path : "/dev/null",
	    O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd == -1 && errno == ENOENT && may_be_missing)
		fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (fd == -1)
		log_err("%s: %s", path, strerror(errno));
	return fd;
}

__attribute__((noreturn)) static void
become(const struct monitor *m, int *fd, int out)
{
	char path[4096], name[] = "certd", opt[] = "-t", s[] = "-s", c[] = "-c",
	    r[] = "-r";
	char *argv[6] = { name, opt, NULL }, *envp[] = { NULL };
	int n = 2;

	if (m->cfg.certificate != NULL)
		argv[n++] = s;
	if (m->cfg.client_ca != NULL)
		argv[n++] = c;
	if (m->cfg.client_crl != NULL)
		argv[n++] = r;
	/* All out of the way first: a source may sit at another's target. */
	for (int i = 0; i < NFILES; i++)
		if ((fd[i] = fcntl(fd[i], F_DUPFD_CLOEXEC, COPIES)) == -1)
			_exit(126);
	if (dup2(out, STDERR_FILENO) == -1)
		_exit(126);
	for (int i = 0; i < NFILES; i++)
		if (dup2(fd[i], FIRST + i) == -1)
			_exit(126);
	closefrom(FIRST + NFILES);
	if (snprintf(path, sizeof(path), "%s/certd", m->libexec) >=
	    (int)sizeof(path))
		_exit(126);
	execve(path, argv, envp);
	_exit(127);
}

/* What certd says, to our own standard error: its sandbox may keep it from a
 * file there. */
static void
relay(int fd)
{
	char text[512];
	ssize_t n;

	while ((n = read(fd, text, sizeof(text))) > 0)
		if (write(STDERR_FILENO, text, (size_t)n) == -1)
			break;
}

int
certs_test(const struct monitor *m)
{
	char pub[4096];
	int fd[NFILES] = { -1, -1, -1, -1 }, out[2], status = -1;
	pid_t pid = -1;

	if (m->cfg.certificate == NULL && m->cfg.client_ca == NULL)
		return 0;
	if (snprintf(pub, sizeof(pub), "%s/keys/host.pub", m->cfg.state_dir) >=
	    (int)sizeof(pub))
		fatalx("state_dir is too long");
	if ((fd[0] = open_for(m->cfg.certificate, false)) == -1 ||
	    (fd[1] = open_for(pub, true)) == -1 ||
	    (fd[2] = open_for(m->cfg.client_ca, false)) == -1 ||
	    (fd[3] = open_for(m->cfg.client_crl, false)) == -1)
		goto out;
	if (pipe2(out, O_CLOEXEC) == -1 || (pid = fork()) == -1)
		fatal("certd -t");
	if (pid == 0)
		become(m, fd, out[1]);
	(void)close(out[1]);
	relay(out[0]);
	(void)close(out[0]);
	if (waitpid(pid, &status, 0) == -1)
		fatal("waitpid");
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		log_err("%s/certd cannot be executed", m->libexec);
out:
	for (int i = 0; i < NFILES; i++)
		if (fd[i] != -1)
			(void)close(fd[i]);
	return status == 0 ? 0 : -1;
}
