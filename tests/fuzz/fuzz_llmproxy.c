/*
 * An llmproxy between hostile neighbours: session workers that ask for anything,
 * a connector that says anything, and a provider that answers anything over the
 * sockets that come from it.  Nobody is told the provider's key.
 */
#include "fuzz.h"

#include "jsonin.h"
#include "../llmproxy/llmproxy.h"

#define PROVIDERS	8
#define KEY		"sk-fuzz-secret-key-000"

static struct llmproxy lp;
static struct fz_ticker ticker;
static int vault, connector;		/* the peers' ends */
static int worker;			/* of the grant, or -1 */
static int provider[PROVIDERS], nproviders;
static uint64_t last_n;
static uint64_t wanted;			/* the last connection asked for */

/* In the place of the C library's: libcurl's sockets are connected already. */
int
connect(int fd, const struct sockaddr *sa, socklen_t n)
{
	(void)fd;
	(void)sa;
	(void)n;
	errno = EINPROGRESS;	/* as its sandbox says */
	return -1;
}

static void
on_closed(struct chan *c, const char *why, void *arg)
{
	(void)c;
	(void)arg;
	need(why == NULL);
}

static void
fuzz_setup(void)
{
	struct buf key = BUF_INIT(100);
	int v[2], c[2];

	jsonin_init();
	transport_prepare(&lp);
	lp.up.port = 80;
	lp.up.has_key = true;
	lp.up.connect_s = lp.up.first_byte_s = lp.up.idle_s = lp.up.total_s = 60;
	(void)strcpy(lp.up.name, "local");
	(void)strcpy(lp.up.host, "127.0.0.1");
	(void)strcpy(lp.up.path, "/v1");
	buf_str(&key, KEY "\n");
	upstream_configure(&lp, &key, bytes_of(NULL, 0));
	buf_free(&key);
	(void)strcpy(lp.model[0].alias, "m");
	(void)strcpy(lp.model[0].upstream, "model");
	lp.model[0].system = strdup("Be brief.");
	lp.nmodels = 1;
	lp.loop = loop_new();
	lp.generation = 1;
	fz_ticker_start(&ticker, lp.loop);
	need(chan_pair(v, true) == 0 && chan_pair(c, true) == 0);
	vault = v[1];
	connector = c[1];
	lp.vault = chan_new(lp.loop, v[0], CH_VAULT_LLM, END_B, VAULT_LLM_UP,
	    CHAN_RECV_FD, grant_on_vault, on_closed, &lp);
	lp.connector = chan_new(lp.loop, c[0], CH_LLM_CONN, END_A, LLM_CONN_UP,
	    CHAN_RECV_FD, transport_on_connector, on_closed, &lp);
	transport_start(&lp);
}

enum { L_WORKER, L_CONNECTOR, L_HEAD, L_BODY, L_END, L_CONNECT, L_ALL };

static void
ask(struct buf *b)
{
	buf_u8(b, L_WORKER);
	fz_script(b, MSG_sl_chat, "1 1");
	buf_u8(b, L_WORKER);
	fz_script(b, MSG_sl_msg, "1 1 2");
	buf_u8(b, L_WORKER);
	fz_script(b, MSG_sl_data, "1 :hi");
	buf_u8(b, L_CONNECT);
}

static void
body(struct buf *b, const char *text)
{
	buf_u8(b, L_BODY);
	buf_u8(b, 0);
	buf_u8(b, (uint8_t)strlen(text));
	buf_str(b, text);
}

static void
fuzz_seeds(void)
{
	static const char *const answer[] = {
		"data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"},"
		"\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
		"{\"error\":{\"message\":\"bad key " KEY "\",\"code\":401}}",
		"5\r\ndata:\r\n", "HTTP/1.1 100 Continue\r\n\r\n", "\r\n\r\n"
	};
	struct buf b = BUF_INIT(4096);

	for (uint8_t head = 0; head < 6; head++)
		for (size_t i = 0; i < sizeof(answer) / sizeof(answer[0]); i++) {
			buf_reset(&b);
			ask(&b);
			buf_put(&b, (uint8_t[]){ L_HEAD, 0, head }, 3);
			body(&b, answer[i]);
			buf_put(&b, (uint8_t[]){ L_END, 0 }, 2);
			fuzz_seed(NULL, 0, buf_bytes(&b));
		}
	buf_reset(&b);
	ask(&b);
	buf_u8(&b, L_WORKER);
	fz_script(&b, MSG_sl_cancel, "1");
	buf_u8(&b, L_CONNECTOR);
	fz_script(&b, MSG_cl_hello, "2");
	buf_u8(&b, L_CONNECTOR);
	fz_script(&b, MSG_cl_failed, "1 :no");
	fuzz_seed(NULL, 0, buf_bytes(&b));
	buf_free(&b);
}

/* A connection to the provider; our end is kept. */
static int
new_provider(void)
{
	int sv[2];

	need(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
	    sv) == 0);
	if (nproviders == PROVIDERS)
		close(sv[0]);
	else
		provider[nproviders++] = sv[0];
	return sv[1];
}

static void
no_key(struct bytes text)
{
	need(memmem(text.p, text.n, KEY, 8) == NULL);
}

static void
hear(void)
{
	uint8_t drop[4096];
	struct msg m;

	while (fz_next(vault, CH_VAULT_LLM, END_A, &m) == 0)
		if (m.type == MSG_lv_ask) {
			struct m_vl_may may = { .id = m.u.lv_ask.id };

			may.code = (uint16_t)(may.id % 8 == 7 ? ERR_LIMIT : 0);
			fz_tell(vault, MSG_vl_may, &may, -1);
		}
	while (worker != -1 && fz_next(worker, CH_SESS_LLM, END_A, &m) == 0) {
		if (m.type == MSG_ls_error) {
			need(m.u.ls_error.code != 0);
			no_key(m.u.ls_error.text);
			no_key(m.u.ls_error.hint);
		}
	}
	while (fz_next(connector, CH_LLM_CONN, END_B, &m) == 0)
		if (m.type == MSG_lc_connect)
			wanted = m.u.lc_connect.id;
	for (int i = 0; i < nproviders; i++)
		while (provider[i] != -1 &&
		    recv(provider[i], drop, sizeof(drop), MSG_DONTWAIT) > 0)
			;
}

static void
answer(uint8_t which, struct bytes b)
{
	if (nproviders > 0 && provider[which % nproviders] != -1)
		(void)send(provider[which % nproviders], b.p, b.n,
		    MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* libcurl waits a millisecond now and then. */
static void
linger(void)
{
	uint64_t end = mono_ms() + 2;

	do
		fz_spin(&ticker, 3);
	while (mono_ms() < end);
}

static void
step(struct rd *in)
{
	static const char *const head[] = {
		"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
		"HTTP/1.1 401 No\r\nContent-Length: 61\r\n\r\n",
		"HTTP/1.1 429 Later\r\nRetry-After: 0\r\nConnection: close\r\n\r\n",
		"HTTP/1.1 302 Found\r\nLocation: http://[::1]/\r\n\r\n",
		"HTTP/1.1 500 " KEY "\r\n\r\n"
	};
	struct m_cl_connected ok;
	struct msg m;
	uint8_t which;
	int fd;

	fz_arena_n = 0;
	switch (rd_u8(in) % L_ALL) {
	case L_WORKER:
		if (worker != -1)
			fz_say(in, worker, CH_SESS_LLM, END_A, NULL);
		break;
	case L_CONNECTOR:
		(void)fz_msg(in, CH_LLM_CONN, BA, &m);
		if (msg_desc(m.type)->has_fd) {
			fd = new_provider();
			fz_tell(connector, m.type, &m.u, fd);
			close(fd);
		} else
			fz_tell(connector, m.type, &m.u, -1);
		break;
	case L_HEAD:
		which = rd_u8(in);
		answer(which, bytes_str(head[rd_u8(in) % 6]));
		break;
	case L_BODY:
		which = rd_u8(in);
		answer(which, fz_string(in, 60000, false));
		linger();
		break;
	case L_END:
		which = rd_u8(in);
		if (nproviders > 0 && provider[which % nproviders] != -1) {
			close(provider[which % nproviders]);
			provider[which % nproviders] = -1;
		}
		break;
	case L_CONNECT:
		ok.id = wanted;
		fd = new_provider();
		fz_tell(connector, MSG_cl_connected, &ok, fd);
		close(fd);
		linger();
		break;
	}
}

static void
fuzz_one(struct bytes input)
{
	struct m_vl_grant g = { .n = ++last_n, .user = bytes_str("alice"),
	    .model = bytes_str("m") };
	struct m_cl_welcome welcome = { .generation = 1 };
	struct rd in = rd_of(input);
	int fd[2];

	need(chan_pair(fd, true) == 0);
	fz_tell(connector, MSG_cl_welcome, &welcome, -1);
	fz_tell(vault, MSG_vl_grant, &g, fd[1]);
	close(fd[1]);
	worker = fd[0];
	nproviders = 0;
	fz_spin(&ticker, 2);
	for (int i = 0; i < 40 && in.n > 0 && !in.err; i++) {
		step(&in);
		fz_spin(&ticker, 3);
		hear();
	}
	/* Everything of this input ends. */
	close(worker);
	worker = -1;
	fz_spin(&ticker, 3);
	need(lp.nflying == 0 && lp.text_bytes == 0 && LIST_EMPTY(&lp.grants));
	for (int i = 0; i < nproviders; i++)
		if (provider[i] != -1)
			close(provider[i]);
	for (int i = 0; i < 2; i++) {
		if (lp.spare[i].fd != -1)
			close(lp.spare[i].fd);
		lp.spare[i].fd = -1;
	}
	fz_spin(&ticker, 3);
	hear();
}
