#include <readpassphrase.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "ctl.h"
#include "log.h"
#include "password.h"

#define SIZE	(PASSWORD_MAX + 3)
#define WAIT_MS	30000

/* Twice from the terminal, or one line of standard input. */
static int
take(char pw[SIZE], const char *user)
{
	bool tty = isatty(STDIN_FILENO) != 0;
	enum password_fault f;
	char again[SIZE];
	int rv = -1;

	memset(pw, 0, SIZE);
	if (readpassphrase("New password: ", pw, SIZE, tty ?
	    RPP_REQUIRE_TTY : RPP_STDIN) == NULL)
		out_error("no password");
	else if ((f = password_judge(bytes_str(pw), bytes_str(user))) !=
	    PASSWORD_GOOD)
		out_error("the password is too weak: %s (%s)",
		    password_fault_text(f), PASSWORD_RULE);
	else if (tty && (readpassphrase("The same again: ", again,
	    sizeof(again), RPP_REQUIRE_TTY) == NULL || strcmp(pw, again) != 0))
		out_error("the two are not the same");
	else
		rv = 0;
	OPENSSL_cleanse(again, sizeof(again));
	return rv;
}

/*
 * The password is sealed to the hasher here, so that the vault, which carries it,
 * never sees it.
 */
static int
seal(const struct m_va_seal *key, const char *user,
    uint8_t sealed[PASSWORD_SEALED])
{
	static const uint8_t zeros[HASH_LEN];
	const struct bytes none = { NULL, 0 };
	uint8_t info[PASSWORD_INFO], what[HASH_LEN];
	char pw[SIZE];
	int rv;

	if ((rv = take(pw, user)) == 0) {
		password_what(what, bytes_str(user), none, none);
		password_info(info, PASSWORD_ADMIN, key->nonce, zeros, what);
		rv = password_seal(sealed, key->seal, info, none,
		    bytes_str(pw));
		if (rv == -1)
			out_error("the password cannot be sealed");
	}
	OPENSSL_cleanse(pw, sizeof(pw));
	return rv;
}

int
cmd_user_passwd(int argc, char **argv)
{
	struct m_av_seal ask = { .user = ctl_user_name(argv[1]) };
	struct m_av_passwd q = { .user = ask.user };
	struct chan *c = ctl_dial();
	struct m_va_seal key;
	const char *why;
	struct msg m;
	int r = CTL_FAILED;

	(void)argc;
	if (chan_send(c, MSG_av_seal, &ask, -1) == -1 ||
	    chan_recv(c, &m, WAIT_MS, &why) != 0)
		fatalx("the service went away");
	if (m.type == MSG_va_error) {
		out_error("%.*s", (int)m.u.va_error.text.n,
		    (const char *)m.u.va_error.text.p);
		goto out;
	}
	if (m.type != MSG_va_seal)
		fatalx("the service answers something else");
	key = m.u.va_seal;
	if (chan_recv(c, &m, WAIT_MS, &why) != 0 || m.type != MSG_va_done)
		fatalx("the service went away");
	if (seal(&key, argv[1], q.sealed) == -1)
		goto out;
	if (chan_send(c, MSG_av_passwd, &q, -1) == -1)
		fatalx("the service went away");
	r = ctl_answers(c);
out:
	chan_free(c);
	return r;
}

int
cmd_user_policy(int argc, char **argv)
{
	static const char *const names[] = { "default", "publickey",
	    "publickey+password" };
	struct m_av_policy q = { .user = ctl_user_name(argv[1]) };

	(void)argc;
	for (uint8_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(argv[2], names[i]) == 0) {
			q.policy = i;
			return ctl_ask(MSG_av_policy, &q);
		}
	out_error("the policy is default, publickey or publickey+password");
	return CTL_USAGE;
}
