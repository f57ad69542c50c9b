/*
 * llmproxy: the one process that speaks with a provider and holds its key.
 *
 *	grant.c		channels of session workers; assembling requests
 *	request.c	the life of a request: attempts, deadlines, the answer
 *	judge.c		what an attempt amounts to, in the worker's words
 *	upstream.c	the provider: its key, its address, whom TLS believes
 *	transport.c	libcurl on the event loop, with the connector's sockets
 *
 * A request belongs to the grant channel that it came by; all text in it comes
 * from that session's worker and all text of its answer goes there.
 */
#ifndef LLMPROXY_LLMPROXY_H
#define LLMPROXY_LLMPROXY_H

#include <sys/queue.h>

#include <stdbool.h>
#include <stdint.h>

#include <curl/curl.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "bytes.h"
#include "chan.h"
#include "codes.h"
#include "item.h"
#include "kdf.h"
#include "loop.h"
#include "wire.h"

#define LLM_MODELS_MAX		64
#define LLM_KEY_MAX		4096	/* bytes of an API key */
#define LLM_CA_MAX		(4u << 20) /* bytes of a file of authorities */
#define LLM_REQUESTS_MAX	128	/* in flight, all grants together */
#define LLM_GRANT_REQUESTS_MAX	8	/* in flight on one grant channel */
#define LLM_GRANT_REFUSED_MAX	64	/* refused, their text still coming */
#define LLM_MESSAGES_MAX	16384	/* of one request */
#define LLM_TEXT_MAX		(10u << 20) /* bytes of text of one request */
#define LLM_TEXT_TOTAL_MAX	(128u << 20) /* of all requests together */
/* One user leaves half of the room to others. */
#define LLM_USER_REQUESTS_MAX	(LLM_REQUESTS_MAX / 2)
#define LLM_USER_TEXT_MAX	(LLM_TEXT_TOTAL_MAX / 2)
#define LLM_SESSION_GRANTS_MAX	LLM_MODELS_MAX /* open at once */
#define LLM_BODY_MAX		(64u << 20) /* bytes of an HTTP body, each way */
#define LLM_HEAD_MAX		65536	/* bytes of an answer's header */
#define LLM_ERROR_BODY_MAX	65536	/* bytes kept of an error's body */
#define LLM_ERROR_TEXT_MAX	512	/* bytes of ls_error's text ... */
#define LLM_HINT_MAX		256	/* ... and hint */
#define LLM_DELTA_MAX		16000	/* bytes of one ls_delta */
#define LLM_QUEUE_MAX		(1u << 20) /* waiting for a worker: pause */
#define LLM_ATTEMPTS_MAX	3
#define LLM_WAIT_MAX_MS		60000	/* between attempts, all together */

struct llm_model {
	char		 alias[65];	/* what users call it */
	char		 upstream[257];	/* what the provider calls it */
	char		*system;	/* sent first; "" for none */
	uint32_t	 max_tokens;	/* 0: the provider's limit */
	uint32_t	 context;	/* 0: the provider's choice */
	uint32_t	 temperature;	/* thousandths + 1; 0: not set */
};

/* The provider. */
struct upstream {
	enum provider_type type;
	bool		 tls, has_key, has_ca;
	uint16_t	 port;
	uint32_t	 connect_s, first_byte_s, idle_s, total_s;
	char		 name[65];
	char		 host[257];	/* a name, or a numeric address */
	char		 path[1025];	/* "" or "/v1" */
	struct bytes	 key;		/* inside of headers; empty for none */
	char		*url;
	struct curl_slist *headers;
	struct curl_slist *resolve;
	X509_STORE	*store;		/* whom TLS believes */
};

struct llmproxy {
	struct loop	*loop;
	struct chan	*vault;
	struct chan	*connector;
	uint32_t	 generation;
	struct upstream	 up;
	struct llm_model model[LLM_MODELS_MAX];
	size_t		 nmodels;
	LIST_HEAD(, grant) grants;
	LIST_HEAD(, request) flying;	/* started and not finished */
	size_t		 nflying;
	size_t		 text_bytes;	/* of all requests */
	struct loop_timer *tick;	/* while anything flies */
	/* transport */
	CURLM		*multi;
	X509_STORE	*system_store;	/* NULL: no system bundle */
	bool		 welcome;	/* the connector knows us */
	uint64_t	 connect_id;	/* of the newest lc_connect */
	uint64_t	 ask_id;	/* of the newest lv_ask */
	struct loop_timer *hello;	/* said again while unanswered */
	struct loop_timer *curl_timer;
	LIST_HEAD(, sock) socks;	/* what libcurl has open */
	size_t		 nsocks;
	size_t		 nrunning;	/* transfers inside of multi */
	struct spare {
		int	 fd;		/* -1: none */
		uint64_t since_ms;
	} spare[2];			/* connected, not used yet */
};

/* One vl_grant: what session n may ask one model. */
struct grant {
	LIST_ENTRY(grant) link;
	struct llmproxy	*lp;
	struct chan	*chan;
	uint64_t	 n;
	char		 user[65];
	const struct llm_model *model;
	LIST_HEAD(, request) requests;
	size_t		 nrequests;	/* filling or started */
	size_t		 nrefused;
};

/* How an attempt ended, as the worker is to be told. */
struct outcome {
	enum finish	 finish;
	enum err	 code;		/* 0: an answer */
	bool		 retry;		/* if there is still time for it */
	long		 retry_after_ms; /* or -1 */
	char		 text[LLM_ERROR_TEXT_MAX + 1];
	const char	*log;		/* instead of a text by the provider, */
};					/* which may quote what it was sent */

enum request_state {
	R_FILLING,	/* its messages arrive */
	R_REFUSED,	/* the same, but they are thrown away */
	R_ASKING,	/* whether the vault lets it */
	R_CONNECTING,	/* waits for a socket from the connector */
	R_RUNNING,	/* in libcurl's hands */
	R_BACKOFF	/* waits before another attempt */
};

struct request_msg {
	uint8_t		 kind;		/* enum kind or item_kind */
	size_t		 off, len;	/* in text */
};

struct request {
	LIST_ENTRY(request) link;	/* of the grant */
	LIST_ENTRY(request) flight;	/* of lp->flying, once started */
	struct grant	*grant;
	struct llmproxy	*lp;
	uint32_t	 req;
	enum request_state state;
	/* what is asked */
	uint32_t	 messages;	/* announced */
	uint32_t	 max_tokens;	/* 0: the model's */
	uint32_t	 temperature, top_p; /* thousandths + 1; 0: the model's */
	uint32_t	 nmsgs;		/* begun */
	uint32_t	 left;		/* bytes of the last one to come */
	struct item_order order;	/* of the messages */
	bool		 tools;		/* it has some: calls are passed on */
	size_t		 announced;	/* bytes of all so far */
	struct request_msg *msg;
	struct buf	 text;
	struct buf	 body;		/* JSON, once started */
	EVP_MD_CTX	*sent;		/* hash of what was asked */
	size_t		 sent_bytes;	/* of its text */
	uint64_t	 ask_id;	/* once it was put to the vault */
	/* the attempt */
	int		 attempt;	/* from 1 */
	uint64_t	 waited_ms;	/* between attempts */
	uint64_t	 connect_id;
	int		 fd;		/* from the connector, not used yet */
	bool		 no_fd;		/* libcurl wanted one, none was there */
	CURL		*easy;
	char		 curl_error[CURL_ERROR_SIZE];
	size_t		 head_bytes, body_bytes;
	bool		 answering;	/* bytes of the body have come */
	bool		 ended;		/* [DONE]: nothing more is awaited */
	struct wire	 answer;
	struct buf	 error_body;	/* with another status than 200 */
	/* what was answered */
	uint8_t		 out_kind;	/* enum delta, or OUT_CALL */
	unsigned	 out_call;	/* whose arguments they are */
	bool		 called[ITEM_CALLS_MAX];	/* have an id */
	struct buf	 out;		/* the delta being gathered */
	EVP_MD_CTX	*answered;
	uint64_t	 answered_bytes;	/* of text, reasoning too */
	bool		 reached;	/* the provider, maybe: it may cost */
	uint64_t	 started_ms, deadline_ms, total_ms;
	struct loop_timer *timer;	/* back-off, or paused */
};

/* ---- grant.c ------------------------------------------------------------- */

/* Handle vl_grant (taking m's descriptor), vl_revoke and vl_may. */
void grant_on_vault(struct chan *c, struct msg *m, void *lp);
/* Close a grant and everything in flight on it. */
void grant_close(struct grant *g);

/* ---- request.c ----------------------------------------------------------- */

/* A new request in state R_FILLING on g, of so many messages. */
struct request *request_new(struct grant *g, uint32_t req, uint32_t messages);
/* All text is there: build the body, ask the vault, and when it lets, make the
 * first attempt.  r may be gone when this returns. */
void request_start(struct request *r);
/* The vault's answer to what request_start() asked. */
void request_may(struct llmproxy *lp, const struct m_vl_may *m);
/* A limit is exceeded: say so, and throw away what was gathered; the rest is read
 * and dropped (R_REFUSED). */
void request_refuse(struct request *r, const char *why);
/* Stop at once (the connection to the provider closes, which ends generation)
 * and say so by ls_end.  Frees r. */
void request_cancel(struct request *r);
/* The same without a word to the worker, which is gone or gave it up. */
void request_abandon(struct request *r);
/* Called by the transport: n bytes of the body came.  0 to go on, -1 to stop. */
int request_body(struct request *r, const void *p, size_t n);
/* Called by the transport before each piece: whether the worker is behind. */
bool request_paused(struct request *r);
/*
 * Called by the transport: the attempt is over, with libcurl's result and what
 * it or the connector says of it.  r->easy is still there, if it ever was; r may
 * be gone when this returns.
 */
void request_attempt_done(struct request *r, CURLcode rc, const char *text);

/* ---- judge.c ------------------------------------------------------------- */

/*
 * What an attempt amounts to: libcurl's result, what is said of it, and the
 * answer as far as it came.  o comes with finish FINISH_ERROR, code 0,
 * retry_after_ms -1 and log pointing to its text.
 */
void judge(struct request *r, CURLcode rc, const char *text,
    struct outcome *o);
/* What one can do about an error, for a person; "" when there is nothing. */
void judge_hint(const struct request *r, enum err code,
    char dst[LLM_HINT_MAX + 1]);

/* ---- upstream.c ---------------------------------------------------------- */

/* Before the sandbox: the system's authorities, and TLS made ready. */
void upstream_prepare(struct llmproxy *lp);
/*
 * Take the provider's key and own authorities (contents of their files; empty
 * for none) and make what all requests share.  Fatal when they are unusable.
 * key is wiped.
 */
void upstream_configure(struct llmproxy *lp, struct buf *key, struct bytes ca);

/* ---- transport.c --------------------------------------------------------- */

/* Before the sandbox: everything that opens a file or makes a descriptor. */
void transport_prepare(struct llmproxy *lp);
/* Say hello to the connector; lp->loop and lp->connector are set. */
void transport_start(struct llmproxy *lp);
/* The connector's messages. */
void transport_on_connector(struct chan *c, struct msg *m, void *lp);
/*
 * Make an attempt: at once when a connection is idle (and fresh is false), else
 * when the connector has made one.  Ends in request_attempt_done(), never from
 * inside of this call.
 */
void transport_begin(struct request *r, bool fresh);
/* End the attempt, if there is one; a transfer under way is cut off. */
void transport_end(struct request *r);
/* Go on with a transfer that request_paused() held up. */
void transport_resume(struct request *r);

#endif
