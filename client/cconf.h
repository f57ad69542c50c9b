/*
 * The client's directory: ~/.config/cloister, or $CLOISTER_HOME.
 *
 *	config		options, all with defaults; the file may be missing
 *	known_servers	the servers' keys that the user has accepted
 *	history		what was typed
 *	last		the last conversation with each server
 *
 * The directory and the files belong to the user (or root) and nobody else may
 * write them; a key file nobody else may read.  What is not so is refused.
 *
 * Functions that take err leave a message for the user there, with the file and
 * the line where there is one.
 */
#ifndef CLIENT_CCONF_H
#define CLIENT_CCONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "params.h"

#define CCONF_TEMPLATES_MAX	64
#define CCONF_PORT		7464
#define CCONF_FP_BYTES		32	/* SHA-256 of a SubjectPublicKeyInfo */
#define CCONF_FP_TEXT		(sizeof("SHA256:") + 43)  /* with its NUL */
#define CCONF_HOST_MAX		253	/* RFC 1035, 2.3.4, as text */
#define CCONF_CONV_MAX		64	/* bytes of a conversation's id */

/* A server: name (lower case) or numeric address without brackets, and port. */
struct cconf_server {
	char		host[CCONF_HOST_MAX + 1];
	uint16_t	port;
	bool		numeric;	/* an address, not a name */
	/* "host:port" or "[v6]:port": the name in known_servers and last. */
	char		text[CCONF_HOST_MAX + 10];
};

/* What to do with a server whose key is not known. */
enum cconf_first {
	CCONF_FIRST_ASK,	/* show the fingerprint and ask */
	CCONF_FIRST_ACCEPT,	/* take and remember it */
	CCONF_FIRST_REFUSE	/* only keys in known_servers */
};

/* Which proof of a server's identity is enough. */
enum cconf_trust {
	CCONF_TRUST_PINNED,	/* a key in known_servers */
	CCONF_TRUST_CERTIFICATE,	/* a certificate of an authority in ca_file */
	CCONF_TRUST_EITHER,	/* a known key, or without one a certificate */
	CCONF_TRUST_BOTH
};

/* Whether questions are signed with the user's message key. */
enum cconf_sign {
	CCONF_SIGN_OFF,
	CCONF_SIGN_ASK,		/* each time */
	CCONF_SIGN_ALWAYS
};

/* What a question is asked with: template NAME { ... }. */
struct cconf_template {
	char		*name;
	char		*model;		/* or NULL */
	char		*system;	/* or NULL */
	struct params	 params;
};

struct cconf {
	char			*dir;		/* absolute */
	bool			 has_server;
	struct cconf_server	 server;	/* server = "host[:port]" */
	char			*key;		/* base path of the keys */
	char			*model;		/* alias, or NULL */
	enum cconf_first	 first_contact;
	char			*keyd;		/* program, or NULL: as built */
	enum cconf_trust	 trust;
	char			*ca_file;	/* paths, or NULL */
	char			*crl_file;
	char			*cert_file;	/* of our signing key */
	bool			 hash_known_servers;
	enum cconf_sign		 sign;
	uint32_t		 suspend_s;	/* idle chats; 0: never */
	bool			 keep_history;	/* of lines typed in chats */
	struct cconf_template	*tmpl;
	size_t			 ntmpl;
	char			*known_servers;	/* paths of the files */
	char			*history;
	char			*last;
};

enum cconf_known {
	CCONF_MATCH,		/* this key is known for this server */
	CCONF_UNKNOWN,		/* nothing is known of this server */
	CCONF_CHANGED		/* another key is known: stop */
};

/*
 * Find the directory (made 0700 when missing), read config, fill in what it
 * does not say.  A relative path in it, and a leading "~/", are taken from the
 * directory and the home directory.  Returns 0 and the caller calls
 * cconf_free(); or -1 with err.
 */
int cconf_load(struct cconf *c, char *err, size_t errlen);
void cconf_free(struct cconf *c);
/* The template of that name, or NULL. */
const struct cconf_template *cconf_template(const struct cconf *c,
    const char *name);

/*
 * Parse "host", "host:port", "v4[:port]", "[v6]", "[v6]:port" or a bare v6
 * address.  Returns 0, or -1 when it is none of these.
 */
int cconf_server_parse(struct cconf_server *s, const char *text);

/* "SHA256:" and unpadded base64 of the hash, as known_servers has it. */
void cconf_fingerprint(char text[CCONF_FP_TEXT],
    const uint8_t fp[CCONF_FP_BYTES]);
/*
 * Look the server's key up among the pins.  *min_suite is 2 when suite 2 was once spoken with
 * this server under this key, and 1 else.  A missing file knows nothing.
 * Returns an enum cconf_known, or -1 with err (a file that others can write, a
 * line that cannot be understood).
 */
int cconf_known_lookup(const struct cconf *c, const struct cconf_server *s,
    const uint8_t fp[CCONF_FP_BYTES], int *min_suite, char *err, size_t errlen);
/*
 * The key that is known for the server, the last one when there are several: 1 with
 * fp, 0 when none is known, -1 with err.
 */
int cconf_known_get(const struct cconf *c, const struct cconf_server *s,
    uint8_t fp[CCONF_FP_BYTES], char *err, size_t errlen);
/*
 * Append the server's key, with the suite that was spoken, in one write, and
 * sync it; the file is made 0600 when missing.  Returns 0 or -1 with err.
 */
int cconf_known_add(const struct cconf *c, const struct cconf_server *s,
    const uint8_t fp[CCONF_FP_BYTES], int suite, char *err, size_t errlen);

/*
 * Say in config that this is the server, when it names none: one line is added.
 * Returns 0 or -1 with err.
 */
int cconf_set_server(struct cconf *c, const struct cconf_server *s, char *err,
    size_t errlen);

/*
 * Remember, without pinning the key, that a server whose certificate was believed
 * spoke suite 2 under it.  Returns 0 or -1 with err.
 */
int cconf_known_note(const struct cconf *c, const struct cconf_server *s,
    const uint8_t fp[CCONF_FP_BYTES], char *err, size_t errlen);

/* A line of known_servers, for people. */
struct cconf_line {
	int		 number;
	const char	*name;		/* as the line has it, or as it was asked */
	const char	*fingerprint;
	bool		 hashed;
	bool		 suite2;
	bool		 certificate;	/* no pin: remembered for the suite alone */
};
/* 0 to go on, -1 to stop. */
typedef int cconf_known_cb(const struct cconf_line *, void *arg);
/* Each line, or each about s; how many, or -1 with err. */
int cconf_known_each(const struct cconf *c, const struct cconf_server *s,
    cconf_known_cb *cb, void *arg, char *err, size_t errlen);
/* Remove all lines about s; how many, or -1 with err.  Comments go as well. */
int cconf_known_remove(const struct cconf *c, const struct cconf_server *s,
    char *err, size_t errlen);
/* Hash every name that is in clear; how many, or -1 with err. */
int cconf_known_hash(const struct cconf *c, char *err, size_t errlen);

/*
 * Open a private key file for reading, which nobody but its owner, the user,
 * may read.  Returns a descriptor with close-on-exec, or -1 with err.
 */
int cconf_key_open(const char *path, char *err, size_t errlen);

/*
 * The id of the last conversation with the server: 1 when there is one, 0 when
 * not, -1 with err.
 */
int cconf_last_get(const struct cconf *c, const struct cconf_server *s,
    char id[CCONF_CONV_MAX + 1], char *err, size_t errlen);
/*
 * Remember it: the file is replaced at once (0600) or stays as it was.  The id
 * is letters, digits, '-' and '_'.  Returns 0 or -1 with err.
 */
int cconf_last_set(const struct cconf *c, const struct cconf_server *s,
    const char *id, char *err, size_t errlen);

#endif
