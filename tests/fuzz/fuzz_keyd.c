/*
 * Both keyds: the server's among a hostile zygote, hostile workers and a vault
 * that asks for anything at boot; the client's with a hostile client.
 */
#include "fuzz.h"

#include "../keyd/keyd.h"

#define WORKERS	6

static EVP_PKEY *key[KEYD_KEYS], *wrap;
static struct keyd_client client;
static int signatures;

static void
fuzz_setup(void)
{
	for (int i = 0; i < KEYD_KEYS; i++)
		need((key[i] = rsa_generate(keyd_uses[i], 2048,
		    RSA_ALLOW_2048)) != NULL);
	wrap = key[KEYD_WRAP];
	keyd_client_init(&client, key);
}

enum { K_SERVER, K_BOOT, K_CLIENT, K_ALL };
enum { S_ZYGOTE, S_WORKER, S_END, S_VAULT, S_ALL };

/* The fields of vk_receipt behind its number. */
static void
fz_one_receipt(struct buf *b)
{
	static const uint8_t fields[] = { 1, 2, 3, 5, 4, 6, 7, 1, 1, 'm' };

	buf_put(b, fields, sizeof(fields));
}

static void
fuzz_seeds(void)
{
	struct buf b = BUF_INIT(4096);

	/* N = 1 << 32 | 1 is a number of nine bytes: 0xff and be64. */
	static const uint8_t n1[] = { 0xff, 0, 0, 0, 1, 0, 0, 0, 1 };

	buf_u8(&b, K_SERVER);
	buf_u8(&b, S_ZYGOTE);
	fz_script(&b, MSG_zk_hello, "1");
	for (uint8_t i = 0; i < 3; i++) {
		buf_u8(&b, S_ZYGOTE);
		fz_script(&b, MSG_zk_want, "");
		buf_put(&b, n1, 8);
		buf_u8(&b, (uint8_t)(i + 1));
	}
	for (uint8_t i = 0; i < 3; i++) {
		buf_u8(&b, S_WORKER);
		buf_u8(&b, i);
		fz_script(&b, MSG_xk_open, "");
	}
	for (uint8_t i = 0; i < 3; i++) {
		buf_u8(&b, S_WORKER);
		buf_u8(&b, i);
		fz_script(&b, MSG_xk_sign, i < 2 ? "1 9" : "2 9");
	}
	buf_u8(&b, S_END);
	buf_u8(&b, 0);
	fuzz_seed(b.p, b.n, bytes_str(""));
	for (uint8_t i = 1; i <= 3; i++) {
		buf_u8(&b, S_VAULT);
		fz_script(&b, MSG_vk_receipt, "7");
		buf_put(&b, n1, sizeof(n1));
		buf_u8(&b, i);
		fz_one_receipt(&b);
	}
	buf_u8(&b, S_VAULT);
	fz_script(&b, MSG_vk_over, "");
	buf_put(&b, n1, sizeof(n1));
	fuzz_seed(b.p, b.n, bytes_str(""));
	buf_reset(&b);
	buf_u8(&b, K_BOOT);
	buf_u8(&b, 1);
	fz_script(&b, MSG_boot_wrap, "");
	fz_script(&b, MSG_boot_done, "");
	fuzz_seed(b.p, b.n, bytes_str(""));
	b.p[1] = 0;
	b.n = 2;
	fz_script(&b, MSG_boot_unwrap, "1 :abcdef");
	fz_script(&b, MSG_boot_unwrap, "2 :abcdef");
	fuzz_seed(b.p, b.n, bytes_str(""));
	buf_reset(&b);
	buf_u8(&b, K_CLIENT);
	for (int i = 0; i < 2; i++) {
		fz_script(&b, MSG_ck_open, "");
		fz_script(&b, MSG_ck_sign, "1 2 3 4 5");
		fz_script(&b, MSG_ck_unwrap, "5 :abcdef");
	}
	fuzz_seed(b.p, b.n, bytes_str(""));
	buf_reset(&b);
	buf_u8(&b, K_CLIENT);
	fz_script(&b, MSG_ck_message, "1 2 1 3 5");
	fz_script(&b, MSG_ck_text, ":he");
	fz_script(&b, MSG_ck_text, ":llo");
	fz_script(&b, MSG_ck_export, "1 2 3 4");
	fz_script(&b, MSG_ck_open, "");
	fuzz_seed(b.p, b.n, bytes_str(""));
	buf_free(&b);
}

/* ---- the server ------------------------------------------------------------- */

struct server {
	struct keyd_server	 s;
	struct fz_ticker	 t;
	int			 vault, zygote;
	int			 worker[WORKERS], signs[WORKERS], nworkers;
	uint64_t		 last_n, nonces, opened;
	bool			 refused;
};

static void
on_zygote(struct chan *c, struct msg *m, void *arg)
{
	struct server *sv = arg;

	(void)c;
	/* In keyd this ends the process. */
	if (!sv->refused && keyd_server_zygote(&sv->s, m) != NULL)
		sv->refused = true;
}

static void
on_vault(struct chan *c, struct msg *m, void *arg)
{
	struct server *sv = arg;

	(void)c;
	if (!sv->refused && keyd_server_vault(&sv->s, m) != NULL)
		sv->refused = true;
}

static void
on_closed(struct chan *c, const char *why, void *arg)
{
	(void)c;
	(void)why;
	((struct server *)arg)->refused = true;
}

/* What keyd said to the zygote, the vault and each worker. */
static void
hear(struct server *sv)
{
	struct proof_receipt p;
	struct msg m;

	while (fz_next(sv->zygote, CH_KEYD_ZYG, END_B, &m) == 0) {
		if (m.type != MSG_kz_chan)
			continue;
		need(m.u.kz_chan.n > sv->last_n);
		sv->last_n = m.u.kz_chan.n;
		if (sv->nworkers == WORKERS)
			close(m.fd);
		else
			sv->worker[sv->nworkers++] = m.fd;
	}
	while (fz_next(sv->vault, CH_KEYD_VAULT, END_B, &m) == 0) {
		sv->nonces += m.type == MSG_kv_nonce;
		need(m.type != MSG_kv_receipt ||
		    proof_receipt_decode(&p, m.u.kv_receipt.receipt) == 0);
	}
	for (int i = 0; i < sv->nworkers; i++)
		while (sv->worker[i] != -1 && fz_next(sv->worker[i],
		    CH_KEX_KEYD, END_A, &m) == 0) {
			sv->opened += m.type == MSG_kx_nonce;
			if (m.type == MSG_kx_sig) {
				signatures++;
				need(++sv->signs[i] == 1);
			}
		}
	/* The vault knows every nonce that a worker has. */
	need(sv->nonces >= sv->opened);
}

static void
server_step(struct server *sv, struct rd *in)
{
	uint8_t what = rd_u8(in) % S_ALL, which;

	if (what == S_ZYGOTE) {
		fz_say(in, sv->zygote, CH_KEYD_ZYG, END_B, NULL);
		return;
	}
	if (what == S_VAULT) {
		fz_say(in, sv->vault, CH_KEYD_VAULT, END_B, NULL);
		return;
	}
	which = rd_u8(in) % WORKERS;
	if (which >= sv->nworkers || sv->worker[which] == -1)
		return;
	if (what == S_WORKER)
		fz_say(in, sv->worker[which], CH_KEX_KEYD, END_A, NULL);
	else {
		close(sv->worker[which]);
		sv->worker[which] = -1;
	}
}

static void
server(struct rd *in)
{
	struct server sv;
	int v[2], z[2];

	memset(&sv, 0, sizeof(sv));
	need(chan_pair(v, true) == 0 && chan_pair(z, true) == 0);
	keyd_server_init(&sv.s, loop_new(), key[KEYD_SIGN]);
	fz_ticker_start(&sv.t, sv.s.loop);
	sv.vault = v[1];
	sv.zygote = z[1];
	sv.s.vault = chan_new(sv.s.loop, v[0], CH_KEYD_VAULT, END_A,
	    KEYD_VAULT_UP, 0, on_vault, on_closed, &sv);
	sv.s.zygote = chan_new(sv.s.loop, z[0], CH_KEYD_ZYG, END_A, KEYD_ZYG_UP,
	    0, on_zygote, on_closed, &sv);
	keyd_server_hello(&sv.s);
	for (int i = 0; i < 40 && in->n > 0 && !sv.refused; i++) {
		server_step(&sv, in);
		fz_spin(&sv.t, 2);
		hear(&sv);
	}
	for (int i = 0; i < sv.nworkers; i++)
		if (sv.worker[i] != -1)
			close(sv.worker[i]);
	fz_spin(&sv.t, 3);
	need(sv.s.live == 0);
	keyd_receipt_free(&sv.s);
	chan_free(sv.s.vault);
	chan_free(sv.s.zygote);
	close(sv.vault);
	close(sv.zygote);
	fz_ticker_stop(&sv.t);
	loop_free(sv.s.loop);
	buf_free(&sv.s.spki);
}

/* ---- one channel, blocking ---------------------------------------------------- */

/* Say everything, one after the other, as the peer; until keyd has enough. */
static void
one_channel(struct rd *in, enum chan_kind kind, unsigned state,
    const char *(*take)(void *, struct chan *, const struct msg *), void *arg)
{
	struct chan *c;
	const char *why = NULL;
	struct msg m;
	int fd[2], r;

	need(chan_pair(fd, true) == 0);
	c = chan_new(NULL, fd[1], kind, END_B, state, 0, NULL, NULL, NULL);
	for (int i = 0; i < 20 && in->n > 0 && why == NULL; i++) {
		fz_say(in, fd[0], kind, END_A, NULL);
		r = chan_recv(c, &m, 0, &why);
		if (r == 0)
			why = take(arg, c, &m);
		else if (r == -1 && strcmp(why, "timed out") == 0)
			why = NULL;	/* nothing could be encoded */
		fz_drain(fd[0], kind, END_A);
	}
	chan_free(c);
	close(fd[0]);
}

static const char *
take_boot(void *arg, struct chan *c, const struct msg *m)
{
	return keyd_boot_request(arg, c, m);
}

static const char *
take_client(void *arg, struct chan *c, const struct msg *m)
{
	return keyd_client_request(arg, c, m);
}

static void
fuzz_one(struct bytes input)
{
	struct rd in = rd_of(input);
	uint8_t what = rd_u8(&in) % K_ALL;
	struct keyd_boot boot;

	if (what == K_SERVER)
		server(&in);
	else if (what == K_CLIENT)
		one_channel(&in, CH_CLI_KEYD, CLI_KEYD_NEW, take_client,
		    &client);
	else {
		need(EVP_PKEY_up_ref(wrap) == 1);
		keyd_boot_init(&boot, wrap, rd_u8(&in) & 1);
		one_channel(&in, CH_BOOT, BOOT_ASK, take_boot, &boot);
		need(boot.unwraps <= KEYD_UNWRAPS);
		keyd_boot_end(&boot);
	}
}
