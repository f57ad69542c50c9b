/*
 * connector: makes TCP connections to the providers' configured addresses, and
 * to no other, and passes them on.  It sees neither prompts nor keys.
 *
 * Looking a name up blocks: nobody waits for this process but those who need
 * the answer, and answers are kept for a minute.
 */
#ifndef LLMPROXY_CONNECTOR_H
#define LLMPROXY_CONNECTOR_H

#include <sys/queue.h>
#include <sys/socket.h>

#include <stdint.h>

#include "chan.h"
#include "loop.h"

#define CONNECTOR_PENDING_MAX	64	/* for each provider */
#define CONNECTOR_ADDRS_MAX	8	/* of one name */

struct dest {
	struct loop	*loop;
	struct chan	*chan;		/* to the provider's llmproxy */
	char		 host[257];
	uint16_t	 port;
	uint32_t	 timeout_ms;	/* for one lc_connect, all addresses */
	LIST_HEAD(, pending) pending;
	size_t		 npending;
	/* what the name meant, until good_ms */
	uint64_t	 good_ms;
	char		 failure[129];	/* or why it means nothing */
	size_t		 naddrs;
	struct addr {
		struct sockaddr_storage	 sa;
		socklen_t		 len;
	} addr[CONNECTOR_ADDRS_MAX];
};

/*
 * Before the sandbox: fix where names come from and let the C library load what
 * it needs for that.
 */
void connector_prepare(void);
/* An llmproxy's messages; arg is its struct dest. */
void connector_on_msg(struct chan *c, struct msg *m, void *arg);

#endif
