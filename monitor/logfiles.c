/*
 * The logger's files, which it cannot open itself: the audit log, the file
 * before it, the next one, and the journal's socket.  And everybody's log level.
 *
 * A new file of the audit log: audit.log is renamed to audit.log.N, N the number
 * of about its last line in twelve digits, so that names sort in order; then a
 * new audit.log is made, and handed to the logger, which until then goes on in
 * the old one.  At each start the logger gets the newest of the renamed files
 * too: if the service ended in between, its state says in which of the two the
 * log ends.
 */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "monitor.h"

#define DIR_NAME	"audit"
#define LOG_NAME	"audit.log"
#define DIGITS		12
#define NEXT_MS		1000	/* between two new files, at least */
#define JOURNAL		"/run/systemd/journal/socket"

static int
open_dir(const struct monitor *m)
{
	char path[4096];

	state_path(m, DIR_NAME, path, sizeof(path));
	return open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static bool
is_renamed(const char *name)
{
	const size_t n = strlen(LOG_NAME);

	return strncmp(name, LOG_NAME ".", n + 1) == 0 &&
	    strspn(name + n + 1, "0123456789") == DIGITS &&
	    name[n + 1 + DIGITS] == '\0';
}

/* The newest renamed file; 0, or -1 when there is none. */
static int
newest(int dir, char name[NAME_MAX + 1])
{
	const struct dirent *e;
	int fd = dup(dir);
	DIR *d;

	*name = '\0';
	if (fd == -1 || (d = fdopendir(fd)) == NULL) {
		if (fd != -1)
			close(fd);
		return -1;
	}
	rewinddir(d);
	while ((e = readdir(d)) != NULL)
		if (is_renamed(e->d_name) && strcmp(e->d_name, name) > 0)
			(void)strlcpy(name, e->d_name, NAME_MAX + 1);
	closedir(d);
	return *name == '\0' ? -1 : 0;
}

int
logfiles_open_prev(const struct monitor *m)
{
	char name[NAME_MAX + 1];
	int dir, fd = -1;

	if ((dir = open_dir(m)) != -1 && newest(dir, name) == 0)
		fd = openat(dir, name, O_RDWR | O_APPEND | O_CLOEXEC |
		    O_NOFOLLOW | O_NOCTTY);
	if (dir != -1)
		close(dir);
	return fd != -1 ? fd : open("/dev/null", O_RDWR | O_CLOEXEC);
}

static int
make(int dir)
{
	return openat(dir, LOG_NAME, O_CREAT | O_EXCL | O_RDWR | O_APPEND |
	    O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
}

int
logfiles_make_missing(const struct monitor *m)
{
	char name[NAME_MAX + 1];
	int dir, fd = -1;

	if ((dir = open_dir(m)) == -1)
		return -1;
	if (newest(dir, name) == 0 && (fd = make(dir)) != -1 &&
	    fsync(dir) == -1) {
		close(fd);
		fd = -1;
	}
	close(dir);
	return fd;
}

/* The next file's descriptor, or -1 with errno and everything as it was. */
static int
next_file(const struct monitor *m, uint64_t seq)
{
	char name[NAME_MAX + 1], last[NAME_MAX + 1];
	int dir, fd = -1, err;

	(void)snprintf(name, sizeof(name), LOG_NAME ".%0*llu", DIGITS,
	    (unsigned long long)seq);
	if ((dir = open_dir(m)) == -1)
		return -1;
	if (!is_renamed(name) ||
	    (newest(dir, last) == 0 && strcmp(name, last) <= 0))
		errno = EEXIST;
	else if (renameat2(dir, LOG_NAME, dir, name, RENAME_NOREPLACE) == 0 &&
	    ((fd = make(dir)) == -1 || fsync(dir) == -1)) {
		err = errno;
		if (fd != -1 && (close(fd) == -1 ||
		    unlinkat(dir, LOG_NAME, 0) == -1))
			fatal("%s", LOG_NAME);
		fd = -1;
		if (renameat2(dir, name, dir, LOG_NAME, RENAME_NOREPLACE) == -1)
			fatal("%s", LOG_NAME);
		errno = err;
	}
	err = errno;
	close(dir);
	errno = err;
	return fd;
}

void
logfiles_next(struct monitor *m, struct chan *logger, uint64_t seq)
{
	static uint64_t last_ms;
	int fd;

	if (last_ms != 0 && mono_ms() - last_ms < NEXT_MS) {
		log_warn("another file for the audit log so soon: not made");
		fd = -1;
	} else if ((fd = next_file(m, seq)) == -1)
		log_err("the audit log's next file: %s", strerror(errno));
	last_ms = mono_ms();
	if (fd == -1) {
		(void)chan_send(logger, MSG_ctl_no_log_file, NULL, -1);
		return;
	}
	(void)chan_send(logger, MSG_ctl_log_file, NULL, fd);
	close(fd);
}

/* Whether standard error is the journal's, as systemd says in JOURNAL_STREAM. */
static bool
under_journal(void)
{
	const char *s = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;
	char end;

	return s != NULL && sscanf(s, "%llu:%llu%c", &dev, &ino, &end) == 2 &&
	    fstat(STDERR_FILENO, &st) == 0 && st.st_dev == dev &&
	    st.st_ino == ino;
}

int
logfiles_open_journal(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX,
	    .sun_path = JOURNAL };
	int fd = -1;

	if (under_journal() && (fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC,
	    0)) != -1 && connect(fd, (struct sockaddr *)&sun,
	    sizeof(sun)) == -1) {
		log_warn("%s: %s; messages go to standard error", JOURNAL,
		    strerror(errno));
		close(fd);
		fd = -1;
	}
	return fd != -1 ? fd : open("/dev/null", O_RDWR | O_CLOEXEC);
}

/* ---- log levels ----------------------------------------------------------- */

const char *
loglevel_set(struct monitor *m, unsigned role, unsigned level)
{
	struct m_ctl_level l = { .level = (uint8_t)level };

	if (level < LOG_L_ERR || level > LOG_L_DEBUG ||
	    (role > ROLES && role != LOGLEVEL_ALL))
		return "a log level of nothing";
	if (role == ROLES || role == LOGLEVEL_ALL)
		log_set_level((enum log_level)level);
	for (unsigned r = 0; r < ROLES; r++)
		if (role == r || role == LOGLEVEL_ALL)
			m->levels[r] = (uint8_t)level;
	for (int i = 0; i < m->nprocs; i++) {
		const struct proc *p = &m->procs[i];

		/* One that starts just now is told at its start. */
		if ((p->role == role || role == LOGLEVEL_ALL) &&
		    p->ctl != NULL && chan_state(p->ctl) != CTL_START)
			(void)chan_send(p->ctl, MSG_ctl_level, &l, -1);
	}
	return NULL;
}
