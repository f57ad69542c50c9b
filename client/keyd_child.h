/*
 * The client's keyd: a child process that alone holds the user's private keys,
 * asks for their passphrase, and answers each question of a handshake once.
 *
 * keyd is executed with the channel (CLI_KEYD) at descriptor 3 and the private
 * key file at 4; to make keys, with the private file at 3 and the public one at 4.
 */
#ifndef CLIENT_KEYD_CHILD_H
#define CLIENT_KEYD_CHILD_H

#include <sys/types.h>

#include "cconf.h"
#include "chan.h"
#include "kdf.h"
#include "proof.h"
#include "rsa.h"

struct keyd {
	struct chan	*chan;
	pid_t		 pid;		/* -1: not a child of ours */
	/* after keyd_open() */
	uint8_t		 random_c[HASH_LEN];
	struct buf	 spki;		/* signing key */
	struct buf	 wrap_spki;
	struct buf	 msg_spki;
};

/*
 * The program's path: config's, else $CLOISTER_LIBEXEC/keyd, else as built.
 * The caller frees it.  Dies without memory.
 */
char *keyd_program(const struct cconf *c);

/*
 * Start the program on the private key file at path.  All these functions return
 * RC_OK or another exit code after telling the user.  The caller calls
 * keyd_stop() in any case.
 */
int keyd_start(struct keyd *k, const struct cconf *c, const char *path);
/* Talk to a keyd at the other end of fd, which is taken over. */
void keyd_attach(struct keyd *k, int fd, pid_t pid);
/* Close the channel and wait for the child's end.  Also for all zeros. */
void keyd_stop(struct keyd *k);

/* Begin a handshake: random_c and the public keys.  Waits while the user types. */
int keyd_open(struct keyd *k);
/* Append the signature of this handshake (hs_tbs_client()) to sig. */
int keyd_sign(struct keyd *k, uint8_t suite, const uint8_t random_s[HASH_LEN],
    const uint8_t th_sf[HASH_LEN], const uint8_t server_hash[HASH_LEN],
    const uint8_t cert_hash[HASH_LEN], struct buf *sig);
/* Wd from the server's wrapping (hs_wrap_derive()). */
int keyd_unwrap(struct keyd *k, const uint8_t th_cf[HASH_LEN], struct bytes ct,
    uint8_t wd[HASH_LEN]);

/*
 * Sign a message.  session_id, server, number and previous of p are set; the rest
 * is filled in, its encoding appended to proof.
 */
int keyd_message(struct keyd *k, struct proof_user *p, struct bytes text,
    struct buf *proof);
/*
 * Sign an export: server, conv, count and last of p are set; client, time and spki
 * are filled in, the signature appended to sig.
 */
int keyd_export(struct keyd *k, struct proof_export *p, struct buf *sig);

/* Make new keys in two empty files; nopass: without a passphrase. */
int keyd_generate(const struct cconf *c, int private_fd, int public_fd,
    bool nopass);

#endif
