/*
 * The key exchange worker whose zygote, keyd, vault and client say anything:
 * all that they will say waits in its sockets, and then they end.
 */
#include "fuzz.h"

#include "hs.h"
#include "kex.h"

static struct buf spki = BUF_INIT(RSA_SPKI_MAX);
static uint8_t spki_hash[HASH_LEN];

static void
fuzz_setup(void)
{
	EVP_PKEY *key = rsa_generate(RSA_USE_SIGN, 2048, RSA_ALLOW_2048);

	need(key != NULL && rsa_spki_encode(&spki, key) == 0);
	EVP_PKEY_free(key);
	rsa_fingerprint(spki_hash, buf_bytes(&spki));
}

enum { K_KEYD, K_VAULT, K_ZYGOTE, K_CLIENT, K_CH, K_ALL };

static void
fuzz_seeds(void)
{
	struct buf b = BUF_INIT(4096);

	for (uint8_t known = 0; known < 2; known++) {
		buf_reset(&b);
		buf_u8(&b, 1);
		buf_put(&b, (uint8_t[]){ K_CH, known, 0 }, 3);
		buf_u8(&b, K_KEYD);
		fz_script(&b, MSG_kx_nonce, "7");
		buf_u8(&b, K_KEYD);
		fz_script(&b, MSG_kx_sig, ":signature");
		buf_put(&b, (uint8_t[]){ K_CLIENT, 8 }, 2);
		buf_put(&b, "\x17\0\0\x13" "aaaa", 8);
		buf_u8(&b, K_VAULT);
		fz_script(&b, MSG_vx_grant, "");
		fuzz_seed(NULL, 0, buf_bytes(&b));
	}
	buf_reset(&b);
	buf_u8(&b, 0);
	buf_u8(&b, K_ZYGOTE);
	fz_script(&b, MSG_zx_client, ":1.2.3.4");
	fuzz_seed(NULL, 0, buf_bytes(&b));
	buf_free(&b);
}

/* A client's first message, right but for one byte after its MAC. */
static void
say_ch(struct rd *in, int client)
{
	struct buf ch = BUF_INIT(HS_FLIGHT_MAX);
	uint8_t random_c[HS_RANDOM] = "random";
	struct hs hs;

	hs_client_init(&hs, 0);
	need(hs_client_make_ch(&hs, random_c, rd_u8(in) & 1 ? spki_hash : NULL,
	    &ch) == 0);
	ch.p[HS_CH_LEN - 1] ^= rd_u8(in);
	(void)send(client, ch.p, ch.n, MSG_DONTWAIT | MSG_NOSIGNAL);
	hs_free(&hs);
	buf_free(&ch);
}

/* What the worker told this peer is what its channel permits; then it ends. */
static void
end(int fd, enum chan_kind kind, enum chan_end peer)
{
	fz_drain(fd, kind, peer);
	close(fd);
}

static void
fuzz_one(struct bytes input)
{
	struct m_zx_client hello = { .source = bytes_str("127.0.0.1") };
	struct kex k = { .n = 7, .spki = buf_bytes(&spki), .grace_s = 1 };
	struct rd in = rd_of(input);
	int z[2], d[2], v[2], t[2], c[2], status;
	struct bytes raw;

	need(chan_pair(z, true) == 0 && chan_pair(d, true) == 0 &&
	    chan_pair(v, true) == 0 && chan_pair(t, true) == 0);
	need(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, c) == 0);
	k.first_contact = true;
	if (rd_u8(&in) & 1)
		fz_tell(z[0], MSG_zx_client, &hello, c[1]);
	for (int i = 0; i < 20 && in.n > 0 && !in.err; i++) {
		fz_arena_n = 0;
		switch (rd_u8(&in) % K_ALL) {
		case K_KEYD:
			fz_say(&in, d[0], CH_KEX_KEYD, END_B, NULL);
			break;
		case K_VAULT:
			fz_say(&in, v[0], CH_KEX_VAULT, END_B, NULL);
			break;
		case K_ZYGOTE:
			fz_say(&in, z[0], CH_ZYG_KEX, END_A, NULL);
			break;
		case K_CLIENT:
			raw = fz_string(&in, 20000, false);
			(void)send(c[0], raw.p, raw.n,
			    MSG_DONTWAIT | MSG_NOSIGNAL);
			break;
		case K_CH:
			say_ch(&in, c[0]);
			break;
		}
	}
	need(shutdown(z[0], SHUT_WR) == 0 && shutdown(d[0], SHUT_WR) == 0);
	need(shutdown(v[0], SHUT_WR) == 0 && shutdown(c[0], SHUT_WR) == 0);
	k.zygote = chan_new(NULL, z[1], CH_ZYG_KEX, END_B, ZYG_KEX_IDLE,
	    CHAN_RECV_FD, NULL, NULL, NULL);
	k.keyd = chan_new(NULL, d[1], CH_KEX_KEYD, END_A, KEX_KEYD_NEW, 0, NULL,
	    NULL, NULL);
	k.vault = chan_new(NULL, v[1], CH_KEX_VAULT, END_A, KEX_VAULT_NEW, 0,
	    NULL, NULL, NULL);
	k.twin = chan_new(NULL, t[1], CH_TWIN, END_A, 0, 0, NULL, NULL, NULL);
	status = kex_run(&k);
	log_set_sink(fz_no_log);
	need(status == 0 || status == 1);
	chan_free(k.zygote);
	chan_free(k.keyd);
	chan_free(k.vault);
	chan_free(k.twin);
	end(z[0], CH_ZYG_KEX, END_A);
	end(d[0], CH_KEX_KEYD, END_B);
	end(v[0], CH_KEX_VAULT, END_B);
	/* Nobody can have been authenticated. */
	need(recv(t[0], fz_arena, sizeof(fz_arena), MSG_DONTWAIT) <= 0);
	close(t[0]);
	close(c[0]);
	close(c[1]);
}
