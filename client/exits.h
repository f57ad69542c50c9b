/*
 * The exit codes of cloister, declared once: the enum and the list in --help.
 * Functions of the client that can fail for the user return one of them, after
 * they have told the user why (ui.h).
 */
#ifndef CLIENT_EXITS_H
#define CLIENT_EXITS_H

#define CLIENT_EXITS(X)							\
	X(RC_OK, 0, "success")						\
	X(RC_ERROR, 1, "general error")					\
	X(RC_USAGE, 2, "wrong usage or configuration")			\
	X(RC_LOST, 3, "cannot connect, or the connection was lost")	\
	X(RC_SERVER_KEY, 4, "the server's key is unknown or has changed") \
	X(RC_REFUSED, 5, "not authenticated: the server refused the key") \
	X(RC_SERVER, 6, "error of the server or the model")		\
	X(RC_INCOMPLETE, 7, "the answer is incomplete")			\
	X(RC_INTERRUPTED, 130, "interrupted")

enum client_exit {
#define CLIENT_EXIT_ENUM(name, code, text) name = (code),
	CLIENT_EXITS(CLIENT_EXIT_ENUM)
#undef CLIENT_EXIT_ENUM
};

#endif
