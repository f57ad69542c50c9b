/*
 * The client's certd: a child process in a sandbox that takes a server's
 * certificates apart and gives one verdict.
 */
#ifndef CLIENT_CERTD_CHILD_H
#define CLIENT_CERTD_CHILD_H

#include <stdint.h>

#include "bytes.h"
#include "cconf.h"
#include "certs.h"

struct certd_verdict {
	unsigned	verdict;	/* enum cert_verdict, or none of it */
	uint64_t	not_before;	/* seconds since the epoch; 0: unknown */
	uint64_t	not_after;
	char		detail[257];	/* issuer and serial number, or empty */
};

/*
 * Have the chain (certs.h, as it travels) of the server with the key in spki
 * checked by what ca_file and crl_file say.  Returns RC_OK with *v, whatever it
 * is, or another exit code after telling the user.
 */
int certd_ask(struct certd_verdict *v, const struct cconf *conf,
    const struct cconf_server *server, struct bytes spki, struct bytes chain);

#endif
