#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "ctl.h"
#include "log.h"

/* keyd, offline, reads the host key from its standard input. */
int
cmd_csr(int argc, char **argv)
{
	const char *dir = ctl.libexec != NULL ? ctl.libexec :
	    getenv("CLOISTER_LIBEXEC");
	char key[4096], path[4096], **arg;
	int fd, n = 0;

	if (snprintf(key, sizeof(key), "%s/keys/host.key",
	    ctl.cfg.state_dir) >= (int)sizeof(key) ||
	    snprintf(path, sizeof(path), "%s/keyd", dir != NULL ? dir :
	    LIBEXECDIR) >= (int)sizeof(path))
		fatalx("a path is too long");
	if ((arg = calloc((size_t)argc + 2, sizeof(*arg))) == NULL)
		fatal("calloc");
	if ((fd = open(key, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)) == -1)
		fatal("%s", key);
	if (dup2(fd, STDIN_FILENO) == -1)
		fatal("dup2");
	arg[n++] = path;
	arg[n++] = (char *)(uintptr_t)"--csr";
	for (int i = 1; i < argc; i++)
		arg[n++] = argv[i];
	execv(path, arg);
	fatal("%s", path);
}
