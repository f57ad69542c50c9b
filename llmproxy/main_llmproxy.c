/* llmproxy: see llmproxy.h. */
#include "llmproxy.h"

#include <stdlib.h>
#include <unistd.h>

#include "jsonin.h"
#include "log.h"
#include "role.h"
#include "warmup.h"

static struct role self;
static struct llmproxy proxy;

static void
prepare(struct role *r)
{
	(void)r;
	crypto_warmup();
	jsonin_init();
	transport_prepare(&proxy);
}

static void
on_upstream(const struct m_ctl_upstream *m)
{
	struct upstream *up = &proxy.up;

	if (m->type >= PROVIDER_TYPES)
		fatalx("bad configuration of a provider");
	up->type = m->type;
	up->tls = m->tls != 0;
	up->has_key = m->has_key != 0;
	up->has_ca = m->has_ca != 0;
	up->port = m->port;
	up->connect_s = m->connect_timeout_s;
	up->first_byte_s = m->first_byte_timeout_s;
	up->idle_s = m->idle_timeout_s;
	up->total_s = m->total_timeout_s;
	if (msg_text(up->name, sizeof(up->name), m->name) == -1 ||
	    msg_text(up->host, sizeof(up->host), m->host) == -1 ||
	    msg_text(up->path, sizeof(up->path), m->path) == -1)
		fatalx("bad configuration of a provider");
}

static void
on_model(const struct m_ctl_model *m)
{
	struct llm_model *mo = &proxy.model[proxy.nmodels];

	if (proxy.nmodels == LLM_MODELS_MAX ||
	    msg_text(mo->alias, sizeof(mo->alias), m->alias) == -1 ||
	    msg_text(mo->upstream, sizeof(mo->upstream), m->upstream) == -1 ||
	    (mo->system = calloc(1, m->system.n + 1)) == NULL ||
	    msg_text(mo->system, m->system.n + 1, m->system) == -1)
		fatalx("bad configuration of a model");
	mo->max_tokens = m->max_tokens;
	mo->context = m->context;
	mo->temperature = m->temperature;
	proxy.nmodels++;
}

static void
on_conf(struct chan *c, struct msg *m, void *arg)
{
	(void)c;
	(void)arg;
	if (m->type == MSG_ctl_upstream)
		on_upstream(&m->u.ctl_upstream);
	else if (m->type == MSG_ctl_model)
		on_model(&m->u.ctl_model);
}

/* A file that the monitor opened; it is closed afterwards. */
static void
read_file(enum file_id file, struct buf *b)
{
	int fd = role_file_fd(self.id, self.providers, file);

	if (read_all(fd, b) == -1)
		fatalx("the %s of provider %s cannot be read, or is too long",
		    file == FILE_API_KEY ? "key" : "ca_file", proxy.up.name);
	(void)close(fd);
}

static void
on_go(void)
{
	struct m_lv_hello hello = { .generation = self.generation };
	struct buf key = BUF_INIT(LLM_KEY_MAX + 2);
	struct buf ca = BUF_INIT(LLM_CA_MAX);

	read_file(FILE_API_KEY, &key);
	read_file(FILE_CA, &ca);
	upstream_configure(&proxy, &key, buf_bytes(&ca));
	buf_free(&key);
	buf_free(&ca);
	proxy.loop = self.loop;
	proxy.generation = self.generation;
	proxy.vault = role_link(&self, LINK_VAULT_LLM, 0, VAULT_LLM_UP,
	    CHAN_RECV_FD, grant_on_vault, role_link_lost, &proxy);
	proxy.connector = role_link(&self, LINK_LLM_CONN, 0, LLM_CONN_UP,
	    CHAN_RECV_FD, transport_on_connector, role_link_lost, &proxy);
	chan_drop_until(proxy.vault, MSG_vl_welcome);
	if (chan_send(proxy.vault, MSG_lv_hello, &hello, -1) == -1)
		fatalx("the vault is gone");
	transport_start(&proxy);
}

int
main(int argc, char **argv)
{
	role_start(&self, ROLE_LLMPROXY, argc, argv, prepare);
	self.on_conf = on_conf;
	self.on_go = on_go;
	role_run(&self);
}
