/*
 * client/handshake.c, conn.c, answer.c and trust.c against servers that behave and
 * servers that do not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <fcntl.h>

#include "answer.h"
#include "exits.h"
#include "handshake.h"
#include "intr.h"
#include "trust.h"
#include "conn_ends.h"

static char dir[] = "/tmp/cloister-conn.XXXXXX";
static const uint8_t other_pin[HASH_LEN] = "the key that the user knows";

static int asked;		/* how often trust was asked */
static int trust_rc;		/* what it answers */

static int
trust_stub(const struct server_id *id, void *arg)
{
	(void)arg;
	asked++;
	assert_memory_equal(id->fp, server_hash, HASH_LEN);
	assert_true(bytes_eq(id->spki, buf_bytes(&server_spki)));
	assert_int_equal(id->suite, HS_SUITE_BEST);
	return trust_rc;
}

/* Run a handshake with a server of some kind; sv->fd stays open. */
static int
shake(struct server *sv, struct handshake *h, enum server_kind kind,
    const uint8_t *pin)
{
	struct keyd k;
	int rc;

	asked = 0;
	start_server(sv, kind, pin);
	start_keyd(&k);
	assert_int_equal(keyd_open(&k), RC_OK);
	*h = (struct handshake){ .fd = sv->fd, .server = "test", .keyd = &k,
	    .pin = pin, .trust = trust_stub };
	rc = handshake_run(h);
	keyd_stop(&k);
	return rc;
}

/* A handshake that must fail; says what the server saw. */
static struct report
shake_fails(enum server_kind kind, const uint8_t *pin, int want_rc,
    bool want_silent)
{
	struct handshake h;
	struct server sv;

	assert_int_equal(shake(&sv, &h, kind, pin), want_rc);
	assert_int_equal(h.silent, want_silent);
	(void)close(sv.fd);
	return stop_server(&sv);
}

static void
test_handshake(void **state)
{
	struct handshake h;
	struct server sv;
	struct report rep;
	struct conn *c;
	struct msg m;

	(void)state;
	trust_rc = RC_OK;
	for (int pinned = 0; pinned < 2; pinned++) {
		assert_int_equal(shake(&sv, &h, S_GOOD,
		    pinned ? server_hash : NULL), RC_OK);
		assert_int_equal(asked, 1);
		c = conn_attach(sv.fd, "test", &h.session);
		assert_int_equal(conn_next(c, &m), RC_OK);
		assert_int_equal(m.type, MSG_s_hello);
		conn_close(c);
		rep = stop_server(&sv);
		assert_int_equal(rep.authenticated, 1);
		assert_int_equal(rep.closed, 1);
	}
}

/* Before the server's key is trusted it gets no byte of our identity. */
static void
test_nothing_to_a_stranger(void **state)
{
	struct report rep;

	(void)state;
	trust_rc = RC_OK;
	rep = shake_fails(S_IMPOSTOR, other_pin, RC_SERVER_KEY, false);
	assert_int_equal(rep.after_sa, 0);
	assert_int_equal(asked, 0);
	trust_rc = RC_SERVER_KEY;
	rep = shake_fails(S_GOOD, NULL, RC_SERVER_KEY, false);
	assert_int_equal(rep.after_sa, 0);
	assert_int_equal(asked, 1);
	/* The control: a trusted server gets CA. */
	trust_rc = RC_OK;
	rep = shake_fails(S_DROP, NULL, RC_LOST, false);
	assert_int_equal(rep.after_sa, RECORD_WIRE(HS_CA_PAD));
}

static void
test_handshake_failures(void **state)
{
	struct report rep;

	(void)state;
	trust_rc = RC_OK;
	(void)shake_fails(S_SILENT, NULL, RC_LOST, true);
	(void)shake_fails(S_SILENT, server_hash, RC_LOST, true);
	/* A true server does not answer a CH for another key either. */
	rep = shake_fails(S_GOOD, other_pin, RC_LOST, true);
	assert_int_equal(rep.after_sa, 0);
	rep = shake_fails(S_REFUSE, server_hash, RC_REFUSED, false);
	assert_int_equal(rep.authenticated, 0);
	rep = shake_fails(S_FLIP, server_hash, RC_LOST, false);
	assert_int_equal(rep.authenticated, 0);
}

/* Only look at the key: nothing is sent after SA, whatever trust says. */
static void
test_look(void **state)
{
	struct handshake h;
	struct server sv;

	(void)state;
	trust_rc = RC_OK;
	asked = 0;
	start_server(&sv, S_GOOD, NULL);
	h = (struct handshake){ .fd = sv.fd, .server = "test",
	    .trust = trust_stub };
	assert_int_equal(handshake_run(&h), RC_OK);
	assert_int_equal(asked, 1);
	(void)close(sv.fd);
	assert_int_equal(stop_server(&sv).after_sa, 0);
}

/* Run cmd-like: a question over a session; what came on standard output. */
static int
ask(enum server_kind kind, char *out, size_t size, struct report *rep)
{
	struct client cl = { .key = "" };
	uint8_t conv[CONV_LEN] = { 0 };
	struct handshake h;
	struct server sv;
	struct answer_end end = { .gone = true };
	char err[256], id[CCONF_CONV_MAX + 1];
	struct msg m;
	FILE *fp = tmpfile();
	int saved = dup(STDOUT_FILENO), rc;
	size_t n;

	trust_rc = RC_OK;
	assert_int_equal(shake(&sv, &h, kind, server_hash), RC_OK);
	assert_int_equal(cconf_load(&cl.conf, err, sizeof(err)), 0);
	assert_int_equal(cconf_server_parse(&cl.server, "test"), 0);
	cl.conn = conn_attach(sv.fd, "test", &h.session);
	assert_int_equal(conn_next(cl.conn, &m), RC_OK);
	assert_int_equal(m.type, MSG_s_hello);
	(void)fflush(stdout);
	assert_int_not_equal(dup2(fileno(fp), STDOUT_FILENO), -1);
	intr_start();
	rc = answer_run(&cl, bytes_str("question"), conv, &end);
	intr_stop();
	assert_int_not_equal(dup2(saved, STDOUT_FILENO), -1);
	(void)close(saved);
	rewind(fp);
	n = fread(out, 1, size - 1, fp);
	out[n] = '\0';
	(void)fclose(fp);
	assert_false(end.gone);
	/* The conversation was remembered, even when the answer failed. */
	assert_int_equal(conv[0], 0xab);
	assert_int_equal(cconf_last_get(&cl.conf, &cl.server, id, err,
	    sizeof(err)), 1);
	assert_string_equal(id, "abcdef00000000000000000000000000");
	conn_close(cl.conn);
	cconf_free(&cl.conf);
	*rep = stop_server(&sv);
	assert_int_equal(rep->prompts, 1);
	return rc;
}

static void
test_answers(void **state)
{
	struct report rep;
	char out[256];

	(void)state;
	/* To a file the answer's bytes, and a newline at the end. */
	assert_int_equal(ask(S_GOOD, out, sizeof(out), &rep), RC_OK);
	assert_string_equal(out, "The \033[31manswer is 42.\n");
	assert_int_equal(rep.closed, 1);
	assert_int_equal(ask(S_TRUNCATE, out, sizeof(out), &rep), RC_LOST);
	assert_string_equal(out, "The \033[31manswer\n");
	assert_int_equal(ask(S_CLOSE, out, sizeof(out), &rep), RC_LOST);
	assert_int_equal(ask(S_STRANGE, out, sizeof(out), &rep), RC_LOST);
	assert_string_equal(out, "The \033[31manswer\n");
}

static void
test_cancel(void **state)
{
	struct report rep;
	char out[256];

	(void)state;
	assert_int_equal(ask(S_CANCEL, out, sizeof(out), &rep),
	    RC_INTERRUPTED);
	assert_string_equal(out, "The \033[31manswer\n");
	assert_int_equal(rep.closed, 1);
}

/* known_servers with one line, about new.example. */
static void
fp_file(const struct cconf *conf, const char *fp)
{
	FILE *f = fopen(conf->known_servers, "w");

	assert_non_null(f);
	assert_true(fprintf(f, "new.example:7464 %s\n", fp) > 0);
	assert_int_equal(fclose(f), 0);
}

/* What is said of a key without certificates. */
static int
decide(const uint8_t fp[HASH_LEN], int suite, struct trust *t)
{
	struct server_id id = { .suite = suite };

	memcpy(id.fp, fp, HASH_LEN);
	return trust_decide(&id, t);
}

static void
test_trust(void **state)
{
	struct cconf conf;
	struct cconf_server server;
	struct trust t = { &conf, &server, NULL };
	uint8_t fp[HASH_LEN];
	char err[256], text[CCONF_FP_TEXT];

	(void)state;
	assert_int_equal(cconf_load(&conf, err, sizeof(err)), 0);
	assert_int_equal(cconf_server_parse(&server, "new.example"), 0);
	assert_int_equal(cconf_known_get(&conf, &server, fp, err, sizeof(err)),
	    0);
	conf.first_contact = CCONF_FIRST_REFUSE;
	assert_int_equal(decide(server_hash, 1, &t), RC_SERVER_KEY);
	assert_int_equal(cconf_known_get(&conf, &server, fp, err, sizeof(err)),
	    0);
	conf.first_contact = CCONF_FIRST_ACCEPT;
	assert_int_equal(decide(server_hash, 1, &t), RC_OK);
	assert_int_equal(cconf_known_get(&conf, &server, fp, err, sizeof(err)),
	    1);
	assert_memory_equal(fp, server_hash, HASH_LEN);
	/* A known server: others are refused, whatever first_contact says. */
	assert_int_equal(decide(other_pin, 1, &t), RC_SERVER_KEY);
	assert_int_equal(decide(server_hash, 1, &t), RC_OK);
	/* Once suite 2, never suite 1 again. */
	assert_int_equal(decide(server_hash, 2, &t), RC_OK);
	assert_int_equal(decide(server_hash, 1, &t), RC_SERVER_KEY);
	cconf_fingerprint(text, server_hash);
	assert_int_equal(trust_parse("yes", text), TRUST_YES);
	assert_int_equal(trust_parse(text, text), TRUST_YES);
	assert_int_equal(trust_parse("no", text), TRUST_NO);
	assert_int_equal(trust_parse("", text), TRUST_UNCLEAR);
	assert_int_equal(trust_parse("y", text), TRUST_UNCLEAR);
	text[10] = text[10] == 'A' ? 'B' : 'A';
	cconf_fingerprint(err, server_hash);
	assert_int_equal(trust_parse(text, err), TRUST_UNCLEAR);
	/* A fingerprint has one spelling; two bits of the last digit are zero. */
	fp_file(&conf, "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
	assert_int_equal(cconf_known_get(&conf, &server, fp, err, sizeof(err)),
	    1);
	assert_int_equal(fp[0] | fp[31], 0);
	fp_file(&conf, "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB");
	assert_int_equal(cconf_known_get(&conf, &server, fp, err, sizeof(err)),
	    -1);
	cconf_free(&conf);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_handshake),
		cmocka_unit_test(test_nothing_to_a_stranger),
		cmocka_unit_test(test_handshake_failures),
		cmocka_unit_test(test_look),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_trust),
	};
	char path[64];
	int rv;

	if (mkdtemp(dir) == NULL || setenv("CLOISTER_HOME", dir, 1) == -1)
		return 1;
	rv = cmocka_run_group_tests(tests, setup, teardown);
	(void)snprintf(path, sizeof(path), "%s/known_servers", dir);
	(void)unlink(path);
	(void)snprintf(path, sizeof(path), "%s/last", dir);
	(void)unlink(path);
	(void)rmdir(dir);
	return rv;
}
