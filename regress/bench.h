/*
 * What the parts of bench share.  It is one program with a sub-command for each
 * kind of work (bench.c); each run of one is one round, and prints lines
 * "NAME VALUE".  regress/bench.sh runs the rounds, interleaved, and
 * `bench table' makes the table of docs/performance.md from them.
 *
 * Whatever goes wrong ends the program: there is no number then.
 */
#ifndef REGRESS_BENCH_H
#define REGRESS_BENCH_H

#include <sys/types.h>

#include <stdbool.h>
#include <stddef.h>

#include "appconn.h"
#include "cconf.h"
#include "handshake.h"
#include "keyd_child.h"

/* ---- bench_stat.c: numbers ---------------------------------------------- */

/* Measured values; all zeros is empty. */
struct samples {
	double	*v;
	size_t	 n, cap;
};

void samples_add(struct samples *s, double v);
/* The value below which the share q (0 to 1) of the values lies; sorts them. */
double samples_quantile(struct samples *s, double q);
void samples_free(struct samples *s);

/* Print one measured value for the table. */
void metric(const char *name, double value);
/* Microseconds of the monotonic clock. */
double now_us(void);
/* Read "NAME VALUE" lines of all rounds from path and print the table. */
int table_print(const char *path);

/* ---- bench_proc.c: what processes cost ---------------------------------- */

/* CPU microseconds of this process and of its reaped children. */
double self_cpu_us(void);
/* CPU microseconds of one process that is not necessarily a child. */
double process_cpu_us(pid_t pid);
/* The same of a process, all its descendants, and those that were reaped. */
double tree_cpu_us(pid_t root);
/* Proportional set size of the process, and of it and its descendants. */
double process_pss_kib(pid_t pid);
double tree_pss_kib(pid_t root);
/* The number of processes of the tree. */
size_t tree_count(pid_t root);
/* Wait until the tree has n processes or fewer and a moment longer. */
void tree_settle(pid_t root, size_t n);
/* What the kernel holds in stacks, page tables and unreclaimable slabs. */
double kernel_kib(void);

/* ---- bench_ask.c: asking, by way of the service or directly -------------- */

/* Who connects to the service: $CLOISTER_HOME, its keys and its pinned server. */
struct identity {
	struct cconf	conf;
	struct keyd	keyd;
	uint8_t		pin[CCONF_FP_BYTES];
};

void identity_open(struct identity *id);
void identity_close(struct identity *id);

/* One connection that asks one question at a time. */
struct asker {
	int		 fd;
	struct appconn	*ac;		/* a session; NULL: HTTP */
	struct buf	 in;		/* HTTP: the answer so far */
	uint32_t	 req;
	unsigned	 todo;		/* for askers_run() */
	/* of the last question */
	bool		 busy;
	double		 sent_us;
	double		 first_us;	/* the first piece of the answer */
	double		 end_us;
};

/* A handshake_trust for a pin of HASH_LEN bytes. */
int trust_pinned(const struct server_id *id, void *arg);
/* A session, its greeting read. */
void asker_session(struct asker *a, struct identity *id);
/* A connection to an HTTP server on loopback. */
void asker_http(struct asker *a, int port);
/* The same by way of two processes that only copy; pid gets them. */
void asker_relayed(struct asker *a, int port, pid_t pid[2]);
/* End it: a session by its CLOSE. */
void asker_close(struct asker *a);

struct question {
	const char	*model;
	const char	*text;
	bool		 store;		/* in a new conversation */
};

/* Ask, and wait for the end of the answer. */
void asker_ask(struct asker *a, const struct question *q);
/* All n at the same time, each times questions one after the other. */
void askers_run(struct asker *a, size_t n, const struct question *q,
    unsigned times);

/* ---- the sub-commands ---------------------------------------------------- */

/* bench_limit.c: the cryptography and the processes of a handshake. */
void bench_limits(void);
/* bench_limit.c: the store beside appending to a file in dir. */
void bench_store(const char *dir);
/* What is stored at once: key i is at keys + i * key_n, value i at values + i *
 * stride. */
struct batch {
	const uint8_t	*keys, *values;
	size_t		 key_n, stride, size, n;
};

/* bench_sql.c: SQLite or SQLCipher (key), the first of libs that there is; NULL:
 * none is. */
struct sql;
struct sql *sql_open(const char *const libs[], const char *path, bool key);
/* Store a batch as one transaction, durably: microseconds. */
double sql_batch_us(struct sql *s, const struct batch *b);
void sql_checkpoint(struct sql *s);
void sql_close(struct sql *s);

/* bench_login.c: per_client logins by each of four clients. */
void bench_handshake(pid_t service, unsigned per_client);
/* Each with the ticket of the last session. */
void bench_resume(pid_t service, unsigned per_client);
/* At an HTTPS server, with dir/client.crt, full and resumed. */
void bench_tls(pid_t service, unsigned per_client, int port, const char *dir);
/* By a program; its metrics begin with what. */
void bench_spawn(const char *what, pid_t service, unsigned per_client,
    char **argv);
/* bench_work.c: the rest. */
/* One client, turn after turn; dir is for the limit's commits. */
void bench_chat(int upstream_port, unsigned turns, const char *dir);
/* Many sessions at a time. */
void bench_load(int upstream_port, pid_t service, unsigned sessions,
    unsigned turns);
/* The same with answers of hundreds of deltas. */
void bench_deltas(int upstream_port, pid_t service, unsigned sessions,
    unsigned hundreds);
/* Memory of sessions that do nothing. */
void bench_idle(pid_t service, unsigned sessions);
/* Memory of a service without sessions: "fresh" or "used". */
void bench_cells(const char *when, pid_t service);

#endif
