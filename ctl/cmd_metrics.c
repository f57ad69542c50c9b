/*
 * cloisterctl metrics: the exposition format of Prometheus, version 0.0.4, on
 * standard output or, for the textfile collector of its node exporter, in a file
 * that is always whole.
 */
#include <sys/stat.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl.h"
#include "log.h"
#include "metrics.h"

#define SAMPLES_MAX	65536	/* bytes of one metric */

static struct buf samples[METRICS];

static void
put(struct buf *b, const char *s)
{
	buf_put(b, s, strlen(s));
}

/* A label's value: \, " and a newline are written with a \. */
static void
put_label(struct buf *b, const char *value)
{
	for (; *value != '\0'; value++) {
		if (*value == '\\' || *value == '"')
			buf_u8(b, '\\');
		if (*value == '\n')
			put(b, "\\n");
		else
			buf_u8(b, (uint8_t)*value);
	}
}

static void
add(enum metric which, const char *label, uint64_t value)
{
	const struct metric_decl *d = &metric_decls[which];
	struct buf *b = &samples[which];
	char number[32];

	put(b, d->name);
	if (*d->label != '\0') {
		put(b, "{");
		put(b, d->label);
		put(b, "=\"");
		put_label(b, label);
		put(b, "\"}");
	}
	(void)snprintf(number, sizeof(number), " %llu\n",
	    (unsigned long long)value);
	put(b, number);
}

void
metric_take(const struct msg *m)
{
	const struct m_va_metric *v = &m->u.va_metric;
	char label[CTL_TEXT_MAX];

	if (v->metric >= METRICS)
		return;		/* of a newer service */
	if (ctl.json) {
		out_begin("metric");
		out_str("name", NULL, 0, metric_decls[v->metric].name);
		if (*metric_decls[v->metric].label != '\0')
			out_text(metric_decls[v->metric].label, NULL, 0,
			    v->label);
		out_num("value", NULL, 0, v->value);
		out_end();
		return;
	}
	(void)msg_text(label, sizeof(label), v->label);
	log_clean(label);
	add(v->metric, label, v->value);
}

/* 0, or -1 with errno. */
static int
write_samples(FILE *f)
{
	for (int i = 0; i < METRICS; i++) {
		const struct metric_decl *d = &metric_decls[i];

		if (samples[i].err) {
			errno = ENOMEM;
			return -1;
		}
		if (samples[i].n == 0)
			continue;
		if (fprintf(f, "# HELP %s %s\n# TYPE %s %s\n", d->name, d->help,
		    d->name, d->type) < 0 ||
		    fwrite(samples[i].p, 1, samples[i].n, f) != samples[i].n)
			return -1;
	}
	return fflush(f);
}

/* 0, or -1 with errno; then there is nothing new, and no other file. */
static int
write_file(const char *path)
{
	FILE *f = NULL;
	char *tmp;
	int e, fd;

	if (asprintf(&tmp, "%s.XXXXXX", path) == -1)
		fatal("asprintf");
	if ((fd = mkstemp(tmp)) == -1) {
		e = errno;
		free(tmp);
		errno = e;
		return -1;
	}
	if (fchmod(fd, 0644) == -1 || (f = fdopen(fd, "w")) == NULL ||
	    write_samples(f) == -1 || fsync(fd) == -1 || rename(tmp, path) == -1) {
		e = errno;
		(void)unlink(tmp);
	} else
		e = 0;
	if (f != NULL ? fclose(f) != 0 : close(fd) != 0)
		e = e != 0 ? e : errno;
	free(tmp);
	errno = e;
	return e == 0 ? 0 : -1;
}

int
cmd_metrics(int argc, char **argv)
{
	const char *path = NULL;
	struct chan *c;
	int r = CTL_NO_SERVICE;

	if (argc == 3 && strcmp(argv[1], "--textfile") == 0)
		path = argv[2];
	else if (argc != 1)
		return CTL_USAGE;
	if (path != NULL && ctl.json) {
		out_error("--textfile and --json do not go together");
		return CTL_USAGE;
	}
	for (int i = 0; i < METRICS; i++)
		buf_init(&samples[i], SAMPLES_MAX);
	if ((c = ctl_try_dial()) != NULL) {
		r = ctl_ask_on(c, MSG_av_metrics, NULL);
		chan_free(c);
	}
	/* That nobody answers is worth a sample, to whoever reads the file. */
	if (r == CTL_NO_SERVICE && path != NULL) {
		for (int i = 0; i < METRICS; i++)
			buf_reset(&samples[i]);
		add(METRIC_UP, "", 0);
	} else if (r != CTL_OK)
		return r;
	if (path != NULL ? write_file(path) == -1 :
	    !ctl.json && write_samples(stdout) == -1) {
		out_error("%s: %s", path != NULL ? path : "standard output",
		    strerror(errno));
		r = CTL_FAILED;
	}
	for (int i = 0; i < METRICS; i++)
		buf_free(&samples[i]);
	return r;
}
