/*
 * The configuration is read again.  It is checked whole by what checks it at a
 * start; what would need other descriptors, files or users than the service has
 * is refused with everything else of it.  Then roles that can take it while they
 * serve are told (CTL_RELOAD), and those that cannot are started anew.
 */
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "monitor.h"
#include "notify.h"

static bool
same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool
same_user(const struct config_user *a, const struct config_user *b)
{
	return a->uid == b->uid && a->gid == b->gid;
}

static bool
same_listen(const struct server_config *a, const struct server_config *b)
{
	if (a->inherit != b->inherit || a->nlisten != b->nlisten)
		return false;
	for (size_t i = 0; i < a->nlisten; i++)
		if (strcmp(a->listen[i].text, b->listen[i].text) != 0)
			return false;
	return true;
}

static bool
same_roles(const struct server_config *a, const struct server_config *b)
{
	for (int i = 0; i < CONFIG_ROLES; i++)
		if (!same_user(&a->user[i], &b->user[i]))
			return false;
	return true;
}

/* What differs and cannot change while the service runs, or NULL. */
static const char *
fixed(const struct server_config *a, const struct server_config *b)
{
	if (!same_listen(a, b))
		return "listen";
	if (!same(a->state_dir, b->state_dir))
		return "state_dir";
	if (!same(a->control_socket, b->control_socket))
		return "control_socket";
	if (a->control_group != b->control_group)
		return "control_group";
	if (!same(a->connector_socket, b->connector_socket))
		return "connector_socket";
	if (!same(a->wrap_key_file, b->wrap_key_file))
		return "wrap_key_file";
	if (!same_roles(a, b))
		return "roles";
	if (a->limits.min_landlock_abi != b->limits.min_landlock_abi)
		return "min_landlock_abi";
	if (a->nproviders != b->nproviders)
		return "the number of providers";
	return NULL;
}

static bool
same_address(const struct config_provider *a, const struct config_provider *b)
{
	return strcmp(a->url.host, b->url.host) == 0 &&
	    a->url.port == b->url.port &&
	    a->connect_timeout == b->connect_timeout;
}

static bool
same_provider(const struct config_provider *a, const struct config_provider *b)
{
	return same_address(a, b) && strcmp(a->name, b->name) == 0 &&
	    a->type == b->type && a->url.tls == b->url.tls &&
	    strcmp(a->url.path, b->url.path) == 0 &&
	    same(a->key_file, b->key_file) && same(a->ca_file, b->ca_file) &&
	    same_user(&a->user, &b->user) &&
	    a->first_byte_timeout == b->first_byte_timeout &&
	    a->idle_timeout == b->idle_timeout &&
	    a->total_timeout == b->total_timeout;
}

static bool
same_model(const struct config_model *a, const struct config_model *b)
{
	return strcmp(a->alias, b->alias) == 0 &&
	    strcmp(a->upstream, b->upstream) == 0 &&
	    same(a->system, b->system) && a->max_tokens == b->max_tokens &&
	    a->context == b->context && a->temperature == b->temperature;
}

/* The next model of a provider from i on, or NULL. */
static const struct config_model *
next_model(const struct server_config *c, size_t provider, size_t *i)
{
	while (*i < c->nmodels)
		if (c->models[(*i)++].provider == provider)
			return &c->models[*i - 1];
	return NULL;
}

static bool
same_models(const struct server_config *a, const struct server_config *b,
    size_t provider)
{
	const struct config_model *x, *y;
	size_t i = 0, j = 0;

	do {
		x = next_model(a, provider, &i);
		y = next_model(b, provider, &j);
		if (x == NULL || y == NULL)
			return x == y;
	} while (same_model(x, y));
	return false;
}

/* Whether p must be started anew to heed what changed from a to b. */
static bool
must_restart(const struct proc *p, const struct server_config *a,
    const struct server_config *b)
{
	size_t i = (size_t)p->instance;

	switch (p->role) {
	case ROLE_LLMPROXY:
		return !same_provider(&a->providers[i], &b->providers[i]) ||
		    !same_models(a, b, i);
	case ROLE_CONNECTOR:	/* its sandbox knows the ports */
		for (i = 0; i < a->nproviders; i++)
			if (!same_address(&a->providers[i], &b->providers[i]))
				return true;
		return false;
	case ROLE_CERTD:	/* files may be others under the same name */
		return a->client_ca != NULL || b->client_ca != NULL;
	case ROLE_ZYGOTE:
		return a->certificate != NULL || b->certificate != NULL;
	default:
		return false;
	}
}

static void
start_anew(struct proc *p)
{
	if (p->role == ROLE_ZYGOTE)
		replace_zygote(p);	/* the old one keeps its sessions */
	else if (!p->running ||
	    chan_send(p->ctl, MSG_ctl_stop, NULL, -1) == -1)
		proc_kill(p);
}

/* Put m->cfg, which follows old, into force; what was started anew, in text. */
static void
apply(struct monitor *m, const struct server_config *old, char *text,
    size_t size)
{
	const char *before = "; started anew: ";
	char name[64];

	(void)strlcpy(text, "the configuration is in force", size);
	if (m->cfg.log_level != old->log_level)
		(void)loglevel_set(m, LOGLEVEL_ALL, m->cfg.log_level);
	for (int i = 0; i < m->nprocs; i++) {
		struct proc *p = &m->procs[i];

		if (p->pid <= 0 || p->ctl == NULL)
			continue;	/* it will be told at its start */
		if (!must_restart(p, old, &m->cfg) && p->running) {
			(void)chan_send(p->ctl, MSG_ctl_reload, NULL, -1);
			if (role_decls[p->role].multi == 0 &&
			    p->role != ROLE_CONNECTOR && p->role != ROLE_CERTD)
				configure(m, p);
			(void)chan_send(p->ctl, MSG_ctl_reload_end, NULL, -1);
			continue;
		}
		proc_name(p, name, sizeof(name));
		(void)strlcat(text, before, size);
		(void)strlcat(text, name, size);
		before = ", ";
		start_anew(p);
	}
}

/* Take the new configuration in the old one's place if it may be: 0 or -1. */
static int
exchange(struct monitor *m, struct server_config *old, char *text, size_t size)
{
	struct server_config new;
	const char *what;

	if (!m->serving || m->stopping) {
		(void)strlcpy(text, "the service starts or stops", size);
		return -1;
	}
	if (config_load(m->conf_path, &new, text, size) == -1)
		return -1;
	if ((what = fixed(&m->cfg, &new)) != NULL) {
		(void)snprintf(text, size, "%s: changing it needs a restart of "
		    "the service; nothing was changed", what);
		config_free(&new);
		return -1;
	}
	*old = m->cfg;
	m->cfg = new;
	if (certs_test(m) == 0)
		return 0;
	(void)strlcpy(text, "the certificates are not in order (see the log): "
	    "those of before stay in force, nothing was changed", size);
	m->cfg = *old;
	config_free(&new);
	return -1;
}

int
reload(struct monitor *m, uint32_t uid, char *text, size_t size)
{
	char hex[2 * sizeof(m->cfg.sha256) + 1];
	struct server_config old;

	notify("RELOADING=1\nMONOTONIC_USEC=%llu",
	    (unsigned long long)mono_ms() * 1000);
	if (exchange(m, &old, text, size) == -1) {
		if (m->serving && !m->stopping)
			notify("READY=1");
		log_err("reload refused: %s", text);
		audit(EV_reload_refuse, 0, NULL, "uid=%u text=%s", uid, text);
		return -1;
	}
	apply(m, &old, text, size);
	hex_encode(hex, m->cfg.sha256, sizeof(m->cfg.sha256));
	audit(EV_reload, 0, NULL, "file=%s sha256=%s uid=%u", m->conf_path, hex,
	    uid);
	if (m->cfg.certificate != NULL || m->cfg.client_ca != NULL)
		audit(EV_certs_reload, 0, NULL, "certificates and revocation "
		    "lists are read again");
	log_notice("%s", text);
	notify("READY=1");
	config_free(&old);
	return 0;
}

void
reload_asked(struct monitor *m, struct proc *vault,
    const struct m_ctl_reload_ask *ask)
{
	struct m_ctl_reload_done done = { .id = ask->id };
	char text[512];

	done.ok = reload(m, ask->uid, text, sizeof(text)) == 0;
	log_clean(text);
	done.text = bytes_str(text);
	if (vault->ctl != NULL)
		(void)chan_send(vault->ctl, MSG_ctl_reload_done, &done, -1);
}
