/* monitor/notify.c: what is told to a service manager, and what it passes. */
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../monitor/notify.h"

/* A manager's socket: abstract, or a path; its name for the environment. */
static int
manager(char name[108], bool abstract)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t len;

	assert_int_not_equal(fd, -1);
	snprintf(name, 108, "%s/tmp/test_notify.%d", abstract ? "@" : "",
	    getpid());
	strcpy(sun.sun_path, name);
	if (abstract)
		sun.sun_path[0] = '\0';
	else
		(void)unlink(name);
	len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
	    strlen(name) + !abstract);
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, len), 0);
	return fd;
}

static void
child_notifies(const char *name, const char *watchdog)
{
	setenv("NOTIFY_SOCKET", name, 1);
	setenv("WATCHDOG_USEC", watchdog, 1);
	unsetenv("WATCHDOG_PID");
	notify_init();
	if (getenv("NOTIFY_SOCKET") != NULL || getenv("WATCHDOG_USEC") != NULL)
		_exit(9);
	notify("READY=1\nSTATUS=%s", "up");
	_exit((int)notify_watchdog_ms() / 100);
}

static void
told(bool abstract)
{
	char name[108], got[64];
	int fd = manager(name, abstract), status;
	ssize_t n;
	pid_t pid;

	if ((pid = fork()) == 0)
		child_notifies(name, "2000000");
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 20 << 8);
	n = recv(fd, got, sizeof(got), MSG_DONTWAIT);
	assert_int_equal(n, 17);
	assert_memory_equal(got, "READY=1\nSTATUS=up", 17);
	close(fd);
	if (!abstract)
		unlink(name);
}

static void
test_told(void **state)
{
	(void)state;
	told(true);
	told(false);
}

/* A name that is none, or of nobody, stops nothing. */
static void
test_nobody(void **state)
{
	static const char *const names[] = { "", "x", "@", "/nonexistent/s" };
	int status;
	pid_t pid;

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if ((pid = fork()) == 0) {
			if (freopen("/dev/null", "w", stderr) == NULL)
				_exit(8);
			setenv("NOTIFY_SOCKET", names[i], 1);
			setenv("WATCHDOG_USEC", "many", 1);
			notify_init();
			notify("READY=1");
			_exit(notify_watchdog_ms() == 0 ? 0 : 1);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
	}
}

/* In a child: n sockets at 3 and up, said to be for pid. */
static int
taken(int n, long pid, int max, int fds[8])
{
	char text[16];

	closefrom(3);
	for (int i = 0; i < n; i++)
		if (socket(AF_INET, SOCK_STREAM, 0) != 3 + i)
			_exit(8);
	snprintf(text, sizeof(text), "%ld", pid);
	setenv("LISTEN_PID", text, 1);
	snprintf(text, sizeof(text), "%d", n);
	setenv("LISTEN_FDS", text, 1);
	if (freopen("/dev/null", "w", stderr) == NULL)
		_exit(8);
	return activation_take(fds, max, 6);
}

static void
in_child(void (*f)(void), int want)
{
	int status;
	pid_t pid;

	if ((pid = fork()) == 0) {
		f();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, want << 8);
}

static void
take_two(void)
{
	int fds[8], type;
	socklen_t len = sizeof(type);

	if (taken(2, getpid(), 8, fds) != 2)
		_exit(1);
	for (int i = 0; i < 2; i++)
		if (fds[i] < 6 || getsockopt(fds[i], SOL_SOCKET, SO_TYPE,
		    &type, &len) == -1 || fcntl(fds[i], F_GETFD) != FD_CLOEXEC)
			_exit(2);
	if (fcntl(3, F_GETFD) != -1 || fcntl(4, F_GETFD) != -1)
		_exit(3);
	if (getenv("LISTEN_FDS") != NULL)
		_exit(4);
}

static void
take_anothers(void)
{
	int fds[8];

	if (taken(2, getpid() + 1L, 8, fds) != 0)
		_exit(1);
	if (fcntl(3, F_GETFD) != -1)
		_exit(2);
}

static void
take_too_many(void)
{
	int fds[8];

	(void)taken(3, getpid(), 2, fds);
}

static void
test_taken(void **state)
{
	(void)state;
	in_child(take_two, 0);
	in_child(take_anothers, 0);
	in_child(take_too_many, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_told),
		cmocka_unit_test(test_nobody),
		cmocka_unit_test(test_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
