/*
 * keyd: the process that holds RSA private keys, and uses each for one thing
 * and in one order, whatever it is asked.
 *
 *	keyd_server.c	the server's: a nonce and one signature for each worker
 *	keyd_receipt.c	the server's: receipts for answers to signed questions
 *	keyd_audit.c	the server's: checkpoints of the audit log
 *	keyd_boot.c	the server's: the vault's share of the storage key
 *	keyd_client.c	the client's: one handshake after the other
 *	keyd_message.c	the client's: messages and exports
 *	keyd_gen.c	makes a client's keys
 *	keyd_csr.c	requests for certificates, offline
 */
#ifndef KEYD_KEYD_H
#define KEYD_KEYD_H

#include <sys/queue.h>

#include "chan.h"
#include "hs.h"
#include "proof.h"
#include "rsa.h"

/* ---- the server ---------------------------------------------------------- */

#define KEYD_SIGN_MS	10000	/* from xk_open to xk_sign */
#define KEYD_WORKERS	4096	/* worker channels at once */

struct keyd_server {
	struct loop	*loop;
	EVP_PKEY	*host;
	struct buf	 spki;			/* of host */
	uint8_t		 spki_hash[HASH_LEN];
	struct chan	*vault;			/* KEYD_VAULT, END_A */
	size_t		 seal_n;		/* HS_SEAL, or 0: none yet */
	uint8_t		 seal[HS_SEAL];		/* the hasher's key */
	struct chan	*zygote;		/* KEYD_ZYG, END_A */
	uint32_t	 generation;		/* of the zygote; 0: none yet */
	uint64_t	 last_n;
	unsigned	 live;			/* worker channels */
	LIST_HEAD(, receipts) receipts;		/* of each session */
	unsigned	 nreceipts;
	struct pending	*pending;		/* that wait for the next tree */
	size_t		 npending;
	struct loop_timer *tree_timer;		/* while there are any */
	uint64_t	(*now_ms)(void);	/* mono_ms(), but in tests */
};

/* Begin with the host key, which stays the caller's. */
void keyd_server_init(struct keyd_server *s, struct loop *l, EVP_PKEY *host);
/* Tell the vault who this server is; s->vault is set. */
void keyd_server_hello(struct keyd_server *s);
/*
 * One message of the vault: the hasher's sealing key, which every handshake from
 * now on is signed with (no worker can name another), or about receipts.  NULL, or
 * what is wrong with it.
 */
const char *keyd_server_vault(struct keyd_server *s, const struct msg *m);
/*
 * One message of the zygote; s->zygote is set.  NULL, or what is wrong with it.
 * For zk_want, makes the worker's channel, serves it from s->loop, and sends
 * its other end.  A want of a generation that is over, or beyond KEYD_WORKERS,
 * is logged and stays without an answer.
 */
const char *keyd_server_zygote(struct keyd_server *s, const struct msg *m);

/* ---- receipts ------------------------------------------------------------ */

#define KEYD_RECEIPT_MS		5	/* what comes meanwhile shares a signature */
#define KEYD_RECEIPT_SESSIONS	4096	/* that get receipts, at once */

/*
 * vk_receipt, vk_over.  keyd numbers the receipts of a session itself and joins
 * each to the one before: what is asked for again, or out of order, is refused.
 * NULL, or what is wrong.
 */
const char *keyd_receipt_request(struct keyd_server *s, const struct msg *m);
/* Forget all sessions and what waits. */
void keyd_receipt_free(struct keyd_server *s);

/* ---- the audit log's checkpoints ----------------------------------------- */

#define KEYD_CP_BURST	8	/* signatures at once */
#define KEYD_CP_MS	250	/* and one more for each */

struct keyd_audit {
	struct keyd_server	*s;		/* whose host key signs */
	uint64_t		 last_seq;	/* that was signed; 0: none yet */
	uint64_t		 last_us;
	unsigned		 allowance;
	uint64_t		 since_ms;
	uint64_t		(*wall_us)(void);	/* wall_us(), but in tests */
};

void keyd_audit_init(struct keyd_audit *a, struct keyd_server *s);
/*
 * One message of the logger on c: a checkpoint (checkpoint.h) is signed there,
 * or put off when there were too many.  NULL, or what is wrong: a line that is
 * not behind the last one that was signed since this process began.
 */
const char *keyd_audit_request(struct keyd_audit *a, struct chan *c,
    const struct msg *m);

/* ---- boot ---------------------------------------------------------------- */

#define KEYD_UNWRAPS	2	/* generations of the storage key at one start */
#define KEYD_BOOT_MS	60000	/* how long the wrap key is there */

struct keyd_boot {
	EVP_PKEY	*wrap;		/* owned; NULL when it is over */
	bool		 init;		/* unwrap nothing */
	unsigned	 unwraps;
	uint8_t		*reject;	/* HASH_LEN bytes, secret.h */
};

/* Begin with the wrap key, which is taken over. */
void keyd_boot_init(struct keyd_boot *b, EVP_PKEY *wrap, bool init);
/*
 * One message of the vault on c: answered there.  After boot_done and after the
 * last unwrap the wrap key is gone.  NULL, or what is wrong.
 */
const char *keyd_boot_request(struct keyd_boot *b, struct chan *c,
    const struct msg *m);
/* Free the wrap key and its secret, if that has not happened. */
void keyd_boot_end(struct keyd_boot *b);

/* ---- the client ---------------------------------------------------------- */

/* A client's private keys, in the order of their file. */
enum keyd_key { KEYD_SIGN, KEYD_WRAP, KEYD_MESSAGE, KEYD_KEYS };

#define KEYD_FILE_MAX	(KEYD_KEYS * RSA_PEM_MAX)	/* bytes */

extern const enum rsa_use keyd_uses[KEYD_KEYS];

/*
 * Read a private key file: exactly three PEM blocks, all in clear or all under
 * one passphrase (NULL: none was asked for).  0 with keys that the caller
 * frees, or RSA_E_PASS or RSA_E_BAD (rsa.h) with none.
 */
int keyd_keys_decode(EVP_PKEY *key[KEYD_KEYS], struct bytes file,
    const char *passphrase);

struct keyd_client {
	EVP_PKEY	*key[KEYD_KEYS];
	struct buf	 spki[KEYD_KEYS];
	uint8_t		 hash[KEYD_KEYS][HASH_LEN];	/* of spki */
	uint8_t		 random_c[HS_RANDOM];	/* of this handshake */
	uint8_t		 random_s[HS_RANDOM];
	uint8_t		*reject;	/* HASH_LEN bytes, secret.h */
	struct proof_user message;	/* that is being signed */
	uint32_t	 left;		/* bytes of its text still to come */
	EVP_MD_CTX	*text;		/* of salt and text */
};

/* Begin with the keys, which are taken over; each is used once (rsa_warmup()). */
void keyd_client_init(struct keyd_client *k, EVP_PKEY *key[KEYD_KEYS]);
void keyd_client_free(struct keyd_client *k);
/*
 * One message on c (CLI_KEYD, END_B): answered there, and the channel's state
 * set to what may come next.  NULL, or what is wrong.
 */
const char *keyd_client_request(struct keyd_client *k, struct chan *c,
    const struct msg *m);

/*
 * ck_message, ck_text, ck_export: what is signed is put together here, from the
 * text itself, a salt and a time of our own.  NULL, or what is wrong.
 */
const char *keyd_message_request(struct keyd_client *k, struct chan *c,
    const struct msg *m);

/* `keyd -c': serve the client at descriptor 3 with the keys in the file at 4. */
__attribute__((noreturn)) void keyd_client_main(int argc, char **argv);

/*
 * Read a client's keys from the file at fd, asking for their passphrase when they
 * have one; a failure is fatal.
 */
void keyd_load_keys(int fd, EVP_PKEY *key[KEYD_KEYS]);

/* ---- new keys ------------------------------------------------------------ */

/*
 * `keyd -g [-N] [-C comment]': write a client's new keys, the private ones to
 * descriptor 3, the public ones (pubkey.h) to 4.
 */
__attribute__((noreturn)) void keyd_gen_main(int argc, char **argv);
/* `keyd --csr ...': see keyd_csr.c. */
__attribute__((noreturn)) void keyd_csr_main(int argc, char **argv);

#endif
