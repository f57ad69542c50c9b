/*
 * Child processes with the means for one job: descriptors at 3 and up, nothing
 * else but standard error.
 */
#ifndef CLIENT_CHILD_H
#define CLIENT_CHILD_H

#include <sys/types.h>

#define CHILD_FDS_MAX	4

/*
 * Run the program with fd[0..n) at 3, 4 ...; they stay the caller's.  argv[0] is
 * its name.  A program that cannot be run says so and ends with 127.
 */
pid_t child_spawn(const char *program, char *const argv[], const int *fd,
    int n);
/* Wait for its end; its status, as waitpid(2) has it. */
int child_reap(pid_t pid);

#endif
