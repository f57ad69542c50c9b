/*
 * The session worker among peers that say anything: a client with the right
 * keys, its twin, the vault and llmproxies.  The worker's loop (session_run()
 * makes it) is driven by a descriptor that is always ready: one step a round.
 */
#include "fuzz.h"

#include "appconn.h"
#include "hs.h"
#include "session.h"

#define N	77
#define LLMS	8

static const uint8_t c_ap[HASH_LEN] = "c", s_ap[HASH_LEN] = "s";
static const uint8_t mm[HASH_LEN] = "m", conv[HASH_LEN] = "conversation 001";

static struct run {
	struct rd	 in;
	struct fz_ticker t;
	struct appconn	*app;
	int		 vault, twin, client;	/* the peers' ends, or -1 */
	int		 llm[LLMS], nllm;
	bool		 honest;		/* the twin gave the right keys */
	unsigned	 idle;			/* rounds since the last step */
} r;

struct loop *__real_loop_new(void);
struct loop *__wrap_loop_new(void);
static void tick(void *arg);

struct loop *
__wrap_loop_new(void)
{
	struct loop *l = __real_loop_new();

	fz_ticker_start(&r.t, l);
	r.t.tick = tick;
	return l;
}

static void
fuzz_setup(void)
{
	fz_known[0] = conv;
}

enum { S_CLIENT, S_VAULT, S_LLM, S_TWIN, S_RAW, S_END, S_CLOSE, S_WAIT, S_ALL };

/* A step of a seed. */
static void
say(struct buf *b, uint8_t who, enum msg_type type, const char *fields)
{
	buf_u8(b, who);
	if (who == S_LLM)
		buf_u8(b, 0);
	fz_script(b, type, fields);
}

static void
fuzz_seeds(void)
{
	struct buf b = BUF_INIT(8192);
	uint8_t birth = 3;

	say(&b, S_CLIENT, MSG_c_prompt, "1 0 0 : :question");
	say(&b, S_VAULT, MSG_vs_open_model, "1 :m");
	say(&b, S_VAULT, MSG_vs_stored, "1 1 1 9");
	say(&b, S_LLM, MSG_ls_delta, "1 1 :hm");
	say(&b, S_LLM, MSG_ls_delta, "1 0 :answer");
	say(&b, S_LLM, MSG_ls_end, "1 1 3 4");
	say(&b, S_VAULT, MSG_vs_stored, "1 1 2 9");
	say(&b, S_CLIENT, MSG_c_ping, "9");
	buf_u8(&b, S_CLOSE);
	fuzz_seed(&birth, 1, buf_bytes(&b));
	buf_reset(&b);
	say(&b, S_CLIENT, MSG_c_prompt, "1 1 0 :m :more");
	say(&b, S_CLIENT, MSG_c_chat, "9 1 2 3 :m :\3\0\0\0\1s");
	say(&b, S_VAULT, MSG_vs_msg, "1 1 1 0 9 0 0 : 8");
	say(&b, S_VAULT, MSG_vs_data, "1 :question");
	say(&b, S_VAULT, MSG_vs_msg, "1 2 2 1 9 0 0 :m 6");
	say(&b, S_VAULT, MSG_vs_data, "1 :answer");
	say(&b, S_VAULT, MSG_vs_done, "1 :");
	say(&b, S_VAULT, MSG_vs_open_model, "1 :m");
	say(&b, S_VAULT, MSG_vs_stored, "1 1 3 9");
	say(&b, S_LLM, MSG_ls_delta, "1 0 :part");
	say(&b, S_CLIENT, MSG_c_cancel, "1");
	say(&b, S_LLM, MSG_ls_end, "1 3 0 0");
	say(&b, S_VAULT, MSG_vs_stored, "1 1 4 9");
	fuzz_seed(&birth, 1, buf_bytes(&b));
	buf_reset(&b);
	say(&b, S_CLIENT, MSG_c_prompt, "1 0 1 : :not-stored");
	say(&b, S_VAULT, MSG_vs_open_model, "1 :m");
	say(&b, S_LLM, MSG_ls_error, "1 4 :failed :again");
	say(&b, S_CLIENT, MSG_c_list, "2 3 :t");
	say(&b, S_VAULT, MSG_vs_conv, "2 1 9 2 :title");
	say(&b, S_VAULT, MSG_vs_done, "2 :next");
	say(&b, S_CLIENT, MSG_c_show, "3 1 1 9");
	say(&b, S_VAULT, MSG_vs_msg, "3 1 1 0 9 0 0 : 2");
	say(&b, S_VAULT, MSG_vs_data, "3 :hi");
	say(&b, S_VAULT, MSG_vs_error, "3 8 :storage :");
	say(&b, S_CLIENT, MSG_c_models, "4");
	say(&b, S_VAULT, MSG_vs_model, "4 1 :m :p");
	say(&b, S_VAULT, MSG_vs_done, "4 :");
	buf_put(&b, (uint8_t[]){ S_END, 0, S_END, 2, S_WAIT }, 5);
	fuzz_seed(&birth, 1, buf_bytes(&b));
	buf_reset(&b);
	say(&b, S_CLIENT, MSG_c_options, "1 1 2 3 4 :brief");
	say(&b, S_CLIENT, MSG_c_prompt, "1 1 0 :m :more");
	say(&b, S_VAULT, MSG_vs_msg, "1 1 3 0 9 0 0 : 2");
	say(&b, S_VAULT, MSG_vs_data, "1 :hi");
	say(&b, S_VAULT, MSG_vs_msg, "1 2 1 0 9 0 0 : 2");
	say(&b, S_VAULT, MSG_vs_data, "1 :hi");
	say(&b, S_VAULT, MSG_vs_msg, "1 3 4 0 9 0 0 : 0");
	say(&b, S_VAULT, MSG_vs_done, "1 :");
	say(&b, S_VAULT, MSG_vs_open_model, "1 :m");
	say(&b, S_VAULT, MSG_vs_stored, "1 1 4 9");
	say(&b, S_VAULT, MSG_vs_stored, "1 1 5 9");
	say(&b, S_LLM, MSG_ls_end, "1 1 3 4");
	say(&b, S_VAULT, MSG_vs_stored, "1 1 6 9");
	say(&b, S_CLIENT, MSG_c_withdraw, "2 1 6");
	say(&b, S_VAULT, MSG_vs_stored, "2 1 7 9");
	fuzz_seed(&birth, 1, buf_bytes(&b));
	birth = 0;
	buf_reset(&b);
	say(&b, S_TWIN, MSG_twin_secrets, "1 2 2 2 2 2");
	say(&b, S_VAULT, MSG_vs_user, "77 0 0 0 100 0 :alice");
	fuzz_seed(&birth, 1, buf_bytes(&b));
	buf_free(&b);
}

/* A descriptor for a message to the worker: a channel of an llmproxy. */
static int
new_llm(void)
{
	int fd[2];

	need(chan_pair(fd, true) == 0);
	if (r.nllm == LLMS)
		close(fd[0]);
	else
		r.llm[r.nllm++] = fd[0];
	return fd[1];
}

/* ... or the client's socket. */
static int
new_client(void)
{
	int sv[2];

	need(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) == 0);
	if (r.app == NULL) {
		r.client = sv[0];
		r.app = appconn_new(END_A, HS_SUITE_X25519, c_ap, s_ap, mm);
	} else
		close(sv[0]);
	return sv[1];
}

static void
send_client(struct bytes b)
{
	if (r.client != -1)
		(void)send(r.client, b.p, b.n, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void
send_app(void)
{
	struct bytes out = appconn_output(r.app);

	send_client(out);
	appconn_written(r.app, out.n);
}

static void
end(int *fd)
{
	if (*fd != -1)
		close(*fd);
	*fd = -1;
}

/* What the worker said: well-formed, and to the client a right stream. */
static void
listen_to(void)
{
	struct msg m;
	uint8_t *p;
	size_t room;
	ssize_t n;

	if (r.vault != -1)
		fz_drain(r.vault, CH_SESS_VAULT, END_B);
	for (int i = 0; i < r.nllm; i++)
		if (r.llm[i] != -1)
			fz_drain(r.llm[i], CH_SESS_LLM, END_B);
	for (;;) {
		if (r.client == -1)
			return;
		p = appconn_room(r.app, &room);
		n = recv(r.client, p, room, MSG_DONTWAIT);
		if (n <= 0)
			return;
		appconn_arrived(r.app, (size_t)n);
		while (appconn_next(r.app, &m) == APPCONN_MESSAGE)
			;
		need(!r.honest || appconn_why(r.app) == NULL);
	}
}

static void
step(void)
{
	uint8_t what = rd_u8(&r.in) % S_ALL, which;
	struct msg m;

	fz_arena_n = 0;
	switch (what) {
	case S_CLIENT:
		if (r.app == NULL)
			break;
		(void)fz_msg(&r.in, CH_APP, AB, &m);
		if (m.type != MSG_c_prompt || m.u.c_prompt.text.n < 100000)
			(void)appconn_send(r.app, m.type, &m.u);
		send_app();
		break;
	case S_VAULT:
		fz_say(&r.in, r.vault, CH_SESS_VAULT, END_B, new_llm);
		break;
	case S_LLM:
		which = rd_u8(&r.in);
		if (r.nllm > 0)
			fz_say(&r.in, r.llm[which % r.nllm], CH_SESS_LLM, END_B,
			    NULL);
		break;
	case S_TWIN:
		fz_say(&r.in, r.twin, CH_TWIN, END_A, new_client);
		break;
	case S_RAW:
		send_client(fz_string(&r.in, 1000, false));
		break;
	case S_END:
		which = rd_u8(&r.in) % (3 + LLMS);
		if (which < 3)
			end(which == 0 ? &r.client : which == 1 ? &r.vault :
			    &r.twin);
		else if (which - 3 < r.nllm)
			end(&r.llm[which - 3]);
		break;
	case S_CLOSE:
		if (r.app != NULL) {
			(void)appconn_close(r.app);
			send_app();
		}
		break;
	case S_WAIT:
		break;
	}
}

/* One step a round; when there is no more, every peer leaves. */
static void
tick(void *arg)
{
	(void)arg;
	listen_to();
	if (r.in.n > 0 && !r.in.err) {
		step();
		return;
	}
	r.idle++;
	if (r.idle == 3)
		end(&r.client);
	if (r.idle == 6)
		end(&r.twin);
	if (r.idle == 9)
		end(&r.vault);
	need(r.idle < 1000);		/* then it must end */
}

static void
honest_birth(void)
{
	struct m_vs_user u = { .n = N, .max_prompt_bytes = 1000,
	    .user = bytes_str("alice") };
	struct m_twin_secrets t = { .suite = 1 };
	int fd = new_client();

	r.honest = true;
	memcpy(t.c_ap, c_ap, HASH_LEN);
	memcpy(t.s_ap, s_ap, HASH_LEN);
	memcpy(t.msgmac, mm, HASH_LEN);
	fz_tell(r.twin, MSG_twin_secrets, &t, fd);
	fz_tell(r.vault, MSG_vs_user, &u, -1);
	close(fd);
}

static void
fuzz_one(struct bytes input)
{
	int v[2], t[2], status;

	memset(&r, 0, sizeof(r));
	r.in = rd_of(input);
	r.client = -1;
	need(chan_pair(v, true) == 0 && chan_pair(t, true) == 0);
	r.vault = v[0];
	r.twin = t[0];
	if ((rd_u8(&r.in) & 3) != 0)
		honest_birth();
	status = session_run(N, v[1], t[1]);
	need(status == 0 || status == 1);
	log_set_sink(fz_no_log);
	/* The loop is gone and took the ticker's place in it along. */
	close(r.t.fd);
	free(r.t.io);
	end(&r.client);
	end(&r.vault);
	end(&r.twin);
	for (int i = 0; i < r.nllm; i++)
		end(&r.llm[i]);
	appconn_free(r.app);
}
