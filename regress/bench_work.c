#include "bench.h"

#include <sys/wait.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "log.h"

#define WARM_TURNS	20
#define COMMIT_BYTES	300	/* what the limit of a stored turn makes durable */

/* One word is one delta of the stand-in's model "echo". */
static const char short_text[] = "the_quick_brown_fox_jumps_over_the_lazy_dog";

/* ---- one client ---------------------------------------------------------- */

enum way { DIRECT, RELAY, COMMIT, NOSTORE, STORE, WAYS };

static const char *const way_names[WAYS] = {
	"direct", "relay", "commit", "nostore", "store"
};

/* Make a little durable, as one commit must; returns how long it took. */
static double
commit_us(int fd)
{
	static const char junk[COMMIT_BYTES];
	double start = now_us();

	if (write(fd, junk, sizeof(junk)) != (ssize_t)sizeof(junk) ||
	    fdatasync(fd) == -1)
		fatal("commit");
	return now_us() - start;
}

static int
scratch_file(const char *dir)
{
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd == -1)
		fatal("%s", dir);
	return fd;
}

/* Print what each way adds to the direct one. */
static void
chat_metrics(struct samples whole[WAYS], struct samples first[WAYS])
{
	double p50 = samples_quantile(&whole[DIRECT], 0.5);
	double p99 = samples_quantile(&whole[DIRECT], 0.99);
	double begun = samples_quantile(&first[DIRECT], 0.5);
	char name[64];

	metric("chat.direct.p50", p50);
	metric("chat.direct.p99", p99);
	for (int w = RELAY; w < WAYS; w++) {
		(void)snprintf(name, sizeof(name), "chat.%s.p50", way_names[w]);
		metric(name, samples_quantile(&whole[w], 0.5) - p50);
		(void)snprintf(name, sizeof(name), "chat.%s.p99", way_names[w]);
		metric(name, samples_quantile(&whole[w], 0.99) - p99);
		(void)snprintf(name, sizeof(name), "chat.%s.first",
		    way_names[w]);
		metric(name, samples_quantile(&first[w], 0.5) - begun);
	}
}

void
bench_chat(int upstream_port, unsigned turns, const char *dir)
{
	struct identity id = { 0 };
	struct asker ways[WAYS];
	struct samples whole[WAYS] = { 0 }, first[WAYS] = { 0 };
	pid_t pid[2][2];
	int fd = scratch_file(dir);

	asker_http(&ways[DIRECT], upstream_port);
	asker_relayed(&ways[RELAY], upstream_port, pid[0]);
	asker_relayed(&ways[COMMIT], upstream_port, pid[1]);
	/* After the forks: else the relays would hold keyd's channel too. */
	identity_open(&id);
	asker_session(&ways[NOSTORE], &id);
	asker_session(&ways[STORE], &id);
	for (unsigned i = 0; i < turns + WARM_TURNS; i++)
		for (int w = 0; w < WAYS; w++) {
			struct question q = { "echo", short_text, w == STORE };
			struct asker *a = &ways[w];
			double more = 0;

			asker_ask(a, &q);
			if (w == COMMIT)
				more = commit_us(fd);
			if (i < WARM_TURNS)
				continue;
			samples_add(&whole[w], a->end_us - a->sent_us + more);
			samples_add(&first[w], a->first_us - a->sent_us);
		}
	chat_metrics(whole, first);
	for (int w = 0; w < WAYS; w++) {
		asker_close(&ways[w]);
		samples_free(&whole[w]);
		samples_free(&first[w]);
	}
	identity_close(&id);
	(void)close(fd);
}

/* ---- many clients -------------------------------------------------------- */

static double
relays_cpu_us(pid_t (*pid)[2], unsigned n)
{
	double sum = 0;

	for (unsigned i = 0; i < n; i++)
		sum += process_cpu_us(pid[i][0]) + process_cpu_us(pid[i][1]);
	return sum;
}

/* Ask by sessions, then print `WHAT.cpu' and `WHAT.rate', for each of units. */
static void
many_sessions(const char *what, pid_t service, unsigned n,
    const struct question *q, unsigned times, unsigned units)
{
	struct identity id = { 0 };
	struct asker *a = calloc(n, sizeof(*a));
	double cpu, start, elapsed, total = (double)n * times * units;
	size_t processes = tree_count(service);
	char name[64];

	if (a == NULL)
		fatal("calloc");
	identity_open(&id);
	for (unsigned i = 0; i < n; i++) {
		asker_session(&a[i], &id);
		asker_ask(&a[i], &(struct question){ "echo", short_text,
		    false });
	}
	tree_settle(service, processes + n);
	cpu = tree_cpu_us(service);
	start = now_us();
	askers_run(a, n, q, times);
	elapsed = now_us() - start;
	cpu = tree_cpu_us(service) - cpu;
	(void)snprintf(name, sizeof(name), "%s.cpu", what);
	metric(name, cpu / total);
	(void)snprintf(name, sizeof(name), "%s.rate", what);
	metric(name, total * 1e6 / elapsed);
	for (unsigned i = 0; i < n; i++)
		asker_close(&a[i]);
	identity_close(&id);
	free(a);
	tree_settle(service, processes);
}

/* The same directly, or by relays whose CPU is then counted. */
static void
many_plain(const char *what, int port, bool relayed, unsigned n,
    const struct question *q, unsigned times, unsigned units)
{
	struct asker *a = calloc(n, sizeof(*a));
	pid_t (*pid)[2] = calloc(n, sizeof(*pid));
	double cpu, start, elapsed, total = (double)n * times * units;
	char name[64];

	if (a == NULL || pid == NULL)
		fatal("calloc");
	for (unsigned i = 0; i < n; i++) {
		if (relayed)
			asker_relayed(&a[i], port, pid[i]);
		else
			asker_http(&a[i], port);
	}
	askers_run(a, n, &(struct question){ "echo", short_text, false }, 1);
	cpu = relayed ? relays_cpu_us(pid, n) : self_cpu_us();
	start = now_us();
	askers_run(a, n, q, times);
	elapsed = now_us() - start;
	cpu = (relayed ? relays_cpu_us(pid, n) : self_cpu_us()) - cpu;
	(void)snprintf(name, sizeof(name), "%s.cpu", what);
	metric(name, cpu / total);
	(void)snprintf(name, sizeof(name), "%s.rate", what);
	metric(name, total * 1e6 / elapsed);
	for (unsigned i = 0; i < n; i++) {
		asker_close(&a[i]);
		if (relayed) {
			(void)kill(pid[i][0], SIGKILL);
			(void)kill(pid[i][1], SIGKILL);
			(void)waitpid(pid[i][0], NULL, 0);
			(void)waitpid(pid[i][1], NULL, 0);
		}
	}
	free(pid);
	free(a);
}

void
bench_load(int upstream_port, pid_t service, unsigned sessions, unsigned turns)
{
	struct question q = { "echo", short_text, false };

	many_plain("load.relay", upstream_port, true, sessions, &q, turns, 1);
	many_sessions("load.nostore", service, sessions, &q, turns, 1);
	q.store = true;
	many_sessions("load.store", service, sessions, &q, turns, 1);
}

void
bench_deltas(int upstream_port, pid_t service, unsigned sessions,
    unsigned hundreds)
{
	char model[32];
	struct question q = { model, short_text, false };

	(void)snprintf(model, sizeof(model), "long-%u", hundreds);
	many_plain("deltas.direct", upstream_port, false, sessions, &q, 1,
	    100 * hundreds);
	many_plain("deltas.relay", upstream_port, true, sessions, &q, 1,
	    100 * hundreds);
	many_sessions("deltas", service, sessions, &q, 1, 100 * hundreds);
}

/* ---- memory -------------------------------------------------------------- */

/* What a process costs that has only been forked, and sleeps. */
static double
forked_kib(unsigned n)
{
	pid_t *pid = calloc(n, sizeof(*pid));
	double kernel = kernel_kib(), own = process_pss_kib(getpid()), pss = 0;

	if (pid == NULL)
		fatal("calloc");
	for (unsigned i = 0; i < n; i++) {
		if ((pid[i] = fork()) == -1)
			fatal("fork");
		if (pid[i] == 0)
			for (;;)
				(void)pause();
	}
	(void)usleep(200000);
	for (unsigned i = 0; i < n; i++)
		pss += process_pss_kib(pid[i]);
	pss += process_pss_kib(getpid()) - own + kernel_kib() - kernel;
	for (unsigned i = 0; i < n; i++) {
		(void)kill(pid[i], SIGKILL);
		(void)waitpid(pid[i], NULL, 0);
	}
	free(pid);
	return pss / n;
}

void
bench_idle(pid_t service, unsigned sessions)
{
	struct identity id = { 0 };
	struct asker *a = calloc(sessions, sizeof(*a));
	size_t processes = tree_count(service);
	double kernel, pss;

	if (a == NULL)
		fatal("calloc");
	metric("idle.fork", forked_kib(sessions));
	identity_open(&id);
	tree_settle(service, processes);
	kernel = kernel_kib();
	pss = tree_pss_kib(service);
	for (unsigned i = 0; i < sessions; i++)
		asker_session(&a[i], &id);
	tree_settle(service, processes + sessions);
	pss = tree_pss_kib(service) - pss;
	kernel = kernel_kib() - kernel;
	metric("idle.pss", pss / sessions);
	metric("idle.session", (pss + kernel) / sessions);
	for (unsigned i = 0; i < sessions; i++)
		asker_close(&a[i]);
	identity_close(&id);
	free(a);
	tree_settle(service, processes);
}

void
bench_cells(const char *when, pid_t service)
{
	char name[64];

	(void)snprintf(name, sizeof(name), "cells.%s", when);
	metric(name, tree_pss_kib(service) / 1024);
	metric("cells.processes", (double)tree_count(service));
}
