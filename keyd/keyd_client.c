#include "keyd.h"

#include <sys/prctl.h>

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "log.h"
#include "passphrase.h"
#include "role.h"
#include "sandbox.h"
#include "secret.h"
#include "warmup.h"

#define FD_CLIENT	3
#define FD_KEYS		4
#define TRIES		3	/* passphrases */

const enum rsa_use keyd_uses[KEYD_KEYS] = {
	[KEYD_SIGN] = RSA_USE_SIGN,
	[KEYD_WRAP] = RSA_USE_WRAP,
	[KEYD_MESSAGE] = RSA_USE_SIGN,
};

/* The PEM block that file begins with, taken off it; empty when there is none. */
static struct bytes
next_block(struct bytes *file)
{
	static const char begin[] = "-----BEGIN ", end[] = "\n-----END ";
	struct bytes block = { file->p, 0 };
	const uint8_t *p;
	size_t n;

	if (file->n < sizeof(begin) - 1 ||
	    memcmp(file->p, begin, sizeof(begin) - 1) != 0 ||
	    (p = memmem(file->p, file->n, end, sizeof(end) - 1)) == NULL)
		return block;
	p += sizeof(end) - 1;
	n = (size_t)(p - file->p);
	if ((p = memchr(p, '\n', file->n - n)) == NULL)
		return block;
	block.n = (size_t)(p + 1 - file->p);
	file->p += block.n;
	file->n -= block.n;
	return block;
}

int
keyd_keys_decode(EVP_PKEY *key[KEYD_KEYS], struct bytes file,
    const char *passphrase)
{
	int rv = 0;

	memset(key, 0, KEYD_KEYS * sizeof(*key));
	for (int i = 0; i < KEYD_KEYS && rv == 0; i++)
		rv = rsa_private_decode(&key[i], next_block(&file),
		    keyd_uses[i], 0, passphrase);
	if (rv == 0 && file.n != 0)
		rv = RSA_E_BAD;
	for (int i = 0; i < KEYD_KEYS && rv != 0; i++) {
		EVP_PKEY_free(key[i]);
		key[i] = NULL;
	}
	return rv;
}

void
keyd_client_init(struct keyd_client *k, EVP_PKEY *key[KEYD_KEYS])
{
	memset(k, 0, sizeof(*k));
	for (int i = 0; i < KEYD_KEYS; i++) {
		k->key[i] = key[i];
		rsa_warmup(key[i], keyd_uses[i]);
		buf_init(&k->spki[i], RSA_SPKI_MAX);
		if (rsa_spki_encode(&k->spki[i], key[i]) == -1)
			fatalx("a key cannot be encoded");
		sha256(k->hash[i], buf_bytes(&k->spki[i]));
	}
	k->reject = secret_alloc(HASH_LEN);
	crypto_random(k->reject, HASH_LEN);
	if ((k->text = EVP_MD_CTX_new()) == NULL)
		fatalx("memory");
}

void
keyd_client_free(struct keyd_client *k)
{
	for (int i = 0; i < KEYD_KEYS; i++) {
		EVP_PKEY_free(k->key[i]);
		buf_free(&k->spki[i]);
	}
	EVP_MD_CTX_free(k->text);
	secret_free(k->reject, HASH_LEN);
	memset(k, 0, sizeof(*k));
}

static const char *
on_open(struct keyd_client *k, struct chan *c)
{
	struct m_kc_opened reply = {
		.spki = buf_bytes(&k->spki[KEYD_SIGN]),
		.wrap_spki = buf_bytes(&k->spki[KEYD_WRAP]),
		.msg_spki = buf_bytes(&k->spki[KEYD_MESSAGE])
	};

	crypto_random(k->random_c, sizeof(k->random_c));
	memcpy(reply.random_c, k->random_c, sizeof(reply.random_c));
	chan_set_state(c, CLI_KEYD_OPENED);
	(void)chan_send(c, MSG_kc_opened, &reply, -1);
	return NULL;
}

static const char *
on_sign(struct keyd_client *k, struct chan *c, const struct m_ck_sign *q)
{
	struct buf tbs = BUF_INIT(HS_TBS_MAX), sig = BUF_INIT(RSA_OUT_MAX);
	struct m_kc_sig reply = { .none_ = 0 };

	if (!hs_suite_spoken(q->suite))
		return "a suite that is not offered";
	memcpy(k->random_s, q->random_s, sizeof(k->random_s));
	chan_set_state(c, CLI_KEYD_SIGNED);
	hs_tbs_client(&tbs, q->suite, k->random_c, k->random_s, q->th_sf,
	    k->hash[KEYD_SIGN], k->hash[KEYD_WRAP], q->server_hash,
	    q->cert_hash);
	if (tbs.err || rsa_pss_sign(&sig, k->key[KEYD_SIGN],
	    buf_bytes(&tbs)) == -1)
		fatalx("the key does not sign");
	reply.sig = buf_bytes(&sig);
	(void)chan_send(c, MSG_kc_sig, &reply, -1);
	buf_free(&tbs);
	buf_free(&sig);
	return NULL;
}

/* Once for each random_c: the next thing that is possible is a new one. */
static const char *
on_unwrap(struct keyd_client *k, struct chan *c, const struct m_ck_unwrap *q)
{
	struct m_kc_wd reply;
	uint8_t label[HASH_LEN], w[HASH_LEN];

	memset(&reply, 0, sizeof(reply));
	chan_set_state(c, CLI_KEYD_NEW);
	hs_wrap_label(label, k->random_c, k->random_s, q->th_cf);
	rsa_oaep_decrypt(w, k->key[KEYD_WRAP], label, q->wrapped, k->reject);
	hs_wrap_derive(reply.wd, w, q->th_cf);
	(void)chan_send(c, MSG_kc_wd, &reply, -1);
	OPENSSL_cleanse(w, sizeof(w));
	OPENSSL_cleanse(&reply, sizeof(reply));
	return NULL;
}

const char *
keyd_client_request(struct keyd_client *k, struct chan *c, const struct msg *m)
{
	switch (m->type) {
	case MSG_ck_open:
		return on_open(k, c);
	case MSG_ck_sign:
		return on_sign(k, c, &m->u.ck_sign);
	case MSG_ck_unwrap:
		return on_unwrap(k, c, &m->u.ck_unwrap);
	default:
		return keyd_message_request(k, c, m);
	}
}

void
keyd_load_keys(int fd, EVP_PKEY *key[KEYD_KEYS])
{
	struct buf file = BUF_INIT(KEYD_FILE_MAX);
	char pass[PASSPHRASE_MAX];
	int r;

	if (read_all(fd, &file) == -1)
		fatalx("the private key file cannot be read");
	r = keyd_keys_decode(key, buf_bytes(&file), NULL);
	for (int i = 0; i < TRIES && r == RSA_E_PASS; i++) {
		if (i > 0)
			log_err("wrong passphrase");
		if (passphrase_ask(pass, "Passphrase for your Cloister keys: ")
		    == -1)
			fatalx("your keys have a passphrase, and there is no "
			    "terminal to ask for it on");
		r = keyd_keys_decode(key, buf_bytes(&file), pass);
		explicit_bzero(pass, sizeof(pass));
	}
	if (r == RSA_E_PASS)
		fatalx("wrong passphrase");
	if (r != 0)
		fatalx("the private key file is damaged or not one that "
		    "`cloister keygen' made");
	buf_free(&file);
}

__attribute__((noreturn)) void
keyd_client_main(int argc, char **argv)
{
	struct keyd_client k;
	EVP_PKEY *key[KEYD_KEYS];
	pid_t parent = getppid();
	struct chan *c;
	const char *why;
	struct msg m;
	int r;

	setproctitle_init(argc, argv, environ);
	setproctitle("-cloister: keyd");
	log_set_name("keyd");
	if (argc != 2)
		fatalx("this program is started by cloister");
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1)
		fatal("PR_SET_DUMPABLE");
	(void)msg_desc(0);	/* its table is complete before any sandbox */
	crypto_warmup();
	keyd_load_keys(FD_KEYS, key);
	(void)close(FD_KEYS);
	keyd_client_init(&k, key);
	/* ^C is for the client; a line to a file would be a signal. */
	if (signal(SIGINT, SIG_IGN) == SIG_ERR ||
	    signal(SIGXFSZ, SIG_IGN) == SIG_ERR)
		fatal("signal");
	sandbox_drop_capabilities();
	(void)sandbox_enter(CELL_KEYD, parent, "", 0);
	c = chan_new(NULL, FD_CLIENT, CH_CLI_KEYD, END_B, CLI_KEYD_NEW, 0,
	    NULL, NULL, NULL);
	while ((r = chan_recv(c, &m, -1, &why)) == 0 &&
	    (why = keyd_client_request(&k, c, &m)) == NULL)
		continue;
	keyd_client_free(&k);
	chan_free(c);
	if (r != 1)
		fatalx("the client broke the protocol: %s", why);
	_exit(0);
}
