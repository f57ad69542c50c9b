/*
 * What the tests of keyd share: keys that are made once, the last audit event,
 * and the waiting end of a channel.
 */
#ifndef TESTS_KEYD_FIXTURE_H
#define TESTS_KEYD_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "../keyd/keyd.h"
#include "log.h"

/* Made once; tests take references. */
static EVP_PKEY *keys[KEYD_KEYS];
static char last_audit[256];
static uint64_t last_audit_session;

static inline void
keep_log(enum log_level level, const char *event, uint64_t session,
    const char *user, const char *text)
{
	(void)level;
	(void)user;
	if (event == NULL)
		return;
	(void)snprintf(last_audit, sizeof(last_audit), "%s %s", event, text);
	last_audit_session = session;
}

static inline int
group_setup(void **state)
{
	(void)state;
	log_set_sink(keep_log);
	for (int i = 0; i < KEYD_KEYS; i++)
		keys[i] = rsa_generate(keyd_uses[i], RSA_BITS_DEFAULT, 0);
	return 0;
}

static inline int
group_teardown(void **state)
{
	(void)state;
	for (int i = 0; i < KEYD_KEYS; i++)
		EVP_PKEY_free(keys[i]);
	return 0;
}

static inline EVP_PKEY *
ref(EVP_PKEY *key)
{
	assert_int_equal(EVP_PKEY_up_ref(key), 1);
	return key;
}

/* Whether the peer ended the channel. */
static inline bool
ended(struct chan *c)
{
	const char *why;
	struct msg m;

	return chan_recv(c, &m, 1000, &why) == 1;
}

/* The next message, which must be of this type. */
static inline struct msg
want(struct chan *c, enum msg_type type)
{
	const char *why;
	struct msg m;

	assert_int_equal(chan_recv(c, &m, 10000, &why), 0);
	assert_int_equal(m.type, type);
	return m;
}

static inline void
want_silence(struct chan *c)
{
	const char *why;
	struct msg m;

	assert_int_equal(chan_recv(c, &m, 0, &why), -1);
	assert_string_equal(why, "timed out");
}

#endif
