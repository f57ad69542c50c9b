#include "certd.h"

#include <sys/prctl.h>

#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "role.h"
#include "sandbox.h"
#include "warmup.h"

/* As cloister has placed them. */
#define FD_CLIENT	3
#define FD_CA		4
#define FD_CRL		5	/* there is one only with -r */

#define QUESTION_MS	30000

void
certd_answer(const struct authorities *a, struct chan *c,
    const struct m_ct_check *q)
{
	struct m_tc_verdict reply = { .none_ = 0 };
	struct certs chain;
	struct verdict v;
	const char *why;
	char host[257];

	memset(&v, 0, sizeof(v));
	v.verdict = CERT_MALFORMED;
	if (msg_text(host, sizeof(host), q->host) == 0 && host[0] != '\0' &&
	    certs_wire(&chain, q->chain, &why) == 0) {
		verify_server(&v, a, &chain, q->spki, host, q->numeric != 0,
		    time(NULL));
		certs_free(&chain);
	}
	reply.verdict = (uint8_t)v.verdict;
	reply.not_before = v.not_before;
	reply.not_after = v.not_after;
	reply.detail = bytes_str(v.detail);
	chan_set_state(c, CLI_CERT_DONE);
	(void)chan_send(c, MSG_tc_verdict, &reply, -1);
}

__attribute__((noreturn)) void
certd_client_main(int argc, char **argv)
{
	struct buf ca = BUF_INIT(AUTHORITY_FILE_MAX), crl = BUF_INIT(CRL_FILE_MAX);
	bool has_crl = argc == 3 && strcmp(argv[2], "-r") == 0;
	pid_t parent = getppid();
	struct authorities *a;
	char err[256];
	const char *why;
	struct chan *c;
	struct msg m;
	int r;

	setproctitle_init(argc, argv, environ);
	setproctitle("-cloister: certd");
	log_set_name("certd");
	if (argc != 2 && !has_crl)
		fatalx("this program is started by cloister");
	(void)msg_desc(0);	/* its table is complete before any sandbox */
	crypto_warmup();
	/* ^C is for the client; a line to a file would be a signal. */
	if (signal(SIGINT, SIG_IGN) == SIG_ERR ||
	    signal(SIGXFSZ, SIG_IGN) == SIG_ERR)
		fatal("signal");
	/* The user's own files; then nothing but a stranger's certificates. */
	if (read_all(FD_CA, &ca) == -1)
		fatalx("ca_file cannot be read, or is too large");
	if (has_crl && read_all(FD_CRL, &crl) == -1)
		fatalx("crl_file cannot be read, or is too large");
	a = authorities_new(buf_bytes(&ca), buf_bytes(&crl), has_crl, err,
	    sizeof(err));
	if (a == NULL)
		fatalx("ca_file or crl_file: %s", err);
	if (authorities_count(a) == 0)
		fatalx("ca_file is empty");
	sandbox_drop_capabilities();
	(void)sandbox_enter(CELL_CERTD, parent, "", 0);
	c = chan_new(NULL, FD_CLIENT, CH_CLI_CERT, END_B, CLI_CERT_ASK, 0,
	    NULL, NULL, NULL);
	r = chan_recv(c, &m, QUESTION_MS, &why);
	if (r == 0)
		certd_answer(a, c, &m.u.ct_check);
	else if (r == -1)
		fatalx("the client broke the protocol: %s", why);
	_exit(0);
}
