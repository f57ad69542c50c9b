/* The client's keyd: its handshakes, its files, its passphrases. */
#include "keyd_fixture.h"

#include <sys/wait.h>

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include "../keyd/passphrase.h"
#include "pubkey.h"

/* ---- the client ---------------------------------------------------------- */

struct client_rig {
	struct keyd_client k;
	struct chan	*cli;
	struct chan	*chan;		/* NULL: keyd is another process */
};

static void
client_up(struct client_rig *r)
{
	EVP_PKEY *own[KEYD_KEYS];
	int fd[2];

	assert_int_equal(chan_pair(fd, false), 0);
	r->cli = chan_new(NULL, fd[0], CH_CLI_KEYD, END_A, CLI_KEYD_NEW, 0,
	    NULL, NULL, NULL);
	r->chan = chan_new(NULL, fd[1], CH_CLI_KEYD, END_B, CLI_KEYD_NEW, 0,
	    NULL, NULL, NULL);
	for (int i = 0; i < KEYD_KEYS; i++)
		own[i] = ref(keys[i]);
	keyd_client_init(&r->k, own);
}

static void
client_down(struct client_rig *r)
{
	keyd_client_free(&r->k);
	chan_free(r->cli);
	chan_free(r->chan);
}

/* Ask, and answer; NULL, or why keyd refused. */
static const char *
client_ask(struct client_rig *r, enum msg_type type, const void *body,
    unsigned next)
{
	const char *why;
	struct msg m;

	assert_int_equal(chan_send(r->cli, type, body, -1), 0);
	chan_set_state(r->cli, next);
	if (r->chan == NULL)
		return NULL;
	if (chan_recv(r->chan, &m, 0, &why) != 0)
		return why;
	return keyd_client_request(&r->k, r->chan, &m);
}

static struct m_ck_sign
sign_question(uint8_t suite)
{
	struct m_ck_sign q = { .suite = suite };

	memset(q.random_s, 1, sizeof(q.random_s));
	memset(q.th_sf, 2, sizeof(q.th_sf));
	memset(q.server_hash, 3, sizeof(q.server_hash));
	return q;
}

static struct m_ck_unwrap
unwrap_question(struct bytes ct)
{
	struct m_ck_unwrap q = { .wrapped = ct };

	memset(q.th_cf, 4, sizeof(q.th_cf));
	return q;
}

static void
client_open(struct client_rig *r, uint8_t random_c[32])
{
	struct buf spki = BUF_INIT(RSA_SPKI_MAX);
	const struct m_kc_opened *o;
	struct msg m;

	assert_null(client_ask(r, MSG_ck_open, NULL, CLI_KEYD_OPENED));
	m = want(r->cli, MSG_kc_opened);
	o = &m.u.kc_opened;
	memcpy(random_c, o->random_c, 32);
	assert_int_equal(rsa_spki_encode(&spki, keys[KEYD_SIGN]), 0);
	assert_true(bytes_eq(o->spki, buf_bytes(&spki)));
	buf_reset(&spki);
	assert_int_equal(rsa_spki_encode(&spki, keys[KEYD_WRAP]), 0);
	assert_true(bytes_eq(o->wrap_spki, buf_bytes(&spki)));
	buf_reset(&spki);
	assert_int_equal(rsa_spki_encode(&spki, keys[KEYD_MESSAGE]), 0);
	assert_true(bytes_eq(o->msg_spki, buf_bytes(&spki)));
	buf_free(&spki);
}

static void
key_hash(uint8_t hash[HASH_LEN], EVP_PKEY *key)
{
	struct buf spki = BUF_INIT(RSA_SPKI_MAX);

	assert_int_equal(rsa_spki_encode(&spki, key), 0);
	sha256(hash, buf_bytes(&spki));
	buf_free(&spki);
}

static void
client_sign(struct client_rig *r, const uint8_t random_c[32],
    uint8_t suite)
{
	struct m_ck_sign q = sign_question(suite);
	struct buf tbs = BUF_INIT(HS_TBS_MAX);
	uint8_t fp[HASH_LEN], wrap[HASH_LEN];
	struct msg m;

	assert_null(client_ask(r, MSG_ck_sign, &q, CLI_KEYD_SIGNED));
	m = want(r->cli, MSG_kc_sig);
	key_hash(fp, keys[KEYD_SIGN]);
	key_hash(wrap, keys[KEYD_WRAP]);
	hs_tbs_client(&tbs, suite, random_c, q.random_s, q.th_sf, fp, wrap,
	    q.server_hash, q.cert_hash);
	assert_int_equal(rsa_pss_verify(keys[KEYD_SIGN], m.u.kc_sig.sig,
	    buf_bytes(&tbs)), 0);
	buf_free(&tbs);
}

static void
client_unwrap(struct client_rig *r, struct bytes ct, uint8_t wd[32])
{
	struct m_ck_unwrap q = unwrap_question(ct);

	assert_null(client_ask(r, MSG_ck_unwrap, &q, CLI_KEYD_DONE));
	memcpy(wd, want(r->cli, MSG_kc_wd).u.kc_wd.wd, 32);
	chan_set_state(r->cli, CLI_KEYD_NEW);
}

/* OPEN, SIGN, UNWRAP, checked as a server would. */
static void
client_handshake(struct client_rig *r, uint8_t suite)
{
	struct m_ck_sign s = sign_question(suite);
	struct m_ck_unwrap u = unwrap_question(bytes_of(NULL, 0));
	struct buf ct = BUF_INIT(RSA_OUT_MAX);
	uint8_t random_c[32], label[32], w[32], wd[32], got[32];

	client_open(r, random_c);
	client_sign(r, random_c, suite);
	memset(w, 0x77, sizeof(w));
	hs_wrap_label(label, random_c, s.random_s, u.th_cf);
	assert_int_equal(rsa_oaep_encrypt(&ct, keys[KEYD_WRAP], label, w), 0);
	client_unwrap(r, buf_bytes(&ct), got);
	hs_wrap_derive(wd, w, u.th_cf);
	assert_memory_equal(got, wd, 32);
	assert_memory_not_equal(got, w, 32);
	buf_free(&ct);
}

static void
test_client_handshakes(void **state)
{
	uint8_t a[32], b[32];
	struct client_rig r;

	(void)state;
	client_up(&r);
	client_handshake(&r, HS_SUITE_X25519);
	client_handshake(&r, HS_SUITE_BEST);
	client_open(&r, a);
	client_down(&r);
	client_up(&r);
	client_open(&r, b);
	assert_memory_not_equal(a, b, 32);
	client_down(&r);
}

static void
test_client_order(void **state)
{
	struct m_ck_sign s = sign_question(HS_SUITE_X25519);
	struct m_ck_unwrap u = unwrap_question(bytes_of("x", 1));
	uint8_t c[32], wd[32];
	struct client_rig r;

	(void)state;
	client_up(&r);		/* sign before open */
	assert_non_null(client_ask(&r, MSG_ck_sign, &s, CLI_KEYD_SIGNED));
	client_down(&r);
	client_up(&r);		/* unwrap before sign */
	client_open(&r, c);
	assert_non_null(client_ask(&r, MSG_ck_unwrap, &u, CLI_KEYD_DONE));
	client_down(&r);
	client_up(&r);		/* sign twice */
	client_open(&r, c);
	client_sign(&r, c, HS_SUITE_BEST);
	assert_non_null(client_ask(&r, MSG_ck_sign, &s, CLI_KEYD_SIGNED));
	client_down(&r);
	client_up(&r);		/* open twice */
	client_open(&r, c);
	assert_non_null(client_ask(&r, MSG_ck_open, NULL, CLI_KEYD_OPENED));
	client_down(&r);
	client_up(&r);		/* unwrap twice */
	client_open(&r, c);
	client_sign(&r, c, HS_SUITE_BEST);
	client_unwrap(&r, u.wrapped, wd);
	assert_non_null(client_ask(&r, MSG_ck_unwrap, &u, CLI_KEYD_DONE));
	client_down(&r);
	client_up(&r);		/* a suite that it does not have */
	client_open(&r, c);
	s.suite = HS_SUITE_BEST + 1;
	assert_non_null(client_ask(&r, MSG_ck_sign, &s, CLI_KEYD_SIGNED));
	client_down(&r);
}

/* What cannot be opened gets an answer that looks like any other. */
static void
test_client_garbage(void **state)
{
	uint8_t ct[RSA_BITS_DEFAULT / 8], c[32], a[32], b[32];
	struct client_rig r;

	(void)state;
	memset(ct, 0x11, sizeof(ct));
	client_up(&r);
	client_open(&r, c);
	client_sign(&r, c, HS_SUITE_BEST);
	client_unwrap(&r, bytes_of(ct, sizeof(ct)), a);
	client_open(&r, c);
	client_sign(&r, c, HS_SUITE_BEST);
	client_unwrap(&r, bytes_of(ct, sizeof(ct)), b);
	assert_memory_equal(a, b, 32);
	ct[0] ^= 1;
	client_open(&r, c);
	client_sign(&r, c, HS_SUITE_BEST);
	client_unwrap(&r, bytes_of(ct, sizeof(ct)), b);
	assert_memory_not_equal(a, b, 32);
	client_down(&r);
}

/* ---- messages ------------------------------------------------------------- */

static struct m_ck_message
message_question(uint32_t len)
{
	struct m_ck_message q = { .number = 3, .len = len };

	memset(q.session_id, 5, sizeof(q.session_id));
	memset(q.server_hash, 6, sizeof(q.server_hash));
	memset(q.previous, 7, sizeof(q.previous));
	return q;
}

/* Sign "hello" in two parts, as keyd should; the salt that it took. */
static void
client_message(struct client_rig *r, uint8_t salt[HASH_LEN])
{
	struct m_ck_message q = message_question(5);
	struct m_ck_text a = { .data = bytes_str("he") };
	struct m_ck_text b = { .data = bytes_str("llo") };
	struct buf spki = BUF_INIT(RSA_SPKI_MAX);
	struct proof_user p = { .number = q.number };
	uint8_t digest[HASH_LEN];
	struct msg m;

	assert_null(client_ask(r, MSG_ck_message, &q, CLI_KEYD_MESSAGE));
	assert_null(client_ask(r, MSG_ck_text, &a, CLI_KEYD_MESSAGE));
	want_silence(r->cli);
	assert_null(client_ask(r, MSG_ck_text, &b, CLI_KEYD_MESSAGE));
	m = want(r->cli, MSG_kc_message);
	chan_set_state(r->cli, CLI_KEYD_NEW);
	memcpy(p.session_id, q.session_id, HASH_LEN);
	memcpy(p.server, q.server_hash, HASH_LEN);
	memcpy(p.previous, q.previous, HASH_LEN);
	key_hash(p.client, keys[KEYD_SIGN]);
	p.time_us = m.u.kc_message.time_us;
	memcpy(p.salt, m.u.kc_message.salt, HASH_LEN);
	memcpy(salt, p.salt, HASH_LEN);
	assert_int_equal(rsa_spki_encode(&spki, keys[KEYD_MESSAGE]), 0);
	p.spki = buf_bytes(&spki);
	p.sig = m.u.kc_message.sig;
	proof_digest(digest, p.salt, bytes_str("hello"));
	assert_int_equal(proof_user_verify(&p, digest), 0);
	proof_digest(digest, p.salt, bytes_str("hellO"));
	assert_int_equal(proof_user_verify(&p, digest), -1);
	buf_free(&spki);
}

static void
test_client_messages(void **state)
{
	uint8_t a[HASH_LEN], b[HASH_LEN];
	struct client_rig r;

	(void)state;
	client_up(&r);
	client_handshake(&r, HS_SUITE_BEST);
	client_message(&r, a);
	client_message(&r, b);
	assert_memory_not_equal(a, b, sizeof(a));
	client_handshake(&r, HS_SUITE_BEST);
	client_down(&r);
}

static void
test_client_export(void **state)
{
	struct m_ck_export q = { .count = 4 };
	struct buf spki = BUF_INIT(RSA_SPKI_MAX);
	struct proof_export p = { .count = 4 };
	struct client_rig r;
	struct msg m;

	(void)state;
	memset(q.server_hash, 6, sizeof(q.server_hash));
	memset(q.conv, 7, sizeof(q.conv));
	memset(q.last, 8, sizeof(q.last));
	client_up(&r);
	assert_null(client_ask(&r, MSG_ck_export, &q, CLI_KEYD_EXPORT));
	m = want(r.cli, MSG_kc_export);
	memcpy(p.server, q.server_hash, HASH_LEN);
	memcpy(p.conv, q.conv, PROOF_CONV);
	memcpy(p.last, q.last, HASH_LEN);
	key_hash(p.client, keys[KEYD_SIGN]);
	p.time_us = m.u.kc_export.time_us;
	assert_int_equal(rsa_spki_encode(&spki, keys[KEYD_MESSAGE]), 0);
	p.spki = buf_bytes(&spki);
	p.sig = m.u.kc_export.sig;
	assert_int_equal(proof_export_verify(&p), 0);
	p.count++;
	assert_int_equal(proof_export_verify(&p), -1);
	buf_free(&spki);
	client_down(&r);
}

/* Nothing is signed out of order, nor anything that is not the text. */
static void
test_message_order(void **state)
{
	struct m_ck_message q = message_question(5), bad = q;
	struct m_ck_text t = { .data = bytes_str("hello!") };
	struct m_ck_export e = { .count = 1 };
	uint8_t c[32];
	struct client_rig r;

	(void)state;
	client_up(&r);		/* text without a message */
	assert_non_null(client_ask(&r, MSG_ck_text, &t, CLI_KEYD_MESSAGE));
	client_down(&r);
	client_up(&r);		/* more text than was announced */
	assert_null(client_ask(&r, MSG_ck_message, &q, CLI_KEYD_MESSAGE));
	assert_non_null(client_ask(&r, MSG_ck_text, &t, CLI_KEYD_MESSAGE));
	client_down(&r);
	client_up(&r);		/* an empty part */
	t.data = bytes_of(NULL, 0);
	assert_null(client_ask(&r, MSG_ck_message, &q, CLI_KEYD_MESSAGE));
	assert_non_null(client_ask(&r, MSG_ck_text, &t, CLI_KEYD_MESSAGE));
	client_down(&r);
	client_up(&r);		/* another message in between */
	assert_null(client_ask(&r, MSG_ck_message, &q, CLI_KEYD_MESSAGE));
	assert_non_null(client_ask(&r, MSG_ck_message, &q, CLI_KEYD_MESSAGE));
	client_down(&r);
	client_up(&r);		/* an export in between */
	assert_null(client_ask(&r, MSG_ck_message, &q, CLI_KEYD_MESSAGE));
	assert_non_null(client_ask(&r, MSG_ck_export, &e, CLI_KEYD_EXPORT));
	client_down(&r);
	client_up(&r);		/* within a handshake */
	client_open(&r, c);
	assert_non_null(client_ask(&r, MSG_ck_message, &q, CLI_KEYD_MESSAGE));
	client_down(&r);
	bad.len = 0;
	client_up(&r);
	assert_non_null(client_ask(&r, MSG_ck_message, &bad, CLI_KEYD_MESSAGE));
	client_down(&r);
	bad.len = 1048577;
	client_up(&r);
	assert_non_null(client_ask(&r, MSG_ck_message, &bad, CLI_KEYD_MESSAGE));
	client_down(&r);
	bad = q;
	bad.number = 0;
	client_up(&r);
	assert_non_null(client_ask(&r, MSG_ck_message, &bad, CLI_KEYD_MESSAGE));
	client_down(&r);
}

/* ---- key files ----------------------------------------------------------- */

static void
put_pem(struct buf *b, EVP_PKEY *key, const char *pass)
{
	struct buf pem = BUF_INIT(RSA_PEM_MAX);

	assert_int_equal(rsa_private_encode(&pem, key, pass), 0);
	buf_put(b, pem.p, pem.n);
	buf_free(&pem);
}

static void
put_keys(struct buf *b, const char *pass)
{
	buf_init(b, 2 * KEYD_FILE_MAX);
	for (int i = 0; i < KEYD_KEYS; i++)
		put_pem(b, keys[i], pass);
}

static int
decode(const struct buf *b, size_t n, const char *pass)
{
	EVP_PKEY *k[KEYD_KEYS];
	int r = keyd_keys_decode(k, bytes_of(b->p, n), pass);

	for (int i = 0; i < KEYD_KEYS; i++) {
		if (r == 0)
			assert_int_equal(EVP_PKEY_eq(k[i], keys[i]), 1);
		else
			assert_null(k[i]);
		EVP_PKEY_free(k[i]);
	}
	return r;
}

static void
test_key_files(void **state)
{
	struct buf b, e;

	(void)state;
	put_keys(&b, NULL);
	assert_int_equal(decode(&b, b.n, NULL), 0);
	assert_int_equal(decode(&b, b.n, "not needed"), 0);
	assert_int_equal(decode(&b, 0, NULL), RSA_E_BAD);
	for (size_t n = b.n - 1; n > 0; n = n * 3 / 4)
		assert_int_equal(decode(&b, n, NULL), RSA_E_BAD);
	buf_u8(&b, '\n');
	assert_int_equal(decode(&b, b.n, NULL), RSA_E_BAD);
	b.n--;
	put_pem(&b, keys[KEYD_MESSAGE], NULL);	/* a fourth */
	assert_int_equal(decode(&b, b.n, NULL), RSA_E_BAD);
	b.p[0] = ' ';
	assert_int_equal(decode(&b, b.n, NULL), RSA_E_BAD);
	buf_reset(&b);				/* the wrong order */
	put_pem(&b, keys[KEYD_WRAP], NULL);
	put_pem(&b, keys[KEYD_SIGN], NULL);
	put_pem(&b, keys[KEYD_MESSAGE], NULL);
	assert_int_equal(decode(&b, b.n, NULL), RSA_E_BAD);
	buf_free(&b);
	put_keys(&e, "correct horse");
	assert_int_equal(decode(&e, e.n, NULL), RSA_E_PASS);
	assert_int_equal(decode(&e, e.n, "wrong horse"), RSA_E_PASS);
	assert_int_equal(decode(&e, e.n, "correct horse"), 0);
	buf_free(&e);
}

/* ---- as processes, in the cell -------------------------------------------- */

/* A file that has no name any more. */
static int
temp_file(void)
{
	char path[] = P_tmpdir "/test_keyd.XXXXXX";
	int fd = mkstemp(path);

	assert_int_not_equal(fd, -1);
	assert_int_equal(unlink(path), 0);
	return fd;
}

static int
reap(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

/* Become keyd with a at 3 and b at 4. */
__attribute__((noreturn)) static void
become(int a, int b, int argc, char **argv)
{
	log_set_sink(NULL);
	a = fcntl(a, F_DUPFD, 10);
	b = fcntl(b, F_DUPFD, 10);
	if (dup2(a, 3) == -1 || dup2(b, 4) == -1)
		_exit(126);
	closefrom(5);
	if (argc == 2)
		keyd_client_main(argc, argv);
	keyd_gen_main(argc, argv);
}

static void
test_client_in_the_cell(void **state)
{
	static char name[] = "keyd", opt[] = "-c";
	char *argv[] = { name, opt, NULL };
	struct client_rig r = { .chan = NULL };
	struct m_ck_sign s = sign_question(HS_SUITE_X25519);
	int fd[2], file = temp_file(), status;
	uint8_t salt[HASH_LEN];
	struct buf b;
	pid_t pid;

	(void)state;
	put_keys(&b, NULL);
	assert_int_equal(write(file, b.p, b.n), (ssize_t)b.n);
	buf_free(&b);
	for (int bad = 0; bad < 2; bad++) {
		assert_int_equal(lseek(file, 0, SEEK_SET), 0);
		assert_int_equal(chan_pair(fd, false), 0);
		assert_int_not_equal(pid = fork(), -1);
		if (pid == 0) {
			if (bad)	/* its complaint is expected */
				(void)close(STDERR_FILENO);
			become(fd[1], file, 2, argv);
		}
		(void)close(fd[1]);
		r.cli = chan_new(NULL, fd[0], CH_CLI_KEYD, END_A, CLI_KEYD_NEW,
		    0, NULL, NULL, NULL);
		client_handshake(&r, HS_SUITE_BEST);
		client_handshake(&r, HS_SUITE_BEST);
		client_message(&r, salt);
		if (bad) {
			assert_null(client_ask(&r, MSG_ck_sign, &s,
			    CLI_KEYD_SIGNED));
			assert_true(ended(r.cli));
		}
		chan_free(r.cli);
		status = reap(pid);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), bad);
	}
	(void)close(file);
}

static void
read_file(int fd, struct buf *b)
{
	uint8_t tmp[1024];
	ssize_t n;

	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	while ((n = read(fd, tmp, sizeof(tmp))) > 0)
		buf_put(b, tmp, (size_t)n);
	assert_int_equal(n, 0);
	(void)close(fd);
}

static void
test_generate(void **state)
{
	static char name[] = "keyd", g[] = "-g", n[] = "-N", c[] = "-C",
	    comment[] = "a comment";
	char *argv[] = { name, g, n, c, comment, NULL };
	struct buf file = BUF_INIT(KEYD_FILE_MAX), pub = BUF_INIT(4096);
	struct buf spki = BUF_INIT(RSA_SPKI_MAX);
	int priv_fd = temp_file(), pub_fd = temp_file();
	EVP_PKEY *made[KEYD_KEYS];
	struct pubkey k;
	char err[256];
	pid_t pid;

	(void)state;
	assert_int_not_equal(pid = fork(), -1);
	if (pid == 0) {
		(void)close(STDERR_FILENO);
		become(priv_fd, pub_fd, 5, argv);
	}
	assert_int_equal(reap(pid), 0);
	read_file(priv_fd, &file);
	read_file(pub_fd, &pub);
	assert_int_equal(keyd_keys_decode(made, buf_bytes(&file), NULL), 0);
	assert_int_equal(pubkey_parse(&k, buf_bytes(&pub), err, sizeof(err)),
	    0);
	assert_string_equal(k.comment, "a comment");
	const struct buf *half[KEYD_KEYS] = { &k.sign, &k.wrap, &k.message };
	for (int i = 0; i < KEYD_KEYS; i++) {
		buf_reset(&spki);
		assert_int_equal(rsa_spki_encode(&spki, made[i]), 0);
		assert_true(bytes_eq(buf_bytes(&spki), buf_bytes(half[i])));
		EVP_PKEY_free(made[i]);
	}
	pubkey_free(&k);
	buf_free(&spki);
	buf_free(&file);
	buf_free(&pub);
}

/* ---- the terminal --------------------------------------------------------- */

/* Wait until the child's prompt with this text was shown `count` times. */
static void
expect(int pty, const char *text, char *seen, size_t size)
{
	size_t n = 0;
	ssize_t r;

	seen[0] = '\0';
	while (strstr(seen, text) == NULL) {
		assert_true(n < size - 1);
		r = read(pty, seen + n, size - 1 - n);
		assert_in_range(r, 1, size);
		n += (size_t)r;
		seen[n] = '\0';
	}
}

static void
answer(int pty, const char *text)
{
	assert_int_equal(write(pty, text, strlen(text)),
	    (ssize_t)strlen(text));
}

static void
ask_in_child(const char *right)
{
	char pass[PASSPHRASE_MAX];

	log_set_sink(NULL);
	if (passphrase_new(pass) == -1)
		_exit(1);
	_exit(strcmp(pass, right) == 0 ? 0 : 2);
}

static void
test_passphrase(void **state)
{
	char seen[512];
	int pty, status;
	pid_t pid;

	(void)state;
	assert_int_not_equal(pid = forkpty(&pty, NULL, NULL, NULL), -1);
	if (pid == 0)
		ask_in_child("long enough");
	expect(pty, "New passphrase: ", seen, sizeof(seen));
	answer(pty, "short\n");
	expect(pty, "again: ", seen, sizeof(seen));
	answer(pty, "short\n");
	expect(pty, "New passphrase: ", seen, sizeof(seen));
	assert_non_null(strstr(seen, "at least 8"));
	assert_null(strstr(seen, "short"));	/* no echo */
	answer(pty, "long enough\n");
	expect(pty, "again: ", seen, sizeof(seen));
	answer(pty, "long enouhg\n");
	expect(pty, "New passphrase: ", seen, sizeof(seen));
	assert_non_null(strstr(seen, "not the same"));
	answer(pty, "long enough\n");
	expect(pty, "again: ", seen, sizeof(seen));
	answer(pty, "long enough\n");
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	(void)close(pty);
}

/* A shell's part: have the terminal, whatever ends below. */
__attribute__((noreturn)) static void
shell(void)
{
	int status;

	(void)signal(SIGINT, SIG_IGN);
	if (fork() == 0) {
		(void)signal(SIGINT, SIG_DFL);
		ask_in_child("");
	}
	(void)wait(&status);
	(void)printf("done\n");
	(void)fflush(stdout);
	if (getchar() != '\n')
		_exit(2);
	_exit(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT ? 0 : 1);
}

/* ^C ends it, with the terminal as it was. */
static void
test_passphrase_signal(void **state)
{
	struct pollfd pfd = { .events = POLLIN };
	struct termios t;
	char seen[512];
	int status;
	pid_t pid;

	(void)state;
	assert_int_not_equal(pid = forkpty(&pfd.fd, NULL, NULL, NULL), -1);
	if (pid == 0)
		shell();
	expect(pfd.fd, "New passphrase: ", seen, sizeof(seen));
	assert_int_equal(tcgetattr(pfd.fd, &t), 0);
	assert_int_equal(t.c_lflag & ECHO, 0);
	answer(pfd.fd, "half");
	/* One that comes between prompt and read(2) is noticed at the next. */
	do
		answer(pfd.fd, "\3");
	while (poll(&pfd, 1, 100) == 0);
	expect(pfd.fd, "done", seen, sizeof(seen));
	assert_int_equal(tcgetattr(pfd.fd, &t), 0);
	assert_int_not_equal(t.c_lflag & ECHO, 0);
	answer(pfd.fd, "\n");
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	(void)close(pfd.fd);
}

/* Without a terminal there is nothing to be had. */
static void
test_no_terminal(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	assert_int_not_equal(pid = fork(), -1);
	if (pid == 0) {
		(void)setsid();
		(void)close(STDERR_FILENO);
		ask_in_child("");
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_client_handshakes),
		cmocka_unit_test(test_client_order),
		cmocka_unit_test(test_client_garbage),
		cmocka_unit_test(test_client_messages),
		cmocka_unit_test(test_client_export),
		cmocka_unit_test(test_message_order),
		cmocka_unit_test(test_key_files),
		cmocka_unit_test(test_client_in_the_cell),
		cmocka_unit_test(test_generate),
		cmocka_unit_test(test_passphrase),
		cmocka_unit_test(test_passphrase_signal),
		cmocka_unit_test(test_no_terminal),
	};

	(void)alarm(300);	/* a test that hangs fails */
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
