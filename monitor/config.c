#include "config.h"

#include <sys/un.h>

#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf.h"
#include "config_url.h"
#include "hs.h"

#ifndef STATEDIR
#define STATEDIR NULL		/* then the file must say it */
#endif

#define MAX_SECONDS	(7 * 24 * 3600)
#define MAX_TICKET_SECONDS (24 * 3600)
#define MAX_REKEY_SECONDS	3600

static const char *const role_names[CONFIG_ROLES] = {
	[CONFIG_LOGGER] = "logger",
	[CONFIG_KEYD] = "keyd",
	[CONFIG_SESSIOND] = "sessiond",
	[CONFIG_ZYGOTE] = "zygote",
	[CONFIG_VAULT] = "vault",
	[CONFIG_ENGINE] = "engine",
	[CONFIG_HASHER] = "hasher",
	[CONFIG_LLMPROXY] = "llmproxy",
	[CONFIG_CONNECTOR] = "connector",
	[CONFIG_CERTD] = "certd"
};

static cfg_opt_t role_opts[] = {
	CFG_STR("logger", NULL, CFGF_NONE),
	CFG_STR("keyd", NULL, CFGF_NONE),
	CFG_STR("sessiond", NULL, CFGF_NONE),
	CFG_STR("zygote", NULL, CFGF_NONE),
	CFG_STR("vault", NULL, CFGF_NONE),
	CFG_STR("engine", NULL, CFGF_NONE),
	CFG_STR("hasher", NULL, CFGF_NONE),
	CFG_STR("llmproxy", NULL, CFGF_NONE),
	CFG_STR("connector", NULL, CFGF_NONE),
	CFG_STR("certd", NULL, CFGF_NONE),
	CFG_END()
};

static cfg_opt_t provider_opts[] = {
	CFG_STR("type", "openai", CFGF_NONE),
	CFG_STR("url", NULL, CFGF_NONE),
	CFG_STR("key_file", NULL, CFGF_NONE),
	CFG_STR("ca_file", NULL, CFGF_NONE),
	CFG_STR("user", NULL, CFGF_NONE),
	CFG_INT("connect_timeout", 10, CFGF_NONE),
	CFG_INT("first_byte_timeout", 600, CFGF_NONE),
	CFG_INT("idle_timeout", 120, CFGF_NONE),
	CFG_INT("total_timeout", 3600, CFGF_NONE),
	CFG_END()
};

static cfg_opt_t model_opts[] = {
	CFG_STR("provider", NULL, CFGF_NONE),
	CFG_STR("upstream", NULL, CFGF_NONE),
	CFG_STR("system", NULL, CFGF_NONE),
	CFG_INT("max_tokens", 0, CFGF_NONE),
	CFG_INT("context", 0, CFGF_NONE),
	CFG_FLOAT("temperature", -1.0, CFGF_NONE),
	CFG_BOOL("default", cfg_false, CFGF_NONE),
	CFG_END()
};

static cfg_opt_t limit_opts[] = {
	CFG_INT("max_connections", 1024, CFGF_NONE),
	CFG_INT("max_connections_per_source", 32, CFGF_NONE),
	CFG_INT("max_sessions_per_user", 64, CFGF_NONE),
	CFG_INT("login_grace", 20, CFGF_NONE),
	CFG_INT("idle_timeout", 3600, CFGF_NONE),
	CFG_INT("drain_timeout", 30, CFGF_NONE),
	CFG_INT("session_timeout", 86400, CFGF_NONE),
	CFG_INT("ticket_lifetime", MAX_TICKET_SECONDS, CFGF_NONE),
	CFG_INT("rekey_interval", MAX_REKEY_SECONDS, CFGF_NONE),
	CFG_INT("min_landlock_abi", 1, CFGF_NONE),
	CFG_INT("spare_workers", 4, CFGF_NONE),
	CFG_INT("max_prompt", 1048576, CFGF_NONE),
	CFG_INT("retention_days", 0, CFGF_NONE),
	CFG_INT("max_conversations_per_user", 0, CFGF_NONE),
	CFG_INT("max_messages_per_user", 0, CFGF_NONE),
	CFG_INT("password_delay", 1, CFGF_NONE),
	CFG_END()
};

static cfg_opt_t argon2_opts[] = {
	CFG_INT("memory", 65536, CFGF_NONE),	/* KiB */
	CFG_INT("passes", 3, CFGF_NONE),
	CFG_END()
};

static char default_listen[] = "{'0.0.0.0', '[::]'}";

static cfg_opt_t server_opts[] = {
	CFG_STR_LIST("listen", default_listen, CFGF_NONE),
	CFG_STR("state_dir", STATEDIR, CFGF_NONE),
	CFG_STR("control_socket", NULL, CFGF_NONE),
	CFG_STR("control_group", NULL, CFGF_NONE),
	CFG_STR("connector_socket", NULL, CFGF_NONE),
	CFG_STR("wrap_key_file", NULL, CFGF_NONE),
	CFG_STR("log_level", "info", CFGF_NONE),
	CFG_STR("audit_full", "stop", CFGF_NONE),
	CFG_INT("audit_rotate_mib", 64, CFGF_NONE),
	CFG_INT("audit_checkpoint_lines", 256, CFGF_NONE),
	CFG_INT("audit_checkpoint_seconds", 60, CFGF_NONE),
	CFG_STR("certificate", NULL, CFGF_NONE),
	CFG_STR("client_ca", NULL, CFGF_NONE),
	CFG_STR("client_crl", NULL, CFGF_NONE),
	CFG_BOOL("first_contact", cfg_true, CFGF_NONE),
	CFG_BOOL("require_pq", cfg_false, CFGF_NONE),
	CFG_BOOL("enrolment", cfg_true, CFGF_NONE),
	CFG_STR("policy", "publickey", CFGF_NONE),
	CFG_STR("public_address", NULL, CFGF_NONE),
	CFG_STR("shaping", "tick", CFGF_NONE),
	CFG_SEC("roles", role_opts, CFGF_NONE),
	CFG_SEC("provider", provider_opts,
	    CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES),
	CFG_SEC("model", model_opts,
	    CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES),
	CFG_SEC("limits", limit_opts, CFGF_NONE),
	CFG_SEC("argon2", argon2_opts, CFGF_NONE),
	CFG_END()
};

/* A whole number in [min, max]. */
static int
get_u32(struct conf *c, cfg_t *sec, const char *name, uint32_t min,
    uint32_t max, uint32_t *out)
{
	long v = cfg_getint(sec, name);

	if (v < (long)min || v > (long)max)
		return conf_fail(c, sec, name, "%s must be %u to %u", name,
		    min, max);
	*out = (uint32_t)v;
	return 0;
}

/* A copy of a text that may be missing (NULL), UTF-8 of at most max bytes. */
static int
get_text(struct conf *c, cfg_t *sec, const char *name, size_t max, char **out)
{
	const char *s = cfg_getstr(sec, name);

	*out = NULL;
	if (s == NULL)
		return 0;
	if (s[0] == '\0' || strlen(s) > max || !bytes_utf8(bytes_str(s)))
		return conf_fail(c, sec, name,
		    "%s must be UTF-8 text of 1 to %zu bytes", name, max);
	if ((*out = strdup(s)) == NULL)
		return conf_fail(c, sec, name, "no memory");
	return 0;
}

/* The same for an absolute path without a "..". */
static int
get_path(struct conf *c, cfg_t *sec, const char *name, size_t max, char **out)
{
	size_t n;

	if (get_text(c, sec, name, max, out) == -1)
		return -1;
	if (*out == NULL)
		return 0;
	n = strlen(*out);
	if (**out != '/' || strstr(*out, "/../") != NULL ||
	    (n >= 3 && strcmp(*out + n - 3, "/..") == 0))
		return conf_fail(c, sec, name,
		    "%s must be an absolute path without ..", name);
	return 0;
}

/* The same, or "credential:NAME" (config.h). */
static int
get_secret_path(struct conf *c, cfg_t *sec, const char *name, char **out)
{
	const size_t n = sizeof(CONFIG_CREDENTIAL) - 1;
	const char *s = cfg_getstr(sec, name);

	if (s == NULL || strncmp(s, CONFIG_CREDENTIAL, n) != 0)
		return get_path(c, sec, name, PATH_MAX - 1, out);
	s += n;
	if (s[0] == '\0' || s[0] == '.' || strlen(s) > 255 ||
	    strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "0123456789._-") != strlen(s))
		return conf_fail(c, sec, name, "%s: a credential's name has "
		    "letters, digits, '.', '_' and '-'", name);
	return get_text(c, sec, name, PATH_MAX - 1, out);
}

/* Names that travel to clients and into logs. */
static bool
name_ok(const char *s, size_t max)
{
	return s[0] != '\0' && strlen(s) <= max &&
	    strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "0123456789._:/-") == strlen(s);
}

/*
 * "name", "uid" or "uid:gid"; an uid alone is its gid too.  0, or -1 for an
 * unknown user or a bad number.
 */
static int
parse_user(const char *s, struct config_user *u)
{
	const char *colon = strchr(s, ':'), *e;
	struct passwd *pw;
	char num[16];
	size_t n;

	if (s[0] < '0' || s[0] > '9') {
		if ((pw = getpwnam(s)) == NULL)
			return -1;
		*u = (struct config_user){ pw->pw_uid, pw->pw_gid };
		return 0;
	}
	n = colon != NULL ? (size_t)(colon - s) : strlen(s);
	if (n >= sizeof(num))
		return -1;
	memcpy(num, s, n);
	num[n] = '\0';
	/* -1 means "no user" to the system calls. */
	u->uid = (uid_t)strtonum(num, 0, UINT32_MAX - 1, &e);
	if (e != NULL)
		return -1;
	u->gid = u->uid;
	if (colon != NULL)
		u->gid = (gid_t)strtonum(colon + 1, 0, UINT32_MAX - 1, &e);
	return e == NULL ? 0 : -1;
}

/* The user that an option names. */
static int
get_user(struct conf *c, cfg_t *sec, const char *name, struct config_user *u)
{
	const char *s = cfg_getstr(sec, name);

	if (parse_user(s, u) == -1)
		return conf_fail(c, sec, name, "unknown user \"%s\"", s);
	if (u->uid == 0 || u->gid == 0)
		return conf_fail(c, sec, name, "%s must not be root", name);
	return 0;
}

/* A role that the file does not name. */
static int
default_user(struct conf *c, cfg_t *sec, const char *role,
    struct config_user *u)
{
	char name[32];

	snprintf(name, sizeof(name), "_cloister-%s", role);
	if (parse_user(name, u) == 0)
		return 0;
	if (geteuid() == 0)
		return conf_fail(c, sec, NULL,
		    "no user %s: make it, or set %s in roles { }", name, role);
	*u = (struct config_user){ geteuid(), getegid() };
	return 0;
}

static int
load_roles(struct conf *c, struct server_config *cfg)
{
	cfg_t *sec = cfg_getsec(c->cfg, "roles");
	int rv;

	for (int i = 0; i < CONFIG_ROLES; i++) {
		if (conf_isset(c, sec, role_names[i]))
			rv = get_user(c, sec, role_names[i], &cfg->user[i]);
		else
			rv = default_user(c, sec, role_names[i], &cfg->user[i]);
		if (rv == -1)
			return -1;
	}
	return 0;
}

static int
load_listen(struct conf *c, struct server_config *cfg)
{
	unsigned int n = cfg_size(c->cfg, "listen");
	const char *text, *wrong;

	if (n < 1 || n > CONFIG_MAX_LISTEN)
		return conf_fail(c, c->cfg, "listen",
		    "listen must have 1 to %d addresses", CONFIG_MAX_LISTEN);
	cfg->inherit = n == 1 && strcmp(cfg_getnstr(c->cfg, "listen", 0),
	    "systemd") == 0;
	if (cfg->inherit)
		return 0;
	for (unsigned int i = 0; i < n; i++) {
		text = cfg_getnstr(c->cfg, "listen", i);
		wrong = config_listen_parse(&cfg->listen[i], text);
		if (wrong != NULL)
			return conf_fail(c, c->cfg, "listen",
			    "listen \"%s\": %s", text, wrong);
		for (unsigned int j = 0; j < i; j++)
			if (strcmp(cfg->listen[i].text,
			    cfg->listen[j].text) == 0)
				return conf_fail(c, c->cfg, "listen",
				    "listen \"%s\" is there twice", text);
	}
	cfg->nlisten = n;
	return 0;
}

static int
load_log_level(struct conf *c, struct server_config *cfg)
{
	static const char *const names[] = {
		[LOG_L_ERR] = "error", [LOG_L_WARNING] = "warning",
		[LOG_L_NOTICE] = "notice", [LOG_L_INFO] = "info",
		[LOG_L_DEBUG] = "debug"
	};
	const char *s = cfg_getstr(c->cfg, "log_level");

	for (int i = LOG_L_ERR; i <= LOG_L_DEBUG; i++)
		if (strcmp(s, names[i]) == 0) {
			cfg->log_level = (enum log_level)i;
			return 0;
		}
	return conf_fail(c, c->cfg, "log_level", "log_level must be error, "
	    "warning, notice, info or debug");
}

static int
load_audit(struct conf *c, struct config_audit *a)
{
	const char *s = cfg_getstr(c->cfg, "audit_full");

	if (strcmp(s, "stop") != 0 && strcmp(s, "continue") != 0)
		return conf_fail(c, c->cfg, "audit_full",
		    "audit_full must be stop or continue");
	a->full_continue = strcmp(s, "continue") == 0;
	return get_u32(c, c->cfg, "audit_rotate_mib", 0, 1 << 20,
	    &a->rotate_mib) == -1 ||
	    get_u32(c, c->cfg, "audit_checkpoint_lines", 1, 4096,
	    &a->checkpoint_lines) == -1 ||
	    get_u32(c, c->cfg, "audit_checkpoint_seconds", 1, MAX_SECONDS,
	    &a->checkpoint_seconds) == -1 ? -1 : 0;
}

static int
load_shaping(struct conf *c, struct server_config *cfg)
{
	static const char *const names[] = {
		[SHAPE_OFF] = "off", [SHAPE_TICK] = "tick",
		[SHAPE_BUCKET] = "bucket"
	};
	const char *s = cfg_getstr(c->cfg, "shaping");

	for (int i = SHAPE_OFF; i <= SHAPE_BUCKET; i++)
		if (strcmp(s, names[i]) == 0) {
			cfg->shaping = (enum shape_mode)i;
			return 0;
		}
	return conf_fail(c, c->cfg, "shaping",
	    "shaping must be tick, bucket or off");
}

/* Who may come in, and how. */
static int
load_policy(struct conf *c, struct server_config *cfg)
{
	const char *s = cfg_getstr(c->cfg, "policy");

	cfg->enrolment = cfg_getbool(c->cfg, "enrolment") == cfg_true;
	cfg->want_password = strcmp(s, "publickey+password") == 0;
	if (!cfg->want_password && strcmp(s, "publickey") != 0)
		return conf_fail(c, c->cfg, "policy", "policy must be "
		    "publickey or publickey+password");
	if (get_text(c, c->cfg, "public_address", 260,
	    &cfg->public_address) == -1)
		return -1;
	if (cfg->public_address != NULL && strspn(cfg->public_address,
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	    ".-:[]") != strlen(cfg->public_address))
		return conf_fail(c, c->cfg, "public_address",
		    "public_address must be host or host:port");
	return 0;
}

static int
load_control(struct conf *c, struct server_config *cfg)
{
	const size_t max = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;
	const char *s = cfg_getstr(c->cfg, "control_group"), *e;
	struct group *gr;

	if (get_path(c, c->cfg, "control_socket", max,
	    &cfg->control_socket) == -1)
		return -1;
	if (get_path(c, c->cfg, "connector_socket", max,
	    &cfg->connector_socket) == -1)
		return -1;
	if (cfg->control_socket == NULL && asprintf(&cfg->control_socket,
	    "%s/control", cfg->state_dir) == -1) {
		cfg->control_socket = NULL;
		return conf_fail(c, c->cfg, NULL, "no memory");
	}
	if (strlen(cfg->control_socket) > max)
		return conf_fail(c, c->cfg, "state_dir", "state_dir is too "
		    "long for a socket's path: set control_socket");
	cfg->control_group = (gid_t)-1;
	if (s == NULL)
		return 0;
	cfg->control_group = (gid_t)strtonum(s, 0, UINT32_MAX - 1, &e);
	if (e == NULL)
		return 0;
	if ((gr = getgrnam(s)) == NULL)
		return conf_fail(c, c->cfg, "control_group",
		    "unknown group \"%s\"", s);
	cfg->control_group = gr->gr_gid;
	return 0;
}

static int
load_certificates(struct conf *c, struct server_config *cfg)
{
	if (get_path(c, c->cfg, "certificate", PATH_MAX - 1,
	    &cfg->certificate) == -1 ||
	    get_path(c, c->cfg, "client_ca", PATH_MAX - 1,
	    &cfg->client_ca) == -1 ||
	    get_path(c, c->cfg, "client_crl", PATH_MAX - 1,
	    &cfg->client_crl) == -1)
		return -1;
	if (cfg->client_crl != NULL && cfg->client_ca == NULL)
		return conf_fail(c, c->cfg, "client_crl",
		    "client_crl needs client_ca");
	return 0;
}

static int
load_limits(struct conf *c, struct config_limits *l)
{
	cfg_t *sec = cfg_getsec(c->cfg, "limits");
	const struct {
		const char	*name;
		uint32_t	 min, max;
		uint32_t	*out;
	} t[] = {
		{ "max_connections", 1, 1000000, &l->max_connections },
		{ "max_connections_per_source", 1, 1000000,
		    &l->max_connections_per_source },
		{ "max_sessions_per_user", 1, 1000000,
		    &l->max_sessions_per_user },
		{ "login_grace", 1, 3600, &l->login_grace },
		{ "idle_timeout", 1, MAX_SECONDS, &l->idle_timeout },
		{ "drain_timeout", 0, 600, &l->drain_timeout },
		{ "session_timeout", 0, MAX_SECONDS, &l->session_timeout },
		{ "ticket_lifetime", 0, MAX_TICKET_SECONDS,
		    &l->ticket_lifetime },
		{ "rekey_interval", 1, MAX_REKEY_SECONDS, &l->rekey_interval },
		{ "min_landlock_abi", 1, 100, &l->min_landlock_abi },
		{ "spare_workers", 0, 256, &l->spare_workers },
		{ "max_prompt", 1024, 1048576, &l->max_prompt },
		{ "retention_days", 0, 36500, &l->retention_days },
		{ "max_conversations_per_user", 0, 100000000,
		    &l->max_conversations },
		{ "max_messages_per_user", 0, 1000000000, &l->max_messages },
		{ "password_delay", 1, 600, &l->password_delay }
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		if (get_u32(c, sec, t[i].name, t[i].min, t[i].max,
		    t[i].out) == -1)
			return -1;
	return 0;
}

static int
load_argon2(struct conf *c, struct config_argon2 *a)
{
	cfg_t *sec = cfg_getsec(c->cfg, "argon2");

	if (get_u32(c, sec, "memory", ARGON2_MEMORY_MIN, ARGON2_MEMORY_MAX,
	    &a->memory_kib) == -1 || get_u32(c, sec, "passes", 1,
	    ARGON2_PASSES_MAX, &a->passes) == -1)
		return -1;
	return 0;
}

static int
load_provider_url(struct conf *c, cfg_t *sec, struct config_provider *p)
{
	const char *url = cfg_getstr(sec, "url"), *wrong;

	if (url == NULL)
		return conf_fail(c, sec, NULL, "provider %s has no url",
		    p->name);
	if ((wrong = config_url_parse(&p->url, url)) != NULL)
		return conf_fail(c, sec, "url", "url \"%.256s\" %s", url, wrong);
	if (p->key_file != NULL && !p->url.tls && !config_url_loopback(&p->url))
		return conf_fail(c, sec, "url", "url \"%s\" would send the key "
		    "in clear: use https", url);
	if (p->ca_file != NULL && !p->url.tls)
		return conf_fail(c, sec, "ca_file",
		    "ca_file needs a url with https");
	return 0;
}

/* The user of the i-th provider's llmproxy. */
static int
load_provider_user(struct conf *c, cfg_t *sec, const struct server_config *cfg,
    uint32_t i, struct config_user *u)
{
	const char *base;

	if (conf_isset(c, sec, "user"))
		return get_user(c, sec, "user", u);
	*u = cfg->user[CONFIG_LLMPROXY];
	base = cfg_getstr(cfg_getsec(c->cfg, "roles"), "llmproxy");
	if (base == NULL || base[0] < '0' || base[0] > '9')
		return 0;
	if (u->uid > UINT32_MAX - 1 - i || u->gid > UINT32_MAX - 1 - i)
		return conf_fail(c, sec, NULL, "no number is left for "
		    "provider %s: lower llmproxy in roles { }", cfg_title(sec));
	u->uid += i;
	if (strchr(base, ':') == NULL)
		u->gid += i;
	return 0;
}

static int
load_provider_type(struct conf *c, cfg_t *sec, struct config_provider *p)
{
	static const char *const types[PROVIDER_TYPES] = {
		[PROVIDER_OPENAI] = "openai",
		[PROVIDER_ANTHROPIC] = "anthropic",
		[PROVIDER_OLLAMA] = "ollama",
	};

	for (int i = 0; i < PROVIDER_TYPES; i++)
		if (strcmp(cfg_getstr(sec, "type"), types[i]) == 0) {
			p->type = (enum provider_type)i;
			return 0;
		}
	return conf_fail(c, sec, "type",
	    "type must be openai, anthropic or ollama");
}

static int
load_provider(struct conf *c, struct server_config *cfg, uint32_t i)
{
	cfg_t *sec = cfg_getnsec(c->cfg, "provider", i);
	struct config_provider *p = &cfg->providers[i];
	const char *title = cfg_title(sec);

	cfg->nproviders = i + 1;
	if (!name_ok(title, 32) || strpbrk(title, ":/") != NULL)
		return conf_fail(c, sec, NULL, "a provider's name must be 1 "
		    "to 32 letters, digits, '.', '_' and '-'");
	if ((p->name = strdup(title)) == NULL)
		return conf_fail(c, sec, NULL, "no memory");
	if (load_provider_type(c, sec, p) == -1 ||
	    get_secret_path(c, sec, "key_file", &p->key_file) == -1 ||
	    get_path(c, sec, "ca_file", PATH_MAX - 1, &p->ca_file) == -1 ||
	    load_provider_url(c, sec, p) == -1 ||
	    load_provider_user(c, sec, cfg, i, &p->user) == -1 ||
	    get_u32(c, sec, "connect_timeout", 1, MAX_SECONDS,
	    &p->connect_timeout) == -1 ||
	    get_u32(c, sec, "first_byte_timeout", 1, MAX_SECONDS,
	    &p->first_byte_timeout) == -1 ||
	    get_u32(c, sec, "idle_timeout", 1, MAX_SECONDS,
	    &p->idle_timeout) == -1 ||
	    get_u32(c, sec, "total_timeout", 1, MAX_SECONDS,
	    &p->total_timeout) == -1)
		return -1;
	return 0;
}

static int
load_providers(struct conf *c, struct server_config *cfg)
{
	unsigned int n = cfg_size(c->cfg, "provider");

	if (n == 0)
		return conf_fail(c, c->cfg, NULL, "there is no provider");
	for (unsigned int i = 0; i < n; i++) {
		if (i == CONFIG_MAX_PROVIDERS)
			return conf_fail(c, cfg_getnsec(c->cfg, "provider", i),
			    NULL, "more than %d providers",
			    CONFIG_MAX_PROVIDERS);
		if (load_provider(c, cfg, i) == -1)
			return -1;
	}
	return 0;
}

static int
load_temperature(struct conf *c, cfg_t *sec, struct config_model *m)
{
	double v = cfg_getfloat(sec, "temperature");

	if (v == -1.0)
		return 0;	/* left to the provider */
	if (!(v >= 0.0 && v <= 2.0))
		return conf_fail(c, sec, "temperature",
		    "temperature must be 0 to 2");
	m->temperature = (uint32_t)(v * 1000 + 0.5) + 1;
	return 0;
}

static int
load_model(struct conf *c, struct server_config *cfg, unsigned int i)
{
	cfg_t *sec = cfg_getnsec(c->cfg, "model", i);
	struct config_model *m = &cfg->models[i];
	const char *title = cfg_title(sec), *provider;

	cfg->nmodels = i + 1;
	if (!name_ok(title, 64))
		return conf_fail(c, sec, NULL, "a model's alias must be 1 to "
		    "64 letters, digits, '.', '_', ':', '/' and '-'");
	if ((m->alias = strdup(title)) == NULL)
		return conf_fail(c, sec, NULL, "no memory");
	if ((provider = cfg_getstr(sec, "provider")) == NULL)
		return conf_fail(c, sec, NULL, "model %s has no provider",
		    title);
	while (m->provider < cfg->nproviders &&
	    strcmp(cfg->providers[m->provider].name, provider) != 0)
		m->provider++;
	if (m->provider == cfg->nproviders)
		return conf_fail(c, sec, "provider",
		    "model %s: unknown provider \"%s\"", title, provider);
	if (get_text(c, sec, "upstream", 256, &m->upstream) == -1 ||
	    get_text(c, sec, "system", 16384, &m->system) == -1 ||
	    get_u32(c, sec, "max_tokens", 0, INT32_MAX, &m->max_tokens) == -1 ||
	    get_u32(c, sec, "context", 0, INT32_MAX, &m->context) == -1 ||
	    load_temperature(c, sec, m) == -1)
		return -1;
	if (m->context > 0 &&
	    cfg->providers[m->provider].type != PROVIDER_OLLAMA)
		return conf_fail(c, sec, "context", "model %s: only a provider "
		    "of type ollama lets the context be set", title);
	if (m->upstream == NULL)
		return conf_fail(c, sec, NULL, "model %s has no upstream",
		    title);
	m->is_default = cfg_getbool(sec, "default") == cfg_true;
	for (unsigned int j = 0; j < i; j++)
		if (m->is_default && cfg->models[j].is_default)
			return conf_fail(c, sec, "default", "models %s and %s "
			    "are both the default", cfg->models[j].alias,
			    title);
	return 0;
}

static int
load_models(struct conf *c, struct server_config *cfg)
{
	unsigned int n = cfg_size(c->cfg, "model");

	if (n == 0)
		return conf_fail(c, c->cfg, NULL, "there is no model");
	for (unsigned int i = 0; i < n; i++) {
		if (i == CONFIG_MAX_MODELS)
			return conf_fail(c, cfg_getnsec(c->cfg, "model", i),
			    NULL, "more than %d models", CONFIG_MAX_MODELS);
		if (load_model(c, cfg, i) == -1)
			return -1;
	}
	if (config_model_find(cfg, "") == NULL)
		cfg->models[0].is_default = true;
	return 0;
}

/* What one role may do to another is bounded only if their users differ. */
static int
check_users(struct conf *c, const struct server_config *cfg)
{
	cfg_t *roles = cfg_getsec(c->cfg, "roles"), *sec;
	const struct config_provider *p;

	for (int i = 0; i < CONFIG_ROLES; i++)
		for (int j = 0; j < i; j++)
			if (cfg->user[i].uid == cfg->user[j].uid)
				return conf_fail(c, roles, role_names[i],
				    "%s and %s would run as one user",
				    role_names[j], role_names[i]);
	for (unsigned int i = 0; i < cfg->nproviders; i++) {
		p = &cfg->providers[i];
		sec = cfg_getnsec(c->cfg, "provider", i);
		for (int j = 0; j < CONFIG_ROLES; j++)
			if (j != CONFIG_LLMPROXY &&
			    p->user.uid == cfg->user[j].uid)
				return conf_fail(c, sec, "user", "provider %s "
				    "and %s would run as one user", p->name,
				    role_names[j]);
		for (unsigned int j = 0; j < i; j++)
			if (p->user.uid == cfg->providers[j].user.uid)
				return conf_fail(c, sec, "user", "providers %s "
				    "and %s would run as one user: set user",
				    cfg->providers[j].name, p->name);
	}
	return 0;
}

static int
load(const char *path, struct server_config *cfg, bool init, char *err,
    size_t errlen)
{
	struct conf c;
	int rv = -1;

	memset(cfg, 0, sizeof(*cfg));
	if (conf_load(&c, path, server_opts, err, errlen) == -1)
		goto out;
	if (load_listen(&c, cfg) == -1 ||
	    get_secret_path(&c, c.cfg, "wrap_key_file",
	    &cfg->wrap_key_file) == -1 ||
	    get_path(&c, c.cfg, "state_dir", PATH_MAX - 256,
	    &cfg->state_dir) == -1)
		goto out;
	if (cfg->state_dir == NULL) {
		conf_fail(&c, c.cfg, NULL, "state_dir is not set");
		goto out;
	}
	memcpy(cfg->sha256, c.sha256, sizeof(cfg->sha256));
	cfg->first_contact = cfg_getbool(c.cfg, "first_contact") == cfg_true;
	cfg->require_pq = cfg_getbool(c.cfg, "require_pq") == cfg_true;
	if (cfg->require_pq && !hs_suite_spoken(HS_SUITE_HYBRID)) {
		conf_fail(&c, c.cfg, "require_pq", "this build has no ML-KEM: "
		    "its OpenSSL is older than 3.5");
		goto out;
	}
	if (load_control(&c, cfg) == -1 || load_log_level(&c, cfg) == -1 ||
	    load_audit(&c, &cfg->audit) == -1 ||
	    load_shaping(&c, cfg) == -1 || load_policy(&c, cfg) == -1 ||
	    load_certificates(&c, cfg) == -1 ||
	    load_limits(&c, &cfg->limits) == -1 ||
	    load_argon2(&c, &cfg->argon2) == -1 || load_roles(&c, cfg) == -1)
		goto out;
	if (!init && (load_providers(&c, cfg) == -1 ||
	    load_models(&c, cfg) == -1))
		goto out;
	if (geteuid() == 0 && check_users(&c, cfg) == -1)
		goto out;
	rv = 0;
out:
	conf_free(&c);
	if (rv == -1)
		config_free(cfg);
	return rv;
}

int
config_load(const char *path, struct server_config *cfg, char *err,
    size_t errlen)
{
	return load(path, cfg, false, err, errlen);
}

int
config_load_init(const char *path, struct server_config *cfg, char *err,
    size_t errlen)
{
	return load(path, cfg, true, err, errlen);
}

void
config_free(struct server_config *cfg)
{
	for (size_t i = 0; i < cfg->nproviders; i++) {
		free(cfg->providers[i].name);
		free(cfg->providers[i].url.host);
		free(cfg->providers[i].url.path);
		free(cfg->providers[i].key_file);
		free(cfg->providers[i].ca_file);
	}
	for (size_t i = 0; i < cfg->nmodels; i++) {
		free(cfg->models[i].alias);
		free(cfg->models[i].upstream);
		free(cfg->models[i].system);
	}
	free(cfg->state_dir);
	free(cfg->control_socket);
	free(cfg->public_address);
	free(cfg->connector_socket);
	free(cfg->wrap_key_file);
	free(cfg->certificate);
	free(cfg->client_ca);
	free(cfg->client_crl);
	memset(cfg, 0, sizeof(*cfg));
}

const char *
config_role_name(enum config_role role)
{
	return role_names[role];
}

const struct config_model *
config_model_find(const struct server_config *cfg, const char *alias)
{
	for (size_t i = 0; i < cfg->nmodels; i++)
		if (alias[0] == '\0' ? cfg->models[i].is_default :
		    strcmp(cfg->models[i].alias, alias) == 0)
			return &cfg->models[i];
	return NULL;
}
