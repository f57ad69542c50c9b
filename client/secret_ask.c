#include "secret_ask.h"

#include <errno.h>
#include <readpassphrase.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "exits.h"
#include "ui.h"

/* Byte by byte: what follows is somebody else's. */
static int
read_line(char *s, size_t size)
{
	size_t n = 0;
	ssize_t r;
	char c;

	while ((r = read(STDIN_FILENO, &c, 1)) != 0) {
		if (r == -1) {
			if (errno == EINTR)
				continue;
			break;
		}
		if (c == '\n')
			break;
		if (n < size - 1)
			s[n++] = c;
	}
	s[n] = '\0';
	return n > 0 || r > 0 ? 0 : -1;
}

int
secret_ask(char pw[SECRET_SIZE], const char *prompt, bool from_stdin)
{
	int rv;

	memset(pw, 0, SECRET_SIZE);
	if (from_stdin)
		rv = read_line(pw, SECRET_SIZE);
	else
		rv = readpassphrase(prompt, pw, SECRET_SIZE,
		    RPP_REQUIRE_TTY | RPP_ECHO_OFF) != NULL ? 0 : -1;
	if (rv == -1)
		ui_err(from_stdin ? "no password on standard input" :
		    "there is no terminal to ask for a password on (-S takes it "
		    "from standard input)");
	else if (strlen(pw) > PASSWORD_MAX)
		ui_err("a password has at most %d bytes", PASSWORD_MAX);
	else
		return RC_OK;
	explicit_bzero(pw, SECRET_SIZE);
	return RC_ERROR;
}

int
name_ask(char *name, size_t size, const char *prompt, const char *dflt)
{
	if (readpassphrase(prompt, name, size,
	    RPP_REQUIRE_TTY | RPP_ECHO_ON) == NULL) {
		ui_err("there is no terminal to ask for your name on (-l says "
		    "it)");
		return RC_ERROR;
	}
	if (name[0] == '\0')
		(void)strlcpy(name, dflt, size);
	return RC_OK;
}
