/*
 * sessiond/session*.c: the worker in a process of its own; this test plays its
 * vault, twin, llmproxy and client.
 */
#include <sys/socket.h>
#include <sys/wait.h>

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "appconn.h"
#include "hs.h"
#include "chan.h"
#include "codes.h"
#include "role.h"
#include "session.h"

#define WAIT_MS		10000
#define N		77

static const uint8_t c_ap[HASH_LEN] = { 1 };
static const uint8_t s_ap[HASH_LEN] = { 2 };
static const uint8_t mm[HASH_LEN] = { 3 };
static const uint8_t conv1[16] = "conversation 001";
static const uint8_t zeros[HASH_LEN];

struct run {
	pid_t		 pid;
	struct chan	*vault, *twin, *llm;
	int		 sock;
	struct appconn	*app;
	struct msg	 m;		/* what arrived last */
	uint8_t		 shaping;	/* what the user is given */
	size_t		 heard;		/* bytes from the worker */
};

static uint32_t limit_s;		/* lifetime of the next session */
static uint32_t rekey_s;		/* and when its keys are old */

static void
give_user(struct run *r, uint64_t n, uint32_t idle_s)
{
	struct m_vs_user u = {
		.n = n, .idle_timeout_s = idle_s, .lifetime_s = limit_s, .rekey_interval_s = rekey_s,
		.max_prompt_bytes = 1048576,
		.shaping = r->shaping, .user = bytes_str("alice")
	};

	assert_int_equal(chan_send(r->vault, MSG_vs_user, &u, -1), 0);
	chan_set_state(r->vault, SESS_VAULT_LIVE);
}

static void
give_keys(struct run *r)
{
	struct m_twin_secrets t = { .suite = 1 };
	int sv[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv),
	    0);
	memcpy(t.c_ap, c_ap, HASH_LEN);
	memcpy(t.s_ap, s_ap, HASH_LEN);
	memcpy(t.msgmac, mm, HASH_LEN);
	memset(t.session_id, 9, HASH_LEN);
	assert_int_equal(chan_send(r->twin, MSG_twin_secrets, &t, sv[1]), 0);
	close(sv[1]);
	r->sock = sv[0];
	r->app = appconn_new(END_A, HS_SUITE_X25519, c_ap, s_ap, mm);
}

static void
start(struct run *r)
{
	int v[2], t[2];

	memset(r, 0, sizeof(*r));
	r->sock = -1;
	(void)msg_desc(0);
	assert_int_equal(chan_pair(v, true), 0);
	assert_int_equal(chan_pair(t, true), 0);
	assert_true((r->pid = fork()) >= 0);
	if (r->pid == 0) {
		close(v[0]);
		close(t[0]);
		_exit(session_run(N, v[1], t[1]));
	}
	close(v[1]);
	close(t[1]);
	r->vault = chan_new(NULL, v[0], CH_SESS_VAULT, END_B, SESS_VAULT_INERT,
	    0, NULL, NULL, NULL);
	r->twin = chan_new(NULL, t[0], CH_TWIN, END_A, TWIN_WAIT, 0, NULL, NULL,
	    NULL);
}

static int
finish(struct run *r)
{
	int status;

	if (r->sock != -1)
		close(r->sock);
	chan_free(r->vault);
	chan_free(r->twin);
	chan_free(r->llm);
	appconn_free(r->app);
	assert_int_equal(waitpid(r->pid, &status, 0), r->pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* The next message from the worker to the vault. */
static void
from_vault_chan(struct run *r, enum msg_type type)
{
	const char *why;

	do
		assert_int_equal(chan_recv(r->vault, &r->m, WAIT_MS, &why), 0);
	while (r->m.type == MSG_sv_log && type != MSG_sv_log);
	assert_string_equal(msg_desc(r->m.type)->name, msg_desc(type)->name);
}

static void
from_llm_chan(struct run *r, enum msg_type type)
{
	const char *why;

	assert_int_equal(chan_recv(r->llm, &r->m, WAIT_MS, &why), 0);
	assert_string_equal(msg_desc(r->m.type)->name, msg_desc(type)->name);
}

static void
write_out(struct run *r)
{
	struct bytes b;

	while ((b = appconn_output(r->app)).n > 0) {
		assert_int_equal(write_all(r->sock, b.p, b.n), 0);
		appconn_written(r->app, b.n);
	}
}

static void
client_send(struct run *r, enum msg_type type, const void *body)
{
	assert_int_equal(appconn_send(r->app, type, body), 0);
	write_out(r);
}

static enum appconn_result
client_next(struct run *r)
{
	enum appconn_result v;
	uint8_t *p;
	size_t room;
	ssize_t n;

	while ((v = appconn_next(r->app, &r->m)) == APPCONN_AGAIN) {
		write_out(r);
		p = appconn_room(r->app, &room);
		assert_true((n = read(r->sock, p, room)) > 0);
		appconn_arrived(r->app, (size_t)n);
		r->heard += (size_t)n;
	}
	return v;
}

static void
client_recv(struct run *r, enum msg_type type)
{
	assert_int_equal(client_next(r), APPCONN_MESSAGE);
	assert_string_equal(msg_desc(r->m.type)->name, msg_desc(type)->name);
}

/* A session that runs and has said hello. */
static void
begin_shaped(struct run *r, uint32_t idle_s, enum shape_mode shaping)
{
	start(r);
	r->shaping = (uint8_t)shaping;
	give_user(r, N, idle_s);
	give_keys(r);
	from_vault_chan(r, MSG_sv_ready);
	assert_int_equal(r->m.u.sv_ready.session_id[0], 9);
	client_recv(r, MSG_s_hello);
	assert_true(bytes_eq(r->m.u.s_hello.user, bytes_str("alice")));
	assert_int_equal(r->m.u.s_hello.max_prompt_bytes, 1048576);
	assert_int_equal(r->m.u.s_hello.shaping, shaping);
	r->heard = 0;
}

static void
begin(struct run *r, uint32_t idle_s)
{
	begin_shaped(r, idle_s, SHAPE_OFF);
}

/* Both ends say CLOSE; the worker ends well. */
static void
end(struct run *r)
{
	uint8_t c;

	assert_int_equal(appconn_close(r->app), 0);
	write_out(r);
	assert_int_equal(client_next(r), APPCONN_CLOSED);
	assert_int_equal(read(r->sock, &c, 1), 0);
	assert_int_equal(finish(r), 0);
}

static void
hello_and_ping(void **state)
{
	struct m_c_ping ping = { .req = 4 };
	struct run r;

	(void)state;
	begin(&r, 0);
	client_send(&r, MSG_c_ping, &ping);
	client_recv(&r, MSG_s_pong);
	assert_int_equal(r.m.u.s_pong.req, 4);
	end(&r);
}

static void
keys_before_user(void **state)
{
	struct run r;

	(void)state;
	start(&r);
	give_keys(&r);
	give_user(&r, N, 0);
	from_vault_chan(&r, MSG_sv_ready);
	client_recv(&r, MSG_s_hello);
	end(&r);
}

static void
not_its_user(void **state)
{
	struct run r;

	(void)state;
	start(&r);
	give_user(&r, N + 1, 0);
	assert_int_equal(finish(&r), 1);
}

static void
twin_dies(void **state)
{
	struct run r;

	(void)state;
	start(&r);
	chan_free(r.twin);
	r.twin = NULL;
	assert_int_equal(finish(&r), 0);
}

static void
idle_session_is_closed(void **state)
{
	struct run r;

	(void)state;
	begin(&r, 1);
	assert_int_equal(client_next(&r), APPCONN_CLOSED);
	assert_int_equal(finish(&r), 0);
}

/* ---- reading ---- */

static void
vs_msg(struct run *r, uint32_t rid, uint64_t number, uint8_t kind,
    uint8_t finish_state, const char *text)
{
	struct m_vs_msg m = {
		.req = rid, .number = number, .kind = kind,
		.finish = finish_state, .model = bytes_str("m"),
		.len = (uint32_t)strlen(text),
		.proof = bytes_str(number == 5 ? "a proof" : "")
	};
	struct m_vs_data d = { .req = rid };

	assert_int_equal(chan_send(r->vault, MSG_vs_msg, &m, -1), 0);
	for (size_t at = 0; at < m.len; at += d.data.n) {
		d.data = bytes_of(text + at, m.len - at < 32768 ? m.len - at :
		    32768);
		/* A worker that did not like the beginning may be gone. */
		if (chan_send(r->vault, MSG_vs_data, &d, -1) == -1)
			break;
	}
}

static void
vs_done(struct run *r, uint32_t rid, const char *token)
{
	struct m_vs_done m = { .req = rid, .token = bytes_str(token) };

	assert_int_equal(chan_send(r->vault, MSG_vs_done, &m, -1), 0);
}

static void
list_show_models(void **state)
{
	struct m_c_list l = { .req = 1, .limit = 3, .token = bytes_str("t") };
	struct m_c_show sh = { .req = 2, .from = 5, .limit = 6 };
	struct m_c_models mo = { .req = 3 };
	struct m_vs_conv vc = { .count = 8, .title = bytes_str("title") };
	struct m_vs_model vm = { .is_default = 1, .alias = bytes_str("m") };
	struct run r;

	(void)state;
	begin(&r, 0);
	client_send(&r, MSG_c_list, &l);
	client_send(&r, MSG_c_show, &sh);
	client_send(&r, MSG_c_models, &mo);
	from_vault_chan(&r, MSG_sv_list);
	assert_int_equal(r.m.u.sv_list.limit, 3);
	assert_true(bytes_eq(r.m.u.sv_list.token, bytes_str("t")));
	vc.req = r.m.u.sv_list.req;
	from_vault_chan(&r, MSG_sv_read);
	assert_int_equal(r.m.u.sv_read.from, 5);
	assert_int_equal(r.m.u.sv_read.limit, 6);
	vs_msg(&r, r.m.u.sv_read.req, 5, 1, 0, "question");
	vs_msg(&r, r.m.u.sv_read.req, 6, 2, 1, "");
	vs_done(&r, r.m.u.sv_read.req, "next");
	from_vault_chan(&r, MSG_sv_models);
	vm.req = r.m.u.sv_models.req;
	assert_int_equal(chan_send(r.vault, MSG_vs_model, &vm, -1), 0);
	vs_done(&r, vm.req, "");
	assert_int_equal(chan_send(r.vault, MSG_vs_conv, &vc, -1), 0);
	vs_done(&r, vc.req, "");

	client_recv(&r, MSG_s_msg);
	assert_int_equal(r.m.u.s_msg.req, 2);
	assert_int_equal(r.m.u.s_msg.number, 5);
	assert_true(bytes_eq(r.m.u.s_msg.text, bytes_str("question")));
	assert_true(bytes_eq(r.m.u.s_msg.proof, bytes_str("a proof")));
	client_recv(&r, MSG_s_msg);
	assert_int_equal(r.m.u.s_msg.text.n, 0);
	assert_int_equal(r.m.u.s_msg.proof.n, 0);
	client_recv(&r, MSG_s_done);
	assert_int_equal(r.m.u.s_done.req, 2);
	assert_true(bytes_eq(r.m.u.s_done.token, bytes_str("next")));
	client_recv(&r, MSG_s_model);
	assert_int_equal(r.m.u.s_model.req, 3);
	client_recv(&r, MSG_s_done);
	client_recv(&r, MSG_s_conv);
	assert_int_equal(r.m.u.s_conv.req, 1);
	assert_true(bytes_eq(r.m.u.s_conv.title, bytes_str("title")));
	client_recv(&r, MSG_s_done);
	end(&r);
}

static void
show_error(void **state)
{
	struct m_c_show sh = { .req = 2 };
	struct m_vs_error e = {
		.code = 2, .text = bytes_str("no such conversation"),
		.hint = bytes_str("list them")
	};
	struct run r;

	(void)state;
	begin(&r, 0);
	client_send(&r, MSG_c_show, &sh);
	from_vault_chan(&r, MSG_sv_read);
	e.req = r.m.u.sv_read.req;
	assert_int_equal(chan_send(r.vault, MSG_vs_error, &e, -1), 0);
	client_recv(&r, MSG_s_error);
	assert_int_equal(r.m.u.s_error.req, 2);
	assert_int_equal(r.m.u.s_error.code, 2);
	assert_true(bytes_eq(r.m.u.s_error.hint, bytes_str("list them")));
	end(&r);
}

/* What the vault must not say ends the session, with status 1. */
static void
vault_violations(void **state)
{
	(void)state;
	for (int i = 0; i < 6; i++) {
		struct m_c_show sh = { .req = 2 };
		struct m_vs_data d = { .data = bytes_str("x") };
		struct m_vs_stored st = { .number = 1 };
		struct run r;
		uint32_t rid;

		begin(&r, 0);
		client_send(&r, MSG_c_show, &sh);
		from_vault_chan(&r, MSG_sv_read);
		rid = d.req = st.req = r.m.u.sv_read.req;
		switch (i) {
		case 0:		/* never asked */
			vs_done(&r, rid + 1, "");
			break;
		case 1:
			vs_done(&r, 0, "");
			break;
		case 2:		/* data without a message */
			assert_int_equal(chan_send(r.vault, MSG_vs_data, &d,
			    -1), 0);
			break;
		case 3:		/* more data than announced */
			vs_msg(&r, rid, 1, 1, 0, "abc");
			assert_int_equal(chan_send(r.vault, MSG_vs_data, &d,
			    -1), 0);
			break;
		case 4:		/* a show is not stored */
			assert_int_equal(chan_send(r.vault, MSG_vs_stored, &st,
			    -1), 0);
			break;
		case 5:		/* a text that is none */
			vs_msg(&r, rid, 1, 1, 0, "\xff\xfe");
			break;
		}
		if (i == 3)
			client_recv(&r, MSG_s_msg);
		assert_int_equal(client_next(&r), APPCONN_CLOSED);
		assert_int_equal(finish(&r), 1);
	}
}

/* ---- chat ---- */

static void
prompt(struct run *r, uint32_t req, const uint8_t *conv, uint8_t flags,
    const char *model, const char *text)
{
	struct m_c_prompt p = {
		.req = req, .flags = flags, .model = bytes_str(model),
		.text = bytes_str(text)
	};

	if (conv != NULL)
		memcpy(p.conv, conv, sizeof(p.conv));
	client_send(r, MSG_c_prompt, &p);
}

/* Give the worker a channel for model; its other end is r->llm. */
static void
open_model(struct run *r, uint32_t rid, const char *model)
{
	struct m_vs_open_model m = { .req = rid, .model = bytes_str(model) };
	int p[2];

	assert_int_equal(chan_pair(p, true), 0);
	assert_int_equal(chan_send(r->vault, MSG_vs_open_model, &m, p[0]), 0);
	close(p[0]);
	chan_free(r->llm);
	r->llm = chan_new(NULL, p[1], CH_SESS_LLM, END_B, SESS_LLM_UP, 0, NULL,
	    NULL, NULL);
}

static void
stored(struct run *r, uint32_t rid, uint64_t number)
{
	struct m_vs_stored m = { .req = rid, .number = number, .time_us = 5 };

	memcpy(m.conv, conv1, sizeof(m.conv));
	assert_int_equal(chan_send(r->vault, MSG_vs_stored, &m, -1), 0);
}

static void
delta(struct run *r, uint32_t rid, uint8_t kind, const char *text)
{
	struct m_ls_delta m = {
		.req = rid, .kind = kind, .text = bytes_str(text)
	};

	assert_int_equal(chan_send(r->llm, MSG_ls_delta, &m, -1), 0);
	if (text[0] == '\0')
		return;
	client_recv(r, MSG_s_delta);
	assert_int_equal(r->m.u.s_delta.kind, kind);
	assert_true(bytes_eq(r->m.u.s_delta.text, bytes_str(text)));
}

static void
llm_end(struct run *r, uint32_t rid, uint8_t finish_state)
{
	struct m_ls_end m = {
		.req = rid, .finish = finish_state, .prompt_tokens = 10,
		.completion_tokens = 20
	};

	assert_int_equal(chan_send(r->llm, MSG_ls_end, &m, -1), 0);
}

/* One text that the worker gives to the llmproxy. */
static void
expect_text(struct run *r, uint32_t rid, uint8_t kind, const char *text)
{
	struct buf b = BUF_INIT(2u << 20);
	uint32_t len;

	from_llm_chan(r, MSG_sl_msg);
	assert_int_equal(r->m.u.sl_msg.req, rid);
	assert_int_equal(r->m.u.sl_msg.kind, kind);
	len = r->m.u.sl_msg.len;
	while (b.n < len) {
		from_llm_chan(r, MSG_sl_data);
		buf_put(&b, r->m.u.sl_data.data.p, r->m.u.sl_data.data.n);
	}
	assert_true(bytes_eq(buf_bytes(&b), bytes_str(text)));
	buf_free(&b);
}

/* What the worker gives to the vault to be stored. */
static void
expect_put(struct run *r, uint32_t rid, uint8_t kind, uint8_t finish_state,
    const char *text, const uint8_t *mac)
{
	struct buf b = BUF_INIT(2u << 20);
	uint32_t len;

	from_vault_chan(r, MSG_sv_put);
	assert_int_equal(r->m.u.sv_put.req, rid);
	assert_int_equal(r->m.u.sv_put.kind, kind);
	assert_int_equal(r->m.u.sv_put.finish, finish_state);
	assert_memory_equal(r->m.u.sv_put.mac, mac, HASH_LEN);
	assert_memory_equal(r->m.u.sv_put.conv, kind == 2 ? conv1 : zeros, 16);
	len = r->m.u.sv_put.len;
	while (b.n < len) {
		from_vault_chan(r, MSG_sv_data);
		buf_put(&b, r->m.u.sv_data.data.p, r->m.u.sv_data.data.n);
	}
	assert_true(bytes_eq(buf_bytes(&b), bytes_str(text)));
	buf_free(&b);
}

/* A new conversation until the llmproxy has it; returns the worker's number. */
static uint32_t
new_chat(struct run *r, uint32_t req, const char *text)
{
	uint32_t rid;

	prompt(r, req, NULL, 0, "", text);
	from_vault_chan(r, MSG_sv_open_model);
	assert_int_equal(r->m.u.sv_open_model.model.n, 0);
	rid = r->m.u.sv_open_model.req;
	expect_put(r, rid, 1, 0, text, appconn_mac_out(r->app));
	open_model(r, rid, "m1");
	from_llm_chan(r, MSG_sl_chat);
	assert_int_equal(r->m.u.sl_chat.req, rid);
	assert_int_equal(r->m.u.sl_chat.messages, 1);
	expect_text(r, rid, 1, text);
	return rid;
}

static void
new_conversation(void **state)
{
	uint32_t rid;
	struct run r;

	(void)state;
	begin(&r, 0);
	rid = new_chat(&r, 40, "hi");
	delta(&r, rid, 1, "thinking");
	delta(&r, rid, 0, "");
	delta(&r, rid, 0, "good ");
	stored(&r, rid, 1);
	client_recv(&r, MSG_s_stored);
	assert_int_equal(r.m.u.s_stored.req, 40);
	assert_memory_equal(r.m.u.s_stored.conv, conv1, 16);
	delta(&r, rid, 0, "day");
	llm_end(&r, rid, 1);
	expect_put(&r, rid, 2, 1, "good day", zeros);
	assert_true(bytes_eq(r.m.u.sv_put.model, bytes_str("m1")) ||
	    r.m.type == MSG_sv_data);
	stored(&r, rid, 2);
	client_recv(&r, MSG_s_end);
	assert_int_equal(r.m.u.s_end.req, 40);
	assert_int_equal(r.m.u.s_end.finish, 1);
	assert_int_equal(r.m.u.s_end.prompt_tokens, 10);
	assert_int_equal(r.m.u.s_end.completion_tokens, 20);
	assert_memory_equal(r.m.u.s_end.conv, conv1, 16);
	assert_int_equal(r.m.u.s_end.question, 1);
	assert_int_equal(r.m.u.s_end.answer, 2);
	assert_true(bytes_eq(r.m.u.s_end.model, bytes_str("m1")));
	end(&r);
}

/* A signature goes with the prompt that it names, and with no other. */
static void
signed_question(void **state)
{
	struct m_c_sign sign = { .req = 40, .proof = bytes_str("the proof") };
	uint32_t rid;
	struct run r;

	(void)state;
	for (int other = 0; other < 3; other++) {
		begin(&r, 0);
		client_send(&r, MSG_c_sign, &sign);
		prompt(&r, other == 1 ? 41 : 40, NULL, other == 2 ? 1 : 0, "",
		    "hi");
		if (other == 2) {
			client_recv(&r, MSG_s_error);
			assert_int_equal(r.m.u.s_error.code, ERR_BAD);
			prompt(&r, 40, NULL, 0, "", "hi");
		}
		from_vault_chan(&r, MSG_sv_open_model);
		rid = r.m.u.sv_open_model.req;
		from_vault_chan(&r, MSG_sv_put);
		assert_int_equal(r.m.u.sv_put.req, rid);
		assert_true(bytes_eq(r.m.u.sv_put.proof, other == 0 ?
		    sign.proof : bytes_of(NULL, 0)));
		assert_int_equal(appconn_close(r.app), 0);
		write_out(&r);
		from_vault_chan(&r, MSG_sv_data);
		stored(&r, rid, 1);
		client_recv(&r, MSG_s_stored);
		client_recv(&r, MSG_s_end);
		assert_int_equal(client_next(&r), APPCONN_CLOSED);
		assert_int_equal(finish(&r), 0);
	}
}

/* An answer that is over before its question is stored waits for it. */
static void
slow_commit(void **state)
{
	uint32_t rid;
	struct run r;

	(void)state;
	begin(&r, 0);
	rid = new_chat(&r, 1, "hi");
	delta(&r, rid, 0, "yes");
	llm_end(&r, rid, 1);
	stored(&r, rid, 1);
	expect_put(&r, rid, 2, 1, "yes", zeros);
	client_recv(&r, MSG_s_stored);
	stored(&r, rid, 2);
	client_recv(&r, MSG_s_end);
	end(&r);
}

/* The history goes to the model in order, without what is no answer. */
static void
with_history(void **state)
{
	char *big = malloc(100001);
	uint32_t rid;
	struct run r;

	(void)state;
	assert_non_null(big);
	memset(big, 'b', 100000);
	big[100000] = '\0';
	begin(&r, 0);
	prompt(&r, 1, conv1, 1, "m2", "third");
	from_vault_chan(&r, MSG_sv_read);
	assert_memory_equal(r.m.u.sv_read.conv, conv1, 16);
	assert_int_equal(r.m.u.sv_read.from, 1);
	assert_int_equal(r.m.u.sv_read.limit, 0);
	rid = r.m.u.sv_read.req;
	from_vault_chan(&r, MSG_sv_open_model);
	assert_true(bytes_eq(r.m.u.sv_open_model.model, bytes_str("m2")));
	open_model(&r, rid, "m2");
	vs_msg(&r, rid, 1, 1, 0, big);
	vs_msg(&r, rid, 2, 2, 1, "answer");
	vs_msg(&r, rid, 3, 1, 0, "second");
	vs_msg(&r, rid, 4, 2, 5, "half an ans");
	vs_msg(&r, rid, 5, 2, 1, "");
	vs_done(&r, rid, "");
	from_llm_chan(&r, MSG_sl_chat);
	assert_int_equal(r.m.u.sl_chat.messages, 4);
	expect_text(&r, rid, 1, big);
	expect_text(&r, rid, 2, "answer");
	expect_text(&r, rid, 1, "second");
	expect_text(&r, rid, 1, "third");
	delta(&r, rid, 0, "ok");
	llm_end(&r, rid, 2);
	/* Nothing is stored: the end comes at once. */
	client_recv(&r, MSG_s_end);
	assert_int_equal(r.m.u.s_end.finish, 2);
	assert_int_equal(r.m.u.s_end.answer, 0);
	/* The channel is kept for the next prompt. */
	prompt(&r, 2, NULL, 1, "m2", "again");
	from_llm_chan(&r, MSG_sl_chat);
	assert_int_not_equal(r.m.u.sl_chat.req, rid);
	rid = r.m.u.sl_chat.req;
	expect_text(&r, rid, 1, "again");
	llm_end(&r, rid, 1);
	client_recv(&r, MSG_s_end);
	assert_int_equal(r.m.u.s_end.req, 2);
	free(big);
	end(&r);
}

/* A conversation that the client keeps: nothing is read, nothing is stored. */
static void
whole_conversation(void **state)
{
	static const uint8_t good[] = "\3\0\0\0\2be\1\0\0\0\1q\2\0\0\0\1a"
	    "\1\0\0\0\3one";
	static const struct {
		const char *messages;
		size_t n;
	} bad[] = {
		{ "", 0 }, { "\1\0\0\0\1", 5 }, { "\1\0\0\0\0", 5 },
		{ "\1\0\0\0\1\xff", 6 }, { "\1\0\0\0\1\0", 6 },
		{ "\0\0\0\0\1x", 6 }, { "\4\0\0\0\1x", 6 },
		{ "\2\0\0\0\1x", 6 }, { "\3\0\0\0\1x", 6 },
		{ "\1\377\377\377\377x", 6 }, { "\1\0\0\0\1xx", 7 },
		{ "\1\0\0\0\1q\3\0\0\0\1s\1\0\0\0\1q", 18 },
	};
	struct m_c_chat q = { .req = 1, .max_tokens = 7, .temperature = 501,
	    .top_p = 1001, .model = bytes_str("m2"),
	    .messages = bytes_of(good, sizeof(good) - 1) };
	struct run r;
	uint32_t rid;

	(void)state;
	begin(&r, 0);
	client_send(&r, MSG_c_chat, &q);
	from_vault_chan(&r, MSG_sv_open_model);
	rid = r.m.u.sv_open_model.req;
	open_model(&r, rid, "m2");
	from_llm_chan(&r, MSG_sl_chat);
	assert_int_equal(r.m.u.sl_chat.messages, 4);
	assert_int_equal(r.m.u.sl_chat.max_tokens, 7);
	assert_int_equal(r.m.u.sl_chat.temperature, 501);
	assert_int_equal(r.m.u.sl_chat.top_p, 1001);
	expect_text(&r, rid, 3, "be");
	expect_text(&r, rid, 1, "q");
	expect_text(&r, rid, 2, "a");
	expect_text(&r, rid, 1, "one");
	delta(&r, rid, 0, "two");
	llm_end(&r, rid, 1);
	client_recv(&r, MSG_s_end);
	assert_int_equal(r.m.u.s_end.finish, 1);
	assert_int_equal(r.m.u.s_end.question, 0);
	assert_memory_equal(r.m.u.s_end.conv, zeros, 16);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		q.req = 2 + (uint32_t)i;
		q.messages = bytes_of(bad[i].messages, bad[i].n);
		client_send(&r, MSG_c_chat, &q);
		client_recv(&r, MSG_s_error);
		assert_int_equal(r.m.u.s_error.req, q.req);
		assert_int_equal(r.m.u.s_error.code, ERR_BAD);
	}
	end(&r);
}

static void
options(struct run *r, uint32_t req, uint8_t flags, uint32_t temperature,
    const char *system)
{
	struct m_c_options o = { .req = req, .flags = flags, .max_tokens = 9,
	    .temperature = temperature, .top_p = 501,
	    .system = bytes_str(system) };

	client_send(r, MSG_c_options, &o);
}

/* A prompt with a system prompt: this is stored first, and goes first. */
static void
with_options(void **state)
{
	uint8_t mac[HASH_LEN];
	uint32_t rid;
	struct run r;

	(void)state;
	begin(&r, 0);
	options(&r, 8, 0, 0, "");		/* the later one counts */
	options(&r, 7, 1, 701, "be brief");
	memcpy(mac, appconn_mac_out(r.app), HASH_LEN);
	prompt(&r, 7, NULL, 0, "", "hi");
	from_vault_chan(&r, MSG_sv_open_model);
	rid = r.m.u.sv_open_model.req;
	expect_put(&r, rid, 3, 0, "be brief", mac);
	memcpy(mac, appconn_mac_out(r.app), HASH_LEN);
	open_model(&r, rid, "m1");
	from_llm_chan(&r, MSG_sl_chat);
	assert_int_equal(r.m.u.sl_chat.messages, 2);
	assert_int_equal(r.m.u.sl_chat.max_tokens, 9);
	assert_int_equal(r.m.u.sl_chat.temperature, 701);
	assert_int_equal(r.m.u.sl_chat.top_p, 501);
	expect_text(&r, rid, 3, "be brief");
	expect_text(&r, rid, 1, "hi");
	stored(&r, rid, 1);
	from_vault_chan(&r, MSG_sv_put);
	assert_int_equal(r.m.u.sv_put.kind, 1);
	assert_memory_equal(r.m.u.sv_put.conv, conv1, 16);
	assert_memory_equal(r.m.u.sv_put.mac, mac, HASH_LEN);
	from_vault_chan(&r, MSG_sv_data);
	assert_true(bytes_eq(r.m.u.sv_data.data, bytes_str("hi")));
	stored(&r, rid, 2);
	client_recv(&r, MSG_s_stored);
	assert_true(r.m.u.s_stored.number == 2);
	llm_end(&r, rid, 1);
	expect_put(&r, rid, 2, 1, "", zeros);
	stored(&r, rid, 3);
	client_recv(&r, MSG_s_end);
	assert_true(r.m.u.s_end.question == 2 && r.m.u.s_end.answer == 3);
	/* They were that prompt's alone, and others' are thrown away. */
	options(&r, 20, 1, 0, "not yours");
	prompt(&r, 9, NULL, 1, "", "plain");
	from_llm_chan(&r, MSG_sl_chat);
	rid = r.m.u.sl_chat.req;
	assert_int_equal(r.m.u.sl_chat.messages, 1);
	assert_int_equal(r.m.u.sl_chat.top_p, 0);
	expect_text(&r, rid, 1, "plain");
	llm_end(&r, rid, 1);
	client_recv(&r, MSG_s_end);
	/* What makes no sense refuses the prompt. */
	options(&r, 10, 0, 2002, "");
	prompt(&r, 10, NULL, 1, "", "hi");
	client_recv(&r, MSG_s_error);
	assert_int_equal(r.m.u.s_error.code, ERR_BAD);
	options(&r, 11, 2, 0, "");
	prompt(&r, 11, NULL, 1, "", "hi");
	client_recv(&r, MSG_s_error);
	options(&r, 12, 0, 0, "does not count");
	prompt(&r, 12, NULL, 1, "", "hi");
	client_recv(&r, MSG_s_error);
	assert_int_equal(r.m.u.s_error.code, ERR_BAD);
	end(&r);
}

/* What the model sees of a conversation with all kinds of messages. */
static void
what_stands(void **state)
{
	uint32_t rid;
	struct run r;

	(void)state;
	begin(&r, 0);
	prompt(&r, 1, conv1, 1, "m2", "now");
	from_vault_chan(&r, MSG_sv_read);
	rid = r.m.u.sv_read.req;
	from_vault_chan(&r, MSG_sv_open_model);
	open_model(&r, rid, "m2");
	vs_msg(&r, rid, 1, 4, 0, "");		/* nothing stands */
	vs_msg(&r, rid, 2, 3, 0, "old rule");
	vs_msg(&r, rid, 3, 1, 0, "one");
	vs_msg(&r, rid, 4, 2, 1, "first");
	vs_msg(&r, rid, 5, 1, 0, "two");
	vs_msg(&r, rid, 6, 3, 0, "new rule");
	vs_msg(&r, rid, 7, 1, 0, "three");
	vs_msg(&r, rid, 8, 2, 1, "third");
	vs_msg(&r, rid, 9, 4, 0, "");
	vs_msg(&r, rid, 10, 2, 1, "too late");
	vs_msg(&r, rid, 11, 4, 0, "");
	vs_done(&r, rid, "");
	from_llm_chan(&r, MSG_sl_chat);
	assert_int_equal(r.m.u.sl_chat.messages, 4);
	expect_text(&r, rid, 3, "new rule");
	expect_text(&r, rid, 1, "one");
	expect_text(&r, rid, 2, "first");
	expect_text(&r, rid, 1, "now");
	llm_end(&r, rid, 1);
	client_recv(&r, MSG_s_end);
	end(&r);
}

static void
withdraws(void **state)
{
	struct m_c_withdraw w = { .req = 5, .last = 2 };
	struct m_vs_error e = { .code = ERR_CHANGED, .text = bytes_str("no") };
	uint32_t rid;
	struct run r;

	(void)state;
	begin(&r, 0);
	memcpy(w.conv, conv1, 16);
	client_send(&r, MSG_c_withdraw, &w);
	from_vault_chan(&r, MSG_sv_withdraw);
	assert_true(r.m.u.sv_withdraw.last == 2);
	assert_memory_equal(r.m.u.sv_withdraw.conv, conv1, 16);
	assert_memory_equal(r.m.u.sv_withdraw.mac, appconn_mac_out(r.app),
	    HASH_LEN);
	stored(&r, r.m.u.sv_withdraw.req, 3);
	client_recv(&r, MSG_s_stored);
	assert_true(r.m.u.s_stored.req == 5 && r.m.u.s_stored.number == 3);
	client_send(&r, MSG_c_withdraw, &w);
	from_vault_chan(&r, MSG_sv_withdraw);
	e.req = r.m.u.sv_withdraw.req;
	assert_int_equal(chan_send(r.vault, MSG_vs_error, &e, -1), 0);
	client_recv(&r, MSG_s_error);
	assert_int_equal(r.m.u.s_error.code, ERR_CHANGED);
	/* Not under an answer. */
	rid = new_chat(&r, 6, "hi");
	stored(&r, rid, 1);
	client_recv(&r, MSG_s_stored);
	client_send(&r, MSG_c_withdraw, &w);
	client_recv(&r, MSG_s_error);
	assert_int_equal(r.m.u.s_error.code, ERR_BUSY);
	llm_end(&r, rid, 1);
	expect_put(&r, rid, 2, 1, "", zeros);
	stored(&r, rid, 2);
	client_recv(&r, MSG_s_end);
	end(&r);
}

static void
cancel(void **state)
{
	struct m_c_cancel c = { .req = 8 };
	uint32_t rid;
	struct run r;

	(void)state;
	begin(&r, 0);
	rid = new_chat(&r, 8, "hi");
	stored(&r, rid, 1);
	client_recv(&r, MSG_s_stored);
	delta(&r, rid, 0, "par");
	client_send(&r, MSG_c_cancel, &c);
	from_llm_chan(&r, MSG_sl_cancel);
	assert_int_equal(r.m.u.sl_cancel.req, rid);
	llm_end(&r, rid, 3);
	expect_put(&r, rid, 2, 3, "par", zeros);
	stored(&r, rid, 2);
	client_recv(&r, MSG_s_end);
	assert_int_equal(r.m.u.s_end.finish, 3);
	/* Again, and of what never was: no harm. */
	client_send(&r, MSG_c_cancel, &c);
	end(&r);
}

static void
cancel_before_start(void **state)
{
	struct m_c_cancel c = { .req = 8 };
	struct m_c_models mo = { .req = 3 };
	uint32_t rid;
	struct run r;

	(void)state;
	begin(&r, 0);
	prompt(&r, 8, NULL, 0, "", "hi");
	from_vault_chan(&r, MSG_sv_open_model);
	rid = r.m.u.sv_open_model.req;
	expect_put(&r, rid, 1, 0, "hi", appconn_mac_out(r.app));
	client_send(&r, MSG_c_cancel, &c);
	stored(&r, rid, 1);
	client_recv(&r, MSG_s_stored);
	client_recv(&r, MSG_s_end);
	assert_int_equal(r.m.u.s_end.finish, 3);
	assert_int_equal(r.m.u.s_end.answer, 0);
	open_model(&r, rid, "m1");	/* too late, and kept */
	client_send(&r, MSG_c_models, &mo);
	from_vault_chan(&r, MSG_sv_models);
	vs_done(&r, r.m.u.sv_models.req, "");
	client_recv(&r, MSG_s_done);	/* it has been taken by now */
	prompt(&r, 9, NULL, 1, "m1", "next");
	from_llm_chan(&r, MSG_sl_chat);
	end(&r);
}

static void
upstream_fails(void **state)
{
	struct m_ls_error e = {
		.code = 4, .text = bytes_str("it broke"), .hint = bytes_str("h")
	};
	uint32_t rid;
	struct run r;

	(void)state;
	begin(&r, 0);
	/* With text: it is kept as a failed answer, then the error comes. */
	rid = e.req = new_chat(&r, 1, "hi");
	stored(&r, rid, 1);
	client_recv(&r, MSG_s_stored);
	delta(&r, rid, 0, "half");
	assert_int_equal(chan_send(r.llm, MSG_ls_error, &e, -1), 0);
	expect_put(&r, rid, 2, 5, "half", zeros);
	stored(&r, rid, 2);
	client_recv(&r, MSG_s_error);
	assert_int_equal(r.m.u.s_error.code, 4);
	assert_true(bytes_eq(r.m.u.s_error.text, bytes_str("it broke")));
	/* Without text nothing is stored. */
	prompt(&r, 2, NULL, 1, "", "hi");
	from_llm_chan(&r, MSG_sl_chat);
	e.req = r.m.u.sl_chat.req;
	e.code = 7;
	assert_int_equal(chan_send(r.llm, MSG_ls_error, &e, -1), 0);
	client_recv(&r, MSG_s_error);
	assert_int_equal(r.m.u.s_error.req, 2);
	assert_int_equal(r.m.u.s_error.code, 7);
	end(&r);
}

static void
llmproxy_dies(void **state)
{
	uint32_t rid;
	struct run r;

	(void)state;
	begin(&r, 0);
	rid = new_chat(&r, 1, "hi");
	stored(&r, rid, 1);
	client_recv(&r, MSG_s_stored);
	delta(&r, rid, 0, "half");
	chan_free(r.llm);
	r.llm = NULL;
	expect_put(&r, rid, 2, 5, "half", zeros);
	stored(&r, rid, 2);
	client_recv(&r, MSG_s_error);
	assert_int_equal(r.m.u.s_error.code, 4);
	/* The next prompt asks for a new channel. */
	(void)new_chat(&r, 2, "again");
	end(&r);
}

/* An llmproxy that speaks of what is not its own loses its channel. */
static void
llmproxy_lies(void **state)
{
	struct m_c_show sh = { .req = 2 };
	struct m_ls_delta d = { .text = bytes_str("x") };
	uint32_t rid;
	struct run r;

	(void)state;
	begin(&r, 0);
	rid = new_chat(&r, 1, "hi");
	stored(&r, rid, 1);
	client_recv(&r, MSG_s_stored);
	client_send(&r, MSG_c_show, &sh);
	from_vault_chan(&r, MSG_sv_read);
	d.req = r.m.u.sv_read.req;
	assert_int_equal(chan_send(r.llm, MSG_ls_delta, &d, -1), 0);
	client_recv(&r, MSG_s_error);
	assert_int_equal(r.m.u.s_error.req, 1);
	assert_int_equal(r.m.u.s_error.code, 4);
	end(&r);
}

static void
refused_prompts(void **state)
{
	struct m_vs_error e = { .code = 3, .text = bytes_str("no model") };
	uint32_t rid;
	struct run r;

	(void)state;
	begin(&r, 0);
	prompt(&r, 1, NULL, 0, "", "");
	client_recv(&r, MSG_s_error);
	assert_int_equal(r.m.u.s_error.code, 11);
	prompt(&r, 1, NULL, 2, "", "flag");
	client_recv(&r, MSG_s_error);
	assert_int_equal(r.m.u.s_error.code, 11);
	rid = new_chat(&r, 1, "hi");
	prompt(&r, 1, NULL, 0, "", "same number");
	client_recv(&r, MSG_s_error);
	assert_int_equal(r.m.u.s_error.code, 10);
	/* The vault refuses while the model runs: it is told to stop. */
	e.req = rid;
	assert_int_equal(chan_send(r.vault, MSG_vs_error, &e, -1), 0);
	client_recv(&r, MSG_s_error);
	assert_int_equal(r.m.u.s_error.code, 3);
	from_llm_chan(&r, MSG_sl_cancel);
	/* Its last words are for nobody. */
	llm_end(&r, rid, 3);
	stored(&r, rid, 1);
	end(&r);
}

static void
too_many_requests(void **state)
{
	struct m_c_show sh = { 0 };
	struct run r;

	(void)state;
	begin(&r, 0);
	for (sh.req = 1; sh.req <= 16; sh.req++)
		client_send(&r, MSG_c_show, &sh);
	client_send(&r, MSG_c_show, &sh);
	client_recv(&r, MSG_s_error);
	assert_int_equal(r.m.u.s_error.req, 17);
	assert_int_equal(r.m.u.s_error.code, 9);
	end(&r);
}

/* The client breaks off: what came is stored as cancelled. */
static void
client_breaks_off(void **state)
{
	uint32_t rid;
	struct run r;

	(void)state;
	begin(&r, 0);
	rid = new_chat(&r, 1, "hi");
	stored(&r, rid, 1);
	client_recv(&r, MSG_s_stored);
	delta(&r, rid, 0, "part");
	close(r.sock);
	r.sock = -1;
	from_llm_chan(&r, MSG_sl_cancel);
	llm_end(&r, rid, 3);
	/* It left without a word, so it may come back with its ticket. */
	from_vault_chan(&r, MSG_sv_suspend);
	expect_put(&r, rid, 2, 3, "part", zeros);
	stored(&r, rid, 2);
	assert_int_equal(finish(&r), 0);
}

/* A client that takes nothing more is noticed by writing alone. */
static void
client_stops_reading(void **state)
{
	struct m_c_show sh = { .req = 2 };
	uint32_t rid;
	struct run r;

	(void)state;
	begin(&r, 0);
	rid = new_chat(&r, 1, "hi");
	stored(&r, rid, 1);
	client_recv(&r, MSG_s_stored);
	client_send(&r, MSG_c_show, &sh);
	from_vault_chan(&r, MSG_sv_read);
	assert_int_equal(shutdown(r.sock, SHUT_RD), 0);
	vs_msg(&r, r.m.u.sv_read.req, 1, 1, 0, "text");
	from_llm_chan(&r, MSG_sl_cancel);
	llm_end(&r, rid, 3);
	from_vault_chan(&r, MSG_sv_suspend);
	expect_put(&r, rid, 2, 3, "", zeros);
	stored(&r, rid, 2);
	assert_int_equal(finish(&r), 0);
}

/* A ticket is the vault's; the session is told what becomes of it. */
static void
tickets(void **state)
{
	struct m_c_ticket c = { .req = 7 };
	struct m_vs_ticket v = { .lifetime_s = 12 };
	struct m_c_suspend su = { .req = 8 };
	struct m_vs_error e = { .code = ERR_NO_TICKET,
	    .text = bytes_str("no") };
	struct run r;

	(void)state;
	begin(&r, 0);
	memset(v.ticket, 0x5a, sizeof(v.ticket));
	client_send(&r, MSG_c_ticket, &c);
	from_vault_chan(&r, MSG_sv_ticket);
	v.req = r.m.u.sv_ticket.req;
	assert_int_equal(chan_send(r.vault, MSG_vs_ticket, &v, -1), 0);
	client_recv(&r, MSG_s_ticket);
	assert_int_equal(r.m.u.s_ticket.req, 7);
	assert_int_equal(r.m.u.s_ticket.lifetime_s, 12);
	assert_memory_equal(r.m.u.s_ticket.ticket, v.ticket, 32);
	/* The second time there is none. */
	client_send(&r, MSG_c_ticket, &c);
	from_vault_chan(&r, MSG_sv_ticket);
	e.req = r.m.u.sv_ticket.req;
	assert_int_equal(chan_send(r.vault, MSG_vs_error, &e, -1), 0);
	client_recv(&r, MSG_s_error);
	assert_int_equal(r.m.u.s_error.code, ERR_NO_TICKET);
	/* SUSPEND: the vault hears it before the client hears "done". */
	client_send(&r, MSG_c_suspend, &su);
	client_recv(&r, MSG_s_done);
	assert_int_equal(r.m.u.s_done.req, 8);
	from_vault_chan(&r, MSG_sv_suspend);
	assert_int_equal(appconn_close(r.app), 0);
	write_out(&r);
	assert_int_equal(client_next(&r), APPCONN_CLOSED);
	assert_int_equal(finish(&r), 0);
}

/* One that says CLOSE has ended its session: nothing else is said. */
static void
ends_for_good(void **state)
{
	const char *why;
	struct run r;

	(void)state;
	begin(&r, 0);
	assert_int_equal(appconn_close(r.app), 0);
	write_out(&r);
	assert_int_equal(client_next(&r), APPCONN_CLOSED);
	assert_int_equal(chan_recv(r.vault, &r.m, WAIT_MS, &why), 1);
	assert_int_equal(finish(&r), 0);
}

/* A ticket for another request, and one that nobody asked for. */
static void
false_ticket(void **state)
{
	struct m_c_list l = { .req = 2, .limit = 5 };
	struct m_vs_ticket v = { .req = 99 };
	struct run r;

	(void)state;
	for (int i = 0; i < 2; i++) {
		begin(&r, 0);
		if (i == 0) {
			client_send(&r, MSG_c_list, &l);
			from_vault_chan(&r, MSG_sv_list);
			v.req = r.m.u.sv_list.req;
		} else
			v.req = 99;
		assert_int_equal(chan_send(r.vault, MSG_vs_ticket, &v, -1), 0);
		assert_int_equal(client_next(&r), APPCONN_CLOSED);
		assert_int_equal(finish(&r), 1);
	}
}

/* After its lifetime a session ends, in the middle of an answer too. */
static void
lifetime(void **state)
{
	bool seen = false;
	uint32_t rid;
	struct run r;

	(void)state;
	limit_s = 1;
	begin(&r, 0);
	limit_s = 0;
	rid = new_chat(&r, 1, "hi");
	stored(&r, rid, 1);
	client_recv(&r, MSG_s_stored);
	delta(&r, rid, 0, "part");
	from_llm_chan(&r, MSG_sl_cancel);
	llm_end(&r, rid, 3);
	expect_put(&r, rid, 2, 3, "part", zeros);
	stored(&r, rid, 2);
	while (client_next(&r) == APPCONN_MESSAGE)
		seen |= r.m.type == MSG_s_end;
	assert_int_equal(client_next(&r), APPCONN_CLOSED);
	assert_true(seen);
	assert_int_equal(finish(&r), 0);
}

/* The vault may not put a message into another conversation. */
static void
stored_elsewhere(void **state)
{
	struct m_vs_stored m = { .number = 7 };
	struct run r;

	(void)state;
	begin(&r, 0);
	prompt(&r, 1, conv1, 0, "m", "hi");
	from_vault_chan(&r, MSG_sv_read);
	m.req = r.m.u.sv_read.req;
	memcpy(m.conv, "another one     ", sizeof(m.conv));
	assert_int_equal(chan_send(r.vault, MSG_vs_stored, &m, -1), 0);
	assert_int_equal(client_next(&r), APPCONN_CLOSED);
	assert_int_equal(finish(&r), 1);
}

static void
client_sends_garbage(void **state)
{
	struct run r;

	(void)state;
	begin(&r, 0);
	assert_int_equal(write_all(r.sock, "\x17\1\0\x20garbage garbage garbage"
	    " garbage", 36), 0);
	from_vault_chan(&r, MSG_sv_violation);
	assert_non_null(memmem(r.m.u.sv_violation.text.p,
	    r.m.u.sv_violation.text.n, "client: ", 8));
	assert_int_equal(finish(&r), 1);
}

static void
vault_dies(void **state)
{
	struct m_c_show sh = { .req = 2 };
	struct run r;

	(void)state;
	begin(&r, 0);
	client_send(&r, MSG_c_show, &sh);
	from_vault_chan(&r, MSG_sv_read);
	chan_free(r.vault);
	r.vault = NULL;
	client_recv(&r, MSG_s_error);
	assert_int_equal(r.m.u.s_error.req, 2);
	assert_int_equal(client_next(&r), APPCONN_CLOSED);
	assert_int_equal(finish(&r), 0);
}

/* 1 MiB each way, and a client that reads late: all of it arrives. */
static void
large_and_slow(void **state)
{
	char *big = malloc(1048577), chunk[16001];
	uint32_t rid;
	struct run r;
	struct m_ls_delta d;
	size_t got = 0;
	int sent = 0;

	(void)state;
	assert_non_null(big);
	memset(big, 'q', 1048576);
	big[1048576] = '\0';
	memset(chunk, 'd', 16000);
	chunk[16000] = '\0';
	begin(&r, 0);
	prompt(&r, 1, NULL, 1, "", big);
	from_vault_chan(&r, MSG_sv_open_model);
	rid = r.m.u.sv_open_model.req;
	open_model(&r, rid, "m");
	from_llm_chan(&r, MSG_sl_chat);
	expect_text(&r, rid, 1, big);
	/* Until the worker takes no more: back-pressure reaches this end. */
	d.req = rid;
	d.kind = 0;
	d.text = bytes_str(chunk);
	for (;; sent++) {
		struct pollfd pfd = {
			.fd = chan_fd(r.llm), .events = POLLOUT
		};

		if (poll(&pfd, 1, 500) == 0)
			break;
		assert_int_equal(chan_send(r.llm, MSG_ls_delta, &d, -1), 0);
		assert_true(sent < 1000);
	}
	while (got < (size_t)sent * 16000) {
		client_recv(&r, MSG_s_delta);
		got += r.m.u.s_delta.text.n;
	}
	llm_end(&r, rid, 1);
	client_recv(&r, MSG_s_end);
	free(big);
	end(&r);
}

/* An answer that cannot be stored whole is cut off and says so. */
static void
answer_too_long(void **state)
{
	char chunk[16001];
	uint32_t rid;
	struct run r;

	(void)state;
	memset(chunk, 'd', 16000);
	chunk[16000] = '\0';
	begin(&r, 0);
	rid = new_chat(&r, 1, "hi");
	stored(&r, rid, 1);
	client_recv(&r, MSG_s_stored);
	for (int i = 0; i < 65; i++)
		delta(&r, rid, 0, chunk);
	assert_int_equal(chan_send(r.llm, MSG_ls_delta, &(struct m_ls_delta){
	    .req = rid, .text = bytes_str(chunk) }, -1), 0);
	from_llm_chan(&r, MSG_sl_cancel);
	from_vault_chan(&r, MSG_sv_put);
	assert_int_equal(r.m.u.sv_put.finish, 4);
	assert_int_equal(r.m.u.sv_put.len, 65 * 16000);
	stored(&r, rid, 2);
	client_recv(&r, MSG_s_error);
	assert_int_equal(r.m.u.s_error.code, 12);
	end(&r);
}

/* ---- each check at its edge ---- */

/* The worker has thrown out its vault, and ends. */
static void
thrown_out(struct run *r)
{
	while (client_next(r) == APPCONN_MESSAGE)
		;
	assert_int_equal(finish(r), 1);
}

static void
raw_model(struct run *r, uint32_t rid, const char *alias)
{
	struct m_vs_open_model m = { .req = rid, .model = bytes_str(alias) };

	assert_int_equal(chan_send(r->vault, MSG_vs_open_model, &m, 0), 0);
}

/* What does not answer a show. */
static void
not_an_answer_to_show(void **state)
{
	(void)state;
	for (int i = 0; i < 8; i++) {
		struct m_c_show sh = { .req = 2 };
		struct m_vs_msg head = { .number = 1, .kind = 1, .len = 9 };
		struct m_vs_model model = { .alias = bytes_str("m") };
		struct m_vs_conv conv = { .count = 1 };
		struct m_vs_data d = { .data = { NULL, 0 } };
		struct run r;
		uint32_t rid;

		begin(&r, 0);
		client_send(&r, MSG_c_show, &sh);
		from_vault_chan(&r, MSG_sv_read);
		rid = r.m.u.sv_read.req;
		head.req = model.req = conv.req = d.req = rid;
		if (i >= 2 && i <= 4)
			assert_int_equal(chan_send(r.vault, MSG_vs_msg, &head,
			    -1), 0);
		if (i == 0)
			assert_int_equal(chan_send(r.vault, MSG_vs_model,
			    &model, -1), 0);
		else if (i == 1)
			assert_int_equal(chan_send(r.vault, MSG_vs_conv, &conv,
			    -1), 0);
		else if (i == 2)	/* in the middle of another */
			assert_int_equal(chan_send(r.vault, MSG_vs_msg, &head,
			    -1), 0);
		else if (i == 3)
			vs_done(&r, rid, "");
		else if (i == 4)	/* nothing, for ever */
			assert_int_equal(chan_send(r.vault, MSG_vs_data, &d,
			    -1), 0);
		else if (i == 5) {	/* longer than any text */
			head.len = 1048577;
			assert_int_equal(chan_send(r.vault, MSG_vs_msg, &head,
			    -1), 0);
		} else if (i == 6)
			raw_model(&r, rid, "m");
		else
			raw_model(&r, rid + 1, "m");
		thrown_out(&r);
	}
}

/* What does not answer a prompt in an old conversation. */
static void
not_an_answer_to_chat(void **state)
{
	(void)state;
	for (int i = 0; i < 8; i++) {
		struct m_vs_stored st = { .number = i == 5 ? 0 : 1 };
		struct run r;
		uint32_t rid;

		begin(&r, 0);
		memcpy(st.conv, conv1, sizeof(st.conv));
		prompt(&r, 1, i == 7 ? NULL : conv1, i == 4, "m", "hi");
		if (i != 7)
			from_vault_chan(&r, MSG_sv_read);
		from_vault_chan(&r, MSG_sv_open_model);
		rid = st.req = r.m.u.sv_open_model.req;
		switch (i) {
		case 0:		/* a history that goes on after its end */
			vs_done(&r, rid, "");
			vs_msg(&r, rid, 1, 1, 0, "more");
			break;
		case 1:
			vs_done(&r, rid, "");
			vs_done(&r, rid, "");
			break;
		case 2:		/* of no kind that there is */
			vs_msg(&r, rid, 1, 5, 0, "system");
			break;
		case 3:		/* twice, the answer not being there yet */
			stored(&r, rid, 1);
			stored(&r, rid, 2);
			break;
		case 4:		/* what was not to be stored */
		case 5:		/* a number that no message has */
			assert_int_equal(chan_send(r.vault, MSG_vs_stored, &st,
			    -1), 0);
			break;
		case 6:
			raw_model(&r, rid, "");
			break;
		case 7:		/* a new conversation has no history */
			vs_msg(&r, rid, 1, 1, 0, "old");
			break;
		}
		thrown_out(&r);
	}
}

/* The llmproxy's channel is closed, whatever was said on it before. */
static void
llm_gone(struct run *r)
{
	const char *why;

	while (chan_recv(r->llm, &r->m, WAIT_MS, &why) == 0)
		;
	assert_string_equal(why == NULL ? "" : why, "");
}

static void
llm_says(struct run *r, int what, uint32_t rid, uint16_t code)
{
	struct m_ls_delta d = { .req = rid, .text = bytes_str("x") };
	struct m_ls_error e = { .req = rid, .code = code };

	if (what == 0)
		assert_int_equal(chan_send(r->llm, MSG_ls_delta, &d, -1), 0);
	else if (what == 1)
		llm_end(r, rid, 1);
	else
		assert_int_equal(chan_send(r->llm, MSG_ls_error, &e, -1), 0);
}

/* An llmproxy that answers what it does not have: its channel is lost. */
static void
llmproxy_answers_for_others(void **state)
{
	uint32_t a, b;
	struct run r;

	(void)state;
	for (int i = 0; i < 8; i++) {
		begin(&r, 0);
		prompt(&r, 1, NULL, 1, "m1", "first");
		from_vault_chan(&r, MSG_sv_open_model);
		a = r.m.u.sv_open_model.req;
		open_model(&r, a, "m1");
		from_llm_chan(&r, MSG_sl_chat);
		/* Another model's prompt; one whose history is not there. */
		prompt(&r, 2, i < 3 ? NULL : conv1, 1, i < 3 ? "m2" : "m1",
		    "second");
		from_vault_chan(&r, i < 3 ? MSG_sv_open_model : MSG_sv_read);
		b = i < 3 ? r.m.u.sv_open_model.req : r.m.u.sv_read.req;
		if (i < 6)
			llm_says(&r, i % 3, b, 4);
		else if (i == 6)	/* an error that is none */
			llm_says(&r, 2, a, 0);
		else			/* a request that never was */
			llm_says(&r, 1, b + 1, 0);
		client_recv(&r, MSG_s_error);
		assert_int_equal(r.m.u.s_error.code, 4);
		llm_gone(&r);
		if (i < 3) {		/* the other one is not concerned */
			open_model(&r, b, "m2");
			from_llm_chan(&r, MSG_sl_chat);
			assert_int_equal(r.m.u.sl_chat.req, b);
		}
		assert_int_equal(finish(&r), 0);
	}
}

/* Ended, and not yet answered: nothing changes the outcome any more. */
static void
after_the_end(void **state)
{
	struct m_c_cancel c = { .req = 1 };
	struct m_c_ping ping = { .req = 4 };
	uint32_t rid;
	struct run r;

	(void)state;
	for (int i = 0; i < 4; i++) {
		begin(&r, 0);
		rid = new_chat(&r, 1, "hi");
		delta(&r, rid, 0, "yes");
		llm_end(&r, rid, 1);
		if (i < 3)
			llm_says(&r, i, rid, 4);
		else {
			client_send(&r, MSG_c_cancel, &c);
			client_send(&r, MSG_c_ping, &ping);
			client_recv(&r, MSG_s_pong);
		}
		stored(&r, rid, 1);
		expect_put(&r, rid, 2, 1, "yes", zeros);
		client_recv(&r, MSG_s_stored);
		stored(&r, rid, 2);
		client_recv(&r, MSG_s_end);
		assert_int_equal(r.m.u.s_end.finish, 1);
		end(&r);
	}
}

/* A second cancel says nothing new. */
static void
cancelled_twice(void **state)
{
	struct m_c_cancel c = { .req = 8 };
	struct m_c_ping ping = { .req = 4 };
	const char *why;
	uint32_t rid;
	struct run r;

	(void)state;
	begin(&r, 0);
	rid = new_chat(&r, 8, "hi");
	client_send(&r, MSG_c_cancel, &c);
	client_send(&r, MSG_c_cancel, &c);
	from_llm_chan(&r, MSG_sl_cancel);
	client_send(&r, MSG_c_ping, &ping);
	client_recv(&r, MSG_s_pong);
	assert_int_equal(chan_recv(r.llm, &r.m, 0, &why), -1);
	llm_end(&r, rid, 3);
	stored(&r, rid, 1);
	client_recv(&r, MSG_s_stored);
	end(&r);
}

/* A second channel for a prompt that has one is kept for another. */
static void
first_model_stays(void **state)
{
	struct chan *first;
	uint32_t rid;
	struct run r;

	(void)state;
	begin(&r, 0);
	prompt(&r, 1, conv1, 1, "", "hi");
	from_vault_chan(&r, MSG_sv_read);
	rid = r.m.u.sv_read.req;
	open_model(&r, rid, "m1");
	first = r.llm;
	r.llm = NULL;
	open_model(&r, rid, "m2");
	vs_done(&r, rid, "");
	chan_free(r.llm);
	r.llm = first;
	from_llm_chan(&r, MSG_sl_chat);
	expect_text(&r, rid, 1, "hi");
	llm_end(&r, rid, 1);
	client_recv(&r, MSG_s_end);
	assert_true(bytes_eq(r.m.u.s_end.model, bytes_str("m1")));
	end(&r);
}

/* The user's bound for prompts; 9 MiB for a conversation with its prompt. */
static void
lengths(void **state)
{
	struct m_vs_user u = { .n = N, .max_prompt_bytes = 5,
	    .user = bytes_str("alice") };
	char *big = malloc(1048577);
	uint32_t rid;
	struct run r;

	(void)state;
	start(&r);
	assert_int_equal(chan_send(r.vault, MSG_vs_user, &u, -1), 0);
	chan_set_state(r.vault, SESS_VAULT_LIVE);
	give_keys(&r);
	from_vault_chan(&r, MSG_sv_ready);
	client_recv(&r, MSG_s_hello);
	prompt(&r, 1, NULL, 1, "m", "123456");
	client_recv(&r, MSG_s_error);
	assert_int_equal(r.m.u.s_error.code, 9);
	prompt(&r, 2, NULL, 1, "m", "12345");
	from_vault_chan(&r, MSG_sv_open_model);
	assert_int_equal(finish(&r), 0);

	assert_non_null(big);
	memset(big, 'h', 1048576);
	big[1048576] = '\0';
	for (int over = 0; over < 2; over++) {
		begin(&r, 0);
		prompt(&r, 1, conv1, 1, "m", over ? "12" : "1");
		from_vault_chan(&r, MSG_sv_read);
		rid = r.m.u.sv_read.req;
		open_model(&r, rid, "m");
		for (uint64_t i = 1; i <= 9; i++) {
			struct pollfd pfd = { .fd = chan_fd(r.vault),
			    .events = POLLOUT };

			assert_int_equal(poll(&pfd, 1, WAIT_MS), 1);
			vs_msg(&r, rid, i, 1, 0, big + (i == 9));
		}
		if (!over) {
			vs_done(&r, rid, "");
			from_llm_chan(&r, MSG_sl_chat);
			assert_int_equal(r.m.u.sl_chat.messages, 10);
		} else {
			client_recv(&r, MSG_s_error);
			assert_int_equal(r.m.u.s_error.code, 9);
		}
		assert_int_equal(finish(&r), 0);
	}
	free(big);
}

/* A chat of which nothing is stored, with its channel. */
static uint32_t
shaped_chat(struct run *r)
{
	uint32_t rid;

	prompt(r, 1, NULL, 1, "", "hi");
	from_vault_chan(r, MSG_sv_open_model);
	rid = r->m.u.sv_open_model.req;
	open_model(r, rid, "m");
	from_llm_chan(r, MSG_sl_chat);
	expect_text(r, rid, 1, "hi");
	return rid;
}

static void
model_says(struct run *r, uint32_t rid, uint8_t kind, const char *text)
{
	struct m_ls_delta m = {
		.req = rid, .kind = kind, .text = bytes_str(text)
	};

	assert_int_equal(chan_send(r->llm, MSG_ls_delta, &m, -1), 0);
}

/* In one message or several: a tick may fall in between. */
static void
client_recv_text(struct run *r, uint8_t kind, const char *text)
{
	for (size_t n; *text != '\0'; text += n) {
		client_recv(r, MSG_s_delta);
		assert_int_equal(r->m.u.s_delta.kind, kind);
		n = r->m.u.s_delta.text.n;
		assert_true(n <= strlen(text));
		assert_memory_equal(r->m.u.s_delta.text.p, text, n);
		assert_int_equal(r->heard % APPCONN_SHAPED, 0);
	}
}

/* All that is said while a request is shaped leaves in records of one size. */
static void
ticks(void **state)
{
	struct m_c_ping ping = { .req = 9 };
	struct m_c_list list = { .req = 10 };
	uint32_t rid;
	struct run r;

	(void)state;
	begin_shaped(&r, 1, SHAPE_TICK);
	rid = shaped_chat(&r);
	model_says(&r, rid, 1, "think");
	model_says(&r, rid, 1, "ing");
	model_says(&r, rid, 0, "one ");
	model_says(&r, rid, 0, "message");
	client_recv_text(&r, 1, "thinking");
	client_recv_text(&r, 0, "one message");
	client_send(&r, MSG_c_ping, &ping);
	client_recv(&r, MSG_s_pong);
	llm_end(&r, rid, FINISH_STOP);
	client_recv(&r, MSG_s_end);
	assert_int_equal(r.heard % APPCONN_SHAPED, 0);
	/* Behind the end of the answer still, and the session is not idle. */
	client_send(&r, MSG_c_list, &list);
	from_vault_chan(&r, MSG_sv_list);
	poll(NULL, 0, 1300);
	vs_done(&r, r.m.u.sv_list.req, "");
	client_recv(&r, MSG_s_done);
	assert_int_equal(r.heard % APPCONN_SHAPED, 0);
	assert_true(r.heard >= 5 * APPCONN_SHAPED);
	/* Who leaves within the step gets no CLOSE: the socket just ends. */
	assert_int_equal(appconn_close(r.app), 0);
	write_out(&r);
	while (appconn_next(r.app, &r.m) == APPCONN_AGAIN) {
		size_t room;
		uint8_t *p = appconn_room(r.app, &room);
		ssize_t n = read(r.sock, p, room);

		if (n <= 0)
			break;
		appconn_arrived(r.app, (size_t)n);
		r.heard += (size_t)n;
	}
	assert_int_equal(r.heard % APPCONN_SHAPED, 0);
	assert_non_null(appconn_eof(r.app));
	assert_int_equal(finish(&r), 0);
}

/* An error comes in its turn, behind the text before it. */
static void
shaped_error(void **state)
{
	struct m_ls_error e = { .code = 4, .text = bytes_str("failed") };
	struct run r;

	(void)state;
	begin_shaped(&r, 0, SHAPE_TICK);
	e.req = shaped_chat(&r);
	model_says(&r, e.req, 0, "so far");
	assert_int_equal(chan_send(r.llm, MSG_ls_error, &e, -1), 0);
	client_recv_text(&r, 0, "so far");
	client_recv(&r, MSG_s_error);
	assert_int_equal(r.m.u.s_error.code, 4);
	assert_int_equal(r.heard % APPCONN_SHAPED, 0);
	/* Without its vault the session ends at once, and properly. */
	chan_free(r.vault);
	r.vault = NULL;
	assert_int_equal(client_next(&r), APPCONN_CLOSED);
	assert_int_equal(finish(&r), 0);
}

static void
in_one_bucket(void **state)
{
	uint32_t rid;
	struct run r;

	(void)state;
	begin_shaped(&r, 0, SHAPE_BUCKET);
	rid = shaped_chat(&r);
	model_says(&r, rid, 0, "one ");
	model_says(&r, rid, 0, "message");
	poll(NULL, 0, 250);
	llm_end(&r, rid, FINISH_STOP);
	client_recv_text(&r, 0, "one message");
	client_recv(&r, MSG_s_end);
	assert_int_equal(r.heard, 4 * APPCONN_SHAPED);
	end(&r);
}

/* Old keys give way to fresh ones, again and again. */
static void
fresh_keys(void **state)
{
	struct m_c_ping ping = { .req = 4 };
	struct run r;

	(void)state;
	rekey_s = 1;
	begin(&r, 0);
	rekey_s = 0;
	while (appconn_freshened(r.app) < 2) {
		client_send(&r, MSG_c_ping, &ping);
		client_recv(&r, MSG_s_pong);
		poll(NULL, 0, 20);
	}
	from_vault_chan(&r, MSG_sv_log);
	assert_true(bytes_eq(r.m.u.sv_log.text,
	    bytes_str("fresh keys are offered; 0 times so far")));
	from_vault_chan(&r, MSG_sv_log);
	assert_true(bytes_eq(r.m.u.sv_log.text,
	    bytes_str("fresh keys are offered; 1 times so far")));
	end(&r);
}

/* Who goes on under old keys is put out, and may come back. */
static void
old_keys(void **state)
{
	struct m_c_ping ping = { .req = 4 };
	enum appconn_result v;
	struct run r;
	uint8_t *p;
	size_t room;
	ssize_t n;

	(void)state;
	rekey_s = 1;
	begin(&r, 0);
	rekey_s = 0;
	client_send(&r, MSG_c_ping, &ping);
	while ((v = appconn_next(r.app, &r.m)) == APPCONN_AGAIN ||
	    v == APPCONN_MESSAGE) {
		if (v == APPCONN_MESSAGE)
			continue;
		p = appconn_room(r.app, &room);
		assert_true((n = read(r.sock, p, room)) > 0);
		appconn_arrived(r.app, (size_t)n);
	}
	assert_int_equal(v, APPCONN_CLOSED);
	assert_int_equal(appconn_freshened(r.app), 0);
	from_vault_chan(&r, MSG_sv_suspend);
	assert_int_equal(finish(&r), 0);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hello_and_ping),
		cmocka_unit_test(keys_before_user),
		cmocka_unit_test(not_its_user),
		cmocka_unit_test(twin_dies),
		cmocka_unit_test(idle_session_is_closed),
		cmocka_unit_test(list_show_models),
		cmocka_unit_test(show_error),
		cmocka_unit_test(vault_violations),
		cmocka_unit_test(new_conversation),
		cmocka_unit_test(signed_question),
		cmocka_unit_test(slow_commit),
		cmocka_unit_test(with_history),
		cmocka_unit_test(whole_conversation),
		cmocka_unit_test(with_options),
		cmocka_unit_test(what_stands),
		cmocka_unit_test(withdraws),
		cmocka_unit_test(cancel),
		cmocka_unit_test(cancel_before_start),
		cmocka_unit_test(upstream_fails),
		cmocka_unit_test(llmproxy_dies),
		cmocka_unit_test(llmproxy_lies),
		cmocka_unit_test(refused_prompts),
		cmocka_unit_test(too_many_requests),
		cmocka_unit_test(client_breaks_off),
		cmocka_unit_test(client_stops_reading),
		cmocka_unit_test(tickets),
		cmocka_unit_test(ends_for_good),
		cmocka_unit_test(false_ticket),
		cmocka_unit_test(lifetime),
		cmocka_unit_test(stored_elsewhere),
		cmocka_unit_test(client_sends_garbage),
		cmocka_unit_test(vault_dies),
		cmocka_unit_test(large_and_slow),
		cmocka_unit_test(answer_too_long),
		cmocka_unit_test(ticks),
		cmocka_unit_test(shaped_error),
		cmocka_unit_test(in_one_bucket),
		cmocka_unit_test(not_an_answer_to_show),
		cmocka_unit_test(not_an_answer_to_chat),
		cmocka_unit_test(llmproxy_answers_for_others),
		cmocka_unit_test(after_the_end),
		cmocka_unit_test(cancelled_twice),
		cmocka_unit_test(first_model_stays),
		cmocka_unit_test(lengths),
		cmocka_unit_test(fresh_keys),
		cmocka_unit_test(old_keys),
	};

	setproctitle_init(argc, argv, environ);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
