#include "board.h"

#include <sys/mman.h>
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "log.h"

struct board *
board_open(const char *path, bool create)
{
	struct board *b;
	int fd;

	if ((fd = open(path, O_RDWR | (create ? O_CREAT | O_EXCL : 0),
	    0600)) == -1)
		fatal("%s", path);
	if (create && ftruncate(fd, sizeof(*b)) == -1)
		fatal("%s", path);
	b = mmap(NULL, sizeof(*b), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (b == MAP_FAILED)
		fatal("mmap");
	(void)close(fd);
	return b;
}

struct board *
board_beside(const char *argv0)
{
	char path[4096];
	const char *slash = strrchr(argv0, '/');

	if (slash == NULL)
		fatalx("a hostile program is started by cloisterd");
	(void)snprintf(path, sizeof(path), "%.*s/%s", (int)(slash - argv0),
	    argv0, BOARD_NAME);
	return board_open(path, false);
}

int64_t
board_next(struct board *b, size_t total)
{
	uint32_t i = atomic_fetch_add(&b->next, 1);

	atomic_store(&b->total, (uint32_t)total);
	return i < total && i < BOARD_MAX ? (int64_t)i : -1;
}

void
board_begin(struct board *b, size_t i, uint64_t n, bool must_die,
    const char *name)
{
	struct board_attempt *at = &b->at[i];

	at->n = n;
	at->must_die = must_die;
	(void)strlcpy(at->name, name, sizeof(at->name));
	atomic_store(&at->result, RESULT_BEGUN);
}

void
board_end(struct board *b, size_t i, enum board_result r)
{
	atomic_store(&b->at[i].result, r);
}

bool
board_leak(const struct board *b, const void *p, size_t n)
{
	for (uint32_t i = 0; i < b->nsecrets; i++)
		if (memmem(p, n, b->secret[i].p, b->secret[i].n) != NULL)
			return true;
	return false;
}

enum board_result
board_listen(const struct board *b, int fd, int wait_ms)
{
	static uint8_t reply[2 * MSG_MAX_BYTES];
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	ssize_t n;
	int r;

	for (;;) {
		while ((r = poll(&pfd, 1, wait_ms)) == -1 && errno == EINTR)
			;
		if (r <= 0)
			return RESULT_TAKEN;
		n = recv(fd, reply, sizeof(reply), MSG_DONTWAIT);
		if (n == 0 || (n == -1 && errno != EAGAIN && errno != EINTR))
			return RESULT_REFUSED;
		if (n > 0 && board_leak(b, reply, (size_t)n))
			return RESULT_BREACH;
	}
}
