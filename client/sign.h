/*
 * Questions that the user signs (docs/protocol.md, Signed conversations).
 */
#ifndef CLIENT_SIGN_H
#define CLIENT_SIGN_H

#include "client.h"

/* What is known of a signed question, until its answer is there. */
struct sign {
	bool		 done;		/* it was signed */
	uint64_t	 number;
	uint8_t		 signature[HASH_LEN];	/* its hash */
	EVP_MD_CTX	*text;		/* of the answer as it comes */
};

/*
 * Before the question `req' of this text is asked in conversation conv (zeros: a
 * new one): as cl->conf.sign says, ask the user whether to sign it, read what the
 * conversation has so far, have keyd sign, and send c_sign.  RC_OK with s; or
 * another exit code after telling the user.  sign_free() in any case.
 */
int sign_question(struct client *cl, uint32_t req, struct bytes text,
    const uint8_t conv[CONV_LEN], struct sign *s);
/* A part of the answer's text. */
void sign_delta(struct sign *s, struct bytes text);
/*
 * The answer is stored as message number of conv: get its receipt and tell the user
 * when there is none, or it is not about what came here.
 */
int sign_receipt(struct client *cl, struct sign *s,
    const uint8_t conv[CONV_LEN], uint64_t number);
void sign_free(struct sign *s);

#endif
