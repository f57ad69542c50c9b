#include "bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "log.h"

/* The table: what is measured, the measured limit beside it, and the goal. */
static const struct row {
	const char	*name;		/* NULL: a heading */
	const char	*text;
	const char	*limit;		/* a metric, or NULL */
	const char	*goal;		/* or "" */
	int		 digits;
} rows[] = {
	{ NULL, "Handshakes", NULL, "", 0 },
	{ "handshake.cpu", "full handshake, server CPU, ms",
	    "limit.handshake", "2.7", 2 },
	{ "handshake.rate", "full handshakes/s, 4 clients on the same cores",
	    NULL, "", 0 },
	{ "resumed.cpu", "resumed handshake, server CPU, ms", NULL, "0.6", 2 },
	{ "resumed.rate", "resumed handshakes/s", NULL, "", 0 },
	{ NULL, "The same by others, RSA-3072 at both ends", NULL, "", 0 },
	{ "tls.cpu", "nginx, TLS 1.3, full, server CPU, ms", NULL, "", 2 },
	{ "tls.rate", "handshakes/s", NULL, "", 0 },
	{ "tls.resumed.cpu", "nginx, TLS 1.3, resumed, server CPU, ms", NULL, "",
	    2 },
	{ "tls.resumed.rate", "handshakes/s", NULL, "", 0 },
	{ "ssh.cpu", "sshd, server CPU, ms", NULL, "", 2 },
	{ "ssh.rate", "logins/s, by a new ssh each", NULL, "", 0 },
	{ NULL, "One client, one short answer", NULL, "", 0 },
	{ "chat.direct.p50", "turn directly, p50, us", NULL, "", 0 },
	{ "chat.direct.p99", "turn directly, p99, us", NULL, "", 0 },
	{ "chat.nostore.p50", "added to it, not stored, p50, us",
	    "chat.relay.p50", "220", 0 },
	{ "chat.nostore.p99", "added to it, not stored, p99, us",
	    "chat.relay.p99", "500", 0 },
	{ "chat.store.p50", "added to it, stored, p50, us",
	    "chat.commit.p50", "450", 0 },
	{ "chat.store.p99", "added to it, stored, p99, us",
	    "chat.commit.p99", "1000", 0 },
	{ "chat.nostore.first", "added to the first delta, not stored, us",
	    "chat.relay.first", "300", 0 },
	{ "chat.store.first", "added to the first delta, stored, us",
	    "chat.relay.first", "300", 0 },
	{ NULL, "32 clients, short answers", NULL, "", 0 },
	{ "load.nostore.cpu", "server CPU for a turn, not stored, us",
	    "load.relay.cpu", "68", 0 },
	{ "load.store.cpu", "server CPU for a turn, stored, us",
	    "load.relay.cpu", "", 0 },
	{ "load.nostore.rate", "turns/s, not stored", "load.relay.rate", "", 0 },
	{ "load.store.rate", "turns/s, stored (two durable messages each)",
	    "load.relay.rate", "", 0 },
	{ NULL, "64 streams, as fast as they go", NULL, "", 0 },
	{ "deltas.cpu", "server CPU for a delta, us", "deltas.relay.cpu", "4",
	    1 },
	{ "deltas.rate", "deltas/s", "deltas.relay.rate", "", 0 },
	{ "deltas.direct.cpu", "CPU of a client that reads directly, us",
	    NULL, "", 1 },
	{ NULL, "Memory", NULL, "", 0 },
	{ "idle.session", "idle session, kernel's part included, KiB",
	    "idle.fork", "200", 0 },
	{ "idle.pss", "the same without the kernel's part, KiB", NULL, "", 0 },
	{ "cells.fresh", "all cells and spare workers, just started, MiB",
	    NULL, "40", 1 },
	{ "cells.used", "the same after the work of a round, MiB",
	    NULL, "", 1 },
	{ "cells.processes", "processes of these", NULL, "", 0 },
	{ NULL, "The store alone, 64 outstanding", NULL, "", 0 },
	{ "store.300.rate", "commits/s, 300 bytes", "raw.300.rate", "", 0 },
	{ "store.300.ratio", "the same, as a share of the limit", NULL, "0.5",
	    2 },
	{ "sqlite.300.rate", "SQLite, WAL, FULL, 64 rows a transaction, 300 bytes",
	    NULL, "", 0 },
	{ "sqlcipher.300.rate", "SQLCipher, the same", NULL, "", 0 },
	{ "store.4000.rate", "commits/s, 4000 bytes", "raw.4000.rate", "", 0 },
	{ "store.4000.ratio", "the same, as a share of the limit", NULL,
	    "0.85", 2 },
	{ "sqlite.4000.rate", "SQLite, the same, 4000 bytes", NULL, "", 0 },
	{ "sqlcipher.4000.rate", "SQLCipher, the same", NULL, "", 0 },
};

void
samples_add(struct samples *s, double v)
{
	if (s->n == s->cap) {
		s->cap = s->cap == 0 ? 256 : 2 * s->cap;
		if ((s->v = reallocarray(s->v, s->cap, sizeof(*s->v))) == NULL)
			fatal("reallocarray");
	}
	s->v[s->n++] = v;
}

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

double
samples_quantile(struct samples *s, double q)
{
	if (s->n == 0)
		return NAN;
	qsort(s->v, s->n, sizeof(*s->v), by_value);
	return s->v[(size_t)lround(q * (double)(s->n - 1))];
}

void
samples_free(struct samples *s)
{
	free(s->v);
	memset(s, 0, sizeof(*s));
}

void
metric(const char *name, double value)
{
	(void)printf("%s %.3f\n", name, value);
}

double
now_us(void)
{
	struct timespec t;

	if (clock_gettime(CLOCK_MONOTONIC, &t) == -1)
		fatal("clock_gettime");
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* The values of one metric; none when it was not measured. */
static void
collect(FILE *fp, const char *name, struct samples *s)
{
	char got[64];
	double v;

	rewind(fp);
	while (fscanf(fp, "%63s %lf", got, &v) == 2)
		if (strcmp(got, name) == 0)
			samples_add(s, v);
}

static void
cell(const struct row *r, FILE *fp, const char *name, bool range)
{
	struct samples s = { 0 };
	char text[64] = "";

	if (name != NULL)
		collect(fp, name, &s);
	if (s.n > 0 && range)
		(void)snprintf(text, sizeof(text), "%.*f (%.*f to %.*f)",
		    r->digits, samples_quantile(&s, 0.5), r->digits,
		    samples_quantile(&s, 0), r->digits,
		    samples_quantile(&s, 1));
	else if (s.n > 0)
		(void)snprintf(text, sizeof(text), "%.*f", r->digits,
		    samples_quantile(&s, 0.5));
	(void)printf(" %-26s |", s.n > 0 ? text : name != NULL ? "?" : "");
	samples_free(&s);
}

int
table_print(const char *path)
{
	FILE *fp = fopen(path, "r");

	if (fp == NULL)
		fatal("%s", path);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *r = &rows[i];

		if (r->name == NULL) {
			(void)printf("\n| %-54s | %-26s | %-26s | %-5s |\n"
			    "|---|---|---|---|\n", r->text,
			    "median (min to max)", "limit", "goal");
			continue;
		}
		(void)printf("| %-54s |", r->text);
		cell(r, fp, r->name, true);
		cell(r, fp, r->limit, false);
		(void)printf(" %-5s |\n", r->goal);
	}
	(void)fclose(fp);
	return fflush(stdout) == 0 ? 0 : 1;
}
