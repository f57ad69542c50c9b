#include "keyd.h"

#include <sys/prctl.h>

#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "passphrase.h"
#include "pubkey.h"
#include "role.h"

#define FD_PRIVATE	3
#define FD_PUBLIC	4

struct options {
	bool	no_passphrase;
	char	comment[PUBKEY_COMMENT_MAX + 1];
};

/* USER@HOST, as ssh-keygen(1) does; empty when that cannot stand there. */
static void
default_comment(char dst[PUBKEY_COMMENT_MAX + 1])
{
	const struct passwd *pw = getpwuid(getuid());
	char host[256] = "";
	int n;

	if (gethostname(host, sizeof(host) - 1) == -1)
		host[0] = '\0';
	n = snprintf(dst, PUBKEY_COMMENT_MAX + 1, "%s@%s",
	    pw != NULL ? pw->pw_name : "", host);
	if (n < 0 || n > PUBKEY_COMMENT_MAX ||
	    !pubkey_comment_ok(bytes_str(dst)))
		dst[0] = '\0';
}

static void
get_options(struct options *o, int argc, char **argv)
{
	int c;

	memset(o, 0, sizeof(*o));
	default_comment(o->comment);
	while ((c = getopt(argc, argv, "gNC:")) != -1) {
		switch (c) {
		case 'g':
			break;
		case 'N':
			o->no_passphrase = true;
			break;
		case 'C':
			if (!pubkey_comment_ok(bytes_str(optarg)))
				fatalx("a comment has at most %d bytes of "
				    "plain text", PUBKEY_COMMENT_MAX);
			(void)strlcpy(o->comment, optarg, sizeof(o->comment));
			break;
		default:
			fatalx("usage: keyd -g [-N] [-C comment]");
		}
	}
	if (optind != argc)
		fatalx("usage: keyd -g [-N] [-C comment]");
}

/* A key of one use, private half to pem, public half to spki. */
static void
make_key(enum rsa_use use, const char *passphrase, struct buf *pem,
    struct buf *spki)
{
	EVP_PKEY *key;

	buf_init(spki, RSA_SPKI_MAX);
	if ((key = rsa_generate(use, RSA_BITS_DEFAULT, 0)) == NULL ||
	    rsa_private_encode(pem, key, passphrase) == -1 ||
	    rsa_spki_encode(spki, key) == -1)
		fatalx("a key cannot be made");
	EVP_PKEY_free(key);
}

static void
write_synced(int fd, const struct buf *b, const char *what)
{
	if (write_all(fd, b->p, b->n) == -1 || fsync(fd) == -1)
		fatal("%s cannot be written", what);
}

__attribute__((noreturn)) void
keyd_gen_main(int argc, char **argv)
{
	struct buf priv = BUF_INIT(KEYD_FILE_MAX);
	struct buf pub = BUF_INIT(PUBKEY_FILE_MAX);
	bool tty = isatty(STDERR_FILENO) == 1;
	struct pubkey key;
	struct buf *spki[KEYD_KEYS] = { &key.sign, &key.wrap, &key.message };
	struct options o;
	char pass[PASSPHRASE_MAX];

	log_set_name("keyd");
	get_options(&o, argc, argv);
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1)
		fatal("PR_SET_DUMPABLE");
	if (!o.no_passphrase && passphrase_new(pass) == -1)
		_exit(1);
	for (int i = 0; i < KEYD_KEYS; i++) {
		make_key(keyd_uses[i], o.no_passphrase ? NULL : pass, &priv,
		    spki[i]);
		if (tty)
			(void)fputc('.', stderr);
	}
	if (tty)
		(void)fputc('\n', stderr);
	explicit_bzero(pass, sizeof(pass));
	(void)strlcpy(key.comment, o.comment, sizeof(key.comment));
	if (pubkey_format(&pub, &key) == -1)
		fatalx("the public key file cannot be made");
	write_synced(FD_PRIVATE, &priv, "the private key file");
	write_synced(FD_PUBLIC, &pub, "the public key file");
	buf_free(&priv);
	buf_free(&pub);
	pubkey_free(&key);
	_exit(0);
}
