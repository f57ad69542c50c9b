/*
 * keyd: RSA private keys.  cloisterd starts it without an argument and it holds
 * the server's; `cloister' starts it with -c and it holds the user's, or with
 * -g to make them; with --csr it makes a certificate request of either.
 */
#include <sys/stat.h>

#include <string.h>
#include <unistd.h>

#include "keyd.h"
#include "log.h"
#include "role.h"
#include "warmup.h"

static struct role self;
static struct keyd_server server;
static struct keyd_audit audit_log;
static struct keyd_boot boot;
static struct chan *boot_link;
static struct loop_timer *boot_timer;
/* Made in prepare(), in init alone. */
static EVP_PKEY *new_wrap;

/* ---- init: files can be written only before the sandbox -------------------- */

static void
write_file(enum file_id file, const char *what, const struct buf *b)
{
	int fd = role_file_fd(ROLE_KEYD, self.providers, file);
	struct stat st;

	if (fstat(fd, &st) == -1)
		fatal("%s", what);
	if (st.st_size != 0)
		fatalx("%s: there is one already", what);
	if (write_all(fd, b->p, b->n) == -1 || fdatasync(fd) == -1)
		fatal("%s", what);
}

static EVP_PKEY *
make_key(enum rsa_use use, enum file_id file, const char *what)
{
	struct buf pem = BUF_INIT(RSA_PEM_MAX);
	EVP_PKEY *key;

	if ((key = rsa_generate(use, RSA_BITS_DEFAULT, 0)) == NULL ||
	    rsa_private_encode(&pem, key, NULL) == -1)
		fatalx("%s cannot be made", what);
	write_file(file, what, &pem);
	buf_free(&pem);
	return key;
}

static void
prepare(struct role *r)
{
	struct buf spki = BUF_INIT(RSA_SPKI_MAX);
	EVP_PKEY *host;

	crypto_warmup();
	if ((r->flags & START_INIT) == 0)
		return;
	host = make_key(RSA_USE_SIGN, FILE_HOST_KEY, "the host key");
	if (rsa_spki_encode(&spki, host) == -1)
		fatalx("the host key cannot be encoded");
	write_file(FILE_HOST_PUB, "the public host key", &spki);
	buf_free(&spki);
	EVP_PKEY_free(host);
	new_wrap = make_key(RSA_USE_WRAP, FILE_WRAP_KEY, "the wrap key");
}

/* ---- links ----------------------------------------------------------------- */

static EVP_PKEY *
load_key(enum rsa_use use, enum file_id file, const char *what)
{
	struct buf pem = BUF_INIT(RSA_PEM_MAX);
	EVP_PKEY *key;

	if (read_all(role_file_fd(ROLE_KEYD, self.providers, file), &pem) == -1)
		fatalx("%s cannot be read", what);
	if (pem.n == 0)
		fatalx("%s is missing: its file is empty", what);
	switch (rsa_private_decode(&key, buf_bytes(&pem), use, 0, NULL)) {
	case 0:
		break;
	case RSA_E_PASS:
		fatalx("%s has a passphrase: the server's keys must not",
		    what);
	default:
		fatalx("%s is damaged or of another kind", what);
	}
	buf_free(&pem);
	rsa_warmup(key, use);
	return key;
}

/* The wrap key is gone from here on; without a service, so is this process. */
static void
boot_over(bool done)
{
	keyd_boot_end(&boot);
	loop_timer_free(boot_timer);
	boot_timer = NULL;
	chan_free(boot_link);
	boot_link = NULL;
	if ((self.flags & START_OFFLINE) != 0) {
		if (!done)
			fatalx("the vault did not finish");
		_exit(0);
	}
}

static void
on_boot(struct chan *c, struct msg *m, void *arg)
{
	bool done = m->type == MSG_boot_done;
	const char *why;

	if ((why = keyd_boot_request(&boot, c, m)) != NULL)
		role_link_lost(c, why, arg);
	if (done)
		boot_over(true);
}

static void
on_boot_closed(struct chan *c, const char *why, void *arg)
{
	if (why != NULL)
		role_link_lost(c, why, arg);
	boot_over(false);
}

static void
on_boot_timer(void *arg)
{
	(void)arg;
	boot_timer = NULL;
	log_warn("the vault did not finish its start in time");
	boot_over(false);
}

static void
on_zygote(struct chan *c, struct msg *m, void *arg)
{
	const char *why;

	if ((why = keyd_server_zygote(&server, m)) != NULL)
		role_link_lost(c, why, arg);
}

static void
on_logger(struct chan *c, struct msg *m, void *arg)
{
	const char *why;

	if ((why = keyd_audit_request(&audit_log, c, m)) != NULL)
		role_link_lost(c, why, arg);
}

static void
close_files(void)
{
	static const enum file_id files[] = { FILE_HOST_KEY, FILE_WRAP_KEY,
	    FILE_HOST_PUB };

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		(void)close(role_file_fd(ROLE_KEYD, self.providers, files[i]));
}

static void
on_vault(struct chan *c, struct msg *m, void *arg)
{
	const char *why;

	if ((why = keyd_server_vault(&server, m)) != NULL)
		role_link_lost(c, why, arg);
}

/*
 * The vault is gone, and with it every handshake (the channel takes nothing
 * more); the logger still has a last checkpoint to be signed.  The monitor ends
 * this process.
 */
static void
on_vault_closed(struct chan *c, const char *why, void *arg)
{
	if (why != NULL)
		role_link_lost(c, why, arg);
}

static void
serve(void)
{
	server.vault = role_link(&self, LINK_KEYD_VAULT, 0, KEYD_VAULT_UP, 0,
	    on_vault, on_vault_closed, NULL);
	server.zygote = role_link(&self, LINK_KEYD_ZYG, 0, KEYD_ZYG_UP, 0,
	    on_zygote, role_link_lost, NULL);
	keyd_audit_init(&audit_log, &server);
	(void)role_link(&self, LINK_LOGGER_KEYD, 0, LOGGER_KEYD_UP, 0,
	    on_logger, role_link_lost, NULL);
	keyd_server_hello(&server);
}

int
main(int argc, char **argv)
{
	bool init;

	if (argc > 1 && strcmp(argv[1], "-c") == 0)
		keyd_client_main(argc, argv);
	if (argc > 1 && strcmp(argv[1], "-g") == 0)
		keyd_gen_main(argc, argv);
	if (argc > 1 && strcmp(argv[1], "--csr") == 0)
		keyd_csr_main(argc, argv);
	role_start(&self, ROLE_KEYD, argc, argv, prepare);
	init = (self.flags & START_INIT) != 0;
	if (!init) {
		keyd_server_init(&server, self.loop, load_key(RSA_USE_SIGN,
		    FILE_HOST_KEY, "the host key"));
		new_wrap = load_key(RSA_USE_WRAP, FILE_WRAP_KEY,
		    "the wrap key");
	}
	keyd_boot_init(&boot, new_wrap, init);
	close_files();
	boot_link = role_link(&self, LINK_BOOT, 0, BOOT_ASK, 0, on_boot,
	    on_boot_closed, NULL);
	boot_timer = loop_timer_new(self.loop, KEYD_BOOT_MS, on_boot_timer,
	    NULL);
	if ((self.flags & START_OFFLINE) == 0)
		serve();
	role_run(&self);
}
