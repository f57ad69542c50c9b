#include "certd_child.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "chan.h"
#include "child.h"
#include "conf.h"
#include "exits.h"
#include "keyd_child.h"
#include "log.h"
#include "ui.h"

#define REPLY_MS	20000

/* certd is where keyd is. */
static char *
certd_program(const struct cconf *c)
{
	char *keyd = keyd_program(c), *path, *slash = strrchr(keyd, '/');

	if (asprintf(&path, "%.*s/certd", slash != NULL ?
	    (int)(slash - keyd) : 1, slash != NULL ? keyd : ".") == -1)
		fatal("memory");
	free(keyd);
	return path;
}

/* Run certd on the other end of a channel; the channel, or NULL. */
static struct chan *
start(const struct cconf *conf, pid_t *pid)
{
	char name[] = "certd", opt_c[] = "-c", opt_r[] = "-r", err[512];
	bool has_crl = conf->crl_file != NULL;
	char *argv[] = { name, opt_c, has_crl ? opt_r : NULL, NULL };
	int pair[2], fd[3] = { -1, -1, -1 }, n = 2;
	struct chan *c = NULL;
	char *program;

	if ((fd[1] = conf_open(conf->ca_file, 022, err, sizeof(err))) == -1 ||
	    (has_crl && (fd[n++] = conf_open(conf->crl_file, 022, err,
	    sizeof(err))) == -1)) {
		ui_err("%s", err);
		goto out;
	}
	if (chan_pair(pair, false) == -1)
		fatal("socketpair");
	fd[0] = pair[1];
	program = certd_program(conf);
	*pid = child_spawn(program, argv, fd, n);
	free(program);
	c = chan_new(NULL, pair[0], CH_CLI_CERT, END_A, CLI_CERT_DONE, 0, NULL,
	    NULL, NULL);
out:
	for (int i = 0; i < 3; i++)
		if (fd[i] != -1)
			(void)close(fd[i]);
	return c;
}

int
certd_ask(struct certd_verdict *v, const struct cconf *conf,
    const struct cconf_server *server, struct bytes spki, struct bytes chain)
{
	struct m_ct_check q = { .numeric = server->numeric,
	    .host = bytes_str(server->host), .spki = spki, .chain = chain };
	const char *why = "it has ended";
	struct chan *c;
	struct msg m;
	pid_t pid;
	int rc = RC_ERROR;

	memset(v, 0, sizeof(*v));
	if ((c = start(conf, &pid)) == NULL)
		return RC_USAGE;
	if (chan_send(c, MSG_ct_check, &q, -1) == 0 &&
	    chan_recv(c, &m, REPLY_MS, &why) == 0) {
		v->verdict = m.u.tc_verdict.verdict;
		v->not_before = m.u.tc_verdict.not_before;
		v->not_after = m.u.tc_verdict.not_after;
		(void)msg_text(v->detail, sizeof(v->detail),
		    m.u.tc_verdict.detail);
		log_clean(v->detail);
		rc = RC_OK;
	} else
		ui_err("%s: its certificate could not be checked: certd: %s",
		    server->text, why != NULL ? why : "it has ended");
	chan_free(c);
	(void)child_reap(pid);
	return rc;
}
