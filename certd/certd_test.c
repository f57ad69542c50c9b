#include "certd.h"

#include <sys/prctl.h>

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "role.h"
#include "rsa.h"
#include "sandbox.h"
#include "warmup.h"

/* As cloisterd has placed them; what there is not is empty. */
#define FD_CHAIN	3
#define FD_HOST_PUB	4
#define FD_CA		5
#define FD_CRL		6

/* The server's own certificates: readable, and of its own key. */
static void
test_chain(struct bytes text, struct bytes spki)
{
	struct certs chain;
	const char *why;
	bool soon;

	if (certs_pem(&chain, text, &why) == -1)
		fatalx("certificate: %s", why);
	if (chain.n == 0)
		fatalx("certificate: the file is empty");
	if (spki.n == 0)
		log_notice("certificate: there is no host key yet to compare "
		    "it with");
	else if ((why = leaf_wrong(chain.cert[0], spki, time(NULL),
	    &soon)) != NULL)
		fatalx("certificate: %s", why);
	else if (soon)
		log_warn("certificate: it has expired or will within two "
		    "weeks");
	certs_free(&chain);
}

static void
slurp(int fd, struct buf *b, const char *what)
{
	if (read_all(fd, b) == -1)
		fatalx("%s cannot be read, or is too large", what);
	(void)close(fd);
}

/* certd -t [-s] [-c] [-r]: there is a server's chain, a client_ca, a client_crl. */
__attribute__((noreturn)) void
certd_test_main(int argc, char **argv)
{
	struct buf chain = BUF_INIT(CERTS_FILE_MAX), pub = BUF_INIT(RSA_SPKI_MAX);
	struct buf ca = BUF_INIT(AUTHORITY_FILE_MAX), crl = BUF_INIT(CRL_FILE_MAX);
	bool has_chain = false, has_ca = false, has_crl = false;
	pid_t parent = getppid();
	struct authorities *a;
	char err[256];
	int o;

	log_set_name("cloisterd");
	while ((o = getopt(argc, argv, "tscr")) != -1) {
		has_chain |= o == 's';
		has_ca |= o == 'c';
		has_crl |= o == 'r';
		if (o == '?')
			fatalx("this program is started by cloisterd");
	}
	crypto_warmup();
	sandbox_drop_capabilities();
	(void)sandbox_enter(CELL_CERTD, parent, "", 0);
	slurp(FD_CHAIN, &chain, "certificate");
	slurp(FD_HOST_PUB, &pub, "keys/host.pub");
	slurp(FD_CA, &ca, "client_ca");
	slurp(FD_CRL, &crl, "client_crl");
	if (has_chain)
		test_chain(buf_bytes(&chain), buf_bytes(&pub));
	if (has_ca) {
		a = authorities_new(buf_bytes(&ca), buf_bytes(&crl), has_crl,
		    err, sizeof(err));
		if (a == NULL || authorities_count(a) == 0)
			fatalx("client_ca or client_crl: %s", a == NULL ? err :
			    "the file is empty");
		if (authorities_count(a) > CLIENT_CAS_MAX)
			fatalx("client_ca: more than %d authorities",
			    CLIENT_CAS_MAX);
		authorities_free(a);
	}
	_exit(0);
}
