#include "keyd_child.h"

#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "child.h"
#include "exits.h"
#include "log.h"
#include "ui.h"

#define TEXT_PART	32768	/* bytes of one ck_text */
#define REPLY_MS	30000	/* no reply but the first waits for the user */

char *
keyd_program(const struct cconf *c)
{
	const char *dir = getenv("CLOISTER_LIBEXEC");
	char *path;

	if (c->keyd != NULL)
		path = strdup(c->keyd);
	else if (asprintf(&path, "%s/keyd", dir != NULL && dir[0] != '\0' ?
	    dir : LIBEXECDIR) == -1)
		path = NULL;
	if (path == NULL)
		fatal("memory");
	return path;
}

int
keyd_start(struct keyd *k, const struct cconf *c, const char *path)
{
	char prog_name[] = "keyd", opt_c[] = "-c", err[512];
	char *argv[] = { prog_name, opt_c, NULL };
	char *program;
	pid_t pid;
	int fd[2], pair[2];

	memset(k, 0, sizeof(*k));
	fd[1] = cconf_key_open(path, err, sizeof(err));
	if (fd[1] == -1) {
		ui_err("%s", err);
		if (access(path, F_OK) == -1 && errno == ENOENT)
			ui_err("make your keys with `cloister keygen', and "
			    "give the .pub file to the server's administrator");
		return RC_ERROR;
	}
	if (chan_pair(pair, false) == -1)
		fatal("socketpair");
	program = keyd_program(c);
	fd[0] = pair[1];
	pid = child_spawn(program, argv, fd, 2);
	free(program);
	(void)close(fd[0]);
	(void)close(fd[1]);
	keyd_attach(k, pair[0], pid);
	return RC_OK;
}

void
keyd_attach(struct keyd *k, int fd, pid_t pid)
{
	memset(k, 0, sizeof(*k));
	buf_init(&k->spki, RSA_SPKI_MAX);
	buf_init(&k->wrap_spki, RSA_SPKI_MAX);
	buf_init(&k->msg_spki, RSA_SPKI_MAX);
	k->pid = pid;
	k->chan = chan_new(NULL, fd, CH_CLI_KEYD, END_A, CLI_KEYD_NEW, 0, NULL,
	    NULL, NULL);
}

void
keyd_stop(struct keyd *k)
{
	if (k->chan == NULL)
		return;
	chan_free(k->chan);
	k->chan = NULL;
	if (k->pid != -1)
		(void)child_reap(k->pid);
	buf_free(&k->spki);
	buf_free(&k->wrap_spki);
	buf_free(&k->msg_spki);
}

/* Send a question and wait for its one reply; NULL, or what went wrong. */
static const char *
call(struct keyd *k, enum msg_type question, const void *body, unsigned state,
    int timeout_ms, struct msg *m)
{
	const char *why = NULL;
	int r;

	chan_set_state(k->chan, state);
	if (chan_send(k->chan, question, body, -1) == -1)
		return "keyd has ended";
	r = chan_recv(k->chan, m, timeout_ms, &why);
	return r == 0 ? NULL : r == 1 ? "keyd has ended" : why;
}

int
keyd_open(struct keyd *k)
{
	const struct m_kc_opened *o;
	const char *why;
	struct msg m;

	why = call(k, MSG_ck_open, NULL, CLI_KEYD_OPENED, -1, &m);
	if (why != NULL) {
		ui_err("your keys could not be used: %s", why);
		return RC_ERROR;
	}
	o = &m.u.kc_opened;
	memcpy(k->random_c, o->random_c, sizeof(k->random_c));
	buf_reset(&k->spki);
	buf_reset(&k->wrap_spki);
	buf_reset(&k->msg_spki);
	buf_put(&k->spki, o->spki.p, o->spki.n);
	buf_put(&k->wrap_spki, o->wrap_spki.p, o->wrap_spki.n);
	buf_put(&k->msg_spki, o->msg_spki.p, o->msg_spki.n);
	if (k->spki.err || k->wrap_spki.err || k->msg_spki.err) {
		ui_err("your public keys are too large");
		return RC_ERROR;
	}
	return RC_OK;
}

int
keyd_sign(struct keyd *k, uint8_t suite, const uint8_t random_s[HASH_LEN],
    const uint8_t th_sf[HASH_LEN], const uint8_t server_hash[HASH_LEN],
    const uint8_t cert_hash[HASH_LEN], struct buf *sig)
{
	struct m_ck_sign q = { .suite = suite };
	const char *why;
	struct msg m;

	memcpy(q.random_s, random_s, sizeof(q.random_s));
	memcpy(q.th_sf, th_sf, sizeof(q.th_sf));
	memcpy(q.server_hash, server_hash, sizeof(q.server_hash));
	memcpy(q.cert_hash, cert_hash, sizeof(q.cert_hash));
	why = call(k, MSG_ck_sign, &q, CLI_KEYD_SIGNED, REPLY_MS, &m);
	if (why == NULL) {
		buf_put(sig, m.u.kc_sig.sig.p, m.u.kc_sig.sig.n);
		if (!sig->err)
			return RC_OK;
		why = "no memory";
	}
	ui_err("your key could not sign: %s", why);
	return RC_ERROR;
}

int
keyd_unwrap(struct keyd *k, const uint8_t th_cf[HASH_LEN], struct bytes ct,
    uint8_t wd[HASH_LEN])
{
	struct m_ck_unwrap q = { .wrapped = ct };
	const char *why;
	struct msg m;

	memcpy(q.th_cf, th_cf, sizeof(q.th_cf));
	why = call(k, MSG_ck_unwrap, &q, CLI_KEYD_DONE, REPLY_MS, &m);
	if (why != NULL) {
		ui_err("your key could not unwrap: %s", why);
		return RC_ERROR;
	}
	memcpy(wd, m.u.kc_wd.wd, HASH_LEN);
	explicit_bzero(&m, sizeof(m));
	return RC_OK;
}

/* Why there is no signature; RC_ERROR. */
static int
unsigned_because(const char *why)
{
	ui_err("your key could not sign the message: %s", why);
	return RC_ERROR;
}

int
keyd_message(struct keyd *k, struct proof_user *p, struct bytes text,
    struct buf *proof)
{
	struct m_ck_message q = { .number = p->number,
	    .len = (uint32_t)text.n };
	struct m_ck_text part;
	const char *why = NULL;
	struct msg m;
	int r;

	memcpy(q.session_id, p->session_id, sizeof(q.session_id));
	memcpy(q.server_hash, p->server, sizeof(q.server_hash));
	memcpy(q.previous, p->previous, sizeof(q.previous));
	chan_set_state(k->chan, CLI_KEYD_MESSAGE);
	if (chan_send(k->chan, MSG_ck_message, &q, -1) == -1)
		return unsigned_because("keyd has ended");
	for (size_t at = 0; at < text.n; at += part.data.n) {
		part.data = bytes_of(text.p + at, text.n - at < TEXT_PART ?
		    text.n - at : TEXT_PART);
		if (chan_send(k->chan, MSG_ck_text, &part, -1) == -1)
			return unsigned_because("keyd has ended");
	}
	r = chan_recv(k->chan, &m, REPLY_MS, &why);
	if (r != 0)
		return unsigned_because(r == 1 ? "keyd has ended" : why);
	p->time_us = m.u.kc_message.time_us;
	memcpy(p->salt, m.u.kc_message.salt, sizeof(p->salt));
	rsa_fingerprint(p->client, buf_bytes(&k->spki));
	p->spki = buf_bytes(&k->msg_spki);
	p->sig = m.u.kc_message.sig;
	proof_user_encode(proof, p);
	p->sig = bytes_of(NULL, 0);
	return proof->err ? unsigned_because("no memory") : RC_OK;
}

int
keyd_export(struct keyd *k, struct proof_export *p, struct buf *sig)
{
	struct m_ck_export q = { .count = p->count };
	const char *why;
	struct msg m;

	memcpy(q.server_hash, p->server, sizeof(q.server_hash));
	memcpy(q.conv, p->conv, sizeof(q.conv));
	memcpy(q.last, p->last, sizeof(q.last));
	why = call(k, MSG_ck_export, &q, CLI_KEYD_EXPORT, REPLY_MS, &m);
	if (why != NULL)
		return unsigned_because(why);
	p->time_us = m.u.kc_export.time_us;
	rsa_fingerprint(p->client, buf_bytes(&k->spki));
	p->spki = buf_bytes(&k->msg_spki);
	buf_put(sig, m.u.kc_export.sig.p, m.u.kc_export.sig.n);
	return sig->err ? unsigned_because("no memory") : RC_OK;
}

int
keyd_generate(const struct cconf *c, int private_fd, int public_fd, bool nopass)
{
	char prog_name[] = "keyd", opt_g[] = "-g", opt_n[] = "-N";
	char *argv[] = { prog_name, opt_g, nopass ? opt_n : NULL, NULL };
	const int fd[2] = { private_fd, public_fd };
	char *program = keyd_program(c);
	struct sigaction ignore = { .sa_handler = SIG_IGN }, old;
	int status;

	/* keyd ends at ^C; we then have files to remove. */
	if (sigaction(SIGINT, &ignore, &old) == -1)
		fatal("sigaction");
	status = child_reap(child_spawn(program, argv, fd, 2));
	if (sigaction(SIGINT, &old, NULL) == -1)
		fatal("sigaction");
	free(program);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGINT)
		return RC_INTERRUPTED;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? RC_OK : RC_ERROR;
}
