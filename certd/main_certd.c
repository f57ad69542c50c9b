/* certd: see certd.h. */
#include "certd.h"

#include <string.h>
#include <unistd.h>

#include "log.h"
#include "role.h"
#include "warmup.h"

static struct role self;
static struct certd certd;
static bool has_crl;

static void
prepare(struct role *r)
{
	(void)r;
	crypto_warmup();
}

static void
on_vault(struct chan *c, struct msg *m, void *arg)
{
	(void)c;
	certd_on_vault(arg, m);
}

/* A file that the monitor opened, empty where none is configured. */
static void
read_file(enum file_id file, const char *what, struct buf *b)
{
	int fd = role_file_fd(ROLE_CERTD, self.providers, file);

	if (read_all(fd, b) == -1)
		fatalx("%s cannot be read, or is too large", what);
	(void)close(fd);
}

static void
on_conf(struct chan *c, struct msg *m, void *arg)
{
	(void)c;
	(void)arg;
	if (m->type == MSG_ctl_certs)
		has_crl = m->u.ctl_certs.has_crl != 0;
}

/* Everything that is read here is the administrator's; it comes first. */
static void
on_go(void)
{
	struct buf ca = BUF_INIT(AUTHORITY_FILE_MAX);
	struct buf crl = BUF_INIT(CRL_FILE_MAX);
	char err[256];

	read_file(FILE_CLIENT_CA, "client_ca", &ca);
	read_file(FILE_CLIENT_CRL, "client_crl", &crl);
	certd.authorities = authorities_new(buf_bytes(&ca), buf_bytes(&crl),
	    has_crl, err, sizeof(err));
	if (certd.authorities == NULL)
		fatalx("client_ca or client_crl: %s", err);
	buf_free(&ca);
	buf_free(&crl);
	certd.generation = self.generation;
	certd.vault = role_link(&self, LINK_VAULT_CERT, 0, VAULT_CERT_UP, 0,
	    on_vault, role_link_lost, &certd);
	chan_drop_until(certd.vault, MSG_vt_welcome);
	certd_hello(&certd);
}

int
main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "-c") == 0)
		certd_client_main(argc, argv);
	if (argc > 1 && strcmp(argv[1], "-t") == 0)
		certd_test_main(argc, argv);
	role_start(&self, ROLE_CERTD, argc, argv, prepare);
	self.on_conf = on_conf;
	self.on_go = on_go;
	role_run(&self);
}
