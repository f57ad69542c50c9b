/*
 * What the server's keyd can be made to sign: each message of messages.def that it
 * takes, with fields filled by what somebody would like to see signed (a certificate
 * request, bytes that a handshake signs), in every state of the channel.  All that
 * reaches rsa_pss_sign() must begin as docs/protocol.md, Signed bytes, says.
 */
#include "keyd_fixture.h"

#include <stdlib.h>
#include <unistd.h>

#include <openssl/x509.h>

#define CONTEXTS	8
#define FILL		1024

static char contexts[CONTEXTS][64];	/* of the server's key, by the document */
static int ncontexts;
static unsigned signatures;		/* so far */

int __real_rsa_pss_sign(struct buf *out, EVP_PKEY *key, struct bytes msg);
int __wrap_rsa_pss_sign(struct buf *out, EVP_PKEY *key, struct bytes msg);

/* Every signature of this program passes here. */
int
__wrap_rsa_pss_sign(struct buf *out, EVP_PKEY *key, struct bytes msg)
{
	bool known = false;
	size_t n;

	signatures++;
	assert_ptr_equal(key, keys[KEYD_SIGN]);
	for (size_t i = 0; i < 64; i++)
		if (msg.n <= i || msg.p[i] != ' ')
			fail_msg("signed without 64 spaces in front");
	for (int i = 0; i < ncontexts; i++) {
		n = strlen(contexts[i]) + 1;	/* its 0, too */
		known |= msg.n > 64 + n &&
		    memcmp(msg.p + 64, contexts[i], n) == 0;
	}
	if (!known)
		fail_msg("signed under a context that is not documented");
	return __real_rsa_pss_sign(out, key, msg);
}

/* "| server | `Cloister v1 ...` | ...", all of them. */
static void
read_contexts(void)
{
	FILE *fp = fopen("docs/protocol.md", "r");
	char line[4096];

	assert_non_null(fp);
	while (fgets(line, sizeof(line), fp) != NULL)
		if (ncontexts < CONTEXTS && sscanf(line, "| server | `%63[^`]`",
		    contexts[ncontexts]) == 1)
			ncontexts++;
	(void)fclose(fp);
	assert_true(ncontexts >= 2);
}

/* ---- what fields are filled with ------------------------------------------------ */

/* The part of a certificate request that its signature covers (RFC 2986, 4.2). */
static size_t
csr_info(uint8_t out[FILL])
{
	X509_REQ *req = X509_REQ_new();
	X509_NAME *name = X509_NAME_new();
	uint8_t *der = NULL;
	int n;

	assert_non_null(req);
	assert_non_null(name);
	assert_int_equal(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
	    (const unsigned char *)"server.example", -1, -1, 0), 1);
	assert_int_equal(X509_REQ_set_subject_name(req, name), 1);
	assert_int_equal(X509_REQ_set_pubkey(req, keys[KEYD_SIGN]), 1);
	n = i2d_re_X509_REQ_tbs(req, &der);
	assert_true(n > 0 && n <= FILL && der[0] == 0x30);
	memcpy(out, der, (size_t)n);
	OPENSSL_free(der);
	X509_NAME_free(name);
	X509_REQ_free(req);
	return (size_t)n;
}

enum fill { FILL_CSR, FILL_SPACES, FILL_CLIENT, FILL_ONES, FILLS };

static uint8_t wish[FILLS][FILL];

static void
make_wishes(void)
{
	static const char client[] = "Cloister v1 client handshake";

	(void)csr_info(wish[FILL_CSR]);
	memset(wish[FILL_SPACES], ' ', FILL);
	memcpy(wish[FILL_CLIENT], client, sizeof(client));
	memset(wish[FILL_ONES], 0xff, FILL);
}

/* A message of this type, with all its fields filled from one of them. */
static void
fill(struct msg *m, enum msg_type type, enum fill how)
{
	const struct msg_desc *d = msg_desc(type);
	const uint8_t *w = wish[how];

	memset(m, 0, sizeof(*m));
	m->type = type;
	m->fd = -1;
	for (size_t i = 0; i < d->nfields; i++) {
		const struct msg_field *f = &d->fields[i];
		uint8_t *p = (uint8_t *)&m->u + f->offset;
		struct bytes b = bytes_of(w, f->max < FILL ? f->max : FILL);
		static const size_t size[] = { 1, 2, 4, 8 };

		if (f->kind <= MF_U64)
			memcpy(p, w, size[f->kind]);
		else if (f->kind == MF_FIX)
			memcpy(p, w, f->max);
		else if (f->kind == MF_BYTES)
			memcpy(p, &b, sizeof(b));
		else {			/* well-formed text */
			b = bytes_of(wish[FILL_SPACES], b.n);
			memcpy(p, &b, sizeof(b));
		}
	}
	/* Or nothing would come of it: a suite that there is. */
	if (type == MSG_xk_sign)
		m->u.xk_sign.suite = HS_SUITE_X25519;
}

/* ---- keyd, with all of its peers ------------------------------------------------ */

struct rig {
	struct keyd_server	 s;
	struct keyd_audit	 a;
	struct keyd_boot	 b;
	struct chan		*peer[CH_KINDS];	/* blocking ends */
	struct chan		*own[CH_KINDS];
	uint64_t		 next;
};

static void
on_peer(struct chan *c, struct msg *m, void *arg)
{
	struct rig *r = arg;

	if (msg_desc(m->type)->kind == CH_KEYD_VAULT)
		keyd_server_vault(&r->s, m);
	else if (msg_desc(m->type)->kind == CH_KEYD_ZYG)
		(void)keyd_server_zygote(&r->s, m);
	else if (msg_desc(m->type)->kind == CH_LOGGER_KEYD)
		(void)keyd_audit_request(&r->a, c, m);
	else
		(void)keyd_boot_request(&r->b, c, m);
}

static void
on_closed(struct chan *c, const char *why, void *arg)
{
	(void)c;
	(void)why;
	(void)arg;
}

static void
on_stop(void *arg)
{
	loop_stop(arg);
}

/* What has been sent is there already: the first round handles it. */
static void
spin(struct rig *r)
{
	(void)loop_timer_new(r->s.loop, 1, on_stop, r->s.loop);
	loop_run(r->s.loop);
}

static void
link_up(struct rig *r, enum chan_kind kind, enum chan_end own, unsigned state)
{
	int fd[2];

	assert_int_equal(chan_pair(fd, true), 0);
	r->own[kind] = chan_new(r->s.loop, fd[0], kind, own, state, 0, on_peer,
	    on_closed, r);
	r->peer[kind] = chan_new(NULL, fd[1], kind, own == END_A ? END_B :
	    END_A, ~0u, CHAN_RECV_FD, NULL, NULL, NULL);
}

static void
rig_up(struct rig *r)
{
	memset(r, 0, sizeof(*r));
	keyd_server_init(&r->s, loop_new(), keys[KEYD_SIGN]);
	keyd_audit_init(&r->a, &r->s);
	keyd_boot_init(&r->b, ref(keys[KEYD_WRAP]), false);
	link_up(r, CH_KEYD_VAULT, END_A, KEYD_VAULT_UP);
	link_up(r, CH_KEYD_ZYG, END_A, KEYD_ZYG_UP);
	link_up(r, CH_LOGGER_KEYD, END_B, LOGGER_KEYD_UP);
	link_up(r, CH_BOOT, END_B, BOOT_ASK);
	r->s.vault = r->own[CH_KEYD_VAULT];
	r->s.zygote = r->own[CH_KEYD_ZYG];
	r->s.generation = 1;
}

static void
rig_down(struct rig *r)
{
	chan_free(r->peer[CH_KEX_KEYD]);
	r->peer[CH_KEX_KEYD] = NULL;
	spin(r);
	for (int k = 0; k < CH_KINDS; k++) {
		chan_free(r->peer[k]);
		chan_free(r->own[k]);
	}
	keyd_boot_end(&r->b);
	loop_free(r->s.loop);
	buf_free(&r->s.spki);
}

/* How many messages wait for this peer, and how many of them have a signature. */
static unsigned
signed_replies(struct chan *c)
{
	const struct msg_desc *d;
	unsigned n = 0;
	const char *why;
	struct msg m;

	while (c != NULL && chan_recv(c, &m, 0, &why) == 0) {
		d = msg_desc(m.type);
		for (size_t i = 0; i < d->nfields; i++)
			n += strcmp(d->fields[i].name, "sig") == 0;
		if (m.fd != -1)
			close(m.fd);
	}
	return n;
}

/* A kex worker's channel: a new one, in this state. */
static void
worker_up(struct rig *r, unsigned state)
{
	struct m_zk_want w = { .n = (uint64_t)1 << 32 | ++r->next };
	const char *why;
	struct msg m;

	chan_free(r->peer[CH_KEX_KEYD]);
	spin(r);
	assert_int_equal(chan_send(r->peer[CH_KEYD_ZYG], MSG_zk_want, &w, -1),
	    0);
	spin(r);
	do
		assert_int_equal(chan_recv(r->peer[CH_KEYD_ZYG], &m, 1000,
		    &why), 0);
	while (m.type != MSG_kz_chan);
	r->peer[CH_KEX_KEYD] = chan_new(NULL, m.fd, CH_KEX_KEYD, END_A, ~0u, 0,
	    NULL, NULL, NULL);
	if (state != KEX_KEYD_NEW)
		assert_int_equal(chan_send(r->peer[CH_KEX_KEYD], MSG_xk_open,
		    NULL, -1), 0);
	spin(r);
	(void)signed_replies(r->peer[CH_KEX_KEYD]);
	(void)signed_replies(r->peer[CH_KEYD_VAULT]);
}

/* Whether a message of this type is for the server's keyd. */
static bool
for_keyd(const struct msg_desc *d)
{
	enum chan_end to = d->dir == AB ? END_B : END_A;

	return d->kind != CH_CLI_KEYD &&	/* the user's: test_keyd_client */
	    d->kind != CH_CTL && d->kind != CH_LOG &&
	    strcmp(chan_end_name(d->kind, to), "keyd") == 0;
}

/* Say it; a signature was made only where one was sent. */
static unsigned
say(struct rig *r, enum msg_type type, enum fill how)
{
	const struct msg_desc *d = msg_desc(type);
	unsigned before = signatures;
	struct chan *c = r->peer[d->kind];
	struct msg m;

	if (c == NULL)
		fail_msg("%s: no such channel is tried here", d->name);
	fill(&m, type, how);
	assert_int_equal(chan_send(c, type, &m.u, -1), 0);
	spin(r);
	assert_int_equal(signatures - before, signed_replies(c));
	return signatures - before;
}

static void
test_signs_nothing_else(void **state)
{
	const unsigned states[] = { KEX_KEYD_NEW, KEX_KEYD_OPENED };
	unsigned tried = 0, types = 0, n = 0;
	struct rig r;

	(void)state;
	read_contexts();
	make_wishes();
	for (int t = 0; t < MSG_TYPES; t++) {
		if (!for_keyd(msg_desc(t)))
			continue;
		types++;
		for (int how = 0; how < FILLS; how++)
			for (int s = 0; s < 2; s++) {
				rig_up(&r);
				worker_up(&r, states[s]);
				n += say(&r, t, how);
				tried++;
				rig_down(&r);
			}
	}
	/* xk_sign where it is permitted, and lk_checkpoint. */
	assert_int_equal(n, FILLS * 3);
	assert_true(types >= 8);
	printf("count keyd: %u messages of %u types, %u signatures, every one of "
	    "documented bytes\n", tried, types, n);
}

/* The check itself can fail. */
static void
test_wish_is_one(void **state)
{
	uint8_t info[FILL];
	size_t n;

	(void)state;
	n = csr_info(info);
	assert_true(n > 200);
	assert_int_equal(info[0], 0x30);
	assert_memory_not_equal(info, wish[FILL_SPACES], 64);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_signs_nothing_else),
		cmocka_unit_test(test_wish_is_one),
	};

	(void)alarm(300);
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
