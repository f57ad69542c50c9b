#include "cconf.h"

#include <sys/stat.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf.h"

#define SUSPEND_MIN	3	/* beyond what a shaped answer is quiet */
#define SUSPEND_MAX	86400

#define MODEL_MAX	64	/* bytes, of a model's or a template's name */
#define SYSTEM_MAX	65536	/* bytes of a system prompt */

static cfg_opt_t template_opts[] = {
	CFG_STR("model", NULL, CFGF_NONE),
	CFG_STR("system", NULL, CFGF_NONE),
	CFG_STR("temperature", NULL, CFGF_NONE),
	CFG_STR("top_p", NULL, CFGF_NONE),
	CFG_STR("max_tokens", NULL, CFGF_NONE),
	CFG_END()
};

static cfg_opt_t client_opts[] = {
	CFG_STR("server", NULL, CFGF_NONE),
	CFG_STR("key", "id_cloister", CFGF_NONE),
	CFG_STR("model", NULL, CFGF_NONE),
	CFG_STR("first_contact", "ask", CFGF_NONE),
	CFG_STR("keyd", NULL, CFGF_NONE),
	CFG_STR("trust", NULL, CFGF_NONE),
	CFG_STR("ca_file", NULL, CFGF_NONE),
	CFG_STR("crl_file", NULL, CFGF_NONE),
	CFG_STR("cert_file", NULL, CFGF_NONE),
	CFG_STR("sign", "off", CFGF_NONE),
	CFG_INT("suspend", 600, CFGF_NONE),
	CFG_BOOL("history", cfg_true, CFGF_NONE),
	CFG_SEC("template", template_opts, CFGF_MULTI | CFGF_TITLE |
	    CFGF_NO_TITLE_DUPES),
	CFG_BOOL("hash_known_servers", cfg_false, CFGF_NONE),
	CFG_END()
};

/* The home directory, which the caller frees; NULL when there is none. */
static char *
home_dir(void)
{
	const char *home = getenv("HOME");
	struct passwd *pw;

	if (home != NULL && home[0] == '/')
		return strdup(home);
	pw = getpwuid(getuid());
	return pw != NULL ? strdup(pw->pw_dir) : NULL;
}

static char *
join(const char *dir, const char *name)
{
	char *p;

	return asprintf(&p, "%s/%s", dir, name) == -1 ? NULL : p;
}

/* path as it is when absolute, under home after "~/", under dir else. */
static char *
resolve(const char *dir, const char *path)
{
	char *home, *p = NULL;

	if (path[0] == '/')
		return strdup(path);
	if (strncmp(path, "~/", 2) != 0)
		return join(dir, path);
	if ((home = home_dir()) != NULL)
		p = join(home, path + 2);
	free(home);
	return p;
}

/* The directory's path, absolute, or NULL with err. */
static char *
find_dir(char *err, size_t errlen)
{
	const char *set = getenv("CLOISTER_HOME");
	char *home, *parent, *dir = NULL;

	if (set != NULL && set[0] != '\0') {
		if (set[0] != '/') {
			snprintf(err, errlen,
			    "CLOISTER_HOME must be an absolute path");
			return NULL;
		}
		if ((dir = strdup(set)) == NULL)
			snprintf(err, errlen, "no memory");
		return dir;
	}
	if ((home = home_dir()) == NULL) {
		snprintf(err, errlen, "HOME is not set");
		return NULL;
	}
	if ((parent = join(home, ".config")) == NULL ||
	    (dir = join(parent, "cloister")) == NULL)
		snprintf(err, errlen, "no memory");
	else if (mkdir(parent, 0700) == -1 && errno != EEXIST) {
		snprintf(err, errlen, "%s: %s", parent, strerror(errno));
		free(dir);
		dir = NULL;
	}
	free(home);
	free(parent);
	return dir;
}

/* Make the directory if need be; nobody else may write it. */
static int
check_dir(const char *dir, char *err, size_t errlen)
{
	struct stat st;

	if ((mkdir(dir, 0700) == -1 && errno != EEXIST) ||
	    stat(dir, &st) == -1) {
		snprintf(err, errlen, "%s: %s", dir, strerror(errno));
		return -1;
	}
	if (!S_ISDIR(st.st_mode))
		snprintf(err, errlen, "%s: not a directory", dir);
	else if (st.st_uid != 0 && st.st_uid != geteuid())
		snprintf(err, errlen, "%s: belongs to somebody else", dir);
	else if ((st.st_mode & 022) != 0)
		snprintf(err, errlen,
		    "%s: can be written by group or others", dir);
	else
		return 0;
	return -1;
}

/* What the parsed file, or the defaults, say. */
static int
take_options(struct cconf *c, struct conf *f)
{
	static const char *const first[] = {
		[CCONF_FIRST_ASK] = "ask", [CCONF_FIRST_ACCEPT] = "accept",
		[CCONF_FIRST_REFUSE] = "refuse"
	};
	static const char *const signs[] = {
		[CCONF_SIGN_OFF] = "off", [CCONF_SIGN_ASK] = "ask",
		[CCONF_SIGN_ALWAYS] = "always"
	};
	const char *server = cfg_getstr(f->cfg, "server");
	const char *model = cfg_getstr(f->cfg, "model");
	const char *keyd = cfg_getstr(f->cfg, "keyd");
	const char *key = cfg_getstr(f->cfg, "key");
	const char *contact = cfg_getstr(f->cfg, "first_contact");
	const char *sign = cfg_getstr(f->cfg, "sign");
	long suspend = cfg_getint(f->cfg, "suspend");
	int i;

	if (suspend != 0 && (suspend < SUSPEND_MIN || suspend > SUSPEND_MAX))
		return conf_fail(f, f->cfg, "suspend",
		    "suspend must be 0 or %d to %d seconds", SUSPEND_MIN,
		    SUSPEND_MAX);
	c->suspend_s = (uint32_t)suspend;
	if (server != NULL && cconf_server_parse(&c->server, server) == -1)
		return conf_fail(f, f->cfg, "server",
		    "server \"%s\" is not HOST or HOST:PORT", server);
	c->has_server = server != NULL;
	for (i = CCONF_FIRST_REFUSE; i >= 0; i--)
		if (strcmp(contact, first[i]) == 0)
			break;
	if (i < 0)
		return conf_fail(f, f->cfg, "first_contact",
		    "first_contact must be ask, accept or refuse");
	c->first_contact = (enum cconf_first)i;
	for (i = CCONF_SIGN_ALWAYS; i >= 0; i--)
		if (strcmp(sign, signs[i]) == 0)
			break;
	if (i < 0)
		return conf_fail(f, f->cfg, "sign",
		    "sign must be always, ask or off");
	c->sign = (enum cconf_sign)i;
	if (key[0] == '\0' || strlen(key) >= PATH_MAX - 16)
		return conf_fail(f, f->cfg, "key", "key must be a path");
	if (keyd != NULL && keyd[0] != '/')
		return conf_fail(f, f->cfg, "keyd",
		    "keyd must be an absolute path");
	if (model != NULL && (model[0] == '\0' || strlen(model) > MODEL_MAX))
		return conf_fail(f, f->cfg, "model",
		    "model must have 1 to 64 characters");
	c->keep_history = cfg_getbool(f->cfg, "history") == cfg_true;
	if ((c->key = resolve(c->dir, key)) == NULL ||
	    (model != NULL && (c->model = strdup(model)) == NULL) ||
	    (keyd != NULL && (c->keyd = strdup(keyd)) == NULL))
		return conf_fail(f, f->cfg, NULL, "no memory");
	return 0;
}

/* A path that may be missing. */
static int
take_path(struct cconf *c, struct conf *f, const char *name, char **out)
{
	const char *s = cfg_getstr(f->cfg, name);

	if (s == NULL)
		return 0;
	if (s[0] == '\0' || strlen(s) >= PATH_MAX - 16)
		return conf_fail(f, f->cfg, name, "%s must be a path", name);
	if ((*out = resolve(c->dir, s)) == NULL)
		return conf_fail(f, f->cfg, NULL, "no memory");
	return 0;
}

/* A string of a template, copied; it may be missing. */
static int
copy_text(struct conf *f, cfg_t *sec, const char *name, size_t max, char **out)
{
	const char *s = cfg_getstr(sec, name);

	if (s == NULL)
		return 0;
	if (s[0] == '\0' || strlen(s) > max)
		return conf_fail(f, sec, name, "%s must have 1 to %zu bytes",
		    name, max);
	if ((*out = strdup(s)) == NULL)
		return conf_fail(f, sec, NULL, "no memory");
	return 0;
}

static int
take_template(struct conf *f, cfg_t *sec, struct cconf_template *t)
{
	static const char *const params[] = { "temperature", "top_p",
	    "max_tokens" };
	const char *title = cfg_title(sec), *value;
	char why[256];

	if (title[0] == '\0' || strlen(title) > MODEL_MAX)
		return conf_fail(f, sec, NULL, "a template's name must have 1 "
		    "to %d bytes", MODEL_MAX);
	if ((t->name = strdup(title)) == NULL)
		return conf_fail(f, sec, NULL, "no memory");
	for (size_t i = 0; i < sizeof(params) / sizeof(params[0]); i++)
		if ((value = cfg_getstr(sec, params[i])) != NULL &&
		    params_set(&t->params, params[i], value, why,
		    sizeof(why)) == -1)
			return conf_fail(f, sec, params[i], "%s", why);
	return copy_text(f, sec, "model", MODEL_MAX, &t->model) == -1 ? -1 :
	    copy_text(f, sec, "system", SYSTEM_MAX, &t->system);
}

static int
take_templates(struct cconf *c, struct conf *f)
{
	unsigned n = cfg_size(f->cfg, "template");

	if (n > CCONF_TEMPLATES_MAX)
		return conf_fail(f, f->cfg, NULL, "more than %d templates",
		    CCONF_TEMPLATES_MAX);
	if (n > 0 && (c->tmpl = calloc(n, sizeof(*c->tmpl))) == NULL)
		return conf_fail(f, f->cfg, NULL, "no memory");
	for (; c->ntmpl < n; c->ntmpl++)
		if (take_template(f, cfg_getnsec(f->cfg, "template",
		    (unsigned)c->ntmpl), &c->tmpl[c->ntmpl]) == -1) {
			c->ntmpl++;	/* what it has is freed */
			return -1;
		}
	return 0;
}

const struct cconf_template *
cconf_template(const struct cconf *c, const char *name)
{
	for (size_t i = 0; i < c->ntmpl; i++)
		if (strcmp(c->tmpl[i].name, name) == 0)
			return &c->tmpl[i];
	return NULL;
}

/* How a server's identity is proved, and what for. */
static int
take_trust(struct cconf *c, struct conf *f)
{
	static const char *const names[] = {
		[CCONF_TRUST_PINNED] = "pinned",
		[CCONF_TRUST_CERTIFICATE] = "certificate",
		[CCONF_TRUST_EITHER] = "either", [CCONF_TRUST_BOTH] = "both"
	};
	const char *trust = cfg_getstr(f->cfg, "trust");
	int i = CCONF_TRUST_BOTH;

	if (take_path(c, f, "ca_file", &c->ca_file) == -1 ||
	    take_path(c, f, "crl_file", &c->crl_file) == -1 ||
	    take_path(c, f, "cert_file", &c->cert_file) == -1)
		return -1;
	c->hash_known_servers =
	    cfg_getbool(f->cfg, "hash_known_servers") == cfg_true;
	if (trust == NULL)
		trust = names[c->ca_file != NULL ? CCONF_TRUST_CERTIFICATE :
		    CCONF_TRUST_PINNED];
	while (i >= 0 && strcmp(trust, names[i]) != 0)
		i--;
	if (i < 0)
		return conf_fail(f, f->cfg, "trust", "trust must be pinned, "
		    "certificate, either or both");
	c->trust = (enum cconf_trust)i;
	if (c->trust != CCONF_TRUST_PINNED && c->ca_file == NULL)
		return conf_fail(f, f->cfg, "trust", "trust = %s needs ca_file",
		    trust);
	if (c->crl_file != NULL && c->ca_file == NULL)
		return conf_fail(f, f->cfg, "crl_file",
		    "crl_file needs ca_file");
	return 0;
}

int
cconf_load(struct cconf *c, char *err, size_t errlen)
{
	struct conf f = { .cfg = NULL };
	char *path = NULL;
	int rv = -1;

	memset(c, 0, sizeof(*c));
	if ((c->dir = find_dir(err, errlen)) == NULL ||
	    check_dir(c->dir, err, errlen) == -1)
		goto out;
	if ((path = join(c->dir, "config")) == NULL ||
	    (c->known_servers = join(c->dir, "known_servers")) == NULL ||
	    (c->history = join(c->dir, "history")) == NULL ||
	    (c->last = join(c->dir, "last")) == NULL) {
		snprintf(err, errlen, "no memory");
		goto out;
	}
	if (conf_load(&f, path, client_opts, err, errlen) == -1) {
		if (errno != ENOENT)
			goto out;
		err[0] = '\0';
		if ((f.cfg = cfg_init(client_opts, CFGF_NONE)) == NULL) {
			snprintf(err, errlen, "no memory");
			goto out;
		}
	}
	rv = take_options(c, &f) == -1 || take_trust(c, &f) == -1 ? -1 :
	    take_templates(c, &f);
out:
	conf_free(&f);
	free(path);
	if (rv == -1)
		cconf_free(c);
	return rv;
}

void
cconf_free(struct cconf *c)
{
	for (size_t i = 0; i < c->ntmpl; i++) {
		free(c->tmpl[i].name);
		free(c->tmpl[i].model);
		free(c->tmpl[i].system);
	}
	free(c->tmpl);
	free(c->dir);
	free(c->key);
	free(c->model);
	free(c->keyd);
	free(c->ca_file);
	free(c->crl_file);
	free(c->cert_file);
	free(c->known_servers);
	free(c->history);
	free(c->last);
	memset(c, 0, sizeof(*c));
}

/* Letters, digits, '-', '_' and '.', no empty label; made lower case. */
static bool
take_name(char *s)
{
	char last = '.';

	for (; *s != '\0'; last = *s++) {
		if (*s >= 'A' && *s <= 'Z')
			*s = (char)(*s - 'A' + 'a');
		if (!(*s >= 'a' && *s <= 'z') && !(*s >= '0' && *s <= '9') &&
		    *s != '-' && *s != '_' && *s != '.')
			return false;
		if (last == '.' && (*s == '.' || *s == '-'))
			return false;
	}
	return last != '.' && last != '-';
}

int
cconf_server_parse(struct cconf_server *s, const char *text)
{
	const char *host = text, *end, *port = NULL, *e;
	struct in6_addr a6;
	struct in_addr a4;
	bool v6 = true;
	size_t n;

	memset(s, 0, sizeof(*s));
	if (text[0] == '[') {
		host = text + 1;
		if ((end = strchr(host, ']')) == NULL)
			return -1;
		if (end[1] != '\0' && end[1] != ':')
			return -1;
		if (end[1] == ':')
			port = end + 2;
	} else if (inet_pton(AF_INET6, text, &a6) == 1) {
		end = text + strlen(text);
	} else {
		v6 = false;
		end = text + strcspn(text, ":");
		if (*end == ':')
			port = end + 1;
	}
	n = (size_t)(end - host);
	if (n == 0 || n > CCONF_HOST_MAX)
		return -1;
	memcpy(s->host, host, n);
	s->port = CCONF_PORT;
	if (port != NULL) {
		if (*port < '1' || *port > '9')
			return -1;
		s->port = (uint16_t)strtonum(port, 1, UINT16_MAX, &e);
		if (e != NULL)
			return -1;
	}
	/* One spelling of an address, so that known_servers finds it. */
	if (v6 ? inet_pton(AF_INET6, s->host, &a6) != 1 : !take_name(s->host))
		return -1;
	s->numeric = v6 || inet_pton(AF_INET, s->host, &a4) == 1;
	if (v6)
		inet_ntop(AF_INET6, &a6, s->host, sizeof(s->host));
	snprintf(s->text, sizeof(s->text), v6 ? "[%s]:%u" : "%s:%u", s->host,
	    s->port);
	return 0;
}

int
cconf_key_open(const char *path, char *err, size_t errlen)
{
	struct stat st;
	int fd;

	if ((fd = conf_open(path, 077, err, errlen)) == -1)
		return -1;
	if (fstat(fd, &st) == -1 || st.st_uid != geteuid()) {
		snprintf(err, errlen, "%s: belongs to somebody else", path);
		close(fd);
		return -1;
	}
	return fd;
}
