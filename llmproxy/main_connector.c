/* connector: see connector.h. */
#include "connector.h"

#include "log.h"
#include "outside.h"
#include "role.h"
#include "sandbox.h"

#define DNS_PORT	53	/* long answers come by TCP */

static struct role self;
static struct dest dests[ROLE_MAX_PROVIDERS];

static void
prepare(struct role *r)
{
	(void)r;
	connector_prepare();
}

static void
on_conf(struct chan *c, struct msg *m, void *arg)
{
	const struct m_ctl_upstream *u = &m->u.ctl_upstream;
	struct dest *d;

	(void)c;
	(void)arg;
	if (m->type != MSG_ctl_upstream)
		return;
	if (u->provider >= self.providers)
		fatalx("a provider that is not there");
	d = &dests[u->provider];
	if (msg_text(d->host, sizeof(d->host), u->host) == -1)
		fatalx("bad configuration of a provider");
	d->port = u->port;
	d->timeout_ms = u->connect_timeout_s * 1000;
}

static void
on_go(void)
{
	struct m_cl_hello hello = { .generation = self.generation };
	uint16_t ports[ROLE_MAX_PROVIDERS + 1] = { DNS_PORT };

	for (int i = 0; i < self.providers; i++)
		ports[i + 1] = dests[i].port;
	sandbox_connect_ports(ports, self.providers + 1, self.abi);
	for (int i = 0; i < self.providers; i++) {
		struct dest *d = &dests[i];

		LIST_INIT(&d->pending);
		d->loop = self.loop;
		d->chan = role_link(&self, LINK_LLM_CONN, i, LLM_CONN_UP, 0,
		    connector_on_msg, role_link_lost, d);
		if (chan_send(d->chan, MSG_cl_hello, &hello, -1) == -1)
			fatalx("an llmproxy is gone");
	}
}

int
main(int argc, char **argv)
{
	outside_receive(argv);
	role_start(&self, ROLE_CONNECTOR, argc, argv, prepare);
	self.on_conf = on_conf;
	self.on_go = on_go;
	role_run(&self);
}
