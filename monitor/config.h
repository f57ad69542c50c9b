/*
 * The server's configuration, cloisterd.conf (see cloisterd.conf.sample).
 *
 * The monitor alone reads it; each role is told what it needs over its link.
 * Everything is checked here, so that what config_load() returns can be used
 * without another look: addresses are numeric, users exist, URLs are taken
 * apart, every model has its provider.
 */
#ifndef MONITOR_CONFIG_H
#define MONITOR_CONFIG_H

#include <sys/socket.h>
#include <sys/types.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codes.h"
#include "log.h"

/* Below state_dir: what is being restored, until it is in its place. */
#define STATE_RESTORE	"restore"

#define CONFIG_MAX_LISTEN	16
#define CONFIG_MAX_PROVIDERS	16
#define CONFIG_MAX_MODELS	64
#define CONFIG_PORT		7464
/* What stands before the name of a file in $CREDENTIALS_DIRECTORY
 * (systemd.exec(5)), where a secret's path may stand. */
#define CONFIG_CREDENTIAL	"credential:"

/* The users that the configuration names, in the order of roles { }. */
enum config_role {
	CONFIG_LOGGER,
	CONFIG_KEYD,
	CONFIG_SESSIOND,
	CONFIG_ZYGOTE,		/* and the workers that it forks */
	CONFIG_VAULT,
	CONFIG_ENGINE,
	CONFIG_HASHER,
	CONFIG_LLMPROXY,	/* the first; see config_provider.user */
	CONFIG_CONNECTOR,
	CONFIG_CERTD,
	CONFIG_ROLES
};

struct config_user {
	uid_t	uid;
	gid_t	gid;
};

struct config_listen {
	struct sockaddr_storage	addr;	/* AF_INET or AF_INET6, port set */
	socklen_t		addrlen;
	char			text[64];	/* "[::]:7464" */
};

/* A provider's base address: scheme://host:port/path. */
struct config_url {
	bool		 tls;		/* https */
	char		*host;		/* name or address, no brackets */
	uint16_t	 port;
	char		*path;		/* "" or "/v1": never a final slash */
};

struct config_provider {
	char			*name;
	enum provider_type	 type;
	struct config_url	 url;
	char			*key_file;	/* absolute, a credential, or NULL */
	char			*ca_file;	/* absolute, or NULL */
	struct config_user	 user;		/* its llmproxy's own */
	uint32_t		 connect_timeout;	/* all in seconds */
	uint32_t		 first_byte_timeout;
	uint32_t		 idle_timeout;
	uint32_t		 total_timeout;
};

struct config_model {
	char		*alias;		/* what clients ask for */
	size_t		 provider;	/* index into providers */
	char		*upstream;	/* the provider's name of it */
	char		*system;	/* system prompt, UTF-8, or NULL */
	uint32_t	 max_tokens;	/* of an answer; 0 is the provider's */
	uint32_t	 context;	/* tokens; 0 is the provider's choice */
	uint32_t	 temperature;	/* thousandths + 1; 0 is not set */
	bool		 is_default;	/* true for exactly one */
};

struct config_limits {
	uint32_t	max_connections;
	uint32_t	max_connections_per_source;
	uint32_t	max_sessions_per_user;
	uint32_t	login_grace;		/* seconds */
	uint32_t	idle_timeout;		/* seconds */
	uint32_t	drain_timeout;		/* seconds, at a stop */
	uint32_t	session_timeout;	/* seconds; 0: none */
	uint32_t	ticket_lifetime;	/* seconds; 0: no tickets */
	uint32_t	rekey_interval;		/* seconds */
	uint32_t	min_landlock_abi;
	uint32_t	spare_workers;
	uint32_t	max_prompt;		/* bytes */
	uint32_t	retention_days;		/* 0: for ever */
	uint32_t	max_conversations;	/* of a user; 0: any number */
	uint32_t	max_messages;		/* of a user; 0: any number */
	uint32_t	password_delay;		/* seconds */
};

/* Argon2id, for new passwords and those that are renewed at a login. */
struct config_argon2 {
	uint32_t	memory_kib;
	uint32_t	passes;
};

struct config_audit {
	bool		full_continue;	/* without room: lose events, count them */
	uint32_t	rotate_mib;	/* size of a file; 0: any */
	uint32_t	checkpoint_lines;
	uint32_t	checkpoint_seconds;
};

struct server_config {
	struct config_listen	 listen[CONFIG_MAX_LISTEN];
	size_t			 nlisten;	/* at least 1, unless inherit */
	bool			 inherit;	/* sockets come from systemd */
	char			*state_dir;	/* absolute */
	char			*control_socket; /* absolute */
	gid_t			 control_group;	/* (gid_t)-1 when not set */
	char			*connector_socket; /* absolute, or NULL */
	char			*wrap_key_file;	/* as key_file; NULL: state_dir's */
	enum log_level		 log_level;
	char			*certificate;	/* absolute, or NULL */
	char			*client_ca;	/* absolute, or NULL */
	char			*client_crl;	/* only with client_ca */
	bool			 first_contact;
	bool			 require_pq;	/* no suite without ML-KEM */
	bool			 enrolment;	/* by invite and password */
	bool			 want_password;	/* publickey+password */
	char			*public_address; /* for invites, or NULL */
	enum shape_mode		 shaping;
	struct config_argon2	 argon2;
	struct config_user	 user[CONFIG_ROLES];
	struct config_provider	 providers[CONFIG_MAX_PROVIDERS];
	size_t			 nproviders;
	struct config_model	 models[CONFIG_MAX_MODELS];
	size_t			 nmodels;
	struct config_limits	 limits;
	struct config_audit	 audit;
	uint8_t			 sha256[32];	/* of the file */
};

/*
 * Read and check the file at path into *cfg.  The file must belong to root or
 * to the caller and be writable by nobody else.  Nothing is printed.
 *
 * A role that the file does not name runs as "_cloister-ROLE"; when such a user
 * does not exist and the caller is not root, as the caller.  A role as root is
 * an error, and so are, for a caller that is root, two roles or providers with
 * one user.
 *
 * Returns 0, and the caller calls config_free(); or -1 with err holding
 * "FILE:LINE: what is wrong" and *cfg empty.
 */
int config_load(const char *path, struct server_config *cfg, char *err,
    size_t errlen);
/*
 * The same for what makes keys and database: providers and models are not looked
 * at, and there are none in *cfg.
 */
int config_load_init(const char *path, struct server_config *cfg, char *err,
    size_t errlen);
/* Free what config_load() made; *cfg is empty afterwards. */
void config_free(struct server_config *cfg);
/* A role's name in the file: "logger", "keyd", ... */
const char *config_role_name(enum config_role role);
/* The model with that alias, the default one when alias is "", or NULL. */
const struct config_model *config_model_find(const struct server_config *cfg,
    const char *alias);

#endif
