/*
 * memscan: which processes have which secrets in their memory.
 *
 *	memscan PID ... < "NAME HEX" lines
 *
 * Prints "PID NAME" for each secret found in any readable mapping of a process,
 * each pair once.  Needs ptrace rights over the processes (root).  Exit 0 when
 * everything could be read.
 */
#include <sys/types.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bytes.h"

#define MAX_SECRETS	64
#define MAX_LEN		512
#define STEP		((size_t)1 << 20)
#define SHADOW		((uint64_t)1 << 40)	/* see scan() */

struct secret {
	char	name[64];
	uint8_t	p[MAX_LEN];
	size_t	n;
	int	found;
};

static struct secret secrets[MAX_SECRETS];
static int nsecrets;
static uint8_t block[STEP + MAX_LEN];

static void
read_secrets(void)
{
	char line[2 * MAX_LEN + 128], hex[2 * MAX_LEN + 1];

	while (fgets(line, sizeof(line), stdin) != NULL) {
		struct secret *s = &secrets[nsecrets];

		if (nsecrets == MAX_SECRETS ||
		    sscanf(line, "%63s %1024s", s->name, hex) != 2 ||
		    strlen(hex) < 16 || strlen(hex) % 2 != 0 ||
		    hex_decode(s->p, strlen(hex) / 2, hex) == -1) {
			(void)fprintf(stderr, "memscan: bad secret: %s", line);
			exit(2);
		}
		s->n = strlen(hex) / 2;
		nsecrets++;
	}
}

static void
search(const uint8_t *p, size_t n, pid_t pid)
{
	/* Most of what is mapped was never touched. */
	if (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0)
		return;
	for (int i = 0; i < nsecrets; i++) {
		struct secret *s = &secrets[i];

		if (!s->found && memmem(p, n, s->p, s->n) != NULL) {
			s->found = 1;
			printf("%d %s\n", pid, s->name);
		}
	}
}

/* A mapping, in steps that overlap by the longest secret. */
static int
scan_range(int fd, uint64_t from, uint64_t to, pid_t pid)
{
	size_t keep = 0, have;

	while (from < to) {
		size_t want = to - from < STEP ? (size_t)(to - from) : STEP;
		ssize_t n = pread(fd, block + keep, want, (off_t)from);

		if (n <= 0)
			return errno == EIO || n == 0 ? 0 : -1;	/* [vvar] */
		search(block, keep + (size_t)n, pid);
		from += (uint64_t)n;
		have = keep + (size_t)n;
		keep = have < MAX_LEN ? have : MAX_LEN;
		memmove(block, block + have - keep, keep);
	}
	return 0;
}

static int
scan(pid_t pid)
{
	char path[64], line[512], perm[8];
	uint64_t from, to;
	FILE *maps;
	int fd, bad = 0;

	for (int i = 0; i < nsecrets; i++)
		secrets[i].found = 0;
	(void)snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	if ((maps = fopen(path, "r")) == NULL)
		return errno == ENOENT ? 0 : -1;
	(void)snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	if ((fd = open(path, O_RDONLY)) == -1) {
		(void)fclose(maps);
		return -1;
	}
	/* A terabyte is AddressSanitizer's shadow: flags, nobody's data. */
	while (fgets(line, sizeof(line), maps) != NULL)
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s", &from, &to,
		    perm) == 3 && perm[0] == 'r' && from < INT64_MAX &&
		    to - from < SHADOW)
			bad |= scan_range(fd, from, to, pid);
	(void)close(fd);
	(void)fclose(maps);
	return bad;
}

int
main(int argc, char **argv)
{
	int bad = 0;

	read_secrets();
	for (int i = 1; i < argc; i++)
		if (scan((pid_t)atoi(argv[i])) == -1) {
			(void)fprintf(stderr, "memscan: %s: %s\n", argv[i],
			    strerror(errno));
			bad = 1;
		}
	return bad;
}
