/*
 * Enters a cell and does what its filter catches:
 *
 *   trap        as keyd, execve(2)
 *   trap -w     as a session worker in its zygote's cell, socketpair(2)
 */
#include <sys/prctl.h>
#include <sys/socket.h>

#include <string.h>
#include <unistd.h>

#include "log.h"
#include "sandbox.h"

int
main(int argc, char **argv)
{
	bool worker = argc == 2 && strcmp(argv[1], "-w") == 0;
	pid_t parent = getppid();
	int fd[2];

	log_set_name("trap");
	/* Root is not dropped: what is tried is the filter alone. */
	(void)sandbox_enter(worker ? CELL_ZYGOTE : CELL_KEYD, parent, "", 1);
	if (worker) {
		sandbox_worker(CELL_SESSION, parent);
		(void)socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fd);
	} else
		(void)execve("/bin/true", argv, argv + argc);
	return 0;
}
