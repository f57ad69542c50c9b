#include "passphrase.h"

#include <errno.h>
#include <readpassphrase.h>
#include <stdio.h>
#include <string.h>

#include "bytes.h"
#include "log.h"

#define TRIES	3

int
passphrase_ask(char pass[PASSPHRASE_MAX], const char *prompt)
{
	if (readpassphrase(prompt, pass, PASSPHRASE_MAX,
	    RPP_REQUIRE_TTY | RPP_ECHO_OFF) != NULL)
		return 0;
	explicit_bzero(pass, PASSPHRASE_MAX);
	return -1;
}

/* NULL, or why a new passphrase cannot be taken. */
static const char *
refuse(const char *pass, const char *again)
{
	size_t n = strlen(pass);

	if (n < PASSPHRASE_MIN)
		return "a passphrase has at least 8 characters (-N makes keys "
		    "without one)";
	if (n == PASSPHRASE_MAX - 1)
		return "that passphrase is too long";
	if (n != strlen(again) || !bytes_eq_ct(pass, again, n))
		return "the two are not the same";
	return NULL;
}

int
passphrase_new(char pass[PASSPHRASE_MAX])
{
	char again[PASSPHRASE_MAX];
	const char *why = "no terminal to ask for a passphrase on (-N makes "
	    "keys without one)";
	int rv = -1;

	for (int i = 0; i < TRIES && rv == -1; i++) {
		if (passphrase_ask(pass, "New passphrase: ") == -1 ||
		    passphrase_ask(again, "The same again: ") == -1)
			break;
		if ((why = refuse(pass, again)) == NULL)
			rv = 0;
		else if (i < TRIES - 1)
			log_err("%s", why);
	}
	explicit_bzero(again, sizeof(again));
	if (rv == -1) {
		explicit_bzero(pass, PASSPHRASE_MAX);
		log_err("%s", why);
	}
	return rv;
}
