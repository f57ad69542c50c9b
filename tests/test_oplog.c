/* monitor/oplog.c: to the journal with its fields, else to standard error. */
#include <sys/socket.h>

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../monitor/logger.h"

static int journal;		/* the journal's end */
static int saved, piped;	/* standard error, and what came there */

static void
catch_stderr(void)
{
	int fd[2];

	assert_int_equal(pipe2(fd, O_CLOEXEC | O_NONBLOCK), 0);
	saved = dup(STDERR_FILENO);
	assert_true(dup2(fd[1], STDERR_FILENO) != -1);
	(void)close(fd[1]);
	piped = fd[0];
}

static void
release_stderr(char *b, size_t size)
{
	ssize_t n = read(piped, b, size - 1);

	b[n > 0 ? n : 0] = '\0';
	(void)dup2(saved, STDERR_FILENO);
	(void)close(saved);
	(void)close(piped);
}

static void
test_journal(void **state)
{
	char b[4096], err[256];
	ssize_t n;

	(void)state;
	oplog(4, "storaged", 77, 5, "alice", "text %d\nPRIORITY=0", 1);
	assert_true((n = recv(journal, b, sizeof(b) - 1, MSG_DONTWAIT)) > 0);
	b[n] = '\0';
	assert_string_equal(b, "PRIORITY=4\nSYSLOG_IDENTIFIER=cloisterd\n"
	    "CLOISTER_ROLE=storaged\nCLOISTER_PID=77\nCLOISTER_SESSION=5\n"
	    "CLOISTER_USER=alice\nMESSAGE=storaged: text 1?PRIORITY=0\n");
	oplog(6, "logger", 1, 0, NULL, "%s", "x");
	assert_true((n = recv(journal, b, sizeof(b) - 1, MSG_DONTWAIT)) > 0);
	b[n] = '\0';
	assert_string_equal(b, "PRIORITY=6\nSYSLOG_IDENTIFIER=cloisterd\n"
	    "CLOISTER_ROLE=logger\nCLOISTER_PID=1\nMESSAGE=logger: x\n");
	/* A journal that does not keep up, or is gone, loses nothing. */
	catch_stderr();
	for (int i = 0; i < 100000 && poll(&(struct pollfd){ .fd = piped,
	    .events = POLLIN }, 1, 0) == 0; i++)
		oplog(6, "logger", 1, 0, NULL, "%d", i);
	release_stderr(err, sizeof(err));
	assert_non_null(strstr(err, "<6>logger[1]: "));
	(void)close(journal);
	catch_stderr();
	oplog(3, "keyd", 9, 8, "alice", "gone");
	release_stderr(err, sizeof(err));
	assert_string_equal(err, "<3>keyd[9]: session 8: gone\n");
}

/* What is no datagram socket is no journal. */
static void
test_none(void **state)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	(void)state;
	oplog_open(fd);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_journal),
	};
	int fd[2];

	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fd) == -1)
		return 1;
	journal = fd[0];
	oplog_open(fd[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
