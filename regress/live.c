/*
 * What processes are, as the kernel says it (for t_live.sh; needs root):
 *
 *   live PID...            one line for each: its name, ids, capabilities,
 *                          limits, filters, and how many descriptors of which kind
 *   live -d PROVIDERS      how many channels each role has by common/roles.def
 */
#include <sys/stat.h>

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "role.h"

enum kind { K_NULL, K_CHANNEL, K_STREAM, K_TCP, K_LISTEN, K_CONTROL, K_FILE,
    K_DIR, K_EPOLL, K_SIGNALFD, K_EVENTFD, K_OTHER, KINDS };

static const char *const kind_names[KINDS] = {
	"null", "channel", "stream", "tcp", "listen", "control", "file", "dir",
	"epoll", "signalfd", "eventfd", "other"
};

/* ---- names and /proc/PID/status ---------------------------------------------- */

static FILE *
open_proc(const char *pid, const char *name)
{
	char path[128];
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%s/%s", pid, name);
	if ((f = fopen(path, "re")) == NULL)
		fatal("%s", path);
	return f;
}

/* "cloisterd: session alice [7]" is session-live, without a user session. */
static void
print_name(const char *pid)
{
	char line[256] = "", *name = line, *end;
	FILE *f = open_proc(pid, "cmdline");
	size_t n = fread(line, 1, sizeof(line) - 1, f);

	line[n] = '\0';
	fclose(f);
	if (strncmp(line, "cloisterd: ", 11) == 0)
		name += 11;
	if ((end = strchr(name, '[')) != NULL)
		*end = '\0';
	for (end = name + strlen(name); end > name && end[-1] == ' '; end--)
		end[-1] = '\0';
	if ((end = strchr(name, ' ')) != NULL)
		(void)strlcpy(end, "-live", 6);
	printf("%s", name);
}

/* Values of a line of status, joined by commas; equal ones once. */
static void
print_status(const char *pid, const char *key, const char *as)
{
	char line[512], *p, *last = NULL;
	FILE *f = open_proc(pid, "status");
	size_t n = strlen(key);

	printf(" %s=", as);
	while (fgets(line, sizeof(line), f) != NULL) {
		if (strncmp(line, key, n) != 0 || line[n] != ':')
			continue;
		for (p = strtok(line + n + 1, " \t\n"); p != NULL;
		    p = strtok(NULL, " \t\n")) {
			while (p[0] == '0' && p[1] != '\0')
				p++;
			if (last == NULL || strcmp(p, last) != 0)
				printf("%s%s", last == NULL ? "" : ",", p);
			last = p;
		}
	}
	if (last == NULL)
		printf("none");
	fclose(f);
}

static void
print_limit(const char *pid, const char *key, const char *as)
{
	char line[256], soft[32], hard[32];
	FILE *f = open_proc(pid, "limits");
	size_t n = strlen(key);

	while (fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, key, n) == 0 &&
		    sscanf(line + n, "%31s %31s", soft, hard) == 2)
			printf(" %s=%s%s%s", as, soft,
			    strcmp(soft, hard) == 0 ? "" : "/",
			    strcmp(soft, hard) == 0 ? "" : hard);
	fclose(f);
}

/* A process that is not dumpable has files of root's in /proc. */
static void
print_dumpable(const char *pid)
{
	char path[64];
	struct stat dir, mem;

	(void)snprintf(path, sizeof(path), "/proc/%s", pid);
	if (stat(path, &dir) == -1)
		fatal("%s", path);
	(void)snprintf(path, sizeof(path), "/proc/%s/mem", pid);
	if (stat(path, &mem) == -1)
		fatal("%s", path);
	printf(" proc=%u", mem.st_uid);
}

/* ---- descriptors ---------------------------------------------------------------- */

/* Whether a table of sockets has this inode; its type or state in *value. */
static bool
find_socket(const char *table, unsigned long inode, int column, int at,
    unsigned long *value)
{
	char line[512], *p, *q;
	FILE *f = open_proc("net", table);
	bool found = false;
	int i;

	while (!found && fgets(line, sizeof(line), f) != NULL)
		for (i = 0, p = strtok(line, " \t\n"); p != NULL;
		    p = strtok(NULL, " \t\n"), i++) {
			if (i == at)
				*value = strtoul(p, NULL, 16);
			if (i == column && strtoul(p, &q, 10) == inode &&
			    *q == '\0')
				found = true;
		}
	fclose(f);
	return found;
}

static enum kind
socket_kind(unsigned long inode)
{
	unsigned long v = 0, flags = 0;

	if (find_socket("unix", inode, 6, 4, &v)) {
		(void)find_socket("unix", inode, 6, 3, &flags);
		if (flags != 0)		/* it listens */
			return K_CONTROL;
		return v == 5 ? K_CHANNEL : v == 1 ? K_STREAM : K_OTHER;
	}
	if (find_socket("tcp", inode, 9, 3, &v) ||
	    find_socket("tcp6", inode, 9, 3, &v))
		return v == 0x0a ? K_LISTEN : K_TCP;
	return K_OTHER;
}

static enum kind
kind_of(const char *path)
{
	char to[512];
	ssize_t n = readlink(path, to, sizeof(to) - 1);
	unsigned long inode;
	struct stat st;

	if (n == -1)
		fatal("%s", path);
	to[n] = '\0';
	if (strcmp(to, "/dev/null") == 0)
		return K_NULL;
	if (sscanf(to, "socket:[%lu]", &inode) == 1)
		return socket_kind(inode);
	if (strcmp(to, "anon_inode:[eventpoll]") == 0)
		return K_EPOLL;
	if (strcmp(to, "anon_inode:[signalfd]") == 0)
		return K_SIGNALFD;
	if (strcmp(to, "anon_inode:[eventfd]") == 0)
		return K_EVENTFD;
	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return K_DIR;
	return stat(path, &st) == 0 && S_ISREG(st.st_mode) ? K_FILE : K_OTHER;
}

static void
print_fds(const char *pid)
{
	unsigned count[KINDS] = { 0 };
	char path[400];
	struct dirent *e;
	DIR *d;

	(void)snprintf(path, sizeof(path), "/proc/%s/fd", pid);
	if ((d = opendir(path)) == NULL)
		fatal("%s", path);
	while ((e = readdir(d)) != NULL) {
		if (!isdigit((unsigned char)e->d_name[0]))
			continue;
		(void)snprintf(path, sizeof(path), "/proc/%s/fd/%s", pid,
		    e->d_name);
		count[kind_of(path)]++;
	}
	closedir(d);
	for (int k = 0; k < KINDS; k++)
		if (count[k] != 0)
			printf(" %s=%u", kind_names[k], count[k]);
}

/* ---- what was declared --------------------------------------------------------- */

/* Ends of links that the monitor keeps for successors of roles. */
static int
kept_by_monitor(int providers)
{
	int n = 0;

	for (int l = 0; l < LINKS; l++) {
		const struct link_decl *d = &link_decls[l];

		n += (role_decls[d->a].keep + role_decls[d->b].keep) *
		    role_instances(d->a, providers) *
		    role_instances(d->b, providers);
	}
	for (int r = 0; r < ROLES; r++)		/* and of log sockets */
		n += role_decls[r].keep *
		    role_instances((enum role_id)r, providers);
	return n;
}

/* The start of every role: control, log, and its links. */
static void
declared(int providers)
{
	for (int r = 0; r < ROLES; r++) {
		enum role_id id = (enum role_id)r;
		int n = role_link_fd(id, providers, LINKS, 0) - FD_CONTROL;

		if (id == ROLE_LOGGER)
			n += role_total(providers) + 1;
		printf("%s %d\n", role_decls[r].name, n);
	}
	/* The monitor: a control channel of each, and a log socket. */
	printf("monitor %d\n", role_total(providers) + 1 +
	    kept_by_monitor(providers));
}

int
main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "-d") == 0) {
		declared(atoi(argv[2]));
		return 0;
	}
	for (int i = 1; i < argc; i++) {
		const char *pid = argv[i];

		print_name(pid);
		print_status(pid, "Uid", "uid");
		print_status(pid, "Gid", "gid");
		print_status(pid, "Groups", "groups");
		print_status(pid, "CapInh", "inh");
		print_status(pid, "CapPrm", "prm");
		print_status(pid, "CapEff", "eff");
		print_status(pid, "CapBnd", "bnd");
		print_status(pid, "CapAmb", "amb");
		print_status(pid, "NoNewPrivs", "nnp");
		print_status(pid, "Seccomp", "seccomp");
		print_status(pid, "Seccomp_filters", "filters");
		print_dumpable(pid);
		print_limit(pid, "Max core file size", "core");
		print_limit(pid, "Max open files", "nofile");
		print_limit(pid, "Max processes", "nproc");
		print_limit(pid, "Max file size", "fsize");
		print_fds(pid);
		printf("\n");
	}
	return 0;
}
