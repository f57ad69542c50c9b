/*
 * classify: what a relay's log (regress/relay.c) tells about answers.
 *
 *	classify LOG		the trace of each connection, one a line:
 *				NUMBER TICK:BYTES ...
 *	classify LOG LABELS	how often the nearest other trace has the same label
 *
 * A trace is what came from the server after the last large piece of the client,
 * which is its prompt, and before its next one, which is its CLOSE; a tick is a
 * tenth of a second after the prompt.  The i-th
 * line of LABELS is the topic of the i-th connection.
 *
 * The classifier is leave-one-out with one nearest neighbour; the distance is
 * the sum of the differences of sizes, of the gaps before them in milliseconds, or
 * of both, each in parts of its mean over all pairs.  Where several are equally
 * near, each counts as its part.
 */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

#define CONNS_MAX	512
#define PIECES_MAX	4096
#define PROMPT_MIN	500	/* bytes: a padded prompt; no other message is */
#define LABEL_MAX	32

struct trace {
	unsigned long	 begin;		/* ms, the prompt */
	bool		 open;		/* it is not at its end */
	size_t		 n;
	unsigned long	 ms[PIECES_MAX];
	unsigned long	 size[PIECES_MAX];
	char		 label[LABEL_MAX];
};

static struct trace traces[CONNS_MAX];
static size_t ntraces;
static double sizes[CONNS_MAX][CONNS_MAX], gaps[CONNS_MAX][CONNS_MAX];

static void
take(struct trace *t, char direction, unsigned long ms, unsigned long n)
{
	if (direction == 'c' && n >= PROMPT_MIN) {
		t->begin = ms;
		t->open = true;
		t->n = 0;
	} else if (direction != 's')
		t->open = false;
	else if (t->open && t->n < PIECES_MAX) {
		t->ms[t->n] = ms;
		t->size[t->n++] = n;
	}
}

static void
read_log(const char *path)
{
	FILE *f = fopen(path, "r");
	unsigned long number, ms, n;
	char line[128], direction;

	if (f == NULL)
		fatal("%s", path);
	while (fgets(line, sizeof(line), f) != NULL) {
		if (sscanf(line, "%lu %c %lu %lu", &number, &direction, &ms,
		    &n) != 4)
			continue;
		if (number < 1 || number > CONNS_MAX)
			fatalx("%s: connection %lu", path, number);
		if (number > ntraces)
			ntraces = number;
		take(&traces[number - 1], direction, ms, n);
	}
	(void)fclose(f);
}

static void
read_labels(const char *path)
{
	FILE *f = fopen(path, "r");
	size_t i = 0;

	if (f == NULL)
		fatal("%s", path);
	while (i < ntraces && fgets(traces[i].label, LABEL_MAX, f) != NULL)
		i++;
	if (i != ntraces)
		fatalx("%s: a label for each of %zu connections", path,
		    ntraces);
	(void)fclose(f);
}

static void
print_traces(void)
{
	for (size_t i = 0; i < ntraces; i++) {
		const struct trace *t = &traces[i];

		printf("%zu", i + 1);
		for (size_t k = 0; k < t->n; k++)
			printf(" %lu:%lu", (t->ms[k] - t->begin + 50) / 100,
			    t->size[k]);
		printf("\n");
	}
}

static double
size_at(const struct trace *t, size_t k)
{
	return k < t->n ? (double)t->size[k] : 0;
}

static double
gap_at(const struct trace *t, size_t k)
{
	if (k >= t->n)
		return 0;
	return (double)(t->ms[k] - (k > 0 ? t->ms[k - 1] : t->begin));
}

/* Fill both tables and divide them by their means. */
static void
measure(void)
{
	double sum_sizes = 0, sum_gaps = 0;

	for (size_t i = 0; i < ntraces; i++)
		for (size_t j = 0; j < ntraces; j++) {
			const struct trace *a = &traces[i], *b = &traces[j];

			for (size_t k = 0; k < a->n || k < b->n; k++) {
				sizes[i][j] += fabs(size_at(a, k) -
				    size_at(b, k));
				gaps[i][j] += fabs(gap_at(a, k) - gap_at(b, k));
			}
			sum_sizes += sizes[i][j];
			sum_gaps += gaps[i][j];
		}
	for (size_t i = 0; i < ntraces; i++)
		for (size_t j = 0; j < ntraces; j++) {
			if (sum_sizes > 0)
				sizes[i][j] /= sum_sizes;
			if (sum_gaps > 0)
				gaps[i][j] /= sum_gaps;
		}
}

/* The part of the traces whose nearest other one has their label. */
static double
accuracy(double by_size, double by_gap)
{
	double right = 0, d, best;
	size_t near, same;

	for (size_t i = 0; i < ntraces; i++) {
		best = INFINITY;
		near = same = 0;
		for (size_t j = 0; j < ntraces; j++) {
			if (j == i)
				continue;
			d = by_size * sizes[i][j] + by_gap * gaps[i][j];
			if (d < best) {
				best = d;
				near = same = 0;
			}
			if (d > best)
				continue;
			near++;
			same += strcmp(traces[i].label, traces[j].label) == 0;
		}
		right += (double)same / (double)near;
	}
	return right / (double)ntraces;
}

int
main(int argc, char **argv)
{
	log_set_name("classify");
	if (argc != 2 && argc != 3)
		fatalx("usage: classify log [labels]");
	read_log(argv[1]);
	if (argc == 2) {
		print_traces();
		return 0;
	}
	read_labels(argv[2]);
	if (ntraces < 2)
		fatalx("two connections are needed");
	measure();
	printf("%zu answers: sizes %.0f%%, times %.0f%%, both %.0f%%\n",
	    ntraces, 100 * accuracy(1, 0), 100 * accuracy(0, 1),
	    100 * accuracy(1, 1));
	return 0;
}
