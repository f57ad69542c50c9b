/*
 * Passwords that the user types: without echo on the terminal or, with -S, as
 * lines of standard input.
 */
#ifndef CLIENT_SECRET_ASK_H
#define CLIENT_SECRET_ASK_H

#include "password.h"

#define SECRET_SIZE	(PASSWORD_MAX + 3)	/* and what shows that it is longer */

/*
 * Ask.  Returns RC_OK, or RC_ERROR after telling the user; the caller wipes pw.
 * From standard input exactly one line is taken, nothing behind it.
 */
int secret_ask(char pw[SECRET_SIZE], const char *prompt, bool from_stdin);
/*
 * A name, with echo; an empty line means dflt.  The same.
 */
int name_ask(char *name, size_t size, const char *prompt, const char *dflt);

#endif
