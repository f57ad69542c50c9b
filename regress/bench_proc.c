#include "bench.h"

#include <sys/resource.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "log.h"

#define TREE_MAX	4096
#define SETTLE_MS	10000
#define SETTLE_PAUSE_US	50000

struct tree {
	pid_t	pid[TREE_MAX];
	size_t	n;
};

static double
clock_us(clockid_t clock)
{
	struct timespec t;

	/* A process that has just ended has no clock any more. */
	if (clock_gettime(clock, &t) == -1)
		return 0;
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

double
self_cpu_us(void)
{
	struct rusage r;

	if (getrusage(RUSAGE_CHILDREN, &r) == -1)
		fatal("getrusage");
	return clock_us(CLOCK_PROCESS_CPUTIME_ID) +
	    (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) * 1e6 +
	    (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec);
}

double
process_cpu_us(pid_t pid)
{
	clockid_t clock;

	return clock_getcpuclockid(pid, &clock) == 0 ? clock_us(clock) : 0;
}

/* A file below /proc/PID, NULL when the process is gone. */
static FILE *
proc_open(pid_t pid, const char *name)
{
	char path[96];

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	return fopen(path, "r");
}

/* proc(5): fields 16 and 17 are the time of children that were waited for. */
static double
reaped_cpu_us(pid_t pid)
{
	FILE *fp = proc_open(pid, "stat");
	char line[1024], *p;
	unsigned long user = 0, sys = 0;

	if (fp == NULL)
		return 0;
	if (fgets(line, sizeof(line), fp) == NULL ||
	    (p = strrchr(line, ')')) == NULL ||
	    sscanf(p + 2, "%*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
	    "%*s %lu %lu", &user, &sys) != 2)
		user = sys = 0;
	(void)fclose(fp);
	return (double)(user + sys) * 1e6 / (double)sysconf(_SC_CLK_TCK);
}

static void
tree_read(struct tree *t, pid_t root)
{
	char name[64];
	FILE *fp;
	int child;

	t->n = 0;
	t->pid[t->n++] = root;
	for (size_t i = 0; i < t->n; i++) {
		(void)snprintf(name, sizeof(name), "task/%d/children",
		    (int)t->pid[i]);
		if ((fp = proc_open(t->pid[i], name)) == NULL)
			continue;
		while (fscanf(fp, "%d", &child) == 1) {
			if (t->n == TREE_MAX)
				fatalx("too many processes");
			t->pid[t->n++] = child;
		}
		(void)fclose(fp);
	}
}

double
tree_cpu_us(pid_t root)
{
	struct tree t;
	double sum = 0;

	tree_read(&t, root);
	for (size_t i = 0; i < t.n; i++)
		sum += process_cpu_us(t.pid[i]) + reaped_cpu_us(t.pid[i]);
	return sum;
}

/* The value of "NAME: VALUE kB" in a file of proc(5), which is closed; 0. */
static double
field_kib(FILE *fp, const char *name)
{
	char line[256];
	unsigned long v = 0;
	size_t n = strlen(name);

	if (fp == NULL)
		return 0;
	while (fgets(line, sizeof(line), fp) != NULL)
		if (strncmp(line, name, n) == 0 && line[n] == ':') {
			v = strtoul(line + n + 1, NULL, 10);
			break;
		}
	(void)fclose(fp);
	return (double)v;
}

double
process_pss_kib(pid_t pid)
{
	return field_kib(proc_open(pid, "smaps_rollup"), "Pss");
}

double
tree_pss_kib(pid_t root)
{
	struct tree t;
	double sum = 0;

	tree_read(&t, root);
	for (size_t i = 0; i < t.n; i++)
		sum += process_pss_kib(t.pid[i]);
	return sum;
}

size_t
tree_count(pid_t root)
{
	struct tree t;

	tree_read(&t, root);
	return t.n;
}

void
tree_settle(pid_t root, size_t n)
{
	double end = now_us() + SETTLE_MS * 1e3;

	do
		(void)usleep(SETTLE_PAUSE_US);
	while (tree_count(root) > n && now_us() < end);
	(void)usleep(2 * SETTLE_PAUSE_US);
}

double
kernel_kib(void)
{
	return field_kib(fopen("/proc/meminfo", "r"), "KernelStack") +
	    field_kib(fopen("/proc/meminfo", "r"), "PageTables") +
	    field_kib(fopen("/proc/meminfo", "r"), "SUnreclaim");
}
