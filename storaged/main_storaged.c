/*
 * storaged, the vault: see vault.h.  Here is only how it is wired.
 */
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "vault.h"
#include "warmup.h"

#define HASHER_MS	30000	/* it makes a key, and starts in a moment */

static struct role self;
static struct vault *vault;

static void
prepare(struct role *r)
{
	(void)r;
	crypto_warmup();
	/* For a search: which letters are the same but for their case. */
	if (setlocale(LC_CTYPE, "C.UTF-8") == NULL)
		log_warn("no locale C.UTF-8: search ignores the case of "
		    "ASCII letters alone");
}

/* At a start, or of a reload: sessions see all of its models or none. */
static void
take_model(struct vault *v, const struct m_ctl_model *m)
{
	struct model *list = v->coming != NULL ? v->coming : v->models, *mo;
	size_t *n = v->coming != NULL ? &v->ncoming : &v->nmodels;

	if (*n == VAULT_MODELS_MAX)
		fatalx("too many models");
	mo = &list[(*n)++];
	mo->provider = m->provider;
	mo->is_default = m->is_default != 0;
	if (msg_text(mo->alias, sizeof(mo->alias), m->alias) == -1 ||
	    msg_text(mo->provider_name, sizeof(mo->provider_name),
	    m->provider_name) == -1)
		fatalx("a model's name is too long");
}

static void
on_reload(void)
{
	vault->ncoming = 0;
	if ((vault->coming = calloc(VAULT_MODELS_MAX,
	    sizeof(*vault->coming))) == NULL)
		fatal("calloc");
}

static void
on_reloaded(void)
{
	if (vault->coming == NULL)
		fatalx("a reload ends that did not begin");
	memcpy(vault->models, vault->coming, sizeof(vault->models));
	vault->nmodels = vault->ncoming;
	free(vault->coming);
	vault->coming = NULL;
}

static void
on_conf(struct chan *c, struct msg *m, void *arg)
{
	struct vault *v = vault;

	(void)c;
	(void)arg;
	switch (m->type) {
	case MSG_ctl_limits:
		v->max_sessions_per_user = m->u.ctl_limits.max_sessions_per_user;
		v->idle_timeout_s = m->u.ctl_limits.idle_timeout_s;
		v->session_timeout_s = m->u.ctl_limits.session_timeout_s;
		v->ticket_lifetime_s = m->u.ctl_limits.ticket_lifetime_s;
		v->rekey_interval_s = m->u.ctl_limits.rekey_interval_s;
		v->max_prompt_bytes = m->u.ctl_limits.max_prompt_bytes;
		v->retention_days = m->u.ctl_limits.retention_days;
		v->max_conversations = m->u.ctl_limits.max_conversations;
		v->max_messages = m->u.ctl_limits.max_messages;
		v->lowest_suite = m->u.ctl_limits.lowest_suite;
		v->shaping = m->u.ctl_limits.shaping;
		v->argon2_memory_kib = m->u.ctl_limits.argon2_memory_kib;
		v->argon2_passes = m->u.ctl_limits.argon2_passes;
		v->password_delay_s = m->u.ctl_limits.password_delay_s;
		v->enrolment = m->u.ctl_limits.enrolment != 0;
		v->policy = m->u.ctl_limits.policy;
		break;
	case MSG_ctl_model:
		take_model(v, &m->u.ctl_model);
		break;
	case MSG_ctl_certs:
		v->has_client_ca = m->u.ctl_certs.has_ca != 0;
		break;
	default:
		break;		/* how providers are reached is not ours */
	}
}

static void
on_ctl(struct chan *c, struct msg *m, void *arg)
{
	(void)c;
	(void)arg;
	admin_on_ctl(vault, m);
}

static void
on_engine_closed(struct chan *c, const char *why, void *arg)
{
	if (vault->stopping && why == NULL) {
		anchor_sync(vault);
		_exit(0);
	}
	role_link_lost(c, why, arg);
}

/* keyd wipes the wrap key and may then close this link. */
static void
on_boot_msg(struct chan *c, struct msg *m, void *arg)
{
	(void)m;
	role_link_lost(c, "an answer about the storage key after boot", arg);
}

/* Links to engine and keyd, then everything that the start has to verify. */
static void
boot(void)
{
	bool init = (self.flags & START_INIT) != 0;
	struct vault *v = vault;
	struct chan *c;
	int anchor = role_file_fd(ROLE_VAULT, self.providers, FILE_ANCHOR);
	int keyfile = role_file_fd(ROLE_VAULT, self.providers, FILE_KEYFILE);

	v->accept = (self.flags & START_ACCEPT) != 0;
	engine_attach(v->engine, role_link(&self, LINK_VAULT_ENGINE, 0,
	    VAULT_ENGINE_UP, 0, engine_on_msg, on_engine_closed, v->engine));
	c = role_link(&self, LINK_BOOT, 0, BOOT_ASK, 0, on_boot_msg, NULL, v);
	if ((init ? vault_init : vault_boot)(v, c, anchor, keyfile) == -1) {
		audit(EV_vault_refuse, 0, NULL, "%s", v->why);
		fatalx("%s", v->why);
	}
	chan_free(c);
}

static void
on_go(void)
{
	struct vault *v = vault;

	boot();
	if ((self.flags & START_CHECK) != 0) {
		vault_check(v);
		return;
	}
	if ((self.flags & START_OFFLINE) != 0)
		_exit(0);
	loop_set_idle(self.loop, commit_kick, v);
	turn_resume(v);
	erase_resume(v);
	retain_watch(v);
	v->keyd = role_link(&self, LINK_KEYD_VAULT, 0, KEYD_VAULT_WAIT, 0,
	    vault_on_keyd, role_link_lost, v);
	v->zygote = role_link(&self, LINK_VAULT_ZYG, 0, VAULT_ZYG_UP, 0,
	    vault_on_zygote, role_link_lost, v);
	v->hasher = role_link(&self, LINK_HASHER_VAULT, 0, HASHER_VAULT_UP, 0,
	    vault_on_hasher, vault_hasher_lost, v);
	/* Before anybody is served: every handshake names its key. */
	if (vault_wait_hasher(v, HASHER_MS) == -1)
		fatalx("the hasher does not start");
	v->certd = role_link(&self, LINK_VAULT_CERT, 0, VAULT_CERT_NEW, 0,
	    vault_on_certd, vault_certd_lost, v);
	v->nllm = self.providers;
	for (int i = 0; i < v->nllm; i++)
		v->llm[i] = role_link(&self, LINK_VAULT_LLM, i, VAULT_LLM_UP, 0,
		    vault_on_llm, role_link_lost, v);
}

static void
on_stop(void)
{
	vault_stop(vault);
}

int
main(int argc, char **argv)
{
	role_start(&self, ROLE_VAULT, argc, argv, prepare);
	vault = vault_new(&self, self.loop);
	self.on_conf = on_conf;
	self.on_ctl = on_ctl;
	self.on_go = on_go;
	self.on_reload = on_reload;
	self.on_reloaded = on_reloaded;
	self.on_stop = on_stop;
	role_run(&self);
}
