/*
 * Passphrases, asked for on the terminal itself (/dev/tty) without echo.  A
 * signal that comes meanwhile has its effect after the terminal's restoration.
 */
#ifndef KEYD_PASSPHRASE_H
#define KEYD_PASSPHRASE_H

#define PASSPHRASE_MAX	1024	/* bytes, with the NUL */
#define PASSPHRASE_MIN	8	/* bytes of a new one, without */

/*
 * Ask once.  0 with a passphrase that may be empty; -1 when there is no
 * terminal, or at its end of file, with nothing in pass.  The caller wipes pass.
 */
int passphrase_ask(char pass[PASSPHRASE_MAX], const char *prompt);

/*
 * Ask for a new one until the same, long enough, was given twice; at most three
 * times.  0, or -1 after saying why on standard error.  The caller wipes pass.
 */
int passphrase_new(char pass[PASSPHRASE_MAX]);

#endif
