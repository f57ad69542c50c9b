/*
 * Questions that the user signs (docs/protocol.md, Signed conversations).
 */
#ifndef CLIENT_SIGN_H
#define CLIENT_SIGN_H

#include "client.h"

/*
 * Before the question `req' of this text is asked in conversation conv (zeros: a
 * new one): as cl->conf.sign says, ask the user whether to sign it, read what the
 * conversation has so far, have keyd sign, and send c_sign.  RC_OK with *done,
 * whether it was signed; or another exit code after telling the user.
 */
int sign_question(struct client *cl, uint32_t req, struct bytes text,
    const uint8_t conv[CONV_LEN], bool *done);

#endif
