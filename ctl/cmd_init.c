#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl.h"
#include "log.h"

void
ctl_exec_monitor(const char *flag)
{
	const char *dir = getenv("CLOISTER_SBIN");
	char path[4096];
	char *arg[7];
	int n = snprintf(path, sizeof(path), "%s/cloisterd",
	    dir != NULL ? dir : SBINDIR);

	if (n < 0 || (size_t)n >= sizeof(path))
		fatalx("CLOISTER_SBIN is too long");
	n = 0;
	arg[n++] = path;
	arg[n++] = (char *)(uintptr_t)flag;
	arg[n++] = (char *)(uintptr_t)"-f";
	arg[n++] = (char *)(uintptr_t)ctl.conf_path;
	if (ctl.libexec != NULL) {
		arg[n++] = (char *)(uintptr_t)"-L";
		arg[n++] = (char *)(uintptr_t)ctl.libexec;
	}
	arg[n] = NULL;
	execv(path, arg);
	fatal("%s", path);
}

int
cmd_init(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	ctl_exec_monitor("-i");
}

int
cmd_storage_accept(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	ctl_exec_monitor("-A");
}
